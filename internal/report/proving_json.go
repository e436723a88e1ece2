package report

import (
	"maps"
	"slices"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/stat"
)

// jsonProving is what the proofs of a run show beside the difference of its
// sides. Of a run of one side, the test side has no attempts.
type jsonProving struct {
	Two             bool            `json:"two"`
	Paired          bool            `json:"paired"`
	MinTransactions int             `json:"min_transactions"`
	PricePerHour    jsonNumber      `json:"price_per_hour"`
	Currency        string          `json:"currency"`
	Baseline        jsonProvingSide `json:"baseline"`
	Test            jsonProvingSide `json:"test"`
}

type jsonProvingSide struct {
	Counted      int    `json:"counted"`
	Attempts     int    `json:"attempts"`
	Sessions     int    `json:"sessions"`
	Gas          uint64 `json:"gas"`
	Transactions int    `json:"transactions"`
	Deposits     int    `json:"deposits"`
	Blocks       int    `json:"blocks"`
	// MSPerMgas is the ratio of the totals, Intercept and Slope are those of
	// the line.
	MSPerMgas        jsonNumber    `json:"ms_per_mgas"`
	Intercept        *jsonInterval `json:"intercept"`
	Slope            *jsonInterval `json:"slope"`
	ResidualSDMS     jsonNumber    `json:"residual_sd_ms"`
	NoFit            string        `json:"no_fit"`
	Verified         int           `json:"verified"`
	SealedToVerified *jsonDelay    `json:"sealed_to_verified"`
	ProvedToVerified *jsonDelay    `json:"proved_to_verified"`
	SpanMS           jsonNumber    `json:"span_ms"`
	IdleMS           jsonNumber    `json:"idle_ms"`
	Energy           *jsonEnergy   `json:"energy"`
	CostPerProof     jsonNumber    `json:"cost_per_proof"`
	CostPerMgas      jsonNumber    `json:"cost_per_mgas"`
	Machine          *jsonMachine  `json:"machine"`
	MetricsCompared  int           `json:"metrics_compared"`
	OverCounts       []jsonOver    `json:"over_counts"`
	OverCounted      int           `json:"over_counted"`
	Notices          []jsonNotice  `json:"notices"`
	NoticeCount      int           `json:"notice_count"`
	Each             []jsonAttempt `json:"each"`
}

// jsonDelay is a time that is no proving time, in milliseconds.
type jsonDelay struct {
	N        int        `json:"n"`
	MedianMS jsonNumber `json:"median_ms"`
	MinMS    jsonNumber `json:"min_ms"`
	MaxMS    jsonNumber `json:"max_ms"`
}

type jsonEnergy struct {
	Joules        jsonNumber `json:"joules"`
	Proofs        int        `json:"proofs"`
	Records       int        `json:"records"`
	JoulesPerMgas jsonNumber `json:"joules_per_mgas"`
}

// jsonMachine is the machine while proofs were made. Shares are from 0 to 1.
type jsonMachine struct {
	Records    int            `json:"records"`
	GPURecords int            `json:"gpu_records"`
	CPU        *jsonFigure    `json:"cpu"`
	Memory     *jsonFigure    `json:"memory_bytes"`
	GPU        *jsonFigure    `json:"gpu_utilization"`
	GPUMemory  *jsonFigure    `json:"gpu_memory_bytes"`
	Watts      *jsonFigure    `json:"gpu_watts"`
	Celsius    *jsonFigure    `json:"gpu_celsius"`
	SMClock    *jsonFigure    `json:"gpu_sm_clock_mhz"`
	Throttled  []jsonThrottle `json:"throttled"`
	// ThrottleKnown counts the records that tell of reasons at all.
	ThrottleKnown int `json:"throttle_known"`
}

// jsonThrottle is a reason for a lower clock and the records that have it.
type jsonThrottle struct {
	Reason  string `json:"reason"`
	Records int    `json:"records"`
}

