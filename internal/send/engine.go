package send

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// engine is a run: the ledger and the goroutines around it.
type engine struct {
	o      Options
	l      *ledger
	nodes  []node
	signer types.Signer
	start  time.Time

	// lanes and signers wake those that wait for something to do.
	lanes   []chan struct{}
	signers chan struct{}

	cancel context.CancelFunc
	mu     sync.Mutex
	err    error
}

// start makes an engine that is ready to run.
func start(ctx context.Context, o Options, nodes []node) (*engine, error) {
	for _, n := range nodes {
		if err := checkChain(ctx, o.ChainID, &caller{node: n}); err != nil {
			return nil, err
		}
	}
	n, err := open(ctx, &o, &caller{node: nodes[0]})
	if err != nil {
		return nil, err
	}
	e := &engine{
		o:       o,
		l:       newLedger(o.settings(n), o.Accounts, n.nonces),
		signer:  types.LatestSignerForChainID(new(big.Int).SetUint64(o.ChainID)),
		start:   time.Now(),
		lanes:   make([]chan struct{}, o.lanes()),
		signers: make(chan struct{}, o.signers()),
	}
	for i := range e.lanes {
		e.lanes[i] = make(chan struct{}, 1)
	}
	e.nodes = e.l.listen(nodes, e.now)
	e.l.begin(tip{n.head.number, n.head.hash}, n.head.baseFee)
	return e, nil
}

// now is the time since the start.
func (e *engine) now() time.Duration { return time.Since(e.start) }

// fail ends the run with err.
func (e *engine) fail(err error) {
	if err == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
	e.cancel()
}

// run sends until there is nothing left to do, and waits for all goroutines.
func (e *engine) run(outer context.Context) (Report, error) {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	e.cancel = cancel
	var wg sync.WaitGroup
	for range e.o.signers() {
		wg.Go(func() { e.sign(ctx) })
	}
	for i := range e.lanes {
		wg.Go(func() { e.lane(ctx, i) })
	}
	wg.Go(func() {
		f := &follower{l: e.l, rpc: &caller{node: e.nodes[0]}}
		e.fail(f.follow(ctx, e.o.ChainID, e.now, e.wakeAll))
	})
	wg.Go(func() { e.mend(ctx) })
	e.watch(ctx)
	cancel()
	wg.Wait()

	report := e.l.report(e.now())
	if e.o.Progress != nil {
		e.o.Progress(report)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.err != nil && !interrupted(outer, e.err):
		return report, e.err
	case outer.Err() != nil:
		return report, outer.Err()
	}
	return report, errors.Join(e.l.allDead(), report.Check())
}

// watch reports, and returns when the run is over.
func (e *engine) watch(ctx context.Context) {
	const look = 50 * time.Millisecond
	every := orDefault(e.o.Every, defaultEvery)
	next := every
	stopped := false
	for wait(ctx, min(look, every)) {
		now := e.now()
		if !stopped && (e.o.Duration > 0 && now >= e.o.Duration || e.asked()) {
			stopped = true
			e.l.stop()
		}
		if e.l.finished() {
			return
		}
		if now >= next {
			next = now - now%every + every
			if e.o.Progress != nil {
				e.o.Progress(e.l.report(now))
			}
		}
		if limit := orDefault(e.o.Wait, defaultWait); limit > 0 && e.l.stalled(now, limit) {
			e.fail(e.stallError(ctx, now, limit))
			return
		}
	}
}

// asked says that the caller wants the run to end.
func (e *engine) asked() bool {
	select {
	case <-e.o.Stop:
		return true
	default:
		return false
	}
}

// stalled says that nothing has been included for the given time. The time in
// which nothing could be, because the pace holds everything back, does not
// count.
func (l *ledger) stalled(now, limit time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	blocked := l.outage != "" || l.trouble != "" || l.tooDear()
	if l.pending+l.waiting == 0 && !blocked && l.pace.holds(now) {
		l.progress = max(l.progress, now)
	}
	return now-l.progress >= limit
}

func (e *engine) wakeSigners() {
	for range cap(e.signers) {
		select {
		case e.signers <- struct{}{}:
		default:
			return
		}
	}
}

func (e *engine) wakeLanes() {
	for _, lane := range e.lanes {
		select {
		case lane <- struct{}{}:
		default:
		}
	}
}

func (e *engine) wakeAll() {
	e.wakeSigners()
	e.wakeLanes()
}

// sign is one signer.
func (e *engine) sign(ctx context.Context) {
	const atOnce = 32
	jobs := make([]job, 0, atOnce)
	for ctx.Err() == nil {
		if jobs = e.l.draw(jobs); len(jobs) == 0 {
			select {
			case <-ctx.Done():
			case <-e.signers:
			}
			continue
		}
		for i := range jobs {
			if err := e.signOne(&jobs[i]); err != nil {
				e.fail(err)
				return
			}
		}
		e.l.signed(jobs)
		e.wakeLanes()
	}
}

