package intake

import (
	"bytes"
	"compress/gzip"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/stat"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func read(t testing.TB, text string) *Series {
	t.Helper()
	s, err := Read("input", strings.NewReader(text))
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return s
}

func numbers(s *Series) []uint64 {
	var n []uint64
	for _, v := range s.Values {
		n = append(n, v.Block)
	}
	return n
}

// The counts of the README beside the samples.
func TestRead_samples(t *testing.T) {
	tests := []struct {
		name              string
		kind              Kind
		n                 int
		first, last       uint64
		min, median, max  float64
		network           string
		lines, worked     int
		flagged, excluded int
	}{
		{"replay-new-format.log", ReplayLog, 40, 24600000, 24600039, 19, 87, 61000, "mainnet", 360, 40, 0, 0},
		{"replay-new-filtered.txt", ReplayLog, 40, 24600000, 24600039, 19, 87, 61000, "", 40, 0, 0, 0},
		{"replay-new-filtered-test-server.txt", ReplayLog, 40, 24600003, 24600044, 4, 75.5, 61000, "", 40, 0, 0, 0},
		{"replay-ansi.log", ReplayLog, 12, 24600000, 24600011, 19, 87, 1204, "mainnet", 108, 12, 0, 0},
		{"replay-old-format.log", ReplayLog, 6, 1023450, 1023455, 941, 2038.5, 3662000, "", 30, 0, 1, 0},
		{"replay-seed-doc-format.log", ReplayLog, 9, 24191178, 24191186, 62, 174, 234, "", 9, 0, 0, 0},
		{"prover-timed.log", ProverLog, 5, 1, 5, 47123, 59871, 754321, "", 17, 0, 1, 0},
		{"prover-timed-ansi.log", ProverLog, 5, 1, 5, 47123, 59871, 754321, "", 17, 0, 1, 0},
		{"prover-timed-tokamak-fork.log", ProverLog, 5, 1, 5, 47123, 59871, 754321, "", 17, 0, 1, 0},
		{"prover-timed-newer-payload.log", ProverLog, 5, 1, 5, 47123, 59871, 754321, "", 17, 0, 1, 0},
		{"prover-exec-edgecases.log", ProverLog, 3, 1, 3, 0.51246, 312, 1791, "", 19, 0, 2, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Read(tt.name, bytes.NewReader(sample(t, tt.name)))
			if err != nil {
				t.Fatal(err)
			}
			if s.Kind != tt.kind || s.Network != tt.network || s.Lines != tt.lines || !s.Numbered || s.Batches != (tt.kind == ProverLog) {
				t.Errorf("got %s of network %q with %d lines, numbered %v, batches %v", s.Kind, s.Network, s.Lines, s.Numbered, s.Batches)
			}
			if len(s.Values) != tt.n || s.Values[0].Block != tt.first || s.Values[len(s.Values)-1].Block != tt.last {
				t.Errorf("got %d values: %v", len(s.Values), numbers(s))
			}
			sum := stat.Summarize(s.Milliseconds())
			if math.Abs(sum.Min-tt.min) > 1e-9 || sum.Median != tt.median || sum.Max != tt.max {
				t.Errorf("min, median, max = %v, %v, %v, want %v, %v, %v", sum.Min, sum.Median, sum.Max, tt.min, tt.median, tt.max)
			}
			worked, flagged := 0, 0
			for i, v := range s.Values {
				if s.Work != nil && s.Work[i].Gas > 0 && s.Work[i].Txs > 0 {
					worked++
				}
				if v.Flags != 0 {
					flagged++
				}
			}
			if worked != tt.worked || flagged != tt.flagged || len(s.Excluded) != tt.excluded {
				t.Errorf("%d with work, %d flagged, excluded %v; want %d, %d, %d", worked, flagged, s.Excluded, tt.worked, tt.flagged, tt.excluded)
			}
		})
	}
}

// Both replay samples of the same blocks: what the README says about pairs.
func TestRead_samplePairs(t *testing.T) {
	baseline := make(map[uint64]float64)
	for _, v := range read(t, string(sample(t, "replay-new-filtered.txt"))).Values {
		baseline[v.Block] = v.MS
	}
	var d []float64
	for _, v := range read(t, string(sample(t, "replay-new-filtered-test-server.txt"))).Values {
		if ms, ok := baseline[v.Block]; ok {
			d = append(d, v.MS-ms)
		}
	}
	if median := stat.Summarize(d).Median; len(d) != 35 || median != -16 {
		t.Errorf("%d pairs with a median difference of %v ms, want 35 and -16", len(d), median)
	}
}

func TestRead_samplePrecision(t *testing.T) {
	s := read(t, string(sample(t, "replay-new-format.log")))
	var coarse []float64
	for _, v := range s.Values {
		if v.PrecisionMS() != 1 {
			coarse = append(coarse, v.MS, v.PrecisionMS())
		}
	}
	if !slices.Equal(coarse, []float64{61000, 1000}) {
		t.Errorf("values of another precision than 1 ms: %v, want 61000 of 1000", coarse)
	}
}

