package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/prove"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// minReplayed is the fewest pairs with which any order of them can decide
// something at the usual error rate.
const minReplayed = 6

// replayOptions are the flags of verdict prover replay.
type replayOptions struct {
	flags *cobra.Command
	// spec holds what flags set directly.
	spec             spec.Replay
	builds           [2]string // of baseline and test
	program, backend string
	marginPercent    float64
	out              string
	json, dryRun     bool
	failOnRegression bool
}

func newProverReplay(w World) *cobra.Command {
	o := replayOptions{spec: spec.DefaultReplay()}
	cmd := &cobra.Command{
		Use:   "replay RECORDING",
		Short: "Compare two provers on the same recorded batches",
		Long: `Replay has two builds of a prover prove the same recorded batches, on this
machine, and ends in a verdict with an interval. It takes the coordinator's part:
there is no L1, no L2 and no load, and the inputs are the same bytes.

Both provers run all the time, and only one of them has a batch at a time. Each
batch goes to both, one right after the other; which one begins alternates
(ABBA). The proving time is the one that the prover logs: without the transfer of
inputs and proofs. The first proof of a process pays for its setting up, so each
side proves the first batch once more before they count.

The public outputs of the proofs must agree, or the result is invalid. Fewer than
4 batches give no result, fewer than 6 no verdict.

A build is a binary or a git ref of --repository. --aa runs the baseline on both
sides: it shows what this machine sees where there is no difference.

The report goes to stdout, progress to stderr, everything to the run directory.

Exit status: 0 done, whatever the verdict; 1 the replay failed, as when a prover
does not accept the recorded input; 2 bad usage; 3 the verdict is "regresses" and
--fail-on-regression was given; 4 a build cannot be used; 5 the verdict is
"invalid"; 130 interrupted.`,
		Example: `  # two binaries of ethrex, with the backend that they were built with
  verdict prover replay batches --baseline ./ethrex-main --test ./ethrex-pr --backend sp1

  # a pull request against main, 20 batches
  verdict prover replay batches --repository ~/ethrex --baseline main --test 6157 --batches 20

  # the noise floor of this machine
  verdict prover replay batches --baseline ./ethrex-main --aa

  # the built-in prover
  verdict prover replay batches --program verdict --baseline ./verdict-old --test ./verdict`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.flags = cmd
			return runProverReplay(cmd.Context(), w, &o, args[0])
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *replayOptions) addFlags(cmd *cobra.Command) {
	f, s := cmd.Flags(), &o.spec
	f.SortFlags = false
	for i, side := range sample.Sides {
		f.StringVar(&o.builds[i], string(side), "", fmt.Sprintf("`BUILD` of the %s side: a binary, a git ref, or the number of a pull request", side))
	}
	f.BoolVar(&s.Same, "aa", false, "run the baseline on both sides")
	f.StringVar(&o.program, "program", "", "what the builds are: ethrex, or verdict for the built-in prover (default: verdict for binaries of that name)")
	f.StringVar(&s.Repository, "repository", ".", "git `clone` that refs are built from")
	f.StringVar(&s.Program.Build, "build", "", "shell `command` that builds a ref, in place of the program's own")
	f.StringVar(&s.Program.Binary, "binary", "", "`file` that --build makes, relative to the worktree")
	f.StringVar(&o.backend, "backend", string(s.Backend), "what proves: exec, sp1, risc0")
	f.BoolVar(&s.GPU, "gpu", false, "build refs with support for the GPU")
	f.StringArrayVar(&s.Program.Args, "prover-arg", nil, "`argument` added to the command of both provers; can be given again")
	f.IntVar(&s.Batches, "batches", 0, "replay the first `N` recorded batches (default: all)")
	f.IntVar(&s.WarmUp, "warmup", s.WarmUp, "prove the first batch `N` times before the batches count")
	f.IntVar(&s.Rounds, "rounds", s.Rounds, "prove each batch `N` times on each side: takes the noise of single proofs off")
	f.Float64Var(&o.marginPercent, "margin", 100*s.Margin, "practical margin in `percent`: smaller effects do not matter")
	f.Uint64Var(&s.Seed, "seed", 0, "seed of the order (default: drawn)")
	f.DurationVar(&s.Poll, "poll", s.Poll, "pause of an idle prover between two questions for work")
	f.DurationVar(&s.AskTimeout, "ask-timeout", s.AskTimeout, "how long a prover may take to ask for its next batch, its start included")
	f.DurationVar(&s.ProofTimeout, "proof-timeout", s.ProofTimeout, "how long a proof may take")
	f.StringVarP(&o.out, "out", "o", "", "run `DIR` (default: a new one in runs)")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan and do nothing")
	f.BoolVar(&o.failOnRegression, "fail-on-regression", false, "exit with status 3 when the verdict is \"regresses\"")
}

func runProverReplay(ctx context.Context, w World, o *replayOptions, dir string) error {
	recording, err := coordinator.Open(dir)
	if err != nil {
		return err
	}
	s, err := o.resolve(w, recording)
	if err != nil {
		return err
	}
	for _, warning := range recording.Warnings {
		fmt.Fprintf(w.Stderr, "verdict: %s\n", warning)
	}
	if s.Batches < minReplayed {
		fmt.Fprintf(w.Stderr, "verdict: with %s there is no verdict: it needs %d\n", count(s.Batches, "batch"), minReplayed)
	}
	encoded := s.Encode()
	p := plan.MakeReplay(&s, spec.Hash(encoded))
	if o.dryRun {
		_, err := io.WriteString(w.Stdout, p.Text())
		return err
	}
	run, err := makeRun(w, o.out, w.Now().UTC().Format("2006-01-02T15-04-05Z")+"-"+s.Workflow)
	if err != nil {
		return err
	}
	defer run.Close()
	line := newStatusLine(w)
	shown := &replayTeller{w: w, line: line, started: w.Now()}
	done := &report.Run{Dir: run.Dir(), Replay: &s}
	replayErr := prove.Replay(ctx, prove.ReplayOptions{
		Spec: s, SpecYAML: encoded, Plan: p, Run: run, Recording: recording,
		Now: w.Now, Version: version(), Progress: shown.update,
		Report: func(m store.Manifest, r *compare.Result) error {
			done.Manifest, done.Result = m, r
			return writeReports(run, done)
		},
	})
	line.end()
	return concludeRun(w, done, errors.Join(replayErr, run.Close()), ending{json: o.json, failOnRegression: o.failOnRegression})
}

// resolve makes the complete spec.
func (o *replayOptions) resolve(w World, recording *coordinator.Recording) (spec.Replay, error) {
	s := o.spec
	if s.Same && o.builds[1] != "" {
		return s, fault.Newf(fault.Usage, "--aa runs the baseline on both sides: it excludes --test")
	}
	if err := o.sides(w, &s); err != nil {
		return s, err
	}
	s.Backend = spec.Backend(o.backend)
	s.Margin = o.marginPercent / 100
	if !o.flags.Flags().Changed("seed") {
		s.Seed = randomSeed()
	}
	n := len(recording.Batches)
	switch {
	case n == 0:
		return s, fault.Newf(fault.Usage, "recording %s holds no batch", recording.Dir).Hint("verdict prover record --out %s", recording.Dir)
	case !o.flags.Flags().Changed("batches"):
		s.Batches = n
	case s.Batches > n:
		return s, fault.Newf(fault.Usage, "--batches %d: recording %s holds %s", s.Batches, recording.Dir, count(n, "batch"))
	}
	var err error
	if s.Recording, err = filepath.Abs(recording.Dir); err != nil {
		return s, fmt.Errorf("finding %s: %w", recording.Dir, err)
	}
	s.RecordingHash = recordingHash(recording.Batches[:max(0, min(s.Batches, n))])
	return s, s.Validate()
}

// sides sets the program and the builds of both sides. Paths do not depend on
// the folder that verdict was started in.
func (o *replayOptions) sides(w World, s *spec.Replay) error {
	if o.program == spec.BuiltIn && o.builds[0] == "" {
		own, err := w.Executable()
		if err != nil {
			return fmt.Errorf("finding this program's own file: %w", err)
		}
		o.builds[0] = own
	}
	for i, side := range sample.Sides {
		setBuild(s.Side(side), o.builds[i], true, true)
		s.Side(side).Ref = spec.Ref(s.Side(side).Ref)
	}
	if s.Same {
		s.Test = s.Baseline
	}
	s.Program.Name = o.program
	if o.program == "" {
		s.Program.Name = programOf(s)
	}
	if s.Baseline.Ref == "" && s.Test.Ref == "" {
		s.Repository = "" // nothing is built
	}
	for _, p := range []*string{&s.Baseline.Binary, &s.Test.Binary, &s.Repository} {
		if *p == "" || strings.HasPrefix(*p, "~/") {
			continue
		}
		whole, err := filepath.Abs(*p)
		if err != nil {
			return fmt.Errorf("finding %s: %w", *p, err)
		}
		*p = whole
	}
	return nil
}

// programOf tells by their names what binaries are. Refs are those of ethrex.
func programOf(s *spec.Replay) string {
	for _, side := range sample.Sides {
		if b := s.Side(side).Binary; b == "" || !strings.HasPrefix(filepath.Base(b), spec.BuiltIn) {
			return spec.Ethrex
		}
	}
	return spec.BuiltIn
}

// recordingHash identifies the documents that are replayed.
func recordingHash(batches []coordinator.Batch) string {
	sum := sha256.New()
	for _, b := range batches {
		fmt.Fprintf(sum, "%d %s\n", b.Number, b.SHA256)
	}
	return fmt.Sprintf("sha256:%x", sum.Sum(nil))
}

// replayTeller shows how a replay gets on.
type replayTeller struct {
	w       World
	line    *statusLine
	started time.Time
	phase   string
}

// update shows p if it is time to, and always when a step begins.
func (t *replayTeller) update(p prove.ReplayProgress) {
	if p.Message != "" {
		t.line.say("%s", p.Message)
		return
	}
	news := p.Phase != t.phase || p.Planned > 0 && p.Done == p.Planned
	t.phase = p.Phase
	t.line.show(replayLine(p, t.w.Now().Sub(t.started)), news)
}

// replayLine is one line of progress: pairs done, both medians and the ratio so
// far. That ratio is no result: the analysis is the one at the planned number.
func replayLine(p prove.ReplayProgress, elapsed time.Duration) string {
	line := fmt.Sprintf("%-8s", p.Phase)
	if p.Planned > 0 {
		line += fmt.Sprintf(" %*d/%d", len(fmt.Sprint(p.Planned)), p.Done, p.Planned)
	}
	if p.Side != "" {
		line += fmt.Sprintf("  batch %d on the %s", p.Batch, p.Side)
	}
	if p.Median[0] > 0 && p.Median[1] > 0 {
		line += fmt.Sprintf("  baseline %.4g ms  test %.4g ms", p.Median[0], p.Median[1])
	}
	if p.Ratio > 0 {
		line += fmt.Sprintf("  ratio so far %.3g", p.Ratio)
	}
	return line + fmt.Sprintf("  %s", elapsed.Round(time.Second))
}
