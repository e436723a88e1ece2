package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/chaintest"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
)

// following runs Follow in the background and collects what it emits.
type following struct {
	t       *testing.T
	node    *chaintest.Node
	records chan sample.Record
	result  chan error
	cancel  context.CancelFunc
}

func follow(t *testing.T, node *chaintest.Node, o FollowOptions) *following {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &following{
		t: t, node: node, cancel: cancel,
		records: make(chan sample.Record, 10_000),
		result:  make(chan error, 1),
	}
	asked := node.Asked("eth_blockNumber")
	s := newSampler(t, node.URL(), Options{Side: sample.Baseline})
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.result <- Follow(ctx, s, o, func(r sample.Record) error {
			f.records <- r
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	// From here on the chain's movements are seen as such.
	f.until("a first look at the head", func() bool { return node.Asked("eth_blockNumber") > asked+1 || len(f.result) > 0 })
	return f
}

// until polls a condition with a deadline.
func (f *following) until(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			f.t.Fatalf("waited in vain for %s", what)
		}
		select {
		case <-f.t.Context().Done():
		case <-time.After(time.Millisecond):
		}
	}
}

// next describes the next record in a few words.
func (f *following) next() string {
	f.t.Helper()
	select {
	case r := <-f.records:
		return f.describe(r)
	case <-time.After(20 * time.Second):
		f.t.Fatal("waited in vain for a record")
		return ""
	}
}

func (f *following) describe(r sample.Record) string {
	switch {
	case r.V != sample.Version || (r.Sample == nil) == (r.Gap == nil):
		return fmt.Sprintf("bad record %+v", r)
	case r.Gap != nil:
		if r.Gap.DurationNS < 0 || r.Gap.OffsetNS <= 0 || r.Gap.Side != sample.Baseline {
			f.t.Errorf("gap %+v", r.Gap)
		}
		return "gap"
	}
	s := r.Sample
	if s.Status == sample.OK && (s.Hash == "" || s.SinceHeadNS < 0) {
		f.t.Errorf("sample %+v", s)
	}
	return fmt.Sprintf("%d %s", s.Number, s.Status)
}

func (f *following) expect(want ...string) {
	f.t.Helper()
	for i, w := range want {
		if got := f.next(); got != w {
			f.t.Fatalf("record %d is %q, want %q", i, got, w)
		}
	}
}

// end waits for Follow to return.
func (f *following) end() error {
	f.t.Helper()
	select {
	case err := <-f.result:
		return err
	case <-time.After(20 * time.Second):
		f.t.Fatal("waited in vain for the end")
		return nil
	}
}

func ptr(n uint64) *uint64 { return &n }

func TestFollow_newBlocksInOrder(t *testing.T) {
	node := startNode(t, 5)
	f := follow(t, node, FollowOptions{Blocks: 4})
	node.Extend(1)
	f.expect("6 ok")
	node.Extend(3)
	f.expect("7 ok", "8 ok", "9 ok")
	if err := f.end(); err != nil {
		t.Error(err)
	}
}

func TestFollow_from(t *testing.T) {
	node := startNode(t, 300)
	f := follow(t, node, FollowOptions{Until: ptr(12), From: ptr(10)})
	f.expect("10 ok", "11 ok", "12 ok") // old, but asked for
	if err := f.end(); err != nil {
		t.Error(err)
	}

	f = follow(t, node, FollowOptions{Blocks: 1, From: ptr(302)})
	node.Extend(3)
	f.expect("302 ok")
	if err := f.end(); err != nil {
		t.Error(err)
	}
}

func TestFollow_failedBlocksCount(t *testing.T) {
	node := startNode(t, 9)
	node.SetFault(2, chaintest.RPCError)
	node.SetFault(3, chaintest.NotJSON)
	node.SetFault(4, chaintest.Drop) // the server itself stays: no gap
	f := follow(t, node, FollowOptions{Blocks: 5, From: ptr(1)})
	f.expect("1 ok", "2 rpc-error", "3 malformed", "4 unavailable", "5 ok")
	if err := f.end(); err != nil {
		t.Error(err)
	}
}

// A server that is killed while it answers and comes back costs one failed
// sample and one gap; nothing else is lost.
func TestFollow_restart(t *testing.T) {
	node := startNode(t, 9)
	waiting := make(chan error, 10)
	node.Before(3, node.Stop)
	f := follow(t, node, FollowOptions{Blocks: 6, From: ptr(1), Waiting: func(err error) { waiting <- err }})
	f.expect("1 ok", "2 ok", "3 unavailable")
	select {
	case <-waiting:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told that the server is away")
	}
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	f.expect("gap", "4 ok", "5 ok", "6 ok")
	if err := f.end(); err != nil {
		t.Error(err)
	}
	if n := len(waiting); n > 0 {
		t.Errorf("told %d times too many", n)
	}
}

// Between two blocks nothing is under way, so that a restart costs no sample.
func TestFollow_restartWhileIdle(t *testing.T) {
	node := startNode(t, 5)
	waiting := make(chan error, 10)
	f := follow(t, node, FollowOptions{Blocks: 2, Waiting: func(err error) { waiting <- err }})
	node.Extend(1)
	f.expect("6 ok")
	node.Stop()
	<-waiting
	node.Extend(1)
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	f.expect("gap", "7 ok")
	if err := f.end(); err != nil {
		t.Error(err)
	}
}

