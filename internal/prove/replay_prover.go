package prove

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/artifact"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/proverlog"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

const (
	// helpLimit is how long a prover may take to print its help text.
	helpLimit = 20 * time.Second
	// replayGrace is how long a prover may take to end: one that is in the
	// middle of a proof on the GPU has a container to remove.
	replayGrace = 20 * time.Second
	// logLimit is how long the line about a proof may come after the proof
	// itself: a program may print from another thread.
	logLimit = 5 * time.Second
	// logLines is how much of a prover's log stands under an error.
	logLines = 12
)

// replayProver is a prover that runs.
type replayProver struct {
	process  *host.Process
	listener net.Listener
	log      *proverLog
}

// buildRef has the script of a step build a side's ref.
func (r *replayer) buildRef(ctx context.Context, s plan.Step) (detail string, err error) {
	built, err := artifact.FromRef(ctx, s.Side, r.Spec.Side(s.Side).Ref, s.Script, func(text string) {
		r.show(ReplayProgress{Phase: s.ID, Message: text})
	})
	if err != nil {
		return "", err
	}
	r.builds[s.Side.Index()] = &built.Binary
	if built.Behind > 0 {
		r.manifest.Behind = built.Behind
	}
	return built.Detail, nil
}

// buildOf is the build that a side runs: what was built from its ref, or its
// binary, and in an A/A control that of the baseline.
func (r *replayer) buildOf(side sample.Side) (*artifact.Binary, error) {
	if r.Spec.Same {
		side = sample.Baseline
	}
	i := side.Index()
	if r.builds[i] != nil {
		return r.builds[i], nil
	}
	b, err := artifact.FromFile(r.Spec.Side(side).Binary)
	if err != nil {
		return nil, fault.Newf(fault.Prerequisite, "the %s side: %w", side, err)
	}
	r.builds[i] = &b
	return &b, nil
}

// start starts the prover of a step's side and points it at an address of its
// own, by which it is known. Its first question for work waits there until the
// replay begins.
func (r *replayer) start(ctx context.Context, s plan.Step) (detail string, err error) {
	i := s.Side.Index()
	b, err := r.buildOf(s.Side)
	if err != nil {
		return "", err
	}
	if err := r.probe(ctx, s.Side, b); err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fault.Newf(fault.Prerequisite, "listening for the %s prover: %w", s.Side, err)
	}
	argv := plan.ReplayArgv(&r.Spec, s.Side, b.Path, "tcp://"+ln.Addr().String())
	path := r.Run.Log("prover-" + string(s.Side))
	p, err := r.children.Start(host.Command{
		Name: fmt.Sprintf("the %s prover", s.Side), Argv: argv, Log: path,
	})
	if err != nil {
		return "", errors.Join(fault.Newf(fault.Prerequisite, "%w", err).Hint("file %s", b.Path), ln.Close())
	}
	r.provers[i] = &replayProver{process: p, listener: ln, log: &proverLog{path: path}}
	m := &r.manifest.Sides[i]
	m.Ref, m.Commit, m.Binary, m.BinarySHA256, m.Argv = b.Ref, b.Commit, b.Path, b.SHA256, argv
	return p.Identity(), r.Run.WriteJSON(store.StartName, r.manifest)
}

