package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// The steps of a live run, by the first part of their ID. Most have one step
// for each server.
const (
	Connect        = "connect"
	Install        = "install"
	Inspect        = "inspect"
	Judge          = "judge"
	Look           = "look"
	BuildReplay    = "build-replay"
	Build          = "build"
	Clear          = "clear"
	StartExecution = "start-execution"
	StartConsensus = "start-consensus"
	Sync           = "sync"
	Common         = "common-chain"
	Collect        = "collect"
	MeasureLive    = "measure"
	StopCollector  = "stop-collector"
	StopExecution  = "stop-execution"
	StopConsensus  = "stop-consensus"
)

// What scripts of a plan find set, and argument vectors may name.
const (
	// RunVariable is the run's directory on a host.
	RunVariable = "RUN"
	// ProgramVariable is verdict's own program on a host.
	ProgramVariable = "VERDICT"
	// BinaryVariable is the built execution client.
	BinaryVariable = "BINARY"
	// ApprovedVariable is the path that was approved to be deleted, in the steps
	// that delete one.
	ApprovedVariable = "APPROVED"
	// Height stands for the first block that a session measures: some blocks
	// ahead of both servers when the session begins.
	Height = "HEIGHT"
	// LastHeight stands for the last one, at the latest.
	LastHeight = "LAST"
)

// Spare is how many blocks more than planned the collectors of a session may
// measure, so that blocks that failed on a side do not leave it short of pairs.
func Spare(blocks int) int { return max(20, blocks/5) }

// Session is an uninterrupted stretch of a live run.
type Session struct {
	// Number counts from 1.
	Number int
	// Builds are the builds that run on the servers of baseline and test.
	Builds [2]sample.Side
	// Control says that it is the A/A control.
	Control bool
	Blocks  int
}

// Swapped says that the builds have exchanged their servers.
func (s Session) Swapped() bool { return s.Builds == [2]sample.Side{sample.Test, sample.Baseline} }

// Sessions are the sessions of a live run, in order. With crossover there are
// four, the builds exchanged in the second and the third, so that what drifts
// during the run cancels as well as what differs between the servers.
func Sessions(w *spec.Witness) []Session {
	straight := [2]sample.Side{sample.Baseline, sample.Test}
	var sessions []Session
	if w.Control > 0 {
		sessions = append(sessions, Session{Builds: [2]sample.Side{sample.Baseline, sample.Baseline}, Control: true, Blocks: w.Control})
	}
	if w.Servers.Crossover {
		const n = 4
		swapped := [2]sample.Side{sample.Test, sample.Baseline}
		for i, builds := range [n][2]sample.Side{straight, swapped, swapped, straight} {
			sessions = append(sessions, Session{Builds: builds, Blocks: (w.Blocks + n - 1 - i) / n})
		}
	} else {
		sessions = append(sessions, Session{Builds: straight, Blocks: w.Blocks})
	}
	for i := range sessions {
		sessions[i].Number = i + 1
	}
	return sessions
}

// servers makes one step for each server, at the same time.
func servers(w *spec.Witness, id string, make func(side sample.Side, server *spec.Side) Step) []Step {
	var steps []Step
	for i, side := range sample.Sides {
		server := w.Side(side)
		s := make(side, server)
		s.ID, s.Side, s.Host, s.Together = id+"-"+string(side)+s.ID, side, server.Host, i > 0
		steps = append(steps, s)
	}
	return steps
}

