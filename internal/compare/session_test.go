package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
)

// liveSpec is a live run of n blocks.
func liveSpec(n int, crossover bool) *spec.Witness {
	s := spec.Defaults(spec.Live)
	s.Blocks = n
	s.Baseline.Host, s.Test.Host = "alpha", "beta"
	if s.Servers == nil {
		s.Servers = &spec.Servers{}
	}
	s.Servers.Crossover = crossover
	return &s
}

// crossed is how two hosts measure: the second takes host more time and the
// test build effect, both on the log scale.
type crossed struct {
	seed         uint64
	effect, host float64
	// sd is the noise of a pair, between that of a session.
	sd, between float64
	per         int
	swapped     []bool
}

// records are the samples, session after session.
func (c crossed) records() [2][]sample.Record {
	rng := rand.New(rand.NewPCG(c.seed, 17))
	var out [2][]sample.Record
	for k, swapped := range c.swapped {
		shift := c.effect + c.host
		if swapped {
			shift = c.effect - c.host
		}
		shift += c.between * rng.NormFloat64()
		for i := range c.per {
			at := k*(c.per+30) + i // there are blocks while the builds change hosts
			base := 100e6 * math.Exp(0.3*rng.NormFloat64())
			for side, ns := range [2]float64{base, base * math.Exp(shift+c.sd*rng.NormFloat64())} {
				s := add(&out, side, at, ns)
				s.Session, s.Swapped, s.Host = k+1, swapped, "same-name"
			}
		}
	}
	return out
}

var xyyx = []bool{false, true, true, false}

// The plan and the rule agree on the sessions: their number, their order and
// how many pairs each has.
func TestRuleOf_livePlan(t *testing.T) {
	for _, n := range []int{200, 201, 202, 203, 1000} {
		for _, crossover := range []bool{false, true} {
			s := liveSpec(n, crossover)
			rule := RuleOf(s)
			q := newQuota(rule)
			sessions := plan.Sessions(s)
			if len(sessions) != max(1, rule.Sessions) || rule.Pairs != n || rule.Hosts != [2]string{"alpha", "beta"} {
				t.Fatalf("%d blocks, crossover %v: rule %+v, %d sessions planned", n, crossover, rule, len(sessions))
			}
			swapped, total := false, 0
			for i, p := range sessions {
				if q.share(i) != p.Blocks {
					t.Errorf("%d blocks: session %d has %d pairs by the rule, %d by the plan", n, i+1, q.share(i), p.Blocks)
				}
				swapped, total = swapped || p.Swapped(), total+q.share(i)
			}
			if swapped != rule.Swap || total != n {
				t.Errorf("%d blocks: swap %v and %d pairs by the plan, %v and %d by the rule", n, swapped, total, rule.Swap, n)
			}
		}
	}
	if local := RuleOf(new(spec.Defaults(spec.Local))); local.Pairs != 0 || local.Sessions != 0 || local.Hosts != [2]string{} {
		t.Errorf("a local run is judged like a live one: %+v", local)
	}
}

// A swap takes the effect of the host off, shows it, and the verdict says so.
func TestAnalyze_crossover(t *testing.T) {
	c := crossed{seed: 3, effect: -0.06, host: 0.04, sd: 0.03, between: 0.001, per: 50, swapped: xyyx}
	r := Analyze(c.records(), RuleOf(liveSpec(200, true)))
	e := &r.Estimates
	if r.Stage != stat.Planned || r.Verdict.Outcome != Improves || len(r.Sessions) != 4 || r.Verdict.Servers {
		t.Fatalf("stage %d, verdict %s %q, sessions %+v", r.Stage, r.Verdict, r.Verdict.Reasons, r.Sessions)
	}
	if !e.Typical.Contains(math.Exp(c.effect)) || !e.Host.Contains(math.Exp(c.host)) || e.Host.Contains(1) {
		t.Errorf("effect %v, host %v", e.Typical, e.Host)
	}
	if wider := max(e.Blocks.High-e.Blocks.Low, e.Between.High-e.Between.Low); e.Typical.High-e.Typical.Low != wider {
		t.Errorf("the interval %+v is not the wider of %+v and %+v", e.Typical, e.Between, e.Blocks)
	}
	for _, want := range []string{"the test version", "alpha", "beta", "exchanged"} {
		if !strings.Contains(r.Verdict.Attribution, want) {
			t.Errorf("attribution %q does not say %q", r.Verdict.Attribution, want)
		}
	}
	if total := r.metric(TotalTime); total == nil || !total.Ratio.Contains(math.Exp(c.effect)) || total.Ratio.Contains(math.Exp(c.effect+c.host)) || total.Ratio.N != 200 {
		t.Errorf("total time %+v: the effect of the host is in it", total)
	}
	if p95 := r.metric("p95"); p95 == nil || p95.Ratio.N != 200 || p95.Worse {
		t.Errorf("p95 %+v", p95)
	}
	if !e.Mean.Contains(math.Exp(c.effect)) {
		t.Errorf("geometric mean %v", e.Mean)
	}
	if len(e.Looks) != 10 {
		t.Errorf("%d looks, want one for two batches of 10", len(e.Looks))
	}
	if r.Forecast.Sessions != 4 || !(r.Forecast.SessionMDE > 0) {
		t.Errorf("forecast %+v", r.Forecast)
	}
}

