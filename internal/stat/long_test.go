package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mathext"
)

// What long series are computed with, against the definitions.

// cosineSumsByDefinition is sum x_i cos(pi j (i+1/2)/n), j = 1..nu, with the
// angle reduced in whole numbers.
func cosineSumsByDefinition(x []float64, nu int) []float64 {
	n := len(x)
	turn := make([]float64, 4*n)
	for k := range turn {
		turn[k] = math.Cos(math.Pi * float64(k) / float64(2*n))
	}
	sums := make([]float64, nu)
	for j := range sums {
		at := j + 1
		for _, v := range x {
			sums[j] += v * turn[at]
			if at += 2 * (j + 1); at >= len(turn) {
				at -= len(turn)
			}
		}
	}
	return sums
}

// kinds of series: noise, far from zero, alternating so that the slow terms
// are small, one that is all slow terms, a step, a spike, heavy tails.
func longSeries(rng *rand.Rand, n int) map[string][]float64 {
	fill := func(f func(i int) float64) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = f(i)
		}
		return x
	}
	walk := 0.0
	return map[string][]float64{
		"noise":       fill(func(int) float64 { return rng.NormFloat64() }),
		"far":         fill(func(int) float64 { return 1000 + rng.NormFloat64() }),
		"alternating": fill(func(i int) float64 { return float64(i%2*2-1) + 0.01*rng.NormFloat64() }),
		"walk":        fill(func(int) float64 { walk += rng.NormFloat64(); return walk }),
		"step":        fill(func(i int) float64 { return float64(i / (n/3 + 1)) }),
		"spike":       fill(func(i int) float64 { return float64(1 / (1 + (i-n/5)*(i-n/5))) }),
		"heavy":       fill(func(int) float64 { return math.Exp(4 * rng.NormFloat64()) }),
	}
}

func TestFolding_agreesWithDirectSums(t *testing.T) {
	rng := rand.New(rand.NewPCG(101, 1))
	// Primes, powers of two and their neighbors, and short ones, for which
	// the blocks hold a few values or none.
	for _, n := range []int{20, 64, 211, 1000, 4096, foldFrom, 8191, 10007, 16385, 30011} {
		for name, x := range longSeries(rng, n) {
			nu := min(Nu(n), n-1)
			want := cosineSumsByDefinition(x, nu)
			scale := 0.0
			for _, l := range want {
				scale += l * l / float64(nu)
			}
			got := newFolding(n, nu).cosineSums(x)
			sum := 0.0
			for j, l := range got {
				sum += l * l / float64(nu)
				if math.Abs(l-want[j]) > 1e-9*math.Sqrt(scale) {
					t.Fatalf("%s of %d: sum %d = %v, want %v", name, n, j+1, l, want[j])
				}
			}
			near(t, fmt.Sprintf("%s of %d: omega", name, n), sum, scale, 1e-9)
		}
	}
}

// Both ways of EWC meet where one takes over from the other.
func TestCosines_join(t *testing.T) {
	rng := rand.New(rand.NewPCG(102, 1))
	for _, n := range []int{foldFrom - 1, foldFrom} {
		for name, x := range longSeries(rng, n) {
			nu := Nu(n)
			folded := &cosines{n: n, nu: nu, fold: newFolding(n, nu)}
			near(t, name, folded.omega(x), newRows(n, nu).omega(x), 1e-9)
		}
	}
}

// hard draws series whose T does not cross as that of noise does: besides the
// noise models a trend, a step, a random walk, whole values, a second group, a
// wave and growing noise.
const hardKinds = models + 7

func (z *noise) hard(kind, n int) []float64 {
	if kind <= models {
		return slices.Clone(z.draw(kind, n, 0.01))
	}
	d := slices.Clone(z.draw(1, n, 0.01))
	for i := range d {
		at := float64(i) / float64(n)
		switch kind - models {
		case 1:
			d[i] += 0.5 * at
		case 2:
			d[i] += 0.5 * math.Round(at)
		case 3:
			if i > 0 {
				d[i] = d[i-1] + 0.1*d[i]
			}
		case 4:
			d[i] = math.Round(10*d[i]) / 10
		case 5:
			if i%20 == 0 {
				d[i] += 3
			}
		case 6:
			d[i] += math.Sin(7 * at)
		case 7:
			d[i] *= math.Exp(3 * at)
		}
	}
	return d
}

