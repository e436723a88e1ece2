package beacon

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// answers are what Lighthouse answers, by path.
var answers = map[string]string{
	"/eth/v1/node/syncing":    `{"data":{"is_syncing":false,"is_optimistic":false,"el_offline":false,"head_slot":"13226496","sync_distance":"0"}}`,
	"/eth/v1/node/version":    `{"data":{"version":"Lighthouse/v8.0.1-ced49dd/x86_64-linux"}}`,
	"/eth/v1/node/peer_count": `{"data":{"disconnected":"120","connecting":"0","connected":"208","disconnecting":"1"}}`,
	"/eth/v1/config/spec":     `{"data":{"CONFIG_NAME":"hoodi","SECONDS_PER_SLOT":"12","BLOB_SCHEDULE":[{"EPOCH":"1"}]}}`,
	"/lighthouse/syncing":     `{"data":{"SyncingFinalized":{"start_slot":"3104","target_slot":"343"}}}`,
	"/eth/v1/beacon/headers/head": `{"execution_optimistic":false,"finalized":false,"data":{"root":"0xf7f4000000000000000000000000000000000000000000000000000000000001",
		"canonical":true,"header":{"message":{"slot":"13226496","proposer_index":"1","parent_root":"0x00","state_root":"0x00","body_root":"0x00"},"signature":"0x00"}}}`,
}

// clientOf returns a client of a server that answers with serve.
func clientOf(t *testing.T, serve http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	c, err := NewClient(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestClient_lighthouse(t *testing.T) {
	t.Parallel()
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch text, ok := answers[r.URL.Path]; {
		case ok && r.Method == http.MethodGet:
			_, _ = w.Write([]byte(text))
		case r.URL.Path == "/eth/v1/node/health":
			w.WriteHeader(http.StatusPartialContent)
		default:
			http.NotFound(w, r)
		}
	})
	ctx := t.Context()
	s, err := c.Syncing(ctx)
	if ok, why := s.Ready(); err != nil || !ok || why != "" || s.HeadSlot != 13226496 || s.SyncDistance != 0 {
		t.Errorf("Syncing = %+v, %v; ready %t %q", s, err, ok, why)
	}
	if v, err := c.Version(ctx); err != nil || v != "Lighthouse/v8.0.1-ced49dd/x86_64-linux" {
		t.Errorf("Version = %q, %v", v, err)
	}
	if n, err := c.PeerCount(ctx); err != nil || n != 208 {
		t.Errorf("PeerCount = %d, %v", n, err)
	}
	if name, err := c.Network(ctx); err != nil || name != "hoodi" {
		t.Errorf("Network = %q, %v", name, err)
	}
	if p, err := c.Phase(ctx); err != nil || p != (Phase{"SyncingFinalized", 3104, 343}) {
		t.Errorf("Phase = %+v, %v", p, err)
	}
	h, err := c.Head(ctx)
	if want := common.HexToHash("0xf7f4000000000000000000000000000000000000000000000000000000000001"); err != nil || h != (Header{13226496, want}) {
		t.Errorf("Head = %+v, %v", h, err)
	}
	if h, err := c.Health(ctx); err != nil || h != CatchingUp {
		t.Errorf("Health = %v, %v", h, err)
	}
}

