package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// sameMemory is by which part the memory of two machines may differ: the
// system keeps some of it, a little more or less.
const sameMemory = 0.05

// Together judges whether two machines can be compared: a difference between
// them is a difference between the sides.
func Together(a, b Subject) []Finding {
	f := findings{subject: &Subject{Host: a.Host + " and " + b.Host}}
	x, y := &a.Facts.Machine, &b.Facts.Machine
	differ := func(id string, level Level, what, one, other string) {
		switch {
		case one == "" && other == "":
			f.add(id, Note, what+" is not known on both", "")
		case one != other:
			f.add(id, level, fmt.Sprintf("%s differs: %s on %s, %s on %s", what, orElse(one, "unknown"), a.Host, orElse(other, "unknown"), b.Host),
				"the effect of the servers and of the versions cannot be told apart, unless crossover exchanges the builds or an A/A run measures the servers")
		default:
			f.ok(id, what+" is the same: "+one)
		}
	}
	f.machines(&a.Facts, &b.Facts)
	differ("same-cpu", Warn, "the processor", x.CPU, y.CPU)
	differ("same-cpus", Warn, "the number of CPUs", fmt.Sprint(x.CPUs), fmt.Sprint(y.CPUs))
	f.memory(a, b, differ)
	differ("same-kernel", Note, "the kernel", x.Kernel, y.Kernel)
	if len(x.Governors)+len(y.Governors) > 0 {
		differ("same-governor", Warn, "the frequency governor", strings.Join(x.Governors, ", "), strings.Join(y.Governors, ", "))
	}
	f.apart(a, b)
	f.chains(a, b)
	f.commits(a.Facts.Execution, b.Facts.Execution)
	return f.list
}

// machines judges whether the two are one machine under two names.
func (f *findings) machines(x, y *Facts) {
	if x.Machine.BootID == "" || x.Machine.BootID != y.Machine.BootID {
		return
	}
	if why := oneNode(x, y); why != "" {
		f.add("same-machine", Fail, "both are one machine, and "+why,
			"a server would be measured against itself, and reported as two: name two servers, or give the sides ports of their own")
		return
	}
	f.add("same-machine", Warn, "both are one machine", "the two sides take the processor and the disk from each other")
}

// oneNode says why two names of one machine stand for one execution client;
// it is empty when they do not.
func oneNode(x, y *Facts) string {
	p, q := x.port(RPC), y.port(RPC)
	if p == nil || q == nil {
		return ""
	}
	if a, b := p.Process, q.Process; a != nil && b != nil && a.PID == b.PID && a.StartTime == b.StartTime {
		return fmt.Sprintf("JSON-RPC is served by one program, pid %d", a.PID)
	}
	// Containers share the kernel that told the boot id. Each has a host name
	// and ports of its own.
	if p.Listening && p.Port == q.Port && x.Machine.Hostname == y.Machine.Hostname {
		return fmt.Sprintf("JSON-RPC has port %d for both sides", p.Port)
	}
	return ""
}

// commits warns of two clients that are one version.
func (f *findings) commits(x, y *Execution) {
	if x == nil || y == nil {
		return
	}
	a, b := commitsOf(x.ClientVersion), commitsOf(y.ClientVersion)
	if len(a) == 0 || len(b) == 0 {
		return
	}
	// What stands before the commit can be a branch that looks like one.
	one, other := a[len(a)-1], b[len(b)-1]
	if strings.HasPrefix(one, other) || strings.HasPrefix(other, one) {
		f.add("same-commit", Warn, fmt.Sprintf("both servers run commit %.12s: this is an A/A run", one),
			"it measures how far the servers differ, and no change: for one, each side runs its own build")
	}
}

func (f *findings) memory(a, b Subject, differ func(string, Level, string, string, string)) {
	m, n := a.Facts.Machine.MemoryBytes, b.Facts.Machine.MemoryBytes
	if larger := max(m, n); larger > 0 && float64(larger-min(m, n)) <= sameMemory*float64(larger) {
		n = m
	}
	differ("same-memory", Warn, "the memory", known(m), known(n))
}

func known(n int64) string {
	if n == 0 {
		return ""
	}
	return size(n)
}

// apart judges the two clocks against each other, by way of the controller's.
func (f *findings) apart(a, b Subject) {
	one, u := a.Offset()
	other, v := b.Offset()
	cures := slices.DeleteFunc([]string{a.terminal("sudo timedatectl set-ntp true"), b.terminal("sudo timedatectl set-ntp true")},
		func(s string) bool { return s == "" })
	f.clocks("same-clock", other-one, u+v, "that of "+a.Host, strings.Join(slices.Compact(cures), "\n"))
	last := &f.list[len(f.list)-1]
	last.Seen = strings.Replace(last.Seen, "the clock", "the clock of "+b.Host, 1)
}

// chains judges whether both follow the same chain.
func (f *findings) chains(a, b Subject) {
	x, y := a.Facts.Execution, b.Facts.Execution
	if x == nil || y == nil || x.Problem != "" || y.Problem != "" {
		return
	}
	switch {
	case x.ChainID != y.ChainID:
		f.add("same-chain", Fail, fmt.Sprintf("chain %d on %s, chain %d on %s", x.ChainID, a.Host, y.ChainID, b.Host),
			"there is no block that both have")
	case x.Genesis != "" && y.Genesis != "" && x.Genesis != y.Genesis:
		f.add("same-chain", Fail, fmt.Sprintf("chain %d begins with block %s on %s, with %s on %s", x.ChainID, x.Genesis, a.Host, y.Genesis, b.Host),
			"there is no block that both have")
	default:
		f.ok("same-chain", fmt.Sprintf("both follow chain %d", x.ChainID))
	}
	// Seen at different moments, the heads may be some blocks apart.
	const slots = 5
	between := b.Answered.Sub(a.Answered)
	allowed := uint64(slots) + uint64(max(between, -between)/(12*time.Second))
	if ahead := max(x.Head.Number, y.Head.Number) - min(x.Head.Number, y.Head.Number); ahead > allowed {
		f.add("same-head", Warn, fmt.Sprintf("head %d on %s, head %d on %s", x.Head.Number, a.Host, y.Head.Number, b.Host),
			"one server is behind: blocks are paired only when both have measured them")
	}
}
