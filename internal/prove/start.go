package prove

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/inspect"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/store"
)

// The recorded names of the programs of a session, which name their logs.
const (
	nameL1     = "l1"
	nameDeploy = "deploy"
	nameL2     = "l2"
	nameWatch  = "collector"
	nameLoad   = "load"
	nameProver = "prover"
)

// titles are what the programs are called in messages.
var titles = map[string]string{
	nameL1: "L1", nameDeploy: "deployer", nameL2: "L2", nameWatch: "collector", nameLoad: "load", nameProver: "prover",
}

// reach does what precedes the plan of a run on this machine, which has nothing to
// connect to and to install: it takes the machine for this run.
func (r *runner) reach(ctx context.Context) error {
	for _, s := range r.Plan.Steps {
		if s.ProverKind() == plan.Connect {
			return nil
		}
	}
	if _, err := r.connect(ctx); err != nil {
		return err
	}
	_, err := r.install(ctx)
	return err
}

// connect opens the connection to the host and takes it for this run.
func (r *runner) connect(ctx context.Context) (detail string, err error) {
	h := r.Host
	if p, ok := h.(patient); ok && !r.Resume {
		h = p.Host // at the start, a host that cannot be reached is better told at once
	}
	out, err := h.Run(ctx, "uname -sm\n")
	if err != nil {
		return "", fault.As(fault.Prerequisite, err)
	}
	detail = strings.TrimSpace(string(out))
	if !strings.HasPrefix(detail, "Linux ") {
		return "", fault.Newf(fault.Prerequisite, "%s is %s: a localnet needs Linux there", r.Host.Name(), detail)
	}
	return detail, r.lock(ctx)
}

// install makes sure that verdict is on the host.
func (r *runner) install(ctx context.Context) (detail string, err error) {
	if path := r.state.Program; path != "" {
		if _, err := r.Host.Run(ctx, "test -x "+shell.Path(path)+"\n"); err == nil {
			return "there since before: " + path, nil
		}
	}
	path, err := r.Install(ctx, r.Host)
	if err != nil {
		return "", fault.As(fault.Prerequisite, err)
	}
	return path, r.save(func(st *state) { st.Program = path })
}

// inspect notes what the host is.
func (r *runner) inspect(ctx context.Context) (detail string, err error) {
	seen, err := inspect.Remote(ctx, r.Host, r.state.Program, doctor.Query{})
	if err != nil {
		return "", err
	}
	if err := r.Run.WriteJSON("facts.json", seen.Facts); err != nil {
		return "", err
	}
	m := seen.Facts.Machine
	here := store.Environment{
		Hostname: m.Hostname, OS: m.OS + "/" + m.Arch, Kernel: m.Kernel, CPU: m.CPU, CPUs: m.CPUs,
		MemoryBytes: m.MemoryBytes, LoadAverage: m.Load[0],
	}
	for i := range r.manifest.Sides {
		if r.Spec.Host != "" && r.manifest.Sides[i].Host != "" {
			r.manifest.Sides[i].Environment = &here
		}
	}
	return here.CPU, r.Run.WriteJSON(store.StartName, r.manifest)
}

// build makes a build, or finds the one of that commit.
func (r *runner) build(ctx context.Context, s plan.Step) (detail string, err error) {
	out, err := r.script(ctx, s)
	if err != nil {
		return "", buildFault(err)
	}
	built, err := program.ParseBuilt(out)
	if err != nil {
		return "", err
	}
	for _, note := range built.Notes {
		r.say("%s: %s", s.ID, note)
	}
	return fmt.Sprintf("commit %s, %s", built.Commit, built.Binary), r.save(func(st *state) { st.Builds[s.ID] = built })
}

// buildFault gives the error of a build the kind that its exit status stands
// for.
func buildFault(err error) error {
	var failed *host.ScriptError
	if !errors.As(err, &failed) {
		return err
	}
	if kind := program.BuildKind(failed.Exit); kind != fault.Failed {
		return fault.As(kind, err)
	}
	return err
}

// image has the image of the L1's container there.
func (r *runner) image(ctx context.Context, s plan.Step) (detail string, err error) {
	out, err := r.script(ctx, s)
	if err != nil {
		return "", buildFault(err)
	}
	image, err := program.ParseImage(out)
	if err != nil {
		return "", err
	}
	return image.Tag + ", " + image.ID, r.save(func(st *state) { st.Image = image })
}

