package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/inspect"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/store"
)

// connect opens the connection to server j.
func (l *live) connect(ctx context.Context, j int) (detail string, err error) {
	err = l.retryOnce(ctx, j, func(ctx context.Context) error {
		out, err := l.hosts[j].Run(ctx, "uname -sm\n")
		detail = strings.TrimSpace(string(out))
		return err
	})
	return detail, fault.As(fault.Prerequisite, err)
}

// retryOnce retries only in a run that goes on: at the start, a server that
// cannot be reached is better told at once.
func (l *live) retryOnce(ctx context.Context, j int, f func(context.Context) error) error {
	if l.Servers.Resume {
		return l.retry(ctx, j, f)
	}
	return f(ctx)
}

// install copies verdict to server j.
func (l *live) install(ctx context.Context, j int) (detail string, err error) {
	if path := l.state.Programs[j]; path != "" {
		_, err := l.hosts[j].Run(ctx, "test -x "+shell.Path(path)+"\n")
		if err == nil {
			l.programs[j] = path
			return "there since before: " + path, nil
		}
	}
	err = l.retryOnce(ctx, j, func(ctx context.Context) error {
		path, err := inspect.Install(ctx, l.hosts[j], l.Servers.Program)
		l.programs[j] = path
		return err
	})
	if err == nil && l.Spec.Genesis != "" {
		err = l.hosts[j].Put(ctx, l.Spec.Genesis, l.state.Dir+"/genesis.json", 0o644)
	}
	if err != nil {
		return "", fault.As(fault.Prerequisite, err)
	}
	return l.programs[j], l.save(func(st *liveState) { st.Programs[j] = l.programs[j] })
}

// inspect collects the facts of server j and keeps them with the run.
func (l *live) inspect(ctx context.Context, j int) error {
	q, _ := doctor.ForSide(&l.Spec, sample.Sides[j])
	if err := l.lookAround(ctx, j, q); err != nil {
		return err
	}
	return l.Run.WriteJSON(factsName(sample.Sides[j]), l.facts[j])
}

func factsName(side sample.Side) string { return "facts-" + string(side) + ".json" }

// lookAround asks server j for facts.
func (l *live) lookAround(ctx context.Context, j int, q doctor.Query) error {
	return l.retry(ctx, j, func(ctx context.Context) error {
		s, err := inspect.Remote(ctx, l.hosts[j], l.programs[j], q)
		if err == nil {
			l.facts[j] = s.Facts
			l.subjects[j] = s
			l.subjects[j].Side = sample.Sides[j]
		}
		return err
	})
}

// judge refuses servers that the run would fail on, with all that is wrong at
// once, and says what may spoil its numbers.
func (l *live) judge() (detail string, err error) {
	all := l.findings(func(j int) doctor.Expect {
		_, e := doctor.ForSide(&l.Spec, sample.Sides[j])
		return e
	})
	if err := l.Run.WriteJSON("findings.json", all); err != nil {
		return "", err
	}
	l.describeServers()
	if err := l.Run.WriteJSON(store.StartName, l.manifest); err != nil {
		return "", err
	}
	l.warn(all)
	return fmt.Sprintf("%d checks, %d warnings", len(all), doctor.Count(all)[doctor.Warn]), unfit(all)
}

// warn tells the warnings that were not told yet.
func (l *live) warn(all []doctor.Finding) {
	for _, f := range all {
		if id := f.Host + " " + f.ID; f.Level == doctor.Warn && !l.shown[id] {
			l.shown[id] = true
			l.Progress(Progress{Phase: plan.Judge, Message: fmt.Sprintf("warning: %s: %s: %s", f.Host, f.Seen, f.Means)})
		}
	}
}

// findings judges what was last known of both servers.
func (l *live) findings(expect func(j int) doctor.Expect) []doctor.Finding {
	var all []doctor.Finding
	for j := range l.subjects {
		all = append(all, doctor.Server(l.subjects[j], expect(j))...)
	}
	return append(all, doctor.Together(l.subjects[0], l.subjects[1])...)
}

// unfit is the error of findings that the run would fail on, nil if there are
// none.
func unfit(all []doctor.Finding) error {
	failures := doctor.Failures(all)
	if len(failures) == 0 {
		return nil
	}
	text := make([]string, len(failures))
	for i, f := range failures {
		text[i] = fmt.Sprintf("%s: %s", f.Host, f.Seen)
		if f.Means != "" {
			text[i] += ": " + f.Means
		}
	}
	e := fault.Newf(fault.Prerequisite, "%s", strings.Join(text, "\n"))
	for _, f := range failures {
		for line := range strings.Lines(f.Cure) {
			e = e.Hint("%s", strings.TrimSpace(line))
		}
	}
	return e
}

