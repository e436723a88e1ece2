package prove

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// proofs is what is known of the batches of one session.
type proofs struct {
	// least is the fewest transactions of a batch that counts as loaded.
	least int
	// verified says that a batch counts only once the L1 has verified it.
	verified bool
	batches  map[uint64]*sample.Batch
	// attempts are the last ones at each batch: with the highest number, and of
	// that the last record.
	attempts map[uint64]*sample.Attempt
	// tries is how many attempts there were, refused how many came to nothing.
	tries, refused int
}

func newProofs(s *spec.Prover) *proofs {
	// Of an L2 that ran already nobody knows whether and when it settles.
	return &proofs{least: s.MinTransactions, verified: !s.Running, batches: make(map[uint64]*sample.Batch), attempts: make(map[uint64]*sample.Attempt)}
}

// add takes a record into account.
func (p *proofs) add(rec sample.Record) {
	switch {
	case rec.Batch != nil:
		p.batches[rec.Batch.Number] = rec.Batch
	case rec.Attempt != nil:
		a := rec.Attempt
		had := p.attempts[a.Batch]
		if had == nil || a.Number > had.Number {
			p.tries++
		}
		if a.Status != sample.Accepted {
			p.refused++
		}
		if had == nil || a.Number >= had.Number {
			p.attempts[a.Batch] = a
		}
	}
}

// loaded reports whether a batch holds load.
func (p *proofs) loaded(b *sample.Batch) bool { return b.FirstBlock > 0 && b.Transactions >= p.least }

// firstLoaded is the first batch with load.
func (p *proofs) firstLoaded() (uint64, bool) {
	first, ok := uint64(math.MaxUint64), false
	for n, b := range p.batches {
		if p.loaded(b) && n < first {
			first, ok = n, true
		}
	}
	return first, ok
}

// numbers are the batches with load: sealed, proved with the proof accepted, and
// of these verified on the L1.
func (p *proofs) numbers() (sealed, proved, verified int) {
	for n, b := range p.batches {
		if !p.loaded(b) {
			continue
		}
		sealed++
		if a := p.attempts[n]; a == nil || a.Status != sample.Accepted {
			continue
		}
		proved++
		if !b.VerifiedAt.IsZero() {
			verified++
		}
	}
	return sealed, proved, verified
}

// counted is how many batches count: with load, proved, verified where that is
// asked for, and not by the first proof of a prover process, which pays for its
// setting up.
func (p *proofs) counted() int {
	n := 0
	for number, b := range p.batches {
		a := p.attempts[number]
		if p.loaded(b) && !(p.verified && b.VerifiedAt.IsZero()) && a != nil && a.Status == sample.Accepted && !a.SetUp {
			n++
		}
	}
	return n
}

// possible is how many of the sealed batches can count at best.
func (p *proofs) possible() int {
	n := 0
	first := true
	for _, number := range slices.Sorted(maps.Keys(p.batches)) {
		a := p.attempts[number]
		// The first batch that is handed out is the one whose proof sets up,
		// loaded or not.
		setUp := first || a != nil && a.SetUp
		first = false
		if p.loaded(p.batches[number]) && !setUp {
			n++
		}
	}
	return n
}

// median is the median proving time of the proofs of batches with load, 0
// without any.
func (p *proofs) median() time.Duration {
	var all []int64
	for n, a := range p.attempts {
		if b := p.batches[n]; b != nil && p.loaded(b) && a.Status == sample.Accepted && a.ProvingNS > 0 {
			all = append(all, a.ProvingNS)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return time.Duration(all[(len(all)-1)/2]+all[len(all)/2]) / 2
}

// describe says how far the proofs are, for the reason of an end without enough.
func (p *proofs) describe() string {
	sealed, proved, verified := p.numbers()
	text := fmt.Sprintf("%d batches with load are sealed, %d proved and %d verified, after %d attempts", sealed, proved, verified, p.tries)
	if p.refused > 0 {
		text += fmt.Sprintf(", of which %d came to nothing", p.refused)
	}
	return text
}
