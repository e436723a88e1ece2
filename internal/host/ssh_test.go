package host_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sshdtest"
)

// started waits until a script has written its pid to the file.
func started(t *testing.T, path string) (pid int) {
	t.Helper()
	waitFor(t, path, func() bool {
		raw, _ := os.ReadFile(path)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(raw)))
		return pid != 0 && strings.HasSuffix(string(raw), "\n")
	})
	return pid
}

// lostAsWell asserts that err is a connection that may come back.
func lostAsWell(t *testing.T, what string, err error) {
	t.Helper()
	if !host.Lost(err) || fault.KindOf(err) != fault.Prerequisite {
		t.Errorf("%s = %v, want a LostError that is not hopeless", what, err)
	}
}

// A connection that breaks while a script runs is no failure of the script, and
// the script does not go on alone.
func TestSSH_cutInRun(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	server, h := fleet.Host("server"), dial(t, fleet, "server")
	result := make(chan error)
	go func() {
		_, err := h.Run(t.Context(), "echo some output; echo $BASHPID >pid; sleep 300")
		result <- err
	}()
	pid := started(t, filepath.Join(server.Home, "pid"))
	server.Cut()
	err := <-result
	lostAsWell(t, "Run", err)
	if want := "connection to server: the connection broke while a script ran"; err == nil || err.Error() != want {
		t.Errorf("Run = %v, want %q", err, want)
	}
	waitFor(t, "the script to end", func() bool { return !running(pid) })
	if out, err := h.Run(t.Context(), "echo again"); err != nil || string(out) != "again\n" {
		t.Errorf("Run after that = %q, %v", out, err)
	}
}

// A file that is sent when the connection breaks does not arrive in part.
func TestSSH_cutInPut(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	server, h := fleet.Host("server"), dial(t, fleet, "server")
	local := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(local, make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(server.Home, "target"), "old")
	result := make(chan error)
	go func() { result <- h.Put(t.Context(), local, "~/target", 0o644) }()
	waitFor(t, "the transfer", func() bool {
		parts, _ := filepath.Glob(filepath.Join(server.Home, "target.verdict-*"))
		return len(parts) == 1
	})
	server.Cut()
	err := <-result
	lostAsWell(t, "Put", err)
	if got, _ := os.ReadFile(filepath.Join(server.Home, "target")); string(got) != "old" {
		t.Errorf("the target is now %d bytes", len(got))
	}
	waitFor(t, "the temporary file to go", func() bool {
		parts, _ := filepath.Glob(filepath.Join(server.Home, "target.verdict-*"))
		return len(parts) == 0
	})
	if err := h.Put(t.Context(), local, "~/target", 0o644); err != nil {
		t.Errorf("Put after that = %v", err)
	}
}

