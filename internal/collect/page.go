package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/sample"
)

const (
	// maxPage bounds a metrics page in bytes.
	maxPage = 8 << 20
	// pageTimeout bounds one look at it, and pageRest is how long a page that
	// could not be read is left alone after that: one that hangs costs a
	// collection a second in thirty, and not two seconds a block.
	pageTimeout = time.Second
	pageRest    = 30 * time.Second
)

// The gauges of the newest imported block, by the names that ethrex gives them.
// The phases follow on each other and add up to the import: merkle_drain_ms is
// what is left of the state root after the execution, whereas merkle_ms, which
// is on the page as well, contains the execution. All four are wanted: some of
// the builds without validate_ms and merkle_drain_ms set the number with each
// block and the other phases never.
const (
	gaugeNumber       = "block_number"
	gaugeGas          = "gas_used"
	gaugeTransactions = "transaction_count"
	gaugeValidate     = "validate_ms"
	gaugeExecution    = "execution_ms"
	gaugeMerkle       = "merkle_drain_ms"
	gaugeStore        = "store_ms"
)

// The histogram of the time that requests took the server.
const (
	requestSeconds = "rpc_request_duration_seconds_sum"
	requestCount   = "rpc_request_duration_seconds_count"
)

// wanted reports whether a line of the page is of a series above, that of
// requests for the method only: there is one for each method.
func wanted(line []byte, method string) bool {
	end := bytes.IndexAny(line, " \t{")
	if end < 0 {
		return false
	}
	switch string(line[:end]) {
	case gaugeNumber, gaugeGas, gaugeTransactions, gaugeValidate, gaugeExecution, gaugeMerkle, gaugeStore:
		return true
	case requestSeconds, requestCount:
		return bytes.Contains(line, []byte(method))
	}
	return false
}

// page is the metrics page of a server. A nil page has nothing to tell. It is
// not safe for concurrent use.
type page struct {
	url string
	// method is the method whose requests are looked for.
	method string
	client *http.Client
	// notice is told why figures are missing, once for each of the reasons.
	notice func(string)
	told   struct{ unreadable, imports, requests bool }
	// rest is until when the page is left alone.
	rest time.Time
}

