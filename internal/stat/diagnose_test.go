package stat

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestDiagnose(t *testing.T) {
	z := newNoise(t, 81, 1)
	warns := func(g Diagnostics, about string) bool {
		return slices.ContainsFunc(g.Warnings, func(w string) bool { return strings.Contains(w, about) })
	}
	calm := must(Diagnose(z.draw(1, 400, 0.1), 0.95))
	if len(calm.Warnings) != 0 || calm.Drift.N != 400 || math.Abs(calm.VarianceRatio-1) > 0.9 {
		t.Errorf("independent noise: %+v", calm)
	}
	if g := must(Diagnose(z.draw(4, 400, 0), 0.95)); !warns(g, "correlate") || !warns(g, "long-run variance") {
		t.Errorf("AR(0.6): %+v", g)
	}
	d := slices.Clone(z.draw(1, 400, 0))
	for i := 200; i < 400; i++ {
		d[i] += 0.2
	}
	if g := must(Diagnose(d, 0.95)); !warns(g, "drifts: from the first half to the second the ratio changes by the factor "+asRatio(g.Drift)) || math.Abs(g.Drift.Center-0.2) > 0.05 {
		t.Errorf("a step in the middle: %+v", g)
	}
	d = slices.Clone(z.draw(1, 400, 0))
	for i := range 8 {
		d[50*i] = -5
	}
	d[77] = 9
	if g := must(Diagnose(d, 0.95)); !warns(g, "outliers") || g.Largest != 77 || math.Abs(g.OutlierShare-9.0/400) > 1e-9 {
		t.Errorf("nine outliers: %+v", g)
	}
	d = slices.Clone(z.draw(1, 400, 0))
	for i := range 40 {
		d[10*i] = 0
	}
	if g := must(Diagnose(d, 0.95)); !warns(g, "no difference") || math.Abs(g.ZeroShare-0.1) > 1e-9 {
		t.Errorf("one in ten is zero: %+v", g)
	}
	if g := must(Diagnose([]float64{1}, 0.95)); g.Drift.N != 0 || g.ACF1 != 0 {
		t.Errorf("one value: %+v", g)
	}
	if _, err := Diagnose(nil, 0.95); !errors.Is(err, ErrTooFew) {
		t.Errorf("no values: error %v", err)
	}
}

func TestOrderEffect(t *testing.T) {
	z := newNoise(t, 82, 1)
	d := slices.Clone(z.draw(1, 300, 0))
	first := make([]bool, len(d))
	for i := range first {
		first[i] = z.rng.IntN(2) == 0
	}
	if v := must(OrderEffect(d, first, 0.999)); !v.Contains(0) || len(v.Warnings) != 0 {
		t.Errorf("no order effect: %+v", v)
	}
	for i := range d {
		if first[i] {
			d[i] += 0.15
		}
	}
	if v := must(OrderEffect(d, first, 0.95)); !v.Contains(0.15) || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], asRatio(v)) {
		t.Errorf("an order effect of 0.15: %+v", v)
	}
	if _, err := OrderEffect(d, first[1:], 0.95); !errors.Is(err, ErrLengths) {
		t.Errorf("unequal lengths: error %v", err)
	}
}

func TestWholeMilliseconds(t *testing.T) {
	for _, c := range []struct {
		ms   []float64
		want bool
	}{
		{nil, false},
		{[]float64{131, 0, 7}, true},
		{[]float64{131, 7.000001}, false},
	} {
		if got := WholeMilliseconds(c.ms); got != c.want {
			t.Errorf("WholeMilliseconds(%v) = %v", c.ms, got)
		}
	}
}

func TestAsRatio(t *testing.T) {
	v := Interval{Center: math.Log(1.25), Low: math.Log(1.1), High: math.Inf(1), Confidence: 0.95}
	if got := asRatio(v); got != "1.25 [1.1, unbounded] (95 % interval)" {
		t.Errorf("asRatio = %q", got)
	}
}

