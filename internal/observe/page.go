package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/sample"
)

const (
	// maxPage bounds a metrics page in bytes, pageTimeout a look at it.
	maxPage     = 8 << 20
	pageTimeout = 5 * time.Second
	// batchLabel is the label of the series that are about a batch.
	batchLabel = "batch_number"
)

// gauges are the series of the page, each with its place.
var gauges = [...]struct {
	name  string
	place func(*sample.BatchMetrics) **uint64
}{
	{"batch_gas_used", func(m *sample.BatchMetrics) **uint64 { return &m.GasUsed }},
	{"batch_tx_count", func(m *sample.BatchMetrics) **uint64 { return &m.Transactions }},
	{"batch_size", func(m *sample.BatchMetrics) **uint64 { return &m.Blocks }},
	{"batch_proving_time", func(m *sample.BatchMetrics) **uint64 { return &m.ProvingSeconds }},
	{"batch_commitment_gas", func(m *sample.BatchMetrics) **uint64 { return &m.CommitmentGas }},
	{"batch_verification_gas", func(m *sample.BatchMetrics) **uint64 { return &m.VerificationGas }},
}

// page is the metrics page of an L2. A nil page has nothing to tell. It is not
// safe for concurrent use.
type page struct {
	url    string
	client *http.Client
	// last is what the page held of batches when it was last read.
	last []byte
}

// newPage is the page at rawURL, nil for none.
func newPage(rawURL string) (*page, error) {
	if rawURL == "" {
		return nil, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("metrics URL %q: must be an http or https URL", ethrpc.Redact(rawURL))
	}
	return &page{url: rawURL, client: &http.Client{
		Timeout: pageTimeout,
		// Compression would take the server's processor from the prover.
		Transport:     &http.Transport{DisableCompression: true, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// read returns what the page says of batches if that is something else than at
// the last call, and nil otherwise.
func (p *page) read(ctx context.Context) (map[uint64]sample.BatchMetrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return nil, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", res.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxPage+1))
	switch {
	case err != nil:
		return nil, withoutURL(err)
	case len(raw) > maxPage:
		return nil, fmt.Errorf("it is larger than %d MiB", maxPage>>20)
	}
	kept := batchLines(raw)
	if bytes.Equal(kept, p.last) {
		return nil, nil
	}
	batches, err := parseBatches(kept)
	if err == nil {
		p.last = kept
	}
	return batches, err
}

// withoutURL leaves out the URL, which may hold a credential.
func withoutURL(err error) error {
	if full := (*url.Error)(nil); errors.As(err, &full) {
		return full.Err
	}
	return err
}

// batchLines keeps the samples of the gauges. Several registries may be printed
// on one page, each with its own comments, which the format forbids; without
// comments and without the other series the page is in order.
func batchLines(raw []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(raw) {
		for _, g := range gauges {
			if rest, ok := bytes.CutPrefix(line, []byte(g.name)); ok && len(rest) > 0 && rest[0] == '{' {
				kept = append(kept, line...)
			}
		}
	}
	if n := len(kept); n > 0 && kept[n-1] != '\n' {
		kept = append(kept, '\n')
	}
	return kept
}

// parseBatches reads the kept lines. A value that no count can have is as good
// as absent.
func parseBatches(kept []byte) (map[uint64]sample.BatchMetrics, error) {
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(bytes.NewReader(kept))
	if err != nil {
		return nil, fmt.Errorf("it is no metrics page: %w", err)
	}
	batches := make(map[uint64]sample.BatchMetrics)
	for _, g := range gauges {
		for _, metric := range families[g.name].GetMetric() {
			x := metric.GetUntyped().GetValue()
			if !(x >= 0 && x < 1<<53) {
				continue
			}
			for _, label := range metric.GetLabel() {
				batch, err := strconv.ParseUint(label.GetValue(), 10, 64)
				if label.GetName() != batchLabel || err != nil {
					continue
				}
				m, count := batches[batch], uint64(x)
				*g.place(&m) = &count
				batches[batch] = m
			}
		}
	}
	return batches, nil
}

// merge puts what is new in from into m, which may be nil, and reports whether
// that is anything. What a page no longer says, because its process was started
// again, was true.
func merge(m *sample.BatchMetrics, from sample.BatchMetrics) (_ *sample.BatchMetrics, changed bool) {
	var out sample.BatchMetrics
	if m != nil {
		out = *m
	}
	for _, g := range gauges {
		into, value := g.place(&out), *g.place(&from)
		if value != nil && (*into == nil || **into != *value) {
			*into, changed = value, true
		}
	}
	if !changed {
		return m, false
	}
	return &out, true
}
