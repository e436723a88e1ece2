package report

import (
	"encoding/json"
	"io"
	"math"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
	"github.com/verdict-bench/verdict/internal/store"
)

// Version is the version of the JSON report's format.
const Version = 1

// Summary is the JSON report. Fields may be added; none changes its meaning.
type Summary struct {
	V       int    `json:"v"`
	Verdict string `json:"verdict"`
	// Outcome is the verdict without its margin.
	Outcome  string              `json:"outcome"`
	Reasons  []string            `json:"reasons"`
	Effect   Effect              `json:"effect"`
	Margin   float64             `json:"margin"`
	Pairs    int                 `json:"pairs"`
	Planned  int                 `json:"planned"`
	WarmUp   int                 `json:"warm_up"`
	Excluded []compare.Exclusion `json:"excluded"`
	Parity   ParitySummary       `json:"parity"`
	Baseline SideSummary         `json:"baseline"`
	Test     SideSummary         `json:"test"`
	Blocks   [2]uint64           `json:"blocks"`
	State    string              `json:"state"`
	Run      string              `json:"run"`
	Manifest store.Manifest      `json:"manifest"`
	Warnings []string            `json:"warnings"`
}

// Effect is the ratio test / baseline of the latencies; below 1 is faster. A
// number that does not exist is null.
type Effect struct {
	Ratio      *float64 `json:"ratio"`
	Low        *float64 `json:"low"`
	High       *float64 `json:"high"`
	Confidence float64  `json:"confidence"`
	N          int      `json:"n"`
	Kind       string   `json:"kind"`
	Unit       string   `json:"unit"`
}

// ParitySummary is the parity of the answers.
type ParitySummary struct {
	OK bool `json:"ok"`
	compare.Parity
}

// SideSummary is the latency of one side over the pairs.
type SideSummary struct {
	Unit     string                `json:"unit"`
	N        int                   `json:"n"`
	Min      *float64              `json:"min"`
	Max      *float64              `json:"max"`
	Mean     *float64              `json:"mean"`
	Median   *float64              `json:"median"`
	P90      *float64              `json:"p90"`
	P95      *float64              `json:"p95"`
	Failures map[sample.Status]int `json:"failures"`
}

// Summarize makes the JSON report of a run.
func Summarize(r *Run) Summary {
	res := r.Result
	first, last := res.Range()
	warnings := append(append([]string{}, res.Warnings...), r.Warnings...)
	return Summary{
		V:       Version,
		Verdict: res.Verdict.String(),
		Outcome: string(res.Verdict.Outcome),
		Reasons: res.Verdict.Reasons,
		Effect: Effect{
			Ratio: finite(res.Effect.Center), Low: finite(res.Effect.Low), High: finite(res.Effect.High),
			Confidence: res.Effect.Confidence, N: len(res.Pairs), Kind: res.Effect.Kind, Unit: "ratio test/baseline",
		},
		Margin:   res.Rule.Margin,
		Pairs:    len(res.Pairs),
		Planned:  res.Rule.Planned,
		WarmUp:   res.WarmUps,
		Excluded: append([]compare.Exclusion{}, res.Excluded...),
		Parity:   ParitySummary{res.Parity.OK(), res.Parity},
		Baseline: sideSummary(res.Sides[0], res.Failures[0]),
		Test:     sideSummary(res.Sides[1], res.Failures[1]),
		Blocks:   [2]uint64{first, last},
		State:    r.Manifest.State,
		Run:      r.Dir,
		Manifest: r.Manifest,
		Warnings: warnings,
	}
}

func sideSummary(s stat.Summary, failures map[sample.Status]int) SideSummary {
	out := SideSummary{Unit: "ms", N: s.N, Failures: failures}
	if s.N > 0 {
		out.Min, out.Max, out.Mean, out.Median = finite(s.Min), finite(s.Max), finite(s.Mean), finite(s.Median)
		out.P90, out.P95 = finite(s.P90), finite(s.P95)
	}
	return out
}

// finite is nil for a number that JSON cannot hold.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// JSON writes the report as one JSON object.
func JSON(w io.Writer, r *Run) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(Summarize(r))
}
