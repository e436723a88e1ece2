package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
)

// SSHOptions say how a machine is reached. The zero value is what the user's
// own configuration says.
type SSHOptions struct {
	// Config is a configuration file that ssh reads instead of the user's.
	Config string
	// Program is the ssh program; empty is "ssh".
	Program string
	// Interactive lets the first connection ask for a passphrase or a second
	// factor at this process's terminal. Nothing asks later: a connection that
	// has to be made again either needs no answer or fails.
	Interactive bool
	// Silence is how long a host may be silent before the connection counts as
	// lost, in whole seconds, at least 3; 0 is 30 s.
	Silence time.Duration
}

const (
	// connectTimeout bounds the connection attempt, in seconds.
	connectTimeout = 15
	// persist is how long a connection that nobody uses stays open, in
	// seconds. It outlives this process only when that was killed.
	persist = 600
	// maxSessions is how many scripts run at once over one connection; sshd
	// allows ten unless told otherwise.
	maxSessions = 8
	closeLimit  = 5 * time.Second
)

// NewSSH is the machine that "ssh alias" reaches. It connects when it is first
// used, and again whenever the connection was lost.
func NewSSH(alias string, o SSHOptions) (*Machine, error) {
	if err := checkAlias(alias); err != nil {
		return nil, err
	}
	if o.Program == "" {
		o.Program = "ssh"
	}
	if o.Silence == 0 {
		o.Silence = 30 * time.Second
	}
	l := &sshLink{alias: alias, options: o, turn: make(chan struct{}, 1),
		sessions: make(chan struct{}, maxSessions), forwards: make(map[string]bool)}
	return &Machine{name: alias, link: l}, nil
}

// checkAlias refuses what ssh, or a command in the user's configuration that
// gets the name, could take for more than a name.
func checkAlias(alias string) error {
	ok := alias != "" && alias[0] != '-'
	for _, r := range alias {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-._@:%[]/", r))
	}
	if !ok {
		return fault.Newf(fault.Usage, "%q cannot be the name of an ssh host", alias).
			Hint("give the host a plain name in ~/.ssh/config: Host NAME, HostName ...")
	}
	return nil
}

// checkAddress refuses what is not host:port.
func checkAddress(address string) error {
	name, port, err := net.SplitHostPort(address)
	if n, e := strconv.Atoi(port); err != nil || e != nil || n < 1 || n > 65535 ||
		name == "" || checkAlias(name) != nil || strings.ContainsAny(name, "[]/@") {
		return fault.Newf(fault.Usage, "%q is no address of the form host:port", address)
	}
	return nil
}

// sshLink is one connection of the system's ssh, which the commands of all
// scripts share.
type sshLink struct {
	alias   string
	options SSHOptions

	// turn is held while the connection is made or looked at.
	turn   chan struct{}
	dir    string // of the socket; empty before the first connection
	asked  bool   // the interactive connection was tried
	closed bool

	sessions chan struct{}

	mu       sync.Mutex
	forwards map[string]bool // by their specification
}

func (l *sshLink) socket() string { return filepath.Join(l.dir, "s") }

// lock waits for the turn.
func (l *sshLink) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return on(l.alias, ctx.Err())
	}
}

func (l *sshLink) unlock() { <-l.turn }

// command is ssh with options that keep it from asking and from doing what the
// user's configuration has it do for a person.
func (l *sshLink) command(ctx context.Context, args ...string) *exec.Cmd {
	var all []string
	if l.options.Config != "" {
		all = append(all, "-F", l.options.Config)
	}
	const probes = 3
	interval := max(1, int(l.options.Silence/time.Second)/probes)
	all = append(all, "-S", l.socket(), "-T",
		"-o", "StrictHostKeyChecking=yes",
		"-o", "ConnectTimeout="+strconv.Itoa(connectTimeout),
		"-o", "ServerAliveInterval="+strconv.Itoa(interval),
		"-o", "ServerAliveCountMax="+strconv.Itoa(probes),
		"-o", "RemoteCommand=none")
	cmd := exec.CommandContext(ctx, l.options.Program, append(all, args...)...)
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = time.Second
	return cmd
}

// open makes the connection unless it is there.
func (l *sshLink) open(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if l.closed {
		return on(l.alias, errors.New("the connection was closed"))
	}
	if l.alive() {
		return nil
	}
	if err := l.connect(ctx); err != nil {
		return err
	}
	// A port that was taken meanwhile stays closed: those who use it see that.
	for _, f := range l.forwardList() {
		l.control(ctx, "forward", f)
	}
	return nil
}

