// Package chaintest is an execution client for tests: a scripted chain behind a
// real HTTP server on the loopback interface. Its blocks can be extended,
// reorganized and rolled back, its server can be stopped and started again on
// the same port, and each way in which a server can answer wrongly can be
// scripted per block.
package chaintest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// Fault is a way to answer one request for a witness.
type Fault string

// The faults.
const (
	// None answers with the witness and its length.
	None Fault = ""
	// Chunked answers with the witness in chunks.
	Chunked Fault = "chunked"
	// ReorgDuring replaces the block by another, then answers for the old one.
	ReorgDuring Fault = "reorg-during"
	// RPCError answers with HTTP 200 and a JSON-RPC error.
	RPCError Fault = "rpc-error"
	// HTTPError answers with HTTP 503.
	HTTPError Fault = "http-error"
	// Hang answers nothing until the client goes away.
	Hang Fault = "hang"
	// HangBody hangs in the middle of the body.
	HangBody Fault = "hang-body"
	// Drop closes the connection without an answer.
	Drop Fault = "drop"
	// Short announces more than it sends.
	Short Fault = "short"
	// ShortChunked ends without the last chunk.
	ShortChunked Fault = "short-chunked"
	// ShortJSON is a complete HTTP answer whose JSON stops half-way.
	ShortJSON Fault = "short-json"
	// NotJSON is a complete HTTP answer that is no JSON.
	NotJSON Fault = "not-json"
	// NotHTTP answers with something that is not HTTP.
	NotHTTP Fault = "not-http"
	// Null answers with a null result.
	Null Fault = "null"
	// Empty answers with a witness without elements.
	Empty Fault = "empty"
)

// Faults lists every fault, for scripts that go through them.
var Faults = [...]Fault{
	None, Chunked, ReorgDuring, RPCError, HTTPError, Hang, HangBody, Drop,
	Short, ShortChunked, ShortJSON, NotJSON, NotHTTP, Null, Empty,
}

// Node is one scripted client. Its methods are safe for concurrent use.
type Node struct {
	mu      sync.Mutex
	blocks  []*types.Header
	chainID uint64
	fork    uint64
	faults  map[uint64]Fault
	asked   map[string]int
	// before runs once when a witness of the block is asked for.
	before map[uint64]func()
	// answering runs before each answer with a witness.
	answering func(number uint64, received time.Time)
	// ahead is by how much the head may lead newest, the newest block whose
	// witness was asked for; 0 keeps the chain as it is.
	ahead, newest uint64
	size          int
	// made is the last witness, so that a large one is built once.
	made    []byte
	madeFor string
	methods map[string]bool

	address string
	server  *http.Server
	conns   map[net.Conn]bool
	done    chan struct{}
}

// Start serves a chain that has blocks 0 to head on a free port of 127.0.0.1.
func Start(head uint64) (*Node, error) {
	n := &Node{
		chainID: 1337,
		faults:  map[uint64]Fault{},
		asked:   map[string]int{},
		before:  map[uint64]func(){},
		size:    4 << 10,
		methods: map[string]bool{
			"web3_clientVersion": true, "eth_chainId": true, "eth_blockNumber": true,
			"eth_getBlockByNumber": true, "debug_executionWitness": true,
			"debug_executionWitnessByBlockHash": true,
		},
		address: "127.0.0.1:0",
	}
	n.Extend(int(head) + 1)
	return n, n.Restart()
}

// URL is where the node listens, also while it is stopped.
func (n *Node) URL() string { return "http://" + n.address }

// Restart starts the server that Stop stopped, on the same port.
func (n *Node) Restart() error {
	listener, err := net.Listen("tcp", n.address)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.address = listener.Addr().String()
	n.conns = map[net.Conn]bool{}
	n.done = make(chan struct{})
	n.server = &http.Server{Handler: n, ConnState: n.track}
	server, done := n.server, n.done
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	return nil
}

// Stop resets every connection and closes the port, as a killed process does.
func (n *Node) Stop() {
	n.mu.Lock()
	server, done := n.server, n.done
	for conn := range n.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
	}
	n.mu.Unlock()
	server.Close()
	<-done
}

