package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/intake"
)

// The published series give the table of their README, to its digits.
func TestImported_published(t *testing.T) {
	read := func(name string) *intake.Series {
		path := filepath.Join("..", "intake", "testdata", name+".csv")
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		s, err := intake.Read(path, file)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		test, baseline, want string
	}{
		{"pre-serialized", "pre-generated", "8115.5 2.971e-19 -39 [-46, -32] 0.699 [0.654, 0.748] 0.717 [0.646, 0.794] 0.715 0.692 0.768 15.8"},
		{"pre-generated", "on-demand", "3658.0 2.861e-35 -98 [-112, -86] 0.564 [0.525, 0.603] 0.531 [0.480, 0.586] 0.540 0.580 0.882 15.2"},
		{"pre-serialized", "on-demand", "1632.5 6.682e-52 -136 [-148, -125] 0.392 [0.364, 0.421] 0.380 [0.348, 0.415] 0.386 0.402 0.953 13.4"},
	} {
		r := compared(t, [2]*intake.Series{read(c.baseline), read(c.test)}, Import{})
		g := r.Groups
		got := fmt.Sprintf("%.1f %.3e %g [%g, %g] %.3f [%.3f, %.3f] %.3f [%.3f, %.3f] %.3f %.3f %.3f %.1f",
			g.RankSum.U, g.RankSum.P, g.Shift.Center, g.Shift.Low, g.Shift.High,
			g.Typical.Center, g.Typical.Low, g.Typical.High, g.Mean.Center, g.Mean.Low, g.Mean.High,
			g.MeanRatio, g.MedianRatio, g.RankSum.Faster, 100*g.MDE)
		if got != c.want {
			t.Errorf("%s against %s:\n%s, want\n%s", c.test, c.baseline, got, c.want)
		}
		if r.Verdict.Outcome != Improves || !r.Verdict.ClearsMargin || r.Design != Unpaired || !strings.Contains(g.Why, "unpaired") {
			t.Errorf("%s against %s: %s, design %s, %q", c.test, c.baseline, r.Verdict, r.Design, g.Why)
		}
	}
}

// proofs makes a series of n proofs whose time grows with gas, at factor of
// what the gas asks for.
func proofs(name string, n int, seed uint64, factor float64) *intake.Series {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := &intake.Series{Kind: intake.ProverLog, Name: name, Numbered: true, Batches: true, Lines: n}
	for i := range n {
		gas := 20e6 * math.Exp(0.3*rng.NormFloat64())
		ms := 2000 * factor * math.Pow(gas/1e6, 0.9) * math.Exp(0.02*rng.NormFloat64())
		s.Values = append(s.Values, intake.Value{Block: uint64(i + 1), MS: ms})
		s.Work = append(s.Work, intake.Work{Gas: uint64(gas), Txs: uint32(gas / 21000), Blocks: 1})
	}
	return s
}

// same gives a second prover the batches of the first.
func same(s *intake.Series, factor float64) *intake.Series {
	rng := rand.New(rand.NewPCG(99, 1))
	other := *s
	other.Name = "test"
	other.Values = nil
	for _, v := range s.Values {
		v.MS *= factor * math.Exp(0.02*rng.NormFloat64())
		other.Values = append(other.Values, v)
	}
	return &other
}

