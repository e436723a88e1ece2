package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/sequencer"
	"github.com/verdict-bench/verdict/internal/tracelog"
)

// l2Options are the flags of verdict devnet l2. Times are in milliseconds, as
// in ethrex's flags.
type l2Options struct {
	network, datadir  string
	httpAddr          string
	httpPort          uint16
	metrics           bool
	metricsAddr       string
	metricsPort       uint16
	l1                string
	bridge, proposer  string
	committerKey      string
	senderKey         string
	commitTime        uint32
	batchGasLimit     uint64
	blockTime         uint32
	blockGasLimit     uint64
	coinbase          string
	watchInterval     uint32
	blockDelay        uint64
	coordinatorAddr   string
	coordinatorPort   uint16
	sendInterval      uint32
	adminAddr         string
	adminPort         uint16
	noMonitor         bool
	poolSize          uint64
	commit, addresses string
}

// l2Variables are the environment variables of the flags, those of ethrex.
func l2Variables() map[string]string {
	return map[string]string{
		"network":                          "ETHREX_NETWORK",
		"datadir":                          "ETHREX_DATADIR",
		"http.addr":                        "ETHREX_HTTP_ADDR",
		"http.port":                        "ETHREX_HTTP_PORT",
		"metrics.port":                     "ETHREX_METRICS_PORT",
		"eth.rpc-url":                      "ETHREX_ETH_RPC_URL",
		"l1.bridge-address":                "ETHREX_WATCHER_BRIDGE_ADDRESS",
		"l1.on-chain-proposer-address":     "ETHREX_COMMITTER_ON_CHAIN_PROPOSER_ADDRESS",
		"committer.l1-private-key":         "ETHREX_COMMITTER_L1_PRIVATE_KEY",
		"proof-coordinator.l1-private-key": "ETHREX_PROOF_COORDINATOR_L1_PRIVATE_KEY",
		"committer.commit-time":            "ETHREX_COMMITTER_COMMIT_TIME",
		"committer.batch-gas-limit":        "ETHREX_COMMITTER_BATCH_GAS_LIMIT",
		"block-producer.block-time":        "ETHREX_BLOCK_PRODUCER_BLOCK_TIME",
		"block-producer.block-gas-limit":   "ETHREX_BLOCK_PRODUCER_BLOCK_GAS_LIMIT",
		"block-producer.coinbase-address":  "ETHREX_BLOCK_PRODUCER_COINBASE_ADDRESS",
		"watcher.watch-interval":           "ETHREX_WATCHER_WATCH_INTERVAL",
		"watcher.block-delay":              "ETHREX_WATCHER_BLOCK_DELAY",
		"proof-coordinator.addr":           "ETHREX_PROOF_COORDINATOR_LISTEN_ADDRESS",
		"proof-coordinator.port":           "ETHREX_PROOF_COORDINATOR_LISTEN_PORT",
		"proof-coordinator.send-interval":  "ETHREX_PROOF_COORDINATOR_SEND_INTERVAL",
		"admin-server.addr":                "ETHREX_ADMIN_SERVER_LISTEN_ADDRESS",
		"admin-server.port":                "ETHREX_ADMIN_SERVER_LISTEN_PORT",
		"no-monitor":                       "ETHREX_NO_MONITOR",
	}
}

// l2Help is the long help of verdict devnet l2.
const l2Help = `L2 is the sequencer of the built-in rollup: it makes a block each block time,
credits the deposits that it sees on the L1, closes a batch each commit time and
commits it to the L1, hands batches to provers, and brings their proofs to the
L1. Chain id of the fixtures: 65536999.

A batch ends at the newest block, and before the block with which it would hold
more than 126,976 bytes of transactions, 300 deposits, 1024 blocks or
--committer.batch-gas-limit.
One block that is larger is a batch of its own. Its input holds the blocks and
one witness for all of them; it stays in the data directory until the L1 has
verified the batch.

The flags, and the environment variables that stand in for them, are those of
ethrex's sequencer. Give private keys in the environment. Beside the JSON-RPC of
an execution client it answers ethrex_batchNumber, ethrex_getBatchByNumber and
ethrex_getBatchByBlock. The admin server stops and starts the committer: GET
/committer/stop, /committer/start, /committer/start/MILLISECONDS; /health tells
how the parts are. None of the servers has any authentication.

It can be killed at any moment and goes on where it was when it is started again
on the same data directory and L1. A data directory that was made for another L1,
another deployment or another genesis is refused. The log goes to standard
output. It runs until it is interrupted, with exit status 0. Other exit statuses:
1 it failed, 2 bad usage or genesis, 4 the L1 does not answer or does not belong
to the data directory, a port is taken, or the data directory cannot be used.`

