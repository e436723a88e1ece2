package compare

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// registered is the default rule with n planned blocks.
func registered(n int) Rule {
	r := DefaultRule()
	r.Planned = n
	return r
}

// noisy makes n blocks whose log ratio is effect plus normal noise of sd.
func noisy(seed uint64, n int, effect, sd float64) [2][]sample.Record {
	rng := rand.New(rand.NewPCG(seed, 9))
	var out [2][]sample.Record
	for i := range n {
		base := 100e6 * math.Exp(0.3*rng.NormFloat64())
		add(&out, 0, i, base)
		add(&out, 1, i, base*math.Exp(effect+sd*rng.NormFloat64()))
	}
	return out
}

// What decides depends on how far the run got, never on what was seen.
func TestAnalyze_stages(t *testing.T) {
	for _, c := range []struct {
		name    string
		records [2][]sample.Record
		planned int
		stage   stat.Stage
		kind    string
		want    Outcome
	}{
		{"as planned", noisy(1, 200, -0.05, 0.1), 200, stat.Planned, stat.KindSREWC, Improves},
		{"stopped, decided", noisy(1, 150, -0.5, 0.1), 200, stat.Stopped, stat.KindSequence, Improves},
		{"stopped, not decided", noisy(1, 120, -0.02, 0.1), 200, stat.Stopped, "", Inconclusive},
		{"stopped, no effect needs the plan", noisy(1, 150, 0, 0.01), 200, stat.Stopped, "", Inconclusive},
		{"extended, decided", noisy(1, 300, 0.5, 0.1), 200, stat.Extended, stat.KindSequence, Regresses},
		{"extended, no effect", noisy(1, 400, 0, 0.01), 200, stat.Extended, stat.KindSequence, NoEffect},
		{"stopped too early", noisy(1, 70, -0.5, 0.1), 200, stat.Stopped, "", Invalid},
	} {
		r := Analyze(c.records, registered(c.planned))
		if r.Stage != c.stage || r.Verdict.Outcome != c.want {
			t.Errorf("%s: stage %d, verdict %s %q, want %d, %s", c.name, r.Stage, r.Verdict, r.Verdict.Reasons, c.stage, c.want)
		}
		if c.kind != "" && r.Effect.Kind != c.kind {
			t.Errorf("%s: the effect is a %q, want %q", c.name, r.Effect.Kind, c.kind)
		}
	}
}

// Blocks that were left out and never asked for do not bring a run nearer to
// its end.
func TestAnalyze_skippedAreNotAsked(t *testing.T) {
	r := noisy(1, 150, 0, 0.01)
	for i := 200; i < 260; i++ {
		for side := range r {
			add(&r, side, i, 1e6).Status = sample.Skipped
		}
	}
	if res := Analyze(r, registered(200)); res.Stage != stat.Stopped {
		t.Errorf("stage %d, want stopped: 150 of 200 blocks were asked for", res.Stage)
	}
}

// An inconclusive verdict says what the run could have seen and what it takes.
func TestAnalyze_inconclusiveSaysWhatItTakes(t *testing.T) {
	r := Analyze(noisy(4, 200, 0.01, 0.3), registered(200))
	text := strings.Join(r.Verdict.Reasons, "\n")
	for _, want := range []string{"smallest effect that these 200 pairs could have shown", "more pairs ("} {
		if r.Verdict.Outcome != Inconclusive || !strings.Contains(text, want) {
			t.Errorf("verdict %s with reasons %q, want inconclusive with %q", r.Verdict, text, want)
		}
	}
	if f := r.Forecast; f.N != 200 || f.MDE < 0.03 || f.Detect <= 200 || f.Equate <= f.Detect {
		t.Errorf("forecast %+v", f)
	}
}

