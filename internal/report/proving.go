package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// single reports whether one side was measured, which is compared with nothing.
func single(r *compare.Result) bool { return r.Design == compare.Single }

// provedHeadline is what stands in place of a verdict on one side.
func provedHeadline(r *compare.Result) string {
	t := &r.Proving.Sides[0].Times
	if t.N == 1 {
		return "1 batch in " + seconds(t.Mean)
	}
	return fmt.Sprintf("%s, %s each on average", count(t.N, "batch"), seconds(t.Mean))
}

// provedSentence tells what the proofs of one side are like.
func provedSentence(r *compare.Result) string {
	t := &r.Proving.Sides[0].Times
	if t.N == 1 {
		return "one proof says nothing about how much the next one differs"
	}
	return fmt.Sprintf("median %s (%s), from %s to %s", seconds(t.Median), medianInterval(t), seconds(t.Min), seconds(t.Max))
}

// medianInterval is the interval of the median by ranks, or that there is none.
func medianInterval(l *compare.Latencies) string {
	for _, q := range l.Quantiles {
		if q.Center == l.Median && q.Bounded() && q.N > 0 {
			return fmt.Sprintf("%s %% interval %s to %s", compare.Percent(q.Confidence), seconds(q.Low), seconds(q.High))
		}
	}
	return fmt.Sprintf("%s are too few for its interval", count(l.N, "proof"))
}

// seconds shows milliseconds as a proving time.
func seconds(ms float64) string { return duration(compare.Proof, ms, 1) }

// proofSession is the Test Session Info of the Results Template of proving, and
// what else says where and with what was proved.
func proofSession(r *Run) [][2]string {
	m := &r.Manifest
	date := dash
	if !m.Started.IsZero() {
		date = m.Started.UTC().Format(time.DateOnly)
	}
	server := orDash(cmp.Or(m.Sides[0].Host, m.Environment.Hostname))
	rows := [][2]string{{"Date", date}, {"Server", server}}
	rows = append(rows, workload(r)...)
	if r.Result.Proving.Two {
		rows = append(rows, [2]string{"Baseline", build(r, 0)}, [2]string{"Test", build(r, 1)})
	}
	return append(rows, [][2]string{
		{"Start Time (UTC)", utc(m.Started)}, {"End Time (UTC)", utc(m.Ended)},
		{"Machine", machine(machineOf(m, 0))},
	}...)
}

// workload is what was proved and by what, as far as the run says.
func workload(r *Run) [][2]string {
	gpu := gpusOf(r.Result.Proving)
	branch := [2]string{"Branch/Commit", branch(r)}
	if p := r.Replay; p != nil {
		return [][2]string{
			{"Backend", Clean(string(p.Backend))}, {"GPU", withGPU(p.GPU, gpu)}, branch,
			{"Recording", Clean(p.Recording)}, {"Recording Hash", Clean(p.RecordingHash)},
		}
	}
	p := r.Prover
	if p == nil {
		return [][2]string{
			{"Backend", dash}, {"GPU", orDash(gpu)}, branch,
			{"Tx per Account", dash}, {"Tx Type", dash}, {"Endless Mode", dash},
		}
	}
	endless := "no"
	if p.Endless {
		endless = "yes"
	}
	return [][2]string{
		{"Backend", Clean(string(p.Backend))}, {"GPU", withGPU(p.GPU, gpu)}, branch,
		{"Tx per Account", fmt.Sprint(p.Transactions)}, {"Tx Type", Clean(string(p.Load))}, {"Endless Mode", endless},
	}
}

// withGPU says whether the build was for a GPU, and which ones were seen.
func withGPU(built bool, names string) string {
	word := "no"
	if built {
		word = "yes"
	}
	switch {
	case names == "":
		return word
	case built:
		return word + ", " + names
	}
	return word + " (the machine has " + names + ")"
}

