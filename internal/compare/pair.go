package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
)

// block is everything both sides have of one block in one session: same
// number, same hash.
type block struct {
	stretch
	number uint64
	hash   string
	side   [2]*sample.Sample
	// again says that a side measured it more than once.
	again [2]bool
}

// height is a place in the chain in one session: another session may measure
// the same blocks anew.
type height struct {
	stretch
	number uint64
}

// afterPlanned is the reason of blocks that were measured beyond the plan.
const afterPlanned = "after the planned pairs"

// Parity says whether both sides gave the same answers.
type Parity struct {
	// Checked counts the blocks that both sides answered.
	Checked int `json:"checked"`
	// Equal counts those with equal digests over state, codes and headers.
	Equal int `json:"equal"`
	// Different are the numbers of the others.
	Different []uint64 `json:"different,omitempty"`
	// Verified counts the answers proved complete, Incomplete those refused.
	Verified   [2]int `json:"verified"`
	Incomplete [2]int `json:"incomplete"`
	// Unproved counts the answers whose proof was due and could not be made;
	// Doubt is the first reason.
	Unproved [2]int       `json:"unproved"`
	Doubt    string       `json:"doubt,omitempty"`
	Refused  []Incomplete `json:"refused,omitempty"`
	// KeysDiffer counts blocks whose keys differ. Programs differ in them, so
	// this does not break parity.
	KeysDiffer int `json:"keys_differ"`

	// only counts the blocks that failed on that side alone.
	only [2]int
}

// Incomplete is one witness that does not let its block be re-executed.
type Incomplete struct {
	Side    sample.Side `json:"side"`
	Number  uint64      `json:"number"`
	Message string      `json:"message"`
}

// OK reports whether nothing speaks against parity.
func (p *Parity) OK() bool {
	return len(p.Different) == 0 && p.Incomplete[0] == 0 && p.Incomplete[1] == 0
}

// gather sorts the records into blocks, in order of session, number and, for
// the blocks of a reorg, of first appearance.
func (r *Result) gather(records [2][]sample.Record) []*block {
	type key struct {
		height
		hash string
	}
	byKey := make(map[key]*block)
	var blocks []*block
	for i := range records {
		for _, rec := range records[i] {
			if rec.Gap != nil {
				r.Gaps[i] = append(r.Gaps[i], *rec.Gap)
				continue
			}
			s := rec.Sample
			k := key{height{stretchOf(s), s.Number}, s.Hash}
			b := byKey[k]
			if b == nil {
				b = &block{stretch: k.stretch, number: s.Number, hash: s.Hash}
				byKey[k] = b
				blocks = append(blocks, b)
			}
			if b.side[i] != nil {
				// Whatever the values are, the first measurement stands.
				b.again[i] = true
				continue
			}
			b.side[i] = s
		}
	}
	slices.SortStableFunc(blocks, func(a, b *block) int {
		return cmp.Or(compareStretches(a.stretch, b.stretch), cmp.Compare(a.number, b.number))
	})
	return blocks
}

// pair fills Pairs, Excluded, Parity, Failures and Attempted.
func (r *Result) pair(blocks []*block) {
	hashes := make(map[height]int)
	for _, b := range blocks {
		hashes[height{b.stretch, b.number}]++
	}
	planned := newQuota(r.Rule)
	for _, b := range blocks {
		if planned.full(b.stretch) {
			r.exclude(afterPlanned, b.number)
			continue
		}
		r.verified(b)
		r.failed(b)
		r.repeated(b)
		if r.take(b, hashes[height{b.stretch, b.number}]) {
			planned.took(b.stretch)
		}
	}
	if planned.complete() {
		r.dropGaps()
	}
	slices.SortStableFunc(r.Excluded, func(a, b Exclusion) int { return cmp.Compare(b.Count, a.Count) })
}

// take makes a pair of a block, or excludes it. hashes is the number of blocks
// seen at its height.
func (r *Result) take(b *block, hashes int) bool {
	base, test := b.side[0], b.side[1]
	if warmUp(base) || warmUp(test) {
		r.WarmUps++
		r.exclude("warm-up", b.number)
		r.checkParity(b)
		return false
	}
	if wasAsked(base) || wasAsked(test) {
		r.asked++
	}
	if wasAsked(base) && wasAsked(test) {
		r.Attempted++
	}
	if reason := unpaired(b, hashes); reason != "" {
		r.exclude(reason, b.number)
		r.oneSided(b)
		return false
	}
	if !r.checkParity(b) {
		r.exclude("the answers differ", b.number)
		return false
	}
	if base.TotalNS <= 0 || test.TotalNS <= 0 {
		r.exclude("a latency that is not positive", b.number)
		return false
	}
	r.Pairs = append(r.Pairs, pairOf(base, test))
	r.counted = append(r.counted, r.Pairs[len(r.Pairs)-1])
	return true
}

