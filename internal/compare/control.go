package compare

import (
	"fmt"
	"math"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// Control is the A/A control: the baseline build measured against itself by
// the same pipeline before the first sample of the comparison.
type Control struct {
	// Pairs is the number of its pairs.
	Pairs int
	// Shift is the ratio between the two places, which would be 1 if they were
	// alike. Its N is 0 when the control is too short for an interval.
	Shift stat.Interval
	// Floor is the noise floor: half the width of Shift as a fraction; 0 when
	// it is not known.
	Floor float64
	// LongRun is the long-run standard deviation of its log ratios, with DF
	// degrees of freedom; ACF1 their lag-1 autocorrelation.
	LongRun, DF, ACF1 float64
	// Different are the blocks on which the build disagreed with itself.
	Different []uint64
	// Kind says whether it was taken in the places of both sides or on one
	// server that was asked twice.
	Kind sample.Control
	// Corrects says that its shift is taken off the effect; Why says why it is
	// not.
	Corrects bool
	Why      string

	shift stat.Interval // on the log scale
}

// minControl is the fewest pairs that show a noise floor: some blocks of the
// control may fail.
const minControl = 40

// control compares the records of the A/A control.
func (r *Result) control(records [2][]sample.Record) {
	a := newResult(Rule{Pairs: r.Rule.Control}, Witness)
	a.pair(a.gather(records))
	c := &Control{Pairs: len(a.Pairs), Different: a.Parity.Different, Kind: kindOf(records)}
	c.Corrects = c.Kind == sample.TwoPlaces
	if !c.Corrects {
		c.Why = "one server was asked twice: this is the noise of the measurement and says nothing about two places"
	}
	r.Control = c
	d := a.Differences()
	ranks, err := stat.NewSignedRank(d)
	if err != nil || len(d) < minControl {
		c.Corrects, c.Why = false, fmt.Sprintf("it has %d pairs, at least %d with some spread are needed for a noise floor", len(d), minControl)
		r.warn("the A/A control shows no noise floor: %s", c.Why)
		return
	}
	c.shift = ranks.Interval(1 - r.Rule.AlphaFinal)
	c.Shift = c.shift.Exp()
	c.Floor = math.Expm1((c.shift.High - c.shift.Low) / 2)
	omega, nu := stat.EWC(d)
	c.LongRun, c.DF, c.ACF1 = math.Sqrt(omega), float64(nu), stat.ACF(d, 1)
	if !c.shift.Bounded() {
		c.Corrects, c.Floor, c.Why = false, 0, "its interval is unbounded"
		r.warn("the A/A control shows no noise floor: %s", c.Why)
	}
}

// kindOf is how the control was taken.
func kindOf(records [2][]sample.Record) sample.Control {
	for i := range records {
		for _, rec := range records[i] {
			if rec.Sample != nil {
				return rec.Sample.Control
			}
		}
	}
	return ""
}

// Quiet reports whether the control shows no shift between the places, so that
// an uncorrected sequence may stop a run early.
func (c *Control) Quiet() bool {
	return c == nil || c.Shift.N == 0 || c.Shift.Contains(1)
}

// String tells the noise floor.
func (c *Control) String() string {
	if c.Floor == 0 {
		return fmt.Sprintf("%d pairs, no noise floor: %s", c.Pairs, c.Why)
	}
	return fmt.Sprintf("shift %.4f [%.4f, %.4f], noise floor ±%.2g %%, %d pairs",
		c.Shift.Center, c.Shift.Low, c.Shift.High, 100*c.Floor, c.Pairs)
}