// Each guard can take a win away and none can make one.
func TestAnalyze_guards(t *testing.T) {
	base := func() [2][]sample.Record { return noisy(2, 200, -0.2, 0.05) }
	for _, c := range []struct {
		name, want string
		change     func(i int, s *sample.Sample)
	}{
		{"nothing", "improves", func(int, *sample.Sample) {}},
		{"tail", "improves, but p95 worse", func(i int, s *sample.Sample) {
			if i%12 == 0 {
				s.TotalNS *= 3
			}
		}},
		{"tail and total", "improves, but total time and p95 worse", func(i int, s *sample.Sample) {
			if i%12 == 0 {
				s.TotalNS *= 12
			}
		}},
		{"import", "improves, but block import worse", func(i int, s *sample.Sample) { s.ImportNS = s.ImportNS*3/2 + int64(i) }},
		{"bytes", "improves, but answer bytes worse", func(i int, s *sample.Sample) { s.BodyBytes = s.BodyBytes*2 + int64(i) }},
		{"errors", "improves, but error rate worse", func(i int, s *sample.Sample) {
			if i%12 == 0 {
				s.Status = sample.Timeout
			}
		}},
	} {
		records := base()
		for side := range records {
			change(records, side, func(i int, s *sample.Sample) {
				s.ImportNS, s.BodyBytes = int64(40e6+1e5*float64(i%9)), int64(1e6+1e4*float64(i%7))
			})
		}
		r := Analyze(change(records, 1, c.change), registered(200))
		if got := r.Verdict.String(); got != c.want {
			t.Errorf("%s: %s, want %s; %+v", c.name, got, c.want, r.Secondary)
		}
	}
	slower := Analyze(noisy(2, 200, 0.2, 0.05), registered(200))
	if len(slower.Verdict.Worse) > 0 || slower.Verdict.String() != "regresses" {
		t.Errorf("a regression is %s: guards only qualify a win", slower.Verdict)
	}
}

// The import of a block that a metrics page did not tell does not take the
// guard away from the others; too many of them do, and it is said.
func TestAnalyze_importsOfSome(t *testing.T) {
	slower := func(unknown func(side, i int) bool) *Result {
		records := noisy(2, 200, -0.2, 0.05)
		for side := range records {
			change(records, side, func(i int, s *sample.Sample) {
				if s.ImportNS = int64(40e6 + 1e5*float64(i%9) + 20e6*float64(side)); unknown(side, i) {
					s.ImportNS = 0
				}
			})
		}
		return Analyze(records, registered(200))
	}
	for _, c := range []struct {
		name, verdict, warning string
		n                      int
		unknown                func(side, i int) bool
	}{
		{"all", "improves, but block import worse", "", 200, func(_, _ int) bool { return false }},
		{"most", "improves, but block import worse", "", 160, func(side, i int) bool { return i%10 == side }},
		{"half", "improves, but block import worse", "", 100, func(side, i int) bool { return i%2 == side && side == 1 }},
		{"few", "improves", "block import is not compared: it is known of only 99 of 200 pairs", 0, func(_, i int) bool { return i >= 99 }},
		{"none of one side", "improves", "", 0, func(side, _ int) bool { return side == 1 }},
	} {
		r := slower(c.unknown)
		n := 0
		for _, m := range r.Secondary {
			if m.Name == BlockImport {
				n = m.Ratio.N
				if at := m.Ratio.Center; math.Abs(at-1.5) > 0.01 {
					t.Errorf("%s: the ratio is %v, want 1.5", c.name, at)
				}
			}
		}
		warnings := strings.Join(r.Warnings, "\n")
		if r.Verdict.String() != c.verdict || n != c.n || !strings.Contains(warnings, c.warning) || strings.Contains(warnings, BlockImport) != (c.warning != "") {
			t.Errorf("%s: %s with %d pairs and warnings %q; want %s with %d and %q", c.name, r.Verdict, n, warnings, c.verdict, c.n, c.warning)
		}
	}
}

// In a run of several sessions each has its own share of the known imports.
func TestAnalyze_importsOfSessions(t *testing.T) {
	records := noisy(2, 200, -0.2, 0.05)
	for side := range records {
		change(records, side, func(i int, s *sample.Sample) {
			s.Session, s.Swapped = 1+i/50, i/50 == 1 || i/50 == 2
			if s.ImportNS = int64(40e6 + 1e5*float64(i%9) + 1e4*float64((i+side)%7) + 20e6*float64(side)); i%3 == 0 {
				s.ImportNS = 0
			}
		})
	}
	rule := registered(200)
	rule.Sessions = 4
	r := Analyze(records, rule)
	if len(r.Sessions) != 4 {
		t.Fatalf("%d sessions", len(r.Sessions))
	}
	for _, m := range r.Secondary {
		if m.Name == BlockImport {
			if math.Abs(m.Ratio.Center-1.5) > 0.01 || !m.Worse {
				t.Errorf("block import %+v, want 1.5 times and worse", m)
			}
			return
		}
	}
	t.Errorf("no block import among %+v, warnings %q", r.Secondary, r.Warnings)
}

