package sequencer

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/l1"
)

// maxDeposits is how many deposits a batch credits at most, and so a block.
const maxDeposits = 300

// The node is given firstWait to fill a block, at first; minWait is the least
// that it is ever given.
const (
	firstWait = 100 * time.Millisecond
	minWait   = 25 * time.Millisecond
)

// producer makes the blocks, one each block time, empty if there is nothing.
type producer struct {
	chain    *chain
	deposits *deposits
	log      *slog.Logger
	meters   *meters

	blockTime time.Duration
	coinbase  common.Address

	head header
	wait time.Duration
}

// run makes blocks until ctx ends. A block that cannot be made is an error: the
// node is of this process, so nobody else will mend it.
func (p *producer) run(ctx context.Context) error {
	var err error
	if p.head, err = p.chain.header(ctx, "latest"); err != nil {
		return err
	}
	p.wait = min(firstWait, p.blockTime/2)
	ticks := time.NewTicker(p.blockTime)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticks.C:
		}
		if err := p.produce(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("producing block %d: %w", p.head.Number+1, err)
		}
	}
}

// produce makes one block.
func (p *producer) produce(ctx context.Context) error {
	p.log.Info("Producing block")
	start := time.Now()
	credits := p.deposits.due(maxDeposits)
	payload, err := p.build(ctx, credits)
	if err != nil {
		return err
	}
	took := max(time.Since(start), time.Microsecond)
	p.log.Info(fmt.Sprintf("[METRIC] BUILDING PAYLOAD TOOK: %d ms", took.Milliseconds()))
	if payload.GasUsed > 0 {
		p.log.Info(fmt.Sprintf("[METRIC] BLOCK BUILDING THROUGHPUT: %v Gigagas/s TIME SPENT: %d msecs",
			float64(payload.GasUsed)/1e9/took.Seconds(), took.Milliseconds()))
	}
	p.log.Info(fmt.Sprintf("Built payload for new block %d", payload.Number))
	if err := p.chain.deliver(ctx, payload); err != nil {
		return err
	}
	p.deposits.credited(len(credits))
	p.head, err = p.chain.header(context.WithoutCancel(ctx), "latest")
	if err != nil {
		return err
	}
	p.meters.produced(len(payload.Transactions), len(credits))
	p.log.Info(fmt.Sprintf("Stored new block %x, transaction_count %d", payload.Hash, len(payload.Transactions)))
	return nil
}

// build has the node build a block on the head. Asked for the block, the node
// stops building and gives what it has; a block that is empty while the pool is
// not was asked for too early, so the node is given more time and builds
// another one.
func (p *producer) build(ctx context.Context, credits []*types.Withdrawal) (ethrpc.Payload, error) {
	for attempt := uint64(1); ; attempt++ {
		waiting, err := p.chain.waiting(ctx)
		if err != nil {
			return ethrpc.Payload{}, err
		}
		payload, err := p.attempt(ctx, credits, attempt, waiting > 0)
		if err != nil {
			return ethrpc.Payload{}, err
		}
		limit := max(p.blockTime/2, minWait)
		switch {
		case waiting == 0:
			return payload, nil
		case len(payload.Transactions) > 0:
			p.wait = max(minWait, p.wait-p.wait/20)
			return payload, nil
		case p.wait >= limit:
			// The pool holds nothing that pays the base fee, or the machine is
			// too slow for this block time.
			return payload, nil
		}
		p.wait = min(2*p.wait, limit)
	}
}

// attempt asks for one block and gives the node time to fill it.
func (p *producer) attempt(ctx context.Context, credits []*types.Withdrawal, attempt uint64, fill bool) (ethrpc.Payload, error) {
	number := uint64(p.head.Number) + 1
	attributes := &ethrpc.Attributes{
		Timestamp:    max(uint64(p.head.Timestamp)+1, uint64(max(0, time.Now().Unix()))),
		PrevRandao:   draw(p.head.Hash, attempt),
		FeeRecipient: p.coinbase,
		BeaconRoot:   draw(p.head.Hash, 0),
		Withdrawals:  credits,
	}
	outcome, id, err := p.chain.engine.ForkchoiceUpdated(ctx, ethrpc.Forkchoice{Head: p.head.Hash}, attributes)
	if err == nil {
		err = valid(outcome)
	}
	if err == nil && id == "" {
		err = fmt.Errorf("the node takes the head and builds nothing")
	}
	if err != nil {
		return ethrpc.Payload{}, err
	}
	if fill {
		if err := pause(ctx, p.wait); err != nil {
			return ethrpc.Payload{}, err
		}
	}
	payload, err := p.chain.engine.Payload(ctx, id)
	if err != nil {
		return ethrpc.Payload{}, err
	}
	if payload.ParentHash != p.head.Hash || payload.Number != number {
		return ethrpc.Payload{}, fmt.Errorf("the node built block %d on %s instead of on %s", payload.Number, payload.ParentHash, p.head.Hash)
	}
	payload.BeaconRoot = attributes.BeaconRoot
	return payload, nil
}

// draw is what a consensus client would draw for the block on parent. Another
// attempt needs another value: the node gives the block that it has for
// attributes that it knows.
func draw(parent common.Hash, attempt uint64) common.Hash {
	return crypto.Keccak256Hash(parent[:], binary.BigEndian.AppendUint64(nil, attempt))
}

// pause waits for d; the error is the cause of ctx, if that ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// deposits are those that the L1 has and the L2 has not. It is safe for
// concurrent use: the watcher adds, the producer takes.
type deposits struct {
	mu sync.Mutex
	// next is the id of the first in queue, or of the one that will be.
	next  uint64
	queue []l1.Deposit
}

// add queues a deposit; fresh is false for one that is queued or credited
// already. A gap before it is an error.
func (d *deposits) add(deposit l1.Deposit) (fresh bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	want := d.next + uint64(len(d.queue))
	switch {
	case deposit.ID < want:
		return false, nil
	case deposit.ID > want:
		return false, fmt.Errorf("the L1 tells of deposit %d, and not of deposit %d before it", deposit.ID, want)
	}
	d.queue = append(d.queue, deposit)
	return true, nil
}

// due are the first deposits of the queue, at most limit, as the withdrawals
// that a block credits. They stay in the queue.
func (d *deposits) due(limit int) []*types.Withdrawal {
	d.mu.Lock()
	defer d.mu.Unlock()
	credits := make([]*types.Withdrawal, min(limit, len(d.queue)))
	for i := range credits {
		credits[i] = &types.Withdrawal{Index: d.queue[i].ID, Address: d.queue[i].To, Amount: d.queue[i].Gwei()}
	}
	return credits
}

// credited drops the first n deposits, which are in a block now.
func (d *deposits) credited(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = d.queue[n:]
	d.next += uint64(n)
}
