package ethrpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

const (
	// DefaultMemory is how much of an answer a meter keeps in memory. It holds
	// the witness of an ordinary block whole; what is beyond it is spooled.
	DefaultMemory = 32 << 20
	// DefaultTimeout bounds one timed request.
	DefaultTimeout = 60 * time.Second
	// idleLimit is the age at which an unused connection is replaced before
	// the next request. Servers drop idle connections on their own, some of
	// them after a minute; a request that is sent in that instant would fail
	// for no fault of the answer's.
	idleLimit = 30 * time.Second
	// readAhead is the transport's read buffer. It spares system calls for
	// answers in small chunks; larger reads go past it.
	readAhead = 256 << 10
	// wakeBytes is how much of a large answer must be there before its reader
	// is woken: a tenth of a millisecond's worth on loopback.
	wakeBytes = 256 << 10
)

// MeterOptions say how a Meter asks.
type MeterOptions struct {
	// Timeout bounds one request, connecting included; 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// Gzip lets the server compress its answer. The time to decompress is
	// never part of the timed span.
	Gzip bool
	// Memory is how many bytes of an answer stay in memory; 0 means
	// DefaultMemory. The rest goes to an unlinked file in SpoolDir.
	Memory int
	// SpoolDir is where that file lives; empty means the system's temporary
	// directory.
	SpoolDir string
}

// Meter sends one request after another to a server and times each: from the
// first byte of the request written to the socket to the last byte of the body
// read from it, on the monotonic clock. Inside that span it reads and does
// nothing else: no parsing, no decompression, no allocation that grows with
// the answer, and no garbage collection is due. Both ends of the span are
// stamped at the connection itself, not where the caller happens to be
// scheduled.
//
// Connections are kept alive between requests. HTTP/1.1 only, because stamps on
// a connection that several streams share would mean nothing. A Meter is not
// safe for concurrent use: two requests at once would measure each other.
type Meter struct {
	url       *url.URL
	options   MeterOptions
	transport *http.Transport
	tls       *tls.Config
	body      *Body
	epoch     time.Time
}

// NewMeter returns a meter of the server at rawURL, with the same demands on
// it as NewClient. It makes the spool file, which Close removes.
func NewMeter(rawURL string, o MeterOptions) (*Meter, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	body, err := newBody(o.Memory, o.SpoolDir)
	if err != nil {
		return nil, err
	}
	m := &Meter{url: u, options: o, body: body, epoch: time.Now()}
	m.tls = &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
	m.transport = &http.Transport{
		DialContext:        m.dial,
		DialTLSContext:     m.dialTLS,
		DisableCompression: true,
		IdleConnTimeout:    idleLimit,
		ReadBufferSize:     readAhead,
	}
	return m, nil
}

// Close drops the connection and the spool file.
func (m *Meter) Close() error {
	m.transport.CloseIdleConnections()
	return m.body.close()
}

// Answer is what came of one timed request.
type Answer struct {
	// Status is sample.OK for HTTP 200 with a complete body, of which nothing
	// else is known yet; HTTPError, Timeout, Unavailable, Truncated or
	// Malformed otherwise.
	Status  sample.Status
	Failure *sample.Failure
	sample.Timing
	// AskedAt is the start of the span.
	AskedAt time.Time
	// Reused says that the request went over an open connection.
	Reused bool
	// Body is what came of the body. It belongs to the meter and is
	// overwritten by the next request.
	Body *Body
}

// Time sends request, a JSON-RPC body, and reads the answer to its last byte.
// Whatever the server does is an Answer; the error is of this side alone: ctx
// ended, or the spool file could not be written.
func (m *Meter) Time(ctx context.Context, request []byte) (Answer, error) {
	limited, cancel := context.WithTimeout(ctx, m.options.Timeout)
	defer cancel()
	var x exchange
	req, err := m.request(httptrace.WithClientTrace(limited, x.trace()), request)
	if err != nil {
		return Answer{}, err
	}
	if err := m.body.reset(); err != nil {
		return Answer{}, err
	}
	// A collection now makes one during the span very unlikely: what a request
	// allocates is far from the next trigger.
	runtime.GC()

	x.start = m.now()
	httpStatus, err := m.exchange(req)
	x.end = m.now()
	var spool *spoolError
	switch {
	case errors.As(err, &spool):
		return Answer{}, spool.err
	case err != nil && ctx.Err() != nil:
		return Answer{}, ctx.Err()
	}
	return m.answer(&x, httpStatus, err), nil
}

// exchange does the round trip and fills the body.
func (m *Meter) exchange(req *http.Request) (httpStatus int, err error) {
	// RoundTrip and not a Client: redirects and cookies have no place here.
	res, err := m.transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	m.body.encoding = res.Header.Get("Content-Encoding")
	return res.StatusCode, m.body.fill(res.Body)
}

func (m *Meter) request(ctx context.Context, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if user := m.url.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	if m.options.Gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	return req, nil
}