// The secondary intervals share an error rate, and their p-values are adjusted.
func TestAnalyze_secondary(t *testing.T) {
	r := Analyze(noisy(2, 200, -0.2, 0.05), registered(200))
	if k := len(r.Secondary); k != 5 {
		t.Fatalf("%d secondary metrics, want error rate, total time, p50, p90, p95: %+v", k, r.Secondary)
	}
	for _, m := range r.Secondary {
		if m.Ratio.N > 0 && math.Abs(m.Ratio.Confidence-0.99) > 1e-12 {
			t.Errorf("%s has confidence %v, want 0.99", m.Name, m.Ratio.Confidence)
		}
		if m.Ratio.N > 0 && m.Adjusted < m.Ratio.P {
			t.Errorf("%s: adjusted p %v is below %v", m.Name, m.Adjusted, m.Ratio.P)
		}
	}
	long := Analyze(noisy(2, 400, -0.2, 0.05), registered(400))
	if long.Estimates.P99.N == 0 || r.Estimates.P99.N != 0 {
		t.Error("p99 belongs to runs of 368 pairs and more only")
	}
}

// controlled puts an A/A control of n blocks with its own effect before r.
func controlled(r [2][]sample.Record, n int, shift, sd float64, kind sample.Control) [2][]sample.Record {
	aa := noisy(7, n, shift, sd)
	for side := range aa {
		change(aa, side, func(_ int, s *sample.Sample) { s.Control = kind })
		r[side] = append(aa[side], r[side]...)
	}
	return r
}

// A control in the same two places takes the difference between them off the
// effect, and its noise is added.
func TestAnalyze_control(t *testing.T) {
	rule := registered(200)
	rule.MarginFromControl = true
	shifted := func() [2][]sample.Record { return noisy(3, 200, 0.05, 0.02) }
	if v := Analyze(shifted(), rule).Verdict; v.Outcome != Regresses {
		t.Fatalf("without a control: %s", v)
	}
	r := Analyze(controlled(shifted(), 200, 0.05, 0.02, sample.TwoPlaces), rule)
	if r.Control == nil || r.Control.Pairs != 200 || !r.Control.Corrects || r.Control.Quiet() {
		t.Fatalf("control %+v", r.Control)
	}
	if r.Verdict.Outcome != NoEffect || r.Effect.Kind != stat.KindCorrected {
		t.Errorf("verdict %s by a %s interval, want no effect by a corrected one: %q", r.Verdict, r.Effect.Kind, r.Verdict.Reasons)
	}
	if len(r.Pairs) != 200 {
		t.Errorf("%d pairs: the control's blocks are not the comparison's", len(r.Pairs))
	}
	if !strings.Contains(r.Verdict.Attribution, "taken off") {
		t.Errorf("attribution %q", r.Verdict.Attribution)
	}
	one := Analyze(controlled(shifted(), 200, 0, 0.02, sample.OnePlace), rule)
	if one.Control.Corrects || one.Effect.Kind == stat.KindCorrected || one.Verdict.Outcome != Regresses {
		t.Errorf("a control of one server corrected the effect: %+v, %s", one.Control, one.Verdict)
	}
}

// Without a margin of its own, a run's margin is at least twice the noise floor.
func TestAnalyze_marginFromControl(t *testing.T) {
	rule := registered(200)
	records := func() [2][]sample.Record {
		return controlled(noisy(3, 200, 0, 0.2), 200, 0, 0.2, sample.TwoPlaces)
	}
	fixed := Analyze(records(), rule)
	rule.MarginFromControl = true
	wide := Analyze(records(), rule)
	if fixed.Verdict.Margin != 0.03 || math.Abs(math.Log1p(wide.Verdict.Margin)-2*math.Log1p(wide.Control.Floor)) > 1e-12 || wide.Control.Floor < 0.015 {
		t.Errorf("margins %v and %v with a noise floor of %v", fixed.Verdict.Margin, wide.Verdict.Margin, wide.Control.Floor)
	}
}

