package intake

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

// seed adds the first lines of samples, with which a fuzzer gets further than
// with whole logs.
func seed(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(paths) == 0 {
			f.Fatalf("no sample %s: %v", pattern, err)
		}
		for _, path := range paths {
			raw, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			rows := bytes.SplitAfter(raw, []byte("\n"))
			f.Add(bytes.Join(rows[:min(4, len(rows))], nil))
		}
	}
}

// checkSeries holds what is promised of every series, whatever was read.
func checkSeries(t *testing.T, s *Series, text []byte) {
	t.Helper()
	if len(s.Values) == 0 || s.Hashes != nil && len(s.Hashes) != len(s.Values) || s.Work != nil && len(s.Work) != len(s.Values) {
		t.Fatalf("%d values, %d hashes, %d works", len(s.Values), len(s.Hashes), len(s.Work))
	}
	type key struct {
		block uint64
		hash  Hash
	}
	seen := make(map[key]bool)
	for i, v := range s.Values {
		if !(v.MS > 0 && v.MS <= longest) || math.IsInf(v.PrecisionMS(), 0) {
			t.Fatalf("value %+v", v)
		}
		if v.Line < 1 || int(v.Line) > s.Lines {
			t.Fatalf("value %+v stands at no line of %d", v, s.Lines)
		}
		k := key{block: v.Block}
		if s.Hashes != nil {
			k.hash = s.Hashes[i]
		}
		if s.Numbered && seen[k] {
			t.Fatalf("block %d twice", v.Block)
		}
		seen[k] = true
	}
	for _, e := range s.Excluded {
		if e.Count < 1 || len(e.Lines) != min(e.Count, listed) || len(e.Blocks) != len(e.Lines) || !slices.IsSorted(e.Lines) && e.Reason != Unacked && e.Reason != Lost {
			t.Fatalf("exclusion %+v", e)
		}
	}
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		return
	}
	if want := bytes.Count(text, []byte("\n")); s.Lines != want && s.Lines != want+1 {
		t.Fatalf("%d lines, want %d", s.Lines, want)
	}
}

func FuzzRead(f *testing.F) {
	seed(f, "*.log", "*.csv", "metrics-3702.txt", "other/*")
	f.Add([]byte("BenchmarkWitness/block=7-8 1 131000000 ns/op\n"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Read("fuzz", bytes.NewReader(text))
		if err == nil {
			checkSeries(t, s, text)
		}
	})
}

// fuzzParser runs one parser on texts that detection would send elsewhere.
func fuzzParser(f *testing.F, kind Kind, parse func(*collector, *lines) error) {
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := plainReader("fuzz", bytes.NewReader(text))
		if err != nil {
			return
		}
		in := &lines{name: "fuzz", r: r}
		c := &collector{series: Series{Kind: kind, Name: "fuzz", Numbered: true}}
		if parse(c, in) != nil {
			return
		}
		s, err := c.finish(in)
		if err == nil {
			checkSeries(t, s, text)
		} else if fault.KindOf(err) != fault.Invalid {
			t.Fatalf("error of kind %d: %v", fault.KindOf(err), err)
		}
	})
}

func FuzzReplay(f *testing.F) {
	seed(f, "replay-*")
	fuzzParser(f, ReplayLog, readReplay)
}

func FuzzProver(f *testing.F) {
	seed(f, "prover-*")
	fuzzParser(f, ProverLog, readProver)
}

func FuzzCSV(f *testing.F) {
	seed(f, "*.csv")
	f.Add([]byte("batch;hash;time_s;gas\n1;0x00;1.5e3;7\n"))
	fuzzParser(f, CSV, readCSV)
}

func FuzzMarkdown(f *testing.F) {
	f.Add([]byte("# Results\n\n| Batch | Time (ms) | Gas Used |\n|---|---|---|\n| 1 | 47123 | 4093824 |\n| 2 | - | x |\n\n| 3 | 5 |\n"))
	f.Add([]byte("|batch|s\n|:-:|\n|1|1.5e3|2|\n|1|7\nprose\n"))
	fuzzParser(f, Markdown, readMarkdown)
}

func FuzzBenchfmt(f *testing.F) {
	f.Add([]byte("block: 7\nBenchmarkWitness-8 1 131000000 ns/op\n"))
	f.Add([]byte("BenchmarkWitness/batch=7/x=y-8 1 0.5 sec/op 5 B/op\nUnit ns/op better=lower\n"))
	fuzzParser(f, Benchfmt, readBenchfmt)
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte("batch_gas_used{batch_number=\"1\"} 4093824\nbatch_tx_count{batch_number=\"1\"} 192\n"))
	f.Add([]byte("batch_size{batch_number=\"1\",a=\"\\\"\"} 3 17\nbatch_proving_time{batch_number=\"1\"} NaN\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ReadMetrics("fuzz", bytes.NewReader(text))
		if err != nil {
			return
		}
		s := read(t, proved1+proved2)
		if err := s.Join(m); err != nil || m.Batches() == 0 {
			t.Fatalf("%d batches do not join: %v", m.Batches(), err)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, text := range []string{"01h 01m 02s 345ms", "00s 131ms", "01m 02s", "131.52ms", "512.4\u00b5s", "-1ns"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, rest, ok := scanDuration(text)
		if !ok {
			return
		}
		if math.IsNaN(d.ms) || d.groups < 1 || len(rest) >= len(text) || !bytes.HasSuffix(text, rest) {
			t.Fatalf("scanDuration(%q) = %+v, rest %q", text, d, rest)
		}
		// What was read is all that there is: read again, it is the same.
		used := text[:len(text)-len(rest)]
		if again, left, ok := scanDuration(used); !ok || len(left) > 0 || again != d {
			t.Fatalf("scanDuration(%q) = %+v, then %+v", used, d, again)
		}
	})
}
