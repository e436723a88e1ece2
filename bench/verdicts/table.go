package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// The targets of the method, for 20 runs of 200 blocks.
const (
	targetSame   = "at most 3 of 20"
	targetEffect = "at least 18 of 20"
)

// print writes the tables.
func (r *result) print(out io.Writer) error {
	var b strings.Builder
	r.printHead(&b)
	r.printCounts(&b)
	r.printEstimates(&b)
	r.printSwap(&b)
	r.printDelays(&b)
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s\n", w)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *result) printHead(b *strings.Builder) {
	o := r.options
	what := "on two servers with known delays"
	if o.local {
		what = "on the built-in node, the same build on both sides"
	}
	fmt.Fprintf(b, "Verdicts of the whole program %s\n\n", what)
	fmt.Fprintf(b, "machine  %s\n", r.Machine)
	fmt.Fprintf(b, "load     %.2f before, %.2f after, %d at a time, %s from %s\n", r.Load[0], r.Load[1], o.parallel,
		time.Duration(r.Seconds*float64(time.Second)).Round(time.Second), r.Began.UTC().Format("2006-01-02 15:04:05 UTC"))
	fmt.Fprintf(b, "program  verdict %s\n", r.Program)
	fmt.Fprintf(b, "runs     %d blocks after %d of warm-up, seed %d\n", o.blocks, o.warmUp, o.seed)
	if o.gas > 0 {
		fmt.Fprintf(b, "gas      %d in each block\n", o.gas)
	}
	if len(o.extra) > 0 {
		fmt.Fprintf(b, "flags    %s\n", strings.Join(o.extra, " "))
	}
	if !o.local {
		fmt.Fprintf(b, "delays   median %v; log sd %g between blocks and %g within; %g %% stalls\n", o.base, spread, jitter, 100*stalls)
	}
}

// table starts a table with its column heads.
func table(b *strings.Builder, heads ...string) *tabwriter.Writer {
	b.WriteByte('\n')
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row(t, heads...)
	return t
}

func row(t *tabwriter.Writer, cells ...string) {
	fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
}

func (r *result) printCounts(b *strings.Builder) {
	if len(r.Series) == 0 {
		return
	}
	t := table(b, append([]string{"", "runs"}, outcomes...)...)
	for _, s := range r.Series {
		cells := []string{s.Kind, fmt.Sprint(s.Runs)}
		for _, o := range outcomes {
			cells = append(cells, fmt.Sprint(s.Count[o]))
		}
		row(t, cells...)
	}
	t.Flush()
	b.WriteByte('\n')
	for i, s := range r.Series {
		target := targetSame
		if i > 0 {
			target = targetEffect
		}
		fmt.Fprintf(b, "%s: %s %d of %d (target: %s)\n", s.Kind, s.Target, s.Hits, s.Runs, target)
	}
}

func (r *result) printEstimates(b *strings.Builder) {
	if len(r.Series) == 0 {
		return
	}
	t := table(b, "test / baseline", "true", "drawn", "off by", "mean estimate", "sd", "half width", "intervals that hold true", "level")
	for _, s := range r.Series {
		drawn, off := "--", "--"
		if s.Drawn > 0 {
			drawn, off = ratio(s.Drawn), percent(s.Off)
		}
		row(t, s.Kind, ratio(s.True), drawn, off, ratio(s.Mean), s.sd(), percent(s.HalfWidth), s.coverage(),
			strings.Join(s.Levels, ", "))
	}
	t.Flush()
}

func (r *result) printSwap(b *strings.Builder) {
	if len(r.Swap) == 0 {
		return
	}
	fmt.Fprintf(b, "\nHosts exchanged, %d sessions of %d blocks in a set, combined outside the program:\n", sessions, r.options.blocks/sessions)
	t := table(b, "ratio of", "true", "mean estimate", "sd", "half width", "intervals that hold true", "level")
	for _, c := range r.Swap {
		row(t, c.Name, ratio(c.True), ratio(c.Mean), c.sd(), percent(c.HalfWidth), c.coverage(), percent(level))
	}
	t.Flush()
}

// sd is the standard deviation, if there is one.
func (s *spreadOf) sd() string {
	if s.N < 2 {
		return "--"
	}
	return percent(s.SD)
}

func (s *spreadOf) coverage() string { return fmt.Sprintf("%d of %d", s.Held, s.N) }

func (r *result) printDelays(b *strings.Builder) {
	if r.Delays == nil {
		return
	}
	t := table(b, "accuracy of the delays, ms", "answers", "median", "p99", "max")
	for i, name := range []string{"server: overrun of the delay", "program: measured - delay"} {
		d := r.Delays[i]
		row(t, name, fmt.Sprint(d.N), fmt.Sprintf("%.4f", d.Median), fmt.Sprintf("%.3f", d.P99), fmt.Sprintf("%.3f", d.Max))
	}
	t.Flush()
}

func ratio(x float64) string { return fmt.Sprintf("%.4f", x) }

func percent(x float64) string { return fmt.Sprintf("%.3g %%", 100*x) }
