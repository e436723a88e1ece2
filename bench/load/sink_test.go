package main

import (
	"math/big"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/send"
)

// The sink takes what the generator sends, and the generator sees all of it in
// the sink's blocks.
func TestSink(t *testing.T) {
	s := newSink(100)
	server := httptest.NewServer(s)
	defer server.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				s.mu.Lock()
				s.seal()
				s.mu.Unlock()
			}
		}
	}()
	accounts, err := accountsOf(5)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workload(load.EthTransfers, accounts, load.Contracts{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := send.Run(t.Context(), send.Options{
		URLs: []string{server.URL}, Source: w, Accounts: accounts, ChainID: sinkChain, PerAccount: 101, Tip: big.NewInt(gwei),
		Wait: 20 * time.Second, Batch: 13,
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.taken != 505 || r.Total.Included != 505 || r.Total.GasIncluded != 505*21_000 || r.Total.Resent != 0 {
		t.Errorf("the sink took %d, the report is %+v", s.taken, r.Total)
	}
}

func TestRawLimit(t *testing.T) {
	accounts, err := accountsOf(3)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workload(load.EthTransfers, accounts, load.Contracts{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := rawLimit(w, accounts, 100)
	if err != nil || l.n != 100 || l.seconds <= 0 {
		t.Errorf("rawLimit = %+v, %v", l, err)
	}
}
