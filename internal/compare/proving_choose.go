package compare

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

// The reasons why an attempt does not count.
const (
	leftWarmUp   Reason = "warm-up, as planned"
	leftSetUp    Reason = "first proof of a prover process, which pays for setting up"
	leftRepeated Reason = "repeated attempt: a later one at the batch was accepted"
	leftLost     Reason = "proof that did not reach the coordinator"
	leftNoProof  Reason = "batch handed out and no proof made of it"
	leftRejected Reason = "proof that was rejected"
	leftOpen     Reason = "proof that was not accepted"
	leftUntimed  Reason = "proof without a proving time"
	leftUnknown  Reason = "no RPC data about the batch"
	leftAbsurd   Reason = "RPC data about the batch that cannot be"
	leftEmpty    Reason = "empty batch"
	leftDeposits Reason = "batch that holds deposits only"
	leftBeyond   Reason = "after the planned batches"
)

// place is where a batch stands: numbers begin again in every session. The round
// is 0 for the batch itself and where each batch is proved once.
type place struct {
	session int
	batch   uint64
	round   int
}

// at is the place of the attempt.
func (a *Attempt) at() place { return place{a.Session, a.Batch, a.Round} }

// gatherProofs joins the records of one side and chooses what counts.
func gatherProofs(records []sample.Record, rule ProvingRule) ProvingSide {
	var s ProvingSide
	batches := make(map[place]*sample.Batch)
	index := make(map[attemptKey]int)
	for _, rec := range records {
		switch {
		case rec.Batch != nil:
			batches[place{rec.Batch.Session, rec.Batch.Number, 0}] = rec.Batch
		case rec.Attempt != nil:
			s.add(index, rec.Attempt)
		case rec.Machine != nil:
			s.Machines = append(s.Machines, rec.Machine)
		case rec.Notice != nil:
			s.Notices = append(s.Notices, *rec.Notice)
		}
	}
	slices.SortStableFunc(s.Attempts, func(a, b Attempt) int { return cmp.Compare(a.Session, b.Session) })
	slices.SortStableFunc(s.Machines, func(a, b *sample.Machine) int {
		return cmp.Or(cmp.Compare(a.Session, b.Session), a.At.Compare(b.At))
	})
	s.Sessions = len(sessionsOfProofs(s.Attempts))
	for i := range s.Attempts {
		a := &s.Attempts[i]
		a.Of = batches[place{a.Session, a.Batch, 0}]
		a.hold(rule)
	}
	s.choose(rule)
	s.joinMachine()
	s.overCount(batches)
	return s
}

// attemptKey tells attempts apart.
type attemptKey struct {
	place
	number int
	warmUp bool
}

// add takes an attempt. One that is written again, because more became known
// of it, replaces what was known before.
func (s *ProvingSide) add(index map[attemptKey]int, a *sample.Attempt) {
	key := attemptKey{place{a.Session, a.Batch, a.Round}, a.Number, a.WarmUp}
	if at, ok := index[key]; ok && a.Number > 0 {
		s.Attempts[at].Attempt = a
		return
	}
	index[key] = len(s.Attempts)
	s.Attempts = append(s.Attempts, Attempt{Attempt: a})
}

// byRPC reports whether the RPC told what a batch holds. Block 0 is in no
// batch, so that one whose blocks are all zero was only heard of.
func byRPC(b *sample.Batch) bool { return b != nil && (b.LastBlock > 0 || b.FirstBlock > 0) }

// possible reports whether what the RPC told of a batch can be.
func possible(b *sample.Batch) bool {
	return b.FirstBlock <= b.LastBlock && b.LastBlock-b.FirstBlock < 1<<32 && b.Transactions >= 0 && b.Deposits >= 0
}

// hold notes what the batch of the attempt holds: by RPC or, for a log, by the
// metrics page.
func (a *Attempt) hold(rule ProvingRule) {
	b := a.Of
	switch {
	case byRPC(b) && possible(b):
		a.ByRPC = true
		a.Work = Work{Gas: b.GasUsed, Transactions: b.Transactions, Deposits: b.Deposits, Blocks: b.Blocks()}
	case rule.Log && b != nil && b.Metrics != nil:
		value := func(x *uint64) uint64 {
			if x == nil {
				return 0
			}
			return *x
		}
		m := b.Metrics
		a.Work = Work{Gas: value(m.GasUsed), Transactions: int(min(value(m.Transactions), 1<<32)), Blocks: int(min(value(m.Blocks), 1<<32))}
	}
}

