package doctor

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/shell"
)

const (
	// clockLimit is by how much clocks may differ before it shows in what is
	// compared between machines, clockFailure by how much they may at all.
	clockLimit   = 2 * time.Second
	clockFailure = 30 * time.Second

	// A witness of a large block takes hundreds of megabytes to make and to
	// take in; below this the machine starts to swap.
	enoughMemory = 2 * gb
	scarceMemory = gb / 2
	muchSwap     = 256 << 20

	// A release build of an execution client takes several gigabytes.
	buildDisk, enoughBuildDisk = 5 * gb, 20 * gb
	// What samples, logs and the program itself take.
	ownDisk, enoughOwnDisk = gb, 5 * gb
	// A database that follows the head grows.
	syncedDisk, enoughSyncedDisk = gb, 20 * gb
)

// Server judges one machine. What e leaves open and is known of its network
// counts as expected, too.
func Server(s Subject, e Expect) []Finding {
	e.Follow(e.Network)
	f := judge{findings: findings{subject: &s}, Expect: e, facts: &s.Facts}
	f.system()
	f.governor()
	f.memory()
	f.load()
	f.clock()
	for i := range s.Facts.Disks {
		f.disk(&s.Facts.Disks[i])
	}
	for i := range s.Facts.Tools {
		f.tool(&s.Facts.Tools[i])
	}
	for i := range s.Facts.Repositories {
		f.repository(&s.Facts.Repositories[i])
	}
	f.jwt()
	f.sessions()
	f.node()
	f.replay()
	return f.list
}

// judge makes the findings of one machine.
type judge struct {
	findings
	Expect
	facts *Facts
}

// lacking is the level of something that is not there: nothing is lacking where
// nothing is expected.
func (f *judge) lacking() Level {
	if f.State == Any {
		return Note
	}
	return Fail
}

// wrong is the level of something that is there and is not as a benchmark
// needs it.
func (f *judge) wrong() Level {
	if f.State == Any {
		return Warn
	}
	return Fail
}

func (f *judge) system() {
	m := &f.facts.Machine
	seen := []string{strings.TrimSpace(m.OS + "/" + m.Arch + " " + m.Kernel)}
	if m.CPU != "" {
		seen = append(seen, m.CPU)
	}
	seen = append(seen, count(m.CPUs, "CPU"), size(m.MemoryBytes)+" memory")
	f.ok("system", strings.Join(seen, ", "))
	if m.OS != "linux" {
		f.add("os", Warn, m.OS+" does not tell which programs run as Linux does",
			"ports, processes and the flags they were started with are not checked")
	}
	if f.Program == "ethrex" && m.Arch == "amd64" && m.AVX2 != nil && !*m.AVX2 {
		f.add("avx2", f.wrong(), "the processor has no AVX2 instructions",
			"builds of ethrex use them and die of an illegal instruction")
	}
	if f.MinMemoryBytes > 0 && m.MemoryBytes > 0 && m.MemoryBytes < f.MinMemoryBytes*9/10 {
		f.add("memory-size", Warn, size(m.MemoryBytes)+" of memory",
			fmt.Sprintf("a server on %s should have %s", f.Network, size(f.MinMemoryBytes)))
	}
}

