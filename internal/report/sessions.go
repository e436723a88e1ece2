package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
	"github.com/verdict-bench/verdict/internal/store"
)

// sessionEffects tells the sessions of a run that has several, and which of the
// two intervals counts.
func sessionEffects(r *compare.Result) string {
	if len(r.Sessions) == 0 {
		return ""
	}
	parts := make([]string, len(r.Sessions))
	for i, s := range r.Sessions {
		hosts := ""
		if s.Swapped {
			hosts = ", hosts exchanged"
		}
		effect := "too short for an effect of its own"
		if s.Typical.N > 0 {
			effect = ratio(s.Typical.Center)
		}
		parts[i] = fmt.Sprintf("session %d (%s%s) %s", s.Number, count(s.Pairs, "pair"), hosts, effect)
	}
	s := "Ratio test / baseline by session: " + strings.Join(parts, ", ") + "."
	blocks, between := r.Estimates.Blocks, r.Estimates.Between
	switch {
	case blocks.N == 0:
		return s
	case between.N == 0:
		return s + " There are too few sessions for an interval between them: that of their blocks counts."
	case r.Estimates.Typical.Kind == between.Kind:
		return s + fmt.Sprintf(" The interval between the sessions, %s to %s, is wider than that of their blocks, %s to %s, and counts.",
			ratio(between.Low), ratio(between.High), ratio(blocks.Low), ratio(blocks.High))
	}
	return s + fmt.Sprintf(" The interval of their blocks, %s to %s, is wider than that between the sessions, %s to %s, and counts.",
		ratio(blocks.Low), ratio(blocks.High), ratio(between.Low), ratio(between.High))
}

// hostEffect tells by how much the hosts differ where the sides exchanged them.
func hostEffect(r *compare.Result) string {
	e := r.Estimates.Host
	if e.N == 0 {
		return ""
	}
	hosts := r.Hosts()
	first, second := "the first host", "the second host"
	if hosts[0] != hosts[1] {
		first, second = fmt.Sprintf("%s (%s)", first, Clean(hosts[0])), fmt.Sprintf("%s (%s)", second, Clean(hosts[1]))
	}
	how := fmt.Sprintf("is slower by %s %%", hostPercent(e, e.Center-1))
	switch {
	case e.Contains(1):
		how = "differs by nothing that shows"
	case e.Center < 1:
		how = fmt.Sprintf("is faster by %s %%", hostPercent(e, 1-e.Center))
	}
	return fmt.Sprintf("Host effect: %s %s than %s: ratio %s [%s, %s] (%s %% interval). It is taken off the effect.",
		second, how, first, ratio(e.Center), ratio(e.Low), ratio(e.High), compare.Percent(e.Confidence))
}

// hostPercent is a share in percent with the digits that the interval supports.
func hostPercent(e stat.Interval, share float64) string {
	return fmt.Sprintf("%.*f", decimalsOf(e), 100*share)
}

// differences warns where the sides differ by more than the change that is
// measured: by their servers, or by commits.
func differences(r *Run) []string {
	m := &r.Manifest
	var out []string
	if n := m.Behind; n > 0 {
		out = append(out, fmt.Sprintf("the test ref is not based on the baseline commit: %s of it %s missing, and the effect is that of the lack of them too",
			count(n, "commit"), map[bool]string{true: "is", false: "are"}[n == 1]))
	}
	if differ := unlike(machineOf(m, 0), machineOf(m, 1)); len(differ) > 0 {
		out = append(out, "the servers differ: "+strings.Join(differ, "; "))
	}
	if a, b := m.Sides[0].BinarySHA256, m.Sides[1].BinarySHA256; r.Replay != nil && a != "" && a == b {
		out = append(out, fmt.Sprintf("both sides ran the same binary (sha256 %.12s): what differs is two processes and the machine, and no build", Clean(a)))
	}
	return out
}

// machineOf is the machine that the program of a side ran on.
func machineOf(m *store.Manifest, side int) *store.Environment {
	if e := m.Sides[side].Environment; e != nil {
		return e
	}
	return &m.Environment
}

// sameMemory is by how much the memory of equal machines may differ: kernels
// and firmware keep a little of it to themselves.
const sameMemory = 0.05

// unlike says in what two machines differ that may show in a latency. What is
// not known of one is no difference.
func unlike(a, b *store.Environment) []string {
	var out []string
	text := func(what, x, y string) {
		if x != "" && y != "" && x != y {
			out = append(out, fmt.Sprintf("%s %s on the %s side, %s on the %s side", what, x, sample.Baseline, y, sample.Test))
		}
	}
	text("CPU", a.CPU, b.CPU)
	if a.CPUs > 0 && b.CPUs > 0 {
		text("CPUs", fmt.Sprint(a.CPUs), fmt.Sprint(b.CPUs))
	}
	x, y := float64(a.MemoryBytes), float64(b.MemoryBytes)
	if x > 0 && y > 0 && math.Abs(x-y) > sameMemory*max(x, y) {
		text("memory", size(a.MemoryBytes), size(b.MemoryBytes))
	}
	text("system", a.OS, b.OS)
	text("kernel", a.Kernel, b.Kernel)
	return out
}

// jsonSessions are the sessions of a run that has several.
type jsonSessions struct {
	Each    []jsonSession `json:"each"`
	Between *jsonInterval `json:"between"`
	Blocks  *jsonInterval `json:"blocks"`
	// Hosts are the first and the second, Host the ratio of their times.
	Hosts [2]string     `json:"hosts"`
	Host  *jsonInterval `json:"host"`
	MDE   jsonNumber    `json:"mde"`
}

type jsonSession struct {
	Number  int           `json:"number"`
	Swapped bool          `json:"swapped"`
	Pairs   int           `json:"pairs"`
	Typical *jsonInterval `json:"typical"`
}

func sessionsOf(r *compare.Result) *jsonSessions {
	if len(r.Sessions) == 0 {
		return nil
	}
	e := &r.Estimates
	hosts := r.Hosts()
	out := &jsonSessions{
		Between: intervalOf(e.Between), Blocks: intervalOf(e.Blocks), Host: intervalOf(e.Host),
		Hosts: [2]string{Clean(hosts[0]), Clean(hosts[1])}, MDE: numberOrNull(r.Forecast.SessionMDE),
	}
	for _, s := range r.Sessions {
		out.Each = append(out.Each, jsonSession{Number: s.Number, Swapped: s.Swapped, Pairs: s.Pairs, Typical: intervalOf(s.Typical)})
	}
	return out
}
