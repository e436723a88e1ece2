// Package bench carries out the plan of a run: it starts what the plan starts,
// measures block by block, stores each sample before anything is computed from
// it, and stops what it started, however the run ends.
//
//	plan ──▶ steps ──▶ samples ──▶ compare ──▶ reports ──▶ manifest
//	           │           └──▶ progress
//	           └──▶ journal
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// Options are what a run needs.
type Options struct {
	Spec     spec.Witness
	SpecYAML []byte
	Plan     plan.Plan
	Run      *store.Run
	// Executable is this program's file, to start the built-in nodes with.
	Executable string
	Now        func() time.Time
	// Version is that of this program.
	Version string
	// Progress is called often; it decides what to show.
	Progress func(Progress)
	// Servers is what a live run needs; nil elsewhere.
	Servers *Servers
	// Report writes the reports, before the manifest is written.
	Report func(store.Manifest, *compare.Result) error
}

// Progress is how far a run is.
type Progress struct {
	// Phase is the step's ID.
	Phase         string
	Done, Planned int
	// Median latencies of the pairs so far, in milliseconds.
	Median [2]float64
	// Ratio so far with its confidence sequence, zero while it has no ends.
	Ratio, Low, High float64
	// Decided says that the sequence has decided.
	Decided bool
	// More is about how many pairs more would see an effect as large as
	// Margin, and MoreTime how long they take; 0 when that is not known or
	// there are enough.
	More     int
	MoreTime time.Duration
	Margin   float64
	// Message is worth a line of its own.
	Message string
	// Failed counts samples that are not ok.
	Failed int
	// Note is what the run waits for, if it waits, and Waiting for how long.
	Note    string
	Waiting time.Duration
}

// runner is one run while it is carried out.
type runner struct {
	Options
	manifest store.Manifest
	local    *host.Children
	temp     string
	nodes    [2]*node
	// builds are the programs of a devnet's sides, nil until they are known.
	builds   [2]*build
	meters   [2]*meter
	source   source
	verifier *verifier
	records  [2][]sample.Record
	orders   *orders
	undo     []func() error
	// control marks samples while the A/A control is taken.
	control sample.Control
	watch   *watch
}

// source gives the blocks to measure, one at a time.
type source interface {
	// next waits for the next block that both sides have. note is told what it
	// waits for, and for how long already.
	next(ctx context.Context, note func(string, time.Duration)) (target, error)
	// close ends it.
	close() error
}

// Witness carries out a witness run. The reports and the manifest are written
// however it ends, once both sides have been reached; the error says why the
// run is incomplete.
func Witness(ctx context.Context, o Options) error {
	if o.Spec.Place == spec.Live {
		return witnessLive(ctx, o)
	}
	if plan.Away(&o.Spec) {
		return witnessAway(ctx, o)
	}
	r := newRunner(o)
	defer r.local.Close()
	err := r.prepare()
	if err == nil {
		err = r.steps(ctx)
	}
	err = errors.Join(journal.WithCause(ctx, err), r.cleanUp(), r.removeTemp())
	return errors.Join(err, r.finish(err))
}

func newRunner(o Options) *runner {
	return &runner{Options: o, local: host.NewChildren(), orders: newOrders(o.Spec.Seed)}
}

// prepare stores what the run is going to do.
func (r *runner) prepare() error {
	here := journal.ThisMachine()
	r.manifest = store.Manifest{
		V: store.ManifestVersion, Workflow: r.Spec.Workflow, State: store.Running,
		Started: r.Now().UTC(), SpecHash: r.Plan.SpecHash, PlanHash: r.Plan.Hash(),
		Program: r.Version, Environment: here,
	}
	for i, side := range sample.Sides {
		r.manifest.Sides[i] = store.Side{Side: side, Host: here.Hostname, Collector: here.Hostname}
	}
	return journal.Begin(r.Run, r.SpecYAML, r.Plan, r.manifest)
}

