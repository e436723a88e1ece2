package witness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// chunk is how much of the answer the lexer holds at a time, in bytes, unless
// a single token is larger.
const chunk = 256 << 10

// maxDepth bounds the nesting of values that are skipped.
const maxDepth = 512

// lexer reads JSON tokens from a stream. encoding/json would copy each string
// several times and needs whole values in memory; a witness is one value of up
// to hundreds of megabytes.
type lexer struct {
	r io.Reader
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

func newLexer(r io.Reader) lexer {
	return lexer{r: r, buf: make([]byte, chunk), mark: -1}
}

// malformed is an error at the current position.
func (l *lexer) malformed(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", l.base+int64(l.pos), fmt.Sprintf(format, args...))
}

// more reads at least one more byte behind end. The end of the input is always
// an error here: more is only called where something must follow.
func (l *lexer) more() error {
	keep := l.pos
	if l.mark >= 0 {
		keep = l.mark
		l.mark = 0
	}
	if keep > 0 {
		copy(l.buf, l.buf[keep:l.end])
		l.base += int64(keep)
		l.pos -= keep
		l.end -= keep
	}
	if l.end == len(l.buf) {
		grown := make([]byte, 2*len(l.buf))
		copy(grown, l.buf)
		l.buf = grown
	}
	for range 100 {
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		switch {
		case n > 0:
			return nil
		case err == io.EOF:
			l.eof = true
			return fmt.Errorf("the answer ends early, after %d bytes: %w",
				l.base+int64(l.end), io.ErrUnexpectedEOF)
		case err != nil:
			return fmt.Errorf("after %d bytes: %w", l.base+int64(l.end), err)
		}
	}
	return io.ErrNoProgress
}

// next is the first byte of the next token; it is not consumed.
func (l *lexer) next() (byte, error) {
	for {
		for ; l.pos < l.end; l.pos++ {
			switch c := l.buf[l.pos]; c {
			case ' ', '\t', '\n', '\r':
			default:
				return c, nil
			}
		}
		if err := l.more(); err != nil {
			return 0, err
		}
	}
}

// expect consumes the next token, which must be the byte c.
func (l *lexer) expect(c byte) error {
	switch got, err := l.next(); {
	case err != nil:
		return err
	case got != c:
		return l.malformed("%q where %q is expected", got, c)
	}
	l.pos++
	return nil
}

// finish checks that nothing but white space follows.
func (l *lexer) finish() error {
	_, err := l.next()
	switch {
	case err == nil:
		return l.malformed("more data after the answer")
	case l.eof:
		return nil
	}
	return err
}

// str consumes a string and returns what is between the quotes, escapes not
// yet resolved. It is valid until the next call.
func (l *lexer) str() (raw []byte, escaped bool, err error) {
	if err := l.expect('"'); err != nil {
		return nil, false, err
	}
	for n := 0; ; {
		rest := l.buf[l.pos+n : l.end]
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
			raw = l.buf[l.pos : l.pos+n-1]
			l.pos += n
			return raw, escaped, nil
		}
		if err := l.more(); err != nil {
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

// text resolves the escapes of a string as returned by str.
func (l *lexer) text(raw []byte, escaped bool) ([]byte, error) {
	if !escaped {
		for _, c := range raw {
			if c < ' ' {
				return nil, l.malformed("control character in a string")
			}
		}
		return raw, nil
	}
	var s string
	if err := json.Unmarshal([]byte(`"`+string(raw)+`"`), &s); err != nil {
		return nil, l.malformed("invalid string: %v", err)
	}
	return []byte(s), nil
}

// object consumes an object and calls member for each key; member consumes the
// value and must not use key after it began to.
func (l *lexer) object(member func(key []byte) error) error {
	return l.list('{', '}', func() error {
		raw, escaped, err := l.str()
		if err != nil {
			return err
		}
		key, err := l.text(raw, escaped)
		if err != nil {
			return err
		}
		// The colon may need more input, which moves the buffer.
		var short [64]byte
		key = append(short[:0], key...)
		if err := l.expect(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// list consumes an array or object, item by item.
func (l *lexer) list(opening, closing byte, item func() error) error {
	if err := l.expect(opening); err != nil {
		return err
	}
	c, err := l.next()
	if err != nil {
		return err
	}
	if c == closing {
		l.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		c, err := l.next()
		if err != nil {
			return err
		}
		switch c {
		case ',':
			l.pos++
		case closing:
			l.pos++
			return nil
		default:
			return l.malformed("%q where ',' or %q is expected", c, closing)
		}
	}
}

// skip consumes a value of any kind.
func (l *lexer) skip(depth int) error {
	if depth == maxDepth {
		return l.malformed("more than %d values nested", maxDepth)
	}
	c, err := l.next()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		return l.object(func([]byte) error { return l.skip(depth + 1) })
	case '[':
		return l.list('[', ']', func() error { return l.skip(depth + 1) })
	case '"':
		raw, escaped, err := l.str()
		if err == nil {
			_, err = l.text(raw, escaped)
		}
		return err
	}
	return l.scalar()
}

// scalar consumes a number, true, false or null.
func (l *lexer) scalar() error {
	for n := 0; ; n++ {
		if l.pos+n == l.end {
			if err := l.more(); err != nil {
				return err
			}
		}
		switch c := l.buf[l.pos+n]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			continue
		}
		if token := l.buf[l.pos : l.pos+n]; n == 0 || !json.Valid(token) {
			return l.malformed("%q is not a JSON value", l.buf[l.pos:l.pos+max(1, min(n, 32))])
		}
		l.pos += n
		return nil
	}
}

// raw consumes a value of any kind and returns its text, valid until the next
// call.
func (l *lexer) raw() ([]byte, error) {
	if _, err := l.next(); err != nil {
		return nil, err
	}
	l.mark = l.pos
	err := l.skip(0)
	start := l.mark
	l.mark = -1
	return l.buf[start:l.pos], err
}

// null consumes the value null if it is next.
func (l *lexer) null() (bool, error) {
	c, err := l.next()
	if err != nil || c != 'n' {
		return false, err
	}
	return true, l.scalar()
}
