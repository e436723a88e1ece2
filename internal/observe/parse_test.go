package observe

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/sample"
)

func TestParseStat(t *testing.T) {
	tests := []struct {
		text string
		want ticks
		ok   bool
	}{
		{"cpu  100 20 30 400 50 6 7 8 90 9\ncpu0 1 2 3 4\n", ticks{171, 621}, true},
		{"cpu 1 2 3 4\n", ticks{6, 10}, true}, // as before Linux 2.6
		{"cpu 1 2 3\n", ticks{}, false},
		{"cpu0 1 2 3 4 5\n", ticks{}, false},
		{"cpu 1 2 x 4 5\n", ticks{}, false},
		{"", ticks{}, false},
	}
	for _, tt := range tests {
		if got, ok := parseStat([]byte(tt.text)); got != tt.want || ok != tt.ok {
			t.Errorf("parseStat(%q) = %+v, %v, want %+v", tt.text, got, ok, tt.want)
		}
	}
	var m machine
	const none = -1
	for i, step := range []struct {
		text string
		want float64
	}{
		{"cpu 0 0 0 0", none}, {"cpu 1 0 0 3", 0.25}, {"cpu 1 0 0 3", none}, {"gone", none},
		{"cpu 1 0 0 3", none}, {"cpu 9 0 0 3", 1}, {"cpu 8 0 0 9", 0},
	} {
		got := float64(none)
		if share := m.share([]byte(step.text)); share != nil {
			got = *share
		}
		if got != step.want {
			t.Errorf("share %d is %v, want %v", i, got, step.want)
		}
	}
}

