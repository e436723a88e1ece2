// Package plan turns a spec into the ordered steps of a run, before anything
// happens. A plan is a value: it can be printed, hashed and stored, and what is
// carried out is what it lists.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
)

// Plan is the ordered steps of a run.
type Plan struct {
	V        int    `json:"v"`
	Workflow string `json:"workflow"`
	SpecHash string `json:"spec_hash"`
	Steps    []Step `json:"steps"`
}

// Step is one action on one host.
type Step struct {
	// ID names the step in the journal.
	ID   string `json:"id"`
	Host string `json:"host"`
	// Side is the side that the step belongs to, if to one alone.
	Side sample.Side `json:"side,omitempty"`
	// Build is the side whose build a step of a live run makes or starts; the
	// server that it does so on is that of Side.
	Build sample.Side `json:"build,omitempty"`
	// Session is the session that a step of a live run belongs to, from 1; 0
	// for none.
	Session int `json:"session,omitempty"`
	// Together says that the step is carried out at the same time as the one
	// before it, on another host.
	Together bool `json:"together,omitempty"`
	// OnRequest says that the step is not part of the run: it is carried out
	// when the run is ended with --stop.
	OnRequest bool `json:"on_request,omitempty"`
	// Control says that the step belongs to the A/A control.
	Control bool   `json:"control,omitempty"`
	Purpose string `json:"purpose"`
	// Argv is the program that the step starts, as data; "verdict" stands for
	// this program itself.
	Argv []string `json:"argv,omitempty"`
	// Env are NAME=VALUE settings of that program, Dir is where it runs, and
	// Name names its record and log on the host.
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
	Name string   `json:"name,omitempty"`
	// Optional are groups of arguments that are added when what they name is
	// known.
	Optional [][]string `json:"optional,omitempty"`
	// Script is what a login shell on the host is given on standard input,
	// exactly.
	Script string `json:"script,omitempty"`
	// Check says when the step counts as done.
	Check string `json:"check"`
	// Undo says what takes it back; empty when nothing remains.
	Undo string `json:"undo,omitempty"`
	// Destroys says what is lost for good; empty when nothing is.
	Destroys string `json:"destroys,omitempty"`
}

// The steps of a witness run, by ID.
const (
	StartNode = "start-" // and the side
	Preflight = "preflight"
	WarmUp    = "warm-up"
	Measure   = "measure"
	Stop      = "stop"
	Report    = "report"
)

// control begins the ID of a step of the A/A control.
const control = "control-"

// Kind is the step's ID without the mark of the A/A control.
func (s Step) Kind() string { return strings.TrimPrefix(s.ID, control) }

// Temp stands in an Argv for a temporary directory of the run, which is removed
// at the end.
const Temp = "TEMP"

// This is the host of everything that runs on this machine.
const This = "localhost"

// Make is the plan of w, whose encoding has the given hash and which Check has
// nothing against.
func Make(w *spec.Witness, specHash string) Plan {
	p := Plan{V: 1, Workflow: w.Workflow, SpecHash: specHash}
	if w.Place == spec.Live {
		p.Steps = live(w)
		return p
	}
	if Away(w) {
		p.Steps = away(w)
	} else {
		p.Steps = driven(w)
	}
	p.Steps = append(p.Steps, Step{
		ID: Report, Host: This,
		Purpose: "pair the samples, decide, and write the reports",
		Check:   "manifest.json is in the run directory",
	})
	return p
}

// driven is the steps up to the report of a run that this program measures
// itself.
func driven(w *spec.Witness) []Step {
	var steps []Step
	if w.Place == spec.Devnet {
		steps = append(steps, devnetBuilds(w, described(w))...)
	}
	if w.Control > 0 {
		steps = append(steps, aa(w)...)
	}
	return append(steps, session(w)...)
}

// session is the steps of one uninterrupted stretch of measurement.
func session(w *spec.Witness) []Step {
	var steps []Step
	switch w.Place {
	case spec.Local:
		steps = append(steps, node(w, sample.Baseline), node(w, sample.Test))
	case spec.Devnet:
		steps = append(steps, devnet(w, described(w))...)
	}
	steps = append(steps, preflight(w))
	if w.WarmUp > 0 {
		steps = append(steps, Step{
			ID: WarmUp, Host: This,
			Purpose: fmt.Sprintf("measure %d blocks that are recorded and not analyzed", w.WarmUp),
			Check:   fmt.Sprintf("%d pairs are recorded", w.WarmUp),
		})
	}
	return append(steps, measure(w))
}

// aa is the steps of the A/A control: the same session with the baseline build
// in both places.
func aa(w *spec.Witness) []Step {
	same := *w
	same.Blocks, same.Test, same.Stop = w.Control, w.Baseline, spec.AtPlanned
	steps := session(&same)
	for i := range steps {
		s := &steps[i]
		s.ID, s.Control = control+s.ID, true
		s.Purpose = "A/A control, the baseline build on both sides: " + s.Purpose
		for j, arg := range s.Argv {
			s.Argv[j] = strings.Replace(arg, Temp+"/"+string(s.Side), Temp+"/"+control+string(s.Side), 1)
		}
	}
	if Driven(w.Place) {
		steps = append(steps, Step{
			ID: control + Stop, Host: This, Control: true,
			Purpose: "stop the two programs of the A/A control",
			Check:   "their processes have ended",
		})
	}
	return steps
}

