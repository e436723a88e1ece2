package cli

import (
	"crypto/rand"
	"encoding/binary"
	"strings"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/spec"
)

func newWitness(w World) *cobra.Command {
	var o witnessOptions
	cmd := &cobra.Command{
		Use:   "witness",
		Short: "A/B benchmark of debug_executionWitness",
		Long: `Measures debug_executionWitness on two sides, block by block, and ends in a
verdict with an interval.

--local starts the built-in node twice, as separate processes, drives both with
the same blocks, and compares how they make witnesses. --baseline-rpc and
--test-rpc measure two servers that already run and follow the same chain;
nothing is started, and any execution client will do.

Both sides are asked for the witness of the same block one after the other, in
random order. The answers must agree, and every witness is proved complete by
re-executing its block, or the result is invalid.

The report goes to stdout, progress to stderr, everything to the run directory.

Exit status: 0 done, whatever the verdict; 1 the run failed; 2 bad usage; 3 the
verdict is "regresses" and --fail-on-regression was given; 4 a server or port
is not available; 5 the verdict is "invalid"; 130 interrupted.`,
		Example: `  # on-demand witnesses against precomputed ones, 200 blocks, about a minute
  verdict witness --local

  # the same build on both sides: the noise of this machine
  verdict witness --local --baseline-witness serialized --test-witness serialized

  # the noise floor of this machine first, then stop as soon as it is decided
  verdict witness --local --aa 100 --blocks 400 --stop auto

  # two servers that already run, machine-readable
  verdict witness --baseline-rpc http://127.0.0.1:8545 --test-rpc http://127.0.0.1:9545 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.seedGiven = cmd.Flags().Changed("seed")
			o.flags = cmd
			return runWitness(cmd.Context(), w, &o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

// witnessOptions are the flags of verdict witness.
type witnessOptions struct {
	local            bool
	spec             spec.Witness
	baseline, test   string
	marginPercent    float64
	stop, load       string
	seedGiven        bool
	flags            *cobra.Command
	out              string
	json             bool
	dryRun           bool
	failOnRegression bool
}

func (o *witnessOptions) addFlags(cmd *cobra.Command) {
	d := spec.Defaults(spec.Local)
	o.spec = d
	var loads []string
	for _, l := range spec.Loads {
		loads = append(loads, string(l))
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.local, "local", false, "run the built-in node on both sides, on this machine")
	f.StringVar(&o.baseline, "baseline-witness", string(d.Baseline.Witness), "how the local baseline node makes witnesses: on-demand, generated or serialized")
	f.StringVar(&o.test, "test-witness", string(d.Test.Witness), "how the local test node makes witnesses")
	f.StringVar(&o.load, "load", string(d.Load), "what local transactions do: "+strings.Join(loads, ", "))
	f.Uint64Var(&o.spec.GasPerBlock, "gas", d.GasPerBlock, "gas that each local block is filled with (30000000 for witness-heavy)")
	f.StringVar(&o.spec.Baseline.RPC, "baseline-rpc", "", "`URL` of a baseline server that already runs")
	f.StringVar(&o.spec.Test.RPC, "test-rpc", "", "`URL` of a test server that already runs")
	f.StringVar(&o.spec.Genesis, "genesis", "", "genesis `FILE` of a chain that is not built in, to verify its witnesses")
	f.IntVar(&o.spec.Blocks, "blocks", d.Blocks, "blocks to measure")
	f.IntVar(&o.spec.WarmUp, "warmup", d.WarmUp, "blocks to measure before them, recorded and not analyzed")
	f.StringVar(&o.stop, "stop", string(d.Stop), "when to end: planned (exactly --blocks) or auto (as soon as the confidence sequence decides, at --blocks at the latest)")
	f.IntVar(&o.spec.Control, "aa", 0, "first measure the baseline against itself on `N` blocks: the noise floor of this setup (100 or more)")
	f.Float64Var(&o.marginPercent, "margin", 100*d.Margin, "practical margin in percent: smaller effects do not matter; not given, an A/A control widens it to twice its noise floor")
	f.Uint64Var(&o.spec.Seed, "seed", 0, "seed of the order within pairs and of the load (default: random, recorded)")
	f.IntVar(&o.spec.VerifyEvery, "verify-every", d.VerifyEvery, "prove each N-th witness complete; 0 proves none")
	f.DurationVar(&o.spec.Timeout, "timeout", d.Timeout, "time limit of one measured request")
	f.DurationVar(&o.spec.Settle, "settle", d.Settle, "wait after a new block is seen before it is measured (0s for servers that already run)")
	f.DurationVar(&o.spec.Patience, "patience", d.Patience, "how long to wait for a side that fails or stands still")
	f.BoolVar(&o.spec.Gzip, "gzip", false, "ask the servers for compressed answers")
	f.StringVar(&o.out, "out", "", "run `DIR`ectory, which must not exist (default: runs/TIME-witness-NETWORK)")
	f.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan and do nothing")
	f.BoolVar(&o.failOnRegression, "fail-on-regression", false, "exit with status 3 when the verdict is \"regresses\"")
	modes := []string{string(spec.OnDemand), string(spec.Generated), string(spec.Serialized)}
	cmd.RegisterFlagCompletionFunc("load", cobra.FixedCompletions(loads, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("stop", cobra.FixedCompletions([]string{string(spec.AtPlanned), string(spec.Auto)}, cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"baseline-witness", "test-witness"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(modes, cobra.ShellCompDirectiveNoFileComp))
	}
}

// resolve makes the complete spec, or one error that names all that is wrong.
func (o *witnessOptions) resolve() (spec.Witness, error) {
	s := o.spec
	attached := s.Baseline.RPC != "" || s.Test.RPC != ""
	switch {
	case o.local && attached:
		return s, fault.Newf(fault.Usage, "--local starts its own servers: it excludes --baseline-rpc and --test-rpc")
	case attached:
		s.Place = spec.Attached
		s.Load, s.GasPerBlock = "", 0
		if !o.flags.Flags().Changed("settle") {
			s.Settle = spec.Defaults(spec.Attached).Settle
		}
		s.Baseline.Witness, s.Test.Witness = "", ""
		if err := o.refuse("baseline-witness", "test-witness", "load", "gas"); err != nil {
			return s, err
		}
	case o.local:
		s.Place, s.Load = spec.Local, spec.Load(o.load)
		if !o.flags.Flags().Changed("gas") {
			s.GasPerBlock = s.Load.DefaultGas()
		}
		s.Baseline.Witness, s.Test.Witness = spec.WitnessMode(o.baseline), spec.WitnessMode(o.test)
		if err := o.refuse("genesis"); err != nil {
			return s, err
		}
	default:
		return s, fault.Newf(fault.Usage, "nothing to compare: give --local, or --baseline-rpc and --test-rpc").
			Hint("verdict witness --local")
	}
	s.Margin = o.marginPercent / 100
	s.MarginFromControl = s.Control > 0 && !o.flags.Flags().Changed("margin")
	s.Stop = spec.Stop(o.stop)
	if !o.seedGiven {
		s.Seed = randomSeed()
	}
	return s, s.Validate()
}

// refuse names flags that have no meaning in this place.
func (o *witnessOptions) refuse(names ...string) error {
	for _, name := range names {
		if o.flags.Flags().Changed(name) {
			where := "with --local only"
			if o.local {
				where = "with --baseline-rpc and --test-rpc only"
			}
			return fault.Newf(fault.Usage, "--%s has a meaning %s", name, where)
		}
	}
	return nil
}

// randomSeed is small enough to be typed again.
func randomSeed() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) % 1_000_000_000
}
