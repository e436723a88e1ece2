package load

import (
	"math/big"

	"github.com/verdict-bench/verdict/internal/genesis"
)

// localTokenShare is the share of token transfers in local blocks, about what
// they make up on the networks that the tool is for.
const localTokenShare = 0.7

// Local is the mixed load of the local genesis: ether and token transfers
// between scattered accounts, decided by seed.
func Local(seed uint64) Options {
	o := Options{
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
