package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/inspect"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/store"
)

const (
	// awayName is the recorded name of verdict on the host.
	awayName = "verdict"
	// awayPoll is the pause between two looks at the run there.
	awayPoll = time.Second
	// awayGrace is how long the run there may take to end when it is
	// interrupted: as long as its programs take to stop, and the reports.
	awayGrace = 2 * time.Minute
)

// away is a devnet run that verdict on another host carries out. This process
// starts it, follows it and fetches what it wrote; it can die at any time and
// be taken up again.
type away struct {
	*runner
	host  host.Host
	state awayState
	// phase is the step that the run there is at.
	phase string
	// paired is how many records of each side were looked at.
	paired int
	// began says that the run there may have been started.
	began bool
}

// awayState is the content of the state file of such a run.
type awayState struct {
	V int `json:"v"`
	// Dir is the run's directory on the host.
	Dir string `json:"dir"`
	// Journal is how far the journal there was copied, in bytes.
	Journal int64 `json:"journal"`
}

// witnessAway carries out a devnet run on another host, or goes on with one.
func witnessAway(ctx context.Context, o Options) error {
	a := &away{runner: newRunner(o)}
	defer a.local.Close()
	var err error
	if a.host, err = o.Servers.Host(o.Spec.Host); err != nil {
		return err
	}
	defer a.host.Close()
	if err := a.open(); err != nil {
		return err
	}
	if a.Servers.Stop {
		return a.end(ctx)
	}
	if err = journal.WithCause(ctx, a.carry(ctx)); err == nil {
		return a.finish(nil)
	}
	var ended *host.ExitError
	switch {
	case !a.began || errors.As(err, &ended):
		// Nothing of this run goes on there.
	case ctx.Err() == nil && host.Lost(err):
		return journal.GoesOn(a.Run, "verdict witness", a.Servers.Again, err, fmt.Sprintf("the run on %s goes on", a.host.Name()), "follow it again")
	default:
		_, failure := a.stop(context.WithoutCancel(ctx))
		err = errors.Join(err, failure)
	}
	return errors.Join(err, a.finish(err))
}

// end is verdict witness --stop: it ends the run there and reports what there
// is.
func (a *away) end(ctx context.Context) error {
	whole, err := a.stop(ctx)
	var reason error
	if !whole {
		reason = fault.Newf(fault.Interrupted, "the run was ended with --stop")
	}
	err = journal.WithCause(ctx, err)
	return errors.Join(err, a.finish(errors.Join(reason, err)))
}

// open prepares the run directory, or reads what an earlier process left.
func (a *away) open() error {
	if !a.Servers.Resume {
		a.state = awayState{V: 1, Dir: journal.NewRemoteDir(a.Run)}
		return errors.Join(a.prepare(), a.Run.WriteJSON(journal.StateName, a.state))
	}
	a.began = true
	if err := journal.ReadState(a.Run, &a.state, &a.manifest); err != nil {
		return fault.Newf(fault.Usage, "the run cannot be taken up again: %w", err).Hint("start a new one")
	}
	var err error
	a.records, err = journal.ReadRecords(a.Run)
	return err
}

// carry does all steps of the plan but the report.
func (a *away) carry(ctx context.Context) error {
	var program string
	err := a.step(ctx, plan.Connect, func() (string, error) {
		out, err := a.host.Run(ctx, "uname -sm\n")
		return strings.TrimSpace(string(out)), fault.As(fault.Prerequisite, err)
	})
	if err == nil {
		err = a.step(ctx, plan.Install, func() (_ string, err error) {
			program, err = inspect.Install(ctx, a.host, a.Servers.Program)
			return program, err
		})
	}
	if err == nil {
		err = a.step(ctx, plan.CarryOut, func() (string, error) { return a.start(ctx, program) })
	}
	if err != nil {
		return err
	}
	ended, err := a.follow(ctx)
	if err != nil {
		return err
	}
	return a.step(ctx, plan.Fetch, func() (string, error) { return "", a.fetch(ctx, ended) })
}

// step does one step that is this process's own, and journals it.
func (a *away) step(ctx context.Context, id string, do func() (detail string, err error)) error {
	if err := errors.Join(ctx.Err(), a.Run.Journal(id, store.Started, "")); err != nil {
		return err
	}
	a.Progress(Progress{Phase: id})
	detail, err := do()
	if err != nil {
		return errors.Join(err, a.Run.Journal(id, store.Failed, journal.FirstLine(journal.WithCause(ctx, err))))
	}
	return a.Run.Journal(id, store.Done, detail)
}

