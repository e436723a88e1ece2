package compare

import (
	"fmt"
	"math"
	"strings"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// Outcome is one of the five verdicts.
type Outcome string

// The five verdicts. NoEffect is shown with its margin.
const (
	Improves     Outcome = "improves"
	Regresses    Outcome = "regresses"
	NoEffect     Outcome = "no effect"
	Inconclusive Outcome = "inconclusive"
	Invalid      Outcome = "invalid"
	// NoVerdict is no verdict: one side was measured and none is due.
	NoVerdict Outcome = "no verdict"
)

// Verdict is the outcome of a comparison with its reasons.
type Verdict struct {
	Outcome Outcome
	// Margin is the practical margin that the outcome refers to.
	Margin float64
	// ClearsMargin is set when an improvement or regression is larger than the
	// margin over its whole interval.
	ClearsMargin bool
	// Live is set when the sequence decided and not the analysis at the
	// planned n.
	Live bool
	// Worse names the guards that spoil an improvement.
	Worse []string
	// Reasons say why, most important first.
	Reasons []string
	// Attribution says what the effect is an effect of. Servers says that it is
	// one of server and version together: the sides ran on two hosts, and
	// nothing tells what the hosts differ by.
	Attribution string
	Servers     bool
}

// String is the verdict in its own words: "no effect beyond ±3 %" for NoEffect,
// "improves, but p95 worse" when a guard speaks against it.
func (v Verdict) String() string {
	switch {
	case v.Outcome == NoEffect:
		return fmt.Sprintf("no effect beyond ±%s %%", Percent(v.Margin))
	case v.Outcome == Improves && len(v.Worse) > 0:
		return fmt.Sprintf("improves, but %s worse", join(v.Worse))
	}
	return string(v.Outcome)
}

// Percent is a fraction in percent, as short as two decimals allow.
func Percent(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", 100*x), "0"), ".")
}

// join lists words with "and" before the last.
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// decide applies the conditions in the order of the method: what makes the
// result invalid comes first, then what makes it undecidable, then a
// direction, then equivalence. Guards come last and only take away.
func (r *Result) decide() {
	sequence, batches := r.sequence()
	if !r.Control.Quiet() && !r.swapped() {
		// The sequence is not corrected for a shift between the places.
		sequence, batches = stat.Interval{}, 0
	}
	d := stat.Decide(stat.Evidence{
		Stage: r.Stage, Broken: r.invalid(), Undecidable: r.undecidable(),
		Pairs: len(r.Pairs), MinPairs: r.Rule.MinPairs,
		Sequence: sequence, Batches: batches,
		Final: r.Estimates.Final.Log(), Inner: r.Estimates.Inner.Log(),
		Margin: r.Rule.Margin,
	})
	r.Verdict = Verdict{
		Outcome: outcomes[d.Verdict], Margin: r.Rule.Margin,
		ClearsMargin: d.BeyondMargin, Live: d.Live,
	}
	if d.Interval.N > 0 {
		r.Effect = d.Interval.Exp()
	}
	r.explain(d.Reasons)
	if r.Verdict.Outcome == Improves {
		r.Verdict.Worse = r.worse()
	}
	r.Verdict.Attribution, r.Verdict.Servers = r.attribution()
}

var outcomes = map[stat.Verdict]Outcome{
	stat.Improves: Improves, stat.Regresses: Regresses, stat.NoEffect: NoEffect,
	stat.Inconclusive: Inconclusive, stat.Invalid: Invalid,
}

// explain gives the reasons of the verdict.
func (r *Result) explain(reasons []string) {
	v := &r.Verdict
	margin := Percent(r.Rule.Margin)
	say := func(format string, args ...any) { v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...)) }
	switch v.Outcome {
	case Improves, Regresses:
		if v.ClearsMargin {
			say("the effect is larger than the margin of %s %%: the whole interval clears it", margin)
		} else {
			say("the interval excludes 1, but not an effect below the margin of %s %%", margin)
		}
		if v.Live && r.Stage == stat.Stopped {
			say("the run ended after %s: the confidence sequence, which holds at any time, had decided", r.progress())
		}
	case NoEffect:
		if v.Live {
			say("the whole %s %% confidence sequence lies inside the margin", Percent(1-r.Rule.AlphaLive))
			break
		}
		say("the %s %% interval %s to %s lies inside the margin%s",
			Percent(1-2*r.Rule.AlphaFinal), short(r.Estimates.Inner.Low), short(r.Estimates.Inner.High), equivalence(r.Estimates.Equivalent))
	case Inconclusive:
		switch {
		case len(r.undecidable()) > 0:
			v.Reasons = append(v.Reasons, reasons...)
		case r.Stage != stat.Planned && r.Subject == Proof:
			say("the run ended after %s: the analysis was planned for all of them", r.progress())
		case r.Stage != stat.Planned:
			say("the run ended after %s, and the confidence sequence, which holds at any time, has not decided", r.progress())
		default:
			say("the interval contains 1 and is too wide to exclude an effect of %s %%", margin)
		}
		v.Reasons = append(v.Reasons, r.Forecast.reasons(r.Rule)...)
	default:
		v.Reasons = reasons
	}
	if v.Outcome != Invalid && r.Diagnosis.Straddles {
		v.Reasons = append([]string{r.twoGroups() + "; the typical effect lies between them and describes no block"}, v.Reasons...)
	}
	if v.Outcome != Invalid && r.Replayed {
		say(replayParity)
	}
	if v.Outcome != Invalid && r.Rule.Exploratory != "" {
		say("exploratory: %s", r.Rule.Exploratory)
	}
}

