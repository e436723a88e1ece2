// Package drive is a minimal consensus client. It has one execution client
// build a block, delivers the same payload to all of them over the Engine API,
// and checks that each says VALID and stands on it afterwards.
//
// Blocks come in lockstep: Next makes one and returns when every client has
// it, and what happens between two calls is the caller's. Run paces them by
// the clock instead.
//
//	      send transactions            forkchoiceUpdated + attributes
//	Next ────────────────────▶ builder ◀─────────────────────────────
//	                              │ getPayload, until it holds them all
//	                              ▼
//	                           payload ──▶ newPayload         ─▶ every client
//	                                       forkchoiceUpdated
//	                                       is it your head?
package drive

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// Client is an execution client under the driver.
type Client struct {
	// Name is how messages and results speak of it.
	Name   string
	RPC    *ethrpc.Client
	Engine *ethrpc.Engine
}

// Options say what is driven and how.
type Options struct {
	// Clients are driven together. The first builds the blocks, unless Rotate.
	Clients []Client
	// Rotate has the clients build in turns. Each is then sent all
	// transactions.
	Rotate bool
	// Seed decides what a consensus client would draw: prevRandao and the
	// parent beacon block root.
	Seed uint64
	// Step is the difference between the timestamps of two blocks in seconds,
	// 12 when zero.
	Step uint64
	// Clock, when set, decides the timestamps in place of Step, as on a public
	// network: the time of the clock, and at least a second more than the
	// parent's. Blocks that come faster than one a second run ahead of it.
	Clock func() time.Time
	// Built, when set, is given each block when it is built, before any client
	// but the builder has seen it. Whatever befalls the clients then, the
	// block is not lost.
	Built func(ethrpc.Payload)
	// ReadyTimeout is how long the clients may take to answer at all, a
	// minute when zero.
	ReadyTimeout time.Duration
	// BuildTimeout is how long a builder may take until a payload holds all
	// transactions that were offered, 20 s when zero.
	BuildTimeout time.Duration
	// BuildTime is the least that a builder is given for each block, so that it
	// holds what others sent to it: how long that takes, the driver cannot
	// learn.
	BuildTime time.Duration
}

const (
	defaultStep         = 12
	defaultReadyTimeout = time.Minute
	defaultBuildTimeout = 20 * time.Second
	// deliverTimeout bounds the delivery of one block to all clients. It runs
	// on through an interrupt, so that no client is left behind the others.
	deliverTimeout = 30 * time.Second
)

// As on a real network, blocks become safe and final some way behind the head.
// A client that lost its last few blocks in a crash still has those.
const (
	safeDepth      = 32
	finalizedDepth = 64
)

// Block is a block that every client has accepted. Durations are in
// nanoseconds of the monotonic clock.
type Block struct {
	Number       uint64      `json:"number"`
	Hash         common.Hash `json:"hash"`
	ParentHash   common.Hash `json:"parent_hash"`
	Timestamp    uint64      `json:"timestamp"`
	GasUsed      uint64      `json:"gas_used"`
	GasLimit     uint64      `json:"gas_limit"`
	Transactions int         `json:"transactions"`
	// Builder is the name of the client that built the block, BuilderIndex
	// its place in Options.Clients.
	Builder      string `json:"builder"`
	BuilderIndex int    `json:"-"`
	// Attempts counts the payloads asked for until one was full.
	Attempts int `json:"attempts"`
	// SendNS is the time it took to hand over the transactions.
	SendNS int64 `json:"send_ns"`
	// BuildNS is from the first request to build to the full payload in hand.
	BuildNS int64 `json:"build_ns"`
	// Imports are in the order of Options.Clients.
	Imports []Import       `json:"imports"`
	Payload ethrpc.Payload `json:"-"`
}

// Import is how long one client took to accept a block.
type Import struct {
	Client string `json:"client"`
	// ImportNS is newPayload, ForkchoiceNS the forkchoiceUpdated after it.
	// All clients import at the same time.
	ImportNS     int64 `json:"import_ns"`
	ForkchoiceNS int64 `json:"forkchoice_ns"`
}

