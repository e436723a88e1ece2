package cli

import (
	"context"
	"errors"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/witness"
)

func newCheck(w World) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Is this witness complete?",
		Long: `Proves that execution witnesses are complete, each by re-executing its block
from the witness alone and comparing the outcome with the block's header. What
is missing is named.

A witness and its block come from a server (--rpc), or from files, plain or
gzip:

  - a cache file of ethrex-replay, which holds both;
  - an answer to eth_getBlockByNumber with full transactions and one to
    debug_executionWitness: two files, told apart by what is in them. Of several
    blocks and witnesses the first block goes with the first witness, and so on.

The chain is taken from the server, the cache file or the transactions; where
none of them says it, or it is not built in, give --chain or --genesis.

Exit status: 0 all witnesses are complete; 1 the check failed; 2 bad usage or a
file that is none of the above; 4 the server cannot be reached or lacks the
method; 5 a witness is not complete; 130 interrupted.`,
		Example: `  # the newest block of a server
  verdict check --rpc http://127.0.0.1:8545

  # two answers that were saved with curl
  verdict check block.json witness.json.gz

  # what ethrex-replay left behind, machine-readable
  verdict check replay_cache/cache_hoodi_1265656.json --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			o.blockGiven = cmd.Flags().Changed("block")
			return runCheck(cmd.Context(), w, &o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.rpc, "rpc", "", "`URL` of a server to ask for block and witness")
	f.StringVar(&o.block, "block", "latest", "block to ask it for: number, 0x-hex number, tag or hash")
	f.StringVar(&o.chain, "chain", "", "chain by `NAME` or number: mainnet, sepolia, hoodi or local")
	f.StringVar(&o.genesis, "genesis", "", "genesis `FILE` of a chain that is not built in")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "time limit of one request")
	f.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	return cmd
}

// checkOptions are the flags and arguments of verdict check.
type checkOptions struct {
	rpc, block, chain, genesis string
	blockGiven                 bool
	timeout                    time.Duration
	json                       bool
	files                      []string
}

// checkSubject is a block with the witness that is to be checked.
type checkSubject struct {
	// source says where it comes from: files or a server.
	source string
	block  *types.Block
	// witness is nil when what was served is none; then problem says why.
	witness *witness.Witness
	problem error
	cfg     *params.ChainConfig
}

// checkOutcome is what a check found.
type checkOutcome struct {
	checkSubject
	summary witness.Summary
	result  stateless.Result
	// err is nil when the witness is complete.
	err error
}

// runCheck checks every witness and prints what it found, also when some of
// them turn out bad.
func runCheck(ctx context.Context, w World, o *checkOptions) error {
	subjects, err := o.subjects(ctx)
	if err != nil {
		return err
	}
	outcomes := make([]checkOutcome, 0, len(subjects))
	for _, s := range subjects {
		if err := ctx.Err(); err != nil {
			return err
		}
		outcomes = append(outcomes, check(s))
	}
	if o.json {
		err = printChecksJSON(w.Stdout, outcomes)
	} else {
		err = printChecks(w.Stdout, outcomes)
	}
	if err != nil {
		return err
	}
	return judge(outcomes)
}

// subjects finds what the flags and arguments ask for.
func (o *checkOptions) subjects(ctx context.Context) ([]checkSubject, error) {
	switch {
	case o.rpc == "" && len(o.files) == 0:
		return nil, fault.Newf(fault.Usage, "nothing to check: give files or --rpc").
			Hint("verdict check --rpc http://127.0.0.1:8545 --block latest").
			Hint("verdict check block.json witness.json")
	case o.rpc != "" && len(o.files) > 0:
		return nil, fault.Newf(fault.Usage, "--rpc and files exclude each other")
	case o.rpc == "" && o.blockGiven:
		return nil, fault.Newf(fault.Usage, "--block has a meaning with --rpc only")
	case o.chain != "" && o.genesis != "":
		return nil, fault.Newf(fault.Usage, "--chain and --genesis exclude each other")
	case o.timeout <= 0:
		return nil, fault.Newf(fault.Usage, "--timeout must be positive, have %s", o.timeout)
	}
	chain, err := o.config()
	if err != nil {
		return nil, err
	}
	if o.rpc != "" {
		s, err := o.served(ctx, chain)
		return []checkSubject{s}, err
	}
	return readSubjects(o.files, chain)
}

// config is the chain configuration that the flags name, nil for none.
func (o *checkOptions) config() (*params.ChainConfig, error) {
	switch {
	case o.genesis != "":
		return stateless.ConfigFromGenesis(o.genesis)
	case o.chain != "":
		return stateless.NamedConfig(o.chain)
	}
	return nil, nil
}

// repeats is how often a witness is verified. Once would prove it, but the
// first time in a process is up to three times as slow as the next, and the
// speed is printed: the fastest is.
const repeats = 3

func check(s checkSubject) checkOutcome {
	out := checkOutcome{checkSubject: s, err: s.problem}
	if s.witness == nil {
		return out
	}
	out.summary = s.witness.Summary()
	for range repeats {
		result, err := stateless.Verify(s.cfg, s.block, s.witness)
		if err != nil {
			out.err = err
			return out
		}
		if out.result.Duration == 0 || result.Duration < out.result.Duration {
			out.result = result
		}
	}
	return out
}

// judge makes the exit status of all outcomes. A witness that is not complete
// outweighs a block of which nothing can be said.
func judge(outcomes []checkOutcome) error {
	bad, unusable := 0, 0
	for _, out := range outcomes {
		var block *stateless.BlockError
		switch {
		case errors.As(out.err, &block):
			unusable++
		case out.err != nil:
			bad++
		}
	}
	n := len(outcomes)
	switch {
	case bad > 0 && n == 1:
		return fault.Newf(fault.Invalid, "the witness is not complete")
	case bad > 0:
		return fault.Newf(fault.Invalid, "%d of %d witnesses are not complete", bad, n)
	case unusable > 0:
		return fault.Newf(fault.Usage, "%d of %d blocks cannot be re-executed", unusable, n).
			Hint("check that file and chain fit: --chain NAME, or --genesis FILE")
	}
	return nil
}

// label says in a word how the check ended.
func (o *checkOutcome) label() string {
	var block *stateless.BlockError
	switch {
	case o.err == nil:
		return "complete"
	case errors.As(o.err, &block):
		return "NOT CHECKED"
	}
	return "NOT COMPLETE"
}