// The ends that skip evaluations are those of plain bisection, already for far
// fewer pairs than it is used for. At 100 pairs one end in thousands differs,
// because there a step of T is large enough for a second crossing.
func TestCrossing_agreesWithBisection(t *testing.T) {
	for _, n := range []int{500, 1000, 2000, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			reps := max(1, 5000/n)
			if raceEnabled {
				reps = 1
			}
			plain, jumping, finite := 0, 0, 0
			for kind := 1; kind <= hardKinds; kind++ {
				z := newNoise(t, 103, uint64(10000*kind+n))
				for range reps {
					r := must(NewSignedRank(z.hard(kind, n)))
					for _, end := range bothWays(r) {
						if end.want != end.got && !(math.Abs(end.want-end.got) <= 1e-12) {
							t.Errorf("kind %d: an end at %v, want %v", kind, end.got, end.want)
						}
						plain += end.plain
						jumping += end.jumping
						if !math.IsInf(end.want, 0) {
							finite++
						}
					}
				}
			}
			t.Logf("%d ends: %d evaluations, plain bisection takes %d", finite, jumping, plain)
			if jumping > plain || n >= 2000 && 4*jumping > 3*plain {
				t.Errorf("%d evaluations are not much fewer than %d", jumping, plain)
			}
			if finite < 50*reps {
				t.Errorf("only %d ends were bounded", finite)
			}
		})
	}
}

// bothEnds is one end, found by plain bisection and with skipped evaluations.
type bothEnds struct {
	want, got      float64
	plain, jumping int
}

func bothWays(r *SignedRank) []bothEnds {
	var ends []bothEnds
	for _, confidence := range []float64{0.92, 0.96, 0.99} {
		t := critical(confidence, r.DF())
		for _, sign := range []float64{1, -1} {
			extreme := r.sorted[0]
			if sign < 0 {
				extreme = r.sorted[r.N()-1]
			}
			plain := crossing{r: r, sign: sign, t: t}
			jumping := crossing{r: r, sign: sign, t: t, jump: true}
			ends = append(ends, bothEnds{
				want: plain.bisect(extreme), got: jumping.bisect(extreme),
				plain: plain.evaluations, jumping: jumping.evaluations,
			})
		}
	}
	return ends
}

// Where the mean of the signed ranks alone rejects, the test does.
func TestCrossing_certainIsRejected(t *testing.T) {
	certain, rejected := 0, 0
	for kind := 1; kind <= hardKinds; kind++ {
		z := newNoise(t, 104, uint64(kind))
		for _, n := range []int{10, 100, 400} {
			r := must(NewSignedRank(z.hard(kind, n)))
			r.Center()
			for _, sign := range []float64{1, -1} {
				c := crossing{r: r, sign: sign, t: critical(0.95, r.DF())}
				for step := range 40 {
					th := Quantile(r.sorted, float64(step)/39)
					is := c.evaluate(th)
					if c.certain(th) {
						certain++
						if !is {
							t.Errorf("kind %d, n = %d: %v is certain and not rejected", kind, n, th)
						}
					}
					if is {
						rejected++
					}
				}
			}
		}
	}
	if certain < rejected/4 {
		t.Errorf("only %d of %d rejections are certain", certain, rejected)
	}
}

