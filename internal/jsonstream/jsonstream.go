// Package jsonstream reads JSON documents of hundreds of megabytes token by
// token, from a stream and in bounded memory.
package jsonstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Chunk is how much of the document a Reader holds at a time, in bytes, unless
// a single token is larger.
const Chunk = 256 << 10

// maxDepth bounds the nesting of values that are skipped.
const maxDepth = 512

// Reader reads JSON tokens from a stream. encoding/json would copy each string
// several times and needs whole values in memory; a witness is one value of up
// to hundreds of megabytes. Errors of the document name the byte they are at; a
// document that ends too early has io.ErrUnexpectedEOF in the chain, and what
// the stream itself says goes through.
type Reader struct {
	// MaxToken bounds a single text or Raw value, in bytes; 0 is no bound.
	MaxToken int

	in io.Reader
	// buf[pos:end] is read but not consumed; buf[0] is byte base of the
	// stream. While mark is not negative, bytes from there on are kept.
	buf      []byte
	pos, end int
	mark     int
	base     int64
	// eof is set once the input has ended of itself. A reader that breaks
	// off, such as a cut gzip stream, also says io.ErrUnexpectedEOF.
	eof bool
}

// NewReader returns a Reader of one document.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: in, buf: make([]byte, Chunk), mark: -1}
}

// Empty reports that the document ended before its first byte.
func (r *Reader) Empty() bool { return r.eof && r.base+int64(r.end) == 0 }

// Malformed is an error that names the current position.
func (r *Reader) Malformed(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", r.base+int64(r.pos), fmt.Sprintf(format, args...))
}

// more reads at least one more byte behind end. The end of the input is always
// an error here: more is only called where something must follow.
func (r *Reader) more() error {
	keep := r.pos
	if r.mark >= 0 {
		keep = r.mark
		r.mark = 0
	}
	if keep > 0 {
		copy(r.buf, r.buf[keep:r.end])
		r.base += int64(keep)
		r.pos -= keep
		r.end -= keep
	}
	if r.end == len(r.buf) {
		if r.MaxToken > 0 && len(r.buf) >= max(r.MaxToken, Chunk) {
			return r.Malformed("a single value of more than %d bytes", len(r.buf))
		}
		grown := make([]byte, 2*len(r.buf))
		copy(grown, r.buf)
		r.buf = grown
	}
	for range 100 {
		n, err := r.in.Read(r.buf[r.end:])
		r.end += n
		switch {
		case n > 0:
			return nil
		case err == io.EOF:
			r.eof = true
			return fmt.Errorf("the answer ends early, after %d bytes: %w",
				r.base+int64(r.end), io.ErrUnexpectedEOF)
		case err != nil:
			return fmt.Errorf("after %d bytes: %w", r.base+int64(r.end), err)
		}
	}
	return io.ErrNoProgress
}

// Next is the first byte of the next token; it is not consumed.
func (r *Reader) Next() (byte, error) {
	for {
		for ; r.pos < r.end; r.pos++ {
			switch c := r.buf[r.pos]; c {
			case ' ', '\t', '\n', '\r':
			default:
				return c, nil
			}
		}
		if err := r.more(); err != nil {
			return 0, err
		}
	}
}

// expect consumes the next token, which must be the byte c.
func (r *Reader) expect(c byte) error {
	switch got, err := r.Next(); {
	case err != nil:
		return err
	case got != c:
		return r.Malformed("%q where %q is expected", got, c)
	}
	r.pos++
	return nil
}

// Finish checks that nothing but white space follows.
func (r *Reader) Finish() error {
	_, err := r.Next()
	switch {
	case err == nil:
		return r.Malformed("more data after the answer")
	case r.eof:
		return nil
	}
	return err
}

// Str consumes a string and returns what is between the quotes, escapes not
// yet resolved. It is valid until the next call.
func (r *Reader) Str() (raw []byte, escaped bool, err error) {
	if err := r.expect('"'); err != nil {
		return nil, false, err
	}
	for n := 0; ; {
		rest := r.buf[r.pos+n : r.end]
		if escaped {
			n, rest = skipEscapes(n, rest)
		} else if quote := bytes.IndexByte(rest, '"'); quote >= 0 {
			rest = rest[:quote+1]
		}
		if !escaped {
			// The usual case is a megabyte of hex without an escape, so the
			// slow walk starts only once there is one.
			if bytes.IndexByte(rest, '\\') >= 0 {
				escaped = true
				continue
			}
			n += len(rest)
		}
		if len(rest) > 0 && rest[len(rest)-1] == '"' {
			raw = r.buf[r.pos : r.pos+n-1]
			r.pos += n
			return raw, escaped, nil
		}
		if err := r.more(); err != nil {
			return nil, false, err
		}
	}
}

