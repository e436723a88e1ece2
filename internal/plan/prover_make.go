package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// proverPreface says, for people, what the words in a prover run's steps stand
// for.
const proverPreface = `
Lines with $ are programs, started detached in a login shell's environment; lines
with | are the script that a login shell on the host is given. In both stand for
themselves until the run knows them, and are variables of the scripts:
   RUN        the run's directory there
   VERDICT    verdict's own program there
   BINARY     the program of the side whose turn it is
   WORKTREE   the directory of its sources
   LOADTEST   the built load_test
   ETHREX_... an address in the file that the deployer wrote
   IMAGE, CONTAINER  the ids that docker gave
   APPROVED   what was found and approved, in a step that removes it
The private keys are the public ones of ethrex's fixtures.
`

// Turn is a session of a prover run: one side's localnet from its deployment to
// its end.
type Turn struct {
	// Number counts from 1.
	Number int
	Side   sample.Side
	// Batches is the number of loaded batches to prove in it, the first proof
	// of the prover's process, which is set-up, aside.
	Batches int
}

// Turns are the sessions of a prover run, in order: one of a side that is alone,
// or those of both sides in ABBA order.
func Turns(p *spec.Prover) []Turn {
	if p.Test == nil {
		return []Turn{{Number: 1, Side: sample.Baseline, Batches: p.Batches}}
	}
	var turns []Turn
	for i := range p.Sessions {
		order := sample.Sides
		if i%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, side := range order {
			turns = append(turns, Turn{
				Number: len(turns) + 1, Side: side,
				Batches: (p.Batches + p.Sessions - 1 - i) / p.Sessions,
			})
		}
	}
	return turns
}

// MakeProver is the plan of p, a valid spec whose encoding has the given hash.
func MakeProver(p *spec.Prover, specHash string) Plan {
	m := proverPlan{p: p, host: This}
	if p.Place == spec.Live {
		m.host = p.Host
	}
	m.prepare()
	m.removals()
	m.builds()
	for _, t := range Turns(p) {
		m.session(t)
	}
	m.steps = append(m.steps, Step{
		ID: Report, Host: This,
		Purpose: "exclude what does not count, each with its reason, compute, and write the reports",
		Check:   "manifest.json is in the run directory",
	})
	return Plan{V: 1, Workflow: p.Workflow, SpecHash: specHash, Steps: m.steps}
}

// proverPlan is a prover run's plan in the making.
type proverPlan struct {
	p     *spec.Prover
	host  string
	steps []Step
}

// add appends a step on the host.
func (m *proverPlan) add(s Step) {
	if s.Host == "" {
		s.Host = m.host
	}
	m.steps = append(m.steps, s)
}

// prepare reaches the host and finds out what is there.
func (m *proverPlan) prepare() {
	if m.p.Place == spec.Live {
		m.add(Step{ID: Connect, Purpose: "open the connection with ssh", Check: "a login shell answers"})
		m.add(Step{
			ID:      Install,
			Purpose: "copy verdict there",
			Check:   "~/.verdict/bin/ has it with this checksum, and it runs",
			Undo:    "none: it is some 50 MB, and the next run finds it there",
		})
	}
	m.add(Step{
		ID:      Inspect,
		Purpose: "look at the machine and at what runs on it",
		Argv:    []string{ProgramVariable, "doctor", "--facts"},
		Check:   "the facts are in the run directory",
	})
	ports := fmt.Sprintf("ports %d, %d, %d, %d and %d are free", m.p.Ports.L1, m.p.Ports.L2, m.p.Ports.Metrics, m.p.Ports.Coordinator, m.p.Ports.Admin)
	find := Step{
		ID:      Find,
		Purpose: "look for what earlier runs left, by exact names, and for who has the ports",
		Script:  program.FindScript(m.p),
		Check:   ports + ", and no program of an earlier localnet is pointed at one of them",
	}
	switch {
	case m.p.Running:
		find.Check = fmt.Sprintf("an L2 answers at port %d and its coordinator at %d", m.p.Ports.L2, m.p.Ports.Coordinator)
	case m.p.Clear:
		find.Check = "what is there is known, to be removed by the steps that follow"
	}
	m.add(find)
	m.add(Step{
		ID: Judge, Host: This,
		Purpose: "judge what was found there",
		Check:   needs(m.p),
	})
}

