// Package report shows a run as text, Markdown and JSON. What a report says is
// decided once, in a Document; the formats only lay it out. Every difference is
// shown with its interval, and negative means that the test side is faster.
package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
	"github.com/verdict-bench/verdict/internal/store"
)

// Run is what a report is made from.
type Run struct {
	Manifest store.Manifest
	Result   *compare.Result
	// Prover or Replay is the spec of a proving benchmark, where it is one.
	Prover *spec.Prover
	Replay *spec.Replay
	// Records are the samples behind the result, where there are any.
	Records [2][]sample.Record
	// Dir is where the run is, empty for measurements that were made elsewhere.
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
	// Attribution says what the effect is an effect of.
	Attribution string
	// Session and Comparison are the two tables of the Results Template.
	Session    [][2]string
	Title      string
	Comparison [][4]string
	// Effects are all measures of the difference, the primary one first.
	Effects []Measure
	// Batches are the proofs that count, of a comparison of proving times, Left
	// the attempts that do not. Single says that they are of one side, which
	// their rows then do not name.
	Batches      [][]string
	Left         [][]string
	Single       bool
	Observations []string
	Conclusion   string
	Excluded     []compare.Exclusion
	// Method tells in plain words how the numbers were made.
	Method []string
}

// Measure is one measure of the difference between the sides, ready to print.
type Measure struct {
	Name string
	// Change is the center, Interval its two ends, Level their confidence.
	// Negative means that the test side is faster.
	Change, Interval, Level string
	// P is the p-value of no difference, adjusted for the number of secondary
	// measures where it is one of them.
	P    string
	Note string
	// Ratio is test / baseline as numbers; its N is 0 for what is no ratio.
	Ratio stat.Interval
}

// signOfSides explains the table of the two sides, whose sign and quantiles are
// not those of the difference.
const signOfSides = "Improvement: positive means that test is faster. Quantiles are type 7."

// dash stands where a table has no value.
const dash = "--"

// Compose makes the document of a run. What others said in it is safe to
// print.
func Compose(r *Run) *Document { return compose(cleaned(r)) }

// compose makes the document of a run whose texts are clean.
func compose(r *Run) *Document {
	d := &Document{
		Headline:    headline(r),
		Effect:      effectSentence(r.Result),
		Reasons:     r.Result.Verdict.Reasons,
		Attribution: r.Result.Verdict.Attribution,
		Session:     session(r),
		Title:       title(r.Result),
		Comparison:  comparison(r.Result),
		Effects:     effects(r.Result),
		Batches:     oneSided(r.Result, batches(r.Result)),
		Left:        oneSided(r.Result, uncounted(r.Result)),
		Single:      single(r.Result),
		Excluded:    r.Result.Excluded,
		Method:      method(r.Result),
	}
	d.Observations = observations(r)
	d.Conclusion = conclusion(r)
	return d
}

// title heads the table of the two sides.
func title(r *compare.Result) string {
	if r.Subject == compare.Proof {
		return "Proving results"
	}
	return "Execution witness latency"
}

func headline(r *Run) string {
	v := r.Result.Verdict.String()
	if r.Result.Verdict.Outcome == compare.NoVerdict {
		v = provedHeadline(r.Result)
	}
	if o := r.Result.Verdict.Outcome; o == compare.Improves || o == compare.Regresses {
		v += ": " + magnitude(r.Result)
	}
	if r.Result.Design == compare.Unpaired {
		v += " (unpaired)"
	}
	if r.Result.Verdict.Servers && r.Result.Verdict.Outcome != compare.Invalid {
		v += " (server and version together)"
	}
	if r.Dir != "" && r.Manifest.State != store.Complete {
		return fmt.Sprintf("%s (the run is incomplete: %s)", v, r.Manifest.Reason)
	}
	return v
}

// effectSentence tells the effect with its interval, or that there is none. An
// invalid result has no percentage in its headline.
func effectSentence(r *compare.Result) string {
	e := r.Effect
	switch {
	case r.Verdict.Outcome == compare.NoVerdict:
		return provedSentence(r)
	case r.Verdict.Outcome == compare.Invalid:
		return "no statement about speed can be made"
	case e.N == 0:
		return "there is no effect to report"
	}
	return fmt.Sprintf("time of test / time of baseline = %s, %s, %s",
		ratio(e.Center), intervalText(e), measured(r))
}

// measured says how much stands behind the effect. A sequence stands on whole
// batches, which may not take in the last pairs.
func measured(r *compare.Result) string {
	if e := r.Effect; e.Kind == stat.KindSequence && e.N < len(r.Pairs) {
		return fmt.Sprintf("the first %d of %s", e.N, count(len(r.Pairs), "pair"))
	}
	return compared(r)
}

// compared says how much was measured.
func compared(r *compare.Result) string {
	if g := r.Groups; g != nil {
		n := fmt.Sprintf("%d against %d %s", len(g.MS[1]), len(g.MS[0]), r.Subject.Units())
		if all := len(g.MS[0]) + len(g.MS[1]); g.Proofs != nil && g.Proofs.Effect.N < all {
			n += fmt.Sprintf(", %d of them of comparable gas", g.Proofs.Effect.N)
		}
		return n
	}
	return count(len(r.Pairs), "pair")
}

// count is a number with its unit.
func count(n int, unit string) string {
	if n != 1 {
		unit = plural(unit)
	}
	return fmt.Sprintf("%d %s", n, unit)
}

func plural(unit string) string {
	if unit == "batch" {
		return "batches"
	}
	return unit + "s"
}

// early reports that the fixed-n analysis does not count: the run ended before
// or after the planned number of blocks, or the sequence decided. The p-values
// of that analysis then have no meaning, because somebody looked.
func early(r *compare.Result) bool {
	return r.Verdict.Live || r.Stage != stat.Planned
}

// intervalText names what kind of interval it is when it is not the planned
// one: a sequence holds at any time and is wider.
func intervalText(e stat.Interval) string {
	name := "interval"
	if e.Kind == stat.KindSequence {
		name = "confidence sequence"
	}
	return fmt.Sprintf("%s %s %s to %s", level(e), name, ratio(e.Low), ratio(e.High))
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

// magnitude tells the effect in the headline. Where the blocks fall into two groups
// and the typical effect lies between them, its size is that of no block.
func magnitude(r *compare.Result) string {
	if r.Diagnosis.Straddles {
		return "two groups of " + r.Subject.Units()
	}
	return faster(r.Effect.Center)
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
