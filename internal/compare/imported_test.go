package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
)

// value is one imported measurement; hash 0 stands for an unknown one.
type value struct {
	block uint64
	hash  byte
	ms    float64
}

// imported makes a series. It has hashes if a value has one.
func imported(name string, values ...value) *intake.Series {
	s := &intake.Series{Kind: intake.ReplayLog, Name: name, Numbered: true, Lines: len(values)}
	hashed := slices.ContainsFunc(values, func(v value) bool { return v.hash != 0 })
	for i, v := range values {
		s.Values = append(s.Values, intake.Value{Block: v.block, MS: v.ms, Line: uint32(i + 1)})
		if hashed {
			s.Hashes = append(s.Hashes, intake.Hash{v.hash})
		}
	}
	return s
}

// logs is n blocks from first, the test side at ratio of the baseline.
func logs(n int, first uint64, ratio float64) [2]*intake.Series {
	rng := rand.New(rand.NewPCG(7, first))
	var sides [2][]value
	for i := range n {
		base := 100 * math.Exp(0.4*rng.NormFloat64())
		block := first + uint64(i)
		sides[0] = append(sides[0], value{block, 0, base})
		sides[1] = append(sides[1], value{block, 0, base * ratio * math.Exp(0.02*rng.NormFloat64())})
	}
	return [2]*intake.Series{imported("a", sides[0]...), imported("b", sides[1]...)}
}

func compared(t *testing.T, series [2]*intake.Series, how Import) *Result {
	t.Helper()
	if how.Rule.Margin == 0 {
		how.Rule = DefaultRule()
	}
	r, err := Imported(series, how)
	if err != nil {
		t.Fatalf("Imported: %v", err)
	}
	return r
}

func exclusions(r *Result) map[string]int {
	out := make(map[string]int)
	for _, e := range r.Excluded {
		out[e.Reason] = e.Count
	}
	return out
}

// accounted checks that every value is in a pair or in an exclusion.
func accounted(t *testing.T, series [2]*intake.Series, r *Result) {
	t.Helper()
	values, inputs, excluded := 0, 0, 0
	for _, s := range series {
		values += len(s.Values)
		for _, e := range s.Excluded {
			inputs += e.Count
		}
	}
	for _, e := range r.Excluded {
		excluded += e.Count
	}
	held := 2 * len(r.Pairs)
	if r.Groups != nil {
		held = len(r.Groups.MS[0]) + len(r.Groups.MS[1])
	}
	if held+excluded != values+inputs {
		t.Errorf("%d values in pairs or groups and %d excluded, want %d in all; excluded: %v", held, excluded, values+inputs, r.Excluded)
	}
}

