package inspect

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/doctor"
)

// ports finds out who listens at the ports.
func ports(ctx context.Context, wanted doctor.Ports) []doctor.Port {
	out := []doctor.Port{}
	sockets, err := listening()
	var holders map[uint64]int
	if err == nil {
		holders = socketHolders()
	}
	for _, w := range wanted.List() {
		p := doctor.Port{Name: w.Name, Port: w.Port}
		if err != nil {
			dial(ctx, &p)
			out = append(out, p)
			continue
		}
		for _, s := range sockets {
			if s.address.Port() != w.Port {
				continue
			}
			p.Listening = true
			p.Addresses = append(p.Addresses, s.address.Addr().String())
			if pid, ok := holders[s.inode]; ok && p.Process == nil {
				process := readProcess(pid)
				p.Process = &process
			}
		}
		slices.Sort(p.Addresses)
		p.Addresses = slices.Compact(p.Addresses)
		if p.Listening && p.Process == nil {
			p.Problem = "it belongs to another user, or to another container"
		}
		out = append(out, p)
	}
	return out
}

// dial is how a port is looked at where the system does not tell who listens.
func dial(ctx context.Context, p *doctor.Port) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p.Port))))
	switch {
	case err == nil:
		conn.Close()
		p.Listening, p.Problem = true, notHere()
	case !errors.Is(err, syscall.ECONNREFUSED):
		p.Problem = reason(err)
	}
}

// socket is a listening TCP socket.
type socket struct {
	address netip.AddrPort
	inode   uint64
}

// listening lists the listening TCP sockets of this network namespace.
func listening() ([]socket, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New(notHere())
	}
	raw, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	six, err := os.ReadFile("/proc/net/tcp6")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // which a kernel without IPv6 lacks
		return nil, err
	}
	return append(parseSockets(string(raw)), parseSockets(string(six))...), nil
}

// parseSockets reads the table of /proc/net/tcp or tcp6 and keeps what listens.
// Rows that make no sense are passed over.
func parseSockets(table string) []socket {
	const listen = "0A"
	var out []socket
	for row := range strings.Lines(table) {
		fields := strings.Fields(row)
		if len(fields) < 10 || fields[3] != listen {
			continue
		}
		address, ok := parseAddress(fields[1])
		inode, err := strconv.ParseUint(fields[9], 10, 64)
		if ok && err == nil {
			out = append(out, socket{address, inode})
		}
	}
	return out
}

// parseAddress reads the hexadecimal form ADDRESS:PORT, in which each word of
// four bytes of the address has the byte order of the machine: little-endian
// wherever this program runs.
func parseAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	n, err := strconv.ParseUint(port, 16, 16)
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), ok && err == nil
}

// socketHolders maps the inodes of sockets to the processes that have them
// open, as far as this user may see.
func socketHolders() map[uint64]int {
	out := map[uint64]int{}
	for _, pid := range processes() {
		dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // gone, or another user's
		}
		for _, entry := range entries {
			target, err := os.Readlink(filepath.Join(dir, entry.Name()))
			if err != nil {
				continue
			}
			number, ok := strings.CutPrefix(target, "socket:[")
			inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
			if !ok || err != nil {
				continue
			}
			// A socket is inherited by children; the oldest is its owner.
			if old, taken := out[inode]; !taken || pid < old {
				out[inode] = pid
			}
		}
	}
	return out
}

// processes lists the pids of this machine.
func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// replaced is what the kernel adds to the path of a program whose file was
// removed or replaced while it runs.
const replaced = " (deleted)"

// readProcess describes a process.
func readProcess(pid int) doctor.Process {
	p := doctor.Process{PID: pid, UID: -1}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if info, err := os.Stat(dir); err == nil {
		p.UID = owner(info)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "stat")); err == nil {
		if p.StartTime = startTime(string(raw)); p.StartTime != "" {
			p.Started = started(p.StartTime)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		p.Problem = reason(err)
		return p
	}
	if text := strings.TrimSuffix(string(raw), "\x00"); text != "" {
		p.Argv = redactArgs(strings.Split(text, "\x00"))
	}
	if p.Exe, err = os.Readlink(filepath.Join(dir, "exe")); err != nil {
		p.Problem = "its file and log are not shown: " + reason(err)
		return p
	}
	p.Exe, p.Replaced = strings.CutSuffix(p.Exe, replaced)
	p.WorkDir, _ = os.Readlink(filepath.Join(dir, "cwd")) // shown when it can be
	stdout := filepath.Join(dir, "fd", "1")
	if info, err := os.Stat(stdout); err == nil && info.Mode().IsRegular() {
		target, _ := os.Readlink(stdout) // it was there a moment ago
		p.Log, p.LogDeleted = strings.CutSuffix(target, replaced)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil {
		p.Env = environment(string(raw))
	}
	return p
}

// environment picks the variables that matter; all others stay where they are.
func environment(text string) map[string]string {
	var out map[string]string
	for entry := range strings.SplitSeq(text, "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		if name != "RUST_LOG" && name != "ETHREX_PRECOMPUTE_WITNESSES" {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = line(redactText(value))
	}
	return out
}

// startTime is field 22 of /proc/PID/stat, in clock ticks since boot.
func startTime(stat string) string {
	// The name, in parentheses, may itself hold blanks and parentheses.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const field = 22 - 3 // the first behind the name is field 3
	if len(fields) <= field {
		return ""
	}
	return fields[field]
}

// started is a start time as a time of day; zero when it cannot be told.
func started(ticks string) time.Time {
	const ticksPerSecond = 100 // what Linux tells programs, on all machines
	n, err := strconv.ParseInt(ticks, 10, 64)
	raw, readErr := os.ReadFile("/proc/stat")
	if err != nil || readErr != nil {
		return time.Time{}
	}
	for row := range strings.Lines(string(raw)) {
		if text, ok := strings.CutPrefix(row, "btime "); ok {
			boot, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil {
				return time.Time{}
			}
			return time.Unix(boot, 0).Add(time.Duration(n) * time.Second / ticksPerSecond).UTC()
		}
	}
	return time.Time{}
}

// replay looks for ethrex-replay and for the lines that it left.
func replay(log string) doctor.Replay {
	var r doctor.Replay
	for _, pid := range processes() {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err == nil && filepath.Base(strings.TrimSuffix(exe, replaced)) == "ethrex-replay" {
			r.Processes = append(r.Processes, readProcess(pid))
		}
	}
	if log == "" {
		return r
	}
	r.Log = &doctor.LogFile{Path: log}
	info, err := os.Stat(expand(log))
	switch {
	case err == nil:
		r.Log.Exists, r.Log.Bytes, r.Log.Modified = true, info.Size(), info.ModTime().UTC()
	case !errors.Is(err, os.ErrNotExist):
		r.Log.Problem = reason(err)
	}
	return r
}
