package ethrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/verdict-bench/verdict/internal/fault"
)

// engineServer answers Engine API calls with whatever answer returns: a
// result, or an *Error.
type engineServer struct {
	mu     sync.Mutex
	calls  []string
	params map[string][]json.RawMessage
	tokens []string
	answer func(method string, params []json.RawMessage) any
}

func (s *engineServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req struct {
		ID     int               `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, req.Method)
	s.params[req.Method] = req.Params
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	out := map[string]any{"jsonrpc": "2.0", "id": req.ID}
	switch a := s.answer(req.Method, req.Params).(type) {
	case *Error:
		out["error"] = a
	case int:
		http.Error(w, "no", a)
		return
	default:
		out["result"] = a
	}
	_ = json.NewEncoder(w).Encode(out)
}

// engineFor starts a server and an Engine for it.
func engineFor(t *testing.T, answer func(method string, params []json.RawMessage) any) (*engineServer, *Engine) {
	t.Helper()
	s := &engineServer{params: map[string][]json.RawMessage{}, answer: answer}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	secret, err := parseSecret("test", []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(server.URL, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return s, e
}

// payloadJSON is an executionPayload with more fields than the program knows.
func payloadJSON(extra string, txs ...string) string {
	quoted, _ := json.Marshal(append([]string{}, txs...))
	return fmt.Sprintf(`{"blockHash":"0x%064x","parentHash":"0x%064x","blockNumber":"0x7","gasUsed":"0x5208","gasLimit":"0x3938700","timestamp":"0x10","transactions":%s,"unknownField":{"b":1,"a":[ 2 ]}%s}`,
		7, 6, quoted, extra)
}

const cancunFields = `,"withdrawals":[],"blobGasUsed":"0x0","excessBlobGas":"0x0"`

func TestEngine_findsTheVersions(t *testing.T) {
	// A client on Osaka that has the methods of the next fork already.
	s, e := engineFor(t, func(method string, params []json.RawMessage) any {
		switch method {
		case "engine_exchangeCapabilities":
			return []string{"engine_forkchoiceUpdatedV3", "engine_forkchoiceUpdatedV4", "engine_getPayloadV4",
				"engine_getPayloadV5", "engine_getPayloadV6", "engine_newPayloadV3", "engine_newPayloadV4", "engine_newPayloadV5"}
		case "engine_forkchoiceUpdatedV3":
			return map[string]any{"payloadStatus": map[string]any{"status": "VALID", "latestValidHash": nil, "validationError": nil}, "payloadId": "0x0300000000000001"}
		case "engine_getPayloadV5":
			return json.RawMessage(`{"executionPayload":` + payloadJSON(cancunFields) + `,"executionRequests":["0x00aa"],"blockValue":"0x0"}`)
		case "engine_newPayloadV4":
			return Outcome{Status: Valid}
		}
		return &Error{Code: unsupportedFork, Message: "Unsupported fork"}
	})
	ctx := t.Context()
	if _, err := e.Capabilities(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		outcome, id, err := e.ForkchoiceUpdated(ctx, Forkchoice{Head: common.Hash{1}}, &Attributes{Timestamp: 16, BeaconRoot: common.Hash{9}})
		if err != nil || outcome.Status != Valid || id != "0x0300000000000001" {
			t.Fatalf("ForkchoiceUpdated = %v, %q, %v", outcome, id, err)
		}
		p, err := e.Payload(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		p.BeaconRoot = common.Hash{9}
		if outcome, err := e.NewPayload(ctx, p); err != nil || outcome.Status != Valid {
			t.Fatalf("NewPayload = %v, %v", outcome, err)
		}
	}
	want := []string{
		"engine_exchangeCapabilities",
		// The newest version that is offered is tried first ...
		"engine_forkchoiceUpdatedV4", "engine_forkchoiceUpdatedV3", "engine_getPayloadV6", "engine_getPayloadV5", "engine_newPayloadV4",
		// ... and what worked is remembered.
		"engine_forkchoiceUpdatedV3", "engine_getPayloadV5", "engine_newPayloadV4",
	}
	if !slices.Equal(s.calls, want) {
		t.Errorf("calls\n%v, want\n%v", s.calls, want)
	}
	attributes := string(s.params["engine_forkchoiceUpdatedV3"][1])
	if strings.Contains(attributes, "slotNumber") || !strings.Contains(attributes, "parentBeaconBlockRoot") {
		t.Errorf("attributes of version 3 are %s", attributes)
	}
	if !strings.Contains(string(s.params["engine_forkchoiceUpdatedV4"][1]), "slotNumber") {
		t.Error("attributes of version 4 have no slotNumber")
	}
	sent := s.params["engine_newPayloadV4"]
	if got := string(sent[0]); got != payloadJSON(cancunFields) {
		var compact bytes.Buffer
		_ = json.Compact(&compact, []byte(payloadJSON(cancunFields)))
		if got != compact.String() {
			t.Errorf("the payload was changed on its way:\n%s", got)
		}
	}
	if string(sent[1]) != "[]" || !strings.HasPrefix(string(sent[2]), `"0x09`) || string(sent[3]) != `["0x00aa"]` {
		t.Errorf("newPayload has parameters %s", sent[1:])
	}
	for _, token := range s.tokens {
		if !strings.HasPrefix(token, "Bearer eyJ") {
			t.Errorf("a request has the authorization %q", token)
		}
	}
}

