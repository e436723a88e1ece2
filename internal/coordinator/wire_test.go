package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 30 * time.Second

// limits are short enough for peers that hang.
var limits = Limits{Read: time.Second, Idle: time.Second, Grace: 300 * time.Millisecond}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// running runs serve until the test ends or stop is called, which returns its
// error.
func running(t testing.TB, serve func(ctx context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return errors.New("it does not end")
		}
	})
	t.Cleanup(func() { stop() })
	return stop
}

// failures collects what servers and proxies tell.
type failures struct {
	mu   sync.Mutex
	list []string
	more chan struct{}
}

func newFailures() *failures { return &failures{more: make(chan struct{}, 1000)} }

func (f *failures) add(s string) {
	f.mu.Lock()
	f.list = append(f.list, s)
	f.mu.Unlock()
	f.more <- struct{}{}
}

// clear forgets what was told.
func (f *failures) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
}

// await returns the first text that contains part.
func (f *failures) await(t *testing.T, part string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		f.mu.Lock()
		all := strings.Join(f.list, "\n")
		f.mu.Unlock()
		if strings.Contains(all, part) {
			return
		}
		select {
		case <-f.more:
		case <-deadline:
			t.Fatalf("nothing said %q; said was:\n%s", part, all)
		}
	}
}

// serve runs a coordinator and returns its address.
func serve(t testing.TB, l Limits, answer Answer, failed func(string, error)) string {
	t.Helper()
	ln := listen(t)
	running(t, func(ctx context.Context) error { return Serve(ctx, ln, l, answer, failed) })
	return ln.Addr().String()
}

// response is an answer whose input has about size bytes.
func response(batch uint64, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"BatchResponse":{"batch_number":%d,"input":{"blocks":[%d`, batch, batch)
	for b.Len() < size {
		b.WriteString(",255, 17 ,\n0")
	}
	b.WriteString(`],"text":"}{\""},"format":"Groth16"}}`)
	return b.Bytes()
}

func ask1(t testing.TB, addr string, doc []byte) ([]byte, Message, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var answer bytes.Buffer
	m, _, err := Ask(ctx, addr, doc, &answer)
	return answer.Bytes(), m, err
}

func always(doc []byte) Answer {
	return func(_ context.Context, _ Received, w io.Writer) error {
		_, err := w.Write(doc)
		return err
	}
}

var request = Request(BatchRequest, "0eadb15a", "SP1")

func TestExchange(t *testing.T) {
	doc := response(3, 3<<20)
	var got Received
	addr := serve(t, Limits{}, func(ctx context.Context, r Received, w io.Writer) error {
		got = r
		return always(doc)(ctx, r, w)
	}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var answer bytes.Buffer
	m, timing, err := Ask(ctx, addr, request, &answer)
	if err != nil || !bytes.Equal(answer.Bytes(), doc) || !m.HasInput() || m.Batch != 3 {
		t.Fatalf("the answer of %d bytes is %+v, %v, want %d bytes", answer.Len(), m, err, len(doc))
	}
	if !bytes.Equal(got.Doc, request) || got.Message.Prover != "SP1" || got.Read.Before(got.Accepted) {
		t.Errorf("the coordinator got %+v", got)
	}
	if timing.Connect <= 0 || timing.Sent < timing.Connect || timing.FirstByte < timing.Sent || timing.Whole < timing.FirstByte {
		t.Errorf("the timing is out of order: %+v", timing)
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"tcp://127.0.0.1:3900": "127.0.0.1:3900", "http://host:3900/": "host:3900", "host:1": "host:1", "[::1]:2": "[::1]:2", "tcp://[::1]:2": "[::1]:2",
		"host": "", "tcp://host": "", "": "", ":3900": "",
	} {
		if got, err := Address(in); got != want || (err == nil) != (want != "") {
			t.Errorf("Address(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

// A prover sends in pieces; nothing is answered before it closed its half.
func TestServe_halfClose(t *testing.T) {
	addr := serve(t, Limits{}, always([]byte(`"VersionMismatch"`)), nil)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := nc.(*net.TCPConn)
	for _, b := range request {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	// The whole document is there, the end of the stream is not.
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == io.EOF {
		t.Fatalf("the coordinator answered %d bytes, %v, before the half was closed", n, err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); err != nil || string(answer) != `"VersionMismatch"` {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}

func TestServe_badPeers(t *testing.T) {
	told := newFailures()
	failed := func(_ string, err error) { told.add(err.Error()) }
	l := limits
	l.Request = 1000
	addr := serve(t, l, func(_ context.Context, r Received, w io.Writer) error {
		switch r.Message.Commit {
		case "none":
			return errors.New("an internal error")
		case "half":
			w.Write([]byte(`{"BatchResponse":{"batch_nu`))
			return errors.New("half an answer")
		}
		return always([]byte(`"VersionMismatch"`))(context.Background(), r, w)
	}, failed)
	if _, _, err := ask1(t, addr, Request(BatchRequest, "none", "")); !errors.Is(err, ErrEmpty) {
		t.Errorf("an internal error is %v, want ErrEmpty", err)
	}
	if _, _, err := ask1(t, addr, Request(BatchRequest, "half", "")); err == nil || errors.Is(err, ErrEmpty) {
		t.Errorf("half an answer is %v, want a broken stream", err)
	}
	if _, _, err := ask1(t, addr, []byte(`{"BatchRequest":`)); !errors.Is(err, ErrEmpty) {
		t.Errorf("half a request is answered %v", err)
	}
	ask1(t, addr, bytes.Repeat([]byte(" "), 2000))
	for _, doc := range []string{string(request), "{"} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.Write([]byte(doc))
	}
	// A look whether the port is open is no failure.
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
	}
	for _, part := range []string{"an internal error", "half an answer", "ends too soon", "longer than 1000", "did not close its half", "only 1 bytes of a request"} {
		told.await(t, part)
	}
	if a, _, err := ask1(t, addr, request); err != nil {
		t.Errorf("after bad peers: %s, %v", a, err)
	}
}

