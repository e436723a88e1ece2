package stat

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// vectors reads one top-level key of the reference values, which were
// computed in at least two of R, scipy and Go.
func vectors[T any](t *testing.T, key string) T {
	t.Helper()
	raw, err := os.ReadFile("testdata/stats-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(all[key], &v); err != nil {
		t.Fatalf("vector %s: %v", key, err)
	}
	return v
}

// series reads the milliseconds of a published series.
func series(t testing.TB, name string) []float64 {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var x []float64
	for _, row := range rows[1:] {
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		x = append(x, v)
	}
	return x
}

// index176 joins the series by row: a numeric vector, not a comparison.
func index176(t testing.TB) (baseline, test, d []float64) {
	t.Helper()
	baseline, test = series(t, "on-demand"), series(t, "pre-generated")
	return baseline, test, must(LogRatios(baseline, test))
}

// must unwraps a result that cannot fail with the arguments of the test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// near checks got against want to a relative tolerance.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Max(math.Abs(want), 1e-300)) {
		t.Errorf("%s = %.12g, want %.12g within %g", what, got, want, tolerance)
	}
}

// printed checks got against a value that is written with limited digits: it
// must round to them.
func printed(t *testing.T, what string, got float64, want string) {
	t.Helper()
	digits := 0
	mantissa, exponent, scientific := strings.Cut(want, "e")
	if _, frac, ok := strings.Cut(mantissa, "."); ok {
		digits = len(frac)
	}
	w, err := strconv.ParseFloat(want, 64)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	unit := math.Pow(10, -float64(digits))
	if scientific {
		e, err := strconv.Atoi(exponent)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		unit *= math.Pow(10, float64(e))
	}
	// A hair more than half a unit, for values that end in a five.
	if !(math.Abs(got-w) <= unit/2*(1+1e-6)) {
		t.Errorf("%s = %.12g, want %s", what, got, want)
	}
}

func ends(t *testing.T, what string, v Interval, want [2]float64, tolerance float64) {
	t.Helper()
	near(t, what+" low", v.Low, want[0], tolerance)
	near(t, what+" high", v.High, want[1], tolerance)
}

const tight = 1e-6

// T1
func TestExactSignedRank_hollanderWolfe(t *testing.T) {
	v := vectors[struct {
		X, Y     []float64
		V        float64
		P        float64    `json:"p_two_sided"`
		HL       float64    `json:"HL"`
		Interval [2]float64 `json:"CI95"`
	}](t, "wilcoxon_exact_hollander_depression")
	d := make([]float64, len(v.X))
	for i := range d {
		d[i] = v.X[i] - v.Y[i]
	}
	w := must(Wilcoxon(d))
	near(t, "V", w.V, v.V, 0)
	near(t, "p", w.P, v.P, tight)
	ci := must(ExactSignedRank(d, 0.95))
	near(t, "center", ci.Center, v.HL, tight)
	ends(t, "interval", ci, v.Interval, tight)
	near(t, "achieved confidence", ci.Confidence, 1-2*10/512.0, tight)
}

// T2
func TestMannWhitney_exact(t *testing.T) {
	v := vectors[struct {
		X, Y     []float64
		W        float64
		P        float64    `json:"p_two_sided"`
		HL       float64    `json:"HL"`
		Interval [2]float64 `json:"CI95"`
	}](t, "mannwhitney_exact")
	w := must(MannWhitney(v.X, v.Y))
	near(t, "U", w.U, v.W, 0)
	near(t, "p", w.P, v.P, tight)
	ci := must(Shift(v.X, v.Y, 0.95))
	near(t, "shift", ci.Center, v.HL, tight)
	ends(t, "interval", ci, v.Interval, tight)
}

