package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
)

// Assignment is one batch for one side's prover.
type Assignment struct {
	Batch uint64
	// Round counts how often the side gets the batch, from 1.
	Round int
	Side  sample.Side
}

// Schedule gives each batch to both sides, one right after the other, in so many
// rounds, and in ABBA order: the side that comes first alternates from turn to
// turn, so that drift falls on both alike, and the seed chooses anew for every
// two turns which one begins. All rounds of a batch come before the next one.
func Schedule(batches []uint64, rounds int, seed uint64) []Assignment {
	random := rand.New(rand.NewPCG(seed, 0))
	var out []Assignment
	first, turn := 0, 0
	for _, b := range batches {
		for round := 1; round <= rounds; round++ {
			if turn%2 == 0 {
				first = random.IntN(2)
			} else {
				first = 1 - first
			}
			out = append(out, Assignment{b, round, sample.Sides[first]}, Assignment{b, round, sample.Sides[1-first]})
			turn++
		}
	}
	return out
}

// Outcome is an assignment that was carried out.
type Outcome struct {
	Assignment
	// Asked is when the prover's request was whole, HandedOut when the last
	// byte of the answer was written, Submitted when the prover connected with
	// its proof, and Received when that was whole. The differences are on the
	// monotonic clock. The prover's own log has the proving time without the
	// transfers.
	Asked, HandedOut, Submitted, Received time.Time
	// Commit and Type are what the prover said of itself when it asked.
	Commit, Type string
	// Proof describes the proof, Doc is the document as it came.
	Proof Proof
	Doc   []byte
}

// Replay is a coordinator that hands out recorded batches as a schedule says.
// Each side has its own address, by which its prover is known; the side whose
// turn it is not hears that there is nothing to do.
type Replay struct {
	Recording *Recording
	Schedule  []Assignment
	Limits    Limits
	// AskWithin is how long a prover whose turn it is may take to ask, and
	// ProveWithin how long from being handed a batch to its proof; zero is
	// without limit.
	AskWithin, ProveWithin time.Duration
	// Done, which may be nil, gets each outcome before its proof is
	// acknowledged. Its error ends the replay.
	Done func(Outcome) error
	// Noted, which may be nil, hears of what is odd and ignored, such as a
	// proof that comes twice. It is called from several goroutines.
	Noted func(side sample.Side, what string)
}

// Run serves the provers of the baseline and of the test side on their
// listeners until every assignment is done. Whatever keeps a batch from being
// proved is an error: a prover that asks again, does not ask, does not submit,
// or speaks another version of the protocol. It closes both listeners.
func (r *Replay) Run(ctx context.Context, listeners [2]net.Listener) error {
	for _, ln := range listeners {
		defer ln.Close()
	}
	for _, a := range r.Schedule {
		if r.Recording.batch(a.Batch) == nil {
			return fault.Newf(fault.Usage, "recording %s holds no batch %d", r.Recording.Dir, a.Batch)
		}
	}
	if len(r.Schedule) == 0 {
		return nil
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	t := &turns{Replay: r, end: end, changed: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	errs := make([]error, len(listeners))
	for i, ln := range listeners {
		side := sample.Sides[i]
		wg.Go(func() {
			errs[i] = Serve(ctx, ln, r.Limits, func(_ context.Context, q Received, w io.Writer) error {
				return t.answer(side, q, w)
			}, func(_ string, err error) { t.note(side, err.Error()) })
			if errs[i] != nil {
				end(errs[i])
			}
		})
	}
	t.watch(ctx)
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, errDone) {
		return err
	}
	return nil
}

// errDone ends a replay whose schedule is done.
var errDone = errors.New("every batch is proved")

// errIgnored closes a connection whose request was noted already.
var errIgnored = errors.New("ignored")

// phase is how far the current assignment is.
type phase int

const (
	pending phase = iota
	sending
	proving
	storing
)

// turns is the state of a replay.
type turns struct {
	*Replay
	end     context.CancelCauseFunc
	changed chan struct{}

	mu    sync.Mutex
	next  int
	phase phase
	now   Outcome
	// broken counts how often the current batch was handed out in vain.
	broken int
}

// maxBroken is how often a prover may go away while it is handed a batch. Once
// can be an accident; one that does so for ever cannot read the batch.
const maxBroken = 3

func (t *turns) note(side sample.Side, what string) {
	if t.Noted != nil && what != errIgnored.Error() {
		t.Noted(side, what)
	}
}

// set changes the phase under the lock and winds the watch.
func (t *turns) set(p phase) {
	t.phase = p
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// watch ends the replay when a phase takes longer than it may.
func (t *turns) watch(ctx context.Context) {
	for t.watchPhase(ctx) {
	}
}

// watchPhase watches until the phase changes; false is the end.
func (t *turns) watchPhase(ctx context.Context) bool {
	limit, next, p := t.limit()
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-t.changed:
	case <-expired:
		t.expire(next, p, limit)
	}
	return true
}

func (t *turns) limit() (time.Duration, int, phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.phase {
	case pending:
		return t.AskWithin, t.next, pending
	case proving:
		return t.ProveWithin, t.next, proving
	}
	return 0, t.next, t.phase
}

// expire ends the replay unless the phase ended while its time did.
func (t *turns) expire(next int, p phase, limit time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next != next || t.phase != p || next == len(t.Schedule) {
		return
	}
	a := t.Schedule[next]
	if p == pending {
		t.end(fmt.Errorf("the %s prover has not asked for work within %v (next is batch %d): it died or cannot reach this address", a.Side, limit, a.Batch))
		return
	}
	t.end(fmt.Errorf("the %s prover has had batch %d for %v and submitted no proof", a.Side, a.Batch, limit))
}

// answer answers one request of a side's prover.
func (t *turns) answer(side sample.Side, q Received, w io.Writer) error {
	switch q.Message.Kind {
	case BatchRequest, InputRequest:
		return t.handOut(side, q, w)
	case ProofSubmit:
		return t.take(side, q, w)
	case ProverSetup:
		_, err := fmt.Fprintf(w, "%q", ProverSetupACK)
		return err
	}
	return fmt.Errorf("a request that no replay answers: %q", q.Message.Tag)
}

// handOut answers a request for work.
func (t *turns) handOut(side sample.Side, q Received, w io.Writer) error {
	a, turn, err := t.begin(side, q)
	if err != nil {
		t.end(err)
		return errIgnored
	}
	if !turn {
		_, err := w.Write(NothingToDo(q.Message))
		return err
	}
	err = t.send(a.Batch, w)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		// A prover that never had the whole batch may ask for it again.
		t.set(pending)
		err = fmt.Errorf("handing out batch %d: %w", a.Batch, err)
		if t.broken++; t.broken == maxBroken {
			t.end(fmt.Errorf("the %s prover went away %d times while it was handed batch %d: it does not accept the recorded input; its log says why", side, maxBroken, a.Batch))
		}
		return err
	}
	t.now.HandedOut = time.Now()
	t.set(proving)
	return nil
}

