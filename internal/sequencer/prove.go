package sequencer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/l1"
)

// sender brings proofs to the L1, in the order of the batches.
type sender struct {
	files    *files
	l1       *settlement
	meters   *meters
	log      *slog.Logger
	interval time.Duration
	// required are the types of proof that a batch needs.
	required []string
}

// run sends what there is each interval until ctx ends. Trouble with the L1 is
// logged and passes; any other error is of this process or its disk.
func (s *sender) run(ctx context.Context) error {
	for {
		if err := pause(ctx, s.interval); err != nil {
			return err
		}
		err := s.round(ctx)
		var l1 *l1Error
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &l1):
			s.log.Error(fmt.Sprintf("L1 proof sender: %v", err))
		default:
			return fmt.Errorf("proof sender: %w", err)
		}
	}
}

// round sends the proof of the next batch, if there is one.
func (s *sender) round(ctx context.Context) error {
	number := s.files.verified() + 1
	if s.files.committed() < number {
		s.log.Info(fmt.Sprintf("Next batch to send (%d) is not yet committed", number))
		return nil
	}
	var missing []string
	for _, kind := range s.required {
		if _, ok := s.files.proof(number, kind); !ok {
			missing = append(missing, kind)
		}
	}
	if len(missing) > 0 {
		s.log.Info("Missing batch proof(s), will not send", "missing_proof_types", quoted(missing), "batch_to_send", number)
		return nil
	}
	// What the last try led to may not be known: it may have got through.
	if err := s.l1.agreeVerified(ctx); err != nil {
		return onL1(err)
	}
	if s.files.verified() >= number {
		return nil
	}
	return s.send(ctx, number)
}

// send sends the proofs of a batch.
func (s *sender) send(ctx context.Context, number uint64) error {
	s.log.Info("Sending batch verification transaction to L1", "batch_number", number)
	for _, kind := range s.required[1:] {
		// The contract takes one public output for all types.
		if p, _ := s.files.proof(number, kind); !s.right(number, p) {
			return s.refuse(p, errors.New("its public output is not that of the batch"))
		}
	}
	p, _ := s.files.proof(number, s.required[0])
	receipt, err := s.l1.sender.Verify(ctx, number, p.Public)
	switch {
	case refused(err) && !s.right(number, p):
		return s.refuse(p, err)
	case err != nil:
		// The L1 refused the right output, so a new proof would not help it, or
		// it did not answer.
		return onL1(err)
	}
	if err := s.files.setVerified(number, receipt.Hash); err != nil {
		return err
	}
	s.meters.verified(number, receipt.GasUsed)
	s.log.Info("Sent batch verification transaction to L1", "batch_number", number, "verify_tx_hash", receipt.Hash.Hex())
	return nil
}

// refused reports whether the L1 said no: the contract, or the node, which takes
// no transaction of any size.
func refused(err error) bool {
	var revert *l1.RevertError
	var answer *ethrpc.Error
	return errors.As(err, &revert) || errors.As(err, &answer)
}

// right reports whether a proof has the public output of its batch.
func (s *sender) right(number uint64, p proof) bool {
	r, ok := s.files.batch(number)
	want := r.Public.Encode()
	return ok && bytes.Equal(want[:], p.Public)
}

// refuse deletes a proof that the L1 does not take, so that the batch is given
// out again.
func (s *sender) refuse(p proof, why error) error {
	s.log.Error(fmt.Sprintf("Failed to send verification of batch %d: %v", p.Batch, why))
	s.log.Warn(fmt.Sprintf("Deleting invalid %s proof", p.Type))
	return s.files.dropProof(p.Batch, p.Type)
}

// quoted is a list as ethrex prints it.
func quoted(words []string) string {
	quotes := make([]string, len(words))
	for i, w := range words {
		quotes[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(quotes, ", ") + "]"
}
