package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// quantileRule is one quantile of a sample of n: Harrell-Davis when cumulative
// is set, type 7 at h = (n-1)p otherwise.
type quantileRule struct {
	p float64
	// cumulative is, for k = from..to, the weight of the k smallest values
	// together. All but nothing of it falls between these.
	cumulative []float64
	from, to   int
	h          float64
}

// nothing is a weight that no rounding shows.
const nothing = 1e-17

// harrellDavisRule has the weights I_{k/n}(a, b), a = (n+1)p, b = (n+1)(1-p),
// with I the regularized incomplete beta function.
func harrellDavisRule(n int, p float64) quantileRule {
	q := quantileRule{p: p, to: n}
	if float64(n)*p*(1-p) >= integrable {
		q.integrate(n)
	} else {
		a, b := float64(n+1)*p, float64(n+1)*(1-p)
		q.cumulative = make([]float64, n+1)
		for k := 1; k < n; k++ {
			q.cumulative[k] = mathext.RegIncBeta(a, b, float64(k)/float64(n))
		}
		q.cumulative[n] = 1
	}
	for q.cumulative[1] < nothing {
		q.cumulative = q.cumulative[1:]
		q.from++
	}
	last := len(q.cumulative) - 1
	// The function never returns the one before the end.
	for last > 1 && q.cumulative[last-1] >= 1-0x1p-52 {
		last--
		q.to--
	}
	q.cumulative = q.cumulative[:last+1]
	q.cumulative[last] = 1
	return q
}

// integrable is the value of np(1-p) from which the weights are integrals of
// the beta density over one n-th, by three points of Gauss. The density is
// then so wide that the weights err by less than 1e-9 of the largest, and an
// integral takes a hundredth of the time of the incomplete beta function,
// whose continued fraction does not converge for millions of values.
const integrable = 100

// integrate fills the weights from 12 standard deviations below the quantile
// to 12 above.
func (q *quantileRule) integrate(n int) {
	// The exponents of the density are one less than a and b.
	a, b := float64(n+1)*q.p-1, float64(n+1)*(1-q.p)-1
	mode := a / (a + b)
	density := func(x float64) float64 {
		return math.Exp(a*math.Log1p((x-mode)/mode) + b*math.Log1p((mode-x)/(1-mode)))
	}
	size := float64(n)
	reach := 12 * math.Sqrt(size*q.p*(1-q.p))
	q.from = max(0, int(size*q.p-reach))
	q.to = min(n, int(size*q.p+reach)+1)
	q.cumulative = make([]float64, q.to-q.from+1)
	node := math.Sqrt(0.6) / 2 / size
	total := 0.0
	for k := 1; k < len(q.cumulative); k++ {
		x := (float64(q.from+k) - 0.5) / size
		total += 5*density(x-node) + 8*density(x) + 5*density(x+node)
		q.cumulative[k] = total
	}
	for k := range q.cumulative {
		q.cumulative[k] /= total
	}
}

// ordered is one side: its values ascending and where they stand in block
// order.
type ordered struct {
	values []float64
	index  []int32
}

func newOrdered(x []float64) ordered {
	o := ordered{values: make([]float64, len(x)), index: make([]int32, len(x))}
	for k, p := range placed(x) {
		o.values[k], o.index[k] = p.value, int32(p.at)
	}
	return o
}

// resampler computes quantiles of a resample from how often each pair was
// drawn: the values are sorted once, and a resample is a walk along them.
type resampler struct {
	n, run int
	sides  [2]ordered
	rules  []quantileRule
	// starts are those of the runs of the resample that was drawn last. The
	// last run is cut to make up n pairs.
	starts []int32
	// counts is how often each pair was drawn, in block order. seen[i] is how
	// many draws are no larger than the i-th smallest value of the side that
	// is walked.
	counts, seen []int32
}

