package collect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
)

// collected runs Follow to its end and returns the records as words, and what
// the file would tell the next one.
func collected(t *testing.T, s *Sampler, o FollowOptions) (words []string, past []Done) {
	t.Helper()
	past = slices.Clone(o.Past)
	err := Follow(t.Context(), s, o, func(r sample.Record) error {
		if r.Gap != nil {
			words = append(words, "gap")
			return nil
		}
		word := fmt.Sprintf("%d %s", r.Sample.Number, r.Sample.Status)
		if r.Sample.WarmUp {
			word += " warm-up"
		}
		words = append(words, word)
		past = append(past, DoneOf(r.Sample))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return words, past
}

func wantWords(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

func TestFollow_goesOn(t *testing.T) {
	node := startNode(t, 12)
	s := newSampler(t, node.URL(), Options{})
	o := FollowOptions{From: ptr(5), Until: ptr(7), WarmUp: 4}
	got, past := collected(t, s, o)
	wantWords(t, got, "5 ok warm-up", "6 ok warm-up", "7 ok warm-up")

	var held []uint64
	o = FollowOptions{From: ptr(5), Until: ptr(10), WarmUp: 4, Past: past, Held: func(d Done) { held = append(held, d.Number) }}
	got, past = collected(t, s, o)
	wantWords(t, got, "8 ok warm-up", "9 ok", "10 ok")
	if !slices.Equal(held, []uint64{5, 6, 7}) {
		t.Errorf("held %v, want 5 6 7", held)
	}

	// What is complete stays so.
	o.Past = past
	got, _ = collected(t, s, o)
	wantWords(t, got)

	// Warm-up does not count as a block, and the past does.
	o.Until, o.Blocks = nil, 3
	got, _ = collected(t, s, o)
	wantWords(t, got, "11 ok")
}

// Without From the file says where the collection began.
func TestFollow_goesOnWithoutFrom(t *testing.T) {
	node := startNode(t, 12)
	s := newSampler(t, node.URL(), Options{})
	past := []Done{{Number: 6, Hash: node.Hash(6), Status: sample.OK, WarmUp: true}, {Number: 7, Hash: node.Hash(7), Status: sample.RPCError, WarmUp: true}}
	got, _ := collected(t, s, FollowOptions{Until: ptr(9), WarmUp: 3, Past: past})
	wantWords(t, got, "8 ok warm-up", "9 ok")
}

// What the file lacks is measured, what it holds further up is not measured
// again, and counts when it is come across.
func TestFollow_holes(t *testing.T) {
	node := startNode(t, 12)
	s := newSampler(t, node.URL(), Options{})
	past := []Done{
		{Number: 7, Hash: node.Hash(7), Status: sample.OK},
		{Number: 5, Hash: node.Hash(5), Status: sample.OK},
		{Number: 8, Hash: "0x" + strings.Repeat("ab", 32), Status: sample.OK}, // of another fork
	}
	got, _ := collected(t, s, FollowOptions{From: ptr(5), Blocks: 6, Past: past})
	// The block of the other fork was measured too, so it counts.
	wantWords(t, got, "6 ok", "8 ok", "9 ok")
}

// A restart does not change whether old blocks are measured: that was decided
// when the collection began.
func TestFollow_restartKeepsTheMode(t *testing.T) {
	t.Run("live", func(t *testing.T) {
		node := startNode(t, 12)
		s := newSampler(t, node.URL(), Options{})
		o := FollowOptions{From: ptr(11), Until: ptr(12)}
		_, o.Past = collected(t, s, o)
		node.Extend(122) // up to 134
		o.Until = ptr(15)
		got, _ := collected(t, s, o)
		wantWords(t, got, "13 skipped", "14 ok", "15 ok")
	})
	t.Run("historic", func(t *testing.T) {
		node := startNode(t, 134)
		s := newSampler(t, node.URL(), Options{})
		o := FollowOptions{From: ptr(12), Until: ptr(13)}
		got, past := collected(t, s, o)
		wantWords(t, got, "12 ok", "13 ok")
		node.Extend(500)
		o.Past, o.Until = past, ptr(14)
		got, _ = collected(t, s, o)
		wantWords(t, got, "14 ok")
	})
	t.Run("live by flag", func(t *testing.T) {
		node := startNode(t, 134)
		s := newSampler(t, node.URL(), Options{})
		got, _ := collected(t, s, FollowOptions{From: ptr(12), Until: ptr(15), Live: true})
		wantWords(t, got, "12 skipped", "13 skipped", "14 ok", "15 ok")
	})
}

// Of a long jump only the first heights have samples. The restart does not take
// the rest for missing.
func TestFollow_restartAfterLongJump(t *testing.T) {
	node := startNode(t, 2000)
	s := newSampler(t, node.URL(), Options{})
	o := FollowOptions{From: ptr(5), Until: ptr(1881), Live: true}
	got, past := collected(t, s, o)
	if n := len(got); n != 1003 || got[999] != "1004 skipped" || !slices.Equal(got[1000:], []string{"gap", "1880 ok", "1881 ok"}) {
		t.Fatalf("%d records, the last: %q", n, got[max(0, n-5):])
	}
	o.Past, o.Until = past, ptr(1882)
	got, _ = collected(t, s, o)
	wantWords(t, got, "1882 ok")
}

// Nothing beyond the end is skipped, and the end is reached without a block.
func TestFollow_skipsToTheEnd(t *testing.T) {
	node := startNode(t, 300)
	got, _ := collected(t, newSampler(t, node.URL(), Options{}), FollowOptions{From: ptr(5), Until: ptr(7), Live: true})
	wantWords(t, got, "5 skipped", "6 skipped", "7 skipped")
}

// Blocks that were replaced while no collector ran are measured when it runs
// again.
func TestFollow_reorgWhileAway(t *testing.T) {
	for name, change := range map[string]struct {
		head uint64
		want []string
	}{
		"longer":      {12, []string{"9 ok", "10 ok", "11 ok", "12 ok"}},
		"same length": {10, []string{"9 ok", "10 ok"}},
		"shorter":     {9, []string{"9 ok"}},
	} {
		t.Run(name, func(t *testing.T) {
			node := startNode(t, 10)
			o := FollowOptions{From: ptr(6), Until: ptr(10)}
			_, o.Past = collected(t, newSampler(t, node.URL(), Options{}), o)
			node.Reorg(9)
			node.Rewind(9)
			node.Extend(int(change.head - 9))
			o.Until = nil
			f := follow(t, node, o)
			f.expect(change.want...)
		})
	}
}

func TestFollow_pastTheEnd(t *testing.T) {
	node := startNode(t, 10)
	err := Follow(t.Context(), newSampler(t, node.URL(), Options{}), FollowOptions{Until: ptr(9)}, nil)
	if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "is past the last block to measure, 9: its head is 10") {
		t.Errorf("got %v", err)
	}
}

func TestFollow_chainID(t *testing.T) {
	node := startNode(t, 10)
	err := Follow(t.Context(), newSampler(t, node.URL(), Options{}), FollowOptions{ChainID: 5}, nil)
	if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "is on chain 1337, but chain 5 is expected") {
		t.Errorf("got %v", err)
	}
}

func TestSampler_session(t *testing.T) {
	node := startNode(t, 9)
	got, _ := measure(t, newSampler(t, node.URL(), Options{Session: 3, Swapped: true}), 7)
	if got.Session != 3 || !got.Swapped {
		t.Errorf("session %d, swapped %v; want 3 and true", got.Session, got.Swapped)
	}
}
