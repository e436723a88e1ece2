package prove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// newRunner is a run on this machine, with a home directory of its own, that has
// begun and done nothing.
func newRunner(t *testing.T, change func(*spec.Prover)) *runner {
	t.Helper()
	if os.Getenv("HOME") == "" || !strings.HasPrefix(os.Getenv("HOME"), os.TempDir()) {
		t.Setenv("HOME", t.TempDir())
	}
	s := spec.ProverDefaults(spec.Local)
	s.Complete(nil)
	s.Ports = spec.RollupPorts{L1: freePort(t), L2: freePort(t), Metrics: freePort(t), Coordinator: freePort(t), Admin: freePort(t)}
	s.Timeouts = spec.ProverTimeouts{Ready: time.Second, Funded: time.Second, Loaded: time.Second, Proof: time.Second}
	if change != nil {
		change(&s)
	}
	encoded, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	run, err := store.Create(filepath.Join(t.TempDir(), "run"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	h := host.Local()
	r := &runner{
		Options: Options{
			Spec: s, SpecYAML: encoded, Plan: plan.MakeProver(&s, spec.Hash(encoded)), Run: run, Now: time.Now,
			Host: h, Version: "test", Progress: func(Progress) {},
			Install: func(context.Context, host.Host) (string, error) { return "/bin/true", nil },
			Approve: func(context.Context, plan.Step, string) error { return errors.New("nobody approves") },
			Report:  func(store.Manifest, *compare.Result) error { return nil },
		},
		done: make(map[string]bool), up: make(map[string]bool), warned: make(map[string]bool),
		sessions: plan.Turns(&s), ports: newPorts(h),
	}
	t.Cleanup(r.ports.close)
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	return r
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// portOf is the port of a test server.
func portOf(t *testing.T, s *httptest.Server) uint16 {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

// step is the step of a plan with that ID.
func (r *runner) stepOf(t *testing.T, id string) plan.Step {
	t.Helper()
	i := slices.IndexFunc(r.Plan.Steps, func(s plan.Step) bool { return s.ID == id })
	if i < 0 {
		t.Fatalf("the plan has no step %s", id)
	}
	return r.Plan.Steps[i]
}

// serve answers JSON-RPC on a port of its own with what answer says.
func serve(t *testing.T, answer func(method string) any) uint16 {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var request struct {
			ID     any    `json:"id"`
			Method string `json:"method"`
		}
		if err := json.NewDecoder(q.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": request.ID, "result": answer(request.Method)})
	}))
	t.Cleanup(s.Close)
	return portOf(t, s)
}

// begins starts a program that does nothing as the named one of session 1.
func (r *runner) begins(t *testing.T, name string, argv ...string) host.Identity {
	t.Helper()
	if len(argv) == 0 {
		argv = []string{"sleep", "600"}
	}
	if err := r.begin(1); err != nil {
		t.Fatal(err)
	}
	id, err := r.Host.Start(t.Context(), host.Program{Dir: r.dir(1), Name: name, Argv: argv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Host.Stop(context.Background(), id, 9, 0) })
	return id
}

func TestLock(t *testing.T) {
	ctx := t.Context()
	first, second := newRunner(t, nil), newRunner(t, nil)
	path := filepath.Join(os.Getenv("HOME"), ".verdict", "prover.lock")
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if fault.KindOf(err) != fault.Prerequisite || err == nil || !strings.Contains(err.Error(), first.Run.Dir()) {
			t.Fatalf("%s: %v, want a refusal that names %s", what, err, first.Run.Dir())
		}
	}
	ok("a free host", first.lock(ctx))
	ok("a host that is ours", first.lock(ctx))
	refused("a host whose controller lives", second.lock(ctx))
	ok("not ours to give back", second.unlock(ctx))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("another run gave the lock back: %v", err)
	}

	// The controller has ended and left a program behind.
	id := first.begins(t, nameL1)
	first.Run.Close()
	refused("a host on which something of it runs", second.lock(ctx))
	if _, err := first.Host.Stop(ctx, id, 9, 0); err != nil {
		t.Fatal(err)
	}
	ok("a host that was left", second.lock(ctx))
	ok("ours to give back", second.unlock(ctx))
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the lock is still there: %v", err)
	}

	// A controller of another machine cannot be looked after.
	line := `{"dir":"~/.verdict/runs/x-1","run":"` + first.Run.Dir() + `","by":"u@m","since":"2026-01-02T03:04:05Z","boot":"other","host_boot":"` + bootID() + `"}`
	ok("a lock", os.WriteFile(path, []byte(line+"\n"), 0o644))
	refused("a host of a controller elsewhere", second.lock(ctx))
	ok("a lock", os.WriteFile(path, []byte(strings.Replace(line, bootID(), "before", 1)+"\n"), 0o644))
	ok("a host that was booted since", second.lock(ctx))
	left, err := filepath.Glob(path + ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("left beside the lock: %v, %v", left, err)
	}
}

