package prove

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/store"
)

const (
	// pace is the pause between two looks at what the collector wrote.
	pace = time.Second
	// maxRestarts is how often a collector that ends without anything new is
	// started again.
	maxRestarts = 3
)

// follower takes in what the collector of a session writes.
type follower struct {
	*runner
	step    plan.Step
	session plan.Turn
	proofs  *proofs
	// before is how many batches of the other sessions count.
	before int
	// fatal is why no proof will come any more, as the collector noticed.
	fatal error
	// checked is when the programs were last looked at.
	checked time.Time
}

// newFollower follows the session of a step, from what is here of it on.
func (r *runner) newFollower(s plan.Step) *follower {
	f := &follower{runner: r, step: s, session: r.sessions[s.Session-1], proofs: newProofs(&r.Spec), checked: time.Now()}
	others := make(map[int]*proofs)
	for _, records := range r.records {
		for _, rec := range records {
			n := sessionOf(rec)
			if n == s.Session {
				f.take(rec)
				continue
			}
			if others[n] == nil {
				others[n] = newProofs(&r.Spec)
			}
			others[n].add(rec)
		}
	}
	for _, o := range others {
		f.before += o.counted()
	}
	return f
}

// sessionOf is the session of a record.
func sessionOf(rec sample.Record) int {
	switch {
	case rec.Attempt != nil:
		return rec.Attempt.Session
	case rec.Batch != nil:
		return rec.Batch.Session
	case rec.Notice != nil:
		return rec.Notice.Session
	case rec.Machine != nil:
		return rec.Machine.Session
	}
	return 0
}

// read takes in the lines that are new on the host, byte for byte: the length of
// what is here says where the next ones begin there.
func (f *follower) read(ctx context.Context) error {
	path := f.dir(f.session.Number) + "/samples.jsonl"
	for {
		offset := f.Run.Size(f.session.Side) - f.state.Sessions[f.session.Number-1].Base
		data, err := journal.Written(ctx, f.Host, path, offset)
		var shrunk *host.ShrunkError
		if errors.As(err, &shrunk) {
			return fault.Newf(fault.Failed, "%s: %w; a machine that lost its power loses the samples of the last second", f.Host.Name(), err).
				Hint("%s --stop %s%s   # end the run and report what is here", Command, shell.Quote(f.Run.Dir()), f.Again)
		}
		lines := journal.WholeLines(data)
		if err != nil || len(lines) == 0 {
			return errors.Join(err, f.fatal)
		}
		if err := f.keep(path, lines); err != nil {
			return err
		}
		f.restarts = 0
	}
}

// rest takes in what a collector that has ended wrote last. What it noticed ends
// nothing any more.
func (f *follower) rest(ctx context.Context) error {
	f.fatal = nil
	err := f.read(ctx)
	if err != nil && err == f.fatal {
		return nil
	}
	return err
}

// keep appends lines of the collector's file to the run and takes them into
// account.
func (f *follower) keep(path string, lines []byte) error {
	if err := f.Run.AppendRaw(f.session.Side, lines); err != nil {
		return err
	}
	_, err := store.DecodeLines(path, bytes.NewReader(lines), func(rec sample.Record) error {
		if err := store.CheckRecord(rec); err != nil {
			return err
		}
		i := f.session.Side.Index()
		f.records[i] = append(f.records[i], rec)
		f.take(rec)
		if rec.Notice != nil {
			f.warn(rec.Notice)
		}
		return nil
	})
	return err
}

// take takes a record into account.
func (f *follower) take(rec sample.Record) {
	f.proofs.add(rec)
	n := rec.Notice
	if n == nil {
		return
	}
	switch n.Kind {
	case sample.VersionMismatch:
		f.fatal = fault.Newf(fault.Failed, "the prover gets no batch, for it is of another commit than the sequencer: %s", n.Message).
			Hint("build L2 and prover from one ref")
	case sample.TypeNotNeeded:
		f.fatal = fault.Newf(fault.Failed, "the deployment needs no proofs of backend %s: %s", f.Spec.Backend, n.Message).
			Hint("deploy for the backend that proves, or prove with the one that was deployed for")
	}
}

// warn tells what the collector noticed; what repeats only once, but each proof
// that was refused.
func (f *follower) warn(n *sample.Notice) {
	id := string(n.Kind) + fmt.Sprint(n.Session)
	if n.Kind == sample.ProofRefused && n.Batch != nil {
		id += fmt.Sprint(*n.Batch, n.At)
	}
	if n.Kind == sample.ProverStarted || f.warned[id] {
		return
	}
	f.warned[id] = true
	switch n.Kind {
	case sample.ProofRefused:
		f.say("a proof was refused, and its batch will be proved again: %s", n.Message)
	case sample.NoMetrics:
		f.say("warning: the metrics page of the L2 does not answer; figures come from its RPC: %s", n.Message)
	default:
		f.say("warning: %s: %s", n.Kind, n.Message)
	}
}

