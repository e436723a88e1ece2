package stat

import (
	"fmt"
	"math"
)

// LambertWm1 is the lower branch of Lambert's W: the w <= -1 with w e^w = y,
// for y in [-1/e, 0). Outside that range there is none: NaN.
func LambertWm1(y float64) float64 {
	if !(y >= -1/math.E && y < 0) {
		return math.NaN()
	}
	l := math.Log(-y)
	// In logarithms, w + ln(-w) = l, the iteration does not underflow and has
	// no flat stretch. Near the branch point it starts from the series there.
	w := l - math.Log(-l)
	if l > -1.5 {
		w = -1 - math.Sqrt(2*math.Max(0, -1-l))
	}
	for range 50 {
		if w == -1 {
			return w
		}
		step := (w + math.Log(-w) - l) / (1 + 1/w)
		w = math.Min(-1, w-step)
		if math.Abs(step) <= 1e-15*math.Abs(w) {
			break
		}
	}
	return w
}

// mixtureScale is rho2 = (-W_{-1}(-alpha²/e) - 1)/k: the prior variance of the
// standardized effect that makes a Gaussian mixture tightest at k looks
// (Waudby-Smith et al. 2024).
func mixtureScale(alpha float64, k float64) float64 {
	return (-LambertWm1(-alpha*alpha/math.E) - 1) / k
}

// MinBatches is the number of batches before which a sequence decides
// nothing: the 80 pairs of MinPairs in batches of ten.
const MinBatches = 8

// Sequence is a confidence sequence: an interval for the mean of batch
// estimates that holds at all times at once, so that it may be looked at after
// every batch and stopped at will. It is the Gaussian-mixture t sequence of Lai
// (1976) as Wang and Ramdas (2023) analyze it, exact for Gaussian batch
// estimates of unknown variance. Adding a batch takes constant time.
type Sequence struct {
	alpha, c2 float64
	k         int
	mean, m2  float64
	// bestLnBF is the largest log Bayes factor so far.
	bestLnBF float64
}

// NewSequence makes a sequence of error rate alpha that is tightest about
// planned batches.
func NewSequence(alpha float64, planned int) (*Sequence, error) {
	if !(alpha > 0 && alpha < 1) {
		return nil, fmt.Errorf("confidence sequence: alpha is %v and not between 0 and 1", alpha)
	}
	if planned < 1 {
		return nil, fmt.Errorf("confidence sequence: %d planned batches", planned)
	}
	return &Sequence{alpha: alpha, c2: 1 / mixtureScale(alpha, float64(planned))}, nil
}

// Add takes the estimate of the next batch, a log ratio.
func (s *Sequence) Add(x float64) error {
	if !(math.Abs(x) <= largest) {
		return fmt.Errorf("confidence sequence: batch %d is %v: %w", s.k+1, x, ErrNotFinite)
	}
	s.k++
	delta := x - s.mean
	s.mean += delta / float64(s.k)
	s.m2 += delta * (x - s.mean)
	if t, ok := s.statistic(); ok {
		s.bestLnBF = math.Max(s.bestLnBF, lnBayesFactor(s.k, s.c2, t))
	}
	return nil
}

// Batches is the number of batches so far.
func (s *Sequence) Batches() int { return s.k }

// sd is the standard deviation of the batches, and whether they vary at all.
func (s *Sequence) sd() (float64, bool) {
	if s.k < 2 || s.m2 <= noSpread*(s.m2+float64(s.k)*s.mean*s.mean) {
		return 0, false
	}
	return math.Sqrt(s.m2 / float64(s.k-1)), true
}

// statistic is t = sqrt(k) m/s.
func (s *Sequence) statistic() (float64, bool) {
	sd, ok := s.sd()
	if !ok {
		return 0, false
	}
	return math.Sqrt(float64(s.k)) * s.mean / sd, true
}

// Interval is the sequence's interval after the batches so far, on the log
// scale. N counts batches, DF is k-1, P is the always-valid p-value. The
// interval is unbounded while the batches are too few or do not vary.
func (s *Sequence) Interval() Interval {
	v := Interval{
		Center: s.mean, Low: math.Inf(-1), High: math.Inf(1),
		Confidence: 1 - s.alpha, N: s.k, Kind: KindSequence, Unit: UnitLogRatio,
		P: math.Min(1, math.Exp(-s.bestLnBF)),
	}
	if s.k < MinBatches {
		v.Warnings = []string{fmt.Sprintf("%d batches decide nothing before there are %d", s.k, MinBatches)}
	}
	sd, ok := s.sd()
	if !ok {
		if s.k >= 2 {
			v.Warnings = append(v.Warnings, "the batches have no spread")
		}
		return v
	}
	v.DF = float64(s.k - 1)
	if h := mixtureCritical(s.k, s.alpha, s.c2) * sd / math.Sqrt(float64(s.k)); !math.IsInf(h, 1) {
		v.Low, v.High = s.mean-h, s.mean+h
	}
	return v
}

