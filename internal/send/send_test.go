package send

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/fault"
)

// try runs o against f in a bubble, with blocks of the given period, and
// checks every report.
func try(t *testing.T, ctx context.Context, f *fake, o Options, period time.Duration) (Report, error) {
	t.Helper()
	o.URLs, o.ChainID = []string{"http://fake"}, testChain
	if o.Source == nil {
		o.Source = source{}
	}
	outer := o.Progress
	var e *engine
	o.Progress = func(r Report) {
		if err := r.Check(); err != nil {
			t.Error(err)
		}
		audit(t, e.l)
		if outer != nil {
			outer(r)
		}
	}
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	mining, stop := context.WithCancel(ctx)
	defer stop()
	go f.mine(mining, period)
	var err error
	if e, err = start(ctx, o, []node{f}); err != nil {
		return Report{}, err
	}
	return e.run(ctx)
}

// audit recounts what the ledger keeps count of.
func audit(t *testing.T, l *ledger) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var count [states]int
	var pending, waiting int64
	hashes := 0
	for i := range l.accounts {
		a := &l.accounts[i]
		unsigned, accepted := 0, 0
		for j := range a.entries.len() {
			e := a.entries.at(j)
			count[e.state]++
			switch {
			case e.accepted:
				pending++
				accepted++
			case e.offered:
				waiting++
			}
			if e.state == planned {
				unsigned++
			}
			if (e.state == ready || e.state == sending) == (e.raw == nil) {
				t.Errorf("a transaction in state %d has %d bytes", e.state, len(e.raw))
			}
			if e.state == ready && j < a.cursor {
				t.Errorf("entry %d of account %d may be sent, and the cursor is at %d", j, i, a.cursor)
			}
			for _, h := range append([]common.Hash{e.hash}, e.older...) {
				if p, ok := l.index[h]; ok {
					hashes++
					if p != (place{int32(i), a.base + uint64(j)}) {
						t.Errorf("the index has %+v for entry %d of account %d", p, j, i)
					}
				} else if h != (common.Hash{}) {
					t.Errorf("entry %d of account %d is not in the index", j, i)
				}
			}
		}
		if unsigned != a.planned || accepted != a.accepted {
			t.Errorf("account %d counts %d planned and %d accepted, it has %d and %d", i, a.planned, a.accepted, unsigned, accepted)
		}
	}
	if count != l.count || pending != l.pending || waiting != l.waiting {
		t.Errorf("the ledger counts %v, %d pending, %d waiting; it has %v, %d, %d", l.count, l.pending, l.waiting, count, pending, waiting)
	}
	if hashes != len(l.index) {
		t.Errorf("the index has %d hashes, the accounts have %d", len(l.index), hashes)
	}
	kept := 0
	for _, f := range l.history {
		kept += len(f.ours)
	}
	if kept != l.kept || len(l.history) > maxHistory {
		t.Errorf("the history has %d transactions in %d blocks, want %d", kept, len(l.history), l.kept)
	}
}

// agree compares what was counted with the chain, where every call must be
// exactly once.
func agree(t *testing.T, f *fake, o Options, r Report) {
	t.Helper()
	want := f.truth(o.Accounts)
	if r.Total.Included != want.included || r.Total.Reverted != want.reverted || r.Total.GasIncluded != want.gas {
		t.Errorf("counted %d included, %d reverted, %d gas; the chain has %d, %d, %d",
			r.Total.Included, r.Total.Reverted, r.Total.GasIncluded, want.included, want.reverted, want.gas)
	}
	if r.Pending != 0 || r.Waiting != 0 {
		t.Errorf("at the end %d are pending and %d waiting", r.Pending, r.Waiting)
	}
	if r.Total.Latency.N != uint64(r.Total.Included) {
		t.Errorf("%d latencies for %d included", r.Total.Latency.N, r.Total.Included)
	}
	for _, a := range o.Accounts {
		for i := range o.PerAccount {
			if n := want.calls[a.Address][i]; n != 1 {
				t.Errorf("call %d of %s is %d times on the chain", i, a.Address, n)
			}
		}
		if n := uint64(len(want.calls[a.Address])); n != o.PerAccount {
			t.Errorf("%s has %d calls on the chain, want %d", a.Address, n, o.PerAccount)
		}
	}
}

func TestRun_quiet(t *testing.T) {
	for flavor := range wordingsOf {
		t.Run(flavor, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(1, flavor, hostility{revert: 0.3})
				o := Options{Accounts: testAccounts(t, 5), PerAccount: 40}
				r, err := try(t, t.Context(), f, o, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				agree(t, f, o, r)
				if r.Total.Offered != 200 || r.Total.Accepted != 200 || r.Total.Dropped != 0 || len(r.Total.Rejected) != 0 || r.Total.Resent != 0 {
					t.Errorf("with a quiet node the report is %+v", r.Total)
				}
			})
		})
	}
}

