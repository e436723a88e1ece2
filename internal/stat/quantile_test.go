package stat

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQuantile_type7(t *testing.T) {
	for _, c := range []struct {
		x       []float64
		p, want float64
	}{
		{[]float64{5}, 0, 5},
		{[]float64{5}, 0.5, 5},
		{[]float64{1, 2}, 0.5, 1.5},
		{[]float64{1, 2, 3, 4}, 0, 1},
		{[]float64{1, 2, 3, 4}, 1, 4},
		{[]float64{1, 2, 3, 4}, -1, 1},
		{[]float64{1, 2, 3, 4}, 2, 4},
		{[]float64{1, 2, 3, 4}, 0.25, 1.75},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 0.9, 10},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 0.7, 8},
	} {
		if got := Quantile(c.x, c.p); got != c.want {
			t.Errorf("Quantile(%v, %v) = %v, want %v", c.x, c.p, got, c.want)
		}
	}
	if !math.IsNaN(Quantile(nil, 0.5)) || !math.IsNaN(Quantile([]float64{1}, math.NaN())) {
		t.Error("a quantile of nothing is a number")
	}
}

func TestSummarize_edges(t *testing.T) {
	if got := Summarize(nil); got != (Summary{}) {
		t.Errorf("Summarize(nil) = %+v", got)
	}
	got := Summarize([]float64{math.NaN(), 4, math.Inf(1)})
	want := Summary{N: 1, Left: 2, Min: 4, Max: 4, Mean: 4, Median: 4, P90: 4, P95: 4, P99: 4, GeometricMean: 4}
	if math.Abs(got.GeometricMean-4) < 1e-12 {
		got.GeometricMean = 4
	}
	if got != want {
		t.Errorf("Summarize of one finite value = %+v, want %+v", got, want)
	}
	if got := Summarize([]float64{0, 1}); got.GeometricMean != 0 {
		t.Errorf("geometric mean with a zero = %v", got.GeometricMean)
	}
	x := []float64{3, 1, 2}
	Summarize(x)
	if !slices.Equal(x, []float64{3, 1, 2}) {
		t.Errorf("Summarize changed its argument to %v", x)
	}
}

// The walk over counts gives the quantiles of the resample it describes.
func TestResampler_againstExplicitResamples(t *testing.T) {
	z := newNoise(t, 51, 1)
	z.draw(7, 400, 0)
	ps := []float64{0.5, 0.9, 0.95, 0.99}
	r := must(newResampler(z.baseline, z.test, ps))
	if r.run != 8 {
		t.Errorf("runs of %d, want ceil(400^(1/3)) = 8", r.run)
	}
	rng := rand.New(rand.NewPCG(52, 1))
	got := make([]float64, len(ps))
	for range 20 {
		r.draw(rng)
		r.count()
		var a, b []float64
		for i, c := range r.counts {
			for range c {
				a, b = append(a, z.baseline[i]), append(b, z.test[i])
			}
		}
		if len(a) != 400 {
			t.Fatalf("%d pairs were drawn", len(a))
		}
		r.logRatios(got)
		for k, p := range ps {
			qa, qb := must(HarrellDavis(a, p)), must(HarrellDavis(b, p))
			if p > smoothUpTo {
				qa, qb = Quantile(sortedCopy(a), p), Quantile(sortedCopy(b), p)
			}
			if want := math.Log(qb / qa); math.Abs(got[k]-want) > 1e-12 {
				t.Errorf("p%v of a resample: log ratio %v, want %v", 100*p, got[k], want)
			}
		}
	}
}

func TestResampler_runsAreConsecutive(t *testing.T) {
	x := make([]float64, 1000)
	for i := range x {
		x[i] = float64(i + 1)
	}
	r := must(newResampler(x, x, []float64{0.5}))
	r.draw(rand.New(rand.NewPCG(53, 1)))
	r.count()
	drawn, starts := 0, 0
	for i, c := range r.counts {
		drawn += int(c)
		if c > r.counts[(i+999)%1000] {
			starts += int(c - r.counts[(i+999)%1000])
		}
	}
	if drawn != 1000 || starts > 100 {
		t.Errorf("%d draws in at least %d runs, want 1000 in at most 100", drawn, starts)
	}
}

func TestQuantileRatios_refusals(t *testing.T) {
	x := make([]float64, 367)
	for i := range x {
		x[i] = float64(i + 1)
	}
	check := func(what string, err, want error) {
		t.Helper()
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", what, err, want)
		}
	}
	_, err := QuantileRatios(x, x[:10], []float64{0.5}, Bootstrap{})
	check("unequal lengths", err, ErrLengths)
	_, err = QuantileRatios(x, x, []float64{0.99}, Bootstrap{})
	check("p99 of 367 pairs", err, ErrTooFew)
	_, err = QuantileRatios(x, x, []float64{1}, Bootstrap{})
	check("p100", err, nil)
	_, err = QuantileRatios(append(x[:10:10], 0), x[:11], []float64{0.5}, Bootstrap{})
	check("a zero latency", err, ErrNotPositive)
	_, err = QuantileRatios(x, x, []float64{0.5}, Bootstrap{Resamples: -1})
	check("negative resamples", err, nil)
	y := append([]float64{500}, x...)
	for _, confidence := range []float64{0.9999, 1, math.NaN()} {
		vs := must(QuantileRatios(x, y[:len(x)], []float64{0.5}, Bootstrap{Resamples: 100, Confidence: confidence}))
		if vs[0].Bounded() || len(vs[0].Warnings) != 1 {
			t.Errorf("100 resamples at confidence %v: %+v, want unbounded and a warning", confidence, vs[0])
		}
	}
	x = append(x, 400)
	vs := must(QuantileRatios(x, y, []float64{0.99}, Bootstrap{Resamples: 100}))
	if len(vs[0].Warnings) != 1 {
		t.Errorf("p99 warns %q, want that it is informational", vs[0].Warnings)
	}
}

func TestQuantileInterval_unbounded(t *testing.T) {
	x := make([]float64, 35)
	for i := range x {
		x[i] = float64(i + 1)
	}
	v := must(QuantileInterval(x, 0.9, 0.95))
	if !math.IsInf(v.High, 1) || math.IsInf(v.Low, -1) || v.Bounded() || len(v.Warnings) != 1 {
		t.Errorf("p90 of 35 values = %+v, want no upper end and a warning", v)
	}
	if v := must(QuantileInterval(append(x, 36), 0.9, 0.95)); v.High != 36 || v.Low != 29 {
		t.Errorf("p90 of 36 values = [%v, %v]", v.Low, v.High)
	}
}