// gpusOf names the GPUs that were seen, each kind with its number.
func gpusOf(p *compare.Proving) string {
	for side := range p.Sides {
		for _, m := range p.Sides[side].Machines {
			if len(m.GPUs) == 0 {
				continue
			}
			var names []string
			counts := make(map[string]int)
			for _, g := range m.GPUs {
				name := cmp.Or(Clean(g.Name), "GPU")
				if counts[name]++; counts[name] == 1 {
					names = append(names, name)
				}
			}
			for i, name := range names {
				if n := counts[name]; n > 1 {
					names[i] = fmt.Sprintf("%d × %s", n, name)
				}
			}
			return strings.Join(names, ", ")
		}
	}
	return ""
}

// branch names the build that the run is about: the test side, where there is
// one.
func branch(r *Run) string {
	if r.Result.Proving.Two {
		return build(r, 1)
	}
	return build(r, 0)
}

// build names the build of a side.
func build(r *Run, side int) string {
	s := &r.Manifest.Sides[side]
	var parts []string
	for _, p := range []string{s.Ref, commit(s.Commit), s.Version} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return orDash(strings.Join(parts, ", "))
}

// summaryRow is a row of the Summary for each side; less says that less of it
// is better, so that its change is an improvement.
type summaryRow struct {
	name string
	less bool
	of   func(*compare.ProvingSide) (float64, string)
}

// provingRows are the rows of the Summary that only a run's own records give,
// without those that nothing is known of.
func provingRows(r *compare.Result) [][4]string {
	p := r.Proving
	var rows [][4]string
	for _, row := range summaryRows(p.Rule) {
		a, x := row.of(&p.Sides[0])
		b, y := row.of(&p.Sides[1])
		if x == dash && y == dash {
			continue
		}
		improvement := dash
		if row.less && x != dash && y != dash && a > 0 && b > 0 && r.Verdict.Outcome != compare.Invalid {
			improvement = improved(a, b)
		}
		rows = append(rows, [4]string{row.name, x, y, improvement})
	}
	return rows
}

// summaryRows are all rows that there can be.
func summaryRows(rule compare.ProvingRule) []summaryRow {
	type side = *compare.ProvingSide
	rows := []summaryRow{
		{"Time per Mgas", true, func(s side) (float64, string) {
			return s.PerMgas, known1(s.WithGas, duration(compare.Proof, s.PerMgas, 1))
		}},
		{"Fixed (fit)", false, func(s side) (float64, string) { return coefficient(s.Fit, 0) }},
		{"Per Mgas (fit)", true, func(s side) (float64, string) { return coefficient(s.Fit, 1) }},
		{"Sealed to verified", false, func(s side) (float64, string) { return medianOf(s.SealedToVerified) }},
		{"Proved to verified", false, func(s side) (float64, string) { return medianOf(s.ProvedToVerified) }},
		{"Idle", false, func(s side) (float64, string) {
			if s.Span <= 0 {
				return 0, dash
			}
			return 0, fmt.Sprintf("%s of %s", brief(s.Idle()), brief(s.Span))
		}},
		{"Energy per proof", true, func(s side) (float64, string) {
			v := s.Energy.Joules / float64(max(s.Measured, 1))
			return v, known1(s.Measured, joules(v))
		}},
		{"Energy per Mgas", true, func(s side) (float64, string) {
			if s.EnergyMgas == 0 {
				return 0, dash
			}
			v := s.Energy.Joules / s.EnergyMgas
			return v, known1(s.Measured, joules(v))
		}},
		{"Cost per proof", true, func(s side) (float64, string) {
			v, ok := rule.Cost(s.Times.Mean)
			return v, money(v, ok && s.Times.N > 0, rule)
		}},
		{"Cost per Mgas", true, func(s side) (float64, string) {
			v, ok := rule.Cost(s.PerMgas)
			return v, money(v, ok && s.WithGas > 0, rule)
		}},
	}
	return append(rows, machineRows()...)
}

