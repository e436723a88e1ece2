package plan

import (
	"fmt"
	"slices"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// The steps of a devnet run beside those of every run, by ID.
const (
	// BuildRef makes the binary of a side from its ref.
	BuildRef = "build-" // and the side
	// Genesis writes the chain that both sides start from.
	Genesis = "genesis"
	// Init gives the data directory of a side that chain, where the program
	// wants that done before it starts.
	Init = "init-" // and the side
)

// Network is the built-in chain that has what the load of w calls.
func Network(w *spec.Witness) string { return network(w.Load) }

// DevnetValues are what the placeholders of a side's program stand for in a
// devnet run whose temporary directory is temp. The binary is that of the spec;
// one that is built, and the ports, are known only when the run is carried out.
func DevnetValues(w *spec.Witness, side sample.Side, temp, datadir string) program.Values {
	return program.Values{
		Binary:  w.Side(side).Binary,
		Datadir: temp + "/" + datadir,
		Genesis: temp + "/genesis.json",
		JWT:     temp + "/jwt.hex",
	}
}

// devnetBuilds are the steps that build the refs and write the chain. They come
// before everything that is measured.
func devnetBuilds(w *spec.Witness, d program.Description) []Step {
	var steps []Step
	for _, side := range sample.Sides {
		s := w.Side(side)
		if s.Binary != "" {
			continue
		}
		build := program.Build{Repository: w.Repository, Ref: s.Ref, Command: d.Build, Binary: d.Binary}
		if side == sample.Test {
			build.Against = w.Baseline.Ref
		}
		steps = append(steps, Step{
			ID: BuildRef + string(side), Host: This, Side: side,
			Purpose: fmt.Sprintf("build the %s ref %q of %s in a worktree of its own, unless that commit has been built before", side, s.Ref, w.Repository),
			Script:  program.BuildScript(build),
			Check:   fmt.Sprintf("%s of that commit is there, with the checksum that it was built with", d.Binary),
			Undo:    "none: the worktree stays in ~/.verdict/worktrees for the next run of that commit",
		})
	}
	return append(steps, Step{
		ID: Genesis, Host: This,
		Purpose: fmt.Sprintf("write the first block of the built-in chain %s, which both sides start from, and a secret for the Engine API", network(w.Load)),
		Check:   Temp + "/genesis.json and " + Temp + "/jwt.hex are there",
		Undo:    "remove the temporary directory " + Temp,
	})
}

// devnet is the steps that start the programs of both sides.
func devnet(w *spec.Witness, d program.Description) []Step {
	var inits, starts []Step
	for _, side := range sample.Sides {
		s := w.Side(side)
		v := DevnetValues(w, side, Temp, string(side))
		what := s.Binary
		if what == "" {
			what = fmt.Sprintf("what was built from %q", s.Ref)
		}
		if len(d.Init) > 0 {
			inits = append(inits, Step{
				ID: Init + string(side), Host: This, Side: side,
				Purpose: fmt.Sprintf("give %s of the %s side the chain: %s", d.Name, side, what),
				Argv:    v.Expand(d.Init),
				Check:   "it ends with exit status 0",
				Undo:    "remove its temporary data directory",
			})
		}
		args := program.Args(w.Program, s)
		purpose := fmt.Sprintf("start %s of the %s side on free ports: %s", d.Name, side, what)
		if optional := d.Optionally(args); optional != "" {
			purpose += "; also with those of these that its --help knows: " + optional
		}
		starts = append(starts, Step{
			ID: StartNode + string(side), Host: This, Side: side,
			Purpose: purpose,
			Argv:    v.Expand(slices.Concat(d.Command, args)),
			Check:   "its RPC and Engine API answer, on the chain that it was given",
			Undo:    "stop it by pid and start time, and remove its temporary data directory",
		})
	}
	return append(inits, starts...)
}

// Check returns what of w, a valid spec, no plan can be made of: a program that
// is not described, a ref of one that nothing says how to build, or a command on
// servers with a placeholder that nothing fills in. The error is the user's.
func Check(w *spec.Witness) error {
	if w.Place == spec.Live && !w.Servers.Synced {
		return program.CheckServerCommand(w.Program, &w.Baseline, &w.Test)
	}
	if w.Place != spec.Devnet {
		return nil
	}
	d, err := program.Describe(w.Program)
	if err != nil {
		return err
	}
	for _, side := range sample.Sides {
		switch s := w.Side(side); {
		case s.Binary == "" && s.Ref == "":
			return fault.Newf(fault.Usage, "the %s side has neither a binary nor a ref", side)
		case s.Binary == "" && (d.Build == "" || d.Binary == ""):
			return fault.Newf(fault.Usage, "nothing says how program %s is built from the ref %q: give program.build and program.binary, or a binary for the %s side", d.Name, s.Ref, side).
				Hint("--build COMMAND --binary PATH")
		}
	}
	return nil
}

// described is the description of a devnet's program, which Check has looked
// at.
func described(w *spec.Witness) program.Description {
	d, err := program.Describe(w.Program)
	if err != nil {
		panic("plan of a spec that was not checked: " + err.Error())
	}
	return d
}