type index176Vectors struct {
	N          int
	MeanD      float64    `json:"mean_d"`
	SD         float64    `json:"sd_d"`
	GMR        float64    `json:"GMR"`
	T          float64    `json:"paired_t"`
	TInterval  [2]float64 `json:"t_CI95_ratio"`
	ACF1, ACF2 float64
	LjungBox   [2]float64 `json:"ljungbox10"`
	V          float64    `json:"wilcoxon_V"`
	P          float64    `json:"wilcoxon_p_cc"`
	HLLog      float64    `json:"HL_log"`
	HLRatio    float64    `json:"HL_ratio"`
	Totals     float64    `json:"ratio_of_totals"`
	EWC        map[string]struct {
		Omega, T   float64
		TInterval  [2]float64 `json:"tCI"`
		Statistic  float64    `json:"SR_S0"`
		SRInterval [2]float64 `json:"SR_CI"`
	}
	Batch05   batchVector `json:"batch10_HL_tmix_alpha05_kstar20"`
	Batch01   batchVector `json:"batch10_HL_tmix_alpha01_kstar20"`
	AsympCS   [2]float64  `json:"asympcs_tstar200_alpha05_n176"`
	TotalsEWC struct {
		Omega    float64    `json:"omega_e"`
		Interval [2]float64 `json:"CI95"`
	} `json:"ratio_of_totals_EWC7"`
	TOST struct {
		PLower   float64    `json:"p_lower"`
		PUpper   float64    `json:"p_upper"`
		Interval [2]float64 `json:"CI90_ratio"`
	} `json:"TOST_on_d_minus_ln0.55_margin_ln1.10_t_iid"`
}

type batchVector struct {
	K        int
	MeanLog  float64 `json:"mean_log"`
	SD       float64
	Ratio    float64
	Interval [2]float64 `json:"CS"`
}

// T3
func TestPairedT_index176(t *testing.T) {
	want := vectors[index176Vectors](t, "idx176")
	_, _, d := index176(t)
	m, sd := meanSD(d)
	near(t, "mean d", m, want.MeanD, tight)
	near(t, "sd d", sd, want.SD, tight)
	v := must(PairedT(d, 0.95))
	near(t, "t", v.Center/v.SE(), want.T, tight)
	near(t, "GMR", v.Exp().Center, want.GMR, tight)
	ends(t, "interval", v.Exp(), want.TInterval, tight)
	near(t, "acf1", ACF(d, 1), want.ACF1, tight)
	near(t, "acf2", ACF(d, 2), want.ACF2, 1e-5)
	q, p, err := LjungBox(d, 10)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "Ljung-Box", q, want.LjungBox[0], tight)
	near(t, "Ljung-Box p", p, want.LjungBox[1], tight)
}

// T4
func TestHodgesLehmann_index176(t *testing.T) {
	want := vectors[index176Vectors](t, "idx176")
	_, _, d := index176(t)
	hl := must(HodgesLehmann(d))
	near(t, "HL", hl, want.HLLog, 1e-9)
	near(t, "HL against R's root finder", hl, -0.6012075564, 1e-4)
	near(t, "HL ratio", math.Exp(hl), want.HLRatio, tight)
	w := must(Wilcoxon(d))
	near(t, "V", w.V, want.V, 0)
	near(t, "p", w.P, want.P, 1e-5)
}

// T5 and T6
func TestEWC_index176(t *testing.T) {
	want := vectors[index176Vectors](t, "idx176")
	_, _, d := index176(t)
	if _, nu := EWC(d); nu != 7 {
		t.Errorf("nu = %d, want 7", nu)
	}
	for key, w := range want.EWC {
		nu := must(strconv.Atoi(key))
		c := newCosines(len(d), nu)
		omega := c.omega(d)
		near(t, key+": omega", omega, w.Omega, 1e-9)
		near(t, key+": t", critical(0.95, float64(nu)), w.T, 1e-8)
		e := Estimate{Value: mean(d), SE: math.Sqrt(omega / float64(len(d))), DF: float64(nu)}
		ends(t, key+": t-EWC", e.Interval(0.95).Exp(), w.TInterval, tight)
		r := must(newSignedRank(d, c))
		near(t, key+": T(0)", r.Statistic(0), w.Statistic, tight)
		ends(t, key+": SR-EWC", r.Interval(0.95).Exp(), w.SRInterval, tight)
	}
	ends(t, "GeometricMeanRatio", must(GeometricMeanRatio(d, 0.95)), want.EWC["7"].TInterval, tight)
}

