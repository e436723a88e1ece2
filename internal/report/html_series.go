package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/chart"
	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// htmlSeries are the measurements of both sides as pictures need them.
type htmlSeries struct {
	res *compare.Result
	// at is the number of the block or batch, or the place in the input.
	at, ms, gas, bytes [2][]float64
	sorted             [2][]float64
	// numbered says that at holds numbers of blocks or batches.
	numbered bool
	unit     string
	scale    float64
}

// fill takes the measurements from the result.
func (s *htmlSeries) fill() {
	r := s.res
	switch {
	case r.Groups != nil && r.Subject != compare.Proof:
		for side, ms := range r.Groups.MS {
			s.ms[side] = ms
			for i := range ms {
				s.at[side] = append(s.at[side], float64(i+1))
			}
		}
	case r.Subject == compare.Proof && len(r.Batches[0])+len(r.Batches[1]) > 0:
		s.numbered = true
		for side, batches := range r.Batches {
			for _, b := range batches {
				s.at[side], s.ms[side] = append(s.at[side], float64(b.Number)), append(s.ms[side], b.MS)
				s.gas[side] = append(s.gas[side], float64(b.Gas))
			}
		}
	default:
		s.pairs()
	}
	for side := range s.ms {
		s.sorted[side] = slices.Clone(s.ms[side])
		slices.Sort(s.sorted[side])
	}
	s.unit, s.scale = "milliseconds", 1
	if _, most := spread(s.ms[0], s.ms[1]); most >= 1e4 {
		s.unit, s.scale = "seconds", 1e3
	}
}

func (s *htmlSeries) pairs() {
	s.numbered = true
	for _, p := range s.res.Pairs {
		for side := range p.MS {
			s.at[side], s.ms[side] = append(s.at[side], float64(p.Number)), append(s.ms[side], p.MS[side])
			if p.Samples != nil {
				s.gas[side] = append(s.gas[side], float64(p.Samples[side].GasUsed))
				s.bytes[side] = append(s.bytes[side], float64(p.Samples[side].BodyBytes))
			}
		}
	}
}

// few says why there is no picture, and is empty when there is one.
func (s *htmlSeries) few() string {
	if n := len(s.ms[0]) + len(s.ms[1]); n == 0 {
		return "Nothing was measured on both sides, so there is nothing to draw."
	}
	if max(len(s.ms[0]), len(s.ms[1])) < 2 {
		return fmt.Sprintf("A picture needs at least two measurements of a side; there is %d of the baseline and %d of the test side.", len(s.ms[0]), len(s.ms[1]))
	}
	return ""
}

// what names the quantity that is compared.
func (s *htmlSeries) what() string {
	if s.res.Subject == compare.Proof {
		return "proving time"
	}
	return "latency"
}

// axis is an axis of the compared time: logarithmic where it spreads over more
// than a factor of eight.
func (s *htmlSeries) axis() chart.Axis {
	low, high := spread(s.ms[0], s.ms[1])
	low, high = low/s.scale, high/s.scale
	label := s.what() + ", " + s.unit
	if low > 0 && high/low > 8 {
		room := math.Pow(high/low, 0.03)
		return chart.Log(label+" (log scale)", low/room, high*room)
	}
	room := 0.04 * (high - low)
	if low = low - room; low < 0.4*high {
		low = 0
	}
	return chart.Linear(label, max(low, 0), high+room)
}

// scaled are the times of a side in the unit of the axis.
func (s *htmlSeries) scaled(side int) []float64 {
	out := make([]float64, len(s.ms[side]))
	for i, v := range s.ms[side] {
		out[i] = v / s.scale
	}
	return out
}

func (s *htmlSeries) text(ms float64) string { return duration(s.res.Subject, ms, 1) }

// sides are the legend of a picture with both sides.
func sides(sign string) []htmlKey {
	return []htmlKey{{sign + " baseline", "baseline"}, {sign + " test", "test"}}
}

// latencies draws both sides one after the other in order.
func (s *htmlSeries) latencies() *htmlFigure {
	unit := s.res.Subject.Unit()
	f := &htmlFigure{ID: "times", Title: sentence(s.what()) + " of each " + unit, Wide: true, Caption: "Both sides, in order of " + unit + " number."}
	if single(s.res) {
		f.Caption = "In order of " + unit + " number."
	}
	x := unit + " number"
	if !s.numbered {
		x = "place in the input"
		f.Caption = "Both sides, each in the order of its input. The same place is not the same " + unit + "."
	}
	if f.Missing = s.few(); f.Missing != "" {
		return f
	}
	f.scatter(s, "times", s.at, x, 1, chart.ByX)
	return f
}

