package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

const (
	// minPoll is the shortest pause between two looks at the samples.
	minPoll = 300 * time.Millisecond
	// minQuiet and maxQuiet bound how long a collector may write nothing before
	// it is looked at.
	minQuiet, maxQuiet = 2 * time.Second, 20 * time.Second
	// collectorGrace is how long a collector may take to end: as long as the
	// request that it is in.
	collectorGrace = 90 * time.Second
)

// collector is the recorded name of a session's collector on a server.
func collector(session int) string {
	return strings.TrimSuffix(plan.SamplesOn(session), ".jsonl") + "-collector"
}

// collect starts the collector of a session on one server, unless it runs.
func (l *live) collect(ctx context.Context, s plan.Step) (detail string, err error) {
	l.setBegan()
	if l.Spec.Servers.Collector == spec.EthrexReplay {
		return l.startInSession(ctx, s)
	}
	j := s.Side.Index()
	state := l.state.Sessions[s.Session-1]
	dir := l.state.Dir
	argv := journal.Argv(s.Argv, l.programs[j], dir, map[string]string{
		plan.Height: fmt.Sprint(state.From), plan.LastHeight: fmt.Sprint(state.Until),
	})
	var id host.Identity
	err = l.retry(ctx, j, func(ctx context.Context) (err error) {
		id, err = l.hosts[j].Start(ctx, host.Program{Dir: dir, Name: collector(s.Session), Argv: argv})
		return err
	})
	return id.String(), err
}

// tail is what is known of one collector.
type tail struct {
	// quiet is since when it has written nothing, restarts how often it was
	// started again.
	quiet    time.Time
	restarts int
	// last is the newest height that it has measured.
	last uint64
}

// stretch follows one session until it has its pairs.
type stretch struct {
	*live
	step    plan.Step
	session plan.Session
	tails   [2]tail
	watch   *watch
	pairing pairing
	// before is how many pairs there were when this process came to it.
	before  int
	started time.Time
}

// measureLive follows the collectors of a session until it has its pairs.
func (l *live) measureLive(ctx context.Context, s plan.Step) (detail string, err error) {
	session := l.sessions[s.Session-1]
	st := &stretch{live: l, step: s, session: session, started: time.Now()}
	monitor, err := l.newPairs(session)
	if err != nil {
		return "", err
	}
	st.watch = &watch{step: s, planned: session.Blocks, monitor: monitor, margin: l.Spec.Margin, quiet: true, started: time.Now()}
	for j := range st.tails {
		st.tails[j].quiet = time.Now()
	}
	if err := st.replayStored(); err != nil {
		return "", err
	}
	st.before = st.pairing.pairs
	st.watch.before = monitor.Pairs()
	return st.follow(ctx)
}

// lookPause is how often the collectors are looked after, beside their samples.
const lookPause = time.Second

