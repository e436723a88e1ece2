package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// richKey is a public test key. Its account is rich on the built-in chain of
// these tests; on anvil another one is.
const (
	richKey  = "0000000000000000000000000000000000000000000000000000000000000001"
	anvilKey = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
)

// chainNode is a running node with somebody who pays.
type chainNode struct {
	t    *testing.T
	url  string
	rpc  *ethrpc.Client
	args []string
	stop func()
}

// external is the program that the environment names, as make test does.
func external(t *testing.T, variable string) string {
	t.Helper()
	name := os.Getenv(variable)
	if name == "" {
		if os.Getenv("CI") == "true" || os.Getenv("VERDICT_REQUIRE") != "" {
			t.Fatalf("set %s, as make test does", variable)
		}
		t.Skipf("set %s, as make test does", variable)
	}
	return name
}

// openNode waits until the node answers.
func openNode(t *testing.T, url string, args ...string) *chainNode {
	t.Helper()
	rpc, err := ethrpc.NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rpc.Close)
	n := &chainNode{t: t, url: url, rpc: rpc, args: args}
	n.answers()
	return n
}

// answers waits until the node answers.
func (n *chainNode) answers() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	var id hexutil.Big
	err := ethrpc.Until(ctx, func(error) bool { return false }, func() error { return n.rpc.Call(ctx, &id, "eth_chainId") })
	if err != nil {
		n.t.Fatalf("%s does not answer: %v", n.url, err)
	}
}

// call makes a call that must succeed.
func (n *chainNode) call(result any, method string, params ...any) {
	n.t.Helper()
	if err := n.rpc.Call(n.t.Context(), result, method, params...); err != nil {
		n.t.Fatalf("%s: %v", method, err)
	}
}

// nonce is the number of the account's transactions in blocks.
func (n *chainNode) nonce(a common.Address) uint64 {
	n.t.Helper()
	var nonce hexutil.Uint64
	n.call(&nonce, "eth_getTransactionCount", a, "latest")
	return uint64(nonce)
}

// startDevGeth starts the real geth in dev mode with a block a second. Its own
// account pays. stop ends it as a user would.
func startDevGeth(t *testing.T, args ...string) *chainNode {
	t.Helper()
	return startDevGethIn(t, t.TempDir(), freePort(t), args...)
}

func startDevGethIn(t *testing.T, dir, port string, args ...string) *chainNode {
	t.Helper()
	geth := start(t, dir, external(t, "VERDICT_GETH"), append([]string{
		"--dev", "--dev.period", "1", "--dev.gaslimit", "60000000", "--datadir", "geth",
		"--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable", "--authrpc.port", freePort(t),
		"--http", "--http.port", port, "--http.api", "eth,net,web3,txpool",
	}, args...)...)
	n := openNode(t, "http://127.0.0.1:"+port, "--node-account")
	n.stop = func() {
		geth.cmd.Process.Signal(os.Interrupt)
		geth.cmd.Wait()
	}
	return n
}

// startAnvil starts the real anvil. Its first account, whose key everybody
// knows, pays.
func startAnvil(t *testing.T, args ...string) *chainNode {
	t.Helper()
	port := freePort(t)
	start(t, t.TempDir(), external(t, "VERDICT_ANVIL"), append([]string{"--host", "127.0.0.1", "--port", port, "--silent"}, args...)...)
	return openNode(t, "http://127.0.0.1:"+port, "--rich-key", keyFile(t, anvilKey))
}

// startBuiltIn starts the built-in node and a driver that makes a block of what
// its pool holds, over and over.
func startBuiltIn(t *testing.T) *chainNode {
	t.Helper()
	dir := t.TempDir()
	network := filepath.Join(dir, "genesis.json")
	if err := os.WriteFile(network, richGenesis(t), 0o644); err != nil {
		t.Fatal(err)
	}
	addresses, secret := filepath.Join(dir, "addresses.json"), filepath.Join(dir, "jwt.hex")
	start(t, dir, "verdict", "devnet", "node", "--network", network, "--datadir", filepath.Join(dir, "data"),
		"--http.port", "0", "--authrpc.port", "0", "--authrpc.jwtsecret", secret, "--addresses", addresses)
	var urls struct{ RPC, Engine string }
	eventually(t, time.Minute, func() bool {
		raw, err := os.ReadFile(addresses)
		return err == nil && json.Unmarshal(raw, &urls) == nil
	})
	start(t, dir, "verdict", "devnet", "drive", "--gas", "0", "--slot", "800ms", "--build-time", "500ms", "--authrpc.jwtsecret", secret,
		"--client", fmt.Sprintf("node=%s,%s", urls.RPC, urls.Engine))
	return openNode(t, urls.RPC, "--rich-key", keyFile(t, richKey))
}