func TestListening(t *testing.T) {
	free := freePort(t)
	four, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	taken := uint16(four.Addr().(*net.TCPAddr).Port)
	open, err := listening(t.Context(), host.Local(), free, taken)
	if err != nil || len(open) != 1 || open[0] != taken {
		t.Errorf("listening(%d, %d) = %v, %v; want the second", free, taken, open, err)
	}
}

// batch is a record of a batch with so many transactions.
func batchOf(n uint64, transactions int, verified bool) sample.Record {
	b := &sample.Batch{Session: 1, Number: n, FirstBlock: 10 * n, LastBlock: 10*n + 9, Transactions: transactions}
	if verified {
		b.VerifiedAt = time.Unix(1, 0)
	}
	return sample.Record{V: 1, Batch: b}
}

func attemptAt(batch uint64, number int, status sample.AttemptStatus, setUp bool) sample.Record {
	return sample.Record{V: 1, Attempt: &sample.Attempt{Session: 1, Batch: batch, Number: number, Status: status, SetUp: setUp, ProvingNS: int64(batch) * 1e6}}
}

func TestProofs(t *testing.T) {
	p := newProofs(&spec.Prover{MinTransactions: 10})
	for _, rec := range []sample.Record{
		batchOf(1, 0, true), attemptAt(1, 1, sample.Accepted, true), // empty, and the first proof
		batchOf(2, 50, true), attemptAt(2, 1, sample.Accepted, false),
		batchOf(3, 50, false), attemptAt(3, 1, sample.Accepted, false), // not verified yet
		batchOf(4, 50, true), attemptAt(4, 1, sample.Rejected, false), attemptAt(4, 2, sample.Accepted, false),
		batchOf(5, 9, true), attemptAt(5, 1, sample.Accepted, false), // not enough load
		batchOf(6, 50, false),                                                                                  // not proved
		batchOf(7, 50, true), attemptAt(7, 1, sample.Accepted, false), attemptAt(7, 1, sample.Rejected, false), // refused later
		{V: 1, Batch: &sample.Batch{Session: 1, Number: 8, Transactions: 50}}, // told by the metrics page alone
	} {
		p.add(rec)
	}
	sealed, proved, verified := p.numbers()
	if got := fmt.Sprint(sealed, proved, verified, p.counted(), p.possible()); got != "5 3 2 2 5" {
		t.Errorf("sealed, proved, verified, counted, possible = %s, want 5 3 2 2 5", got)
	}
	p.verified = false
	if n := p.counted(); n != 3 {
		t.Errorf("without the L1 %d batches count, want 3", n)
	}
	if first, ok := p.firstLoaded(); first != 2 || !ok {
		t.Errorf("firstLoaded() = %d, %v, want 2", first, ok)
	}
	if m := p.median(); m != 3*time.Millisecond {
		t.Errorf("median() = %v, want that of batches 2, 3 and 4", m)
	}
	if text := p.describe(); !strings.Contains(text, "after 7 attempts, of which 2 came to nothing") {
		t.Errorf("describe() = %q", text)
	}
}