func TestMemoryInUse(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:   400 kB\n": 600 << 10,
		"MemTotal: 1000 kB\n":                                  -1,
		"MemTotal: 1000 kB\nMemAvailable: 4000 kB\n":           -1,
		"MemTotal: 1000 MB\nMemAvailable: 400 MB\n":            -1,
		"MemTotal: many kB\nMemAvailable: 400 kB\n":            -1,
		"MemTotal: 9223372036854775807 kB\nMemAvailable: 0 kB": -1,
	} {
		got := int64(-1)
		if used := memoryInUse([]byte(text)); used != nil {
			got = *used
		}
		if got != want {
			t.Errorf("memoryInUse(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestListensIn(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue
   0: 0100007F:0F3C 00000000:0000 0A 00000000:00000000
   1: 0100007F:0F3D 0100007F:0F3C 01 00000000:00000000
   2: 00000000000000000000000000000000:06C1 00000000000000000000000000000000:0000 0A
`
	for port, want := range map[uint16]bool{3900: true, 3901: false, 1729: true, 60: false} {
		if got := listensIn([]byte(table), port); got != want {
			t.Errorf("port %d: %v, want %v", port, got, want)
		}
	}
}

func TestParseBatches_sample(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "metrics-3702.txt"))
	if err != nil {
		t.Fatal(err)
	}
	batches, err := parseBatches(batchLines(raw))
	if err != nil || len(batches) != 6 {
		t.Fatalf("%d batches, %v", len(batches), err)
	}
	got := batches[3]
	if *got.GasUsed != 44100000 || *got.Transactions != 2100 || *got.Blocks != 1 || *got.ProvingSeconds != 754 || *got.CommitmentGas != 180933 || *got.VerificationGas == 0 {
		t.Errorf("batch 3: gas %d, transactions %d, blocks %d, %d s, gas %d and %d on the L1",
			*got.GasUsed, *got.Transactions, *got.Blocks, *got.ProvingSeconds, *got.CommitmentGas, *got.VerificationGas)
	}
	if got := batches[6]; got.GasUsed == nil || got.ProvingSeconds != nil {
		t.Errorf("batch 6: %+v", got)
	}
}

func TestParseBatches_values(t *testing.T) {
	page := `# HELP batch_size repeated comments of another registry
batch_size{batch_number="1",a="x\"y"} 3 17
# HELP batch_size repeated comments of another registry
batch_size{batch_number="2"} NaN
batch_size{batch_number="3"} -1
batch_size{batch_number="one"} 1
batch_size{other="1"} 1
batch_size_of_something_else{batch_number="4"} 1
batch_gas_used{batch_number="5"} 1e300`
	batches, err := parseBatches(batchLines([]byte(page)))
	if err != nil || len(batches) != 1 || *batches[1].Blocks != 3 {
		t.Errorf("%+v, %v", batches, err)
	}
	if _, err := parseBatches(batchLines([]byte("batch_size{batch_number=\"1\"} many\n"))); err == nil {
		t.Error("a page with a word for a number is taken")
	}
}

func TestMerge(t *testing.T) {
	n := func(v uint64) *uint64 { return &v }
	first, changed := merge(nil, sample.BatchMetrics{GasUsed: n(5)})
	if !changed || *first.GasUsed != 5 {
		t.Errorf("%+v, %v", first, changed)
	}
	// A process that was started again says nothing of what it did before.
	second, changed := merge(first, sample.BatchMetrics{ProvingSeconds: n(7)})
	if !changed || *second.GasUsed != 5 || *second.ProvingSeconds != 7 || first.ProvingSeconds != nil {
		t.Errorf("%+v, %v", second, changed)
	}
	if same, changed := merge(second, sample.BatchMetrics{GasUsed: n(5)}); changed || same != second {
		t.Errorf("%+v, %v", same, changed)
	}
}

// tailed reads a tail once and returns its lines.
func tailed(t *testing.T, l *tail) (got []string, cut string) {
	t.Helper()
	cut, err := l.poll(func(line []byte) error {
		got = append(got, string(line))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, cut
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := &tail{path: path}
	put := func(text string, flags int) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flags, 0o644)
		if err == nil {
			_, err = file.WriteString(text)
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, want ...string) {
		t.Helper()
		got, cut := tailed(t, l)
		if !slices.Equal(got, want) || cut != "" {
			t.Errorf("%s: lines %.100q, %q, want %.100q", what, got, cut, want)
		}
	}
	check("before it is there")
	put("", 0)
	check("empty")
	put("one\ntw", os.O_APPEND)
	check("half a line", "one")
	check("nothing new")
	put("o\n\nthree\n", os.O_APPEND)
	check("the rest of it", "two", "", "three")
	put(strings.Repeat("x", longest)+"\n", os.O_APPEND)
	check("a long line", strings.Repeat("x", longest))
	put(strings.Repeat("x", longest+1)+"\nnext\n", os.O_APPEND)
	check("one that is too long", "next")
	put(strings.Repeat("x", 2*chunk), os.O_APPEND)
	check("half of one that is too long")
	put("y\nnext\n", os.O_APPEND)
	check("the rest of that", "next")
	many := strings.Repeat("0123456789\n", 2*chunk/11)
	put(many, os.O_APPEND)
	if got, cut := tailed(t, l); strings.Join(got, "\n")+"\n" != many || cut != "" {
		t.Errorf("%d lines, %q", len(got), cut)
	}
	put("a\nb", os.O_TRUNC)
	if got, cut := tailed(t, l); !slices.Equal(got, []string{"a"}) || !strings.Contains(cut, "3 bytes long") {
		t.Errorf("truncated: %q, %q", got, cut)
	}
	// What the old file got at last is not lost, and half a line is no line.
	put("c\nhalf", os.O_APPEND)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	check("moved away", "bc")
	put("new\n", 0)
	if got, cut := tailed(t, l); !slices.Equal(got, []string{"new"}) || !strings.Contains(cut, "was replaced after") {
		t.Errorf("replaced: %q, %q", got, cut)
	}
	failure := errors.New("no more")
	put("x\n", os.O_APPEND)
	if _, err := l.poll(func([]byte) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("poll: %v", err)
	}
}

func TestLineWriter(t *testing.T) {
	var got []string
	w := &lineWriter{each: func(line string) { got = append(got, line) }}
	for _, p := range []string{"a", "b\nc\r\n", "\n\nd", "\n", "rest"} {
		if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
			t.Errorf("Write(%q) = %d, %v", p, n, err)
		}
	}
	if want := []string{"ab", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func FuzzParseBatches(f *testing.F) {
	f.Add([]byte("batch_gas_used{batch_number=\"1\"} 4093824\nbatch_tx_count{batch_number=\"1\"} 192\n"))
	f.Add([]byte("batch_size{batch_number=\"1\",a=\"\\\"\"} 3 17\nbatch_proving_time{batch_number=\"1\"} NaN"))
	f.Fuzz(func(t *testing.T, page []byte) {
		kept := batchLines(page)
		if again := batchLines(kept); !bytes.Equal(again, kept) {
			t.Fatalf("kept %q, and of that %q", kept, again)
		}
		batches, err := parseBatches(kept)
		for _, m := range batches {
			if _, changed := merge(nil, m); !changed || err != nil {
				t.Fatalf("a batch of nothing: %+v, %v", m, err)
			}
		}
	})
}

func FuzzSMI(f *testing.F) {
	f.Add("0, NVIDIA H100 80GB HBM3, 97, 40213, 81559, 512.34, 61, 1980, 2619, 0x0000000000000004")
	f.Add("0, A, [N/A], [Not Supported], [Unknown Error], ERR!, -1, 1e400, NaN, 0xffffffffffffffff")
	f.Add("No devices were found")
	q, err := chooseColumns(smiSample(f, "driver-580", "help.txt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string) {
		g, ok := q.parse(line)
		if !ok {
			return
		}
		for _, x := range []*float64{g.Utilization, g.PowerWatts, g.TemperatureCelsius, g.SMClockMHz, g.MemoryClockMHz} {
			if x != nil && (!(*x >= 0) || math.IsInf(*x, 0)) {
				t.Fatalf("parse(%q): %v", line, *x)
			}
		}
		if g.MemoryBytes != nil && *g.MemoryBytes < 0 || g.Index < 0 {
			t.Fatalf("parse(%q): %+v", line, g)
		}
	})
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte("cpu  100 20 30 400 50 6 7 8 90 9\nMemTotal:       1000 kB\nMemAvailable:   400 kB\n"))
	f.Add([]byte("   0: 0100007F:0F3C 00000000:0000 0A 00000000:00000000"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, ok := parseStat(text); ok && s.busy > s.all {
			t.Fatalf("parseStat(%q) = %+v", text, s)
		}
		if used := memoryInUse(text); used != nil && *used < 0 {
			t.Fatalf("memoryInUse(%q) = %d", text, *used)
		}
		listensIn(text, 3900)
		fieldNumber(text, sendingField)
	})
}
