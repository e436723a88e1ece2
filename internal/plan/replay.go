package plan

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// The steps of a replay beside those of every run, by ID. StartProof and
// StopProof have the side behind a "-".
const (
	// CheckRecording reads the recorded documents.
	CheckRecording = "check-recording"
	// ReplayBatches has the provers prove them.
	ReplayBatches = "replay"
)

// CoordinatorVariable stands in a plan for the address of the coordinator that
// a prover is pointed at, whose port is known only when the run is carried out.
const CoordinatorVariable = "COORDINATOR"

// MakeReplay is the plan of r, a valid spec whose encoding has the given hash.
func MakeReplay(r *spec.Replay, specHash string) Plan {
	p := Plan{V: 1, Workflow: r.Workflow, SpecHash: specHash}
	p.Steps = append(p.Steps, Step{
		ID: CheckRecording, Host: This,
		Purpose: fmt.Sprintf("read the documents of %d recorded batches in %s", r.Batches, r.Recording),
		Check:   "each has the checksum that it was recorded with",
	})
	sides := sample.Sides[:]
	if r.Same {
		sides = sides[:1]
	}
	for _, side := range sides {
		if s := r.Side(side); s.Binary == "" {
			p.Steps = append(p.Steps, replayBuild(r, side))
		}
	}
	for _, side := range sample.Sides {
		p.Steps = append(p.Steps, Step{
			ID: StartProof + "-" + string(side), Host: This, Side: side,
			Purpose: fmt.Sprintf("start the %s prover: %s", side, buildName(r.Side(side))),
			Argv:    ReplayArgv(r, side, program.BinaryWord, CoordinatorVariable),
			Check:   "it asks for work",
			Undo:    "interrupt it by pid and start time",
		})
	}
	p.Steps = append(p.Steps, Step{
		ID: ReplayBatches, Host: This,
		Purpose: fmt.Sprintf("give each batch to both provers%s, one after the other and never to both at once, in ABBA order drawn from seed %d; "+
			"before that each proves the first batch as a warm-up, %d in all for each side", times(r.Rounds), r.Seed, r.WarmUp),
		Check: fmt.Sprintf("%d pairs of proofs are recorded, each with the prover's own time", r.Batches*r.Rounds),
	})
	for _, side := range sample.Sides {
		p.Steps = append(p.Steps, Step{
			ID: StopProof + "-" + string(side), Host: This, Side: side,
			Purpose: fmt.Sprintf("stop the %s prover", side),
			Check:   "its process has ended",
		})
	}
	p.Steps = append(p.Steps, Step{
		ID: Report, Host: This,
		Purpose: "compare the public outputs, pair the proving times, decide, and write the reports",
		Check:   "manifest.json is in the run directory",
	})
	return p
}

// times says how often something is done, nothing for once.
func times(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" %d times", n)
}

// buildName says which build a side is.
func buildName(s *spec.Side) string {
	if s.Binary != "" {
		return s.Binary
	}
	return fmt.Sprintf("what was built from %q", s.Ref)
}

// replayBuild builds a side's ref as a prover run does, so that what one of them
// built the other need not build.
func replayBuild(r *spec.Replay, side sample.Side) Step {
	s := r.Side(side)
	build := program.BuildOfRollup(&spec.Prover{
		Program: r.Program, Repository: r.Repository, Backend: r.Backend, GPU: r.GPU,
		Baseline: r.Baseline, Test: &r.Test,
	}, side)
	return Step{
		ID: BuildSide + "-" + string(side), Host: This, Side: side,
		Purpose: fmt.Sprintf("build the %s ref %q of %s in a worktree of its own, unless that commit has been built before", side, s.Ref, r.Repository),
		Script:  program.BuildScript(build),
		Check:   fmt.Sprintf("%s of that commit is there, with the checksum that it was built with", build.Binary),
		Undo:    "none: the worktree stays in ~/.verdict/worktrees for the next run of that commit",
	}
}

// ReplayArgv is the command of the prover of a side, whose program is binary and
// whose coordinator has the given URL. The time of a proof is printed only on
// request; versions that know no such flag ignore a variable. RUST_LOG could mute
// the line that has it.
func ReplayArgv(r *spec.Replay, side sample.Side, binary, coordinator string) []string {
	return slices.Concat(
		[]string{"env", "-u", "RUST_LOG", "PROVER_CLIENT_TIMED=true", binary},
		ReplayCommand(r),
		[]string{
			"--proof-coordinators", coordinator, "--backend", string(r.Backend),
			"--proving-time", strconv.FormatInt(r.Poll.Milliseconds(), 10),
		},
		r.Program.Args, r.Side(side).Args)
}

// ReplayCommand are the words behind its binary that make the program of r a
// prover.
func ReplayCommand(r *spec.Replay) []string {
	if r.Program.Name == spec.BuiltIn {
		return []string{"devnet", "prover"}
	}
	return []string{"l2", "prover"}
}
