package send

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
)

// The pace of asking for new blocks, and how many are fetched at once. The
// pause is a tenth of the time between blocks, within these bounds.
const (
	leastPoll    = 10 * time.Millisecond
	firstPoll    = 50 * time.Millisecond
	mostPoll     = 500 * time.Millisecond
	fetchAtOnce  = 16
	receiptsEach = 100
)

// errAgain is something that the node will know in a moment.
var errAgain = errors.New("not there yet")

// follower takes the chain into the ledger, block by block.
type follower struct {
	l   *ledger
	rpc *caller
	// single says that the node has no eth_getBlockReceipts.
	single bool
	// short counts how often in a row eth_getBlockReceipts lacked receipts.
	short int
	// again counts the polls in a row that could not get on.
	again int
	// reorged says that blocks were taken back since the last look at the
	// contracts.
	reorged bool
	// lastBlock is when a block came last, pause how long to wait for the next.
	lastBlock time.Duration
	pause     time.Duration
}

// follow runs until ctx ends. now is the time since the start, news is called
// when something changed. An error is one that no waiting mends.
func (f *follower) follow(ctx context.Context, chainID uint64, now func() time.Duration, news func()) error {
	f.pause = firstPoll
	away := false
	for wait(ctx, f.pause) {
		before := f.l.at()
		err := f.poll(ctx, now)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errAgain):
			const patience = 50
			if f.again++; f.again >= patience {
				f.l.setTrouble(fmt.Sprintf("the node does not give block %d with its receipts", before.number+1))
			}
		case err != nil:
			away = true
			f.l.setOutage(fmt.Sprintf("the node does not answer: %v", err))
			continue
		}
		if away || f.reorged {
			switch fatal, err := f.recheck(ctx, chainID); {
			case fatal != nil:
				return fatal
			case err != nil:
				continue
			}
			away, f.reorged = false, false
			f.l.setOutage("")
			f.l.restarted()
			news()
		}
		if t := f.l.at(); t != before {
			f.again = 0
			f.l.setTrouble("")
			news()
			f.adjust(t, before, now())
		}
	}
	return nil
}

// wait pauses, and says false when ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// adjust moves the pause towards a tenth of the time between blocks.
func (f *follower) adjust(t, before tip, now time.Duration) {
	const share = 10
	if n := int64(t.number - before.number); t.number > before.number && f.lastBlock > 0 {
		goal := (now - f.lastBlock) / time.Duration(share*n)
		f.pause = min(max((3*f.pause+goal)/4, leastPoll), mostPoll)
	}
	f.lastBlock = now
}

// recheck looks at what must not have changed after the node was away or the
// chain was rewritten. fatal says that it has, err that the node could not be
// asked.
func (f *follower) recheck(ctx context.Context, chainID uint64) (fatal, err error) {
	raw, err := f.rpc.one(ctx, "eth_chainId", "")
	if err != nil {
		return nil, err
	}
	if id, ok := parseQuantity(raw); !ok || id != chainID {
		return fmt.Errorf("the node now has chain id %s, the load was signed for %d", unquoted(raw), chainID), nil
	}
	for _, c := range f.l.watched() {
		raw, err := f.rpc.one(ctx, "eth_getCode", fmt.Sprintf(`"%s","latest"`, c))
		if err != nil {
			return nil, err
		}
		if code := unquoted(raw); len(code) <= len("0x") {
			return fault.Newf(fault.Failed, "the contract %s that the load calls is not there any more: the chain was rewritten or reset", c).
				Hint("start the load again: it deploys what it needs"), nil
		}
	}
	return nil, nil
}

// poll takes in what is new.
func (f *follower) poll(ctx context.Context, now func() time.Duration) error {
	raw, err := f.rpc.one(ctx, "eth_blockNumber", "")
	if err != nil {
		return err
	}
	seen := now()
	head, ok := parseQuantity(raw)
	if !ok {
		return fmt.Errorf("eth_blockNumber: %q is no number", raw)
	}
	if t := f.l.at(); head < t.number {
		return f.shorter(ctx, head)
	}
	for {
		t := f.l.at()
		if t.number >= head {
			return nil
		}
		if err := f.advance(ctx, t, min(head-t.number, fetchAtOnce), seen); err != nil {
			return err
		}
	}
}

// shorter deals with a head below the last block that was followed: a slow
// answer, or a chain that went back.
func (f *follower) shorter(ctx context.Context, head uint64) error {
	for {
		t := f.l.at()
		b, found, err := f.block(ctx, t.number)
		switch {
		case err != nil:
			return err
		case found && b.hash == t.hash:
			return nil
		}
		f.reorged = true
		if f.l.rollBack() {
			continue
		}
		b, found, err = f.block(ctx, head)
		if err != nil || !found {
			return errors.Join(err, errAgain)
		}
		f.l.adopt(tip{b.number, b.hash})
		return nil
	}
}

