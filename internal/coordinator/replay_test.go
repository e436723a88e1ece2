package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

func TestSchedule(t *testing.T) {
	batches := []uint64{1, 2, 3, 4, 5, 6, 7, 8}
	seen := make(map[sample.Side]bool)
	for seed := range uint64(20) {
		s := Schedule(batches, 1, seed)
		if fmt.Sprint(s) != fmt.Sprint(Schedule(batches, 1, seed)) {
			t.Fatalf("seed %d gives two schedules", seed)
		}
		seen[s[0].Side] = true
		first := 0
		for i, b := range batches {
			x, y := s[2*i], s[2*i+1]
			if x.Batch != b || y.Batch != b || x.Side == y.Side {
				t.Fatalf("seed %d: batch %d is given as %v, %v", seed, b, x, y)
			}
			if i%2 == 1 && x.Side != s[2*i-1].Side {
				t.Fatalf("seed %d: batches %d and %d are not in ABBA order", seed, b-1, b)
			}
			if x.Side == sample.Baseline {
				first++
			}
		}
		if first != len(batches)/2 {
			t.Errorf("seed %d: the baseline is first %d times of %d", seed, first, len(batches))
		}
	}
	if len(seen) != 2 {
		t.Error("every seed begins with the same side")
	}
	if s := Schedule(nil, 1, 1); len(s) != 0 {
		t.Errorf("no batches: %v", s)
	}
}

// All rounds of a batch come together, in ABBA order too.
func TestSchedule_rounds(t *testing.T) {
	s := Schedule([]uint64{7, 9}, 2, 3)
	var got []string
	for i, a := range s {
		if want := (Assignment{[]uint64{7, 9}[i/4], 1 + i/2%2, a.Side}); a != want {
			t.Errorf("assignment %d is %v, want %v", i, a, want)
		}
		got = append(got, string(a.Side))
	}
	if len(got) != 8 || got[0] == got[1] || got[0] != got[3] || got[1] != got[2] || got[4] == got[5] || got[4] != got[7] {
		t.Errorf("the sides take turns as %v, want ABBA for each batch", got)
	}
}

// fixture is a replay in the making and the addresses of its two sides.
type fixture struct {
	*Replay
	addrs    [2]string
	outcomes chan Outcome
	told     *failures
	end      chan error
}

func newFixture(t *testing.T, r *Replay, docs ...[]byte) *fixture {
	t.Helper()
	dir := t.TempDir()
	recorded(t, dir, docs...)
	r.Recording = open(t, dir)
	f := &fixture{Replay: r, outcomes: make(chan Outcome, 100), told: newFailures(), end: make(chan error, 1)}
	r.Noted = func(side sample.Side, what string) { f.told.add(string(side) + ": " + what) }
	if r.Done == nil {
		r.Done = func(o Outcome) error { f.outcomes <- o; return nil }
	}
	var lns [2]net.Listener
	for i := range lns {
		lns[i] = listen(t)
		f.addrs[i] = lns[i].Addr().String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.end <- r.Run(ctx, lns) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return f
}

func (f *fixture) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-f.end:
		return err
	case <-time.After(patience):
		t.Fatal("the replay does not end")
		return nil
	}
}

func submit(batch uint64, public string) []byte {
	return fmt.Appendf(nil, `{"ProofSubmit":{"batch_number":%d,"batch_proof":{"ProofBytes":{"prover_type":"SP1","proof":[1],"public_values":%s}}}}`, batch, public)
}

// prove is a prover: it polls, proves what it gets and submits, until the
// coordinator is gone.
func prove(t *testing.T, addr string, docs map[uint64][]byte) {
	for {
		var doc bytes.Buffer
		m, _, err := Ask(context.Background(), addr, request, &doc)
		switch {
		case err != nil:
			return
		case !m.HasInput():
			<-time.After(time.Millisecond) // the pause between two polls
			continue
		}
		if !bytes.Equal(doc.Bytes(), docs[m.Batch]) {
			t.Errorf("batch %d came with %d bytes, want the %d that were recorded", m.Batch, doc.Len(), len(docs[m.Batch]))
		}
		ack, _, err := ask1(t, addr, submit(m.Batch, "[7]"))
		if err != nil || string(ack) != fmt.Sprintf(`{"ProofSubmitACK":{"batch_number":%d}}`, m.Batch) {
			t.Errorf("the proof of batch %d is answered %s, %v", m.Batch, ack, err)
		}
	}
}

