package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	gethstateless "github.com/ethereum/go-ethereum/core/stateless"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/witness"
)

// chain is loaded blocks of the local chain with the witness of each.
type chain struct {
	config *params.ChainConfig
	// blocks are the RLP of the blocks: each use decodes them anew, because a
	// decoded transaction remembers its sender once that is recovered.
	blocks    [][]byte
	gas       uint64
	witnesses []*witness.Witness
	stock     []*gethstateless.Witness
}

// makeChain makes count blocks of about gas each, filled with the local load.
func makeChain(count int, gas uint64) (*chain, error) {
	g, err := genesis.Local()
	if err != nil {
		return nil, err
	}
	stream, err := load.NewStream(load.Local(1))
	if err != nil {
		return nil, err
	}
	engine := beacon.New(ethash.NewFaker())
	bc, err := core.NewBlockChain(rawdb.NewMemoryDatabase(), g, engine, nil)
	if err != nil {
		return nil, err
	}
	defer bc.Stop()
	db, _, _ := core.GenerateChainWithGenesis(g, engine, 0, nil)
	c := &chain{config: g.Config}
	parent := bc.Genesis()
	for i := range count {
		txs, err := decodeAll(stream, gas)
		if err != nil {
			return nil, err
		}
		blocks, _ := core.GenerateChain(g.Config, parent, engine, db, 1, func(_ int, b *core.BlockGen) {
			b.SetPoS()
			b.SetParentBeaconRoot(common.Hash{31: byte(i)})
			for _, tx := range txs {
				b.AddTxWithChain(bc, tx)
			}
		})
		parent = blocks[0]
		if err := c.add(bc, parent); err != nil {
			return nil, fmt.Errorf("block %d: %w", parent.NumberU64(), err)
		}
	}
	return c, nil
}

// decodeAll takes the next transactions of a stream.
func decodeAll(stream *load.Stream, gas uint64) ([]*types.Transaction, error) {
	signed, err := stream.Next(gas)
	if err != nil {
		return nil, err
	}
	var txs []*types.Transaction
	for _, s := range signed {
		tx := new(types.Transaction)
		if err := tx.UnmarshalBinary(s.Raw); err != nil {
			return nil, err
		}
		txs = append(txs, tx)
	}
	return txs, nil
}

// add imports a block, and keeps it with its witness.
func (c *chain) add(bc *core.BlockChain, block *types.Block) error {
	stock, err := bc.InsertBlockWithoutSetHead(context.Background(), block, true)
	if err != nil {
		return err
	}
	if _, err := bc.SetCanonical(block); err != nil {
		return err
	}
	answer, err := json.Marshal(map[string]any{"result": stock.ToExtWitness()})
	if err != nil {
		return err
	}
	w, err := witness.Decode(bytes.NewReader(answer))
	if err != nil {
		return err
	}
	raw, err := rlp.EncodeToBytes(block)
	if err != nil {
		return err
	}
	c.blocks, c.gas = append(c.blocks, raw), c.gas+block.GasUsed()
	c.witnesses, c.stock = append(c.witnesses, w), append(c.stock, stock)
	return nil
}

// fresh decodes the blocks.
func (c *chain) fresh() ([]*types.Block, error) {
	blocks := make([]*types.Block, len(c.blocks))
	for i, raw := range c.blocks {
		blocks[i] = new(types.Block)
		if err := rlp.DecodeBytes(raw, blocks[i]); err != nil {
			return nil, err
		}
	}
	return blocks, nil
}

// batch is the batch of all blocks.
func (c *chain) batch() (batch.Batch, error) {
	blocks, err := c.fresh()
	return batch.Batch{Number: 1, Blocks: blocks, Witness: batch.Merge(c.witnesses...), Config: c.config}, err
}
