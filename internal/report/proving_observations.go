package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
)

// provingObservations are generated from the records of a prover run.
func provingObservations(r *Run) []string {
	res := r.Result
	var o []string
	add := func(s string) {
		if s != "" {
			o = append(o, s)
		}
	}
	if res.Groups != nil {
		o = append(o, groupObservations(res)...)
	}
	if res.Proving.Rule.Paired {
		add(rounds(res))
		add(proofParity(res))
		add(proofOrder(res))
		add(farthest(res))
	}
	for side := range res.Proving.Sides {
		s := &res.Proving.Sides[side]
		if side == 1 && !res.Proving.Two {
			break
		}
		for _, text := range sideObservations(s, res.Proving.Rule) {
			if res.Proving.Two {
				text = sentence(string(sample.Sides[side])) + " side. " + text
			}
			add(text)
		}
	}
	for _, text := range [][]string{differences(r), res.Diagnosis.Warnings, res.Warnings, r.Warnings} {
		for _, s := range text {
			add(observation(s))
		}
	}
	return o
}

// rounds says what a pair is where each batch was proved several times.
func rounds(res *compare.Result) string {
	if n := res.Proving.Rounds(); n > 1 {
		return fmt.Sprintf("Each side proved each batch %d times, in turns. A pair is a batch, with the geometric mean of its proofs.", n)
	}
	return ""
}

// sideObservations are those of one side.
func sideObservations(s *compare.ProvingSide, rule compare.ProvingRule) []string {
	var o []string
	for _, text := range []string{
		partlyKnown(s, rule), fitted(s, rule), setUp(s), verified(s, rule), idle(s), retried(s), overCounted(s, rule),
		busy(s, rule), gpuBusy(s), throttled(s), energy(s), costs(s, rule),
	} {
		if text != "" {
			o = append(o, text)
		}
	}
	return append(o, noticed(s)...)
}

// partlyKnown says of how many batches gas is known, where not of all.
func partlyKnown(s *compare.ProvingSide, rule compare.ProvingRule) string {
	if rule.Paired || s.WithGas == 0 || s.WithGas == s.Times.N {
		return ""
	}
	return fmt.Sprintf("Gas is known of %d of %s: totals and the time per Mgas are those of these.", s.WithGas, count(s.Times.N, "batch"))
}

// fitted tells time against gas.
func fitted(s *compare.ProvingSide, rule compare.ProvingRule) string {
	switch {
	case s.Times.N == 0 || rule.Paired && s.WithGas == 0:
		return ""
	case s.Fit == nil:
		return stop("There is no line of time against gas: " + string(s.NoFit))
	}
	a, b := s.Fit.Intercept, s.Fit.Slope
	return fmt.Sprintf("Time against gas: %s [%s, %s] and %s [%s, %s] per Mgas (95 %% HC3, %s). The ratio of the totals, %s per Mgas, depends on how large the batches are.",
		seconds0(a.Center), seconds0(a.Low), seconds0(a.High), seconds0(b.Center), seconds0(b.Low), seconds0(b.High), count(a.N, "batch"), seconds(s.PerMgas))
}

// seconds0 is seconds for what may be negative, as an intercept.
func seconds0(ms float64) string {
	if ms < 0 {
		return "-" + seconds(-ms)
	}
	return seconds(ms)
}