// richGenesis is the small local genesis with an account that can afford even
// the fee cap of load_test.
func richGenesis(t *testing.T) []byte {
	t.Helper()
	g, err := genesis.Small()
	if err != nil {
		t.Fatal(err)
	}
	rich, err := load.ParseKey(richKey)
	if err != nil {
		t.Fatal(err)
	}
	// Blocks that are small enough to be built in time on a busy machine.
	g.GasLimit = 30_000_000
	g.Alloc[rich.Address] = types.Account{Balance: new(big.Int).Lsh(big.NewInt(1), 120)}
	var out bytes.Buffer
	if err := genesis.Write(&out, g); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func keyFile(t *testing.T, keys ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(name, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// totals is the part of a JSON line that the tests look at.
type totals struct {
	Kind    string
	Pending int64
	Waiting int64
	Note    string
	Total   struct {
		Offered, Accepted, Included, Reverted, Dropped, Abandoned, Resent, Unanswered int64

		Rejected map[string]int64
	}
	Load struct{ State, Error string }
}

// checks fails the test unless the figures add up.
func (r totals) checks(t *testing.T) {
	t.Helper()
	if x := r.Total; x.Accepted != x.Included+r.Pending+x.Dropped ||
		x.Offered != x.Included+r.Pending+r.Waiting+x.Abandoned {
		t.Errorf("the figures do not add up: %+v", r)
	}
}

// loadRun is a verdict load with --json as a process of its own.
type loadRun struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout io.ReadCloser
	done   chan struct{}

	mu     sync.Mutex
	stderr bytes.Buffer
	lines  []totals
}

// Write takes what the program says on stderr.
func (r *loadRun) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.Write(p)
}

// startLoad starts a load on the node.
func (n *chainNode) startLoad(args ...string) *loadRun {
	n.t.Helper()
	args = append([]string{"load", "-n", n.url, "--json", "--interval", "100ms"}, append(args, n.args...)...)
	r := &loadRun{t: n.t, cmd: exec.Command("verdict", args...), done: make(chan struct{})}
	r.cmd.Stderr = r
	var err error
	if r.stdout, err = r.cmd.StdoutPipe(); err != nil {
		n.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go r.read()
	n.t.Cleanup(func() {
		r.cmd.Process.Kill()
		<-r.done
		r.cmd.Wait()
	})
	return r
}

// read takes in the lines until the program closes them.
func (r *loadRun) read() {
	defer close(r.done)
	lines := json.NewDecoder(r.stdout)
	for {
		var line totals
		if err := lines.Decode(&line); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				r.t.Errorf("a line of the load: %v", err)
			}
			return
		}
		r.mu.Lock()
		r.lines = append(r.lines, line)
		r.mu.Unlock()
	}
}

// last is the newest line, and whether there is one.
func (r *loadRun) last() (totals, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == 0 {
		return totals{}, false
	}
	return r.lines[len(r.lines)-1], true
}

// includes waits until so many transactions are included.
func (r *loadRun) includes(n int64) {
	r.t.Helper()
	eventually(r.t, time.Minute, func() bool {
		line, ok := r.last()
		return ok && line.Total.Included >= n
	})
}

func (r *loadRun) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

// ends waits for the exit status and returns the totals. Every line must have
// added up.
func (r *loadRun) ends(status int) totals {
	r.t.Helper()
	<-r.done
	r.cmd.Wait()
	if got := r.cmd.ProcessState.ExitCode(); got != status {
		r.t.Fatalf("exit status %d, want %d; stderr:\n%s", got, status, r.said())
	}
	for _, line := range r.lines {
		line.checks(r.t)
	}
	line, ok := r.last()
	if status == 0 && (!ok || line.Kind != "total") {
		r.t.Fatalf("no totals; stderr:\n%s", r.said())
	}
	return line
}

