package prove

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/store"
)

// find looks for what earlier runs left and who has the ports. What is in the
// way of this run is an error that names it, unless the spec asks for it to be
// removed.
func (r *runner) find(ctx context.Context, s plan.Step) (detail string, err error) {
	out, err := r.script(ctx, s)
	if err != nil {
		return "", err
	}
	found, err := program.ParseFound(out)
	if err != nil {
		return "", err
	}
	for _, l := range found {
		if l.Of() != program.LeftProcesses {
			r.say("found on %s: %v", r.Host.Name(), l)
		}
	}
	if err := r.save(func(st *state) { st.Found = found }); err != nil {
		return "", err
	}
	if r.Spec.Running {
		return r.served(found)
	}
	if r.Spec.Clear {
		return r.approve(ctx, found)
	}
	return fmt.Sprintf("%d left-overs, none of them in the way", len(found)), r.inTheWay(found)
}

// inTheWay is the error of what this run cannot begin beside: who has one of its
// ports, and who is pointed at one, as a prover that an earlier run left, which
// would take the batches. What else runs is measured too, which is said.
func (r *runner) inTheWay(found []program.Leftover) error {
	var why []string
	for _, l := range found {
		switch {
		case l.Kind == "port" || l.Of() == program.LeftProcesses && r.pointed(l):
			why = append(why, l.String())
		case l.Of() == program.LeftProcesses:
			r.say("warning: %v runs on %s, and what it takes of the machine will show in the times", l, r.Host.Name())
		}
	}
	if len(why) == 0 {
		return nil
	}
	e := fault.Newf(fault.Prerequisite, "on %s something is in the way of the run:\n%s", r.Host.Name(), strings.Join(why, "\n"))
	return e.Hint("%s ... --clear   # remove what earlier runs left; each kind asks for an approval", Command).
		Hint("%s ... --running   # measure the L2 that runs there", Command).
		Hint("or end it, or choose other ports: --ports l1=...,l2=...,metrics=...,coordinator=...,admin=...")
}

// pointed reports whether a process names one of the run's ports.
func (r *runner) pointed(l program.Leftover) bool {
	p := r.Spec.Ports
	for _, port := range []uint16{p.L1, p.L2, p.Metrics, p.Coordinator, p.Admin} {
		for _, word := range strings.Fields(l.Role) {
			if _, named, _ := strings.Cut(strings.TrimPrefix(word, "tcp://"), ":"); named == fmt.Sprint(port) {
				return true
			}
		}
	}
	return false
}

// served refuses to measure an L2 that is said to run and does not.
func (r *runner) served(found []program.Leftover) (detail string, err error) {
	for _, port := range []uint16{r.Spec.Ports.L2, r.Spec.Ports.Coordinator} {
		if !slices.ContainsFunc(found, func(l program.Leftover) bool { return l.Kind == "port" && l.Port == int(port) }) {
			return "", fault.Newf(fault.Prerequisite, "nothing listens at port %d of %s, and the spec says that an L2 runs there", port, r.Host.Name()).
				Hint("%s ... --running=false   # start one", Command)
		}
	}
	return "an L2 runs there", nil
}

// approve asks for the approval of each kind of what was found, for the steps
// that remove it.
func (r *runner) approve(ctx context.Context, found []program.Leftover) (detail string, err error) {
	for _, s := range r.Plan.Steps {
		if s.ProverKind() != plan.Remove {
			continue
		}
		kind := removed(s)
		wanted := program.Approval(found, kind)
		if wanted == "" {
			continue
		}
		var seen []string
		for _, l := range found {
			if l.Of() == kind {
				seen = append(seen, l.String())
			}
		}
		what := strings.Join(seen, "; ")
		if err := r.Approve(ctx, s, what); err != nil {
			return "", err
		}
		if err := r.Run.Journal(s.ID, store.Approved, what); err != nil {
			return "", err
		}
		if err := r.save(func(st *state) { st.Approved[s.ID] = wanted }); err != nil {
			return "", err
		}
		r.say("approved: %s: %s", s.ID, what)
	}
	return fmt.Sprintf("%d left-overs", len(found)), nil
}

// removed is the kind that a step removes.
func removed(s plan.Step) program.LeftoverKind {
	return program.LeftoverKind(strings.TrimPrefix(s.ID, plan.Remove+"-"))
}

// remove removes what was approved, and only that.
func (r *runner) remove(ctx context.Context, s plan.Step) (detail string, err error) {
	if r.state.Approved[s.ID] == "" {
		return "there is nothing to remove", nil
	}
	out, err := r.script(ctx, s)
	if err != nil {
		return "", err
	}
	done := strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), "; ")
	if err := r.cleared(ctx, s); err != nil {
		return "", err
	}
	return done, nil
}

// cleared makes sure, after the last removal, that nothing is in the way any
// more: a port can be taken by a program that is no left-over of ours.
func (r *runner) cleared(ctx context.Context, s plan.Step) error {
	for i, step := range r.Plan.Steps {
		if step.ID != s.ID || r.Plan.Steps[i+1].ProverKind() == plan.Remove {
			continue
		}
		taken, err := r.taken(ctx)
		if err == nil && len(taken) > 0 {
			err = fault.Newf(fault.Prerequisite, "%s: what was approved is removed, and still %s", r.Host.Name(), strings.Join(taken, ", ")).
				Hint("end that program, or choose other ports")
		}
		return err
	}
	return nil
}

// judge refuses a host that lacks what the run needs, with all that is missing at
// once.
func (r *runner) judge(ctx context.Context) (detail string, err error) {
	names := program.Tools(&r.Spec)
	if len(names) == 0 {
		return "nothing is needed", nil
	}
	script := "for tool in " + strings.Join(names, " ") + "; do command -v -- $tool >/dev/null || echo $tool; done\n"
	out, err := r.Host.Run(ctx, script)
	missing := strings.Fields(string(out))
	if err != nil || len(missing) == 0 {
		return strings.Join(names, ", "), err
	}
	return "", fault.Newf(fault.Prerequisite, "%s lacks %s in the PATH of a login shell", r.Host.Name(), strings.Join(missing, ", ")).
		Hint("install it there, and make its PATH part of the login profile")
}
