package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// journal is what the journal of a run says of its steps.
func journal(t *testing.T, dir string) (steps []string, events map[string]int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	events = make(map[string]int)
	for line := range strings.Lines(string(raw)) {
		var e struct{ Step, Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, e.Step)
		events[e.Step+" "+e.Event]++
	}
	return steps, events
}

// planned are the steps of the approved plan of a run.
func planned(t *testing.T, dir string) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Steps []struct{ ID string } }
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, s := range p.Steps {
		ids[s.ID] = true
	}
	return ids
}

// asPlanned makes sure that nothing was done that the plan does not list.
func asPlanned(t *testing.T, dir string) {
	t.Helper()
	plan := planned(t, dir)
	steps, _ := journal(t, dir)
	for _, s := range steps {
		if !plan[s] {
			t.Errorf("the journal has the step %q, which the plan does not list", s)
		}
	}
}

// report is what these tests read of a JSON report.
type report struct {
	State, Verdict, Attribution string
	Pairs                       int
	Parity                      struct{ OK bool }
	Manifest                    struct {
		Reason string
		Sides  []struct{ Host, Ref, Commit, Version string }
	}
}

func parse(t *testing.T, raw string) (r report) {
	t.Helper()
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		t.Fatalf("no report: %v\n%s", err, raw)
	}
	return r
}

// Both variants of the workflow, from two bare servers to a report, and what may
// go wrong on the way.
func TestLive(t *testing.T) {
	t.Parallel()
	f := startFleet(t, cmp.Or(os.Getenv("VERDICT_LIVE_SLOT"), "150ms"))
	f.refusals(t)
	if t.Failed() {
		return
	}
	// First, while the chain is short: its programs are started four times.
	t.Run("crossover", func(t *testing.T) { f.crossover(t) })
	t.Run("fresh", func(t *testing.T) { f.fresh(t) })
	if t.Failed() {
		return
	}
	// The servers are synced now, and runs on them start nothing.
	t.Run("interrupted", func(t *testing.T) { f.interrupted(t) })
	t.Run("stopped", func(t *testing.T) { f.stopped(t) })
	t.Run("disturbed", func(t *testing.T) { f.disturbed(t) })
	t.Run("replay", func(t *testing.T) { f.replay(t) })
	t.Run("killed", func(t *testing.T) { f.killed(t) })
	t.Run("synced and unfit", func(t *testing.T) { f.unfit(t) })
	t.Run("stalled", func(t *testing.T) { f.stalled(t) })
	for i := range aliases {
		if !listens(f.port(i, "rpc")) || !listens(f.port(i, "beacon")) {
			t.Errorf("the programs on %s were stopped by a run that had not started them", aliases[i])
		}
	}
	t.Run("kept", func(t *testing.T) { f.kept(t) })
}

// kept ends what the first run was told to leave running.
func (f *fleet) kept(t *testing.T) {
	r := f.verdict(t, "witness", "--stop", "pr-6157", "--ssh-config", f.Config)
	if r.status != 0 {
		t.Errorf("status %d: %s", r.status, r.stderr)
	}
	asPlanned(t, filepath.Join(f.dir, "pr-6157"))
	f.gone(t)
}

// gone makes sure that no program of a run is left on the servers.
func (f *fleet) gone(t *testing.T) {
	t.Helper()
	for i := range aliases {
		if listens(f.port(i, "rpc")) || listens(f.port(i, "beacon")) {
			t.Errorf("programs on %s still run", aliases[i])
		}
	}
}

// withDatadirs gives the sides of a spec file data directories.
func (f *fleet) withDatadirs(t *testing.T, name string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, alias := range aliases {
		text = strings.Replace(text, "host: "+alias+"\n", "host: "+alias+"\n  datadir: ~/data\n", 1)
	}
	writeFile(t, filepath.Join(f.dir, name), text, 0o644)
}