// quota counts the planned pairs.
type quota struct {
	pairs, sessions int
	// seen are the sessions in order of appearance, taken the pairs of each.
	seen  []stretch
	taken []int
	total int
}

func newQuota(rule Rule) *quota {
	return &quota{pairs: rule.Pairs, sessions: max(1, rule.Sessions)}
}

// share is how many pairs of the plan are those of the session that appears in
// i-th place, from 0: as many in each, and the rest in the first.
func (q *quota) share(i int) int {
	if i >= q.sessions {
		return 0
	}
	return (q.pairs + q.sessions - 1 - i) / q.sessions
}

// place is that of a session in order of appearance.
func (q *quota) place(of stretch) int {
	if i := slices.Index(q.seen, of); i >= 0 {
		return i
	}
	q.seen, q.taken = append(q.seen, of), append(q.taken, 0)
	return len(q.seen) - 1
}

// full reports whether the plan has no room for another pair of the session. A
// plan of one session does not ask how they are numbered.
func (q *quota) full(of stretch) bool {
	switch {
	case q.pairs == 0:
		return false
	case q.sessions == 1:
		return q.total >= q.pairs
	}
	i := q.place(of)
	return q.taken[i] >= q.share(i)
}

// took counts a pair.
func (q *quota) took(of stretch) {
	q.taken[q.place(of)]++
	q.total++
}

// complete reports whether all planned pairs are there.
func (q *quota) complete() bool { return q.pairs > 0 && q.total == q.pairs }

// dropGaps takes out the stretches without an answer that began after the last
// planned pair: what happens then is no part of the run.
func (r *Result) dropGaps() {
	for side := range r.Gaps {
		last := r.Pairs[0].Samples[side].AskedAt
		for i := range r.Pairs {
			if at := r.Pairs[i].Samples[side].AskedAt; at.After(last) {
				last = at
			}
		}
		r.Gaps[side] = slices.DeleteFunc(r.Gaps[side], func(g sample.Gap) bool { return g.From.After(last) })
	}
}

// repeated says, once for a side, that it measured blocks more than once.
func (r *Result) repeated(b *block) {
	for i, side := range sample.Sides {
		if b.again[i] && !r.again[i] {
			r.again[i] = true
			r.warn("the %s side measured some blocks more than once (first: %d): the first measurement stands", side, b.number)
		}
	}
}

// failed counts the samples of a block that are not ok.
func (r *Result) failed(b *block) {
	for i, s := range b.side {
		if s != nil && s.Status != sample.OK && s.Status != sample.Skipped && !s.WarmUp {
			r.Failures[i][s.Status]++
		}
	}
}

// wasAsked reports whether a side was asked for the block at all.
func wasAsked(s *sample.Sample) bool { return s != nil && s.Status != sample.Skipped }

// timedOut keeps what a block on which one side timed out would be if the
// answer had come at the time limit. The ranks make that safe.
func (r *Result) timedOut(base, test *sample.Sample) {
	limit := float64(r.Rule.Timeout.Nanoseconds())
	late := Pair{Number: base.Number, Session: base.Session, Swapped: base.Swapped}
	switch {
	case limit <= 0:
		return
	case test.Status == sample.Timeout && base.TotalNS > 0:
		late.D = ratio(float64(base.TotalNS), limit)
	case base.Status == sample.Timeout && test.TotalNS > 0:
		late.D = ratio(limit, float64(test.TotalNS))
	default:
		return
	}
	r.counted = append(r.counted, late)
	r.timeouts++
}

// pairOf is the pair of two good samples.
func pairOf(base, test *sample.Sample) Pair {
	return Pair{
		Number:  base.Number,
		MS:      [2]float64{milliseconds(base), milliseconds(test)},
		D:       ratio(float64(base.TotalNS), float64(test.TotalNS)),
		Session: base.Session, Swapped: base.Swapped,
		Samples: &[2]*sample.Sample{base, test},
	}
}

// oneSided counts a block that was asked of both sides and failed on one.
func (r *Result) oneSided(b *block) {
	base, test := b.side[0], b.side[1]
	if !wasAsked(base) || !wasAsked(test) {
		return
	}
	if bad := base.Status != sample.OK; bad != (test.Status != sample.OK) {
		if bad {
			r.Parity.only[0]++
		} else {
			r.Parity.only[1]++
		}
		r.timedOut(base, test)
	}
}

func warmUp(s *sample.Sample) bool { return s != nil && s.WarmUp }

// unpaired says why a block has no pair, and is empty when it has one. hashes
// is the number of blocks seen at its height.
func unpaired(b *block, hashes int) string {
	base, test := b.side[0], b.side[1]
	switch {
	case base != nil && test != nil && !(wasAsked(base) && wasAsked(test)):
		return "not asked for: too far behind the head, or the sides disagreed"
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
	if base.Digest == "" && test.Digest == "" {
		return true // the answers were not kept
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
