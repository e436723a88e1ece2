package stat

import "math"

// window is the stretch of one side's sorted values on which one quantile of a
// resample depends: those that carry its weight, and as many on either side as
// a resample can move them. It is about sqrt(n) wide.
type window struct {
	rule *quantileRule
	// from and to bound it among the sorted values.
	from, to int
	// inside lists its values in block order, by their place in the window.
	// The first run of blocks follows once more, for runs that wrap round.
	inside []int32
	// counts is how often each was drawn.
	counts []int32
}

// windows looks at resamples of one side through one window per quantile. A
// run of a resample adds how many of its pairs are below a window, which is
// known for each start, and then the few pairs that are inside. So a resample
// costs a step per run and one per value in a window, n^(2/3) together, and
// not one per pair. Nothing is approximated: when a resample moves the quantile
// out of its window, it is walked as a whole.
type windows struct {
	r       *resampler
	side    int
	windows []window
	// rank is that of each pair, in block order.
	rank []int32
	// runs holds what a whole run adds to each window, start after start.
	runs     []addition
	quantile []float64
	below    []int
	// walks counts the resamples that were walked as a whole.
	walks int
}

// addition is what a run of pairs adds to a window: below of them are below it,
// and many are inside, listed in window.inside from first on.
type addition struct {
	first       int32
	below, many uint16
}

func newWindows(r *resampler, side int) *windows {
	w := &windows{
		r: r, side: side, windows: make([]window, len(r.rules)),
		rank: make([]int32, r.n), runs: make([]addition, r.n*len(r.rules)),
		quantile: make([]float64, len(r.rules)), below: make([]int, len(r.rules)),
	}
	for k, at := range r.sides[side].index {
		w.rank[at] = int32(k)
	}
	for k := range w.windows {
		w.place(k)
	}
	return w
}

// place makes window k.
func (w *windows) place(k int) {
	n, v := w.r.n, &w.windows[k]
	v.rule = &w.r.rules[k]
	first, last := v.rule.reach(n)
	spread := int(8*w.spread(int32(v.rule.p*float64(n)))) + 1
	v.from, v.to = max(0, first-spread), min(n, last+spread)
	v.counts = make([]int32, v.to-v.from)
	run := addition{}
	for i := range n + w.r.run {
		// Pair i enters the run, and the one a run before leaves it.
		switch at := int(w.rank[i%n]); {
		case at < v.from:
			run.below++
		case at < v.to:
			run.many++
			v.inside = append(v.inside, int32(at-v.from))
		}
		start := i - w.r.run
		if start < 0 {
			continue
		}
		switch at := int(w.rank[start]); {
		case at < v.from:
			run.below--
		case at < v.to:
			run.many--
			run.first++
		}
		// What is left is a run but for its first pair: that of the next start.
		w.runs[(start+1)%n*len(w.windows)+k] = run
	}
}

// reach is the first and, exclusive, the last draw that the quantile of n draws
// depends on.
func (q *quantileRule) reach(n int) (first, last int) {
	if q.cumulative != nil {
		return q.from, q.to
	}
	return int(q.h), min(n, int(q.h)+2)
}

// spread is the standard deviation over resamples of the number of draws whose
// rank is below at: that of a run's share of them, times the root of the number
// of runs.
func (w *windows) spread(at int32) float64 {
	n, run := w.r.n, w.r.run
	is := func(i int) int {
		if w.rank[i%n] < at {
			return 1
		}
		return 0
	}
	inRun := 0
	for i := range run {
		inRun += is(i)
	}
	mean := float64(run) * float64(at) / float64(n)
	sum := 0.0
	for i := range n {
		d := float64(inRun) - mean
		sum += d * d
		inRun += is(i+run) - is(i)
	}
	return math.Sqrt(sum / float64(n) * float64(len(w.r.starts)))
}

// quantiles are those of the resample that was drawn last. They are valid until
// the next call.
func (w *windows) quantiles() []float64 {
	clear(w.below)
	for k := range w.windows {
		clear(w.windows[k].counts)
	}
	last := len(w.r.starts) - 1
	for _, start := range w.r.starts[:last] {
		w.add(int(start))
	}
	w.addCut(int(w.r.starts[last]), w.r.length(last))
	walked := false
	for k := range w.windows {
		v := &w.windows[k]
		values := w.r.sides[w.side].values
		q, ok := v.rule.within(values[v.from:v.to], v.counts, w.below[k])
		if !ok {
			if !walked {
				w.r.count()
				w.r.walk(w.side)
				walked = true
				w.walks++
			}
			q = v.rule.of(values, w.r.seen)
		}
		w.quantile[k] = q
	}
	return w.quantile
}

// add counts the pairs of a whole run.
func (w *windows) add(start int) {
	for k, run := range w.runs[start*len(w.windows) : (start+1)*len(w.windows)] {
		w.below[k] += int(run.below)
		v := &w.windows[k]
		for _, at := range v.inside[run.first : int(run.first)+int(run.many)] {
			v.counts[at]++
		}
	}
}

// addCut counts the pairs of a run of any length, one by one.
func (w *windows) addCut(start, length int) {
	for i := start; i < start+length; i++ {
		at := int(w.rank[i%w.r.n])
		for k := range w.windows {
			switch v := &w.windows[k]; {
			case at < v.from:
				w.below[k]++
			case at < v.to:
				v.counts[at-v.from]++
			}
		}
	}
}

// within is the quantile of a resample that holds seen draws smaller than
// values, which ascend, and counts[i] of values[i]. It is not ok when the
// quantile depends on others.
func (q *quantileRule) within(values []float64, counts []int32, seen int) (float64, bool) {
	if q.cumulative == nil {
		return q.between(values, counts, seen)
	}
	if seen > q.from {
		return 0, false
	}
	sum, before := 0.0, 0.0
	for i, c := range counts {
		seen += int(c)
		if seen <= q.from {
			continue
		}
		upTo := q.cumulative[min(seen, q.to)-q.from]
		sum += (upTo - before) * values[i]
		before = upTo
		if seen >= q.to {
			return sum, true
		}
	}
	return 0, false
}

// between is within for type 7.
func (q *quantileRule) between(values []float64, counts []int32, seen int) (float64, bool) {
	whole := int(q.h)
	if seen > whole {
		return 0, false
	}
	low, found := 0.0, false
	for i, c := range counts {
		seen += int(c)
		if !found && seen > whole {
			low, found = values[i], true
		}
		// An h that rounds to the last draw has none above it, and stays with
		// the walk.
		if seen > whole+1 {
			return low + (q.h-float64(whole))*(values[i]-low), true
		}
	}
	return 0, false
}
