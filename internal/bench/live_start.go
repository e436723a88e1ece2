package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// startInSession starts a program in its tmux session, unless it runs already.
func (l *live) startInSession(ctx context.Context, s plan.Step) (detail string, err error) {
	out, err := l.script(ctx, s.Side.Index(), s, s.Script)
	if err != nil {
		return "", fault.As(fault.Prerequisite, err)
	}
	l.setBegan()
	var id host.Identity
	if err := json.Unmarshal(out, &id); err != nil {
		return "", fmt.Errorf("%q is no identity of a process: %w", out, err)
	}
	return id.String(), l.save(func(st *liveState) {
		before := st.Started[s.ID]
		if s.LiveKind() == plan.StartExecution && before != "" && before != id.String() {
			st.Sessions[s.Session-1].Restarted = true
		}
		st.Started[s.ID] = id.String()
	})
}

// logTail is how much of a program's log is kept with the run, in bytes.
const logTail = 2 << 20

// stopInSession stops what this run started under that name, if it runs, and
// fetches the end of its log.
func (l *live) stopInSession(ctx context.Context, s plan.Step, name string) (detail string, err error) {
	j := s.Side.Index()
	out, err := l.script(ctx, j, s, s.Script)
	detail = strings.TrimSpace(string(out))
	if strings.Contains(detail, "killed") {
		l.Progress(Progress{Message: fmt.Sprintf("%s on %s %s", name, s.Host, detail)})
	}
	if err != nil {
		return detail, err
	}
	log, err := l.script(ctx, j, s, fmt.Sprintf("tail -c %d \"$RUN\"/%s 2>/dev/null || true\n", logTail, program.LogOf(name)))
	if err != nil {
		return detail, err
	}
	return detail, l.Run.Write(filepath.Join(store.LogsName, name+"-"+string(s.Side)+".log"), log)
}

// headLimit is how old the newest block of a synced server may be: three slots.
const headLimit = 36 * time.Second

// following is what is looked at while the servers sync: no more than what
// tells whether they are.
func (l *live) following(j int) doctor.Query {
	p := l.serverOf(j).Ports
	return doctor.Query{Ports: doctor.Ports{RPC: p.RPC, Beacon: p.Beacon}}
}

// sync waits until both servers have followed the head.
func (l *live) sync(ctx context.Context, s plan.Step) (detail string, err error) {
	l.setBegan()
	if l.collecting(ctx, s.Session) {
		return "the collectors run", nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, l.Spec.Servers.SyncTimeout, errSyncTimeout)
	defer cancel()
	since := time.Now()
	l.firstHead = [2]uint64{}
	var pace [2]distance
	for {
		var waits [2]string
		for j := range l.hosts {
			if err := l.lookAround(limited, j, l.following(j)); err != nil {
				return "", syncEnd(limited, err)
			}
			if waits[j] = l.unsynced(j, &pace[j]); waits[j] == "" {
				continue
			}
			if err := l.alive(limited, j); err != nil {
				return "", err
			}
		}
		if waits[0] == "" && waits[1] == "" {
			return fmt.Sprintf("heads %d and %d", l.facts[0].Execution.Later.Number, l.facts[1].Execution.Later.Number), nil
		}
		var notes []string
		for j, wait := range waits {
			if wait != "" {
				notes = append(notes, fmt.Sprintf("%s (%s): %s", sample.Sides[j], l.serverOf(j).Host, wait))
			}
		}
		l.lastWait = strings.Join(notes, "; ")
		l.Progress(Progress{Phase: s.ID, Note: l.lastWait, Waiting: time.Since(since)})
		if err := journal.Pause(limited, min(time.Since(since)/10, 15*time.Second)); err != nil {
			return "", syncEnd(limited, fmt.Errorf("%w: %s", err, l.lastWait))
		}
	}
}

// collecting reports whether both collectors of a session run: then what they
// need was made sure of before they were started.
func (l *live) collecting(ctx context.Context, session int) bool {
	if !l.Servers.Resume || l.state.Sessions[session-1].From == 0 || l.byReplay() {
		return false
	}
	for j := range l.hosts {
		_, state, err := l.hosts[j].Find(ctx, l.state.Dir, collector(session))
		if err != nil || state.Phase != host.Running {
			return false
		}
	}
	return true
}

