// Package devnet holds the built-in node: a real execution client, made from
// go-ethereum as a library, that follows a local chain over the Engine API and
// serves execution witnesses in the three ways that are compared: made on
// demand, stored as a structure, stored as bytes.
//
// It has no peers. Its blocks come from whoever holds its JWT secret.
//
//	Start ──> serving ──> Close
//	  └─ error: everything that was opened is closed again
package devnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/node"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
)

// Options are what a node is started with.
type Options struct {
	// Genesis is the first block; nil is the local genesis.
	Genesis *core.Genesis
	// DataDir holds everything that survives a restart. It is made when
	// missing and belongs to one node at a time.
	DataDir string
	// HTTPAddr, EngineAddr and MetricsAddr are what to listen on, as
	// host:port; port 0 picks a free one. No MetricsAddr means no metrics.
	HTTPAddr, EngineAddr, MetricsAddr string
	// HTTPAPI are the namespaces of the public JSON-RPC; nil is [Namespaces].
	HTTPAPI []string
	// JWTSecret is the file with the secret of the Engine API, jwt.hex in
	// DataDir if empty. It is made when missing.
	JWTSecret string
	// Precompute makes the witness of each block while it is imported and
	// stores it in the given Form, [Serialized] if empty.
	Precompute bool
	Form       Form
	// Version is what web3_clientVersion answers.
	Version string
	// BlockGasLimit is the block gas limit that blocks built here move to, by
	// a 1024th a block; 0 is [genesis.GasLimit].
	BlockGasLimit uint64
	// PoolSize bounds the transactions in the pool, those that wait for an
	// earlier nonce apart; 0 is room for some full blocks.
	PoolSize uint64
	// Services are served on the public JSON-RPC beside the node's own,
	// whatever HTTPAPI says.
	Services []Service
	// Durable has each new head on disk before the consensus client hears that
	// it is the head. Without it, a node that is killed may come up one block
	// back: its driver delivers that block again, but nobody does who drives a
	// chain that has no other copy.
	Durable bool
	// Log gets a few lines about the node's life; nil for none.
	Log *slog.Logger
}

// Service is a namespace of the public JSON-RPC. Each exported method of
// Methods is a method of the namespace, its name beginning in lower case. An
// argument that is a pointer may be left out. An error with a method ErrorCode
// decides the code of the answer.
type Service struct {
	Namespace string
	Methods   any
}

// Node is a running node.
type Node struct {
	log     *slog.Logger
	stack   *node.Node
	backend *eth.Ethereum
	durable bool
	store   *store // nil without Precompute
	metrics metrics
	// generating has room for one token per witness being made on demand.
	generating chan struct{}

	jwtSecret   string
	rpc, engine *server
	exporter    *server // nil without metrics

	serving sync.WaitGroup
	failed  chan error
	closing sync.Once
	closed  error
}

// server is one HTTP server on its listener.
type server struct {
	listener net.Listener
	http     *http.Server
	// stop ends calls that are running; nil if there is nothing to end.
	stop func()
}

func (s *server) url() string {
	if s == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String()
}

// RPC is the URL of the public JSON-RPC.
func (n *Node) RPC() string { return n.rpc.url() }

// Engine is the URL of the Engine API.
func (n *Node) Engine() string { return n.engine.url() }

// Metrics is the URL of the metrics server, without the path /metrics, and
// empty when there is none.
func (n *Node) Metrics() string { return n.exporter.url() }

// JWTSecret is the file with the secret of the Engine API.
func (n *Node) JWTSecret() string { return n.jwtSecret }

// ChainID is the id of the node's chain.
func (n *Node) ChainID() uint64 { return n.chain().Config().ChainID.Uint64() }

// Genesis is the hash of the first block.
func (n *Node) Genesis() common.Hash { return n.chain().Genesis().Hash() }

// Head is number and hash of the newest block.
func (n *Node) Head() (uint64, common.Hash) {
	head := n.chain().CurrentBlock()
	return head.Number.Uint64(), head.Hash()
}

// Failed delivers an error when one of the node's servers ended by itself. The
// node should then be closed.
func (n *Node) Failed() <-chan error { return n.failed }

func (n *Node) chain() *core.BlockChain { return n.backend.BlockChain() }

