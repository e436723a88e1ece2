package collect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/chaintest"
	"github.com/verdict-bench/verdict/internal/sample"
)

// server is what a metrics page tells of its server. Block 5 of a chaintest
// node has 105,000 gas and no transactions.
type server struct {
	number, gas, transactions          any
	validate, execution, merkle, store any
	requests                           int
	seconds                            float64
}

func newestIs5() server { return server{5, 105_000, 0, 1, 49, 9, 13, 20, 2.5} }

// text is the page in the shape of ethrex's: registry after registry, comments
// that stand twice, and much that is of no concern.
func (s server) text() string {
	var out strings.Builder
	gauge := func(name string, value any) {
		if value != nil {
			fmt.Fprintf(&out, "# HELP %s Keeps track of something\n# TYPE %s gauge\n%s %v\n", name, name, name, value)
		}
	}
	gauge("mempool_tx_count_sum", 3)
	out.WriteString("transactions_tracker{tx_type=\"eip1559\"} 12\n\n# TYPE rpc_request_duration_seconds histogram\n")
	for _, of := range []string{`namespace="engine",method="engine_newPayloadV4"`, `namespace="rpc",method="eth_blockNumber"`} {
		fmt.Fprintf(&out, "rpc_request_duration_seconds_bucket{%s,le=\"+Inf\"} 7\nrpc_request_duration_seconds_sum{%s} 7.7\nrpc_request_duration_seconds_count{%s} 7\n", of, of, of)
	}
	if s.requests > 0 {
		of := `method="debug_executionWitness",namespace="rpc"`
		fmt.Fprintf(&out, "rpc_request_duration_seconds_bucket{%s,le=\"0.1\"} 7\nrpc_request_duration_seconds_sum{%s} %v\nrpc_request_duration_seconds_count{%s} %d\n", of, of, s.seconds, of, s.requests)
	}
	out.WriteString("\n# TYPE rpc_request_duration_seconds histogram\n")
	gauge("block_number", s.number)
	gauge("block_number_of_something_else", 99)
	gauge("gas_used", s.gas)
	gauge("transaction_count", s.transactions)
	gauge("validate_ms", s.validate)
	gauge("execution_ms", s.execution)
	gauge("merkle_ms", 58) // contains the execution
	gauge("merkle_drain_ms", s.merkle)
	gauge("store_ms", s.store)
	return out.String()
}

// servePage serves the texts one after the other, the last one from then on.
func servePage(t *testing.T, texts ...string) string {
	t.Helper()
	var mu sync.Mutex
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		io.WriteString(w, texts[0])
		texts = texts[min(1, len(texts)-1):]
	}))
	t.Cleanup(web.Close)
	return web.URL + "/metrics"
}

// watched measures block 5 with the page and returns the sample and what was
// said of the page.
func watched(t *testing.T, page string) (sample.Sample, []string) {
	t.Helper()
	var said []string
	s := newSampler(t, startNode(t, 9).URL(), Options{Metrics: page, Notice: func(text string) { said = append(said, text) }})
	got, _ := measure(t, s, 5)
	if got.Status != sample.OK || got.Digest == "" {
		t.Fatalf("sample %+v", got)
	}
	return got, said
}

