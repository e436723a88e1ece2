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
	pairs    []Pair
	planned  *quota
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
	return &Monitor{rule: rule, live: live, next: rule.MinPairs, planned: newQuota(rule)}, nil
}

// Add takes the two samples of the next block, session by session. Samples that
// make no pair count as failed, unless they were never asked for. What comes
// after the planned pairs is not looked at.
func (m *Monitor) Add(base, test *sample.Sample) error {
	if base.Control == "" && m.planned.full(stretchOf(base)) {
		return nil
	}
	for _, s := range []*sample.Sample{base, test} {
		if s.Status != sample.OK && s.Status != sample.Skipped {
			m.failed++
		}
	}
	if base.Status != sample.OK || test.Status != sample.OK || base.Hash != test.Hash || stretchOf(base) != stretchOf(test) ||
		base.Digest != test.Digest || base.TotalNS <= 0 || test.TotalNS <= 0 {
		return nil
	}
	p := pairOf(base, test)
	for side, ms := range p.MS {
		at, _ := slices.BinarySearch(m.sorted[side], ms)
		m.sorted[side] = slices.Insert(m.sorted[side], at, ms)
	}
	if n := len(m.pairs); n > 0 && stretchOfPair(&m.pairs[n-1]) != stretchOfPair(&p) {
		m.live.EndSession()
	}
	m.planned.took(stretchOfPair(&p))
	m.pairs = append(m.pairs, p)
	more, err := m.live.Add(p.D, p.Swapped)
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
	n := len(m.pairs)
	if n < m.next {
		return
	}
	m.next = max(n+m.rule.Batch, n*11/10)
	c, err := typical(m.pairs, 1-m.rule.AlphaFinal)
	if err == nil && c.Blocks.Bounded() {
		m.forecast = forecastOf(stat.Sigma(c.Blocks), n, m.rule)
	}
}

// Pairs is the number of pairs so far.
func (m *Monitor) Pairs() int { return len(m.pairs) }

// Failed is the number of samples that are not ok.
func (m *Monitor) Failed() int { return m.failed }

// Medians are the median latencies in milliseconds, 0 without pairs.
func (m *Monitor) Medians() (base, test float64) {
	if len(m.pairs) == 0 {
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
	if m.batches < stat.MinBatches || len(m.pairs) < m.rule.MinPairs || m.last.Pairs == 0 {
		return false
	}
	return m.last.High < 1 || m.last.Low > 1
}
