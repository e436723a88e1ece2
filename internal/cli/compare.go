package cli

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/sample"
)

// compareOptions are the flags of verdict compare.
type compareOptions struct {
	output
	args             [2]string
	names, metrics   [2]string
	page             string
	marginPercent    float64
	marginGiven      bool
	how              compare.Import
	failOnRegression bool
}

func newCompare(w World) *cobra.Command {
	o := compareOptions{how: compare.Import{Rule: compare.DefaultRule()}}
	cmd := &cobra.Command{
		Use:   "compare BASELINE TEST",
		Short: "Compare measurements that are already there",
		Long: `Compares two inputs and ends in a verdict with an interval. What an input is
follows from its content, plain or gzip, and kinds can be mixed:

  a run directory       the baseline side as BASELINE, the test side as TEST;
                        RUN:baseline and RUN:test name a side
  samples               as verdict collect and runs write them
  an ethrex-replay log  whole or filtered, with or without color
  a CSV file            with the columns block,ms and optionally more
  a prover log          with times; --baseline-metrics and --test-metrics, or
                        --metrics for both, give the page of the L2, by URL or
                        as a file, that says what the batches hold
  a table of results    in Markdown, as bench_results.md of ethrex's script
  benchmark results     in the Go benchmark format

- is standard input. Blocks that both inputs measured are compared pair by pair.
Where there are none the comparison is unpaired, and says what it cannot show:
different blocks differ in content too.

Exit status: 0 done, whatever the verdict; 1 a prover log tells of no proved
batch; 2 bad usage or an input that cannot be read; 3 the verdict is "regresses"
and --fail-on-regression was given; 4 a metrics page is not available; 5 the
verdict is "invalid" or an input holds no measurement that can be used; 130
interrupted.`,
		Example: `  # two logs of ethrex-replay
  verdict compare main.log pr.log

  # the test sides of two runs, for a pull request
  verdict compare --format md runs/first:test runs/second:test

  # a remote log against a file
  ssh server 'cat replay.log' | verdict compare main.csv -

  # two provers, with what their batches held
  verdict compare main-prover.log pr-prover.log \
      --baseline-metrics main-metrics.txt --test-metrics http://127.0.0.1:3702/metrics`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.args = [2]string(args)
			o.marginGiven = cmd.Flags().Changed("margin")
			return runCompare(cmd.Context(), w, &o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *compareOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.Float64Var(&o.marginPercent, "margin", 100*o.how.Rule.Margin, "practical margin in `percent`: smaller effects do not matter")
	f.Uint64Var(&o.how.Rule.Seed, "seed", o.how.Rule.Seed, "seed of the bootstrap")
	f.BoolVar(&o.how.Unpaired, "unpaired", false, "compare two groups, also where blocks coincide")
	f.BoolVar(&o.how.SameBatches, "same-batches", false, "equal batch numbers are the same batches: pair them")
	for i, side := range sample.Sides {
		f.StringVar(&o.names[i], string(side)+"-name", "", fmt.Sprintf("what to call the %s side in the report", side))
	}
	for i, side := range sample.Sides {
		f.StringVar(&o.metrics[i], string(side)+"-metrics", "", fmt.Sprintf("metrics page of the L2 beside the %s prover log: a `FILE` or URL", side))
	}
	f.StringVar(&o.page, "metrics", "", "metrics page of the L2 that served both provers: a `FILE` or URL")
	o.output.addFlags(cmd, "write the reports into `DIR`; several formats need it")
	f.BoolVar(&o.failOnRegression, "fail-on-regression", false, "exit with status 3 when the verdict is \"regresses\"")
}

// check finds what is wrong with the flags before anything is read.
func (o *compareOptions) check() ([]format, error) {
	chosen, err := o.choose()
	if err != nil {
		return nil, err
	}
	if err := checkMargin(o.marginPercent); err != nil {
		return nil, err
	}
	o.how.Rule.Margin = o.marginPercent / 100
	switch {
	case len(chosen) > 1 && o.dir == "":
		return nil, fault.Newf(fault.Usage, "several formats are written to files: say where with --out").
			Hint("verdict compare --format %s --out DIR BASELINE TEST", o.list)
	case o.how.Unpaired && o.how.SameBatches:
		return nil, fault.Newf(fault.Usage, "--unpaired and --same-batches exclude each other")
	case o.args[0] == stdinArg && o.args[1] == stdinArg:
		return nil, fault.Newf(fault.Usage, "- is standard input, which holds one side: name a file for the other")
	}
	return chosen, nil
}

func runCompare(ctx context.Context, w World, o *compareOptions) error {
	chosen, err := o.check()
	if err != nil {
		return err
	}
	type outcome struct {
		run *report.Run
		err error
	}
	// Neither a read from a terminal nor the analysis can be interrupted. Both
	// only make a value, so that an interrupt leaves them behind and ends the
	// process.
	done := make(chan outcome, 1)
	go func() {
		r, err := o.compare(ctx, w)
		done <- outcome{r, err}
	}()
	var got outcome
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case got = <-done:
	}
	if got.err != nil {
		return got.err
	}
	if err := o.put(w, got.run, chosen, ""); err != nil {
		return err
	}
	return verdictStatus(got.run, o.failOnRegression)
}

// compare reads both sides and compares them.
func (o *compareOptions) compare(ctx context.Context, w World) (*report.Run, error) {
	var inputs [2]compareInput
	for i, arg := range o.args {
		var err error
		if inputs[i], err = findInput(arg, sample.Sides[i]); err != nil {
			return nil, err
		}
	}
	if inputs[0].sameAs(inputs[1]) {
		return nil, fault.Newf(fault.Usage, "%s and %s are the same file: a comparison takes two measurements", inputs[0], inputs[1])
	}
	sides, err := o.read(ctx, w, inputs)
	if err != nil {
		return nil, err
	}
	run := new(report.Run)
	var sources [2]compare.Source
	for i, m := range sides {
		m.Records = onSide(m.Records, sample.Sides[i])
		sources[i] = m.Source
		run.Records[i] = m.Records
		run.Manifest.Sides[i] = m.side
		run.Manifest.Sides[i].Side = sample.Sides[i]
		if o.names[i] != "" {
			run.Manifest.Sides[i].Ref = o.names[i]
		}
		run.Warnings = append(run.Warnings, m.warnings...)
	}
	for i, in := range inputs {
		if sources[i].Rule != nil {
			o.judge(sources[i].Rule, in.side != sample.Sides[i])
		}
	}
	run.Result, err = compare.Between(sources, o.how)
	return run, err
}

// judge makes of the rule that a run registered what the flags ask for. It
// counts when both sides are those of that run.
func (o *compareOptions) judge(rule *compare.Rule, exchanged bool) {
	*rule = (&reportOptions{marginGiven: o.marginGiven, marginPercent: o.marginPercent}).rule(*rule)
	if exchanged && rule.Exploratory == "" {
		rule.Exploratory = "the sides of the run are exchanged"
	}
}

// read reads both inputs: files at once, standard input after them, because it
// may never end and is in vain when a file cannot be read.
func (o *compareOptions) read(ctx context.Context, w World, inputs [2]compareInput) (sides [2]*measurements, err error) {
	var errs [2]error
	read := func(i int) {
		if sides[i], errs[i] = inputs[i].read(w.Stdin); errs[i] != nil {
			return
		}
		if o.names[i] != "" {
			sides[i].rename(o.names[i])
		}
		if page := cmp.Or(o.metrics[i], o.page); page != "" {
			errs[i] = sides[i].join(ctx, page)
		}
	}
	var files sync.WaitGroup
	for i, in := range inputs {
		if !in.isStdin() {
			files.Go(func() { read(i) })
		}
	}
	files.Wait()
	for i, in := range inputs {
		if in.isStdin() && errs[1-i] == nil {
			read(i)
		}
	}
	if errs[0] != nil {
		return sides, errs[0]
	}
	return sides, errs[1]
}