func TestSmallBlocks(t *testing.T) {
	baseline := []float64{100, 100, 100, 10, 100}
	test := []float64{90, 90, 90, 10, 15}
	share, ratio, warning, err := SmallBlocks(baseline, test, 20)
	const want = "on 40 % of the blocks a side answers in under 20 ms: the fixed cost of a request weighs in the ratio"
	if err != nil || math.Abs(share-0.4) > 1e-12 || math.Abs(ratio-0.9) > 1e-12 || warning != want {
		t.Errorf("share %v, ratio %v, warning %q, error %v", share, ratio, warning, err)
	}
	share, ratio, warning, err = SmallBlocks(baseline, test, 1)
	if err != nil || share != 0 || ratio == 0 || warning != "" {
		t.Errorf("nothing is small: share %v, ratio %v, warning %q, error %v", share, ratio, warning, err)
	}
	if share, ratio, _, _ := SmallBlocks(baseline, test, 1e6); share != 1 || ratio != 0 {
		t.Errorf("all are small: share %v, ratio %v", share, ratio)
	}
}

func TestSignsDiffer(t *testing.T) {
	for _, c := range []struct {
		center, totals float64
		want           bool
	}{{-0.1, 1.1, true}, {0.1, 0.9, true}, {-0.1, 0.9, false}, {0.1, 1.1, false}, {0, 1.1, false}} {
		if got := SignsDiffer(c.center, c.totals); got != c.want {
			t.Errorf("SignsDiffer(%v, %v) = %v", c.center, c.totals, got)
		}
	}
}

// The slope of an effect that grows with gas is found, and is zero when it
// does not.
func TestGasSlope(t *testing.T) {
	z := newNoise(t, 83, 1)
	d := slices.Clone(z.draw(1, 300, 0))
	gas := make([]float64, len(d))
	for i := range gas {
		gas[i] = 15e6 * math.Exp(0.5*z.rng.NormFloat64())
	}
	if v := must(GasSlope(d, gas, 0.999)); !v.Contains(0) {
		t.Errorf("no slope: %+v", v)
	}
	for i := range d {
		d[i] += 0.2 * math.Log(gas[i]/15e6)
	}
	if v := must(GasSlope(d, gas, 0.99)); !v.Contains(0.2) || v.Contains(0) || v.Unit != UnitSlope {
		t.Errorf("a slope of 0.2: %+v", v)
	}
	if _, err := GasSlope(d, slices.Repeat([]float64{1e6}, len(d)), 0.95); !errors.Is(err, ErrNoSpread) {
		t.Errorf("constant gas: error %v", err)
	}
}

func TestPower_edges(t *testing.T) {
	if n := PairsToDetect(0, 0.05, 0.04, 0.8); n != MinPairs {
		t.Errorf("no noise needs %d pairs, want the minimum", n)
	}
	for _, c := range [][4]float64{{0.1, 0, 0.04, 0.8}, {math.Inf(1), 0.05, 0.04, 0.8}, {math.NaN(), 0.05, 0.04, 0.8}, {0.1, 0.05, 0, 0.8}, {0.1, 0.05, 0.04, 1}} {
		if n := PairsToDetect(c[0], c[1], c[2], c[3]); n != 0 {
			t.Errorf("PairsToDetect(%v) = %d, want 0", c, n)
		}
		if n := PairsToEquate(c[0], c[1], c[2], c[3]); n != 0 {
			t.Errorf("PairsToEquate(%v) = %d, want 0", c, n)
		}
	}
	if a, b := PairsToDetect(0.15, math.Log(1.03), 0.04, 0.8), PairsToDetect(0.15, -math.Log(1.03), 0.04, 0.8); a != b {
		t.Errorf("%d pairs to see an effect, %d to see its opposite", a, b)
	}
	for _, c := range [][4]float64{{0, 1, 0.05, 0.8}, {1, 0, 0.05, 0.8}, {1, 1, 0, 0.8}, {1, 1, 0.05, 1}, {math.NaN(), 1, 0.05, 0.8}} {
		if n := SampleSizeT(c[0], c[1], c[2], c[3], 1); n != 0 {
			t.Errorf("SampleSizeT(%v) = %v, want 0", c, n)
		}
	}
	if p := McNemar(0, 0); p != 1 {
		t.Errorf("McNemar(0, 0) = %v", p)
	}
	if got := Holm(nil); len(got) != 0 {
		t.Errorf("Holm(nil) = %v", got)
	}
	if _, err := LanDeMets(0.05, []float64{0.5, 0.4}, Pocock); err == nil {
		t.Error("looks out of order were taken")
	}
	if _, err := LanDeMets(0.05, nil, Pocock); err == nil {
		t.Error("no looks were taken")
	}
}
