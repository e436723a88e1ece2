package beacon

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
)

func TestChain_bounds(t *testing.T) {
	t.Parallel()
	c := newChain()
	c.blocks = 3
	for number := uint64(7); number <= 12; number++ {
		if err := c.add(payloadOf(t, "n", number)); err != nil {
			t.Fatal(err)
		}
	}
	if oldest, newest, ok := c.span(); oldest != 10 || newest != 12 || !ok {
		t.Errorf("keeps %d to %d (%t), want 10 to 12", oldest, newest, ok)
	}
	for number, want := range map[uint64]bool{0: false, 9: false, 10: true, 12: true, 13: false, 1 << 63: false} {
		if got := c.at(number) != nil; got != want {
			t.Errorf("block %d is kept: %t, want %t", number, got, want)
		}
	}
	if err := c.add(payloadOf(t, "n", 14)); err == nil {
		t.Error("a gap is no error")
	}
	c.bytes = 1 // one block is always kept
	if err := c.add(payloadOf(t, "n", 13)); err != nil {
		t.Fatal(err)
	}
	if oldest, newest, _ := c.span(); oldest != 13 || newest != 13 {
		t.Errorf("keeps %d to %d, want 13 alone", oldest, newest)
	}
}

func TestChain_await(t *testing.T) {
	t.Parallel()
	c := newChain()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.await(t.Context(), 1)
	}()
	for number := uint64(1); number <= 2; number++ {
		if err := c.add(payloadOf(t, "n", number)); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.await(ctx, 2) // returns
}

// Before the network is known, and on paths that it does not have, the beacon
// says so in the form of the beacon API.
func TestServe_refusals(t *testing.T) {
	t.Parallel()
	idle := startNode(t, Options{Endpoint: "http://127.0.0.1:1", Version: "v"})
	producer := newNetwork(t, "hoodi", 5, 6)
	for _, test := range []struct {
		node         *Node
		method, path string
		body         string
		status       int
		want         string
	}{
		{idle, "GET", "/eth/v1/node/syncing", "", 503, `{"code":503,"message":"not initialized: the network has not answered yet"}`},
		{idle, "GET", "/eth/v1/beacon/headers/head", "", 503, `"code":503`},
		{idle, "GET", "/eth/v1/node/health", "", 503, ""},
		{idle, "GET", "/eth/v1/node/version", "", 200, `{"data":{"version":"v"}}`},
		{idle, "GET", "/eth/v1/node/peers", "", 404, `{"code":404,"message":"NOT_FOUND: GET /eth/v1/node/peers"}`},
		{idle, "POST", "/eth/v1/node/syncing", "", 404, `"code":404`},
		{idle, "GET", "/", "", 404, `"code":404`},
		{idle, "GET", networkPath, "", 404, "follows the network"},
		{idle, "GET", payloadsPath + "1", "", 404, "follows the network"},
		{idle, "GET", distancePath, "", 200, `{"data":{"distance":0}}`},
		{idle, "PUT", distancePath, `{"distance":-1}`, 400, "want {\\\"distance\\\": NUMBER}"},
		{idle, "PUT", distancePath, `{}`, 400, "BAD_REQUEST"},
		{idle, "PUT", distancePath, strings.Repeat("[", 2000), 400, "BAD_REQUEST"},
		{producer, "PUT", distancePath, `{"distance":1}`, 404, "follows nobody"},
		{producer, "GET", payloadsPath + "6", "", 200, `"head":6`},
		{producer, "GET", payloadsPath + "4", "", 410, "block 4 is no longer kept: the oldest is block 5"},
		{producer, "GET", payloadsPath + "7", "", 404, "block 7 is not made yet: the newest is block 6"},
		{producer, "GET", payloadsPath + "x", "", 400, "want a whole number"},
		{producer, "GET", networkPath, "", 200, `"head":6,"oldest":5`},
		{producer, "GET", networkPath + "?after=5", "", 400, "want after and wait_ms"},
		{producer, "GET", networkPath + "?after=5&wait_ms=1000000", "", 200, `"head":6`},
		{producer, "GET", networkPath + "?after=6&wait_ms=10", "", 200, `"head":6`},
		{producer, "GET", "/eth/v1/config/spec", "", 200, `"SLOT_DURATION_MS":"20"`},
	} {
		status, body := ask(t, test.method, test.node.URL()+test.path, test.body)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", test.method, test.path, status, body, test.status, test.want)
		}
	}
}

// The distance is changed from the beacon's own machine alone.
func TestServe_distanceFromElsewhere(t *testing.T) {
	t.Parallel()
	n := startNode(t, Options{Endpoint: "http://127.0.0.1:1"})
	for from, want := range map[string]int{"192.0.2.1:4": http.StatusForbidden, "127.0.0.1:4": http.StatusOK, "[::1]:4": http.StatusOK} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, distancePath, strings.NewReader(`{"distance":3}`))
		r.RemoteAddr = from
		n.routes().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("from %s: %d, want %d", from, w.Code, want)
		}
	}
}

// A request that waits does not keep the beacon from stopping.
func TestNode_closeEndsWaiting(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "hoodi", 1, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := newSource(n.URL())
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = c.newer(t.Context(), 1, longestWait)
	}()
	eventually(t, "a waiting follower", func() bool { return n.snapshot().peers == 1 }, func() string { return "none" })
	began := time.Now()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	<-done
	if took := time.Since(began); took > longestWait/2 {
		t.Errorf("closing took %s", took)
	}
}

func TestStart_refusals(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, test := range map[string]struct {
		o    Options
		kind fault.Kind
		want string
	}{
		"port":     {Options{Endpoint: "http://127.0.0.1:1", Listen: taken.Addr().String()}, fault.Prerequisite, "--http-port: listening on 127.0.0.1:"},
		"endpoint": {Options{Endpoint: "localhost:8551"}, fault.Usage, "--execution-endpoint: RPC URL"},
	} {
		if _, err := Start(test.o); err == nil || fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
