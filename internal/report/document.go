// Package report shows a run as text, Markdown and JSON. What a report says is
// decided once, in a Document; the formats only lay it out. Every difference is
// shown with its interval, and negative means that the test side is faster.
package report

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/store"
)

// Run is what a report is made from.
type Run struct {
	Manifest store.Manifest
	Result   *compare.Result
	// Dir is where the run is.
	Dir string
	// Warnings are damages of the stored run.
	Warnings []string
}

// Document is the content of a report, apart from its layout.
type Document struct {
	// Headline is the verdict; Effect is its sentence with interval and n.
	Headline, Effect string
	// Reasons say why the verdict is what it is.
	Reasons []string
	// Session and Comparison are the two tables of the Results Template.
	Session      [][2]string
	Comparison   [][4]string
	Observations []string
	Conclusion   string
	Excluded     []compare.Exclusion
}

// dash stands where a table has no value.
const dash = "--"

// Compose makes the document of a run.
func Compose(r *Run) *Document {
	d := &Document{
		Headline:   headline(r),
		Effect:     effectSentence(r.Result),
		Reasons:    r.Result.Verdict.Reasons,
		Session:    session(r),
		Comparison: comparison(r.Result),
		Excluded:   r.Result.Excluded,
	}
	d.Observations = observations(r)
	d.Conclusion = conclusion(r)
	return d
}

func headline(r *Run) string {
	v := r.Result.Verdict.String()
	if o := r.Result.Verdict.Outcome; o == compare.Improves || o == compare.Regresses {
		v += ": " + faster(r.Result.Effect.Center)
	}
	if r.Manifest.State != store.Complete {
		return fmt.Sprintf("%s (the run is incomplete: %s)", v, r.Manifest.Reason)
	}
	return v
}

// effectSentence tells the effect with its interval, or that there is none. An
// invalid result has no percentage in its headline.
func effectSentence(r *compare.Result) string {
	e := r.Effect
	switch {
	case r.Verdict.Outcome == compare.Invalid:
		return "no statement about speed can be made"
	case math.IsNaN(e.Center):
		return "there is no effect to report"
	}
	return fmt.Sprintf("time of test / time of baseline = %s, %s, %d pairs",
		ratio(e.Center), intervalText(r), len(r.Pairs))
}

func intervalText(r *compare.Result) string {
	e := r.Effect
	return fmt.Sprintf("%.0f %% interval %s to %s", 100*e.Confidence, ratio(e.Low), ratio(e.High))
}

// ratio shows a ratio with three significant digits, four near 1, where
// differences of a part in a thousand count.
func ratio(x float64) string {
	switch {
	case math.IsNaN(x):
		return dash
	case math.IsInf(x, 1):
		return "unbounded"
	case math.Abs(x-1) < 0.5:
		return fmt.Sprintf("%.4f", x)
	}
	return sig3(x)
}

// sig3 shows three significant digits, trailing zeros included.
func sig3(x float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%#.3g", x), ".")
}

// faster tells a ratio as a person would say it.
func faster(x float64) string {
	switch {
	case x < 0.5:
		return fmt.Sprintf("test is %s times faster", sig3(1/x))
	case x > 2:
		return fmt.Sprintf("test is %s times slower", sig3(x))
	case x < 1:
		return fmt.Sprintf("test takes %.2g %% less time", 100*(1-x))
	case x > 1:
		return fmt.Sprintf("test takes %.2g %% more time", 100*(x-1))
	}
	return "no difference"
}

const timeForm = "2006-01-02 15:04:05"

func utc(t time.Time) string {
	if t.IsZero() {
		return dash
	}
	return t.UTC().Format(timeForm)
}

