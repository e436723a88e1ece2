// Package setup puts onto a chain what a load needs, through the node's
// JSON-RPC and nothing else: contracts, ether and tokens. At the end it sends
// back what is left.
//
// Nothing is remembered from one call to the next. What is on the chain already
// counts: an account that has enough gets nothing, and contracts whose addresses
// are given are used as they are.
package setup

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// Options say what is needed.
type Options struct {
	// Types are the types of the transactions that will be sent.
	Types []load.Type
	// Accounts will send them. Each is to have Need wei, and tokens if the
	// types use them. A nil Need is none.
	Accounts []load.Account
	Need     *big.Int
	// Rich pays for everything. Without it, and with Unlocked, the first
	// account of the node's own does, as geth --dev and anvil have it. Without
	// either, the first of Accounts pays for contracts and tokens, and the
	// ether has to come from elsewhere: it is waited for.
	Rich     *load.Account
	Unlocked bool
	// ChainID is that of the chain that is expected, 0 when any will do.
	ChainID uint64
	// Contracts are used where they are not zero; what else the types need is
	// deployed.
	Contracts load.Contracts
	// HeavyCodes and HeavySlots are how many contracts and slots
	// witness-heavy is to have, [DefaultHeavyCodes] and [DefaultHeavySlots]
	// when both are zero. A contract costs five million gas, a slot 22,000.
	HeavyCodes, HeavySlots uint64
	// Progress is told what happens, in one line each; nil for nobody.
	Progress func(string)
	// Limit is how long to wait while nothing changes, [DefaultLimit] when
	// zero; negative for ever.
	Limit time.Duration
}

// The defaults of the options. So many contracts make ten megabytes of code
// that a block can reach.
const (
	DefaultHeavyCodes = 400
	DefaultHeavySlots = 2_000
	DefaultLimit      = 2 * time.Minute
)

// Ready is what a load can start from.
type Ready struct {
	ChainID   uint64
	Contracts load.Contracts
	// GasLimit is that of the newest block, BaseFee its base fee in wei per
	// gas, and Tip what the node suggests to add.
	GasLimit     uint64
	BaseFee, Tip *big.Int
	// Payer is the account that has paid.
	Payer common.Address
	// Funded counts the accounts that got ether, Sent is how much.
	Funded int
	Sent   *big.Int
}

// Prepare brings the chain behind node into the state that o asks for and
// waits until the node shows it.
func Prepare(ctx context.Context, node *ethrpc.Client, o Options) (Ready, error) {
	if len(o.Accounts) == 0 {
		return Ready{}, fault.Newf(fault.Usage, "a load needs at least one account to send from")
	}
	c, err := open(ctx, node, o.ChainID, o.Progress, o.Limit)
	if err != nil {
		return Ready{}, err
	}
	p := preparation{chain: c, o: o, contracts: o.Contracts}
	if err := p.run(ctx); err != nil {
		return Ready{}, err
	}
	return Ready{
		ChainID: c.id, Contracts: p.contracts, GasLimit: c.gasLimit, BaseFee: c.baseFee, Tip: c.tip,
		Payer: p.payer.address, Funded: p.funded, Sent: p.sent,
	}, nil
}

// preparation is one Prepare.
type preparation struct {
	*chain
	o         Options
	payer     *payer
	contracts load.Contracts
	funded    int
	sent      *big.Int
}

func (p *preparation) run(ctx context.Context) error {
	if err := Check(ctx, p.node, p.o.Contracts); err != nil {
		return err
	}
	var err error
	if p.payer, err = p.findPayer(ctx, p.o); err != nil {
		return err
	}
	short, err := p.shortfalls(ctx)
	if err != nil {
		return err
	}
	if err := p.awaitPayer(ctx, short); err != nil {
		return err
	}
	if err := p.deploy(ctx); err != nil {
		return err
	}
	if err := p.fund(ctx, short); err != nil {
		return err
	}
	if err := p.awaitBalances(ctx); err != nil {
		return err
	}
	return p.mint(ctx)
}

// chain is what is known of the chain behind a node.
type chain struct {
	node *ethrpc.Client
	say  func(string, ...any)
	// limit is negative when there is none.
	limit time.Duration

	id       uint64
	gasLimit uint64
	baseFee  *big.Int
	tip      *big.Int
}

