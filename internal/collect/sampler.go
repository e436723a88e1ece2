// Package collect measures how long servers take to answer
// debug_executionWitness: one sample for each block, with its status.
//
// A [Sampler] measures one block on one server. [Follow] measures each new
// block of a server as it comes, through reorgs and restarts. Within a sample
// only the request itself is timed, by an [ethrpc.Meter]; the answer is parsed,
// counted and digested afterwards.
package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/witness"
)

const (
	witnessByNumber = "debug_executionWitness"
	witnessByHash   = "debug_executionWitnessByBlockHash"
)

// callTimeout bounds the light calls around a measurement.
const callTimeout = 10 * time.Second

// Options say how a Sampler measures.
type Options struct {
	// Side, Host, Session and Swapped go into each sample as they are.
	Side    sample.Side
	Host    string
	Session int
	Swapped bool
	// Control marks the samples of an A/A control.
	Control sample.Control
	// ByHash asks with debug_executionWitnessByBlockHash instead of by number.
	ByHash bool
	// Metrics is the URL of the server's metrics page, which is read before and
	// after each timed request for how long the block's import and the server's
	// own part of the request took. Empty reads none.
	Metrics string
	// Notice is told why the metrics page does not tell a figure, once for each
	// reason; nil means nobody wants to know.
	Notice func(string)
	ethrpc.MeterOptions
}

// Block is what a sample needs to know of a block.
type Block struct {
	Number uint64
	// Hash and ParentHash are 0x and 64 lower-case digits.
	Hash, ParentHash string
	GasUsed          uint64
	Transactions     int
	// Timestamp is in seconds since 1970.
	Timestamp uint64
}

// ErrNoBlock is the answer of a server that has no block at a height.
var ErrNoBlock = errors.New("no such block")

// Sampler measures one server. It is not safe for concurrent use.
type Sampler struct {
	options Options
	client  *ethrpc.Client
	meter   *ethrpc.Meter
	page    *page // nil without a metrics page
	start   time.Time
}

// NewSampler returns a sampler of the server at rawURL. Nothing is dialed yet.
func NewSampler(rawURL string, o Options) (*Sampler, error) {
	client, err := ethrpc.NewClient(rawURL)
	if err != nil {
		return nil, err
	}
	page, err := newPage(o.Metrics, o.method(), o.Notice)
	if err != nil {
		return nil, err
	}
	meter, err := ethrpc.NewMeter(rawURL, o.MeterOptions)
	if err != nil {
		client.Close()
		return nil, err
	}
	return &Sampler{options: o, client: client, meter: meter, page: page, start: time.Now()}, nil
}

// URL is the server's address for messages, redacted.
func (s *Sampler) URL() string { return s.client.URL() }

// Close drops the connections and the last answer.
func (s *Sampler) Close() error {
	s.client.Close()
	s.page.close()
	return s.meter.Close()
}

// Server is what a server says of itself.
type Server struct {
	ChainID uint64
	// Version is empty when the server does not tell.
	Version string
	Head    uint64
}

// Preflight checks that the server answers and offers the method. Its errors
// are of kind Prerequisite and name the server.
func (s *Sampler) Preflight(ctx context.Context) (Server, error) {
	var server Server
	var err error
	if server.ChainID, err = s.ChainID(ctx); err == nil {
		server.Head, err = s.Head(ctx)
	}
	if err != nil {
		return Server{}, s.unusable(ctx, err)
	}
	if err := s.call(ctx, &server.Version, "web3_clientVersion"); err != nil {
		server.Version = "" // some clients do not offer it, and nothing depends on it
	}
	// A block that cannot exist makes the server look the method up without
	// any work for it: asking for a real one could take it seconds.
	method, param := s.request(Block{Number: server.Head + 1<<32, Hash: "0x" + strings.Repeat("0", 64)})
	err = s.call(ctx, nil, method, param)
	var refused *ethrpc.Error
	switch {
	case errors.As(err, &refused) && refused.Code == ethrpc.MethodNotFound:
		return Server{}, fault.Newf(fault.Prerequisite, "%s does not offer %s: %w", s.URL(), method, refused).
			Hint("enable the debug namespace: for geth, reth and ethrex --http.api eth,net,web3,debug")
	case err != nil && !errors.As(err, &refused):
		return Server{}, s.unusable(ctx, err)
	}
	return server, nil
}

func (s *Sampler) unusable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := fault.Newf(fault.Prerequisite, "%s cannot be used: %w", s.URL(), err)
	if ethrpc.Refused(err) {
		f.Hint("start the execution client there, or give the address of its HTTP RPC")
	}
	return f
}