// T8
func TestMixtureScale_vectors(t *testing.T) {
	want := vectors[struct {
		Rho2 map[string]float64 `json:"rho2_exact"`
		Unit map[string]float64 `json:"unit_margin_t200_a05"`
	}](t, "asympcs")
	near(t, "t200_a05", mixtureScale(0.05, 200), want.Rho2["t200_a05"], 1e-8)
	near(t, "t200_a01", mixtureScale(0.01, 200), want.Rho2["t200_a01"], 1e-8)
	near(t, "t20_a05", mixtureScale(0.05, 20), want.Rho2["t20_a05"], 1e-8)
	near(t, "t20_a01", mixtureScale(0.01, 20), want.Rho2["t20_a01"], 1e-8)
	for at, w := range want.Unit {
		n := must(strconv.Atoi(at))
		near(t, "margin at "+at, asymptoticMargin(n, 200, 0.05), w, tight)
	}
	w := vectors[index176Vectors](t, "idx176")
	_, _, d := index176(t)
	m, sd := meanSD(d)
	h := sd * asymptoticMargin(len(d), 200, 0.05)
	v := Interval{Center: m, Low: m - h, High: m + h}.Exp()
	ends(t, "asymptotic CS", v, w.AsympCS, tight)
}

// T9
func TestSequence_vectors(t *testing.T) {
	want := vectors[struct {
		BF []struct {
			N         int
			C2, T, BF float64
		}
		Critical map[string]map[string]float64 `json:"crit_kstar20"`
	}](t, "tmix")
	for _, w := range want.BF {
		near(t, "Bayes factor", math.Exp(lnBayesFactor(w.N, w.C2, w.T)), w.BF, tight)
	}
	for key, alpha := range map[string]float64{"a05": 0.05, "a01": 0.01} {
		w := want.Critical[key]
		s := must(NewSequence(alpha, 20))
		near(t, key+" c2", s.c2, w["c2"], 1e-8)
		for _, k := range []int{10, 20, 40, 60} {
			near(t, key+" crit", mixtureCritical(k, alpha, s.c2), w[strconv.Itoa(k)], tight)
		}
		first := int(w["first_finite_k"])
		if !math.IsInf(mixtureCritical(first-1, alpha, s.c2), 1) || math.IsInf(mixtureCritical(first, alpha, s.c2), 1) {
			t.Errorf("%s: the first finite k is not %d", key, first)
		}
	}
}

// T10
func TestLive_index176(t *testing.T) {
	want := vectors[index176Vectors](t, "idx176")
	_, _, d := index176(t)
	for alpha, w := range map[float64]batchVector{0.05: want.Batch05, 0.01: want.Batch01} {
		live := must(NewLive(LiveOptions{Alpha: alpha, PlannedPairs: 200, Batch: 10}))
		for _, x := range d {
			must(live.Add(x, false))
		}
		if live.Batches() != w.K || live.Pairs() != 176 {
			t.Errorf("%d batches of %d pairs, want %d of 176", live.Batches(), live.Pairs(), w.K)
		}
		sd, _ := live.seq.sd()
		near(t, "mean", live.seq.mean, w.MeanLog, tight)
		near(t, "sd", sd, w.SD, tight)
		near(t, "ratio", live.Interval().Exp().Center, w.Ratio, tight)
		ends(t, "CS", live.Interval().Exp(), w.Interval, tight)
	}
}

// T11
func TestHarrellDavis_vectors(t *testing.T) {
	want := vectors[map[string]map[string]float64](t, "harrell_davis")
	for key, file := range map[string]string{"ondemand": "on-demand", "pregenerated": "pre-generated"} {
		x := series(t, file)
		for p, w := range want[key] {
			near(t, file+" "+p, must(HarrellDavis(x, must(strconv.ParseFloat(p, 64)))), w, tight)
		}
	}
}