func TestPage_attribution(t *testing.T) {
	with := func(change func(*server)) string {
		s := newestIs5()
		change(&s)
		return s.text()
	}
	same := newestIs5().text()
	// The answer of a chaintest node takes far longer than 20 µs, and far less
	// than 20 s.
	asked := with(func(s *server) { s.requests, s.seconds = 21, 2.50002 })
	for _, c := range []struct {
		name, before, after   string
		imported, store, took int64
		say                   string
	}{
		{"this block, one request", same, asked, 72e6, 13e6, 20_000, ""},
		{"fractions", with(func(s *server) { s.store, s.validate = "13.25", "0.5" }),
			with(func(s *server) { s.store, s.validate, s.requests, s.seconds = "13.25", "0.5", 21, 2.50002 }), 71_750_000, 13_250_000, 20_000, ""},
		{"another block", with(func(s *server) { s.number = 6 }), with(func(s *server) { s.number = 6; s.requests, s.seconds = 21, 2.50002 }), 0, 0, 20_000, ""},
		{"another block meanwhile", same, with(func(s *server) { s.number, s.requests, s.seconds = 6, 21, 2.50002 }), 0, 0, 20_000, ""},
		{"read half-way through a change", with(func(s *server) { s.execution = 700 }), asked, 0, 0, 20_000, ""},
		{"another block of this height", with(func(s *server) { s.gas = 104_999 }), with(func(s *server) { s.gas, s.requests, s.seconds = 104_999, 21, 2.50002 }), 0, 0, 20_000, ""},
		{"the last of a batch", with(func(s *server) { s.transactions = 3 }), with(func(s *server) { s.transactions, s.requests, s.seconds = 3, 21, 2.50002 }), 0, 0, 20_000, ""},
		{"another caller", same, with(func(s *server) { s.requests, s.seconds = 22, 2.50002 }), 72e6, 13e6, 0, ""},
		{"not counted yet", same, same, 72e6, 13e6, 0, ""},
		{"another request than this", same, with(func(s *server) { s.requests, s.seconds = 21, 22.5 }), 72e6, 13e6, 0, ""},
		{"a restart", same, with(func(s *server) { s.requests, s.seconds = 1, 0.00002 }), 72e6, 13e6, 0, ""},
		{"the first request", with(func(s *server) { s.requests = 0 }), with(func(s *server) { s.requests, s.seconds = 1, 0.00002 }), 72e6, 13e6, 20_000, ""},
		{"no histogram", with(func(s *server) { s.requests = 0 }), with(func(s *server) { s.requests = 0 }), 72e6, 13e6, 0,
			"does not tell how long a request takes: it lacks rpc_request_duration_seconds_sum of debug_executionWitness"},
		{"an older build", with(func(s *server) { s.validate, s.merkle = nil, nil }),
			with(func(s *server) { s.validate, s.merkle, s.requests, s.seconds = nil, nil, 21, 2.50002 }), 0, 0, 20_000,
			"does not tell how long a block import takes: it lacks validate_ms, merkle_drain_ms"},
		{"impossible values", with(func(s *server) { s.store = "NaN" }), with(func(s *server) { s.store, s.requests, s.seconds = "-1", 21, 2.50002 }), 0, 0, 20_000,
			"it lacks store_ms"},
		{"a gauge twice", same + "store_ms 4\n", asked + "store_ms 4\n", 0, 0, 20_000, "it lacks store_ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, said := watched(t, servePage(t, c.before, c.after))
			if got.ImportNS != c.imported || got.StoreNS != c.store || got.ServerNS != c.took {
				t.Errorf("import %d, store %d, server %d; want %d, %d, %d", got.ImportNS, got.StoreNS, got.ServerNS, c.imported, c.store, c.took)
			}
			if text := strings.Join(said, "\n"); (c.say == "") != (text == "") || !strings.Contains(text, c.say) {
				t.Errorf("said %q, want %q", text, c.say)
			}
		})
	}
}

// A page that cannot be read is left alone, said once, and costs no sample.
func TestPage_unreadable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		say   string
	}{
		"refused": {nil, "connection refused"},
		"hanging": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no complete answer within 1s"},
		"hanging half-way": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "block_number 5\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "no complete answer within 1s"},
		"no page": {http.NotFound, "HTTP status 404"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "HTTP status 302"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for line := bytes.Repeat([]byte("x"), 1<<20); ; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, "it is larger than 8 MiB"},
		"no metrics": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "block_number five\n") }, "it is no metrics page: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			looks := make(chan struct{}, 10)
			url := gone.URL
			if c.serve != nil {
				web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					looks <- struct{}{}
					c.serve(w, r)
				}))
				t.Cleanup(web.Close)
				url = web.URL
			}
			var said []string
			node := startNode(t, 9)
			s := newSampler(t, node.URL(), Options{Metrics: url + "/metrics?key=hunter2", Notice: func(text string) { said = append(said, text) }})
			for number := range uint64(3) {
				if got, _ := measure(t, s, 5+number); got.Status != sample.OK || got.ImportNS != 0 || got.ServerNS != 0 {
					t.Errorf("sample %+v", got)
				}
			}
			if len(said) != 1 || !strings.Contains(said[0], c.say) || strings.Contains(said[0], "hunter2") {
				t.Errorf("said %q, want %q once and no credential", said, c.say)
			}
			if len(looks) > 1 {
				t.Errorf("%d looks at a page that cannot be read, want it left alone after the first", len(looks))
			}
		})
	}
}