// live is the steps of a run on two servers.
func live(w *spec.Witness) []Step {
	steps := prepare(w)
	sessions := Sessions(w)
	fresh := !w.Servers.Synced
	if w.Servers.Collector == spec.EthrexReplay {
		steps = append(steps, servers(w, BuildReplay, func(sample.Side, *spec.Side) Step {
			return Step{
				Purpose: "build ethrex-replay in a worktree of its own beside " + w.Servers.ReplayRepository,
				Script: program.BuildScript(program.Build{
					Repository: w.Servers.ReplayRepository, Ref: "HEAD",
					Command: w.Servers.ReplayBuild, Binary: w.Servers.ReplayBinary,
				}),
				Check: "the binary of that commit is there",
				Undo:  "none: the next run of that commit finds it there",
			}
		})...)
	}
	if fresh {
		steps = append(steps, builds(w, sessions)...)
		steps = append(steps, clears(w)...)
		steps = append(steps, servers(w, StartConsensus, func(_ sample.Side, server *spec.Side) Step {
			return Step{
				Purpose: "start Lighthouse in the tmux session " + program.ConsensusSession + ", unless this run has",
				Script:  program.StartConsensus(w, server),
				Check:   "its recorded process runs",
				Undo:    "stop it by pid and start time",
			}
		})...)
	}
	for i, s := range sessions {
		if fresh {
			if i > 0 {
				steps = append(steps, stops(w, StopExecution, s.Number, "stop ethrex, to start it anew for session "+fmt.Sprint(s.Number))...)
			}
			steps = append(steps, startExecutions(w, s)...)
		}
		steps = append(steps, follow(w, s, len(sessions))...)
	}
	if fresh {
		last := append(stops(w, StopConsensus, 0, "stop Lighthouse, which this run started"),
			stops(w, StopExecution, 0, "stop ethrex, which this run started")...)
		for i := range last {
			last[i].OnRequest = w.Servers.Keep
		}
		steps = append(steps, last...)
	}
	return append(steps, Step{
		ID: Report, Host: This,
		Purpose: "pair the samples, decide, and write the reports",
		Check:   "manifest.json is in the run directory",
	})
}

// prepare reaches both servers and makes sure that they are fit.
func prepare(w *spec.Witness) []Step {
	steps := servers(w, Connect, func(_ sample.Side, server *spec.Side) Step {
		return Step{Purpose: "open the connection with ssh", Check: "a login shell answers"}
	})
	steps = append(steps, servers(w, Install, func(sample.Side, *spec.Side) Step {
		purpose := "copy verdict there"
		if w.Genesis != "" {
			purpose += ", and the genesis file " + w.Genesis + " to " + RunVariable + "/genesis.json"
		}
		return Step{
			Purpose: purpose,
			Check:   "~/.verdict/bin/ has it with this checksum, and it runs",
			Undo:    "none: it is some 50 MB, and the next run finds it there",
		}
	})...)
	steps = append(steps, servers(w, Inspect, func(_ sample.Side, server *spec.Side) Step {
		return Step{
			Purpose: "look at the machine and at what runs on it",
			Argv:    []string{ProgramVariable, "doctor", "--facts"},
			Check:   "the facts are in the run directory",
		}
	})...)
	want := "the prerequisites are met and the ports are free"
	if w.Servers.Synced {
		want = "the programs run, with --precompute-witnesses, and follow " + w.Servers.Network
	}
	steps = append(steps, Step{
		ID: Judge, Host: This,
		Purpose: "judge what was found on both servers",
		Check:   want,
	})
	for _, side := range sample.Sides {
		for _, what := range w.Side(side).Clear {
			steps = append(steps, Step{
				ID: Look + "-" + string(what) + "-" + string(side), Host: w.Side(side).Host, Side: side,
				Purpose: fmt.Sprintf("see where the %s database is and how large, and ask for the approval to delete it", what),
				Script:  program.Look(w, w.Side(side), what),
				Check:   "path and size are known, and the deletion is approved",
			})
		}
	}
	return steps
}

// builds makes each build on each server that will run it.
func builds(w *spec.Witness, sessions []Session) []Step {
	var steps []Step
	for _, build := range sample.Sides {
		var needed []sample.Side
		for j, server := range sample.Sides {
			for _, s := range sessions {
				if s.Builds[j] == build {
					needed = append(needed, server)
					break
				}
			}
		}
		for _, server := range needed {
			id := Build + "-" + string(build)
			if server != build {
				id += "-on-" + string(server)
			}
			steps = append(steps, Step{
				ID: id, Host: w.Side(server).Host, Side: server, Build: build,
				// The two servers build at the same time, each one build after
				// the other.
				Together: len(steps)%2 == 1 && steps[len(steps)-1].Side != server,
				Purpose:  fmt.Sprintf("build the %s ref %q in a worktree of its own beside %s", build, w.Side(build).Ref, w.Repository),
				Script:   buildScript(w, build),
				Check:    "the binary of that commit is there",
				Undo:     "none: the next run of that commit finds it there",
			})
		}
	}
	return steps
}

