package devnet

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
)

// maxRequest bounds the body of a request in bytes. It leaves room for a batch
// with all transactions of a block.
const maxRequest = 64 << 20

// The JSON-RPC error codes that the node uses.
const (
	codeInvalidParams = -32602
	codeServerError   = -32000
)

// rpcError is an error with its JSON-RPC code; it implements [rpc.Error].
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string  { return e.Message }
func (e *rpcError) ErrorCode() int { return e.Code }

func rpcErrorf(code int, format string, args ...any) *rpcError {
	return &rpcError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// missingBlock is what a call without any argument gets.
func missingBlock(want string) *rpcError {
	return rpcErrorf(codeInvalidParams, "missing value for required argument 0: %s", want)
}

// blockRef is the first argument of debug_executionWitness: a block number or
// a tag, a hash, or an object with either.
type blockRef struct{ rpc.BlockNumberOrHash }

// UnmarshalJSON implements [json.Unmarshaler].
func (b *blockRef) UnmarshalJSON(raw []byte) error {
	switch kind := jsonKind(raw); kind {
	case "string", "object":
		return b.BlockNumberOrHash.UnmarshalJSON(raw)
	default:
		return fmt.Errorf("want a block number, tag or hash as a string, or an object with blockNumber or blockHash, have %s", kind)
	}
}

// jsonKind names the type of a JSON value.
func jsonKind(raw []byte) string {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0, string(raw) == "null":
		return "null"
	case raw[0] == '"':
		return "string"
	case raw[0] == '{':
		return "object"
	case raw[0] == '[':
		return "an array"
	case raw[0] == 't', raw[0] == 'f':
		return "a boolean"
	default:
		return "a number"
	}
}

// debugAPI replaces two methods of the library's debug namespace. The
// arguments are pointers, which makes them optional to the library, so that
// the node's own words tell what is missing.
type debugAPI struct{ node *Node }

// ExecutionWitness implements debug_executionWitness.
func (d debugAPI) ExecutionWitness(ctx context.Context, block *blockRef) (json.RawMessage, error) {
	if block == nil {
		return nil, missingBlock(wantBlock)
	}
	return inMemory(d.node.witnessByRef(ctx, byNumber, block.BlockNumberOrHash))
}

// ExecutionWitnessByBlockHash implements debug_executionWitnessByBlockHash.
func (d debugAPI) ExecutionWitnessByBlockHash(ctx context.Context, hash *common.Hash) (json.RawMessage, error) {
	if hash == nil {
		return nil, missingBlock(wantHash)
	}
	return inMemory(d.node.witnessByRef(ctx, byHash, rpc.BlockNumberOrHashWithHash(*hash, false)))
}

// inMemory encodes a result for an answer that cannot be streamed: one of
// several in a batch.
func inMemory(r result, err *rpcError) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(r.size())
	if err := r.writeTo(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// The names of the two methods, and what their argument is called in errors.
const (
	byNumber  = "debug_executionWitness"
	byHash    = "debug_executionWitnessByBlockHash"
	wantBlock = "block number, tag or hash"
	wantHash  = "block hash"
)

// web3API is the web3 namespace.
type web3API struct{ version string }

// ClientVersion implements web3_clientVersion.
func (w web3API) ClientVersion() string { return w.version }

// Sha3 implements web3_sha3.
func (w web3API) Sha3(input hexutil.Bytes) hexutil.Bytes { return crypto.Keccak256(input) }

// rpcFront serves the public JSON-RPC. Single requests for a witness are
// answered here, because the library would hold several copies of an answer of
// megabytes and check its syntax again before sending it. Everything else,
// batches included, is the library's.
type rpcFront struct {
	node *Node
	next http.Handler
}

// request is a JSON-RPC request as far as it is needed here.
type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// ServeHTTP implements [http.Handler].
func (f *rpcFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !isJSON(r.Header.Get("Content-Type")) {
		f.next.ServeHTTP(w, r) // knows how to refuse
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if req, ok := forWitness(body); ok {
		f.answer(w, r, req)
		return
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	f.next.ServeHTTP(w, r)
}

// isJSON reports whether the content type is one that the library takes.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "application/json-rpc" || media == "application/jsonrequest")
}

// forWitness parses a body that is one well-formed call of one of the two
// methods. Whatever is odd about a body, the library words the answer.
func forWitness(body []byte) (request, bool) {
	var req request
	if !bytes.Contains(body, []byte(byNumber)) || jsonKind(body) != "object" || json.Unmarshal(body, &req) != nil {
		return request{}, false
	}
	validID := len(req.ID) > 0 && req.ID[0] != '{' && req.ID[0] != '['
	return req, validID && req.Version == "2.0" && (req.Method == byNumber || req.Method == byHash)
}

// answer serves one call.
func (f *rpcFront) answer(w http.ResponseWriter, r *http.Request, req request) {
	var found result
	ref, failure := parseParams(req)
	if failure == nil {
		found, failure = f.node.witnessByRef(r.Context(), req.Method, ref)
	}
	w.Header().Set("Content-Type", "application/json")
	if failure != nil {
		message, err := json.Marshal(struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Error   *rpcError       `json:"error"`
		}{"2.0", req.ID, failure})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(append(message, '\n')) // the client went away, if anything
		return
	}
	if err := send(w, r, req.ID, found); err != nil {
		f.node.log.Debug("a client went away", "method", req.Method, "err", err)
	}
}

// send streams a successful answer, compressed if the client asked for it.
func send(w http.ResponseWriter, r *http.Request, id json.RawMessage, found result) error {
	prefix := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":`, id)
	const suffix = "}\n"
	var out io.Writer = w
	var compressed *gzip.Writer
	if wantsGzip(r.Header.Get("Accept-Encoding")) {
		w.Header().Set("Content-Encoding", "gzip")
		compressed, _ = gzip.NewWriterLevel(w, gzip.BestSpeed) // fails on a wrong level only
		out = compressed
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(len(prefix)+found.size()+len(suffix)))
	}
	if _, err := io.WriteString(out, prefix); err != nil {
		return err
	}
	if err := found.writeTo(out); err != nil {
		return err
	}
	if _, err := io.WriteString(out, suffix); err != nil {
		return err
	}
	if compressed != nil {
		return compressed.Close()
	}
	return nil
}

