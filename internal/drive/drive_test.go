package drive

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// scripted is an execution client that misbehaves on demand. How the driver
// gets on with real ones is for TestDriver_realClients.
type scripted struct {
	Client

	mu sync.Mutex
	// chain holds the canonical blocks, payloads all that were delivered.
	chain    []fakeBlock
	payloads map[common.Hash]fakeBlock
	built    map[string]fakeBlock
	pool     [][]byte
	asked    int // payloads
	// fcs are the forkchoice states that came in.
	fcs []ethrpc.Forkchoice

	// What follows is set before the test starts.
	chainID uint64
	// early counts the payloads that come out empty before a full one.
	early int
	// refuse is the answer to each transaction that is not taken.
	refuse string
	// nonce is the next nonce of every account.
	nonce uint64
	// dropFirst has the pool forget this many transactions that it took.
	dropFirst int
	// newPayload and forkchoice replace the answers when set.
	newPayload, forkchoice *ethrpc.Outcome
	// deaf has the client ignore the heads that it is told.
	deaf bool
	// status is an HTTP status to answer everything with.
	status int
	// down has the client drop the connection at this method.
	down string
	// onPayload is called when a payload is delivered.
	onPayload func()
}

type fakeBlock struct {
	Number, Time uint64
	Hash, Parent common.Hash
	Txs          []hexutil.Bytes
}

func (b fakeBlock) payload() map[string]any {
	txs := b.Txs
	if txs == nil {
		txs = []hexutil.Bytes{}
	}
	return map[string]any{
		"blockHash": b.Hash, "parentHash": b.Parent, "blockNumber": hexUint(b.Number),
		"timestamp": hexUint(b.Time), "gasUsed": hexUint(21000 * len(txs)), "gasLimit": hexUint(30_000_000),
		"transactions": txs, "withdrawals": []any{}, "blobGasUsed": "0x0",
	}
}

