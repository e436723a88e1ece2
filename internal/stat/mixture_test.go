package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// hits are n log ratios of which a share falls about 0, where one side had the
// answer at hand, and the rest about ln 0.3. which says where they are.
func hits(rng *rand.Rand, n int, share float64) (d []float64, which []int) {
	d = make([]float64, n)
	for i := range d {
		d[i] = math.Log(0.3) + 0.15*rng.NormFloat64()
	}
	which = rng.Perm(n)[:int(math.Round(share*float64(n)))]
	slices.Sort(which)
	for _, i := range which {
		d[i] = 0.08 * rng.NormFloat64()
	}
	return d, which
}

// The limits were chosen with other seeds.
func TestFindMixture_noise(t *testing.T) {
	each(t, func(t *testing.T, model int) {
		for _, n := range []int{80, 200, 1000} {
			s := simulate(t, 91, 1_000_000/n)
			z := newNoise(t, s.seed, uint64(10000*model+n))
			found := 0
			for range s.reps {
				if _, ok := FindMixture(z.draw(model, n, 0)); ok {
					found++
				}
			}
			s.between(fmt.Sprintf("a mixture at n = %d", n), found, 0, 0.01)
		}
	})
}

func TestFindMixture_hits(t *testing.T) {
	for _, share := range []float64{0.5, 0.1, 0.05} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 92, 2000)
			rng := rand.New(rand.NewPCG(s.seed, uint64(1000*share)))
			found, exact := 0, 0
			for range s.reps {
				d, which := hits(rng, 200, share)
				m, ok := FindMixture(d)
				if !ok {
					continue
				}
				found++
				if got := m.Positions(d); share < 0.5 && slices.Equal(got, which) {
					exact++
				}
				if math.Abs(m.Low.Center-math.Log(0.3)) > 0.1 || math.Abs(m.High.Center) > 0.15 {
					t.Fatalf("centers %v and %v", m.Low.Center, m.High.Center)
				}
			}
			s.between("a mixture", found, 0.95, 1)
			if share < 0.5 {
				s.between("exactly the hits", exact, 0.9, 1)
			}
		})
	}
}

// Which requests are hits is chance as well.
func TestFindMixture_hitsByChance(t *testing.T) {
	t.Parallel()
	s := simulate(t, 93, 2000)
	rng := rand.New(rand.NewPCG(s.seed, 1))
	found := 0
	for range s.reps {
		share := 0.0
		for range 200 {
			if rng.Float64() < 0.05 {
				share += 1.0 / 200
			}
		}
		d, _ := hits(rng, 200, share)
		if _, ok := FindMixture(d); ok {
			found++
		}
	}
	s.between("a mixture", found, 0.95, 1)
}

func TestFindMixture_fields(t *testing.T) {
	rng := rand.New(rand.NewPCG(94, 1))
	d, which := hits(rng, 1000, 0.1)
	m, ok := FindMixture(d)
	if !ok {
		t.Fatal("no mixture")
	}
	small, share := m.Smaller()
	if m.Low.N != 900 || m.High.N != 100 || small != m.High || share != 0.1 {
		t.Errorf("groups of %d and %d, the smaller has %v", m.Low.N, m.High.N, share)
	}
	if m.Threshold < -0.8 || m.Threshold > -0.2 {
		t.Errorf("threshold %v", m.Threshold)
	}
	want := math.Sqrt2 * -math.Log(0.3) / math.Hypot(0.15, 0.08)
	if math.Abs(m.Separation/want-1) > 0.1 {
		t.Errorf("separation %v, want about %v", m.Separation, want)
	}
	if got := m.Positions(d); !slices.Equal(got, which) {
		t.Errorf("positions %v, want %v", got, which)
	}
	// Exchanging the sides exchanges the groups.
	negative := mapped(d, func(v float64) float64 { return -v })
	n, ok := FindMixture(negative)
	if !ok || n.Low.N != 100 || math.Abs(n.Low.Center+m.High.Center) > 1e-12 || math.Abs(n.Separation-m.Separation) > 1e-9 {
		t.Errorf("negated: %+v, want the mirror image of %+v", n, m)
	}
	if got := n.Positions(negative); !slices.Equal(got, which) {
		t.Errorf("negated: positions %v, want %v", got, which)
	}
}

func TestFindMixture_none(t *testing.T) {
	repeat := func(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }
	lattice := func(values ...float64) []float64 {
		var d []float64
		for range 40 {
			d = append(d, values...)
		}
		return d
	}
	for name, d := range map[string][]float64{
		"empty":          nil,
		"few":            {0, 0, 0, 0, 1, 1, 1, 1},
		"constant":       repeat(1, 100),
		"four outliers":  append(repeat(0, 196), 5, 5.1, 5.2, 5.3),
		"two values":     lattice(0, 0, 0, math.Ln2),
		"a coarse clock": lattice(0, 0, 0, 0, 0.4, -0.4, 0.7),
		"one ulp":        append(repeat(1, 100), repeat(math.Nextafter(1, 2), 50)...),
		"not finite":     append(repeat(0, 50), math.NaN()),
		"huge":           append(repeat(0, 50), repeat(1e300, 50)...),
	} {
		if m, ok := FindMixture(d); ok {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// The split against all splits.
func TestOtsu_byDefinition(t *testing.T) {
	draws(func(d []float64) bool {
		s := sortedCopy(d)
		const least = 2
		best, want := 0.0, -1
		for k := least; k <= len(s)-least; k++ {
			if s[k-1] == s[k] {
				continue
			}
			a, b := mean(s[:k]), mean(s[k:])
			if between := float64(k) * float64(len(s)-k) * (b - a) * (b - a); between > best*(1+1e-12) {
				best, want = between, k
			}
		}
		at, ok := otsu(s, least)
		if ok != (want >= 0) {
			t.Fatalf("n = %d: a split %v, want %v", len(s), ok, want >= 0)
		}
		if !ok {
			return true
		}
		a, b := mean(s[:at]), mean(s[at:])
		near(t, "variance between", float64(at)*float64(len(s)-at)*(b-a)*(b-a), best, 1e-9)
		return !t.Failed()
	})
}
