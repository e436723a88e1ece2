package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/verdict-bench/verdict/internal/fault"
)

// checkServer answers as a server that has one block. Answers can be replaced
// by method: a JSON text goes out as the whole response.
type checkServer struct {
	block, witness json.RawMessage
	replace        map[string]string
	// reorged replaces the block's hash in answers without transactions,
	// which are those to the question whether it is still there.
	reorged bool
	// hang delays answers until the client is gone.
	hang bool
}

// serveCheck starts a server with the block and witness of the script.
func serveCheck(t *testing.T) (*checkServer, string) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "script", "check-files.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	s := &checkServer{replace: map[string]string{}}
	for _, f := range archive.Files {
		var answer struct{ Result json.RawMessage }
		if err := json.Unmarshal(f.Data, &answer); err != nil {
			t.Fatal(err)
		}
		switch f.Name {
		case "block.json":
			s.block = answer.Result
		case "witness.json":
			s.witness = answer.Result
		}
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *checkServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.hang {
		// Without a read the server does not see that the client has left.
		new(bytes.Buffer).ReadFrom(r.Body)
		<-r.Context().Done()
		return
	}
	var request struct {
		Method string
		Params []any
	}
	json.NewDecoder(r.Body).Decode(&request)
	if answer, ok := s.replace[request.Method]; ok {
		fmt.Fprint(w, answer)
		return
	}
	result := "null"
	switch request.Method {
	case "eth_chainId":
		result = `"0x76657264"`
	case "eth_getBlockByHash":
		result = string(s.block)
	case "eth_getBlockByNumber":
		if request.Params[0] == "0x8" || request.Params[0] == "latest" {
			result = string(s.block)
		}
		if s.reorged && request.Params[1] == false {
			result = strings.ReplaceAll(result, "0x3d7fafa4", "0x00000000")
		}
	case "debug_executionWitness":
		if request.Params[0] == "0x8" {
			result = string(s.witness)
		}
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":%s}`, result)
}

// checkRPC runs verdict check against a server.
func checkRPC(o checkOptions) (string, error) {
	var out bytes.Buffer
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	err := runCheck(context.Background(), World{Stdout: &out}, &o)
	return out.String(), err
}

func TestCheck_rpc(t *testing.T) {
	_, url := serveCheck(t)
	const hash = "0x3d7fafa4815436ad148f8dc3b1e306e34f08ccccadf789e5b73439758af2bf84"
	for _, block := range []string{"latest", "8", "0x8", hash} {
		out, err := checkRPC(checkOptions{rpc: url, block: block})
		if err != nil || !strings.HasPrefix(out, "block 8: complete\n") || !strings.Contains(out, hash) {
			t.Errorf("--block %s: %v\n%s", block, err, out)
		}
	}
	if out, err := checkRPC(checkOptions{rpc: url, block: "8", chain: "local", json: true}); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("--json: %v\n%s", err, out)
	}
}

func TestCheck_rpcRefuses(t *testing.T) {
	const methodNotFound = `{"id":1,"error":{"code":-32601,"message":"the method debug_executionWitness does not exist"}}`
	for name, c := range map[string]struct {
		o     checkOptions
		spoil func(s *checkServer)
		kind  fault.Kind
		want  string
		hint  string
	}{
		"no such block": {checkOptions{block: "9"}, nil, fault.Usage, "has no block 9", ""},
		"not a block":   {checkOptions{block: "newest"}, nil, fault.Usage, `--block "newest" is neither a number`, "latest"},
		"pending":       {checkOptions{block: "pending"}, nil, fault.Usage, `--block "pending"`, "latest"},
		"other block":   {checkOptions{block: "0x" + strings.Repeat("1", 64)}, nil, fault.Failed, "asked for block 0x1111", ""},
		"other chain":   {checkOptions{chain: "hoodi"}, nil, fault.Usage, "is on chain 1986359908, not on chain 560048", ""},
		"unknown chain": {checkOptions{}, func(s *checkServer) {
			s.replace["eth_chainId"] = `{"id":1,"result":"0x539"}`
		}, fault.Usage, "chain 1337 is not built in", "--genesis"},
		"no method": {checkOptions{}, func(s *checkServer) {
			s.replace["debug_executionWitness"] = methodNotFound
		}, fault.Prerequisite, "does not offer debug_executionWitness", "--http.api eth,net,web3,debug"},
		"refused": {checkOptions{}, func(s *checkServer) {
			s.replace["debug_executionWitness"] = `{"id":1,"error":{"code":-32603,"message":"parent state pruned"}}`
		}, fault.Failed, "parent state pruned (code -32603)", ""},
		"not JSON-RPC": {checkOptions{}, func(s *checkServer) {
			s.replace["eth_chainId"] = `<html>`
		}, fault.Prerequisite, "cannot be used: eth_chainId: the answer is not JSON-RPC", ""},
		"hangs": {checkOptions{timeout: 20 * time.Millisecond}, func(s *checkServer) {
			s.hang = true
		}, fault.Prerequisite, "eth_chainId: no answer within 20ms", "--timeout"},
		"reorg": {checkOptions{}, func(s *checkServer) {
			s.reorged = true
		}, fault.Failed, "is not in the server's chain", ""},
		"null": {checkOptions{}, func(s *checkServer) {
			s.witness = json.RawMessage(`null`)
		}, fault.Invalid, "the witness is not complete", ""},
		"no witness": {checkOptions{}, func(s *checkServer) {
			s.witness = json.RawMessage(`{"state":["zz"],"codes":[]}`)
		}, fault.Invalid, "the witness is not complete", ""},
		"empty": {checkOptions{}, func(s *checkServer) {
			s.witness = json.RawMessage(`{"state":[],"codes":[],"keys":[],"headers":[]}`)
		}, fault.Invalid, "the witness is not complete", ""},
	} {
		s, url := serveCheck(t)
		if c.spoil != nil {
			c.spoil(s)
		}
		c.o.rpc = url
		if c.o.block == "" {
			c.o.block = "latest"
		}
		out, err := checkRPC(c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v (kind %d), want %q (kind %d)", name, err, fault.KindOf(err), c.want, c.kind)
		}
		if hints := strings.Join(fault.HintsOf(err), "\n"); !strings.Contains(hints, c.hint) {
			t.Errorf("%s: hints %q, want %q", name, hints, c.hint)
		}
		if printed := out != ""; printed != (c.kind == fault.Invalid) {
			t.Errorf("%s: printed %q", name, out)
		}
	}
}

// TestCheck_problems holds what is printed of answers that are no witness.
func TestCheck_problems(t *testing.T) {
	for answer, want := range map[string]string{
		`null`:                         "the result is null: the server has no witness",
		`"0x"`:                         "the result is not an object",
		`{"state":["zz"],"codes":[]}`:  "state[0]: hex string without 0x prefix",
		`{"state":[],"codes":[]}`:      "missing header 7",
		`{"accounts":[],"storage":[]}`: "state or codes are not in it",
	} {
		s, url := serveCheck(t)
		s.witness = json.RawMessage(answer)
		out, err := checkRPC(checkOptions{rpc: url, block: "latest"})
		joined := strings.Join(strings.Fields(out), " ")
		if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(out, "block 8: NOT COMPLETE\n") || !strings.Contains(joined, want) {
			t.Errorf("%s: %v, want %q\n%s", answer, err, want, out)
		}
		for _, line := range strings.Split(out, "\n") {
			if len(line) > 80 && !strings.Contains(line, "source") {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
	}
}