// Driver makes blocks. It is not safe for concurrent use.
type Driver struct {
	o       Options
	chainID uint64
	genesis common.Hash
	head    header
	// recent holds the hashes of the newest blocks, the head last, as many as
	// the finalized one lies deep.
	recent []common.Hash
	// patience is how long each client gets to build before it is asked.
	patience []patience
	// built counts the blocks of this driver.
	built int

	stream *load.Stream
	gas    uint64
	// pending are the transactions that were sent and are in no block yet, in
	// the order in which they were sent.
	pending []load.Tx
}

// ChainID is the chain id that all clients gave.
func (d *Driver) ChainID() uint64 { return d.chainID }

// Genesis is the hash of the first block, which all clients share.
func (d *Driver) Genesis() common.Hash { return d.genesis }

// Head is the number and hash of the block that all clients stand on.
func (d *Driver) Head() (number uint64, hash common.Hash) {
	return uint64(d.head.Number), d.head.Hash
}

// GasLimit is the gas limit of the head.
func (d *Driver) GasLimit() uint64 { return uint64(d.head.GasLimit) }

// Next makes the next block and returns when every client has it as its head.
// An interrupt of ctx ends it before the block is delivered or after, never
// in between. After an error the clients may disagree; a new Driver finds out.
func (d *Driver) Next(ctx context.Context) (Block, error) {
	builder := 0
	if d.o.Rotate {
		builder = d.built % len(d.o.Clients)
	}
	b := Block{Builder: d.o.Clients[builder].Name, BuilderIndex: builder}

	start := time.Now()
	refused, err := d.offer(ctx, builder)
	if err != nil {
		return Block{}, err
	}
	b.SendNS = time.Since(start).Nanoseconds()

	start = time.Now()
	if b.Payload, b.Attempts, err = d.build(ctx, builder, refused); err != nil {
		return Block{}, err
	}
	b.BuildNS = time.Since(start).Nanoseconds()
	if d.o.Built != nil {
		d.o.Built(b.Payload)
	}
	return d.complete(ctx, b)
}

// Import delivers a block that was built elsewhere, a child of the head, and
// returns when every client has it as its head. Interrupts and errors are as
// of Next. The block names no builder.
func (d *Driver) Import(ctx context.Context, p ethrpc.Payload) (Block, error) {
	if p.ParentHash != d.head.Hash {
		return Block{}, fmt.Errorf("block %d %s follows %s, and the clients stand on block %d %s",
			p.Number, p.Hash, p.ParentHash, d.head.Number, d.head.Hash)
	}
	return d.complete(ctx, Block{Payload: p})
}

// complete delivers the payload of b and fills in what it says.
func (d *Driver) complete(ctx context.Context, b Block) (Block, error) {
	delivery, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
	defer cancel()
	var err error
	if b.Imports, err = d.deliver(delivery, b.Payload); err != nil {
		return Block{}, err
	}
	d.advance(b.Payload)
	p := b.Payload
	b.Number, b.Hash, b.ParentHash = p.Number, p.Hash, p.ParentHash
	b.Timestamp, b.GasUsed, b.GasLimit = p.Timestamp, p.GasUsed, p.GasLimit
	b.Transactions = len(p.Transactions)
	return b, nil
}

// Check asks every client whether it still answers and stands on the head.
func (d *Driver) Check(ctx context.Context) error {
	return d.each(func(_ int, c Client) error {
		h, err := headOf(ctx, c)
		if err == nil && h.Hash != d.head.Hash {
			err = fmt.Errorf("head is block %d %s, was block %d %s", h.Number, h.Hash, d.head.Number, d.head.Hash)
		}
		return err
	})
}

// deliver gives the payload to all clients, then makes it their head. The two
// are separate rounds: no client moves to a block that another refuses.
func (d *Driver) deliver(ctx context.Context, p ethrpc.Payload) ([]Import, error) {
	imports := make([]Import, len(d.o.Clients))
	err := d.each(func(i int, c Client) error {
		start := time.Now()
		outcome, err := c.Engine.NewPayload(ctx, p)
		imports[i] = Import{Client: c.Name, ImportNS: time.Since(start).Nanoseconds()}
		if err != nil {
			return err
		}
		return judge(outcome, p.Number, p.Hash)
	})
	if err != nil {
		return nil, err
	}
	fc := d.forkchoice(p.Hash)
	err = d.each(func(i int, c Client) error {
		start := time.Now()
		outcome, _, err := c.Engine.ForkchoiceUpdated(ctx, fc, nil)
		imports[i].ForkchoiceNS = time.Since(start).Nanoseconds()
		if err != nil {
			return err
		}
		if err := judge(outcome, p.Number, p.Hash); err != nil {
			return err
		}
		return standsOn(ctx, c, p.Number, p.Hash)
	})
	return imports, err
}

