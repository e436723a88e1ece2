package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// newProver is the command verdict prover, with those that record and replay.
func newProver(w World) *cobra.Command {
	var o proverOptions
	cmd := &cobra.Command{
		Use:   "prover [SPEC]",
		Short: "Benchmark of the proving time of an L2, of one build or two",
		Long: `Brings up a localnet of L1, contracts, L2, load and prover, waits until so many
batches with load are proved, and reports proving time, gas, transactions and
blocks of each. Everything that it started is stopped at the end.

Where it runs:
  --local         the built-in rollup on this machine; its prover executes only
  --host ALIAS    ethrex on a server, reached by ssh
SPEC is a file that says all of it; flags override what it says. Without a place
and a file, and for what is missing, verdict asks if it has a terminal.

With --baseline and --test, two refs have their turns in the order ABBA, each with
a localnet of its own. They prove different batches, so that differences of a few
percent stay hidden; verdict prover replay compares on the same batches.

What earlier runs left is removed with --clear only, each kind after an approval.
The plan, with every command, is shown by --dry-run.

The report goes to stdout, progress to stderr, everything to the run directory.

Exit status: 0 done, whatever the verdict; 1 the run failed; 2 bad usage; 3 the
verdict is "regresses" and --fail-on-regression was given; 4 the server, a port or
a program is not available; 5 the result is invalid; 130 interrupted.`,
		Example: `  # five batches of the built-in rollup, in less than three minutes
  verdict prover --local

  # main of ethrex, proved with SP1 on the GPU of a server
  verdict prover --host gpu-1 --ref main --batches 10

  # execute only, with a load that goes on
  verdict prover --host server-1 --ref main --backend exec --batches 20 --endless

  # a pull request against main
  verdict prover --host gpu-1 --baseline main --test 6157 --batches 20

  # the L2 runs there already: only load and prover are started
  verdict prover --host gpu-1 --ref main --batches 10 --running

  # write the same as a file, look at its plan, run it
  verdict prover --host gpu-1 --ref main --batches 10 --init main.yaml
  verdict prover main.yaml --dry-run
  verdict prover main.yaml

  # take up a run after a lost connection, or end it
  verdict prover --resume runs/2026-11-22T10-15-30Z-prover-live
  verdict prover --stop runs/2026-11-22T10-15-30Z-prover-live`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.file = args[0]
			}
			return o.run(cmd.Context(), w)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	o.addFlags(cmd)
	cmd.AddCommand(newProverRecord(w), newProverReplay(w))
	return cmd
}

// proverOptions are the flags of verdict prover.
type proverOptions struct {
	proverControl
	// file is the spec file, empty for none.
	file  string
	local bool

	values        []*specFlag
	ref           string
	builds        [2]string // of baseline and test
	marginPercent float64
	ports         string
	intervals     string
	timeouts      string

	schema bool
	init   string
}

// run does what the flags ask for.
func (o *proverOptions) run(ctx context.Context, w World) error {
	if o.schema {
		_, err := w.Stdout.Write(spec.ProverSchema())
		return err
	}
	if o.init != "" {
		return o.writeFile(ctx, w)
	}
	dir, err := o.begun(o.file)
	if err != nil {
		return err
	}
	if dir != "" {
		return takeUpProver(ctx, w, &o.proverControl, dir)
	}
	s, err := o.resolve(ctx, w)
	if err != nil {
		return err
	}
	return runProver(ctx, w, &o.proverControl, s)
}

// writeFile writes the spec as a file that a person can go on with.
func (o *proverOptions) writeFile(ctx context.Context, w World) error {
	if _, err := os.Lstat(o.init); err == nil {
		return errTaken(o.init, "prover")
	}
	s, given, err := o.complete(ctx, w)
	if err != nil {
		return err
	}
	return writeSpec(w, o.init, "prover", s.Template(given))
}

// resolve makes the complete spec, or one error that names all that is missing
// or wrong. On a terminal it asks for what is missing.
func (o *proverOptions) resolve(ctx context.Context, w World) (spec.Prover, error) {
	s, given, err := o.complete(ctx, w)
	if err != nil {
		return s, err
	}
	if !given.Given("seed") {
		s.Seed = randomSeed()
	}
	return s, absoluteProver(&s)
}

// complete is resolve without what concerns this one run only.
func (o *proverOptions) complete(ctx context.Context, w World) (spec.Prover, spec.Keys, error) {
	if err := o.ask(ctx, w); err != nil {
		return spec.Prover{}, nil, err
	}
	s, given, err := o.assemble()
	if err != nil {
		return s, nil, err
	}
	return s, given, s.ValidateGiven(given)
}

