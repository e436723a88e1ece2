package report

import (
	"encoding/csv"
	"strconv"
	"time"

	"golang.org/x/perf/benchfmt"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
)

// attemptRow is an attempt with its side.
type attemptRow struct {
	side int
	*compare.Attempt
	rule compare.ProvingRule
}

// attemptRows are the attempts of both sides, the baseline first.
func attemptRows(p *compare.Proving) []attemptRow {
	var out []attemptRow
	for side := range p.Sides {
		for i := range p.Sides[side].Attempts {
			out = append(out, attemptRow{side, &p.Sides[side].Attempts[i], p.Rule})
		}
	}
	return out
}

// writeAttempts writes one row per attempt, whether it counts or not.
func writeAttempts(c *csv.Writer, p *compare.Proving) {
	writeRows(c, append(attemptColumns(), loadColumns()...), attemptRows(p))
}

// attemptColumns are what is known of the attempt and of its batch. The first
// four tell the attempts that are compared from the others.
func attemptColumns() []csvColumn[attemptRow] {
	type row = attemptRow
	held := func(known bool, n uint64) string {
		if !known {
			return csvCount(n)
		}
		return strconv.FormatUint(n, 10)
	}
	moment := func(of func(*sample.Batch) time.Time) func(row) string {
		return func(a row) string {
			if a.Of == nil {
				return ""
			}
			return stamp(of(a.Of))
		}
	}
	return []csvColumn[row]{
		{"side", func(a row) string { return string(sample.Sides[a.side]) }},
		{"counts", func(a row) string { return strconv.FormatBool(a.Counts()) }},
		{"batch", func(a row) string { return strconv.FormatUint(a.Batch, 10) }},
		{"ms", func(a row) string { return csvMS(max(a.ProvingNS, 0)) }},
		{"gas", func(a row) string { return held(a.ByRPC, a.Work.Gas) }},
		{"transactions", func(a row) string { return held(a.ByRPC, uint64(a.Work.Transactions)) }},
		{"deposits", func(a row) string { return held(a.ByRPC, uint64(a.Work.Deposits)) }},
		{"blocks", func(a row) string { return held(a.ByRPC, uint64(a.Work.Blocks)) }},
		{"session", func(a row) string { return csvCount(a.Session) }},
		{"attempt", func(a row) string { return csvCount(a.Number) }},
		{"status", func(a row) string { return csvText(string(a.Status)) }},
		{"left", func(a row) string { return csvText(string(a.Left)) }},
		{"set_up", func(a row) string { return strconv.FormatBool(a.SetUp) }},
		{"warm_up", func(a row) string { return strconv.FormatBool(a.WarmUp) }},
		{"order", func(a row) string { return csvCount(a.Order) }},
		{"round", func(a row) string { return csvCount(a.Round) }},
		{"received_at", func(a row) string { return stamp(a.ReceivedAt) }},
		{"proved_at", func(a row) string { return stamp(a.ProvedAt) }},
		{"acked_at", func(a row) string { return stamp(a.AckedAt) }},
		{"sealed_at", moment(func(b *sample.Batch) time.Time { return b.SealedAt })},
		{"committed_at", moment(func(b *sample.Batch) time.Time { return b.CommittedAt })},
		{"verified_at", moment(func(b *sample.Batch) time.Time { return b.VerifiedAt })},
		{"input_bytes", func(a row) string { return csvCount(a.InputBytes) }},
		{"input_sha256", func(a row) string { return csvText(a.InputSHA256) }},
		{"public", func(a row) string { return csvText(a.Public) }},
		{"failure", func(a row) string {
			if a.Failure == nil {
				return ""
			}
			return csvText(a.Failure.Message)
		}},
	}
}

// loadColumns are what the machine did meanwhile, and what the metrics page
// says.
func loadColumns() []csvColumn[attemptRow] {
	type row = attemptRow
	mean := func(of func(*compare.Load) compare.Figure) func(row) string {
		return func(a row) string {
			f := of(&a.Load)
			if f.N == 0 {
				return ""
			}
			return csvNumber(f.Mean)
		}
	}
	page := func(of func(*sample.BatchMetrics) *uint64) func(row) string {
		return func(a row) string {
			if a.Of == nil || a.Of.Metrics == nil || of(a.Of.Metrics) == nil {
				return ""
			}
			return strconv.FormatUint(*of(a.Of.Metrics), 10)
		}
	}
	return []csvColumn[row]{
		{"joules", func(a row) string {
			if a.Energy.N == 0 {
				return ""
			}
			return csvNumber(a.Energy.Joules)
		}},
		{"power_records", func(a row) string { return csvCount(a.Energy.N) }},
		{"cost", func(a row) string {
			cost, ok := a.rule.Cost(a.MS())
			if !ok || a.ProvingNS <= 0 {
				return ""
			}
			return csvNumber(cost)
		}},
		{"machine_records", func(a row) string { return csvCount(a.Load.Records) }},
		{"cpu", mean(func(l *compare.Load) compare.Figure { return l.CPU })},
		{"memory_bytes", mean(func(l *compare.Load) compare.Figure { return l.Memory })},
		{"gpu_utilization", mean(func(l *compare.Load) compare.Figure { return l.GPU })},
		{"gpu_memory_bytes", mean(func(l *compare.Load) compare.Figure { return l.GPUMemory })},
		{"gpu_watts", mean(func(l *compare.Load) compare.Figure { return l.Watts })},
		{"gpu_celsius", mean(func(l *compare.Load) compare.Figure { return l.Celsius })},
		{"gpu_sm_clock_mhz", mean(func(l *compare.Load) compare.Figure { return l.SMClock })},
		{"page_gas", page(func(m *sample.BatchMetrics) *uint64 { return m.GasUsed })},
		{"page_transactions", page(func(m *sample.BatchMetrics) *uint64 { return m.Transactions })},
		{"page_blocks", page(func(m *sample.BatchMetrics) *uint64 { return m.Blocks })},
		{"page_proving_s", page(func(m *sample.BatchMetrics) *uint64 { return m.ProvingSeconds })},
		{"commitment_gas", page(func(m *sample.BatchMetrics) *uint64 { return m.CommitmentGas })},
		{"verification_gas", page(func(m *sample.BatchMetrics) *uint64 { return m.VerificationGas })},
	}
}

// benchProofs writes the proofs that count, with what else is known of them.
func benchProofs(p *compare.Proving, write func(name string, values []benchfmt.Value) error) error {
	for _, a := range attemptRows(p) {
		if !a.Counts() {
			continue
		}
		values := []benchfmt.Value{{Value: float64(a.ProvingNS), Unit: "ns/op"}}
		if a.Work.Gas > 0 {
			values = append(values, benchfmt.Value{Value: float64(a.Work.Gas), Unit: "gas/op"})
		}
		if a.Energy.N > 0 {
			values = append(values, benchfmt.Value{Value: a.Energy.Joules, Unit: "J/op"})
		}
		name := benchName(compare.Proof, a.side, strconv.FormatUint(a.Batch, 10))
		if a.Session > 0 {
			name += "/session=" + strconv.Itoa(a.Session)
		}
		if err := write(name, values); err != nil {
			return err
		}
	}
	return nil
}
