package prove

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/artifact"
	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// ReplayOptions are what a replay needs.
type ReplayOptions struct {
	Spec     spec.Replay
	SpecYAML []byte
	Plan     plan.Plan
	Run      *store.Run
	// Recording holds the batches of the spec, which are its first ones.
	Recording *coordinator.Recording
	Now       func() time.Time
	// Version is that of this program.
	Version string
	// Progress is called often, by one goroutine at a time; it decides what to
	// show.
	Progress func(ReplayProgress)
	// Report writes the reports, before the manifest is written.
	Report func(store.Manifest, *compare.Result) error
}

// ReplayProgress is how far a replay is.
type ReplayProgress struct {
	// Phase is the step's ID.
	Phase string
	// Done and Planned count pairs, warm-ups aside.
	Done, Planned int
	// Side and Batch say whose turn it is to prove what; Side is empty between.
	Side  sample.Side
	Batch uint64
	// Median are the median proving times of the sides so far in milliseconds,
	// Ratio that of test to baseline over the pairs so far (geometric mean); 0
	// while unknown.
	Median [2]float64
	Ratio  float64
	// Message is worth a line of its own.
	Message string
}

// replayer is one replay while it is carried out.
type replayer struct {
	ReplayOptions
	manifest store.Manifest
	children *host.Children
	builds   [2]*artifact.Binary
	provers  [2]*replayProver
	schedule []coordinator.Assignment

	// mu guards what follows, and Progress.
	mu sync.Mutex
	// next is the index of the assignment that is not done.
	next    int
	records [2][]sample.Record
	tally   tally
	// stray is the last odd thing that a side's prover did.
	stray [2]string
	// own says that the replay ended for a reason that no prover has.
	own bool
}

// Replay has two builds of a prover prove the same recorded batches, in turns,
// and compares their times. It starts both, hands each batch to one after the
// other, and stops both, however it ends. Every attempt is stored before
// anything is computed from it. Reports and manifest are written however it
// ends, once there is something to report; the error says why the run is
// incomplete.
func Replay(ctx context.Context, o ReplayOptions) error {
	r := &replayer{ReplayOptions: o, children: host.NewChildren()}
	defer r.children.Close()
	r.schedule = replaySchedule(&o.Spec, r.batches())
	err := r.prepare()
	if err == nil {
		err = r.findBinaries()
	}
	if err == nil {
		err = r.steps(ctx)
	}
	err = errors.Join(journal.WithCause(ctx, err), r.stopAll())
	return errors.Join(err, r.finish(err))
}

// batches are the recorded batches that are replayed.
func (r *replayer) batches() []coordinator.Batch {
	return r.Recording.Batches[:min(r.Spec.Batches, len(r.Recording.Batches))]
}

// replaySchedule is the batches in ABBA order, and before them the first one,
// as often as each side warms up: the first proof of a process pays for what is
// set up once. The warm-up goes in turns too, so that neither prover rests
// longer than the other before it counts.
func replaySchedule(s *spec.Replay, batches []coordinator.Batch) []coordinator.Assignment {
	numbers := make([]uint64, len(batches))
	for i, b := range batches {
		numbers[i] = b.Number
	}
	var warm []uint64
	for range s.WarmUp {
		warm = append(warm, numbers[:min(1, len(numbers))]...)
	}
	return append(coordinator.Schedule(warm, 1, s.Seed+1), coordinator.Schedule(numbers, s.Rounds, s.Seed)...)
}

// prepare stores what the run is going to do.
func (r *replayer) prepare() error {
	r.manifest = store.Manifest{
		V: store.ManifestVersion, Workflow: r.Spec.Workflow, State: store.Running,
		Started: r.Now().UTC(), SpecHash: r.Plan.SpecHash, PlanHash: r.Plan.Hash(),
		Program: r.Version, Environment: journal.ThisMachine(),
	}
	here := r.manifest.Environment.Hostname
	for i, side := range sample.Sides {
		r.manifest.Sides[i] = store.Side{Side: side, Host: here, Collector: here, Ref: r.Spec.Side(side).Ref}
	}
	return journal.Begin(r.Run, r.SpecYAML, r.Plan, r.manifest)
}

// findBinaries examines the binaries of the user's before anything takes time.
func (r *replayer) findBinaries() error {
	for _, side := range sample.Sides {
		if r.Spec.Side(side).Binary == "" {
			continue
		}
		if _, err := r.buildOf(side); err != nil {
			return err
		}
	}
	return nil
}

// steps carries out the plan, step by step, and stops at the first failure.
func (r *replayer) steps(ctx context.Context) error {
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
		r.show(ReplayProgress{Phase: s.ID})
		detail, err := r.do(ctx, s)
		if err != nil {
			return errors.Join(err, r.Run.Journal(s.ID, store.Failed, err.Error()))
		}
		if err := r.Run.Journal(s.ID, store.Done, detail); err != nil {
			return err
		}
	}
	return nil
}

// do carries out one step. The detail is for the journal.
func (r *replayer) do(ctx context.Context, s plan.Step) (detail string, err error) {
	kind := s.ID
	if s.Side != "" {
		kind = strings.TrimSuffix(s.ID, "-"+string(s.Side))
	}
	switch kind {
	case plan.CheckRecording:
		return "", r.checkRecording(ctx)
	case plan.BuildSide:
		return r.buildRef(ctx, s)
	case plan.StartProof:
		return r.start(ctx, s)
	case plan.ReplayBatches:
		return "", r.replay(ctx)
	case plan.StopProof:
		return "", r.stop(s.Side)
	}
	return "", fmt.Errorf("the plan has a step %q that this verdict does not know", s.ID)
}

// checkRecording compares the documents with the checksums that were recorded.
func (r *replayer) checkRecording(ctx context.Context) error {
	all := r.batches()
	for i := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		one := *r.Recording
		one.Batches = all[i : i+1]
		if err := one.Check(); err != nil {
			return err
		}
	}
	return nil
}

// show passes progress on, with what is known of the proofs so far.
func (r *replayer) show(p ReplayProgress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Progress(p)
}

// finish analyzes what was stored and writes reports and manifest. failure is
// why the run is incomplete, nil if it is not.
func (r *replayer) finish(failure error) error {
	r.manifest.State, r.manifest.Ended = store.Complete, r.Now().UTC()
	if failure != nil {
		r.manifest.State, r.manifest.Reason = store.Incomplete, journal.FirstLine(failure)
	}
	if len(r.records[0])+len(r.records[1]) == 0 && failure != nil {
		// Nothing was measured, so there is nothing to report.
		return r.Run.WriteJSON(store.ManifestName, r.manifest)
	}
	if err := r.Run.Journal(plan.Report, store.Started, ""); err != nil {
		return err
	}
	result := compare.AnalyzeProving(r.records, compare.ReplayRuleOf(&r.Spec))
	r.manifest.Verdict = result.Verdict.String()
	if err := r.Report(r.manifest, result); err != nil {
		return errors.Join(err, r.Run.Journal(plan.Report, store.Failed, err.Error()))
	}
	if err := r.Run.Journal(plan.Report, store.Done, ""); err != nil {
		return err
	}
	return r.Run.WriteJSON(store.ManifestName, r.manifest)
}
