// Package stat holds the statistics of a comparison: estimates, intervals,
// tests, sequences that may be looked at, power and the verdict.
//
// It is pure: no clock, no files, no unseeded randomness, no state between
// calls. Series are in block order unless a parameter is called sorted, and no
// function changes its arguments. A log ratio is ln(test/baseline), so that
// negative means that the test side is faster. Effects are estimated on the
// log scale; Interval.Exp turns them into ratios.
//
// Nothing here returns a NaN or a number without its interval as a result: a
// series that supports no interval gives one of the errors below, and an end
// that the data do not determine is infinite.
package stat

import (
	"errors"
	"fmt"
	"math"
)

// MinPairs is the smallest number of pairs for a verdict on latencies. Below
// it the level of the tests still holds, but t quantiles with three degrees
// of freedom leave no power.
const MinPairs = 80

// Errors that say why a series supports no interval.
var (
	// ErrTooFew means that the method needs more values.
	ErrTooFew = errors.New("too few values")
	// ErrNoSpread means that the values do not vary, so that no method can
	// tell how far off their center may be.
	ErrNoSpread = errors.New("the values have no spread")
	// ErrNotFinite means that a value is NaN or infinite, or so large that
	// its square is.
	ErrNotFinite = errors.New("not a finite number")
	// ErrNotPositive means that a latency, or a gas, is zero or negative.
	ErrNotPositive = errors.New("not a positive number")
	// ErrLengths means that two series that belong together differ in length.
	ErrLengths = errors.New("the series differ in length")
)

// noSpread is the share of the mean square below which a variance is only
// rounding error.
const noSpread = 1e-12

// largest is the largest magnitude that is taken for a finite value, and its
// inverse the smallest for a positive one: products of squares stay in range.
const largest = 1e100

// finite checks that x has at least least values and that all are finite.
func finite(x []float64, least int) error {
	if len(x) < least {
		return fmt.Errorf("%d of at least %d values: %w", len(x), least, ErrTooFew)
	}
	for i, v := range x {
		if !(math.Abs(v) <= largest) {
			return fmt.Errorf("value %d is %v: %w", i, v, ErrNotFinite)
		}
	}
	return nil
}

// positive is finite, and that all values are above zero.
func positive(x []float64, least int) error {
	if err := finite(x, least); err != nil {
		return err
	}
	for i, v := range x {
		if v < 1/largest {
			return fmt.Errorf("value %d is %v: %w", i, v, ErrNotPositive)
		}
	}
	return nil
}

// sameLength checks that two series belong together row by row.
func sameLength(a, b []float64) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d and %d values: %w", len(a), len(b), ErrLengths)
	}
	return nil
}

// LogRatios returns d_i = ln(test_i / baseline_i) for two series of positive
// latencies, row by row. The unit of the latencies cancels.
func LogRatios(baseline, test []float64) ([]float64, error) {
	if err := sameLength(baseline, test); err != nil {
		return nil, err
	}
	if err := positive(baseline, 0); err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	if err := positive(test, 0); err != nil {
		return nil, fmt.Errorf("test: %w", err)
	}
	d := make([]float64, len(test))
	for i := range d {
		// The difference of logarithms cannot overflow; the quotient can.
		d[i] = math.Log(test[i]) - math.Log(baseline[i])
	}
	return d, nil
}

// Logs returns the natural logarithms of positive values.
func Logs(x []float64) ([]float64, error) {
	if err := positive(x, 0); err != nil {
		return nil, err
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = math.Log(v)
	}
	return y, nil
}
