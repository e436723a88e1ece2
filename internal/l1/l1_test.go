package l1

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
)

// start starts an L1 that is closed with the test.
func start(t *testing.T, dir string) *Chain {
	t.Helper()
	c, err := Start(t.Context(), ChainOptions{BlockTime: MinBlockTime, Node: devnet.Options{DataDir: dir, HTTPAddr: "127.0.0.1:0"}})
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

func dial(t *testing.T, c *Chain) *Client {
	t.Helper()
	client, err := Dial(c.RPC())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func accountOf(r genesis.Role) load.Account {
	key, _ := r.Account()
	return load.AccountOf(key)
}

func senderOf(i int) load.Account {
	key, _ := genesis.Account(i)
	return load.AccountOf(key)
}

// deployment is what the tests deploy.
func deployment(t *testing.T) DeployOptions {
	t.Helper()
	return DeployOptions{
		Deployer: accountOf(genesis.Deployer), ProposerOwner: accountOf(genesis.ContractOwner).Address,
		BridgeOwner: accountOf(genesis.ContractOwner).Address, Committer: accountOf(genesis.Deployer).Address,
		ProofSender: accountOf(genesis.ProofSender).Address, GenesisRoot: genesis.L2().ToBlock().Root(),
		L1Genesis: genesis.L1().ToBlock().Hash(), EnvFile: filepath.Join(t.TempDir(), "env"),
		Deposits: []load.Account{senderOf(0), senderOf(1), accountOf(genesis.Rich)},
	}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		<-tick.C
	}
}

func TestDeploy(t *testing.T) {
	chain := start(t, t.TempDir())
	client := dial(t, chain)
	o := deployment(t)
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	d, err := client.Deploy(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}

	env, err := os.ReadFile(o.EnvFile)
	want := fmt.Sprintf("ETHREX_COMMITTER_ON_CHAIN_PROPOSER_ADDRESS=%s\nETHREX_WATCHER_BRIDGE_ADDRESS=%s\n",
		strings.ToLower(d.Proposer.Hex()), strings.ToLower(d.Bridge.Hex()))
	if err != nil || string(env) != want {
		t.Errorf("the env file is %q, %v; want %q", env, err, want)
	}
	for _, line := range []string{"Starting deployer binary", "Deploying contracts", "OnChainProposer deployed:", "Deposit transaction sent to L1", "Deployer binary finished successfully"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log has no line %q:\n%s", line, &log)
		}
	}

	head, err := client.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	deposits, err := client.Deposits(t.Context(), d.Bridge, 0, head)
	if err != nil || len(deposits) != len(o.Deposits) {
		t.Fatalf("Deposits = %v, %v; want %d", deposits, err, len(o.Deposits))
	}
	// Half of a thousand million ether each, whoever's transaction came first.
	half := new(big.Int).Mul(big.NewInt(5e8), big.NewInt(params.Ether))
	var got []common.Address
	for i, deposit := range deposits {
		if deposit.ID != uint64(i+1) || deposit.Wei.Cmp(half) != 0 || deposit.Gwei() != 5e17 || deposit.Block == 0 || deposit.Block > head {
			t.Errorf("deposit %d is %+v", i, deposit)
		}
		got = append(got, deposit.To)
	}
	for _, a := range o.Deposits {
		if !slices.Contains(got, a.Address) {
			t.Errorf("no deposit for %s", a.Address)
		}
	}
	if sum := new(big.Int).Mul(half, big.NewInt(3)); d.Wei.Cmp(sum) != 0 {
		t.Errorf("%d wei are deposited, want %d", d.Wei, sum)
	}
	if later, err := client.Deposits(t.Context(), d.Bridge, head, head); err != nil || len(later) != 0 && deposits[2].Block != head {
		t.Errorf("Deposits of block %d = %v, %v", head, later, err)
	}
	if _, err := client.Deposits(t.Context(), d.Bridge, head, head+1000); err == nil {
		t.Error("Deposits of blocks that are not there yet are no error")
	}

	// Deployed again, there are other contracts, and half of the rest goes in.
	again, err := client.Deploy(t.Context(), o)
	if err != nil || again.Proposer == d.Proposer || again.Bridge == d.Bridge {
		t.Fatalf("the second Deploy gives %+v, %v", again, err)
	}
	if quarter := new(big.Int).Rsh(d.Wei, 1); again.Wei.Cmp(quarter) >= 0 {
		t.Errorf("the second time %d wei are deposited, want less than %d", again.Wei, quarter)
	}
}

