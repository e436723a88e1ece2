// Package genesis makes the chain that local runs start from, and reads the
// genesis files of other chains.
//
// The local genesis is always the same, down to its hash: it has no clock and
// no randomness in it. Its keys are derived from a published label, so
// everybody has them: they are public test keys, and nothing of value may ever
// be sent to their accounts.
package genesis

import (
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/verdict-bench/verdict/internal/contract"
)

// LocalChainID is the chain id of the local genesis: the letters "verd" as a
// number, which no known network uses.
const LocalChainID uint64 = 0x76657264

// The sizes of the local genesis. A block of 30 Mgas of transfers between
// scattered accounts reaches into enough of these tries that its witness is
// about 2 MB on the wire.
const (
	// Senders is the number of accounts whose keys [Account] gives.
	Senders = 1_000
	// Accounts is the number of holders that also have ether.
	Accounts = 50_000
	// Holders is the number of addresses that have tokens; the first Senders
	// of them are the senders.
	Holders = 120_000
)

// GasLimit is the gas limit of the local genesis block, twice what a full
// block is meant to use: at half of the limit EIP-1559 keeps the base fee
// level, however long the run.
const GasLimit uint64 = 60_000_000

// BaseFee is the base fee of the local genesis block in wei per gas.
const BaseFee = params.GWei

// Timestamp is the time of the local genesis block, 2025-01-01T00:00:00Z. It
// lies so far back that blocks 12 s apart never reach the present.
const Timestamp uint64 = 1_735_689_600

// Token is the address of the token contract in the local genesis. Its source
// is contracts/Token.sol.
var Token = common.HexToAddress("0x70ce4b0000000000000000000000000000000001")

// LocalHash is the hash of the local genesis block, the one that [Local] gives
// and that every program makes of the file that [Write] writes.
var LocalHash = common.HexToHash("0x4897d2b919fdeb74cf5a82c854d795b59f0ba3219049b1d5d234ead052634824")

// LocalConfig returns the chain configuration of the local genesis: after the
// merge, with every fork up to Osaka active from the first block on.
func LocalConfig() *params.ChainConfig {
	now := func() *uint64 { return new(uint64) }
	return &params.ChainConfig{
		ChainID:             new(big.Int).SetUint64(LocalChainID),
		HomesteadBlock:      new(big.Int),
		EIP150Block:         new(big.Int),
		EIP155Block:         new(big.Int),
		EIP158Block:         new(big.Int),
		ByzantiumBlock:      new(big.Int),
		ConstantinopleBlock: new(big.Int),
		PetersburgBlock:     new(big.Int),
		IstanbulBlock:       new(big.Int),
		MuirGlacierBlock:    new(big.Int),
		BerlinBlock:         new(big.Int),
		LondonBlock:         new(big.Int),
		ArrowGlacierBlock:   new(big.Int),
		GrayGlacierBlock:    new(big.Int),
		MergeNetsplitBlock:  new(big.Int),
		ShanghaiTime:        now(),
		CancunTime:          now(),
		PragueTime:          now(),
		OsakaTime:           now(),

		TerminalTotalDifficulty: new(big.Int),
		// Nothing is deployed there, but some programs refuse a Prague
		// chain whose configuration does not name the contract.
		DepositContractAddress: params.MainnetChainConfig.DepositContractAddress,
		BlobScheduleConfig: &params.BlobScheduleConfig{
			Cancun: params.DefaultCancunBlobConfig,
			Prague: params.DefaultPragueBlobConfig, // and on to Osaka
		},
	}
}

// Local returns the local genesis. The value is new and the caller's own.
func Local() (*core.Genesis, error) { return local(Accounts, Holders) }

// Small returns the local genesis with its senders alone, for tests of what does
// not depend on the size of the state: a node of it starts at once.
func Small() (*core.Genesis, error) { return local(Senders, Senders) }