// machineRows tell how busy the machine was while it proved.
func machineRows() []summaryRow {
	type side = *compare.ProvingSide
	share := func(f compare.Figure) (float64, string) { return 0, known1(f.N, fmt.Sprintf("%.0f %%", 100*f.Mean)) }
	most := func(f compare.Figure, text func(float64) string) (float64, string) {
		return 0, known1(f.N, text(f.Max))
	}
	bytes := func(v float64) string { return size(int64(v)) }
	return []summaryRow{
		{"CPU (mean)", false, func(s side) (float64, string) { return share(s.Load.CPU) }},
		{"Memory (max)", false, func(s side) (float64, string) { return most(s.Load.Memory, bytes) }},
		{"GPU use (mean)", false, func(s side) (float64, string) { return share(s.Load.GPU) }},
		{"GPU memory (max)", false, func(s side) (float64, string) { return most(s.Load.GPUMemory, bytes) }},
		{"GPU power (mean)", false, func(s side) (float64, string) {
			return 0, known1(s.Load.Watts.N, fmt.Sprintf("%.0f W", s.Load.Watts.Mean))
		}},
		{"GPU temperature (max)", false, func(s side) (float64, string) {
			return most(s.Load.Celsius, func(v float64) string { return fmt.Sprintf("%.0f °C", v) })
		}},
	}
}

// known1 is text, or a dash where nothing stands behind it.
func known1(n int, text string) string {
	if n == 0 {
		return dash
	}
	return text
}

// coefficient is a coefficient of the line with the half-width of its interval.
func coefficient(l *stat.Line, k int) (float64, string) {
	if l == nil {
		return 0, dash
	}
	v := [2]stat.Interval{l.Intercept, l.Slope}[k]
	return v.Center, plusMinus(v.Center, (v.High-v.Low)/2)
}

// plusMinus is a time in milliseconds with the half-width of its interval, in
// one unit and with two significant digits of the latter.
func plusMinus(center, half float64) string {
	unit, scale := "ms", 1.0
	if math.Max(math.Abs(center), half) >= 1000 {
		unit, scale = "s", 1000
	}
	center, half = center/scale, half/scale
	if !(half > 0) || math.IsInf(half, 0) {
		return fmt.Sprintf("%.4g %s", center, unit)
	}
	decimals := min(max(1-int(math.Floor(math.Log10(half))), 0), 6)
	return fmt.Sprintf("%.*f ± %.*f %s", decimals, center, decimals, half, unit)
}

func medianOf(s stat.Summary) (float64, string) {
	return s.Median, known1(s.N, duration(compare.Proof, s.Median, 1))
}

// joules shows an energy.
func joules(j float64) string {
	switch {
	case j >= 3.6e6:
		return fmt.Sprintf("%.3g kWh", j/3.6e6)
	case j >= 1e3:
		return fmt.Sprintf("%.3g kJ", j/1e3)
	}
	return fmt.Sprintf("%.3g J", j)
}

// money shows a cost with three digits.
func money(v float64, ok bool, rule compare.ProvingRule) string {
	if !ok {
		return dash
	}
	return strings.TrimSpace(fmt.Sprintf("%.3g %s", v, Clean(rule.Currency)))
}

// brief is a length of time to a tenth of a second, or to a millisecond where
// it is short.
func brief(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// uncounted is the table of attempts that do not count: side, batch, attempt,
// time in seconds, reason.
func uncounted(r *compare.Result) [][]string {
	var rows [][]string
	if r.Proving == nil {
		return nil
	}
	for side := range r.Proving.Sides {
		attempts := r.Proving.Sides[side].Attempts
		for i := range attempts {
			a := &attempts[i]
			if a.Counts() {
				continue
			}
			took := dash
			if a.ProvingNS > 0 {
				took = fmt.Sprintf("%.3f", a.MS()/1e3)
			}
			reason := string(a.Left)
			if f := a.Failure; f != nil {
				reason += ": " + Clean(f.Message)
			}
			number := fmt.Sprint(a.Batch)
			if r.Proving.Sides[side].Sessions > 1 {
				number = fmt.Sprintf("%d/%d", a.Session, a.Batch)
			}
			rows = append(rows, []string{string(sample.Sides[side]), number, fmt.Sprint(a.Number), took, reason})
		}
	}
	return rows
}

// oneSided are rows without the name of the side, where there is one only.
func oneSided(r *compare.Result, rows [][]string) [][]string {
	if !single(r) {
		return rows
	}
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = slices.Clone(row[1:])
	}
	return out
}

