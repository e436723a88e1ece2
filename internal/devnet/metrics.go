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

	mu       sync.Mutex
	requests [len(requestBuckets) + 1]uint64
	sum      time.Duration
}

func (m *metrics) imported(start time.Time)  { m.importNS.Store(int64(time.Since(start))) }
func (m *metrics) generated(start time.Time) { m.generateNS.Store(int64(time.Since(start))) }

// served counts a request for a witness: lookup or generation, without the
// encoding and the transfer.
func (m *metrics) served(start time.Time) {
	took := time.Since(start)
	bucket := 0
	for bucket < len(requestBuckets) && took.Seconds() > requestBuckets[bucket] {
		bucket++
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[bucket]++
	m.sum += took
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

	m.mu.Lock()
	requests, sum := m.requests, m.sum
	m.mu.Unlock()
	const name, labels = "rpc_request_duration_seconds", `namespace="rpc",method="debug_executionWitness"`
	p.head(name, "histogram", "Time to find or make a witness, without encoding and transfer.")
	var total uint64
	for i, n := range requests {
		total += n
		bound := "+Inf"
		if i < len(requestBuckets) {
			bound = strconv.FormatFloat(requestBuckets[i], 'g', -1, 64)
		}
		p.printf("%s_bucket{%s,le=%q} %d\n", name, labels, bound, total)
	}
	p.printf("%s_sum{%s} %g\n%s_count{%s} %d\n", name, labels, sum.Seconds(), name, labels, total)
	return p.err
}

func milliseconds(ns int64) float64 { return float64(ns) / 1e6 }

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

// serveMetrics answers on /metrics.
func (n *Node) serveMetrics() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		stored := 0
		if n.store != nil {
			stored = n.store.len()
		}
		// A scraper that went away is no concern of the node's.
		_ = n.metrics.writeTo(w, n.chain().CurrentBlock().Number.Uint64(), stored)
	})
	return mux
}
