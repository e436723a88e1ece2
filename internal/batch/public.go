package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

// Public is the public output of a batch: what its execution proves, and what
// the contract on the L1 compares with what was committed.
type Public struct {
	// InitialRoot and FinalRoot are the state roots before the first and after
	// the last block.
	InitialRoot, FinalRoot common.Hash
	// LastHash is the hash of the last block.
	LastHash common.Hash
	// FirstBlock and LastBlock are the numbers of the first and last block.
	FirstBlock, LastBlock uint64
	// Deposits is the hash of the deposits that the blocks credit, as
	// [DepositsHash] makes it.
	Deposits common.Hash
}

// PublicSize is the size of an encoded public output in bytes: six words.
const PublicSize = 6 * wordSize

const wordSize = 32

// Encode is the ABI encoding of the public output: six static words, in the
// order of the fields.
func (p Public) Encode() (out [PublicSize]byte) {
	word := func(i int) []byte { return out[i*wordSize : (i+1)*wordSize] }
	copy(word(0), p.InitialRoot[:])
	copy(word(1), p.FinalRoot[:])
	copy(word(2), p.LastHash[:])
	binary.BigEndian.PutUint64(word(3)[wordSize-8:], p.FirstBlock)
	binary.BigEndian.PutUint64(word(4)[wordSize-8:], p.LastBlock)
	copy(word(5), p.Deposits[:])
	return out
}

// DecodePublic reads what [Public.Encode] wrote. Any other length, and a block
// number beyond 64 bits, is an error.
func DecodePublic(raw []byte) (Public, error) {
	if len(raw) != PublicSize {
		return Public{}, fmt.Errorf("public output: %d bytes instead of %d", len(raw), PublicSize)
	}
	word := func(i int) []byte { return raw[i*wordSize : (i+1)*wordSize] }
	var numbers [2]uint64
	for i := range numbers {
		n := new(big.Int).SetBytes(word(3 + i))
		if !n.IsUint64() {
			return Public{}, fmt.Errorf("public output: block number %d does not fit 64 bits", n)
		}
		numbers[i] = n.Uint64()
	}
	return Public{
		InitialRoot: common.Hash(word(0)), FinalRoot: common.Hash(word(1)),
		LastHash:   common.Hash(word(2)),
		FirstBlock: numbers[0], LastBlock: numbers[1],
		Deposits: common.Hash(word(5)),
	}, nil
}

// DepositsHash is the hash of the deposits that the blocks credit: of the
// concatenated words id, address and amount in wei of each deposit, in the order
// of the blocks. A deposit is a withdrawal of the block; its index is the
// deposit's id.
func DepositsHash(blocks []*types.Block) common.Hash {
	hasher := crypto.NewKeccakState()
	var words [3 * wordSize]byte
	for _, b := range blocks {
		for _, w := range b.Withdrawals() {
			clear(words[:])
			binary.BigEndian.PutUint64(words[wordSize-8:], w.Index)
			copy(words[2*wordSize-common.AddressLength:], w.Address[:])
			wei := new(big.Int).SetUint64(w.Amount)
			wei.Mul(wei, big.NewInt(params.GWei)).FillBytes(words[2*wordSize:])
			hasher.Write(words[:])
		}
	}
	var out common.Hash
	hasher.Read(out[:])
	return out
}

var errNoBlocks = errors.New("the batch has no blocks")

// Claim is the public output that the headers of the blocks claim, as yet
// unproved: what a sequencer commits to. initialRoot is the state root of the
// first block's parent.
func Claim(initialRoot common.Hash, blocks []*types.Block) (Public, error) {
	if len(blocks) == 0 {
		return Public{}, errNoBlocks
	}
	first, last := blocks[0], blocks[len(blocks)-1]
	return Public{
		InitialRoot: initialRoot, FinalRoot: last.Root(),
		LastHash:   last.Hash(),
		FirstBlock: first.NumberU64(), LastBlock: last.NumberU64(),
		Deposits: DepositsHash(blocks),
	}, nil
}
