package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// models are the noise models of the simulations: log ratios without an
// effect.
const models = 9

// noise draws from the models. It serves one goroutine.
type noise struct {
	rng                    *rand.Rand
	onDemand, preGenerated []float64
	baseline, test         []float64
	d, latency, a, b       []float64
}

func newNoise(t testing.TB, seed, stream uint64) *noise {
	return &noise{
		rng:      rand.New(rand.NewPCG(seed, stream)),
		onDemand: series(t, "on-demand"), preGenerated: series(t, "pre-generated"),
	}
}

// draw returns n log ratios of model M1 to M9 with the effect added on the log
// scale. They are valid until the next draw. For M6 to M8 the latencies behind
// them are in z.baseline and z.test, without the effect.
func (z *noise) draw(model, n int, effect float64) []float64 {
	z.d = resize(z.d, n)
	switch model {
	case 1:
		for i := range z.d {
			z.d[i] = 0.15 * z.rng.NormFloat64()
		}
	case 2:
		for i := range z.d {
			z.d[i] = 0.15 / math.Sqrt(3) * z.student(3)
		}
	case 3, 4, 5:
		rho := [3]float64{0.3, 0.6, -0.2}[model-3]
		z.autoregress(z.d, rho, z.rng.NormFloat64)
		for i := range z.d {
			z.d[i] *= 0.15
		}
	case 6:
		z.sides(z.onDemand, 0, false)
	case 7:
		z.sides(z.preGenerated, 0, true)
	case 8:
		z.sides(z.preGenerated, 0.5, true)
	case 9:
		z.autoregress(z.d, 0.2, func() float64 { return z.student(4) / math.Sqrt2 })
		for i := range z.d {
			z.d[i] *= 0.058
		}
	default:
		panic(fmt.Sprintf("no model M%d", model))
	}
	for i := range z.d {
		z.d[i] += effect
	}
	return z.d
}

func resize(x []float64, n int) []float64 {
	if cap(x) < n {
		return make([]float64, n)
	}
	return x[:n]
}

// student is a t variate.
func (z *noise) student(df int) float64 {
	chi2 := 0.0
	for range df {
		v := z.rng.NormFloat64()
		chi2 += v * v
	}
	return z.rng.NormFloat64() / math.Sqrt(chi2/float64(df))
}

// autoregress fills x with AR(rho): e_1 = z_1,
// e_i = rho e_{i-1} + sqrt(1-rho²) z_i.
func (z *noise) autoregress(x []float64, rho float64, innovation func() float64) {
	for i := range x {
		v := innovation()
		if i > 0 {
			v = rho*x[i-1] + math.Sqrt(1-rho*rho)*v
		}
		x[i] = v
	}
}

// sides fills d from two sides that see the same blocks: the published
// latencies in runs of twenty, each side with its own noise, stalls and fixed
// cost.
func (z *noise) sides(published []float64, rho float64, rounded bool) {
	n := len(z.d)
	z.latency = z.latency[:0]
	for len(z.latency) < n {
		start := z.rng.IntN(len(published) - 20 + 1)
		z.latency = append(z.latency, published[start:start+20]...)
	}
	z.a, z.b = resize(z.a, n), resize(z.b, n)
	z.baseline, z.test = resize(z.baseline, n), resize(z.test, n)
	z.autoregress(z.a, rho, z.rng.NormFloat64)
	z.autoregress(z.b, rho, z.rng.NormFloat64)
	one := func(latency, e float64) float64 {
		y := latency*math.Exp(0.08*e+z.stall()) + 2*z.rng.ExpFloat64()
		if rounded {
			y = math.Max(1, math.Round(y))
		}
		return y
	}
	for i := range z.d {
		z.baseline[i] = one(z.latency[i], z.a[i])
		z.test[i] = one(z.latency[i], z.b[i])
		z.d[i] = math.Log(z.test[i] / z.baseline[i])
	}
}

// stall is ln(1+E) for one request in 25, else 0.
func (z *noise) stall() float64 {
	if z.rng.Float64() < 0.04 {
		return math.Log1p(z.rng.ExpFloat64())
	}
	return 0
}

// The simulator itself: what the models are said to look like.
func TestNoise_models(t *testing.T) {
	z := newNoise(t, 11, 1)
	const n = 20000
	check := func(model int, sd, acf1, tolerance float64) {
		t.Helper()
		d := z.draw(model, n, 0)
		m, s := meanSD(d)
		if math.Abs(m) > 4*s/math.Sqrt(n)*2 {
			t.Errorf("M%d: mean %v with sd %v", model, m, s)
		}
		if sd > 0 && math.Abs(s/sd-1) > tolerance {
			t.Errorf("M%d: sd %.4f, want %.4f", model, s, sd)
		}
		if got := ACF(d, 1); math.Abs(got-acf1) > 0.03 {
			t.Errorf("M%d: lag-1 autocorrelation %.3f, want %.3f", model, got, acf1)
		}
	}
	check(1, 0.15, 0, 0.03)
	check(2, 0.15, 0, 0.15)
	check(3, 0.15, 0.3, 0.03)
	check(4, 0.15, 0.6, 0.03)
	check(5, 0.15, -0.2, 0.03)
	check(6, 0, 0, 0)
	check(7, 0, 0, 0)
	check(9, 0.058, 0.2, 0.15)
	for i := range z.draw(7, 100, 0) {
		if z.test[i] != math.Round(z.test[i]) || z.test[i] < 1 {
			t.Fatalf("M7: %v ms is not rounded", z.test[i])
		}
	}
}
