package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stat"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// proof is an accepted attempt of ms that ended at the given second.
func proof(batch uint64, ms float64, edit func(*sample.Attempt)) sample.Record {
	a := &sample.Attempt{Batch: batch, Number: 1, Status: sample.Accepted, ProvingNS: int64(ms * 1e6), ProvedAt: noon.Add(time.Duration(batch) * time.Minute)}
	if edit != nil {
		edit(a)
	}
	return sample.Record{V: 1, Attempt: a}
}

// batchOf is a batch with a hundred transactions and mgas million gas.
func batchOf(number uint64, mgas float64, edit func(*sample.Batch)) sample.Record {
	b := &sample.Batch{Number: number, FirstBlock: 10 * number, LastBlock: 10*number + 9, GasUsed: uint64(mgas * 1e6), Transactions: 100}
	if edit != nil {
		edit(b)
	}
	return sample.Record{V: 1, Batch: b}
}

func one(records []sample.Record, rule ProvingRule) *Result {
	return AnalyzeProving([2][]sample.Record{records}, rule)
}

// numbersOfCounted are the batches that count.
func numbersOfCounted(s *ProvingSide) []uint64 {
	var out []uint64
	for _, a := range s.Counted() {
		out = append(out, a.Batch)
	}
	return out
}

// Each kind of attempt that does not count has its reason.
func TestAnalyzeProving_leftOut(t *testing.T) {
	rule := ProvingRule{Planned: 2, MinTransactions: 10}
	with := func(edit func(*sample.Batch)) func(n uint64) sample.Record {
		return func(n uint64) sample.Record { return batchOf(n, 20, edit) }
	}
	plain := with(nil)
	for name, c := range map[string]struct {
		attempt func(*sample.Attempt)
		batch   func(uint64) sample.Record
		reason  Reason
	}{
		"set-up":       {func(a *sample.Attempt) { a.SetUp = true }, plain, leftSetUp},
		"warm-up":      {func(a *sample.Attempt) { a.WarmUp = true }, plain, leftWarmUp},
		"lost":         {func(a *sample.Attempt) { a.Status = sample.Lost }, plain, leftLost},
		"no proof":     {func(a *sample.Attempt) { a.Status = sample.NoProof }, plain, leftNoProof},
		"rejected":     {func(a *sample.Attempt) { a.Status = sample.Rejected }, plain, leftRejected},
		"open":         {func(a *sample.Attempt) { a.Status = "" }, plain, leftOpen},
		"untimed":      {func(a *sample.Attempt) { a.ProvingNS = 0 }, plain, leftUntimed},
		"negative":     {func(a *sample.Attempt) { a.ProvingNS = -5 }, plain, leftUntimed},
		"unknown":      {nil, func(uint64) sample.Record { return sample.Record{V: 1, Notice: &sample.Notice{}} }, leftUnknown},
		"heard of":     {nil, func(n uint64) sample.Record { return sample.Record{V: 1, Batch: &sample.Batch{Number: n}} }, leftUnknown},
		"empty":        {nil, with(func(b *sample.Batch) { b.GasUsed, b.Transactions = 0, 0 }), leftEmpty},
		"deposits":     {nil, with(func(b *sample.Batch) { b.Transactions, b.Deposits = 0, 192 }), leftDeposits},
		"small":        {nil, with(func(b *sample.Batch) { b.Transactions = 9 }), "batch of fewer than 10 transactions"},
		"no gas":       {nil, with(func(b *sample.Batch) { b.GasUsed = 0 }), leftAbsurd},
		"blocks":       {nil, with(func(b *sample.Batch) { b.LastBlock = 1 }), leftAbsurd},
		"all blocks":   {nil, with(func(b *sample.Batch) { b.FirstBlock, b.LastBlock = 0, math.MaxUint64 }), leftAbsurd},
		"transactions": {nil, with(func(b *sample.Batch) { b.Transactions = -1 }), leftAbsurd},
	} {
		r := one([]sample.Record{c.batch(7), proof(7, 900, c.attempt), batchOf(8, 20, nil), proof(8, 1000, nil)}, rule)
		side := &r.Proving.Sides[0]
		if got := side.Attempts[0].Left; got != c.reason {
			t.Errorf("%s is left out for %q, want %q", name, got, c.reason)
		}
		if got := numbersOfCounted(side); !slices.Equal(got, []uint64{8}) {
			t.Errorf("%s: batches %v count", name, got)
		}
		if !slices.ContainsFunc(r.Excluded, func(e Exclusion) bool {
			return e.Reason == string(c.reason) && e.Count == 1 && slices.Equal(e.Blocks, []uint64{7})
		}) {
			t.Errorf("%s: excluded are %v", name, r.Excluded)
		}
	}
}

