package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// smallBlock is the latency in milliseconds below which the fixed cost of a
// request dominates the ratio.
const smallBlock = 20

// Diagnosis is what may qualify the effect. It is printed beside the result and
// never used to drop data.
type Diagnosis struct {
	// Diagnostics are those of the log ratios, within sessions where there are
	// several. ZeroShare is there also where there is no spread to diagnose.
	stat.Diagnostics
	// Order is the effect of being asked first, on the log scale; N is 0 when
	// the order is not known.
	Order stat.Interval
	// Small is the share of blocks under 20 ms, WithoutSmall the typical
	// ratio without them; 0 for several sessions, whose hosts change.
	Small, WithoutSmall float64
	// Bytes and Since are the slopes of the log ratio on ln bytes of the
	// answer and on ln time since the head was seen; N is 0 where they are not
	// known or do not vary.
	Bytes, Since stat.Interval
	// Behind is the mean number of blocks behind the head on each side.
	Behind [2]float64
	// Mixture tells of two groups of ratios, as when some witnesses were
	// stored and others made on demand; nil when there is one. Mixed are the
	// first blocks of the smaller group.
	Mixture *stat.Mixture
	Mixed   []uint64
	// Straddles says that the typical effect lies between the groups and so is
	// the effect of no block.
	Straddles bool
	// Warnings are those of the diagnostics and of the checks here.
	Warnings []string
}

// diagnose fills Diagnosis.
func (r *Result) diagnose() {
	g := &r.Diagnosis
	d := r.Differences()
	if len(d) == 0 {
		return
	}
	zeros := 0
	for _, v := range d {
		if v == 0 {
			zeros++
		}
	}
	g.ZeroShare = float64(zeros) / float64(len(d))
	if len(d) < r.Rule.MinPairs {
		return // nothing rests on them
	}
	if v, err := r.diagnostics(d); err == nil {
		g.Diagnostics = v
		g.Warnings = append(g.Warnings, v.Warnings...)
	}
	r.smallBlocks()
	level := r.level()
	r.covariates(level)
	r.mixture(level)
	if c := r.Control; !c.Quiet() {
		g.warn("the A/A control shows a shift between the two places (%s)", c)
	}
}

// diagnostics describe the log ratios d of the pairs.
func (r *Result) diagnostics(d []float64) (stat.Diagnostics, error) {
	if len(r.Sessions) == 0 {
		return stat.Diagnose(d, confidence)
	}
	var all []stat.Session
	for i := range r.Sessions {
		all = append(all, stat.Session{D: r.Sessions[i].of(r.Pairs)})
	}
	return stat.DiagnoseSessions(all, confidence)
}

func (g *Diagnosis) warn(format string, args ...any) {
	g.Warnings = append(g.Warnings, fmt.Sprintf(format, args...))
}

// disagreement says when a typical block and the total moved in opposite
// directions.
func (r *Result) disagreement() {
	t, total := r.Estimates.Typical, r.metric(TotalTime)
	if t.N == 0 || len(r.Pairs) < r.Rule.MinPairs || total == nil || !stat.SignsDiffer(math.Log(t.Center), total.Ratio.Center) {
		return
	}
	if t.Center < 1 {
		r.Diagnosis.warn("a typical %s is faster and the total slower: look at the tail", r.Subject.Unit())
	} else {
		r.Diagnosis.warn("a typical %s is slower and the total faster: look at the tail", r.Subject.Unit())
	}
}

// mixture looks for two groups of ratios.
func (r *Result) mixture(d []float64) {
	m, found := stat.FindMixture(d)
	if !found {
		return
	}
	g := &r.Diagnosis
	g.Mixture = &m
	at := m.Positions(d)
	for _, i := range at[:min(len(at), listedBlocks)] {
		g.Mixed = append(g.Mixed, r.Pairs[i].Number)
	}
	g.warn("%s, as when some witnesses were stored and others made on demand", r.twoGroups())
}

// sizes are the groups of the mixture, the smaller one first.
func sizes(m *stat.Mixture) (small, large stat.Group) {
	if m.High.N < m.Low.N {
		return m.High, m.Low
	}
	return m.Low, m.High
}

// twoGroups tells the mixture.
func (r *Result) twoGroups() string {
	small, large := sizes(r.Diagnosis.Mixture)
	return fmt.Sprintf("the ratios fall into two groups: %d of %d pairs about %.3g (first: %d), the others about %.3g",
		small.N, len(r.Pairs), math.Exp(small.Center), r.Diagnosis.Mixed[0], math.Exp(large.Center))
}

// straddles finds out whether the typical effect is that of the larger group.
// It is an average over pairs of blocks, which a large smaller group pulls away.
func (r *Result) straddles() {
	m, t := r.Diagnosis.Mixture, r.Estimates.Typical
	if m == nil || t.N == 0 {
		return
	}
	_, large := sizes(m)
	r.Diagnosis.Straddles = math.Abs(math.Log(t.Center)-large.Center) > large.SD
}

