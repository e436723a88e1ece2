package stat

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// RankSumTest is the outcome of the test of Mann and Whitney.
type RankSumTest struct {
	// U counts pairs with test > baseline, ties by half; P is two-sided.
	U, P float64
	// Faster is the probability that a value of the test side is below one of
	// the baseline, ties by half.
	Faster float64
	// Exact says that P comes from the exact null distribution.
	Exact bool
}

// exactSamples is the size of a side from which the rank-sum test uses the
// normal approximation, as R does.
const exactSamples = 50

// MannWhitney is the rank-sum test of Mann and Whitney (1947) for unpaired
// values in any order. Below 50 values per side and without ties P is exact;
// otherwise it is normal with tie and continuity correction.
func MannWhitney(test, baseline []float64) (RankSumTest, error) {
	for _, x := range [][]float64{test, baseline} {
		if err := finite(x, 1); err != nil {
			return RankSumTest{}, fmt.Errorf("mann-whitney: %w", err)
		}
	}
	return mannWhitney(sortedCopy(test), sortedCopy(baseline)), nil
}

// mannWhitney takes ascending values.
func mannWhitney(test, baseline []float64) RankSumTest {
	m, n := float64(len(test)), float64(len(baseline))
	u, ties := rankSum(test, baseline)
	w := RankSumTest{U: u, Faster: 1 - u/(m*n)}
	w.Exact = len(test) < exactSamples && len(baseline) < exactSamples && ties == 0
	if w.Exact {
		c := rankSumCDF(len(test), len(baseline))
		below := c[int(w.U)]
		above := c[int(m*n-w.U)]
		w.P = math.Min(1, 2*math.Min(below, above))
		return w
	}
	total := m + n
	sd := math.Sqrt(m * n / 12 * (total + 1 - ties/(total*(total-1))))
	w.P = correctedNormalP(w.U-m*n/2, sd)
	return w
}

// rankSum is the number of pairs with x above y, ties by half, of ascending
// values. ties is the sum of t³-t over the groups of t equal values of either.
func rankSum(x, y []float64) (u, ties float64) {
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		v := math.Inf(1)
		if i < len(x) {
			v = x[i]
		}
		if j < len(y) {
			v = min(v, y[j])
		}
		ofX, ofY := i, j
		for i < len(x) && x[i] == v {
			i++
		}
		for j < len(y) && y[j] == v {
			j++
		}
		a, b := float64(i-ofX), float64(j-ofY)
		u += a * (float64(ofY) + b/2)
		ties += (a+b)*(a+b)*(a+b) - (a + b)
	}
	return u, ties
}

// rankSumCDF is P(U <= u), u = 0..mn, for sides of m and n values without
// ties. The labelings with U = u are as many as the partitions of u into at
// most m parts of at most n each: those whose parts are below n, and those
// with a part n, which is taken off. Sums only, so that the tails are exact.
func rankSumCDF(m, n int) []float64 {
	size := m*n + 1
	// ways[j] is for parts of at most j; the number of parts grows in place.
	ways := make([][]float64, n+1)
	for j := range ways {
		ways[j] = make([]float64, size)
		ways[j][0] = 1
	}
	for range m {
		for j := 1; j <= n; j++ {
			for u := size - 1; u >= 0; u-- {
				w := ways[j-1][u]
				if u >= j {
					w += ways[j][u-j]
				}
				ways[j][u] = w
			}
		}
	}
	cdf, total, sum := ways[n], 0.0, 0.0
	for _, w := range cdf {
		total += w
	}
	for u, w := range cdf {
		sum += w
		cdf[u] = sum / total
	}
	return cdf
}

// Shift is the Hodges-Lehmann shift, the median of test_i - baseline_j, with
// the interval of ordered differences that inverts the rank-sum test, in the
// unit of the values: of logs it is the ratio. Sides below 50 values without
// ties use the exact null distribution, and Confidence is what that achieves.
func Shift(test, baseline []float64, confidence float64) (Interval, error) {
	for _, x := range [][]float64{test, baseline} {
		if err := finite(x, 1); err != nil {
			return Interval{}, fmt.Errorf("shift: %w", err)
		}
	}
	if !(confidence > 0 && confidence < 1) {
		return Interval{}, fmt.Errorf("shift: confidence is %v and not between 0 and 1", confidence)
	}
	m, n := len(test), len(baseline)
	x, y := sortedCopy(test), sortedCopy(baseline)
	w, d := mannWhitney(x, y), differences(x, y)
	v := Interval{
		Center: d.median(), Low: math.Inf(-1), High: math.Inf(1),
		Confidence: confidence, N: m + n, Kind: KindMannWhitney, P: w.P,
	}
	var c int
	if w.Exact {
		cdf := rankSumCDF(m, n)
		for cdf[c] < (1-confidence)/2 {
			c++
		}
		c = max(1, c)
		v.Confidence = 1 - 2*cdf[c-1]
	} else {
		mn, size := float64(m)*float64(n), float64(m+n+1)
		c = int(math.Floor(mn/2 - critical(confidence, 0)*math.Sqrt(mn*size/12)))
	}
	if c >= 1 {
		v.Low, v.High = d.kth(c-1), d.kth(d.size()-c)
		if v.Low == v.High {
			return Interval{}, fmt.Errorf("shift: %w", ErrNoSpread)
		}
	}
	if v.Confidence < confidence {
		v.Warnings = []string{fmt.Sprintf("%d and %d values reach a confidence of %.4g at most", m, n, v.Confidence)}
	}
	return v, nil
}

// Welch is the difference of means, test minus baseline, with the t interval
// of Welch and Satterthwaite, in the unit of the values: of logs it is the
// geometric mean ratio.
func Welch(test, baseline []float64, confidence float64) (Interval, error) {
	for _, x := range [][]float64{test, baseline} {
		if err := finite(x, 2); err != nil {
			return Interval{}, fmt.Errorf("welch: %w", err)
		}
	}
	mx, sx := meanSD(test)
	my, sy := meanSD(baseline)
	m, n := float64(len(test)), float64(len(baseline))
	vx, vy := sx*sx/m, sy*sy/n
	if vx+vy <= noSpread*(mx*mx/m+my*my/n) {
		return Interval{}, fmt.Errorf("welch: %w", ErrNoSpread)
	}
	v := Estimate{
		Value: mx - my, SE: math.Sqrt(vx + vy), DF: satterthwaite([]float64{vx, vy}, []float64{m - 1, n - 1}),
	}.Interval(confidence)
	v.N, v.Kind = len(test)+len(baseline), KindWelch
	return v, nil
}

// UnpairedMDE is the effect, as a fraction, that two unpaired series of these
// logs could have shown with 80 % power at level 0.05:
// exp((z_0.975 + z_0.8) sqrt(s_x²/m + s_y²/n)) - 1.
func UnpairedMDE(logTest, logBaseline []float64) (float64, error) {
	for _, x := range [][]float64{logTest, logBaseline} {
		if err := finite(x, 2); err != nil {
			return 0, fmt.Errorf("minimum detectable effect: %w", err)
		}
	}
	_, sx := meanSD(logTest)
	_, sy := meanSD(logBaseline)
	z := distuv.UnitNormal.Quantile(0.975) + distuv.UnitNormal.Quantile(DefaultPower)
	return math.Expm1(z * math.Sqrt(sx*sx/float64(len(logTest))+sy*sy/float64(len(logBaseline)))), nil
}
