package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/sample"
)

const (
	// callTimeout bounds one call to the L2, lastLook all of the last look.
	callTimeout = 10 * time.Second
	lastLook    = 2 * time.Second
	// mostNew is how many batches are asked for at one look, those aside that
	// wait for the L1: an answer has a quarter of a megabyte of blobs.
	mostNew = 20
	// mostBlocks bounds a batch; the largest of a day with one block per second
	// is below.
	mostBlocks = 100_000
	// privileged is the type of the transactions that credit deposits.
	privileged = "0x7e"
)

// chain is what is known of the L2's batches. It is not safe for concurrent use.
type chain struct {
	client *ethrpc.Client
	page   *page
	// looks counts the looks.
	looks int
	// next is the lowest batch that was never asked for.
	next    uint64
	batches map[uint64]*batch
	// waiting are the numbers of the batches that are not verified, ascending.
	waiting []uint64
	// noRPC and noPage say that the server did not answer at the last look.
	noRPC, noPage bool
	// quiet says that a server that does not answer is no news.
	quiet bool
}

// batch is one batch and how far it is known.
type batch struct {
	sample.Batch
	// counted says that its blocks were summed up; changed, that it is not
	// written as it is now. It is written when it is counted.
	counted, changed bool
	// looked is the look at which the batch was last asked for.
	looked int
	// ordinary is the number of transactions that credit no deposit, as the
	// batch itself has it; nil where it does not.
	ordinary *uint64
}

func newChain(client *ethrpc.Client) *chain {
	return &chain{client: client, next: 1, batches: make(map[uint64]*batch)}
}

func (l *chain) close() {
	l.client.Close()
	if l.page != nil {
		l.page.client.CloseIdleConnections()
	}
}

// resume takes a batch that the file holds; the last one of a number counts.
func (l *chain) resume(b sample.Batch) {
	l.batches[b.Number] = &batch{Batch: b, counted: b.FirstBlock > 0}
	l.waiting = slices.DeleteFunc(l.waiting, func(n uint64) bool { return n == b.Number })
	if b.FirstBlock == 0 {
		return
	}
	l.next = max(l.next, b.Number+1)
	if b.VerifyTx == "" {
		l.wait(b.Number)
	}
}

// wait notes a batch that is not verified.
func (l *chain) wait(number uint64) {
	if at, found := slices.BinarySearch(l.waiting, number); !found {
		l.waiting = slices.Insert(l.waiting, at, number)
	}
}

// lookAtChain reads the metrics page, asks for what may have changed, and writes
// the batches that did.
func (c *Collector) lookAtChain(ctx context.Context) error {
	l := c.chain
	page, pageErr := l.look(ctx)
	rpcErr := l.ask(ctx)
	if ctx.Err() == nil && !l.quiet {
		if err := c.answered(&l.noPage, pageErr, sample.NoMetrics); err != nil {
			return err
		}
		if err := c.answered(&l.noRPC, rpcErr, sample.NoRPC); err != nil {
			return err
		}
	}
	l.join(page, rpcErr != nil)
	return c.writeBatches()
}

// answered writes a notice when a server stopped answering.
func (c *Collector) answered(down *bool, err error, kind sample.NoticeKind) error {
	before := *down
	*down = err != nil
	if err == nil || before {
		return nil
	}
	return c.notice(kind, err.Error())
}

// look reads the metrics page, if there is one.
func (l *chain) look(ctx context.Context) (map[uint64]sample.BatchMetrics, error) {
	if l.page == nil {
		return nil, nil
	}
	return l.page.read(ctx)
}

