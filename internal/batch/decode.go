package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/jsonstream"
	"github.com/verdict-bench/verdict/internal/witness"
)

// Limits of what is decoded, far above what a real input reaches: a document
// that goes on for ever ends in an error instead of taking the machine's memory.
const (
	// maxDecoded bounds the decoded elements together, in bytes.
	maxDecoded = 2 << 30
	// maxToken bounds a text or the chain configuration, in bytes.
	maxToken = 16 << 20
	// elementCost is what an element takes beside its bytes.
	elementCost = 48
	// slab is how much memory is taken at a time for elements: there are
	// thousands of small ones.
	slab = 64 << 10
)

// Decode reads the input document of a batch, as a stream; its Number is 0,
// because that stands beside the document. It is strict about what is needed,
// which is then consistent: there are blocks and they decode, the first has the
// number that the document names, the witness has the header of its parent, and
// that has the state root that the document names. Whether the witness is
// complete and the blocks are valid is for [Execute] to find. Members that are
// not known are passed over.
//
// A document that ends too early has io.ErrUnexpectedEOF in the chain.
func Decode(r io.Reader) (Batch, error) {
	d := newDecoder(r, maxDecoded)
	b, err := d.input()
	if err == nil {
		err = d.in.Finish()
	}
	if err != nil {
		return Batch{}, fmt.Errorf("batch input: %w", err)
	}
	return b, nil
}

// DecodeResponse reads a coordinator's answer to a request for work, as a
// stream, with the errors of [Decode]. It returns nil for an answer that hands
// out nothing, of whatever kind; a coordinator.Scanner knows which.
func DecodeResponse(r io.Reader) (*Batch, error) {
	d := newDecoder(r, maxDecoded)
	b, err := d.response()
	if err == nil {
		err = d.in.Finish()
	}
	if err != nil {
		return nil, fmt.Errorf("batch response: %w", err)
	}
	return b, nil
}

// decoder reads one document.
type decoder struct {
	in *jsonstream.Reader
	// budget is how much memory elements may take, left how much more.
	budget, left int
	// scratch holds the element that is being read, and memory is where the
	// small ones are kept.
	scratch, memory []byte
}

func newDecoder(r io.Reader, budget int) *decoder {
	in := jsonstream.NewReader(r)
	in.MaxToken = maxToken
	return &decoder{in: in, budget: budget, left: budget}
}

// response reads an answer of any kind.
func (d *decoder) response() (*Batch, error) {
	c, err := d.in.Next()
	if err != nil {
		return nil, err
	}
	if c != '{' {
		return nil, d.in.Skip()
	}
	var b *Batch
	err = d.members("the answer", nil, func(key string) (bool, error) {
		if key != "BatchResponse" {
			return false, nil
		}
		b, err = d.assignment()
		return true, err
	})
	return b, err
}

// assignment reads the body of a BatchResponse.
func (d *decoder) assignment() (*Batch, error) {
	var b *Batch
	var number *uint64
	err := d.members("BatchResponse", nil, func(key string) (known bool, err error) {
		if key != "batch_number" && key != "input" {
			return false, nil
		}
		if null, err := d.in.Null(); null || err != nil {
			return true, err
		}
		if key == "batch_number" {
			n, err := d.in.Uint()
			number = &n
			return true, err
		}
		decoded, err := d.input()
		b = &decoded
		return true, err
	})
	switch {
	case err != nil:
		return nil, err
	case b == nil:
		return nil, nil
	case number == nil:
		return nil, errors.New("an input without a batch number")
	}
	b.Number = *number
	return b, nil
}

