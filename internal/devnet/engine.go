package devnet

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/eth/catalyst"
)

// engineAPI takes the place of the newPayload and forkchoiceUpdated methods of
// the Engine API. It is registered after the library's own and so replaces them;
// all other methods stay. With a store, the witness is made by the same
// execution that imports the block, and kept.
type engineAPI struct {
	api  *catalyst.ConsensusAPI
	node *Node
}

// importing is one newPayload call of either kind, its arguments bound.
type importing func(context.Context) (engine.PayloadStatusV1, error)

// NewPayloadV1 implements engine_newPayloadV1.
func (e *engineAPI) NewPayloadV1(ctx context.Context, data engine.ExecutableData) (engine.PayloadStatusV1, error) {
	return e.run(ctx, data,
		func(ctx context.Context) (engine.PayloadStatusV1, error) { return e.api.NewPayloadV1(ctx, data) },
		func(ctx context.Context) (engine.PayloadStatusV1, error) {
			return e.api.NewPayloadWithWitnessV1(ctx, data)
		})
}

// NewPayloadV2 implements engine_newPayloadV2.
func (e *engineAPI) NewPayloadV2(ctx context.Context, data engine.ExecutableData) (engine.PayloadStatusV1, error) {
	return e.run(ctx, data,
		func(ctx context.Context) (engine.PayloadStatusV1, error) { return e.api.NewPayloadV2(ctx, data) },
		func(ctx context.Context) (engine.PayloadStatusV1, error) {
			return e.api.NewPayloadWithWitnessV2(ctx, data)
		})
}

// NewPayloadV3 implements engine_newPayloadV3.
func (e *engineAPI) NewPayloadV3(ctx context.Context, data engine.ExecutableData, blobs []common.Hash, beaconRoot *common.Hash) (engine.PayloadStatusV1, error) {
	return e.run(ctx, data,
		func(ctx context.Context) (engine.PayloadStatusV1, error) {
			return e.api.NewPayloadV3(ctx, data, blobs, beaconRoot)
		},
		func(ctx context.Context) (engine.PayloadStatusV1, error) {
			return e.api.NewPayloadWithWitnessV3(ctx, data, blobs, beaconRoot)
		})
}

// NewPayloadV4 implements engine_newPayloadV4.
func (e *engineAPI) NewPayloadV4(ctx context.Context, data engine.ExecutableData, blobs []common.Hash, beaconRoot *common.Hash, requests []hexutil.Bytes) (engine.PayloadStatusV1, error) {
	return e.run(ctx, data,
		func(ctx context.Context) (engine.PayloadStatusV1, error) {
			return e.api.NewPayloadV4(ctx, data, blobs, beaconRoot, requests)
		},
		func(ctx context.Context) (engine.PayloadStatusV1, error) {
			return e.api.NewPayloadWithWitnessV4(ctx, data, blobs, beaconRoot, requests)
		})
}

// NewPayloadV5 implements engine_newPayloadV5.
func (e *engineAPI) NewPayloadV5(ctx context.Context, data engine.ExecutableData, blobs []common.Hash, beaconRoot *common.Hash, requests []hexutil.Bytes) (engine.PayloadStatusV1, error) {
	return e.run(ctx, data,
		func(ctx context.Context) (engine.PayloadStatusV1, error) {
			return e.api.NewPayloadV5(ctx, data, blobs, beaconRoot, requests)
		},
		func(ctx context.Context) (engine.PayloadStatusV1, error) {
			return e.api.NewPayloadWithWitnessV5(ctx, data, blobs, beaconRoot, requests)
		})
}

// run imports a payload and stores its witness if the node keeps any. The
// answer never carries the witness: a consensus client did not ask for it.
func (e *engineAPI) run(ctx context.Context, data engine.ExecutableData, plain, witnessed importing) (engine.PayloadStatusV1, error) {
	start := time.Now()
	call := plain
	if e.node.store != nil {
		call = witnessed
	}
	ctx, r := withRecording(ctx, data.BlockHash)
	status, err := call(ctx)
	status.Witness = nil
	// A block that was already known is not executed again and leaves no
	// witness; the store has it from the first time, or it is made on demand.
	if err == nil && status.Status == engine.VALID && r.witness != nil {
		e.keep(blockID{data.Number, data.BlockHash}, r)
	}
	// The library leaves the newest writes in a buffer of the process. With
	// them on disk, a node that is killed is one block back at most.
	if err := e.node.backend.ChainDb().SyncKeyValue(); err != nil {
		e.node.log.Error("writing a block to disk", "block", data.Number, "err", err)
	}
	end := time.Now()
	e.node.metrics.importNS.Store(int64(end.Sub(start)))
	if err == nil && status.Status == engine.VALID && !r.validated.IsZero() {
		e.node.metrics.newest.Store(&importedBlock{
			number: data.Number, gas: data.GasUsed, transactions: len(data.Transactions),
			validate: r.began.Sub(start), execution: r.executed.Sub(r.began),
			merkle: r.validated.Sub(r.executed), store: end.Sub(r.validated),
		})
	}
	return status, err
}

// keep stores a witness. A full disk is no reason to call the block invalid:
// the witness is then made on demand, and the failure is counted and logged.
func (e *engineAPI) keep(id blockID, r *recording) {
	a, err := newAnswer(r)
	if err == nil {
		err = e.node.store.put(id, a)
	}
	if err != nil {
		e.node.metrics.storeErrors.Add(1)
		e.node.log.Error("storing a witness", "block", id.number, "err", err)
	}
}

// ForkchoiceUpdatedV1 implements engine_forkchoiceUpdatedV1.
func (e *engineAPI) ForkchoiceUpdatedV1(ctx context.Context, state engine.ForkchoiceStateV1, attributes *engine.PayloadAttributes) (engine.ForkChoiceResponse, error) {
	return e.settle(e.api.ForkchoiceUpdatedV1(ctx, state, attributes))
}

// ForkchoiceUpdatedV2 implements engine_forkchoiceUpdatedV2.
func (e *engineAPI) ForkchoiceUpdatedV2(ctx context.Context, state engine.ForkchoiceStateV1, attributes *engine.PayloadAttributes) (engine.ForkChoiceResponse, error) {
	return e.settle(e.api.ForkchoiceUpdatedV2(ctx, state, attributes))
}

// ForkchoiceUpdatedV3 implements engine_forkchoiceUpdatedV3.
func (e *engineAPI) ForkchoiceUpdatedV3(ctx context.Context, state engine.ForkchoiceStateV1, attributes *engine.PayloadAttributes) (engine.ForkChoiceResponse, error) {
	return e.settle(e.api.ForkchoiceUpdatedV3(ctx, state, attributes))
}

// settle has the head on disk before the answer goes out, if that was asked
// for. Unlike a block, which the consensus client can deliver again, a head that
// cannot be written is an error.
func (e *engineAPI) settle(r engine.ForkChoiceResponse, err error) (engine.ForkChoiceResponse, error) {
	if err == nil && e.node.durable {
		if failure := e.node.backend.ChainDb().SyncKeyValue(); failure != nil {
			return r, fmt.Errorf("writing the head to disk: %w", failure)
		}
	}
	return r, err
}
