// Package witness reads execution witnesses in every form that execution
// clients serve them in, and makes the digest by which two of them are
// compared.
//
// An answer to debug_executionWitness has four parts: state (trie nodes),
// codes (bytecode), keys (the addresses and slots that were touched) and
// headers (ancestors of the block). Clients differ in how they write them.
// Arrays of 0x-hex are the rule; older ones send objects that map a hash to
// its preimage; some send headers as JSON objects, no keys, null nodes or the
// same element twice. [Scan] and [Decode] read all of these by one grammar:
// Scan in bounded memory and only to sum them up, Decode into a [Witness].
package witness

import (
	"fmt"
	"io"
)

// Witness is a decoded answer. Each part holds its elements in the order and
// with the repetitions they were served in; headers are RLP.
type Witness struct {
	State   [][]byte
	Codes   [][]byte
	Keys    [][]byte
	Headers [][]byte
}

// part is one of the four lists of a witness.
type part int

const (
	state part = iota
	codes
	keys
	headers
	parts // how many there are
)

// partNames are the names of the parts in JSON and in the digest.
var partNames = [parts]string{"state", "codes", "keys", "headers"}

func (p part) String() string { return partNames[p] }

// partOf finds the part that a JSON key names.
func partOf(key []byte) (part, bool) {
	for p, name := range partNames {
		if string(key) == name {
			return part(p), true
		}
	}
	return 0, false
}

// null reports whether b is an element that says nothing: the empty string
// anywhere, or the RLP of the empty trie node among the state. The single byte
// 0x80 is a valid program, so codes keep it.
func (p part) null(b []byte) bool {
	return len(b) == 0 || p == state && len(b) == 1 && b[0] == 0x80
}

// list is the part p of w.
func (w *Witness) list(p part) *[][]byte {
	return [parts]*[][]byte{&w.State, &w.Codes, &w.Keys, &w.Headers}[p]
}

// Decode reads one answer into memory: a whole JSON-RPC response or the bare
// witness object. A JSON-RPC error in it is returned as an *ethrpc.Error in
// the chain; an answer that ends too early has io.ErrUnexpectedEOF in the
// chain; any other error means that the answer is complete but no witness.
func Decode(r io.Reader) (*Witness, error) {
	w := new(Witness)
	// Elements are cut from large blocks: a witness has thousands of them, and
	// one allocation each would cost more than the decoding.
	var block []byte
	err := parse(r, func(p part, b []byte) {
		if len(b) > cap(block)-len(block) {
			block = make([]byte, 0, max(blockSize, len(b)))
		}
		start := len(block)
		block = append(block, b...)
		list := w.list(p)
		*list = append(*list, block[start:len(block):len(block)])
	})
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	return w, nil
}

// blockSize is how much memory Decode takes at a time for elements, in bytes.
const blockSize = 64 << 10

// Scan reads one answer as [Decode] does, with the same errors, but keeps only
// its summary. It needs memory for the largest single element and 32 bytes for
// each distinct element.
func Scan(r io.Reader) (Summary, error) {
	var s summer
	if err := parse(r, s.add); err != nil {
		return Summary{}, fmt.Errorf("witness: %w", err)
	}
	return s.summary(), nil
}

// Summary sums up w; it equals what [Scan] says of the answer that w was
// decoded from.
func (w *Witness) Summary() Summary {
	var s summer
	for p := range parts {
		for _, b := range *w.list(p) {
			s.add(p, b)
		}
	}
	return s.summary()
}