// The 92 % interval and the equivalence test stand on the same standard error
// and degrees of freedom as the interval that is reported.
func TestAnalyze_crossoverLevels(t *testing.T) {
	r := Analyze(crossed{seed: 5, sd: 0.03, between: 0.004, per: 50, swapped: xyyx}.records(), RuleOf(liveSpec(200, true)))
	final, inner := r.Estimates.Final.Log(), r.Estimates.Inner.Log()
	if inner.Confidence != 1-2*r.Rule.AlphaFinal || math.Abs(final.SE()/inner.SE()-1) > 1e-9 || final.DF != inner.DF || inner.Kind != final.Kind {
		t.Errorf("final %+v, inner %+v", final, inner)
	}
	p := final.Estimate().TOST(math.Log1p(r.Rule.Margin)).P()
	if math.Abs(p-r.Estimates.Equivalent) > 1e-12 {
		t.Errorf("p of equivalence %v, want %v", r.Estimates.Equivalent, p)
	}
}

// Steps between sessions are not drift, correlation, outliers or two groups of
// blocks, however far the hosts differ.
func TestAnalyze_noDiagnosisAcrossBorders(t *testing.T) {
	r := Analyze(crossed{seed: 4, host: 0.8, sd: 0.03, per: 50, swapped: xyyx}.records(), RuleOf(liveSpec(200, true)))
	g := &r.Diagnosis
	if len(g.Warnings) > 0 || g.Mixture != nil || math.Abs(g.ACF1) > 0.3 || !g.Drift.Contains(0) {
		t.Errorf("warnings %q, mixture %v, acf1 %v, drift %+v", g.Warnings, g.Mixture, g.ACF1, g.Drift)
	}
	if !math.IsNaN(r.Sides[0].ACF1) {
		t.Errorf("autocorrelation %v of latencies on two hosts", r.Sides[0].ACF1)
	}
	// The same measurements as one session are full of them.
	records := crossed{seed: 4, host: 0.8, sd: 0.03, per: 50, swapped: xyyx}.records()
	for side := range records {
		change(records, side, func(_ int, s *sample.Sample) { s.Session, s.Swapped = 0, false })
	}
	if one := Analyze(records, registered(200)); len(one.Diagnosis.Warnings) == 0 || one.Diagnosis.Mixture == nil {
		t.Errorf("as one session: %q", one.Diagnosis.Warnings)
	}
}

// Without a swap and without a control on both hosts the effect is that of
// server and version, by the names of the spec, on whatever host name the
// meters saw.
func TestAnalyze_serverAndVersion(t *testing.T) {
	records := crossed{seed: 6, effect: -0.1, sd: 0.03, per: 200, swapped: []bool{false}}.records()
	r := Analyze(records, RuleOf(liveSpec(200, false)))
	if r.Verdict.Outcome != Improves || !r.Verdict.Servers ||
		!strings.HasPrefix(r.Verdict.Attribution, "server and version together: the test version on host beta against the baseline version on host alpha") {
		t.Errorf("verdict %s, attribution %q", r.Verdict, r.Verdict.Attribution)
	}
	if r.Sessions != nil || r.Estimates.Host.N != 0 || r.Effect.Kind != stat.KindSREWC {
		t.Errorf("one session became %+v, effect %+v", r.Sessions, r.Effect)
	}
	local := Analyze(records, registered(200))
	if local.Verdict.Servers {
		t.Errorf("one host: %q", local.Verdict.Attribution)
	}
	if local.Effect.Low != r.Effect.Low || local.Effect.High != r.Effect.High {
		t.Errorf("the numbers differ: %v and %v", local.Effect, r.Effect)
	}
	// Cut short before the first exchange, a crossover separates nothing.
	short := Analyze(crossed{seed: 6, effect: -0.1, sd: 0.03, per: 50, swapped: xyyx[:1]}.records(), RuleOf(liveSpec(200, true)))
	if short.Stage != stat.Stopped || len(short.Estimates.Looks) != 0 || !short.Verdict.Servers {
		t.Errorf("one session of four: stage %d, %d looks, %q", short.Stage, len(short.Estimates.Looks), short.Verdict.Attribution)
	}
}

