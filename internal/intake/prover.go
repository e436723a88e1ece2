package intake

import (
	"bytes"
	"io"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
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

// read takes one line. The texts are those of the prover as it was, with
// batches, and as it is, with payloads; in both an id follows.
func (p *prover) read(c *collector, line []byte, at int) {
	if rest, ok := afterAny(line, "Proved batch ", "Proved payload #"); ok {
		p.proved(c, rest, at)
		return
	}
	if rest, ok := afterAny(line, "Received Response for batch_number: ", "Received payload #"); ok {
		if batch, _, ok := number(rest); ok {
			p.failed(c)
			p.received++
			p.working, p.isWorking, p.workingLine = batch, true, at
			p.open = -1
		}
		return
	}
	if rest, ok := afterAny(line, "Received submit ack for batch_number: ", "Proof for payload #"); ok {
		if batch, _, ok := number(rest); ok {
			p.acked(batch)
		}
		return
	}
	switch {
	case bytes.Contains(line, []byte("Prover started for ")):
		p.starts++
		p.fresh = true
		p.isWorking, p.open = false, -1
	case bytes.Contains(line, []byte("Failed to submit proof")):
		if p.open >= 0 {
			p.attempts[p.open].lost = true
			p.open = -1
		}
	case bytes.Contains(line, []byte("Version mismatch: ")):
		p.mismatch++
	case bytes.Contains(line, []byte("Proof coordinator does not need ")):
		p.notNeeded++
	case bytes.Contains(line, []byte("Failed to request new data")):
		p.down++
	case bytes.Contains(line, []byte(`"exec" prover backend`)):
		p.exec++
	}
}

// afterAny returns what follows the first of the marks that line holds.
func afterAny(line []byte, marks ...string) ([]byte, bool) {
	for _, mark := range marks {
		if rest, ok := after(line, mark); ok {
			return rest, true
		}
	}
	return nil, false
}

// failed notes that the batch in work ended without a proof.
func (p *prover) failed(c *collector) {
	if p.isWorking {
		c.exclude(FailedProof, p.workingLine, p.working)
		p.tried[p.working] = true
		p.isWorking = false
	}
}

// proved reads "3 in 12.34s (program: evm-l2, elf) batch=3 proving_time_s=12
// proving_time_ms=12340"; the fields are exact and the duration is rounded, so
// that it counts only where the fields say zero.
func (p *prover) proved(c *collector, rest []byte, at int) {
	batch, rest, ok := number(rest)
	if !ok {
		c.exclude(BadBlock, at, 0)
		return
	}
	a := attempt{value: Value{Block: batch, Line: uint32(at)}}
	if p.fresh {
		a.value.Flags |= SetUp
		p.fresh = false
	}
	if p.tried[batch] {
		a.value.Flags |= Repeated
	}
	p.tried[batch] = true
	p.isWorking = false
	if text, ok := bytes.CutPrefix(rest, []byte(" in ")); ok {
		d, _, ok := scanDuration(text)
		if !ok {
			c.exclude(BadDuration, at, batch)
			p.open = -1
			return
		}
		a.timed = true
		a.value.MS, a.value.Exponent = d.ms, d.exponent
		if ms, ok := fieldOf(rest, "proving_time_ms="); ok && ms > 0 {
			a.value.MS, a.value.Exponent = float64(ms), 6
		}
	}
	p.open = len(p.attempts)
	p.attempts = append(p.attempts, a)
}

// fieldOf reads the number of a field such as " proving_time_ms=47123".
func fieldOf(line []byte, name string) (uint64, bool) {
	rest, ok := after(line, " "+name)
	if !ok {
		return 0, false
	}
	n, rest, ok := number(rest)
	return n, ok && (len(rest) == 0 || rest[0] == ' ')
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
	return fault.Newf(fault.Usage, "%s: no timed proof (\"Proved batch N in …\") in %d lines of a prover log; seen: %s",
		in.name, in.n, strings.Join(kinds, ", ")).
		Hint("the prover logs times with --timed or PROVER_CLIENT_TIMED=true:").
		Hint("ethrex l2 prover --timed --proof-coordinators tcp://127.0.0.1:3900")
}