// A build that disagrees with itself makes parity undecidable, not broken.
func TestAnalyze_unstableAnswers(t *testing.T) {
	r := controlled(noisy(3, 200, -0.5, 0.05), 200, 0, 0.05, sample.TwoPlaces)
	r[1][5].Sample.Digest = "other"
	r[1][250].Sample.Digest = "other"
	v := Analyze(r, registered(200)).Verdict
	if v.Outcome != Inconclusive || !strings.Contains(v.Reasons[0], "not reproducible") {
		t.Errorf("verdict %s %q, want inconclusive for answers that are not reproducible", v, v.Reasons)
	}
}

// A side that serves some witnesses from a store and makes others on demand is
// reported: one effect for both is the effect of neither.
func TestAnalyze_mixture(t *testing.T) {
	r := change(noisy(6, 200, math.Log(0.3), 0.1), 1, func(i int, s *sample.Sample) {
		if i%10 == 4 {
			s.TotalNS = s.TotalNS * 10 / 3
		}
	})
	res := Analyze(r, registered(200))
	m := res.Diagnosis.Mixture
	if m == nil || m.High.N != 20 || m.Low.N != 180 || res.Diagnosis.Mixed[0] != 1004 {
		t.Fatalf("mixture %+v of blocks %v, want 20 blocks from 1004 on", m, res.Diagnosis.Mixed)
	}
	if text := strings.Join(res.Diagnosis.Warnings, "\n"); !strings.Contains(text, "20 of 200 pairs about") {
		t.Errorf("warnings %q", text)
	}
	if plain := Analyze(noisy(6, 200, math.Log(0.3), 0.1), registered(200)); plain.Diagnosis.Mixture != nil {
		t.Errorf("one group is shown as %+v", plain.Diagnosis.Mixture)
	}
}

// A typical effect between two groups is that of no block, and the verdict says
// so first.
func TestAnalyze_mixtureStraddles(t *testing.T) {
	r := Analyze(change(noisy(6, 200, 0, 0.05), 1, func(i int, s *sample.Sample) {
		if i%3 == 0 {
			s.TotalNS /= 50
		}
	}), registered(200))
	if !r.Diagnosis.Straddles || !strings.Contains(r.Verdict.Reasons[0], "describes no block") {
		t.Errorf("straddles %v, reasons %q", r.Diagnosis.Straddles, r.Verdict.Reasons)
	}
	clear := Analyze(change(noisy(6, 200, 0, 0.05), 1, func(i int, s *sample.Sample) {
		if i%20 == 0 {
			s.TotalNS /= 50
		}
	}), registered(200))
	if clear.Diagnosis.Mixture == nil || clear.Diagnosis.Straddles {
		t.Errorf("with one block in twenty elsewhere: %+v, straddles %v", clear.Diagnosis.Mixture, clear.Diagnosis.Straddles)
	}
}

// A control without a bounded interval shows no noise floor; the margin stays.
func TestAnalyze_unboundedControl(t *testing.T) {
	r := noisy(3, 200, 0.3, 0.05)
	aa := noisy(7, 50, 0, 0.01)
	for side := range aa {
		change(aa, side, func(i int, s *sample.Sample) {
			s.Control = sample.TwoPlaces
			if side == 1 { // a drift that no interval of four degrees of freedom bounds
				s.TotalNS = int64(float64(s.TotalNS) * math.Exp(0.2*float64(i)))
			}
		})
		r[side] = append(aa[side], r[side]...)
	}
	rule := registered(200)
	rule.MarginFromControl = true
	res := Analyze(r, rule)
	if res.Control.Corrects || res.Control.Why == "" || res.Verdict.Margin != rule.Margin || math.IsInf(res.Verdict.Margin, 0) {
		t.Errorf("control %+v, margin %v", res.Control, res.Verdict.Margin)
	}
}

