package sequencer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/witness"
)

// maxBytes is how many bytes of transactions a batch holds: what fits into one
// blob, 4096 words of which 31 bytes each can be used. The rollup posts no
// blobs; it is here so that batches end where ethrex's do.
const maxBytes = 4096 * 31

// maxBlocks is how many blocks a batch holds, however empty they are: after hours
// without an L1, or with a stopped committer, the rest goes into the next
// batches, and no batch needs all memory of a prover.
const maxBlocks = 1024

// retryPause is how long the committer waits when the L1 did not take a batch.
const retryPause = 5 * time.Second

// committer closes batches and commits them to the L1, one each commit time.
type committer struct {
	chain  *chain
	files  *files
	l1     *settlement
	meters *meters
	log    *slog.Logger

	commitTime time.Duration
	// gasLimit ends a batch; 0 is none.
	gasLimit uint64
	config   *params.ChainConfig
	// commit is the commit hash of this build.
	commit string

	// changed wakes the loop after an order.
	changed chan struct{}

	mu sync.Mutex
	// running tells whether batches are made, and due when the next one is.
	running bool
	due     time.Time
}

// isRunning tells whether batches are made.
func (c *committer) isRunning() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// start has the committer make its next batch after the delay, and then one
// each commit time.
func (c *committer) start(delay time.Duration) { c.order(true, delay) }

// stop has the committer make no batch after the one that it may be at.
func (c *committer) stop() { c.order(false, 0) }

func (c *committer) order(run bool, delay time.Duration) {
	c.mu.Lock()
	c.running, c.due = run, time.Now().Add(delay)
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default: // there is a wake-up under way
	}
}

// run makes batches until ctx ends, the first one at once. An error of the L1 is
// logged and what it did not take is offered again; any other is of this
// process or its disk, and ends it.
func (c *committer) run(ctx context.Context) error {
	c.start(0)
	for {
		due, err := c.untilDue(ctx)
		if err != nil {
			return err
		}
		wait := c.commitTime
		if err := c.round(ctx); err != nil {
			var l1 *l1Error
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case !errors.As(err, &l1):
				return fmt.Errorf("committer: %w", err)
			}
			c.log.Error(fmt.Sprintf("L1 committer: %v", err))
			wait = min(c.commitTime, retryPause)
		}
		c.mu.Lock()
		if c.due.Equal(due) { // and not ordered otherwise meanwhile
			c.due = time.Now().Add(wait)
		}
		c.mu.Unlock()
	}
}

// untilDue waits until a batch is due and returns the time that it was due at.
func (c *committer) untilDue(ctx context.Context) (time.Time, error) {
	for {
		c.mu.Lock()
		running, due := c.running, c.due
		c.mu.Unlock()
		var fire <-chan time.Time
		if running {
			timer := time.NewTimer(time.Until(due))
			defer timer.Stop()
			fire = timer.C
		}
		select {
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-c.changed:
		case <-fire:
			return due, nil
		}
	}
}

// l1Error is trouble with the L1 that may pass.
type l1Error struct{ err error }

func (e *l1Error) Error() string { return e.err.Error() }
func (e *l1Error) Unwrap() error { return e.err }

// onL1 marks an error of a call of the L1. That the L1 and the L2 do not belong
// together does not pass.
func onL1(err error) error {
	if err == nil || fault.KindOf(err) == fault.Prerequisite {
		return err
	}
	return &l1Error{err}
}

// round commits what was sealed and is not committed, or else seals and commits
// the next batch.
func (c *committer) round(ctx context.Context) error {
	c.log.Info("Running committer main loop")
	if r, ok := c.files.batch(c.files.committed() + 1); ok {
		return c.send(ctx, r)
	}
	r, ok, err := c.seal(ctx)
	if err != nil || !ok {
		return err
	}
	return c.send(ctx, r)
}

// send commits a sealed batch to the L1.
func (c *committer) send(ctx context.Context, r record) error {
	// What the last try led to may not be known: it may have got through.
	if err := c.l1.agreeCommitted(ctx); err != nil {
		return onL1(err)
	}
	if c.files.committed() >= r.Number {
		return nil
	}
	c.log.Info(fmt.Sprintf("Sending commitment for batch %d", r.Number), "first_block", r.Public.FirstBlock, "last_block", r.Public.LastBlock)
	receipt, err := c.l1.committer.Commit(ctx, r.Number, r.Public)
	if err != nil {
		return onL1(err)
	}
	if err := c.files.setCommitted(r.Number, receipt.Hash); err != nil {
		return err
	}
	c.meters.committed(r.Number, receipt.GasUsed)
	c.log.Info(fmt.Sprintf("Commitment sent: %s", receipt.Hash))
	c.log.Info(fmt.Sprintf("Commitment sent for batch %d, with tx hash %s.", r.Number, receipt.Hash))
	return nil
}