// newDevnetL2 is the command verdict devnet l2.
func newDevnetL2(w World) *cobra.Command {
	var o l2Options
	cmd := &cobra.Command{
		Use:   "l2",
		Short: "Run the built-in L2 of a rollup",
		Long:  l2Help,
		Example: `  set -a; . ./rollup.env; set +a    # from verdict devnet l1 deploy
  export ETHREX_COMMITTER_L1_PRIVATE_KEY=0x385c546456b6a603a1cfcaa9ec9494ba4832da08dd6bcf4de9a71e4a01b74924
  export ETHREX_PROOF_COORDINATOR_L1_PRIVATE_KEY=0x39725efee3fb28614de3bacaffe4cc4bd8c436257e2c8bb887c4b5c4be45e76d
  verdict devnet l2 --network fixtures/genesis/l2.json --datadir l2 \
    --eth.rpc-url http://127.0.0.1:8545 --metrics --no-monitor`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(w, cmd, l2Variables()); err != nil {
				return err
			}
			return runDevnetL2(cmd.Context(), w, o)
		},
	}
	o.flags(cmd)
	return cmd
}

// defaultCoinbase is the account that the local network of ethrex gives the
// tips to.
const defaultCoinbase = "0x0007a881CD95B1484fca47615B64803dad620C8d"

// flags declares the flags.
func (o *l2Options) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.network, "network", "", "the genesis `FILE` (default: that of the fixtures)")
	f.StringVar(&o.datadir, "datadir", "", "`directory` of chain and batches (default: a temporary one, removed at the end)")
	f.StringVar(&o.httpAddr, "http.addr", "127.0.0.1", "`address` of the JSON-RPC server")
	f.Uint16Var(&o.httpPort, "http.port", 1729, "`port` of the JSON-RPC server; 0 picks a free one")
	f.BoolVar(&o.metrics, "metrics", false, "serve Prometheus metrics at /metrics")
	f.StringVar(&o.metricsAddr, "metrics.addr", "127.0.0.1", "`address` of the metrics server")
	f.Uint16Var(&o.metricsPort, "metrics.port", 3702, "`port` of the metrics server; 0 picks a free one")
	f.StringVar(&o.l1, "eth.rpc-url", "", "`URL` of the L1's JSON-RPC")
	f.StringVar(&o.bridge, "l1.bridge-address", "", "`address` of the bridge on the L1")
	f.StringVar(&o.proposer, "l1.on-chain-proposer-address", "", "`address` of the OnChainProposer on the L1")
	f.StringVar(&o.committerKey, "committer.l1-private-key", "", "`key` of the account that commits batches; better in the environment")
	f.StringVar(&o.senderKey, "proof-coordinator.l1-private-key", "", "`key` of the account that sends proofs; better in the environment")
	f.Uint32Var(&o.commitTime, "committer.commit-time", 60_000, "`milliseconds` from one batch to the next")
	f.Uint64Var(&o.batchGasLimit, "committer.batch-gas-limit", 0, "close a batch before it holds more `gas`, at least the block gas limit (default: no limit)")
	f.Uint32Var(&o.blockTime, "block-producer.block-time", 5000, "`milliseconds` from one block to the next; below 1000 the blocks' time stamps run ahead of the clock")
	f.Uint64Var(&o.blockGasLimit, "block-producer.block-gas-limit", genesis.RollupGasLimit, "block `gas` limit, reached in steps of a 1024th a block from that of the genesis")
	f.StringVar(&o.coinbase, "block-producer.coinbase-address", defaultCoinbase, "`address` that gets the tips")
	f.Uint32Var(&o.watchInterval, "watcher.watch-interval", 12_000, "`milliseconds` between two looks for deposits on the L1")
	f.Uint64Var(&o.blockDelay, "watcher.block-delay", 0, "`blocks` of the L1 that lie on a deposit before it counts")
	f.StringVar(&o.coordinatorAddr, "proof-coordinator.addr", "127.0.0.1", "`address` where provers ask for work")
	f.Uint16Var(&o.coordinatorPort, "proof-coordinator.port", 3900, "`port` where provers ask for work; 0 picks a free one")
	f.Uint32Var(&o.sendInterval, "proof-coordinator.send-interval", 5000, "`milliseconds` between two looks for proofs to send to the L1")
	f.StringVar(&o.adminAddr, "admin-server.addr", "127.0.0.1", "`address` of the admin server")
	f.Uint16Var(&o.adminPort, "admin-server.port", 5555, "`port` of the admin server; 0 picks a free one")
	f.BoolVar(&o.noMonitor, "no-monitor", false, "accepted: there is no monitor to switch off")
	f.Uint64Var(&o.poolSize, "mempool.maxsize", 0, "`transactions` that the pool holds (default: room for some full blocks)")
	f.StringVar(&o.commit, "commit", "", "`commit` hash to claim, 40 hex digits (default: that of this build); provers of another one are given nothing")
	f.StringVar(&o.addresses, "addresses", "", "when ready, write the URLs as JSON (rpc, metrics, coordinator, admin) to this `file`")
}

