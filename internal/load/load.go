// Package load makes the transactions that fill blocks: a stream that a seed
// decides, so that two runs with one seed offer the same work.
//
// The stream knows nothing of networks and clocks. Signing, which is most of
// the work, happens on all cores while a call lasts and never after it: a
// measurement made between two calls has the machine for itself.
package load

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

// Gas that a transaction of the mix uses, and the limits it is sent with. The
// estimate of a token transfer is the mean over transfers between holders of
// the local genesis.
const (
	etherGas      = params.TxGas
	tokenGas      = 34_100
	tokenGasLimit = 100_000
)

// Account is a funded account that transactions are sent from.
type Account struct {
	Key     *ecdsa.PrivateKey
	Address common.Address
}

// Options decide a stream.
type Options struct {
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
	// FeeCap and Tip are in wei per gas.
	FeeCap, Tip *big.Int
}

// Tx is a signed transaction.
type Tx struct {
	Hash   common.Hash
	Sender common.Address
	Nonce  uint64
	// Raw is the binary form, as eth_sendRawTransaction takes it.
	Raw []byte
	// Gas is what the transaction is expected to use, Limit the most it may.
	Gas   uint64
	Limit uint64
}

// Stream gives transactions one after the other. It is not safe for
// concurrent use.
type Stream struct {
	o      Options
	signer types.Signer
	rng    *rand.Rand
	order  []int
	turn   int
	// nonces are those of the next transaction, by sender.
	nonces []uint64
	// stock holds what was signed ahead.
	stock []Tx
}

// New returns the stream that o decides, with all nonces at zero.
func New(o Options) (*Stream, error) {
	switch {
	case len(o.Senders) == 0:
		return nil, errors.New("load: no senders")
	case o.Recipients < 1 || o.Recipient == nil:
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
// Options.Senders, and goes on from those. What was signed ahead is dropped.
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
		have += d.gas
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
	gas    uint64
	inner  *types.DynamicFeeTx
}

// draft makes the next transaction. All randomness of the stream is here.
func (s *Stream) draft() draft {
	if s.turn == len(s.order) {
		s.turn = 0
	}
	sender := s.order[s.turn]
	s.turn++
	to := s.o.Recipient(s.rng.IntN(s.o.Recipients))
	// The amount is small enough to last and odd enough that no two accounts
	// get to have the same balance: equal leaves would shrink the witness.
	amount := new(big.Int).SetUint64(1 + s.rng.Uint64N(params.GWei))
	token := s.o.Token != (common.Address{}) && s.rng.Float64() < s.o.TokenShare

	tx := &types.DynamicFeeTx{
		ChainID:   s.signer.ChainID(),
		Nonce:     s.nonces[sender],
		GasTipCap: s.o.Tip,
		GasFeeCap: s.o.FeeCap,
		Gas:       etherGas,
		To:        &to,
		Value:     amount,
	}
	d := draft{sender: sender, gas: etherGas, inner: tx}
	if token {
		d.gas, tx.Gas = tokenGas, tokenGasLimit
		tx.To, tx.Value, tx.Data = &s.o.Token, new(big.Int), transferCall(to, amount)
	}
	s.nonces[sender]++
	return d
}

// transferCall is the call data of transfer(address,uint256).
func transferCall(to common.Address, amount *big.Int) []byte {
	data := make([]byte, 4+32+32)
	copy(data, []byte{0xa9, 0x05, 0x9c, 0xbb})
	copy(data[4+12:], to[:])
	amount.FillBytes(data[4+32:])
	return data
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
	from := s.o.Senders[d.sender]
	tx, err := types.SignNewTx(from.Key, s.signer, d.inner)
	if err != nil {
		return Tx{}, fmt.Errorf("load: signing for %s: %w", from.Address, err)
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return Tx{}, fmt.Errorf("load: encoding: %w", err)
	}
	return Tx{
		Hash: tx.Hash(), Sender: from.Address, Nonce: d.inner.Nonce,
		Raw: raw, Gas: d.gas, Limit: d.inner.Gas,
	}, nil
}
