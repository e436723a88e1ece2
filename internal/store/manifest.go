package store

import (
	"bytes"
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

// ManifestVersion is the version of the manifest's format.
const ManifestVersion = 1

// Manifest says what a run was. What is known at the start is stored as
// start.json, in state running; the whole is written last, as manifest.json.
// A run that was killed has only the former, and so never looks finished.
type Manifest struct {
	V        int    `json:"v"`
	Workflow string `json:"workflow"`
	// State is running, complete or incomplete; only complete is a finished run.
	State string `json:"state"`
	// Reason says why the run is incomplete.
	Reason   string    `json:"reason,omitempty"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Verdict  string    `json:"verdict,omitempty"`
	SpecHash string    `json:"spec_hash"`
	PlanHash string    `json:"plan_hash"`
	// Network names the chain; ChainID is its id.
	Network string  `json:"network"`
	ChainID uint64  `json:"chain_id"`
	Sides   [2]Side `json:"sides"`
	// Program is the version of verdict that made the run.
	Program     string      `json:"program"`
	Environment Environment `json:"environment"`
	// Behind counts the commits of the baseline that the test build lacks,
	// where both were built from one repository: a test build that is not based
	// on the baseline differs from it by them too.
	Behind int `json:"behind,omitempty"`
}

// The states of a run.
const (
	Running    = "running"
	Complete   = "complete"
	Incomplete = "incomplete"
)

// Side describes one side of a run.
type Side struct {
	Side sample.Side `json:"side"`
	// Ref names the build: a git ref, a binary, a configuration or an address.
	Ref string `json:"ref"`
	// Host is where the program ran, Collector where its meter ran.
	Host      string `json:"host"`
	Collector string `json:"collector"`
	RPC       string `json:"rpc"`
	// Version is what web3_clientVersion answered.
	Version string `json:"version"`
	// Witness is how the program makes witnesses, where verdict decided it.
	Witness string `json:"witness,omitempty"`
	// Commit is the full hash of the commit that was built, where it is known.
	Commit string `json:"commit,omitempty"`
	// Binary is the program's file on Host, BinarySHA256 the 64 digits of its
	// checksum and Argv the arguments that it ran with, secrets aside.
	Binary       string   `json:"binary,omitempty"`
	BinarySHA256 string   `json:"binary_sha256,omitempty"`
	Argv         []string `json:"argv,omitempty"`
	// Environment is the machine that the program ran on, where that is another
	// one than the manifest's.
	Environment *Environment `json:"environment,omitempty"`
}

// Environment is a machine.
type Environment struct {
	Hostname string `json:"hostname"`
	OS       string `json:"os"`
	Kernel   string `json:"kernel,omitempty"`
	CPU      string `json:"cpu,omitempty"`
	CPUs     int    `json:"cpus"`
	// MemoryBytes is the machine's memory.
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	Go          string `json:"go"`
	// LoadAverage is the 1-minute load average at the start of the run.
	LoadAverage float64 `json:"load_average"`
}

// Data is everything of a run that its reports are made from.
type Data struct {
	Dir      string
	Manifest Manifest
	// Spec is the resolved spec as it was stored.
	Spec []byte
	// Records are the lines of the samples files, in order of time.
	Records [2][]sample.Record
	// Warnings are damages that could be read around.
	Warnings []string
}

// Read loads the run in dir. Torn last lines are tolerated and reported;
// anything else that is malformed is an error with file and line.
func Read(dir string) (*Data, error) {
	d := &Data{Dir: dir}
	name := ManifestName
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		name = StartName
		raw, err = os.ReadFile(filepath.Join(dir, name))
	}
	if err != nil {
		return nil, notARun(dir, err)
	}
	if err := json.Unmarshal(raw, &d.Manifest); err != nil {
		return nil, fault.Newf(fault.Usage, "%s: %w", filepath.Join(dir, name), jsonPosition(raw, err))
	}
	if name == StartName {
		d.Manifest.Reason = "the run was killed or is still going"
	}
	if d.Manifest.V > ManifestVersion {
		return nil, fault.Newf(fault.Usage, "run %s has format %d, this verdict reads up to %d", dir, d.Manifest.V, ManifestVersion).
			Hint("use a newer verdict")
	}
	if d.Spec, err = os.ReadFile(filepath.Join(dir, SpecName)); err != nil {
		return nil, fault.Newf(fault.Usage, "run %s: %w", dir, err)
	}
	for _, side := range sample.Sides {
		if err := d.readSamples(side); err != nil {
			return nil, fault.As(fault.Usage, err)
		}
	}
	return d, nil
}

// notARun tells a directory that is no run from one that cannot be read.
func notARun(dir string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.Usage, "run %s: %w", dir, err)
	}
	if _, e := os.Stat(dir); e != nil {
		return fault.Newf(fault.Usage, "run %s: %w", dir, errors.Unwrap(e))
	}
	return fault.Newf(fault.Usage, "%s is not a run directory: it has neither %s nor %s", dir, ManifestName, StartName)
}

func (d *Data) readSamples(side sample.Side) error {
	path := filepath.Join(d.Dir, SamplesName(side))
	torn, err := ReadLines(path, func(r sample.Record) error {
		if err := CheckRecord(r); err != nil {
			return err
		}
		d.Records[side.Index()] = append(d.Records[side.Index()], r)
		return nil
	})
	if torn {
		d.Warnings = append(d.Warnings, fmt.Sprintf("the last line of %s is torn and was left out", SamplesName(side)))
	}
	return err
}

// CheckRecord refuses a line of a samples file that this version cannot read.
func CheckRecord(r sample.Record) error {
	switch {
	case r.V > sample.Version:
		return fmt.Errorf("record of format %d, this verdict reads up to %d", r.V, sample.Version)
	case r.Kinds() != 1:
		return errors.New("a record must hold exactly one of sample, gap, attempt, batch, machine and notice")
	}
	return nil
}

// jsonPosition adds line and column to a JSON error.
func jsonPosition(raw []byte, err error) error {
	var offset int64
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	default:
		return err
	}
	before := raw[:min(offset, int64(len(raw)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := max(1, len(before)-1-bytes.LastIndexByte(before, '\n'))
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}