// againstGas draws the time against gas.
func (s *htmlSeries) againstGas() *htmlFigure {
	return s.against("gas", sentence(s.what())+" against gas", "gas used", "Mgas", 1e6, s.gas)
}

// againstBytes draws the latency against the size of the answer; proofs have none.
func (s *htmlSeries) againstBytes() *htmlFigure {
	if s.res.Subject == compare.Proof {
		return nil
	}
	return s.against("bytes", sentence(s.what())+" against answer size", "answer size", "MB", 1e6, s.bytes)
}

// against draws the time against something else that is known of each block.
func (s *htmlSeries) against(id, title, name, unit string, scale float64, x [2][]float64) *htmlFigure {
	f := &htmlFigure{ID: id, Title: title}
	if f.Missing = s.few(); f.Missing != "" {
		return f
	}
	low, high := spread(x[0], x[1])
	switch {
	case s.res.Subject == compare.Witness && !sampled(s.res):
		f.Missing = "There are no pairs with samples behind them, which would say how much gas the blocks used and how large the answers were."
		return f
	case math.IsNaN(low) || high == 0:
		f.Missing = "The " + name + " is not known."
		return f
	case low == high:
		f.Missing = fmt.Sprintf("The %s is the same everywhere, %.4g %s: nothing can depend on it.", name, low/scale, unit)
		return f
	case low > 0 && high/low < 1.02:
		f.Missing = fmt.Sprintf("The %s is nearly the same everywhere, %.4g to %.4g %s: what depends on it does not show.", name, low/scale, high/scale, unit)
		return f
	}
	var scaled [2][]float64
	for side := range x {
		for _, v := range x[side] {
			scaled[side] = append(scaled[side], v/scale)
		}
	}
	f.Caption = "Whether large " + s.res.Subject.Units() + " differ more than small ones."
	if single(s.res) {
		f.Caption = "A proof has a fixed cost and one that grows with the batch."
	}
	f.scatter(s, id, scaled, name+", "+unit, scale, chart.ByBoth)
	return f
}

// scatter draws the time of both sides over x, point by point or in groups.
func (f *htmlFigure) scatter(s *htmlSeries, id string, x [2][]float64, label string, scale float64, nearest chart.Nearest) {
	p := chart.Plot{ID: id, Title: f.Title, Y: s.axis(), Height: 260, Nearest: nearest}
	low, high := spread(x[0], x[1])
	if scale != 1 && low > 0 && high/low > 8 {
		p.X = chart.Log(label+" (log scale)", low, high)
	} else {
		p.X = chart.Linear(label, low, high)
	}
	p.Desc = fmt.Sprintf("Baseline: %d values, median %s. Test: %d values, median %s.",
		len(s.ms[0]), s.median(0), len(s.ms[1]), s.median(1))
	if single(s.res) {
		p.Desc = fmt.Sprintf("%d values, median %s.", len(s.ms[0]), s.median(0))
	}
	many := max(len(s.ms[0]), len(s.ms[1])) > pointLimit
	if many {
		goal := groupGoal
		if nearest == chart.ByBoth {
			goal = 60
		}
		f.groupedScatter(&p, s, x, label, goal)
	} else {
		if !single(s.res) {
			f.Key = sides("dot")
		}
		few := ""
		if max(len(x[0]), len(x[1])) <= fewPoints {
			few = " few"
		}
		if few != "" && s.numbered && s.res.Groups == nil && nearest == chart.ByX {
			p.Layers = append(p.Layers, s.joints(x))
		}
		for side := range x {
			p.Layers = append(p.Layers, chart.Dots{Class: string(sample.Sides[side]) + few, X: x[side], Y: s.scaled(side)})
		}
		p.Marks = s.marks(x, label, id != "times")
	}
	if id == "gas" && low > 0 && low < high {
		p.Layers = append(p.Layers, s.fitLines(low, high)...)
		if note := s.fitNote(); note != "" {
			f.note(note)
		}
	}
	f.Plot = p.HTML()
}

// fewPoints is how many points are drawn large.
const fewPoints = 60

// joints are upright lines between the two values of each pair.
func (s *htmlSeries) joints(x [2][]float64) chart.Line {
	line := chart.Line{Class: "join"}
	test := make(map[float64]float64, len(x[1]))
	for i, at := range x[1] {
		test[at] = s.ms[1][i]
	}
	for i, at := range x[0] {
		if ms, ok := test[at]; ok {
			line.X = append(line.X, at, at, at)
			line.Y = append(line.Y, s.ms[0][i]/s.scale, ms/s.scale, math.NaN())
		}
	}
	return line
}

func (s *htmlSeries) median(side int) string {
	if len(s.sorted[side]) == 0 {
		return dash
	}
	return s.text(stat.Quantile(s.sorted[side], 0.5))
}

