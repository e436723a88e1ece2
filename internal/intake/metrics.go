package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/common/expfmt"

	"github.com/verdict-bench/verdict/internal/fault"
)

// The gauges of the L2's metrics page that are labeled by batch.
const (
	batchGas     = "batch_gas_used"
	batchTxs     = "batch_tx_count"
	batchBlocks  = "batch_size"
	batchProving = "batch_proving_time"
)

// Metrics is what a metrics page says about batches.
type Metrics struct {
	// Name is the page's name as the caller gave it.
	Name    string
	batches map[uint64]*batchMetrics
}

// batchMetrics is what the page says about one batch.
type batchMetrics struct {
	work Work
	// hasGas and hasTxs tell zero from absent.
	hasGas, hasTxs bool
	// seconds is the proving time as the coordinator saw it, 0 without one.
	seconds float64
}

// Batches is how many batches the page speaks of.
func (m *Metrics) Batches() int { return len(m.batches) }

// ReadMetrics reads the text of an L2's metrics page, which gives gas,
// transactions and blocks of each batch. Series that are not about batches are
// passed over unread; a page without any is an error of kind fault.Usage.
func ReadMetrics(name string, r io.Reader) (*Metrics, error) {
	text, err := plainReader(name, r)
	if err != nil {
		return nil, err
	}
	page, err := batchLines(&lines{name: name, r: text})
	if err != nil {
		return nil, err
	}
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return nil, fault.Newf(fault.Usage, "reading %s as a metrics page: %w", name, err)
	}
	m := &Metrics{Name: name, batches: make(map[uint64]*batchMetrics)}
	for _, gauge := range []string{batchGas, batchTxs, batchBlocks, batchProving} {
		for _, metric := range families[gauge].GetMetric() {
			for _, label := range metric.GetLabel() {
				batch, err := strconv.ParseUint(label.GetValue(), 10, 64)
				if label.GetName() == "batch_number" && err == nil {
					m.set(gauge, batch, metric.GetUntyped().GetValue())
				}
			}
		}
	}
	if len(m.batches) == 0 {
		return nil, fault.Newf(fault.Usage, "%s holds no metrics of batches (%s{batch_number=\"1\"} and the like)", name, batchGas).
			Hint("curl -s http://localhost:3702/metrics > metrics.txt")
	}
	return m, nil
}

// batchLines keeps the samples of the gauges above. Several registries may be
// printed on one page, each with its own comments, which the format forbids;
// without comments and without the other series the page is always in order.
func batchLines(in *lines) ([]byte, error) {
	gauges := [][]byte{[]byte(batchGas), []byte(batchTxs), []byte(batchBlocks), []byte(batchProving)}
	var page []byte
	for {
		line, err := in.message()
		if errors.Is(err, io.EOF) {
			return page, nil
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(gauges, func(g []byte) bool { return bytes.HasPrefix(line, g) }) {
			page = append(append(page, line...), '\n')
		}
	}
}

// set notes one sample. A value that no count can have is as good as absent.
func (m *Metrics) set(gauge string, batch uint64, x float64) {
	if !(x >= 0 && x < 1<<53) {
		return
	}
	b := m.batches[batch]
	if b == nil {
		b = &batchMetrics{}
		m.batches[batch] = b
	}
	switch gauge {
	case batchGas:
		b.work.Gas, b.hasGas = uint64(x), true
	case batchTxs:
		b.work.Txs, b.hasTxs = uint32(min(x, math.MaxUint32)), true
	case batchBlocks:
		b.work.Blocks = uint32(min(x, math.MaxUint32))
	case batchProving:
		b.seconds = x
	}
}

// Join gives the batches of a prover log their work, marks the empty ones and
// warns where the page cannot be that of the same run. It is an error of kind
// fault.Usage for a series that does not number batches.
func (s *Series) Join(m *Metrics) error {
	if !s.Batches || !s.Numbered {
		return fault.Newf(fault.Usage, "%s: the metrics of %s are those of batches, and this %s has none", s.Name, m.Name, s.Kind)
	}
	s.Work = make([]Work, len(s.Values))
	var missing, other []uint64
	for i := range s.Values {
		v := &s.Values[i]
		b := m.batches[v.Block]
		if b == nil || !b.hasGas {
			missing = append(missing, v.Block)
		}
		if b == nil {
			continue
		}
		s.Work[i] = b.work
		if b.hasGas && b.hasTxs && b.work.Gas == 0 && b.work.Txs == 0 {
			v.Flags |= Empty
		}
		if b.seconds > 0 && !sameProof(v.MS/1e3, b.seconds) {
			other = append(other, v.Block)
		}
	}
	if len(missing) > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%s has no gas for %s", m.Name, batchList(missing)))
	}
	if len(other) > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%s gives another proving time than the log for %s: is it of the same run?", m.Name, batchList(other)))
	}
	if len(missing) < len(s.Values) {
		s.Warnings = append(s.Warnings, "gas and transactions of a batch are those of the metrics page, which may count the block that no longer fitted as well")
	}
	return nil
}

// sameProof compares the proving time of the log with that of the page, which
// is in whole seconds and includes transfer and retries.
func sameProof(log, page float64) bool {
	return page >= log-2 && page <= log*1.25+30
}

// batchList names the first few batches.
func batchList(batches []uint64) string {
	text := "batch"
	if len(batches) > 1 {
		text = "batches"
	}
	for i, b := range batches[:min(listed, len(batches))] {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %d", b)
	}
	if len(batches) > listed {
		text += fmt.Sprintf(" and %d more", len(batches)-listed)
	}
	return text
}
