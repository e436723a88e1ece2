package send

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
)

func TestClassify(t *testing.T) {
	for text, want := range map[string]Reason{
		// geth
		"already known": known,
		"nonce too low: next nonce 5, tx nonce 3":                                            NonceTooLow,
		"nonce too high: tx nonce 9, gapped nonce 7":                                         NonceGap,
		"gapped-nonce tx from delegated accounts":                                            NonceGap,
		"in-flight transaction limit reached for delegated accounts":                         AccountLimit,
		"account limit exceeded: pooled 17 txs":                                              AccountLimit,
		"txpool is full":                                                                     PoolFull,
		"future transaction tries to replace pending":                                        PoolFull,
		"transaction underpriced":                                                            Underpriced,
		"transaction underpriced: gas tip cap 1, minimum needed 2":                           Underpriced,
		"transaction gas price below minimum: gas tip cap 0, minimum needed 1":               FeeTooLow,
		"replacement transaction underpriced":                                                Replacement,
		"insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1":       Funds,
		"intrinsic gas too low: gas 1, minimum needed 21000":                                 Invalid,
		"exceeds block gas limit":                                                            Invalid,
		"transaction gas limit too high (cap: 16777216, tx: 30000000)":                       Invalid,
		"invalid sender: invalid chain id for signer: have 5 want 1":                         Invalid,
		"max priority fee per gas higher than max fee per gas":                               Invalid,
		"max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 2": FeeTooLow,
		"tx fee (21.00 ether) exceeds the configured cap (1.00 ether)":                       Invalid,
		"batch too large":    BatchTooLarge,
		"response too large": BatchTooLarge,
		"request timed out":  Busy,
		// reth
		"transaction priority fee below minimum required priority fee 100": FeeTooLow,
		"nonce too low: next nonce 8, tx nonce 7":                          NonceTooLow,
		"insufficient funds for gas * price + value: have 0 want 21000":    Funds,
		"exceeds max transaction gas limit":                                Invalid,
		"oversized data: transaction size 200000, limit 131072":            Invalid,
		// anvil
		"Tx: [0x7f] already Imported":                                       known,
		"Tx: [0x7f] insufficient gas price to replace existing transaction": Replacement,
		"Nonce too high": NonceGap,
		"Insufficient funds for gas * price + value": Funds,
		"Unknown transaction type not supported":     Invalid,
		"Failed to decode signed transaction":        Invalid,
		// ethrex
		"Invalid params: Nonce for account too low":                                                                                   NonceTooLow,
		"Invalid params: Nonce already used":                                                                                          NonceTooLow,
		"Invalid params: Attempted to replace a pooled transaction with an underpriced transaction":                                   Replacement,
		"Invalid params: Account does not have enough balance to cover the tx cost":                                                   Funds,
		"Invalid params: Sender's cumulative pending-tx cost (12) exceeds balance (7)":                                                Funds,
		"Invalid params: Mempool 92% full; rejecting gapped-nonce tx (nonce gap = 3)":                                                 PoolFull,
		"Invalid params: Sender 0x1 has 64 queued (future-nonce) transactions (per-account cap 64); rejecting new future transaction": AccountLimit,
		"Invalid params: Transaction gas limit exceeded":                                                                              Invalid,
		"Invalid params: Transaction intrinsic gas cost above gas limit":                                                              Invalid,
		"Invalid params: Transaction chain id mismatch, expected chain id: 9":                                                         Invalid,
		"Invalid params: Transaction priority fee above gas fee":                                                                      Invalid,
		// others
		"INTERNAL_ERROR: existing tx with same hash":           known,
		"Known transaction":                                    known,
		"AlreadyKnown":                                         known,
		"OldNonce, Current nonce: 7, nonce of rejected tx: 3":  NonceTooLow,
		"FeeTooLow, MaxFeePerGas too low":                      FeeTooLow,
		"Upfront cost exceeds account balance":                 Funds,
		"Transaction nonce is too distant from current sender": Other,
		"too many requests, try again later":                   Busy,
		"who knows":                                            Other,
		"":                                                     Other,
	} {
		if got := classify(-32000, []byte(text)); got != want {
			t.Errorf("classify(%q) = %s, want %s", text, got, want)
		}
		if got := classify(-32000, []byte(strings.ToUpper(text))); got != want {
			t.Errorf("classify(%q) in capitals = %s, want %s", text, got, want)
		}
	}
	if got := classify(limitExceeded, []byte("daily request count")); got != Busy {
		t.Errorf("classify of code %d = %s, want %s", limitExceeded, got, Busy)
	}
}

