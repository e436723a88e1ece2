package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// program is the program whose verdicts are counted.
type program struct {
	// path is verdict, slow the slower build of it.
	path, slow string
	dir        string
	options
}

// trial is one replay.
type trial struct {
	slowed  bool
	outcome string
	// ratio of test to baseline, 0 for none, low and high its interval.
	ratio, low, high float64
	took             time.Duration
}

// invalidStatus is how the program exits with a result that is invalid.
const invalidStatus = 5

// runAll makes the trials, the two kinds in turns, and stops at the first that
// fails.
func (p *program) runAll(ctx context.Context, progress io.Writer) ([]trial, error) {
	var out []trial
	for i := range max(p.same, p.slowed) {
		for _, slowed := range []bool{false, true} {
			if slowed && i >= p.slowed || !slowed && i >= p.same {
				continue
			}
			t, err := p.replay(ctx, i, slowed)
			if err != nil {
				return out, err
			}
			out = append(out, t)
			fmt.Fprintf(progress, "%s: %s, %.4f [%.4f, %.4f], %.0f s\n", name(slowed, i), t.outcome, t.ratio, t.low, t.high, t.took.Seconds())
		}
	}
	return out, nil
}

func name(slowed bool, i int) string {
	if slowed {
		return fmt.Sprintf("slowed-%02d", i+1)
	}
	return fmt.Sprintf("aa-%02d", i+1)
}

// replay runs verdict prover replay once. The order within the pairs is another
// one each time.
func (p *program) replay(ctx context.Context, i int, slowed bool) (trial, error) {
	t := trial{slowed: slowed}
	batches, test := p.sameBatches, []string{"--aa"}
	if slowed {
		batches, test = p.slowedBatches, []string{"--test", p.slow}
	}
	dir := filepath.Join(p.dir, name(slowed, i))
	args := append([]string{"prover", "replay", p.recording, "--program", "verdict", "--baseline", p.path, "--json",
		"--out", dir, "--batches", strconv.Itoa(batches), "--poll", p.poll, "--rounds", strconv.Itoa(p.rounds),
		"--seed", strconv.FormatUint(p.seed*1000+uint64(i), 10)}, test...)
	cmd := exec.CommandContext(ctx, p.path, args...)
	// An interrupt at the terminal reaches this program, which passes it on
	// once: a second one would end verdict before it has cleaned up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	t.took = time.Since(start)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != invalidStatus) {
		return t, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	var r struct {
		Outcome string `json:"outcome"`
		Effect  struct{ Ratio, Low, High *float64 }
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return t, fmt.Errorf("the report: %w", err)
	}
	t.outcome = r.Outcome
	for _, v := range []struct {
		to   *float64
		from *float64
	}{{&t.ratio, r.Effect.Ratio}, {&t.low, r.Effect.Low}, {&t.high, r.Effect.High}} {
		if v.from != nil {
			*v.to = *v.from
		}
	}
	return t, os.RemoveAll(dir)
}

// outcomes are those of a replay, in the order of the table.
var outcomes = []string{"improves", "regresses", "no effect", "inconclusive", "invalid"}

// summarize prints how often each outcome came.
func summarize(w io.Writer, o options, trials []trial) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "test build\tbatches\treplays\t"+strings.Join(outcomes, "\t")+"\tmedian ratio\tmedian half-width")
	for _, slowed := range []bool{false, true} {
		label, batches := "the same", o.sameBatches
		if slowed {
			label, batches = fmt.Sprintf("%g %% slower", 100*o.effect), o.slowedBatches
		}
		counts := make(map[string]int)
		var ratios, widths []float64
		for _, t := range trials {
			if t.slowed != slowed {
				continue
			}
			counts[t.outcome]++
			ratios = append(ratios, t.ratio)
			widths = append(widths, 50*(math.Log(t.high)-math.Log(t.low)))
		}
		if len(ratios) == 0 {
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%d", label, batches, len(ratios))
		for _, outcome := range outcomes {
			fmt.Fprintf(table, "\t%d", counts[outcome])
		}
		fmt.Fprintf(table, "\t%.4f\t%.2g %%\n", median(ratios), median(widths))
	}
	return table.Flush()
}

// median is the middle value of some.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
