package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/store"
)

// Batches are recorded between a prover and the coordinator of a rollup, all of
// them processes, and two builds of the prover are compared on them when the
// rollup is long gone.
func TestReplay(t *testing.T) {
	t.Parallel()
	dir := recordRollup(t)
	builtIn, err := exec.LookPath("verdict")
	if err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(t.TempDir(), "verdict")
	build := exec.Command("go", "build", "-o", slow, "-ldflags",
		"-X github.com/verdict-bench/verdict/internal/prover.slowdown=3", "../cmd/verdict")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building a slower verdict: %v\n%s", err, out)
	}

	// The slower build takes four times as long.
	r := replay(t, dir, 0, "--baseline", builtIn, "--test", slow)
	if r.Outcome != "regresses" || r.Pairs != 6 || r.Effect.Ratio < 2 || r.State != store.Complete {
		t.Errorf("a slower build: %+v", r)
	}
	if r.Parity.Checked != 6 || len(r.Parity.Different) != 0 {
		t.Errorf("parity: %+v", r.Parity)
	}
	// The same build twice shows no direction.
	if r := replay(t, dir, 0, "--baseline", builtIn, "--aa"); r.Outcome != "no effect" && r.Outcome != "inconclusive" {
		t.Errorf("a build against itself: %+v", r)
	}
	rejected(t, dir, builtIn)
}

// recordRollup records six batches of a rollup and returns the recording.
func recordRollup(t *testing.T) (dir string) {
	t.Helper()
	r, l1 := newRollup(t)
	l2 := r.startL2()
	load := r.start("load", "load", "-n", r.rpc, "-k", "fixtures/keys/private_keys.txt", "-t", "eth-transfers", "--endless", "--tps", "60")
	record := r.start("record", "prover", "record", "--out", "recording", "--coordinator", r.coordinator,
		"--listen", "127.0.0.1:0", "--addresses", "record.json", "--batches", "6")
	var at struct{ Coordinator string }
	readWhenThere(t, filepath.Join(r.dir, "record.json"), &at)
	prover := r.start("prover", "devnet", "prover", "--proof-coordinators", at.Coordinator,
		"--backend", "exec", "--proving-time", "100", "--timed")
	ended := make(chan error, 1)
	go func() { ended <- record.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("recording: %v\n%s", err, record.log(t))
		}
	case <-time.After(3 * time.Minute):
		t.Fatalf("six batches are not recorded after 3 minutes:\n%s", record.log(t))
	}
	// Whatever stood between them, the L1 verified the proofs.
	eventually(t, time.Minute, func() bool {
		b := r.batch(6)
		return b != nil && b.VerifyTx != nil
	})
	if log := record.log(t); !strings.Contains(log, "batch 6: its proof is acknowledged") || !strings.Contains(log, "6 batches, 1 to 6") {
		t.Errorf("the recorder says\n%s", log)
	}
	r.endAll(load, prover, l2, l1)
	return filepath.Join(r.dir, "recording")
}

// replayReport is what is read of the report of a replay.
type replayReport struct {
	Outcome string `json:"outcome"`
	Pairs   int    `json:"pairs"`
	State   string `json:"state"`
	Effect  struct {
		Ratio float64 `json:"ratio"`
	} `json:"effect"`
	Parity struct {
		Checked   int      `json:"checked"`
		Different []uint64 `json:"different"`
	} `json:"parity"`
}

// replay runs verdict prover replay with the built-in prover and returns its
// report.
func replay(t *testing.T, recording string, status int, args ...string) (r replayReport) {
	t.Helper()
	stdout, stderr := runReplay(t, recording, status, args...)
	if err := json.Unmarshal(stdout, &r); err != nil {
		t.Fatalf("the report: %v\n%s", err, stderr)
	}
	return r
}

func runReplay(t *testing.T, recording string, status int, args ...string) (stdout []byte, stderr string) {
	t.Helper()
	cmd := exec.Command("verdict", append([]string{"prover", "replay", recording, "--program", "verdict", "--json",
		"--poll", "20ms", "--out", filepath.Join(t.TempDir(), "run")}, args...)...)
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	_ = cmd.Run() // the status says how it ended
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Fatalf("%v: exit status %d, want %d\n%s", cmd.Args, got, status, told.String())
	}
	return out.Bytes(), told.String()
}

// rejected replays an input of a version that the prover does not know.
func rejected(t *testing.T, recording, builtIn string) {
	t.Helper()
	other := filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(other, os.DirFS(recording)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(other, "batches", "1.json")
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(doc, []byte(`"blocks":`), []byte(`"bodies":`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	// Without the exchanges, the documents are taken as they are.
	if err := os.Remove(filepath.Join(other, "exchanges.jsonl")); err != nil {
		t.Fatal(err)
	}
	_, stderr := runReplay(t, other, 1, "--baseline", builtIn, "--aa")
	for _, part := range []string{"prover asked again without a proof of batch 1", "does not accept the recorded input", "ERROR", "blocks"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr lacks %q:\n%s", part, stderr)
		}
	}
}
