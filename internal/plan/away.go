package plan

import (
	"github.com/verdict-bench/verdict/internal/spec"
)

// The steps of a devnet run on another host beside those that verdict carries
// out there, by ID. Connect and Install are as in a live run.
const (
	// CarryOut has verdict on the host carry out the run.
	CarryOut = "carry-out"
	// Fetch brings here what the run left there.
	Fetch = "fetch"
)

// Away reports whether the run of w is carried out by verdict on another host.
func Away(w *spec.Witness) bool { return w.Place == spec.Devnet && w.Host != "" }

// There is the spec that verdict on the host carries out: w, on the machine that
// it runs on.
func There(w *spec.Witness) spec.Witness {
	there := *w
	there.Host = ""
	return there
}

// away is the steps of a devnet run on another host. Both sides run on that one
// machine, and so does what measures them; from here the run is only followed,
// and it goes on while nobody is connected.
func away(w *spec.Witness) []Step {
	there := There(w)
	steps := []Step{
		{
			ID: Connect, Host: w.Host,
			Purpose: "open the connection with ssh",
			Check:   "a login shell answers",
		}, {
			ID: Install, Host: w.Host,
			Purpose: "copy verdict there",
			Check:   "~/.verdict/bin/ has it with this checksum, and it runs",
			Undo:    "none: it is some 50 MB, and the next run finds it there",
		}, {
			ID: CarryOut, Host: w.Host,
			Purpose: "have verdict there carry out the steps that follow, detached: it goes on while nobody is connected",
			Argv:    []string{ProgramVariable, "witness", RunVariable + "/spec.yaml", "--no-input", "--out", RunVariable + "/run"},
			Check:   "its recorded process runs",
			Undo:    "interrupt it by pid and start time, so that it stops what it started",
		},
	}
	for _, s := range driven(&there) {
		s.Host = w.Host
		steps = append(steps, s)
	}
	return append(steps, Step{
		ID: Fetch, Host: w.Host,
		Purpose: "copy samples, logs and what is known of the programs into the run directory here",
		Check:   "the run there has ended, and its samples are here byte for byte",
		Undo:    "none: the run directory stays in ~/.verdict/runs there",
	})
}