// crossover has each build on each server, and deletes the database of one
// beforehand, which is approved by name.
func (f *fleet) crossover(t *testing.T) {
	home := f.Host(aliases[1]).Home
	writeFile(t, filepath.Join(home, "data", "old"), "old", 0o644)
	args := f.args("--crossover", "--blocks", "200", "--out", "crossover", "--json", "--clear", "test:execution", "--init", "crossover.yaml")
	if r := f.verdict(t, args...); r.status != 0 {
		t.Fatal(r.stderr)
	}
	f.withDatadirs(t, "crossover.yaml")
	again := []string{"witness", "crossover.yaml", "--no-input", "--ssh-config", f.Config, "--out", "crossover", "--json"}
	if r := f.verdict(t, again...); r.status != 2 || !strings.Contains(r.stderr, "--approve clear-execution-test") {
		t.Errorf("without approval: status %d: %s", r.status, r.stderr)
	}
	r := f.verdict(t, append(again, "--approve", "clear-execution-test")...)
	t.Logf("status %d\n%s", r.status, r.stderr)
	if r.status != 0 {
		t.Fatal("the run failed")
	}
	if _, err := os.Stat(filepath.Join(home, "data", "old")); err == nil {
		t.Error("the old database is still there")
	}
	asPlanned(t, filepath.Join(f.dir, "crossover"))
	_, events := journal(t, filepath.Join(f.dir, "crossover"))
	if events["clear-execution-test approved"] != 1 || events["clear-execution-test done"] != 1 {
		t.Errorf("the journal does not tell of the approval: %v", events)
	}
	for server, side := range []string{"test", "baseline"} {
		raw, err := os.ReadFile(f.remote(t, "crossover", server, "samples-2.jsonl"))
		if first, _, _ := strings.Cut(string(raw), "\n"); err != nil || !strings.Contains(first, `"side":"`+side+`"`) || !strings.Contains(first, `"swapped":true`) {
			t.Errorf("session 2 on %s: %v, %s", aliases[server], err, first)
		}
	}
	got := parse(t, r.stdout)
	if got.State != "complete" || got.Pairs != 200 || strings.Contains(got.Attribution, "server and version") {
		t.Errorf("state %s, %d pairs, attribution %q", got.State, got.Pairs, got.Attribution)
	}
	f.gone(t)
}

// fresh runs the commands of the page about remote servers, on servers on which
// nothing runs yet.
func (f *fleet) fresh(t *testing.T) {
	blocks := setting("VERDICT_LIVE_PACE", 80)
	here := strings.NewReplacer("verdict witness --live", "verdict "+quoted(f.args("--blocks", fmt.Sprint(blocks), "--keep")), "--network hoodi", "", "--test 6157", "",
		"--baseline-host server-1 --test-host server-2", "", "verdict doctor", "verdict doctor --ssh-config "+f.Config, "pr.yaml --out", "pr.yaml --no-input --ssh-config "+f.Config+" --out",
		"--synced", "--synced --blocks 20")
	for _, command := range consoleCommands(t, filepath.Join("..", "docs", remotePage)) {
		cmd := exec.Command("sh", "-c", here.Replace(command))
		cmd.Dir = f.dir
		out, err := cmd.CombinedOutput()
		t.Logf("%s\n%s", command, out)
		var exit *exec.ExitError
		switch few := strings.Contains(command, "--synced") && errors.As(err, &exit) && exit.ExitCode() == 5; {
		case strings.HasPrefix(command, "verdict doctor"), few: // some warnings, and few blocks
		case err != nil:
			t.Fatalf("%s: %v", command, err)
		}
		if strings.Contains(command, "--init") {
			// The databases are there already: what took hours need not be done
			// again.
			f.withDatadirs(t, "pr.yaml")
		}
	}
	asPlanned(t, filepath.Join(f.dir, "pr-6157"))
	asPlanned(t, filepath.Join(f.dir, "again"))
	f.pace(t, "pr-6157", blocks)
	got := parse(t, f.verdict(t, "report", "pr-6157", "--format", "json").stdout)
	if got.State != "complete" || got.Pairs != blocks || !got.Parity.OK {
		t.Errorf("state %s, %d pairs, parity %v", got.State, got.Pairs, got.Parity.OK)
	}
	for i, side := range got.Manifest.Sides {
		if side.Host != aliases[i] || side.Commit != f.commits[i] || !strings.Contains(side.Version, f.commits[i]) {
			t.Errorf("side %d is %+v, want %s at commit %s", i, side, aliases[i], f.commits[i])
		}
	}
	if !strings.Contains(got.Attribution, aliases[0]) || !strings.Contains(got.Attribution, aliases[1]) {
		t.Errorf("the attribution names no servers: %s", got.Attribution)
	}
}

// pace tells how long the measuring took once the programs were ready, beside how
// long the blocks were in coming.
func (f *fleet) pace(t *testing.T, run string, blocks int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.dir, run, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var ready, end time.Time
	for line := range strings.Lines(string(raw)) {
		var e struct {
			Time        time.Time
			Step, Event string
		}
		json.Unmarshal([]byte(line), &e)
		if e.Event == "done" && e.Step == "sync" {
			ready = e.Time
		}
		if e.Event == "done" && e.Step == "report" {
			end = e.Time
		}
	}
	t.Logf("%d blocks are %v; from the programs' being ready to the report it took %v", blocks, time.Duration(blocks)*f.slot, end.Sub(ready).Round(100*time.Millisecond))
}

