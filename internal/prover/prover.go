// Package prover is the built-in exec prover. It asks proof coordinators for
// batches, re-executes their blocks statelessly and submits what that proves:
// the public output, with no cryptographic proof. It speaks the protocol of
// ethrex's prover and writes its log lines, so that whatever drives, records or
// measures the one does so with the other.
package prover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/coordinator"
)

// Type is the prover_type of this prover in the protocol.
const Type = "Exec"

// GCPercent and MemoryLimit, in bytes, are what a prover's process should set
// with package debug. What lives during an execution is a few megabytes beside
// the input, so that with Go's own settings the collector runs several times in
// the timed span of each block; the limit keeps large inputs from growing to
// many times their size.
const (
	GCPercent   = 1000
	MemoryLimit = 768 << 20
)

// Options are what a prover is started with.
type Options struct {
	// Coordinators are the URLs of the coordinators, of any scheme, with host
	// and port. They are asked in turn.
	Coordinators []string
	// Commit is the commit hash that the prover claims, 40 hex digits.
	Commit string
	// Interval is the pause before each round of questions.
	Interval time.Duration
	// Timed adds the proving time to the line of each batch.
	Timed bool
	// Log gets a line for everything that happens.
	Log *slog.Logger
}

// Prover is one prover. Make it with New; Run it once.
type Prover struct {
	endpoints []endpoint
	commit    string
	interval  time.Duration
	// patience is how long an exchange may stand still.
	patience time.Duration
	timed    bool
	log      *slog.Logger
	slow     float64
}

// patience is far above what a coordinator needs to open an input, and short
// enough that the log tells of one that hangs.
const patience = time.Minute

// endpoint is one coordinator: the address to dial, and the URL for the log.
type endpoint struct{ addr, shown string }

// New checks the options. Its errors are those of bad usage.
func New(o Options) (*Prover, error) {
	p := &Prover{commit: o.Commit, interval: o.Interval, patience: patience, timed: o.Timed, log: o.Log}
	if len(o.Coordinators) == 0 {
		return nil, errors.New("no proof coordinator is given")
	}
	for _, c := range o.Coordinators {
		addr, err := coordinator.Address(c)
		if err != nil {
			return nil, err
		}
		p.endpoints = append(p.endpoints, endpoint{addr, shown(c)})
	}
	if !batch.IsCommit(o.Commit) {
		return nil, fmt.Errorf("commit %q: must be 40 hex digits in lower case", o.Commit)
	}
	if o.Interval < 0 {
		return nil, fmt.Errorf("the pause of %v is negative", o.Interval)
	}
	var err error
	p.slow, err = parseSlowdown(slowdown)
	return p, err
}

// shown is a URL as ethrex's prover writes it: one of HTTP gets a path.
func shown(coordinator string) string {
	u, err := url.Parse(coordinator)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Path == "" {
		u.Path = "/"
		return u.String()
	}
	return coordinator
}

// Run asks, proves and submits until ctx is done, whose cause it returns.
// Nothing else ends it: what goes wrong is logged, and the next round tries
// again.
func (p *Prover) Run(ctx context.Context) error {
	quoted := make([]string, len(p.endpoints))
	for i, e := range p.endpoints {
		quoted[i] = strconv.Quote(e.shown)
	}
	p.log.Info("Prover started for [" + strings.Join(quoted, ", ") + "]")
	pause := time.NewTimer(p.interval)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pause.C:
		}
		for _, e := range p.endpoints {
			p.round(ctx, e)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		pause.Reset(p.interval)
	}
}

// round asks one coordinator, and does what it hands out.
func (p *Prover) round(ctx context.Context, e endpoint) {
	b, message, err := p.request(ctx, e.addr)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		p.log.Error("Failed to request new data: Failed to get Response: "+explain(err), "endpoint", e.shown)
	case b != nil:
		p.log.Info(fmt.Sprintf("Received Response for batch_number: %d", b.Number), "endpoint", e.shown)
		p.work(ctx, e, *b)
	case message.Kind == coordinator.VersionMismatch || message.Kind == coordinator.NoBatchForVersion:
		p.log.Warn("Version mismatch: the next batch to prove was built with a different code version. This prover may need to be updated.")
	case message.Kind == coordinator.TypeNotNeeded:
		p.log.Error("Proof coordinator does not need "+Type+" proofs. This prover's backend is not in the required proof types for this deployment.", "endpoint", e.shown)
	case message.Kind == coordinator.BatchResponse:
		p.log.Debug("No batches to prove right now, the prover may be ahead of the proposer", "endpoint", e.shown)
	default:
		p.log.Error(fmt.Sprintf("Failed to request new data: Expecting Response, got %q", message.Tag), "endpoint", e.shown)
	}
}

