package compare

import (
	"fmt"
	"math"

	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// The attributions of a comparison of proofs.
const (
	sameBatches = "the test prover against the baseline prover on the same inputs and the same machine, in turn; what two processes of one build differ by is not separated, a replay of one build against itself shows it"
	inTurns     = "different batches on the same machine in turns: gas is taken into account, everything else that differs between them is not"
	oneTurnEach = "different batches, and one turn of each side after the other: gas is taken into account, what else differs between the batches and whatever changed with time is confounded with the change"
)

// pairProofs compares proofs of the same batches.
func (r *Result) pairProofs() {
	base, test := r.accepted(0), r.accepted(1)
	asked := make(map[place]bool)
	for side := range r.Proving.Sides {
		for _, a := range r.Proving.Sides[side].Attempts {
			if !a.WarmUp {
				asked[place{a.Session, a.Batch, 0}] = true
			}
		}
	}
	r.asked, r.Attempted = len(asked), len(asked)
	var orders []bool
	ordered := true
	var rounds proofRounds
	for _, x := range r.Proving.Sides[0].Counted() {
		y := test[x.at()]
		if y == nil || !r.sameProof(x, y) {
			continue
		}
		if rounds.add(r.Pairs, x, y) {
			ordered = false // both sides begin in turns with one batch
			continue
		}
		if r.Rule.Planned > 0 && len(r.Pairs) == r.Rule.Planned {
			r.exclude(string(leftBeyond), x.Batch)
			continue
		}
		r.Pairs = append(r.Pairs, Pair{Number: x.Batch, MS: [2]float64{x.MS(), y.MS()}, D: ratio(x.MS(), y.MS())})
		rounds.begin(x, y)
		ordered = ordered && x.Order > 0 && y.Order > 0
		orders = append(orders, x.Order < y.Order)
	}
	r.onlyOne(base, test)
	r.unproved()
	if r.Rule.Planned > 0 && r.asked < r.Rule.Planned {
		r.Stage = stat.Stopped
	}
	r.analyze()
	if v, err := stat.OrderEffect(r.Differences(), orders, confidence); ordered && err == nil {
		r.Diagnosis.Order = v
		r.Diagnosis.Warnings = append(r.Diagnosis.Warnings, v.Warnings...)
	}
	if r.Verdict.Outcome != Invalid {
		r.Verdict.Attribution = sameBatches
	}
}

// proofRounds are the rounds of the pairs so far.
type proofRounds struct {
	index map[place]int
	// logs are the sums of the log times of both sides, n how many they are.
	logs [][2]float64
	n    []int
}

// begin takes the first round of the newest pair.
func (p *proofRounds) begin(x, y *Attempt) {
	if p.index == nil {
		p.index = make(map[place]int)
	}
	p.index[place{x.Session, x.Batch, 0}] = len(p.n)
	p.logs = append(p.logs, [2]float64{math.Log(x.MS()), math.Log(y.MS())})
	p.n = append(p.n, 1)
}

// add takes another round of a batch that has a pair, whose times become the
// geometric means of its rounds: its rounds are no pairs of their own, because
// what is peculiar to a batch is in all of them. It returns false for a batch
// without one.
func (p *proofRounds) add(pairs []Pair, x, y *Attempt) bool {
	i, ok := p.index[place{x.Session, x.Batch, 0}]
	if !ok {
		return false
	}
	p.logs[i][0] += math.Log(x.MS())
	p.logs[i][1] += math.Log(y.MS())
	p.n[i]++
	n := float64(p.n[i])
	pairs[i].MS = [2]float64{math.Exp(p.logs[i][0] / n), math.Exp(p.logs[i][1] / n)}
	pairs[i].D = (p.logs[i][1] - p.logs[i][0]) / n
	return true
}

// accepted are the attempts of a side that count, by their place.
func (r *Result) accepted(side int) map[place]*Attempt {
	out := make(map[place]*Attempt)
	for _, a := range r.Proving.Sides[side].Counted() {
		out[a.at()] = a
	}
	return out
}

// sameProof reports whether two attempts were at the same input and proved the
// same. Where they did not, it says so.
func (r *Result) sameProof(x, y *Attempt) bool {
	if x.InputSHA256 != "" && y.InputSHA256 != "" && x.InputSHA256 != y.InputSHA256 {
		r.exclude("different inputs under one number", x.Batch)
		r.conflicts++
		return false
	}
	if x.Public == "" || y.Public == "" {
		return true
	}
	r.Parity.Checked++
	if x.Public != y.Public {
		r.Parity.Different = append(r.Parity.Different, x.Batch)
		return false
	}
	return true
}

// onlyOne lists the batches of which only one side has a proof that counts.
func (r *Result) onlyOne(base, test map[place]*Attempt) {
	for side, other := range [2]map[place]*Attempt{test, base} {
		for _, a := range r.Proving.Sides[side].Counted() {
			if other[a.at()] == nil {
				r.exclude([2]string{onlyBaseline, onlyTest}[side], a.Batch)
				r.Parity.only[1-side]++
			}
		}
	}
}

// unproved says what parity rests on.
func (r *Result) unproved() {
	if n := len(r.Pairs) + len(r.Parity.Different); r.Parity.Checked < n {
		r.warn("parity was not checked on %d of %s: their proofs have no public values", n-r.Parity.Checked, batches(n))
	}
}

// compareProofs compares proofs of different batches at equal gas.
func (r *Result) compareProofs() {
	r.Design = Unpaired
	var series [2]*intake.Series
	var kept [2][]uint32
	for side := range series {
		s := &intake.Series{Numbered: true, Batches: true}
		for i, b := range r.Batches[side] {
			s.Values = append(s.Values, intake.Value{Block: b.Number, MS: b.MS})
			s.Work = append(s.Work, intake.Work{Gas: b.Gas, Txs: b.Txs, Blocks: b.Blocks})
			kept[side] = append(kept[side], uint32(i))
		}
		series[side] = s
	}
	r.groups(series, kept, "the sides proved different batches: the comparison is unpaired, with gas as covariate")
	r.Attempted = len(r.Proving.Sides[0].Attempts) + len(r.Proving.Sides[1].Attempts)
	if r.Verdict.Outcome == Invalid {
		return
	}
	r.Verdict.Attribution = inTurns
	if max(r.Proving.Sides[0].Sessions, r.Proving.Sides[1].Sessions) < 2 {
		r.Verdict.Attribution = oneTurnEach
	}
	if r.Rule.Exploratory != "" {
		r.Verdict.Reasons = append(r.Verdict.Reasons, "exploratory: "+r.Rule.Exploratory)
	}
	r.stopped()
}

// stopped takes the verdict from a run that ended before the planned batches
// were there: its one analysis was for those.
func (r *Result) stopped() {
	v := &r.Verdict
	for side := range r.Proving.Sides {
		n := r.Proving.Sides[side].reached()
		if n >= r.Rule.Planned {
			continue
		}
		r.Stage = stat.Stopped
		reason := fmt.Sprintf("the run ended after %d of %d planned batches of the %s side: the analysis was planned for all of them", n, r.Rule.Planned, sample.Sides[side])
		v.Reasons = append([]string{reason}, v.Reasons...)
	}
	if r.Stage == stat.Stopped {
		v.Outcome, v.ClearsMargin = Inconclusive, false
	}
}
