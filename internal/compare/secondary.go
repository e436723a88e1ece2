package compare

import (
	"errors"
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// alphaSecondary is the error rate that the secondary metrics share.
const alphaSecondary = 0.05

// Metric is a secondary metric. It has no verdict of its own.
type Metric struct {
	Name string
	// Ratio is test / baseline at 1 - 0.05/k, k the number of secondary
	// metrics. Its N is 0 for the error rate, which has Only instead.
	Ratio stat.Interval
	// Only counts the blocks on which only that side failed: the error rate.
	Only [2]int
	// Adjusted is the p-value of no difference, adjusted for the number of
	// secondary metrics (Holm); NaN where there is none.
	Adjusted float64
	// Guard says that the metric can take a win away, Worse that it does.
	Guard, Worse bool

	p float64
}

// The names of the secondary metrics.
const (
	ErrorRate   = "error rate"
	TotalTime   = "total time"
	AnswerBytes = "answer bytes"
	BlockImport = "block import"
)

// secondary estimates the secondary metrics and adjusts them for their number.
func (r *Result) secondary() {
	base, test := r.milliseconds(0), r.milliseconds(1)
	bytes := r.figure(AnswerBytes, 1, func(s *sample.Sample) int64 { return s.BodyBytes })
	imports := r.figure(BlockImport, leastImports, func(s *sample.Sample) int64 { return s.ImportNS })
	k := 1 + len(quantiles) // total time and the quantiles
	for _, f := range []*figure{bytes, imports} {
		if f != nil {
			k++
		}
	}
	failed := r.Inputs == nil && !r.Replayed // what was measured elsewhere tells no failures
	if failed {
		k++
	}
	level := 1 - alphaSecondary/float64(k)
	if failed {
		r.addErrorRate()
	}
	// One that cannot be estimated is left out: the run is too short for it.
	_ = r.addTotal(TotalTime, level, func(from, to int) (x, y []float64) { return base[from:to], test[from:to] })
	r.addQuantiles(base, test, level)
	if bytes != nil {
		_ = r.addTotal(AnswerBytes, level, bytes.between)
	}
	if imports != nil {
		err := r.addTotal(BlockImport, level, imports.between)
		if err != nil && len(imports.pairs) < len(r.Pairs) {
			r.warn("%s is not compared, since it is not known of all pairs: %v", BlockImport, err)
		}
	}
	r.adjust()
	for i := range r.Secondary {
		m := &r.Secondary[i]
		if m.Name == ErrorRate {
			m.Worse = m.Only[1] > m.Only[0] && m.Adjusted < alphaSecondary
		} else {
			m.Worse = m.Guard && m.Ratio.N > 0 && m.Ratio.Low > 1
		}
	}
}

// adjust fills the adjusted p-values. A metric that is exact has none.
func (r *Result) adjust() {
	var p []float64
	var of []*Metric
	for i := range r.Secondary {
		m := &r.Secondary[i]
		m.Adjusted = math.NaN()
		if !math.IsNaN(m.p) {
			p, of = append(p, m.p), append(of, m)
		}
	}
	for i, adjusted := range stat.Holm(p) {
		of[i].Adjusted = adjusted
	}
}

// figure is what the samples of both sides tell beside their latency, of the
// pairs of which both tell it.
type figure struct {
	// pairs are the places of those pairs, ascending.
	pairs  []int
	values [2][]float64
}

// leastImports is the share of the pairs of which the import of the block must
// be known on both sides to be compared. A metrics page tells it of the newest
// block only, so that some are missing in any run that follows a network.
const leastImports = 0.5

// figure is a figure of the samples, nil when it is known of less than the
// share of the pairs. That it is known of some all the same is a warning.
func (r *Result) figure(name string, share float64, of func(*sample.Sample) int64) *figure {
	var f figure
	for i := range r.Pairs {
		s := r.Pairs[i].Samples
		if s == nil || of(s[0]) <= 0 || of(s[1]) <= 0 {
			continue
		}
		f.pairs = append(f.pairs, i)
		for side := range s {
			f.values[side] = append(f.values[side], float64(of(s[side])))
		}
	}
	switch n := len(f.pairs); {
	case n == 0:
		return nil
	case float64(n) < share*float64(len(r.Pairs)):
		r.warn("%s is not compared: it is known of only %d of %d pairs", name, n, len(r.Pairs))
		return nil
	}
	return &f
}

// between are the values of the pairs from up to, not including, to.
func (f *figure) between(from, to int) (base, test []float64) {
	i, _ := slices.BinarySearch(f.pairs, from)
	j, _ := slices.BinarySearch(f.pairs, to)
	return f.values[0][i:j], f.values[1][i:j]
}

// addErrorRate compares on how many blocks only one side failed.
func (r *Result) addErrorRate() {
	m := Metric{Name: ErrorRate, Only: r.Parity.only, Guard: true, p: 1}
	if m.Only[0]+m.Only[1] > 0 {
		m.p = stat.McNemar(m.Only[0], m.Only[1])
	}
	r.Secondary = append(r.Secondary, m)
}

// addTotal compares the sums of a figure, whose values between two places of
// the pairs between gives.
func (r *Result) addTotal(name string, level float64, between func(from, to int) (base, test []float64)) error {
	v, err := r.measure(level, func(from, to int) (stat.Interval, error) {
		base, test := between(from, to)
		return totals(base, test, level)
	})
	if err != nil {
		return err
	}
	r.Secondary = append(r.Secondary, Metric{Name: name, Ratio: v, Guard: true, p: v.P})
	return nil
}

// totals is the ratio of the sums of a figure.
func totals(base, test []float64, level float64) (stat.Interval, error) {
	v, err := stat.TotalsRatio(base, test, level)
	if errors.Is(err, stat.ErrNoSpread) {
		// The same ratio on every block, as of sizes that a format fixes: it is
		// exact.
		v = stat.Interval{Center: test[0] / base[0], Confidence: level, N: len(base), Kind: "exact", Unit: stat.UnitRatio, P: math.NaN()}
		v.Low, v.High = v.Center, v.Center
		err = nil
	}
	return v, err
}

// addQuantiles compares the sides' quantiles. p95 guards; p99 only informs, and
// needs one session long enough for it.
func (r *Result) addQuantiles(base, test []float64, level float64) {
	ps := slices.Clone(quantiles)
	if len(base) >= stat.TailPairs && len(r.Sessions) == 0 {
		ps = append(ps, 0.99)
	}
	// The quantiles of a session are resampled together.
	made := make(map[int][]stat.Interval)
	resampled := func(from, to int) ([]stat.Interval, error) {
		if ratios, ok := made[from]; ok {
			return ratios, nil
		}
		ratios, err := stat.QuantileRatios(base[from:to], test[from:to], ps, stat.Bootstrap{Confidence: level, Seed: r.Rule.Seed})
		made[from] = ratios
		return ratios, err
	}
	ratios := make([]stat.Interval, len(ps))
	for k := range ps {
		var err error
		ratios[k], err = r.measure(level, func(from, to int) (stat.Interval, error) {
			all, err := resampled(from, to)
			if err != nil {
				return stat.Interval{}, err
			}
			return all[k], nil
		})
		if err != nil {
			return
		}
		ratios[k].Seed = r.Rule.Seed
	}
	names := []string{"p50", "p90", "p95"}
	for i, name := range names {
		r.Secondary = append(r.Secondary, Metric{Name: name, Ratio: ratios[i], Guard: name == "p95", p: ratios[i].P})
	}
	if len(ratios) > len(names) {
		r.Estimates.P99 = ratios[len(names)]
	}
}

// Worse names the guards that are worse on the test side.
func (r *Result) worse() []string {
	var names []string
	for _, m := range r.Secondary {
		if m.Worse {
			names = append(names, m.Name)
		}
	}
	return names
}
