// Package chart draws plots as fragments of a page: SVG for the data, which is
// stretched to the width that there is, and HTML for the words around it, which
// keep their size on a phone. It takes values and returns markup; text in it is
// escaped. Every plot has a name and a description for those who do not see
// it, and marks whose values can be read by pointer and keyboard.
package chart

import (
	_ "embed" // the style sheet and the script are part of the program
	"fmt"
	"html"
	"html/template"
	"strings"
)

//go:embed chart.css
var style string

// Style is the style sheet of pages with plots. It defines the colors of the
// light and the dark theme as custom properties, which the rest of a page may
// use.
func Style() string { return style }

//go:embed chart.js
var script string

// Script makes the marks of plots readable by pointer and keyboard. Without it
// they have tooltips.
func Script() string { return script }

// Plot is one picture over two axes.
type Plot struct {
	// ID is unique on the page. The ids of the parts begin with it.
	ID string
	// Title names the picture, Desc tells what it shows, both as plain text.
	Title, Desc string
	X, Y        Axis
	// Height of the data in CSS pixels.
	Height int
	Layers []Layer
	// Marks are the values that can be read, in the order of the keyboard.
	Marks []Mark
	// Lanes, if any, divide the plot into rows with a name each, in place of
	// ticks of the y axis.
	Lanes []Lane
	// Grid says of which axes the ticks have lines.
	Grid Grid
	// Nearest says how a pointer finds a mark.
	Nearest Nearest
}

// Grid says of which axes the ticks have lines.
type Grid int

// The grids.
const (
	GridY Grid = iota
	GridX
	GridBoth
)

// Nearest says how a pointer finds a mark.
type Nearest string

// The ways to find a mark.
const (
	// ByX: the mark whose x is nearest, for a series along x.
	ByX Nearest = "x"
	// ByY: the mark whose y is nearest, for lanes.
	ByY Nearest = "y"
	// ByBoth: the nearest mark, for a cloud of points.
	ByBoth Nearest = "xy"
)

// Mark is a value that can be read: a sentence, and the one or more points
// that it belongs to.
type Mark struct {
	X, Y []float64
	Text string
}

// Lane is a row of a plot with lanes.
type Lane struct {
	// Name and Value stand side by side above its data.
	Name, Value string
}

// LaneHeight is the height of a lane in CSS pixels.
const LaneHeight = 52

// laneLine is where in a lane its data are, from its top.
const laneLine = 38

// Lanes are the y axis and the height of a plot with n lanes.
func Lanes(n int) (Axis, int) {
	h := n * LaneHeight
	return Axis{Low: 0, High: float64(h)}, h
}

// LaneY is the y value of the data of lane i, from 0, in a plot of n lanes.
func LaneY(i, n int) float64 { return float64(n*LaneHeight - i*LaneHeight - laneLine) }

// HTML is the markup of the plot.
func (p *Plot) HTML() template.HTML {
	var b strings.Builder
	if len(p.Lanes) == 0 && p.Y.Label != "" {
		fmt.Fprintf(&b, `<p class="axis" aria-hidden="true">%s</p>`, html.EscapeString(p.Y.Label))
	}
	class := "chart"
	if len(p.Lanes) > 0 {
		class += " lanes"
	}
	fmt.Fprintf(&b, `<div class="%s" data-near="%s">`, class, p.Nearest)
	if len(p.Lanes) == 0 {
		p.yTicks(&b)
	}
	fmt.Fprintf(&b, `<div class="plot" style="height:%dpx">`, p.Height)
	p.svg(&b)
	p.laneText(&b)
	b.WriteString("</div>")
	p.xTicks(&b)
	b.WriteString("</div>")
	if p.X.Label != "" {
		fmt.Fprintf(&b, `<p class="axis x" aria-hidden="true">%s</p>`, html.EscapeString(p.X.Label))
	}
	return template.HTML(b.String())
}

// svg writes the picture.
func (p *Plot) svg(b *strings.Builder) {
	id := html.EscapeString(p.ID)
	fmt.Fprintf(b, `<svg viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-labelledby="%s-title" aria-describedby="%s-desc">`,
		width, p.Height, id, id)
	fmt.Fprintf(b, `<title id="%s-title">%s</title><desc id="%s-desc">%s</desc>`,
		id, html.EscapeString(p.Title), id, html.EscapeString(p.Desc))
	p.grid(b)
	for _, l := range p.Layers {
		l.draw(b, p)
	}
	if len(p.Marks) > 0 {
		b.WriteString(`<g class="marks">`)
		for _, m := range p.Marks {
			b.WriteString(`<path d="`)
			for i := range m.X {
				path{b, p}.to('M', m.X[i], m.Y[i])
				b.WriteString(dot)
			}
			b.WriteString(`"><title>` + html.EscapeString(m.Text) + "</title></path>")
		}
		b.WriteString("</g>")
	}
	b.WriteString("</svg>")
}

// grid writes the lines of the ticks.
func (p *Plot) grid(b *strings.Builder) {
	open(b, "grid")
	d := path{b, p}
	if p.Grid != GridX && len(p.Lanes) == 0 {
		for _, v := range p.Y.ticks {
			d.to('M', p.X.Low, v)
			b.WriteString(fmt.Sprintf("h%d", width))
		}
	}
	if p.Grid != GridY {
		for _, v := range p.X.ticks {
			d.to('M', v, p.Y.High)
			b.WriteString(fmt.Sprintf("v%d", p.Height))
		}
	}
	shut(b)
}

// yTicks writes the labels of the y axis. The longest one, unseen, gives them
// their width.
func (p *Plot) yTicks(b *strings.Builder) {
	longest := ""
	for _, v := range p.Y.ticks {
		if s := p.Y.text(v); len(s) > len(longest) {
			longest = s
		}
	}
	fmt.Fprintf(b, `<div class="y" aria-hidden="true"><b>%s</b>`, html.EscapeString(longest))
	for _, v := range p.Y.ticks {
		fmt.Fprintf(b, `<span style="top:%.1f%%">%s</span>`, 100*(1-p.Y.At(v)), html.EscapeString(p.Y.text(v)))
	}
	b.WriteString("</div>")
}

// xTicks writes the labels of the x axis.
func (p *Plot) xTicks(b *strings.Builder) {
	b.WriteString(`<div class="x" aria-hidden="true">`)
	for _, l := range p.X.labels() {
		var class []string
		if !l.narrow {
			class = append(class, "wide")
		}
		switch l.edge {
		case -1:
			class = append(class, "first")
		case 1:
			class = append(class, "last")
		}
		attr := ""
		if len(class) > 0 {
			attr = ` class="` + strings.Join(class, " ") + `"`
		}
		fmt.Fprintf(b, `<span%s style="left:%.1f%%">%s</span>`, attr, 100*l.at, html.EscapeString(l.text))
	}
	b.WriteString("</div>")
}

// laneText writes the names and values of the lanes over the picture. The
// table under a picture has the same words, so that they are hidden from
// screen readers here.
func (p *Plot) laneText(b *strings.Builder) {
	for i, l := range p.Lanes {
		fmt.Fprintf(b, `<div class="lane" aria-hidden="true" style="top:%dpx"><span>%s</span><span>%s</span></div>`,
			i*LaneHeight, html.EscapeString(l.Name), html.EscapeString(l.Value))
	}
}
