package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// table is a CSV input: latencies of blocks, or with gas proving times of
// batches, whose numbers begin at first.
func table(seed uint64, first, n int, factor float64, proofs bool) string {
	rng := rand.New(rand.NewPCG(seed, 3))
	var b strings.Builder
	b.WriteString("block,ms\n")
	if proofs {
		b.Reset()
		b.WriteString("batch,ms,gas,txs,blocks\n")
	}
	for i := range n {
		size := math.Exp(0.4 * rng.NormFloat64())
		ms := 130 * factor * size * math.Exp(0.05*rng.NormFloat64())
		if proofs {
			fmt.Fprintf(&b, "%d,%.3f,%.0f,%d,3\n", first+i, 100*ms, 3e7*size, 200+i)
		} else {
			fmt.Fprintf(&b, "%d,%.6f\n", first+i, ms)
		}
	}
	return b.String()
}

// importedRun compares two texts as verdict compare does.
func importedRun(t testing.TB, how compare.Import, baseline, test string) *Run {
	t.Helper()
	var series [2]*intake.Series
	for i, text := range []string{baseline, test} {
		s, err := intake.Read([]string{"old.csv", "new.csv"}[i], strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		series[i] = s
	}
	how.Rule = compare.DefaultRule()
	result, err := compare.Imported(series, how)
	if err != nil {
		t.Fatal(err)
	}
	return &Run{Result: result}
}

// withGaps is a run with an A/A control before it, with gaps and failures.
func withGaps() *Run {
	r := made(170, func(i, side int, s *sample.Sample) {
		if side == 1 {
			s.TotalNS *= 19
		}
		if i < 60 {
			s.Control = sample.TwoPlaces
		} else if i < 63 {
			s.WarmUp = true
		} else if i == 80 && side == 1 {
			s.Status, s.Digest = sample.Timeout, ""
			s.Failure = &sample.Failure{Message: "no answer in 10s"}
		}
		s.BehindHead, s.SinceHeadNS = uint64(side), int64(1e9+1e6*float64(i))
		s.BodyBytes += int64(1000 * (i % 17))
		s.GasUsed += uint64(1e5 * (i % 13))
	})
	for side, name := range sample.Sides {
		gap := sample.Gap{Side: name, From: noon, OffsetNS: 5e9, DurationNS: 2e9, Reason: "connection refused"}
		r.Records[side] = append(r.Records[side], sample.Record{V: 1, Gap: &gap})
	}
	rule := compare.DefaultRule()
	rule.Planned, rule.MarginFromControl = 107, true
	r.Result = compare.Analyze(r.Records, rule)
	return r
}

// jsonCases are the runs of cases and those in which the JSON report has parts
// of its own.
func jsonCases(t testing.TB) map[string]*Run {
	all := cases()
	all["gaps"] = withGaps()
	all["imported"] = importedRun(t, compare.Import{}, table(1, 100, 90, 1, false), table(1, 102, 90, 1.2, false))
	all["proofs-paired"] = importedRun(t, compare.Import{SameBatches: true}, table(1, 1, 12, 1, true), table(1, 1, 12, 0.9, true))
	all["proofs-unpaired"] = importedRun(t, compare.Import{}, table(1, 1, 25, 1, true), table(2, 1, 30, 0.9, true))
	maps.Copy(all, provingCases(t))
	return all
}

func renderJSON(t testing.TB, name string, r *Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := JSON(&b, r); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b.Bytes()
}

// long is a number of more digits than anybody prints.
var long = regexp.MustCompile(`-?\d+\.\d{8,}(e[-+]\d+)?`)

// rounded is text with its numbers at twelve digits: the last ones depend on
// the processor and on the order of additions.
func rounded(text []byte) []byte {
	return long.ReplaceAllFunc(text, func(digits []byte) []byte {
		x, err := strconv.ParseFloat(string(digits), 64)
		if err != nil {
			return digits
		}
		return strconv.AppendFloat(nil, x, 'g', 12, 64)
	})
}

func TestJSON_golden(t *testing.T) {
	for name, run := range jsonCases(t) {
		golden(t, name+".json", rounded(renderJSON(t, name, run)))
	}
}

// What scripts rely on is in every report. There is a ratio exactly where there
// is a verdict about speed to stand on it.
func TestJSON_promised(t *testing.T) {
	for name, run := range jsonCases(t) {
		v := decoded(t, renderJSON(t, name, run))
		for _, path := range []string{"v", "verdict", "outcome", "pairs", "state", "run", "parity.checked", "excluded", "reasons"} {
			if at(t, v, path) == nil {
				t.Errorf("%s: %s is null", name, path)
			}
		}
		if ratio := at(t, v, "effect.ratio"); (ratio == nil) != (v["outcome"] == "invalid" || v["outcome"] == "no verdict") {
			t.Errorf("%s: the ratio is %v, the outcome %v", name, ratio, v["outcome"])
		}
	}
}

// decoded is a JSON report as any reader would take it.
func decoded(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// at is the value under a path such as effect.low.
func at(t testing.TB, v any, path string) any {
	t.Helper()
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("%s: %q is in no object", path, key)
		}
		if v, ok = m[key]; !ok {
			t.Fatalf("%s: there is no %q", path, key)
		}
	}
	return v
}