func TestReady(t *testing.T) {
	const commit = "0123456789012345678901234567890123456789"
	for _, c := range []struct {
		name, version, log string
		head               string
		coordinator        bool
		want               string
	}{
		{name: "ready", version: "ethrex/v1-main-" + commit + "/linux", head: "0x2", coordinator: true},
		{name: "no commit told", version: "ethrex/v1", head: "0x2", coordinator: true},
		{name: "no blocks", version: "ethrex/v1", head: "0x1", coordinator: true, want: "is at block 1"},
		{name: "no coordinator", version: "ethrex/v1", head: "0x2", want: "nothing listens at the port of the proof coordinator"},
		{name: "another commit", version: "ethrex/v1-main-" + strings.Repeat("f", 40), head: "0x2", coordinator: true, want: "the L2 says that it is commit ffff"},
		{name: "no sequencer", version: "ethrex/v1", head: "0x2", coordinator: true, log: "ERROR Error starting Sequencer: no proof types\n", want: "makes no blocks: ERROR Error starting Sequencer: no proof types"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRunner(t, func(s *spec.Prover) {
				s.Ports.L2 = serve(t, func(method string) any {
					if method == "web3_clientVersion" {
						return c.version
					}
					return c.head
				})
				if c.coordinator {
					s.Ports.Coordinator = s.Ports.L2 // anything that listens
				}
			})
			r.state.Builds[plan.BuildSide+"-baseline"] = program.Built{Commit: commit}
			writeLog(t, r, nameL2, c.log)
			_, err := r.ready(t.Context(), r.stepOf(t, "start-l2-1"))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("ready: %v, want %q", err, c.want)
			}
		})
	}
}

// writeLog is what a program of session 1 has printed.
func writeLog(t *testing.T, r *runner, name, text string) {
	t.Helper()
	dir := strings.Replace(r.dir(1), "~", os.Getenv("HOME"), 1)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".log"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWait_endsWithTheProgram(t *testing.T) {
	r := newRunner(t, func(s *spec.Prover) { s.Timeouts.Ready = time.Minute })
	r.begins(t, nameL2, "sh", "-c", "echo the disk is full; exit 3")
	r.up[nameL2] = true
	_, err := r.ready(t.Context(), r.stepOf(t, "start-l2-1"))
	if err == nil || !strings.Contains(err.Error(), "the L2 of session 1 on localhost has ended with status 3") || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("ready: %v, want how the L2 ended and its log", err)
	}
}

func TestDeploy(t *testing.T) {
	const env = "ETHREX_COMMITTER_ON_CHAIN_PROPOSER_ADDRESS=0x00000000000000000000000000000000000000aa\nETHREX_WATCHER_BRIDGE_ADDRESS=0x00000000000000000000000000000000000000bb\n"
	for _, c := range []struct{ name, script, before, want string }{
		{name: "well", script: "printf '" + strings.ReplaceAll(env, "\n", `\n`) + "' >env"},
		{name: "failed", script: "echo no money; exit 1", want: "the deployer of session 1 on localhost has ended with status 1"},
		{name: "no file", script: "true", want: "has ended well and written no addresses"},
		{name: "stale file", script: "true", before: env, want: "is there before the deployment"},
		{name: "no deposits", script: "echo '  WARN Failed to make deposits: oh'; printf '" + strings.ReplaceAll(env, "\n", `\n`) + "' >env", want: "made no deposits"},
		{name: "torn file", script: "printf 'ETHREX_WATCHER_BRIDGE' >env", want: "not whole"},
		{name: "hangs", script: "exec sleep 600", want: "has not ended within 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRunner(t, nil)
			writeLog(t, r, "unrelated", "")
			s := r.stepOf(t, "deploy-1")
			s.Argv, s.Env = []string{"sh", "-c", c.script}, nil
			if c.before != "" {
				file := strings.Replace(r.envFile(1), "~", os.Getenv("HOME"), 1)
				if err := os.WriteFile(file, []byte(c.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			detail, err := r.deploy(t.Context(), s)
			if id, st, _ := r.found(t.Context(), 1, nameDeploy); st.Phase == host.Running {
				t.Cleanup(func() { r.Host.Stop(context.Background(), id, 9, 0) })
			}
			if c.want == "" && (err != nil || !strings.HasSuffix(detail, "bb")) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("deploy: %q, %v; want %q", detail, err, c.want)
			}
		})
	}
}

// committer is an admin server.
func committer(t *testing.T, obeys bool) uint16 {
	running := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/committer/stop":
			running = !obeys
			fmt.Fprint(w, `"ok"`)
		case "/committer/start":
			running = true
			fmt.Fprint(w, `"ok"`)
		case "/health":
			fmt.Fprintf(w, `{"l1_committer":{"running":%v}}`, running)
		default:
			http.NotFound(w, q)
		}
	}))
	t.Cleanup(s.Close)
	return portOf(t, s)
}

