// Package sshdtest runs real OpenSSH servers for tests: hosts that are reached
// over 127.0.0.2, 127.0.0.3 and so on, each with a home directory, a host key
// and processes of its own. It is for tests alone.
package sshdtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Fleet is hosts that one ssh configuration leads to.
type Fleet struct {
	// Config is the configuration file for ssh -F. It knows the hosts by their
	// names.
	Config string
	// KnownHosts is the file of their keys, Key the private key of the user.
	KnownHosts, Key string

	hosts []*Host
}

// Host is one sshd.
type Host struct {
	// Name is its alias, Home the home directory of those who log in, Address
	// where it listens.
	Name, Home, Address string

	t     testing.TB
	fleet *Fleet
	dir   string

	mu     sync.Mutex
	daemon *exec.Cmd
}

// Start starts a host for each name, and ends all of them, with every process
// that was started there, when the test does. Without sshd the test is skipped,
// and fails where tests may not be skipped.
func Start(t testing.TB, names ...string) *Fleet {
	t.Helper()
	program := sshd(t)
	// The names of sockets in it may be a hundred bytes long.
	dir, err := os.MkdirTemp("/tmp", "sshd-")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &Fleet{Config: filepath.Join(dir, "config"), KnownHosts: filepath.Join(dir, "known_hosts"), Key: filepath.Join(dir, "key")}
	generate(t, f.Key)
	config := "UserKnownHostsFile " + f.KnownHosts + "\nGlobalKnownHostsFile /dev/null\nIdentityFile " + f.Key +
		"\nIdentitiesOnly yes\nIdentityAgent none\n"
	for i, name := range names {
		h := &Host{Name: name, Home: filepath.Join(dir, name, "home"), t: t, fleet: f, dir: filepath.Join(dir, name)}
		h.Address = free(t, fmt.Sprintf("127.0.0.%d", i+2))
		f.hosts = append(f.hosts, h)
		check(t, os.MkdirAll(h.Home, 0o700))
		check(t, os.MkdirAll(filepath.Join(h.dir, "tmux"), 0o700))
		address, port, _ := net.SplitHostPort(h.Address)
		config += fmt.Sprintf("Host %s\n\tHostName %s\n\tPort %s\n", name, address, port)
		h.configure(program)
		h.Profile("")
	}
	check(t, os.WriteFile(f.Config, []byte(config), 0o600))
	f.Remember()
	for _, h := range f.hosts {
		t.Cleanup(h.end)
		h.Start()
	}
	return f
}

// Host is the host of that name.
func (f *Fleet) Host(name string) *Host {
	for _, h := range f.hosts {
		if h.Name == name {
			return h
		}
	}
	panic("sshdtest: no host " + name)
}

// sshd is the path of the server, which executes itself and must know it.
func sshd(t testing.TB) string {
	t.Helper()
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"} {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			if os.Geteuid() == 0 {
				// Of what a service manager makes at boot, it needs this.
				check(t, os.MkdirAll("/run/sshd", 0o755))
			}
			return path
		}
	}
	if os.Getenv("CI") == "true" || os.Getenv("VERDICT_REQUIRE") != "" {
		t.Fatal("no sshd; on Debian: sudo apt-get install openssh-server")
	}
	t.Skip("no sshd; on Debian: sudo apt-get install openssh-server")
	return ""
}

