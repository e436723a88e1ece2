package main

import (
	"math"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/stat"
)

func logs(d *delays, n int) (base, ratio []float64) {
	for i := range n {
		y := d.at(uint64(i))
		base = append(base, math.Log(float64(y[0])/float64(d.base)))
		ratio = append(ratio, math.Log(float64(y[1])/float64(y[0])))
	}
	return base, ratio
}

// The delays are what the tables say of them: median, spread, effect, stalls,
// and nothing that one block tells of the next.
func TestDelays_distribution(t *testing.T) {
	const n = 20000
	d := &delays{base: 20 * time.Millisecond, seed: 7, stream: 3, factors: [2]float64{1, 1.05}}
	base, ratios := logs(d, n)
	check := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance {
			t.Errorf("%s is %.5f, want %.5f ± %.5f", what, got, want, tolerance)
		}
	}
	s := stat.Summarize(base)
	// Stalls add 0.04·E[ln(1+E)] = 0.0239 to the mean, and less to the median.
	check("mean of the log delay", s.Mean, 0.0239, 4*spread/math.Sqrt(n))
	check("median of the log delay", s.Median, 0.018, 6*spread/math.Sqrt(n))
	check("sd of the log delay", s.SD, 0.43, 0.01)
	hl, err := stat.HodgesLehmann(ratios)
	if err != nil {
		t.Fatal(err)
	}
	check("Hodges-Lehmann estimate of the log ratio", hl, math.Log(1.05), 4*0.12/math.Sqrt(n))
	check("autocorrelation of the log ratios", stat.ACF(ratios, 1), 0, 4/math.Sqrt(n))
	check("autocorrelation of the log delays", stat.ACF(base, 1), 0, 4/math.Sqrt(n))
	far := 0.0
	for _, r := range ratios {
		// Four standard deviations of a ratio without a stall.
		if math.Abs(r-math.Log(1.05)) > 4*jitter*math.Sqrt2 {
			far++
		}
	}
	// Of the 8 % of pairs with a stall, about half exceed that.
	if share := far / n; share < 0.03 || share > 0.08 {
		t.Errorf("%.3f of the log ratios are far off, want the stalls", share)
	}
}

// Delays depend on seed, stream and block alone, and on each of them.
func TestDelays_pure(t *testing.T) {
	d := delays{base: time.Millisecond, seed: 1, stream: 2, factors: [2]float64{1, 1}}
	want := d.at(9)
	d.at(10)
	if got := d.at(9); got != want {
		t.Errorf("the same block is delayed by %v, then by %v", want, got)
	}
	seed, stream := d, d
	seed.seed, stream.stream = 2, 1
	if seed.at(9) == want || stream.at(9) == want || d.at(10) == want {
		t.Error("another seed, stream or block gives the same delays")
	}
	// An effect changes the delay of one side by exactly itself.
	slower := d
	slower.factors[1] = 1.5
	got := slower.at(9)
	if got[0] != want[0] || math.Abs(float64(got[1])/float64(want[1])-1.5) > 1e-5 {
		t.Errorf("an effect of +50 %% turns %v into %v", want, got)
	}
}

func TestWaitUntil_neverEarly(t *testing.T) {
	for _, wait := range []time.Duration{-time.Second, 0, time.Microsecond, spin, spin + time.Millisecond} {
		due := time.Now().Add(wait)
		late := waitUntil(due)
		if late < 0 || time.Now().Before(due) {
			t.Errorf("a wait of %v is over %v early", wait, -late)
		}
	}
}
