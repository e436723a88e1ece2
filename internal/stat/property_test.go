package stat

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// draws are small series with and without ties, of even and odd length.
func draws(yield func(d []float64) bool) {
	rng := rand.New(rand.NewPCG(21, 1))
	for rep := range 120 {
		d := make([]float64, 4+rng.IntN(90))
		for i := range d {
			d[i] = 0.2*rng.NormFloat64() + 0.03
			if rep%3 == 0 {
				d[i] = float64(rng.IntN(9)-4) / 8
			}
		}
		if !yield(d) {
			return
		}
	}
}

func mapped(d []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(d))
	for i, v := range d {
		out[i] = f(v)
	}
	return out
}

// walshAverages is the definition, stored and sorted.
func walshAverages(d []float64) []float64 {
	var w []float64
	for i := range d {
		for j := i; j < len(d); j++ {
			w = append(w, d[i]/2+d[j]/2)
		}
	}
	slices.Sort(w)
	return w
}

func TestSums_againstStored(t *testing.T) {
	draws(func(d []float64) bool {
		w := walshAverages(d)
		m := walsh(sortedCopy(d))
		for k := 0; k < len(w); k += 1 + len(w)/23 {
			if got := m.kth(k); got != w[k] {
				t.Fatalf("n = %d: Walsh average %d = %v, want %v", len(d), k, got, w[k])
			}
		}
		near(t, "median", m.median(), Quantile(w, 0.5), 1e-14)
		x, y := sortedCopy(d[:len(d)/3+1]), sortedCopy(d[len(d)/3:])
		var diff []float64
		for _, a := range x {
			for _, b := range y {
				diff = append(diff, a-b)
			}
		}
		slices.Sort(diff)
		dm := differences(x, y)
		for k := 0; k < len(diff); k += 1 + len(diff)/23 {
			if got := dm.kth(k); got != diff[k] {
				t.Fatalf("difference %d = %v, want %v", k, got, diff[k])
			}
		}
		return !t.Failed()
	})
}

// Thousands of rows take several rounds and sampled pivots.
func TestSums_manyRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(22, 1))
	for _, values := range []int{0, 50} {
		d := make([]float64, 3001)
		for i := range d {
			d[i] = rng.ExpFloat64()
			if values > 0 {
				d[i] = float64(rng.IntN(values))
			}
		}
		w := walshAverages(d)
		m := walsh(sortedCopy(d))
		for _, k := range []int{0, 1, len(w) / 1000, len(w) / 2, len(w) - 2, len(w) - 1} {
			if got := m.kth(k); got != w[k] {
				t.Errorf("Walsh average %d = %v, want %v", k, got, w[k])
			}
		}
		if got := m.count(w[500], nil, true); got != upperBound(w, w[500]) {
			t.Errorf("count = %d, want %d", got, upperBound(w, w[500]))
		}
	}
}

func upperBound(sorted []float64, v float64) int {
	n, _ := slices.BinarySearch(sorted, math.Nextafter(v, math.Inf(1)))
	return n
}

func TestHodgesLehmann_equivariant(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 1))
	draws(func(d []float64) bool {
		hl := must(HodgesLehmann(d))
		shuffled := slices.Clone(d)
		rng.Shuffle(len(d), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := must(HodgesLehmann(shuffled)); got != hl {
			t.Errorf("permuted: %v, want %v", got, hl)
		}
		if got := must(HodgesLehmann(mapped(d, func(v float64) float64 { return -v }))); math.Abs(got+hl) > 1e-15 {
			t.Errorf("negated: %v, want %v", got, -hl)
		}
		near(t, "scaled", must(HodgesLehmann(mapped(d, func(v float64) float64 { return 4 * v }))), 4*hl, 1e-14)
		if got := must(HodgesLehmann(mapped(d, func(v float64) float64 { return v + 1 }))); math.Abs(got-1-hl) > 1e-14 {
			t.Errorf("shifted: %v, want %v", got, 1+hl)
		}
		return !t.Failed()
	})
}

