package load

import (
	"fmt"
	"maps"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethdb"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/triedb"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/genesis"
)

const placedCodes, placedSlots = 320, 500

// placed are the contracts of a genesis that has everything.
func placed() Contracts { return LocalContracts(placedCodes, placedSlots) }

// senders are the first n accounts of the local genesis.
func senders(n int) ([]Account, []common.Address) {
	var accounts []Account
	var addresses []common.Address
	for i := range n {
		key, address := genesis.Account(i)
		accounts = append(accounts, Account{key, address})
		addresses = append(addresses, address)
	}
	return accounts, addresses
}

// testNet is a chain whose genesis has everything.
type testNet struct {
	db      ethdb.Database
	config  *params.ChainConfig
	genesis *types.Block
}

func newTestNet(t *testing.T) testNet {
	t.Helper()
	g, err := genesis.Small()
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(g.Alloc, contract.Placed(placedCodes, placedSlots))
	db := rawdb.NewMemoryDatabase()
	block, err := g.Commit(db, triedb.NewDatabase(db, triedb.HashDefaults), nil)
	if err != nil {
		t.Fatal(err)
	}
	return testNet{db, g.Config, block}
}

// execute runs the first n transactions of each account, signed, in blocks of
// one round each, on the genesis, and returns the calls with their receipts.
func (net testNet) execute(t *testing.T, o Options, n int) ([]Call, []*types.Receipt) {
	t.Helper()
	accounts, addresses := senders(8)
	o.Accounts = addresses
	if o.Contracts == (Contracts{}) {
		o.Contracts = placed()
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	signer := types.LatestSigner(net.config)
	fees := Fees{Cap: big.NewInt(100 * params.GWei), Tip: big.NewInt(1)}
	var calls []Call
	_, receipts := core.GenerateChain(net.config, net.genesis, beacon.New(ethash.NewFaker()), net.db, n, func(i int, b *core.BlockGen) {
		for account := range accounts {
			c := w.Call(account, uint64(i))
			tx, err := Sign(signer, accounts[account], uint64(i), c, fees)
			if err != nil {
				t.Fatal(err)
			}
			decoded := new(types.Transaction)
			if err := decoded.UnmarshalBinary(tx.Raw); err != nil {
				t.Fatal(err)
			}
			b.AddTx(decoded)
			calls = append(calls, c)
		}
	})
	var all []*types.Receipt
	for _, r := range receipts {
		all = append(all, r...)
	}
	if len(all) != len(calls) {
		t.Fatalf("%d receipts for %d transactions", len(all), len(calls))
	}
	return calls, all
}

// What a transaction is expected to use must be near what it uses: blocks are
// filled by it.
func TestGas(t *testing.T) {
	net := newTestNet(t)
	check := func(name string, status uint64, o Options) {
		t.Helper()
		calls, receipts := net.execute(t, o, 3)
		low, high := receipts[0].GasUsed, receipts[0].GasUsed
		defer func() { t.Logf("%s: %d to %d gas, %d expected of the last", name, low, high, calls[len(calls)-1].Gas) }()
		for i, c := range calls {
			r := receipts[i]
			low, high = min(low, r.GasUsed), max(high, r.GasUsed)
			if r.Status != status {
				t.Errorf("%s: transaction %d has status %d, want %d (%d gas of %d)", name, i, r.Status, status, r.GasUsed, c.Limit)
			}
			if off := float64(r.GasUsed)/float64(c.Gas) - 1; off > 0.03 || off < -0.03 {
				t.Errorf("%s: transaction %d uses %d gas, expected were %d (%+.1f %%)", name, i, r.GasUsed, c.Gas, 100*off)
			}
			if r.GasUsed > c.Limit || c.Gas > c.Limit {
				t.Errorf("%s: transaction %d uses %d and is expected to use %d gas, its limit is %d", name, i, r.GasUsed, c.Gas, c.Limit)
			}
			if o.Legacy && c.Limit != 2_100_000 {
				t.Errorf("%s: the limit is %d, load_test's is 2,100,000", name, c.Limit)
			}
		}
	}
	ok, reverts := types.ReceiptStatusSuccessful, types.ReceiptStatusFailed
	check("ether", ok, Options{Type: EthTransfers})
	check("ether to new accounts", ok, Options{Type: EthTransfers, Fresh: true})
	check("ether as load_test", ok, Options{Type: EthTransfers, Legacy: true})
	check("tokens", ok, Options{Type: ERC20})
	check("tokens to new holders", ok, Options{Type: ERC20, Fresh: true})
	check("tokens as load_test", ok, Options{Type: ERC20, Legacy: true})
	check("fibonacci", ok, Options{Type: Fibonacci})
	check("fibonacci of 100", ok, Options{Type: Fibonacci, FibonacciN: 100})
	check("fibonacci of 1", ok, Options{Type: Fibonacci, FibonacciN: 1})
	check("fibonacci as load_test", reverts, Options{Type: Fibonacci, Legacy: true})
	check("slots", ok, Options{Type: IOHeavy})
	check("own slots", ok, Options{Type: IOHeavy, OwnSlots: true})
	check("slots as load_test", ok, Options{Type: IOHeavy, Legacy: true})
	check("mix", ok, Options{Type: Mixed, Seed: 3})
	check("mix with own slots", ok, Options{Type: Mixed, Seed: 4, OwnSlots: true})
	check("witness", ok, Options{Type: WitnessHeavy})
	for _, sizes := range [][2]uint64{{placedCodes, 0}, {1, 0}, {0, placedSlots}, {30, 30}} {
		few := placed()
		few.HeavyCodes, few.HeavySlots = sizes[0], sizes[1]
		check(fmt.Sprintf("witness of %v", sizes), ok, Options{Type: WitnessHeavy, Contracts: few})
	}
}
