package stat

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// The kinds of interval, as they are printed.
const (
	KindTEWC        = "t-EWC"
	KindSREWC       = "SR-EWC"
	KindSequence    = "CS"
	KindBootstrap   = "bootstrap"
	KindHC3         = "HC3"
	KindOrder       = "order statistics"
	KindSignedRank  = "exact signed rank"
	KindPairedT     = "paired t"
	KindSessionT    = "session t"
	KindBlocks      = KindSREWC + combined
	KindMannWhitney = "Mann-Whitney"
	KindWelch       = "Welch t"
	KindCorrected   = "A/A corrected"
)

// combined ends the kind of an interval that stands on those of several
// sessions.
const combined = ", sessions combined"

// The units of effects. Intervals of latencies carry the unit of their
// series.
const (
	UnitRatio    = "ratio"
	UnitLogRatio = "log ratio"
	UnitSlope    = "log ratio per log gas"
)

// Interval is an estimate that never travels alone.
type Interval struct {
	// Center is the estimate. Low and High are the ends of its interval, on
	// the scale of Unit; they are infinite where the data set no bound (an
	// unbounded low end of a ratio is 0).
	Center, Low, High float64
	// Confidence is the level of the interval, such as 0.95.
	Confidence float64
	// N counts the pairs, or the samples, behind the estimate.
	N int
	// DF is the degrees of freedom of the reference distribution, 0 if the
	// method has none.
	DF float64
	// Kind names the method, Unit the scale.
	Kind, Unit string
	// P is the two-sided p-value of no effect, NaN where the method has none.
	P float64
	// Seed started the generator of a method that draws random numbers.
	Seed uint64
	// Warnings are sentences without a period that belong beside the number.
	Warnings []string
}

// Bounded reports whether both ends are set by the data.
func (v Interval) Bounded() bool {
	low := math.Inf(-1)
	if v.Unit == UnitRatio {
		low = 0
	}
	return v.Low > low && !math.IsInf(v.High, 1)
}

// Contains reports whether x lies in the closed interval.
func (v Interval) Contains(x float64) bool { return v.Low <= x && x <= v.High }

// Within reports whether the whole interval lies strictly between low and
// high.
func (v Interval) Within(low, high float64) bool { return v.Low > low && v.High < high }

// Exp turns a log ratio and its interval into a ratio. Everything else stays
// as it is: a p-value does not depend on the scale.
func (v Interval) Exp() Interval {
	v.Center, v.Low, v.High = math.Exp(v.Center), math.Exp(v.Low), math.Exp(v.High)
	v.Unit = UnitRatio
	return v
}

// Log is the inverse of Exp: a ratio on the log scale.
func (v Interval) Log() Interval {
	v.Center, v.Low, v.High = math.Log(v.Center), math.Log(v.Low), math.Log(v.High)
	v.Unit = UnitLogRatio
	return v
}

// SE is the standard error that an interval on the log scale stands for: its
// half-width over the t quantile of its DF (the normal quantile when DF is 0).
// It is infinite for an unbounded interval.
func (v Interval) SE() float64 {
	return (v.High - v.Low) / 2 / critical(v.Confidence, v.DF)
}

// Estimate is the center, standard error and degrees of freedom of v, from
// which intervals at other levels and tests follow.
func (v Interval) Estimate() Estimate {
	return Estimate{Value: v.Center, SE: v.SE(), DF: v.DF}
}

// Estimate is a number with a standard error and a Student t reference
// distribution of DF degrees of freedom (normal when DF is 0).
type Estimate struct {
	Value, SE, DF float64
}

// Interval is Value ± t * SE. The caller fills N, Kind and Unit.
func (e Estimate) Interval(confidence float64) Interval {
	h := critical(confidence, e.DF) * e.SE
	return Interval{
		Center: e.Value, Low: e.Value - h, High: e.Value + h,
		Confidence: confidence, DF: e.DF, P: e.P(),
	}
}

// P is the two-sided p-value of Value being zero.
func (e Estimate) P() float64 {
	return twoSided(e.Value/e.SE, e.DF)
}

// TOST is the pair of one-sided tests of Schuirmann (1987) that the value lies
// inside (-delta, delta), on the scale of the value.
func (e Estimate) TOST(delta float64) Equivalence {
	return Equivalence{
		Delta:  delta,
		PLower: upperTail((e.Value+delta)/e.SE, e.DF),
		PUpper: upperTail((delta-e.Value)/e.SE, e.DF),
	}
}

// Equivalence is the outcome of two one-sided tests of an effect within
// ±Delta, both on the log scale. It only says "no effect beyond Delta"; a
// large p-value of difference never does.
type Equivalence struct {
	Delta float64
	// PLower tests against an effect of -Delta or less, PUpper against one
	// of Delta or more.
	PLower, PUpper float64
}

// P is the p-value of equivalence: the larger of the two.
func (q Equivalence) P() float64 { return math.Max(q.PLower, q.PUpper) }

// Equivalent reports whether an effect of Delta or more is rejected on both
// sides at level alpha, which is the same as the interval of confidence
// 1-2alpha lying inside (-Delta, Delta).
func (q Equivalence) Equivalent(alpha float64) bool { return q.P() < alpha }

// critical is the two-sided critical value of Student's t with df degrees of
// freedom, of the normal when df is 0. A confidence outside (0, 1) is not a
// level, and gives the interval that says nothing: infinity.
func critical(confidence, df float64) float64 {
	if !(confidence > 0 && confidence < 1) {
		return math.Inf(1)
	}
	return quantileT(1-(1-confidence)/2, df)
}

// quantileT is the p-quantile of Student's t, of the normal when df is 0.
func quantileT(p, df float64) float64 {
	if df == 0 || math.IsInf(df, 1) {
		return distuv.UnitNormal.Quantile(p)
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(p)
}

// upperTail is P(T > t). A statistic of zero over zero shows nothing: 1.
func upperTail(t, df float64) float64 {
	switch {
	case math.IsNaN(t):
		return 1
	case math.IsInf(t, 1):
		return 0
	case math.IsInf(t, -1):
		return 1
	case df == 0 || math.IsInf(df, 1):
		return upperNormal(t)
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Survival(t)
}

// upperNormal is P(Z > z). It keeps its relative precision far in the tail,
// where 1 minus the distribution function has none.
func upperNormal(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// twoSided is P(|T| > |t|).
func twoSided(t, df float64) float64 {
	return math.Min(1, 2*upperTail(math.Abs(t), df))
}

// fewPairs is the warning that belongs beside an interval of n pairs when n is
// below MinPairs.
func fewPairs(n int) []string {
	if n >= MinPairs {
		return nil
	}
	return []string{fmt.Sprintf("%d pairs are too few for a verdict, which needs %d", n, MinPairs)}
}
