package program

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/spec"
)

var values = Values{Binary: "/opt/my ethrex", Datadir: "/d", Genesis: "/g.json", JWT: "/jwt",
	HTTPPort: "1", EnginePort: "2", P2PPort: "3", MetricsPort: "4"}

// help is a help text that names flags.
func help(flags ...string) string {
	return "An execution client\n\nOptions:\n      \x1b[1m" + strings.Join(flags, "\x1b[0m <VALUE>\n          what it does\n      ") + "\n"
}

func TestArgv_versions(t *testing.T) {
	d, err := Describe(&spec.Program{Name: "ethrex"})
	if err != nil {
		t.Fatal(err)
	}
	old := flagsOf(d.Command)
	all := slices.Clone(old)
	for _, group := range d.Optional {
		all = append(all, group[0])
	}
	for _, c := range []struct {
		name       string
		help       string
		args       []string
		has, lacks []string
	}{
		{"old", help(old...), nil, []string{"--authrpc.port 2", "--network /g.json"}, []string{"--http.api", "--precompute-witnesses"}},
		{"new", help(all...), nil, []string{"--http.api eth,net,web3,debug,txpool", "--precompute-witnesses", "--p2p.port 3"}, nil},
		// A flag that begins like another is not that flag.
		{"similar", help(append(old, "--http.api.limit", "no--precompute-witnesses")...), nil, nil, []string{"--http.api", "--precompute-witnesses"}},
		{"the user's", help(all...), []string{"--http.api=debug", "--metrics.port", "{metrics_port}"},
			[]string{"--http.api=debug --metrics.port 4"}, []string{"--http.api eth"}},
	} {
		argv, err := d.Argv(values, c.help, c.args...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := strings.Join(argv, " ")
		if argv[0] != values.Binary {
			t.Errorf("%s: starts %q", c.name, argv[0])
		}
		for _, want := range c.has {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s lacks %s", c.name, got, want)
			}
		}
		for _, not := range c.lacks {
			if strings.Contains(got, not) {
				t.Errorf("%s: %s has %s", c.name, got, not)
			}
		}
	}
}

// What is not the program is refused with what it said.
func TestArgv_anotherProgram(t *testing.T) {
	d, err := Describe(&spec.Program{Name: "geth"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "Usage: ls [OPTION]... [FILE]...\n  -a, --all   do not ignore entries\n", help("--datadir", "--http")} {
		_, err := d.Argv(values, text)
		if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "is not the geth") || !strings.Contains(err.Error(), "--authrpc.port") {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && !strings.Contains(err.Error(), opening(text)) {
			t.Errorf("%q: the error does not say what was seen: %v", text, err)
		}
	}
}

// The real geth knows every flag that it is given.
func TestArgv_realGeth(t *testing.T) {
	d, err := Describe(&spec.Program{Name: "geth"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"VERDICT_GETH", "VERDICT_GETH_OLD"} {
		geth := os.Getenv(name)
		if geth == "" {
			if os.Getenv("CI") == "true" || os.Getenv("VERDICT_REQUIRE") != "" {
				t.Fatalf("no geth: set %s, as make test does", name)
			}
			t.Skipf("no geth: set %s, as make test does", name)
		}
		v := values
		v.Binary = geth
		argv := v.Expand(d.Help)
		text, err := exec.Command(argv[0], argv[1:]...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Argv(v, string(text)); err != nil {
			t.Error(err)
		}
	}
}

func TestDescribe_overrides(t *testing.T) {
	side := spec.Side{Args: []string{"--side"}}
	p := &spec.Program{Name: "geth", Build: "make geth", Args: []string{"--both"}}
	d, err := Describe(p)
	if err != nil || d.Build != "make geth" || d.Binary != "build/bin/geth" || d.Init == nil {
		t.Errorf("Describe = %+v, %v", d, err)
	}
	argv, err := d.Argv(values, help(flagsOf(d.Command)...), Args(p, &side)...)
	if err != nil || !slices.Equal(argv[len(argv)-2:], []string{"--both", "--side"}) {
		t.Errorf("argv %q, %v", argv, err)
	}
	// Nothing of the description is added to a command of the user's.
	p = &spec.Program{Name: "ethrex", Command: []string{"env", "X={x}", `J={"a":1}`, "{binary}", "--p={http_port}:{engine_port}", "{jwt}"}}
	p.Command[1] = "X=1"
	d, err = Describe(p)
	if err != nil {
		t.Fatal(err)
	}
	argv, err = d.Argv(values, "")
	if want := []string{"env", "X=1", `J={"a":1}`, values.Binary, "--p=1:2", "/jwt"}; err != nil || !slices.Equal(argv, want) {
		t.Errorf("argv %q, %v, want %q", argv, err, want)
	}
}

func TestDescribe_badInput(t *testing.T) {
	command := []string{"{binary}", "{http_port}", "{engine_port}", "{jwt}"}
	for _, c := range []struct {
		program *spec.Program
		want    string
	}{
		{nil, "choose ethrex, geth, reth"},
		{&spec.Program{Name: "besu"}, `program "besu" has no description: choose ethrex, geth, reth`},
		{&spec.Program{Name: "besu", Command: append(command, "{data}")}, "the placeholder {data} in \"{data}\" is unknown: choose among {binary}, {datadir}"},
		{&spec.Program{Name: "geth", Args: []string{"{port}"}}, "the placeholder {port}"},
		{&spec.Program{Name: "geth", Init: []string{"{binary}", "{gen}"}}, "the placeholder {gen}"},
		{&spec.Program{Name: "besu", Command: command[1:]}, "has no {binary}"},
		{&spec.Program{Name: "besu", Command: command[:3]}, "has no {jwt}"},
		{&spec.Program{Name: "besu", Command: []string{"{binary}", "{http_port}", "{jwt}"}}, "has no {engine_port}: the two sides would want the same port"},
	} {
		_, err := Describe(c.program)
		if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Describe(%+v) = %v, want %q", c.program, err, c.want)
		}
	}
}

// What a plan shows has the placeholders that are not known yet.
func TestValues_partly(t *testing.T) {
	v := Values{Datadir: "TEMP/baseline"}
	got := v.Expand([]string{"{binary}", "--datadir={datadir}", "{http_port}"})
	if want := []string{"{binary}", "--datadir=TEMP/baseline", "{http_port}"}; !slices.Equal(got, want) {
		t.Errorf("Expand = %q, want %q", got, want)
	}
	// What is filled in is not filled in again.
	v.Binary = "/x/{datadir}"
	if got := v.Expand([]string{"{binary}"}); got[0] != "/x/{datadir}" {
		t.Errorf("Expand = %q", got)
	}
}
