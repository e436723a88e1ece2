package stat

import (
	"math"
	"slices"
	"strconv"
	"testing"
)

// The first table of the README beside the published series.
func TestPublishedSeries_describe(t *testing.T) {
	type row struct {
		name                             string
		n                                int
		mean, sd, median, geometric      string
		min, max, p90, p95, p99          string
		acf1, g1, adjusted, logSD, logG1 string
		ljungBox                         string
	}
	rows := []row{
		{
			name: "pre-serialized", n: 199, mean: "93.583", sd: "36.240", median: "90", geometric: "85.56",
			min: "6", max: "268", p90: "140.2", p95: "158", p99: "180.12",
			acf1: "-0.1210", g1: "0.671", adjusted: "0.676", logSD: "0.469", logG1: "-1.64", ljungBox: "0.208",
		},
		{
			name: "pre-generated", n: 176, mean: "130.903", sd: "44.317", median: "130", geometric: "119.40",
			min: "3", max: "255", p90: "181", p95: "206.5", p99: "246.75",
			acf1: "-0.1950", g1: "-0.044", adjusted: "-0.044", logSD: "0.539", logG1: "-3.65", ljungBox: "0.298",
		},
		{
			name: "on-demand", n: 176, mean: "242.301", sd: "91.738", median: "224", geometric: "224.99",
			min: "56", max: "521", p90: "376", p95: "421.75", p99: "481.5",
			acf1: "-0.2110", g1: "0.712", adjusted: "0.718", logSD: "0.399", logG1: "-0.54", ljungBox: "0.128",
		},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			x := series(t, r.name)
			s := Summarize(x)
			if s.N != r.n || s.Left != 0 {
				t.Errorf("N = %d, left out %d, want %d and 0", s.N, s.Left, r.n)
			}
			printed(t, "mean", s.Mean, r.mean)
			printed(t, "sd", s.SD, r.sd)
			printed(t, "median", s.Median, r.median)
			printed(t, "geometric mean", s.GeometricMean, r.geometric)
			printed(t, "min", s.Min, r.min)
			printed(t, "max", s.Max, r.max)
			near(t, "p90", s.P90, number(t, r.p90), 1e-12)
			near(t, "p95", s.P95, number(t, r.p95), 1e-12)
			near(t, "p99", s.P99, number(t, r.p99), 1e-12)
			printed(t, "acf1", ACF(x, 1), r.acf1)
			g1, adjusted := Skewness(x)
			printed(t, "g1", g1, r.g1)
			printed(t, "G1", adjusted, r.adjusted)
			logs := must(Logs(x))
			_, sd := meanSD(logs)
			printed(t, "log sd", sd, r.logSD)
			logG1, _ := Skewness(logs)
			printed(t, "log g1", logG1, r.logG1)
			_, p, err := LjungBox(x, 10)
			if err != nil {
				t.Fatal(err)
			}
			printed(t, "Ljung-Box p", p, r.ljungBox)
		})
	}
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The second table of that README: unpaired comparisons.
func TestPublishedSeries_unpaired(t *testing.T) {
	rows := []struct {
		x, y                string
		u, p                string
		shift, low, high    string
		hl, hlLow, hlHigh   string
		gmr, gmrLow, gmrUp  string
		means, medians, pxy string
		mde                 string
	}{
		{
			"pre-serialized", "pre-generated", "8115.5", "2.971e-19", "-39", "-46", "-32",
			"0.699", "0.654", "0.748", "0.717", "0.646", "0.794", "0.715", "0.692", "0.768", "15.8",
		},
		{
			"pre-generated", "on-demand", "3658.0", "2.861e-35", "-98", "-112", "-86",
			"0.564", "0.525", "0.603", "0.531", "0.480", "0.586", "0.540", "0.580", "0.882", "15.2",
		},
		{
			"pre-serialized", "on-demand", "1632.5", "6.682e-52", "-136", "-148", "-125",
			"0.392", "0.364", "0.421", "0.380", "0.348", "0.415", "0.386", "0.402", "0.953", "13.4",
		},
	}
	for _, r := range rows {
		t.Run(r.x+" vs "+r.y, func(t *testing.T) {
			x, y := series(t, r.x), series(t, r.y)
			w := must(MannWhitney(x, y))
			printed(t, "U", w.U, r.u)
			printed(t, "p", w.P, r.p)
			printed(t, "P(x<y)", w.Faster, r.pxy)
			v := must(Shift(x, y, 0.95))
			printed(t, "shift", v.Center, r.shift)
			printed(t, "shift low", v.Low, r.low)
			printed(t, "shift high", v.High, r.high)
			lx, ly := must(Logs(x)), must(Logs(y))
			v = must(Shift(lx, ly, 0.95)).Exp()
			printed(t, "HL ratio", v.Center, r.hl)
			printed(t, "HL ratio low", v.Low, r.hlLow)
			printed(t, "HL ratio high", v.High, r.hlHigh)
			v = must(Welch(lx, ly, 0.95)).Exp()
			printed(t, "GMR", v.Center, r.gmr)
			printed(t, "GMR low", v.Low, r.gmrLow)
			printed(t, "GMR high", v.High, r.gmrUp)
			sx, sy := Summarize(x), Summarize(y)
			printed(t, "ratio of means", sx.Mean/sy.Mean, r.means)
			printed(t, "ratio of medians", sx.Median/sy.Median, r.medians)
			printed(t, "MDE", 100*must(UnpairedMDE(lx, ly)), r.mde)
		})
	}
}

