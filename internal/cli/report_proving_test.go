package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// storedRun writes a finished run of proofs with the records that package
// compare generates.
func storedRun(t *testing.T, workflow, records string, encoded []byte) string {
	t.Helper()
	dir := t.TempDir()
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	manifest, err := json.Marshal(store.Manifest{
		V: store.ManifestVersion, Workflow: workflow, State: store.Complete, Started: begin, Ended: begin.Add(time.Hour),
		SpecHash: spec.Hash(encoded), Sides: [2]store.Side{{Side: sample.Baseline, Ref: "main"}, {Side: sample.Test, Ref: "pr"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{store.ManifestName: manifest, store.SpecName: encoded}
	for _, side := range sample.Sides {
		raw, err := os.ReadFile(filepath.Join("..", "compare", "testdata", "proving", records+"-"+string(side)+".jsonl"))
		if err != nil && side == sample.Baseline {
			t.Fatal(err)
		}
		files[store.SamplesName(side)] = raw
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// storedProver is a stored prover run of one side, or of two.
func storedProver(t *testing.T, records string, two bool) string {
	t.Helper()
	s := spec.ProverDefaults(spec.Local)
	s.Complete(nil)
	s.Batches, s.PricePerHour, s.Currency = 6, 1.5, "EUR"
	if two {
		s.Batches, s.Test = 12, &spec.Side{Ref: "pr"}
	}
	encoded, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return storedRun(t, spec.ProverWorkflow, records, encoded)
}

// storedReplay is a stored replay.
func storedReplay(t *testing.T) string {
	t.Helper()
	s := spec.DefaultReplay()
	s.Recording, s.RecordingHash, s.Batches = "recording", "sha256:"+strings.Repeat("0", 64), 20
	s.Baseline.Binary, s.Test.Binary = "/bin/main", "/bin/pr"
	return storedRun(t, spec.ReplayWorkflow, "replay", s.Encode())
}

// Runs of proofs are reported by their own spec, whichever workflow made them,
// and compared with each other.
func TestReport_provingRuns(t *testing.T) {
	one, two, replay := storedProver(t, "exec", false), storedProver(t, "gpu", true), storedReplay(t)
	changed := storedProver(t, "exec", false)
	if err := os.WriteFile(filepath.Join(changed, store.SpecName), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"one side":         {[]string{"report", one}, 0, "PROVED: 6 batches, 432 ms each on average", ""},
		"two sides":        {[]string{"report", two}, 0, "VERDICT: improves: test takes 14 % less time (unpaired)", ""},
		"a replay":         {[]string{"report", replay}, 0, "VERDICT: regresses: test takes 5 % more time", ""},
		"another margin":   {[]string{"report", "--json", "--margin", "10", replay}, 0, "exploratory: the margin is 10 %, registered before the first sample was 3 %", ""},
		"one row each":     {[]string{"report", "--format", "csv", one}, 0, "baseline,false,1,9347,", ""},
		"metrics of a run": {[]string{"report", one, "--metrics", "page"}, 2, "", "--metrics belongs to a prover log"},
		"a changed spec":   {[]string{"report", changed}, 2, "", "was changed after the run began"},
		"two runs":         {[]string{"compare", one, two + ":baseline"}, 0, "test is 49.7 times slower (unpaired)", ""},
		"sides of two":     {[]string{"compare", two, two}, 0, "time at equal gas", ""},
		"samples":          {[]string{"compare", filepath.Join(two, "samples-baseline.jsonl"), filepath.Join(two, "samples-test.jsonl"), "--json"}, 0, `"at_equal_gas": {`, ""},
	} {
		var stdout, stderr bytes.Buffer
		status := Main(context.Background(), World{
			Args: c.args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" },
		})
		if status != c.status || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("%s: status %d, want %d; stdout %.300q, want %q; stderr %q, want %q", name, status, c.status, stdout.String(), c.stdout, stderr.String(), c.stderr)
		}
	}
}
