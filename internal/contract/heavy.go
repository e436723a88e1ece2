package contract

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// HeavyCodeSize is the size of each contract that a [Heavy] deploys, in bytes:
// the most that a contract may have.
const HeavyCodeSize = 24_576

// HeavyCode is the code of contract i, counted from 0, that a [Heavy] deploys:
// a STOP and bytes that hardly compress. No two are alike.
func HeavyCode(i int) []byte {
	multiplier := new(uint256.Int).SetBytes(crypto.Keccak256([]byte("verdict heavy code")))
	multiplier[0] = multiplier[0]&^7 | 5
	increment := new(uint256.Int).SetBytes(crypto.Keccak256([]byte("verdict heavy increment")))
	increment[0] |= 1

	index := uint256.NewInt(uint64(i)).Bytes32()
	x := new(uint256.Int).SetBytes(crypto.Keccak256(index[:]))
	code := make([]byte, HeavyCodeSize)
	var mixed uint256.Int
	for at := 0; at < len(code); at += word {
		x.Mul(x, multiplier)
		x.Add(x, increment)
		mixed.Xor(x, mixed.Rsh(x, 128))
		mixed.PutUint256(code[at:])
	}
	code[0] = 0 // STOP: calls of the contract succeed
	return code
}

// HeavyAddress is where the [Heavy] at the given address deploys contract i,
// counted from 0.
func HeavyAddress(heavy common.Address, i int) common.Address {
	return crypto.CreateAddress(heavy, uint64(i)+1)
}

// The addresses of the contracts in a genesis that has what [Placed] gives.
var (
	PlacedFibonacci = common.HexToAddress("0x70ce4b0000000000000000000000000000000002")
	PlacedIOHeavy   = common.HexToAddress("0x70ce4b0000000000000000000000000000000003")
	PlacedHeavy     = common.HexToAddress("0x70ce4b0000000000000000000000000000000004")
)

// Placed are the accounts that a genesis needs for every load to find its
// contract deployed, the token apart: a [Fibonacci], an [IOHeavy], and a
// [Heavy] with so many contracts and so many entries of its mapping. They are
// what deployment by transactions would leave.
func Placed(codes, slots int) types.GenesisAlloc {
	alloc := types.GenesisAlloc{
		PlacedFibonacci: {Nonce: 1, Balance: new(big.Int), Code: Fibonacci.Artifact().Runtime},
		PlacedIOHeavy:   {Nonce: 1, Balance: new(big.Int), Code: IOHeavy.Artifact().Runtime, Storage: ioStorage()},
		PlacedHeavy: {
			Nonce: 1 + uint64(codes), Balance: new(big.Int), Code: Heavy.Artifact().Runtime,
			Storage: heavyStorage(codes, slots),
		},
	}
	for i := range codes {
		alloc[HeavyAddress(PlacedHeavy, i)] = types.Account{Nonce: 1, Balance: new(big.Int), Code: HeavyCode(i)}
	}
	return alloc
}

// ioStorage is what the constructor of [IOHeavy] writes.
func ioStorage() map[common.Hash]common.Hash {
	storage := make(map[common.Hash]common.Hash, IOSlots)
	first := IOHeavy.Artifact().Slots["numbers"]
	for i := range uint64(IOSlots) {
		storage[hashOf(first+i)] = hashOf(i + 1)
	}
	return storage
}

// heavyStorage is what deploy and fill of [Heavy] write.
func heavyStorage(codes, slots int) map[common.Hash]common.Hash {
	at := Heavy.Artifact().Slots
	storage := make(map[common.Hash]common.Hash, slots+1)
	// deployed and filled share a slot, the second in its upper half.
	counts := new(big.Int).Lsh(big.NewInt(int64(slots)), 128)
	storage[hashOf(at["filled"])] = common.BigToHash(counts.Add(counts, big.NewInt(int64(codes))))
	for i := range uint64(slots) {
		entry, mapping := hashOf(i), hashOf(at["values"])
		storage[crypto.Keccak256Hash(entry[:], mapping[:])] = crypto.Keccak256Hash(entry[:])
	}
	return storage
}

func hashOf(n uint64) common.Hash { return uint256.NewInt(n).Bytes32() }
