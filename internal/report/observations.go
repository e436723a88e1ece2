package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
	"github.com/verdict-bench/verdict/internal/store"
)

// observations are generated, each with its evidence.
func observations(r *Run) []string {
	if r.Result.Proving != nil {
		return provingObservations(r)
	}
	var o []string
	add := func(s string) {
		if s != "" {
			o = append(o, s)
		}
	}
	if r.Result.Groups != nil {
		for _, s := range groupObservations(r.Result) {
			add(s)
		}
	}
	if (r.Result.Inputs == nil || r.Result.Parity.Checked > 0) && !r.Result.Replayed {
		add(parity(r.Result))
		add(completeness(&r.Result.Parity))
	}
	add(control(r.Result))
	add(sessionEffects(r.Result))
	add(hostEffect(r.Result))
	add(answers(r.Result))
	add(phases(r.Result))
	add(servers(r.Result))
	add(imports(r.Result))
	add(gasSlope(r.Result))
	add(slowest(r.Result))
	add(order(r.Result))
	add(drift(r.Result))
	add(farthest(r.Result))
	lost := lossesOf(r)
	add(failures(lost))
	add(errorRate(r.Result))
	for side := range lost {
		add(outages(sample.Sides[side], lost[side].gaps))
	}
	if r.Dir != "" {
		add(network(r.Manifest.Sides))
	}
	for _, text := range [][]string{differences(r), r.Result.Diagnosis.Warnings, r.Result.Warnings, r.Warnings} {
		for _, s := range text {
			add(observation(s))
		}
	}
	return o
}

// observation makes a warning a sentence. One that begins with a path stays as
// it is.
func observation(s string) string {
	if first, _, _ := strings.Cut(s, " "); strings.ContainsAny(first, "/.") {
		return stop(s)
	}
	return stop(sentence(s))
}

// sampled reports whether there are pairs with samples behind them.
func sampled(r *compare.Result) bool {
	return len(r.Pairs) > 0 && r.Pairs[0].Samples != nil
}

func control(r *compare.Result) string {
	c := r.Control
	if c == nil {
		return ""
	}
	s := stop(fmt.Sprintf("A/A control: the baseline build against itself, %s", c))
	switch {
	case c.Corrects || c.Why == "" || c.Floor == 0: // without a floor it has said why
	case c.Kind == sample.OnePlace:
		s += " " + stop(sentence(c.Why))
	default:
		s += " " + stop("Its shift is not taken off the effect: "+c.Why)
	}
	return s
}

// gasSlope says whether the effect grows with the block, if it does.
func gasSlope(r *compare.Result) string {
	g := r.Estimates.Gas
	if g.N == 0 || g.Contains(0) {
		return ""
	}
	grows := "smaller"
	if g.Center > 0 {
		grows = "larger"
	}
	return fmt.Sprintf("The ratio test / baseline is %s on blocks with more gas: slope %.3g [%.3g, %.3g] on ln gas (%s %% interval).",
		grows, g.Center, g.Low, g.High, compare.Percent(g.Confidence))
}

// groupObservations describe two groups that do not pair.
func groupObservations(r *compare.Result) []string {
	g := r.Groups
	if g.Typical.N == 0 {
		return nil
	}
	exact := "normal approximation with ties"
	if g.RankSum.Exact {
		exact = "exact"
	}
	o := []string{
		fmt.Sprintf("Mann-Whitney: U = %g, p = %.4g (%s). A %s of the test side is faster than one of the baseline side with probability %.3f.",
			g.RankSum.U, g.RankSum.P, exact, r.Subject.Unit(), g.RankSum.Faster),
		fmt.Sprintf("Hodges-Lehmann shift %s ms [%s, %s], ratio %.3f [%.3f, %.3f]; geometric mean ratio %.3f [%.3f, %.3f]; ratio of means %.3f, of medians %.3f.",
			signed(g.Shift.Center), signed(g.Shift.Low), signed(g.Shift.High), g.Typical.Center, g.Typical.Low, g.Typical.High,
			g.Mean.Center, g.Mean.Low, g.Mean.High, g.MeanRatio, g.MedianRatio),
	}
	if g.Proofs != nil {
		o = append(o, fmt.Sprintf("So many batches can show an effect of about %.1f %% at equal gas (80 %% power).", 100*g.MDE))
	} else {
		o = append(o, fmt.Sprintf("Two groups of this size and spread can show an effect of about %.1f %% (80 %% power).", 100*g.MDE))
	}
	for side, name := range [2]string{"Baseline", "Test"} {
		l := r.Sides[side]
		o = append(o, fmt.Sprintf("%s series: lag-1 autocorrelation %.4f, skewness %.3f; of its logarithms sd %.3f, skewness %.2f; Ljung-Box(10) p = %s.",
			name, l.ACF1, l.Skewness, l.LogSD, l.LogSkewness, pValue(l.LjungBox)))
	}
	if p := g.Proofs; p != nil {
		how := fmt.Sprintf("drawn (seed %d)", p.Effect.Seed)
		if p.Exact {
			how = "all"
		}
		o = append(o, fmt.Sprintf("Proving time grows as gas to the power %.2f; permutation test, labelings %s: p = %s; both sides cover %.3g to %.3g Mgas.",
			p.GasSlope, how, pValue(p.Permutation), p.Support[0]/1e6, p.Support[1]/1e6))
	}
	return o
}

