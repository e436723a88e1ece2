package stat

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/stat/distuv"
)

// DefaultPower is the power that plans ask for.
const DefaultPower = 0.8

// PlanningSigma is the upper 80 % limit of a scale that was estimated with df
// degrees of freedom: sigma sqrt(df/chi2_{df,0.2}). A plan made with the
// estimate itself falls short half of the time.
func PlanningSigma(sigma, df float64) float64 {
	return sigma * math.Sqrt(df/distuv.ChiSquared{K: df}.Quantile(0.2))
}

// maxPairs is the largest number of pairs that a plan names. Beyond it the
// answer is that no run can see the effect.
const maxPairs = 1 << 40

// PairsToDetect is about how many pairs SR-EWC or t-EWC at level alpha needs
// to see a log effect of delta with the given power, when the log ratios have
// long-run scale sigma. It uses t quantiles: the normal ones of textbooks give
// 55 to 72 % power where 80 is asked for. The answer is at least MinPairs; 0
// says that no number of pairs does.
func PairsToDetect(sigma, delta, alpha, power float64) int {
	return pairs(sigma/math.Abs(delta), 1-alpha/2, power, MinPairs, ewc)
}

// PairsToEquate is about how many pairs show equivalence within ±delta (on the
// log scale) by two one-sided tests at level alpha, with the given power, when
// there is no effect. The answer is at least MinPairs; 0 says that no number
// of pairs does.
func PairsToEquate(sigma, delta, alpha, power float64) int {
	return pairs(sigma/math.Abs(delta), 1-alpha, 1-(1-power)/2, MinPairs, ewc)
}

// minProofs is the fewest pairs of proofs of which the exact test can decide
// something at a level of 0.05.
const minProofs = 6

// ProofsToDetect is PairsToDetect for pairs of proofs, which are independent
// between batches: below 50 of them the exact test is used, whose scale has one
// degree of freedom less than there are pairs. The answer is at least 6.
func ProofsToDetect(sigma, delta, alpha, power float64) int {
	n := pairs(sigma/math.Abs(delta), 1-alpha/2, power, minProofs, independent)
	if n > 0 && n < exactPairs {
		return n
	}
	return PairsToDetect(sigma, delta, alpha, power)
}

// ProofsToEquate is PairsToEquate for pairs of proofs, likewise.
func ProofsToEquate(sigma, delta, alpha, power float64) int {
	n := pairs(sigma/math.Abs(delta), 1-alpha, 1-(1-power)/2, minProofs, independent)
	if n > 0 && n < exactPairs {
		return n
	}
	return PairsToEquate(sigma, delta, alpha, power)
}

// ewc and independent are the degrees of freedom of the scale of n pairs:
// where neighbors correlate, and where they do not.
func ewc(n int) float64         { return float64(Nu(n)) }
func independent(n int) float64 { return float64(n - 1) }

// pairs is the smallest n from least on with
// n >= (t_{df(n),p} + t_{df(n),q})² ratio². The right side falls with n.
func pairs(ratio, p, q float64, least int, df func(int) float64) int {
	enough := func(n int) bool {
		t := quantileT(p, df(n)) + quantileT(q, df(n))
		return float64(n) >= t*t*ratio*ratio
	}
	if !(p > 0 && p < 1 && q > 0 && q < 1) || !enough(maxPairs) {
		return 0
	}
	high := least
	for !enough(high) {
		high *= 2
	}
	return least + sort.Search(high-least, func(i int) bool { return enough(least + i) })
}

// MDE is the minimum detectable effect of n pairs, as a fraction such as 0.03:
// exp((t_{nu,1-alpha/2} + t_{nu,power}) sigma/sqrt(n)) - 1.
func MDE(n int, sigma, alpha, power float64) float64 {
	return mde(ewc(n), sigma/math.Sqrt(float64(n)), alpha, power)
}

// MDE is the effect, as a fraction, that e would have shown with the given power
// at level alpha, on the log scale of e.
func (e Estimate) MDE(alpha, power float64) float64 { return mde(e.DF, e.SE, alpha, power) }

func mde(df, se, alpha, power float64) float64 {
	return math.Expm1((quantileT(1-alpha/2, df) + quantileT(power, df)) * se)
}

// MDE is the effect, as a fraction, below which more blocks do not help at
// alpha 0.05 and 80 % power, because sessions differ: only more sessions do.
// It is 0 without an interval between sessions.
func (s Sessions) MDE() float64 {
	if s.Between.N == 0 {
		return 0
	}
	return mde(s.Between.DF, s.Between.SE(), 0.05, DefaultPower)
}

// SampleSizeT is how many values per group the textbook t test needs to see a
// difference of delta with the given power when each value has standard
// deviation sd: one group of differences, or two groups. It is the real-valued
// n at which the power of the noncentral t is reached, both tails counted on
// the side of delta only, as R's power.t.test does. It serves plans for
// proving times, which are independent between batches. 0 says that no number
// does.
func SampleSizeT(sd, delta, alpha, power float64, groups int) float64 {
	g := float64(groups)
	if !(sd > 0) || delta == 0 || !(alpha > 0 && alpha < 1) || !(power > alpha && power < 1) || groups < 1 || groups > 2 {
		return 0
	}
	reached := func(n float64) float64 {
		return powerT(math.Sqrt(n/g)*math.Abs(delta)/sd, (n-1)*g, alpha)
	}
	low, high := 2.0, 4.0
	for reached(high) < power {
		if high > maxPairs {
			return 0
		}
		low, high = high, 2*high
	}
	for range 60 {
		mid := (low + high) / 2
		if reached(mid) < power {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// powerT is P(T > t_{df,1-alpha/2}) for a noncentral t: the mean of
// Phi(noncentrality - t u) over u = sqrt(chi²_df/df).
func powerT(noncentrality, df, alpha float64) float64 {
	t := quantileT(1-alpha/2, df)
	chi := distuv.ChiSquared{K: df}
	density := func(u float64) float64 {
		return upperNormal(t*u-noncentrality) * chi.Prob(df*u*u) * 2 * df * u
	}
	spread := 9 / math.Sqrt(2*df)
	return quad.Fixed(density, math.Max(0, 1-spread), 1+spread, 200, quad.Legendre{}, 0)
}
