package stat

import (
	"fmt"
	"math"
	"os"
	"testing"
)

// The simulations are seeded, so that they cannot flake, and print their
// seeds. Replications are those of the stated bounds. Under the race detector
// they are an eighth of that, and each bound is widened by the simulation
// error that this adds. VERDICT_SIMULATION=full runs five times as many.

// simulation is a share that is estimated by replications.
type simulation struct {
	t            *testing.T
	seed         uint64
	reps, stated int
}

func simulate(t *testing.T, seed uint64, stated int) simulation {
	t.Helper()
	s := simulation{t: t, seed: seed, reps: stated, stated: stated}
	switch {
	case os.Getenv("VERDICT_SIMULATION") == "full":
		s.reps = 5 * stated
	case raceEnabled:
		s.reps = stated / 8
	}
	return s
}

// slack is what fewer replications than stated add to a bound on a share about
// q: three standard errors, less those that the bound has room for already.
func (s simulation) slack(q float64) float64 {
	if s.reps >= s.stated {
		return 0
	}
	return 3 * math.Sqrt(q*(1-q)) * (1/math.Sqrt(float64(s.reps)) - 1/math.Sqrt(float64(s.stated)))
}

// between checks a count of replications against bounds on the share. The
// share that the bounds are about is taken at the bound itself.
func (s simulation) between(what string, hits int, low, high float64) {
	s.t.Helper()
	share := float64(hits) / float64(s.reps)
	s.t.Logf("%s: %.2f %% in %d replications, seed %d", what, 100*share, s.reps, s.seed)
	if share < low-s.slack(low) || share > high+s.slack(high) {
		s.t.Errorf("%s: %.2f %%, want %.1f to %.1f %%", what, 100*share, 100*low, 100*high)
	}
}

// each runs one parallel subtest per model.
func each(t *testing.T, do func(t *testing.T, model int)) {
	for model := 1; model <= models; model++ {
		t.Run(fmt.Sprintf("M%d", model), func(t *testing.T) {
			t.Parallel()
			do(t, model)
		})
	}
}

// rejections counts how often SR-EWC and t-EWC reject zero at level alpha.
func rejections(t *testing.T, s simulation, model, n int, effect, alpha float64) (signedRank, mean int) {
	t.Helper()
	z := newNoise(t, s.seed, uint64(model*10000+n))
	c := newCosines(n, Nu(n))
	crit := critical(1-alpha, float64(c.nu))
	for range s.reps {
		d := z.draw(model, n, effect)
		r, err := newSignedRank(d, c)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.Statistic(0)) > crit {
			signedRank++
		}
		if math.Abs(meanOf(d)) > crit*math.Sqrt(c.omega(d)/float64(n)) {
			mean++
		}
	}
	return signedRank, mean
}