func TestImported_join(t *testing.T) {
	for _, c := range []struct {
		name     string
		a, b     []value
		pairs    []Pair
		excluded map[string]int
		design   Design
	}{
		{
			"by number",
			[]value{{1, 0, 10}, {2, 0, 20}, {4, 0, 40}}, []value{{2, 0, 22}, {3, 0, 33}, {4, 0, 44}},
			[]Pair{{Number: 2, MS: [2]float64{20, 22}}, {Number: 4, MS: [2]float64{40, 44}}},
			map[string]int{onlyBaseline: 1, onlyTest: 1}, Paired,
		},
		{
			"by hash, and a conflict",
			[]value{{1, 1, 10}, {2, 2, 20}}, []value{{1, 1, 11}, {2, 9, 22}},
			[]Pair{{Number: 1, MS: [2]float64{10, 11}}},
			map[string]int{reorged: 2}, Paired,
		},
		{
			"hashes on one side only",
			[]value{{1, 1, 10}, {2, 2, 20}}, []value{{1, 0, 11}, {2, 0, 22}},
			[]Pair{{Number: 1, MS: [2]float64{10, 11}}, {Number: 2, MS: [2]float64{20, 22}}},
			map[string]int{}, Paired,
		},
		{
			"a reorg that both sides saw, in another order",
			[]value{{5, 1, 10}, {5, 2, 20}}, []value{{5, 2, 22}, {5, 1, 11}},
			[]Pair{{Number: 5, MS: [2]float64{10, 11}}, {Number: 5, MS: [2]float64{20, 22}}},
			map[string]int{}, Paired,
		},
		{
			"a reorg that one side saw",
			[]value{{5, 1, 10}, {5, 2, 20}, {6, 3, 30}}, []value{{5, 2, 22}, {6, 3, 33}},
			[]Pair{{Number: 5, MS: [2]float64{20, 22}}, {Number: 6, MS: [2]float64{30, 33}}},
			map[string]int{reorged: 1}, Paired,
		},
		{
			"a reorg and a side that does not tell hashes",
			[]value{{5, 1, 10}, {5, 2, 20}, {6, 3, 30}}, []value{{5, 0, 22}, {6, 0, 33}},
			[]Pair{{Number: 6, MS: [2]float64{30, 33}}},
			map[string]int{ambiguous: 3}, Paired,
		},
		{
			"different chains",
			[]value{{1, 1, 10}, {2, 2, 20}}, []value{{1, 8, 11}, {2, 9, 22}},
			nil, map[string]int{reorged: 4}, Paired,
		},
		{
			"nothing in common",
			[]value{{1, 0, 10}, {2, 0, 20}}, []value{{3, 0, 33}, {4, 0, 44}},
			nil, map[string]int{}, Unpaired,
		},
	} {
		for _, shuffled := range []bool{false, true} {
			a, b := slices.Clone(c.a), slices.Clone(c.b)
			if shuffled {
				slices.Reverse(a)
				slices.Reverse(b)
			}
			series := [2]*intake.Series{imported("a", a...), imported("b", b...)}
			r := compared(t, series, Import{})
			same := func(x, y Pair) bool { return x.Number == y.Number && x.MS == y.MS }
			byMS := func(x, y Pair) int { return int(x.MS[0] - y.MS[0]) }
			slices.SortStableFunc(r.Pairs, byMS)
			if !slices.EqualFunc(r.Pairs, c.pairs, same) {
				t.Errorf("%s (reversed %v): pairs %v, want %v", c.name, shuffled, r.Pairs, c.pairs)
			}
			if got := exclusions(r); fmt.Sprint(got) != fmt.Sprint(c.excluded) {
				t.Errorf("%s (reversed %v): excluded %v, want %v", c.name, shuffled, got, c.excluded)
			}
			if r.Design != c.design {
				t.Errorf("%s: design %s, want %s", c.name, r.Design, c.design)
			}
			accounted(t, series, r)
		}
	}
}

// Blocks, hashes and their order at random: nothing is lost, nothing is made
// up, and the order of the inputs does not matter.
func TestImported_random(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 300 {
		var sides [2][]value
		seen := make(map[[3]uint64]bool)
		for side := range sides {
			hashes := rng.IntN(4) > 0
			for range 1 + rng.IntN(30) {
				v := value{block: uint64(1 + rng.IntN(12)), ms: 1 + 100*rng.Float64()}
				if hashes {
					v.hash = byte(rng.IntN(4)) // 0 is unknown
				}
				key := [3]uint64{uint64(side), v.block, uint64(v.hash)}
				if !seen[key] {
					seen[key] = true
					sides[side] = append(sides[side], v)
				}
			}
		}
		series := [2]*intake.Series{imported("a", sides[0]...), imported("b", sides[1]...)}
		r := compared(t, series, Import{})
		accounted(t, series, r)
		for _, p := range r.Pairs {
			if math.Abs(p.D-math.Log(p.MS[1]/p.MS[0])) > 1e-12 {
				t.Fatalf("pair %+v has another log ratio than its latencies", p)
			}
		}
		for _, side := range sides {
			rng.Shuffle(len(side), func(i, j int) { side[i], side[j] = side[j], side[i] })
		}
		again := compared(t, [2]*intake.Series{imported("a", sides[0]...), imported("b", sides[1]...)}, Import{})
		sorted := func(r *Result) string {
			text := make([]string, 0, len(r.Pairs))
			for _, p := range r.Pairs {
				text = append(text, fmt.Sprint(p))
			}
			slices.Sort(text)
			return fmt.Sprint(text, exclusions(r), r.Design, r.Verdict.Outcome)
		}
		if sorted(r) != sorted(again) {
			t.Fatalf("the order of the input matters:\n%s\n%s", sorted(r), sorted(again))
		}
	}
}

