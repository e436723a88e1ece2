package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// localnet is a place for prover runs: the home directory of the host, that of
// the controller, which is another where the host is another machine, the
// directory that the controller runs in, and five free ports.
type localnet struct {
	t     *testing.T
	home  string
	own   string
	dir   string
	ports map[string]string
}

func newLocalnet(t *testing.T) *localnet {
	t.Helper()
	home := t.TempDir()
	return newLocalnetAt(t, home, home)
}

func newLocalnetAt(t *testing.T, home, own string) *localnet {
	t.Helper()
	l := &localnet{t: t, home: home, own: own, dir: t.TempDir(), ports: make(map[string]string)}
	l.choosePorts()
	// Whatever a test that failed left must not outlive it.
	t.Cleanup(func() {
		for pid, argv := range l.processes() {
			t.Errorf("process %d is left: %s", pid, argv)
			if p, err := os.FindProcess(pid); err == nil {
				p.Kill()
			}
		}
	})
	return l
}

func (l *localnet) choosePorts() {
	for _, name := range []string{"l1", "l2", "metrics", "coordinator", "admin"} {
		l.ports[name] = l.quietPort()
	}
}

// lastPort is the port that was given out last.
var lastPort atomic.Int32

// quietPort is a free port that is used some seconds later: below those that the
// system gives to connections meanwhile, and given out once.
func (l *localnet) quietPort() string {
	l.t.Helper()
	const first, ports = 12000, 18000
	for range ports {
		n := first + (int(lastPort.Add(1))+os.Getpid()*97)%ports
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n))
		if err == nil {
			listener.Close()
			return strconv.Itoa(n)
		}
	}
	l.t.Fatal("no port is free")
	return ""
}

// portList is the value of --ports.
func (l *localnet) portList() string {
	var ports []string
	for name, port := range l.ports {
		ports = append(ports, name+"="+port)
	}
	return strings.Join(ports, ",")
}

// args are those of a run with short intervals, the directory of which is run.
func (l *localnet) args(run string, more ...string) []string {
	return append([]string{"prover", "--no-input", "--out", run, "--ports", l.portList(), "--batches", "2",
		"--intervals", "block=500ms,commit=1s,watch=500ms,send=500ms,poll=200ms"}, more...)
}

// begin starts verdict.
func (l *localnet) begin(args ...string) *proverRun {
	l.t.Helper()
	c := &proverRun{cmd: exec.Command("verdict", args...), ended: make(chan struct{})}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = l.dir, &c.stdout, &c.stderr
	c.cmd.Env = append(os.Environ(), "HOME="+l.own)
	if err := c.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	go func() {
		c.cmd.Wait()
		close(c.ended)
	}()
	l.t.Cleanup(func() {
		c.cmd.Process.Kill()
		<-c.ended
		if l.t.Failed() {
			l.t.Log(c.stderr.String())
		}
	})
	return c
}

// proverRun is a verdict prover as a process of its own.
type proverRun struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	stderr lockedBuffer
	stdout bytes.Buffer
}

// end waits for the end and returns the exit status.
func (c *proverRun) end() int {
	<-c.ended
	return c.cmd.ProcessState.ExitCode()
}

// over reports whether it has ended.
func (c *proverRun) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// verdict runs verdict to its end.
func (l *localnet) verdict(args ...string) result {
	l.t.Helper()
	c := l.begin(args...)
	status := c.end()
	return result{status, c.stdout.String(), c.stderr.String()}
}

// reaches waits until a step of a run has begun, or the run has ended.
func (l *localnet) reaches(c *proverRun, run, step string) {
	l.t.Helper()
	began := []byte(`"step":"` + step + `","event":"started"`)
	ok := waitUntil(90*time.Second, func() bool {
		raw, _ := os.ReadFile(filepath.Join(l.dir, run, "journal.jsonl"))
		return bytes.Contains(raw, began) || c.over()
	})
	raw, _ := os.ReadFile(filepath.Join(l.dir, run, "journal.jsonl"))
	if !ok || !bytes.Contains(raw, began) {
		l.t.Fatalf("the run did not come to %s:\n%s", step, c.stderr.String())
	}
}

