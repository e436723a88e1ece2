package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/verdict-bench/verdict/internal/chart"
	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// htmlForest draws every ratio with its interval about the line of no effect.
func htmlForest(r *compare.Result, d *Document) htmlFigure {
	f := htmlFigure{
		ID: "forest", Title: "Effect with its interval", Wide: true,
		Caption: "Left of 1 the test side is faster. The gray band is the margin of ±" + compare.Percent(r.Rule.Margin) +
			" %: effects inside it do not matter in practice. The first line is the effect that the verdict stands on.",
		Key: []htmlKey{{"line solid", "estimate and interval"}, {"fill faint margin", "margin"}},
	}
	var rows []Measure
	for _, e := range d.Effects {
		if e.Ratio.Unit == stat.UnitRatio && !math.IsNaN(e.Ratio.Center) {
			rows = append(rows, e)
		}
	}
	if len(rows) == 0 {
		f.Missing = stop("There is no effect to draw: " + d.Effect)
		return f
	}
	p := chart.Plot{
		ID: "forest", Title: "Ratio test / baseline with interval",
		Desc: d.Effect + ". The table below has every line.",
		Grid: chart.GridX, Nearest: chart.ByY,
	}
	low, high := 1/(1+r.Rule.Margin), 1+r.Rule.Margin
	p.X = ratioAxis("time of test / time of baseline (log scale)", rows, low, high)
	p.Y, p.Height = chart.Lanes(len(rows))
	p.Layers = append(p.Layers,
		chart.Band{Class: "margin", Upright: true, Low: low, High: high},
		chart.Band{Class: "no-effect", Upright: true, Low: 1, High: 1})
	beyond := false
	for i, e := range rows {
		forestRow(&p, e, i, len(rows))
		beyond = beyond || !p.X.Inside(e.Ratio.Center)
	}
	if beyond {
		f.Key = append(f.Key, htmlKey{"dot beyond", "beyond the picture, on its edge"})
	}
	f.Plot = p.HTML()
	return f
}

// forestRow draws one measure in its lane.
func forestRow(p *chart.Plot, e Measure, i, n int) {
	y := chart.LaneY(i, n)
	class := "secondary"
	switch {
	case i == 0:
		class = "primary"
	case e.Name == "A/A control":
		class = "control"
	}
	dot := chart.Dots{Class: "center " + class, X: []float64{e.Ratio.Center}, Y: []float64{y}}
	if !p.X.Inside(e.Ratio.Center) {
		dot.Class = "beyond"
	}
	p.Layers = append(p.Layers, chart.Whisker{Class: class, Y: y, Low: openLow(e.Ratio.Low), High: e.Ratio.High}, dot)
	p.Lanes = append(p.Lanes, chart.Lane{Name: e.Name, Value: fmt.Sprintf("%s [%s, %s]", ratio(e.Ratio.Center), htmlLow(e.Ratio.Low), ratio(e.Ratio.High))})
	p.Marks = append(p.Marks, chart.Mark{X: dot.X, Y: dot.Y,
		Text: fmt.Sprintf("%s: %s, interval %s at %s, n = %d", e.Name, e.Change, e.Interval, e.Level, e.Ratio.N)})
}

// openLow is the low end of a ratio's interval, infinite where the data set
// none.
func openLow(x float64) float64 {
	if x <= 0 {
		return math.Inf(-1)
	}
	return x
}

