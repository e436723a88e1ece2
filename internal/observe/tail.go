package observe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	// chunk is how much of a log is read at once, in bytes.
	chunk = 256 << 10
	// longest bounds a line. What is longer is passed over: no line that
	// matters is.
	longest = 64 << 10
)

// tail follows a file that grows, from its beginning. It is not safe for
// concurrent use.
type tail struct {
	path   string
	file   *os.File
	offset int64
	// line is the beginning of a line whose end is not written yet; long says
	// that it is passed over.
	line []byte
	long bool
	buf  []byte
}

// poll hands each whole line that was written since the last call to each,
// without its line end; it is valid until each returns. cut says what happened
// when something of the file may be missing, empty otherwise. A file that is not
// there yet is empty. The error is that of each, or of reading.
func (t *tail) poll(each func(line []byte) error) (cut string, err error) {
	if t.path == "" {
		return "", nil
	}
	if t.file == nil {
		if err := t.open(); err != nil || t.file == nil {
			return "", err
		}
	}
	info, err := t.file.Stat()
	if err != nil {
		return "", err
	}
	if info.Size() < t.offset {
		cut = fmt.Sprintf("%s is %d bytes long, and %d were read of it before: it was cut", t.path, info.Size(), t.offset)
		t.offset, t.line, t.long = 0, t.line[:0], false
	}
	if err := t.read(each); err != nil {
		return cut, err
	}
	now, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cut, nil // the next one is about to be made, or it is all over
	case err != nil:
		return cut, err
	case os.SameFile(info, now):
		return cut, nil
	}
	// What the old one still got since it was read above is lost only if its
	// writer holds on to it.
	if err := t.read(each); err != nil {
		return cut, err
	}
	cut = fmt.Sprintf("%s was replaced after %d bytes", t.path, t.offset)
	t.close()
	if err := t.open(); err != nil || t.file == nil {
		return cut, err
	}
	return cut, t.read(each)
}

func (t *tail) open() error {
	file, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	t.file, t.offset, t.line, t.long = file, 0, t.line[:0], false
	return nil
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}

// read hands on what the open file holds from the offset on.
func (t *tail) read(each func([]byte) error) error {
	if t.buf == nil {
		t.buf = make([]byte, chunk)
	}
	for {
		n, err := t.file.ReadAt(t.buf, t.offset)
		t.offset += int64(n)
		if err := t.split(t.buf[:n], each); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// split hands on the lines that end in p.
func (t *tail) split(p []byte, each func([]byte) error) error {
	for {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		if len(t.line)+len(part) > longest {
			t.long, t.line = true, t.line[:0]
		}
		if !ended {
			if !t.long {
				t.line = append(t.line, part...)
			}
			return nil
		}
		line := part
		if len(t.line) > 0 {
			t.line = append(t.line, part...)
			line = t.line
		}
		if !t.long {
			if err := each(line); err != nil {
				return err
			}
		}
		t.line, t.long = t.line[:0], false
		p = rest
	}
}
