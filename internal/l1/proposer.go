package l1

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// Proposer is an OnChainProposer contract, written to from one account.
type Proposer struct {
	client  *Client
	address common.Address
	account load.Account
}

// Proposer is the contract at address, which Commit and Verify are sent to from
// the account; reading needs none. Whether there is a contract, the first call
// finds out.
func (c *Client) Proposer(address common.Address, account load.Account) *Proposer {
	return &Proposer{client: c, address: address, account: account}
}

// LastCommitted is the number of the newest committed batch, 0 if there is
// none.
func (p *Proposer) LastCommitted(ctx context.Context) (uint64, error) {
	return p.number(ctx, contract.LastCommittedBatch.Call())
}

// LastVerified is the number of the newest verified batch, 0 if there is none.
func (p *Proposer) LastVerified(ctx context.Context) (uint64, error) {
	return p.number(ctx, contract.LastVerifiedBatch.Call())
}

// LastBlock is the number of the last block of the newest committed batch, 0 if
// there is none.
func (p *Proposer) LastBlock(ctx context.Context) (uint64, error) {
	return p.number(ctx, contract.LastCommittedBlock.Call())
}

// StateRoot is the state root after the newest committed batch, that of the
// rollup's genesis if there is none.
func (p *Proposer) StateRoot(ctx context.Context) (common.Hash, error) {
	return p.word(ctx, contract.StateRoot.Call())
}

// Output is the Keccak-256 hash of the public output that a committed batch
// must have, zero if the batch is not committed.
func (p *Proposer) Output(ctx context.Context, number uint64) (common.Hash, error) {
	return p.word(ctx, contract.OutputCall(number))
}

// Required are the types of proof that a batch needs, all of them, by the names
// that provers use: "Exec".
func (p *Proposer) Required(ctx context.Context) ([]string, error) {
	raw, err := p.read(ctx, contract.RequiredCall())
	if err != nil {
		return nil, err
	}
	kinds, err := contract.Strings(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: required proof types: %w", p, err)
	}
	return kinds, nil
}

// CheckCommitter makes sure that the account may commit; [Proposer.CheckProofSender]
// is the same for verifying. An account that may not is a prerequisite that is
// missing.
func (p *Proposer) CheckCommitter(ctx context.Context) error {
	return p.checkRole(ctx, "committer", contract.Committer.Call())
}

// CheckProofSender makes sure that the account may verify.
func (p *Proposer) CheckProofSender(ctx context.Context) error {
	return p.checkRole(ctx, "proof sender", contract.ProofSender.Call())
}

func (p *Proposer) checkRole(ctx context.Context, role string, ask []byte) error {
	word, err := p.word(ctx, ask)
	if err != nil {
		return err
	}
	if who := common.BytesToAddress(word[:]); who != p.account.Address {
		return fault.Newf(fault.Prerequisite, "%s: the %s is %s, and the private key is that of %s", p, role, who, p.account.Address)
	}
	return nil
}

// Commit commits a batch and returns the receipt. Batches are committed in
// order and each starts where the last one ended: anything else, and another
// account than the committer's, is a *RevertError. When it is not known what
// became of an earlier call, LastCommitted and Output tell.
func (p *Proposer) Commit(ctx context.Context, number uint64, output batch.Public) (Receipt, error) {
	data := contract.CommitCall(number, output.InitialRoot, output.FinalRoot,
		output.FirstBlock, output.LastBlock, output.LastHash, output.Deposits)
	r, err := p.client.Send(ctx, p.account, Transaction{To: &p.address, Data: data})
	if err != nil {
		return Receipt{}, fmt.Errorf("committing batch %d: %w", number, err)
	}
	return r, nil
}

// Verify brings the public output of the proof of a batch and returns the
// receipt. Batches are verified in order: another one than the next, one that
// is not committed, an output other than the committed one, and another account
// than the proof sender's is a *RevertError.
func (p *Proposer) Verify(ctx context.Context, number uint64, public []byte) (Receipt, error) {
	r, err := p.client.Send(ctx, p.account, Transaction{To: &p.address, Data: contract.VerifyCall(number, public)})
	if err != nil {
		return Receipt{}, fmt.Errorf("verifying batch %d: %w", number, err)
	}
	return r, nil
}

// String is the contract in a message.
func (p *Proposer) String() string {
	return fmt.Sprintf("OnChainProposer %s on the L1 at %s", p.address, p.client.URL())
}

func (p *Proposer) number(ctx context.Context, ask []byte) (uint64, error) {
	word, err := p.word(ctx, ask)
	if err != nil {
		return 0, err
	}
	if !word.Big().IsUint64() {
		return 0, fmt.Errorf("%s: it answers the number %s", p, word)
	}
	return word.Big().Uint64(), nil
}

func (p *Proposer) word(ctx context.Context, ask []byte) (common.Hash, error) {
	raw, err := p.read(ctx, ask)
	if err != nil {
		return common.Hash{}, err
	}
	if len(raw) != common.HashLength {
		return common.Hash{}, fmt.Errorf("%s: it answers %d bytes", p, len(raw))
	}
	return common.Hash(raw), nil
}

// read calls the contract on the newest state.
func (p *Proposer) read(ctx context.Context, ask []byte) ([]byte, error) {
	return p.client.view(ctx, contract.OnChainProposer, p.address, ask)
}

// CheckBridge makes sure that there is a CommonBridge at the address. Without
// one there would never be a deposit, and nobody would hear why; so another
// contract, or none, is a prerequisite that is missing.
func (c *Client) CheckBridge(ctx context.Context, bridge common.Address) error {
	_, err := c.view(ctx, contract.CommonBridge, bridge, contract.DepositCount.Call())
	return err
}

// view asks a contract for a value on the newest state. An address without
// code, and a contract that does not have the value, is a prerequisite that is
// missing.
func (c *Client) view(ctx context.Context, name contract.Name, address common.Address, ask []byte) ([]byte, error) {
	var out hexutil.Bytes
	err := c.call(ctx, &out, "eth_call", Transaction{To: &address, Data: ask}.message(common.Address{}), "latest")
	var revert *RevertError
	switch {
	case errors.As(asRevert(err), &revert):
		return nil, fault.Newf(fault.Prerequisite, "the contract at %s on the L1 at %s is no %s", address, c.URL(), name).
			Hint("take both addresses from the env file of the last verdict devnet l1 deploy")
	case err != nil:
		return nil, err
	case len(out) == 0:
		return nil, fault.Newf(fault.Prerequisite, "there is no %s at %s on the L1 at %s: it was never deployed there, or the L1 is another one than then", name, address, c.URL()).
			Hint("verdict devnet l1 deploy --help")
	}
	return out, nil
}
