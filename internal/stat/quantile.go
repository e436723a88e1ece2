package stat

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// HarrellDavis is the quantile estimator of Harrell and Davis (1982): a
// weighted mean of all order statistics, with the weights of a beta
// distribution about p. It varies less than a single order statistic, which
// is why the p50, p90 and p95 of a comparison use it. x may be in any order;
// the result has its unit. p lies strictly between 0 and 1.
func HarrellDavis(x []float64, p float64) (float64, error) {
	if err := finite(x, 1); err != nil {
		return 0, fmt.Errorf("harrell-davis: %w", err)
	}
	if !(p > 0 && p < 1) {
		return 0, fmt.Errorf("harrell-davis: p is %v and not between 0 and 1", p)
	}
	rule := harrellDavisRule(len(x), p)
	q, before := 0.0, 0.0
	for i, v := range sortedCopy(x)[rule.from:rule.to] {
		upTo := rule.cumulative[i+1]
		q += (upTo - before) * v
		before = upTo
	}
	return q, nil
}

// TailPairs is the smallest number of values with a two-sided 95 % interval of
// order statistics for p99; below it p99 is not shown.
const TailPairs = 368

// Bootstrap says how quantile ratios are resampled. The zero value means 2000
// resamples, 95 % confidence and seed 0.
type Bootstrap struct {
	Resamples  int
	Confidence float64
	Seed       uint64
}

// bootstrapStream is the second word of the generator's state, so that a seed
// of the run does not give another method the same numbers.
const bootstrapStream = 0x626f6f7473747261

// QuantileRatios is, for each p, the ratio of the test side's p-quantile to
// the baseline's with the percentile interval of a paired circular block
// bootstrap (Politis and Romano 1992): the same block indices for both sides,
// in runs of ceil(n^(1/3)) that wrap round. baseline and test are positive
// latencies in block order, row by row, in one unit. Quantiles are
// Harrell-Davis up to p95; beyond, they are type 7, need 368 pairs and are
// informational. P is the two-sided percentile p-value (Davison and Hinkley
// 1997), no smaller than 2/(resamples+1).
//
// The number of resamples does not depend on n. Of a long series, a resample
// is only looked at about the quantiles, which costs n^(2/3) per resample and
// gives the very same numbers: see window.
func QuantileRatios(baseline, test, ps []float64, opts Bootstrap) ([]Interval, error) {
	if err := sameLength(baseline, test); err != nil {
		return nil, fmt.Errorf("quantile ratios: %w", err)
	}
	for _, x := range [][]float64{baseline, test} {
		if err := positive(x, minEWC); err != nil {
			return nil, fmt.Errorf("quantile ratios: %w", err)
		}
	}
	if opts.Resamples == 0 {
		opts.Resamples = 2000
	}
	if opts.Resamples < 0 {
		return nil, fmt.Errorf("quantile ratios: %d resamples", opts.Resamples)
	}
	if opts.Confidence == 0 {
		opts.Confidence = 0.95
	}
	r, err := newResampler(baseline, test, ps)
	if err != nil {
		return nil, err
	}
	n := len(baseline)
	centers := r.sample()
	replicates := r.replicates(opts)
	out := make([]Interval, len(ps))
	for k := range ps {
		v, err := percentile(centers[k], replicates[k], opts.Confidence)
		if err != nil {
			return nil, fmt.Errorf("ratio of the %v quantiles: %w", ps[k], err)
		}
		v.N, v.Seed, v.Warnings = n, opts.Seed, append(v.Warnings, fewPairs(n)...)
		if ps[k] > smoothUpTo {
			v.Warnings = append(v.Warnings, "informational: this far in the tail no verdict is drawn")
		}
		out[k] = v.Exp()
	}
	return out, nil
}

// percentile is the interval of the sorted replicates at the 0-based positions
// floor(B a/2) and floor(B(1-a/2))-1.
func percentile(center float64, replicates []float64, confidence float64) (Interval, error) {
	slices.Sort(replicates)
	b := len(replicates)
	if replicates[0] == replicates[b-1] {
		return Interval{}, ErrNoSpread
	}
	v := Interval{
		Center: center, Low: math.Inf(-1), High: math.Inf(1),
		Confidence: confidence, Kind: KindBootstrap, Unit: UnitLogRatio,
	}
	// The slack keeps 2000*0.025 from falling to 49.
	tail := (1 - confidence) / 2
	lo := int(math.Floor(float64(b)*tail + 1e-9))
	hi := int(math.Floor(float64(b)*(1-tail)+1e-9)) - 1
	if lo >= 1 && lo <= hi {
		v.Low, v.High = replicates[lo], replicates[hi]
	} else {
		v.Warnings = []string{fmt.Sprintf("%d resamples bound nothing at a confidence of %v", b, confidence)}
	}
	below, above := 1, 1
	for _, r := range replicates {
		if r <= 0 {
			below++
		}
		if r >= 0 {
			above++
		}
	}
	v.P = math.Min(1, 2*float64(min(below, above))/float64(b+1))
	return v, nil
}

// smoothUpTo is the largest p with a Harrell-Davis quantile: beyond it too few
// order statistics carry the weight.
const smoothUpTo = 0.95

// Ranks are the 1-based ranks of the order statistics that bound the
// p-quantile of n independent values: l = qbinom(a/2; n, p) and
// u = qbinom(1-a/2; n, p) + 1. l is 0, or u is n+1, where no order statistic
// bounds it. achieved is the probability that the interval covers.
func Ranks(n int, p, confidence float64) (l, u int, achieved float64) {
	tail := (1 - confidence) / 2
	l = binomialQuantile(tail, n, p)
	u = binomialQuantile(1-tail, n, p) + 1
	b := distuv.Binomial{N: float64(n), P: p}
	achieved = b.CDF(float64(u - 1))
	if l > 0 {
		achieved -= b.CDF(float64(l - 1))
	}
	return l, u, achieved
}

// binomialQuantile is the smallest k with P(X <= k) >= q.
func binomialQuantile(q float64, n int, p float64) int {
	b := distuv.Binomial{N: float64(n), P: p}
	lo, hi := 0, n
	for lo < hi {
		mid := lo + (hi-lo)/2
		// R's slack, for levels that a sum of probabilities hits exactly.
		if b.CDF(float64(mid)) >= q*(1-64*0x1p-52) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// QuantileInterval is the type 7 p-quantile of one side with an interval of
// order statistics, in the unit of sorted, which ascends. An end that no order
// statistic sets is infinite. It assumes independent values, and Confidence is
// what the ranks achieve.
func QuantileInterval(sorted []float64, p, confidence float64) (Interval, error) {
	if err := finite(sorted, 1); err != nil {
		return Interval{}, fmt.Errorf("quantile: %w", err)
	}
	if !(p > 0 && p < 1) || !(confidence > 0 && confidence < 1) {
		return Interval{}, fmt.Errorf("quantile: p is %v at confidence %v, and both lie between 0 and 1", p, confidence)
	}
	n := len(sorted)
	l, u, achieved := Ranks(n, p, confidence)
	v := Interval{
		Center: Quantile(sorted, p), Low: math.Inf(-1), High: math.Inf(1),
		Confidence: achieved, N: n, Kind: KindOrder, P: math.NaN(),
	}
	if l >= 1 {
		v.Low = sorted[l-1]
	}
	if u <= n {
		v.High = sorted[u-1]
	}
	if !v.Bounded() {
		v.Warnings = []string{fmt.Sprintf("%d values do not bound the %v quantile on both sides", n, p)}
	}
	return v, nil
}
