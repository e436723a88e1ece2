package devnet

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/stateless"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/holiman/uint256"
)

// recording is what one execution of one block leaves behind. It travels down
// to the processor in the context, because the library offers no other way
// through the import of a block.
type recording struct {
	// block is the hash of the block whose execution is wanted; an import
	// may execute others before it.
	block common.Hash
	// witness is nil until the block has been executed, and complete once
	// the import has validated the block's state.
	witness *stateless.Witness
	touched touched
	// began and executed are the ends of the block's execution, and validated
	// is when its state was found to be the one it claims. All are zero when
	// the block was not executed, because it was known.
	began, executed, validated time.Time
}

// recordingKey is the context key of a *recording.
type recordingKey struct{}

// withRecording asks the processor to record what the block with this hash
// does.
func withRecording(ctx context.Context, block common.Hash) (context.Context, *recording) {
	r := &recording{block: block}
	return context.WithValue(ctx, recordingKey{}, r), r
}

// touched holds the accounts that a block read or wrote, also in calls that
// were reverted, and of each the storage slots. A witness proves them all,
// whether they exist or not.
type touched map[common.Address]map[common.Hash]struct{}

func (t touched) account(a common.Address) {
	if _, ok := t[a]; !ok {
		t[a] = nil
	}
}

func (t touched) slot(a common.Address, key common.Hash) {
	if t[a] == nil {
		t[a] = make(map[common.Hash]struct{})
	}
	t[a][key] = struct{}{}
}

// keys lists each address and after it its slots, both in ascending order.
func (t touched) keys() [][]byte {
	var keys [][]byte
	for _, a := range slices.SortedFunc(maps.Keys(t), common.Address.Cmp) {
		keys = append(keys, bytes.Clone(a[:]))
		for _, key := range slices.SortedFunc(maps.Keys(t[a]), common.Hash.Cmp) {
			keys = append(keys, bytes.Clone(key[:]))
		}
	}
	return keys
}

// validator is the library's own, and notes when it is done with the state of a
// block that is recorded. The library gives it no context to find the recording
// in, only the state that the processor has just had.
type validator struct {
	core.Validator

	mu       sync.Mutex
	expected map[*state.StateDB]*recording
}

func (v *validator) expect(statedb *state.StateDB, r *recording) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.expected[statedb] = r
}

// ValidateState implements [core.Validator].
func (v *validator) ValidateState(block *types.Block, statedb *state.StateDB, res *core.ProcessResult, stateless bool) error {
	err := v.Validator.ValidateState(block, statedb, res, stateless)
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.expected[statedb]; r != nil {
		r.validated = time.Now()
		delete(v.expected, statedb)
	}
	return err
}

// processor executes blocks as the library's own does. When a witness is being
// made and the context holds a recording of this block, it also notes what the
// block touches, which the library does not; nothing else tells it exactly:
// tracers see opcodes and miss what the protocol itself touches, and the nodes
// of the witness carry hashed keys.
type processor struct {
	chain core.ChainContext
	plain core.Processor
	// validator is told whose state it will see next.
	validator *validator
}

// Process implements [core.Processor].
func (p *processor) Process(ctx context.Context, block *types.Block, statedb *state.StateDB, jumps vm.JumpDestCache, precompiles *vm.PrecompileCache, cfg vm.Config, execIndex *atomic.Int64) (*core.ProcessResult, error) {
	r, _ := ctx.Value(recordingKey{}).(*recording)
	if r == nil || r.block != block.Hash() {
		return p.plain.Process(ctx, block, statedb, jumps, precompiles, cfg, execIndex)
	}
	r.began = time.Now()
	result, err := p.record(ctx, r, block, statedb, jumps, precompiles, cfg, execIndex)
	if err != nil {
		return nil, err
	}
	r.executed = time.Now()
	p.validator.expect(statedb, r)
	return result, nil
}

// record executes the block of r.
func (p *processor) record(ctx context.Context, r *recording, block *types.Block, statedb *state.StateDB, jumps vm.JumpDestCache, precompiles *vm.PrecompileCache, cfg vm.Config, execIndex *atomic.Int64) (*core.ProcessResult, error) {
	if statedb.Witness() == nil {
		return p.plain.Process(ctx, block, statedb, jumps, precompiles, cfg, execIndex)
	}
	r.touched = make(touched)
	db := &touchingState{StateDB: statedb, touched: r.touched}
	evm := vm.NewEVM(core.NewEVMBlockContext(block.Header(), p.chain, nil), db, p.chain.Config(), cfg)
	defer evm.Release()
	evm.SetJumpDestCache(jumps)
	evm.SetPrecompileCache(precompiles)

	result, err := p.execute(ctx, block, statedb, evm, execIndex)
	if err != nil {
		return nil, err
	}
	r.witness = statedb.Witness()
	return result, nil
}