// statisticByDefinition is T(th) as written, in quadratic time.
func statisticByDefinition(d []float64, th float64) float64 {
	n := len(d)
	s := make([]float64, n)
	sum := 0.0
	for i, v := range d {
		less, equal := 0, 0
		for _, w := range d {
			switch a, b := math.Abs(v-th), math.Abs(w-th); {
			case b < a:
				less++
			case b == a:
				equal++
			}
		}
		rank := float64(less) + float64(equal+1)/2
		switch {
		case v > th:
			s[i] = rank / float64(n+1)
		case v < th:
			s[i] = -rank / float64(n+1)
		}
		sum += s[i]
	}
	omega := 0.0
	for j := 1; j <= Nu(n); j++ {
		l := 0.0
		for i, v := range s {
			l += v * math.Cos(math.Pi*float64(j)*(float64(i)+0.5)/float64(n))
		}
		omega += l * l * 2 / float64(n) / float64(Nu(n))
	}
	return sum / math.Sqrt(float64(n)*omega)
}

func TestSignedRank_byDefinition(t *testing.T) {
	draws(func(d []float64) bool {
		r := must(NewSignedRank(d))
		for _, th := range []float64{0, 0.03, r.Center(), d[0], (d[0] + d[1]) / 2, -0.5, slices.Min(d), slices.Max(d)} {
			want := statisticByDefinition(d, th)
			if got := r.Statistic(th); math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
				t.Fatalf("n = %d: T(%v) = %v, want %v", len(d), th, got, want)
			}
		}
		return true
	})
}

// An end is where the statistic crosses the critical value: beyond it the test
// rejects, before it it does not.
func TestSignedRank_endsAreCrossings(t *testing.T) {
	bounded := 0
	draws(func(d []float64) bool {
		r := must(NewSignedRank(d))
		v := r.Interval(0.95)
		crit := critical(0.95, r.DF())
		const step = 1e-12
		if !math.IsInf(v.Low, -1) {
			bounded++
			if out, in := r.Statistic(v.Low-step), r.Statistic(v.Low+step); out <= crit || in > crit {
				t.Errorf("n = %d: T is %v below and %v above the low end, critical %v", len(d), out, in, crit)
			}
		} else if r.Statistic(slices.Min(d)) > crit {
			t.Errorf("n = %d: unbounded although the smallest value is rejected", len(d))
		}
		if !math.IsInf(v.High, 1) {
			bounded++
			if out, in := r.Statistic(v.High+step), r.Statistic(v.High-step); out >= -crit || in < -crit {
				t.Errorf("n = %d: T is %v above and %v below the high end, critical %v", len(d), out, in, crit)
			}
		}
		if v.Low > v.Center || v.High < v.Center {
			t.Errorf("the center %v lies outside [%v, %v]", v.Center, v.Low, v.High)
		}
		return !t.Failed()
	})
	if bounded < 100 {
		t.Errorf("only %d ends were bounded", bounded)
	}
}

func TestIntervals_invariances(t *testing.T) {
	same := func(what string, got, want Interval) {
		t.Helper()
		for _, p := range [][2]float64{{got.Center, want.Center}, {got.Low, want.Low}, {got.High, want.High}} {
			if p[0] != p[1] && math.Abs(p[0]-p[1]) > 1e-9*math.Max(1, math.Abs(p[1])) {
				t.Errorf("%s: %v [%v, %v], want %v [%v, %v]", what,
					got.Center, got.Low, got.High, want.Center, want.Low, want.High)
				return
			}
		}
	}
	change := func(v Interval, f func(float64) float64) Interval {
		v.Center, v.Low, v.High = f(v.Center), f(v.Low), f(v.High)
		if v.Low > v.High {
			v.Low, v.High = v.High, v.Low
		}
		return v
	}
	methods := map[string]func(d []float64) Interval{
		"SR-EWC": func(d []float64) Interval { return must(NewSignedRank(d)).Interval(0.9) },
		"t-EWC":  func(d []float64) Interval { return change(must(GeometricMeanRatio(d, 0.9)), math.Log) },
	}
	transforms := map[string]func(float64) float64{
		"negated": func(v float64) float64 { return -v },
		"shifted": func(v float64) float64 { return v + 0.25 },
		"scaled":  func(v float64) float64 { return 2 * v },
	}
	draws(func(d []float64) bool {
		for method, interval := range methods {
			v := interval(d)
			for name, f := range transforms {
				same(method+" "+name, interval(mapped(d, f)), change(v, f))
			}
			reversed := slices.Clone(d)
			slices.Reverse(reversed)
			same(method+" reversed in time", interval(reversed), v)
		}
		return !t.Failed()
	})
}