func (f *judge) governor() {
	governors := f.facts.Machine.Governors
	switch {
	case len(governors) == 0:
		f.add("governor", Note, "the frequency governor is not known: "+orElse(f.facts.unknown("governor"), "not told"),
			"on a virtual machine its host decides")
	case slices.Equal(governors, []string{"performance"}):
		f.ok("governor", "frequency governor performance")
	default:
		c := f.add("governor", Warn, "frequency governor "+strings.Join(governors, ", "),
			"the speed of the processor follows its load, so that a quiet server is a slow one")
		c.Cure = f.subject.terminal("echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
	}
}

func (f *judge) memory() {
	m := &f.facts.Machine
	seen := fmt.Sprintf("%s of %s memory available, %s swap in use", size(m.AvailableBytes), size(m.MemoryBytes), size(m.SwapUsedBytes))
	look := f.subject.cure("ps -eo pid,rss,args --sort=-rss | head")
	switch {
	case m.AvailableBytes == 0:
		f.add("memory", Note, "the available memory is not known: "+orElse(f.facts.unknown("memory"), "not told"), "")
	case m.AvailableBytes < scarceMemory:
		f.add("memory", f.wrong(), seen, "a large witness alone takes more").Cure = look
	case m.AvailableBytes < enoughMemory:
		f.add("memory", Warn, seen, "a large witness takes hundreds of megabytes; what swaps is slow").Cure = look
	case m.SwapUsedBytes > muchSwap:
		f.add("memory", Warn, seen, "parts of programs are on the disk: what touches them is slow").Cure = look
	default:
		f.ok("memory", seen)
	}
}

func (f *judge) load() {
	m := &f.facts.Machine
	if why := f.facts.unknown("load"); why != "" {
		f.add("load", Note, "the load average is not known: "+why, "")
		return
	}
	seen := fmt.Sprintf("load average %.2f, %.2f, %.2f on %s", m.Load[0], m.Load[1], m.Load[2], count(m.CPUs, "CPU"))
	if m.Load[0] > float64(m.CPUs)/2 {
		f.add("load", Warn, seen, "other work takes the processor from what is measured").Cure =
			f.subject.cure("ps -eo pid,pcpu,args --sort=-pcpu | head")
		return
	}
	f.ok("load", seen)
}

func (f *judge) clock() {
	switch c := &f.facts.Clock; {
	case c.Synchronized == nil:
		f.add("time-service", Note, "whether a time service runs is not known: "+orElse(c.Problem, "not told"), "")
	case !*c.Synchronized:
		f.add("time-service", Warn, "no time service disciplines the clock",
			"the clock drifts, and the age of blocks is wrong by as much").Cure = f.subject.terminal("sudo timedatectl set-ntp true")
	default:
		f.ok("time-service", "the clock is kept by a time service")
	}
	if f.subject.Asked.IsZero() {
		return // the controller's own clock
	}
	offset, uncertainty := f.subject.Offset()
	f.clocks("clock", offset, uncertainty, "the controller's", f.subject.terminal("sudo timedatectl set-ntp true"))
}

// clocks judges how far two clocks are apart.
func (f *findings) clocks(id string, offset, uncertainty time.Duration, other, cure string) {
	seen := fmt.Sprintf("the clock is %s of %s, ± %s", ahead(offset), other, seconds(uncertainty))
	switch apart := max(offset, -offset); {
	case apart-uncertainty > clockFailure:
		f.add(id, Fail, seen, "times of the servers cannot be set against each other, and the age of a head is wrong").Cure = cure
	case apart-uncertainty > clockLimit:
		f.add(id, Warn, seen, "times of the servers are off by as much; latencies are not, they are taken on one monotonic clock").Cure = cure
	case uncertainty > clockLimit:
		f.add(id, Note, seen, "the connection is too slow to tell more")
	default:
		f.ok(id, seen)
	}
}

func ahead(d time.Duration) string {
	if d < 0 {
		return seconds(-d) + " behind"
	}
	return seconds(d) + " ahead"
}

func (f *judge) disk(d *Disk) {
	id := "disk-" + d.For
	if d.Problem != "" {
		f.add(id, Note, "how much room there is at "+d.Path+" is not known: "+d.Problem, "")
		return
	}
	seen := fmt.Sprintf("%s free of %s at %s", size(d.FreeBytes), size(d.TotalBytes), d.Path)
	if d.UsedBytes > 0 {
		atLeast := ""
		if d.AtLeast {
			atLeast = "at least "
		}
		seen += fmt.Sprintf(", which holds %s%s", atLeast, size(d.UsedBytes))
	}
	least, enough, why := f.room(d)
	look := f.subject.cure("df -h " + shell.Path(d.Path))
	switch {
	case d.FreeBytes < least:
		f.add(id, f.wrong(), seen, why+" "+size(least)+" at the least").Cure = look
	case d.FreeBytes < enough:
		f.add(id, Warn, seen, why+" up to "+size(enough)).Cure = look
	default:
		f.ok(id, seen)
	}
}

// room is how much must be free for a directory, how much is enough, and what
// takes it.
func (f *judge) room(d *Disk) (least, enough int64, why string) {
	switch d.For {
	case ForRepository:
		if f.State == Fresh {
			return buildDisk, enoughBuildDisk, "a build takes"
		}
		return 0, 0, ""
	case ForDatadir:
		if f.State == Fresh && f.MinDiskBytes > 0 {
			return max(syncedDisk, f.MinDiskBytes-d.UsedBytes), max(syncedDisk, f.EnoughDiskBytes-d.UsedBytes),
				"beside what is there already, the database of " + f.Network + " takes"
		}
		return syncedDisk, enoughSyncedDisk, "a database that follows the head takes"
	case ForConsensusDatadir:
		return syncedDisk, enoughSyncedDisk, "the consensus client's database takes"
	}
	return ownDisk, enoughOwnDisk, "samples, logs and reports take"
}

func (f *judge) tool(t *Tool) {
	id := "tool-" + path.Base(t.Name)
	level := Note
	if slices.Contains(f.Tools, t.Name) {
		level = f.lacking()
	}
	if t.Path == "" {
		f.missing(t, id, level)
		return
	}
	seen := t.Path
	if t.Version != "" {
		seen += ": " + t.Version
	}
	if t.Problem != "" {
		f.add(id, Note, t.Path+": "+t.Problem, "it is there, and did not tell its version")
		return
	}
	if asks, known := t.Knows[PurgeForce]; known {
		if asks {
			seen += "; its --purge-db asks before it deletes"
		} else {
			seen += "; its --purge-db deletes at once, without asking"
		}
	}
	f.ok(id, seen)
}

// missing tells of a program that is not there.
func (f *judge) missing(t *Tool, id string, level Level) {
	if strings.ContainsRune(t.Name, '/') {
		f.add(id, level, t.Name+": "+orElse(t.Problem, "no program is there that can be executed"), "").Cure =
			f.subject.cure("ls -l " + shell.Path(t.Name))
		return
	}
	c := f.add(id, level, t.Name+": "+orElse(t.Problem, "not in the PATH of a login shell"), "")
	if level != Note {
		c.Means = "the run needs it; a PATH that is set for interactive shells only does not count"
	}
	if t.Name == f.facts.Query.Lighthouse {
		c.Means = strings.TrimPrefix(c.Means+"; its path can be given with --lighthouse", "; ")
	}
	c.Cure = f.subject.cure("bash -lc 'echo $PATH'")
	if slices.Contains([]string{"bash", "git", "tmux"}, t.Name) {
		c.Cure = f.subject.terminal("sudo apt-get install " + shell.Quote(t.Name))
	}
}

func (f *judge) repository(r *Repository) {
	level := Note
	if f.Repositories {
		level = f.lacking()
	}
	if r.Problem != "" {
		c := f.add("repository", level, r.Path+": "+r.Problem, "")
		if level != Note {
			c.Means = "refs are built from this clone, in worktrees of their own"
		}
		if name := path.Base(r.Path); name == "ethrex" || name == "ethrex-replay" {
			c.Cure = f.subject.cure("git clone https://github.com/lambdaclass/" + name + " " + shell.Path(r.Path))
		}
		return
	}
	at := orElse(r.Branch, "no branch")
	seen := fmt.Sprintf("%s: clone of %s, %s at %.12s", r.Path, orElse(r.Origin, "no remote origin"), at, r.Commit)
	if r.Origin == "" {
		f.add("repository", Warn, seen, "refs that are not in the clone yet, such as pull requests, cannot be fetched").Cure =
			f.subject.cure("git -C " + shell.Path(r.Path) + " remote -v")
		return
	}
	if r.Dirty {
		f.add("repository", Note, seen+", with uncommitted changes", "they stay as they are and are in no build: refs are built in worktrees of their own")
		return
	}
	f.ok("repository", seen)
}

func (f *judge) jwt() {
	j := f.facts.JWT
	if j == nil {
		return
	}
	level := Note
	if f.JWT {
		level = f.lacking()
	}
	at := shell.Path(j.Path)
	dir := shell.Path(path.Dir(j.Path))
	switch {
	case !j.Exists:
		f.add("jwt", level, j.Path+" does not exist", "it is the secret that both clients of a server share").Cure =
			f.subject.cure("mkdir -p " + dir + " && (umask 077 && openssl rand -hex 32 > " + at + ")")
	case j.Problem != "":
		f.add("jwt", level, j.Path+": "+j.Problem, "both clients of the server must be able to read it").Cure =
			f.subject.cure("ls -ld " + dir + " " + at)
	case !j.WellFormed:
		f.add("jwt", f.wrong(), j.Path+" does not hold 64 hex digits", "the clients take 32 bytes as 64 hex digits, with or without 0x; a new secret needs both of them restarted").Cure =
			f.subject.cure("(umask 077 && openssl rand -hex 32 > " + at + ".new)")
	default:
		f.ok("jwt", j.Path+" holds 64 hex digits")
	}
	if !j.Exists {
		return
	}
	if mode, err := strconv.ParseUint(j.Mode, 8, 32); err == nil && mode&0o077 != 0 {
		level := Warn
		if mode&0o022 != 0 && f.State != Any {
			level = Fail
		}
		f.add("jwt-mode", level, fmt.Sprintf("%s has mode %s", j.Path, j.Mode),
			"other users of the machine can read the secret, or write it, and with it control the execution client").Cure =
			f.subject.cure("chmod 600 " + at)
	} else if err == nil {
		f.ok("jwt-mode", fmt.Sprintf("%s has mode %s", j.Path, j.Mode))
	}
	if j.OwnerUID >= 0 && j.OwnerUID != f.facts.User.UID {
		f.add("jwt-owner", Warn, fmt.Sprintf("%s belongs to uid %d, and verdict runs as uid %d", j.Path, j.OwnerUID, f.facts.User.UID),
			"programs that are started by this user may not be able to read it").Cure = f.subject.cure("ls -l " + at)
	}
}

func (f *judge) sessions() {
	s := &f.facts.Sessions
	if s.Problem != "" {
		f.add("tmux", Note, "the tmux sessions are not known: "+s.Problem, "")
		return
	}
	for _, name := range f.facts.Query.Sessions {
		i := slices.IndexFunc(s.List, func(x Session) bool { return x.Name == name })
		if i < 0 {
			if f.State == Fresh {
				f.ok("tmux-"+name, "no tmux session "+name+" yet")
			}
			continue
		}
		seen := "there is a tmux session " + name + " already"
		for _, p := range s.List[i].Panes {
			seen += fmt.Sprintf(", %s with pid %d in it", p.Command, p.PID)
		}
		if f.State != Fresh {
			f.add("tmux-"+name, Note, seen, "it is left alone")
			continue
		}
		f.add("tmux-"+name, Fail, seen, "it is somebody's and is left alone: the run needs that name, and the session can have another").Cure =
			f.subject.terminal("tmux attach -t "+shell.Quote("="+name)) + "\n" +
				f.subject.cure("tmux rename-session -t "+shell.Quote("="+name)+" "+shell.Quote(name+"-before"))
	}
}

// count writes a number with its unit.
func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// size writes bytes in decimal units.
func size(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes float64
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if x := float64(n) / unit.bytes; x >= 99.95 {
			return fmt.Sprintf("%.0f %s", x, unit.name)
		} else if x >= 1 {
			return fmt.Sprintf("%.1f %s", x, unit.name)
		}
	}
	if n == 0 {
		return "no"
	}
	return count(int(n), "byte")
}

// seconds writes a duration that is not negative, in the unit that fits.
func seconds(d time.Duration) string {
	whole := func(unit time.Duration, name string) string {
		return strconv.Itoa(int(math.Round(float64(d)/float64(unit)))) + " " + name
	}
	switch {
	case d >= 72*time.Hour:
		return whole(24*time.Hour, "days")
	case d >= 2*time.Hour:
		return whole(time.Hour, "h")
	case d >= 2*time.Minute:
		return whole(time.Minute, "min")
	case d >= 10*time.Second:
		return whole(time.Second, "s")
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