// replay has ethrex-replay do the measuring, killed once on the way.
func (f *fleet) replay(t *testing.T) {
	c := f.begin(t, f.args("--synced", "--collector", "ethrex-replay", "--blocks", "30", "--json", "--out", "replay")...)
	log := func() string {
		raw, _ := os.ReadFile(filepath.Join(f.dir, "replay", "logs", "replay-test.log"))
		return string(raw)
	}
	eventually(t, time.Minute, func() bool { return strings.Count(log(), "Got execution witness for block") > 5 })
	pids, err := exec.Command("pgrep", "-f", "^/bin/bash ./ethrex-replay").Output()
	if err != nil || syscall.Kill(atoi(strings.Fields(string(pids))[0]), syscall.SIGKILL) != nil {
		t.Fatalf("no ethrex-replay to kill: %v, %s", err, pids)
	}
	status := c.end()
	got := parse(t, c.stdout.String())
	// Thirty pairs are too few for a verdict.
	if status != 5 || got.State != "complete" || got.Pairs < 30 {
		t.Errorf("status %d, state %s, %d pairs", status, got.State, got.Pairs)
	}
	if !strings.Contains(c.stdout.String(), "pairs are blocks of equal number") {
		t.Error("the report does not say how pairs were made")
	}
	again := parse(t, f.verdict(t, "report", "replay", "--format", "json").stdout)
	if again.Verdict != got.Verdict || again.Pairs != got.Pairs {
		t.Errorf("from the stored logs: %q of %d pairs, want %q of %d", again.Verdict, again.Pairs, got.Verdict, got.Pairs)
	}
	if out, err := exec.Command("pgrep", "-f", "^/bin/bash ./ethrex-replay").Output(); err == nil {
		t.Errorf("an ethrex-replay still runs: %s", out)
	}
	asPlanned(t, filepath.Join(f.dir, "replay"))
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// quoted is an argument vector as a shell reads it.
func quoted(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// waitUntil reports whether ok came true in time.
func waitUntil(limit time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// controller is a verdict that was started and is going to be disturbed.
type controller struct {
	cmd    *exec.Cmd
	stderr lockedBuffer
	stdout bytes.Buffer
}

// lockedBuffer can be read while a program writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (f *fleet) begin(t *testing.T, args ...string) *controller {
	t.Helper()
	c := &controller{cmd: exec.Command("verdict", args...)}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = f.dir, &c.stdout, &c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		if t.Failed() {
			t.Log(c.stderr.String())
		}
	})
	return c
}

// end waits for the end and returns the exit status.
func (c *controller) end() int {
	c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

// lines counts the samples of a side that the controller has fetched.
func (f *fleet) lines(run, side string) int {
	raw, _ := os.ReadFile(filepath.Join(f.dir, run, "samples-"+side+".jsonl"))
	return bytes.Count(raw, []byte("\n"))
}

// remote is the file of a run on a server.
func (f *fleet) remote(t *testing.T, run string, server int, name string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(f.Host(aliases[server]).Home, ".verdict", "runs", run+"-*", name))
	if len(found) != 1 {
		t.Fatalf("%s of run %s on %s: %v", name, run, aliases[server], found)
	}
	return found[0]
}