// assemble lays the flags over the file over the defaults of the place.
func (o *proverOptions) assemble() (spec.Prover, spec.Keys, error) {
	s, given, err := o.base()
	if err != nil {
		return s, nil, err
	}
	for _, f := range o.values {
		if !o.changed(f.name) {
			continue
		}
		if err := s.Set(f.key, f.texts...); err != nil {
			return s, nil, fault.Newf(fault.Usage, "--%s %v", f.name, err)
		}
		given[f.key] = ""
	}
	if o.changed("margin") {
		s.Margin, given["margin"] = o.marginPercent/100, ""
	}
	for _, group := range []struct{ flag, key, text, form string }{
		{"ports", "ports.", o.ports, portsForm},
		{"intervals", "intervals.", o.intervals, intervalsForm},
		{"timeouts", "timeouts.", o.timeouts, timeoutsForm},
	} {
		if o.changed(group.flag) {
			if err := setGroup(&s, given, group.flag, group.key, group.text, group.form); err != nil {
				return s, nil, err
			}
		}
	}
	if err := o.setBuilds(&s, given); err != nil {
		return s, nil, err
	}
	s.Complete(given)
	return s, given, nil
}

// base is the spec of the file, or the defaults of the place.
func (o *proverOptions) base() (spec.Prover, spec.Keys, error) {
	place, err := o.place()
	if err != nil {
		return spec.Prover{}, nil, err
	}
	if o.file == "" {
		if place == "" {
			return spec.Prover{}, nil, fault.Newf(fault.Usage, "nowhere to run: give --local, --host ALIAS or a spec file").
				Hint("verdict prover --local")
		}
		return spec.ProverDefaults(place), make(spec.Keys), nil
	}
	data, err := readSpecOf(o.file, "prover")
	if err != nil {
		return spec.Prover{}, nil, err
	}
	s, given, err := spec.DecodeProverFile(o.file, data)
	if err == nil && place != "" && place != s.Place {
		err = fault.Newf(fault.Usage, "%s is for place %s: it excludes %s", o.file, s.Place, proverPlaceFlag(place))
	}
	return s, given, err
}

// place is the place that the flags choose, empty when they choose none.
func (o *proverOptions) place() (spec.Place, error) {
	switch host := o.changed("host"); {
	case o.local && host:
		return "", fault.Newf(fault.Usage, "--local runs on this machine: it excludes --host")
	case o.local:
		return spec.Local, nil
	case host:
		return spec.Live, nil
	}
	return "", nil
}

// proverPlaceFlag is how a place is chosen on the command line.
func proverPlaceFlag(p spec.Place) string {
	if p == spec.Local {
		return "--local"
	}
	return "--host"
}

// setBuilds lays the flags over s that name what is built.
func (o *proverOptions) setBuilds(s *spec.Prover, given spec.Keys) error {
	if o.changed("ref") && o.changed("baseline") {
		return fault.Newf(fault.Usage, "--ref and --baseline name the same build: give one")
	}
	here := s.Place == spec.Local
	if o.changed("ref") {
		s.Baseline.Ref, s.Baseline.Binary = o.ref, ""
		given["baseline.ref"] = ""
	}
	for i, side := range sample.Sides {
		if !o.changed(string(side)) {
			continue
		}
		if side == sample.Test && s.Test == nil {
			s.Test = &spec.Side{}
		}
		setBuild(s.Side(side), o.builds[i], true, here)
		given[string(side)+".ref"], given[string(side)+".binary"] = "", ""
	}
	return nil
}

// setGroup reads "l1=8545,l2=1729" into the keys below prefix.
func setGroup(s *spec.Prover, given spec.Keys, flag, prefix, text, form string) error {
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		key := prefix + name
		if !ok || !isProverKey(key) {
			return fault.Newf(fault.Usage, "--%s %q: write it as %s", flag, text, form)
		}
		if err := s.Set(key, value); err != nil {
			return fault.Newf(fault.Usage, "--%s: %s %v", flag, name, err)
		}
		given[key] = ""
	}
	return nil
}

func isProverKey(key string) bool {
	for _, k := range spec.ProverKeys() {
		if k == key {
			return true
		}
	}
	return false
}

// absoluteProver makes the paths of this machine independent of the folder that
// verdict was started in.
func absoluteProver(s *spec.Prover) error {
	if s.Place != spec.Local {
		return nil
	}
	paths := []*string{&s.Repository}
	for _, side := range s.Sides() {
		paths = append(paths, &s.Side(side).Binary)
	}
	for _, p := range paths {
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
