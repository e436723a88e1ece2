package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// Servers is what a live run needs beside the options of every run.
type Servers struct {
	// Host reaches the server of that alias.
	Host func(alias string) (host.Host, error)
	// Program is the file of a verdict that runs on that system, as GOOS and
	// GOARCH name it.
	Program func(goos, goarch string) (string, error)
	// Approve asks for the approval of a step that destroys something; seen
	// says what is there. An error refuses.
	Approve func(ctx context.Context, s plan.Step, seen string) error
	// Again are the flags that reach the servers again, each after a blank.
	Again string
	// Resume says that the run was begun before.
	Resume bool
	// Stop says that the run shall only be ended: what it started is stopped,
	// what was collected is fetched and reported.
	Stop bool
}

// live is a run on two servers while it is carried out. The servers do the
// measuring on their own; this only starts, watches and fetches, so that it can
// die at any time and be taken up again.
type live struct {
	*runner
	hosts [2]host.Host
	// programs are the paths of verdict on the servers, facts what was last
	// known of them.
	programs [2]string
	facts    [2]doctor.Facts
	state    liveState
	sessions []plan.Session
	// done holds the IDs of the steps that the journal has as done, tried of
	// those that were begun.
	done, tried map[string]bool
	subjects    [2]doctor.Subject
	// firstHead is the head of each server when the wait for it began, lastWait
	// what the run waited for.
	firstHead [2]uint64
	lastWait  string
	// fetching is held by who appends to the samples.
	fetching sync.Mutex
	// mu guards state and progress while steps are carried out together.
	mu sync.Mutex
	// began says that something was started on a server, reached that both
	// were found fit to go on with.
	began, reached bool
	// patience, if any, is for connections in the place of the spec's.
	patience time.Duration
	// shown are the warnings that were told.
	shown map[string]bool
}

// liveState is the content of the state file.
type liveState struct {
	V int `json:"v"`
	// Dir is the run's directory on both servers.
	Dir string `json:"dir"`
	// Programs are the paths of verdict on the servers.
	Programs [2]string `json:"programs,omitzero"`
	// Approved are the paths whose deletion was approved, by the step that
	// deletes.
	Approved map[string]string `json:"approved,omitempty"`
	// Started are the identities of what was started in tmux, by step.
	Started map[string]string `json:"started,omitempty"`
	// Builds are the binaries, by the step that made them.
	Builds map[string]program.Built `json:"builds,omitempty"`
	// Sessions are in the order of plan.Sessions.
	Sessions []sessionState `json:"sessions"`
}

// sessionState is how far one session is.
type sessionState struct {
	// From is the first block, Until the last at the latest; 0 before the
	// servers agreed on them.
	From  uint64 `json:"from"`
	Until uint64 `json:"until"`
	// Restarted says that the programs were started anew after From was agreed
	// on: the blocks before that have no stored witness any more.
	Restarted bool `json:"restarted,omitempty"`
	// Base is where the lines of each server begin in the samples file of the
	// side that it ran, in bytes.
	Base [2]int64 `json:"base"`
	// Ended says of each server that its collector has ended and all that it
	// wrote is here; Done says it of both.
	Ended [2]bool `json:"ended,omitzero"`
	Done  bool    `json:"done,omitempty"`
}

// witnessLive carries out a live run, or goes on with one.
func witnessLive(ctx context.Context, o Options) error {
	l := &live{runner: newRunner(o), sessions: plan.Sessions(&o.Spec), done: map[string]bool{}, tried: map[string]bool{}, shown: map[string]bool{}}
	defer l.local.Close()
	report := o.Progress
	l.Progress = func(p Progress) {
		l.mu.Lock()
		defer l.mu.Unlock()
		report(p)
	}
	l.began = o.Servers.Resume
	for i, side := range sample.Sides {
		h, err := o.Servers.Host(l.Spec.Side(side).Host)
		if err != nil {
			return err
		}
		l.hosts[i] = h
		defer h.Close()
	}
	err := l.open()
	switch {
	case err != nil:
		return err
	case o.Servers.Stop && l.done[plan.Report]:
		// It is complete, and has left its programs running, as it was told to.
		return l.stopAll(ctx, true)
	case o.Servers.Stop:
		return l.end(ctx)
	}
	err = journal.WithCause(ctx, l.walk(ctx))
	switch {
	case err == nil:
	case ctx.Err() != nil || l.began && l.unreached(err):
		// The servers go on without us; nothing is written that looks final.
		return l.leave(err)
	default:
		err = errors.Join(err, l.stopAll(context.WithoutCancel(ctx), false))
	}
	return errors.Join(err, l.finish(err))
}