// atTheLimit says what the typical effect is when answers that timed out count
// as long as the time limit: they are not missing at random.
func (r *Result) atTheLimit() {
	if r.timeouts == 0 || len(r.Pairs) < r.Rule.MinPairs {
		return
	}
	c, err := typical(r.counted, 1-r.Rule.AlphaFinal)
	if err != nil {
		return
	}
	v := c.Effect.Exp()
	r.Diagnosis.warn("with %d timed-out answers counted as long as the time limit of %v, the typical effect is %.4f [%.4f, %.4f] (%s %% interval)",
		r.timeouts, r.Rule.Timeout, v.Center, v.Low, v.High, Percent(v.Confidence))
}

// smallBlocks looks at blocks whose ratio says little and at the clock.
func (r *Result) smallBlocks() {
	g := &r.Diagnosis
	base, test := r.milliseconds(0), r.milliseconds(1)
	share, without, warning, err := stat.SmallBlocks(base, test, smallBlock)
	if err != nil {
		return
	}
	if len(r.Sessions) > 0 {
		without = 0
	}
	g.Small, g.WithoutSmall = share, without
	if r.Subject == Proof {
		r.shortProofs(share, warning != "")
		return
	}
	if warning != "" && without > 0 {
		g.warn("%s (without them it is %.4f)", warning, without)
	} else if warning != "" {
		g.warn("%s", warning)
	}
	if stat.WholeMilliseconds(base) && stat.WholeMilliseconds(test) {
		g.warn("all latencies are whole milliseconds: on a block of 3 ms that is up to 17 %% off")
	}
}

// coarseProof is the proving time, in milliseconds, below which a resolution of
// one millisecond shows in a ratio.
const coarseProof = 200

// shortProofs is smallBlocks for proofs: they hold no request, and provers that
// take a minute log whole milliseconds, which does not matter.
func (r *Result) shortProofs(share float64, many bool) {
	g := &r.Diagnosis
	if many {
		g.warn("%.0f %% of the batches were proved in under %d ms: what every proof takes, whatever it proves, weighs in the ratio, and so does the noise of the machine", 100*share, smallBlock)
	}
	base, test := r.milliseconds(0), r.milliseconds(1)
	shortest := min(slices.Min(base), slices.Min(test))
	if shortest < coarseProof && stat.WholeMilliseconds(base) && stat.WholeMilliseconds(test) {
		g.warn("all proving times are whole milliseconds: of the shortest, %g ms, that is up to %s %% off", shortest, About(0.5/shortest))
	}
}

// gasOf, bytesOf and sinceOf are covariates of a pair.
func gasOf(s *sample.Sample) float64   { return float64(s.GasUsed) }
func bytesOf(s *sample.Sample) float64 { return float64(s.BodyBytes) }
func sinceOf(s *sample.Sample) float64 { return float64(s.SinceHeadNS) }

// covariate is a figure of the baseline's samples, nil where it is not known
// of every pair.
func (r *Result) covariate(of func(*sample.Sample) float64) []float64 {
	out := make([]float64, len(r.Pairs))
	for i := range r.Pairs {
		if r.Pairs[i].Samples == nil {
			return nil
		}
		if out[i] = of(r.Pairs[i].Samples[0]); out[i] <= 0 {
			return nil
		}
	}
	return out
}

// covariates looks at what may explain a part of the effect.
func (r *Result) covariates(d []float64) {
	g := &r.Diagnosis
	slope := func(of func(*sample.Sample) float64) stat.Interval {
		x := r.covariate(of)
		if x == nil {
			return stat.Interval{}
		}
		v, err := stat.GasSlope(d, x, confidence)
		if err != nil {
			return stat.Interval{}
		}
		v.Unit = "log ratio per log unit"
		return v
	}
	g.Bytes, g.Since = slope(bytesOf), slope(sinceOf)
	if r.Pairs[0].Samples == nil {
		return
	}
	var first []bool
	for i := range r.Pairs {
		for side, s := range r.Pairs[i].Samples {
			g.Behind[side] += float64(s.BehindHead) / float64(len(r.Pairs))
		}
		if order := r.Pairs[i].Samples[0].Order; order > 0 {
			first = append(first, order == 1)
		}
	}
	if len(first) == len(d) {
		if v, err := stat.OrderEffect(d, first, confidence); err == nil {
			g.Order = v
			g.Warnings = append(g.Warnings, v.Warnings...)
		}
	}
	if math.Abs(g.Behind[0]-g.Behind[1]) > 1 {
		g.warn("the sides were measured at different distances behind the head: %.1f blocks on the baseline side, %.1f on the test side", g.Behind[0], g.Behind[1])
	}
}

// metric is the secondary metric of that name, nil if there is none.
func (r *Result) metric(name string) *Metric {
	for i := range r.Secondary {
		if r.Secondary[i].Name == name {
			return &r.Secondary[i]
		}
	}
	return nil
}