// clears are the deletions that the spec asks for.
func clears(w *spec.Witness) []Step {
	var steps []Step
	for _, side := range sample.Sides {
		server := w.Side(side)
		for _, what := range server.Clear {
			s := Step{
				ID: Clear + "-" + string(what) + "-" + string(side), Host: server.Host, Side: side, Build: side,
				Purpose: fmt.Sprintf("delete the %s database, because the spec asks for it", what),
				Script:  program.ClearExecution(w, server),
				Check:   "the directory is empty or gone",
			}
			s.Destroys = fmt.Sprintf("the execution client's database for %s on %s; syncing it anew takes hours", w.Servers.Network, server.Host)
			if what == spec.ConsensusDB {
				s.Script = program.ClearConsensus(w, server)
				s.Destroys = fmt.Sprintf("Lighthouse's database for %s on %s; it starts again from %s", w.Servers.Network, server.Host, w.Servers.CheckpointSyncURL)
			}
			steps = append(steps, s)
		}
	}
	return steps
}

func startExecutions(w *spec.Witness, session Session) []Step {
	return servers(w, StartExecution, func(side sample.Side, server *spec.Side) Step {
		build := session.Builds[side.Index()]
		return Step{
			ID: suffix(session.Number), Session: session.Number, Control: session.Control, Build: build,
			Purpose: fmt.Sprintf("start ethrex, the %s build, in the tmux session %s, unless this run has", build, program.ExecutionSession),
			Script:  program.StartExecution(w, server, w.Side(build)),
			Check:   "its recorded process runs",
			Undo:    "stop it by pid and start time",
		}
	})
}

// suffix tells the steps of the sessions apart.
func suffix(session int) string {
	if session <= 1 {
		return ""
	}
	return fmt.Sprintf("-%d", session)
}

// follow waits for the servers and measures one session.
func follow(w *spec.Witness, s Session, sessions int) []Step {
	mark := suffix(s.Number)
	var purpose string
	if sessions > 1 {
		purpose = fmt.Sprintf("session %d of %d, %s build on %s, %s build on %s: ", s.Number, sessions, s.Builds[0], w.Baseline.Host, s.Builds[1], w.Test.Host)
		if s.Control {
			purpose = "A/A control, the baseline build on both servers: "
		}
	}
	one := func(id, what, check string) Step {
		return Step{ID: id + mark, Host: This, Session: s.Number, Control: s.Control, Purpose: purpose + what, Check: check}
	}
	steps := []Step{
		one(Sync, "wait until both servers are synced, by the beacon API, the age of the head and its growth", "both have followed the head"),
		one(Common, "check that both are the builds and on the chain that they should be, serve debug_executionWitness, and agree on the first block to measure", "same chain, same genesis, one witness answered by each"),
	}
	collect := servers(w, Collect, func(side sample.Side, server *spec.Side) Step {
		return collector(w, s, side, server)
	})
	steps = append(steps, collect...)
	measure := one(MeasureLive, fmt.Sprintf("follow what the collectors write until %d blocks are paired", s.Blocks), fmt.Sprintf("%d pairs are recorded", s.Blocks))
	steps = append(steps, measure)
	return append(steps, stops(w, StopCollector, s.Number, "stop the collector and fetch its last samples")...)
}