// included checks that all n transactions are included, none reverted.
func (r *loadRun) included(n int64) totals {
	r.t.Helper()
	line := r.ends(0)
	if x := line.Total; x.Offered != n || x.Included != n || x.Reverted != 0 || line.Load.State != "done" {
		r.t.Errorf("of %d transactions: %+v; stderr:\n%s", n, line, r.said())
	}
	return line
}

// together runs tests at the same time, however few processors there are: they
// mostly wait for blocks.
func together(t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	var running sync.WaitGroup
	for name, test := range tests {
		running.Go(func() { t.Run(name, test) })
	}
	running.Wait()
}

// Every type of load is included whole on every program.
func TestLoad_types(t *testing.T) {
	together(t, map[string]func(*testing.T){
		"built-in": func(t *testing.T) { allTypes(startBuiltIn(t), true) },
		"geth":     func(t *testing.T) { allTypes(startDevGeth(t, "--rpc.txfeecap", "0"), true) },
		// Nobody on anvil can afford load_test's fee cap.
		"anvil": func(t *testing.T) { allTypes(startAnvil(t, "--block-time", "1", "--gas-limit", "60000000"), false) },
	})
}

// allTypes sends 500 transactions of each type, one type after the other.
func allTypes(n *chainNode, legacy bool) {
	run := func(kind load.Type, args ...string) *loadRun {
		return n.startLoad(append([]string{"-t", string(kind), "-N", "50", "--accounts", "10", "-w", "1"}, args...)...)
	}
	for _, kind := range load.Types {
		var args []string
		if kind == load.WitnessHeavy {
			args = []string{"--heavy-codes", "4", "--heavy-slots", "20"}
		}
		run(kind, args...).included(500)
	}
	if !legacy {
		return
	}
	r := run(load.Fibonacci, "--legacy")
	line := r.ends(0)
	if x := line.Total; x.Included != 500 || x.Reverted != 500 {
		n.t.Errorf("of 500 legacy calls: %+v", line)
	}
	if want := "500 of 500 included transactions reverted\n  as all of load_test's"; !strings.Contains(r.said(), want) {
		n.t.Errorf("stderr does not say %q:\n%s", want, r.said())
	}
}

// What can go wrong, and what users ask for beside it, on real programs.
func TestLoad_behavior(t *testing.T) {
	together(t, map[string]func(*testing.T){
		"drop-in":           loadDropIn,
		"node-away":         loadNodeAway,
		"small-pool":        loadSmallPool,
		"base-fee":          loadBaseFee,
		"fee-cap":           loadFeeCap,
		"contract-gone":     loadContractGone,
		"refund":            loadRefund,
		"interrupted":       loadInterrupted,
		"interrupted-twice": loadInterruptedTwice,
		"stalled":           loadStalled,
	})
}

// A script written for load_test keeps working when the program's name is
// exchanged: the same flags, and the environment with flags winning.
func loadDropIn(t *testing.T) {
	n := startAnvil(t, "--block-time", "1")
	accounts := load.Derive(mustKey(t, anvilKey).Key, 7, 3)
	var keys []string
	for i, a := range accounts {
		n.call(nil, "anvil_setBalance", a.Address, hexutil.EncodeBig(new(big.Int).Lsh(big.NewInt(1), 70)))
		keys = append(keys, []string{"", "0x"}[i%2]+hex.EncodeToString(crypto.FromECDSA(a.Key)))
	}
	script := `set -e
LOAD_TEST="${LOAD_TEST:-load_test}"
$LOAD_TEST -k "$KEYS" -t eth-transfers
$LOAD_TEST --pkeys "$KEYS" --test-type io-heavy --tx-amount 5 --wait 1
LOAD_TEST_ENDLESS=true $LOAD_TEST -n "$LOAD_TEST_RPC_URL" -k "$KEYS" -N 7 -w 2 --endless=false
`
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "LOAD_TEST=verdict load", "KEYS="+keyFile(t, keys...),
		"LOAD_TEST_RPC_URL="+n.url, "LOAD_TEST_TX_AMOUNT=30")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, a := range accounts {
		// The first deploys the two contracts and mints for all.
		want := uint64(30 + 5 + 7)
		if i == 0 {
			want += 3
		}
		if got := n.nonce(a.Address); got != want {
			t.Errorf("account %d has sent %d transactions, want %d\n%s", i, got, want, out)
		}
	}
	for _, key := range keys {
		if bytes.Contains(out, []byte(strings.TrimPrefix(key, "0x"))) {
			t.Error("a private key is in the output")
		}
	}
}

