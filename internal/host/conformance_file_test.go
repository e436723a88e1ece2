package host_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/host"
)

func readFrom(t *testing.T, b bench) {
	content := "0123456789\x00\xff\n"
	write(t, filepath.Join(b.home, "it's a file"), content)
	for _, c := range []struct {
		offset int64
		limit  int
		want   string
	}{
		{0, 100, content}, {0, 3, "012"}, {4, 2, "45"}, {10, 100, "\x00\xff\n"}, {12, 1, "\n"}, {13, 100, ""}, {5, 0, ""},
	} {
		got, err := b.ReadFrom(t.Context(), "~/it's a file", c.offset, c.limit)
		if err != nil || string(got) != c.want {
			t.Errorf("ReadFrom(%d, %d) = %q, %v, want %q", c.offset, c.limit, got, err, c.want)
		}
	}
	shrunk := (*host.ShrunkError)(nil)
	if _, err := b.ReadFrom(t.Context(), "~/it's a file", 14, 1); !errors.As(err, &shrunk) || shrunk.Size != 13 || shrunk.Offset != 14 {
		t.Errorf("ReadFrom behind the end = %v, want a ShrunkError", err)
	}
	if _, err := b.ReadFrom(t.Context(), "~/missing", 0, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFrom of a missing file = %v", err)
	}
	failed := (*host.ScriptError)(nil)
	if _, err := b.ReadFrom(t.Context(), "~", 0, 1); !errors.As(err, &failed) {
		t.Errorf("ReadFrom of a directory = %v", err)
	}
	if _, err := b.ReadFrom(t.Context(), "~/missing", -1, 1); err == nil {
		t.Error("a negative offset was not refused")
	}
}

func put(t *testing.T, b bench) {
	local := filepath.Join(t.TempDir(), "program")
	content := strings.Repeat("#!/bin/sh\n\x00\xff", 300_000)
	write(t, local, content)
	target := filepath.Join(b.home, "new dir/it's $(here)")
	if err := b.Put(t.Context(), local, "~/new dir/it's $(here)", 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(target)
	info, statErr := os.Stat(target)
	if err != nil || statErr != nil || string(got) != content || info.Mode() != 0o755 {
		t.Errorf("there are %d bytes with mode %v, %v, want %d", len(got), info.Mode(), err, len(content))
	}
	// Again, with another mode: it is not written again.
	if err := b.Put(t.Context(), local, "~/new dir/it's $(here)", 0o600); err != nil {
		t.Fatal(err)
	}
	after, _ := os.Stat(target)
	if after.Mode() != 0o600 || !os.SameFile(info, after) || !after.ModTime().Equal(info.ModTime()) {
		t.Errorf("the second Put left %v, %v, want the same file with mode 0600", after.Mode(), after.ModTime())
	}
	// With another content it is replaced.
	write(t, local, "")
	if err := b.Put(t.Context(), local, target, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(target); err != nil || len(got) != 0 {
		t.Errorf("after the third Put: %q, %v", got, err)
	}
	if err := b.Put(t.Context(), local, "~", 0o644); err == nil {
		t.Error("a directory was replaced")
	}
	if err := b.Put(t.Context(), local+"-missing", "~/x", 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Put of a missing file = %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(b.home, "new dir/*verdict*")); left != nil {
		t.Errorf("temporary files are left: %q", left)
	}
}

// Where no full disk can be made, a limit on the size of files has writing fail
// in the middle as well.
func putCannotWrite(t *testing.T, b bench) {
	local := filepath.Join(t.TempDir(), "large")
	write(t, local, strings.Repeat("x", 3<<20))
	write(t, filepath.Join(b.home, "large"), "old")
	b.profile("trap '' XFSZ; ulimit -f 1024\n")
	err := b.Put(t.Context(), local, "~/large", 0o644)
	failed := (*host.ScriptError)(nil)
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), b.Name()+":~/large") || !strings.Contains(err.Error(), "Avail") {
		t.Errorf("Put = %v, want a ScriptError with host, path and what df says", err)
	}
	if got, _ := os.ReadFile(filepath.Join(b.home, "large")); string(got) != "old" {
		t.Errorf("the file that was there is now %d bytes", len(got))
	}
	if left, _ := filepath.Glob(filepath.Join(b.home, "*verdict*")); left != nil {
		t.Errorf("temporary files are left: %q", left)
	}
}