// draft is a batch that is being put together.
type draft struct {
	record
	blocks []*types.Block
}

// fits reports whether a block can be added. The first always can: what is too
// large for a batch alone would otherwise never be in one.
func (d *draft) fits(b *types.Block, gasLimit uint64) bool {
	switch {
	case len(d.blocks) == 0:
		return true
	case len(d.blocks) == maxBlocks, d.Bytes+bytesOf(b) > maxBytes, d.Deposits+len(b.Withdrawals()) > maxDeposits:
		return false
	}
	return gasLimit == 0 || d.GasUsed+b.GasUsed() <= gasLimit
}

func (d *draft) add(b *types.Block) {
	d.blocks = append(d.blocks, b)
	d.Bytes += bytesOf(b)
	d.GasUsed += b.GasUsed()
	d.Transactions += len(b.Transactions())
	d.Deposits += len(b.Withdrawals())
	if n := len(b.Withdrawals()); n > 0 {
		d.NextDeposit = b.Withdrawals()[n-1].Index + 1
	}
}

// bytesOf is the size of a block's transactions in their binary form.
func bytesOf(b *types.Block) uint64 {
	var n uint64
	for _, tx := range b.Transactions() {
		n += tx.Size()
	}
	return n
}

// seal closes a batch of the blocks since the last one, as many as fit. ok is
// false when there are none.
func (c *committer) seal(ctx context.Context) (r record, ok bool, err error) {
	d := draft{record: record{Number: 1, NextDeposit: firstDeposit, BuiltBy: c.commit, SealedAt: time.Now().UTC()}}
	first := uint64(1)
	if last, ok := c.files.last(); ok {
		d.Number, d.NextDeposit, first = last.Number+1, last.NextDeposit, last.Public.LastBlock+1
	}
	c.log.Info(fmt.Sprintf("Preparing batch from block %d, %d", first, d.Number))
	head, err := c.chain.header(ctx, "latest")
	if err != nil {
		return record{}, false, err
	}
	for number := first; number <= uint64(head.Number); number++ {
		block, err := c.chain.block(ctx, number)
		if err != nil {
			return record{}, false, err
		}
		if !d.fits(block, c.gasLimit) {
			c.log.Warn("Batch size limit reached. Any remaining blocks will be processed in the next batch.")
			break
		}
		d.add(block)
	}
	if len(d.blocks) == 0 {
		return record{}, false, nil
	}
	if d.Deposits > 0 {
		c.log.Info(fmt.Sprintf("Added %d privileged to the batch", d.Deposits))
	}
	return d.record, true, c.keep(ctx, &d)
}

// keep makes the input of the batch and stores both.
func (c *committer) keep(ctx context.Context, d *draft) error {
	first, last := d.blocks[0].NumberU64(), d.blocks[len(d.blocks)-1].NumberU64()
	c.log.Info(fmt.Sprintf("Generating and storing witness for batch %d", d.Number), "first_block", first, "last_block", last)
	parent, err := c.chain.header(ctx, fmt.Sprintf("%#x", first-1))
	if err != nil {
		return err
	}
	if d.Public, err = batch.Claim(parent.StateRoot, d.blocks); err != nil {
		return err
	}
	merged, err := c.witness(ctx, first, last)
	if err != nil {
		return err
	}
	b := batch.Batch{Number: d.Number, Blocks: d.blocks, Witness: merged, Config: c.config}
	err = c.files.seal(d.record, func(w io.Writer) error {
		return batch.Respond(w, d.Number, func(w io.Writer) error { return batch.Encode(w, b) })
	})
	if err != nil {
		return err
	}
	c.meters.sealed(d.record)
	return nil
}

// mergeAtOnce is how many witnesses are collected before they are merged: all
// of a usual batch, and few enough that a long one does not hold each trie node
// once a block.
const mergeAtOnce = 16

// witness is the union of the blocks' witnesses.
func (c *committer) witness(ctx context.Context, first, last uint64) (*witness.Witness, error) {
	var parts []*witness.Witness
	for number := first; number <= last; number++ {
		w, err := c.chain.witness(ctx, number)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, w); len(parts) == mergeAtOnce {
			parts = []*witness.Witness{batch.Merge(parts...)}
		}
	}
	return batch.Merge(parts...), nil
}
