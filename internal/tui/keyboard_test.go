package tui

import (
	"errors"
	"os"
	"testing"

	"github.com/muesli/cancelreader"
)

// A form that is over takes no key from whoever reads next, even if a goroutine
// of it still wants one.
func TestKeyboard_stop(t *testing.T) {
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer typed.Close()
	k, err := newKeyboard(in)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		_, err := k.Read(make([]byte, 10))
		waiting <- err
	}()
	k.stop()
	if err := <-waiting; !errors.Is(err, cancelreader.ErrCanceled) {
		t.Errorf("a read that waits ends with %v, want ErrCanceled", err)
	}
	if _, err := typed.WriteString("y"); err != nil {
		t.Fatal(err)
	}
	if n, err := k.Read(make([]byte, 10)); n != 0 || !errors.Is(err, cancelreader.ErrCanceled) {
		t.Errorf("a later read gives %d bytes, %v, want ErrCanceled", n, err)
	}
	next := make([]byte, 10)
	if n, err := in.Read(next); err != nil || string(next[:n]) != "y" {
		t.Errorf("the next reader gets %q, %v, want the key", next[:n], err)
	}
}
