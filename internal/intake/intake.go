// Package intake reads measurements that verdict did not make: logs of
// ethrex-replay in every form it has had, timed prover logs with the metrics
// page beside them, CSV, tables in Markdown and Go benchmark results.
//
// The kind of an input is found from its content, never from its name, and
// gzip is undone on the way, so that a file, a compressed file and standard
// input are the same to it. Reading is streaming: memory grows with the
// values, not with the log around them. What an input says and cannot be used
// is counted under a named reason and never dropped silently, because a missing
// slow block looks like a faster program. The package opens no files and knows
// no clock and no network.
package intake

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Kind says what an input is.
type Kind string

// The kinds of input.
const (
	ReplayLog Kind = "ethrex-replay log"
	ProverLog Kind = "prover log"
	CSV       Kind = "csv"
	Markdown  Kind = "table of results"
	Benchfmt  Kind = "benchfmt"
)

// Flag marks what is special about one value. The value stands all the same:
// leaving it out is a decision of the comparison.
type Flag uint8

// The flags of a value.
const (
	// SetUp: the first proof of a prover process, which pays for setting up.
	SetUp Flag = 1 << iota
	// Repeated: an earlier attempt at this batch failed or was lost.
	Repeated
	// HoursRestored: the log dropped the whole hours of this duration, and the
	// time stamps around it gave them back.
	HoursRestored
	// HoursUnclear: the log may have dropped whole hours, and nothing in it
	// tells.
	HoursUnclear
	// FarBehind: the block was more than 120 blocks behind the head when it
	// was asked for, so that the server may have had to rebuild its state.
	FarBehind
	// ExecutionFailed: the block could not be executed on its witness, which
	// may therefore be incomplete.
	ExecutionFailed
	// Empty: the batch holds no gas and no transactions.
	Empty
)

// Value is one measurement. It is kept small: a log may hold millions.
type Value struct {
	// Block is the number of the block or, in a prover log, of the batch.
	Block uint64
	// MS is the duration in milliseconds: finite, above 0, at most a day.
	MS float64
	// Line is where it stands in the input, from 1.
	Line uint32
	// Exponent is the resolution that the input prints, as a power of ten of
	// nanoseconds: 6 for whole milliseconds, 9 for whole seconds.
	Exponent int8
	Flags    Flag
}

// PrecisionMS is the resolution of v in milliseconds: 1 for "00s 131ms", 1000
// for "01m 02s". Logs truncate, so the true duration lies between MS and
// MS + PrecisionMS.
func (v Value) PrecisionMS() float64 { return math.Pow10(int(v.Exponent) - 6) }

// Has reports whether v carries the flag.
func (v Value) Has(f Flag) bool { return v.Flags&f != 0 }

// Hash is a block hash.
type Hash [32]byte

// Work is what a block or batch holds; zero fields are unknown, or really
// zero when the value is flagged Empty.
type Work struct {
	// Gas is the gas used.
	Gas uint64
	// Txs counts transactions, Blocks the blocks of a batch.
	Txs, Blocks uint32
}

// Exclusion counts what an input says that cannot be used, for one reason.
type Exclusion struct {
	Reason Reason
	Count  int
	// Lines and Blocks are the first few places, in parallel; a block is 0
	// where the line names none.
	Lines  []int
	Blocks []uint64
}

// Reason says why something was left out.
type Reason string

