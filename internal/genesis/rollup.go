package genesis

import (
	"crypto/ecdsa"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

// The chain ids of the built-in rollup, those of ethrex's local network.
const (
	L1ChainID uint64 = 9
	L2ChainID uint64 = 65536999
)

// The sizes of the built-in rollup.
const (
	// RollupSenders is the number of accounts with ether on the L1 that send
	// the load on the L2; the first so many that [Account] gives.
	RollupSenders = 32
	// RollupGasLimit is the gas limit of the first block of both chains.
	RollupGasLimit uint64 = 30_000_000
	// RollupBaseFee is the base fee of the first block of both chains in wei
	// per gas. Full blocks, as a load makes them, let it rise.
	RollupBaseFee = 1_000_000
)

// Role is what one of the public accounts of ethrex's local network does. Their
// keys are published with ethrex: nothing of value may be sent to them.
type Role int

// The roles on the L1, and the account that pays for the load on the L2.
const (
	Deployer Role = iota // commits too
	ProofSender
	ContractOwner
	Rich
)

// Roles are all of them.
func Roles() []Role { return []Role{Deployer, ProofSender, ContractOwner, Rich} }

// Account returns key and address of the role's account.
func (r Role) Account() (*ecdsa.PrivateKey, common.Address) {
	key, err := crypto.HexToECDSA([...]string{
		Deployer:      "385c546456b6a603a1cfcaa9ec9494ba4832da08dd6bcf4de9a71e4a01b74924",
		ProofSender:   "39725efee3fb28614de3bacaffe4cc4bd8c436257e2c8bb887c4b5c4be45e76d",
		ContractOwner: "941e103320615d394a55708be13e45994c7d93b932b064dbcb2b511fe3254e2e",
		Rich:          "bcdf20249abf0ed6d944c0288fad489e33f66b3960d9e6229c1cd214ed3bbe31",
	}[r])
	if err != nil {
		// That they are keys, a test says.
		panic(fmt.Sprintf("genesis: role %d: %v", r, err))
	}
	return key, crypto.PubkeyToAddress(key.PublicKey)
}

// rollupWei is what each account has on the L1: a thousand million ether, half
// of which in gwei fits the 64 bits of a withdrawal.
func rollupWei() *big.Int {
	return new(big.Int).Mul(big.NewInt(1e9), big.NewInt(params.Ether))
}

// L1 returns the genesis of the built-in L1. The accounts of the roles and the
// senders have ether. The value is new and the caller's own.
func L1() *core.Genesis {
	g := rollup(L1ChainID, "verdict l1")
	for _, r := range Roles() {
		_, address := r.Account()
		g.Alloc[address] = types.Account{Balance: rollupWei()}
	}
	for i := range RollupSenders {
		_, address := Account(i)
		g.Alloc[address] = types.Account{Balance: rollupWei()}
	}
	return g
}

// L2 returns the genesis of the built-in L2. Nobody has anything there: the
// ether comes from deposits on the L1. The value is new and the caller's own.
func L2() *core.Genesis { return rollup(L2ChainID, "verdict l2") }

// rollup is a chain with the rules of the local one and the contracts that
// blocks call, and nothing else.
func rollup(chainID uint64, name string) *core.Genesis {
	config := LocalConfig()
	config.ChainID = new(big.Int).SetUint64(chainID)
	return &core.Genesis{
		Config:     config,
		Timestamp:  Timestamp,
		ExtraData:  []byte(name),
		GasLimit:   RollupGasLimit,
		Difficulty: new(big.Int),
		BaseFee:    big.NewInt(RollupBaseFee),
		Alloc:      systemContracts(),
	}
}