func TestImported_verdicts(t *testing.T) {
	twice := logs(100, 1000, 1)
	twice[1] = imported("copy", func() (values []value) {
		for _, v := range twice[0].Values {
			values = append(values, value{v.Block, 0, v.MS})
		}
		return values
	}()...)
	conflicting := logs(100, 1000, 0.5)
	for side, s := range conflicting {
		s.Hashes = make([]intake.Hash, len(s.Values))
		for i := range s.Hashes {
			s.Hashes[i] = intake.Hash{byte(side + 1), byte(i)}
		}
	}
	apart := [2]*intake.Series{logs(200, 1000, 1)[0], logs(200, 5000, 0.5)[1]}
	for _, c := range []struct {
		name   string
		series [2]*intake.Series
		how    Import
		want   Outcome
		reason string
	}{
		{"faster", logs(100, 1000, 0.5), Import{}, Improves, "larger than the margin"},
		{"slower", logs(100, 1000, 1.5), Import{}, Regresses, "larger than the margin"},
		{"equal", logs(400, 1000, 1), Import{}, NoEffect, "inside the margin"},
		{"79 pairs", logs(79, 1000, 0.5), Import{}, Invalid, "too few pairs: 79, at least 80 are needed"},
		{"80 pairs", logs(80, 1000, 0.5), Import{}, Improves, ""},
		{"one pair", logs(1, 1000, 0.5), Import{}, Invalid, "too few pairs: 1"},
		{"the same twice", twice, Import{}, Invalid, "is it the same measurement twice?"},
		{"the same twice, unpaired", twice, Import{Unpaired: true}, Invalid, "is it the same measurement twice?"},
		{"different chains", conflicting, Import{}, Invalid, "different blocks at all 100 common heights"},
		{"nothing in common", apart, Import{}, Improves, "no block was measured on both sides: the comparison is unpaired"},
		{"unpaired by wish", logs(200, 1000, 0.5), Import{Unpaired: true}, Improves, "because that was asked for"},
		{"unpaired and equal", logs(400, 1000, 1), Import{Unpaired: true}, Inconclusive, "the interval contains 1"},
		{"unpaired and few", logs(79, 1000, 0.1), Import{Unpaired: true}, Inconclusive, "too few blocks for a verdict: 79 on the baseline side"},
		{"one against one", logs(1, 1000, 0.1), Import{Unpaired: true}, Invalid, "cannot be compared"},
	} {
		r := compared(t, c.series, c.how)
		if r.Verdict.Outcome != c.want || !strings.Contains(strings.Join(r.Verdict.Reasons, "\n"), c.reason) {
			t.Errorf("%s: %s %q, want %s with %q", c.name, r.Verdict, r.Verdict.Reasons, c.want, c.reason)
		}
		if !slices.Contains(r.Warnings, Unregistered) {
			t.Errorf("%s: the warnings %q do not say that no rule was registered", c.name, r.Warnings)
		}
		if r.Inputs == nil || r.Inputs[0].Name != c.series[0].Name || r.Inputs[1].Values != len(c.series[1].Values) {
			t.Errorf("%s: inputs %+v", c.name, r.Inputs)
		}
		if math.IsNaN(r.Effect.Center) {
			t.Errorf("%s: the effect is not a number", c.name)
		}
		if r.Design == Unpaired && c.want != Invalid && r.Verdict.Attribution != Confounded {
			t.Errorf("%s: attribution %q of an unpaired comparison", c.name, r.Verdict.Attribution)
		}
		accounted(t, c.series, r)
	}
}

