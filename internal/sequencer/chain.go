package sequencer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/store"
	"github.com/verdict-bench/verdict/internal/witness"
)

// chain is the L2's own chain: the node, called as anybody would call it.
type chain struct {
	rpc    *ethrpc.Client
	engine *ethrpc.Engine
	// headFile names the newest block that the node executed. The node may be
	// killed before it has noted itself that the block is its head.
	headFile string
}

// header is the part of a block header that the sequencer works with.
type header struct {
	Number    hexutil.Uint64 `json:"number"`
	Hash      common.Hash    `json:"hash"`
	Timestamp hexutil.Uint64 `json:"timestamp"`
	StateRoot common.Hash    `json:"stateRoot"`
}

// openChain returns the chain of a running node, on the head that it had when
// it last ran.
func openChain(ctx context.Context, n *devnet.Node, dir string) (*chain, error) {
	secret, err := ethrpc.ReadSecret(n.JWTSecret())
	if err != nil {
		return nil, err
	}
	c := &chain{headFile: filepath.Join(dir, "head.json")}
	if c.rpc, err = ethrpc.NewClient(n.RPC()); err != nil {
		return nil, err
	}
	if c.engine, err = ethrpc.NewEngine(n.Engine(), secret); err != nil {
		return nil, err
	}
	return c, c.restoreHead(ctx)
}

// close drops the connections.
func (c *chain) close() {
	c.rpc.Close()
	c.engine.Close()
}

// restoreHead makes the last executed block the head again.
func (c *chain) restoreHead(ctx context.Context) error {
	raw, err := os.ReadFile(c.headFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var stored header
	if err == nil {
		err = json.Unmarshal(raw, &stored)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.headFile, err)
	}
	head, err := c.header(ctx, "latest")
	if err != nil || head.Number >= stored.Number {
		return err
	}
	// A block that the node has lost is answered as one to be fetched. It was
	// in no batch yet, or the opening finds that it is missing.
	_, err = c.setHead(ctx, stored.Hash)
	return err
}

// header is the header of a block, by number or tag.
func (c *chain) header(ctx context.Context, at string) (header, error) {
	var h *header
	if err := c.rpc.Call(ctx, &h, "eth_getBlockByNumber", at, false); err != nil {
		return header{}, err
	}
	if h == nil {
		return header{}, fmt.Errorf("the L2 has no block %s", at)
	}
	return *h, nil
}

// block is a block of the chain.
func (c *chain) block(ctx context.Context, number uint64) (*types.Block, error) {
	var raw hexutil.Bytes
	if err := c.rpc.Call(ctx, &raw, "debug_getRawBlock", hexutil.Uint64(number)); err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	block := new(types.Block)
	if err := rlp.DecodeBytes(raw, block); err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	return block, nil
}

// witness is the witness of a block: the one that was made when the block was
// imported or, for old blocks, one that the node makes again.
func (c *chain) witness(ctx context.Context, number uint64) (*witness.Witness, error) {
	var raw json.RawMessage
	if err := c.rpc.Call(ctx, &raw, "debug_executionWitness", hexutil.Uint64(number)); err != nil {
		return nil, fmt.Errorf("witness of block %d: %w", number, err)
	}
	w, err := witness.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	return w, nil
}

// waiting is the number of transactions in the pool that a block can take.
func (c *chain) waiting(ctx context.Context) (uint64, error) {
	var pool struct{ Pending hexutil.Uint64 }
	err := c.rpc.Call(ctx, &pool, "txpool_status")
	return uint64(pool.Pending), err
}

// deliverTimeout bounds how long the node may take to execute a block.
const deliverTimeout = time.Minute

// deliver has the node execute a block and makes it the head. It runs on
// through an interrupt, so that no block is left half way.
func (c *chain) deliver(ctx context.Context, p ethrpc.Payload) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
	defer cancel()
	outcome, err := c.engine.NewPayload(ctx, p)
	if err == nil {
		err = valid(outcome)
	}
	if err != nil {
		return fmt.Errorf("block %d: %w", p.Number, err)
	}
	raw, err := json.Marshal(header{Number: hexutil.Uint64(p.Number), Hash: p.Hash})
	if err != nil {
		return err
	}
	if err := store.WriteFile(c.headFile, raw); err != nil {
		return fault.As(fault.Prerequisite, err)
	}
	if outcome, err = c.setHead(ctx, p.Hash); err == nil {
		err = valid(outcome)
	}
	if err != nil {
		return fmt.Errorf("block %d as the head: %w", p.Number, err)
	}
	return nil
}

// setHead makes a block that the node knows its head.
func (c *chain) setHead(ctx context.Context, hash common.Hash) (ethrpc.Outcome, error) {
	outcome, _, err := c.engine.ForkchoiceUpdated(ctx, ethrpc.Forkchoice{Head: hash}, nil)
	return outcome, err
}

// valid refuses every other outcome.
func valid(o ethrpc.Outcome) error {
	if o.Status != ethrpc.Valid {
		return fmt.Errorf("the node says %s %s", o.Status, o.ValidationError)
	}
	return nil
}

// nextDeposit is the id of the first deposit that no block credits. Deposits
// are credited in order, so the newest block that credits any tells; from is
// the first block to look at, and known the answer of the blocks before it.
func (c *chain) nextDeposit(ctx context.Context, from, known uint64) (uint64, error) {
	head, err := c.header(ctx, "latest")
	if err != nil {
		return 0, err
	}
	for number := uint64(head.Number); number >= from && number > 0; number-- {
		block, err := c.block(ctx, number)
		if err != nil {
			return 0, err
		}
		if credits := block.Withdrawals(); len(credits) > 0 {
			return credits[len(credits)-1].Index + 1, nil
		}
	}
	return known, nil
}
