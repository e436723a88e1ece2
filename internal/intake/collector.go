package intake

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
)

const (
	// chunkValues is how many values are allocated at once. Values are
	// collected in chunks, because a slice that grows by appending holds its
	// old and its new self at the same time, and leaves as much as garbage.
	chunkValues = 1 << 14
	// listed is how many places an exclusion names.
	listed = 5
	// longest is the longest duration that is taken for one, in milliseconds.
	longest = 24 * 3600 * 1000
)

// blockWork is the work of a block whose value may stand anywhere.
type blockWork struct {
	block uint64
	work  Work
}

// collector gathers a series.
type collector struct {
	series Series
	chunks [][]Value
	count  int
	last   uint64
	// unordered says that some number did not exceed the one before it, so
	// that duplicates are possible. Logs that count up, which is all but a few,
	// need no index of what was seen.
	unordered bool
	hashes    []Hash
	works     []blockWork
	// failed are blocks that could not be executed on their witness.
	failed map[uint64]bool
}

// add takes a value after looking at its duration.
func (c *collector) add(v Value) {
	switch {
	case math.IsNaN(v.MS) || math.IsInf(v.MS, 0):
		c.exclude(NotFinite, int(v.Line), v.Block)
		return
	case v.MS < 0:
		c.exclude(NotPositive, int(v.Line), v.Block)
		return
	case v.MS == 0:
		c.exclude(Zero, int(v.Line), v.Block)
		return
	case v.MS > longest:
		c.exclude(Absurd, int(v.Line), v.Block)
		return
	}
	if c.count > 0 && v.Block <= c.last {
		c.unordered = true
	}
	c.last = v.Block
	if c.count%chunkValues == 0 {
		c.chunks = append(c.chunks, make([]Value, 0, chunkValues))
	}
	end := &c.chunks[len(c.chunks)-1]
	*end = append(*end, v)
	c.count++
}

// addHashed is add for a value with a block hash. An input has hashes for all
// its values or for none.
func (c *collector) addHashed(v Value, h Hash) {
	before := c.count
	if c.add(v); c.count > before {
		c.hashes = append(c.hashes, h)
	}
}

// exclude counts one thing under reason.
func (c *collector) exclude(reason Reason, line int, block uint64) {
	s := &c.series
	i := slices.IndexFunc(s.Excluded, func(e Exclusion) bool { return e.Reason == reason })
	if i < 0 {
		i = len(s.Excluded)
		s.Excluded = append(s.Excluded, Exclusion{Reason: reason})
	}
	e := &s.Excluded[i]
	e.Count++
	if len(e.Lines) < listed {
		e.Lines = append(e.Lines, line)
		e.Blocks = append(e.Blocks, block)
	}
}

func (c *collector) warn(format string, args ...any) {
	c.series.Warnings = append(c.series.Warnings, fmt.Sprintf(format, args...))
}

// finish makes the series out of what was collected.
func (c *collector) finish(in *lines) (*Series, error) {
	s := &c.series
	s.Lines = in.n
	if in.torn {
		c.exclude(TornLine, in.n, 0)
	}
	for _, line := range in.long {
		c.exclude(LongLine, line, 0)
	}
	if c.count == 0 {
		return nil, s.unusable()
	}
	s.Values = c.flatten()
	if len(c.hashes) > 0 {
		s.Hashes = c.hashes
	}
	if c.unordered && s.Numbered {
		c.deduplicate()
	}
	c.joinWork()
	c.flagFailed()
	c.summarizeFlags()
	return s, nil
}

// flatten copies the chunks into one slice and lets go of each on the way.
func (c *collector) flatten() []Value {
	if len(c.chunks) == 1 {
		return c.chunks[0]
	}
	values := make([]Value, 0, c.count)
	for i, chunk := range c.chunks {
		values = append(values, chunk...)
		c.chunks[i] = nil
	}
	return values
}

// deduplicate keeps the first value of each number and hash.
func (c *collector) deduplicate() {
	s := &c.series
	index := make([]uint32, len(s.Values))
	for i := range index {
		index[i] = uint32(i)
	}
	same := func(a, b uint32) int {
		order := cmp.Compare(s.Values[a].Block, s.Values[b].Block)
		if order == 0 && s.Hashes != nil {
			order = bytes.Compare(s.Hashes[a][:], s.Hashes[b][:])
		}
		return order
	}
	slices.SortFunc(index, func(a, b uint32) int { return cmp.Or(same(a, b), cmp.Compare(a, b)) })
	var again []uint32
	for i := 1; i < len(index); i++ {
		if same(index[i-1], index[i]) == 0 {
			again = append(again, index[i])
		}
	}
	slices.Sort(again)
	kept, skip := 0, 0
	for i, v := range s.Values {
		if skip < len(again) && again[skip] == uint32(i) {
			skip++
			c.exclude(Duplicate, int(v.Line), v.Block)
			continue
		}
		s.Values[kept] = v
		if s.Hashes != nil {
			s.Hashes[kept] = s.Hashes[i]
		}
		kept++
	}
	s.Values = s.Values[:kept]
	if s.Hashes != nil {
		s.Hashes = s.Hashes[:kept]
	}
}

// joinWork gives each value the work of its block. The first record of a block
// counts, as its first measurement does.
func (c *collector) joinWork() {
	if len(c.works) == 0 {
		return
	}
	byBlock := func(a, b blockWork) int { return cmp.Compare(a.block, b.block) }
	if !slices.IsSortedFunc(c.works, byBlock) {
		slices.SortStableFunc(c.works, byBlock)
	}
	s := &c.series
	s.Work = make([]Work, len(s.Values))
	for i, v := range s.Values {
		j := sort.Search(len(c.works), func(j int) bool { return c.works[j].block >= v.Block })
		if j < len(c.works) && c.works[j].block == v.Block {
			s.Work[i] = c.works[j].work
		}
	}
}

func (c *collector) flagFailed() {
	if len(c.failed) == 0 {
		return
	}
	for i := range c.series.Values {
		if v := &c.series.Values[i]; c.failed[v.Block] {
			v.Flags |= ExecutionFailed
		}
	}
}

// summarizeFlags says in a sentence what the flags of many values say.
func (c *collector) summarizeFlags() {
	count := make(map[Flag]int)
	for _, v := range c.series.Values {
		for _, f := range []Flag{HoursRestored, HoursUnclear, FarBehind, ExecutionFailed} {
			if v.Flags != 0 && v.Has(f) {
				count[f]++
			}
		}
	}
	if n := count[HoursRestored]; n > 0 {
		c.warn("whole hours were missing from %s, and the time stamps gave them back", plural(n, "duration"))
	}
	if n := count[HoursUnclear]; n > 0 {
		c.warn("whole hours may be missing from %s: this form of the log drops them, and no time stamps tell", plural(n, "duration"))
	}
	if n := count[FarBehind]; n > 0 {
		c.warn("more than %d blocks behind the head when asked for: %s", farBehind, plural(n, "block"))
	}
	if n := count[ExecutionFailed]; n > 0 {
		c.warn("not executable on its witness, which may be incomplete: %s", plural(n, "block"))
	}
	if n := c.series.Left(Zero); n > 0 {
		c.warn("durations of zero were left out (%d), which favors the slower side", n)
	}
}

// plural is "1 block" or "3 blocks".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