// choose decides which attempts count.
func (s *ProvingSide) choose(rule ProvingRule) {
	last := make(map[place]int)
	for i := range s.Attempts {
		if a := &s.Attempts[i]; a.Status == sample.Accepted && !a.WarmUp {
			last[a.at()] = i
		}
	}
	for i := range s.Attempts {
		a := &s.Attempts[i]
		switch {
		case a.WarmUp:
			a.Left = leftWarmUp
		case a.Status == sample.Lost:
			a.Left = leftLost
		case a.Status == sample.NoProof:
			a.Left = leftNoProof
		case a.Status == sample.Rejected:
			a.Left = leftRejected
		case a.Status != sample.Accepted:
			a.Left = leftOpen
		case last[a.at()] != i:
			a.Left = leftRepeated
		case a.ProvingNS <= 0:
			a.Left = leftUntimed
		default:
			a.Left = a.unlike(rule)
		}
	}
	s.cut(rule)
}

// unlike says in what an accepted attempt is not like the others. A batch that
// holds no load is none of those that were planned, and so says that first.
func (a *Attempt) unlike(rule ProvingRule) Reason {
	b := a.Of
	switch known := byRPC(b); {
	case rule.Paired: // both sides prove the same, whatever it is
	case rule.Log:
		if m := metricsOf(b); m != nil && m.GasUsed != nil && m.Transactions != nil && *m.GasUsed == 0 && *m.Transactions == 0 {
			return leftEmpty
		}
	case !known:
		return leftUnknown
	case !a.ByRPC:
		return leftAbsurd
	case b.Transactions == 0 && b.Deposits == 0 && b.GasUsed == 0:
		return leftEmpty
	case b.Transactions == 0:
		return leftDeposits
	case b.Transactions < rule.MinTransactions:
		return Reason(fmt.Sprintf("batch of fewer than %d transactions", rule.MinTransactions))
	case b.GasUsed == 0:
		return leftAbsurd
	}
	if a.SetUp {
		return leftSetUp
	}
	return ""
}

// cut leaves out what came after the planned batches, session by session, each
// with its share.
func (s *ProvingSide) cut(rule ProvingRule) {
	sessions := sessionsOfProofs(s.Attempts)
	if rule.Planned <= 0 || rule.Paired {
		return
	}
	for k, number := range sessions {
		left := (rule.Planned + len(sessions) - 1 - k) / len(sessions) // as the plan shares them
		for i := range s.Attempts {
			a := &s.Attempts[i]
			if a.Session != number || !a.Counts() {
				continue
			}
			if left--; left < 0 {
				a.Left = leftBeyond
			}
		}
	}
}

// interval is when the proof of the attempt was made, false when the log does
// not tell.
func (a *Attempt) interval() (from, to time.Time, ok bool) {
	if a.ProvedAt.IsZero() || a.ProvingNS <= 0 {
		return from, to, false
	}
	return a.ProvedAt.Add(-time.Duration(a.ProvingNS)), a.ProvedAt, true
}

// overCount lists where the metrics page says something else than the RPC.
func (s *ProvingSide) overCount(batches map[place]*sample.Batch) {
	for _, b := range batches {
		if !byRPC(b) || !possible(b) || b.Metrics == nil {
			continue
		}
		o := OverCount{Session: b.Session, Batch: b.Number,
			RPC: [3]uint64{b.GasUsed, uint64(b.Transactions + b.Deposits), uint64(b.Blocks())}}
		if v := b.Metrics.Transactions; v != nil && *v == uint64(b.Transactions) {
			// This page's transactions are those without deposits, which an L2
			// can credit by other means.
			o.RPC[1] = *v
		}
		o.Metrics = o.RPC
		told := false
		for i, v := range []*uint64{b.Metrics.GasUsed, b.Metrics.Transactions, b.Metrics.Blocks} {
			if v != nil {
				o.Metrics[i], told = *v, true
			}
		}
		if told {
			s.Compared++
		}
		if o.Metrics != o.RPC {
			s.OverCounts = append(s.OverCounts, o)
		}
	}
	slices.SortFunc(s.OverCounts, func(a, b OverCount) int {
		return cmp.Or(cmp.Compare(a.Session, b.Session), cmp.Compare(a.Batch, b.Batch))
	})
}

// metricsOf is what the metrics page says of a batch, nil when nothing.
func metricsOf(b *sample.Batch) *sample.BatchMetrics {
	if b == nil {
		return nil
	}
	return b.Metrics
}
