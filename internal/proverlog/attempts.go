package proverlog

import (
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

// Attempts makes attempts at batches out of the events of one prover's log.
//
//	Received ──> in work ──Proved──> made ──Acknowledged──> accepted ──> rejected
//	                │                 │                 (handed out again, refused)
//	       next request, start   SubmitFailed,
//	                │            next request, start
//	             no proof             │
//	                                 lost
//
// The attempts that it returns lack Side, Host and Session. One that was returned
// as accepted is returned again when it turns out to be rejected. It is not safe
// for concurrent use.
type Attempts struct {
	// open is the attempt in work, or made and not acknowledged; nil for none.
	open *sample.Attempt
	made bool
	// trouble is the last error while the attempt was open.
	trouble string
	// fresh says that the process has made no proof yet.
	fresh bool
	// over are the attempts of each batch that are over, by number.
	over map[uint64]map[int]sample.Attempt
	// begun and highest are counts of attempts at each batch: of those that
	// these events began, and of all.
	begun, highest map[uint64]int
	// known are the numbers of attempts by the time that they began.
	known map[beginning]int
	// told are the attempts that were returned, or that the caller had.
	told map[telling]bool
}

// beginning tells the attempts at a batch apart.
type beginning struct {
	batch uint64
	at    int64
}

// telling is an attempt and what was said of it.
type telling struct {
	batch  uint64
	number int
	status sample.AttemptStatus
}

// NewAttempts returns a tracker whose caller has the attempts of past already:
// the log may then be read from its beginning again, and what it says of them is
// not returned a second time. Attempts that are not of past get numbers after it.
func NewAttempts(past []sample.Attempt) *Attempts {
	t := &Attempts{
		fresh: len(past) == 0,
		over:  make(map[uint64]map[int]sample.Attempt),
		begun: make(map[uint64]int), highest: make(map[uint64]int),
		known: make(map[beginning]int), told: make(map[telling]bool),
	}
	for _, a := range past {
		t.keep(a)
		t.highest[a.Batch] = max(t.highest[a.Batch], a.Number)
		if at := began(&a); !at.IsZero() {
			t.known[beginning{a.Batch, at.UnixNano()}] = a.Number
		}
	}
	return t
}

// began is when an attempt began, as far as the log tells.
func began(a *sample.Attempt) time.Time {
	if a.ReceivedAt.IsZero() {
		return a.ProvedAt
	}
	return a.ReceivedAt
}

// Add takes the next event and returns the attempts that are over by it, or
// whose status it changed.
func (t *Attempts) Add(e Event) []sample.Attempt {
	switch e.Kind {
	case Started:
		out := t.abandon("the prover was started again")
		t.fresh = true
		return out
	case Received:
		out := t.abandon("the prover asked for the next batch")
		return append(out, t.begin(e.Batch, e.At, time.Time{})...)
	case Proved:
		return t.proved(e)
	case Acknowledged:
		if t.made && t.open.Batch == e.Batch {
			t.open.AckedAt = e.At
			return t.settle(sample.Accepted, "")
		}
	case SubmitFailed:
		if t.made {
			return t.settle(sample.Lost, e.Message)
		}
	case VersionMismatch, NotNeeded, Unreachable:
		// Each is the answer to a request for the next batch.
		return t.abandon("the prover asked for the next batch")
	case Failed:
		// Libraries log errors that end nothing: whether this one did shows
		// when the prover asks for a batch again.
		t.trouble = e.Message
	}
	return nil
}

func (t *Attempts) proved(e Event) (out []sample.Attempt) {
	if e.Unnumbered {
		return nil
	}
	if t.open == nil || t.made || t.open.Batch != e.Batch {
		out = t.abandon("the prover went on to another batch")
		out = append(out, t.begin(e.Batch, time.Time{}, e.At)...)
	}
	t.open.ProvedAt = e.At
	t.open.ProvingNS, t.open.PrecisionNS = e.ProvingNS, e.PrecisionNS
	t.open.SetUp, t.fresh = t.fresh, false
	t.made = true
	return out
}

// begin opens an attempt. An accepted one before it was in vain.
func (t *Attempts) begin(batch uint64, received, proved time.Time) (out []sample.Attempt) {
	t.begun[batch]++
	number := t.begun[batch]
	a := sample.Attempt{Batch: batch, ReceivedAt: received, ProvedAt: proved}
	if at := began(&a); !at.IsZero() {
		key, ok := beginning{batch, at.UnixNano()}, false
		if number, ok = t.known[key]; !ok {
			number = t.highest[batch] + 1
			t.known[key] = number
		}
	}
	t.highest[batch] = max(t.highest[batch], number)
	a.Number = number
	if before, ok := t.over[batch][number-1]; ok && before.Status == sample.Accepted {
		out = t.reject(before, "the batch was handed out again")
	}
	t.open, t.made, t.trouble = &a, false, ""
	return out
}

// abandon settles an attempt that came to nothing, if one is open.
func (t *Attempts) abandon(how string) []sample.Attempt {
	switch {
	case t.open == nil:
		return nil
	case t.made && t.trouble == "":
		return t.settle(sample.Lost, "no acknowledgement: "+how)
	case t.made:
		return t.settle(sample.Lost, t.trouble)
	case t.trouble == "":
		return t.settle(sample.NoProof, "no proof: "+how)
	}
	return t.settle(sample.NoProof, t.trouble)
}

// settle ends the open attempt.
func (t *Attempts) settle(status sample.AttemptStatus, why string) []sample.Attempt {
	a := *t.open
	t.open, t.made, t.trouble = nil, false, ""
	a.Status = status
	if status != sample.Accepted {
		a.Failure = &sample.Failure{Message: why}
	}
	return t.tell(a)
}

// Open is the batch of an attempt that is not over.
func (t *Attempts) Open() (batch uint64, ok bool) {
	if t.open == nil {
		return 0, false
	}
	return t.open.Batch, true
}

// Refuse notes that a proof of the batch was refused at that time, zero for
// unknown, after it had been acknowledged.
func (t *Attempts) Refuse(batch uint64, at time.Time, why string) []sample.Attempt {
	for number := t.highest[batch]; number > 0; number-- {
		a := t.over[batch][number]
		later := !at.IsZero() && a.AckedAt.After(at)
		switch {
		case later:
		case a.Status == sample.Accepted:
			return t.reject(a, why)
		case a.Status == sample.Rejected:
			return nil // that is known
		}
	}
	return nil
}

func (t *Attempts) reject(a sample.Attempt, why string) []sample.Attempt {
	a.Status, a.Failure = sample.Rejected, &sample.Failure{Message: why}
	return t.tell(a)
}

// tell returns a unless it is known.
func (t *Attempts) tell(a sample.Attempt) []sample.Attempt {
	if t.told[telling{a.Batch, a.Number, a.Status}] {
		return nil
	}
	t.keep(a)
	return []sample.Attempt{a}
}

func (t *Attempts) keep(a sample.Attempt) {
	t.told[telling{a.Batch, a.Number, a.Status}] = true
	if t.over[a.Batch] == nil {
		t.over[a.Batch] = make(map[int]sample.Attempt)
	}
	t.over[a.Batch][a.Number] = a
}
