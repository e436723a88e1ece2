// Package send is the engine of the load generator: it puts the transactions
// of a workload onto a chain, at a pace, and follows each of them until it is
// included.
//
// A ledger knows every transaction that is under way. Signers on all cores
// keep some signed ahead of need; lanes, each a connection with a share of the
// accounts, take what may be sent now and send it in batches; a follower takes
// in the blocks; a mender asks the node about what does not add up. Each
// account's transactions go out in the order of their nonces, over one lane,
// with one request at a time.
package send

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"runtime"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// Source says what to send: a [load.Workload], or anything else whose calls
// are a pure function of account and number. It must be safe for concurrent
// use.
type Source interface {
	Call(account int, i uint64) load.Call
}

// Options decide a run. Zero values have the meaning that their field gives.
type Options struct {
	// URLs are the nodes of one network that transactions go to, account by
	// account in turn. Blocks are followed at the first.
	URLs   []string
	Source Source
	// Accounts are the senders, in the order that Source numbers them.
	Accounts []load.Account
	ChainID  uint64

	// TPS is the rate in transactions per second, 0 for as many as the node
	// takes. PerBlock, if positive, is the number of transactions that every
	// block is to find waiting.
	TPS      float64
	PerBlock int
	// MaxPending is the most that is kept with the node; 0 goes by what the
	// node is known to hold and keeps no more than fills a few blocks. It is
	// also reduced when the node refuses or loses transactions for lack of
	// room.
	MaxPending int
	// PerAccount is the number of transactions of each account, 0 for no end.
	PerAccount uint64
	// Duration ends the run: what was sent by then is waited for. 0 is no end.
	Duration time.Duration
	// Stop, when it is closed, ends the run as Duration does. Nil never is.
	Stop <-chan struct{}

	// Batch is the largest number of transactions in a request, by default
	// 100, and Connections the number of connections, by default 8.
	Batch, Connections int
	// Signers is the number of goroutines that sign, by default one a core.
	Signers int
	// Wait is how long nothing may be included before the run is an error, by
	// default 2 minutes; negative for no limit.
	Wait time.Duration

	// FeeCap is the most that is offered per gas, in wei; by default 100 times
	// what the first block asks for. What is offered is the tip and at least
	// twice the base fee: what it can grow to until the transaction's turn has
	// come; no more than the cap. Tip, in wei per gas, is by default what the
	// node suggests. With FixedFee every transaction offers FeeCap, whatever
	// the base fee is.
	FeeCap, Tip *big.Int
	FixedFee    bool

	// Progress, if not nil, is called with a report every Every, by default
	// each second, and with the last one. Calls do not overlap.
	Progress func(Report)
	Every    time.Duration
}

// Defaults of the options.
const (
	defaultBatch       = 100
	defaultConnections = 8
	defaultWait        = 2 * time.Minute
	defaultEvery       = time.Second
	// defaultPending is for nodes of unknown kind: it fits into the smallest
	// of the known pools.
	defaultPending = 4096
	// fullSlots is what every node keeps of one account, however many there
	// are.
	fullSlots = 16
)

// Run sends until every account has sent what Options say and all of it is
// included, or ctx ends. The report is of all that happened, with an error
// too; it then says how far things got. An error of ctx's is returned as it is.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.validate(); err != nil {
		return Report{}, err
	}
	nodes := make([]node, len(o.URLs))
	for i, u := range o.URLs {
		c, err := ethrpc.NewClient(u)
		if err != nil {
			return Report{}, fault.As(fault.Usage, err)
		}
		defer c.Close()
		// One for each lane, one to follow, one to mend, and one to spare.
		c.SetConnections(o.lanes() + 3)
		nodes[i] = c
	}
	e, err := start(ctx, o, nodes)
	if err != nil {
		return Report{}, err
	}
	return e.run(ctx)
}

