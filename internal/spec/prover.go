package spec

import "time"

// ProverWorkflow is the workflow of proving benchmarks.
const ProverWorkflow = "prover"

// Backend is what a prover proves with.
type Backend string

const (
	Exec  Backend = "exec" // executes only: no proof
	SP1   Backend = "sp1"
	RISC0 Backend = "risc0"
)

// Backends lists the backends.
var Backends = []Backend{SP1, RISC0, Exec}

// L1 is how the L1 of a localnet runs.
type L1 string

const (
	Docker  L1 = "docker"  // a container
	Process L1 = "process" // a process of the program itself
)

// Generator is the program that makes the load of a localnet.
type Generator string

const (
	// OwnLoad: verdict load.
	OwnLoad Generator = "verdict"
	// LoadTest: load_test of ethrex, as the workflow document uses it.
	LoadTest Generator = "load_test"
)

// Names of the programs that a localnet can consist of.
const (
	BuiltIn = "verdict" // the built-in rollup
	Ethrex  = "ethrex"
)

// Prover is a proving benchmark: a localnet of L1, L2 and prover, of one ref or
// of two, each in its turn.
type Prover struct {
	Version  int    `yaml:"version"`
	Workflow string `yaml:"workflow"`
	// Place is Local, this machine, or Live, a server.
	Place Place `yaml:"place"`
	// Host is the server, an ssh alias; empty on this machine.
	Host string `yaml:"host,omitempty"`
	// Program is what L1, L2 and prover are of: BuiltIn or Ethrex.
	Program Program `yaml:"program"`
	// Repository is the clone on the host that refs are built from.
	Repository string `yaml:"repository,omitempty"`
	// Baseline is the build that is measured, Test the one that it is compared
	// with; nil for none. Of a Side, Ref, Binary and Args have a meaning.
	Baseline Side  `yaml:"baseline"`
	Test     *Side `yaml:"test,omitempty"`

	Backend Backend `yaml:"backend"`
	GPU     bool    `yaml:"gpu"`
	// RISC0Verifier is the address of the RISC0 verifier contract on the L1,
	// which the deployer does not deploy by itself.
	RISC0Verifier string `yaml:"risc0_verifier,omitempty"`

	// Batches is the number of loaded batches to prove, for each side.
	Batches int `yaml:"batches"`
	// Load is what the transactions do: EthTransfers, ERC20, Fibonacci or
	// IOHeavy. Transactions is their number for each account, Endless sends
	// them until the batches are proved.
	Load         Load      `yaml:"load"`
	Transactions int       `yaml:"transactions"`
	Endless      bool      `yaml:"endless"`
	Generator    Generator `yaml:"generator"`
	// MinTransactions is the fewest transactions of a batch that counts as
	// loaded.
	MinTransactions int `yaml:"min_transactions"`

	// Running says that L1 and L2 run already: nothing of them is built,
	// deployed, started or stopped.
	Running bool `yaml:"running"`
	// L1 is how the L1 runs.
	L1 L1 `yaml:"l1"`
	// Clear asks for what earlier runs left to be removed: processes,
	// containers, volumes and databases. Each is a step that needs an approval
	// of its own.
	Clear bool `yaml:"clear"`
	// Keep leaves the localnet running at the end.
	Keep bool `yaml:"keep"`
	// HoldCommitter holds the committer back until the load is there, by the
	// admin server.
	HoldCommitter bool `yaml:"hold_committer"`

	Ports     RollupPorts     `yaml:"ports"`
	Intervals RollupIntervals `yaml:"intervals"`
	Timeouts  ProverTimeouts  `yaml:"timeouts"`

	// Sessions is how often each side has its turn when there are two; they
	// alternate in ABBA order.
	Sessions int `yaml:"sessions"`
	// Margin is the practical margin: effects within it do not matter.
	Margin float64 `yaml:"margin"`
	// Alpha is the error rate of the analysis.
	Alpha float64 `yaml:"alpha"`
	// Seed decides the load and whatever else is drawn.
	Seed uint64 `yaml:"seed"`
	// PricePerHour is what an hour of the host costs, 0 for unknown, in
	// Currency.
	PricePerHour float64 `yaml:"price_per_hour,omitempty"`
	Currency     string  `yaml:"currency,omitempty"`
}

// RollupPorts are the ports of a localnet on its host, all on the loopback
// interface.
type RollupPorts struct {
	L1          uint16 `yaml:"l1"`
	L2          uint16 `yaml:"l2"`
	Metrics     uint16 `yaml:"metrics"`
	Coordinator uint16 `yaml:"coordinator"`
	Admin       uint16 `yaml:"admin"`
}

// RollupIntervals are how often the parts of a localnet act. Zero is the
// program's own default.
type RollupIntervals struct {
	Block  time.Duration `yaml:"block"`
	Commit time.Duration `yaml:"commit"`
	Watch  time.Duration `yaml:"watch"`
	Send   time.Duration `yaml:"send"`
	Poll   time.Duration `yaml:"poll"`
}

// ProverTimeouts bound the waits of a proving benchmark.
type ProverTimeouts struct {
	// Ready is for each program to be ready, Funded for the deposits, Loaded
	// for a sealed batch with load, Proof for one accepted proof after
	// another.
	Ready  time.Duration `yaml:"ready"`
	Funded time.Duration `yaml:"funded"`
	Loaded time.Duration `yaml:"loaded"`
	Proof  time.Duration `yaml:"proof"`
}
