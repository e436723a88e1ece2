package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/stat"
)

// result is everything that is printed. Its tables are made from the trials
// when they are done.
type result struct {
	options *options
	trials  []*measured

	Machine string        `json:"machine"`
	Load    [2]float64    `json:"load"`
	Program string        `json:"program"`
	Began   time.Time     `json:"began"`
	Seconds float64       `json:"seconds"`
	Seed    uint64        `json:"seed"`
	Series  []series      `json:"series,omitempty"`
	Swap    []component   `json:"swap,omitempty"`
	Delays  *[2]deviation `json:"delays,omitempty"`
	Trials  []*measured   `json:"trials"`
	// Warnings are what went wrong beside the verdicts.
	Warnings []string `json:"warnings,omitempty"`
}

// series are the runs of one kind.
type series struct {
	Kind  string         `json:"kind"`
	Runs  int            `json:"runs"`
	Count map[string]int `json:"count"`
	// Hits are the runs that Target counts.
	Target string `json:"target"`
	Hits   int    `json:"hits"`
	// True is the ratio of the injected delays without their noise, 0 if it
	// is not known; Drawn the mean estimate from the delays with theirs.
	True  float64 `json:"true"`
	Drawn float64 `json:"drawn"`
	// Off is how far, at most, an estimate from the measured latencies lies
	// from the one from the delays, on the log scale: what the measuring
	// itself does to the result of a run.
	Off float64 `json:"off"`
	spreadOf
	// Levels are what the intervals claim to be, each named once.
	Levels []string `json:"levels"`
}

// spreadOf sums up estimates of one ratio.
type spreadOf struct {
	// Mean is the geometric mean of N estimates, SD their standard deviation
	// on the log scale, 0 for fewer than two.
	N    int     `json:"n"`
	Mean float64 `json:"mean"`
	SD   float64 `json:"sd"`
	// Held are the intervals that hold the true ratio. HalfWidth is their
	// mean half width on the log scale; infinite ones are not in it.
	Held      int     `json:"held"`
	HalfWidth float64 `json:"half_width"`
}

// component is what the runs with exchanged hosts say of one ratio.
type component struct {
	Name string  `json:"name"`
	True float64 `json:"true"`
	spreadOf
}

// deviation is a distribution of small times, in milliseconds.
type deviation struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

func newResult(o *options) *result {
	m := host.ThisMachine()
	return &result{
		options: o, Seed: o.seed, Began: time.Now(), Load: [2]float64{m.LoadAverage},
		Machine: fmt.Sprintf("%d × %s, %.1f GB, %s %s, %s", m.CPUs, m.CPU, float64(m.MemoryBytes)/1e9, m.OS, m.Kernel, runtime.Version()),
	}
}

// conclude makes the tables.
func (r *result) conclude() {
	r.Seconds = time.Since(r.Began).Seconds()
	r.Load[1] = host.ThisMachine().LoadAverage
	r.Trials = r.trials
	kinds := make(map[string][]*measured)
	var late, extra []time.Duration
	for _, m := range r.trials {
		r.Program = m.program
		kinds[m.Kind] = append(kinds[m.Kind], m)
		late, extra = append(late, m.late...), append(extra, m.extra...)
	}
	for _, kind := range []string{kindSame, kindEffect} {
		if ms := kinds[kind]; len(ms) > 0 {
			r.Series = append(r.Series, r.series(kind, ms))
		}
	}
	r.swap(kinds[kindSwap])
	if len(extra) > 0 {
		r.Delays = &[2]deviation{newDeviation(late), newDeviation(extra)}
	}
}