func (o *Options) validate() error {
	switch {
	case len(o.URLs) == 0:
		return fault.Newf(fault.Usage, "no node to send to")
	case o.Source == nil || len(o.Accounts) == 0:
		return fault.Newf(fault.Usage, "no accounts to send from")
	case o.TPS < 0 || math.IsNaN(o.TPS) || math.IsInf(o.TPS, 0):
		return fault.Newf(fault.Usage, "the rate is %v transactions per second, want a number above 0", o.TPS)
	case o.PerBlock < 0 || o.MaxPending < 0 || o.Batch < 0 || o.Connections < 0 || o.Signers < 0 || o.Duration < 0:
		return fault.Newf(fault.Usage, "a number of transactions, connections or signers is negative")
	case o.FixedFee && o.FeeCap == nil:
		return fault.Newf(fault.Usage, "a fixed fee needs a fee cap")
	}
	for _, fee := range []*big.Int{o.FeeCap, o.Tip} {
		if fee != nil && (fee.Sign() < 0 || !fee.IsUint64()) {
			return fault.Newf(fault.Usage, "a fee of %s wei per gas is out of range", fee)
		}
	}
	return nil
}

func (o *Options) batch() int { return orDefault(o.Batch, defaultBatch) }

// lanes is the number of connections that have something to send.
func (o *Options) lanes() int {
	return min(orDefault(o.Connections, defaultConnections), len(o.Accounts))
}

func (o *Options) signers() int { return orDefault(o.Signers, runtime.GOMAXPROCS(0)) }

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// opened is what has to be known of the node before anything is sent.
type opened struct {
	head       block
	nonces     []uint64
	maxPending int
	tip        uint64
}

// checkChain asks the node whether it is one, and of which chain.
func checkChain(ctx context.Context, chainID uint64, rpc *caller) error {
	raw, err := rpc.one(ctx, "eth_chainId", "")
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.Newf(fault.Prerequisite, "%s is no Ethereum node that can be reached: %w", rpc.node.URL(), err)
	}
	id, ok := parseQuantity(raw)
	switch {
	case !ok:
		return fault.Newf(fault.Prerequisite, "%s is no Ethereum node: its chain id is %.40q", rpc.node.URL(), raw)
	case id != chainID:
		return fault.Newf(fault.Prerequisite, "%s has chain id %d, the load is for %d", rpc.node.URL(), id, chainID)
	}
	return nil
}

// open asks the node what has to be known of it.
func open(ctx context.Context, o *Options, rpc *caller) (*opened, error) {
	var n opened
	raw, err := rpc.one(ctx, "eth_getBlockByNumber", `"latest",false`)
	if err != nil {
		return nil, fault.As(fault.Prerequisite, fmt.Errorf("%s: %w", rpc.node.URL(), err))
	}
	var ok bool
	if n.head, ok = parseBlock(raw); !ok {
		return nil, fault.Newf(fault.Prerequisite, "%s: its latest block is not one: %.80q", rpc.node.URL(), raw)
	}
	if n.nonces, err = pendingNonces(ctx, o.Accounts, rpc); err != nil {
		return nil, fault.As(fault.Prerequisite, fmt.Errorf("%s: %w", rpc.node.URL(), err))
	}
	if n.maxPending = o.MaxPending; n.maxPending == 0 {
		n.maxPending = room(ctx, rpc)
	}
	n.tip = suggestedTip(ctx, o, rpc)
	return &n, nil
}

// pendingNonces fetches the next nonce of every account, with what is in the
// pool counted.
func pendingNonces(ctx context.Context, accounts []load.Account, rpc *caller) ([]uint64, error) {
	nonces := make([]uint64, 0, len(accounts))
	for len(nonces) < len(accounts) {
		part := accounts[len(nonces):min(len(nonces)+maxCalls, len(accounts))]
		calls := make([]call, len(part))
		for i, a := range part {
			calls[i] = call{"eth_getTransactionCount", fmt.Sprintf(`"%s","pending"`, a.Address)}
		}
		answers, err := rpc.do(ctx, calls)
		if err != nil {
			return nil, fmt.Errorf("nonces: %w", err)
		}
		for i := range answers {
			if err := answers[i].err(); err != nil {
				return nil, fmt.Errorf("the nonce of %s: %w", part[i].Address, err)
			}
			nonce, ok := parseQuantity(answers[i].result)
			if !ok {
				return nil, fmt.Errorf("the nonce of %s is %.40q", part[i].Address, answers[i].result)
			}
			nonces = append(nonces, nonce)
		}
	}
	return nonces, nil
}

