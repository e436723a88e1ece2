package stat

import (
	"errors"
	"math"
	"testing"
)

// The points of Anscombe's first data set (1973), whose line is published with
// its standard deviation about it: y = 3.0001 + 0.5001 x, 1.237.
func TestFitLine_anscombe(t *testing.T) {
	x := []float64{10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5}
	y := []float64{8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68}
	l, err := FitLine(x, y, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]float64{
		"intercept": {l.Intercept.Center, 3.0001}, "slope": {l.Slope.Center, 0.5001}, "sd": {l.SD, 1.2366},
	} {
		if math.Abs(c[0]-c[1]) > 5e-5 {
			t.Errorf("%s is %v, want %v", name, c[0], c[1])
		}
	}
	if l.Slope.N != 11 || l.Slope.DF != 9 || l.Slope.Kind != KindHC3 || !l.Slope.Bounded() {
		t.Errorf("slope %+v", l.Slope)
	}
	scaled := make([]float64, len(y))
	for i := range y {
		scaled[i] = 1000 * y[i]
	}
	s, err := FitLine(x, scaled, 0.95)
	if err != nil || math.Abs(s.Slope.High/l.Slope.High-1000) > 1e-6 || math.Abs(s.Intercept.Low/l.Intercept.Low-1000) > 1e-6 {
		t.Errorf("in another unit the line is %+v, %v", s, err)
	}
}

func TestFitLine_errors(t *testing.T) {
	for name, c := range map[string]struct {
		x, y []float64
		want error
	}{
		"lengths":     {[]float64{1, 2, 3, 4}, []float64{1, 2, 3}, ErrLengths},
		"three":       {[]float64{1, 2, 3}, []float64{1, 2, 4}, ErrTooFew},
		"not finite":  {[]float64{1, 2, 3, math.NaN()}, []float64{1, 2, 4, 4}, ErrNotFinite},
		"one x":       {[]float64{2, 2, 2, 2}, []float64{1, 2, 4, 3}, ErrNoSpread},
		"exact":       {[]float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, ErrNoSpread},
		"one decides": {[]float64{1, 1, 1, 9}, []float64{1, 2, 4, 3}, ErrTooFew},
	} {
		if _, err := FitLine(c.x, c.y, 0.95); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