// progress is how much of what was planned there is.
func (r *Result) progress() string {
	if r.Rule.Pairs > 0 {
		return fmt.Sprintf("%d of %d pairs", len(r.Pairs), r.Rule.Pairs)
	}
	return fmt.Sprintf("%d of %d %s", r.asked, r.Rule.Planned, r.Subject.Units())
}

func short(x float64) string { return fmt.Sprintf("%.4f", x) }

// equivalence tells the p-value of no effect beyond the margin, where there is
// one; it is never zero.
func equivalence(p float64) string {
	switch {
	case math.IsNaN(p):
		return ""
	case p < 1e-4:
		return " (p of equivalence < 0.0001)"
	}
	return fmt.Sprintf(" (p of equivalence %.2g)", p)
}

// invalid lists everything that forbids a verdict on latency.
func (r *Result) invalid() []string {
	var why []string
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	p := &r.Parity
	if n := len(p.Different); n > 0 && !r.unstable() {
		say("parity: the two sides answered differently on %d of %d %s (first: %d)", n, p.Checked, r.Subject.Units(), p.Different[0])
	}
	for i, side := range sample.Sides {
		if n := p.Incomplete[i]; n > 0 {
			say("%d of %d checked witnesses of the %s side are incomplete", n, n+p.Verified[i], side)
		}
	}
	for i, side := range sample.Sides {
		if n := p.Unproved[i]; n > 0 && p.Verified[i] == 0 {
			say("no witness of the %s side could be proved complete: %s", side, p.Doubt)
		} else if n > 0 {
			r.warn("%d witnesses of the %s side could not be proved complete: %s", n, side, p.Doubt)
		}
	}
	switch {
	case r.conflicts == 0 || len(r.Pairs) > 0:
	case r.Subject == Proof:
		say("the sides had different inputs under all %d common numbers: they did not prove the same batches", r.conflicts)
	default:
		say("the two inputs have different blocks at all %d common heights: they followed different chains", r.conflicts)
	}
	if n := len(r.Pairs); n < r.Rule.MinPairs {
		say("too few pairs: %d, at least %d are needed", n, r.Rule.MinPairs)
	} else if r.Estimates.Typical.N == 0 {
		if r.Diagnosis.ZeroShare == 1 {
			say("every pair has the same latency on both sides: is it the same measurement twice?")
		} else {
			say("the latencies have no spread: nothing was measured")
		}
	}
	if lost := r.Attempted - len(r.Pairs) - len(p.Different); float64(lost) > r.Rule.MaxUnpaired*float64(r.Attempted) {
		units := r.Subject.Units()
		r.warn("selected %s: %d of %d attempted %s have no pair", units, lost, r.Attempted, units)
		if a, b := p.only[0], p.only[1]; stat.McNemar(a, b) < alphaSecondary {
			say("%d of %d attempted %s have no pair and the failures are not balanced: %d on the baseline side alone, %d on the test side alone", lost, r.Attempted, units, a, b)
		}
	}
	return why
}

// unstable reports whether the A/A control showed that the baseline build
// disagrees with itself, so that parity cannot be judged.
func (r *Result) unstable() bool { return r.Control != nil && len(r.Control.Different) > 0 }

// undecidable lists what forbids a verdict although the test side did nothing
// wrong.
func (r *Result) undecidable() []string {
	if r.Subject == Proof && len(r.Pairs) < 6 {
		return []string{fmt.Sprintf("%d pairs of proofs: the interval assumes normal log ratios, and no rank test can reach a level of 0.05", len(r.Pairs))}
	}
	if !r.unstable() {
		return nil
	}
	c := r.Control
	return []string{fmt.Sprintf("answers are not reproducible, parity cannot be judged: in the A/A control the baseline build disagrees with itself on %d of %d blocks (first: %d)",
		len(c.Different), len(c.Different)+c.Pairs, c.Different[0])}
}

// attribution says what was separated from the effect, and whether it is one of
// the servers too.
func (r *Result) attribution() (what string, servers bool) {
	hosts := r.Hosts()
	switch {
	case r.swapped():
		return fmt.Sprintf("the test version: the builds exchanged the hosts %s and %s, so that what the hosts differ by cancels", hosts[0], hosts[1]), false
	case r.Control != nil && r.Control.Corrects && r.Verdict.Live:
		return "the test version: the A/A control shows no shift between the two places", false
	case r.Control != nil && r.Control.Corrects:
		return "the test version: the shift of the A/A control between the two places is taken off", false
	case len(r.Pairs) == 0 || r.Pairs[0].Samples == nil:
		return Unseparated, false
	case hosts[0] == hosts[1]:
		return "the test version on this host against the baseline version on the same host; what two processes of one version differ by is not separated, an A/A control would do that", false
	}
	return fmt.Sprintf("server and version together: the test version on host %s against the baseline version on host %s; only an exchange of the hosts or an A/A control on both would separate them", hosts[1], hosts[0]), true
}

// Hosts are the first host, that of the baseline side in sessions that are not
// swapped, and the second: as they were registered or, failing that, as the
// samples tell; empty where nothing does.
func (r *Result) Hosts() [2]string {
	if h := r.Rule.Hosts; h[0] != "" && h[1] != "" {
		return h
	}
	for i := range r.Pairs {
		p := &r.Pairs[i]
		switch {
		case p.Samples == nil:
		case p.Swapped:
			return [2]string{p.Samples[1].Host, p.Samples[0].Host}
		default:
			return [2]string{p.Samples[0].Host, p.Samples[1].Host}
		}
	}
	return [2]string{}
}