// Of several attempts at a batch the last accepted one counts, and one that is
// written again counts as it was written last.
func TestAnalyzeProving_repeated(t *testing.T) {
	number := func(n int, status sample.AttemptStatus) func(*sample.Attempt) {
		return func(a *sample.Attempt) { a.Number, a.Status = n, status }
	}
	r := one([]sample.Record{
		batchOf(1, 20, nil), batchOf(2, 20, nil), batchOf(2, 30, nil),
		proof(1, 1000, number(1, sample.Accepted)), proof(1, 1100, number(2, sample.Accepted)),
		proof(2, 2000, number(1, sample.Accepted)), proof(2, 2100, number(2, sample.Lost)), proof(2, 2000, number(1, sample.Rejected)),
		proof(2, 2200, number(3, sample.Accepted)),
	}, ProvingRule{})
	var got []string
	for _, a := range r.Proving.Sides[0].Attempts {
		got = append(got, fmt.Sprintf("%d/%d %.0f %s", a.Batch, a.Number, a.MS(), a.Left))
	}
	want := []string{"1/1 1000 " + string(leftRepeated), "1/2 1100 ", "2/1 2000 " + string(leftRejected), "2/2 2100 " + string(leftLost), "2/3 2200 "}
	if !slices.Equal(got, want) {
		t.Errorf("attempts %q, want %q", got, want)
	}
	if gas := r.Proving.Sides[0].Total.Gas; gas != 50e6 {
		t.Errorf("%d gas, want that of the last record of each batch", gas)
	}
}

// What comes after the planned batches does not count, and each session has
// its share.
func TestAnalyzeProving_planned(t *testing.T) {
	var records []sample.Record
	for session := 1; session <= 2; session++ {
		for n := uint64(1); n <= 4; n++ {
			records = append(records,
				batchOf(n, 20, func(b *sample.Batch) { b.Session = session }),
				proof(n, 1000, func(a *sample.Attempt) { a.Session, a.SetUp = session, n == 1 }))
		}
	}
	side := one(records, ProvingRule{Planned: 5}).Proving.Sides[0]
	if got := numbersOfCounted(&side); !slices.Equal(got, []uint64{2, 3, 4, 2, 3}) {
		t.Errorf("batches %v count", got)
	}
	if a := side.Attempts[7]; a.Left != leftBeyond {
		t.Errorf("batch 4 of session 2 is left out for %q", a.Left)
	}
}

// A line through points computed by hand: 2 s and 100 ms per Mgas, with
// residuals of +10, -10, -10, +10 ms, which do not move it.
func TestProvingSide_fit(t *testing.T) {
	var records []sample.Record
	for i, residual := range []float64{10, -10, -10, 10} {
		mgas := float64(10 * (i + 1))
		records = append(records, batchOf(uint64(i+1), mgas, nil), proof(uint64(i+1), 2000+100*mgas+residual, nil))
	}
	side := one(records, ProvingRule{}).Proving.Sides[0]
	if side.Fit == nil || math.Abs(side.Fit.Intercept.Center-2000) > 1e-6 || math.Abs(side.Fit.Slope.Center-100) > 1e-8 {
		t.Fatalf("line %+v, want 2000 ms and 100 ms per Mgas", side.Fit)
	}
	if sd := math.Sqrt(400 / 2.0); math.Abs(side.Fit.SD-sd) > 1e-6 {
		t.Errorf("standard deviation %v, want %v", side.Fit.SD, sd)
	}
	// HC3 of the slope: u_i = e_i/(1-h_i) (x_i-25)/500 with h = 0.7, 0.3, 0.3, 0.7.
	u := []float64{10 / 0.3 * -15 / 500, -10 / 0.7 * -5 / 500, -10 / 0.7 * 5 / 500, 10 / 0.3 * 15 / 500}
	se := math.Sqrt(u[0]*u[0] + u[1]*u[1] + u[2]*u[2] + u[3]*u[3])
	if half := (side.Fit.Slope.High - side.Fit.Slope.Low) / 2; math.Abs(half-4.302652729911275*se) > 1e-6 {
		t.Errorf("half-width %v, want t(2) times %v", half, se)
	}
	if want := (8000 + 100*100.0) / 100; math.Abs(side.PerMgas-want) > 1e-9 {
		t.Errorf("%v ms per Mgas, want %v", side.PerMgas, want)
	}
	if few := one(records[:6], ProvingRule{}).Proving.Sides[0]; few.Fit != nil || few.NoFit == "" {
		t.Errorf("three batches have the line %v (%q)", few.Fit, few.NoFit)
	}
}

