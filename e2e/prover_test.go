package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// Runs of the built-in rollup on this machine, all real: processes, contracts,
// proofs.
func TestProver_local(t *testing.T) {
	if testing.Short() {
		t.Skip("brings up many localnets")
	}
	for name, test := range map[string]func(*localnet){
		"five batches": (*localnet).fiveBatches, "killed at every step": (*localnet).killedEverywhere,
		"stopped": (*localnet).stopped, "two builds": (*localnet).twoBuilds, "kept": (*localnet).kept,
		"refused proof": (*localnet).refusedProof, "no metrics": (*localnet).noMetrics, "in the way": (*localnet).inTheWay,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newLocalnet(t))
		})
	}
}

// The run that the README shows, with its own defaults. While it goes on no
// other can begin on this machine.
func (l *localnet) fiveBatches() {
	args := l.args("run", "--local", "--json", "--batches", "5")
	c := l.begin(args...)
	l.reaches(c, "run", "start-load-1")
	other := *l
	other.ports = make(map[string]string)
	other.choosePorts()
	if r := other.verdict(other.args("other", "--local")...); r.status != 4 || !strings.Contains(r.stderr, "in use by the prover run "+filepath.Join(l.dir, "run")) {
		l.t.Errorf("a second run: status %d: %s", r.status, r.stderr)
	}
	if status := c.end(); status != 0 {
		l.t.Fatalf("status %d: %s", status, c.stderr.String())
	}
	if m := l.manifest("run"); m.State != store.Complete || m.Workflow != "prover" {
		l.t.Errorf("the manifest says %s, %s", m.State, m.Workflow)
	}
	var doc map[string]any
	if err := json.Unmarshal(c.stdout.Bytes(), &doc); err != nil {
		l.t.Errorf("stdout is no JSON: %v", err)
	}
	l.whole("run", sample.Baseline, 5)
	asPlanned(l.t, filepath.Join(l.dir, "run"))
	l.nothingLeft()
	if r := l.verdict("report", "run"); r.status != 0 || !strings.Contains(r.stdout, "Batches Proved          5") {
		l.t.Errorf("report: status %d: %s%s", r.status, r.stdout, r.stderr)
	}
	if r := l.verdict("prover", "--resume", "run"); r.status != 2 || !strings.Contains(r.stderr, "is complete") {
		l.t.Errorf("resuming what is complete: status %d: %s", r.status, r.stderr)
	}
}

// stages are the steps of a session at which a run is disturbed.
var stages = strings.Fields("inspect fixtures start-l1-1 deploy-1 start-l2-1 hold-committer-1 funded-1 start-collector-1 start-load-1 " +
	"release-committer-1 loaded-1 start-prover-1 prove-1 stop-load-1 stop-l2-1 stop-collector-1 verify-stopped-1")

// A controller that is killed at any step is taken up by another, which goes on
// with what runs: the localnet is brought up once.
func (l *localnet) killedEverywhere() {
	args := l.args("run", "--local")
	for _, stage := range stages {
		c := l.begin(args...)
		l.reaches(c, "run", stage)
		c.cmd.Process.Kill()
		c.end()
		args = []string{"prover", "--resume", "run", "--no-input"}
	}
	if r := l.verdict(args...); r.status != 0 && !strings.Contains(r.stderr, "is complete") {
		l.t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	if m := l.manifest("run"); m.State != store.Complete {
		l.t.Errorf("the run is %s: %s", m.State, m.Reason)
	}
	l.whole("run", sample.Baseline, 2)
	l.nothingLeft()
	if dirs, _ := filepath.Glob(filepath.Join(l.home, ".verdict/runs/*")); len(dirs) != 1 {
		l.t.Errorf("directories of runs: %v, want one", dirs)
	}
}

// An interrupt at any step takes everything down, and the run says that it is
// incomplete.
func TestProver_interrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("brings up many localnets")
	}
	for _, stage := range []string{"fixtures", "start-l1-1", "deploy-1", "start-l2-1", "funded-1", "loaded-1", "prove-1"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			l := newLocalnet(t)
			c := l.begin(l.args("run", "--local")...)
			l.reaches(c, "run", stage)
			c.cmd.Process.Signal(os.Interrupt)
			if status := c.end(); status != 130 || !strings.Contains(c.stderr.String(), "interrupted by signal") {
				t.Errorf("status %d: %s", status, c.stderr.String())
			}
			if m := l.manifest("run"); m.State != store.Incomplete {
				t.Errorf("the run is %s", m.State)
			}
			l.nothingLeft()
			if r := l.verdict("prover", "--resume", "run"); stage != "fixtures" && (r.status != 2 || !strings.Contains(r.stderr, "cannot go on")) {
				t.Errorf("resuming: status %d: %s", r.status, r.stderr)
			}
		})
	}
}

