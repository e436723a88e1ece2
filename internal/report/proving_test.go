package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
	"github.com/verdict-bench/verdict/internal/store"
)

// recordsOf reads the records of a prover run that package compare generates.
func recordsOf(t testing.TB, name string) []sample.Record {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "compare", "testdata", "proving", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []sample.Record
	dec := json.NewDecoder(bytes.NewReader(raw))
	for {
		var r sample.Record
		err := dec.Decode(&r)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
}

func provingManifest(workflow string) store.Manifest {
	m := manifest()
	m.Workflow = workflow
	for i := range m.Sides {
		m.Sides[i] = store.Side{Side: sample.Sides[i], Host: "bench-1", Collector: "bench-1",
			Ref: []string{"main", "pull/6157/head"}[i], Commit: strings.Repeat([]string{"ab", "cd"}[i], 20), Version: "ethrex/v9.0.0"}
	}
	return m
}

// provingRun is a run of the generated records of one or two sides.
func provingRun(t testing.TB, name string, sides int, edit func(*spec.Prover)) *Run {
	t.Helper()
	s := spec.Prover{
		Version: 1, Workflow: spec.ProverWorkflow, Backend: spec.SP1, GPU: true, Batches: 12, Load: spec.EthTransfers,
		Transactions: 50, MinTransactions: 10, Margin: 0.03, Alpha: 0.05, Seed: 1, PricePerHour: 1.2, Currency: "EUR",
	}
	var records [2][]sample.Record
	for i := range sides {
		records[i] = recordsOf(t, name+"-"+string(sample.Sides[i]))
	}
	if sides == 2 {
		s.Test = &spec.Side{Ref: "pull/6157/head"}
	}
	if edit != nil {
		edit(&s)
	}
	return &Run{
		Manifest: provingManifest(spec.ProverWorkflow), Prover: &s, Records: records, Dir: "runs/example",
		Result: compare.AnalyzeProving(records, compare.ProvingRuleOf(&s)),
	}
}

// replayRun is a replay of the generated records.
func replayRun(t testing.TB, edit func(side int, a *sample.Attempt)) *Run {
	t.Helper()
	s := spec.DefaultReplay()
	s.Recording, s.RecordingHash, s.Batches = "recordings/main", "sha256:cc", 20
	var records [2][]sample.Record
	for i, side := range sample.Sides {
		records[i] = recordsOf(t, "replay-"+string(side))
		for _, r := range records[i] {
			if edit != nil && r.Attempt != nil {
				edit(i, r.Attempt)
			}
		}
	}
	return &Run{
		Manifest: provingManifest(spec.ReplayWorkflow), Replay: &s, Records: records, Dir: "runs/replay",
		Result: compare.AnalyzeProving(records, compare.ReplayRuleOf(&s)),
	}
}

// provingCases are the prover runs that every format is shown with.
func provingCases(t testing.TB) map[string]*Run {
	t.Helper()
	none := provingRun(t, "exec", 1, nil)
	none.Result = compare.AnalyzeProving([2][]sample.Record{}, compare.ProvingRuleOf(none.Prover))
	none.Records = [2][]sample.Record{}
	return map[string]*Run{
		"prover-one": provingRun(t, "exec", 1, func(s *spec.Prover) {
			s.Backend, s.GPU, s.Batches, s.PricePerHour = spec.Exec, false, 6, 0
		}),
		"prover-gpu":  provingRun(t, "gpu", 1, nil),
		"prover-two":  provingRun(t, "gpu", 2, nil),
		"prover-none": none,
		"replay":      replayRun(t, nil),
		"replay-wrong": replayRun(t, func(side int, a *sample.Attempt) {
			if side == 1 && a.Batch == 7 {
				a.Public = "other"
			}
		}),
	}
}

func TestProving_golden(t *testing.T) {
	all := map[string]func(io.Writer, *Run) error{"txt": Text, "md": Markdown, "html": HTML}
	for name, run := range provingCases(t) {
		for format, write := range all {
			var b bytes.Buffer
			if err := write(&b, run); err != nil {
				t.Fatal(err)
			}
			if format == "html" {
				golden(t, name+".html", ownParts.ReplaceAll(b.Bytes(), []byte("(own part)")))
				continue
			}
			golden(t, name+"."+format, b.Bytes())
		}
	}
}

// Every attempt has its row, those that do not count say why, and the numbers
// read back as they were.
func TestCSV_attempts(t *testing.T) {
	for name, run := range provingCases(t) {
		_, table := rows(t, rendered(t, CSV, run))
		i := 0
		for side := range run.Result.Proving.Sides {
			for _, a := range run.Result.Proving.Sides[side].Attempts {
				row := table[i]
				i++
				ms, err := strconv.ParseFloat(row["ms"], 64)
				if err != nil || ms != a.MS() || row["side"] != string(sample.Sides[side]) || row["batch"] != fmt.Sprint(a.Batch) {
					t.Fatalf("%s: row %d is %v, want batch %d in %v ms", name, i, row, a.Batch, a.MS())
				}
				if (row["counts"] == "true") != (row["left"] == "") || a.Counts() != (row["left"] == "") {
					t.Errorf("%s: row %d counts %s and is left for %q", name, i, row["counts"], row["left"])
				}
			}
		}
		if len(table) != i {
			t.Errorf("%s: %d rows of %d attempts", name, len(table), i)
		}
	}
}

// What is absent is said and never shown as zero.
func TestProving_absentHardware(t *testing.T) {
	one := strings.Join(Compose(provingCases(t)["prover-one"]).Observations, "\n")
	if !strings.Contains(one, "No GPU can be measured, so that power, temperature and energy are unknown, not zero: nvidia-smi") {
		t.Errorf("nothing is said of the GPU that is not there:\n%s", one)
	}
	for _, row := range Compose(provingCases(t)["prover-one"]).Comparison {
		if strings.Contains(row[0], "GPU") || strings.Contains(row[0], "Energy") || strings.Contains(row[0], "Cost") {
			t.Errorf("the summary has %v", row)
		}
	}
}

// What stands on some of the batches only says on how many.
func TestProving_partlyKnown(t *testing.T) {
	s := &compare.ProvingSide{WithGas: 2}
	s.Times.N = 3
	if text := partlyKnown(s, compare.ProvingRule{Log: true}); !strings.Contains(text, "2 of 3 batches") {
		t.Error(text)
	}
	if s.WithGas = 3; partlyKnown(s, compare.ProvingRule{Log: true}) != "" {
		t.Error("all are known")
	}
}

// The median of one side has its interval, or says that it has none.
func TestMedianInterval(t *testing.T) {
	few := &compare.Latencies{}
	few.N, few.Median = 4, 7
	few.Quantiles = []stat.Interval{{Center: 7, Low: math.Inf(-1), High: math.Inf(1), Confidence: 0.95, N: 4}}
	if text := medianInterval(few); text != "4 proofs are too few for its interval" {
		t.Error(text)
	}
	few.Quantiles[0].Low, few.Quantiles[0].High = 5000, 9000
	if text := medianInterval(few); text != "95 % interval 5 s to 9 s" {
		t.Error(text)
	}
}

// Two sides of a replay that are one file are said to be.
func TestDifferences_sameBinary(t *testing.T) {
	r := &Run{Replay: &spec.Replay{}}
	r.Manifest.Sides[0].BinarySHA256, r.Manifest.Sides[1].BinarySHA256 = "aa", "ab"
	if got := differences(r); len(got) != 0 {
		t.Errorf("two binaries: %q", got)
	}
	r.Manifest.Sides[1].BinarySHA256 = "aa"
	if got := differences(r); len(got) != 1 || !strings.Contains(got[0], "the same binary") {
		t.Errorf("one binary: %q", got)
	}
}

// A page that counts less than there is is not explained by a block too many.
func TestProving_pageDiffers(t *testing.T) {
	const tooMany = "A page may count the block that no longer fitted"
	s := &compare.ProvingSide{Compared: 2, OverCounts: []compare.OverCount{{Batch: 7, RPC: [3]uint64{50, 9, 2}, Metrics: [3]uint64{60, 10, 2}}}}
	s.Times.N = 2
	if text := overCounted(s, compare.ProvingRule{}); !strings.Contains(text, "1 of 2 batches: batch 7 (page 60 gas, 10 transactions, 2 blocks; RPC 50, 9, 2). "+tooMany) {
		t.Error(text)
	}
	s.OverCounts = append(s.OverCounts, compare.OverCount{Batch: 8, RPC: [3]uint64{50, 9, 2}, Metrics: [3]uint64{50, 8, 2}})
	if text := overCounted(s, compare.ProvingRule{}); strings.Contains(text, tooMany) || !strings.Contains(text, "the RPC is what is used here") {
		t.Error(text)
	}
}

// The Results Template of the workflow document is complete, with its own
// names.
func TestProving_template(t *testing.T) {
	page := string(rendered(t, Markdown, provingCases(t)["prover-one"]))
	for _, want := range []string{
		"### Test Session Info", "| **Date** |", "| **Server** |", "| **Backend** |", "| **GPU** |", "| **Branch/Commit** |",
		"| **Tx per Account** |", "| **Tx Type** |", "| **Endless Mode** |",
		"### Proving Results", "| Batch | Time (s) | Time (ms) | Gas Used | Tx Count | Blocks |",
		"### Summary", "| **Batches Proved** |", "| **Average Time** |", "| **Min Time** |", "| **Max Time** |", "| **Total Gas** |", "| **Total Txs** |",
		"### Observations",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the Markdown report has no %q", want)
		}
	}
}
