package compare

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
)

// replayOf is a replay of batches whose log ratios are d.
func replayOf(d []float64, base float64) (records [2][]sample.Record) {
	for i, v := range d {
		for side, ms := range [2]float64{base, base * math.Exp(v)} {
			records[side] = append(records[side], proof(uint64(i+1), ms, func(a *sample.Attempt) {
				a.Public, a.InputSHA256, a.Order = "p", "i", 1+(i+side)%2
			}))
		}
	}
	return records
}

// Few pairs of proofs are independent, and so are the plans made of them: with
// t quantiles of n - 1 degrees of freedom and not those of three.
func TestForecast_proofs(t *testing.T) {
	d := []float64{-0.02, 0.01, 0.03, -0.03, 0.02, -0.01, 0.005, -0.015, 0.025, -0.025, 0.012, -0.004}
	rule := ReplayRuleOf(&spec.Replay{Batches: len(d), Margin: 0.03, Alpha: 0.05, Seed: 1})
	r := AnalyzeProving(replayOf(d, 5000), rule)
	f := r.Forecast
	want := stat.Interval{Low: math.Log(r.Estimates.Final.Low), High: math.Log(r.Estimates.Final.High), Confidence: r.Estimates.Final.Confidence, DF: 11}.Estimate().MDE(0.05, 0.8)
	if f.N != len(d) || math.Abs(f.MDE-want) > 1e-9 || f.MDE > 0.025 {
		t.Errorf("forecast %+v, want an effect of %v", f, want)
	}
	if f.Detect < 6 || f.Detect > len(d) {
		t.Errorf("%d pairs for an effect of 3 %%, of an MDE of %.3f at %d pairs", f.Detect, f.MDE, f.N)
	}
	if mean := r.Estimates.Mean; mean.Kind != stat.KindPairedT || mean.DF != 11 {
		t.Errorf("geometric mean by %s with %v degrees of freedom", mean.Kind, mean.DF)
	}
}

func TestAbout(t *testing.T) {
	for x, want := range map[float64]string{0.0123: "1.2", 0.39: "39", 0.994: "99", 1.234: "123", 60.88: "6088"} {
		if got := About(x); got != want {
			t.Errorf("About(%v) = %q, want %q", x, got, want)
		}
	}
}

// What is said of a replay is said in its own words: it has batches and no
// sequence, and its times hold no request.
func TestAnalyzeProving_words(t *testing.T) {
	d := make([]float64, 9)
	for i := range d {
		d[i] = 0.01 * float64(i%3-1)
	}
	rule := ReplayRuleOf(&spec.Replay{Batches: 20, Margin: 0.03, Alpha: 0.05, Seed: 1})
	short := AnalyzeProving(replayOf(d, 5), rule)
	text := strings.Join(slices.Concat(short.Verdict.Reasons, short.Diagnosis.Warnings, short.Warnings), "\n")
	if !strings.Contains(text, "the run ended after 9 of 20 batches: the analysis was planned for all of them") ||
		!strings.Contains(text, "100 % of the batches were proved in under 20 ms") {
		t.Error(text)
	}
	for _, wrong := range []string{"sequence", "blocks", "request", "answers"} {
		if strings.Contains(text, wrong) {
			t.Errorf("%q is said of proofs: %s", wrong, text)
		}
	}
	other := replayOf(d, 5000)
	for i := range other[1] {
		other[1][i].Attempt.InputSHA256 = "another"
	}
	if r := AnalyzeProving(other, rule); !strings.Contains(strings.Join(r.Verdict.Reasons, "\n"), "different inputs under all 9 common numbers") {
		t.Errorf("different inputs: %q", r.Verdict.Reasons)
	}
}

// Whole milliseconds matter where a proof takes few of them.
func TestAnalyzeProving_wholeMilliseconds(t *testing.T) {
	for base, want := range map[float64]bool{50: true, 47000: false} {
		records := replayOf(make([]float64, 8), base)
		for i := range records[1] {
			records[1][i].Attempt.ProvingNS += int64(i%4) * 1e6
		}
		r := AnalyzeProving(records, ProvingRule{Paired: true})
		said := slices.ContainsFunc(r.Diagnosis.Warnings, func(s string) bool { return strings.Contains(s, "whole milliseconds") })
		if said != want {
			t.Errorf("of %v ms: %q", base, r.Diagnosis.Warnings)
		}
	}
}

// Where interval and permutation test disagree the report says so, and an
// unpaired comparison of proofs says what it could have shown at equal gas.
func TestAnalyzeProving_crossCheck(t *testing.T) {
	for excludes, want := range map[bool]string{true: "sees no difference (p = 0.06)", false: "sees a difference (p = 0.06)"} {
		if got := disagree(excludes, 0.06); !strings.Contains(got, want) {
			t.Errorf("disagree(%v) = %q", excludes, got)
		}
	}
	rule := ProvingRule{Compare: true, Margin: 0.03, Seed: 1}
	noise := []float64{0.05, -0.04, 0.02, -0.06, 0.03, 0.01, -0.02, 0.04}
	var records [2][]sample.Record
	for side := range records {
		for i, e := range noise {
			n, mgas := uint64(i+1), 10+float64((3*i+side)%8)
			if side == 1 {
				e = noise[(i+3)%len(noise)]
			}
			records[side] = append(records[side], batchOf(n, mgas, nil), proof(n, 1000*math.Exp(e)*mgas, nil))
		}
	}
	r := AnalyzeProving(records, rule)
	p := r.Groups.Proofs
	if r.Verdict.Outcome != Inconclusive || p == nil {
		t.Fatalf("%v of %d batches", r.Verdict.Outcome, r.Attempted)
	}
	if want := p.Effect.Estimate().MDE(0.05, 0.8); r.Groups.MDE != want {
		t.Errorf("effect that can be shown %v, want %v", r.Groups.MDE, want)
	}
	if text := strings.Join(r.Verdict.Reasons, "\n"); !strings.Contains(text, "at equal gas with 80 % power is about") || !strings.Contains(text, "batches in all") {
		t.Error(text)
	}
}

// A time that a log gives stays what it was to the nanosecond.
func TestAnalyzeLog_rounds(t *testing.T) {
	s := &intake.Series{Batches: true, Numbered: true, Values: []intake.Value{{Block: 1, MS: 0.000001 * 312_460_001, Exponent: 0}}}
	if got := AnalyzeLog(s).Proving.Sides[0].Attempts[0].ProvingNS; got != 312_460_001 {
		t.Errorf("%d ns", got)
	}
	for ns := int64(1); ns < 1e13; ns = 3*ns + 1 {
		if got := nanoseconds(float64(ns) / 1e6); got != ns {
			t.Errorf("%d ns became %d", ns, got)
		}
	}
}
