package chaintest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
)

type request struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

// ServeHTTP answers one JSON-RPC request.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	received := time.Now()
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	// Reading on lets the server notice when the client goes away.
	io.Copy(io.Discard, r.Body)
	n.mu.Lock()
	n.asked[q.Method]++
	known := n.methods[q.Method]
	n.mu.Unlock()
	if !known {
		fail(w, q, -32601, "the method "+q.Method+" does not exist/is not available")
		return
	}
	switch q.Method {
	case "web3_clientVersion":
		reply(w, q, "chaintest/v1")
	case "eth_chainId":
		n.mu.Lock()
		id := n.chainID
		n.mu.Unlock()
		reply(w, q, quantity(id))
	case "eth_blockNumber":
		reply(w, q, quantity(n.head()))
	case "eth_getBlockByNumber":
		if block, _ := n.find(q); block != nil {
			reply(w, q, blockJSON(block))
		} else {
			reply(w, q, nil)
		}
	default:
		n.serveWitness(w, r, q, received)
	}
}

func quantity(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }

func reply(w http.ResponseWriter, q request, result any) {
	send(w, map[string]any{"jsonrpc": "2.0", "id": q.ID, "result": result})
}

func fail(w http.ResponseWriter, q request, code int, message string) {
	send(w, map[string]any{"jsonrpc": "2.0", "id": q.ID, "error": map[string]any{"code": code, "message": message}})
}

func send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// find resolves the first parameter, a number, a tag or a hash, to a block and
// its parent; nil when there is none.
func (n *Node) find(q request) (block, parent *types.Header) {
	var which string
	if len(q.Params) == 0 || json.Unmarshal(q.Params[0], &which) != nil {
		return nil, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	at := -1
	number, err := strconv.ParseUint(strings.TrimPrefix(which, "0x"), 16, 64)
	switch {
	case which == "latest":
		at = len(n.blocks) - 1
	case len(which) == 66:
		for i, b := range n.blocks {
			if b.Hash().Hex() == which {
				at = i
			}
		}
	case err == nil && number < uint64(len(n.blocks)):
		at = int(number)
	}
	if at < 0 {
		return nil, nil
	}
	return n.blocks[at], n.blocks[max(0, at-1)]
}

func blockJSON(h *types.Header) map[string]any {
	transactions := make([]string, h.Number.Uint64()%5)
	for i := range transactions {
		transactions[i] = fmt.Sprintf("0x%064x", i)
	}
	return map[string]any{
		"number":       quantity(h.Number.Uint64()),
		"hash":         h.Hash().Hex(),
		"parentHash":   h.ParentHash.Hex(),
		"gasUsed":      quantity(h.GasUsed),
		"timestamp":    quantity(h.Time),
		"transactions": transactions,
	}
}

func (n *Node) serveWitness(w http.ResponseWriter, r *http.Request, q request, received time.Time) {
	block, parent := n.find(q)
	if block == nil {
		fail(w, q, -32603, "Internal Error: Could not get block header")
		return
	}
	number := block.Number.Uint64()
	n.mu.Lock()
	fault, before, answering := n.faults[number], n.before[number], n.answering
	delete(n.before, number)
	n.newest = max(n.newest, number)
	if fault == ReorgDuring {
		delete(n.faults, number)
		n.reorg(number)
	}
	n.mu.Unlock()
	if before != nil {
		before()
	}
	body := n.witness(block, parent)
	if answering != nil {
		answering(number, received)
	}
	answer(w, r, q, fault, body)
}

// answer sends body, or what fault makes of it.
func answer(w http.ResponseWriter, r *http.Request, q request, fault Fault, body []byte) {
	length := func(n int) { w.Header().Set("Content-Length", strconv.Itoa(n)) }
	switch fault {
	case None, ReorgDuring:
		whole(w, r, body)
	case Chunked:
		for part := range 4 {
			w.Write(body[part*len(body)/4 : (part+1)*len(body)/4])
			w.(http.Flusher).Flush()
		}
	case RPCError:
		fail(w, q, -32603, "Internal Error: Could not get block body")
	case HTTPError:
		http.Error(w, "overloaded", http.StatusServiceUnavailable)
	case Hang:
		<-r.Context().Done()
	case HangBody:
		length(len(body))
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case Drop:
		// The server's word for closing the connection without a trace.
		panic(http.ErrAbortHandler)
	case Short:
		length(len(body))
		w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	case ShortChunked:
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case ShortJSON:
		w.Write(body[:len(body)/2])
	case NotJSON:
		io.WriteString(w, "<html>it works</html>")
	case NotHTTP:
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			io.WriteString(conn, "SSH-2.0-example\r\n\r\n")
			conn.Close()
		}
	case Null:
		reply(w, q, nil)
	case Empty:
		reply(w, q, map[string]any{"state": []string{}, "codes": []string{}, "keys": []string{}, "headers": []string{}})
	default:
		http.Error(w, "no such fault", http.StatusInternalServerError)
	}
}

// whole sends body in one piece, compressed when the client asks for it.
func whole(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Accept-Encoding") != "gzip" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	z.Write(body)
	z.Close()
}
