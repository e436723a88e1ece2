package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/beacon"
)

// restartable is a built-in node that keeps its ports over a restart.
type restartable struct {
	*program
	dir, name   string
	rpc, engine string
}

// startRestartables starts nodes, each with a data directory of its name.
func startRestartables(t *testing.T, dir string, names ...string) []*restartable {
	t.Helper()
	var nodes []*restartable
	for _, name := range names {
		n := &restartable{dir: dir, name: name}
		n.boot(t, "0", "0")
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.answers(t)
	}
	return nodes
}

func (n *restartable) boot(t *testing.T, rpcPort, enginePort string) {
	t.Helper()
	_ = os.Remove(n.addresses()) // absent the first time
	n.program = start(t, n.dir, "verdict", "devnet", "node", "--datadir", n.name, "--http.port", rpcPort,
		"--authrpc.port", enginePort, "--authrpc.jwtsecret", "jwt.hex", "--addresses", n.addresses(), "--identity", strings.Repeat("ab", 20))
}

func (n *restartable) addresses() string { return filepath.Join(n.dir, n.name+".json") }

// answers waits until the node is ready.
func (n *restartable) answers(t *testing.T) {
	t.Helper()
	var a struct{ RPC, Engine string }
	readWhenThere(t, n.addresses(), &a)
	n.rpc, n.engine = a.RPC, a.Engine
}

// crash kills the node; again starts it on the same ports.
func (n *restartable) crash() {
	n.cmd.Process.Kill()
	n.cmd.Wait()
}

func (n *restartable) again(t *testing.T) {
	t.Helper()
	port := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return u.Port()
	}
	n.boot(t, port(n.rpc), port(n.engine))
	n.answers(t)
}

func readWhenThere(t *testing.T, path string, into any) {
	t.Helper()
	eventually(t, 2*time.Minute, func() bool {
		raw, err := os.ReadFile(path)
		return err == nil && json.Unmarshal(raw, into) == nil
	})
}

