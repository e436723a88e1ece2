package intake

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/verdict-bench/verdict/internal/proverlog"
)

// maxLine bounds a line, and is how much of an input detection looks at.
const maxLine = 1 << 20

// lines yields the whole lines of a text. A last line without a line end is
// held back, because "in 01s" may have been about to become "in 01s 204ms".
type lines struct {
	name string
	r    *bufio.Reader
	// n counts the lines so far, the torn one included.
	n    int
	torn bool
	// long are the numbers of the lines that were too long to be kept.
	long []int
	// rest is what Read has not handed out of the current line.
	rest  []byte
	plain []byte
}

// next returns the next line with its line end; it is valid until the next
// call. At the end it returns io.EOF.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if err == nil {
		l.n++
		return line, nil
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		return l.skip()
	}
	if err != io.EOF {
		return nil, fmt.Errorf("reading %s after line %d: %w", l.name, l.n, err)
	}
	if len(line) > 0 {
		l.n++
		l.torn = true
	}
	return nil, io.EOF
}

// skip reads to the end of a line that is too long and returns an empty one in
// its place, which keeps the count of lines right.
func (l *lines) skip() ([]byte, error) {
	for {
		_, err := l.r.ReadSlice('\n')
		switch {
		case err == nil:
			l.n++
			l.long = append(l.long, l.n)
			return []byte{'\n'}, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF:
			l.n++
			l.torn = true
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("reading %s after line %d: %w", l.name, l.n, err)
		}
	}
}

// message returns the next line without line end and escape sequences.
func (l *lines) message() ([]byte, error) {
	line, err := l.next()
	if err != nil {
		return nil, err
	}
	line = bytes.TrimRight(line, "\r\n")
	if !proverlog.Colored(line) {
		return line, nil
	}
	l.plain = proverlog.AppendPlain(l.plain[:0], line)
	return l.plain, nil
}

// Read hands the whole lines to a reader that splits them itself.
func (l *lines) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		line, err := l.next()
		if err != nil {
			return 0, err
		}
		l.rest = line
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// stamp reads the UTC time stamp that begins a log line, in milliseconds since
// 1970. Logs have six fractional digits; fewer or none will do.
func stamp(line []byte) (ms int64, ok bool) {
	const form = "0000-00-00T00:00:00"
	if len(line) < len(form) {
		return 0, false
	}
	var field [6]int
	at := 0
	for i, f := range []byte(form) {
		switch c := line[i]; {
		case f == '0' && c >= '0' && c <= '9':
			field[at] = field[at]*10 + int(c-'0')
		case f != '0' && c == f:
			at++
		default:
			return 0, false
		}
	}
	rest := line[len(form):]
	nanoseconds := 0
	if len(rest) > 0 && rest[0] == '.' {
		scale := int(time.Second)
		for rest = rest[1:]; len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'; rest = rest[1:] {
			scale /= 10
			nanoseconds += int(rest[0]-'0') * scale
		}
	}
	if len(rest) == 0 || rest[0] != 'Z' {
		return 0, false
	}
	t := time.Date(field[0], time.Month(field[1]), field[2], field[3], field[4], field[5], nanoseconds, time.UTC)
	return t.UnixMilli(), true
}

// number reads the digits that begin b as a number and returns what follows.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		digit := uint64(b[i] - '0')
		if n > (1<<64-1-digit)/10 {
			return 0, nil, false
		}
		n = n*10 + digit
	}
	return n, b[i:], i > 0
}

// after returns what follows the first mark in line.
func after(line []byte, mark string) (rest []byte, ok bool) {
	i := bytes.Index(line, []byte(mark))
	if i < 0 {
		return nil, false
	}
	return line[i+len(mark):], true
}

// plainReader undoes gzip when r is compressed.
func plainReader(name string, r io.Reader) (*bufio.Reader, error) {
	buffered := bufio.NewReaderSize(r, maxLine)
	if magic, _ := buffered.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, nil // the first read of the text reports its error
	}
	unzipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("reading %s as gzip: %w", name, err)
	}
	return bufio.NewReaderSize(unzipped, maxLine), nil
}