func TestReplay(t *testing.T) {
	docs := map[uint64][]byte{1: response(1, 1<<20), 2: response(2, 100), 3: response(3, 5000)}
	schedule := Schedule([]uint64{1, 2, 3}, 2, 1)
	f := newFixture(t, &Replay{Schedule: schedule, AskWithin: patience, ProveWithin: patience}, docs[1], docs[2], docs[3])
	var wg sync.WaitGroup
	for _, addr := range f.addrs {
		wg.Go(func() { prove(t, addr, docs) })
	}
	if err := f.ended(t); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	close(f.outcomes)
	i := 0
	for o := range f.outcomes {
		if o.Assignment != schedule[i] {
			t.Errorf("outcome %d is of %v, want %v", i, o.Assignment, schedule[i])
		}
		if o.HandedOut.Before(o.Asked) || o.Submitted.Before(o.HandedOut) || o.Received.Before(o.Submitted) {
			t.Errorf("outcome %d is out of order: %+v", i, o)
		}
		if o.Commit != "0eadb15a" || o.Type != "SP1" || string(o.Proof.Public) != "[7]" || !bytes.Equal(o.Doc, submit(o.Batch, "[7]")) {
			t.Errorf("outcome %d: %+v", i, o)
		}
		i++
	}
	if i != len(schedule) {
		t.Errorf("%d outcomes, want %d", i, len(schedule))
	}
}

// one is a schedule that begins with the baseline.
var one = []Assignment{{1, 1, sample.Baseline}, {1, 1, sample.Test}}

func TestReplay_turnsAndStrays(t *testing.T) {
	f := newFixture(t, &Replay{Schedule: one}, response(1, 100))
	base, test := f.addrs[0], f.addrs[1]
	polls := func(addr string, input bool) {
		t.Helper()
		if a, m, err := ask1(t, addr, request); err != nil || m.HasInput() != input {
			t.Fatalf("polling: %.80s, %v, want input %v", a, err, input)
		}
	}
	polls(test, false)
	if _, _, err := ask1(t, test, submit(1, "[1]")); !errors.Is(err, ErrEmpty) {
		t.Errorf("a proof that was not asked for: %v", err)
	}
	f.told.await(t, "test: a proof of batch 1, which this prover was not given")
	if a, _, err := ask1(t, base, []byte(`{"ProverSetup":{"prover_type":"TDX","payload":[]}}`)); err != nil || string(a) != `"ProverSetupACK"` {
		t.Errorf("setting up: %s, %v", a, err)
	}
	if _, _, err := ask1(t, base, []byte(`{"Hello":{}}`)); !errors.Is(err, ErrEmpty) {
		t.Errorf("an unknown request: %v", err)
	}
	f.told.await(t, `"Hello"`)
	polls(base, true)
	for range 2 {
		if a, _, err := ask1(t, base, submit(1, "[1]")); err != nil || string(a) != `{"ProofSubmitACK":{"batch_number":1}}` {
			t.Errorf("submitting: %s, %v", a, err)
		}
	}
	f.told.await(t, "baseline: a second proof of batch 1 was ignored")
	polls(base, false)
	polls(test, true)
	if _, _, err := ask1(t, test, submit(1, "[1]")); err != nil {
		t.Errorf("the last proof is answered %v", err)
	}
	if err := f.ended(t); err != nil {
		t.Error(err)
	}
	if len(f.outcomes) != 2 {
		t.Errorf("%d outcomes, want 2", len(f.outcomes))
	}
}

