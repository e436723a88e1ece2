package stateless

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
)

// ancestry is the run of headers below a block.
type ancestry struct {
	// headers and hashes go from the parent downwards, without holes.
	headers []*types.Header
	hashes  []common.Hash
	block   uint64
	// own counts the headers that are not of the witness but of blocks of the
	// run; they come first.
	own int
	// used counts the headers of the witness, from the newest down to the
	// deepest that was asked for; the newest always is.
	used int
}

// parent is the header of the block's parent.
func (a *ancestry) parent() *types.Header { return a.headers[0] }

// add makes block, which is the one that the ancestry was of, the parent of the
// next.
func (a *ancestry) add(block *types.Block) {
	a.headers = slices.Insert(a.headers, 0, block.Header())
	a.hashes = slices.Insert(a.hashes, 0, block.Hash())
	a.block++
	a.own++
}

// given counts the headers that are of the witness.
func (a *ancestry) given() int { return len(a.headers) - a.own }

// hash is the hash of the ancestor with the given number. It is only given out
// for a header that is in the witness: the hash of one more could be taken
// from the last header's parent field, but programs that consume witnesses
// build their table of hashes from the headers, and clients send the header of
// each block whose hash was read.
func (a *ancestry) hash(number uint64) (common.Hash, bool) {
	depth := a.block - 1 - number
	if number >= a.block || depth >= uint64(len(a.hashes)) {
		return common.Hash{}, false
	}
	a.used = max(a.used, int(depth)+1-a.own)
	return a.hashes[depth], true
}

// link puts the headers of a witness in order below block and checks that they
// are linked by hash.
//
// A header that does not link is refused even if nothing reads it. The headers
// of a witness are an unbroken run that ends in the parent, and consumers
// check that run as a whole; a stray header means that the server or somebody
// on the way changed one. The one exception is the block's own header, which
// is genuine and which some clients add; with it go those of the blocks that
// follow it in a run. How far back the run reaches is not judged here but where
// a hash is read.
func link(block *types.Block, encoded [][]byte, following ...*types.Block) (*ancestry, error) {
	index := make(map[common.Hash]*types.Header, len(encoded))
	for i, b := range encoded {
		header := new(types.Header)
		if err := rlp.DecodeBytes(b, header); err != nil {
			return nil, fmt.Errorf("headers[%d] is not a block header: %v", i, err)
		}
		index[crypto.Keccak256Hash(b)] = header
	}
	delete(index, block.Hash())
	for _, b := range following {
		delete(index, b.Hash())
	}
	a := &ancestry{block: block.NumberU64(), used: 1}
	want := block.ParentHash()
	for number := a.block - 1; ; number-- {
		header := index[want]
		if header == nil {
			return a, unlinked(index, want, number, len(a.headers) == 0)
		}
		if !header.Number.IsUint64() || header.Number.Uint64() != number {
			return nil, fmt.Errorf("header %s has number %d, its place in the chain is %d", want, header.Number, number)
		}
		delete(index, want)
		a.headers = append(a.headers, header)
		a.hashes = append(a.hashes, want)
		want = header.ParentHash
		if number == 0 {
			return a, unlinked(index, want, number, false)
		}
	}
}

// unlinked judges the headers that are left over once the run has ended, where
// the header number with the hash want would continue it. The parent is
// required.
func unlinked(rest map[common.Hash]*types.Header, want common.Hash, number uint64, parent bool) error {
	missing := &MissingError{Missing: []Missing{{Kind: Header, Hash: want, Number: number}}}
	if parent {
		missing.Where = "as the parent of the block"
	}
	if len(rest) == 0 {
		if parent {
			return missing
		}
		return nil
	}
	// The highest stray header is the one to name; its own hash decides
	// between equals, so that the message is always the same.
	hashes := make([]common.Hash, 0, len(rest))
	for hash := range rest {
		hashes = append(hashes, hash)
	}
	slices.SortFunc(hashes, func(a, b common.Hash) int {
		if c := rest[b].Number.Cmp(rest[a].Number); c != 0 {
			return c
		}
		return a.Cmp(b)
	})
	stray := rest[hashes[0]]
	if stray.Number.IsUint64() && stray.Number.Uint64() < number {
		missing.Where = fmt.Sprintf("as the link from the block to header %d", stray.Number)
		if parent {
			missing.Where = "as the parent of the block"
		}
		return missing
	}
	return fmt.Errorf("header %d (%s) is no ancestor of the block: header %d must be %s",
		stray.Number, hashes[0], number, want)
}

// chain lets the EVM look at the ancestors.
type chain struct {
	cfg *params.ChainConfig
	*ancestry
}

// Config returns the chain configuration.
func (c chain) Config() *params.ChainConfig { return c.cfg }

// CurrentHeader returns the newest header that is known, the parent's.
func (c chain) CurrentHeader() *types.Header { return c.parent() }

// GetHeader returns an ancestor, or nil.
func (c chain) GetHeader(hash common.Hash, _ uint64) *types.Header { return c.GetHeaderByHash(hash) }

// GetHeaderByNumber returns an ancestor, or nil.
func (c chain) GetHeaderByNumber(number uint64) *types.Header {
	if number >= c.block || c.block-1-number >= uint64(len(c.headers)) {
		return nil
	}
	return c.headers[c.block-1-number]
}

// GetHeaderByHash returns an ancestor, or nil.
func (c chain) GetHeaderByHash(hash common.Hash) *types.Header {
	if i := slices.Index(c.hashes, hash); i >= 0 {
		return c.headers[i]
	}
	return nil
}

// Engine returns nil: after the merge a block needs no consensus engine to be
// executed.
func (c chain) Engine() consensus.Engine { return nil }