// Matrices that are large enough for sampled pivots, square and not, with and
// without ties and far outliers.
func TestSums_sampledPivots(t *testing.T) {
	rng := rand.New(rand.NewPCG(105, 1))
	for name, draw := range map[string]func() float64{
		"normal":    rng.NormFloat64,
		"heavy":     func() float64 { return math.Exp(6 * rng.NormFloat64()) },
		"whole":     func() float64 { return math.Round(3 * rng.NormFloat64()) },
		"two":       func() float64 { return float64(rng.IntN(2)) },
		"one big":   func() float64 { return float64(rng.IntN(50) / 49 * 1e6) },
		"one value": func() float64 { return 0.1 },
	} {
		x, y := make([]float64, 1300), make([]float64, 1100)
		for i := range x {
			x[i] = draw()
		}
		for i := range y {
			y[i] = draw()
		}
		slices.Sort(x)
		slices.Sort(y)
		all := make([]float64, 0, len(x)*len(y))
		for _, a := range x {
			for _, b := range y {
				all = append(all, a-b)
			}
		}
		slices.Sort(all)
		agree := func(what string, m sums, sorted []float64) {
			for _, k := range []int{0, 1, len(sorted) / 1000, len(sorted) / 3, len(sorted) / 2, len(sorted) - 1} {
				if got := m.kth(k); got != sorted[k] {
					t.Errorf("%s: %s %d = %v, want %v", name, what, k, got, sorted[k])
				}
			}
		}
		agree("difference", differences(x, y), all)
		agree("Walsh average", walsh(x), walshAverages(x))
	}
}

func TestSums_only(t *testing.T) {
	rng := rand.New(rand.NewPCG(106, 1))
	alone := 0
	draws(func(d []float64) bool {
		w, m := walshAverages(d), walsh(sortedCopy(d))
		for range 30 {
			from := rng.IntN(len(w))
			lo, hi := w[from]-1e-9, w[min(len(w)-1, from+rng.IntN(3))]+1e-9
			inside := w[lowerBound(w, math.Nextafter(lo, 9)):lowerBound(w, hi)]
			want := len(inside) > 0 && inside[0] == inside[len(inside)-1]
			got, ok := m.only(lo, hi)
			if ok != want || ok && got != inside[0] {
				t.Fatalf("only(%v, %v) = %v, %v of %v", lo, hi, got, ok, inside)
			}
			if ok {
				alone++
			}
		}
		return true
	})
	if alone < 100 {
		t.Errorf("a single value was seen %d times", alone)
	}
}

func lowerBound(sorted []float64, v float64) int {
	n, _ := slices.BinarySearch(sorted, v)
	return n
}

// Windows give the numbers of a walk along the whole resample, to the last
// bit, also where the quantile leaves its window.
func TestWindows_agreeWithWalks(t *testing.T) {
	ps := []float64{0.5, 0.9, 0.95, 0.99, 0.999}
	walks := 0
	for _, n := range []int{windowFrom, 4913, 10007} { // 4913 is 17 cubed
		for kind, change := range map[string]func(z *noise){
			"noise": func(*noise) {},
			"step": func(z *noise) {
				for i := range n / 2 {
					z.test[i] *= 3
				}
			},
			// Runs of a sorted side are all above or all below a quantile.
			"sorted": func(z *noise) { slices.Sort(z.baseline) },
		} {
			z := newNoise(t, 107, uint64(n))
			z.draw(6, n, 0)
			change(z)
			r := must(newResampler(z.baseline, z.test, ps))
			opts := Bootstrap{Resamples: 60, Seed: 5}
			got := r.replicates(opts)
			rng := bootstrapSource(opts.Seed)
			want := make([]float64, len(ps))
			for b := range opts.Resamples {
				r.draw(rng)
				r.count()
				r.logRatios(want)
				for k := range ps {
					if got[k][b] != want[k] {
						t.Fatalf("%s, n = %d: resample %d, p%v = %v, want %v", kind, n, b, 100*ps[k], got[k][b], want[k])
					}
				}
			}
			w := newWindows(r, 0)
			rng = bootstrapSource(opts.Seed)
			for range opts.Resamples {
				r.draw(rng)
				w.quantiles()
			}
			if kind == "noise" && w.walks > 0 {
				t.Errorf("n = %d: %d resamples of noise left their window", n, w.walks)
			}
			walks += w.walks
		}
	}
	if walks == 0 {
		t.Error("no resample left its window: the walk is not tested")
	}
}

