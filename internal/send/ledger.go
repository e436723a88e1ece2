package send

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/load"
)

// settings are what the ledger goes by.
type settings struct {
	// perAccount is the number of calls of each account, 0 for no end.
	perAccount uint64
	// maxPending bounds what is with the node, windowEach the part of it that
	// one account may have. leastPending may be there even if blocks hold less.
	maxPending, windowEach, leastPending int
	// ahead is how many transactions are kept signed beyond those.
	ahead int
	// batch is the largest number of transactions in one request.
	batch int
	lanes int
	// feeCap is the most that is offered per gas, tip the part that goes to
	// the builder of the block; both in wei. fixed offers feeCap always,
	// otherwise what is offered follows the base fee.
	feeCap, tip uint64
	fixed       bool
	tps         float64
	perBlock    int
}

// place is where a transaction with a given hash belongs.
type place struct {
	who   int32
	nonce uint64
}

// ledger knows every transaction that is under way, and counts. It has no
// clock and no network: times are given to it, as durations since the start of
// the run. All its state is guarded by mu; methods that the engine calls from
// outside take it.
type ledger struct {
	mu sync.Mutex
	o  settings

	accounts []account
	// members are the accounts of each lane, next where each lane goes on
	// looking for something to send, turn where signing goes on.
	members [][]int
	next    []int
	turn    int
	// checked is where checks go on.
	checked int
	// due is when each lane has its turn in the rate.
	due []time.Duration
	// closed says that no new calls are drawn.
	closed bool

	index map[common.Hash]place
	// count is the number of entries in each state.
	count [states]int
	// pending entries are accepted and not included, waiting ones offered and
	// neither accepted nor included.
	pending, waiting int64
	// contracts are the addresses that calls with data went to, as many as are
	// worth watching.
	contracts map[common.Address]bool

	pace pace
	// limit is how many transactions the node keeps, as far as is known: it
	// falls when the node refuses or loses some, and grows back slowly. window
	// is how many it may have: no more than a few blocks hold.
	limit, window float64
	cutAt         time.Duration
	batch         int
	// short counts how often in a row the node's pool held less than it should.
	short int

	fee     *fee
	tipNow  uint64
	baseFee uint64
	// blockful is how many of ours a block holds, of late.
	blockful float64
	// settled counts the requests that were settled.
	settled uint64
	// silences are those of each node.
	silences []silence
	// outage says that the node is away, trouble that it cannot be followed.
	outage, trouble string

	tip     tip
	history []followed
	kept    int

	// visible says that the node has shown a transaction of its pool when
	// asked by hash. Only such a node's "unknown" means that one is lost.
	visible bool

	total           Figures
	reported        Figures
	reportedAt      time.Duration
	latency         histogram
	reportedLatency histogram
	messages        map[Reason]string
	// progress is when something was included last, blockAt when the last
	// block was seen, interval how long it takes from block to block, of late;
	// nudged is when nudge did something last.
	progress, blockAt, interval, nudged time.Duration
}

// Limits of the ledger.
const (
	leastWindow = 16
	// maxContracts bounds the contracts that are watched.
	maxContracts = 64
	// maxOlder bounds the earlier signatures of one transaction.
	maxOlder = 4
)

func newLedger(o settings, accounts []load.Account, nonces []uint64) *ledger {
	l := &ledger{
		o:         o,
		members:   make([][]int, o.lanes),
		next:      make([]int, o.lanes),
		due:       make([]time.Duration, o.lanes),
		index:     make(map[common.Hash]place),
		contracts: make(map[common.Address]bool),
		pace:      newPace(o.tps, o.perBlock),
		limit:     float64(o.maxPending),
		window:    float64(o.leastPending),
		cutAt:     -time.Hour,
		batch:     o.batch,
		tipNow:    o.tip,
		messages:  make(map[Reason]string),
	}
	l.total.Rejected = make(map[Reason]int64)
	l.setBaseFee(0)
	for i, a := range accounts {
		lane := i % o.lanes
		l.accounts = append(l.accounts, account{Account: a, lane: lane, base: nonces[i], window: o.windowEach})
		l.members[lane] = append(l.members[lane], i)
	}
	return l
}

