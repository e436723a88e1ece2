package prove

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// state is the content of journal.StateName.
type state struct {
	V int `json:"v"`
	// Dir is the run's directory on the host.
	Dir string `json:"dir"`
	// Program is the path of verdict on the host.
	Program string `json:"program,omitempty"`
	// Approved is what was approved to be removed, by the step that does.
	Approved map[string]string `json:"approved,omitempty"`
	// Found is what find saw, for the steps that remove it.
	Found []program.Leftover `json:"found,omitempty"`
	// Builds are the binaries, by the step that made them.
	Builds map[string]program.Built `json:"builds,omitempty"`
	// Image is that of an L1 in a container.
	Image program.Image `json:"image,omitzero"`
	// Sessions are in the order of the plan.
	Sessions []sessionState `json:"sessions"`
	// Ended says that the run was taken down before its end.
	Ended bool `json:"ended,omitempty"`
}

// sessionState is how far one session is.
type sessionState struct {
	// Began says that something of it was, or may have been, started.
	Began bool `json:"began,omitempty"`
	// Base is where its lines begin in the samples file of its side, in bytes.
	Base int64 `json:"base"`
	// Container is the id of the L1's container, if it has one.
	Container string `json:"container,omitempty"`
	// Head is the L2's newest block when the load began.
	Head uint64 `json:"head"`
	// Done says that everything of it is here, and stopped.
	Done bool `json:"done,omitempty"`
}

// dir is the session's directory on the host.
func (r *runner) dir(session int) string {
	return program.Fill([]string{program.SessionDir(session)}, map[string]string{program.RunWord: r.state.Dir})[0]
}

// open prepares the run directory, or reads what an earlier process left.
func (r *runner) open() error {
	if !r.Resume {
		r.state = state{
			V: 1, Dir: journal.NewRemoteDir(r.Run),
			Approved: make(map[string]string), Builds: make(map[string]program.Built),
			Sessions: make([]sessionState, len(r.sessions)),
		}
		r.manifest = r.begun()
		return errors.Join(journal.Begin(r.Run, r.SpecYAML, r.Plan, r.manifest), r.Run.WriteJSON(journal.StateName, r.state))
	}
	if err := journal.ReadState(r.Run, &r.state, &r.manifest); err != nil {
		var missing *fs.PathError
		if errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) {
			return fault.Newf(fault.Usage, "the run ended before it had begun: it has no %s", filepath.Base(missing.Path)).
				Hint("start a new one")
		}
		return err
	}
	if len(r.state.Sessions) != len(r.sessions) {
		return fmt.Errorf("%s speaks of %d sessions, the plan of %d", journal.StateName, len(r.state.Sessions), len(r.sessions))
	}
	if r.state.Ended && !r.Stop {
		return fault.Newf(fault.Usage, "the run %s was ended and its localnet taken down: it cannot go on", r.Run.Dir()).
			Hint("%s %s   # a new run of the same spec", Command, filepath.Join(r.Run.Dir(), store.SpecName))
	}
	events, err := r.Run.Events()
	for _, e := range events {
		r.done[e.Step] = e.Event == store.Done
	}
	records, failure := journal.ReadRecords(r.Run)
	r.records = records
	return errors.Join(err, failure)
}

// begun is the manifest of a run that has begun.
func (r *runner) begun() store.Manifest {
	here := journal.ThisMachine()
	m := store.Manifest{
		V: store.ManifestVersion, Workflow: r.Spec.Workflow, State: store.Running,
		Started: r.Now().UTC(), SpecHash: r.Plan.SpecHash, PlanHash: r.Plan.Hash(),
		Program: r.Version, Environment: here,
	}
	name := r.Host.Name()
	if r.Spec.Host == "" {
		name = here.Hostname
	}
	for i, side := range sample.Sides {
		m.Sides[i] = store.Side{Side: side}
		if s := r.Spec.Side(side); s != nil {
			m.Sides[i].Host, m.Sides[i].Collector, m.Sides[i].Ref = name, name, refOf(s)
		}
	}
	return m
}

// refOf names the build of a side.
func refOf(s *spec.Side) string {
	if s.Ref != "" {
		return s.Ref
	}
	return s.Binary
}

// save changes the state and writes it.
func (r *runner) save(change func(*state)) error {
	change(&r.state)
	return r.Run.WriteJSON(journal.StateName, r.state)
}

// began reports whether anything was started on the host.
func (r *runner) began() bool {
	for _, s := range r.state.Sessions {
		if s.Began {
			return true
		}
	}
	return false
}

// provedAll reports whether all sessions have their proofs.
func (r *runner) provedAll() bool {
	for _, s := range r.state.Sessions {
		if !s.Done {
			return false
		}
	}
	return true
}