// ratioAxis holds the first row, the margin and 1, and of the other rows what
// does not lie so far off that these could not be told apart.
func ratioAxis(label string, rows []Measure, low, high float64) chart.Axis {
	reach := func(e Measure, limit float64) {
		for _, v := range []float64{e.Ratio.Center, e.Ratio.Low, e.Ratio.High} {
			if v > 0 && !math.IsInf(v, 0) && math.Abs(math.Log(v)) <= limit {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	reach(rows[0], math.Inf(1))
	limit := 4 * max(math.Log(high), -math.Log(low))
	for _, e := range rows[1:] {
		reach(e, limit)
	}
	room := math.Pow(high/low, 0.06)
	return chart.Log(label, low/room, high*room)
}

// htmlRatios draws the ratio of every pair with the running sequence behind.
// It is nil where nothing is paired.
func htmlRatios(r *compare.Result) *htmlFigure {
	if r.Groups != nil {
		return nil
	}
	unit := r.Subject.Unit()
	f := &htmlFigure{
		ID: "ratios", Title: "Ratio of each pair", Wide: true,
		Caption: "Each point is one " + unit + ": the time of the test side over that of the baseline side. Below 1 the test side was faster.",
	}
	if n := len(r.Pairs); n < 2 {
		f.Missing = fmt.Sprintf("A picture of ratios needs at least two pairs; there is %s.", []string{"none", "one"}[n])
		return f
	}
	x, y := make([]float64, len(r.Pairs)), make([]float64, len(r.Pairs))
	for i, p := range r.Pairs {
		x[i], y[i] = float64(p.Number), math.Exp(p.D)
	}
	band := r.Verdict.Outcome != compare.Invalid
	axis, one := pairAxis(r, y, band)
	p := chart.Plot{ID: "ratios", Title: "Ratio test / baseline over " + unit + " number", Height: 280, Nearest: chart.ByX}
	p.X, p.Y = chart.Linear(unit+" number", x[0], x[len(x)-1]), axis
	first, last := r.Range()
	p.Desc = fmt.Sprintf("%d pairs, %s %d to %d, median ratio %s.", len(r.Pairs), plural(unit), first, last, ratio(median(y)))
	if one {
		m := r.Rule.Margin
		p.Layers = append(p.Layers, chart.Band{Class: "margin", Low: 1 / (1 + m), High: 1 + m})
		f.Key = append(f.Key, htmlKey{"fill faint margin", "margin of ±" + compare.Percent(m) + " %"})
	} else {
		f.Note = "A ratio of 1, no difference, lies beyond the picture."
	}
	if len(x) > pointLimit {
		f.groupedRatios(&p, x, y, unit)
	}
	if band {
		f.sequence(&p, r)
	} else {
		f.note("The result is invalid: the points show what was measured and support no statement about speed.")
	}
	if one {
		p.Layers = append(p.Layers, chart.Band{Class: "no-effect", Low: 1, High: 1})
	}
	if len(x) <= pointLimit {
		f.points(&p, r, x, y)
	}
	f.Plot = p.HTML()
	return f
}

func (f *htmlFigure) note(s string) {
	if f.Note != "" {
		f.Note += " "
	}
	f.Note += s
}

// sequence draws the running confidence sequence and lists it.
func (f *htmlFigure) sequence(p *chart.Plot, r *compare.Result) {
	var a chart.Area
	var c chart.Line
	t := htmlTable{
		Caption: "The confidence sequence as it ran", Folded: true,
		Head: htmlColumns("Pairs#", "Ratio#", "Low#", "High#"),
	}
	looks := r.Estimates.Looks
	for _, i := range thinned(len(looks), groupGoal) {
		l := looks[i]
		if l.Pairs < 1 || l.Pairs > len(r.Pairs) || math.IsInf(l.High, 0) || math.IsNaN(l.High) || l.Low <= 0 {
			continue
		}
		x := float64(r.Pairs[l.Pairs-1].Number)
		a.X, a.Low, a.High = append(a.X, x), append(a.Low, l.Low), append(a.High, l.High)
		c.X, c.Y = append(c.X, x), append(c.Y, l.Center)
	}
	for _, i := range thinned(len(looks), 60) {
		l := looks[i]
		t.Rows = append(t.Rows, []string{strconv.Itoa(l.Pairs), ratio(l.Center), htmlLow(l.Low), ratio(l.High)})
	}
	if len(looks) > 0 {
		f.Tables = append(f.Tables, t)
	}
	if len(a.X) == 0 {
		if r.Rule.AlphaLive > 0 {
			f.note("The confidence sequence has no two ends yet: it needs more pairs.")
		}
		return
	}
	if end := float64(r.Pairs[len(r.Pairs)-1].Number); end > a.X[len(a.X)-1] || len(a.X) == 1 {
		k := len(a.X) - 1
		a.X, a.Low, a.High = append(a.X, end), append(a.Low, a.Low[k]), append(a.High, a.High[k])
		c.X, c.Y = append(c.X, end), append(c.Y, c.Y[k])
	}
	a.Class, a.Steps, c.Class, c.Steps = "sequence", true, "running", true
	p.Layers = append(p.Layers, a, c)
	f.Key = append(f.Key, htmlKey{"fill faint test", compare.Percent(1-r.Rule.AlphaLive) + " % confidence sequence"}, htmlKey{"line solid test", "its center"})
}

// htmlLow is the low end of a ratio, which is unbounded at 0.
func htmlLow(x float64) string {
	if x <= 0 {
		return "unbounded"
	}
	return ratio(x)
}

// points draws every pair. What lies beyond the picture is drawn on its edge.
func (f *htmlFigure) points(p *chart.Plot, r *compare.Result, x, y []float64) {
	dots, beyond := chart.Dots{Class: "pair"}, chart.Dots{Class: "beyond"}
	if len(x) <= fewPoints {
		dots.Class = "pair few"
	}
	for i := range x {
		to := &dots
		if !p.Y.Inside(y[i]) {
			to = &beyond
		}
		to.X, to.Y = append(to.X, x[i]), append(to.Y, y[i])
		q := r.Pairs[i]
		p.Marks = append(p.Marks, chart.Mark{X: x[i : i+1], Y: y[i : i+1],
			Text: fmt.Sprintf("%s %d: baseline %s, test %s, ratio %s", r.Subject.Unit(), q.Number, duration(r.Subject, q.MS[0], 1), duration(r.Subject, q.MS[1], 1), ratio(y[i]))})
	}
	p.Layers = append(p.Layers, dots)
	f.Key = append(f.Key, htmlKey{"dot pair", "one " + r.Subject.Unit()})
	if n := len(beyond.X); n > 0 {
		p.Layers = append(p.Layers, beyond)
		f.Key = append(f.Key, htmlKey{"dot beyond", fmt.Sprintf("beyond the picture, on its edge (%d)", n)})
	}
}

// groupedRatios draws a run of more pairs than can be told apart.
func (f *htmlFigure) groupedRatios(p *chart.Plot, x, y []float64, unit string) {
	g := groups(x, y, groupGoal)
	at := column(g, func(g group) float64 { return g.x })
	p.Layers = append(p.Layers,
		chart.Area{Class: "range", X: at, Low: column(g, func(g group) float64 { return g.low }), High: column(g, func(g group) float64 { return g.high })},
		chart.Area{Class: "range inner", X: at, Low: column(g, func(g group) float64 { return g.q1 }), High: column(g, func(g group) float64 { return g.q3 })},
		chart.Line{Class: "line", X: at, Y: column(g, func(g group) float64 { return g.median })})
	f.Key = append(f.Key, htmlKey{"line", "median of a group"}, htmlKey{"fill soft", "its middle half"}, htmlKey{"fill faint", "least to most"})
	f.Caption = "The ratio of the time of the test side over that of the baseline side. Below 1 the test side was faster."
	f.note(grouped(len(x), len(g), unit))
	beyond := 0
	for _, v := range y {
		if !p.Y.Inside(v) {
			beyond++
		}
	}
	if beyond > 0 {
		f.note(fmt.Sprintf("%d ratios lie beyond the picture and are drawn on its edge.", beyond))
	}
	for _, g := range g {
		p.Marks = append(p.Marks, chart.Mark{X: []float64{g.x}, Y: []float64{g.median},
			Text: fmt.Sprintf("%s %.0f to %.0f (%d pairs): median ratio %s, middle half %s to %s, all %s to %s",
				plural(unit), g.from, g.to, g.n, ratio(g.median), ratio(g.q1), ratio(g.q3), ratio(g.low), ratio(g.high))})
	}
}

// grouped says that a picture does not show every value.
func grouped(n, groups int, unit string) string {
	return fmt.Sprintf("%d %s are more than the picture has points: it shows %d groups of about %d neighbors.", n, plural(unit), groups, (n+groups/2)/groups)
}

func median(x []float64) float64 {
	sorted := slices.Clone(x)
	slices.Sort(sorted)
	return stat.Quantile(sorted, 0.5)
}

// pairAxis is the y axis of the ratios y. A few far values do not press the
// others together, and 1 is left out where it is far from all of them; one
// says whether it is on the axis.
func pairAxis(r *compare.Result, y []float64, band bool) (axis chart.Axis, one bool) {
	logs := make([]float64, 0, len(y))
	for _, v := range y {
		logs = append(logs, math.Log(v))
	}
	slices.Sort(logs)
	low, high := logs[0], logs[len(logs)-1]
	q1, q3 := stat.Quantile(logs, 0.25), stat.Quantile(logs, 0.75)
	if width := q3 - q1; width > 0 && len(y) >= 20 {
		// The outermost values within Tukey's outer fences.
		i, _ := slices.BinarySearch(logs, q1-3*width)
		j, _ := slices.BinarySearch(logs, q3+3*width)
		low, high = logs[i], logs[max(j-1, i)]
	}
	if e := r.Effect; band && e.N > 0 && e.Low > 0 && !math.IsInf(e.High, 0) {
		low, high = min(low, math.Log(e.Low)), max(high, math.Log(e.High))
	}
	delta := math.Log1p(max(r.Rule.Margin, 0.002))
	if high-low < 2*delta {
		middle := (high + low) / 2
		low, high = middle-delta, middle+delta
	}
	with := [2]float64{min(low, -delta), max(high, delta)}
	if one = with[1]-with[0] < 8*(high-low); one {
		low, high = with[0], with[1]
	}
	room := 0.04 * (high - low)
	return chart.Log("ratio test / baseline (log scale)", math.Exp(low-room), math.Exp(high+room)), one
}

// htmlPhases draws the medians of the parts of a request.
func htmlPhases(r *compare.Result) *htmlFigure {
	f := &htmlFigure{
		ID: "phases-split", Title: "Where a request spends its time", Wide: true,
		Caption: "Medians of each part over the pairs. Opening the connection comes first and is not part of the compared time. Medians of parts need not add up to the median of the whole.",
	}
	if len(r.Pairs) == 0 || r.Pairs[0].Samples == nil {
		f.Missing = "The parts of a request are not known: there are no pairs with samples behind them."
		return f
	}
	parts := []struct {
		name string
		of   func(*sample.Sample) int64
	}{
		{"connect", func(s *sample.Sample) int64 { return s.ConnectNS }},
		{"first byte", func(s *sample.Sample) int64 { return s.FirstByteNS }},
		{"body", func(s *sample.Sample) int64 { return s.BodyNS }},
		{"total", func(s *sample.Sample) int64 { return s.TotalNS }},
	}
	t := htmlTable{Caption: "Medians of the parts", Head: htmlColumns("Part", "Baseline#", "Test#")}
	var at [2][]float64
	for _, part := range parts {
		a, b := medians(r, func(s *sample.Sample) float64 { return float64(part.of(s)) / 1e6 })
		at[0], at[1] = append(at[0], a), append(at[1], b)
		t.Rows = append(t.Rows, []string{part.name, ms(a, 1), ms(b, 1)})
	}
	if at[0][0] == 0 && at[1][0] == 0 {
		t.Note = "Opening the connection took no time: it was open from the request before."
	}
	_, most := spread([]float64{at[0][0] + at[0][1] + at[0][2], at[1][0] + at[1][1] + at[1][2]})
	p := chart.Plot{
		ID: "phases-split", Title: "Median time of connecting, until the first byte and for the body, by side",
		Desc: fmt.Sprintf("Baseline: first byte after %s, body in %s. Test: first byte after %s, body in %s.", ms(at[0][1], 1), ms(at[0][2], 1), ms(at[1][1], 1), ms(at[1][2], 1)),
		Grid: chart.GridX, Nearest: chart.ByBoth, X: chart.Linear("milliseconds", 0, max(most, 1e-6)),
	}
	p.Y, p.Height = chart.Lanes(2)
	for i, side := range sample.Sides {
		y, from := chart.LaneY(i, 2), 0.0
		for k, part := range parts[:3] {
			to := from + at[i][k]
			p.Layers = append(p.Layers, chart.Bar{Class: "bar " + string(side) + " " + []string{"connect", "first", "body"}[k], X0: from, X1: to, Y0: y - 9, Y1: y + 9})
			p.Marks = append(p.Marks, chart.Mark{X: []float64{(from + to) / 2}, Y: []float64{y}, Text: fmt.Sprintf("%s, %s: %s", side, part.name, ms(at[i][k], 1))})
			from = to
		}
		p.Lanes = append(p.Lanes, chart.Lane{Name: string(side), Value: "total " + ms(at[i][3], 1)})
	}
	f.Key = []htmlKey{{"fill outline", "connect"}, {"fill", "until the first byte"}, {"fill soft", "body"}}
	f.Plot, f.Tables = p.HTML(), []htmlTable{t}
	return f
}

// htmlFailed draws on which blocks samples failed, nil without the samples.
func htmlFailed(r *Run) *htmlFigure {
	type failed struct {
		number uint64
		text   string
	}
	var lanes [2][]failed
	low, high := uint64(math.MaxUint64), uint64(0)
	for i := range r.Records {
		for _, rec := range r.Records[i] {
			s := rec.Sample
			if s == nil || s.WarmUp || s.Control != "" {
				continue
			}
			low, high = min(low, s.Number), max(high, s.Number)
			if s.Status != sample.OK {
				lanes[i] = append(lanes[i], failed{s.Number, fmt.Sprintf("block %d, %s: %s", s.Number, sample.Sides[i], Clean(string(s.Status)))})
			}
		}
	}
	if low >= high {
		return nil
	}
	f := &htmlFigure{ID: "failed", Title: "Where samples failed", Wide: true, Caption: "Each mark is a block whose sample is not ok on that side."}
	p := chart.Plot{ID: "failed", Title: "Blocks with failed samples, by side", Grid: chart.GridX, Nearest: chart.ByBoth,
		Desc: fmt.Sprintf("%d failed on the baseline side and %d on the test side, over blocks %d to %d.", len(lanes[0]), len(lanes[1]), low, high)}
	p.X = chart.Linear("block number", float64(low), float64(high))
	p.Y, p.Height = chart.Lanes(2)
	for i, side := range sample.Sides {
		slices.SortFunc(lanes[i], func(a, b failed) int { return cmp.Compare(a.number, b.number) })
		dots := chart.Dots{Class: string(side)}
		y := chart.LaneY(i, 2)
		for _, k := range thinned(len(lanes[i]), pointLimit) {
			at := float64(lanes[i][k].number)
			dots.X, dots.Y = append(dots.X, at), append(dots.Y, y)
			p.Marks = append(p.Marks, chart.Mark{X: []float64{at}, Y: []float64{y}, Text: lanes[i][k].text})
		}
		p.Layers = append(p.Layers, dots)
		p.Lanes = append(p.Lanes, chart.Lane{Name: string(side), Value: fmt.Sprintf("%d failed", len(lanes[i]))})
		if len(lanes[i]) > pointLimit {
			f.Note = "Not every failed sample has a mark: there are more of them than the picture has points."
		}
	}
	f.Plot = p.HTML()
	return f
}