// setUp tells the first proofs of the processes.
func setUp(s *compare.ProvingSide) string {
	var parts []string
	for i := range s.Attempts {
		if a := &s.Attempts[i]; a.SetUp && a.ProvingNS > 0 && len(parts) < 5 {
			parts = append(parts, fmt.Sprintf("%s (batch %d)", seconds(a.MS()), a.Batch))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	text := "The first proof of a prover process took " + strings.Join(parts, ", ")
	if s.Times.N > 0 {
		text += "; the median of those that count is " + seconds(s.Times.Median)
	}
	return text + ". It is not counted."
}

// verified tells how the batches got to the L1.
func verified(s *compare.ProvingSide, rule compare.ProvingRule) string {
	if rule.Paired || rule.Log || s.Times.N == 0 {
		return ""
	}
	n := s.Times.N
	if s.Verified == 0 {
		return fmt.Sprintf("None of the %s was seen verified on the L1.", count(n, "batch"))
	}
	text := fmt.Sprintf("Verified on the L1: %d of %s", s.Verified, count(n, "batch"))
	if v := s.SealedToVerified; v.N > 0 {
		text += fmt.Sprintf(", %s after the seal in the median", seconds(v.Median))
	}
	if v := s.ProvedToVerified; v.N > 0 {
		text += fmt.Sprintf(", %s after the proof", seconds(v.Median))
	}
	return text + ". That is no proving time: it holds waiting, sending and the L1's own blocks."
}

// idle tells in how much of the time nothing was proved.
func idle(s *compare.ProvingSide) string {
	if s.Span <= 0 {
		return ""
	}
	return fmt.Sprintf("Between the first batch and the last proof the prover was idle for %s of %s (%.0f %%).",
		brief(s.Idle()), brief(s.Span), 100*float64(s.Idle())/float64(s.Span))
}

// retried counts the attempts that came to nothing.
func retried(s *compare.ProvingSide) string {
	failed := s.Unlike()
	if len(failed) == 0 {
		return ""
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(failed)) {
		parts = append(parts, fmt.Sprintf("%d × %s", failed[status], Clean(string(status))))
	}
	text := "Attempts that came to nothing: " + strings.Join(parts, ", ")
	for i := range s.Attempts {
		if f := s.Attempts[i].Failure; f != nil && Clean(f.Message) != "" {
			return stop(fmt.Sprintf("%s; the first, at batch %d: %s", text, s.Attempts[i].Batch, Clean(f.Message)))
		}
	}
	return text + "."
}

// overCounted tells where the metrics page says something else than the RPC.
func overCounted(s *compare.ProvingSide, rule compare.ProvingRule) string {
	switch {
	case rule.Paired || rule.Log || s.Times.N == 0:
		return ""
	case s.Compared == 0:
		return "The metrics page told nothing of the batches; gas and counts are those of the RPC."
	case len(s.OverCounts) == 0:
		return fmt.Sprintf("Metrics page and RPC agree on gas, transactions and blocks of %s.", countAll(s.Compared))
	}
	var parts []string
	for _, o := range s.OverCounts[:min(len(s.OverCounts), 3)] {
		parts = append(parts, fmt.Sprintf("batch %d (page %d gas, %d transactions, %d blocks; RPC %d, %d, %d)",
			o.Batch, o.Metrics[0], o.Metrics[1], o.Metrics[2], o.RPC[0], o.RPC[1], o.RPC[2]))
	}
	if len(s.OverCounts) > 3 {
		parts = append(parts, "…")
	}
	why := "A page may count the block that no longer fitted; the RPC is what is used here."
	if slices.ContainsFunc(s.OverCounts, func(o compare.OverCount) bool { return !o.Over() }) {
		why = "That is more than the block that no longer fitted, which a page may count, would explain; the RPC is what is used here."
	}
	return fmt.Sprintf("The metrics page differs from the RPC on %d of %s: %s. %s",
		len(s.OverCounts), count(s.Compared, "batch"), strings.Join(parts, ", "), why)
}

func countAll(n int) string {
	if n == 1 {
		return "the one batch"
	}
	return fmt.Sprintf("all %d batches", n)
}

// busy tells CPU and memory while proofs were made.
func busy(s *compare.ProvingSide, rule compare.ProvingRule) string {
	l := &s.Load
	switch {
	case rule.Log || s.Times.N == 0 || rule.Paired && len(s.Machines) == 0:
		return ""
	case l.Records == 0:
		return "No record of the machine lies inside the time of a proof: CPU and memory while proving are unknown."
	}
	text := fmt.Sprintf("While proving (%s):", count(l.Records, "record"))
	var parts []string
	if l.CPU.N > 0 {
		parts = append(parts, fmt.Sprintf(" CPU %.0f %% busy on average, %.0f %% at most", 100*l.CPU.Mean, 100*l.CPU.Max))
	}
	if l.Memory.N > 0 {
		parts = append(parts, fmt.Sprintf(" memory in use %s on average, %s at most", size(int64(l.Memory.Mean)), size(int64(l.Memory.Max))))
	}
	if len(parts) == 0 {
		return text + " the system told neither CPU nor memory."
	}
	return text + strings.Join(parts, ";") + "."
}

// gpuBusy tells what the GPUs did, or that there is none.
func gpuBusy(s *compare.ProvingSide) string {
	l := &s.Load
	if l.GPURecords == 0 {
		told := slices.ContainsFunc(s.Notices, func(n sample.Notice) bool { return n.Kind == sample.NoGPU })
		if l.Records == 0 || told {
			return ""
		}
		return "No GPU was measured: its power, temperature and energy are unknown, not zero."
	}
	var parts []string
	add := func(f compare.Figure, format string, scale float64) {
		if f.N > 0 {
			parts = append(parts, fmt.Sprintf(format, scale*f.Mean, scale*f.Max))
		}
	}
	add(l.GPU, "%.0f %% busy on average, %.0f %% at most", 100)
	add(l.GPUMemory, "memory %.3g GB on average, %.3g GB at most", 1e-9)
	add(l.Watts, "power %.0f W on average, %.0f W at most", 1)
	add(l.Celsius, "temperature %.0f °C on average, %.0f °C at most", 1)
	add(l.SMClock, "clock %.0f MHz on average, %.0f MHz at most", 1)
	if len(parts) == 0 {
		return "The GPU's driver told nothing of what it did."
	}
	return fmt.Sprintf("GPU while proving (%s): %s.", count(l.GPURecords, "record"), strings.Join(parts, "; "))
}

// throttled tells whether the GPUs lowered their clocks.
func throttled(s *compare.ProvingSide) string {
	l := &s.Load
	if l.ThrottleKnown == 0 {
		return ""
	}
	if len(l.Throttled) == 0 {
		return fmt.Sprintf("The GPU had no reason for a lower clock in any of %s.", count(l.ThrottleKnown, "record"))
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(l.Throttled)) {
		parts = append(parts, fmt.Sprintf("%s in %d", Clean(reason), l.Throttled[reason]))
	}
	return fmt.Sprintf("The GPU was held back, of %s: %s. Times under a lower clock are longer than the build's own.",
		count(l.ThrottleKnown, "record"), strings.Join(parts, ", "))
}

// energy tells what the proofs took from the GPUs.
func energy(s *compare.ProvingSide) string {
	if s.Measured == 0 {
		if s.Load.Watts.N > 0 {
			return "The energy is unknown: the records of the power leave gaps in every proof."
		}
		return ""
	}
	text := fmt.Sprintf("Energy of the GPUs: %s per proof", joules(s.Energy.Joules/float64(s.Measured)))
	if s.EnergyMgas > 0 {
		text += fmt.Sprintf(", %s per Mgas", joules(s.Energy.Joules/s.EnergyMgas))
	}
	return text + fmt.Sprintf(" (%d of %d proofs, %s). The rest of the machine is not in it.", s.Measured, s.Times.N, count(s.Energy.N, "power record"))
}

// costs tells what proofs cost at the given price.
func costs(s *compare.ProvingSide, rule compare.ProvingRule) string {
	proof, ok := rule.Cost(s.Times.Mean)
	if !ok || s.Times.N == 0 {
		return ""
	}
	text := fmt.Sprintf("At %s per hour a proof costs %s", money(rule.PricePerHour, true, rule), money(proof, true, rule))
	if gas, _ := rule.Cost(s.PerMgas); s.WithGas > 0 {
		text += fmt.Sprintf(" and a Mgas %s", money(gas, true, rule))
	}
	if s.Busy > 0 && s.Idle() > 0 {
		whole := proof * float64(s.Span) / float64(s.Busy)
		text += fmt.Sprintf("; with the idle time of this run a proof costs %s", money(whole, true, rule))
	}
	return text + "."
}

// noticed tells the notices of the collector, each kind once.
func noticed(s *compare.ProvingSide) []string {
	var order []sample.NoticeKind
	count := make(map[sample.NoticeKind]int)
	first := make(map[sample.NoticeKind]sample.Notice)
	for _, n := range s.Notices {
		if n.Kind == sample.ProverStarted {
			continue
		}
		if count[n.Kind]++; count[n.Kind] == 1 {
			order = append(order, n.Kind)
			first[n.Kind] = n
		}
	}
	var out []string
	for _, kind := range order {
		text := noticeWords(kind)
		if n := count[kind]; n > 1 {
			text += fmt.Sprintf(" (%d times)", n)
		}
		if n := first[kind]; n.Batch != nil {
			text += fmt.Sprintf(", first at batch %d", *n.Batch)
		}
		if message := Clean(first[kind].Message); message != "" {
			text += ": " + message
		}
		out = append(out, stop(text))
	}
	return out
}

// noticeWords say what a kind of notice means.
func noticeWords(kind sample.NoticeKind) string {
	switch kind {
	case sample.VersionMismatch:
		return "Prover and sequencer are of different commits"
	case sample.TypeNotNeeded:
		return "The deployment does not want proofs of this type"
	case sample.NoCoordinator:
		return "The prover could not reach its coordinator"
	case sample.ProverError:
		return "The prover reported an error"
	case sample.ProofRefused:
		return "A proof was refused"
	case sample.NoRPC:
		return "The L2's RPC did not answer"
	case sample.NoMetrics:
		return "The L2's metrics page did not answer"
	case sample.NoGPU:
		return "No GPU can be measured, so that power, temperature and energy are unknown, not zero"
	case sample.LogCut:
		return "Of a log that is followed something may be missing"
	}
	return sentence(Clean(string(kind)))
}

// proofParity says whether both sides proved the same.
func proofParity(r *compare.Result) string {
	p := &r.Parity
	switch {
	case p.Checked == 0:
		return "Parity was not checked: no batch was proved with public values on both sides."
	case len(p.Different) > 0:
		return fmt.Sprintf("Parity is broken: the public values differ on %d of %s (%s).", len(p.Different), count(p.Checked, "batch"), numbers(p.Different))
	}
	return fmt.Sprintf("Parity: the public values agree on %s that both sides proved.", countAll(p.Checked))
}

// proofOrder says whether proving a batch first makes a difference.
func proofOrder(r *compare.Result) string {
	v := r.Diagnosis.Order
	if v.N == 0 || !v.Contains(0) {
		return ""
	}
	return "Being first to prove a batch makes no difference that shows: " + logRatio(v) + "."
}
