package collect

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/witness"
)

// realServer serves one real block of Hoodi with its real witness. Its fields
// are changed between requests only.
type realServer struct {
	url     string
	block   *types.Block
	witness *witness.Witness
	// served is the block that is answered for the hash, nil for none.
	served *types.Block

	mu      sync.Mutex
	methods []string
}

func serveHoodi(t testing.TB) *realServer {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "witness-blocks", "hoodi_1265656.json.gz"))
	if err != nil {
		t.Skipf("the real block is not beside this checkout: %v", err)
	}
	defer f.Close()
	cache, err := stateless.ParseReplayCache(f)
	if err != nil {
		t.Fatal(err)
	}
	s := &realServer{block: cache.Blocks[0], witness: cache.Witness, served: cache.Blocks[0]}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *realServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.methods = append(s.methods, q.Method)
	s.mu.Unlock()
	var result any
	switch q.Method {
	case "eth_chainId":
		result = "0x88bb0"
	case "eth_blockNumber":
		result = hexQuantity(s.block.NumberU64())
	case "eth_getBlockByNumber":
		result = blockAnswer(s.block)
	case "eth_getBlockByHash":
		if s.served != nil {
			result = blockAnswer(s.served)
		}
	default:
		result = map[string]any{
			"state": hexes(s.witness.State), "codes": hexes(s.witness.Codes),
			"keys": hexes(s.witness.Keys), "headers": hexes(s.witness.Headers),
		}
	}
	json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": q.ID, "result": result})
}

func hexes(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = "0x" + hex.EncodeToString(b)
	}
	return out
}