func TestSwitchCommitter(t *testing.T) {
	r := newRunner(t, func(s *spec.Prover) { s.Ports.Admin = committer(t, true) })
	s := r.stepOf(t, "hold-committer-1")
	for _, what := range []string{"stop", "start"} {
		if detail, err := r.switchCommitter(t.Context(), s, what); err != nil || detail != `"ok"` {
			t.Errorf("switchCommitter(%s) = %q, %v", what, detail, err)
		}
	}
	r = newRunner(t, func(s *spec.Prover) { s.Ports.Admin = committer(t, false) })
	if _, err := r.switchCommitter(t.Context(), s, "stop"); err == nil || !strings.Contains(err.Error(), "says that the committer runs: true") {
		t.Errorf("a committer that does not stop: %v", err)
	}
}

// samplesOf writes what a collector of session 1 would.
func samplesOf(t *testing.T, r *runner, records ...sample.Record) {
	t.Helper()
	var text strings.Builder
	for _, rec := range records {
		line, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(line, '\n'))
	}
	writeLog(t, r, "unrelated", "")
	dir := strings.Replace(r.dir(1), "~", os.Getenv("HOME"), 1)
	f, err := os.OpenFile(filepath.Join(dir, "samples.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text.String()); err != nil {
		t.Fatal(err)
	}
}

func TestProve(t *testing.T) {
	ok := []sample.Record{batchOf(1, 50, true), attemptAt(1, 1, sample.Accepted, true), batchOf(2, 50, true), attemptAt(2, 1, sample.Accepted, false)}
	notice := func(kind sample.NoticeKind, message string) sample.Record {
		return sample.Record{V: 1, Notice: &sample.Notice{Session: 1, Kind: kind, Message: message, At: time.Unix(1, 0)}}
	}
	for _, c := range []struct {
		name    string
		records []sample.Record
		head    func() string
		load    string
		patient bool
		want    string
	}{
		{name: "enough", records: ok},
		{name: "another version", records: append(ok[:2:2], notice(sample.VersionMismatch, "Version mismatch")), want: "of another commit than the sequencer"},
		{name: "not needed", records: []sample.Record{notice(sample.TypeNotNeeded, "does not need Exec proofs")}, want: "needs no proofs of backend exec"},
		{name: "no progress", records: ok[:3], want: "has got nothing accepted and verified for 1s: 2 batches with load are sealed, 1 proved and 1 verified, after 1 attempts"},
		{name: "no blocks", records: ok[:2], head: func() string { return "0x5" }, patient: true, want: "the L2 of session 1 on localhost answers and has made no block since 5"},
		{name: "load ended", records: ok[:2], head: func() string { return "0x5" }, load: "exit 0", patient: true, want: "the load has ended after 50 transactions of each account, which made 0 of the 1 batches"},
		{name: "load failed", records: ok[:2], load: "exit 101", patient: true, want: "the load of session 1 on localhost has ended with status 101"},
	} {
		t.Run(c.name, func(t *testing.T) {
			block := 0
			r := newRunner(t, func(s *spec.Prover) {
				s.Batches = 1
				s.Ports.L2 = serve(t, func(string) any {
					if c.head != nil {
						return c.head()
					}
					block++
					return fmt.Sprintf("0x%x", block)
				})
				if c.patient {
					s.Timeouts.Proof = time.Minute
				}
			})
			if c.load != "" {
				r.begins(t, nameLoad, "sh", "-c", c.load)
				r.up[nameLoad] = true
			}
			samplesOf(t, r, c.records...)
			detail, err := r.prove(t.Context(), r.stepOf(t, "prove-1"))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("prove: %q, %v; want %q", detail, err, c.want)
			}
			stored, err := journal.ReadRecords(r.Run)
			if err != nil || len(stored[0]) != len(c.records) {
				t.Errorf("%d records are stored, %v; want %d", len(stored[0]), err, len(c.records))
			}
		})
	}
}