// collector is the step that starts the collector on one server.
func collector(w *spec.Witness, s Session, side sample.Side, server *spec.Side) Step {
	step := Step{
		ID: suffix(s.Number), Session: s.Number, Control: s.Control, Build: s.Builds[side.Index()],
		Purpose: "start the collector beside the program, detached: it goes on while nobody is connected",
		Check:   "its recorded process runs",
		Undo:    "stop it by pid and start time",
	}
	if w.Servers.Collector == spec.EthrexReplay {
		step.Purpose = "start ethrex-replay in the tmux session " + program.ReplaySession + ", supervised"
		step.Build = ""
		step.Script = program.StartReplay(server.Ports.RPC)
		return step
	}
	step.Argv = []string{
		ProgramVariable, "collect",
		"--rpc", fmt.Sprintf("http://127.0.0.1:%d", server.Ports.RPC),
		"--side", string(side),
		"--live", "--from", Height, "--until", LastHeight, "--warmup", fmt.Sprint(w.WarmUp),
		"--wait", w.Patience.String(), "--timeout", w.Timeout.String(), "--settle", w.Settle.String(),
		"--verify-every", fmt.Sprint(w.VerifyEvery),
		"--metrics", fmt.Sprintf("http://127.0.0.1:%d/metrics", server.Ports.Metrics),
		"--out", RunVariable + "/" + SamplesOn(s.Number),
	}
	if !s.Control {
		step.Argv[5] = string(s.Builds[side.Index()])
	}
	if w.Gzip {
		step.Argv = append(step.Argv, "--gzip")
	}
	if w.Genesis != "" {
		step.Argv = append(step.Argv, "--genesis", RunVariable+"/genesis.json")
	}
	if n := AnalysisSession(w, s); n > 0 {
		step.Argv = append(step.Argv, "--session", fmt.Sprint(n))
	}
	if s.Swapped() {
		step.Argv = append(step.Argv, "--swapped")
	}
	if s.Control {
		step.Argv = append(step.Argv, "--control", string(sample.TwoPlaces))
	}
	return step
}

// AnalysisSession is the number of the session in the samples: 0 in a run that
// has one, the A/A control aside.
func AnalysisSession(w *spec.Witness, s Session) int {
	if !w.Servers.Crossover || s.Control {
		return 0
	}
	if w.Control > 0 {
		return s.Number - 1
	}
	return s.Number
}

// SamplesOn is the name of the samples file of a session, in the run's directory
// on a server.
func SamplesOn(session int) string { return "samples" + suffix(session) + ".jsonl" }

func stops(w *spec.Witness, id string, session int, purpose string) []Step {
	var script string
	switch {
	case id == StopExecution:
		script = program.StopRecorded("execution", program.StopGrace)
	case id == StopConsensus:
		script = program.StopRecorded("consensus", program.StopGrace)
	case w.Servers.Collector == spec.EthrexReplay:
		script = program.StopRecorded(program.ReplaySupervisor, program.StopGrace)
	}
	return servers(w, id, func(sample.Side, *spec.Side) Step {
		s := Step{Session: session, Purpose: purpose, Script: script, Check: "the recorded process has ended"}
		switch {
		case id == StopCollector:
			s.ID = suffix(session)
		case session > 0:
			s.ID = "-before" + suffix(session)
		}
		return s
	})
}

// Destructive are the steps of p that destroy something.
func (p Plan) Destructive() []Step {
	var steps []Step
	for _, s := range p.Steps {
		if s.Destroys != "" {
			steps = append(steps, s)
		}
	}
	return steps
}

// preface says, for people, what stands in front of the scripts of a live run;
// of another run it is empty.
func (p Plan) preface() string {
	if !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.ID == Judge }) ||
		!slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Script != "" }) {
		return ""
	}
	return `
Lines with | are the script that a login shell on the host is given, with these
variables set in front of it:
   ` + RunVariable + `       the run's directory there
   ` + ProgramVariable + `   verdict's own program there
   ` + BinaryVariable + `    what was built there and the step starts or asks
   ` + ApprovedVariable + `  the path that was approved, in a step that deletes it
Builds run detached: they go on there when the connection breaks.
`
}

// Kinds of live steps are told by the longest known beginning of their ID.
var kinds = []string{
	StartExecution, StartConsensus, StopCollector, StopExecution, StopConsensus, MeasureLive, Common,
	Connect, Install, Inspect, Judge, Look, BuildReplay, Build, Clear, Sync, Collect, Report,
}

// LiveKind is what a step of a live run does: one of the constants of this file.
func (s Step) LiveKind() string {
	for _, kind := range kinds {
		if s.ID == kind || strings.HasPrefix(s.ID, kind+"-") {
			return kind
		}
	}
	return ""
}

// buildScript is the script that makes a build. The test build is compared with
// the baseline, so that commits which only the baseline has are told.
func buildScript(w *spec.Witness, build sample.Side) string {
	b := program.Build{Repository: w.Repository, Ref: w.Side(build).Ref}
	b.Command, b.Binary = program.BuildOf(w.Program)
	if build == sample.Test {
		b.Against = w.Baseline.Ref
	}
	return program.BuildScript(b)
}
