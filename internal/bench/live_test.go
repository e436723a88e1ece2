package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// A pair is the same number and the same hash, of blocks that count; one that
// failed on a side is handed on and not counted.
func TestPairing(t *testing.T) {
	var p pairing
	p.init()
	take := func(side int, number uint64, hash string, status sample.Status) int {
		return len(p.add(side, &sample.Sample{Number: number, Hash: hash, Status: status}))
	}
	for _, c := range []struct {
		side   int
		number uint64
		hash   string
		status sample.Status
		want   int
	}{
		{0, 10, "b", sample.OK, 0}, {1, 10, "c", sample.OK, 0}, // a reorg between them
		{1, 10, "b", sample.OK, 1},
		{1, 11, "d", sample.OK, 0}, {0, 11, "d", sample.Timeout, 1},
		{1, 12, "e", sample.OK, 0}, {0, 12, "e", sample.OK, 1},
	} {
		if got := take(c.side, c.number, c.hash, c.status); got != c.want {
			t.Errorf("side %d, block %d %s: completes %d pairs, want %d", c.side, c.number, c.hash, got, c.want)
		}
	}
	if p.pairs != 2 {
		t.Errorf("%d pairs, want 2", p.pairs)
	}
	if got := p.add(0, &sample.Sample{Number: 13, Hash: "f", WarmUp: true}); got != nil {
		t.Errorf("a warm-up is paired: %v", got)
	}
}

func TestDistance(t *testing.T) {
	var d distance
	at := func(s int, left float64) time.Duration {
		return d.add(time.Unix(1000+int64(s), 0), left)
	}
	if got := at(0, 1000); got != 0 {
		t.Errorf("after one look: %v", got)
	}
	if got := at(5, 990); got != 0 {
		t.Errorf("after five seconds: %v", got)
	}
	if got := at(20, 900); got != 180*time.Second {
		t.Errorf("at 5 a second with 900 left: %v", got)
	}
	// It becomes ten times faster; a minute or two later that is what counts.
	at(70, 880)
	at(140, 700)
	if got := at(200, 100); got > 20*time.Second || got == 0 {
		t.Errorf("at 10 a second with 100 left: %v", got)
	}
	if got := at(210, 5000); got != 0 {
		t.Errorf("after a step back: %v", got)
	}
}

// A session keeps its first block over a resume, and gets time for the pairs
// that it lacks when its last block has passed.
func TestAgree(t *testing.T) {
	run, err := store.Create(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if err := run.AppendRaw(sample.Test, []byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	w := spec.Defaults(spec.Live)
	l := &live{runner: &runner{Options: Options{Spec: w, Run: run, Servers: &Servers{}}}}
	s := plan.Session{Number: 1, Builds: [2]sample.Side{sample.Test, sample.Baseline}, Blocks: 200}
	st := liveState{Sessions: make([]sessionState, 1)}
	l.agree(&st, s, 1000)
	n := st.Sessions[0]
	if n.From <= 1000 || n.Until < n.From+uint64(w.WarmUp+200)-1 {
		t.Errorf("blocks %d to %d", n.From, n.Until)
	}
	if n.Base != [2]int64{3, 0} {
		t.Errorf("the lines of the servers begin at %v, want the test side's length for the server that runs it", n.Base)
	}
	l.agree(&st, s, 5000)
	if st.Sessions[0] != n {
		t.Errorf("changed without a resume: %+v", st.Sessions[0])
	}
	l.Servers.Resume = true
	l.agree(&st, s, n.From+5)
	if got := st.Sessions[0]; got.From != n.From || got.Until < n.From+5+200 || got.Base != n.Base {
		t.Errorf("after a resume: %+v", got)
	}
	st.Sessions[0].Restarted = true
	l.agree(&st, s, 5000)
	if got := st.Sessions[0]; got.From <= 5000 || got.Until < got.From+200 || got.Base != n.Base || got.Restarted {
		t.Errorf("after a restart: %+v", got)
	}
}

// What is wrong on a server says on which.
func TestOnServer(t *testing.T) {
	s := plan.Step{Host: "server-1", Side: sample.Test}
	if got := onServer(s, errors.New("no tmux")).Error(); got != "test (server-1): no tmux" {
		t.Error(got)
	}
	lost := &host.LostError{Host: "server-1", Why: "refused"}
	if got := onServer(s, lost).Error(); got != lost.Error() {
		t.Error(got)
	}
}

// A server that cannot be reached is not tried again for each step, and what may
// be left there is said.
func TestStopOn(t *testing.T) {
	var done []string
	step := func(id string, err error) stop {
		return stop{id, func(context.Context) error { done = append(done, id); return err }}
	}
	failed := errors.New("did not end")
	err := stopOn(t.Context(), "server-1", []stop{step("a", nil), step("b", failed), step("c", nil)})
	if !errors.Is(err, failed) || len(done) != 3 {
		t.Errorf("after a failure: did %v, error %v", done, err)
	}
	done = nil
	lost := &host.LostError{Host: "server-1", Why: "no route"}
	err = stopOn(t.Context(), "server-1", []stop{step("a", nil), step("b", lost), step("c", nil), step("d", nil)})
	if !errors.Is(err, lost) || len(done) != 2 || !strings.Contains(err.Error(), "may still run; not done: b, c, d") {
		t.Errorf("of a lost server: did %v, error %v", done, err)
	}
}

// What is stopped is what was begun, and what is kept only on request.
func TestStopping(t *testing.T) {
	w := spec.Defaults(spec.Live)
	w.Baseline.Host, w.Test.Host, w.Test.Ref, w.Servers.Network = "a", "b", "pr", "hoodi"
	w.Servers.Keep = true
	w.Complete(nil)
	l := &live{
		runner: &runner{Options: Options{Spec: w, Plan: plan.Make(&w, "")}},
		state:  liveState{Sessions: make([]sessionState, 1)},
		tried: map[string]bool{
			"build-test": true, "build-baseline": true,
			"start-consensus-baseline": true, "start-execution-baseline": true,
		},
		done: map[string]bool{"build-baseline": true},
	}
	stopped := func(requested bool) (ids []string) {
		for _, s := range l.Plan.Steps {
			if l.stopping(s, requested) != nil {
				ids = append(ids, s.ID)
			}
		}
		return ids
	}
	check := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: stops %v, want %v", what, got, want)
		}
	}
	check("on a failure, with keep", stopped(false), "build-test")
	check("on request", stopped(true), "build-test", "stop-consensus-baseline", "stop-execution-baseline")
	l.state.Sessions[0].From = 10
	check("while measuring", stopped(false), "build-test", "stop-collector-baseline", "stop-collector-test")
	l.state.Sessions[0].Done = true
	check("after measuring", stopped(false), "build-test")
}

// A run that goes on is left alone when its servers cannot be reached, for
// whatever reason, and when they were not looked at yet.
func TestUnreached(t *testing.T) {
	refused := fault.As(fault.Prerequisite, &host.LostError{Host: "a", Why: "permission denied", Hopeless: true})
	l := &live{reached: true}
	if !l.unreached(errors.Join(errors.New("x"), refused)) {
		t.Error("a refused login counts as a failure of the run")
	}
	if l.unreached(errors.New("the head stands still")) {
		t.Error("a failure of the run counts as a server that was not reached")
	}
	l.reached = false
	if !l.unreached(errors.New("no program for that processor")) {
		t.Error("a failure before the servers were looked at counts as one of the run")
	}
}
