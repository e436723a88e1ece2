// Package spec is the benchmark as its user wants it: what is compared, where,
// on how many blocks and by which rule it is judged. A spec is complete before
// the first sample is taken, and is stored with its hash, so that nothing about
// the judgement can change after the data are seen.
package spec

import (
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// Version is the version of the spec's format.
const Version = 1

// Workflow is the workflow that a spec of this package is for.
const Workflow = "witness"

// Place is where the programs under test run.
type Place string

// The places.
const (
	// Local: the built-in node, twice, on this machine.
	Local Place = "local"
	// Attached: two servers that already run; nothing is started.
	Attached Place = "attached"
	// Devnet: two builds of an execution client, started on a common genesis
	// and driven with the same blocks.
	Devnet Place = "devnet"
	// Live: two servers that follow a public network beside a consensus
	// client.
	Live Place = "live"
)

// Places lists the places.
var Places = []Place{Local, Attached, Devnet, Live}

// WitnessMode is how the built-in node makes its witnesses.
type WitnessMode string

// The witness modes.
const (
	// OnDemand: the block is executed again when its witness is asked for.
	OnDemand WitnessMode = "on-demand"
	// Generated: made while the payload is executed, stored as a structure and
	// encoded on each read.
	Generated WitnessMode = "generated"
	// Serialized: made while the payload is executed and stored as the bytes
	// of the answer.
	Serialized WitnessMode = "serialized"
)

// WitnessModes lists the witness modes.
var WitnessModes = []WitnessMode{OnDemand, Generated, Serialized}

// Precompute reports whether the mode makes witnesses ahead of the request.
func (m WitnessMode) Precompute() bool { return m != OnDemand }

// Witness is a witness benchmark.
type Witness struct {
	Version  int    `yaml:"version"`
	Workflow string `yaml:"workflow"`
	Place    Place  `yaml:"place"`

	Baseline Side `yaml:"baseline"`
	Test     Side `yaml:"test"`

	// Blocks is the planned number of measured blocks, the n of the analysis.
	Blocks int `yaml:"blocks"`
	// WarmUp is the number of blocks measured before them and not analyzed.
	WarmUp int `yaml:"warm_up"`
	// Margin is the practical margin: effects within it do not matter. 0.03
	// is 3 %.
	Margin float64 `yaml:"margin"`
	// MarginFromControl widens the margin to twice the noise floor of the A/A
	// control, before the first sample of the comparison is taken.
	MarginFromControl bool `yaml:"margin_from_control"`
	// AlphaLive is the error rate of the sequence that is watched while the
	// run goes on, AlphaFinal that of the one analysis at the planned n.
	AlphaLive  float64 `yaml:"alpha_live"`
	AlphaFinal float64 `yaml:"alpha_final"`
	// Batch is the number of pairs in one step of the sequence, MinPairs the
	// fewest pairs that a verdict may rest on.
	Batch    int `yaml:"batch"`
	MinPairs int `yaml:"min_pairs"`
	// MaxUnpaired is the share of blocks that may lack a pair before the
	// pairs count as selected.
	MaxUnpaired float64 `yaml:"max_unpaired"`
	// Stop says when the run ends: at the planned number of blocks, or as
	// soon as the sequence decides.
	Stop Stop `yaml:"stop"`
	// Control is the number of blocks on which the baseline is measured
	// against itself first; 0 for no A/A control.
	Control int `yaml:"control"`
	// Metric is the compared latency.
	Metric string `yaml:"metric"`
	// Seed decides the order within each pair and the load.
	Seed uint64 `yaml:"seed"`
	// VerifyEvery proves each N-th witness complete; 1 is all, 0 none.
	VerifyEvery int `yaml:"verify_every"`

	// Load is what the transactions of local and devnet blocks do; empty
	// elsewhere.
	Load Load `yaml:"load,omitempty"`
	// GasPerBlock is the gas that the load fills such a block with.
	GasPerBlock uint64 `yaml:"gas_per_block,omitempty"`
	// Genesis is the file that describes a chain that is not built in, on this
	// machine; attached and live only.
	Genesis string `yaml:"genesis,omitempty"`
	// Timeout bounds one measured request.
	Timeout time.Duration `yaml:"timeout"`
	// Settle is the wait after a new head is seen.
	Settle time.Duration `yaml:"settle"`
	// Patience bounds the wait for a side that does not answer or stands still.
	Patience time.Duration `yaml:"patience"`
	// Gzip asks the servers for compressed answers.
	Gzip bool `yaml:"gzip"`

	// Program is the execution client of a devnet or live run.
	Program *Program `yaml:"program,omitempty"`
	// Repository is the git clone that refs are built from: on this machine or
	// Host for a devnet, on each server for a live run.
	Repository string `yaml:"repository,omitempty"`
	// Host is where a devnet runs, both sides of it: an ssh alias, empty for
	// this machine.
	Host string `yaml:"host,omitempty"`

	// Servers are the settings of a live run, nil elsewhere.
	Servers *Servers `yaml:"servers,omitempty"`
}

// Program is an execution client under test: one that verdict describes, or one
// that the spec describes. What is set here overrides the description.
type Program struct {
	// Name is ethrex, geth, reth, or any other with a Command.
	Name string `yaml:"name"`
	// Build is the shell command that builds it, run in a clean worktree of
	// the ref; Binary the file that it makes, relative to the worktree.
	Build  string `yaml:"build,omitempty"`
	Binary string `yaml:"binary,omitempty"`
	// Init, if any, is run once before Command, on an empty data directory.
	// Both are argument vectors with placeholders; see package program.
	Init    []string `yaml:"init,omitempty"`
	Command []string `yaml:"command,omitempty"`
	// Args are added to the command of both sides.
	Args []string `yaml:"args,omitempty"`
}

// Servers says what is done on the two servers of a live run.
type Servers struct {
	// Network is the public network: hoodi, sepolia, mainnet or another that
	// the programs know.
	Network string `yaml:"network"`
	// Synced says that both servers run and follow the network already: then
	// nothing is built, started or restarted.
	Synced bool `yaml:"synced"`
	// Keep leaves running what the run started.
	Keep bool `yaml:"keep"`
	// Crossover exchanges the builds between the servers in the middle of the
	// run, so that the effect of the servers cancels.
	Crossover bool `yaml:"crossover"`
	// Collector is the measuring program: Verdict or EthrexReplay.
	Collector Collector `yaml:"collector"`
	// JWT is the file of the Engine API's secret on each server.
	JWT string `yaml:"jwt"`
	// Lighthouse is the consensus client's program, CheckpointSyncURL where it
	// starts from; empty for the network's own.
	Lighthouse        string `yaml:"lighthouse"`
	CheckpointSyncURL string `yaml:"checkpoint_sync_url,omitempty"`
	// ReplayRepository is the clone of ethrex-replay, ReplayBuild and
	// ReplayBinary as in Program; used by the collector ethrex-replay only.
	ReplayRepository string `yaml:"replay_repository,omitempty"`
	ReplayBuild      string `yaml:"replay_build,omitempty"`
	ReplayBinary     string `yaml:"replay_binary,omitempty"`
	// SyncTimeout bounds the wait for the servers to be synced, Poll is the
	// pause between two looks at new samples.
	SyncTimeout time.Duration `yaml:"sync_timeout"`
	Poll        time.Duration `yaml:"poll"`
}

// Collector is the program that measures on the servers of a live run.
type Collector string

// The collectors.
const (
	// Verdict: this program itself, copied to the server.
	Verdict Collector = "verdict"
	// EthrexReplay: ethrex-replay, as the workflow document uses it.
	EthrexReplay Collector = "ethrex-replay"
)

// Ports are those of one server of a live run.
type Ports struct {
	// RPC serves JSON-RPC over HTTP, Engine the Engine API, Beacon the beacon
	// API, Metrics Prometheus metrics, P2P the execution client's peers.
	RPC     uint16 `yaml:"rpc"`
	Engine  uint16 `yaml:"engine"`
	Beacon  uint16 `yaml:"beacon"`
	Metrics uint16 `yaml:"metrics"`
	P2P     uint16 `yaml:"p2p"`
}

// Clearable is a database that a spec may ask to be deleted before a program
// starts.
type Clearable string

// The databases.
const (
	ExecutionDB Clearable = "execution"
	ConsensusDB Clearable = "consensus"
)

// Side is one side of a witness benchmark.
type Side struct {
	// Witness is how the built-in node makes witnesses; empty elsewhere.
	Witness WitnessMode `yaml:"witness,omitempty"`
	// RPC is the address of a server that already runs; empty elsewhere.
	RPC string `yaml:"rpc,omitempty"`
	// Ref is the git ref that is built, or names the build in reports.
	Ref string `yaml:"ref,omitempty"`
	// Binary is a built program instead of a ref; devnet only.
	Binary string `yaml:"binary,omitempty"`
	// Args are added to the command of this side.
	Args []string `yaml:"args,omitempty"`
	// Host is the side's server: an ssh alias; live only, as all that follows.
	Host string `yaml:"host,omitempty"`
	// Ports are the server's ports: see [DefaultPorts].
	Ports *Ports `yaml:"ports,omitempty"`
	// Datadir and ConsensusDatadir are data directories, empty for the
	// programs' defaults.
	Datadir          string `yaml:"datadir,omitempty"`
	ConsensusDatadir string `yaml:"consensus_datadir,omitempty"`
	// Clear are the databases to delete before the programs start. Each is a
	// step of its own that needs an approval of its own.
	Clear []Clearable `yaml:"clear,omitempty"`
}

// Side is the given side of w.
func (w *Witness) Side(side sample.Side) *Side {
	if side == sample.Test {
		return &w.Test
	}
	return &w.Baseline
}

// Load is a type of transactions.
type Load string

// The loads of local blocks.
const (
	// Transfers of tokens and ether between scattered accounts, 7 to 3.
	Transfers    Load = "transfers"
	EthTransfers Load = "eth-transfers"
	ERC20        Load = "erc20"
	Fibonacci    Load = "fibonacci"
	IOHeavy      Load = "io-heavy"
	Mixed        Load = "mixed"
	// WitnessHeavy makes witnesses of more than 100 MB.
	WitnessHeavy Load = "witness-heavy"
)

// Loads lists the loads.
var Loads = []Load{Transfers, EthTransfers, ERC20, Fibonacci, IOHeavy, Mixed, WitnessHeavy}

// DefaultGas is the gas that local blocks of the load are filled with. Half of
// the gas limit keeps the base fee level, however long the run.
func (l Load) DefaultGas() uint64 {
	if l == WitnessHeavy {
		return 30_000_000
	}
	return 7_000_000 // a witness of transfers is a little over 1 MB
}

// Stop says when a run ends.
type Stop string

// The rules for the end of a run.
const (
	// AtPlanned: at exactly the planned number of blocks.
	AtPlanned Stop = "planned"
	// Auto: as soon as the confidence sequence decides, at the planned number
	// of blocks at the latest.
	Auto Stop = "auto"
)

// Metric is the only primary metric so far: the time from the first byte of the
// request written to the last byte of the answer's body read.
const Metric = "total_ns"

// Defaults returns a spec for place with every value that has a default.
func Defaults(place Place) Witness {
	w := Witness{
		Version:     Version,
		Workflow:    Workflow,
		Place:       place,
		Blocks:      200,
		WarmUp:      10,
		Margin:      0.03,
		AlphaLive:   stat.AlphaLive,
		AlphaFinal:  stat.AlphaFinal,
		Batch:       10,
		MinPairs:    stat.MinPairs,
		MaxUnpaired: 0.10,
		Stop:        AtPlanned,
		Metric:      Metric,
		Seed:        1,
		VerifyEvery: 1,
		Timeout:     time.Minute,
		Patience:    5 * time.Minute,
	}
	switch place {
	case Local:
		w.Baseline.Witness = OnDemand
		w.Test.Witness = Serialized
		w.drive()
	case Devnet:
		w.Program = &Program{}
		w.Repository = "."
		w.drive()
	case Live:
		w.live()
	}
	return w
}

// drive sets the defaults of the places where verdict makes the blocks.
func (w *Witness) drive() {
	w.Load = Transfers
	w.GasPerBlock = w.Load.DefaultGas()
	// A node's pools are busy for a moment after they learn of a head.
	w.Settle = 25 * time.Millisecond
}

// live sets the defaults of a live run.
func (w *Witness) live() {
	w.VerifyEvery = 10 // on the servers themselves, which have blocks to follow
	w.Patience = 30 * time.Minute
	w.Program = &Program{Name: "ethrex"}
	w.Repository = "~/ethrex"
	w.Baseline.Ref = "main"
	w.Baseline.Ports, w.Test.Ports = DefaultPorts(), DefaultPorts()
	w.Servers = &Servers{
		Collector:        Verdict,
		JWT:              "~/secrets/jwt.hex",
		Lighthouse:       "lighthouse",
		ReplayRepository: "~/ethrex-replay",
		ReplayBuild:      "cargo build --release",
		ReplayBinary:     "target/release/ethrex-replay",
		SyncTimeout:      24 * time.Hour,
		Poll:             5 * time.Second,
	}
}

// DefaultPorts are the ports of ethrex and Lighthouse when nobody chose others.
func DefaultPorts() *Ports {
	return &Ports{RPC: 8545, Engine: 8551, Beacon: 5052, Metrics: 9090, P2P: 30303}
}

// CheckpointSyncURL is where a consensus client of the network may start from,
// empty for a network of which no such place is known.
func CheckpointSyncURL(network string) string {
	switch network {
	case "hoodi":
		return "https://hoodi-checkpoint-sync.stakely.io"
	case "sepolia":
		return "https://sepolia.checkpoint-sync.ethpandaops.io"
	case "mainnet":
		return "https://mainnet.checkpoint.sigp.io"
	}
	return ""
}
