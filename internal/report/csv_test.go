package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
)

// excerpt keeps the head and the tail of a text, so that a golden file shows
// its form and not a thousand numbers.
func excerpt(text []byte) []byte {
	const head, tail = 6, 2
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) <= head+tail+1 {
		return text
	}
	var b bytes.Buffer
	b.Write(bytes.Join(lines[:head], nil))
	fmt.Fprintf(&b, "… %d lines …\n", len(lines)-1-head-tail)
	b.Write(bytes.Join(lines[len(lines)-1-tail:], nil))
	return b.Bytes()
}

func rendered(t testing.TB, write func(io.Writer, *Run) error, r *Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCSV_golden(t *testing.T) {
	for name, run := range jsonCases(t) {
		golden(t, name+".csv", rounded(excerpt(rendered(t, CSV, run))))
		if run.Result.Inputs == nil {
			golden(t, name+".samples.csv", rounded(excerpt(rendered(t, SamplesCSV, run))))
		}
	}
}

// rows reads a table back: its header, and its rows by column.
func rows(t testing.TB, raw []byte) (header []string, out []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range all[1:] {
		m := make(map[string]string, len(row))
		for i, cell := range row {
			m[all[0][i]] = cell
		}
		out = append(out, m)
	}
	return all[0], out
}

// Every pair has its row, and every number reads back as it was.
func TestCSV_pairs(t *testing.T) {
	for name, run := range jsonCases(t) {
		if run.Result.Groups != nil || run.Result.Proving != nil {
			continue
		}
		raw := rendered(t, CSV, run)
		if bytes.Contains(raw, []byte("NaN")) || bytes.Contains(raw, []byte("Inf")) {
			t.Errorf("%s: a cell holds a number that is none", name)
		}
		_, table := rows(t, raw)
		if len(table) != len(run.Result.Pairs) {
			t.Fatalf("%s: %d rows of %d pairs", name, len(table), len(run.Result.Pairs))
		}
		for i, p := range run.Result.Pairs {
			row := table[i]
			for column, want := range map[string]float64{
				"baseline_ms": p.MS[0], "test_ms": p.MS[1], "log_ratio": p.D, "ratio": p.MS[1] / p.MS[0],
				run.Result.Subject.Unit(): float64(p.Number),
			} {
				if got, err := strconv.ParseFloat(row[column], 64); err != nil || got != want {
					t.Fatalf("%s: row %d: %s is %q, want %v", name, i, column, row[column], want)
				}
			}
		}
	}
}

// What a run knows of a pair stands beside it, and what it does not know is an
// empty cell.
func TestCSV_cells(t *testing.T) {
	run := withGaps()
	_, table := rows(t, rendered(t, CSV, run))
	p := run.Result.Pairs[5]
	for column, want := range map[string]string{
		"hash": p.Samples[0].Hash, "first": string(sample.Sides[p.Samples[1].Order%2]), "transactions": "600",
		"gas": fmt.Sprint(p.Samples[0].GasUsed), "test_bytes": fmt.Sprint(p.Samples[1].BodyBytes),
		"baseline_import_ms": "40", "test_import_ms": "70", "baseline_behind_head": "0", "test_behind_head": "1",
		"test_since_head_ms": csvNumber(float64(p.Samples[1].SinceHeadNS) / 1e6),
	} {
		if got := table[5][column]; got != want {
			t.Errorf("%s is %q, want %q", column, got, want)
		}
	}
	runs := jsonCases(t)
	_, table = rows(t, rendered(t, CSV, runs["imported"]))
	for _, column := range []string{"hash", "first", "gas", "transactions", "baseline_bytes", "test_import_ms", "test_behind_head"} {
		if got, ok := table[0][column]; !ok || got != "" {
			t.Errorf("%s of a pair without samples is %q", column, got)
		}
	}
	_, table = rows(t, rendered(t, CSV, runs["proofs-paired"]))
	if row := table[3]; row["batch"] != "4" || row["transactions"] != "203" || row["blocks"] != "3" || row["gas"] == "" {
		t.Errorf("the fourth batch is %v", row)
	}
}

func TestCSV_unpaired(t *testing.T) {
	runs := jsonCases(t)
	for _, name := range []string{"unpaired", "proofs-unpaired"} {
		run := runs[name]
		_, table := rows(t, rendered(t, CSV, run))
		i := 0
		for side, values := range run.Result.Groups.MS {
			for k, ms := range values {
				row := table[i]
				i++
				got, err := strconv.ParseFloat(row["ms"], 64)
				if err != nil || got != ms || row["side"] != string(sample.Sides[side]) {
					t.Fatalf("%s: row %d is %v, want %v of the %s side", name, i, row, ms, sample.Sides[side])
				}
				if number := row[run.Result.Subject.Unit()]; number != fmt.Sprint(run.Result.Groups.Numbers[side][k]) {
					t.Fatalf("%s: row %d has the number %q", name, i, number)
				}
			}
		}
		if i != len(table) {
			t.Errorf("%s: %d rows of %d values", name, len(table), i)
		}
	}
}

// A side of the table of pairs is an input of verdict compare: its first two
// columns and the one of the side, as cut takes them out. Compared again, the
// two sides give what they gave.
func TestCSV_readBack(t *testing.T) {
	run := cases()["no-effect"]
	raw := string(rendered(t, CSV, run))
	var sides [2]string
	for line := range strings.Lines(raw) {
		cells := strings.Split(line, ",")
		for side := range sides { // cut -d, -f1,2,3 and cut -d, -f1,2,4
			sides[side] += strings.Join([]string{cells[0], cells[1], cells[2+side]}, ",") + "\n"
		}
	}
	for side, text := range sides {
		s, err := intake.Read("report.csv", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if s.Kind != intake.CSV || len(s.Values) != len(run.Result.Pairs) || len(s.Excluded) > 0 || s.Hashes == nil {
			t.Fatalf("%d values of kind %s, excluded %v", len(s.Values), s.Kind, s.Excluded)
		}
		for i, p := range run.Result.Pairs {
			if s.Values[i].MS != p.MS[side] || s.Values[i].Block != p.Number || fmt.Sprintf("0x%x", s.Hashes[i]) != p.Samples[side].Hash {
				t.Fatalf("pair %d is %+v, want %v of block %d", i, s.Values[i], p.MS[side], p.Number)
			}
		}
	}
	again := importedRun(t, compare.Import{}, sides[0], sides[1]).Result
	close := func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }
	if a, b := again.Estimates.Final, run.Result.Estimates.Final; !close(a.Center, b.Center) || !close(a.Low, b.Low) || !close(a.High, b.High) {
		t.Errorf("compared again the effect is %v [%v, %v], was %v [%v, %v]", a.Center, a.Low, a.High, b.Center, b.Low, b.High)
	}
}

// The samples that were compared are those that grep takes out by the first
// four columns, and verdict compare reads them.
func TestSamplesCSV_readBack(t *testing.T) {
	run := withGaps()
	var text string
	for line := range strings.Lines(string(rendered(t, SamplesCSV, run))) {
		if strings.HasPrefix(line, "side,") || strings.HasPrefix(line, "test,ok,false,,") {
			text += line
		}
	}
	s, err := intake.Read("samples.csv", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Values) != len(run.Result.Pairs) || len(s.Excluded) > 0 {
		t.Fatalf("%d values of %d pairs, excluded %v", len(s.Values), len(run.Result.Pairs), s.Excluded)
	}
	for i, p := range run.Result.Pairs {
		got := s.Values[i]
		if got.Block != p.Number || math.Abs(got.MS/p.MS[1]-1) > 1e-15 || s.Work[i].Gas != p.Samples[1].GasUsed {
			t.Fatalf("value %d is %+v, want %v of block %d", i, got, p.MS[1], p.Number)
		}
	}
}

// No sample is left out, whatever its status.
func TestSamplesCSV_everySample(t *testing.T) {
	run := withGaps()
	run.Records[0][7].Sample.Side = "" // a file of one side may leave it out
	_, table := rows(t, rendered(t, SamplesCSV, run))
	i := 0
	for side, records := range run.Records {
		for _, rec := range records {
			if rec.Sample == nil {
				continue
			}
			s, row := rec.Sample, table[i]
			i++
			for column, want := range map[string]string{
				"side": string(sample.Sides[side]), "status": string(s.Status), "block": fmt.Sprint(s.Number), "hash": s.Hash,
				"warm_up": fmt.Sprint(s.WarmUp), "control": string(s.Control), "total_ns": fmt.Sprint(s.TotalNS),
				"first_byte_ns": fmt.Sprint(s.FirstByteNS), "body_ns": fmt.Sprint(s.BodyNS), "order": fmt.Sprint(s.Order),
				"asked_at": s.AskedAt.UTC().Format(time.RFC3339Nano), "verification": "complete", "digest": s.Digest,
			} {
				if row[column] != want {
					t.Fatalf("row %d: %s is %q, want %q", i, column, row[column], want)
				}
			}
			if failed := s.Failure != nil; failed != (row["failure"] == "no answer in 10s") {
				t.Errorf("row %d: the failure is %q", i, row["failure"])
			}
		}
	}
	if i != len(table) {
		t.Errorf("%d rows of %d samples", len(table), i)
	}
	if run.Records[0][7].Sample.Side != "" {
		t.Error("the sample was changed")
	}
}

func TestCSVNumber(t *testing.T) {
	tenth := 0.1
	for x, want := range map[float64]string{
		0: "0", 131: "131", 0.1: "0.1", 123456789.25: "123456789.25", -0.6012079146: "-0.6012079146",
		1e20: "100000000000000000000", 1e21: "1e+21", 1e-7: "1e-07", tenth + 0.2: "0.30000000000000004",
		math.Inf(1): "", math.Inf(-1): "", math.NaN(): "",
	} {
		if got := csvNumber(x); got != want {
			t.Errorf("csvNumber(%v) = %q, want %q", x, got, want)
		}
	}
}

func TestCSVText(t *testing.T) {
	for text, want := range map[string]string{
		"Geth/v1.17": "Geth/v1.17", "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0", " +1": "'+1", "-1": "'-1",
		"@SUM(A1)": "'@SUM(A1)", "\t=1": "'=1", "\r\n=1": "'=1", "＝1": "'＝1", "a=b": "a=b",
		"two\nlines\x00": "two lines", "\xff\xfe": "", "right \u202eto left": "right  to left", "": "",
	} {
		if got := csvText(text); got != want {
			t.Errorf("csvText(%q) = %q, want %q", text, got, want)
		}
	}
}

// Whatever servers say, each sample is one line, and no cell of theirs is a
// formula.
func FuzzCSV(f *testing.F) {
	f.Add("host-1", "missing trie node", "0xab", int64(131e6), 0.5)
	f.Add("=1+1", "\"quoted\", and\r\nbroken", "@x", int64(-1), math.NaN())
	f.Add("\\.", "'\t=cmd", "\xff\u2028", int64(math.MinInt64), math.Inf(1))
	f.Fuzz(func(t *testing.T, host, message, hash string, ns int64, x float64) {
		run := &Run{Result: &compare.Result{Subject: compare.Witness}}
		for i := range 3 {
			var pair [2]*sample.Sample
			for side := range pair {
				pair[side] = &sample.Sample{
					Host: host, Hash: fmt.Sprint(hash, i), Digest: hash, Doubt: message, Control: sample.Control(host),
					Failure: &sample.Failure{Message: message}, Timing: sample.Timing{TotalNS: ns},
				}
				run.Records[side] = append(run.Records[side], sample.Record{V: 1, Sample: pair[side]})
			}
			run.Result.Pairs = append(run.Result.Pairs, compare.Pair{MS: [2]float64{x, float64(ns)}, D: x, Samples: &pair})
		}
		for _, write := range []func(io.Writer, *Run) error{CSV, SamplesCSV} {
			raw := rendered(t, write, run)
			header, table := rows(t, raw)
			if lines := bytes.Count(raw, []byte("\n")); lines != len(table)+1 {
				t.Fatalf("%d lines of %d rows", lines, len(table))
			}
			for _, row := range table {
				if len(row) != len(header) {
					t.Fatalf("a row has %d cells, the header %d", len(row), len(header))
				}
				for column, cell := range row {
					if _, err := strconv.ParseFloat(cell, 64); err == nil && column != "hash" && column != "digest" && column != "host" {
						continue
					}
					if cell != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(cell)[0]) || strings.ContainsFunc(cell, unicode.IsControl) {
						t.Fatalf("%s is %q", column, cell)
					}
				}
			}
		}
	})
}

// BenchmarkCSV is the table of 10,000 pairs.
func BenchmarkCSV(b *testing.B) {
	run := made(10_000, nil)
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		if err := CSV(&out, run); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(out.Len()), "bytes")
}
