package observe

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/verdict-bench/verdict/internal/proverlog"
	"github.com/verdict-bench/verdict/internal/sample"
)

// notice is what makes a notice of a log a new one.
type notice struct {
	kind    sample.NoticeKind
	at      int64
	message string
}

// streaks are notices that repeat, by the message that they repeat.
type streaks map[sample.NoticeKind]string

func noticeOf(n sample.Notice) notice { return notice{n.Kind, n.At.UnixNano(), n.Message} }

// logs are the logs that are followed, and what was made of them.
type logs struct {
	prover, l2 tail
	attempts   *proverlog.Attempts
	// told are the notices that were written; running and atL2 are those that
	// repeat and have not ended, of either log, with their messages.
	told          map[notice]bool
	running, atL2 streaks
	// sending is the batch whose verification was last sent to the L1.
	sending *uint64
	// trouble is what was last wrong with reading either log.
	trouble [2]string

	// port is that of the coordinator, 0 for one that is not looked at;
	// listening says that something listened there, looked when that was.
	port      uint16
	listening bool
	looked    time.Time
}

// readLogs takes what the logs got since the last call. The prover's comes
// first: it acknowledges a proof before the L1 can refuse it.
func (c *Collector) readLogs() error {
	l := c.logs
	for i, log := range []struct {
		tail *tail
		line func([]byte) error
	}{{&l.prover, c.proverLine}, {&l.l2, c.l2Line}} {
		var failed error // of writing, which ends the collection
		cut, err := log.tail.poll(func(line []byte) error {
			failed = log.line(line)
			return failed
		})
		if failed != nil {
			return failed
		}
		trouble := ""
		if err != nil {
			trouble = err.Error()
		}
		if trouble != "" && trouble != l.trouble[i] {
			cut = trouble
		}
		l.trouble[i] = trouble
		if cut != "" {
			if err := c.notice(sample.LogCut, cut); err != nil {
				return err
			}
		}
	}
	return nil
}

// proverLine takes a line of the prover's log.
func (c *Collector) proverLine(line []byte) error {
	e, ok := proverlog.Parse(line)
	if !ok {
		return nil
	}
	batch, open := c.logs.attempts.Open()
	var about *uint64
	if open {
		about = &batch
	}
	if err := c.proverNotice(e, about); err != nil {
		return err
	}
	return c.writeAttempts(c.logs.attempts.Add(e))
}

// proverNotice writes what an event of the prover's log tells beside attempts.
func (c *Collector) proverNotice(e proverlog.Event, batch *uint64) error {
	kind := sample.NoticeKind("")
	switch e.Kind {
	case proverlog.Started:
		clear(c.logs.running)
		return c.logNotice(sample.Notice{At: e.At, Kind: sample.ProverStarted})
	case proverlog.Received:
		clear(c.logs.running) // whatever it was, it is over
		return nil
	case proverlog.VersionMismatch:
		kind = sample.VersionMismatch
	case proverlog.NotNeeded:
		kind = sample.TypeNotNeeded
	case proverlog.Unreachable:
		kind = sample.NoCoordinator
	case proverlog.Failed:
		kind = sample.ProverError
	default:
		return nil
	}
	return c.repeating(c.logs.running, sample.Notice{At: e.At, Kind: kind, Batch: batch, Message: e.Message})
}

// repeating writes a notice that repeats, when it begins.
func (c *Collector) repeating(running streaks, n sample.Notice) error {
	if last, ok := running[n.Kind]; ok && last == n.Message {
		return nil
	}
	running[n.Kind] = n.Message
	return c.logNotice(n)
}

// logNotice writes a notice out of a log, unless the file has it from when the
// log was read before.
func (c *Collector) logNotice(n sample.Notice) error {
	if n.At.IsZero() {
		// A line without a time happened about now, as far as anybody knows.
		n.At = time.Now().UTC()
	}
	key := noticeOf(n)
	if c.logs.told[key] {
		return nil
	}
	c.logs.told[key] = true
	return c.writeNotice(n)
}

func (c *Collector) writeAttempts(attempts []sample.Attempt) error {
	for _, a := range attempts {
		a.Side, a.Host, a.Session = c.options.Side, c.options.Host, c.options.Session
		text := fmt.Sprintf("batch %d, attempt %d: %s", a.Batch, a.Number, a.Status)
		if a.ProvingNS > 0 {
			text += " after " + time.Duration(a.ProvingNS).String()
		}
		if a.Failure != nil {
			text += ": " + a.Failure.Message
		}
		c.options.Say(text)
		if err := c.write(sample.Record{Attempt: &a}); err != nil {
			return err
		}
	}
	return nil
}

// The lines of the sequencer's log that matter. That of a refusal does not say
// which batch it is about: it is the one that was sent last.
const (
	sendingMark  = "Sending batch verification transaction to L1"
	sendingField = "batch_number="
	refusedMark  = "Deleting invalid "
	// answeredMark is of a request that got a batch, a BatchResponse or, with
	// newer sequencers, an InputResponse.
	answeredMark = "Response sent for batch number: "
)

// mismatchMarks are of requests from a prover of another commit, as the versions
// of the coordinator put it.
var mismatchMarks = [...]string{
	"differs from coordinator version", "has no input for prover version", "VersionMismatch sent",
}

// l2Line takes a line of the sequencer's log.
func (c *Collector) l2Line(line []byte) error {
	line = bytes.TrimRight(line, "\r")
	if proverlog.Colored(line) {
		line = proverlog.AppendPlain(nil, line)
	}
	has := func(mark string) bool { return bytes.Contains(line, []byte(mark)) }
	switch {
	case has(sendingMark):
		if batch, ok := fieldNumber(line, sendingField); ok {
			c.logs.sending = &batch
		}
	case has(refusedMark):
		at, _, message := proverlog.Split(line)
		n := sample.Notice{At: at, Kind: sample.ProofRefused, Batch: c.logs.sending, Message: string(message)}
		if err := c.logNotice(n); err != nil || n.Batch == nil {
			return err
		}
		return c.writeAttempts(c.logs.attempts.Refuse(*n.Batch, at, n.Message))
	case slices.ContainsFunc(mismatchMarks[:], has):
		at, _, message := proverlog.Split(line)
		return c.repeating(c.logs.atL2, sample.Notice{At: at, Kind: sample.VersionMismatch, Message: string(message)})
	case has(answeredMark):
		delete(c.logs.atL2, sample.VersionMismatch)
	}
	return nil
}

// fieldNumber reads the number behind the first name in line.
func fieldNumber(line []byte, name string) (uint64, bool) {
	_, rest, ok := bytes.Cut(line, []byte(name))
	if !ok {
		return 0, false
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(string(rest[:end]), 10, 64)
	return n, err == nil
}