// series sums up the runs of a kind.
func (r *result) series(kind string, ms []*measured) series {
	s := series{Kind: kind, Runs: len(ms), Count: make(map[string]int), True: 1,
		Target: "with a direction"}
	hit := []string{"improves", "regresses"}
	if kind == kindEffect {
		s.True = 1 + r.options.effect
		s.Kind = fmt.Sprintf("%+.3g %%", 100*r.options.effect)
		hit = hit[1:]
		if r.options.effect < 0 {
			hit = []string{"improves"}
		}
		s.Target = hit[0]
	}
	var e estimates
	var drawn []float64
	for _, m := range ms {
		s.Count[m.Outcome]++
		if slices.Contains(hit, m.Outcome) {
			s.Hits++
		}
		if m.Effect.exists() {
			low, high := m.Effect.bounds()
			e.add(math.Log(*m.Effect.Ratio), low, high, math.Log(s.True))
			if l := m.Effect.level(); !slices.Contains(s.Levels, l) {
				s.Levels = append(s.Levels, l)
			}
		}
		known, err := stat.HodgesLehmann(m.drawn)
		if err != nil {
			continue // a real node: nobody knows its delays
		}
		drawn = append(drawn, known)
		if got, err := stat.HodgesLehmann(m.d); err == nil {
			s.Off = max(s.Off, math.Abs(got-known))
		}
	}
	s.spreadOf = e.sum()
	if len(drawn) > 0 {
		s.Drawn = math.Exp(mean(drawn))
	}
	return s
}

// estimates collects estimates of one number on the log scale.
type estimates struct {
	centers, halves []float64
	held            int
}

func (e *estimates) add(center, low, high, truth float64) {
	e.centers = append(e.centers, center)
	if low <= truth && truth <= high {
		e.held++
	}
	if half := (high - low) / 2; !math.IsInf(half, 0) {
		e.halves = append(e.halves, half)
	}
}

func (e *estimates) sum() spreadOf {
	if len(e.centers) == 0 {
		return spreadOf{}
	}
	m := mean(e.centers)
	ss := 0.0
	for _, c := range e.centers {
		ss += (c - m) * (c - m)
	}
	out := spreadOf{N: len(e.centers), Mean: math.Exp(m), Held: e.held}
	if out.N > 1 {
		out.SD = math.Sqrt(ss / float64(out.N-1))
	}
	if len(e.halves) > 0 {
		out.HalfWidth = mean(e.halves)
	}
	return out
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// level is that of the intervals of a run with exchanged hosts.
const level = 0.95

// swap combines the sessions of each complete set. Each is a run of its own
// here, because runs against servers that are already there have no sessions, so
// that they are put together by the formulas of package stat.
func (r *result) swap(ms []*measured) {
	var version, second, plain estimates
	theta, eta := math.Log1p(r.options.effect), math.Log1p(r.options.offset)
	for ; len(ms) >= sessions && ms[sessions-1].Run == ms[0].Run; ms = ms[sessions:] {
		var set, unswapped []stat.Session
		for _, m := range ms[:sessions] {
			s := stat.Session{Swapped: m.Swapped, D: m.d}
			set = append(set, s)
			if !m.Swapped {
				unswapped = append(unswapped, s)
			}
		}
		both, err := stat.CombineSessions(set, level)
		if err != nil {
			r.Warnings = append(r.Warnings, fmt.Sprintf("set %d with exchanged hosts: %v", ms[0].Run+1, err))
			continue
		}
		version.add(both.Effect.Center, both.Effect.Low, both.Effect.High, theta)
		second.add(both.Host.Center, both.Host.Low, both.Host.High, eta)
		// What the same measurement says when nobody exchanges the hosts.
		if one, err := stat.CombineSessions(unswapped, level); err == nil {
			plain.add(one.Effect.Center, one.Effect.Low, one.Effect.High, theta)
		}
	}
	for _, c := range []struct {
		name  string
		truth float64
		e     estimates
	}{{"test build", theta, version}, {"second host", eta, second}, {"test build, hosts not exchanged", theta, plain}} {
		if len(c.e.centers) > 0 {
			r.Swap = append(r.Swap, component{c.name, math.Exp(c.truth), c.e.sum()})
		}
	}
}

// newDeviation sums up times, which it sorts.
func newDeviation(all []time.Duration) deviation {
	slices.Sort(all)
	x := make([]float64, len(all))
	for i, t := range all {
		x[i] = float64(t) / float64(time.Millisecond)
	}
	return deviation{len(x), stat.Quantile(x, 0.5), stat.Quantile(x, 0.99), x[len(x)-1]}
}
