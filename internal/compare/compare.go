// Package compare turns the samples of two sides into a verdict: it pairs them
// block by block, lists what could not be paired and why, checks that both
// sides gave the same answers, and only then looks at the latencies. It reads
// values and returns values; it knows no files and no clock.
package compare

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
)

// Rule is how a comparison is judged, fixed before the first sample.
type Rule struct {
	// Margin is the practical margin as a fraction: 0.03 is 3 %.
	Margin float64
	// Confidence is that of the interval that decides.
	Confidence float64
	// Planned is the number of pairs the analysis was planned for.
	Planned int
}

// MinPairs is the fewest pairs that a latency verdict may rest on: below it the
// interval's few degrees of freedom leave it little power (method, 2.6).
const MinPairs = 80

// Pair is the two samples of one block: same number and same hash, both ok,
// both with the same digest.
type Pair struct {
	Baseline, Test *sample.Sample
	// D is ln(test / baseline): negative when the test side is faster.
	D float64
}

// Exclusion counts the blocks that have no pair for one reason.
type Exclusion struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	// Blocks are the first few of them.
	Blocks []uint64 `json:"blocks,omitempty"`
}

// listedBlocks is how many blocks an exclusion names.
const listedBlocks = 5

// Parity says whether both sides gave the same answers.
type Parity struct {
	// Checked counts the blocks that both sides answered.
	Checked int `json:"checked"`
	// Equal counts those with equal digests over state, codes and headers.
	Equal int `json:"equal"`
	// Different are the numbers of the others.
	Different []uint64 `json:"different,omitempty"`
	// Verified counts the answers proved complete, Incomplete those refused.
	Verified   [2]int `json:"verified"`
	Incomplete [2]int `json:"incomplete"`
	// Unproved counts the answers whose proof was due and could not be made;
	// Doubt is the first reason.
	Unproved [2]int       `json:"unproved"`
	Doubt    string       `json:"doubt,omitempty"`
	Refused  []Incomplete `json:"refused,omitempty"`
	// KeysDiffer counts blocks whose keys differ. Programs differ in them, so
	// this does not break parity.
	KeysDiffer int `json:"keys_differ"`
}

// Incomplete is one witness that does not let its block be re-executed.
type Incomplete struct {
	Side    sample.Side `json:"side"`
	Number  uint64      `json:"number"`
	Message string      `json:"message"`
}

// OK reports whether nothing speaks against parity.
func (p *Parity) OK() bool {
	return len(p.Different) == 0 && p.Incomplete[0] == 0 && p.Incomplete[1] == 0
}

// Result is a comparison with everything that its reports show.
type Result struct {
	Rule     Rule
	Pairs    []Pair
	WarmUps  int
	Excluded []Exclusion
	Parity   Parity
	// Attempted counts the blocks that were asked for on either side, warm-ups
	// aside.
	Attempted int
	// Sides are the latencies of the pairs in milliseconds.
	Sides [2]stat.Summary
	// Effect is the ratio test / baseline with its interval; below 1 is faster.
	// Its centre is NaN when there is none.
	Effect stat.Interval
	// Equivalence is the interval that lies inside the margin when there is no
	// effect that matters.
	Equivalence stat.Interval
	Verdict     Verdict
	// Failures counts the samples of each side that are not ok, by status.
	Failures [2]map[sample.Status]int
	Gaps     [2][]sample.Gap
	Warnings []string
}

// Analyze compares the records of the two sides under rule.
func Analyze(records [2][]sample.Record, rule Rule) *Result {
	r := &Result{Rule: rule}
	r.Effect = stat.Interval{Center: math.NaN(), Low: math.NaN(), High: math.NaN()}
	r.Equivalence = r.Effect
	blocks := r.gather(records)
	r.pair(blocks)
	var ms [2][]float64
	for i := range r.Pairs {
		ms[0] = append(ms[0], milliseconds(r.Pairs[i].Baseline))
		ms[1] = append(ms[1], milliseconds(r.Pairs[i].Test))
	}
	for i := range ms {
		r.Sides[i] = stat.Summarize(ms[i])
	}
	r.estimate()
	r.Verdict = r.decide()
	return r
}

func milliseconds(s *sample.Sample) float64 {
	return float64(s.TotalNS) / float64(time.Millisecond)
}

// Differences are the log ratios of the pairs, in block order.
func (r *Result) Differences() []float64 {
	d := make([]float64, len(r.Pairs))
	for i := range r.Pairs {
		d[i] = r.Pairs[i].D
	}
	return d
}

// Range is the first and the last block of the pairs, 0 and 0 without pairs.
func (r *Result) Range() (first, last uint64) {
	if len(r.Pairs) == 0 {
		return 0, 0
	}
	return r.Pairs[0].Baseline.Number, r.Pairs[len(r.Pairs)-1].Baseline.Number
}

// estimate fills Effect and Equivalence. Until the robust rank interval of the
// method decides, the geometric mean ratio with its autocorrelation-robust
// interval does.
func (r *Result) estimate() {
	d := r.Differences()
	effect, err := stat.GeometricMeanRatio(d, r.Rule.Confidence)
	if err != nil {
		if len(d) >= MinPairs {
			r.Warnings = append(r.Warnings, err.Error())
		}
		return
	}
	r.Effect = effect
	if len(d) >= MinPairs { // below, the verdict itself says it
		r.Warnings = append(r.Warnings, effect.Warnings...)
	}
	// The two one-sided tests at alpha are the 1 - 2 alpha interval.
	if r.Equivalence, err = stat.GeometricMeanRatio(d, 2*r.Rule.Confidence-1); err != nil && len(d) >= MinPairs {
		r.Warnings = append(r.Warnings, err.Error())
	}
}

// exclude counts one block under reason.
func (r *Result) exclude(reason string, number uint64) {
	i := slices.IndexFunc(r.Excluded, func(e Exclusion) bool { return e.Reason == reason })
	if i < 0 {
		i = len(r.Excluded)
		r.Excluded = append(r.Excluded, Exclusion{Reason: reason})
	}
	e := &r.Excluded[i]
	e.Count++
	if len(e.Blocks) < listedBlocks {
		e.Blocks = append(e.Blocks, number)
	}
}

// warn adds a warning once.
func (r *Result) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(r.Warnings, text) {
		r.Warnings = append(r.Warnings, text)
	}
}

// RuleOf is the rule that a spec registered.
func RuleOf(s *spec.Witness) Rule {
	return Rule{Margin: s.Margin, Confidence: s.Confidence, Planned: s.Blocks}
}