// call asks a node and returns the result as JSON.
func (n *restartable) call(t *testing.T, method string, params ...any) string {
	t.Helper()
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(n.rpc, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Result json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return string(answer.Result)
}

// runningBeacon is a verdict devnet beacon.
type runningBeacon struct {
	*program
	*beacon.Client
	url string
}

func startBeacon(t *testing.T, dir, name, program string, args ...string) *runningBeacon {
	t.Helper()
	addresses := filepath.Join(dir, name+".json")
	p := start(t, dir, program, append(args, "--http-port", "0", "--addresses", addresses)...)
	var a struct{ HTTP string }
	readWhenThere(t, addresses, &a)
	c, err := beacon.NewClient(a.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &runningBeacon{p, c, a.HTTP}
}

// until waits for a state and returns it.
func (b *runningBeacon) until(t *testing.T, what string, ok func(beacon.Syncing) bool) beacon.Syncing {
	t.Helper()
	var s beacon.Syncing
	var err error
	deadline := time.Now().Add(time.Minute)
	for {
		if s, err = b.Syncing(t.Context()); err == nil && ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s; the beacon says %+v, %v", what, s, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// ready waits until the beacon is ready at the given slot or later.
func (b *runningBeacon) ready(t *testing.T, slot uint64) beacon.Syncing {
	t.Helper()
	return b.until(t, fmt.Sprintf("ready at slot %d", slot), func(s beacon.Syncing) bool {
		ok, _ := s.Ready()
		return ok && s.HeadSlot >= slot
	})
}

func (b *runningBeacon) offline(t *testing.T) beacon.Syncing {
	t.Helper()
	s := b.until(t, "el_offline", func(s beacon.Syncing) bool { return *s.ELOffline })
	if h, err := b.Health(t.Context()); err != nil || h != beacon.Unready {
		t.Errorf("health of an offline beacon: %v, %v", h, err)
	}
	return s
}

// interrupt stops the beacon, which must end with status 0.
func (b *runningBeacon) interrupt(t *testing.T) {
	t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
}

// A network of one producer and one follower, each with a node of its own,
// through everything that may happen to them.
func TestBeacon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret(t, dir)
	// The follower is called as Lighthouse is.
	lighthouse := filepath.Join(dir, "lighthouse")
	if err := os.WriteFile(lighthouse, []byte("#!/bin/sh\nexec verdict devnet beacon \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	nodes := startRestartables(t, dir, "a", "b")
	a, b := nodes[0], nodes[1]
	if version := b.call(t, "web3_clientVersion"); !strings.HasSuffix(version, "/"+strings.Repeat("ab", 20)+`"`) {
		t.Errorf("web3_clientVersion is %s", version)
	}
	producer := startBeacon(t, dir, "producer", "verdict", "devnet", "beacon", "--produce", "--network", "hoodi",
		"--slot", "250ms", "--gas", "1e6", "--execution-endpoint", a.engine, "--execution-jwt", "jwt.hex")
	bn := []string{"bn", "--network", "hoodi", "--execution-endpoint", b.engine, "--checkpoint-sync-url", producer.url,
		"--checkpoint-sync-url-timeout", "60", "--disable-deposit-contract-sync", "--http", "--http-address", "127.0.0.1"}
	follower := startBeacon(t, dir, "follower", lighthouse,
		append(bn, "--execution-jwt", "jwt.hex", "--datadir", "l", "--sync-distance", "6", "--sync-pace", "1ms")...)

	// It stays behind until it is told otherwise.
	follower.until(t, "6 blocks behind", func(s beacon.Syncing) bool { return s.HeadSlot >= 2 && s.SyncDistance >= 6 && *s.IsSyncing })
	setDistance(t, follower.url, 0)
	s := follower.ready(t, 10)
	same(t, a, b, s.HeadSlot)

	t.Run("wrong secret", func(t *testing.T) { wrongSecret(t, dir, bn) })

	// The follower's node is killed and comes back.
	b.crash()
	follower.offline(t)
	b.again(t)
	s = follower.ready(t, s.HeadSlot+1)
	same(t, a, b, s.HeadSlot)

	// The producer's node is killed: there are no blocks until it is back, and
	// then the chain goes on from where it was.
	a.crash()
	lost := producer.offline(t)
	a.again(t)
	s = follower.ready(t, lost.HeadSlot+3)
	same(t, a, b, s.HeadSlot)
	same(t, a, b, lost.HeadSlot)

	follower.interrupt(t)
	producer.interrupt(t)
}

func setDistance(t *testing.T, beaconURL string, blocks int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, beaconURL+"/verdict/v1/sync-distance",
		strings.NewReader(fmt.Sprintf(`{"distance":%d}`, blocks)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("PUT sync-distance answered %s", res.Status)
	}
}

// same compares a block of the two nodes.
func same(t *testing.T, a, b *restartable, number uint64) {
	t.Helper()
	at := fmt.Sprintf("%#x", number)
	x, y := a.call(t, "eth_getBlockByNumber", at, false), b.call(t, "eth_getBlockByNumber", at, false)
	if x != y || x == "null" {
		t.Errorf("block %d differs:\n%s\n%s", number, x, y)
	}
}

// A follower whose JWT the node refuses says so, names the file, and goes on
// trying.
func wrongSecret(t *testing.T, dir string, bn []string) {
	if err := os.WriteFile(filepath.Join(dir, "wrong.hex"), []byte(strings.Repeat("0b", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	logged := filepath.Join(dir, "logged")
	if err := os.WriteFile(logged, []byte("#!/bin/sh\nexec verdict devnet beacon \"$@\" 2>wrong.log\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := startBeacon(t, dir, "wrong", logged, append(bn, "--execution-jwt", "wrong.hex")...)
	eventually(t, time.Minute, func() bool {
		raw, err := os.ReadFile(filepath.Join(dir, "wrong.log"))
		return err == nil && strings.Contains(string(raw), `msg="the execution client refuses the JWT"`) &&
			strings.Contains(string(raw), "execution-jwt=wrong.hex")
	})
	f.offline(t)
	f.interrupt(t)
}