type jsonFigure struct {
	N    int        `json:"n"`
	Mean jsonNumber `json:"mean"`
	Max  jsonNumber `json:"max"`
}

type jsonOver struct {
	Session int       `json:"session"`
	Batch   uint64    `json:"batch"`
	RPC     [3]uint64 `json:"rpc"`
	Metrics [3]uint64 `json:"metrics"`
}

type jsonNotice struct {
	Session int       `json:"session"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Batch   *uint64   `json:"batch"`
	Message string    `json:"message"`
}

// jsonAttempt is one attempt at a batch.
type jsonAttempt struct {
	Session int    `json:"session"`
	Batch   uint64 `json:"batch"`
	Attempt int    `json:"attempt"`
	Status  string `json:"status"`
	Counts  bool   `json:"counts"`
	// Left says why it does not count, empty when it does.
	Left       string     `json:"left"`
	Failure    string     `json:"failure"`
	SetUp      bool       `json:"set_up"`
	WarmUp     bool       `json:"warm_up"`
	MS         jsonNumber `json:"ms"`
	ReceivedAt *time.Time `json:"received_at"`
	ProvedAt   *time.Time `json:"proved_at"`
	AckedAt    *time.Time `json:"acked_at"`
	Order      int        `json:"order"`
	Round      int        `json:"round"`
	InputBytes int64      `json:"input_bytes"`
	Input      string     `json:"input_sha256"`
	Public     string     `json:"public"`
	// Gas to Blocks are 0 where they are unknown; ByRPC says that they are not.
	Gas          uint64       `json:"gas"`
	Transactions int          `json:"transactions"`
	Deposits     int          `json:"deposits"`
	Blocks       int          `json:"blocks"`
	ByRPC        bool         `json:"by_rpc"`
	SealedAt     *time.Time   `json:"sealed_at"`
	CommittedAt  *time.Time   `json:"committed_at"`
	VerifiedAt   *time.Time   `json:"verified_at"`
	Joules       jsonNumber   `json:"joules"`
	PowerRecords int          `json:"power_records"`
	Machine      *jsonMachine `json:"machine"`
}

func provingOf(r *compare.Result) *jsonProving {
	p := r.Proving
	if p == nil {
		return nil
	}
	return &jsonProving{
		Two: p.Two, Paired: p.Rule.Paired, MinTransactions: p.Rule.MinTransactions,
		PricePerHour: numberOrNull(p.Rule.PricePerHour), Currency: Clean(p.Rule.Currency),
		Baseline: provingSideOf(&p.Sides[0], p.Rule), Test: provingSideOf(&p.Sides[1], p.Rule),
	}
}

func provingSideOf(s *compare.ProvingSide, rule compare.ProvingRule) jsonProvingSide {
	n := s.Times.N
	out := jsonProvingSide{
		Counted: n, Attempts: len(s.Attempts), Sessions: s.Sessions,
		Gas: s.Total.Gas, Transactions: s.Total.Transactions, Deposits: s.Total.Deposits, Blocks: s.Total.Blocks,
		MSPerMgas: numberIf(s.PerMgas, s.WithGas > 0), ResidualSDMS: numberIf(0, false), NoFit: string(s.NoFit),
		Verified: s.Verified, SealedToVerified: delayOf(s.SealedToVerified), ProvedToVerified: delayOf(s.ProvedToVerified),
		SpanMS: numberIf(milliseconds(s.Span), s.Span > 0), IdleMS: numberIf(milliseconds(s.Idle()), s.Span > 0),
		Machine: machineLoad(&s.Load), MetricsCompared: s.Compared,
		OverCounts: []jsonOver{}, OverCounted: len(s.OverCounts), Notices: []jsonNotice{}, NoticeCount: len(s.Notices),
		Each: []jsonAttempt{},
	}
	if s.Fit != nil {
		out.Intercept, out.Slope, out.ResidualSDMS = intervalOf(s.Fit.Intercept), intervalOf(s.Fit.Slope), jsonNumber(s.Fit.SD)
	}
	if s.Measured > 0 {
		out.Energy = &jsonEnergy{
			Joules: jsonNumber(s.Energy.Joules), Proofs: s.Measured, Records: s.Energy.N,
			JoulesPerMgas: numberIf(s.Energy.Joules/s.EnergyMgas, s.EnergyMgas > 0),
		}
	}
	cost, priced := rule.Cost(s.Times.Mean)
	out.CostPerProof = numberIf(cost, priced && n > 0)
	cost, priced = rule.Cost(s.PerMgas)
	out.CostPerMgas = numberIf(cost, priced && s.WithGas > 0)
	for _, o := range firstOf(s.OverCounts) {
		out.OverCounts = append(out.OverCounts, jsonOver(o))
	}
	for _, v := range firstOf(s.Notices) {
		out.Notices = append(out.Notices, jsonNotice{v.Session, v.At, Clean(string(v.Kind)), v.Batch, Clean(v.Message)})
	}
	for i := range firstOf(s.Attempts) {
		out.Each = append(out.Each, attemptOf(&s.Attempts[i]))
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func delayOf(s stat.Summary) *jsonDelay {
	if s.N == 0 {
		return nil
	}
	return &jsonDelay{s.N, jsonNumber(s.Median), jsonNumber(s.Min), jsonNumber(s.Max)}
}

func machineLoad(l *compare.Load) *jsonMachine {
	if l.Records == 0 {
		return nil
	}
	figure := func(f compare.Figure) *jsonFigure {
		if f.N == 0 {
			return nil
		}
		return &jsonFigure{f.N, jsonNumber(f.Mean), jsonNumber(f.Max)}
	}
	out := &jsonMachine{
		Records: l.Records, GPURecords: l.GPURecords, CPU: figure(l.CPU), Memory: figure(l.Memory),
		GPU: figure(l.GPU), GPUMemory: figure(l.GPUMemory), Watts: figure(l.Watts), Celsius: figure(l.Celsius),
		SMClock: figure(l.SMClock), Throttled: []jsonThrottle{}, ThrottleKnown: l.ThrottleKnown,
	}
	for _, reason := range slices.Sorted(maps.Keys(l.Throttled)) {
		out.Throttled = append(out.Throttled, jsonThrottle{Clean(reason), l.Throttled[reason]})
	}
	return out
}

func attemptOf(a *compare.Attempt) jsonAttempt {
	out := jsonAttempt{
		Session: a.Session, Batch: a.Batch, Attempt: a.Number, Status: Clean(string(a.Status)),
		Counts: a.Counts(), Left: string(a.Left), SetUp: a.SetUp, WarmUp: a.WarmUp,
		MS: numberIf(a.MS(), a.ProvingNS > 0), ReceivedAt: momentOf(a.ReceivedAt), ProvedAt: momentOf(a.ProvedAt),
		AckedAt: momentOf(a.AckedAt), Order: a.Order, Round: a.Round, InputBytes: a.InputBytes, Input: Clean(a.InputSHA256), Public: Clean(a.Public),
		Gas: a.Work.Gas, Transactions: a.Work.Transactions, Deposits: a.Work.Deposits, Blocks: a.Work.Blocks, ByRPC: a.ByRPC,
		Joules: numberIf(a.Energy.Joules, a.Energy.N > 0), PowerRecords: a.Energy.N, Machine: machineLoad(&a.Load),
	}
	if a.Failure != nil {
		out.Failure = Clean(a.Failure.Message)
	}
	if b := a.Of; b != nil {
		out.SealedAt, out.CommittedAt, out.VerifiedAt = momentOf(b.SealedAt), momentOf(b.CommittedAt), momentOf(b.VerifiedAt)
	}
	return out
}

// momentOf is a time in UTC, or null for one that is unknown.
func momentOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