// marks make the points readable: one mark for a pair, one for each value that
// has no partner.
func (s *htmlSeries) marks(x [2][]float64, label string, show bool) []chart.Mark {
	type place struct{ side, i int }
	var order [][]place
	byNumber := make(map[float64]int)
	for side := range x {
		for i := range x[side] {
			at := s.at[side][i]
			if k, ok := byNumber[at]; ok && s.numbered && side == 1 && len(order[k]) == 1 {
				order[k] = append(order[k], place{side, i})
				continue
			}
			if side == 0 {
				byNumber[at] = len(order)
			}
			order = append(order, []place{{side, i}})
		}
	}
	key := func(p []place) float64 { return x[p[0].side][p[0].i] }
	slices.SortStableFunc(order, func(a, b []place) int {
		switch ka, kb := key(a), key(b); {
		case ka < kb:
			return -1
		case ka > kb:
			return 1
		}
		return 0
	})
	var out []chart.Mark
	for _, places := range order {
		first := places[0]
		m := chart.Mark{Text: fmt.Sprintf("%s %.0f", s.res.Subject.Unit(), s.at[first.side][first.i])}
		if !s.numbered {
			m.Text = fmt.Sprintf("place %.0f", s.at[first.side][first.i])
		}
		for _, p := range places {
			m.X, m.Y = append(m.X, x[p.side][p.i]), append(m.Y, s.ms[p.side][p.i]/s.scale)
			if single(s.res) {
				m.Text += ", " + s.text(s.ms[p.side][p.i])
			} else {
				m.Text += fmt.Sprintf(", %s %s", sample.Sides[p.side], s.text(s.ms[p.side][p.i]))
			}
			if show {
				m.Text += fmt.Sprintf(" (%s %.4g)", label, x[p.side][p.i])
			}
		}
		out = append(out, m)
	}
	return out
}

// groupedScatter draws more values than can be told apart.
func (f *htmlFigure) groupedScatter(p *chart.Plot, s *htmlSeries, x [2][]float64, label string, goal int) {
	f.Key = append(sides("line"), htmlKey{"fill soft baseline", "middle half, baseline"}, htmlKey{"fill soft test", "middle half, test"})
	for side, name := range sample.Sides {
		if len(x[side]) == 0 {
			continue
		}
		g := groups(x[side], s.scaled(side), goal)
		at := column(g, func(g group) float64 { return g.x })
		p.Layers = append(p.Layers,
			chart.Area{Class: "range inner " + string(name), X: at, Low: column(g, func(g group) float64 { return g.q1 }), High: column(g, func(g group) float64 { return g.q3 })},
			chart.Line{Class: "line " + string(name), X: at, Y: column(g, func(g group) float64 { return g.median })})
		for _, g := range g {
			p.Marks = append(p.Marks, chart.Mark{X: []float64{g.x}, Y: []float64{g.median},
				Text: fmt.Sprintf("%s, %s %.6g to %.6g (%d values): median %s, middle half %s to %s",
					name, label, g.from, g.to, g.n, s.text(g.median*s.scale), s.text(g.q1*s.scale), s.text(g.q3*s.scale))})
		}
	}
	slices.SortStableFunc(p.Marks, func(a, b chart.Mark) int {
		switch {
		case a.X[0] < b.X[0]:
			return -1
		case a.X[0] > b.X[0]:
			return 1
		}
		return 0
	})
	n := max(len(x[0]), len(x[1]))
	f.note(grouped(n, min(goal, n), s.res.Subject.Unit()))
}

// percentiles are those that the picture of the distribution can be read at.
var percentiles = []float64{1, 5, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95, 99}

