package compare

import (
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// Monitor follows a run pair by pair. What it shows may be looked at at any
// time: its interval is the confidence sequence. An update costs microseconds
// and, once per batch, a forecast.
type Monitor struct {
	rule     Rule
	live     *stat.Live
	sorted   [2][]float64
	d        []float64
	failed   int
	last     Look
	batches  int
	forecast Forecast
	// next is the number of pairs from which on the forecast is made anew.
	next int
}

// NewMonitor follows a run that is judged by rule.
func NewMonitor(rule Rule) (*Monitor, error) {
	live, err := newLive(rule, 0)
	if err != nil {
		return nil, err
	}
	return &Monitor{rule: rule, live: live, next: rule.MinPairs}, nil
}

// Add takes the two samples of the next block. Samples that make no pair count
// as failed, unless they were never asked for.
func (m *Monitor) Add(base, test *sample.Sample) error {
	for _, s := range []*sample.Sample{base, test} {
		if s.Status != sample.OK && s.Status != sample.Skipped {
			m.failed++
		}
	}
	if base.Status != sample.OK || test.Status != sample.OK || base.Hash != test.Hash ||
		base.Digest != test.Digest || base.TotalNS <= 0 || test.TotalNS <= 0 {
		return nil
	}
	p := pairOf(base, test)
	for side, ms := range p.MS {
		at, _ := slices.BinarySearch(m.sorted[side], ms)
		m.sorted[side] = slices.Insert(m.sorted[side], at, ms)
	}
	m.d = append(m.d, p.D)
	more, err := m.live.Add(p.D, false)
	if err != nil || !more {
		return err
	}
	m.last, m.batches = look(m.live), m.batches+1
	m.plan()
	return nil
}

// plan makes the forecast anew, at every batch at first and then whenever the
// pairs are a tenth more: it costs more the longer the run is.
func (m *Monitor) plan() {
	if len(m.d) < m.next {
		return
	}
	m.next = max(len(m.d)+m.rule.Batch, len(m.d)*11/10)
	ranks, err := stat.NewSignedRank(m.d)
	if err != nil {
		return
	}
	v := ranks.Interval(1 - m.rule.AlphaFinal)
	if v.Bounded() {
		m.forecast = forecastOf(stat.Sigma(v), len(m.d), m.rule)
	}
}

// Pairs is the number of pairs so far.
func (m *Monitor) Pairs() int { return len(m.d) }

// Failed is the number of samples that are not ok.
func (m *Monitor) Failed() int { return m.failed }

// Medians are the median latencies in milliseconds, 0 without pairs.
func (m *Monitor) Medians() (base, test float64) {
	if len(m.d) == 0 {
		return 0, 0
	}
	return stat.Quantile(m.sorted[0], 0.5), stat.Quantile(m.sorted[1], 0.5)
}

// Look is the confidence sequence now; its Pairs is 0 before it has an interval
// with two ends.
func (m *Monitor) Look() Look {
	if m.last.Low <= 0 || math.IsInf(m.last.High, 1) {
		return Look{}
	}
	return m.last
}

// Forecast is what the noise so far promises; its N is 0 before it can be told.
func (m *Monitor) Forecast() Forecast { return m.forecast }

// Decided reports whether the sequence has decided, so that a run whose rule
// allows it may stop.
func (m *Monitor) Decided() bool {
	if m.batches < stat.MinBatches || len(m.d) < m.rule.MinPairs || m.last.Pairs == 0 {
		return false
	}
	return m.last.High < 1 || m.last.Low > 1
}