// Exchanging the sides inverts a ratio; the unit of the latencies cancels.
func TestRatios_invariances(t *testing.T) {
	z := newNoise(t, 31, 1)
	z.draw(6, 120, 0)
	baseline, test := slices.Clone(z.baseline), slices.Clone(z.test)
	ratios := func(a, b []float64) []Interval {
		out := []Interval{must(TotalsRatio(a, b, 0.95))}
		out = append(out, must(QuantileRatios(a, b, []float64{0.5, 0.9}, Bootstrap{Resamples: 400, Seed: 7}))...)
		return out
	}
	same := func(what string, got, want []Interval) {
		t.Helper()
		for k := range got {
			near(t, what+" center", got[k].Center, want[k].Center, 1e-9)
			ends(t, what, got[k], [2]float64{want[k].Low, want[k].High}, 1e-9)
		}
	}
	v := ratios(baseline, test)
	toNS := func(x float64) float64 { return 1e6 * x }
	same("in nanoseconds", ratios(mapped(baseline, toNS), mapped(test, toNS)), v)
	swapped := ratios(test, baseline)
	for k := range swapped {
		s := &swapped[k]
		s.Center, s.Low, s.High = 1/s.Center, 1/s.High, 1/s.Low
	}
	same("sides exchanged", swapped, v)
	again := ratios(baseline, test)
	for k := range v {
		if v[k].Low != again[k].Low || v[k].High != again[k].High {
			t.Error("the same seed gave another interval")
		}
	}
	other := must(QuantileRatios(baseline, test, []float64{0.5}, Bootstrap{Resamples: 400, Seed: 8}))
	if other[0].Low == v[1].Low {
		t.Error("another seed gave the same interval")
	}
}

// A test rejects exactly when the interval of the same level excludes zero,
// and equivalence holds exactly when the inner interval lies inside the
// margin.
func TestSignedRank_testsAgreeWithIntervals(t *testing.T) {
	rejected, equivalent := 0, 0
	draws(func(d []float64) bool {
		r := must(NewSignedRank(d))
		for _, alpha := range []float64{0.04, 0.2} {
			v := r.Interval(1 - alpha)
			if got := v.P < alpha; got == v.Contains(0) {
				t.Errorf("p = %v at alpha %v, interval [%v, %v]", v.P, alpha, v.Low, v.High)
			} else if got {
				rejected++
			}
			inner := r.Interval(1 - 2*alpha)
			for _, delta := range []float64{0.07, 0.15} {
				q := r.Equivalence(delta)
				if q.Equivalent(alpha) != inner.Within(-delta, delta) {
					t.Errorf("equivalence p = %v at alpha %v, inner interval [%v, %v], delta %v", q.P(), alpha, inner.Low, inner.High, delta)
				} else if q.Equivalent(alpha) {
					equivalent++
				}
			}
		}
		return !t.Failed()
	})
	if rejected < 20 || equivalent < 20 {
		t.Errorf("only %d rejections and %d equivalences were seen", rejected, equivalent)
	}
}