// follow takes in what both collectors write, until the session has its pairs.
// Each is read on its own, so that a server that cannot be reached for a while
// does not hold up the other.
func (st *stretch) follow(ctx context.Context) (detail string, err error) {
	reading, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	arrivals := make(chan arrival)
	for j := range st.hosts {
		offset := st.Run.Size(st.sideOn(st.session, j)) - st.state.Sessions[st.session.Number-1].Base[j]
		readers.Go(func() { st.read(reading, j, offset, arrivals) })
	}
	tick := time.NewTicker(lookPause)
	defer tick.Stop()
	for {
		n := st.pairing.pairs
		st.Progress(st.watch.progress(min(n, st.session.Blocks)))
		if n >= st.session.Blocks || st.decided() {
			return st.summary(fmt.Sprintf("%d pairs", n)), nil
		}
		select {
		case a := <-arrivals:
			if a.err == nil {
				a.err = st.keep(a.server, a.lines)
			}
			if a.err != nil {
				return "", a.err
			}
		case <-tick.C:
			if done, err := st.over(ctx); done || err != nil {
				return st.summary(fmt.Sprintf("%d pairs, and the collectors have ended", n)), err
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// arrival is new lines of one server's samples file, or why there are none.
type arrival struct {
	server int
	lines  []byte
	err    error
}

// read sends the lines of server j's samples file from offset on, as they are
// written, until ctx ends or the server is lost for too long.
func (st *stretch) read(ctx context.Context, j int, offset int64, out chan<- arrival) {
	began, count := time.Now(), 0
	for {
		lines, err := st.readLines(ctx, j, offset)
		offset += int64(len(lines))
		count += bytes.Count(lines, []byte("\n"))
		if len(lines) > 0 || err != nil {
			select {
			case out <- arrival{j, lines, err}:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
		// A look for about every third block.
		pace := st.Spec.Servers.Poll
		if count > 3 {
			pace = 3 * time.Since(began) / time.Duration(count)
		}
		if journal.Pause(ctx, min(max(pace, minPoll), st.Spec.Servers.Poll)) != nil {
			return
		}
	}
}

// readLines reads the whole lines of server j's samples file from offset on; at
// most a chunk of them.
func (st *stretch) readLines(ctx context.Context, j int, offset int64) ([]byte, error) {
	var data []byte
	path := st.state.Dir + "/" + plan.SamplesOn(st.session.Number)
	err := st.retry(ctx, j, func(ctx context.Context) (err error) {
		data, err = journal.Written(ctx, st.hosts[j], path, offset)
		return err
	})
	var shrunk *host.ShrunkError
	if errors.As(err, &shrunk) {
		err = fault.Newf(fault.Failed, "%s: %w; a machine that lost its power loses the samples of the last minute", st.serverOf(j).Host, err).
			Hint("verdict witness --stop %s%s   # end the run and report what is here", shell.Quote(st.Run.Dir()), st.Servers.Again)
	}
	return journal.WholeLines(data), err
}

// summary ends a session; what an A/A control shows is told.
func (st *stretch) summary(text string) string {
	if !st.session.Control {
		return text
	}
	shows := compare.Analyze(st.records, compare.RuleOf(&st.Spec)).Control.String()
	st.Progress(Progress{Message: "A/A control: " + shows})
	return text + "; " + shows
}

// decided reports whether the registered rule lets the run end before the
// planned number of pairs.
func (st *stretch) decided() bool {
	return st.Spec.Stop == spec.Auto && !st.session.Control && st.watch.monitor.Decided()
}

// replayStored gives the monitor the sessions before this one, whose sequence it
// goes on with, and the pairing what an earlier process fetched of this one.
func (st *stretch) replayStored() error {
	current := st.session
	for _, s := range st.sessions[:current.Number] {
		if s.Control != current.Control {
			continue
		}
		st.pairing.init()
		if err := st.replaySession(s); err != nil {
			return err
		}
	}
	return nil
}

// replaySession gives the pairing the stored samples of a session.
func (st *stretch) replaySession(s plan.Session) error {
	n := plan.AnalysisSession(&st.Spec, s)
	for i, side := range sample.Sides {
		for _, rec := range st.records[i] {
			if !of(rec, n, s.Control) {
				continue
			}
			if err := st.take(side, rec.Sample); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest fetches what server j's collector has written last.
func (st *stretch) rest(ctx context.Context, j int) error {
	base := st.state.Sessions[st.session.Number-1].Base[j]
	for {
		lines, err := st.readLines(ctx, j, st.Run.Size(st.sideOn(st.session, j))-base)
		if err != nil || len(lines) == 0 {
			return err
		}
		if err := st.keep(j, lines); err != nil {
			return err
		}
	}
}

// keep appends lines of server j's samples file to the run, byte for byte: the
// length of what is here says where the next ones begin there. Then it takes
// their samples into account.
func (st *stretch) keep(j int, lines []byte) error {
	side := st.sideOn(st.session, j)
	if err := st.Run.AppendRaw(side, lines); err != nil {
		return err
	}
	st.tails[j].quiet = time.Now()
	_, err := store.DecodeLines(st.state.Dir+"/"+plan.SamplesOn(st.session.Number), bytes.NewReader(lines), func(r sample.Record) error {
		if err := store.CheckRecord(r); err != nil {
			return err
		}
		st.records[side.Index()] = append(st.records[side.Index()], r)
		if r.Sample == nil {
			return nil
		}
		st.tails[j].last, st.tails[j].restarts = max(st.tails[j].last, r.Sample.Number), 0
		return st.take(side, r.Sample)
	})
	return err
}

// take gives a sample to the pairing and what becomes paired to the monitor.
func (st *stretch) take(side sample.Side, s *sample.Sample) error {
	if st.watch == nil {
		return nil // nobody looks any more: it is only stored
	}
	for _, p := range st.pairing.add(side.Index(), s) {
		if err := st.watch.monitor.Add(p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

// over reports whether no more pairs will come: both collectors have measured
// their last block. A collector that ended before that is started again.
func (st *stretch) over(ctx context.Context) (bool, error) {
	until := st.state.Sessions[st.session.Number-1].Until
	ended := 0
	for j := range st.tails {
		t := &st.tails[j]
		if t.last >= until {
			ended++
			continue
		}
		if time.Since(t.quiet) < st.quietLimit() {
			continue
		}
		if err := st.wake(ctx, j); err != nil {
			return false, err
		}
	}
	return ended == len(st.tails), nil
}

// quietLimit is how long a collector may write nothing before it is looked at:
// the time of some blocks.
func (st *stretch) quietLimit() time.Duration {
	limit := maxQuiet
	if n := st.pairing.pairs - st.before; n > 3 {
		limit = 5 * time.Since(st.started) / time.Duration(n)
	}
	return min(max(limit, minQuiet), maxQuiet, st.Spec.Patience/2)
}

// maxRestarts is how often a collector that ends without a new sample is started
// again.
const maxRestarts = 3

// wake looks after a collector that has written nothing for long.
func (st *stretch) wake(ctx context.Context, j int) error {
	t := &st.tails[j]
	name := collector(st.session.Number)
	_, state, err := st.hosts[j].Find(ctx, st.state.Dir, name)
	if host.Lost(err) {
		return nil // who reads its samples says so, and ends the run in time
	}
	if err != nil {
		return err
	}
	where := st.serverOf(j).Host
	if state.Phase == host.Running {
		if err := st.alive(ctx, j); err != nil && !host.Lost(err) {
			return err
		}
		if waited := time.Since(t.quiet); waited > st.Spec.Patience {
			return fault.Newf(fault.Prerequisite, "gave up: no new block on the %s server (%s) for %v: its last is %d",
				sample.Sides[j], where, waited.Round(time.Second), t.last).
				Hint("verdict doctor %s", shell.Quote(where))
		}
		p := st.watch.progress(min(st.pairing.pairs, st.session.Blocks))
		p.Note, p.Waiting = fmt.Sprintf("no new block on the %s server (%s) since %d", sample.Sides[j], where, t.last), time.Since(t.quiet)
		st.Progress(p)
		return nil
	}
	if t.restarts++; t.restarts > maxRestarts {
		return st.collectorError(ctx, j, fmt.Sprintf("ended %d times without a new sample, at last with status %d", t.restarts, state.Exit))
	}
	st.Progress(Progress{Message: fmt.Sprintf("the collector on %s has ended (status %d) after block %d; it is started again", where, state.Exit, t.last)})
	for _, s := range st.Plan.Steps {
		if s.LiveKind() == plan.Collect && s.Session == st.session.Number && s.Side.Index() == j {
			_, err := st.collect(ctx, s)
			return err
		}
	}
	return nil
}

// collectorError says why a collector does not go on, with the end of its log.
func (st *stretch) collectorError(ctx context.Context, j int, how string) error {
	name := collector(st.session.Number)
	log := filepath.Join(st.Run.Dir(), store.LogsName, fmt.Sprintf("%s-%s.log", name, sample.Sides[j]))
	err := st.hosts[j].Fetch(ctx, st.state.Dir+"/"+name+".log", log)
	return errors.Join(&host.ExitError{Name: "the collector on " + st.serverOf(j).Host, How: how, Log: log, Last: host.Tail(log, 10)}, err)
}

// stopCollector tells the collector of a session on one server to stop, and
// fetches what it has written last.
func (l *live) stopCollector(ctx context.Context, s plan.Step) (detail string, err error) {
	j := s.Side.Index()
	if l.Spec.Servers.Collector == spec.EthrexReplay {
		return l.stopReplay(ctx, s)
	}
	var id host.Identity
	var state host.State
	err = l.retry(ctx, j, func(ctx context.Context) (err error) {
		id, state, err = l.hosts[j].Find(ctx, l.state.Dir, collector(s.Session))
		return err
	})
	if err == nil && state.Phase == host.Running {
		err = l.retry(ctx, j, func(ctx context.Context) error {
			_, err := l.hosts[j].Stop(ctx, id, syscall.SIGTERM, collectorGrace)
			return err
		})
	}
	if err != nil {
		return "", err
	}
	// The two servers are stopped at the same time, and share what is stored.
	l.fetching.Lock()
	defer l.fetching.Unlock()
	rest := &stretch{live: l, step: s, session: l.sessions[s.Session-1]}
	return "", rest.rest(ctx, j)
}

// pairing matches the samples of two collectors as they come, in the order of
// the blocks.
type pairing struct {
	// waiting are samples without the other side's.
	waiting [2]map[blockID]*sample.Sample
	pairs   int
}

type blockID struct {
	number uint64
	hash   string
}

func (p *pairing) init() {
	p.pairs = 0
	for i := range p.waiting {
		p.waiting[i] = make(map[blockID]*sample.Sample)
	}
}

// add takes a sample and returns the pair that it completes, if it does.
func (p *pairing) add(side int, s *sample.Sample) [][2]*sample.Sample {
	if s.WarmUp {
		return nil
	}
	id := blockID{s.Number, s.Hash}
	other := p.waiting[1-side][id]
	if other == nil {
		p.waiting[side][id] = s
		return nil
	}
	delete(p.waiting[1-side], id)
	var pair [2]*sample.Sample
	pair[side], pair[1-side] = s, other
	if s.Status == sample.OK && other.Status == sample.OK {
		p.pairs++
	}
	return [][2]*sample.Sample{pair}
}
