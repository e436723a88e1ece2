package beacon

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/verdict-bench/verdict/internal/ethrpc"
)

// What a producing beacon keeps for its followers. A full block of the local
// chain takes some 100 kB.
const (
	maxKept      = 20_000
	maxKeptBytes = 512 << 20
)

// chain holds the newest payloads of a network, as the JSON that is served. It
// is safe for concurrent use.
type chain struct {
	blocks, bytes int // what is kept at most

	mu    sync.Mutex
	first uint64 // the number of kept[0]
	kept  [][]byte
	size  int
	// grown is closed, and replaced, when a payload is added.
	grown chan struct{}
}

func newChain() *chain {
	return &chain{blocks: maxKept, bytes: maxKeptBytes, grown: make(chan struct{})}
}

// add appends the child of the last payload, or the first one.
func (c *chain) add(p ethrpc.Payload) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("block %d: %w", p.Number, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if next := c.first + uint64(len(c.kept)); len(c.kept) > 0 && p.Number != next {
		return fmt.Errorf("block %d was built, the network's next is block %d", p.Number, next)
	}
	if len(c.kept) == 0 {
		c.first = p.Number
	}
	c.kept = append(c.kept, raw)
	c.size += len(raw)
	for len(c.kept) > 1 && (len(c.kept) > c.blocks || c.size > c.bytes) {
		c.size -= len(c.kept[0])
		c.kept[0] = nil // or the array behind the slice would hold it
		c.kept = c.kept[1:]
		c.first++
	}
	close(c.grown)
	c.grown = make(chan struct{})
	return nil
}

// at is the payload of a block, or nil when it is not kept.
func (c *chain) at(number uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number < c.first || number-c.first >= uint64(len(c.kept)) {
		return nil
	}
	return c.kept[number-c.first]
}

// span is the numbers of the oldest and the newest payload; ok is false when
// there is none.
func (c *chain) span() (oldest, newest uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) == 0 {
		return 0, 0, false
	}
	return c.first, c.first + uint64(len(c.kept)) - 1, true
}

// await returns when there is a payload with a higher number than after, or
// when ctx ends.
func (c *chain) await(ctx context.Context, after uint64) {
	for {
		c.mu.Lock()
		grown, newer := c.grown, len(c.kept) > 0 && c.first+uint64(len(c.kept))-1 > after
		c.mu.Unlock()
		if newer {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-grown:
		}
	}
}
