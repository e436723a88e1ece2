package compare

import (
	"fmt"
	"slices"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
)

// ProvingRule is how the proofs of a run are chosen and judged, fixed before
// the first of them.
type ProvingRule struct {
	// Planned is the number of batches of each side that count, shared among
	// its sessions; 0 counts all there are.
	Planned int
	// Compare says that the run has two sides. One that has attempts on the
	// test side, or is Paired, has them in any case.
	Compare bool
	// Margin is the practical margin as a fraction, Alpha the error rate of
	// the one analysis; 0 is that of the method.
	Margin, Alpha float64
	// Seed starts the relabelings and the bootstrap.
	Seed uint64
	// MinTransactions is the fewest transactions, deposits aside, of a batch
	// that counts.
	MinTransactions int
	// Paired says that both sides proved the same batches: a replay.
	Paired bool
	// Log says that the attempts are those of a prover's log: what a batch
	// holds is what a metrics page says, if anything does.
	Log bool
	// PricePerHour is what an hour of the machine costs in Currency, 0 for
	// unknown.
	PricePerHour float64
	Currency     string
	// Exploratory says in what the rule differs from the one that was
	// registered; empty when it does not.
	Exploratory string
}

// ProvingRuleOf is the rule that the spec of a prover run registered.
func ProvingRuleOf(s *spec.Prover) ProvingRule {
	return ProvingRule{
		Planned: s.Batches, Compare: s.Test != nil, Margin: s.Margin, Alpha: s.Alpha, Seed: s.Seed,
		MinTransactions: s.MinTransactions, PricePerHour: s.PricePerHour, Currency: s.Currency,
	}
}

// judged is the rule of the comparison.
func (p ProvingRule) judged() Rule {
	rule := unplanned(DefaultRule())
	rule.AlphaFinal, rule.MinPairs = alphaProof, stat.MinBatchesPerSide
	if p.Alpha > 0 {
		rule.AlphaFinal = p.Alpha
	}
	if p.Margin > 0 {
		rule.Margin = p.Margin
	}
	rule.Planned, rule.Seed, rule.Exploratory = p.Planned, p.Seed, p.Exploratory
	return rule
}

// Proving is what the proofs of a run show beside the difference of its sides.
type Proving struct {
	Rule ProvingRule
	// Two says that the run has two sides. Of one there is no verdict.
	Two   bool
	Sides [2]ProvingSide
}

// Rounds is how often each side proved a batch, as planned, at the most.
func (p *Proving) Rounds() int {
	rounds := 1
	for side := range p.Sides {
		for _, a := range p.Sides[side].Attempts {
			rounds = max(rounds, a.Round)
		}
	}
	return rounds
}

// Attempt is one attempt of a prover at one batch with what else is known of
// it.
type Attempt struct {
	*sample.Attempt
	// Of is the batch by RPC, or by the metrics page alone; nil when nothing
	// is known of it.
	Of *sample.Batch
	// Work is what the batch holds; zero fields are unknown unless ByRPC.
	Work  Work
	ByRPC bool
	// Left says why the attempt does not count, empty when it does.
	Left Reason
	// Load is how busy the machine was while the proof was made.
	Load Load
	// Energy is that of all GPUs while the proof was made.
	Energy Energy
}

// Reason says, in words of this package, why something is left out.
type Reason string

// Work is what a batch holds.
type Work struct {
	Gas uint64
	// Transactions are without the deposits where those are known.
	Transactions, Deposits, Blocks int
}

// MS is the proving time in milliseconds, 0 when it is unknown.
func (a *Attempt) MS() float64 {
	return float64(max(a.ProvingNS, 0)) / float64(time.Millisecond)
}

// Mgas is the gas of the batch in millions.
func (a *Attempt) Mgas() float64 { return float64(a.Work.Gas) / 1e6 }

// Counts reports whether the attempt is one of those that are analyzed.
func (a *Attempt) Counts() bool { return a.Left == "" }

// ProvingSide is what one side of a run proved.
type ProvingSide struct {
	// Attempts are all there were, in order.
	Attempts []Attempt
	// Times describe the proofs that count, in milliseconds.
	Times Latencies
	// Total is what their batches hold.
	Total Work
	// WithGas counts those whose gas is known, PerMgas is the time of these
	// over their gas in milliseconds per million; 0 without any.
	WithGas int
	PerMgas float64
	// Fit is time against gas, in milliseconds and millions of gas; nil where
	// the proofs support none, and NoFit says why.
	Fit   *stat.Line
	NoFit Reason
	// SealedToVerified and ProvedToVerified are the times, in milliseconds, to
	// the verification on the L1: from the seal of the batch and from its
	// proof. They are no proving times.
	SealedToVerified, ProvedToVerified stat.Summary
	// Verified counts the batches that count and were seen verified, Followed
	// those of which anything on the L1 is known.
	Verified, Followed int
	// Span is from the first batch received to the last proof, summed over the
	// sessions, and Busy the part of it in which a proof was made. Both are 0
	// where the times are unknown.
	Span, Busy time.Duration
	// Load is how busy the machine was while the proofs that count were made.
	Load Load
	// Energy is the sum over the proofs that count whose energy is known, and
	// Measured their number; EnergyMgas and EnergyTime are their gas, in
	// millions, and their time.
	Energy     Energy
	Measured   int
	EnergyMgas float64
	EnergyTime time.Duration
	// OverCounts are the batches of which metrics page and RPC differ.
	OverCounts []OverCount
	// Compared counts the batches of which both are known.
	Compared int
	// Notices are what the collector noticed, Machines what it measured of the
	// machine, in order of time.
	Notices  []sample.Notice
	Machines []*sample.Machine
	// Sessions counts the sessions with attempts.
	Sessions int
}

