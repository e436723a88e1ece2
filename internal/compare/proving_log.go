package compare

import (
	"math"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
)

// AnalyzeLog is the analysis of one prover log, with what a metrics page says of
// its batches if that was joined. There is no verdict.
func AnalyzeLog(s *intake.Series) *Result {
	var records []sample.Record
	for i, v := range s.Values {
		records = append(records, sample.Record{V: sample.Version, Attempt: &sample.Attempt{
			Batch: v.Block, Number: 1, Status: sample.Accepted, SetUp: v.Has(intake.SetUp),
			ProvingNS: nanoseconds(v.MS), PrecisionNS: nanoseconds(v.PrecisionMS()),
		}})
		if s.Work == nil {
			continue
		}
		w := s.Work[i]
		m := &sample.BatchMetrics{}
		known := func(n uint64) *uint64 {
			if n == 0 && !v.Has(intake.Empty) {
				return nil
			}
			return &n
		}
		m.GasUsed, m.Transactions, m.Blocks = known(w.Gas), known(uint64(w.Txs)), known(uint64(w.Blocks))
		records = append(records, sample.Record{V: sample.Version, Batch: &sample.Batch{Number: v.Block, Metrics: m}})
	}
	r := AnalyzeProving([2][]sample.Record{records}, ProvingRule{Log: true})
	r.Inputs = &[2]Input{inputOf(s)}
	for _, e := range s.Excluded {
		r.Excluded = append(r.Excluded, Exclusion{Reason: string(e.Reason), Count: e.Count, Blocks: e.Blocks})
	}
	for _, w := range s.Warnings {
		r.warn("%s", w)
	}
	if s.Work == nil {
		r.warn("what the batches hold is not known: give --metrics with the page of the L2, by URL or as a file")
	}
	return r
}

// nanoseconds are those of milliseconds that were nanoseconds before: the
// nearest, because a product in floating point can fall short of a whole one.
func nanoseconds(ms float64) int64 { return int64(math.Round(ms * float64(time.Millisecond))) }

// SeriesOfProofs is one side of a prover run as a series, to be compared with
// what was proved elsewhere: its proofs that count under rule. Everything else
// is excluded with its reason. It is an error of kind fault.Invalid when none
// counts.
func SeriesOfProofs(name string, records []sample.Record, rule ProvingRule) (*intake.Series, error) {
	side := gatherProofs(records, rule)
	s := &intake.Series{Kind: intake.ProverLog, Name: name, Numbered: true, Batches: true, Lines: len(records)}
	r := newResult(Rule{}, Proof)
	for i := range side.Attempts {
		a := &side.Attempts[i]
		if !a.Counts() {
			r.exclude(string(a.Left), a.Batch)
			continue
		}
		s.Values = append(s.Values, intake.Value{Block: a.Batch, MS: a.MS()})
		s.Work = append(s.Work, intake.Work{Gas: a.Work.Gas, Txs: uint32(a.Work.Transactions), Blocks: uint32(a.Work.Blocks)})
	}
	for _, e := range r.Excluded {
		s.Excluded = append(s.Excluded, intake.Exclusion{Reason: intake.Reason(e.Reason), Count: e.Count, Blocks: e.Blocks})
	}
	if len(s.Values) == 0 {
		return nil, fault.Newf(fault.Invalid, "%s: no proof that counts among %s: %s", name, amount(len(side.Attempts), "attempt"), r.reasonsLeft())
	}
	return s, nil
}
