package sequencer

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// namespace is where the batch methods stand: ethrex's.
const namespace = "ethrex"

// batchAPI answers the methods about batches. Arguments are pointers, which
// makes them optional to the server, so that its own words tell what is missing.
type batchAPI struct {
	// behind is nil until the data directory is open: the node serves before.
	behind atomic.Pointer[behindAPI]
}

// behindAPI is what the answers are made from.
type behindAPI struct {
	files *files
	chain *chain
}

// ready returns what the answers are made from, once there is anything.
func (a *batchAPI) ready() (*behindAPI, error) {
	if b := a.behind.Load(); b != nil {
		return b, nil
	}
	return nil, errors.New("the sequencer is starting")
}

// batchAnswer is a batch as ethrex answers it. What the built-in rollup does
// not have is empty: messages to the L1 and blobs.
type batchAnswer struct {
	Number       uint64        `json:"number"`
	FirstBlock   uint64        `json:"first_block"`
	LastBlock    uint64        `json:"last_block"`
	StateRoot    common.Hash   `json:"state_root"`
	InMessages   common.Hash   `json:"l1_in_messages_rolling_hash"`
	L2Messages   []common.Hash `json:"l2_in_message_rolling_hashes"`
	OutMessages  []common.Hash `json:"l1_out_message_hashes"`
	Transactions int           `json:"non_privileged_transactions"`
	BalanceDiffs []any         `json:"balance_diffs"`
	Blobs        blobsBundle   `json:"blobs_bundle"`
	CommitTx     *common.Hash  `json:"commit_tx"`
	VerifyTx     *common.Hash  `json:"verify_tx"`
	BlockHashes  []common.Hash `json:"block_hashes,omitempty"`
}

type blobsBundle struct {
	Blobs       []string `json:"blobs"`
	Commitments []string `json:"commitments"`
	Proofs      []string `json:"proofs"`
}

// paramsError is what ethrex answers when the arguments are not those that it
// expects.
type paramsError struct{ text string }

func (e *paramsError) Error() string  { return "Invalid params: " + e.text }
func (e *paramsError) ErrorCode() int { return -32000 }

// BatchNumber implements ethrex_batchNumber: the newest sealed batch, null
// before the first.
func (a *batchAPI) BatchNumber() (*hexutil.Uint64, error) {
	b, err := a.ready()
	if err != nil {
		return nil, err
	}
	r, ok := b.files.last()
	if !ok {
		return nil, nil
	}
	return (*hexutil.Uint64)(&r.Number), nil
}

// GetBatchByNumber implements ethrex_getBatchByNumber, which wants both of its
// arguments. The answer is null for a batch that there is not.
func (a *batchAPI) GetBatchByNumber(ctx context.Context, number *hexutil.Uint64, hashes *bool) (*batchAnswer, error) {
	if number == nil || hashes == nil {
		return nil, &paramsError{"Expected 2 params"}
	}
	b, err := a.ready()
	if err != nil {
		return nil, err
	}
	r, ok := b.files.batch(uint64(*number))
	if !ok {
		return nil, nil
	}
	return b.answer(ctx, r, *hashes)
}

// GetBatchByBlock implements ethrex_getBatchByBlock: the batch that holds a
// block, null while it is in none.
func (a *batchAPI) GetBatchByBlock(ctx context.Context, block *hexutil.Uint64) (*batchAnswer, error) {
	if block == nil {
		return nil, &paramsError{"Expected 1 params"}
	}
	b, err := a.ready()
	if err != nil {
		return nil, err
	}
	r, ok := b.files.find(uint64(*block))
	if !ok {
		return nil, nil
	}
	return b.answer(ctx, r, false)
}

// answer is a record in the form of an answer.
func (a *behindAPI) answer(ctx context.Context, r record, hashes bool) (*batchAnswer, error) {
	b := &batchAnswer{
		Number: r.Number, FirstBlock: r.Public.FirstBlock, LastBlock: r.Public.LastBlock,
		StateRoot: r.Public.FinalRoot, InMessages: r.Public.Deposits,
		L2Messages: []common.Hash{}, OutMessages: []common.Hash{}, BalanceDiffs: []any{},
		Transactions: r.Transactions, CommitTx: r.CommitTx, VerifyTx: r.VerifyTx,
		Blobs: blobsBundle{Blobs: []string{}, Commitments: []string{}, Proofs: []string{}},
	}
	if !hashes {
		return b, nil
	}
	for number := b.FirstBlock; number <= b.LastBlock; number++ {
		h, err := a.chain.header(ctx, hexutil.EncodeUint64(number))
		if err != nil {
			return nil, err
		}
		b.BlockHashes = append(b.BlockHashes, h.Hash)
	}
	return b, nil
}
