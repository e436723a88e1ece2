package contract

import (
	"encoding/binary"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// word is the size of a value in call data, in bytes.
const word = 32

// pack is the call data of a function whose arguments are all one word long.
// An argument is a uint64, a *big.Int that is not negative, an address or a
// hash.
func pack(signature string, args ...any) []byte {
	data := make([]byte, 4, 4+word*len(args))
	copy(data, crypto.Keccak256([]byte(signature)))
	for _, arg := range args {
		data = appendWord(data, arg)
	}
	return data
}

func appendWord(data []byte, arg any) []byte {
	var w [word]byte
	switch arg := arg.(type) {
	case uint64:
		binary.BigEndian.PutUint64(w[word-8:], arg)
	case *big.Int:
		arg.FillBytes(w[:])
	case common.Address:
		copy(w[word-common.AddressLength:], arg[:])
	case common.Hash:
		w = arg
	}
	return append(data, w[:]...)
}

// appendArray adds the length and the elements of a dynamic array.
func appendArray[T any](data []byte, elements []T) []byte {
	data = appendWord(data, uint64(len(elements)))
	for _, e := range elements {
		data = appendWord(data, e)
	}
	return data
}

// TransferCall calls a token: value of its smallest unit from the sender to to.
func TransferCall(to common.Address, value *big.Int) []byte {
	return pack("transfer(address,uint256)", to, value)
}

// BalanceCall asks a token for the balance of an account.
func BalanceCall(account common.Address) []byte {
	return pack("balanceOf(address)", account)
}

// MintCall calls a [MintableToken]: each holder gets value out of nothing.
func MintCall(holders []common.Address, value *big.Int) []byte {
	data := pack("mint(address[],uint256)", uint64(2*word), value)
	return appendArray(data, holders)
}

// SpreadCall calls a [Spread]: each address gets the value in wei at the same
// index out of the ether that the call brings; what is left goes back to the
// sender. The two lists must be of one length.
func SpreadCall(to []common.Address, values []*big.Int) []byte {
	data := pack("spread(address[],uint256[])", uint64(2*word), uint64((3+len(to))*word))
	return appendArray(appendArray(data, to), values)
}

// FibonacciCall calls a [Fibonacci], which computes the nth number step by
// step. It reverts for n above [MaxFibonacci].
func FibonacciCall(n uint64) []byte { return pack("fibonacci(uint256)", n) }

// IncrementSharedCall calls an [IOHeavy]: it adds one to [IOSlots] slots that
// all senders have in common.
func IncrementSharedCall() []byte { return pack("incrementNumbers()") }

// IncrementOwnCall calls an [IOHeavy]: it adds one to [IOSlots] slots of the
// sender's.
func IncrementOwnCall() []byte { return pack("incrementOwn()") }

// DeployCall calls a [Heavy]: it deploys the next count contracts of
// [HeavyCode].
func DeployCall(count uint64) []byte { return pack("deploy(uint256)", count) }

// FillCall calls a [Heavy]: it writes the next count slots of its mapping.
func FillCall(count uint64) []byte { return pack("fill(uint256)", count) }

// TouchCall calls a [Heavy]: it reads the code of so many contracts from the
// one with index code on, and so many entries of its mapping from index slot
// on, the first following the last. The contract must have at least one of
// what is asked for.
func TouchCall(code, codes, slot, slots uint64) []byte {
	return pack("touch(uint256,uint256,uint256,uint256)", code, codes, slot, slots)
}