// needs is what a host must have for p.
func needs(p *spec.Prover) string {
	if tools := program.Tools(p); len(tools) > 0 {
		return "the PATH of a login shell has what the run needs: " + strings.Join(tools, ", ")
	}
	return "the run needs no other program"
}

// removals are the steps that remove what earlier runs left. What that is, is
// known when it is found: each is shown it, and removes what was approved of it.
func (m *proverPlan) removals() {
	if !m.p.Clear {
		return
	}
	for _, kind := range program.RemovalKinds {
		m.add(Step{
			ID:       Remove + "-" + string(kind),
			Purpose:  fmt.Sprintf("remove the %s that earlier runs left, because the spec asks for it", kind),
			Script:   program.RemoveScript(kind, m.p),
			Check:    "what was approved is gone, and nothing else was touched; without any there is nothing to approve",
			Destroys: removed[kind],
		})
	}
}

// removed says what is lost with each kind.
var removed = map[program.LeftoverKind]string{
	program.LeftProcesses:  "the localnet, load or prover that such a process is part of, and the proof that it is working on",
	program.LeftContainers: "the containers, and with that of an L1 its whole chain",
	program.LeftVolumes:    "the volume and the addresses in it, of which no copy remains",
	program.LeftDatabases:  "the database of an L1 or L2, with its batches and proofs, for good",
}

// builds are the steps that make what runs.
func (m *proverPlan) builds() {
	p := m.p
	for _, side := range p.Sides() {
		if !p.Builds(side) {
			continue
		}
		b := program.BuildOfRollup(p, side)
		m.add(Step{
			ID: BuildSide + "-" + string(side), Side: side, Build: side,
			Purpose: fmt.Sprintf("build the %s ref %q in a worktree of its own beside %s, unless that commit has been built so before; everything that follows uses this binary", side, b.Ref, b.Repository),
			Script:  program.BuildScript(b),
			Check:   b.Binary + " of that commit is there, with the checksum that it was built with",
			Undo:    "none: the worktree stays in ~/.verdict/worktrees for the next run of that commit",
		})
	}
	if p.Generator == spec.LoadTest && p.Builds(sample.Baseline) {
		b := program.BuildOfLoadTest(p)
		m.add(Step{
			ID:      BuildLoad,
			Purpose: fmt.Sprintf("build load_test of the ref %q, likewise; both sides are loaded by this one", b.Ref),
			Script:  program.BuildScript(b),
			Check:   b.Binary + " of that commit is there, with the checksum that it was built with",
			Undo:    "none: the worktree stays in ~/.verdict/worktrees for the next run of that commit",
		})
	}
	if p.BuiltIn() {
		c := program.FixtureFiles()
		m.add(Step{
			ID: Fixtures, Name: "fixtures", Argv: c.Argv,
			Purpose: "write the keys and genesis files of the built-in rollup",
			Check:   "it ends with exit status 0, and the four files are there",
			Undo:    "none: they are small and stay in the run's directory",
		})
	}
	if p.L1 == spec.Docker && !p.Running {
		how := "build the image of the L1 from the baseline's sources, tagged by their commit, unless it is there: that takes tens of minutes"
		if p.L1Image != "" {
			how = "pull the image of the L1, " + p.L1Image + ", unless it is there"
		}
		m.add(Step{
			ID:      ImageL1,
			Purpose: how,
			Script:  program.ImageScript(p),
			Check:   "docker names its id, which is recorded",
			Undo:    "none: the next run finds it there",
		})
	}
}

// session is the steps of one turn.
func (m *proverPlan) session(t Turn) {
	s := proverSession{proverPlan: m, t: t, r: program.RollupOf(m.p, t.Side, t.Number)}
	if !m.p.Running {
		s.startL1()
		s.startL2()
	}
	s.load()
	s.prove()
	s.stop()
}

// proverSession is one turn's steps in the making.
type proverSession struct {
	*proverPlan
	t Turn
	r program.Rollup
}

// step appends a step of the session.
func (s proverSession) step(kind string, step Step) {
	step.ID, step.Side, step.Session = fmt.Sprintf("%s-%d", kind, s.t.Number), s.t.Side, s.t.Number
	if m := len(Turns(s.p)); m > 1 {
		step.Purpose = fmt.Sprintf("session %d of %d, %s: %s", s.t.Number, m, s.t.Side, step.Purpose)
	}
	s.add(step)
}

