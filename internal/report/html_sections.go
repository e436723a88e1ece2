package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// htmlSections are the parts of the page, in order.
func htmlSections(r *Run, d *Document) []htmlSection {
	res := r.Result
	if single(res) {
		return htmlOneSide(r, d)
	}
	s := &htmlSeries{res: res}
	s.fill()
	sections := []htmlSection{
		htmlEffect(res, d),
		{ID: "sides", Title: d.Title, Tables: htmlSides(res, d)},
		htmlPictures("series", htmlSeriesTitle(res), htmlRatios(res), s.latencies()),
		htmlPictures("distributions", "Distributions", s.cumulative(), s.histogram()),
		htmlPictures("work", "What the time depends on", s.againstGas(), s.againstBytes()),
	}
	if res.Subject == compare.Witness {
		sections = append(sections, htmlPictures("phases", "Phases of a request", htmlPhases(res)))
	}
	if res.Proving != nil {
		sections = append(sections, htmlMachine(res.Proving))
	}
	sections = append(sections,
		htmlFailures(r),
		htmlSection{ID: "observations", Title: "Observations and conclusion", List: d.Observations, Text: []string{d.Conclusion}},
		htmlForecast(res),
		htmlDiagnostics(res),
		htmlEnvironment(r, d),
		htmlControl(res),
		htmlSection{ID: "method", Title: "Method", Text: d.Method},
		htmlNotCompared(res, d),
		htmlRaw(res, d),
	)
	return sections
}

// htmlPictures is a section of figures. Those that a kind of comparison does
// not have are nil; where all are missing for one reason, it is said once.
func htmlPictures(id, title string, figures ...*htmlFigure) htmlSection {
	s := htmlSection{ID: id, Title: title}
	for _, f := range figures {
		if f != nil {
			s.Figures = append(s.Figures, *f)
		}
	}
	first := ""
	for i, f := range s.Figures {
		if i == 0 {
			first = f.Missing
		}
		if f.Missing == "" || f.Missing != first {
			return s
		}
	}
	if first != "" {
		s.Missing, s.Figures = first, nil
	}
	return s
}

func htmlSeriesTitle(r *compare.Result) string {
	switch {
	case r.Subject == compare.Proof:
		return "Batch by batch"
	case r.Groups != nil:
		return "In the order of the inputs"
	}
	return "Block by block"
}

// htmlEffect shows every measure of the difference.
func htmlEffect(r *compare.Result, d *Document) htmlSection {
	s := htmlSection{ID: "effect", Title: "Effect", Figures: []htmlFigure{htmlForest(r, d)}}
	if s.Figures[0].Missing != "" {
		s.Missing, s.Figures = s.Figures[0].Missing, nil
	}
	if len(d.Effects) == 0 {
		return s
	}
	t := htmlTable{
		Caption: "Every measure of the difference",
		Head:    htmlColumns("Measure", "Change#", "Interval#", "Level#", "p#", "Role"),
		Note:    "Negative: the test side is faster.",
	}
	switch {
	case r.Groups != nil:
	case early(r):
		t.Note += " " + noPValues + " A guard can take a win away and never makes one."
	default:
		t.Note += " p-values of the secondary measures are adjusted for their number. A guard can take a win away and never makes one."
	}
	for _, e := range d.Effects {
		t.Rows = append(t.Rows, []string{e.Name, e.Change, e.Interval, e.Level, e.P, e.Note})
	}
	s.Tables = append(s.Tables, t)
	return s
}

