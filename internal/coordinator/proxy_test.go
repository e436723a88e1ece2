package coordinator

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

var began = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

// proxy runs a proxy that records into dir and returns its address; stop ends
// both.
func proxy(t testing.TB, upstream, dir string, l Limits, passed func(Exchange)) (addr string, stop func()) {
	t.Helper()
	rec, err := Record(dir, upstream, "verdict test", began)
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t)
	p := &Proxy{Upstream: upstream, Limits: l, Recorder: rec, Passed: passed}
	end := running(t, func(ctx context.Context) error { return p.Serve(ctx, ln) })
	stop = sync.OnceFunc(func() {
		if err := errors.Join(end(), rec.Close()); err != nil {
			t.Errorf("ending the proxy: %v", err)
		}
	})
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

func open(t testing.TB, dir string) *Recording {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProxy_recordsWhatPasses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rec")
	large, small := response(7, 2<<20), response(8, 100)
	answers := map[string][]byte{
		"large": large, "small": small, "idle": NothingToDo(Message{}), "mismatch": []byte(`"VersionMismatch"`),
		"other": response(7, 3<<20), "future": []byte(`{"Future":{"x":[1]}}`), "cut": large[:1<<20], "empty": nil,
	}
	upstream := serve(t, Limits{}, func(ctx context.Context, r Received, w io.Writer) error {
		if r.Message.Kind == ProofSubmit {
			return always(Acknowledge(r.Message))(ctx, r, w)
		}
		return always(answers[r.Message.Commit])(ctx, r, w)
	}, nil)
	passed := make(chan Exchange, 1)
	addr, stop := proxy(t, upstream, dir, Limits{}, func(e Exchange) { passed <- e })
	order := []string{"large", "small", "large", "other", "idle", "mismatch", "future", "cut", "empty"}
	for _, commit := range order {
		got, _, _ := ask1(t, addr, Request(BatchRequest, commit, "SP1"))
		if !bytes.Equal(got, answers[commit]) {
			t.Errorf("%s: %d bytes came through, want %d", commit, len(got), len(answers[commit]))
		}
		// The prover has its answer before the recorder has done with it.
		<-passed
	}
	if got, _, err := ask1(t, addr, []byte(`{"ProofSubmit":{"batch_number":7,"batch_proof":{"ProofBytes":{}}}}`)); string(got) != `{"ProofSubmitACK":{"batch_number":7}}` {
		t.Errorf("submitting: %s, %v", got, err)
	}
	stop()
	r := open(t, dir)
	if len(r.Batches) != 2 || len(r.Exchanges) != len(order)+1 {
		t.Fatalf("recorded: %+v, %d exchanges", r.Batches, len(r.Exchanges))
	}
	for i, want := range [][]byte{large, small} {
		got, err := os.ReadFile(documentPath(dir, r.Batches[i].Number))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("batch %d: %d bytes, %v, want %d as they passed", r.Batches[i].Number, len(got), err, len(want))
		}
	}
	if b := r.Batches[0]; b.Seen != 3 || b.Differing != 1 || b.Commit != "large" || b.Prover != "SP1" || b.Format != "Groth16" || b.Kind != BatchResponse || b.At.IsZero() {
		t.Errorf("batch 7 is %+v", b)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "another document") {
		t.Errorf("warnings: %q", r.Warnings)
	}
	if m := r.Manifest; len(m.Commits) != len(answers) || len(m.Provers) != 1 || m.Upstreams[0] != upstream || !m.Started.Equal(began) {
		t.Errorf("manifest: %+v", m)
	}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	checkExchanges(t, r.Exchanges)
}

func checkExchanges(t *testing.T, all []Exchange) {
	t.Helper()
	said := make(map[string]Exchange)
	for _, e := range all {
		said[e.Commit] = e
		if e.Connect <= 0 || e.Sent < e.Connect || e.Whole < e.Connect {
			t.Errorf("timing of %s: %+v", e.Commit, e.Timing)
		}
	}
	if e := said["future"]; e.Answer != Unknown || e.AnswerTag != "Future" || e.Error != "" {
		t.Errorf("an unknown answer is recorded as %+v", e)
	}
	if e := said["cut"]; !strings.Contains(e.Error, "ends too soon") || e.SHA256 != "" {
		t.Errorf("a cut answer is recorded as %+v", e)
	}
	if e := said["empty"]; e.Answer != Empty || e.Error != "" {
		t.Errorf("an internal error is recorded as %+v", e)
	}
	if e := said[""]; e.Request != ProofSubmit || e.Answer != ProofSubmitACK || *e.Batch != 7 {
		t.Errorf("a proof is recorded as %+v", e)
	}
}