// room is how many transactions the node's pool can be trusted to keep. Nodes
// do not tell their limits; what is known are the defaults of each kind: 5120
// executable ones in geth, 10,000 in reth and ethrex, of which ethrex drops the
// oldest ones beyond that, and takes only each account's next nonce from 9000
// on. What is in the pool already counts against it.
func room(ctx context.Context, rpc *caller) int {
	most := defaultPending
	if raw, err := rpc.one(ctx, "web3_clientVersion", ""); err == nil {
		version := strings.ToLower(string(unquoted(raw)))
		for _, roomy := range []string{"reth", "ethrex", "anvil"} {
			if strings.Contains(version, roomy) {
				most = 2 * defaultPending
			}
		}
	}
	if n, ok := poolSize(ctx, rpc); ok {
		most -= int(min(n, defaultPending))
	}
	const least = 256
	return max(most, least)
}

// poolSize is the number of transactions in the node's pool, whoever sent
// them.
func poolSize(ctx context.Context, rpc *caller) (n uint64, ok bool) {
	raw, err := rpc.one(ctx, "txpool_status", "")
	if err != nil {
		return 0, false
	}
	s := scanner{b: raw}
	fine := true
	ok = s.object(func(_, value []byte) bool {
		var part uint64
		part, fine = parseQuantity(value)
		n = plus(n, part)
		return fine
	})
	return n, ok && fine
}

// suggestedTip is the tip to offer, in wei per gas.
func suggestedTip(ctx context.Context, o *Options, rpc *caller) uint64 {
	if o.Tip != nil {
		return o.Tip.Uint64()
	}
	const gwei = 1_000_000_000
	raw, err := rpc.one(ctx, "eth_maxPriorityFeePerGas", "")
	if err != nil {
		return gwei
	}
	n, ok := parseQuantity(raw)
	if !ok {
		return gwei
	}
	return max(n, 1)
}

// settings puts together what the ledger goes by.
func (o *Options) settings(n *opened) settings {
	const times = 100
	s := settings{
		perAccount: o.PerAccount,
		maxPending: n.maxPending,
		batch:      o.batch(),
		lanes:      o.lanes(),
		tip:        n.tip,
		fixed:      o.FixedFee,
		tps:        o.TPS,
		perBlock:   o.PerBlock,
	}
	if o.FeeCap != nil {
		s.feeCap = o.FeeCap.Uint64()
	} else if s.feeCap = plus(n.head.baseFee, n.tip); s.feeCap < math.MaxUint64/times {
		s.feeCap *= times
	}
	if o.FixedFee && o.Tip == nil {
		s.tip = s.feeCap
	}
	s.tip = min(s.tip, s.feeCap)
	accounts := len(o.Accounts)
	// A number of the user's is meant. Without one, blocks show how much is of
	// use, beyond what the pace asks for.
	const (
		few     = 128
		seconds = 2
	)
	s.leastPending = s.maxPending
	if o.MaxPending == 0 {
		s.leastPending = min(max(few, o.PerBlock, int(min(seconds*o.TPS, 1<<20))), s.maxPending)
	}
	s.windowEach = max(fullSlots, (s.maxPending+accounts-1)/accounts)
	// Enough that every lane finds a full batch when it comes back with an
	// answer, and that a block's worth is ready when the block comes.
	s.ahead = max(2*s.lanes*s.batch, min(o.PerBlock, s.maxPending))
	return s
}

// interrupted says that ctx ended, rather than that something went wrong.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}
