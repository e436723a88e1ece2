package compare

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// alphaProof is the error rate of proving times, which are analyzed once.
const alphaProof = 0.05

// Groups is the comparison of two groups of measurements that do not pair.
type Groups struct {
	// Why says why they do not.
	Why string
	// MS are the measurements of both sides in milliseconds, in order.
	MS [2][]float64
	// Numbers are their blocks or batches, parallel to MS; nil for a side
	// whose input numbers nothing.
	Numbers [2][]uint64
	// RankSum is the test of Mann and Whitney.
	RankSum stat.RankSumTest
	// Shift is the median difference test - baseline in milliseconds, Typical
	// the same as a ratio, Mean the ratio of geometric means.
	Shift, Typical, Mean stat.Interval
	// MeanRatio and MedianRatio compare the sides' own figures.
	MeanRatio, MedianRatio float64
	// MDE is the effect, as a fraction, that a design of this size sees; that
	// of proving times at equal gas where Proofs is known.
	MDE float64
	// Proofs is the analysis of covariance of proving times, nil where gas is
	// not known.
	Proofs *stat.Ancova
}

// groups compares the kept values of two series as groups.
func (r *Result) groups(series [2]*intake.Series, kept [2][]uint32, why string) {
	g := &Groups{Why: why}
	r.Groups = g
	for side, s := range series {
		g.MS[side] = make([]float64, len(kept[side]))
		for at, i := range kept[side] {
			g.MS[side][at] = s.Values[i].MS
		}
		if s.Numbered {
			g.Numbers[side] = numbersOf(s, kept[side])
		}
		r.Sides[side] = describe(g.MS[side])
	}
	r.Attempted = len(g.MS[0]) + len(g.MS[1])
	broken := r.fewProofs()
	if len(broken) == 0 {
		broken = r.compareGroups(series, kept)
	}
	r.decideGroups(broken)
}

// numbersOf are the numbers of the kept values.
func numbersOf(s *intake.Series, kept []uint32) []uint64 {
	numbers := make([]uint64, len(kept))
	for at, i := range kept {
		numbers[at] = s.Values[i].Block
	}
	return numbers
}

// fewProofs says on which sides there are too few proofs to compare.
func (r *Result) fewProofs() []string {
	if r.Subject != Proof {
		return nil
	}
	var broken []string
	for side, ms := range r.Groups.MS {
		if n := len(ms); n < r.Rule.MinPairs {
			broken = append(broken, fmt.Sprintf("too few batches on the %s side: %d, at least %d are needed", sample.Sides[side], n, r.Rule.MinPairs))
		}
	}
	return broken
}

// compareGroups estimates and returns what makes the result invalid.
func (r *Result) compareGroups(series [2]*intake.Series, kept [2][]uint32) []string {
	g := r.Groups
	if slices.Equal(g.MS[0], g.MS[1]) {
		return []string{"both sides hold the same latencies in the same order: is it the same measurement twice?"}
	}
	if err := g.estimate(); err != nil {
		return []string{fmt.Sprintf("the two groups cannot be compared: %v", err)}
	}
	if r.Subject == Proof {
		return r.proofs(series, kept)
	}
	return nil
}

// estimate fills everything that two groups alone support.
func (g *Groups) estimate() error {
	base, test := g.MS[0], g.MS[1]
	logBase, err := stat.Logs(base)
	if err != nil {
		return err
	}
	logTest, err := stat.Logs(test)
	if err != nil {
		return err
	}
	if g.RankSum, err = stat.MannWhitney(test, base); err != nil {
		return err
	}
	// Of many values in whole milliseconds the interval can shrink to a point.
	// The ratio says the same and is finer.
	if g.Shift, err = stat.Shift(test, base, confidence); err != nil && !errors.Is(err, stat.ErrNoSpread) {
		return err
	}
	g.Shift.Unit = "ms"
	typical, err := stat.Shift(logTest, logBase, confidence)
	if err != nil {
		return err
	}
	g.Typical = typical.Exp()
	mean, err := stat.Welch(logTest, logBase, confidence)
	if err != nil {
		return err
	}
	g.Mean = mean.Exp()
	a, b := stat.Summarize(base), stat.Summarize(test)
	g.MeanRatio, g.MedianRatio = b.Mean/a.Mean, b.Median/a.Median
	g.MDE, err = stat.UnpairedMDE(logTest, logBase)
	return err
}

// proofs compares proving times with gas as covariate. It returns what makes
// the result invalid.
func (r *Result) proofs(series [2]*intake.Series, kept [2][]uint32) []string {
	if series[0].Work == nil || series[1].Work == nil {
		r.warn("gas is not known on both sides: batches of different size are compared as if they were alike (give --baseline-metrics and --test-metrics)")
		return nil
	}
	var batches []stat.Batch
	for side, s := range series {
		for _, i := range kept[side] {
			w := s.Work[i]
			if w.Gas == 0 {
				r.exclude(fmt.Sprintf("%s side: batch without a known gas", sample.Sides[side]), s.Values[i].Block)
				continue
			}
			batches = append(batches, stat.Batch{
				Test: side == 1, Seconds: s.Values[i].MS / 1e3, Gas: float64(w.Gas), Transactions: int(w.Txs),
			})
		}
	}
	a, err := stat.CompareProofs(batches, 1-r.Rule.AlphaFinal, r.Rule.Seed)
	if err != nil {
		return []string{fmt.Sprintf("the proving times cannot be compared at equal gas: %v", err)}
	}
	r.Groups.Proofs = &a
	r.Groups.MDE = a.Effect.Estimate().MDE(r.Rule.AlphaFinal, stat.DefaultPower)
	if excludes := !a.Effect.Contains(0); excludes != (a.Permutation < r.Rule.AlphaFinal) {
		r.warn("%s", disagree(excludes, a.Permutation))
	}
	if a.Outside > 0 {
		r.warn("%d batches lie outside of the range of gas that both sides cover and are not used", a.Outside)
	}
	return nil
}

