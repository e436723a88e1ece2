package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

type entry struct {
	N int `json:"n"`
}

func appendAll(t *testing.T, path string, ns ...int) (torn int64) {
	t.Helper()
	l, torn, err := OpenLines(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range ns {
		if err := l.Append(entry{n}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return torn
}

func readAll(t *testing.T, path string) (ns []int, torn bool, err error) {
	t.Helper()
	torn, err = ReadLines(path, func(e entry) error {
		ns = append(ns, e.N)
		return nil
	})
	return ns, torn, err
}

func TestLines_appendAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	appendAll(t, path, 1, 2)
	appendAll(t, path, 3)
	ns, torn, err := readAll(t, path)
	if len(ns) != 3 || ns[2] != 3 || torn || err != nil {
		t.Errorf("read %v, torn %v, %v; want 1 2 3", ns, torn, err)
	}
}

// Wherever a writer is killed, what was whole stays readable, and the next
// writer goes on after it.
func TestLines_tornAnywhere(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	appendAll(t, whole, 1, 2, 3)
	raw, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(raw) + 1 {
		path := filepath.Join(dir, "cut")
		if err := os.WriteFile(path, raw[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(raw[:cut]), "\n")
		ns, torn, err := readAll(t, path)
		if len(ns) != lines || err != nil || torn != (cut > 0 && raw[cut-1] != '\n') {
			t.Errorf("cut at %d: read %v, torn %v, %v; want %d lines", cut, ns, torn, err, lines)
		}
		if got, want := appendAll(t, path, 9), int64(cut-1-strings.LastIndex(string(raw[:cut]), "\n")); got != want {
			t.Errorf("cut at %d: reopening cut off %d bytes, want %d", cut, got, want)
		}
		if ns, torn, err := readAll(t, path); len(ns) != lines+1 || ns[lines] != 9 || torn || err != nil {
			t.Errorf("cut at %d, appended: read %v, torn %v, %v", cut, ns, torn, err)
		}
	}
}

func TestReadLines_malformed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	os.WriteFile(path, []byte("{\"n\":1}\n{oops}\n{\"n\":3}\n"), 0o600)
	_, _, err := readAll(t, path)
	var line *LineError
	if !errors.As(err, &line) || line.Line != 2 || line.Path != path {
		t.Errorf("ReadLines = %v, want a LineError at line 2", err)
	}
}

func TestReadLines_endlessLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	os.WriteFile(path, []byte(strings.Repeat("x", 3*maxLine)), 0o600)
	if _, _, err := readAll(t, path); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("ReadLines = %v, want that the line is too long", err)
	}
}

func TestLines_concurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	l, _, err := OpenLines(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				if err := l.Append(entry{100*i + j}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	l.Close()
	if ns, torn, err := readAll(t, path); len(ns) != 800 || torn || err != nil {
		t.Errorf("read %d lines, torn %v, %v; want 800", len(ns), torn, err)
	}
}

// A full disk must not leave half a line behind. /dev/full takes nothing.
func TestLines_fullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &Lines{file: file, path: "samples.jsonl"}
	defer file.Close()
	err = l.Append(entry{1})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Append on a full disk = %v", err)
	}
	if l.size != 0 {
		t.Errorf("size = %d after a failed append, want 0", l.size)
	}
}

func FuzzReadLines(f *testing.F) {
	f.Add([]byte("{\"n\":1}\n"))
	f.Add([]byte("{\"n\":1}\n{\"n\""))
	f.Add([]byte("\n\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "lines")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		torn, err := ReadLines(path, func(entry) error { n++; return nil })
		if err == nil && n != strings.Count(string(data), "\n") {
			t.Errorf("read %d of %d lines without an error", n, strings.Count(string(data), "\n"))
		}
		if err == nil && torn != (len(data) > 0 && data[len(data)-1] != '\n') {
			t.Errorf("torn = %v for %q", torn, data)
		}
	})
}
