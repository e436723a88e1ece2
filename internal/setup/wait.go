package setup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Between two looks at the node. Blocks that come at once, as from anvil,
// should not cost a second each; for others a second is soon enough.
const (
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

// errWaiting is the state of what is not there yet.
var errWaiting = errors.New("waiting")

// await calls look until nothing is left to wait for. As long as the number of
// what is left shrinks, it goes on; once nothing has changed for the chain's
// limit, if it has one, stuck makes the error. A look that fails is made again: the node may
// be restarting.
func (c *chain) await(ctx context.Context, what string, look func() (left int, err error), stuck func(context.Context) string) error {
	least, told := math.MaxInt, math.MaxInt
	var last error // of the newest look
	start := time.Now()
	deadline := start.Add(c.limit)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		left, err := look()
		var final *fault.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &final):
			return err
		case err != nil:
			last = err
		case left == 0:
			return nil
		case left < least:
			least, last, pause = left, errWaiting, minPause
			deadline = time.Now().Add(c.limit)
		default:
			last = errWaiting
		}
		// What takes less than a second needs no words.
		if least < told && time.Since(start) > maxPause {
			c.say("%s: %d left", what, least)
			told = least
		}
		wait := pause
		if c.limit >= 0 {
			wait = min(pause, time.Until(deadline))
		}
		if wait <= 0 {
			return c.gaveUp(ctx, what, last, stuck)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// upTo is the limit in a sentence, nothing if there is none.
func (c *chain) upTo() string {
	if c.limit < 0 {
		return ""
	}
	return fmt.Sprintf(" up to %s", c.limit)
}

// sleep waits, or returns the error of ctx when it ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// gaveUp says what was waited for and what the node says of it.
func (c *chain) gaveUp(ctx context.Context, what string, last error, stuck func(context.Context) string) error {
	if !errors.Is(last, errWaiting) {
		return fault.Newf(fault.Failed, "%s: the node does not answer for %s: %w", what, c.limit, last)
	}
	return fault.Newf(fault.Failed, "%s: nothing has changed for %s: %s; %s", what, c.limit, stuck(ctx), c.state(ctx))
}

// state is where the node stands, in words.
func (c *chain) state(ctx context.Context) string {
	var h *head
	if err := c.node.Call(ctx, &h, "eth_getBlockByNumber", "latest", false); err != nil || h == nil || h.BaseFee == nil {
		return fmt.Sprintf("%s does not tell its newest block (%v)", c.node.URL(), err)
	}
	return fmt.Sprintf("%s is at block %d with a base fee of %d wei", c.node.URL(), h.Number, h.BaseFee.ToInt())
}

// receipt is the part of a receipt that matters here.
type receipt struct {
	Status          hexutil.Uint64  `json:"status"`
	GasUsed         hexutil.Uint64  `json:"gasUsed"`
	ContractAddress *common.Address `json:"contractAddress"`
}

// sent is a transaction on its way.
type sent struct {
	what string
	hash common.Hash
	gas  uint64
	// done is its receipt, nil before it is in a block.
	done *receipt
}

// awaitAll waits until all transactions are in blocks. One that fails there is
// an error.
func (c *chain) awaitAll(ctx context.Context, what string, txs []*sent) error {
	look := func() (int, error) {
		var open []*sent
		var params [][]any
		for _, tx := range txs {
			if tx.done == nil {
				open = append(open, tx)
				params = append(params, []any{tx.hash})
			}
		}
		receipts, err := ask[*receipt](ctx, c.node, "eth_getTransactionReceipt", params)
		if err != nil {
			return 0, err
		}
		left := 0
		for i, r := range receipts {
			switch {
			case r == nil:
				left++
			case r.Status != 1:
				return 0, fault.Newf(fault.Failed, "%s: transaction %s failed, with %d of %d gas used", open[i].what, open[i].hash, r.GasUsed, open[i].gas)
			default:
				open[i].done = r
			}
		}
		return left, nil
	}
	return c.await(ctx, what, look, func(ctx context.Context) string {
		for _, tx := range txs {
			if tx.done == nil {
				return fmt.Sprintf("transaction %s is in no block; %s", tx.hash, c.fate(ctx, tx.hash))
			}
		}
		return "all transactions are in blocks"
	})
}

// fate is what the node says of a transaction without a receipt.
func (c *chain) fate(ctx context.Context, hash common.Hash) string {
	var tx *struct {
		BlockNumber *hexutil.Uint64 `json:"blockNumber"`
		FeeCap      *hexutil.Big    `json:"maxFeePerGas"`
	}
	switch err := c.node.Call(ctx, &tx, "eth_getTransactionByHash", hash); {
	case err != nil:
		return fmt.Sprintf("asked for it, the node says: %v", err)
	case tx == nil:
		return "the node does not know it any more"
	case tx.BlockNumber == nil && tx.FeeCap != nil:
		return fmt.Sprintf("it waits in the pool and pays up to %d wei per gas", tx.FeeCap.ToInt())
	default:
		return "the node knows it"
	}
}