// node is the step that starts the built-in node of one side.
func node(w *spec.Witness, side sample.Side) Step {
	mode := w.Side(side).Witness
	argv := []string{
		"verdict", "devnet", "node",
		"--network", network(w.Load),
		"--datadir", Temp + "/" + string(side),
		"--http.port", "0",
		"--authrpc.port", "0",
		"--authrpc.jwtsecret", Temp + "/jwt.hex",
		"--addresses", Temp + "/" + string(side) + ".json",
	}
	if mode.Precompute() {
		argv = append(argv, "--precompute-witnesses", "--witness-store", string(mode))
	}
	return Step{
		ID: StartNode + string(side), Host: This, Side: side,
		Purpose: fmt.Sprintf("start the built-in node of the %s side, witnesses %s", side, mode),
		Argv:    argv,
		Check:   "its RPC and Engine API answer",
		Undo:    "stop it by pid and start time, and remove its temporary data directory",
	}
}

// Driven reports whether verdict starts both sides of a run in that place and
// makes their blocks.
func Driven(p spec.Place) bool { return p == spec.Local || p == spec.Devnet }

// network is the built-in chain that has what the load calls.
func network(l spec.Load) string {
	switch l {
	case spec.Fibonacci, spec.IOHeavy, spec.Mixed:
		return "local-contracts"
	case spec.WitnessHeavy:
		return "local-heavy"
	}
	return "local"
}

func preflight(w *spec.Witness) Step {
	s := Step{
		ID: Preflight, Host: This,
		Purpose: "check that both sides serve debug_executionWitness on the same chain",
		Check:   "same chain id, same genesis, one witness answered by each",
	}
	if w.Place == spec.Attached {
		s.Purpose += fmt.Sprintf(": %s and %s", w.Baseline.RPC, w.Test.RPC)
	}
	return s
}

func measure(w *spec.Witness) Step {
	how := "as the two servers see new blocks"
	if Driven(w.Place) {
		how = fmt.Sprintf("each filled to %s Mgas of %s and delivered to both sides, the next when the last is measured",
			strconv.FormatFloat(float64(w.GasPerBlock)/1e6, 'f', -1, 64), w.Load)
	}
	check := fmt.Sprintf("%d pairs are recorded", w.Blocks)
	if w.Stop == spec.Auto {
		check += ", or the confidence sequence has decided before"
	}
	return Step{
		ID: Measure, Host: This,
		Purpose: fmt.Sprintf("measure %d blocks, %s; one side after the other, in an order drawn from seed %d", w.Blocks, how, w.Seed),
		Check:   check,
	}
}

// command is the program of s for people: as it would be typed where it has
// settings, which is how those of a prover run are.
func (s Step) command() string {
	if s.Name == "" {
		return strings.Join(s.Argv, " ")
	}
	var words []string
	for _, setting := range s.Env {
		name, value, _ := strings.Cut(setting, "=")
		words = append(words, name+"="+shell.Quote(value))
	}
	return strings.Join(append(words, shell.Join(s.Argv...)), " ")
}

// Hash identifies the plan: "sha256:" and 64 digits over its JSON.
func (p Plan) Hash() string {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // a plan holds strings and numbers only
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Text is the plan for people.
func (p Plan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Plan of a %s run: %d steps. Nothing has been done.\n", p.Workflow, len(p.Steps))
	if p.Workflow == spec.ProverWorkflow {
		b.WriteString(proverPreface)
	} else {
		b.WriteString(p.preface())
	}
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "\n%d. %s on %s\n   %s\n", i+1, s.ID, s.Host, s.Purpose)
		if s.OnRequest {
			fmt.Fprintf(&b, "   only when asked for: verdict %s --stop RUN\n", p.Workflow)
		}
		if len(s.Argv) > 0 {
			fmt.Fprintf(&b, "   $ %s\n", s.command())
		}
		for _, group := range s.Optional {
			fmt.Fprintf(&b, "     and when it is known: %s\n", strings.Join(group, " "))
		}
		if s.Script != "" {
			for line := range strings.Lines(s.Script) {
				fmt.Fprintf(&b, "   | %s\n", strings.TrimSuffix(line, "\n"))
			}
		}
		fmt.Fprintf(&b, "   done when: %s\n", s.Check)
		if s.Undo != "" {
			fmt.Fprintf(&b, "   afterwards: %s\n", s.Undo)
		}
		if s.Destroys != "" {
			fmt.Fprintf(&b, "   DESTROYS: %s\n", s.Destroys)
		}
	}
	fmt.Fprintf(&b, "\nplan %s\nspec %s\n", p.Hash(), p.SpecHash)
	return b.String()
}