// request asks a coordinator for work. The answer is decoded while it arrives
// and is never in memory as a whole; the batch is nil when there is none in it.
func (p *Prover) request(ctx context.Context, addr string) (*batch.Batch, coordinator.Message, error) {
	doc := coordinator.Request(coordinator.BatchRequest, p.commit, Type)
	r, w := io.Pipe()
	var message coordinator.Message
	var asking error
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		message, asking = p.ask(ctx, addr, doc, w)
		w.CloseWithError(asking) // nil is the end of the document
	}()
	b, decoding := batch.DecodeResponse(r)
	// Closing ends the exchange when decoding stopped before its end.
	r.CloseWithError(decoding)
	<-asked
	switch {
	case decoding == nil && asking == nil:
		return b, message, nil
	case asking == nil || errors.Is(asking, decoding):
		return nil, message, decoding
	}
	// What was wrong with the exchange is why decoding failed.
	return nil, message, asking
}

// ask makes one exchange. One in which nothing comes for the time of patience is
// an error: the other coordinators are to be asked all the same.
func (p *Prover) ask(ctx context.Context, addr string, doc []byte, answer io.Writer) (coordinator.Message, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(p.patience, func() { cancel(fmt.Errorf("it sent nothing for %v", p.patience)) })
	defer watch.Stop()
	message, _, err := coordinator.Ask(ctx, addr, doc, progress{answer, func() { watch.Reset(p.patience) }})
	return message, err
}

// progress passes on what is written and tells of it.
type progress struct {
	io.Writer
	made func()
}

func (w progress) Write(b []byte) (int, error) {
	w.made()
	return w.Writer.Write(b)
}

// work proves a batch and submits the proof.
func (p *Prover) work(ctx context.Context, e endpoint, b batch.Batch) {
	p.log.Warn(`"exec" prover backend generates no proof, only executes`)
	public, took, err := p.prove(ctx, b)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		p.log.Error(err.Error())
		return
	case p.timed:
		p.log.Info(fmt.Sprintf("Proved batch %d in %s", b.Number, human(took)), "batch", b.Number,
			"proving_time_s", int64(took/time.Second), "proving_time_ms", took.Milliseconds())
	default:
		p.log.Info(fmt.Sprintf("Proved batch %d", b.Number), "batch", b.Number)
	}
	trouble := p.submit(ctx, e.addr, b.Number, public)
	switch {
	case ctx.Err() != nil:
	case trouble != "":
		p.log.Warn("Failed to submit proof: "+trouble, "endpoint", e.shown)
	default:
		p.log.Info(fmt.Sprintf("Received submit ack for batch_number: %d", b.Number), "endpoint", e.shown)
	}
}

// prove executes a batch and says how long that took.
func (p *Prover) prove(ctx context.Context, b batch.Batch) (batch.Public, time.Duration, error) {
	// What decoding left behind is collected now and not in the timed span.
	runtime.GC()
	start := time.Now()
	public, err := batch.Execute(ctx, b)
	p.dawdle(start)
	return public, time.Since(start), err
}

// submit hands a proof to the coordinator and waits for its acknowledgement. It
// returns what went wrong as the log tells it, "" for nothing.
func (p *Prover) submit(ctx context.Context, addr string, number uint64, public batch.Public) (trouble string) {
	message, err := p.ask(ctx, addr, Proof(number, public), io.Discard)
	switch {
	case err != nil:
		return "Failed to get SubmitAck: " + explain(err)
	case message.Kind != coordinator.ProofSubmitACK || !message.HasBatch:
		return fmt.Sprintf("Expecting SubmitAck, got %q", message.Tag)
	case message.Batch != number:
		return fmt.Sprintf("Expecting SubmitAck of batch %d, got that of batch %d", number, message.Batch)
	}
	return ""
}

// Proof is the document that submits the execution of a batch: no proof, and
// the public output as public values.
func Proof(number uint64, public batch.Public) []byte {
	doc := fmt.Appendf(nil, `{"ProofSubmit":{"batch_number":%d,"batch_proof":{"ProofBytes":{"prover_type":"%s","proof":[],"public_values":[`, number, Type)
	for i, b := range public.Encode() {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = strconv.AppendUint(doc, uint64(b), 10)
	}
	return append(doc, `]}}}}`...)
}

// explain says what went wrong with an exchange, in ethrex's words where there
// are some: those who read its log know them.
func explain(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, coordinator.ErrEmpty):
		return "EOF while parsing a value at line 1 column 0"
	case errors.As(err, &errno):
		text := errno.Error()
		return fmt.Sprintf("%s%s (os error %d)", strings.ToUpper(text[:1]), text[1:], int(errno))
	}
	return err.Error()
}
