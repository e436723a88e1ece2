// Package sequencer is the built-in L2 of a rollup: a node that nobody else
// feeds, a producer of blocks, and what ties it to the L1. It has the parts, the
// ports, the metrics and the log lines of ethrex's sequencer, so that what works
// with the one works with the other.
//
//	L1 deposits ──▶ watcher ──▶ producer ──▶ blocks (the node)
//	                                           │ every commit time
//	                                           ▼
//	L1 commit  ◀── committer ◀── batch: record + input with merged witness
//	                                           │
//	prover     ◀──▶ coordinator ◀──────────────┘
//	                    │ proof
//	L1 verify  ◀── proof sender
//
// A deposit is a withdrawal of the consensus layer in an L2 block, so a block
// can be executed by the rules of Ethereum alone.
//
// Everything that is not on the L1 already is kept in the data directory before
// it is told to anybody: the process may be killed at any moment, and goes on
// where it was when it is started again.
package sequencer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/l1"
	"github.com/verdict-bench/verdict/internal/load"
)

// firstDeposit is the id of the first deposit of a bridge.
const firstDeposit = 1

// execProof is the type of proof that is needed when the L1 names none.
const execProof = "Exec"

// Options are what a sequencer is started with.
type Options struct {
	// Node are the options of its node: of them Genesis, DataDir, HTTPAddr,
	// Version, BlockGasLimit and PoolSize are the caller's to set.
	Node devnet.Options
	// MetricsAddr, CoordinatorAddr and AdminAddr are what to listen on, as
	// host:port; port 0 picks a free one. No MetricsAddr means no metrics.
	MetricsAddr, CoordinatorAddr, AdminAddr string

	// L1 is the URL of the L1's JSON-RPC, Proposer and Bridge the contracts
	// there.
	L1               string
	Proposer, Bridge common.Address
	// Committer commits batches to the L1, and ProofSender sends the proofs.
	Committer, ProofSender load.Account

	// BlockTime is the time from one block to the next, CommitTime from one
	// batch to the next, WatchInterval that between two looks for deposits, and
	// SendInterval that between two looks for proofs to send. All are more
	// than zero.
	BlockTime, CommitTime, WatchInterval, SendInterval time.Duration
	// BlockDelay is how many blocks of the L1 lie on a deposit before it counts.
	BlockDelay uint64
	// BatchGasLimit ends a batch, in gas; 0 is none.
	BatchGasLimit uint64
	// Coinbase gets the tips.
	Coinbase common.Address
	// Commit is the commit hash of this build, 40 hex digits: provers of
	// another one are given nothing.
	Commit string
	// Log gets what ethrex's sequencer logs; nil for none.
	Log *slog.Logger
}

// Sequencer is a started L2:
//
//	Start ──▶ serving ──▶ Run: blocks, batches, proofs ──▶ Close
type Sequencer struct {
	o        Options
	log      *slog.Logger
	required []string

	metrics, admin, coordinator net.Listener // metrics may be nil

	node   *devnet.Node
	l1     *settlement
	chain  *chain
	files  *files
	meters *meters
	api    *batchAPI
	// deposits are the queue between watcher and producer.
	deposits *deposits
}

