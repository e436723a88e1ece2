package beacon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// The paths that are not part of the beacon API: what a producer has for its
// followers, and the knob of a follower.
const (
	networkPath  = "/verdict/v1/network"
	payloadsPath = "/verdict/v1/payloads/"
	distancePath = "/verdict/v1/sync-distance"
)

// longestWait bounds how long a request may wait for a new block.
const longestWait = 30 * time.Second

// failure is an answer of the beacon API that is an error.
type failure struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func failuref(code int, format string, args ...any) *failure {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// object is one JSON object.
type object = map[string]any

// routes are all paths. Each function returns what to encode, or a failure.
func (n *Node) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, answer func(*http.Request) (any, *failure)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			value, failed := answer(r)
			if failed != nil {
				reply(w, failed.Code, failed)
				return
			}
			reply(w, http.StatusOK, value)
		})
	}
	handle("GET /eth/v1/node/syncing", n.initialized(syncingAnswer))
	handle("GET /eth/v1/node/version", n.versionAnswer)
	handle("GET /eth/v1/node/peer_count", n.initialized(peerCountAnswer))
	handle("GET /eth/v1/beacon/headers/head", n.initialized(headAnswer))
	handle("GET /eth/v1/config/spec", n.initialized(specAnswer))
	handle("GET /lighthouse/syncing", n.initialized(phaseAnswer))
	mux.HandleFunc("GET /eth/v1/node/health", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(n.snapshot().health()))
	})
	handle("GET "+networkPath, n.networkAnswer)
	handle("GET "+distancePath, n.distanceAnswer)
	handle("PUT "+distancePath, n.setDistance)
	mux.HandleFunc("GET "+payloadsPath+"{number}", n.servePayload)
	handle("/", func(r *http.Request) (any, *failure) {
		return nil, failuref(http.StatusNotFound, "NOT_FOUND: %s %s", r.Method, r.URL.Path)
	})
	return mux
}

// reply writes value as JSON.
func reply(w http.ResponseWriter, status int, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client went away, if anything
}

// initialized answers from what the node knows, once it knows its network.
func (n *Node) initialized(answer func(status) (any, *failure)) func(*http.Request) (any, *failure) {
	return func(*http.Request) (any, *failure) {
		s := n.snapshot()
		if !s.known && !s.producing {
			return nil, failuref(http.StatusServiceUnavailable, "not initialized: the network has not answered yet")
		}
		return answer(s)
	}
}

// health is the HTTP status that says how the node is.
func (s status) health() Health {
	switch {
	case s.offline || !s.known:
		return Unready
	case s.syncing() || s.optimistic:
		return CatchingUp
	}
	return Healthy
}

func decimalText(n uint64) string { return strconv.FormatUint(n, 10) }

func syncingAnswer(s status) (any, *failure) {
	return object{"data": object{
		"is_syncing":    s.syncing(),
		"is_optimistic": s.optimistic,
		"el_offline":    s.offline,
		"head_slot":     decimalText(s.head.Number),
		"sync_distance": decimalText(s.behind()),
	}}, nil
}

func (n *Node) versionAnswer(*http.Request) (any, *failure) {
	return object{"data": object{"version": n.o.Version}}, nil
}

func peerCountAnswer(s status) (any, *failure) {
	return object{"data": object{
		"disconnected": "0", "connecting": "0", "connected": strconv.Itoa(s.peers), "disconnecting": "0",
	}}, nil
}

// headAnswer takes the execution block for the beacon block: its hash for the
// root, its number for the slot. There is no other block here.
func headAnswer(s status) (any, *failure) {
	if s.head.Hash == (common.Hash{}) {
		return nil, failuref(http.StatusServiceUnavailable, "no head: the execution client has not answered yet")
	}
	return object{"execution_optimistic": s.optimistic, "finalized": false, "data": object{
		"root": s.head.Hash, "canonical": true,
		"header": object{
			"message": object{
				"slot": decimalText(s.head.Number), "proposer_index": "0",
				"parent_root": s.head.Parent, "state_root": common.Hash{}, "body_root": common.Hash{},
			},
			"signature": fmt.Sprintf("%#0194x", 0),
		},
	}}, nil
}

func specAnswer(s status) (any, *failure) {
	if !s.known {
		return nil, failuref(http.StatusServiceUnavailable, "not initialized: the execution client has not answered yet")
	}
	spec := object{
		"CONFIG_NAME": s.network.Name, "DEPOSIT_CHAIN_ID": decimalText(s.network.ChainID),
		"SLOT_DURATION_MS": strconv.FormatInt(s.network.SlotMS, 10),
	}
	if s.network.SlotMS%1000 == 0 {
		spec["SECONDS_PER_SLOT"] = strconv.FormatInt(s.network.SlotMS/1000, 10)
	}
	return object{"data": spec}, nil
}

