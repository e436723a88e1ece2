// Package compare turns the samples of two sides into a verdict: it pairs them
// block by block, lists what could not be paired and why, checks that both
// sides gave the same answers, and only then looks at the latencies. Series
// that were measured elsewhere it compares pair by pair where their blocks
// coincide, and as two groups where none do. It reads values and returns
// values; it knows no files and no clock.
package compare

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
)

// Rule is how a comparison is judged, fixed before the first sample.
type Rule struct {
	// Margin is the practical margin as a fraction: 0.03 is 3 %.
	Margin float64
	// MarginFromControl widens the margin to twice the noise floor of the A/A
	// control, if there was one.
	MarginFromControl bool
	// AlphaLive is the error rate of the sequence that may be looked at,
	// AlphaFinal that of the one analysis at the planned n.
	AlphaLive, AlphaFinal float64
	// Planned is the number of blocks that the analysis was planned for. 0
	// plans what there is: measurements that were made elsewhere.
	Planned int
	// Batch is the number of pairs in one step of the sequence.
	Batch int
	// MinPairs is the fewest pairs that a verdict may rest on.
	MinPairs int
	// MaxUnpaired is the share of attempted blocks that may lack a pair
	// before the pairs count as selected.
	MaxUnpaired float64
	// Pairs is the number of pairs that are analyzed, 0 for all there are: two
	// collectors that work on their own collect more than was planned. Pairs
	// count in block order, and session by session, each with its share.
	Pairs int
	// Control is the number of pairs of the A/A control that count, in the same
	// way; 0 for all.
	Control int
	// Sessions is the number of sessions that the run was planned in, 0 or 1
	// for one. Swap says that the sides exchange their hosts between them.
	Sessions int
	Swap     bool
	// Hosts are those of the baseline and the test side, in sessions that are
	// not swapped; empty where the samples tell them.
	Hosts [2]string
	// WarmUp is the number of blocks on each side that are left out first,
	// where the measurements do not mark them themselves.
	WarmUp int
	// Timeout is the time limit of one request, 0 when it is not known.
	Timeout time.Duration
	// Seed starts the bootstrap.
	Seed uint64
	// Exploratory says in what the rule differs from the one that was
	// registered before the first sample; empty when it does not.
	Exploratory string
}

// DefaultRule is the rule of the method with the default margin.
func DefaultRule() Rule {
	return RuleOf(new(spec.Defaults(spec.Local)))
}

// RuleOf is the rule that a spec registered.
func RuleOf(s *spec.Witness) Rule {
	rule := Rule{
		Margin: s.Margin, MarginFromControl: s.MarginFromControl,
		AlphaLive: s.AlphaLive, AlphaFinal: s.AlphaFinal,
		Planned: s.Blocks, Batch: s.Batch, MinPairs: s.MinPairs,
		MaxUnpaired: s.MaxUnpaired, Timeout: s.Timeout, Seed: s.Seed,
	}
	if s.Place != spec.Live {
		return rule
	}
	rule.Pairs, rule.Control, rule.WarmUp = s.Blocks, s.Control, s.WarmUp
	rule.Hosts = [2]string{s.Baseline.Host, s.Test.Host}
	if s.Servers != nil && s.Servers.Crossover {
		rule.Sessions, rule.Swap = crossoverSessions, true
	}
	return rule
}

// Subject is what was measured.
type Subject string

// The subjects.
const (
	// Witness: the latency of debug_executionWitness, per block.
	Witness Subject = "witness latency"
	// Proof: the proving time, per batch.
	Proof Subject = "proving time"
)

// Unit is what one measurement of the subject is of: block or batch.
func (s Subject) Unit() string {
	if s == Proof {
		return "batch"
	}
	return "block"
}

// Units is Unit for many of them.
func (s Subject) Units() string {
	if s == Proof {
		return "batches"
	}
	return "blocks"
}

// Design says how the two sides were compared.
type Design string

// The designs.
const (
	// Paired: the same blocks on both sides.
	Paired Design = "paired"
	// Unpaired: different blocks, whose content and time are confounded with
	// the change.
	Unpaired Design = "unpaired"
	// Single: one side, which is compared with nothing.
	Single Design = "one side"
)