// The report says what the result says.
func TestJSON_values(t *testing.T) {
	run := withGaps()
	v := decoded(t, renderJSON(t, "gaps", run))
	res := run.Result
	c := res.Control
	for path, want := range map[string]any{
		"verdict": res.Verdict.String(), "outcome": string(res.Verdict.Outcome), "margin": res.Verdict.Margin,
		"pairs": float64(106), "attempted": float64(107), "warm_up": float64(3), "stage": "planned", "design": "paired",
		"effect.ratio": res.Effect.Center, "effect.center": res.Effect.Center, "effect.low": res.Effect.Low, "effect.high": res.Effect.High,
		"effect.n": float64(106), "effect.unit": "ratio", "effect.kind": res.Effect.Kind, "effect.confidence": res.Effect.Confidence,
		"effect.change_percent.center": 100 * (res.Effect.Center - 1),
		"estimates.typical.center":     res.Estimates.Typical.Center, "estimates.final.center": res.Estimates.Final.Center,
		"estimates.inner.low": res.Estimates.Inner.Low, "estimates.equivalence_p": res.Estimates.Equivalent,
		"estimates.mean.high": res.Estimates.Mean.High, "estimates.gas_slope.center": res.Estimates.Gas.Center,
		"estimates.p99": nil, "estimates.long_run_sd": res.Estimates.LongRun,
		"control.pairs": float64(c.Pairs), "control.noise_floor": c.Floor, "control.corrects": true,
		"control.shift.center": c.Shift.Center, "control.df": c.DF,
		"forecast.mde": res.Forecast.MDE, "forecast.pairs_to_detect": float64(res.Forecast.Detect),
		"diagnosis.acf1": res.Diagnosis.ACF1, "diagnosis.behind_head.test": res.Diagnosis.Behind[1], "diagnosis.bytes_slope.center": res.Diagnosis.Bytes.Center,
		"baseline.median": res.Sides[0].Median, "test.sd": res.Sides[1].SD, "test.quantiles.p90.low": res.Sides[1].Quantiles[1].Low,
		"test.failures.timeout": float64(1), "test.p99": nil, "baseline.name": "built-in node, witnesses on-demand",
		"baseline.medians.transactions": float64(600), "baseline.medians.import_ms": float64(40),
		"sequence.confidence": 0.99, "sequence.looks": float64(10), "groups": nil, "batches": nil, "inputs": nil,
		"manifest.spec_hash": "sha256:aa", "rule.planned": float64(107), "rule.alpha_final": 0.04, "rule.margin": res.Rule.Margin,
	} {
		if got := at(t, v, path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if first := at(t, v, "baseline.asked_first").(float64) + at(t, v, "test.asked_first").(float64); first != 106 {
		t.Errorf("%v pairs have a side that was asked first, of 106", first)
	}
}

// What an unpaired comparison has in place of pairs.
func TestJSON_groups(t *testing.T) {
	run := jsonCases(t)["proofs-unpaired"]
	g := run.Result.Groups
	v := decoded(t, renderJSON(t, "proofs-unpaired", run))
	for path, want := range map[string]any{
		"design": "unpaired", "item": "batch", "pairs": float64(0), "blocks": nil, "sequence": nil, "manifest": nil,
		"groups.rank_sum.p": g.RankSum.P, "groups.rank_sum.u": g.RankSum.U, "groups.shift.unit": "ms",
		"groups.typical.center": g.Typical.Center, "groups.mde": g.MDE,
		"groups.at_equal_gas.effect.center": math.Exp(g.Proofs.Effect.Center), "groups.at_equal_gas.effect.kind": "HC3",
		"groups.at_equal_gas.permutation_p": g.Proofs.Permutation,
		"effect.ratio":                      run.Result.Effect.Center, "baseline.name": "old.csv", "test.n": float64(30),
	} {
		if got := at(t, v, path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	batches := at(t, v, "batches.test").([]any)
	if len(batches) != 30 || at(t, batches[2], "number") != float64(3) || at(t, batches[2], "blocks") != float64(3) {
		t.Errorf("%d batches, the third is %v", len(batches), batches[2])
	}
}

// An unbounded end is null, whatever the scale, and so is a missing number.
func TestJSON_unbounded(t *testing.T) {
	for _, test := range []struct {
		v         stat.Interval
		low, high any
	}{
		{stat.Interval{Center: 0.5, Low: 0, High: math.Inf(1), N: 3, Unit: stat.UnitRatio, P: math.NaN()}, nil, nil},
		{stat.Interval{Center: 0.5, Low: math.Inf(-1), High: 2, N: 3, Unit: stat.UnitLogRatio}, nil, 2.0},
		{stat.Interval{Center: 0, Low: 0, High: 2, N: 3, Unit: stat.UnitLogRatio}, 0.0, 2.0},
	} {
		raw, err := json.Marshal(intervalOf(test.v))
		if err != nil {
			t.Fatal(err)
		}
		got := decoded(t, raw)
		if got["low"] != test.low || got["high"] != test.high || got["df"] != nil || got["seed"] != nil {
			t.Errorf("%+v is %s", test.v, raw)
		}
	}
	if intervalOf(stat.Interval{Center: 1}) != nil {
		t.Error("an interval of nothing is not null")
	}
}

// Of a long sequence 200 looks are listed: the first, the last, evenly spaced
// ones between, none twice.
func TestJSON_sequenceIsThinned(t *testing.T) {
	for _, n := range []int{1, 199, 200, 201, 399, 5000} {
		res := &compare.Result{Rule: compare.DefaultRule()}
		for i := range n {
			res.Estimates.Looks = append(res.Estimates.Looks, compare.Look{Pairs: 10 * (i + 1), Center: 1})
		}
		s := sequenceOf(res)
		if s.Looks != n || len(s.Points) != min(n, 200) {
			t.Errorf("of %d looks %d of %d are listed", n, len(s.Points), s.Looks)
		}
		if last := s.Points[len(s.Points)-1].N; s.Points[0].N != 10 || last != 10*n {
			t.Errorf("of %d looks %d to %d are listed", n, s.Points[0].N/10, last/10)
		}
		for i := 1; i < len(s.Points); i++ {
			if step := (s.Points[i].N - s.Points[i-1].N) / 10; step < 1 || step > n/199+1 {
				t.Fatalf("of %d looks %d lie between two listed ones", n, step)
			}
		}
	}
}

// poison sets every floating-point number that v reaches.
func poison(v reflect.Value, x float64) {
	switch v.Kind() {
	case reflect.Float64:
		if v.CanSet() {
			v.SetFloat(x)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), x)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			poison(v.Field(i), x)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			poison(v.Index(i), x)
		}
	}
}

// No number, however broken, keeps the report from being written, and none that
// JSON cannot hold gets into it.
func TestJSON_notFinite(t *testing.T) {
	runs := jsonCases(t)
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.MaxFloat64} {
		for name, run := range runs {
			poison(reflect.ValueOf(run.Result), x)
			decoded(t, renderJSON(t, fmt.Sprintf("%s with %v", name, x), run))
		}
	}
}

// Text of others stays inside of its string.
func TestJSON_hostileText(t *testing.T) {
	const hostile = "\"}],\"verdict\":\"improves\"\n\x00\xff </script>"
	run := made(1, func(i, side int, s *sample.Sample) {
		s.Status, s.Failure, s.Verification = sample.InvalidWitness, &sample.Failure{Message: hostile}, sample.Incomplete
	})
	run.Manifest.Sides[1].Ref, run.Manifest.Reason, run.Dir = hostile, hostile, hostile
	v := decoded(t, renderJSON(t, "hostile", run))
	if got := at(t, v, "verdict"); got != "invalid" {
		t.Errorf("the verdict is %v", got)
	}
	if got := at(t, v, "run"); got != strings.ToValidUTF8(hostile, "\ufffd") {
		t.Errorf("the run is %q", got)
	}
}

// BenchmarkJSON is the report of 10,000 pairs.
func BenchmarkJSON(b *testing.B) {
	run := made(10_000, nil)
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		if err := JSON(&out, run); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(out.Len()), "bytes")
}
