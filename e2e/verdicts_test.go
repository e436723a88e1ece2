package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// verdicts builds the program that counts verdicts.
func verdicts(t *testing.T) (path, program string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "verdicts")
	if out, err := exec.Command("go", "build", "-o", path, "../bench/verdicts").CombinedOutput(); err != nil {
		t.Fatalf("building verdicts: %v\n%s", err, out)
	}
	program, err := exec.LookPath("verdict")
	if err != nil {
		t.Fatal(err)
	}
	return path, program
}

// An effect of +60 % is found, whatever else the machine does; the same delays
// on both sides give a verdict. Which one is up to chance, one in twenty, and
// counted by bench/verdicts.
func TestVerdicts_knownDelays(t *testing.T) {
	path, program := verdicts(t)
	cmd := exec.Command(path, "-verdict", program, "-json", "-runs", "1", "-swaps", "0",
		"-blocks", "80", "-warmup", "1", "-base", "10ms", "-effect", "60")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("verdicts: %v\n%s", err, stderr.String())
	}
	var got struct {
		Trials []struct {
			Kind, Outcome string
			Effect        struct{ Ratio, Low, High float64 }
			Pairs         int
		}
	}
	if err := json.Unmarshal(out, &got); err != nil || len(got.Trials) != 2 {
		t.Fatalf("%d trials, %v:\n%s", len(got.Trials), err, out)
	}
	for _, m := range got.Trials {
		e := m.Effect
		if m.Pairs != 80 || m.Outcome == "invalid" || !(0 < e.Low && e.Low < e.Ratio && e.Ratio < e.High) {
			t.Errorf("%s: %s, %+v, %d pairs; want a verdict from 80 pairs", m.Kind, m.Outcome, e, m.Pairs)
		}
		if m.Kind == "effect" && (m.Outcome != "regresses" || e.Low <= 1) {
			t.Errorf("+60 %%: %s, %+v; want regresses", m.Outcome, e)
		}
	}
}

// An interrupt ends the run under way as it would end one that a user started,
// and leaves no node running.
func TestVerdicts_interrupted(t *testing.T) {
	path, program := verdicts(t)
	out := t.TempDir()
	r := &localRun{t: t, dir: filepath.Join(out, "aa-01")}
	r.cmd = exec.Command(path, "local", "-verdict", program, "-runs", "2", "-blocks", "1000", "-gas", "1000000", "-out", out)
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	})
	r.measured(3)
	pids := r.nodes()
	r.cmd.Process.Signal(os.Interrupt)
	r.ends(130, pids)
	if m := r.manifest(); m.State != "incomplete" {
		t.Errorf("the run under way is %s", m.State)
	}
	if names, err := filepath.Glob(filepath.Join(out, "*")); err != nil || !slices.Equal(names, []string{r.dir}) {
		t.Errorf("runs %v, %v; want the one that was interrupted", names, err)
	}
}
