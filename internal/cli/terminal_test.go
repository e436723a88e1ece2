package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts that need a terminal are skipped without tmux, which is one. Where
// nothing may be skipped it has to be there.
func TestTerminal(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err == nil {
		return
	}
	if os.Getenv("VERDICT_REQUIRE") != "" {
		t.Fatal("tmux is missing: make deps")
	}
	t.Skip("tmux is missing")
}

// terminal runs a program in a terminal, as a person would, and has it talk with
// a conversation:
//
//	terminal CONVERSATION PROGRAM ARGS...
//
// The file CONVERSATION has lines
//
//	expect TEXT           the screen shows the text, or will
//	send TEXT             types, with the escapes of Go: "\r" is Enter
//	press KEY until TEXT  types a key again until the screen shows the text,
//	                      for what may not listen yet
//	refuse TEXT           the screen has not shown the text
//
// and ends when it is over. After the program the screen shows "exit status N".
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal CONVERSATION PROGRAM ARGS...")
	}
	dir, err := os.MkdirTemp("", "tmux")
	ts.Check(err)
	defer os.RemoveAll(dir)
	s := &screen{ts: ts, socket: filepath.Join(dir, "s")}
	// The shell outlives an interrupt and keeps the screen.
	const wrapper = `trap : INT; term=$1; shift; env TERM="$term" "$@"; echo "exit status $?"; while :; do cat; done`
	s.tmux(append([]string{"-f", "/dev/null", "new-session", "-d", "-x", "200", "-y", "40",
		"sh", "-c", wrapper, "sh", ts.Getenv("TERM")}, args[1:]...)...)
	defer s.tmux("kill-server")
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "expect":
			s.await(rest, func() {})
		case "send":
			s.send(rest)
		case "press":
			key, want, _ := strings.Cut(rest, " until ")
			s.await(want, func() { s.send(key) })
		case "refuse":
			if text := s.text(); strings.Contains(text, rest) {
				ts.Fatalf("the screen shows %q:\n%s", rest, text)
			}
		default:
			ts.Fatalf("%q is no line of a conversation", line)
		}
	}
}

// screen is a terminal that tmux keeps.
type screen struct {
	ts     *testscript.TestScript
	socket string
}

func (s *screen) tmux(args ...string) string {
	cmd := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...)
	cmd.Dir = s.ts.Getenv("WORK")
	for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR", "ACCESSIBLE"} {
		cmd.Env = append(cmd.Env, name+"="+s.ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.ts.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// text is what the terminal shows, with what has left it at the top.
func (s *screen) text() string { return s.tmux("capture-pane", "-p", "-J", "-S", "-") }

// await waits until the screen shows want, and does something before each look.
func (s *screen) await(want string, before func()) {
	const limit = 30 * time.Second
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(limit); ; <-again.C {
		before()
		text := s.text()
		if strings.Contains(text, want) {
			return
		}
		if time.Now().After(end) {
			s.ts.Fatalf("the screen does not show %q:\n%s", want, text)
		}
	}
}

// send types a text that is written as in Go.
func (s *screen) send(text string) {
	raw, err := strconv.Unquote(`"` + text + `"`)
	s.ts.Check(err)
	args := []string{"send-keys", "-H"}
	for _, b := range []byte(raw) {
		args = append(args, fmt.Sprintf("%02x", b))
	}
	s.tmux(args...)
}
