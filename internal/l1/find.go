package l1

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
)

// BlockHash is the hash of a block. That of block 1 tells one run of a chain
// from another with the same genesis: it has the time in it.
func (c *Client) BlockHash(ctx context.Context, number uint64) (common.Hash, error) {
	var block *struct {
		Hash common.Hash `json:"hash"`
	}
	if err := c.call(ctx, &block, "eth_getBlockByNumber", hexutil.Uint64(number), false); err != nil {
		return common.Hash{}, err
	}
	if block == nil {
		return common.Hash{}, fmt.Errorf("L1 at %s: it has no block %d", c.URL(), number)
	}
	return block.Hash, nil
}

// CommitTx is the transaction that committed a batch, for a caller that did not
// live to see its receipt.
func (p *Proposer) CommitTx(ctx context.Context, number uint64) (common.Hash, error) {
	return p.event(ctx, "BatchCommitted(uint256,bytes32)", number)
}

// VerifyTx is the transaction that verified a batch.
func (p *Proposer) VerifyTx(ctx context.Context, number uint64) (common.Hash, error) {
	return p.event(ctx, "BatchVerified(uint256)", number)
}

// event is the transaction with the event about a batch.
func (p *Proposer) event(ctx context.Context, signature string, number uint64) (common.Hash, error) {
	var logs []struct {
		Tx common.Hash `json:"transactionHash"`
	}
	topic := crypto.Keccak256Hash([]byte(signature))
	err := p.client.call(ctx, &logs, "eth_getLogs", map[string]any{
		"address":   p.address,
		"topics":    []common.Hash{topic, common.BigToHash(new(big.Int).SetUint64(number))},
		"fromBlock": "0x0", "toBlock": "latest",
	})
	if err != nil {
		return common.Hash{}, err
	}
	if len(logs) == 0 {
		return common.Hash{}, fmt.Errorf("%s: there is no event %s of batch %d", p, signature, number)
	}
	return logs[len(logs)-1].Tx, nil
}