func TestImported_pairedProofs(t *testing.T) {
	for _, c := range []struct {
		n      int
		factor float64
		want   Outcome
		kind   string
		reason string
	}{
		{3, 0.5, Invalid, "", "too few pairs: 3, at least 4 are needed"},
		{4, 0.5, Inconclusive, "paired t", "4 pairs of proofs"},
		{5, 0.5, Inconclusive, "paired t", "no rank test can reach a level of 0.05"},
		{6, 0.5, Improves, "exact", "larger than the margin"},
		{6, 2, Regresses, "exact", "larger than the margin"},
		{6, 1, Inconclusive, "exact", "too wide"},
		{49, 0.5, Improves, "exact", ""},
		{49, 1, NoEffect, "exact", "inside the margin"},
		{50, 0.5, Improves, "SR-EWC", ""},
		{50, 1, NoEffect, "SR-EWC", "inside the margin"},
	} {
		base := proofs("baseline", c.n, 5, 1)
		r := compared(t, [2]*intake.Series{base, same(base, c.factor)}, Import{SameBatches: true})
		if r.Verdict.Outcome != c.want || !strings.Contains(strings.Join(r.Verdict.Reasons, "\n"), c.reason) {
			t.Errorf("%d batches at %v: %s %q, want %s with %q", c.n, c.factor, r.Verdict, r.Verdict.Reasons, c.want, c.reason)
		}
		if !strings.Contains(strings.ToLower(r.Estimates.Typical.Kind), strings.ToLower(c.kind)) {
			t.Errorf("%d batches: interval of kind %q, want %q", c.n, r.Estimates.Typical.Kind, c.kind)
		}
		if c.want != Invalid && (r.Estimates.Typical.Center < c.factor*0.97 || r.Estimates.Typical.Center > c.factor*1.03) {
			t.Errorf("%d batches at %v: typical effect %v", c.n, c.factor, r.Estimates.Typical)
		}
		if len(r.Estimates.Looks) > 0 {
			t.Errorf("%d batches: proving times are analyzed once, and there are %d looks", c.n, len(r.Estimates.Looks))
		}
		if len(r.Batches[0]) != c.n || r.Batches[0][0].Gas == 0 || r.Subject != Proof {
			t.Errorf("%d batches: subject %s, batches %+v", c.n, r.Subject, r.Batches[0])
		}
	}
}

// T13: the vector's data through the whole comparison. Two of its batches lie
// outside the common range of gas; the expected numbers were computed without
// them by a second implementation.
func TestImported_proofVector(t *testing.T) {
	gas := []float64{12.1, 18.4, 29.9, 7.5, 35.2, 22.0, 14.6, 31.3, 9.8, 26.7, 19.9, 33.4}
	seconds := []float64{151, 214, 330, 101, 395, 256, 160, 318, 113, 282, 214, 341}
	var series [2]*intake.Series
	for side := range series {
		s := &intake.Series{Kind: intake.ProverLog, Name: "side", Numbered: true, Batches: true}
		for i := range 6 {
			s.Values = append(s.Values, intake.Value{Block: uint64(i + 1), MS: 1000 * seconds[6*side+i]})
			s.Work = append(s.Work, intake.Work{Gas: uint64(1e6*gas[6*side+i] + 0.5)})
		}
		series[side] = s
	}
	r := compared(t, series, Import{})
	p := r.Groups.Proofs
	if p == nil || p.Outside != 2 || p.Effect.N != 10 {
		t.Fatalf("proofs %+v, want 10 inside the common range of gas", p)
	}
	for _, c := range [][2]float64{
		{r.Effect.Center, 0.9201938542946612}, {r.Effect.Low, 0.89852937817873}, {r.Effect.High, 0.9423806834207178},
		{p.GasSlope, 0.893607066595647},
	} {
		if math.Abs(c[0]-c[1]) > 1e-9 {
			t.Errorf("got %v, want %v; effect %v", c[0], c[1], r.Effect)
		}
	}
	if r.Verdict.Outcome != Improves || !strings.Contains(r.Verdict.Attribution, "gas is taken into account") {
		t.Errorf("%s, %q, want improves at equal gas", r.Verdict, r.Verdict.Attribution)
	}
	if len(r.Groups.Why) == 0 || !strings.Contains(r.Verdict.Reasons[0], "do not show that equal numbers are equal batches") {
		t.Errorf("reasons %q, want why it is unpaired", r.Verdict.Reasons)
	}
}

