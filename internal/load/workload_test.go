package load

import (
	"bytes"
	"math"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/fault"
)

// workload is one over ten accounts and all contracts.
func workload(t testing.TB, o Options) *Workload {
	t.Helper()
	_, o.Accounts = senders(10)
	if o.Contracts == (Contracts{}) {
		o.Contracts = placed()
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// calls are the first n of each account.
func calls(w *Workload, n uint64) []Call {
	var out []Call
	for account := range w.o.Accounts {
		for i := range n {
			out = append(out, w.Call(account, i))
		}
	}
	return out
}

func TestWorkload_isAPureFunction(t *testing.T) {
	for _, typ := range Types {
		o := Options{Type: typ, Seed: 9, Fresh: typ == ERC20}
		want := calls(workload(t, o), 20)
		w := workload(t, o)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				// Backwards, so that an order in which calls are asked for
				// would show.
				for n := len(want) - 1; n >= 0; n-- {
					if got := w.Call(n/20, uint64(n%20)); !reflect.DeepEqual(got, want[n]) {
						t.Errorf("%s: call %d is %+v, then %+v", typ, n, want[n], got)
						return
					}
				}
			})
		}
		wg.Wait()
		o.Seed++
		if typ != Fibonacci && typ != IOHeavy && reflect.DeepEqual(calls(workload(t, o), 20), want) {
			t.Errorf("%s: another seed gives the same calls", typ)
		}
	}
}

// recipientOf is where a transfer of ether or tokens goes.
func recipientOf(c Call) common.Address {
	if c.Type == ERC20 {
		return common.BytesToAddress(c.Data[4:36])
	}
	return *c.To
}

func TestWorkload_recipients(t *testing.T) {
	for _, typ := range []Type{EthTransfers, ERC20} {
		_, accounts := senders(10)
		known := map[common.Address]bool{}
		for _, a := range accounts {
			known[a] = true
		}
		w := workload(t, Options{Type: typ})
		for n, c := range calls(w, 100) {
			if to := recipientOf(c); !known[to] || to == accounts[n/100] {
				t.Errorf("%s: call %d goes to %s, want another of the accounts", typ, n, to)
			}
		}
		seen := map[common.Address]bool{}
		for _, c := range calls(workload(t, Options{Type: typ, Fresh: true}), 100) {
			seen[recipientOf(c)] = true
		}
		if len(seen) != 1000 {
			t.Errorf("%s: %d of 1000 fresh recipients are different", typ, len(seen))
		}
		given := map[common.Address]int{}
		for _, c := range calls(workload(t, Options{Type: typ, Recipients: 4, Recipient: func(i int) common.Address { return common.Address{byte(i)} }}), 100) {
			given[recipientOf(c)]++
		}
		for i := range byte(4) {
			// 250 in the mean, with a standard deviation of 14.
			if n := given[common.Address{i}]; n < 180 || n > 320 {
				t.Errorf("%s: recipient %d gets %d of 1000", typ, i, n)
			}
		}
	}
}

func TestWorkload_legacy(t *testing.T) {
	for _, c := range calls(workload(t, Options{Type: EthTransfers, Legacy: true}), 5) {
		if c.Value.Int64() != 1000 || c.Limit != 2_100_000 || len(c.Data) != 0 {
			t.Errorf("ether: %+v", c)
		}
	}
	for _, c := range calls(workload(t, Options{Type: ERC20, Legacy: true}), 5) {
		if new(big.Int).SetBytes(c.Data[36:]).Int64() != 1 || c.Value.Sign() != 0 {
			t.Errorf("token: %+v", c)
		}
	}
	for _, c := range calls(workload(t, Options{Type: Fibonacci, Legacy: true, FibonacciN: 5}), 5) {
		if !bytes.Equal(c.Data, contract.FibonacciCall(100_000_000_000_000)) {
			t.Errorf("fibonacci: %+v", c)
		}
	}
	for _, c := range calls(workload(t, Options{Type: IOHeavy, Legacy: true, OwnSlots: true}), 5) {
		if !bytes.Equal(c.Data, contract.IncrementSharedCall()) {
			t.Errorf("slots: %+v", c)
		}
	}
	if f := LegacyFees(); f.Cap.Cmp(big.NewInt(9223372036854775807)) != 0 || f.Tip.Int64() != 10 {
		t.Errorf("fees are %v", f)
	}
}

