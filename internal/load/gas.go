package load

import "github.com/ethereum/go-ethereum/params"

// What load_test sends.
const (
	legacyLimit      = 2_100_000
	legacyWei        = 1000
	legacyTokens     = 1
	legacyFibonacciN = 100_000_000_000_000
)

// The gas that transactions are expected to use, as TestGas measures it, and
// the limits they are sent with. A limit leaves room for the first transfer to
// a holder that has no tokens yet, and for slots that are still zero. Those of
// fibonacci are a base and what one step adds, those of witness-heavy a base
// and what one contract and one slot add.
const (
	etherGas        = params.TxGas
	tokenGas        = 34_100
	tokenFreshGas   = 51_180
	tokenLimit      = 100_000
	fibonacciBase   = 21_480
	fibonacciStep   = 384
	fibonacciRevert = 163_600
	ioGas           = 545_000
	ioLimit         = 800_000
	ioFirstGas      = 2_255_000
	ioFirstLimit    = 2_600_000
	heavyBase       = 24_200
	heavyCodeGas    = 2_982
	heavySlotGas    = 2_275
)

// gas is what a transaction of type t is expected to use, for complete options.
func (o Options) gas(t Type) uint64 {
	switch t {
	case ERC20:
		if o.Fresh {
			return tokenFreshGas
		}
		return tokenGas
	case Fibonacci:
		if o.Legacy {
			return fibonacciRevert
		}
		return fibonacciBase + fibonacciStep*o.FibonacciN
	case IOHeavy:
		return ioGas
	case WitnessHeavy:
		return heavyBase + heavyCodeGas*min(o.Contracts.HeavyCodes, heavyCodes) + heavySlotGas*min(o.Contracts.HeavySlots, heavySlots)
	default:
		return etherGas
	}
}

// limit is what a transaction of type t is sent with, for complete options.
func (o Options) limit(t Type) uint64 {
	switch {
	case o.Legacy:
		return legacyLimit
	case t == EthTransfers:
		return etherGas
	case t == ERC20:
		return tokenLimit
	case t == IOHeavy:
		return ioLimit
	default:
		return o.gas(t) * 5 / 4
	}
}