// phaseAnswer is in Lighthouse's own words.
func phaseAnswer(s status) (any, *failure) {
	switch {
	case s.syncing():
		return object{"data": object{"SyncingFinalized": object{
			"start_slot": decimalText(s.from), "target_slot": decimalText(s.target()),
		}}}, nil
	case !s.producing && s.peers == 0:
		return object{"data": "Stalled"}, nil
	}
	return object{"data": "Synced"}, nil
}

// networkAnswer tells a follower of the network. With after=NUMBER it waits up
// to wait_ms for a block with a higher number.
func (n *Node) networkAnswer(r *http.Request) (any, *failure) {
	s := n.snapshot()
	switch {
	case !s.producing:
		return nil, notProducing()
	case !s.known:
		return nil, failuref(http.StatusServiceUnavailable, "not initialized: the execution client has not answered yet")
	}
	defer n.follower()()
	query := r.URL.Query()
	if after := query.Get("after"); after != "" {
		number, err := strconv.ParseUint(after, 10, 64)
		wait, err2 := strconv.ParseUint(query.Get("wait_ms"), 10, 31)
		if err != nil || err2 != nil {
			return nil, failuref(http.StatusBadRequest, "BAD_REQUEST: want after and wait_ms as whole numbers")
		}
		ctx, cancel := context.WithTimeout(r.Context(), min(longestWait, time.Duration(wait)*time.Millisecond))
		defer cancel()
		n.chain.await(ctx, number)
	}
	return object{"data": n.published(s.network)}, nil
}

// published is the network with the span of what can be had of it. The head is
// the newest block that was built, even if it is still on its way to the
// producer's own execution client.
func (n *Node) published(net network) network {
	net.Oldest = net.Head + 1
	if oldest, newest, ok := n.chain.span(); ok {
		net.Oldest, net.Head = oldest, newest
	}
	return net
}

// follower counts a follower for as long as its request is under way.
func (n *Node) follower() (done func()) {
	n.update(func(s *status) { s.peers++ })
	return func() { n.update(func(s *status) { s.peers-- }) }
}

func notProducing() *failure {
	return failuref(http.StatusNotFound, "NOT_FOUND: this beacon follows the network and does not produce it")
}

// servePayload answers with one block. The payload is not encoded again, as
// its bytes are those that were kept.
func (n *Node) servePayload(w http.ResponseWriter, r *http.Request) {
	s := n.snapshot()
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	span := n.published(s.network)
	raw := n.chain.at(number)
	var failed *failure
	switch {
	case !s.producing:
		failed = notProducing()
	case err != nil:
		failed = failuref(http.StatusBadRequest, "BAD_REQUEST: block %q: want a whole number", r.PathValue("number"))
	case raw == nil && number < span.Oldest:
		failed = failuref(http.StatusGone, "block %d is no longer kept: the oldest is block %d", number, span.Oldest)
	case raw == nil:
		failed = failuref(http.StatusNotFound, "NOT_FOUND: block %d is not made yet: the newest is block %d", number, span.Head)
	}
	if failed != nil {
		reply(w, failed.Code, failed)
		return
	}
	defer n.follower()()
	reply(w, http.StatusOK, delivery{Data: raw, Head: span.Head})
}

// delivery is one block on its way to a follower.
type delivery struct {
	Data json.RawMessage `json:"data"`
	// Head is the number of the network's newest block.
	Head uint64 `json:"head"`
}

// wanted is the body of a request that changes the distance.
type wanted struct {
	Distance *uint64 `json:"distance"`
}

func (n *Node) distanceAnswer(*http.Request) (any, *failure) {
	s := n.snapshot()
	if s.producing {
		return nil, failuref(http.StatusNotFound, "NOT_FOUND: this beacon produces the network and follows nobody")
	}
	return object{"data": wanted{&s.distance}}, nil
}

// setDistance changes how far the node stays behind. Only programs on its own
// machine may.
func (n *Node) setDistance(r *http.Request) (any, *failure) {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err != nil || !net.ParseIP(host).IsLoopback() {
		return nil, failuref(http.StatusForbidden, "FORBIDDEN: only from the beacon's own machine")
	}
	if n.snapshot().producing {
		return n.distanceAnswer(r)
	}
	var w wanted
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	if err != nil || json.Unmarshal(raw, &w) != nil || w.Distance == nil {
		return nil, failuref(http.StatusBadRequest, `BAD_REQUEST: want {"distance": NUMBER}`)
	}
	n.update(func(s *status) { s.distance = *w.Distance })
	n.log.Info("the distance to stay behind was changed", "blocks", *w.Distance)
	return n.distanceAnswer(r)
}