// Whatever a node says, there is one of the known reasons for it, and what
// stands around a known wording does not make it unknown.
func FuzzClassify(f *testing.F) {
	f.Add(-32000, "nonce too low", "x")
	f.Add(-32602, "Invalid params: ", ": y")
	f.Add(-32005, "", "")
	reasons := []Reason{known, Other}
	for _, w := range wordings {
		reasons = append(reasons, w.reason)
	}
	f.Fuzz(func(t *testing.T, code int, before, after string) {
		if got := classify(code, []byte(before+after)); !slices.Contains(reasons, got) {
			t.Errorf("classify(%q) = %q", before+after, got)
		}
		const short = 100
		for _, w := range wordings {
			if text := before + w.part + after; len(before) < short && classify(code, []byte(text)) == Other {
				t.Errorf("classify(%q) = %s, want a reason", text, Other)
			}
		}
	})
}

func TestOutcomesOf(t *testing.T) {
	check := func(raw string, err error, n int, want ...Reason) {
		t.Helper()
		var got []Reason
		for _, o := range outcomesOf([]byte(raw), err, make([]item, n), make([]answer, n), nil) {
			got = append(got, o.reason)
		}
		if !slices.Equal(got, want) {
			t.Errorf("outcomesOf(%s, %v) = %q, want %q", raw, err, got, want)
		}
	}
	check(`[{"id":2,"error":{"code":1,"message":"txpool is full"}},{"id":1,"result":"0x"}]`, nil, 2, "", PoolFull)
	check(`[{"id":1,"error":{"code":1,"message":"already known"}}]`, nil, 2, known, unanswered)
	check(`{"error":{"code":-32600,"message":"invalid request"}}`, nil, 2, BatchTooLarge, BatchTooLarge)
	check(`{"error":{"code":-32005,"message":"too many requests"}}`, nil, 2, Busy, Busy)
	check(`[{"id":1,"error":{"code":-32600,"message":"batch too large"}}]`, nil, 2, BatchTooLarge, BatchTooLarge)
	check(`{"id":1,"error":{"code":1,"message":"nonce too low"}}`, nil, 1, NonceTooLow)
	check(`hello`, nil, 2, unanswered, unanswered)
	check(``, &ethrpc.HTTPError{Status: 413}, 2, BatchTooLarge, BatchTooLarge)
	check(``, &ethrpc.HTTPError{Status: 429}, 1, Busy)
	check(``, &ethrpc.HTTPError{Status: 404}, 1, Other)
}

// Quantiles are within the stated error of those of the sorted durations.
func TestHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var h, old histogram
	var all []time.Duration
	draw := func() time.Duration {
		return time.Duration(rng.ExpFloat64() * float64(time.Second) * []float64{0.001, 1, 60}[rng.IntN(3)])
	}
	for range 20_000 {
		h.add(draw())
	}
	old = h
	for range 5000 {
		d := draw()
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	part := h.since(&old)
	if part.n != uint64(len(all)) {
		t.Fatalf("%d counted since, want %d", part.n, len(all))
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		want := all[min(int(q*float64(len(all))), len(all))-1]
		got := part.quantile(q)
		if d := (got - want).Abs(); float64(d) > LatencyError*float64(want)+float64(time.Microsecond) {
			t.Errorf("quantile(%v) = %v, want %v within %v", q, got, want, LatencyError)
		}
	}
	for _, d := range all {
		h.remove(d)
	}
	if h != old {
		t.Error("what was added and removed is still there")
	}
	if n := h.since(&h).latency(); n != (Latency{}) {
		t.Errorf("nothing has the latency %+v", n)
	}
}