// Whatever a node does, every report adds up, and at the end every call is on
// the chain once and counted as what it is.
func TestRun_hostile(t *testing.T) {
	flavors := []string{"geth", "reth", "anvil", "ethrex"}
	seeds := uint64(40)
	if testing.Short() {
		seeds = 12
	}
	for seed := range seeds {
		flavor := flavors[seed%uint64(len(flavors))]
		t.Run(fmt.Sprintf("%d-%s", seed, flavor), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { hostile(t, seed, flavor) })
		})
	}
}

func hostile(t *testing.T, seed uint64, flavor string) {
	rng := rand.New(rand.NewPCG(seed, 2))
	some := func(most float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return most * rng.Float64()
	}
	h := hostility{
		loseAnswer: some(0.3), loseRequest: some(0.3), shuffle: some(1), twice: some(0.5), drop: some(0.1),
		reorg: some(0.3), lostInReorg: some(0.5), revert: some(0.5),
		rejectGaps: rng.IntN(2) == 0, hidden: rng.IntN(3) == 0, noBatches: rng.IntN(5) == 0,
		noBlockReceipts: rng.IntN(2) == 0,
	}
	if rng.IntN(2) == 0 {
		h.poolLimit = 10 + rng.IntN(100)
	}
	if rng.IntN(3) == 0 {
		h.maxBatch = 1 + rng.IntN(30)
	}
	if rng.IntN(2) == 0 {
		h.away = []span{{5 * time.Second, 16 * time.Second}, {25 * time.Second, 26 * time.Second}}
	}
	if rng.IntN(2) == 0 {
		h.baseFee = func(n uint64) uint64 { return 1000 * (1 + n%7*(n%3)*10) }
	}
	f := newFake(seed, flavor, h)
	o := Options{
		Accounts: testAccounts(t, 1+rng.IntN(8)), PerAccount: uint64(1 + rng.IntN(40)),
		Batch: 1 + rng.IntN(50), Connections: 1 + rng.IntN(8), Wait: 10 * time.Minute,
	}
	switch rng.IntN(3) {
	case 0:
		o.TPS = 5 + 50*rng.Float64()
	case 1:
		o.PerBlock = 1 + rng.IntN(40)
	}
	r, err := try(t, t.Context(), f, o, time.Second)
	if err != nil {
		t.Fatalf("%v\n%+v", err, r)
	}
	// A reorg after the last report would make the two differ: none comes,
	// because the miner stops with the run.
	agree(t, f, o, r)
}

// A stranger with the same keys uses nonces; the calls that lose theirs are
// made again.
func TestRun_foreign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(3, "geth", hostility{})
		o := Options{Accounts: testAccounts(t, 3), PerAccount: 60, TPS: 6}
		stranger := testAccounts(t, 3)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for wait(ctx, 1700*time.Millisecond) {
				f.mu.Lock()
				a := stranger[f.rng.IntN(len(stranger))]
				tx := foreignTx(t, f, a, f.nonce(a.Address, f.head().number))
				delete(f.pool[a.Address], tx.Nonce())
				if err := f.admit(tx); err != nil {
					t.Error(err)
				}
				f.mu.Unlock()
			}
		}()
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		agree(t, f, o, r)
		if r.Total.Abandoned == 0 {
			t.Error("no transaction lost its nonce to the stranger")
		}
	})
}

// A stranger's transaction takes the place of an account's last one, which no
// later one of ours can show.
func TestRun_foreignLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(14, "geth", hostility{})
		o := Options{Accounts: testAccounts(t, 2), PerAccount: 1}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			if !wait(ctx, 500*time.Millisecond) {
				return
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if err := f.admit(foreignTx(t, f, o.Accounts[1], 0)); err != nil {
				t.Error(err)
			}
		}()
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
		if r.Total.Abandoned != 1 || r.Total.Dropped != 1 || r.Total.Offered != 3 {
			t.Errorf("abandoned %d, dropped %d, offered %d; want 1, 1, 3", r.Total.Abandoned, r.Total.Dropped, r.Total.Offered)
		}
	})
}

// What the pool loses is counted as dropped, and sent anew.
func TestRun_dropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(15, "geth", hostility{drop: 0.2})
		f.full = 3
		o := Options{Accounts: testAccounts(t, 4), PerAccount: 10}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
		if r.Total.Dropped == 0 || r.Total.Accepted != r.Total.Included+r.Total.Dropped {
			t.Errorf("dropped %d, accepted %d, included %d", r.Total.Dropped, r.Total.Accepted, r.Total.Included)
		}
	})
}

