package report

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// The ratio of Harrell-Davis quantiles is not taken for that of the quantiles
// in the table of the sides, whose sign is the other one.
func TestEffects_quantilesAreLabelled(t *testing.T) {
	run := made(400, nil)
	names := make(map[string]string)
	for _, e := range Compose(run).Effects {
		names[e.Name] = e.Note
	}
	for _, want := range []string{"p50 (Harrell-Davis)", "p90 (Harrell-Davis)", "p95 (Harrell-Davis)", "p99 (Harrell-Davis)"} {
		if _, ok := names[want]; !ok {
			t.Errorf("no measure is called %q: %v", want, names)
		}
	}
	for format, write := range writers {
		text := strings.Join(strings.Fields(string(rendered(t, write, run))), " ")
		if !strings.Contains(text, "Improvement: positive means that test is faster. Quantiles are type 7.") || !strings.Contains(text, "p99 (Harrell-Davis)") {
			t.Errorf("%s does not label the quantiles", format)
		}
	}
	if page := string(renderHTML(t, run)); !strings.Contains(page, "p95 (Harrell-Davis)") || !strings.Contains(page, "Improvement: positive means") {
		t.Error("the page does not label the quantiles")
	}
}

// stoppedEarly is a run of 94 of 200 blocks, whose sequence stands on 90 pairs.
func stoppedEarly(t *testing.T) *Run {
	t.Helper()
	run := planned(controlled(), 300)
	records := run.Records
	for side := range records {
		records[side] = slices.DeleteFunc(slices.Clone(records[side]), func(rec sample.Record) bool {
			return rec.Sample.Control == "" && rec.Sample.Number >= 194
		})
	}
	run.Records = records
	run = planned(run, 200)
	if e := run.Result.Effect; e.Kind != stat.KindSequence || e.N != 90 || len(run.Result.Pairs) != 94 || !run.Result.Verdict.Live {
		t.Fatalf("the effect is %+v of %d pairs", e, len(run.Result.Pairs))
	}
	return run
}

// A run that was stopped by looking has no p-value of the analysis that was
// planned for its end, and names the pairs that its sequence stands on.
func TestEarlyStop(t *testing.T) {
	run := stoppedEarly(t)
	d := Compose(run)
	for _, e := range d.Effects {
		if e.P != dash {
			t.Errorf("%s has p = %s", e.Name, e.P)
		}
	}
	if len(d.Effects) < 6 {
		t.Errorf("%d measures", len(d.Effects))
	}
	for format, write := range allFormats() {
		if strings.HasSuffix(format, "csv") || format == "bench" {
			continue
		}
		text := strings.Join(strings.Fields(string(rendered(t, write, run))), " ")
		if !strings.Contains(text, "the first 90 of 94 pairs") {
			t.Errorf("%s does not say what the sequence stands on", format)
		}
		if strings.Contains(text, "0.0001") {
			t.Errorf("%s shows a p-value", format)
		}
	}
	v := decoded(t, renderJSON(t, "early", run))
	for _, path := range []string{
		"effect.p", "estimates.typical.p", "estimates.final.p", "estimates.inner.p", "estimates.mean.p", "estimates.equivalence_p",
		"control.shift.p", "diagnosis.drift.p", "diagnosis.order.p",
	} {
		if got := at(t, v, path); got != nil {
			t.Errorf("%s is %v", path, got)
		}
	}
	for _, m := range at(t, v, "secondary").([]any) {
		if p := at(t, m, "adjusted_p"); p != nil {
			t.Errorf("%v has p = %v", at(t, m, "name"), p)
		}
		if ratio := at(t, m, "ratio"); ratio != nil && at(t, ratio, "p") != nil {
			t.Errorf("the ratio of %v has p = %v", at(t, m, "name"), at(t, ratio, "p"))
		}
	}
	if err := validate(schema(t), renderJSON(t, "early", run)); err != nil {
		t.Error(err)
	}
	for _, r := range []*Run{made(200, nil), planned(made(120, nil), 100)} {
		planned := r.Result.Stage == stat.Planned
		if got := Compose(r).Effects[0].P != dash; got != planned {
			t.Errorf("stage %v: a p-value is shown: %v", r.Result.Stage, got)
		}
	}
}

// Of two groups of blocks there is no typical one: the headline gives no number
// that would be that of neither.
func TestHeadline_twoGroups(t *testing.T) {
	run := mixed(200)
	if !run.Result.Diagnosis.Straddles || run.Result.Verdict.Outcome != compare.Improves {
		t.Fatalf("%v, straddles %v", run.Result.Verdict, run.Result.Diagnosis.Straddles)
	}
	d := Compose(run)
	if !strings.HasSuffix(d.Headline, ": two groups of blocks") || strings.Contains(d.Headline, "%") || strings.Contains(d.Headline, "times") {
		t.Errorf("the headline is %q", d.Headline)
	}
	if !strings.HasPrefix(d.Effect, "time of test / time of baseline = ") {
		t.Errorf("the effect is %q", d.Effect)
	}
	if !strings.Contains(strings.Join(d.Reasons, "\n"), "two groups") || !strings.Contains(d.Conclusion, "is that of neither") {
		t.Errorf("reasons %q, conclusion %q", d.Reasons, d.Conclusion)
	}
}

