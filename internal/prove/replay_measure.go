package prove

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/proverlog"
	"github.com/verdict-bench/verdict/internal/sample"
)

// replay hands the batches out until all are proved.
func (r *replayer) replay(ctx context.Context) error {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var listeners [2]net.Listener
	var watching sync.WaitGroup
	for i, p := range r.provers {
		listeners[i] = p.listener
		watching.Go(func() {
			select {
			case <-p.process.Done():
				cancel(&diedError{sample.Sides[i], p.process.Exit()})
			case <-ctx.Done():
			}
		})
	}
	r.turn()
	c := coordinator.Replay{
		Recording: r.Recording, Schedule: r.schedule,
		AskWithin: r.Spec.AskTimeout, ProveWithin: r.Spec.ProofTimeout,
		Done: func(o coordinator.Outcome) error { return r.done(ctx, o) }, Noted: r.noted,
	}
	err := c.Run(ctx, listeners)
	cancel(nil)
	watching.Wait()
	if outer.Err() != nil && errors.Is(err, context.Cause(outer)) {
		return outer.Err() // it was interrupted: no prover has to do with that
	}
	return r.explain(ctx, err)
}

// diedError is a prover that ended in the middle of a replay.
type diedError struct {
	side sample.Side
	err  error
}

func (e *diedError) Error() string { return e.err.Error() }

// Unwrap is how it ended, with the end of its log.
func (e *diedError) Unwrap() error { return e.err }

// explain puts what the prover whose turn it was says itself under an error
// that it may be the reason of.
func (r *replayer) explain(ctx context.Context, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil || r.own || errors.Is(err, context.Canceled) {
		return err
	}
	var died *diedError
	if errors.As(err, &died) {
		if r.next < len(r.schedule) && r.schedule[r.next].Side == died.side {
			return fmt.Errorf("batch %d, in the turn of the %s: %w", r.schedule[r.next].Batch, died.side, err)
		}
		return err
	}
	if ctx.Err() == nil || r.next == len(r.schedule) {
		return err
	}
	side := r.schedule[r.next].Side
	text := ""
	if stray := r.stray[side.Index()]; stray != "" {
		text = "\nbefore that: " + stray
	}
	path := r.Run.Log("prover-" + string(side))
	last := host.Tail(path, logLines)
	if len(last) == 0 {
		return fmt.Errorf("%w%s\nthe %s prover printed nothing (%s)", err, text, side, path)
	}
	return fmt.Errorf("%w%s\nthe end of %s:\n%s", err, text, path, strings.Join(last, "\n"))
}

// noted takes what a prover does beside the protocol. It has no effect on the
// replay, and is kept with the samples.
func (r *replayer) noted(side sample.Side, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stray[side.Index()] = what
	r.Progress(ReplayProgress{Phase: plan.ReplayBatches, Message: fmt.Sprintf("the %s prover: %s", side, what)})
	n := &sample.Notice{Side: side, Host: r.manifest.Environment.Hostname, At: r.Now().UTC(), Kind: sample.ProverError, Message: what}
	if err := r.keep(side, sample.Record{V: sample.Version, Notice: n}); err != nil {
		r.Progress(ReplayProgress{Phase: plan.ReplayBatches, Message: err.Error()})
	}
}

// keep stores a record.
func (r *replayer) keep(side sample.Side, rec sample.Record) error {
	if err := r.Run.Append(side, rec); err != nil {
		return err
	}
	r.records[side.Index()] = append(r.records[side.Index()], rec)
	return nil
}

// done stores a proof and counts it. It is called before the proof is
// acknowledged, so that what was not stored is not acknowledged either.
func (r *replayer) done(ctx context.Context, o coordinator.Outcome) error {
	line, err := r.provers[o.Side.Index()].log.proved(ctx, o.Batch)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempt(o, line)
	if err := r.keep(o.Side, sample.Record{V: sample.Version, Attempt: a}); err != nil {
		r.own = true
		return err
	}
	if !a.WarmUp {
		ms := float64(a.ProvingNS) / float64(time.Millisecond)
		if r.tally.add(o.Side, turn{o.Batch, o.Round}, ms, a.Public) {
			r.Progress(ReplayProgress{Phase: plan.ReplayBatches, Message: fmt.Sprintf(
				"batch %d: the public outputs of the two sides differ, so the result will be invalid", o.Batch)})
		}
	}
	r.next++
	r.turnLocked()
	return nil
}

// attempt is the proof that just came.
func (r *replayer) attempt(o coordinator.Outcome, line proverlog.Event) *sample.Attempt {
	warmUps := 2 * r.Spec.WarmUp
	a := &sample.Attempt{
		Side: o.Side, Host: r.manifest.Environment.Hostname, Batch: o.Batch, Round: o.Round, Number: 1,
		Status: sample.Accepted, WarmUp: r.next < warmUps,
		ReceivedAt: o.HandedOut.UTC(), ProvedAt: line.At, AckedAt: o.Received.UTC(),
		ProvingNS: line.ProvingNS, PrecisionNS: line.PrecisionNS,
		Order: 1 + r.next%2, RoundTripNS: o.Submitted.Sub(o.HandedOut).Nanoseconds(),
		Public: publicDigest(o.Proof.Public),
	}
	for _, b := range r.batches() {
		if b.Number == o.Batch {
			a.InputBytes, a.InputSHA256 = b.Size, b.SHA256
		}
	}
	a.SetUp = true
	for _, rec := range r.records[o.Side.Index()] {
		if rec.Attempt == nil {
			continue
		}
		a.SetUp = false
		if rec.Attempt.Batch == o.Batch {
			a.Number++
		}
	}
	if a.ProvedAt.IsZero() {
		a.ProvedAt = o.Submitted.UTC()
	}
	return a
}

// publicDigest is the SHA-256 of public values, whose white space means
// nothing; empty where there are none.
func publicDigest(public json.RawMessage) string {
	if public == nil || string(public) == "null" {
		return ""
	}
	var compact bytes.Buffer
	if json.Compact(&compact, public) != nil {
		compact.Write(public)
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:])
}

// turn shows whose turn it is.
func (r *replayer) turn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turnLocked()
}

func (r *replayer) turnLocked() {
	p := ReplayProgress{
		Phase: plan.ReplayBatches, Planned: r.Spec.Batches * r.Spec.Rounds,
		Done:   max(0, r.next-2*r.Spec.WarmUp) / 2,
		Median: r.tally.medians(), Ratio: r.tally.ratio(),
	}
	if r.next < len(r.schedule) {
		p.Side, p.Batch = r.schedule[r.next].Side, r.schedule[r.next].Batch
	}
	r.Progress(p)
}
