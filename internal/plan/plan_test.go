package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/spec"
)

func ids(p Plan) []string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, s.ID)
	}
	return out
}

func TestMake_steps(t *testing.T) {
	local, attached := spec.Defaults(spec.Local), spec.Defaults(spec.Attached)
	cold := local
	cold.WarmUp = 0
	for _, c := range []struct {
		w    spec.Witness
		want []string
	}{
		{local, []string{"start-baseline", "start-test", "preflight", "warm-up", "measure", "report"}},
		{cold, []string{"start-baseline", "start-test", "preflight", "measure", "report"}},
		{attached, []string{"preflight", "warm-up", "measure", "report"}},
	} {
		if got := ids(Make(&c.w, "hash")); !slices.Equal(got, c.want) {
			t.Errorf("steps of %s = %v, want %v", c.w.Place, got, c.want)
		}
	}
}

// A plan for a run never destroys anything, and takes back whatever it starts.
func TestMake_isSafe(t *testing.T) {
	for _, place := range []spec.Place{spec.Local, spec.Attached} {
		w := spec.Defaults(place)
		for _, s := range Make(&w, "hash").Steps {
			if s.Destroys != "" {
				t.Errorf("%s: step %s destroys %s", place, s.ID, s.Destroys)
			}
			if len(s.Argv) > 0 && s.Undo == "" {
				t.Errorf("%s: step %s starts a program and does not stop it", place, s.ID)
			}
		}
	}
}

func TestMake_witnessModes(t *testing.T) {
	w := spec.Defaults(spec.Local)
	w.Baseline.Witness, w.Test.Witness = spec.OnDemand, spec.Generated
	p := Make(&w, "hash")
	if slices.Contains(p.Steps[0].Argv, "--precompute-witnesses") {
		t.Errorf("the on-demand side is started with %v", p.Steps[0].Argv)
	}
	if got := strings.Join(p.Steps[1].Argv, " "); !strings.Contains(got, "--precompute-witnesses --witness-store generated") {
		t.Errorf("the generated side is started with %s", got)
	}
}

func TestHash(t *testing.T) {
	w := spec.Defaults(spec.Local)
	a, b := Make(&w, "hash"), Make(&w, "hash")
	if a.Hash() != b.Hash() {
		t.Error("one spec gives plans of different hashes")
	}
	raw, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(raw, &back); err != nil || back.Hash() != a.Hash() {
		t.Errorf("the hash of a stored plan is %s, %v, want %s", back.Hash(), err, a.Hash())
	}
	b.Steps[0].Argv[3] = "--elsewhere"
	if a.Hash() == b.Hash() {
		t.Error("a changed step keeps the hash")
	}
}
