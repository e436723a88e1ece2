package stat

import "math"

// bisected is the number of pairs up to which an end of the interval is found
// by bisection alone. For more pairs, bisection skips the evaluations whose
// outcome is known.
const bisected = 2000

// halvings is how often an end of the interval is bisected at most. From
// isolated on, every third time, it is worth looking whether a single Walsh
// average is left; at 200 pairs one is after about 15.
const (
	halvings = 64
	isolated = 12
)

// crossing is the search for one end of an interval: the place where the test
// starts to reject on the way from the center to an extreme. An evaluation of
// T takes a ranking of all pairs, and bisection from the extremes of a million
// pairs would take fifty.
//
// The bisection stays what it is, step by step, so that the end is the one
// that plain bisection finds. What is saved is evaluations:
//
//   - Far from the center the mean of the signed ranks alone rejects, whatever
//     their long-run variance, and that mean is a count of Walsh averages.
//   - Once bisection has evaluated a place on either side of the crossing, the
//     two are closed in on it by a root finder, because there T is all but
//     linear, until a few Walsh averages are between them. Bisection then
//     evaluates only between those two.
type crossing struct {
	r       *SignedRank
	sign, t float64
	// jump allows both savings.
	jump bool
	// near is the farthest place known not to be rejected, and far the nearest
	// known to be.
	near, far point
	// evaluated says that near is a place of the bisection and not the center;
	// closed that near and far have been closed in.
	evaluated, closed bool
	// evaluations counts rankings with their long-run variance.
	evaluations int
}

// point is a center with the excess of sign*T over the critical value:
// positive when the test rejects it.
type point struct{ th, excess float64 }

// bisect halves the way from the center to extreme until the place where the
// test starts to reject is known. T only changes at Walsh averages, so the
// search is over once a single one is left: that is the end, to the last bit.
// It is infinite when not even the extreme is rejected.
func (c *crossing) bisect(extreme float64) float64 {
	in, out := c.r.Center(), extreme
	if !(c.jump && c.certain(extreme)) && !c.evaluate(extreme) {
		return math.Inf(-int(c.sign))
	}
	c.near, c.far = point{th: in, excess: -c.t}, point{th: out, excess: math.Inf(1)}
	if c.jump {
		c.skip()
	}
	for i := range halvings {
		mid := in + (out-in)/2
		if mid == in || mid == out {
			break
		}
		if c.rejected(mid) {
			out = mid
		} else {
			in = mid
		}
		if i >= isolated && i%3 == 0 && c.reached(in, out) {
			if w, only := c.r.averages.only(min(in, out), max(in, out)); only {
				if c.evaluate(w) {
					w = math.Nextafter(w, in)
				}
				return w
			}
		}
	}
	return in
}

// excess is sign*T(th) - t.
func (c *crossing) excess(th float64) float64 {
	c.evaluations++
	return c.sign*c.r.Statistic(th) - c.t
}

// evaluate reports whether the test rejects th, without savings.
func (c *crossing) evaluate(th float64) bool { return c.excess(th) > 0 }

// beyond reports whether x is as far from the center as y, or farther.
func (c *crossing) beyond(x, y float64) bool { return c.sign*(y-x) >= 0 }

// rejected reports whether the test rejects th, a place between the center and
// the extreme.
func (c *crossing) rejected(th float64) bool {
	if !c.jump {
		return c.evaluate(th)
	}
	switch {
	case c.beyond(c.near.th, th):
		return false
	case c.beyond(th, c.far.th):
		return true
	case math.IsInf(c.far.excess, 1) && c.certain(th):
		c.far.th = th
		return true
	}
	p := point{th, c.excess(th)}
	c.take(p)
	if c.evaluated && !c.closed && !math.IsInf(c.far.excess, 1) {
		c.close()
	}
	return p.excess > 0
}

// take makes p the new near or far.
func (c *crossing) take(p point) {
	if p.excess > 0 {
		c.far = p
	} else {
		c.near, c.evaluated = p, true
	}
}

// least is the mean of the signed ranks beyond which the test rejects whatever
// their long-run variance. The squares of all n-1 cosine terms add up to n
// times the variance of the signed ranks s, so that nu of them give an Omega of
// at most n (mean(s²) - mean(s)²)/nu, and mean(s²) is below 1/3.
func (c *crossing) least() float64 {
	return c.t / math.Sqrt(3*(c.r.DF()+c.t*c.t))
}

// certain reports whether the mean of the signed ranks about th alone rejects.
// The mean is monotone in th, so that all places beyond are rejected too.
func (c *crossing) certain(th float64) bool {
	return c.r.meanRank(th, c.sign) > c.least()
}

// meanRank is the mean of sign times the signed ranks about th: the Walsh
// averages above th less those below, over n(n+1). One at th counts against
// the sign.
func (r *SignedRank) meanRank(th, sign float64) float64 {
	below, size := r.averages.count(th, nil, sign > 0), r.averages.size()
	return sign * (0.5 - float64(below)/float64(size))
}

// skip moves far from the extreme to about the nearest place that is certain.
// Bisection would find it too, one count of the Walsh averages at a time.
func (c *crossing) skip() {
	share := 1.05 * c.least()
	if share >= 0.5 {
		return // not even the extreme is certain
	}
	size := float64(c.r.averages.size())
	guesses := c.r.averages.sampled(int(size * (0.5 - c.sign*share)))
	th := guesses[0]
	if c.sign < 0 {
		th = guesses[1]
	}
	if c.beyond(c.far.th, th) && c.certain(th) {
		c.far.th = th
	}
}

// closeRanks is how many Walsh averages are about left between near and far
// when bisection goes on: so many that single steps of T, which need not all
// point the same way, do not decide where it goes.
const closeRanks = 128

// close narrows near and far to closeRanks Walsh averages by the root finder
// of Oliveira and Takahashi (2020), "ITP": a step of false position, moved
// towards the middle by less and less, and kept to the reach of a bisection.
func (c *crossing) close() {
	c.closed = true
	between := math.Abs(c.r.meanRank(c.near.th, 1)-c.r.meanRank(c.far.th, 1)) * float64(c.r.averages.size())
	whole := math.Abs(c.far.th - c.near.th)
	target := whole * closeRanks / between
	halves := math.Ceil(math.Log2(whole / target))
	for j := 0.0; ; j++ {
		a, b := c.near, c.far
		width := math.Abs(b.th - a.th)
		mid := a.th + (b.th-a.th)/2
		if width <= target || mid == a.th || mid == b.th {
			return
		}
		next := a.th + (b.th-a.th)*(-a.excess/(b.excess-a.excess))
		moved := math.Min(0.2*width*width/whole, math.Abs(mid-next))
		next += math.Copysign(moved, mid-next)
		reach := math.Max(0, target/2*math.Exp2(halves+1-j)-width/2)
		if math.Abs(next-mid) > reach {
			next = mid - math.Copysign(reach, mid-next)
		}
		if !(math.Abs(next-mid) < width/2) {
			// T is infinite somewhere, or next rounds to where it has been.
			next = mid
		}
		c.take(point{next, c.excess(next)})
	}
}

// reached reports whether it is worth looking for a single Walsh average
// between in and out.
func (c *crossing) reached(in, out float64) bool {
	return !c.jump || c.beyond(in, c.near.th) && c.beyond(c.far.th, out)
}
