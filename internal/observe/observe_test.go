package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// bench is a collection under test.
type bench struct {
	t       testing.TB
	dir     string
	options Options
	// end ends the collection that runs, and ended is its outcome.
	end   context.CancelFunc
	ended chan error
	out   *store.Lines
}

func newBench(t testing.TB, l *l2) *bench {
	t.Helper()
	dir := t.TempDir()
	return &bench{t: t, dir: dir, options: Options{
		Side: sample.Test, Host: "here", Session: 2, RPC: l.url, Metrics: l.url + "/metrics",
		ProverLog: filepath.Join(dir, "prover.log"), L2Log: filepath.Join(dir, "l2.log"), Every: 5 * time.Millisecond,
	}}
}

func (b *bench) file() string { return filepath.Join(b.dir, "samples.jsonl") }

// begin starts a collection on what the file holds.
func (b *bench) begin() {
	b.t.Helper()
	b.beginWith(func(*Collector) {})
}

// beginWith starts one that was changed first.
func (b *bench) beginWith(change func(*Collector)) {
	b.t.Helper()
	past := b.records()
	out, _, err := store.OpenLines(b.file())
	if err != nil {
		b.t.Fatal(err)
	}
	collector, err := New(b.options, out, past)
	if err != nil {
		b.t.Fatal(err)
	}
	change(collector)
	ctx, cancel := context.WithCancel(context.Background())
	b.end, b.ended, b.out = cancel, make(chan error, 1), out
	go func() { b.ended <- collector.Run(ctx) }()
	b.t.Cleanup(cancel)
}

// finish ends the collection and waits for it.
func (b *bench) finish() {
	b.t.Helper()
	b.end()
	select {
	case err := <-b.ended:
		if err := errors.Join(err, b.out.Close()); err != nil {
			b.t.Fatal(err)
		}
	case <-time.After(patience):
		b.t.Fatal("the collection does not end")
	}
}