// start appends a step that starts a program, which is recorded under name.
func (s proverSession) start(kind, name string, c program.Command, step Step) {
	step.Name, step.Argv, step.Env, step.Dir, step.Optional = name, c.Argv, c.Env, c.Dir, c.Optional
	if step.Undo == "" {
		step.Undo = "stop it by pid and start time"
	}
	s.step(kind, step)
}

func (s proverSession) startL1() {
	ready := fmt.Sprintf("within %s its RPC at port %d answers and its head grows", s.p.Timeouts.Ready, s.p.Ports.L1)
	if s.p.L1 == spec.Docker {
		s.step(StartL1, Step{
			Name:    "l1",
			Purpose: "start the L1 in a container of this run",
			Script:  s.r.StartContainer(s.t.Number),
			Check:   "its id is recorded, and " + ready,
			Undo:    "remove the container by its recorded id; the chain is in it",
		})
	} else {
		s.start(StartL1, "l1", s.r.L1(), Step{Purpose: "start the L1 as a process, on an empty database", Check: ready})
	}
	s.start(Deploy, "deploy", s.r.Deploy(), Step{
		Purpose: "deploy the contracts to fresh addresses, with the binary that sequences and proves, and deposit for the accounts of the load; on an L1 of this session alone nothing of the deployer's account can be pending",
		Check: "it ends with exit status 0 within " + s.p.Timeouts.Ready.String() + ", its log has no \"Failed to make deposits\", and " +
			s.r.EnvFile() + ", which was not there before, is whole and has the addresses of proposer and bridge",
		Undo: "none: the contracts are gone with the L1",
	})
}

func (s proverSession) startL2() {
	s.start(StartL2, "l2", s.r.L2(), Step{
		Purpose: "start the sequencer on an empty database, with the addresses in " + s.r.EnvFile(),
		Check: fmt.Sprintf("within %s its RPC at port %d answers, its block number is 2 or more, something listens at port %d, and its version names the commit that was built; "+
			"a log line \"Error starting Sequencer\" and the end of the process are failures at once",
			s.p.Timeouts.Ready, s.p.Ports.L2, s.p.Ports.Coordinator),
	})
	if s.p.HoldCommitter {
		s.step(Hold, Step{
			Purpose: fmt.Sprintf("hold the committer back, so that no empty batch is made: GET http://127.0.0.1:%d/committer/stop", s.p.Ports.Admin),
			Check:   `it answers "ok", and /health says that the committer does not run`,
			Undo:    "release it",
		})
	}
}

func (s proverSession) load() {
	s.step(Funded, Step{
		Purpose: "wait for the deposits: the L2's genesis funds none of the accounts",
		Check: fmt.Sprintf("within %s the first and the last account of %s and the rich account %s have a balance on the L2",
			s.p.Timeouts.Funded, s.r.Keys(), program.RichAddress),
	})
	s.start(StartWatch, "collector", s.r.Collector(s.t.Number), Step{
		Purpose: "start the collector, which scrapes the whole time: metrics vanish with the L2",
		Check:   "its recorded process runs",
	})
	amount := fmt.Sprintf("%d transactions for each account", s.p.Transactions)
	if s.p.Endless {
		amount = "transactions without end"
	}
	s.start(StartLoad, "load", s.r.Load(), Step{
		Purpose: fmt.Sprintf("send %s, %s", amount, s.p.Load),
		Check:   "its recorded process runs, or has ended with exit status 0",
	})
	if s.p.HoldCommitter {
		s.step(Release, Step{
			Purpose: fmt.Sprintf("release the committer: GET http://127.0.0.1:%d/committer/start", s.p.Ports.Admin),
			Check:   fmt.Sprintf("within %s the blocks hold %d transactions; then it answers \"ok\", and /health says that the committer runs", s.p.Timeouts.Loaded, s.p.MinTransactions),
		})
	}
	s.step(Loaded, Step{
		Purpose: "wait for a sealed batch with load: what the prover is given first is to be worth proving",
		Check:   fmt.Sprintf("within %s ethrex_getBatchByNumber shows one with %d transactions or more, deposits aside", s.p.Timeouts.Loaded, s.p.MinTransactions),
	})
}

