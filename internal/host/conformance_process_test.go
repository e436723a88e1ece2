package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/host"
)

func startFindStop(t *testing.T, b bench) {
	id, state, err := b.Find(t.Context(), "~/run", "none")
	if err != nil || state.Phase != host.Absent || id.PID != 0 {
		t.Errorf("Find of what was never started = %v, %v, %v", id, state, err)
	}
	id, err = b.Start(t.Context(), host.Program{Dir: "~/run", Name: "one", Argv: []string{"sh", "-c", "echo begun; exec sleep 300"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, state, err := b.Find(t.Context(), "~/run", "one"); err != nil || got != id || state.Phase != host.Running {
		t.Errorf("Find = %v, %v, %v, want %v, running", got, state, err, id)
	}
	if !running(id.PID) {
		t.Errorf("%v does not run", id)
	}
	waitFor(t, "the log", func() bool {
		log, err := b.ReadFrom(t.Context(), "~/run/one.log", 0, 100)
		return err == nil && string(log) == "begun\n"
	})
	if killed, err := b.Stop(t.Context(), id, syscall.SIGTERM, 10*time.Second); err != nil || killed {
		t.Errorf("Stop = %v, %v", killed, err)
	}
	if got, state, err := b.Find(t.Context(), "~/run", "one"); err != nil || got != id || state != (host.State{Phase: host.Ended, Exit: 128 + 15}) {
		t.Errorf("Find = %v, %v, %v, want ended with 143", got, state, err)
	}
	if killed, err := b.Stop(t.Context(), id, syscall.SIGTERM, 0); err != nil || killed {
		t.Errorf("Stop of what has ended = %v, %v", killed, err)
	}
	// What has ended can be started again.
	again, err := b.Start(t.Context(), host.Program{Dir: "~/run", Name: "one", Argv: []string{"true"}})
	if err != nil || again == id {
		t.Fatalf("Start = %v, %v", again, err)
	}
	if _, state, err := b.Find(t.Context(), "~/run", "one"); err != nil || state != (host.State{Phase: host.Ended}) {
		waitFor(t, "the end of true", func() bool {
			_, state, err := b.Find(t.Context(), "~/run", "one")
			return err == nil && state == host.State{Phase: host.Ended}
		})
	}
}

func hostileNames(t *testing.T, b bench) {
	for i, name := range []string{"a b", "it's", `"q"`, "$(touch gotcha)", "`touch gotcha`", "-n", "--", "; touch gotcha", "x\ny", "*", "~", "ü", "\\", "#"} {
		dir := name + "/deep"
		id, err := b.Start(t.Context(), host.Program{Dir: dir, Name: name, WorkDir: dir,
			Argv: []string{"printf", "%s|", name, "$HOME", "-x"}, Env: []string{"A=" + name}})
		if err != nil || id.PID == 0 {
			t.Errorf("%d: Start under %q = %v", i, name, err)
			continue
		}
		want := name + "|$HOME|-x|"
		path := dir + "/" + name + ".log"
		if name == "~" {
			// The home directory, as a shell has it for an argument.
			want = b.home + "|$HOME|-x|"
			path = "~/deep/~.log"
		}
		waitFor(t, "the log of "+name, func() bool {
			log, err := b.ReadFrom(t.Context(), path, 0, 1000)
			return err == nil && string(log) == want
		})
	}
	for _, name := range []string{"", ".", "..", "a/b", "a\x00"} {
		if _, err := b.Start(t.Context(), host.Program{Dir: "~", Name: name, Argv: []string{"true"}}); err == nil {
			t.Errorf("Start as %q was not refused", name)
		}
	}
	filepath.WalkDir(b.home, func(path string, d fs.DirEntry, err error) error {
		if d.Name() == "gotcha" {
			t.Errorf("%s: a name was executed", path)
		}
		return nil
	})
}

func environment(t *testing.T, b bench) {
	b.profile("export FROM_PROFILE=yes\n")
	_, err := b.Start(t.Context(), host.Program{Dir: "~/env", Name: "env", Env: []string{"A=1 $x", "B=~/b"}, WorkDir: "~/env",
		Argv: []string{"bash", "-c", `echo "$FROM_PROFILE $A $B $PWD $VERDICT_KEEPER$VERDICT_PROGRAM$script"; cat; ls -l /proc/self/fd | grep -c "env\.lock"`}})
	if err != nil {
		t.Fatal(err)
	}
	// It does not hold the lock of its start.
	want := "yes 1 $x " + b.home + "/b " + b.home + "/env \n0\n"
	waitFor(t, "the log", func() bool {
		log, err := os.ReadFile(filepath.Join(b.home, "env/env.log"))
		if len(log) >= len(want) && string(log) != want {
			t.Fatalf("the program saw %q, want %q", log, want)
		}
		return err == nil && string(log) == want
	})
	for _, setting := range []string{"A", "=x", "A B=1", "1A=x", "$(id)=1"} {
		if _, err := b.Start(t.Context(), host.Program{Dir: "~/env", Name: "x", Argv: []string{"true"}, Env: []string{setting}}); err == nil {
			t.Errorf("the setting %q was not refused", setting)
		}
	}
}

func sleeper(name string) host.Program {
	return host.Program{Dir: "~/run", Name: name, Argv: []string{"bash", "-c", "echo started; sleep 300"}}
}

func startTwice(t *testing.T, b bench) {
	one, err := b.Start(t.Context(), sleeper("twice"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop(t.Context(), one, syscall.SIGKILL, time.Second)
	if two, err := b.Start(t.Context(), sleeper("twice")); err != nil || two != one {
		t.Errorf("the second Start = %v, %v, want %v", two, err, one)
	}
}

func concurrentStarts(t *testing.T, b bench) {
	ids := make([]host.Identity, 6)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			id, err := b.Start(t.Context(), sleeper("concurrent"))
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	all.Wait()
	defer b.Stop(t.Context(), ids[0], syscall.SIGKILL, time.Second)
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("%v and %v were both started", ids[0], id)
		}
	}
	waitFor(t, "the log", func() bool {
		log, _ := os.ReadFile(filepath.Join(b.home, "run/concurrent.log"))
		return string(log) == "started\n"
	})
}

func notExecutable(t *testing.T, b bench) {
	write(t, filepath.Join(b.home, "text"), "no program")
	os.Chmod(filepath.Join(b.home, "text"), 0o600)
	for _, c := range []struct {
		argv0, workDir, want string
	}{
		{"no-such-program", "", "no-such-program: not found"},
		{"~/text", "", "ermission denied"},
		{"/nonexistent/x", "", "No such file"},
		{"true", "~/nowhere", "No such file"},
	} {
		p := host.Program{Dir: "~/run", Name: "bad", Argv: []string{c.argv0}, WorkDir: c.workDir}
		id, err := b.Start(t.Context(), p)
		failed := (*host.ScriptError)(nil)
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "starting bad: ") {
			t.Errorf("Start(%q) = %v, %v, want that it cannot be executed", c.argv0, id, err)
		}
	}
	if _, err := b.Start(t.Context(), host.Program{Dir: "~/run", Name: "none"}); err == nil {
		t.Error("a program without a name was started")
	}
}

func recordedStatus(t *testing.T, b bench) {
	for _, status := range []int{0, 3, 255} {
		id, err := b.Start(t.Context(), host.Program{Dir: "~/run", Name: "status", Argv: []string{"sh", "-c", "sleep 0.1; exit " + strconv.Itoa(status)}})
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, "its end", func() bool {
			got, state, err := b.Find(t.Context(), "~/run", "status")
			return err == nil && got == id && state == host.State{Phase: host.Ended, Exit: status}
		})
	}
}

// A program gets its signals as if it had been started at a prompt.
func signals(t *testing.T, b bench) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		id, err := b.Start(t.Context(), host.Program{Dir: "~/run", Name: "signals", Argv: []string{"sleep", "300"}})
		if err != nil {
			t.Fatal(err)
		}
		killed, err := b.Stop(t.Context(), id, signal, 10*time.Second)
		_, state, _ := b.Find(t.Context(), "~/run", "signals")
		if killed || err != nil || state.Exit != 128+int(signal) {
			t.Errorf("%v: Stop = %v, %v, and then %v", signal, killed, err, state)
		}
	}
}