func TestFollow_openGapIsRecorded(t *testing.T) {
	node := startNode(t, 5)
	f := follow(t, node, FollowOptions{Wait: 200 * time.Millisecond})
	node.Stop()
	defer node.Restart() // the clean-up stops it again
	f.expect("gap")
	if err := f.end(); fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "has not answered for 200ms") {
		t.Errorf("got %v, want the limit of --wait", err)
	}
}

func TestFollow_otherChainAfterRestart(t *testing.T) {
	node := startNode(t, 5)
	waiting := make(chan error, 10)
	f := follow(t, node, FollowOptions{Waiting: func(err error) { waiting <- err }})
	node.Stop()
	<-waiting
	node.SetChainID(7)
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	f.expect("gap")
	if err := f.end(); err == nil || !strings.Contains(err.Error(), "came back on chain 7; it was on chain 1337") {
		t.Errorf("got %v, want the other chain", err)
	}
}

// After a reorg the new blocks are measured, whether the head's number grows,
// stays or shrinks.
func TestFollow_reorgs(t *testing.T) {
	t.Run("longer", func(t *testing.T) {
		node := startNode(t, 9)
		f := follow(t, node, FollowOptions{Blocks: 6, From: ptr(7)})
		f.expect("7 ok", "8 ok", "9 ok")
		node.Reorg(8)
		node.Extend(1)
		f.expect("8 ok", "9 ok", "10 ok")
	})
	t.Run("same length", func(t *testing.T) {
		node := startNode(t, 9)
		f := follow(t, node, FollowOptions{From: ptr(7)})
		f.expect("7 ok", "8 ok", "9 ok")
		node.Reorg(8)
		f.expect("8 ok", "9 ok")
	})
	t.Run("shorter", func(t *testing.T) {
		node := startNode(t, 9)
		f := follow(t, node, FollowOptions{From: ptr(7)})
		f.expect("7 ok", "8 ok", "9 ok")
		node.Reorg(8)
		node.Rewind(8)
		f.expect("8 ok")
		node.Extend(1)
		f.expect("9 ok")
	})
	t.Run("while it is measured", func(t *testing.T) {
		node := startNode(t, 9)
		node.SetFault(8, chaintest.ReorgDuring)
		f := follow(t, node, FollowOptions{Blocks: 4, From: ptr(7)})
		f.expect("7 ok", "8 reorged", "8 ok", "9 ok")
	})
}

// A rollback that leads to the same blocks again measures nothing twice.
func TestFollow_rollback(t *testing.T) {
	node := startNode(t, 9)
	f := follow(t, node, FollowOptions{From: ptr(7)})
	f.expect("7 ok", "8 ok", "9 ok")
	hash := node.Hash(9)
	node.Rewind(7)
	asked := node.Asked("eth_blockNumber")
	f.until("a look at the shorter chain", func() bool { return node.Asked("eth_blockNumber") > asked+3 })
	node.Extend(3)
	if node.Hash(9) != hash {
		t.Fatal("the chain is another one")
	}
	f.expect("10 ok")
}

func TestFollow_skips(t *testing.T) {
	node := startNode(t, 5)
	f := follow(t, node, FollowOptions{Blocks: 121})
	node.Extend(125)
	want := []string{"6 skipped", "7 skipped", "8 skipped", "9 skipped"}
	for n := 10; n <= 130; n++ {
		want = append(want, fmt.Sprintf("%d ok", n))
	}
	f.expect(want...)
	if err := f.end(); err != nil {
		t.Error(err)
	}
}

func TestFollow_skipsMany(t *testing.T) {
	node := startNode(t, 5)
	f := follow(t, node, FollowOptions{Blocks: 1})
	node.Extend(2000)
	var got []string
	for range 1002 {
		got = append(got, f.next())
	}
	if slices.ContainsFunc(got[:1000], func(s string) bool { return !strings.HasSuffix(s, " skipped") }) || got[1000] != "gap" || got[1001] != "1885 ok" {
		t.Errorf("got %q ... %q", got[:3], got[999:])
	}
}

func TestFollow_settle(t *testing.T) {
	const settle = 300 * time.Millisecond
	node := startNode(t, 5)
	f := follow(t, node, FollowOptions{Blocks: 1, Settle: settle})
	node.Extend(1)
	r := <-f.records
	if r.Sample == nil || time.Duration(r.Sample.SinceHeadNS) < settle {
		t.Errorf("got %+v, want at least %v since the head was seen", r.Sample, settle)
	}
}

func TestFollow_interrupt(t *testing.T) {
	node := startNode(t, 5)
	f := follow(t, node, FollowOptions{})
	node.Extend(1)
	f.expect("6 ok")
	f.cancel()
	if err := f.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the interrupt", err)
	}
}

func TestFollow_emitFails(t *testing.T) {
	node := startNode(t, 5)
	full := errors.New("the disk is full")
	err := Follow(t.Context(), newSampler(t, node.URL(), Options{}), FollowOptions{From: ptr(1)},
		func(sample.Record) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

func TestFollow_unusableStart(t *testing.T) {
	node := startNode(t, 5)
	node.Disable("eth_blockNumber")
	err := Follow(t.Context(), newSampler(t, node.URL(), Options{}), FollowOptions{}, nil)
	if fault.KindOf(err) != fault.Prerequisite {
		t.Errorf("got %v, want a prerequisite", err)
	}
}
