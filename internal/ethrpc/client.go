// Package ethrpc speaks JSON-RPC and the Engine API to execution clients, and
// times its own requests. Answers are passed on as they came; what they mean
// is for other packages.
package ethrpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// maxAnswer bounds the answer of an ordinary call. Witnesses can be larger:
// they are read by the timed path, which spools to disk.
const maxAnswer = 256 << 20

// callTimeout bounds one ordinary call, so that a server that hangs is an error
// and not a program that hangs with it. Callers with less patience, or more,
// bring a deadline of their own.
const callTimeout = 30 * time.Second

// Client calls one JSON-RPC server over HTTP. It is safe for concurrent use.
type Client struct {
	url     string
	http    *http.Client
	timeout time.Duration
	// authorize adds credentials to a request; nil for none.
	authorize func(*http.Request) error
}

// NewClient returns a client of the server at rawURL, which must be an http or
// https URL with a host. Nothing is dialed until the first call.
func NewClient(rawURL string) (*Client, error) {
	if _, err := parseURL(rawURL); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // a proxy between the program and its meter would be measured with it
	return &Client{url: rawURL, http: &http.Client{Transport: transport}, timeout: callTimeout}, nil
}

// parseURL checks that rawURL is one that a server can be called at.
func parseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		// The text is not quoted: it may hold a password.
		return nil, fmt.Errorf("RPC URL: %v", errors.Unwrap(err))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("RPC URL %q: the scheme must be http or https", Redact(rawURL))
	case u.Host == "":
		return nil, fmt.Errorf("RPC URL %q: the host is missing", Redact(rawURL))
	}
	return u, nil
}

// Redact is rawURL for messages and files: without a user, a query or a path,
// because each of them can be a credential. What was left out shows as "…".
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "…"
	}
	shown := u.Scheme + "://" + u.Host
	if u.User != nil || u.RawQuery != "" || len(u.Path) > 1 || u.Opaque != "" || u.Fragment != "" {
		shown += "/…"
	}
	return shown
}

// URL is the address that the client calls, redacted.
func (c *Client) URL() string { return Redact(c.url) }

// SetConnections bounds the connections to the server and keeps all of them
// open between calls. It is for before the first call; without it there is no
// bound, and two are kept.
func (c *Client) SetConnections(n int) {
	transport := c.http.Transport.(*http.Transport)
	transport.MaxConnsPerHost = n
	transport.MaxIdleConnsPerHost = n
	transport.MaxIdleConns = max(transport.MaxIdleConns, n)
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an error that the server answered with.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }

// MethodNotFound is the JSON-RPC code of a method that the server does not
// offer, or whose namespace is not enabled.
const MethodNotFound = -32601

// HTTPError is an answer with an HTTP status other than 200.
type HTTPError struct {
	Status int
	// Body is the beginning of the answer, for the message.
	Body string
}

func (e *HTTPError) Error() string {
	if e.Body == "" {
		return fmt.Sprintf("HTTP status %d", e.Status)
	}
	return fmt.Sprintf("HTTP status %d: %s", e.Status, e.Body)
}

// Call calls method with params and decodes the result into result, which may
// be nil. An answer of the server's is an *Error or an *HTTPError; anything
// else means that no answer came.
func (c *Client) Call(ctx context.Context, result any, method string, params ...any) error {
	body, err := EncodeRequest(method, params...)
	if err != nil {
		return err
	}
	raw, err := c.post(ctx, body)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	var answer response
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("%s: the answer is not JSON-RPC: %v", method, err)
	}
	if err := answer.decode(result); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// Request is one call of a batch.
type Request struct {
	Method string
	Params []any
	// Result is decoded into when not nil.
	Result any
	// Err is the outcome of this call alone.
	Err error
}

