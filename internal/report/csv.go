package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
)

// CSV writes what was compared: one row per pair or, in an unpaired
// comparison, one per measurement with its side. Of a prover run it has one per
// attempt at a batch. What is not known is an empty
// cell; numbers read back as they were.
func CSV(w io.Writer, r *Run) error {
	c := csv.NewWriter(w)
	switch res := r.Result; {
	case res.Proving != nil:
		writeAttempts(c, res.Proving)
	case res.Groups != nil:
		writeMeasurements(c, res)
	case res.Subject == compare.Proof:
		writeRows(c, proofColumns(res), res.Pairs)
	default:
		columns := pairColumns()
		if len(res.Sessions) > 0 {
			columns = append(columns,
				csvColumn[compare.Pair]{"session", func(p compare.Pair) string { return strconv.Itoa(p.Session) }},
				csvColumn[compare.Pair]{"swapped", func(p compare.Pair) string { return strconv.FormatBool(p.Swapped) }})
		}
		writeRows(c, columns, res.Pairs)
	}
	c.Flush()
	return c.Error()
}

// SamplesCSV writes one row per sample of the run, whatever its status: the
// failed, the warm-ups and the A/A control too. Without records it has a
// header only.
func SamplesCSV(w io.Writer, r *Run) error {
	c := csv.NewWriter(w)
	var samples []*sample.Sample
	for side, records := range r.Records {
		for _, rec := range records {
			if s := rec.Sample; s != nil {
				if s.Side == "" {
					named := *s
					named.Side = sample.Sides[side]
					s = &named
				}
				samples = append(samples, s)
			}
		}
	}
	columns := sampleColumns()
	if slices.ContainsFunc(samples, func(s *sample.Sample) bool { return s.Session > 0 }) {
		columns = append(columns,
			csvColumn[*sample.Sample]{"session", func(s *sample.Sample) string { return strconv.Itoa(s.Session) }},
			csvColumn[*sample.Sample]{"swapped", func(s *sample.Sample) string { return strconv.FormatBool(s.Swapped) }})
	}
	writeRows(c, columns, samples)
	c.Flush()
	return c.Error()
}

// csvColumn is one column of a table of T.
type csvColumn[T any] struct {
	name string
	cell func(T) string
}

// writeRows writes a header and a row for each of rows. Errors stay in c.
func writeRows[T any](c *csv.Writer, columns []csvColumn[T], rows []T) {
	cells := make([]string, len(columns))
	for i, col := range columns {
		cells[i] = col.name
	}
	_ = c.Write(cells)
	for _, row := range rows {
		for i, col := range columns {
			cells[i] = col.cell(row)
		}
		_ = c.Write(cells)
	}
}

// pairColumns are those of two latencies of one block. The first four are the
// block and its two measurements, so that cut can take one side out.
func pairColumns() []csvColumn[compare.Pair] {
	columns := []csvColumn[compare.Pair]{
		{"block", func(p compare.Pair) string { return strconv.FormatUint(p.Number, 10) }},
		{"hash", func(p compare.Pair) string {
			return ofSample(p, 0, func(s *sample.Sample) string { return csvText(s.Hash) })
		}},
	}
	columns = append(columns, effectColumns()...)
	columns = append(columns,
		csvColumn[compare.Pair]{"first", askedSide},
		csvColumn[compare.Pair]{"gas", func(p compare.Pair) string {
			return ofSample(p, 0, func(s *sample.Sample) string { return csvCount(s.GasUsed) })
		}},
		csvColumn[compare.Pair]{"transactions", func(p compare.Pair) string {
			return ofSample(p, 0, func(s *sample.Sample) string { return strconv.Itoa(s.Transactions) })
		}},
	)
	for _, figure := range []csvColumn[*sample.Sample]{
		{"bytes", func(s *sample.Sample) string { return csvCount(s.BodyBytes) }},
		{"first_byte_ms", func(s *sample.Sample) string { return csvMS(s.FirstByteNS) }},
		{"body_ms", func(s *sample.Sample) string { return csvMS(s.BodyNS) }},
		{"import_ms", func(s *sample.Sample) string { return csvMS(s.ImportNS) }},
		{"behind_head", func(s *sample.Sample) string { return strconv.FormatUint(s.BehindHead, 10) }},
		{"since_head_ms", func(s *sample.Sample) string { return csvMS(s.SinceHeadNS) }},
	} {
		for side, name := range sample.Sides {
			columns = append(columns, csvColumn[compare.Pair]{
				string(name) + "_" + figure.name,
				func(p compare.Pair) string { return ofSample(p, side, figure.cell) },
			})
		}
	}
	return columns
}