func TestFollower_goesOn(t *testing.T) {
	r := newRunner(t, nil)
	if err := r.begin(1); err != nil {
		t.Fatal(err)
	}
	s := r.stepOf(t, "prove-1")
	samplesOf(t, r, batchOf(1, 50, true))
	if err := r.newFollower(s).read(t.Context()); err != nil {
		t.Fatal(err)
	}
	samplesOf(t, r, attemptAt(1, 1, sample.Accepted, false))
	f := r.newFollower(s)
	if err := f.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.proofs.counted() != 1 || len(r.records[0]) != 2 {
		t.Errorf("%d of 1 batches count, %d of 2 records are here", f.proofs.counted(), len(r.records[0]))
	}
	path := strings.Replace(r.dir(1), "~", os.Getenv("HOME"), 1) + "/samples.jsonl"
	if err := os.Truncate(path, 5); err != nil {
		t.Fatal(err)
	}
	if err := f.read(t.Context()); fault.KindOf(err) != fault.Failed || len(fault.HintsOf(err)) == 0 {
		t.Errorf("a file that was cut: %v", err)
	}
}

func TestTakeDown(t *testing.T) {
	ctx := t.Context()
	r := newRunner(t, nil)
	if err := r.lock(ctx); err != nil {
		t.Fatal(err)
	}
	names := []string{nameL1, nameL2, nameProver, nameLoad, nameWatch, nameDeploy}
	for _, name := range names {
		r.begins(t, name)
	}
	other := r.begins(t, "beside") // of nobody
	if err := r.takeDown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, st, err := r.found(ctx, 1, name); err != nil || st.Phase != host.Ended {
			t.Errorf("%s is %v, %v", name, st.Phase, err)
		}
	}
	if _, st, _ := r.found(ctx, 1, "beside"); st.Phase != host.Running {
		t.Errorf("what the run did not start, %v, was stopped", other)
	}
	var order []string
	events, err := r.Run.Events()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Event == store.Done {
			order = append(order, e.Step)
		}
	}
	if want := "stop-load-1 stop-prover-1 stop-collector-1 stop-l2-1 stop-l1-1 verify-stopped-1"; strings.Join(order, " ") != want {
		t.Errorf("stopped in the order %v, want %s", order, want)
	}
	if !r.state.Ended {
		t.Error("the state does not say that the run was taken down")
	}
	if _, err := os.Stat(filepath.Join(os.Getenv("HOME"), ".verdict", "prover.lock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock is still there: %v", err)
	}
	again := *r
	again.Resume = true
	if err := again.open(); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "cannot go on") {
		t.Errorf("taking up what was taken down: %v", err)
	}
}

func TestVerify_saysWhatIsLeft(t *testing.T) {
	r := newRunner(t, nil)
	id := r.begins(t, nameProver)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", r.Spec.Ports.Metrics))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = r.verify(ctx, r.stepOf(t, "verify-stopped-1"))
	for _, want := range []string{fmt.Sprint(id), fmt.Sprintf("port %d", r.Spec.Ports.Metrics)} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("verify: %v, want %q in it", err, want)
		}
	}
}

