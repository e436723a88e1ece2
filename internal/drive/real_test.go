package drive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/witness"
)

// findGeth is the path of the real geth. Where tests must not be left out, its
// absence is a failure.
func findGeth(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("VERDICT_GETH"), "../../.verdict/tools/geth", "geth"} {
		if name == "" {
			continue
		}
		path, err := exec.LookPath(name)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatalf("geth: %v", err)
		}
		return path
	}
	const absent = "no geth: set VERDICT_GETH, put it into PATH, or run make tools"
	if os.Getenv("CI") == "true" {
		t.Fatal(absent)
	}
	t.Skip(absent)
	return ""
}

// startGeth runs a real geth on the local genesis until the test ends.
func startGeth(t *testing.T, secret string) drive.Client {
	t.Helper()
	program, dir := findGeth(t), t.TempDir()
	g, err := genesis.Local()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := genesis.Write(&text, g); err != nil {
		t.Fatal(err)
	}
	file, log := filepath.Join(dir, "genesis.json"), filepath.Join(dir, "geth.log")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "init", "--datadir", dir, "--state.scheme", "path", file).CombinedOutput(); err != nil {
		t.Fatalf("geth init: %v\n%s", err, out)
	}
	output, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.Command(program, "--datadir", dir, "--syncmode", "full", "--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable",
		"--http", "--http.port", "0", "--http.api", "eth,net,web3,debug,txpool", "--authrpc.port", "0", "--authrpc.jwtsecret", secret)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // the kernel kills nothing here: geth ends by itself
	})
	return dial(t, "geth", endpoint(t, log, "false"), endpoint(t, log, "true"), secret)
}

// endpoint waits until geth's log tells the address of a server, with or
// without authentication.
func endpoint(t *testing.T, log, auth string) string {
	t.Helper()
	line := regexp.MustCompile(`HTTP server started\s+endpoint=(\S+) auth=` + auth)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var address string
	err := ethrpc.Until(ctx, func(error) bool { return false }, func() error {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if m := line.FindSubmatch(text); m != nil {
			address = string(m[1])
			return nil
		}
		return fmt.Errorf("geth tells no address:\n%s", text)
	})
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address
}

// startNode runs the built-in node on the local genesis until the test ends.
func startNode(t *testing.T, secret string) drive.Client {
	t.Helper()
	node, err := devnet.Start(t.Context(), devnet.Options{
		DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0", JWTSecret: secret,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Errorf("closing the node: %v", err)
		}
	})
	return dial(t, "node", node.RPC(), node.Engine(), secret)
}

func dial(t *testing.T, name, rpcURL, engineURL, secretFile string) drive.Client {
	t.Helper()
	secret, err := ethrpc.ReadSecret(secretFile)
	if err != nil {
		t.Fatal(err)
	}
	rpc, err := ethrpc.NewClient(rpcURL)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := ethrpc.NewEngine(engineURL, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rpc.Close)
	t.Cleanup(engine.Close)
	return drive.Client{Name: name, RPC: rpc, Engine: engine}
}

// localStream is a stream from the accounts of the local genesis.
func localStream(t *testing.T) *load.Stream {
	t.Helper()
	o := load.Options{
		Seed: 1, ChainID: genesis.LocalChainID,
		Recipients: genesis.Holders, Recipient: genesis.Holder,
		Token: genesis.Token, TokenShare: 0.7,
		FeeCap: big.NewInt(1000 * params.GWei), Tip: big.NewInt(params.GWei),
	}
	for i := range genesis.Senders {
		key, address := genesis.Account(i)
		o.Senders = append(o.Senders, load.Account{Key: key, Address: address})
	}
	s, err := load.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The built-in node and a real geth build in turns and stay on one chain, and
// every witness of both is complete.
func TestDriver_realClients(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real execution clients")
	}
	const blocks, gas = 20, 5_000_000
	secret := filepath.Join(t.TempDir(), "jwt.hex")
	if _, err := ethrpc.CreateSecret(secret); err != nil {
		t.Fatal(err)
	}
	clients := []drive.Client{startGeth(t, secret), startNode(t, secret)}
	ctx := t.Context()
	d, err := drive.Open(ctx, drive.Options{Clients: clients, Rotate: true, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Offer(ctx, localStream(t), gas); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= blocks; n++ {
		b, err := d.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b.Number != n || b.GasUsed < gas*9/10 || b.GasUsed > gas*11/10 {
			t.Errorf("block %d uses %d gas, want block %d with about %d", b.Number, b.GasUsed, n, gas)
		}
		var digests []string
		for _, c := range clients {
			digests = append(digests, verify(t, c, b))
		}
		if digests[0] != digests[1] {
			t.Errorf("block %d: the witnesses of the clients have the digests %s", n, digests)
		}
	}

	// A new driver goes on from the chain that is there.
	d, err = drive.Open(ctx, drive.Options{Clients: clients, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Offer(ctx, localStream(t), gas); err != nil {
		t.Fatal(err)
	}
	if b, err := d.Next(ctx); err != nil || b.Number != blocks+1 || b.Transactions == 0 {
		t.Errorf("a new driver goes on with block %d of %d transactions, error %v", b.Number, b.Transactions, err)
	}
}

// verify proves the client's witness of a block complete and returns its
// digest.
func verify(t *testing.T, c drive.Client, b drive.Block) string {
	t.Helper()
	ctx, number := t.Context(), fmt.Sprintf("0x%x", b.Number)
	var rawBlock, rawWitness json.RawMessage
	if err := c.RPC.Call(ctx, &rawBlock, "eth_getBlockByNumber", number, true); err != nil {
		t.Fatal(err)
	}
	if err := c.RPC.Call(ctx, &rawWitness, "debug_executionWitness", number); err != nil {
		t.Fatal(err)
	}
	block, err := stateless.ParseBlock(rawBlock)
	if err != nil {
		t.Fatal(err)
	}
	if block.Hash() != b.Hash {
		t.Errorf("client %s has block %s at height %d, want %s", c.Name, block.Hash(), b.Number, b.Hash)
	}
	w, err := witness.Decode(bytes.NewReader(rawWitness))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stateless.Verify(genesis.LocalConfig(), block, w); err != nil {
		t.Errorf("client %s: the witness of block %d: %v", c.Name, b.Number, err)
	}
	return w.Summary().Digest
}