// watts is a record of the machine at a second.
func watts(second, power float64) *sample.Machine {
	return &sample.Machine{At: noon.Add(time.Duration(second * 1e9)), GPUs: []sample.GPU{{PowerWatts: &power}}}
}

func TestEnergyOf(t *testing.T) {
	silent := &sample.Machine{At: noon.Add(5 * time.Second), GPUs: []sample.GPU{{}}}
	for name, c := range map[string]struct {
		machines []*sample.Machine
		joules   float64
		n        int
	}{
		"none":             {nil, 0, 0},
		"constant":         {[]*sample.Machine{watts(-1, 100), watts(5, 100), watts(11, 100)}, 1000, 3},
		"straight line":    {[]*sample.Machine{watts(-5, 0), watts(5, 100), watts(15, 200)}, 1000, 3},
		"ends held":        {[]*sample.Machine{watts(2, 100), watts(4, 200)}, 2*100 + 300 + 6*200, 2},
		"one inside":       {[]*sample.Machine{watts(4, 50)}, 500, 1},
		"beyond both ends": {[]*sample.Machine{watts(-4, 0), watts(5.9, 99)}, (40+99)/2.0*5.9 + 99*4.1, 2},
		"only before":      {[]*sample.Machine{watts(-0.5, 100), watts(-0.1, 70)}, 0, 0},
		"gap":              {[]*sample.Machine{watts(-6, 100), watts(12, 100)}, 0, 0},
		"unknown between":  {[]*sample.Machine{watts(0, 100), silent, watts(10, 100)}, 1000, 2},
		"same moment":      {[]*sample.Machine{watts(0, 100), watts(5, 100), watts(5, 300), watts(10, 300)}, 2000, 4},
	} {
		got := energyOf(c.machines, noon, noon.Add(10*time.Second))
		if math.Abs(got.Joules-c.joules) > 1e-6 || got.N != c.n {
			t.Errorf("%s: %v J of %d records, want %v of %d", name, got.Joules, got.N, c.joules, c.n)
		}
	}
}

// Two GPUs add up; where one of them is silent, the power of all is unknown.
func TestPower(t *testing.T) {
	a, b := 100.0, 250.0
	if w, ok := Power(&sample.Machine{GPUs: []sample.GPU{{PowerWatts: &a}, {PowerWatts: &b}}}); !ok || w != 350 {
		t.Errorf("power %v, %t", w, ok)
	}
	for _, m := range []*sample.Machine{{}, {GPUs: []sample.GPU{{PowerWatts: &a}, {}}}} {
		if w, ok := Power(m); ok {
			t.Errorf("%d GPUs have the power %v", len(m.GPUs), w)
		}
	}
}