func TestWorkload_mixFollowsItsWeights(t *testing.T) {
	count := func(weights map[Type]int) map[Type]int {
		counts := map[Type]int{}
		for _, c := range calls(workload(t, Options{Type: Mixed, Weights: weights}), 1000) {
			counts[c.Type]++
		}
		return counts
	}
	for _, weights := range []map[Type]int{nil, {WitnessHeavy: 1, EthTransfers: 3, ERC20: 0}} {
		want := weights
		if want == nil {
			want = DefaultWeights()
		}
		sum := 0
		for _, weight := range want {
			sum += weight
		}
		got := count(weights)
		for typ, n := range got {
			share := float64(want[typ]) / float64(sum)
			// Five standard deviations of 10,000 draws.
			if off := math.Abs(float64(n)/10_000 - share); off > 5*math.Sqrt(share*(1-share)/10_000) {
				t.Errorf("%d of 10,000 are %s, want a share of %v", n, typ, share)
			}
		}
		for typ, weight := range want {
			if weight > 0 && got[typ] == 0 {
				t.Errorf("none of 10,000 is %s", typ)
			}
		}
	}
}

// The first call of an account with slots of its own creates them, also where
// others come before it.
func TestWorkload_firstOwnSlots(t *testing.T) {
	w := workload(t, Options{Type: Mixed, OwnSlots: true})
	for account := range w.o.Accounts {
		seen := false
		for i := range uint64(60) {
			c := w.Call(account, i)
			if c.Type != IOHeavy {
				continue
			}
			if first := c.Gas == ioFirstGas; first == seen {
				t.Errorf("call %d of account %d is taken for the first: %v", i, account, first)
			}
			seen = true
		}
	}
}

func TestNew_badOptions(t *testing.T) {
	_, accounts := senders(2)
	check := func(o Options, want string) {
		t.Helper()
		_, err := New(o)
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want a usage error with %q", o, err, want)
		}
	}
	all := placed()
	check(Options{Type: "iO-heavy", Accounts: accounts}, "the types are eth-transfers, erc20, fibonacci, io-heavy, mixed, witness-heavy")
	check(Options{Type: EthTransfers}, "at least one account")
	check(Options{Type: ERC20, Accounts: accounts}, "no contract is given for erc20")
	check(Options{Type: Mixed, Accounts: accounts, Contracts: Contracts{Token: all.Token}}, "no contract is given for fibonacci")
	check(Options{Type: WitnessHeavy, Accounts: accounts, Contracts: Contracts{Heavy: all.Heavy}}, "neither contracts nor slots")
	check(Options{Type: Fibonacci, Accounts: accounts, Contracts: all, FibonacciN: 371}, "the last that does is fibonacci(370)")
	check(Options{Type: Mixed, Accounts: accounts, Contracts: all, Legacy: true}, "load_test has no mixed")
	check(Options{Type: ERC20, Accounts: accounts, Contracts: all, Weights: map[Type]int{ERC20: 1}}, "weights are for the type mixed")
	check(Options{Type: Mixed, Accounts: accounts, Contracts: all, Weights: map[Type]int{"blobs": 1}}, `"blobs" is no type of load`)
	check(Options{Type: Mixed, Accounts: accounts, Contracts: all, Weights: map[Type]int{ERC20: -1}}, "the weight of erc20 is -1")
	check(Options{Type: Mixed, Accounts: accounts, Contracts: all, Weights: map[Type]int{Mixed: 1}}, "not for mixed itself")
	check(Options{Type: Mixed, Accounts: accounts, Contracts: all, Weights: map[Type]int{ERC20: 0}}, "all weights of the mix are zero")
	check(Options{Type: EthTransfers, Accounts: accounts, Recipient: func(int) common.Address { return common.Address{} }}, "at least one recipient")
}