// start has verdict there carry out the run, unless it does already.
func (a *away) start(ctx context.Context, program string) (detail string, err error) {
	a.began = true
	if id, state, err := a.host.Find(ctx, a.state.Dir, awayName); err != nil || state.Phase != host.Absent {
		return id.String(), err // of an earlier process of ours
	}
	there := plan.There(&a.Spec)
	encoded, err := there.Encode()
	if err == nil {
		err = a.Run.Write(thereName(store.SpecName), encoded)
	}
	if err != nil {
		return "", err
	}
	var argv []string
	for _, s := range a.Plan.Steps {
		if s.ID == plan.CarryOut {
			argv = append(argv, s.Argv...)
		}
	}
	argv = journal.Argv(argv, program, a.state.Dir, nil)
	var id host.Identity
	err = a.retry(ctx, func(ctx context.Context) (err error) {
		if err = a.host.Put(ctx, filepath.Join(a.Run.Dir(), thereName(store.SpecName)), a.state.Dir+"/"+store.SpecName, 0o600); err != nil {
			return err
		}
		id, err = a.host.Start(ctx, host.Program{Dir: a.state.Dir, Name: awayName, Argv: argv})
		return err
	})
	return id.String(), err
}

// thereName is the name here of a file of the run there that is not the same
// here.
func thereName(name string) string { return "there-" + name }

// retry does f until the connection holds, as long as the spec's patience lasts.
func (a *away) retry(ctx context.Context, f func(context.Context) error) error {
	since := time.Now()
	return host.Retry(ctx, a.Spec.Patience, func(err error, _ time.Duration) {
		a.Progress(Progress{Phase: a.phase, Note: err.Error() + "; trying again", Waiting: time.Since(since)})
	}, f)
}

// follow shows how the run gets on and copies its samples until it has ended.
func (a *away) follow(ctx context.Context) (host.State, error) {
	for {
		// Whether it runs is asked first: what it wrote before it ended is
		// read afterwards.
		var state host.State
		err := a.retry(ctx, func(ctx context.Context) (err error) {
			_, state, err = a.host.Find(ctx, a.state.Dir, awayName)
			return err
		})
		if err == nil {
			err = a.look(ctx)
		}
		if err != nil || state.Phase != host.Running {
			return state, err
		}
		if err := journal.Pause(ctx, awayPoll); err != nil {
			return state, err
		}
	}
}

// look reads what was written there since.
func (a *away) look(ctx context.Context) error {
	if err := a.readJournal(ctx); err != nil {
		return err
	}
	for _, side := range sample.Sides {
		if err := a.readSamples(ctx, side); err != nil {
			return err
		}
	}
	return a.show()
}

// readFrom reads whole lines of a file of the run there; none while it is not
// there yet.
func (a *away) readFrom(ctx context.Context, name string, offset int64) (lines []byte, err error) {
	err = a.retry(ctx, func(ctx context.Context) (err error) {
		lines, err = journal.Written(ctx, a.host, a.state.Dir+"/run/"+name, offset)
		return err
	})
	return journal.WholeLines(lines), err
}

// readJournal takes the events there into the journal here. Its planned steps
// are here already, and its report is made here.
func (a *away) readJournal(ctx context.Context) error {
	lines, err := a.readFrom(ctx, store.JournalName, a.state.Journal)
	if err != nil || len(lines) == 0 {
		return err
	}
	_, err = store.DecodeLines(store.JournalName, bytes.NewReader(lines), func(e store.Event) error {
		if e.Event == store.Planned || e.Step == plan.Report {
			return nil
		}
		if e.Event == store.Started {
			a.phase = e.Step
			a.Progress(Progress{Phase: e.Step})
		}
		return a.Run.Journal(e.Step, e.Event, e.Detail)
	})
	a.state.Journal += int64(len(lines))
	return errors.Join(err, a.Run.WriteJSON(journal.StateName, a.state))
}

// readSamples copies the samples of a side, byte for byte: the length of what is
// here says where the next ones begin there.
func (a *away) readSamples(ctx context.Context, side sample.Side) error {
	for {
		lines, err := a.readFrom(ctx, store.SamplesName(side), a.Run.Size(side))
		if err != nil || len(lines) == 0 {
			return err
		}
		_, err = store.DecodeLines(store.SamplesName(side), bytes.NewReader(lines), func(r sample.Record) error {
			a.records[side.Index()] = append(a.records[side.Index()], r)
			return store.CheckRecord(r)
		})
		if err = errors.Join(err, a.Run.AppendRaw(side, lines)); err != nil {
			return err
		}
	}
}

