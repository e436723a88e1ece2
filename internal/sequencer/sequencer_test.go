package sequencer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// Deposits are credited, transactions are included, batches are committed,
// proved and verified, and everything that tells of a batch tells the same.
func TestSequencer_batches(t *testing.T) {
	chain := startL1(t)
	a, b := senderOf(0), senderOf(1)
	o := options(t, chain.RPC(), deploy(t, chain.RPC(), a, b))
	r := run(t, o)

	half := new(big.Int).Mul(big.NewInt(5e8), big.NewInt(params.Ether))
	r.eventually("the deposits are credited", func() bool {
		return r.balance(a.Address).Cmp(half) == 0 && r.balance(b.Address).Cmp(half) == 0
	})
	r.send(a, 0, 30)
	r.send(b, 0, 30)
	var loaded uint64
	r.eventually("all transactions are in batches", func() bool {
		loaded = 0
		transactions := 0
		for n := uint64(1); ; n++ {
			batch := r.batchOf(n)
			if batch == nil {
				return transactions == 60
			}
			transactions += batch.Transactions
			if batch.Transactions > 0 {
				loaded = n
			}
		}
	})
	r.proveThrough(loaded)
	r.checkBatches(loaded)
	for _, line := range []string{
		" INFO Starting Sequencer in Sequencing mode\n", " INFO Exec proof needed\n", " INFO Starting TCP server at 127.0.0.1:",
		" INFO Starting metrics server on 127.0.0.1:", " INFO Starting HTTP server at 127.0.0.1:",
		" INFO Built payload for new block 1\n", fmt.Sprintf(" INFO Initiating mint transaction for %x with value %x and transactionId: 1\n", a.Address, half),
		" INFO Generating and storing witness for batch 1 first_block=1 last_block=",
		" INFO Sending batch verification transaction to L1 batch_number=1\n",
		" INFO Sent batch verification transaction to L1 batch_number=1 verify_tx_hash=0x",
	} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log has no %q", line)
		}
	}
}

// checkBatches holds what the RPC and the metrics page say of the batches
// against their blocks.
func (r *running) checkBatches(last uint64) {
	r.t.Helper()
	_, metrics := r.page(r.Addresses().Metrics + "/metrics")
	next := uint64(1)
	for n := uint64(1); n <= last; n++ {
		b := r.batchOf(n)
		if b.Number != n || b.FirstBlock != next || b.CommitTx == nil || uint64(len(b.BlockHashes)) != b.LastBlock-b.FirstBlock+1 {
			r.t.Fatalf("batch %d = %+v, want it to begin with block %d", n, b, next)
		}
		var gas uint64
		transactions := 0
		for ; next <= b.LastBlock; next++ {
			var block struct {
				GasUsed      hexutil.Uint64
				Transactions []any
			}
			r.call(&block, "eth_getBlockByNumber", hexutil.Uint64(next), false)
			gas += uint64(block.GasUsed)
			transactions += len(block.Transactions)
			var by *batchAnswer
			r.call(&by, "ethrex_getBatchByBlock", hexutil.Uint64(next))
			if by == nil || by.Number != n {
				r.t.Fatalf("block %d is in batch %+v, want %d", next, by, n)
			}
		}
		if transactions != b.Transactions {
			r.t.Errorf("batch %d has %d transactions, its blocks have %d", n, b.Transactions, transactions)
		}
		for name, want := range map[string]uint64{
			batchGasUsed: gas, batchTxCount: uint64(transactions), batchSize: b.LastBlock - b.FirstBlock + 1,
		} {
			if line := fmt.Sprintf("%s{batch_number=\"%d\"} %d\n", name, n, want); !strings.Contains(metrics, line) {
				r.t.Errorf("the metrics have no %s", line)
			}
		}
		for _, name := range []string{batchCommitmentGas, batchVerificationGas, batchProvingTime} {
			if line := fmt.Sprintf("%s{batch_number=\"%d\"} ", name, n); !strings.Contains(metrics, line) {
				r.t.Errorf("the metrics have no %s", line)
			}
		}
	}
	if status, body := r.page(r.Addresses().Metrics + "/health"); status != http.StatusOK || body != "Service Up" {
		r.t.Errorf("/health = %d %q", status, body)
	}
}