// T12
func TestLanDeMets_vectors(t *testing.T) {
	obf := vectors[map[string][]float64](t, "LD_OBF_two_sided_0.05")
	check := func(name string, spend Spending, want []float64) {
		t.Helper()
		looks := make([]float64, len(want))
		for i := range looks {
			looks[i] = float64(i+1) / float64(len(want))
		}
		got := must(LanDeMets(0.05, looks, spend))
		for i, w := range want {
			if math.Abs(got[i]-w) > 1e-4 {
				t.Errorf("%s look %d = %.5f, want %.4f", name, i+1, got[i], w)
			}
		}
	}
	check("O'Brien-Fleming K5", OBrienFleming, obf["K5"])
	check("O'Brien-Fleming K4", OBrienFleming, obf["K4"])
	check("Pocock K5", Pocock, vectors[[]float64](t, "LD_Pocock_K5"))
}

// T13
func TestLeastSquares_vectors(t *testing.T) {
	v := vectors[struct {
		Gas, Arm, T  []float64
		Coef         []float64
		SE, HC3      float64
		Ratio        float64
		Classic      [2]float64 `json:"CI_classic"`
		Interval     [2]float64 `json:"CI_HC3"`
		WelchOnRatio struct {
			T, P, Diff float64
		} `json:"welch_on_ln_T_over_gas"`
	}](t, "ancova")
	y, gas := must(Logs(v.T)), must(Logs(v.Gas))
	ones := make([]float64, len(y))
	var perGas [2][]float64
	for i := range ones {
		ones[i] = 1
		perGas[int(v.Arm[i])] = append(perGas[int(v.Arm[i])], y[i]-gas[i])
	}
	f := must(leastSquares(y, [][]float64{ones, gas, v.Arm}))
	for k, w := range v.Coef {
		near(t, "coefficient", f.coef[k], w, tight)
	}
	near(t, "se", f.se[2], v.SE, tight)
	near(t, "HC3", f.hc3[2], v.HC3, tight)
	effect := Estimate{Value: f.coef[2], SE: f.hc3[2], DF: f.df}.Interval(0.95).Exp()
	near(t, "ratio", effect.Center, v.Ratio, tight)
	ends(t, "HC3 interval", effect, v.Interval, tight)
	ends(t, "classic interval", Estimate{Value: f.coef[2], SE: f.se[2], DF: f.df}.Interval(0.95).Exp(), v.Classic, tight)
	w := must(Welch(perGas[1], perGas[0], 0.95))
	near(t, "Welch difference", w.Center, v.WelchOnRatio.Diff, tight)
	near(t, "Welch t", w.Center/w.SE(), v.WelchOnRatio.T, tight)
	near(t, "Welch p", w.P, v.WelchOnRatio.P, tight)
}

