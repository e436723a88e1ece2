// Package prove carries out the plan of a prover run: it builds, brings up a
// localnet of L1, contracts, L2, load and prover on one host, follows the proofs
// until there are enough, and takes everything down again, however the run ends.
//
//	plan ──▶ steps ──▶ programs on the host ──▶ collector ──▶ samples there
//	  │        │                                                   │ byte for byte
//	  └──▶ journal, state ◀── a later process goes on      samples here ──▶ report
//
// The programs and the collector outlive this process and its connection. After
// a crash or a lost connection another process takes the run up; an interrupt
// or a failure ends it, and takes the localnet down.
package prove

import (
	"context"
	"errors"
	"fmt"
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

// Command is the command line that begins and takes up such runs, for hints.
const Command = "verdict prover"

// Options are what a run needs.
type Options struct {
	Spec     spec.Prover
	SpecYAML []byte
	Plan     plan.Plan
	Run      *store.Run
	Now      func() time.Time
	// Version is that of this program.
	Version string
	// Host is the machine that everything runs on. It is the caller's to close.
	Host host.Host
	// Install puts a verdict on the host, unless it is there, and returns its
	// path.
	Install func(context.Context, host.Host) (string, error)
	// Approve asks for the approval of a step that destroys something; seen
	// says what is there. An error refuses.
	Approve func(ctx context.Context, s plan.Step, seen string) error
	// Again are the flags that reach the host again, each after a blank.
	Again string
	// Resume says that the run was begun before, Stop that it shall only be
	// ended: what it started is stopped, and what was collected is reported.
	Resume, Stop bool
	// Progress is called often; it decides what to show.
	Progress func(Progress)
	// Report writes the reports, before the manifest is written.
	Report func(store.Manifest, *compare.Result) error
}

// Progress is how far a run is.
type Progress struct {
	// Phase is the step's ID.
	Phase string
	// Sealed, Proved and Verified count the batches with load of the session:
	// sealed by the L2, proved with the proof accepted, and verified on the L1.
	Sealed, Proved, Verified int
	// Counted is how many batches count so far in all sessions, Planned how
	// many shall.
	Counted, Planned int
	// Median is the median proving time so far, and Left about how long the
	// rest of the proofs takes; 0 while that is not known.
	Median, Left time.Duration
	// Message is worth a line of its own.
	Message string
	// Note is what the run waits for, if it waits, and Waiting for how long.
	Note    string
	Waiting time.Duration
}

// runner is one run while it is carried out.
type runner struct {
	Options
	manifest store.Manifest
	state    state
	sessions []plan.Turn
	records  [2][]sample.Record
	// done holds the IDs of the steps that the journal has as done.
	done map[string]bool
	// up are the programs of the current session that shall run.
	up map[string]bool
	// ports leads to the ports of the host.
	ports *ports
	// restarts counts how often the collector was started again without
	// anything new from it, and warned are the notices that were told.
	restarts int
	warned   map[string]bool
	// held says that the host's lock is this run's.
	held bool
}

// Run carries out a prover run, or goes on with one. The reports and the
// manifest are written however it ends, unless it goes on without this process;
// the error says why the run is incomplete.
func Run(ctx context.Context, o Options) error {
	r := &runner{Options: o, done: make(map[string]bool), up: make(map[string]bool), warned: make(map[string]bool)}
	r.sessions = plan.Turns(&o.Spec)
	r.Host = patient{o.Host, r.say}
	r.ports = newPorts(r.Host)
	defer r.ports.close()
	if err := r.open(); err != nil {
		return err
	}
	switch {
	case o.Stop && r.done[plan.Report] && r.provedAll():
		// It is complete, and has left its localnet running, as it was told to.
		return r.takeDown(ctx)
	case o.Stop:
		return r.end(ctx)
	}
	err := journal.WithCause(ctx, r.walk(ctx))
	switch {
	case err == nil:
	case ctx.Err() == nil && lost(err) && (r.began() || o.Resume):
		// It is not known how the host is: nothing on it is stopped, and
		// nothing is written that looks final.
		return journal.GoesOn(r.Run, Command, r.Again, err, fmt.Sprintf("what was started on %s goes on", r.Host.Name()), "go on with it")
	default:
		err = errors.Join(err, r.takeDown(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, r.finish(err))
}

// lost reports whether the connection to the host broke.
func lost(err error) bool {
	var l *host.LostError
	return errors.As(err, &l)
}

// end is verdict prover --stop: it ends the run and reports what there is.
func (r *runner) end(ctx context.Context) error {
	err := journal.WithCause(ctx, r.takeDown(ctx))
	reason := error(fault.Newf(fault.Interrupted, "the run was ended with --stop"))
	if r.provedAll() {
		reason = nil
	}
	return errors.Join(err, r.finish(errors.Join(reason, err)))
}

// walk carries out the plan, step by step.
func (r *runner) walk(ctx context.Context) error {
	if err := r.reach(ctx); err != nil {
		return err
	}
	for i, s := range r.Plan.Steps {
		if !r.skip(s) {
			if err := r.step(ctx, s); err != nil {
				return err
			}
		}
		last := i+1 == len(r.Plan.Steps) || r.Plan.Steps[i+1].Session != s.Session
		if n := s.Session; n > 0 && last && !r.state.Sessions[n-1].Done {
			if err := r.save(func(st *state) { st.Sessions[n-1].Done = true }); err != nil {
				return err
			}
		}
	}
	return r.unlock(ctx)
}

// skip reports whether a step needs not be done: its session is over, or it was
// done before and has left its result. All others look for themselves what is
// left to do.
func (r *runner) skip(s plan.Step) bool {
	if s.ID == plan.Report || s.OnRequest {
		return true // finish does the report, also for a run that failed before
	}
	if s.Session > 0 && r.state.Sessions[s.Session-1].Done {
		return true
	}
	if s.Session > 0 && !goesDown(s) && r.done[fmt.Sprintf("%s-%d", plan.Prove, s.Session)] {
		return true // it has its proofs, and what runs of it is to be stopped
	}
	switch s.ProverKind() {
	case plan.Connect, plan.Install, plan.StartL1, plan.StartL2, plan.StartWatch, plan.StartLoad, plan.StartProof:
		return false
	}
	return r.done[s.ID]
}

// step does one step and journals it.
func (r *runner) step(ctx context.Context, s plan.Step) error {
	return r.journaled(ctx, s, func() (string, error) { return r.do(ctx, s) })
}

func (r *runner) journaled(ctx context.Context, s plan.Step, do func() (detail string, err error)) error {
	return journal.Step(ctx, r.Run, s.ID, func() (string, error) {
		r.Progress(Progress{Phase: s.ID})
		detail, err := do()
		if err == nil {
			r.done[s.ID] = true
		}
		return detail, err
	})
}

// say tells something that is worth a line of its own.
func (r *runner) say(format string, args ...any) {
	r.Progress(Progress{Message: fmt.Sprintf(format, args...)})
}

// do carries out one step. The detail is for the journal.
func (r *runner) do(ctx context.Context, s plan.Step) (detail string, err error) {
	switch s.ProverKind() {
	case plan.Connect:
		return r.connect(ctx)
	case plan.Install:
		return r.install(ctx)
	case plan.Inspect:
		return r.inspect(ctx)
	case plan.Find:
		return r.find(ctx, s)
	case plan.Judge:
		return r.judge(ctx)
	case plan.Remove:
		return r.remove(ctx, s)
	case plan.BuildSide, plan.BuildLoad:
		return r.build(ctx, s)
	case plan.ImageL1:
		return r.image(ctx, s)
	case plan.Fixtures:
		return r.once(ctx, s)
	case plan.StartL1, plan.StartL2, plan.StartWatch, plan.StartLoad, plan.StartProof:
		return r.bringUp(ctx, s)
	case plan.Deploy:
		return r.deploy(ctx, s)
	case plan.Hold:
		return r.switchCommitter(ctx, s, "stop")
	case plan.Funded:
		return r.funded(ctx, s)
	case plan.Release:
		return r.release(ctx, s)
	case plan.Loaded:
		return r.loaded(ctx, s)
	case plan.Prove:
		return r.prove(ctx, s)
	case plan.StopLoad, plan.StopProof, plan.StopL2, plan.StopL1, plan.StopWatch:
		return r.bringDown(ctx, s)
	case plan.Verify:
		return r.verify(ctx, s)
	}
	return "", fmt.Errorf("the plan has a step %q that this verdict does not know", s.ID)
}

// finish analyzes what was stored and writes reports and manifest. failure is
// why the run is incomplete, nil if it is not.
func (r *runner) finish(failure error) error {
	r.manifest.State, r.manifest.Ended = store.Complete, r.Now().UTC()
	if failure != nil {
		r.manifest.State, r.manifest.Reason = store.Incomplete, journal.FirstLine(failure)
	}
	if failure != nil && !r.measured() {
		// Nothing was measured, so there is nothing to report.
		return r.Run.WriteJSON(store.ManifestName, r.manifest)
	}
	err := r.Run.Journal(plan.Report, store.Started, "")
	if err == nil {
		result := compare.AnalyzeProving(r.records, compare.ProvingRuleOf(&r.Spec))
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
	for _, records := range r.records {
		for _, rec := range records {
			if rec.Attempt != nil {
				return true
			}
		}
	}
	return false
}