// open asks for what all the rest depends on.
func open(ctx context.Context, node *ethrpc.Client, want uint64, progress func(string), limit time.Duration) (*chain, error) {
	c := &chain{node: node, limit: limit, say: func(format string, args ...any) {
		if progress != nil {
			progress(fmt.Sprintf(format, args...))
		}
	}}
	if c.limit == 0 {
		c.limit = DefaultLimit
	}
	var id hexutil.Big
	if err := node.Call(ctx, &id, "eth_chainId"); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fault.Newf(fault.Prerequisite, "%s does not answer as an execution client does: %w", node.URL(), err).
			Hint("give the address of the JSON-RPC over HTTP, which is http://127.0.0.1:8545 with most programs")
	}
	c.id = id.ToInt().Uint64()
	if want != 0 && (c.id != want || !id.ToInt().IsUint64()) {
		return nil, fault.Newf(fault.Prerequisite, "%s is on chain %d, but chain %d is expected", node.URL(), id.ToInt(), want)
	}
	return c, c.refresh(ctx)
}

// head is the part of a block that matters here.
type head struct {
	Number   hexutil.Uint64 `json:"number"`
	GasLimit hexutil.Uint64 `json:"gasLimit"`
	BaseFee  *hexutil.Big   `json:"baseFeePerGas"`
}

// refresh reads gas limit and fees of the newest block.
func (c *chain) refresh(ctx context.Context) error {
	var h *head
	if err := c.node.Call(ctx, &h, "eth_getBlockByNumber", "latest", false); err != nil {
		return fmt.Errorf("%s: %w", c.node.URL(), err)
	}
	if h == nil || h.BaseFee == nil || h.GasLimit == 0 {
		return fault.Newf(fault.Prerequisite, "%s: the newest block has no gas limit or no base fee: the chain does not take EIP-1559 transactions", c.node.URL())
	}
	c.gasLimit, c.baseFee = uint64(h.GasLimit), h.BaseFee.ToInt()
	var tip hexutil.Big
	if err := c.node.Call(ctx, &tip, "eth_maxPriorityFeePerGas"); err != nil {
		// Not every program has it, and a tip of one gwei is enough anywhere.
		tip = hexutil.Big(*big.NewInt(params.GWei))
	}
	c.tip = tip.ToInt()
	return nil
}

// fees leave room for the base fee to grow fourfold, which takes a dozen full
// blocks.
func (c *chain) fees() load.Fees {
	limit := new(big.Int).Lsh(c.baseFee, 2)
	return load.Fees{Cap: limit.Add(limit, c.tip), Tip: c.tip}
}

// transactionGas is the most gas that one transaction may ask for: what
// EIP-7825 allows, or nine tenths of a block where that is less.
func (c *chain) transactionGas() uint64 {
	return min(params.MaxTxGas, c.gasLimit/10*9)
}

func (c *chain) signer() types.Signer {
	return types.LatestSignerForChainID(new(big.Int).SetUint64(c.id))
}

// inBatch is how many calls go into one request; some servers take no more
// than a hundred.
const inBatch = 100

// ask makes one call for each argument list and returns the results in order.
func ask[T any](ctx context.Context, node *ethrpc.Client, method string, params [][]any) ([]T, error) {
	results := make([]T, len(params))
	requests := make([]*ethrpc.Request, len(params))
	for i, p := range params {
		requests[i] = &ethrpc.Request{Method: method, Params: p, Result: &results[i]}
	}
	for chunk := range slices.Chunk(requests, inBatch) {
		if err := node.Batch(ctx, chunk); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", node.URL(), method, err)
		}
		for _, r := range chunk {
			if r.Err != nil {
				return nil, fmt.Errorf("%s: %s: %w", node.URL(), method, r.Err)
			}
		}
	}
	return results, nil
}

// balances are those of the accounts at the newest block, in wei.
func (c *chain) balances(ctx context.Context, accounts []load.Account) ([]*big.Int, error) {
	params := make([][]any, len(accounts))
	for i, a := range accounts {
		params[i] = []any{a.Address, "latest"}
	}
	answers, err := ask[hexutil.Big](ctx, c.node, "eth_getBalance", params)
	if err != nil {
		return nil, err
	}
	out := make([]*big.Int, len(answers))
	for i := range answers {
		out[i] = answers[i].ToInt()
	}
	return out, nil
}
