package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

// rule is the default one with what there is planned, so that each case is the
// final analysis.
var rule = func() Rule {
	r := DefaultRule()
	r.Planned = 0
	return r
}()

// minPairs is the fewest pairs of a verdict under it.
var minPairs = rule.MinPairs

// records makes n blocks that both sides answered, the test side at ratio of
// the baseline with a little seeded noise.
func records(n int, ratio float64) [2][]sample.Record {
	rng := rand.New(rand.NewPCG(1, 2))
	var out [2][]sample.Record
	for i := range n {
		base := 100e6 * math.Exp(0.3*rng.NormFloat64())
		add(&out, 0, i, base)
		add(&out, 1, i, base*ratio*math.Exp(0.02*rng.NormFloat64()))
	}
	return out
}

func add(out *[2][]sample.Record, side, i int, ns float64) *sample.Sample {
	s := &sample.Sample{
		Side: sample.Sides[side], Number: uint64(1000 + i), Hash: fmt.Sprintf("0x%064x", i),
		Status: sample.OK, Digest: fmt.Sprint("digest ", i), Verification: sample.Complete,
		AskedAt: time.Unix(int64(i), 0).UTC(), Timing: sample.Timing{TotalNS: int64(ns)},
	}
	out[side] = append(out[side], sample.Record{V: 1, Sample: s})
	return s
}

// change applies f to every sample of one side.
func change(r [2][]sample.Record, side int, f func(i int, s *sample.Sample)) [2][]sample.Record {
	for i, rec := range r[side] {
		f(i, rec.Sample)
	}
	return r
}

func TestAnalyze_verdicts(t *testing.T) {
	for _, c := range []struct {
		name    string
		records [2][]sample.Record
		want    Outcome
		reason  string
	}{
		{"faster", records(200, 0.5), Improves, "larger than the margin of 3 %"},
		{"slightly faster", records(200, 0.98), Improves, "not an effect below the margin"},
		{"slower", records(200, 1.2), Regresses, "larger than the margin of 3 %"},
		{"equal", records(200, 1), NoEffect, ""},
		{"none", records(0, 1), Invalid, "too few pairs: 0"},
		{"one", records(1, 0.5), Invalid, "too few pairs: 1"},
		{"one too few", records(minPairs-1, 0.5), Invalid, "too few pairs: 79"},
		{"just enough", records(minPairs, 0.5), Improves, ""},
		{"faster but wrong", change(records(200, 0.5), 1, func(i int, s *sample.Sample) {
			if i == 17 {
				s.Digest = "something else"
			}
		}), Invalid, "parity: the two sides answered differently on 1 of 200 blocks (first: 1017)"},
		{"faster but incomplete", change(records(200, 0.5), 1, func(i int, s *sample.Sample) {
			if i == 17 {
				s.Status, s.Verification = sample.InvalidWitness, sample.Incomplete
			}
		}), Invalid, "1 of 200 checked witnesses of the test side are incomplete"},
		{"no spread", change(records(200, 1), 1, func(i int, s *sample.Sample) { s.TotalNS = 5 }), Improves, ""},
		{"one-sided failures", change(records(200, 0.5), 1, func(i int, s *sample.Sample) {
			if i%5 == 0 {
				s.Status = sample.Timeout
			}
		}), Invalid, "the failures are not balanced: 0 on the baseline side alone, 40 on the test side alone"},
	} {
		r := Analyze(c.records, rule)
		if r.Verdict.Outcome != c.want {
			t.Errorf("%s: verdict %s (%q), want %s; effect %v", c.name, r.Verdict, r.Verdict.Reasons, c.want, r.Effect)
		}
		if !strings.Contains(strings.Join(r.Verdict.Reasons, "\n"), c.reason) {
			t.Errorf("%s: reasons %q, want %q", c.name, r.Verdict.Reasons, c.reason)
		}
	}
}

// The same latency on every block is no measurement.
func TestAnalyze_noSpread(t *testing.T) {
	r := records(200, 1)
	for side := range r {
		change(r, side, func(_ int, s *sample.Sample) { s.TotalNS = int64(7 + side) })
	}
	if v := Analyze(r, rule).Verdict; v.Outcome != Invalid || !strings.Contains(v.Reasons[0], "no spread") {
		t.Errorf("verdict %s %q, want invalid for want of spread", v, v.Reasons)
	}
}