// The methods answer in ethrex's form, wrong arguments included.
func TestSequencer_rpc(t *testing.T) {
	chain := startL1(t)
	r := run(t, options(t, chain.RPC(), deploy(t, chain.RPC(), senderOf(0))))
	r.verifiedBatchAfter(1)

	var raw map[string]any
	r.call(&raw, "ethrex_getBatchByNumber", "0x1", false)
	for _, name := range []string{
		"number", "first_block", "last_block", "state_root", "l1_in_messages_rolling_hash", "l2_in_message_rolling_hashes",
		"l1_out_message_hashes", "non_privileged_transactions", "balance_diffs", "blobs_bundle", "commit_tx", "verify_tx",
	} {
		if _, ok := raw[name]; !ok {
			t.Errorf("the batch has no %s", name)
		}
		delete(raw, name)
	}
	if len(raw) > 0 {
		t.Errorf("the batch has %v beside", raw)
	}
	var none json.RawMessage
	r.call(&none, "ethrex_getBatchByNumber", "0xffff", false)
	if string(none) != "null" {
		t.Errorf("a batch that there is not = %s", none)
	}
	r.call(&none, "ethrex_getBatchByBlock", "0xffffff")
	if string(none) != "null" {
		t.Errorf("the batch of a block that there is not = %s", none)
	}
	var newest *hexutil.Uint64
	if r.call(&newest, "ethrex_batchNumber"); newest == nil || *newest == 0 {
		t.Errorf("the newest batch is %v", newest)
	}
	var answer *ethrpc.Error
	err := r.rpc.Call(t.Context(), nil, "ethrex_getBatchByNumber", "0x1")
	if !errors.As(err, &answer) || answer.Code != -32000 || answer.Message != "Invalid params: Expected 2 params" {
		t.Errorf("one argument: %v", err)
	}
}

// verifiedBatchAfter proves batches until the given one is verified.
func (r *running) verifiedBatchAfter(number uint64) {
	r.t.Helper()
	r.proveThrough(number)
}

// A wrong proof is refused by the L1 and deleted, and the batch is given out
// again, whichever form the proof has.
func TestSequencer_wrongProof(t *testing.T) {
	chain := startL1(t)
	r := run(t, options(t, chain.RPC(), deploy(t, chain.RPC())))
	empty := []byte(`{"ProofSubmit":{"batch_number":1,"batch_proof":{"ProofCalldata":{"prover_type":"Exec","calldata":[{"Bytes":[]}]}}}}`)
	wrong := make([]byte, 192)
	for i, doc := range [][]byte{empty, proofOf(1, wrong)} {
		if b := r.given(); b.Number != 1 {
			t.Fatalf("given batch %d, want 1", b.Number)
		}
		if m, err := r.submit(doc); err != nil || m.Kind != coordinator.ProofSubmitACK {
			t.Fatalf("submitting: %+v, %v", m, err)
		}
		r.eventually("the proof is deleted", func() bool {
			return strings.Count(r.log.String(), "WARN Deleting invalid Exec proof\n") == i+1
		})
	}
	if r.batchOf(1).VerifyTx != nil {
		t.Error("the batch counts as verified")
	}
	r.proveThrough(1)
}

// A wrong proof that no transaction can hold never reaches the contract. It is
// deleted all the same: otherwise nothing would ever be proved again.
func TestSequencer_hugeProof(t *testing.T) {
	chain := startL1(t)
	r := run(t, options(t, chain.RPC(), deploy(t, chain.RPC())))
	r.given()
	if _, err := r.submit(proofOf(1, make([]byte, limits().Request))); err == nil {
		t.Error("a request beyond the limit is answered")
	}
	r.logs("the request is longer than")
	// One that was taken nevertheless, perhaps by another version.
	huge := proof{Batch: 1, Type: execProof, Public: bytes.Repeat([]byte{0xff}, 600_000)}
	if fresh, err := r.files.addProof(huge); err != nil || !fresh {
		t.Fatalf("addProof = %v, %v", fresh, err)
	}
	r.logs("Failed to send verification of batch 1: verifying batch 1: L1 at ") // and not: reverted
	r.logs("WARN Deleting invalid Exec proof\n")
	r.proveThrough(1)
}