// What was started outlives the connection and this process's interest in it,
// and a Start whose answer was lost can be repeated.
func TestSSH_vanishes(t *testing.T) {
	fleet := sshdtest.Start(t, "baseline-server", "test-server")
	server := fleet.Host("test-server")
	other, h := dial(t, fleet, "baseline-server"), dial(t, fleet, "test-server")
	if out, err := other.Run(t.Context(), "pwd"); string(out) != fleet.Host("baseline-server").Home+"\n" {
		t.Fatalf("the other host: %q, %v", out, err)
	}
	id, err := h.Start(t.Context(), sleeper("program"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	_, _, err = h.Find(t.Context(), "~/run", "program")
	lostAsWell(t, "Find", err)
	if _, err := h.ReadFrom(t.Context(), "~/run/program.log", 0, 10); !host.Lost(err) {
		t.Errorf("ReadFrom = %v, want a LostError", err)
	}
	if _, err := other.Run(t.Context(), "true"); err != nil {
		t.Errorf("the other host: %v", err)
	}
	waits := 0
	err = host.Retry(t.Context(), time.Minute, func(err error, pause time.Duration) {
		lostAsWell(t, "waiting", err)
		if waits++; waits == 1 {
			server.Start()
		}
	}, func(ctx context.Context) error {
		got, err := h.Start(ctx, sleeper("program"))
		if err == nil && got != id {
			t.Errorf("Start = %v, want %v, which runs", got, id)
		}
		return err
	})
	if err != nil || waits == 0 {
		t.Errorf("Retry = %v after %d waits", err, waits)
	}
	if killed, err := h.Stop(t.Context(), id, syscall.SIGTERM, 10*time.Second); err != nil || killed {
		t.Errorf("Stop = %v, %v", killed, err)
	}
}

// A follower gets every byte once, over a host that vanishes.
func TestSSH_follow(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	server, h := fleet.Host("server"), dial(t, fleet, "server")
	path := filepath.Join(server.Home, "samples.jsonl")
	var got, want strings.Builder
	seen := make(chan int, 1000)
	done := errors.New("done")
	result := make(chan error)
	waits := make(chan error, 1000)
	go func() {
		result <- host.Follow(t.Context(), h, "~/samples.jsonl", 0, host.FollowOptions{
			Every: time.Millisecond, Patience: time.Minute,
			Waiting: func(err error, _ time.Duration) { waits <- err },
		}, func(p []byte) error {
			got.Write(p)
			seen <- got.Len()
			if strings.HasSuffix(got.String(), "end\n") {
				return done
			}
			return nil
		})
	}()
	for i := range 30 {
		line := fmt.Sprintf("sample %d\n", i)
		want.WriteString(line)
		appendTo(t, path, line)
		switch i {
		case 5, 6, 7:
			server.Cut()
		case 15:
			server.Stop()
		case 20:
			lostAsWell(t, "waiting", <-waits)
			server.Start()
		}
		for n := 0; n < want.Len() && (i < 15 || i >= 20); {
			n = <-seen
		}
	}
	want.WriteString("end\n")
	appendTo(t, path, "end\n")
	if err := <-result; !errors.Is(err, done) || got.String() != want.String() {
		t.Errorf("Follow = %v with %q", err, got.String())
	}
}

// A connection whose local process was killed leaves a socket that nobody
// answers.
func TestSSH_masterKilled(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	h := dial(t, fleet, "server")
	if err := h.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	sockets, _ := filepath.Glob(filepath.Join(temp, "verdict-ssh-*", "s"))
	if len(sockets) != 1 {
		t.Fatalf("the sockets are %q", sockets)
	}
	said, err := exec.Command("ssh", "-F", fleet.Config, "-S", sockets[0], "-O", "check", "server").CombinedOutput()
	_, number, _ := strings.Cut(string(said), "pid=")
	pid, scan := strconv.Atoi(strings.TrimRight(number, ")\r\n"))
	if err != nil || scan != nil {
		t.Fatalf("ssh -O check said %q, %v", said, err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	waitFor(t, "its end", func() bool { return !running(pid) })
	if out, err := h.Run(t.Context(), "echo again"); err != nil || string(out) != "again\n" {
		t.Errorf("Run after that = %q, %v", out, err)
	}
}

// The first connection may ask, and nothing asks where nobody may answer.
func TestSSH_interactive(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	key := fleet.OtherKey()
	raw, err := os.ReadFile(fleet.Key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, key, string(raw))
	if out, err := exec.Command("ssh-keygen", "-p", "-q", "-N", "the phrase", "-P", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	// A public key beside it would be offered without the phrase.
	os.Remove(key + ".pub")
	config, _ := os.ReadFile(fleet.Config)
	path := filepath.Join(t.TempDir(), "config")
	write(t, path, strings.Replace(string(config), fleet.Key, key, 1))
	ask := filepath.Join(t.TempDir(), "ask")
	write(t, ask, "#!/bin/sh\necho asked >>"+ask+".log\necho the phrase\n")
	os.Chmod(ask, 0o700)
	t.Setenv("SSH_ASKPASS", ask)
	t.Setenv("SSH_ASKPASS_REQUIRE", "force")
	for _, interactive := range []bool{false, true} {
		h, err := host.NewSSH("server", host.SSHOptions{Config: path, Interactive: interactive})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Connect(t.Context())
		lost := (*host.LostError)(nil)
		if refused := errors.As(err, &lost) && lost.Hopeless; refused == interactive {
			t.Errorf("interactive %v: Connect = %v", interactive, err)
		}
		if _, err := os.Stat(ask + ".log"); (err == nil) != interactive {
			t.Errorf("interactive %v: asked: %v", interactive, err == nil)
		}
		if interactive {
			if out, err := h.Run(t.Context(), "echo in"); string(out) != "in\n" {
				t.Errorf("Run = %q, %v", out, err)
			}
			fleet.Host("server").Cut()
			waitFor(t, "the connection to end", func() bool { return fleet.Host("server").Connections() == 0 })
			os.Remove(ask + ".log")
			if _, err := h.Run(t.Context(), "true"); !errors.As(err, &lost) || !lost.Hopeless {
				t.Errorf("Run after the loss = %v, want that it cannot log in again", err)
			}
			if _, err := os.Stat(ask + ".log"); err == nil {
				t.Error("it was asked in the middle of the work")
			}
		}
		h.Close()
	}
}

// A network that swallows everything is noticed by the silence.
func TestSSH_silence(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	server, h := fleet.Host("server"), dial(t, fleet, "server")
	if err := h.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		_, err := h.Run(t.Context(), "echo $BASHPID >pid; sleep 300")
		result <- err
	}()
	started(t, filepath.Join(server.Home, "pid"))
	server.Freeze()
	defer server.Thaw()
	lostAsWell(t, "Run", <-result)
}

func TestSSH_hopeless(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	server := fleet.Host("server")
	config, err := os.ReadFile(fleet.Config)
	if err != nil {
		t.Fatal(err)
	}
	rewritten := func(t *testing.T, text string) string {
		path := filepath.Join(t.TempDir(), "config")
		write(t, path, text)
		return path
	}
	withKey := func(t *testing.T, key string) string {
		return rewritten(t, strings.Replace(string(config), fleet.Key, key, 1))
	}
	for _, c := range []struct {
		name, alias string
		prepare     func(t *testing.T) (config string)
		why, hint   string
	}{
		{"unknown alias", "nowhere.invalid", func(*testing.T) string { return fleet.Config },
			"Could not resolve hostname", "~/.ssh/config"},
		{"unknown host key", "server", func(t *testing.T) string {
			fleet.Forget()
			return fleet.Config
		}, "its host key is not known on this machine", "ssh server"},
		{"changed host key", "server", func(t *testing.T) string {
			fleet.Remember()
			server.Stop()
			server.ChangeHostKey()
			server.Start()
			return fleet.Config
		}, "the host key has changed", "ssh-keygen -R"},
		{"another key", "server", func(t *testing.T) string {
			fleet.Remember()
			return withKey(t, fleet.OtherKey())
		}, "ermission denied", "ssh -o BatchMode=yes server true"},
		{"open key file", "server", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "key")
			raw, _ := os.ReadFile(fleet.Key)
			write(t, path, string(raw))
			os.Chmod(path, 0o644)
			return withKey(t, path)
		}, "can be read by others", "chmod 600"},
		{"bad option", "server", func(t *testing.T) string { return rewritten(t, "NoSuchOption yes\n"+string(config)) },
			"bad configuration option", "ssh -G server"},
		{"no configuration", "server", func(t *testing.T) string { return filepath.Join(t.TempDir(), "missing") },
			"Can't open user config file", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := host.NewSSH(c.alias, host.SSHOptions{Config: c.prepare(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			_, err = h.Run(t.Context(), "true")
			lost := (*host.LostError)(nil)
			if !errors.As(err, &lost) {
				t.Fatalf("Run = %v, want a LostError", err)
			}
			temporary := strings.Contains(lost.Why, "Temporary failure in name resolution")
			if lost.Hopeless == temporary || !strings.Contains(strings.ToLower(lost.Why), strings.ToLower(c.why)) || strings.Contains(lost.Why, "\n") {
				t.Errorf("Why = %q, hopeless %v, want %q", lost.Why, lost.Hopeless, c.why)
			}
			if hints := strings.Join(fault.HintsOf(err), "\n"); !strings.Contains(hints, c.hint) || fault.KindOf(err) != fault.Prerequisite {
				t.Errorf("kind %v, hints %q, want %q", fault.KindOf(err), hints, c.hint)
			}
		})
	}
}

func TestNewSSH_alias(t *testing.T) {
	for _, alias := range []string{"", "-oProxyCommand=id", "a b", "a\nb", "a\x00", "$(id)", "a;b", "a'b", "`id`", "a\tb", "*"} {
		if _, err := host.NewSSH(alias, host.SSHOptions{}); fault.KindOf(err) != fault.Usage || err == nil {
			t.Errorf("NewSSH(%q) = %v, want it refused", alias, err)
		}
	}
	for _, alias := range []string{"server", "root@10.0.0.1", "fe80::1%eth0", "a-b_c.d", "ssh://me@server:22"} {
		if _, err := host.NewSSH(alias, host.SSHOptions{}); err != nil {
			t.Errorf("NewSSH(%q) = %v", alias, err)
		}
	}
}

func TestSSH_noProgram(t *testing.T) {
	h, err := host.NewSSH("server", host.SSHOptions{Program: "no-such-ssh"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_, err = h.Run(t.Context(), "true")
	if fault.KindOf(err) != fault.Prerequisite || len(fault.HintsOf(err)) == 0 || host.Lost(err) {
		t.Errorf("Run = %v, want that ssh is missing", err)
	}
}

// More scripts at once than sshd has sessions for wait their turn.
func TestSSH_manyAtOnce(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	h := dial(t, fleet, "server")
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			out, err := h.Run(t.Context(), fmt.Sprintf("echo %d", i))
			if want := fmt.Sprintf("%d\n", i); err != nil || string(out) != want {
				t.Errorf("Run = %q, %v, want %q", out, err, want)
			}
		})
	}
	all.Wait()
	if n := fleet.Host("server").Connections(); n != 1 {
		t.Errorf("there are %d connections, want one", n)
	}
}

// A forwarded port is there again when the connection is.
func TestSSH_forwardAgain(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	server, h := fleet.Host("server"), dial(t, fleet, "server")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("hello"))
			c.Close()
		}
	})
	defer serving.Wait()
	defer listener.Close()
	local, stop, err := h.Forward(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server.Cut()
	waitFor(t, "the port to close", func() bool { return greeting(local) == "" })
	if err := h.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := greeting(local); got != "hello" {
		t.Errorf("after the connection was made again: %q", got)
	}
	server.Cut()
	if err := stop(); err != nil {
		t.Errorf("stop() without a connection = %v", err)
	}
	if err := h.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := greeting(local); got != "" {
		t.Errorf("after stop: %q", got)
	}
}

