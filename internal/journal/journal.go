// Package journal is what runs that outlive their controller have in common: how
// a run begins on disk, what a later process reads of it to go on, and how the
// files that grow on a host are read from where one left off.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/store"
)

// StateName is the file in the run directory that says how far a run is that can
// be taken up again, beside the journal: what a later process needs to go on
// with it.
const StateName = "state.json"

// ThisMachine describes this machine for a manifest.
func ThisMachine() store.Environment {
	fp := host.ThisMachine()
	return store.Environment{
		Hostname: fp.Hostname, OS: fp.OS, Kernel: fp.Kernel, CPU: fp.CPU, CPUs: fp.CPUs,
		MemoryBytes: fp.MemoryBytes, Go: runtime.Version(), LoadAverage: fp.LoadAverage,
	}
}

// Begin stores what a run is going to do: its spec, its plan with the hash that
// was approved, and m, the manifest of a run that has begun.
func Begin(run *store.Run, specYAML []byte, p plan.Plan, m store.Manifest) error {
	if err := run.Write(store.SpecName, specYAML); err != nil {
		return err
	}
	if err := run.WriteJSON(store.PlanName, struct {
		plan.Plan
		Hash string `json:"hash"`
	}{p, p.Hash()}); err != nil {
		return err
	}
	if err := run.WriteJSON(store.StartName, m); err != nil {
		return err
	}
	for _, s := range p.Steps {
		if err := run.Journal(s.ID, store.Planned, s.Purpose); err != nil {
			return err
		}
	}
	return nil
}

// Step does a step of a run and journals how it began and how it ended. The
// detail is for the journal.
func Step(ctx context.Context, run *store.Run, id string, do func() (detail string, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := run.Journal(id, store.Started, ""); err != nil {
		return err
	}
	detail, err := do()
	if err != nil {
		return errors.Join(err, run.Journal(id, store.Failed, FirstLine(WithCause(ctx, err))))
	}
	return run.Journal(id, store.Done, detail)
}

// ReadPlan reads the plan that was approved. One that was changed since, which
// its hash tells, is an error of kind fault.Usage.
func ReadPlan(dir string) (plan.Plan, error) {
	raw, err := os.ReadFile(filepath.Join(dir, store.PlanName))
	if err != nil {
		return plan.Plan{}, fault.Newf(fault.Usage, "run %s: %w", dir, err)
	}
	stored := struct {
		plan.Plan
		Hash string `json:"hash"`
	}{}
	if err := json.Unmarshal(raw, &stored); err != nil {
		return plan.Plan{}, fault.Newf(fault.Usage, "%s: %w", filepath.Join(dir, store.PlanName), err)
	}
	if stored.Plan.Hash() != stored.Hash {
		return plan.Plan{}, fault.Newf(fault.Usage, "%s is not the plan that was approved: its hash differs", filepath.Join(dir, store.PlanName)).
			Hint("start a new run")
	}
	return stored.Plan, nil
}

// ReadState reads what an earlier process left: state, and the manifest.
func ReadState(run *store.Run, state any, m *store.Manifest) error {
	for name, into := range map[string]any{StateName: state, store.StartName: m} {
		raw, err := os.ReadFile(filepath.Join(run.Dir(), name))
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// ReadRecords reads the records that a run has so far, by side.
func ReadRecords(run *store.Run) (records [2][]sample.Record, err error) {
	for i, side := range sample.Sides {
		_, err := store.ReadLines(filepath.Join(run.Dir(), store.SamplesName(side)), func(rec sample.Record) error {
			if err := store.CheckRecord(rec); err != nil {
				return err
			}
			records[i] = append(records[i], rec)
			return nil
		})
		if err != nil {
			return records, err
		}
	}
	return records, nil
}

// WithCause replaces a bare cancellation by why it was cancelled.
func WithCause(ctx context.Context, err error) error {
	switch {
	case err == nil || ctx.Err() == nil:
		return err
	case errors.Is(err, context.Canceled):
		return context.Cause(ctx)
	}
	return errors.Join(context.Cause(ctx), err)
}

// FirstLine is the first line of an error, for a table.
func FirstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSuffix(line, "; the end of its log:")
}

// Pause waits for d or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// GoesOn is err, after which a run goes on without this process: what says so.
// The hints take it up again with command, "verdict witness", and the flags
// again, each after a blank; resuming says what that does.
func GoesOn(run *store.Run, command, again string, err error, what, resuming string) error {
	dir := shell.Quote(run.Dir())
	return fault.Newf(fault.KindOf(err), "%w; %s", err, what).
		Hint("%s --resume %s%s   # %s", command, dir, again, resuming).
		Hint("%s --stop %s%s   # end it", command, dir, again)
}
