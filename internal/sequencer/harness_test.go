package sequencer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"net/http/httptest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/l1"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/tracelog"
)

const (
	patience = time.Minute
	tick     = 20 * time.Millisecond
	commit   = "0eadb15a0000000000000000000000000000c0de"
)

// startL1 starts an L1 of the test's own.
func startL1(t *testing.T) *l1.Chain {
	t.Helper()
	c, err := l1.Start(t.Context(), l1.ChainOptions{BlockTime: l1.MinBlockTime, Node: devnet.Options{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func roleOf(r genesis.Role) load.Account {
	key, _ := r.Account()
	return load.AccountOf(key)
}

func senderOf(i int) load.Account {
	key, _ := genesis.Account(i)
	return load.AccountOf(key)
}

// deploy deploys contracts of the test's own, with deposits of the accounts.
func deploy(t *testing.T, url string, depositors ...load.Account) l1.Deployed {
	t.Helper()
	client, err := l1.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	owner := roleOf(genesis.ContractOwner).Address
	d, err := client.Deploy(t.Context(), l1.DeployOptions{
		Deployer: roleOf(genesis.Deployer), ProposerOwner: owner, BridgeOwner: owner,
		Committer: roleOf(genesis.Deployer).Address, ProofSender: roleOf(genesis.ProofSender).Address,
		GenesisRoot: genesis.L2().ToBlock().Root(), Deposits: depositors, EnvFile: filepath.Join(t.TempDir(), "env"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// options are those of a fast sequencer on free ports.
func options(t *testing.T, url string, d l1.Deployed) Options {
	return Options{
		Node:        devnet.Options{Genesis: genesis.L2(), DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", Version: "test"},
		MetricsAddr: "127.0.0.1:0", CoordinatorAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		L1: url, Proposer: d.Proposer, Bridge: d.Bridge,
		Committer: roleOf(genesis.Deployer), ProofSender: roleOf(genesis.ProofSender),
		BlockTime: 100 * time.Millisecond, CommitTime: 250 * time.Millisecond,
		WatchInterval: 100 * time.Millisecond, SendInterval: 50 * time.Millisecond,
		Coinbase: common.HexToAddress("0xc0"), Commit: commit,
	}
}

// logged is a log that can be searched.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running is a sequencer under test.
type running struct {
	*Sequencer
	t    *testing.T
	log  *logged
	rpc  *ethrpc.Client
	stop func() // stops it and waits
	// prover is who asks and submits.
	address string
}

var errTestOver = errors.New("the test is over")

// run starts a sequencer, which is stopped with the test or by stop.
func run(t *testing.T, o Options) *running {
	t.Helper()
	r := &running{t: t, log: new(logged)}
	o.Log = tracelog.New(r.log, slog.LevelInfo, "sequencer")
	var err error
	if r.Sequencer, err = Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if r.rpc, err = ethrpc.NewClient(r.Addresses().RPC); err != nil {
		t.Fatal(err)
	}
	r.address = strings.TrimPrefix(r.Addresses().Coordinator, "tcp://")
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel(errTestOver)
		if err := <-ended; !errors.Is(err, errTestOver) {
			t.Errorf("Run = %v; log:\n%s", err, r.log)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		r.rpc.Close()
	})
	t.Cleanup(r.stop)
	return r
}

// eventually polls until ok.
func (r *running) eventually(what string, ok func() bool) {
	r.t.Helper()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-ticks.C {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %s: %s; log:\n%s", patience, what, r.log)
		}
	}
}

// logs waits for a text in the log.
func (r *running) logs(text string) {
	r.t.Helper()
	r.eventually("log line "+text, func() bool { return strings.Contains(r.log.String(), text) })
}

// call is a JSON-RPC call that succeeds.
func (r *running) call(result any, method string, params ...any) {
	r.t.Helper()
	if err := r.rpc.Call(r.t.Context(), result, method, params...); err != nil {
		r.t.Fatal(err)
	}
}

// batchOf is the answer to ethrex_getBatchByNumber, nil for null.
func (r *running) batchOf(number uint64) *batchAnswer {
	r.t.Helper()
	var b *batchAnswer
	r.call(&b, "ethrex_getBatchByNumber", hexutil.Uint64(number), true)
	return b
}

// verifiedBatch waits until the L1 has verified a batch.
func (r *running) verifiedBatch(number uint64) *batchAnswer {
	r.t.Helper()
	var b *batchAnswer
	r.eventually(fmt.Sprintf("batch %d is verified", number), func() bool {
		b = r.batchOf(number)
		return b != nil && b.VerifyTx != nil
	})
	return b
}

// balance is what an account has on the L2.
func (r *running) balance(a common.Address) *big.Int {
	r.t.Helper()
	var wei hexutil.Big
	r.call(&wei, "eth_getBalance", a, "latest")
	return wei.ToInt()
}

// ask asks for work as a prover does.
func (r *running) ask(commit, kind string) (coordinator.Message, []byte) {
	r.t.Helper()
	var answer bytes.Buffer
	m, _, err := coordinator.Ask(r.t.Context(), r.address, coordinator.Request(coordinator.BatchRequest, commit, kind), &answer)
	if err != nil {
		r.t.Fatalf("%v; log:\n%s", err, r.log)
	}
	return m, answer.Bytes()
}

// given waits for work and returns the batch.
func (r *running) given() batch.Batch {
	r.t.Helper()
	var b batch.Batch
	r.eventually("a batch is given out", func() bool {
		m, doc := r.ask(commit, execProof)
		if !m.HasInput() {
			return false
		}
		var err error
		if b, err = batch.Decode(bytes.NewReader(doc[m.InputBegin:m.InputEnd])); err != nil {
			r.t.Fatal(err)
		}
		b.Number = m.Batch
		return true
	})
	return b
}

// submit submits a document and returns what came.
func (r *running) submit(doc []byte) (coordinator.Message, error) {
	r.t.Helper()
	m, _, err := coordinator.Ask(r.t.Context(), r.address, doc, new(bytes.Buffer))
	return m, err
}

// proofOf is a proof as exec provers send it.
func proofOf(number uint64, public []byte) []byte {
	values := make([]int, len(public))
	for i, b := range public {
		values[i] = int(b)
	}
	list, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"ProofSubmit":{"batch_number":%d,"batch_proof":{"ProofBytes":{"prover_type":"Exec","proof":[],"public_values":%s}}}}`, number, list)
}

// prove executes the next batch and submits the proof.
func (r *running) prove() uint64 {
	r.t.Helper()
	b := r.given()
	public, err := batch.Execute(r.t.Context(), b)
	if err != nil {
		r.t.Fatalf("batch %d: %v", b.Number, err)
	}
	words := public.Encode()
	if m, err := r.submit(proofOf(b.Number, words[:])); err != nil || m.Kind != coordinator.ProofSubmitACK || m.Batch != b.Number {
		r.t.Fatalf("submitting batch %d: %+v, %v", b.Number, m, err)
	}
	return b.Number
}

// proveThrough proves batches until one is verified.
func (r *running) proveThrough(number uint64) {
	r.t.Helper()
	for r.prove() < number {
	}
	r.verifiedBatch(number)
}

// send sends n transfers from an account, its nonces beginning with nonce, and
// waits until they are in blocks.
func (r *running) send(from load.Account, nonce, n uint64) {
	r.t.Helper()
	signer := types.LatestSignerForChainID(new(big.Int).SetUint64(genesis.L2ChainID))
	for i := range n {
		tx := types.MustSignNewTx(from.Key, signer, &types.DynamicFeeTx{
			ChainID: new(big.Int).SetUint64(genesis.L2ChainID), Nonce: nonce + i, Gas: params.TxGas, To: &common.Address{1, byte(i)},
			Value: big.NewInt(1000), GasFeeCap: big.NewInt(params.GWei), GasTipCap: big.NewInt(10),
		})
		raw, err := tx.MarshalBinary()
		if err != nil {
			r.t.Fatal(err)
		}
		r.call(nil, "eth_sendRawTransaction", hexutil.Bytes(raw))
	}
	r.eventually("the transactions are in blocks", func() bool {
		var have hexutil.Uint64
		r.call(&have, "eth_getTransactionCount", from.Address, "latest")
		return uint64(have) >= nonce+n
	})
}

// page fetches a page over HTTP.
func (r *running) page(url string) (int, string) {
	r.t.Helper()
	res, err := http.Get(url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, body.String()
}

// breakable passes requests on to target until it is told not to.
func breakable(t *testing.T, target string) (url_ string, broken *atomic.Bool) {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	broken = new(atomic.Bool)
	proxy := httputil.NewSingleHostReverseProxy(to)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			http.Error(w, "out of order", http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, broken
}

// edit changes a JSON file of the data directory.
func edit(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	change(v)
	if raw, err = json.Marshal(v); err == nil {
		err = os.WriteFile(path, raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
