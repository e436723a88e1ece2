package drive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

const (
	// firstWait is how long a builder gets at first, and minWait the least
	// that it is ever given.
	firstWait = 80 * time.Millisecond
	minWait   = 20 * time.Millisecond
	// sendBatch is the number of transactions in one request; geth takes at
	// most 1000.
	sendBatch = 256
	// hopeless is how long a builder whose pool took nothing may go on
	// building empty blocks.
	hopeless = 2 * time.Second
)

// patience is how long a builder is given before it is asked for its block. How
// long it needs can only be learned from asking too early, which costs a whole
// build: so the wait shrinks in small steps and stays above what failed.
type patience struct {
	wait time.Duration
	// floor is somewhat more than what was last too little. It sinks slowly,
	// because a builder gets faster when its caches are warm.
	floor time.Duration
}

// grow makes the wait longer after it was too short.
func (p *patience) grow() {
	p.floor = p.wait + p.wait/5
	p.wait += p.wait * 3 / 4
}

// relax makes the wait a little shorter after it was long enough.
func (p *patience) relax() {
	p.floor -= p.floor / 32
	p.wait = max(minWait, p.floor, p.wait-p.wait/20)
}

// refusals are the transactions that a pool did not take. A few are normal
// after a restart, when the pool still holds others with the same nonces.
type refusals struct {
	count int
	last  error
}

// Offer makes the driver fill blocks from stream, each with as many
// transactions as are expected to use gas. The stream goes on from the nonces
// that the clients' heads have. Without Offer, blocks are empty.
func (d *Driver) Offer(ctx context.Context, stream *load.Stream, gas uint64) error {
	if limit := uint64(d.head.GasLimit); gas > limit {
		return fault.Newf(fault.Usage, "%d gas per block is more than the chain's block gas limit of %d", gas, limit)
	}
	c := d.o.Clients[0]
	err := stream.Resync(ctx, func(ctx context.Context, senders []common.Address) ([]uint64, error) {
		return nonces(ctx, c, senders)
	})
	if err != nil {
		return named(c, err)
	}
	d.stream, d.gas, d.pending = stream, gas, nil
	return nil
}

// nonces asks for the next nonce of each account, by the client's head. The
// pool's view is not asked for: pools differ between clients.
func nonces(ctx context.Context, c Client, accounts []common.Address) ([]uint64, error) {
	answers := make([]hexutil.Uint64, len(accounts))
	requests := make([]*ethrpc.Request, len(accounts))
	for i, a := range accounts {
		requests[i] = &ethrpc.Request{
			Method: "eth_getTransactionCount", Params: []any{a, "latest"}, Result: &answers[i],
		}
	}
	for chunk := range slices.Chunk(requests, sendBatch) {
		if err := c.RPC.Batch(ctx, chunk); err != nil {
			return nil, err
		}
	}
	nonces := make([]uint64, len(accounts))
	for i, r := range requests {
		if r.Err != nil {
			return nil, fmt.Errorf("nonce of %s: %w", accounts[i], r.Err)
		}
		nonces[i] = uint64(answers[i])
	}
	return nonces, nil
}

// offer tops up what waits in the pools to one block's worth.
func (d *Driver) offer(ctx context.Context, builder int) (refusals, error) {
	if d.stream == nil {
		return refusals{}, nil
	}
	var have uint64
	for _, tx := range d.pending {
		have += tx.Gas
	}
	txs, err := d.stream.Next(d.gas - min(have, d.gas))
	if err != nil {
		return refusals{}, err
	}
	d.pending = append(d.pending, txs...)
	return d.send(ctx, builder, txs)
}

// send hands transactions to the builder, or to all clients if all build.
func (d *Driver) send(ctx context.Context, builder int, txs []load.Tx) (refusals, error) {
	to := d.o.Clients[builder : builder+1]
	if d.o.Rotate {
		to = d.o.Clients
	}
	refused := make([]refusals, len(to))
	err := each(to, func(i int, c Client) error {
		var err error
		refused[i], err = sendTo(ctx, c, txs)
		return err
	})
	if d.o.Rotate {
		return refused[builder], err
	}
	return refused[0], err
}

