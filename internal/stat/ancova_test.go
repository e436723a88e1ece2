package stat

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// proofs makes batches whose log time is 0.9 ln gas plus noise, plus effect on
// the test side.
func proofs(z *noise, perSide int, effect float64) []Batch {
	var out []Batch
	for i := range 2 * perSide {
		b := Batch{Test: i%2 == 1, Gas: 20e6 * math.Exp(0.4*z.rng.NormFloat64()), Transactions: 50 + z.rng.IntN(400)}
		y := 0.9*math.Log(b.Gas) - 10 + 0.06*z.rng.NormFloat64()
		if b.Test {
			y += effect
		}
		b.Seconds = math.Exp(y)
		out = append(out, b)
	}
	return out
}

func TestCompareProofs(t *testing.T) {
	z := newNoise(t, 71, 1)
	batches := proofs(z, 25, -0.2)
	got := must(CompareProofs(batches, 0.95, 1))
	if !got.Effect.Contains(-0.2) || got.Effect.High > -0.1 || got.Effect.Kind != KindHC3 {
		t.Errorf("effect %+v, want about -0.2", got.Effect)
	}
	if math.Abs(got.GasSlope-0.9) > 0.15 || got.Permutation > 0.001 || got.Exact {
		t.Errorf("slope %v, permutation p %v (exact %v)", got.GasSlope, got.Permutation, got.Exact)
	}
	if !got.Transactions {
		t.Error("25 batches per side and unrelated transactions: the term is missing")
	}
	if got.Effect.N+got.Outside != 50 {
		t.Errorf("%d used and %d outside of 50", got.Effect.N, got.Outside)
	}
	again := must(CompareProofs(batches, 0.95, 1))
	if again.Permutation != got.Permutation {
		t.Error("the same seed gave another permutation p-value")
	}
}

func TestCompareProofs_transactionsFollowGas(t *testing.T) {
	z := newNoise(t, 72, 1)
	batches := proofs(z, 25, 0)
	for i := range batches {
		batches[i].Transactions = int(batches[i].Gas / 1e5)
	}
	if got := must(CompareProofs(batches, 0.95, 1)); got.Transactions {
		t.Error("transactions that gas determines are in the model")
	}
	if got := must(CompareProofs(proofs(z, 12, 0), 0.95, 1)); got.Transactions {
		t.Error("a term in transactions with 12 batches per side")
	}
}

func TestCompareProofs_support(t *testing.T) {
	z := newNoise(t, 73, 1)
	batches := proofs(z, 10, 0)
	big := batches[0]
	big.Gas, big.Seconds = 1e9, 1000
	got := must(CompareProofs(append(slices.Clone(batches), big), 0.95, 1))
	if got.Outside == 0 || got.Support[1] >= 1e9 || len(got.Effect.Warnings) != 1 {
		t.Errorf("a batch beyond the common gas was used: %+v", got)
	}
	apart := slices.Clone(batches)
	for i := range apart {
		if apart[i].Test {
			apart[i].Gas *= 1000
		}
	}
	if _, err := CompareProofs(apart, 0.95, 1); !errors.Is(err, ErrTooFew) {
		t.Errorf("sides without common gas: error %v, want %v", err, ErrTooFew)
	}
	if _, err := CompareProofs(batches[:6], 0.95, 1); !errors.Is(err, ErrTooFew) {
		t.Errorf("three per side: error %v, want %v", err, ErrTooFew)
	}
	same := slices.Clone(batches)
	for i := range same {
		same[i].Gas = 1e6
	}
	if _, err := CompareProofs(same, 0.95, 1); !errors.Is(err, ErrNoSpread) {
		t.Errorf("equal gas everywhere: error %v, want %v", err, ErrNoSpread)
	}
	same[3].Seconds = math.NaN()
	if _, err := CompareProofs(same, 0.95, 1); !errors.Is(err, ErrNotPositive) {
		t.Errorf("NaN seconds: error %v, want %v", err, ErrNotPositive)
	}
}

// The smallest exact p-values of small sides.
func TestPermute_smallest(t *testing.T) {
	for per, want := range map[int]string{3: "0.10", 4: "0.029", 5: "0.0079"} {
		var residuals []float64
		var test []bool
		for i := range 2 * per {
			residuals = append(residuals, float64(i)+float64(i*i)/100)
			test = append(test, i >= per)
		}
		p, exact := permute(residuals, test, 1)
		printed(t, "p", p, want)
		if !exact {
			t.Errorf("%d per side: not all labelings were tried", per)
		}
	}
}

// Random labelings approach the exact p-value.
func TestPermute_randomAgainstNormal(t *testing.T) {
	z := newNoise(t, 74, 1)
	var residuals []float64
	var test []bool
	for i := range 80 {
		test = append(test, i%2 == 0)
		v := z.rng.NormFloat64()
		if test[i] {
			v += 0.45
		}
		residuals = append(residuals, v)
	}
	p, exact := permute(residuals, test, 9)
	var x, y []float64
	for i, v := range residuals {
		if test[i] {
			x = append(x, v)
		} else {
			y = append(y, v)
		}
	}
	want := must(Welch(x, y, 0.95)).P
	if exact || math.Abs(p-want) > 4*math.Sqrt(want*(1-want)/randomLabelings)+0.005 {
		t.Errorf("p = %v (exact %v), t test %v", p, exact, want)
	}
}

// HC3 does not care about unequal variances; a column that others determine
// is refused.
func TestLeastSquares_refusals(t *testing.T) {
	ones, ramp, y := make([]float64, 8), make([]float64, 8), make([]float64, 8)
	for i := range ones {
		ones[i], ramp[i], y[i] = 1, float64(i), float64(i*i)
	}
	check := func(what string, want error, y []float64, columns ...[]float64) {
		t.Helper()
		if _, err := leastSquares(y, columns); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", what, err, want)
		}
	}
	check("a column twice", ErrNoSpread, y, ones, ramp, ramp)
	check("a perfect fit", ErrNoSpread, ramp, ones, ramp)
	check("more columns than values", ErrTooFew, y[:2], ones[:2], ramp[:2])
	one := make([]float64, 8)
	one[3] = 1
	check("a value of its own", ErrTooFew, y, ones, one)
}