// An A/A control on both hosts separates them; with a swap its shift is not
// taken off a second time.
func TestAnalyze_controlOnTwoHosts(t *testing.T) {
	control := func(r [2][]sample.Record) [2][]sample.Record {
		aa := noisy(7, 200, 0.04, 0.02)
		for side := range aa {
			change(aa, side, func(i int, s *sample.Sample) {
				s.Control, s.Session, s.Number = sample.TwoPlaces, 1, uint64(i)
			})
			for _, rec := range r[side] {
				rec.Sample.Session++
			}
			r[side] = append(aa[side], r[side]...)
		}
		return r
	}
	plain := crossed{seed: 8, effect: -0.1, host: 0.04, sd: 0.03, per: 200, swapped: []bool{false}}
	one := Analyze(control(plain.records()), RuleOf(liveSpec(200, false)))
	if !one.Control.Corrects || one.Verdict.Servers || !one.Effect.Contains(math.Exp(-0.1)) {
		t.Errorf("control %+v, effect %v, %q", one.Control, one.Effect, one.Verdict.Attribution)
	}
	swap := crossed{seed: 8, effect: -0.1, host: 0.04, sd: 0.03, between: 0.002, per: 50, swapped: xyyx}
	both := Analyze(control(swap.records()), RuleOf(liveSpec(200, true)))
	if both.Control.Corrects || both.Control.Why == "" || both.Effect.Kind == stat.KindCorrected || !both.Effect.Contains(math.Exp(-0.1)) {
		t.Errorf("control %+v, effect %v", both.Control, both.Effect)
	}
}

// A block that the sides measured in different sessions is no pair.
func TestAnalyze_pairsWithinSessions(t *testing.T) {
	records := crossed{seed: 9, sd: 0.03, per: 50, swapped: xyyx}.records()
	last := records[1][49].Sample
	last.Session, last.Swapped = 2, true
	r := Analyze(records, RuleOf(liveSpec(200, true)))
	want := map[string]int{"measured on the baseline side only": 1, "measured on the test side only": 1}
	got := map[string]int{}
	for _, e := range r.Excluded {
		got[e.Reason] = e.Count
	}
	if len(r.Pairs) != 199 || !reflect.DeepEqual(got, want) || r.Stage != stat.Stopped {
		t.Errorf("%d pairs, excluded %v, stage %d", len(r.Pairs), got, r.Stage)
	}
	if text := strings.Join(r.Verdict.Reasons, "\n"); !strings.Contains(text, "199 of 200 pairs") {
		t.Errorf("reasons %q", text)
	}
}

// said is all that a result says, apart from how much came later.
func said(r *Result) string {
	own := *r
	own.Excluded = slices.DeleteFunc(slices.Clone(r.Excluded), func(e Exclusion) bool { return e.Reason == afterPlanned })
	own.Pairs, own.counted = slices.Clone(r.Pairs), slices.Clone(r.counted)
	for _, pairs := range [][]Pair{own.Pairs, own.counted} {
		for i := range pairs {
			pairs[i].Samples = nil // an address
		}
	}
	mixture := fmt.Sprint(own.Diagnosis.Mixture == nil)
	own.Diagnosis.Mixture = nil
	return fmt.Sprintf("%+v, one group: %s", own, mixture)
}

// Whatever the collectors go on to measure after the planned pairs changes
// nothing: not the numbers, not the parity, not the failures and not the
// warnings.
func TestAnalyze_laterSamples(t *testing.T) {
	for _, crossover := range []bool{false, true} {
		for seed := range uint64(math.Ceil(8 * repeated)) {
			rng := rand.New(rand.NewPCG(seed, 23))
			c := crossed{seed: seed, effect: -0.02, host: 0.03, sd: 0.05, per: 220, swapped: []bool{false}}
			if crossover {
				c.per, c.swapped = 60, xyyx
			}
			records := c.records()
			for side := range records {
				change(records, side, func(i int, s *sample.Sample) {
					if i%c.per >= 40 && i%c.per < 44 { // a few fail before there are enough
						s.Status = []sample.Status{sample.OK, sample.Timeout, sample.RPCError}[rng.IntN(3)]
					}
					s.WarmUp = i%c.per < 3
				})
				records[side] = append(records[side], sample.Record{V: 1, Gap: &sample.Gap{From: time.Unix(20, 0), DurationNS: 5}})
			}
			rule := RuleOf(liveSpec(200, crossover))
			full := Analyze(records, rule)
			if full.Stage != stat.Planned || len(full.Pairs) != 200 || len(full.Gaps[0]) != 1 {
				t.Fatalf("crossover %v, seed %d: stage %d, %d pairs, gaps %v", crossover, seed, full.Stage, len(full.Pairs), full.Gaps)
			}
			least, more := Analyze(cutAt(records, full), rule), Analyze(later(rng, records), rule)
			for name, other := range map[string]*Result{"no more": least, "many more": more} {
				if a, b := said(full), said(other); a != b {
					t.Fatalf("crossover %v, seed %d, %s: the result changes:\n%s\n%s", crossover, seed, name, a, b)
				}
			}
		}
	}
}

