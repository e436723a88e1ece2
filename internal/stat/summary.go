package stat

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Quantile is the type 7 quantile of Hyndman and Fan (1996): linear between
// order statistics at h = (n-1)p. It is the only definition of a quantile of
// one side in the program, Harrell-Davis where it says so aside. sorted is
// ascending; p is held to [0, 1]. An empty series has no quantile: NaN.
func Quantile(sorted []float64, p float64) float64 {
	n := len(sorted)
	if n == 0 || math.IsNaN(p) {
		return math.NaN()
	}
	h := float64(n-1) * math.Min(1, math.Max(0, p))
	// A product such as 10*0.9 may fall an ulp short of its whole number; R
	// adds the same slack for the same reason.
	lo := int(math.Floor(h + 4*0x1p-52*math.Max(1, h)))
	if lo >= n-1 {
		return sorted[n-1]
	}
	f := math.Max(0, h-float64(lo))
	if f == 0 || sorted[lo] == sorted[lo+1] {
		return sorted[lo]
	}
	return sorted[lo] + f*(sorted[lo+1]-sorted[lo])
}

// Summary describes the values of one side, in their own unit. It describes
// the sample and estimates nothing; intervals are elsewhere.
type Summary struct {
	// N counts the finite values, Left the others, which are left out.
	N, Left int
	// Min to SD are 0 when N is 0. Quantiles are type 7.
	Min, Max, Mean, Median, P90, P95, P99 float64
	// SD divides by N-1 and is 0 when N is below 2.
	SD float64
	// GeometricMean is 0 when a value is zero or negative.
	GeometricMean float64
}

// Summarize describes x.
func Summarize(x []float64) Summary {
	s := make([]float64, 0, len(x))
	for _, v := range x {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			s = append(s, v)
		}
	}
	out := Summary{N: len(s), Left: len(x) - len(s)}
	if out.N == 0 {
		return out
	}
	slices.Sort(s)
	out.Min, out.Max = s[0], s[out.N-1]
	out.Median, out.P90 = Quantile(s, 0.5), Quantile(s, 0.9)
	out.P95, out.P99 = Quantile(s, 0.95), Quantile(s, 0.99)
	out.Mean, out.SD = meanSD(s)
	if logs, err := Logs(s); err == nil {
		out.GeometricMean = math.Exp(mean(logs))
	}
	return out
}

// mean is the arithmetic mean in two passes, which keeps the full precision of
// series far from zero and stays between the extremes. x is not empty.
func mean(x []float64) float64 {
	n := float64(len(x))
	m := 0.0
	for _, v := range x {
		m += v / n
	}
	r := 0.0
	for _, v := range x {
		r += (v - m) / n
	}
	return m + r
}

// meanSD is the mean and the standard deviation with n-1, 0 below two values.
func meanSD(x []float64) (m, sd float64) {
	m = mean(x)
	if len(x) < 2 {
		return m, 0
	}
	ss := 0.0
	for _, v := range x {
		ss += (v - m) * (v - m)
	}
	return m, math.Sqrt(ss / float64(len(x)-1))
}

// ACF is the autocorrelation of x at the given lag, with the overall mean and
// the full sum of squares (Box and Jenkins). It is 0 for a series that is
// constant or not finite, and for a lag that the series does not have.
func ACF(x []float64, lag int) float64 {
	n := len(x)
	if lag < 0 || lag >= n || finite(x, 1) != nil {
		return 0
	}
	m := mean(x)
	var num, den float64
	for i, v := range x {
		den += (v - m) * (v - m)
		if i+lag < n {
			num += (v - m) * (x[i+lag] - m)
		}
	}
	if den <= noSpread*m*m*float64(n) {
		return 0
	}
	return num / den
}

// LjungBox is the statistic of Ljung and Box (1978) over lags 1 to lags and
// its p-value from chi-squared with as many degrees of freedom: small when x
// is autocorrelated. x needs more values than lags.
func LjungBox(x []float64, lags int) (q, p float64, err error) {
	if err := finite(x, lags+2); err != nil {
		return 0, 0, err
	}
	n := float64(len(x))
	for k := 1; k <= lags; k++ {
		r := ACF(x, k)
		q += r * r / (n - float64(k))
	}
	q *= n * (n + 2)
	return q, distuv.ChiSquared{K: float64(lags)}.Survival(q), nil
}

// Skewness is the moment skewness g1 = m3/m2^1.5 and its small-sample form
// G1 = g1*sqrt(n(n-1))/(n-2) (Joanes and Gill 1998). Both are 0 for fewer than
// three values, for values that are not finite and for none that vary.
func Skewness(x []float64) (g1, adjusted float64) {
	n := float64(len(x))
	if finite(x, 3) != nil {
		return 0, 0
	}
	m := mean(x)
	var m2, m3 float64
	for _, v := range x {
		d := v - m
		m2 += d * d / n
		m3 += d * d * d / n
	}
	if m2 <= noSpread*m*m {
		return 0, 0
	}
	g1 = m3 / math.Pow(m2, 1.5)
	return g1, g1 * math.Sqrt(n*(n-1)) / (n - 2)
}
