package collect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
)

const (
	// maxBehind is how far a block may be behind the head and still be
	// measured. Clients keep stored witnesses and recent states for 128
	// heights; what is older is another kind of request.
	maxBehind = 120
	// maxSkipped bounds the skipped samples of one jump; a gap tells of the
	// rest.
	maxSkipped = 1000
	// minPoll and maxPoll bound the pause between two looks at the head.
	minPoll, maxPoll = 20 * time.Millisecond, 100 * time.Millisecond
	// recheckHead is how often the newest measured block is checked for a
	// reorg that did not change the head's number.
	recheckHead = time.Second
	// minRetry and maxRetry bound the pause between two tries to reach a
	// server that is away.
	minRetry, maxRetry = 50 * time.Millisecond, time.Second
	// absentLimit is how long a block below the head may be unknown to the
	// server before it is given up.
	absentLimit = 5 * time.Second
	// remembered is how many heights below the newest are remembered as
	// measured.
	remembered = 4096
)

// FollowOptions say what Follow measures and when it ends.
type FollowOptions struct {
	// From is the first block. Nil means the first one of Past, or the next one
	// to come.
	From *uint64
	// Until is the last block; nil means no last one. Two servers that are
	// followed with the same Until end at the same height, whatever reorgs
	// either of them has seen.
	Until *uint64
	// Blocks ends it after so many blocks; 0 means never. A block that failed
	// counts, and so does one of Past; a skipped one and a warm-up do not.
	Blocks int
	// WarmUp is how many heights, from the first block on, are marked as
	// warm-up.
	WarmUp uint64
	// Live has a block that is more than 120 behind the head skipped, also when
	// From is old.
	Live bool
	// Past is what earlier calls have emitted for the same collection, in that
	// order.
	Past []Done
	// Held is called for each block of Past as it is found to be done with; nil
	// means nobody wants to know.
	Held func(Done)
	// ChainID is the chain that the server must be on; 0 means any.
	ChainID uint64
	// Verifier proves the witnesses that are due, after they were timed and
	// before anything else is asked of the server; nil proves none.
	Verifier *Verifier
	// Settle is the pause between seeing a head and asking for its witness.
	Settle time.Duration
	// Wait ends it with an error when the server is away for longer; 0 means
	// never.
	Wait time.Duration
	// Waiting is called when the server has gone away, once for each gap; nil
	// means nobody wants to know.
	Waiting func(error)
}

// Follow measures each new block of the server in order, and hands emit one
// record for each sample and each gap, until the options end it, ctx ends or
// emit returns an error. Called again with the same options, and with what it
// had emitted as Past, it goes on where it was: see [Done].
//
// A server that goes away costs at most the sample that was under way, which
// fails; Follow then waits for it, emits the gap when it is back, and goes on
// where it was. A block more than 120 behind the head is skipped, and said to
// be, unless From was that old when the collection began: then old blocks are
// what was asked for. After a reorg the new blocks are measured too, as samples
// of their own.
func Follow(ctx context.Context, s *Sampler, o FollowOptions, emit func(sample.Record) error) error {
	f := follower{
		s: s, o: o, emit: emit,
		held:  map[uint64][]Done{},
		done:  map[blockKey]bool{},
		chain: map[uint64]string{},
		retry: minRetry,
		pace:  maxPoll,
	}
	err := f.start(ctx)
	for err == nil && f.more() {
		var pause time.Duration
		if pause, err = f.step(ctx); err == nil && pause > 0 {
			err = sleep(ctx, pause)
		}
	}
	// A gap that is open at the end is part of the record.
	if gapErr := f.endGap(); gapErr != nil && err == nil {
		err = gapErr
	}
	return err
}

// follower is the state of one Follow.
type follower struct {
	s    *Sampler
	o    FollowOptions
	emit func(sample.Record) error

	chainID uint64
	// floor is the lowest height to measure, next the one that is due.
	floor, next uint64
	head        uint64
	// historic says that no block is too old to be measured.
	historic bool
	// held are the blocks of the past that have not been come across yet, by
	// height.
	held map[uint64][]Done
	// sightings tell when which head was first seen, oldest first.
	sightings []sighting
	// chain is what was measured at each height last, done every block that
	// was.
	chain map[uint64]string
	done  map[blockKey]bool
	count int
	// doubted is the last block whose parent was not what was measured.
	doubted blockKey

	// pace is the time between blocks, as it has been lately.
	pace    time.Duration
	checked time.Time
	// absentSince is since when the server has not known the next block.
	absentSince time.Time

	// gapFrom is when the server went away; zero while it is there.
	gapFrom   time.Time
	gapReason error
	retry     time.Duration
	// lost is when the connection was lost in the last sample, if it was: a
	// gap that is noticed next began there.
	lost time.Time
}

type sighting struct {
	head uint64
	at   time.Time
}

// more reports whether there is something left to measure.
func (f *follower) more() bool {
	return (f.o.Blocks == 0 || f.count < f.o.Blocks) && (f.o.Until == nil || f.next <= *f.o.Until)
}