// block fetches one block.
func (f *follower) block(ctx context.Context, number uint64) (b block, found bool, err error) {
	raw, err := f.rpc.one(ctx, "eth_getBlockByNumber", quantity(number)+",false")
	if err != nil {
		if answered(err) {
			return b, false, nil // some nodes have an error for "no such block"
		}
		return b, false, err
	}
	b, found = parseBlock(raw)
	return b, found, nil
}

// answered says that err is the node's own answer.
func answered(err error) bool {
	var e *ethrpc.Error
	return errors.As(err, &e)
}

// advance takes in the n blocks after t, or goes one back if they do not
// follow t.
func (f *follower) advance(ctx context.Context, t tip, n uint64, seen time.Duration) error {
	calls := make([]call, n)
	for i := range calls {
		calls[i] = call{"eth_getBlockByNumber", quantity(t.number+1+uint64(i)) + ",false"}
	}
	answers, err := f.rpc.do(ctx, calls)
	if err != nil {
		return err
	}
	blocks := make([]block, 0, n)
	for i := range answers {
		b, ok := parseBlock(answers[i].result)
		if !ok {
			break
		}
		blocks = append(blocks, b)
	}
	if len(blocks) == 0 {
		return errAgain
	}
	for i := range blocks {
		b := &blocks[i]
		if b.number != t.number+1 {
			return fmt.Errorf("asked for block %d the node gave %d", t.number+1, b.number)
		}
		if b.parent != t.hash {
			f.reorged = true
			if !f.l.rollBack() {
				f.l.adopt(tip{b.number - 1, b.parent})
			}
			return nil
		}
		receipts, err := f.receipts(ctx, b)
		if err != nil {
			return err
		}
		f.l.include(b, receipts, seen)
		t = tip{b.number, b.hash}
	}
	return nil
}

// receipts fetches those of our transactions in b, in the block's order.
func (f *follower) receipts(ctx context.Context, b *block) ([]receipt, error) {
	ours := f.l.ours(b.txs)
	if len(ours) == 0 {
		return nil, nil
	}
	if f.single {
		return f.receiptsOneByOne(ctx, ours)
	}
	raw, err := f.rpc.one(ctx, "eth_getBlockReceipts", quantity(b.number))
	if missing(err) {
		f.single = true
		return f.receiptsOneByOne(ctx, ours)
	}
	if err != nil {
		if answered(err) {
			return nil, fmt.Errorf("%v: %w", err, errAgain)
		}
		return nil, err
	}
	wanted := make(map[common.Hash]bool, len(ours))
	for _, h := range ours {
		wanted[h] = true
	}
	out := make([]receipt, 0, len(ours))
	ok := parseReceipts(raw, func(r receipt) {
		if wanted[r.tx] {
			out = append(out, r)
		}
	})
	if ok && len(out) == len(ours) {
		f.short = 0
		return out, nil
	}
	// Another block has taken this one's place, or it is not indexed yet. A
	// node that keeps on like this is asked in the other way.
	const patience = 10
	if f.short++; f.short >= patience {
		f.single = true
	}
	return nil, errAgain
}

// missing says that the node does not offer a method. Not all of them use the
// code for it.
func missing(err error) bool {
	var e *ethrpc.Error
	if !errors.As(err, &e) {
		return false
	}
	text := strings.ToLower(e.Message)
	return e.Code == ethrpc.MethodNotFound || strings.Contains(text, "not found") && strings.Contains(text, "method") ||
		strings.Contains(text, "does not exist") || strings.Contains(text, "not implemented") || strings.Contains(text, "unknown method")
}

func (f *follower) receiptsOneByOne(ctx context.Context, ours []common.Hash) ([]receipt, error) {
	out := make([]receipt, 0, len(ours))
	for len(ours) > 0 {
		n := min(len(ours), receiptsEach)
		calls := make([]call, n)
		for i, h := range ours[:n] {
			calls[i] = call{"eth_getTransactionReceipt", `"` + h.Hex() + `"`}
		}
		answers, err := f.rpc.do(ctx, calls)
		if err != nil {
			return nil, err
		}
		for i := range answers {
			r, ok := parseReceipt(answers[i].result)
			if !ok || r.tx != ours[i] {
				return nil, errAgain
			}
			out = append(out, r)
		}
		ours = ours[n:]
	}
	return out, nil
}
