package spec

import (
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

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
	// Program is what L1, L2 and prover are of: BuiltIn or Ethrex. Of it, Name,
	// Build, Binary and Args have a meaning; Args are for the L2 of both sides.
	Program Program `yaml:"program"`
	// Repository is the clone on the host that refs are built from.
	Repository string `yaml:"repository,omitempty"`
	// Baseline is the build that is measured, Test the one that it is compared
	// with; nil for none. Of a Side, Ref, Binary and Args have a meaning.
	// A binary is a file of the host. Args are for the prover of the side. The
	// built-in rollup without ref and binary is this verdict itself.
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
	// TPS is how many transactions a second OwnLoad sends, 0 for as many as the
	// L2 takes.
	TPS float64 `yaml:"tps"`
	// MinTransactions is the fewest transactions of a batch that counts as
	// loaded.
	MinTransactions int `yaml:"min_transactions"`

	// Running says that L1 and L2 run already: nothing of them is built,
	// deployed, started or stopped.
	Running bool `yaml:"running"`
	// L1 is how the L1 runs.
	L1 L1 `yaml:"l1"`
	// L1Image is the image of the L1's container, which is pulled unless it is
	// there; empty to build it from the baseline's ref.
	L1Image string `yaml:"l1_image,omitempty"`
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

// ProverPlaces lists the places of a proving benchmark.
var ProverPlaces = []Place{Local, Live}

// LocalnetLoads lists the loads of a proving benchmark, which are those of
// load_test.
var LocalnetLoads = []Load{EthTransfers, ERC20, Fibonacci, IOHeavy}

// Generators lists the programs that make the load.
var Generators = []Generator{OwnLoad, LoadTest}

// ProverDefaults returns a spec for place with every value that has a default of
// its own; [Prover.Complete] derives the others.
func ProverDefaults(place Place) Prover {
	p := Prover{
		Version:         Version,
		Workflow:        ProverWorkflow,
		Place:           place,
		Program:         Program{Name: Ethrex},
		Load:            EthTransfers,
		Transactions:    50,
		Generator:       OwnLoad,
		MinTransactions: 10,
		Ports:           RollupPorts{L1: 8545, L2: 1729, Metrics: 3702, Coordinator: 3900, Admin: 5555},
		Timeouts:        ProverTimeouts{Ready: 5 * time.Minute, Funded: 5 * time.Minute, Loaded: 10 * time.Minute, Proof: time.Hour},
		Sessions:        2,
		Margin:          0.05,
		Alpha:           0.05,
		Seed:            1,
	}
	if place == Local {
		p.Program.Name = BuiltIn
		p.Batches = 5
	}
	return p
}

// BuiltIn reports whether p is of the built-in rollup.
func (p *Prover) BuiltIn() bool { return p.Program.Name == BuiltIn }

// Complete derives the values whose default depends on others, unless they are
// among the keys that the user gave.
func (p *Prover) Complete(given Keys) {
	p.Baseline.Ref = Ref(p.Baseline.Ref)
	if p.Test != nil {
		p.Test.Ref = Ref(p.Test.Ref)
	}
	derive := func(key string, set func()) {
		if !given.Given(key) {
			set()
		}
	}
	derive("backend", func() { p.Backend = SP1 })
	derive("l1", func() { p.L1 = Docker })
	derive("repository", func() { p.Repository = p.defaultRepository() })
	if p.BuiltIn() {
		derive("backend", func() { p.Backend = Exec })
		derive("l1", func() { p.L1 = Process })
	}
	derive("gpu", func() { p.GPU = p.Backend == SP1 })
	derive("hold_committer", func() { p.HoldCommitter = !p.Running })
	if p.BuiltIn() && p.Place == Local {
		p.hurry(derive)
	}
}

// hurry shortens the built-in rollup's waits on this machine, and has it loaded
// until enough is proved, at a rate that leaves time for the prover.
func (p *Prover) hurry(derive func(key string, set func())) {
	derive("endless", func() { p.Endless = true })
	if p.Generator == OwnLoad {
		derive("tps", func() { p.TPS = 200 })
	}
	for key, d := range map[string]struct {
		of *time.Duration
		to time.Duration
	}{
		"intervals.block":  {&p.Intervals.Block, time.Second},
		"intervals.commit": {&p.Intervals.Commit, 3 * time.Second},
		"intervals.watch":  {&p.Intervals.Watch, time.Second},
		"intervals.send":   {&p.Intervals.Send, time.Second},
		"intervals.poll":   {&p.Intervals.Poll, 500 * time.Millisecond},
		"timeouts.ready":   {&p.Timeouts.Ready, time.Minute},
		"timeouts.funded":  {&p.Timeouts.Funded, time.Minute},
		"timeouts.loaded":  {&p.Timeouts.Loaded, 2 * time.Minute},
		"timeouts.proof":   {&p.Timeouts.Proof, 2 * time.Minute},
	} {
		derive(key, func() { *d.of = d.to })
	}
}

// defaultRepository is where refs are built from: the usual place of ethrex's
// clone; for the built-in rollup the folder that verdict was started in, if a
// side has a ref at all.
func (p *Prover) defaultRepository() string {
	switch {
	case p.Program.Name == Ethrex:
		return "~/ethrex"
	case !p.BuiltIn() || p.Baseline.Ref == "" && (p.Test == nil || p.Test.Ref == ""):
		return ""
	case p.Place == Live:
		return "~/verdict"
	}
	return "."
}

// Sides lists the sides that p has: the baseline alone, or both.
func (p *Prover) Sides() []sample.Side {
	if p.Test == nil {
		return []sample.Side{sample.Baseline}
	}
	return sample.Sides[:]
}

// Side is the given side of p, nil when p has none.
func (p *Prover) Side(side sample.Side) *Side {
	if side == sample.Test {
		return p.Test
	}
	return &p.Baseline
}