// htmlSides is the comparison table and what else describes each side.
func htmlSides(r *compare.Result, d *Document) []htmlTable {
	main := htmlTable{
		Caption: d.Title + ", both sides", Head: htmlColumns("Metric", "Baseline#", "Test#", "Improvement#"),
		Note: signOfSides,
	}
	for _, row := range d.Comparison {
		main.Rows = append(main.Rows, row[:])
	}
	more := htmlTable{
		Caption: "Quantiles with their intervals, and the shape of each side", Folded: true,
		Head: htmlColumns("Figure", "Baseline#", "Test#"),
	}
	for i := range r.Sides[0].Quantiles {
		if i >= len(r.Sides[1].Quantiles) {
			break
		}
		a, b := r.Sides[0].Quantiles[i], r.Sides[1].Quantiles[i]
		more.Rows = append(more.Rows, []string{
			"p" + []string{"50", "90", "95"}[min(i, 2)], htmlQuantile(r, a), htmlQuantile(r, b),
		})
	}
	add := func(name string, of func(compare.Latencies) float64) {
		a, b := of(r.Sides[0]), of(r.Sides[1])
		more.Rows = append(more.Rows, []string{name, htmlPlain(a), htmlPlain(b)})
	}
	if r.Sides[0].N > 0 || r.Sides[1].N > 0 {
		add("autocorrelation at lag 1", func(l compare.Latencies) float64 { return l.ACF1 })
		add("p of no autocorrelation (Ljung-Box)", func(l compare.Latencies) float64 { return l.LjungBox })
		add("skewness", func(l compare.Latencies) float64 { return l.Skewness })
		add("standard deviation of logarithms", func(l compare.Latencies) float64 { return l.LogSD })
		add("skewness of logarithms", func(l compare.Latencies) float64 { return l.LogSkewness })
	}
	if len(more.Rows) == 0 {
		return []htmlTable{main}
	}
	return []htmlTable{main, more}
}

func htmlQuantile(r *compare.Result, v stat.Interval) string {
	return fmt.Sprintf("%s [%s, %s]", duration(r.Subject, v.Center, v.N), htmlBound(r, v.Low, v.N), htmlBound(r, v.High, v.N))
}

// htmlBound is an end of an interval of latencies.
func htmlBound(r *compare.Result, x float64, n int) string {
	if math.IsInf(x, 0) {
		return "unbounded"
	}
	return duration(r.Subject, x, n)
}

// htmlPlain is a number of no unit.
func htmlPlain(x float64) string {
	if math.IsNaN(x) {
		return dash
	}
	return fmt.Sprintf("%.3g", x)
}

// htmlFailures shows what failed and when the sides did not answer.
func htmlFailures(r *Run) htmlSection {
	s := htmlSection{ID: "failures", Title: "Failures and gaps"}
	lost := lossesOf(r)
	for side, name := range sample.Sides {
		if !lost[side].known {
			s.Text = append(s.Text, fmt.Sprintf("The input of the %s side holds only what succeeded and what it says was left out; failures of the server cannot be seen in it.", name))
		}
	}
	if !lost[0].known && !lost[1].known {
		return s
	}
	t := htmlTable{Caption: "Samples that are not ok, by side", Head: htmlColumns("Status", "Baseline#", "Test#")}
	statuses := make(map[sample.Status]bool)
	for _, l := range lost {
		for status := range l.failed {
			statuses[status] = true
		}
	}
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		row := []string{string(status)}
		for _, l := range lost {
			row = append(row, htmlKnown(l.known, strconv.Itoa(l.failed[status])))
		}
		t.Rows = append(t.Rows, row)
	}
	if len(t.Rows) > 0 {
		s.Tables = append(s.Tables, t)
		if f := htmlFailed(r); f != nil {
			s.Figures = []htmlFigure{*f}
		}
	} else {
		s.Text = append(s.Text, "No sample failed"+htmlWhere(lost))
	}
	if gaps := htmlGaps(lost); len(gaps.Rows) > 0 {
		s.Tables = append(s.Tables, gaps)
	} else {
		s.Text = append(s.Text, "There was no stretch without an answer"+htmlWhere(lost))
	}
	return s
}

// htmlKnown is text, or a dash where it is not known.
func htmlKnown(known bool, text string) string {
	if !known {
		return dash
	}
	return text
}

// htmlWhere names the sides of which losses are known, and ends the sentence.
func htmlWhere(lost [2]losses) string {
	for side, name := range sample.Sides {
		if !lost[side].known {
			return fmt.Sprintf(" on the %s side.", sample.Sides[1-name.Index()])
		}
	}
	return " on either side."
}

// htmlGaps lists the first stretches without an answer of each side and says
// how many there are.
func htmlGaps(lost [2]losses) htmlTable {
	t := htmlTable{Caption: "Stretches without an answer", Head: htmlColumns("Side", "From (UTC)", "For#", "Reason")}
	var notes []string
	for i, side := range sample.Sides {
		gaps := lost[i].gaps
		for _, g := range gaps[:min(len(gaps), fewGaps)] {
			t.Rows = append(t.Rows, []string{string(side), utc(g.From), gapLength(g.DurationNS), g.Reason})
		}
		if len(gaps) > 0 {
			notes = append(notes, fmt.Sprintf("%s side: %s, %s in all.", sentence(string(side)), count(len(gaps), "time"), gapLength(gapTotal(gaps))))
		}
		if len(gaps) > fewGaps {
			notes = append(notes, fmt.Sprintf("The first %d are listed.", fewGaps))
		}
	}
	t.Note = strings.Join(notes, " ")
	return t
}