var errSyncTimeout = fmt.Errorf("the servers were not synced in time")

// syncEnd explains the end of a wait by its time limit.
func syncEnd(ctx context.Context, err error) error {
	if context.Cause(ctx) == errSyncTimeout {
		return fault.Newf(fault.Prerequisite, "%w: %w", errSyncTimeout, err).
			Hint("wait longer with --sync-timeout, and see verdict doctor for the servers")
	}
	return err
}

// distance follows how far a server is behind, to tell when it will be there:
// by its speed over the last minute or two, because a sync has phases.
type distance struct {
	// then and before are looks in the past, a minute or more apart.
	then, before look
}

type look struct {
	at   time.Time
	left float64
}

// add takes a distance and returns about how long it takes to get to zero, 0
// when that cannot be told.
func (d *distance) add(now time.Time, left float64) time.Duration {
	const span = time.Minute
	if d.then.at.IsZero() || left > d.before.left {
		d.then, d.before = look{now, left}, look{now, left}
		return 0
	}
	if now.Sub(d.then.at) > span {
		d.before, d.then = d.then, look{now, left}
	}
	elapsed := now.Sub(d.before.at)
	speed := (d.before.left - left) / elapsed.Seconds()
	if elapsed < 10*time.Second || speed <= 0 {
		return 0
	}
	return time.Duration(left / speed * float64(time.Second)).Round(time.Second)
}

// unsynced says why server j does not count as synced yet, with progress; empty
// when it does.
func (l *live) unsynced(j int, pace *distance) string {
	f := &l.facts[j]
	var left float64
	var why []string
	if b := f.Beacon; b != nil {
		switch {
		case b.Problem != "":
			why = append(why, "the beacon API does not answer: "+b.Problem)
		case !b.Ready:
			why = append(why, fmt.Sprintf("%s (distance %d)", b.WhyNot, b.SyncDistance))
			left = float64(b.SyncDistance)
		}
	}
	e := f.Execution
	switch {
	case e == nil || e.Problem != "":
		problem := "the execution client does not answer"
		if e != nil {
			problem += ": " + e.Problem
		}
		return strings.Join(append(why, problem), ", ")
	case string(e.Syncing) != "false":
		why = append(why, fmt.Sprintf("the execution client says that it syncs, its head is %d", e.Head.Number))
	case e.Later.Number == 0:
		why = append(why, "the execution client has no block yet")
	default:
		if age := f.Ended.Sub(time.Unix(int64(e.Later.Timestamp), 0)); age > headLimit {
			why = append(why, fmt.Sprintf("the newest block, %d, is %v old", e.Later.Number, age.Round(time.Second)))
			left = max(left, age.Seconds()/12)
		}
	}
	if len(why) == 0 {
		return l.moving(j)
	}
	text := strings.Join(why, ", ")
	if eta := pace.add(time.Now(), left); eta > 0 {
		text += fmt.Sprintf(", about %v to go", eta)
	}
	return text
}

// moving says that the head of server j has not grown since the wait began.
func (l *live) moving(j int) string {
	head := l.facts[j].Execution.Later.Number
	if l.firstHead[j] == 0 {
		l.firstHead[j] = l.facts[j].Execution.Head.Number
	}
	if head > l.firstHead[j] {
		return ""
	}
	return fmt.Sprintf("the head is %d and has not grown yet", head)
}

// alive makes sure that what this run started on server j still runs: waiting
// for a program that has ended would be waiting for ever.
func (l *live) alive(ctx context.Context, j int) error {
	if l.Spec.Servers.Synced {
		return nil
	}
	step := plan.Step{Host: l.serverOf(j).Host, Side: sample.Sides[j]}
	for _, name := range []string{"execution", "consensus"} {
		out, err := l.script(ctx, j, step, program.Recorded(name))
		if err != nil {
			return err
		}
		state, log, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if state != "running" {
			return &host.ExitError{Name: fmt.Sprintf("the %s program on %s", name, step.Host), How: "has ended", Last: strings.Split(log, "\n")}
		}
	}
	return nil
}

// lead is how far ahead of both heads a session begins, so that both collectors
// are there when its first block comes.
const lead = 4

