package sequencer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// meters are what the metrics page says beside the node's own. As with ethrex
// the values of batches live in memory alone: a restart begins without them. All
// methods are safe for concurrent use.
type meters struct {
	mu      sync.Mutex
	batches map[string]map[uint64]float64 // by name, then by batch
	// transactions and deposits are those of the blocks made since the start.
	transactions, deposits uint64
}

// The gauges that have one value a batch.
const (
	batchCommitmentGas   = "batch_commitment_gas"
	batchGasUsed         = "batch_gas_used"
	batchProvingTime     = "batch_proving_time"
	batchSize            = "batch_size"
	batchTxCount         = "batch_tx_count"
	batchVerificationGas = "batch_verification_gas"
)

// help says what each of them is.
func help(name string) string {
	return map[string]string{
		batchCommitmentGas:   "Gas of the L1 transaction that committed the batch.",
		batchGasUsed:         "Gas that the blocks of the batch used.",
		batchProvingTime:     "Whole seconds from the first request for the batch to its proof.",
		batchSize:            "Blocks of the batch.",
		batchTxCount:         "Transactions of the blocks of the batch; deposits are none.",
		batchVerificationGas: "Gas of the L1 transaction that verified the batch.",
	}[name]
}

func newMeters() *meters { return &meters{batches: make(map[string]map[uint64]float64)} }

// set sets one gauge of a batch; the lock is held.
func (m *meters) set(name string, batch uint64, value float64) {
	if m.batches[name] == nil {
		m.batches[name] = make(map[uint64]float64)
	}
	m.batches[name][batch] = value
}

// sealed notes a batch that was closed.
func (m *meters) sealed(r record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(batchSize, r.Number, float64(r.blocks()))
	m.set(batchGasUsed, r.Number, float64(r.GasUsed))
	m.set(batchTxCount, r.Number, float64(r.Transactions))
}

// committed and verified note the gas on the L1, proved the time from the first
// request to the proof.
func (m *meters) committed(batch, gas uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(batchCommitmentGas, batch, float64(gas))
}

func (m *meters) verified(batch, gas uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(batchVerificationGas, batch, float64(gas))
}

func (m *meters) proved(batch uint64, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(batchProvingTime, batch, float64(took/time.Second))
}

// produced notes a block.
func (m *meters) produced(transactions, deposits int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.transactions += uint64(transactions)
	m.deposits += uint64(deposits)
}

// page is the page's part in the Prometheus text format; f has the newest
// batches. It is made as a whole, so that a scraper that reads slowly does not
// hold up those who set the values.
func (m *meters) page(f *files) []byte {
	p := new(page)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.batches)) {
		p.head(name, "gauge", help(name))
		for _, batch := range slices.Sorted(maps.Keys(m.batches[name])) {
			p.printf("%s{batch_number=\"%d\"} %s\n", name, batch, strconv.FormatFloat(m.batches[name][batch], 'f', -1, 64))
		}
	}
	p.head("l2_blocks_tracker", "gauge", "The newest batches and blocks that the L1 has.")
	p.tracked("lastCommitted", f, f.committed())
	p.tracked("lastVerified", f, f.verified())
	p.head("l2_operations_tracker", "gauge", "Deposits since the start.")
	p.printf("l2_operations_tracker{operations_type=\"processedPrivilegedTransactions\"} %d\n", m.deposits)
	p.head("transactions_total", "counter", "Transactions of the blocks made since the start.")
	p.printf("transactions_total %d\n", m.transactions)
	return p.text
}

// page is a page that is being written.
type page struct{ text []byte }

func (p *page) printf(format string, args ...any) {
	p.text = fmt.Appendf(p.text, format, args...)
}

func (p *page) head(name, kind, help string) {
	p.printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// tracked prints a batch and its last block.
func (p *page) tracked(name string, f *files, batch uint64) {
	r, _ := f.batch(batch) // batch 0 has no blocks
	p.printf("l2_blocks_tracker{block_type=\"%sBatch\"} %d\n", name, batch)
	p.printf("l2_blocks_tracker{block_type=\"%sBlock\"} %d\n", name, r.Public.LastBlock)
}