// Answers that are lost leave nothing uncertain: "already known" is as good as
// an acceptance, and nothing is dropped or refused.
func TestRun_lostAnswers(t *testing.T) {
	for flavor := range wordingsOf {
		t.Run(flavor, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(16, flavor, hostility{loseAnswer: 0.5})
				o := Options{Accounts: testAccounts(t, 4), PerAccount: 25, Batch: 5}
				r, err := try(t, t.Context(), f, o, 5*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				agree(t, f, o, r)
				if r.Total.Unanswered == 0 || r.Total.Resent == 0 || r.Total.Dropped != 0 || r.Total.Accepted != 100 {
					t.Errorf("with lost answers the report is %+v", r.Total)
				}
				for reason, n := range r.Total.Rejected {
					if reason != NonceTooLow {
						t.Errorf("%d were refused as %s", n, reason)
					}
				}
			})
		})
	}
}

// The node is away for 12 s, and its pool is gone afterwards.
func TestRun_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(4, "geth", hostility{away: []span{{3 * time.Second, 15 * time.Second}}})
		var noted bool
		o := Options{Accounts: testAccounts(t, 4), PerAccount: 50, Progress: func(r Report) {
			noted = noted || strings.Contains(r.Note, "does not answer")
		}}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
		if !noted {
			t.Error("no report says that the node does not answer")
		}
	})
}

func TestRun_smallPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(5, "geth", hostility{poolLimit: 100})
		o := Options{Accounts: testAccounts(t, 10), PerAccount: 60}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
		if r.Total.Rejected[PoolFull] == 0 || r.Messages[PoolFull] != "txpool is full" {
			t.Errorf("a pool of 100 was never full: %+v", r)
		}
		// It learns: fewer refusals than transactions.
		if r.Total.Rejected[PoolFull] > r.Total.Included {
			t.Errorf("%d refusals for %d transactions", r.Total.Rejected[PoolFull], r.Total.Included)
		}
	})
}

// A pool that drops what it has accepted is found out soon, and given no more
// than it keeps.
func TestRun_silentPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(17, "geth", hostility{poolLimit: 60, silent: true})
		f.full = 1000
		begin := time.Now()
		o := Options{Accounts: testAccounts(t, 10), PerAccount: 100, MaxPending: 500}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
		if r.MaxPending > 150 || r.Total.Dropped == 0 || r.Total.Dropped > 1000 {
			t.Errorf("at the end up to %d are kept pending, %d were dropped of %d", r.MaxPending, r.Total.Dropped, r.Total.Included)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("it took %v, want a minute at most", took)
		}
	})
}

// A node that makes blocks only when something new comes is given something
// new, so that the rest of its pool is included, too.
func TestRun_lazy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(18, "anvil", hostility{lazy: true})
		f.full = 7
		o := Options{Accounts: testAccounts(t, 3), PerAccount: 30}
		r, err := try(t, t.Context(), f, o, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
	})
}

// A base fee that rises above the cap is waited out, and said.
func TestRun_baseFee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(6, "geth", hostility{baseFee: func(n uint64) uint64 {
			if n > 103 && n < 120 {
				return 1_000_000
			}
			return 1000
		}})
		var note string
		o := Options{Accounts: testAccounts(t, 4), PerAccount: 50, FeeCap: big.NewInt(50_000), Progress: func(r Report) {
			if r.Note != "" {
				note = r.Note
			}
		}}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
		if want := "the base fee of 1000000 wei is above the fee cap of 50000 wei"; !strings.Contains(note, want) {
			t.Errorf("the note is %q, want %q", note, want)
		}
	})
}

// What is stuck below the base fee is made to offer more.
func TestRun_baseFeeWithinCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(7, "reth", hostility{baseFee: func(n uint64) uint64 { return 1000 + (n-100)*(n-100)*1000 }})
		f.full = 5
		o := Options{Accounts: testAccounts(t, 4), PerAccount: 30, FeeCap: big.NewInt(50_000_000)}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
	})
}

func TestRun_stall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(8, "geth", hostility{})
		f.full = 0
		o := Options{Accounts: testAccounts(t, 1), PerAccount: 3, Wait: 20 * time.Second}
		begin := time.Now()
		_, err := try(t, t.Context(), f, o, time.Second)
		if err == nil || fault.KindOf(err) != fault.Failed {
			t.Fatalf("err = %v, want one of kind Failed", err)
		}
		for _, part := range []string{"nothing was included for 20s", o.Accounts[0].Address.Hex(), "waits with nonce 0",
			"was accepted 20s ago", "nonce 0, pending nonce 3", "the transaction is in its pool"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error is %q, want %q in it", err, part)
			}
		}
		if took := time.Since(begin); took > 21*time.Second {
			t.Errorf("it took %v to notice", took)
		}
	})
}