// setBaseFee follows the base fee. Full blocks raise it by an eighth each: what
// is offered from now on lasts through the blocks that are waited for and six
// more, which alone double it, as far as the cap allows. Less would leave a
// pool full of transactions that nobody can include.
func (l *ledger) setBaseFee(base uint64) {
	l.baseFee = base
	offer := l.o.feeCap
	if !l.o.fixed {
		const margin, longest = 6, 40
		blocks := 0.0
		if l.blockful > 0 {
			blocks = min(float64(l.pending)/l.blockful, longest)
		}
		if most := float64(base) * math.Pow(1.125, margin+blocks); most < float64(offer) {
			offer = min(plus(uint64(most)+1, l.tipNow), offer)
		}
	}
	l.fee = l.feeOf(offer, min(l.tipNow, offer))
}

// feeOf is the fee with the given cap and tip; the present one is shared.
func (l *ledger) feeOf(most, tip uint64) *fee {
	if l.fee != nil && l.fee.cap == most && l.fee.tip == tip {
		return l.fee
	}
	return &fee{cap: most, tip: tip, big: load.Fees{
		Cap: new(big.Int).SetUint64(most),
		Tip: new(big.Int).SetUint64(tip),
	}}
}

// plus adds and stops at the largest number.
func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// bumped is a fee that a node takes in place of f: a tenth more in both parts
// is what nodes ask for. It is nil if the cap is in the way.
func (l *ledger) bumped(f *fee) *fee {
	most := max(l.fee.cap, plus(f.cap, f.cap/8+1))
	tip := max(l.fee.tip, plus(f.tip, f.tip/8+1))
	if l.o.fixed || most > l.o.feeCap || tip > most {
		return nil
	}
	return l.feeOf(most, tip)
}

// tooDear says that the base fee is above what may be offered.
func (l *ledger) tooDear() bool { return !l.o.fixed && l.baseFee > l.o.feeCap }

// note says what is out of the ordinary, and of what kind that is.
func (l *ledger) note(now time.Duration) (NoteKind, string) {
	switch {
	case l.outage != "":
		return NoteOutage, l.outage
	case l.trouble != "":
		return NoteTrouble, l.trouble
	case l.tooDear():
		return NoteBaseFee, fmt.Sprintf("the base fee of %d wei is above the fee cap of %d wei: nothing is sent until it falls", l.baseFee, l.o.feeCap)
	}
	return l.silent(now)
}

// setState moves e and keeps the counts.
func (l *ledger) setState(a *account, e *entry, s state) {
	if e.state == planned {
		a.planned--
	}
	l.count[e.state]--
	e.state = s
	l.count[s]++
	if s == planned {
		a.planned++
	}
	if s == planned || s == sent {
		e.raw = nil // signed again when needed: pending ones are to be small
	}
}

// enter counts an entry that was put into a's queue.
func (l *ledger) enter(a *account, e *entry) {
	l.count[e.state]++
	if e.state == planned {
		a.planned++
	}
}

// leave forgets an entry that was taken out of a's queue; its hashes no longer
// lead anywhere.
func (l *ledger) leave(a *account, e *entry) {
	l.count[e.state]--
	if e.state == planned {
		a.planned--
	}
	delete(l.index, e.hash)
	for _, h := range e.older {
		delete(l.index, h)
	}
}

// offer counts e as sent for the first time.
func (l *ledger) offer(e *entry) {
	e.offered = true
	l.waiting++
	l.total.Offered++
	l.total.GasOffered += int64(e.gas)
}

// accept counts e as being with the node.
func (l *ledger) accept(a *account, e *entry) {
	e.contested, e.refused = false, 0
	if e.accepted {
		return
	}
	e.accepted = true
	a.accepted++
	l.pending++
	l.waiting--
	l.total.Accepted++
}

// lose counts e as dropped by the node; it is to be sent again.
func (l *ledger) lose(a *account, e *entry) {
	if !e.accepted {
		return
	}
	e.accepted = false
	e.mended++
	a.accepted--
	l.pending--
	l.waiting++
	l.total.Dropped++
}

