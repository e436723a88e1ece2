package jsonstream

import (
	"errors"
	"strconv"
)

// ErrLong is an array of numbers that is longer than its limit.
var ErrLong = errors.New("longer than its limit")

// Bytes consumes a byte string that is written as an array of the numbers 0 to
// 255, and appends it to dst. An array of more than limit numbers is an error
// with ErrLong in its chain, which comes before it is read to its end.
func (r *Reader) Bytes(dst []byte, limit int) ([]byte, error) {
	if err := r.expect('['); err != nil {
		return dst, err
	}
	switch c, err := r.Next(); {
	case err != nil:
		return dst, err
	case c == ']':
		r.pos++
		return dst, nil
	}
	for start := len(dst); ; {
		var more bool
		dst, more = r.plainBytes(dst, start+limit)
		if !more {
			return dst, nil
		}
		// What is left is a number that may be cut by the end of the buffer,
		// that has white space around it, or that is none.
		if len(dst)-start >= limit {
			return dst, ErrLong
		}
		b, err := r.oneByte()
		if err != nil {
			return dst, err
		}
		dst = append(dst, b)
		switch c, err := r.Next(); {
		case err != nil:
			return dst, err
		case c == ']':
			r.pos++
			return dst, nil
		case c != ',':
			return dst, r.Malformed("%q where ',' or ']' is expected", c)
		}
		r.pos++
	}
}

// plainBytes consumes numbers that each have a comma or the closing bracket
// right behind them in the buffer, until dst has the length limit; these are
// nearly all. It reports whether the array goes on.
func (r *Reader) plainBytes(dst []byte, limit int) ([]byte, bool) {
	buf, pos := r.buf[:r.end], r.pos
	for len(dst) < limit && pos+4 <= len(buf) {
		n, digits := uint(buf[pos]-'0'), 1
		if n > 9 {
			break
		}
		if d := uint(buf[pos+1] - '0'); d <= 9 && n > 0 {
			n, digits = 10*n+d, 2
			if d := uint(buf[pos+2] - '0'); d <= 9 {
				n, digits = 10*n+d, 3
			}
		}
		end := buf[pos+digits]
		if n > 255 || end != ',' && end != ']' {
			break
		}
		dst = append(dst, byte(n))
		pos += digits + 1
		if end == ']' {
			r.pos = pos
			return dst, false
		}
	}
	r.pos = pos
	return dst, true
}

// oneByte consumes a number from 0 to 255.
func (r *Reader) oneByte() (byte, error) {
	n, err := r.Uint()
	switch {
	case err != nil:
		return 0, err
	case n > 255:
		return 0, r.Malformed("%d is no byte", n)
	}
	return byte(n), nil
}

// Uint consumes a number that fits 64 bits: digits alone, without sign, point or
// exponent.
func (r *Reader) Uint() (uint64, error) {
	raw, err := r.Raw()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0, r.Malformed("%.32q is not a number from 0 to 2^64-1", raw)
	}
	return n, nil
}

// String consumes a text.
func (r *Reader) String() (string, error) {
	raw, escaped, err := r.Str()
	if err != nil {
		return "", err
	}
	text, err := r.Text(raw, escaped)
	return string(text), err
}
