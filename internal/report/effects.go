package report

import (
	"fmt"
	"math"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/stat"
)

// effects are all measures of the difference, the primary one first.
func effects(r *compare.Result) []Measure {
	if r.Verdict.Outcome == compare.Invalid {
		return nil // no statement about speed can be made
	}
	if r.Groups != nil {
		return groupEffects(r)
	}
	e := &r.Estimates
	if e.Typical.N == 0 {
		return nil
	}
	out := []Measure{change("typical "+r.Subject.Unit(), e.Typical, "primary")}
	if e.Final.Kind == stat.KindCorrected {
		out[0].Note = "raw"
		out = append(out, change("A/A corrected", e.Final, "primary"))
	}
	if r.Effect.Kind == stat.KindSequence {
		out[len(out)-1].Note = ""
		v := change("typical "+r.Subject.Unit(), r.Effect, "primary")
		v.P = dash
		out = append([]Measure{v}, out[1:]...)
	}
	if c := r.Control; c != nil && c.Shift.N > 0 {
		out = append(out, change("A/A control", c.Shift, ""))
	}
	if e.Host.N > 0 {
		out = append(out, change("second host", e.Host, ""))
	}
	if e.Mean.N > 0 {
		out = append(out, change("geometric mean", e.Mean, ""))
	}
	for _, m := range r.Secondary {
		out = append(out, secondary(m))
	}
	if e.P99.N > 0 {
		out = append(out, change(quantileName("p99", e.P99), e.P99, "informs"))
	}
	if early(r) {
		for i := range out {
			out[i].P = dash
		}
	}
	return out
}

// quantileName tells the ratio of Harrell-Davis quantiles from that of the
// quantiles in the table of the sides.
func quantileName(name string, v stat.Interval) string {
	if v.Kind == stat.KindBootstrap {
		return name + " (Harrell-Davis)"
	}
	return name
}

// secondary is a metric that may guard.
func secondary(m compare.Metric) Measure {
	var v Measure
	if m.Ratio.N > 0 {
		v = change(quantileName(m.Name, m.Ratio), m.Ratio, "")
	} else {
		v = Measure{Name: m.Name, Change: fmt.Sprintf("%+d", m.Only[1]-m.Only[0]),
			Interval: fmt.Sprintf("%d against %d", m.Only[1], m.Only[0]), Level: dash}
	}
	v.P = pValue(m.Adjusted)
	switch {
	case m.Worse:
		v.Note = "WORSE"
	case m.Guard:
		v.Note = "guard"
	}
	return v
}

// groupEffects are the measures of an unpaired comparison.
func groupEffects(r *compare.Result) []Measure {
	g := r.Groups
	var out []Measure
	if p := g.Proofs; p != nil {
		out = append(out, change("time at equal gas", p.Effect.Exp(), "primary"))
		out[0].P = pValue(p.Effect.P)
	}
	if g.Typical.N == 0 {
		return out
	}
	typical := change("typical "+r.Subject.Unit(), g.Typical, "")
	if g.Proofs == nil {
		typical.Note = "primary"
	}
	typical.P = pValue(g.RankSum.P)
	out = append(out, typical, change("geometric mean", g.Mean, ""))
	shift := Measure{Name: "shift", Change: signed(g.Shift.Center) + " ms",
		Interval: fmt.Sprintf("%s to %s ms", signed(g.Shift.Low), signed(g.Shift.High)), Level: level(g.Shift), P: dash}
	return append(out, shift,
		plain("ratio of means", g.MeanRatio), plain("ratio of medians", g.MedianRatio))
}

// plain is a change that has no interval of its own and says so.
func plain(name string, x float64) Measure {
	return Measure{Name: name, Change: fmt.Sprintf("%+.1f %%", 100*(x-1)), Interval: dash, Level: dash, P: dash}
}

// change is a ratio with its interval as a change in percent.
func change(name string, v stat.Interval, note string) Measure {
	decimals := decimalsOf(v)
	return Measure{
		Name: name, Change: percent(v.Center, decimals) + " %",
		Interval: fmt.Sprintf("%s to %s %%", percent(v.Low, decimals), percent(v.High, decimals)),
		Level:    level(v), P: pValue(v.P), Note: note, Ratio: v,
	}
}

func level(v stat.Interval) string {
	if v.Confidence == 0 {
		return dash
	}
	return fmt.Sprintf("%.3g %%", 100*v.Confidence)
}

// decimalsOf is how many decimals of a change in percent are worth printing:
// two significant digits of the half-width.
func decimalsOf(v stat.Interval) int {
	half := 100 * (v.High - v.Low) / 2
	if !(half > 0) || math.IsInf(half, 0) {
		return 1
	}
	return min(max(1-int(math.Floor(math.Log10(half))), 0), 4)
}

// percent is a ratio as a change in percent, with its sign.
func percent(ratio float64, decimals int) string {
	switch {
	case math.IsInf(ratio, 1), ratio == 0:
		return "unbounded"
	case math.IsNaN(ratio):
		return dash
	}
	s := fmt.Sprintf("%+.*f", decimals, 100*(ratio-1))
	if zero := fmt.Sprintf("%+.*f", decimals, 0.0); s == "-"+zero[1:] {
		return zero[1:] // no minus nothing
	}
	return s
}

func signed(x float64) string {
	if math.IsInf(x, 0) {
		return "unbounded"
	}
	if math.Abs(x) >= 1000 {
		return fmt.Sprintf("%+.0f", x)
	}
	return fmt.Sprintf("%+.4g", x)
}

// pValue has two digits and is never zero.
func pValue(p float64) string {
	switch {
	case math.IsNaN(p):
		return dash
	case p < 1e-4:
		return "<0.0001"
	case p > 0.9999:
		return "1"
	}
	return fmt.Sprintf("%.2g", p)
}
