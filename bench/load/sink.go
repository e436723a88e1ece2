package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// sinkMode is the first argument of this program as the sink.
const sinkMode = "serve-sink"

// The sink's chain: a block whenever so many transactions have come, and at
// least each blockTime if there are any. It remembers the last blocks.
const (
	blockTime  = 250 * time.Millisecond
	remembered = 256
	sinkChain  = 1337
)

// sinkBlock is a block as far as anybody asks.
type sinkBlock struct {
	number uint64
	txs    []common.Hash
}

// sink is a JSON-RPC server that takes every transaction and puts it into the
// next block. It looks at nothing but the bytes that it needs: the ids count
// from 1, each transaction is hashed and not checked.
type sink struct {
	mu     sync.Mutex
	blocks []sinkBlock
	open   []common.Hash
	size   int
	taken  uint64
	pool   sync.Pool
}

func newSink(size int) *sink {
	return &sink{
		size:   size,
		blocks: []sinkBlock{{}},
		pool:   sync.Pool{New: func() any { return new(work) }},
	}
}

// work is memory that requests take turns to use.
type work struct {
	body   bytes.Buffer
	raw    []byte
	out    []byte
	hashes []common.Hash
	keccak crypto.KeccakState
}

// sendMark stands before each transaction of a request.
var sendMark = []byte(`"eth_sendRawTransaction","params":["0x`)

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k := s.pool.Get().(*work)
	defer s.pool.Put(k)
	k.body.Reset()
	if _, err := k.body.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := k.body.Bytes()
	if bytes.Contains(body, sendMark) {
		k.out = s.takeAll(k, body)
	} else {
		k.out = s.answerAll(k.out[:0], body)
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(k.out))}
	w.Write(k.out)
}

// takeAll answers a request of transactions, one or a batch.
func (s *sink) takeAll(k *work, body []byte) []byte {
	out := k.out[:0]
	k.hashes = k.hashes[:0]
	if k.keccak == nil {
		k.keccak = crypto.NewKeccakState()
	}
	batch := body[0] == '['
	if batch {
		out = append(out, '[')
	}
	for {
		at := bytes.Index(body, sendMark)
		if at < 0 {
			break
		}
		body = body[at+len(sendMark):]
		end := bytes.IndexByte(body, '"')
		k.raw = append(k.raw[:0], make([]byte, end/2)...)
		hex.Decode(k.raw, body[:end])
		body = body[end:]
		var h common.Hash
		k.keccak.Reset()
		k.keccak.Write(k.raw)
		k.keccak.Read(h[:])
		k.hashes = append(k.hashes, h)
		if len(k.hashes) > 1 {
			out = append(out, ',')
		}
		out = append(out, `{"jsonrpc":"2.0","id":`...)
		out = strconv.AppendInt(out, int64(len(k.hashes)), 10)
		out = append(out, `,"result":"0x`...)
		out = hex.AppendEncode(out, h[:])
		out = append(out, `"}`...)
	}
	if batch {
		out = append(out, ']')
	}
	s.mu.Lock()
	s.open = append(s.open, k.hashes...)
	s.taken += uint64(len(k.hashes))
	if len(s.open) >= s.size {
		s.seal()
	}
	s.mu.Unlock()
	return out
}

// seal makes a block of what has come.
func (s *sink) seal() {
	if len(s.open) == 0 {
		return
	}
	s.blocks = append(s.blocks, sinkBlock{number: s.head() + 1, txs: s.open})
	s.open = make([]common.Hash, 0, s.size+100)
	if len(s.blocks) > remembered {
		s.blocks = append(s.blocks[:0], s.blocks[len(s.blocks)-remembered/2:]...)
	}
}

func (s *sink) head() uint64 { return s.blocks[len(s.blocks)-1].number }

// at is the block with the given number, which must be remembered.
func (s *sink) at(text string) (sinkBlock, bool) {
	if text == "latest" {
		return s.blocks[len(s.blocks)-1], true
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	if err != nil || n < s.blocks[0].number || n > s.head() {
		return sinkBlock{}, false
	}
	return s.blocks[n-s.blocks[0].number], true
}

// answerAll answers everything else, which is rare enough to be decoded.
func (s *sink) answerAll(out, body []byte) []byte {
	type request struct {
		ID     int
		Method string
		Params []any
	}
	if body[0] != '[' {
		var r request
		if json.Unmarshal(body, &r) != nil {
			return append(out, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}`...)
		}
		return s.answer(out, r.ID, r.Method, r.Params)
	}
	var requests []request
	if json.Unmarshal(body, &requests) != nil {
		return append(out, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}`...)
	}
	out = append(out, '[')
	for i, r := range requests {
		if i > 0 {
			out = append(out, ',')
		}
		out = s.answer(out, r.ID, r.Method, r.Params)
	}
	return append(out, ']')
}

func (s *sink) answer(out []byte, id int, method string, params []any) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	param := func(i int) string {
		if i < len(params) {
			text, _ := params[i].(string)
			return text
		}
		return ""
	}
	start := len(out)
	out = fmt.Appendf(out, `{"jsonrpc":"2.0","id":%d,"result":`, id)
	switch method {
	case "eth_chainId":
		out = fmt.Appendf(out, `"0x%x"`, sinkChain)
	case "eth_blockNumber":
		out = fmt.Appendf(out, `"0x%x"`, s.head())
	case "eth_getTransactionCount":
		// Who sends is not known: that would cost more than signing does. Only
		// the first nonces can be told, and later ones are refused.
		if param(1) != "pending" || s.taken > 0 {
			return appendError(out[:start], id, method)
		}
		out = append(out, `"0x0"`...)
	case "eth_getBlockByNumber":
		out = s.appendBlock(out, param(0))
	case "eth_getBlockReceipts":
		out = s.appendReceipts(out, param(0))
	default:
		return appendError(out[:start], id, method)
	}
	return append(out, '}')
}