// A wide interval around 1 is not evidence of no effect.
func TestAnalyze_inconclusive(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := change(records(100, 1), 1, func(_ int, s *sample.Sample) {
		s.TotalNS = int64(float64(s.TotalNS) * math.Exp(rng.NormFloat64()))
	})
	res := Analyze(r, rule)
	if res.Verdict.Outcome != Inconclusive {
		t.Errorf("verdict %s, effect %v, want inconclusive", res.Verdict, res.Effect)
	}
}

func TestAnalyze_pairing(t *testing.T) {
	r := records(100, 1)
	r[0][3].Sample.Status = sample.RPCError
	r[1][3].Sample.Status = sample.RPCError
	r[0][4].Sample.Status = sample.Timeout
	r[1][5].Sample.Status = sample.Unavailable
	r[1][6].Sample.Hash = "0xother"
	r[0] = append(r[0][:7], r[0][8:]...)
	r[1][0].Sample.WarmUp, r[0][0].Sample.WarmUp = true, true
	add(&r, 1, 9, 1)
	r[1] = append(r[1], sample.Record{V: 1, Gap: &sample.Gap{DurationNS: 5}})
	res := Analyze(r, rule)
	got := make(map[string]int)
	for _, e := range res.Excluded {
		got[e.Reason] = e.Count
	}
	want := map[string]int{
		"warm-up": 1,
		"both sides failed: rpc-error, rpc-error":     1,
		"the baseline side failed: timeout":           1,
		"the test side failed: unavailable":           1,
		"different blocks at the same height (reorg)": 2,
		"measured on the test side only":              1,
	}
	for reason, n := range want {
		if got[reason] != n {
			t.Errorf("excluded %q: %d, want %d", reason, got[reason], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("excluded %v, want %v", got, want)
	}
	// 100 blocks: 1 warm-up, 1+1+1 failed, 1 differing, 1 one-sided; the last
	// two were not asked of both sides.
	if len(res.Pairs) != 94 || res.Attempted != 97 {
		t.Errorf("%d pairs of %d attempted, want 94 of 97", len(res.Pairs), res.Attempted)
	}
	if len(res.Warnings) == 0 || !strings.Contains(res.Warnings[0], "more than once (first: 1009)") {
		t.Errorf("warnings %q, want that a block was measured twice", res.Warnings)
	}
	if res.Pairs[8].Samples[1].TotalNS == 1 {
		t.Error("the second measurement of a block replaced the first")
	}
	if len(res.Gaps[1]) != 1 {
		t.Errorf("gaps %v, want the one of the test side", res.Gaps)
	}
}

// A block that only failed is never counted as fast, and never lost.
func TestAnalyze_nothingIsLost(t *testing.T) {
	r := change(records(200, 0.5), 0, func(i int, s *sample.Sample) {
		if i%7 == 0 {
			s.Status = sample.HTTPError
		}
	})
	res := Analyze(r, rule)
	n := len(res.Pairs)
	for _, e := range res.Excluded {
		n += e.Count
	}
	if n != 200 {
		t.Errorf("pairs and exclusions add up to %d, want all 200 blocks", n)
	}
}

// Which records came first must not matter.
func TestAnalyze_order(t *testing.T) {
	a := Analyze(records(120, 0.9), rule)
	r := records(120, 0.9)
	rand.New(rand.NewPCG(5, 6)).Shuffle(120, func(i, j int) { r[0][i], r[0][j] = r[0][j], r[0][i] })
	b := Analyze(r, rule)
	if a.Effect.Center != b.Effect.Center || a.Effect.Low != b.Effect.Low || a.Effect.High != b.Effect.High {
		t.Errorf("shuffled records give %v, in order %v", b.Effect, a.Effect)
	}
}

// Exchanging the sides inverts the effect.
func TestAnalyze_exchange(t *testing.T) {
	r := records(120, 0.9)
	a, b := Analyze(r, rule), Analyze([2][]sample.Record{r[1], r[0]}, rule)
	if math.Abs(a.Effect.Center*b.Effect.Center-1) > 1e-9 || math.Abs(a.Effect.Low*b.Effect.High-1) > 1e-9 {
		t.Errorf("effects %v and %v are not inverse", a.Effect, b.Effect)
	}
}