// call makes a light call under its own time limit.
func (s *Sampler) call(ctx context.Context, result any, method string, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.client.Call(ctx, result, method, params...)
}

// ChainID asks for the chain's identifier.
func (s *Sampler) ChainID(ctx context.Context) (uint64, error) {
	return s.quantity(ctx, "eth_chainId")
}

// Head asks for the number of the newest block.
func (s *Sampler) Head(ctx context.Context) (uint64, error) {
	return s.quantity(ctx, "eth_blockNumber")
}

func (s *Sampler) quantity(ctx context.Context, method string) (uint64, error) {
	var text string
	if err := s.call(ctx, &text, method); err != nil {
		return 0, err
	}
	v, err := parseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", method, err)
	}
	return v, nil
}

func parseQuantity(text string) (uint64, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	v, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("%.80q is not a 64-bit quantity", text)
	}
	return v, nil
}

// Block asks for the block at a height, without its transactions. The error
// has ErrNoBlock in its chain when the server has none.
func (s *Sampler) Block(ctx context.Context, number uint64) (Block, error) {
	const method = "eth_getBlockByNumber"
	var raw json.RawMessage
	if err := s.call(ctx, &raw, method, hexQuantity(number), false); err != nil {
		return Block{}, err
	}
	block, err := parseBlock(raw, number)
	if err != nil && !errors.Is(err, ErrNoBlock) {
		err = fmt.Errorf("%s: %w", method, err)
	}
	return block, err
}

