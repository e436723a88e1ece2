package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// Where nobody watches, a collector says something once a minute, however fast
// the blocks come and whether they fail, and at once when its server goes away.
func TestCollection_log(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 15, 30, 0, time.UTC)
	var stderr bytes.Buffer
	w := World{Stderr: &stderr, Now: func() time.Time { return now }}
	out, _, err := store.OpenLines(filepath.Join(t.TempDir(), "samples.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := collection{w: w, o: &collectOptions{}, out: out, line: newStatusLine(w)}
	const minutes = 10
	for i := range minutes * 60 {
		s := &sample.Sample{Number: uint64(i), Status: sample.OK}
		if i%2 == 0 {
			s.Status, s.Failure = sample.RPCError, &sample.Failure{Message: "no state"}
		}
		if err := c.record(sample.Record{V: sample.Version, Sample: s}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if len(lines) != minutes || lines[0] != "block 0: rpc-error: no state  1 samples, 1 failed" || !strings.Contains(lines[9], ", 271 failed") {
		t.Errorf("%d lines:\n%s", len(lines), stderr.String())
	}
	if c.good != 300 || c.bad != 300 {
		t.Errorf("%d good, %d bad", c.good, c.bad)
	}
	stderr.Reset()
	c.waiting(store.ErrTaken)
	if err := c.record(sample.Record{V: sample.Version, Gap: &sample.Gap{DurationNS: int64(time.Second), Reason: "gone"}}); err != nil {
		t.Fatal(err)
	}
	if got := stderr.String(); strings.Count(got, "\n") != 2 || !strings.HasSuffix(got, "gap of 1s: gone\n") {
		t.Errorf("said %q", got)
	}
}