func (s proverSession) prove() {
	s.start(StartProof, "prover", s.r.Prover(), Step{
		Purpose: fmt.Sprintf("start the prover, backend %s, timed", s.p.Backend),
		Check:   "its recorded process runs, and is of the commit that the L2 names",
	})
	done := "acknowledged"
	if !s.p.Running {
		done += " and verified on the L1"
	}
	s.step(Prove, Step{
		Purpose: fmt.Sprintf("follow the samples until %s, the first proof of the process, which is set-up, aside", loaded(s.t.Batches)),
		Check: fmt.Sprintf("the proofs of %s are %s; ended with a reason by a version mismatch, a proof type that is not needed, a dead program, load that ends too early, or %s without an accepted proof",
			loaded(s.t.Batches), done, s.p.Timeouts.Proof),
	})
}

func loaded(batches int) string {
	if batches == 1 {
		return "1 loaded batch"
	}
	return fmt.Sprintf("%d loaded batches", batches)
}

// stop takes back what the session started, each step whatever became of the
// others.
func (s proverSession) stop() {
	ended := "the recorded process has ended"
	s.step(StopLoad, Step{Name: "load", Purpose: "stop the load", Check: ended})
	prover := "stop the prover by SIGINT"
	if s.p.Backend == spec.SP1 && s.p.GPU {
		prover += ", on which it removes its container sp1-gpu"
	}
	s.step(StopProof, Step{Name: "prover", Purpose: prover, Check: ended})
	s.step(StopWatch, Step{Name: "collector", Purpose: "stop the collector, before the L2 that it asks is gone, and fetch its last samples", Check: ended + ", and its samples are here byte for byte"})
	if !s.p.Running {
		s.step(StopL2, Step{
			Name: "l2", OnRequest: s.p.Keep,
			Purpose: "stop the L2 by SIGINT (SIGTERM kills it hard), and remove its database, which this run made",
			Script:  program.RemoveOwn(s.r.Database("l2")),
			Check:   ended + ", and the directory is gone",
		})
		l1 := Step{
			Name: "l1", OnRequest: s.p.Keep,
			Purpose: "stop the L1, and remove its database, which this run made",
			Script:  program.RemoveOwn(s.r.Database("l1")),
			Check:   ended + ", and the directory is gone",
		}
		if s.p.L1 == spec.Docker {
			l1.Purpose = "keep the log of the L1 and remove its container by the recorded id, its chain with it"
			l1.Script, l1.Check = s.r.StopContainer(s.t.Number), "the container is gone"
		}
		s.step(StopL1, l1)
	}
	check := "none of the recorded processes runs"
	if !s.p.Running && !s.p.Keep {
		p := s.p.Ports
		check += fmt.Sprintf("; none of the ports %d, %d, %d, %d or %d has a listener", p.L1, p.L2, p.Metrics, p.Coordinator, p.Admin)
	}
	script := s.r.VerifyContainers()
	if script != "" {
		check += ", and no container of the run is left"
	}
	s.step(Verify, Step{Purpose: "look whether anything of the session is left; what was there before is left alone", Script: script, Check: check})
}

// proverKinds are the kinds of a prover run's steps, longer ones first.
var proverKinds = func() []string {
	kinds := []string{
		Connect, Install, Inspect, Judge, Report, Find, Remove, BuildSide, BuildLoad, ImageL1, Fixtures,
		StartL1, Deploy, StartL2, Hold, Funded, StartWatch, StartLoad, Release, Loaded, StartProof, Prove,
		StopLoad, StopProof, StopL2, StopL1, StopWatch, Verify,
	}
	slices.SortFunc(kinds, func(a, b string) int { return len(b) - len(a) })
	return kinds
}()

// ProverKind is what a step of a prover run does: Connect, Install, Inspect,
// Judge, Report or one of the constants above; empty for a step of another run.
func (s Step) ProverKind() string {
	for _, kind := range proverKinds {
		if s.ID == kind || strings.HasPrefix(s.ID, kind+"-") {
			return kind
		}
	}
	return ""
}

// Command is the program of s as package program fills it in.
func (s Step) Command() program.Command {
	return program.Command{Argv: s.Argv, Env: s.Env, Optional: s.Optional, Dir: s.Dir}
}