// outputs are two batches of a rollup that starts from root.
func outputs(root common.Hash) [2]batch.Public {
	middle, end := common.HexToHash("0x01"), common.HexToHash("0x02")
	return [2]batch.Public{
		{InitialRoot: root, FinalRoot: middle, LastHash: common.HexToHash("0xb3"), FirstBlock: 1, LastBlock: 3, Deposits: common.HexToHash("0xd1")},
		{InitialRoot: middle, FinalRoot: end, LastHash: common.HexToHash("0xb9"), FirstBlock: 4, LastBlock: 9},
	}
}

func TestProposer(t *testing.T) {
	ctx := t.Context()
	client := dial(t, start(t, t.TempDir()))
	o := deployment(t)
	o.Deposits = nil
	d, err := client.Deploy(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	committer := client.Proposer(d.Proposer, accountOf(genesis.Deployer))
	sender := client.Proposer(d.Proposer, accountOf(genesis.ProofSender))
	refused := func(err error, want string) {
		t.Helper()
		var revert *RevertError
		if !errors.As(err, &revert) || !strings.Contains(revert.Reason, want) {
			t.Errorf("the error is %v, want a revert because %s", err, want)
		}
	}
	at := func(committed, verified, block uint64, root common.Hash) {
		t.Helper()
		gotCommitted, err1 := committer.LastCommitted(ctx)
		gotVerified, err2 := committer.LastVerified(ctx)
		gotBlock, err3 := committer.LastBlock(ctx)
		gotRoot, err4 := committer.StateRoot(ctx)
		if err := errors.Join(err1, err2, err3, err4); err != nil || gotCommitted != committed || gotVerified != verified || gotBlock != block || gotRoot != root {
			t.Errorf("committed %d, verified %d, block %d, root %s, %v; want %d, %d, %d, %s", gotCommitted, gotVerified, gotBlock, gotRoot, err, committed, verified, block, root)
		}
	}
	if types, err := sender.Required(ctx); err != nil || !slices.Equal(types, []string{"Exec"}) {
		t.Errorf("Required = %q, %v", types, err)
	}
	if err := errors.Join(committer.CheckCommitter(ctx), sender.CheckProofSender(ctx)); err != nil {
		t.Error(err)
	}
	if err := sender.CheckCommitter(ctx); fault.KindOf(err) != fault.Prerequisite {
		t.Errorf("CheckCommitter of the proof sender = %v", err)
	}
	at(0, 0, 0, o.GenesisRoot)

	batches := outputs(o.GenesisRoot)
	_, err = committer.Commit(ctx, 2, batches[1])
	refused(err, "batch 1 is the next to be committed, not batch 2")
	_, err = sender.Commit(ctx, 1, batches[0])
	refused(err, "is not the committer")
	r, err := committer.Commit(ctx, 1, batches[0])
	if err != nil || r.GasUsed < params.TxGas || r.Block == 0 || r.Hash == (common.Hash{}) {
		t.Fatalf("Commit = %+v, %v", r, err)
	}
	at(1, 0, 3, batches[0].FinalRoot)
	_, err = committer.Commit(ctx, 2, batches[0])
	refused(err, "lead to the state root")
	if _, err = committer.Commit(ctx, 2, batches[1]); err != nil {
		t.Fatal(err)
	}

	public, wrong := batches[0].Encode(), batches[0]
	wrong.FinalRoot[31]++
	forged := wrong.Encode()
	_, err = sender.Verify(ctx, 1, forged[:])
	refused(err, "the committed public output hashes to")
	_, err = sender.Verify(ctx, 1, nil)
	refused(err, "the committed public output hashes to")
	second := batches[1].Encode()
	_, err = sender.Verify(ctx, 2, second[:])
	refused(err, "batch 1 is the next to be verified, not batch 2")
	_, err = committer.Verify(ctx, 1, public[:])
	refused(err, "is not the proof sender")
	if r, err = sender.Verify(ctx, 1, public[:]); err != nil || r.GasUsed < params.TxGas {
		t.Fatalf("Verify = %+v, %v", r, err)
	}
	_, err = sender.Verify(ctx, 1, public[:])
	refused(err, "batch 2 is the next to be verified, not batch 1")
	at(2, 1, 9, batches[1].FinalRoot)
	if hash, err := committer.Output(ctx, 1); err != nil || hash != crypto.Keccak256Hash(public[:]) {
		t.Errorf("Output(1) = %s, %v", hash, err)
	}
	if hash, err := committer.Output(ctx, 3); err != nil || hash != (common.Hash{}) {
		t.Errorf("Output(3) = %s, %v", hash, err)
	}
}

// What the L1 did not foresee, because the state was another then, is told by
// the receipt.
func TestAwait_tellsWhyATransactionReverted(t *testing.T) {
	ctx := t.Context()
	client := dial(t, start(t, t.TempDir()))
	o := deployment(t)
	o.Deposits = nil
	d, err := client.Deploy(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	from := accountOf(genesis.ProofSender)
	fees, err := client.fees(ctx)
	if err != nil {
		t.Fatal(err)
	}
	signer := types.LatestSignerForChainID(new(big.Int).SetUint64(genesis.L1ChainID))
	tx, err := load.Sign(signer, from, 0, load.Call{To: &d.Proposer, Value: new(big.Int), Data: contract.VerifyCall(7, nil), Limit: 200_000}, fees)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.call(ctx, nil, "eth_sendRawTransaction", hexutil.Bytes(tx.Raw)); err != nil {
		t.Fatal(err)
	}
	_, err = client.await(ctx, tx.Hash)
	var revert *RevertError
	if !errors.As(err, &revert) || revert.Tx != tx.Hash || revert.Reason != "batch 1 is the next to be verified, not batch 7" {
		t.Errorf("await = %v", err)
	}
}

// Two commits at once from one account use two nonces.
func TestSend_takesTurns(t *testing.T) {
	client := dial(t, start(t, t.TempDir()))
	from, to := senderOf(0), common.HexToAddress("0x7070")
	const sends = 4
	errs := make(chan error, sends)
	for range sends {
		go func() {
			_, err := client.Send(t.Context(), from, Transaction{To: &to, Wei: big.NewInt(3)})
			errs <- err
		}()
	}
	for range sends {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if wei, err := client.Balance(t.Context(), to); err != nil || wei.Int64() != 3*sends {
		t.Errorf("the recipient has %d wei, %v; want %d", wei, err, 3*sends)
	}
}

func TestDeploy_refuses(t *testing.T) {
	chain := start(t, t.TempDir())
	client := dial(t, chain)
	nobody := load.AccountOf(mustKey(t, 1))
	poor := load.AccountOf(mustKey(t, 2))
	three := big.NewInt(3 * params.GWei)
	if _, err := client.Send(t.Context(), senderOf(9), Transaction{To: &poor.Address, Wei: three}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere, err := Dial("http://" + listener.Addr().String())
	if err = errors.Join(err, listener.Close()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		client *Client
		change func(*DeployOptions)
		kind   fault.Kind
		want   string
	}{
		{"nothing listens", nowhere, func(*DeployOptions) {}, fault.Prerequisite, "connection refused"},
		{"another chain", client, func(o *DeployOptions) { o.L1Genesis[0]++ }, fault.Prerequisite, "it is another chain"},
		{"no money", client, func(o *DeployOptions) { o.Deployer = nobody }, fault.Prerequisite, nobody.Address.Hex() + " has no ether"},
		{"nothing to deposit", client, func(o *DeployOptions) { o.Deposits[1] = nobody }, fault.Prerequisite, nobody.Address.Hex() + " has no ether"},
		{"a deposit that fails", client, func(o *DeployOptions) { o.Deposits[1] = poor }, fault.Failed, "deposit of " + poor.Address.Hex() + ": L1 at "},
		{"a directory", client, func(o *DeployOptions) { o.EnvFile = filepath.Dir(o.EnvFile) }, fault.Usage, "is a directory"},
		{"no directory", client, func(o *DeployOptions) { o.EnvFile += "/none/env" }, fault.Prerequisite, "env file: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := deployment(t)
			old := o.EnvFile
			if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			test.change(&o)
			_, err := test.client.Deploy(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), test.want) || fault.KindOf(err) != test.kind {
				t.Errorf("Deploy = %v (kind %d), want %q (kind %d)", err, fault.KindOf(err), test.want, test.kind)
			}
			if raw, err := os.ReadFile(old); err != nil || string(raw) != "old" {
				t.Errorf("the env file is now %q, %v", raw, err)
			}
			if left, err := os.ReadDir(filepath.Dir(old)); err != nil || len(left) != 1 {
				t.Errorf("in the env file's directory are %v, %v", left, err)
			}
		})
	}
}

func mustKey(t *testing.T, n int64) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.ToECDSA(common.BigToHash(big.NewInt(n)).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestDeploy_refusesWhatIsPending(t *testing.T) {
	// Blocks so far apart that what is in the pool stays there.
	chain, err := Start(t.Context(), ChainOptions{BlockTime: time.Hour, Node: devnet.Options{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	client := dial(t, chain)
	o := deployment(t)
	if _, err := client.submit(t.Context(), o.Deployer, Transaction{To: &common.Address{9}, Wei: big.NewInt(1)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pool shows the transaction", func() bool {
		_, err := client.funds(t.Context(), o.Deployer.Address)
		return err != nil
	})
	_, err = client.Deploy(t.Context(), o)
	if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "has 1 transactions pending") {
		t.Errorf("Deploy = %v", err)
	}

	// Interrupted while it waits for a block, it ends at once.
	o.Deployer, o.Deposits = senderOf(5), nil
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("interrupted")
	go func() {
		defer cancel(stop)
		eventually(t, "the deployment is under way", func() bool {
			_, err := client.funds(t.Context(), o.Deployer.Address)
			return err != nil
		})
	}()
	if _, err := client.Deploy(ctx, o); !errors.Is(err, stop) {
		t.Errorf("Deploy = %v, want %v", err, stop)
	}
	if _, err := os.Stat(o.EnvFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is an env file: %v", err)
	}
}

func TestChain_goesOn(t *testing.T) {
	dir := t.TempDir()
	chain := start(t, dir)
	eventually(t, "two blocks", func() bool { n, _ := chain.Head(); return n >= 2 })
	if err := chain.Close(); err != nil {
		t.Fatal(err)
	}
	number, _ := chain.Head()
	again := start(t, dir)
	if n, _ := again.Head(); n < number {
		t.Errorf("started again it is at block %d, was at %d", n, number)
	}
	eventually(t, "another block", func() bool { n, _ := again.Head(); return n > number })
	if again.ChainID() != genesis.L1ChainID || again.Genesis() != genesis.L1().ToBlock().Hash() {
		t.Errorf("chain %d, genesis %s", again.ChainID(), again.Genesis())
	}
}

// An interrupt is not an L1 that is away.
func TestDeploy_interrupted(t *testing.T) {
	client, err := Dial("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	signal := errors.New("interrupted by a signal")
	cancel(signal)
	_, err = client.Deploy(ctx, DeployOptions{EnvFile: filepath.Join(t.TempDir(), "env")})
	if !errors.Is(err, signal) || fault.KindOf(err) != fault.Failed {
		t.Errorf("Deploy = %v, of kind %v", err, fault.KindOf(err))
	}
}

func TestStart_blockTime(t *testing.T) {
	_, err := Start(t.Context(), ChainOptions{BlockTime: time.Millisecond})
	if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "--block-time 1: want at least 100") {
		t.Errorf("Start = %v", err)
	}
}

func TestProposer_isNotThere(t *testing.T) {
	client := dial(t, start(t, t.TempDir()))
	p := client.Proposer(common.Address{7}, accountOf(genesis.Deployer))
	_, err := p.LastCommitted(t.Context())
	if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "there is no OnChainProposer at") {
		t.Errorf("LastCommitted = %v", err)
	}
	if _, err := Dial("localhost:8545"); fault.KindOf(err) != fault.Usage {
		t.Errorf("Dial = %v", err)
	}
}
