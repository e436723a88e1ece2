package witness

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/jsonstream"
)

// parser reads one answer and emits its elements.
type parser struct {
	*jsonstream.Reader
	// emit takes each element; the bytes are valid during the call only.
	emit func(part, []byte)
	// bin holds the element that is being decoded.
	bin  []byte
	seen [parts]bool
}

// parse reads one answer from r and calls emit for each element in it.
func parse(r io.Reader, emit func(part, []byte)) error {
	p := &parser{Reader: jsonstream.NewReader(r), emit: emit}
	c, err := p.Next()
	switch {
	case p.Empty():
		return fmt.Errorf("the answer is empty: %w", err)
	case err != nil:
		return err
	case c != '{':
		return p.Malformed("the answer is not a JSON object: it begins with %q", c)
	}
	if err := p.answer(); err != nil {
		return err
	}
	return p.Finish()
}

// answer reads a JSON-RPC response, or a witness that stands alone; which of
// them it is shows in the keys.
func (p *parser) answer() error {
	var failure *ethrpc.Error
	result := false
	err := p.Object(func(key []byte) error {
		if part, ok := partOf(key); ok {
			return p.part(part)
		}
		switch string(key) {
		case "result":
			if result {
				return p.Malformed("result occurs twice")
			}
			result = true
			return p.result()
		case "error":
			raw, err := p.Raw()
			if err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &failure); err != nil {
				return p.Malformed("the error is not a JSON-RPC error: %v", err)
			}
			return nil
		}
		return p.Skip()
	})
	switch {
	case err != nil:
		return err
	case failure != nil:
		return failure
	case !result && p.seen == [parts]bool{}:
		return errors.New("the answer has neither a result nor an error")
	case !p.seen[state] || !p.seen[codes]:
		// A client may leave out keys, and older ones headers; without state
		// or codes it is something else that happens to be an object.
		return errors.New("the result is not a witness: state or codes are not in it")
	}
	return nil
}

// result reads the value of the key result.
func (p *parser) result() error {
	c, err := p.Next()
	switch {
	case err != nil:
		return err
	case c == 'n':
		if _, err := p.Null(); err != nil {
			return err
		}
		return errors.New("the result is null: the server has no witness of this block")
	case c != '{':
		return p.Malformed("the result is not an object: it begins with %q", c)
	}
	return p.Object(func(key []byte) error {
		if part, ok := partOf(key); ok {
			return p.part(part)
		}
		return p.Skip()
	})
}

// part reads all elements of one part: an array, an object of which only the
// values matter, or null.
func (p *parser) part(part part) error {
	if p.seen[part] {
		return p.Malformed("%s occurs twice", part)
	}
	p.seen[part] = true
	c, err := p.Next()
	if err != nil {
		return err
	}
	i := -1
	switch c {
	case 'n':
		_, err := p.Null()
		return err
	case '[':
		return p.Array(func() error { i++; return p.element(part, i) })
	case '{':
		return p.Object(func([]byte) error { i++; return p.element(part, i) })
	}
	return p.Malformed("%s is neither an array nor an object: it begins with %q", part, c)
}

// element reads the element number i of a part.
func (p *parser) element(part part, i int) error {
	c, err := p.Next()
	switch {
	case err != nil:
		return err
	case c == '"':
		return p.hex(part, i)
	case c != '{' || part != headers:
		return p.Malformed("%s[%d] is not a string: it begins with %q", part, i, c)
	}
	raw, err := p.Raw()
	if err != nil {
		return err
	}
	encoded, err := encodeHeader(raw)
	if err != nil {
		return fmt.Errorf("%s[%d]: %w", part, i, err)
	}
	p.emit(part, encoded)
	return nil
}

// hex reads an element that is written as 0x-hex.
func (p *parser) hex(part part, i int) error {
	raw, escaped, err := p.Str()
	if err != nil {
		return err
	}
	if escaped {
		if raw, err = p.Text(raw, true); err != nil {
			return err
		}
	}
	switch {
	case len(raw) < 2 || raw[0] != '0' || raw[1] != 'x':
		return p.Malformed("%s[%d]: hex string without 0x prefix", part, i)
	case len(raw)%2 != 0:
		return p.Malformed("%s[%d]: hex string with an odd number of digits", part, i)
	}
	digits := raw[2:]
	if cap(p.bin) < len(digits)/2 {
		p.bin = make([]byte, max(jsonstream.Chunk, len(digits)/2))
	}
	n, err := hex.Decode(p.bin[:len(digits)/2], digits)
	if err != nil {
		return p.Malformed("%s[%d]: %q is not a hex digit", part, i, badDigit(digits))
	}
	p.emit(part, p.bin[:n])
	return nil
}

// badDigit is the first byte of digits that is not a hex digit.
func badDigit(digits []byte) byte {
	for _, c := range digits {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return c
		}
	}
	return 0
}
