# verdict: build and test. The README's two commands are the whole interface:
#
#   go run ./cmd/verdict witness --local
#   make test

GO    ?= go
TOOLS := $(CURDIR)/.verdict/tools
GETH  := $(TOOLS)/geth-1.17.4

# The tests run the real geth. With VERDICT_REQUIRE set, a test dependency that
# is missing fails the tests; it never skips them.
export VERDICT_GETH := $(GETH)
export VERDICT_REQUIRE := all

.PHONY: build test check tools deps fuzz bench clean

build:
	$(GO) build -o bin/verdict ./cmd/verdict

# The packages are tested with the race detector. The package e2e tests the
# program as users run it, built without; the simulations of stat run both
# ways, because the detector leaves them time for an eighth of the runs.
test: tools check
	$(GO) test -race -count=1 -timeout 20m ./...
	$(GO) test -count=1 ./internal/stat

# check is everything that needs no running program.
check:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# What the tests need beside Go: a C compiler for the race detector, and geth.
tools: deps $(GETH)

deps:
	@scripts/deps gcc=gcc git=git


# The module is pinned; its binary is kept apart from the user's own.
$(GETH):
	@mkdir -p $(TOOLS)/install
	GOBIN=$(TOOLS)/install $(GO) install github.com/ethereum/go-ethereum/cmd/geth@v1.17.4
	@mv $(TOOLS)/install/geth $@

# fuzz runs each fuzz target for a while: make fuzz FUZZTIME=1m
FUZZTIME ?= 10s
fuzz:
	@grep -rlE '^func Fuzz' --include='*_test.go' internal | sort | while read -r file; do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$file); do \
	    echo "$$target in $$(dirname $$file)"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x ./$$(dirname $$file) || exit 1; \
	  done; \
	done

# bench runs the benchmarks whose numbers docs/performance.md quotes.
bench: build
	$(GO) test -run '^$$' -bench Verify -cpu 1 -count 5 ./internal/stateless
	$(GO) test -run '^$$' -bench . -cpu 1 ./internal/witness ./internal/stat
	$(GO) run ./bench/collector truth
	$(GO) run ./bench/collector large -verdict bin/verdict

clean:
	rm -rf bin .verdict runs
