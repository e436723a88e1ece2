package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/witness"
)

// Verifier proves witnesses complete by re-executing their blocks. It takes the
// processor for that, so it must not run while a request is timed. It is safe
// for concurrent use; a nil Verifier proves nothing.
type Verifier struct {
	every  uint64
	config *params.ChainConfig
}

// NewVerifier returns a verifier of the witnesses of each block of the chain
// whose number is a multiple of every: the height decides and not a count, so
// that collectors on different hosts prove the same blocks. 0 proves none.
//
// It must know the rules of the chain, from its id or from the genesis file if
// one is named; errors are the user's ([fault.Usage]).
func NewVerifier(every int, chainID uint64, genesisFile string) (*Verifier, error) {
	if every <= 0 {
		return nil, nil
	}
	v := &Verifier{every: uint64(every)}
	var err error
	if genesisFile != "" {
		v.config, err = stateless.ConfigFromGenesis(genesisFile)
		if err == nil && (v.config.ChainID == nil || !v.config.ChainID.IsUint64() || v.config.ChainID.Uint64() != chainID) {
			err = fault.Newf(fault.Usage, "genesis file %s is of chain %v, the servers are on chain %d", genesisFile, v.config.ChainID, chainID)
		}
	} else if v.config, err = stateless.ChainConfig(chainID); err != nil {
		err = fault.Newf(fault.Usage, "witnesses of chain %d cannot be verified: %w", chainID, err).
			Hint("give its genesis with --genesis FILE, or --verify-every 0 to measure without proof")
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Due reports whether the witness of block number is to be proved.
func (v *Verifier) Due(number uint64) bool { return v != nil && number%v.every == 0 }

// Prove re-executes the block of s from its witness, body, and notes the outcome
// in s. The block itself is asked of rpc, and believed by its hash.
//
// Only what can be the witness's fault makes it incomplete: something missing,
// or headers that do not link. Everything else, a block that the server does
// not give, or gives wrongly, or rules that are not the chain's, leaves it
// unproved, with the reason. When ctx ends, s stays as it was.
func (v *Verifier) Prove(ctx context.Context, rpc *ethrpc.Client, b Block, s *sample.Sample, body *ethrpc.Body) {
	block, err := fetchBlock(ctx, rpc, b.Hash)
	if ctx.Err() != nil {
		return
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

func fetchBlock(ctx context.Context, rpc *ethrpc.Client, hash string) (*types.Block, error) {
	var raw json.RawMessage
	if err := rpc.Call(ctx, &raw, "eth_getBlockByHash", hash, true); err != nil {
		return nil, err
	}
	block, err := stateless.ParseBlock(raw)
	if err == nil && block.Hash().Hex() != hash {
		err = fmt.Errorf("the block was served with hash %s", block.Hash().Hex())
	}
	return block, err
}

func (v *Verifier) execute(block *types.Block, body *ethrpc.Body) error {
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