// blockAnswer is a block as clients serve it, with full transactions.
func blockAnswer(b *types.Block) map[string]any {
	raw, err := json.Marshal(b.Header())
	if err != nil {
		panic(err) // a decoded header encodes
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	out["hash"], out["transactions"], out["uncles"], out["withdrawals"] = b.Hash(), b.Transactions(), []string{}, b.Withdrawals()
	return out
}

// proved measures and proves the block.
func proved(t testing.TB, s *realServer, v *Verifier) sample.Sample {
	t.Helper()
	sampler := newSampler(t, s.url, Options{})
	block, err := sampler.Block(t.Context(), s.block.NumberU64())
	if err != nil {
		t.Fatal(err)
	}
	out, body, err := sampler.Measure(t.Context(), Ask{Block: block})
	if err != nil || out.Status != sample.OK {
		t.Fatalf("%+v, %v", out, err)
	}
	v.Prove(t.Context(), sampler.client, block, &out, body)
	return out
}

const hoodiID = 560048

func newVerifier(t testing.TB, every int, chainID uint64) *Verifier {
	t.Helper()
	v, err := NewVerifier(every, chainID, "")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerifier_hoodi(t *testing.T) {
	v := newVerifier(t, 1, hoodiID)
	t.Run("complete", func(t *testing.T) {
		if got := proved(t, serveHoodi(t), v); got.Verification != sample.Complete || got.Status != sample.OK {
			t.Errorf("%s, %s: %s %+v", got.Status, got.Verification, got.Doubt, got.Failure)
		}
	})
	t.Run("a node is missing", func(t *testing.T) {
		s := serveHoodi(t)
		s.witness.State = slices.Delete(s.witness.State, 7, 8)
		got := proved(t, s, v)
		if got.Verification != sample.Incomplete || got.Status != sample.InvalidWitness || got.Failure == nil {
			t.Errorf("%s, %s: %+v", got.Status, got.Verification, got.Failure)
		}
	})
	t.Run("the block is not served", func(t *testing.T) {
		s := serveHoodi(t)
		s.served = nil
		got := proved(t, s, v)
		if got.Verification != sample.Unproved || got.Status != sample.OK || !strings.Contains(got.Doubt, "the server does not know it") {
			t.Errorf("%s, %s: %s", got.Status, got.Verification, got.Doubt)
		}
	})
	t.Run("another block is served", func(t *testing.T) {
		s := serveHoodi(t)
		header := s.block.Header()
		header.Time++
		s.served = types.NewBlockWithHeader(header).WithBody(*s.block.Body())
		got := proved(t, s, v)
		if got.Verification != sample.Unproved || !strings.Contains(got.Doubt, "served with hash "+s.served.Hash().Hex()) {
			t.Errorf("%s: %s", got.Verification, got.Doubt)
		}
	})
	t.Run("rules of another chain", func(t *testing.T) {
		got := proved(t, serveHoodi(t), newVerifier(t, 1, 1))
		if got.Verification != sample.Unproved || got.Status != sample.OK || !strings.Contains(got.Doubt, "--genesis FILE") {
			t.Errorf("%s, %s: %s %+v", got.Status, got.Verification, got.Doubt, got.Failure)
		}
	})
}

// Follow proves what is due, after the block has been timed and checked, and
// asks for the block only then.
func TestFollow_verifies(t *testing.T) {
	s := serveHoodi(t)
	number := s.block.NumberU64()
	for every, want := range map[int]sample.Verification{8: sample.Complete, 5: sample.Unverified} {
		var got []sample.Sample
		s.methods = nil
		err := Follow(t.Context(), newSampler(t, s.url, Options{}), FollowOptions{
			From: &number, Until: &number, Verifier: newVerifier(t, every, hoodiID),
		}, func(r sample.Record) error {
			got = append(got, *r.Sample)
			return nil
		})
		if err != nil || len(got) != 1 || got[0].Verification != want {
			t.Errorf("every %d: %+v, %v; want %q", every, got, err, want)
		}
		asked, timed := slices.Index(s.methods, "eth_getBlockByHash"), slices.Index(s.methods, witnessByNumber)
		if (asked >= 0) != (want == sample.Complete) || asked >= 0 && asked < timed {
			t.Errorf("every %d: asked for %q", every, s.methods)
		}
	}
}

// A proof that is interrupted says nothing of the witness.
func TestVerifier_interrupted(t *testing.T) {
	node := startNode(t, 9)
	s := newSampler(t, node.URL(), Options{})
	block, err := s.Block(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	got, body, err := s.Measure(t.Context(), Ask{Block: block})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := got
	newVerifier(t, 1, 1).Prove(ctx, s.client, block, &got, body)
	if got != before {
		t.Errorf("got %+v, want %+v", got, before)
	}
	// Otherwise a server without the method is a reason for doubt.
	newVerifier(t, 1, 1).Prove(t.Context(), s.client, block, &got, body)
	if got.Verification != sample.Unproved || got.Status != sample.OK || got.Doubt == "" {
		t.Errorf("%s, %s: %s", got.Status, got.Verification, got.Doubt)
	}
}

func TestVerifier_due(t *testing.T) {
	if newVerifier(t, 0, 424242).Due(0) {
		t.Error("without proofs one is due")
	}
	v := newVerifier(t, 10, 1)
	for number, want := range map[uint64]bool{0: true, 1: false, 10: true, 19: false, 1230: true} {
		if v.Due(number) != want {
			t.Errorf("Due(%d) = %v", number, !want)
		}
	}
}

func TestNewVerifier_refuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genesis.json")
	if err := os.WriteFile(path, []byte(`{"config":{"chainId":7},"gasLimit":"0x1","difficulty":"0x0","alloc":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewVerifier(1, 7, path); err != nil {
		t.Errorf("its own genesis: %v", err)
	}
	for _, c := range []struct {
		chainID uint64
		file    string
		want    string
	}{
		{424242, "", "witnesses of chain 424242 cannot be verified"},
		{8, path, "is of chain 7, the servers are on chain 8"},
		{8, path + "x", "no such file"},
	} {
		_, err := NewVerifier(1, c.chainID, c.file)
		if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewVerifier(1, %d, %q) = %v, want %q", c.chainID, c.file, err, c.want)
		}
	}
}

// BenchmarkProve is what a proof costs on the host that is measured: asking for
// the block, decoding block and witness, re-executing.
func BenchmarkProve(b *testing.B) {
	s := serveHoodi(b)
	v := newVerifier(b, 1, hoodiID)
	sampler := newSampler(b, s.url, Options{})
	block, err := sampler.Block(b.Context(), s.block.NumberU64())
	if err != nil {
		b.Fatal(err)
	}
	out, body, err := sampler.Measure(b.Context(), Ask{Block: block})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		v.Prove(b.Context(), sampler.client, block, &out, body)
		if out.Verification != sample.Complete {
			b.Fatal(out.Doubt, out.Failure)
		}
	}
}
