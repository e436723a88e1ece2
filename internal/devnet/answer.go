package devnet

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/rlp"
)

// answer is the result of debug_executionWitness as a structure: what the
// store keeps in its generated form. RLP order and JSON names are part of the
// file format and of the wire.
type answer struct {
	State, Codes, Keys, Headers [][]byte
}

// newAnswer takes the witness of a recorded execution.
func newAnswer(r *recording) (*answer, error) {
	ext := r.witness.ToExtWitness() // sorts, so that the same witness gives the same bytes
	a := &answer{Keys: r.touched.keys()}
	for _, node := range ext.State {
		a.State = append(a.State, node)
	}
	for _, code := range ext.Codes {
		a.Codes = append(a.Codes, code)
	}
	for _, header := range ext.Headers {
		raw, err := rlp.EncodeToBytes(header)
		if err != nil {
			return nil, fmt.Errorf("encoding header %d: %w", header.Number, err)
		}
		a.Headers = append(a.Headers, raw)
	}
	return a, nil
}

// result is a JSON value that is written as it is wanted, and whose length is
// known before.
type result interface {
	// size is the number of bytes that writeTo writes.
	size() int
	writeTo(w io.Writer) error
}

// serialized is a result that was encoded before.
type serialized []byte

func (s serialized) size() int { return len(s) }

func (s serialized) writeTo(w io.Writer) error {
	_, err := w.Write(s)
	return err
}

// part is one of the four arrays with its name.
type part struct {
	name  string
	items [][]byte
}

func (a *answer) parts() [4]part {
	return [4]part{{"state", a.State}, {"keys", a.Keys}, {"codes", a.Codes}, {"headers", a.Headers}}
}

func (a *answer) size() int {
	n := len("{}") + len(",,,")
	for _, p := range a.parts() {
		n += len(p.name) + len(`"":[]`)
		for _, item := range p.items {
			n += 2*len(item) + len(`"0x",`)
		}
		if len(p.items) > 0 {
			n-- // there is no comma after the last
		}
	}
	return n
}

// writeTo encodes by hand: the arrays hold nothing but hex, and encoding/json
// would make a copy of several megabytes for each pass over it.
func (a *answer) writeTo(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	var digits []byte
	for i, p := range a.parts() {
		if i == 0 {
			out.WriteByte('{')
		} else {
			out.WriteByte(',')
		}
		fmt.Fprintf(out, "%q:[", p.name)
		for j, item := range p.items {
			if j > 0 {
				out.WriteByte(',')
			}
			out.WriteString(`"0x`)
			digits = hex.AppendEncode(digits[:0], item)
			out.Write(digits)
			out.WriteByte('"')
		}
		out.WriteByte(']')
	}
	out.WriteByte('}')
	return out.Flush()
}
