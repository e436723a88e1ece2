package stat

import (
	"math"
	"testing"
)

func span(low, high float64) Interval {
	return Interval{Center: (low + high) / 2, Low: low, High: high, N: 200}
}

func TestDecide(t *testing.T) {
	delta := math.Log1p(0.05)
	none := Interval{}
	cases := []struct {
		name   string
		e      Evidence
		want   Verdict
		live   bool
		beyond bool
	}{
		{"parity comes first", Evidence{Stage: Planned, Pairs: 200, Broken: []string{"digests differ"}, Final: span(-1, -0.5)}, Invalid, false, false},
		{"too few pairs", Evidence{Stage: Planned, Pairs: 79, Final: span(-1, -0.5)}, Invalid, false, false},
		{"too few pairs of a stopped run", Evidence{Stage: Stopped, Pairs: 79}, Invalid, false, false},
		{"few pairs so far", Evidence{Stage: Running, Pairs: 30, Sequence: span(-1, -0.5), Batches: 3}, Inconclusive, false, false},
		{"few proofs are enough when told so", Evidence{Stage: Planned, Pairs: 6, MinPairs: 4, Final: span(-1, -0.5)}, Improves, false, true},
		{"answers not reproducible", Evidence{Stage: Planned, Pairs: 200, Undecidable: []string{"noise"}, Final: span(-1, -0.5)}, Inconclusive, false, false},
		{"sequence decides early", Evidence{Pairs: 90, Batches: 9, Sequence: span(-0.3, -0.01)}, Improves, true, false},
		{"sequence decides against", Evidence{Pairs: 90, Batches: 9, Sequence: span(0.06, 0.3)}, Regresses, true, true},
		{"seven batches decide nothing", Evidence{Pairs: 90, Batches: 7, Sequence: span(0.06, 0.3)}, Inconclusive, false, false},
		{"the final interval is not looked at early", Evidence{Pairs: 90, Batches: 9, Sequence: span(-1, 1), Final: span(-1, -0.5)}, Inconclusive, false, false},
		{"final improves", Evidence{Stage: Planned, Pairs: 200, Sequence: span(-1, 1), Batches: 20, Final: span(-0.2, -0.01), Inner: span(-0.19, -0.02)}, Improves, false, false},
		{"final comes before the sequence", Evidence{Stage: Planned, Pairs: 200, Sequence: span(-0.3, -0.1), Batches: 20, Final: span(-0.2, -0.01)}, Improves, false, false},
		{"final comes before a sequence of the other sign", Evidence{Stage: Planned, Pairs: 200, Sequence: span(0.1, 0.3), Batches: 20, Final: span(-0.2, -0.01)}, Improves, false, false},
		{"the sequence, when final has no direction", Evidence{Stage: Planned, Pairs: 200, Sequence: span(-0.3, -0.1), Batches: 20, Final: span(-0.2, 0.01), Inner: span(-0.04, 0.005)}, Improves, true, true},
		{"the sequence without a final interval", Evidence{Stage: Planned, Pairs: 200, Sequence: span(0.01, 0.3), Batches: 20}, Regresses, true, false},
		{"a short sequence does not stand in", Evidence{Stage: Planned, Pairs: 200, Sequence: span(0.01, 0.3), Batches: 7, Final: span(-0.01, 0.3)}, Inconclusive, false, false},
		{"at the planned pairs the sequence shows no lack of effect", Evidence{Stage: Planned, Pairs: 200, Batches: 20, Sequence: span(-0.04, 0.04), Final: span(-0.06, 0.06), Inner: span(-0.055, 0.055)}, Inconclusive, false, false},
		{"final improves beyond the margin", Evidence{Stage: Planned, Pairs: 200, Final: span(-0.2, -delta-1e-9)}, Improves, false, true},
		{"final regresses", Evidence{Stage: Planned, Pairs: 200, Final: span(1e-9, 0.1)}, Regresses, false, false},
		{"touching zero is no direction", Evidence{Stage: Planned, Pairs: 200, Final: span(0, 0.1), Inner: span(0.01, 0.1)}, Inconclusive, false, false},
		{"no effect", Evidence{Stage: Planned, Pairs: 200, Final: span(-0.05, 0.04), Inner: span(-0.04, 0.03)}, NoEffect, false, false},
		{"touching the margin shows nothing", Evidence{Stage: Planned, Pairs: 200, Final: span(-0.06, 0.06), Inner: span(-0.04, delta)}, Inconclusive, false, false},
		{"no inner interval, no equivalence", Evidence{Stage: Planned, Pairs: 200, Final: span(-0.01, 0.01), Inner: none}, Inconclusive, false, false},
		{"unbounded", Evidence{Stage: Planned, Pairs: 200, Final: span(math.Inf(-1), -0.01)}, Improves, false, false},
		{"no final interval", Evidence{Stage: Planned, Pairs: 200}, Inconclusive, false, false},
		{"extended ignores the final interval", Evidence{Stage: Extended, Pairs: 300, Batches: 30, Sequence: span(-0.06, 0.06), Final: span(-0.2, -0.1)}, Inconclusive, false, false},
		{"extended, no effect", Evidence{Stage: Extended, Pairs: 300, Batches: 30, Sequence: span(-0.04, 0.04)}, NoEffect, true, false},
		{"the sequence shows no effect only when extended", Evidence{Pairs: 190, Batches: 19, Sequence: span(-0.04, 0.04)}, Inconclusive, false, false},
	}
	for _, c := range cases {
		c.e.Margin = 0.05
		got := Decide(c.e)
		if got.Verdict != c.want || got.Live != c.live || got.BeyondMargin != c.beyond {
			t.Errorf("%s: %+v, want %s, live %v, beyond %v", c.name, got, c.want, c.live, c.beyond)
		}
		if (got.Verdict == Invalid || got.Verdict == Inconclusive) == (len(got.Reasons) == 0) {
			t.Errorf("%s: %s with reasons %q", c.name, got.Verdict, got.Reasons)
		}
		// What is printed is what decided.
		decided := c.e.Final
		if got.Live || c.e.Stage != Planned {
			decided = c.e.Sequence
		}
		if got.Verdict != Invalid && (got.Interval.Low != decided.Low || got.Interval.High != decided.High) {
			t.Errorf("%s: the interval is [%v, %v], want [%v, %v]", c.name, got.Interval.Low, got.Interval.High, decided.Low, decided.High)
		}
	}
}
