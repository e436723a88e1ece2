package beacon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
)

// Options are what a stand-in is started with.
type Options struct {
	// Endpoint is the URL of the Engine API of its execution client.
	Endpoint string
	Secret   ethrpc.Secret
	// SecretFile is where Secret came from, for messages.
	SecretFile string
	// Network is the network's name. A producer needs one; a follower without
	// one takes the producer's.
	Network string
	// Listen is what to serve on, as host:port; port 0 picks a free one, and
	// no Listen means no server.
	Listen string
	// Version is what /eth/v1/node/version answers.
	Version string
	// Log gets a line when something changes; nil for none.
	Log *slog.Logger
}

// Node is a running stand-in. It either produces or follows:
//
//	Start ──> serving, not initialized ──> Produce or Follow ──> Close
type Node struct {
	o      Options
	log    *slog.Logger
	engine *ethrpc.Engine
	chain  *chain // what a producer has for its followers

	listener net.Listener // nil without a server
	http     *http.Server
	// quit ends the requests that wait.
	quit    context.CancelFunc
	serving sync.WaitGroup
	failed  chan error

	mu     sync.Mutex
	status status
	// said is the last line of the log on each subject.
	said map[string]string
}

// status is what the node knows.
type status struct {
	producing bool
	// known says that network holds what it says.
	known   bool
	network network
	head    block
	// from is the head from which the node last began to catch up.
	from uint64
	// distance is how many blocks to stay behind on purpose.
	distance            uint64
	optimistic, offline bool
	peers               int
}

// network is what a producer tells its followers.
type network struct {
	Name    string      `json:"network"`
	ChainID uint64      `json:"chain_id"`
	Genesis common.Hash `json:"genesis"`
	// SlotMS is the time from one block to the next in milliseconds.
	SlotMS int64 `json:"slot_ms"`
	// Head is the number of the newest block, Oldest that of the oldest whose
	// payload is still to be had; it is Head+1 when there is none.
	Head   uint64 `json:"head"`
	Oldest uint64 `json:"oldest"`
}

func (n network) slot() time.Duration { return time.Duration(n.SlotMS) * time.Millisecond }

// block is the part of a block that the beacon API tells.
type block struct {
	Number uint64      `json:"number"`
	Hash   common.Hash `json:"hash"`
	Parent common.Hash `json:"parent"`
}

// behind is the number of blocks from the head to the network's.
func (s status) behind() uint64 {
	return s.network.Head - min(s.network.Head, s.head.Number)
}

// syncing says that the node is catching up.
func (s status) syncing() bool { return s.behind() > MaxDistance }

// target is the number of the block to stand on.
func (s status) target() uint64 {
	return s.network.Head - min(s.network.Head, s.distance)
}

// Start opens the port and serves until Close. Nothing is asked of the
// execution client yet.
func Start(o Options) (*Node, error) {
	engine, err := ethrpc.NewEngine(o.Endpoint, o.Secret)
	if err != nil {
		return nil, fault.Newf(fault.Usage, "--execution-endpoint: %w", err)
	}
	n := &Node{
		o: o, log: o.Log, engine: engine, chain: newChain(), failed: make(chan error, 1),
		said: map[string]string{}, quit: func() {},
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if o.Listen == "" {
		return n, nil
	}
	if n.listener, err = net.Listen("tcp", o.Listen); err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // the other words are said here
		}
		return nil, fault.Newf(fault.Prerequisite, "--http-port: listening on %s: %w", o.Listen, err).
			Hint("--http-port 0 picks a free port")
	}
	ctx, quit := context.WithCancel(context.Background())
	n.quit = quit
	n.http = &http.Server{
		Handler:           n.routes(),
		ReadHeaderTimeout: answerTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	n.serving.Go(func() {
		if err := n.http.Serve(n.listener); !errors.Is(err, http.ErrServerClosed) {
			n.failed <- fmt.Errorf("serving on %s: %w", n.listener.Addr(), err)
		}
	})
	return n, nil
}

// URL is the address of the beacon API, empty without a server.
func (n *Node) URL() string {
	if n.listener == nil {
		return ""
	}
	return "http://" + n.listener.Addr().String()
}

