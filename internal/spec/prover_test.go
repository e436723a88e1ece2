package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
)

// readyProver is a spec of place that lacks nothing.
func readyProver(place Place) Prover {
	p := ProverDefaults(place)
	if place == Live {
		p.Host, p.Baseline.Ref, p.Batches = "server", "main", 10
	}
	p.Complete(nil)
	return p
}

func TestProver_roundTrip(t *testing.T) {
	for _, place := range ProverPlaces {
		p := readyProver(place)
		p.Seed, p.Test = 18_446_744_073_709_551_615, &Side{Ref: "it's \"odd\" # $(x)", Args: []string{"--a", "b c"}}
		raw, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeProver(raw)
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%s: decoded %+v, %v, want %+v", place, back, err, p)
		}
		if again, _ := back.Encode(); Hash(again) != Hash(raw) {
			t.Errorf("%s: the hash changed on the way", place)
		}
	}
}

func TestProver_defaults(t *testing.T) {
	local, live := readyProver(Local), readyProver(Live)
	if local.Program.Name != BuiltIn || local.Backend != Exec || local.GPU || local.L1 != Process || !local.Endless ||
		local.Batches != 5 || local.Intervals.Commit != 3*time.Second || local.Repository != "" || !local.HoldCommitter {
		t.Errorf("the built-in rollup has the defaults %+v", local)
	}
	if live.Program.Name != Ethrex || live.Backend != SP1 || !live.GPU || live.L1 != Docker || live.Endless ||
		live.Transactions != 50 || live.Load != EthTransfers || live.Running || live.Intervals != (RollupIntervals{}) || live.Repository != "~/ethrex" {
		t.Errorf("ethrex has the defaults %+v", live)
	}
	for _, place := range ProverPlaces {
		p := readyProver(place)
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	here, given, err := DecodeProverFile("x", []byte("workflow: prover\nplace: local\nprogram: {name: ethrex}\nbaseline: {ref: 12}\nbackend: risc0\n"))
	if err != nil || here.GPU || here.L1 != Docker || here.Endless || here.Timeouts.Proof != time.Hour || here.Baseline.Ref != "pull/12/head" {
		t.Errorf("ethrex on this machine has the defaults %+v, %v", here, err)
	}
	if err := here.ValidateGiven(given); err == nil || !strings.Contains(err.Error(), "risc0-verifier is missing") {
		t.Errorf("risc0 without its verifier: %v", err)
	}
}

func TestProver_refuses(t *testing.T) {
	of := func(baseline string) string {
		return "workflow: prover\nplace: live\nhost: a\nbaseline: {" + baseline + "}\nbatches: 5\n"
	}
	head := of("ref: main")
	for _, c := range []struct{ text, want string }{
		{"place: local\n", `x:1:6: workflow is missing: a file for verdict prover says "workflow: prover"`},
		{"workflow: witness\nplace: attached\n", `x:1:11: workflow is "witness": this is no file for verdict prover`},
		{"workflow: prover\nplace: devnet\n", "x:2:8: place \"devnet\" is unknown: choose local or live"},
		{"workflow: prover\n", "place is missing: choose local or live"},
		{head + "bacend: sp1\n", `x:6:1: unknown key "bacend": did you mean "backend"?`},
		{head + "test: {host: b}\n", `unknown key "host" in test: the keys are ref, binary, args`},
		{head + "program: {command: [a]}\n", `unknown key "command" in program`},
		{head + "backend: zisk\n", `x:6:1: backend "zisk" is unknown: choose sp1, risc0 or exec`},
		{head + "backend: exec\ngpu: true\n", "x:7:1: backend exec makes no proof"},
		{head + "backend: risc0\n", "risc0-verifier is missing"},
		{head + "backend: risc0\nrisc0_verifier: \"0x1\"\n", "must be an address"},
		{head + "risc0_verifier: \"0x00000000000000000000000000000000000000aa\"\n", "is for backend risc0"},
		{head + "running: true\ntest: {ref: next}\n", "running excludes a test side"},
		{head + "running: true\nclear: true\n", "it excludes clear"},
		{head + "running: true\nhold_committer: true\n", "it excludes hold_committer"},
		{head + "running: true\nkeep: true\n", "it excludes keep"},
		{head + "keep: true\ntest: {ref: next}\n", "keep excludes a test side"},
		{head + "test: {}\n", "the test side has neither a ref nor a binary"},
		{head + "test: {ref: a, binary: /b}\n", "a ref and a binary: give one"},
		{head + "test: {binary: ./b}\n", "begins with / or ~/"},
		{head + "ports: {l1: 1729}\n", "ports.l2 and ports.l1 are both 1729"},
		{head + "ports: {l1: 0}\n", "ports.l1 must be between 1 and 65535"},
		{head + "intervals: {block: 1us}\n", "whole milliseconds"},
		{head + "timeouts: {proof: 0s}\n", "timeouts.proof must be positive"},
		{head + "load: mixed\n", "choose eth-transfers, erc20, fibonacci or io-heavy"},
		{head + "generator: load_test\ntps: 5\n", "load_test has no rate"},
		{head + "sessions: 6\ntest: {ref: next}\n", "6 sessions share 5 batches"},
		{head + "transactions: 0\n", "transactions must be between 1"},
		{head + "currency: EUR\n", "price_per_hour, which is not given"},
		{head + "l1: process\nl1_image: x\n", "l1_image is for l1 docker"},
		{head + "l1_image: -v\n", "cannot be the name of an image"},
		{of("binary: /b") + "l1: process\ngenerator: load_test\n", "load_test is built from the baseline's ref"},
		{of("binary: /b"), "give l1_image, or l1 process"},
		{head + "repository: here\n", "begins with / or ~/"},
		{head + "program: {build: make}\n", "give both or none"},
		{head + "program: {name: geth}\n", "choose verdict or ethrex"},
		{"workflow: prover\nplace: live\nhost: -v\n", "cannot be the name of an ssh host"},
		{"workflow: prover\nplace: local\nhost: a\n", "host has a meaning in place live only"},
		{"workflow: prover\nplace: local\nbackend: sp1\n", "the built-in prover executes only"},
		{"workflow: prover\nplace: local\nl1: docker\n", "the built-in L1 is a process"},
		{"workflow: prover\nplace: local\ngenerator: load_test\n", "the built-in rollup is loaded by verdict"},
	} {
		p, given, err := DecodeProverFile("x", []byte(c.text))
		if err == nil {
			err = p.ValidateGiven(given)
		}
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// A file for the other command names that command.
func TestWorkflow_hint(t *testing.T) {
	_, _, err := DecodeProverFile("a b.yaml", []byte("workflow: witness\nplace: local\n"))
	if got := fault.HintsOf(err); !slices.Equal(got, []string{"verdict witness 'a b.yaml'"}) {
		t.Errorf("the hints are %q", got)
	}
	_, _, err = DecodeFile("a.yaml", []byte("workflow: prover\nplace: local\nbackend: exec\n"))
	if got := fault.HintsOf(err); !slices.Equal(got, []string{"verdict prover a.yaml"}) || strings.Contains(err.Error(), "backend") {
		t.Errorf("%v with the hints %q", err, got)
	}
	_, _, err = DecodeFile("a.yaml", []byte("workflow: moon\n"))
	if len(fault.HintsOf(err)) > 0 {
		t.Errorf("an unknown workflow has the hints %q", fault.HintsOf(err))
	}
}

func flags(questions []Question) string {
	var out []string
	for _, q := range questions {
		out = append(out, q.Flag)
	}
	return strings.Join(out, " ")
}

// The nine questions of the workflow document, in its order and with its
// defaults.
func TestProver_questions(t *testing.T) {
	p := ProverDefaults(Live)
	p.Complete(nil)
	all := p.Questions(nil)
	if got := flags(all); got != "host backend gpu transactions batches endless ref running load" {
		t.Errorf("the questions are %s", got)
	}
	answers := make(map[string]string)
	for _, q := range all {
		answers[q.Flag] = q.Answer
		if q.Check == nil && !q.YesNo {
			t.Errorf("nothing checks the answer to %s", q.Flag)
		}
		if q.Check != nil && q.Answer != "" && q.Check(q.Answer, nil) != nil {
			t.Errorf("the default of %s is refused", q.Flag)
		}
	}
	want := map[string]string{
		"host": "", "backend": "sp1", "gpu": "true", "transactions": "50", "batches": "", "endless": "false", "ref": "", "running": "false", "load": "eth-transfers",
	}
	if !reflect.DeepEqual(answers, want) {
		t.Errorf("the defaults are %v, want %v", answers, want)
	}
	if got := flags(p.Missing()); got != "host batches ref" {
		t.Errorf("missing are %s", got)
	}
	p.Backend, p.Host, p.Baseline.Ref, p.Batches = RISC0, "a", "main", 3
	if got := flags(p.Questions(Keys{"backend": "", "gpu": "", "transactions": "", "endless": "", "running": "", "load": ""})); got != "risc0-verifier" {
		t.Errorf("of risc0 %s is asked", got)
	}
	p.Running = true
	if got := p.Questions(nil); len(got) > 0 {
		t.Errorf("when nothing is missing, %s is asked", flags(got))
	}
	local := readyProver(Local)
	if got := local.Questions(nil); len(got) > 0 {
		t.Errorf("a local run asks %s", flags(got))
	}
	for _, c := range []struct{ flag, bad string }{{"backend", "zisk"}, {"transactions", "0"}, {"batches", "x"}, {"load", "mixed"}, {"ref", " "}, {"host", "-v"}} {
		for _, q := range all {
			if q.Flag == c.flag && q.Check(c.bad, nil) == nil {
				t.Errorf("%q is taken as the answer to %s", c.bad, c.flag)
			}
		}
	}
}

// An editor and the program refuse the same files.
func TestProver_schemaRefuses(t *testing.T) {
	s := schema(t, proverForm())
	for _, place := range ProverPlaces {
		p := readyProver(place)
		raw, _ := p.Encode()
		for _, file := range [][]byte{raw, p.Template(nil)} {
			if err := validate(t, s, file); err != nil {
				t.Errorf("%s: %s\n%v", place, file, err)
			}
		}
	}
	for _, line := range []string{
		"bacend: sp1", "backend: zisk", "batches: 0", "batches: x", "load: mixed", "transactions: 0", "endless: 1", "generator: x", "tps: -1",
		"min_transactions: 0", "l1: vm", "ports: {l1: 0}", "ports: {x: 1}", "intervals: {block: 5}", "timeouts: {proof: soon}", "margin: 0", "alpha: 0.3",
		"sessions: 0", "test: {host: b}", "program: {name: geth}", "risc0_verifier: x", "version: 2",
	} {
		file := fmt.Sprintf("workflow: prover\nplace: live\nhost: a\nbaseline: {ref: main}\n%s\n", line)
		if validate(t, s, []byte(file)) == nil {
			t.Errorf("the schema lets %q through", line)
		}
		p, given, err := DecodeProverFile("x", []byte(file))
		if p.Batches == 0 {
			p.Batches = 5
		}
		if line == "batches: 0" {
			continue // for the program, that is a missing one
		}
		if err == nil {
			err = p.ValidateGiven(given)
		}
		if err == nil {
			t.Errorf("the program lets %q through", line)
		}
	}
}

// Whatever a file holds, it is read or refused, and what is read is written and
// read back as the same.
func FuzzDecodeProver(f *testing.F) {
	for _, place := range ProverPlaces {
		p := readyProver(place)
		f.Add([]byte(p.Template(nil)))
	}
	f.Add([]byte("workflow: prover\nplace: live\ntest: {args: [a, \"b\"]}\nintervals: {block: 1h}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, given, err := DecodeProverFile("x", data)
		if err != nil {
			return
		}
		_ = p.ValidateGiven(given)
		raw, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeProver(raw)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", data, raw, err)
		}
		if again, _ := back.Encode(); string(again) != string(raw) {
			t.Fatalf("%q is written as %q and then %q", data, raw, again)
		}
	})
}
