package intake

import (
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

func TestBenchfmt(t *testing.T) {
	tests := []struct {
		name, text string
		numbers    []uint64
		ms         []float64
		numbered   bool
		batches    bool
		excluded   string
	}{
		{"blocks in names", "goos: linux\nBenchmarkWitness/block=7-8 1 131000000 ns/op 5 B/op\nBenchmarkWitness/block=8-8 1 95000000 ns/op\nPASS\n",
			[]uint64{7, 8}, []float64{131, 95}, true, false, ""},
		{"batches in names", "BenchmarkProve/backend=exec/batch=1 1 47123000000 ns/op\n", []uint64{1}, []float64{47123}, true, true, ""},
		{"blocks in the configuration", "block: 7\nBenchmarkWitness 1 131000000 ns/op\nblock: 8\nBenchmarkWitness 1 0.095 sec/op\n",
			[]uint64{7, 8}, []float64{131, 95}, true, false, ""},
		{"repeated", "BenchmarkWitness-8 1 131000000 ns/op\nBenchmarkWitness-8 1 131000000 ns/op\n", []uint64{1, 2}, []float64{131, 131}, false, false, ""},
		{"same block again", "BenchmarkWitness/block=7 1 131000000 ns/op\nBenchmarkWitness/block=7 1 95000000 ns/op\n",
			[]uint64{7}, []float64{131}, true, false, string(Duplicate) + ": 1 at [2]"},
		{"bad lines", "BenchmarkWitness/block=7 1 131000000 ns/op\nBenchmarkWitness/block=8 1 x ns/op\nBenchmarkWitness/block=9 1 5 B/op\nBenchmarkWitness/block=10 1 -5 ns/op\n",
			[]uint64{7}, []float64{131}, true, false, string(BadBenchmark) + ": 1 at [2]; " + string(WithoutTiming) + ": 1 at [3]; " + string(NotPositive) + ": 1 at [4]"},
		{"torn", "BenchmarkWitness/block=7 1 131000000 ns/op\nBenchmarkWitness/block=8 1 9500000", []uint64{7}, []float64{131}, true, false, string(TornLine) + ": 1 at [2]"},
	}
	for _, tt := range tests {
		s := read(t, tt.text)
		if s.Kind != Benchfmt || !slices.Equal(numbers(s), tt.numbers) || !slices.Equal(s.Milliseconds(), tt.ms) {
			t.Errorf("%s: %s of %v with %v ms, want %v with %v", tt.name, s.Kind, numbers(s), s.Milliseconds(), tt.numbers, tt.ms)
		}
		if s.Numbered != tt.numbered || s.Batches != tt.batches || reasons(s) != tt.excluded || len(s.Warnings) != 0 {
			t.Errorf("%s: numbered %v, batches %v, excluded %q, warnings %q", tt.name, s.Numbered, s.Batches, reasons(s), s.Warnings)
		}
	}
	if s := read(t, "BenchmarkWitness/block=7 12 131000000 ns/op\n"); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "mean of several iterations") {
		t.Errorf("a mean gives the warnings %q", s.Warnings)
	}
}

func TestBenchfmt_refused(t *testing.T) {
	tests := []struct{ text, want string }{
		{"BenchmarkA/block=7 1 5 ns/op\nBenchmarkB/block=7 1 5 ns/op\n", "several benchmarks: A, B"},
		{"BenchmarkA/block=7 1 5 ns/op\nBenchmarkA 1 5 ns/op\n", "1 results with a block number and 1 without"},
		{"BenchmarkA/block=7 1 5 B/op\n", "no result has a time per operation (ns/op); seen: B/op"},
		{"BenchmarkA/block=7 1 5 ns/op\n" + strings.Repeat("x", 1<<17) + "\n", "no benchmark prints such a line"},
	}
	for _, tt := range tests {
		s, err := Read("input", strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) || fault.KindOf(err) != fault.Usage {
			t.Errorf("%.60q: %v, %v; want %q", tt.text, s, err, tt.want)
		}
	}
}