// Old forks have fewer parameters, and a client may not know how to tell what
// it offers.
func TestEngine_oldForks(t *testing.T) {
	tests := []struct {
		extra, method string
		params        int
	}{
		{"", "engine_newPayloadV2", 1},
		{`,"withdrawals":[]`, "engine_newPayloadV2", 1},
		{cancunFields, "engine_newPayloadV3", 3},
	}
	for _, tt := range tests {
		s, e := engineFor(t, func(method string, _ []json.RawMessage) any {
			switch method {
			case "engine_exchangeCapabilities":
				return &Error{Code: MethodNotFound, Message: "the method does not exist"}
			case "engine_getPayloadV2":
				return json.RawMessage(`{"executionPayload":` + payloadJSON(tt.extra) + `}`)
			case tt.method:
				return Outcome{Status: Valid}
			}
			return &Error{Code: MethodNotFound, Message: "no " + method}
		})
		if names, err := e.Capabilities(t.Context()); err != nil || names != nil {
			t.Errorf("Capabilities = %v, %v, want none", names, err)
		}
		p, err := e.Payload(t.Context(), "0x01")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.NewPayload(t.Context(), p); err != nil {
			t.Errorf("payload with %q: %v", tt.extra, err)
		}
		if got := len(s.params[tt.method]); got != tt.params {
			t.Errorf("%s has %d parameters, want %d", tt.method, got, tt.params)
		}
	}
}

func TestEngine_errors(t *testing.T) {
	check := func(name string, answer any, kind fault.Kind, text string) {
		t.Helper()
		_, e := engineFor(t, func(string, []json.RawMessage) any { return answer })
		_, _, err := e.ForkchoiceUpdated(t.Context(), Forkchoice{}, &Attributes{})
		if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %v of kind %d, want %q of kind %d", name, err, fault.KindOf(err), text, kind)
		}
	}
	check("wrong secret", http.StatusUnauthorized, fault.Prerequisite, "JWT was refused")
	check("forbidden", http.StatusForbidden, fault.Prerequisite, "JWT was refused")
	check("broken server", http.StatusInternalServerError, fault.Failed, "HTTP status 500")
	check("no version fits", &Error{Code: unsupportedFork, Message: "Unsupported fork"}, fault.Failed, "Unsupported fork")
	check("another error ends the search", &Error{Code: -38002, Message: "Invalid forkchoice state"}, fault.Failed, "engine_forkchoiceUpdatedV4: Invalid forkchoice state")

	// The refusal of one version for what is in the attributes tells more than
	// the absence of the others.
	_, e := engineFor(t, func(method string, _ []json.RawMessage) any {
		if method == "engine_forkchoiceUpdatedV3" {
			return &Error{Code: invalidAttributes, Message: "timestamp not after the parent's"}
		}
		return &Error{Code: MethodNotFound, Message: "not found"}
	})
	_, _, err := e.ForkchoiceUpdated(t.Context(), Forkchoice{}, &Attributes{})
	if err == nil || !strings.Contains(err.Error(), "timestamp not after") {
		t.Errorf("error %v, want the one about the timestamp", err)
	}
	var answer *Error
	if !errors.As(err, &answer) || answer.Code != invalidAttributes {
		t.Errorf("error %v does not carry the client's code", err)
	}
}

func TestPayload_blobHashes(t *testing.T) {
	want := []common.Hash{{1, 2}, {1, 3}}
	blob := types.NewTx(&types.BlobTx{
		ChainID: uint256.NewInt(1), GasTipCap: new(uint256.Int), GasFeeCap: new(uint256.Int), Value: new(uint256.Int),
		AccessList: types.AccessList{{Address: common.Address{5}, StorageKeys: []common.Hash{{6}}}},
		BlobFeeCap: new(uint256.Int), BlobHashes: want,
		V: new(uint256.Int), R: new(uint256.Int), S: new(uint256.Int),
	})
	plain := types.NewTx(&types.LegacyTx{Gas: 21000, GasPrice: new(big.Int), Value: new(big.Int)})
	var txs []string
	for _, tx := range []*types.Transaction{plain, blob, plain} {
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		txs = append(txs, fmt.Sprintf("0x%x", raw))
	}
	p, err := decodePayload([]byte(`{"executionPayload":` + payloadJSON(cancunFields, txs...) + `}`))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.BlobHashes, want) {
		t.Errorf("blob hashes %v, want %v", p.BlobHashes, want)
	}
	if len(p.Transactions) != 3 || p.Number != 7 || p.GasUsed != 21000 || p.Timestamp != 16 {
		t.Errorf("payload has %d transactions, number %d, gas %d, time %d", len(p.Transactions), p.Number, p.GasUsed, p.Timestamp)
	}
}

func FuzzDecodePayload(f *testing.F) {
	f.Add([]byte(`{"executionPayload":` + payloadJSON(cancunFields, "0x03", "0x03c0", "0x02c0") + `}`))
	f.Add([]byte(payloadJSON("")))
	f.Add([]byte(`{"executionPayload":null,"executionRequests":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := decodePayload(raw)
		if err != nil {
			return
		}
		// What is passed on must be what was decoded.
		again := Payload{Raw: p.Raw}
		if err := again.decode(); err != nil || again.Hash != p.Hash || len(again.Transactions) != len(p.Transactions) {
			t.Errorf("the raw payload decodes to something else: %v", err)
		}
	})
}