// ask asks the L2 for what may have changed since the last look. Batches are
// committed and verified in order, so that only the first of those that wait can
// be the next.
func (l *chain) ask(ctx context.Context) error {
	l.looks++
	last, err := l.lastSealed(ctx)
	if err != nil {
		return err
	}
	for n := 0; l.next <= last && n < mostNew; n++ {
		known, err := l.fetch(ctx, l.next)
		if err != nil {
			return err
		}
		if !known && l.next == last {
			break // sealed this moment
		}
		l.next++
	}
	for _, wanting := range []func(*batch) bool{
		func(b *batch) bool { return b.CommitTx == "" },
		func(b *batch) bool { return b.CommitTx != "" && b.VerifyTx == "" },
	} {
		if err := l.advance(ctx, wanting); err != nil {
			return err
		}
	}
	for _, b := range l.batches {
		if b.counted || b.FirstBlock == 0 {
			continue
		}
		if err := l.count(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// advance asks for the batches that wait, in order, until one still wants.
func (l *chain) advance(ctx context.Context, wanting func(*batch) bool) error {
	for _, number := range slices.Clone(l.waiting) {
		b := l.batches[number]
		if !wanting(b) {
			continue
		}
		if b.looked < l.looks {
			if _, err := l.fetch(ctx, number); err != nil {
				return err
			}
		}
		if wanting(b) {
			return nil
		}
	}
	return nil
}

// lastSealed is the number of the newest batch, 0 for none.
func (l *chain) lastSealed(ctx context.Context) (uint64, error) {
	const method = "ethrex_batchNumber"
	var text *string
	if err := l.call(ctx, &text, method); err != nil || text == nil {
		return 0, err
	}
	n, err := quantity(*text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", method, err)
	}
	return n, nil
}

// fetch asks for one batch and notes what it tells; known is false if the L2
// has no such batch.
func (l *chain) fetch(ctx context.Context, number uint64) (known bool, err error) {
	const method = "ethrex_getBatchByNumber"
	var answer *struct {
		Number   uint64  `json:"number"`
		First    uint64  `json:"first_block"`
		Last     uint64  `json:"last_block"`
		Ordinary *uint64 `json:"non_privileged_transactions"`
		Commit   *string `json:"commit_tx"`
		Verify   *string `json:"verify_tx"`
	}
	if err := l.call(ctx, &answer, method, hexadecimal(number), false); err != nil {
		return false, err
	}
	if answer == nil {
		return false, nil
	}
	if answer.Number != number || answer.First == 0 || answer.Last < answer.First || answer.Last-answer.First >= mostBlocks {
		return false, fmt.Errorf("%s: the answer for batch %d is batch %d of blocks %d to %d", method, number, answer.Number, answer.First, answer.Last)
	}
	now := time.Now().UTC()
	b := l.batches[number]
	if b == nil {
		b = &batch{Batch: sample.Batch{Number: number}}
		l.batches[number] = b
	}
	b.looked = l.looks
	if b.FirstBlock == 0 {
		b.FirstBlock, b.LastBlock, b.SealedAt, b.ordinary = answer.First, answer.Last, now, answer.Ordinary
		b.changed, b.counted = true, false
		l.wait(number)
	}
	b.transaction(&b.CommitTx, &b.CommittedAt, answer.Commit, now)
	b.transaction(&b.VerifyTx, &b.VerifiedAt, answer.Verify, now)
	if b.VerifyTx != "" {
		l.waiting = slices.DeleteFunc(l.waiting, func(n uint64) bool { return n == number })
	}
	return true, nil
}

// transaction notes a transaction on the L1 when it is first seen.
func (b *batch) transaction(into *string, at *time.Time, hash *string, now time.Time) {
	if *into == "" && hash != nil && *hash != "" {
		*into, *at, b.changed = *hash, now, true
	}
}

// count sums up the blocks of a batch.
func (l *chain) count(ctx context.Context, b *batch) error {
	sum, err := l.sum(ctx, b, false)
	if err != nil {
		return err
	}
	all := uint64(sum.transactions)
	switch ordinary := b.ordinary; {
	case sum.withdrawals > 0 || ordinary != nil && *ordinary == all:
		sum.deposits = sum.withdrawals
	case ordinary != nil && *ordinary < all:
		sum.deposits = int(all - *ordinary)
	default:
		// The batch does not tell, or cannot be right: the types do.
		if sum, err = l.sum(ctx, b, true); err != nil {
			return err
		}
	}
	b.GasUsed = sum.gas
	b.Deposits = sum.deposits
	b.Transactions = sum.transactions - max(0, sum.deposits-sum.withdrawals)
	b.counted, b.changed = true, true
	return nil
}

// sums are those over the blocks of a batch.
type sums struct {
	gas          uint64
	transactions int
	// deposits are withdrawals, as the built-in L2 credits them, and privileged
	// transactions where types were asked for.
	deposits, withdrawals int
}

// sum asks for the blocks of a batch, whole or with the hashes of their
// transactions only.
func (l *chain) sum(ctx context.Context, b *batch, whole bool) (sums, error) {
	const method = "eth_getBlockByNumber"
	var s sums
	for number := b.FirstBlock; number <= b.LastBlock; number++ {
		var block *struct {
			GasUsed      string            `json:"gasUsed"`
			Transactions []json.RawMessage `json:"transactions"`
			Withdrawals  []json.RawMessage `json:"withdrawals"`
		}
		if err := l.call(ctx, &block, method, hexadecimal(number), whole); err != nil {
			return s, err
		}
		if block == nil {
			return s, fmt.Errorf("%s: there is no block %d, which is in batch %d", method, number, b.Number)
		}
		gas, err := quantity(block.GasUsed)
		if err != nil {
			return s, fmt.Errorf("%s: block %d: %w", method, number, err)
		}
		s.gas += gas
		s.transactions += len(block.Transactions)
		s.withdrawals += len(block.Withdrawals)
		s.deposits += len(block.Withdrawals)
		if !whole {
			continue
		}
		for _, raw := range block.Transactions {
			var transaction struct {
				Type string `json:"type"`
			}
			if err := json.Unmarshal(raw, &transaction); err != nil {
				return s, fmt.Errorf("%s: block %d: a transaction has an unexpected form: %w", method, number, err)
			}
			if transaction.Type == privileged {
				s.deposits++
			}
		}
	}
	return s, nil
}

// join adds what the page says. Of a batch that the RPC does not know, that is
// kept only while the RPC does not answer: otherwise it will know it.
func (l *chain) join(page map[uint64]sample.BatchMetrics, down bool) {
	for number, metrics := range page {
		b := l.batches[number]
		if b == nil {
			b = &batch{Batch: sample.Batch{Number: number}}
			l.batches[number] = b
		}
		var changed bool
		b.Metrics, changed = merge(b.Metrics, metrics)
		b.changed = b.changed || changed
	}
	if down || l.quiet {
		for _, b := range l.batches {
			b.counted = b.counted || b.FirstBlock == 0
		}
	}
}

// writeBatches writes the batches that changed, in order.
func (c *Collector) writeBatches() error {
	var numbers []uint64
	for number, b := range c.chain.batches {
		if b.changed && b.counted {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		b := c.chain.batches[number]
		b.changed = false
		out := b.Batch
		out.Side, out.Host, out.Session = c.options.Side, c.options.Host, c.options.Session
		if err := c.write(sample.Record{Batch: &out}); err != nil {
			return err
		}
	}
	return nil
}

// call makes one call under its own time limit.
func (l *chain) call(ctx context.Context, result any, method string, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := l.client.Call(ctx, result, method, params...)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %v", method, callTimeout)
	}
	return err
}

func hexadecimal(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

func quantity(text string) (uint64, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("%.80q is not a 64-bit quantity", text)
	}
	return n, nil
}
