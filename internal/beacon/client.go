package beacon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
)

const (
	// answerTimeout bounds one request whose caller has set no deadline.
	answerTimeout = 10 * time.Second
	// maxAnswer bounds an answer in bytes. The largest that is asked for, the
	// configuration of a chain, is of some 10 kB.
	maxAnswer = 1 << 20
)

// Client asks one consensus client, by its beacon API. It is safe for
// concurrent use.
type Client struct {
	base string
	http *http.Client
}

// NewClient returns a client of the beacon API at rawURL, such as
// http://127.0.0.1:5052. Nothing is dialed until the first call.
func NewClient(rawURL string) (*Client, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		// The text is not quoted: it may hold a password.
		return nil, fmt.Errorf("beacon API URL: %v", errors.Unwrap(err))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("beacon API URL %q: the scheme must be http or https", ethrpc.Redact(rawURL))
	case u.Host == "":
		return nil, fmt.Errorf("beacon API URL %q: the host is missing", ethrpc.Redact(rawURL))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	return &Client{base: strings.TrimRight(rawURL, "/"), http: &http.Client{Transport: transport}}, nil
}

// URL is the address that the client calls, redacted.
func (c *Client) URL() string { return ethrpc.Redact(c.base) }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// StatusError is an answer with an HTTP status that the request does not have.
type StatusError struct {
	// URL is what was asked, redacted, with the path of the API.
	URL    string
	Status int
	// Body is the beginning of the answer.
	Body string
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: HTTP status %d", e.URL, e.Status)
	if e.Body != "" {
		text += ": " + e.Body
	}
	return text
}

// NotServed reports whether err says that the server has no such path.
func NotServed(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound
}

// Syncing asks how far the node is.
func (c *Client) Syncing(ctx context.Context) (Syncing, error) {
	return fetch(ctx, c, "/eth/v1/node/syncing", maxAnswer, decodeSyncing)
}

// Version asks for the program's name and version.
func (c *Client) Version(ctx context.Context) (string, error) {
	return fetch(ctx, c, "/eth/v1/node/version", maxAnswer, decodeVersion)
}

// Head asks for the header of the newest block.
func (c *Client) Head(ctx context.Context) (Header, error) {
	return fetch(ctx, c, "/eth/v1/beacon/headers/head", maxAnswer, decodeHeader)
}

// PeerCount asks how many peers the node is connected to.
func (c *Client) PeerCount(ctx context.Context) (uint64, error) {
	return fetch(ctx, c, "/eth/v1/node/peer_count", maxAnswer, decodePeerCount)
}

// Network asks for the name of the network, such as hoodi.
func (c *Client) Network(ctx context.Context) (string, error) {
	return fetch(ctx, c, "/eth/v1/config/spec", maxAnswer, decodeNetwork)
}

// Phase asks for what Lighthouse says of its sync beside the standard API.
// Other consensus clients do not have it: see [NotServed].
func (c *Client) Phase(ctx context.Context) (Phase, error) {
	return fetch(ctx, c, "/lighthouse/syncing", maxAnswer, decodePhase)
}

// Health is what a node says of itself by an HTTP status.
type Health int

// The states of health.
const (
	// Healthy: ready.
	Healthy Health = http.StatusOK
	// CatchingUp: syncing, or its head is optimistic.
	CatchingUp Health = http.StatusPartialContent
	// Unready: the execution client is offline, or the node is not
	// initialized.
	Unready Health = http.StatusServiceUnavailable
)

func (h Health) String() string {
	switch h {
	case Healthy:
		return "ready"
	case CatchingUp:
		return "syncing or optimistic"
	case Unready:
		return "execution client offline or not initialized"
	}
	return fmt.Sprintf("HTTP status %d", int(h))
}

// Health asks for the node's state of health.
func (c *Client) Health(ctx context.Context) (Health, error) {
	const path = "/eth/v1/node/health"
	status, raw, err := c.exchange(ctx, path, maxAnswer)
	if err != nil {
		return 0, fmt.Errorf("%s%s: %w", c.URL(), path, err)
	}
	switch h := Health(status); h {
	case Healthy, CatchingUp, Unready:
		return h, nil
	}
	return 0, &StatusError{URL: c.URL() + path, Status: status, Body: excerpt(raw)}
}

// fetch asks for path and decodes the answer. Every error names the URL.
func fetch[T any](ctx context.Context, c *Client, path string, limit int64, decode func([]byte) (T, error)) (T, error) {
	var none T
	// What follows the question mark is the program's own and of no interest.
	name, _, _ := strings.Cut(path, "?")
	name = c.URL() + name
	status, raw, err := c.exchange(ctx, path, limit)
	if err != nil {
		return none, fmt.Errorf("%s: %w", name, err)
	}
	if status != http.StatusOK {
		return none, &StatusError{URL: name, Status: status, Body: excerpt(raw)}
	}
	answer, err := decode(raw)
	if err != nil {
		return none, fmt.Errorf("%s answered %s: %w", name, excerpt(raw), err)
	}
	return answer, nil
}

// exchange sends one request and returns status and body of the answer.
func (c *Client) exchange(ctx context.Context, path string, limit int64) (int, []byte, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return 0, nil, withoutURL(err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, withoutURL(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer: %w", withoutURL(err))
	}
	if int64(len(raw)) > limit {
		return 0, nil, fmt.Errorf("the answer is larger than %d bytes", limit)
	}
	return res.StatusCode, raw, nil
}

// withoutURL drops the URL that net/http puts before the cause: it was not
// redacted, and the caller names it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
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