// unreached reports whether a run that goes on failed for want of reaching its
// servers: then it is not known how they are, and nothing on them is stopped.
func (l *live) unreached(err error) bool {
	var lost *host.LostError
	return errors.As(err, &lost) || !l.reached
}

// open prepares the run directory, or reads what an earlier process left.
func (l *live) open() error {
	if !l.Servers.Resume {
		if err := l.prepare(); err != nil {
			return err
		}
		l.state = liveState{
			V: 1, Dir: journal.NewRemoteDir(l.Run),
			Approved: map[string]string{}, Started: map[string]string{}, Builds: map[string]program.Built{},
			Sessions: make([]sessionState, len(l.sessions)),
		}
		return l.save(func(*liveState) {})
	}
	if err := journal.ReadState(l.Run, &l.state, &l.manifest); err != nil {
		var missing *fs.PathError
		if errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) {
			return fault.Newf(fault.Usage, "the run ended before it had begun: it has no %s", filepath.Base(missing.Path)).
				Hint("start a new one")
		}
		return err
	}
	if len(l.state.Sessions) != len(l.sessions) {
		return fmt.Errorf("%s speaks of %d sessions, the spec of %d", journal.StateName, len(l.state.Sessions), len(l.sessions))
	}
	events, err := l.Run.Events()
	for _, e := range events {
		l.done[e.Step] = e.Event == store.Done
		l.tried[e.Step] = l.tried[e.Step] || e.Event == store.Started
	}
	records, failure := journal.ReadRecords(l.Run)
	l.records = records
	return errors.Join(err, failure)
}

// save changes the state and writes it.
func (l *live) save(change func(*liveState)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.state)
	return l.Run.WriteJSON(journal.StateName, l.state)
}

// walk carries out the plan, group by group.
func (l *live) walk(ctx context.Context) error {
	steps := l.Plan.Steps
	for len(steps) > 0 {
		n := 1
		for n < len(steps) && steps[n].Together {
			n++
		}
		if err := l.group(ctx, steps[:n]); err != nil {
			return err
		}
		steps = steps[n:]
	}
	return nil
}