func local(accounts, holders int) (*core.Genesis, error) {
	alloc, err := localAlloc(accounts, holders)
	if err != nil {
		return nil, err
	}
	return &core.Genesis{
		Config:     LocalConfig(),
		Timestamp:  Timestamp,
		ExtraData:  []byte("verdict local"),
		GasLimit:   GasLimit,
		Difficulty: new(big.Int),
		BaseFee:    big.NewInt(BaseFee),
		Alloc:      alloc,
	}, nil
}

// Account returns key and address of sender i, 0 <= i < [Senders]. The senders
// hold a million ether and as much of the token each.
func Account(i int) (*ecdsa.PrivateKey, common.Address) {
	key, err := crypto.ToECDSA(derive("verdict local key", i).Bytes())
	if err != nil {
		// Two hashes out of 2^256 in ten million million million are no
		// key; that none of the senders' is among them is a test's to say.
		panic(fmt.Sprintf("genesis: key %d: %v", i, err))
	}
	return key, crypto.PubkeyToAddress(key.PublicKey)
}

// Holder returns the address of token holder i, 0 <= i < [Holders]. The first
// [Senders] are the senders; the first [Accounts] exist as accounts; the
// others exist in the token's storage only, so that ether sent to them creates
// an account.
func Holder(i int) common.Address {
	if i < Senders {
		_, address := Account(i)
		return address
	}
	return common.BytesToAddress(derive("verdict local holder", i).Bytes()[12:])
}

// derive spreads label and index over 256 bits.
func derive(label string, i int) common.Hash {
	return crypto.Keccak256Hash(binary.BigEndian.AppendUint64([]byte(label), uint64(i)))
}

// localAlloc is the state of the local genesis: the system contracts that
// blocks call, the token, and everybody's balances.
func localAlloc(accounts, holders int) (types.GenesisAlloc, error) {
	token := contract.Token.Artifact()
	alloc := systemContracts()
	storage := make(map[common.Hash]common.Hash, holders+1)
	supply := new(uint256.Int)
	for i := range holders {
		holder := Holder(i)
		balance := balanceOf(i)
		if i < accounts {
			alloc[holder] = types.Account{Balance: balance.ToBig()}
		}
		storage[mappingSlot(holder, token.Slots["balanceOf"])] = balance.Bytes32()
		supply.Add(supply, balance)
	}
	storage[common.BigToHash(new(big.Int).SetUint64(token.Slots["totalSupply"]))] = supply.Bytes32()
	alloc[Token] = types.Account{Nonce: 1, Code: token.Runtime, Balance: new(big.Int), Storage: storage}
	return alloc, nil
}

// systemContracts are the contracts that every block calls.
func systemContracts() types.GenesisAlloc {
	alloc := make(types.GenesisAlloc)
	for address, code := range map[common.Address][]byte{
		params.BeaconRootsAddress:        params.BeaconRootsCode,
		params.HistoryStorageAddress:     params.HistoryStorageCode,
		params.WithdrawalQueueAddress:    params.WithdrawalQueueCode,
		params.ConsolidationQueueAddress: params.ConsolidationQueueCode,
	} {
		alloc[address] = types.Account{Nonce: 1, Code: code, Balance: new(big.Int)}
	}
	return alloc
}

// balanceOf is what holder i has, in wei and in the token's smallest unit. The
// numbers differ from holder to holder, because equal values would make equal
// trie nodes, which a witness carries only once.
func balanceOf(i int) *uint256.Int {
	whole := uint64(1)
	if i < Senders {
		whole = 1_000_000
	}
	balance := uint256.NewInt(params.Ether)
	balance.Mul(balance, uint256.NewInt(whole))
	return balance.AddUint64(balance, uint64(i))
}

// mappingSlot is where Solidity keeps the value of an address in the mapping
// at slot.
func mappingSlot(address common.Address, slot uint64) common.Hash {
	var preimage [64]byte
	copy(preimage[12:32], address[:])
	binary.BigEndian.PutUint64(preimage[56:], slot)
	return crypto.Keccak256Hash(preimage[:])
}