func stopKills(t *testing.T, b bench) {
	script := "trap '' TERM INT; sleep 300 & echo $!; while :; do sleep 1; done"
	id, err := b.Start(t.Context(), host.Program{Dir: "~/run", Name: "stubborn", Argv: []string{"bash", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	var child int
	waitFor(t, "its child", func() bool {
		log, _ := os.ReadFile(filepath.Join(b.home, "run/stubborn.log"))
		n, _ := fmt.Sscan(string(log), &child)
		return n == 1
	})
	if killed, err := b.Stop(t.Context(), id, syscall.SIGTERM, 200*time.Millisecond); err != nil || !killed {
		t.Errorf("Stop = %v, %v, want that it was killed", killed, err)
	}
	waitFor(t, "its child to end", func() bool { return !running(child) })
	if _, state, err := b.Find(t.Context(), "~/run", "stubborn"); err != nil || state != (host.State{Phase: host.Ended, Exit: 128 + 9}) {
		t.Errorf("Find = %v, %v, want ended with 137", state, err)
	}
}

// A pid that now belongs to another process is left alone.
func notTheSame(t *testing.T, b bench) {
	id, err := b.Start(t.Context(), sleeper("same"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop(t.Context(), id, syscall.SIGKILL, time.Second)
	later, otherBoot := id, id
	later.StartTime += "1"
	otherBoot.BootID = "00000000-0000-0000-0000-000000000000"
	for _, wrong := range []host.Identity{later, otherBoot} {
		if killed, err := b.Stop(t.Context(), wrong, syscall.SIGKILL, time.Second); err != nil || killed {
			t.Errorf("Stop(%v) = %v, %v", wrong, killed, err)
		}
	}
	for _, none := range []host.Identity{{}, {PID: 1, StartTime: "1", BootID: id.BootID}, {PID: id.PID}, {PID: id.PID, StartTime: "$(id)", BootID: id.BootID}} {
		if _, err := b.Stop(t.Context(), none, syscall.SIGKILL, 0); err == nil {
			t.Errorf("Stop(%+v) was not refused", none)
		}
	}
	if !running(id.PID) {
		t.Fatal("the process was stopped under an identity that is not its own")
	}
	// Nor does a record from before the last boot say that it runs.
	record := filepath.Join(b.home, "run/same.pid")
	write(t, record, fmt.Sprintf("%d %s %s\n", otherBoot.PID, otherBoot.StartTime, otherBoot.BootID))
	if got, state, err := b.Find(t.Context(), "~/run", "same"); err != nil || got != otherBoot || state != (host.State{Phase: host.Ended, Exit: -1}) {
		t.Errorf("Find = %v, %v, %v, want ended, status unknown", got, state, err)
	}
}

// The lock of a starter that was killed does not block the next.
func killedStarter(t *testing.T, b bench) {
	out, err := b.Run(t.Context(), "mkdir -p run; bash -c 'exec 9>run/locked.lock; flock 9; exec sleep 300' >/dev/null 2>&1 & pid=$!; "+
		"while flock -n run/locked.lock true; do sleep 0.01; done; echo $pid")
	holder, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || holder == 0 {
		t.Fatalf("Run = %q, %v", out, err)
	}
	started := make(chan error)
	go func() {
		id, err := b.Start(t.Context(), sleeper("locked"))
		if err == nil {
			_, err = b.Stop(t.Context(), id, syscall.SIGKILL, time.Second)
		}
		started <- err
	}()
	select {
	case err := <-started:
		t.Errorf("Start = %v while another one is under way", err)
	case <-time.After(200 * time.Millisecond):
		syscall.Kill(holder, syscall.SIGKILL)
		if err := <-started; err != nil {
			t.Errorf("Start after that = %v", err)
		}
	}
}

// The keeper outlives what is sent to its group, and records the end.
func keeperSurvives(t *testing.T, b bench) {
	id, err := b.Start(t.Context(), sleeper("kept"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Run(t.Context(), fmt.Sprintf("ps -o ppid= -p %d; ps -o args= -p $(ps -o ppid= -p %d)", id.PID, id.PID))
	var keeper int
	if _, scan := fmt.Sscan(string(out), &keeper); err != nil || scan != nil || strings.Contains(string(out), "started") {
		t.Fatalf("the keeper: %q, %v; it must not look like the program", out, err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		syscall.Kill(-keeper, signal)
		if !running(keeper) || !running(id.PID) {
			t.Fatalf("after %v the keeper or the program has ended", signal)
		}
	}
	b.Stop(t.Context(), id, syscall.SIGTERM, time.Second)
	if _, state, err := b.Find(t.Context(), "~/run", "kept"); err != nil || state.Exit != 128+15 {
		t.Errorf("Find = %v, %v, want 143", state, err)
	}
}