// alive reports whether somebody answers at the socket.
func (l *sshLink) alive() bool {
	if l.dir == "" {
		return false
	}
	c, err := net.Dial("unix", l.socket())
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// connect starts the master, which goes into the background once it is
// authenticated.
func (l *sshLink) connect(ctx context.Context) error {
	if err := l.makeDir(); err != nil {
		return err
	}
	// Of a master that was killed, the socket is still there.
	os.Remove(l.socket())
	master := []string{"-M", "-N", "-f", "-o", "ControlPersist=" + strconv.Itoa(persist),
		"-o", "ClearAllForwardings=yes"}
	err := l.master(ctx, append(master, "-o", "BatchMode=yes", "--", l.alias), nil)
	var lost *LostError
	if !l.options.Interactive || l.asked || !errors.As(err, &lost) || !strings.Contains(lost.Why, "ermission denied") {
		return err
	}
	l.asked = true
	return l.master(ctx, append(master, "--", l.alias), os.Stdin)
}

// master runs ssh until it is in the background. Its messages go to a file,
// because the background process holds them open; with a terminal they go
// there.
func (l *sshLink) master(ctx context.Context, args []string, terminal *os.File) error {
	cmd := l.command(ctx, args...)
	messages, err := os.Create(filepath.Join(l.dir, "messages"))
	if err != nil {
		return on(l.alias, err)
	}
	defer messages.Close()
	cmd.Stderr = messages
	if terminal != nil {
		// To ask, ssh must belong to the group that has the terminal.
		cmd.Stdin, cmd.Stderr, cmd.SysProcAttr = terminal, os.Stderr, nil
	}
	err = cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return on(l.alias, ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return fault.Newf(fault.Prerequisite, "ssh is needed to reach %s: %w", l.alias, err).
			Hint("sudo apt-get install openssh-client")
	case terminal != nil:
		return lost(l.alias, []string{"permission denied: ssh could not log in, and said why above"})
	}
	return lost(l.alias, Tail(messages.Name(), lastLines))
}

// makeDir makes the directory of the socket. The path of a socket may be about
// a hundred bytes long, and ssh takes some characters for more than themselves.
func (l *sshLink) makeDir() error {
	if l.dir != "" {
		return nil
	}
	temp := os.TempDir()
	if len(temp) > 50 || strings.ContainsAny(temp, "%~$ \"\t") {
		temp = "/tmp"
	}
	dir, err := os.MkdirTemp(temp, "verdict-ssh-")
	if err != nil {
		return on(l.alias, err)
	}
	l.dir = dir
	return nil
}

// shell is a login shell over the connection.
func (l *sshLink) shell(ctx context.Context) (*exec.Cmd, func(), error) {
	select {
	case l.sessions <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, on(l.alias, ctx.Err())
	}
	cmd := l.command(ctx, "-o", "ControlMaster=no", "-o", "BatchMode=yes",
		"-o", "ClearAllForwardings=yes", "--", l.alias, "bash", "-l", "-s")
	return cmd, func() { <-l.sessions }, nil
}

func (l *sshLink) broken(begun bool, exit int, stderr []string) error {
	switch {
	case exit != 255 && exit >= 0 && !begun:
		// ssh did its part: what ended is the shell.
		err := &ScriptError{Host: l.alias, Exit: exit,
			Last: append(stderr, "the login shell ended before it read the script")}
		return fault.Newf(fault.Prerequisite, "%w", err).Hint("ssh %s bash -l -c true", l.alias)
	case begun:
		return lost(l.alias, append(stderr[:0:0], "the connection broke while a script ran"))
	}
	return lost(l.alias, stderr)
}

// forward opens a free local port that leads to address.
func (l *sshLink) forward(ctx context.Context, address string) (string, func() error, error) {
	if err := l.open(ctx); err != nil {
		return "", nil, err
	}
	name, port, _ := net.SplitHostPort(address)
	target := net.JoinHostPort(name, port)
	var err error
	// Between the search for a port and its use somebody else may take it.
	for range 5 {
		var local string
		if local, err = freePort(); err != nil {
			return "", nil, on(l.alias, err)
		}
		spec := local + ":" + target
		if err = l.control(ctx, "forward", spec); err == nil {
			l.mu.Lock()
			l.forwards[spec] = true
			l.mu.Unlock()
			return local, func() error { return l.cancel(spec) }, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return "", nil, fmt.Errorf("forwarding a port to %s: %w", address, err)
}

// cancel closes a forwarded port.
func (l *sshLink) cancel(spec string) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	l.mu.Lock()
	known := l.forwards[spec]
	delete(l.forwards, spec)
	l.mu.Unlock()
	if !known || l.closed || !l.alive() {
		return nil // the port was closed with the connection
	}
	if err := l.control(ctx, "cancel", spec); err != nil && l.alive() {
		return err
	}
	return nil
}

func (l *sshLink) forwardList() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for f := range l.forwards {
		all = append(all, f)
	}
	slices.Sort(all)
	return all
}

// control has the master open or close a port.
func (l *sshLink) control(ctx context.Context, what, spec string) error {
	out, err := l.command(ctx, "-O", what, "-L", spec, "--", l.alias).CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return on(l.alias, ctx.Err())
	}
	return lost(l.alias, strings.Split(strings.TrimSpace(string(out)), "\n"))
}

// close ends the connection and every script that runs over it.
func (l *sshLink) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	l.closed = true
	if l.dir == "" {
		return nil
	}
	var err error
	if l.alive() {
		err = l.command(ctx, "-O", "exit", "--", l.alias).Run()
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