// OverCount is a batch of which the metrics page says something else than the
// RPC does. What the page does not say is as by RPC.
type OverCount struct {
	Session int
	Batch   uint64
	// RPC and Metrics are gas, transactions, and blocks. The transactions are
	// with the deposits, unless the page counts exactly those without.
	RPC, Metrics [3]uint64
}

// Over reports whether the page counts more than there is and nothing less, as
// one does that counts the block that no longer fitted.
func (o OverCount) Over() bool {
	for i, n := range o.Metrics {
		if n < o.RPC[i] {
			return false
		}
	}
	return o.Metrics != o.RPC
}

// Idle is the time in which no proof was made between the first batch received
// and the last proof.
func (s *ProvingSide) Idle() time.Duration { return s.Span - s.Busy }

// Counted are the attempts that count.
func (s *ProvingSide) Counted() []*Attempt {
	var out []*Attempt
	for i := range s.Attempts {
		if s.Attempts[i].Counts() {
			out = append(out, &s.Attempts[i])
		}
	}
	return out
}

// Cost is what a time of proving costs, false where no price is known.
func (p ProvingRule) Cost(ms float64) (float64, bool) {
	return p.PricePerHour * ms / float64(time.Hour/time.Millisecond), p.PricePerHour > 0
}

// AnalyzeProving analyzes the records of the sides of a run under rule. Of one
// side there is a report and no verdict. Two sides that proved the same batches
// are compared pair by pair, others at equal gas. Every attempt that does not
// count is excluded with its reason.
func AnalyzeProving(records [2][]sample.Record, rule ProvingRule) *Result {
	r := newResult(rule.judged(), Proof)
	r.Stage = stat.Planned
	p := &Proving{Rule: rule, Two: rule.Compare || rule.Paired}
	r.Proving = p
	for side := range records {
		p.Sides[side] = gatherProofs(records[side], rule)
		p.Two = p.Two || side == 1 && len(p.Sides[side].Attempts) > 0
	}
	for side := range p.Sides {
		r.tellProofs(side)
		p.Sides[side].sum(rule)
		r.Batches[side] = p.Sides[side].batches()
	}
	switch {
	case !p.Two:
		r.reportProofs()
	case rule.Paired:
		r.pairProofs()
	default:
		r.compareProofs()
	}
	return r
}

// tellProofs lists what is not compared, and what failed.
func (r *Result) tellProofs(side int) {
	p := r.Proving
	s := &p.Sides[side]
	for i := range s.Attempts {
		a := &s.Attempts[i]
		if a.WarmUp {
			r.WarmUps++
		}
		if a.Status != sample.Accepted && !a.WarmUp {
			r.Failures[side][sample.Status(a.Status)]++
		}
		if a.Counts() {
			continue
		}
		reason := string(a.Left)
		if p.Two {
			reason = fmt.Sprintf("%s side: %s", sample.Sides[side], reason)
		}
		r.exclude(reason, a.Batch)
	}
}

// batches are the proofs that count.
func (s *ProvingSide) batches() []Batch {
	var out []Batch
	for _, a := range s.Counted() {
		session := 0
		if s.Sessions > 1 {
			session = a.Session
		}
		out = append(out, Batch{
			Number: a.Batch, Session: session, MS: a.MS(), Gas: a.Work.Gas,
			Txs: uint32(a.Work.Transactions), Blocks: uint32(a.Work.Blocks),
		})
	}
	return out
}

// reportProofs is all that can be said of one side.
func (r *Result) reportProofs() {
	s := &r.Proving.Sides[0]
	r.Design = Single
	r.Sides[0] = s.Times
	r.Attempted = len(s.Attempts)
	r.Verdict = Verdict{Outcome: NoVerdict, Margin: r.Rule.Margin}
	n := s.Times.N
	switch {
	case n == 0 && len(s.Attempts) == 0:
		r.Verdict.Outcome = Invalid
		r.Verdict.Reasons = []string{"no batch was proved"}
	case n == 0:
		r.Verdict.Outcome = Invalid
		r.Verdict.Reasons = []string{fmt.Sprintf("none of %s counts: %s", amount(len(s.Attempts), "attempt"), r.reasonsLeft())}
	default:
		r.Verdict.Reasons = []string{"one side was measured: there is nothing to compare it with"}
	}
	if n > 0 && n < r.Rule.Planned {
		r.warn("%d of %d planned batches count", n, r.Rule.Planned)
	}
}

// reasonsLeft lists the reasons of what was excluded with their counts.
func (r *Result) reasonsLeft() string {
	var parts []string
	for _, e := range r.Excluded {
		parts = append(parts, fmt.Sprintf("%d × %s", e.Count, e.Reason))
	}
	return join(parts)
}

// amount is a number with its unit.
func amount(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// reached is how many batches of a side were proved of those that were
// planned. The first proof of a process is one of them: that it is left out is
// no choice.
func (s *ProvingSide) reached() int {
	n := 0
	for i := range s.Attempts {
		if a := &s.Attempts[i]; a.Counts() || a.Left == leftSetUp || a.Left == leftBeyond {
			n++
		}
	}
	return n
}

// sessionsOfProofs are the numbers of the sessions of attempts, in order.
func sessionsOfProofs(attempts []Attempt) []int {
	var out []int
	for i := range attempts {
		if n := attempts[i].Session; !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// ReplayRuleOf is the rule that the spec of a replay registered.
func ReplayRuleOf(s *spec.Replay) ProvingRule {
	return ProvingRule{Planned: s.Batches, Paired: true, Margin: s.Margin, Alpha: s.Alpha, Seed: s.Seed}
}