// The machine's figures and the idle time are those of the proofs.
func TestAnalyzeProving_machine(t *testing.T) {
	cpu := func(second, share float64) sample.Record {
		return sample.Record{V: 1, Machine: &sample.Machine{At: noon.Add(time.Duration(second * 1e9)), CPU: &share}}
	}
	at := func(second float64) func(*sample.Attempt) {
		return func(a *sample.Attempt) { a.ProvedAt = noon.Add(time.Duration(second * 1e9)) }
	}
	records := []sample.Record{
		batchOf(1, 10, nil), batchOf(2, 10, nil), batchOf(3, 10, nil),
		proof(1, 4000, at(10)), proof(2, 4000, at(20)), proof(3, 4000, at(30)),
		cpu(5, 0.1), cpu(7, 0.8), cpu(9, 0.6), cpu(15, 0.1), cpu(18, 1), cpu(28, 0.6),
	}
	side := one(records, ProvingRule{PricePerHour: 36}).Proving.Sides[0]
	if l := side.Load.CPU; l.N != 4 || math.Abs(l.Mean-0.75) > 1e-12 || l.Max != 1 {
		t.Errorf("CPU while proving %+v", l)
	}
	if side.Span != 24*time.Second || side.Idle() != 12*time.Second {
		t.Errorf("idle %v of %v", side.Idle(), side.Span)
	}
	if cost, ok := (ProvingRule{PricePerHour: 36}).Cost(side.Times.Mean); !ok || math.Abs(cost-0.04) > 1e-12 {
		t.Errorf("a proof costs %v, %t", cost, ok)
	}
	if side.Measured != 0 || side.Energy.N != 0 {
		t.Errorf("energy without a GPU: %+v", side.Energy)
	}
}

// The page's over-count stands beside the RPC's figures, which count.
func TestAnalyzeProving_overCount(t *testing.T) {
	gas, txs, same := uint64(25e6), uint64(150), uint64(100)
	r := one([]sample.Record{
		batchOf(1, 20, func(b *sample.Batch) { b.Metrics = &sample.BatchMetrics{GasUsed: &gas, Transactions: &txs} }),
		batchOf(2, 20, func(b *sample.Batch) { b.Metrics = &sample.BatchMetrics{Transactions: &same} }),
		batchOf(3, 20, func(b *sample.Batch) { b.Metrics = &sample.BatchMetrics{} }),
		proof(1, 1000, nil), proof(2, 1000, nil), proof(3, 1000, nil),
	}, ProvingRule{})
	side := r.Proving.Sides[0]
	want := []OverCount{{Batch: 1, RPC: [3]uint64{20e6, 100, 10}, Metrics: [3]uint64{25e6, 150, 10}}}
	if !reflect.DeepEqual(side.OverCounts, want) || side.Compared != 2 || side.Total.Gas != 60e6 {
		t.Errorf("over-counts %+v of %d, %d gas in all", side.OverCounts, side.Compared, side.Total.Gas)
	}
}

// A page may leave deposits out of its transactions, as an L2 does that credits
// them otherwise: that is no difference, and one below both is not explained by a
// block too many.
func TestAnalyzeProving_pageWithoutDeposits(t *testing.T) {
	txs, few := uint64(100), uint64(90)
	r := one([]sample.Record{
		batchOf(1, 20, func(b *sample.Batch) { b.Deposits, b.Metrics = 33, &sample.BatchMetrics{Transactions: &txs} }),
		batchOf(2, 20, func(b *sample.Batch) { b.Deposits, b.Metrics = 33, &sample.BatchMetrics{Transactions: &few} }),
		proof(1, 1000, nil), proof(2, 1000, nil),
	}, ProvingRule{})
	side := r.Proving.Sides[0]
	want := []OverCount{{Batch: 2, RPC: [3]uint64{20e6, 133, 10}, Metrics: [3]uint64{20e6, 90, 10}}}
	if !reflect.DeepEqual(side.OverCounts, want) || side.Compared != 2 || side.OverCounts[0].Over() {
		t.Errorf("over-counts %+v of %d", side.OverCounts, side.Compared)
	}
	if o := (OverCount{RPC: [3]uint64{5, 5, 5}, Metrics: [3]uint64{6, 5, 5}}); !o.Over() {
		t.Errorf("%+v counts nothing too much", o)
	}
}

// A batch was sealed when it was handed out, whenever the collector saw it.
func TestSealedAt(t *testing.T) {
	seen, before := time.Unix(10, 0), time.Unix(9, 0)
	for _, c := range []struct{ seen, received, want time.Time }{
		{seen, before, before}, {before, seen, before}, {seen, time.Time{}, seen}, {time.Time{}, before, time.Time{}},
	} {
		if got := sealedAt(c.seen, c.received); !got.Equal(c.want) {
			t.Errorf("sealedAt(%v, %v) = %v, want %v", c.seen, c.received, got, c.want)
		}
	}
}