// show shows the pairs so far. The two sides have one sample of each block, in
// the same order.
func (a *away) show() error {
	for ; a.paired < min(len(a.records[0]), len(a.records[1])); a.paired++ {
		base, test := a.records[0][a.paired].Sample, a.records[1][a.paired].Sample
		if base == nil || test == nil || base.Control != "" || base.WarmUp {
			continue
		}
		if a.watch == nil {
			var err error
			if a.watch, err = a.newWatch(plan.Step{ID: plan.Measure}, a.Spec.Blocks); err != nil {
				return err
			}
		}
		if err := a.watch.add(base, test); err != nil {
			return err
		}
	}
	if a.watch != nil {
		a.Progress(a.watch.progress(a.watch.monitor.Pairs() + a.watch.monitor.Failed()))
	}
	return nil
}

// fetch copies what else the run left there, and fails if it failed.
func (a *away) fetch(ctx context.Context, ended host.State) error {
	if err := a.look(ctx); err != nil {
		return err
	}
	out, err := a.host.Run(ctx, "cd -- "+shell.Path(a.state.Dir+"/run/"+store.LogsName)+" 2>/dev/null && ls -1\n:\n")
	if err != nil {
		return err
	}
	log := a.Run.Log(awayName)
	err = a.host.Fetch(ctx, a.state.Dir+"/"+awayName+".log", log)
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		if name != filepath.Base(name) || !strings.HasSuffix(name, ".log") {
			continue
		}
		err = errors.Join(err, a.host.Fetch(ctx, a.state.Dir+"/run/"+store.LogsName+"/"+name, filepath.Join(a.Run.Dir(), store.LogsName, name)))
	}
	state := ""
	if err == nil {
		state, err = a.describeAway(ctx)
	}
	if err != nil || state == store.Complete {
		return err
	}
	return fault.As(kindOf(ended.Exit), &host.ExitError{Name: "verdict on " + a.host.Name(),
		How: fmt.Sprintf("ended with status %d", ended.Exit), Log: log, Last: host.Tail(log, 30)})
}

// kindOf is the kind of error that an exit status of verdict stands for.
func kindOf(exit int) fault.Kind {
	switch kind := fault.Kind(exit); kind {
	case fault.Usage, fault.Prerequisite, fault.Interrupted:
		return kind
	}
	return fault.Failed
}

// describeAway takes over what the run there knows of itself, and returns its
// state; empty when it never began.
func (a *away) describeAway(ctx context.Context) (state string, err error) {
	var m store.Manifest
	for _, name := range []string{store.ManifestName, store.StartName} {
		file := filepath.Join(a.Run.Dir(), thereName(name))
		err := a.host.Fetch(ctx, a.state.Dir+"/run/"+name, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		raw, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(raw, &m)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		break
	}
	if m.V == 0 {
		return "", nil
	}
	a.manifest.Network, a.manifest.ChainID, a.manifest.Behind = m.Network, m.ChainID, m.Behind
	a.manifest.Sides, a.manifest.Environment = m.Sides, m.Environment
	for i := range a.manifest.Sides {
		a.manifest.Sides[i].Host, a.manifest.Sides[i].Collector = a.host.Name(), a.host.Name()
	}
	return m.State, a.Run.WriteJSON(store.StartName, a.manifest)
}

// stop interrupts the run there, so that it stops what it started, and fetches
// what it measured. whole says that it had come to its end.
func (a *away) stop(ctx context.Context) (whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, awayGrace+time.Minute)
	defer cancel()
	id, state, err := a.host.Find(ctx, a.state.Dir, awayName)
	if err != nil || state.Phase == host.Absent {
		return false, err
	}
	if state.Phase == host.Running {
		a.Progress(Progress{Phase: a.phase, Message: "interrupting the run on " + a.host.Name()})
		if _, err = a.host.Stop(ctx, id, syscall.SIGINT, awayGrace); err != nil {
			return false, err
		}
	}
	err = a.fetch(ctx, host.State{Phase: host.Ended, Exit: int(fault.Interrupted)})
	var ended *host.ExitError
	if errors.As(err, &ended) {
		return false, nil // as it was told to
	}
	return err == nil, err
}