// effectColumns are the two measurements and what they differ by.
func effectColumns() []csvColumn[compare.Pair] {
	return []csvColumn[compare.Pair]{
		{"baseline_ms", func(p compare.Pair) string { return csvNumber(p.MS[0]) }},
		{"test_ms", func(p compare.Pair) string { return csvNumber(p.MS[1]) }},
		{"ratio", func(p compare.Pair) string { return csvNumber(p.MS[1] / p.MS[0]) }},
		{"log_ratio", func(p compare.Pair) string { return csvNumber(p.D) }},
	}
}

// proofColumns are those of two proving times of one batch.
func proofColumns(r *compare.Result) []csvColumn[compare.Pair] {
	held := make(map[uint64]compare.Batch)
	for _, side := range []int{1, 0} { // what the baseline says stands
		for _, b := range r.Batches[side] {
			if _, ok := held[b.Number]; !ok || b.Gas > 0 {
				held[b.Number] = b
			}
		}
	}
	columns := []csvColumn[compare.Pair]{
		{"batch", func(p compare.Pair) string { return strconv.FormatUint(p.Number, 10) }},
	}
	columns = append(columns, effectColumns()...)
	return append(columns,
		csvColumn[compare.Pair]{"gas", func(p compare.Pair) string { return csvCount(held[p.Number].Gas) }},
		csvColumn[compare.Pair]{"transactions", func(p compare.Pair) string { return csvCount(held[p.Number].Txs) }},
		csvColumn[compare.Pair]{"blocks", func(p compare.Pair) string { return csvCount(held[p.Number].Blocks) }},
	)
}

// askedSide names the side that was asked first.
func askedSide(p compare.Pair) string {
	for side, name := range sample.Sides {
		if p.Samples != nil && p.Samples[side].Order == 1 {
			return string(name)
		}
	}
	return ""
}

// ofSample is a figure of one sample of a pair, empty without samples.
func ofSample(p compare.Pair, side int, of func(*sample.Sample) string) string {
	if p.Samples == nil {
		return ""
	}
	return of(p.Samples[side])
}

// measurement is one value of an unpaired comparison.
type measurement struct {
	side   int
	number string
	ms     float64
	batch  compare.Batch
}

// writeMeasurements writes the two groups of an unpaired comparison.
func writeMeasurements(c *csv.Writer, r *compare.Result) {
	columns := []csvColumn[measurement]{
		{"side", func(m measurement) string { return string(sample.Sides[m.side]) }},
		{r.Subject.Unit(), func(m measurement) string { return m.number }},
		{"ms", func(m measurement) string { return csvNumber(m.ms) }},
	}
	if r.Subject == compare.Proof {
		columns = append(columns,
			csvColumn[measurement]{"gas", func(m measurement) string { return csvCount(m.batch.Gas) }},
			csvColumn[measurement]{"transactions", func(m measurement) string { return csvCount(m.batch.Txs) }},
			csvColumn[measurement]{"blocks", func(m measurement) string { return csvCount(m.batch.Blocks) }},
		)
	}
	writeRows(c, columns, measurements(r))
}

// measurements are the two groups in one series, the baseline first.
func measurements(r *compare.Result) []measurement {
	var out []measurement
	for side, values := range r.Groups.MS {
		for i, ms := range values {
			m := measurement{side: side, ms: ms}
			if numbers := r.Groups.Numbers[side]; i < len(numbers) {
				m.number = strconv.FormatUint(numbers[i], 10)
			}
			if batches := r.Batches[side]; i < len(batches) {
				m.batch = batches[i]
			}
			out = append(out, m)
		}
	}
	return out
}

