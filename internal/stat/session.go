package stat

import (
	"fmt"
	"math"
	"slices"
)

// Session is an uninterrupted stretch of a run: the programs were not
// restarted and the sides kept their hosts.
type Session struct {
	// Swapped says that the sides have exchanged hosts.
	Swapped bool
	// D are the log ratios in block order, at least four.
	D []float64
}

// sessionPairs is the number of pairs that a session of a swap should have.
const sessionPairs = 50

// Sessions is the effect of a run of several sessions, on the log scale.
type Sessions struct {
	// Effect is the wider of Between and Blocks, and the one to report. Its
	// Estimate gives the p-value, other levels and the equivalence test.
	Effect Interval
	// Between is a t interval over the sessions' estimates. Blocks combines
	// the sessions' own intervals. Between has N 0 when there are too few
	// sessions for it.
	Between, Blocks Interval
	// Host is the effect of the host, positive when the second host is
	// slower. It has N 0 without a swap, when it is part of Effect.
	Host Interval
	// SD is the standard deviation between sessions that Between stands on,
	// 0 without it.
	SD float64
}

// CombineSessions estimates the effect of the version from sessions: the
// Hodges-Lehmann estimate of each, weighted so that with swapped hosts the
// effect of the host cancels. Sessions differ by more than their blocks show,
// which is why the interval between sessions counts when it is wider.
func CombineSessions(sessions []Session, confidence float64) (Sessions, error) {
	parts := make([]Part, len(sessions))
	var short []string
	for i, s := range sessions {
		r, err := NewSignedRank(s.D)
		if err != nil {
			return Sessions{}, fmt.Errorf("session %d: %w", i+1, err)
		}
		parts[i] = Part{Swapped: s.Swapped, Interval: r.Interval(confidence)}
		if len(sessions) > 1 && r.N() < sessionPairs {
			short = append(short, fmt.Sprintf("session %d has %d pairs and should have %d", i+1, r.N(), sessionPairs))
		}
	}
	return combineParts(parts, confidence, short)
}

// Part is what one session says of a measure, on the log scale.
type Part struct {
	// Swapped says that the sides had exchanged hosts.
	Swapped bool
	Interval
}

// CombineParts is CombineSessions for any measure of which each session has an
// interval of its own. A method without degrees of freedom, such as the
// bootstrap, gets those of a long-run variance over as many pairs.
func CombineParts(parts []Part, confidence float64) (Sessions, error) {
	return combineParts(parts, confidence, nil)
}

func combineParts(parts []Part, confidence float64, warnings []string) (Sessions, error) {
	if len(parts) == 0 {
		return Sessions{}, fmt.Errorf("sessions: %w", ErrTooFew)
	}
	c := combination{confidence: confidence, method: parts[0].Kind, warnings: warnings}
	for i, p := range parts {
		if p.Unit == UnitRatio {
			return Sessions{}, fmt.Errorf("session %d: a ratio is not on the log scale", i+1)
		}
		v := p.Interval
		if v.DF == 0 && len(parts) > 1 {
			same := Estimate{Value: v.Center, SE: v.SE(), DF: float64(Nu(v.N))}.Interval(v.Confidence)
			v.Low, v.High, v.DF = same.Low, same.High, same.DF
		}
		kind := 0
		if p.Swapped {
			kind = 1
		}
		c.kinds[kind] = append(c.kinds[kind], v)
		c.pairs += v.N
	}
	if len(parts) == 1 {
		return Sessions{Effect: parts[0].Interval, Blocks: parts[0].Interval}, nil
	}
	return c.combine(), nil
}

// combination holds the sessions' intervals by host order.
type combination struct {
	kinds      [2][]Interval
	confidence float64
	// method is the kind of the sessions' own intervals.
	method   string
	pairs    int
	warnings []string
}

// swap reports whether both host orders occur.
func (c *combination) swap() bool { return len(c.kinds[0]) > 0 && len(c.kinds[1]) > 0 }

func (c *combination) combine() Sessions {
	theta, eta := c.centers()
	blocks := c.blocks()
	between, sd, ok := c.between()
	if !ok {
		c.warnings = append(c.warnings, "a swap needs two sessions of each host order for an interval between sessions")
	}
	interval := func(e Estimate, kind string, center float64) Interval {
		e.Value = center
		v := e.Interval(c.confidence)
		v.N, v.Kind, v.Unit, v.Warnings = c.pairs, kind, UnitLogRatio, slices.Clone(c.warnings)
		return v
	}
	out := Sessions{Blocks: interval(blocks, c.method+combined, theta), SD: sd}
	out.Effect = out.Blocks
	wider, kind := blocks, out.Blocks.Kind
	if ok {
		out.Between = interval(between, KindSessionT, theta)
		if out.Between.High-theta > out.Blocks.High-theta {
			out.Effect, wider, kind = out.Between, between, KindSessionT
		}
	}
	if c.swap() {
		out.Host = interval(wider, kind, eta)
	}
	return out
}