// wantsGzip reports whether an Accept-Encoding header offers gzip.
func wantsGzip(accept string) bool {
	for encoding := range strings.SplitSeq(accept, ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(encoding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(quality, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}

// parseParams takes the one argument of a call, given by position.
func parseParams(req request) (rpc.BlockNumberOrHash, *rpcError) {
	want := wantBlock
	if req.Method == byHash {
		want = wantHash
	}
	var none rpc.BlockNumberOrHash
	kind := jsonKind(req.Params)
	if kind != "null" && kind != "an array" {
		return none, rpcErrorf(codeInvalidParams, "non-array args")
	}
	var args []json.RawMessage
	if kind == "an array" {
		if err := json.Unmarshal(req.Params, &args); err != nil {
			return none, rpcErrorf(codeInvalidParams, "%v", err)
		}
	}
	switch {
	case len(args) > 1:
		return none, rpcErrorf(codeInvalidParams, "too many arguments, want at most 1")
	case len(args) == 0, jsonKind(args[0]) == "null":
		return none, missingBlock(want)
	}
	if req.Method == byHash {
		var hash common.Hash
		if err := json.Unmarshal(args[0], &hash); err != nil {
			return none, rpcErrorf(codeInvalidParams, "invalid argument 0: %v", err)
		}
		return rpc.BlockNumberOrHashWithHash(hash, false), nil
	}
	var ref blockRef
	if err := json.Unmarshal(args[0], &ref); err != nil {
		return none, rpcErrorf(codeInvalidParams, "invalid argument 0: %v", err)
	}
	return ref.BlockNumberOrHash, nil
}

// witnessByRef finds the block that ref names and returns its witness, as the
// method that was called. What it took is counted before anything is sent.
func (n *Node) witnessByRef(ctx context.Context, method string, ref rpc.BlockNumberOrHash) (result, *rpcError) {
	start := time.Now()
	block, failure := n.blockByRef(ref)
	if failure != nil {
		return nil, failure
	}
	found, failure := n.witness(ctx, block)
	if failure == nil {
		n.metrics.served(method, start)
	}
	return found, failure
}

// blockByRef finds a block by number, tag or hash. The pending block is the
// head: there is no other after the merge.
func (n *Node) blockByRef(ref rpc.BlockNumberOrHash) (*types.Header, *rpcError) {
	chain := n.chain()
	head := chain.CurrentBlock()
	if hash, ok := ref.Hash(); ok {
		header := chain.GetHeaderByHash(hash)
		if header == nil {
			return nil, rpcErrorf(codeServerError, "block %s not found (head is %d)", hash, head.Number)
		}
		if ref.RequireCanonical && chain.GetCanonicalHash(header.Number.Uint64()) != hash {
			return nil, rpcErrorf(codeServerError, "block %s is not canonical", hash)
		}
		return header, nil
	}
	number, ok := ref.Number()
	if !ok {
		return nil, missingBlock(wantBlock)
	}
	var header *types.Header
	switch number {
	case rpc.LatestBlockNumber, rpc.PendingBlockNumber:
		return head, nil
	case rpc.FinalizedBlockNumber:
		header = chain.CurrentFinalBlock()
	case rpc.SafeBlockNumber:
		header = chain.CurrentSafeBlock()
	case rpc.EarliestBlockNumber:
		header = chain.Genesis().Header()
	default:
		if uint64(number) <= head.Number.Uint64() {
			header = chain.GetHeaderByNumber(uint64(number))
		}
		if header == nil {
			return nil, rpcErrorf(codeServerError, "block %#x not found (head is %d)", uint64(number), head.Number)
		}
	}
	if header == nil {
		return nil, rpcErrorf(codeServerError, "there is no %s block yet (head is %d)", number, head.Number)
	}
	return header, nil
}
