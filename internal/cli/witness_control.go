package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/verdict-bench/verdict/internal/bench"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/inspect"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// runControl are the flags that begin, take up and end a run.
type runControl struct {
	resume  string
	approve []string
	yes     bool
	// stopping says that the run is only ended, whatever its verdict.
	stopping bool
}

func (o *witnessOptions) addRunFlags(cmd *cobra.Command) {
	f, c := cmd.Flags(), &o.control
	f.StringVar(&c.resume, "resume", "", "go on with the run on servers in this `DIR`ectory, after an interrupt, a crash or a lost connection")
	f.StringArrayVar(&c.approve, "approve", nil, "approve the `STEP` of the plan that destroys something, by its name; repeatable")
	f.BoolVar(&c.yes, "yes", false, "begin without asking; destroys nothing without --approve")
	cmd.MarkFlagDirname("resume")
}

// checkApprovals refuses an approval of what the plan does not have, and, where
// nobody can be asked, a plan with something that was not approved.
func (o *witnessOptions) checkApprovals(w World, p *plan.Plan) error {
	return o.control.checkApprovals(p, "verdict witness", o.canAsk(w))
}

// checkApprovals is that of any command with a plan; canAsk says that somebody
// can be asked.
func (c *runControl) checkApprovals(p *plan.Plan, command string, canAsk bool) error {
	destructive := p.Destructive()
	var names, open []string
	for _, s := range destructive {
		names = append(names, s.ID)
		if !slices.Contains(c.approve, s.ID) {
			open = append(open, fmt.Sprintf("%s: %s", s.ID, s.Destroys))
		}
	}
	for _, name := range c.approve {
		if !slices.Contains(names, name) {
			return fault.Newf(fault.Usage, "--approve %s: the plan has no step of that name that destroys something", name).
				Hint("%s ... --dry-run shows the plan", command)
		}
	}
	if len(open) > 0 && !canAsk {
		e := fault.Newf(fault.Usage, "the plan destroys something, and nobody can be asked:\n%s", strings.Join(open, "\n"))
		for _, s := range destructive {
			e = e.Hint("--approve %s", s.ID)
		}
		return e
	}
	return nil
}

// canAsk reports whether there is somebody to ask.
func (o *witnessOptions) canAsk(w World) bool {
	_, ok := o.terminal(w)
	return ok
}

// approver asks for the approval of one step, whose name has to be typed.
func (c *runControl) approver(w World, canAsk bool) func(context.Context, plan.Step, string) error {
	return func(ctx context.Context, s plan.Step, seen string) error {
		if slices.Contains(c.approve, s.ID) {
			return nil
		}
		refused := fault.Newf(fault.Usage, "the step %s was not approved: nothing was deleted", s.ID).
			Hint("--approve %s", s.ID)
		if !canAsk {
			return refused
		}
		fmt.Fprintf(w.Stderr, "\nThis step destroys something and needs your approval.\n  step      %s on %s\n  purpose   %s\n  found     %s\n  destroys  %s\n",
			s.ID, s.Host, s.Purpose, report.Clean(seen), s.Destroys)
		answer, err := askLine(ctx, w, fmt.Sprintf("Type %s to approve it, anything else to end the run: ", s.ID))
		if err != nil {
			return err
		}
		if answer != s.ID {
			return refused
		}
		return nil
	}
}

// askLine asks a question at the terminal.
func askLine(ctx context.Context, w World, question string) (string, error) {
	fmt.Fprint(w.Stderr, question)
	type line struct {
		text string
		err  error
	}
	answer := make(chan line, 1)
	// A read from a terminal cannot be interrupted; the process ends with it.
	go func() {
		text, err := bufio.NewReader(w.Stdin).ReadString('\n')
		answer <- line{strings.TrimSpace(text), err}
	}()
	select {
	case l := <-answer:
		if errors.Is(l.err, io.EOF) && l.text == "" {
			return "", fault.Newf(fault.Interrupted, "no answer: nothing was done")
		}
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			return "", fmt.Errorf("reading the answer: %w", l.err)
		}
		return l.text, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// confirm shows what a live run is going to do, and asks whether to begin.
func (o *witnessOptions) confirm(ctx context.Context, w World, s *spec.Witness, p *plan.Plan) error {
	if s.Place != spec.Live || o.control.yes || !o.canAsk(w) {
		return nil
	}
	return confirmPlan(ctx, w, p, fmt.Sprintf("%s (baseline) and %s (test)", s.Baseline.Host, s.Test.Host))
}

// confirmPlan shows the steps of a plan on where, and asks whether to begin.
func confirmPlan(ctx context.Context, w World, p *plan.Plan, where string) error {
	fmt.Fprintf(w.Stderr, "\n%d steps on %s:\n", len(p.Steps), where)
	for _, step := range p.Steps {
		mark := ""
		if step.Destroys != "" {
			mark = "  DESTROYS: " + step.Destroys
		}
		fmt.Fprintf(w.Stderr, "  %-28s %s%s\n", step.ID, step.Host, mark)
	}
	fmt.Fprintln(w.Stderr, "--dry-run shows each with its exact script.")
	answer, err := askLine(ctx, w, "Begin? [Y/n] ")
	if err != nil {
		return err
	}
	if answer != "" && !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
		return fault.Newf(fault.Interrupted, "not begun")
	}
	return nil
}

