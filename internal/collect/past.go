package collect

import (
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
)

// Done is a block that a collection has dealt with, as its samples file tells.
//
// A collector can be killed at any instant and started again with the same
// options, because the file itself says how far it got, and nothing else does:
//
//   - it goes on at the first height from the start on that the file lacks. A
//     block that was measured but not written yet is measured again;
//   - if the chain has changed meanwhile, the next block does not follow on
//     the file's, and Follow goes back from there as after any reorg;
//   - warm-up is decided by height;
//   - whether old blocks are measured was decided when the collection began.
//     If they are, the first of them was more than 120 behind the head, and
//     its sample says so; if not, no sample is.
type Done struct {
	Number uint64
	// Hash is empty for a block that was skipped.
	Hash   string
	Status sample.Status
	WarmUp bool
	// Behind counts blocks between this one and the newest at that time.
	Behind uint64
}

// DoneOf is what a sample says of its block.
func DoneOf(s *sample.Sample) Done {
	return Done{Number: s.Number, Hash: s.Hash, Status: s.Status, WarmUp: s.WarmUp, Behind: s.BehindHead}
}

// old reports whether the block was measured although it was too far behind the
// head.
func (d Done) old() bool { return d.Status != sample.Skipped && d.Behind > maxBehind }

type blockKey struct {
	number uint64
	hash   string
}

// begin decides where to begin and whether old blocks are measured.
func (f *follower) begin() {
	past := f.o.Past
	f.floor = f.head + 1
	switch {
	case f.o.From != nil:
		f.floor = *f.o.From
		past = slices.DeleteFunc(slices.Clone(past), func(d Done) bool { return d.Number < f.floor })
	case len(past) > 0:
		f.floor = slices.MinFunc(past, compareHeights).Number
	}
	if !f.o.Live && f.o.From != nil {
		f.historic = f.head > f.floor && f.head-f.floor > maxBehind
		if len(past) > 0 {
			f.historic = slices.ContainsFunc(past, Done.old)
		}
	}
	f.next = f.firstMissing(past)
	for _, d := range past {
		if d.Number >= f.next {
			f.held[d.Number] = append(f.held[d.Number], d)
			continue
		}
		f.hold(d)
		if d.Hash != "" {
			f.chain[d.Number] = d.Hash
		}
	}
}

func compareHeights(a, b Done) int {
	switch {
	case a.Number < b.Number:
		return -1
	case a.Number > b.Number:
		return 1
	}
	return 0
}

// firstMissing is the first height from the floor on that the past has not
// dealt with. What follows a skipped height and is missing was skipped with it:
// of a long jump only the beginning has samples, and a gap stands for the rest.
func (f *follower) firstMissing(past []Done) uint64 {
	sorted := slices.SortedStableFunc(slices.Values(past), compareHeights)
	next, skipped := f.floor, false
	for _, d := range sorted {
		if d.Number > next && !skipped {
			break
		}
		next, skipped = d.Number+1, d.Status == sample.Skipped
	}
	return next
}

// comeAcross takes the blocks of the past at a height for done, and reports
// whether there were any.
func (f *follower) comeAcross(number uint64) bool {
	past := f.held[number]
	delete(f.held, number)
	for _, d := range past {
		f.hold(d)
	}
	return len(past) > 0
}

// hold takes a block of the past for done.
func (f *follower) hold(d Done) {
	key := blockKey{d.Number, d.Hash}
	if f.done[key] {
		return
	}
	if d.Status == sample.Skipped {
		f.done[key] = true
		return
	}
	f.finish(key)
	if f.o.Held != nil {
		f.o.Held(d)
	}
}
