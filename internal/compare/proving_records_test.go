package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

var update = flag.Bool("update", false, "rewrite the generated records")

// recordsDir holds the records of prover runs that tests read; package report
// reads them too.
const recordsDir = "testdata/proving"

// localnet makes the records of one side of a prover run.
type localnet struct {
	side    sample.Side
	rng     *rand.Rand
	now     time.Time
	gpu     bool
	factor  float64
	records []sample.Record
}

func (n *localnet) put(r sample.Record) {
	r.V = sample.Version
	n.records = append(n.records, r)
}

// session makes one turn: a batch of deposits, an empty one, a small one, then
// loaded ones, of which the first is the process's set-up.
func (n *localnet) session(number, loaded int) {
	n.put(sample.Record{Notice: &sample.Notice{Side: n.side, Session: number, At: n.now, Kind: sample.ProverStarted}})
	if !n.gpu {
		n.put(sample.Record{Notice: &sample.Notice{Side: n.side, Session: number, At: n.now, Kind: sample.NoGPU,
			Message: "nvidia-smi: executable file not found in $PATH"}})
	}
	for i := range loaded + 4 {
		txs, deposits := 400+n.rng.IntN(900), 0
		switch i {
		case 1:
			txs, deposits = 0, 192
		case 2:
			txs = 0
		case 3:
			txs = 6
		}
		n.batch(number, uint64(i+1), txs, deposits, i == 0)
	}
}

// batch makes a batch and the attempts at it. The sixth is lost once.
func (n *localnet) batch(session int, number uint64, txs, deposits int, setUp bool) {
	gas := uint64(txs*21_000 + deposits*21_500)
	if txs > 0 {
		gas += uint64(n.rng.IntN(3_000_000))
	}
	sealed := n.now.Add(-20 * time.Second)
	b := &sample.Batch{
		Side: n.side, Host: "bench-1", Session: session, Number: number,
		FirstBlock: number*10 + 1, LastBlock: number*10 + 10,
		GasUsed: gas, Transactions: txs, Deposits: deposits, SealedAt: sealed, CommittedAt: sealed.Add(2 * time.Second),
		CommitTx: fmt.Sprintf("0x%064x", number),
	}
	page := [3]uint64{gas, uint64(txs + deposits), 10}
	if number == 7 { // the page counts the block that no longer fitted
		page[0], page[1] = gas+2_100_000, page[1]+100
	}
	b.Metrics = &sample.BatchMetrics{GasUsed: &page[0], Transactions: &page[1], Blocks: &page[2]}
	tries := 1
	if number == 6 {
		tries = 2
	}
	for try := range tries {
		n.attempt(session, number, try+1, gas, setUp, try+1 < tries)
	}
	b.VerifiedAt = n.now.Add(3 * time.Second)
	b.VerifyTx = fmt.Sprintf("0x%064x", number+1000)
	n.put(sample.Record{Batch: b})
	n.idle(session, 5)
}

// attempt makes one attempt and the machine's records meanwhile.
func (n *localnet) attempt(session int, number uint64, try int, gas uint64, setUp, lost bool) {
	seconds := (4 + 0.9*float64(gas)/1e6) * n.factor * math.Exp(0.02*n.rng.NormFloat64())
	if setUp {
		seconds += 9
	}
	took := time.Duration(seconds*1000) * time.Millisecond
	a := &sample.Attempt{
		Side: n.side, Host: "bench-1", Session: session, Batch: number, Number: try, Status: sample.Accepted, SetUp: setUp,
		ReceivedAt: n.now, ProvedAt: n.now.Add(took + 300*time.Millisecond), ProvingNS: int64(took), PrecisionNS: 1e6,
	}
	a.AckedAt = a.ProvedAt.Add(12 * time.Millisecond)
	if lost {
		a.Status, a.AckedAt = sample.Lost, time.Time{}
		a.Failure = &sample.Failure{Message: "Failed to get SubmitAck: EOF while parsing a value at line 1 column 0"}
	}
	for end := a.ProvedAt; n.now.Before(end); n.now = n.now.Add(4 * time.Second) {
		n.machine(session, 0.9)
	}
	n.now = a.ProvedAt.Add(time.Second)
	n.put(sample.Record{Attempt: a})
}