// built is the build of a step's side, zero where that is not built; of a step
// of no side it is the baseline's.
func (r *runner) built(s plan.Step) program.Built {
	side := s.Side
	if side == "" {
		side = sample.Baseline
	}
	if b, ok := r.state.Builds[plan.BuildSide+"-"+string(side)]; ok {
		return b
	}
	if given := r.Spec.Side(side); given != nil {
		return program.Built{Binary: given.Binary}
	}
	return program.Built{}
}

// values are what the words of a step stand for, as far as it is known.
func (r *runner) values(s plan.Step) map[string]string {
	side, worktree := s.Side, r.Spec.Repository
	if side == "" {
		side = sample.Baseline
	}
	built := r.built(s)
	if r.Spec.Builds(side) && built.Binary != "" {
		worktree = program.Worktree(program.BuildOfRollup(&r.Spec, side), built)
	}
	return map[string]string{
		program.RunWord: r.state.Dir, program.VerdictWord: r.state.Program,
		program.BinaryWord: built.Binary, program.WorktreeWord: worktree,
		program.LoadTestWord: r.state.Builds[plan.BuildLoad].Binary,
	}
}

// script has a login shell on the host execute the script of a step.
func (r *runner) script(ctx context.Context, s plan.Step) (out []byte, err error) {
	var prelude strings.Builder
	values := r.values(s)
	for _, word := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&prelude, "%s=%s\n", word, shell.Path(values[word]))
	}
	container := ""
	if s.Session > 0 {
		container = r.state.Sessions[s.Session-1].Container
	}
	fmt.Fprintf(&prelude, "%s=%s\n%s=%s\n%s=%s\n", program.ImageVariable, shell.Quote(r.state.Image.ID),
		program.ContainerVariable, shell.Quote(container), plan.ApprovedVariable, shell.Quote(r.state.Approved[s.ID]))
	return r.Host.Run(ctx, prelude.String()+s.Script)
}

// once runs the program of a step to its end.
func (r *runner) once(ctx context.Context, s plan.Step) (detail string, err error) {
	var line strings.Builder
	for _, arg := range s.Command().Filled(r.values(s)).Argv {
		line.WriteString(shell.Path(arg) + " ")
	}
	out, err := r.Host.Run(ctx, line.String()+"\n")
	return lastLine(out), err
}

// lastLine is the last line of what a script printed.
func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// found looks for a program of a session on the host.
func (r *runner) found(ctx context.Context, session int, name string) (id host.Identity, st host.State, err error) {
	return r.Host.Find(ctx, r.dir(session), name)
}

// begin notes, before the first program of a session is started, that there may
// be something to stop, and where its samples begin.
func (r *runner) begin(session int) error {
	if r.state.Sessions[session-1].Began {
		return nil
	}
	return r.save(func(st *state) {
		n := &st.Sessions[session-1]
		n.Began, n.Base = true, r.Run.Size(r.sessions[session-1].Side)
	})
}

// bringUp starts the program of a step, unless this run has, and waits at its
// gate.
func (r *runner) bringUp(ctx context.Context, s plan.Step) (detail string, err error) {
	if err := r.begin(s.Session); err != nil {
		return "", err
	}
	if s.Argv == nil {
		detail, err = r.startContainer(ctx, s)
	} else {
		detail, err = r.start(ctx, s)
	}
	if err != nil {
		return "", err
	}
	switch s.ProverKind() {
	case plan.StartL1:
		err = r.blocks(ctx, s)
	case plan.StartL2:
		var version string
		version, err = r.ready(ctx, s)
		detail += ", " + version
	case plan.StartProof:
		err = r.sameCommit(ctx, s)
	}
	return detail, err
}

// sameCommit compares the prover with an L2 that ran already.
func (r *runner) sameCommit(ctx context.Context, s plan.Step) error {
	if !r.Spec.Running {
		return nil
	}
	var version string
	if err := r.ports.call(ctx, r.Spec.Ports.L2, &version, "web3_clientVersion"); err != nil {
		return fmt.Errorf("the version of the L2: %w", err)
	}
	r.note(s, version)
	return r.ofCommit(s, version)
}

// startContainer starts the L1 of a session in a container, unless it runs.
func (r *runner) startContainer(ctx context.Context, s plan.Step) (detail string, err error) {
	out, err := r.script(ctx, s)
	if err != nil {
		return "", err
	}
	c, err := program.ParseContainer(out)
	if err != nil {
		return "", err
	}
	return c.Name + ", " + c.ID, r.save(func(st *state) { st.Sessions[s.Session-1].Container = c.ID })
}

