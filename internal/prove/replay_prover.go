package prove

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
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

// replayBuilt is the build of one side.
type replayBuilt struct {
	// ref names it in reports: the binary, or the ref with the commit.
	ref, commit, binary, sha256 string
}

// replayProver is a prover that runs.
type replayProver struct {
	process  *host.Process
	listener net.Listener
	log      *proverLog
}

// buildRef has the script of a step build a side's ref.
func (r *replayer) buildRef(ctx context.Context, s plan.Step) (detail string, err error) {
	ref := r.Spec.Side(s.Side).Ref
	r.show(ReplayProgress{Phase: s.ID, Message: fmt.Sprintf("building the %s ref %s, which can take minutes the first time", s.Side, ref)})
	here := host.Local()
	out, err := here.Run(ctx, s.Script)
	if err = errors.Join(err, here.Close()); err != nil {
		return "", notBuilt(s.Side, ref, err)
	}
	built, err := program.ParseBuilt(out)
	if err != nil {
		return "", err
	}
	r.builds[s.Side.Index()] = &replayBuilt{
		ref: fmt.Sprintf("%s (%.12s)", ref, built.Commit), commit: built.Commit,
		binary: built.Binary, sha256: built.SHA256,
	}
	for _, note := range built.Notes {
		r.show(ReplayProgress{Phase: s.ID, Message: fmt.Sprintf("the %s ref: %s", s.Side, note)})
	}
	if built.Behind > 0 {
		r.manifest.Behind = built.Behind
		r.show(ReplayProgress{Phase: s.ID, Message: fmt.Sprintf(
			"the test ref lacks %d of the baseline's commits, so a difference may be theirs: rebase it, or compare it with --baseline %s", built.Behind, built.MergeBase)})
	}
	how := "built"
	if built.Cached {
		how = "built before"
	}
	return fmt.Sprintf("%s, commit %s, sha256 %s, %s", how, built.Commit, built.SHA256, built.Binary), nil
}

// notBuilt is a build that failed, told apart by its exit status.
func notBuilt(side sample.Side, ref string, err error) error {
	var script *host.ScriptError
	if !errors.As(err, &script) {
		return fmt.Errorf("building the %s ref %q: %w", side, ref, err)
	}
	kinds := map[int]fault.Kind{program.NoSuchRef: fault.Usage, program.Unprepared: fault.Prerequisite}
	kind, known := kinds[script.Exit]
	if !known {
		kind = fault.Failed
	}
	e := fault.Newf(kind, "building the %s ref %q: %w", side, ref, err)
	if script.Exit == program.BuildFailed {
		return e.Hint("ls -t ~/.verdict/worktrees/*.log | head -n 1 names the whole log")
	}
	return e
}

// buildOf is the build that a side runs: what was built from its ref, or its
// binary, and in an A/A control that of the baseline.
func (r *replayer) buildOf(side sample.Side) (*replayBuilt, error) {
	if r.Spec.Same {
		side = sample.Baseline
	}
	i := side.Index()
	if r.builds[i] != nil {
		return r.builds[i], nil
	}
	b, err := examineProver(r.Spec.Side(side).Binary)
	if err != nil {
		return nil, fault.Newf(fault.Prerequisite, "the %s side: %w", side, err)
	}
	r.builds[i] = b
	return b, nil
}

// examineProver takes a binary of the user's.
func examineProver(path string) (*replayBuilt, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		path = filepath.Join(home, rest)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file that can be executed", path)
	case info.Mode()&0o111 == 0:
		return nil, fmt.Errorf("%s is not executable", path)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	return &replayBuilt{ref: fmt.Sprintf("%s (sha256 %.12s)", filepath.Base(path), digest), binary: path, sha256: digest}, nil
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
	argv := plan.ReplayArgv(&r.Spec, s.Side, b.binary, "tcp://"+ln.Addr().String())
	path := r.Run.Log("prover-" + string(s.Side))
	p, err := r.children.Start(host.Command{
		Name: fmt.Sprintf("the %s prover", s.Side), Argv: argv, Log: path,
	})
	if err != nil {
		return "", errors.Join(fault.Newf(fault.Prerequisite, "%w", err).Hint("file %s", b.binary), ln.Close())
	}
	r.provers[i] = &replayProver{process: p, listener: ln, log: &proverLog{path: path}}
	m := &r.manifest.Sides[i]
	m.Ref, m.Commit, m.Binary, m.BinarySHA256, m.Argv = b.ref, b.commit, b.binary, b.sha256, argv
	return p.Identity(), r.Run.WriteJSON(store.StartName, r.manifest)
}

// probe asks a build's help text whether it is a prover that can be replayed
// to, and has the backend.
func (r *replayer) probe(ctx context.Context, side sample.Side, b *replayBuilt) error {
	argv := slices.Concat([]string{b.binary}, plan.ReplayCommand(&r.Spec), []string{"--help"})
	name := strings.Join(argv, " ")
	path := r.Run.Log("help-" + string(side))
	p, err := r.children.Start(host.Command{Name: name, Argv: argv, Log: path})
	if err != nil {
		return fault.Newf(fault.Prerequisite, "%w", err).Hint("file %s", b.binary)
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
