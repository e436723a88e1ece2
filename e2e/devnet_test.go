package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/sshdtest"
	"github.com/verdict-bench/verdict/internal/store"
)

// devnetRun is a finished verdict witness --devnet.
type devnetRun struct {
	dir, stderr string
	status      int
	result      map[string]any
}

// devnet runs verdict witness --devnet with args in a home of its own.
func devnet(t *testing.T, home string, args ...string) devnetRun {
	t.Helper()
	r := devnetRun{dir: filepath.Join(t.TempDir(), "run")}
	cmd := exec.Command("verdict", append([]string{"witness", "--devnet", "--json", "--seed", "5", "--gas", "1000000", "--settle", "0s", "--out", r.dir}, args...)...)
	temp := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+temp, "NO_COLOR=1")
	cmd.Dir = home
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r.status, r.stderr = cmd.ProcessState.ExitCode(), stderr.String()
	if len(out) > 0 {
		if err := json.Unmarshal(out, &r.result); err != nil {
			t.Fatalf("stdout is not JSON: %v\n%s", err, out)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("the run has left %v in TMPDIR, %v", left, err)
	}
	if pids := r.pids(t); !gone(pids) {
		t.Errorf("programs %v still run", pids)
	}
	return r
}

// pids are the processes that the journal records.
func (r devnetRun) pids(t *testing.T) []int {
	t.Helper()
	var pids []int
	_, err := store.ReadLines(filepath.Join(r.dir, "journal.jsonl"), func(e store.Event) error {
		var id struct{ PID int }
		if rest, ok := strings.CutPrefix(e.Detail, "pid "); ok {
			number, _, _ := strings.Cut(rest, ",")
			if err := json.Unmarshal([]byte(number), &id.PID); err != nil {
				return err
			}
			pids = append(pids, id.PID)
		}
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return pids
}

// agreed checks that n blocks were paired, that the answers agree and that all
// of them are proved.
func (r devnetRun) agreed(t *testing.T, n float64) {
	t.Helper()
	parity, ok := r.result["parity"].(map[string]any)
	if !ok || r.result["pairs"] != n || parity["ok"] != true {
		t.Fatalf("status %d, pairs %v, parity %v; want %v pairs that agree; stderr:\n%s", r.status, r.result["pairs"], parity, n, r.stderr)
	}
	if verified := parity["verified"].([]any); verified[0].(float64) < n || verified[1].(float64) < n {
		t.Errorf("verified %v, want all %v on both sides", verified, n)
	}
}

func (r devnetRun) manifest(t *testing.T) (m store.Manifest) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// realGeth is the real geth of a variable that make test sets.
func realGeth(t *testing.T, variable string) string {
	t.Helper()
	geth := os.Getenv(variable)
	if geth == "" {
		if os.Getenv("CI") == "true" || os.Getenv("VERDICT_REQUIRE") != "" {
			t.Fatalf("no geth: set %s, as make test does", variable)
		}
		t.Skipf("no geth: set %s, as make test does", variable)
	}
	return geth
}

// The real geth against itself: enough pairs for a verdict, whose answers agree.
func TestDevnet_sameGethTwice(t *testing.T) {
	t.Parallel()
	geth := realGeth(t, "VERDICT_GETH")
	r := devnet(t, t.TempDir(), "--program", "geth", "--baseline", geth, "--test", geth, "--blocks", "80", "--warmup", "2")
	r.agreed(t, 80)
	if r.status != 0 {
		t.Errorf("exit status %d; stderr:\n%s", r.status, r.stderr)
	}
	m := r.manifest(t)
	if m.Sides[0].BinarySHA256 != m.Sides[1].BinarySHA256 || len(m.Sides[0].BinarySHA256) != 64 {
		t.Errorf("checksums %s and %s, want the same one", m.Sides[0].BinarySHA256, m.Sides[1].BinarySHA256)
	}
}

// Two versions of the real geth are told apart. The witnesses of the older one
// hold a few nodes more than the block needs; those of both are complete, but
// answers that differ are no basis for a verdict about speed, and that is said.
func TestDevnet_twoGeths(t *testing.T) {
	t.Parallel()
	current, old := realGeth(t, "VERDICT_GETH"), realGeth(t, "VERDICT_GETH_OLD")
	r := devnet(t, t.TempDir(), "--program", "geth", "--baseline", old, "--test", current, "--blocks", "12", "--warmup", "0")
	parity, ok := r.result["parity"].(map[string]any)
	if !ok || r.status != 5 || parity["checked"] != 12.0 || parity["different_count"] != 12.0 {
		t.Fatalf("status %d, parity %v; want 12 different answers; stderr:\n%s", r.status, parity, r.stderr)
	}
	if verified := parity["verified"].([]any); verified[0] != 12.0 || verified[1] != 12.0 {
		t.Errorf("verified %v, want all on both sides", verified)
	}
	if !strings.Contains(r.stderr, "the two sides answered differently on 12 of 12 blocks") {
		t.Errorf("stderr does not say why there is no verdict:\n%s", r.stderr)
	}
	m := r.manifest(t)
	if !strings.Contains(m.Sides[0].Version, "v1.17.0") || !strings.Contains(m.Sides[1].Version, "v1.17.4") {
		t.Errorf("versions %q and %q", m.Sides[0].Version, m.Sides[1].Version)
	}
	for _, side := range []string{"baseline", "test"} {
		if log, err := os.ReadFile(filepath.Join(r.dir, "logs", side+".log")); err != nil || !bytes.Contains(log, []byte("HTTP server started")) {
			t.Errorf("the log of the %s side, %v:\n%.500s", side, err, log)
		}
	}
}

// commandFile writes a spec file whose program is the built-in node, started
// with args beside what every program is told.
func commandFile(t *testing.T, args ...string) string {
	t.Helper()
	command := append([]string{"{binary}", "devnet", "node", "--datadir", "{datadir}", "--http.port", "{http_port}",
		"--authrpc.port", "{engine_port}", "--authrpc.jwtsecret", "{jwt}"}, args...)
	raw, err := json.Marshal(command) // which is YAML
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "spec.yaml")
	text := "version: 1\nworkflow: witness\nplace: devnet\nprogram:\n  name: built-in\n  command: " + string(raw) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// verdictItself is the program under test, for those that run it.
func verdictItself(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("verdict")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Any program can be described by its command. With an A/A control the baseline
// runs on both sides first.
func TestDevnet_commandAndControl(t *testing.T) {
	t.Parallel()
	self := verdictItself(t)
	r := devnet(t, t.TempDir(), commandFile(t, "--network", "{genesis}"), "--baseline", self, "--test", self,
		"--test-arg", "--precompute-witnesses", "--aa", "100", "--blocks", "5", "--warmup", "1", "--verify-every", "1")
	r.agreed(t, 5)
	if pids := r.pids(t); len(pids) != 4 {
		t.Errorf("started %v, want four programs", pids)
	}
	if !strings.Contains(r.stderr, "A/A control: ") || !strings.Contains(r.stderr, "noise floor") {
		t.Errorf("stderr does not tell what the control shows:\n%s", r.stderr)
	}
	m := r.manifest(t)
	if has := strings.Contains(strings.Join(m.Sides[1].Argv, " "), "--precompute-witnesses"); !has {
		t.Errorf("the test side ran with %q", m.Sides[1].Argv)
	}
	control, err := os.ReadFile(filepath.Join(r.dir, "logs", "control-test.log"))
	if err != nil || !bytes.Contains(control, []byte("ready")) {
		t.Errorf("the log of the control's test side, %v:\n%s", err, control)
	}
}

// refs is a clone whose build makes a program that runs the built-in node; the
// pull request's stores witnesses. The baseline has a commit that it lacks.
func refs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git := func(in string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		cmd.Dir = in
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "work", name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		git(filepath.Join(dir, "work"), "add", ".")
		git(filepath.Join(dir, "work"), "commit", "--quiet", "-m", name)
	}
	git(dir, "init", "--quiet", "--bare", "--initial-branch", "main", "origin")
	git(dir, "init", "--quiet", "--initial-branch", "main", "work")
	write("node.sh", "#!/bin/sh\nexec verdict \"$@\"\n")
	git(filepath.Join(dir, "work"), "checkout", "--quiet", "-b", "pr")
	write("node.sh", "#!/bin/sh\nexec verdict \"$@\" --precompute-witnesses\n")
	git(filepath.Join(dir, "work"), "checkout", "--quiet", "main")
	write("README", "later\n")
	git(filepath.Join(dir, "work"), "push", "--quiet", filepath.Join(dir, "origin"), "main", "pr:refs/pull/7/head")
	git(dir, "clone", "--quiet", filepath.Join(dir, "origin"), "clone")
	return filepath.Join(dir, "clone")
}

// Two refs are built, each once, and compared; that the pull request is behind
// is said.
func TestDevnet_refs(t *testing.T) {
	t.Parallel()
	clone, home, file := refs(t), t.TempDir(), commandFile(t, "--network", "{genesis}")
	run := func(build, baseline, test string) devnetRun {
		t.Helper()
		return devnet(t, home, file, "--repository", clone, "--build", build, "--binary", "out/node",
			"--baseline", baseline, "--test", test, "--blocks", "3", "--warmup", "0")
	}
	r := run("mkdir out && cp node.sh out/node", "main", "7")
	r.agreed(t, 3)
	m := r.manifest(t)
	if len(m.Sides[0].Commit) != 40 || len(m.Sides[1].Commit) != 40 || m.Sides[0].Commit == m.Sides[1].Commit || m.Behind != 1 {
		t.Errorf("commits %q and %q, %d behind; want two, 1 behind", m.Sides[0].Commit, m.Sides[1].Commit, m.Behind)
	}
	if !strings.Contains(r.stderr, "the test ref lacks 1 of the baseline's commits") {
		t.Errorf("stderr does not say that the pull request is behind:\n%s", r.stderr)
	}
	if r := run("true", "no-such-branch", "; rm -rf ~"); r.status != 2 || !strings.Contains(r.stderr, `has no ref or commit "no-such-branch"`) {
		t.Errorf("a ref that does not exist: status %d, stderr:\n%s", r.status, r.stderr)
	}
	if r := run("seq 50; false", "main", "7"); r.status != 1 || !strings.Contains(r.stderr, " 21\n") || !strings.Contains(r.stderr, " 50\n") {
		t.Errorf("a build that fails: status %d, stderr:\n%s", r.status, r.stderr)
	}
}

// What goes wrong with a program is told with its reason and a cure.
func TestDevnet_failures(t *testing.T) {
	t.Parallel()
	self, dir := verdictItself(t), t.TempDir()
	plain := filepath.Join(dir, "plain")
	foreign := filepath.Join(dir, "foreign")
	for path, mode := range map[string]os.FileMode{plain: 0o644, foreign: 0o755} {
		if err := os.WriteFile(path, []byte("\x7fELF no program"), mode); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	file := func(args ...string) []string {
		return []string{commandFile(t, args...), "--baseline", self, "--test", self}
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   []string
	}{
		{"missing", []string{commandFile(t), "--baseline", self, "--test", dir + "/none"}, 4, []string{"there is no binary " + dir + "/none"}},
		{"not executable", []string{commandFile(t), "--baseline", plain, "--test", self}, 4, []string{"is not executable", "chmod +x"}},
		{"of another machine", []string{commandFile(t), "--baseline", foreign, "--test", self}, 4, []string{"exec format error", "no program for this machine"}},
		{"another program", []string{"--program", "ethrex", "--baseline", "/bin/ls", "--test", "/bin/ls"}, 4, []string{"/bin/ls is not the ethrex", "--authrpc.jwtsecret", "begins with"}},
		{"genesis refused", []string{"--program", "geth", "--baseline", "/bin/false", "--test", "/bin/false"}, 4, []string{"geth init of the baseline side ended: exit status 1"}},
		{"unknown program", []string{"--program", "besu", "--baseline", self, "--test", self}, 2, []string{"has no description: choose ethrex, geth, reth"}},
		{"dies", file("--no-such-flag"), 4, []string{"built-in of the baseline side ended: exit status 2", "unknown flag: --no-such-flag"}},
		{"port taken", file("--http.port", port), 4, []string{"ended: exit status 4", "address already in use"}},
		{"another chain", file("--network", "local-contracts"), 4, []string{"genesis", "{genesis}"}},
		{"no debug", file("--http.api", "eth,net,web3,txpool"), 4, []string{"does not serve debug_executionWitness", "--http.api"}},
		{"secret refused", file("--authrpc.jwtsecret", dir+"/own.hex"), 4, []string{"refuses the secret of its Engine API", "{jwt}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := devnet(t, dir, append(c.args, "--blocks", "1")...)
			if r.status != c.status {
				t.Errorf("exit status %d, want %d", r.status, c.status)
			}
			for _, want := range c.want {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("stderr does not say %q:\n%s", want, r.stderr)
				}
			}
		})
	}
}

// there starts verdict witness --devnet on a host that a real sshd serves.
func there(t *testing.T, fleet *sshdtest.Fleet, blocks string) *localRun {
	t.Helper()
	self := verdictItself(t)
	r := &localRun{t: t, dir: filepath.Join(t.TempDir(), "run")}
	r.cmd = exec.Command("verdict", "witness", commandFile(t, "--network", "{genesis}"), "--host", "away", "--ssh-config", fleet.Config,
		"--baseline", self, "--test", self, "--test-arg", "--precompute-witnesses", "--gas", "1000000", "--settle", "0s",
		"--warmup", "1", "--blocks", blocks, "--seed", "5", "--json", "--out", r.dir)
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

// samplesThere are the samples files of the one run on the host, by side.
func samplesThere(t *testing.T, h *sshdtest.Host) [2][]byte {
	t.Helper()
	var files [2][]byte
	for i, side := range []string{"baseline", "test"} {
		found, err := filepath.Glob(filepath.Join(h.Home, ".verdict", "runs", "*", "run", "samples-"+side+".jsonl"))
		if err != nil || len(found) != 1 {
			t.Fatalf("samples of the %s side: %v, %v", side, found, err)
		}
		if files[i], err = os.ReadFile(found[0]); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// fetched checks that the samples here are those there, byte for byte.
func fetched(t *testing.T, dir string, h *sshdtest.Host) {
	t.Helper()
	for i, want := range samplesThere(t, h) {
		name := []string{"samples-baseline.jsonl", "samples-test.jsonl"}[i]
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes here, %v, %d there", name, len(got), err, len(want))
		}
	}
}

// A devnet run on another host goes on when the process that follows it is
// killed, and is taken up again without losing a sample.
func TestDevnet_awayKilledAndResumed(t *testing.T) {
	t.Parallel()
	fleet := sshdtest.Start(t, "away")
	r := there(t, fleet, "30")
	r.measured(2)
	r.cmd.Process.Kill()
	r.wait()
	cmd := exec.Command("verdict", "witness", "--resume", r.dir, "--ssh-config", fleet.Config, "--json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, _ := cmd.Output()
	d := devnetRun{dir: r.dir, stderr: stderr.String(), status: cmd.ProcessState.ExitCode()}
	if err := json.Unmarshal(out, &d.result); err != nil {
		t.Fatalf("status %d, stdout %q: %v; stderr:\n%s", d.status, out, err, d.stderr)
	}
	d.agreed(t, 30)
	fetched(t, r.dir, fleet.Host("away"))
	m := d.manifest(t)
	if m.State != store.Complete || m.Sides[0].Host != "away" || !strings.Contains(m.Sides[0].Version, "verdict") {
		t.Errorf("manifest %+v", m)
	}
	if pids := d.pids(t); len(pids) < 3 || !gone(pids) {
		t.Errorf("of %v some still run", pids)
	}
	if log, err := os.ReadFile(filepath.Join(r.dir, "logs", "test.log")); err != nil || !bytes.Contains(log, []byte("ready")) {
		t.Errorf("the log of the test side, %v:\n%s", err, log)
	}
}

// An interrupt here ends the run there: its programs are stopped, and what it
// measured is fetched.
func TestDevnet_awayInterrupted(t *testing.T) {
	t.Parallel()
	fleet := sshdtest.Start(t, "away")
	r := there(t, fleet, "1000")
	r.measured(3)
	r.cmd.Process.Signal(os.Interrupt)
	if status := r.wait(); status != 130 {
		t.Errorf("exit status %d; stderr:\n%s", status, r.stderr.String())
	}
	d := devnetRun{dir: r.dir}
	if m := d.manifest(t); m.State != store.Incomplete || !strings.Contains(m.Reason, "interrupt") {
		t.Errorf("manifest says %s: %s", m.State, m.Reason)
	}
	fetched(t, r.dir, fleet.Host("away"))
	if pids := d.pids(t); len(pids) < 3 || !gone(pids) {
		t.Errorf("of %v some still run", pids)
	}
}
