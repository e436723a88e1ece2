package stat

import (
	"fmt"
	"math"
)

// TotalsRatio is sum(test)/sum(baseline) with a delta-method interval whose
// variance EWC estimates: what an operator pays, in which big blocks weigh
// more. The residuals are e_i = (test_i - R baseline_i)/mean(baseline), the
// standard error of ln R is sqrt(Omega_e/n)/R. The series are positive
// latencies in block order, row by row, in one unit; at least four. The result
// is on the ratio scale.
func TotalsRatio(baseline, test []float64, confidence float64) (Interval, error) {
	if err := sameLength(baseline, test); err != nil {
		return Interval{}, fmt.Errorf("ratio of totals: %w", err)
	}
	for _, x := range [][]float64{baseline, test} {
		if err := positive(x, minEWC); err != nil {
			return Interval{}, fmt.Errorf("ratio of totals: %w", err)
		}
	}
	n := len(test)
	base := mean(baseline)
	ratio := mean(test) / base
	e := make([]float64, n)
	for i := range e {
		e[i] = (test[i] - ratio*baseline[i]) / base
	}
	omega, nu := EWC(e)
	if omega <= noSpread*ratio*ratio {
		return Interval{}, fmt.Errorf("ratio of totals: %w", ErrNoSpread)
	}
	v := Estimate{
		Value: math.Log(ratio), SE: math.Sqrt(omega/float64(n)) / ratio, DF: float64(nu),
	}.Interval(confidence).Exp()
	v.N, v.Kind, v.Warnings = n, KindTEWC, fewPairs(n)
	return v, nil
}

// GasSlope is the slope of the log ratio d on ln gas, with the variance of EWC:
// whether the effect grows with the block. Both series are in block order, row
// by row. The unit is log ratio per log gas; gas cancels otherwise, because
// both sides of a pair see the same block.
func GasSlope(d, gas []float64, confidence float64) (Interval, error) {
	if err := sameLength(d, gas); err != nil {
		return Interval{}, fmt.Errorf("slope on gas: %w", err)
	}
	if err := finite(d, minEWC); err != nil {
		return Interval{}, fmt.Errorf("slope on gas: %w", err)
	}
	z, err := Logs(gas)
	if err != nil {
		return Interval{}, fmt.Errorf("slope on gas: gas: %w", err)
	}
	zbar, dbar := mean(z), mean(d)
	var szz, szd float64
	for i := range z {
		z[i] -= zbar
		szz += z[i] * z[i]
		szd += z[i] * d[i]
	}
	n := float64(len(d))
	if szz <= noSpread*n*math.Max(1, zbar*zbar) {
		return Interval{}, fmt.Errorf("slope on gas: gas: %w", ErrNoSpread)
	}
	slope := szd / szz
	u := make([]float64, len(d))
	for i := range u {
		u[i] = z[i] * (d[i] - dbar - slope*z[i])
	}
	omega, nu := EWC(u)
	if omega <= noSpread*szz/n*meanSquare(d) {
		return Interval{}, fmt.Errorf("slope on gas: %w", ErrNoSpread)
	}
	v := Estimate{Value: slope, SE: math.Sqrt(n*omega) / szz, DF: float64(nu)}.Interval(confidence)
	v.N, v.Kind, v.Unit, v.Warnings = len(d), KindTEWC, UnitSlope, fewPairs(len(d))
	return v, nil
}
