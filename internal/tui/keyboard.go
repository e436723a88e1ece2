package tui

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/muesli/cancelreader"
)

// keyboard is a terminal's input for one form. The library that draws the form
// can leave a goroutine behind that waits for a key, and takes it away from
// whoever reads next. It reads here, where it can be told to stop and waited
// for.
type keyboard struct {
	in io.Reader
	r  cancelreader.CancelReader

	mu      sync.Mutex // held during a read
	stopped bool
}

func newKeyboard(in io.Reader) (*keyboard, error) {
	r, err := cancelreader.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("reading answers: %w", err)
	}
	return &keyboard{in: in, r: r}, nil
}

// Read waits for input until it comes or the keyboard is stopped.
func (k *keyboard) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return 0, cancelreader.ErrCanceled
	}
	return k.r.Read(p)
}

// cancel ends reading for good.
func (k *keyboard) cancel() { k.r.Cancel() }

// stop ends reading for good, and returns when nobody reads any more.
func (k *keyboard) stop() {
	k.cancel()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.r.Close()
}

// The library knows a terminal by its methods. It has no Name, or the library
// would read the file behind it.

// Fd is the descriptor of the terminal, of none if it is no file.
func (k *keyboard) Fd() uintptr {
	if f, ok := k.in.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// Write is there for the library, which never calls it.
func (k *keyboard) Write([]byte) (int, error) { return 0, errors.New("a keyboard takes nothing") }

// Close leaves the terminal open, which is not the form's own.
func (k *keyboard) Close() error { return nil }
