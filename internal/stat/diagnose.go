package stat

import (
	"fmt"
	"math"
	"slices"
)

// Limits from which a diagnostic warns. They are choices, not results.
const (
	warnACF1          = 0.4
	warnVarianceRatio = 3
	outlierMADs       = 14.8
	warnOutlierShare  = 0.01
	warnZeroShare     = 0.05
	warnSmallShare    = 0.10
)

// Diagnostics describe the log ratios of a run. They are printed beside the
// result and never used to drop data.
type Diagnostics struct {
	// ACF1 is the lag-1 autocorrelation; VarianceRatio is Omega over the
	// variance, 1 without autocorrelation and 0 when the values do not vary.
	ACF1, VarianceRatio float64
	// OutlierShare is the fraction farther than 14.8 median absolute
	// deviations from the median. Largest is the position of the farthest.
	OutlierShare float64
	Largest      int
	// ZeroShare is the fraction of pairs without any difference.
	ZeroShare float64
	// Drift is the second half minus the first, Hodges-Lehmann each, on the
	// log scale. It has N 0 when the halves are too short.
	Drift Interval
	// Warnings are sentences without a period.
	Warnings []string
}

// DiagnoseSessions is Diagnose for a run of several sessions. Neighbors are
// those of one session, far is what is far from the median of its own session,
// and the drift is that within sessions: their host order and their level
// differ, and a border between them is no drift. Shares and ratios are means
// weighted by pairs; Largest counts the pairs of all sessions, one after the
// other. The drift has N 0 when the halves of some session are too short.
func DiagnoseSessions(sessions []Session, confidence float64) (Diagnostics, error) {
	if len(sessions) == 0 {
		return Diagnostics{}, fmt.Errorf("diagnostics: %w", ErrTooFew)
	}
	var out Diagnostics
	var drifts []Interval
	n, farthest := 0, -1.0
	for i, s := range sessions {
		g, err := Diagnose(s.D, confidence)
		if err != nil {
			return Diagnostics{}, fmt.Errorf("session %d: %w", i+1, err)
		}
		w := float64(len(s.D))
		out.ACF1 += w * g.ACF1
		out.VarianceRatio += w * g.VarianceRatio
		out.OutlierShare += w * g.OutlierShare
		out.ZeroShare += w * g.ZeroShare
		if away := math.Abs(s.D[g.Largest] - middleOf(slices.Clone(s.D))); away > farthest {
			farthest, out.Largest = away, n+g.Largest
		}
		n += len(s.D)
		drifts = append(drifts, g.Drift)
	}
	for _, share := range []*float64{&out.ACF1, &out.VarianceRatio, &out.OutlierShare, &out.ZeroShare} {
		*share /= float64(n)
	}
	out.Drift = meanDrift(drifts, confidence)
	out.warn()
	return out, nil
}

// meanDrift is the mean of the drifts within sessions.
func meanDrift(drifts []Interval, confidence float64) Interval {
	e := Estimate{}
	var variances, dfs []float64
	n := 0
	for _, v := range drifts {
		if v.N == 0 {
			return Interval{}
		}
		se := v.SE() / float64(len(drifts))
		e.Value += v.Center / float64(len(drifts))
		e.SE = math.Hypot(e.SE, se)
		variances, dfs = append(variances, se*se), append(dfs, v.DF)
		n += v.N
	}
	e.DF = satterthwaite(variances, dfs)
	v := e.Interval(confidence)
	v.N, v.Kind, v.Unit = n, KindSREWC+combined, UnitLogRatio
	return v
}

// Diagnose looks at the log ratios d in block order. Confidence is that of the
// drift's interval.
func Diagnose(d []float64, confidence float64) (Diagnostics, error) {
	if err := finite(d, 1); err != nil {
		return Diagnostics{}, fmt.Errorf("diagnostics: %w", err)
	}
	g := Diagnostics{ACF1: ACF(d, 1)}
	omega, _ := EWC(d)
	if m, sd := meanSD(d); sd*sd > noSpread*m*m {
		g.VarianceRatio = omega / (sd * sd)
	}
	g.outliers(d)
	zeros := 0
	for _, v := range d {
		if v == 0 {
			zeros++
		}
	}
	g.ZeroShare = float64(zeros) / float64(len(d))
	if v, err := drift(d, confidence); err == nil {
		g.Drift = v
	}
	g.warn()
	return g, nil
}

// outliers fills the share and the position of values far from the median.
// With more than half of the values equal there is no scale to be far by.
func (g *Diagnostics) outliers(d []float64) {
	scratch := slices.Clone(d)
	median := middleOf(scratch)
	away := make([]float64, len(d))
	for i, v := range d {
		away[i] = math.Abs(v - median)
		if away[i] > away[g.Largest] {
			g.Largest = i
		}
	}
	copy(scratch, away)
	mad := middleOf(scratch)
	if mad == 0 {
		return
	}
	far := 0
	for _, a := range away {
		if a/mad > outlierMADs {
			far++
		}
	}
	g.OutlierShare = float64(far) / float64(len(d))
}

