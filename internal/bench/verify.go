package bench

import (
	"context"

	"github.com/verdict-bench/verdict/internal/collect"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/sample"
)

// verifier proves the witnesses of a pair.
type verifier struct {
	*collect.Verifier
	rpc [2]*ethrpc.Client
}

// newVerifier returns a verifier for the chain, whose rules it must know: from
// the chain id, or from the genesis file.
func newVerifier(every int, chainID uint64, genesisFile string, rpc [2]*ethrpc.Client) (*verifier, error) {
	v, err := collect.NewVerifier(every, chainID, genesisFile)
	return &verifier{v, rpc}, err
}

// check proves the answers that are ok and due, and notes the outcome in their
// samples. Two answers with the same digest hold the same state, codes and
// headers, so that one proof is the proof of both.
func (v *verifier) check(ctx context.Context, b collect.Block, samples *[2]sample.Sample, bodies [2]*ethrpc.Body) error {
	if !v.Due(b.Number) {
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
		v.Prove(ctx, v.rpc[i], b, &samples[i], bodies[i])
	}
	// An unproved baseline has its proof in the test side's equal answer.
	if base.Verification == sample.Unproved && test.Verification == sample.Complete && base.Digest == test.Digest {
		base.Verification, base.Doubt = sample.Complete, ""
	}
	return ctx.Err()
}
