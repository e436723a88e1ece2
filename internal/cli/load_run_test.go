package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/send"
)

// The number of transactions of the environment ends a load with --duration as
// that of the flag does.
func TestLoadOptions_unending(t *testing.T) {
	for _, c := range []struct {
		flag           bool
		env            string
		duration       time.Duration
		want           bool
		wantPerAccount uint64
	}{
		{false, "", 0, false, 1000},
		{false, "", time.Minute, true, 0},
		{true, "", time.Minute, false, 1000},
		{false, "7", time.Minute, false, 7},
		{true, "7", time.Minute, false, 1000},
	} {
		o := loadOptions{perAccount: defaultPerAccount, duration: c.duration, given: func(name string) bool { return c.flag && name == "tx-amount" }}
		err := o.environment(func(name string) string {
			if name == envLoadAmount {
				return c.env
			}
			return ""
		})
		if err != nil || o.unending() != c.want || o.sending().PerAccount != c.wantPerAccount {
			t.Errorf("%+v: unending %v with %d of each, %v", c, o.unending(), o.sending().PerAccount, err)
		}
	}
}

func TestLoadOptions_limit(t *testing.T) {
	for wait, want := range map[minutes]time.Duration{0: -1, minutes(time.Second): time.Second} {
		o := loadOptions{wait: wait}
		if got := o.limit(); got != want || o.sending().Wait != want {
			t.Errorf("-w %v is a limit of %v for setup and %v for sending, want %v", wait, got, o.sending().Wait, want)
		}
	}
}

// testLoading is a load without nodes, and what it says.
func testLoading() (*loading, *bytes.Buffer) {
	var said bytes.Buffer
	w := World{Stdout: io.Discard, Stderr: &said, Now: time.Now}
	return &loading{w: w, o: &loadOptions{}, line: newStatusLine(w)}, &said
}

// A report that does not add up ends the load, and is in its error however the
// load ends.
func TestLoading_badReport(t *testing.T) {
	l, _ := testLoading()
	if err := l.progress(send.Report{}); err != nil {
		t.Fatalf("progress of a good report: %v", err)
	}
	bad := send.Report{Pending: 1}
	if err := l.progress(bad); err == nil {
		t.Fatal("progress of a bad report is no error")
	}
	want := bad.Check().Error()
	interrupted, interrupt := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	interrupt(cause)
	for name, c := range map[string]struct {
		ctx context.Context
		err error
	}{
		"done":                 {t.Context(), nil},
		"canceled":             {t.Context(), context.Canceled},
		"failed":               {t.Context(), errors.New("nothing was included")},
		"failed the same":      {t.Context(), bad.Check()},
		"interrupted":          {interrupted, nil},
		"drained":              {interrupted, context.Canceled},
		"interrupted, failing": {interrupted, errors.New("nothing was included")},
	} {
		got := l.ending(c.ctx, l.withBroken(c.ctx, c.err))
		if got == nil || strings.Count(got.Error(), want) != 1 {
			t.Errorf("%s: the error is %v, want %q in it, once", name, got, want)
			continue
		}
		if c.ctx == interrupted && !errors.Is(got, cause) {
			t.Errorf("%s: the error is %v, want the interrupt in it", name, got)
		}
		if name == "failed" && !strings.Contains(got.Error(), "nothing was included") {
			t.Errorf("%s: the error is %v, want the engine's in it", name, got)
		}
	}
}

// A note is said once, although the numbers in it change.
func TestLoading_noteOnce(t *testing.T) {
	l, said := testLoading()
	for i := range 5 {
		_ = l.progress(send.Report{NoteKind: send.NoteBaseFee, Note: fmt.Sprintf("the base fee is %d", i)})
	}
	_ = l.progress(send.Report{})
	_ = l.progress(send.Report{NoteKind: send.NoteBaseFee, Note: "the base fee is 9"})
	if n := strings.Count(said.String(), "the base fee is"); n != 2 || !strings.Contains(said.String(), "is 9") {
		t.Errorf("%d notes, want one for each time that it rose:\n%s", n, said)
	}
}