// htmlForecast says what the noise allows to see.
func htmlForecast(r *compare.Result) htmlSection {
	s := htmlSection{ID: "forecast", Title: "Forecast"}
	f := r.Forecast
	if f.N == 0 {
		s.Text = []string{"There is no forecast: it stands on an interval with two ends, and there is none."}
		return s
	}
	count := func(n int) string {
		if n == 0 {
			return "no number of pairs"
		}
		return fmt.Sprintf("about %d pairs", n)
	}
	margin := compare.Percent(r.Rule.Margin)
	s.Text = []string{"What a run with this noise can see. The noise is itself estimated, so that all of it is about right and not more."}
	s.Tables = []htmlTable{{
		Caption: "Forecast with 80 % power", Head: htmlColumns("Question", "Answer#"),
		Rows: [][]string{
			{fmt.Sprintf("smallest effect that these %d pairs see", f.N), fmt.Sprintf("about %s %%", compare.About(f.MDE))},
			{fmt.Sprintf("pairs in all to see an effect of %s %%", margin), count(f.Detect)},
			{fmt.Sprintf("pairs in all to show that there is none beyond ±%s %%", margin), count(f.Equate)},
			{"long-run standard deviation of the log ratios", fmt.Sprintf("%.3g", f.LongRun)},
		},
	}}
	return s
}

// htmlDiagnostics are the figures that may qualify the effect.
func htmlDiagnostics(r *compare.Result) htmlSection {
	s := htmlSection{ID: "diagnostics", Title: "Diagnostics"}
	g := &r.Diagnosis
	if len(r.Pairs) == 0 || g.VarianceRatio == 0 && g.Drift.N == 0 {
		s.Text = []string{"There are no diagnostics: they describe the log ratios of at least " + strconv.Itoa(r.Rule.MinPairs) + " pairs that vary."}
		if r.Groups != nil {
			s.Text = []string{"There are no diagnostics of pairs in an unpaired comparison."}
		}
		return s
	}
	s.Text = []string{"These figures may qualify the effect. They are never used to drop data."}
	if len(g.Warnings) > 0 {
		s.Text = append(s.Text, "Worth a look:")
		s.List = g.Warnings
	}
	share := func(x float64) string { return compare.Percent(x) + " %" }
	t := htmlTable{Caption: "Diagnostics of the log ratios", Head: htmlColumns("Diagnostic", "Value#", "Look closer when")}
	add := func(name, value, when string) { t.Rows = append(t.Rows, []string{name, value, htmlTogether(when)}) }
	add("autocorrelation at lag 1", fmt.Sprintf("%.2f", g.ACF1), "beyond ±0.4")
	add("long-run variance / variance", fmt.Sprintf("%.2f", g.VarianceRatio), "above 3")
	add("drift: second half / first half", htmlLogRatio(g.Drift), "it excludes 1")
	add("effect of being asked first", htmlLogRatio(g.Order), "it excludes 1")
	add("far outliers (14.8 MAD)", share(g.OutlierShare), "above 1 %")
	if g.Largest >= 0 && g.Largest < len(r.Pairs) {
		p := r.Pairs[g.Largest]
		add("farthest ratio", fmt.Sprintf("%s at %s %d", ratio(math.Exp(p.D)), r.Subject.Unit(), p.Number), "")
	}
	add("pairs without any difference", share(g.ZeroShare), "above 5 %")
	if r.Subject == compare.Witness {
		without := share(g.Small)
		if g.Small > 0 && g.WithoutSmall > 0 {
			without += fmt.Sprintf(" (ratio without them %s)", ratio(g.WithoutSmall))
		}
		add("blocks under 20 ms", without, "above 10 %")
		add("slope on ln gas", htmlSlope(r.Estimates.Gas), "it excludes 0")
		add("slope on ln answer bytes", htmlSlope(g.Bytes), "it excludes 0")
		add("slope on ln time since the head", htmlSlope(g.Since), "it excludes 0")
		if r.Pairs[0].Samples != nil {
			add("blocks behind the head", fmt.Sprintf("%.2g and %.2g", g.Behind[0], g.Behind[1]), "the sides differ")
		}
	}
	s.Tables = []htmlTable{t}
	return s
}

