package intake

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Lines of a prover, each with its line end.
const (
	started   = "2026-02-20T14:02:10.016Z  INFO Prover started for [\"tcp://127.0.0.1:3900\"]\n"
	received1 = "2026-02-20T14:02:20.017Z  INFO Received Response for batch_number: 1 endpoint=tcp://127.0.0.1:3900\n"
	received2 = "2026-02-20T14:02:20.017Z  INFO Received payload #2 endpoint=tcp://127.0.0.1:3900\n"
	proved1   = "2026-02-20T14:03:07.141Z  INFO Proved batch 1 in 47.12s batch=1 proving_time_s=47 proving_time_ms=47123\n"
	proved2   = "2026-02-20T14:03:07.141Z  INFO Proved payload #2 in 59.87s id=2 proving_time_s=59 proving_time_ms=59871\n"
	acked1    = "2026-02-20T14:03:07.153Z  INFO Received submit ack for batch_number: 1 endpoint=tcp://127.0.0.1:3900\n"
	acked2    = "2026-02-20T14:03:07.153Z  INFO Proof for payload #2 accepted endpoint=tcp://127.0.0.1:3900\n"
	lost      = "2026-02-20T14:03:07.153Z  WARN Failed to submit proof: Failed to get SubmitAck: EOF endpoint=tcp://127.0.0.1:3900\n"
)

func TestProver_attempts(t *testing.T) {
	tests := []struct {
		name, text string
		batches    []uint64
		flags      []Flag
		excluded   string
	}{
		{"two", started + received1 + proved1 + acked1 + received2 + proved2 + acked2, []uint64{1, 2}, []Flag{SetUp, 0}, ""},
		{"lost and made again", started + received1 + proved1 + lost + received1 + proved1 + acked1 + received2 + proved2 + acked2, []uint64{1, 2}, []Flag{Repeated, 0}, string(Lost) + ": 1 at [3]"},
		{"without an ack", started + received1 + proved1 + received2 + proved2 + acked2, []uint64{2}, []Flag{0}, string(Unacked) + ": 1 at [3]"},
		{"ack of another", started + received1 + proved1 + acked2 + received2 + proved2 + acked2, []uint64{2}, []Flag{0}, string(Unacked) + ": 1 at [3]"},
		{"failed and made", started + received1 + received1 + proved1 + acked1, []uint64{1}, []Flag{SetUp | Repeated}, string(FailedProof) + ": 1 at [2]"},
		{"restart", started + received1 + proved1 + acked1 + received2 + started + received2 + proved2 + acked2, []uint64{1, 2}, []Flag{SetUp, SetUp}, ""},
		{"proved twice, accepted twice", started + received1 + proved1 + acked1 + received1 + proved1 + acked1, []uint64{1}, []Flag{SetUp}, string(Duplicate) + ": 1 at [6]"},
		{"still proving at the end", started + received1 + proved1 + acked1 + received2, []uint64{1}, []Flag{SetUp}, ""},
		{"one untimed", started + "INFO Proved batch 1 batch=1\n" + acked1 + received2 + proved2 + acked2, []uint64{2}, []Flag{0}, string(Untimed) + ": 1 at [2]"},
		{"cut off", started + received1 + proved1 + acked1 + "INFO Proved batch 2 in 4\n" + acked2, []uint64{1}, []Flag{SetUp}, string(BadDuration) + ": 1 at [5]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := read(t, tt.text)
			var flags []Flag
			for _, v := range s.Values {
				flags = append(flags, v.Flags)
			}
			if !slices.Equal(numbers(s), tt.batches) || !slices.Equal(flags, tt.flags) || reasons(s) != tt.excluded {
				t.Errorf("batches %v with flags %b, excluded %q; want %v, %b, %q", numbers(s), flags, reasons(s), tt.batches, tt.flags, tt.excluded)
			}
		})
	}
}

// The fields are exact; the rounded duration counts where they say zero, in
// whatever unit and code point it is printed.
func TestProver_times(t *testing.T) {
	tests := []struct {
		text      string
		ms        float64
		precision float64
	}{
		{"Proved batch 1 in 47.12s batch=1 proving_time_s=47 proving_time_ms=47123", 47123, 1},
		{"Proved batch 1 in 47.12s (program: evm-l2, elf) proving_time_ms=47123 proving_time_s=47 batch=1", 47123, 1},
		{"Proved batch 1 in 512.46\u00b5s batch=1 proving_time_s=0 proving_time_ms=0", 0.51246, 1e-5},
		{"Proved batch 1 in 512.46\u03bcs batch=1 proving_time_s=0 proving_time_ms=0", 0.51246, 1e-5},
		{"Proved batch 1 in 930ns batch=1 proving_time_s=0 proving_time_ms=0", 0.00093, 1e-6},
		{"Proved batch 1 in 47.12s", 47120, 10},
		{"Proved payload #1 in 12.34s id=1 proving_time_s=12 proving_time_ms=12340", 12340, 1},
	}
	for _, tt := range tests {
		v := read(t, tt.text+"\n").Values[0]
		if relative := v.MS/tt.ms - 1; relative > 1e-12 || relative < -1e-12 || v.PrecisionMS() != tt.precision {
			t.Errorf("%q: %v ms to %v, want %v to %v", tt.text, v.MS, v.PrecisionMS(), tt.ms, tt.precision)
		}
	}
}

