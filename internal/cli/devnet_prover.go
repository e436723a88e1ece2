package cli

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/prover"
	"github.com/verdict-bench/verdict/internal/tracelog"
)

// execProverOptions are the flags of verdict devnet prover.
type execProverOptions struct {
	coordinators []string
	backend      string
	provingTime  uint32
	timed        bool
	level        string
	commit       string
}

// proverVariables are the environment variables of the flags, those of ethrex.
func proverVariables() map[string]string {
	return map[string]string{
		"proof-coordinators": "PROVER_CLIENT_PROOF_COORDINATOR_URL",
		"backend":            "PROVER_CLIENT_BACKEND",
		"proving-time":       "PROVER_CLIENT_PROVING_TIME",
		"timed":              "PROVER_CLIENT_TIMED",
	}
}

// newDevnetProver is the command verdict devnet prover.
func newDevnetProver(w World) *cobra.Command {
	var o execProverOptions
	cmd := &cobra.Command{
		Use:   "prover --proof-coordinators URL...",
		Short: "Run the built-in exec prover of a rollup",
		Long: `Prover asks proof coordinators for batches, re-executes their blocks statelessly
from the input alone, and submits the public output. It makes no cryptographic
proof: what it shows is that the input is complete and the blocks are valid.

Flags, environment variables, protocol and log are those of ethrex's prover. The
log goes to standard output. With --timed each batch has a line

  Proved batch 3 in 312.46ms batch=3 proving_time_s=0 proving_time_ms=312

whose time is that of the execution alone: receiving and decoding the input and
submitting the proof are not in it.

It runs until it is interrupted, with exit status 0; a coordinator that does not
answer, or an input that is wrong, is an error in the log, and it goes on. Exit
status 2 is bad usage.`,
		Example: `  # beside verdict devnet l2
  verdict devnet prover --proof-coordinators tcp://127.0.0.1:3900 --timed

  # asking every 200 ms
  verdict devnet prover --proof-coordinators tcp://127.0.0.1:3900 --proving-time 200 --timed`,
		// Like ethrex's, the flag takes several values, of which all but the
		// first are arguments here.
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fromEnvironment(w, cmd, proverVariables()); err != nil {
				return err
			}
			return runDevnetProver(cmd.Context(), w, o, args)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.coordinators, "proof-coordinators", nil, "`URL`s of the coordinators, which are asked in turn")
	f.StringVar(&o.backend, "backend", "exec", "`backend`; only exec is built in")
	f.Uint32Var(&o.provingTime, "proving-time", 5000, "pause between two rounds of questions in `milliseconds`")
	f.BoolVar(&o.timed, "timed", false, "log how long each batch took")
	f.StringVar(&o.level, "log.level", "INFO", "the least serious `level` to log: error, warn, info, debug or trace")
	f.StringVar(&o.commit, "commit", "", "`commit` hash to claim, 40 hex digits (default: that of this build); a coordinator of another one hands out nothing")
	return cmd
}

func runDevnetProver(ctx context.Context, w World, o execProverOptions, more []string) error {
	const help = "verdict devnet prover --help"
	if w.Getenv("GOGC") == "" {
		debug.SetGCPercent(prover.GCPercent)
	}
	if w.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(prover.MemoryLimit)
	}
	switch {
	case len(o.coordinators) == 0 && len(more) > 0:
		return fault.Newf(fault.Usage, "unknown argument %q", more[0]).Hint(help)
	case len(o.coordinators) == 0:
		return fault.Newf(fault.Usage, "missing: --proof-coordinators (PROVER_CLIENT_PROOF_COORDINATOR_URL)").
			Hint("verdict devnet prover --proof-coordinators tcp://127.0.0.1:3900")
	case o.backend != "exec":
		return fault.Newf(fault.Usage, "--backend %q: only exec is built in", o.backend).Hint(help)
	}
	level, err := tracelog.ParseLevel(o.level)
	if err != nil {
		return fault.Newf(fault.Usage, "--log.level: %w", err).Hint(help)
	}
	if o.commit == "" {
		if o.commit, err = batch.BuildCommit(); err != nil {
			return err
		}
	}
	p, err := prover.New(prover.Options{
		Coordinators: append(o.coordinators, more...),
		Commit:       o.commit,
		Interval:     time.Duration(o.provingTime) * time.Millisecond,
		Timed:        o.timed,
		Log:          tracelog.New(w.Stdout, level, "verdict::prover"),
	})
	if err != nil {
		return fault.Newf(fault.Usage, "%w", err).Hint(help)
	}
	if err := p.Run(ctx); !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	return errStopped
}