// describeServers notes in the manifest what the servers are.
func (l *live) describeServers() {
	for j := range l.facts {
		m := l.facts[j].Machine
		s := &l.manifest.Sides[j]
		s.Host, s.Collector = l.serverOf(j).Host, l.serverOf(j).Host
		if s.Ref = l.serverOf(j).Ref; s.Ref != "" && l.Spec.Servers.Synced {
			// Nothing was built: the ref is what the user says that runs there.
			s.Ref += " (as told)"
		}
		s.Environment = &store.Environment{
			Hostname: m.Hostname, OS: m.OS + "/" + m.Arch, Kernel: m.Kernel, CPU: m.CPU, CPUs: m.CPUs,
			MemoryBytes: m.MemoryBytes, LoadAverage: m.Load[0],
		}
	}
	l.manifest.Network = l.Spec.Servers.Network
}

// look finds a database that shall be deleted, and asks for the approval.
func (l *live) look(ctx context.Context, s plan.Step) (detail string, err error) {
	out, err := l.script(ctx, s.Side.Index(), s, s.Script)
	if err != nil {
		return "", err
	}
	var seen struct {
		Path  string `json:"path"`
		Bytes int64  `json:"bytes"`
	}
	if err := json.Unmarshal(out, &seen); err != nil {
		return "", fmt.Errorf("%q is no path and size: %w", out, err)
	}
	detail = fmt.Sprintf("%s on %s, %.1f GB, network %s", seen.Path, s.Host, float64(seen.Bytes)/1e9, l.Spec.Servers.Network)
	clear := plan.Clear + strings.TrimPrefix(s.ID, plan.Look)
	for _, c := range l.Plan.Destructive() {
		if c.ID != clear {
			continue
		}
		if err := l.Servers.Approve(ctx, c, detail); err != nil {
			return "", err
		}
		if err := l.Run.Journal(clear, store.Approved, detail); err != nil {
			return "", err
		}
	}
	l.Progress(Progress{Message: "approved: " + clear + ": " + detail})
	return detail, l.save(func(st *liveState) { st.Approved[clear] = seen.Path })
}

// clear deletes what was approved before, and only that.
func (l *live) clear(ctx context.Context, s plan.Step) (detail string, err error) {
	path := l.state.Approved[s.ID]
	if path == "" {
		return "", fmt.Errorf("step %s was not approved", s.ID)
	}
	_, err = l.script(ctx, s.Side.Index(), s, s.Script)
	return path, err
}

// build makes a binary on a server. It runs there on its own, because a build
// takes long and the connection may break.
func (l *live) build(ctx context.Context, s plan.Step) (detail string, err error) {
	j := s.Side.Index()
	h := l.hosts[j]
	p := host.Program{Dir: l.state.Dir, Name: s.ID, Argv: []string{"bash", "-l", "-c", s.Script}}
	var id host.Identity
	if err := l.retry(ctx, j, func(ctx context.Context) (err error) { id, err = h.Start(ctx, p); return err }); err != nil {
		return "", err
	}
	l.setBegan()
	state, err := l.await(ctx, s, id)
	if err != nil {
		return "", err
	}
	log := filepath.Join(l.Run.Dir(), store.LogsName, s.ID+".log")
	if err := l.retry(ctx, j, func(ctx context.Context) error { return h.Fetch(ctx, p.Dir+"/"+s.ID+".log", log) }); err != nil {
		return "", err
	}
	if state.Exit != 0 {
		// The script says what it is about, with the end of the build's own log.
		const most = 40
		return "", fault.Newf(program.BuildKind(state.Exit), "%s: %s", s.Host, strings.Join(host.Tail(log, most), "\n"))
	}
	out, err := os.ReadFile(log)
	if err != nil {
		return "", err
	}
	built, err := program.ParseBuilt(bytes.TrimSpace(out))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("commit %s, %s", built.Commit, built.Binary), l.save(func(st *liveState) { st.Builds[s.ID] = built })
}

// await waits for a started program to end, and says now and then for how long.
func (l *live) await(ctx context.Context, s plan.Step, id host.Identity) (host.State, error) {
	j, since := s.Side.Index(), time.Now()
	for {
		var state host.State
		err := l.retry(ctx, j, func(ctx context.Context) (err error) {
			_, state, err = l.hosts[j].Find(ctx, l.state.Dir, s.ID)
			return err
		})
		if err != nil || state.Phase != host.Running {
			return state, err
		}
		l.Progress(Progress{Phase: s.ID, Note: "on " + s.Host, Waiting: time.Since(since)})
		if err := journal.Pause(ctx, min(time.Since(since)/4+100*time.Millisecond, 5*time.Second)); err != nil {
			return state, errors.Join(err, nil)
		}
	}
}

// stopBuild ends a build that goes on on a server, with all that it started.
func (l *live) stopBuild(ctx context.Context, s plan.Step) error {
	j := s.Side.Index()
	var stopped bool
	err := l.retry(ctx, j, func(ctx context.Context) error {
		id, state, err := l.hosts[j].Find(ctx, l.state.Dir, s.ID)
		if err != nil || state.Phase != host.Running {
			return err
		}
		stopped = true
		// Killing the build's shell alone would leave its compiler running.
		_, err = l.hosts[j].Run(ctx, fmt.Sprintf("kill -TERM -- -%d\n", id.PID))
		return err
	})
	if err != nil || !stopped {
		return err
	}
	return l.Run.Journal(s.ID, store.Undone, "stopped")
}

// setBegan notes that something goes on on a server.
func (l *live) setBegan() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began = true
}
