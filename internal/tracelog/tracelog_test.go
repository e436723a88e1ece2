package tracelog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// at is a moment in a zone that is not UTC.
var at = time.Date(2026, 2, 20, 16, 3, 2, 138_401_999, time.FixedZone("", 2*60*60))

// line writes one record as the handler of a logger at the given level does.
func line(t *testing.T, level slog.Level, record slog.Level, message string, args ...any) string {
	t.Helper()
	var b bytes.Buffer
	r := slog.NewRecord(at, record, message, 0)
	r.Add(args...)
	if err := New(&b, level, "verdict::prover").Handler().Handle(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		level, record slog.Level
		message       string
		args          []any
		want          string
	}{
		{slog.LevelInfo, slog.LevelInfo, "Proved batch 1 in 47.12s", []any{"batch", 1, "proving_time_s", uint64(47)},
			"2026-02-20T14:03:02.138401Z  INFO Proved batch 1 in 47.12s batch=1 proving_time_s=47\n"},
		{slog.LevelInfo, slog.LevelError, "Failed", []any{"endpoint", "tcp://127.0.0.1:3900", "cause", errors.New("a b")},
			"2026-02-20T14:03:02.138401Z ERROR Failed endpoint=tcp://127.0.0.1:3900 cause=a b\n"},
		{slog.LevelDebug, slog.LevelWarn, "w", nil, "2026-02-20T14:03:02.138401Z  WARN verdict::prover: w\n"},
		{LevelTrace, LevelTrace, "t", nil, "2026-02-20T14:03:02.138401Z TRACE verdict::prover: t\n"},
		{slog.LevelInfo, slog.LevelInfo, "two\nlines \x1b[2m\xff µs", []any{"k", "a\rb"},
			"2026-02-20T14:03:02.138401Z  INFO two\\nlines \\u{1b}[2m\\xff µs k=a\\u{d}b\n"},
		{slog.LevelInfo, slog.LevelInfo, "g", []any{slog.Group("a", "b", 1, slog.Group("c", "d", 2)), slog.Attr{}},
			"2026-02-20T14:03:02.138401Z  INFO g a.b=1 a.c.d=2\n"},
	} {
		if got := line(t, c.level, c.record, c.message, c.args...); got != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.message, got, c.want)
		}
	}
}

func TestLogger_keepsFieldsAndLevel(t *testing.T) {
	var b bytes.Buffer
	log := New(&b, slog.LevelInfo, "x").With("a", 1).WithGroup("g").With("b", 2)
	log.Debug("not shown")
	log.Info("shown", "c", 3)
	_, rest, _ := strings.Cut(b.String(), "Z ")
	if want := " INFO shown a=1 g.b=2 g.c=3\n"; rest != want {
		t.Errorf("got %q, want %q", rest, want)
	}
}

func TestParseLevel(t *testing.T) {
	for _, l := range levels {
		for _, name := range []string{l.name, strings.ToLower(l.name)} {
			if got, err := ParseLevel(name); err != nil || got != l.level {
				t.Errorf("ParseLevel(%q) = %v, %v, want %v", name, got, err, l.level)
			}
		}
	}
	if _, err := ParseLevel("verbose"); err == nil {
		t.Error(`ParseLevel("verbose") gives no error`)
	}
}
