package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/store"
)

// localRun is a verdict witness --local as a process of its own.
type localRun struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

func startLocal(t *testing.T) *localRun {
	t.Helper()
	return startLocalIn(t, filepath.Join(t.TempDir(), "run"))
}

func startLocalIn(t *testing.T, dir string) *localRun {
	t.Helper()
	r := &localRun{t: t, dir: dir}
	r.cmd = exec.Command("verdict", "witness", "--local", "--blocks", "1000", "--warmup", "1",
		"--gas", "1000000", "--seed", "7", "--out", r.dir)
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	})
	return r
}

// measured waits until n blocks have been measured.
func (r *localRun) measured(n int) {
	r.t.Helper()
	eventually(r.t, 3*time.Minute, func() bool {
		raw, _ := os.ReadFile(filepath.Join(r.dir, "samples-test.jsonl"))
		return bytes.Count(raw, []byte("\n")) >= n
	})
}

// nodes are the pids of the two nodes, as the journal recorded them.
func (r *localRun) nodes() []int {
	r.t.Helper()
	var pids []int
	_, err := store.ReadLines(filepath.Join(r.dir, "journal.jsonl"), func(e store.Event) error {
		if m := regexp.MustCompile(`^pid (\d+), started \d+$`).FindStringSubmatch(e.Detail); m != nil {
			pid, err := strconv.Atoi(m[1])
			pids = append(pids, pid)
			return err
		}
		return nil
	})
	if err != nil || len(pids) != 2 {
		r.t.Fatalf("the journal records pids %v, %v; want two", pids, err)
	}
	return pids
}

// wait returns the exit status.
func (r *localRun) wait() int {
	r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

// ends checks that the run ends with status and leaves no node running.
func (r *localRun) ends(status int, pids []int) {
	r.t.Helper()
	if got := r.wait(); got != status {
		r.t.Errorf("exit status %d, want %d; stderr:\n%s", got, status, r.stderr.String())
	}
	if !gone(pids) {
		r.t.Errorf("nodes %v still run", pids)
	}
}

func (r *localRun) manifest() (m store.Manifest) {
	r.t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// report runs verdict report on the run.
func (r *localRun) report() string {
	r.t.Helper()
	out, err := exec.Command("verdict", "report", r.dir).Output()
	if err != nil {
		r.t.Fatalf("verdict report: %v", err)
	}
	return string(out)
}

func eventually(t *testing.T, limit time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain", limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func gone(pids []int) bool {
	for _, pid := range pids {
		if syscall.Kill(pid, 0) == nil {
			return false
		}
	}
	return true
}

// An interrupt stops the nodes, keeps the samples and leaves a run that says
// that it is incomplete.
func TestWitnessLocal_interrupted(t *testing.T) {
	r := startLocal(t)
	r.measured(5)
	pids := r.nodes()
	r.cmd.Process.Signal(os.Interrupt)
	r.ends(130, pids)
	if m := r.manifest(); m.State != store.Incomplete || !strings.Contains(m.Reason, "interrupt") {
		t.Errorf("manifest says %s: %s", m.State, m.Reason)
	}
	if !strings.Contains(r.stderr.String(), "its samples are kept: verdict report "+r.dir) {
		t.Errorf("stderr does not say where the samples are:\n%s", r.stderr.String())
	}
	if out := r.report(); !strings.Contains(out, "the run is incomplete") {
		t.Errorf("the report does not say that the run is incomplete:\n%s", out)
	}
}

// An interrupt while the nodes are starting leaves nothing running either.
func TestWitnessLocal_interruptedAtStart(t *testing.T) {
	r := startLocal(t)
	eventually(t, time.Minute, func() bool {
		raw, _ := os.ReadFile(filepath.Join(r.dir, "journal.jsonl"))
		return bytes.Contains(raw, []byte(`"step":"preflight","event":"started"`))
	})
	pids := r.nodes()
	r.cmd.Process.Signal(os.Interrupt)
	r.ends(130, pids)
	if m := r.manifest(); m.State != store.Incomplete {
		t.Errorf("manifest says %s", m.State)
	}
}

// A full disk ends the run with the name of the file; what was whole before is
// still there, and nothing is left running.
func TestWitnessLocal_fullDisk(t *testing.T) {
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=96k", "none", disk).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	r := startLocalIn(t, filepath.Join(disk, "run"))
	r.measured(3)
	pids := r.nodes()
	r.ends(1, pids)
	if got := r.stderr.String(); !strings.Contains(got, "no space left on device") || !strings.Contains(got, "run/") {
		t.Errorf("stderr does not say what is full:\n%s", got)
	}
	if out := r.report(); !strings.Contains(out, "incomplete") {
		t.Errorf("the report does not say that the run is incomplete:\n%s", out)
	}
}

// A controller that is killed outright takes its nodes with it, and its run
// never looks finished.
func TestWitnessLocal_killed(t *testing.T) {
	r := startLocal(t)
	r.measured(3)
	pids := r.nodes()
	r.cmd.Process.Kill()
	r.wait()
	eventually(t, time.Minute, func() bool { return gone(pids) })
	if _, err := os.Stat(filepath.Join(r.dir, "manifest.json")); err == nil {
		t.Error("a killed run has a manifest")
	}
	if out := r.report(); !strings.Contains(out, "the run was killed or is still going") {
		t.Errorf("the report does not say that the run was killed:\n%s", out)
	}
}

// A node that dies ends the run with its name and the end of its log; what was
// measured is kept and the other node is stopped.
func TestWitnessLocal_nodeDies(t *testing.T) {
	r := startLocal(t)
	r.measured(3)
	pids := r.nodes()
	syscall.Kill(pids[1], syscall.SIGKILL)
	r.ends(1, pids)
	for _, want := range []string{"the test node ended: signal: killed; the end of its log:", "ready"} {
		if !strings.Contains(r.stderr.String(), want) {
			t.Errorf("stderr does not say %q:\n%s", want, r.stderr.String())
		}
	}
	if m := r.manifest(); m.State != store.Incomplete {
		t.Errorf("manifest says %s", m.State)
	}
}
