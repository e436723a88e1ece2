package send

import (
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// What the checks of one round may ask for, and when an account is worth one.
const (
	checkRound    = 500 * time.Millisecond
	checkAccounts = 64
	checkHashes   = 512
	// checkSingles is checkHashes for nodes that take one call at a time.
	checkSingles = 16
	// overdueBlocks and overdueAge: a transaction that so many blocks did not
	// include, or that is so old, is looked up. youngest is the age from which
	// on a node's "unknown" is believed.
	overdueBlocks = 2
	overdueAge    = 10 * time.Second
	youngest      = time.Second
	// checkAgain is the time between two looks at an account that is only slow.
	checkAgain = 5 * time.Second
)

// presence is what a node says about a transaction.
type presence uint8

const (
	// unheard: the node could not be asked.
	unheard presence = iota
	unknown
	pooled
	mined
)

// check is what a node is asked about one account.
type check struct {
	who int
	// node is the one that the account sends to.
	node    int
	address common.Address
	// full asks about all that was sent and not included; otherwise only the
	// first is looked up.
	full   bool
	lookup []lookup
	// tip is where the chain was when the check was made: latest is the
	// account's nonce there, pending that with the pool's transactions.
	tip             tip
	latest, pending uint64
	heard           bool
}

// lookup is one transaction that the node is asked about.
type lookup struct {
	nonce  uint64
	hash   common.Hash
	sent   bool // in the state sent when the check was made
	answer presence
}

// checks are the accounts to ask about now, with no more than the given number
// of hashes to look up.
func (l *ledger) checks(now time.Duration, most int) []check {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []check
	hashes, probes := 0, 0
	for range l.accounts {
		if len(out) >= checkAccounts || hashes >= most {
			break
		}
		who := l.checked
		l.checked = (l.checked + 1) % len(l.accounts)
		a := &l.accounts[who]
		if a.entries.len() == 0 {
			a.suspect = false
			continue
		}
		c := check{who: who, address: a.Address, tip: l.tip, full: a.suspect}
		switch {
		case a.suspect:
			for i := 0; i < a.entries.len() && hashes+len(c.lookup) < most; i++ {
				c.add(a.base+uint64(i), a.entries.at(i))
			}
		case l.overdue(a, now), !l.visible && probes < 4 && a.accepted > 0:
			probes++
			a.checkAt = now + checkAgain
			c.add(a.base, a.entries.at(0))
		default:
			continue
		}
		hashes += len(c.lookup)
		out = append(out, c)
	}
	return out
}

// overdue says whether a's first transaction should have been included.
func (l *ledger) overdue(a *account, now time.Duration) bool {
	e := a.entries.at(0)
	if e.state != sent || now < a.checkAt {
		return false
	}
	age := now - e.sentAt
	return age > overdueAge || age > youngest && uint64(l.total.Blocks)-e.blocks >= overdueBlocks
}

// add asks about e under all its hashes, if it was ever sent.
func (c *check) add(nonce uint64, e *entry) {
	if !e.offered || e.state == sending {
		return
	}
	c.lookup = append(c.lookup, lookup{nonce: nonce, hash: e.hash, sent: e.state == sent})
	for _, h := range e.older {
		c.lookup = append(c.lookup, lookup{nonce: nonce, hash: h})
	}
}

// found is the best that a check says of the transaction with a nonce.
func (c *check) found(nonce uint64) presence {
	best := unheard
	for _, u := range c.lookup {
		if u.nonce == nonce {
			best = max(best, u.answer)
		}
	}
	return best
}

// mend acts on what the node said in the given round of checks.
func (l *ledger) mend(c *check, round int, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range c.lookup {
		l.visible = l.visible || u.answer == pooled
	}
	a := &l.accounts[c.who]
	if !c.heard || a.entries.len() == 0 {
		return // asked again in the next round
	}
	if a.dead != "" {
		defer l.truncate(a)
	}
	switch {
	case l.tip != c.tip:
		// The nonces are of another time. What was looked up by hash and is
		// still under way can be judged all the same.
	case c.latest > a.base:
		l.mendForeign(a, c, round)
		return
	case c.latest < a.base && c.pending < a.base:
		if a.gap.confirm(c.latest, round) {
			l.rebase(a, max(c.latest, c.pending), now)
			a.gap = observation{}
		}
		a.suspect = true
		return
	default:
		a.gap, a.foreign = observation{}, observation{}
	}
	lost := 0
	for _, u := range c.lookup {
		if u.sent && l.mendOne(a, c, u, now) {
			lost++
		}
	}
	// If only the first was looked up and is lost, the others may be, too.
	a.suspect = lost > 0 && !c.full || l.tip != c.tip && c.full
}

// mendForeign deals with nonces that the chain has used and that no block that
// was followed shows as ours.
func (l *ledger) mendForeign(a *account, c *check, round int) {
	a.suspect = true
	for nonce := a.base; nonce < c.latest; nonce++ {
		if c.found(nonce) == mined {
			return // ours, in a block that is about to be followed
		}
	}
	if !a.foreign.confirm(c.latest, round) {
		return
	}
	a.foreign = observation{}
	for a.base < c.latest && a.entries.len() > 0 {
		l.skip(a)
	}
	a.base = max(a.base, c.latest)
}

// mendOne deals with one transaction that was sent, and says whether the node
// has lost it.
func (l *ledger) mendOne(a *account, c *check, u lookup, now time.Duration) bool {
	e := a.at(u.nonce)
	if e == nil || e.state != sent || e.hash != u.hash {
		return false
	}
	i := int(u.nonce - a.base)
	switch c.found(u.nonce) {
	case pooled, mined:
		l.accept(a, e)
		if i == 0 {
			l.raise(a)
		}
	case unknown:
		switch {
		case !e.accepted:
			l.contest(a, e, i, now)
		case now-e.sentAt < youngest:
		case l.visible:
			l.lose(a, e)
			l.congested(now)
			l.replan(a, i, e, l.refreshed(e.fee))
			return true
		default:
			// The node does not show its pool. The same transaction again does
			// no harm, and helps if it is lost.
			l.replan(a, i, e, e.fee)
		}
	}
	return false
}

// raise makes the transactions of a that the base fee has outgrown offer more.
// Their first one is stuck, and nothing behind it can be included.
func (l *ledger) raise(a *account) {
	if a.entries.at(0).fee.cap >= l.baseFee {
		return
	}
	for i := range a.entries.len() {
		if e := a.entries.at(i); e.state == sent && e.accepted && e.fee.cap < l.baseFee {
			if f := l.bumped(e.fee); f != nil {
				l.replan(a, i, e, f)
			}
		}
	}
}

// nudge has one transaction that is pending offer more, when no block has come
// for much longer than usual. A node that makes blocks only when something new
// arrives can leave a pool full of transactions waiting for it.
func (l *ledger) nudge(now time.Duration) {
	const (
		least = 3 * time.Second
		first = 15 * time.Second
		times = 3
		pause = 2 * time.Second
	)
	l.mu.Lock()
	defer l.mu.Unlock()
	quiet := max(least, times*l.interval)
	if l.total.Blocks == 0 {
		quiet = first
	}
	if l.pending == 0 || l.outage != "" || now-l.blockAt < quiet || now-l.nudged < pause {
		return
	}
	var oldest *account
	for i := range l.accounts {
		a := &l.accounts[i]
		if a.entries.len() == 0 || a.dead != "" {
			continue
		}
		e := a.entries.at(0)
		if e.state == sent && e.accepted && (oldest == nil || e.sentAt < oldest.entries.at(0).sentAt) {
			oldest = a
		}
	}
	if oldest == nil {
		return
	}
	if f := l.bumped(oldest.entries.at(0).fee); f != nil {
		l.nudged = now
		l.replan(oldest, 0, oldest.entries.at(0), f)
	}
}

// contest tries again with a transaction whose nonce the node would not take,
// although the chain has not used it: more is offered than before, because
// somebody else's transaction with this nonce may be in the pool.
func (l *ledger) contest(a *account, e *entry, i int, now time.Duration) {
	const patience = 3
	a.retryAt = now + leastPause
	f := l.refreshed(e.fee)
	if e.bumps < patience {
		e.bumps++
		if more := l.bumped(e.fee); more != nil {
			f = more
		}
	} else {
		a.retryAt = now + mostPause
	}
	l.replan(a, i, e, f)
}

// refreshed is f if it still will do, and the present fee otherwise.
func (l *ledger) refreshed(f *fee) *fee {
	if f.cap < l.fee.cap && f.cap < plus(l.baseFee, f.tip) {
		return l.fee
	}
	return f
}

// rebase gives a's entries new nonces, from base on: the chain has gone back
// before the ones they had, and nobody is left to fill the gap.
func (l *ledger) rebase(a *account, base uint64, now time.Duration) {
	for i := range a.entries.len() {
		e := a.entries.at(i)
		delete(l.index, e.hash)
		for _, h := range e.older {
			delete(l.index, h)
		}
		e.older = nil
		if e.accepted {
			l.lose(a, e)
		}
		l.replan(a, i, e, l.refreshed(e.fee))
		e.hash = common.Hash{}
	}
	a.base, a.cursor = base, 0
	a.retryAt = now
}
