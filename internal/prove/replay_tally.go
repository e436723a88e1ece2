package prove

import (
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
)

// tally is what progress shows of the proofs that count so far.
type tally struct {
	ms [2][]float64
	// times and publics are 0 and empty for a side that is not done.
	times   map[turn][2]float64
	publics map[turn][2]string
	// logs are the log ratios of the pairs.
	logs []float64
}

// turn is a batch's place in the schedule.
type turn struct {
	batch uint64
	round int
}

// add counts a proof that took ms and reports whether its public output differs
// from the other side's. Provers may make none.
func (t *tally) add(side sample.Side, at turn, ms float64, public string) (differs bool) {
	if t.times == nil {
		t.times, t.publics = make(map[turn][2]float64), make(map[turn][2]string)
	}
	i := side.Index()
	t.ms[i] = append(t.ms[i], ms)
	times, publics := t.times[at], t.publics[at]
	times[i], publics[i] = ms, public
	t.times[at], t.publics[at] = times, publics
	if times[0] > 0 && times[1] > 0 {
		t.logs = append(t.logs, math.Log(times[1]/times[0]))
	}
	return publics[0] != "" && publics[1] != "" && publics[0] != publics[1]
}

// ratio is the geometric mean of test over baseline, 0 without pairs.
func (t *tally) ratio() float64 {
	if len(t.logs) == 0 {
		return 0
	}
	sum := 0.0
	for _, l := range t.logs {
		sum += l
	}
	return math.Exp(sum / float64(len(t.logs)))
}

// medians are those of the sides in milliseconds, 0 without proofs.
func (t *tally) medians() (m [2]float64) {
	for i, ms := range t.ms {
		if n := len(ms); n > 0 {
			sorted := slices.Sorted(slices.Values(ms))
			m[i] = (sorted[(n-1)/2] + sorted[n/2]) / 2
		}
	}
	return m
}