// sendTo sends in order and in batches. What the pool refuses is counted and
// not an error: whether it matters, the payload will show.
func sendTo(ctx context.Context, c Client, txs []load.Tx) (refusals, error) {
	var refused refusals
	for chunk := range slices.Chunk(txs, sendBatch) {
		requests := make([]*ethrpc.Request, len(chunk))
		for i, tx := range chunk {
			requests[i] = &ethrpc.Request{
				Method: "eth_sendRawTransaction", Params: []any{hexutil.Bytes(tx.Raw)},
			}
		}
		if err := c.RPC.Batch(ctx, requests); err != nil {
			return refused, fmt.Errorf("sending transactions: %w", err)
		}
		for _, r := range requests {
			if r.Err != nil {
				refused.count++
				refused.last = r.Err
			}
		}
	}
	return refused, nil
}

// build has the client build on the head until a payload holds all that was
// offered. A client that is asked too early answers with what it has, an empty
// block at worst, and stops building; so it is given time first, and when that
// was too little, it is asked to build another block and given more.
// Nothing is lost in between: what did not get in is still in its pool.
func (d *Driver) build(ctx context.Context, builder int, refused refusals) (ethrpc.Payload, int, error) {
	c, patience := d.o.Clients[builder], &d.patience[builder]
	offered := len(d.pending)
	start := time.Now()
	for attempt := 1; ; attempt++ {
		p, err := d.attempt(ctx, c, attempt, patience.wait)
		if err != nil {
			return p, attempt, named(c, err)
		}
		if d.full(p) {
			if attempt == 1 {
				patience.relax()
			}
			return p, attempt, nil
		}
		spent := time.Since(start)
		none := len(p.Transactions) == 0 && refused.count == offered && spent > hopeless
		if spent > d.o.BuildTimeout || none && !knows(ctx, c, d.pending[0]) {
			return p, attempt, named(c, d.short(ctx, c, p, attempt, spent, refused))
		}
		patience.grow()
		if err = d.resend(ctx, builder, p); err != nil {
			return p, attempt, err
		}
	}
}

// attempt asks for one payload on the head and gives the client the time wait
// to build it. The next block's transactions are signed meanwhile.
func (d *Driver) attempt(ctx context.Context, c Client, attempt int, wait time.Duration) (ethrpc.Payload, error) {
	number := uint64(d.head.Number) + 1
	attributes := &ethrpc.Attributes{
		Timestamp:    d.timestamp(),
		PrevRandao:   d.draw("prevrandao", number, attempt),
		FeeRecipient: feeRecipient,
		BeaconRoot:   d.draw("beacon root", number, 0),
		Slot:         number,
	}
	outcome, id, err := c.Engine.ForkchoiceUpdated(ctx, d.forkchoice(d.head.Hash), attributes)
	if err != nil {
		return ethrpc.Payload{}, fmt.Errorf("building block %d: %w", number, err)
	}
	if err := judge(outcome, uint64(d.head.Number), d.head.Hash); err != nil {
		return ethrpc.Payload{}, err
	}
	if id == "" {
		return ethrpc.Payload{}, fmt.Errorf("building block %d: the client took the head but gave no payload id", number)
	}
	timer := time.NewTimer(max(wait, d.o.BuildTime))
	defer timer.Stop()
	if d.stream != nil {
		if err := d.stream.Prepare(d.gas); err != nil {
			return ethrpc.Payload{}, err
		}
	}
	select {
	case <-ctx.Done():
		return ethrpc.Payload{}, ctx.Err()
	case <-timer.C:
	}
	p, err := c.Engine.Payload(ctx, id)
	if err != nil {
		return ethrpc.Payload{}, fmt.Errorf("building block %d: %w", number, err)
	}
	if p.ParentHash != d.head.Hash || p.Number != number || p.Timestamp != attributes.Timestamp {
		return ethrpc.Payload{}, fmt.Errorf("built block %d on %s at time %d, asked for block %d on %s at time %d",
			p.Number, p.ParentHash, p.Timestamp, number, d.head.Hash, attributes.Timestamp)
	}
	p.BeaconRoot = attributes.BeaconRoot
	return p, nil
}