// A prover that goes away while it is handed a batch may come back for it.
func TestReplay_handedOutInPart(t *testing.T) {
	large := response(1, 32<<20)
	f := newFixture(t, &Replay{Schedule: one}, large)
	nc, err := net.Dial("tcp", f.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	nc.Write(request)
	nc.(*net.TCPConn).CloseWrite()
	io.ReadFull(nc, make([]byte, 1000))
	abort(nc.(*net.TCPConn))
	f.told.await(t, "handing out batch 1")
	if a, _, err := ask1(t, f.addrs[0], request); err != nil || !bytes.Equal(a, large) {
		t.Errorf("asking again: %d bytes, %v", len(a), err)
	}
}

// A prover that goes away each time is not handed the batch for ever.
func TestReplay_neverTaken(t *testing.T) {
	f := newFixture(t, &Replay{Schedule: one}, response(1, 32<<20))
	for range maxBroken {
		nc, err := net.Dial("tcp", f.addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		nc.Write(request)
		nc.(*net.TCPConn).CloseWrite()
		io.ReadFull(nc, make([]byte, 1000))
		abort(nc.(*net.TCPConn))
		f.told.await(t, "handing out batch 1")
		f.told.clear()
	}
	if err := f.ended(t); err == nil || !strings.Contains(err.Error(), "baseline prover went away 3 times while it was handed batch 1") {
		t.Errorf("the replay ended with %v", err)
	}
}

func TestReplay_errors(t *testing.T) {
	check := func(name string, r *Replay, doc []byte, drive func(f *fixture), parts ...string) {
		t.Helper()
		if r.Schedule == nil {
			r.Schedule = one
		}
		f := newFixture(t, r, doc)
		drive(f)
		err := f.ended(t)
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q in it", name, err, part)
			}
		}
	}
	doc := response(1, 100)
	base := func(docs ...[]byte) func(*fixture) {
		return func(f *fixture) {
			for _, d := range docs {
				ask1(t, f.addrs[0], d)
			}
		}
	}
	check("rejects", &Replay{}, doc, base(request, request),
		"baseline prover asked again without a proof of batch 1", "does not accept the recorded input", "0eadb15a")
	check("never asks", &Replay{AskWithin: 50 * time.Millisecond}, doc, base(), "baseline prover has not asked", "batch 1")
	check("hangs", &Replay{ProveWithin: 50 * time.Millisecond}, doc, base(request), "has had batch 1", "no proof")
	check("the other side never asks", &Replay{AskWithin: time.Second}, doc, base(request, submit(1, "[]")), "test prover has not asked")
	check("another generation", &Replay{}, doc, base(Request(InputRequest, "ab", "SP1")), "InputRequest", "recorded as BatchResponse", "another protocol")
	check("a newer recording", &Replay{}, []byte(`{"InputResponse":{"id":1,"input":{},"format":null}}`), base(request), "recorded as InputResponse")
	check("a broken proof", &Replay{}, doc, base(request, []byte(`{"ProofSubmit":{"batch_number":1}}`)), "baseline prover", "0 forms")
	check("no such batch", &Replay{Schedule: []Assignment{{9, 1, sample.Test}}}, doc, base(), "no batch 9")
	check("Done fails", &Replay{Done: func(Outcome) error { return errors.New("no space left") }}, doc, base(request, submit(1, "[]")), "batch 1 of the baseline: no space left")
}

func TestReplay_newerForm(t *testing.T) {
	doc := []byte(`{"InputResponse":{"id":1,"input":{"x":[1]},"format":"Groth16"}}`)
	f := newFixture(t, &Replay{Schedule: one}, doc)
	for _, addr := range f.addrs {
		if a, _, err := ask1(t, addr, Request(InputRequest, "ab", "SP1")); err != nil || !bytes.Equal(a, doc) {
			t.Fatalf("asking: %s, %v", a, err)
		}
		if a, _, err := ask1(t, addr, []byte(`{"ProofSubmit":{"id":1,"proof":{"Proof":[]}}}`)); err != nil || string(a) != `{"ProofSubmitACK":{"id":1}}` {
			t.Errorf("submitting: %s, %v", a, err)
		}
	}
	if err := f.ended(t); err != nil {
		t.Error(err)
	}
}

func TestReplay_canceled(t *testing.T) {
	dir := t.TempDir()
	recorded(t, dir, response(1, 10))
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("interrupted"))
	err := (&Replay{Recording: open(t, dir), Schedule: one}).Run(ctx, [2]net.Listener{listen(t), listen(t)})
	if err == nil || err.Error() != "interrupted" {
		t.Errorf("Run ended with %v", err)
	}
}