// Start starts a node and returns when it answers requests. It ends early
// with the context's cause when ctx is cancelled; a started node lives until
// [Node.Close] and no longer depends on ctx. Errors that the user can cure are
// of package fault and name the flags of verdict devnet node.
func Start(ctx context.Context, o Options) (*Node, error) {
	n := &Node{
		log:        o.Log,
		generating: make(chan struct{}, runtime.GOMAXPROCS(0)),
		failed:     make(chan error, 3),
		jwtSecret:  o.JWTSecret,
		durable:    o.Durable,
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.jwtSecret == "" {
		n.jwtSecret = filepath.Join(o.DataDir, "jwt.hex")
	}
	if err := n.open(ctx, o); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// open does the work of Start. What it opened before an error is Close's to
// close.
func (n *Node) open(ctx context.Context, o Options) error {
	apis := o.HTTPAPI
	if apis == nil {
		apis = Namespaces()
	}
	if err := checkOptions(o, apis); err != nil {
		return err
	}
	// The ports first: a taken one should not cost the time of the genesis.
	if err := n.listen(o); err != nil {
		return err
	}
	if err := makeDataDir(o.DataDir); err != nil {
		return err
	}
	secret, err := readOrCreateSecret(n.jwtSecret)
	if err != nil {
		return err
	}
	if err := n.openChain(ctx, o); err != nil {
		return err
	}
	if o.Precompute {
		form := o.Form
		if form == "" {
			form = Serialized
		}
		if n.store, err = openStore(filepath.Join(o.DataDir, "witnesses"), form); err != nil {
			return fault.As(fault.Prerequisite, err)
		}
	}
	if err := n.mount(apis, secret, o); err != nil {
		return err
	}
	for _, s := range n.servers() {
		n.serve(s)
	}
	return nil
}

func checkOptions(o Options, apis []string) error {
	switch o.Form {
	case "", Serialized, Generated:
	default:
		return fault.Newf(fault.Usage, "--witness-store %s: want %s or %s", o.Form, Serialized, Generated)
	}
	if o.DataDir == "" {
		return fault.Newf(fault.Usage, "--datadir is missing")
	}
	return checkNamespaces(apis)
}

// listen opens the ports.
func (n *Node) listen(o Options) error {
	var err error
	if n.rpc, err = listenOn("--http.port", o.HTTPAddr); err != nil {
		return err
	}
	if n.engine, err = listenOn("--authrpc.port", o.EngineAddr); err != nil {
		return err
	}
	if o.MetricsAddr != "" {
		n.exporter, err = listenOn("--metrics.port", o.MetricsAddr)
	}
	return err
}

func listenOn(flag, address string) (*server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		f := fault.Newf(fault.Prerequisite, "%s: listening on %s: %w", flag, address, cause(err))
		return nil, f.Hint("%s 0 picks a free port", flag)
	}
	return &server{listener: listener}, nil
}

// cause takes the system's own words out of a network error, whose other words
// the caller has said already.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err
}

// readOrCreateSecret reads the secret in path, or makes one when there is no
// such file.
func readOrCreateSecret(path string) (ethrpc.Secret, error) {
	secret, err := ethrpc.CreateSecret(path)
	if errors.Is(err, errExist) {
		return ethrpc.ReadSecret(path)
	}
	return secret, err
}

// servers are those that listen.
func (n *Node) servers() []*server {
	var open []*server
	for _, s := range []*server{n.rpc, n.engine, n.exporter} {
		if s != nil {
			open = append(open, s)
		}
	}
	return open
}

// serve runs a server until Close.
func (n *Node) serve(s *server) {
	n.serving.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			n.failed <- fmt.Errorf("serving on %s: %w", s.listener.Addr(), err)
		}
	})
}

// shutdownTimeout is how long Close waits for running requests.
const shutdownTimeout = 5 * time.Second

// Close stops the servers, writes the state that is still in memory to disk
// and releases the data directory. It may be called more than once.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closed = n.close() })
	return n.closed
}

func (n *Node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	for _, s := range n.servers() {
		if s.http != nil {
			if s.http.Shutdown(ctx) != nil {
				_ = s.http.Close() // cuts what did not end in time
			}
		}
		if s.stop != nil {
			s.stop()
		}
		_ = s.listener.Close() // closed already if it served
	}
	n.serving.Wait()
	if n.stack == nil {
		return nil
	}
	if err := n.stack.Close(); err != nil {
		return fmt.Errorf("closing the node: %w", err)
	}
	return nil
}
