package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// maxLine bounds one line of a lines file; a sample is under a kilobyte.
const maxLine = 1 << 20

// Lines is an append-only file of JSON lines. It is safe for concurrent use.
// Each line reaches the kernel in one write, so that a killed process leaves
// at most the last line torn.
type Lines struct {
	mu   sync.Mutex
	file *os.File
	path string
	// size is the offset after the last whole line.
	size int64
}

// OpenLines opens the file at path for appending and creates it when it is
// missing. A torn last line, as a killed writer leaves it, is cut off; torn
// says how many bytes that were.
func OpenLines(path string) (l *Lines, torn int64, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, 0, err
	}
	whole, total, err := wholeLines(file)
	if err == nil && whole < total {
		err = file.Truncate(whole)
	}
	if err == nil {
		_, err = file.Seek(whole, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("opening %s for appending: %w", path, err), file.Close())
	}
	return &Lines{file: file, path: path, size: whole}, total - whole, nil
}

// wholeLines returns the offset after the last newline and the file's size.
func wholeLines(file *os.File) (whole, total int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	total = info.Size()
	buf := make([]byte, 64<<10)
	for end := total; end > 0; {
		start := max(0, end-int64(len(buf)))
		if _, err := file.ReadAt(buf[:end-start], start); err != nil {
			return 0, 0, err
		}
		if i := bytes.LastIndexByte(buf[:end-start], '\n'); i >= 0 {
			return start + int64(i) + 1, total, nil
		}
		end = start
	}
	return 0, total, nil
}

// Append writes v as one line. After an error the file ends with its last
// whole line, as far as the disk allows.
func (l *Lines) Append(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a line of %s: %w", l.path, err)
	}
	return l.AppendRaw(append(line, '\n'))
}

// AppendRaw appends whole lines as they are. After an error the file ends as it
// did before, as far as the disk allows.
func (l *Lines) AppendRaw(lines []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.Write(lines); err != nil {
		// A full disk can take half a line; what is whole must stay readable.
		l.file.Truncate(l.size)
		l.file.Seek(l.size, io.SeekStart)
		return fmt.Errorf("appending: %w", err)
	}
	l.size += int64(len(lines))
	return nil
}

// Size is the length of the file in bytes.
func (l *Lines) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Sync forces what was appended to the disk.
func (l *Lines) Sync() error { return l.file.Sync() }

// Close syncs and closes the file.
func (l *Lines) Close() error {
	return errors.Join(l.file.Sync(), l.file.Close())
}

// LineError is a malformed line that is not the torn last one.
type LineError struct {
	Path string
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// ReadLines decodes each line of the file at path and hands it to each. A last
// line without a newline is torn: it is left out, and torn says so. Any other
// malformed line, and any error of each, is a *LineError.
func ReadLines[T any](path string, each func(T) error) (torn bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	return DecodeLines(path, file, each)
}

// DecodeLines is ReadLines of a stream; its errors speak of name.
func DecodeLines[T any](name string, r io.Reader, each func(T) error) (torn bool, err error) {
	in := bufio.NewReaderSize(r, 256<<10)
	for number := 1; ; number++ {
		line, err := readLine(in)
		switch {
		case err == io.EOF:
			return len(line) > 0, nil
		case err != nil:
			return false, &LineError{name, number, err}
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return false, &LineError{name, number, err}
		}
		if err := each(v); err != nil {
			return false, &LineError{name, number, err}
		}
	}
}

// readLine returns the next line without its newline, or io.EOF with what
// stands behind the last newline.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case len(line) > maxLine:
			return nil, fmt.Errorf("the line is longer than %d bytes", maxLine)
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}
