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
	for _, place := range []Place{Local, Attached} {
		w := Defaults(place)
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
		{"version: 1\nblocs: 200\n", `unknown field "blocs"`},
		{"version: 1\nblocs: 200\n", "[2:1]"},
		{"version: 99\n", "version 99"},
		{"blocks: many\n", "[1:9]"},
		{"blocks: [1, 2\n", "[1:"},
	} {
		_, err := Decode([]byte(c.text))
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Decode(%q) = %v, want %q", c.text, err, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, place := range []Place{Local, Attached} {
		w := Defaults(place)
		w.Baseline.RPC, w.Test.RPC = "http://a", "http://b"
		if err := w.Validate(); err != nil {
			t.Errorf("the defaults of %s: %v", place, err)
		}
	}
	for name, change := range map[string]func(*Witness){
		"blocks":           func(w *Witness) { w.Blocks = maxBlocks + 1 },
		"warm-up":          func(w *Witness) { w.WarmUp = -1 },
		"margin":           func(w *Witness) { w.Margin = 1 },
		"alpha_live":       func(w *Witness) { w.AlphaLive = 0 },
		"alpha_final":      func(w *Witness) { w.AlphaFinal = 0.5 },
		"batch":            func(w *Witness) { w.Batch = 1 },
		"min_pairs":        func(w *Witness) { w.MinPairs = 10 },
		"max_unpaired":     func(w *Witness) { w.MaxUnpaired = 1 },
		"stop":             func(w *Witness) { w.Stop = "soon" },
		"aa must":          func(w *Witness) { w.Control = 10 },
		"verify-every":     func(w *Witness) { w.VerifyEvery = -1 },
		"timeout":          func(w *Witness) { w.Timeout = 0 },
		"settle":           func(w *Witness) { w.Settle = -1 },
		"patience":         func(w *Witness) { w.Patience = 0 },
		"gas":              func(w *Witness) { w.GasPerBlock = 20_999 },
		"baseline-witness": func(w *Witness) { w.Baseline.Witness = "" },
		"test-witness":     func(w *Witness) { w.Test.Witness = "fast" },
		"place":            func(w *Witness) { w.Place = "moon" },
	} {
		w := Defaults(Local)
		change(&w)
		err := w.Validate()
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Validate() = %v, want one line about it", name, err)
		}
	}
	w := Defaults(Attached)
	if err := w.Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("Validate() without servers = %v, want two lines", err)
	}
}

func TestSide(t *testing.T) {
	w := Defaults(Local)
	if w.Side(sample.Baseline) != &w.Baseline || w.Side(sample.Test) != &w.Test {
		t.Error("Side gives the wrong side")
	}
}

func FuzzDecode(f *testing.F) {
	w := Defaults(Local)
	raw, err := w.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("version: 1\nbaseline: {rpc: x}\n"))
	f.Add([]byte("timeout: 1h\n---\nversion: 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := Decode(data)
		if err != nil {
			return
		}
		raw, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(raw)
		if err != nil || back.Blocks != w.Blocks || !reflect.DeepEqual(back.Baseline, w.Baseline) || back.Timeout != w.Timeout {
			t.Errorf("decoded %+v, again %+v, %v", w, back, err)
		}
	})
}