func TestSyncing_ready(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"is_syncing":false,"is_optimistic":false,"el_offline":false,"head_slot":"9","sync_distance":"4"`:  "",
		`"is_syncing":false,"is_optimistic":false,"el_offline":false,"head_slot":9,"sync_distance":0`:      "",
		`"is_syncing":false,"is_optimistic":false,"el_offline":false,"head_slot":"9","sync_distance":"5"`:  "its head is slot 9, 5 slots behind",
		`"is_syncing":true,"is_optimistic":true,"el_offline":false,"head_slot":"9","sync_distance":"3912"`: "it is syncing: its head is slot 9, 3912 slots behind",
		`"is_syncing":false,"is_optimistic":true,"el_offline":false,"head_slot":"9","sync_distance":"0"`:   "is optimistic",
		`"is_syncing":false,"is_optimistic":true,"el_offline":true,"head_slot":"9","sync_distance":"0"`:    "its execution client is offline",
		`"is_syncing":false,"el_offline":false,"head_slot":"9","sync_distance":"0"`:                        "is_optimistic is missing",
		`"is_syncing":false,"is_optimistic":null,"el_offline":false,"head_slot":"9","sync_distance":"0"`:   "is_optimistic is missing",
		`"is_syncing":false,"is_optimistic":false,"head_slot":"9","sync_distance":"0"`:                     "el_offline is missing",
		`"is_optimistic":false,"el_offline":false,"head_slot":"9","sync_distance":"0"`:                     "is_syncing is missing",
	} {
		s, err := decodeSyncing([]byte(`{"data":{` + text + `}}`))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if ok, why := s.Ready(); ok != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%s: ready %t, %q, want %q", text, ok, why, want)
		}
	}
}

// Each error names the URL and what came from there.
func TestClient_errors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"not found":      {404, `{"code":404,"message":"NOT_FOUND"}`, `HTTP status 404: {"code":404,"message":"NOT_FOUND"}`},
		"not json":       {200, "<html>\n  login </html>", "answered <html> login </html>: the answer has an unexpected form"},
		"no data":        {200, `{"data":null}`, `answered {"data":null}: the answer has no data`},
		"no slot":        {200, `{"data":{"is_syncing":false,"sync_distance":"1"}}`, "lacks one of head_slot and sync_distance"},
		"negative":       {200, `{"data":{"head_slot":"-1","sync_distance":"1"}}`, "want a whole number as a string"},
		"other type":     {200, `{"data":{"is_syncing":"no","head_slot":"1","sync_distance":"1"}}`, "unexpected form"},
		"endless":        {200, strings.Repeat(" ", maxAnswer+1), "larger than 1048576 bytes"},
		"not a document": {502, "", "HTTP status 502"},
	} {
		c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			_, _ = w.Write([]byte(test.body))
		})
		_, err := c.Syncing(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), c.URL()+"/eth/v1/node/syncing") {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
		if NotServed(err) != (test.status == 404) {
			t.Errorf("%s: NotServed is %t", name, NotServed(err))
		}
	}
}

func TestClient_unreachable(t *testing.T) {
	t.Parallel()
	c, err := NewClient("http://user:secret@127.0.0.1:1/key")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Syncing(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "http://127.0.0.1:1/…/eth/v1/node/syncing: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	if _, err := c.Health(t.Context()); err == nil {
		t.Error("health of nobody is no error")
	}
	// A server that takes the connection and says nothing.
	ended := make(chan struct{})
	silent := clientOf(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); close(ended) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := silent.Syncing(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a deadline", err)
	}
	<-ended
}

func TestNewClient_refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ftp://h": "the scheme must be http or https", "127.0.0.1:5052": "first path segment", "http://": "the host is missing",
		"http://h\n": "invalid control character",
	} {
		if _, err := NewClient(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewClient(%q): %v, want %q", text, err, want)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "ready", 206: "syncing or optimistic", 503: "execution client offline or not initialized", 418: "HTTP status 418",
	} {
		c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		h, err := c.Health(t.Context())
		if known := status != 418; known != (err == nil) {
			t.Errorf("%d: %v, %v", status, h, err)
		}
		if got := Health(status).String(); got != want {
			t.Errorf("%d is %q, want %q", status, got, want)
		}
	}
}

func TestPhase(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Phase{
		`{"data":"Synced"}`: {Name: "Synced"},
		`{"data":{"BackFillSyncing":{"completed":10,"remaining":3}}}`: {Name: "BackFillSyncing"},
		`{"data":{"SyncingHead":{"start_slot":"7","target_slot":9}}}`: {"SyncingHead", 7, 9},
		`{"data":""}`: {}, `{"data":{}}`: {}, `{"data":[]}`: {}, `{"data":{"a":{},"b":{}}}`: {},
	} {
		p, err := decodePhase([]byte(text))
		if p != want || (err == nil) != (want.Name != "") {
			t.Errorf("%s: %+v, %v, want %+v", text, p, err, want)
		}
	}
}

// Whatever a server answers, it is an error or a value that can be judged.
func FuzzAnswers(f *testing.F) {
	for _, text := range answers {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"data":"Synced"}`))
	f.Add([]byte(`{"data":{"network":"a","genesis":"0x01","slot_ms":1},"head":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := decodeSyncing(raw); err == nil {
			if ok, why := s.Ready(); ok != (why == "") {
				t.Errorf("%s: ready %t, %q", raw, ok, why)
			}
		}
		if v, err := decodeVersion(raw); err == nil && v == "" {
			t.Errorf("%s: an empty version", raw)
		}
		if p, err := decodePhase(raw); err == nil && p.Name == "" {
			t.Errorf("%s: a phase without a name", raw)
		}
		if name, err := decodeNetwork(raw); err == nil && name == "" {
			t.Errorf("%s: a network without a name", raw)
		}
		if n, err := decodeOwn(raw); err == nil && n.slot() <= 0 {
			t.Errorf("%s: slots of %s", raw, n.slot())
		}
		_, _ = decodeHeader(raw)
		_, _ = decodePeerCount(raw)
		_, _, _ = decodeDelivery(raw)
	})
}
