package compare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// crossoverSessions is the number of sessions of a run whose builds change
// hosts: straight, exchanged, exchanged, straight, so that what drifts over the
// run cancels as well as what differs between the hosts.
const crossoverSessions = 4

// leastSession is the fewest pairs of a session that has an interval of its
// own.
const leastSession = 4

// Session is an uninterrupted stretch of a run with what it shows on its own.
type Session struct {
	// Number is that of the run, from 1.
	Number int
	// Swapped says that the sides had exchanged their hosts.
	Swapped bool
	// Pairs is the number of its pairs.
	Pairs int
	// Typical is the effect on a typical block in this session alone, as a
	// ratio in which the effect of the hosts is contained. Its N is 0 when the
	// session is too short for an interval.
	Typical stat.Interval

	// from is the place of its first pair.
	from int
	// center is that of Typical on the log scale.
	center float64
}

// stretch is what tells sessions apart.
type stretch struct {
	number  int
	swapped bool
}

func stretchOf(s *sample.Sample) stretch { return stretch{s.Session, s.Swapped} }

func stretchOfPair(p *Pair) stretch { return stretch{p.Session, p.Swapped} }

// compareStretches orders sessions by number and, should one number stand for
// both host orders, the straight one first.
func compareStretches(a, b stretch) int {
	order := cmp.Compare(a.number, b.number)
	if order == 0 && a.swapped != b.swapped {
		if a.swapped {
			return 1
		}
		return -1
	}
	return order
}

// sessionsOf are the sessions of pairs that stand session by session.
func sessionsOf(pairs []Pair) []Session {
	var all []Session
	for i := range pairs {
		p := &pairs[i]
		if n := len(all); n == 0 || stretchOfPair(&pairs[i-1]) != stretchOfPair(p) {
			all = append(all, Session{Number: p.Session, Swapped: p.Swapped, from: i})
		}
		all[len(all)-1].Pairs++
	}
	return all
}

// of are the log ratios of the session, one of those of pairs.
func (s *Session) of(pairs []Pair) []float64 { return differences(pairs[s.from : s.from+s.Pairs]) }

func differences(pairs []Pair) []float64 {
	d := make([]float64, len(pairs))
	for i := range pairs {
		d[i] = pairs[i].D
	}
	return d
}

// typical is the effect on a typical block on the log scale: of all pairs where
// they are of one session, and combined out of the sessions where they are not.
func typical(pairs []Pair, confidence float64) (stat.Sessions, error) {
	all := sessionsOf(pairs)
	if len(all) < 2 {
		ranks, err := stat.NewSignedRank(differences(pairs))
		if err != nil {
			return stat.Sessions{}, err
		}
		v := ranks.Interval(confidence)
		return stat.Sessions{Effect: v, Blocks: v}, nil
	}
	return stat.CombineSessions(combinable(pairs, all), confidence)
}

// combinable are the sessions that are long enough to be combined.
func combinable(pairs []Pair, all []Session) []stat.Session {
	var out []stat.Session
	for i := range all {
		if s := &all[i]; s.Pairs >= leastSession {
			out = append(out, stat.Session{Swapped: s.Swapped, D: s.of(pairs)})
		}
	}
	return out
}

// group finds the sessions of the pairs. A run of one session has none.
func (r *Result) group() {
	all := sessionsOf(r.Pairs)
	if len(all) < 2 {
		return
	}
	r.Sessions = all
	for i := range all {
		s := &all[i]
		d := s.of(r.Pairs)
		s.center, _ = stat.HodgesLehmann(d)
		if ranks, err := stat.NewSignedRank(d); err == nil {
			s.Typical = ranks.Interval(1 - r.Rule.AlphaFinal).Exp()
		}
		if s.Pairs < leastSession {
			r.warn("session %d has only %d pairs, too few for an interval of its own: it is left out of the effect", s.Number, s.Pairs)
		}
	}
}

// swapped reports whether the sides have exchanged hosts during the run, so
// that what the hosts differ by cancels.
func (r *Result) swapped() bool {
	in := func(swapped bool) bool {
		return slices.ContainsFunc(r.Sessions, func(s Session) bool { return s.Swapped == swapped && s.Pairs >= leastSession })
	}
	return in(false) && in(true)
}

// level moves the log ratios of all sessions to a common center: what differs
// between sessions is no property of their blocks. Those of one session stay as
// they are.
func (r *Result) level() []float64 {
	d := r.Differences()
	common := 0.0
	for _, s := range r.Sessions {
		common += s.center * float64(s.Pairs) / float64(len(d))
	}
	for _, s := range r.Sessions {
		for i := s.from; i < s.from+s.Pairs; i++ {
			d[i] += common - s.center
		}
	}
	return d
}

// combine makes one interval of a measure out of those of the sessions. of
// gives it on the ratio scale for the pairs from up to, not including, to.
func (r *Result) combine(confidence float64, of func(from, to int) (stat.Interval, error)) (stat.Interval, error) {
	var parts []stat.Part
	for _, s := range r.Sessions {
		if s.Pairs < leastSession {
			continue
		}
		v, err := of(s.from, s.from+s.Pairs)
		if err != nil {
			return stat.Interval{}, fmt.Errorf("session %d: %w", s.Number, err)
		}
		parts = append(parts, stat.Part{Swapped: s.Swapped, Interval: v.Log()})
	}
	c, err := stat.CombineParts(parts, confidence)
	if err != nil {
		return stat.Interval{}, err
	}
	v := c.Effect.Exp()
	if v.Low == v.High {
		v.P = math.NaN() // it is exact
	}
	return v, nil
}

// measure is a measure of the pairs on the ratio scale: of the whole run where
// that is one session, and combined out of the sessions where there are more.
func (r *Result) measure(confidence float64, of func(from, to int) (stat.Interval, error)) (stat.Interval, error) {
	if len(r.Sessions) == 0 {
		return of(0, len(r.Pairs))
	}
	return r.combine(confidence, of)
}

// estimateSessions fills what a run of several sessions supports: the wider of
// the interval between sessions and the one of their blocks is the one that
// counts, and every other level and test follows from it.
func (r *Result) estimateSessions() {
	e := &r.Estimates
	c, err := typical(r.Pairs, 1-r.Rule.AlphaFinal)
	if err != nil {
		if errors.Is(err, stat.ErrNotFinite) {
			r.warn("%v", err)
		}
		return
	}
	effect := c.Effect
	estimate := effect.Estimate()
	inner := estimate.Interval(1 - 2*r.Rule.AlphaFinal)
	inner.N, inner.Kind, inner.Unit = effect.N, effect.Kind, effect.Unit
	e.Typical, e.Inner = effect.Exp(), inner.Exp()
	e.Final = e.Typical
	delta := math.Log1p(r.Rule.Margin)
	e.Equivalent = worse(estimate.TOST(delta))
	e.Blocks = c.Blocks.Exp()
	if c.Between.N > 0 {
		e.Between = c.Between.Exp()
	}
	if c.Host.N > 0 {
		e.Host = c.Host.Exp()
	}
	for _, w := range effect.Warnings {
		r.warn("%s", w)
	}
	if r.Control != nil && r.Control.Corrects {
		r.correct(effect, inner, delta)
	}
	omega := 0.0
	for _, s := range combinable(r.Pairs, r.Sessions) {
		own, _ := stat.EWC(s.D)
		omega += own * float64(len(s.D)) / float64(effect.N)
	}
	e.LongRun = math.Sqrt(omega)
}
