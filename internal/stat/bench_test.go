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

// sizes are numbers of pairs: a run, a long run, and what two logs of two
// million lines give as whole logs and filtered.
var sizes = []int{200, 10_000, 222_000, 2_000_000}

// atSizes runs one sub-benchmark per size. The largest is called long/2000000,
// so that -skip long leaves it out.
func atSizes(b *testing.B, do func(b *testing.B, n int)) {
	for _, n := range sizes {
		name := fmt.Sprint(n)
		if n > 1_000_000 {
			name = "long/" + name
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			do(b, n)
		})
	}
}

// BenchmarkAnalysis is everything that a report of n pairs asks for: all
// intervals, the equivalence test, diagnostics and 2000 bootstrap resamples
// of three quantiles.
func BenchmarkAnalysis(b *testing.B) {
	atSizes(b, func(b *testing.B, n int) {
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

// BenchmarkParts is each of them by itself.
func BenchmarkParts(b *testing.B) {
	parts := []struct {
		name string
		do   func(baseline, test, gas, d []float64)
	}{
		{"NewSignedRank", func(_, _, _, d []float64) { must(NewSignedRank(d)) }},
		{"Interval", func(_, _, _, d []float64) { must(NewSignedRank(d)).Interval(0.95) }},
		{"HodgesLehmann", func(_, _, _, d []float64) { must(HodgesLehmann(d)) }},
		{"EWC", func(_, _, _, d []float64) { EWC(d) }},
		{"GeometricMeanRatio", func(_, _, _, d []float64) { must(GeometricMeanRatio(d, 0.95)) }},
		{"TotalsRatio", func(baseline, test, _, _ []float64) { must(TotalsRatio(baseline, test, 0.95)) }},
		{"GasSlope", func(_, _, gas, d []float64) { must(GasSlope(d, gas, 0.95)) }},
		{"QuantileRatios", func(baseline, test, _, _ []float64) {
			must(QuantileRatios(baseline, test, []float64{0.5, 0.9, 0.95}, Bootstrap{}))
		}},
		{"Diagnose", func(_, _, _, d []float64) { must(Diagnose(d, 0.95)) }},
		{"FindMixture", func(_, _, _, d []float64) { FindMixture(d) }},
		{"OrderEffect", func(_, _, _, d []float64) { must(OrderEffect(d, alternating(len(d)), 0.95)) }},
		{"Summarize", func(baseline, _, _, _ []float64) { Summarize(baseline) }},
		{"MannWhitney", func(baseline, test, _, _ []float64) { must(MannWhitney(test, baseline)) }},
		{"Shift", func(baseline, test, _, _ []float64) { must(Shift(test, baseline, 0.95)) }},
	}
	for _, part := range parts {
		b.Run(part.name, func(b *testing.B) {
			atSizes(b, func(b *testing.B, n int) {
				baseline, test, gas, d := paired(b, n)
				for b.Loop() {
					part.do(baseline, test, gas, d)
				}
			})
		})
	}
}

// alternating is which side was asked first, in turns.
func alternating(n int) []bool {
	first := make([]bool, n)
	for i := range first {
		first[i] = i%2 == 0
	}
	return first
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
