package main

import (
	"context"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// done is a trial that ended as told, with log ratios around its estimate.
func done(kind string, run, session int, outcome string, center float64) *measured {
	m := &measured{trial: trial{Kind: kind, Run: run, Session: session, Swapped: session == 1 || session == 2}, Outcome: outcome, program: "v1"}
	ratio, low, high := math.Exp(center), math.Exp(center-0.03), math.Exp(center+0.03)
	m.Effect = effect{&ratio, &low, &high, 0.96, "SR-EWC"}
	m.Pairs = 60
	for i := range m.Pairs {
		wave := 0.1 * math.Sin(float64(i*i))
		m.d, m.drawn = append(m.d, center+wave), append(m.drawn, center+wave+0.001*float64(run))
		m.late, m.extra = append(m.late, time.Microsecond), append(m.extra, time.Duration(300+i)*time.Microsecond)
	}
	return m
}

func golden(t *testing.T, name string, r *result) {
	t.Helper()
	r.conclude()
	r.Machine, r.Load, r.Seconds, r.Began = "2 × a processor", [2]float64{0.5, 1}, 754, time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var b strings.Builder
	if err := r.print(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || b.String() != string(want) {
		t.Errorf("%s (%v); go test -update rewrites it; got:\n%s", path, err, b.String())
	}
}

func TestPrint_servers(t *testing.T) {
	o, err := parse([]string{"-runs", "3", "-swaps", "1", "--", "--margin", "5"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r := newResult(o)
	effect, offset := math.Log(1.05), math.Log(1.1)
	r.trials = []*measured{
		done(kindSame, 0, 0, "no effect", 0.01), done(kindSame, 1, 0, "inconclusive", -0.02), done(kindSame, 2, 0, "improves", -0.04),
		done(kindEffect, 0, 0, "regresses", effect), done(kindEffect, 1, 0, "regresses", effect+0.01), done(kindEffect, 2, 0, "inconclusive", effect-0.03),
		done(kindSwap, 0, 0, "invalid", effect+offset), done(kindSwap, 0, 1, "invalid", effect-offset-0.01),
		done(kindSwap, 0, 2, "invalid", effect-offset+0.01), done(kindSwap, 0, 3, "invalid", effect+offset),
	}
	golden(t, "servers.golden", r)
}

func TestPrint_local(t *testing.T) {
	o, err := parse([]string{"local", "-runs", "2", "-blocks", "80"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r := newResult(o)
	r.trials = []*measured{done(kindSame, 0, 0, "no effect", 0.01), done(kindSame, 1, 0, "regresses", 0.05)}
	for _, m := range r.trials { // nobody knows the delays of a real node
		m.drawn, m.late, m.extra = nil, nil, nil
	}
	golden(t, "local.golden", r)
}

// An end that does not exist is infinite, and such an interval holds anything.
func TestEstimates_unbounded(t *testing.T) {
	var e estimates
	low, high := (&effect{}).bounds()
	e.add(1, low, high, 0)
	e.add(3, 2, 4, 0)
	if got := e.sum(); got.N != 2 || got.Held != 1 || got.HalfWidth != 1 || math.Abs(got.Mean-math.Exp(2)) > 1e-12 || math.Abs(got.SD-math.Sqrt2) > 1e-12 {
		t.Errorf("sum() = %+v", got)
	}
}

// A result without an effect counts as an outcome and as nothing else.
func TestConclude_invalid(t *testing.T) {
	r := newResult(&options{runs: 2, effect: 0.05})
	none, some := done(kindSame, 0, 0, "invalid", 0), done(kindSame, 1, 0, "no effect", 0.01)
	*none.Effect.Ratio, *none.Effect.Low, *none.Effect.High = 0, 0, 0
	r.trials = []*measured{none, some}
	r.conclude()
	if s := r.Series[0]; s.Runs != 2 || s.Count["invalid"] != 1 || s.N != 1 || math.Abs(s.Mean-math.Exp(0.01)) > 1e-12 {
		t.Errorf("%+v", s)
	}
	if got := none.String(); strings.Contains(got, "[") || !strings.Contains(got, "aa-01: invalid, 60 pairs") {
		t.Errorf("String() = %q", got)
	}
}

func TestParse_refuses(t *testing.T) {
	for _, args := range []string{
		"-runs 0 -swaps 0", "-runs -1", "-blocks 3", "-warmup -1", "-parallel 0", "-effect 0", "-effect -100",
		"-host -100", "-base 1us", "-base 1h", "-no-such-flag", "local -effect 5", "local -runs 0",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

// The kinds of trials take turns, and no two share their random numbers.
func TestTrials(t *testing.T) {
	o, err := parse([]string{"-runs", "300", "-swaps", "2", "-effect", "5", "-host", "10"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	all := o.trials()
	if want := 2*300 + 2*sessions; len(all) != want {
		t.Fatalf("%d trials, want %d", len(all), want)
	}
	names, streams := map[string]bool{}, map[uint64]bool{}
	for _, tr := range all {
		names[tr.name()], streams[tr.stream()] = true, true
	}
	if len(names) != len(all) || len(streams) != len(all) {
		t.Errorf("%d trials have %d names and %d streams", len(all), len(names), len(streams))
	}
	var kinds []string
	for _, tr := range all[:7] {
		kinds = append(kinds, tr.Kind)
	}
	if want := []string{kindSame, kindEffect, kindSwap, kindSwap, kindSwap, kindSwap, kindSame}; !slices.Equal(kinds, want) {
		t.Errorf("the first trials are %v, want %v", kinds, want)
	}
	// The effect follows the build, the offset stays with the host.
	for _, tr := range all[:6] {
		want := map[string][2]float64{kindSame: {1, 1}, kindEffect: {1, 1.05}, kindSwap: {1, 1.05 * 1.1}}[tr.Kind]
		if tr.Swapped {
			want = [2]float64{1.05, 1.1}
		}
		got := o.delays(&tr).factors
		if math.Abs(got[0]-want[0]) > 1e-12 || math.Abs(got[1]-want[1]) > 1e-12 {
			t.Errorf("%s: factors %v, want %v", tr.name(), got, want)
		}
	}
}

func TestParseReport(t *testing.T) {
	if r, err := parseReport([]byte(`{"outcome":"regresses","effect":{"ratio":1.05,"low":1.02,"high":null,"confidence":0.96},"pairs":200,"state":"complete","new":1}`)); err != nil ||
		r.Pairs != 200 || *r.Effect.Low != 1.02 || r.Effect.High != nil {
		t.Errorf("a good report: %+v, %v", r, err)
	}
	for _, bad := range []string{"", "{}", `{"outcome":"faster","state":"complete"}`, `{"outcome":"improves","state":"incomplete"}`} {
		if _, err := parseReport([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// A run that cannot be made ends everything, with its name, and there is no
// table to mistake for a result.
func TestRun_programFails(t *testing.T) {
	var out strings.Builder
	err := run(context.Background(), []string{"local", "-runs", "3", "-verdict", filepath.Join(t.TempDir(), "none")}, &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "aa-01: ") || out.Len() > 0 {
		t.Errorf("run: %v, with the output %q", err, out.String())
	}
}
