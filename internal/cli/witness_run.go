package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/verdict-bench/verdict/internal/bench"
	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

func runWitness(ctx context.Context, w World, o *witnessOptions) error {
	if dir, stop, err := o.run(); err != nil || dir != "" {
		if err != nil {
			return err
		}
		return takeUp(ctx, w, o, dir, stop)
	}
	s, err := o.resolve(ctx, w)
	if err == nil {
		err = plan.Check(&s)
	}
	if err != nil {
		return err
	}
	// What is stored and shown holds no credentials; what is used does.
	stored := s
	for _, side := range []*spec.Side{&stored.Baseline, &stored.Test} {
		if side.RPC != "" {
			side.RPC = ethrpc.Redact(side.RPC)
		}
	}
	encoded, err := stored.Encode()
	if err != nil {
		return err
	}
	p := plan.Make(&stored, spec.Hash(encoded))
	if s.Blocks < s.MinPairs {
		fmt.Fprintf(w.Stderr, "verdict: %d blocks give no verdict: it needs %d pairs, so the result will be invalid\n", s.Blocks, s.MinPairs)
	}
	if o.dryRun {
		_, err := io.WriteString(w.Stdout, p.Text())
		return err
	}
	if err := errors.Join(o.checkApprovals(w, &p), o.confirm(ctx, w, &s, &p)); err != nil {
		return err
	}
	run, err := createRun(w, o.out, &s)
	if err != nil {
		return err
	}
	defer run.Close()
	return carryOut(ctx, w, o, run, s, encoded, p, o.liveServers(w))
}

// carryOut does what the plan says and shows how it goes and what came out.
func carryOut(ctx context.Context, w World, o *witnessOptions, run *store.Run, s spec.Witness, encoded []byte, p plan.Plan, servers *bench.Servers) error {
	executable, err := w.Executable()
	if err != nil {
		return fmt.Errorf("finding this program's own file: %w", err)
	}
	progress := newProgress(w)
	done := &report.Run{Dir: run.Dir()}
	benchErr := bench.Witness(ctx, bench.Options{
		Spec: s, SpecYAML: encoded, Plan: p, Run: run,
		Executable: executable, Now: w.Now, Version: version(),
		Progress: progress.update, Servers: servers,
		Report: func(m store.Manifest, r *compare.Result) error {
			done.Manifest, done.Result = m, r
			return writeReports(run, done)
		},
	})
	progress.line.end()
	return conclude(w, o, done, errors.Join(benchErr, run.Close()))
}

// createRun makes the run directory of s.
func createRun(w World, out string, s *spec.Witness) (*store.Run, error) {
	return makeRun(w, out, runName(w.Now(), s))
}

// makeRun makes the directory out or, where that is empty, one of the name in
// runs. A name of our own that is taken, by a run that began in the same second,
// gets a number.
func makeRun(w World, out, name string) (*store.Run, error) {
	if out != "" {
		return store.Create(out, w.Now)
	}
	name = filepath.Join("runs", name)
	run, err := store.Create(name, w.Now)
	for n := 2; n < 100 && errors.Is(err, store.ErrTaken); n++ {
		run, err = store.Create(fmt.Sprintf("%s-%d", name, n), w.Now)
	}
	return run, err
}

// runName names a run directory by its time and what it compares.
func runName(now time.Time, s *spec.Witness) string {
	return fmt.Sprintf("%s-%s-%s", now.UTC().Format("2006-01-02T15-04-05Z"), s.Workflow, s.Place)
}

// writeReports puts the reports that every run has into its directory.
func writeReports(run *store.Run, r *report.Run) error {
	for name, format := range map[string]func(io.Writer, *report.Run) error{
		"report.md": report.Markdown, "report.html": report.HTML, "report.json": report.JSON,
	} {
		var b bytes.Buffer
		if err := format(&b, r); err != nil {
			return err
		}
		if err := run.Write(name, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// conclude prints what was asked for and turns the verdict into the exit
// status.
func conclude(w World, o *witnessOptions, r *report.Run, err error) error {
	return concludeRun(w, r, err, ending{json: o.json, stopping: o.control.stopping, failOnRegression: o.failOnRegression})
}

// ending is how the end of a run is told.
type ending struct{ json, stopping, failOnRegression bool }

// concludeRun is conclude for every kind of run. A run that failed before it had
// a result has only its error.
func concludeRun(w World, r *report.Run, err error, o ending) error {
	if r.Result == nil {
		return err
	}
	format := report.Text
	if o.json {
		format = report.JSON
	}
	if werr := format(w.Stdout, r); werr != nil {
		return errors.Join(err, werr)
	}
	if err != nil {
		fmt.Fprintf(w.Stderr, "verdict: the run is incomplete; its samples are kept: verdict report %s\n", r.Dir)
		return err
	}
	if o.stopping {
		return nil
	}
	return verdictStatus(r, o.failOnRegression)
}

// verdictStatus is the error, if any, that a finished run ends with.
func verdictStatus(r *report.Run, failOnRegression bool) error {
	v := r.Result.Verdict
	switch {
	case v.Outcome == compare.Invalid:
		return fault.Newf(fault.Invalid, "the result is invalid: %s", v.Reasons[0])
	case v.Outcome == compare.Regresses && failOnRegression:
		return fault.Newf(fault.Regression, "the test side regresses")
	}
	return nil
}
