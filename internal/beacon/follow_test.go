package beacon

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
)

// A follower brings its execution client to the network's head, goes with it,
// and stays behind when it is told to.
func TestFollow_distance(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, "hoodi", 1, 20)
	e := newExecution(t, hashOf("hoodi", 0))
	f := follow(t, e, Following{URL: net.URL(), Distance: 8})
	f.until(t, "8 blocks behind", func(s Syncing) bool {
		return s.HeadSlot == 12 && s.SyncDistance == 8 && *s.IsSyncing && !*s.ELOffline && !*s.IsOptimistic
	})
	f.health(t, CatchingUp)
	if p, err := f.Phase(t.Context()); err != nil || p.Name != "SyncingFinalized" {
		t.Errorf("phase %+v, %v", p, err)
	}
	if status, body := ask(t, http.MethodPut, f.node.URL()+distancePath, `{"distance":0}`); status != 200 || body != `{"data":{"distance":0}}` {
		t.Errorf("PUT answered %d %s", status, body)
	}
	f.synced(t, 20)
	f.health(t, Healthy)
	net.publish(payloadOf(t, "hoodi", 21))
	f.synced(t, 21)
	if got := e.head(); got.Hash != hashOf("hoodi", 21) {
		t.Errorf("the execution client stands on %+v", got)
	}
	if h, err := f.Head(t.Context()); err != nil || h != (Header{21, hashOf("hoodi", 21)}) {
		t.Errorf("head %+v, %v", h, err)
	}
	if p, err := f.Phase(t.Context()); err != nil || p.Name != "Synced" {
		t.Errorf("phase %+v, %v", p, err)
	}
	if name, err := f.Network(t.Context()); err != nil || name != "hoodi" {
		t.Errorf("network %q, %v", name, err)
	}
	if n, err := f.PeerCount(t.Context()); err != nil || n != 1 {
		t.Errorf("%d peers, %v", n, err)
	}
	f.stop()
	if err := <-f.ended; err == nil {
		t.Error("the end of the context is no error")
	}
}

// An execution client that is gone, or refuses the JWT, is offline until it is
// back, and is then given what it lacks.
func TestFollow_offline(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		log    string
	}{
		"gone": {http.StatusBadGateway, "the execution client is offline"},
		"jwt":  {http.StatusUnauthorized, "the execution client refuses the JWT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			net := newNetwork(t, "hoodi", 1, 3)
			e := newExecution(t, hashOf("hoodi", 0))
			e.set(func(e *execution) { e.status = test.status })
			f := follow(t, e, Following{URL: net.URL()})
			offline := func(s Syncing) bool { return *s.ELOffline }
			f.until(t, "offline at the start", offline)
			f.health(t, Unready)
			e.set(func(e *execution) { e.status = 0 })
			f.synced(t, 3)
			e.set(func(e *execution) { e.status = test.status })
			f.until(t, "offline later, without a new block", offline)
			// It comes back without its last two blocks.
			e.set(func(e *execution) { e.status, e.chain = 0, e.chain[:2] })
			f.synced(t, 3)
			if text := f.log.String(); !strings.Contains(text, test.log) || test.status == 401 && !strings.Contains(text, "the/jwt.hex") {
				t.Errorf("the log does not say %q", test.log)
			}
		})
	}
}

// What the execution client has not executed is optimistic.
func TestFollow_optimistic(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, "hoodi", 1, 2)
	e := newExecution(t, hashOf("hoodi", 0))
	e.set(func(e *execution) { e.says = ethrpc.Syncing })
	f := follow(t, e, Following{URL: net.URL()})
	f.until(t, "optimistic", func(s Syncing) bool { return *s.IsOptimistic && !*s.ELOffline && s.HeadSlot == 0 })
	f.health(t, CatchingUp)
	e.set(func(e *execution) { e.says = "" })
	f.synced(t, 2)
	// A refused block is not: the head stays on the last good one.
	e.set(func(e *execution) { e.says = ethrpc.Invalid })
	net.publish(payloadOf(t, "hoodi", 3))
	eventually(t, "the reason in the log", func() bool { return strings.Contains(f.log.String(), "INVALID of block 3") }, f.log.String)
	f.until(t, "one behind", func(s Syncing) bool { return s.HeadSlot == 2 && s.SyncDistance == 1 && !*s.IsOptimistic })
}

// An execution client on another chain is told from one that is behind.
func TestFollow_otherChain(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, "hoodi", 1, 9)
	genesis := newExecution(t, hashOf("sepolia", 0))
	fork := newExecution(t, hashOf("hoodi", 0))
	fork.set(func(e *execution) { e.chain = append(e.chain, block{1, common.Hash{0xbb}, hashOf("hoodi", 0)}) })
	for _, test := range []struct {
		e   *execution
		log string
	}{
		{genesis, "its block 0 is " + hashOf("sepolia", 0).Hex() + ", the network's is " + hashOf("hoodi", 0).Hex()},
		{fork, "its block 1 is " + (common.Hash{0xbb}).Hex() + ", the network's is " + hashOf("hoodi", 1).Hex()},
	} {
		f := follow(t, test.e, Following{URL: net.URL()})
		f.until(t, "optimistic", func(s Syncing) bool { return *s.IsOptimistic && *s.IsSyncing && !*s.ELOffline })
		if !strings.Contains(f.log.String(), test.log) {
			t.Errorf("the log does not say %q:\n%s", test.log, f.log)
		}
	}
}

