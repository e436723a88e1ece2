package setup

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// payer is the account that pays for the setup.
type payer struct {
	*chain
	address common.Address
	// account signs; nil when the node does.
	account *load.Account
	// nonce is that of the next transaction, if the account signs.
	nonce uint64
}

// findPayer picks the account that pays.
func (c *chain) findPayer(ctx context.Context, o Options) (*payer, error) {
	switch {
	case o.Rich != nil:
		return c.payerOf(ctx, *o.Rich)
	case !o.Unlocked:
		return c.payerOf(ctx, o.Accounts[0])
	}
	var own []common.Address
	if err := c.node.Call(ctx, &own, "eth_accounts"); err != nil {
		return nil, fmt.Errorf("%s: %w", c.node.URL(), err)
	}
	if len(own) == 0 {
		return nil, fault.Newf(fault.Prerequisite, "%s has no unlocked account of its own that could pay", c.node.URL()).
			Hint("geth --dev and anvil have one; with other nodes give the key of a rich account")
	}
	return &payer{chain: c, address: own[0]}, nil
}

// payerOf is an account that signs. Its nonces go on from what is pending, so
// that nothing is replaced.
func (c *chain) payerOf(ctx context.Context, a load.Account) (*payer, error) {
	var nonce hexutil.Uint64
	if err := c.node.Call(ctx, &nonce, "eth_getTransactionCount", a.Address, "pending"); err != nil {
		return nil, fmt.Errorf("%s: %w", c.node.URL(), err)
	}
	return &payer{chain: c, address: a.Address, account: &a, nonce: uint64(nonce)}, nil
}

// job is a transaction of the setup.
type job struct {
	// to is nil for a deployment.
	to    *common.Address
	value *big.Int
	data  []byte
	gas   uint64
}

// send sends one transaction and does not wait for it.
func (p *payer) send(ctx context.Context, what string, j job) (*sent, error) {
	if j.value == nil {
		j.value = new(big.Int)
	}
	fees := p.fees()
	var hash common.Hash
	var err error
	if p.account == nil {
		err = p.node.Call(ctx, &hash, "eth_sendTransaction", unsigned{
			From: p.address, To: j.to, Value: (*hexutil.Big)(j.value), Data: j.data, Gas: hexutil.Uint64(j.gas),
			FeeCap: (*hexutil.Big)(fees.Cap), Tip: (*hexutil.Big)(fees.Tip),
		})
	} else {
		var tx load.Tx
		tx, err = load.Sign(p.signer(), *p.account, p.nonce, load.Call{To: j.to, Value: j.value, Data: j.data, Limit: j.gas}, fees)
		if err == nil {
			err = p.node.Call(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(tx.Raw))
			hash = tx.Hash
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: sending from %s: %w", what, p.address, err)
	}
	p.nonce++
	return &sent{what: what, hash: hash, gas: j.gas}, nil
}

// unsigned is a transaction for the node to sign.
type unsigned struct {
	From   common.Address  `json:"from"`
	To     *common.Address `json:"to,omitempty"`
	Value  *hexutil.Big    `json:"value"`
	Data   hexutil.Bytes   `json:"data"`
	Gas    hexutil.Uint64  `json:"gas"`
	FeeCap *hexutil.Big    `json:"maxFeePerGas"`
	Tip    *hexutil.Big    `json:"maxPriorityFeePerGas"`
}

// atOnce is how many transactions of one account are under way at a time: what
// geth's pool keeps of an account whatever else is in it.
const atOnce = 16

// carryOut sends all jobs in order and waits until they are in blocks.
func (p *payer) carryOut(ctx context.Context, what string, jobs []job) ([]*sent, error) {
	var all []*sent
	for some := range slices.Chunk(jobs, atOnce) {
		// The base fee may have moved since the last.
		if err := p.refresh(ctx); err != nil {
			return nil, err
		}
		if len(jobs) > atOnce {
			p.say("%s: transactions %d to %d of %d", what, len(all)+1, len(all)+len(some), len(jobs))
		}
		var txs []*sent
		for _, j := range some {
			tx, err := p.send(ctx, what, j)
			if err != nil {
				return nil, err
			}
			txs = append(txs, tx)
		}
		if err := p.awaitAll(ctx, what, txs); err != nil {
			return nil, err
		}
		all = append(all, txs...)
	}
	return all, nil
}