// collectorPID is the process of a run's collector on a server.
func (f *fleet) collectorPID(t *testing.T, run string, server int) int {
	t.Helper()
	raw, err := os.ReadFile(f.remote(t, run, server, "samples-collector.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(raw), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// whole makes sure that a run has exactly what its collectors wrote, each block
// once and, unless a collector was away for long, none left out.
func (f *fleet) whole(t *testing.T, run string, gaps ...bool) {
	t.Helper()
	for i, side := range []string{"baseline", "test"} {
		here, err := os.ReadFile(filepath.Join(f.dir, run, "samples-"+side+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		there, err := os.ReadFile(f.remote(t, run, i, "samples.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(here, there) {
			t.Errorf("%s: %d bytes were fetched, the collector wrote %d", side, len(here), len(there))
		}
		seen := make(map[uint64]bool)
		var last uint64
		for line := range bytes.Lines(here) {
			var r struct{ Sample *struct{ Number uint64 } }
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			if r.Sample == nil {
				continue
			}
			n := r.Sample.Number
			if seen[n] {
				t.Errorf("%s: block %d is there twice", side, n)
			}
			if last != 0 && n != last+1 && len(gaps) == 0 {
				t.Errorf("%s: block %d follows %d", side, n, last)
			}
			seen[n], last = true, n
		}
	}
}

// An interrupt leaves the collectors running and says how to come back.
func (f *fleet) interrupted(t *testing.T) {
	c := f.begin(t, f.args("--synced", "--blocks", "80", "--out", "interrupted")...)
	eventually(t, time.Minute, func() bool { return f.lines("interrupted", "baseline") > 5 })
	c.cmd.Process.Signal(os.Interrupt)
	if status := c.end(); status != 130 || !strings.Contains(c.stderr.String(), "verdict witness --resume interrupted") ||
		!strings.Contains(c.stderr.String(), "verdict witness --stop interrupted") {
		t.Fatalf("status %d: %s", status, c.stderr.String())
	}
	before := f.size(t, "interrupted", 0)
	eventually(t, time.Minute, func() bool { return f.size(t, "interrupted", 0) > before })
	if r := f.verdict(t, "report", "interrupted"); !strings.Contains(r.stdout+r.stderr, "incomplete") && !strings.Contains(r.stdout+r.stderr, "killed or is still going") {
		t.Errorf("a run that goes on looks finished: %s%s", r.stdout, r.stderr)
	}
	r := f.verdict(t, "witness", "--resume", "interrupted", "--ssh-config", f.Config, "--json")
	if got := parse(t, r.stdout); got.State != "complete" || got.Pairs != 80 {
		t.Errorf("status %d, state %s, %d pairs\n%s", r.status, got.State, got.Pairs, r.stderr)
	}
	f.whole(t, "interrupted")
	asPlanned(t, filepath.Join(f.dir, "interrupted"))
	if r := f.verdict(t, "witness", "--resume", "interrupted", "--ssh-config", f.Config); r.status != 2 || !strings.Contains(r.stderr, "is complete") {
		t.Errorf("resuming a complete run: status %d: %s", r.status, r.stderr)
	}
}

// size is the length of the samples file of a run on a server.
func (f *fleet) size(t *testing.T, run string, server int) int64 {
	t.Helper()
	info, err := os.Stat(f.remote(t, run, server, "samples.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// --stop ends the collectors of a run and reports what there is.
func (f *fleet) stopped(t *testing.T) {
	c := f.begin(t, f.args("--synced", "--blocks", "5000", "--out", "stopped")...)
	eventually(t, time.Minute, func() bool { return f.lines("stopped", "test") > 5 })
	if r := f.verdict(t, "witness", "--stop", "stopped", "--ssh-config", f.Config); r.status != 2 || !strings.Contains(r.stderr, "in use by another verdict") {
		t.Errorf("stopping a run that is watched: status %d: %s", r.status, r.stderr)
	}
	c.cmd.Process.Kill()
	c.end()
	r := f.verdict(t, "witness", "--stop", "stopped", "--ssh-config", f.Config, "--json")
	t.Log(r.stderr)
	if got := parse(t, r.stdout); r.status != 0 || got.State != "incomplete" || got.Pairs < 3 {
		t.Errorf("status %d, state %s, %d pairs", r.status, got.State, got.Pairs)
	}
	f.whole(t, "stopped")
	for i := range aliases {
		if err := syscall.Kill(f.collectorPID(t, "stopped", i), 0); err == nil {
			t.Errorf("the collector on %s still runs", aliases[i])
		}
	}
	asPlanned(t, filepath.Join(f.dir, "stopped"))
}

// A collector is killed, connections break, a server vanishes for a while: the
// run goes on and nothing is lost.
func (f *fleet) disturbed(t *testing.T) {
	c := f.begin(t, f.args("--synced", "--blocks", "90", "--patience", "2m", "--json", "--out", "disturbed")...)
	eventually(t, time.Minute, func() bool { return f.lines("disturbed", "test") > 5 })
	if err := syscall.Kill(f.collectorPID(t, "disturbed", 1), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f.Host(aliases[0]).Cut()
	eventually(t, time.Minute, func() bool { return f.lines("disturbed", "baseline") > 20 })
	f.Host(aliases[0]).Stop()
	told := waitUntil(time.Minute, func() bool { return strings.Contains(c.stderr.String(), "trying again") })
	f.Host(aliases[0]).Start()
	if !told {
		t.Error("that the server has vanished was not told")
	}
	if status := c.end(); status != 0 {
		t.Fatalf("status %d", status)
	}
	if !strings.Contains(c.stderr.String(), "server-1 answers again") {
		t.Error("that the server is back was not told")
	}
	if !strings.Contains(c.stderr.String(), "the collector on server-2 has ended") {
		t.Errorf("the death of the collector was not told: %s", c.stderr.String())
	}
	if got := parse(t, c.stdout.String()); got.Pairs != 90 {
		t.Errorf("%d pairs", got.Pairs)
	}
	f.whole(t, "disturbed", true)
	asPlanned(t, filepath.Join(f.dir, "disturbed"))
}

// setting is a number from the environment, for runs that are longer than a test
// should be.
func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// The controller is killed again and again, at moments drawn from a seed.
func (f *fleet) killed(t *testing.T) {
	blocks, kills := setting("VERDICT_LIVE_BLOCKS", 80), setting("VERDICT_LIVE_KILLS", 4)
	rng := rand.New(rand.NewPCG(1, uint64(kills)))
	args := f.args("--synced", "--blocks", fmt.Sprint(blocks), "--json", "--out", "killed")
	length := time.Duration(blocks) * f.slot
	var last *controller
	done := 0
	for {
		last = f.begin(t, args...)
		ended := make(chan struct{})
		go func() { last.end(); close(ended) }()
		wait := time.Duration(rng.Float64() * float64(length) / float64(kills))
		if done == kills {
			wait = time.Hour // to its end
		}
		select {
		case <-ended:
		case <-time.After(wait):
			last.cmd.Process.Kill()
			<-ended
			done++
		}
		if last.cmd.ProcessState.Exited() {
			break
		}
		if _, err := os.Stat(filepath.Join(f.dir, "killed", "state.json")); err != nil {
			// Killed before anything had begun, there is nothing to go on with.
			os.RemoveAll(filepath.Join(f.dir, "killed"))
			continue
		}
		args = []string{"witness", "--resume", "killed", "--ssh-config", f.Config, "--json"}
	}
	if status := last.cmd.ProcessState.ExitCode(); status != 0 {
		t.Fatalf("after %d kills: status %d: %s", done, status, last.stderr.String())
	}
	got := parse(t, last.stdout.String())
	f.whole(t, "killed")
	asPlanned(t, filepath.Join(f.dir, "killed"))
	again := parse(t, f.verdict(t, "report", "killed", "--format", "json").stdout)
	if got.State != "complete" || got.Pairs != blocks || again.Verdict != got.Verdict {
		t.Errorf("state %s, %d pairs, verdict %q, from the stored samples %q", got.State, got.Pairs, got.Verdict, again.Verdict)
	}
	t.Logf("%d kills, %d blocks: %s", done, blocks, got.Verdict)
}

// A head that stands still ends the run, with what was seen.
func (f *fleet) stalled(t *testing.T) {
	c := f.begin(t, f.args("--synced", "--blocks", "500", "--patience", "8s", "--out", "stalled")...)
	eventually(t, time.Minute, func() bool { return f.lines("stalled", "test") > 3 })
	f.distance(t, 1, 1000000)
	defer f.distance(t, 1, 0)
	if status := c.end(); status != 4 || !strings.Contains(c.stderr.String(), "no new block on the test server (server-2)") {
		t.Errorf("status %d: %s", status, c.stderr.String())
	}
	for i := range aliases {
		if err := syscall.Kill(f.collectorPID(t, "stalled", i), 0); err == nil {
			t.Errorf("the collector on %s still runs", aliases[i])
		}
	}
}

// distance holds a server's beacon back.
func (f *fleet) distance(t *testing.T, server int, blocks int) {
	t.Helper()
	url := "http://127.0.0.1:" + f.port(server, "beacon") + "/verdict/v1/sync-distance"
	req, err := http.NewRequest(http.MethodPut, url, strings.NewReader(fmt.Sprintf(`{"distance":%d}`, blocks)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, resp.Status)
	}
}

// refusal is a run that is refused before anything is started.
type refusal struct {
	name   string
	before func()
	args   []string
	status int
	want   []string
	after  func()
}

func (f *fleet) refuse(t *testing.T, list []refusal) {
	for _, test := range list {
		t.Run(test.name, func(t *testing.T) {
			if test.before != nil {
				test.before()
			}
			if test.after != nil {
				defer test.after()
			}
			out := strings.ReplaceAll("refused "+test.name, " ", "-")
			r := f.verdict(t, f.args(append(test.args, "--out", out)...)...)
			if r.status != test.status {
				t.Errorf("status %d, want %d", r.status, test.status)
			}
			for _, want := range test.want {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("does not say %q", want)
				}
			}
			if t.Failed() {
				t.Log(r.stderr)
			}
			if _, err := os.Stat(filepath.Join(f.dir, "canary")); err == nil {
				t.Error("something in the arguments was executed")
			}
		})
	}
}

// refusals are what is wrong before the programs run.
func (f *fleet) refusals(t *testing.T) {
	one, two := f.Host(aliases[0]), f.Host(aliases[1])
	secret := filepath.Join(two.Home, "secrets", "jwt.hex")
	canary := filepath.Join(f.dir, "canary")
	f.refuse(t, []refusal{
		{name: "unknown host", args: []string{"--test-host", "no-such-server"}, status: 4, want: []string{"no-such-server"}},
		{name: "changed host key", before: func() { two.Stop(); two.ChangeHostKey(); two.Start() }, status: 4,
			want: []string{"server-2", "ssh-keygen -R"}, after: f.Remember},
		{name: "key for all to read", before: func() { os.Chmod(f.Key, 0o644) }, status: 4,
			want: []string{"server-1", "private key", "chmod 600"}, after: func() { os.Chmod(f.Key, 0o600) }},
		{name: "secret of another form", before: func() { writeFile(t, secret, "secret\n", 0o600) }, status: 4,
			want: []string{"server-2", "jwt.hex"}, after: func() { writeFile(t, secret, strings.Repeat("5a", 32), 0o600) }},
		{name: "session there", before: func() { f.tmux(t, 1, "new-session", "-d", "-s", "lighthouse", "sleep 600") }, status: 4,
			want: []string{"server-2", "lighthouse"}, after: func() {
				f.tmux(t, 1, "has-session", "-t", "=lighthouse")
				f.tmux(t, 1, "kill-session", "-t", "=lighthouse")
			}},
		{name: "full disk", before: func() {
			one.Profile("ulimit -f 100\n", filepath.Join(one.Home, "bin"))
			os.RemoveAll(filepath.Join(one.Home, ".verdict"))
		}, status: 4,
			want: []string{"server-1"}, after: func() { one.Profile("", filepath.Join(one.Home, "bin")) }},
		{name: "no such ref", args: []string{"--test", "no-such-branch"}, status: 2, want: []string{"no-such-branch", "server-2"}},
		{name: "ref with a command", args: []string{"--test", "; touch " + canary}, status: 2, want: []string{"server-2"}},
		{name: "ref with a substitution", args: []string{"--test", "$(touch " + canary + ")"}, status: 2, want: []string{"server-2"}},
		{name: "ref that is a flag", args: []string{"--test", "--upload-pack=touch " + canary}, status: 2, want: []string{"server-2"}},
		{name: "failing build", args: []string{"--build", "echo one; echo the reason >&2; exit 9"}, status: 1, want: []string{"the reason"}},
		{name: "path with quotes", args: []string{"--repository", `~/it's "ethrex" $(touch ` + canary + ")"}, status: 4, want: []string{`it's "ethrex"`}},
	})
}

// unfit is what is wrong with servers that are said to be synced.
func (f *fleet) unfit(t *testing.T) {
	other := filepath.Join(f.Host(aliases[1]).Home, "secrets", "other.hex")
	f.refuse(t, []refusal{
		{name: "another secret", before: func() {
			writeFile(t, other, strings.Repeat("77", 32), 0o600)
			writeFile(t, strings.Replace(other, aliases[1], aliases[0], 1), strings.Repeat("77", 32), 0o600)
		}, args: []string{"--synced", "--jwt", "~/secrets/other.hex"}, status: 4, want: []string{"refuses the secret"}},
		{name: "another network", args: []string{"--synced", "--network", "hoodi"}, status: 4, want: []string{"hoodi"}},
		{name: "ports that are taken", status: 4, want: []string{f.port(0, "rpc"), f.port(1, "rpc")}},
	})
}

// tmux runs a command of tmux on a server.
func (f *fleet) tmux(t *testing.T, server int, args ...string) {
	t.Helper()
	cmd := exec.Command("ssh", append([]string{"-F", f.Config, aliases[server], "tmux"}, args...)...)
	for i := range args {
		cmd.Args[len(cmd.Args)-len(args)+i] = "'" + args[i] + "'"
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
}