func newResampler(baseline, test, ps []float64) (*resampler, error) {
	n := len(baseline)
	r := &resampler{
		n: n, run: int(math.Ceil(math.Cbrt(float64(n)) - 1e-9)),
		counts: make([]int32, n), seen: make([]int32, n),
	}
	r.starts = make([]int32, (n+r.run-1)/r.run)
	for _, p := range ps {
		switch {
		case !(p > 0 && p < 1):
			return nil, fmt.Errorf("quantile ratios: p is %v and not between 0 and 1", p)
		case p <= smoothUpTo:
			r.rules = append(r.rules, harrellDavisRule(n, p))
		case n < TailPairs:
			return nil, fmt.Errorf("ratio of the %v quantiles: %d of at least %d pairs: %w", p, n, TailPairs, ErrTooFew)
		default:
			r.rules = append(r.rules, quantileRule{p: p, h: float64(n-1) * p})
		}
	}
	for i, x := range [2][]float64{baseline, test} {
		r.sides[i] = newOrdered(x)
	}
	return r, nil
}

// sample is ln of test over baseline for each quantile of the pairs
// themselves.
func (r *resampler) sample() []float64 {
	for i := range r.counts {
		r.counts[i] = 1
	}
	return r.logRatios(make([]float64, len(r.rules)))
}

// windowFrom is the number of pairs from which a resample is looked at through
// windows. At 2,000 pairs they are as wide as the whole.
const windowFrom = 4000

// replicates are the log ratios of each quantile in each resample.
func (r *resampler) replicates(opts Bootstrap) [][]float64 {
	out := make([][]float64, len(r.rules))
	for k := range out {
		out[k] = make([]float64, opts.Resamples)
	}
	if r.n < windowFrom {
		rng := bootstrapSource(opts.Seed)
		got := make([]float64, len(r.rules))
		for b := range opts.Resamples {
			r.draw(rng)
			r.count()
			for k, v := range r.logRatios(got) {
				out[k][b] = v
			}
		}
		return out
	}
	for side := range r.sides {
		sign := float64(2*side - 1)
		w := newWindows(r, side)
		rng := bootstrapSource(opts.Seed)
		for b := range opts.Resamples {
			// Both sides draw the same.
			r.draw(rng)
			for k, q := range w.quantiles() {
				out[k][b] += sign * math.Log(q)
			}
		}
	}
	return out
}

func bootstrapSource(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, bootstrapStream))
}

// draw fills starts with a resample of n pairs: runs of consecutive pairs from
// uniform starts.
func (r *resampler) draw(rng *rand.Rand) {
	for i := range r.starts {
		r.starts[i] = int32(rng.IntN(r.n))
	}
}

// length is that of run i of a resample.
func (r *resampler) length(i int) int { return min(r.run, r.n-i*r.run) }

// count fills counts from starts.
func (r *resampler) count() {
	clear(r.counts)
	for i, start := range r.starts {
		at := int(start)
		for range r.length(i) {
			r.counts[at]++
			if at++; at == r.n {
				at = 0
			}
		}
	}
}

// logRatios fills to with ln of test over baseline for each quantile.
func (r *resampler) logRatios(to []float64) []float64 {
	clear(to)
	for side := range r.sides {
		sign := float64(2*side - 1)
		r.walk(side)
		for k, rule := range r.rules {
			to[k] += sign * math.Log(rule.of(r.sides[side].values, r.seen))
		}
	}
	return to
}

// walk fills seen from counts.
func (r *resampler) walk(side int) {
	draws := int32(0)
	for i, at := range r.sides[side].index {
		draws += r.counts[at]
		r.seen[i] = draws
	}
}

// of is the quantile of a resample that holds seen[i] draws no larger than
// values[i], which ascend.
func (q *quantileRule) of(values []float64, seen []int32) float64 {
	if q.cumulative == nil {
		whole := int(q.h)
		low := values[after(seen, whole)]
		high := values[after(seen, min(whole+1, len(seen)-1))]
		return low + (q.h-float64(whole))*(high-low)
	}
	sum, before := 0.0, 0.0
	for i := after(seen, q.from); i < len(seen); i++ {
		// A value that was not drawn adds nothing, and testing for it would
		// cost more than that.
		upTo := q.cumulative[min(int(seen[i]), q.to)-q.from]
		sum += (upTo - before) * values[i]
		before = upTo
		if int(seen[i]) >= q.to {
			break
		}
	}
	return sum
}

// after is the first position with more than k draws: where the order statistic
// of 0-based rank k stands.
func after(seen []int32, k int) int {
	i, _ := slices.BinarySearch(seen, int32(k)+1)
	return i
}
