package chart

import (
	"math"
	"strconv"
	"strings"
)

// width is the width of the coordinates in which data are drawn. They are
// stretched to the width that the page gives the plot; lines and points keep
// their thickness.
const width = 1000

// Layer is a part of a picture. Layers are drawn in order, the last on top.
// Coordinates beyond the axes are drawn at their ends, and values that are not
// numbers are left out.
type Layer interface {
	draw(b *strings.Builder, p *Plot)
}

// Band is a stretch of one axis across the whole of the other. One whose ends
// are equal is a line.
type Band struct {
	Class string
	// Upright is a stretch of the x axis, from top to bottom.
	Upright   bool
	Low, High float64
}

// Area lies between two lines over common x.
type Area struct {
	Class        string
	X, Low, High []float64
	// Steps holds each value until the next one.
	Steps bool
}

// Line connects points in order and is interrupted where a value is no number.
type Line struct {
	Class string
	X, Y  []float64
	Steps bool
}

// Dots are points. Their class decides on their shape.
type Dots struct {
	Class string
	X, Y  []float64
}

// Bar is a rectangle between two corners.
type Bar struct {
	Class          string
	X0, X1, Y0, Y1 float64
}

// Whisker is a horizontal interval at Y. An end that is infinite is drawn as
// open.
type Whisker struct {
	Class        string
	Y, Low, High float64
}

// path writes the d attribute of a path.
type path struct {
	b *strings.Builder
	p *Plot
}

func number(b *strings.Builder, v float64) {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	b.WriteString(strings.TrimSuffix(s, ".0"))
}

// to moves to a point, or draws a line to it, in the units of the data.
func (d path) to(command byte, x, y float64) {
	d.b.WriteByte(command)
	number(d.b, d.p.left(x))
	d.b.WriteByte(' ')
	number(d.b, d.p.top(y))
}

// left and top are the place of a value in the coordinates of the picture.
func (p *Plot) left(x float64) float64 { return width * p.X.At(x) }
func (p *Plot) top(y float64) float64  { return float64(p.Height) * (1 - p.Y.At(y)) }

func open(b *strings.Builder, class string) {
	b.WriteString(`<path class="` + class + `" d="`)
}

func shut(b *strings.Builder) { b.WriteString(`"/>`) }

func (l Band) draw(b *strings.Builder, p *Plot) {
	bar := Bar{Class: l.Class, X0: p.X.Low, X1: p.X.High, Y0: l.Low, Y1: l.High}
	if l.Upright {
		bar = Bar{Class: l.Class, X0: l.Low, X1: l.High, Y0: p.Y.Low, Y1: p.Y.High}
	}
	axis := p.Y
	if l.Upright {
		axis = p.X
	}
	if l.High < axis.Low || l.Low > axis.High {
		return
	}
	bar.draw(b, p)
}

func (l Bar) draw(b *strings.Builder, p *Plot) {
	d := path{b, p}
	open(b, l.Class)
	d.to('M', l.X0, l.Y0)
	d.to('L', l.X1, l.Y0)
	d.to('L', l.X1, l.Y1)
	d.to('L', l.X0, l.Y1)
	b.WriteByte('Z')
	shut(b)
}

func (l Area) draw(b *strings.Builder, p *Plot) {
	d := path{b, p}
	type corner struct{ x, low, high float64 }
	var at []corner
	for i, x := range l.X {
		if math.IsNaN(l.Low[i]) || math.IsNaN(l.High[i]) {
			continue
		}
		if n := len(at); l.Steps && n > 0 {
			at = append(at, corner{x, at[n-1].low, at[n-1].high})
		}
		at = append(at, corner{x, l.Low[i], l.High[i]})
	}
	if len(at) < 2 {
		return
	}
	open(b, l.Class)
	command := byte('M')
	for _, c := range at {
		d.to(command, c.x, c.high)
		command = 'L'
	}
	for i := len(at) - 1; i >= 0; i-- {
		d.to('L', at[i].x, at[i].low)
	}
	b.WriteByte('Z')
	shut(b)
}

func (l Line) draw(b *strings.Builder, p *Plot) {
	d := path{b, p}
	open(b, l.Class)
	command, last := byte('M'), math.NaN()
	for i, x := range l.X {
		if math.IsNaN(l.Y[i]) {
			command = 'M'
			continue
		}
		if l.Steps && command == 'L' {
			d.to('L', x, last)
		}
		d.to(command, x, l.Y[i])
		command, last = 'L', l.Y[i]
	}
	shut(b)
}

// A point is a line of almost no length, whose round or square ends make it:
// these keep their shape when the picture is stretched.
const dot = "h.1"

func (l Dots) draw(b *strings.Builder, p *Plot) {
	d := path{b, p}
	open(b, "dots "+l.Class)
	for i, x := range l.X {
		if math.IsNaN(x) || math.IsNaN(l.Y[i]) {
			continue
		}
		d.to('M', x, l.Y[i])
		b.WriteString(dot)
	}
	shut(b)
}

func (l Whisker) draw(b *strings.Builder, p *Plot) {
	const half = 5
	d := path{b, p}
	open(b, "whisker "+l.Class)
	d.to('M', l.Low, l.Y)
	d.to('L', l.High, l.Y)
	for _, x := range [2]float64{l.Low, l.High} {
		if math.IsInf(x, 0) || !p.X.Inside(x) {
			continue
		}
		b.WriteByte('M')
		number(b, p.left(x))
		b.WriteByte(' ')
		number(b, p.top(l.Y)-half)
		b.WriteString("v" + strconv.Itoa(2*half))
	}
	shut(b)
}
