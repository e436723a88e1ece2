package send

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// Over real connections: all is included, and the connections are kept.
func TestRun_http(t *testing.T) {
	f := newFake(20, "geth", hostility{revert: 0.2})
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		if coding := r.Header.Get("Accept-Encoding"); coding != "identity" {
			t.Errorf("asks for the coding %q, want identity", coding)
		}
		answer, err := f.Post(r.Context(), body, nil)
		if err != nil {
			if r.Context().Err() == nil { // the end of the run cuts requests off
				t.Error(err)
			}
			return
		}
		w.Write(answer)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	mining, stop := context.WithCancel(t.Context())
	defer stop()
	go f.mine(mining, 50*time.Millisecond)

	o := Options{
		URLs: []string{server.URL}, Source: source{}, Accounts: testAccounts(t, 9), ChainID: testChain,
		PerAccount: 40, Connections: 4, Batch: 7, Wait: 30 * time.Second,
		Progress: func(r Report) {
			if err := r.Check(); err != nil {
				t.Error(err)
			}
		},
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	agree(t, f, o, r)
	if n := opened.Load(); n > 7 {
		t.Errorf("%d connections were opened, want at most 7 and those kept", n)
	}
}