// configure writes what the server is started with.
func (h *Host) configure(program string) {
	generate(h.t, filepath.Join(h.dir, "host_key"))
	public, err := os.ReadFile(h.fleet.Key + ".pub")
	check(h.t, err)
	check(h.t, os.WriteFile(filepath.Join(h.dir, "authorized_keys"), public, 0o600))
	check(h.t, os.WriteFile(filepath.Join(h.dir, "program"), []byte(program), 0o600))
	address, port, _ := net.SplitHostPort(h.Address)
	lines := []string{
		"ListenAddress " + address, "Port " + port,
		"HostKey " + filepath.Join(h.dir, "host_key"),
		"AuthorizedKeysFile " + filepath.Join(h.dir, "authorized_keys"),
		"PidFile none", "StrictModes no", "UsePAM no", "UseDNS no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password", "PermitUserRC no", "PrintMotd no",
		"MaxStartups 100", "LogLevel VERBOSE",
		fmt.Sprintf("SetEnv \"HOME=%s\" \"TMUX_TMPDIR=%s\"", h.Home, filepath.Join(h.dir, "tmux")),
	}
	check(h.t, os.WriteFile(filepath.Join(h.dir, "sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// Profile makes text what a login shell on the host executes first. The
// programs in the folders path are found before all others.
func (h *Host) Profile(text string, path ...string) {
	h.t.Helper()
	for i := len(path) - 1; i >= 0; i-- {
		text = "export PATH='" + path[i] + "':\"$PATH\"\n" + text
	}
	check(h.t, os.WriteFile(filepath.Join(h.Home, ".bash_profile"), []byte(text), 0o600))
}

// Start starts the server and waits until it listens.
func (h *Host) Start() {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	program, err := os.ReadFile(filepath.Join(h.dir, "program"))
	check(h.t, err)
	log := filepath.Join(h.dir, "sshd.log")
	h.daemon = exec.Command(string(program), "-D", "-f", filepath.Join(h.dir, "sshd_config"), "-E", log)
	h.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(h.t, h.daemon.Start())
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", h.Address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log)
			h.t.Fatalf("sshd of %s does not listen: %v\n%s", h.Name, err, said)
		}
	}
}

// Stop ends the server and cuts every connection to it: the host has vanished
// from the network. Programs there run on.
func (h *Host) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.daemon == nil {
		return
	}
	// The connections first, while they are still the server's children.
	serving := h.connections()
	h.daemon.Process.Kill()
	h.daemon.Wait()
	h.daemon = nil
	for _, pid := range serving {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Cut cuts every connection, while the server goes on to accept new ones.
func (h *Host) Cut() { h.signal(syscall.SIGKILL) }

// Freeze makes the host silent without ending a connection, as a broken network
// does, until Thaw.
func (h *Host) Freeze() {
	h.daemon.Process.Signal(syscall.SIGSTOP)
	h.signal(syscall.SIGSTOP)
}

// Thaw ends a Freeze.
func (h *Host) Thaw() {
	h.signal(syscall.SIGCONT)
	h.daemon.Process.Signal(syscall.SIGCONT)
}

func (h *Host) signal(s syscall.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, pid := range h.connections() {
		syscall.Kill(pid, s)
	}
}

// connections are the processes of sshd that serve one connection each: those
// that descend from the server over processes of sshd.
func (h *Host) connections() []int {
	if h.daemon == nil {
		return nil
	}
	parents := make(map[int]int)
	for pid, stat := range processes() {
		if strings.HasPrefix(stat.name, "sshd") {
			parents[pid] = stat.parent
		}
	}
	var found []int
	for pid := range parents {
		for p := parents[pid]; p != 0; p = parents[p] {
			if p == h.daemon.Process.Pid {
				found = append(found, pid)
			}
		}
	}
	return found
}

// ChangeHostKey gives the server another key that the configuration does not
// know, as a new installation does. It takes effect when the server is started
// again.
func (h *Host) ChangeHostKey() {
	h.t.Helper()
	path := filepath.Join(h.dir, "host_key")
	check(h.t, os.Remove(path))
	check(h.t, os.Remove(path+".pub"))
	generate(h.t, path)
}

// Forget removes the keys of all hosts from the file of known ones.
func (f *Fleet) Forget() { check(f.hosts[0].t, os.WriteFile(f.KnownHosts, nil, 0o600)) }

// OtherKey is a private key that no host knows.
func (f *Fleet) OtherKey() string {
	path := filepath.Join(filepath.Dir(f.Key), "other_key")
	if _, err := os.Stat(path); err != nil {
		generate(f.hosts[0].t, path)
	}
	return path
}

// Connections is how many connections to the host there are.
func (h *Host) Connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.connections())
}

// Remember writes down the keys of all hosts.
func (f *Fleet) Remember() {
	var all string
	for _, h := range f.hosts {
		public, err := os.ReadFile(filepath.Join(h.dir, "host_key.pub"))
		check(h.t, err)
		address, port, _ := net.SplitHostPort(h.Address)
		all += fmt.Sprintf("[%s]:%s %s", address, port, public)
	}
	check(f.hosts[0].t, os.WriteFile(f.KnownHosts, []byte(all), 0o600))
}

// end ends the server and what was started on the host, which is known by its
// home directory.
func (h *Host) end() {
	h.Stop()
	mark := "\x00HOME=" + h.Home + "\x00"
	for pid := range processes() {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err == nil && strings.Contains("\x00"+string(environ), mark) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// process is a line of the system's table.
type process struct {
	name   string
	parent int
}

func processes() map[int]process {
	all := make(map[int]process)
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range dirs {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		text := string(raw)
		open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
		var pid, parent int
		var state string
		if _, err := fmt.Sscan(text[:open], &pid); err != nil {
			continue
		}
		if _, err := fmt.Sscan(text[end+1:], &state, &parent); err != nil {
			continue
		}
		all[pid] = process{text[open+1 : end], parent}
	}
	return all
}

// generate makes a key pair.
func generate(t testing.TB, path string) {
	t.Helper()
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}

// free is an address at which nobody listens.
func free(t testing.TB, ip string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatalf("a second loopback address: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
