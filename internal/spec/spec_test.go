package spec

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
)

func TestEncode_roundTrip(t *testing.T) {
	for _, place := range Places {
		w := ready(place)
		w.Seed, w.Timeout, w.Margin = 18_446_744_073_709_551_615, 90*time.Second, 0.015
		w.Baseline.RPC = "http://127.0.0.1:8545/\"path\": with #odd 'marks'"
		raw, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(raw)
		if err != nil || !reflect.DeepEqual(back, w) {
			t.Errorf("%s: decoded %+v, %v, want %+v", place, back, err, w)
		}
		if again, _ := back.Encode(); Hash(again) != Hash(raw) {
			t.Errorf("%s: the hash changed on the way", place)
		}
	}
}

func TestDecode_refuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"version: 1\nblocs: 200\n", `2:1: unknown key "blocs": did you mean "blocks"?`},
		{"version: 99\n", "1:10: the spec has version 99, this verdict reads up to 1"},
		{"workflow: prover\n", `1:11: workflow is "prover": this is no file for verdict witness`},
		{"blocks: many\n", `1:9: blocks must be a whole number, not "many"`},
		{"blocks: \"200\"\n", "1:9: blocks must stand without quotes"},
		{"blocks: 1.5\n", "1:9: blocks must be a whole number"},
		{"blocks: [1, 2\n", "1:9: "},
		{"blocks: {a: 1}\n", "blocks must be a single value"},
		{"blocks:\n", "blocks has no value: leave the line out for the default"},
		{"margin: 3%\n", `1:9: margin must be a number, not "3%"`},
		{"margin: .nan\n", "margin must be a number"},
		{"timeout: 30\n", `1:10: timeout must be a length of time with its unit, such as 30s or 5m, not "30"`},
		{"gzip: yes\n", `1:7: gzip must be true or false, not "yes"`},
		{"baseline: http://a\n", "1:11: baseline holds keys of its own: witness, rpc, ref,"},
		{"baseline: {hots: a}\n", `1:12: unknown key "hots" in baseline: did you mean "host"?`},
		{"baseline:\n  ports: {rpc: 70000}\n", `2:16: baseline.ports.rpc must be a whole number between 0 and 65535, not "70000"`},
		{"network: hoodi\n", `1:1: unknown key "network": it belongs into servers`},
		{"baseline.host: a\n", `1:1: unknown key "baseline.host"`},
		{"test: {args: --dev}\n", "1:14: test.args must be a list"},
		{"test: {args: [[a]]}\n", "test.args must be a single value"},
		{"blocks: 1\nblocks: 2\n", "2:1: "},
		{"blocks: 1\n---\nblocks: 2\n", "a second document begins: a file holds one spec"},
		{"", "1:1: the file is empty"},
		{"# nothing\n", "1:1: the file is empty"},
		{"- a\n", `a spec is lines of the form "key: value"`},
		{"baseline:\n\thost: a\n", "2:1: a tab indents this line: use spaces"},
		{"blocks: &n 5\n", "uses an anchor or alias"},
		{"a: &a [x,x]\nblocks: *a\n", "2:9: blocks uses an anchor or alias"},
		{"blocks: !!int 5\n", "has a tag"},
		{"? [a]\n: 1\n", "2:1: "},
		{"seed: -1\n", "seed must be a whole number between 0 and 18446744073709551615"},
		{"\xff\xfe", "the file is not UTF-8 text"},
		{"blocks: 1\x00\n", "zero byte"},
		{strings.Repeat("[", 10_000), "brackets"},
		{strings.Repeat("- ", 10_000), "values nest too deeply"},
		{strings.Repeat("#", MaxSize+1), "more than 64 KiB"},
		{strings.Repeat("a: 1\n", 1000), ""},
	} {
		_, err := Decode([]byte(c.text))
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Decode(%.40q) = %v, want %q", c.text, err, c.want)
		}
	}
}

