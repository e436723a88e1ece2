package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/collect"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/sample"
)

const (
	// fastPoll and slowPoll bound the pause between two looks at the heads.
	fastPoll = 20 * time.Millisecond
	slowPoll = 250 * time.Millisecond
	// maxBehind is how far behind the heads a block may be that is still
	// measured. Programs keep the state, and the witnesses, of about 128 blocks.
	maxBehind = 100
	// maxSkipped is how many blocks in a row are recorded one by one when they
	// are left out.
	maxSkipped = 200
	// maxDisagree is how many blocks in a row may differ between the sides
	// before they count as two chains: longer than any reorg seen in practice.
	maxDisagree = 64
)

// heads is the source of an attached run: the heads of two servers that
// already run.
type heads struct {
	meters   [2]*meter
	patience time.Duration
	settle   time.Duration
	// emit stores gaps and blocks that were left out.
	emit func(side int, rec sample.Record) error

	sides [2]head
	// height is measured next; 0 before the first look.
	height uint64
	// disagreed counts the blocks in a row that differed between the sides.
	disagreed int
	started   time.Time
}

// head is what is known of one side's chain.
type head struct {
	number uint64
	// seen is when each of the newest heights was first seen.
	seen map[uint64]time.Time
	// lastNew is when the newest height was seen, pause the time between the
	// last two.
	lastNew time.Time
	pause   time.Duration
	// down is when the side stopped answering, zero while it answers.
	down   time.Time
	reason error
	// lacks is why the side did not give the next block when it was asked.
	lacks error
}

func newHeads(meters [2]*meter, patience, settle time.Duration, emit func(int, sample.Record) error) *heads {
	h := &heads{meters: meters, patience: patience, settle: settle, emit: emit, started: time.Now()}
	for i := range h.sides {
		h.sides[i].seen = make(map[uint64]time.Time)
	}
	return h
}

// next waits until both sides have the next block with the same hash.
func (h *heads) next(ctx context.Context, note func(string, time.Duration)) (target, error) {
	since := time.Now()
	for {
		if err := h.look(ctx); err != nil {
			return target{}, err
		}
		t, ok, err := h.common(ctx)
		if err != nil || ok {
			return t, err
		}
		waited := time.Since(since)
		if waited > h.patience {
			return target{}, h.impatient(waited)
		}
		note(h.waitingFor(), waited)
		if err := journal.Pause(ctx, h.pollPause()); err != nil {
			return target{}, err
		}
	}
}