// execute runs the parts of a block in their order: system calls, transactions,
// withdrawals and system calls again.
func (p *processor) execute(ctx context.Context, block *types.Block, statedb *state.StateDB, evm *vm.EVM, execIndex *atomic.Int64) (*core.ProcessResult, error) {
	config, header := p.chain.Config(), block.Header()
	parent := p.chain.GetHeader(block.ParentHash(), block.NumberU64()-1)
	if parent == nil {
		return nil, fmt.Errorf("block %d: the parent %s is missing", block.NumberU64(), block.ParentHash())
	}
	if config.DAOForkSupport && config.DAOForkBlock != nil && config.DAOForkBlock.Cmp(block.Number()) == 0 {
		misc.ApplyDAOHardFork(evm.StateDB)
	}
	core.PreExecution(ctx, block.BeaconRoot(), parent, config, evm, block.Number(), block.Time())

	result := &core.ProcessResult{Receipts: make(types.Receipts, 0, len(block.Transactions()))}
	signer := types.MakeSigner(config, header.Number, header.Time)
	gas := core.NewGasPool(block.GasLimit())
	for i, tx := range block.Transactions() {
		if execIndex != nil {
			execIndex.Store(int64(i)) // the prefetcher skips what is done
		}
		message, err := core.TransactionToMessage(tx, signer, header.BaseFee)
		if err != nil {
			return nil, fmt.Errorf("transaction %d (%s): %w", i, tx.Hash(), err)
		}
		statedb.SetTxContext(tx.Hash(), i, uint32(i+1))
		receipt, _, err := core.ApplyTransactionWithEVM(ctx, message, gas, statedb, block.Number(), block.Hash(), block.Time(), tx, evm)
		if err != nil {
			return nil, fmt.Errorf("transaction %d (%s): %w", i, tx.Hash(), err)
		}
		result.Receipts = append(result.Receipts, receipt)
		result.Logs = append(result.Logs, receipt.Logs...)
	}
	var err error
	result.Requests, _, err = core.PostExecution(ctx, config, block.Number(), block.Time(), result.Logs, block.Withdrawals(), evm, uint32(len(block.Transactions())+1))
	if err != nil {
		return nil, err
	}
	p.chain.Engine().Finalize(p.chain, header, evm.StateDB, block.Body())
	result.GasUsed = gas.Used()
	return result, nil
}

// touchingState notes the accounts and slots that pass through it. Transient
// storage and access lists are no state, so those calls go straight through.
type touchingState struct {
	vm.StateDB
	touched touched
}

func (s *touchingState) CreateAccount(a common.Address) {
	s.touched.account(a)
	s.StateDB.CreateAccount(a)
}

func (s *touchingState) CreateContract(a common.Address) {
	s.touched.account(a)
	s.StateDB.CreateContract(a)
}

func (s *touchingState) SubBalance(a common.Address, amount *uint256.Int, reason tracing.BalanceChangeReason) uint256.Int {
	s.touched.account(a)
	return s.StateDB.SubBalance(a, amount, reason)
}

func (s *touchingState) AddBalance(a common.Address, amount *uint256.Int, reason tracing.BalanceChangeReason) uint256.Int {
	s.touched.account(a)
	return s.StateDB.AddBalance(a, amount, reason)
}

func (s *touchingState) GetBalance(a common.Address) *uint256.Int {
	s.touched.account(a)
	return s.StateDB.GetBalance(a)
}

func (s *touchingState) GetNonce(a common.Address) uint64 {
	s.touched.account(a)
	return s.StateDB.GetNonce(a)
}

func (s *touchingState) SetNonce(a common.Address, nonce uint64, reason tracing.NonceChangeReason) {
	s.touched.account(a)
	s.StateDB.SetNonce(a, nonce, reason)
}

func (s *touchingState) GetCodeHash(a common.Address) common.Hash {
	s.touched.account(a)
	return s.StateDB.GetCodeHash(a)
}

func (s *touchingState) GetCode(a common.Address) []byte {
	s.touched.account(a)
	return s.StateDB.GetCode(a)
}

func (s *touchingState) SetCode(a common.Address, code []byte, reason tracing.CodeChangeReason) []byte {
	s.touched.account(a)
	return s.StateDB.SetCode(a, code, reason)
}

func (s *touchingState) GetCodeSize(a common.Address) int {
	s.touched.account(a)
	return s.StateDB.GetCodeSize(a)
}

func (s *touchingState) GetStateAndCommittedState(a common.Address, key common.Hash) (common.Hash, common.Hash) {
	s.touched.slot(a, key)
	return s.StateDB.GetStateAndCommittedState(a, key)
}

func (s *touchingState) GetState(a common.Address, key common.Hash) common.Hash {
	s.touched.slot(a, key)
	return s.StateDB.GetState(a, key)
}

func (s *touchingState) SetState(a common.Address, key, value common.Hash) common.Hash {
	s.touched.slot(a, key)
	return s.StateDB.SetState(a, key, value)
}

func (s *touchingState) SelfDestruct(a common.Address) {
	s.touched.account(a)
	s.StateDB.SelfDestruct(a)
}

func (s *touchingState) HasSelfDestructed(a common.Address) bool {
	s.touched.account(a)
	return s.StateDB.HasSelfDestructed(a)
}

func (s *touchingState) Exist(a common.Address) bool {
	s.touched.account(a)
	return s.StateDB.Exist(a)
}

func (s *touchingState) Touch(a common.Address) {
	s.touched.account(a)
	s.StateDB.Touch(a)
}

func (s *touchingState) IsNewContract(a common.Address) bool {
	s.touched.account(a)
	return s.StateDB.IsNewContract(a)
}

func (s *touchingState) Empty(a common.Address) bool {
	s.touched.account(a)
	return s.StateDB.Empty(a)
}