// newPage is the page at rawURL, nil for none.
func newPage(rawURL, method string, notice func(string)) (*page, error) {
	if rawURL == "" {
		return nil, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("metrics URL %q: must be an http or https URL", ethrpc.Redact(rawURL))
	}
	if notice == nil {
		notice = func(string) {}
	}
	return &page{
		url: rawURL, method: method, notice: notice,
		client: &http.Client{
			// No compression: it would take the server's processor just before
			// it is measured.
			Transport:     &http.Transport{DisableCompression: true, IdleConnTimeout: pageRest},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (p *page) close() {
	if p != nil {
		p.client.CloseIdleConnections()
	}
}

// figures are what one look at the page tells.
type figures struct {
	// imported is the newest imported block; nil where lacking names gauges.
	imported *imported
	lacking  []string
	// requests counts the requests of the method, and seconds is the time that
	// the server took for all of them. A server that has had none has no
	// series of them either.
	requests uint64
	seconds  float64
}

// imported is a block that the server has imported. The phases are in
// milliseconds and add up to the import.
type imported struct {
	number, gas, transactions          float64
	validate, execution, merkle, store float64
}

// look reads the page. It is false when there is nothing to read, or no way to.
func (p *page) look(ctx context.Context) (figures, bool) {
	if p == nil || time.Now().Before(p.rest) {
		return figures{}, false
	}
	raw, err := p.fetch(ctx)
	var f figures
	if err == nil {
		f, err = parsePage(raw, p.method)
	}
	if err != nil {
		p.rest = time.Now().Add(pageRest)
		if ctx.Err() == nil {
			p.tell(&p.told.unreadable, "cannot be read: %v", err)
		}
		return figures{}, false
	}
	return f, true
}

func (p *page) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return nil, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, pageError(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", res.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxPage+1))
	switch {
	case err != nil:
		return nil, pageError(err)
	case len(raw) > maxPage:
		return nil, fmt.Errorf("it is larger than %d MiB", maxPage>>20)
	}
	return raw, nil
}

// pageError leaves out the URL, which may hold a credential.
func pageError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no complete answer within %v", pageTimeout)
	}
	if full := (*url.Error)(nil); errors.As(err, &full) {
		return full.Err
	}
	return err
}

// tell says once what is wrong with the page.
func (p *page) tell(told *bool, format string, args ...any) {
	if !*told {
		*told = true
		p.notice(fmt.Sprintf("the metrics page %s %s; samples go on without it", ethrpc.Redact(p.url), fmt.Sprintf(format, args...)))
	}
}

// describe writes into a sample what the page said just before its request and
// says just after it. A figure that is not certainly the sample's is left out.
func (p *page) describe(s *sample.Sample, before, after figures) {
	switch {
	case after.imported == nil:
		p.tell(&p.told.imports, "does not tell how long a block import takes: it lacks %s", strings.Join(after.lacking, ", "))
	case before.imported != nil && *before.imported == *after.imported:
		// The same before and after: neither was it read half-way through a
		// change, nor was another block imported meanwhile.
		after.imported.describe(s)
	}
	switch after.requests {
	case 0:
		p.tell(&p.told.requests, "does not tell how long a request takes: it lacks %s of %s", requestSeconds, p.method)
	case before.requests + 1:
		// The server cannot have taken longer than the whole request. If it
		// seems to, it counts a request after its answer, and this was another.
		if ns := math.Round((after.seconds - before.seconds) * 1e9); ns <= float64(s.TotalNS) {
			s.ServerNS = max(0, int64(ns))
		}
	}
}

// describe writes the import into the sample of the same block. Gas and
// transactions must agree too: while ethrex catches up in batches, the number
// changes and the phases do not.
func (b *imported) describe(s *sample.Sample) {
	if b.number != float64(s.Number) || b.gas != float64(s.GasUsed) || b.transactions != float64(s.Transactions) {
		return
	}
	s.ImportNS = int64(math.Round((b.validate + b.execution + b.merkle + b.store) * 1e6))
	s.StoreNS = int64(math.Round(b.store * 1e6))
}

// parsePage reads what is wanted from a page in the Prometheus text format. A
// value that such a figure cannot have is as good as none.
func parsePage(raw []byte, method string) (figures, error) {
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(bytes.NewReader(wantedLines(raw, method)))
	if err != nil {
		return figures{}, fmt.Errorf("it is no metrics page: %w", err)
	}
	found := make(map[string][]series)
	for name, family := range families {
		for _, m := range family.GetMetric() {
			s := series{value: m.GetUntyped().GetValue(), labels: make(map[string]string)}
			for _, l := range m.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			found[name] = append(found[name], s)
		}
	}
	var f figures
	gauge := func(name string) float64 {
		v, ok := only(found[name], nil)
		if !ok {
			f.lacking = append(f.lacking, name)
		}
		return v
	}
	newest := imported{
		number: gauge(gaugeNumber), gas: gauge(gaugeGas), transactions: gauge(gaugeTransactions),
		validate: gauge(gaugeValidate), execution: gauge(gaugeExecution), merkle: gauge(gaugeMerkle), store: gauge(gaugeStore),
	}
	if len(f.lacking) == 0 {
		f.imported = &newest
	}
	labels := map[string]string{"namespace": "rpc", "method": method}
	seconds, timed := only(found[requestSeconds], labels)
	count, counted := only(found[requestCount], labels)
	if timed && counted && count == math.Trunc(count) {
		f.requests, f.seconds = uint64(count), seconds
	}
	return f, nil
}

// wantedLines keeps the lines of the series above. ethrex prints several
// registries on one page, each with its own comments, which the format forbids;
// without comments and without the other series the page is in order.
func wantedLines(raw []byte, method string) []byte {
	var kept []byte
	for line := range bytes.Lines(raw) {
		if wanted(line, method) {
			kept = append(kept, line...)
		}
	}
	if n := len(kept); n > 0 && kept[n-1] != '\n' {
		kept = append(kept, '\n')
	}
	return kept
}

// series is one line of the page.
type series struct {
	labels map[string]string
	value  float64
}

// only is the value of the one series that has exactly these labels. It is
// false when there is not exactly one, or its value is none that a time or a
// count has.
func only(all []series, labels map[string]string) (v float64, ok bool) {
	for _, s := range all {
		if !maps.Equal(s.labels, labels) {
			continue
		}
		if ok {
			return 0, false
		}
		v, ok = s.value, true
	}
	return v, ok && v >= 0 && v < 1e12
}