// start learns the chain and where to begin.
func (f *follower) start(ctx context.Context) error {
	var err error
	if f.chainID, err = f.s.ChainID(ctx); err == nil {
		f.head, err = f.s.Head(ctx)
	}
	if err != nil {
		return f.s.unusable(ctx, err)
	}
	if want := f.o.ChainID; want != 0 && want != f.chainID {
		return WrongChain(f.s.URL(), f.chainID, want)
	}
	f.sightings = []sighting{{f.head, time.Now()}}
	f.begin()
	switch {
	case f.o.From == nil && len(f.o.Past) == 0 && !f.more():
		return fault.Newf(fault.Prerequisite, "%s is past the last block to measure, %d: its head is %d", f.s.URL(), *f.o.Until, f.head)
	case f.next > f.floor || f.next > f.head:
		return nil
	}
	if _, err := f.s.Block(ctx, f.next); errors.Is(err, ErrNoBlock) {
		return fault.Newf(fault.Prerequisite, "%s has no block %d; its head is %d", f.s.URL(), f.next, f.head)
	} else if err != nil {
		return f.s.unusable(ctx, err)
	}
	return nil
}

// WrongChain is the error of a server that is on another chain than the one
// that was asked for.
func WrongChain(url string, is, want uint64) error {
	return fault.Newf(fault.Prerequisite, "%s is on chain %d, but chain %d is expected", url, is, want)
}

// step looks at the head and measures at most one block. It returns how long
// to pause before the next step.
func (f *follower) step(ctx context.Context) (pause time.Duration, err error) {
	head, err := f.s.Head(ctx)
	if err != nil {
		return f.away(ctx, err)
	}
	f.lost = time.Time{}
	f.sight(head)
	if head+1 < f.next {
		// The chain got shorter: look at what is at its end now.
		f.next = max(head, f.floor)
	}
	if f.next > head {
		if pause, err := f.back(ctx); pause > 0 || err != nil {
			return pause, err
		}
		return f.idle(ctx), nil
	}
	if err := f.skip(); err != nil || !f.more() {
		return 0, err
	}
	seen := f.seen(f.next)
	if wait := time.Until(seen.Add(f.o.Settle)); wait > 0 {
		// The block is fetched after that, since it can change meanwhile.
		return wait, nil
	}
	block, err := f.s.Block(ctx, f.next)
	if err != nil && !errors.Is(err, ErrNoBlock) {
		return f.away(ctx, err)
	}
	if pause, err := f.back(ctx); pause > 0 || err != nil {
		return pause, err
	}
	if err != nil {
		return f.absent()
	}
	f.absentSince = time.Time{}
	return 0, f.take(ctx, block, seen)
}

// take measures block, or goes a step back when its parent is not the block
// that was measured.
func (f *follower) take(ctx context.Context, block Block, seen time.Time) error {
	key := blockKey{block.Number, block.Hash}
	if !f.linked(block) && f.doubted != key {
		// Once only: a server that contradicts itself must not hold up the rest.
		f.doubted = key
		f.forget()
		f.next--
		return nil
	}
	f.comeAcross(key.number)
	if f.done[key] {
		f.settle(block)
		return nil
	}
	out, body, err := f.s.Measure(ctx, Ask{
		Block: block, Seen: seen, Behind: f.head - key.number, WarmUp: f.isWarmUp(key.number),
	})
	if err != nil {
		return err
	}
	if out.Status == sample.OK && f.o.Verifier.Due(key.number) {
		f.o.Verifier.Prove(ctx, f.s.client, block, &out, body)
	}
	f.finish(key)
	f.settle(block)
	switch out.Status {
	case sample.Unavailable, sample.Truncated:
		f.lost = f.s.start.Add(time.Duration(out.OffsetNS + out.TotalNS))
	case sample.Reorged:
		f.forget()
		f.next = key.number // what is there now is measured next
	}
	return f.emit(sample.Record{V: sample.Version, Sample: &out})
}

// isWarmUp reports whether the samples of a height are warm-up. The height
// decides and not a count, so that a restart changes nothing.
func (f *follower) isWarmUp(number uint64) bool { return number-f.floor < f.o.WarmUp }

// finish notes that a block is measured.
func (f *follower) finish(key blockKey) {
	f.done[key] = true
	if !f.isWarmUp(key.number) {
		f.count++
	}
}

// linked reports whether block follows on what was measured below it.
func (f *follower) linked(block Block) bool {
	if block.Number == 0 {
		return true
	}
	parent, ok := f.chain[block.Number-1]
	return !ok || parent == block.ParentHash
}

// forget drops when the heads were first seen: after a reorg that was about
// other blocks.
func (f *follower) forget() { f.sightings = []sighting{{f.head, time.Now()}} }

// settle notes that block is dealt with and goes on to the next height.
func (f *follower) settle(block Block) {
	f.chain[block.Number] = block.Hash
	f.next = block.Number + 1
	if len(f.done) < 2*remembered || block.Number < remembered {
		return
	}
	floor := block.Number - remembered
	for key := range f.done {
		if key.number < floor {
			delete(f.done, key)
		}
	}
	for number := range f.chain {
		if number < floor {
			delete(f.chain, number)
		}
	}
}

