package send

import (
	"fmt"
	"maps"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Figures are counts and rates over a time. Counts over an interval are
// differences of totals: a reorg can make them negative.
//
// Every transaction is an account's nonce: one that is signed anew, with a
// higher fee or after the pool lost it, is not counted again as offered.
type Figures struct {
	// Seconds is the length of the time.
	Seconds float64 `json:"seconds"`
	// Offered transactions were sent at least once.
	Offered int64 `json:"offered"`
	// Resent counts requests with a transaction beyond its first.
	Resent int64 `json:"resent"`
	// Unanswered counts requests with a transaction whose answer never came.
	Unanswered int64 `json:"unanswered"`
	// Accepted counts how often the node took a transaction: once for each,
	// and once more each time that it had been dropped.
	Accepted int64 `json:"accepted"`
	// Rejected counts refusals. What is refused is tried again, and can be
	// refused more than once.
	Rejected map[Reason]int64 `json:"rejected"`
	// Included transactions are in blocks that are canonical; Reverted is the
	// part of them that failed.
	Included int64 `json:"included"`
	Reverted int64 `json:"reverted"`
	// Dropped counts how often the node lost a transaction that it had
	// accepted, or will never include one because its nonce is used.
	Dropped int64 `json:"dropped"`
	// Abandoned transactions were offered and will not be sent again, because
	// somebody else used the nonce or the account was given up.
	Abandoned int64 `json:"abandoned"`
	// Behind counts what the rate asked for and was not sent in time.
	Behind int64 `json:"behind"`
	// Blocks were followed; Reorged of them were taken back.
	Blocks  int64 `json:"blocks"`
	Reorged int64 `json:"reorged"`
	// GasOffered is what the offered transactions are expected to use,
	// GasIncluded what the included ones used.
	GasOffered  int64 `json:"gas_offered"`
	GasIncluded int64 `json:"gas_included"`
	// The rates are in transactions and million gas per second.
	OfferedTPS   float64 `json:"offered_tps"`
	IncludedTPS  float64 `json:"included_tps"`
	OfferedMGas  float64 `json:"offered_mgas_per_s"`
	IncludedMGas float64 `json:"included_mgas_per_s"`
	Latency      Latency `json:"latency"`
}

// minus is the part of f that came after old, which lasted for the given time.
func (f Figures) minus(old Figures, elapsed time.Duration) Figures {
	d := Figures{
		Offered: f.Offered - old.Offered, Resent: f.Resent - old.Resent,
		Unanswered: f.Unanswered - old.Unanswered, Accepted: f.Accepted - old.Accepted,
		Included: f.Included - old.Included, Reverted: f.Reverted - old.Reverted,
		Dropped: f.Dropped - old.Dropped, Abandoned: f.Abandoned - old.Abandoned,
		Behind: f.Behind - old.Behind, Blocks: f.Blocks - old.Blocks, Reorged: f.Reorged - old.Reorged,
		GasOffered: f.GasOffered - old.GasOffered, GasIncluded: f.GasIncluded - old.GasIncluded,
		Rejected: make(map[Reason]int64),
	}
	for reason, n := range f.Rejected {
		if n -= old.Rejected[reason]; n != 0 {
			d.Rejected[reason] = n
		}
	}
	d.rates(elapsed)
	return d
}

// rates fills in the rates over the given time.
func (f *Figures) rates(elapsed time.Duration) {
	f.Seconds = elapsed.Seconds()
	if f.Seconds <= 0 {
		return
	}
	f.OfferedTPS = float64(f.Offered) / f.Seconds
	f.IncludedTPS = float64(f.Included) / f.Seconds
	f.OfferedMGas = float64(f.GasOffered) / f.Seconds / 1e6
	f.IncludedMGas = float64(f.GasIncluded) / f.Seconds / 1e6
}

// GivenUp is an account that takes no further part.
type GivenUp struct {
	Account common.Address `json:"account"`
	Reason  string         `json:"reason"`
}

// NoteKind says what a note is about.
type NoteKind string

// The kinds of notes. NoteSilent is followed by the nodes that it is about.
const (
	NoteOutage  NoteKind = "outage"
	NoteTrouble NoteKind = "trouble"
	NoteBaseFee NoteKind = "base-fee"
	NoteSilent  NoteKind = "silent"
)

// Report says what was done so far.
type Report struct {
	// Interval is since the last report, Total since the start.
	Interval Figures `json:"interval"`
	Total    Figures `json:"total"`
	// Pending transactions are with the node: accepted and neither included
	// nor dropped. Waiting ones were offered and are to be sent again.
	Pending int64 `json:"pending"`
	Waiting int64 `json:"waiting"`
	// Head is the last block that was followed, BaseFee its base fee in wei
	// per gas.
	Head    uint64 `json:"head"`
	BaseFee uint64 `json:"base_fee"`
	// MaxPending is how many transactions are kept with the node at most, at
	// this moment.
	MaxPending int64 `json:"max_pending"`
	// Note says what is being waited for, if anything is out of the ordinary.
	Note string `json:"note,omitempty"`
	// NoteKind is the same as long as Note says the same with other numbers.
	NoteKind NoteKind `json:"-"`
	// Messages has the last text of the node's for each reason of refusal.
	Messages map[Reason]string `json:"messages,omitempty"`
	// GivenUp has the accounts that were given up, each with the reason.
	GivenUp []GivenUp `json:"given_up,omitempty"`
}

// Check says whether the report adds up: what was accepted is included,
// pending or dropped, and what was offered is included, pending, waiting or
// abandoned.
func (r Report) Check() error {
	t := r.Total
	if t.Accepted != t.Included+r.Pending+t.Dropped {
		return fmt.Errorf("send: accepted %d is not included %d + pending %d + dropped %d", t.Accepted, t.Included, r.Pending, t.Dropped)
	}
	if t.Offered != t.Included+r.Pending+r.Waiting+t.Abandoned {
		return fmt.Errorf("send: offered %d is not included %d + pending %d + waiting %d + abandoned %d",
			t.Offered, t.Included, r.Pending, r.Waiting, t.Abandoned)
	}
	if r.Pending < 0 || r.Waiting < 0 || t.Included < 0 || t.Dropped < 0 || t.Reverted < 0 || t.Reverted > t.Included {
		return fmt.Errorf("send: a count is out of its range: pending %d, waiting %d, included %d, dropped %d, reverted %d",
			r.Pending, r.Waiting, t.Included, t.Dropped, t.Reverted)
	}
	return nil
}

// report makes a report at the given time and starts a new interval.
func (l *ledger) report(now time.Duration) Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := l.total
	total.Behind = int64(l.pace.behind)
	total.Rejected = maps.Clone(l.total.Rejected)
	total.rates(now)
	r := Report{
		Interval:   total.minus(l.reported, now-l.reportedAt),
		Total:      total,
		Pending:    l.pending,
		Waiting:    l.waiting,
		Head:       l.tip.number,
		BaseFee:    l.baseFee,
		MaxPending: int64(l.window),
		Messages:   maps.Clone(l.messages),
	}
	r.NoteKind, r.Note = l.note(now)
	r.Interval.Latency = l.latency.since(&l.reportedLatency).latency()
	r.Total.Latency = l.latency.latency()
	for i := range l.accounts {
		if a := &l.accounts[i]; a.dead != "" {
			r.GivenUp = append(r.GivenUp, GivenUp{a.Address, a.dead})
		}
	}
	l.reported, l.reportedAt, l.reportedLatency = total, now, l.latency
	return r
}
