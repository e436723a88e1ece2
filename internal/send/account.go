package send

import (
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/load"
)

// state is where a transaction is on its way to the node.
type state uint8

// The states of an entry. Whether the node has accepted it is kept apart: one
// that is accepted is signed and sent again when the pool lost it, or when its
// fee no longer suffices.
//
//	planned → signing → ready → sending → sent
//	   ↑                  ↑        |        |
//	   +------------------+--------+--------+
const (
	// planned: it has a nonce and needs a signature.
	planned state = iota
	// signing: a signer has it.
	signing
	// ready: it is signed and may be sent.
	ready
	// sending: a request with it is on its way.
	sending
	// sent: the node accepted it, or has to be asked what became of it.
	sent

	states
)

// fee is what a transaction offers, in wei per gas. The fee itself and its big
// form are shared and never change.
type fee struct {
	cap, tip uint64
	big      load.Fees
}

// entry is a transaction from the moment when it is given a nonce until it is
// included or given up.
type entry struct {
	// call is its number in the account's workload.
	call  uint64
	state state
	// offered: it has been sent at least once. accepted: the node said that
	// it has it. contested: the node said something about its nonce that has
	// to be looked into before it is sent again.
	offered, accepted, contested bool
	// mended counts how often it was found to be lost, bumps how often it was
	// made to offer more, refused how often in a row it was refused.
	mended, bumps, refused uint16
	// hash is that of the last signature; older are those of earlier ones that
	// a node may hold.
	hash  common.Hash
	older []common.Hash
	// raw is the signed transaction while it may have to be sent.
	raw []byte
	fee *fee
	// gas is what it is expected to use.
	gas uint64
	// sentAt is when the request that was accepted, or the last one, went out.
	sentAt time.Duration
	// blocks is the number of blocks followed by then.
	blocks uint64
}

// account is a sender. Its entries have contiguous nonces from base on.
type account struct {
	load.Account
	lane    int
	base    uint64
	entries queue
	// drawn is the number of calls that have been given a nonce; again are
	// calls whose nonce somebody else used.
	drawn uint64
	again []uint64
	// planned counts the entries that need a signature.
	planned int
	// cursor is no higher than the first entry that may be sent.
	cursor int
	// window is the most entries that may be with the node; grown is the block
	// that let it grow last.
	window int
	grown  uint64
	// accepted counts the entries that the node has.
	accepted int
	// retryAt is when sending goes on after a refusal, pause how long the last
	// pause was.
	retryAt, pause time.Duration
	// poor counts the requests that were refused for lack of funds while
	// nothing was pending.
	poor int
	// settled is the number of the request that slowed it down last.
	settled uint64
	// suspect: something does not add up, the node has to be asked. checkAt is
	// when it is asked next about entries that should have been included.
	suspect bool
	checkAt time.Duration
	// gap and foreign are nonces that the node named once; the same again, in
	// a later round, is believed.
	gap, foreign observation
	// dead says why the account was given up.
	dead string
}

// observation is something seen at one round of checks.
type observation struct {
	nonce uint64
	round int
}

// confirm says whether the same was seen in an earlier round, and remembers.
func (o *observation) confirm(nonce uint64, round int) bool {
	if o.round > 0 && o.nonce == nonce {
		return round > o.round
	}
	*o = observation{nonce: nonce, round: round}
	return false
}

// at is the entry with the given nonce, nil if there is none.
func (a *account) at(nonce uint64) *entry {
	if nonce < a.base || nonce-a.base >= uint64(a.entries.len()) {
		return nil
	}
	return a.entries.at(int(nonce - a.base))
}

// next is the nonce of the next new entry.
func (a *account) next() uint64 { return a.base + uint64(a.entries.len()) }

// filler says that entry i takes no room that is not taken already, or gives
// it back: the node has it, or has ones that wait for it.
func (a *account) filler(i int) bool {
	if a.entries.at(i).accepted {
		return true
	}
	if !a.entries.at(i).offered && i > 0 {
		return false // nothing behind it was ever sent
	}
	for i++; i < a.entries.len(); i++ {
		if a.entries.at(i).accepted {
			return true
		}
	}
	return false
}

// rewind makes sure that sending looks at entry i again.
func (a *account) rewind(i int) { a.cursor = min(a.cursor, i) }

// backOff pauses the account, for twice as long as the last time.
func (a *account) backOff(now, least, most time.Duration) {
	a.pause = min(max(2*a.pause, least), most)
	a.retryAt = now + a.pause
}

// queue is a double-ended queue of entries in a ring.
type queue struct {
	ring []entry
	head int
	n    int
}

func (q *queue) len() int { return q.n }

func (q *queue) at(i int) *entry { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) grow() {
	const first = 4
	if q.n < len(q.ring) {
		return
	}
	ring := make([]entry, max(first, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.head = ring, 0
}

func (q *queue) pushBack(e entry) {
	q.grow()
	q.n++
	*q.at(q.n - 1) = e
}

func (q *queue) pushFront(e entry) {
	q.grow()
	q.head = (q.head - 1) & (len(q.ring) - 1)
	q.n++
	*q.at(0) = e
}

func (q *queue) popFront() entry {
	e := *q.at(0)
	*q.at(0) = entry{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return e
}

func (q *queue) popBack() entry {
	e := *q.at(q.n - 1)
	*q.at(q.n - 1) = entry{}
	q.n--
	return e
}
