package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/spec"
)

// devnetSpec compares a binary of a program with a ref of it.
func devnetSpec(name string) spec.Witness {
	w := spec.Defaults(spec.Devnet)
	w.Program = &spec.Program{Name: name}
	w.Repository = "/src/the clone"
	w.Baseline.Binary, w.Test.Ref = "/opt/"+name, "pull/7/head"
	return w
}

func TestMake_devnet(t *testing.T) {
	geth, reth, control, far := devnetSpec("geth"), devnetSpec("reth"), devnetSpec("geth"), devnetSpec("geth")
	control.Control, control.WarmUp = 100, 0
	far.Host = "bench-1"
	inner := strings.Fields("build-test genesis init-baseline init-test start-baseline start-test preflight warm-up measure")
	for _, c := range []struct {
		name string
		w    spec.Witness
		want []string
	}{
		{"geth", geth, append(slices.Clone(inner), "report")},
		{"no init", reth, strings.Fields("build-test genesis start-baseline start-test preflight warm-up measure report")},
		{"control", control, strings.Fields("build-test genesis " +
			"control-init-baseline control-init-test control-start-baseline control-start-test control-preflight control-measure control-stop " +
			"init-baseline init-test start-baseline start-test preflight measure report")},
		{"far", far, slices.Concat([]string{"connect", "install", "carry-out"}, inner, []string{"fetch", "report"})},
	} {
		p := Make(&c.w, "hash")
		if got := ids(p); !slices.Equal(got, c.want) {
			t.Errorf("%s: steps %v, want %v", c.name, got, c.want)
		}
		for _, s := range p.Steps {
			if s.Destroys != "" || (len(s.Argv) > 0 || s.Script != "") && s.Undo == "" {
				t.Errorf("%s: step %s destroys %q, undone by %q", c.name, s.ID, s.Destroys, s.Undo)
			}
			if want := map[bool]string{true: "bench-1", false: This}[c.w.Host != "" && s.ID != Report]; s.Host != want {
				t.Errorf("%s: step %s is on %s, want %s", c.name, s.ID, s.Host, want)
			}
		}
	}
}

// The plan shows exactly what is going to be executed, but for the ports, the
// temporary directory and the path of what is yet to be built.
func TestMake_devnetCommands(t *testing.T) {
	w := devnetSpec("geth")
	w.Program.Args, w.Test.Args = []string{"--cache", "256"}, []string{"--verbosity", "4"}
	w.Control = 100
	steps := make(map[string]Step)
	for _, s := range Make(&w, "hash").Steps {
		steps[s.ID] = s
	}
	for id, want := range map[string][]string{
		"init-baseline":         {"/opt/geth init --datadir TEMP/baseline --state.scheme path TEMP/genesis.json"},
		"start-baseline":        {"/opt/geth --datadir TEMP/baseline ", "--http.port {http_port}", "--authrpc.jwtsecret TEMP/jwt.hex --cache 256"},
		"start-test":            {"{binary} --datadir TEMP/test ", "--cache 256 --verbosity 4"},
		"control-start-test":    {"/opt/geth --datadir TEMP/control-test "},
		"control-init-baseline": {"/opt/geth init --datadir TEMP/control-baseline "},
	} {
		got := strings.Join(steps[id].Argv, " ")
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %s lacks %q", id, got, part)
			}
		}
	}
	if argv := steps["control-start-test"].Argv; slices.Contains(argv, "--verbosity") {
		t.Errorf("the control runs the test side's arguments: %q", argv)
	}
	build := program.Build{Repository: w.Repository, Ref: w.Test.Ref, Command: "go build -o build/bin/geth ./cmd/geth", Binary: "build/bin/geth"}
	if steps["build-test"].Script != program.BuildScript(build) {
		t.Errorf("the build step's script is\n%s", steps["build-test"].Script)
	}
}

func TestMake_devnetOptional(t *testing.T) {
	w := devnetSpec("ethrex")
	for _, s := range Make(&w, "hash").Steps {
		if s.Kind() == "start-test" && !strings.Contains(s.Purpose, "those of these that its --help knows: --authrpc.addr 127.0.0.1, --http.api eth,net,web3,debug,txpool, --precompute-witnesses") {
			t.Errorf("the plan does not show what is passed to some versions: %s", s.Purpose)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*spec.Witness)
		want   string
	}{
		{"fine", func(*spec.Witness) {}, ""},
		{"no program", func(w *spec.Witness) { w.Program = nil }, "program is missing"},
		{"unknown program", func(w *spec.Witness) { w.Program.Name = "besu" }, `program "besu" has no description`},
		{"nothing to build it", func(w *spec.Witness) {
			w.Program = &spec.Program{Name: "besu", Command: []string{"{binary}", "{http_port}", "{engine_port}", "{jwt}"}}
		}, `nothing says how program besu is built from the ref "pull/7/head"`},
		{"no side", func(w *spec.Witness) { w.Test.Ref = "" }, "the test side has neither"},
	} {
		w := devnetSpec("geth")
		c.change(&w)
		err := Check(&w)
		if c.want == "" && err != nil || c.want != "" && (fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Check = %v, want %q", c.name, err, c.want)
		}
	}
	for _, synced := range []bool{false, true} {
		w := liveSpec(func(w *spec.Witness) { w.Servers.Synced = synced })
		if err := Check(w); err != nil {
			t.Errorf("live: %v", err)
		}
		w.Program = &spec.Program{Name: "ethrex", Command: []string{"{binary}", "--datadir", "{datadir}"}}
		// Nothing is started on synced servers.
		if err := Check(w); (err == nil) != synced || err != nil && fault.KindOf(err) != fault.Usage {
			t.Errorf("live, synced %v, without a data directory: Check = %v", synced, err)
		}
	}
	local := spec.Defaults(spec.Local)
	if err := Check(&local); err != nil {
		t.Errorf("local: %v", err)
	}
}
