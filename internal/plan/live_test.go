package plan

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

var update = flag.Bool("update", false, "write the golden files")

func liveSpec(change func(*spec.Witness)) *spec.Witness {
	w := spec.Defaults(spec.Live)
	w.Baseline.Host, w.Test.Host = "server-1", "server-2"
	w.Baseline.Ref, w.Test.Ref = "main", "pull/6157/head"
	w.Servers.Network = "hoodi"
	w.Complete(nil)
	if change != nil {
		change(&w)
	}
	return &w
}

// The plans of the workflow, in full. Golden files hold them, because every
// word of a script counts.
func TestMake_live(t *testing.T) {
	for name, change := range map[string]func(*spec.Witness){
		"live":        nil,
		"live-synced": func(w *spec.Witness) { w.Servers.Synced = true },
		"live-clear": func(w *spec.Witness) {
			w.Servers.Keep = true
			w.Test.Clear = []spec.Clearable{spec.ExecutionDB, spec.ConsensusDB}
			w.Test.Datadir = "~/it's $(mine)"
		},
		"live-crossover": func(w *spec.Witness) { w.Servers.Crossover = true },
		"live-replay":    func(w *spec.Witness) { w.Servers.Collector, w.Servers.Synced = spec.EthrexReplay, true },
	} {
		t.Run(name, func(t *testing.T) {
			w := liveSpec(change)
			if err := w.Validate(); err != nil {
				t.Fatal(err)
			}
			got := Make(w, "sha256:0").Text()
			got = got[:strings.LastIndex(got, "\nplan sha256:")+1]
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the plan differs from %s; run go test ./internal/plan -update and look at the difference", path)
			}
		})
	}
}

// Every script of every plan is a script that a shell can read.
func TestMake_liveScripts(t *testing.T) {
	w := liveSpec(func(w *spec.Witness) {
		w.Servers.Crossover = true
		for _, s := range []*spec.Side{&w.Baseline, &w.Test} {
			s.Clear = []spec.Clearable{spec.ExecutionDB, spec.ConsensusDB}
			s.Ref, s.Datadir, s.ConsensusDatadir = "; rm -rf ~ '", "~/a'b\"c", "/$(x)`y`"
			s.Args = []string{"--x", "a b'"}
		}
		w.Repository = "~/it's \"here\""
	})
	replay := liveSpec(func(w *spec.Witness) { w.Servers.Collector = spec.EthrexReplay })
	for _, p := range []Plan{Make(w, ""), Make(replay, "")} {
		for _, s := range p.Steps {
			if s.Script == "" {
				continue
			}
			cmd := exec.Command("bash", "-n")
			cmd.Stdin = strings.NewReader(s.Script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s\n%s", s.ID, out, s.Script)
			}
		}
	}
}

// A plan destroys only what the spec asks for, stops what it starts unless it
// is to be kept, and starts nothing on synced servers.
func TestMake_liveIsSafe(t *testing.T) {
	plain := Make(liveSpec(nil), "")
	if len(plain.Destructive()) != 0 {
		t.Errorf("destroys %v", plain.Destructive())
	}
	for _, id := range []string{"stop-execution-baseline", "stop-execution-test", "stop-consensus-baseline", "stop-consensus-test", "stop-collector-test"} {
		if !slices.Contains(ids(plain), id) {
			t.Errorf("has no step %s", id)
		}
	}
	for _, s := range Make(liveSpec(func(w *spec.Witness) { w.Servers.Keep = true }), "").Steps {
		if (s.LiveKind() == StopExecution || s.LiveKind() == StopConsensus) && !s.OnRequest {
			t.Errorf("%s stops what is to be kept", s.ID)
		}
	}
	for _, s := range Make(liveSpec(func(w *spec.Witness) { w.Servers.Synced = true }), "").Steps {
		switch s.LiveKind() {
		case Build, StartConsensus, StartExecution, StopConsensus, StopExecution, Clear:
			t.Errorf("on synced servers it does %s", s.ID)
		}
	}
	cleared := Make(liveSpec(func(w *spec.Witness) { w.Test.Clear = []spec.Clearable{spec.ExecutionDB} }), "")
	if got := cleared.Destructive(); len(got) != 1 || got[0].ID != "clear-execution-test" || got[0].Host != "server-2" {
		t.Errorf("destroys %v", got)
	}
	if at := ids(cleared); slices.Index(at, "look-execution-test") > slices.Index(at, "build-baseline") ||
		slices.Index(at, "clear-execution-test") > slices.Index(at, "start-execution-test") {
		t.Errorf("asks late: %v", at)
	}
	seen := make(map[string]bool)
	for _, p := range []Plan{plain, Make(liveSpec(func(w *spec.Witness) { w.Servers.Crossover, w.Control = true, 100 }), "")} {
		clear(seen)
		for _, s := range p.Steps {
			if seen[s.ID] {
				t.Errorf("two steps are called %s", s.ID)
			}
			seen[s.ID] = true
			if s.LiveKind() == "" {
				t.Errorf("step %s has no kind", s.ID)
			}
		}
	}
}

// What is stopped is stopped by a script that the plan shows; verdict's own
// collector is no session.
func TestMake_liveStops(t *testing.T) {
	replay := func(w *spec.Witness) { w.Servers.Collector = spec.EthrexReplay }
	for _, change := range []func(*spec.Witness){nil, replay} {
		w := liveSpec(change)
		for _, s := range Make(w, "").Steps {
			var want string
			switch kind := s.LiveKind(); {
			case kind == StopExecution:
				want = program.StopRecorded("execution", program.StopGrace)
			case kind == StopConsensus:
				want = program.StopRecorded("consensus", program.StopGrace)
			case kind == StopCollector && change != nil:
				want = program.StopRecorded(program.ReplaySupervisor, program.StopGrace)
			case kind != StopCollector:
				continue
			}
			if s.Script != want {
				t.Errorf("%s has the script\n%s\nwant\n%s", s.ID, s.Script, want)
			}
		}
	}
	w := liveSpec(func(w *spec.Witness) { w.Genesis = "/g.json" })
	for _, s := range Make(w, "").Steps {
		if s.LiveKind() == Install && !strings.Contains(s.Purpose, "the genesis file /g.json to RUN/genesis.json") {
			t.Errorf("%s does not say that it copies the genesis: %s", s.ID, s.Purpose)
		}
	}
}

func TestSessions(t *testing.T) {
	straight, swapped := [2]sample.Side{sample.Baseline, sample.Test}, [2]sample.Side{sample.Test, sample.Baseline}
	one := Sessions(liveSpec(nil))
	if len(one) != 1 || one[0].Builds != straight || one[0].Blocks != 200 || AnalysisSession(liveSpec(nil), one[0]) != 0 {
		t.Errorf("without crossover: %+v", one)
	}
	w := liveSpec(func(w *spec.Witness) { w.Servers.Crossover, w.Blocks, w.Control = true, 203, 100 })
	four := Sessions(w)
	if len(four) != 5 || !four[0].Control || four[0].Builds != [2]sample.Side{sample.Baseline, sample.Baseline} || AnalysisSession(w, four[0]) != 0 {
		t.Fatalf("with crossover and control: %+v", four)
	}
	total := 0
	for i, s := range four[1:] {
		want := [4][2]sample.Side{straight, swapped, swapped, straight}[i]
		if s.Builds != want || s.Swapped() != (want == swapped) || AnalysisSession(w, s) != i+1 {
			t.Errorf("session %d is %+v", i+1, s)
		}
		total += s.Blocks
	}
	if total != 203 {
		t.Errorf("the sessions have %d blocks, want 203", total)
	}
}