// T14 and table R6
func TestPower_vectors(t *testing.T) {
	type plan struct {
		Detect, Equivalent map[string]int
		MDE                float64 `json:"MDE_pct_n200"`
	}
	want := vectors[struct {
		OneSample map[string]float64 `json:"one_sample_t_80pct"`
		Unpaired  float64            `json:"unpaired_per_arm_sd.3986_5pct"`
		Plans     map[string]plan    `json:"n_required_t_nu_alpha04_power80_floor80"`
		Factor    map[string]struct {
			Nu         int
			Detect     float64 `json:"detect_alpha04"`
			Equivalent float64 `json:"equivalent_alpha04"`
		} `json:"t_nu_factor"`
	}](t, "power")
	// The references are R's, whose root finder stops within 1e-4 of n.
	near(t, "sd .15, 5 %", SampleSizeT(0.15, math.Log(1.05), 0.05, 0.8, 1), want.OneSample["sd.15_5pct"], 5e-6)
	near(t, "sd .30, 5 %", SampleSizeT(0.30, math.Log(1.05), 0.05, 0.8, 1), want.OneSample["sd.30_5pct"], 5e-6)
	near(t, "sd .15, 2 %", SampleSizeT(0.15, math.Log(1.02), 0.05, 0.8, 1), want.OneSample["sd.15_2pct"], 5e-6)
	near(t, "unpaired", SampleSizeT(0.3986, math.Log(1.05), 0.05, 0.8, 2), want.Unpaired, 5e-6)
	percent := func(s string) float64 {
		return math.Log1p(must(strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)) / 100)
	}
	for key, p := range want.Plans {
		sigma := must(strconv.ParseFloat(key, 64))
		for effect, n := range p.Detect {
			if got := PairsToDetect(sigma, percent(effect), 0.04, 0.8); got != n {
				t.Errorf("PairsToDetect(%v, %s) = %d, want %d", sigma, effect, got, n)
			}
		}
		for margin, n := range p.Equivalent {
			if got := PairsToEquate(sigma, percent(margin), 0.04, 0.8); got != n {
				t.Errorf("PairsToEquate(%v, %s) = %d, want %d", sigma, margin, got, n)
			}
		}
		if got := 100 * MDE(200, sigma, 0.04, 0.8); math.Abs(got-p.MDE) > 0.0051 {
			t.Errorf("MDE(200, %v) = %.4f %%, want %.2f", sigma, got, p.MDE)
		}
	}
	for key, f := range want.Factor {
		n := must(strconv.Atoi(key))
		if Nu(n) != f.Nu {
			t.Errorf("Nu(%d) = %d, want %d", n, Nu(n), f.Nu)
		}
		nu := float64(f.Nu)
		printed(t, "detect factor", quantileT(0.98, nu)+quantileT(0.8, nu), strconv.FormatFloat(f.Detect, 'f', 4, 64))
		printed(t, "equivalence factor", quantileT(0.96, nu)+quantileT(0.9, nu), strconv.FormatFloat(f.Equivalent, 'f', 4, 64))
	}
	for df, w := range map[float64]string{5: "1.46", 8: "1.32", 13: "1.23", 3: "1.73", 19: "1.18", 29: "1.14", 49: "1.10"} {
		printed(t, "planning factor", PlanningSigma(1, df), w)
	}
}

// T15
func TestTOST_index176(t *testing.T) {
	want := vectors[index176Vectors](t, "idx176").TOST
	_, _, d := index176(t)
	shifted := make([]float64, len(d))
	for i, v := range d {
		shifted[i] = v - math.Log(0.55)
	}
	v := must(PairedT(shifted, 0.90))
	q := v.Estimate().TOST(math.Log(1.10))
	near(t, "p lower", q.PLower, want.PLower, tight)
	near(t, "p upper", q.PUpper, want.PUpper, tight)
	ends(t, "90 % interval", v.Exp(), want.Interval, tight)
	if q.Equivalent(0.05) || v.Within(-math.Log(1.10), math.Log(1.10)) {
		t.Error("equivalent, and neither the tests nor the interval say so")
	}
}

// T16
func TestMcNemarHolmRanks_vectors(t *testing.T) {
	near(t, "McNemar", McNemar(3, 12), vectors[float64](t, "mcnemar_exact_b3_c12"), 1e-12)
	h := vectors[struct{ P, Adj []float64 }](t, "holm")
	for i, p := range Holm(h.P) {
		near(t, "Holm", p, h.Adj[i], 1e-12)
	}
	ranks := vectors[map[string]json.RawMessage](t, "binomial_quantile_ranks_95")
	for p, key := range map[float64]string{0.5: "p50_n200", 0.9: "p90_n200", 0.95: "p95_n200"} {
		var w [3]float64
		if err := json.Unmarshal(ranks[key], &w); err != nil {
			t.Fatal(err)
		}
		l, u, achieved := Ranks(200, p, 0.95)
		if l != int(w[0]) || u != int(w[1]) {
			t.Errorf("%s: ranks %d, %d, want %v", key, l, u, w)
		}
		printed(t, key, achieved, strconv.FormatFloat(w[2], 'f', 6, 64))
	}
	var least map[string]int
	if err := json.Unmarshal(ranks["min_n_two_sided"], &least); err != nil {
		t.Fatal(err)
	}
	for p, key := range map[float64]string{0.9: "p90", 0.95: "p95", 0.99: "p99"} {
		n := least[key]
		_, at, _ := Ranks(n, p, 0.95)
		_, below, _ := Ranks(n-1, p, 0.95)
		if at > n || below <= n-1 {
			t.Errorf("%s: two-sided from n = %d is wrong: %d, %d", key, n, at, below)
		}
	}
}

