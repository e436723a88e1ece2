package drive

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
)

// The blocks that one driver builds, another delivers to a client of its own.
func TestDriver_import(t *testing.T) {
	t.Parallel()
	a, b := newScripted(t, "a", nil), newScripted(t, "b", nil)
	var built []ethrpc.Payload
	producer, err := open(t, Options{Built: func(p ethrpc.Payload) {
		if len(a.chain) != len(built)+1 {
			t.Errorf("block %d is told of when the client has %d blocks", p.Number, len(a.chain))
		}
		built = append(built, p)
	}}, a)
	if err != nil {
		t.Fatal(err)
	}
	follower, err := Open(t.Context(), Options{Clients: []Client{b.Client}})
	if err != nil {
		t.Fatal(err)
	}
	if follower.Genesis() != a.chain[0].Hash {
		t.Errorf("genesis is %s, want %s", follower.Genesis(), a.chain[0].Hash)
	}
	for n := uint64(1); n <= 3; n++ {
		if _, err := producer.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		block, err := follower.Import(t.Context(), built[n-1])
		if err != nil {
			t.Fatal(err)
		}
		if block.Number != n || block.Transactions != 10 || block.Builder != "" || len(block.Imports) != 1 || b.chain[n].Hash != a.chain[n].Hash {
			t.Errorf("block %d is imported as %+v", n, block)
		}
	}
	if err := follower.Check(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = follower.Import(t.Context(), built[0])
	wantError(t, err, fault.Failed, "block 1 ", "the clients stand on block 3 ")

	b.mu.Lock()
	b.chain = b.chain[:2]
	b.mu.Unlock()
	wantError(t, follower.Check(t.Context()), fault.Failed, "client b: head is block 1 ", "was block 3 ")
}

// That a client did not execute a block can be told from other failures.
func TestDriver_notExecuted(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", nil)
	d, err := Open(t.Context(), Options{Clients: []Client{a.Client}})
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.newPayload = &ethrpc.Outcome{Status: ethrpc.Accepted}
	a.mu.Unlock()
	_, err = d.Next(t.Context())
	var not *NotExecutedError
	if !errors.As(err, &not) || not.Status != ethrpc.Accepted || not.Number != 1 || not.Hash == (common.Hash{}) {
		t.Errorf("the error is %#v", err)
	}
	wantError(t, err, fault.Failed, "client a: says ACCEPTED of block 1 ")
	if hints := fault.HintsOf(err); len(hints) != 1 || !strings.Contains(hints[0], "--syncmode full") {
		t.Errorf("hints %q", hints)
	}
}

// With a clock, timestamps are the time, and always later than the parent's.
func TestDriver_clock(t *testing.T) {
	t.Parallel()
	a := newScripted(t, "a", nil) // whose genesis is of second 1000
	now := time.Unix(500, 0)
	d, err := Open(t.Context(), Options{Clients: []Client{a.Client}, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ clock, want int64 }{{500, 1001}, {1001, 1002}, {5000, 5000}, {5000, 5001}, {5012, 5012}, {-1, 5013}} {
		now = time.Unix(step.clock, 999)
		b, err := d.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.Timestamp != uint64(step.want) {
			t.Errorf("at %d the block has time %d, want %d", step.clock, b.Timestamp, step.want)
		}
	}
}