// The reasons.
const (
	Fallback      Reason = "measured through the fallback eth_getProof, not debug_executionWitness"
	Cached        Reason = "read from the replay's cache: not measured"
	RPCError      Reason = "debug_executionWitness answered with an error"
	RangeLine     Reason = "one duration for a range of blocks"
	Duplicate     Reason = "measured again: the first measurement stands"
	BadDuration   Reason = "duration that does not parse"
	NotPositive   Reason = "negative duration"
	Zero          Reason = "duration of zero: below the resolution of the input"
	NotFinite     Reason = "duration that is not a finite number"
	Absurd        Reason = "duration of more than 24 hours"
	BadBlock      Reason = "block number or hash that does not parse"
	NoLatency     Reason = "row without a duration"
	Uncounted     Reason = "row that its own report does not count"
	TornLine      Reason = "last line without a line end: it may be cut off"
	LongLine      Reason = "line of more than 1 MiB"
	Unacked       Reason = "proof that the log does not show as accepted"
	Lost          Reason = "proof that was lost on submission and made again"
	FailedProof   Reason = "attempt that ended without a proof"
	Untimed       Reason = "proof without a time"
	BadBenchmark  Reason = "benchmark line that does not parse"
	WithoutTiming Reason = "benchmark without a time per operation"
)

// Series is what one input holds.
type Series struct {
	Kind Kind
	// Name is the input's name as the caller gave it.
	Name string
	// Network is the network that the input names, "" when it names none.
	Network string
	// Numbered says that the values carry block or batch numbers. Without, as
	// in a benchmark that was merely repeated, Block counts from 1 and pairs
	// with nothing.
	Numbered bool
	// Batches says that the numbers are those of batches, not of blocks.
	Batches bool
	// Values stand in the order of the input, each number once (each number
	// and hash, where the input has hashes).
	Values []Value
	// Hashes and Work are parallel to Values, or nil when the input has none.
	Hashes []Hash
	Work   []Work
	// Excluded lists what could not be used, in the order of first sight.
	Excluded []Exclusion
	// Warnings are sentences without a period that belong beside any result.
	Warnings []string
	// Lines counts the lines of the input.
	Lines int
}

// Milliseconds returns the durations of the values, in their order.
func (s *Series) Milliseconds() []float64 {
	ms := make([]float64, len(s.Values))
	for i, v := range s.Values {
		ms[i] = v.MS
	}
	return ms
}

// Left is how many things were left out for the reason.
func (s *Series) Left(reason Reason) int {
	for _, e := range s.Excluded {
		if e.Reason == reason {
			return e.Count
		}
	}
	return 0
}

// Read reads one input from r; name is for messages only. It returns at least
// one value or an error: of kind fault.Usage when the input is empty, binary,
// of no known kind or without what was to be measured (of kind fault.Failed and
// ErrNoProof for a prover log), and of kind fault.Invalid when it holds
// measurements and none of them can be used.
func Read(name string, r io.Reader) (*Series, error) {
	in, err := open(name, r)
	if err != nil {
		return nil, err
	}
	kind, err := in.detect()
	if err != nil {
		return nil, err
	}
	c := &collector{series: Series{Kind: kind, Name: name, Numbered: true}}
	switch kind {
	case ReplayLog:
		err = readReplay(c, in.lines)
	case ProverLog:
		err = readProver(c, in.lines)
	case CSV:
		err = readCSV(c, in.lines)
	case Markdown:
		err = readMarkdown(c, in.lines)
	case Benchfmt:
		err = readBenchfmt(c, in.lines)
	}
	if err != nil {
		return nil, err
	}
	return c.finish(in.lines)
}

// unusable is the error for an input whose measurements are all excluded.
func (s *Series) unusable() error {
	parts := make([]string, len(s.Excluded))
	for i, e := range s.Excluded {
		parts[i] = fmt.Sprintf("%d × %s (%s)", e.Count, e.Reason, places(e))
	}
	what := "nothing was measured"
	if len(parts) > 0 {
		what = strings.Join(parts, "; ")
	}
	return fault.Newf(fault.Invalid, "%s: %s of %d lines without a usable value: %s", s.Name, s.Kind, s.Lines, what)
}

// places names the first lines of an exclusion.
func places(e Exclusion) string {
	text := "line"
	if e.Count > 1 {
		text += "s"
	}
	for i, line := range e.Lines {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %d", line)
	}
	if e.Count > len(e.Lines) {
		text += ", …"
	}
	return text
}
