// Package sample is the data model of a measurement: one sample is one
// measurement of one block on one side, with its status.
//
// A slow or failed answer is a sample too. It is never dropped and never
// counted as fast. The package knows nothing of clocks, files or networks;
// everything above speaks in its words.
package sample

import "time"

// Side says which build a sample belongs to.
type Side string

// The two sides of a comparison.
const (
	Baseline Side = "baseline"
	Test     Side = "test"
)

// Sides lists both sides in the order in which they are shown.
var Sides = [2]Side{Baseline, Test}

// Index is 0 for the baseline and 1 for the test side.
func (s Side) Index() int {
	if s == Test {
		return 1
	}
	return 0
}

// Status says how a measurement ended.
type Status string

// The statuses of a sample. OK is the only one that carries a latency that
// may be compared.
const (
	// OK: HTTP 200, the body read to its last byte, no JSON-RPC error, a
	// witness of the block that was asked for.
	OK Status = "ok"
	// RPCError: the answer was a JSON-RPC error; code and message are kept.
	RPCError Status = "rpc-error"
	// HTTPError: the answer had an HTTP status other than 200.
	HTTPError Status = "http-error"
	// Timeout: no complete answer within the time limit.
	Timeout Status = "timeout"
	// Unavailable: the connection was refused, reset or lost before the
	// first byte of the answer.
	Unavailable Status = "unavailable"
	// Truncated: the body ended before its announced or syntactic end.
	Truncated Status = "truncated"
	// Malformed: the body is complete but is not a witness.
	Malformed Status = "malformed"
	// Reorged: the block's hash at this height changed while it was measured.
	Reorged Status = "reorged"
	// Skipped: the block was never asked for, because the collector was too
	// far behind the head when it got to it.
	Skipped Status = "skipped"
	// InvalidWitness: the witness does not let the block be re-executed.
	InvalidWitness Status = "invalid-witness"
)

// Verification says whether a witness was proved complete.
type Verification string

// The outcomes of a completeness check.
const (
	// Unverified: the check was not made.
	Unverified Verification = ""
	// Complete: stateless re-execution gave the block's own roots.
	Complete Verification = "complete"
	// Incomplete: stateless re-execution failed; Failure says what is missing.
	Incomplete Verification = "incomplete"
	// Unproved: the check was due and could not be made, for no fault of the
	// witness; Doubt says why.
	Unproved Verification = "unproved"
)

// Control says how an A/A control was taken; it is empty outside of one.
type Control string

// The kinds of A/A control.
const (
	// TwoPlaces: the baseline build ran in the places of both sides.
	TwoPlaces Control = "two-places"
	// OnePlace: one server was asked twice.
	OnePlace Control = "one-place"
)

// Version is the version of the record format of the samples files.
const Version = 1