// abandon counts e, which left its queue, as never to be sent again.
func (l *ledger) abandon(a *account, e *entry) {
	switch {
	case e.accepted:
		a.accepted--
		l.pending--
		l.total.Dropped++
		l.total.Abandoned++
	case e.offered:
		l.waiting--
		l.total.Abandoned++
	}
}

// replan has e signed anew, with the given fee.
func (l *ledger) replan(a *account, i int, e *entry, f *fee) {
	e.fee = f
	e.contested = false
	l.setState(a, e, planned)
	a.rewind(i)
}

// more says whether a has calls that have no nonce yet.
func (l *ledger) more(a *account) bool {
	if l.closed || a.dead != "" {
		return false
	}
	return len(a.again) > 0 || l.o.perAccount == 0 || a.drawn < l.o.perAccount
}

// call is the number of a's next call.
func (l *ledger) call(a *account) uint64 {
	if n := len(a.again); n > 0 {
		c := a.again[n-1]
		a.again = a.again[:n-1]
		return c
	}
	a.drawn++
	return a.drawn - 1
}

// job is one transaction to be signed.
type job struct {
	who   int
	nonce uint64
	call  uint64
	fee   *fee
	// tx is what the signer made of it, to what address with data it goes.
	tx       load.Tx
	contract common.Address
}

// draw fills out with transactions to sign: first those that have to be signed
// anew, then as many new ones as are wanted ahead of need.
func (l *ledger) draw(out []job) []job {
	l.mu.Lock()
	defer l.mu.Unlock()
	out = out[:0]
	stock := l.count[planned] + l.count[signing] + l.count[ready]
	for range l.accounts {
		if len(out) == cap(out) {
			break
		}
		a := &l.accounts[l.turn]
		for i := 0; a.planned > 0 && i < a.entries.len() && len(out) < cap(out); i++ {
			if e := a.entries.at(i); e.state == planned {
				l.setState(a, e, signing)
				out = append(out, job{who: l.turn, nonce: a.base + uint64(i), call: e.call, fee: e.fee})
			}
		}
		each := max(1, (l.o.ahead+len(l.accounts)-1)/len(l.accounts))
		for range each {
			if len(out) == cap(out) || stock >= l.o.ahead || a.entries.len() >= a.window+each || !l.more(a) {
				break
			}
			e := entry{call: l.call(a), state: signing, fee: l.fee}
			out = append(out, job{who: l.turn, nonce: a.next(), call: e.call, fee: e.fee})
			a.entries.pushBack(e)
			l.enter(a, &e)
			stock++
		}
		l.turn = (l.turn + 1) % len(l.accounts)
	}
	return out
}

// signed takes what became of jobs. What changed in between is left as it is.
func (l *ledger) signed(jobs []job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range jobs {
		j := &jobs[i]
		a := &l.accounts[j.who]
		e := a.at(j.nonce)
		if e == nil || e.state != signing || e.call != j.call || e.fee != j.fee {
			continue
		}
		if e.offered && e.hash != j.tx.Hash {
			l.keepOlder(e)
		} else if e.hash != j.tx.Hash {
			delete(l.index, e.hash)
		}
		e.hash, e.raw, e.gas = j.tx.Hash, j.tx.Raw, j.tx.Gas
		l.index[e.hash] = place{int32(j.who), j.nonce}
		l.setState(a, e, ready)
		if j.contract != (common.Address{}) && len(l.contracts) < maxContracts {
			l.contracts[j.contract] = true
		}
	}
}

// keepOlder remembers e's hash, which a node may have, before it changes.
func (l *ledger) keepOlder(e *entry) {
	if len(e.older) == maxOlder {
		delete(l.index, e.older[0])
		e.older = e.older[1:]
	}
	e.older = append(e.older[:len(e.older):len(e.older)], e.hash)
}

// watched are contracts that the load calls.
func (l *ledger) watched() []common.Address {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]common.Address, 0, len(l.contracts))
	for c := range maps.Keys(l.contracts) {
		out = append(out, c)
	}
	return out
}