// recordsOf reads generated records.
func recordsOf(t *testing.T, name string) []sample.Record {
	t.Helper()
	raw, err := os.ReadFile(recordsName(name))
	if err != nil {
		t.Fatal(err)
	}
	var out []sample.Record
	for line := range strings.Lines(string(raw)) {
		var r sample.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func both(t *testing.T, name string) [2][]sample.Record {
	return [2][]sample.Record{recordsOf(t, name+"-baseline"), recordsOf(t, name+"-test")}
}

// The generated test side takes 15 % less time at equal gas: the verdict says
// so, and what the design cannot show. One that ended early decides nothing.
func TestAnalyzeProving_unpaired(t *testing.T) {
	s := spec.Prover{Test: &spec.Side{}, Batches: 12, MinTransactions: 10, Margin: 0.03, Alpha: 0.05, Seed: 1}
	rule := ProvingRuleOf(&s)
	r := AnalyzeProving(both(t, "gpu"), rule)
	if v := r.Verdict; v.Outcome != Improves || !r.Effect.Contains(0.85) || r.Effect.Kind != stat.KindHC3 || v.Attribution != inTurns {
		t.Errorf("%v, effect %+v, %s", v.Outcome, r.Effect, v.Attribution)
	}
	rule.Planned = 40
	if r := AnalyzeProving(both(t, "gpu"), rule); r.Verdict.Outcome != Inconclusive || !strings.Contains(r.Verdict.Reasons[0], "the run ended after 14 of 40") {
		t.Errorf("of 40 planned batches: %v %q", r.Verdict.Outcome, r.Verdict.Reasons)
	}
	rule.Planned, rule.MinTransactions = 12, 1e6
	if r := AnalyzeProving(both(t, "gpu"), rule); r.Verdict.Outcome != Invalid {
		t.Errorf("without a batch that counts: %v", r.Verdict.Outcome)
	}
}

// The generated test side of a replay is 5 % slower. Fewer pairs decide less,
// and parity comes before speed.
func TestAnalyzeProving_paired(t *testing.T) {
	s := spec.Replay{Batches: 20, Margin: 0.03, Alpha: 0.05, Seed: 1}
	rule := ReplayRuleOf(&s)
	r := AnalyzeProving(both(t, "replay"), rule)
	if v := r.Verdict; v.Outcome != Regresses || len(r.Pairs) != 20 || !r.Effect.Contains(1.05) || r.Effect.Kind != stat.KindSignedRank {
		t.Errorf("%v of %d pairs, effect %+v: %q", v.Outcome, len(r.Pairs), r.Effect, v.Reasons)
	}
	if r.Diagnosis.Order.N != 20 || r.Parity.Checked != 20 || r.WarmUps != 2 {
		t.Errorf("order %+v, parity %+v, %d warm-ups", r.Diagnosis.Order, r.Parity, r.WarmUps)
	}
	for n, want := range map[int]Outcome{3: Invalid, 4: Inconclusive, 5: Inconclusive, 6: Regresses} {
		cut := both(t, "replay")
		for side := range cut {
			cut[side] = cut[side][:n+1]
		}
		rule.Planned = n
		if r := AnalyzeProving(cut, rule); r.Verdict.Outcome != want {
			t.Errorf("%d pairs are %v, want %v: %q", n, r.Verdict.Outcome, want, r.Verdict.Reasons)
		}
	}
	rule.Planned = 30
	if r := AnalyzeProving(both(t, "replay"), rule); r.Verdict.Outcome != Inconclusive || r.Stage != stat.Stopped {
		t.Errorf("20 of 30 planned batches are %v: %q", r.Verdict.Outcome, r.Verdict.Reasons)
	}
	rule.Planned = 20
	wrong := both(t, "replay")
	wrong[1][5].Attempt.Public = "other"
	if r := AnalyzeProving(wrong, rule); r.Verdict.Outcome != Invalid || !slices.Equal(r.Parity.Different, []uint64{5}) {
		t.Errorf("another public value is %v: %q", r.Verdict.Outcome, r.Verdict.Reasons)
	}
	other := both(t, "replay")
	other[1][5].Attempt.InputSHA256 = "other"
	if r := AnalyzeProving(other, rule); len(r.Pairs) != 19 || len(r.Parity.Different) != 0 {
		t.Errorf("another input leaves %d pairs, parity %+v", len(r.Pairs), r.Parity)
	}
}

// Whatever a file holds, the analysis ends, without a verdict on speed that
// nothing supports.
func FuzzAnalyzeProving(f *testing.F) {
	f.Add([]byte(`{"v":1,"attempt":{"batch":1,"number":1,"status":"accepted","proving_ns":5}}`), false)
	f.Add([]byte(`{"v":1,"attempt":{"batch":18446744073709551615,"number":-1,"status":"accepted","proving_ns":9223372036854775807,"proved_at":"0001-01-02T00:00:00Z"}}
{"v":1,"batch":{"number":18446744073709551615,"first_block":0,"last_block":18446744073709551615,"gas_used":18446744073709551615,"transactions":-3}}
{"v":1,"machine":{"at":"9999-01-01T00:00:00Z","gpus":[{"power_watts":1e308},{"power_watts":-1e308}]}}`), true)
	f.Fuzz(func(t *testing.T, data []byte, paired bool) {
		var records []sample.Record
		for line := range strings.Lines(string(data)) {
			var r sample.Record
			if json.Unmarshal([]byte(line), &r) != nil {
				continue
			}
			records = append(records, r)
		}
		rule := ProvingRule{Planned: 5, Paired: paired}
		for _, sides := range [][2][]sample.Record{{records}, {records, records}} {
			r := AnalyzeProving(sides, rule)
			if o := r.Verdict.Outcome; o == Improves || o == Regresses {
				t.Errorf("equal sides are %v", o)
			}
			if side := r.Proving.Sides[0]; side.Idle() < 0 || side.Times.N != len(side.Counted()) {
				t.Errorf("idle %v, %d of %d proofs", side.Idle(), side.Times.N, len(side.Counted()))
			}
		}
	})
}

// The rounds of a batch are one pair: what a batch has of its own is in all of
// them, so that they tell less than as many batches.
func TestAnalyzeProving_rounds(t *testing.T) {
	var records [2][]sample.Record
	times := [2][]int64{{100, 400}, {110, 220}} // of two rounds, in ms
	for side := range records {
		for batch := range uint64(6) {
			for i, ms := range times[side] {
				records[side] = append(records[side], sample.Record{V: sample.Version, Attempt: &sample.Attempt{
					Side: sample.Sides[side], Batch: batch + 1, Round: i + 1, Number: i + 1, Order: 1 + (side+i)%2,
					Status: sample.Accepted, ProvingNS: ms * 1e6,
				}})
			}
		}
	}
	r := AnalyzeProving(records, ProvingRule{Planned: 6, Compare: true, Paired: true, Margin: 0.03})
	if len(r.Pairs) != 6 || r.Proving.Rounds() != 2 {
		t.Fatalf("%d pairs, %d rounds, want 6 of 2", len(r.Pairs), r.Proving.Rounds())
	}
	for _, p := range r.Pairs {
		if base, test := math.Sqrt(100*400), math.Sqrt(110*220); math.Abs(p.MS[0]-base) > 1e-9 || math.Abs(p.MS[1]-test) > 1e-9 ||
			math.Abs(p.D-math.Log(test/base)) > 1e-12 {
			t.Errorf("pair %d is %v, D %v; want %v and %v", p.Number, p.MS, p.D, base, test)
		}
	}
	if len(r.Excluded) > 0 {
		t.Errorf("excluded: %+v", r.Excluded)
	}
}

// Batches of nearly the same gas show no line, however many they are.
func TestProvingSide_fitNeedsSpread(t *testing.T) {
	for _, c := range []struct {
		last float64
		line bool
	}{{16.9, false}, {25, true}} {
		var s ProvingSide
		s.fit([]float64{16.8, 16.7, 16.8, 16.9, c.last}, []float64{158, 140, 139, 198, 210})
		if (s.Fit != nil) != c.line || (s.NoFit == "") != c.line {
			t.Errorf("up to %v Mgas: line %v, %q", c.last, s.Fit, s.NoFit)
		}
	}
}