// begin starts the current assignment if it is this side's turn.
func (t *turns) begin(side sample.Side, q Received) (a Assignment, turn bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == len(t.Schedule) || t.Schedule[t.next].Side != side {
		return a, false, nil
	}
	a = t.Schedule[t.next]
	switch t.phase {
	case sending, storing:
		return a, false, nil
	case proving:
		return a, false, fmt.Errorf("the %s prover asked again without a proof of batch %d: "+
			"it does not accept the recorded input (its commit is %s, the recording's %s), or proving failed; its log says which",
			side, a.Batch, named(q.Message.Commit), named(t.Recording.batch(a.Batch).Commit))
	}
	want := BatchResponse
	if q.Message.Kind == InputRequest {
		want = InputResponse
	}
	if kind := t.Recording.batch(a.Batch).Kind; kind != want {
		return a, false, fault.Newf(fault.Usage, "the %s prover asks with %s and understands %s only, batch %d was recorded as %s: "+
			"its version speaks another protocol than the recorded one", side, q.Message.Kind, want, a.Batch, kind).
			Hint("record with a coordinator of this prover's generation")
	}
	t.now = Outcome{Assignment: a, Asked: q.Read, Commit: q.Message.Commit, Type: q.Message.Prover}
	t.set(sending)
	return a, true, nil
}

func named(commit string) string {
	if commit == "" {
		return "unknown"
	}
	return commit
}

// send writes the document of a batch as it was recorded.
func (t *turns) send(batch uint64, w io.Writer) error {
	f, err := t.Recording.Document(batch)
	if err != nil {
		t.end(err)
		return err
	}
	defer f.Close()
	n, err := io.CopyBuffer(w, struct{ io.Reader }{f}, make([]byte, chunk))
	if want := t.Recording.batch(batch).Size; err == nil && n != want {
		err = fmt.Errorf("%s has %d bytes, it had %d", f.Name(), n, want)
		t.end(err)
	}
	return err
}

// take judges a submitted proof.
func (t *turns) take(side sample.Side, q Received, w io.Writer) error {
	if !q.Message.HasBatch {
		return errors.New("a proof without a batch number")
	}
	o, fresh, err := t.claim(side, q)
	if err != nil {
		return err
	}
	if fresh {
		if err := t.finish(o); err != nil {
			t.end(err)
			return errIgnored
		}
	}
	_, err = io.Copy(w, bytes.NewReader(Acknowledge(q.Message)))
	return err
}

// claim takes the proof for the current assignment; fresh is false for one that
// was taken before.
func (t *turns) claim(side sample.Side, q Received) (o Outcome, fresh bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	batch := q.Message.Batch
	of := func(a Assignment) bool { return a.Batch == batch && a.Side == side }
	current := t.next < len(t.Schedule) && of(t.Schedule[t.next])
	switch {
	case current && t.phase == proving:
	case slices.ContainsFunc(t.Schedule[:t.next], of) || current && t.phase == storing:
		t.note(side, fmt.Sprintf("a second proof of batch %d was ignored", batch))
		return o, false, nil
	default:
		return o, false, fmt.Errorf("a proof of batch %d, which this prover was not given", batch)
	}
	proof, err := ReadProof(q.Doc)
	if err != nil {
		err = fmt.Errorf("the %s prover: %w", side, err)
		t.end(err)
		return o, false, errIgnored
	}
	t.now.Submitted, t.now.Received = q.Accepted, q.Read
	t.now.Proof, t.now.Doc = proof, q.Doc
	t.set(storing)
	return t.now, true, nil
}

// finish hands the outcome on and passes to the next assignment.
func (t *turns) finish(o Outcome) error {
	if t.Done != nil {
		if err := t.Done(o); err != nil {
			return fmt.Errorf("batch %d of the %s: %w", o.Batch, o.Side, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	t.now, t.broken = Outcome{}, 0
	t.set(pending)
	if t.next == len(t.Schedule) {
		t.end(errDone)
	}
	return nil
}
