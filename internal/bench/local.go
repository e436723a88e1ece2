package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/collect"
	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// How long a node may take to start and to stop. Committing the local genesis
// takes seconds, many on a busy machine.
const (
	startLimit = 2 * time.Minute
	stopGrace  = 20 * time.Second
)

// node is an execution client that the run started.
type node struct {
	side    sample.Side
	process *host.Process
	// addresses is the file that the built-in node writes when it is ready.
	addresses string
	// at is where another program was told to listen; nil for the built-in
	// node.
	at *endpoints
}

// endpoints are where a node listens, and the content of that file.
type endpoints struct {
	RPC    string `json:"rpc"`
	Engine string `json:"engine"`
}

// startNode starts the node of a step's side. It does not wait for it, so that
// both nodes start at the same time; preflight does.
func (r *runner) startNode(s plan.Step) (detail string, err error) {
	temp, err := r.tempDir()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(r.jwtFile()); errors.Is(err, fs.ErrNotExist) {
		if _, err := ethrpc.CreateSecret(r.jwtFile()); err != nil {
			return "", err
		}
	}
	argv := []string{r.Executable}
	for _, arg := range s.Argv[1:] {
		argv = append(argv, strings.Replace(arg, plan.Temp, temp, 1))
	}
	name := string(s.Side)
	if s.Control {
		name = "control-" + string(s.Side)
	}
	p, err := r.local.Start(host.Command{Name: "the " + string(s.Side) + " node", Argv: argv, Log: r.Run.Log(name)})
	if err != nil {
		return "", err
	}
	r.onCleanUp(func() error {
		err := p.Stop(stopGrace)
		return errors.Join(err, r.Run.Journal(s.ID, store.Undone, "stopped"))
	})
	r.nodes[s.Side.Index()] = &node{side: s.Side, process: p, addresses: filepath.Join(temp, name+".json")}
	return p.Identity(), nil
}

func (r *runner) jwtFile() string { return filepath.Join(r.temp, "jwt.hex") }

// listens returns where the node listens, once it does.
func (n *node) listens(ctx context.Context) (e endpoints, ok bool, err error) {
	if n.at != nil {
		return *n.at, n.at.answers(ctx), nil
	}
	raw, err := os.ReadFile(n.addresses)
	if err != nil {
		return e, false, nil
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, false, fmt.Errorf("addresses of the %s node: %w", n.side, err)
	}
	return e, true, nil
}

// ready waits until the node listens, for as long as patience.
func (n *node) ready(ctx context.Context, patience time.Duration) (endpoints, error) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if e, ok, err := n.listens(ctx); ok || err != nil {
			return e, err
		}
		select {
		case <-tick.C:
		case <-n.process.Done():
			return endpoints{}, fault.As(fault.Prerequisite, n.process.Exit())
		case <-limit.C:
			return endpoints{}, fault.As(fault.Prerequisite, n.process.Stuck(fmt.Sprintf("was not ready after %v", patience)))
		case <-ctx.Done():
			return endpoints{}, ctx.Err()
		}
	}
}

// chain is the source of a local or devnet run: the chain driver over both
// nodes.
type chain struct {
	driver   *drive.Driver
	nodes    [2]*node
	settle   time.Duration
	patience time.Duration
}

// openChain waits for both nodes and puts the driver over them.
func (r *runner) openChain(ctx context.Context) (*chain, [2]string, error) {
	var urls [2]string
	var clients []drive.Client
	secret, err := ethrpc.ReadSecret(r.jwtFile())
	if err != nil {
		return nil, urls, err
	}
	for i, n := range r.nodes {
		e, err := n.ready(ctx, startLimit)
		if err != nil {
			return nil, urls, err
		}
		rpc, err := ethrpc.NewClient(e.RPC)
		if err != nil {
			return nil, urls, err
		}
		engine, err := ethrpc.NewEngine(e.Engine, secret)
		if err != nil {
			return nil, urls, err
		}
		urls[i] = e.RPC
		clients = append(clients, drive.Client{Name: string(n.side), RPC: rpc, Engine: engine})
	}
	// Building executes a block once more than importing it, which warms the
	// builder's caches. In turns, that favors neither side.
	driver, err := drive.Open(ctx, drive.Options{Clients: clients, Rotate: true, Seed: r.Spec.Seed})
	if r.Spec.Place == spec.Devnet {
		err = r.fitting(ctx, driver, clients, err)
	}
	if err != nil {
		return nil, urls, err
	}
	options, err := streamOf(&r.Spec)
	if err != nil {
		return nil, urls, err
	}
	stream, err := load.NewStream(options)
	if err != nil {
		return nil, urls, err
	}
	return &chain{driver, r.nodes, r.Spec.Settle, r.Spec.Patience}, urls, driver.Offer(ctx, stream, r.Spec.GasPerBlock)
}

// streamOf is the load of such a run, on the chain that the plan starts for
// it.
func streamOf(s *spec.Witness) (load.StreamOptions, error) {
	var codes, slots uint64
	switch s.Load {
	case spec.Transfers:
		return load.Local(s.Seed), nil
	case spec.WitnessHeavy:
		codes, slots = genesis.HeavyCodes, genesis.HeavySlots
	}
	return load.LocalOf(load.Type(s.Load), s.Seed, load.LocalContracts(codes, slots))
}

func (c *chain) next(ctx context.Context, _ func(string, time.Duration)) (target, error) {
	limited, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	b, err := c.driver.Next(limited)
	if err != nil {
		return target{}, c.explain(ctx, err)
	}
	t := target{block: collect.Block{
		Number: b.Number, Hash: b.Hash.Hex(), ParentHash: b.ParentHash.Hex(),
		GasUsed: b.GasUsed, Transactions: b.Transactions, Timestamp: b.Timestamp,
	}}
	for i := range t.seen {
		t.seen[i] = time.Now()
		t.importNS[i] = b.Imports[i].ImportNS
	}
	return t, journal.Pause(ctx, c.settle)
}

// explain says that a node has ended, if that is why the driver failed.
func (c *chain) explain(ctx context.Context, err error) error {
	// A node whose connection broke is about to end, or not.
	const grace = time.Second
	for _, n := range c.nodes {
		select {
		case <-n.process.Done():
			return n.process.Exit()
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(grace):
		}
	}
	return err
}

func (c *chain) close() error { return nil }