// Connections that say nothing do not keep provers out.
func TestSequencer_silentConnections(t *testing.T) {
	chain := startL1(t)
	r := run(t, options(t, chain.RPC(), deploy(t, chain.RPC())))
	silent := make([]net.Conn, 1000)
	for i := range silent {
		c, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent[i] = c
	}
	r.proveThrough(1)
	// Not because the coordinator had given up on them meanwhile.
	if err := silent[0].SetReadDeadline(time.Now().Add(tick)); err != nil {
		t.Fatal(err)
	}
	if _, err := silent[0].Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the first silent connection: %v", err)
	}
}

// The coordinator answers every prover in the protocol's words.
func TestSequencer_provers(t *testing.T) {
	chain := startL1(t)
	o := options(t, chain.RPC(), deploy(t, chain.RPC()))
	o.SendInterval = time.Hour // proofs stay where they are
	o.CommitTime = time.Hour
	r := run(t, o)
	if m, _ := r.ask(commit, execProof); m.Kind != coordinator.BatchResponse || m.HasBatch {
		t.Errorf("before the first batch: %+v", m)
	}
	if m, _ := r.ask(strings.Repeat("f", 40), execProof); m.Kind != coordinator.VersionMismatch {
		t.Errorf("another commit before the first batch: %+v", m)
	}
	r.eventually("there is a block", func() bool {
		var n hexutil.Uint64
		r.call(&n, "eth_blockNumber")
		return n > 0
	})
	if status, body := r.page(r.Addresses().Admin + "/committer/start"); status != http.StatusOK || body != `"ok"` {
		t.Fatalf("/committer/start = %d %q", status, body)
	}
	if b := r.given(); b.Number != 1 {
		t.Fatalf("given batch %d, want 1", b.Number)
	}
	if m, _ := r.ask(strings.Repeat("f", 40), execProof); m.Kind != coordinator.VersionMismatch {
		t.Errorf("another commit: %+v", m)
	}
	if m, doc := r.ask(commit, "SP1"); m.Kind != coordinator.TypeNotNeeded || string(doc) != `{"ProverTypeNotNeeded":{"prover_type":"SP1"}}` {
		t.Errorf("another type: %+v %s", m, doc)
	}
	if _, err := r.submit(proofOf(7, nil)); !errors.Is(err, coordinator.ErrEmpty) {
		t.Errorf("a proof of a batch that there is not: %v", err)
	}
	r.logs("ERROR Failed to handle ProofSubmit: there is no batch 7\n")
	for range 2 {
		if m, err := r.submit(proofOf(1, []byte{1})); err != nil || m.Kind != coordinator.ProofSubmitACK || m.Batch != 1 {
			t.Errorf("a proof: %+v, %v", m, err)
		}
	}
	if p, ok := r.files.proof(1, execProof); !ok || !bytes.Equal(p.Public, []byte{1}) {
		t.Errorf("the kept proof is %+v, %v", p, ok)
	}
	if m, _ := r.ask(commit, execProof); m.HasBatch {
		t.Errorf("with a proof kept: %+v", m)
	}
}

