package doctor

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// State is how a machine is expected to be found.
type State string

// The states.
const (
	// Any: nothing is expected; what is there is told and judged.
	Any State = ""
	// Fresh: nothing runs yet; the run will build and start the programs.
	Fresh State = "fresh"
	// Synced: both clients run and follow the network.
	Synced State = "synced"
)

// Expect is what a benchmark wants of a machine.
type Expect struct {
	State State
	// Network is the public network, empty when none is expected. ChainID is
	// its chain; 0 when that is not known and therefore not judged.
	Network string
	ChainID uint64
	// Program is the execution client by name, as in ethrex; empty for any.
	Program string
	// Precompute says that the program must make witnesses while it imports.
	Precompute bool
	// Commit is what the program must be built from: 40 hex digits or their
	// beginning; empty when that is not known.
	Commit string
	// Tools must be there, by the names of the query; Repositories likewise,
	// all of the query's when true.
	Tools        []string
	Repositories bool
	// JWT says that the secret must be there.
	JWT bool
	// MinDiskBytes is what the database of the execution client takes at the
	// least, EnoughDiskBytes what is comfortable; 0 is not judged.
	MinDiskBytes, EnoughDiskBytes int64
	// MinMemoryBytes is the memory of the machine; 0 is not judged.
	MinMemoryBytes int64
	// Replay says that ethrex-replay is to be the collector.
	Replay bool
}

// network is what is known of a public network.
type network struct {
	name    string
	chainID uint64
	// minDisk and enoughDisk are the range that ethrex's hardware guide gives
	// for its database, minMemory the least memory where it gives one; bytes.
	minDisk, enoughDisk, minMemory int64
}

const gb = 1_000_000_000

var networks = [...]network{
	{name: "mainnet", chainID: 1, minDisk: 500 * gb, enoughDisk: 1000 * gb, minMemory: 32 * gb},
	{name: "sepolia", chainID: 11155111, minDisk: 250 * gb, enoughDisk: 400 * gb},
	{name: "hoodi", chainID: 560048, minDisk: 60 * gb, enoughDisk: 100 * gb},
}

// Networks are the names of the networks whose chain and size are known.
func Networks() []string {
	var names []string
	for _, n := range networks {
		names = append(names, n.name)
	}
	return names
}

// Follow expects the network of that name, and fills in what is known of it and
// not set yet. Of other networks nothing is judged.
func (e *Expect) Follow(name string) {
	e.Network = name
	for _, n := range networks {
		if n.name == name {
			e.ChainID = cmp.Or(e.ChainID, n.chainID)
			e.MinMemoryBytes = cmp.Or(e.MinMemoryBytes, n.minMemory)
			e.MinDiskBytes = cmp.Or(e.MinDiskBytes, n.minDisk)
			e.EnoughDiskBytes = cmp.Or(e.EnoughDiskBytes, n.enoughDisk)
		}
	}
}

// networkOf is the name of the chain, empty when it is not known.
func networkOf(chainID uint64) string {
	for _, n := range networks {
		if n.chainID == chainID {
			return n.name
		}
	}
	return ""
}

// ForSide is what the benchmark w looks at and expects on the machine of one
// of its sides.
func ForSide(w *spec.Witness, side sample.Side) (Query, Expect) {
	var q Query
	var e Expect
	needs(&q, &e, "bash")
	s := w.Side(side)
	program := spec.Program{}
	if w.Program != nil {
		program = *w.Program
	}
	if s.Binary != "" {
		needs(&q, &e, s.Binary)
	} else if w.Repository != "" && s.Ref != "" && (w.Servers == nil || !w.Servers.Synced) {
		q.Repositories, e.Repositories = []string{w.Repository}, true
		needs(&q, &e, "git", builder(program))
	}
	if w.Place == spec.Devnet {
		e.State = Fresh
	}
	if w.Place == spec.Live && w.Servers != nil {
		live(w.Servers, s, &q, &e)
		e.Program = program.Name
		e.Precompute = program.Name == "ethrex"
	}
	return q, e
}

// ForBoth is what the benchmark w looks at and expects on a machine that has
// both of its sides.
func ForBoth(w *spec.Witness) (Query, Expect) {
	q, e := ForSide(w, sample.Baseline)
	other, more := ForSide(w, sample.Test)
	needs(&q, &e, more.Tools...)
	if !e.Repositories {
		q.Repositories, e.Repositories = other.Repositories, more.Repositories
	}
	return q, e
}

// needs adds programs that must be there.
func needs(q *Query, e *Expect, names ...string) {
	for _, name := range names {
		if !slices.Contains(e.Tools, name) {
			q.Tools, e.Tools = append(q.Tools, name), append(e.Tools, name)
		}
	}
}

// live adds what the servers of a live run have and need.
func live(servers *spec.Servers, side *spec.Side, q *Query, e *Expect) {
	defaults := Defaults()
	e.Follow(servers.Network)
	e.State, e.JWT = Fresh, true
	q.Ports = defaults.Ports
	if side.Ports != nil {
		q.Ports = Ports(*side.Ports)
	}
	q.JWT = cmp.Or(servers.JWT, defaults.JWT)
	q.Datadir = cmp.Or(side.Datadir, defaults.Datadir)
	q.ConsensusDatadir = cmp.Or(side.ConsensusDatadir, defaults.ConsensusDatadir)
	q.ReplayLog = defaults.ReplayLog
	if servers.Synced {
		e.State = Synced
	} else {
		q.Lighthouse = cmp.Or(servers.Lighthouse, defaults.Lighthouse)
		q.Sessions = []string{"lighthouse", "ethrex"}
		needs(q, e, "tmux")
		e.Tools = append(e.Tools, q.Lighthouse)
	}
	if servers.Collector == spec.EthrexReplay {
		e.Replay, e.Repositories = true, true
		q.Sessions = append(q.Sessions, "replay")
		q.Repositories = append(q.Repositories, servers.ReplayRepository)
		needs(q, e, "git", "tmux", command(servers.ReplayBuild, "cargo"))
	}
}

// builder is the program that builds the refs of p.
func builder(p spec.Program) string {
	if p.Name == "geth" {
		return command(p.Build, "go")
	}
	return command(p.Build, "cargo")
}

// command is the program that a build command begins with; the default when it
// names none that could be looked for.
func command(build, otherwise string) string {
	for word := range strings.FieldsSeq(build) {
		if strings.Contains(word, "=") {
			continue // a variable that is set for the command
		}
		if strings.ContainsAny(word, "\"'$`;|&(){}<>*?\\") || path.Base(word) != word {
			break
		}
		return word
	}
	return otherwise
}