// meanOf is a plain mean, fast enough for millions of draws.
func meanOf(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func TestV1_level(t *testing.T) {
	each(t, func(t *testing.T, model int) {
		for _, n := range []int{100, 200, 400} {
			s := simulate(t, 1, 4000)
			high := 0.065
			if model == 4 && n == 100 {
				high = 0.07
			}
			signedRank, mean := rejections(t, s, model, n, 0, 0.05)
			s.between(fmt.Sprintf("SR-EWC at n = %d", n), signedRank, 0.035, high)
			s.between(fmt.Sprintf("t-EWC at n = %d", n), mean, 0.035, high)
		}
	})
}

func TestV2_nuRuleOnFreshSeeds(t *testing.T) {
	each(t, func(t *testing.T, model int) {
		for _, n := range []int{80, 150, 300} {
			for _, seed := range []uint64{20260101, 20260202, 20260303} {
				s := simulate(t, seed, 4000)
				signedRank, _ := rejections(t, s, model, n, 0, 0.05)
				s.between(fmt.Sprintf("SR-EWC at n = %d", n), signedRank, 0, 0.07)
			}
		}
	})
}

// V3: the sequence is looked at after every batch up to 600 pairs.
func TestV3_timeUniform(t *testing.T) {
	each(t, func(t *testing.T, model int) {
		s := simulate(t, 3, 2000)
		z := newNoise(t, s.seed, uint64(model))
		var wrong [2]int
		for range s.reps {
			d := z.draw(model, 600, 0)
			for i, alpha := range [2]float64{0.05, AlphaLive} {
				if excludesZero(t, d, alpha) {
					wrong[i]++
				}
			}
		}
		// The allowances for simulation error are those of 2000 runs.
		s.between("CS at 0.05", wrong[0], 0, 0.05+0.015)
		s.between("CS at 0.01", wrong[1], 0, 0.01+0.007)
	})
}

// excludesZero reports whether a live monitor ever excludes zero on d.
func excludesZero(t *testing.T, d []float64, alpha float64) bool {
	t.Helper()
	live, err := NewLive(LiveOptions{Alpha: alpha, PlannedPairs: 200, Batch: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range d {
		look, err := live.Add(v, false)
		if err != nil {
			t.Fatal(err)
		}
		if look && !live.Interval().Contains(0) {
			return true
		}
	}
	return false
}

// The negative controls of V3: if they do not fail, the simulator is broken.
func TestV3_negativeControls(t *testing.T) {
	t.Parallel()
	s := simulate(t, 4, 2000)
	z := newNoise(t, s.seed, 1)
	bases := map[int]*cosines{}
	for n := 30; n <= 600; n += 10 {
		bases[n] = newCosines(n, int(0.4*math.Pow(float64(n), 2.0/3)))
	}
	naive, asymptotic := 0, 0
	for range s.reps {
		d := z.draw(1, 600, 0)
		if naiveRejects(d) {
			naive++
		}
		if asymptoticRejects(d, bases) {
			asymptotic++
		}
	}
	s.between("the naive rule, looked at on every pair", naive, 0.25, 1)
	s.between("the asymptotic CS with EWC variance", asymptotic, 0.12, 1)
}

// naiveRejects is "stop when |t| > 1.96", looked at on every pair from the
// 30th on.
func naiveRejects(d []float64) bool {
	sum, squares := 0.0, 0.0
	for i, v := range d {
		sum += v
		squares += v * v
		n := float64(i + 1)
		if i+1 < 30 {
			continue
		}
		variance := (squares - sum*sum/n) / (n - 1)
		if math.Abs(sum/n) > 1.96*math.Sqrt(variance/n) {
			return true
		}
	}
	return false
}

// asymptoticRejects plugs the EWC variance, refreshed every ten pairs, into
// the asymptotic sequence.
func asymptoticRejects(d []float64, bases map[int]*cosines) bool {
	for n := 30; n <= len(d); n += 10 {
		sd := math.Sqrt(bases[n].omega(d[:n]))
		if math.Abs(meanOf(d[:n])) > sd*asymptoticMargin(n, 200, 0.05) {
			return true
		}
	}
	return false
}

func TestV4_coverageOfCenters(t *testing.T) {
	each(t, func(t *testing.T, model int) {
		s := simulate(t, 5, 2000)
		z := newNoise(t, s.seed, uint64(model))
		const n, effect = 200, 0.02
		c := newCosines(n, Nu(n))
		var center, gmr, totals int
		for range s.reps {
			d := z.draw(model, n, effect)
			r, err := newSignedRank(d, c)
			if err != nil {
				t.Fatal(err)
			}
			if r.Interval(0.95).Contains(effect) {
				center++
			}
			if must(GeometricMeanRatio(d, 0.95)).Contains(math.Exp(effect)) {
				gmr++
			}
			if model >= 6 && model <= 8 && must(TotalsRatio(z.baseline, z.test, 0.95)).Contains(1) {
				totals++
			}
		}
		s.between("SR-EWC", center, 0.93, 0.97)
		s.between("geometric mean ratio", gmr, 0.93, 0.97)
		if model >= 6 && model <= 8 {
			s.between("ratio of totals", totals, 0.93, 0.97)
		}
	})
}

// The set-up of the reference for tails: both sides see the same latencies.
func TestV4_coverageOfTails(t *testing.T) {
	t.Parallel()
	s := simulate(t, 6, 2000)
	z := newNoise(t, s.seed, 1)
	const n = 200
	ps := []float64{0.5, 0.9, 0.95}
	covered := make([]int, len(ps))
	baseline, test := make([]float64, n), make([]float64, n)
	for rep := range s.reps {
		for i := range n {
			latency := z.onDemand[z.rng.IntN(len(z.onDemand))] * math.Exp(0.05*z.rng.NormFloat64())
			baseline[i] = latency * math.Exp(0.08*z.rng.NormFloat64()+z.stall())
			test[i] = latency * math.Exp(0.08*z.rng.NormFloat64()+z.stall())
		}
		vs, err := QuantileRatios(baseline, test, ps, Bootstrap{Resamples: 400, Seed: uint64(rep)})
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range vs {
			if v.Contains(1) {
				covered[k]++
			}
		}
	}
	s.between("p50", covered[0], 0.93, 0.98)
	s.between("p90", covered[1], 0.93, 0.97)
	s.between("p95", covered[2], 0.93, 0.97)
}

// The set-up of the reference for proving times: a fixed cost and a slope
// below one on gas, sides that proved different batches.
func TestV4_coverageOfProofs(t *testing.T) {
	for _, perSide := range []int{10, 25} {
		t.Run(fmt.Sprintf("%d per side", perSide), func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 7, 2000)
			z := newNoise(t, s.seed, uint64(perSide))
			n := 2 * perSide
			y, ones := make([]float64, n), make([]float64, n)
			gas, side := make([]float64, n), make([]float64, n)
			const effect = 0.05
			covered := 0
			for range s.reps {
				for i := range n {
					ones[i], side[i] = 1, float64(i%2)
					gas[i] = 17 + 0.45*z.rng.NormFloat64()
					y[i] = 0.9*gas[i] + effect*side[i] + 0.06*z.rng.NormFloat64()
				}
				f := must(leastSquares(y, [][]float64{ones, gas, side}))
				v := Estimate{Value: f.coef[2], SE: f.hc3[2], DF: f.df}.Interval(0.95)
				if v.Contains(effect) {
					covered++
				}
			}
			s.between("HC3", covered, 0.94, 0.98)
		})
	}
}

// Sessions carry offsets beyond what their blocks show; 200 blocks in all.
func TestV4_coverageOfSessions(t *testing.T) {
	for _, c := range []struct {
		sessions int
		tau      float64
		swap     bool
	}{{4, 0.02, false}, {10, 0.01, false}, {10, 0.04, false}, {4, 0.02, true}, {5, 0.02, true}} {
		t.Run(fmt.Sprintf("%d sessions, tau %v, swap %v", c.sessions, c.tau, c.swap), func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 8, 2000)
			if s.reps > 2000 {
				s.reps = 2000
			}
			z := newNoise(t, s.seed, uint64(1000*c.tau)+uint64(c.sessions))
			const host = 0.1
			var covered, hosts int
			for range s.reps {
				sessions := make([]Session, c.sessions)
				for k := range sessions {
					sessions[k].Swapped = c.swap && k%2 == 1
					offset := c.tau * z.rng.NormFloat64()
					if c.swap {
						offset += host
						if sessions[k].Swapped {
							offset -= 2 * host
						}
					}
					d := z.draw(1, 200/c.sessions, offset)
					sessions[k].D = append([]float64(nil), d...)
				}
				r := must(CombineSessions(sessions, 0.95))
				if r.Between.Contains(0) {
					covered++
				}
				if math.Abs(r.Host.Center-host) <= r.Between.High-r.Between.Center {
					hosts++
				}
			}
			// Welch at three and two sessions is needlessly wide.
			high := 0.965
			if c.sessions == 5 {
				high = 1
			}
			s.between("interval between sessions", covered, 0.935, high)
			if c.swap {
				s.between("host effect", hosts, 0.935, high)
			}
		})
	}
}