// timestamp is that of the next block, in seconds.
func (d *Driver) timestamp() uint64 {
	parent := uint64(d.head.Timestamp)
	if d.o.Clock == nil {
		return parent + d.o.Step
	}
	return max(parent+1, uint64(max(0, d.o.Clock().Unix())))
}

// feeRecipient is an account without a past, so that every block touches it.
var feeRecipient = common.HexToAddress("0xfee0000000000000000000000000000000000001")

// full reports whether p holds all that was offered or has no room left. It
// counts instead of comparing: after a restart a pool may hold other
// transactions with the same nonces.
func (d *Driver) full(p ethrpc.Payload) bool {
	if len(p.Transactions) >= len(d.pending) {
		return true
	}
	var largest uint64
	for _, tx := range d.pending {
		largest = max(largest, tx.Limit)
	}
	return p.GasUsed+largest > p.GasLimit
}

// settle takes the transactions of the new head out of the pending ones.
func (d *Driver) settle(p ethrpc.Payload) {
	d.pending = missing(d.pending, p)
}

// missing are the transactions that p does not hold.
func missing(txs []load.Tx, p ethrpc.Payload) []load.Tx {
	if len(txs) == 0 {
		return nil
	}
	in := make(map[common.Hash]bool, len(p.Transactions))
	for _, raw := range p.Transactions {
		in[crypto.Keccak256Hash(raw)] = true
	}
	var out []load.Tx
	for _, tx := range txs {
		if !in[tx.Hash] {
			out = append(out, tx)
		}
	}
	return out
}

// knows reports whether the client's pool or chain holds tx. The words with
// which pools say so when they are sent it again differ.
func knows(ctx context.Context, c Client, tx load.Tx) bool {
	var found *struct{}
	err := c.RPC.Call(ctx, &found, "eth_getTransactionByHash", tx.Hash)
	return err == nil && found != nil
}

// resend offers again what p lacks, in case the pool dropped it, and replaces
// what another transaction with its nonce has overtaken. Refusals say nothing
// here: what the pool still holds it refuses as known.
func (d *Driver) resend(ctx context.Context, builder int, p ethrpc.Payload) error {
	c := d.o.Clients[builder]
	lacking := missing(d.pending, p)
	senders := make([]common.Address, len(lacking))
	for i, tx := range lacking {
		senders[i] = tx.Sender
	}
	next, err := nonces(ctx, c, senders)
	if err != nil {
		return named(c, err)
	}
	overtaken := make(map[common.Hash]bool)
	var again []load.Tx
	for i, tx := range lacking {
		if tx.Nonce < next[i] {
			overtaken[tx.Hash] = true
		} else {
			again = append(again, tx)
		}
	}
	d.pending = slices.DeleteFunc(d.pending, func(tx load.Tx) bool { return overtaken[tx.Hash] })
	if _, err := d.send(ctx, builder, again); err != nil {
		return err
	}
	_, err = d.offer(ctx, builder)
	return err
}

// short is the error of a builder that does not include what it was offered.
func (d *Driver) short(ctx context.Context, c Client, p ethrpc.Payload, attempts int, spent time.Duration, refused refusals) error {
	text := fmt.Sprintf("block %d holds %d of %d offered transactions after %d attempts in %s",
		p.Number, len(p.Transactions), len(d.pending), attempts, spent.Round(time.Millisecond))
	var pool struct{ Pending, Queued hexutil.Uint64 }
	if err := c.RPC.Call(ctx, &pool, "txpool_status"); err == nil {
		text += fmt.Sprintf("; its pool holds %d pending and %d queued", pool.Pending, pool.Queued)
	}
	if refused.count > 0 {
		text += fmt.Sprintf("; it refused %d, the last because: %v", refused.count, refused.last)
	}
	return errors.New(text)
}