// steps carries out the plan, step by step, and stops at the first failure.
func (r *runner) steps(ctx context.Context) error {
	for _, s := range r.Plan.Steps {
		if s.ID == plan.Report {
			continue // finish does it, also for a run that failed before
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.Run.Journal(s.ID, store.Started, ""); err != nil {
			return err
		}
		r.Progress(Progress{Phase: s.ID})
		detail, err := r.do(ctx, s)
		if err != nil {
			return errors.Join(err, r.Run.Journal(s.ID, store.Failed, journal.WithCause(ctx, err).Error()))
		}
		if err := r.Run.Journal(s.ID, store.Done, detail); err != nil {
			return err
		}
	}
	return nil
}

// do carries out one step. The detail is for the journal.
func (r *runner) do(ctx context.Context, s plan.Step) (detail string, err error) {
	r.control = r.controlOf(s)
	switch s.Kind() {
	case plan.BuildRef + string(s.Side):
		return r.buildRef(ctx, s)
	case plan.Genesis:
		return "", r.writeGenesis()
	case plan.Init + string(s.Side):
		return "", r.initProgram(ctx, s)
	case plan.StartNode + string(s.Side):
		if r.Spec.Place == spec.Devnet {
			return r.startProgram(ctx, s)
		}
		return r.startNode(s)
	case plan.Preflight:
		return "", r.preflight(ctx)
	case plan.WarmUp:
		return "", r.measure(ctx, s, r.Spec.WarmUp)
	case plan.Measure:
		if s.Control {
			return r.measureControl(ctx, s)
		}
		return "", r.measure(ctx, s, r.Spec.Blocks)
	case plan.Stop:
		return "", r.cleanUp()
	}
	return "", fmt.Errorf("the plan has a step %q that this verdict does not know", s.ID)
}

// onCleanUp registers what takes back something that was just done.
func (r *runner) onCleanUp(f func() error) { r.undo = append(r.undo, f) }

// cleanUp takes back what was done, last first, whatever fails in between.
func (r *runner) cleanUp() error {
	var errs []error
	for i := len(r.undo) - 1; i >= 0; i-- {
		errs = append(errs, r.undo[i]())
	}
	r.undo = nil
	return errors.Join(errs...)
}

// tempDir is a directory that is removed at the end.
func (r *runner) tempDir() (string, error) {
	if r.temp != "" {
		return r.temp, nil
	}
	dir, err := os.MkdirTemp("", "verdict-run-*")
	if err != nil {
		return "", fault.Newf(fault.Prerequisite, "temporary directory for the nodes: %w", err).
			Hint("set TMPDIR to a directory with at least 1 GB of free space")
	}
	r.temp = dir
	return dir, nil
}

func (r *runner) removeTemp() error {
	if r.temp == "" {
		return nil
	}
	return os.RemoveAll(r.temp)
}

// finish analyzes what was stored and writes reports and manifest. failure is
// why the run is incomplete, nil if it is not.
func (r *runner) finish(failure error) error {
	r.manifest.State, r.manifest.Ended = store.Complete, r.Now().UTC()
	if failure != nil {
		r.manifest.State, r.manifest.Reason = store.Incomplete, journal.FirstLine(failure)
	}
	if !r.measured() && failure != nil {
		// Nothing was measured, so there is nothing to report.
		return r.Run.WriteJSON(store.ManifestName, r.manifest)
	}
	err := r.Run.Journal(plan.Report, store.Started, "")
	var result *compare.Result
	if err == nil {
		result, err = r.result()
	}
	if err == nil {
		r.manifest.Verdict = result.Verdict.String()
		err = r.Report(r.manifest, result)
	}
	if err != nil {
		return errors.Join(err, r.Run.Journal(plan.Report, store.Failed, journal.FirstLine(err)))
	}
	if err := r.Run.Journal(plan.Report, store.Done, ""); err != nil {
		return err
	}
	return r.Run.WriteJSON(store.ManifestName, r.manifest)
}

// measured reports whether there is anything to report.
func (r *runner) measured() bool {
	return len(r.records[0])+len(r.records[1]) > 0 || r.byReplay() && r.replayed()
}

// result analyzes what was stored, by the registered rule.
func (r *runner) result() (*compare.Result, error) {
	if r.byReplay() {
		return r.replayResult()
	}
	return compare.Analyze(r.records, compare.RuleOf(&r.Spec)), nil
}
