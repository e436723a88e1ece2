package ethrpc

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

// wire serves raw bytes: each request that it can read is handed to answer,
// which returns whether the connection stays open.
func wire(t testing.TB, answer func(conn net.Conn, r *http.Request) (open bool)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					if !answer(conn, r) {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + listener.Addr().String()
}

// says serves the same bytes to every request and then closes the connection.
func says(t testing.TB, text string) string {
	return wire(t, func(conn net.Conn, _ *http.Request) bool {
		io.WriteString(conn, text)
		return false
	})
}

func newMeter(t testing.TB, url string, o MeterOptions) *Meter {
	t.Helper()
	if o.SpoolDir == "" {
		o.SpoolDir = t.TempDir()
	}
	m, err := NewMeter(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func timeOne(t testing.TB, m *Meter) Answer {
	t.Helper()
	a, err := m.Time(t.Context(), []byte(`{}`))
	if err != nil {
		t.Fatalf("Time: %v", err)
	}
	if a.TotalNS != a.FirstByteNS+a.BodyNS {
		t.Errorf("total %d is not first byte %d + body %d", a.TotalNS, a.FirstByteNS, a.BodyNS)
	}
	if a.FirstByteNS < 0 || a.BodyNS < 0 || a.ConnectNS < 0 {
		t.Errorf("negative phase in %+v", a.Timing)
	}
	return a
}

func contents(t testing.TB, b *Body) string {
	t.Helper()
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestMeter_outcomes(t *testing.T) {
	closed := says(t, "")
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		closed = "http://" + l.Addr().String()
		l.Close()
	}
	hang := func(prefix string) string {
		return wire(t, func(conn net.Conn, _ *http.Request) bool {
			io.WriteString(conn, prefix)
			io.Copy(io.Discard, conn)
			return false
		})
	}
	const head = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name, url string
		want      sample.Status
		body      string
		code      int
		message   string
	}{
		{"content length", says(t, head+"Content-Length: 5\r\n\r\nhello"), sample.OK, "hello", 0, ""},
		{"chunked", says(t, head+"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), sample.OK, "hello", 0, ""},
		{"chunked with trailer", says(t, head+"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"), sample.OK, "hi", 0, ""},
		{"until close", says(t, "HTTP/1.0 200 OK\r\n\r\nhello"), sample.OK, "hello", 0, ""},
		{"empty", says(t, head+"Content-Length: 0\r\n\r\n"), sample.OK, "", 0, ""},
		{"after continue", says(t, "HTTP/1.1 100 Continue\r\n\r\n"+head+"Content-Length: 2\r\n\r\nhi"), sample.OK, "hi", 0, ""},
		{"after early hints", says(t, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+head+"Content-Length: 2\r\n\r\nhi"), sample.OK, "hi", 0, ""},
		{"status 503", says(t, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"), sample.HTTPError, "busy", 503, "HTTP status 503: busy"},
		{"redirect", says(t, "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), sample.HTTPError, "", 302, "HTTP status 302"},
		{"no content", says(t, "HTTP/1.1 204 No Content\r\n\r\n"), sample.HTTPError, "", 204, "HTTP status 204"},
		{"refused", closed, sample.Unavailable, "", 0, "connection refused"},
		{"dropped", says(t, ""), sample.Unavailable, "", 0, "EOF"},
		{"lost in the head", says(t, head), sample.Truncated, "", 0, "0 bytes of the body"},
		{"short", says(t, head+"Content-Length: 50\r\n\r\nhello"), sample.Truncated, "hello", 0, "after 5 bytes"},
		{"short chunk", says(t, head+"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"), sample.Truncated, "hello", 0, "after 5 bytes"},
		{"no last chunk", says(t, head+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), sample.Truncated, "hello", 0, "after 5 bytes"},
		{"bad chunk", says(t, head+"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"), sample.Malformed, "", 0, "chunk"},
		{"not HTTP", says(t, "SSH-2.0-example\r\n\r\n"), sample.Malformed, "", 0, "malformed HTTP"},
		{"hang", hang(""), sample.Timeout, "", 0, "no complete answer within 200ms: 0 bytes read"},
		{"hang in the body", hang(head + "Content-Length: 50\r\n\r\nhello"), sample.Timeout, "hello", 0, "within 200ms: 5 bytes read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := MeterOptions{}
			if tt.want == sample.Timeout {
				o.Timeout = 200 * time.Millisecond
			}
			a := timeOne(t, newMeter(t, tt.url, o))
			if a.Status != tt.want {
				t.Fatalf("status %s (%+v), want %s", a.Status, a.Failure, tt.want)
			}
			if got := contents(t, a.Body); got != tt.body {
				t.Errorf("body %q, want %q", got, tt.body)
			}
			switch {
			case a.Failure == nil && tt.message != "":
				t.Errorf("no failure, want %q", tt.message)
			case a.Failure != nil && (tt.message == "" || !strings.Contains(a.Failure.Message, tt.message) || a.Failure.Code != tt.code):
				t.Errorf("failure %+v, want code %d and %q", a.Failure, tt.code, tt.message)
			}
		})
	}
}

// The span must enclose what the server sees of it and be enclosed by the
// call, whatever the machine is busy with: these are inequalities of moments,
// not of speeds.
func TestMeter_spanEnclosesTheServers(t *testing.T) {
	type seen struct{ request, last time.Duration }
	epoch := time.Now()
	var server seen
	url := wire(t, func(conn net.Conn, _ *http.Request) bool {
		server.request = time.Since(epoch)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 50 {
			fmt.Fprintf(conn, "2710\r\n%s\r\n", strings.Repeat("x", 10_000))
		}
		server.last = time.Since(epoch)
		io.WriteString(conn, "0\r\n\r\n")
		return true
	})
	m := newMeter(t, url, MeterOptions{})
	for i := range 20 {
		before := time.Since(epoch)
		a := timeOne(t, m)
		after := time.Since(epoch)
		if a.Status != sample.OK || a.Body.WireBytes() != 500_000 {
			t.Fatalf("status %s, %d bytes", a.Status, a.Body.WireBytes())
		}
		if got, least := time.Duration(a.TotalNS), server.last-server.request; got < least {
			t.Errorf("span %v is shorter than the server's %v", got, least)
		}
		if got, most := time.Duration(a.TotalNS), after-before; got > most {
			t.Errorf("span %v is longer than the call's %v", got, most)
		}
		if asked := a.AskedAt.Sub(epoch); asked < before || asked > server.request {
			t.Errorf("asked at %v, want between %v and %v", asked, before, server.request)
		}
		if a.Reused != (i > 0) || (a.ConnectNS > 0) != (i == 0) {
			t.Errorf("request %d: reused %v, connect %d ns", i, a.Reused, a.ConnectNS)
		}
	}
}

func TestMeter_newConnectionWhenTheServerCloses(t *testing.T) {
	url := says(t, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
	m := newMeter(t, url, MeterOptions{})
	for i := range 3 {
		a := timeOne(t, m)
		if a.Status != sample.OK || a.Reused || a.ConnectNS == 0 {
			t.Errorf("request %d: status %s, reused %v, connect %d ns", i, a.Status, a.Reused, a.ConnectNS)
		}
	}
}

func TestMeter_asksForWhatItWants(t *testing.T) {
	for _, gz := range []bool{false, true} {
		var got *http.Request
		var body []byte
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			body, _ = io.ReadAll(r.Body)
		}))
		defer server.Close()
		m := newMeter(t, strings.Replace(server.URL, "//", "//user:secret@", 1), MeterOptions{Gzip: gz})
		if _, err := m.Time(t.Context(), []byte(`{"id":1}`)); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{false: "identity", true: "gzip"}[gz]
		if e := got.Header.Get("Accept-Encoding"); e != want {
			t.Errorf("Accept-Encoding %q, want %q", e, want)
		}
		if user, password, _ := got.BasicAuth(); user != "user" || password != "secret" {
			t.Errorf("basic auth %q %q", user, password)
		}
		if string(body) != `{"id":1}` || got.ContentLength != 8 || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("request %q with length %d and header %v", body, got.ContentLength, got.Header)
		}
	}
}

func TestMeter_gzip(t *testing.T) {
	plain := strings.Repeat(`{"state":["0x00"]}`, 1000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, plain)
	z.Close()
	serve := func(encoding string, body []byte) *Meter {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			w.Write(body)
		}))
		t.Cleanup(server.Close)
		return newMeter(t, server.URL, MeterOptions{Gzip: true, Memory: 100})
	}

	a := timeOne(t, serve("gzip", packed.Bytes()))
	if got := contents(t, a.Body); got != plain {
		t.Errorf("decompressed to %d bytes, want %d", len(got), len(plain))
	}
	if got := a.Body.WireBytes(); got != int64(packed.Len()) {
		t.Errorf("%d bytes on the wire, want %d", got, packed.Len())
	}

	a = timeOne(t, serve("gzip", packed.Bytes()[:packed.Len()/2]))
	if r, err := a.Body.Open(); err != nil {
		t.Error(err)
	} else if _, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a gzip stream: %v, want an unexpected EOF", err)
	}
	a = timeOne(t, serve("gzip", nil))
	if _, err := a.Body.Open(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an empty gzip stream: %v, want an unexpected EOF", err)
	}
	a = timeOne(t, serve("br", []byte("??")))
	if _, err := a.Body.Open(); err == nil || !strings.Contains(err.Error(), `"br"`) {
		t.Errorf("another encoding: %v", err)
	}
}

