// Package tracelog writes log lines in the form in which ethrex and other Rust
// programs write theirs, so that one parser reads the logs of all of them:
//
//	2026-02-20T14:03:02.138401Z  INFO Proved batch 1 in 47.12s batch=1 proving_time_s=47
//
// The time is UTC with six digits, the level stands right-aligned in five
// columns, the message comes first and the fields after it, without quotes.
package tracelog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// LevelTrace is the level below debug.
const LevelTrace = slog.LevelDebug - 4

// levels are the names, the most serious first.
var levels = []struct {
	name  string
	level slog.Level
}{
	{"ERROR", slog.LevelError}, {"WARN", slog.LevelWarn}, {"INFO", slog.LevelInfo},
	{"DEBUG", slog.LevelDebug}, {"TRACE", LevelTrace},
}

// ParseLevel reads the name of a level, in upper or lower case.
func ParseLevel(name string) (slog.Level, error) {
	for _, l := range levels {
		if strings.EqualFold(l.name, name) {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("log level %q: must be error, warn, info, debug or trace", name)
}

// nameOf is the name of the highest level that l reaches.
func nameOf(l slog.Level) string {
	for _, known := range levels {
		if l >= known.level {
			return known.name
		}
	}
	return "TRACE"
}

// New returns a logger that writes the lines of a level and above to w, one
// Write for each, which are never two at a time. From debug on downwards each
// line also names target, the part of the program that it comes from.
func New(w io.Writer, level slog.Level, target string) *slog.Logger {
	h := &handler{out: &output{w: w}, level: level}
	if level <= slog.LevelDebug {
		h.target = target
	}
	return slog.New(h)
}

// output is what the handlers of one logger share.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// handler is a slog.Handler.
type handler struct {
	out    *output
	level  slog.Level
	target string
	// fields are those of With, already written; prefix is that of the open
	// groups.
	fields []byte
	prefix string
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.fields = bytes.Clone(h.fields)
	for _, a := range attrs {
		with.fields = appendField(with.fields, h.prefix, a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.prefix += name + "."
	return &with
}

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	line := r.Time.UTC().AppendFormat(nil, "2006-01-02T15:04:05.000000Z")
	line = fmt.Appendf(line, " %5s ", nameOf(r.Level))
	if h.target != "" {
		line = append(append(line, h.target...), ": "...)
	}
	line = appendClean(line, r.Message)
	line = append(line, h.fields...)
	r.Attrs(func(a slog.Attr) bool {
		line = appendField(line, h.prefix, a)
		return true
	})
	line = append(line, '\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := h.out.w.Write(line)
	return err
}

// appendField writes " name=value"; a group's members have its name before
// theirs.
func appendField(line []byte, prefix string, a slog.Attr) []byte {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if a.Equal(slog.Attr{}) {
			return line
		}
		line = append(line, ' ')
		line = appendClean(line, prefix+a.Key)
		line = append(line, '=')
		return appendClean(line, value.String())
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, member := range value.Group() {
		line = appendField(line, prefix, member)
	}
	return line
}

// appendClean writes text without what would break the line or rule a terminal:
// an error can hold what a server sent.
func appendClean(line []byte, text string) []byte {
	for i, r := range text {
		switch {
		case r == '\n':
			line = append(line, `\n`...)
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			line = fmt.Appendf(line, `\x%02x`, text[i])
		case unicode.IsControl(r) || !unicode.IsGraphic(r):
			line = fmt.Appendf(line, `\u{%x}`, r)
		default:
			line = utf8.AppendRune(line, r)
		}
	}
	return line
}
