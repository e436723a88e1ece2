package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// waiting is how many chunks of an answer may wait for the recorder, 16 MiB of
// them, before the prover has to.
const waiting = 256

// Proxy stands between provers and a coordinator. Every byte passes as it is,
// in both directions, as it comes; so does how a stream ends.
type Proxy struct {
	// Upstream is the coordinator's address, host and port.
	Upstream string
	Limits   Limits
	// Recorder, which may be nil, gets every exchange and every answer with an
	// input.
	Recorder *Recorder
	// Passed, which may be nil, hears of every exchange when it is over, those
	// that went wrong included. It is called from several goroutines.
	Passed func(Exchange)
}

// Serve passes each connection of ln on until ctx ends, then closes ln and waits
// for what runs. An exchange that goes wrong never ends it.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	l := p.Limits.filled()
	return accept(ctx, ln, l, func(ctx context.Context, c *net.TCPConn) {
		e := p.pass(ctx, c, l)
		if e.Request == Empty && e.Error == "" {
			// Someone looked whether the port is open.
			return
		}
		if p.Recorder != nil {
			if err := p.Recorder.Append(e); err != nil {
				e.RecordError = errors.Join(text(e.RecordError), err).Error()
			}
		}
		if p.Passed != nil {
			p.Passed(e)
		}
	})
}

// text is an error with this text, nil for none.
func text(s string) error {
	if s == "" {
		return nil
	}
	return errors.New(s)
}

// pass makes one exchange.
func (p *Proxy) pass(ctx context.Context, client *net.TCPConn, l Limits) Exchange {
	e := Exchange{Remote: client.RemoteAddr().String(), Timing: Timing{Started: time.Now()}}
	dialer := net.Dialer{Timeout: l.Dial}
	nc, err := dialer.DialContext(ctx, "tcp", p.Upstream)
	if err != nil {
		abort(client)
		e.Request, e.Answer = Unknown, Unknown
		e.Error = fmt.Sprintf("the coordinator cannot be reached: %v", err)
		return e
	}
	upstream := nc.(*net.TCPConn)
	defer upstream.Close()
	e.stamp(&e.Connect)
	stop := context.AfterFunc(ctx, func() { upstream.Close() })
	defer stop()

	// The coordinator may answer before it has read everything, so the request
	// has its own goroutine.
	var request Scanner
	var sent time.Duration
	var requestErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		if requestErr = passRequest(upstream, client, l.Idle, &request); requestErr == nil {
			sent = max(time.Since(e.Started), 1)
		}
	})
	tap := newTap(p.Recorder)
	answerErr := passAnswer(client, upstream, l.Idle, tap, &e)
	// The prover has everything: what follows does not delay it.
	client.Close()
	upstream.Close()
	wg.Wait()
	e.Sent = sent
	requested, scanErr := request.Message()
	e.describeRequest(requested)
	err = reason(requestErr, answerErr, scanErr)
	tap.finish(&e, err == nil)
	if err != nil {
		e.Error = errors.Join(err, text(e.Error)).Error()
	}
	return e
}

// reason joins what went wrong with an exchange. A half that ended because the
// other broke is not told.
func reason(request, answer, scan error) error {
	closed := errors.Is(request, net.ErrClosed)
	if closed && answer != nil {
		request = nil
	}
	if errors.Is(answer, net.ErrClosed) && request != nil {
		answer = nil
	}
	if request != nil {
		return errors.Join(fmt.Errorf("the request did not pass: %w", request), answer)
	}
	if closed {
		scan = nil
	}
	return errors.Join(answer, scan)
}

func (e *Exchange) describeRequest(m Message) {
	e.Request, e.RequestBytes = m.Kind, m.Size
	e.Commit, e.Prover = m.Commit, m.Prover
	if m.Kind == Unknown {
		e.RequestTag = m.Tag
	}
	if m.HasBatch {
		e.Batch = &m.Batch
	}
}

// passRequest copies the prover's half. A prover that is gone takes the
// coordinator's connection with it.
func passRequest(upstream, client *net.TCPConn, idle time.Duration, s *Scanner) error {
	to, from := stream{upstream, idle}, stream{client, idle}
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		s.Write(buf[:n])
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return upstream.CloseWrite()
		}
		if err != nil {
			abort(upstream)
			return err
		}
	}
}

// passAnswer copies the coordinator's half and ends it as it ended.
func passAnswer(client, upstream *net.TCPConn, idle time.Duration, t *tap, e *Exchange) error {
	to, from := stream{client, idle}, stream{upstream, idle}
	for {
		buf := t.buffer()
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return fmt.Errorf("the prover did not take the answer: %w", err)
			}
			e.stamp(&e.FirstByte)
			t.take(buf[:n])
		}
		if err == io.EOF {
			e.stamp(&e.Whole)
			return client.CloseWrite()
		}
		if err != nil {
			abort(client)
			return fmt.Errorf("the answer broke off: %w", err)
		}
	}
}

// tap takes a copy of an answer to the recorder: buffers that were sent go to a
// goroutine, which scans and stores them and gives them back.
type tap struct {
	spool *spool
	scan  Scanner
	full  chan []byte
	free  chan []byte
	// made counts the buffers; held is how long none was free.
	made int
	held time.Duration
	wg   sync.WaitGroup
}

// newTap starts the goroutine; finish must be called. r may be nil.
func newTap(r *Recorder) *tap {
	t := &tap{full: make(chan []byte, waiting), free: make(chan []byte, waiting)}
	if r != nil {
		t.spool = r.spool(t.scan.message)
	}
	t.wg.Go(func() {
		for b := range t.full {
			t.scan.Write(b)
			if t.spool != nil {
				t.spool.Write(b)
			}
			t.free <- b[:cap(b)]
		}
	})
	return t
}

// buffer returns a free buffer of one chunk and waits when too many are on
// their way to the recorder.
func (t *tap) buffer() []byte {
	select {
	case b := <-t.free:
		return b
	default:
	}
	if t.made < waiting {
		t.made++
		return make([]byte, chunk)
	}
	start := time.Now()
	b := <-t.free
	t.held += time.Since(start)
	return b
}

// take hands a filled buffer to the goroutine. It never waits, because there
// are no more buffers than places.
func (t *tap) take(b []byte) { t.full <- b }

// finish waits for the goroutine, stores the answer where it is whole and gives
// a prover something to prove, and describes it in e.
func (t *tap) finish(e *Exchange, whole bool) {
	close(t.full)
	t.wg.Wait()
	m, err := t.scan.Message()
	e.Answer, e.AnswerBytes, e.Format, e.Held = m.Kind, m.Size, m.Format, t.held
	if m.Kind == Unknown {
		e.AnswerTag = m.Tag
	}
	if m.HasBatch {
		e.Batch = &m.Batch
	}
	if err != nil && whole {
		e.Error = "the answer passed as it is: " + err.Error()
	}
	if t.spool == nil {
		return
	}
	if !whole || err != nil || !m.HasInput() {
		t.spool.drop()
		return
	}
	if e.SHA256, e.Stored, e.Differs, err = t.spool.commit(m.Batch); err != nil {
		e.SHA256, e.RecordError = "", err.Error()
	}
}
