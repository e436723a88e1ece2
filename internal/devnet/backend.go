package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/txpool/blobpool"
	"github.com/ethereum/go-ethereum/core/txpool/legacypool"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethdb"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/triedb"
	"github.com/ethereum/go-ethereum/triedb/hashdb"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

var errExist = fs.ErrExist

// Namespaces lists the namespaces of the public JSON-RPC that are on unless
// others are asked for.
func Namespaces() []string { return []string{"eth", "net", "web3", "debug", "txpool"} }

// checkNamespaces refuses a namespace that the node does not have.
func checkNamespaces(apis []string) error {
	known := append(Namespaces(), "admin", "miner")
	for _, name := range apis {
		if !slices.Contains(known, name) {
			return fault.Newf(fault.Usage, "--http.api: there is no namespace %q, only %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// LibraryLog sends the errors of the underlying library to w as text lines. Its
// warnings are left out: it warns of each call that it answers with an error,
// and of having no peers. The library has one log for the whole process, so
// this belongs to whoever owns the process; without it the library is silent.
func LibraryLog(w io.Writer) {
	log.SetDefault(log.NewLogger(log.NewTerminalHandlerWithLevel(w, log.LevelError, false)))
}

// makeDataDir makes the data directory and makes sure that it can be written.
func makeDataDir(dir string) error {
	refuse := func(err error) error {
		return fault.Newf(fault.Prerequisite, "--datadir: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return refuse(err)
	}
	probe, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return refuse(err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return refuse(err)
	}
	return nil
}

// The sizes of the caches in MiB. They hold the whole local state and leave
// room for two nodes, a driver and a collector in 4 GiB. Most of the database's
// share is its write buffer: with a smaller one the background compaction of
// what full blocks write takes several times the processor time, next to the
// requests that are measured.
const (
	databaseCache = 256
	trieCache     = 96
	flatCache     = 64
)

// openChain opens the database and starts the chain on it, without peers.
func (n *Node) openChain(ctx context.Context, o Options) error {
	var err error
	n.stack, err = node.New(&node.Config{
		Name:    "verdict",
		DataDir: o.DataDir,
		Logger:  log.NewLogger(slog.DiscardHandler), // complains of having no peers
		P2P:     p2p.Config{NoDiscovery: true, NoDial: true},
	})
	if err != nil {
		return dataDirError(o.DataDir, err)
	}
	if err := initGenesis(n.stack, o); err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	n.backend, err = eth.New(n.stack, chainConfig(o))
	if err != nil {
		return fmt.Errorf("opening the chain in %s: %w", o.DataDir, err)
	}
	chain := n.chain()
	// The library's name for this says that it is meant for tests, because a
	// processor can break consensus. This one adds nothing but the notes it
	// takes, and every block is still checked against its own roots.
	v := &validator{Validator: chain.Validator(), expected: make(map[*state.StateDB]*recording)}
	chain.SetBlockValidatorAndProcessorForTesting(v, &processor{chain: chain, plain: chain.Processor(), validator: v})
	if err := n.stack.Start(); err != nil {
		return fmt.Errorf("starting the chain in %s: %w", o.DataDir, err)
	}
	return nil
}

// dataDirError tells the errors of opening a data directory apart.
func dataDirError(dir string, err error) error {
	if errors.Is(err, node.ErrDatadirUsed) {
		return fault.Newf(fault.Prerequisite, "--datadir %s is in use by another process", dir)
	}
	return fault.Newf(fault.Prerequisite, "--datadir %s: %w", dir, err)
}

// chainConfig is the configuration of the chain and its pools. The genesis is
// in the database already.
//
// The state of every block is written to disk. A node that is killed then comes
// up where it was, any block can be executed again, and little is kept in
// memory: the library's newer scheme holds the states of the last 128 blocks
// there, at 30 Mgas a gigabyte, which the garbage collector has to go through
// again and again while latencies are measured.
func chainConfig(o Options) *ethconfig.Config {
	c := ethconfig.Defaults
	c.SyncMode = ethconfig.FullSync
	c.StateScheme, c.NoPruning = rawdb.HashScheme, true
	// The state is in the caches. Executing each block a second time to read
	// ahead would only take a processor from the first.
	c.NoPrefetch = true
	c.DatabaseCache, c.DatabaseHandles = databaseCache, 512
	c.TrieCleanCache, c.SnapshotCache = trieCache, flatCache
	c.LogNoHistory = true // an index for log searches, paid for on each block
	c.RPCTxFeeCap = 0     // fees cost nobody anything here
	c.EngineMaxReorgDepth = 0
	c.Miner.GasCeil = genesis.GasLimit
	c.Miner.GasPrice = big.NewInt(1)
	c.Miner.ExtraData = []byte("verdict")
	// Room for some blocks of transactions at once, from however few senders.
	c.TxPool = legacypool.Config{
		NoLocals:     true,
		PriceLimit:   1,
		PriceBump:    10,
		AccountSlots: 4096,
		GlobalSlots:  1 << 16,
		AccountQueue: 4096,
		GlobalQueue:  1 << 16,
		Lifetime:     3 * time.Hour,
	}
	c.BlobPool = blobpool.DefaultConfig
	if o.BlockGasLimit > 0 {
		c.Miner.GasCeil = o.BlockGasLimit
	}
	if o.PoolSize > 0 {
		c.TxPool.GlobalSlots, c.TxPool.GlobalQueue = o.PoolSize, o.PoolSize
		c.TxPool.AccountSlots = min(c.TxPool.AccountSlots, o.PoolSize)
		c.TxPool.AccountQueue = min(c.TxPool.AccountQueue, o.PoolSize)
	}
	return &c
}

// initGenesis writes the genesis into an empty database, and otherwise makes
// sure that the one that is there is the same.
func initGenesis(stack *node.Node, o Options) (err error) {
	db, err := stack.OpenDatabaseWithOptions("chaindata", node.DatabaseOptions{Cache: databaseCache, Handles: 512})
	if err != nil {
		return dataDirError(o.DataDir, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	stored := rawdb.ReadCanonicalHash(db, 0)
	if stored == (common.Hash{}) {
		return writeGenesis(db, o.Genesis)
	}
	want := genesis.LocalHash
	if o.Genesis != nil {
		want = o.Genesis.ToBlock().Hash()
	}
	if stored != want {
		return fault.Newf(fault.Usage, "--datadir %s holds another chain: its genesis is %s, wanted is %s", o.DataDir, stored, want).
			Hint("use another --datadir, or the --network that it was made with")
	}
	return nil
}

// writeGenesis commits g, or the local genesis if it is nil, to an empty
// database.
func writeGenesis(db ethdb.Database, g *core.Genesis) error {
	if g == nil {
		var err error
		if g, err = genesis.Local(); err != nil {
			return err
		}
	}
	if err := checkGenesis(g); err != nil {
		return err
	}
	tries := triedb.NewDatabase(db, &triedb.Config{HashDB: &hashdb.Config{CleanCacheSize: trieCache << 20}})
	_, err := g.Commit(db, tries, nil)
	if err = errors.Join(err, tries.Close()); err != nil {
		return fmt.Errorf("writing the genesis: %w", err)
	}
	return nil
}

// checkGenesis refuses a chain that the node cannot run.
func checkGenesis(g *core.Genesis) error {
	c := g.Config
	switch {
	case c.TerminalTotalDifficulty == nil:
		return fault.Newf(fault.Usage, "--network: the genesis is of a chain before the merge (terminalTotalDifficulty is missing)")
	case c.AmsterdamTime != nil:
		return fault.Newf(fault.Usage, "--network: the genesis has the fork Amsterdam; Osaka is the newest that the node knows")
	}
	return nil
}

// The limits of the JSON-RPC servers.
const (
	maxBatch      = 10_000
	headerTimeout = 10 * time.Second
)

// mount gives each listener its handler.
func (n *Node) mount(apis []string, secret ethrpc.Secret, o Options) error {
	public, engine := rpcServer(), rpcServer()
	n.rpc.stop, n.engine.stop = public.Stop, engine.Stop

	services := append(n.backend.APIs(),
		rpc.API{Namespace: "web3", Service: web3API{o.Version}},
		rpc.API{Namespace: "debug", Service: debugAPI{n}}, // after the library's: it replaces
		rpc.API{Namespace: "eth", Service: newLogsAPI(n)},
	)
	if err := node.RegisterApis(services, apis, public); err != nil {
		return err
	}
	for _, s := range o.Services {
		if err := public.RegisterName(s.Namespace, s.Methods); err != nil {
			return err
		}
	}
	consensus := catalyst.NewConsensusAPI(n.backend)
	services = append(services,
		rpc.API{Namespace: "engine", Service: consensus},
		rpc.API{Namespace: "engine", Service: &engineAPI{consensus, n}},
	)
	if err := node.RegisterApis(services, []string{"eth", "engine"}, engine); err != nil {
		return err
	}

	everyHost := []string{"*"} // the chain and its keys are worth nothing
	var front http.Handler = node.NewHTTPHandlerStack(public, nil, everyHost, nil, false)
	if slices.Contains(apis, "debug") {
		front = &rpcFront{node: n, next: front}
	}
	n.rpc.http = n.httpServer(front)
	n.engine.http = n.httpServer(node.NewHTTPHandlerStack(engine, nil, everyHost, secret.Key(), true))
	if n.exporter != nil {
		n.exporter.http = n.httpServer(n.serveMetrics())
	}
	return nil
}

func rpcServer() *rpc.Server {
	s := rpc.NewServer()
	s.SetBatchLimits(maxBatch, 0)
	s.SetHTTPBodyLimit(maxRequest)
	return s
}

func (n *Node) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
}
