package host

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	// Re-executed as a parent that is going to be killed.
	if argv := os.Getenv("HOST_TEST_PARENT"); argv != "" {
		p, err := NewChildren().Start(Command{Name: "child", Argv: []string{"sleep", "600"}, Log: argv})
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.Itoa(p.PID) + "\n")
		select {}
	}
	os.Exit(m.Run())
}

func start(t *testing.T, argv ...string) *Process {
	t.Helper()
	l := NewChildren()
	t.Cleanup(l.Close)
	p, err := l.Start(Command{Name: "prog", Argv: argv, Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(0) })
	return p
}

func TestProcess_endsByItself(t *testing.T) {
	p := start(t, "sh", "-c", "echo one; echo two >&2; exit 3")
	<-p.Done()
	var exit *ExitError
	if !errors.As(p.Exit(), &exit) {
		t.Fatalf("Exit() = %v, want an ExitError", p.Exit())
	}
	if got, want := exit.Error(), "prog ended: exit status 3; the end of its log:\none\ntwo"; got != want {
		t.Errorf("Exit() = %q, want %q", got, want)
	}
	if err := p.Stop(time.Second); err != nil {
		t.Errorf("Stop of an ended program = %v, want nil", err)
	}
}

func TestProcess_stop(t *testing.T) {
	p := start(t, "sleep", "600")
	if p.StartTime == "" && exists("/proc/self/stat") {
		t.Error("the start time is unknown")
	}
	if err := p.Stop(10 * time.Second); err != nil {
		t.Errorf("Stop() = %v", err)
	}
	if alive(p.PID) {
		t.Errorf("pid %d is still alive", p.PID)
	}
}

func TestProcess_stopKillsWhatIgnoresIt(t *testing.T) {
	p := start(t, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	waitFor(t, func() bool { return len(Tail(p.log, 1)) == 1 })
	err := p.Stop(50 * time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Stop() = %v, want that it was killed", err)
	}
	if alive(p.PID) {
		t.Errorf("pid %d is still alive", p.PID)
	}
}

func TestStart_missingProgram(t *testing.T) {
	l := NewChildren()
	defer l.Close()
	_, err := l.Start(Command{Name: "node", Argv: []string{"/nonexistent/program"}, Log: filepath.Join(t.TempDir(), "log")})
	if err == nil || !strings.HasPrefix(err.Error(), "starting node: ") {
		t.Errorf("Start() = %v, want an error that begins with what was started", err)
	}
}

// A killed parent must not leave its programs running.
func TestStart_parentKilled(t *testing.T) {
	if !exists("/proc/self/stat") {
		t.Skip("the death signal is a Linux feature")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "HOST_TEST_PARENT="+filepath.Join(t.TempDir(), "log"))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid == 0 {
		t.Fatalf("the parent said %q, %v", line, err)
	}
	parent.Process.Signal(syscall.SIGKILL)
	parent.Wait()
	waitFor(t, func() bool { return !alive(pid) })
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, c := range []struct{ content, want string }{
		{"", ""},
		{"a", "a"},
		{"a\nb\nc\n", "b c"},
		{strings.Repeat("x", 10) + "\n" + strings.Repeat("long line\n", 20_000), "long line long line"},
	} {
		os.WriteFile(path, []byte(c.content), 0o600)
		if got := strings.Join(Tail(path, 2), " "); got != c.want {
			t.Errorf("Tail of %d bytes = %q, want %q", len(c.content), got, c.want)
		}
	}
	if got := Tail(path+"-missing", 2); got != nil {
		t.Errorf("Tail of a missing file = %q, want none", got)
	}
}

func TestThisMachine(t *testing.T) {
	f := ThisMachine()
	if f.CPUs < 1 || f.Hostname == "" || f.OS == "" {
		t.Errorf("ThisMachine() = %+v, want CPUs, hostname and OS", f)
	}
	if exists("/proc/meminfo") && f.MemoryBytes <= 0 {
		t.Errorf("memory = %d, want it from /proc/meminfo", f.MemoryBytes)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// alive reports whether the process runs; a zombie that waits for its parent
// does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(raw), ") Z ")
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("waited 10 s in vain")
		}
		time.Sleep(time.Millisecond)
	}
}
