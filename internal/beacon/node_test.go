package beacon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/ethrpc"
)

// execution is an execution client that takes payloads and misbehaves on
// demand. How the beacon gets on with real ones is tested from the outside.
type execution struct {
	url string

	mu sync.Mutex
	// chain is from the genesis to the head; known are all delivered blocks.
	chain []block
	known map[common.Hash]block
	// status answers every request with an HTTP status, when not 0; says is
	// the word on new payloads, when not empty.
	status int
	says   ethrpc.Status
}

func newExecution(t *testing.T, genesis common.Hash) *execution {
	t.Helper()
	e := &execution{chain: []block{{Hash: genesis}}, known: map[common.Hash]block{}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

func (e *execution) set(change func(*execution)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *execution) head() block {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.chain[len(e.chain)-1]
}

func (e *execution) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.status != 0 {
		http.Error(w, "no", e.status)
		return
	}
	type call struct {
		ID     int               `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	answer := func(c call) any {
		return map[string]any{"jsonrpc": "2.0", "id": c.ID, "result": e.do(c.Method, c.Params)}
	}
	raw, _ := io.ReadAll(r.Body)
	var batch []call
	if json.Unmarshal(raw, &batch) == nil {
		out := []any{}
		for _, c := range batch {
			out = append(out, answer(c))
		}
		_ = json.NewEncoder(w).Encode(out)
		return
	}
	var one call
	if err := json.Unmarshal(raw, &one); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(answer(one))
}

func (e *execution) do(method string, params []json.RawMessage) any {
	switch method {
	case "eth_chainId":
		return "0x5"
	case "engine_exchangeCapabilities":
		return []string{"engine_forkchoiceUpdatedV3", "engine_newPayloadV3"}
	case "eth_getBlockByNumber":
		b := e.chain[len(e.chain)-1]
		if string(params[0]) != `"latest"` {
			var n hexutil.Uint64
			if json.Unmarshal(params[0], &n) != nil || int(n) >= len(e.chain) {
				return nil
			}
			b = e.chain[n]
		}
		return map[string]any{"number": hexutil.Uint64(b.Number), "hash": b.Hash, "parentHash": b.Parent, "timestamp": "0x1", "gasLimit": "0x1"}
	case "engine_forkchoiceUpdatedV3":
		var fc ethrpc.Forkchoice
		_ = json.Unmarshal(params[0], &fc)
		if b, ok := e.known[fc.Head]; ok && b.Parent == e.chain[len(e.chain)-1].Hash {
			e.chain = append(e.chain, b)
		}
		return map[string]any{"payloadStatus": map[string]any{"status": ethrpc.Valid}}
	case "engine_newPayloadV3":
		var p struct {
			Hash   common.Hash    `json:"blockHash"`
			Parent common.Hash    `json:"parentHash"`
			Number hexutil.Uint64 `json:"blockNumber"`
		}
		_ = json.Unmarshal(params[0], &p)
		if e.says != "" {
			return map[string]any{"status": e.says, "validationError": "bad root"}
		}
		e.known[p.Hash] = block{uint64(p.Number), p.Hash, p.Parent}
		return map[string]any{"status": ethrpc.Valid}
	}
	return nil
}

// hashOf is the hash of a block of the test network called name.
func hashOf(name string, number uint64) common.Hash {
	return crypto.Keccak256Hash([]byte(name), []byte{byte(number)})
}

// payloadOf is a block of that network.
func payloadOf(t *testing.T, name string, number uint64) ethrpc.Payload {
	t.Helper()
	var p ethrpc.Payload
	err := json.Unmarshal(fmt.Appendf(nil, `{"parentBeaconBlockRoot":"%s","executionPayload":{"blockHash":"%s","parentHash":"%s",
		"blockNumber":"%#x","gasUsed":"0x0","gasLimit":"0x1","timestamp":"0x1","transactions":[],"withdrawals":[],"blobGasUsed":"0x0"}}`,
		common.Hash{}, hashOf(name, number), hashOf(name, number-1), number), &p)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newNetwork starts a producer without an execution client, whose blocks from
// oldest to head are given.
func newNetwork(t *testing.T, name string, oldest, head uint64) *Node {
	t.Helper()
	n := startNode(t, Options{Endpoint: "http://127.0.0.1:1", Network: name})
	n.update(func(s *status) {
		s.producing, s.known = true, true
		s.network = network{Name: name, ChainID: 5, Genesis: hashOf(name, 0), SlotMS: 20}
	})
	for number := oldest; number <= head; number++ {
		n.publish(payloadOf(t, name, number))
	}
	return n
}

func startNode(t *testing.T, o Options) *Node {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	n, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// following is a follower under test.
type following struct {
	*Client
	node  *Node
	log   *lines
	stop  context.CancelFunc
	ended chan error
}

// follow starts a follower of the network at the execution client.
func follow(t *testing.T, e *execution, o Following) *following {
	t.Helper()
	log := &lines{}
	secret, err := ethrpc.CreateSecret(filepath.Join(t.TempDir(), "jwt.hex"))
	if err != nil {
		t.Fatal(err)
	}
	node := startNode(t, Options{
		Endpoint: e.url, Secret: secret, SecretFile: "the/jwt.hex", Version: "v", Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	c, err := NewClient(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	ctx, stop := context.WithCancel(t.Context())
	f := &following{Client: c, node: node, log: log, stop: stop, ended: make(chan error, 1)}
	var wait sync.WaitGroup
	wait.Go(func() { f.ended <- node.Follow(ctx, o) })
	t.Cleanup(func() {
		stop()
		wait.Wait()
		c.Close()
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return f
}

// until waits for a state of the beacon API.
func (f *following) until(t *testing.T, what string, ok func(Syncing) bool) {
	t.Helper()
	var s Syncing
	var err error
	eventually(t, what, func() bool {
		s, err = f.Syncing(t.Context())
		return err == nil && ok(s)
	}, func() string { return fmt.Sprintf("%+v, %v", s, err) })
}

// synced waits until the follower is ready, at the given head.
func (f *following) synced(t *testing.T, head uint64) {
	t.Helper()
	f.until(t, fmt.Sprintf("ready at slot %d", head), func(s Syncing) bool {
		ok, _ := s.Ready()
		return ok && s.HeadSlot == head
	})
}

func (f *following) health(t *testing.T, want Health) {
	t.Helper()
	eventually(t, want.String(), func() bool {
		h, err := f.Health(t.Context())
		return err == nil && h == want
	}, func() string { return "another health" })
}

func eventually(t *testing.T, what string, ok func() bool, instead func() string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s; have %s", what, instead())
		}
		pause(t.Context(), 5*time.Millisecond)
	}
}

// ask sends any request and returns status and body.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// Why no answer came reads the same at every try.
func TestBrief(t *testing.T) {
	t.Parallel()
	timeout, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for want, err := range map[string]error{
		"HTTP status 404: no":  fmt.Errorf("x: %w", &ethrpc.HTTPError{Status: 404, Body: "no"}),
		"connection refused":   &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		"no answer in time":    fmt.Errorf("x: %w", timeout.Err()),
		"the connection broke": io.EOF,
	} {
		if !unreachable(err) {
			t.Errorf("%v is not unreachable", err)
		}
		if got := brief(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
	if unreachable(&ethrpc.Error{Code: -32000}) {
		t.Error("an answer counts as unreachable")
	}
}
