package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

func newWitness(w World) *cobra.Command {
	var o witnessOptions
	cmd := &cobra.Command{
		Use:   "witness [SPEC]",
		Short: "A/B benchmark of debug_executionWitness",
		Long: `Measures debug_executionWitness on two sides, block by block, and ends in a
verdict with an interval.

Where it runs:
  --local         the built-in node twice, as separate processes on this machine
  --baseline-rpc, --test-rpc
                  two servers that already run; nothing is started
  --devnet        two builds of an execution client, fed the same blocks, on this
                  machine or on --host
  --live          two servers that follow a public network, reached by ssh
SPEC is a file that says all of it; flags override what it says. Without a place
and a file, and for what is missing, verdict asks if it has a terminal.

A build is a binary, a git ref, or the number of a pull request.

The answers of both sides must agree, and witnesses are proved complete by
re-executing their blocks, or the result is invalid.

The report goes to stdout, progress to stderr, everything to the run directory.

Exit status: 0 done, whatever the verdict; 1 the run failed; 2 bad usage; 3 the
verdict is "regresses" and --fail-on-regression was given; 4 a server or port
is not available; 5 the verdict is "invalid"; 130 interrupted.`,
		Example: `  # on-demand witnesses against precomputed ones, 200 blocks, about a minute
  verdict witness --local

  # the noise floor of this machine first, then stop as soon as it is decided
  verdict witness --local --aa 100 --blocks 400 --stop auto

  # two servers that already run, machine-readable
  verdict witness --baseline-rpc http://127.0.0.1:8545 --test-rpc http://127.0.0.1:9545 --json

  # two binaries, and a pull request against main, on the same blocks
  verdict witness --devnet --program geth --baseline ./geth-old --test ./geth-new
  verdict witness --devnet --program ethrex --repository ~/ethrex --baseline main --test 6157

  # a pull request on two servers that follow hoodi
  verdict witness --live --baseline-host server-1 --test-host server-2 --network hoodi --test 6157

  # write the same as a file, look at its plan, run it
  verdict witness --live --baseline-host server-1 --test-host server-2 --network hoodi --test 6157 --init pr.yaml
  verdict witness pr.yaml --dry-run
  verdict witness pr.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.flags = cmd
			if len(args) == 1 {
				o.file = args[0]
			}
			switch {
			case o.schema:
				_, err := w.Stdout.Write(spec.Schema())
				return err
			case o.init != "":
				return runInit(cmd.Context(), w, &o)
			}
			return runWitness(cmd.Context(), w, &o)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	o.addFlags(cmd)
	return cmd
}

// witnessOptions are the flags of verdict witness.
type witnessOptions struct {
	flags *cobra.Command
	// file is the spec file, empty for none.
	file string
	// local, devnet and live choose the place; attached does when it was
	// chosen as the answer to a question.
	local, devnet, live, attached bool

	values        []*specFlag
	marginPercent float64
	builds, ports [2]string // of baseline and test
	clear         []string

	sshConfig, hostBinary string

	control          runControl
	noInput, schema  bool
	init             string
	out              string
	json             bool
	dryRun           bool
	failOnRegression bool
}

// resolve makes the complete spec, or one error that names all that is missing
// or wrong. On a terminal it asks for what is missing.
func (o *witnessOptions) resolve(ctx context.Context, w World) (spec.Witness, error) {
	s, given, err := o.complete(ctx, w)
	if err != nil {
		return s, err
	}
	if !given.Given("seed") {
		s.Seed = randomSeed()
	}
	return s, absolute(&s)
}

// complete is resolve without what concerns this one run only.
func (o *witnessOptions) complete(ctx context.Context, w World) (spec.Witness, spec.Keys, error) {
	if err := o.ask(ctx, w); err != nil {
		return spec.Witness{}, nil, err
	}
	s, given, err := o.assemble()
	if err != nil {
		return s, nil, err
	}
	return s, given, s.ValidateGiven(given)
}

// assemble lays the flags over the file over the defaults of the place.
func (o *witnessOptions) assemble() (spec.Witness, spec.Keys, error) {
	s, given, err := o.base()
	if err != nil {
		return s, nil, err
	}
	if err := o.refuse(s.Place); err != nil {
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
	if err := o.servers(&s, given); err != nil {
		return s, nil, err
	}
	s.Complete(given)
	return s, given, nil
}

// base is the spec of the file, or the defaults of the place.
func (o *witnessOptions) base() (spec.Witness, spec.Keys, error) {
	place, err := o.place()
	if err != nil {
		return spec.Witness{}, nil, err
	}
	if o.file == "" {
		if place == "" {
			return spec.Witness{}, nil, errNoPlace()
		}
		return spec.Defaults(place), make(spec.Keys), nil
	}
	data, err := readSpec(o.file)
	if err != nil {
		return spec.Witness{}, nil, err
	}
	s, given, err := spec.DecodeFile(o.file, data)
	if err == nil && place != "" && place != s.Place {
		err = fault.Newf(fault.Usage, "%s is for place %s: it excludes %s", o.file, s.Place, placeFlag(place))
	}
	return s, given, err
}

func errNoPlace() error {
	return fault.Newf(fault.Usage, "nothing to compare: give --local, --baseline-rpc and --test-rpc, --devnet, --live or a spec file").
		Hint("verdict witness --local")
}

// readSpec reads a spec file of verdict witness.
func readSpec(name string) ([]byte, error) { return readSpecOf(name, "witness") }

// readSpecOf reads a spec file of a command, and no more of another than shows
// that it is none.
func readSpecOf(name, command string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.Newf(fault.Usage, "spec file: %w", err).Hint("verdict %s --help", command)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, spec.MaxSize+1))
	if err != nil {
		return nil, fault.Newf(fault.Usage, "spec file: %w", err)
	}
	return data, nil
}

// place is the place that the flags choose, empty when they choose none.
func (o *witnessOptions) place() (spec.Place, error) {
	var chosen []spec.Place
	for _, c := range []struct {
		is    bool
		place spec.Place
	}{
		{o.local, spec.Local},
		{o.attached || o.changed("baseline-rpc") || o.changed("test-rpc"), spec.Attached},
		{o.devnet, spec.Devnet},
		{o.live, spec.Live},
	} {
		if c.is {
			chosen = append(chosen, c.place)
		}
	}
	switch len(chosen) {
	case 0:
		return "", nil
	case 1:
		return chosen[0], nil
	}
	names := make([]string, len(chosen)-1)
	for i, p := range chosen[1:] {
		names[i] = placeFlag(p)
	}
	return "", fault.Newf(fault.Usage, "%s says where to run: it excludes %s", placeFlag(chosen[0]), strings.Join(names, " and "))
}

// placeFlag is how a place is chosen on the command line.
func placeFlag(p spec.Place) string {
	if p == spec.Attached {
		return "--baseline-rpc and --test-rpc"
	}
	return "--" + string(p)
}

// refuse names the flags that have no meaning in place, rather than ignoring
// them.
func (o *witnessOptions) refuse(place spec.Place) error {
	var wrong []string
	for _, f := range o.meanings() {
		allowed := false
		names := make([]string, len(f.places))
		for i, p := range f.places {
			allowed = allowed || p == place
			names[i] = placeFlag(p)
		}
		if !allowed && o.changed(f.name) {
			wrong = append(wrong, fmt.Sprintf("--%s has a meaning with %s only, and this is place %s", f.name, strings.Join(names, " or "), place))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.Newf(fault.Usage, "%s", strings.Join(wrong, "\n"))
}

// servers lays the flags over s that say more than one key.
func (o *witnessOptions) servers(s *spec.Witness, given spec.Keys) error {
	for i, side := range sample.Sides {
		name := string(side)
		if o.changed(name) {
			setBuild(s.Side(side), o.builds[i], s.Place == spec.Devnet, s.Host == "")
			given[name+".ref"], given[name+".binary"] = "", ""
		}
		if o.changed(name + "-ports") {
			if err := setPorts(s, given, name, o.ports[i]); err != nil {
				return err
			}
		}
	}
	return setClear(s, given, o.clear)
}

// absolute makes the paths of this machine independent of the folder that
// verdict was started in, because a run can be resumed from another.
func absolute(s *spec.Witness) error {
	paths := []*string{&s.Genesis}
	if s.Place == spec.Devnet && s.Host == "" {
		paths = append(paths, &s.Baseline.Binary, &s.Test.Binary, &s.Repository)
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

// randomSeed is small enough to be typed again.
func randomSeed() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) % 1_000_000_000
}
