// Package l1 holds the built-in L1 of a rollup: a chain of its own that makes a
// block at fixed intervals, the contracts on it, and the client that deploys
// them, deposits ether, and reads and writes them for the sequencer.
//
//	Start ──> a chain that makes blocks ──> Close
//	Dial  ──> Client ──> Deploy, Deposits
//	             └─────> Proposer ──> Commit, Verify
package l1

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// Client reads and writes an L1 over its JSON-RPC. It is safe for concurrent
// use. What several goroutines send from one account, they should send through
// one Client: it takes care that no nonce is used twice.
type Client struct {
	rpc *ethrpc.Client
	// turns hold a token for each account while a transaction of it is under
	// way: a pool shows a transaction in the account's nonce only a while
	// after it took it.
	mu    sync.Mutex
	turns map[common.Address]chan struct{}
}

// Dial returns a client of the JSON-RPC server at url, an http or https URL;
// another one is a usage error. Nothing is dialed until the first call.
func Dial(url string) (*Client, error) {
	rpc, err := ethrpc.NewClient(url)
	if err != nil {
		return nil, fault.As(fault.Usage, err)
	}
	return &Client{rpc: rpc, turns: make(map[common.Address]chan struct{})}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.rpc.Close() }

// URL is the address that the client calls, without what may be a secret.
func (c *Client) URL() string { return c.rpc.URL() }

// call calls a method. An error says which server it is of.
func (c *Client) call(ctx context.Context, result any, method string, params ...any) error {
	if err := c.rpc.Call(ctx, result, method, params...); err != nil {
		return fmt.Errorf("L1 at %s: %w", c.URL(), err)
	}
	return nil
}

// ChainID is the id of the chain.
func (c *Client) ChainID(ctx context.Context) (uint64, error) {
	var id hexutil.Uint64
	err := c.call(ctx, &id, "eth_chainId")
	return uint64(id), err
}

// Head is the number of the newest block.
func (c *Client) Head(ctx context.Context) (uint64, error) {
	var number hexutil.Uint64
	err := c.call(ctx, &number, "eth_blockNumber")
	return uint64(number), err
}

// Genesis is the hash of the first block.
func (c *Client) Genesis(ctx context.Context) (common.Hash, error) {
	var block *struct {
		Hash common.Hash `json:"hash"`
	}
	if err := c.call(ctx, &block, "eth_getBlockByNumber", "0x0", false); err != nil {
		return common.Hash{}, err
	}
	if block == nil {
		return common.Hash{}, fmt.Errorf("L1 at %s: it has no block 0", c.URL())
	}
	return block.Hash, nil
}

// Balance is what an account has in wei, by the newest block.
func (c *Client) Balance(ctx context.Context, account common.Address) (*big.Int, error) {
	var wei hexutil.Big
	err := c.call(ctx, &wei, "eth_getBalance", account, "latest")
	return wei.ToInt(), err
}

// Deposit is ether that somebody brought to the bridge.
type Deposit struct {
	// ID counts the deposits of a bridge: 1, 2, 3 and so on.
	ID uint64
	// To is the account on the rollup that gets it.
	To common.Address
	// Wei is a whole number of gwei, and at least one.
	Wei *big.Int
	// Block is the number of the L1 block that it is in.
	Block uint64
}

// Gwei is the amount as a withdrawal of the consensus layer has it.
func (d Deposit) Gwei() uint64 { return new(big.Int).Div(d.Wei, big.NewInt(params.GWei)).Uint64() }

// Deposits are those in the blocks fromBlock to toBlock, both included, in the
// order of their ids. A bridge that is none has none; blocks that are not there
// yet are an error.
func (c *Client) Deposits(ctx context.Context, bridge common.Address, fromBlock, toBlock uint64) ([]Deposit, error) {
	var logs []struct {
		Topics  []common.Hash  `json:"topics"`
		Data    hexutil.Bytes  `json:"data"`
		Block   hexutil.Uint64 `json:"blockNumber"`
		Removed bool           `json:"removed"`
	}
	err := c.call(ctx, &logs, "eth_getLogs", map[string]any{
		"address": bridge, "topics": []common.Hash{contract.DepositTopic()},
		"fromBlock": hexutil.Uint64(fromBlock), "toBlock": hexutil.Uint64(toBlock),
	})
	if err != nil {
		return nil, err
	}
	var deposits []Deposit
	for _, l := range logs {
		if l.Removed {
			continue
		}
		const topics, amount = 3, 32
		if len(l.Topics) != topics || len(l.Data) != amount || !l.Topics[1].Big().IsUint64() {
			return nil, fmt.Errorf("L1 at %s: the event in block %d is not that of a deposit: %d topics, %d bytes", c.URL(), l.Block, len(l.Topics), len(l.Data))
		}
		deposits = append(deposits, Deposit{
			ID: l.Topics[1].Big().Uint64(), To: common.BytesToAddress(l.Topics[2][:]),
			Wei: new(big.Int).SetBytes(l.Data), Block: uint64(l.Block),
		})
	}
	return deposits, nil
}