func parity(r *compare.Result) string {
	p := &r.Parity
	switch {
	case p.Checked == 0 && len(r.Pairs) > 0:
		return "Parity was not checked: the samples hold no digests of the answers."
	case p.Checked == 0:
		return "Parity could not be checked: no block was answered by both sides."
	case len(p.Different) > 0:
		return fmt.Sprintf("Parity is broken: the answers differ on %d of %d blocks (%s).", len(p.Different), p.Checked, numbers(p.Different))
	}
	s := fmt.Sprintf("Parity: state, codes and headers agree on all %d blocks that both sides answered.", p.Checked)
	if p.KeysDiffer > 0 {
		s += fmt.Sprintf(" The keys differ on %d of them, which programs may.", p.KeysDiffer)
	}
	return s
}

func completeness(p *compare.Parity) string {
	checked := [2]int{p.Verified[0] + p.Incomplete[0], p.Verified[1] + p.Incomplete[1]}
	if checked[0]+checked[1] == 0 {
		return "Completeness was not checked."
	}
	if p.Incomplete[0]+p.Incomplete[1] == 0 {
		return fmt.Sprintf("Completeness: all %d checked witnesses are proved: from them alone, their blocks execute to their own state root and receipts root.", checked[0]+checked[1])
	}
	first := p.Refused[0]
	return stop(fmt.Sprintf("Completeness: %d of %d baseline witnesses and %d of %d test witnesses are incomplete; block %d, %s: %s",
		p.Incomplete[0], checked[0], p.Incomplete[1], checked[1], first.Number, first.Side, first.Message))
}

// medians is the median of one figure over the pairs, for both sides.
func medians(r *compare.Result, of func(*sample.Sample) float64) (base, test float64) {
	var x, y []float64
	for i := range r.Pairs {
		x = append(x, of(r.Pairs[i].Samples[0]))
		y = append(y, of(r.Pairs[i].Samples[1]))
	}
	return stat.Summarize(x).Median, stat.Summarize(y).Median
}

func answers(r *compare.Result) string {
	if !sampled(r) {
		return ""
	}
	a, b := medians(r, func(s *sample.Sample) float64 { return float64(s.BodyBytes) })
	gas, _ := medians(r, func(s *sample.Sample) float64 { return float64(s.GasUsed) / 1e6 })
	nodes, _ := medians(r, func(s *sample.Sample) float64 { return float64(s.StateNodes) })
	return fmt.Sprintf("Median block: %.3g Mgas, %.0f state nodes, answer of %s on the baseline side and %s on the test side.",
		gas, nodes, size(int64(a)), size(int64(b)))
}

func phases(r *compare.Result) string {
	n := len(r.Pairs)
	if !sampled(r) {
		return ""
	}
	inMS := func(of func(*sample.Sample) int64) (string, string) {
		a, b := medians(r, func(s *sample.Sample) float64 { return float64(of(s)) / float64(time.Millisecond) })
		return ms(a, n), ms(b, n)
	}
	first1, first2 := inMS(func(s *sample.Sample) int64 { return s.FirstByteNS })
	body1, body2 := inMS(func(s *sample.Sample) int64 { return s.BodyNS })
	return fmt.Sprintf("Phases (medians): first byte after %s on the baseline side and %s on the test side, body in %s and %s.",
		first1, first2, body1, body2)
}

// knownMedians are the medians of a figure over the n pairs of which both sides
// tell it.
func knownMedians(r *compare.Result, of func(*sample.Sample) int64) (base, test float64, n int) {
	var x, y []float64
	for i := range r.Pairs {
		s := r.Pairs[i].Samples
		if a, b := of(s[0]), of(s[1]); a > 0 && b > 0 {
			x, y = append(x, float64(a)), append(y, float64(b))
		}
	}
	return stat.Summarize(x).Median, stat.Summarize(y).Median, len(x)
}