// Batch sends all requests as one JSON-RPC batch. The error is of the exchange
// as a whole; each request carries its own outcome in Err.
func (c *Client) Batch(ctx context.Context, requests []*Request) error {
	if len(requests) == 0 {
		return nil
	}
	calls := make([]json.RawMessage, len(requests))
	for i, r := range requests {
		var err error
		if calls[i], err = encodeRequest(i+1, r.Method, r.Params); err != nil {
			return err
		}
	}
	body, err := json.Marshal(calls)
	if err != nil {
		return err
	}
	raw, err := c.post(ctx, body)
	if err != nil {
		return fmt.Errorf("batch of %d: %w", len(requests), err)
	}
	var answers []response
	if err := json.Unmarshal(raw, &answers); err != nil {
		return fmt.Errorf("batch of %d: %w", len(requests), batchRefusal(raw, err))
	}
	for _, r := range requests {
		r.Err = errors.New("no answer in the batch")
	}
	for _, a := range answers {
		if a.ID >= 1 && a.ID <= len(requests) {
			r := requests[a.ID-1]
			r.Err = a.decode(r.Result)
		}
	}
	return nil
}

// batchRefusal makes sense of an answer to a batch that is not an array:
// servers refuse a whole batch with a single error object.
func batchRefusal(raw []byte, err error) error {
	var one response
	if json.Unmarshal(raw, &one) == nil && one.Error != nil {
		return one.Error
	}
	return fmt.Errorf("the answer is not a JSON-RPC batch: %v", err)
}

// EncodeRequest is the body of a single JSON-RPC request, with id 1.
func EncodeRequest(method string, params ...any) ([]byte, error) {
	return encodeRequest(1, method, params)
}

func encodeRequest(id int, method string, params []any) ([]byte, error) {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(struct {
		JSONRPC string `json:"jsonrpc"`
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  []any  `json:"params"`
	}{"2.0", id, method, params})
	if err != nil {
		return nil, fmt.Errorf("%s: encoding parameters: %w", method, err)
	}
	return body, nil
}

type response struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error"`
}

func (r *response) decode(into any) error {
	switch {
	case r.Error != nil:
		return r.Error
	case r.Result == nil:
		return errors.New("the answer has neither a result nor an error")
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(r.Result, into); err != nil {
		return fmt.Errorf("the result has an unexpected form: %v", err)
	}
	return nil
}

// Post sends a JSON-RPC body as it is and returns the answer as it came, for
// callers that send so much that encoding and decoding would show. The server
// is asked not to compress: it has enough to do. The answer is in the memory of
// into as far as that reaches. After an error, body may still be read: it must
// not be written to again.
func (c *Client) Post(ctx context.Context, body, into []byte) ([]byte, error) {
	return c.exchange(ctx, body, into, true)
}

// post sends one body and returns the whole answer.
func (c *Client) post(ctx context.Context, body []byte) ([]byte, error) {
	return c.exchange(ctx, body, nil, false)
}

// exchange sends one body and returns the whole answer, read into the memory
// of into. plain asks for an answer that is not compressed.
func (c *Client) exchange(ctx context.Context, body, into []byte, plain bool) ([]byte, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if plain {
		req.Header.Set("Accept-Encoding", "identity")
	}
	if c.authorize != nil {
		if err := c.authorize(req); err != nil {
			return nil, err
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(err)
	}
	defer res.Body.Close()
	raw, err := readAll(io.LimitReader(res.Body, maxAnswer+1), into[:0])
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", transportError(err))
	}
	if len(raw) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	if res.StatusCode != http.StatusOK {
		return nil, &HTTPError{Status: res.StatusCode, Body: excerpt(raw)}
	}
	return raw, nil
}

// readAll appends all of r to b.
func readAll(r io.Reader, b []byte) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			const first = 4 << 10
			b = slices.Grow(b, max(len(b), first))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return b, unlessEOF(err)
		}
	}
}

// transportError drops the "Post URL:" that net/http puts before the cause;
// callers name the server themselves.
func transportError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Refused reports whether err means that nothing listens at the address.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// TimedOut reports whether err is a time limit, the caller's or the network's.
func TimedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// excerpt is the start of an answer on one line, for an error message.
func excerpt(raw []byte) string {
	const limit = 160
	s := bytes.Join(bytes.Fields(raw), []byte(" "))
	if len(s) > limit {
		return string(s[:limit]) + "…"
	}
	return string(s)
}

// Until calls f until it succeeds, ctx ends or permanent says that trying
// again cannot help, with a pause between tries that grows from 50 ms to 1 s.
// It returns the last error of f's.
func Until(ctx context.Context, permanent func(error) bool, f func() error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := f()
		if err == nil || permanent(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