// All that is wrong with a file is said at once, with its name.
func TestDecodeFile_refuses(t *testing.T) {
	_, _, err := DecodeFile("a.yaml", []byte("place: moon\nversion: 9\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.HasPrefix(err.Error(), "a.yaml:2:10: ") {
		t.Errorf("DecodeFile = %v, want two lines", err)
	}
	_, _, err = DecodeFile("a.yaml", []byte("place: live\nblocs: 1\ntimeout: 5\nservers: {netwrok: x}\n"))
	want := "a.yaml:2:1: unknown key \"blocs\": did you mean \"blocks\"?\n" +
		"a.yaml:3:10: timeout must be a length of time with its unit, such as 30s or 5m, not \"5\"\n" +
		"a.yaml:4:11: unknown key \"netwrok\" in servers: did you mean \"network\"?"
	if err == nil || err.Error() != want {
		t.Errorf("DecodeFile = %v, want %s", err, want)
	}
	if _, _, err = DecodeFile("a.yaml", []byte("blocks: 5\n")); err == nil || !strings.Contains(err.Error(), "place is missing: choose local, attached, devnet or live") {
		t.Errorf("DecodeFile without a place = %v", err)
	}
}

func TestDecodeFile_defaults(t *testing.T) {
	w, given, err := DecodeFile("live.yaml", []byte(`
place: live
control: 100
baseline: {host: a}
test:
  host: b
  ref: 6157
  ports: {rpc: 9545}
servers:
  network: sepolia
  poll: 1s
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ValidateGiven(given); err != nil {
		t.Fatal(err)
	}
	want := Defaults(Live)
	want.Control, want.MarginFromControl = 100, true
	want.Baseline.Host, want.Test.Host, want.Test.Ref = "a", "b", "pull/6157/head"
	want.Test.Ports.RPC = 9545
	want.Servers.Network, want.Servers.Poll = "sepolia", time.Second
	want.Servers.CheckpointSyncURL = "https://sepolia.checkpoint-sync.ethpandaops.io"
	if !reflect.DeepEqual(w, want) {
		t.Errorf("decoded %+v, want %+v", w, want)
	}
	if given["servers.poll"] != "live.yaml:11:3" || given.Given("seed") || !given.Given("test.ports.rpc") {
		t.Errorf("given = %v", given)
	}
	w.Blocks = 0
	given["blocks"] = "live.yaml:2:1"
	if err := w.ValidateGiven(given); err == nil || !strings.HasPrefix(err.Error(), "live.yaml:2:1: blocks must be between") {
		t.Errorf("ValidateGiven = %v, want the place in the file", err)
	}
}

// What a default depends on may come later than the default.
func TestComplete(t *testing.T) {
	for _, c := range []struct {
		text, key, want string
	}{
		{"place: local\nload: witness-heavy\n", "gas_per_block", "30000000"},
		{"place: local\nload: witness-heavy\ngas_per_block: 1_000_000\n", "gas_per_block", "1000000"},
		{"place: local\ncontrol: 100\nmargin: 0.01\n", "margin_from_control", "false"},
		{"place: local\ncontrol: 100\nmargin: 0.01\nmargin_from_control: true\n", "margin_from_control", "true"},
		{"place: devnet\nbaseline: {binary: a}\ntest: {binary: b}\n", "repository", ""},
		{"place: devnet\nbaseline: {ref: a}\ntest: {binary: b}\n", "repository", "."},
		{"place: devnet\nhost: h\nprogram: {name: geth}\ntest: {ref: v1}\n", "repository", "~/geth"},
		{"place: live\nservers: {network: hoodi, synced: true}\n", "servers.checkpoint_sync_url", ""},
		{"place: live\nservers: {network: hoodi}\n", "servers.checkpoint_sync_url", "https://hoodi-checkpoint-sync.stakely.io"},
		{"place: live\nservers: {network: hoodi, checkpoint_sync_url: 'http://x'}\n", "servers.checkpoint_sync_url", "http://x"},
		{"place: live\ntest: {ref: '#12'}\n", "test.ref", "pull/12/head"},
		{"place: live\ntest: {ref: 1234567}\n", "test.ref", "1234567"},
		{"place: live\ntest: {ref: 0123e4}\n", "test.ref", "0123e4"},
		{"place: live\ntest: {ref: 'v1.0; rm -rf ~'}\n", "test.ref", "v1.0; rm -rf ~"},
		{"place: live\n", "baseline.ref", "main"},
	} {
		w, _, err := DecodeFile("x", []byte(c.text))
		if got := strings.Join(w.Texts(c.key), ","); err != nil || got != c.want {
			t.Errorf("%q gives %s %q, %v, want %q", c.text, c.key, got, err, c.want)
		}
	}
}

// ready is a valid spec of the place.
func ready(place Place) Witness {
	w := Defaults(place)
	switch place {
	case Attached:
		w.Baseline.RPC, w.Test.RPC = "http://a", "http://b"
	case Devnet:
		w.Program.Name, w.Baseline.Ref, w.Test.Binary = "geth", "v1.17.0", "./geth"
	case Live:
		w.Baseline.Host, w.Test.Host, w.Test.Ref, w.Servers.Network = "a", "b", "pull/1/head", "hoodi"
	}
	w.Complete(nil)
	return w
}

func TestValidate(t *testing.T) {
	for _, place := range Places {
		w := ready(place)
		if err := w.Validate(); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	for _, c := range []struct {
		want   string
		place  Place
		change func(*Witness)
	}{
		{"blocks must be", Local, func(w *Witness) { w.Blocks = maxBlocks + 1 }},
		{"warm-up must", Local, func(w *Witness) { w.WarmUp = -1 }},
		{"margin must", Local, func(w *Witness) { w.Margin = 1 }},
		{"alpha_live", Local, func(w *Witness) { w.AlphaLive = 0 }},
		{"alpha_final", Local, func(w *Witness) { w.AlphaFinal = 0.5 }},
		{"batch must", Local, func(w *Witness) { w.Batch = 5 }},
		{"min_pairs must", Local, func(w *Witness) { w.MinPairs = 10 }},
		{"max_unpaired must", Local, func(w *Witness) { w.MaxUnpaired = 1 }},
		{"stop \"never\"", Local, func(w *Witness) { w.Stop = "never" }},
		{"aa must be 0 or between 100", Local, func(w *Witness) { w.Control = 99 }},
		{"metric", Local, func(w *Witness) { w.Metric = "p99" }},
		{"verify-every", Local, func(w *Witness) { w.VerifyEvery = -1 }},
		{"timeout", Local, func(w *Witness) { w.Timeout = 0 }},
		{"settle", Local, func(w *Witness) { w.Settle = -1 }},
		{"patience", Local, func(w *Witness) { w.Patience = 0 }},
		{"load \"x\"", Local, func(w *Witness) { w.Load = "x" }},
		{"gas must", Devnet, func(w *Witness) { w.GasPerBlock = 1 }},
		{"baseline-witness", Local, func(w *Witness) { w.Baseline.Witness = "" }},
		{"test-witness", Local, func(w *Witness) { w.Test.Witness = "fast" }},
		{"place \"moon\" is unknown: choose local, attached, devnet or live", Local, func(w *Witness) { w.Place = "moon" }},
		{"test-rpc must be an http", Attached, func(w *Witness) { w.Test.RPC = "ftp://x" }},
		{"load has a meaning in place local and devnet only, and this is place live", Live, func(w *Witness) { w.Load = Mixed }},
		{"test.binary has a meaning in place devnet only", Live, func(w *Witness) { w.Test.Binary = "x" }},
		{"servers.keep has a meaning in place live only", Devnet, func(w *Witness) { w.Servers = &Servers{Keep: true} }},
		{"servers has a meaning in place live only", Devnet, func(w *Witness) { w.Servers = &Servers{} }},
		{"program is missing", Devnet, func(w *Witness) { w.Program.Name = "" }},
		{"test is missing", Devnet, func(w *Witness) { w.Test.Binary = "" }},
		{"test is missing", Live, func(w *Witness) { w.Test.Ref = "" }},
		{"network is missing", Live, func(w *Witness) { w.Servers.Network = "" }},
		{"checkpoint-sync-url is missing", Live, func(w *Witness) { w.Servers.Network, w.Servers.CheckpointSyncURL = "mine", "" }},
		{"checkpoint-sync-url must be", Live, func(w *Witness) { w.Servers.CheckpointSyncURL = "x" }},
		{"both sides are on a", Live, func(w *Witness) { w.Test.Host = "a" }},
		{"collector \"x\"", Live, func(w *Witness) { w.Servers.Collector = "x" }},
		{"jwt is empty", Live, func(w *Witness) { w.Servers.JWT = "" }},
		{"lighthouse is empty", Live, func(w *Witness) { w.Servers.Lighthouse = "" }},
		{"repository is empty", Live, func(w *Witness) { w.Repository = "" }},
		{"sync-timeout", Live, func(w *Witness) { w.Servers.SyncTimeout = 0 }},
		{"poll must", Live, func(w *Witness) { w.Servers.Poll = 0 }},
		{"needs replay_repository", Live, func(w *Witness) { w.Servers.Collector, w.Servers.ReplayBuild = EthrexReplay, "" }},
		{"crossover needs at least 200 blocks, not 199", Live, func(w *Witness) { w.Blocks, w.Servers.Crossover = 199, true }},
		{"it excludes synced", Live, func(w *Witness) { w.Servers.Synced, w.Servers.Crossover = true, true }},
		{"aa starts the baseline build on both servers", Live, func(w *Witness) { w.Servers.Synced, w.Control = true, 100 }},
		{"baseline.ports.p2p must be between 1 and 65535", Live, func(w *Witness) { w.Baseline.Ports.P2P = 0 }},
		{"baseline.ports.engine and baseline.ports.rpc are both 8545", Live, func(w *Witness) { w.Baseline.Ports.Engine = 8545 }},
		{"test.clear names \"all\"", Live, func(w *Witness) { w.Test.Clear = []Clearable{"all"} }},
		{"test.clear names execution twice", Live, func(w *Witness) { w.Test.Clear = []Clearable{ExecutionDB, ExecutionDB} }},
		{"it excludes synced", Live, func(w *Witness) { w.Servers.Synced, w.Test.Clear = true, []Clearable{ExecutionDB} }},
		{"test.ref holds control characters", Live, func(w *Witness) { w.Test.Ref = "a\nb" }},
		{"test.host holds control characters", Live, func(w *Witness) { w.Test.Host = "a\x1b[2J" }},
		{`baseline.host "a b" cannot be the name of an ssh host`, Live, func(w *Witness) { w.Baseline.Host = "a b" }},
		{`test.host "-oProxyCommand=id" cannot be`, Live, func(w *Witness) { w.Test.Host = "-oProxyCommand=id" }},
		{`host "a;id" cannot be`, Devnet, func(w *Witness) { w.Host = "a;id" }},
		{"genesis \"~/g.json\": ~ is not expanded", Live, func(w *Witness) { w.Genesis = "~/g.json" }},
		{"genesis \"~me/g.json\": ~ is not expanded", Attached, func(w *Witness) { w.Genesis = "~me/g.json" }},
		{"use a URL without credentials", Live, func(w *Witness) { w.Servers.CheckpointSyncURL = "https://me:pass@x" }},
		{"use a URL without credentials", Live, func(w *Witness) { w.Servers.CheckpointSyncURL = "https://token@x" }},
		{"test.host holds control characters or is not UTF-8", Live, func(w *Witness) { w.Test.Host = "a\xff" }},
	} {
		w := ready(c.place)
		c.change(&w)
		err := w.Validate()
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Validate() = %v, want one line about %q", c.place, err, c.want)
		}
	}
	w := Defaults(Attached)
	if err := w.Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("Validate() without servers = %v, want two lines", err)
	}
	w = ready(Live)
	w.Program.Build = "make one\nmake two"
	if err := w.Validate(); err != nil {
		t.Errorf("a build of two lines: %v", err)
	}
}

// A person is asked for what the workflow asks for, in its order.
func TestMissing(t *testing.T) {
	flags := func(w Witness) string {
		var out []string
		for _, q := range w.Missing() {
			out = append(out, q.Flag)
		}
		return strings.Join(out, " ")
	}
	for place, want := range map[Place]string{
		Local:    "",
		Attached: "baseline-rpc test-rpc",
		Devnet:   "program baseline test",
		Live:     "baseline-host test-host network test",
	} {
		if got := flags(Defaults(place)); got != want {
			t.Errorf("%s: missing %q, want %q", place, got, want)
		}
	}
	w := ready(Live)
	w.Servers.Synced, w.Test.Ref = true, ""
	if got := flags(w); got != "" {
		t.Errorf("synced servers: missing %q", got)
	}
	questions := Defaults(Live)
	check := questions.Missing()[1].Check
	for answer, ok := range map[string]bool{"server-2": true, "": false, " ": false, "server-1": false, "a\x1b": false, "a b": false, "-v": false, "$(id)": false} {
		if err := check(answer, map[string]string{"baseline-host": "server-1"}); (err == nil) != ok {
			t.Errorf("the test host %q: %v", answer, err)
		}
	}
	if err := questions.Missing()[0].Check("a;id", nil); err == nil {
		t.Error("the baseline host \"a;id\" is taken")
	}
	questions.Servers.Network = "mine"
	open := questions.Missing()
	for answer, ok := range map[string]bool{"http://a": true, "http://me:pass@a": false, "a": false} {
		if err := open[len(open)-1].Check(answer, nil); (err == nil) != ok {
			t.Errorf("the checkpoint sync URL %q: %v", answer, err)
		}
	}
}

func TestSide(t *testing.T) {
	w := Defaults(Local)
	if w.Side(sample.Baseline) != &w.Baseline || w.Side(sample.Test) != &w.Test {
		t.Error("Side gives the wrong side")
	}
}

func FuzzDecode(f *testing.F) {
	for _, place := range Places {
		w := ready(place)
		raw, err := w.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(w.Template(nil))
	}
	f.Add([]byte("place: live\nbaseline: {host: x, args: ['--a', \"b\\n\"]}\n"))
	f.Add([]byte("timeout: 1h\n---\nversion: 1\n"))
	f.Add([]byte("a: &a [*a]\n? |\n  x\n: >-\n  y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, given, err := DecodeFile("f", data)
		if err != nil {
			return
		}
		w.Version, w.Workflow = Version, Workflow
		raw, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(raw); err != nil || !reflect.DeepEqual(back, w) {
			t.Errorf("%q gives %+v, again %+v, %v", raw, w, back, err)
		}
		if w.ValidateGiven(given) != nil {
			return
		}
		template := w.Template(given)
		back, _, err := DecodeFile("f", template)
		if err != nil || !reflect.DeepEqual(back, w) {
			t.Errorf("the template %s gives %+v, want %+v, %v", template, back, w, err)
		}
	})
}

// Any text that a spec may hold comes back from a file as it is.
func FuzzText(f *testing.F) {
	for _, s := range []string{"main", "123", "0x1f", "1e5", "null", "~", "~/x", "- a", "a: b", "a #b", "#1", "'", `"\`, "; rm -rf ~", "$(reboot)", "{datadir}", "[x", "&a", "*a", "!t", "%d", "@x", "`x`", "yes", " a ", "ü–🚀\u2028", "a,b", "?", "<&>", ".inf", "---", "=", "a:", "|", ">-"} {
		f.Add(s, "make\n"+s)
	}
	for _, script := range []string{"\n", "a\n\n", "  a\n b", "a  \nb ", "\n\na", "\xe5\xbc\n\xb8", "a: b\n# c", "- a\n"} {
		f.Add("x", script)
	}
	f.Fuzz(func(t *testing.T, text, script string) {
		w := ready(Live)
		w.Test.Ref, w.Program.Build, w.Program.Args = text, script, []string{text, "", text}
		w.Complete(nil)
		given := Keys{"program.build": "", "test.ref": ""}
		if text == "" || w.Validate() != nil {
			return
		}
		raw, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(raw); err != nil || !reflect.DeepEqual(back, w) {
			t.Errorf("%s\ngives %+v, want %+v, %v", raw, back, w, err)
		}
		template := w.Template(given)
		if back, _, err := DecodeFile("f", template); err != nil || !reflect.DeepEqual(back, w) {
			t.Errorf("the template %s\ngives %+v, want %+v, %v", template, back, w, err)
		}
	})
}
