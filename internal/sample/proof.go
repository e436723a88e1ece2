package sample

import "time"

// AttemptStatus says how a prover's attempt at a batch ended.
type AttemptStatus string

const (
	// Accepted: proved, and the coordinator acknowledged the proof.
	Accepted AttemptStatus = "accepted"
	// Lost: proved, but the proof did not reach the coordinator or was not
	// acknowledged; the batch is proved again.
	Lost AttemptStatus = "lost"
	// NoProof: the batch was handed out and the prover made no proof of it.
	NoProof AttemptStatus = "no-proof"
	// Rejected: acknowledged, but another attempt at the same batch followed,
	// or the L1 refused the proof.
	Rejected AttemptStatus = "rejected"
)

// Attempt is one attempt of a prover at one batch, as the prover's own log, or a
// replaying coordinator, saw it. Every attempt is kept; which of them count is
// decided by the comparison. Durations are nanoseconds.
//
// It is written when it is over, and once more if it was accepted and then
// turns out to be rejected: the last record of a side, session, batch and number
// counts.
type Attempt struct {
	Side    Side   `json:"side,omitempty"`
	Host    string `json:"host,omitempty"`
	Session int    `json:"session,omitempty"`
	Batch   uint64 `json:"batch"`
	// Number counts the attempts at this batch from 1.
	Number int           `json:"number"`
	Status AttemptStatus `json:"status"`
	// Failure says why the attempt was not accepted.
	Failure *Failure `json:"failure,omitempty"`
	// SetUp marks the first proof of a prover process, which pays for setting
	// up.
	SetUp bool `json:"set_up,omitempty"`
	// WarmUp marks attempts that the plan made to be left out.
	WarmUp bool `json:"warm_up,omitempty"`
	// ReceivedAt, ProvedAt and AckedAt are the log's times (UTC): when the
	// input was there, when the proof was, and when that was acknowledged. Zero
	// is unknown.
	ReceivedAt time.Time `json:"received_at,omitzero"`
	ProvedAt   time.Time `json:"proved_at,omitzero"`
	AckedAt    time.Time `json:"acked_at,omitzero"`
	// ProvingNS is the prover's own time of the proving call, 0 when it told
	// none; PrecisionNS the resolution that it was printed with.
	ProvingNS   int64 `json:"proving_ns"`
	PrecisionNS int64 `json:"precision_ns,omitempty"`
	// Order is 1 if this side got the batch first, 2 if second, 0 if the
	// batches are not the same on both sides. It and what follows is known of a
	// replay only.
	Order int `json:"order,omitempty"`
	// Round counts how often the plan gave the batch to this side, from 1.
	Round int `json:"round,omitempty"`
	// InputBytes and InputSHA256 describe the document that was handed out.
	InputBytes  int64  `json:"input_bytes,omitempty"`
	InputSHA256 string `json:"input_sha256,omitempty"`
	// RoundTripNS is from the last byte of the input written to the connection
	// that brought the proof.
	RoundTripNS int64 `json:"round_trip_ns,omitempty"`
	// Public is the SHA-256 of the proof's public values, empty where it has
	// none.
	Public string `json:"public,omitempty"`
}

// Batch is what is known of one batch of an L2. It is written again whenever
// more is known; the last record of a number counts.
type Batch struct {
	Side    Side   `json:"side,omitempty"`
	Host    string `json:"host,omitempty"`
	Session int    `json:"session,omitempty"`
	Number  uint64 `json:"number"`
	// FirstBlock is 0, which no batch holds, while only the metrics page told of
	// the batch: GasUsed, Transactions and Deposits are unknown then.
	FirstBlock uint64 `json:"first_block"`
	LastBlock  uint64 `json:"last_block"`
	// GasUsed and Transactions are sums over its blocks, by RPC. Deposits are
	// those of the transactions, or of other means, that only credit what came
	// from the L1; Transactions is without them.
	GasUsed      uint64 `json:"gas_used"`
	Transactions int    `json:"transactions"`
	Deposits     int    `json:"deposits"`
	// SealedAt, CommittedAt and VerifiedAt are when the batch was first seen so
	// (UTC), zero while it was not. CommitTx and VerifyTx are the L1
	// transactions.
	SealedAt    time.Time `json:"sealed_at,omitzero"`
	CommittedAt time.Time `json:"committed_at,omitzero"`
	VerifiedAt  time.Time `json:"verified_at,omitzero"`
	CommitTx    string    `json:"commit_tx,omitempty"`
	VerifyTx    string    `json:"verify_tx,omitempty"`
	// Metrics is what the L2's metrics page says of it, nil while it says
	// nothing.
	Metrics *BatchMetrics `json:"metrics,omitempty"`
}

