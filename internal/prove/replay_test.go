package prove

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

func TestReplaySchedule(t *testing.T) {
	s := spec.DefaultReplay()
	s.Seed, s.WarmUp = 7, 2
	batches := []coordinator.Batch{{Number: 4}, {Number: 5}, {Number: 9}}
	got := replaySchedule(&s, batches)
	if len(got) != 2*(s.WarmUp+len(batches)) {
		t.Fatalf("%d assignments: %v", len(got), got)
	}
	for i, batch := range []uint64{4, 4, 4, 5, 9} {
		x, y := got[2*i], got[2*i+1]
		if x.Batch != batch || y.Batch != batch || x.Side == y.Side {
			t.Errorf("pair %d is %v, %v, want batch %d on both sides", i, x, y, batch)
		}
	}
	if want := fmt.Sprint(coordinator.Schedule([]uint64{4, 5, 9}, 1, s.Seed)); fmt.Sprint(got[4:]) != want {
		t.Errorf("what counts is %v, want %s", got[4:], want)
	}
}

func TestTally(t *testing.T) {
	var y tally
	if y.ratio() != 0 || y.medians() != [2]float64{} {
		t.Errorf("without proofs: %v, %v", y.ratio(), y.medians())
	}
	check := func(side sample.Side, batch uint64, ms float64, public string, differs bool) {
		t.Helper()
		if got := y.add(side, turn{batch, 1}, ms, public); got != differs {
			t.Errorf("add(%s, %d, %v, %q) = %v, want %v", side, batch, ms, public, got, differs)
		}
	}
	check(sample.Baseline, 1, 100, "a", false)
	check(sample.Test, 1, 200, "a", false)
	check(sample.Test, 2, 50, "b", false)
	check(sample.Baseline, 2, 100, "c", true)
	check(sample.Baseline, 3, 300, "", false) // no public output
	check(sample.Test, 3, 300, "d", false)
	if got := y.ratio(); math.Abs(got-1) > 1e-12 {
		t.Errorf("ratio %v, want 1: the pairs have 2, 1/2 and 1", got)
	}
	if got := y.medians(); got != [2]float64{100, 200} {
		t.Errorf("medians %v", got)
	}
}

func TestBackendsIn(t *testing.T) {
	const later = "\n      --log.level <LEVEL>\n          [possible values: error, info]\n"
	for help, want := range map[string]string{
		"      --backend <B>\n          Backend\n\n          [env: X=]\n          [default: exec]\n          [possible values: exec, sp1]\n" + later: "exec sp1",
		"  -b, --backend <B>  Backend [default: exec] [possible values: exec]" + later:                                                               "exec",
		"      --backend backend   only exec is built in (default \"exec\")" + later:                                                                 "",
		later: "",
		"--backend [possible values: never closed": "",
	} {
		if got := strings.Join(backendsIn([]byte(help)), " "); got != want {
			t.Errorf("backendsIn(%q) = %q, want %q", help, got, want)
		}
	}
}

func TestPublicDigest(t *testing.T) {
	if publicDigest(nil) != "" || publicDigest(json.RawMessage("null")) != "" {
		t.Error("a proof without public values has a digest")
	}
	a, b, c := publicDigest(json.RawMessage("[1, 2]")), publicDigest(json.RawMessage("[1,2]")), publicDigest(json.RawMessage("[1,3]"))
	if a != b || a == c || len(a) != 64 {
		t.Errorf("digests %q, %q, %q", a, b, c)
	}
}

// The line about a proof is found once, also when it comes late or in parts.
func TestProverLog(t *testing.T) {
	const stamp = "2026-02-20T14:03:02.138401Z  INFO "
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(text string) {
		if _, err := f.WriteString(text); err != nil {
			t.Error(err)
		}
	}
	l := &proverLog{path: path}
	write(stamp + "Proved batch 1 in 47.12s batch=1 proving_time_s=47 proving_time_ms=47123\n" + stamp + "Proved batch 1 in 12.50")
	if e, err := l.proved(t.Context(), 1); err != nil || e.ProvingNS != 47123e6 {
		t.Errorf("batch 1: %+v, %v", e, err)
	}
	go func() {
		<-time.After(20 * time.Millisecond) // the prover prints from another thread
		write("ms batch=1 proving_time_s=0 proving_time_ms=12\n")
	}()
	if e, err := l.proved(t.Context(), 1); err != nil || e.ProvingNS != 12_500_000 || e.PrecisionNS != 10_000 {
		t.Errorf("batch 1 again: %+v, %v", e, err)
	}
	write(stamp + "Proved batch 2 batch=2\n")
	if _, err := l.proved(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "PROVER_CLIENT_TIMED") {
		t.Errorf("an untimed line: %v", err)
	}
	write(stamp + "Proved batch 3 in 1min batch=3\n")
	if _, err := l.proved(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "cannot read") {
		t.Errorf("a garbled line: %v", err)
	}
}

// A binary that is missing is found before anything else is done, on either
// side; an A/A control has one only.
func TestFindBinaries(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		baseline, test string
		same           bool
		want           string
	}{
		"both there":     {self, self, false, ""},
		"test missing":   {self, missing, false, "the test side: there is no binary"},
		"both missing":   {missing, missing, false, "the baseline side: there is no binary"},
		"control":        {self, self, true, ""},
		"ref, no binary": {"", missing, false, "the test side: there is no binary"},
	} {
		r := &replayer{}
		r.Spec.Baseline.Binary, r.Spec.Test.Binary, r.Spec.Same = c.baseline, c.test, c.same
		err := r.findBinaries()
		if c.want == "" && err != nil || c.want != "" && (fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