func TestImported_unpairedProofs(t *testing.T) {
	without := func(s *intake.Series) *intake.Series {
		s.Work = nil
		return s
	}
	unknown := func(s *intake.Series, n int) *intake.Series {
		for i := range n {
			s.Work[i] = intake.Work{}
		}
		return s
	}
	for _, c := range []struct {
		name   string
		series [2]*intake.Series
		want   Outcome
		reason string
		gas    bool
	}{
		{"faster at equal gas", [2]*intake.Series{proofs("a", 25, 1, 1), proofs("b", 25, 2, 0.8)}, Improves, "", true},
		{"slower at equal gas", [2]*intake.Series{proofs("a", 25, 1, 1), proofs("b", 25, 2, 1.2)}, Regresses, "", true},
		{"equal at equal gas", [2]*intake.Series{proofs("a", 60, 1, 1), proofs("b", 60, 2, 1)}, NoEffect, "inside the margin", true},
		{"without gas", [2]*intake.Series{without(proofs("a", 25, 1, 1)), proofs("b", 25, 2, 0.9)}, Inconclusive, "size, content and time are confounded", false},
		{"without gas, much faster", [2]*intake.Series{proofs("a", 25, 1, 1), without(proofs("b", 25, 2, 0.3))}, Improves, "size, content and time are confounded", false},
		{"too few", [2]*intake.Series{proofs("a", 25, 1, 1), proofs("b", 3, 2, 0.5)}, Invalid, "too few batches on the test side: 3, at least 4 are needed", false},
		{"too few with gas", [2]*intake.Series{proofs("a", 25, 1, 1), unknown(proofs("b", 6, 2, 0.5), 3)}, Invalid, "cannot be compared at equal gas", false},
	} {
		r := compared(t, c.series, Import{})
		if r.Verdict.Outcome != c.want || !strings.Contains(strings.Join(r.Verdict.Reasons, "\n"), c.reason) {
			t.Errorf("%s: %s %q, effect %v, want %s with %q", c.name, r.Verdict, r.Verdict.Reasons, r.Effect, c.want, c.reason)
		}
		if (r.Groups.Proofs != nil) != c.gas {
			t.Errorf("%s: analysis at equal gas %v, want %v", c.name, r.Groups.Proofs != nil, c.gas)
		}
	}
}

// Proofs that are not like the others are left out by name, and only where
// there are batches.
func TestImported_leavesOut(t *testing.T) {
	base := proofs("a", 30, 1, 1)
	base.Values[0].Flags |= intake.SetUp
	base.Values[3].Flags |= intake.Empty
	base.Values[5].Flags |= intake.Repeated
	test := proofs("b", 30, 2, 0.8)
	test.Work[7].Gas = 0
	series := [2]*intake.Series{base, test}
	r := compared(t, series, Import{})
	want := map[string]int{
		"baseline side: first proof of the process, which pays for setting up": 1,
		"baseline side: batch without gas and transactions":                    1,
		"test side: batch without a known gas":                                 1,
	}
	if got := exclusions(r); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("excluded %v, want %v", got, want)
	}
	if a, b := len(r.Groups.MS[0]), len(r.Groups.MS[1]); a != 28 || b != 30 {
		t.Errorf("%d and %d proofs compared, want 28 and 30", a, b)
	}
	blocks := logs(100, 1, 1)
	blocks[0].Values[0].Flags |= intake.SetUp | intake.FarBehind
	if r := compared(t, blocks, Import{}); len(r.Pairs) != 100 {
		t.Errorf("%d pairs, want all 100: flags of proofs mean nothing for blocks", len(r.Pairs))
	}
}

// Benchmarks that were merely repeated have no numbers to pair by.
func TestImported_unnumbered(t *testing.T) {
	series := logs(100, 1, 0.5)
	series[1].Numbered = false
	r := compared(t, series, Import{})
	if r.Design != Unpaired || !strings.Contains(r.Groups.Why, "does not number its measurements") {
		t.Errorf("design %s, %+v, want an unpaired comparison", r.Design, r.Groups)
	}
}
