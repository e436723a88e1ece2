package stat

import "math"

// Verdict is the answer of a comparison.
type Verdict string

// The verdicts, in the words of the report. NoEffect is printed with the
// margin.
const (
	Improves     Verdict = "improves"
	Regresses    Verdict = "regresses"
	NoEffect     Verdict = "no effect beyond"
	Inconclusive Verdict = "inconclusive"
	Invalid      Verdict = "invalid"
)

// The error rates of a run, fixed before its first sample: one for the
// sequence that may be looked at and one for the analysis at the planned n. By
// the union bound they are 0.05 together, whatever the operator does.
const (
	AlphaLive  = 0.01
	AlphaFinal = 0.04
)

// Stage says how far a run is.
type Stage int

// The stages of a run.
const (
	// Running: fewer pairs than planned, and more to come. Only the sequence
	// may decide.
	Running Stage = iota
	// Stopped: fewer pairs than planned, and no more to come. Only the
	// sequence may decide, and too few pairs are invalid.
	Stopped
	// Planned: exactly the planned pairs. The one fixed-n analysis, and if it
	// shows no direction the sequence.
	Planned
	// Extended: more pairs than planned. Only the sequence may decide.
	Extended
)

// Evidence is what a verdict is made from. Intervals are on the log scale.
type Evidence struct {
	Stage Stage
	// Broken are the reasons why the result is invalid, whatever the numbers
	// say: parity, a rule of the design. None when it is not.
	Broken []string
	// Undecidable are the reasons why no verdict can be given although
	// nothing was wrong with the test side, such as answers of one build
	// that differ among themselves.
	Undecidable []string
	// Pairs is the number of valid pairs; MinPairs that of a verdict, 0 for
	// the default.
	Pairs, MinPairs int
	// Sequence is the confidence sequence at 1-AlphaLive, Batches its length.
	// A zero Sequence is none: runs without live decisions leave it.
	Sequence Interval
	Batches  int
	// Final is the interval at 1-AlphaFinal and Inner the one at
	// 1-2 AlphaFinal. They are only looked at when the stage is Planned.
	Final, Inner Interval
	// Margin is the practical margin m as a fraction, such as 0.03.
	Margin float64
}

// Decision is a verdict with the interval that it stands on.
type Decision struct {
	Verdict Verdict
	// Interval is the one that decided, on the log scale: the sequence or the
	// final interval. It has N 0 when the result is invalid.
	Interval Interval
	// Live says that the sequence decided.
	Live bool
	// BeyondMargin says that the whole interval of an effect clears the
	// margin; otherwise an effect below the margin is possible.
	BeyondMargin bool
	// Reasons say why the verdict is invalid or inconclusive.
	Reasons []string
}

// Decide applies the table of verdicts. The margin acts on the log scale:
// delta is ln(1+margin), the ratio interval (1/(1+m), 1+m).
//
// At the planned number of pairs the fixed-n interval comes first, so that it
// is the one printed, also when the sequence agrees. The order costs nothing:
// both error rates are spent together either way.
func Decide(e Evidence) Decision {
	if e.MinPairs == 0 {
		e.MinPairs = MinPairs
	}
	switch {
	case len(e.Broken) > 0:
		return Decision{Verdict: Invalid, Reasons: e.Broken}
	case e.Stage != Running && e.Pairs < e.MinPairs:
		return Decision{Verdict: Invalid, Reasons: []string{"too few pairs"}}
	case len(e.Undecidable) > 0:
		return Decision{Verdict: Inconclusive, Interval: e.Final, Reasons: e.Undecidable}
	}
	delta := math.Log1p(e.Margin)
	if e.Stage == Planned {
		if d, ok := direction(e.Final, delta); ok {
			return d
		}
	}
	if d, ok := e.live(delta); ok {
		return d
	}
	if e.Stage != Planned {
		return Decision{
			Verdict: Inconclusive, Interval: e.Sequence,
			Reasons: []string{"the sequence has not decided"},
		}
	}
	if e.Inner.N > 0 && e.Inner.Within(-delta, delta) {
		return Decision{Verdict: NoEffect, Interval: e.Final}
	}
	return Decision{
		Verdict: Inconclusive, Interval: e.Final,
		Reasons: []string{"the interval holds no effect as well as one beyond the margin"},
	}
}

// live is what the sequence decides, if it does.
func (e Evidence) live(delta float64) (Decision, bool) {
	if e.Sequence.N == 0 || e.Batches < MinBatches || e.Pairs < e.MinPairs {
		return Decision{}, false
	}
	if d, ok := direction(e.Sequence, delta); ok {
		d.Live = true
		return d, true
	}
	if e.Stage == Extended && e.Sequence.Within(-delta, delta) {
		return Decision{Verdict: NoEffect, Interval: e.Sequence, Live: true}, true
	}
	return Decision{}, false
}

// direction is the verdict of an interval that lies wholly on one side of no
// effect.
func direction(v Interval, delta float64) (Decision, bool) {
	switch {
	case v.N == 0:
		return Decision{}, false
	case v.High < 0:
		return Decision{Verdict: Improves, Interval: v, BeyondMargin: v.High < -delta}, true
	case v.Low > 0:
		return Decision{Verdict: Regresses, Interval: v, BeyondMargin: v.Low > delta}, true
	}
	return Decision{}, false
}