func mustKey(t *testing.T, text string) load.Account {
	t.Helper()
	a, err := load.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A node that goes away for some seconds, its pool with it, costs nothing but
// the time.
func loadNodeAway(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	n := startDevGethIn(t, dir, port)
	r := n.startLoad("-t", "eth-transfers", "-N", "200", "--accounts", "10", "--tps", "400", "-w", "1")
	r.includes(400)
	n.stop()
	eventually(t, time.Minute, func() bool {
		line, _ := r.last()
		return strings.Contains(line.Note, "does not answer")
	})
	startDevGethIn(t, dir, port)
	r.included(2000)
	if !strings.Contains(r.said(), "does not answer") {
		t.Errorf("stderr does not say that the node was away:\n%s", r.said())
	}
}

// A pool of 100 transactions takes everything in the end.
func loadSmallPool(t *testing.T) {
	n := startDevGeth(t, "--txpool.globalslots", "100", "--txpool.globalqueue", "10", "--txpool.accountslots", "4")
	line := n.startLoad("-t", "eth-transfers", "-N", "25", "--accounts", "20", "-w", "1").included(500)
	if line.Total.Dropped == 0 && len(line.Total.Rejected) == 0 {
		t.Error("the pool was never too small: nothing was tested")
	}
}

// A base fee that multiplies is followed up to the cap.
func loadBaseFee(t *testing.T) {
	n := startAnvil(t, "--block-time", "1")
	r := n.startLoad("-t", "eth-transfers", "-N", "100", "--accounts", "5", "--tps", "200", "-w", "1", "--fund", "5", "--fee-cap", "1000")
	r.includes(200)
	const twentyfold = 20_000_000_000
	n.call(nil, "anvil_setNextBlockBaseFeePerGas", hexutil.Uint64(twentyfold))
	r.included(500)
}

// Above the cap the load waits, says so, and gives up after --wait.
func loadFeeCap(t *testing.T) {
	n := startAnvil(t, "--block-time", "1", "--block-base-fee-per-gas", "1000000000")
	r := n.startLoad("-t", "eth-transfers", "-N", "1000", "--accounts", "2", "--tps", "50", "-w", "0.1", "--fund", "5", "--fee-cap", "20")
	r.includes(50)
	const above = 900_000_000_000
	n.call(nil, "anvil_setNextBlockBaseFeePerGas", hexutil.Uint64(above))
	r.ends(1)
	for _, want := range []string{"nothing was included for 6s", "base fee"} {
		if !strings.Contains(r.said(), want) {
			t.Errorf("stderr does not say %q:\n%s", want, r.said())
		}
	}
}

// A contract that a reorg takes away ends the load, which says so.
func loadContractGone(t *testing.T) {
	n := startAnvil(t, "--block-time", "1")
	var snapshot string
	n.call(&snapshot, "evm_snapshot")
	r := n.startLoad("-t", "erc20", "--accounts", "5", "--endless", "--tps", "50", "-w", "1")
	r.includes(50)
	n.call(nil, "evm_revert", snapshot)
	r.ends(1)
	if want := "is not there any more"; !strings.Contains(r.said(), want) {
		t.Errorf("stderr does not say %q:\n%s", want, r.said())
	}
	if want := "verdict: hint: start the load again: it deploys what it needs"; !strings.Contains(r.said(), want) {
		t.Errorf("stderr does not say %q:\n%s", want, r.said())
	}
}

// What is refunded arrives, and a second load finds nothing to give back.
func loadRefund(t *testing.T) {
	n := startAnvil(t, "--block-time", "1")
	args := []string{"-t", "eth-transfers", "--accounts", "5", "--seed", "3", "--fund", "2", "--refund", "-w", "1"}
	n.startLoad(append(args, "-N", "10")...).included(50)
	for i, a := range load.Derive(mustKey(t, anvilKey).Key, 3, 5) {
		var balance hexutil.Big
		n.call(&balance, "eth_getBalance", a.Address, "latest")
		const dust = 1_000_000_000_000_000 // a thousandth of an ether
		if b := balance.ToInt(); b.Cmp(big.NewInt(dust)) > 0 {
			t.Errorf("account %d still has %v wei", i, b)
		}
	}
	r := n.startLoad(append(args, "-N", "0")...)
	<-r.done
	r.cmd.Wait()
	if got := r.cmd.ProcessState.ExitCode(); got != 0 {
		t.Errorf("exit status %d; stderr:\n%s", got, r.said())
	}
	if line, ok := r.last(); ok {
		t.Errorf("a refund alone reports %+v", line)
	}
}

// The first interrupt ends the sending and waits for what is pending.
func loadInterrupted(t *testing.T) {
	n := startAnvil(t, "--block-time", "1")
	r := n.startLoad("-t", "eth-transfers", "--accounts", "5", "--endless", "--tps", "100", "-w", "1")
	r.includes(100)
	r.cmd.Process.Signal(os.Interrupt)
	line := r.ends(130)
	if line.Kind != "total" || line.Load.State != "interrupted" || line.Pending != 0 || line.Waiting != 0 {
		t.Errorf("the last line is %+v", line)
	}
	if want := "stopping: waiting up to 30s for what is pending"; !strings.Contains(r.said(), want) {
		t.Errorf("stderr does not say %q:\n%s", want, r.said())
	}
}

// The second interrupt ends the load at once, with transactions pending.
func loadInterruptedTwice(t *testing.T) {
	n := startAnvil(t, "--no-mining")
	n.args = []string{"-k", keyFile(t, anvilKey)}
	r := n.startLoad("-t", "eth-transfers", "-N", "20")
	eventually(t, time.Minute, func() bool {
		line, _ := r.last()
		return line.Pending == 20
	})
	r.cmd.Process.Signal(os.Interrupt)
	eventually(t, time.Minute, func() bool { return strings.Contains(r.said(), "stopping:") })
	r.cmd.Process.Signal(os.Interrupt)
	if line := r.ends(130); line.Kind == "total" {
		t.Errorf("there are totals: %+v", line)
	}
	if want := "interrupted again: exiting at once"; !strings.Contains(r.said(), want) {
		t.Errorf("stderr does not say %q:\n%s", want, r.said())
	}
}

// Without inclusion for --wait it says which account, which nonce, and what the
// pool says.
func loadStalled(t *testing.T) {
	n := startAnvil(t, "--no-mining")
	n.args = []string{"-k", keyFile(t, anvilKey)}
	r := n.startLoad("-t", "eth-transfers", "-N", "20", "-w", "2s")
	line := r.ends(1)
	if line.Pending != 20 || line.Load.State != "failed" || !strings.Contains(line.Load.Error, "nothing was included for 2s") {
		t.Errorf("the last line is %+v", line)
	}
	account := mustKey(t, anvilKey).Address.Hex()
	for _, want := range []string{"verdict: nothing was included for 2s", "account " + account + " waits with nonce 0", "the transaction is in its pool"} {
		if !strings.Contains(r.said(), want) {
			t.Errorf("stderr does not say %q:\n%s", want, r.said())
		}
	}
}

// A local run takes its blocks from the same generator.
func TestWitnessLocal_load(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	out, err := exec.Command("verdict", "witness", "--local", "--load", "mixed", "--blocks", "20", "--warmup", "1",
		"--gas", "2000000", "--seed", "7", "--out", dir).CombinedOutput()
	var exit *exec.ExitError
	// So few pairs may not support a verdict; that they are there is checked.
	const invalid = 5
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != invalid) {
		t.Fatalf("%v\n%s", err, out)
	}
	spec, err := os.ReadFile(filepath.Join(dir, "spec.yaml"))
	if err != nil || !bytes.Contains(spec, []byte("load: mixed")) {
		t.Errorf("the spec of the run does not name the load: %v\n%s", err, spec)
	}
	for _, side := range []sample.Side{sample.Baseline, sample.Test} {
		if n := okSamples(t, filepath.Join(dir, fmt.Sprintf("samples-%s.jsonl", side))); n < 20 {
			t.Errorf("%d good samples on side %s, want 20\n%s", n, side, out)
		}
	}
}

// okSamples counts the samples that are in order and of blocks with load.
func okSamples(t *testing.T, name string) int {
	t.Helper()
	n := 0
	_, err := store.ReadLines(name, func(r sample.Record) error {
		if s := r.Sample; s != nil && s.Status == sample.OK && s.GasUsed > 1_000_000 {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
