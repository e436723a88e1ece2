package sequencer

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/l1"
)

// settlement is the L1 as the sequencer sees it: two accounts write to one
// contract, and what it says is compared with what is kept here.
type settlement struct {
	client *l1.Client
	// committer and sender write to the same contract.
	committer, sender *l1.Proposer
	files             *files
	// dir is the data directory, for messages.
	dir string
}

// lostError means that L1 and L2 do not belong together.
func (s *settlement) lostError(format string, args ...any) *fault.Error {
	return fault.Newf(fault.Prerequisite, "--datadir %s does not belong to the L1 at %s: %w", s.dir, s.client.URL(), fmt.Errorf(format, args...))
}

// staleError is a data directory that was made for another L1 or for other
// contracts: the L1 is right for an L2 that begins anew.
func (s *settlement) staleError(format string, args ...any) error {
	return s.lostError(format, args...).
		Hint("rm -r %s   # it holds the whole L2; after that, deposits of the L1 are credited anew", s.dir)
}

// usedError is a contract that holds batches which are not those of this L2. An
// L2 that begins anew would be refused as well, so new contracts are needed.
func (s *settlement) usedError(format string, args ...any) error {
	err := s.lostError(format, args...).
		Hint("deploy the contracts anew, no other L2 can go on with these: verdict devnet l1 deploy --help")
	if _, ok := s.files.last(); ok {
		return err.Hint("rm -r %s   # and then begin with an empty L2", s.dir)
	}
	return err
}

// identify makes sure that the data directory was made for this L1 and these
// contracts, or for none yet, and returns which they are.
func (s *settlement) identify(ctx context.Context, want identity) (identity, error) {
	var err error
	if want.L1, err = s.client.BlockHash(ctx, 1); err != nil {
		return identity{}, err
	}
	have, ok, err := s.files.identity()
	switch {
	case err != nil:
		return identity{}, err
	case !ok:
		return want, nil
	case have.L1 != want.L1:
		return identity{}, s.staleError("block 1 of that L1 is %s, and the L2 was made on one where it is %s", want.L1, have.L1)
	case have.Proposer != want.Proposer:
		return identity{}, s.staleError("its batches are committed to the OnChainProposer %s, not to %s", have.Proposer, want.Proposer)
	case have.Bridge != want.Bridge:
		return identity{}, s.staleError("its deposits come from the bridge %s, not from %s", have.Bridge, want.Bridge)
	}
	return have, nil
}

// agree brings what is kept here to what the L1 has: a process that was killed
// may not have seen the receipt of what it sent. That the L1 lacks something, or
// has something that is not known here, is an error that no trying again cures.
func (s *settlement) agree(ctx context.Context, genesisRoot common.Hash) error {
	if err := s.agreeCommitted(ctx); err != nil {
		return err
	}
	if err := s.agreeVerified(ctx); err != nil {
		return err
	}
	root, err := s.committer.StateRoot(ctx)
	if err != nil {
		return err
	}
	r, ok := s.files.batch(s.files.committed())
	switch {
	case !ok && root != genesisRoot:
		return fault.Newf(fault.Prerequisite, "--network: the contracts on the L1 at %s were deployed for a rollup that begins with the state root %s, and this genesis has %s", s.client.URL(), root, genesisRoot).
			Hint("--network FILE   # the one that verdict devnet l1 deploy had as --genesis-l2-path")
	case ok && root != r.Public.FinalRoot:
		return s.usedError("the contract has the state root %s after batch %d, the L2 has %s", root, r.Number, r.Public.FinalRoot)
	}
	return nil
}

// agreeCommitted compares the newest committed batch. Each batch that the L1
// has is one that is kept here, with the same public output.
func (s *settlement) agreeCommitted(ctx context.Context) error {
	there, err := s.committer.LastCommitted(ctx)
	if err != nil {
		return err
	}
	here := s.files.committed()
	if there < here {
		return s.usedError("the L2 has committed batch %d, the newest that the L1 knows is %d", here, there)
	}
	for number := here + 1; number <= there; number++ {
		r, ok := s.files.batch(number)
		if !ok {
			return s.usedError("the L1 has batch %d, which the L2 has not", number)
		}
		output, err := s.committer.Output(ctx, number)
		if err != nil {
			return err
		}
		public := r.Public.Encode()
		if output != crypto.Keccak256Hash(public[:]) {
			return s.usedError("batch %d of the L1 is another one than that of the L2", number)
		}
		tx, err := s.committer.CommitTx(ctx, number)
		if err != nil {
			return err
		}
		if err := s.files.setCommitted(number, tx); err != nil {
			return err
		}
	}
	return nil
}

// agreeVerified does the same for the newest verified batch.
func (s *settlement) agreeVerified(ctx context.Context) error {
	there, err := s.sender.LastVerified(ctx)
	if err != nil {
		return err
	}
	here := s.files.verified()
	if there < here {
		return s.usedError("the L2 has seen batch %d verified, the newest that the L1 has verified is %d", here, there)
	}
	for number := here + 1; number <= there; number++ {
		tx, err := s.sender.VerifyTx(ctx, number)
		if err != nil {
			return err
		}
		if err := s.files.setVerified(number, tx); err != nil {
			return err
		}
	}
	return nil
}

// checkChain makes sure that the chain has the blocks of all batches.
func (s *settlement) checkChain(ctx context.Context, c *chain) error {
	r, ok := s.files.last()
	if !ok {
		return nil
	}
	head, err := c.header(ctx, "latest")
	if err != nil {
		return err
	}
	if uint64(head.Number) >= r.Public.LastBlock {
		last, err := c.header(ctx, hexutil.EncodeUint64(r.Public.LastBlock))
		if err != nil || last.Hash == r.Public.LastHash {
			return err
		}
	}
	return fault.Newf(fault.Prerequisite, "--datadir %s: the chain has lost block %d %s, the last of batch %d", s.dir, r.Public.LastBlock, r.Public.LastHash, r.Number).
		Hint("rm -r %s   # and start the L1 anew", s.dir)
}
