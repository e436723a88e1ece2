package send

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/verdict-bench/verdict/internal/ethrpc"
)

// node is a server that takes transactions: an [ethrpc.Client].
type node interface {
	// Post sends a JSON-RPC body and returns the answer, in the memory of into
	// as far as that reaches.
	Post(ctx context.Context, body, into []byte) ([]byte, error)
	URL() string
	Close()
}

// call is one JSON-RPC call, its parameters as JSON without the brackets.
type call struct{ method, params string }

// caller makes calls. It is for one goroutine.
type caller struct {
	node node
	// singles says that the node takes no batches.
	singles bool

	body, buf []byte
	answers   []answer
}

// maxCalls is the most calls that are put into one batch; nodes have limits of
// a thousand and sometimes of a hundred.
const maxCalls = 100

// one makes a single call. The result lives until the next call.
func (c *caller) one(ctx context.Context, method, params string) ([]byte, error) {
	answers, err := c.do(ctx, []call{{method, params}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	if err := answers[0].err(); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return answers[0].result, nil
}

// do makes calls, at most maxCalls, in one request if the node takes batches.
// Each answer has its own outcome; they live until the next call.
func (c *caller) do(ctx context.Context, calls []call) ([]answer, error) {
	if len(calls) > 1 && !c.singles {
		answers, whole, err := c.post(ctx, calls)
		switch {
		case err != nil:
			return nil, err
		case !whole:
			return answers, nil
		case classify(answers[0].code, answers[0].message) == Busy:
			return nil, answers[0].err()
		}
		c.singles = true
	}
	if len(calls) == 1 {
		answers, _, err := c.post(ctx, calls)
		return answers, err
	}
	all := make([]answer, len(calls))
	for i := range calls {
		answers, _, err := c.post(ctx, calls[i:i+1])
		if err != nil {
			return nil, err
		}
		all[i] = answers[0].clone()
	}
	return all, nil
}

// clone is a with memory of its own.
func (a *answer) clone() answer {
	d := *a
	for _, part := range []*[]byte{&d.result, &d.failure, &d.message} {
		if *part != nil {
			*part = append([]byte{}, *part...)
		}
	}
	return d
}

// post makes one request. whole says that a batch was refused as such.
func (c *caller) post(ctx context.Context, calls []call) (answers []answer, whole bool, err error) {
	b := c.body[:0]
	if len(calls) > 1 {
		b = append(b, '[')
	}
	for i, k := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"jsonrpc":"2.0","id":`...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, `,"method":"`...)
		b = append(b, k.method...)
		b = append(b, `","params":[`...)
		b = append(b, k.params...)
		b = append(b, `]}`...)
	}
	if len(calls) > 1 {
		b = append(b, ']')
	}
	raw, err := c.node.Post(ctx, b, c.buf)
	if err != nil {
		c.body = nil // the transport may still read it
		return nil, false, err
	}
	c.body, c.buf = b, raw
	if cap(c.answers) < len(calls) {
		c.answers = make([]answer, len(calls), maxCalls)
	}
	answers = c.answers[:len(calls)]
	if err := parseAnswers(raw, answers); err != nil {
		return nil, false, err
	}
	return answers, len(calls) > 1 && refusedWhole(raw, answers), nil
}

// refusedWhole says that the node answered a batch with one error: an object,
// or an array with a single error about the batch.
func refusedWhole(raw []byte, answers []answer) bool {
	if answers[0].failure == nil {
		return false
	}
	s := scanner{b: raw}
	s.space()
	if s.i < len(raw) && raw[s.i] == '{' {
		return true
	}
	return !answers[1].answered && classify(answers[0].code, answers[0].message) == BatchTooLarge
}

// appendSends appends the JSON-RPC body that sends the items: a batch with ids
// from 1 on, or a plain call if there is only one.
func appendSends(b []byte, items []item) []byte {
	if len(items) > 1 {
		b = append(b, '[')
	}
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"jsonrpc":"2.0","id":`...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, `,"method":"eth_sendRawTransaction","params":["0x`...)
		b = hex.AppendEncode(b, items[i].raw)
		b = append(b, `"]}`...)
	}
	if len(items) > 1 {
		b = append(b, ']')
	}
	return b
}

// outcomesOf says what became of the items of a request, from its answer or
// the error in place of one.
func outcomesOf(raw []byte, err error, items []item, answers []answer, out []outcome) []outcome {
	out = out[:0]
	if err == nil {
		err = parseAnswers(raw, answers)
	}
	if err != nil {
		o := outcome{reason: unanswered}
		var status *ethrpc.HTTPError
		if errors.As(err, &status) {
			o = httpOutcome(status)
		}
		for range items {
			out = append(out, o)
		}
		return out
	}
	whole := len(items) > 1 && refusedWhole(raw, answers)
	for i := range items {
		o := outcomeOf(&answers[i])
		if whole && o.reason != Busy {
			o.reason = BatchTooLarge
		}
		out = append(out, o)
	}
	return out
}

// httpOutcome is for answers that are no JSON-RPC because of their HTTP status.
func httpOutcome(e *ethrpc.HTTPError) outcome {
	switch e.Status {
	case http.StatusRequestEntityTooLarge:
		return outcome{BatchTooLarge, e.Error()}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return outcome{Busy, e.Error()}
	}
	return outcome{Other, e.Error()}
}

// outcomeOf is for one answer. Which hash a node answers with is its own
// affair: inclusion is followed by the hash that we know.
func outcomeOf(a *answer) outcome {
	switch {
	case !a.answered:
		return outcome{reason: unanswered}
	case a.failure == nil:
		return outcome{}
	}
	reason := classify(a.code, a.message)
	if reason == known {
		return outcome{reason: known}
	}
	return outcome{reason, unescape(a.message)}
}

// quantity is n as a JSON-RPC parameter.
func quantity(n uint64) string { return `"0x` + strconv.FormatUint(n, 16) + `"` }
