package load

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// localTokenShare is the share of token transfers in local blocks, about what
// they make up on the networks that the tool is for.
const localTokenShare = 0.7

// Local is the default load of the local genesis: ether and token transfers
// between scattered accounts, decided by seed.
func Local(seed uint64) StreamOptions {
	o := StreamOptions{
		Seed:       seed,
		ChainID:    genesis.LocalChainID,
		Recipients: genesis.Holders,
		Recipient:  genesis.Holder,
		Token:      genesis.Token,
		TokenShare: localTokenShare,
		FeeCap:     new(big.Int).Mul(big.NewInt(1000), big.NewInt(genesis.BaseFee)),
		Tip:        big.NewInt(genesis.BaseFee),
	}
	for i := range genesis.Senders {
		key, address := genesis.Account(i)
		o.Senders = append(o.Senders, Account{Key: key, Address: address})
	}
	return o
}

// LocalContracts are the contracts of a local genesis that has, beside its
// token, what [contract.Placed] gives for so many codes and slots.
func LocalContracts(codes, slots uint64) Contracts {
	return Contracts{
		Token:     genesis.Token,
		Fibonacci: contract.PlacedFibonacci, IOHeavy: contract.PlacedIOHeavy,
		Heavy: contract.PlacedHeavy, HeavyCodes: codes, HeavySlots: slots,
	}
}

// LocalOf is the load of one type on a chain whose senders and holders are
// those of the local genesis and which has the contracts c.
func LocalOf(t Type, seed uint64, c Contracts) (StreamOptions, error) {
	o := Local(seed)
	addresses := make([]common.Address, len(o.Senders))
	for i, a := range o.Senders {
		addresses[i] = a.Address
	}
	w, err := New(Options{
		Type: t, Seed: seed, Accounts: addresses, Contracts: c,
		Recipients: o.Recipients, Recipient: o.Recipient,
	})
	o.Workload = w
	return o, err
}