// Transaction is what a transaction does.
type Transaction struct {
	// To is nil for a deployment.
	To *common.Address
	// Wei is what it brings; nil is nothing.
	Wei  *big.Int
	Data []byte
}

// Receipt is what became of a transaction that succeeded.
type Receipt struct {
	Hash common.Hash
	// Block is the number of the block that it is in.
	Block   uint64
	GasUsed uint64
	// Contract is what it deployed, if it did.
	Contract common.Address
}

// RevertError is a transaction that a contract refuses. Trying the same again
// is of use only when the state of the contract changes.
type RevertError struct {
	// Reason is in words, and Data what they were made of.
	Reason string
	Data   []byte
	// Tx is the transaction in a block, zero when the L1 foresaw the refusal
	// and nothing was sent.
	Tx common.Hash
}

// Error is the reason, after the transaction if there was one.
func (e *RevertError) Error() string {
	if e.Tx != (common.Hash{}) {
		return fmt.Sprintf("transaction %s reverted: %s", e.Tx, e.Reason)
	}
	return "reverted: " + e.Reason
}

// asRevert turns the answer of a node to a call that reverts into a
// *RevertError; other errors stay as they are.
func asRevert(err error) error {
	const reverted = 3 // the code that geth answers with
	var answer *ethrpc.Error
	if !errors.As(err, &answer) || answer.Code != reverted {
		return err
	}
	var data hexutil.Bytes
	if len(answer.Data) > 0 && data.UnmarshalJSON(answer.Data) != nil {
		return err
	}
	return &RevertError{Reason: contract.Reason(data), Data: data}
}

// Send sends a transaction from the account and returns its receipt. It waits
// for earlier ones of the account and until the L1 has this one in a block, for
// at most [Patience]. A refusal of a contract is a *RevertError.
//
// After another error the transaction may still be under way: whoever sends it
// again must make sure that this does no harm.
func (c *Client) Send(ctx context.Context, from load.Account, tx Transaction) (Receipt, error) {
	turn := c.turnOf(from.Address)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return Receipt{}, context.Cause(ctx)
	}
	hash, err := c.submit(ctx, from, tx)
	if err != nil {
		return Receipt{}, err
	}
	return c.await(ctx, hash)
}

func (c *Client) turnOf(account common.Address) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	turn, ok := c.turns[account]
	if !ok {
		turn = make(chan struct{}, 1)
		c.turns[account] = turn
	}
	return turn
}

// message is a transaction as eth_call and eth_estimateGas take it.
type message struct {
	From common.Address  `json:"from"`
	To   *common.Address `json:"to,omitempty"`
	Wei  *hexutil.Big    `json:"value"`
	Data hexutil.Bytes   `json:"data"`
}

func (tx Transaction) message(from common.Address) message {
	return message{From: from, To: tx.To, Wei: (*hexutil.Big)(tx.wei()), Data: tx.Data}
}

func (tx Transaction) wei() *big.Int {
	if tx.Wei == nil {
		return new(big.Int)
	}
	return tx.Wei
}

