package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"
)

// chunk is how much is read and written at once.
const chunk = 64 << 10

// ErrEmpty is an answer without a byte, with which a coordinator says that it
// could not handle the request; its log has the reason.
var ErrEmpty = errors.New("the coordinator closed without an answer")

// Timing is when things happened in an exchange, each since its start on the
// monotonic clock; zero is never.
type Timing struct {
	// Started is the moment of dialing, or of accepting the connection.
	Started time.Time `json:"at"`
	// Connect is when the coordinator was reached, Sent when the request was
	// handed over whole, FirstByte and Whole when the answer began and ended.
	Connect   time.Duration `json:"connect_ns,omitempty"`
	Sent      time.Duration `json:"sent_ns,omitempty"`
	FirstByte time.Duration `json:"first_byte_ns,omitempty"`
	Whole     time.Duration `json:"whole_ns,omitempty"`
}

// stamp sets d, once, to the time since the start.
func (t *Timing) stamp(d *time.Duration) {
	if *d == 0 {
		*d = max(time.Since(t.Started), 1)
	}
}

// Address is the host and port of a coordinator given as provers are given
// theirs: a URL of any scheme, or the two alone.
func Address(coordinator string) (string, error) {
	text := coordinator
	if !strings.Contains(text, "://") {
		text = "tcp://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Port() == "" {
		return "", fmt.Errorf("coordinator %q: want an address such as tcp://127.0.0.1:3900", coordinator)
	}
	return u.Host, nil
}

// Ask makes one exchange as a prover does: it sends doc to the coordinator at
// addr, closes its half and writes the answer to answer as it comes. The
// message describes the answer. An answer without a byte is ErrEmpty, and one
// that is not a whole document an error; what came was written all the same.
// There is no time limit but that of ctx.
func Ask(ctx context.Context, addr string, doc []byte, answer io.Writer) (Message, Timing, error) {
	t := Timing{Started: time.Now()}
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return Message{}, t, fmt.Errorf("coordinator: %w", err)
	}
	t.stamp(&t.Connect)
	c := nc.(*net.TCPConn)
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	m, err := ask(c, doc, answer, &t)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("coordinator %s: %w", addr, err)
	}
	return m, t, err
}

func ask(c *net.TCPConn, doc []byte, answer io.Writer, t *Timing) (Message, error) {
	if _, err := c.Write(doc); err != nil {
		return Message{}, fmt.Errorf("sending the request: %w", err)
	}
	if err := c.CloseWrite(); err != nil {
		return Message{}, fmt.Errorf("sending the request: %w", err)
	}
	t.stamp(&t.Sent)
	var s Scanner
	buf := make([]byte, chunk)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			t.stamp(&t.FirstByte)
			s.Write(buf[:n])
			if _, err := answer.Write(buf[:n]); err != nil {
				return Message{}, fmt.Errorf("taking the answer: %w", err)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return Message{}, fmt.Errorf("reading the answer, after %d bytes: %w", s.offset, err)
		}
	}
	t.stamp(&t.Whole)
	m, err := s.Message()
	if err == nil && m.Kind == Empty {
		err = ErrEmpty
	}
	return m, err
}