// idle is a look at a head that is already dealt with. It returns the pause
// until the next look.
func (f *follower) idle(ctx context.Context) time.Duration {
	pause := min(max(f.pace/20, minPoll), maxPoll)
	measured, ok := f.chain[f.head]
	if !ok || time.Since(f.checked) < recheckHead {
		return pause
	}
	f.checked = time.Now()
	// An error is nothing yet: the next look at the head tells.
	if block, err := f.s.Block(ctx, f.head); err == nil && block.Hash != measured {
		f.forget()
		f.next = f.head
		return 0
	}
	return pause
}

// sight notes a head and the pace at which it moves.
func (f *follower) sight(head uint64) {
	if head == f.head {
		return
	}
	now := time.Now()
	if head < f.head {
		f.head = head
		f.forget()
		return
	}
	last := f.sightings[len(f.sightings)-1]
	pace := now.Sub(last.at) / time.Duration(min(head-f.head, 1<<20))
	f.pace += (pace - f.pace) / 4
	f.head = head
	f.sightings = append(f.sightings, sighting{head, now})
	// Sightings of heads below the next block will not be asked for, but the
	// newest stays, for the pace.
	for len(f.sightings) > 1 && f.sightings[0].head < f.next {
		f.sightings = f.sightings[1:]
	}
}

// seen is when the block at a height was first known to exist.
func (f *follower) seen(number uint64) time.Time {
	for _, s := range f.sightings {
		if s.head >= number {
			return s.at
		}
	}
	return time.Now()
}

// absent is a block that the server does not have although its head is not
// below it.
func (f *follower) absent() (time.Duration, error) {
	if f.absentSince.IsZero() {
		f.absentSince = time.Now()
	}
	if time.Since(f.absentSince) < absentLimit {
		return maxPoll, nil
	}
	f.absentSince = time.Time{}
	return 0, f.emitSkipped("the server does not have the block")
}

// skip leaves out what is too far behind the head.
func (f *follower) skip() error {
	if f.historic || f.head-f.next <= maxBehind {
		return nil
	}
	first := f.head - maxBehind
	if f.o.Until != nil {
		first = min(first, *f.o.Until+1)
	}
	for range maxSkipped {
		if f.next >= first {
			return nil
		}
		if err := f.emitSkipped(fmt.Sprintf("more than %d blocks behind the head", maxBehind)); err != nil {
			return err
		}
	}
	if f.next >= first {
		return nil
	}
	now := time.Now()
	reason := fmt.Sprintf("blocks %d to %d skipped: more than %d blocks behind the head", f.next, first-1, maxBehind)
	f.next = first
	return f.emit(f.s.Gap(now, now, reason))
}

func (f *follower) emitSkipped(reason string) error {
	key := blockKey{number: f.next}
	f.next++
	if f.comeAcross(key.number) || f.done[key] {
		return nil // a chain that shrank and grew again is no second time
	}
	f.done[key] = true
	out := f.s.blank(Ask{Block: Block{Number: key.number}, Behind: f.head - key.number, WarmUp: f.isWarmUp(key.number)}, time.Now())
	out.Status = sample.Skipped
	out.Failure = &sample.Failure{Message: reason}
	return f.emit(sample.Record{V: sample.Version, Sample: &out})
}

// away notes that the server did not answer a light call, and returns how long
// to wait before the next try.
func (f *follower) away(ctx context.Context, err error) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	now := time.Now()
	if f.gapFrom.IsZero() {
		f.gapFrom, f.gapReason, f.retry = now, err, minRetry
		if !f.lost.IsZero() {
			f.gapFrom = f.lost
		}
		if f.o.Waiting != nil {
			f.o.Waiting(err)
		}
	}
	if f.o.Wait > 0 && now.Sub(f.gapFrom) > f.o.Wait {
		return 0, fault.Newf(fault.Prerequisite, "%s has not answered for %v: %w", f.s.URL(), f.o.Wait, err)
	}
	pause := f.retry
	f.retry = min(2*f.retry, maxRetry)
	return pause, nil
}

// back ends the gap, if there is one, and makes sure that the server that came
// back is on the same chain. A pause means that it is not back yet.
func (f *follower) back(ctx context.Context) (pause time.Duration, err error) {
	if f.gapFrom.IsZero() {
		return 0, nil
	}
	id, err := f.s.ChainID(ctx)
	if err != nil {
		return f.away(ctx, err)
	}
	if err := f.endGap(); err != nil {
		return 0, err
	}
	if id != f.chainID {
		return 0, fault.Newf(fault.Prerequisite, "%s came back on chain %d; it was on chain %d", f.s.URL(), id, f.chainID)
	}
	return 0, nil
}

func (f *follower) endGap() error {
	if f.gapFrom.IsZero() {
		return nil
	}
	from := f.gapFrom
	f.gapFrom = time.Time{}
	return f.emit(f.s.Gap(from, time.Now(), f.gapReason.Error()))
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