// submit hands a transaction to the L1's pool. What reverts by the newest block
// is not sent.
func (c *Client) submit(ctx context.Context, from load.Account, tx Transaction) (common.Hash, error) {
	var gas, nonce, chainID hexutil.Uint64
	if err := c.call(ctx, &gas, "eth_estimateGas", tx.message(from.Address), "latest"); err != nil {
		return common.Hash{}, asRevert(err)
	}
	if err := c.call(ctx, &nonce, "eth_getTransactionCount", from.Address, "pending"); err != nil {
		return common.Hash{}, err
	}
	if err := c.call(ctx, &chainID, "eth_chainId"); err != nil {
		return common.Hash{}, err
	}
	fees, err := c.fees(ctx)
	if err != nil {
		return common.Hash{}, err
	}
	signer := types.LatestSignerForChainID(new(big.Int).SetUint64(uint64(chainID)))
	signed, err := load.Sign(signer, from, uint64(nonce), load.Call{
		To: tx.To, Value: tx.wei(), Data: tx.Data,
		// The state may be another when the transaction is executed.
		Limit: uint64(gas) + uint64(gas)/5,
	}, fees)
	if err != nil {
		return common.Hash{}, err
	}
	err = c.call(ctx, nil, "eth_sendRawTransaction", hexutil.Bytes(signed.Raw))
	return signed.Hash, err
}

// fees are enough for some blocks, even if all of them are full.
func (c *Client) fees(ctx context.Context) (load.Fees, error) {
	var head *struct {
		BaseFee *hexutil.Big `json:"baseFeePerGas"`
	}
	if err := c.call(ctx, &head, "eth_getBlockByNumber", "latest", false); err != nil {
		return load.Fees{}, err
	}
	if head == nil || head.BaseFee == nil {
		return load.Fees{}, fmt.Errorf("L1 at %s: its newest block has no base fee", c.URL())
	}
	tip := big.NewInt(params.GWei)
	twice := new(big.Int).Lsh(head.BaseFee.ToInt(), 1)
	return load.Fees{Cap: twice.Add(twice, tip), Tip: tip}, nil
}

// Patience is how long a transaction may take to get into a block.
const Patience = 2 * time.Minute

// The pauses between two looks for a receipt.
const (
	minPause = 20 * time.Millisecond
	maxPause = 500 * time.Millisecond
)

// await waits for the receipt of a transaction. The L1 may be restarting: that
// it does not answer is an error only after [Patience].
func (c *Client) await(ctx context.Context, hash common.Hash) (Receipt, error) {
	limited, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	var last error
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		var r *receipt
		last = c.call(limited, &r, "eth_getTransactionReceipt", hash)
		if last == nil && r != nil {
			return c.judge(ctx, hash, r)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			continue
		case <-limited.Done():
			timer.Stop()
		}
		switch {
		case ctx.Err() != nil:
			return Receipt{}, context.Cause(ctx)
		case last != nil:
			return Receipt{}, fmt.Errorf("waiting %s for transaction %s: %w", Patience, hash, last)
		}
		return Receipt{}, fmt.Errorf("L1 at %s: transaction %s is in no block after %s", c.URL(), hash, Patience)
	}
}

// receipt is a receipt as the node answers it.
type receipt struct {
	Status          hexutil.Uint64  `json:"status"`
	GasUsed         hexutil.Uint64  `json:"gasUsed"`
	BlockNumber     hexutil.Uint64  `json:"blockNumber"`
	ContractAddress *common.Address `json:"contractAddress"`
}

// judge returns the receipt of a transaction that succeeded. One that did not
// is called again, on the state after its block, to hear the reason.
func (c *Client) judge(ctx context.Context, hash common.Hash, r *receipt) (Receipt, error) {
	if r.Status == 1 {
		out := Receipt{Hash: hash, Block: uint64(r.BlockNumber), GasUsed: uint64(r.GasUsed)}
		if r.ContractAddress != nil {
			out.Contract = *r.ContractAddress
		}
		return out, nil
	}
	var tx *struct {
		From common.Address  `json:"from"`
		To   *common.Address `json:"to"`
		Wei  *hexutil.Big    `json:"value"`
		Data hexutil.Bytes   `json:"input"`
	}
	revert := &RevertError{Tx: hash, Reason: fmt.Sprintf("in block %d; why is not known any more", r.BlockNumber)}
	if err := c.call(ctx, &tx, "eth_getTransactionByHash", hash); err != nil || tx == nil {
		return Receipt{}, revert
	}
	again := message{From: tx.From, To: tx.To, Wei: tx.Wei, Data: tx.Data}
	var why *RevertError
	if errors.As(asRevert(c.call(ctx, nil, "eth_call", again, r.BlockNumber)), &why) {
		revert.Reason, revert.Data = why.Reason, why.Data
	}
	return Receipt{}, revert
}
