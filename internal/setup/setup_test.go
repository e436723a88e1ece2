package setup

import (
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// derived are n accounts that no other test uses.
func derived(t *testing.T, n int) []load.Account {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(t.Name())))
	if err != nil {
		t.Fatal(err)
	}
	return load.Derive(key, 1, n)
}

// options ask w for what the types need.
func (w world) options(t *testing.T, accounts []load.Account, types ...load.Type) Options {
	return Options{
		Types: types, Accounts: accounts, Need: milliether(50), Rich: w.rich, Unlocked: w.rich == nil,
		HeavyCodes: 4, HeavySlots: 30, Limit: time.Minute,
		Progress: func(line string) { t.Log(line) },
	}
}

func milliether(n int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(n), big.NewInt(params.Ether/1000))
}

// Every type is prepared on every program, all its transactions succeed, and
// what is left comes back.
func TestPrepare_everyType(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	for name, open := range worlds {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			all := []load.Type{load.EthTransfers, load.ERC20, load.Fibonacci, load.IOHeavy, load.WitnessHeavy}
			accounts := derived(t, 5)
			ready, err := Prepare(t.Context(), w.rpc, w.options(t, accounts, all...))
			if err != nil {
				t.Fatal(err)
			}
			if ready.Funded != len(accounts) || ready.Sent.Cmp(milliether(50*5)) != 0 {
				t.Errorf("%d accounts were funded with %d wei, want 5 with 0.25 ether", ready.Funded, ready.Sent)
			}
			if c := ready.Contracts; c.HeavyCodes != 4 || c.HeavySlots != 30 {
				t.Errorf("witness-heavy has %d contracts and %d slots, want 4 and 30", c.HeavyCodes, c.HeavySlots)
			}
			nonces := make([]uint64, len(accounts))
			for _, typ := range load.Types {
				run(t, w, ready, accounts, load.Options{Type: typ, Seed: 7}, nonces)
			}
			run(t, w, ready, accounts, load.Options{Type: load.IOHeavy, Seed: 8, OwnSlots: true}, nonces)
			returnAll(t, w, ready, accounts)
		})
	}
}