func TestMeter_tls(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the refused certificate
	server.StartTLS()
	defer server.Close()
	m := newMeter(t, server.URL, MeterOptions{})

	// An unknown certificate is a connection that cannot be made.
	if a := timeOne(t, m); a.Status != sample.Unavailable || !strings.Contains(a.Failure.Message, "certificate") {
		t.Errorf("unknown certificate: %s %+v", a.Status, a.Failure)
	}
	m.tls.RootCAs = x509.NewCertPool()
	m.tls.RootCAs.AddCert(server.Certificate())
	for i := range 2 {
		a := timeOne(t, m)
		if a.Status != sample.OK || contents(t, a.Body) != "hello" {
			t.Fatalf("status %s %+v", a.Status, a.Failure)
		}
		if a.Reused != (i == 1) || (a.ConnectNS > 0) != (i == 0) {
			t.Errorf("request %d: reused %v, connect %d ns", i, a.Reused, a.ConnectNS)
		}
	}
}

func TestMeter_spool(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, body)
	}))
	defer server.Close()
	m := newMeter(t, server.URL, MeterOptions{Memory: 1000})
	for _, size := range []int{3_000_000, 1000, 1001, 999, 0, 2_000_000} {
		body = strings.Repeat("0123456789abcdef\n", size/17+1)[:size]
		a := timeOne(t, m)
		for range 2 { // it can be read again
			if got := contents(t, a.Body); got != body {
				t.Errorf("size %d: read %d bytes back, or others", size, len(got))
			}
		}
	}
}

