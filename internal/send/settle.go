package send

import (
	"fmt"
	"time"
)

// The pauses of an account after a refusal.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = 2 * time.Second
	// poorPause is for accounts without funds: a deposit may be on its way.
	poorPause     = time.Second
	mostPoorPause = 8 * time.Second
	// mostPoor is how often in a row an account with nothing pending may be
	// refused for lack of funds.
	mostPoor = 4
)

// outcome is what became of an item.
type outcome struct {
	// reason is empty when the node took it, unanswered when nobody knows.
	reason  Reason
	message string
}

// unanswered is for requests whose answer never came.
const unanswered Reason = "unanswered"

// settle takes what became of the items of one request.
func (l *ledger) settle(items []item, outcomes []outcome, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled++
	refusedBatch := false
	for i, it := range items {
		a := &l.accounts[it.who]
		e := a.at(it.nonce)
		if e == nil || e.state != sending || e.hash != it.hash {
			continue // included, or given up, in the meantime
		}
		position := int(it.nonce - a.base)
		switch o := outcomes[i]; o.reason {
		case "", known:
			a.pause, a.poor = 0, 0
			l.setState(a, e, sent)
			l.accept(a, e)
		case unanswered:
			l.total.Unanswered++
			l.setState(a, e, ready)
			a.rewind(position)
			if l.once(a) {
				a.backOff(now, leastPause, mostPause)
			}
		default:
			l.total.Rejected[o.reason]++
			l.messages[o.reason] = o.message
			refusedBatch = refusedBatch || o.reason == BatchTooLarge
			l.setState(a, e, ready)
			a.rewind(position)
			e.refused++
			l.react(a, e, position, o, now)
		}
	}
	if refusedBatch {
		l.batch = max(1, min(l.batch, len(items))/2)
	}
}

// once says whether nothing in this settle has slowed a down yet. A request
// has many transactions of one account: that all of them are refused is one
// piece of news about it.
func (l *ledger) once(a *account) bool {
	if a.settled == l.settled {
		return false
	}
	a.settled = l.settled
	return true
}

// react does what the reason of a refusal asks for. e is ready to be sent
// again, unless something else is done about it.
func (l *ledger) react(a *account, e *entry, position int, o outcome, now time.Duration) {
	first := l.once(a)
	if first {
		l.slow(a, o.reason, now)
	}
	switch o.reason {
	case PoolFull, Underpriced:
		l.congested(now)
		const patience = 3
		if o.reason == Underpriced && e.refused%patience == 0 {
			l.offerMore(a, e, position)
		}
	case AccountLimit, NonceGap:
		a.suspect = true
	case FeeTooLow:
		l.offerMore(a, e, position)
	case Replacement, NonceTooLow:
		e.contested = true
		a.suspect = true
		l.setState(a, e, sent)
	case Funds:
		if !first || a.accepted > 0 {
			return
		}
		if a.poor++; a.poor >= mostPoor {
			l.giveUp(a, o.message)
		}
	case Invalid:
		l.giveUp(a, o.message)
	}
}

// slow pauses an account that was refused something, and has it keep less with
// the node where the reason asks for that.
func (l *ledger) slow(a *account, reason Reason, now time.Duration) {
	switch {
	case reason == PoolFull, reason == Underpriced, reason == Funds && a.accepted > 0:
		a.window = max(1, min(a.window, a.accepted))
	case reason == AccountLimit:
		a.window = max(1, min(a.window, a.accepted)/2)
	}
	if reason == Funds {
		a.backOff(now, poorPause, mostPoorPause)
	} else {
		a.backOff(now, leastPause, mostPause)
	}
}

// offerMore signs e anew with a higher fee, if the cap allows one.
func (l *ledger) offerMore(a *account, e *entry, position int) {
	switch {
	case l.o.fixed:
	case l.fee.cap > e.fee.cap && l.fee.tip >= e.fee.tip:
		// The base fee rose since e was signed.
		l.replan(a, position, e, l.fee)
	default:
		// Again and again refused, with a cap above the base fee: the node
		// wants a higher tip. All that is signed from now on has it.
		const patience = 3
		if tip := min(plus(e.fee.tip, max(e.fee.tip, 1)), l.o.feeCap); e.refused >= patience && tip > l.tipNow {
			l.tipNow = tip
			l.setBaseFee(l.baseFee)
		}
		if f := l.bumped(e.fee); f != nil {
			l.replan(a, position, e, f)
		}
	}
}

// congested keeps less with the node. Refusals and losses come in crowds: once
// a second it falls by a part, and with more of them only to what is there.
func (l *ledger) congested(now time.Duration) {
	const (
		again = time.Second
		part  = 0.9
	)
	there := float64(l.pending) + float64(l.count[sending])
	if now-l.cutAt >= again {
		l.cutAt = now
		there *= part
	}
	l.limit = max(leastWindow, min(l.limit, there))
	l.window = min(l.window, l.limit)
}

// relaxed lets what is kept with the node grow, with each block that has some
// of ours. A few blocks' worth fills every block; more would only wait longer,
// outlive its fee, and press on the pool. Nodes that make a block whenever a
// transaction comes are given few: they try all that they have each time.
func (l *ledger) relaxed(now time.Duration) {
	const (
		quiet  = 2 * time.Second
		step   = 1.05
		blocks = 4
		rapid  = 50 * time.Millisecond
	)
	if now-l.cutAt > quiet {
		l.limit = min(step*l.limit+1, float64(l.o.maxPending))
	}
	l.window = min(l.limit, float64(l.o.leastPending))
	if l.interval > rapid {
		l.window = min(l.limit, max(l.window, blocks*l.blockful))
	}
}

// poolHolds compares what the node says that its pool holds with what it has
// accepted of ours: least is the smallest number that was pending meanwhile.
// Some pools drop what they have accepted without a word. All accounts are
// looked at then.
func (l *ledger) poolHolds(n uint64, least int64) {
	const (
		slack    = 32
		patience = 2
	)
	l.mu.Lock()
	defer l.mu.Unlock()
	if int64(min(n, 1<<32))+slack >= min(least, l.pending) {
		l.short = 0
		return
	}
	if l.short++; l.short >= patience {
		l.short = 0
		for i := range l.accounts {
			if a := &l.accounts[i]; a.accepted > 0 {
				a.suspect = true
			}
		}
	}
}

// pendingNow is pending for those who do not hold the lock.
func (l *ledger) pendingNow() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending
}

// allDead is the error of a run in which no account takes part any more.
func (l *ledger) allDead() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	dead := 0
	first := (*account)(nil)
	for i := range l.accounts {
		if a := &l.accounts[i]; a.dead != "" {
			dead++
			if first == nil {
				first = a
			}
		}
	}
	if dead == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d accounts were given up; the first, %s: %s", dead, len(l.accounts), first.Address, first.dead)
}
