package stat

import (
	"fmt"
	"math"
	"sort"
)

// SignedRank is a series of log ratios in block order, prepared for the
// signed-rank statistic with an autocorrelation-robust variance ("SR-EWC"):
// the signed ranks of Wilcoxon (1945) about a center th, their long-run
// variance by EWC, Student's t with nu degrees of freedom. The interval is the
// set of centers that the test does not reject. The composition is this
// project's; its coverage under heavy tails and autocorrelation is what the
// simulations of this package test.
//
// It holds scratch space and serves one goroutine.
type SignedRank struct {
	// padded is sorted between two infinities, which end every walk.
	padded, sorted []float64
	order          []int32 // order[k] is the position in d of sorted[k]
	ranks          []float64
	cos            *cosines
	averages       sums // of Walsh; empty until the center is asked for
	center         float64
}

// NewSignedRank prepares d, which needs four finite values and some spread.
func NewSignedRank(d []float64) (*SignedRank, error) {
	return newSignedRank(d, nil)
}

// newSignedRank takes the cosines of a series of the same length, or nil: a
// simulation makes them once.
func newSignedRank(d []float64, cos *cosines) (*SignedRank, error) {
	if err := finite(d, minEWC); err != nil {
		return nil, fmt.Errorf("signed rank: %w", err)
	}
	n := len(d)
	if cos == nil {
		cos = newCosines(n, Nu(n))
	}
	r := &SignedRank{
		padded: make([]float64, n+2), order: make([]int32, n),
		ranks: make([]float64, n), cos: cos,
	}
	r.padded[0], r.padded[n+1] = math.Inf(-1), math.Inf(1)
	r.sorted = r.padded[1 : n+1]
	for k, p := range placed(d) {
		r.sorted[k], r.order[k] = p.value, int32(p.at)
	}
	for _, th := range [2]float64{r.sorted[n/2], 0} {
		if _, omega := r.signedRanks(th); omega <= noSpread*meanSquare(r.ranks) {
			return nil, fmt.Errorf("signed rank: %w", ErrNoSpread)
		}
	}
	return r, nil
}

// Center is the Hodges-Lehmann estimate.
func (r *SignedRank) Center() float64 {
	if r.averages.a == nil {
		r.averages = walsh(r.sorted)
		r.center = r.averages.median()
	}
	return r.center
}

// N is the number of values.
func (r *SignedRank) N() int { return len(r.sorted) }

// DF is nu, the degrees of freedom of the reference distribution.
func (r *SignedRank) DF() float64 { return float64(r.cos.nu) }

// Statistic is T(th) = sqrt(n) mean(s) / sqrt(Omega of s), with
// s_i = sign(d_i - th) R_i/(n+1) and R_i the midrank of |d_i - th|. It is
// infinite where the signed ranks have a mean and no long-run variance, and 0
// about NaN, from which nothing differs.
func (r *SignedRank) Statistic(th float64) float64 {
	if math.IsNaN(th) {
		return 0
	}
	// T is constant beyond the extremes; staying near them keeps distances
	// from rounding into ties.
	low, high := r.sorted[0], r.sorted[r.N()-1]
	th = math.Max(low-(high-low), math.Min(high+(high-low), th))
	total, omega := r.signedRanks(th)
	if total == 0 {
		return 0
	}
	return total / math.Sqrt(float64(len(r.ranks))*omega)
}

// signedRanks fills r.ranks with s about th, in block order, and returns their
// sum and long-run variance.
//
// The distances from th ascend outward from its place among the sorted values,
// so that the ranking is a merge of two runs.
func (r *SignedRank) signedRanks(th float64) (total, omega float64) {
	v, order, ranks := r.padded, r.order, r.ranks
	n := len(order)
	unit := 1 / float64(n+1)
	right := 1 + sort.SearchFloat64s(r.sorted, th)
	left, rank := right-1, 0
	below, above := th-v[left], v[right]-th
	for rank < n {
		// Away from ties and th itself, which the second half takes, one value
		// is ranked.
		if below < above {
			if next := th - v[left-1]; next != below {
				rank++
				ranks[order[left-1]] = -float64(rank) * unit
				total -= float64(rank) * unit
				left, below = left-1, next
				continue
			}
		} else if above < below && above != 0 {
			if next := v[right+1] - th; next != above {
				rank++
				ranks[order[right-1]] = float64(rank) * unit
				total += float64(rank) * unit
				right, above = right+1, next
				continue
			}
		}
		fromLeft, fromRight := left, right
		lowest := min(below, above)
		for th-v[left] == lowest {
			left--
		}
		for v[right]-th == lowest {
			right++
		}
		ties := fromLeft - left + right - fromRight
		s := (float64(rank) + float64(ties+1)/2) * unit
		if lowest == 0 {
			// A value at th keeps its place in the ranking and counts for
			// neither side.
			s = 0
		}
		total += s * float64(right-fromRight-(fromLeft-left))
		r.assign(left, fromLeft, -s)
		r.assign(fromRight-1, right-1, s)
		rank += ties
		below, above = th-v[left], v[right]-th
	}
	return total, r.cos.omega(ranks)
}

// assign gives the signed rank s to the sorted values from up to, not
// including, to.
func (r *SignedRank) assign(from, to int, s float64) {
	for _, at := range r.order[from:to] {
		r.ranks[at] = s
	}
}

// Interval is the Hodges-Lehmann center with the centers that the test does
// not reject at 1-confidence, on the log scale. P tests a center of zero. An
// end that even the most extreme value does not reject is infinite.
func (r *SignedRank) Interval(confidence float64) Interval {
	t := critical(confidence, r.DF())
	v := Interval{
		Center: r.Center(), Confidence: confidence, N: r.N(), DF: r.DF(),
		Low:  r.end(r.sorted[0], 1, t),
		High: r.end(r.sorted[r.N()-1], -1, t),
		Kind: KindSREWC, Unit: UnitLogRatio, P: twoSided(r.Statistic(0), r.DF()),
		Warnings: fewPairs(r.N()),
	}
	if !v.Bounded() {
		v.Warnings = append(v.Warnings, "the pairs set no bound on one side of the interval")
	}
	return v
}

// end is where sign*T crosses t on the way from the center to extreme.
func (r *SignedRank) end(extreme, sign, t float64) float64 {
	c := crossing{r: r, sign: sign, t: t, jump: r.N() > bisected}
	return c.bisect(extreme)
}

// Equivalence tests that the center lies inside (-delta, delta), on the log
// scale, by T at both margins.
func (r *SignedRank) Equivalence(delta float64) Equivalence {
	return Equivalence{
		Delta:  delta,
		PLower: upperTail(r.Statistic(-delta), r.DF()),
		PUpper: upperTail(-r.Statistic(delta), r.DF()),
	}
}

// Sigma is the scale of the log ratios that an SR-EWC interval implies,
// sqrt(n)(U-L)/(2t): with heavy tails it is smaller than the root of EWC's
// Omega, and the right one for "about n more pairs". It is infinite for an
// unbounded interval.
func Sigma(v Interval) float64 { return v.SE() * math.Sqrt(float64(v.N)) }
