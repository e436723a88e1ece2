package batch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/ethereum/go-ethereum/rlp"
)

// The members of the input that say nothing in a batch of the built-in rollup,
// and that provers of the document's layout expect all the same. There is no
// blob, for which all zeros stand, and no fee beyond those of the L1's rules.
const (
	elasticity  = 2
	blobBytes   = 48
	writeBuffer = 64 << 10
)

// Encode writes the input document of b, as a stream. A batch without blocks, or
// whose witness lacks the header of the first block's parent, is an error before
// anything is written; other errors are those of w.
func Encode(w io.Writer, b Batch) error {
	parent, err := b.parent()
	if err != nil {
		return fmt.Errorf("batch %d: %w", b.Number, err)
	}
	config, err := json.Marshal(b.Config)
	if err != nil {
		return fmt.Errorf("batch %d: chain configuration: %w", b.Number, err)
	}
	e := &encoder{w: bufio.NewWriterSize(w, writeBuffer)}
	e.text(`{"blocks":[`)
	for i, block := range b.Blocks {
		raw, err := rlp.EncodeToBytes(block)
		if err != nil {
			return fmt.Errorf("batch %d: block %d: %w", b.Number, block.NumberU64(), err)
		}
		e.item(i, raw)
	}
	e.text(`],"execution_witness":{"codes":`)
	e.list(b.Witness.Codes)
	e.text(`,"block_headers_bytes":`)
	e.list(b.Witness.Headers)
	e.text(`,"first_block_number":` + strconv.FormatUint(b.Blocks[0].NumberU64(), 10))
	e.text(`,"chain_config":` + string(config))
	e.text(`,"state_trie_root":"` + parent.Root.Hex() + `","state":`)
	e.list(b.Witness.State)
	e.text(`,"storage_trie_roots":{},"keys":`)
	e.list(b.Witness.Keys)
	e.text(`},"elasticity_multiplier":` + strconv.Itoa(elasticity) + `,"blob_commitment":`)
	e.bytes(make([]byte, blobBytes))
	e.text(`,"blob_proof":`)
	e.bytes(make([]byte, blobBytes))
	e.text(`,"fee_configs":[]}`)
	return e.w.Flush()
}

// Respond writes the answer that hands out the batch with the given number;
// input writes its input document, from wherever it is kept.
func Respond(w io.Writer, number uint64, input func(io.Writer) error) error {
	if _, err := fmt.Fprintf(w, `{"BatchResponse":{"batch_number":%d,"input":`, number); err != nil {
		return err
	}
	if err := input(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, `,"format":"Groth16"}}`)
	return err
}

// encoder writes to a buffer, whose first error stays and is told by Flush.
type encoder struct {
	w *bufio.Writer
	// spare is where a byte string is written before it goes to the buffer.
	spare []byte
}

func (e *encoder) text(s string) { e.w.WriteString(s) }

// list writes byte strings as an array of arrays of numbers. Empty ones say
// nothing and are left out.
func (e *encoder) list(list [][]byte) {
	e.text("[")
	written := 0
	for _, b := range list {
		if len(b) > 0 {
			e.item(written, b)
			written++
		}
	}
	e.text("]")
}

// item writes the byte string number i of an array.
func (e *encoder) item(i int, b []byte) {
	if i > 0 {
		e.text(",")
	}
	e.bytes(b)
}

// bytes writes a byte string as an array of numbers.
func (e *encoder) bytes(b []byte) {
	const piece = 4 << 10
	e.text("[")
	for at := 0; at < len(b); at += piece {
		e.spare = e.spare[:0]
		for i, c := range b[at:min(at+piece, len(b))] {
			if at+i > 0 {
				e.spare = append(e.spare, ',')
			}
			e.spare = strconv.AppendUint(e.spare, uint64(c), 10)
		}
		e.w.Write(e.spare)
	}
	e.text("]")
}
