package doctor

import (
	"strconv"

	"github.com/verdict-bench/verdict/internal/spec"
)

// Ports are those of one server. 0 is a port that is not looked at.
type Ports struct {
	RPC     uint16 `json:"rpc"`
	Engine  uint16 `json:"engine"`
	Beacon  uint16 `json:"beacon"`
	Metrics uint16 `json:"metrics"`
	P2P     uint16 `json:"p2p"`
}

// The names of the ports.
const (
	RPC     = "rpc"
	Engine  = "engine"
	Beacon  = "beacon"
	Metrics = "metrics"
	P2P     = "p2p"
)

// NamedPort is a port with what it is for.
type NamedPort struct {
	Name string
	Port uint16
}

// List is the ports that are looked at.
func (p Ports) List() []NamedPort {
	var out []NamedPort
	for _, n := range []NamedPort{{RPC, p.RPC}, {Engine, p.Engine}, {Beacon, p.Beacon}, {Metrics, p.Metrics}, {P2P, p.P2P}} {
		if n.Port != 0 {
			out = append(out, n)
		}
	}
	return out
}

// Query says what to look at on a machine. A path may begin with ~/, the home
// directory there; an empty one is not looked at.
type Query struct {
	Ports Ports `json:"ports"`
	// JWT is the file of the Engine API's secret.
	JWT string `json:"jwt,omitempty"`
	// Repositories are git clones.
	Repositories []string `json:"repositories,omitempty"`
	// Datadir and ConsensusDatadir are the databases of the two clients.
	Datadir          string `json:"datadir,omitempty"`
	ConsensusDatadir string `json:"consensus_datadir,omitempty"`
	// Tools are programs to look for in the PATH of a login shell, or by their
	// path; Lighthouse is the consensus client among them.
	Tools      []string `json:"tools,omitempty"`
	Lighthouse string   `json:"lighthouse,omitempty"`
	// Sessions are the names of tmux sessions that a run would start.
	Sessions []string `json:"sessions,omitempty"`
	// ReplayLog is where ethrex-replay's timing lines are kept by hand.
	ReplayLog string `json:"replay_log,omitempty"`
}

// Defaults is the query for a server that was set up as the workflow document
// of ethrex says.
func Defaults() Query {
	return Query{
		Ports:            Ports(*spec.DefaultPorts()),
		JWT:              "~/secrets/jwt.hex",
		Repositories:     []string{"~/ethrex"},
		Datadir:          "~/.local/share/ethrex",
		ConsensusDatadir: "~/.lighthouse",
		Tools:            []string{"bash", "git", "tmux", "cargo"},
		Lighthouse:       "lighthouse",
		Sessions:         []string{"lighthouse", "ethrex", "replay"},
		ReplayLog:        "~/ethrex-replay/execution_witness_times.txt",
	}
}

// Args are the flags of verdict doctor that ask for q, every one of them.
func (q Query) Args() []string {
	port := func(p uint16) string { return strconv.Itoa(int(p)) }
	args := []string{
		"--rpc-port", port(q.Ports.RPC), "--engine-port", port(q.Ports.Engine),
		"--beacon-port", port(q.Ports.Beacon), "--metrics-port", port(q.Ports.Metrics),
		"--p2p-port", port(q.Ports.P2P),
		"--jwt=" + q.JWT, "--datadir=" + q.Datadir, "--consensus-datadir=" + q.ConsensusDatadir,
		"--lighthouse=" + q.Lighthouse, "--replay-log=" + q.ReplayLog,
	}
	for _, list := range []struct {
		flag   string
		values []string
	}{{"--repository", q.Repositories}, {"--tool", q.Tools}, {"--session", q.Sessions}} {
		// A list flag without a value stands for none, not for the default.
		if len(list.values) == 0 {
			args = append(args, list.flag+"=")
		}
		for _, v := range list.values {
			args = append(args, list.flag+"="+v)
		}
	}
	return args
}