// records are those in the file; the last one may be half written.
func (b *bench) records() []sample.Record {
	b.t.Helper()
	var all []sample.Record
	_, err := store.ReadLines(b.file(), func(r sample.Record) error {
		if r.V != sample.Version || r.Kinds() != 1 {
			return fmt.Errorf("record %+v", r)
		}
		all = append(all, r)
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return all
}

// until waits until the records are as they must be.
func (b *bench) until(what string, done func([]sample.Record) bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !done(b.records()) {
		if time.Now().After(deadline) {
			raw, _ := os.ReadFile(b.file())
			b.t.Fatalf("waited for %s; the file is\n%s", what, raw)
		}
		select {
		case err := <-b.ended:
			b.t.Fatalf("waited for %s, and the collection ended: %v", what, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// write appends text to a file of the bench.
func (b *bench) write(path, text string) {
	b.t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		_, err = file.WriteString(text)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// batch is the last record of a batch.
func batchOf(all []sample.Record, number uint64) (out sample.Batch) {
	for _, r := range all {
		if r.Batch != nil && r.Batch.Number == number {
			out = *r.Batch
		}
	}
	return out
}

func notices(all []sample.Record) (out []string) {
	for _, r := range all {
		if n := r.Notice; n != nil {
			text := string(n.Kind) + ": " + n.Message
			if n.Batch != nil {
				text += fmt.Sprintf(" (batch %d)", *n.Batch)
			}
			out = append(out, text)
		}
	}
	return out
}

// attempts are in the order in which they were written.
func attempts(all []sample.Record) (out []string) {
	for _, r := range all {
		if a := r.Attempt; a != nil {
			out = append(out, fmt.Sprintf("%d#%d %s %v", a.Batch, a.Number, a.Status, time.Duration(a.ProvingNS)))
		}
	}
	return out
}

func has(notice string) func([]sample.Record) bool {
	return func(all []sample.Record) bool {
		return slices.ContainsFunc(notices(all), func(n string) bool { return strings.HasPrefix(n, notice) })
	}
}

func counted(n int) *int { return &n }

// lines are of a prover that proved batches, with a time stamp each.
func lines(texts ...string) string {
	var out strings.Builder
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, text := range texts {
		at = at.Add(time.Second)
		fmt.Fprintf(&out, "%s %s\n", at.Format("2006-01-02T15:04:05.000000Z"), text)
	}
	return out.String()
}

// A batch is written as it is sealed, committed, proved and verified.
func TestCollector_batch(t *testing.T) {
	l := startL2(t)
	b := newBench(t, l)
	b.begin()
	b.until("the machine", func(all []sample.Record) bool { return len(all) > 3 })
	l.change(func() {
		l.blocks[1] = l2Block{gas: 1000, types: []string{"0x2", "0x2", "0x7e"}}
		l.blocks[2] = l2Block{gas: 500, types: []string{"0x0"}}
		l.batches = append(l.batches, l2Batch{first: 1, last: 2, ordinary: counted(3)})
		l.metrics = "batch_gas_used{batch_number=\"1\"} 1700\nbatch_tx_count{batch_number=\"1\"} 5\n"
	})
	b.until("the batch and its metrics", func(all []sample.Record) bool { return batchOf(all, 1).Metrics != nil })
	got := batchOf(b.records(), 1)
	if got.Side != sample.Test || got.Session != 2 || got.Host != "here" || got.FirstBlock != 1 || got.Blocks() != 2 ||
		got.GasUsed != 1500 || got.Transactions != 3 || got.Deposits != 1 || got.SealedAt.IsZero() || !got.CommittedAt.IsZero() ||
		*got.Metrics.GasUsed != 1700 || got.Metrics.ProvingSeconds != nil {
		t.Errorf("sealed: %+v", got)
	}
	l.change(func() { l.batches[0].commit = "0x22" })
	b.until("the commitment", func(all []sample.Record) bool { return batchOf(all, 1).CommitTx == "0x22" })
	b.write(b.options.ProverLog, lines(
		" INFO Prover started for [\"tcp://127.0.0.1:3900\"]",
		" INFO Received Response for batch_number: 1 endpoint=tcp://127.0.0.1:3900",
		" INFO Proved batch 1 in 1.87s batch=1 proving_time_s=1 proving_time_ms=1874",
		" INFO Received submit ack for batch_number: 1 endpoint=tcp://127.0.0.1:3900"))
	l.change(func() {
		l.batches[0].verify = "0x33"
		l.metrics += "batch_proving_time{batch_number=\"1\"} 2\n"
	})
	b.until("the verification", func(all []sample.Record) bool {
		got := batchOf(all, 1)
		return got.VerifyTx == "0x33" && got.Metrics.ProvingSeconds != nil
	})
	calls := l.called("ethrex_getBatchByNumber")
	looks := l.called("ethrex_batchNumber")
	b.until("more looks", func([]sample.Record) bool { return l.called("ethrex_batchNumber") > looks+3 })
	b.finish()
	if now := l.called("ethrex_getBatchByNumber"); now > calls {
		t.Errorf("a verified batch was asked for %d times more", now-calls)
	}
	if n := l.called("eth_getBlockByNumber"); n != 2 {
		t.Errorf("blocks were asked for %d times, want 2", n)
	}
	all := b.records()
	got = batchOf(all, 1)
	if got.SealedAt.After(got.CommittedAt) || got.CommittedAt.After(got.VerifiedAt) || got.GasUsed != 1500 {
		t.Errorf("verified: %+v", got)
	}
	if a := attempts(all); !slices.Equal(a, []string{"1#1 accepted 1.874s"}) {
		t.Errorf("attempts %q", a)
	}
	checkMachine(t, all)
}

// checkMachine looks at the records of the machine, which is this one.
func checkMachine(t *testing.T, all []sample.Record) {
	t.Helper()
	var last *sample.Machine
	shares := 0
	for _, r := range all {
		m := r.Machine
		if m == nil {
			continue
		}
		if last != nil && (m.OffsetNS <= last.OffsetNS || m.GPUs != nil) {
			t.Errorf("machine %+v after %+v", m, last)
		}
		if m.CPU != nil {
			shares++
			if *m.CPU < 0 || *m.CPU > 1 || last == nil {
				t.Errorf("CPU %v", *m.CPU)
			}
		}
		if m.MemoryBytes != nil && *m.MemoryBytes < 1<<20 {
			t.Errorf("memory of %d bytes", *m.MemoryBytes)
		}
		last = m
	}
	if _, err := os.Stat("/proc/stat"); err == nil && (last == nil || last.MemoryBytes == nil || shares == 0) {
		t.Errorf("the last record of the machine is %+v, of %d with a share", last, shares)
	}
}

// What credits deposits is told apart by whatever the L2 offers.
func TestCollector_deposits(t *testing.T) {
	types := func(kinds ...string) []string { return kinds }
	tests := []struct {
		name                   string
		ordinary               *int
		block                  l2Block
		transactions, deposits int
	}{
		{"the batch tells", counted(2), l2Block{types: types("0x2", "0x7e", "0x2")}, 2, 1},
		{"nothing but deposits", counted(0), l2Block{types: types("0x7e", "0x7e")}, 0, 2},
		{"withdrawals", counted(2), l2Block{types: types("0x2", "0x0"), withdrawals: 5}, 2, 5},
		{"withdrawals alone", counted(0), l2Block{withdrawals: 5}, 0, 5},
		{"the batch does not tell", nil, l2Block{types: types("0x2", "0x7e", "0x2")}, 2, 1},
		{"the batch cannot be right", counted(9), l2Block{types: types("0x2", "0x7e")}, 1, 1},
		{"empty", counted(0), l2Block{}, 0, 0},
	}
	l := startL2(t)
	for i, tt := range tests {
		number := uint64(i + 1)
		l.blocks[number] = tt.block
		l.batches = append(l.batches, l2Batch{first: number, last: number, ordinary: tt.ordinary, commit: "0x2", verify: "0x3"})
	}
	b := newBench(t, l)
	b.begin()
	b.until("all batches", func(all []sample.Record) bool { return batchOf(all, uint64(len(tests))).Number > 0 })
	b.finish()
	for i, tt := range tests {
		if got := batchOf(b.records(), uint64(i+1)); got.Transactions != tt.transactions || got.Deposits != tt.deposits {
			t.Errorf("%s: %d transactions, %d deposits, want %d, %d", tt.name, got.Transactions, got.Deposits, tt.transactions, tt.deposits)
		}
	}
}

// A server that does not answer is told once, and what only the page knew while
// the RPC was away is kept.
func TestCollector_serversAway(t *testing.T) {
	l, page := startL2(t), startL2(t)
	page.metrics = "batch_gas_used{batch_number=\"1\"} 1700\n"
	l.down = true
	b := newBench(t, l)
	b.options.Metrics = page.url
	b.begin()
	b.until("the batch of the page", func(all []sample.Record) bool { return batchOf(all, 1).Metrics != nil })
	if got := batchOf(b.records(), 1); got.FirstBlock != 0 {
		t.Errorf("batch %+v", got)
	}
	page.change(func() { page.down = true })
	b.until("both notices", func(all []sample.Record) bool {
		return has("no-rpc: ethrex_batchNumber: HTTP status 503")(all) && has("no-metrics: HTTP status 503")(all)
	})
	l.change(func() {
		l.blocks[1] = l2Block{gas: 5}
		l.batches = []l2Batch{{first: 1, last: 1, ordinary: counted(0)}}
		l.down = false
	})
	b.until("the batch of the RPC", func(all []sample.Record) bool { return batchOf(all, 1).FirstBlock == 1 })
	l.change(func() { l.down = true })
	b.until("the RPC being away again", func(all []sample.Record) bool {
		return len(slices.DeleteFunc(notices(all), func(n string) bool { return !strings.HasPrefix(n, "no-rpc") })) == 2
	})
	b.finish()
	got := batchOf(b.records(), 1)
	if got.GasUsed != 5 || got.Metrics == nil || *got.Metrics.GasUsed != 1700 {
		t.Errorf("batch %+v", got)
	}
	if n := notices(b.records()); len(n) != 3 {
		t.Errorf("notices %q", n)
	}
}

// Answers that cannot be right are no batches.
func TestCollector_wrongAnswers(t *testing.T) {
	for name, wrong := range map[string]l2Batch{
		"backwards": {first: 5, last: 4}, "from genesis": {first: 0, last: 4}, "endless": {first: 1, last: 1 << 40}, "no such block": {first: 7, last: 7},
	} {
		l := startL2(t)
		l.batches = []l2Batch{wrong}
		b := newBench(t, l)
		b.begin()
		b.until("the notice", has("no-rpc: "))
		b.finish()
		if got := batchOf(b.records(), 1); got.Number != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// The logs of a prover and a sequencer with everything that can go wrong.
var (
	proverText = lines(
		" INFO Prover started for [\"tcp://127.0.0.1:3900\"]",
		"ERROR Failed to request new data: Failed to get Response: Connection refused (os error 111)",
		"ERROR Failed to request new data: Failed to get Response: Connection refused (os error 111)",
		" INFO Received Response for batch_number: 1",
		" INFO Proved batch 1 in 47.12s batch=1 proving_time_s=47 proving_time_ms=47123",
		" INFO Received submit ack for batch_number: 1",
		" INFO Received Response for batch_number: 1",
		"ERROR out of memory",
		" INFO Received Response for batch_number: 1",
		" INFO Proved batch 1 in 48.00s batch=1 proving_time_s=48 proving_time_ms=48000",
		" INFO Received submit ack for batch_number: 1",
		" WARN Version mismatch: of commits",
		" INFO Prover started for [\"tcp://127.0.0.1:3900\"]",
		"ERROR Proof coordinator does not need SP1 proofs.",
	)
	l2Text = lines(
		" INFO BatchResponse sent for batch number: 1", "", "", "", "", "",
		" INFO Batch 1 exists but has no input for prover version (c0de), version mismatch",
		" INFO Batch 1 exists but has no input for prover version (c0de), version mismatch",
		" INFO BatchResponse sent for batch number: 1", "", "",
		" INFO Sending batch verification transaction to L1 batch_number=1",
		"\x1b[33m WARN\x1b[0m Deleting invalid SP1 proof",
	)
	wantAttempts = []string{
		"1#1 accepted 47.123s", "1#1 rejected 47.123s", "1#2 no-proof 0s", "1#3 accepted 48s", "1#3 rejected 48s",
	}
	wantNotices = []string{
		"prover-started: ", "no-coordinator: Failed to request new data: Failed to get Response: Connection refused (os error 111)",
		"prover-error: out of memory (batch 1)", "version-mismatch: Version mismatch: of commits", "prover-started: ",
		"type-not-needed: Proof coordinator does not need SP1 proofs.",
		"version-mismatch: Batch 1 exists but has no input for prover version (c0de), version mismatch", "proof-refused: Deleting invalid SP1 proof (batch 1)",
	}
)

func TestCollector_logs(t *testing.T) {
	b := newBench(t, startL2(t))
	b.begin()
	// The end of a line comes later than its beginning.
	half := len(proverText) / 2
	b.write(b.options.ProverLog, proverText[:half])
	b.until("the first attempt", func(all []sample.Record) bool { return len(attempts(all)) > 0 })
	b.write(b.options.ProverLog, proverText[half:])
	b.until("all attempts", func(all []sample.Record) bool { return len(attempts(all)) == len(wantAttempts)-1 })
	b.write(b.options.L2Log, l2Text)
	b.until("the refusal", func(all []sample.Record) bool { return len(attempts(all)) == len(wantAttempts) })
	b.finish()
	all := b.records()
	if got := attempts(all); !slices.Equal(got, wantAttempts) {
		t.Errorf("attempts\n%q, want\n%q", got, wantAttempts)
	}
	if got := notices(all); !slices.Equal(got, wantNotices) {
		t.Errorf("notices\n%q, want\n%q", got, wantNotices)
	}
	for _, r := range all {
		if n := r.Notice; n != nil && (n.At.Hour() != 10 || n.Session != 2 || n.Side != sample.Test) {
			t.Errorf("notice %+v", n)
		}
	}
}

// Wherever a collector was killed, the next one makes the file what it would be
// had nothing happened: here after each of its lines, and in the middle of it.
func TestCollector_resumed(t *testing.T) {
	l := startL2(t)
	l.blocks[1] = l2Block{gas: 1000, types: []string{"0x2", "0x7e"}}
	l.batches = []l2Batch{{first: 1, last: 1, ordinary: counted(1), commit: "0x22", verify: "0x33"}}
	b := newBench(t, l)
	b.write(b.options.ProverLog, proverText)
	b.write(b.options.L2Log, l2Text)
	whole := func() {
		b.begin()
		b.until("everything", func(all []sample.Record) bool {
			return len(attempts(all)) == len(wantAttempts) && len(notices(all)) == len(wantNotices) && batchOf(all, 1).VerifyTx != ""
		})
		b.finish()
	}
	whole()
	raw, err := os.ReadFile(b.file())
	if err != nil {
		t.Fatal(err)
	}
	kept, at := 0, 0
	for line := range strings.Lines(string(raw)) {
		begin := at
		at += len(line)
		if strings.Contains(line, `"machine"`) {
			continue
		}
		kept++
		for _, cut := range []int{begin, begin + len(line)/2} {
			if err := os.WriteFile(b.file(), raw[:cut], 0o644); err != nil {
				t.Fatal(err)
			}
			whole()
			all := b.records()
			batches := 0
			for _, r := range all {
				if r.Batch != nil {
					batches++
				}
			}
			if a, n := attempts(all), notices(all); !slices.Equal(a, wantAttempts) || !slices.Equal(n, wantNotices) || batches != 1 {
				t.Fatalf("cut in %s: attempts %q, notices %q, %d batches", line, a, n, batches)
			}
		}
	}
	if kept != len(wantAttempts)+len(wantNotices)+1 {
		t.Errorf("%d records beside those of the machine", kept)
	}
}

// A batch that was not verified when the collector ended is asked for again, and
// the times of before stay.
func TestCollector_resumedBatch(t *testing.T) {
	l := startL2(t)
	l.blocks[1] = l2Block{gas: 1000}
	l.batches = []l2Batch{{first: 1, last: 1, ordinary: counted(0), commit: "0x22"}}
	b := newBench(t, l)
	b.begin()
	b.until("the batch", func(all []sample.Record) bool { return batchOf(all, 1).CommitTx != "" })
	b.finish()
	before := batchOf(b.records(), 1)
	l.change(func() { l.batches[0].verify = "0x33" })
	b.begin()
	b.until("the verification", func(all []sample.Record) bool { return batchOf(all, 1).VerifyTx != "" })
	b.finish()
	after := batchOf(b.records(), 1)
	if !after.SealedAt.Equal(before.SealedAt) || !after.CommittedAt.Equal(before.CommittedAt) || after.GasUsed != 1000 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	// Another session is another collection.
	b.options.Session = 3
	b.begin()
	b.until("the batch of the other session", func(all []sample.Record) bool { return batchOf(all, 1).Session == 3 })
	b.finish()
}

// A log that is cut or replaced goes on with its new content, and that is said.
func TestCollector_cutLog(t *testing.T) {
	b := newBench(t, startL2(t))
	b.write(b.options.ProverLog, lines(" INFO Received payload #1", " INFO Proved payload #1 in 2s", " INFO Proof for payload #1 accepted"))
	b.begin()
	b.until("the first attempt", func(all []sample.Record) bool { return len(attempts(all)) == 1 })
	if err := os.Truncate(b.options.ProverLog, 0); err != nil {
		t.Fatal(err)
	}
	b.until("the notice", has("log-cut: "))
	b.write(b.options.ProverLog, lines("", "", "", " INFO Received payload #1", " INFO Proved payload #1 in 3s", " INFO Proof for payload #1 accepted"))
	b.until("the second attempt", func(all []sample.Record) bool { return len(attempts(all)) == 3 })
	b.write(b.options.ProverLog+".new", lines("", "", "", "", "", "", "", " INFO Received payload #2", " INFO Proved payload #2 in 4s", " INFO Proof for payload #2 accepted"))
	if err := os.Rename(b.options.ProverLog+".new", b.options.ProverLog); err != nil {
		t.Fatal(err)
	}
	b.until("the third attempt", func(all []sample.Record) bool { return len(attempts(all)) == 4 })
	b.finish()
	want := []string{"1#1 accepted 2s", "1#1 rejected 2s", "1#2 accepted 3s", "2#1 accepted 4s"}
	if got := attempts(b.records()); !slices.Equal(got, want) {
		t.Errorf("attempts %q, want %q", got, want)
	}
	if got := notices(b.records()); len(got) != 2 || !strings.Contains(got[1], "was replaced after") {
		t.Errorf("notices %q", got)
	}
}

// When nothing listens at the coordinator's port any more, that is a notice.
func TestCollector_port(t *testing.T) {
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skip("this system does not tell what listens")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	b := newBench(t, startL2(t))
	b.options.Coordinator = listener.Addr().String()
	out, _, err := store.OpenLines(b.file())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c, err := New(b.options, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	look := func(now time.Time, want int) {
		t.Helper()
		if err := c.lookAtPort(now); err != nil {
			t.Fatal(err)
		}
		if got := notices(b.records()); len(got) != want {
			t.Errorf("notices %q, want %d", got, want)
		}
	}
	now := time.Now()
	look(now, 0)
	listener.Close()
	look(now.Add(portPause-1), 0)
	look(now.Add(portPause), 1)
	look(now.Add(2*portPause), 1)
	if !has("no-coordinator: nothing listens on " + b.options.Coordinator)(b.records()) {
		t.Errorf("notices %q", notices(b.records()))
	}
}

// A file that cannot be written ends the collection.
func TestCollector_diskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no full disk to offer")
	}
	full, _, err := store.OpenLines("/dev/full")
	if err != nil {
		t.Skip("/dev/full cannot be opened as a file: ", err)
	}
	b := newBench(t, startL2(t))
	c, err := New(b.options, full, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Run(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "appending") {
		t.Errorf("Run: %v, and its context %v", err, ctx.Err())
	}
}

func TestNew_refused(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"the scheme must be http or https": func(o *Options) { o.RPC = "ftp://127.0.0.1" },
		"must be an http or https URL":     func(o *Options) { o.Metrics = "127.0.0.1:3702" },
		"must be HOST:PORT":                func(o *Options) { o.Coordinator = "127.0.0.1" },
		`coordinator ":0"`:                 func(o *Options) { o.Coordinator = ":0" },
	} {
		o := Options{RPC: "http://127.0.0.1:1", Every: time.Second}
		change(&o)
		if _, err := New(o, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q", err, want)
		}
	}
	for address, want := range map[string]uint16{"127.0.0.1:3900": 3900, "localhost:3900": 3900, "[::1]:1": 1, "0.0.0.0:3900": 3900, "192.0.2.1:3900": 0, "prover:3900": 0} {
		if port, err := localPort(address); port != want || err != nil {
			t.Errorf("localPort(%q) = %d, %v, want %d", address, port, err, want)
		}
	}
}
