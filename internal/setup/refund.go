package setup

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/load"
)

// RefundOptions say what goes where.
type RefundOptions struct {
	Accounts []load.Account
	// To gets what the accounts have, but for the fees.
	To common.Address
	// ChainID is that of the chain that is expected, 0 when any will do.
	ChainID  uint64
	Progress func(string)
	// Limit is how long to wait while nothing changes, [DefaultLimit] when
	// zero; negative for ever.
	Limit time.Duration
}

// Refunded is what has become of the accounts' ether.
type Refunded struct {
	// Accounts counts those that sent something, Wei is how much in all.
	Accounts int
	Wei      *big.Int
	// Left are the accounts that still have ether they could not send.
	Left []Leftover
}

// Leftover is ether that stays where it is.
type Leftover struct {
	Address common.Address
	// Wei is the balance.
	Wei *big.Int
	// Why says why it was not sent.
	Why string
}

// Refund sends the ether of all accounts to one address and waits until the
// transactions are in blocks. An account that cannot send is no error: it is in
// the result. Of an account that could, dust stays: what was set aside for fees
// and not used.
func Refund(ctx context.Context, node *ethrpc.Client, o RefundOptions) (Refunded, error) {
	out := Refunded{Wei: new(big.Int)}
	c, err := open(ctx, node, o.ChainID, o.Progress, o.Limit)
	if err != nil {
		return out, err
	}
	accounts := slices.DeleteFunc(slices.Clone(o.Accounts), func(a load.Account) bool { return a.Address == o.To })
	for some := range slices.Chunk(accounts, inBatch) {
		if err := c.refundSome(ctx, some, o.To, &out); err != nil {
			return out, err
		}
		c.say("refunded %s from %d accounts", ether(out.Wei), out.Accounts)
	}
	return out, nil
}

// refundSome sends from accounts that fit into one batch.
func (c *chain) refundSome(ctx context.Context, accounts []load.Account, to common.Address, out *Refunded) error {
	if err := c.refresh(ctx); err != nil {
		return err
	}
	refunds, err := c.refunds(ctx, accounts, to, out)
	if err != nil || len(refunds) == 0 {
		return err
	}
	requests := make([]*ethrpc.Request, len(refunds))
	for i, r := range refunds {
		requests[i] = &ethrpc.Request{Method: "eth_sendRawTransaction", Params: []any{hexutil.Bytes(r.tx.Raw)}}
	}
	if err := c.node.Batch(ctx, requests); err != nil {
		return fmt.Errorf("refunding: %w", err)
	}
	var txs []*sent
	for i, r := range refunds {
		if err := requests[i].Err; err != nil {
			out.Left = append(out.Left, Leftover{r.tx.Sender, r.balance, fmt.Sprintf("the node refuses the transaction: %v", err)})
			continue
		}
		txs = append(txs, &sent{what: "refunding", hash: r.tx.Hash, gas: params.TxGas})
		out.Accounts++
		out.Wei.Add(out.Wei, r.value)
	}
	return c.awaitAll(ctx, "refunding", txs)
}

// refund is one account's transaction.
type refund struct {
	tx             load.Tx
	balance, value *big.Int
}

// refunds signs a transaction for each account that can send something, and
// notes the others.
func (c *chain) refunds(ctx context.Context, accounts []load.Account, to common.Address, out *Refunded) ([]refund, error) {
	balances, err := c.balances(ctx, accounts)
	if err != nil {
		return nil, err
	}
	mined, err := c.nonces(ctx, accounts, "latest")
	if err != nil {
		return nil, err
	}
	pending, err := c.nonces(ctx, accounts, "pending")
	if err != nil {
		return nil, err
	}
	// Twice the base fee, because what is set aside and not used stays behind.
	fees := load.Fees{Cap: new(big.Int).Add(new(big.Int).Lsh(c.baseFee, 1), c.tip), Tip: c.tip}
	fee := new(big.Int).Mul(fees.Cap, new(big.Int).SetUint64(params.TxGas))
	var refunds []refund
	for i, a := range accounts {
		balance := balances[i]
		value := new(big.Int).Sub(balance, fee)
		switch {
		case balance.Sign() == 0:
			continue
		case pending[i] > mined[i]:
			out.Left = append(out.Left, Leftover{a.Address, balance,
				fmt.Sprintf("%d of its transactions are not in blocks yet", pending[i]-mined[i])})
			continue
		case value.Sign() <= 0:
			out.Left = append(out.Left, Leftover{a.Address, balance, fmt.Sprintf("sending it may cost %s", ether(fee))})
			continue
		}
		tx, err := load.Sign(c.signer(), a, uint64(pending[i]), load.Call{To: &to, Value: value, Limit: params.TxGas}, fees)
		if err != nil {
			return nil, err
		}
		refunds = append(refunds, refund{tx, balance, value})
	}
	return refunds, nil
}

func (c *chain) nonces(ctx context.Context, accounts []load.Account, at string) ([]hexutil.Uint64, error) {
	params := make([][]any, len(accounts))
	for i, a := range accounts {
		params[i] = []any{a.Address, at}
	}
	return ask[hexutil.Uint64](ctx, c.node, "eth_getTransactionCount", params)
}