// More digits of the same, from the vectors.
func TestPublishedSeries_vectors(t *testing.T) {
	v := vectors[struct {
		Pairs map[string]struct {
			U, P     float64
			HL       float64    `json:"HL_ms"`
			Interval [2]float64 `json:"CI"`
			Ratio    float64    `json:"HL_ratio"`
			RatioCI  [2]float64 `json:"ratio_CI"`
			GMR      float64    `json:"GMR"`
			GMRCI    [2]float64 `json:"GMR_CI"`
		}
	}](t, "published")
	names := map[string]string{"preser": "pre-serialized", "pregen": "pre-generated", "ondemand": "on-demand"}
	checked := 0
	for a, x := range names {
		for b, y := range names {
			w, ok := v.Pairs[a+"_vs_"+b]
			if !ok {
				continue
			}
			checked++
			sx, sy := series(t, x), series(t, y)
			test := must(MannWhitney(sx, sy))
			near(t, "U", test.U, w.U, 0)
			near(t, "p", test.P, w.P, 1e-6)
			ends(t, "shift", must(Shift(sx, sy, 0.95)), w.Interval, 1e-12)
			lx, ly := must(Logs(sx)), must(Logs(sy))
			shift, gmr := must(Shift(lx, ly, 0.95)).Exp(), must(Welch(lx, ly, 0.95)).Exp()
			near(t, "HL ratio", shift.Center, w.Ratio, 2e-5)
			ends(t, "HL ratio", shift, w.RatioCI, 2e-5)
			near(t, "GMR", gmr.Center, w.GMR, 2e-5)
			ends(t, "GMR", gmr, w.GMRCI, 2e-5)
		}
	}
	if checked != 3 {
		t.Errorf("checked %d comparisons, want 3", checked)
	}
}

// The document that published the series says 91: an index that is off by one.
func TestQuantile_medianOf199(t *testing.T) {
	x := series(t, "pre-serialized")
	slices.Sort(x)
	if got := Quantile(x, 0.5); got != 90 || x[99] != 90 || x[100] != 91 {
		t.Errorf("median = %v of %v, %v, want 90", got, x[99], x[100])
	}
	if math.Abs(Quantile(x, 0.5)-x[len(x)/2]) != 0 {
		t.Error("the median of an odd number of values is not the middle one")
	}
}
