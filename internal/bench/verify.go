package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/collect"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/witness"
)

// verifier proves witnesses complete by re-executing their blocks.
type verifier struct {
	// every is the share: 1 proves each witness, 0 none.
	every  int
	seen   int
	config *params.ChainConfig
	rpc    [2]*ethrpc.Client
}

// newVerifier returns a verifier for the chain, whose rules it must know: from
// the chain id, or from the genesis file.
func newVerifier(every int, chainID uint64, genesisFile string, rpc [2]*ethrpc.Client) (*verifier, error) {
	v := &verifier{every: every, rpc: rpc}
	if every == 0 {
		return v, nil
	}
	var err error
	if genesisFile != "" {
		v.config, err = stateless.ConfigFromGenesis(genesisFile)
		if err == nil && (v.config.ChainID == nil || v.config.ChainID.Uint64() != chainID) {
			err = fault.Newf(fault.Usage, "genesis file %s is of chain %v, the servers are on chain %d", genesisFile, v.config.ChainID, chainID)
		}
	} else if v.config, err = stateless.ChainConfig(chainID); err != nil {
		err = fault.Newf(fault.Usage, "witnesses of chain %d cannot be verified: %w", chainID, err).
			Hint("give its genesis with --genesis FILE, or --verify-every 0 to measure without proof")
	}
	return v, err
}

// check proves the answers that are ok and due, and notes the outcome in their
// samples. Two answers with the same digest hold the same state, codes and
// headers, so that one proof is the proof of both.
func (v *verifier) check(ctx context.Context, b collect.Block, samples *[2]sample.Sample, bodies [2]*ethrpc.Body) error {
	v.seen++
	if v.every == 0 || (v.seen-1)%v.every != 0 {
		return nil
	}
	base, test := &samples[0], &samples[1]
	for i, s := range samples {
		if s.Status != sample.OK {
			continue
		}
		settled := base.Verification == sample.Complete || base.Verification == sample.Incomplete
		if i == 1 && settled && base.Digest == test.Digest {
			test.Status, test.Verification, test.Failure = base.Status, base.Verification, base.Failure
			continue
		}
		v.prove(ctx, b, &samples[i], bodies[i], v.rpc[i])
	}
	// An unproved baseline has its proof in the test side's equal answer.
	if base.Verification == sample.Unproved && test.Verification == sample.Complete && base.Digest == test.Digest {
		base.Verification, base.Doubt = sample.Complete, ""
	}
	return ctx.Err()
}

// prove re-executes the block of one sample from its witness. Only what can be
// the witness's fault makes it incomplete: something missing, or headers that
// do not link. Everything else, a block that the server does not give, or gives
// wrongly, or rules that are not the chain's, leaves it unproved, with the
// reason.
func (v *verifier) prove(ctx context.Context, b collect.Block, s *sample.Sample, body *ethrpc.Body, rpc *ethrpc.Client) {
	var raw json.RawMessage
	err := rpc.Call(ctx, &raw, "eth_getBlockByHash", b.Hash, true)
	var block *types.Block
	if err == nil {
		block, err = stateless.ParseBlock(raw)
	}
	if err == nil && block.Hash().Hex() != b.Hash {
		err = fmt.Errorf("the block was served with hash %s", block.Hash().Hex())
	}
	if err != nil {
		s.Verification, s.Doubt = sample.Unproved, err.Error()
		return
	}
	err = v.execute(block, body)
	var unfit *stateless.BlockError
	var other *stateless.MismatchError
	switch {
	case err == nil:
		s.Verification = sample.Complete
	case errors.As(err, &unfit), errors.As(err, &other):
		// Each element is bound to a trusted header by its hash, so that a
		// result that differs while nothing is missing is not the witness's.
		s.Verification, s.Doubt = sample.Unproved, fmt.Sprintf("%v; if the chain's rules are not built in, give --genesis FILE", err)
	default:
		s.Status, s.Verification = sample.InvalidWitness, sample.Incomplete
		s.Failure = &sample.Failure{Message: err.Error()}
	}
}

func (v *verifier) execute(block *types.Block, body *ethrpc.Body) error {
	in, err := body.Open()
	if err != nil {
		return err
	}
	w, err := witness.Decode(in)
	if err != nil {
		return err
	}
	_, err = stateless.Verify(v.config, block, w)
	return err
}
