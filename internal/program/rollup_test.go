package program

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

func proverSpec(place spec.Place, change func(*spec.Prover)) *spec.Prover {
	p := spec.ProverDefaults(place)
	p.Batches = 5
	if place == spec.Live {
		p.Host, p.Baseline.Ref = "server", "main"
	}
	if change != nil {
		change(&p)
	}
	p.Complete(spec.Keys{"risc0_verifier": ""})
	return &p
}

func TestFill(t *testing.T) {
	values := map[string]string{"RUN": "/r/RUN", "BINARY": "/b", "X": ""}
	for in, want := range map[string]string{
		"RUN": "/r/RUN", "RUN/s1/RUN": "/r/RUN/s1/RUN", "RUNX/a": "RUNX/a", "A=RUN/x": "A=/r/RUN/x", "--x=BINARY": "--x=/b",
		"a/RUN": "a/RUN", "X": "X", "": "", "A=": "A=", "A=b=RUN": "A=b=RUN",
	} {
		if got := Fill([]string{in}, values)[0]; got != want {
			t.Errorf("Fill(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCommand_filled(t *testing.T) {
	r := RollupOf(proverSpec(spec.Live, nil), sample.Baseline, 2)
	values := map[string]string{RunWord: "/run", BinaryWord: "/b", WorktreeWord: "/w", ProposerWord: "0x1", BridgeWord: "0x2"}
	c := r.L2().Filled(values)
	argv := strings.Join(c.Argv, " ")
	for _, want := range []string{"env -u RUST_LOG /b l2 --network /w/fixtures/genesis/l2.json", "--datadir /run/s2/l2", "--l1.bridge-address 0x2", "--l1.on-chain-proposer-address 0x1"} {
		if !strings.Contains(argv, want) {
			t.Errorf("the L2 is started with %s, which lacks %s", argv, want)
		}
	}
	if strings.Contains(argv, "timelock") || c.Dir != "/run/s2" {
		t.Errorf("without a timelock: %s in %s", argv, c.Dir)
	}
	values[TimelockWord] = "0x3"
	if argv = strings.Join(r.L2().Filled(values).Argv, " "); !strings.HasSuffix(argv, "--l1.timelock-address 0x3") {
		t.Errorf("with a timelock: %s", argv)
	}
	for _, c := range []Command{r.L1(), r.Deploy(), r.L2(), r.Prover(), r.Load(), r.Collector(1)} {
		for _, arg := range c.Argv {
			for _, key := range []string{committerKey, proofSenderKey, ownerKey} {
				if strings.Contains(arg, key) {
					t.Errorf("a key stands on the command line of %v", c.Argv)
				}
			}
		}
	}
}

func TestParseEnvFile(t *testing.T) {
	a, b, zero := "0x"+strings.Repeat("1", 40), "0x"+strings.Repeat("ab", 20), "0x"+strings.Repeat("0", 40)
	both := ProposerWord + "=" + a + "\n" + BridgeWord + "=" + b + "\n"
	got, err := ParseEnvFile([]byte(both + TimelockWord + "=" + zero + "\n"))
	if err != nil || len(got) != 2 || got[ProposerWord] != a || got[BridgeWord] != b {
		t.Errorf("ParseEnvFile = %v, %v", got, err)
	}
	for _, c := range []struct{ text, want string }{
		{"", "has no " + ProposerWord},
		{ProposerWord + "=" + a + "\n", "has no " + BridgeWord},
		{both + ProposerWord + "=" + a + "\n", "line 3"},
		{both + "export X=" + a + "\n", "not of the form"},
		{both + "X='" + a + "'\n", "no address"},
		{both + "X=0x12\n", "no address"},
		{both + "X=" + a, "middle of a line"},
		{strings.Replace(both, a, zero, 1), "has no " + ProposerWord},
		{both + " X=" + a + "\n", "not of the form"},
		{both + "X=" + a + " \n", "no address"},
		{both + "1X=" + a + "\n", "not of the form"},
		{strings.Repeat("#", maxEnvFile+1), "it is none"},
	} {
		if _, err := ParseEnvFile([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseEnvFile(%q) = %v, want %q", c.text, err, c.want)
		}
	}
}

// The file that the deployer is known to write.
func TestParseEnvFile_sample(t *testing.T) {
	raw, err := os.ReadFile("testdata/cmd-dot-env.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEnvFile(raw)
	if err != nil || got[ProposerWord] == "" || got[BridgeWord] == "" || got[TimelockWord] == "" {
		t.Errorf("ParseEnvFile = %v, %v", got, err)
	}
}

func FuzzParseEnvFile(f *testing.F) {
	a := "0x" + strings.Repeat("1", 40)
	f.Add([]byte(ProposerWord + "=" + a + "\n" + BridgeWord + "=" + a + "\n"))
	f.Add([]byte("A=0x\n\nB"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseEnvFile(data)
		if err != nil {
			return
		}
		var again strings.Builder
		for name, value := range got {
			if !isVariable(name) || !isEnvAddress(value) {
				t.Fatalf("%q has %q=%q", data, name, value)
			}
			fmt.Fprintf(&again, "%s=%s\n", name, value)
		}
		if back, err := ParseEnvFile([]byte(again.String())); err != nil || len(back) != len(got) {
			t.Fatalf("%q is read as %v, %v", again.String(), back, err)
		}
	})
}

func FuzzParseFound(f *testing.F) {
	f.Add([]byte(`{"kind":"port","port":1}` + "\n" + `{"kind":"volume","name":"l2_env"}`))
	f.Add([]byte(`{"kind":"database","path":"/a\nb"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := ParseFound(data)
		if err != nil {
			return
		}
		for _, kind := range RemovalKinds {
			n := 0
			for _, l := range found {
				_ = l.String()
				if l.Of() == kind {
					n++
				}
			}
			if text := Approval(found, kind); n > 0 && strings.Count(text, "\n") != n-1 || n == 0 && text != "" {
				t.Fatalf("%q: %d %s are approved by %q", data, n, kind, text)
			}
		}
	})
}