func TestMeter_spoolFails(t *testing.T) {
	if _, err := NewMeter("http://127.0.0.1:1", MeterOptions{SpoolDir: t.TempDir() + "/missing"}); err == nil {
		t.Error("a missing spool directory is accepted")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "more than four bytes")
	}))
	defer server.Close()
	m := newMeter(t, server.URL, MeterOptions{Memory: 4})
	m.body.spool.Close()
	if a, err := m.Time(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "spool file") {
		t.Errorf("got %+v, %v; want an error of this side", a, err)
	}
}

func TestMeter_interrupted(t *testing.T) {
	asked := make(chan struct{})
	url := wire(t, func(conn net.Conn, _ *http.Request) bool {
		close(asked)
		io.Copy(io.Discard, conn)
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if a, err := newMeter(t, url, MeterOptions{}).Time(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v; want the interrupt and no sample", a, err)
	}
}

// What a request allocates must not depend on the size of the answer.
func TestMeter_allocationIsBounded(t *testing.T) {
	const size = 96 << 20
	block := bytes.Repeat([]byte("x"), 1<<20)
	url := wire(t, func(conn net.Conn, _ *http.Request) bool {
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		for range size / len(block) {
			conn.Write(block)
		}
		return true
	})
	m := newMeter(t, url, MeterOptions{})
	timeOne(t, m)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := timeOne(t, m)
	runtime.ReadMemStats(&after)
	if a.Status != sample.OK || a.Body.WireBytes() != size {
		t.Fatalf("status %s, %d bytes", a.Status, a.Body.WireBytes())
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes allocated for an answer of %d", got, size)
	}
}

func BenchmarkMeter(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			body := bytes.Repeat([]byte("x"), size)
			url := wire(b, func(conn net.Conn, _ *http.Request) bool {
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
				conn.Write(body)
				return true
			})
			m := newMeter(b, url, MeterOptions{})
			b.SetBytes(int64(size))
			var total int64
			for b.Loop() {
				total += timeOne(b, m).TotalNS
			}
			b.ReportMetric(float64(total)/float64(b.N), "span-ns/op")
		})
	}
}
