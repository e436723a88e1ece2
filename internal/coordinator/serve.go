package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Limits bound what peers can make a server hold or wait for. A zero takes the
// default.
type Limits struct {
	// Connections are served at once (256); more wait to be accepted.
	Connections int
	// Request is the size of a request in bytes that is read whole (64 MiB).
	Request int64
	// Read is how long a request may take to arrive (1 minute).
	Read time.Duration
	// Idle is how long a stream may stand still (5 minutes).
	Idle time.Duration
	// Dial is how long the real coordinator may take to be reached (10 seconds).
	Dial time.Duration
	// Grace is how long running exchanges may go on after the end (2 seconds).
	Grace time.Duration
}

// filled returns the limits with the defaults in place of zeros.
func (l Limits) filled() Limits {
	fill := func(d *time.Duration, or time.Duration) {
		if *d == 0 {
			*d = or
		}
	}
	fill(&l.Read, time.Minute)
	fill(&l.Idle, 5*time.Minute)
	fill(&l.Dial, 10*time.Second)
	fill(&l.Grace, 2*time.Second)
	if l.Connections == 0 {
		l.Connections = 256
	}
	if l.Request == 0 {
		l.Request = 64 << 20
	}
	return l
}

// accept serves each connection of ln on its own goroutine until ctx ends, lets
// what runs go on for the grace time, ends it, and returns when nothing runs any
// more. It closes ln.
func accept(ctx context.Context, ln net.Listener, l Limits, serve func(context.Context, *net.TCPConn)) error {
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	slots := make(chan struct{}, l.Connections)
	var wg sync.WaitGroup
	err := acceptEach(ctx, ln, slots, func(c *net.TCPConn) {
		wg.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			stop := context.AfterFunc(running, func() { abort(c) })
			defer stop()
			serve(running, c)
		})
	})
	timer := time.AfterFunc(l.Grace, end)
	defer timer.Stop()
	wg.Wait()
	return err
}

// acceptEach takes a slot for each connection before it is accepted.
func acceptEach(ctx context.Context, ln net.Listener, slots chan struct{}, each func(*net.TCPConn)) error {
	const pause = 10 * time.Millisecond
	for {
		select {
		case <-ctx.Done():
			return nil
		case slots <- struct{}{}:
		}
		nc, err := ln.Accept()
		c, ok := nc.(*net.TCPConn)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("listening on %s: %w", ln.Addr(), err)
		case err != nil:
			// The process may be out of files, or the peer gone already: both
			// pass.
			<-slots
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		case !ok:
			nc.Close()
			return fmt.Errorf("listening on %s: the connections are not of TCP", ln.Addr())
		default:
			each(c)
		}
	}
}

// stream is a connection whose every read and write has to make progress
// within the idle time.
type stream struct {
	*net.TCPConn
	idle time.Duration
}

func (s stream) Read(p []byte) (int, error) {
	if err := s.SetReadDeadline(time.Now().Add(s.idle)); err != nil {
		return 0, err
	}
	return s.TCPConn.Read(p)
}

func (s stream) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if err := s.SetWriteDeadline(time.Now().Add(s.idle)); err != nil {
			return written, err
		}
		n, err := s.TCPConn.Write(p[:min(chunk, len(p))])
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

// abort resets the connection, so that the peer cannot take what it got for a
// whole document.
func abort(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// Received is a request as it came.
type Received struct {
	Remote  string
	Doc     []byte
	Message Message
	// Accepted is when the connection was, Read when the request was whole.
	Accepted, Read time.Time
}

// Answer writes the answer to a request. Writing nothing and returning an error
// is the protocol's internal error; an error after the first byte resets the
// connection.
type Answer func(ctx context.Context, r Received, w io.Writer) error

// Serve is a coordinator: it answers each request on ln until ctx ends, then
// closes ln and waits for what runs. failed, which may be nil and is called from
// several goroutines, hears of exchanges that went wrong; they never end it.
func Serve(ctx context.Context, ln net.Listener, limits Limits, answer Answer, failed func(remote string, err error)) error {
	l := limits.filled()
	return accept(ctx, ln, l, func(ctx context.Context, c *net.TCPConn) {
		if err := serveOne(ctx, c, l, answer); err != nil && failed != nil {
			failed(c.RemoteAddr().String(), err)
		}
	})
}

func serveOne(ctx context.Context, c *net.TCPConn, l Limits, answer Answer) error {
	r := Received{Remote: c.RemoteAddr().String(), Accepted: time.Now()}
	var err error
	if r.Doc, err = readRequest(c, l); err != nil {
		abort(c)
		return err
	}
	r.Read = time.Now()
	if r.Message, err = Scan(r.Doc); err != nil {
		return fmt.Errorf("request of %d bytes: %w", len(r.Doc), err)
	}
	if r.Message.Kind == Empty {
		// Someone looked whether the port is open.
		return nil
	}
	w := &counted{w: stream{c, l.Idle}}
	if err := answer(ctx, r, w); err != nil {
		if w.n > 0 {
			abort(c)
		}
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return fmt.Errorf("ending the answer: %w", err)
	}
	return nil
}

// readRequest reads to the end of the stream.
func readRequest(c *net.TCPConn, l Limits) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(l.Read)); err != nil {
		return nil, err
	}
	doc, err := io.ReadAll(io.LimitReader(c, l.Request+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && len(doc) > 0:
		if _, scan := Scan(doc); scan == nil {
			return nil, fmt.Errorf("the request of %d bytes is whole, but its sender did not close its half within %v", len(doc), l.Read)
		}
		return nil, fmt.Errorf("only %d bytes of a request within %v", len(doc), l.Read)
	case err != nil:
		return nil, fmt.Errorf("reading a request: %w", err)
	case int64(len(doc)) > l.Request:
		return nil, fmt.Errorf("the request is longer than %d bytes", l.Request)
	}
	return doc, nil
}

// counted counts what was written.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
