package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/store"
)

const timeForm = "2006-01-02 15:04:05"

func utc(t time.Time) string {
	if t.IsZero() {
		return dash
	}
	return t.UTC().Format(timeForm)
}

// session is the Test Session Info of the Results Template of the workflow
// that made the measurements.
func session(r *Run) [][2]string {
	if r.Result.Proving != nil && r.Result.Inputs == nil {
		return proofSession(r)
	}
	if in := r.Result.Inputs; in != nil {
		return inputs(r)
	}
	m := &r.Manifest
	network := m.Network
	if m.ChainID != 0 {
		network = fmt.Sprintf("%s (chain %d)", m.Network, m.ChainID)
	}
	date := dash
	if !m.Started.IsZero() {
		date = m.Started.UTC().Format(time.DateOnly)
	}
	rows := [][2]string{
		{"Date", date},
		{"Network", orDash(network)},
		{"Baseline Server", server(m.Sides[0])},
		{"Test Server", server(m.Sides[1])},
		{"PR/Branch", orDash(cmp.Or(m.Sides[1].Ref, m.Sides[1].Version))},
		{"Start Time (UTC)", utc(m.Started)},
		{"End Time (UTC)", utc(m.Ended)},
	}
	if m.Sides[0].Environment == nil && m.Sides[1].Environment == nil {
		return append(rows, [2]string{"Machine", machine(&m.Environment)})
	}
	return append(rows, [][2]string{
		{"Baseline Machine", machine(machineOf(m, 0))},
		{"Test Machine", machine(machineOf(m, 1))},
	}...)
}

// inputs is the session of measurements that were made elsewhere: what the
// files say, and a dash where they do not.
func inputs(r *Run) [][2]string {
	in := r.Result.Inputs
	describe := func(i compare.Input) string {
		return fmt.Sprintf("%s (%s, %s in %s)", i.Name, i.Kind, count(i.Values, "value"), count(i.Lines, "line"))
	}
	rows := [][2]string{{"Baseline", describe(in[0])}, {"Test", describe(in[1])}}
	if single(r.Result) {
		rows = [][2]string{{"Input", describe(in[0])}}
	}
	if r.Result.Subject == compare.Proof {
		return append(rows, [][2]string{
			{"Date", dash}, {"Server", dash}, {"Backend", dash}, {"GPU", dash},
			{"Branch/Commit", orDash(r.Manifest.Sides[1].Ref)}, {"Tx per Account", dash}, {"Tx Type", dash}, {"Endless Mode", dash},
		}...)
	}
	return append(rows, [][2]string{
		{"Date", dash}, {"Network", orDash(cmp.Or(in[0].Network, in[1].Network))},
		{"PR/Branch", orDash(r.Manifest.Sides[1].Ref)},
	}...)
}

func server(s store.Side) string {
	parts := []string{s.Host}
	address := s.RPC
	if s.Witness != "" {
		address = "" // a local node, whose port says nothing
	}
	for _, p := range []string{address, s.Ref, commit(s.Commit), s.Version} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return orDash(strings.Join(parts, ", "))
}

// commit is a hash as people write it.
func commit(hash string) string {
	if hash == "" {
		return ""
	}
	return "commit " + hash[:min(len(hash), 12)]
}

func machine(e *store.Environment) string {
	if e.Hostname == "" {
		return dash
	}
	return fmt.Sprintf("%s, %d × %s, %s", e.Hostname, e.CPUs, orDash(e.CPU), size(e.MemoryBytes))
}

func orDash(s string) string {
	if s == "" {
		return dash
	}
	return s
}