// Blocks is the number of blocks of b.
func (b *Batch) Blocks() int { return int(b.LastBlock - b.FirstBlock + 1) }

// BatchMetrics is what an L2's metrics page says of a batch. What it does not
// say is nil: absent, not zero.
type BatchMetrics struct {
	GasUsed      *uint64 `json:"gas_used,omitempty"`
	Transactions *uint64 `json:"transactions,omitempty"`
	Blocks       *uint64 `json:"blocks,omitempty"`
	// ProvingSeconds is from the first request to the submission, retries
	// included, in whole seconds.
	ProvingSeconds  *uint64 `json:"proving_seconds,omitempty"`
	CommitmentGas   *uint64 `json:"commitment_gas,omitempty"`
	VerificationGas *uint64 `json:"verification_gas,omitempty"`
}

// Machine is how busy a machine was at one moment.
type Machine struct {
	Side    Side      `json:"side,omitempty"`
	Host    string    `json:"host,omitempty"`
	Session int       `json:"session,omitempty"`
	At      time.Time `json:"at"`
	// OffsetNS is the same moment on the collector's monotonic clock.
	OffsetNS int64 `json:"offset_ns"`
	// CPU is the share of all cores that was busy since the record before, from
	// 0 to 1; nil in the first record and where the system does not tell.
	CPU *float64 `json:"cpu,omitempty"`
	// MemoryBytes is the memory in use, nil where the system does not tell.
	MemoryBytes *int64 `json:"memory_bytes,omitempty"`
	GPUs        []GPU  `json:"gpus,omitempty"`
}

// GPU is how busy one GPU was at one moment. What the driver does not tell is
// nil or empty: absent, not zero.
type GPU struct {
	Index int    `json:"index"`
	Name  string `json:"name,omitempty"`
	// Utilization is from 0 to 1.
	Utilization *float64 `json:"utilization,omitempty"`
	MemoryBytes *int64   `json:"memory_bytes,omitempty"`
	// TotalBytes is the memory that it has.
	TotalBytes         *int64   `json:"total_bytes,omitempty"`
	PowerWatts         *float64 `json:"power_watts,omitempty"`
	TemperatureCelsius *float64 `json:"temperature_celsius,omitempty"`
	SMClockMHz         *float64 `json:"sm_clock_mhz,omitempty"`
	MemoryClockMHz     *float64 `json:"memory_clock_mhz,omitempty"`
	// Throttle are the active reasons for a lower clock, by nvidia-smi's names
	// ("sw_power_cap"), being idle aside; nil where the driver does not tell,
	// empty where it tells of none.
	Throttle []string `json:"throttle,omitzero"`
}

// NoticeKind says what a notice is about.
type NoticeKind string

const (
	// VersionMismatch: prover and sequencer are of different commits.
	VersionMismatch NoticeKind = "version-mismatch"
	// TypeNotNeeded: the deployment does not want proofs of the prover's type.
	TypeNotNeeded NoticeKind = "type-not-needed"
	// NoCoordinator: the prover could not reach its coordinator.
	NoCoordinator NoticeKind = "no-coordinator"
	// ProverError: any other error of the prover.
	ProverError NoticeKind = "prover-error"
	// ProofRefused: the L1, or the sequencer, refused a proof.
	ProofRefused NoticeKind = "proof-refused"
	// NoRPC and NoMetrics: the L2's RPC or metrics page did not answer.
	NoRPC     NoticeKind = "no-rpc"
	NoMetrics NoticeKind = "no-metrics"
	// NoGPU: nvidia-smi is absent or failed.
	NoGPU NoticeKind = "no-gpu"
	// LogCut: a log that is followed became shorter, was replaced or cannot be
	// read, so that something of it may be missing.
	LogCut NoticeKind = "log-cut"
	// ProverStarted: a prover process started to ask for batches.
	ProverStarted NoticeKind = "prover-started"
)

// Notice is something that a collector of proofs saw and that is no measurement.
// What repeats is written once when it begins.
type Notice struct {
	Side    Side       `json:"side,omitempty"`
	Host    string     `json:"host,omitempty"`
	Session int        `json:"session,omitempty"`
	At      time.Time  `json:"at"`
	Kind    NoticeKind `json:"kind"`
	// Batch is the batch that it concerns, nil for none.
	Batch   *uint64 `json:"batch,omitempty"`
	Message string  `json:"message,omitempty"`
}
