package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// reportOptions are the flags of verdict report.
type reportOptions struct {
	output
	marginPercent float64
	marginGiven   bool
	// metrics is the metrics page beside a prover log.
	metrics string
}

func newReport(w World) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report RUN | PROVER-LOG",
		Short: "Remake the report of a run from its stored samples",
		Long: `Analyzes the stored samples of a run again and prints the report. A run that
was interrupted or killed is reported as incomplete, with what it has.

The log of a prover, a file or - for standard input, is reported in the same
way: what each batch took and, with --metrics, what it held. A log that tells of
no proved batch is an error with exit status 1.

One format goes to stdout. Several, as in --format md,html, are written into the
run directory or into --out, and their paths go to stdout.

The rule that judges a run is fixed before its first sample. A report with
another --margin is marked exploratory.`,
		Example: `  verdict report runs/2026-11-22T10-15-30Z-witness-local
  verdict report --format md runs/2026-11-22T10-15-30Z-witness-local > comment.md
  verdict report --format text,md,json runs/2026-11-22T10-15-30Z-witness-local

  # a prover's log, with what the batches held
  verdict report --format md prover.log --metrics http://127.0.0.1:3702/metrics`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.marginGiven = cmd.Flags().Changed("margin")
			return runReport(cmd.Context(), w, args[0], &o)
		},
	}
	cmd.Flags().SortFlags = false
	o.output.addFlags(cmd, "write into `DIR` (default for several formats: the run directory)")
	cmd.Flags().StringVar(&o.metrics, "metrics", "", "of a prover log: the metrics page of its L2, a `FILE` or URL")
	cmd.Flags().Float64Var(&o.marginPercent, "margin", 0, "practical margin in `percent` (default: the registered one)")
	return cmd
}

func runReport(ctx context.Context, w World, dir string, o *reportOptions) error {
	chosen, err := o.choose()
	if err != nil {
		return err
	}
	if o.marginGiven {
		if err := checkMargin(o.marginPercent); err != nil {
			return err
		}
	}
	if info, err := os.Stat(dir); dir == stdinArg || err == nil && !info.IsDir() {
		return reportLog(ctx, w, dir, chosen, o)
	}
	if o.metrics != "" {
		return fault.Newf(fault.Usage, "--metrics belongs to a prover log: a run has stored what its batches hold")
	}
	r, err := readRun(dir, o.rule)
	if err != nil {
		return err
	}
	return o.put(w, r, chosen, dir)
}

// checkMargin refuses a margin that is none.
func checkMargin(percent float64) error {
	if !(percent > 0 && percent < 100) {
		return fault.Newf(fault.Usage, "--margin must lie between 0 and 100 percent, not %v", percent)
	}
	return nil
}

// rule is the registered rule, or what the flags make of it, marked as such.
func (o *reportOptions) rule(registered compare.Rule) compare.Rule {
	margin := o.marginPercent / 100
	if !o.marginGiven || margin == registered.Margin && !registered.MarginFromControl {
		return registered
	}
	rule := registered
	rule.Margin, rule.MarginFromControl = margin, false
	rule.Exploratory = fmt.Sprintf("the margin is %s %%, registered before the first sample was %s %%",
		compare.Percent(margin), compare.Percent(registered.Margin))
	if registered.MarginFromControl {
		rule.Exploratory += " or twice the noise floor of the A/A control, if that is more"
	}
	return rule
}

// readRun loads a run and analyzes it by what rule makes of the rule in its own
// spec.
func readRun(dir string, rule func(compare.Rule) compare.Rule) (*report.Run, error) {
	data, err := store.Read(dir)
	if err != nil {
		return nil, err
	}
	if provingRun(data) {
		return readProvingRun(data, rule)
	}
	s, err := registeredSpec(data)
	if err != nil {
		return nil, err
	}
	result, err := analyze(data, &s, rule(compare.RuleOf(&s)))
	if err != nil {
		return nil, err
	}
	return &report.Run{
		Manifest: data.Manifest,
		Result:   result,
		Records:  data.Records,
		Dir:      dir,
		Warnings: data.Warnings,
	}, nil
}

// analyze compares what a run measured: its samples or, where ethrex-replay was
// its collector, the logs of that.
func analyze(data *store.Data, s *spec.Witness, rule compare.Rule) (*compare.Result, error) {
	if !replayed(s) {
		return compare.Analyze(data.Records, rule), nil
	}
	var series [2]*intake.Series
	for i, side := range sample.Sides {
		var err error
		if series[i], err = replayLog(data.Dir, side); err != nil {
			return nil, err
		}
	}
	return compare.FromReplay(series, rule)
}

// replayed reports whether a run was measured by ethrex-replay.
func replayed(s *spec.Witness) bool {
	return s.Servers != nil && s.Servers.Collector == spec.EthrexReplay
}

// replayLog reads what the ethrex-replay of one side of a run printed.
func replayLog(dir string, side sample.Side) (*intake.Series, error) {
	path := filepath.Join(dir, store.LogsName, "replay-"+string(side)+".log")
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer file.Close()
	series, err := intake.Read(path, file)
	return series, atLeast(fault.Usage, err)
}

// registeredSpec is a run's own spec, which must be the one that the run began
// with.
func registeredSpec(data *store.Data) (spec.Witness, error) {
	if err := unchanged(data); err != nil {
		return spec.Witness{}, err
	}
	s, err := spec.Decode(data.Spec)
	if err != nil {
		return s, fmt.Errorf("%s: %w", specName(data), err)
	}
	return s, nil
}

func specName(data *store.Data) string { return filepath.Join(data.Dir, store.SpecName) }

// unchanged refuses a run whose spec is not the one that it began with.
func unchanged(data *store.Data) error {
	if got, want := spec.Hash(data.Spec), data.Manifest.SpecHash; got != want {
		return fault.Newf(fault.Usage, "%s was changed after the run began: its hash is %s, registered was %s", specName(data), got, want).
			Hint("restore the file: the rule that judges a run is fixed before its first sample")
	}
	return nil
}