// provedConclusion is the conclusion of a run of one side.
func provedConclusion(r *Run) string {
	res := r.Result
	t := &res.Proving.Sides[0].Times
	if t.N == 0 {
		return stop("Nothing can be said about proving time: " + strings.Join(res.Verdict.Reasons, "; "))
	}
	what := "The prover"
	if b := branch(r); b != dash {
		what += " (" + b + ")"
	}
	s := fmt.Sprintf("%s proved %s in %s each on average, %s in the median", what, count(t.N, "batch"), seconds(t.Mean), seconds(t.Median))
	if line := res.Proving.Sides[0].Fit; line != nil {
		_, fixed := coefficient(line, 0)
		_, slope := coefficient(line, 1)
		s += fmt.Sprintf("; by least squares %s and %s per Mgas (95 %% HC3)", fixed, slope)
	}
	return s + ". One side was measured: whether a change makes it faster is another question, which takes a second one."
}

// provingMethod tells in plain words how the numbers of a prover run were made.
func provingMethod(r *compare.Result) []string {
	p := r.Proving
	m := []string{
		"The proving time is the prover's own: that of the proving call alone, without transfer, conversion, submission and verification.",
		"A proof counts when it was accepted, no later attempt at its batch was, and it was not the first of its process, which pays for setting up. What does not count is listed with its reason.",
	}
	if !p.Rule.Paired {
		from := "Gas, transactions and blocks of a batch are sums over its blocks by RPC; batches without load, or with less than was asked for, do not count."
		if p.Rule.Log {
			from = "Gas, transactions and blocks of a batch are what the input or the metrics page beside it says, which may count a block too many."
		}
		m = append(m, from, "Time against gas is fitted by least squares of milliseconds on millions of gas, with HC3 intervals at 95 %: a proof has a fixed cost, so that time per gas alone depends on the size of the batches. Quantiles are type 7.")
	}
	if max(p.Sides[0].Sessions, p.Sides[1].Sessions) > 1 {
		m = append(m, "Batch 2/5 is batch 5 of session 2: numbers begin again in every session.")
	}
	m = append(m, "Figures of the machine are means over its records while a proof was made; energy is the power of the GPUs, integrated by the trapezoidal rule over the same time, and unknown where no record lies within ten seconds.")
	switch {
	case !p.Two:
		return m
	case r.Groups != nil:
		return append(m, "The sides proved different batches. Their times are compared at equal gas: least squares of ln time on ln gas and the side, and on ln(1 + transactions) from 20 batches of each side on, with the HC3 covariance, inside the range of gas that both cover. The permutation test is a cross-check.",
			analyzedOnce(r))
	case len(r.Pairs) < 6:
		m = append(m, "Both sides proved the same batches. With so few pairs the interval is that of a paired t test, which assumes normal log ratios, and decides nothing.")
	case len(r.Pairs) < 50:
		m = append(m, "Both sides proved the same batches. The effect is the Hodges-Lehmann estimate of the log ratios with the interval that inverts the exact signed-rank test, which assumes independence between batches.")
	default:
		m = append(m, "Both sides proved the same batches. The effect is the Hodges-Lehmann estimate of the log ratios with the interval that inverts a signed-rank test whose variance allows for neighbors that correlate (SR-EWC).")
	}
	return append(m, "A proof whose public values differ from the other side's makes the result invalid, however fast.", analyzedOnce(r))
}

// analyzedOnce says when and at what level the analysis was made.
func analyzedOnce(r *compare.Result) string {
	planned := "all there is"
	if n := r.Rule.Planned; n > 0 {
		planned = fmt.Sprintf("the planned %s of each side", count(n, "batch"))
		if r.Proving.Rule.Paired {
			planned = fmt.Sprintf("the planned %s", count(n, "batch"))
		}
	}
	return fmt.Sprintf("There is one analysis, of %s, at level %s %%; \"no effect\" is only said when the %s %% interval lies inside the margin of ±%s %%.",
		planned, compare.Percent(1-r.Rule.AlphaFinal), compare.Percent(1-2*r.Rule.AlphaFinal), compare.Percent(r.Rule.Margin))
}