// item is one transaction of a request.
type item struct {
	who   int
	nonce uint64
	hash  common.Hash
	raw   []byte
}

// gather fills out with what the lane may send now, in nonce order within each
// account. Without anything, it says after how long to ask again at the latest.
func (l *ledger) gather(lane int, now time.Duration, out []item) ([]item, time.Duration) {
	const idle = time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	out = out[:0]
	if l.tooDear() || l.outage != "" {
		return out, idle
	}
	allowed, fresh := l.pace.allowed(now)
	if early := l.due[lane] - now; early > 0 && allowed < l.batch {
		return out, early // many small requests would cost more than they send
	}
	if allowed <= 0 {
		return out, min(l.pace.wait(now, lane, l.o.lanes), idle)
	}
	fresh = min(fresh, int(l.window)-int(l.pending)-l.count[sending])
	members := l.members[lane]
	each := max(1, (l.batch+len(members)-1)/len(members))
	most := min(l.batch, allowed)
	wait := idle
	room := fresh
	for range members {
		who := members[l.next[lane]]
		a := &l.accounts[who]
		switch {
		case a.dead != "" || a.cursor >= a.entries.len():
		case a.retryAt > now:
			wait = min(wait, a.retryAt-now)
		default:
			out, room = l.gatherFrom(who, now, min(len(out)+each, most), room, out)
		}
		if len(out) >= most {
			break
		}
		l.next[lane] = (l.next[lane] + 1) % len(members)
	}
	if len(out) > 0 {
		l.pace.use(len(out), fresh-room)
		l.due[lane] = now + l.pace.turn(now, lane, l.o.lanes)
	}
	return out, wait
}

// gatherFrom appends what one account has to send, until out has most items
// or the node has no room for more. It returns how much room is left.
func (l *ledger) gatherFrom(who int, now time.Duration, most, room int, out []item) ([]item, int) {
	a := &l.accounts[who]
	end := min(a.entries.len(), a.window)
	for ; a.cursor < end && len(out) < most; a.cursor++ {
		e := a.entries.at(a.cursor)
		switch {
		case e.state == sent || e.state == sending:
			continue
		case e.state == ready && e.fee.cap < l.baseFee && !l.o.fixed:
			// The base fee has outgrown it since it was signed.
			l.replan(a, a.cursor, e, l.fee)
			return out, room
		case e.state != ready || room <= 0 && !a.filler(a.cursor):
			return out, room
		}
		if !e.accepted {
			room--
		}
		l.setState(a, e, sending)
		e.sentAt, e.blocks = now, uint64(l.total.Blocks)
		if e.offered {
			l.total.Resent++
		} else {
			l.offer(e)
		}
		out = append(out, item{who: who, nonce: a.base + uint64(a.cursor), hash: e.hash, raw: e.raw})
	}
	return out, room
}

// stop draws no more calls. What was never sent is forgotten.
func (l *ledger) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for i := range l.accounts {
		a := &l.accounts[i]
		for n := a.entries.len(); n > 0 && !a.entries.at(n-1).offered; n-- {
			e := a.entries.popBack()
			l.leave(a, &e)
		}
		a.rewind(a.entries.len())
	}
}

// finished says that nothing is left to do.
func (l *ledger) finished() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.accounts {
		if a := &l.accounts[i]; a.entries.len() > 0 || l.more(a) {
			return false
		}
	}
	return true
}

// giveUp ends an account. What the node has and can still include stays
// pending; behind the first transaction that it does not have, nothing can be
// included any more.
func (l *ledger) giveUp(a *account, why string) {
	if a.dead != "" {
		return
	}
	a.dead, a.again = why, nil
	l.truncate(a)
}

// truncate forgets what an account that was given up can no longer have
// included.
func (l *ledger) truncate(a *account) {
	keep := 0
	for keep < a.entries.len() && a.entries.at(keep).accepted {
		keep++
	}
	for a.entries.len() > keep {
		e := a.entries.popBack()
		l.leave(a, &e)
		l.abandon(a, &e)
	}
	a.rewind(keep)
}
