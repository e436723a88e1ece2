package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/perf/benchfmt"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

func TestBenchfmt_golden(t *testing.T) {
	for name, run := range jsonCases(t) {
		if raw := rendered(t, Benchfmt, run); len(raw) > 0 {
			head, lines, _ := bytes.Cut(raw, []byte("\n\n"))
			golden(t, name+".bench", slices.Concat(head, []byte("\n\n"), rounded(excerpt(lines))))
		} else if len(run.Result.Pairs) > 0 || run.Result.Groups != nil {
			t.Errorf("%s: nothing is written", name)
		}
	}
}

// results reads benchmarks back. It fails on a line that is none.
func results(t testing.TB, raw []byte) []*benchfmt.Result {
	t.Helper()
	var out []*benchfmt.Result
	r := benchfmt.NewReader(bytes.NewReader(raw), "report.bench")
	for r.Scan() {
		switch record := r.Result().(type) {
		case *benchfmt.Result:
			out = append(out, record.Clone())
		default:
			t.Fatalf("%v is no result", record)
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// What is written is what was measured, to the nanosecond.
func TestBenchfmt_values(t *testing.T) {
	run := withGaps()
	got := results(t, rendered(t, Benchfmt, run))
	if len(got) != 2*len(run.Result.Pairs) {
		t.Fatalf("%d results of %d pairs", len(got), len(run.Result.Pairs))
	}
	for i, r := range got {
		s := run.Result.Pairs[i/2].Samples[i%2]
		want := fmt.Sprintf("Witness/side=%s/block=%d", s.Side, s.Number)
		if r.Name.String() != want || r.Iters != 1 {
			t.Fatalf("result %d is %s of %d iterations, want %s of 1", i, r.Name, r.Iters, want)
		}
		if v := r.Values[0]; v.OrigValue != float64(s.TotalNS) || v.OrigUnit != "ns/op" {
			t.Fatalf("%s took %v %s, want %d ns", r.Name, v.OrigValue, v.OrigUnit, s.TotalNS)
		}
		if bytes, _ := r.Value("answer-B/op"); bytes != float64(s.BodyBytes) {
			t.Fatalf("%s is of %v bytes, want %d", r.Name, bytes, s.BodyBytes)
		}
	}
	for key, want := range map[string]string{
		"goos": "linux", "goarch": "amd64", "cpu": "Example CPU 9000", "network": "local", "design": "paired",
		"verdict-version": "(devel)", "baseline-ref": "built-in node, witnesses on-demand", "test-version": "verdict-node/v1.17.10",
	} {
		if value := got[7].GetConfig(key); value != want {
			t.Errorf("%s is %q, want %q", key, value, want)
		}
	}
}

// A file of two sides is refused by verdict compare with the command that takes
// one out of it, and what that leaves is read as it was measured.
func TestBenchfmt_readBack(t *testing.T) {
	runs := jsonCases(t)
	for _, name := range []string{"improves", "imported", "unpaired", "proofs-paired", "proofs-unpaired"} {
		run := runs[name]
		raw := rendered(t, Benchfmt, run)
		if _, err := intake.Read("report.bench", bytes.NewReader(raw)); err == nil || !strings.Contains(err.Error(), "several benchmarks") {
			t.Errorf("%s: both sides at once: %v", name, err)
		}
		for side, title := range sample.Sides {
			var text []byte
			one := regexp.MustCompile(`^(goos|goarch|pkg|cpu):|^Benchmark(Witness|Proof)/side=` + string(title))
			for line := range bytes.Lines(raw) {
				if one.Match(line) {
					text = append(text, line...)
				}
			}
			s, err := intake.Read("report.bench", bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			numbers, ms := valuesOf(run.Result, side)
			if s.Kind != intake.Benchfmt || !s.Numbered || s.Batches != (run.Result.Subject == compare.Proof) || len(s.Values) != len(ms) {
				t.Fatalf("%s: %s: %d values of %d, numbered %t, batches %t", name, title, len(s.Values), len(ms), s.Numbered, s.Batches)
			}
			for i, v := range s.Values {
				if v.Block != numbers[i] || math.Abs(v.MS/ms[i]-1) > 1e-15 {
					t.Fatalf("%s: value %d is %v of %d, want %v of %d", name, i, v.MS, v.Block, ms[i], numbers[i])
				}
			}
		}
	}
}

// valuesOf are the compared values of one side with their numbers.
func valuesOf(r *compare.Result, side int) (numbers []uint64, ms []float64) {
	if g := r.Groups; g != nil {
		return g.Numbers[side], g.MS[side]
	}
	for _, p := range r.Pairs {
		numbers, ms = append(numbers, p.Number), append(ms, p.MS[side])
	}
	return numbers, ms
}

// benchstat builds the real program and returns how to run it on a report.
func benchstat(t *testing.T) func(r *Run, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "benchstat")
	if out, err := exec.Command("go", "build", "-o", program, "golang.org/x/perf/cmd/benchstat").CombinedOutput(); err != nil {
		t.Fatalf("building benchstat: %v\n%s", err, out)
	}
	return func(r *Run, args ...string) string {
		file := filepath.Join(dir, "report.bench")
		if err := os.WriteFile(file, rendered(t, Benchfmt, r), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, append(args, file)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("benchstat: %v: %s", err, &stderr)
		}
		return string(out)
	}
}

// noise is a run without an effect that pairs could hide: two sides of
// different sizes of noise, on different blocks unless paired. decimals are
// those of milliseconds that the values keep: few give ties.
func noise(t *testing.T, paired bool, n, m, decimals int, factor float64) *Run {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(m)))
	text := func(first, n int, factor float64) string {
		var b strings.Builder
		b.WriteString("block,ms\n")
		for i := range n {
			fmt.Fprintf(&b, "%d,%.*f\n", first+i, decimals, 40*factor*math.Exp(0.3*rng.NormFloat64()))
		}
		return b.String()
	}
	first := 1
	if !paired {
		first = 10_000
	}
	return importedRun(t, compare.Import{}, text(1, n, 1), text(first, m, factor))
}

// V10 of the method: the real benchstat finds in our export the medians of the
// report and the p-value of our own unpaired test. Up to 50 values without ties,
// and up to 25 with them, benchstat's p is exact, elsewhere both are normal;
// the cases stay clear of where only one of the two is.
func TestBenchfmt_benchstatAgrees(t *testing.T) {
	run := benchstat(t)
	cases := map[string]*Run{
		"200 pairs of a run, no effect": cases()["no-effect"],
		"200 pairs of a run":            made(200, func(i, side int, s *sample.Sample) { s.TotalNS *= 1 + 19*int64(side) }),
		"failures":                      withGaps(),
		"nothing in common":             cases()["improves"],
		"100 imported pairs":            noise(t, true, 100, 100, 6, 1.03),
		"exact":                         noise(t, false, 30, 41, 6, 1.05),
		"exact, no effect":              noise(t, false, 49, 49, 6, 1),
		"normal":                        noise(t, false, 199, 176, 6, 1.06),
		"ties":                          noise(t, false, 120, 90, 0, 1.02),
		"proofs":                        jsonCases(t)["proofs-unpaired"],
	}
	between := 0
	for name, r := range cases {
		out := run(r, "-format", "csv", "-col", "/side", "-ignore", "/"+r.Result.Subject.Unit())
		base, test, p := latencyRow(t, out)
		_, x := valuesOf(r.Result, 0)
		_, y := valuesOf(r.Result, 1)
		own, err := stat.MannWhitney(y, x)
		if err != nil {
			t.Fatal(err)
		}
		for side, median := range [2]float64{base, test} {
			if want := r.Result.Sides[side].Median / 1e3; math.Abs(median/want-1) > 1e-12 {
				t.Errorf("%s: benchstat's median of the %s side is %v s, ours %v s", name, sample.Sides[side], median, want)
			}
		}
		want := fmt.Sprintf("p=%.3f n=", own.P)
		if strings.HasPrefix(p, "n=") {
			// It leaves out a p that is too small for its arithmetic.
			p = "p=0.000 " + p
		}
		if !strings.HasPrefix(p, want) {
			t.Errorf("%s: benchstat's test gives %s, ours p=%v", name, p, own.P)
		}
		if own.P > 0.001 && own.P < 0.999 {
			between++
		}
	}
	if between < 5 {
		t.Errorf("only %d of the cases have a p-value that shows a difference between tests", between)
	}
}

// latencyRow reads the line of the latencies in benchstat's CSV: the medians in
// seconds and the p-value.
func latencyRow(t *testing.T, out string) (base, test float64, p string) {
	t.Helper()
	r := csv.NewReader(strings.NewReader(out))
	r.FieldsPerRecord = -1
	all, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(row []string) bool { return len(row) > 1 && row[1] == "sec/op" })
	if i < 0 || i+2 >= len(all) {
		t.Fatalf("benchstat shows no latencies:\n%s", out)
	}
	row := all[i+1]
	if all[i-1][1] != "baseline" || all[i-1][3] != "test" || all[i+2][0] != "geomean" {
		t.Fatalf("benchstat shows other than one row of two sides:\n%s", out)
	}
	numbers := make([]float64, 2)
	for k := range numbers {
		if numbers[k], err = strconv.ParseFloat(row[1+2*k], 64); err != nil {
			t.Fatal(err)
		}
	}
	return numbers[0], numbers[1], row[len(row)-1]
}