// servers is what a live run needs of this machine.
func (o *witnessOptions) liveServers(w World) *bench.Servers {
	return &bench.Servers{
		Host: func(alias string) (host.Host, error) {
			return host.NewSSH(alias, host.SSHOptions{Config: o.sshConfig, Interactive: o.canAsk(w)})
		},
		Program: inspect.Binary(w.Executable, o.hostBinary),
		Again:   o.again(),
		Approve: o.control.approver(w, o.canAsk(w)),
	}
}

// again are the flags that reach the servers again.
func (o *witnessOptions) again() string { return again(o.sshConfig, o.hostBinary) }

func again(sshConfig, hostBinary string) string {
	var b strings.Builder
	for _, f := range []struct{ name, value string }{{"ssh-config", sshConfig}, {"host-binary", hostBinary}} {
		if f.value != "" {
			fmt.Fprintf(&b, " --%s %s", f.name, shell.Quote(f.value))
		}
	}
	return b.String()
}

// run is the directory of --resume RUN or --stop RUN, and whether it shall be
// ended; empty when a new run is asked for.
func (o *witnessOptions) run() (dir string, stop bool, err error) {
	ends := ""
	if value := o.flags.Flags().Lookup("stop").Value.String(); value != string(spec.AtPlanned) && value != string(spec.Auto) {
		ends = value
	}
	resumes := o.changed("resume")
	switch {
	case !resumes && ends == "":
		return "", false, nil
	case resumes && ends != "":
		return "", false, fault.Newf(fault.Usage, "--resume and --stop RUN exclude each other")
	case resumes:
		ends = o.control.resume
	default:
		stop = true
	}
	alone := o.onlyWith("resume", "stop", "ssh-config", "host-binary", "approve", "json", "no-input", "yes", "fail-on-regression", "dry-run")
	if info, err := os.Stat(ends); err != nil || !info.IsDir() {
		switch {
		case !stop:
			return "", false, fault.Newf(fault.Usage, "--resume %q: there is no such run directory", ends)
		case alone == nil:
			return "", false, fault.Newf(fault.Usage, "--stop %q is neither planned nor auto, nor the directory of a run", ends)
		}
		return "", false, nil // a new run, whose spec is wrong in more than this
	}
	return ends, stop, alone
}

// onlyWith refuses all but the named flags, which a run that was begun has no
// more use for.
func (o *witnessOptions) onlyWith(names ...string) error { return onlyWith(o.flags, o.file, names...) }

func onlyWith(cmd *cobra.Command, file string, names ...string) error {
	var wrong []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(names, f.Name) {
			wrong = append(wrong, "--"+f.Name)
		}
	})
	if file != "" {
		wrong = append(wrong, file)
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.Newf(fault.Usage, "a run that was begun keeps its spec: leave out %s", strings.Join(wrong, ", "))
}

// takeUp goes on with the run in dir, or ends it.
func takeUp(ctx context.Context, w World, o *witnessOptions, dir string, stop bool) error {
	r, err := readBegun(dir)
	if err != nil {
		return err
	}
	if o.dryRun {
		_, err := io.WriteString(w.Stdout, r.plan.Text())
		return err
	}
	run, err := store.Open(dir, w.Now)
	if err != nil {
		return err
	}
	defer run.Close()
	kept := r.spec.Servers != nil && r.spec.Servers.Keep
	if r.complete && !(stop && kept) {
		return fault.Newf(fault.Usage, "the run %s is complete", dir).Hint("verdict report %s", shell.Quote(dir))
	}
	servers := o.liveServers(w)
	servers.Resume, servers.Stop = true, stop
	o.control.stopping = stop
	return carryOut(ctx, w, o, run, r.spec, r.encoded, r.plan, servers)
}

// begun is a run that was begun before.
type begun struct {
	spec    spec.Witness
	encoded []byte
	plan    plan.Plan
	// complete says that it has its report.
	complete bool
}

// readBegun reads what a run in dir was going to do.
func readBegun(dir string) (b begun, err error) {
	data, err := store.Read(dir)
	if err != nil {
		return b, err
	}
	b.encoded, b.complete = data.Spec, data.Manifest.State == store.Complete
	if b.spec, err = spec.Decode(data.Spec); err != nil {
		return b, err
	}
	if b.spec.Place != spec.Live && !plan.Away(&b.spec) {
		return b, fault.Newf(fault.Usage, "a run of place %s cannot be taken up again: its programs, or its view of the servers, ended with it", b.spec.Place).
			Hint("verdict witness %s   # start it anew", shell.Quote(filepath.Join(dir, store.SpecName)))
	}
	b.plan, err = journal.ReadPlan(dir)
	return b, err
}
