package setup

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
)

// world is a running node and somebody who can pay on its chain.
type world struct {
	rpc *ethrpc.Client
	// rich is nil where the node has an unlocked account instead.
	rich *load.Account
}

// worlds are the programs that the tests run against.
var worlds = map[string]func(*testing.T) world{
	"built-in": builtIn, "geth": geth, "anvil": anvil,
	"anvil, unlocked": func(t *testing.T) world { return world{rpc: anvil(t).rpc} },
}

// client makes a client that is closed with the test.
func client(t *testing.T, url string) *ethrpc.Client {
	t.Helper()
	c, err := ethrpc.NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// builtIn starts the built-in node and makes blocks on it.
func builtIn(t *testing.T) world {
	t.Helper()
	g, err := genesis.Small()
	if err != nil {
		t.Fatal(err)
	}
	n, err := devnet.Start(t.Context(), devnet.Options{
		Genesis: g, DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	rpc := client(t, n.RPC())
	secret, err := ethrpc.ReadSecret(n.JWTSecret())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := ethrpc.NewEngine(n.Engine(), secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	ctx, stop := context.WithCancel(context.Background())
	produced := make(chan error, 1)
	go func() { produced <- produce(ctx, n, engine) }()
	t.Cleanup(func() {
		stop()
		if err := <-produced; !errors.Is(err, context.Canceled) {
			t.Errorf("making blocks: %v", err)
		}
	})
	key, address := genesis.Account(0)
	return world{rpc, &load.Account{Key: key, Address: address}}
}

// produce makes blocks of what the node's pool holds. The driver is for its own
// transactions: it does not wait for those of others to be built in.
func produce(ctx context.Context, n *devnet.Node, engine *ethrpc.Engine) error {
	number, head := n.Head()
	wait := minPause
	for tries := uint64(1); ; tries++ {
		fc := ethrpc.Forkchoice{Head: head, Safe: head, Finalized: n.Genesis()}
		_, id, err := engine.ForkchoiceUpdated(ctx, fc, &ethrpc.Attributes{
			Timestamp: genesis.Timestamp + 12*(number+1), PrevRandao: common.BigToHash(new(big.Int).SetUint64(tries)), Slot: number + 1,
		})
		if err != nil {
			return orCanceled(ctx, err)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		p, err := engine.Payload(ctx, id)
		if err != nil {
			return orCanceled(ctx, err)
		}
		if len(p.Transactions) == 0 {
			// Asked before the builder was done, or the pool has nothing.
			wait = min(2*wait, maxPause)
			continue
		}
		wait = minPause
		if _, err := engine.NewPayload(ctx, p); err != nil {
			return orCanceled(ctx, err)
		}
		head, number = p.Hash, p.Number
	}
}

func orCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// geth starts the real geth in dev mode. Who pays is its own account.
func geth(t *testing.T) world {
	t.Helper()
	port := freePort(t)
	url := start(t, "VERDICT_GETH", port, "--dev", "--dev.period", "1", "--datadir", filepath.Join(t.TempDir(), "geth"),
		"--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable", "--authrpc.port", freePort(t),
		"--http", "--http.port", port, "--http.api", "eth,net,web3,txpool")
	return world{rpc: client(t, url)}
}

// anvil starts the real anvil, which makes a block of each transaction. Who
// pays is its first account, whose key everybody knows.
func anvil(t *testing.T) world {
	t.Helper()
	port := freePort(t)
	url := start(t, "VERDICT_ANVIL", port, "--host", "127.0.0.1", "--port", port, "--silent")
	rich, err := load.ParseKey("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
	if err != nil {
		t.Fatal(err)
	}
	return world{client(t, url), &rich}
}

// start starts the program that the environment names and returns its URL when
// it answers.
func start(t *testing.T, variable, port string, args ...string) string {
	t.Helper()
	name := os.Getenv(variable)
	if name == "" {
		if os.Getenv("CI") == "true" || os.Getenv("VERDICT_REQUIRE") != "" {
			t.Fatalf("set %s, as make test does", variable)
		}
		t.Skipf("set %s, as make test does", variable)
	}
	var log bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", variable, log.Bytes())
		}
	})
	url := "http://127.0.0.1:" + port
	c := client(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var id hexutil.Big
	if err := ethrpc.Until(ctx, func(error) bool { return false }, func() error { return c.Call(ctx, &id, "eth_chainId") }); err != nil {
		t.Fatalf("%s does not answer: %v", name, err)
	}
	return url
}

// freePort is a port that was free a moment ago, for programs that do not say
// which one they chose themselves.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func addresses(accounts []load.Account) []common.Address {
	out := make([]common.Address, len(accounts))
	for i, a := range accounts {
		out[i] = a.Address
	}
	return out
}
