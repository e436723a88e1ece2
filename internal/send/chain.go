package send

import (
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// How much of the chain is kept so that a reorg can be followed: so many
// blocks, and not more transactions of ours than so many.
const (
	maxHistory = 64
	maxKept    = 100_000
	// maxFillers bounds the nonces between two of ours that a reorg can leave
	// open for us to fill.
	maxFillers = 1000
)

// tip is the end of the chain as far as it was followed.
type tip struct {
	number uint64
	hash   common.Hash
}

// inclusion is a transaction of ours in a block, with what it takes to have it
// pending again.
type inclusion struct {
	who      int32
	reverted bool
	nonce    uint64
	call     uint64
	hash     common.Hash
	fee      *fee
	gas      uint64
	sentAt   time.Duration
	latency  time.Duration
}

// followed is a block that was followed, with what it holds of ours.
type followed struct {
	tip
	parent common.Hash
	ours   []inclusion
}

// begin makes the block with the given number and hash the one to follow from.
func (l *ledger) begin(t tip, baseFee uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tip = t
	l.setBaseFee(baseFee)
}

// at is the end of the chain as far as it was followed.
func (l *ledger) at() tip {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tip
}

// ours says which of the hashes are of transactions that are under way.
func (l *ledger) ours(hashes []common.Hash) []common.Hash {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []common.Hash
	for _, h := range hashes {
		if _, ok := l.index[h]; ok {
			out = append(out, h)
		}
	}
	return out
}

// include takes in the next block of the chain, seen at the given time, with
// the receipts of those of its transactions that are ours, in the block's
// order.
func (l *ledger) include(b *block, receipts []receipt, seen time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := followed{tip: tip{b.number, b.hash}, parent: b.parent}
	for _, r := range receipts {
		if in, ok := l.includeOne(b, r, seen); ok {
			f.ours = append(f.ours, in)
		}
	}
	if len(f.ours) > 0 {
		l.progress = seen
		// More counts at once, less only if it stays that way.
		const share = 0.2
		n := float64(len(f.ours))
		l.blockful = max(n, l.blockful+share*(n-l.blockful))
		l.relaxed(seen)
	}
	l.tip = f.tip
	l.total.Blocks++
	const part = 4
	l.interval += (seen - l.blockAt - l.interval) / part
	l.blockAt = seen
	l.setBaseFee(b.baseFee)
	l.pace.block(int(l.pending) + l.count[sending])
	l.history = append(l.history, f)
	l.kept += len(f.ours)
	for len(l.history) > 1 && (len(l.history) > maxHistory || l.kept > maxKept) {
		l.kept -= len(l.history[0].ours)
		l.history[0] = followed{} // the array behind the slice outlives it
		l.history = l.history[1:]
	}
}

func (l *ledger) includeOne(b *block, r receipt, seen time.Duration) (inclusion, bool) {
	p, ok := l.index[r.tx]
	if !ok {
		return inclusion{}, false
	}
	a := &l.accounts[p.who]
	if a.at(p.nonce) == nil {
		return inclusion{}, false
	}
	for a.base < p.nonce {
		l.skip(a) // the chain used the nonces before this one already
	}
	e := a.entries.popFront()
	a.base++
	a.cursor = max(a.cursor-1, 0)
	l.leave(a, &e)
	if !e.offered {
		// An earlier run, or somebody with the same keys, has sent the same.
		l.offer(&e)
		e.sentAt = seen
	}
	l.uncount(a, &e)
	in := inclusion{
		who: p.who, reverted: r.reverted, nonce: p.nonce, call: e.call, hash: r.tx,
		fee: e.fee, gas: r.gasUsed, sentAt: e.sentAt, latency: max(seen-e.sentAt, 0),
	}
	l.latency.add(in.latency)
	l.total.Included++
	l.total.GasIncluded += int64(in.gas)
	if in.reverted {
		l.total.Reverted++
	}
	if a.grown != b.number {
		a.grown = b.number
		const part = 8
		a.window = min(a.window+max(a.window/part, 1), l.o.windowEach)
	}
	a.retryAt, a.poor = 0, 0
	return in, true
}

// uncount takes e, which is being counted as included, out of where it was
// counted before. One that was thought lost was not; one whose acceptance was
// never heard of was accepted.
func (l *ledger) uncount(a *account, e *entry) {
	switch {
	case e.accepted:
		a.accepted--
		l.pending--
	case e.mended > 0:
		l.waiting--
		l.total.Dropped--
	default:
		l.waiting--
		l.total.Accepted++
	}
}

// skip gives up a's first entry, whose nonce somebody else has used. Its call
// is made again with another nonce.
func (l *ledger) skip(a *account) {
	e := a.entries.popFront()
	a.base++
	a.cursor = max(a.cursor-1, 0)
	l.leave(a, &e)
	l.abandon(a, &e)
	if a.dead == "" {
		a.again = append(a.again, e.call)
	}
}

// rollBack takes the last block that was followed off the chain: what it held
// of ours is pending again. It says false when no block before it is known.
func (l *ledger) rollBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.history) == 0 {
		return false
	}
	f := l.history[len(l.history)-1]
	l.history = l.history[:len(l.history)-1]
	l.kept -= len(f.ours)
	for i := len(f.ours) - 1; i >= 0; i-- {
		l.takeBack(&f.ours[i])
	}
	l.total.Reorged++
	l.tip = tip{f.number - 1, f.parent}
	return true
}

// takeBack makes an included transaction a pending one.
func (l *ledger) takeBack(in *inclusion) {
	l.total.Included--
	l.total.GasIncluded -= int64(in.gas)
	if in.reverted {
		l.total.Reverted--
	}
	l.latency.remove(in.latency)
	a := &l.accounts[in.who]
	if in.nonce >= a.base || a.base-in.nonce > maxFillers || a.dead != "" {
		// Its nonce has another owner by now, or nobody will send it again.
		l.total.Dropped++
		l.total.Abandoned++
		if a.dead == "" {
			a.again = append(a.again, in.call)
		}
		return
	}
	for a.base > in.nonce+1 {
		// A stranger used this nonce, and may or may not do so again.
		l.pushFront(a, entry{call: l.call(a), state: planned, fee: l.fee})
	}
	l.pushFront(a, entry{
		call: in.call, state: sent, offered: true, accepted: true,
		hash: in.hash, fee: in.fee, sentAt: in.sentAt, blocks: uint64(l.total.Blocks),
	})
	a.accepted++
	l.pending++
	l.index[in.hash] = place{in.who, in.nonce}
	a.suspect = true
}

func (l *ledger) pushFront(a *account, e entry) {
	a.entries.pushFront(e)
	a.base--
	a.cursor = 0
	l.enter(a, &e)
}

// adopt follows from another block, without a link to what was followed.
func (l *ledger) adopt(t tip) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tip = t
	for i := range l.accounts {
		l.accounts[i].suspect = true
	}
}

// restarted says that the node was away or changed its mind about the chain:
// what it was given may be gone.
func (l *ledger) restarted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.accounts {
		if a := &l.accounts[i]; a.entries.len() > 0 {
			a.suspect = true
		}
	}
}

// setOutage says what is wrong with the node, "" for nothing.
func (l *ledger) setOutage(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outage = text
}

// setTrouble says what keeps the chain from being followed, "" for nothing.
func (l *ledger) setTrouble(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = text
}