// A run whose controller was killed is ended by another, with a report of what
// there is.
func (l *localnet) stopped() {
	c := l.begin(l.args("run", "--local", "--batches", "1000")...)
	l.reaches(c, "run", "prove-1")
	if !waitUntil(time.Minute, func() bool {
		raw, _ := os.ReadFile(filepath.Join(l.dir, "run/samples-baseline.jsonl"))
		return bytes.Count(raw, []byte(`"status":"accepted"`)) > 1
	}) {
		l.t.Fatal("no proofs")
	}
	c.cmd.Process.Kill()
	c.end()
	if r := l.verdict("report", "run"); !strings.Contains(r.stdout+r.stderr, "killed or is still going") && !strings.Contains(r.stdout+r.stderr, "incomplete") {
		l.t.Errorf("a run that was killed looks finished: %s%s", r.stdout, r.stderr)
	}
	r := l.verdict("prover", "--stop", "run")
	if r.status != 0 || !strings.Contains(r.stdout, "Proving results") {
		l.t.Errorf("status %d: %s%s", r.status, r.stdout, r.stderr)
	}
	if m := l.manifest("run"); m.State != store.Incomplete || !strings.Contains(m.Reason, "ended with --stop") {
		l.t.Errorf("the run is %s: %s", m.State, m.Reason)
	}
	for _, lie := range []string{"did not answer", "could not reach"} {
		if strings.Contains(r.stdout, lie) {
			l.t.Errorf("the report blames what was stopped: %s", r.stdout)
		}
	}
	l.nothingLeft()
}

// Two builds have their turns, each with a localnet of its own.
func (l *localnet) twoBuilds() {
	verdict := self(l.t)
	r := l.verdict(l.args("run", "--local", "--baseline", verdict, "--test", verdict, "--sessions", "1")...)
	if r.status != 0 && r.status != 5 {
		l.t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	for _, side := range sample.Sides {
		l.whole("run", side, 2)
	}
	asPlanned(l.t, filepath.Join(l.dir, "run"))
	l.nothingLeft()
}

// What was asked to be kept runs on, can be measured as it is, and is ended later.
func (l *localnet) kept() {
	if r := l.verdict(l.args("run", "--local", "--keep")...); r.status != 0 {
		l.t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	if !listens(l.ports["l1"]) || !listens(l.ports["l2"]) {
		l.t.Error("the localnet does not run")
	}
	if r := l.verdict(l.args("again", "--local", "--running")...); r.status != 0 {
		l.t.Errorf("measuring what runs: status %d: %s", r.status, r.stderr)
	}
	l.whole("again", sample.Baseline, 2)
	if !listens(l.ports["l1"]) || !listens(l.ports["l2"]) {
		l.t.Error("what ran before was not left alone")
	}
	if r := l.verdict("prover", "--stop", "run"); r.status != 0 {
		l.t.Errorf("status %d: %s", r.status, r.stderr)
	}
	l.nothingLeft()
}

// spoiler is a coordinator between prover and L2 that spoils the first proof.
func (l *localnet) spoiler() (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { listener.Close() })
	var spoilt atomic.Bool
	go func() {
		for {
			prover, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer prover.Close()
				l2, err := net.Dial("tcp", "127.0.0.1:"+l.ports["coordinator"])
				if err != nil {
					return
				}
				defer l2.Close()
				asked, _ := io.ReadAll(prover)
				const values = `"public_values":[`
				if bytes.Contains(asked, []byte(values)) && spoilt.CompareAndSwap(false, true) {
					i := bytes.Index(asked, []byte(values)) + len(values)
					j := i + bytes.IndexByte(asked[i:], ',')
					n, _ := strconv.Atoi(string(asked[i:j]))
					asked = append(append(bytes.Clone(asked[:i]), strconv.Itoa((n+1)%256)...), asked[j:]...)
				}
				l2.Write(asked)
				l2.(*net.TCPConn).CloseWrite()
				io.Copy(prover, l2)
			}()
		}
	}()
	return listener.Addr().String()
}

// A proof that is wrong is refused by the L1 and said so, and its batch is
// proved again.
func (l *localnet) refusedProof() {
	// The later of two flags wins.
	wrapper := filepath.Join(l.dir, "verdict-spoilt")
	writeFile(l.t, wrapper, "#!/bin/bash\nif [ \"$2\" = prover ]; then set -- devnet prover --proof-coordinators tcp://"+l.spoiler()+
		" --backend exec --proving-time 200; fi\nexec "+self(l.t)+" \"$@\"\n", 0o755)
	r := l.verdict(l.args("run", "--local", "--baseline", wrapper)...)
	if r.status != 0 || !strings.Contains(r.stderr, "a proof was refused") {
		l.t.Errorf("status %d: %s", r.status, r.stderr)
	}
	l.whole("run", sample.Baseline, 2)
	raw, _ := os.ReadFile(filepath.Join(l.dir, "run/samples-baseline.jsonl"))
	if !bytes.Contains(raw, []byte(`"status":"rejected"`)) {
		l.t.Error("no attempt is recorded as rejected")
	}
	l.nothingLeft()
}