// mixtureCritical is crit_k, in standard errors of the mean of k batches. It is
// infinite while k batches cannot bound the mean.
func mixtureCritical(k int, alpha, c2 float64) float64 {
	n := float64(k)
	w := c2 / (n + c2)
	root := math.Exp((math.Log((n+c2)/c2) - 2*math.Log(alpha)) / n)
	if k < 2 || root*w >= 1 {
		return math.Inf(1)
	}
	return math.Sqrt((n - 1) * (root - 1) / (1 - root*w))
}

// lnBayesFactor is ln BF_k of the t statistic t of k values under a normal
// prior of variance 1/c2 on the standardized effect, against no effect.
func lnBayesFactor(k int, c2, t float64) float64 {
	n := float64(k)
	w := c2 / (n + c2)
	return 0.5*math.Log(w) + n/2*(math.Log1p(t*t/(n-1))-math.Log1p(t*t*w/(n-1)))
}

// Live turns pairs, as they come in, into batches and batches into a Sequence.
// A batch is the Hodges-Lehmann estimate of consecutive pairs of one session;
// with swapped hosts it is the mean of the k-th batch of either host order, so
// that the effect of the host cancels.
type Live struct {
	seq   *Sequence
	batch int
	swap  bool
	pairs int
	// open is the batch that fills; waiting holds the batches of each host
	// order that have no partner yet.
	open    []float64
	swapped bool
	waiting [2][]float64
}

// LiveOptions are fixed before the first pair.
type LiveOptions struct {
	// Alpha is the error rate of the sequence over the whole run.
	Alpha float64
	// PlannedPairs is the number of pairs about which the sequence is
	// tightest; Batch the pairs per batch.
	PlannedPairs, Batch int
	// Swap says that the run has sessions of both host orders.
	Swap bool
}

// NewLive makes a monitor without pairs.
func NewLive(opts LiveOptions) (*Live, error) {
	if opts.Batch < 1 {
		return nil, fmt.Errorf("live monitor: a batch of %d pairs", opts.Batch)
	}
	per := opts.Batch
	if opts.Swap {
		// One entry of the sequence takes a batch of either order.
		per *= 2
	}
	seq, err := NewSequence(opts.Alpha, max(1, opts.PlannedPairs/per))
	if err != nil {
		return nil, err
	}
	return &Live{seq: seq, batch: opts.Batch, swap: opts.Swap}, nil
}

// Add takes the log ratio of the next pair, and in which host order it was
// measured (ignored without a swap). It reports whether the sequence went on,
// so that it is worth another look.
func (l *Live) Add(d float64, swapped bool) (bool, error) {
	if !(math.Abs(d) <= largest) {
		return false, fmt.Errorf("live monitor: pair %d is %v: %w", l.pairs+1, d, ErrNotFinite)
	}
	swapped = swapped && l.swap
	if swapped != l.swapped {
		l.EndSession()
		l.swapped = swapped
	}
	l.pairs++
	l.open = append(l.open, d)
	if len(l.open) < l.batch {
		return false, nil
	}
	x, err := HodgesLehmann(l.open)
	l.open = l.open[:0]
	if err != nil {
		return false, err
	}
	if !l.swap {
		return true, l.seq.Add(x)
	}
	own, other := 0, 1
	if swapped {
		own, other = 1, 0
	}
	if len(l.waiting[other]) == 0 {
		l.waiting[own] = append(l.waiting[own], x)
		return false, nil
	}
	partner := l.waiting[other][0]
	l.waiting[other] = l.waiting[other][1:]
	return true, l.seq.Add((x + partner) / 2)
}

// EndSession drops the batch that fills: a batch never crosses a border
// between sessions.
func (l *Live) EndSession() { l.open = l.open[:0] }

// Batches is the number of entries of the sequence.
func (l *Live) Batches() int { return l.seq.Batches() }

// Pairs is the number of pairs so far, those of unfinished batches too.
func (l *Live) Pairs() int { return l.pairs }

// Interval is the sequence's interval now. N counts pairs.
func (l *Live) Interval() Interval {
	v := l.seq.Interval()
	v.N = l.pairs
	return v
}
