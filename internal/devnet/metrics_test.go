package devnet

import (
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

// The page tells of the newest block that was executed on import, in phases
// that add up to the call, and nothing before there is one.
func TestMetrics_newestImport(t *testing.T) {
	for name, set := range map[string]func(*Options){
		"on demand": nil,
		"stored":    func(o *Options) { o.Precompute = true },
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, set)
			if page := metricsPage(t, n); strings.Contains(page, "\nblock_number ") || strings.Contains(page, "\nstore_ms ") {
				t.Errorf("nothing was imported, and the page tells of it:\n%s", page)
			}
			c := attach(t, n)
			old := c.blocks()[3]
			c.send(0, &stranger, 1, 21_000, nil)
			last := c.build()
			c.deliver(last)
			payload := last.ExecutionPayload
			if number, gas, txs := metric(t, n, "block_number"), metric(t, n, "gas_used"), metric(t, n, "transaction_count"); number != float64(payload.Number) || gas != float64(payload.GasUsed) || txs != 1 {
				t.Errorf("block %v with %v gas and %v transactions, want %d, %d and 1", number, gas, txs, payload.Number, payload.GasUsed)
			}
			phases := func() (all [4]float64) {
				for i, name := range []string{"validate_ms", "execution_ms", "merkle_drain_ms", "store_ms"} {
					all[i] = metric(t, n, name)
				}
				return all
			}
			was := phases()
			sum := 0.0
			for _, ms := range was {
				if ms <= 0 {
					t.Errorf("phases %v, want each to take some time", was)
				}
				sum += ms
			}
			if call := metric(t, n, "verdict_block_import_milliseconds"); math.Abs(sum-call) > 1e-6*call {
				t.Errorf("the phases add up to %v ms, the call took %v ms", sum, call)
			}
			// A block that is known is not executed again: the call is another,
			// and what is told of the newest import stays.
			c.newPayload(old)
			if metric(t, n, "block_number") != float64(payload.Number) || phases() != was {
				t.Errorf("after a block that was known the page tells of block %v, phases %v; want %v", metric(t, n, "block_number"), phases(), was)
			}
		})
	}
}

// Each of the two methods has its own histogram.
func TestMetrics_requestsByMethod(t *testing.T) {
	n := start(t, nil)
	c := attach(t, n)
	b := c.build()
	c.deliver(b)
	ask(t, n, 1)
	ask(t, n, 1)
	post(t, n, `{"jsonrpc":"2.0","id":1,"method":"debug_executionWitnessByBlockHash","params":["`+b.ExecutionPayload.BlockHash.Hex()+`"]}`)
	post(t, n, `[{"jsonrpc":"2.0","id":1,"method":"debug_executionWitness","params":["0x1"]}]`)
	ask(t, n, 7) // not there: nothing was found or made
	for method, want := range map[string]float64{"debug_executionWitness": 3, "debug_executionWitnessByBlockHash": 1} {
		labels := `{namespace="rpc",method="` + method + `"}`
		if got := metric(t, n, "rpc_request_duration_seconds_count"+labels); got != want {
			t.Errorf("%v requests of %s, want %v", got, method, want)
		}
		if got := metric(t, n, "rpc_request_duration_seconds_sum"+labels); got <= 0 {
			t.Errorf("requests of %s took %v s", method, got)
		}
	}
}

func metricsPage(t testing.TB, n *Node) string {
	t.Helper()
	res, err := http.Get(n.Metrics() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
