package send

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/ethrpc"
)

// errForm is an answer that is not what JSON-RPC says it must be.
var errForm = errors.New("the answer is not JSON-RPC")

// scanner walks JSON text and hands out parts of it, without building values:
// a block's receipts are megabytes of which sixty bytes each are wanted. It
// finds its way through any valid JSON; of invalid JSON it may accept some,
// but it never reads past the end.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// take consumes c, with the space before it.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// text consumes a string and returns what stands between its quotes, escapes
// as they are.
func (s *scanner) text() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	start := s.i
	for {
		quote := bytes.IndexByte(s.b[s.i:], '"')
		if quote < 0 {
			return nil, false
		}
		s.i += quote + 1
		end := s.i - 1
		// The quote ends the string unless an odd number of backslashes
		// stands before it.
		slashes := 0
		for end-slashes > start && s.b[end-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return s.b[start:end], true
		}
	}
}

// value consumes one value and returns its text.
func (s *scanner) value() ([]byte, bool) {
	s.space()
	start := s.i
	for depth := 0; s.i < len(s.b); {
		switch c := s.b[s.i]; c {
		case '"':
			if _, ok := s.text(); !ok {
				return nil, false
			}
		case '{', '[':
			depth++
			s.i++
			continue
		case '}', ']':
			if depth == 0 {
				return nil, false
			}
			depth--
			s.i++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return nil, false
			}
			s.i++
			continue
		default:
			for s.i < len(s.b) && !delimits(s.b[s.i]) {
				s.i++
			}
		}
		if depth == 0 {
			return s.b[start:s.i], true
		}
	}
	return nil, false
}

