// Command prover measures what the exec prover costs beside the execution that
// it consists of: the proving time that it logs for a batch, against a direct
// stateless execution of the same blocks in this process, in turns.
// docs/performance.md has what it gave.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"

	"github.com/verdict-bench/verdict/internal/prover"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/tracelog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "prover:", err)
		os.Exit(1)
	}
}

// commit is the build that both sides claim here.
const commit = "0000000000000000000000000000000000000000"

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("prover", flag.ContinueOnError)
	blocks := flags.Int("blocks", 8, "blocks in the batch")
	gas := flags.Uint64("gas", 20_000_000, "gas in each block")
	rounds := flags.Int("rounds", 15, "executions of each kind")
	pad := flags.Int("pad", 0, "bytes of codes to add to the witness that nothing needs, to measure memory")
	serve := flags.String("prove", "", "be the prover of the coordinator at this address (used by the program itself)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *serve != "" {
		return prove(ctx, *serve, out)
	}
	if *blocks < 1 || *gas < 1_000_000 || *rounds < 1 || *pad < 0 {
		return errors.New("want at least one block of 1,000,000 gas and one round")
	}
	return measure(ctx, out, *blocks, *gas, *rounds, *pad)
}

// prove is the prover, in a process of its own as it is in use.
func prove(ctx context.Context, coordinator string, out io.Writer) error {
	debug.SetGCPercent(prover.GCPercent)
	debug.SetMemoryLimit(prover.MemoryLimit)
	p, err := prover.New(prover.Options{
		Coordinators: []string{coordinator}, Commit: commit, Interval: pollEvery, Timed: true,
		Log: tracelog.New(out, slog.LevelInfo, ""),
	})
	if err != nil {
		return err
	}
	if err := p.Run(ctx); !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	return nil
}

// pollEvery is how often the prover asks: seldom enough to leave the direct
// execution alone.
const pollEvery = 50 * time.Millisecond

// measure runs the three kinds of execution in turns.
func measure(ctx context.Context, out io.Writer, blocks int, gas uint64, rounds, pad int) error {
	c, err := makeChain(blocks, gas)
	if err != nil {
		return err
	}
	s, err := startProver(ctx, c, pad)
	if err != nil {
		return err
	}
	kinds := []struct {
		name  string
		once  func() (time.Duration, error)
		times []time.Duration
	}{
		{name: "exec prover, as it logs", once: func() (time.Duration, error) { return s.once(ctx) }},
		{name: "direct, verdict's strict execution", once: c.direct},
		{name: "direct, core.ExecuteStateless", once: func() (time.Duration, error) { return c.reference(ctx) }},
	}
	for round := range rounds + 1 {
		for i := range kinds {
			k := &kinds[(i+round)%len(kinds)]
			took, err := k.once()
			if err != nil {
				return errors.Join(fmt.Errorf("%s: %w", k.name, err), s.stop())
			}
			if round > 0 { // the first is to warm up
				k.times = append(k.times, took)
			}
		}
	}
	if err := s.stop(); err != nil {
		return err
	}
	fmt.Fprintf(out, "a batch of %d blocks, %.1f Mgas, input %.1f MB as JSON; %d rounds\n\n", blocks, float64(c.gas)/1e6, float64(s.size)/1e6, rounds)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "per batch\tmedian\tmin\tmax\tof the prover's\t")
	slices.Sort(kinds[0].times)
	for _, k := range kinds {
		slices.Sort(k.times)
		fmt.Fprintf(table, "%s\t%.0f ms\t%.0f ms\t%.0f ms\t%.3f\t\n", k.name, ms(median(k.times)), ms(k.times[0]),
			ms(k.times[len(k.times)-1]), ms(median(kinds[0].times))/ms(median(k.times)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nprover's resident memory, at most: %.0f MB\n", float64(s.resident)/1e6)
	return err
}

// direct executes the blocks in this process, each with its own witness.
func (c *chain) direct() (time.Duration, error) {
	blocks, err := c.fresh()
	if err != nil {
		return 0, err
	}
	runtime.GC()
	start := time.Now()
	for i, block := range blocks {
		if _, err := stateless.Verify(c.config, block, c.witnesses[i]); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// reference executes the blocks with go-ethereum's own stateless execution,
// which checks less.
func (c *chain) reference(ctx context.Context) (time.Duration, error) {
	blocks, err := c.fresh()
	if err != nil {
		return 0, err
	}
	open := make([]*types.Block, len(blocks))
	for i, block := range blocks {
		header := types.CopyHeader(block.Header())
		header.Root, header.ReceiptHash = common.Hash{}, common.Hash{}
		open[i] = types.NewBlockWithHeader(header).WithBody(*block.Body())
	}
	runtime.GC()
	start := time.Now()
	for i, block := range open {
		root, receipts, err := core.ExecuteStateless(ctx, c.config, vm.Config{}, block, c.stock[i])
		if err != nil {
			return 0, err
		}
		if root != blocks[i].Root() || receipts != blocks[i].ReceiptHash() {
			return 0, fmt.Errorf("block %d: state root %s and receipts root %s instead of the header's", block.NumberU64(), root, receipts)
		}
	}
	return time.Since(start), nil
}

// median is the middle of sorted, or the mean of the two in the middle.
func median(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