// start starts the program of a step if the host has no record of it. One that
// has ended since, whether it should or not, is for others to judge.
func (r *runner) start(ctx context.Context, s plan.Step) (detail string, err error) {
	id, st, err := r.found(ctx, s.Session, s.Name)
	if err != nil {
		return "", err
	}
	if st.Phase == host.Absent {
		id, err = r.launch(ctx, s)
	}
	if err == nil {
		r.up[s.Name] = true
	}
	return id.String(), err
}

// launch starts the program of a step.
func (r *runner) launch(ctx context.Context, s plan.Step) (id host.Identity, err error) {
	values := r.values(s)
	if s.ProverKind() == plan.StartL2 {
		contracts, err := r.contracts(ctx, s.Session)
		if err != nil {
			return id, err
		}
		maps.Copy(values, contracts)
	}
	c := s.Command().Filled(values)
	p := host.Program{Dir: r.dir(s.Session), Name: s.Name, Argv: c.Argv, Env: c.Env, WorkDir: c.Dir}
	return r.Host.Start(ctx, p)
}

// deploy deploys the contracts and waits until that is done. What it wrote says
// where they are; a deployment that made no deposits is none.
func (r *runner) deploy(ctx context.Context, s plan.Step) (detail string, err error) {
	if err := r.begin(s.Session); err != nil {
		return "", err
	}
	_, st, err := r.found(ctx, s.Session, nameDeploy)
	if err != nil {
		return "", err
	}
	if st.Phase == host.Absent {
		if err := r.noContracts(ctx, s.Session); err != nil {
			return "", err
		}
		if _, err := r.launch(ctx, s); err != nil {
			return "", err
		}
	}
	if err := r.deployed(ctx, s); err != nil {
		return "", err
	}
	if _, err := r.fetchLog(ctx, s.Session, nameDeploy); err != nil {
		return "", err
	}
	if err := r.deposited(ctx, s.Session); err != nil {
		return "", err
	}
	env, err := r.contracts(ctx, s.Session)
	return fmt.Sprintf("proposer %s, bridge %s", env[program.ProposerWord], env[program.BridgeWord]), err
}

// deployed waits until the deployer has ended well.
func (r *runner) deployed(ctx context.Context, s plan.Step) error {
	since := time.Now()
	for {
		_, st, err := r.found(ctx, s.Session, nameDeploy)
		switch {
		case err != nil:
			return err
		case st.Phase == host.Ended && st.Exit == 0:
			return nil
		case st.Phase == host.Ended:
			return r.exited(ctx, s.Session, nameDeploy, st)
		case time.Since(since) > r.Spec.Timeouts.Ready:
			return r.failure(ctx, s.Session, nameDeploy, fmt.Sprintf("has not ended within %v", r.Spec.Timeouts.Ready))
		}
		if err := r.alive(ctx, s.Session); err != nil {
			return err
		}
		r.Progress(Progress{Phase: s.ID, Note: "the deployer is at work", Waiting: time.Since(since)})
		if err := journal.Pause(ctx, glance); err != nil {
			return err
		}
	}
}

// deposited refuses a deployment whose deposits failed, which ethrex's deployer
// only warns of.
func (r *runner) deposited(ctx context.Context, session int) error {
	const line = "Failed to make deposits"
	out, err := r.Host.Run(ctx, "grep -aFm1 -- "+shell.Quote(line)+" "+shell.Path(r.dir(session)+"/"+nameDeploy+".log")+" 2>/dev/null\n:\n")
	if err != nil {
		return err
	}
	if said := strings.TrimSpace(string(out)); said != "" {
		return r.failure(ctx, session, nameDeploy, "made no deposits, so the load has no money: "+said)
	}
	return nil
}

// envFile is where a session's deployer says where the contracts are.
func (r *runner) envFile(session int) string { return r.dir(session) + "/env" }

// noContracts refuses an env file that was there before its deployer was.
func (r *runner) noContracts(ctx context.Context, session int) error {
	out, err := r.Host.Run(ctx, "if [ -e "+shell.Path(r.envFile(session))+" ]; then echo there; fi\n")
	if err == nil && strings.TrimSpace(string(out)) != "" {
		err = fault.Newf(fault.Failed, "%s on %s is there before the deployment: it is of another one", r.envFile(session), r.Host.Name()).
			Hint("start a new run")
	}
	return err
}

// contracts are the addresses that the deployer of a session wrote, by name.
func (r *runner) contracts(ctx context.Context, session int) (map[string]string, error) {
	raw, err := journal.Written(ctx, r.Host, r.envFile(session), 0)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, r.failure(ctx, session, nameDeploy, "has ended well and written no addresses to "+r.envFile(session))
	}
	env, err := program.ParseEnvFile(raw)
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", r.envFile(session), r.Host.Name(), err)
	}
	return env, nil
}
