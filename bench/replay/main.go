// Command replay counts how often verdict prover replay is right. It records
// batches of the local chain, and has the built-in prover prove them in many
// replays: against itself, and against a build of it that is slower by a known
// share. docs/performance.md has what it gave.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	// same and slowed are the numbers of tries of each kind, with sameBatches
	// and slowedBatches batches each.
	same, sameBatches, slowed, slowedBatches int
	// effect is by how much the slower build is slower, as a fraction.
	effect float64
	// blocks of gas each make a batch.
	blocks int
	gas    uint64
	seed   uint64
	poll   string
	// rounds is how often each side proves a batch.
	rounds int
	// recording is where the recording is, made when missing; empty for one
	// that is removed at the end.
	recording string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("replay", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.same, "aa", 5, "replays of a build against itself")
	f.IntVar(&o.sameBatches, "aa-batches", 50, "batches in each of them")
	f.IntVar(&o.slowed, "runs", 20, "replays against the slower build")
	f.IntVar(&o.slowedBatches, "batches", 20, "batches in each of them")
	percent := f.Float64("effect", 5, "by how much the slower build is slower, in percent")
	f.IntVar(&o.rounds, "rounds", 1, "how often each side proves a batch")
	f.IntVar(&o.blocks, "blocks", 2, "blocks in a batch")
	f.Uint64Var(&o.gas, "gas", 7_000_000, "gas of a block")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the load and of the replays")
	f.StringVar(&o.poll, "poll", "20ms", "pause of an idle prover between two questions for work")
	f.StringVar(&o.recording, "recording", "", "keep the recording in `DIR`, or use the one that is there")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.effect = *percent / 100
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q?", f.Arg(0))
	case o.same < 0 || o.slowed < 0 || o.same+o.slowed == 0:
		return o, errors.New("there is nothing to run")
	case o.sameBatches < 6 || o.slowedBatches < 6 || o.blocks < 1 || o.gas < 1_000_000:
		return o, errors.New("want at least 6 batches of a block of 1,000,000 gas")
	case !(o.effect > 0 && o.effect <= 10):
		return o, errors.New("-effect must be above 0 and at most 1000")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "bench-replay-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	plain, slow := filepath.Join(temp, "verdict"), filepath.Join(temp, "slow", "verdict")
	fmt.Fprintln(stderr, "building verdict, and a slower one")
	if err := build(ctx, plain, ""); err != nil {
		return err
	}
	const variable = "github.com/verdict-bench/verdict/internal/prover.slowdown="
	if err := build(ctx, slow, "-X "+variable+strconv.FormatFloat(o.effect, 'g', -1, 64)); err != nil {
		return err
	}
	if o.recording == "" {
		o.recording = filepath.Join(temp, "recording")
	}
	if _, err := os.Stat(o.recording); errors.Is(err, fs.ErrNotExist) {
		if err := record(ctx, o, o.recording, stderr); err != nil {
			return err
		}
	}
	p := program{path: plain, slow: slow, dir: temp, options: o}
	trials, err := p.runAll(ctx, stderr)
	return errors.Join(err, summarize(stdout, o, trials))
}

// build makes verdict, with flags for the linker.
func build(ctx context.Context, path, flags string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", flags, "-o", path, "github.com/verdict-bench/verdict/cmd/verdict")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building verdict: %w\n%s", err, out)
	}
	return nil
}