// Start opens the ports, reads what the L1 has, starts the node, and makes sure
// that the data directory and the L1 belong together. It ends early when ctx is
// cancelled. Errors that the user can cure are of package fault and name the
// flags of verdict devnet l2.
func Start(ctx context.Context, o Options) (*Sequencer, error) {
	s := &Sequencer{o: o, log: o.Log, meters: newMeters(), api: new(batchAPI)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open does the work of Start. What it opened before an error is Close's to
// close.
func (s *Sequencer) open(ctx context.Context) error {
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.openL1(ctx); err != nil {
		return err
	}
	s.log.Info("Initiating blockchain with geth")
	if err := s.openNode(ctx); err != nil {
		return err
	}
	return s.reconcile(ctx)
}

// listen opens the ports. The node opens its own.
func (s *Sequencer) listen() error {
	for _, port := range []struct {
		flag, address string
		to            *net.Listener
	}{
		{"--metrics.port", s.o.MetricsAddr, &s.metrics},
		{"--proof-coordinator.port", s.o.CoordinatorAddr, &s.coordinator},
		{"--admin-server.port", s.o.AdminAddr, &s.admin},
	} {
		if port.address == "" {
			continue
		}
		ln, err := net.Listen("tcp", port.address)
		if err != nil {
			var op *net.OpError
			if errors.As(err, &op) {
				err = op.Err // the other words are said here
			}
			return fault.Newf(fault.Prerequisite, "%s: listening on %s: %w", port.flag, port.address, err).
				Hint("%s 0 picks a free port", port.flag)
		}
		*port.to = ln
	}
	return nil
}

// openL1 reads what the contract wants. Without knowing which proofs it needs
// nothing could be given to provers, so an L1 that does not answer ends the
// start.
func (s *Sequencer) openL1(ctx context.Context) error {
	client, err := l1.Dial(s.o.L1)
	if err != nil {
		return err
	}
	s.l1 = &settlement{
		client: client, dir: s.o.Node.DataDir,
		committer: client.Proposer(s.o.Proposer, s.o.Committer),
		sender:    client.Proposer(s.o.Proposer, s.o.ProofSender),
	}
	s.required, err = s.l1.committer.Required(ctx)
	if err == nil {
		err = s.l1.committer.CheckCommitter(ctx)
	}
	if err == nil {
		err = s.l1.sender.CheckProofSender(ctx)
	}
	if err == nil {
		err = client.CheckBridge(ctx, s.o.Bridge)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case fault.KindOf(err) == fault.Prerequisite:
		return fmt.Errorf("starting the sequencer: %w", err)
	default:
		return fault.Newf(fault.Prerequisite, "starting the sequencer: %w", err).
			Hint("start an L1 (verdict devnet l1) and give its address: --eth.rpc-url http://127.0.0.1:8545")
	}
	if len(s.required) == 0 {
		s.required = []string{execProof}
	}
	return nil
}

// openNode starts the node, which takes the data directory for this process
// alone, and opens what else is in it.
func (s *Sequencer) openNode(ctx context.Context) error {
	n := s.o.Node
	n.EngineAddr, n.MetricsAddr = "127.0.0.1:0", ""
	n.Precompute, n.Form = true, devnet.Serialized
	n.Services = []devnet.Service{{Namespace: namespace, Methods: s.api}}
	var err error
	if s.node, err = devnet.Start(ctx, n); err != nil {
		return err
	}
	dir := filepath.Join(n.DataDir, "rollup")
	if s.files, err = openFiles(dir); err != nil {
		return err
	}
	s.l1.files = s.files
	s.chain, err = openChain(ctx, s.node, dir)
	return err
}

// reconcile makes sure that L1, chain and files agree, and finds the deposits
// that are still to be credited.
func (s *Sequencer) reconcile(ctx context.Context) error {
	id, err := s.l1.identify(ctx, identity{Proposer: s.o.Proposer, Bridge: s.o.Bridge})
	if err != nil {
		return err
	}
	if err := s.l1.checkChain(ctx, s.chain); err != nil {
		return err
	}
	genesis, err := s.chain.header(ctx, "0x0")
	if err != nil {
		return err
	}
	if err := s.l1.agree(ctx, genesis.StateRoot); err != nil {
		return err
	}
	// Only now: a directory that was refused can still become that of others.
	if err := s.files.setIdentity(id); err != nil {
		return fault.As(fault.Prerequisite, fmt.Errorf("--datadir: %w", err))
	}
	from, next := uint64(1), uint64(firstDeposit)
	if r, ok := s.files.last(); ok {
		from, next = r.Public.LastBlock+1, r.NextDeposit
	}
	if next, err = s.chain.nextDeposit(ctx, from, next); err != nil {
		return err
	}
	s.deposits = &deposits{next: next}
	s.api.behind.Store(&behindAPI{s.files, s.chain})
	return nil
}

// Addresses are the URLs of a sequencer; Metrics is empty without a metrics
// server.
type Addresses struct {
	RPC         string `json:"rpc"`
	Metrics     string `json:"metrics,omitempty"`
	Coordinator string `json:"coordinator"`
	Admin       string `json:"admin"`
}

// Addresses are where the sequencer answers.
func (s *Sequencer) Addresses() Addresses {
	a := Addresses{
		RPC: s.node.RPC(), Coordinator: "tcp://" + s.coordinator.Addr().String(),
		Admin: "http://" + s.admin.Addr().String(),
	}
	if s.metrics != nil {
		a.Metrics = "http://" + s.metrics.Addr().String()
	}
	return a
}

// Run makes blocks and batches and serves provers until ctx ends or a part
// fails, waits for all parts, and returns which of the two it was: the cause of
// ctx or the error. It can be called once.
func (s *Sequencer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, part := range s.parts() {
		wg.Go(func() { cancel(part(ctx)) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// parts are what runs at the same time. Each returns when its context ends, with
// the cause.
func (s *Sequencer) parts() []func(context.Context) error {
	o := s.o
	commit := &committer{
		chain: s.chain, files: s.files, l1: s.l1, meters: s.meters, log: s.log,
		commitTime: o.CommitTime, gasLimit: o.BatchGasLimit, config: o.Node.Genesis.Config,
		commit: o.Commit, changed: make(chan struct{}, 1),
	}
	produce := &producer{
		chain: s.chain, deposits: s.deposits, log: s.log, meters: s.meters,
		blockTime: o.BlockTime, coinbase: o.Coinbase,
	}
	watch := &watcher{
		l1: s.l1.client, deposits: s.deposits, log: s.log,
		bridge: o.Bridge, interval: o.WatchInterval, delay: o.BlockDelay,
	}
	send := &sender{
		files: s.files, l1: s.l1, meters: s.meters, log: s.log,
		interval: o.SendInterval, required: s.required,
	}
	hand := &handout{
		files: s.files, log: s.log, meters: s.meters, required: s.required,
		commit: o.Commit, asked: make(map[uint64]time.Time),
	}
	control := &admin{
		committer: commit, files: s.files, metrics: s.metrics != nil,
		blockTime: o.BlockTime, watchInterval: o.WatchInterval, sendInterval: o.SendInterval,
	}
	if s.metrics != nil {
		s.log.Info(fmt.Sprintf("Starting metrics server on %s", s.metrics.Addr()))
	}
	s.log.Info(fmt.Sprintf("Starting HTTP server at %s", s.node.RPC()[len("http://"):]))
	s.log.Info("Starting Sequencer in Sequencing mode")
	for _, kind := range s.required {
		s.log.Info(kind + " proof needed")
	}
	s.log.Info(fmt.Sprintf("Starting TCP server at %s.", s.coordinator.Addr()))
	parts := []func(context.Context) error{
		s.watchNode, produce.run, watch.run, commit.run, send.run,
		func(ctx context.Context) error { return hand.run(ctx, s.coordinator) },
		func(ctx context.Context) error { return serve(ctx, s.admin, control.routes()) },
	}
	if s.metrics != nil {
		parts = append(parts, func(ctx context.Context) error { return serve(ctx, s.metrics, s.pages()) })
	}
	return parts
}

// watchNode ends with the node's servers.
func (s *Sequencer) watchNode(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-s.node.Failed():
		return err
	}
}

// pages are those of the metrics server.
func (s *Sequencer) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		// A scraper that went away is no concern of the sequencer's.
		if s.node.WriteMetrics(w) == nil {
			_, _ = w.Write(s.meters.page(s.files))
		}
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Service Up")
	})
	return mux
}

// The limits of the HTTP servers.
const (
	headerTimeout   = 10 * time.Second
	writeTimeout    = time.Minute
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 2 * time.Second
)

// serve serves HTTP on ln until ctx ends, and closes ln.
func serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	var closing sync.WaitGroup
	closing.Go(func() {
		<-ended.Done()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(limited) != nil {
			_ = server.Close() // cuts what did not end in time
		}
	})
	err := server.Serve(ln)
	cancel()
	closing.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("serving on %s: %w", ln.Addr(), err)
}

// Close stops the node and gives the ports back. It comes after Run has
// returned.
func (s *Sequencer) Close() error {
	for _, ln := range []net.Listener{s.metrics, s.admin, s.coordinator} {
		if ln != nil {
			_ = ln.Close() // closed already if it served
		}
	}
	if s.chain != nil {
		s.chain.close()
	}
	if s.l1 != nil {
		s.l1.client.Close()
	}
	if s.node == nil {
		return nil
	}
	return s.node.Close()
}