// Exchanging the inputs inverts the effect.
func TestImported_exchange(t *testing.T) {
	series := logs(120, 1000, 0.9)
	for _, unpaired := range []bool{false, true} {
		a := compared(t, series, Import{Unpaired: unpaired}).Effect
		b := compared(t, [2]*intake.Series{series[1], series[0]}, Import{Unpaired: unpaired}).Effect
		if math.Abs(a.Center*b.Center-1) > 1e-9 || math.Abs(a.Low*b.High-1) > 1e-9 {
			t.Errorf("unpaired %v: effects %v and %v are not inverse", unpaired, a, b)
		}
	}
}

func TestImported_says(t *testing.T) {
	series := logs(100, 1000, 0.9)
	series[0].Excluded = []intake.Exclusion{{Reason: intake.Duplicate, Count: 3, Lines: []int{4, 5, 6}, Blocks: []uint64{7, 0, 9}}}
	series[1].Warnings = []string{"the server could not be reached (2 times)"}
	r := compared(t, series, Import{})
	e := r.Excluded[0]
	if e.Reason != "baseline side: "+string(intake.Duplicate) || e.Count != 3 || !slices.Equal(e.Blocks, []uint64{7, 9}) {
		t.Errorf("excluded %+v, want what the input left out", e)
	}
	for _, want := range []string{"test side: the server could not be reached (2 times)", "pairs are blocks of equal number"} {
		if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("warnings %q, want one that begins with %q", r.Warnings, want)
		}
	}
}

func TestImported_refuses(t *testing.T) {
	named := func(network string) *intake.Series {
		s := logs(3, 1, 1)[0]
		s.Network = network
		return s
	}
	batches := logs(3, 1, 1)[1]
	batches.Batches = true
	for _, c := range []struct {
		a, b *intake.Series
		kind fault.Kind
		want string
	}{
		{named("mainnet"), named("hoodi"), fault.Invalid, "a is of network mainnet, a of hoodi"},
		{named(""), batches, fault.Usage, "a holds latencies of blocks, b holds proving times of batches"},
	} {
		_, err := Imported([2]*intake.Series{c.a, c.b}, Import{Rule: DefaultRule()})
		if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Imported = %v (kind %d), want %q of kind %d", err, fault.KindOf(err), c.want, c.kind)
		}
	}
	if _, err := Imported([2]*intake.Series{named("Mainnet"), named("mainnet")}, Import{Rule: DefaultRule()}); err != nil {
		t.Errorf("the case of a network's name matters: %v", err)
	}
}

func TestSeriesOf(t *testing.T) {
	r := records(10, 1)[0]
	r[0].Sample.WarmUp = true
	r[1].Sample.Status = sample.Timeout
	r[2].Sample.TotalNS = 0
	r[3].Sample.Control = sample.TwoPlaces
	r[4].Sample.Hash = "no hash"
	r = append(r, r[5], sample.Record{V: 1, Gap: &sample.Gap{DurationNS: 1}})
	s, err := SeriesOf("a run", "hoodi", r)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, e := range s.Excluded {
		got[string(e.Reason)] = e.Count
	}
	want := map[string]int{"warm-up": 1, "failed: timeout": 1, "a latency that is not positive": 1, string(intake.Duplicate): 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("excluded %v, want %v", got, want)
	}
	if len(s.Values) != 6 || len(s.Hashes) != 6 || s.Lines != 12 || s.Network != "hoodi" {
		t.Errorf("series of %d values, %d hashes, %d lines, network %q", len(s.Values), len(s.Hashes), s.Lines, s.Network)
	}
	if s.Hashes[0] != (intake.Hash{}) || s.Hashes[1] == (intake.Hash{}) {
		t.Errorf("hashes %v, want the first one unknown", s.Hashes[:2])
	}
	if _, err := SeriesOf("a run", "", r[:1]); fault.KindOf(err) != fault.Invalid {
		t.Errorf("SeriesOf of a warm-up = %v, want an invalid input", err)
	}
}