// allIntervals runs everything that takes a series of log ratios or a pair of
// series of latencies.
func allIntervals(d, baseline, test []float64) (vs []Interval, errs []error) {
	add := func(v Interval, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		vs = append(vs, v)
	}
	add(GeometricMeanRatio(d, 0.95))
	add(ExactSignedRank(d[:min(len(d), 49)], 0.95))
	add(PairedT(d, 0.95))
	if r, err := NewSignedRank(d); err != nil {
		errs = append(errs, err)
	} else {
		v := r.Interval(0.95)
		vs = append(vs, v, v.Exp(), r.Interval(0.9999999), r.Interval(1), r.Interval(math.NaN()))
		if q := r.Equivalence(0.05); math.IsNaN(q.P()) || math.IsNaN(r.Equivalence(math.NaN()).P()) {
			errs = append(errs, errors.New("equivalence is NaN"))
		}
		c, err := Correct(v, r.Interval(0.9), 0.95)
		add(c, err)
	}
	if s, err := CombineSessions([]Session{{D: d}, {D: d, Swapped: true}, {D: d}}, 0.95); err != nil {
		errs = append(errs, err)
	} else {
		vs = append(vs, s.Effect, s.Blocks, s.Host)
	}
	if g, err := Diagnose(d, 0.95); err != nil {
		errs = append(errs, err)
	} else {
		vs = append(vs, g.Drift)
		vs = append(vs, Interval{Center: g.ACF1 + g.VarianceRatio + g.OutlierShare + g.ZeroShare, Low: math.Inf(-1), High: math.Inf(1)})
	}
	live, err := NewLive(LiveOptions{Alpha: 0.05, PlannedPairs: 20, Batch: 2})
	if err != nil {
		errs = append(errs, err)
	} else {
		for _, x := range d {
			if _, err := live.Add(x, false); err != nil {
				errs = append(errs, err)
				break
			}
			vs = append(vs, live.Interval())
		}
	}
	add(TotalsRatio(baseline, test, 0.95))
	add(GasSlope(d, baseline, 0.95))
	add(Shift(test, baseline, 0.95))
	add(Welch(test, baseline, 0.95))
	add(QuantileInterval(sortedCopy(baseline), 0.9, 0.95))
	if q, err := QuantileRatios(baseline, test, []float64{0.5, 0.95}, Bootstrap{Resamples: 50}); err != nil {
		errs = append(errs, err)
	} else {
		vs = append(vs, q...)
	}
	first := make([]bool, len(d))
	for i := range first {
		first[i] = i%2 == 0
	}
	add(OrderEffect(d, first, 0.95))
	var batches []Batch
	for i := range min(len(baseline), len(test)) {
		batches = append(batches, Batch{Seconds: baseline[i], Gas: float64(i + 1)}, Batch{Test: true, Seconds: test[i], Gas: float64(i + 1)})
	}
	if a, err := CompareProofs(batches[:min(16, len(batches))], 0.95, 1); err != nil {
		errs = append(errs, err)
	} else {
		vs = append(vs, a.Effect, a.Classic)
	}
	return vs, errs
}

// sound reports what is wrong with an interval that is shown to a person.
func sound(v Interval) string {
	switch {
	case math.IsNaN(v.Center) || math.IsNaN(v.Low) || math.IsNaN(v.High):
		return "NaN"
	case math.IsInf(v.Center, 0) && v.Unit != UnitRatio:
		return "infinite center"
	case v.Center < v.Low-1e-9*math.Abs(v.Low) && v.Kind != KindBootstrap,
		v.Center > v.High+1e-9*math.Abs(v.High) && v.Kind != KindBootstrap:
		return "the center lies outside"
	case v.Low > v.High:
		return "the ends are exchanged"
	case math.IsNaN(v.P) && v.Kind != KindOrder:
		return "p is NaN"
	case !math.IsNaN(v.P) && (v.P < 0 || v.P > 1):
		return "p is no probability"
	case math.IsNaN(v.DF):
		return "the degrees of freedom are NaN"
	}
	return ""
}

