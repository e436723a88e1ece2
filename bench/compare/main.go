// Command compare measures verdict compare on two large logs of ethrex-replay,
// beside the shell pipeline that people use for the same figures. Both read
// the same files in the same run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	_ "embed"
)

//go:embed pipeline.sh
var pipeline string

// options are the flags.
type options struct {
	verdict  string
	dir      string
	lines    int
	rounds   int
	filtered bool
	seed     uint64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	var o options
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.StringVar(&o.verdict, "verdict", "", "the verdict program (default: built from this checkout)")
	flags.StringVar(&o.dir, "dir", "", "keep the logs in this directory, and use those that it has")
	flags.IntVar(&o.lines, "lines", 2_000_000, "lines of each log")
	flags.IntVar(&o.rounds, "rounds", 3, "runs of each program; the fastest counts")
	flags.BoolVar(&o.filtered, "filtered", false, "logs of timing lines alone: as many blocks as lines")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the logs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "bench-compare-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if o.dir == "" {
		o.dir = work
	}
	if o.verdict == "" {
		o.verdict = filepath.Join(work, "verdict")
		if _, err := child(ctx, work, "go", "build", "-o", o.verdict, "github.com/verdict-bench/verdict/cmd/verdict"); err != nil {
			return err
		}
	}
	logs, err := writeLogs(&o)
	if err != nil {
		return err
	}
	return race(ctx, out, &o, work, logs)
}

// race has both programs read both logs and prints what it took.
func race(ctx context.Context, out io.Writer, o *options, work string, logs [2]string) error {
	var ours, theirs []result
	for range o.rounds {
		for _, p := range []struct {
			into *[]result
			name string
			args []string
		}{
			{&ours, o.verdict, []string{"compare", "--json", logs[0], logs[1]}},
			{&theirs, "bash", []string{"-c", pipeline, "pipeline", logs[0], logs[1]}},
		} {
			r, err := child(ctx, work, p.name, p.args...)
			if err != nil {
				return err
			}
			*p.into = append(*p.into, r)
		}
	}
	fastest := func(a, b result) int { return int(a.took - b.took) }
	v, s := slices.MinFunc(ours, fastest), slices.MinFunc(theirs, fastest)
	var rss int64
	for _, r := range ours {
		rss = max(rss, r.rss)
	}
	shown, err := figures(v.out)
	if err != nil {
		return err
	}
	info, err := os.Stat(logs[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "two logs of %d lines (%d MB each), %d CPUs, %s; fastest of %d\n\n", o.lines, info.Size()/1e6, runtime.NumCPU(), runtime.Version(), o.rounds)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\tverdict compare\tshell pipeline\ttarget\t\n")
	fmt.Fprintf(table, "time\t%.2f s\t%.2f s\t< 10 s\t\n", v.took.Seconds(), s.took.Seconds())
	fmt.Fprintf(table, "ratio\t%.1f times faster\t\t>= 5\t\n", float64(s.took)/float64(v.took))
	fmt.Fprintf(table, "CPU time\t%.2f s\t%.2f s\t\t\n", v.cpu.Seconds(), s.cpu.Seconds())
	fmt.Fprintf(table, "peak resident\t%.0f MB\t%.0f MB (largest process)\t< 300 MB\t\n", float64(rss)/1e6, float64(s.rss)/1e6)
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nverdict compare:\n%s\nshell pipeline:\n%s", indent(shown), indent(s.out))
	return nil
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}

// figures are those of the JSON report that the pipeline has too, and the
// effect that it has not.
func figures(report string) (string, error) {
	type side struct{ Min, Mean, Median, Max float64 }
	var r struct {
		Verdict        string
		Pairs          int
		Effect         struct{ Ratio, Low, High float64 }
		Baseline, Test side
	}
	if err := json.Unmarshal([]byte(report), &r); err != nil {
		return "", fmt.Errorf("the report of verdict compare: %w", err)
	}
	var b strings.Builder
	for i, s := range []side{r.Baseline, r.Test} {
		fmt.Fprintf(&b, "%s: %d pairs, min %g ms, max %g ms, average %.1f ms, median %g ms\n",
			[2]string{"baseline", "test"}[i], r.Pairs, s.Min, s.Max, s.Mean, s.Median)
	}
	fmt.Fprintf(&b, "%s: ratio %.4f, interval %.4f to %.4f\n", r.Verdict, r.Effect.Ratio, r.Effect.Low, r.Effect.High)
	return b.String(), nil
}

// result is what one run of a program gave and took.
type result struct {
	out       string
	took, cpu time.Duration
	// rss is the largest resident size in bytes.
	rss int64
}

// child runs a program whose temporary files go to dir.
func child(ctx context.Context, dir, name string, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	start := time.Now()
	out, err := cmd.Output()
	took := time.Since(start)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return result{}, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, exit.Stderr)
	}
	if err != nil {
		return result{}, err
	}
	r := result{out: string(out), took: took, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.rss = usage.Maxrss * 1024 // Linux counts in kilobytes
	}
	return r, nil
}
