package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mathext"
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
	cumulative := harrellDavis(len(x), p)
	q := 0.0
	for i, v := range sortedCopy(x) {
		q += (cumulative[i+1] - cumulative[i]) * v
	}
	return q, nil
}

// harrellDavis is I_{i/n}(a, b) for i = 0..n, a = (n+1)p, b = (n+1)(1-p): the
// weight of the i smallest values together.
func harrellDavis(n int, p float64) []float64 {
	a, b := float64(n+1)*p, float64(n+1)*(1-p)
	c := make([]float64, n+1)
	for i := 1; i < n; i++ {
		c[i] = mathext.RegIncBeta(a, b, float64(i)/float64(n))
	}
	c[n] = 1
	return c
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
	for i := range r.counts {
		r.counts[i] = 1
	}
	centers := r.logRatios(make([]float64, len(ps)))
	replicates := make([][]float64, len(ps))
	rng := rand.New(rand.NewPCG(opts.Seed, bootstrapStream))
	got := make([]float64, len(ps))
	for range opts.Resamples {
		r.draw(rng)
		for k, v := range r.logRatios(got) {
			replicates[k] = append(replicates[k], v)
		}
	}
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

// resampler computes quantiles of a resample from how often each pair was
// drawn: the values are sorted once, and a resample is a walk along them.
type resampler struct {
	counts []int32 // per pair, in block order
	sides  [2]ordered
	rules  []quantileRule
	run    int
	// seen[i] is how many draws are no larger than the i-th smallest value of
	// the side that is walked.
	seen []int32
}

// ordered is one side: its values ascending and where they stand in block
// order.
type ordered struct {
	values []float64
	index  []int32
}

// quantileRule is one quantile of a sample of n: Harrell-Davis when cumulative
// is set, type 7 at h = (n-1)p otherwise.
type quantileRule struct {
	// cumulative is, for i = 0..n, the weight of the i smallest values. All
	// but nothing of it falls between the positions from and to, which at
	// 10,000 values is a tenth of the way.
	cumulative []float64
	from, to   int32
	h          float64
}

// nothing is a weight that no rounding shows.
const nothing = 1e-17

func harrellDavisRule(n int, p float64) quantileRule {
	q := quantileRule{cumulative: harrellDavis(n, p), to: int32(n)}
	for q.cumulative[q.from+1] < nothing {
		q.from++
	}
	for 1-q.cumulative[q.to-1] < nothing {
		q.to--
	}
	return q
}

func newResampler(baseline, test, ps []float64) (*resampler, error) {
	n := len(baseline)
	r := &resampler{
		counts: make([]int32, n), seen: make([]int32, n),
		run: int(math.Ceil(math.Cbrt(float64(n)) - 1e-9)),
	}
	for i, x := range [2][]float64{baseline, test} {
		r.sides[i] = newOrdered(x)
	}
	for _, p := range ps {
		switch {
		case !(p > 0 && p < 1):
			return nil, fmt.Errorf("quantile ratios: p is %v and not between 0 and 1", p)
		case p <= smoothUpTo:
			r.rules = append(r.rules, harrellDavisRule(n, p))
		case n < TailPairs:
			return nil, fmt.Errorf("ratio of the %v quantiles: %d of at least %d pairs: %w", p, n, TailPairs, ErrTooFew)
		default:
			r.rules = append(r.rules, quantileRule{h: float64(n-1) * p})
		}
	}
	return r, nil
}

func newOrdered(x []float64) ordered {
	o := ordered{values: make([]float64, len(x)), index: make([]int32, len(x))}
	for k, p := range placed(x) {
		o.values[k], o.index[k] = p.value, int32(p.at)
	}
	return o
}

// draw fills counts with a resample of n pairs: runs of consecutive pairs from
// uniform starts, the last one cut.
func (r *resampler) draw(rng *rand.Rand) {
	n := len(r.counts)
	clear(r.counts)
	for left := n; left > 0; left -= r.run {
		i := rng.IntN(n)
		for range min(r.run, left) {
			r.counts[i]++
			if i++; i == n {
				i = 0
			}
		}
	}
}

// logRatios fills to with ln of test over baseline for each quantile.
func (r *resampler) logRatios(to []float64) []float64 {
	clear(to)
	for side, o := range r.sides {
		sign := float64(2*side - 1)
		draws := int32(0)
		for i, at := range o.index {
			draws += r.counts[at]
			r.seen[i] = draws
		}
		for k, rule := range r.rules {
			to[k] += sign * math.Log(rule.of(o.values, r.seen))
		}
	}
	return to
}

// of is the quantile of a resample that holds seen[i] draws no larger than
// values[i], which ascend.
func (q quantileRule) of(values []float64, seen []int32) float64 {
	if q.cumulative == nil {
		whole := int32(q.h)
		low := values[after(seen, whole)]
		high := values[after(seen, min(whole+1, int32(len(seen)-1)))]
		return low + (q.h-float64(whole))*(high-low)
	}
	sum, before := 0.0, 0.0
	for i := after(seen, q.from); i < len(seen); i++ {
		// A value that was not drawn adds nothing, and testing for it would
		// cost more than that.
		upTo := q.cumulative[seen[i]]
		sum += (upTo - before) * values[i]
		before = upTo
		if seen[i] >= q.to {
			break
		}
	}
	return sum
}

// after is the first position with more than k draws: where the order statistic
// of 0-based rank k stands.
func after(seen []int32, k int32) int {
	i, _ := slices.BinarySearch(seen, k+1)
	return i
}

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