// Close ends the server. It comes after Produce or Follow has returned.
func (n *Node) Close() error {
	defer n.engine.Close()
	n.quit()
	if n.http == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := n.http.Shutdown(ctx)
	if err != nil {
		err = n.http.Close() // cuts what did not end in time
	}
	n.serving.Wait()
	return err
}

// guard is ctx that also ends when the server fails, with that as its cause.
// The returned function gives back what it took.
func (n *Node) guard(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		select {
		case err := <-n.failed:
			cancel(err)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		wait.Wait()
	}
}

// snapshot is a copy of what the node knows.
func (n *Node) snapshot() status {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

// update changes what the node knows.
func (n *Node) update(change func(*status)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.status)
}

// say logs a line unless it was the last one on its subject.
func (n *Node) say(subject string, level slog.Level, message string, args ...any) {
	line := fmt.Sprint(append([]any{level, message}, args...)...)
	n.mu.Lock()
	repeated := n.said[subject] == line
	n.said[subject] = line
	n.mu.Unlock()
	if !repeated {
		n.log.Log(context.Background(), level, message, args...)
	}
}

// The subjects of the log.
const (
	aboutExecution = "execution"
	aboutNetwork   = "network"
	aboutSync      = "sync"
)

// client is the execution client as the driver knows it. All its calls go to
// the one port that a consensus client is given.
func (n *Node) client() drive.Client {
	return drive.Client{Name: "execution", RPC: n.engine.RPC(), Engine: n.engine}
}

// online notes that the execution client answers.
func (n *Node) online() {
	n.update(func(s *status) { s.offline = false })
	n.say(aboutExecution, slog.LevelInfo, "the execution client is online", "endpoint", n.engine.URL())
}

// trouble notes why the execution client does not do what it should.
func (n *Node) trouble(err error) {
	var not *drive.NotExecutedError
	var other *otherChainError
	switch {
	case jwtRefused(err):
		n.update(func(s *status) { s.offline = true })
		n.say(aboutExecution, slog.LevelError, "the execution client refuses the JWT",
			"endpoint", n.engine.URL(), "execution-jwt", n.o.SecretFile)
	case unreachable(err):
		n.update(func(s *status) { s.offline = true })
		n.say(aboutExecution, slog.LevelError, "the execution client is offline: trying again", "endpoint", n.engine.URL(), "err", brief(err))
	case errors.As(err, &not), errors.As(err, &other):
		n.update(func(s *status) { s.offline, s.optimistic = false, true })
		n.say(aboutExecution, slog.LevelWarn, "the execution client has not verified the network's head", "err", err)
	default:
		n.update(func(s *status) { s.offline = false })
		n.say(aboutExecution, slog.LevelError, "the execution client answers with an error", "err", err)
	}
}

// otherChainError is an execution client whose chain is not the network's.
type otherChainError struct {
	number      uint64
	have, other common.Hash
}

func (e *otherChainError) Error() string {
	return fmt.Sprintf("the execution client is on another chain: its block %d is %s, the network's is %s", e.number, e.have, e.other)
}

// jwtRefused reports whether the execution client turned the token down.
func jwtRefused(err error) bool {
	var status *ethrpc.HTTPError
	return errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden)
}

// unreachable reports whether no answer came, or one that says that nobody is
// there to answer.
func unreachable(err error) bool {
	var status *ethrpc.HTTPError
	var network net.Error
	return errors.As(err, &status) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// brief is why no answer came, without what differs from one try to the next,
// such as the port that was called from.
func brief(err error) string {
	var status *ethrpc.HTTPError
	var number syscall.Errno
	switch {
	case errors.As(err, &status):
		return status.Error()
	case errors.As(err, &number):
		return number.Error()
	case ethrpc.TimedOut(err):
		return "no answer in time"
	}
	return "the connection broke"
}

// parentOf asks for the parent of a block of the execution client's.
func (n *Node) parentOf(ctx context.Context, number uint64) (common.Hash, error) {
	var header struct {
		Parent common.Hash `json:"parentHash"`
	}
	err := n.engine.RPC().Call(ctx, &header, "eth_getBlockByNumber", hexutil.Uint64(number), false)
	return header.Parent, err
}

// standOn notes the head of the execution client.
func (n *Node) standOn(b block) {
	n.update(func(s *status) { s.head = b })
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// The retry of an execution client that does not answer, and the look at one
// that has nothing to do.
const (
	retryPause = 200 * time.Millisecond
	idlePause  = time.Second
)
