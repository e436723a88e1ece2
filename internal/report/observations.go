package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
	"github.com/verdict-bench/verdict/internal/store"
)

// observations are generated, each with its evidence.
func observations(r *Run) []string {
	var o []string
	add := func(s string) {
		if s != "" {
			o = append(o, s)
		}
	}
	add(parity(&r.Result.Parity))
	add(completeness(&r.Result.Parity))
	add(answers(r.Result))
	add(phases(r.Result))
	add(imports(r.Result))
	add(slowest(r.Result))
	add(order(r.Result))
	add(failures(r.Result))
	add(outages(r.Result))
	add(network(r.Manifest.Sides))
	o = append(o, r.Result.Warnings...)
	return append(o, r.Warnings...)
}

func parity(p *compare.Parity) string {
	switch {
	case p.Checked == 0:
		return "Parity could not be checked: no block was answered by both sides."
	case len(p.Different) > 0:
		return fmt.Sprintf("Parity is broken: the answers differ on %d of %d blocks (%s).", len(p.Different), p.Checked, numbers(p.Different))
	}
	s := fmt.Sprintf("Parity: state, codes and headers agree on all %d blocks that both sides answered.", p.Checked)
	if p.KeysDiffer > 0 {
		s += fmt.Sprintf(" The keys differ on %d of them, which programs may.", p.KeysDiffer)
	}
	return s
}

func completeness(p *compare.Parity) string {
	checked := [2]int{p.Verified[0] + p.Incomplete[0], p.Verified[1] + p.Incomplete[1]}
	if checked[0]+checked[1] == 0 {
		return "Completeness was not checked."
	}
	if p.Incomplete[0]+p.Incomplete[1] == 0 {
		return fmt.Sprintf("Completeness: all %d checked witnesses are proved: from them alone, their blocks execute to their own state root and receipts root.", checked[0]+checked[1])
	}
	first := p.Refused[0]
	return fmt.Sprintf("Completeness: %d of %d baseline witnesses and %d of %d test witnesses are incomplete; block %d, %s: %s.",
		p.Incomplete[0], checked[0], p.Incomplete[1], checked[1], first.Number, first.Side, first.Message)
}

// medians is the median of one figure over the pairs, for both sides.
func medians(r *compare.Result, of func(*sample.Sample) float64) (base, test float64) {
	var x, y []float64
	for i := range r.Pairs {
		x = append(x, of(r.Pairs[i].Baseline))
		y = append(y, of(r.Pairs[i].Test))
	}
	return stat.Summarize(x).Median, stat.Summarize(y).Median
}

func answers(r *compare.Result) string {
	if len(r.Pairs) == 0 {
		return ""
	}
	a, b := medians(r, func(s *sample.Sample) float64 { return float64(s.BodyBytes) })
	gas, _ := medians(r, func(s *sample.Sample) float64 { return float64(s.GasUsed) / 1e6 })
	nodes, _ := medians(r, func(s *sample.Sample) float64 { return float64(s.StateNodes) })
	return fmt.Sprintf("Median block: %.3g Mgas, %.0f state nodes, answer of %s on the baseline side and %s on the test side.",
		gas, nodes, size(int64(a)), size(int64(b)))
}

func phases(r *compare.Result) string {
	n := len(r.Pairs)
	if n == 0 {
		return ""
	}
	inMS := func(of func(*sample.Sample) int64) (string, string) {
		a, b := medians(r, func(s *sample.Sample) float64 { return float64(of(s)) / float64(time.Millisecond) })
		return ms(a, n), ms(b, n)
	}
	first1, first2 := inMS(func(s *sample.Sample) int64 { return s.FirstByteNS })
	body1, body2 := inMS(func(s *sample.Sample) int64 { return s.BodyNS })
	return fmt.Sprintf("Phases (medians): first byte after %s on the baseline side and %s on the test side, body in %s and %s.",
		first1, first2, body1, body2)
}

func imports(r *compare.Result) string {
	if len(r.Pairs) == 0 || r.Pairs[0].Baseline.ImportNS == 0 {
		return ""
	}
	a, b := medians(r, func(s *sample.Sample) float64 { return float64(s.ImportNS) / float64(time.Millisecond) })
	n := len(r.Pairs)
	return fmt.Sprintf("Block import (engine_newPayload, median): %s on the baseline side, %s on the test side. A witness that is made while a block is imported is paid for here.",
		ms(a, n), ms(b, n))
}

func slowest(r *compare.Result) string {
	if len(r.Pairs) == 0 {
		return ""
	}
	worst := func(of func(compare.Pair) *sample.Sample) string {
		p := slices.MaxFunc(r.Pairs, func(a, b compare.Pair) int {
			return int(of(a).TotalNS - of(b).TotalNS)
		})
		s := of(p)
		return fmt.Sprintf("%s at block %d (%.3g Mgas)", ms(float64(s.TotalNS)/1e6, 1), s.Number, float64(s.GasUsed)/1e6)
	}
	return fmt.Sprintf("Slowest answers: baseline %s, test %s.",
		worst(func(p compare.Pair) *sample.Sample { return p.Baseline }),
		worst(func(p compare.Pair) *sample.Sample { return p.Test }))
}

func order(r *compare.Result) string {
	first := 0
	for i := range r.Pairs {
		if r.Pairs[i].Baseline.Order == 1 {
			first++
		}
	}
	if len(r.Pairs) == 0 || first == 0 {
		return ""
	}
	return fmt.Sprintf("Order: the baseline side was asked first on %d of %d blocks, at random from the recorded seed.", first, len(r.Pairs))
}

func failures(r *compare.Result) string {
	var parts []string
	for i, side := range sample.Sides {
		for _, status := range slices.Sorted(maps.Keys(r.Failures[i])) {
			parts = append(parts, fmt.Sprintf("%d × %s on the %s side", r.Failures[i][status], status, side))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Failed samples: " + strings.Join(parts, ", ") + "."
}

func outages(r *compare.Result) string {
	var parts []string
	for i, side := range sample.Sides {
		for _, g := range r.Gaps[i] {
			parts = append(parts, fmt.Sprintf("%s side from %s for %s (%s)", side, utc(g.From), time.Duration(g.DurationNS).Round(100*time.Millisecond), g.Reason))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Without an answer: " + strings.Join(parts, "; ") + "."
}

// network warns when a meter did not run on the host that it measured.
func network(s [2]store.Side) string {
	var away []string
	for _, side := range s {
		if side.Host != side.Collector {
			away = append(away, fmt.Sprintf("%s (%s)", side.Side, side.RPC))
		}
	}
	if len(away) == 0 {
		return ""
	}
	return "The meter did not run on the measured host: latencies of " + strings.Join(away, " and ") + " include the network."
}

// numbers lists the first few block numbers.
func numbers(n []uint64) string {
	const few = 5
	var parts []string
	for _, x := range n[:min(few, len(n))] {
		parts = append(parts, fmt.Sprint(x))
	}
	if len(n) > few {
		parts = append(parts, "…")
	}
	return strings.Join(parts, ", ")
}

// listed names the first blocks of an exclusion, and says that there are more.
func listed(e compare.Exclusion) string {
	s := numbers(e.Blocks)
	if e.Count > len(e.Blocks) && len(e.Blocks) > 0 {
		s += ", …"
	}
	return s
}
