package setup

import (
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// scripted is a node that misbehaves: it answers each method with what it is
// told. How the setup gets on with real nodes is for the other tests.
type scripted map[string]any

// well is a node that has everything and takes every transaction.
func well() scripted {
	return scripted{
		"eth_chainId": "0x7", "eth_maxPriorityFeePerGas": "0x1",
		"eth_getBlockByNumber":    map[string]any{"number": "0x2a", "gasLimit": "0x1c9c380", "baseFeePerGas": "0x3b9aca00"},
		"eth_getBalance":          "0xde0b6b3a7640000",
		"eth_getTransactionCount": "0x0", "eth_sendRawTransaction": "0x" + strings.Repeat("11", 32),
		"eth_getTransactionReceipt": nil, "eth_getTransactionByHash": nil,
	}
}

func (s scripted) client(t *testing.T) *ethrpc.Client {
	t.Helper()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var raw json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var batch []request
		if json.Unmarshal(raw, &batch) == nil {
			answers := make([]any, len(batch))
			for i, q := range batch {
				answers[i] = s.answer(q)
			}
			_ = json.NewEncoder(w).Encode(answers)
			return
		}
		var one request
		_ = json.Unmarshal(raw, &one)
		if down, ok := s[one.Method].(int); ok {
			http.Error(w, "not now", down)
			return
		}
		_ = json.NewEncoder(w).Encode(s.answer(one))
	}))
	t.Cleanup(server.Close)
	return client(t, server.URL)
}

