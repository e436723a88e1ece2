package program

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// What commands of a localnet name and only the run knows. [Fill] puts the values
// in their place; the scripts of a localnet find the first four set as variables.
const (
	// RunWord is the run's directory on the host, VerdictWord verdict's own
	// program there.
	RunWord     = "RUN"
	VerdictWord = "VERDICT"
	// BinaryWord is the program of the side that a session belongs to,
	// WorktreeWord the directory of its sources, LoadTestWord the built
	// load_test.
	BinaryWord   = "BINARY"
	WorktreeWord = "WORKTREE"
	LoadTestWord = "LOADTEST"
	// ProposerWord, BridgeWord and TimelockWord are addresses in the file that
	// the deployer writes, by their names in it.
	ProposerWord = "ETHREX_COMMITTER_ON_CHAIN_PROPOSER_ADDRESS"
	BridgeWord   = "ETHREX_WATCHER_BRIDGE_ADDRESS"
	TimelockWord = "ETHREX_TIMELOCK_ADDRESS"
)

// The accounts of the public fixtures. Everybody knows their keys: they have no
// value outside of a localnet.
const (
	committerKey   = "0x385c546456b6a603a1cfcaa9ec9494ba4832da08dd6bcf4de9a71e4a01b74924"
	proofSenderKey = "0x39725efee3fb28614de3bacaffe4cc4bd8c436257e2c8bb887c4b5c4be45e76d"
	ownerKey       = "0x941e103320615d394a55708be13e45994c7d93b932b064dbcb2b511fe3254e2e"
	ownerAddress   = "0x4417092b70a3e5f10dc504d0947dd256b965fc62"
	coinbase       = "0x0007a881CD95B1484fca47615B64803dad620C8d"
	baseFeeVault   = "0x000c0d6b7c4516a5b274c51ea331a9410fe69127"
	operatorVault  = "0xd5d2a85751b6F158e5b9B8cD509206A865672362"
	operatorFee    = "1000000000"
	// osakaTime is the time stamp from which the L2 has the rules of Osaka, as
	// ethrex's own localnet sets it.
	osakaTime = "1761677592"
)

// RichAddress is the account that has the most on the L2 of a localnet; load_test
// deploys its contracts from it.
const RichAddress = "0x8943545177806ed17b9f23f0a21ee5948ecaa776"

// Command is a program that a localnet consists of.
type Command struct {
	// Argv is the program with its arguments, Env NAME=VALUE settings beside
	// those of a login shell. Both may have the words of this file in them.
	Argv, Env []string
	// Optional are groups of arguments to add when all words in them are known.
	Optional [][]string
	// Dir is where it runs.
	Dir string
}

// Fill puts values in place of the words of a command: where one is a whole
// argument, its beginning up to a slash, or either behind the first "=". What
// has no value is left as it is, and what is filled in is not looked at again.
func Fill(argv []string, values map[string]string) []string {
	one := func(text string) (string, bool) {
		word, rest, below := strings.Cut(text, "/")
		value, ok := values[word]
		if !ok || value == "" {
			return text, false
		}
		if below {
			value += "/" + rest
		}
		return value, true
	}
	out := make([]string, len(argv))
	for i, arg := range argv {
		filled, ok := one(arg)
		if name, value, set := strings.Cut(arg, "="); !ok && set {
			value, _ = one(value)
			filled = name + "=" + value
		}
		out[i] = filled
	}
	return out
}

// Filled is c with values in place of its words, and with those optional
// arguments whose words all have a value.
func (c Command) Filled(values map[string]string) Command {
	out := Command{Argv: Fill(c.Argv, values), Env: Fill(c.Env, values), Dir: Fill([]string{c.Dir}, values)[0]}
	for _, group := range c.Optional {
		filled := Fill(group, values)
		known := true
		for i, arg := range group {
			known = known && (strings.HasPrefix(arg, "-") || filled[i] != arg)
		}
		if known {
			out.Argv = append(out.Argv, filled...)
		}
	}
	return out
}

// Rollup makes the commands of one session of a localnet.
type Rollup struct {
	spec *spec.Prover
	side sample.Side
	// dir is the session's directory on the host.
	dir string
}

// RollupOf makes the commands of a session, numbered from 1, in which a side of
// p has its turn.
func RollupOf(p *spec.Prover, side sample.Side, session int) Rollup {
	return Rollup{spec: p, side: side, dir: SessionDir(session)}
}

