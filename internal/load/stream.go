// Package load makes the transactions that fill blocks, decided by a seed, so
// that two runs with one seed offer the same work. A [Workload] is what the
// transactions are, each a pure function of its sender and its number; a
// [Stream] is the order in which a driver puts them into blocks. Neither knows
// of networks and clocks.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/contract"
)

// StreamOptions decide a stream.
type StreamOptions struct {
	Seed    uint64
	ChainID uint64
	// Senders take turns in an order that the seed shuffles.
	Senders []Account
	// Recipients counts the addresses that Recipient gives, from 0 on. Each
	// transaction goes to one of them, drawn evenly.
	Recipients int
	Recipient  func(i int) common.Address
	// Token is an ERC-20 contract of which all senders hold some; the zero
	// address leaves ether transfers only.
	Token common.Address
	// TokenShare is the share of token transfers, from 0 to 1.
	TokenShare float64
	// Workload, when there is one, makes the transactions instead: its
	// accounts must be the senders, and the number of an account's transaction
	// is its nonce. Recipients, Token and TokenShare are then of no use.
	Workload *Workload
	// FeeCap and Tip are in wei per gas.
	FeeCap, Tip *big.Int
}

// Stream gives transactions one after the other. It is not safe for
// concurrent use. Signing, which is most of the work, happens on all cores
// while a call lasts and never after it: a measurement made between two calls
// has the machine for itself.
type Stream struct {
	o      StreamOptions
	signer types.Signer
	rng    *rand.Rand
	order  []int
	turn   int
	// nonces are those of the next transaction, by sender.
	nonces []uint64
	// stock holds what was signed ahead.
	stock []Tx
}

// NewStream returns the stream that o decides, with all nonces at zero.
func NewStream(o StreamOptions) (*Stream, error) {
	switch {
	case len(o.Senders) == 0:
		return nil, errors.New("load: no senders")
	case o.Workload != nil && len(o.Workload.o.Accounts) != len(o.Senders):
		return nil, fmt.Errorf("load: a workload of %d accounts for %d senders", len(o.Workload.o.Accounts), len(o.Senders))
	case o.Workload == nil && (o.Recipients < 1 || o.Recipient == nil):
		return nil, errors.New("load: no recipients")
	case o.TokenShare < 0 || o.TokenShare > 1:
		return nil, fmt.Errorf("load: the share of token transfers is %v, want 0 to 1", o.TokenShare)
	case o.FeeCap == nil || o.Tip == nil || o.FeeCap.Cmp(o.Tip) < 0:
		return nil, errors.New("load: the fee cap must be given and not lie below the tip")
	}
	rng := rand.New(rand.NewPCG(o.Seed, streamID))
	return &Stream{
		o:      o,
		signer: types.LatestSignerForChainID(new(big.Int).SetUint64(o.ChainID)),
		rng:    rng,
		order:  rng.Perm(len(o.Senders)),
		nonces: make([]uint64, len(o.Senders)),
	}, nil
}

// streamID sets the stream apart from other uses of the same seed.
const streamID = 0x6c6f6164 // "load"

// Resync asks fetch for the next nonce of every sender, in the order of
// StreamOptions.Senders, and goes on from those. What was signed ahead is dropped.
func (s *Stream) Resync(ctx context.Context, fetch func(context.Context, []common.Address) ([]uint64, error)) error {
	addresses := make([]common.Address, len(s.o.Senders))
	for i, a := range s.o.Senders {
		addresses[i] = a.Address
	}
	nonces, err := fetch(ctx, addresses)
	if err != nil {
		return err
	}
	if len(nonces) != len(addresses) {
		return fmt.Errorf("load: %d nonces for %d senders", len(nonces), len(addresses))
	}
	s.nonces, s.stock = nonces, nil
	return nil
}

// Prepare signs ahead until the stock would fill gas.
func (s *Stream) Prepare(gas uint64) error {
	var have uint64
	for _, tx := range s.stock {
		have += tx.Gas
	}
	var drafts []draft
	for have < gas {
		d := s.draft()
		have += d.call.Gas
		drafts = append(drafts, d)
	}
	signed, err := s.sign(drafts)
	if err != nil {
		return err
	}
	s.stock = append(s.stock, signed...)
	return nil
}

// Next returns the next transactions of the stream, as many as come nearest to
// gas from below, by the gas they are expected to use.
func (s *Stream) Next(gas uint64) ([]Tx, error) {
	if err := s.Prepare(gas); err != nil {
		return nil, err
	}
	n := 0
	for used := uint64(0); n < len(s.stock) && used+s.stock[n].Gas <= gas; n++ {
		used += s.stock[n].Gas
	}
	txs := s.stock[:n:n]
	s.stock = s.stock[n:]
	return txs, nil
}

// draft is a transaction before it is signed.
type draft struct {
	sender int
	nonce  uint64
	call   Call
}

// draft makes the next transaction.
func (s *Stream) draft() draft {
	if s.turn == len(s.order) {
		s.turn = 0
	}
	sender := s.order[s.turn]
	s.turn++
	d := draft{sender: sender, nonce: s.nonces[sender]}
	s.nonces[sender]++
	if s.o.Workload != nil {
		d.call = s.o.Workload.Call(sender, d.nonce)
	} else {
		d.call = s.transfer()
	}
	return d
}

// transfer draws a transfer of ether or of the token. It draws from one
// generator, transfer after transfer, so that transfer n depends on all before
// it, which [Workload.Call] does not allow: it is kept because the documented
// numbers of local runs are of these very transactions.
func (s *Stream) transfer() Call {
	to := s.o.Recipient(s.rng.IntN(s.o.Recipients))
	// The amount is small enough to last and odd enough that no two accounts
	// get to have the same balance: equal leaves would shrink the witness.
	amount := new(big.Int).SetUint64(1 + s.rng.Uint64N(params.GWei))
	token := s.o.Token != (common.Address{}) && s.rng.Float64() < s.o.TokenShare
	if token {
		return Call{
			To: &s.o.Token, Value: new(big.Int), Data: contract.TransferCall(to, amount),
			Gas: tokenGas, Limit: tokenLimit, Type: ERC20,
		}
	}
	return Call{To: &to, Value: amount, Gas: etherGas, Limit: etherGas, Type: EthTransfers}
}

// sign signs drafts on all cores and keeps their order.
func (s *Stream) sign(drafts []draft) ([]Tx, error) {
	workers := min(runtime.GOMAXPROCS(0), len(drafts))
	signed := make([]Tx, len(drafts))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(drafts) && errs[w] == nil; i += workers {
				signed[i], errs[w] = s.signOne(drafts[i])
			}
		})
	}
	wg.Wait()
	return signed, errors.Join(errs...)
}

func (s *Stream) signOne(d draft) (Tx, error) {
	return Sign(s.signer, s.o.Senders[d.sender], d.nonce, d.call, Fees{Cap: s.o.FeeCap, Tip: s.o.Tip})
}
