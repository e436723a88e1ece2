package plan

import (
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

// proverSpec is a spec of place with all that it needs, completed after change.
func proverSpec(t *testing.T, place spec.Place, change func(*spec.Prover)) *spec.Prover {
	t.Helper()
	p := spec.ProverDefaults(place)
	if place == spec.Live {
		p.Host, p.Baseline.Ref, p.Batches = "gpu-1", "main", 10
	}
	given := make(spec.Keys)
	if change != nil {
		before := p
		change(&p)
		for _, key := range spec.ProverKeys() {
			if !slices.Equal(p.Texts(key), before.Texts(key)) {
				given[key] = ""
			}
		}
	}
	p.Complete(given)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return &p
}

const verifierAddress = "0x00000000000000000000000000000000000000aa"

// proverPlans are the specs whose plans golden files hold.
var proverPlans = map[string]struct {
	place  spec.Place
	change func(*spec.Prover)
}{
	"prover-sp1":   {spec.Live, nil},
	"prover-risc0": {spec.Live, func(p *spec.Prover) { p.Backend, p.RISC0Verifier = spec.RISC0, verifierAddress }},
	"prover-exec": {spec.Live, func(p *spec.Prover) {
		p.Backend, p.L1, p.Generator, p.Endless, p.Keep = spec.Exec, spec.Process, spec.LoadTest, true, true
		p.HoldCommitter = false
	}},
	"prover-local": {spec.Local, nil},
	"prover-two-refs": {spec.Live, func(p *spec.Prover) {
		p.Test, p.Clear, p.L1Image = &spec.Side{Ref: "6157"}, true, "ghcr.io/lambdaclass/ethrex:latest"
	}},
	"prover-running": {spec.Live, func(p *spec.Prover) { p.Running = true }},
}

// The plans of the workflow, in full. Golden files hold them, because every word
// of a command counts.
func TestMakeProver(t *testing.T) {
	for name, c := range proverPlans {
		t.Run(name, func(t *testing.T) {
			got := MakeProver(proverSpec(t, c.place, c.change), "sha256:0").Text()
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

// Every script is one that a shell can read, whatever the spec's texts hold, and
// every step is known by its kind.
func TestMakeProver_scripts(t *testing.T) {
	odd := proverSpec(t, spec.Live, func(p *spec.Prover) {
		p.Test, p.Clear, p.Generator = &spec.Side{Ref: "$(reboot) '"}, true, spec.LoadTest
		p.Baseline.Ref, p.Repository, p.L1Image = "; rm -rf ~ '", "~/it's \"$(here)`x`\"", "a b';$(x)"
		p.Program.Build, p.Program.Binary = "make 'x\"", "out/it's"
	})
	specs := []*spec.Prover{odd}
	for _, c := range proverPlans {
		specs = append(specs, proverSpec(t, c.place, c.change))
	}
	for _, p := range specs {
		for _, s := range MakeProver(p, "").Steps {
			if s.ProverKind() == "" || !strings.HasPrefix(s.ID, s.ProverKind()) {
				t.Errorf("the step %s has the kind %q", s.ID, s.ProverKind())
			}
			if s.Script == "" {
				continue
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-n")
			cmd.Stdin = strings.NewReader(s.Script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", s.ID, err, out, s.Script)
			}
		}
	}
}

// What is started is stopped, in the order load, prover, collector, L2, L1, and
// destroyed is only what the spec asks for.
func TestMakeProver_isSafe(t *testing.T) {
	for name, c := range proverPlans {
		p := proverSpec(t, c.place, c.change)
		plan := MakeProver(p, "")
		open := make(map[string]bool)
		var stopped []string
		for _, s := range plan.Steps {
			if (s.Destroys != "") != (s.ProverKind() == Remove) {
				t.Errorf("%s: the step %s destroys %q", name, s.ID, s.Destroys)
			}
			if s.Check == "" || s.Purpose == "" || s.Host == "" {
				t.Errorf("%s: the step %s is not whole: %+v", name, s.ID, s)
			}
			switch kind := s.ProverKind(); kind {
			case StartL1, StartL2, StartWatch, StartLoad, StartProof:
				open[s.Name] = true
				if s.Undo == "" {
					t.Errorf("%s: %s has no undo", name, s.ID)
				}
			case StopLoad, StopProof, StopL2, StopL1, StopWatch:
				if !open[s.Name] {
					t.Errorf("%s: %s stops what was not started", name, s.ID)
				}
				delete(open, s.Name)
				stopped = append(stopped, kind)
			case Verify:
				if len(open) > 0 {
					t.Errorf("%s: %v is never stopped", name, open)
				}
				// The collector asks the L2: it would blame it for being gone.
				want := []string{StopLoad, StopProof, StopWatch, StopL2, StopL1}
				if p.Running {
					want = []string{StopLoad, StopProof, StopWatch}
				}
				if !slices.Equal(stopped, want) {
					t.Errorf("%s: stopped in the order %v, want %v", name, stopped, want)
				}
				stopped = nil
			}
		}
		if !p.Clear && len(plan.Destructive()) > 0 {
			t.Errorf("%s: something is destroyed that nobody asked for", name)
		}
	}
}

func TestTurns(t *testing.T) {
	p := proverSpec(t, spec.Live, func(p *spec.Prover) { p.Test, p.Sessions, p.Batches = &spec.Side{Ref: "next"}, 3, 10 })
	var order string
	sum := make(map[sample.Side]int)
	for i, turn := range Turns(p) {
		if turn.Number != i+1 {
			t.Errorf("turn %d has the number %d", i+1, turn.Number)
		}
		order += strings.ToUpper(string(turn.Side[:1]))
		sum[turn.Side] += turn.Batches
	}
	if order != "BTTBBT" || sum[sample.Baseline] != 10 || sum[sample.Test] != 10 {
		t.Errorf("the order is %s with %v batches", order, sum)
	}
	if got := Turns(proverSpec(t, spec.Local, nil)); len(got) != 1 || got[0] != (Turn{1, sample.Baseline, 5}) {
		t.Errorf("one side has the turns %v", got)
	}
}

// The words of a plan are those that the scripts of other runs have, too.
func TestWords(t *testing.T) {
	if program.RunWord != RunVariable || program.VerdictWord != ProgramVariable || program.BinaryWord != BinaryVariable {
		t.Error("plan and program have different words for the same")
	}
}
