package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
)

// block is everything both sides have of one block: same number, same hash.
type block struct {
	number uint64
	hash   string
	side   [2]*sample.Sample
}

// gather sorts the records into blocks, in order of number and, for the blocks
// of a reorg, of first appearance.
func (r *Result) gather(records [2][]sample.Record) []*block {
	type key struct {
		number uint64
		hash   string
	}
	byKey := make(map[key]*block)
	var blocks []*block
	for i := range records {
		r.Failures[i] = make(map[sample.Status]int)
		for _, rec := range records[i] {
			if rec.Gap != nil {
				r.Gaps[i] = append(r.Gaps[i], *rec.Gap)
				continue
			}
			s := rec.Sample
			k := key{s.Number, s.Hash}
			b := byKey[k]
			if b == nil {
				b = &block{number: s.Number, hash: s.Hash}
				byKey[k] = b
				blocks = append(blocks, b)
			}
			if b.side[i] != nil {
				// Whatever the values are, the first measurement stands.
				r.warn("the %s side measured some blocks more than once (first: %d): the first measurement stands", sample.Sides[i], b.number)
				continue
			}
			b.side[i] = s
			if s.Status != sample.OK && !s.WarmUp {
				r.Failures[i][s.Status]++
			}
		}
	}
	slices.SortStableFunc(blocks, func(a, b *block) int { return cmp.Compare(a.number, b.number) })
	return blocks
}

// pair fills Pairs, Excluded, Parity and Attempted.
func (r *Result) pair(blocks []*block) {
	hashes := make(map[uint64]int)
	for _, b := range blocks {
		hashes[b.number]++
	}
	for _, b := range blocks {
		base, test := b.side[0], b.side[1]
		r.verified(b)
		if warmUp(base) || warmUp(test) {
			r.WarmUps++
			r.exclude("warm-up", b.number)
			r.checkParity(b)
			continue
		}
		r.Attempted++
		if reason := unpaired(b, hashes[b.number]); reason != "" {
			r.exclude(reason, b.number)
			continue
		}
		if !r.checkParity(b) {
			r.exclude("the answers differ", b.number)
			continue
		}
		if base.TotalNS <= 0 || test.TotalNS <= 0 {
			r.exclude("a latency that is not positive", b.number)
			continue
		}
		d := math.Log(float64(test.TotalNS) / float64(base.TotalNS))
		r.Pairs = append(r.Pairs, Pair{Baseline: base, Test: test, D: d})
	}
	slices.SortStableFunc(r.Excluded, func(a, b Exclusion) int { return cmp.Compare(b.Count, a.Count) })
}

func warmUp(s *sample.Sample) bool { return s != nil && s.WarmUp }

// unpaired says why a block has no pair, and is empty when it has one. hashes
// is the number of blocks seen at its height.
func unpaired(b *block, hashes int) string {
	base, test := b.side[0], b.side[1]
	switch {
	case base == nil && hashes > 1:
		return "different blocks at the same height (reorg)"
	case test == nil && hashes > 1:
		return "different blocks at the same height (reorg)"
	case base == nil:
		return "measured on the test side only"
	case test == nil:
		return "measured on the baseline side only"
	case base.Status != sample.OK && test.Status != sample.OK:
		return fmt.Sprintf("both sides failed: %s, %s", base.Status, test.Status)
	case base.Status != sample.OK:
		return fmt.Sprintf("the baseline side failed: %s", base.Status)
	case test.Status != sample.OK:
		return fmt.Sprintf("the test side failed: %s", test.Status)
	}
	return ""
}

// checkParity compares the two answers of a block that both sides answered.
func (r *Result) checkParity(b *block) bool {
	base, test := b.side[0], b.side[1]
	if base == nil || test == nil || base.Status != sample.OK || test.Status != sample.OK {
		return false
	}
	r.Parity.Checked++
	if base.KeysDigest != test.KeysDigest {
		r.Parity.KeysDiffer++
	}
	if base.Digest != test.Digest {
		r.Parity.Different = append(r.Parity.Different, b.number)
		return false
	}
	r.Parity.Equal++
	return true
}

// verified counts the completeness checks of a block.
func (r *Result) verified(b *block) {
	for i, s := range b.side {
		if s == nil {
			continue
		}
		switch s.Verification {
		case sample.Complete:
			r.Parity.Verified[i]++
		case sample.Unproved:
			if r.Parity.Unproved[i]++; r.Parity.Doubt == "" {
				r.Parity.Doubt = s.Doubt
			}
		case sample.Incomplete:
			r.Parity.Incomplete[i]++
			message := "the witness is incomplete"
			if s.Failure != nil {
				message = s.Failure.Message
			}
			r.Parity.Refused = append(r.Parity.Refused, Incomplete{sample.Sides[i], b.number, message})
		}
	}
}