// What the user's configuration does for a person must not get in the way.
func TestSSH_usersConfiguration(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	raw, err := os.ReadFile(fleet.Config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, taken, _ := net.SplitHostPort(listener.Addr().String())
	path := filepath.Join(t.TempDir(), "config")
	write(t, path, "RemoteCommand sleep 300\nRequestTTY force\nControlMaster auto\nControlPath "+filepath.Join(t.TempDir(), "mine")+
		"\nLocalForward "+taken+" 127.0.0.1:1\nExitOnForwardFailure yes\nBatchMode no\n"+string(raw))
	h, err := host.NewSSH("server", host.SSHOptions{Config: path})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if out, err := h.Run(t.Context(), "tty; pwd"); err == nil || string(out) != "" {
		// tty fails without a terminal; pwd does not.
		if got := string(out); got != "not a tty\n"+fleet.Host("server").Home+"\n" {
			t.Errorf("Run = %q, %v", got, err)
		}
	}
}

func TestSSH_close(t *testing.T) {
	fleet := sshdtest.Start(t, "server")
	server := fleet.Host("server")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	h, err := host.NewSSH("server", host.SSHOptions{Config: fleet.Config})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), "true"); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	waitFor(t, "the connection to end", func() bool { return server.Connections() == 0 })
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("left is %v", left)
	}
	if _, err := h.Run(t.Context(), "true"); err == nil || host.Lost(err) {
		t.Errorf("Run after Close = %v", err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("Close() again = %v", err)
	}
}

// Whoever gives up while the connection is being made does not wait for it.
func TestSSH_cancelConnect(t *testing.T) {
	// An address that accepts and says nothing.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	config := filepath.Join(t.TempDir(), "config")
	write(t, config, "Host mute\n\tHostName 127.0.0.1\n\tPort "+port+"\n")
	h, err := host.NewSSH("mute", host.SSHOptions{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, giveUp := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- h.Connect(ctx) }()
	c, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	giveUp()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Connect = %v, want canceled", err)
	}
}