// The published series, to the digits that were printed with them.
func TestRead_published(t *testing.T) {
	tests := []struct {
		name        string
		first, last uint64
		n           int
		min, max    float64
		mean        string
		median      float64
	}{
		{"pre-serialized", 24335714, 24335912, 199, 6, 268, "93.583", 90},
		{"pre-generated", 24191178, 24191353, 176, 3, 255, "130.903", 130},
		{"on-demand", 24190748, 24190923, 176, 56, 521, "242.301", 224},
	}
	for _, tt := range tests {
		s := read(t, string(sample(t, tt.name+".csv")))
		sum := stat.Summarize(s.Milliseconds())
		mean := strconv.FormatFloat(sum.Mean, 'f', 3, 64)
		if sum.N != tt.n || sum.Min != tt.min || sum.Max != tt.max || mean != tt.mean || sum.Median != tt.median {
			t.Errorf("%s: n %d, min %v, max %v, mean %s, median %v, want %+v", tt.name, sum.N, sum.Min, sum.Max, mean, sum.Median, tt)
		}
		if s.Kind != CSV || s.Values[0].Block != tt.first || s.Values[tt.n-1].Block != tt.last || len(s.Excluded) != 0 {
			t.Errorf("%s: %s from %d to %d, excluded %v", tt.name, s.Kind, s.Values[0].Block, s.Values[tt.n-1].Block, s.Excluded)
		}
	}
}

// Each sample reads the same through gzip, with CRLF and behind a mark of the
// byte order.
func TestRead_wrapping(t *testing.T) {
	for _, name := range []string{"replay-ansi.log", "prover-timed.log", "on-demand.csv"} {
		plain := sample(t, name)
		want := read(t, string(plain))
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for how, text := range map[string]string{
			"gzip": zipped.String(),
			"CRLF": strings.ReplaceAll(string(plain), "\n", "\r\n"),
			"BOM":  "\ufeff" + string(plain),
		} {
			got := read(t, text)
			if !slices.Equal(got.Values, want.Values) || got.Lines != want.Lines || got.Network != want.Network {
				t.Errorf("%s as %s: %d values and %d lines, want %d and %d", name, how, len(got.Values), got.Lines, len(want.Values), want.Lines)
			}
		}
		if _, err := Read(name, bytes.NewReader(zipped.Bytes()[:zipped.Len()-12])); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
			t.Errorf("%s: half a gzip file: %v", name, err)
		}
	}
}

// What is no measurement is refused with what was seen.
func TestRead_refused(t *testing.T) {
	other := func(name string) string { return string(sample(t, filepath.Join("other", name))) }
	tests := []struct {
		name, text string
		kind       fault.Kind
		want       string
		hint       string
	}{
		{"empty", "", fault.Usage, "input is empty", ""},
		{"blank", " \n\n", fault.Usage, "only blank lines", ""},
		{"zero bytes", "\x7fELF\x00\x00", fault.Usage, "binary (a zero byte at offset 4)", ""},
		{"not UTF-8", "\xff\xd8\xff\xe0 picture\n", fault.Usage, "binary: neither UTF-8 text nor gzip", ""},
		{"UTF-16", "\xff\xfeb\x00l\x00", fault.Usage, "UTF-16", "iconv"},
		{"JSON", other("debug_executionWitness-errors.json"), fault.Usage, "none of the known inputs", "a run by its directory"},
		{"metrics", string(sample(t, "metrics-3702.txt")), fault.Usage, "# HELP mempool_tx_count", "beside a prover log"},
		{"node log", other("ethrex-l1-node.log"), fault.Usage, "none of the known inputs", "block,ms"},
		{"L2 log", other("l2-node.log"), fault.Usage, "none of the known inputs", ""},
		{"beacon log", other("lighthouse-tracing.log"), fault.Usage, "none of the known inputs", ""},
		{"load test", other("load-test.log"), fault.Usage, "Eth transfer load test", ""},
		{"addresses", other("cmd-dot-env.txt"), fault.Usage, "none of the known inputs", ""},
		{"benchmarks without results", "goos: linux\nBenchmarkX\nPASS\n", fault.Usage, "goos: linux", "without one benchmark result"},
		{"untimed", string(sample(t, "prover-untimed.log")), fault.Failed, "in 3 lines of a prover log; seen: 3 × proof without a time", "--timed"},
		{"errors only", string(sample(t, "replay-errors.log")), fault.Invalid, "1 × read from the replay's cache: not measured (line 15)", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Read("input", strings.NewReader(tt.text))
			if err == nil {
				t.Fatalf("read as %s with %d values", s.Kind, len(s.Values))
			}
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error of kind %d: %v; want kind %d with %q", fault.KindOf(err), err, tt.kind, tt.want)
			}
			if hints := strings.Join(fault.HintsOf(err), "\n"); !strings.Contains(hints, tt.hint) {
				t.Errorf("hints %q, want %q", hints, tt.hint)
			}
		})
	}
}

// The samples of errors hold one of each reason, and no value.
func TestRead_replayErrors(t *testing.T) {
	_, err := Read("replay-errors.log", bytes.NewReader(sample(t, "replay-errors.log")))
	for _, want := range []string{
		string(RPCError) + " (line 3)", string(Fallback) + " (line 12)", string(Cached) + " (line 15)",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

type brokenReader struct{ rest string }

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.rest == "" {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestRead_brokenInput(t *testing.T) {
	for _, text := range []string{"", "block,ms\n1,2\n", strings.Repeat("1,2\n", maxLine/2)} {
		s, err := Read("pipe", &brokenReader{text})
		if err == nil || !strings.Contains(err.Error(), "reading pipe") {
			t.Errorf("after %d bytes: %v, %v, want the error of the reader", len(text), s, err)
		}
	}
}