// input reads an input document.
func (d *decoder) input() (Batch, error) {
	var b Batch
	var first uint64
	var root common.Hash
	err := d.members("the input", []string{"blocks", "execution_witness"}, func(key string) (known bool, err error) {
		switch key {
		case "blocks":
			b.Blocks, err = d.blocks()
		case "execution_witness":
			first, root, err = d.witness(&b)
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return b, err
	}
	if len(b.Blocks) == 0 {
		return b, errNoBlocks
	}
	if got := b.Blocks[0].NumberU64(); got != first {
		return b, fmt.Errorf("the first block has number %d, the witness is of block %d", got, first)
	}
	parent, err := b.parent()
	if err != nil {
		return b, err
	}
	if parent.Root != root {
		return b, fmt.Errorf("state_trie_root is %s, that of block %d, the parent of the first, is %s", root, parent.Number, parent.Root)
	}
	return b, nil
}

// blocks reads the RLP of each block.
func (d *decoder) blocks() ([]*types.Block, error) {
	var blocks []*types.Block
	err := d.list("blocks", func(raw []byte) error {
		block := new(types.Block)
		if err := rlp.DecodeBytes(raw, block); err != nil {
			return fmt.Errorf("not the RLP of a block: %v", err)
		}
		if err := block.SanityCheck(); err != nil {
			return err
		}
		blocks = append(blocks, block)
		return nil
	})
	return blocks, err
}

// witness reads the execution witness and the configuration of the chain into
// b, and returns the first block's number and the state root that it names.
func (d *decoder) witness(b *Batch) (first uint64, root common.Hash, err error) {
	w := new(witness.Witness)
	b.Witness = w
	lists := map[string]*[][]byte{
		"codes": &w.Codes, "block_headers_bytes": &w.Headers, "state": &w.State, "keys": &w.Keys,
	}
	required := []string{"codes", "block_headers_bytes", "state", "first_block_number", "chain_config", "state_trie_root"}
	err = d.members("execution_witness", required, func(key string) (known bool, err error) {
		if list := lists[key]; list != nil {
			return true, d.list(key, func(raw []byte) error {
				*list = append(*list, d.keep(raw))
				return nil
			})
		}
		switch key {
		case "first_block_number":
			first, err = d.in.Uint()
		case "chain_config":
			b.Config, err = d.config()
		case "state_trie_root":
			var text string
			if text, err = d.in.String(); err == nil {
				err = root.UnmarshalText([]byte(text))
			}
		default:
			return false, nil
		}
		return true, err
	})
	return first, root, err
}

// config reads the chain configuration.
func (d *decoder) config() (*params.ChainConfig, error) {
	raw, err := d.in.Raw()
	if err != nil {
		return nil, err
	}
	var cfg *params.ChainConfig
	if err := json.Unmarshal(raw, &cfg); err != nil {
		return nil, err
	}
	if cfg == nil || cfg.ChainID == nil || cfg.ChainID.Sign() <= 0 {
		return nil, errors.New("it has no chain id")
	}
	return cfg, cfg.CheckConfigForkOrder()
}

// members reads the object called what. member reads the value of a member that
// it knows and reports that it did; others are passed over. Of the known ones
// none may occur twice, and the required ones must occur.
func (d *decoder) members(what string, required []string, member func(key string) (known bool, err error)) error {
	switch c, err := d.in.Next(); {
	case err != nil:
		return err
	case c != '{':
		return d.in.Malformed("%s is not an object: it begins with %q", what, c)
	}
	var seen []string
	err := d.in.Object(func(raw []byte) error {
		key := string(raw)
		if slices.Contains(seen, key) {
			return d.in.Malformed("%s: %s occurs twice", what, key)
		}
		known, err := member(key)
		switch {
		case err != nil:
			return inMember(key, err)
		case !known:
			return d.in.Skip()
		}
		seen = append(seen, key)
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range required {
		if !slices.Contains(seen, key) {
			return fmt.Errorf("%s has no %s: it is of another layout", what, key)
		}
	}
	return nil
}

// inMember names the member that an error is of, once: the innermost.
func inMember(key string, err error) error {
	var named *memberError
	if errors.As(err, &named) {
		return err
	}
	return &memberError{key, err}
}

type memberError struct {
	key string
	err error
}

func (e *memberError) Error() string { return e.key + ": " + e.err.Error() }

func (e *memberError) Unwrap() error { return e.err }

// list reads an array of byte strings; element takes each, which is valid during
// the call only.
func (d *decoder) list(name string, element func([]byte) error) error {
	switch c, err := d.in.Next(); {
	case err != nil:
		return err
	case c != '[':
		return d.in.Malformed("not an array: it begins with %q", c)
	}
	i := -1
	return d.in.Array(func() error {
		i++
		raw, err := d.element()
		if err == nil {
			err = element(raw)
		}
		if err != nil {
			return &memberError{fmt.Sprintf("%s[%d]", name, i), err}
		}
		return nil
	})
}

// element reads one byte string into the scratch memory. No element of a
// witness is empty, and none may be: an endless list of them would cost more
// memory than its text.
func (d *decoder) element() ([]byte, error) {
	switch c, err := d.in.Next(); {
	case err != nil:
		return nil, err
	case c != '[':
		return nil, d.in.Malformed("not an array of numbers: it begins with %q", c)
	}
	var err error
	d.scratch, err = d.in.Bytes(d.scratch[:0], max(0, d.left))
	d.left -= len(d.scratch) + elementCost
	switch {
	case errors.Is(err, jsonstream.ErrLong) || err == nil && d.left < 0:
		return nil, fmt.Errorf("the input is too large: more than %d bytes decoded", d.budget)
	case err != nil:
		return nil, err
	case len(d.scratch) == 0:
		return nil, d.in.Malformed("it is empty")
	}
	return d.scratch, nil
}

// keep copies b to memory that stays.
func (d *decoder) keep(b []byte) []byte {
	if len(b) > cap(d.memory)-len(d.memory) {
		d.memory = make([]byte, 0, max(slab, len(b)))
	}
	start := len(d.memory)
	d.memory = append(d.memory, b...)
	return d.memory[start:len(d.memory):len(d.memory)]
}
