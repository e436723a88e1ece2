package beacon

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
)

// Production is what a producer makes.
type Production struct {
	// Slot is the time from one block to the next.
	Slot time.Duration
	// Seed decides what a consensus client would draw.
	Seed uint64
	// BuildTime is the least that the execution client is given to build, for
	// transactions that others send to it.
	BuildTime time.Duration
	// Offer has the driver fill its blocks with transactions; nil for none.
	Offer func(context.Context, *drive.Driver, drive.Client) error
}

// Produce makes a block on the execution client in each slot, until ctx ends;
// it then returns ctx's cause. An execution client that does not answer is
// waited for, and one that comes back with fewer blocks is given them again.
// What cannot be cured by waiting is an error, if it shows before the first
// block.
func (n *Node) Produce(ctx context.Context, p Production) error {
	switch {
	case n.o.Network == "":
		return fault.Newf(fault.Usage, "--network is empty")
	case p.Slot < time.Millisecond:
		return fault.Newf(fault.Usage, "--slot %s: want 1ms or more", p.Slot)
	}
	ctx, release := n.guard(ctx)
	n.update(func(s *status) { s.producing, s.offline, s.network.Name = true, true, n.o.Network })
	var watching sync.WaitGroup
	watching.Go(func() { n.watch(ctx, min(p.Slot, idlePause)) })
	defer watching.Wait()
	defer release() // before the watch is waited for
	for ctx.Err() == nil {
		err := n.produce(ctx, p)
		if ctx.Err() != nil {
			break
		}
		if _, _, started := n.chain.span(); !started && !unreachable(err) {
			return err
		}
		n.trouble(err)
		pause(ctx, retryPause)
	}
	return context.Cause(ctx)
}

// watch looks after an execution client between the blocks, so that its end
// shows before the next one.
func (n *Node) watch(ctx context.Context, every time.Duration) {
	for pause(ctx, every); ctx.Err() == nil; pause(ctx, every) {
		once, cancel := context.WithTimeout(ctx, answerTimeout)
		err := n.engine.RPC().Call(once, nil, "eth_blockNumber")
		cancel()
		if err != nil && ctx.Err() == nil && unreachable(err) {
			n.trouble(err)
		}
	}
}

// produce makes blocks until something fails.
func (n *Node) produce(ctx context.Context, p Production) error {
	client := n.client()
	d, err := drive.Open(ctx, drive.Options{
		Clients: []drive.Client{client}, Seed: p.Seed, Clock: time.Now, ReadyTimeout: idlePause, BuildTime: p.BuildTime,
		Built: n.publish,
	})
	if err != nil {
		return err
	}
	if err := n.restore(ctx, d); err != nil {
		return err
	}
	if err := n.produceFrom(ctx, d, p.Slot); err != nil {
		return err
	}
	n.online()
	if p.Offer != nil {
		if err := p.Offer(ctx, d, client); err != nil {
			return err
		}
	}
	return drive.Run(ctx, d, drive.Pace{Slot: p.Slot}, func(b drive.Block) error {
		n.online()
		n.update(func(s *status) {
			s.head = block{b.Number, b.Hash, b.ParentHash}
			s.network.Head = b.Number
		})
		n.log.Debug("produced a block", "number", b.Number, "transactions", b.Transactions, "gas", b.GasUsed)
		return nil
	})
}

// publish keeps a block for the followers as soon as it is built: if the
// execution client is lost on the way, the network still has it.
func (n *Node) publish(p ethrpc.Payload) {
	if err := n.chain.add(p); err != nil {
		n.say(aboutNetwork, slog.LevelError, "a block cannot be kept", "err", err)
	}
}

// restore gives an execution client that was restarted the blocks that it has
// lost.
func (n *Node) restore(ctx context.Context, d *drive.Driver) error {
	oldest, newest, ok := n.chain.span()
	if !ok {
		return nil
	}
	number, hash := d.Head()
	if number+1 < oldest || number > newest {
		return fmt.Errorf("the execution client came back with block %d, and the network has the blocks %d to %d", number, oldest, newest)
	}
	if number >= oldest {
		p, err := n.kept(number)
		if err != nil {
			return err
		}
		if p.Hash != hash {
			return &otherChainError{number, hash, p.Hash}
		}
	}
	for ; number < newest; number++ {
		p, err := n.kept(number + 1)
		if err != nil {
			return err
		}
		if p.ParentHash != hash {
			return &otherChainError{number, hash, p.ParentHash}
		}
		if _, err := d.Import(ctx, p); err != nil {
			return err
		}
		hash = p.Hash
	}
	return nil
}

// kept is a payload of the chain.
func (n *Node) kept(number uint64) (ethrpc.Payload, error) {
	var p ethrpc.Payload
	raw := n.chain.at(number)
	if raw == nil {
		return p, fmt.Errorf("block %d is no longer kept", number)
	}
	err := json.Unmarshal(raw, &p)
	return p, err
}

// produceFrom makes the head of the driver the network's.
func (n *Node) produceFrom(ctx context.Context, d *drive.Driver, slot time.Duration) error {
	number, hash := d.Head()
	parent, err := n.parentOf(ctx, number)
	if err != nil {
		return err
	}
	n.update(func(s *status) {
		s.known = true
		s.head = block{number, hash, parent}
		s.network = network{Name: n.o.Network, ChainID: d.ChainID(), Genesis: d.Genesis(), SlotMS: slot.Milliseconds(), Head: number}
	})
	n.log.Info("producing", "network", n.o.Network, "chain", d.ChainID(), "from", number, "slot", slot)
	return nil
}