func TestInTheWay(t *testing.T) {
	r := newRunner(t, nil)
	found := []program.Leftover{
		{Kind: "port", Port: 1729, PID: 77, Name: "ethrex"},
		{Kind: "process", PID: 78, Name: "ethrex", Role: fmt.Sprintf("ethrex l2 prover --proof-coordinators tcp://127.0.0.1:%d", r.Spec.Ports.Coordinator)},
		{Kind: "process", PID: 79, Name: "ethrex", Role: "ethrex l2 prover --proof-coordinators tcp://127.0.0.1:1"},
		{Kind: "database", Path: "/x/dev_ethrex_l2"},
	}
	err := r.inTheWay(found)
	if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "port 1729, taken by process 77, ethrex") ||
		!strings.Contains(err.Error(), "process 78") || strings.Contains(err.Error(), "process 79") || !strings.Contains(strings.Join(fault.HintsOf(err), " "), "--clear") {
		t.Errorf("inTheWay: %v, hints %q", err, fault.HintsOf(err))
	}
	if err := r.inTheWay(found[2:]); err != nil {
		t.Errorf("a database elsewhere, and a localnet on other ports, are not in the way: %v", err)
	}
	if _, err := r.served(found[:1]); err == nil || !strings.Contains(err.Error(), fmt.Sprint(r.Spec.Ports.L2)) {
		t.Errorf("served: %v", err)
	}
}

// What was approved is removed, and what is like it is left alone.
func TestRemove(t *testing.T) {
	r := newRunner(t, func(s *spec.Prover) { s.Clear = true })
	r.Approve = func(_ context.Context, s plan.Step, seen string) error {
		if s.ID != "remove-processes" || !strings.Contains(seen, "load_test") {
			return fmt.Errorf("asked for %s: %s", s.ID, seen)
		}
		return nil
	}
	tool := filepath.Join(t.TempDir(), "load_test")
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Skip("no program to copy: ", err)
	}
	if err := os.WriteFile(tool, sleep, 0o755); err != nil {
		t.Fatal(err)
	}
	left, other := r.begins(t, "left", tool, "600"), r.begins(t, "other", tool, "600")
	out, err := r.script(t.Context(), r.stepOf(t, "find"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := program.ParseFound(out)
	if err != nil {
		t.Fatal(err)
	}
	// What else runs on this machine is not this test's.
	found = slices.DeleteFunc(found, func(l program.Leftover) bool { return l.PID != left.PID || l.Kind != "process" })
	if len(found) != 1 {
		t.Fatalf("find did not see process %d: %s", left.PID, out)
	}
	if _, err := r.approve(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if detail, err := r.remove(t.Context(), r.stepOf(t, "remove-processes")); err != nil || !strings.Contains(detail, fmt.Sprint(left.PID)) {
		t.Errorf("remove = %q, %v", detail, err)
	}
	for name, want := range map[string]host.Phase{"left": host.Ended, "other": host.Running} {
		if _, st, err := r.found(t.Context(), 1, name); err != nil || st.Phase != want {
			t.Errorf("process %s is %v, %v; want %s (other is %v)", name, st.Phase, err, want, other)
		}
	}
	if detail, err := r.remove(t.Context(), r.stepOf(t, "remove-databases")); err != nil || detail != "there is nothing to remove" {
		t.Errorf("remove of nothing = %q, %v", detail, err)
	}
	if err := newRunner(t, func(s *spec.Prover) { s.Clear = true }).refuses(t, found); err == nil {
		t.Error("nobody approved, and it went on")
	}
}

// refuses is what comes of an approval that nobody gives.
func (r *runner) refuses(t *testing.T, found []program.Leftover) error {
	_, err := r.approve(t.Context(), found)
	if len(r.state.Approved) > 0 {
		t.Errorf("approved without anybody: %v", r.state.Approved)
	}
	return err
}