// group carries out steps at the same time.
func (l *live) group(ctx context.Context, steps []plan.Step) error {
	steps = slices.DeleteFunc(slices.Clone(steps), l.skip)
	if len(steps) > 0 && !preparing(steps[0]) {
		l.reached = true
	}
	var wg sync.WaitGroup
	errs := make([]error, len(steps))
	for i, s := range steps {
		wg.Go(func() { errs[i] = l.step(ctx, s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// preparing reports whether a step is one of those that reach the servers and
// look at them.
func preparing(s plan.Step) bool {
	switch s.LiveKind() {
	case plan.Connect, plan.Install, plan.Inspect, plan.Judge, plan.Look:
		return true
	}
	return false
}

// measuredAll reports whether all sessions are over.
func (l *live) measuredAll() bool {
	return !slices.ContainsFunc(l.state.Sessions, func(s sessionState) bool { return !s.Done })
}

// skip reports whether a step needs not be done: its session is over, or it was
// done before and has left its result in the run directory. All others look for
// themselves what is left to do.
func (l *live) skip(s plan.Step) bool {
	if s.ID == plan.Report || s.OnRequest {
		return true // finish does the report, also for a run that failed before
	}
	if s.Session > 0 && l.state.Sessions[s.Session-1].Done {
		return true
	}
	if l.measuredAll() {
		return s.LiveKind() != plan.StopConsensus && s.LiveKind() != plan.StopExecution
	}
	switch s.LiveKind() {
	case plan.Inspect, plan.Judge, plan.Look, plan.Build, plan.BuildReplay, plan.Clear:
		return l.done[s.ID]
	case plan.StopExecution:
		return s.Session > 0 && l.done[s.ID]
	}
	return false
}

// step carries out one step.
func (l *live) step(ctx context.Context, s plan.Step) error {
	return l.journaled(ctx, s, func() (string, error) { return l.doLive(ctx, s) })
}

// journaled does a step and journals it.
func (l *live) journaled(ctx context.Context, s plan.Step, do func() (detail string, err error)) error {
	return journal.Step(ctx, l.Run, s.ID, func() (string, error) {
		l.mu.Lock()
		l.tried[s.ID] = true
		l.mu.Unlock()
		l.Progress(Progress{Phase: s.ID})
		detail, err := do()
		switch {
		case err == nil:
			l.mu.Lock()
			l.done[s.ID] = true
			l.mu.Unlock()
		case s.Host != plan.This:
			err = onServer(s, err)
		}
		return detail, err
	})
}

// onServer says which server an error is of, where it does not say so itself.
func onServer(s plan.Step, err error) error {
	var lost *host.LostError
	var failed *host.ScriptError
	if errors.As(err, &lost) || errors.As(err, &failed) {
		return err
	}
	return fmt.Errorf("%s (%s): %w", s.Side, s.Host, err)
}

// doLive carries out one step. The detail is for the journal.
func (l *live) doLive(ctx context.Context, s plan.Step) (detail string, err error) {
	j := s.Side.Index()
	switch s.LiveKind() {
	case plan.Connect:
		return l.connect(ctx, j)
	case plan.Install:
		return l.install(ctx, j)
	case plan.Inspect:
		return "", l.inspect(ctx, j)
	case plan.Judge:
		return l.judge()
	case plan.Look:
		return l.look(ctx, s)
	case plan.Build, plan.BuildReplay:
		return l.build(ctx, s)
	case plan.Clear:
		return l.clear(ctx, s)
	case plan.StartConsensus, plan.StartExecution:
		return l.startInSession(ctx, s)
	case plan.Sync:
		return l.sync(ctx, s)
	case plan.Common:
		return l.common(ctx, s)
	case plan.Collect:
		return l.collect(ctx, s)
	case plan.MeasureLive:
		if l.Spec.Servers.Collector == spec.EthrexReplay {
			return l.measureReplay(ctx, s)
		}
		return l.measureLive(ctx, s)
	case plan.StopCollector:
		if detail, err = l.stopCollector(ctx, s); err != nil {
			return detail, err
		}
		return detail, l.ended(s)
	case plan.StopExecution:
		return l.stopInSession(ctx, s, "execution")
	case plan.StopConsensus:
		return l.stopInSession(ctx, s, "consensus")
	}
	return "", fmt.Errorf("the plan has a step %q that this verdict does not know", s.ID)
}

// script has a login shell on server j execute the script of a step, again when
// the connection breaks: scripts of a plan look first what is done already.
func (l *live) script(ctx context.Context, j int, s plan.Step, script string) ([]byte, error) {
	binary := ""
	switch {
	case s.Build != "":
		binary = l.built(s.Build, j).Binary
	case s.LiveKind() == plan.Collect:
		binary = l.replayBinary(j)
	}
	prelude := fmt.Sprintf("RUN=%s\nVERDICT=%s\nBINARY=%s\nAPPROVED=%s\n",
		shell.Path(l.state.Dir), shell.Path(l.programs[j]), shell.Quote(binary), shell.Quote(l.state.Approved[s.ID]))
	var out []byte
	err := l.retry(ctx, j, func(ctx context.Context) (err error) {
		out, err = l.hosts[j].Run(ctx, prelude+script)
		return err
	})
	return out, err
}

// retry does f until the connection to server j holds, as long as the spec's
// patience lasts. That it was lost, and that it is back, is told.
func (l *live) retry(ctx context.Context, j int, f func(context.Context) error) error {
	patience := l.Spec.Patience
	if l.patience > 0 {
		patience = l.patience
	}
	var lost time.Time
	err := host.Retry(ctx, patience, func(err error, _ time.Duration) {
		if lost.IsZero() {
			lost = time.Now()
			l.Progress(Progress{Message: fmt.Sprintf("%v; trying again for %v", err, patience)})
		}
	}, f)
	if err == nil && !lost.IsZero() {
		l.Progress(Progress{Message: fmt.Sprintf("%s answers again, after %v", l.serverOf(j).Host, time.Since(lost).Round(time.Second))})
	}
	return err
}

// built is the binary of a build on server j.
func (l *live) built(build sample.Side, j int) program.Built {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := plan.Build + "-" + string(build)
	if sample.Sides[j] != build {
		id += "-on-" + string(sample.Sides[j])
	}
	return l.state.Builds[id]
}

// leave ends this process's part of a run that goes on without it.
func (l *live) leave(err error) error {
	l.mu.Lock()
	began := l.began
	l.mu.Unlock()
	if !began {
		// Nothing was started, so nothing goes on.
		return errors.Join(err, l.finish(err))
	}
	return journal.GoesOn(l.Run, "verdict witness", l.Servers.Again, err, "what was started on the servers goes on", "go on with it")
}

// stopAll carries out the steps of the plan that stop something, on both servers
// at the same time and whatever fails; those for requests only when requested.
// Sessions are not over by it: they can be gone on with.
func (l *live) stopAll(ctx context.Context, requested bool) error {
	if !l.began {
		return nil
	}
	l.patience = 30 * time.Second
	defer func() { l.patience = 0 }()
	var stops [2][]stop
	for _, s := range l.Plan.Steps {
		if do := l.stopping(s, requested); do != nil {
			stops[s.Side.Index()] = append(stops[s.Side.Index()], stop{s.ID, do})
		}
	}
	var wg sync.WaitGroup
	var errs [2]error
	for j := range l.hosts {
		wg.Go(func() { errs[j] = stopOn(ctx, l.serverOf(j).Host, stops[j]) })
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// stop is one thing to stop on a server.
type stop struct {
	id string
	do func(context.Context) error
}

// stopLimit bounds one step that stops something.
const stopLimit = 3 * time.Minute

// stopOn stops all of it on one server. When that cannot be reached it is not
// tried again for each step.
func stopOn(ctx context.Context, server string, stops []stop) error {
	var errs []error
	for i, s := range stops {
		limited, cancel := context.WithTimeout(ctx, stopLimit)
		err := s.do(limited)
		cancel()
		errs = append(errs, err)
		var lost *host.LostError
		if errors.As(err, &lost) {
			var left []string
			for _, s := range stops[i:] {
				left = append(left, s.id)
			}
			errs = append(errs, fmt.Errorf("%s: what this run started there may still run; not done: %s", server, strings.Join(left, ", ")))
			break
		}
	}
	return errors.Join(errs...)
}

// stopping is how to carry out a step that stops something that was started, or
// to end a build that was begun; nil for all others.
func (l *live) stopping(s plan.Step, requested bool) func(context.Context) error {
	journaled := func(do func(context.Context, plan.Step) (string, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			return l.journaled(ctx, s, func() (string, error) { return do(ctx, s) })
		}
	}
	switch s.LiveKind() {
	case plan.Build, plan.BuildReplay:
		if l.tried[s.ID] && !l.done[s.ID] {
			return func(ctx context.Context) error { return l.stopBuild(ctx, s) }
		}
	case plan.StopCollector:
		if st := l.state.Sessions[s.Session-1]; st.From != 0 && !st.Done {
			return journaled(l.stopCollector)
		}
	case plan.StopExecution, plan.StopConsensus:
		start := plan.StartExecution
		if s.LiveKind() == plan.StopConsensus {
			start = plan.StartConsensus
		}
		if s.Session == 0 && (!s.OnRequest || requested) && l.tried[start+"-"+string(s.Side)] {
			return journaled(l.doLive)
		}
	}
	return nil
}

// end is verdict witness --stop: it ends a run and reports what there is.
func (l *live) end(ctx context.Context) error {
	err := journal.WithCause(ctx, l.stopAll(ctx, true))
	reason := error(fault.Newf(fault.Interrupted, "the run was ended with --stop"))
	if l.measuredAll() {
		reason = nil
	}
	return errors.Join(err, l.finish(errors.Join(reason, err)))
}

// newPairs is a monitor of the pairs of a session.
func (l *live) newPairs(s plan.Session) (*compare.Monitor, error) {
	rule := compare.RuleOf(&l.Spec)
	if l.Spec.Control > 0 && !s.Control {
		rule.Margin = compare.Analyze(l.records, rule).Rule.Margin
	}
	return compare.NewMonitor(rule)
}

// serverOf is the spec of server j.
func (l *live) serverOf(j int) *spec.Side { return l.Spec.Side(sample.Sides[j]) }
