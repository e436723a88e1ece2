package send

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Many transactions that are refused for lack of funds in one request are one
// refusal of the account: it is tried again before it is given up.
func TestRun_poorIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		accounts := testAccounts(t, 1)
		f := newFake(20, "geth", hostility{poor: map[common.Address]bool{accounts[0].Address: true}})
		begin := time.Now()
		r, err := try(t, t.Context(), f, Options{Accounts: accounts, PerAccount: 10}, time.Second)
		if err == nil || len(r.GivenUp) != 1 {
			t.Errorf("err = %v, given up %v; want that the account is given up", err, r.GivenUp)
		}
		if n := r.Total.Rejected[Funds]; n < mostPoor {
			t.Errorf("given up after %d refusals, want %d requests at least", n, mostPoor)
		}
		// The pauses double: 1 s, 2 s and 4 s between four requests.
		if took := time.Since(begin); took < 7*time.Second || took > 10*time.Second {
			t.Errorf("given up after %v, want 7 s of pauses", took)
		}
	})
}

// Ether that arrives after the second refusal is in time.
func TestRun_fundsArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		accounts := testAccounts(t, 1)
		f := newFake(21, "ethrex", hostility{poor: map[common.Address]bool{accounts[0].Address: true}})
		time.AfterFunc(2*time.Second, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.h.poor, accounts[0].Address)
		})
		o := Options{Accounts: accounts, PerAccount: 10}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
		if n := r.Total.Rejected[Funds]; n < 2 {
			t.Errorf("%d refusals, want those of two requests", n)
		}
	})
}

// One request, however many transactions it has, slows an account down once.
func TestLedger_slowsOnce(t *testing.T) {
	for _, reason := range []Reason{Busy, unanswered, AccountLimit, Funds, NonceGap} {
		l, items := offered(t, 8)
		outcomes := make([]outcome, len(items))
		for i := range outcomes {
			outcomes[i] = outcome{reason: reason, message: "no"}
		}
		a := &l.accounts[0]
		a.window = 64
		a.accepted = 32 // so that a halved window shows
		l.settle(items, outcomes, time.Second)
		want := leastPause
		if reason == Funds {
			want = poorPause
		}
		if a.pause != want || a.retryAt != time.Second+want {
			t.Errorf("after one request refused as %s the pause is %v until %v, want %v", reason, a.pause, a.retryAt, want)
		}
		if reason == AccountLimit && a.window != 16 {
			t.Errorf("the window is %d, want 16: half of what was accepted", a.window)
		}
	}
}

// offered is a ledger with one account that has n transactions in a request.
func offered(t *testing.T, n int) (*ledger, []item) {
	t.Helper()
	l := signedLedger(t, n)
	items, _ := l.gather(0, time.Second, nil)
	if len(items) != n {
		t.Fatalf("%d transactions may be sent, want %d", len(items), n)
	}
	return l, items
}

// signedLedger is a ledger with one account that has n transactions to send.
func signedLedger(t *testing.T, n int) *ledger {
	t.Helper()
	l := newLedger(settings{
		perAccount: uint64(n), maxPending: 100, windowEach: 100, leastPending: 100, ahead: 100, batch: 100, lanes: 1,
		feeCap: 1 << 40, tip: 1,
	}, testAccounts(t, 1), []uint64{0})
	l.begin(tip{number: 100, hash: common.Hash{1}}, 1000)
	jobs := l.draw(make([]job, 0, n))
	for i := range jobs {
		jobs[i].tx.Hash, jobs[i].tx.Raw, jobs[i].tx.Gas = common.Hash{0xee, byte(i)}, []byte{1}, 21_000
	}
	l.signed(jobs)
	return l
}

// A transaction that somebody else has sent, word for word, before we did is
// counted as offered when it is included.
func TestLedger_includedBeforeOffered(t *testing.T) {
	l := signedLedger(t, 3)
	b := block{number: 101, hash: common.Hash{2}, parent: common.Hash{1}, baseFee: 1000}
	l.include(&b, []receipt{{tx: common.Hash{0xee, 0}, gasUsed: 21_000}}, 5*time.Second)
	audit(t, l)
	r := l.report(6 * time.Second)
	if err := r.Check(); err != nil || r.Total.Offered != 1 || r.Total.Included != 1 || r.Total.GasOffered != 21_000 {
		t.Errorf("the report is %+v: %v", r, err)
	}
	if r.Total.Latency.Max > 1e-3 {
		t.Errorf("it took %v s, want nothing: we never sent it", r.Total.Latency.Max)
	}
}

