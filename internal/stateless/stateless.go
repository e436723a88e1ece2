// Package stateless proves that an execution witness is complete: it
// re-executes the block from the witness alone and compares everything that
// the block's header commits to.
//
// It drives go-ethereum's EVM itself instead of calling core.ExecuteStateless,
// which is not strict enough for a proof: the EVM cannot handle a failed read,
// so the state database only notes the error and goes on with an empty value,
// and ExecuteStateless never looks at the note. Where the empty value happens
// not to matter, an incomplete witness passes. Here each read that meets a
// missing element is recorded where it happens, and any such record refuses
// the witness, whatever the roots say.
package stateless

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/types/bal"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/verdict-bench/verdict/internal/witness"
)

// Result describes a successful verification.
type Result struct {
	// GasUsed is the gas that the block used, or all blocks of a run.
	GasUsed uint64
	// Duration is the time from the decoded witness to the compared roots:
	// hashing the elements, executing the block, computing the state root.
	Duration time.Duration
	// Nodes, Codes and Headers count the distinct elements of the witness, null
	// ones left out; NodesUsed, CodesUsed and HeadersUsed those of them that
	// were read. Headers of the blocks themselves do not count.
	Nodes, Codes, Headers             int
	NodesUsed, CodesUsed, HeadersUsed int
}

// MgasPerSecond is the speed of the verification in millions of gas per
// second.
func (r Result) MgasPerSecond() float64 {
	if r.Duration <= 0 {
		return 0
	}
	return float64(r.GasUsed) / 1e6 / r.Duration.Seconds()
}

// BlockError means that the block or the chain configuration is at fault, so
// that nothing can be said about the witness.
type BlockError struct{ Err error }

func (e *BlockError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *BlockError) Unwrap() error { return e.Err }

// MismatchError means that re-execution gave something other than what the
// block's header says.
type MismatchError struct {
	// What names the compared thing, such as "state root".
	What      string
	Got, Want any
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s: re-execution gives %v, the header says %v", e.What, e.Got, e.Want)
}

// Verify re-executes block from w alone and returns an error unless the block
// and w agree in every respect: the headers link to the block, everything that
// was read is there and hashes to what is asked for, and gas used, logs bloom,
// receipts root, requests hash, access list hash and state root are those of
// the block's header.
//
// A witness that lacks something gives a [*MissingError], one that leads to
// another result a [*MismatchError]; a [*BlockError] means that the block
// itself does not fit its header or cfg. Elements that are not needed, their
// order and repetitions do not matter. Verify does not judge the header: its
// hash is what the caller trusts.
func Verify(cfg *params.ChainConfig, block *types.Block, w *witness.Witness) (Result, error) {
	start := time.Now()
	if err := checkBlock(cfg, block); err != nil {
		return Result{}, err
	}
	r, err := newRun(cfg, block, nil, w)
	if err != nil {
		return Result{}, err
	}
	if err := r.execute(block); err != nil {
		return Result{}, err
	}
	return r.result(start), nil
}

// VerifyRun is [Verify] for blocks that follow one another, with one witness
// for all of them, whose elements are hashed once. It is as strict: each block
// is executed on the state that its parent's header commits to, from the
// witness alone, and compared with its own header. The witness needs no headers
// of the blocks themselves. Errors name the block; blocks that do not follow
// one another are a [*BlockError], and so is a run without blocks. A cancelled
// context ends it between two blocks.
func VerifyRun(ctx context.Context, cfg *params.ChainConfig, blocks []*types.Block, w *witness.Witness) (Result, error) {
	start := time.Now()
	if len(blocks) == 0 {
		return Result{}, &BlockError{errors.New("there are no blocks to execute")}
	}
	for i, block := range blocks {
		if err := checkBlock(cfg, block); err != nil {
			return Result{}, err
		}
		if i > 0 {
			if err := checkOrder(blocks[i-1], block); err != nil {
				return Result{}, err
			}
		}
	}
	r, err := newRun(cfg, blocks[0], blocks[1:], w)
	if err != nil {
		return Result{}, fmt.Errorf("block %d: %w", blocks[0].NumberU64(), err)
	}
	for i, block := range blocks {
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		if i > 0 {
			r.ancestors.add(blocks[i-1])
		}
		if err := r.execute(block); err != nil {
			return Result{}, fmt.Errorf("block %d: %w", block.NumberU64(), err)
		}
	}
	return r.result(start), nil
}