// knownMS are those of a time, as text, and of how many blocks it is known
// where it is not of all.
func knownMS(r *compare.Result, of func(*sample.Sample) int64) (base, test, known string, n int) {
	a, b, n := knownMedians(r, of)
	if n < len(r.Pairs) {
		known = fmt.Sprintf(", known of %d of %s", n, count(len(r.Pairs), r.Subject.Unit()))
	}
	return ms(a/float64(time.Millisecond), n), ms(b/float64(time.Millisecond), n), known, n
}

func servers(r *compare.Result) string {
	if !sampled(r) {
		return ""
	}
	a, b, known, n := knownMS(r, func(s *sample.Sample) int64 { return s.ServerNS })
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("The server's own part, by its metrics page (median%s): %s on the baseline side, %s on the test side. The rest of the latency is encoding and sending the answer.",
		known, a, b)
}

func imports(r *compare.Result) string {
	if !sampled(r) {
		return ""
	}
	a, b, known, n := knownMS(r, func(s *sample.Sample) int64 { return s.ImportNS })
	if n == 0 {
		return ""
	}
	by, store := "engine_newPayload", ""
	if x, y, _, n := knownMS(r, func(s *sample.Sample) int64 { return s.StoreNS }); n > 0 {
		by, store = "by the metrics page", fmt.Sprintf(" Storing it is %s and %s of that.", x, y)
	}
	return fmt.Sprintf("Block import (%s, median%s): %s on the baseline side, %s on the test side.%s A witness that is made while a block is imported is paid for here.",
		by, known, a, b, store)
}

func slowest(r *compare.Result) string {
	if len(r.Pairs) == 0 {
		return ""
	}
	worst := func(side int) string {
		p := slices.MaxFunc(r.Pairs, func(a, b compare.Pair) int { return cmp.Compare(a.MS[side], b.MS[side]) })
		s := fmt.Sprintf("%s at %s %d", duration(r.Subject, p.MS[side], 1), r.Subject.Unit(), p.Number)
		if p.Samples != nil {
			s += fmt.Sprintf(" (%.3g Mgas)", float64(p.Samples[side].GasUsed)/1e6)
		}
		return s
	}
	return fmt.Sprintf("Slowest answers: baseline %s, test %s.", worst(0), worst(1))
}

func order(r *compare.Result) string {
	if !sampled(r) {
		return ""
	}
	first := 0
	for i := range r.Pairs {
		if r.Pairs[i].Samples[0].Order == 1 {
			first++
		}
	}
	if first == 0 {
		return ""
	}
	s := fmt.Sprintf("Order: the baseline side was asked first on %d of %d blocks, at random from the recorded seed", first, len(r.Pairs))
	if v := r.Diagnosis.Order; v.N > 0 && v.Contains(0) {
		s += "; being asked first makes no difference that shows: " + logRatio(v)
	}
	return s + "."
}

// drift says that the effect is the same in both halves as far as can be seen.
// One that is not warns of itself.
func drift(r *compare.Result) string {
	v := r.Diagnosis.Drift
	if v.N == 0 || !v.Contains(0) {
		return ""
	}
	if len(r.Sessions) > 0 {
		return "No drift shows within sessions: ratio of the second half / that of the first " + logRatio(v) + "."
	}
	return "No drift shows: ratio of the second half / that of the first " + logRatio(v) + "."
}

// logRatio is an interval on the log scale as a ratio, with its level.
func logRatio(v stat.Interval) string {
	return fmt.Sprintf("%s (%s %% interval)", htmlLogRatio(v), compare.Percent(v.Confidence))
}

// farthest names the block of the farthest ratio where some lie far off.
func farthest(r *compare.Result) string {
	g := &r.Diagnosis
	if g.OutlierShare == 0 || g.Largest < 0 || g.Largest >= len(r.Pairs) {
		return ""
	}
	p := r.Pairs[g.Largest]
	return fmt.Sprintf("The farthest ratio is %s, at %s %d; %.1f %% of the pairs are farther than 14.8 median absolute deviations from the median.",
		ratio(math.Exp(p.D)), r.Subject.Unit(), p.Number, 100*g.OutlierShare)
}

