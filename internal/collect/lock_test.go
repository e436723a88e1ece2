package collect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "samples.jsonl")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lock(path)
	if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), fmt.Sprintf("is being written by process %d", os.Getpid())) || len(fault.HintsOf(err)) == 0 {
		t.Errorf("a second lock: %v, hints %q", err, fault.HintsOf(err))
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = Lock(path); err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
	if _, err := Lock(filepath.Join(path, "x")); fault.KindOf(err) != fault.Prerequisite {
		t.Errorf("no directory: %v", err)
	}
}

func FuzzLockHolder(f *testing.F) {
	f.Add("1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF\n", uint64(1234))
	f.Add("1: POSIX  ADVISORY  WRITE 4711 fd:00:1234 0 EOF\n2: -> FLOCK ADVISORY WRITE 5 fd:00:1234 0 EOF", uint64(1234))
	f.Add("1: FLOCK  ADVISORY  WRITE -1 fd:00:11234 0 EOF\n\n:", uint64(1234))
	f.Fuzz(func(t *testing.T, locks string, inode uint64) {
		pid := lockHolder(locks, inode)
		if pid < 0 || pid > 0 && !strings.Contains(locks, fmt.Sprint(pid)) {
			t.Errorf("lockHolder(%q, %d) = %d", locks, inode, pid)
		}
	})
}

func TestLockHolder(t *testing.T) {
	for _, c := range []struct {
		line string
		want int
	}{
		{"1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF", 4711},
		{"1: FLOCK  ADVISORY  WRITE 4711 fd:00:11234 0 EOF", 0},
		{"1: POSIX  ADVISORY  WRITE 4711 fd:00:1234 0 EOF", 0},
		{"1: FLOCK  ADVISORY  READ 4711 fd:00:1234 0 EOF", 0},
		{"1: -> FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF", 0},
		{"2: FLOCK ADVISORY", 0},
	} {
		if got := lockHolder("3: FLOCK ADVISORY WRITE 1 fd:00:9 0 EOF\n"+c.line+"\n", 1234); got != c.want {
			t.Errorf("lockHolder(%q) = %d, want %d", c.line, got, c.want)
		}
	}
}
