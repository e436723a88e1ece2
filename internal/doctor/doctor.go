// Package doctor judges machines: whether a benchmark can run on them, and
// whether two of them can be compared. What a machine is like is a value,
// Facts, that package inspect collects there; what is wanted of it is another,
// Expect. The findings follow from the two alone, so that they can be made
// here, again and elsewhere from what was stored.
package doctor

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
)

// Level says how much a finding matters.
type Level string

// The levels, from good to bad.
const (
	// OK: as it has to be.
	OK Level = "ok"
	// Note: worth knowing; nothing has to be done.
	Note Level = "note"
	// Warn: the benchmark runs, and its numbers may suffer.
	Warn Level = "warn"
	// Fail: the benchmark would not run, or would measure something else.
	Fail Level = "fail"
)

// Levels lists the levels from good to bad.
var Levels = [4]Level{OK, Note, Warn, Fail}

// Finding is one check and its outcome.
type Finding struct {
	// ID names the check; it is the same on every host and in every version.
	ID string `json:"id"`
	// Host is where it was made; two names with " and " between for one that
	// compares. Side is the side that the host has in the benchmark, if any.
	Host  string      `json:"host"`
	Side  sample.Side `json:"side,omitempty"`
	Level Level       `json:"level"`
	// Seen is what was found, Means what follows from it, Cure the commands to
	// paste, one a line. Only Seen is set in every finding.
	Seen  string `json:"seen"`
	Means string `json:"means,omitempty"`
	Cure  string `json:"cure,omitempty"`
}

// Subject is one machine as it was seen from the controller.
type Subject struct {
	// Host is how people speak of it: an ssh alias, or localhost.
	Host string
	// Side is the side that it has in the benchmark, empty for none.
	Side sample.Side
	// Reach is the command that a cure for this machine begins with, as in ssh
	// and the alias; empty for the controller itself.
	Reach []string
	Facts Facts
	// Asked and Answered are the controller's clock before the facts were
	// asked for and after they came; zero for the controller's own facts.
	Asked, Answered time.Time
}

// Offset is by how much the machine's clock is ahead of the controller's, and
// how far the truth may lie to either side of that: half the time that the
// question and the answer took on their way. It is zero for the controller.
func (s *Subject) Offset() (offset, uncertainty time.Duration) {
	if s.Asked.IsZero() {
		return 0, 0
	}
	ahead := s.Facts.Began.Sub(s.Asked)     // the offset and the way there
	behind := s.Facts.Ended.Sub(s.Answered) // the offset less the way back
	return (ahead + behind) / 2, max(0, ahead-behind) / 2
}

// cure is a command for the subject's machine that can be pasted at the
// controller. Command is a script; its values are quoted already.
func (s *Subject) cure(command string) string {
	if len(s.Reach) == 0 {
		return command
	}
	return shell.Join(s.Reach...) + " " + shell.Quote(command)
}

// terminal is the same for a command that needs a terminal.
func (s *Subject) terminal(command string) string {
	if len(s.Reach) == 0 {
		return command
	}
	reach := append([]string{s.Reach[0], "-t"}, s.Reach[1:]...)
	return shell.Join(reach...) + " " + shell.Quote(command)
}

// findings collects what is found about one subject.
type findings struct {
	subject *Subject
	list    []Finding
}

// add appends a finding and returns it, so that a cure can be given. The result
// is valid until the next one is added.
func (f *findings) add(id string, level Level, seen, means string) *Finding {
	f.list = append(f.list, Finding{ID: id, Host: f.subject.Host, Side: f.subject.Side, Level: level, Seen: seen, Means: means})
	return &f.list[len(f.list)-1]
}

func (f *findings) ok(id, seen string) { f.add(id, OK, seen, "") }

// Reached is the finding that the machine answered.
func Reached(s Subject, how string) Finding {
	return Finding{ID: "ssh", Host: s.Host, Side: s.Side, Level: OK, Seen: how}
}

// Unreachable is the finding of a machine of which nothing is known, for the
// reason why. Advice says what to do about it in words, cures are commands.
func Unreachable(s Subject, why string, advice, cures []string) Finding {
	f := Finding{ID: "ssh", Host: s.Host, Side: s.Side, Level: Fail, Seen: why,
		Means: means("nothing is known of this machine: the checks on it were not made", advice),
		Cure:  strings.Join(cures, "\n")}
	if f.Cure == "" && len(s.Reach) > 0 {
		f.Cure = shell.Join(append(slices.Clone(s.Reach), "true")...)
	}
	return f
}

// Unfit is the finding of a machine that answers and on which verdict cannot be
// run, for the reason why. Advice says what to do about it in words, cures are
// commands.
func Unfit(s Subject, why string, advice, cures []string) Finding {
	return Finding{ID: "verdict", Host: s.Host, Side: s.Side, Level: Fail, Seen: why,
		Means: means("the checks on this machine, and the collector, are made by verdict there", advice),
		Cure:  strings.Join(cures, "\n")}
}

// means is what follows from a finding, and what to do that is no command.
func means(follows string, advice []string) string {
	return strings.Join(append([]string{follows}, advice...), "; ")
}

// Sort orders findings for reading: host by host as they come, and on each the
// good ones first, so that the failures stand last. Within a level the order
// stays.
func Sort(list []Finding) {
	first := make(map[string]int)
	for i, f := range list {
		if _, ok := first[f.Host]; !ok {
			first[f.Host] = i
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(first[a.Host], first[b.Host]), cmp.Compare(a.Level.rank(), b.Level.rank()))
	})
}

func (l Level) rank() int { return slices.Index(Levels[:], l) }

// Count is how many findings there are of each level.
func Count(list []Finding) map[Level]int {
	n := map[Level]int{OK: 0, Note: 0, Warn: 0, Fail: 0}
	for _, f := range list {
		n[f.Level]++
	}
	return n
}

// Failures are the findings of level Fail, in their order.
func Failures(list []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f Finding) bool { return f.Level != Fail })
}
