package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// However the stream is cut into pieces, the frame finds the same.
func FuzzFrame(f *testing.F) {
	const mark = "0123456789abcdef"
	for _, seed := range []string{"", "out", "out\n", mark[:8], "\n" + mark[:15], "\x00\xff"} {
		f.Add([]byte("noise"), []byte(seed), byte(3), uint8(1))
		f.Add([]byte(seed), []byte(seed+seed), byte(255), uint8(7))
	}
	f.Fuzz(func(t *testing.T, noise, out []byte, status byte, piece uint8) {
		if bytes.Contains(noise, []byte(mark)) || bytes.Contains(out, []byte(mark)) || piece == 0 {
			t.Skip("nobody can guess the mark")
		}
		// The mark is found at its first place; one that begins earlier, in
		// the end of the output, would need the mark to repeat itself.
		stream := fmt.Appendf(nil, "%s%s\n%s%s %d\nlate", noise, mark, out, mark, status)
		var got bytes.Buffer
		ends := 0
		frame := &frame{mark: []byte(mark), sink: &got, ended: func() { ends++ }}
		for p := range chunks(stream, int(piece)) {
			if n, err := frame.Write(p); n != len(p) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		code, ended := frame.status()
		if !bytes.Equal(got.Bytes(), out) || code != int(status) || !ended || ends != 1 {
			t.Errorf("%q: got %q, status %d, %v, ended %d times", stream, got.Bytes(), code, ended, ends)
		}
	})
}

func chunks(p []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(p) > 0 {
			k := min(n, len(p))
			// A writer may use its buffer again.
			piece := bytes.Clone(p[:k])
			if !yield(piece) {
				return
			}
			for i := range piece {
				piece[i] = '!'
			}
			p = p[k:]
		}
	}
}

func TestFrame_tail(t *testing.T) {
	frame := &frame{mark: []byte("MARK"), ended: func() {}}
	for range 100_000 {
		fmt.Fprintln(frame, "a line of the profile")
	}
	if lines := frame.last(); len(lines) != lastLines || lines[0] != "a line of the profile" {
		t.Errorf("before the mark: %d lines, %q", len(lines), lines[0])
	}
	fmt.Fprint(frame, "MARK\none\r\n\n  two\nM")
	if got := strings.Join(frame.last(), "|"); got != "one|  two|M" {
		t.Errorf("after it: %q", got)
	}
	if len(frame.tail) > 2*maxTail {
		t.Errorf("%d bytes are kept", len(frame.tail))
	}
}

func TestRetry(t *testing.T) {
	gone := &LostError{Host: "h", Why: "gone"}
	for _, test := range []struct {
		name     string
		errs     []error // what the attempts give; the last is given again
		patience time.Duration
		attempts int
		took     time.Duration
		want     string
	}{
		{"done", []error{nil}, time.Minute, 1, 0, "<nil>"},
		{"back again", []error{gone, gone, nil}, time.Minute, 3, 1500 * time.Millisecond, "<nil>"},
		{"another error", []error{gone, errors.New("full")}, time.Minute, 2, 500 * time.Millisecond, "full"},
		{"hopeless", []error{&LostError{Host: "h", Why: "refused", Hopeless: true}}, time.Minute, 1, 0, "connection to h: refused"},
		{"out of patience", []error{gone}, 3 * time.Second, 4, 3 * time.Second, "gave up after 3s: connection to h: gone"},
		{"no patience", []error{gone}, 0, 1, 0, "gave up after 0s: connection to h: gone"},
		{"long", []error{gone}, time.Minute, 9, time.Minute, "gave up after 1m0s: connection to h: gone"},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin, attempts, told := time.Now(), 0, 0
			err := Retry(t.Context(), test.patience, func(error, time.Duration) { told++ }, func(context.Context) error {
				attempts++
				return test.errs[min(attempts, len(test.errs))-1]
			})
			if fmt.Sprint(err) != test.want || attempts != test.attempts || time.Since(begin) != test.took || told != attempts-1 {
				t.Errorf("%s: Retry = %v after %d attempts and %v, told %d times, want %s, %d, %v",
					test.name, err, attempts, time.Since(begin), told, test.want, test.attempts, test.took)
			}
		})
	}
}

func TestRetry_canceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := Retry(ctx, time.Hour, nil, func(context.Context) error { return &LostError{} })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Retry = %v, want canceled", err)
		}
	})
}
