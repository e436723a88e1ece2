// Package batch is what a sequencer hands to a prover and what the prover says
// of it: blocks that follow one another with one witness for all of them, their
// document on the wire, their stateless execution, and the public output by
// which the contract on the L1 knows them again.
//
// The document has the member names of ethrex's prover input. Byte strings are
// arrays of numbers there, so it is three to four times as large as what it
// holds; it is written and read as a stream, and never stands in memory as a
// whole.
package batch

import (
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/witness"
)

// Batch is what a prover needs to prove blocks.
type Batch struct {
	// Number is the batch's place in the rollup, from 1 on. It stands beside
	// the input document, not in it.
	Number uint64
	// Blocks are the blocks in order, at least one.
	Blocks []*types.Block
	// Witness holds what the execution of all the blocks reads. Its headers
	// reach at least to the parent of the first block; those of the blocks
	// themselves may be among them.
	Witness *witness.Witness
	// Config has the rules of the chain.
	Config *params.ChainConfig
}

// Merge joins the witnesses of blocks that follow one another into one for all
// of them: each element that is not empty once, in the order in which they come. The result
// shares the elements with its parts.
func Merge(parts ...*witness.Witness) *witness.Witness {
	lists := func(of func(*witness.Witness) [][]byte) [][]byte {
		var out [][]byte
		seen := make(map[string]struct{})
		for _, p := range parts {
			for _, b := range of(p) {
				if _, ok := seen[string(b)]; !ok && len(b) > 0 {
					seen[string(b)] = struct{}{}
					out = append(out, b)
				}
			}
		}
		return out
	}
	return &witness.Witness{
		State:   lists(func(w *witness.Witness) [][]byte { return w.State }),
		Codes:   lists(func(w *witness.Witness) [][]byte { return w.Codes }),
		Keys:    lists(func(w *witness.Witness) [][]byte { return w.Keys }),
		Headers: lists(func(w *witness.Witness) [][]byte { return w.Headers }),
	}
}

// parent is the header of the block before the first one, out of the witness.
func (b Batch) parent() (*types.Header, error) {
	if len(b.Blocks) == 0 {
		return nil, errNoBlocks
	}
	first := b.Blocks[0]
	for i, raw := range b.Witness.Headers {
		if crypto.Keccak256Hash(raw) != first.ParentHash() {
			continue
		}
		header := new(types.Header)
		if err := rlp.DecodeBytes(raw, header); err != nil {
			return nil, fmt.Errorf("headers[%d] is not a block header: %v", i, err)
		}
		return header, nil
	}
	return nil, fmt.Errorf("the witness has no header %s, the parent of block %d", first.ParentHash(), first.NumberU64())
}