func TestEdges(t *testing.T) {
	ulp := math.Nextafter(1, 2)
	repeat := func(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }
	alternating := func(a, b float64, n int) []float64 {
		x := repeat(a, n)
		for i := 1; i < n; i += 2 {
			x[i] = b
		}
		return x
	}
	ramp := make([]float64, 100)
	for i := range ramp {
		ramp[i] = float64(i + 1)
	}
	cases := map[string]struct {
		d    []float64
		want error // that every method gives; nil when some give intervals
	}{
		"none":         {nil, ErrTooFew},
		"one":          {[]float64{1}, nil},
		"two":          {[]float64{1, 2}, nil},
		"three":        {[]float64{1, 2, 4}, nil},
		"four":         {[]float64{1, 2, 4, 3}, nil},
		"all zero":     {repeat(0, 100), nil},
		"all equal":    {repeat(0.1, 100), nil},
		"one differs":  {append(repeat(1, 99), 2), nil},
		"one ulp":      {append(repeat(1, 99), ulp), nil},
		"ulps":         {alternating(1, ulp, 100), nil},
		"alternating":  {alternating(-1, 1, 100), nil},
		"ramp":         {ramp, nil},
		"NaN":          {append(repeat(1, 99), math.NaN()), nil},
		"Inf":          {append(repeat(1, 99), math.Inf(1)), nil},
		"huge":         {alternating(1e300, 1, 100), nil},
		"large":        {alternating(1e99, 1, 100), nil},
		"subnormal":    {alternating(5e-324, 1e-323, 100), nil},
		"negative":     {mapped(ramp, func(v float64) float64 { return -v }), nil},
		"mixed scales": {alternating(1e-200, 1e100, 101), nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			kept := slices.Clone(c.d)
			vs, errs := allIntervals(c.d, c.d, mapped(c.d, func(v float64) float64 { return 2 * v }))
			for _, v := range vs {
				if wrong := sound(v); wrong != "" {
					t.Errorf("%s: %+v", wrong, v)
				}
			}
			for _, err := range errs {
				if c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
			}
			if len(vs)+len(errs) == 0 {
				t.Error("nothing was computed")
			}
			for i := range kept {
				if kept[i] != c.d[i] && !math.IsNaN(kept[i]) {
					t.Fatal("the argument was changed")
				}
			}
		})
	}
}

// A series without spread supports no interval, whatever the method.
func TestNoSpread(t *testing.T) {
	for _, v := range []float64{0, 0.1, -3} {
		d := slices.Repeat([]float64{v}, 100)
		check := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, ErrNoSpread) {
				t.Errorf("%s of constant %v: error %v, want %v", what, v, err, ErrNoSpread)
			}
		}
		_, err := GeometricMeanRatio(d, 0.95)
		check("t-EWC", err)
		_, err = MeanEquivalence(d, 0.05)
		check("equivalence", err)
		_, err = NewSignedRank(d)
		check("SR-EWC", err)
		_, err = PairedT(d, 0.95)
		check("paired t", err)
		_, err = ExactSignedRank(d[:20], 0.95)
		check("exact signed rank", err)
		ms := slices.Repeat([]float64{7}, 100)
		_, err = TotalsRatio(ms, ms, 0.95)
		check("totals", err)
		_, err = QuantileRatios(ms, ms, []float64{0.5}, Bootstrap{})
		check("quantiles", err)
		_, err = Shift(ms, ms, 0.95)
		check("shift", err)
		_, err = Welch(ms, ms, 0.95)
		check("welch", err)
	}
}

// FuzzIntervals feeds arbitrary bit patterns to everything: no panic, no
// endless loop, no NaN as a result.
func FuzzIntervals(f *testing.F) {
	seed := func(x ...float64) {
		var b []byte
		for _, v := range x {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		f.Add(b)
	}
	seed(1, 2, 4, 3, 5, 0.1, 7, 9, 2, 2)
	seed(1, 1, 1, 1, 1, 1)
	seed(1e99, -1e99, 1e-300, 5e-324, 0, 3)
	seed(math.NaN(), math.Inf(1))
	seed(newNoise(f, 32, 1).draw(6, 40, 0.1)...)
	f.Fuzz(func(t *testing.T, b []byte) {
		var d []float64
		for len(b) >= 8 && len(d) < 60 {
			d = append(d, math.Float64frombits(binary.LittleEndian.Uint64(b)))
			b = b[8:]
		}
		latency := mapped(d, math.Abs)
		reversed := slices.Clone(latency)
		slices.Reverse(reversed)
		vs, _ := allIntervals(d, latency, reversed)
		for _, v := range vs {
			if wrong := sound(v); wrong != "" {
				t.Errorf("%s: %+v of %v", wrong, v, d)
			}
		}
	})
}
