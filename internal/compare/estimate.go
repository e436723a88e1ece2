package compare

import (
	"errors"
	"math"

	"github.com/verdict-bench/verdict/internal/stat"
)

// confidence is that of every interval that describes and does not decide.
const confidence = 0.95

// quantiles are those of each side and of their ratios.
var quantiles = []float64{0.5, 0.9, 0.95}

// Estimates are the effect of the pairs by every measure that is printed. An
// interval whose N is 0 does not exist.
type Estimates struct {
	// Typical is the effect on a typical block: Hodges-Lehmann with the
	// signed-rank interval at 1 - alpha final, as a ratio. It is the primary
	// one.
	Typical stat.Interval
	// Final is what the verdict at the planned n looks at, and Inner the same
	// at 1 - 2 alpha final: Typical, less the shift of the A/A control.
	Final, Inner stat.Interval
	// Equivalent is the p-value of no effect beyond the margin, NaN without.
	Equivalent float64
	// Looks is the confidence sequence after each batch.
	Looks []Look
	// Mean is the ratio of geometric means.
	Mean stat.Interval
	// P99 is the ratio of the 99th percentiles, from 368 pairs on. It informs
	// and decides nothing.
	P99 stat.Interval
	// Between and Blocks are the two intervals of a run of several sessions,
	// of which Typical is the wider: over the sessions' own estimates, and over
	// their blocks. Host is the ratio of the second host to the first where the
	// sides exchanged them. Their N is 0 elsewhere, and that of Between where
	// the sessions are too few for it.
	Between, Blocks, Host stat.Interval
	// Gas is the slope of the log ratio on ln gas: whether the effect grows
	// with the block.
	Gas stat.Interval
	// LongRun is the long-run standard deviation of the log ratios.
	LongRun float64
}

// Look is the confidence sequence after some pairs, as ratios.
type Look struct {
	Pairs             int
	Center, Low, High float64
}

// estimate fills Estimates. What the data do not support stays without N; only
// a lack of spread is worth a word here, for too few pairs the verdict says.
func (r *Result) estimate() {
	e := &r.Estimates
	e.Equivalent = math.NaN()
	d := r.Differences()
	if r.Subject == Proof && len(d) < exactPairs {
		r.exact(d)
		return
	}
	e.Looks = r.looks()
	if len(r.Sessions) > 0 {
		r.estimateSessions()
	} else {
		r.estimateSession(d)
	}
	if e.Typical.N == 0 {
		return
	}
	v, err := r.measure(1-r.Rule.AlphaFinal, func(from, to int) (stat.Interval, error) {
		return stat.GeometricMeanRatio(d[from:to], 1-r.Rule.AlphaFinal)
	})
	if err == nil {
		e.Mean = v
	}
	if gas := r.covariate(gasOf); gas != nil {
		if v, err := stat.GasSlope(r.level(), gas, confidence); err == nil {
			e.Gas = v
		}
	}
}

// estimateSession estimates from the log ratios of one session.
func (r *Result) estimateSession(d []float64) {
	e := &r.Estimates
	ranks, err := stat.NewSignedRank(d)
	if err != nil {
		if errors.Is(err, stat.ErrNotFinite) {
			r.warn("%v", err)
		}
		return
	}
	typical := ranks.Interval(1 - r.Rule.AlphaFinal)
	inner := ranks.Interval(1 - 2*r.Rule.AlphaFinal)
	e.Typical = typical.Exp()
	e.Final, e.Inner = e.Typical, inner.Exp()
	delta := math.Log1p(r.Rule.Margin)
	e.Equivalent = worse(ranks.Equivalence(delta))
	if r.Control != nil && r.Control.Corrects {
		r.correct(typical, inner, delta)
	}
	omega, _ := stat.EWC(d)
	e.LongRun = math.Sqrt(omega)
	for _, w := range typical.Warnings {
		r.warn("%s", w)
	}
}

// exactPairs is the number of pairs from which proving times are analyzed as
// latencies are; below it the exact test is used.
const exactPairs = 50

// exact estimates from few pairs of proving times, which are independent
// between batches.
func (r *Result) exact(d []float64) {
	e := &r.Estimates
	interval := stat.ExactSignedRank
	if len(d) < 6 {
		// No rank test can reach a level of 0.05; the verdict says so.
		interval = stat.PairedT
	}
	final, err := interval(d, 1-r.Rule.AlphaFinal)
	if err != nil {
		return
	}
	inner, err := interval(d, 1-2*r.Rule.AlphaFinal)
	if err != nil {
		return
	}
	e.Typical, e.Final, e.Inner = final.Exp(), final.Exp(), inner.Exp()
	for _, w := range final.Warnings {
		r.warn("%s", w)
	}
	// As little as the test does this allow for neighbors that correlate: a
	// long-run variance of so few would be almost unknown.
	if v, err := stat.PairedT(d, 1-r.Rule.AlphaFinal); err == nil {
		e.Mean = v.Exp()
	}
}

// worse is the p-value of two one-sided tests: the larger one.
func worse(q stat.Equivalence) float64 { return max(q.PLower, q.PUpper) }

// correct takes the shift of the A/A control off what decides at the planned n.
func (r *Result) correct(typical, inner stat.Interval, delta float64) {
	e := &r.Estimates
	final, err := stat.Correct(typical, r.Control.shift, 1-r.Rule.AlphaFinal)
	if err == nil {
		inner, err = stat.Correct(inner, r.Control.shift, 1-2*r.Rule.AlphaFinal)
	}
	if err != nil {
		r.warn("the effect is not corrected by the A/A control: %v", err)
		r.Control.Corrects, r.Control.Why = false, err.Error()
		return
	}
	e.Final, e.Inner = final.Exp(), inner.Exp()
	e.Equivalent = worse(final.Estimate().TOST(delta))
}

// looks is the confidence sequence over the pairs, batch by batch.
func (r *Result) looks() []Look {
	rule := r.Rule
	if rule.AlphaLive == 0 {
		return nil
	}
	rule.Swap = rule.Swap || r.swapped()
	live, err := newLive(rule, len(r.Pairs))
	if err != nil {
		return nil
	}
	var out []Look
	for i := range r.Pairs {
		if i > 0 && stretchOfPair(&r.Pairs[i]) != stretchOfPair(&r.Pairs[i-1]) {
			live.EndSession()
		}
		more, err := live.Add(r.Pairs[i].D, r.Pairs[i].Swapped)
		if err != nil {
			return out
		}
		if more {
			out = append(out, look(live))
		}
	}
	return out
}

func look(live *stat.Live) Look {
	v := live.Interval().Exp()
	return Look{Pairs: v.N, Center: v.Center, Low: v.Low, High: v.High}
}

// newLive is the sequence of rule over n pairs: n only counts when none were
// planned.
func newLive(rule Rule, n int) (*stat.Live, error) {
	planned := rule.Planned
	if planned == 0 {
		planned = n
	}
	return stat.NewLive(stat.LiveOptions{Alpha: rule.AlphaLive, PlannedPairs: planned, Batch: rule.Batch, Swap: rule.Swap})
}

// sequence is the confidence sequence after all pairs, on the log scale, and
// its number of batches.
func (r *Result) sequence() (stat.Interval, int) {
	looks := r.Estimates.Looks
	if len(looks) == 0 {
		return stat.Interval{}, 0
	}
	l := looks[len(looks)-1]
	return stat.Interval{
		Center: l.Center, Low: l.Low, High: l.High,
		Confidence: 1 - r.Rule.AlphaLive, N: l.Pairs, Kind: stat.KindSequence, P: math.NaN(),
	}.Log(), len(looks)
}