// look asks both sides for their head, at the same time: nothing is measured
// now, and one that hangs must not hide the other.
func (h *heads) look(ctx context.Context) error {
	var wg sync.WaitGroup
	var numbers [2]uint64
	var errs [2]error
	for i, m := range h.meters {
		wg.Go(func() { numbers[i], errs[i] = m.sampler.Head(ctx) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	for i := range h.sides {
		if err := h.update(i, numbers[i], errs[i], now); err != nil {
			return err
		}
	}
	return nil
}

// update takes in what one side answered.
func (h *heads) update(i int, number uint64, err error, now time.Time) error {
	s := &h.sides[i]
	if err != nil {
		if s.down.IsZero() {
			s.down = now
		}
		s.reason = err
		return nil
	}
	if !s.down.IsZero() {
		if err := h.gap(i, now); err != nil {
			return err
		}
	}
	if number <= s.number {
		// A reorg can shorten a chain for a moment. What comes again at those
		// heights is new.
		for n := number + 1; n <= s.number; n++ {
			delete(s.seen, n)
		}
		s.number = number
		return nil
	}
	if s.number != 0 {
		s.pause = now.Sub(s.lastNew) / time.Duration(number-s.number)
	}
	for n := max(s.number, number-min(number, maxBehind)) + 1; n <= number; n++ {
		if _, known := s.seen[n]; !known {
			s.seen[n] = now
		}
		delete(s.seen, n-min(n, 2*maxBehind))
	}
	s.number, s.lastNew = number, now
	return nil
}

// gap records that a side did not answer from s.down until now.
func (h *heads) gap(i int, now time.Time) error {
	s := &h.sides[i]
	rec := sample.Record{V: sample.Version, Gap: &sample.Gap{
		Side: sample.Sides[i], From: s.down.UTC(), OffsetNS: int64(s.down.Sub(h.started)),
		DurationNS: int64(now.Sub(s.down)), Reason: s.reason.Error(),
	}}
	s.down, s.reason = time.Time{}, nil
	return h.emit(i, rec)
}

// common gives the next block if both sides have it. Blocks that differ between
// the sides are recorded and left out.
func (h *heads) common(ctx context.Context) (t target, ok bool, err error) {
	if !h.sides[0].down.IsZero() || !h.sides[1].down.IsZero() {
		return t, false, nil
	}
	both := min(h.sides[0].number, h.sides[1].number)
	if h.height == 0 {
		h.height = both + 1 // blocks that are new to both
	}
	if both < h.height {
		return t, false, nil
	}
	if err := h.skip(both); err != nil {
		return t, false, err
	}
	t, known := h.target(h.height)
	if wait := h.settle - time.Since(latest(t.seen)); known && wait > 0 {
		if err := journal.Pause(ctx, wait); err != nil {
			return t, false, err
		}
	}
	blocks, err := h.fetch(ctx)
	if err != nil || blocks[0].Hash == "" || blocks[1].Hash == "" {
		return t, false, err
	}
	if blocks[0].Hash == blocks[1].Hash {
		t.block = blocks[0]
		h.height++
		h.disagreed = 0
		return t, true, nil
	}
	return t, false, h.differ(blocks, both)
}

// skip leaves out blocks whose state a server may no longer have, because
// measuring takes longer than making blocks. Each is recorded.
func (h *heads) skip(both uint64) error {
	newest := max(h.sides[0].number, h.sides[1].number)
	if newest-h.height <= maxBehind || h.height >= both {
		return nil
	}
	// A server that syncs jumps by millions: one record for each would fill
	// the disk and say no more than a gap does.
	if far := both - h.height; far > maxSkipped {
		for i := range h.sides {
			gap := sample.Gap{Side: sample.Sides[i], From: time.Now().UTC(), OffsetNS: int64(time.Since(h.started)),
				Reason: fmt.Sprintf("%d blocks from %d on were left out: the head jumped ahead", far, h.height)}
			if err := h.emit(i, sample.Record{V: sample.Version, Gap: &gap}); err != nil {
				return err
			}
		}
		h.height = both
		return nil
	}
	for ; newest-h.height > maxBehind && h.height < both; h.height++ {
		message := fmt.Sprintf("more than %d blocks behind the head", maxBehind)
		for i := range h.sides {
			if err := h.leaveOut(i, collect.Block{Number: h.height}, message); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaveOut records a block that is not measured.
func (h *heads) leaveOut(i int, b collect.Block, why string) error {
	return h.emit(i, sample.Record{V: sample.Version, Sample: &sample.Sample{
		Side: sample.Sides[i], Number: b.Number, Hash: b.Hash, Status: sample.Skipped,
		Failure: &sample.Failure{Message: why},
		AskedAt: time.Now().UTC(), OffsetNS: int64(time.Since(h.started)),
		GasUsed: b.GasUsed, Transactions: b.Transactions,
	}})
}

// target says since when both sides have the block at a height.
func (h *heads) target(number uint64) (t target, known bool) {
	known = true
	for i := range h.sides {
		t.seen[i] = h.sides[i].seen[number]
		t.behind[i] = h.sides[i].number - number
		known = known && !t.seen[i].IsZero()
	}
	return t, known
}

// fetch asks both sides for the next block. A side without it, or without an
// answer, leaves its block empty; the next look finds out which.
func (h *heads) fetch(ctx context.Context) (blocks [2]collect.Block, err error) {
	for i, m := range h.meters {
		blocks[i], h.sides[i].lacks = m.sampler.Block(ctx, h.height)
	}
	return blocks, ctx.Err()
}

// differ handles two blocks of the same height: while it may still be a reorg
// that one side has not seen, it waits; then the height is left out.
func (h *heads) differ(blocks [2]collect.Block, both uint64) error {
	const depth = 2
	if both < h.height+depth {
		return nil
	}
	for i, b := range blocks {
		if err := h.leaveOut(i, b, "the other side has another block at this height"); err != nil {
			return err
		}
	}
	h.height++
	if h.disagreed++; h.disagreed < maxDisagree {
		return nil
	}
	return fault.Newf(fault.Failed, "the two servers follow different chains: their blocks differ from %d to %d",
		h.height-maxDisagree, h.height-1).
		Hint("compare the hash of block %d on both, and which peers or consensus client each follows", h.height-1)
}

// impatient says which side the run waited for in vain.
func (h *heads) impatient(waited time.Duration) error {
	what := h.waitingFor()
	return fault.Newf(fault.Prerequisite, "gave up after %v: %s", waited.Round(time.Second), what).
		Hint("wait longer with --patience, or look at that server")
}

// waitingFor says what keeps the next block from being measured.
func (h *heads) waitingFor() string {
	for i, s := range h.sides {
		if !s.down.IsZero() {
			return fmt.Sprintf("the %s server (%s) does not answer: %v", sample.Sides[i], h.meters[i].sampler.URL(), s.reason)
		}
	}
	for i, s := range h.sides {
		if s.lacks != nil {
			return fmt.Sprintf("the %s server (%s) does not give block %d: %v", sample.Sides[i], h.meters[i].sampler.URL(), h.height, s.lacks)
		}
	}
	a, b := h.sides[0].number, h.sides[1].number
	switch {
	case a < h.height && b < h.height:
		return fmt.Sprintf("no new block on either server since %d", max(a, b))
	case a < b:
		return fmt.Sprintf("the baseline server is at block %d, %d behind", a, b-a)
	case b < a:
		return fmt.Sprintf("the test server is at block %d, %d behind", b, a-b)
	}
	return fmt.Sprintf("the servers have different blocks at %d", h.height)
}

// pollPause is short against the time between blocks, and never a busy loop.
func (h *heads) pollPause() time.Duration {
	p := max(h.sides[0].pause, h.sides[1].pause) / 20
	return min(max(p, fastPoll), slowPoll)
}

func latest(times [2]time.Time) time.Time {
	if times[0].After(times[1]) {
		return times[0]
	}
	return times[1]
}

// close records the gap of a side that is still down.
func (h *heads) close() error {
	var errs []error
	for i, s := range h.sides {
		if !s.down.IsZero() {
			errs = append(errs, h.gap(i, time.Now()))
		}
	}
	return errors.Join(errs...)
}

// genesisHash asks for the hash of block 0.
func genesisHash(ctx context.Context, c *ethrpc.Client) (string, error) {
	var block *struct {
		Hash string `json:"hash"`
	}
	if err := c.Call(ctx, &block, "eth_getBlockByNumber", "0x0", false); err != nil {
		return "", err
	}
	if block == nil {
		return "", errors.New("the server has no genesis block")
	}
	return block.Hash, nil
}