// centers are the effects of the version and of the host.
func (c *combination) centers() (theta, eta float64) {
	if !c.swap() {
		return mean(slices.Concat(centersOf(c.kinds[0]), centersOf(c.kinds[1]))), 0
	}
	x, y := mean(centersOf(c.kinds[0])), mean(centersOf(c.kinds[1]))
	return (x + y) / 2, (x - y) / 2
}

func centersOf(vs []Interval) []float64 {
	m := make([]float64, len(vs))
	for i, v := range vs {
		m[i] = v.Center
	}
	return m
}

// between is the standard error over the sessions' estimates: pooled when the
// swap is balanced, Welch's when it is not, plain without a swap.
func (c *combination) between() (e Estimate, sd float64, ok bool) {
	x, y := centersOf(c.kinds[0]), centersOf(c.kinds[1])
	s := float64(len(x) + len(y))
	if !c.swap() {
		_, sd = meanSD(slices.Concat(x, y))
		return Estimate{SE: sd / math.Sqrt(s), DF: s - 1}, sd, true
	}
	if len(x) < 2 || len(y) < 2 {
		return Estimate{}, 0, false
	}
	_, sx := meanSD(x)
	_, sy := meanSD(y)
	if len(x) == len(y) {
		sd = math.Sqrt((sx*sx + sy*sy) / 2)
		return Estimate{SE: sd / math.Sqrt(s), DF: s - 2}, sd, true
	}
	vx, vy := sx*sx/float64(len(x)), sy*sy/float64(len(y))
	e = Estimate{SE: math.Sqrt((vx + vy) / 4), DF: satterthwaite([]float64{vx, vy}, []float64{float64(len(x) - 1), float64(len(y) - 1)})}
	return e, e.SE * math.Sqrt(s), true
}

// satterthwaite is the degrees of freedom of a sum of variances with their own
// (Welch 1947): sum² / sum of v²/df. It is the smallest of them when there is
// no variance to weigh them by.
func satterthwaite(variances, dfs []float64) float64 {
	sum := 0.0
	for _, v := range variances {
		sum += v
	}
	if !(sum > 0) || math.IsInf(sum, 1) {
		return slices.Min(dfs)
	}
	inverse := 0.0
	for i, v := range variances {
		// Shares keep tiny variances from vanishing when squared.
		inverse += (v / sum) * (v / sum) / dfs[i]
	}
	return 1 / inverse
}

// blocks is the standard error from the sessions' own intervals.
func (c *combination) blocks() Estimate {
	var parts, dfs []float64
	sum := 0.0
	for _, vs := range c.kinds {
		w := 1 / float64(len(c.kinds[0])+len(c.kinds[1]))
		if c.swap() {
			w = 1 / float64(2*len(vs))
		}
		for _, v := range vs {
			parts, dfs = append(parts, w*w*v.SE()*v.SE()), append(dfs, v.DF)
			sum += w * w * v.SE() * v.SE()
		}
	}
	return Estimate{SE: math.Sqrt(sum), DF: satterthwaite(parts, dfs)}
}

// Correct takes the shift of an A/A control off an effect, both on the log
// scale with t intervals: the hosts' effect cancels and the control's own
// uncertainty is added. It needs intervals with degrees of freedom; a
// confidence sequence is not corrected.
func Correct(ab, aa Interval, confidence float64) (Interval, error) {
	if ab.DF <= 0 || aa.DF <= 0 {
		return Interval{}, fmt.Errorf("correcting %s by %s: both need degrees of freedom", ab.Kind, aa.Kind)
	}
	if !ab.Bounded() || !aa.Bounded() || ab.Unit == UnitRatio || aa.Unit == UnitRatio {
		return Interval{}, fmt.Errorf("correcting %s by %s: both need a bounded interval of log ratios", ab.Kind, aa.Kind)
	}
	v := difference(ab, aa).Interval(confidence)
	v.N, v.Kind, v.Unit = ab.N, KindCorrected, UnitLogRatio
	v.Warnings = ab.Warnings
	return v, nil
}

// difference is x - y for two independent estimates.
func difference(x, y Interval) Estimate {
	vx, vy := x.SE()*x.SE(), y.SE()*y.SE()
	return Estimate{Value: x.Center - y.Center, SE: math.Sqrt(vx + vy), DF: satterthwaite([]float64{vx, vy}, []float64{x.DF, y.DF})}
}