// delimits says whether c ends a number or a literal.
func delimits(c byte) bool {
	switch c {
	case ',', ':', '{', '}', '[', ']', '"', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}

// object walks the members of an object until f returns false.
func (s *scanner) object(f func(key, value []byte) bool) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		key, ok := s.text()
		if !ok || !s.take(':') {
			return false
		}
		value, ok := s.value()
		if !ok {
			return false
		}
		if !f(key, value) {
			return true
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// array walks the elements of an array until f returns false.
func (s *scanner) array(f func(value []byte) bool) bool {
	if !s.take('[') {
		return false
	}
	if s.take(']') {
		return true
	}
	for {
		value, ok := s.value()
		if !ok {
			return false
		}
		if !f(value) {
			return true
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// answer is the outcome of one call of a batch. Its parts point into the text
// that was parsed.
type answer struct {
	// answered says that there is a result or an error at all.
	answered bool
	result   []byte
	// failure is the error object, nil if there is none.
	failure []byte
	code    int
	// message is the text of the error, escapes as they are.
	message []byte
}

// err is the error that the node answered with, nil for a result.
func (a *answer) err() error {
	switch {
	case !a.answered:
		return errors.New("no answer in the batch")
	case a.failure != nil:
		return &ethrpc.Error{Code: a.code, Message: unescape(a.message)}
	}
	return nil
}

// parseAnswers puts the answers to calls with the ids 1 to len(out) where they
// belong. A single object in place of an array is an answer to all of them:
// nodes refuse a batch as a whole that way.
func parseAnswers(raw []byte, out []answer) error {
	clear(out)
	s := scanner{b: raw}
	s.space()
	if s.i < len(s.b) && s.b[s.i] == '{' {
		id, a, ok := parseAnswer(raw)
		if !ok {
			return errForm
		}
		for i := range out {
			if a.failure != nil || id == i+1 {
				out[i] = a
			}
		}
		return nil
	}
	form := true
	ok := s.array(func(value []byte) bool {
		var id int
		var a answer
		if id, a, form = parseAnswer(value); !form {
			return false
		}
		if id >= 1 && id <= len(out) {
			out[id-1] = a
		}
		return true
	})
	if !ok || !form {
		return errForm
	}
	return nil
}

// parseAnswer takes one JSON-RPC response apart. An id that is not a small
// number is 0.
func parseAnswer(raw []byte) (id int, a answer, ok bool) {
	s := scanner{b: raw}
	ok = s.object(func(key, value []byte) bool {
		switch string(key) {
		case "id":
			id = parseInt(value)
		case "result":
			a.result, a.answered = value, true
		case "error":
			if string(value) != "null" {
				a.failure, a.answered = value, true
			}
		}
		return true
	})
	if ok && a.failure != nil {
		inner := scanner{b: a.failure}
		// An error that is not an object has no code and says what it is.
		if !inner.object(func(key, value []byte) bool {
			switch string(key) {
			case "code":
				a.code = parseInt(value)
			case "message":
				a.message = unquoted(value)
			}
			return true
		}) {
			a.message = unquoted(a.failure)
		}
	}
	return id, a, ok
}

// parseInt reads a small decimal number, 0 if it is none.
func parseInt(b []byte) int {
	const longest = 10
	if len(b) > longest {
		return 0
	}
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return 0
	}
	return n
}

// unquoted is what stands between the quotes of a JSON string, or the text
// itself if it is none.
func unquoted(b []byte) []byte {
	if len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"' {
		return b[1 : len(b)-1]
	}
	return b
}

// unescape resolves the escapes of a JSON string's inside, for people to read.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, b...), '"'), &s) != nil {
		return string(b)
	}
	return s
}

// parseQuantity reads a JSON-RPC quantity, a JSON string of a hexadecimal
// number. What does not fit is the largest number there is: a base fee beyond
// 18 ether is as good as any other that nobody pays.
func parseQuantity(b []byte) (uint64, bool) {
	b = unquoted(b)
	if len(b) < 3 || b[0] != '0' || b[1] != 'x' && b[1] != 'X' {
		return 0, false
	}
	var n uint64
	over := false
	for _, c := range b[2:] {
		d, ok := digit(c)
		if !ok {
			return 0, false
		}
		over = over || n>>60 != 0
		n = n<<4 | uint64(d)
	}
	if over {
		n = math.MaxUint64
	}
	return n, true
}

// parseHash reads a JSON string of 32 bytes in hexadecimal.
func parseHash(b []byte) (h common.Hash, ok bool) {
	b = unquoted(b)
	if len(b) != 2+2*len(h) || b[0] != '0' || b[1] != 'x' && b[1] != 'X' {
		return h, false
	}
	for i := range h {
		high, ok1 := digit(b[2+2*i])
		low, ok2 := digit(b[3+2*i])
		if !ok1 || !ok2 {
			return common.Hash{}, false
		}
		h[i] = high<<4 | low
	}
	return h, true
}

func digit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// block is what the follower wants of a block.
type block struct {
	number       uint64
	hash, parent common.Hash
	// baseFee is in wei per gas, 0 where blocks have none.
	baseFee uint64
	txs     []common.Hash
}

// parseBlock reads a block with the hashes of its transactions. ok is false
// for null and for what is no block.
func parseBlock(raw []byte) (b block, ok bool) {
	const number, hash, parent, txs = 1, 2, 4, 8
	seen := 0
	mark := func(bit int, fine bool) bool {
		if fine {
			seen |= bit
		}
		return fine
	}
	s := scanner{b: raw}
	ok = s.object(func(key, value []byte) bool {
		var fine bool
		switch string(key) {
		case "number":
			b.number, fine = parseQuantity(value)
			return mark(number, fine)
		case "hash":
			b.hash, fine = parseHash(value)
			return mark(hash, fine)
		case "parentHash":
			b.parent, fine = parseHash(value)
			return mark(parent, fine)
		case "baseFeePerGas":
			b.baseFee, _ = parseQuantity(value)
		case "transactions":
			b.txs, fine = parseHashes(value)
			return mark(txs, fine)
		}
		return true
	})
	return b, ok && seen == number|hash|parent|txs
}

func parseHashes(raw []byte) (hashes []common.Hash, ok bool) {
	const each = 69 // bytes that a hash takes, with its quotes and a comma
	hashes = make([]common.Hash, 0, len(raw)/each+1)
	s := scanner{b: raw}
	fine := true
	ok = s.array(func(value []byte) bool {
		var h common.Hash
		if h, fine = parseHash(value); fine {
			hashes = append(hashes, h)
		}
		return fine
	})
	return hashes, ok && fine
}

// receipt is what the follower wants of a receipt.
type receipt struct {
	tx      common.Hash
	gasUsed uint64
	// reverted says that the transaction failed, for whatever reason.
	reverted bool
}

// parseReceipts calls f with each receipt of an array.
func parseReceipts(raw []byte, f func(receipt)) bool {
	s := scanner{b: raw}
	fine := true
	ok := s.array(func(value []byte) bool {
		var r receipt
		if r, fine = parseReceipt(value); fine {
			f(r)
		}
		return fine
	})
	return ok && fine
}

// parseReceipt reads one receipt. Those from before Byzantium have no status
// and count as not reverted.
func parseReceipt(raw []byte) (r receipt, ok bool) {
	var hash, gas bool
	s := scanner{b: raw}
	ok = s.object(func(key, value []byte) bool {
		switch string(key) {
		case "transactionHash":
			r.tx, hash = parseHash(value)
		case "gasUsed":
			r.gasUsed, gas = parseQuantity(value)
		case "status":
			n, fine := parseQuantity(value)
			r.reverted = fine && n == 0
		}
		return true
	})
	return r, ok && hash && gas
}
