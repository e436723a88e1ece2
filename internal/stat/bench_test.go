package stat

import (
	"fmt"
	"math"
	"testing"
)

// paired makes n pairs of latencies with noise like that of real ones.
func paired(b *testing.B, n int) (baseline, test, gas, d []float64) {
	z := newNoise(b, 1, 1)
	d = append([]float64(nil), z.draw(6, n, 0)...)
	baseline = append([]float64(nil), z.baseline...)
	test = append([]float64(nil), z.test...)
	for range n {
		gas = append(gas, 30e6*math.Exp(0.3*z.rng.NormFloat64()))
	}
	return baseline, test, gas, d
}

// BenchmarkAnalysis is everything that a report of n pairs asks for: all
// intervals, the equivalence test, diagnostics and 2000 bootstrap resamples
// of three quantiles.
func BenchmarkAnalysis(b *testing.B) {
	for _, n := range []int{200, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			baseline, test, gas, d := paired(b, n)
			for b.Loop() {
				r := must(NewSignedRank(d))
				for _, confidence := range []float64{0.95, 1 - AlphaFinal, 1 - 2*AlphaFinal} {
					r.Interval(confidence)
				}
				r.Equivalence(math.Log(1.03))
				must(GeometricMeanRatio(d, 0.95))
				must(TotalsRatio(baseline, test, 0.95))
				must(GasSlope(d, gas, 0.95))
				must(QuantileRatios(baseline, test, []float64{0.5, 0.9, 0.95}, Bootstrap{}))
				must(Diagnose(d, 0.95))
				Summarize(baseline)
				Summarize(test)
			}
		})
	}
}

// BenchmarkLive is one batch of ten pairs added to a monitor and its interval
// looked at.
func BenchmarkLive(b *testing.B) {
	_, _, _, d := paired(b, 600)
	live := must(NewLive(LiveOptions{Alpha: AlphaLive, PlannedPairs: 200, Batch: 10}))
	i := 0
	for b.Loop() {
		for range 10 {
			must(live.Add(d[i%len(d)], false))
			i++
		}
		live.Interval()
	}
}

func BenchmarkHodgesLehmann(b *testing.B) {
	for _, n := range []int{10, 200, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, _, _, d := paired(b, n)
			for b.Loop() {
				must(HodgesLehmann(d))
			}
		})
	}
}

func BenchmarkSignedRankInterval(b *testing.B) {
	for _, n := range []int{200, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, _, _, d := paired(b, n)
			for b.Loop() {
				must(NewSignedRank(d)).Interval(0.95)
			}
		})
	}
}

func BenchmarkQuantileRatios(b *testing.B) {
	for _, n := range []int{200, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			baseline, test, _, _ := paired(b, n)
			for b.Loop() {
				must(QuantileRatios(baseline, test, []float64{0.5, 0.9, 0.95}, Bootstrap{}))
			}
		})
	}
}

// BenchmarkShift is the unpaired comparison of two imported series.
func BenchmarkShift(b *testing.B) {
	for _, n := range []int{200, 10_000, 200_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			baseline, test, _, _ := paired(b, n)
			for b.Loop() {
				must(Shift(test, baseline, 0.95))
			}
		})
	}
}