func TestRun_poor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		accounts := testAccounts(t, 3)
		f := newFake(9, "ethrex", hostility{poor: map[common.Address]bool{accounts[1].Address: true}})
		r, err := try(t, t.Context(), f, Options{Accounts: accounts, PerAccount: 20}, time.Second)
		if err == nil || !strings.Contains(err.Error(), "1 of 3 accounts were given up; the first, "+accounts[1].Address.Hex()) ||
			!strings.Contains(err.Error(), "does not have enough balance") {
			t.Errorf("err = %v, want that the second account has no funds", err)
		}
		if r.Total.Included != 40 || len(r.GivenUp) != 1 {
			t.Errorf("%d included, %d given up; want those of two accounts and one", r.Total.Included, len(r.GivenUp))
		}
	})
}

func TestRun_badNode(t *testing.T) {
	check := func(name string, spoil func(*fake), kind fault.Kind, want string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(10, "geth", hostility{})
				spoil(f)
				_, err := try(t, t.Context(), f, Options{Accounts: testAccounts(t, 2), PerAccount: 20, TPS: 4, Source: source{data: []byte{1}}}, time.Second)
				if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), want) {
					t.Errorf("err = %v of kind %d, want %q of kind %d", err, fault.KindOf(err), want, kind)
				}
			})
		})
	}
	after := func(f *fake, change func()) {
		f.h.away = []span{{3 * time.Second, 4 * time.Second}}
		time.AfterFunc(3500*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			change()
		})
	}
	check("wrong chain", func(f *fake) { f.chainID = 5 }, fault.Prerequisite, "has chain id 5, the load is for 1337")
	check("away", func(f *fake) { f.h.away = []span{{0, time.Hour}} }, fault.Prerequisite, "is no Ethereum node that can be reached")
	check("wrong chain after a restart", func(f *fake) { after(f, func() { f.chainID = 5 }) }, fault.Failed, "the node now has chain id 0x5")
	check("contract gone after a restart", func(f *fake) { after(f, func() { f.code = "0x" }) }, fault.Failed,
		testTo.Hex()+" that the load calls is not there any more")
}

func TestRun_pace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(11, "geth", hostility{})
		f.full = 1000
		o := Options{Accounts: testAccounts(t, 50), TPS: 37.5, Duration: 60 * time.Second, Connections: 4}
		var most, least int64 = 0, 1 << 60
		o.Progress = func(r Report) {
			if n := r.Interval.Offered; r.Interval.Seconds > 0.99 && r.Total.Seconds > 1.5 && r.Total.Seconds < 60 {
				most, least = max(most, n), min(least, n)
			}
		}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		const want = 37.5 * 60
		if n := float64(r.Total.Offered); n < want*0.997 || n > want {
			t.Errorf("%v offered in a minute, want %v", n, want)
		}
		if least < 33 || most > 42 {
			t.Errorf("between %d and %d offered in a second, want 37.5 and no more than a tick's share away", least, most)
		}
		if r.Total.Included != r.Total.Offered {
			t.Errorf("%d included of %d", r.Total.Included, r.Total.Offered)
		}
	})
}

func TestRun_perBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(12, "anvil", hostility{})
		f.full = 1000
		o := Options{Accounts: testAccounts(t, 7), PerBlock: 23, Duration: 30 * time.Second}
		r, err := try(t, t.Context(), f, o, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range f.chain[2 : len(f.chain)-2] {
			if len(b.txs) != 23 {
				t.Errorf("block %d has %d transactions, want 23", b.number, len(b.txs))
			}
		}
		if r.Total.Included < 23*13 {
			t.Errorf("%d included", r.Total.Included)
		}
	})
}

func TestRun_interrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(13, "geth", hostility{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := try(t, ctx, f, Options{Accounts: testAccounts(t, 2)}, time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || r.Total.Included == 0 || r.Check() != nil {
			t.Errorf("err = %v after %d were included", err, r.Total.Included)
		}
	})
}

func TestRun_badOptions(t *testing.T) {
	accounts := testAccounts(t, 1)
	for name, o := range map[string]Options{
		"no node":       {Source: source{}, Accounts: accounts},
		"no accounts":   {URLs: []string{"http://x"}, Source: source{}},
		"a URL":         {URLs: []string{"ftp://x"}, Source: source{}, Accounts: accounts},
		"a rate":        {URLs: []string{"http://x"}, Source: source{}, Accounts: accounts, TPS: -1},
		"a size":        {URLs: []string{"http://x"}, Source: source{}, Accounts: accounts, Batch: -1},
		"a fee":         {URLs: []string{"http://x"}, Source: source{}, Accounts: accounts, FeeCap: big.NewInt(-1)},
		"the fixed fee": {URLs: []string{"http://x"}, Source: source{}, Accounts: accounts, FixedFee: true},
	} {
		if _, err := Run(t.Context(), o); fault.KindOf(err) != fault.Usage {
			t.Errorf("with bad options (%s) Run = %v, want a usage error", name, err)
		}
	}
}