// Sample is one measurement of one block on one side. Durations are
// nanoseconds of a monotonic clock; sizes are bytes.
type Sample struct {
	Side Side `json:"side,omitempty"`
	// Host is where the measuring program ran.
	Host   string `json:"host,omitempty"`
	Number uint64 `json:"number"`
	// Hash is the block's hash, 0x and 64 lower-case digits, known before the
	// measurement and checked after it.
	Hash    string   `json:"hash"`
	Status  Status   `json:"status"`
	Failure *Failure `json:"failure,omitempty"`

	// AskedAt is the wall-clock time of the request, UTC. It is for people;
	// no latency is computed from it.
	AskedAt time.Time `json:"asked_at"`
	// OffsetNS is the same moment on the collector's monotonic clock, since
	// the collector started.
	OffsetNS int64 `json:"offset_ns"`
	// BehindHead counts blocks between this one and the newest the side had.
	BehindHead uint64 `json:"behind_head"`
	// SinceHeadNS is the time from when the block was first seen to the request.
	SinceHeadNS int64 `json:"since_head_ns"`
	// Order is 1 if this side was asked first, 2 if second, 0 if it was
	// measured on its own.
	Order int `json:"order,omitempty"`
	// WarmUp marks the first samples of a session, by a count fixed before
	// the run and never by their values.
	WarmUp bool `json:"warm_up,omitempty"`
	// Control marks the samples of the A/A control, where both sides were the
	// baseline build.
	Control Control `json:"control,omitempty"`
	// Session numbers the sessions of a run from 1; 0 in a run of one session.
	// A session is an uninterrupted stretch: the programs were not restarted
	// and the sides kept their hosts.
	Session int `json:"session,omitempty"`
	// Swapped says that the sides had exchanged their hosts.
	Swapped bool `json:"swapped,omitempty"`

	Timing
	// DecodeNS is the time to parse and digest the answer, outside the
	// timed span.
	DecodeNS int64 `json:"decode_ns"`

	// WireBytes is the size of the body as it crossed the wire.
	WireBytes int64 `json:"wire_bytes"`
	// BodyBytes is its size after HTTP decompression.
	BodyBytes int64 `json:"body_bytes"`

	// ImportNS is how long the side took to import the block: engine_newPayload
	// where verdict delivered it, and elsewhere the sum of the phases on the
	// side's metrics page. 0 is unknown.
	ImportNS int64 `json:"import_ns,omitempty"`
	// StoreNS is the phase of ImportNS that stores the block, the witness
	// included if one is made on import. It is known of a metrics page only; 0
	// is unknown.
	StoreNS int64 `json:"store_ns,omitempty"`
	// ServerNS is the side's own part of TotalNS by its metrics page: finding
	// or making the witness. 0 is unknown.
	ServerNS int64 `json:"server_ns,omitempty"`

	GasUsed      uint64 `json:"gas_used"`
	Transactions int    `json:"transactions"`
	Counts

	// Digest is the order-independent digest over state, codes and headers.
	Digest string `json:"digest,omitempty"`
	// KeysDigest is the same over keys, apart, because programs differ in them.
	KeysDigest   string       `json:"keys_digest,omitempty"`
	Verification Verification `json:"verification,omitempty"`
	// Doubt says why a witness is unproved.
	Doubt string `json:"doubt,omitempty"`
}

// Timing is the measured span of one request, from its first byte written to
// the last byte of the body read. The phases add up: Total = FirstByte + Body.
type Timing struct {
	// ConnectNS is the time to open the connection, 0 when it was reused. It
	// lies before the span and is not part of Total.
	ConnectNS int64 `json:"connect_ns"`
	// FirstByteNS is from the first request byte written to the first
	// response byte read.
	FirstByteNS int64 `json:"first_byte_ns"`
	// BodyNS is from the first response byte to the last body byte.
	BodyNS int64 `json:"body_ns"`
	// TotalNS is the latency that is compared.
	TotalNS int64 `json:"total_ns"`
}

// Counts are the numbers of distinct entries in a witness.
type Counts struct {
	StateNodes int `json:"state_nodes"`
	Codes      int `json:"codes"`
	Keys       int `json:"keys"`
	Headers    int `json:"headers"`
}

// Failure says why a sample is not OK.
type Failure struct {
	// Code is the JSON-RPC error code or the HTTP status, 0 for neither.
	Code    int    `json:"code,omitempty"`
	Message string `json:"message"`
}

// Gap is a stretch of time in which a side did not answer.
type Gap struct {
	Side       Side      `json:"side,omitempty"`
	From       time.Time `json:"from"`
	OffsetNS   int64     `json:"offset_ns"`
	DurationNS int64     `json:"duration_ns"`
	Reason     string    `json:"reason"`
}

// Record is one line of a samples file: exactly one of its pointers is set. The
// first two are of witness runs, the others of prover runs.
type Record struct {
	V       int      `json:"v"`
	Sample  *Sample  `json:"sample,omitempty"`
	Gap     *Gap     `json:"gap,omitempty"`
	Attempt *Attempt `json:"attempt,omitempty"`
	Batch   *Batch   `json:"batch,omitempty"`
	Machine *Machine `json:"machine,omitempty"`
	Notice  *Notice  `json:"notice,omitempty"`
}

// Kinds is how many of its pointers are set: 1 in a valid record.
func (r *Record) Kinds() int {
	n := 0
	for _, set := range []bool{
		r.Sample != nil, r.Gap != nil, r.Attempt != nil, r.Batch != nil, r.Machine != nil, r.Notice != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

// Latency is the compared span as a duration.
func (s *Sample) Latency() time.Duration { return time.Duration(s.TotalNS) }
