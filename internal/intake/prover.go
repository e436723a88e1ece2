package intake

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/proverlog"
)

// attempt is one proof that was made.
type attempt struct {
	value Value
	timed bool
	// ack and lost say how it ended; neither means that the log does not tell.
	ack, lost bool
}

// prover is the state of reading a prover log.
type prover struct {
	attempts []attempt
	// open is the index of the attempt that waits for its ack, -1 for none.
	open int
	// working is the batch that was received and not yet proved.
	working     uint64
	isWorking   bool
	workingLine int
	// fresh says that the process has not proved anything yet.
	fresh bool
	// tried are batches with an attempt that came to nothing, or to a proof
	// that was lost.
	tried map[uint64]bool
	// received, acks and starts count the lines that a log has when it was not
	// filtered down to the proofs.
	received, acks, starts          int
	mismatch, notNeeded, exec, down int
}

func readProver(c *collector, in *lines) error {
	c.series.Batches = true
	p := &prover{open: -1, fresh: true, tried: make(map[uint64]bool)}
	for {
		line, err := in.message()
		if err == io.EOF {
			return p.finish(c, in)
		}
		if err != nil {
			return err
		}
		p.read(c, line, in.n)
	}
}

// read takes one line.
func (p *prover) read(c *collector, line []byte, at int) {
	e, ok := proverlog.Parse(line)
	if !ok {
		return
	}
	switch e.Kind {
	case proverlog.Started:
		p.starts++
		p.fresh = true
		p.isWorking, p.open = false, -1
	case proverlog.Received:
		p.failed(c)
		p.received++
		p.working, p.isWorking, p.workingLine = e.Batch, true, at
		p.open = -1
	case proverlog.Proved:
		p.proved(c, e, at)
	case proverlog.Acknowledged:
		p.acked(e.Batch)
	case proverlog.SubmitFailed:
		if p.open >= 0 {
			p.attempts[p.open].lost = true
			p.open = -1
		}
	case proverlog.VersionMismatch:
		p.mismatch++
	case proverlog.NotNeeded:
		p.notNeeded++
	case proverlog.Unreachable:
		p.down++
	case proverlog.ExecutesOnly:
		p.exec++
	}
}

// failed notes that the batch in work ended without a proof.
func (p *prover) failed(c *collector) {
	if p.isWorking {
		c.exclude(FailedProof, p.workingLine, p.working)
		p.tried[p.working] = true
		p.isWorking = false
	}
}

// proved takes a proof that was made.
func (p *prover) proved(c *collector, e proverlog.Event, at int) {
	if e.Unnumbered {
		c.exclude(BadBlock, at, 0)
		return
	}
	a := attempt{value: Value{Block: e.Batch, Line: uint32(at)}, timed: e.Timed}
	if p.fresh {
		a.value.Flags |= SetUp
		p.fresh = false
	}
	if p.tried[e.Batch] {
		a.value.Flags |= Repeated
	}
	p.tried[e.Batch] = true
	p.isWorking = false
	if e.Garbled {
		c.exclude(BadDuration, at, e.Batch)
		p.open = -1
		return
	}
	a.value.MS = float64(e.ProvingNS) / float64(time.Millisecond)
	for unit := e.PrecisionNS; unit >= 10; unit /= 10 {
		a.value.Exponent++
	}
	p.open = len(p.attempts)
	p.attempts = append(p.attempts, a)
}

// acked takes an acknowledgement, which belongs to the proof just made.
func (p *prover) acked(batch uint64) {
	p.acks++
	if p.open >= 0 && p.attempts[p.open].value.Block == batch {
		p.attempts[p.open].ack = true
		p.open = -1
	}
}

func (p *prover) finish(c *collector, in *lines) error {
	timed := 0
	for _, a := range p.attempts {
		if a.timed {
			timed++
		}
	}
	if timed == 0 && c.series.Left(BadDuration) == 0 {
		return p.noTiming(in)
	}
	// A log that was filtered down to its proofs cannot show an ack, nor
	// anything else; one that shows anything else and no ack had none.
	filtered := p.received == 0 && p.acks == 0 && p.starts == 0
	for _, a := range p.attempts {
		at, batch := int(a.value.Line), a.value.Block
		switch {
		case a.lost:
			c.exclude(Lost, at, batch)
		case !a.ack && !filtered:
			c.exclude(Unacked, at, batch)
		case !a.timed:
			c.exclude(Untimed, at, batch)
		default:
			c.add(a.value)
		}
	}
	p.warn(c, filtered)
	return nil
}

func (p *prover) warn(c *collector, filtered bool) {
	if filtered {
		c.warn("the log holds proofs only: whether they were accepted, and which attempts failed, is not known")
	}
	if p.exec > 0 {
		c.warn("the exec backend makes no proof: the times are those of running the guest program")
	}
	if p.mismatch > 0 {
		c.warn("the prover reported a version mismatch (%s): its commit is not that of the sequencer", plural(p.mismatch, "time"))
	}
	if p.notNeeded > 0 {
		c.warn("the coordinator had no use for this backend's proofs (%s)", plural(p.notNeeded, "time"))
	}
	if p.down > 0 {
		c.warn("the coordinator could not be reached (%s)", plural(p.down, "time"))
	}
}

// ErrNoProof is the error of a prover log that tells of no proving time: the
// input is what it should be, and what it is to show has not happened.
var ErrNoProof = errors.New("no timed proof")

// noTiming says what a log without a timed proof holds instead.
func (p *prover) noTiming(in *lines) error {
	kinds := []string{}
	for _, k := range []struct {
		n    int
		what string
	}{
		{p.starts, "start"},
		{p.received, "batch received"},
		{len(p.attempts), "proof without a time"},
		{p.acks, "acknowledgement"},
		{p.down, "coordinator not reached"},
		{p.mismatch, "version mismatch"},
		{p.notNeeded, "proof type not needed"},
	} {
		if k.n > 0 {
			kinds = append(kinds, counted(k.n, k.what))
		}
	}
	if in.torn {
		kinds = append(kinds, counted(1, "line cut off at the end"))
	}
	return fault.Newf(fault.Failed, "%s: %w (\"Proved batch N in …\") in %d lines of a prover log; seen: %s",
		in.name, ErrNoProof, in.n, strings.Join(kinds, ", ")).
		Hint("the prover logs times with --timed or PROVER_CLIENT_TIMED=true:").
		Hint("ethrex l2 prover --timed --proof-coordinators tcp://127.0.0.1:3900").
		Hint("a prover that is still at its first batch has logged none: wait for \"Proved batch\"")
}
