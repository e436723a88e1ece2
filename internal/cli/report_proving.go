package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// provingRun reports whether a run is one of proofs.
func provingRun(data *store.Data) bool {
	w := data.Manifest.Workflow
	return w == spec.ProverWorkflow || w == spec.ReplayWorkflow
}

// provingSpec is what a run of proofs registered: its spec, of either workflow,
// and the rule that it makes.
type provingSpec struct {
	prover *spec.Prover
	replay *spec.Replay
	rule   compare.ProvingRule
}

// provingOf is a run's own spec, which must be the one that the run began with.
func provingOf(data *store.Data) (*provingSpec, error) {
	if err := unchanged(data); err != nil {
		return nil, err
	}
	if data.Manifest.Workflow == spec.ReplayWorkflow {
		s, err := spec.DecodeReplay(data.Spec)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", specName(data), err)
		}
		return &provingSpec{replay: &s, rule: compare.ReplayRuleOf(&s)}, nil
	}
	s, err := spec.DecodeProver(data.Spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", specName(data), err)
	}
	return &provingSpec{prover: &s, rule: compare.ProvingRuleOf(&s)}, nil
}

// readProvingRun analyzes a run of proofs by what rule makes of the rule in its
// own spec.
func readProvingRun(data *store.Data, rule func(compare.Rule) compare.Rule) (*report.Run, error) {
	p, err := provingOf(data)
	if err != nil {
		return nil, err
	}
	judged := rule(compare.Rule{Margin: p.rule.Margin})
	p.rule.Margin, p.rule.Exploratory = judged.Margin, judged.Exploratory
	return &report.Run{
		Manifest: data.Manifest, Prover: p.prover, Replay: p.replay,
		Result:  compare.AnalyzeProving(data.Records, p.rule),
		Records: data.Records, Dir: data.Dir, Warnings: data.Warnings,
	}, nil
}

// reportLog reports what the log of a prover tells, or standard input.
func reportLog(ctx context.Context, w World, path string, chosen []format, o *reportOptions) error {
	if len(chosen) > 1 && o.dir == "" {
		return fault.Newf(fault.Usage, "several formats are written to files: say where with --out").
			Hint("verdict report --format %s --out DIR %s", o.list, path)
	}
	series, err := readLog(w, path)
	if err != nil {
		return err
	}
	if !series.Batches {
		return fault.Newf(fault.Usage, "%s is no prover log (%s): only a run or the log of a prover has a report of its own", path, series.Kind).
			Hint("verdict compare %s OTHER", path)
	}
	if o.metrics != "" {
		page, err := readMetrics(ctx, o.metrics)
		if err != nil {
			return err
		}
		if err := series.Join(page); err != nil {
			return err
		}
	}
	return o.put(w, &report.Run{Result: compare.AnalyzeLog(series)}, chosen, "")
}

// readLog reads a log by its kind.
func readLog(w World, path string) (*intake.Series, error) {
	name, in := compareInput{}.String(), w.Stdin
	if path != stdinArg {
		file, err := os.Open(path)
		if err != nil {
			return nil, unreadable(path, err)
		}
		defer file.Close()
		name, in = path, file
	}
	series, err := intake.Read(name, in)
	return series, atLeast(fault.Usage, err)
}