// idle lets the prover wait.
func (n *localnet) idle(session, seconds int) {
	n.machine(session, 0.1)
	n.now = n.now.Add(time.Duration(seconds) * time.Second)
}

// machine records the machine at the given use.
func (n *localnet) machine(session int, use float64) {
	p := func(v float64) *float64 { v = math.Round(v*1000) / 1000; return &v }
	b := func(v float64) *int64 { i := int64(v); return &i }
	m := &sample.Machine{Side: n.side, Host: "bench-1", Session: session, At: n.now,
		CPU: p(use * (0.6 + 0.1*n.rng.Float64())), MemoryBytes: b(20e9 + 10e9*use)}
	if n.gpu {
		g := sample.GPU{Name: "NVIDIA GeForce RTX 4090", Utilization: p(use), MemoryBytes: b(1e9 + 18e9*use), TotalBytes: b(24e9),
			PowerWatts: p(30 + 380*use + 10*n.rng.Float64()), TemperatureCelsius: p(math.Round(40 + 35*use)), SMClockMHz: p(2520), Throttle: []string{}}
		if use > 0.5 && n.rng.Float64() < 0.2 {
			g.Throttle, g.SMClockMHz = []string{"sw_power_cap"}, p(2310)
		}
		m.GPUs = []sample.GPU{g}
	}
	n.put(sample.Record{Machine: m})
}

// replayed makes the records of one side of a replay of the same batches.
func replayed(side sample.Side, factor float64, batches int) []sample.Record {
	shared, own := rand.New(rand.NewPCG(7, 7)), rand.New(rand.NewPCG(8, uint64(side.Index())))
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	var out []sample.Record
	for i := range batches + 1 {
		size := 150e6 * math.Exp(0.4*shared.NormFloat64())
		number := uint64(max(i, 1))
		at = at.Add(2 * time.Second)
		a := &sample.Attempt{
			Side: side, Host: "bench-1", Session: 1, Batch: number, Number: 1, Status: sample.Accepted, SetUp: i == 0, WarmUp: i == 0,
			ReceivedAt: at, ProvedAt: at.Add(time.Second), AckedAt: at.Add(1100 * time.Millisecond),
			ProvingNS: int64(size * factor * math.Exp(0.01*own.NormFloat64())), PrecisionNS: 1e3,
			Order: 1 + (i+side.Index())%2, InputBytes: int64(size / 50),
			InputSHA256: fmt.Sprintf("%x", sha256.Sum256([]byte{byte(number)})),
			Public:      fmt.Sprintf("%x", sha256.Sum256([]byte{byte(number), 1})),
		}
		out = append(out, sample.Record{V: sample.Version, Attempt: a})
	}
	return out
}

// generated are the records of every file in recordsDir, by name.
func generated() map[string][]sample.Record {
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	out := make(map[string][]sample.Record)
	for i, side := range sample.Sides {
		n := &localnet{side: side, rng: rand.New(rand.NewPCG(1, uint64(i))), gpu: true, factor: []float64{1, 0.85}[i]}
		for session, turn := range [][]int{{0, 3}, {1, 2}}[i] { // ABBA
			n.now = begin.Add(time.Duration(turn) * 10 * time.Minute)
			n.session(session+1, 6)
		}
		out["gpu-"+string(side)] = n.records
		out["replay-"+string(side)] = replayed(side, []float64{1, 1.05}[i], 20)
	}
	n := &localnet{side: sample.Baseline, rng: rand.New(rand.NewPCG(3, 3)), factor: 0.02, now: begin}
	n.session(1, 6)
	out["exec-baseline"] = n.records
	return out
}

func recordsName(name string) string { return filepath.Join(recordsDir, name+".jsonl") }

// The files are what the generator makes: nobody edits them by hand.
func TestProvingRecords_areGenerated(t *testing.T) {
	for name, records := range generated() {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		for _, r := range records {
			if err := enc.Encode(r); err != nil {
				t.Fatal(err)
			}
		}
		if *update {
			if err := os.MkdirAll(recordsDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(recordsName(name), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(recordsName(name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, b.Bytes()) {
			t.Errorf("%s is not what the generator makes: go test -run TestProvingRecords -update", recordsName(name))
		}
	}
}