// sampleColumns are all that a sample holds. The first four tell the samples
// that are compared from the others, so that grep can take them out.
func sampleColumns() []csvColumn[*sample.Sample] {
	integer := func(x int64) string { return strconv.FormatInt(x, 10) }
	type s = *sample.Sample
	return []csvColumn[s]{
		{"side", func(s s) string { return csvText(string(s.Side)) }},
		{"status", func(s s) string { return csvText(string(s.Status)) }},
		{"warm_up", func(s s) string { return strconv.FormatBool(s.WarmUp) }},
		{"control", func(s s) string { return csvText(string(s.Control)) }},
		{"block", func(s s) string { return strconv.FormatUint(s.Number, 10) }},
		{"hash", func(s s) string { return csvText(s.Hash) }},
		{"total_ns", func(s s) string { return integer(s.TotalNS) }},
		{"connect_ns", func(s s) string { return integer(s.ConnectNS) }},
		{"first_byte_ns", func(s s) string { return integer(s.FirstByteNS) }},
		{"body_ns", func(s s) string { return integer(s.BodyNS) }},
		{"decode_ns", func(s s) string { return integer(s.DecodeNS) }},
		{"server_ns", func(s s) string { return csvCount(s.ServerNS) }},
		{"import_ns", func(s s) string { return csvCount(s.ImportNS) }},
		{"store_ns", func(s s) string { return csvCount(s.StoreNS) }},
		{"asked_at", func(s s) string { return stamp(s.AskedAt) }},
		{"offset_ns", func(s s) string { return integer(s.OffsetNS) }},
		{"since_head_ns", func(s s) string { return integer(s.SinceHeadNS) }},
		{"behind_head", func(s s) string { return strconv.FormatUint(s.BehindHead, 10) }},
		{"order", func(s s) string { return csvCount(s.Order) }},
		{"gas", func(s s) string { return csvCount(s.GasUsed) }},
		{"transactions", func(s s) string { return strconv.Itoa(s.Transactions) }},
		{"body_bytes", func(s s) string { return integer(s.BodyBytes) }},
		{"wire_bytes", func(s s) string { return integer(s.WireBytes) }},
		{"state_nodes", func(s s) string { return strconv.Itoa(s.StateNodes) }},
		{"codes", func(s s) string { return strconv.Itoa(s.Codes) }},
		{"keys", func(s s) string { return strconv.Itoa(s.Keys) }},
		{"headers", func(s s) string { return strconv.Itoa(s.Headers) }},
		{"digest", func(s s) string { return csvText(s.Digest) }},
		{"keys_digest", func(s s) string { return csvText(s.KeysDigest) }},
		{"verification", func(s s) string { return csvText(string(s.Verification)) }},
		{"host", func(s s) string { return csvText(s.Host) }},
		{"failure_code", func(s s) string { return failureCode(s) }},
		{"failure", func(s s) string { return failureText(s) }},
		{"doubt", func(s s) string { return csvText(s.Doubt) }},
	}
}

func failureCode(s *sample.Sample) string {
	if s.Failure == nil || s.Failure.Code == 0 {
		return ""
	}
	return strconv.Itoa(s.Failure.Code)
}

func failureText(s *sample.Sample) string {
	if s.Failure == nil {
		return ""
	}
	return csvText(s.Failure.Message)
}

// stamp is a time in UTC, empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// csvNumber is the shortest decimal that reads back as x, without an exponent where
// that is not absurd; empty for what is not finite.
func csvNumber(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return ""
	case a != 0 && (a < 1e-6 || a >= 1e21):
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// csvMS is a duration of nanoseconds in milliseconds, empty when it is 0: not
// known.
func csvMS(ns int64) string {
	if ns == 0 {
		return ""
	}
	return csvNumber(float64(ns) / float64(time.Millisecond))
}

// csvCount is a count, empty when it is 0: not known.
func csvCount[T int | int64 | uint32 | uint64](x T) string {
	if x == 0 {
		return ""
	}
	return fmt.Sprint(x)
}

// csvText is text from a server or a user as a cell. Spreadsheets run a cell
// that begins like a formula as one; a quote before it makes it text.
func csvText(s string) string {
	s = Clean(s)
	if strings.IndexFunc(s, func(r rune) bool { return strings.ContainsRune("=+-@＝＋－＠", r) }) == 0 {
		return "'" + s
	}
	return s
}