// checkOrder checks that block is the child of parent.
func checkOrder(parent, block *types.Block) error {
	if block.ParentHash() != parent.Hash() || block.NumberU64() != parent.NumberU64()+1 {
		return &BlockError{fmt.Errorf("block %d (%s) does not follow block %d (%s): its parent is %s",
			block.NumberU64(), block.Hash(), parent.NumberU64(), parent.Hash(), block.ParentHash())}
	}
	return nil
}

// run is what the blocks of a run have in common.
type run struct {
	cfg          *params.ChainConfig
	nodes, codes elements
	ancestors    *ancestry
	gas          uint64
}

// newRun prepares the witness for the block first and those that follow it.
func newRun(cfg *params.ChainConfig, first *types.Block, following []*types.Block, w *witness.Witness) (*run, error) {
	ancestors, err := link(first, w.Headers, following...)
	if err != nil {
		return nil, err
	}
	return &run{
		cfg:       cfg,
		nodes:     newElements(w.State, rlp.EmptyString),
		codes:     newElements(w.Codes, nil),
		ancestors: ancestors,
	}, nil
}

// execute executes one block, whose parent is the newest of the ancestors, and
// compares it with its header.
func (r *run) execute(block *types.Block) (err error) {
	elements := newStore(r.ancestors.parent().Root, &r.nodes, &r.codes)
	// The hashes bind every element to the header, but the header may be made
	// up, and the EVM takes the chain below it to be valid. What it panics on
	// must not end a run that checks hundreds of other witnesses.
	defer func() {
		if cause := recover(); cause != nil {
			err = elements.stage("in the execution", fmt.Errorf("the EVM gave up: %v", cause))
		}
	}()
	x := &execution{cfg: r.cfg, block: block, ancestors: r.ancestors, elements: elements}
	if x.state, err = state.New(elements.root, elements); err != nil {
		return err
	}
	if err := x.run(); err != nil {
		return err
	}
	r.gas += block.GasUsed()
	return nil
}

// result sums up a run that began at start.
func (r *run) result(start time.Time) Result {
	result := Result{
		GasUsed:     r.gas,
		Duration:    time.Since(start),
		Headers:     r.ancestors.given(),
		HeadersUsed: r.ancestors.used,
	}
	result.Nodes, result.NodesUsed = r.nodes.count()
	result.Codes, result.CodesUsed = r.codes.count()
	return result
}

// checkBlock compares the body of the block with its header, and both with the
// chain configuration; what does not fit is a BlockError that names the block.
func checkBlock(cfg *params.ChainConfig, block *types.Block) error {
	if err := checkBody(cfg, block); err != nil {
		return &BlockError{fmt.Errorf("block %d: %w", block.NumberU64(), err)}
	}
	return nil
}

func checkBody(cfg *params.ChainConfig, block *types.Block) error {
	header := block.Header()
	if header.Difficulty.Sign() != 0 || block.NumberU64() == 0 {
		return errors.New("blocks from before the merge cannot be re-executed")
	}
	for i, tx := range block.Transactions() {
		if id := tx.ChainId(); (tx.Protected() || tx.Type() != types.LegacyTxType) && id.Cmp(cfg.ChainID) != 0 {
			return fmt.Errorf("transaction %d is for chain %d, not for chain %d", i, id, cfg.ChainID)
		}
	}
	if got := types.CalcUncleHash(block.Uncles()); got != header.UncleHash {
		return &MismatchError{"uncles hash", got, header.UncleHash}
	}
	if got := types.DeriveSha(block.Transactions(), trie.NewStackTrie(nil)); got != header.TxHash {
		return &MismatchError{"transactions root", got, header.TxHash}
	}
	var withdrawals *common.Hash
	if block.Withdrawals() != nil {
		root := types.DeriveSha(block.Withdrawals(), trie.NewStackTrie(nil))
		withdrawals = &root
	}
	return sameOptional("withdrawals root", withdrawals, header.WithdrawalsHash)
}

// sameOptional compares hashes that only exist from some fork on.
func sameOptional(what string, got, want *common.Hash) error {
	text := func(h *common.Hash) any {
		if h == nil {
			return "none"
		}
		return *h
	}
	if text(got) != text(want) {
		return &MismatchError{what, text(got), text(want)}
	}
	return nil
}

// execution is one block on its way through the EVM.
type execution struct {
	cfg       *params.ChainConfig
	block     *types.Block
	ancestors *ancestry
	elements  *store
	state     *state.StateDB
	evm       *vm.EVM
	gas       *core.GasPool
	receipts  types.Receipts
	access    *bal.ConstructionBlockAccessList
}

