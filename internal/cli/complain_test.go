package cli

import (
	"bytes"
	"errors"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

// What a server or a file name puts into an error does not rule the terminal;
// the lines of the error itself stay.
func TestComplain_hostileText(t *testing.T) {
	var out bytes.Buffer
	err := fault.Newf(fault.Failed, "node \x1b[2J\x07says: %w", errors.New("no\nand\ttwo \xff\u202eback")).Hint("try \x1b]0;title\x07 again")
	if kind := complain(&out, err); kind != fault.Failed {
		t.Errorf("kind %v", kind)
	}
	want := "verdict: node  [2J says: no\n    and two   back\nverdict: hint: try  ]0;title  again\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