type request struct {
	ID     int               `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

func (s scripted) answer(q request) map[string]any {
	out := map[string]any{"jsonrpc": "2.0", "id": q.ID}
	result := s[q.Method]
	if f, ok := result.(func([]json.RawMessage) any); ok {
		result = f(q.Params)
	}
	if e, ok := result.(*ethrpc.Error); ok {
		out["error"] = e
		return out
	}
	out["result"] = result
	return out
}

// When it waits in vain, it says for what and what the node says of it.
func TestPrepare_inVain(t *testing.T) {
	accounts := derived(t, 1)
	check := func(name string, spoil func(scripted), kind fault.Kind, want ...string) {
		t.Helper()
		s := well()
		spoil(s)
		_, err := Prepare(t.Context(), s.client(t), Options{
			Types: []load.Type{load.WitnessHeavy}, Accounts: accounts, Need: milliether(1), Limit: 150 * time.Millisecond,
		})
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
	set := func(method string, result any) func(scripted) {
		return func(s scripted) { s[method] = result }
	}
	// The deployment costs ten million gas and more with the contracts.
	rich := func(also func(scripted)) func(scripted) {
		return func(s scripted) {
			s["eth_getBalance"] = "0xffffffffffffffffffff"
			also(s)
		}
	}
	check("forgotten", rich(func(scripted) {}), fault.Failed,
		"deploying contracts: nothing has changed for 150ms: transaction 0x", "does not know it any more", "is at block 42 with a base fee of 1000000000 wei")
	check("in the pool", rich(set("eth_getTransactionByHash", map[string]any{"blockNumber": nil, "maxFeePerGas": "0x5"})), fault.Failed,
		"waits in the pool and pays up to 5 wei per gas")
	check("no answer", rich(set("eth_getTransactionReceipt", &ethrpc.Error{Code: -32000, Message: "shutting down"})), fault.Failed,
		"does not answer for 150ms", "shutting down")
	check("failed", rich(set("eth_getTransactionReceipt", map[string]any{"status": "0x0", "gasUsed": "0x5208"})), fault.Failed,
		"deploying contracts: transaction 0x", "failed, with 21000 of")
	check("refused", rich(set("eth_sendRawTransaction", &ethrpc.Error{Code: -32000, Message: "txpool is full"})), fault.Failed,
		"deploying contracts: sending from "+accounts[0].Address.Hex(), "txpool is full")
	check("other code", rich(func(s scripted) {
		s["eth_getTransactionReceipt"] = map[string]any{"status": "0x1", "gasUsed": "0x1", "contractAddress": common.Address{1}}
		s["eth_getCode"] = "0x60"
	}), fault.Failed, "has 1 bytes of code at 0x0100000000000000000000000000000000000000 that are not those of Heavy")
	check("small blocks", rich(set("eth_getBlockByNumber", map[string]any{"gasLimit": "0xc350", "baseFeePerGas": "0x1"})), fault.Prerequisite,
		"block gas limit is 50000")
	check("no base fee", set("eth_getBlockByNumber", map[string]any{"gasLimit": "0xc350"}), fault.Prerequisite, "EIP-1559")
	check("poor", set("eth_getBalance", "0x1"), fault.Prerequisite,
		"account "+accounts[0].Address.Hex()+" has 1 wei and needs", "is at block 42")
	check("down", set("eth_chainId", http.StatusServiceUnavailable), fault.Prerequisite, "HTTP status 503: not now")
}

// Balances that a layer 2 credits late count once they are there, and a node
// that restarts meanwhile is waited for.
func TestPrepare_balanceAppears(t *testing.T) {
	asked := 0
	s := well()
	s["eth_getBalance"] = func([]json.RawMessage) any {
		asked++
		switch {
		case asked < 3:
			return "0x0"
		case asked < 5:
			return &ethrpc.Error{Code: -32000, Message: "starting"}
		}
		return "0xde0b6b3a7640000"
	}
	ready, err := Prepare(t.Context(), s.client(t), Options{
		Types: []load.Type{load.EthTransfers}, Accounts: derived(t, 1), Need: milliether(1000), Limit: time.Minute,
	})
	if err != nil || ready.ChainID != 7 || asked < 5 {
		t.Errorf("Prepare = %+v, %v after %d questions", ready, err, asked)
	}
}

func TestRefund_leftovers(t *testing.T) {
	accounts := derived(t, 5)
	empty, dust, pending, refused, fine := accounts[0].Address, accounts[1].Address, accounts[2].Address, accounts[3].Address, accounts[4].Address
	about := func(p []json.RawMessage) (a common.Address) {
		_ = json.Unmarshal(p[0], &a)
		return a
	}
	s := well()
	s["eth_getBalance"] = func(p []json.RawMessage) any {
		switch about(p) {
		case empty:
			return "0x0"
		case dust:
			return "0x10"
		}
		return (*hexutil.Big)(milliether(1000))
	}
	s["eth_getTransactionCount"] = func(p []json.RawMessage) any {
		if about(p) == pending && string(p[1]) == `"pending"` {
			return "0x3"
		}
		return "0x1"
	}
	sends := 0
	s["eth_sendRawTransaction"] = func([]json.RawMessage) any {
		if sends++; sends == 1 {
			return &ethrpc.Error{Code: -32000, Message: "account is on a list"}
		}
		return common.Hash{1}
	}
	s["eth_getTransactionReceipt"] = map[string]any{"status": "0x1", "gasUsed": "0x5208"}
	out, err := Refund(t.Context(), s.client(t), RefundOptions{Accounts: accounts, To: common.Address{5}, Limit: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	why := map[common.Address]string{dust: "sending it may cost", pending: "2 of its transactions are not in blocks yet", refused: "account is on a list"}
	for _, l := range out.Left {
		if want := why[l.Address]; want == "" || !strings.Contains(l.Why, want) {
			t.Errorf("%s is left with %d wei: %s", l.Address, l.Wei, l.Why)
		}
		delete(why, l.Address)
	}
	// Twice the base fee and the tip are set aside for 21,000 gas.
	sent := new(big.Int).Sub(milliether(1000), big.NewInt(21_000*2_000_000_001))
	if len(why) != 0 || out.Accounts != 1 || out.Wei.Cmp(sent) != 0 {
		t.Errorf("Refund = %+v of %s, not told about %v", out, fine, why)
	}
	if _, err := Refund(t.Context(), s.client(t), RefundOptions{Accounts: accounts, ChainID: 8}); fault.KindOf(err) != fault.Prerequisite {
		t.Errorf("Refund on another chain = %v", err)
	}
}