// SessionDir is the directory of a session on the host.
func SessionDir(session int) string { return fmt.Sprintf("%s/s%d", RunWord, session) }

// Dir is the session's directory on the host.
func (r Rollup) Dir() string { return r.dir }

// Binary is the program of the session's side: verdict's own, or a built one.
func (r Rollup) Binary() string {
	if s := r.spec.Side(r.side); r.spec.BuiltIn() && s.Ref == "" && s.Binary == "" {
		return VerdictWord
	}
	return BinaryWord
}

// fixture is the path of a key or genesis file.
func (r Rollup) fixture(name string) string {
	if r.spec.BuiltIn() {
		return RunWord + "/fixtures/" + name
	}
	return WorktreeWord + "/fixtures/" + name
}

// The key and genesis files of a localnet, below the directory of its fixtures.
const (
	L1Genesis = "genesis/l1.json"
	L2Genesis = "genesis/l2.json"
	L1Keys    = "keys/private_keys_l1.txt"
	LoadKeys  = "keys/private_keys.txt"
)

// Keys is the file of the load's keys on the host.
func (r Rollup) Keys() string { return r.fixture(LoadKeys) }

// EnvFile is the file that the deployer writes.
func (r Rollup) EnvFile() string { return r.dir + "/env" }

// Database is the directory of the database of "l1" or "l2".
func (r Rollup) Database(part string) string { return r.dir + "/" + part }

// program is the beginning of an argument vector. RUST_LOG of a login shell would
// replace ethrex's own log level, and one for another program mute it.
func (r Rollup) program(ethrex, builtIn []string) []string {
	if r.spec.BuiltIn() {
		return append([]string{r.Binary()}, builtIn...)
	}
	return append([]string{"env", "-u", "RUST_LOG", r.Binary()}, ethrex...)
}

func port(n uint16) string { return strconv.Itoa(int(n)) }

func local(n uint16) string { return "http://127.0.0.1:" + port(n) }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// interval is a flag with a length of time, nothing where the program's own
// shall do.
func interval(flag string, d time.Duration) []string {
	if d == 0 {
		return nil
	}
	return []string{flag, milliseconds(d)}
}

// FixtureFiles writes the keys and genesis files of the built-in rollup.
func FixtureFiles() Command {
	return Command{Argv: []string{VerdictWord, "devnet", "l1", "fixtures", "--out", RunWord + "/fixtures"}}
}

// L1 is the L1 as a process.
func (r Rollup) L1() Command {
	argv := append(r.program(nil, []string{"devnet", "l1"}),
		"--network", r.fixture(L1Genesis),
		"--http.addr", "127.0.0.1", "--http.port", port(r.spec.Ports.L1))
	if !r.spec.BuiltIn() {
		// The L2's peers want the default port.
		argv = append(argv, "--dev", "--p2p.port", "30304", "--discovery.port", "30304")
	}
	return Command{Argv: append(argv, "--datadir", r.Database("l1")), Dir: r.dir}
}

// Deploy deploys the contracts and has the accounts of the load deposit half of
// what they have. The keys go by the environment, where nobody else sees them.
func (r Rollup) Deploy() Command {
	argv := append(r.program([]string{"l2", "deploy"}, []string{"devnet", "l1", "deploy"}),
		"--eth-rpc-url", local(r.spec.Ports.L1),
		"--on-chain-proposer-owner", ownerAddress,
		"--bridge-owner", ownerAddress,
		"--deposit-rich",
		"--private-keys-file-path", r.fixture(L1Keys),
		"--genesis-l1-path", r.fixture(L1Genesis),
		"--genesis-l2-path", r.fixture(L2Genesis),
		"--env-file-path", r.EnvFile())
	if !r.spec.BuiltIn() {
		argv = append(argv, verifier(r.spec)...)
	}
	return Command{
		Argv: argv,
		Env: []string{
			"ETHREX_DEPLOYER_L1_PRIVATE_KEY=" + committerKey,
			"ETHREX_BRIDGE_OWNER_PK=" + ownerKey,
			"ETHREX_DEPLOYER_RANDOMIZE_CONTRACT_DEPLOYMENT=true",
		},
		Dir: r.dir,
	}
}

