package observe

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

const (
	// portPause is the pause between two looks at what listens.
	portPause = 5 * time.Second
	// listenState is the state of a listening socket in /proc/net/tcp.
	listenState = "0A"
)

// machine is what is remembered of the machine between two looks.
type machine struct {
	before ticks
	known  bool
}

// ticks are the times that all cores together spent, since the machine was
// started.
type ticks struct{ busy, all uint64 }

// lookAtMachine writes how busy the machine is. What the system does not tell,
// because it has no /proc, is absent.
func (c *Collector) lookAtMachine() error {
	now := time.Now()
	out := sample.Machine{
		Side: c.options.Side, Host: c.options.Host, Session: c.options.Session,
		At: now.UTC(), OffsetNS: int64(now.Sub(c.start)),
	}
	if raw, err := os.ReadFile("/proc/stat"); err == nil {
		out.CPU = c.machine.share(raw)
	}
	if raw, err := os.ReadFile("/proc/meminfo"); err == nil {
		out.MemoryBytes = memoryInUse(raw)
	}
	if c.gpus != nil {
		out.GPUs = c.gpus.newest(now)
	}
	if err := c.write(sample.Record{Machine: &out}); err != nil {
		return err
	}
	return c.lookAtPort(now)
}

// share is the share of all cores that was busy since the last call, nil at the
// first one and where the text tells nothing.
func (m *machine) share(stat []byte) *float64 {
	now, ok := parseStat(stat)
	before, known := m.before, m.known
	m.before, m.known = now, ok
	// The kernel takes waiting time back at times, so that neither count is
	// sure to grow.
	if !ok || !known || now.all <= before.all {
		return nil
	}
	busy := 0.0
	if now.busy > before.busy {
		busy = min(1, float64(now.busy-before.busy)/float64(now.all-before.all))
	}
	return &busy
}

// parseStat reads the line of all cores in the text of /proc/stat: the times of
// user, nice, system, idle, iowait, irq, softirq and steal. Those of guests,
// which follow, are in user and nice already. A core that waits for a disk is
// idle.
func parseStat(stat []byte) (t ticks, ok bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 5 || string(fields[0]) != "cpu" {
		return ticks{}, false
	}
	for i, field := range fields[1:min(9, len(fields))] {
		n, err := strconv.ParseUint(string(field), 10, 62)
		if err != nil {
			return ticks{}, false
		}
		t.all += n
		if i != 3 && i != 4 {
			t.busy += n
		}
	}
	return t, true
}

// memoryInUse is the memory, in bytes, that could not be given to programs, out
// of the text of /proc/meminfo; nil where that does not tell.
func memoryInUse(meminfo []byte) *int64 {
	total, ok1 := kilobytes(meminfo, "MemTotal:")
	available, ok2 := kilobytes(meminfo, "MemAvailable:")
	if !ok1 || !ok2 || available > total {
		return nil
	}
	used := (total - available) << 10
	return &used
}

// kilobytes reads a line such as "MemTotal:       24684084 kB".
func kilobytes(meminfo []byte, name string) (int64, bool) {
	for line := range bytes.Lines(meminfo) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			return 0, false
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 52)
		return n, err == nil && n >= 0
	}
	return 0, false
}

// lookAtPort notes when nothing listens at the coordinator's port any more. It
// is not connected to: a coordinator takes a connection for a request.
func (c *Collector) lookAtPort(now time.Time) error {
	l := c.logs
	if l.port == 0 || now.Sub(l.looked) < portPause {
		return nil
	}
	l.looked = now
	listening, err := listens(l.port)
	if err != nil {
		return nil // a system without /proc does not tell
	}
	before := l.listening
	l.listening = listening
	if !before || listening {
		return nil
	}
	return c.notice(sample.NoCoordinator, fmt.Sprintf("nothing listens on %s any more", c.options.Coordinator))
}

// listens reports whether anything listens on the TCP port of this machine.
func listens(port uint16) (bool, error) {
	raw, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false, err
	}
	if listensIn(raw, port) {
		return true, nil
	}
	raw, err = os.ReadFile("/proc/net/tcp6")
	return err == nil && listensIn(raw, port), nil // there may be no IPv6
}

// listensIn looks for a listening socket in the text of /proc/net/tcp, whose
// lines are "sl local_address:PORT remote_address:PORT state …", ports in
// hexadecimal.
func listensIn(table []byte, port uint16) bool {
	suffix := fmt.Appendf(nil, ":%04X", port)
	for line := range bytes.Lines(table) {
		fields := bytes.Fields(line)
		if len(fields) > 3 && string(fields[3]) == listenState && bytes.HasSuffix(fields[1], suffix) {
			return true
		}
	}
	return false
}