func appendError(out []byte, id int, method string) []byte {
	return fmt.Appendf(out, `{"jsonrpc":"2.0","id":%d,"error":{"code":-32601,"message":"the sink has no %s"}}`, id, method)
}

// hashOf is the hash of the sink's block with a number.
func hashOf(number uint64) common.Hash {
	var h common.Hash
	h[0] = 0xb1
	binary.BigEndian.PutUint64(h[24:], number)
	return h
}

func (s *sink) appendBlock(out []byte, number string) []byte {
	b, ok := s.at(number)
	if !ok {
		return append(out, "null"...)
	}
	out = fmt.Appendf(out, `{"number":"0x%x","hash":"%s","parentHash":"%s","baseFeePerGas":"0x3b9aca00","gasUsed":"0x%x","logsBloom":"0x%s","transactions":[`,
		b.number, hashOf(b.number), hashOf(b.number-1), 21_000*len(b.txs), emptyBloom)
	for i, h := range b.txs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `"0x`...)
		out = hex.AppendEncode(out, h[:])
		out = append(out, '"')
	}
	return append(out, "]}"...)
}

// emptyBloom is most of what a receipt weighs.
var emptyBloom = strings.Repeat("0", 512)

// appendReceipts has all that a receipt of geth's has, as long as it is there.
func (s *sink) appendReceipts(out []byte, number string) []byte {
	b, ok := s.at(number)
	if !ok {
		return append(out, "null"...)
	}
	const blank = `0x0000000000000000000000000000000000000000`
	head := fmt.Appendf(nil, `{"blockHash":"%s","blockNumber":"0x%x","contractAddress":null,"cumulativeGasUsed":"0x5208",`+
		`"effectiveGasPrice":"0x3b9aca01","from":"%s","gasUsed":"0x5208","logs":[],"logsBloom":"0x%s","status":"0x1","to":"%s",`+
		`"transactionHash":"0x`, hashOf(b.number), b.number, blank, emptyBloom, blank)
	out = append(out, '[')
	for i, h := range b.txs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, head...)
		out = hex.AppendEncode(out, h[:])
		out = append(out, `","transactionIndex":"0x`...)
		out = strconv.AppendInt(out, int64(i), 16)
		out = append(out, `","type":"0x2"}`...)
	}
	return append(out, ']')
}

// serveSink is the sink's process: its first line is its address, its last
// one how many transactions it took.
func serveSink(ctx context.Context, size string, out io.Writer) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	s := newSink(n)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s}
	go func() {
		ticker := time.NewTicker(blockTime)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				server.Close()
				return
			case <-ticker.C:
				s.mu.Lock()
				s.seal()
				s.mu.Unlock()
			}
		}
	}()
	fmt.Fprintln(out, "http://"+l.Addr().String())
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(out, s.taken)
	return nil
}

// process is the sink as seen by the generator.
type process struct {
	cmd   *exec.Cmd
	url   string
	lines *bufio.Reader
}

func startSink(ctx context.Context, block int) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, sinkMode, strconv.Itoa(block))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, lines: bufio.NewReader(out)}
	if p.url, err = p.line(); err != nil {
		cmd.Process.Kill()
		return nil, fmt.Errorf("starting the sink: %w", err)
	}
	return p, nil
}

func (p *process) line() (string, error) {
	line, err := p.lines.ReadString('\n')
	return strings.TrimSpace(line), err
}

// stop ends the sink and returns how many transactions it took and the
// processor time that it used.
func (p *process) stop() (taken uint64, used time.Duration, err error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, 0, err
	}
	last, err := p.line()
	if err != nil {
		return 0, 0, fmt.Errorf("the sink's last line: %w", err)
	}
	if taken, err = strconv.ParseUint(last, 10, 64); err != nil {
		return 0, 0, err
	}
	if err := p.cmd.Wait(); err != nil {
		return 0, 0, err
	}
	return taken, p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), nil
}
