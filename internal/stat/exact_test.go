package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The exact null distributions against a count of every labeling.
func TestWilcoxon_byEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 1))
	for range 40 {
		n := 3 + rng.IntN(8)
		d := make([]float64, n)
		for i := range d {
			d[i] = float64(rng.IntN(11) - 5)
		}
		got := must(Wilcoxon(d))
		var sizes []float64
		zeros := 0
		for _, v := range d {
			if v == 0 {
				zeros++
				continue
			}
			sizes = append(sizes, math.Abs(v))
		}
		if got.Zeros != zeros || got.N != len(sizes) || !got.Exact {
			t.Fatalf("Wilcoxon(%v) = %+v", d, got)
		}
		ranks, _ := midranks(sizes)
		below, above := 0, 0
		for labels := range 1 << len(ranks) {
			v := 0.0
			for i, r := range ranks {
				if labels>>i&1 == 1 {
					v += r
				}
			}
			if v <= got.V {
				below++
			}
			if v >= got.V {
				above++
			}
		}
		want := math.Min(1, 2*float64(min(below, above))/float64(int(1)<<len(ranks)))
		near(t, "p", got.P, want, 1e-12)
	}
}

func TestMannWhitney_byEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 1))
	for range 40 {
		m, n := 1+rng.IntN(5), 1+rng.IntN(6)
		values := rng.Perm(m + n)
		x, y := make([]float64, 0, m), make([]float64, 0, n)
		for i, v := range values {
			if i < m {
				x = append(x, float64(v))
			} else {
				y = append(y, float64(v))
			}
		}
		got := must(MannWhitney(x, y))
		below, above, all := 0, 0, 0
		for labels := range 1 << (m + n) {
			u, size := 0, 0
			for i := range m + n {
				if labels>>i&1 == 0 {
					continue
				}
				// Each unlabeled value below it counts.
				for j := range i {
					u += 1 - labels>>j&1
				}
				size++
			}
			if size != m {
				continue
			}
			all++
			if float64(u) <= got.U {
				below++
			}
			if float64(u) >= got.U {
				above++
			}
		}
		near(t, "p", got.P, math.Min(1, 2*float64(min(below, above))/float64(all)), 1e-12)
	}
}

// The tail of the largest exact case keeps its precision.
func TestRankSumCDF_extremes(t *testing.T) {
	c := rankSumCDF(49, 49)
	total, _ := math.Lgamma(99)
	half, _ := math.Lgamma(50)
	near(t, "P(U = 0)", c[0], math.Exp(2*half-total), 1e-10)
	near(t, "P(U <= mn)", c[len(c)-1], 1, 1e-12)
	if !slices.IsSorted(c) {
		t.Error("the distribution function falls")
	}
}

// No rank test of few pairs reaches 0.05, and the interval says what it
// achieves.
func TestExactSignedRank_smallestP(t *testing.T) {
	for n, want := range map[int]float64{4: 0.125, 5: 0.0625, 6: 0.03125} {
		d := make([]float64, n)
		for i := range d {
			d[i] = 0.1 + float64(i)/100
		}
		v := must(ExactSignedRank(d, 0.95))
		near(t, "smallest p", v.P, want, 1e-12)
		if achieved := 1 - want; n < 6 && (v.Confidence != achieved || len(v.Warnings) < 2) {
			t.Errorf("n = %d: confidence %v with %q, want %v and a warning", n, v.Confidence, v.Warnings, achieved)
		}
		if v.Low != slices.Min(d) || v.High != slices.Max(d) {
			t.Errorf("n = %d: [%v, %v] is not the whole range", n, v.Low, v.High)
		}
	}
	if _, err := ExactSignedRank(make([]float64, 50), 0.95); err == nil {
		t.Error("50 pairs were analyzed by the small-sample method")
	}
}

// From 50 pairs on the normal approximation takes over; both agree there.
func TestWilcoxon_approximationJoins(t *testing.T) {
	rng := rand.New(rand.NewPCG(43, 1))
	d := make([]float64, 50)
	for i := range d {
		d[i] = rng.NormFloat64() + 0.2
	}
	approximate := must(Wilcoxon(d))
	ranks := make([]float64, 50)
	for i := range ranks {
		ranks[i] = float64(i + 1)
	}
	exact := 2 * min(rankSumTails(ranks, approximate.V), rankSumTails(ranks, 50*51/2-approximate.V))
	if approximate.Exact || math.Abs(approximate.P-exact) > 0.002 {
		t.Errorf("p = %v (exact %v), exactly %v", approximate.P, approximate.Exact, exact)
	}
}
