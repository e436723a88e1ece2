package bench

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/artifact"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/spec"
)

// devnetRunner is a runner of a devnet with a temporary directory.
func devnetRunner(t *testing.T) *runner {
	t.Helper()
	r := newRunner(Options{Spec: spec.Defaults(spec.Devnet)})
	t.Cleanup(r.local.Close)
	r.temp = t.TempDir()
	return r
}

// script writes an executable shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestToEnd(t *testing.T) {
	r := devnetRunner(t)
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name, script string
		ctx          context.Context
		limit        time.Duration
		want         string
	}{
		{"succeeds", "echo fine", t.Context(), time.Minute, ""},
		{"fails", "echo bad genesis >&2; exit 3", t.Context(), time.Minute, "it ended: exit status 3; the end of its log:\nbad genesis"},
		{"hangs", "echo begun; sleep 600", t.Context(), 300 * time.Millisecond, "had not ended after 300ms"},
		{"is interrupted", "sleep 600", interrupted, time.Minute, "context canceled"},
	} {
		err := r.toEnd(c.ctx, host.Command{Name: "it", Argv: []string{script(t, c.script)}, Log: filepath.Join(t.TempDir(), "log")}, c.limit)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// The help text counts, whatever the exit status; it is asked for once.
func TestReadHelp(t *testing.T) {
	r := devnetRunner(t)
	count := filepath.Join(t.TempDir(), "count")
	b := &build{Binary: artifact.Binary{Path: script(t, "echo x >> "+count+"; echo '--flag' >&2; exit 1")}}
	d := program.Description{Name: "it", Help: []string{"{binary}", "--help"}}
	for range 2 {
		if err := r.readHelp(t.Context(), d, b, program.Values{Binary: b.Path}); err != nil || b.help != "--flag\n" {
			t.Errorf("help %q, %v", b.help, err)
		}
	}
	if raw, err := os.ReadFile(count); err != nil || string(raw) != "x\n" {
		t.Errorf("it ran %q, %v; want once", raw, err)
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := freePorts(4)
	seen := make(map[string]bool)
	for _, p := range ports {
		seen[p] = true
	}
	if err != nil || len(seen) != 4 {
		t.Errorf("freePorts(4) = %v, %v; want four different ones", ports, err)
	}
}
