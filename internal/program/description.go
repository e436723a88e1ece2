// Package program knows the programs under test as data: how each is built,
// started, probed and stopped. It runs nothing itself: it makes argument
// vectors and scripts, and reads what they print.
package program

import (
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/spec"
)

// Description is an execution client on a devnet. Init and Command are argument
// vectors with placeholders, which Values fill in.
type Description struct {
	Name string
	// Build is the shell command that builds it in a worktree, Binary the
	// file that it makes, relative to the worktree.
	Build, Binary string
	// Init, if any, is run once before Command, on an empty data directory.
	Init []string
	// Command serves JSON-RPC at {http_port} and the Engine API at
	// {engine_port} of the loopback interface, until it is told to stop.
	Command []string
	// Optional are arguments that only some versions know: each group is added
	// when the help text knows its first word.
	Optional [][]string
	// Help is the command that prints the help text; nil when the program is
	// not asked for it.
	Help []string
}

// The execution clients that have a description. Their RPC servers have no
// authentication, and none is left on the address that it would choose.
var described = []Description{
	{
		Name:   "ethrex",
		Build:  "cargo build --release --bin ethrex --target-dir target",
		Binary: "target/release/ethrex",
		Command: []string{
			"{binary}", "--network", "{genesis}", "--datadir", "{datadir}", "--syncmode", "full",
			"--http.addr", "127.0.0.1", "--http.port", "{http_port}",
			"--authrpc.port", "{engine_port}", "--authrpc.jwtsecret", "{jwt}",
		},
		Optional: [][]string{
			{"--authrpc.addr", "127.0.0.1"},
			{"--http.api", "eth,net,web3,debug,txpool"},
			{"--precompute-witnesses"},
			{"--p2p.disabled"},
			{"--p2p.port", "{p2p_port}"},
			{"--discovery.port", "{p2p_port}"},
			{"--log.color", "never"},
		},
		Help: []string{"{binary}", "--help"},
	},
	{
		Name:   "geth",
		Build:  "go build -o build/bin/geth ./cmd/geth",
		Binary: "build/bin/geth",
		Init:   []string{"{binary}", "init", "--datadir", "{datadir}", "--state.scheme", "path", "{genesis}"},
		Command: []string{
			"{binary}", "--datadir", "{datadir}", "--syncmode", "full",
			"--nodiscover", "--maxpeers", "0", "--port", "{p2p_port}", "--ipcdisable",
			"--http", "--http.addr", "127.0.0.1", "--http.port", "{http_port}", "--http.api", "eth,net,web3,debug,txpool",
			"--authrpc.addr", "127.0.0.1", "--authrpc.port", "{engine_port}", "--authrpc.jwtsecret", "{jwt}",
		},
		Help: []string{"{binary}", "--help"},
	},
	{
		Name:   "reth",
		Build:  "cargo build --release --bin reth --target-dir target",
		Binary: "target/release/reth",
		Command: []string{
			"{binary}", "node", "--chain", "{genesis}", "--datadir", "{datadir}",
			"--disable-discovery", "--port", "{p2p_port}", "--ipcdisable",
			"--http", "--http.addr", "127.0.0.1", "--http.port", "{http_port}", "--http.api", "eth,net,web3,debug,txpool",
			"--authrpc.addr", "127.0.0.1", "--authrpc.port", "{engine_port}", "--authrpc.jwtsecret", "{jwt}",
		},
		Optional: [][]string{
			{"--max-outbound-peers", "0"},
			{"--max-inbound-peers", "0"},
			{"--color", "never"},
			// Its log goes to a file in the user's home beside stdout.
			{"--log.file.max-files", "0"},
		},
		Help: []string{"{binary}", "node", "--help"},
	},
}

// Names are the names of the execution clients that have a description.
func Names() []string {
	names := make([]string, len(described))
	for i, d := range described {
		names[i] = d.Name
	}
	return names
}

// essential are the placeholders without which two programs cannot be run side
// by side, each with what goes wrong.
var essential = []struct{ name, why string }{
	{"binary", "nothing would tell the two sides apart"},
	{"http_port", "the two sides would want the same port"},
	{"engine_port", "the two sides would want the same port"},
	{"jwt", "the program would refuse the driver"},
}

// Describe is the description of p: the one of its name, with what p sets in
// its place. A program without a description needs a command. Errors are the
// user's.
func Describe(p *spec.Program) (Description, error) {
	if p == nil {
		return Description{}, fault.Newf(fault.Usage, "program is missing: choose %s, or another with a command", strings.Join(Names(), ", "))
	}
	d := Description{Name: p.Name}
	if i := slices.IndexFunc(described, func(d Description) bool { return d.Name == p.Name }); i >= 0 {
		d = described[i]
	} else if len(p.Command) == 0 {
		return d, fault.Newf(fault.Usage, "program %q has no description: choose %s, or give it a command", p.Name, strings.Join(Names(), ", ")).
			Hint("program: {name: %s, command: [\"{binary}\", ..., \"{http_port}\", \"{engine_port}\", \"{jwt}\"]}", p.Name)
	}
	if p.Build != "" {
		d.Build = p.Build
	}
	if p.Binary != "" {
		d.Binary = p.Binary
	}
	if len(p.Init) > 0 {
		d.Init = p.Init
	}
	if len(p.Command) > 0 {
		// Who writes the command says all of it, so there is nothing to ask
		// the program for; an init of the description may not fit it.
		d.Command, d.Optional, d.Help, d.Init = p.Command, nil, nil, p.Init
	}
	for _, argv := range [][]string{d.Init, d.Command, p.Args} {
		for _, arg := range argv {
			if err := checkPlaceholders(arg); err != nil {
				return d, fault.Newf(fault.Usage, "program %s: %w", p.Name, err)
			}
		}
	}
	whole := strings.Join(d.Command, " ") + strings.Join(p.Args, " ")
	for _, e := range essential {
		if !strings.Contains(whole, "{"+e.name+"}") {
			return d, fault.Newf(fault.Usage, "the command of program %s has no {%s}: %s", p.Name, e.name, e.why)
		}
	}
	return d, nil
}