func TestV5_power(t *testing.T) {
	for _, c := range []struct {
		model, n      int
		effect, alpha float64
		low, high     float64
		name          string
	}{
		{6, 200, 0.05, 0.05, 0.97, 1, "M6, 5 %"},
		{9, 200, 0.02, 0.05, 0.95, 1, "M9, 2 %"},
		{1, PairsToDetect(0.15, math.Log1p(0.03), AlphaFinal, DefaultPower), 0.03, AlphaFinal, 0.75, 0.84, "M1 at the planned n, 3 %"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 9, 4000)
			signedRank, _ := rejections(t, s, c.model, c.n, math.Log1p(c.effect), c.alpha)
			s.between(fmt.Sprintf("power at n = %d", c.n), signedRank, c.low, c.high)
		})
	}
}

// matrix is the reference of V6: shares in percent of improves, regresses, no
// effect and inconclusive at true effects of 0, +2, +5 and -5 %, with n = 200
// and a margin of 5 %; 20,000 replications of another implementation.
var matrix = [models][4][4]float64{
	{{2.1, 1.9, 94.1, 1.9}, {0, 32.6, 57.5, 9.9}, {0, 96.7, 0.8, 2.5}, {97.9, 0, 0.4, 1.6}},
	{{2.2, 2.2, 95.7, 0.0}, {0, 57.6, 41.9, 0.5}, {0, 100, 0, 0}, {100, 0, 0, 0}},
	{{2.1, 2.1, 77.9, 17.9}, {0.1, 20.3, 47.8, 31.9}, {0, 80.7, 2.7, 16.6}, {84.2, 0, 1.9, 13.8}},
	{{2.3, 2.0, 33.0, 62.7}, {0.3, 11.9, 23.3, 64.6}, {0, 50.4, 3.8, 45.8}, {54.0, 0, 3.0, 43.0}},
	{{2.0, 2.1, 95.8, 0.1}, {0, 44.6, 53.0, 2.5}, {0, 99.6, 0.2, 0.3}, {99.8, 0, 0.1, 0.1}},
	{{2.0, 1.8, 96.0, 0.2}, {0, 42.2, 53.9, 3.9}, {0, 99.3, 0.3, 0.5}, {99.6, 0, 0.1, 0.3}},
	{{2.0, 2.0, 95.6, 0.4}, {0, 40.2, 55.1, 4.7}, {0, 98.8, 0.4, 0.8}, {99.4, 0, 0.2, 0.5}},
	{{2.2, 2.2, 77.5, 18.0}, {0.1, 20.3, 48.1, 31.6}, {0, 80.5, 2.9, 16.6}, {84.7, 0, 2.0, 13.4}},
	{{2.1, 2.1, 95.8, 0.0}, {0, 96.7, 3.3, 0.0}, {0, 100, 0, 0}, {100, 0, 0, 0}},
}