// htmlLogRatio is an interval on the log scale as a ratio.
func htmlLogRatio(v stat.Interval) string {
	if v.N == 0 {
		return dash
	}
	e := v.Exp()
	return fmt.Sprintf("%s [%s, %s]", ratio(e.Center), ratio(e.Low), ratio(e.High))
}

func htmlSlope(v stat.Interval) string {
	if v.N == 0 {
		return dash
	}
	return fmt.Sprintf("%+.3f [%+.3f, %+.3f]", v.Center, v.Low, v.High)
}

// htmlEnvironment says where and with what the measurements were made.
func htmlEnvironment(r *Run, d *Document) htmlSection {
	s := htmlSection{ID: "environment", Title: "Environment"}
	t := htmlTable{Caption: "Where and what was measured", Head: htmlColumns("Field", "Value")}
	for _, row := range d.Session {
		t.Rows = append(t.Rows, row[:])
	}
	m := &r.Manifest
	add := func(name, value string) {
		if value != "" {
			t.Rows = append(t.Rows, []string{name, value})
		}
	}
	e := &m.Environment
	add("Operating system", strings.TrimSpace(e.OS+" "+e.Kernel))
	for i, side := range sample.Sides {
		p := &m.Sides[i]
		add(sentence(string(side))+" binary", strings.TrimSpace(p.Binary+" "+p.BinarySHA256))
		add(sentence(string(side))+" arguments", strings.Join(p.Argv, " "))
		if own := p.Environment; own != nil {
			add(sentence(string(side))+" system", strings.TrimSpace(own.OS+" "+own.Kernel))
		}
	}
	if e.LoadAverage > 0 {
		add("Load average at the start", fmt.Sprintf("%.2f", e.LoadAverage))
	}
	add("Measured by", strings.TrimSpace("verdict "+m.Program+" "+e.Go))
	add("Hash of the spec", m.SpecHash)
	add("Hash of the plan", m.PlanHash)
	if r.Result.Proving != nil && r.Result.Inputs == nil && !single(r.Result) {
		rule := r.Result.Rule
		add("Registered before the first sample", fmt.Sprintf("margin %s %%, %d batches, level %s %%, seed %d",
			compare.Percent(rule.Margin), rule.Planned, compare.Percent(1-rule.AlphaFinal), rule.Seed))
	} else if r.Result.Groups == nil && registered(r.Result) && !single(r.Result) {
		rule := r.Result.Rule
		add("Registered before the first sample", fmt.Sprintf("margin %s %%, %d blocks, batches of %d, levels %s %% and %s %%, seed %d",
			compare.Percent(rule.Margin), rule.Planned, rule.Batch, compare.Percent(1-rule.AlphaLive), compare.Percent(1-rule.AlphaFinal), rule.Seed))
	}
	s.Tables = []htmlTable{t}
	return s
}

// htmlControl shows the A/A control.
func htmlControl(r *compare.Result) htmlSection {
	s := htmlSection{ID: "control", Title: "A/A control"}
	c := r.Control
	if c == nil {
		s.Text = []string{"There is no A/A control: by how much two runs of the same build differ here is not known."}
		return s
	}
	s.Text = []string{"The baseline build was measured against itself by the same pipeline before the first sample of the comparison."}
	t := htmlTable{Caption: "A/A control", Head: htmlColumns("Figure", "Value#")}
	add := func(name, value string) { t.Rows = append(t.Rows, []string{name, value}) }
	add("pairs", strconv.Itoa(c.Pairs))
	if c.Shift.N > 0 {
		add("shift between the places", fmt.Sprintf("%s [%s, %s]", ratio(c.Shift.Center), ratio(c.Shift.Low), ratio(c.Shift.High)))
		if c.Floor > 0 {
			add("noise floor", fmt.Sprintf("±%.2g %%", 100*c.Floor))
		}
		add("long-run standard deviation of the log ratios", fmt.Sprintf("%.3g", c.LongRun))
		add("autocorrelation at lag 1", fmt.Sprintf("%.2f", c.ACF1))
	}
	add("blocks on which the build disagreed with itself", strconv.Itoa(len(c.Different)))
	corrects := "yes"
	if !c.Corrects {
		corrects = "no"
		if c.Why != "" {
			s.Text = append(s.Text, stop("Its shift is not taken off the effect: "+c.Why))
		}
	}
	add("taken off the effect", corrects)
	s.Tables = []htmlTable{t}
	return s
}

