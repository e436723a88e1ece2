package ethrpc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server that takes a call and never answers is an error, not a hang.
func TestCall_hangingServer(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.timeout = 50 * time.Millisecond
	if err := c.Call(t.Context(), nil, "eth_chainId"); err == nil || !TimedOut(err) {
		t.Errorf("Call() = %v, want a time limit", err)
	}
}

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"http://127.0.0.1:8545":             "http://127.0.0.1:8545",
		"http://127.0.0.1:8545/":            "http://127.0.0.1:8545",
		"http://user:secret@node:8545":      "http://node:8545/…",
		"https://node/v3/secret":            "https://node/…",
		"https://node?key=secret":           "https://node/…",
		"https://node#secret":               "https://node/…",
		"http://user:secret@bad host:99999": "…",
	} {
		if got := Redact(raw); got != want {
			t.Errorf("Redact(%q) = %q, want %q", raw, got, want)
		}
	}
	for _, raw := range []string{"ftp://user:secret@node", "http://user:secret@bad host", "http://user:secret@"} {
		if _, err := NewClient(raw); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("NewClient(%q) = %v, want an error without the password", raw, err)
		}
	}
}

func TestCall_answers(t *testing.T) {
	answer := ""
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(answer))
	}))
	defer server.Close()
	c, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, x := range []struct {
		status       int
		answer, want string
	}{
		{200, `{"jsonrpc":"2.0","id":1,"result":"0x1"}`, ""},
		{200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}`, "m: no such method (code -32601)"},
		{200, `{"jsonrpc":"2.0","id":1}`, "neither a result nor an error"},
		{200, `{"jsonrpc":"2.0","id":1,"result":{}}`, "unexpected form"},
		{200, `hello`, "not JSON-RPC"},
		{503, "  try\nlater ", "HTTP status 503: try later"},
	} {
		answer, status = x.answer, x.status
		var result string
		err := c.Call(t.Context(), &result, "m")
		if x.want == "" && (err != nil || result != "0x1") || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("Call answered with %d %s = %q, %v, want %q", x.status, x.answer, result, err, x.want)
		}
	}
}

// Post passes both bodies on as they are, reads into the memory that it is
// given, and keeps as many connections as were asked for.
func TestPost(t *testing.T) {
	var mu sync.Mutex
	opened := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if coding := r.Header.Get("Accept-Encoding"); coding != "identity" {
			t.Errorf("asks for the coding %q, want identity", coding)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if string(body) == "fail" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
		w.Write(append(body, '!'))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if s == http.StateNew {
			opened++
		}
	}
	server.Start()
	defer server.Close()
	c, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const connections = 5
	c.SetConnections(connections)

	memory := make([]byte, 0, 64)
	got, err := c.Post(t.Context(), []byte("[1]"), memory)
	if err != nil || string(got) != "[1]!" || &got[0] != &memory[:1][0] {
		t.Errorf("Post = %q, %v, want [1]! in the memory given", got, err)
	}
	long := bytes.Repeat([]byte("x"), 100_000)
	if got, err := c.Post(t.Context(), long, memory); err != nil || len(got) != len(long)+1 {
		t.Errorf("Post of a long body = %d bytes, %v", len(got), err)
	}
	var status *HTTPError
	if _, err := c.Post(t.Context(), []byte("fail"), nil); !errors.As(err, &status) || status.Status != 413 {
		t.Errorf("Post = %v, want the HTTP status", err)
	}
	var wg sync.WaitGroup
	for range 4 * connections {
		wg.Go(func() {
			for range 10 {
				if _, err := c.Post(t.Context(), []byte("x"), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if opened > connections {
		t.Errorf("%d connections were opened, want at most %d", opened, connections)
	}
}