// narrow is the same at true 0 with a margin of 3 %: no effect, inconclusive.
var narrow = [models][2]float64{
	{52, 44}, {87, 8}, {19, 77}, {2, 93}, {76, 20}, {71, 25}, {68, 28}, {19, 77}, {96, 0},
}

var outcomes = [4]Verdict{Improves, Regresses, NoEffect, Inconclusive}

func TestV6_verdictMatrix(t *testing.T) {
	each(t, func(t *testing.T, model int) {
		s := simulate(t, 10, 1500)
		for column, percent := range [4]float64{0, 2, 5, -5} {
			z := newNoise(t, s.seed, uint64(10*model+column))
			wide, tight := map[Verdict]int{}, map[Verdict]int{}
			for range s.reps {
				run := endToEnd(t, z.draw(model, 200, math.Log1p(percent/100)))
				run.Margin = 0.05
				wide[Decide(run).Verdict]++
				run.Margin = 0.03
				tight[Decide(run).Verdict]++
			}
			for k, verdict := range outcomes {
				s.cell(fmt.Sprintf("%s at %+v %%", verdict, percent), wide[verdict], matrix[model-1][column][k], 0.05)
			}
			switch percent {
			case 0:
				s.between("a direction without an effect", wide[Improves]+wide[Regresses], 0, 0.05+0.015)
				s.cell("no effect within 3 %", tight[NoEffect], narrow[model-1][0], 0.5)
				s.cell("inconclusive within 3 %", tight[Inconclusive], narrow[model-1][1], 0.5)
			case 5:
				s.wrongSigns(model, wide[Improves])
			case -5:
				s.wrongSigns(model, wide[Regresses])
			}
		}
	})
}

// endToEnd is the evidence of a run of d: looked at after every batch, stopped
// when the sequence decides, analyzed once at the end otherwise.
func endToEnd(t *testing.T, d []float64) Evidence {
	t.Helper()
	live, err := NewLive(LiveOptions{Alpha: AlphaLive, PlannedPairs: len(d), Batch: 10})
	if err != nil {
		t.Fatal(err)
	}
	e := Evidence{Margin: 0.05}
	for i, v := range d {
		look, err := live.Add(v, false)
		if err != nil {
			t.Fatal(err)
		}
		if !look {
			continue
		}
		e.Pairs, e.Batches, e.Sequence = i+1, live.Batches(), live.Interval()
		if Decide(e).Verdict != Inconclusive {
			return e
		}
	}
	r, err := NewSignedRank(d)
	if err != nil {
		t.Fatal(err)
	}
	e.Stage = Planned
	e.Final, e.Inner = r.Interval(1-AlphaFinal), r.Interval(1-2*AlphaFinal)
	return e
}

// cell checks a count against a reference in percent that is printed with the
// given rounding error, by the tolerance of V6.
func (s simulation) cell(what string, hits int, reference, rounding float64) {
	s.t.Helper()
	q := reference / 100
	tolerance := 0.5 + rounding + 300*math.Sqrt(q*(1-q)*(1/float64(s.reps)+1/20000.0))
	share := 100 * float64(hits) / float64(s.reps)
	if math.Abs(share-reference) > tolerance {
		s.t.Errorf("%s: %.1f %%, want %.1f within %.1f (seed %d, %d replications)",
			what, share, reference, tolerance, s.seed, s.reps)
	}
}

func (s simulation) wrongSigns(model, hits int) {
	s.t.Helper()
	allowed := 0
	if model == 4 {
		allowed = 2 * max(1, s.reps/s.stated)
	}
	if hits > allowed {
		s.t.Errorf("%d wrong signs, want at most %d", hits, allowed)
	}
}