func runDevnetL2(ctx context.Context, w World, o l2Options) (err error) {
	devnet.LibraryLog(w.Stderr)
	if w.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(nodeMemory)
	}
	options, err := o.resolve()
	if err != nil {
		return err
	}
	options.Log = tracelog.New(w.Stdout, slog.LevelInfo, "sequencer")
	options.Node.Log = slog.New(slog.NewTextHandler(w.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	if options.Node.DataDir == "" {
		dir, err := os.MkdirTemp("", "verdict-l2-")
		if err != nil {
			return fault.As(fault.Prerequisite, fmt.Errorf("making a data directory: %w", err))
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		options.Node.DataDir = dir
	}
	s, err := sequencer.Start(ctx, options)
	if err != nil {
		return err
	}
	if o.addresses != "" {
		if err := writeAddresses(o.addresses, s.Addresses()); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	ended := s.Run(ctx)
	closing := s.Close()
	switch {
	case ctx.Err() == nil: // a part failed
		return errors.Join(ended, closing)
	case closing != nil:
		return closing
	}
	return errStopped
}

// resolve turns the flags into the sequencer's options.
func (o *l2Options) resolve() (sequencer.Options, error) {
	out := sequencer.Options{
		CoordinatorAddr: join(o.coordinatorAddr, o.coordinatorPort), AdminAddr: join(o.adminAddr, o.adminPort),
		L1: o.l1, CommitTime: fromMilliseconds(o.commitTime), BlockTime: fromMilliseconds(o.blockTime),
		WatchInterval: fromMilliseconds(o.watchInterval), SendInterval: fromMilliseconds(o.sendInterval),
		BlockDelay: o.blockDelay, BatchGasLimit: o.batchGasLimit, Commit: o.commit,
		Node: devnet.Options{
			DataDir: o.datadir, HTTPAddr: join(o.httpAddr, o.httpPort),
			BlockGasLimit: o.blockGasLimit, PoolSize: o.poolSize, Genesis: genesis.L2(),
		},
	}
	if o.metrics {
		out.MetricsAddr = join(o.metricsAddr, o.metricsPort)
	}
	if err := o.check(); err != nil {
		return out, err
	}
	if err := o.accounts(&out); err != nil {
		return out, err
	}
	var err error
	if out.Commit == "" {
		if out.Commit, err = batch.BuildCommit(); err != nil {
			return out, err
		}
	}
	out.Node.Version = versionWithCommit(out.Commit)
	if o.network != "" {
		out.Node.Genesis, err = genesis.Read(o.network)
	}
	return out, err
}

// fromMilliseconds is the time that a flag gives.
func fromMilliseconds(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }

// check finds flags that are missing, all of them, and those that cannot be.
func (o *l2Options) check() error {
	const help = "verdict devnet l2 --help"
	var missing []string
	for flag, value := range map[string]string{
		"eth.rpc-url": o.l1, "l1.bridge-address": o.bridge, "l1.on-chain-proposer-address": o.proposer,
		"committer.l1-private-key": o.committerKey, "proof-coordinator.l1-private-key": o.senderKey,
	} {
		if value == "" {
			missing = append(missing, fmt.Sprintf("--%s (%s)", flag, l2Variables()[flag]))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fault.Newf(fault.Usage, "missing: %s", strings.Join(missing, ", ")).Hint(help)
	}
	const shortest = 50 // a block takes some tens of milliseconds to make
	if o.blockTime < shortest {
		return fault.Newf(fault.Usage, "--block-producer.block-time %d: want at least %d, in milliseconds", o.blockTime, shortest)
	}
	for _, t := range []struct {
		flag  string
		value uint32
	}{
		{"committer.commit-time", o.commitTime}, {"watcher.watch-interval", o.watchInterval},
		{"proof-coordinator.send-interval", o.sendInterval},
	} {
		if t.value == 0 {
			return fault.Newf(fault.Usage, "--%s 0: want at least 1, in milliseconds", t.flag)
		}
	}
	switch {
	case o.blockGasLimit == 0:
		return fault.Newf(fault.Usage, "--block-producer.block-gas-limit 0: want more than 0")
	case o.batchGasLimit > 0 && o.batchGasLimit < o.blockGasLimit:
		return fault.Newf(fault.Usage, "--committer.batch-gas-limit %d is less than the block gas limit of %d: a full block would fit into no batch", o.batchGasLimit, o.blockGasLimit)
	case o.commit != "" && !batch.IsCommit(o.commit):
		return fault.Newf(fault.Usage, "--commit %q: want 40 hex digits in lower case", o.commit)
	}
	return nil
}

// accounts reads keys and addresses. A message never shows a key.
func (o *l2Options) accounts(out *sequencer.Options) error {
	for _, k := range []struct {
		flag, text string
		account    *load.Account
	}{
		{"committer.l1-private-key", o.committerKey, &out.Committer},
		{"proof-coordinator.l1-private-key", o.senderKey, &out.ProofSender},
	} {
		var err error
		if *k.account, err = load.ParseKey(k.text); err != nil {
			return fault.Newf(fault.Usage, "--%s: %w", k.flag, err)
		}
	}
	for _, a := range []struct {
		flag, text string
		address    *common.Address
	}{
		{"l1.bridge-address", o.bridge, &out.Bridge},
		{"l1.on-chain-proposer-address", o.proposer, &out.Proposer},
		{"block-producer.coinbase-address", o.coinbase, &out.Coinbase},
	} {
		raw, err := hexutil.Decode(a.text)
		if err != nil || len(raw) != common.AddressLength {
			return fault.Newf(fault.Usage, "--%s %q: want an address, 0x and 40 hex digits", a.flag, a.text)
		}
		*a.address = common.Address(raw)
	}
	return nil
}

// versionWithCommit is what web3_clientVersion answers, in the form of
// ethrex's: name/version-branch-commit/platform/compiler.
func versionWithCommit(commit string) string {
	release := "v0.0.0"
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		// What follows the first dash or plus names a commit, perhaps another
		// one than is claimed.
		release, _, _ = strings.Cut(strings.ReplaceAll(info.Main.Version, "+", "-"), "-")
	}
	return fmt.Sprintf("verdict/%s-devel-%s/%s-%s/%s", release, commit, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
