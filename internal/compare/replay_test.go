package compare

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
)

// A run of ethrex-replay is the planned analysis of the planned pairs, and says
// what its logs do not tell.
func TestFromReplay(t *testing.T) {
	series := logs(260, 1000, 0.9)
	series[1].Excluded = []intake.Exclusion{{Reason: intake.Fallback, Count: 2, Blocks: []uint64{7, 8}, Lines: []int{1, 2}}}
	rule := RuleOf(liveSpec(200, false))
	r, err := FromReplay(series, rule)
	if err != nil {
		t.Fatal(err)
	}
	if r.Stage != stat.Planned || len(r.Pairs) != 200 || r.Verdict.Outcome != Improves || !r.Verdict.Servers || len(r.Estimates.Looks) != 20 {
		t.Errorf("stage %d, %d pairs, verdict %s, %d looks", r.Stage, len(r.Pairs), r.Verdict, len(r.Estimates.Looks))
	}
	if r.Parity.Checked != 0 || r.Parity.Equal != 0 || r.metric(ErrorRate) != nil || r.Pairs[0].Samples != nil {
		t.Errorf("parity %+v, error rate %+v: the logs tell neither", r.Parity, r.metric(ErrorRate))
	}
	got := exclusions(r)
	if got["warm-up"] != 10 || got[afterPlanned] != 50 || got["test side: "+string(intake.Fallback)] != 2 {
		t.Errorf("excluded %v", got)
	}
	text := strings.Join(append(r.Warnings, r.Verdict.Reasons...), "\n")
	for _, want := range []string{replayPairs, replayParity, replayFailed, replayCounts} {
		if !strings.Contains(text, want) {
			t.Errorf("the result does not say %q", want)
		}
	}
	// The same measurements as samples give the same numbers.
	same := Analyze([2][]sample.Record{newResult(rule, Witness).replayed(0, series[0]), newResult(rule, Witness).replayed(1, series[1])}, rule)
	if same.Effect.Low != r.Effect.Low || same.Effect.High != r.Effect.High {
		t.Errorf("effect %v, as samples %v", r.Effect, same.Effect)
	}
}

// What a log adds after the planned pairs changes no number.
func TestFromReplay_later(t *testing.T) {
	rule := RuleOf(liveSpec(100, false))
	first, err := FromReplay(logs(110, 1000, 0.97), rule)
	if err != nil {
		t.Fatal(err)
	}
	longer := logs(110, 1000, 0.97)
	for side := range longer {
		longer[side].Values = append(longer[side].Values, intake.Value{Block: 5000, MS: 1e4}, intake.Value{Block: 5001, MS: 1})
	}
	second, err := FromReplay(longer, rule)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := said(first), said(second); a != b || len(first.Pairs) != 100 {
		t.Errorf("with longer logs the result changes:\n%s\n%s", a, b)
	}
}

// The constructed logs of both servers: their pollution is left out by name,
// and 35 common blocks are too few for a verdict.
func TestFromReplay_samples(t *testing.T) {
	read := func(name string) *intake.Series {
		file, err := os.Open(filepath.Join("..", "intake", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		s, err := intake.Read(name, file)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := spec.Defaults(spec.Live)
	s.WarmUp = 0
	r, err := FromReplay([2]*intake.Series{read("replay-new-format.log"), read("replay-new-filtered-test-server.txt")}, RuleOf(&s))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Pairs) != 35 || r.Stage != stat.Stopped || r.Verdict.Outcome != Invalid || !strings.Contains(r.Verdict.Reasons[0], "too few pairs: 35") {
		t.Errorf("%d pairs, stage %d, verdict %s %q", len(r.Pairs), r.Stage, r.Verdict, r.Verdict.Reasons)
	}
	got := exclusions(r)
	if got[onlyBaseline] != 5 || got[onlyTest] != 5 {
		t.Errorf("excluded %v, want 5 on either side alone", got)
	}
	if p := r.Pairs[0]; p.Number != 24600003 || math.Abs(p.D-ratio(p.MS[0], p.MS[1])) > 1e-12 {
		t.Errorf("first pair %+v", p)
	}
}

func TestFromReplay_refuses(t *testing.T) {
	proofs := logs(100, 1, 1)
	for _, s := range proofs {
		s.Batches = true
	}
	chains := logs(100, 1, 1)
	chains[0].Network, chains[1].Network = "hoodi", "mainnet"
	for _, c := range []struct {
		name   string
		series [2]*intake.Series
		rule   Rule
		kind   fault.Kind
		want   string
	}{
		{"proofs", proofs, RuleOf(liveSpec(100, false)), fault.Usage, "proving times"},
		{"two networks", chains, RuleOf(liveSpec(100, false)), fault.Invalid, "different chains"},
		{"sessions", logs(200, 1, 1), RuleOf(liveSpec(200, true)), fault.Usage, "do not tell the 4 sessions of this run apart"},
	} {
		_, err := FromReplay(c.series, c.rule)
		if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}