// errorRate counts the blocks that failed on one side alone.
func errorRate(r *compare.Result) string {
	i := slices.IndexFunc(r.Secondary, func(m compare.Metric) bool { return m.Name == compare.ErrorRate })
	if i < 0 || r.Secondary[i].Only == [2]int{} {
		return ""
	}
	m := r.Secondary[i]
	s := fmt.Sprintf("Error rate: %s failed on the baseline side alone and %d on the test side alone", count(m.Only[0], r.Subject.Unit()), m.Only[1])
	if !early(r) && !math.IsNaN(m.Adjusted) {
		s += ", " + strings.Replace("p = "+pValue(m.Adjusted), "= <", "< ", 1) + " (McNemar, adjusted)"
	}
	return s + "."
}

// losses are what one side did not answer.
type losses struct {
	failed map[sample.Status]int
	gaps   []sample.Gap
	// known says that the side's measurements tell of failures at all.
	known bool
}

// lossesOf takes the losses from the result, and from the records where their
// latencies were compared as series.
func lossesOf(r *Run) (out [2]losses) {
	res := r.Result
	told := (res.Inputs == nil || sampled(res)) && !res.Replayed
	for side := range out {
		told = told || len(res.Failures[side])+len(res.Gaps[side]) > 0
	}
	for side := range out {
		out[side] = losses{res.Failures[side], res.Gaps[side], told || len(r.Records[side]) > 0}
	}
	if told {
		return out
	}
	for side, records := range r.Records {
		failed := make(map[sample.Status]int)
		for _, rec := range records {
			switch s := rec.Sample; {
			case rec.Gap != nil:
				gap := *rec.Gap
				gap.Reason = Clean(gap.Reason)
				out[side].gaps = append(out[side].gaps, gap)
			case s != nil && s.Status != sample.OK && s.Status != sample.Skipped && !s.WarmUp && s.Control == "":
				failed[sample.Status(Clean(string(s.Status)))]++
			}
		}
		out[side].failed = failed
	}
	return out
}

func failures(lost [2]losses) string {
	var parts []string
	for i, side := range sample.Sides {
		for _, status := range slices.Sorted(maps.Keys(lost[i].failed)) {
			parts = append(parts, fmt.Sprintf("%d × %s on the %s side", lost[i].failed[status], status, side))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Failed samples: " + strings.Join(parts, ", ") + "."
}

// fewGaps is how many stretches without an answer are shown one by one.
const fewGaps = 5

// outages tells when a side did not answer: how often, how long in all, and the
// first of them.
func outages(side sample.Side, gaps []sample.Gap) string {
	if len(gaps) == 0 {
		return ""
	}
	var parts []string
	for _, g := range gaps[:min(len(gaps), fewGaps)] {
		parts = append(parts, fmt.Sprintf("from %s for %s (%s)", utc(g.From), gapLength(g.DurationNS), g.Reason))
	}
	if len(gaps) > fewGaps {
		parts = append(parts, "…")
	}
	return fmt.Sprintf("Without an answer on the %s side: %s, %s in all: %s.",
		side, count(len(gaps), "time"), gapLength(gapTotal(gaps)), strings.Join(parts, "; "))
}

// gapTotal is the length of all gaps in nanoseconds.
func gapTotal(gaps []sample.Gap) int64 {
	total := int64(0)
	for _, g := range gaps {
		total += g.DurationNS
	}
	return total
}

// gapLength shows a length in nanoseconds to a tenth of a second.
func gapLength(ns int64) string {
	return time.Duration(ns).Round(100 * time.Millisecond).String()
}

// network warns when a meter did not run on the host that it measured.
func network(s [2]store.Side) string {
	var away []string
	for _, side := range s {
		if side.Host != side.Collector {
			away = append(away, fmt.Sprintf("%s (%s)", side.Side, side.RPC))
		}
	}
	if len(away) == 0 {
		return ""
	}
	return "The meter did not run on the measured host: latencies of " + strings.Join(away, " and ") + " include the network."
}

// numbers lists the first few block numbers.
func numbers(n []uint64) string {
	const few = 5
	var parts []string
	for _, x := range n[:min(few, len(n))] {
		parts = append(parts, fmt.Sprint(x))
	}
	if len(n) > few {
		parts = append(parts, "…")
	}
	return strings.Join(parts, ", ")
}

// distinct are the numbers without repetitions, in order: of one height several
// blocks may be left out.
func distinct(n []uint64) []uint64 {
	var out []uint64
	for _, x := range n {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// listed names the first blocks of an exclusion, and says that there are more.
func listed(e compare.Exclusion) string {
	s := numbers(distinct(e.Blocks))
	if e.Count > len(e.Blocks) && len(e.Blocks) > 0 {
		s += ", …"
	}
	return s
}