// Every duration falls into a bucket whose middle is near it, and buckets come
// in order.
func TestHistogram_buckets(t *testing.T) {
	last := -1
	for us := int64(0); us < 1<<36; us += 1 + us/100 {
		d := time.Duration(us) * time.Microsecond
		i := bucket(d)
		if i < last || i >= buckets {
			t.Fatalf("bucket(%v) = %d after %d", d, i, last)
		}
		last = i
		if off := (middle(i) - d).Abs(); float64(off) > LatencyError*float64(d)+1 {
			t.Fatalf("the middle of the bucket of %v is %v", d, middle(i))
		}
	}
	if bucket(-time.Second) != 0 || bucket(1<<62) != buckets-1 {
		t.Error("durations out of range have no bucket")
	}
}

func TestPace_rate(t *testing.T) {
	p := newPace(250, 0)
	rng := rand.New(rand.NewPCG(2, 2))
	sent, now := 0, time.Duration(0)
	for now < time.Minute {
		now += time.Duration(rng.Int64N(int64(tick)))
		n, _ := p.allowed(now)
		if n > 25 {
			t.Fatalf("%d allowed at once, want no more than a tick's share", n)
		}
		p.use(n, n)
		sent += n
	}
	if want := int(250 * now.Seconds()); sent < want-1 || sent > want {
		t.Errorf("%d sent in %v, want %d", sent, now, want)
	}
	// What nobody could send is not caught up with.
	now += 10 * time.Second
	if n, _ := p.allowed(now); n != 25 {
		t.Errorf("%d allowed after a pause, want 25", n)
	}
	if p.behind < 2470 || p.behind > 2480 {
		t.Errorf("%v behind, want about 2475", p.behind)
	}
}

func TestPace_turns(t *testing.T) {
	p := newPace(1000, 0)
	for lane := range 4 {
		for now := time.Duration(0); now < time.Second; now += 7 * time.Millisecond {
			at := now + p.turn(now, lane, 4)
			if at <= now || at > now+tick || at%tick != tick*time.Duration(lane)/4 {
				t.Fatalf("at %v the turn of lane %d is at %v", now, lane, at)
			}
		}
	}
}

func TestPace_perBlock(t *testing.T) {
	p := newPace(0, 10)
	_, fresh := p.allowed(0)
	p.use(12, 10) // two of them were sent before
	if _, left := p.allowed(0); fresh != 10 || left != 0 {
		t.Errorf("%d new ones at first and %d after, want 10 and 0", fresh, left)
	}
	p.block(4)
	if _, fresh := p.allowed(0); fresh != 6 {
		t.Errorf("%d new ones after a block that left 4, want 6", fresh)
	}
}

// The queue does what a slice does.
func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var q queue
	var want []uint64
	for i := range uint64(5000) {
		switch e := (entry{call: i}); {
		case len(want) == 0 || rng.IntN(3) == 0:
			q.pushBack(e)
			want = append(want, i)
		case rng.IntN(3) == 0:
			q.pushFront(e)
			want = append([]uint64{i}, want...)
		case rng.IntN(2) == 0:
			if got := q.popFront().call; got != want[0] {
				t.Fatalf("popFront = %d, want %d", got, want[0])
			}
			want = want[1:]
		default:
			if got := q.popBack().call; got != want[len(want)-1] {
				t.Fatalf("popBack = %d, want %d", got, want[len(want)-1])
			}
			want = want[:len(want)-1]
		}
		if q.len() != len(want) {
			t.Fatalf("len = %d, want %d", q.len(), len(want))
		}
		for i, call := range want {
			if q.at(i).call != call {
				t.Fatalf("at(%d) = %d, want %d", i, q.at(i).call, call)
			}
		}
	}
}

func TestReport_Check(t *testing.T) {
	good := Report{Total: Figures{Offered: 10, Accepted: 8, Included: 4, Reverted: 1, Dropped: 1, Abandoned: 1}, Pending: 3, Waiting: 2}
	if err := good.Check(); err != nil {
		t.Errorf("Check of a good report: %v", err)
	}
	for name, spoil := range map[string]func(*Report){
		"one accepted too many":   func(r *Report) { r.Total.Accepted++ },
		"one offered too many":    func(r *Report) { r.Total.Offered++ },
		"more reverted than were": func(r *Report) { r.Total.Reverted = 5 },
		"negative pending":        func(r *Report) { r.Pending = -1; r.Total.Accepted -= 4; r.Total.Offered -= 4 },
	} {
		r := good
		spoil(&r)
		if r.Check() == nil {
			t.Errorf("Check found nothing wrong with %s", name)
		}
	}
}