// verifier are the deployer's flags for the backend. The verification keys are
// those of the sources that the binary was built from; its own default is a path
// that was compiled in.
func verifier(p *spec.Prover) []string {
	const guests = WorktreeWord + "/crates/guest-program/bin/"
	switch p.Backend {
	case spec.SP1:
		return []string{"--sp1", "true", "--sp1-vk-path", guests + "sp1/out/riscv32im-succinct-zkvm-vk-bn254"}
	case spec.RISC0:
		return []string{
			"--risc0", "true", "--risc0.verifier-address", p.RISC0Verifier,
			"--risc0-vk-path", guests + "risc0/out/riscv32im-risc0-vk",
		}
	}
	return nil
}

// poolSize is how many transactions the L2's pool has to hold. A pool that
// overflows drops the lowest nonces of an account, and what follows them waits
// for ever. The fixtures have less than 200 accounts.
func poolSize(p *spec.Prover) int { return max(100_000, 200*p.Transactions) }

// L2 is the sequencer, whose contracts are those that the deployer named.
func (r Rollup) L2() Command {
	p := r.spec
	argv := append(r.program([]string{"l2"}, []string{"devnet", "l2"}),
		"--network", r.fixture(L2Genesis),
		"--datadir", r.Database("l2"),
		"--http.addr", "127.0.0.1", "--http.port", port(p.Ports.L2),
		"--metrics", "--metrics.addr", "127.0.0.1", "--metrics.port", port(p.Ports.Metrics),
		"--eth.rpc-url", local(p.Ports.L1),
		"--l1.bridge-address", BridgeWord,
		"--l1.on-chain-proposer-address", ProposerWord,
		"--watcher.block-delay", "0",
		"--block-producer.coinbase-address", coinbase,
		"--proof-coordinator.addr", "127.0.0.1", "--proof-coordinator.port", port(p.Ports.Coordinator),
		"--admin-server.addr", "127.0.0.1", "--admin-server.port", port(p.Ports.Admin),
		"--mempool.maxsize", strconv.Itoa(poolSize(p)),
		"--no-monitor")
	argv = append(argv, interval("--block-producer.block-time", p.Intervals.Block)...)
	argv = append(argv, interval("--committer.commit-time", p.Intervals.Commit)...)
	argv = append(argv, interval("--watcher.watch-interval", p.Intervals.Watch)...)
	argv = append(argv, interval("--proof-coordinator.send-interval", p.Intervals.Send)...)
	c := Command{
		Env: []string{
			"ETHREX_COMMITTER_L1_PRIVATE_KEY=" + committerKey,
			"ETHREX_PROOF_COORDINATOR_L1_PRIVATE_KEY=" + proofSenderKey,
		},
		Dir: r.dir,
	}
	if !p.BuiltIn() {
		argv = append(argv,
			"--osaka-activation-time", osakaTime,
			"--block-producer.base-fee-vault-address", baseFeeVault,
			"--block-producer.operator-fee-vault-address", operatorVault,
			"--block-producer.operator-fee-per-gas", operatorFee)
		c.Optional = [][]string{{"--l1.timelock-address", TimelockWord}}
	}
	c.Argv = append(argv, p.Program.Args...)
	return c
}

// Prover is the prover of the session's side.
func (r Rollup) Prover() Command {
	p := r.spec
	argv := append(r.program([]string{"l2", "prover"}, []string{"devnet", "prover"}),
		"--proof-coordinators", "tcp://127.0.0.1:"+port(p.Ports.Coordinator),
		"--backend", string(p.Backend))
	argv = append(argv, interval("--proving-time", p.Intervals.Poll)...)
	return Command{
		Argv: append(argv, p.Side(r.side).Args...),
		// On the command line --timed takes no value; here it takes exactly true.
		Env: []string{"PROVER_CLIENT_TIMED=true"},
		Dir: r.dir,
	}
}

// Load is the program that sends the transactions.
func (r Rollup) Load() Command {
	p := r.spec
	if p.Generator == spec.LoadTest {
		return r.loadTest()
	}
	argv := []string{
		VerdictWord, "load",
		"--node", local(p.Ports.L2),
		"--pkeys", r.Keys(),
		"--test-type", string(p.Load),
		"--tx-amount", strconv.Itoa(p.Transactions),
		"--seed", strconv.FormatUint(p.Seed, 10),
		"--wait", p.Timeouts.Loaded.String(),
	}
	if p.Endless {
		argv = append(argv, "--endless")
	}
	if p.TPS > 0 {
		argv = append(argv, "--tps", strconv.FormatFloat(p.TPS, 'f', -1, 64))
	}
	return Command{Argv: argv, Dir: r.dir}
}