// Without any other line than proofs, acceptance cannot be asked for.
func TestProver_filtered(t *testing.T) {
	s := read(t, proved1+proved2)
	if !slices.Equal(numbers(s), []uint64{1, 2}) || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "proofs only") {
		t.Errorf("batches %v, warnings %q", numbers(s), s.Warnings)
	}
}

func TestProver_refused(t *testing.T) {
	_, err := Read("prover.log", strings.NewReader(started+received1))
	want := `prover.log: no timed proof ("Proved batch N in …") in 2 lines of a prover log; seen: 1 × start, 1 × batch received`
	if err == nil || err.Error() != want || fault.KindOf(err) != fault.Failed || !errors.Is(err, ErrNoProof) {
		t.Errorf("no proof: %v", err)
	}
	_, err = Read("prover.log", strings.NewReader(started+received1+proved1))
	if err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "1 × "+string(Unacked)) {
		t.Errorf("no ack: %v", err)
	}
}

func metrics(t *testing.T, text string) *Metrics {
	t.Helper()
	m, err := ReadMetrics("metrics.txt", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestJoin_sample(t *testing.T) {
	s, err := Read("prover-timed.log", bytes.NewReader(sample(t, "prover-timed.log")))
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.Warnings)
	m := metrics(t, string(sample(t, "metrics-3702.txt")))
	if err := s.Join(m); err != nil {
		t.Fatal(err)
	}
	want := []Work{{4093824, 192, 3}, {17850000, 850, 12}, {44100000, 2100, 1}, {30891000, 1471, 1}, {8841000, 421, 12}}
	if !slices.Equal(s.Work, want) || m.Batches() != 6 {
		t.Errorf("work %v of %d batches, want %v of 6", s.Work, m.Batches(), want)
	}
	if len(s.Warnings) != before+1 || !strings.Contains(s.Warnings[before], "no longer fitted") {
		t.Errorf("warnings %q, want the one of the count that is too high", s.Warnings)
	}
}

func TestJoin_warnings(t *testing.T) {
	text := proved1 + proved2 + strings.ReplaceAll(proved1, " 1 in", " 3 in")
	s := read(t, text)
	page := `# TYPE batch_gas_used gauge
batch_gas_used{batch_number="1"} 0
batch_gas_used{batch_number="2"} 100
# TYPE batch_gas_used gauge
batch_gas_used_of_something_else{batch_number="3"} 7
batch_tx_count{batch_number="1"} 0
batch_tx_count{batch_number="2"} 0
batch_proving_time{batch_number="2"} 20
other_series{x="unterminated
`
	if err := s.Join(metrics(t, page)); err != nil {
		t.Fatal(err)
	}
	if !s.Values[0].Has(Empty) || s.Values[1].Has(Empty) || s.Work[1].Gas != 100 {
		t.Errorf("values %+v, work %+v: want the first marked empty, the second with its gas", s.Values, s.Work)
	}
	all := strings.Join(s.Warnings, "\n")
	for _, want := range []string{"metrics.txt has no gas for batch 3", "another proving time than the log for batch 2"} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings %q lack %q", all, want)
		}
	}
	if err := read(t, "1,2\n").Join(metrics(t, page)); fault.KindOf(err) != fault.Usage {
		t.Errorf("metrics of batches beside blocks: %v", err)
	}
}

func TestReadMetrics_refused(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "holds no metrics of batches",
		"transactions_total 5\n": "holds no metrics of batches",
		"batch_gas_used{batch_number=\"1\"} many\n":           "as a metrics page",
		"batch_gas_used{batch_number=\"1\"} NaN\n":            "holds no metrics of batches",
		"batch_gas_used{batch_number=\"1\"} -1\n":             "holds no metrics of batches",
		"batch_gas_used{batch_number=\"1\"} 18446744073":      "holds no metrics of batches", // torn
		"batch_gas_used{batch_number=\"one\"} 5\n":            "holds no metrics of batches",
		"batch_gas_used{batch_number=\"1\",batch_number} 5\n": "as a metrics page",
	} {
		m, err := ReadMetrics("metrics.txt", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v, %v; want %q", text, m, err, want)
		}
	}
}
