package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
)

// outage is a run whose test side did not answer n times, for 2 s each, and
// whose answers differ or are incomplete on n blocks.
func outage(n int) *Run {
	run := made(100, nil)
	for i := range n {
		run.Result.Gaps[1] = append(run.Result.Gaps[1], sample.Gap{
			Side: sample.Test, From: noon.Add(time.Duration(i) * time.Minute), DurationNS: 2e9, Reason: "connection refused",
		})
		run.Result.Parity.Different = append(run.Result.Parity.Different, uint64(i))
		run.Result.Parity.Refused = append(run.Result.Parity.Refused, compare.Incomplete{Side: sample.Test, Number: uint64(i), Message: "x"})
		run.Result.Parity.Incomplete[1]++
	}
	return run
}

// paged is a run whose servers told of themselves on their metrics pages, of
// all but every fourth block.
func paged() *Run {
	return made(100, func(i, side int, s *sample.Sample) {
		s.ImportNS, s.StoreNS, s.ServerNS = int64(60e6+20e6*float64(side)), int64(10e6+20e6*float64(side)), s.TotalNS/2
		if i%4 == side {
			s.ImportNS, s.StoreNS, s.ServerNS = 0, 0, 0
		}
	})
}

// What the servers say of themselves is shown, with how many blocks it is known
// of, and guards.
func TestServers(t *testing.T) {
	run := paged()
	text := strings.Join(Compose(run).Observations, "\n")
	for _, want := range []string{
		`The server's own part, by its metrics page \(median, known of 50 of 100 blocks\): 7\d\.\d ms on the baseline side, 3\.\d\d ms on the test side\.`,
		`Block import \(by the metrics page, median, known of 50 of 100 blocks\): 60\.0 ms on the baseline side, 80\.0 ms on the test side\. Storing it is 10\.0 ms and 30\.0 ms of that\.`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := run.Result.Verdict.String(); got != "improves, but block import worse" {
		t.Errorf("the verdict is %q", got)
	}
	v := decoded(t, renderJSON(t, "paged", run))
	for path, want := range map[string]any{
		"baseline.medians.import_ms": 60.0, "test.medians.import_ms": 80.0, "baseline.medians.store_ms": 10.0, "test.medians.store_ms": 30.0,
	} {
		if got := at(t, v, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if got, ok := at(t, v, "test.medians.server_ms").(float64); !ok || got < 3 || got > 4.5 {
		t.Errorf("test.medians.server_ms is %v", got)
	}
	if err := validate(schema(t), renderJSON(t, "paged", run)); err != nil {
		t.Error(err)
	}
	_, lines := rows(t, rendered(t, SamplesCSV, run))
	at1 := slices.IndexFunc(lines, func(l map[string]string) bool { return l["side"] == "baseline" && l["block"] == "101" })
	for column, want := range map[string]string{"server_ns": fmt.Sprint(run.Records[0][1].Sample.ServerNS), "store_ns": "10000000", "import_ns": "60000000"} {
		if got := lines[at1][column]; got != want {
			t.Errorf("%s is %q, want %s", column, got, want)
		}
	}
	if bench := string(rendered(t, Benchfmt, run)); strings.Count(bench, " server-ns/op") != 150 {
		t.Errorf("%d measurements with the server's own time, want 150", strings.Count(bench, " server-ns/op"))
	}
	// Where nothing is known nothing is said, and nothing is a number.
	plain := made(100, nil)
	if text := strings.Join(Compose(plain).Observations, "\n"); strings.Contains(text, "metrics page") {
		t.Errorf("a metrics page in\n%s", text)
	}
	if got := at(t, decoded(t, renderJSON(t, "plain", plain)), "test.medians.server_ms"); got != nil {
		t.Errorf("server_ms is %v, want null", got)
	}
}

// A server that is away for hours does not fill the report.
func TestOutages_bounded(t *testing.T) {
	run := outage(3000)
	var bullet string
	for _, o := range Compose(run).Observations {
		if strings.HasPrefix(o, "Without an answer") {
			bullet += o
		}
	}
	if !strings.HasPrefix(bullet, "Without an answer on the test side: 3000 times, 1h40m0s in all: from 2026-11-22 12:00:00 for 2s (connection refused); ") ||
		strings.Count(bullet, "refused") != fewGaps || len(bullet) > 500 {
		t.Errorf("the observation is %q", bullet)
	}
	page := string(renderHTML(t, run))
	if n := strings.Count(page, "connection refused"); n != 2*fewGaps {
		t.Errorf("the page names %d gaps", n)
	}
	if !strings.Contains(page, "Test side: 3000 times, 1h40m0s in all. The first 5 are listed.") {
		t.Error("the page does not count the gaps")
	}
	v := decoded(t, renderJSON(t, "outage", run))
	for path, want := range map[string]any{
		"test.gap_count": 3000.0, "test.gap_ns": 6e12, "parity.different_count": 3000.0, "parity.refused_count": 3000.0, "baseline.gap_count": 0.0,
	} {
		if got := at(t, v, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for _, path := range []string{"test.gaps", "parity.different", "parity.refused"} {
		if n := len(at(t, v, path).([]any)); n != 1000 {
			t.Errorf("%s lists %d", path, n)
		}
	}
	if err := validate(schema(t), renderJSON(t, "outage", run)); err != nil {
		t.Error(err)
	}
	one := Compose(outage(1)).Observations
	if want := "Without an answer on the test side: 1 time, 2s in all: from 2026-11-22 12:00:00 for 2s (connection refused)."; !contains(one, want) {
		t.Errorf("of one gap the observations are %q", one)
	}
}

func contains(texts []string, part string) bool {
	return strings.Contains(strings.Join(texts, "\n"), part)
}

// A control says why it does not correct, and that one server was asked twice
// only when it was.
func TestControl_why(t *testing.T) {
	const twice = "One server was asked twice"
	for name, c := range map[string]struct {
		control   sample.Control
		n         int
		edit      func(*compare.Control)
		want, not string
	}{
		"two places":      {sample.TwoPlaces, 120, nil, "noise floor ±", "taken off"},
		"one place":       {sample.OnePlace, 120, nil, twice, "Its shift"},
		"too few pairs":   {sample.TwoPlaces, 20, nil, "no noise floor: it has 20 pairs", twice},
		"one, too few":    {sample.OnePlace, 20, nil, "no noise floor: it has 20 pairs", twice},
		"cannot be taken": {sample.TwoPlaces, 120, func(c *compare.Control) { c.Corrects, c.Why = false, "no way" }, "Its shift is not taken off the effect: no way.", twice},
		"unbounded": {sample.TwoPlaces, 120, func(c *compare.Control) { c.Corrects, c.Floor, c.Why = false, 0, "its interval is unbounded" },
			"no noise floor: its interval is unbounded.", twice},
	} {
		run := controlOfKind(c.control, c.n)
		if c.edit != nil {
			c.edit(run.Result.Control)
		}
		got := ""
		for _, o := range Compose(run).Observations {
			if strings.HasPrefix(o, "A/A control") {
				got = o
			}
		}
		if !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("%s: the observation is %q", name, got)
		}
		v := decoded(t, renderJSON(t, name, run))
		if at(t, v, "control.kind") != string(c.control) || at(t, v, "control.why") != run.Result.Control.Why {
			t.Errorf("%s: the JSON has %v", name, v["control"])
		}
		if floor := at(t, v, "control.noise_floor"); (floor == nil) != (run.Result.Control.Floor == 0) {
			t.Errorf("%s: the noise floor is %v", name, floor)
		}
		page := string(renderHTML(t, run))
		if said := strings.Contains(page, "Its shift is not taken off the effect: "); said == run.Result.Control.Corrects {
			t.Errorf("%s: the page says why it does not correct: %v", name, said)
		}
		if err := validate(schema(t), renderJSON(t, name, run)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// controlOfKind is a run with a control of n pairs before it.
func controlOfKind(kind sample.Control, n int) *Run {
	run := made(100, nil)
	aa := made(n, func(i, side int, s *sample.Sample) {
		s.Control = kind
		s.TotalNS = int64(100e6 * math.Exp(0.03*math.Sin(float64(7*i+3*side))))
	})
	for side := range run.Records {
		run.Records[side] = append(aa.Records[side], run.Records[side]...)
	}
	return planned(run, 100)
}

// Observations carry their evidence, in text and Markdown too.
func TestObservations_evidence(t *testing.T) {
	const interval = `[\d.]+ \[[\d.]+, [\d.]+\] \(95 % interval\)`
	noisy := func(edit func(i, side int, s *sample.Sample)) *Run {
		rng := rand.New(rand.NewPCG(1, 9))
		return made(200, func(i, side int, s *sample.Sample) {
			s.TotalNS = int64(100e6 * math.Exp(0.05*rng.NormFloat64()))
			edit(i, side, s)
		})
	}
	for name, c := range map[string]struct {
		run  *Run
		want string
	}{
		"no drift": {noisy(func(int, int, *sample.Sample) {}), `No drift shows: ratio of the second half / that of the first ` + interval},
		"order":    {noisy(func(int, int, *sample.Sample) {}), `Order: the baseline side was asked first on 100 of 200 blocks.*: ` + interval},
		"drift": {noisy(func(i, side int, s *sample.Sample) {
			if i >= 100 && side == 1 {
				s.TotalNS = s.TotalNS * 3 / 2
			}
		}), `The effect drifts: .*factor 1\.[45]\d* \[[\d.]+, [\d.]+\]`},
		"order matters": {noisy(func(i, side int, s *sample.Sample) {
			if s.Order == 1 {
				s.TotalNS = s.TotalNS * 5 / 4
			}
		}), `Which side is asked first matters: .*factor [\d.]+ \[[\d.]+, [\d.]+\]`},
		"outlier": {noisy(func(i, side int, s *sample.Sample) {
			if side == 1 && (i == 20 || i == 77 || i == 120) {
				s.TotalNS *= int64(5 + i)
			}
		}), `The farthest ratio is 1[0-9]\d, at block 220; 1\.5 % of the pairs`},
		"error rate": {noisy(func(i, side int, s *sample.Sample) {
			if side == 1 && i < 5 || side == 0 && i == 9 {
				s.Status, s.Failure = sample.Timeout, &sample.Failure{Message: "no answer"}
			}
		}), `Error rate: 1 block failed on the baseline side alone and 5 on the test side alone, p = [\d.]+ \(McNemar, adjusted\)`},
	} {
		for format, write := range writers {
			text := strings.NewReplacer(`\[`, "[", `\]`, "]").Replace(string(rendered(t, write, c.run)))
			if !regexp.MustCompile(c.want).MatchString(strings.Join(strings.Fields(text), " ")) {
				t.Errorf("%s.%s does not say %s: %q", name, format, c.want, Compose(c.run).Observations)
			}
		}
	}
}

// runInputs compares two runs as verdict compare does: side by side where they
// have blocks in common, else as groups.
func runInputs(t *testing.T, unpaired bool) *Run {
	t.Helper()
	run := realistic(120, 1.1)
	for _, i := range []int{3, 4} {
		s := run.Records[1][i].Sample
		s.Status, s.Failure = sample.Timeout, &sample.Failure{Message: "no answer"}
	}
	run.Records[0] = append(run.Records[0], sample.Record{V: 1, Gap: &sample.Gap{From: noon, DurationNS: 2e9, Reason: forged}})
	var sources [2]compare.Source
	for side, records := range run.Records {
		sources[side] = compare.Source{Name: fmt.Sprintf("runs/%d", side), Kind: "samples", Records: records}
	}
	result, err := compare.Between(sources, compare.Import{Rule: compare.DefaultRule(), Unpaired: unpaired})
	if err != nil {
		t.Fatal(err)
	}
	return &Run{Result: result, Records: run.Records}
}

// What runs tell of failures, phases and gas is shown also where they are the
// inputs of verdict compare.
func TestInputs_thatAreRuns(t *testing.T) {
	for _, unpaired := range []bool{false, true} {
		run := runInputs(t, unpaired)
		sections := make(map[string]string)
		for _, e := range elements(t, renderHTML(t, run)) {
			if e.name == "section" {
				sections[e.attr["id"]] = e.words()
			}
		}
		if s := sections["failures"]; !strings.Contains(s, "timeout") || !strings.Contains(s, "Baseline side: 1 time") || strings.Contains(s, "No sample failed") {
			t.Errorf("unpaired %v: the failures are %s", unpaired, s)
		}
		for _, id := range []string{"work", "phases"} {
			if none := strings.Contains(sections[id], "no pairs with samples"); none != unpaired {
				t.Errorf("unpaired %v: section %s says %s", unpaired, id, sections[id])
			}
		}
		if o := Compose(run).Observations; !contains(o, "2 × timeout on the test side") || !contains(o, "on the baseline side: 1 time, 2s in all") || contains(o, "\x1b") {
			t.Errorf("unpaired %v: the observations are %q", unpaired, o)
		}
		v := decoded(t, renderJSON(t, "runs", run))
		if at(t, v, "test.failures.timeout") != 2.0 || at(t, v, "baseline.gap_count") != 1.0 {
			t.Errorf("unpaired %v: the JSON has failures %v and %v gaps", unpaired, at(t, v, "test.failures"), at(t, v, "baseline.gap_count"))
		}
	}
	// Of a log on one side the other one is known all the same.
	run := runInputs(t, true)
	run.Records[0] = nil
	for _, e := range elements(t, renderHTML(t, run)) {
		if e.name == "section" && e.attr["id"] == "failures" &&
			(!strings.Contains(e.words(), "The input of the baseline side holds only") || !strings.Contains(e.words(), "no stretch without an answer on the test side")) {
			t.Errorf("with one run the failures are %s", e.words())
		}
	}
}

// Nothing is said of parity that was not looked at.
func TestParity_unknown(t *testing.T) {
	for name, c := range map[string]struct {
		run  *Run
		want any
	}{
		"equal": {made(100, nil), true}, "nothing": {made(0, nil), nil}, "imported": {imported(false), nil},
		"different": {cases()["invalid"], false}, "incomplete alone": {incompleteAlone(), false}, "runs": {runInputs(t, false), true},
	} {
		if got := at(t, decoded(t, renderJSON(t, name, c.run)), "parity.ok"); got != c.want {
			t.Errorf("%s: parity.ok is %v, want %v", name, got, c.want)
		}
	}
}

// incompleteAlone is a run of one block that only one side answered, and badly.
func incompleteAlone() *Run {
	return made(1, func(_, side int, s *sample.Sample) {
		if side == 0 {
			s.Status, s.Failure = sample.Timeout, &sample.Failure{Message: "no answer"}
			return
		}
		s.Status, s.Verification, s.Failure = sample.InvalidWitness, sample.Incomplete, &sample.Failure{Message: "a node is missing"}
	})
}
