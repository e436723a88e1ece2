# verdict: build and test. The README's two commands are the whole interface:
#
#   go run ./cmd/verdict witness --local
#   make test

GO    ?= go
TOOLS := $(CURDIR)/.verdict/tools
GETH  := $(TOOLS)/geth-1.17.4
GETH_OLD := $(TOOLS)/geth-1.17.0
ANVIL := $(TOOLS)/anvil-1.7.1
SOLC  := $(TOOLS)/solc-0.8.30

# The tests run the real geth and anvil, and compile the contracts again. With
# VERDICT_REQUIRE set, a test dependency that is missing fails the tests; it
# never skips them.
export VERDICT_GETH := $(GETH)
export VERDICT_GETH_OLD := $(GETH_OLD)
export VERDICT_ANVIL := $(ANVIL)
export VERDICT_SOLC := $(SOLC)
export VERDICT_REQUIRE := all

.PHONY: build test test-race test-plain race check tools deps fuzz bench clean

# Without cgo the program is static and runs on any server of this kind.
build:
	CGO_ENABLED=0 $(GO) build -o bin/verdict ./cmd/verdict

# The race detector makes the EVM, the pages in the browser and the simulations
# five times slower, so these packages are tested without it, as is e2e, which
# tests the program as users run it. make race tests all of them with it.
PLAIN := ./e2e ./internal/batch ./internal/cli ./internal/devnet ./internal/genesis ./internal/l1 ./internal/prove ./internal/report ./internal/sequencer ./internal/setup ./internal/stat ./internal/stateless

# The two run at the same time: e2e mostly waits for blocks.
test: tools check
	@$(MAKE) --no-print-directory -j2 test-race test-plain

test-race:
	$(GO) test -race -p 1 -count=1 -timeout 40m $$($(GO) list ./... | grep -vxF "$$($(GO) list $(PLAIN))")

test-plain:
	$(GO) test -count=1 -parallel 4 -timeout 40m $(PLAIN)

race: tools
	$(GO) test -race -count=1 -timeout 40m $(PLAIN)

# check is everything that needs no running program.
check:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# What the tests need beside Go: a C compiler for the race detector, ssh with its
# server and tmux for remote hosts, a browser for the pages, geth, and from npm
# anvil and the Solidity compiler.
tools: deps $(GETH) $(GETH_OLD) $(ANVIL) $(SOLC)

deps:
	@scripts/deps ssh=openssh-client /usr/sbin/sshd=openssh-server tmux=tmux gcc=gcc git=git chromium=chromium node=nodejs npm=npm


# The module is pinned; its binary is kept apart from the user's own. Two
# versions, to be compared with each other.
$(TOOLS)/geth-%:
	@mkdir -p $(TOOLS)/install/geth-$*
	GOBIN=$(TOOLS)/install/geth-$* $(GO) install github.com/ethereum/go-ethereum/cmd/geth@v$*
	@mv $(TOOLS)/install/geth-$*/geth $@

# The packages are pinned and kept apart from the user's own, too. That of anvil
# holds the program itself and is for Linux on amd64.
NPM_INSTALL := npm install --no-save --no-audit --no-fund --loglevel error --prefix

$(ANVIL):
	@mkdir -p $(TOOLS)/install
	$(NPM_INSTALL) $(TOOLS)/install/anvil @foundry-rs/anvil-linux-amd64@1.7.1
	@mv $(TOOLS)/install/anvil/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil $@

$(SOLC):
	@mkdir -p $(TOOLS)/install
	$(NPM_INSTALL) $(TOOLS)/install/solc solc@0.8.30
	@mv $(TOOLS)/install/solc $@

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
	$(GO) test -run '^$$' -bench . -skip long -cpu 1 ./internal/witness ./internal/stat
	$(GO) run ./bench/collector truth
	$(GO) run ./bench/collector large -verdict bin/verdict
	$(GO) run ./bench/traffic
	$(GO) run ./bench/compare -verdict bin/verdict
	$(GO) run ./bench/load
	$(GO) run ./bench/prover
	$(GO) run ./bench/proofs -verdict bin/verdict
	$(GO) run ./bench/replay -rounds 6
	$(GO) test -run '^$$' -bench Handout -benchtime 1x ./internal/sequencer

clean:
	rm -rf bin .verdict runs