// standsOn waits until the client's head is the given block. Most have it when
// they answer forkchoiceUpdated; some publish it a moment later.
func standsOn(ctx context.Context, c Client, number uint64, hash common.Hash) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return ethrpc.Until(ctx, func(error) bool { return false }, func() error {
		h, err := headOf(ctx, c)
		if err != nil {
			return err
		}
		if h.Hash != hash {
			return fmt.Errorf("head is block %d %s after it was set to block %d %s", h.Number, h.Hash, number, hash)
		}
		return nil
	})
}

// advance makes the delivered payload the head.
func (d *Driver) advance(p ethrpc.Payload) {
	d.head = header{
		Number: hexUint(p.Number), Hash: p.Hash, Timestamp: hexUint(p.Timestamp), GasLimit: hexUint(p.GasLimit),
	}
	d.recent = append(d.recent, p.Hash)
	if extra := len(d.recent) - finalizedDepth - 1; extra > 0 {
		d.recent = slices.Delete(d.recent, 0, extra)
	}
	d.settle(p)
	d.built++
}

// forkchoice is the view of the chain with the given head, which is either the
// driver's head or a child of it.
func (d *Driver) forkchoice(head common.Hash) ethrpc.Forkchoice {
	chain := d.recent
	if head != d.head.Hash {
		chain = append(slices.Clone(chain), head)
	}
	back := func(n int) common.Hash { return chain[max(0, len(chain)-1-n)] }
	return ethrpc.Forkchoice{Head: head, Safe: back(safeDepth), Finalized: back(finalizedDepth)}
}

// draw is a hash that the seed decides, for the given use in the given block.
func (d *Driver) draw(use string, number uint64, attempt int) common.Hash {
	buf := append([]byte("verdict "), use...)
	buf = binary.BigEndian.AppendUint64(buf, d.o.Seed)
	buf = binary.BigEndian.AppendUint64(buf, number)
	buf = binary.BigEndian.AppendUint64(buf, uint64(attempt))
	return sha256.Sum256(buf)
}

// each calls f for all clients at the same time and joins the errors, each
// with the client's name before it.
func (d *Driver) each(f func(i int, c Client) error) error {
	return each(d.o.Clients, f)
}

func each(clients []Client, f func(i int, c Client) error) error {
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			if err := f(i, c); err != nil {
				errs[i] = named(c, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// named says which client an error is of.
func named(c Client, err error) error {
	return fmt.Errorf("client %s: %w", c.Name, err)
}

// NotExecutedError is a client that took a block without executing it: it says
// SYNCING or ACCEPTED.
type NotExecutedError struct {
	Status ethrpc.Status
	Number uint64
	Hash   common.Hash
}

func (e *NotExecutedError) Error() string {
	return fmt.Sprintf("says %s of block %d %s: it did not execute it, for it lacks the parent's state or is waiting for peers",
		e.Status, e.Number, e.Hash)
}

// judge turns every status but VALID into an error.
func judge(outcome ethrpc.Outcome, number uint64, hash common.Hash) error {
	switch outcome.Status {
	case ethrpc.Valid:
		return nil
	case ethrpc.Invalid:
		why := outcome.ValidationError
		if why == "" {
			why = "it gives no reason"
		}
		return fmt.Errorf("says INVALID of block %d %s: %s", number, hash, why)
	case ethrpc.Syncing, ethrpc.Accepted:
		return fault.Newf(fault.Failed, "%w", &NotExecutedError{outcome.Status, number, hash}).
			Hint("geth must be started with --syncmode full; every client must have been started from the same genesis")
	}
	return fmt.Errorf("says %q of block %d %s, which the Engine API does not know", outcome.Status, number, hash)
}
