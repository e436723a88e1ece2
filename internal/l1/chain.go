package l1

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// ChainOptions are what an L1 is started with.
type ChainOptions struct {
	// Node is the execution client. Without a genesis it gets that of
	// [genesis.L1], without an address of the Engine API a free port on
	// 127.0.0.1: nobody else is to make blocks.
	Node devnet.Options
	// BlockTime is the time from one block to the next. The time stamps of
	// blocks that come faster than one a second run ahead of the clock.
	BlockTime time.Duration
}

// MinBlockTime is the shortest time between blocks: what it takes to make one
// comes to some tens of milliseconds.
const MinBlockTime = 100 * time.Millisecond

// Chain is a running L1.
type Chain struct {
	node    *devnet.Node
	rpc     *ethrpc.Client
	engine  *ethrpc.Engine
	stop    context.CancelFunc
	running sync.WaitGroup
	failed  chan error
	closing sync.Once
	closed  error
}

// Start starts an L1 and returns when it answers requests; the first block
// comes with the first interval. It goes on from what the data directory holds.
// A started chain lives until [Chain.Close] and no longer depends on ctx. Errors
// that the user can cure are of package fault and name the flags of verdict
// devnet l1.
func Start(ctx context.Context, o ChainOptions) (*Chain, error) {
	if o.BlockTime < MinBlockTime {
		return nil, fault.Newf(fault.Usage, "--block-time %d: want at least %d, in milliseconds", o.BlockTime.Milliseconds(), MinBlockTime.Milliseconds())
	}
	if o.Node.Genesis == nil {
		o.Node.Genesis = genesis.L1()
	}
	if o.Node.EngineAddr == "" {
		o.Node.EngineAddr = "127.0.0.1:0"
	}
	// What is in a block here, others rely on, and nobody else has it.
	o.Node.Durable = true
	node, err := devnet.Start(ctx, o.Node)
	if err != nil {
		return nil, err
	}
	c := &Chain{node: node, stop: func() {}, failed: make(chan error, 2)}
	driver, err := c.drive(ctx, o.BlockTime)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	// Blocks are made until Close, whatever becomes of ctx.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	c.running.Go(func() {
		err := drive.Run(running, driver, drive.Pace{Slot: o.BlockTime}, func(drive.Block) error { return nil })
		if running.Err() == nil {
			c.failed <- fmt.Errorf("making L1 blocks: %w", err)
		}
	})
	c.running.Go(func() {
		select {
		case err := <-node.Failed():
			c.failed <- err
		case <-running.Done():
		}
	})
	return c, nil
}

// drive attaches a driver to the node.
func (c *Chain) drive(ctx context.Context, blockTime time.Duration) (*drive.Driver, error) {
	secret, err := ethrpc.ReadSecret(c.node.JWTSecret())
	if err != nil {
		return nil, err
	}
	if c.rpc, err = ethrpc.NewClient(c.node.RPC()); err != nil {
		return nil, err
	}
	if c.engine, err = ethrpc.NewEngine(c.node.Engine(), secret); err != nil {
		return nil, err
	}
	return drive.Open(ctx, drive.Options{
		Clients:   []drive.Client{{Name: "l1", RPC: c.rpc, Engine: c.engine}},
		Clock:     time.Now,
		BuildTime: min(maxBuildTime, blockTime/4),
	})
}

// maxBuildTime is enough for a full block of deposits; what does not get in
// waits for the next one.
const maxBuildTime = 100 * time.Millisecond

// RPC is the URL of the JSON-RPC.
func (c *Chain) RPC() string { return c.node.RPC() }

// ChainID is the id of the chain.
func (c *Chain) ChainID() uint64 { return c.node.ChainID() }

// Genesis is the hash of the first block.
func (c *Chain) Genesis() common.Hash { return c.node.Genesis() }

// Head is number and hash of the newest block.
func (c *Chain) Head() (uint64, common.Hash) { return c.node.Head() }

// Failed delivers an error when the chain makes no more blocks or no longer
// answers. It should then be closed.
func (c *Chain) Failed() <-chan error { return c.failed }

// Close makes no more blocks, stops the servers and writes what is still in
// memory to disk. It may be called more than once.
func (c *Chain) Close() error {
	c.closing.Do(func() {
		c.stop()
		c.running.Wait()
		if c.rpc != nil {
			c.rpc.Close()
		}
		if c.engine != nil {
			c.engine.Close()
		}
		c.closed = c.node.Close()
	})
	return c.closed
}
