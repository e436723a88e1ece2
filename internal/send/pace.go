package send

import (
	"math"
	"time"
)

// tick is the longest time whose share of a rate may be sent at once. It is
// long enough that a batch pays, and short beside any block.
const tick = 100 * time.Millisecond

// pace says how many transactions may be sent now: at a rate, so many a block,
// or without end. Times count from the start of the run.
type pace struct {
	// tps is the rate, 0 for none.
	tps float64
	// tokens are transactions that the rate allows and nobody has sent, at
	// the time at.
	tokens float64
	at     time.Duration
	// behind counts what the rate allowed and nobody could send within a tick:
	// the target was missed by so many.
	behind float64
	// perBlock is the number of transactions that each block is to find
	// waiting, 0 for no such number; quota is what is left of it.
	perBlock, quota int
}

func newPace(tps float64, perBlock int) pace {
	return pace{tps: tps, perBlock: perBlock, quota: perBlock}
}

// burst is the most that the rate may have saved up.
func (p *pace) burst() float64 { return max(1, p.tps*tick.Seconds()) }

// allowed is the number of transactions that may be sent now, and the part of
// them that may be new.
func (p *pace) allowed(now time.Duration) (n, fresh int) {
	n, fresh = math.MaxInt, math.MaxInt
	if p.perBlock > 0 {
		fresh = p.quota
	}
	if p.tps > 0 {
		p.tokens += p.tps * (now - p.at).Seconds()
		p.at = now
		// A part of a transaction is kept beyond a tick's share: without it,
		// asking a little later each time would lose some.
		if over := p.tokens - p.burst() - 1; over > 0 {
			p.tokens -= over
			p.behind += over
		}
		n = int(min(p.tokens, p.burst()))
	}
	return n, fresh
}

// use counts n transactions as sent, of which so many were new. allowed must
// have said so before.
func (p *pace) use(n, fresh int) {
	p.tokens -= float64(n)
	p.quota -= fresh
}

// wait is how long it takes, after allowed said none, until lane number i of n
// should ask again.
func (p *pace) wait(now time.Duration, i, n int) time.Duration {
	if p.tps <= 0 {
		return time.Hour // a block or a refusal wakes the lane
	}
	first := time.Duration((1 - min(p.tokens, 1)) / p.tps * float64(time.Second))
	return first + p.turn(now+first, i, n)
}

// holds says that the rate does not allow a whole transaction yet.
func (p *pace) holds(now time.Duration) bool {
	return p.tps > 0 && p.tokens+p.tps*(now-p.at).Seconds() < 1
}

// turn is how long it takes until it is the turn of lane number i of n. Each
// lane has a moment of its own in every tick, so that all lanes get the same
// share of the rate; without a rate it is always a lane's turn.
func (p *pace) turn(now time.Duration, i, n int) time.Duration {
	if p.tps <= 0 {
		return 0
	}
	phase := tick * time.Duration(i) / time.Duration(n)
	return tick - (now-phase+tick)%tick
}

// block says that a block came and left so many of ours waiting.
func (p *pace) block(waiting int) {
	if p.perBlock > 0 {
		p.quota = max(p.perBlock-waiting, 0)
	}
}
