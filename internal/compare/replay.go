package compare

import (
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
)

// What a run says that was measured by ethrex-replay.
const (
	replayPairs  = "the samples come from the logs of ethrex-replay, which tell no hashes: pairs are blocks of equal number, so that after a reorganization two blocks of one height would pass for the same"
	replayParity = "parity was not checked: ethrex-replay keeps no digests of the answers, so that a side that answers wrongly or incompletely would pass"
	replayFailed = "failures were not compared: the logs name only some of them, so that a side that fails on slow blocks looks faster"
	replayCounts = "what a log says and cannot be used is counted over the whole log, also beyond the planned pairs"
)

// FromReplay compares the logs of the two ethrex-replays of one run by the rule
// that was registered for it. Unlike Imported it is the planned analysis of the
// planned pairs, with the sequence beside it: the run was registered before it
// measured. What the logs do not tell is said in a warning: pairs are blocks of
// equal number, answers are not compared, and of failures only those are known
// that a log names. What a log says and cannot be used is excluded with its
// reason. An error is of kind fault.Invalid where the logs cannot belong
// together, and of kind fault.Usage where the rule asks for what no log tells.
func FromReplay(series [2]*intake.Series, rule Rule) (*Result, error) {
	subject, err := subjectOf(series)
	switch {
	case err != nil:
		return nil, err
	case subject == Proof:
		return nil, fault.Newf(fault.Usage, "%s holds proving times of batches and not the log of an ethrex-replay", series[0].Name)
	case rule.Sessions > 1:
		return nil, fault.Newf(fault.Usage, "the logs of ethrex-replay do not tell the %d sessions of this run apart: they cannot be compared", rule.Sessions)
	}
	r := newResult(rule, Witness)
	r.Replayed = true
	r.warn(replayPairs)
	r.warn(replayFailed)
	var records [2][]sample.Record
	for side, s := range series {
		r.leftOut(side, s)
		records[side] = r.replayed(side, s)
	}
	if len(r.Excluded) > 0 && rule.Pairs > 0 {
		r.warn(replayCounts)
	}
	r.pair(r.gather(records))
	r.Stage = r.stage()
	r.analyze()
	for i := range r.Pairs {
		// They are too poor to be shown as samples.
		r.Pairs[i].Samples = nil
	}
	return r, nil
}

// replayed are the values of a log as samples, the first of them as warm-up.
func (r *Result) replayed(side int, s *intake.Series) []sample.Record {
	records := make([]sample.Record, 0, len(s.Values))
	for at, i := range r.keep(side, s) {
		v := &s.Values[i]
		own := &sample.Sample{
			Side: sample.Sides[side], Host: r.Rule.Hosts[side], Number: v.Block, Status: sample.OK,
			WarmUp: at < r.Rule.WarmUp,
			Timing: sample.Timing{TotalNS: nanoseconds(v.MS)},
		}
		if s.Work != nil {
			own.GasUsed, own.Transactions = s.Work[i].Gas, int(s.Work[i].Txs)
		}
		records = append(records, sample.Record{V: sample.Version, Sample: own})
	}
	return records
}
