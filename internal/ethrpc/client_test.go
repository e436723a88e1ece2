package ethrpc

import (
	"net/http"
	"net/http/httptest"
	"strings"
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