// T17
func TestSignMixture_vectors(t *testing.T) {
	for _, w := range vectors[[]struct {
		K, N    int
		LogM, P float64
	}](t, "sign_beta_binomial_a20") {
		lnM := signMixture(w.K, w.N)
		near(t, "ln M", lnM, w.LogM, tight)
		printed(t, "p", math.Min(1, math.Exp(-lnM)), strconv.FormatFloat(w.P, 'f', 8, 64))
	}
	for key, w := range vectors[map[string][2]int](t, "sign_CS_orderstats_alpha05") {
		n := must(strconv.Atoi(key))
		kept := func(k int) bool { return signMixture(k, n) < math.Log(20) }
		low := 0
		for !kept(low) {
			low++
		}
		if got := [2]int{low, n + 1 - low}; got != w {
			t.Errorf("sign CS at %d: ranks %v, want %v", n, got, w)
		}
	}
}

// T18
func TestTotalsRatio_index176(t *testing.T) {
	want := vectors[index176Vectors](t, "idx176")
	baseline, test, _ := index176(t)
	v := must(TotalsRatio(baseline, test, 0.95))
	near(t, "R", v.Center, want.Totals, tight)
	ends(t, "interval", v, want.TotalsEWC.Interval, tight)
	logs := v
	logs.Low, logs.High = math.Log(v.Low), math.Log(v.High)
	omega := math.Pow(logs.SE()*v.Center, 2) * 176
	near(t, "omega", omega, want.TotalsEWC.Omega, 1e-9)
}

// T19
func TestNu_vectors(t *testing.T) {
	for key, want := range vectors[map[string]int](t, "nu_rule") {
		if got := Nu(must(strconv.Atoi(key))); got != want {
			t.Errorf("Nu(%s) = %d, want %d", key, got, want)
		}
	}
}

func TestLambertWm1_inverts(t *testing.T) {
	for _, y := range []float64{-0.36787944, -0.3678, -0.36, -0.3, -0.25, -0.1, -1e-3, -1e-10, -1e-100, -1e-300} {
		w := LambertWm1(y)
		if w > -1 {
			t.Errorf("LambertWm1(%v) = %v, on the wrong branch", y, w)
		}
		// In logarithms, where the equation is well conditioned far out.
		if got := w + math.Log(-w); math.Abs(got-math.Log(-y)) > 1e-13*math.Max(1, -math.Log(-y)) {
			t.Errorf("LambertWm1(%v) = %v does not solve w e^w = y", y, w)
		}
	}
	for _, y := range []float64{0, 1, -0.4, math.NaN(), math.Inf(-1)} {
		if w := LambertWm1(y); !math.IsNaN(w) {
			t.Errorf("LambertWm1(%v) = %v, want NaN", y, w)
		}
	}
}

// asymptoticMargin is the half-width, in standard deviations, of the
// asymptotic confidence sequence of Waudby-Smith et al. (2024) at time n, tuned
// to time tuned. The program does not use it: it is a negative control.
func asymptoticMargin(n, tuned int, alpha float64) float64 {
	rho2 := mixtureScale(alpha, float64(tuned))
	t := float64(n) * rho2
	return math.Sqrt(2 * (t + 1) / (float64(n) * t) * math.Log(math.Sqrt(t+1)/alpha))
}

// signMixture is ln M of the beta-binomial sign martingale (Robbins 1970) with
// both parameters 20, after k of n values below a candidate center. The program
// does not use it: autocorrelation breaks it.
func signMixture(k, n int) float64 {
	lbeta := func(a, b float64) float64 {
		x, _ := math.Lgamma(a)
		y, _ := math.Lgamma(b)
		z, _ := math.Lgamma(a + b)
		return x + y - z
	}
	return lbeta(20+float64(k), 20+float64(n-k)) - lbeta(20, 20) + float64(n)*math.Ln2
}