// disagree says that the cross-check of proving times at equal gas does not see
// what the interval shows.
func disagree(excludes bool, p float64) string {
	what := "the interval contains 1, and the permutation test, a cross-check, sees a difference"
	if excludes {
		what = "the interval excludes 1, and the permutation test, a cross-check, sees no difference"
	}
	return fmt.Sprintf("%s (p = %.2g): the result is at the limit of what the batches show", what, p)
}

// Confounded is what every unpaired comparison of latencies says.
const Confounded = "different blocks: content and time are confounded with the change"

// What unpaired comparisons of proving times say instead, with and without gas.
const (
	atEqualGas       = "different batches: gas is taken into account, everything else that differs between them is not"
	confoundedProofs = "different batches: size, content and time are confounded with the change"
)

// decideGroups is the verdict of an unpaired comparison. A direction needs an
// interval that excludes 1 and an effect that a design of this size can see.
func (r *Result) decideGroups(broken []string) {
	g := r.Groups
	v := &r.Verdict
	v.Margin, v.Attribution = r.Rule.Margin, Confounded
	if r.Subject == Proof {
		v.Attribution = confoundedProofs
	}
	if len(broken) > 0 {
		v.Outcome, v.Reasons = Invalid, broken
		return
	}
	delta := math.Log1p(r.Rule.Margin)
	r.Effect = g.Typical
	needed := g.MDE
	if p := g.Proofs; p != nil {
		r.Effect, needed = p.Effect.Exp(), 0 // its level is exact, so that nothing is needed beside
		v.Attribution = atEqualGas
	}
	e := r.Effect
	few := r.fewValues()
	large := few == "" && math.Abs(math.Log(e.Center)) > math.Log1p(needed)
	switch {
	case e.High < 1 && large:
		v.Outcome, v.ClearsMargin = Improves, math.Log(e.High) < -delta
	case e.Low > 1 && large:
		v.Outcome, v.ClearsMargin = Regresses, math.Log(e.Low) > delta
	case g.Proofs != nil && within(g.Proofs.Effect.Estimate().Interval(1-2*r.Rule.AlphaFinal), delta):
		v.Outcome = NoEffect
	default:
		v.Outcome = Inconclusive
	}
	r.explainGroups(few, needed)
}

// explainGroups gives the reasons of the verdict.
func (r *Result) explainGroups(few string, needed float64) {
	g, v, e := r.Groups, &r.Verdict, r.Effect
	v.Reasons = append(v.Reasons, g.Why)
	switch excludes := e.High < 1 || e.Low > 1; {
	case v.Outcome == NoEffect:
		v.Reasons = append(v.Reasons, fmt.Sprintf("the %s %% interval lies inside the margin", Percent(1-2*r.Rule.AlphaFinal)))
	case v.Outcome != Inconclusive:
	case few != "":
		v.Reasons = append(v.Reasons, few)
	case excludes:
		v.Reasons = append(v.Reasons, fmt.Sprintf("the effect is smaller than what two groups of this size can show (about %.1f %%)", 100*needed))
	case g.Proofs != nil:
		v.Reasons = append(v.Reasons, fmt.Sprintf("the interval contains 1 and is too wide to exclude an effect of %s %%", Percent(r.Rule.Margin)), r.moreProofs())
	default:
		v.Reasons = append(v.Reasons, fmt.Sprintf("the interval contains 1; two groups of this size can show about %.1f %%", 100*needed))
	}
	if g.Proofs == nil {
		v.Reasons = append(v.Reasons, v.Attribution+"; the comparison can show that one group was faster, not that the change made it so")
	}
}

// moreProofs says what so many batches could have shown at equal gas, and how
// many would show an effect as large as the margin.
func (r *Result) moreProofs() string {
	v := r.Groups.Proofs.Effect
	// The error falls with the root of the number.
	short := math.Log1p(r.Groups.MDE) / math.Log1p(r.Rule.Margin)
	text := fmt.Sprintf("the smallest effect that %d batches could have shown at equal gas with 80 %% power is about %s %%", v.N, About(r.Groups.MDE))
	if short <= 1 || short > 1000 {
		return text
	}
	return text + fmt.Sprintf("; a run that sees one of %s %% needs about %.0f batches in all", Percent(r.Rule.Margin), math.Ceil(float64(v.N)*short*short))
}

// fewValues says that there are too few latencies for a direction, and is
// empty when there are enough. What a paired comparison needs, two groups that
// share nothing do not need less of.
func (r *Result) fewValues() string {
	a, b := len(r.Groups.MS[0]), len(r.Groups.MS[1])
	if r.Subject == Proof || min(a, b) >= r.Rule.MinPairs {
		return ""
	}
	return fmt.Sprintf("too few blocks for a verdict: %d on the baseline side, %d on the test side, at least %d are needed on each", a, b, r.Rule.MinPairs)
}

func within(v stat.Interval, delta float64) bool { return v.Within(-delta, delta) }
