package report

import (
	"fmt"
	"strings"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/stat"
	"github.com/verdict-bench/verdict/internal/store"
)

// conclusion says whether the change improves, regresses or has no effect.
func conclusion(r *Run) string {
	if single(r.Result) {
		return unfinished(r, provedConclusion(r))
	}
	test, base := name(r, 1), name(r, 0)
	v, does := r.Result.Verdict, "answers debug_executionWitness"
	if r.Result.Subject == compare.Proof {
		does = "proves"
	}
	var s string
	switch v.Outcome {
	case compare.Improves:
		s = fmt.Sprintf("%s %s faster than %s: %s.", test, does, base, effectSentence(r.Result))
		if len(v.Worse) > 0 {
			s += fmt.Sprintf(" The win is qualified: %s is worse.", strings.Join(v.Worse, " and "))
		}
	case compare.Regresses:
		s = fmt.Sprintf("%s %s more slowly than %s: %s.", test, does, base, effectSentence(r.Result))
	case compare.NoEffect:
		s = fmt.Sprintf("%s has %s compared with %s: %s.", test, v, base, effectSentence(r.Result))
	case compare.Inconclusive:
		s = fmt.Sprintf("The measurements do not settle whether %s is faster than %s: %s. This is not evidence of no effect.", test, base, effectSentence(r.Result))
	default:
		s = stop("The measurements support no verdict about speed: " + strings.Join(v.Reasons, "; "))
	}
	if r.Result.Diagnosis.Straddles && (v.Outcome == compare.Improves || v.Outcome == compare.Regresses) {
		s += fmt.Sprintf(" The %s fall into two groups, and the typical effect is that of neither.", r.Result.Subject.Units())
	}
	switch {
	case r.Result.Groups != nil && v.Outcome != compare.Invalid:
		s += " " + stop(sentence(v.Attribution))
	case v.Outcome != compare.Invalid && v.Outcome != compare.Inconclusive:
		s += " " + stop("This is the effect of "+v.Attribution)
	case v.Servers && v.Outcome == compare.Inconclusive:
		s += " " + stop("What was measured is the effect of "+v.Attribution)
	}
	return sentence(unfinished(r, s))
}

// unfinished adds to a conclusion that the run is incomplete, if it is.
func unfinished(r *Run, s string) string {
	if r.Dir != "" && r.Manifest.State != store.Complete {
		s += " The run is incomplete: it ended before what was planned."
	}
	return s
}

func name(r *Run, side int) string {
	word := [2]string{"the baseline side", "the test side"}[side]
	called := r.Manifest.Sides[side].Ref
	if in := r.Result.Inputs; in != nil {
		called = in[side].Name
	}
	if called != "" {
		return fmt.Sprintf("%s (%s)", word, called)
	}
	return word
}

// method tells in plain words how the numbers of r were made.
func method(r *compare.Result) []string {
	if r.Proving != nil {
		return provingMethod(r)
	}
	if r.Groups != nil {
		return groupMethod(r)
	}
	rule := r.Rule
	level := compare.Percent(1 - rule.AlphaFinal)
	alike := " alike"
	if r.Replayed {
		alike = ""
	}
	m := []string{
		"Each pair is one " + r.Subject.Unit() + " that both sides answered" + alike + "; its two latencies give one log ratio, so that what the " + r.Subject.Unit() + " itself costs cancels.",
	}
	if k := r.Estimates.Typical.Kind; k == stat.KindSREWC || r.Estimates.Blocks.N > 0 {
		m = append(m,
			"\"Typical "+r.Subject.Unit()+"\" is the Hodges-Lehmann estimate of the log ratios. Its "+level+" % interval inverts a signed-rank test whose variance allows for pairs that correlate with their neighbors (SR-EWC).",
			registration(r),
			fmt.Sprintf("\"No effect\" is only said when the %s %% interval lies inside the margin of ±%s %% (two one-sided tests); a large p-value is never taken for it.",
				compare.Percent(1-2*rule.AlphaFinal), compare.Percent(rule.Margin)),
			fmt.Sprintf("Quantiles of the difference are Harrell-Davis, their ratios have paired circular block bootstrap intervals (seed %d); those in the table of the sides are type 7. The secondary measures share an error rate of 5 %% (Holm); those marked guard can take a win away and never make one.", rule.Seed))
	} else if r.Estimates.Typical.N > 0 {
		m = append(m, "With so few pairs the interval is "+r.Estimates.Typical.Kind+", which assumes independence between them.")
	}
	if len(r.Sessions) > 0 {
		m = append(m, sessionMethod(r))
	}
	if early(r) {
		m = append(m, noPValues)
	}
	if r.Replayed {
		m = append(m, "The latencies are the timing lines that ethrex-replay logged on each server. The answers were not compared: it keeps none.")
	}
	if r.Inputs != nil && r.Parity.Checked == 0 {
		m = append(m, "The answers were not compared: the inputs hold no two answers to the same "+r.Subject.Unit()+".")
	}
	return m
}

// sessionMethod tells how sessions are put together.
func sessionMethod(r *compare.Result) string {
	s := fmt.Sprintf("The run has %d sessions. Each has an estimate of its own; the effect is their mean", len(r.Sessions))
	if r.Estimates.Host.N > 0 {
		s += ", those with exchanged hosts weighing as much as the others, so that what the hosts differ by cancels"
	}
	return s + ". Its interval is the wider of a t interval over those estimates and the one that combines the sessions' own intervals. The other measures are put together in the same way; the error rate counts over the whole run. With few sessions their intervals are wide, so that a guard sees only large differences. No diagnostic looks across a border between sessions."
}

// noPValues says why there are none.
const noPValues = "No p-values are shown: they belong to the one analysis at the planned number of blocks, and that did not decide. The guards and the other measures have no sequence of their own: their intervals are those of the pairs there are, and do not allow for a run that ended when it was looked at."

// registered reports whether the rule was fixed before the first sample. What
// was measured elsewhere was planned by nobody.
func registered(r *compare.Result) bool { return r.Inputs == nil || r.Rule.Planned > 0 }

// registration says what was fixed, and when.
func registration(r *compare.Result) string {
	final, live := compare.Percent(1-r.Rule.AlphaFinal), compare.Percent(1-r.Rule.AlphaLive)
	if !registered(r) {
		return "Nothing was registered before these measurements were taken: this is one analysis of all there is, at level " + final + " %."
	}
	return fmt.Sprintf("The verdict was registered before the first sample: the interval at the planned number of blocks at level %s %%, and a confidence sequence over batches of %d pairs at level %s %% that may be looked at at any time. Together they are wrong about a direction in at most %s %% of runs.",
		final, r.Rule.Batch, live, compare.Percent(r.Rule.AlphaFinal+r.Rule.AlphaLive))
}

func groupMethod(r *compare.Result) []string {
	m := []string{"The sides measured different " + r.Subject.Units() + ". \"Typical " + r.Subject.Unit() + "\" is the two-sample Hodges-Lehmann estimate on logarithms with the interval that inverts the rank-sum test; quantiles are type 7."}
	if r.Groups.Proofs != nil {
		m = append(m, "Proving time is compared at equal gas: least squares of its logarithm on ln gas and the side, with the HC3 covariance.")
	}
	return append(m, "The measurements were made elsewhere: nothing was registered before they were taken.")
}