// middleOf is the median of x, which it reorders.
func middleOf(x []float64) float64 {
	k := (len(x) - 1) / 2
	low := nth(x, k)
	if len(x)%2 == 1 {
		return low
	}
	// What stands behind rank k is not below it.
	return low + (slices.Min(x[k+1:])-low)/2
}

// drift compares the halves of d.
func drift(d []float64, confidence float64) (Interval, error) {
	var halves [2]Interval
	for i, half := range [2][]float64{d[:len(d)/2], d[len(d)/2:]} {
		r, err := NewSignedRank(half)
		if err != nil {
			return Interval{}, err
		}
		halves[i] = r.Interval(confidence)
	}
	v := difference(halves[1], halves[0]).Interval(confidence)
	v.N, v.Kind, v.Unit = len(d), KindSREWC, UnitLogRatio
	return v, nil
}

func (g *Diagnostics) warn() {
	add := func(is bool, format string, args ...any) {
		if is {
			g.Warnings = append(g.Warnings, fmt.Sprintf(format, args...))
		}
	}
	add(math.Abs(g.ACF1) > warnACF1,
		"neighboring pairs correlate (lag-1 autocorrelation %.2f): intervals hold, power is poor", g.ACF1)
	add(g.VarianceRatio > warnVarianceRatio,
		"the long-run variance is %.1f times the variance: intervals hold, power is poor", g.VarianceRatio)
	add(g.OutlierShare > warnOutlierShare,
		"%.1f %% of the pairs are far outliers; they stay in", 100*g.OutlierShare)
	add(g.ZeroShare > warnZeroShare,
		"%.1f %% of the pairs show no difference at all", 100*g.ZeroShare)
	add(g.Drift.N > 0 && !g.Drift.Contains(0),
		"the effect drifts: from the first half to the second the ratio changes by the factor %s", asRatio(g.Drift))
}

// asRatio is an interval on the log scale as a ratio in words.
func asRatio(v Interval) string {
	e, high := v.Exp(), "unbounded"
	if !math.IsInf(e.High, 1) {
		high = fmt.Sprintf("%.4g", e.High)
	}
	return fmt.Sprintf("%.4g [%.4g, %s] (%g %% interval)", e.Center, e.Low, high, 100*v.Confidence)
}

// OrderEffect is the mean of d where the baseline was asked first minus that
// where the test was, with Welch's interval, on the log scale. The order was
// drawn at random, so that the groups are comparable.
func OrderEffect(d []float64, baselineFirst []bool, confidence float64) (Interval, error) {
	if len(d) != len(baselineFirst) {
		return Interval{}, fmt.Errorf("order effect: %d and %d values: %w", len(d), len(baselineFirst), ErrLengths)
	}
	var first, second []float64
	for i, v := range d {
		if baselineFirst[i] {
			first = append(first, v)
		} else {
			second = append(second, v)
		}
	}
	v, err := Welch(first, second, confidence)
	if err != nil {
		return Interval{}, fmt.Errorf("order effect: %w", err)
	}
	v.Unit = UnitLogRatio
	if !v.Contains(0) {
		v.Warnings = append(v.Warnings, fmt.Sprintf(
			"which side is asked first matters: where it is the baseline, the ratio changes by the factor %s", asRatio(v)))
	}
	return v, nil
}

// WholeMilliseconds reports whether all of the latencies, in milliseconds, are
// whole: a clock that coarse is up to 17 % off on a short block.
func WholeMilliseconds(ms []float64) bool {
	for _, v := range ms {
		if v != math.Trunc(v) {
			return false
		}
	}
	return len(ms) > 0
}

// SmallBlocks is the share of pairs with a latency of either side below the
// limit, all in milliseconds, and the Hodges-Lehmann ratio without them (0 when
// none are left). On such blocks the fixed cost of a request weighs in the
// ratio; the warning is not empty when they are many.
func SmallBlocks(baseline, test []float64, limit float64) (share, ratio float64, warning string, err error) {
	d, err := LogRatios(baseline, test)
	if err != nil {
		return 0, 0, "", fmt.Errorf("small blocks: %w", err)
	}
	var large []float64
	for i, v := range d {
		if math.Min(baseline[i], test[i]) >= limit {
			large = append(large, v)
		}
	}
	if len(d) > 0 {
		share = 1 - float64(len(large))/float64(len(d))
	}
	if len(large) > 0 {
		hl, err := HodgesLehmann(large)
		if err != nil {
			return 0, 0, "", err
		}
		ratio = math.Exp(hl)
	}
	if share > warnSmallShare {
		warning = fmt.Sprintf("on %.0f %% of the blocks a side answers in under %g ms: the fixed cost of a request weighs in the ratio", 100*share, limit)
	}
	return share, ratio, warning, nil
}

// SignsDiffer reports whether a typical block and the total moved in opposite
// directions: center is a log ratio, totals a ratio. A tail is the usual
// reason.
func SignsDiffer(center, totals float64) bool {
	return center < 0 && totals > 1 || center > 0 && totals < 1
}