// cumulative draws the share of values up to each latency.
func (s *htmlSeries) cumulative() *htmlFigure {
	f := &htmlFigure{ID: "ecdf", Title: "Share of " + s.res.Subject.Units() + " done within a time", Caption: "The curve farther left is faster."}
	if f.Missing = s.few(); f.Missing != "" {
		return f
	}
	f.Key = sides("line")
	p := chart.Plot{ID: "ecdf", Title: "Cumulative distribution of the " + s.what() + " on both sides", Height: 260, Nearest: chart.ByBoth, Grid: chart.GridBoth}
	p.X, p.Y = s.axis(), chart.Linear("share, %", 0, 100)
	p.Desc = "Medians: baseline " + s.median(0) + ", test " + s.median(1) + ". The table below has more quantiles."
	for side, name := range sample.Sides {
		n := len(s.sorted[side])
		line := chart.Line{Class: "line " + string(name), Steps: n <= pointLimit}
		line.X, line.Y = append(line.X, p.X.Low), append(line.Y, 0)
		for _, i := range thinned(n, pointLimit) {
			line.X, line.Y = append(line.X, s.sorted[side][i]/s.scale), append(line.Y, 100*float64(i+1)/float64(n))
		}
		line.X, line.Y = append(line.X, p.X.High), append(line.Y, 100)
		p.Layers = append(p.Layers, line)
	}
	t := htmlTable{Caption: "Quantiles (type 7)", Folded: true, Head: htmlColumns("Quantile", "Baseline#", "Test#")}
	for _, q := range percentiles {
		row := []string{fmt.Sprintf("p%.0f", q), dash, dash}
		m := chart.Mark{Text: fmt.Sprintf("%.0f %% are done within", q)}
		for side, name := range sample.Sides {
			if len(s.sorted[side]) == 0 {
				continue
			}
			v := stat.Quantile(s.sorted[side], q/100)
			row[side+1] = s.text(v)
			m.X, m.Y = append(m.X, v/s.scale), append(m.Y, q)
			m.Text += fmt.Sprintf(" %s on the %s side,", s.text(v), name)
		}
		m.Text = m.Text[:len(m.Text)-1]
		p.Marks = append(p.Marks, m)
		t.Rows = append(t.Rows, row)
	}
	f.Plot, f.Tables = p.HTML(), []htmlTable{t}
	return f
}

// histogram draws how often each latency occurs: the baseline upward, the test
// side downward.
func (s *htmlSeries) histogram() *htmlFigure {
	f := &htmlFigure{ID: "histogram", Title: "How often each time occurs", Caption: "Baseline above the middle line, test below it."}
	if f.Missing = s.few(); f.Missing != "" {
		return f
	}
	f.Key = sides("fill")
	p := chart.Plot{ID: "histogram", Title: "Histogram of the " + s.what() + " on both sides", Height: 260, Nearest: chart.ByX}
	p.X = s.axis()
	edges := s.edges(p.X)
	var share [2][]float64
	var count [2][]int
	most := 0.0
	for side := range s.sorted {
		share[side], count[side] = make([]float64, len(edges)-1), make([]int, len(edges)-1)
		for _, v := range s.sorted[side] {
			k, _ := slices.BinarySearch(edges, v/s.scale)
			k = min(max(k-1, 0), len(edges)-2)
			count[side][k]++
			share[side][k] += 100 / float64(len(s.sorted[side]))
		}
		for _, v := range share[side] {
			most = max(most, v)
		}
	}
	p.Y = chart.Mirrored("share of "+s.res.Subject.Units()+", %", most*1.05)
	p.Desc = "Medians: baseline " + s.median(0) + ", test " + s.median(1) + "."
	t := htmlTable{Caption: "Counts by interval of " + s.unit, Folded: true, Head: htmlColumns("From#", "To#", "Baseline#", "Test#")}
	for k := range len(edges) - 1 {
		if count[0][k]+count[1][k] == 0 {
			continue
		}
		from, to := s.text(edges[k]*s.scale), s.text(edges[k+1]*s.scale)
		m := chart.Mark{Text: fmt.Sprintf("%s to %s: %d on the baseline side, %d on the test side", from, to, count[0][k], count[1][k])}
		for side, name := range sample.Sides {
			if count[side][k] == 0 {
				continue
			}
			top := share[side][k] * []float64{1, -1}[side]
			p.Layers = append(p.Layers, chart.Bar{Class: "bar " + string(name), X0: edges[k], X1: edges[k+1], Y0: 0, Y1: top})
			m.X, m.Y = append(m.X, p.X.Middle(edges[k], edges[k+1])), append(m.Y, top)
		}
		p.Marks = append(p.Marks, m)
		t.Rows = append(t.Rows, []string{from, to, fmt.Sprint(count[0][k]), fmt.Sprint(count[1][k])})
	}
	p.Layers = append(p.Layers, chart.Band{Class: "no-effect", Low: 0, High: 0})
	f.Plot, f.Tables = p.HTML(), []htmlTable{t}
	return f
}

// edges cut the axis into bins of equal length, of the width that Freedman and
// Diaconis (1981) give the side that asks for the narrower one, between 8 and
// 40 of them.
func (s *htmlSeries) edges(a chart.Axis) []float64 {
	bins := 8
	for _, sorted := range s.sorted {
		if len(sorted) == 0 {
			continue
		}
		low, high := a.At(stat.Quantile(sorted, 0.25)/s.scale), a.At(stat.Quantile(sorted, 0.75)/s.scale)
		if width := 2 * (high - low) / math.Cbrt(float64(len(sorted))); width > 0 {
			bins = max(bins, int(min(40, math.Ceil(1/width))))
		}
	}
	edges := make([]float64, bins+1)
	for i := range edges {
		edges[i] = a.Value(float64(i) / float64(bins))
	}
	return edges
}
