package stat

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Holm adjusts p-values for their number (Holm 1979): in ascending order,
// the largest so far of min(1, (k-i+1) p_(i)). The result is in the order of p;
// each adjusted value may be held against the level of the whole family.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	adjusted := make([]float64, len(p))
	worst := 0.0
	for rank, i := range order {
		worst = math.Max(worst, math.Min(1, float64(len(p)-rank)*p[i]))
		adjusted[i] = worst
	}
	return adjusted
}

// McNemar is the exact two-sided p-value (McNemar 1947) of as many blocks on
// which only the baseline failed as ones on which only the test failed. Blocks
// on which both or neither failed say nothing and are not asked for.
func McNemar(onlyBaseline, onlyTest int) float64 {
	n := onlyBaseline + onlyTest
	if n <= 0 {
		return 1
	}
	b := distuv.Binomial{N: float64(n), P: 0.5}
	return math.Min(1, 2*b.CDF(float64(min(onlyBaseline, onlyTest))))
}