func TestBetween(t *testing.T) {
	side := func(run string, records []sample.Record) Source {
		return Source{Name: "side of " + run, Kind: "run", Run: run, Records: records}
	}
	r := records(100, 0.5)
	for i := range r[0] {
		r[0][i].Sample.Order, r[1][i].Sample.Order = 1+i%2, 2-i%2
	}
	together := between(t, side("x", r[0]), side("x", r[1]))
	if together.Verdict.Outcome != Improves || together.Parity.Equal != 100 || together.Diagnosis.Order.N == 0 {
		t.Errorf("one run: %s, parity %+v, order effect %v", together.Verdict, together.Parity, together.Diagnosis.Order)
	}
	apart := between(t, side("x", r[0]), side("y", r[1]))
	if apart.Verdict.Outcome != Improves || apart.Parity.Equal != 100 || apart.Verdict.Attribution != Unseparated {
		t.Errorf("two runs: %s, parity %+v, attribution %q", apart.Verdict, apart.Parity, apart.Verdict.Attribution)
	}
	if apart.Diagnosis.Order.N != 0 {
		t.Errorf("two runs have an order effect: %v", apart.Diagnosis.Order)
	}
	if r[0][0].Sample.Order != 1 {
		t.Error("the caller's samples were changed")
	}
	if apart.Inputs == nil || apart.Inputs[0].Values != 100 || apart.Inputs[1].Name != "side of y" {
		t.Errorf("inputs %+v", apart.Inputs)
	}

	// A log knows no hashes and pairs by number.
	log := logs(100, 1000, 1)[1]
	mixed := between(t, side("x", r[0]), Source{Name: "log", Series: log})
	if len(mixed.Pairs) != 100 || mixed.Inputs[0].Kind != "run" {
		t.Errorf("run against log: %d pairs, inputs %+v", len(mixed.Pairs), mixed.Inputs)
	}
}

func between(t *testing.T, a, b Source) *Result {
	t.Helper()
	r, err := Between([2]Source{a, b}, Import{Rule: DefaultRule()})
	if err != nil {
		t.Fatalf("Between: %v", err)
	}
	return r
}

// The A/A control of a run says something about that run alone.
func TestBetween_control(t *testing.T) {
	r := records(100, 0.5)
	control := records(60, 1)
	for side := range r {
		for _, rec := range control[side] {
			rec.Sample.Number += 10_000
			rec.Sample.Control = sample.TwoPlaces
			r[side] = append(r[side], rec)
		}
	}
	a, b := Source{Name: "a", Run: "x", Records: r[0]}, Source{Name: "b", Run: "x", Records: r[1]}
	if c := between(t, a, b).Control; c == nil || c.Pairs != 60 {
		t.Errorf("within a run the control is %v, want one of 60 pairs", c)
	}
	b.Run = "y"
	if res := between(t, a, b); res.Control != nil || len(res.Pairs) != 100 {
		t.Errorf("between two runs: control %v, %d pairs", res.Control, len(res.Pairs))
	}
}

// Records without a common block are compared as groups, those of another
// chain at the same heights not at all.
func TestBetween_noCommonBlock(t *testing.T) {
	a, b := records(100, 0.5), records(100, 0.5)
	for _, rec := range b[1] {
		rec.Sample.Number += 10_000
	}
	sources := func() (Source, Source) {
		return Source{Name: "a", Records: a[0]}, Source{Name: "b", Records: b[1]}
	}
	x, y := sources()
	if r := between(t, x, y); r.Design != Unpaired || r.Groups == nil {
		t.Errorf("design %s, want unpaired", r.Design)
	}
	for i, rec := range b[1] {
		rec.Sample.Number -= 10_000
		rec.Sample.Hash = fmt.Sprintf("0x%064x", 1_000_000+i)
		a[0][i].Sample.Hash = fmt.Sprintf("0x%064x", 2_000_000+i)
	}
	x, y = sources()
	if r := between(t, x, y); r.Verdict.Outcome != Invalid || !strings.Contains(r.Verdict.Reasons[0], "followed different chains") {
		t.Errorf("%s %q, want invalid for different chains", r.Verdict, r.Verdict.Reasons)
	}
	_, err := Between([2]Source{{Name: "a", Network: "hoodi", Records: a[0]}, {Name: "b", Network: "mainnet", Records: a[1]}}, Import{Rule: DefaultRule()})
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("Between of two networks = %v, want an invalid comparison", err)
	}
}