// What an account is funded with must cover whatever it sends.
func TestOptions_Cost(t *testing.T) {
	feeCap := big.NewInt(3 * params.GWei)
	for _, o := range []Options{
		{Type: EthTransfers}, {Type: ERC20}, {Type: Fibonacci}, {Type: IOHeavy, OwnSlots: true}, {Type: Mixed, OwnSlots: true},
		{Type: WitnessHeavy}, {Type: EthTransfers, Legacy: true}, {Type: Fibonacci, FibonacciN: 3},
	} {
		w := workload(t, o)
		o.Contracts = placed()
		most := o.Cost(7, feeCap)
		for account := range w.o.Accounts {
			sum := new(big.Int)
			for i := range uint64(7) {
				c := w.Call(account, i)
				sum.Add(sum, c.Value).Add(sum, new(big.Int).Mul(feeCap, new(big.Int).SetUint64(c.Limit)))
			}
			if sum.Cmp(most) > 0 {
				t.Errorf("%+v: seven transactions cost %d, Cost says %d", o, sum, most)
			}
		}
	}
}

func TestSign(t *testing.T) {
	accounts, _ := senders(1)
	signer := types.LatestSignerForChainID(big.NewInt(65536999))
	c := workload(t, Options{Type: ERC20}).Call(3, 4)
	tx, err := Sign(signer, accounts[0], 12, c, Fees{Cap: big.NewInt(100), Tip: big.NewInt(3)})
	if err != nil {
		t.Fatal(err)
	}
	var got types.Transaction
	if err := got.UnmarshalBinary(tx.Raw); err != nil {
		t.Fatal(err)
	}
	sender, err := types.Sender(signer, &got)
	if err != nil || sender != accounts[0].Address || tx.Sender != sender {
		t.Errorf("signed by %s, want %s (%v)", sender, accounts[0].Address, err)
	}
	if got.Hash() != tx.Hash || got.Nonce() != 12 || tx.Nonce != 12 || got.Gas() != c.Limit || tx.Limit != c.Limit || tx.Gas != c.Gas ||
		*got.To() != *c.To || !bytes.Equal(got.Data(), c.Data) || got.GasFeeCap().Int64() != 100 || got.GasTipCap().Int64() != 3 {
		t.Errorf("signed is %+v, described as %+v", &got, tx)
	}
	again, err := Sign(signer, accounts[0], 12, c, Fees{Cap: big.NewInt(100), Tip: big.NewInt(3)})
	if err != nil || !bytes.Equal(again.Raw, tx.Raw) {
		t.Errorf("signed again, the bytes differ (%v)", err)
	}
}

// A stream takes any workload, and goes on with the number that the nonce is.
func TestStream_ofAWorkload(t *testing.T) {
	o, err := LocalOf(WitnessHeavy, 1, placed())
	if err != nil {
		t.Fatal(err)
	}
	s := stream(t, o)
	txs := next(t, s, 20_000_000)
	if len(txs) < 15 || len(txs) > 20 {
		t.Errorf("20 Mgas are %d transactions", len(txs))
	}
	for _, tx := range txs {
		var decoded types.Transaction
		if err := decoded.UnmarshalBinary(tx.Raw); err != nil {
			t.Fatal(err)
		}
		for account := range o.Senders {
			if o.Senders[account].Address == tx.Sender {
				if want := o.Workload.Call(account, tx.Nonce); !bytes.Equal(decoded.Data(), want.Data) {
					t.Errorf("transaction %d of account %d is not the workload's", tx.Nonce, account)
				}
			}
		}
	}
	o.Senders = o.Senders[:3]
	if _, err := NewStream(o); err == nil {
		t.Error("NewStream took a workload of other accounts")
	}
	if _, err := LocalOf(Fibonacci, 1, Contracts{}); err == nil {
		t.Error("LocalOf took a chain without the contract")
	}
}

// BenchmarkSign is the cost of making and signing one transaction on one core.
func BenchmarkSign(b *testing.B) {
	accounts, _ := senders(10)
	signer := types.LatestSignerForChainID(big.NewInt(1337))
	w := workload(b, Options{Type: EthTransfers})
	fees := Fees{Cap: big.NewInt(params.GWei), Tip: big.NewInt(1)}
	var n uint64
	for b.Loop() {
		if _, err := Sign(signer, accounts[n%10], n/10, w.Call(int(n%10), n/10), fees); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkCall is the cost of making one without signing it.
func BenchmarkCall(b *testing.B) {
	for _, typ := range Types {
		b.Run(string(typ), func(b *testing.B) {
			w := workload(b, Options{Type: typ})
			var n uint64
			for b.Loop() {
				w.Call(int(n%10), n/10)
				n++
			}
		})
	}
}