// cutAt are the records up to the last planned pair of each session.
func cutAt(records [2][]sample.Record, r *Result) [2][]sample.Record {
	last := map[int]uint64{}
	for _, p := range r.Pairs {
		last[p.Session] = max(last[p.Session], p.Number)
	}
	var out [2][]sample.Record
	for side := range records {
		for _, rec := range records[side] {
			if rec.Sample == nil || rec.Sample.Number <= last[rec.Sample.Session] {
				out[side] = append(out[side], rec)
			}
		}
	}
	return out
}

// later adds samples and gaps of every kind after the last block, on one side
// or on both.
func later(rng *rand.Rand, records [2][]sample.Record) [2][]sample.Record {
	out := [2][]sample.Record{slices.Clone(records[0]), slices.Clone(records[1])}
	final := records[0][len(records[0])-2].Sample
	for i := range 50 {
		for side := range out {
			if rng.IntN(5) == 0 {
				continue
			}
			s := add(&out, side, 5000+i, 1e8*math.Exp(rng.NormFloat64()))
			s.Session, s.Swapped = final.Session, final.Swapped
			s.Status = []sample.Status{sample.OK, sample.OK, sample.Timeout, sample.Malformed, sample.InvalidWitness}[rng.IntN(5)]
			s.Verification = []sample.Verification{sample.Complete, sample.Incomplete, sample.Unproved}[rng.IntN(3)]
			if rng.IntN(4) == 0 {
				s.Digest = "another"
			}
			if rng.IntN(6) == 0 { // once more
				again := *s
				out[side] = append(out[side], sample.Record{V: 1, Sample: &again})
			}
		}
	}
	for side := range out {
		out[side] = append(out[side], sample.Record{V: 1, Gap: &sample.Gap{From: time.Unix(6000, 0), DurationNS: 7}})
	}
	return out
}

// The monitor of a run with sessions sees what the analysis sees, and stops
// looking after the planned pairs.
func TestMonitor_sessions(t *testing.T) {
	rule := RuleOf(liveSpec(400, true))
	records := crossed{seed: 10, effect: -0.08, host: 0.05, sd: 0.05, per: 117, swapped: xyyx}.records()
	m, err := NewMonitor(rule)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records[0] {
		if err := m.Add(records[0][i].Sample, records[1][i].Sample); err != nil {
			t.Fatal(err)
		}
	}
	r := Analyze(records, rule)
	if looks := r.Estimates.Looks; len(looks) != 20 || m.Look() != looks[len(looks)-1] {
		t.Errorf("the monitor shows %+v, the analysis has %d looks", m.Look(), len(looks))
	}
	if m.Pairs() != 400 || len(r.Pairs) != 400 || !m.Decided() || m.Forecast().N == 0 {
		t.Errorf("%d pairs, the analysis has %d; decided %v, forecast %+v", m.Pairs(), len(r.Pairs), m.Decided(), m.Forecast())
	}
}

// Two hosts of which the second is 4 % slower, and a build that changes
// nothing: an exchange of the hosts calls no effect, whereas without one every
// run calls the effect of the server, and says that it is that.
func TestAnalyze_crossoverRate(t *testing.T) {
	const runs = int(100 * repeated)
	quiet, named := 0, 0
	for seed := range uint64(runs) {
		c := crossed{seed: seed, host: math.Log(1.04), sd: 0.05, between: 0.003, per: 50, swapped: xyyx}
		if v := Analyze(c.records(), RuleOf(liveSpec(200, true))).Verdict; v.Outcome != Improves && v.Outcome != Regresses {
			quiet++
		}
		c.per, c.swapped = 200, []bool{false}
		if v := Analyze(c.records(), RuleOf(liveSpec(200, false))).Verdict; v.Outcome == Regresses && v.Servers {
			named++
		}
	}
	t.Logf("of %d runs: no direction with exchanged hosts %d, the server named without %d", runs, quiet, named)
	if quiet < runs*9/10 {
		t.Errorf("with exchanged hosts only %d of %d runs give no direction", quiet, runs)
	}
	if named < runs*9/10 {
		t.Errorf("without an exchange only %d of %d runs show the server and say so", named, runs)
	}
}
