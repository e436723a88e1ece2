package ethrpc

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// spoolChunk is the unit in which the part of a body beyond the memory limit
// goes to the spool file: large enough to make system calls rare, small enough
// to stay in the processor's cache between the read and the write.
const spoolChunk = 4 << 20

// pageSize is at most the size of a page of memory, in bytes.
const pageSize = 4 << 10

// Body is the body of the last answer as it crossed the wire: its beginning in
// memory that is reused for every answer, the rest in a file that has no name.
type Body struct {
	memory   []byte
	used     int
	chunk    []byte
	spool    *os.File
	spooled  int64
	encoding string
	// diverter is nil where the system has none. diverted says that the last
	// read into chunk left its bytes in the spool file instead.
	diverter *diverter
	diverted bool
}

func newBody(memory int, dir string) (*Body, error) {
	spool, err := os.CreateTemp(dir, "verdict-spool-*")
	if err != nil {
		return nil, fmt.Errorf("spool file: %w", err)
	}
	// Without a name it cannot outlive the process, however that ends.
	if err := os.Remove(spool.Name()); err != nil {
		spool.Close()
		return nil, fmt.Errorf("spool file: %w", err)
	}
	b := &Body{
		memory:   make([]byte, memory),
		chunk:    make([]byte, spoolChunk),
		spool:    spool,
		diverter: newDiverter(),
	}
	preferHugePages(b.memory)
	// Touched now, the pages need not be made while a request is timed.
	for i := 0; i < memory; i += pageSize {
		b.memory[i] = 1
	}
	return b, nil
}

// WireBytes is the size of the body as it crossed the wire.
func (b *Body) WireBytes() int64 { return int64(b.used) + b.spooled }

// Compressed says whether the body has an HTTP content encoding.
func (b *Body) Compressed() bool { return b.encoding != "" && b.encoding != "identity" }

// Open returns the body from its first byte on, decompressed. It can be opened
// again, until the next request of the meter that it came from.
func (b *Body) Open() (io.Reader, error) {
	wire := io.MultiReader(bytes.NewReader(b.memory[:b.used]), io.NewSectionReader(b.spool, 0, b.spooled))
	switch {
	case !b.Compressed():
		return wire, nil
	case b.encoding != "gzip" && b.encoding != "x-gzip":
		return nil, fmt.Errorf("content encoding %q was not asked for", b.encoding)
	}
	plain, err := gzip.NewReader(wire)
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("gzip: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return plain, nil
}

// start is the part of the body that an error message may quote.
func (b *Body) start() []byte {
	const quotable = 1 << 10
	if b.Compressed() {
		return nil
	}
	return b.memory[:min(b.used, quotable)]
}

func (b *Body) reset() error {
	b.used, b.encoding = 0, ""
	if b.spooled == 0 {
		return nil
	}
	b.spooled = 0
	if err := b.spool.Truncate(0); err != nil {
		return fmt.Errorf("spool file: %w", err)
	}
	return nil
}

func (b *Body) close() error {
	err := b.spool.Close()
	if b.diverter != nil {
		err = errors.Join(err, b.diverter.close())
	}
	return err
}

// spoolError is a failure of this machine's disk and not of the server.
type spoolError struct{ err error }

func (e *spoolError) Error() string { return e.err.Error() }

// fill reads r to its end.
func (b *Body) fill(r io.Reader) error {
	for b.used < len(b.memory) {
		n, err := r.Read(b.memory[b.used:])
		b.used += n
		if err != nil {
			return unlessEOF(err)
		}
	}
	for {
		b.diverted = false
		n, err := r.Read(b.chunk)
		if n > 0 && !b.diverted {
			if _, err := b.spool.WriteAt(b.chunk[:n], b.spooled); err != nil {
				return &spoolError{fmt.Errorf("spool file: %w", err)}
			}
		}
		b.spooled += int64(n)
		if err != nil {
			return unlessEOF(err)
		}
	}
}

// diverts says that a read into p may leave its bytes in the spool file. That
// the memory of chunk arrives at the connection shows that nothing between
// looks at what is read.
func (b *Body) diverts(p []byte) bool {
	return b.diverter != nil && len(p) > 0 && &p[0] == &b.chunk[0]
}

// divert moves at most limit bytes from conn to the spool file, in place of a
// read into chunk.
func (b *Body) divert(conn *net.TCPConn, limit int) (int, error) {
	n, err := b.diverter.move(conn, b.spool, b.spooled, limit)
	b.diverted = n > 0
	return n, err
}

func unlessEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
