package devnet

import (
	"context"
	"time"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
)

// witness returns the witness of a block: from the store if it is there, else
// by executing the block again on the state of its parent.
func (n *Node) witness(ctx context.Context, header *types.Header) (result, *rpcError) {
	if n.store != nil {
		found, err := n.store.find(blockID{header.Number.Uint64(), header.Hash()})
		if err != nil {
			n.metrics.damaged.Add(1)
			n.log.Warn("a stored witness is damaged and will be made again", "err", err)
		}
		if found != nil {
			n.metrics.hits.Add(1)
			return found, nil
		}
		n.metrics.misses.Add(1)
	}
	a, failure := n.generate(ctx, header)
	if failure != nil {
		return nil, failure // and not a, which would be an interface that is not nil
	}
	return a, nil
}

// generate executes a block without writing anything. At most as many run at
// once as there are processors, so that a burst of requests cannot take all
// memory.
func (n *Node) generate(ctx context.Context, header *types.Header) (*answer, *rpcError) {
	number := header.Number.Uint64()
	if number == 0 {
		return nil, rpcErrorf(codeServerError, "block 0 is the genesis block: nothing was executed, so it has no witness")
	}
	select {
	case n.generating <- struct{}{}:
		defer func() { <-n.generating }()
	case <-ctx.Done():
		return nil, rpcErrorf(codeServerError, "%v", context.Cause(ctx))
	}
	chain := n.chain()
	block := chain.GetBlock(header.Hash(), number)
	parent := chain.GetHeader(header.ParentHash, number-1)
	if block == nil || parent == nil {
		return nil, rpcErrorf(codeServerError, "block %#x: its body or its parent is not stored", number)
	}
	if !chain.HasState(parent.Root) {
		return nil, n.pruned(number)
	}
	start := time.Now()
	ctx, r := withRecording(ctx, block.Hash())
	_, err := chain.ProcessBlock(ctx, parent.Root, block, core.ExecuteConfig{MakeWitness: true})
	if err != nil {
		if !chain.HasState(parent.Root) { // pruned while it was being read
			return nil, n.pruned(number)
		}
		return nil, rpcErrorf(codeServerError, "executing block %#x: %v", number, err)
	}
	a, err := newAnswer(r)
	if err != nil {
		return nil, rpcErrorf(codeServerError, "witness of block %#x: %v", number, err)
	}
	n.metrics.generated(start)
	return a, nil
}

// pruned says that the state that a block needs is gone, and which is the
// oldest block whose state is not.
func (n *Node) pruned(number uint64) *rpcError {
	chain := n.chain()
	head := chain.CurrentBlock()
	oldest := head
	for oldest.Number.Sign() > 0 {
		parent := chain.GetHeader(oldest.ParentHash, oldest.Number.Uint64()-1)
		if parent == nil || !chain.HasState(parent.Root) {
			break
		}
		oldest = parent
	}
	return rpcErrorf(codeServerError, "block %#x: the state of its parent is pruned; a witness can be made from block %#x on (head is %d)",
		number, oldest.Number.Uint64()+1, head.Number)
}