// pid is that of a recorded program of session 1.
func (l *localnet) pid(name string) int {
	l.t.Helper()
	files, _ := filepath.Glob(filepath.Join(l.home, ".verdict/runs/*/s1", name+".pid"))
	if len(files) != 1 {
		l.t.Fatalf("records of %s: %v", name, files)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		l.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(raw))[0])
	if err != nil {
		l.t.Fatal(err)
	}
	return pid
}

// processes are those that the home directory or a port of l shows in, those of
// this test aside.
func (l *localnet) processes() map[int]string {
	found := make(map[int]string)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		raw, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		argv := strings.ReplaceAll(strings.TrimSuffix(string(raw), "\x00"), "\x00", " ")
		ours := strings.Contains(argv, l.home)
		for _, port := range l.ports {
			ours = ours || strings.Contains(argv, ":"+port)
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && ours && pid != os.Getpid() && !strings.Contains(argv, "sshd") {
			found[pid] = argv
		}
	}
	return found
}

// nothingLeft makes sure that nothing of a run is left: no process, no listener,
// no lock.
func (l *localnet) nothingLeft() {
	l.t.Helper()
	var left map[int]string
	if !waitUntil(10*time.Second, func() bool { left = l.processes(); return len(left) == 0 }) {
		l.t.Errorf("processes are left: %v", left)
	}
	for name, port := range l.ports {
		if listens(port) {
			l.t.Errorf("something listens at the port of %s", name)
		}
	}
	if _, err := os.Stat(filepath.Join(l.home, ".verdict/prover.lock")); err == nil {
		l.t.Error("the lock is left")
	}
}

// manifest is that of a run.
func (l *localnet) manifest(run string) (m store.Manifest) {
	l.t.Helper()
	raw, err := os.ReadFile(filepath.Join(l.dir, run, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return m
}

// whole makes sure that the samples of a side hold at least so many batches with
// load, each committed, proved, accepted and verified, and no attempt twice.
func (l *localnet) whole(run string, side sample.Side, least int) {
	l.t.Helper()
	batches := make(map[string]*sample.Batch)
	attempts := make(map[string]*sample.Attempt)
	_, err := store.ReadLines(filepath.Join(l.dir, run, store.SamplesName(side)), func(r sample.Record) error {
		switch {
		case r.Batch != nil:
			batches[fmt.Sprint(r.Batch.Session, " ", r.Batch.Number)] = r.Batch
		case r.Attempt != nil:
			id := fmt.Sprint(r.Attempt.Session, " ", r.Attempt.Batch)
			if had := attempts[id]; had != nil && had.Number == r.Attempt.Number && had.Status == r.Attempt.Status {
				return fmt.Errorf("attempt %d at batch %s is there twice", had.Number, id)
			}
			attempts[id] = r.Attempt
		}
		return store.CheckRecord(r)
	})
	if err != nil {
		l.t.Fatal(err)
	}
	n := 0
	for id, b := range batches {
		a := attempts[id]
		if b.Transactions < 10 || a == nil || a.Status != sample.Accepted || b.VerifiedAt.IsZero() {
			continue
		}
		if b.CommitTx == "" || b.VerifyTx == "" || a.ProvingNS <= 0 || b.GasUsed == 0 {
			l.t.Errorf("batch %s is verified, and: %+v, %+v", id, b, a)
		}
		n++
	}
	if n < least {
		l.t.Errorf("%d batches are committed, proved and verified, want %d", n, least)
	}
}

// self is the program that is tested.
func self(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("verdict")
	if err != nil {
		t.Fatal(err)
	}
	return path
}