func (n *Node) track(conn net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch state {
	case http.StateNew:
		n.conns[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(n.conns, conn)
	}
}

// Extend adds count blocks to the chain.
func (n *Node) Extend(count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.extend(count)
}

func (n *Node) extend(count int) {
	for range count {
		h := &types.Header{
			Number:     big.NewInt(int64(len(n.blocks))),
			Difficulty: new(big.Int),
			GasLimit:   60_000_000,
			GasUsed:    21_000 * uint64(len(n.blocks)),
			Time:       1_700_000_000 + 12*uint64(len(n.blocks)),
			Extra:      binary.BigEndian.AppendUint64(nil, n.fork),
			BaseFee:    big.NewInt(7),
		}
		if len(n.blocks) > 0 {
			h.ParentHash = n.blocks[len(n.blocks)-1].Hash()
		}
		n.blocks = append(n.blocks, h)
	}
}

// Reorg replaces the blocks from number on by others, up to the same head.
func (n *Node) Reorg(number uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reorg(number)
}

func (n *Node) reorg(number uint64) {
	dropped := len(n.blocks) - int(number)
	n.blocks = n.blocks[:number]
	n.fork++
	n.extend(dropped)
}

// Rewind drops the blocks above head.
func (n *Node) Rewind(head uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocks = n.blocks[:head+1]
}

// SetFault scripts the answers for the witness of block number.
func (n *Node) SetFault(number uint64, f Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults[number] = f
}

// Before runs f when a witness of block number is asked for the first time,
// before the answer.
func (n *Node) Before(number uint64, f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before[number] = f
}

// Answering runs f with each request for a witness, before its answer, which
// waits until f returns. received is when the request had arrived. A nil f ends
// that.
func (n *Node) Answering(f func(number uint64, received time.Time)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answering = f
}

// Grow makes the chain one block longer with each question for its head, as
// long as the head is less than ahead blocks past the newest block whose
// witness was asked for. Nodes that are asked alike stay alike. 0 ends that.
func (n *Node) Grow(ahead uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ahead = ahead
}

// head is the number of the newest block, which may be one that the question
// for it brings about.
func (n *Node) head() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ahead > 0 && uint64(len(n.blocks)-1) < n.newest+n.ahead {
		n.extend(1)
	}
	return uint64(len(n.blocks) - 1)
}

// SetSize sets the size of a witness, roughly, in bytes of JSON.
func (n *Node) SetSize(bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.size = bytes
}

// SetChainID puts the node on another chain.
func (n *Node) SetChainID(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chainID = id
}

// Disable makes method unknown to the node.
func (n *Node) Disable(method string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.methods, method)
}

// Asked counts the requests for method so far.
func (n *Node) Asked(method string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[method]
}

// Hash is the hash of the block that the chain has at number now.
func (n *Node) Hash(number uint64) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.blocks[number].Hash().Hex()
}

// witness is the answer for block, made anew only when it is another one than
// the last.
func (n *Node) witness(block, parent *types.Header) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if key := fmt.Sprint(block.Hash(), n.size); n.madeFor != key {
		n.made, n.madeFor = witness(block, parent, n.size), key
	}
	return n.made
}

// witness is the JSON-RPC answer for a block: its parent's header, and state
// nodes, code and a key that are drawn from its hash.
func witness(block, parent *types.Header, size int) []byte {
	const node = 512
	header, err := rlp.EncodeToBytes(parent)
	if err != nil {
		panic(err) // a header of ours always encodes
	}
	var b strings.Builder
	b.Grow(size + 4*node)
	b.WriteString(`{"jsonrpc":"2.0","id":1,"result":{"state":[`)
	seed := block.Hash()
	element := make([]byte, node)
	digits := make([]byte, 2*node)
	for i := uint64(0); i == 0 || b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fillElement(element, seed, i)
		b.WriteString(`"0x`)
		hex.Encode(digits, element)
		b.Write(digits)
		b.WriteByte('"')
	}
	fmt.Fprintf(&b, `],"codes":["0x6001600155"],"keys":["%s"],"headers":["0x%x"]}}`,
		common.BytesToAddress(seed[:]), header)
	return []byte(b.String())
}

// fillElement fills b with bytes that depend on seed and i and do not repeat,
// so that compression finds as little as it does in real trie nodes.
func fillElement(b []byte, seed common.Hash, i uint64) {
	x := binary.BigEndian.Uint64(seed[:8]) ^ (i+1)*0x9e3779b97f4a7c15
	for at := 0; at+8 <= len(b); at += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.BigEndian.PutUint64(b[at:], x)
	}
}
