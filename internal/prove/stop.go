package prove

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/shell"
)

// ending is how a program is told to end, and how long it may take. A prover and
// an L2 of ethrex end cleanly on SIGINT alone.
type ending struct {
	signal syscall.Signal
	grace  time.Duration
}

var endings = map[string]ending{
	nameLoad:   {syscall.SIGINT, 10 * time.Second},
	nameProver: {syscall.SIGINT, 30 * time.Second},
	nameL2:     {syscall.SIGINT, 30 * time.Second},
	nameL1:     {syscall.SIGINT, 30 * time.Second},
	nameWatch:  {syscall.SIGTERM, 30 * time.Second},
	nameDeploy: {syscall.SIGINT, 10 * time.Second},
}

// bringDown stops the program of a step, if this run started it and it runs.
func (r *runner) bringDown(ctx context.Context, s plan.Step) (detail string, err error) {
	delete(r.up, s.Name)
	detail, err = r.stop(ctx, s.Session, s.Name)
	if err == nil && s.Name == nameWatch {
		err = r.newFollower(s).rest(ctx)
	}
	if err == nil && s.Script != "" {
		_, err = r.script(ctx, s)
	}
	_, failure := r.fetchLog(ctx, s.Session, s.Name)
	return detail, errors.Join(err, failure)
}

// stop stops a program by its recorded identity and nothing else.
func (r *runner) stop(ctx context.Context, session int, name string) (detail string, err error) {
	id, st, err := r.found(ctx, session, name)
	if err != nil {
		return "", err
	}
	switch st.Phase {
	case host.Absent:
		return "was not started", nil
	case host.Ended:
		return fmt.Sprintf("had ended with status %d", st.Exit), nil
	}
	how := endings[name]
	killed, err := r.Host.Stop(ctx, id, how.signal, how.grace)
	if killed {
		return id.String() + ", killed: it had not ended within " + how.grace.String(), err
	}
	return id.String(), err
}

// fetchLog copies the log of a program of a session to the run and returns where
// it is.
func (r *runner) fetchLog(ctx context.Context, session int, name string) (string, error) {
	file := r.Run.Log(fmt.Sprintf("s%d-%s", session, name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return file, err
	}
	err := r.Host.Fetch(ctx, r.dir(session)+"/"+name+".log", file)
	if errors.Is(err, os.ErrNotExist) {
		return file, nil // it was never started
	}
	return file, err
}

// stopLimit bounds one step of the way down.
const stopLimit = 3 * time.Minute

// limited does f within stopLimit.
func limited(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	return f(ctx)
}

// takeDown carries out the steps of the plan that stop something and check that
// it has ended, of all sessions that were begun and are not over: in the order
// of the plan, each with its own time limit, whatever fails in between. With
// Stop it is also what the run was told to keep.
func (r *runner) takeDown(ctx context.Context) error {
	var errs []error
	if !r.provedAll() {
		errs = append(errs, r.save(func(st *state) { st.Ended = true }))
	}
	for i, st := range r.state.Sessions {
		if !st.Began || st.Done {
			continue
		}
		errs = append(errs, limited(ctx, func(ctx context.Context) error {
			_, err := r.stop(ctx, i+1, nameDeploy)
			return err
		}))
	}
	for _, s := range r.Plan.Steps {
		if !r.stops(s) {
			continue
		}
		err := limited(ctx, func(ctx context.Context) error { return r.step(ctx, s) })
		errs = append(errs, err)
		if lost(err) {
			return errors.Join(append(errs, fault.Newf(fault.Prerequisite, "%s: what this run started there may still run", r.Host.Name()).
				Hint("%s --stop %s%s   # try again", Command, shell.Quote(r.Run.Dir()), r.Again))...)
		}
	}
	if err := errors.Join(errs...); err != nil || !r.held && !r.Resume {
		return err
	}
	return limited(ctx, r.unlock)
}

// stops reports whether a step is one of the way down that is left to do.
func (r *runner) stops(s plan.Step) bool {
	if !goesDown(s) || s.Session == 0 {
		return false
	}
	st := r.state.Sessions[s.Session-1]
	return st.Began && (!st.Done || s.OnRequest && r.Stop)
}

// goesDown reports whether a step is one of the way down.
func goesDown(s plan.Step) bool {
	switch s.ProverKind() {
	case plan.StopLoad, plan.StopProof, plan.StopL2, plan.StopL1, plan.StopWatch, plan.Verify:
		return true
	}
	return false
}

// freeLimit bounds the wait for ports to become free: a process that has ended
// has closed them a moment later.
const freeLimit = 10 * time.Second

// verify makes sure that nothing is left of what the run started: no program
// that is recorded, none of its ports and, by the script of the step, no
// container.
func (r *runner) verify(ctx context.Context, s plan.Step) (detail string, err error) {
	var left []string
	for i, st := range r.state.Sessions {
		if !st.Began || s.Session > 0 && s.Session != i+1 {
			continue
		}
		running, err := r.running(ctx, i+1)
		if err != nil {
			return "", err
		}
		left = append(left, running...)
	}
	taken, err := r.taken(ctx)
	if err != nil {
		return "", err
	}
	left = append(left, taken...)
	if s.Script != "" {
		if _, err := r.script(ctx, s); err != nil {
			left = append(left, err.Error())
		}
	}
	if len(left) == 0 {
		return "", nil
	}
	return "", fault.Newf(fault.Failed, "%s: not everything has ended: %s", r.Host.Name(), strings.Join(left, "; ")).
		Hint("%s --stop %s%s   # try again", Command, shell.Quote(r.Run.Dir()), r.Again)
}

// running are the programs of a session that still run and were not told to stay.
func (r *runner) running(ctx context.Context, session int) (left []string, err error) {
	for _, name := range []string{nameLoad, nameProver, nameL2, nameL1, nameDeploy, nameWatch} {
		if r.kept(name) {
			continue
		}
		id, st, err := r.found(ctx, session, name)
		if err != nil {
			return nil, err
		}
		if st.Phase == host.Running {
			left = append(left, fmt.Sprintf("the %s of session %d runs, %v", titles[name], session, id))
		}
	}
	return left, nil
}

// kept reports whether a program stays when the run is complete.
func (r *runner) kept(name string) bool {
	return r.Spec.Keep && !r.Stop && !r.state.Ended && (name == nameL1 || name == nameL2)
}

// taken are the ports of the localnet at which something still listens.
func (r *runner) taken(ctx context.Context) (left []string, err error) {
	if r.Spec.Running || r.kept(nameL2) {
		return nil, nil
	}
	for since := time.Now(); ; {
		open, err := listening(ctx, r.Host, r.Spec.Ports.L1, r.Spec.Ports.L2, r.Spec.Ports.Metrics, r.Spec.Ports.Coordinator, r.Spec.Ports.Admin)
		if err != nil || len(open) == 0 {
			return nil, err
		}
		if time.Since(since) > freeLimit {
			return []string{fmt.Sprintf("something listens at port %s", joined(open))}, nil
		}
		if err := journal.Pause(ctx, glance); err != nil {
			return nil, err
		}
	}
}

// joined lists ports.
func joined(ports []uint16) string {
	text := make([]string, len(ports))
	for i, p := range ports {
		text[i] = fmt.Sprint(p)
	}
	return strings.Join(text, ", ")
}