func (e *engine) signOne(j *job) (err error) {
	c := e.o.Source.Call(j.who, j.call)
	j.contract = common.Address{}
	if c.To != nil && len(c.Data) > 0 {
		j.contract = *c.To
	}
	j.tx, err = load.Sign(e.signer, e.o.Accounts[j.who], j.nonce, c, j.fee.big)
	return err
}

// lane sends for its share of the accounts, one request at a time.
func (e *engine) lane(ctx context.Context, i int) {
	to := e.nodes[i%len(e.nodes)]
	var (
		items    []item
		body     []byte
		raw      []byte
		answers  = make([]answer, e.o.batch())
		outcomes []outcome
		pause    time.Duration
	)
	for ctx.Err() == nil {
		var idle time.Duration
		if items, idle = e.l.gather(i, e.now(), items); len(items) == 0 {
			e.idle(ctx, i, idle)
			continue
		}
		e.wakeSigners()
		body = appendSends(body[:0], items)
		answer, err := to.Post(ctx, body, raw)
		outcomes = outcomesOf(answer, err, items, answers[:len(items)], outcomes)
		e.l.settle(items, outcomes, e.now())
		if err == nil {
			raw, pause = answer, 0
			continue
		}
		body = nil // the transport may still read it
		pause = min(max(2*pause, leastPause), time.Second)
		wait(ctx, pause)
	}
}

// idle waits until lane i is woken, or at most for d.
func (e *engine) idle(ctx context.Context, i int, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-e.lanes[i]:
	}
}

// mend asks the nodes about what does not add up, round after round.
func (e *engine) mend(ctx context.Context) {
	callers := make([]*caller, len(e.nodes))
	for i, n := range e.nodes {
		callers[i] = &caller{node: n}
	}
	for round := 1; wait(ctx, checkRound); round++ {
		most := checkHashes
		if callers[0].singles {
			most = checkSingles
		}
		e.measurePool(ctx, callers[0])
		checks := e.l.checks(e.now(), most)
		for i := range checks {
			c := &checks[i]
			c.node = c.who % len(e.lanes) % len(e.nodes)
		}
		for i, rpc := range callers {
			ask(ctx, rpc, i, checks)
		}
		for i := range checks {
			e.l.mend(&checks[i], round, e.now())
		}
		e.l.nudge(e.now())
		e.wakeAll()
	}
}

// measurePool compares the size of the first node's pool with what it has
// accepted.
func (e *engine) measurePool(ctx context.Context, rpc *caller) {
	least := e.l.pendingNow()
	if least == 0 {
		return
	}
	if n, ok := poolSize(ctx, rpc); ok {
		e.l.poolHolds(n, least)
	}
}

// ask puts to one node the questions of those checks that are for it.
func ask(ctx context.Context, rpc *caller, node int, checks []check) {
	var calls []call
	var take []func(result []byte, ok bool)
	for i := range checks {
		c := &checks[i]
		if c.node != node {
			continue
		}
		c.heard = true
		number := func(into *uint64) func([]byte, bool) {
			return func(result []byte, ok bool) {
				n, fine := parseQuantity(result)
				c.heard = c.heard && ok && fine
				*into = n
			}
		}
		account := `"` + c.address.Hex() + `",`
		calls = append(calls,
			call{"eth_getTransactionCount", account + quantity(c.tip.number)},
			call{"eth_getTransactionCount", account + `"pending"`})
		take = append(take, number(&c.latest), number(&c.pending))
		for j := range c.lookup {
			u := &c.lookup[j]
			calls = append(calls, call{"eth_getTransactionByHash", `"` + u.hash.Hex() + `"`})
			take = append(take, func(result []byte, ok bool) {
				if ok {
					u.answer = parsePresence(result)
				}
			})
		}
	}
	for len(calls) > 0 {
		n := min(len(calls), maxCalls)
		answers, err := rpc.do(ctx, calls[:n])
		for i := range n {
			if err != nil {
				take[i](nil, false)
				continue
			}
			take[i](answers[i].result, answers[i].answered && answers[i].failure == nil)
		}
		calls, take = calls[n:], take[n:]
	}
}

// parsePresence reads the result of eth_getTransactionByHash.
func parsePresence(raw []byte) presence {
	if string(raw) == "null" {
		return unknown
	}
	found := unheard
	s := scanner{b: raw}
	if !s.object(func(key, value []byte) bool {
		switch string(key) {
		case "hash":
			found = max(found, pooled)
		case "blockHash":
			if string(value) != "null" {
				found = mined
			}
		}
		return true
	}) {
		return unheard
	}
	return found
}

// stallError says what is stuck, and what the node says about it.
func (e *engine) stallError(ctx context.Context, now, limit time.Duration) error {
	w := e.l.worst()
	text := fmt.Sprintf("nothing was included for %v", limit)
	if note := e.l.noteNow(now); note != "" {
		text += ": " + note
	}
	if w == nil {
		return fault.Newf(fault.Failed, "%s; nothing is on its way", text)
	}
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rpc := &caller{node: e.nodes[w.who%len(e.lanes)%len(e.nodes)]}
	return fault.Newf(fault.Failed, "%s; account %s waits with nonce %d: %s; %s",
		text, w.address, w.nonce, w.describe(now), poolSays(ctx, rpc, w))
}
