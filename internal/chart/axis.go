package chart

import (
	"math"
	"strconv"
)

// Axis maps values to places along one direction of a plot.
type Axis struct {
	// Label names what the axis shows, with its unit.
	Label string
	// Low and High are the values at its ends.
	Low, High float64
	// Log says that equal ratios have equal lengths.
	Log bool

	ticks    []float64
	decimals int
	unsigned bool
}

// Linear is an axis from low to high. Where they are one value, it gets room
// on both sides.
func Linear(label string, low, high float64) Axis {
	if low == high {
		room := max(math.Abs(low)*0.05, 0.5)
		low, high = low-room, high+room
	}
	a := Axis{Label: label, Low: low, High: high}
	a.even(tickGoal)
	return a
}

// Log is an axis on which equal ratios have equal lengths. Where low is not
// above 0 there is no such axis, and it is a linear one.
func Log(label string, low, high float64) Axis {
	if !(low > 0) {
		return Linear(label, low, high)
	}
	if low == high {
		low, high = low/1.05, high*1.05
	}
	a := Axis{Label: label, Low: low, High: high, Log: true}
	// Over a short stretch even steps read better than 1, 2, 5.
	if high/low < 5 {
		a.even(tickGoal)
	} else {
		a.decades()
	}
	return a
}

// tickGoal is the most steps that an axis is divided into; steps of 1, 2 and 5
// make it at least three.
const tickGoal = 9

// even sets ticks in steps of 1, 2 or 5 times a power of ten.
func (a *Axis) even(goal int) {
	raw := (a.High - a.Low) / float64(goal)
	power := math.Floor(math.Log10(raw))
	step := math.Pow(10, power)
	for _, m := range []float64{2, 5, 10} {
		if step*1.0001 < raw {
			step = m * math.Pow(10, power)
		}
	}
	// The exact power of ten of the step gives its decimals: 0.02 has two.
	a.decimals = max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	for k := math.Ceil(a.Low/step - 1e-9); k*step <= a.High+1e-9*step; k++ {
		a.ticks = append(a.ticks, k*step)
	}
}

// decades sets ticks at 1, 2 and 5 times the powers of ten, or at fewer of the
// powers where there are many.
func (a *Axis) decades() {
	a.decimals = -1
	first, last := math.Floor(math.Log10(a.Low)), math.Ceil(math.Log10(a.High))
	mantissas, stride := []float64{1, 2, 5}, 1.0
	switch {
	case last-first > 4:
		mantissas, stride = []float64{1}, math.Ceil((last-first)/tickGoal)
	case a.High/a.Low < 15:
		mantissas = []float64{1, 1.5, 2, 3, 5, 7}
	}
	for k := first; k <= last; k += stride {
		for _, m := range mantissas {
			if v := m * math.Pow(10, k); v >= a.Low*(1-1e-9) && v <= a.High*(1+1e-9) {
				a.ticks = append(a.ticks, v)
			}
		}
	}
}

// At is the place of v between 0 at the low end and 1 at the high end. What
// lies beyond an end is put at the end.
func (a Axis) At(v float64) float64 {
	low, high := a.Low, a.High
	if a.Log {
		low, high, v = math.Log(low), math.Log(high), math.Log(v)
	}
	return min(1, max(0, (v-low)/(high-low)))
}

// Inside reports whether v lies between the ends.
func (a Axis) Inside(v float64) bool { return v >= a.Low && v <= a.High }

// text is a tick as it is printed.
func (a Axis) text(v float64) string {
	if a.unsigned {
		v = math.Abs(v)
	}
	if a.decimals >= 0 {
		s := strconv.FormatFloat(v, 'f', a.decimals, 64)
		if v, _ := strconv.ParseFloat(s, 64); v == 0 {
			return strconv.FormatFloat(0, 'f', a.decimals, 64) // no minus nothing
		}
		return s
	}
	s := strconv.FormatFloat(v, 'g', 3, 64)
	if v, err := strconv.ParseFloat(s, 64); err == nil && v >= 1e-4 && v < 1e9 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return s
}

// Sizes in CSS pixels that the choice of labels counts on. A label is as wide
// as the widest common font makes it; narrow is a plot on a phone of 360, wide
// one from the width on at which the style sheet shows all labels.
const (
	labelChar  = 7.8
	labelGap   = 8
	narrowPlot = 262
	widePlot   = 400
	// leftRoom and rightRoom are how far a label may stick out of the plot.
	leftRoom, rightRoom = 38, 26
)

// label is a tick as it stands under the plot.
type label struct {
	at   float64
	text string
	// narrow says that it is shown on a phone too.
	narrow bool
	// edge is -1 or 1 where the label would stick out at that end.
	edge int
}

// labels are the ticks that do not overlap: those of a wide plot, and among
// them those of a narrow one.
func (a Axis) labels() []label {
	wide := a.thin(a.ticks, widePlot)
	narrow := a.thin(wide, narrowPlot)
	var out []label
	j := 0
	for _, v := range wide {
		l := label{at: a.At(v), text: a.text(v)}
		if j < len(narrow) && narrow[j] == v {
			l.narrow = true
			j++
		}
		l.edge = edge(l.at, labelWidth(l.text))
		out = append(out, l)
	}
	return out
}

// edge is -1 or 1 where a label of width w would stick out too far on a phone.
// It then begins or ends at its tick, on any screen.
func edge(at, w float64) int {
	switch {
	case at*narrowPlot-w/2 < -leftRoom:
		return -1
	case at*narrowPlot+w/2 > narrowPlot+rightRoom:
		return 1
	}
	return 0
}

func labelWidth(text string) float64 { return labelChar * float64(len([]rune(text))) }

// thin leaves out every second, third ... tick until the labels of the others
// have room side by side. A 1 among them stays: it is the ratio of no change.
func (a Axis) thin(ticks []float64, px float64) []float64 {
	for stride := 1; stride < len(ticks); stride++ {
		var kept []float64
		anchor := 0
		for i, v := range ticks {
			if a.Log && math.Abs(v-1) < 1e-9 {
				anchor = i % stride
			}
		}
		for i := anchor; i < len(ticks); i += stride {
			kept = append(kept, ticks[i])
		}
		if a.fits(kept, px) {
			return kept
		}
	}
	return ticks[:min(1, len(ticks))]
}

// fits reports whether the labels of the ticks have room side by side on px
// pixels, also where one is moved in from an end.
func (a Axis) fits(ticks []float64, px float64) bool {
	end := math.Inf(-1)
	for _, v := range ticks {
		w := labelWidth(a.text(v))
		at := a.At(v)
		left := at*px - w/2 - float64(edge(at, w))*w/2
		if left < end+labelGap {
			return false
		}
		end = left + w
	}
	return true
}

// Mirrored is a linear axis from -most to most whose labels have no sign: two
// quantities back to back.
func Mirrored(label string, most float64) Axis {
	a := Linear(label, -most, most)
	a.unsigned = true
	return a
}

// Value is the value at a place between 0 and 1: the reverse of At.
func (a Axis) Value(at float64) float64 {
	if a.Log {
		return a.Low * math.Pow(a.High/a.Low, at)
	}
	return a.Low + at*(a.High-a.Low)
}

// Middle is the value halfway between two others along the axis.
func (a Axis) Middle(v, w float64) float64 { return a.Value((a.At(v) + a.At(w)) / 2) }