// answer turns stamps and outcome into an Answer.
func (m *Meter) answer(x *exchange, httpStatus int, err error) Answer {
	a := Answer{Status: sample.OK, Body: m.body, Reused: x.reused}
	answered := false
	begin := x.start
	if c := x.conn; c != nil {
		if t := c.firstWrite.Load(); t != 0 {
			begin = t
		}
		answered = c.firstRead.Load() != 0 || c.lastRead.Load() != 0
		a.Timing = c.timing(begin, x.end, err == nil)
		if !x.reused {
			a.ConnectNS = c.connect
		}
	} else {
		a.Timing = sample.Timing{FirstByteNS: x.end - begin, TotalNS: x.end - begin}
	}
	a.AskedAt = m.epoch.Add(time.Duration(begin))
	switch {
	case err != nil:
		a.Status = classify(err, answered)
		a.Failure = &sample.Failure{Message: reason(err, a.Status, m)}
	case httpStatus != http.StatusOK:
		a.Status = sample.HTTPError
		e := &HTTPError{Status: httpStatus, Body: excerpt(m.body.start())}
		a.Failure = &sample.Failure{Code: httpStatus, Message: e.Error()}
	}
	return a
}

// classify names an exchange that failed. answered says that at least one byte
// of an answer came.
func classify(err error, answered bool) sample.Status {
	switch {
	case TimedOut(err):
		return sample.Timeout
	case !answered:
		return sample.Unavailable
	case lost(err):
		return sample.Truncated
	}
	return sample.Malformed
}

// lost reports whether err is the end of a connection in mid-answer, as
// opposed to an answer that is not HTTP.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, net.ErrClosed)
}

func reason(err error, status sample.Status, m *Meter) string {
	switch status {
	case sample.Timeout:
		return fmt.Sprintf("no complete answer within %v: %d bytes read", m.options.Timeout, m.body.WireBytes())
	case sample.Truncated:
		return fmt.Sprintf("the connection ended after %d bytes of the body: %v", m.body.WireBytes(), err)
	}
	return err.Error()
}

// now is the monotonic time since the meter was made, in nanoseconds; never 0.
func (m *Meter) now() int64 { return int64(time.Since(m.epoch)) + 1 }

// exchange holds the stamps of one request that are not the connection's.
type exchange struct {
	start, end int64
	conn       *meteredConn
	reused     bool
}

func (x *exchange) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			x.conn = info.Conn.(*meteredConn)
			x.reused = info.Reused
			x.conn.begin()
		},
		// An interim answer is not the first byte of the answer.
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			x.conn.firstRead.Store(0)
			return nil
		},
	}
}

// dial opens a connection and times it.
func (m *Meter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	start := m.now()
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tcp, _ := raw.(*net.TCPConn)
	return &meteredConn{Conn: raw, tcp: tcp, meter: m, connect: m.now() - start, wake: 1}, nil
}

// dialTLS does the same with a handshake. The meter sits above the encryption,
// so that the handshake counts as connecting and the stamps are of the
// request's and the answer's own bytes.
func (m *Meter) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	start := m.now()
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, m.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return &meteredConn{Conn: conn, meter: m, connect: m.now() - start}, nil
}

// meteredConn stamps the bytes of the exchange under way. The transport reads
// and writes from goroutines of its own, hence the atomics. 0 means that it
// has not happened.
type meteredConn struct {
	net.Conn
	// tcp is the same connection, nil under encryption.
	tcp     *net.TCPConn
	meter   *Meter
	connect int64
	// wake is how many bytes wake a reader. The transport reads from one
	// goroutine at a time.
	wake int

	firstWrite, firstRead, lastRead atomic.Int64
}

// begin forgets the previous exchange.
func (c *meteredConn) begin() {
	c.firstWrite.Store(0)
	c.firstRead.Store(0)
	c.lastRead.Store(0)
}

// Write stamps before the call: on loopback the server can hold the first byte
// before the call returns.
func (c *meteredConn) Write(p []byte) (int, error) {
	if c.firstWrite.Load() == 0 {
		c.firstWrite.Store(c.meter.now())
	}
	return c.Conn.Write(p)
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if n > 0 {
		t := c.meter.now()
		if c.firstRead.Load() == 0 {
			c.firstRead.Store(t)
		}
		c.lastRead.Store(t)
	}
	return n, err
}

// read diverts the bulk of a large answer to the spool file.
func (c *meteredConn) read(p []byte) (int, error) {
	body := c.meter.body
	if c.tcp == nil || !body.diverts(p) {
		c.setWake(1)
		return c.Conn.Read(p)
	}
	// The transport never asks for more than what is left of the body, or of
	// its chunk, so that as much is certain to come.
	c.setWake(min(len(p), wakeBytes))
	return body.divert(c.tcp, len(p))
}

func (c *meteredConn) setWake(bytes int) {
	if c.tcp != nil && c.wake != bytes {
		c.wake = bytes
		wakeAt(c.tcp, bytes)
	}
}

// timing splits the span that began at begin. A complete answer ends with its
// last byte; another one when that became known, at end.
func (c *meteredConn) timing(begin, end int64, complete bool) sample.Timing {
	first, last := c.firstRead.Load(), c.lastRead.Load()
	if first == 0 {
		// Nothing came, or nothing after an interim answer in the same read.
		first = last
	}
	if complete {
		end = last
	}
	if first == 0 {
		first = end
	}
	return sample.Timing{FirstByteNS: first - begin, BodyNS: end - first, TotalNS: end - begin}
}