// A block that the network no longer has is named.
func TestFollow_tooOld(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, "hoodi", 10, 12)
	f := follow(t, newExecution(t, hashOf("hoodi", 0)), Following{URL: net.URL()})
	eventually(t, "the reason in the log", func() bool {
		return strings.Contains(f.log.String(), "block 1 is no longer kept: the oldest is block 10")
	}, f.log.String)
	f.until(t, "syncing", func(s Syncing) bool { return *s.IsSyncing && s.SyncDistance == 12 })
}

// Without the producer the follower has no peer, and goes on when it is back.
func TestFollow_networkLost(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, "hoodi", 1, 2)
	f := follow(t, newExecution(t, hashOf("hoodi", 0)), Following{URL: net.URL()})
	f.synced(t, 2)
	net.update(func(s *status) { s.known = false })
	eventually(t, "no peer", func() bool { n, err := f.PeerCount(t.Context()); return err == nil && n == 0 }, f.log.String)
	if p, err := f.Phase(t.Context()); err != nil || p.Name != "Stalled" {
		t.Errorf("phase %+v, %v", p, err)
	}
	net.update(func(s *status) { s.known = true })
	net.publish(payloadOf(t, "hoodi", 3))
	f.synced(t, 3)
	if text := f.log.String(); strings.Count(text, "the network does not answer") != 1 || strings.Count(text, "answers again") != 1 {
		t.Errorf("the log tells it otherwise:\n%s", text)
	}
}

// With a pace, catching up takes at least that long for each block but the
// last.
func TestFollow_pace(t *testing.T) {
	t.Parallel()
	const pace, blocks = 20 * time.Millisecond, 10
	net := newNetwork(t, "hoodi", 1, blocks)
	began := time.Now()
	f := follow(t, newExecution(t, hashOf("hoodi", 0)), Following{URL: net.URL(), Pace: pace})
	f.synced(t, blocks)
	if took := time.Since(began); took < pace*(blocks-1) {
		t.Errorf("%d blocks in %s, want at least %s each", blocks, took, pace)
	}
}

// The head survives a restart, and belongs to its network.
func TestFollow_datadir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	net := newNetwork(t, "hoodi", 1, 4)
	e := newExecution(t, hashOf("hoodi", 0))
	f := follow(t, e, Following{URL: net.URL(), DataDir: dir})
	f.synced(t, 4)
	f.stop()
	<-f.ended

	// The execution client is away, and the head is known all the same.
	e.set(func(e *execution) { e.status = http.StatusBadGateway })
	f = follow(t, e, Following{URL: net.URL(), DataDir: dir})
	f.until(t, "the stored head", func(s Syncing) bool { return s.HeadSlot == 4 && *s.ELOffline })

	other := follow(t, e, Following{URL: newNetwork(t, "sepolia", 1, 1).URL(), DataDir: dir})
	err := <-other.ended
	if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "is of the network hoodi") {
		t.Errorf("another network's directory: %v", err)
	}

	keep := filepath.Join(dir, "beacon", "mine")
	if err := os.WriteFile(keep, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to delete
		if err := Purge(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(keep); err != nil {
		t.Errorf("purging deletes what is not the beacon's: %v", err)
	}
	if b, err := readHead(dir, network{}); err != nil || b != (block{}) {
		t.Errorf("after purging the head is %+v, %v", b, err)
	}
	if err := os.WriteFile(headPath(dir), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readHead(dir, network{}); fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "head.json") {
		t.Errorf("a broken file: %v", err)
	}
}

// What cannot be followed is an error that says so.
func TestFollow_refused(t *testing.T) {
	t.Parallel()
	e := newExecution(t, hashOf("hoodi", 0))
	idle := follow(t, e, Following{URL: newNetwork(t, "hoodi", 1, 1).URL()})
	for name, test := range map[string]struct {
		o    Following
		kind fault.Kind
		want string
	}{
		"nobody":     {Following{URL: "http://127.0.0.1:1", Timeout: 30 * time.Millisecond}, fault.Prerequisite, "no network after 30ms: http://127.0.0.1:1"},
		"a follower": {Following{URL: idle.node.URL()}, fault.Prerequisite, "not of a beacon that produces"},
		"no URL":     {Following{URL: "127.0.0.1"}, fault.Usage, "--checkpoint-sync-url: beacon API URL"},
	} {
		err := <-follow(t, e, test.o).ended
		if fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	n := startNode(t, Options{Endpoint: e.url, Network: "sepolia"})
	err := n.Follow(t.Context(), Following{URL: newNetwork(t, "hoodi", 1, 1).URL(), Timeout: time.Minute})
	if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "--network sepolia: the network at ") || !strings.HasSuffix(err.Error(), " is hoodi") {
		t.Errorf("another network: %v", err)
	}
}