// supervise starts a collector that has ended again, every now and then.
func (f *follower) supervise(ctx context.Context) error {
	if time.Since(f.checked) < rounds {
		return nil
	}
	f.checked = time.Now()
	if !f.up[nameWatch] {
		return nil
	}
	_, st, err := f.found(ctx, f.session.Number, nameWatch)
	if err != nil || st.Phase == host.Running {
		return err
	}
	if f.restarts++; f.restarts > maxRestarts {
		return f.exited(ctx, f.session.Number, nameWatch, st)
	}
	f.say("the collector has ended with status %d; it is started again", st.Exit)
	for _, s := range f.Plan.Steps {
		if s.ProverKind() == plan.StartWatch && s.Session == f.session.Number {
			_, err = f.launch(ctx, s)
		}
	}
	return err
}

// stretch is the wait for the proofs of a session.
type stretch struct {
	*follower
	limit time.Duration
	// began is when this process came to it, first what counted then.
	began time.Time
	first int
	// moved is when a proof was accepted or verified last, proved and verified
	// what there was then.
	moved            time.Time
	proved, verified int
	// head is the newest block, grew when that came.
	head uint64
	grew time.Time
	// loadEnd is the block at which the load had ended, 0 while it goes on.
	loadEnd uint64
}

// prove waits until enough batches with load are proved and verified.
func (r *runner) prove(ctx context.Context, s plan.Step) (detail string, err error) {
	now := time.Now()
	st := &stretch{follower: r.newFollower(s), limit: r.Spec.Timeouts.Proof, began: now, moved: now, grew: now}
	if err := st.read(ctx); err != nil {
		return "", err
	}
	st.first = st.proofs.counted()
	for {
		st.show()
		if n := st.proofs.counted(); n >= st.session.Batches {
			return fmt.Sprintf("%d batches; %s", n, st.proofs.describe()), nil
		}
		if err := st.check(ctx); err != nil {
			return "", err
		}
		if err := journal.Pause(ctx, pace); err != nil {
			return "", err
		}
		if err := st.read(ctx); err != nil {
			return "", err
		}
	}
}

// show shows how far the session is.
func (st *stretch) show() {
	p := Progress{Phase: st.step.ID, Planned: st.Spec.Batches * len(st.Spec.Sides()), Median: st.proofs.median()}
	p.Sealed, p.Proved, p.Verified = st.proofs.numbers()
	n := st.proofs.counted()
	p.Counted = st.before + n
	if done := n - st.first; done > 0 {
		p.Left = time.Duration(float64(time.Since(st.began)) / float64(done) * float64(max(0, st.session.Batches-n)))
	}
	if waited := time.Since(st.moved); waited > st.limit/4 {
		p.Note, p.Waiting = "no proof since", waited
	}
	st.Progress(p)
}

// check ends a wait that would be for ever.
func (st *stretch) check(ctx context.Context) error {
	if _, proved, verified := st.proofs.numbers(); proved != st.proved || verified != st.verified {
		st.proved, st.verified, st.moved = proved, verified, time.Now()
	}
	if time.Since(st.checked) < rounds {
		return nil
	}
	if err := st.supervise(ctx); err != nil {
		return err
	}
	if err := st.alive(ctx, st.session.Number); err != nil {
		return err
	}
	if err := st.growing(ctx); err != nil {
		return err
	}
	if err := st.lasting(ctx); err != nil {
		return err
	}
	if waited := time.Since(st.moved); waited > st.limit {
		return st.failure(ctx, st.session.Number, nameProver, fmt.Sprintf("has got nothing accepted and verified for %v: %s", st.limit, st.proofs.describe()))
	}
	return nil
}

// growing makes sure that the L2 makes blocks: it may answer without doing so.
func (st *stretch) growing(ctx context.Context) error {
	head, err := st.runner.head(ctx)
	if err == nil && head > st.head {
		st.head, st.grew = head, time.Now()
	}
	if waited := time.Since(st.grew); waited > st.Spec.Timeouts.Ready {
		how := fmt.Sprintf("answers and has made no block since %d, for %v", st.head, waited.Round(time.Second))
		if err != nil {
			how = fmt.Sprintf("has not answered for %v: %v", waited.Round(time.Second), err)
		}
		return st.failure(ctx, st.session.Number, nameL2, how)
	}
	return ctx.Err()
}

// lasting makes sure that the load lasts: one that has ended makes no more
// batches than those that are sealed once its last block is.
func (st *stretch) lasting(ctx context.Context) error {
	if !st.up[nameLoad] {
		return nil
	}
	if st.loadEnd == 0 {
		_, load, err := st.found(ctx, st.session.Number, nameLoad)
		if err != nil || load.Phase == host.Running {
			return err
		}
		st.loadEnd = st.head + 1
	}
	sealed := false
	for _, b := range st.proofs.batches {
		sealed = sealed || b.LastBlock >= st.loadEnd
	}
	have := st.proofs.possible()
	if !sealed || have >= st.session.Batches {
		return nil
	}
	e := fault.Newf(fault.Failed, "the load has ended after %d transactions of each account, which made %d of the %d batches that shall count", st.Spec.Transactions, have, st.session.Batches)
	if enough := st.enough(have); enough > 0 {
		e = e.Hint("--transactions %d   # about as many as that takes", enough)
	}
	return e.Hint("--endless   # load until the proofs are there")
}

// enough is about how many transactions of each account make the planned
// batches, with a fifth to spare; 0 when that cannot be told.
func (st *stretch) enough(have int) int {
	if have == 0 {
		return 0
	}
	return int(math.Ceil(1.2 * float64(st.Spec.Transactions) * float64(st.session.Batches+1) / float64(have)))
}
