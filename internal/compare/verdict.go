package compare

import (
	"fmt"
	"math"
	"strings"

	"github.com/verdict-bench/verdict/internal/sample"
)

// Outcome is one of the five verdicts.
type Outcome string

// The five verdicts. NoEffect is shown with its margin.
const (
	Improves     Outcome = "improves"
	Regresses    Outcome = "regresses"
	NoEffect     Outcome = "no effect"
	Inconclusive Outcome = "inconclusive"
	Invalid      Outcome = "invalid"
)

// Verdict is the outcome of a comparison with its reasons.
type Verdict struct {
	Outcome Outcome
	// Margin is the practical margin that the outcome refers to.
	Margin float64
	// ClearsMargin is set when an improvement or regression is larger than the
	// margin over its whole interval.
	ClearsMargin bool
	// Reasons say why, most important first.
	Reasons []string
}

// String is the verdict in its own words: "no effect beyond ±3 %" for NoEffect.
func (v Verdict) String() string {
	if v.Outcome == NoEffect {
		return fmt.Sprintf("no effect beyond ±%s %%", percent(v.Margin))
	}
	return string(v.Outcome)
}

func percent(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", 100*x), "0"), ".")
}

// decide applies the conditions in the order of the method: what makes the
// result invalid comes first, then a direction, then equivalence.
func (r *Result) decide() Verdict {
	v := Verdict{Margin: r.Rule.Margin}
	if v.Reasons = r.invalid(); len(v.Reasons) > 0 {
		v.Outcome = Invalid
		return v
	}
	delta := 1 + r.Rule.Margin
	e, q := r.Effect, r.Equivalence
	switch {
	case e.High < 1:
		v.Outcome, v.ClearsMargin = Improves, e.High < 1/delta
	case e.Low > 1:
		v.Outcome, v.ClearsMargin = Regresses, e.Low > delta
	case q.Low > 1/delta && q.High < delta:
		v.Outcome = NoEffect
	default:
		v.Outcome = Inconclusive
		v.Reasons = []string{fmt.Sprintf("the interval contains 1 and is too wide to exclude an effect of %s %%", percent(r.Rule.Margin))}
	}
	if v.Outcome == Improves || v.Outcome == Regresses {
		if v.ClearsMargin {
			v.Reasons = []string{fmt.Sprintf("the effect is larger than the margin of %s %%: the whole interval clears it", percent(r.Rule.Margin))}
		} else {
			v.Reasons = []string{fmt.Sprintf("the interval excludes 1, but not an effect below the margin of %s %%", percent(r.Rule.Margin))}
		}
	}
	return v
}

// maxUnpaired is the share of attempted blocks that may lack a pair before the
// pairs count as selected.
const maxUnpaired = 0.10

// invalid lists everything that forbids a verdict on latency.
func (r *Result) invalid() []string {
	var why []string
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	p := &r.Parity
	if n := len(p.Different); n > 0 {
		say("parity: the two sides answered differently on %d of %d blocks (first: %d)", n, p.Checked, p.Different[0])
	}
	for i, side := range sample.Sides {
		if n := p.Incomplete[i]; n > 0 {
			say("%d of %d checked witnesses of the %s side are incomplete", n, n+p.Verified[i], side)
		}
	}
	for i, side := range sample.Sides {
		if n := p.Unproved[i]; n > 0 && p.Verified[i] == 0 {
			say("no witness of the %s side could be proved complete: %s", side, p.Doubt)
		} else if n > 0 {
			r.warn("%d witnesses of the %s side could not be proved complete: %s", n, side, p.Doubt)
		}
	}
	if n := len(r.Pairs); n < MinPairs {
		say("too few pairs: %d, at least %d are needed", n, MinPairs)
	} else if math.IsNaN(r.Effect.Center) || r.Effect.Low == r.Effect.High {
		say("the latencies have no spread: nothing was measured")
	}
	if lost := r.Attempted - len(r.Pairs) - len(p.Different); float64(lost) > maxUnpaired*float64(r.Attempted) {
		a, b := r.failed(0), r.failed(1)
		r.warn("selected blocks: %d of %d attempted blocks have no pair", lost, r.Attempted)
		if float64(max(a, b)) > 2*float64(min(a, b)) && max(a, b) > 0 {
			say("%d of %d attempted blocks have no pair and the failures are not balanced: %d on the baseline side, %d on the test side", lost, r.Attempted, a, b)
		}
	}
	return why
}

// failed counts the failed samples of one side.
func (r *Result) failed(side int) int {
	n := 0
	for _, count := range r.Failures[side] {
		n += count
	}
	return n
}
