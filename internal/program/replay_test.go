package program

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/intake"
)

// replayLog is a log of ethrex-replay with 40 timing lines.
const replayLog = "../intake/testdata/replay-new-format.log"

// supervised is a script that runs with a stand-in for ethrex-replay: one that
// prints a piece of a real log at each start and then does what the test wants.
type supervised struct {
	t      *testing.T
	dir    string
	replay Replay
	cmd    *exec.Cmd
	done   chan error
	output *bytes.Buffer
}

// supervise starts the script. fake is the body of the stand-in, a bash script
// with $n, how many times it was started; a sleep in the supervisor is short.
func supervise(t *testing.T, fake string) *supervised {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "it's a $HOME")
	s := &supervised{t: t, dir: dir, output: new(bytes.Buffer), done: make(chan error, 1), replay: Replay{
		Binary: "~/bin dir/ethrex-replay", Port: 8545,
		Log: "~/logs/replay.log", CacheDir: "~/c;ache", StopFile: "~/stop \"me\"",
	}}
	log, err := filepath.Abs(replayLog)
	if err != nil {
		t.Fatal(err)
	}
	s.write("bin dir/ethrex-replay", fmt.Sprintf(`#!/bin/bash
echo x >>~/starts; n=$(wc -l <~/starts)
echo "$NO_COLOR $RUST_LOG $*" >>~/argv
cache="${@: -1}"; ls -A "$cache" >>~/cached; touch "$cache/left"
log='%s'
`, log)+fake)
	s.write("bin/sleep", "#!/bin/bash\necho \"$1\" >>~/sleeps\nexec /bin/sleep 0.005\n")
	s.cmd = exec.Command("bash", "-s")
	s.cmd.Stdin = strings.NewReader(ReplayScript(s.replay))
	s.cmd.Env = []string{"HOME=" + dir, "PATH=" + dir + "/bin:" + os.Getenv("PATH")}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	go func() { s.done <- s.cmd.Wait() }()
	return s
}

func (s *supervised) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// read returns a file of the server, empty while it is missing.
func (s *supervised) read(name string) string {
	raw, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(raw)
}

func (s *supervised) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s; log:\n%s\noutput:\n%s", what, s.read("logs/replay.log"), s.output)
		}
		select {
		case <-s.t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// end waits for the script, which must have ended its child and left no cache.
func (s *supervised) end() {
	s.t.Helper()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("the script ended with %v\n%s", err, s.output)
		}
	case <-time.After(20 * time.Second):
		s.t.Fatal("the script does not end")
	}
	if left, err := os.ReadDir(filepath.Join(s.dir, "c;ache")); err != nil || len(left) > 0 {
		s.t.Errorf("caches left: %v, %v", left, err)
	}
	var pid int
	if _, err := fmt.Sscan(s.read("pid"), &pid); err == nil && syscall.Kill(pid, 0) == nil {
		s.t.Errorf("process %d is still there", pid)
	}
}

// A replay that dies, in the middle of a line too, is started again, at growing
// intervals, until the stop file is there. Its log holds the measurements, and
// the reader ignores the rest.
func TestReplayScript_restarts(t *testing.T) {
	s := supervise(t, `
case $n in
1) sed -n 1,18p "$log"; exit 1 ;;
2) sed -n 19,24p "$log"; printf '2026-03-06T15:39:06.664819Z DEBUG ethrex_replay::fetcher: Got execution witness for block 24600090 in 01s '; kill -KILL $$ ;;
3) echo 'Error: could not connect' >&2; exit 101 ;;
4) sed -n 28,45p "$log" ;;
*) echo $$ >~/pid; echo running; exec /bin/sleep 1000 ;;
esac`)
	s.until("the fifth start", func() bool { return strings.Contains(s.read("logs/replay.log"), "running") })
	s.write("stop \"me\"", "")
	s.end()
	log := s.read("logs/replay.log")
	for _, want := range []string{
		"\nverdict: ethrex-replay exited with status 1, restarting in 1 s\n",
		"in 01s 0 (cut off)\nverdict: ethrex-replay exited with status 137, restarting in 2 s\n",
		"\nError: could not connect\nverdict: ethrex-replay exited with status 101, restarting in 4 s\n",
		"\nverdict: ethrex-replay exited with status 0, restarting in 8 s\n",
		"\nrunning\nverdict: ethrex-replay was stopped\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
	argv := strings.Split(strings.TrimSpace(s.read("argv")), "\n")
	want := "1 ethrex_replay=debug blocks --endless --rpc-url http://localhost:8545 --cache-level off --cache-dir " + s.dir + "/c;ache/"
	if len(argv) != 5 || !strings.HasPrefix(argv[0], want) || argv[0] == argv[1] {
		t.Errorf("started as %q", argv)
	}
	if cached := s.read("cached"); cached != "" {
		t.Errorf("a cache was not empty: %q", cached)
	}
	series, err := intake.Read("replay.log", strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	if len(series.Values) != 4 || series.Values[0].Block != 24600000 || series.Left(intake.BadDuration) != 1 || len(series.Excluded) != 1 {
		t.Errorf("read %v, excluded %v", series.Values, series.Excluded)
	}
}

func TestReplayScript_signal(t *testing.T) {
	for name, ignore := range map[string]string{"TERM": "exec /bin/sleep 1000", "a replay that ignores it": "trap '' TERM; while :; do /bin/sleep 0.1; done"} {
		t.Run(name, func(t *testing.T) {
			s := supervise(t, "echo $$ >~/pid; echo running; "+ignore)
			s.until("the start", func() bool { return strings.Contains(s.read("logs/replay.log"), "running") })
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.end()
			if log := s.read("logs/replay.log"); !strings.HasSuffix(log, "verdict: ethrex-replay was stopped by a signal\n") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// The pause between two starts grows up to half a minute, and no further.
func TestReplayScript_pauses(t *testing.T) {
	s := supervise(t, "exit 3")
	var pauses []string
	s.until("eight starts", func() bool {
		pauses = nil
		for line := range strings.Lines(s.read("logs/replay.log")) {
			if _, after, ok := strings.Cut(line, "restarting in "); ok {
				pauses = append(pauses, strings.TrimSpace(after))
			}
		}
		return len(pauses) >= 7
	})
	s.write("stop \"me\"", "")
	s.end()
	if got := strings.Join(pauses[:7], " "); got != "1 s 2 s 4 s 8 s 16 s 30 s 30 s" {
		t.Errorf("pauses %s", got)
	}
}

func TestReplayScript_stopped(t *testing.T) {
	s := supervise(t, "exit 0")
	s.write("stop \"me\"", "")
	s.end()
	if n := strings.Count(s.read("starts"), "x"); n > 1 {
		t.Errorf("started %d times", n)
	}
}

func TestReplayScript_noProgram(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("bash", "-s")
	cmd.Stdin = strings.NewReader(ReplayScript(Replay{Binary: "/nonexistent/$(reboot)", Port: 1, Log: dir + "/log", CacheDir: dir + "/c", StopFile: dir + "/s"}))
	out, err := cmd.CombinedOutput()
	if err == nil || string(out) != "/nonexistent/$(reboot) is no program that can be run\n" {
		t.Errorf("%v: %s", err, out)
	}
}
