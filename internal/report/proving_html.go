package report

import (
	"fmt"
	"math"
	"time"

	"github.com/verdict-bench/verdict/internal/chart"
	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// htmlOneSide are the parts of the page of one side, in order.
func htmlOneSide(r *Run, d *Document) []htmlSection {
	res := r.Result
	s := &htmlSeries{res: res}
	s.fill()
	return []htmlSection{
		{ID: "sides", Title: "Summary", Tables: []htmlTable{htmlSummary(d)}},
		htmlPictures("series", "Batch by batch", s.latencies()),
		htmlPictures("work", "What the time depends on", s.againstGas()),
		htmlMachine(res.Proving),
		{ID: "observations", Title: "Observations and conclusion", List: d.Observations, Text: []string{d.Conclusion}},
		htmlEnvironment(r, d),
		{ID: "method", Title: "Method", Text: d.Method},
		htmlLeft(res, d),
		htmlRaw(res, d),
	}
}

// htmlSummary is the Summary of the Results Template.
func htmlSummary(d *Document) htmlTable {
	t := htmlTable{Caption: "Summary", Head: htmlColumns("Metric", "Value#"), Note: "Quantiles are type 7. What stands after ± is half of a 95 % interval."}
	for _, row := range d.Comparison {
		t.Rows = append(t.Rows, []string{row[0], row[1]})
	}
	return t
}

// htmlLeft lists every attempt that does not count.
func htmlLeft(r *compare.Result, d *Document) htmlSection {
	s := htmlSection{ID: "excluded", Title: "What does not count"}
	if len(d.Left) == 0 && len(d.Excluded) == 0 {
		s.Text = []string{"Every attempt counts."}
		return s
	}
	t := htmlTable{Caption: "By reason", Head: htmlColumns("Reason", "Attempts#", "Batches")}
	for _, e := range d.Excluded {
		t.Rows = append(t.Rows, []string{e.Reason, fmt.Sprint(e.Count), listed(e)})
	}
	s.Tables = []htmlTable{t}
	if len(d.Left) == 0 {
		return s
	}
	names := []string{"Side", "Batch#", "Attempt#", "Time, s#", "Reason"}
	if single(r) {
		names = names[1:]
	}
	each := htmlTable{Caption: "One by one", Head: htmlColumns(names...), Rows: d.Left[:min(len(d.Left), htmlRowLimit)], Folded: true, Long: true}
	if n := len(d.Left) - htmlRowLimit; n > 0 {
		each.Note = fmt.Sprintf("%d more are in the CSV report.", n)
	}
	s.Tables = append(s.Tables, each)
	return s
}

// htmlMachine shows what the machine did over the time of the run.
func htmlMachine(p *compare.Proving) htmlSection {
	percent := func(x *float64) (float64, bool) {
		if x == nil {
			return 0, false
		}
		return 100 * *x, true
	}
	figures := []*htmlFigure{
		overTime(p, "power", "GPU power", "power of all GPUs, W", "No power of a GPU was recorded: it is unknown, not zero.", compare.Power),
		overTime(p, "temperature", "GPU temperature", "temperature of the hottest GPU, °C", "No temperature of a GPU was recorded.", compare.Celsius),
		overTime(p, "cpu", "CPU", "share of all cores that was busy, %", "No use of the CPU was recorded.",
			func(m *sample.Machine) (float64, bool) { return percent(m.CPU) }),
	}
	s := htmlPictures("machine", "The machine over the run", figures...)
	if s.Missing != "" || len(s.Figures) == 0 {
		return s
	}
	all := true
	for _, f := range s.Figures {
		all = all && f.Missing != ""
	}
	if all {
		s.Missing, s.Figures = "Of the machine nothing was recorded.", nil
	}
	return s
}

// overTime draws one figure of the machine in minutes since the first record.
func overTime(p *compare.Proving, id, title, label, missing string, of func(*sample.Machine) (float64, bool)) *htmlFigure {
	f := &htmlFigure{ID: id, Title: title, Caption: "Over the whole run, also between the proofs."}
	first := firstRecord(p)
	var x, y [2][]float64
	for side := range p.Sides {
		session := 0
		for i, m := range p.Sides[side].Machines {
			v, ok := of(m)
			if i > 0 && m.Session != session && len(x[side]) > 0 { // a session is a stretch of its own
				x[side], y[side] = append(x[side], m.At.Sub(first).Minutes()), append(y[side], math.NaN())
			}
			session = m.Session
			if ok {
				x[side], y[side] = append(x[side], m.At.Sub(first).Minutes()), append(y[side], v)
			}
		}
	}
	low, high := spread(x[0], x[1])
	_, most := spread(y[0], y[1])
	if math.IsNaN(most) || low == high {
		f.Missing = missing
		return f
	}
	plot := chart.Plot{
		ID: id, Title: title + " over the run", Height: 200, Nearest: chart.ByX,
		X: chart.Linear("minutes since the first record", low, high), Y: chart.Linear(label, 0, math.Max(most*1.05, 1e-3)),
	}
	for side, name := range sample.Sides {
		if len(x[side]) == 0 {
			continue
		}
		line := chart.Line{Class: "line " + string(name)}
		step := max(1, (len(x[side])+pointLimit-1)/pointLimit)
		for i := range x[side] {
			if i%step == 0 || math.IsNaN(y[side][i]) {
				line.X, line.Y = append(line.X, x[side][i]), append(line.Y, y[side][i])
			}
		}
		if step > 1 {
			f.Note = fmt.Sprintf("Every %s record is drawn.", ordinal(step))
		}
		plot.Layers = append(plot.Layers, line)
	}
	plot.Desc = fmt.Sprintf("At most %.4g.", most)
	if p.Two {
		f.Key = sides("line")
	}
	f.Plot = plot.HTML()
	return f
}

func ordinal(n int) string {
	switch {
	case n%100/10 == 1:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}

// firstRecord is when the first record of the machine was made.
func firstRecord(p *compare.Proving) time.Time {
	var first time.Time
	for side := range p.Sides {
		for _, m := range p.Sides[side].Machines {
			if first.IsZero() || m.At.Before(first) {
				first = m.At
			}
		}
	}
	return first
}

// fitLines are the lines of time against gas of a prover run, in the units of
// the picture, where both axes may be logarithmic.
func (s *htmlSeries) fitLines(low, high float64) []chart.Layer {
	p := s.res.Proving
	if p == nil {
		return nil
	}
	const points = 40
	var out []chart.Layer
	for side, name := range sample.Sides {
		line := p.Sides[side].Fit
		if line == nil {
			continue
		}
		l := chart.Line{Class: "line " + string(name)}
		for i := range points + 1 {
			x := low * math.Pow(high/low, float64(i)/points)
			y := (line.Intercept.Center + line.Slope.Center*x) / s.scale
			if y <= 0 {
				y = math.NaN()
			}
			l.X, l.Y = append(l.X, x), append(l.Y, y)
		}
		out = append(out, l)
	}
	return out
}

// fitNote tells the lines that are drawn.
func (s *htmlSeries) fitNote() string {
	p := s.res.Proving
	if p == nil {
		return ""
	}
	text := ""
	for side := range p.Sides {
		line := p.Sides[side].Fit
		if line == nil {
			continue
		}
		if text != "" {
			text += " "
		}
		who := "The line"
		if p.Two {
			who = "The line of the " + string(sample.Sides[side]) + " side"
		}
		text += fmt.Sprintf("%s: %s and %s per Mgas (95 %% HC3, %s).", who, lineText(line, 0), lineText(line, 1), count(line.Slope.N, "batch"))
	}
	return text
}

func lineText(l *stat.Line, k int) string {
	_, text := coefficient(l, k)
	return text
}