// The page is looked at once before and once after the request, never during
// it, and not again when the request failed.
func TestPage_looks(t *testing.T) {
	node := startNode(t, 9)
	node.SetFault(6, chaintest.Drop)
	var mu sync.Mutex
	var events []string
	note := func(event string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, event)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		note("look")
		io.WriteString(w, newestIs5().text())
	}))
	t.Cleanup(web.Close)
	node.Answering(func(number uint64, _ time.Time) { note(fmt.Sprint("witness ", number)) })
	s := newSampler(t, node.URL(), Options{Metrics: web.URL})
	measure(t, s, 5)
	measure(t, s, 6)
	measure(t, s, 7)
	mu.Lock()
	defer mu.Unlock()
	if got, want := strings.Join(events, ", "), "look, witness 5, look, look, witness 6, look, witness 7, look"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestPage_badURL(t *testing.T) {
	for _, url := range []string{"127.0.0.1:9090/metrics", "ftp://127.0.0.1/metrics", "http:///metrics", "http://u:hunter2@[::1/metrics"} {
		_, err := NewSampler("http://127.0.0.1:1", Options{Metrics: url})
		if err == nil || !strings.HasPrefix(err.Error(), "metrics URL ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want an error that names the metrics URL without its credential", url, err)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(newestIs5().text()))
	f.Add([]byte("block_number 1e300\nstore_ms{} -0\nrpc_request_duration_seconds_count{namespace=\"rpc\",method=\"m\"} 0.5 1\n"))
	f.Add([]byte("gas_used{"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parsePage(raw, "m")
		if err == nil && (got.imported == nil) != (len(got.lacking) > 0) {
			t.Errorf("imported %+v, lacking %q", got.imported, got.lacking)
		}
		if b := got.imported; b != nil {
			s := sample.Sample{Number: uint64(b.number), GasUsed: uint64(b.gas), Transactions: int(b.transactions)}
			b.describe(&s)
			if s.ImportNS < 0 || s.StoreNS < 0 || s.StoreNS > s.ImportNS {
				t.Errorf("%+v gives import %d, store %d", b, s.ImportNS, s.StoreNS)
			}
		}
	})
}

// BenchmarkPage is what one look costs: a page with the size of ethrex's, over
// HTTP on the loopback interface, read and parsed.
func BenchmarkPage(b *testing.B) {
	var text strings.Builder
	for i := range 60 { // methods, with the twelve buckets of each
		for bucket := range 12 {
			fmt.Fprintf(&text, "rpc_request_duration_seconds_bucket{method=\"eth_method%d\",namespace=\"rpc\",le=\"%d\"} 12345\n", i, bucket)
		}
		fmt.Fprintf(&text, "rpc_request_duration_seconds_sum{method=\"eth_method%d\",namespace=\"rpc\"} 123.45678\nrpc_request_duration_seconds_count{method=\"eth_method%d\",namespace=\"rpc\"} 12345\n", i, i)
	}
	text.WriteString(newestIs5().text())
	body := text.String()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
	defer web.Close()
	p, err := newPage(web.URL, witnessByNumber, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer p.close()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if f, ok := p.look(context.Background()); !ok || f.imported == nil || f.requests != 20 {
			b.Fatalf("%+v, %t", f, ok)
		}
	}
}