// run sends two transactions of each account and waits until they have
// succeeded.
func run(t *testing.T, w world, ready Ready, accounts []load.Account, o load.Options, nonces []uint64) {
	t.Helper()
	o.Accounts, o.Contracts = addresses(accounts), ready.Contracts
	workload, err := load.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(t.Context(), w.rpc, ready.ChainID, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var txs []*sent
	var calls []load.Call
	for a := range accounts {
		for i := range uint64(2) {
			call := workload.Call(a, i)
			tx, err := load.Sign(c.signer(), accounts[a], nonces[a], call, c.fees())
			if err != nil {
				t.Fatal(err)
			}
			if err := w.rpc.Call(t.Context(), nil, "eth_sendRawTransaction", hexutil.Bytes(tx.Raw)); err != nil {
				t.Fatalf("%s: %v", o.Type, err)
			}
			nonces[a]++
			txs = append(txs, &sent{what: string(o.Type), hash: tx.Hash, gas: tx.Limit})
			calls = append(calls, call)
		}
	}
	if err := c.awaitAll(t.Context(), string(o.Type), txs); err != nil {
		t.Fatal(err)
	}
	for i, tx := range txs {
		if used, want := float64(tx.done.GasUsed), float64(calls[i].Gas); used > want*1.03 || used < want*0.97 {
			t.Errorf("%s: transaction %d used %.0f gas, expected were %.0f", o.Type, i, used, want)
		}
	}
}

// returnAll sends everything to a new address and checks the sum.
func returnAll(t *testing.T, w world, ready Ready, accounts []load.Account) {
	t.Helper()
	to := common.BytesToAddress(crypto.Keccak256([]byte(t.Name()))[12:])
	poor := derived(t, len(accounts)+1)[len(accounts):]
	out, err := Refund(t.Context(), w.rpc, RefundOptions{
		Accounts: slices.Concat(accounts, poor), To: to, ChainID: ready.ChainID, Limit: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got hexutil.Big
	if err := w.rpc.Call(t.Context(), &got, "eth_getBalance", to, "latest"); err != nil {
		t.Fatal(err)
	}
	if got.ToInt().Cmp(out.Wei) != 0 || out.Accounts != len(accounts) || len(out.Left) != 0 {
		t.Errorf("%d wei came back, %+v", got.ToInt(), out)
	}
	// What is left of an account is less than the fee that was set aside, so
	// that a second time there is nothing to send.
	again, err := Refund(t.Context(), w.rpc, RefundOptions{Accounts: accounts, To: to, Limit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range again.Left {
		if !strings.Contains(l.Why, "may cost") {
			t.Errorf("%s keeps %d wei: %s", l.Address, l.Wei, l.Why)
		}
	}
}

// What is there counts: a second time nothing is deployed, sent or minted.
func TestPrepare_again(t *testing.T) {
	w := builtIn(t)
	accounts := derived(t, 3)
	o := w.options(t, accounts, load.ERC20, load.WitnessHeavy)
	first, err := Prepare(t.Context(), w.rpc, o)
	if err != nil {
		t.Fatal(err)
	}
	nonce := func() (n hexutil.Uint64) {
		t.Helper()
		if err := w.rpc.Call(t.Context(), &n, "eth_getTransactionCount", w.rich.Address, "latest"); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := nonce()
	o.Contracts, o.ChainID = first.Contracts, first.ChainID
	second, err := Prepare(t.Context(), w.rpc, o)
	if err != nil {
		t.Fatal(err)
	}
	if second.Funded != 0 || second.Contracts != first.Contracts || nonce() != before {
		t.Errorf("the second time %d transactions were sent, %d accounts funded, contracts %+v", nonce()-before, second.Funded, second.Contracts)
	}
	// More is wanted: only the difference is sent.
	o.Need, o.HeavyCodes = milliether(60), 5
	third, err := Prepare(t.Context(), w.rpc, o)
	if err != nil {
		t.Fatal(err)
	}
	if third.Sent.Cmp(milliether(30)) != 0 || third.Contracts.HeavyCodes != 5 {
		t.Errorf("the third time %s were sent, and there are %d contracts", ether(third.Sent), third.Contracts.HeavyCodes)
	}
}

// More accounts than one transaction can fund are funded by several.
func TestPrepare_manyAccounts(t *testing.T) {
	w := builtIn(t)
	accounts := derived(t, 2*mostAtOnce+50)
	ready, err := Prepare(t.Context(), w.rpc, w.options(t, accounts, load.ERC20))
	if err != nil {
		t.Fatal(err)
	}
	if ready.Funded != len(accounts) {
		t.Errorf("%d of %d accounts were funded", ready.Funded, len(accounts))
	}
	var tokens hexutil.Bytes
	last := accounts[len(accounts)-1].Address
	call := map[string]any{"to": ready.Contracts.Token, "data": hexutil.Bytes(contract.BalanceCall(last))}
	if err := w.rpc.Call(t.Context(), &tokens, "eth_call", call, "latest"); err != nil || new(big.Int).SetBytes(tokens).Sign() == 0 {
		t.Errorf("the last account has %x tokens (%v)", tokens, err)
	}
}

// Without anybody rich the first account deploys, and ether is waited for
// until it comes from elsewhere.
func TestPrepare_lateDeposit(t *testing.T) {
	w := builtIn(t)
	accounts := derived(t, 2)
	waiting := make(chan string, 100)
	o := Options{
		Types: []load.Type{load.Fibonacci}, Accounts: accounts, Need: milliether(50), Limit: time.Minute,
		Progress: func(line string) { waiting <- line },
	}
	done := make(chan error, 1)
	go func() {
		_, err := Prepare(t.Context(), w.rpc, o)
		done <- err
	}()
	if line := <-waiting; !strings.Contains(line, accounts[0].Address.Hex()+" has 0 ether and needs") {
		t.Errorf("Prepare says %q", line)
	}
	deposit(t, w, accounts, milliether(100))
	if err := <-done; err != nil {
		t.Errorf("after the deposit: %v", err)
	}
}

// deposit sends wei to each account.
func deposit(t *testing.T, w world, accounts []load.Account, wei *big.Int) {
	t.Helper()
	c, err := open(t.Context(), w.rpc, 0, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.payerOf(t.Context(), *w.rich)
	if err != nil {
		t.Fatal(err)
	}
	var jobs []job
	for _, a := range accounts {
		jobs = append(jobs, job{to: &a.Address, value: wei, gas: params.TxGas})
	}
	if _, err := p.carryOut(t.Context(), "depositing", jobs); err != nil {
		t.Fatal(err)
	}
}

func TestPrepare_badInput(t *testing.T) {
	w := builtIn(t)
	accounts := derived(t, 2)
	poor := derived(t, 3)[2]
	web := httptest.NewServer(http.FileServer(http.Dir(t.TempDir())))
	t.Cleanup(web.Close)
	check := func(name string, kind fault.Kind, spoil func(*Options) world, want ...string) {
		t.Helper()
		o := w.options(t, accounts, load.Fibonacci)
		o.Limit = 200 * time.Millisecond
		to := spoil(&o)
		_, err := Prepare(t.Context(), to.rpc, o)
		if err == nil || fault.KindOf(err) != kind {
			t.Errorf("%s: Prepare = %v, want an error of kind %d", name, err, kind)
			return
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: Prepare = %v, want %q in it", name, err, part)
			}
		}
	}
	check("a web server", fault.Prerequisite, func(*Options) world { return world{rpc: client(t, web.URL)} },
		web.URL, "does not answer as an execution client does", "not JSON-RPC")
	check("nobody listens", fault.Prerequisite, func(*Options) world { return world{rpc: client(t, "http://127.0.0.1:1")} },
		"http://127.0.0.1:1", "refused")
	check("another chain", fault.Prerequisite, func(o *Options) world { o.ChainID = 65536999; return w },
		"is on chain 1986359908, but chain 65536999 is expected")
	check("a rich account without money", fault.Prerequisite, func(o *Options) world { o.Rich = &poor; return w },
		poor.Address.Hex()+" has 0 ether and needs 0.", "0.1 ether for 2 accounts", "block ")
	check("accounts that nobody funds", fault.Prerequisite, func(o *Options) world { o.Rich = nil; return w },
		accounts[0].Address.Hex()+" has 0 ether and needs")
	check("no unlocked account", fault.Prerequisite, func(o *Options) world { o.Rich, o.Unlocked = nil, true; return w },
		"has no unlocked account")
	check("a contract that is not there", fault.Prerequisite, func(o *Options) world {
		o.Contracts.Fibonacci = common.HexToAddress("0xdead")
		return w
	}, "no contract for fibonacci at 0x000000000000000000000000000000000000dEaD")
	check("no accounts", fault.Usage, func(o *Options) world { o.Accounts = nil; return w }, "at least one account")
}

func TestEther(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0 ether", "1": "1 wei", "999999999": "999999999 wei", "1000000000": "0.000000001 ether",
		"1000000000000000000": "1 ether", "1500000000000000001": "1.500000000000000001 ether",
	} {
		wei, _ := new(big.Int).SetString(text, 10)
		if got := ether(wei); got != want {
			t.Errorf("ether(%s) = %q, want %q", text, got, want)
		}
	}
}
