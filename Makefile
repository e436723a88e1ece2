# verdict: build and test. The README's two commands are the whole interface:
#
#   go run ./cmd/verdict witness --local
#   make test

GO    ?= go
TOOLS := $(CURDIR)/.verdict/tools
GETH  := $(TOOLS)/geth-1.17.4

# What the tests run beside Go's own tools: the real geth, from its module.
export VERDICT_GETH := $(GETH)
# A missing test dependency fails the tests; it never skips them.
export VERDICT_REQUIRE := geth

.PHONY: build test check tools fuzz bench clean

build:
	$(GO) build -o bin/verdict ./cmd/verdict

test: tools check
	$(GO) test -race -timeout 15m ./...

# check is everything that needs no running program.
check:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

tools: $(GETH)

# The module is pinned; its binary is kept outside of the build's own folders.
$(GETH):
	@mkdir -p $(TOOLS)/.geth
	GOBIN=$(TOOLS)/.geth $(GO) install github.com/ethereum/go-ethereum/cmd/geth@v1.17.4
	mv $(TOOLS)/.geth/geth $@

# fuzz runs each fuzz target for a while: make fuzz FUZZTIME=1m
FUZZTIME ?= 10s
fuzz:
	@grep -rlE '^func Fuzz' --include='*_test.go' internal | sort | while read -r file; do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$file); do \
	    echo "$$target in $$(dirname $$file)"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) || exit 1; \
	  done; \
	done

# bench runs the benchmarks whose numbers docs/performance.md quotes.
bench:
	$(GO) test -run '^$$' -bench . -benchtime 2s ./internal/...

clean:
	rm -rf bin .verdict runs