// The integrated weights against the incomplete beta function, and where that
// fails, against symmetry.
func TestHarrellDavisRule_weights(t *testing.T) {
	for _, n := range []int{2200, 20_000} {
		for _, p := range []float64{0.05, 0.5, 0.9, 0.95} {
			got := harrellDavisRule(n, p)
			if float64(n)*p*(1-p) < integrable {
				t.Fatalf("n = %d, p = %v is not integrated", n, p)
			}
			b := betaCDF(n, p)
			for k := range n + 1 {
				c := got.cumulative[min(max(k, got.from), got.to)-got.from]
				if math.Abs(c-b(k)) > 1e-9 {
					t.Fatalf("n = %d, p = %v: weight of %d is %v, want %v", n, p, k, c, b(k))
				}
			}
		}
	}
	const n = 2_000_000
	q := harrellDavisRule(n, 0.5)
	near(t, "half of the weights", q.cumulative[n/2-q.from], 0.5, 1e-12)
	if len(q.cumulative) > n/50 {
		t.Errorf("%d weights of %d are kept", len(q.cumulative), n)
	}
}

// betaCDF is the weight of the k smallest of n values, as it is defined.
func betaCDF(n int, p float64) func(k int) float64 {
	return func(k int) float64 {
		if k == n {
			return 1
		}
		return mathext.RegIncBeta(float64(n+1)*p, float64(n+1)*(1-p), float64(k)/float64(n))
	}
}

func TestRankSum_byDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(108, 1))
	for range 200 {
		x, y := make([]float64, 1+rng.IntN(30)), make([]float64, 1+rng.IntN(30))
		for _, s := range [][]float64{x, y} {
			for i := range s {
				s[i] = float64(rng.IntN(12))
			}
			slices.Sort(s)
		}
		want := 0.0
		for _, a := range x {
			for _, b := range y {
				switch {
				case a > b:
					want++
				case a == b:
					want += 0.5
				}
			}
		}
		_, wantTies := midranks(slices.Concat(x, y))
		if u, ties := rankSum(x, y); u != want || ties != wantTies {
			t.Fatalf("rankSum(%v, %v) = %v, %v, want %v, %v", x, y, u, ties, want, wantTies)
		}
	}
}

func TestMiddleOf_isTheMedian(t *testing.T) {
	draws(func(d []float64) bool {
		if got, want := middleOf(slices.Clone(d)), Quantile(sortedCopy(d), 0.5); got != want {
			t.Errorf("n = %d: median %v, want %v", len(d), got, want)
		}
		return !t.Failed()
	})
}

// Odd series of a length that takes all the fast ways give sound intervals or
// errors, as short ones do.
func TestEdges_long(t *testing.T) {
	const n = foldFrom + 501
	cases := map[string]func(i int) float64{
		"constant":     func(int) float64 { return 0.1 },
		"one differs":  func(i int) float64 { return 1 + float64(i/(n-1)) },
		"one ulp":      func(i int) float64 { return 1 + 0x1p-52*float64(i%2) },
		"two values":   func(i int) float64 { return 1 + float64(i%2) },
		"step":         func(i int) float64 { return 1 + float64(2*i/n) },
		"ramp":         func(i int) float64 { return float64(i + 1) },
		"mostly equal": func(i int) float64 { return 1 + float64(i%100/98*i) },
		"huge":         func(i int) float64 { return 1e99 * float64(1+i*i%7) },
		"mixed scales": func(i int) float64 { return math.Pow(10, float64(i%200-100)) },
		"not finite":   func(i int) float64 { return 1 / float64(i-n/2) },
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := make([]float64, n)
			for i := range d {
				d[i] = f(i)
			}
			vs, errs := allIntervals(d, d, mapped(d, func(v float64) float64 { return 2 * v }))
			for _, v := range vs {
				if wrong := sound(v); wrong != "" {
					t.Errorf("%s: %+v", wrong, v)
				}
			}
			if len(vs)+len(errs) == 0 {
				t.Error("nothing was computed")
			}
			if m, ok := FindMixture(d); ok && !(m.Low.Center < m.High.Center && m.Separation > 0) {
				t.Errorf("mixture %+v", m)
			}
		})
	}
}