// Without the metrics page the run goes on and says so.
func (l *localnet) noMetrics() {
	r := l.verdict(l.args("run", "--local", "--arg", "--metrics.port="+l.quietPort())...)
	if r.status != 0 || !strings.Contains(r.stderr, "the metrics page of the L2 does not answer") {
		l.t.Errorf("status %d: %s", r.status, r.stderr)
	}
	l.whole("run", sample.Baseline, 2)
	l.nothingLeft()
}

// A port that is taken ends a run before anything is started, and what has it is
// left alone.
func (l *localnet) inTheWay() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+l.ports["metrics"])
	if err != nil {
		l.t.Fatal(err)
	}
	r := l.verdict(l.args("run", "--local")...)
	if r.status != 4 || !strings.Contains(r.stderr, "port "+l.ports["metrics"]+", taken by process "+strconv.Itoa(os.Getpid())) || !strings.Contains(r.stderr, "--clear") {
		l.t.Errorf("status %d: %s", r.status, r.stderr)
	}
	if !listens(l.ports["metrics"]) {
		l.t.Error("what had the port was stopped")
	}
	if dirs, _ := filepath.Glob(filepath.Join(l.home, ".verdict/runs/*/s1")); len(dirs) > 0 {
		l.t.Errorf("something was begun: %v", dirs)
	}
	listener.Close()
	l.nothingLeft()
}

// Whatever goes wrong is said with its reason, ends the run and leaves nothing.
func TestProver_failures(t *testing.T) {
	if testing.Short() {
		t.Skip("brings up many localnets")
	}
	for _, c := range []struct {
		name string
		args []string
		// at is the step at which do disturbs the run.
		at   string
		do   func(*localnet)
		want string
	}{
		{name: "prover dies", at: "prove-1", do: kills("prover"), want: "the prover of session 1 on localhost has ended with status 137"},
		{name: "L2 dies", at: "prove-1", do: kills("l2"), want: "the L2 of session 1 on localhost has ended with status 137"},
		{name: "L1 dies", at: "funded-1", do: kills("l1"), want: "the L1 of session 1 on localhost has ended with status 137"},
		{name: "prover hangs", at: "prove-1", do: halts("prover"), args: []string{"--timeouts", "ready=1m,funded=1m,loaded=1m,proof=6s"}, want: "has got nothing accepted and verified for 6s"},
		{name: "no blocks", args: []string{"--arg", "--block-producer.block-time=3600000", "--timeouts", "ready=5s,funded=1m,loaded=1m,proof=1m"}, want: "start-l2-1: gave up after 5s: the L2 answers and is at block"},
		{name: "other commit", args: []string{"--baseline-arg", "--commit=" + strings.Repeat("f", 40)}, want: "it is of another commit than the sequencer"},
		{name: "little load", args: []string{"--endless=false", "--transactions", "5", "--batches", "50"}, want: "the load has ended after 5 transactions of each account"},
		{name: "no such backend", args: []string{"--baseline-arg", "--backend=sp1"}, want: "the prover of session 1 on localhost has ended with status 2"},
		{name: "unknown flag", args: []string{"--arg", "--no-such-flag"}, want: "unknown flag: --no-such-flag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLocalnet(t)
			r := l.begin(l.args("run", append([]string{"--local", "--batches", "100"}, c.args...)...)...)
			if c.do != nil {
				l.reaches(r, "run", c.at)
				c.do(l)
			}
			if status := r.end(); status != 1 || !strings.Contains(r.stderr.String(), c.want) {
				t.Errorf("status %d, want %q: %s", status, c.want, r.stderr.String())
			}
			if m := l.manifest("run"); m.State != store.Incomplete || m.Reason == "" {
				t.Errorf("the run is %s: %s", m.State, m.Reason)
			}
			l.nothingLeft()
		})
	}
}

// kills kills a program, halts has it stand still.
func kills(name string) func(*localnet) {
	return func(l *localnet) { syscall.Kill(l.pid(name), syscall.SIGKILL) }
}

func halts(name string) func(*localnet) {
	return func(l *localnet) { syscall.Kill(l.pid(name), syscall.SIGSTOP) }
}