// Documents of no known form, and no JSON at all, pass in both directions.
func TestProxy_anyBytes(t *testing.T) {
	ln := listen(t)
	running(t, func(ctx context.Context) error {
		return accept(ctx, ln, Limits{}.filled(), func(_ context.Context, c *net.TCPConn) {
			raw, _ := io.ReadAll(c)
			c.Write(append([]byte("echo "), raw...))
		})
	})
	told := newFailures()
	addr, _ := proxy(t, ln.Addr().String(), t.TempDir(), Limits{}, func(e Exchange) { told.add(e.Error) })
	noise := make([]byte, 1<<20)
	rand.Read(noise)
	got, _, _ := ask1(t, addr, noise)
	if string(got) != "echo "+string(noise) {
		t.Errorf("%d bytes came back, want %d", len(got), len(noise)+5)
	}
	told.await(t, "malformed document")
}

func TestProxy_brokenPeers(t *testing.T) {
	ln := listen(t)
	hang := make(chan struct{})
	defer close(hang)
	doc := response(5, 5<<20)
	running(t, func(ctx context.Context) error {
		return accept(ctx, ln, Limits{}.filled(), func(_ context.Context, c *net.TCPConn) {
			raw, _ := io.ReadAll(c)
			switch m, _ := Scan(raw); m.Commit {
			case "reset":
				c.Write(doc[:1<<20])
				abort(c)
			case "hang":
				c.Write(doc[:10])
				<-hang
			case "late":
				c.Write(doc)
			}
		})
	})
	told := newFailures()
	dir := t.TempDir()
	addr, stop := proxy(t, ln.Addr().String(), dir, limits, func(e Exchange) { told.add(e.Commit + ": " + e.Error) })
	for _, commit := range []string{"reset", "hang"} {
		if got, _, err := ask1(t, addr, Request(BatchRequest, commit, "")); err == nil || strings.Contains(err.Error(), "ends too soon") {
			t.Errorf("%s: %d bytes, %v, want a reset stream, which no prover takes for a whole one", commit, len(got), err)
		}
		told.await(t, commit+": the answer broke off")
	}
	// A prover that dies while it is answered.
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.Write(Request(BatchRequest, "late", ""))
	nc.(*net.TCPConn).CloseWrite()
	io.ReadFull(nc, make([]byte, 1000))
	abort(nc.(*net.TCPConn))
	told.await(t, "late: the prover did not take the answer")
	// A prover that dies in its request.
	if nc, err = net.Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
	nc.Write([]byte(`{"BatchRequest":`))
	abort(nc.(*net.TCPConn))
	told.await(t, "the request did not pass")
	// The coordinator is gone.
	ln.Close()
	if _, _, err := ask1(t, addr, request); err == nil || errors.Is(err, ErrEmpty) {
		t.Errorf("without a coordinator: %v, want a reset", err)
	}
	told.await(t, "the coordinator cannot be reached")
	stop()
	r := open(t, dir)
	if len(r.Batches) != 0 {
		t.Errorf("broken answers were recorded: %+v", r.Batches)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, batchesName)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A proxy that ends in the middle of an answer resets it.
func TestProxy_shutdownResets(t *testing.T) {
	ln := listen(t)
	hang := make(chan struct{})
	defer close(hang)
	running(t, func(ctx context.Context) error {
		return accept(ctx, ln, Limits{}.filled(), func(_ context.Context, c *net.TCPConn) {
			io.ReadAll(c)
			c.Write([]byte(`{"Batch`))
			<-hang
		})
	})
	addr, stop := proxy(t, ln.Addr().String(), t.TempDir(), Limits{Grace: 50 * time.Millisecond}, nil)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write(request)
	nc.(*net.TCPConn).CloseWrite()
	io.ReadFull(nc, make([]byte, 7))
	stop()
	nc.SetReadDeadline(time.Now().Add(patience))
	if n, err := nc.Read(make([]byte, 1)); err == io.EOF || err == nil {
		t.Errorf("the prover read %d, %v, want a reset", n, err)
	}
}

func TestProxy_manyProvers(t *testing.T) {
	dir := t.TempDir()
	doc := response(1, 200_000)
	upstream := serve(t, Limits{}, always(doc), nil)
	addr, stop := proxy(t, upstream, dir, Limits{}, nil)
	poll64(t, addr, doc)
	stop()
	r := open(t, dir)
	if len(r.Batches) != 1 || r.Batches[0].Seen != 64*5 || r.Batches[0].Differing != 0 {
		t.Errorf("recorded %+v, want one batch, seen 320 times", r.Batches)
	}
	stored := 0
	for _, e := range r.Exchanges {
		if e.Stored {
			stored++
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, batchesName)); stored != 1 || len(left) != 1 {
		t.Errorf("stored %d times, files %v", stored, left)
	}
}

// A recording that cannot be written is said, and the prover is served.
func TestProxy_fullDisk(t *testing.T) {
	dir := t.TempDir()
	doc := response(1, 200_000)
	upstream := serve(t, Limits{}, always(doc), nil)
	told := newFailures()
	addr, _ := proxy(t, upstream, dir, Limits{}, func(e Exchange) { told.add(e.RecordError) })
	if err := os.RemoveAll(filepath.Join(dir, batchesName)); err != nil {
		t.Fatal(err)
	}
	if got, _, err := ask1(t, addr, request); err != nil || !bytes.Equal(got, doc) {
		t.Errorf("the prover got %d bytes, %v", len(got), err)
	}
	told.await(t, "recording batch 1: ")
}

// hundreds writes an answer of about 200 MB without holding it.
func hundreds(_ context.Context, r Received, w io.Writer) error {
	if r.Message.Commit == "idle" {
		_, err := w.Write(NothingToDo(r.Message))
		return err
	}
	io.WriteString(w, `{"BatchResponse":{"batch_number":1,"input":[0`)
	piece := bytes.Repeat([]byte(",255,17,4,0"), 1<<16/11)
	for n := 0; n < 200_000_000; n += len(piece) {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, `],"format":"Groth16"}}`)
	return err
}

// BenchmarkProxy_200MB streams an input of 200 MB from the coordinator to a
// prover: directly, through the recording proxy, through it while 64 provers
// poll without a pause, and from the recording again. peak-MB is what the
// process gained on its heap, all peers included; held-ms is how long the answer
// waited for the recorder.
func BenchmarkProxy_200MB(b *testing.B) {
	upstream := serve(b, Limits{}, hundreds, nil)
	parent := b.TempDir()
	b.Run("direct", func(b *testing.B) { benchmarkAsk(b, upstream, nil) })
	var dir string
	for _, polling := range []int{0, 64} {
		b.Run(fmt.Sprintf("recorded-polling-%d", polling), func(b *testing.B) {
			var held atomic.Int64
			// Each exchange is a new recording, so that each is stored.
			benchmarkAsk(b, "", func() (string, func()) {
				dir = filepath.Join(parent, rand.Text())
				addr, end := proxy(b, upstream, dir, Limits{}, func(e Exchange) {
					held.Add(int64(e.Held))
					if e.Error != "" || e.Commit != "idle" && !e.Stored {
						b.Errorf("exchange: %+v", e)
					}
				})
				quiet := pollers(b, addr, polling)
				return addr, func() { quiet(); end() }
			})
			b.ReportMetric(float64(held.Load())/1e6/float64(b.N), "held-ms/op")
		})
	}
	b.Run("replayed", func(b *testing.B) {
		f := &Replay{Recording: open(b, dir), Schedule: []Assignment{{1, 1, sample.Baseline}}}
		benchmarkAsk(b, "", func() (string, func()) {
			lns := [2]net.Listener{listen(b), listen(b)}
			end := running(b, func(ctx context.Context) error { return f.Run(ctx, lns) })
			return lns[0].Addr().String(), func() { end() }
		})
	})
}

// pollers lets n provers ask again and again until quiet is called.
func pollers(b *testing.B, addr string, n int) (quiet func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := Ask(context.Background(), addr, Request(BatchRequest, "idle", "SP1"), io.Discard); err != nil {
					b.Errorf("polling: %v", err)
					return
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func benchmarkAsk(b *testing.B, addr string, fresh func() (string, func())) {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&now)
				peak.Store(max(peak.Load(), now.HeapInuse+now.StackInuse))
			}
		}
	})
	for b.Loop() {
		stop := func() {}
		if fresh != nil {
			addr, stop = fresh()
		}
		m, _, err := Ask(context.Background(), addr, request, io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(m.Size)
		stop()
	}
	close(done)
	wg.Wait()
	b.ReportMetric(float64(int64(peak.Load())-int64(before.HeapInuse+before.StackInuse))/1e6, "peak-MB")
}
