package compare

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// sum sums up the proofs that count.
func (s *ProvingSide) sum(rule ProvingRule) {
	var ms, x, y []float64
	for _, a := range s.Counted() {
		ms = append(ms, a.MS())
		s.Total.Gas += a.Work.Gas
		s.Total.Transactions += a.Work.Transactions
		s.Total.Deposits += a.Work.Deposits
		s.Total.Blocks += a.Work.Blocks
		if a.Work.Gas > 0 {
			x, y = append(x, a.Mgas()), append(y, a.MS())
		}
		if a.Energy.N > 0 {
			s.Measured++
			s.Energy.Joules += a.Energy.Joules
			s.Energy.N += a.Energy.N
			s.EnergyMgas += a.Mgas()
			s.EnergyTime += time.Duration(a.ProvingNS)
		}
	}
	s.Times = describe(ms)
	if s.WithGas = len(x); s.WithGas > 0 {
		s.PerMgas = sum(y) / sum(x)
	}
	s.fit(x, y)
	s.follow()
	if !rule.Paired { // there each side waits while the other one proves
		s.timeline()
	}
}

// leastSpread is how much more gas than the smallest batch the largest must hold
// for a line of time against gas: among equal batches, a fixed cost cannot be
// told from a cost per gas, and a line would only show noise.
const leastSpread = 1.2

// fit fits time against gas.
func (s *ProvingSide) fit(mgas, ms []float64) {
	line, err := stat.FitLine(mgas, ms, confidence)
	switch {
	case err == nil && slices.Max(mgas) < leastSpread*slices.Min(mgas):
		s.NoFit = "the largest batch holds less than a fifth more gas than the smallest, so that a fixed cost cannot be told from a cost per gas"
	case err == nil:
		line.Intercept.Unit, line.Slope.Unit = "ms", "ms per Mgas"
		s.Fit = &line
	case len(ms) == 0:
		s.NoFit = "the gas of no batch is known"
	case errors.Is(err, stat.ErrTooFew):
		s.NoFit = Reason(fmt.Sprintf("%s of known gas: a line needs at least %d that differ", batches(len(ms)), stat.MinBatchesPerSide))
	default:
		s.NoFit = "the batches do not differ enough in gas"
	}
}

func batches(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprintf("%d batches", n)
}

// follow measures how long the batches that count took to their verification.
func (s *ProvingSide) follow() {
	var sealed, proved []float64
	for _, a := range s.Counted() {
		b := a.Of
		if b == nil {
			continue
		}
		if !b.CommittedAt.IsZero() || !b.VerifiedAt.IsZero() {
			s.Followed++
		}
		if b.VerifiedAt.IsZero() {
			continue
		}
		s.Verified++
		if v, ok := passed(sealedAt(b.SealedAt, a.ReceivedAt), b.VerifiedAt); ok {
			sealed = append(sealed, v)
		}
		if v, ok := passed(a.ProvedAt, b.VerifiedAt); ok {
			proved = append(proved, v)
		}
	}
	s.SealedToVerified, s.ProvedToVerified = stat.Summarize(sealed), stat.Summarize(proved)
}

// sealedAt is when a batch was sealed at the latest: it was handed out as a whole,
// and a collector that looks every second may have seen it only after that.
func sealedAt(seen, received time.Time) time.Time {
	if !seen.IsZero() && !received.IsZero() && received.Before(seen) {
		return received
	}
	return seen
}

// passed is the time between two moments in milliseconds, false where one is
// unknown or they are in the wrong order.
func passed(from, to time.Time) (ms float64, ok bool) {
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return 0, false
	}
	return float64(to.Sub(from)) / float64(time.Millisecond), true
}

// timeline finds how much of the time a proof was made.
func (s *ProvingSide) timeline() {
	for _, session := range sessionsOfProofs(s.Attempts) {
		var first, last, busyUntil time.Time
		for i := range s.Attempts {
			a := &s.Attempts[i]
			from, to, ok := a.interval()
			if !ok || a.Session != session {
				continue
			}
			begin := from
			if !a.ReceivedAt.IsZero() && a.ReceivedAt.Before(from) {
				begin = a.ReceivedAt
			}
			if first.IsZero() || begin.Before(first) {
				first = begin
			}
			if to.After(last) {
				last = to
			}
			if from.Before(busyUntil) {
				from = busyUntil
			}
			if to.After(from) {
				s.Busy += to.Sub(from)
				busyUntil = to
			}
		}
		s.Span += last.Sub(first)
	}
}

// Unlike counts the attempts that were not accepted, warm-ups aside.
func (s *ProvingSide) Unlike() map[sample.AttemptStatus]int {
	out := make(map[sample.AttemptStatus]int)
	for i := range s.Attempts {
		if a := &s.Attempts[i]; a.Status != sample.Accepted && !a.WarmUp {
			out[a.Status]++
		}
	}
	return out
}
