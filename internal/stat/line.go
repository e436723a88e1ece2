package stat

import (
	"fmt"
	"math"
)

// Line is a straight line through points by least squares, with the HC3
// intervals of its coefficients.
type Line struct {
	// Intercept is in the unit of y, Slope in that of y per x. Their P is that
	// of a coefficient of zero.
	Intercept, Slope Interval
	// SD is the standard deviation of the residuals, in the unit of y.
	SD float64
}

// minLine is the fewest points of a line: two more than it has coefficients,
// so that the residuals say something about its fit.
const minLine = 4

// FitLine fits y on 1 and x by least squares, with the HC3 covariance of
// MacKinnon and White (1985), row by row. It is ErrTooFew below four points and
// ErrNoSpread where x, or what the line leaves of y, does not vary.
func FitLine(x, y []float64, confidence float64) (Line, error) {
	if err := sameLength(x, y); err != nil {
		return Line{}, fmt.Errorf("line: %w", err)
	}
	for _, s := range [][]float64{x, y} {
		if err := finite(s, minLine); err != nil {
			return Line{}, fmt.Errorf("line: %w", err)
		}
	}
	ones := make([]float64, len(x))
	for i := range ones {
		ones[i] = 1
	}
	f, err := leastSquares(y, [][]float64{ones, x})
	if err != nil {
		return Line{}, fmt.Errorf("line: %w", err)
	}
	rss := 0.0
	for _, e := range f.residuals {
		rss += e * e
	}
	coefficient := func(k int, unit string) Interval {
		v := Estimate{Value: f.coef[k], SE: f.hc3[k], DF: f.df}.Interval(confidence)
		v.N, v.Kind, v.Unit = len(x), KindHC3, unit
		return v
	}
	return Line{Intercept: coefficient(0, "y"), Slope: coefficient(1, "y per x"), SD: math.Sqrt(rss / f.df)}, nil
}
