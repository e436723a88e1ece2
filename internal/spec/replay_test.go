package spec

import (
	"strings"
	"testing"
	"time"
)

func validReplay() Replay {
	r := DefaultReplay()
	r.Recording, r.RecordingHash, r.Batches = "/rec/a b", "sha256:00", 20
	r.Baseline.Binary, r.Test.Ref, r.Repository = "/opt/ethrex", "pull/7/head", "~/ethrex"
	return r
}

func TestReplay_roundTrip(t *testing.T) {
	r := validReplay()
	r.Seed, r.Poll, r.Same = 1<<63, 250*time.Millisecond, true
	r.Test.Args = []string{"--x", "0123", "y: z"}
	raw := r.Encode()
	back, err := DecodeReplay(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if again := back.Encode(); string(again) != string(raw) {
		t.Errorf("encoded again it is\n%s\nnot\n%s", again, raw)
	}
	if back.Seed != r.Seed || back.Poll != r.Poll || !back.Same || back.Test.Args[1] != "0123" || back.Test.Args[2] != "y: z" {
		t.Errorf("read back as %+v", back)
	}
}

func TestReplay_validate(t *testing.T) {
	valid := validReplay()
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Replay){
		"the recording is missing":                 func(r *Replay) { r.Recording = "" },
		"the baseline side is missing":             func(r *Replay) { r.Baseline.Binary = "" },
		"the test side is the ref":                 func(r *Replay) { r.Repository = "" },
		"batches must be between":                  func(r *Replay) { r.Batches = 0 },
		"warm-up must be between":                  func(r *Replay) { r.WarmUp = 0 },
		`program "geth" is unknown`:                func(r *Replay) { r.Program.Name = "geth" },
		`backend "sp2" is unknown`:                 func(r *Replay) { r.Backend = "sp2" },
		"it has no use for a GPU":                  func(r *Replay) { r.GPU = true },
		"the built-in prover has backend exec":     func(r *Replay) { r.Program.Name, r.Backend = BuiltIn, SP1 },
		"margin must lie":                          func(r *Replay) { r.Margin = 3 },
		"alpha must be":                            func(r *Replay) { r.Alpha = 0 },
		"poll must be":                             func(r *Replay) { r.Poll = 0 },
		"ask-timeout must be longer":               func(r *Replay) { r.AskTimeout = r.Poll },
		"proof-timeout must be positive":           func(r *Replay) { r.ProofTimeout = 0 },
		`workflow is "witness"`:                    func(r *Replay) { r.Workflow = Workflow },
		"version 2 is unknown: this verdict reads": func(r *Replay) { r.Version = 2 },
	} {
		r := validReplay()
		change(&r)
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v, want %q", err, want)
		}
	}
}

func TestDecodeReplay_wrong(t *testing.T) {
	valid := validReplay()
	raw := valid.Encode()
	for _, text := range []string{
		"", "[]", "a", string(raw) + "more: 1\n", strings.Replace(string(raw), "batches: 20", "batches: many", 1),
		strings.Repeat("#", MaxSize+1), "workflow: \x00",
	} {
		if r, err := DecodeReplay([]byte(text)); err == nil {
			t.Errorf("DecodeReplay(%.40q) = %+v, want an error", text, r)
		}
	}
}

func FuzzDecodeReplay(f *testing.F) {
	valid := validReplay()
	f.Add(valid.Encode())
	f.Add([]byte("baseline: {binary: a}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeReplay(data)
		if err != nil {
			return
		}
		encoded := r.Encode()
		if _, err := DecodeReplay(encoded); err != nil {
			t.Errorf("%v, of\n%s", err, encoded)
		}
	})
}