func fullDisk(t *testing.T, b bench) {
	disk := filepath.Join(b.home, "disk")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	defer syscall.Unmount(disk, syscall.MNT_DETACH)
	local := filepath.Join(t.TempDir(), "large")
	write(t, local, strings.Repeat("x", 3<<20))
	err := b.Put(t.Context(), local, "~/disk/large", 0o644)
	if !strings.Contains(fmt.Sprint(err), "No space left on device") || !strings.Contains(err.Error(), "Avail") {
		t.Errorf("Put = %v, want that the disk is full", err)
	}
	if err := os.WriteFile(filepath.Join(disk, "rest"), make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	// Nothing runs that could not be recorded.
	p := host.Program{Dir: "~/disk", Name: "x", Argv: []string{"touch", filepath.Join(b.home, "ran")}}
	if id, err := b.Start(t.Context(), p); !strings.Contains(fmt.Sprint(err), "Avail") {
		t.Errorf("Start = %v, %v, want that the disk is full", id, err)
	}
	if _, err := os.Stat(filepath.Join(b.home, "ran")); err == nil {
		t.Error("the program ran unrecorded")
	}
}

func fetch(t *testing.T, b bench) {
	content := strings.Repeat("\x00\xfflog line\n", 200_000)
	write(t, filepath.Join(b.home, "a log"), content)
	local := filepath.Join(t.TempDir(), "log")
	if err := b.Fetch(t.Context(), "~/a log", local); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(local)
	before, _ := os.Stat(local)
	if err != nil || string(got) != content {
		t.Errorf("fetched %d bytes, %v, want %d", len(got), err, len(content))
	}
	if err := b.Fetch(t.Context(), "~/a log", local); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(local); !os.SameFile(before, after) {
		t.Error("a file that was here already was fetched again")
	}
	if err := b.Fetch(t.Context(), "~/missing", local); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Fetch of a missing file = %v", err)
	}
	if left, _ := filepath.Glob(local + "*"); len(left) != 1 {
		t.Errorf("left is %q", left)
	}
}

func forward(t *testing.T, b bench) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "hello")
			c.Close()
		}
	}()
	defer func() { listener.Close(); <-served }()
	local, stop, err := b.Forward(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got := greeting(local); got != "hello" {
		t.Errorf("through the port: %q", got)
	}
	if err := stop(); err != nil {
		t.Errorf("stop() = %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("stop() again = %v", err)
	}
	if local != listener.Addr().String() {
		waitFor(t, "the port to close", func() bool { return greeting(local) == "" })
	}
	for _, address := range []string{"", "host", "host:", ":1", "host:http", "a b:1", "-x:1", "h:70000", "[::1]:0"} {
		if _, _, err := b.Forward(t.Context(), address); err == nil {
			t.Errorf("the address %q was not refused", address)
		}
	}
}

func follow(t *testing.T, b bench) {
	path := filepath.Join(b.home, "samples.jsonl")
	os.Remove(path)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var got []byte
	done := errors.New("done")
	seen := make(chan int, 100)
	result := make(chan error)
	go func() {
		result <- host.Follow(ctx, b, "~/samples.jsonl", 3, host.FollowOptions{Every: time.Millisecond}, func(p []byte) error {
			got = append(got, p...)
			seen <- len(got)
			if strings.HasSuffix(string(got), "end\n") {
				return done
			}
			return nil
		})
	}()
	appendTo(t, path, "000one\n")
	<-seen
	large := strings.Repeat("x", 3<<20)
	appendTo(t, path, large)
	appendTo(t, path, "end\n")
	if err := <-result; !errors.Is(err, done) || string(got) != "one\n"+large+"end\n" {
		t.Errorf("Follow = %v after %d bytes, want %d", err, len(got), 8+len(large))
	}
}