// common makes sure that both servers can be compared, notes what they are, and
// agrees on the blocks of the session.
func (l *live) common(ctx context.Context, s plan.Step) (detail string, err error) {
	if l.collecting(ctx, s.Session) {
		return "the collectors run", nil
	}
	for j := range l.hosts {
		q, _ := doctor.ForSide(&l.Spec, sample.Sides[j])
		if err := l.lookAround(ctx, j, q); err != nil {
			return "", err
		}
	}
	if err := l.comparable(l.sessions[s.Session-1]); err != nil {
		return "", err
	}
	session := l.sessions[s.Session-1]
	head := max(l.facts[0].Execution.Later.Number, l.facts[1].Execution.Later.Number)
	err = l.save(func(st *liveState) { l.agree(st, session, head) })
	state := l.state.Sessions[s.Session-1]
	return fmt.Sprintf("blocks %d to %d at the latest", state.From, state.Until), err
}

// agree fixes the blocks of a session. One that was begun before keeps its first
// block and gets time for the pairs that it lacks; when its programs were
// started anew meanwhile it begins again ahead of the head, with a warm-up.
func (l *live) agree(st *liveState, s plan.Session, head uint64) {
	n := &st.Sessions[s.Number-1]
	missing := max(0, s.Blocks-l.countPairs(s))
	last := head + lead + uint64(l.Spec.WarmUp+missing+plan.Spare(s.Blocks)) - 1
	switch {
	case n.From == 0:
		n.From, n.Until = head+lead, last
		for j := range n.Base {
			n.Base[j] = l.Run.Size(l.sideOn(s, j))
		}
	case n.Restarted:
		n.From, n.Until, n.Restarted = head+lead, last, false
	case l.Servers.Resume:
		n.Until = max(n.Until, last)
	}
}

// countPairs is how many pairs a session has so far.
func (l *live) countPairs(s plan.Session) int {
	var p pairing
	p.init()
	n := plan.AnalysisSession(&l.Spec, s)
	for i := range l.records {
		for _, rec := range l.records[i] {
			if of(rec, n, s.Control) {
				p.add(i, rec.Sample)
			}
		}
	}
	return p.pairs
}

// of reports whether a record is a sample of that session.
func of(rec sample.Record, session int, control bool) bool {
	return rec.Sample != nil && rec.Sample.Session == session && (rec.Sample.Control != "") == control
}

// sideOn is the side whose samples server j takes in a session.
func (l *live) sideOn(s plan.Session, j int) sample.Side {
	if s.Control {
		return sample.Sides[j]
	}
	return s.Builds[j]
}

// comparable refuses servers that are not what they should be, now that their
// programs run.
func (l *live) comparable(session plan.Session) error {
	all := l.findings(func(j int) doctor.Expect {
		_, e := doctor.ForSide(&l.Spec, sample.Sides[j])
		e.State, e.Commit = doctor.Synced, l.built(session.Builds[j], j).Commit
		return e
	})
	if err := unfit(all); err != nil {
		return err
	}
	l.warn(all)
	for j := range l.facts {
		l.note(session, j, l.facts[j].Execution)
	}
	l.manifest.ChainID = l.facts[0].Execution.ChainID
	return l.Run.WriteJSON(store.StartName, l.manifest)
}

// note puts what a server said into the manifest, under the side that it runs.
func (l *live) note(session plan.Session, j int, e *doctor.Execution) {
	if session.Control || session.Swapped() {
		return
	}
	side := &l.manifest.Sides[j]
	side.RPC = fmt.Sprintf("http://127.0.0.1:%d", l.serverOf(j).Ports.RPC)
	side.Version = e.ClientVersion
	if b := l.built(session.Builds[j], j); b.Commit != "" {
		side.Commit, side.Binary, side.BinarySHA256 = b.Commit, b.Binary, b.SHA256
		if session.Builds[j] == sample.Test {
			l.manifest.Behind = max(0, b.Behind)
		}
		side.Ref = l.Spec.Side(session.Builds[j]).Ref
	} else {
		side.Commit = commitIn(e.ClientVersion)
	}
}

// commitHash is a whole commit hash in the text of web3_clientVersion.
var commitHash = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

func commitIn(version string) string { return commitHash.FindString(version) }