// skipEscapes walks over string bytes in which escapes occur, from the offset
// n on. It returns the new offset and the last byte walked over when that is
// the closing quote, else nothing; an escape cut in two is left for later.
func skipEscapes(n int, rest []byte) (int, []byte) {
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			return n + i + 1, rest[i : i+1]
		case '\\':
			if i+1 == len(rest) {
				return n + i, nil
			}
			i++
		}
	}
	return n + len(rest), nil
}

// Text resolves the escapes of a string as returned by str.
func (r *Reader) Text(raw []byte, escaped bool) ([]byte, error) {
	if !escaped {
		for _, c := range raw {
			if c < ' ' {
				return nil, r.Malformed("control character in a string")
			}
		}
		return raw, nil
	}
	var s string
	if err := json.Unmarshal([]byte(`"`+string(raw)+`"`), &s); err != nil {
		return nil, r.Malformed("invalid string: %v", err)
	}
	return []byte(s), nil
}

// Object consumes an object and calls member for each key; member consumes the
// value, and key is valid until it returns.
func (r *Reader) Object(member func(key []byte) error) error {
	return r.list('{', '}', func() error {
		raw, escaped, err := r.Str()
		if err != nil {
			return err
		}
		key, err := r.Text(raw, escaped)
		if err != nil {
			return err
		}
		// The colon may need more input, which moves the buffer.
		var short [64]byte
		key = append(short[:0], key...)
		if err := r.expect(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// list consumes an array or object, item by item.
func (r *Reader) list(opening, closing byte, item func() error) error {
	if err := r.expect(opening); err != nil {
		return err
	}
	c, err := r.Next()
	if err != nil {
		return err
	}
	if c == closing {
		r.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		c, err := r.Next()
		if err != nil {
			return err
		}
		switch c {
		case ',':
			r.pos++
		case closing:
			r.pos++
			return nil
		default:
			return r.Malformed("%q where ',' or %q is expected", c, closing)
		}
	}
}

// Array consumes an array; item consumes each of its items.
func (r *Reader) Array(item func() error) error { return r.list('[', ']', item) }

// Skip consumes a value of any kind.
func (r *Reader) Skip() error { return r.skip(0) }

func (r *Reader) skip(depth int) error {
	if depth == maxDepth {
		return r.Malformed("more than %d values nested", maxDepth)
	}
	c, err := r.Next()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		return r.Object(func([]byte) error { return r.skip(depth + 1) })
	case '[':
		return r.Array(func() error { return r.skip(depth + 1) })
	case '"':
		raw, escaped, err := r.Str()
		if err == nil {
			_, err = r.Text(raw, escaped)
		}
		return err
	}
	return r.scalar()
}

// scalar consumes a number, true, false or null.
func (r *Reader) scalar() error {
	for n := 0; ; n++ {
		if r.pos+n == r.end {
			if err := r.more(); err != nil {
				return err
			}
		}
		switch c := r.buf[r.pos+n]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			continue
		}
		if token := r.buf[r.pos : r.pos+n]; n == 0 || !json.Valid(token) {
			return r.Malformed("%q is not a JSON value", r.buf[r.pos:r.pos+max(1, min(n, 32))])
		}
		r.pos += n
		return nil
	}
}

// Raw consumes a value of any kind and returns its text, valid until the next
// call.
func (r *Reader) Raw() ([]byte, error) {
	if _, err := r.Next(); err != nil {
		return nil, err
	}
	r.mark = r.pos
	err := r.skip(0)
	start := r.mark
	r.mark = -1
	return r.buf[start:r.pos], err
}

// Null consumes the value null if it is next.
func (r *Reader) Null() (bool, error) {
	c, err := r.Next()
	if err != nil || c != 'n' {
		return false, err
	}
	return true, r.scalar()
}