// comparison is the table of the Results Template, with p90 and p95.
func comparison(r *compare.Result) [][4]string {
	a, b := r.Sides[0], r.Sides[1]
	rows := [][4]string{{total(r), fmt.Sprint(a.N), fmt.Sprint(b.N), dash}}
	add := func(name string, x, y float64, compared bool) {
		improvement := dash
		if compared && a.N > 0 && b.N > 0 && r.Verdict.Outcome != compare.Invalid {
			improvement = improved(x, y)
		}
		rows = append(rows, [4]string{name, duration(r.Subject, x, a.N), duration(r.Subject, y, b.N), improvement})
	}
	add("Min Time", a.Min, b.Min, false)
	add("Max Time", a.Max, b.Max, true)
	add("Average Time", a.Mean, b.Mean, true)
	add("Median Time", a.Median, b.Median, true)
	add("p90 Time", a.P90, b.P90, true)
	add("p95 Time", a.P95, b.P95, true)
	if r.Groups != nil {
		add("p99 Time", a.P99, b.P99, false)
		add("Geometric mean", a.GeometricMean, b.GeometricMean, true)
		add("Standard deviation", a.SD, b.SD, false)
	}
	if r.Subject == compare.Proof {
		held := work(r)
		if r.Proving != nil {
			held = append(slices.DeleteFunc(held, func(row [4]string) bool { return row[1] == dash && row[2] == dash }), provingRows(r)...)
		}
		return append(rows, held...)
	}
	return append(rows, [4]string{"Block Range", span(r, 0), span(r, 1), dash})
}

// improved is how much less time y is than x, in percent; from twice as much on
// the factor says more.
func improved(x, y float64) string {
	if y >= 2*x {
		return sig3(y/x) + " x slower"
	}
	return strings.TrimPrefix(percent(1+(x-y)/x, 1), "+") + " %"
}

// span is the first and the last block of a side, where they have numbers.
func span(r *compare.Result, side int) string {
	first, last := r.Range()
	switch {
	case r.Groups != nil && len(r.Groups.Numbers[side]) > 0:
		first, last = slices.Min(r.Groups.Numbers[side]), slices.Max(r.Groups.Numbers[side])
	case len(r.Pairs) == 0:
		return dash
	}
	return fmt.Sprintf("%d – %d", first, last)
}

func total(r *compare.Result) string {
	if r.Subject == compare.Proof {
		if r.Proving != nil && r.Proving.Rounds() > 1 {
			return "Proofs"
		}
		return "Batches Proved"
	}
	return "Total Blocks Analyzed"
}

// work is how much the batches held.
func work(r *compare.Result) [][4]string {
	var gas, txs [2]uint64
	for side, batches := range r.Batches {
		for _, b := range batches {
			gas[side] += b.Gas
			txs[side] += uint64(b.Txs)
		}
	}
	return [][4]string{
		{"Total Gas", known(gas[0]), known(gas[1]), dash},
		{"Total Txs", known(txs[0]), known(txs[1]), dash},
	}
}

// known is a count, or a dash for a zero that stands for unknown.
func known(n uint64) string {
	if n == 0 {
		return dash
	}
	return fmt.Sprint(n)
}

// batches is the Proving Results table: side, batch, time in seconds and in
// milliseconds, gas, transactions, blocks.
func batches(r *compare.Result) [][]string {
	var rows [][]string
	for side, name := range [2]string{"baseline", "test"} {
		for _, b := range r.Batches[side] {
			number := fmt.Sprint(b.Number)
			if b.Session > 0 { // numbers begin again in every session
				number = fmt.Sprintf("%d/%d", b.Session, b.Number)
			}
			rows = append(rows, []string{name, number, fmt.Sprintf("%.3f", b.MS/1e3), fmt.Sprintf("%.0f", b.MS),
				known(b.Gas), known(uint64(b.Txs)), known(uint64(b.Blocks))})
		}
	}
	return rows
}

// duration shows a latency in milliseconds and a proving time in seconds.
func duration(subject compare.Subject, x float64, n int) string {
	if subject == compare.Proof && n > 0 && x >= 1000 {
		return fmt.Sprintf("%.4g s", x/1000)
	}
	return ms(x, n)
}
