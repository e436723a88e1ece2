package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/inspect"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/prove"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// proverControl are the flags that begin, take up and end a prover run, and say
// how its end is told.
type proverControl struct {
	runControl
	flags                 *cobra.Command
	stop                  string
	sshConfig, hostBinary string
	out                   string
	noInput, dryRun       bool
	json                  bool
	failOnRegression      bool
}

// addFlags adds them to the command that they are of.
func (c *proverControl) addFlags(cmd *cobra.Command) {
	c.flags = cmd
	f := cmd.Flags()
	f.StringVar(&c.sshConfig, "ssh-config", "", "on a server: ssh configuration `FILE` instead of your own")
	f.StringVar(&c.hostBinary, "host-binary", "", "on a server: static verdict `FILE` to run there (default: this program)")
	f.StringVarP(&c.out, "out", "o", "", "run `DIR`ectory, which must not exist (default: runs/TIME-prover-PLACE)")
	f.StringVar(&c.resume, "resume", "", "go on with the run in this `DIR`ectory, after a crash or a lost connection")
	f.StringVar(&c.stop, "stop", "", "end the run in this `DIR`ectory: stop what it started, and report what there is")
	f.StringArrayVar(&c.approve, "approve", nil, "approve the `STEP` of the plan that destroys something, by its name; repeatable")
	f.BoolVar(&c.yes, "yes", false, "begin without asking; destroys nothing without --approve")
	f.BoolVar(&c.noInput, "no-input", false, "never ask: what is missing is an error")
	f.BoolVar(&c.dryRun, "dry-run", false, "print the plan and do nothing")
	f.BoolVar(&c.json, "json", false, "print the result as one JSON object")
	f.BoolVar(&c.failOnRegression, "fail-on-regression", false, "exit with status 3 when the verdict is \"regresses\"")
	cmd.MarkFlagDirname("out")
	cmd.MarkFlagDirname("resume")
	cmd.MarkFlagDirname("stop")
}

// canAsk reports whether there is somebody to ask.
func (c *proverControl) canAsk(w World) bool {
	_, ok := terminalOf(w, c.noInput)
	return ok
}

// begun is the directory of --resume or --stop, empty when a new run is asked
// for. file is the spec file that was named, if any.
func (c *proverControl) begun(file string) (dir string, err error) {
	switch {
	case c.resume == "" && c.stop == "":
		return "", nil
	case c.resume != "" && c.stop != "":
		return "", fault.Newf(fault.Usage, "--resume and --stop exclude each other")
	}
	flag, dir := "--resume", c.resume
	if dir == "" {
		flag, dir = "--stop", c.stop
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fault.Newf(fault.Usage, "%s %q: there is no such run directory", flag, dir)
	}
	return dir, onlyWith(c.flags, file, "resume", "stop", "ssh-config", "host-binary", "approve", "json", "no-input", "yes", "fail-on-regression", "dry-run")
}

// takeUpProver goes on with the run in dir, or ends it.
func takeUpProver(ctx context.Context, w World, c *proverControl, dir string) error {
	data, err := store.Read(dir)
	if err != nil {
		return err
	}
	if data.Manifest.Workflow != spec.ProverWorkflow {
		return fault.Newf(fault.Usage, "%s is a run of verdict %s", dir, data.Manifest.Workflow).
			Hint("verdict %s --help", data.Manifest.Workflow)
	}
	s, err := spec.DecodeProver(data.Spec)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, store.SpecName), err)
	}
	if data.Manifest.State == store.Complete && !c.dryRun && (c.stop == "" || !s.Keep) {
		return fault.Newf(fault.Usage, "the run %s is complete", dir).Hint("verdict report %s", shell.Quote(dir))
	}
	p, err := journal.ReadPlan(dir)
	if err != nil {
		return err
	}
	if c.dryRun {
		_, err := io.WriteString(w.Stdout, p.Text())
		return err
	}
	run, err := store.Open(dir, w.Now)
	if err != nil {
		return err
	}
	defer run.Close()
	return carryOutProver(ctx, w, c, proverRun{run: run, spec: s, encoded: data.Spec, plan: p, begun: true})
}

// confirm shows what a run on a server is going to do, and asks whether to begin.
func (c *proverControl) confirm(ctx context.Context, w World, s *spec.Prover, p *plan.Plan) error {
	if s.Place != spec.Live || c.yes || !c.canAsk(w) {
		return nil
	}
	return confirmPlan(ctx, w, p, s.Host)
}

// host reaches the machine that a run is carried out on.
func (c *proverControl) host(w World, s *spec.Prover) (host.Host, error) {
	if s.Place != spec.Live {
		return host.Local(), nil
	}
	return host.NewSSH(s.Host, host.SSHOptions{Config: c.sshConfig, Interactive: c.canAsk(w)})
}

// install has a verdict on the host: on this machine it is this one.
func (c *proverControl) install(w World, s *spec.Prover) func(context.Context, host.Host) (string, error) {
	return func(ctx context.Context, h host.Host) (string, error) {
		if s.Place != spec.Live {
			return w.Executable()
		}
		return inspect.Install(ctx, h, inspect.Binary(w.Executable, c.hostBinary))
	}
}

// options are those of a run, Progress and Report aside.
func (c *proverControl) options(w World, r proverRun, h host.Host) prove.Options {
	return prove.Options{
		Spec: r.spec, SpecYAML: r.encoded, Plan: r.plan, Run: r.run, Now: w.Now, Version: version(),
		Host: h, Install: c.install(w, &r.spec), Approve: c.approver(w, c.canAsk(w)),
		Again: again(c.sshConfig, c.hostBinary), Resume: r.begun, Stop: r.begun && c.stop != "",
	}
}
