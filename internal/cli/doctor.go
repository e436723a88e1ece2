package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/inspect"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// doctorOptions are the flags and arguments of verdict doctor.
type doctorOptions struct {
	args                  []string
	query                 doctor.Query
	fresh, synced         bool
	network, program      string
	commit                string
	sshConfig, hostBinary string
	facts, json           bool
	// given tells which flags were.
	given func(name string) bool
}

// newDoctor is the command verdict doctor.
func newDoctor(w World) *cobra.Command {
	o := doctorOptions{query: doctor.Defaults()}
	cmd := &cobra.Command{
		Use:   "doctor [SPEC | HOST...]",
		Short: "What is missing or wrong on a machine, and its cure",
		Long: `Doctor checks what a benchmark needs and what makes its numbers worthless: on
this machine, on servers that ssh reaches by these names, or on those of a spec
file. Each finding says what was seen, what it means and the command that cures
it; two servers are also compared with each other. Nothing is changed, started
or stopped; on servers, verdict copies itself to ~/.verdict/bin and looks there.

Without --fresh and --synced nothing is expected of a machine: what runs there
is judged, and what is missing is only noted. With --fresh, a run is going to
build and start the programs; with --synced, both clients run already and follow
the network. A spec file says itself which of the two it is.

Exit status: 0 nothing failed (there may be warnings); 2 bad usage or spec; 4 a
check failed or a server cannot be reached; 130 interrupted.`,
		Example: `  # this machine, and the clients on the usual ports
  verdict doctor

  # two servers that are to be measured as they are
  verdict doctor server-1 server-2 --synced --network hoodi

  # the servers of a benchmark, machine-readable
  verdict doctor pr.yaml --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.args = args
			o.given = cmd.Flags().Changed
			return runDoctor(cmd.Context(), w, &o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *doctorOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.fresh, "fresh", false, "expect a machine on which a run will start the programs")
	f.BoolVar(&o.synced, "synced", false, "expect clients that run and follow the network")
	f.StringVar(&o.network, "network", "", "expect this network: "+strings.Join(doctor.Networks(), ", ")+" or another `NAME`")
	f.StringVar(&o.program, "program", "ethrex", "expect the execution client of this `NAME`, with --fresh or --synced")
	f.StringVar(&o.commit, "commit", "", "expect an execution client of this commit, with --synced")
	f.BoolVar(&o.json, "json", false, "print findings and facts as one JSON object")
	f.StringVar(&o.sshConfig, "ssh-config", "", "ssh configuration `FILE` instead of your own")
	f.StringVar(&o.hostBinary, "host-binary", "", "static verdict `FILE` to run on the servers (default: this program)")
	q := &o.query
	f.Uint16Var(&q.Ports.RPC, "rpc-port", q.Ports.RPC, "`port` of JSON-RPC; a port 0 is not looked at")
	f.Uint16Var(&q.Ports.Engine, "engine-port", q.Ports.Engine, "`port` of the Engine API")
	f.Uint16Var(&q.Ports.Beacon, "beacon-port", q.Ports.Beacon, "`port` of the beacon API")
	f.Uint16Var(&q.Ports.Metrics, "metrics-port", q.Ports.Metrics, "`port` of the execution client's metrics")
	f.Uint16Var(&q.Ports.P2P, "p2p-port", q.Ports.P2P, "`port` of the execution client's peers")
	f.StringVar(&q.JWT, "jwt", q.JWT, "`file` of the Engine API's secret")
	f.StringArrayVar(&q.Repositories, "repository", q.Repositories, "git clone in this `directory`; may be repeated")
	f.StringVar(&q.Datadir, "datadir", q.Datadir, "`directory` of the execution client's database")
	f.StringVar(&q.ConsensusDatadir, "consensus-datadir", q.ConsensusDatadir, "`directory` of the consensus client's database")
	f.StringVar(&q.Lighthouse, "lighthouse", q.Lighthouse, "`program` of the consensus client")
	f.StringArrayVar(&q.Tools, "tool", q.Tools, "`program` to look for in the PATH; may be repeated")
	f.StringArrayVar(&q.Sessions, "session", q.Sessions, "tmux session of this `name` to look for; may be repeated")
	f.StringVar(&q.ReplayLog, "replay-log", q.ReplayLog, "`file` of ethrex-replay's timing lines")
	f.BoolVar(&o.facts, "facts", false, "print the facts of this machine as one JSON object, and judge nothing")
	if err := f.MarkHidden("facts"); err != nil {
		panic(err) // the flag is declared one line above
	}
}

// queryFlags are the flags that say what to look at; a spec says it itself.
var queryFlags = []string{"rpc-port", "engine-port", "beacon-port", "metrics-port", "p2p-port", "jwt", "repository",
	"datadir", "consensus-datadir", "lighthouse", "tool", "session", "replay-log"}

// check finds what is wrong with the flags, and drops empty values of lists,
// which stand for an empty list.
func (o *doctorOptions) check() error {
	for _, list := range []*[]string{&o.query.Repositories, &o.query.Tools, &o.query.Sessions} {
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == "" })
	}
	if o.synced {
		o.settled()
	}
	switch {
	case o.fresh && o.synced:
		return fault.Newf(fault.Usage, "--fresh and --synced exclude each other")
	case o.facts && len(o.args) > 0:
		return fault.Newf(fault.Usage, "--facts is for this machine alone")
	case o.commit != "" && !o.synced:
		return fault.Newf(fault.Usage, "--commit has a meaning with --synced only")
	case o.commit != "" && (len(o.commit) < 7 || len(o.commit) > 40 || strings.Trim(strings.ToLower(o.commit), "0123456789abcdef") != ""):
		return fault.Newf(fault.Usage, "--commit %q: want 7 to 40 hex digits", o.commit)
	case o.given("program") && !o.fresh && !o.synced:
		return fault.Newf(fault.Usage, "--program has a meaning with --fresh or --synced only")
	}
	seen := map[string]bool{}
	for _, name := range o.args {
		if seen[name] {
			return fault.Newf(fault.Usage, "%s is named twice", name)
		}
		seen[name] = true
	}
	return nil
}

// settled leaves out what a server that runs already does not need, unless it
// was asked for.
func (o *doctorOptions) settled() {
	q := &o.query
	if !o.given("repository") {
		q.Repositories = nil
	}
	if !o.given("tool") {
		q.Tools = []string{"bash"}
	}
	if !o.given("lighthouse") {
		q.Lighthouse = ""
	}
}

// expect is what the flags expect of a machine.
func (o *doctorOptions) expect() doctor.Expect {
	e := doctor.Expect{Commit: o.commit}
	switch {
	case o.fresh:
		e.State, e.Program = doctor.Fresh, o.program
		e.JWT, e.Repositories = true, true
		e.Tools = slices.Concat(o.query.Tools, []string{o.query.Lighthouse})
	case o.synced:
		e.State, e.Program = doctor.Synced, o.program
		e.JWT, e.Precompute, e.Tools = true, o.program == "ethrex", o.query.Tools
	}
	if o.network != "" {
		e.Follow(o.network)
	}
	return e
}

func runDoctor(ctx context.Context, w World, o *doctorOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.facts {
		facts := inspect.Here(ctx, host.Local(), o.query, version())
		if err := context.Cause(ctx); err != nil {
			return err
		}
		return json.NewEncoder(w.Stdout).Encode(facts)
	}
	targets, err := o.targets()
	defer func() {
		for _, t := range targets {
			_ = t.Host.Close() // the connection has served
		}
	}()
	if err != nil {
		return err
	}
	if len(o.args) > 0 && !targets[0].Here {
		// The first time takes a while: the program is copied there.
		fmt.Fprintf(w.Stderr, "verdict: examining %s\n", names(targets))
	}
	seen, found, err := inspect.Servers(ctx, targets, inspect.Options{
		Binary: inspect.Binary(w.Executable, o.hostBinary), Version: version(),
	})
	if err != nil {
		return err
	}
	if o.json {
		err = printFindingsJSON(w.Stdout, seen, found)
	} else {
		err = printFindings(w.Stdout, found)
	}
	if err != nil {
		return err
	}
	if n := len(doctor.Failures(found)); n > 0 {
		return fault.Newf(fault.Prerequisite, "%s failed", plural(n, "check"))
	}
	return nil
}

func names(targets []inspect.Target) string {
	var out []string
	for _, t := range targets {
		out = append(out, t.Host.Name())
	}
	return strings.Join(out, ", ")
}

// here is this machine as a target.
func here(q doctor.Query, e doctor.Expect) []inspect.Target {
	return []inspect.Target{{Host: host.Local(), Here: true, Query: q, Expect: e}}
}

// targets are the machines that the arguments name.
func (o *doctorOptions) targets() ([]inspect.Target, error) {
	if len(o.args) == 0 {
		return here(o.query, o.expect()), nil
	}
	if isSpec(o.args[0]) {
		if len(o.args) > 1 {
			return nil, fault.Newf(fault.Usage, "%s is a spec file: it says itself which hosts there are", o.args[0])
		}
		return o.fromSpec(o.args[0])
	}
	var out []inspect.Target
	for _, name := range o.args {
		t, err := o.target(name, "", o.query, o.expect())
		if err != nil {
			return out, err
		}
		out = append(out, t)
	}
	return out, nil
}

// isSpec tells a file from the name of a host.
func isSpec(name string) bool {
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
		return true
	}
	info, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist) && (err != nil || info.Mode().IsRegular())
}

// target is the host of that name.
func (o *doctorOptions) target(name string, side sample.Side, q doctor.Query, e doctor.Expect) (inspect.Target, error) {
	h, err := host.NewSSH(name, host.SSHOptions{Config: o.sshConfig})
	if err != nil {
		return inspect.Target{}, err
	}
	reach := []string{"ssh", name}
	if o.sshConfig != "" {
		reach = []string{"ssh", "-F", o.sshConfig, name}
	}
	return inspect.Target{Host: h, Side: side, Reach: reach, Query: q, Expect: e}, nil
}

// fromSpec takes the machines from a spec file.
func (o *doctorOptions) fromSpec(file string) ([]inspect.Target, error) {
	for _, name := range append([]string{"fresh", "synced", "network", "program"}, queryFlags...) {
		if o.given(name) {
			return nil, fault.Newf(fault.Usage, "--%s has no meaning with a spec file, which says it itself", name)
		}
	}
	data, err := readSpec(file)
	if err != nil {
		return nil, err
	}
	s, given, err := spec.DecodeFile(file, data)
	if err == nil {
		s.Complete(given)
		err = s.ValidateGiven(given)
	}
	if err == nil {
		err = absolute(&s)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case s.Place == spec.Live:
		var out []inspect.Target
		for _, side := range sample.Sides {
			q, e := doctor.ForSide(&s, side)
			t, err := o.target(s.Side(side).Host, side, q, e)
			if err != nil {
				return out, err
			}
			out = append(out, t)
		}
		return out, nil
	case s.Place == spec.Attached:
		return nil, fault.Newf(fault.Usage, "%s names servers by their addresses, and doctor looks at machines", file).
			Hint("verdict doctor HOST... --synced")
	}
	q, e := doctor.ForBoth(&s)
	if s.Host != "" {
		t, err := o.target(s.Host, "", q, e)
		return []inspect.Target{t}, err
	}
	return here(q, e), nil
}