// probe asks a build's help text whether it is a prover that can be replayed
// to, and has the backend.
func (r *replayer) probe(ctx context.Context, side sample.Side, b *artifact.Binary) error {
	argv := slices.Concat([]string{b.Path}, plan.ReplayCommand(&r.Spec), []string{"--help"})
	name := strings.Join(argv, " ")
	path := r.Run.Log("help-" + string(side))
	p, err := r.children.Start(host.Command{Name: name, Argv: argv, Log: path})
	if err != nil {
		return fault.Newf(fault.Prerequisite, "%w", err).Hint("file %s", b.Path)
	}
	timer := time.NewTimer(helpLimit)
	defer timer.Stop()
	select {
	case <-p.Done():
	case <-timer.C:
		return errors.Join(fault.As(fault.Prerequisite, p.Stuck(fmt.Sprintf("had not ended after %v", helpLimit))), p.Stop(0))
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.Stop(0))
	}
	help, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(help, []byte("--proof-coordinators")) {
		return fault.Newf(fault.Prerequisite, "the %s build is no prover: what %q prints lacks --proof-coordinators:\n%s", side, name, strings.Join(host.Tail(path, logLines), "\n")).
			Hint("--program says what kind of program it is: ethrex, or verdict for the built-in prover")
	}
	if known := backendsIn(help); known != nil && !slices.Contains(known, string(r.Spec.Backend)) {
		return fault.Newf(fault.Prerequisite, "the %s build has no backend %s, only %s: it was built without it", side, r.Spec.Backend, strings.Join(known, ", ")).
			Hint("build it with the feature %s, or choose another with --backend", r.Spec.Backend)
	}
	return nil
}

// backendsIn are the backends that a help text lists, nil when it lists none.
// What was not compiled in is not listed.
func backendsIn(help []byte) []string {
	inside := false
	for line := range strings.Lines(string(help)) {
		if option := strings.TrimSpace(line); strings.HasPrefix(option, "-") {
			inside = strings.Contains(option, "--backend")
		}
		_, values, ok := strings.Cut(line, "[possible values: ")
		if values, _, closed := strings.Cut(values, "]"); inside && ok && closed {
			return strings.Split(values, ", ")
		}
	}
	return nil
}

// stop ends the prover of a side, if it runs. ethrex removes what it started,
// such as a container that proves on the GPU, when it is interrupted, and only
// then.
func (r *replayer) stop(side sample.Side) error {
	p := r.provers[side.Index()]
	if p == nil {
		return nil
	}
	r.provers[side.Index()] = nil
	p.listener.Close() // it may be closed already
	return p.process.Interrupt(replayGrace)
}

// stopAll ends what still runs.
func (r *replayer) stopAll() error {
	var errs []error
	for _, side := range sample.Sides {
		if r.provers[side.Index()] != nil {
			errs = append(errs, r.stop(side), r.Run.Journal(plan.StartProof+"-"+string(side), store.Undone, "stopped"))
		}
	}
	return errors.Join(errs...)
}

// proverLog reads the log of a prover from where it left off.
type proverLog struct {
	path   string
	offset int64
}

// events are those of the lines that are new.
func (l *proverLog) events() ([]proverlog.Event, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, l.offset, 1<<62))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", l.path, err)
	}
	data = journal.WholeLines(data)
	l.offset += int64(len(data))
	var out []proverlog.Event
	for line := range bytes.Lines(data) {
		if e, ok := proverlog.Finest(line); ok {
			out = append(out, e)
		}
	}
	return out, nil
}

// proved waits for the line about the proof of batch, the last one if there are
// several.
func (l *proverLog) proved(ctx context.Context, batch uint64) (e proverlog.Event, err error) {
	limited, cancel := context.WithTimeout(ctx, logLimit)
	defer cancel()
	for {
		events, err := l.events()
		if err != nil {
			return e, err
		}
		for _, one := range slices.Backward(events) {
			if one.Kind == proverlog.Proved && one.Batch == batch && !one.Unnumbered {
				return one, timed(one)
			}
		}
		if err := journal.Pause(limited, 5*time.Millisecond); err != nil {
			if ctx.Err() != nil {
				return e, ctx.Err()
			}
			return e, fault.Newf(fault.Failed, "its log has no line about the proof within %v: is that where it prints, and at level INFO?", logLimit)
		}
	}
}

// timed says why the line about a proof has no time.
func timed(e proverlog.Event) error {
	switch {
	case e.Garbled:
		return errors.New("its log says how long the proof took in a form that this verdict cannot read")
	case !e.Timed:
		return fault.Newf(fault.Failed, "its log does not say how long the proof took: it did not heed PROVER_CLIENT_TIMED=true").
			Hint("check that this version knows --timed, and give it with --prover-arg=--timed")
	}
	return nil
}
