package genesis

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/params"
)

// The addresses are those that ethrex publishes with the keys.
func TestRole_accounts(t *testing.T) {
	for role, want := range map[Role]string{
		Deployer:      "0x3d1e15a1a55578f7c920884a9943b3b35d0d885b",
		ProofSender:   "0xE25583099BA105D9ec0A67f5Ae86D90e50036425",
		ContractOwner: "0x4417092b70a3e5f10dc504d0947dd256b965fc62",
		Rich:          "0x8943545177806ed17b9f23f0a21ee5948ecaa776",
	} {
		if _, got := role.Account(); got != common.HexToAddress(want) {
			t.Errorf("the account of role %d is %s, want %s", role, got, want)
		}
	}
}

func TestL1_fundsRolesAndSenders(t *testing.T) {
	g := L1()
	want, _ := new(big.Int).SetString("33b2e3c9fd0803ce8000000", 16)
	funded := 0
	for _, a := range g.Alloc {
		if a.Balance.Sign() > 0 {
			funded++
		}
	}
	if funded != RollupSenders+len(Roles()) {
		t.Errorf("%d accounts have ether, want %d", funded, RollupSenders+len(Roles()))
	}
	for _, r := range Roles() {
		if _, address := r.Account(); g.Alloc[address].Balance.Cmp(want) != 0 {
			t.Errorf("role %d has %d wei, want %d", r, g.Alloc[address].Balance, want)
		}
	}
	for i := range RollupSenders {
		if _, address := Account(i); g.Alloc[address].Balance.Cmp(want) != 0 {
			t.Errorf("sender %d has %d wei, want %d", i, g.Alloc[address].Balance, want)
		}
	}
	// Half of it must fit a withdrawal, in gwei.
	if half := new(big.Int).Div(want, big.NewInt(2*params.GWei)); !half.IsUint64() {
		t.Errorf("half of %d wei does not fit a withdrawal", want)
	}
}

func TestL2_hasNoMoney(t *testing.T) {
	g := L2()
	for address, a := range g.Alloc {
		if a.Balance.Sign() != 0 || len(a.Code) == 0 {
			t.Errorf("%s has %d wei and %d bytes of code, want a contract without ether", address, a.Balance, len(a.Code))
		}
	}
	for chain, want := range map[uint64]uint64{g.Config.ChainID.Uint64(): 65536999, L1().Config.ChainID.Uint64(): 9} {
		if chain != want {
			t.Errorf("the chain id is %d, want %d", chain, want)
		}
	}
	if L1().ToBlock().Hash() == g.ToBlock().Hash() || L1().Config == g.Config {
		t.Error("the two chains are one")
	}
	if err := g.Config.CheckConfigForkOrder(); err != nil {
		t.Error(err)
	}
	if g.Config.OsakaTime == nil || *g.Config.OsakaTime != 0 || g.GasLimit != 30_000_000 {
		t.Errorf("Osaka at %v, gas limit %d", g.Config.OsakaTime, g.GasLimit)
	}
}