// mixed is a run of n blocks of which the test side answers 45 % from a store.
func mixed(n int) *Run {
	rng := rand.New(rand.NewPCG(4, 4))
	stored := make([]bool, n)
	for i := range stored {
		stored[i] = rng.Float64() < 0.45
	}
	return made(n, func(i, side int, s *sample.Sample) {
		s.ImportNS = 40e6
		s.TotalNS = int64(200e6 * math.Exp(0.03*rng.NormFloat64()))
		if side == 1 && stored[i] {
			s.TotalNS /= 4
		}
	})
}

func TestImproved(t *testing.T) {
	for _, c := range []struct {
		x, y float64
		want string
	}{
		{100, 50, "50.0 %"}, {100, 1, "99.0 %"}, {100, 100, "0.0 %"}, {100, 150, "-50.0 %"}, {100, 199.9, "-99.9 %"},
		{100, 200, "2.00 x slower"}, {1, 193.6, "194 x slower"},
	} {
		if got := improved(c.x, c.y); got != c.want {
			t.Errorf("improved(%v, %v) = %q, want %q", c.x, c.y, got, c.want)
		}
	}
}

// An unpaired comparison tells which blocks each side measured, where its input
// numbers them.
func TestComparison_blockRange(t *testing.T) {
	last := func(r *Run) [4]string {
		rows := Compose(r).Comparison
		return rows[len(rows)-1]
	}
	if got, want := last(imported(false)), [4]string{"Block Range", "1 – 30", "1001 – 1030", dash}; got != want {
		t.Errorf("the last row is %q, want %q", got, want)
	}
	run := imported(false)
	run.Result.Groups.Numbers[1] = nil
	if got, want := last(run), [4]string{"Block Range", "1 – 30", dash, dash}; got != want {
		t.Errorf("without numbers the last row is %q, want %q", got, want)
	}
}

// A file's path is no branch.
func TestSession_branch(t *testing.T) {
	branch := func(r *Run) string {
		for _, row := range Compose(r).Session {
			if row[0] == "PR/Branch" || row[0] == "Branch/Commit" {
				return row[1]
			}
		}
		return ""
	}
	for _, proofs := range []bool{false, true} {
		run := imported(proofs)
		if got := branch(run); got != dash {
			t.Errorf("the branch of a file is %q", got)
		}
		run.Manifest.Sides[1].Ref = "pr-6157"
		if got := branch(run); got != "pr-6157" {
			t.Errorf("the named branch is %q", got)
		}
	}
	run := imported(false)
	run.Result.Inputs[0].Values, run.Result.Inputs[0].Lines = 1, 2
	if got, want := Compose(run).Session[0][1], "main.csv (csv, 1 value in 2 lines)"; got != want {
		t.Errorf("the input is %q, want %q", got, want)
	}
}

func TestListed(t *testing.T) {
	for _, c := range []struct {
		e    compare.Exclusion
		want string
	}{
		{compare.Exclusion{Count: 3}, ""},
		{compare.Exclusion{Count: 3, Blocks: []uint64{7, 7, 7}}, "7"},
		{compare.Exclusion{Count: 9, Blocks: []uint64{7, 7, 8}}, "7, 8, …"},
	} {
		if got := listed(c.e); got != c.want {
			t.Errorf("listed(%v) = %q, want %q", c.e, got, c.want)
		}
	}
	run := made(2, nil)
	run.Result.Excluded = []compare.Exclusion{{Reason: "a block without a number", Count: 3}, {Reason: "reorg", Count: 2, Blocks: []uint64{7, 7}}}
	if text := string(rendered(t, Text, run)); strings.Contains(text, "()") || !strings.Contains(text, "reorg (7)\n") {
		t.Errorf("the report says %s", text)
	}
	v := decoded(t, renderJSON(t, "excluded", run))
	if got := at(t, at(t, v, "excluded").([]any)[1], "blocks"); !reflect.DeepEqual(got, []any{7.0}) {
		t.Errorf("the JSON names %v", got)
	}
}

// A question ends a sentence.
func TestStop_question(t *testing.T) {
	run := made(100, func(_, _ int, s *sample.Sample) { s.TotalNS = 100e6 })
	for format, write := range allFormats() {
		if text := rendered(t, write, run); strings.Contains(string(text), "?.") {
			t.Errorf("%s ends a question twice", format)
		}
	}
	if d := Compose(run); !strings.Contains(d.Conclusion, "twice?") {
		t.Errorf("the conclusion is %q", d.Conclusion)
	}
}