// loadTest is load_test, which has a connection for each account. Its defaults
// are another type, amount and node than anybody wants here, so all are given.
func (r Rollup) loadTest() Command {
	p := r.spec
	minutes := max(1, int(p.Timeouts.Loaded.Round(time.Minute)/time.Minute))
	argv := []string{
		"bash", "-c", `ulimit -n 65536 || ulimit -n "$(ulimit -H -n)"; exec "$@"`, "load_test",
		LoadTestWord,
		"-n", local(p.Ports.L2),
		"-k", r.Keys(),
		"-t", string(p.Load),
		"-N", strconv.Itoa(p.Transactions),
		"-w", strconv.Itoa(minutes),
	}
	if p.Endless {
		argv = append(argv, "--endless")
	}
	return Command{Argv: argv, Dir: r.dir}
}

// Collector is what measures on the host while the session goes on.
func (r Rollup) Collector(session int) Command {
	p := r.spec
	argv := []string{
		VerdictWord, "collect", "prover",
		"--side", string(r.side), "--session", strconv.Itoa(session),
		"--rpc", local(p.Ports.L2),
		"--metrics", local(p.Ports.Metrics) + "/metrics",
		"--coordinator", "127.0.0.1:" + port(p.Ports.Coordinator),
		"--prover-log", r.dir + "/prover.log",
		"--l2-log", r.dir + "/l2.log",
		"--out", r.dir + "/samples.jsonl",
	}
	if p.GPU {
		argv = append(argv, "--gpu")
	}
	return Command{Argv: argv, Dir: r.dir}
}

// features are the cargo features of a binary that deploys, sequences and proves
// with the backend.
func features(p *spec.Prover) string {
	list := "l2,l2-sql"
	if p.Backend != spec.Exec {
		list += "," + string(p.Backend)
	}
	if p.GPU {
		list += ",gpu"
	}
	return list
}

// BuildOfRollup is how the program of a side of p is built. For ethrex,
// COMPILE_CONTRACTS is set because the contracts are to be in the binary; that
// rewrites a genesis file of the worktree, which is the one that is used.
func BuildOfRollup(p *spec.Prover, side sample.Side) Build {
	b := Build{Repository: p.Repository, Ref: p.Side(side).Ref, Command: p.Program.Build, Binary: p.Program.Binary}
	if side == sample.Test {
		b.Against = p.Baseline.Ref
	}
	switch {
	case b.Command != "":
	case p.BuiltIn():
		b.Command, b.Binary = "go build -o verdict ./cmd/verdict", "verdict"
	default:
		b.Command = "COMPILE_CONTRACTS=true cargo build --release --features " + features(p) + " --bin ethrex --target-dir target"
		b.Binary = "target/release/ethrex"
	}
	return b
}

// BuildOfLoadTest is how load_test is built: from the baseline's sources for both
// sides, so that they have the same load.
func BuildOfLoadTest(p *spec.Prover) Build {
	return Build{
		Repository: p.Repository, Ref: p.Baseline.Ref,
		Command: "cargo build --release --manifest-path ./tooling/load_test/Cargo.toml --target-dir tooling/target",
		Binary:  "tooling/target/release/load_test",
	}
}

// Worktree is the directory of the sources of what b says was built.
func Worktree(b Build, built Built) string {
	return strings.TrimSuffix(built.Binary, "/"+b.Binary)
}

// Tools are the commands that a host must have in the PATH of a login shell for
// p, in order. The toolchains of provers are not among them: their installers
// name them differently, and a build without one says so.
func Tools(p *spec.Prover) []string {
	var names []string
	ethrex := p.Program.Name == spec.Ethrex
	if slices.ContainsFunc(p.Sides(), p.Builds) {
		names = append(names, "git", "flock")
		switch {
		case p.Program.Build != "":
		case ethrex:
			// The compiled contracts are part of the binary.
			names = append(names, "cargo", "solc")
		default:
			names = append(names, "go")
		}
	}
	if p.L1 == spec.Docker && !p.Running || p.Backend == spec.SP1 && p.GPU {
		names = append(names, "docker")
	}
	if p.GPU {
		names = append(names, "nvidia-smi")
	}
	slices.Sort(names)
	return names
}