// parseBlock reads an answer to eth_getBlockByNumber for the given number.
func parseBlock(raw []byte, number uint64) (Block, error) {
	var in *struct {
		Number       string            `json:"number"`
		Hash         string            `json:"hash"`
		ParentHash   string            `json:"parentHash"`
		GasUsed      string            `json:"gasUsed"`
		Timestamp    string            `json:"timestamp"`
		Transactions []json.RawMessage `json:"transactions"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return Block{}, fmt.Errorf("block %d has an unexpected form: %w", number, err)
	}
	if in == nil {
		return Block{}, fmt.Errorf("block %d: %w", number, ErrNoBlock)
	}
	out := Block{
		Number:       number,
		Hash:         strings.ToLower(in.Hash),
		ParentHash:   strings.ToLower(in.ParentHash),
		Transactions: len(in.Transactions),
	}
	served, err := parseQuantity(in.Number)
	if err == nil && served != number {
		err = fmt.Errorf("the answer is block %d", served)
	}
	if err == nil && (!isHash(out.Hash) || !isHash(out.ParentHash)) {
		err = errors.New("the answer has no block hash or no parent hash")
	}
	if err == nil {
		out.GasUsed, err = parseQuantity(in.GasUsed)
	}
	if err == nil {
		out.Timestamp, err = parseQuantity(in.Timestamp)
	}
	if err != nil {
		return Block{}, fmt.Errorf("block %d: %w", number, err)
	}
	return out, nil
}

func hexQuantity(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }

func isHash(text string) bool {
	digits, ok := strings.CutPrefix(text, "0x")
	return ok && len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == ""
}

// Ask is one measurement to make.
type Ask struct {
	// Block is the block as it was known just before.
	Block Block
	// Seen is when the block was first known to exist; zero for unknown.
	Seen time.Time
	// Behind counts blocks between this one and the newest of the server.
	Behind uint64
	// Order and WarmUp go into the sample as they are.
	Order  int
	WarmUp bool
}

// Measure asks for the witness of one block and returns its sample. Whatever
// the server does is a sample; the error is of this side alone: ctx ended, or
// the spool file could not be written.
//
// After the answer the server is asked whether the block is still at its
// height, so that an answer about another block is never taken for this one's.
//
// The body is the answer as it came. It stays readable until the next call.
func (s *Sampler) Measure(ctx context.Context, ask Ask) (sample.Sample, *ethrpc.Body, error) {
	method, param := s.request(ask.Block)
	body, err := ethrpc.EncodeRequest(method, param)
	if err != nil {
		return sample.Sample{}, nil, err
	}
	before, looked := s.page.look(ctx)
	answer, err := s.meter.Time(ctx, body)
	if err != nil {
		return sample.Sample{}, nil, err
	}
	out := s.blank(ask, answer.AskedAt)
	out.Status, out.Failure, out.Timing = answer.Status, answer.Failure, answer.Timing
	if looked && out.Status == sample.OK {
		// At once, so that little of what others ask comes between.
		if after, ok := s.page.look(ctx); ok {
			s.page.describe(&out, before, after)
		}
	}
	out.WireBytes, out.BodyBytes = answer.Body.WireBytes(), answer.Body.WireBytes()
	if out.Status == sample.OK {
		decode(&out, answer.Body)
	}
	// A server that did not answer at all says nothing about its chain now.
	if out.Status != sample.Unavailable && out.Status != sample.Timeout {
		if err := s.recheck(ctx, &out); err != nil {
			return sample.Sample{}, nil, err
		}
	}
	return out, answer.Body, nil
}

func (s *Sampler) request(b Block) (method, param string) {
	method = s.options.method()
	if s.options.ByHash {
		return method, b.Hash
	}
	return method, hexQuantity(b.Number)
}

// method is the method that is measured.
func (o *Options) method() string {
	if o.ByHash {
		return witnessByHash
	}
	return witnessByNumber
}

// blank is a sample of ask without an outcome.
func (s *Sampler) blank(ask Ask, at time.Time) sample.Sample {
	out := sample.Sample{
		Side:         s.options.Side,
		Host:         s.options.Host,
		Number:       ask.Block.Number,
		Hash:         ask.Block.Hash,
		AskedAt:      at.UTC(),
		OffsetNS:     int64(at.Sub(s.start)),
		BehindHead:   ask.Behind,
		Order:        ask.Order,
		WarmUp:       ask.WarmUp,
		Session:      s.options.Session,
		Swapped:      s.options.Swapped,
		Control:      s.options.Control,
		GasUsed:      ask.Block.GasUsed,
		Transactions: ask.Block.Transactions,
	}
	if !ask.Seen.IsZero() {
		out.SinceHeadNS = int64(at.Sub(ask.Seen))
	}
	return out
}

// Gap is the record of a stretch of time in which the server did not answer.
func (s *Sampler) Gap(from, to time.Time, reason string) sample.Record {
	return sample.Record{V: sample.Version, Gap: &sample.Gap{
		Side:       s.options.Side,
		From:       from.UTC(),
		OffsetNS:   int64(from.Sub(s.start)),
		DurationNS: int64(to.Sub(from)),
		Reason:     reason,
	}}
}

// decode parses the answer into its counts and digests and finds out whether
// it is a witness at all.
func decode(out *sample.Sample, body *ethrpc.Body) {
	start := time.Now()
	summary, size, err := scan(body)
	out.DecodeNS = int64(time.Since(start))
	if body.Compressed() {
		out.BodyBytes = size
	}
	var refused *ethrpc.Error
	switch {
	case errors.As(err, &refused):
		out.Status = sample.RPCError
		out.Failure = &sample.Failure{Code: refused.Code, Message: refused.Message}
		return
	case errors.Is(err, io.ErrUnexpectedEOF):
		out.Status = sample.Truncated
	case err != nil:
		out.Status = sample.Malformed
	case summary.StateNodes == 0 && summary.Codes == 0 && summary.Headers == 0:
		out.Status = sample.Malformed
		err = errors.New("the witness is empty")
	default:
		out.Counts = summary.Counts
		out.Digest, out.KeysDigest = summary.Digest, summary.KeysDigest
		return
	}
	out.Failure = &sample.Failure{Message: err.Error()}
}

// scan sums up the answer; size is what it has after decompression, as far as
// it was read.
func scan(body *ethrpc.Body) (summary witness.Summary, size int64, err error) {
	r, err := body.Open()
	if err != nil {
		return witness.Summary{}, 0, err
	}
	counted := counter{r: r}
	summary, err = witness.Scan(&counted)
	return summary, counted.n, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// recheck asks which block is at the sample's height now. What cannot be
// confirmed is not OK.
func (s *Sampler) recheck(ctx context.Context, out *sample.Sample) error {
	now, err := s.Block(ctx, out.Number)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && now.Hash == out.Hash:
		return nil
	case err == nil:
		fail(out, sample.Reorged, fmt.Sprintf("block %d is %s now", out.Number, now.Hash))
	case errors.Is(err, ErrNoBlock):
		fail(out, sample.Reorged, fmt.Sprintf("there is no block %d any more", out.Number))
	case out.Status == sample.OK:
		fail(out, sample.Unavailable, fmt.Sprintf("the block could not be checked after the answer: %v", err))
	}
	return nil
}

// fail gives the sample a status that overrides its own; what that had to say
// stays in the message.
func fail(out *sample.Sample, status sample.Status, message string) {
	if out.Failure != nil {
		message += fmt.Sprintf("; before that: %s: %s", out.Status, out.Failure.Message)
	}
	out.Status = status
	out.Failure = &sample.Failure{Message: message}
}