// htmlNotCompared is what was left out.
func htmlNotCompared(r *compare.Result, d *Document) htmlSection {
	if r.Proving != nil {
		return htmlLeft(r, d)
	}
	return htmlExcluded(r, d)
}

// htmlExcluded lists what has no pair, or was left out, by reason.
func htmlExcluded(r *compare.Result, d *Document) htmlSection {
	unit := r.Subject.Units()
	s := htmlSection{ID: "excluded", Title: sentence(unit) + " without a pair"}
	if r.Groups != nil {
		s.Title = "What was left out"
	}
	if len(d.Excluded) == 0 {
		s.Text = []string{"Nothing was left out."}
		return s
	}
	t := htmlTable{Caption: s.Title + ", by reason", Head: htmlColumns("Reason", sentence(unit)+"#", "First of them")}
	for _, e := range d.Excluded {
		t.Rows = append(t.Rows, []string{e.Reason, strconv.Itoa(e.Count), listed(e)})
	}
	s.Tables = []htmlTable{t}
	return s
}

// htmlRowLimit is the most rows of a table of raw numbers.
const htmlRowLimit = 1000

// htmlRaw are the numbers behind the pictures.
func htmlRaw(r *compare.Result, d *Document) htmlSection {
	s := htmlSection{ID: "raw", Title: "Raw numbers"}
	t := htmlTable{Folded: true, Long: true}
	total := len(r.Pairs)
	switch {
	case r.Subject == compare.Proof:
		t.Caption, total = "All proofs", len(d.Batches)
		t.Head = htmlColumns("Side", "Batch#", "Time, s#", "Time, ms#", "Gas#", "Transactions#", "Blocks#")
		if d.Single {
			t.Head = t.Head[1:]
		}
		t.Rows = d.Batches[:min(total, htmlRowLimit)]
	case r.Groups != nil:
		total = max(len(r.Groups.MS[0]), len(r.Groups.MS[1]))
		t.Caption, t.Head = "All measurements, in the order of the inputs", htmlColumns("No.#", "Baseline, ms#", "Test, ms#")
		for i := range min(total, htmlRowLimit) {
			row := []string{strconv.Itoa(i + 1), dash, dash}
			for side, ms := range r.Groups.MS {
				if i < len(ms) {
					row[side+1] = htmlMS(ms[i])
				}
			}
			t.Rows = append(t.Rows, row)
		}
	default:
		t.Caption = "All pairs"
		t.Head, t.Rows = htmlPairs(r)
	}
	if total == 0 {
		s.Text = []string{"There is nothing to list."}
		return s
	}
	if total > htmlRowLimit {
		t.Caption += fmt.Sprintf(": the first %d of %d", htmlRowLimit, total)
		t.Note = "The rest is in the CSV report: verdict report RUN --format csv."
	}
	s.Tables = []htmlTable{t}
	return s
}

// htmlPairs are the pairs as rows.
func htmlPairs(r *compare.Result) ([]htmlHead, [][]string) {
	names := []string{"Block#", "Baseline, ms#", "Test, ms#", "Ratio#"}
	samples := len(r.Pairs) > 0 && r.Pairs[0].Samples != nil
	if samples {
		names = append(names, "Gas#", "Transactions#", "Baseline bytes#", "Test bytes#", "Asked first")
	}
	var rows [][]string
	for _, p := range r.Pairs[:min(len(r.Pairs), htmlRowLimit)] {
		row := []string{strconv.FormatUint(p.Number, 10), htmlMS(p.MS[0]), htmlMS(p.MS[1]), ratio(math.Exp(p.D))}
		if samples {
			a, b := p.Samples[0], p.Samples[1]
			first := dash
			if a.Order > 0 {
				first = string(sample.Sides[min(a.Order, 2)-1])
			}
			row = append(row, strconv.FormatUint(a.GasUsed, 10), strconv.Itoa(a.Transactions),
				strconv.FormatInt(a.BodyBytes, 10), strconv.FormatInt(b.BodyBytes, 10), first)
		}
		rows = append(rows, row)
	}
	return htmlColumns(names...), rows
}

// htmlMS is a latency in milliseconds to the microsecond, without its unit.
func htmlMS(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }
