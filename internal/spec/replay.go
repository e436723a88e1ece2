package spec

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

// ReplayWorkflow is the workflow of a comparison of two provers on recorded
// batches.
const ReplayWorkflow = "prover-replay"

// MaxReplay is the most recorded batches that one replay may prove.
const MaxReplay = 100_000

// Replay compares two builds of a prover on the same recorded batches, on this
// machine. It is made from flags and stored with its run.
type Replay struct {
	Version  int    `yaml:"version"`
	Workflow string `yaml:"workflow"`
	// Recording is the directory of the recording, RecordingHash identifies
	// the batches that are replayed: "sha256:" and 64 digits over the
	// checksums of their documents, in order.
	Recording     string `yaml:"recording"`
	RecordingHash string `yaml:"recording_hash"`
	// Batches is the number of them, and of the pairs of the analysis.
	Batches int `yaml:"batches"`
	// WarmUp is how often each side proves the first batch before they count.
	// The first proof of a process pays for its setting up.
	WarmUp int `yaml:"warm_up"`
	// Rounds is how often each side proves each batch. A batch is one pair of
	// the analysis all the same, with the geometric mean of its rounds: more of
	// them take the noise of single proofs off.
	Rounds int `yaml:"rounds"`

	// Program is what the provers are of: BuiltIn or Ethrex.
	Program Program `yaml:"program"`
	// Repository is the clone that refs are built from, empty when both sides
	// are binaries.
	Repository string `yaml:"repository,omitempty"`
	// Baseline and Test are the builds; of a Side, Ref, Binary and Args have a
	// meaning. Same says that Test is Baseline once more: an A/A control.
	Baseline Side `yaml:"baseline"`
	Test     Side `yaml:"test"`
	Same     bool `yaml:"same"`

	Backend Backend `yaml:"backend"`
	// GPU says that refs are built with support for the GPU.
	GPU bool `yaml:"gpu"`

	// Margin is the practical margin: effects within it do not matter.
	Margin float64 `yaml:"margin"`
	// Alpha is the error rate of the analysis.
	Alpha float64 `yaml:"alpha"`
	// Seed decides which side begins with which batch.
	Seed uint64 `yaml:"seed"`

	// Poll is the pause of an idle prover between two questions for work.
	Poll time.Duration `yaml:"poll"`
	// AskTimeout bounds the wait for a prover to ask for its next batch, its
	// start included, ProofTimeout that for the proof of a batch.
	AskTimeout   time.Duration `yaml:"ask_timeout"`
	ProofTimeout time.Duration `yaml:"proof_timeout"`
}

// DefaultReplay is a replay with every value that has a default.
func DefaultReplay() Replay {
	return Replay{
		Version: Version, Workflow: ReplayWorkflow,
		WarmUp: 1, Rounds: 1, Program: Program{Name: Ethrex}, Backend: Exec,
		Margin: 0.03, Alpha: 0.05, Seed: 1,
		Poll: 500 * time.Millisecond, AskTimeout: 10 * time.Minute, ProofTimeout: time.Hour,
	}
}

// Side is the given side of r.
func (r *Replay) Side(side sample.Side) *Side {
	if side == sample.Test {
		return &r.Test
	}
	return &r.Baseline
}

// Validate returns one error that names everything that is wrong with r.
func (r *Replay) Validate() error {
	var c checker
	c.check(r.Version == Version, "version", "version %d is unknown: this verdict reads %d", r.Version, Version)
	c.check(r.Workflow == ReplayWorkflow, "workflow", "workflow is %q, not %q", r.Workflow, ReplayWorkflow)
	replayForm().checkTexts(&c, r)
	c.check(r.Recording != "", "recording", "the recording is missing")
	c.check(r.Batches >= 1 && r.Batches <= MaxReplay, "batches", "batches must be between 1 and %d, not %d", MaxReplay, r.Batches)
	c.check(r.WarmUp >= 1 && r.WarmUp <= 1000, "warm_up", "warm-up must be between 1 and 1000, because the first proof of a process pays for its setting up; not %d", r.WarmUp)
	for _, side := range sample.Sides {
		s := r.Side(side)
		c.check(s.Ref == "" || s.Binary == "", string(side), "the %s side has a ref and a binary: give one", side)
		c.check(s.Ref != "" || s.Binary != "", string(side), "the %s side is missing: the path of a binary, or a git ref (--%s)", side, side)
		c.check(s.Ref == "" || r.Repository != "", "repository", "the %s side is the ref %q: say which clone it is built from (--repository)", side, s.Ref)
	}
	c.check(r.Rounds >= 1 && r.Rounds <= 100, "rounds", "rounds must be between 1 and 100, not %d", r.Rounds)
	c.check(r.Program.Name == BuiltIn || r.Program.Name == Ethrex, "program.name", "program %q is unknown: choose %s, or %s for the built-in prover", r.Program.Name, Ethrex, BuiltIn)
	c.check((r.Program.Build == "") == (r.Program.Binary == ""), "program.build", "--build says how a ref is built and --binary what that makes: give both or none")
	c.check(slices.Contains(Backends, r.Backend), "backend", "backend %q is unknown: choose %s", r.Backend, backendNames())
	c.check(!r.GPU || r.Backend != Exec, "gpu", "backend exec makes no proof: it has no use for a GPU")
	c.check(r.Program.Name != BuiltIn || r.Backend == Exec, "backend", "the built-in prover has backend exec only, not %s", r.Backend)
	c.check(r.Margin > 0 && r.Margin < 1, "margin", "margin must lie between 0 and 1 (0.03 is 3 %%), not %v", r.Margin)
	c.check(r.Alpha > 0 && r.Alpha <= 0.2, "alpha", "alpha must be positive and at most 0.2, not %v", r.Alpha)
	c.check(r.Poll >= time.Millisecond && r.Poll <= time.Minute, "poll", "poll must be between 1ms and 1m, not %v", r.Poll)
	c.check(r.AskTimeout > r.Poll, "ask_timeout", "ask-timeout must be longer than the pause of an idle prover, %v; not %v", r.Poll, r.AskTimeout)
	c.check(r.ProofTimeout > 0, "proof_timeout", "proof-timeout must be positive, not %v", r.ProofTimeout)
	return c.err(nil)
}

func backendNames() string {
	names := make([]string, len(Backends))
	for i, b := range Backends {
		names[i] = string(b)
	}
	return strings.Join(names, ", ")
}

// replayForm is the form of a stored replay.
var replayForm = sync.OnceValue(func() *form {
	f := &form{workflow: ReplayWorkflow}
	f.fields = sync.OnceValue(func() []fieldOf {
		// A side and a program are those of every spec; most of what they hold
		// is not for this one, and the rest is what a prover run has.
		return slices.DeleteFunc(fieldsOf(reflect.TypeFor[Replay](), "", nil), func(f fieldOf) bool {
			return len(ProverPlacesOf(f.key)) == 0
		})
	})
	return f
})

// Encode is every value of r as YAML: what is stored with a run and hashed.
func (r *Replay) Encode() []byte { return replayForm().encode(r) }

// DecodeReplay reads what Encode wrote; nothing is filled in. Its errors are the
// user's and say "LINE:COLUMN: what is wrong", one line for each.
func DecodeReplay(data []byte) (Replay, error) {
	var r Replay
	if err := replayForm().decode(data, &r); err != nil {
		return r, err
	}
	return r, r.Validate()
}
