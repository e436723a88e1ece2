package devnet

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// requestBuckets are the upper bounds, in seconds, of the histogram of witness
// requests: those that Prometheus clients use when nothing else is asked for,
// so that the numbers line up with other programs'.
var requestBuckets = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// metrics counts what the node does. All methods are safe for concurrent use.
type metrics struct {
	hits, misses, damaged, storeErrors atomic.Uint64
	// importNS and generateNS are the newest import (newPayload, with what
	// it stores) and the newest witness made on demand, in nanoseconds.
	importNS, generateNS atomic.Int64
	// newest is the newest block that was executed on import; nil before the
	// first.
	newest atomic.Pointer[importedBlock]

	mu       sync.Mutex
	requests [2]histogram // by number, by hash
}

// importedBlock is one newPayload call that executed its block. The phases
// follow on each other and add up to the call: up to the execution, the
// execution, the state root, and everything after it, the witness included.
type importedBlock struct {
	number, gas  uint64
	transactions int

	validate, execution, merkle, store time.Duration
}

// histogram counts requests by how long they took.
type histogram struct {
	buckets [len(requestBuckets) + 1]uint64
	sum     time.Duration
}

func (m *metrics) generated(start time.Time) { m.generateNS.Store(int64(time.Since(start))) }

// served counts a request for a witness: lookup or generation, without the
// encoding and the transfer.
func (m *metrics) served(method string, start time.Time) {
	took := time.Since(start)
	bucket := 0
	for bucket < len(requestBuckets) && took.Seconds() > requestBuckets[bucket] {
		bucket++
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &m.requests[0]
	if method == byHash {
		h = &m.requests[1]
	}
	h.buckets[bucket]++
	h.sum += took
}

// writeTo writes the Prometheus text format. stored is the number of stored
// witnesses, head the number of the head block.
func (m *metrics) writeTo(w io.Writer, head uint64, stored int) error {
	p := &metricPrinter{w: w}
	p.one("verdict_block_number", "gauge", "Number of the head block.", float64(head))
	p.one("verdict_block_import_milliseconds", "gauge", "Time of the newest newPayload call, the storing of its witness included.", milliseconds(m.importNS.Load()))
	p.one("verdict_witness_generation_milliseconds", "gauge", "Time of the newest witness made on demand.", milliseconds(m.generateNS.Load()))
	p.one("verdict_witness_store_entries", "gauge", "Stored witnesses.", float64(stored))
	p.one("verdict_witness_store_hits_total", "counter", "Witness requests answered from the store.", float64(m.hits.Load()))
	p.one("verdict_witness_store_misses_total", "counter", "Witness requests that the store had nothing for.", float64(m.misses.Load()))
	p.one("verdict_witness_store_damaged_total", "counter", "Stored witnesses that could not be read; they count as misses too.", float64(m.damaged.Load()))
	p.one("verdict_witness_store_errors_total", "counter", "Witnesses that could not be stored.", float64(m.storeErrors.Load()))

	if b := m.newest.Load(); b != nil {
		p.imported(b)
	}
	m.mu.Lock()
	requests := m.requests
	m.mu.Unlock()
	p.head(requestSeconds, "histogram", "Time to find or make a witness, without encoding and transfer.")
	for i, method := range []string{byNumber, byHash} {
		p.histogram(method, &requests[i])
	}
	return p.err
}

func milliseconds(ns int64) float64 { return float64(ns) / 1e6 }

// requestSeconds is the name of the histogram of requests, which ethrex has too.
const requestSeconds = "rpc_request_duration_seconds"

// metricPrinter writes until the first error and keeps it.
type metricPrinter struct {
	w   io.Writer
	err error
}

func (p *metricPrinter) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *metricPrinter) head(name, kind, help string) {
	p.printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (p *metricPrinter) one(name, kind, help string, value float64) {
	p.head(name, kind, help)
	p.printf("%s %s\n", name, strconv.FormatFloat(value, 'f', -1, 64))
}

// imported prints the newest block under the names that ethrex gives the same
// phases, so that what reads one page reads the other. All are of one block:
// they are taken out of the node together.
func (p *metricPrinter) imported(b *importedBlock) {
	p.one("block_number", "gauge", "Number of the newest block that was imported.", float64(b.number))
	p.one("gas_used", "gauge", "Gas that this block used.", float64(b.gas))
	p.one("transaction_count", "gauge", "Transactions of this block.", float64(b.transactions))
	p.one("validate_ms", "gauge", "Import of this block: up to its execution.", milliseconds(int64(b.validate)))
	p.one("execution_ms", "gauge", "Import of this block: its execution.", milliseconds(int64(b.execution)))
	p.one("merkle_drain_ms", "gauge", "Import of this block: its state root, after the execution.", milliseconds(int64(b.merkle)))
	p.one("store_ms", "gauge", "Import of this block: writing it and, if that is done on import, making and writing its witness.", milliseconds(int64(b.store)))
}

func (p *metricPrinter) histogram(method string, h *histogram) {
	labels := fmt.Sprintf(`namespace="rpc",method=%q`, method)
	var total uint64
	for i, n := range h.buckets {
		total += n
		bound := "+Inf"
		if i < len(requestBuckets) {
			bound = strconv.FormatFloat(requestBuckets[i], 'g', -1, 64)
		}
		p.printf("%s_bucket{%s,le=%q} %d\n", requestSeconds, labels, bound, total)
	}
	p.printf("%s_sum{%s} %g\n%s_count{%s} %d\n", requestSeconds, labels, h.sum.Seconds(), requestSeconds, labels, total)
}

// serveMetrics answers on /metrics.
func (n *Node) serveMetrics() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		// A scraper that went away is no concern of the node's.
		_ = n.WriteMetrics(w)
	})
	return mux
}

// WriteMetrics writes what the node counts in the Prometheus text format, for a
// program that serves it on a page of its own. Its error is w's.
func (n *Node) WriteMetrics(w io.Writer) error {
	stored := 0
	if n.store != nil {
		stored = n.store.len()
	}
	return n.metrics.writeTo(w, n.chain().CurrentBlock().Number.Uint64(), stored)
}