func TestAsk_errors(t *testing.T) {
	ln := listen(t)
	addr := ln.Addr().String()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 100*time.Millisecond, errors.New("out of patience"))
	defer cancel()
	// Nobody accepts: the peer hangs.
	if _, _, err := Ask(ctx, addr, request, io.Discard); err == nil || !strings.Contains(err.Error(), "out of patience") {
		t.Errorf("a hanging coordinator: %v", err)
	}
	ln.Close()
	if _, _, err := Ask(t.Context(), addr, request, io.Discard); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("no coordinator: %v", err)
	}
	addr = serve(t, Limits{}, always([]byte(`{"BatchResponse":{`)), nil)
	if _, _, err := Ask(t.Context(), addr, request, io.Discard); err == nil || !strings.Contains(err.Error(), "ends too soon") {
		t.Errorf("an answer that is cut: %v", err)
	}
}

func TestServe_manyProvers(t *testing.T) {
	doc := response(1, 10_000)
	l := Limits{Connections: 16}
	upstream := serve(t, l, always(doc), nil)
	poll64(t, upstream, doc)
}

// poll64 lets 64 provers poll at once.
func poll64(t *testing.T, addr string, want []byte) {
	t.Helper()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 5 {
				if got, _, err := ask1(t, addr, request); err != nil || !bytes.Equal(got, want) {
					t.Errorf("a poll got %d bytes, %v, want %d", len(got), err, len(want))
					return
				}
			}
		})
	}
	wg.Wait()
}

// What runs when the server ends is finished; what hangs is not waited for.
func TestServe_shutdown(t *testing.T) {
	ln := listen(t)
	entered, release := make(chan struct{}), make(chan struct{})
	stop := running(t, func(ctx context.Context) error {
		return Serve(ctx, ln, Limits{Grace: patience}, func(ctx context.Context, r Received, w io.Writer) error {
			close(entered)
			<-release
			return always([]byte(`"VersionMismatch"`))(ctx, r, w)
		}, nil)
	})
	got := make(chan error, 1)
	go func() {
		_, _, err := Ask(context.Background(), ln.Addr().String(), request, io.Discard)
		got <- err
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			break
		}
		nc.Close()
	}
	close(release)
	if err := <-got; err != nil {
		t.Errorf("the running exchange ended with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve ended with %v", err)
	}

	ln = listen(t)
	stop = running(t, func(ctx context.Context) error { return Serve(ctx, ln, limits, always(nil), nil) })
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := stop(); err != nil {
		t.Errorf("with a hanging peer, Serve ended with %v", err)
	}
}