// Only blocks that both sides were asked for can be lost, and only failures of
// one side alone can be out of balance.
func TestAnalyze_balance(t *testing.T) {
	// 150 common blocks, 40 more on either side, one of which failed.
	overlap := noisy(8, 190, -0.2, 0.05)
	for i := range 40 {
		add(&overlap, 0, 1000+i, 1e8)
		s := add(&overlap, 1, 2000+i, 1e8)
		if i == 0 {
			s.Status = sample.Timeout
		}
	}
	if v := Analyze(overlap, rule).Verdict; v.Outcome != Improves {
		t.Errorf("with a failure beside the common blocks: %s %q", v, v.Reasons)
	}
	// One-sided timeouts, with blocks beside them that nobody was asked for.
	hidden := change(noisy(8, 210, -0.2, 0.05), 1, func(i int, s *sample.Sample) {
		if i%8 == 0 {
			s.Status = sample.Timeout
		}
	})
	for i := range 30 {
		for side := range hidden {
			add(&hidden, side, 3000+i, 1).Status = sample.Skipped
		}
	}
	if v := Analyze(hidden, rule).Verdict; v.Outcome != Invalid || !strings.Contains(v.Reasons[0], "not balanced") {
		t.Errorf("with one-sided timeouts: %s %q", v, v.Reasons)
	}
}

// Timeouts are not missing at random: the effect with them at the time limit is
// printed beside the other.
func TestAnalyze_timeoutsAtTheLimit(t *testing.T) {
	r := Analyze(change(noisy(8, 200, -0.2, 0.05), 1, func(i int, s *sample.Sample) {
		if i%25 == 0 {
			s.Status = sample.Timeout
		}
	}), registered(200))
	text := strings.Join(r.Diagnosis.Warnings, "\n")
	if !strings.Contains(text, "with 8 timed-out answers counted as long as the time limit of 1m0s") {
		t.Errorf("warnings %q", text)
	}
}

// A metric that has the same ratio on every block is exact: no p-value.
func TestAnalyze_exactMetric(t *testing.T) {
	records := noisy(2, 200, -0.2, 0.05)
	for side := range records {
		change(records, side, func(_ int, s *sample.Sample) { s.BodyBytes = int64(1000 + 8*side) })
	}
	m := Analyze(records, registered(200)).metric(AnswerBytes)
	if m == nil || !math.IsNaN(m.Adjusted) || !m.Worse || m.Ratio.Center != 1.008 {
		t.Errorf("answer bytes %+v", m)
	}
}

// The monitor sees what the analysis of the stopped run sees.
func TestMonitor_agreesWithAnalyze(t *testing.T) {
	rule := registered(400)
	records := noisy(5, 230, -0.1, 0.1)
	records[1][17].Sample.Status = sample.Timeout
	m, err := NewMonitor(rule)
	if err != nil {
		t.Fatal(err)
	}
	decided := 0
	for i := range records[0] {
		if err := m.Add(records[0][i].Sample, records[1][i].Sample); err != nil {
			t.Fatal(err)
		}
		if m.Decided() && decided == 0 {
			decided = i + 1
		}
	}
	r := Analyze(records, rule)
	last := r.Estimates.Looks[len(r.Estimates.Looks)-1]
	if m.Look() != last {
		t.Errorf("the monitor shows %+v, the analysis %+v", m.Look(), last)
	}
	if m.Pairs() != len(r.Pairs) || m.Failed() != 1 {
		t.Errorf("%d pairs, %d failed", m.Pairs(), m.Failed())
	}
	base, test := m.Medians()
	if base != r.Sides[0].Median || test != r.Sides[1].Median {
		t.Errorf("medians %v, %v, want %v, %v", base, test, r.Sides[0].Median, r.Sides[1].Median)
	}
	if decided < rule.MinPairs || r.Verdict.Outcome != Improves || !r.Verdict.Live {
		t.Errorf("decided at block %d, verdict %s (live %v)", decided, r.Verdict, r.Verdict.Live)
	}
	if m.Forecast().N == 0 {
		t.Error("no forecast after 200 pairs")
	}
}

func BenchmarkMonitor(b *testing.B) {
	records := noisy(5, 400, -0.01, 0.1)
	for b.Loop() {
		m, err := NewMonitor(registered(400))
		if err != nil {
			b.Fatal(err)
		}
		for i := range records[0] {
			if err := m.Add(records[0][i].Sample, records[1][i].Sample); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/40, "ns/batch")
}

func BenchmarkAnalyze(b *testing.B) {
	for _, n := range []int{200, 10_000} {
		b.Run(map[int]string{200: "200", 10_000: "10000"}[n], func(b *testing.B) {
			records := noisy(5, n, -0.01, 0.1)
			for b.Loop() {
				Analyze(records, registered(n))
			}
		})
	}
}
