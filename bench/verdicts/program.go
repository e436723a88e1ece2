package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// program is the program whose verdicts are counted.
type program struct {
	path string
	// dir is where the run directories go.
	dir   string
	seed  uint64
	extra []string
}

// build makes the program of this checkout in dir.
func build(ctx context.Context, dir string) (path string, err error) {
	path = filepath.Join(dir, "verdict")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/verdict-bench/verdict/cmd/verdict")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building verdict: %w\n%s", err, out)
	}
	return path, nil
}

// The outcomes of a run, in the order of the tables.
var outcomes = []string{"improves", "regresses", "no effect", "inconclusive", "invalid"}

// report is what is read from the JSON report of a run.
type report struct {
	Outcome string `json:"outcome"`
	Effect  effect `json:"effect"`
	Pairs   int    `json:"pairs"`
	State   string `json:"state"`
	// Manifest says which program it was.
	Manifest struct {
		Program string `json:"program"`
	} `json:"manifest"`
}

// effect is a ratio of test to baseline with its interval. An end that does
// not exist is nil.
type effect struct {
	Ratio      *float64 `json:"ratio"`
	Low        *float64 `json:"low"`
	High       *float64 `json:"high"`
	Confidence float64  `json:"confidence"`
	Kind       string   `json:"kind"`
}

// exists reports whether there is an effect: a result that is invalid may have
// none.
func (e *effect) exists() bool { return e.Ratio != nil && *e.Ratio > 0 }

// level is what the interval claims to be.
func (e *effect) level() string {
	return strings.TrimSpace(fmt.Sprintf("%s %.3g %%", e.Kind, 100*e.Confidence))
}

// bounds are the ends on the log scale.
func (e *effect) bounds() (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	if e.Low != nil && *e.Low > 0 {
		low = math.Log(*e.Low)
	}
	if e.High != nil {
		high = math.Log(*e.High)
	}
	return low, high
}

// invalidStatus is how the program exits with a complete result that is
// invalid.
const invalidStatus = 5

// witness runs verdict witness to its end. name is that of the run directory,
// which is returned.
func (p *program) witness(ctx context.Context, name string, seed uint64, args ...string) (r report, dir string, err error) {
	dir = filepath.Join(p.dir, name)
	args = append([]string{"witness", "--json", "--out", dir, "--seed", strconv.FormatUint(seed, 10)}, args...)
	cmd := exec.CommandContext(ctx, p.path, append(args, p.extra...)...)
	// An interrupt at the terminal reaches this program, which passes it on
	// once: a second one would end verdict before it has cleaned up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return r, dir, ctx.Err()
	}
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) && exit.ExitCode() == invalidStatus {
		r, err = parseReport(stdout.Bytes())
	}
	if err != nil {
		return r, dir, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return r, dir, nil
}

// parseReport reads what verdict witness --json prints.
func parseReport(raw []byte) (r report, err error) {
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("the report: %w", err)
	}
	switch {
	case !slices.Contains(outcomes, r.Outcome):
		return r, fmt.Errorf("outcome %q is none of %q", r.Outcome, outcomes)
	case r.State != store.Complete:
		return r, fmt.Errorf("the run is %s", r.State)
	}
	return r, nil
}

// latencies reads the samples that a run analyzed: for each side the measured
// latency of each block.
func latencies(dir string) ([2]map[uint64]time.Duration, error) {
	var out [2]map[uint64]time.Duration
	for i, side := range sample.Sides {
		out[i] = make(map[uint64]time.Duration)
		_, err := store.ReadLines(filepath.Join(dir, store.SamplesName(side)), func(rec sample.Record) error {
			if s := rec.Sample; s != nil && s.Status == sample.OK && !s.WarmUp {
				out[i][s.Number] = s.Latency()
			}
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}