// Pair is the two measurements of one block: same number and same hash, both
// ok, both with the same digest.
type Pair struct {
	Number uint64
	// MS are the latencies of baseline and test in milliseconds.
	MS [2]float64
	// D is ln(test / baseline): negative when the test side is faster.
	D float64
	// Session and Swapped are those of the samples.
	Session int
	Swapped bool
	// Samples are the samples behind them, nil when the measurements were
	// made elsewhere.
	Samples *[2]*sample.Sample
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

// Result is a comparison with everything that its reports show. Effects are
// ratios test / baseline; below 1 the test side is faster.
type Result struct {
	Rule    Rule
	Subject Subject
	Design  Design
	Stage   stat.Stage
	// Pairs stand in the order of their blocks, session after session.
	Pairs []Pair
	// Sessions are those of the pairs, nil when there is one.
	Sessions []Session
	WarmUps  int
	// Attempted counts the blocks that both sides were asked for, warm-ups
	// aside.
	Attempted int
	Excluded  []Exclusion
	Parity    Parity
	// Sides describe the compared latencies, in milliseconds.
	Sides [2]Latencies
	// Effect is the interval that the verdict stands on. Its N is 0 when
	// there is none.
	Effect    stat.Interval
	Estimates Estimates
	// Inputs describe measurements that were made elsewhere, nil for a run.
	Inputs *[2]Input
	// Replayed says that a run's measurements are those of the logs of
	// ethrex-replay, which tell neither hashes nor answers nor all failures.
	Replayed bool
	// Batches are the proofs that were compared, by side, in order; nil for
	// latencies.
	Batches [2][]Batch
	// Groups is the unpaired comparison, nil in a paired one.
	Groups *Groups
	// Proving is what a run's proofs show beside their difference, nil for
	// latencies and for proofs that were measured elsewhere.
	Proving *Proving
	// Control is the A/A control, nil without one.
	Control *Control
	// Secondary are the other metrics. Those that guard can take a win away.
	Secondary []Metric
	Diagnosis Diagnosis
	Forecast  Forecast
	Verdict   Verdict
	// Failures counts the samples of each side that are not ok, by status.
	Failures [2]map[sample.Status]int
	Gaps     [2][]sample.Gap
	Warnings []string

	// asked counts the blocks that either side was asked for.
	asked int
	// counted are the pairs and the timeouts blocks on which one side timed
	// out, in block order, at the time limit; of each only D and the session.
	counted  []Pair
	timeouts int
	// conflicts counts heights at which the sides have different blocks.
	conflicts int
	// again says that a side measured a block more than once.
	again [2]bool
}

// Latencies describe one side.
type Latencies struct {
	stat.Summary
	// Quantiles are p50, p90 and p95 with intervals of order statistics.
	Quantiles []stat.Interval
	// ACF1 is the lag-1 autocorrelation, LjungBox the p-value of no
	// autocorrelation up to lag 10, NaN for a short series and for one of
	// several sessions.
	ACF1, LjungBox float64
	// Skewness is that of the latencies, LogSD and LogSkewness describe their
	// logarithms.
	Skewness, LogSD, LogSkewness float64
}

// Batch is one proof. What is not known of it is zero.
type Batch struct {
	Number uint64
	// Session is that of the run, 0 where its side has one only.
	Session     int
	MS          float64
	Gas         uint64
	Txs, Blocks uint32
}

// newResult makes a result without measurements.
func newResult(rule Rule, subject Subject) *Result {
	r := &Result{Rule: rule, Subject: subject, Design: Paired}
	for i := range r.Failures {
		r.Failures[i] = make(map[sample.Status]int)
	}
	return r
}

// Analyze compares the records of the two sides under rule. Records of the A/A
// control are compared on their own.
func Analyze(records [2][]sample.Record, rule Rule) *Result {
	r := newResult(rule, Witness)
	measured, control := split(records)
	if len(control[0])+len(control[1]) > 0 {
		r.control(control)
	}
	r.pair(r.gather(measured))
	r.Stage = r.stage()
	r.analyze()
	return r
}

// split takes the samples of the A/A control apart.
func split(records [2][]sample.Record) (measured, control [2][]sample.Record) {
	for i := range records {
		for _, rec := range records[i] {
			if rec.Sample != nil && rec.Sample.Control != "" {
				control[i] = append(control[i], rec)
			} else {
				measured[i] = append(measured[i], rec)
			}
		}
	}
	return measured, control
}

// stage says how far the run got of what was planned. Where blocks are planned,
// how many of them gave a pair does not matter: nobody chose that by looking.
func (r *Result) stage() stat.Stage {
	switch {
	case r.Rule.Pairs > 0 && len(r.Pairs) == r.Rule.Pairs:
		return stat.Planned
	case r.Rule.Pairs > 0:
		return stat.Stopped
	case r.Rule.Planned == 0 || r.asked == r.Rule.Planned:
		return stat.Planned
	case r.asked > r.Rule.Planned:
		return stat.Extended
	}
	return stat.Stopped
}

// analyze does everything that follows from the pairs.
func (r *Result) analyze() {
	if r.Control != nil && r.Rule.MarginFromControl {
		r.Rule.Margin = max(r.Rule.Margin, math.Expm1(2*math.Log1p(r.Control.Floor)))
	}
	r.group()
	if c := r.Control; c != nil && c.Corrects && r.swapped() {
		c.Corrects, c.Why = false, "the sides exchanged their hosts, which takes off what these differ by"
	}
	// The parts do not depend on each other, and each takes seconds when logs
	// of millions of lines are compared.
	var parts sync.WaitGroup
	parts.Go(r.secondary)
	parts.Go(r.diagnose)
	parts.Go(func() {
		for i := range r.Sides {
			r.Sides[i] = describe(r.milliseconds(i))
			if len(r.Sessions) > 0 {
				// Neighbors across a border between sessions are none.
				r.Sides[i].ACF1, r.Sides[i].LjungBox = math.NaN(), math.NaN()
			}
		}
	})
	r.estimate()
	parts.Wait()
	r.disagreement()
	r.straddles()
	r.atTheLimit()
	r.forecast()
	r.decide()
}

// describe sums up the latencies of one side.
func describe(ms []float64) Latencies {
	l := Latencies{Summary: stat.Summarize(ms)}
	sorted := slices.Clone(ms)
	slices.Sort(sorted)
	for _, p := range quantiles {
		if v, err := stat.QuantileInterval(sorted, p, confidence); err == nil {
			v.Unit = "ms"
			l.Quantiles = append(l.Quantiles, v)
		}
	}
	l.ACF1, l.LjungBox = stat.ACF(ms, 1), math.NaN()
	if _, p, err := stat.LjungBox(ms, 10); err == nil {
		l.LjungBox = p
	}
	l.Skewness, _ = stat.Skewness(ms)
	if logs, err := stat.Logs(ms); err == nil {
		l.LogSD = stat.Summarize(logs).SD
		l.LogSkewness, _ = stat.Skewness(logs)
	}
	return l
}

// milliseconds are the latencies of one side of the pairs, in block order.
func (r *Result) milliseconds(side int) []float64 {
	ms := make([]float64, len(r.Pairs))
	for i := range r.Pairs {
		ms[i] = r.Pairs[i].MS[side]
	}
	return ms
}

func milliseconds(s *sample.Sample) float64 {
	return float64(s.TotalNS) / float64(time.Millisecond)
}

// Differences are the log ratios of the pairs, in block order.
func (r *Result) Differences() []float64 { return differences(r.Pairs) }

// Range is the first and the last block of the pairs, 0 and 0 without pairs.
func (r *Result) Range() (first, last uint64) {
	for i := range r.Pairs {
		n := r.Pairs[i].Number
		if i == 0 || n < first {
			first = n
		}
		last = max(last, n)
	}
	return first, last
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
	if text != "" && !slices.Contains(r.Warnings, text) {
		r.Warnings = append(r.Warnings, text)
	}
}

// ratio is the logarithm of b over a, which cannot overflow.
func ratio(a, b float64) float64 { return math.Log(b) - math.Log(a) }
