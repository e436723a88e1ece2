package observe

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// l2 is an L2 as its RPC and its metrics page show it, with the shapes of
// ethrex. The zero blocks of a batch are blocks of nothing.
type l2 struct {
	mu      sync.Mutex
	batches []l2Batch
	blocks  map[uint64]l2Block
	metrics string
	// down says that neither answers; calls counts by method.
	down  bool
	calls map[string]int
	url   string
}

type l2Batch struct {
	first, last    uint64
	ordinary       *int
	commit, verify string
}

type l2Block struct {
	gas         uint64
	types       []string
	withdrawals int
}

// startL2 serves an L2 on a free port of the loopback interface.
func startL2(t testing.TB) *l2 {
	t.Helper()
	l := &l2{blocks: make(map[uint64]l2Block), calls: make(map[string]int)}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// change changes the L2 while it serves.
func (l *l2) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *l2) called(method string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[method]
}

func (l *l2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if r.Method == http.MethodGet {
		l.calls["metrics"]++
		io.WriteString(w, l.metrics)
		return
	}
	var request struct {
		Method string
		Params []any
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	l.calls[request.Method]++
	result, ok := l.answer(request.Method, request.Params)
	if !ok {
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Expected 2 params"}}`)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "result": result})
}

func (l *l2) answer(method string, params []any) (any, bool) {
	if method == "ethrex_batchNumber" {
		if len(l.batches) == 0 {
			return nil, true
		}
		return hexadecimal(uint64(len(l.batches))), true
	}
	if len(params) != 2 {
		return nil, false
	}
	text, _ := params[0].(string)
	number, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	if err != nil {
		return nil, false
	}
	if method == "ethrex_getBatchByNumber" {
		if number == 0 || number > uint64(len(l.batches)) {
			return nil, true
		}
		return l.batches[number-1].json(number), true
	}
	whole, _ := params[1].(bool)
	block, ok := l.blocks[number]
	if !ok {
		return nil, true
	}
	return block.json(whole), true
}

func (b l2Batch) json(number uint64) any {
	out := map[string]any{
		"number": number, "first_block": b.first, "last_block": b.last, "state_root": "0x11",
		"blobs_bundle": map[string]any{"blobs": []string{"0x" + strings.Repeat("0", 262144)}, "commitments": []string{"0xaa"}, "proofs": []string{"0xbb"}},
		"commit_tx":    nil, "verify_tx": nil,
	}
	if b.ordinary != nil {
		out["non_privileged_transactions"] = *b.ordinary
	}
	if b.commit != "" {
		out["commit_tx"] = b.commit
	}
	if b.verify != "" {
		out["verify_tx"] = b.verify
	}
	return out
}

func (b l2Block) json(whole bool) any {
	transactions := make([]any, len(b.types))
	for i, kind := range b.types {
		transactions[i] = fmt.Sprintf("0x%064x", i)
		if whole {
			transactions[i] = map[string]any{"type": kind, "hash": transactions[i]}
		}
	}
	return map[string]any{"gasUsed": hexadecimal(b.gas), "transactions": transactions, "withdrawals": make([]struct{}, b.withdrawals)}
}