// The committer stops and starts as the admin server is told.
func TestSequencer_admin(t *testing.T) {
	chain := startL1(t)
	r := run(t, options(t, chain.RPC(), deploy(t, chain.RPC())))
	get := func(path string, wantStatus int, wantBody string) {
		t.Helper()
		if status, body := r.page(r.Addresses().Admin + path); status != wantStatus || body != wantBody {
			t.Errorf("%s = %d %q, want %d %q", path, status, body, wantStatus, wantBody)
		}
	}
	committer := func() (state struct {
		Running bool   `json:"running"`
		Last    uint64 `json:"last_committed_batch"`
		Time    int64  `json:"commit_time_ms"`
	}) {
		t.Helper()
		_, body := r.page(r.Addresses().Admin + "/health")
		var health map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &health); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"l1_committer", "l1_watcher", "l1_proof_sender", "block_producer", "metrics_gatherer"} {
			if health[part] == nil {
				t.Errorf("/health lacks %s", part)
			}
		}
		if err := json.Unmarshal(health["l1_committer"], &state); err != nil {
			t.Fatal(err)
		}
		return state
	}
	r.eventually("a batch is committed", func() bool { return committer().Last > 0 })
	get("/committer/stop", http.StatusOK, `"ok"`)
	if s := committer(); s.Running || s.Time != 250 {
		t.Errorf("after the stop: %+v", s)
	}
	get("/admin/health", http.StatusOK, "OK")
	get("/no/such", http.StatusNotFound, "Method /no/such does not exist")
	get("/committer/start/soon", http.StatusInternalServerError, `"delay \"soon\": want milliseconds"`)
	get("/committer/start/3600000", http.StatusOK, `"ok"`)
	if s := committer(); !s.Running {
		t.Errorf("after the start: %+v", s)
	}
	last := committer().Last
	get("/committer/start", http.StatusOK, `"ok"`)
	r.eventually("another batch is committed", func() bool { return committer().Last > last })
}

// A sequencer goes on where it was, with what the L1 has and it did not see.
func TestSequencer_restart(t *testing.T) {
	chain := startL1(t)
	o := options(t, chain.RPC(), deploy(t, chain.RPC(), senderOf(0)))
	r := run(t, o)
	r.proveThrough(2)
	r.send(senderOf(0), 0, 3)
	before := r.batchOf(2)
	r.stop()

	// As after a kill between the L1's receipt and the note of it.
	last, _ := r.files.last()
	for n := uint64(2); n <= last.Number; n++ {
		edit(t, filepath.Join(o.Node.DataDir, "rollup", fmt.Sprintf("batch-%d.json", n)), func(v map[string]any) {
			v["commit_tx"], v["verify_tx"] = nil, nil
		})
	}
	r = run(t, o)
	after := r.batchOf(2)
	if after == nil || after.CommitTx == nil || after.VerifyTx == nil || *after.CommitTx != *before.CommitTx || *after.VerifyTx != *before.VerifyTx {
		t.Fatalf("batch 2 was %+v, and is after the restart %+v", before, after)
	}
	r.send(senderOf(0), 3, 3)
	r.proveThrough(last.Number + 2)
	// The deposit was credited once.
	half := new(big.Int).Mul(big.NewInt(5e8), big.NewInt(params.Ether))
	if have := r.balance(senderOf(0).Address); have.Cmp(half) >= 0 {
		t.Errorf("the depositor has %d, more than it deposited", have)
	}
}