// newScripted starts a client; set changes it before it does.
func newScripted(t *testing.T, name string, set func(*scripted)) *scripted {
	t.Helper()
	s := &scripted{
		chain:    []fakeBlock{{Hash: common.Hash{0x9e}, Time: 1000}},
		payloads: map[common.Hash]fakeBlock{}, built: map[string]fakeBlock{}, chainID: 1337,
	}
	if set != nil {
		set(s)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	rpc, err := ethrpc.NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := ethrpc.CreateSecret(filepath.Join(t.TempDir(), "jwt"))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := ethrpc.NewEngine(server.URL, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rpc.Close)
	t.Cleanup(engine.Close)
	s.Client = Client{Name: name, RPC: rpc, Engine: engine}
	return s
}

type call struct {
	ID     int               `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != 0 {
		http.Error(w, "not now", s.status)
		return
	}
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var calls []call
	if json.Unmarshal(raw, &calls) == nil {
		answers := make([]any, len(calls))
		for i, c := range calls {
			answers[i] = s.answer(c)
		}
		_ = json.NewEncoder(w).Encode(answers)
		return
	}
	var one call
	if err := json.Unmarshal(raw, &one); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.down != "" && strings.HasPrefix(one.Method, s.down) {
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(s.answer(one))
}

func (s *scripted) answer(c call) map[string]any {
	out := map[string]any{"jsonrpc": "2.0", "id": c.ID}
	switch a := s.do(c).(type) {
	case *ethrpc.Error:
		out["error"] = a
	default:
		out["result"] = a
	}
	return out
}

func (s *scripted) do(c call) any {
	head := s.chain[len(s.chain)-1]
	switch c.Method {
	case "eth_chainId":
		return hexUint(s.chainID)
	case "engine_exchangeCapabilities":
		return []string{"engine_forkchoiceUpdatedV3", "engine_getPayloadV3", "engine_newPayloadV3"}
	case "eth_getBlockByNumber":
		return s.block(c.Params[0])
	case "eth_getTransactionCount":
		return hexUint(s.nonce)
	case "eth_getTransactionByHash":
		for _, tx := range s.pool {
			if fmt.Sprintf("%q", crypto.Keccak256Hash(tx)) == string(c.Params[0]) {
				return map[string]any{"hash": crypto.Keccak256Hash(tx)}
			}
		}
		return nil
	case "txpool_status":
		return map[string]any{"pending": hexUint(len(s.pool)), "queued": "0x2"}
	case "eth_sendRawTransaction":
		return s.take(c.Params[0])
	case "engine_forkchoiceUpdatedV3":
		return s.forkchoiceUpdated(head, c)
	case "engine_getPayloadV3":
		var id string
		_ = json.Unmarshal(c.Params[0], &id)
		return map[string]any{"executionPayload": s.built[id].payload()}
	case "engine_newPayloadV3":
		return s.deliver(c)
	}
	return &ethrpc.Error{Code: ethrpc.MethodNotFound, Message: "the method does not exist"}
}

func (s *scripted) block(at json.RawMessage) any {
	b := s.chain[len(s.chain)-1]
	if string(at) != `"latest"` {
		var n hexUint
		if err := json.Unmarshal(at, &n); err != nil || int(n) >= len(s.chain) {
			return nil
		}
		b = s.chain[n]
	}
	return header{Number: hexUint(b.Number), Hash: b.Hash, Timestamp: hexUint(b.Time), GasLimit: 30_000_000}
}

func (s *scripted) take(param json.RawMessage) any {
	if s.refuse != "" {
		return &ethrpc.Error{Code: -32000, Message: s.refuse}
	}
	var raw hexutil.Bytes
	if err := json.Unmarshal(param, &raw); err != nil {
		return &ethrpc.Error{Code: -32602, Message: err.Error()}
	}
	if s.dropFirst > 0 {
		s.dropFirst--
		return crypto.Keccak256Hash(raw)
	}
	if slices.ContainsFunc(s.pool, func(tx []byte) bool { return string(tx) == string(raw) }) {
		return &ethrpc.Error{Code: -32000, Message: "already known"}
	}
	s.pool = append(s.pool, raw)
	return crypto.Keccak256Hash(raw)
}

func (s *scripted) forkchoiceUpdated(head fakeBlock, c call) any {
	var fc ethrpc.Forkchoice
	if err := json.Unmarshal(c.Params[0], &fc); err != nil {
		return &ethrpc.Error{Code: -32602, Message: err.Error()}
	}
	s.fcs = append(s.fcs, fc)
	if b, ok := s.payloads[fc.Head]; ok && fc.Head != head.Hash && !s.deaf {
		s.chain = append(s.chain, b)
		s.pool = slices.DeleteFunc(s.pool, func(tx []byte) bool {
			return slices.ContainsFunc(b.Txs, func(in hexutil.Bytes) bool { return string(in) == string(tx) })
		})
	}
	var id *string
	if string(c.Params[1]) != "null" {
		text := s.build(head, c.Params[1])
		id = &text
	}
	outcome := ethrpc.Outcome{Status: ethrpc.Valid, LatestValid: &fc.Head}
	if s.forkchoice != nil {
		outcome = *s.forkchoice
	}
	return map[string]any{"payloadStatus": outcome, "payloadId": id}
}

// build makes a block of the pool, or an empty one when it is too early.
func (s *scripted) build(head fakeBlock, attributes json.RawMessage) string {
	var a struct {
		Timestamp hexUint     `json:"timestamp"`
		Random    common.Hash `json:"prevRandao"`
	}
	_ = json.Unmarshal(attributes, &a)
	s.asked++
	b := fakeBlock{Number: head.Number + 1, Time: uint64(a.Timestamp), Parent: head.Hash}
	if s.asked > s.early {
		for _, tx := range s.pool {
			b.Txs = append(b.Txs, tx)
		}
	}
	b.Hash = crypto.Keccak256Hash(head.Hash[:], a.Random[:], binary.BigEndian.AppendUint64(nil, uint64(len(b.Txs))))
	id := hexutil.Encode(b.Hash[:8])
	s.built[id] = b
	return id
}

func (s *scripted) deliver(c call) any {
	if s.onPayload != nil {
		s.onPayload()
	}
	var p ethrpc.Payload
	fields := struct {
		Hash   common.Hash     `json:"blockHash"`
		Parent common.Hash     `json:"parentHash"`
		Number hexUint         `json:"blockNumber"`
		Time   hexUint         `json:"timestamp"`
		Txs    []hexutil.Bytes `json:"transactions"`
	}{}
	if err := json.Unmarshal(c.Params[0], &fields); err != nil {
		return &ethrpc.Error{Code: -32602, Message: err.Error()}
	}
	p.Hash = fields.Hash
	s.payloads[fields.Hash] = fakeBlock{
		Number: uint64(fields.Number), Time: uint64(fields.Time), Hash: fields.Hash, Parent: fields.Parent, Txs: fields.Txs,
	}
	if s.newPayload != nil {
		return *s.newPayload
	}
	return ethrpc.Outcome{Status: ethrpc.Valid, LatestValid: &p.Hash}
}

// testStream is a stream of ether transfers from a few accounts.
func testStream(t *testing.T) *load.Stream {
	t.Helper()
	o := load.StreamOptions{
		Seed: 1, ChainID: 1337, Recipients: 1,
		Recipient: func(int) common.Address { return common.Address{1} },
		FeeCap:    big.NewInt(1), Tip: new(big.Int),
	}
	for i := range 3 {
		key, err := crypto.ToECDSA(crypto.Keccak256([]byte{byte(i)}))
		if err != nil {
			t.Fatal(err)
		}
		o.Senders = append(o.Senders, load.Account{Key: key, Address: crypto.PubkeyToAddress(key.PublicKey)})
	}
	s, err := load.NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a driver over clients that offers ten transfers per block.
func open(t *testing.T, o Options, clients ...*scripted) (*Driver, error) {
	t.Helper()
	for _, c := range clients {
		o.Clients = append(o.Clients, c.Client)
	}
	d, err := Open(t.Context(), o)
	if err != nil {
		return nil, err
	}
	return d, d.Offer(t.Context(), testStream(t), 210_000)
}

// wantError fails unless err is of the kind and holds all the texts.
func wantError(t *testing.T, err error, kind fault.Kind, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", texts)
	}
	if got := fault.KindOf(err); got != kind {
		t.Errorf("error %q is of kind %d, want %d", err, got, kind)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q, want %q in it", err, text)
		}
	}
}

func TestDriver_lockstep(t *testing.T) {
	t.Parallel()
	a, b := newScripted(t, "a", nil), newScripted(t, "b", nil)
	d, err := open(t, Options{}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	const blocks = 70
	seen := map[common.Hash]bool{}
	for n := uint64(1); n <= blocks; n++ {
		block, err := d.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if block.Number != n || block.Transactions != 10 || block.Attempts != 1 || block.Builder != "a" || len(block.Imports) != 2 {
			t.Fatalf("block %d is %+v", n, block)
		}
		if block.Timestamp != 1000+12*n {
			t.Errorf("block %d has time %d, want %d", n, block.Timestamp, 1000+12*n)
		}
		for _, raw := range block.Payload.Transactions {
			if h := crypto.Keccak256Hash(raw); seen[h] {
				t.Errorf("transaction %s is in two blocks", h)
			} else {
				seen[h] = true
			}
		}
	}
	if len(a.chain) != blocks+1 || !slices.EqualFunc(a.chain, b.chain, func(x, y fakeBlock) bool { return x.Hash == y.Hash }) {
		t.Errorf("the clients have %d and %d blocks, want the same %d", len(a.chain), len(b.chain), blocks+1)
	}
	if len(b.pool) != 0 {
		t.Errorf("a client that never builds was sent %d transactions", len(b.pool))
	}
	last := b.fcs[len(b.fcs)-1]
	if want := a.chain[blocks-safeDepth].Hash; last.Safe != want {
		t.Errorf("safe block %s, want %s", last.Safe, want)
	}
	if want := a.chain[blocks-finalizedDepth].Hash; last.Finalized != want {
		t.Errorf("finalized block %s, want %s", last.Finalized, want)
	}

	// Another driver goes on where this one ended.
	d, err = open(t, Options{Step: 3}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	last = b.fcs[len(b.fcs)-1]
	if last.Head != a.chain[blocks].Hash || last.Finalized != a.chain[blocks-finalizedDepth].Hash {
		t.Errorf("a new driver starts from %+v", last)
	}
	block, err := d.Next(t.Context())
	if err != nil || block.Number != blocks+1 || block.Timestamp != a.chain[blocks].Time+3 {
		t.Errorf("a new driver goes on with %+v, %v", block, err)
	}
}

func TestDriver_rotate(t *testing.T) {
	t.Parallel()
	a, b := newScripted(t, "a", nil), newScripted(t, "b", nil)
	d, err := open(t, Options{Rotate: true}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"a", "b", "a", "b"} {
		block, err := d.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if block.Builder != want || block.BuilderIndex != n%2 || block.Transactions != 10 {
			t.Errorf("block %d: built by %s with %d transactions, want %s with 10", block.Number, block.Builder, block.Transactions, want)
		}
	}
}

// A payload that came out too early is asked for again, under other
// attributes, and no transaction is lost.
func TestDriver_buildsUntilFull(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", func(s *scripted) { s.early = 3 })
	d, err := open(t, Options{}, a)
	if err != nil {
		t.Fatal(err)
	}
	before := d.patience[0].wait
	block, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if block.Attempts != 4 || block.Transactions != 10 {
		t.Errorf("block of %d transactions after %d attempts, want 10 after 4", block.Transactions, block.Attempts)
	}
	if d.patience[0].wait <= before {
		t.Errorf("the wait is %s after being too short, was %s", d.patience[0].wait, before)
	}
	grown := d.patience[0].wait
	if _, err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := d.patience[0].wait; now >= grown || now < before {
		t.Errorf("the wait is %s after a block that was full at once, want a little less than %s", now, grown)
	}
}

// What the pool lost is sent again.
func TestDriver_resendsWhatWasDropped(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", func(s *scripted) { s.dropFirst = 4 })
	d, err := open(t, Options{}, a)
	if err != nil {
		t.Fatal(err)
	}
	block, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if block.Transactions != 10 || block.Attempts != 2 {
		t.Errorf("block of %d transactions after %d attempts, want 10 after 2", block.Transactions, block.Attempts)
	}
}

// A pool that knows the transactions from before a restart refuses them all,
// and a builder may need long nevertheless: neither is a reason to give up.
func TestDriver_knownTransactions(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", func(s *scripted) { s.early = 6 })
	first, err := open(t, Options{}, a)
	if err != nil {
		t.Fatal(err)
	}
	if refused, err := first.offer(t.Context(), 0); err != nil || refused.count != 0 {
		t.Fatalf("offer: %d refused, error %v", refused.count, err)
	}
	second, err := open(t, Options{}, a)
	if err != nil {
		t.Fatal(err)
	}
	block, err := second.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if block.Transactions != 10 || block.Attempts != 7 {
		t.Errorf("block of %d transactions after %d attempts, want 10 after 7", block.Transactions, block.Attempts)
	}
}

// Transactions whose nonces others have used are replaced, so that the block
// is as full as it was meant to be.
func TestDriver_replacesOvertakenTransactions(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", func(s *scripted) { s.early = 1 })
	d, err := open(t, Options{}, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.offer(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	// Three accounts sent ten transactions; the first two of each are stale.
	a.mu.Lock()
	a.nonce = 2
	a.pool = a.pool[6:]
	a.mu.Unlock()
	block, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if block.Transactions != 10 || len(d.pending) != 0 {
		t.Errorf("block of %d transactions with %d left over, want 10 and 0", block.Transactions, len(d.pending))
	}
}

func TestDriver_neverFull(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", func(s *scripted) { s.early = 1 << 30 })
	d, err := open(t, Options{BuildTimeout: 100 * time.Millisecond}, a)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Next(t.Context())
	wantError(t, err, fault.Failed, "client a: block 1 holds 0 of 10 offered transactions", "its pool holds 10 pending and 2 queued")
}

func TestDriver_refusedTransactions(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", func(s *scripted) { s.refuse = "insufficient funds" })
	// The test would not end if the driver waited out the time to build.
	d, err := open(t, Options{BuildTimeout: time.Hour}, a)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Next(t.Context())
	wantError(t, err, fault.Failed, "client a", "it refused 10, the last because: insufficient funds")
}

func TestDriver_statuses(t *testing.T) {
	check := func(name string, set func(*scripted), texts ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newScripted(t, "a", nil), newScripted(t, "b", set)
			d, err := open(t, Options{}, a, b)
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Next(t.Context())
			wantError(t, err, fault.Failed, texts...)
			if strings.Contains(err.Error(), "client a") {
				t.Errorf("error %q blames the wrong client", err)
			}
		})
	}
	check("invalid", func(s *scripted) {
		s.newPayload = &ethrpc.Outcome{Status: ethrpc.Invalid, ValidationError: "wrong state root"}
	}, "client b: says INVALID of block 1 0x", ": wrong state root")
	check("invalid without a reason", func(s *scripted) {
		s.newPayload = &ethrpc.Outcome{Status: ethrpc.Invalid}
	}, "client b: says INVALID", "no reason")
	check("syncing", func(s *scripted) { s.newPayload = &ethrpc.Outcome{Status: ethrpc.Syncing} }, "client b: says SYNCING of block 1")
	check("accepted", func(s *scripted) { s.newPayload = &ethrpc.Outcome{Status: ethrpc.Accepted} }, "client b: says ACCEPTED of block 1")
	check("unknown", func(s *scripted) { s.newPayload = &ethrpc.Outcome{Status: "MAYBE"} }, `client b: says "MAYBE"`)
	check("connection lost", func(s *scripted) { s.down = "engine_newPayload" }, "client b: engine_newPayloadV3", "EOF")
	check("another head", func(s *scripted) { s.deaf = true }, "client b: head is block 0", "after it was set to block 1")
}

func TestDriver_syncingHint(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", func(s *scripted) { s.newPayload = &ethrpc.Outcome{Status: ethrpc.Syncing} })
	d, err := open(t, Options{}, a)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Next(t.Context())
	if hints := fault.HintsOf(err); len(hints) == 0 || !strings.Contains(hints[0], "--syncmode full") {
		t.Errorf("hints %q, want one about --syncmode full", hints)
	}
}

func TestOpen_refuses(t *testing.T) {
	a := newScripted(t, "a", nil)
	check := func(name string, set func(*scripted), texts ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := open(t, Options{ReadyTimeout: 300 * time.Millisecond}, a, newScripted(t, "b", set))
			wantError(t, err, fault.Prerequisite, texts...)
		})
	}
	check("other genesis", func(s *scripted) { s.chain[0].Hash = common.Hash{0x9f} },
		"different chains", "a: chain id 1337, genesis 0x9e", "b: chain id 1337, genesis 0x9f")
	check("other chain id", func(s *scripted) { s.chainID = 1 }, "different chains", "b: chain id 1,")
	check("other head", func(s *scripted) { s.chain = append(s.chain, fakeBlock{Number: 1, Hash: common.Hash{0xb1}}) },
		"different blocks", "a: block 0 0x9e", "b: block 1 0xb1")
	check("wrong secret", func(s *scripted) { s.status = http.StatusUnauthorized }, "client b", "HTTP status 401")
	check("starting for ever", func(s *scripted) { s.status = http.StatusServiceUnavailable },
		"client b: http://127.0.0.1", "is not ready after 300ms", "HTTP status 503")
	check("nothing listens", func(s *scripted) { s.down = "eth_chainId" }, "client b: http://127.0.0.1", "is not ready after", "EOF")

	_, err := Open(t.Context(), Options{})
	wantError(t, err, fault.Usage, "no client")
	d, err := Open(t.Context(), Options{Clients: []Client{a.Client}})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, d.Offer(t.Context(), testStream(t), 30_000_001), fault.Usage, "30000001 gas", "30000000")
}

// An interrupt while a block is delivered must not leave one client behind.
func TestRun_interruptDeliversTheBlock(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := newScripted(t, "a", nil)
	b := newScripted(t, "b", func(s *scripted) { s.onPayload = cancel })
	d, err := open(t, Options{}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	err = Run(ctx, d, Pace{}, func(Block) error { blocks++; return nil })
	if !errors.Is(err, context.Canceled) || blocks != 1 {
		t.Errorf("Run = %v after %d blocks, want it interrupted after 1", err, blocks)
	}
	if len(a.chain) != 2 || len(b.chain) != 2 {
		t.Errorf("the clients have %d and %d blocks, want 2 each", len(a.chain), len(b.chain))
	}
}

func TestRun_ends(t *testing.T) {
	d, err := open(t, Options{}, newScripted(t, "a", nil))
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	if err := Run(t.Context(), d, Pace{Blocks: 3}, func(Block) error { blocks++; return nil }); err != nil || blocks != 3 {
		t.Errorf("Run = %v after %d blocks, want 3", err, blocks)
	}
	enough := errors.New("enough")
	if err := Run(t.Context(), d, Pace{}, func(Block) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Run = %v, want %v", err, enough)
	}
}

func TestUntilSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		at := func(want time.Duration) {
			t.Helper()
			if err := untilSlot(t.Context(), start, 2*time.Second); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != want {
				t.Errorf("slot at %s, want %s", got, want)
			}
		}
		at(2 * time.Second)
		at(4 * time.Second)
		time.Sleep(3 * time.Second) // on the fake clock: a block that takes longer than its slot
		at(8 * time.Second)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := untilSlot(ctx, start, time.Second); !errors.Is(err, context.Canceled) {
			t.Errorf("untilSlot = %v, want it interrupted", err)
		}
	})
}

func TestDriver_draw(t *testing.T) {
	a := &Driver{o: Options{Seed: 1}}
	b := &Driver{o: Options{Seed: 2}}
	seen := map[common.Hash]string{}
	for name, h := range map[string]common.Hash{
		"seed 1":    a.draw("prevrandao", 1, 1),
		"seed 2":    b.draw("prevrandao", 1, 1),
		"block 2":   a.draw("prevrandao", 2, 1),
		"attempt 2": a.draw("prevrandao", 1, 2),
		"other use": a.draw("beacon root", 1, 1),
	} {
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s draw the same", name, other)
		}
		seen[h] = name
	}
	if a.draw("prevrandao", 1, 1) != (&Driver{o: Options{Seed: 1}}).draw("prevrandao", 1, 1) {
		t.Error("the seed does not decide the draw")
	}
}

func TestMissing(t *testing.T) {
	var txs []load.Tx
	var p ethrpc.Payload
	for i := range 5 {
		raw, err := types.NewTx(&types.LegacyTx{Nonce: uint64(i)}).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		txs = append(txs, load.Tx{Raw: raw, Hash: crypto.Keccak256Hash(raw), Nonce: uint64(i)})
		if i%2 == 0 {
			p.Transactions = append(p.Transactions, raw)
		}
	}
	got := fmt.Sprint(len(missing(txs, p)), missing(txs, p)[0].Nonce, missing(txs, p)[1].Nonce)
	if got != "2 1 3" {
		t.Errorf("missing = %s, want the transactions 1 and 3", got)
	}
}
