// Command verdicts counts how often the whole program is right: it runs
// verdict witness many times against two servers whose delays are known, with
// the same delays on both sides, with an effect on the test side, and with the
// servers exchanged. Its subcommand local does the first on the built-in node.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const usage = `usage:
  verdicts [flags] [-- flags of verdict witness]         two servers with known delays
  verdicts local [flags] [-- flags of verdict witness]   the built-in node against itself
  verdicts -h, verdicts local -h                         the flags`

// interrupted is the exit status after an interrupt.
const interrupted = 130

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "verdicts: interrupted")
		os.Exit(interrupted)
	}
	fmt.Fprintln(os.Stderr, "verdicts:", err)
	os.Exit(1)
}

// options are what the flags say. Effects are fractions: 0.05 is +5 %.
type options struct {
	local          bool
	verdict, out   string
	runs, swaps    int
	blocks, warmUp int
	effect, offset float64
	base           time.Duration
	seed           uint64
	parallel       int
	gas            uint64
	json           bool
	// extra are flags for verdict witness.
	extra []string
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{parallel: 1}
	if len(args) > 0 && args[0] == "local" {
		o.local, args = true, args[1:]
	}
	f := flag.NewFlagSet("verdicts", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintln(stderr, usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.verdict, "verdict", "", "the verdict `program` (default: built from this checkout)")
	f.StringVar(&o.out, "out", "", "keep the run directories in `DIR`")
	f.BoolVar(&o.json, "json", false, "print one JSON object instead of the tables")
	f.IntVar(&o.runs, "runs", 20, "runs of each kind")
	f.IntVar(&o.blocks, "blocks", 200, "blocks to measure in each run")
	f.IntVar(&o.warmUp, "warmup", 10, "blocks before them, not analyzed")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the delays and of the runs")
	percent := map[string]*float64{}
	if o.local {
		f.Uint64Var(&o.gas, "gas", 0, "gas of each block; 0 is the program's own default")
	} else {
		percent["effect"] = f.Float64("effect", 5, "what the test side takes longer in the second kind of runs, in percent")
		percent["host"] = f.Float64("host", 10, "what the second host takes longer in the runs with exchanged hosts, in percent")
		f.IntVar(&o.swaps, "swaps", 10, "sets of four sessions with exchanged hosts; 0 for none")
		f.DurationVar(&o.base, "base", 20*time.Millisecond, "median of the delays")
		f.IntVar(&o.parallel, "parallel", 1, "runs at the same time; more than one disturb each other")
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.extra = f.Args()
	if !o.local {
		o.effect, o.offset = *percent["effect"]/100, *percent["host"]/100
	}
	return o, o.validate()
}

func (o *options) validate() error {
	switch {
	case o.runs < 0 || o.swaps < 0 || o.runs+o.swaps == 0:
		return errors.New("there is nothing to run: -runs and -swaps are the numbers of runs")
	case o.blocks < sessions || o.warmUp < 0 || o.parallel < 1:
		return fmt.Errorf("-blocks must be at least %d, -warmup at least 0 and -parallel at least 1", sessions)
	case !o.local && (o.effect == 0 || o.effect <= -1 || o.offset <= -1):
		return errors.New("-effect must be above -100 and not 0, -host above -100")
	case !o.local && (o.base < time.Millisecond || o.base > time.Second):
		return errors.New("-base must lie between 1ms and 1s")
	}
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "verdicts-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	p := program{path: o.verdict, dir: temp, seed: o.seed, extra: o.extra}
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return err
		}
		p.dir = o.out
	}
	if p.path == "" {
		fmt.Fprintln(stderr, "building verdict")
		if p.path, err = build(ctx, temp); err != nil {
			return err
		}
	}
	if p.path, err = filepath.Abs(p.path); err != nil {
		return err
	}
	r := newResult(o)
	err = r.runAll(ctx, &p, stderr)
	if len(r.trials) == 0 {
		return err
	}
	// What is done is worth printing, also after a failure.
	r.conclude()
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return errors.Join(err, enc.Encode(r))
	}
	return errors.Join(err, r.print(stdout))
}