// What does not belong together is refused, and what to remove is said.
func TestSequencer_doesNotBelong(t *testing.T) {
	chain := startL1(t)
	d := deploy(t, chain.RPC())
	o := options(t, chain.RPC(), d)
	r := run(t, o)
	r.proveThrough(1)
	r.stop()

	check := func(name string, o Options, want string) {
		t.Helper()
		s, err := Start(t.Context(), o)
		if err == nil {
			t.Errorf("%s: it starts", name)
			s.Close()
			return
		}
		if fault.KindOf(err) != fault.Prerequisite && fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), want) || len(fault.HintsOf(err)) == 0 {
			t.Errorf("%s: %v, hints %q, want %q", name, err, fault.HintsOf(err), want)
		}
	}
	again := startL1(t)
	redeployed := o
	redeployed.L1 = again.RPC()
	check("an L1 without the contract", redeployed, "there is no OnChainProposer at")
	// The same contracts at the same addresses, on an L1 that began anew.
	other := deploy(t, again.RPC())
	redeployed.Proposer, redeployed.Bridge = other.Proposer, other.Bridge
	check("an L1 that began anew", redeployed, "block 1 of that L1 is")

	second := deploy(t, chain.RPC())
	moved := o
	moved.Proposer, moved.Bridge = second.Proposer, second.Bridge
	check("another deployment", moved, "its batches are committed to the OnChainProposer")

	genesisOf := o
	genesisOf.Node.Genesis = genesis.L2()
	genesisOf.Node.Genesis.ExtraData = []byte("another")
	check("another genesis", genesisOf, "holds another chain")

	fresh := o
	fresh.Node.DataDir = t.TempDir()
	check("an L2 that began anew", fresh, "the L1 has batch 1, which the L2 has not")

	swapped := moved
	swapped.Node.DataDir = fresh.Node.DataDir
	swapped.Proposer, swapped.Bridge = moved.Bridge, moved.Proposer
	check("addresses swapped", swapped, "is no OnChainProposer")
	swapped.Proposer = moved.Proposer
	check("another contract as the bridge", swapped, "is no CommonBridge")
	swapped.Bridge = common.HexToAddress("0xb1d9e")
	check("no bridge", swapped, "there is no CommonBridge at")

	others := moved
	others.Node.DataDir = t.TempDir()
	others.Node.Genesis = genesis.L2()
	others.Node.Genesis.Alloc[common.Address{1}] = types.Account{Balance: common.Big1}
	check("contracts for another genesis", others, "deployed for a rollup that begins with the state root")

	stranger := o
	stranger.ProofSender = senderOf(3)
	if _, err := Start(t.Context(), stranger); fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "the proof sender is") {
		t.Errorf("a stranger's key: %v", err)
	}
	gone := o
	gone.L1 = "http://127.0.0.1:1"
	if _, err := Start(t.Context(), gone); fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("no L1: %v", err)
	}
	taken := o
	taken.AdminAddr = chain.RPC()[len("http://"):]
	check("a taken port", taken, "--admin-server.port: listening on")
	run(t, o).proveThrough(2)

	// What was refused belongs to nobody yet.
	fresh.Proposer, fresh.Bridge = moved.Proposer, moved.Bridge
	run(t, fresh).proveThrough(1)
}

// An L1 that does not answer for a while holds batches and proofs back, and
// costs nothing else.
func TestSequencer_l1Away(t *testing.T) {
	chain := startL1(t)
	url, broken := breakable(t, chain.RPC())
	r := run(t, options(t, url, deploy(t, chain.RPC())))
	r.proveThrough(1)
	broken.Store(true)
	// The committer may be waiting for a receipt just then, and is silent.
	r.logs("ERROR L1 watcher: ")
	var before, after hexutil.Uint64
	r.call(&before, "eth_blockNumber")
	r.eventually("blocks are made", func() bool {
		r.call(&after, "eth_blockNumber")
		return after > before+3
	})
	broken.Store(false)
	r.proveThrough(r.files.verified() + 3)
}

// A node that was killed after it had executed a block and before it noted that
// the block is its head stands on that block again.
func TestChain_restoreHead(t *testing.T) {
	chain := startL1(t)
	o := options(t, chain.RPC(), deploy(t, chain.RPC()))
	o.BlockTime = time.Hour // the test makes the blocks
	r := run(t, o)
	head, err := r.chain.header(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	p := &producer{chain: r.chain, head: head}
	payload, err := p.attempt(t.Context(), nil, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if outcome, err := r.chain.engine.NewPayload(t.Context(), payload); err != nil || valid(outcome) != nil {
		t.Fatalf("NewPayload = %+v, %v", outcome, err)
	}
	stored := fmt.Appendf(nil, `{"number":"%#x","hash":"%s"}`, payload.Number, payload.Hash)
	if err := os.WriteFile(r.chain.headFile, stored, 0o644); err != nil {
		t.Fatal(err)
	}
	if head, err = r.chain.header(t.Context(), "latest"); err != nil || head.Hash == payload.Hash {
		t.Fatalf("before: head %+v, %v", head, err)
	}
	if err := r.chain.restoreHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if head, err = r.chain.header(t.Context(), "latest"); err != nil || head.Hash != payload.Hash {
		t.Errorf("after: head %+v, %v, want block %d %s", head, err, payload.Number, payload.Hash)
	}
}
