package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sshdtest"
)

// bench is a host under test, whose files lie on this machine too.
type bench struct {
	host.Host
	home    string
	profile func(text string)
}

// The same behavior is asked of this machine and of a real sshd.
func TestConformance(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		home := t.TempDir()
		t.Setenv("HOME", home)
		conform(t, bench{host.Local(), home, func(text string) { write(t, filepath.Join(home, ".bash_profile"), text) }})
	})
	t.Run("ssh", func(t *testing.T) {
		fleet := sshdtest.Start(t, "server")
		there := fleet.Host("server")
		conform(t, bench{dial(t, fleet, "server"), there.Home, func(text string) { there.Profile(text) }})
	})
}

func dial(t *testing.T, fleet *sshdtest.Fleet, name string) *host.Machine {
	t.Helper()
	h, err := host.NewSSH(name, host.SSHOptions{Config: fleet.Config, Silence: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return h
}

func conform(t *testing.T, b bench) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, b bench)
	}{
		{"exit status", exitStatus},
		{"stderr", lastOfStderr},
		{"big output", bigOutput},
		{"binary output", binaryOutput},
		{"stdin", stdin},
		{"background", background},
		{"profile", profile},
		{"profile that ends", profileThatEnds},
		{"syntax error", syntaxError},
		{"cancel", cancel},
		{"start, find, stop", startFindStop},
		{"hostile names", hostileNames},
		{"environment", environment},
		{"start twice", startTwice},
		{"concurrent starts", concurrentStarts},
		{"not executable", notExecutable},
		{"recorded status", recordedStatus},
		{"signals reach the program", signals},
		{"stop kills", stopKills},
		{"not the same process", notTheSame},
		{"killed starter", killedStarter},
		{"keeper survives", keeperSurvives},
		{"read from", readFrom},
		{"put", put},
		{"put: cannot write", putCannotWrite},
		{"full disk", fullDisk},
		{"fetch", fetch},
		{"forward", forward},
		{"follow", follow},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.profile("")
			c.test(t, b)
		})
	}
}

func exitStatus(t *testing.T, b bench) {
	for _, status := range []int{0, 1, 3, 127, 255} {
		out, err := b.Run(t.Context(), fmt.Sprintf("echo out\nexit %d", status))
		failed := (*host.ScriptError)(nil)
		switch {
		case status == 0 && (err != nil || string(out) != "out\n"):
			t.Errorf("Run = %q, %v", out, err)
		case status != 0 && (!errors.As(err, &failed) || failed.Exit != status || failed.Host != b.Name()):
			t.Errorf("exit %d: Run = %v, want a ScriptError of it", status, err)
		}
	}
	failed := (*host.ScriptError)(nil)
	if _, err := b.Run(t.Context(), "kill -KILL $BASHPID"); !errors.As(err, &failed) || failed.Exit != 128+9 {
		t.Errorf("a killed script: %v, want a ScriptError with 137", err)
	}
}

func lastOfStderr(t *testing.T, b bench) {
	b.profile("echo noise of the profile >&2\n")
	_, err := b.Run(t.Context(), "for i in {1..100}; do echo line $i >&2; done; exit 2")
	failed := (*host.ScriptError)(nil)
	if !errors.As(err, &failed) || len(failed.Last) != 30 || failed.Last[29] != "line 100" || failed.Last[0] != "line 71" {
		t.Errorf("Run = %v, want lines 71 to 100 of stderr", err)
	}
	_, err = b.Run(t.Context(), "exit 2")
	if !errors.As(err, &failed) || len(failed.Last) != 0 {
		t.Errorf("Run = %v, want no lines: those of the profile are not the script's", err)
	}
}

func bigOutput(t *testing.T, b bench) {
	const size = 10 << 20
	out, err := b.Run(t.Context(), fmt.Sprintf("yes 0123456789 | head -c %d", size))
	want := bytes.Repeat([]byte("0123456789\n"), size/11+1)[:size]
	if err != nil || !bytes.Equal(out, want) {
		t.Errorf("Run = %d bytes, %v, want %d", len(out), err, size)
	}
}

func binaryOutput(t *testing.T, b bench) {
	var want []byte
	for i := range 1 << 16 {
		want = append(want, byte(i), byte(i>>8))
	}
	path := filepath.Join(b.home, "binary")
	write(t, path, string(want))
	out, err := b.Run(t.Context(), "cat ~/binary")
	if err != nil || !bytes.Equal(out, want) {
		t.Errorf("Run = %d bytes, %v, want %d", len(out), err, len(want))
	}
}