// At a rate that is lower than one transaction in --wait nothing stalls.
func TestRun_slowRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(22, "geth", hostility{})
		o := Options{Accounts: testAccounts(t, 1), PerAccount: 5, TPS: 0.2, Wait: 3 * time.Second}
		r, err := try(t, t.Context(), f, o, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
	})
}

// At such a rate, what is not included is still noticed.
func TestRun_slowRateStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(23, "geth", hostility{})
		f.full = 0
		begin := time.Now()
		o := Options{Accounts: testAccounts(t, 1), PerAccount: 5, TPS: 0.2, Wait: 3 * time.Second}
		if _, err := try(t, t.Context(), f, o, time.Second); err == nil || !strings.Contains(err.Error(), "nothing was included for 3s") {
			t.Errorf("err = %v, want that nothing was included", err)
		}
		if took := time.Since(begin); took > 9*time.Second {
			t.Errorf("it took %v to notice", took)
		}
	})
}

func TestNumber(t *testing.T) {
	for raw, want := range map[string]string{
		`"0x0"`: "0", `"0x10"`: "16", `"0xffffffffffffffff"`: "18446744073709551615",
		`"0x56bc75e2d63100000"`: "100000000000000000000", `"soon"`: "soon", `"0x"`: "0x", `"0x-1"`: "0x-1", `null`: "null",
	} {
		if got := number(&answer{answered: true, result: []byte(raw)}); got != want {
			t.Errorf("number(%s) = %s, want %s", raw, got, want)
		}
	}
}

// mute is a node that answers what is asked at the start, and then no more.
type mute struct {
	*fake
	until time.Duration
}

func (m *mute) URL() string { return "http://mute" }

func (m *mute) Post(ctx context.Context, body, into []byte) ([]byte, error) {
	if time.Since(m.start) > 0 && time.Since(m.start) < m.until && strings.Contains(string(body), "eth_sendRaw") {
		return nil, errors.New("connection refused")
	}
	return m.fake.Post(ctx, body, into)
}

// A node beside the first one that takes nothing is named while it lasts.
func TestRun_silentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(24, "geth", hostility{})
		second := &mute{fake: f, until: 20 * time.Second}
		notes, after := make(map[string]bool), ""
		o := Options{Accounts: testAccounts(t, 2), PerAccount: 30, Connections: 2, TPS: 2, URLs: []string{"http://fake", "http://mute"}, ChainID: testChain,
			Source: source{}, Progress: func(r Report) {
				notes[r.Note] = true
				if after = r.Note; r.Note != "" && r.NoteKind != NoteSilent+" http://mute" {
					t.Errorf("the note %q is of kind %q", r.Note, r.NoteKind)
				}
			}}
		mining, stop := context.WithCancel(t.Context())
		defer stop()
		go f.mine(mining, time.Second)
		e, err := start(t.Context(), o, []node{f, second})
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, o, r)
		if !notes["http://mute does not answer: connection refused"] || after != "" {
			t.Errorf("the notes are %v, the last is %q", notes, after)
		}
	})
}

// Every node is asked for its chain, not only the first.
func TestStart_otherChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newFake(25, "geth", hostility{}), newFake(26, "geth", hostility{})
		second.chainID = 5
		o := Options{Accounts: testAccounts(t, 2), URLs: []string{"http://fake", "http://fake"}, ChainID: testChain, Source: source{}}
		_, err := start(t.Context(), o, []node{first, second})
		if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "has chain id 5, the load is for 1337") {
			t.Errorf("err = %v, want that the second node is of another chain", err)
		}
		if first.methods["eth_sendRawTransaction"] != 0 {
			t.Error("something was sent")
		}
	})
}

// The kind of a note does not change with the numbers in it.
func TestNoteKind(t *testing.T) {
	l := newLedger(settings{lanes: 1, feeCap: 10, maxPending: 1}, testAccounts(t, 1), []uint64{0})
	l.begin(tip{}, 20)
	first := l.report(0)
	l.begin(tip{}, 30)
	second := l.report(0)
	if first.NoteKind != NoteBaseFee || second.NoteKind != NoteBaseFee || first.Note == second.Note {
		t.Errorf("the notes are %q of kind %q and %q of kind %q", first.Note, first.NoteKind, second.Note, second.NoteKind)
	}
	if raw, err := json.Marshal(first); err != nil || strings.Contains(string(raw), "NoteKind") {
		t.Errorf("the report is written as %s, %v", raw, err)
	}
}