// run executes the block and compares the outcome with its header. It stops at
// the first stage in which something is missing: what is read after that
// follows from a state that never was.
func (x *execution) run() error {
	// The context only carries tracing spans, of which there are none.
	ctx := context.Background()
	header := x.block.Header()
	environment := core.NewEVMBlockContext(header, chain{x.cfg, x.ancestors}, &header.Coinbase)
	environment.GetHash = x.blockHash
	x.evm = vm.NewEVM(environment, x.state, x.cfg, vm.Config{})
	defer x.evm.Release()
	x.elements.abort = x.evm.Cancel
	x.gas = core.NewGasPool(header.GasLimit)
	x.access = bal.NewConstructionBlockAccessList()

	x.access.Merge(core.PreExecution(ctx, x.block.BeaconRoot(), x.ancestors.parent(), x.cfg,
		x.evm, header.Number, header.Time))
	if err := x.elements.stage("in the system calls before the transactions", x.state.Error()); err != nil {
		return err
	}
	if err := x.transactions(ctx, header); err != nil {
		return err
	}
	var logs []*types.Log
	for _, r := range x.receipts {
		logs = append(logs, r.Logs...)
	}
	requests, access, err := core.PostExecution(ctx, x.cfg, header.Number, header.Time, logs,
		x.block.Withdrawals(), x.evm, uint32(len(x.receipts)+1))
	err = errors.Join(err, x.state.Error())
	if err := x.elements.stage("in the withdrawals and system calls after the transactions", err); err != nil {
		return err
	}
	x.access.Merge(access)
	return x.compare(header, requests)
}

// transactions executes all transactions.
func (x *execution) transactions(ctx context.Context, header *types.Header) error {
	signer := types.MakeSigner(x.cfg, header.Number, header.Time)
	for i, tx := range x.block.Transactions() {
		message, err := core.TransactionToMessage(tx, signer, header.BaseFee)
		if err != nil {
			return fmt.Errorf("transaction %d (%s): %w", i, tx.Hash(), err)
		}
		x.state.SetTxContext(tx.Hash(), i, uint32(i+1))
		receipt, access, err := core.ApplyTransactionWithEVM(ctx, message, x.gas, x.state,
			header.Number, x.block.Hash(), header.Time, tx, x.evm)
		err = errors.Join(err, x.state.Error())
		if err := x.elements.stage(fmt.Sprintf("in transaction %d (%s)", i, tx.Hash()), err); err != nil {
			return err
		}
		x.receipts = append(x.receipts, receipt)
		x.access.Merge(access)
	}
	return nil
}

// compare holds the outcome against the header. The state root comes last: it
// is the only comparison that reads more of the witness, so everything that is
// found missing there is missing for certain.
func (x *execution) compare(header *types.Header, requests [][]byte) error {
	if got := x.gas.Used(); got != header.GasUsed {
		return &MismatchError{"gas used", got, header.GasUsed}
	}
	if got := types.DeriveSha(x.receipts, trie.NewStackTrie(nil)); got != header.ReceiptHash {
		return &MismatchError{"receipts root", got, header.ReceiptHash}
	}
	if got := types.MergeBloom(x.receipts); got != header.Bloom {
		return &MismatchError{"logs bloom", fmt.Sprintf("%#x", got), fmt.Sprintf("%#x", header.Bloom)}
	}
	var hash *common.Hash
	if requests != nil {
		h := types.CalcRequestsHash(requests)
		hash = &h
	}
	if err := sameOptional("requests hash", hash, header.RequestsHash); err != nil {
		return err
	}
	hash = nil
	if x.cfg.IsAmsterdam(header.Number, header.Time) {
		h := x.access.ToEncodingObj().Hash()
		hash = &h
	}
	if err := sameOptional("access list hash", hash, header.BlockAccessListHash); err != nil {
		return err
	}
	x.elements.executed, x.elements.abort = true, nil
	root := x.state.IntermediateRoot(x.cfg.Rules(header.Number, true, header.Time))
	if err := x.elements.stage("in the state root", x.state.Error()); err != nil {
		return err
	}
	if root != header.Root {
		return &MismatchError{"state root", root, header.Root}
	}
	return nil
}

// blockHash serves the BLOCKHASH instruction.
func (x *execution) blockHash(number uint64) common.Hash {
	hash, ok := x.ancestors.hash(number)
	if !ok {
		x.elements.miss(Missing{Kind: Header, Number: number})
	}
	return hash
}
