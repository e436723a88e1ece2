// Package store keeps runs on disk: one directory per run, whose samples are
// append-only and whose manifest is written last. The files and their
// promises are described in docs/format.md.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
)

// Names of the files in a run directory.
const (
	StartName    = "start.json"
	ManifestName = "manifest.json"
	SpecName     = "spec.yaml"
	PlanName     = "plan.json"
	JournalName  = "journal.jsonl"
	LogsName     = "logs"
	// LockName is held locked by the program that writes the run.
	LockName = ".lock"
)

// SamplesName is the name of one side's samples file.
func SamplesName(side sample.Side) string { return fmt.Sprintf("samples-%s.jsonl", side) }

// ErrBusy is the error of a run that another process is writing.
var ErrBusy = errors.New("is in use by another verdict")

// ErrTaken is the error of a run directory that is in use already.
var ErrTaken = errors.New("exists and is not empty")

// Run is a run directory that is being written.
type Run struct {
	dir     string
	samples [2]*Lines
	journal *Lines
	lock    *os.File
	now     func() time.Time
}

// Create makes the directory of a new run. The directory may exist only if it
// is empty: no run is ever written over.
func Create(dir string, now func() time.Time) (*Run, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return nil, fault.Newf(fault.Usage, "run directory %s %w", dir, ErrTaken).
			Hint("choose another directory with --out")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fault.Newf(fault.Prerequisite, "run directory: %w", err).
			Hint("choose another directory with --out")
	}
	if err := os.MkdirAll(filepath.Join(dir, LogsName), 0o755); err != nil {
		return nil, fault.Newf(fault.Prerequisite, "creating the run directory: %w", err).
			Hint("choose a writable directory with --out")
	}
	return open(dir, now)
}

// Open opens the directory of a run to go on with it.
func Open(dir string, now func() time.Time) (*Run, error) {
	if _, err := os.Stat(filepath.Join(dir, StartName)); err != nil {
		return nil, notARun(dir, err)
	}
	return open(dir, now)
}

// open opens the files of a run for appending and holds its lock until Close.
func open(dir string, now func() time.Time) (*Run, error) {
	lock, err := lockFile(filepath.Join(dir, LockName))
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, now: now, lock: lock}
	for _, side := range sample.Sides {
		if r.samples[side.Index()], err = r.open(SamplesName(side)); err != nil {
			return nil, err
		}
	}
	if r.journal, err = r.open(JournalName); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Run) open(name string) (*Lines, error) {
	lines, _, err := OpenLines(filepath.Join(r.dir, name))
	if err != nil {
		return nil, errors.Join(fault.As(fault.Prerequisite, err), r.Close())
	}
	return lines, nil
}

// Dir is the run directory.
func (r *Run) Dir() string { return r.dir }

// Log is the path of the log file of the named program.
func (r *Run) Log(program string) string {
	return filepath.Join(r.dir, LogsName, program+".log")
}

// AppendRaw adds whole lines, as another program wrote them, to the samples of
// side. Size is where the next ones go.
func (r *Run) AppendRaw(side sample.Side, lines []byte) error {
	return r.samples[side.Index()].AppendRaw(lines)
}

// Size is the length of the samples file of side in bytes.
func (r *Run) Size(side sample.Side) int64 { return r.samples[side.Index()].Size() }

// Append adds one record to the samples of side.
func (r *Run) Append(side sample.Side, record sample.Record) error {
	return r.samples[side.Index()].Append(record)
}

// Event is one line of the journal: what happened to a step of the plan.
type Event struct {
	V     int       `json:"v"`
	Time  time.Time `json:"time"`
	Step  string    `json:"step"`
	Event string    `json:"event"`
	// Detail is for people: a pid, an address, the reason of a failure.
	Detail string `json:"detail,omitempty"`
}

// The events of a step.
const (
	Planned = "planned"
	Started = "started"
	Done    = "done"
	Failed  = "failed"
	Undone  = "undone"
	// Approved: a step that destroys something was approved.
	Approved = "approved"
)

// Events reads the journal, in order.
func (r *Run) Events() ([]Event, error) {
	var events []Event
	_, err := ReadLines(filepath.Join(r.dir, JournalName), func(e Event) error {
		events = append(events, e)
		return nil
	})
	return events, err
}

// Journal records an event of a step and forces it to the disk, so that after
// a crash the journal tells what had been started.
func (r *Run) Journal(step, event, detail string) error {
	e := Event{V: 1, Time: r.now().UTC(), Step: step, Event: event, Detail: detail}
	if err := r.journal.Append(e); err != nil {
		return err
	}
	return r.journal.Sync()
}

// Write puts a whole file into the run, by rename, so that it is there either
// completely or not at all.
func (r *Run) Write(name string, data []byte) error {
	return WriteFile(filepath.Join(r.dir, name), data)
}

// WriteJSON is Write of v as indented JSON.
func (r *Run) WriteJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	return r.Write(name, append(data, '\n'))
}

// Close closes the run's open files.
func (r *Run) Close() error {
	var errs []error
	for _, l := range append(r.samples[:], r.journal) {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	if r.lock != nil {
		errs = append(errs, r.lock.Close())
	}
	return errors.Join(errs...)
}

// WriteFile writes data to path by way of a temporary file in the same
// directory and a rename.
func WriteFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