// session is the Test Session Info of the Results Template.
func session(r *Run) [][2]string {
	m := &r.Manifest
	network := m.Network
	if m.ChainID != 0 {
		network = fmt.Sprintf("%s (chain %d)", m.Network, m.ChainID)
	}
	date := dash
	if !m.Started.IsZero() {
		date = m.Started.UTC().Format(time.DateOnly)
	}
	return [][2]string{
		{"Date", date},
		{"Network", network},
		{"Baseline Server", server(m.Sides[0])},
		{"Test Server", server(m.Sides[1])},
		{"PR/Branch", orDash(cmp.Or(m.Sides[1].Ref, m.Sides[1].Version))},
		{"Start Time (UTC)", utc(m.Started)},
		{"End Time (UTC)", utc(m.Ended)},
		{"Machine", machine(&m.Environment)},
	}
}

func server(s store.Side) string {
	parts := []string{s.Host}
	address := s.RPC
	if s.Witness != "" {
		address = "" // a local node, whose port says nothing
	}
	for _, p := range []string{address, s.Ref, s.Version} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return orDash(strings.Join(parts, ", "))
}

func machine(e *store.Environment) string {
	return fmt.Sprintf("%s, %d × %s, %s", e.Hostname, e.CPUs, orDash(e.CPU), size(e.MemoryBytes))
}

func orDash(s string) string {
	if s == "" {
		return dash
	}
	return s
}

// comparison is the latency table of the Results Template, with p90 and p95.
func comparison(r *compare.Result) [][4]string {
	a, b := r.Sides[0], r.Sides[1]
	first, last := r.Range()
	span := dash
	if len(r.Pairs) > 0 {
		span = fmt.Sprintf("%d – %d", first, last)
	}
	n := fmt.Sprint(len(r.Pairs))
	rows := [][4]string{{"Total Blocks Analyzed", n, n, dash}}
	add := func(name string, x, y float64, compared bool) {
		improvement := dash
		if compared && len(r.Pairs) > 0 {
			improvement = fmt.Sprintf("%.1f %%", 100*(x-y)/x)
		}
		rows = append(rows, [4]string{name, ms(x, len(r.Pairs)), ms(y, len(r.Pairs)), improvement})
	}
	add("Min Time", a.Min, b.Min, false)
	add("Max Time", a.Max, b.Max, true)
	add("Average Time", a.Mean, b.Mean, true)
	add("Median Time", a.Median, b.Median, true)
	add("p90 Time", a.P90, b.P90, true)
	add("p95 Time", a.P95, b.P95, true)
	return append(rows, [4]string{"Block Range", span, span, dash})
}

// ms shows a latency in milliseconds, with three digits below 100.
func ms(x float64, n int) string {
	switch {
	case n == 0:
		return dash
	case x < 10:
		return fmt.Sprintf("%.2f ms", x)
	case x < 100:
		return fmt.Sprintf("%.1f ms", x)
	}
	return fmt.Sprintf("%.0f ms", x)
}

// size shows bytes in the largest decimal unit.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.3g GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.3g MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.3g kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// conclusion says whether the change improves, regresses or has no effect.
func conclusion(r *Run) string {
	test, base := name(r.Manifest.Sides[1]), name(r.Manifest.Sides[0])
	v := r.Result.Verdict
	var s string
	switch v.Outcome {
	case compare.Improves:
		s = fmt.Sprintf("%s answers debug_executionWitness faster than %s: %s.", test, base, effectSentence(r.Result))
	case compare.Regresses:
		s = fmt.Sprintf("%s answers debug_executionWitness more slowly than %s: %s.", test, base, effectSentence(r.Result))
	case compare.NoEffect:
		s = fmt.Sprintf("%s has %s compared with %s: %s.", test, v, base, effectSentence(r.Result))
	case compare.Inconclusive:
		s = fmt.Sprintf("The run does not settle whether %s is faster than %s: %s. This is not evidence of no effect.", test, base, effectSentence(r.Result))
	default:
		s = "The run supports no verdict about speed: " + strings.Join(v.Reasons, "; ") + "."
	}
	if r.Manifest.State != store.Complete {
		s += " The run is incomplete; the interval was planned for the whole of it."
	}
	return sentence(s)
}

func name(s store.Side) string {
	if s.Ref != "" {
		return fmt.Sprintf("the %s side (%s)", s.Side, s.Ref)
	}
	return fmt.Sprintf("the %s side", s.Side)
}