// Neither a command that reads nor an odd script can take what belongs to
// another.
func stdin(t *testing.T, b bench) {
	for _, script := range []string{
		"cat\necho end", "read -r line; echo \"$line\"end", "bash\necho end", "ssh-add -h </dev/null >/dev/null 2>&1; head -c 1; echo end",
		"#" + strings.Repeat("x", 200_000) + "\necho end", "cat <<X\nX\necho end", "echo 'ü\xff' >/dev/null; echo end", "echo end\n\xc3",
	} {
		out, err := b.Run(t.Context(), script)
		if got := strings.TrimSpace(string(out)); got != "end" && !strings.Contains(script, "\n\xc3") {
			t.Errorf("Run(%.40q) = %q, %v, want end", script, got, err)
		}
	}
	if _, err := b.Run(t.Context(), "echo a\x00b"); err == nil {
		t.Error("a script with a NUL byte was run")
	}
}

// What a script leaves in the background does not keep Run waiting.
func background(t *testing.T, b bench) {
	out, err := b.Run(t.Context(), "sleep 300 & echo $!")
	pid, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || pid == 0 {
		t.Fatalf("Run = %q, %v", out, err)
	}
	if !running(pid) {
		t.Error("the program in the background was ended")
	}
	syscall.Kill(pid, syscall.SIGKILL)
}

func profile(t *testing.T, b bench) {
	for _, text := range []string{
		"echo welcome", "printf 'no newline'", "printf '\\xff\\x00\\n'", "set -e", "set -eu; cd /", "set -x", "cd /; cd() { echo hijacked; }",
		"trap 'echo bye' EXIT", "IFS=0123456789", "echo early >&2; exec 3>/dev/null", "shopt -s failglob",
		"set -C -o pipefail", "shopt -s expand_aliases; alias pwd=echo", "set -T; trap 'echo step' DEBUG", "readonly TMOUT=1",
	} {
		b.profile(text + "\n")
		script := "false; echo $unset; pwd; yes | head -n 1 >out; echo 12"
		if strings.Contains(text, "TMOUT") {
			script = "sleep 1.5; " + script
		}
		out, err := b.Run(t.Context(), script)
		if want := "\n" + b.home + "\n12\n"; err != nil || string(out) != want {
			t.Errorf("profile %q: Run = %q, %v, want %q", text, out, err, want)
		}
	}
	b.profile("export FOUND=there\n")
	if out, err := b.Run(t.Context(), "echo $FOUND"); string(out) != "there\n" {
		t.Errorf("Run = %q, %v, want what the profile sets", out, err)
	}
}

// A shell that ends before it reads the script was reached: it is not a lost
// connection.
func profileThatEnds(t *testing.T, b bench) {
	for _, text := range []string{"echo closed today >&2; exit 9\n", "exit 0\n", "cat >/dev/null\n"} {
		b.profile(text)
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		_, err := b.Run(ctx, "echo reached")
		end()
		failed := (*host.ScriptError)(nil)
		if !errors.As(err, &failed) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("profile %q: Run = %v, want a ScriptError", text, err)
		}
		if strings.Contains(text, "closed") && !strings.Contains(fmt.Sprint(err), "closed today") {
			t.Errorf("profile %q: Run = %v, want what it said", text, err)
		}
	}
}

func syntaxError(t *testing.T, b bench) {
	failed := (*host.ScriptError)(nil)
	for _, script := range []string{"if true; then", "}", ")", "echo 'open", "fi; echo x"} {
		if out, err := b.Run(t.Context(), script); !errors.As(err, &failed) || len(failed.Last) == 0 {
			t.Errorf("Run(%q) = %q, %v, want a ScriptError that says what is wrong", script, out, err)
		}
	}
}

// A script whose caller gives up ends, and so does what it started.
func cancel(t *testing.T, b bench) {
	ctx, giveUp := context.WithCancel(t.Context())
	file := filepath.Join(b.home, "pids")
	os.Remove(file)
	done := make(chan error)
	go func() {
		_, err := b.Run(ctx, "sleep 300 & echo $BASHPID $! >pids.new; mv pids.new pids; wait")
		done <- err
	}()
	var one, two int
	waitFor(t, "the script to run", func() bool {
		raw, err := os.ReadFile(file)
		fmt.Sscan(string(raw), &one, &two)
		return err == nil && two != 0
	})
	giveUp()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want that it was canceled", err)
	}
	waitFor(t, "the script to end", func() bool { return !running(one) && !running(two) })
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// greeting is what is said at address, nothing when nobody is there.
func greeting(address string) string {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return ""
	}
	defer c.Close()
	buf := make([]byte, 100)
	n, _ := c.Read(buf)
	return string(buf[:n])
}

// running reports whether the process runs; a zombie does not.
func running(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(raw), ") Z ")
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s in vain", what)
		}
	}
}