// The command of the documentation gives one table per figure and nothing to
// explain away.
func TestBenchfmt_benchstatTable(t *testing.T) {
	out := benchstat(t)(withGaps(), "-col", "/side", "-ignore", "/block")
	for _, want := range []string{"baseline", "test", "sec/op", "answer-B/op", "import-sec/op", "baseline-ref: built-in node, witnesses on-demand"} {
		if !strings.Contains(out, want) {
			t.Errorf("benchstat does not show %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "vary") || strings.Count(out, "Witness") != 3 {
		t.Errorf("benchstat shows more than one row per figure:\n%s", out)
	}
}

// Whatever refs, versions and inputs are called, a report is as many results as
// it has measurements, and its configuration has the keys that we write.
func FuzzBenchfmt(f *testing.F) {
	f.Add("main", "geth/v1.17", "AMD EPYC", 131.5, true)
	f.Add("x\nBenchmarkWitness/side=test 1 1 ns/op", "\r\nUnit ns/op assume=exact", "a: b\n\nside: test", 1e-3, false)
	f.Add(strings.Repeat("é", 100_000), "\xff\u2028", " \t ", 3.9e7, true)
	f.Fuzz(func(t *testing.T, ref, version, cpu string, ms float64, sampled bool) {
		if !(ms > 1e-9 && ms < 4e7) {
			t.Skip("intake refuses such a latency")
		}
		run := &Run{Result: &compare.Result{Subject: compare.Witness, Design: compare.Paired}}
		run.Manifest.Environment.CPU, run.Manifest.Environment.OS = cpu, cpu
		for side := range run.Manifest.Sides {
			run.Manifest.Sides[side].Ref, run.Manifest.Sides[side].Version = ref, version
		}
		for i := range 3 {
			p := compare.Pair{Number: uint64(i), MS: [2]float64{ms, 2 * ms}}
			if sampled {
				p.Samples = &[2]*sample.Sample{}
				for side := range p.Samples {
					ns := max(1, int64(p.MS[side]*1e6))
					p.MS[side] = float64(ns) / 1e6
					p.Samples[side] = &sample.Sample{Timing: sample.Timing{TotalNS: ns}, BodyBytes: 7}
				}
			}
			run.Result.Pairs = append(run.Result.Pairs, p)
		}
		raw := rendered(t, Benchfmt, run)
		got := results(t, raw)
		if len(got) != 6 {
			t.Fatalf("%d results of 6:\n%s", len(got), raw)
		}
		keys := []string{"goos", "goarch", "cpu", "network", "verdict-version", "design", "baseline-ref", "test-ref",
			"baseline-version", "test-version", "baseline-host", "test-host"}
		var text []byte
		for i, r := range got {
			p := run.Result.Pairs[i/2]
			if math.Abs(r.Values[0].Value/(p.MS[i%2]/1e3)-1) > 1e-14 {
				t.Fatalf("result %d is %v, want %v ms", i, r.Values[0], p.MS[i%2])
			}
			for _, c := range r.Config {
				if !slices.Contains(keys, c.Key) || bytes.ContainsFunc(c.Value, unicode.IsControl) || len(c.Value) > 1000 {
					t.Fatalf("the configuration holds %q: %q", c.Key, c.Value)
				}
			}
		}
		for line := range bytes.Lines(raw) {
			if bytes.HasPrefix(line, []byte("BenchmarkWitness/side=test/")) {
				text = append(text, line...)
			}
		}
		s, err := intake.Read("report.bench", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range run.Result.Pairs {
			if v := s.Values[i]; v.Block != p.Number || math.Abs(v.MS/p.MS[1]-1) > 1e-14 {
				t.Fatalf("read back as %+v, want %v", v, p)
			}
		}
	})
}
