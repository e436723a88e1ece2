package send

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/load"
)

const testChain = 1337

// testTo is where calls go. A call's number is its value.
var testTo = common.Address{0xaa}

// source gives calls that can be told apart in a block.
type source struct{ data []byte }

func (s source) Call(account int, i uint64) load.Call {
	return load.Call{To: &testTo, Value: new(big.Int).SetUint64(i), Data: s.data, Gas: 21_000, Limit: 30_000}
}

// testAccounts are n accounts with known keys.
func testAccounts(t testing.TB, n int) []load.Account {
	t.Helper()
	var out []load.Account
	for i := range n {
		key, err := crypto.ToECDSA(crypto.Keccak256([]byte{byte(i), byte(i >> 8)}))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, load.Account{Key: key, Address: crypto.PubkeyToAddress(key.PublicKey)})
	}
	return out
}

// wording is how a kind of node refuses.
type wording struct {
	known, low, gap, full, replace, fee, funds string
}

var wordingsOf = map[string]wording{
	"geth": {"already known", "nonce too low: next nonce 5, tx nonce 3", "gapped-nonce tx from delegated accounts", "txpool is full",
		"replacement transaction underpriced", "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 2",
		"insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1"},
	"reth": {"already known", "nonce too low: next nonce 5, tx nonce 3", "nonce too high", "txpool is full",
		"replacement transaction underpriced", "max fee per gas less than block base fee", "insufficient funds for gas * price + value: have 0 want 1"},
	"anvil": {"Tx: [0x12] already Imported", "nonce too low", "Nonce too high", "txpool is full",
		"Tx: [0x12] insufficient gas price to replace existing transaction", "max fee per gas less than block base fee",
		"Insufficient funds for gas * price + value"},
	"ethrex": {"", "Invalid params: Nonce for account too low", "Invalid params: Mempool 95% full; rejecting gapped-nonce tx (nonce gap = 3)",
		"Invalid params: Mempool 100% full", "Invalid params: Attempted to replace a pooled transaction with an underpriced transaction",
		"Invalid params: max fee per gas too low", "Invalid params: Account does not have enough balance to cover the tx cost"},
}

// hostility says what a fake node does to its callers; shares are of requests,
// transactions or blocks, from 0 to 1.
type hostility struct {
	loseAnswer, loseRequest, shuffle, twice float64
	drop, reorg, lostInReorg, revert        float64
	poolLimit                               int
	rejectGaps, hidden, noBatches           bool
	noBlockReceipts                         bool
	maxBatch                                int
	// silent drops what it has accepted beyond poolLimit, without a word.
	// lazy makes a block only when a request with something new has come.
	silent, lazy bool
	// away are times at which nothing listens; the pool is gone afterwards.
	away []span
	// baseFee gives the base fee of a block.
	baseFee func(number uint64) uint64
	// funds are 0 for these.
	poor map[common.Address]bool
}

type span struct{ from, to time.Duration }

type fakeTx struct {
	*types.Transaction
	from common.Address
}

type fakeBlock struct {
	number       uint64
	hash, parent common.Hash
	baseFee      uint64
	txs          []fakeTx
}

// fake is a node in memory, with a chain, a pool and bad manners. Times are
// those of the bubble that it runs in.
type fake struct {
	mu     sync.Mutex
	rng    *rand.Rand
	start  time.Time
	signer types.Signer
	words  wording
	h      hostility
	chain  []fakeBlock
	pool   map[common.Address]map[uint64]fakeTx
	// full is the number of transactions that fit into a block.
	full    int
	chainID uint64
	code    string
	forks   uint64
	// fresh says that the pool has got something new.
	fresh bool
	// methods counts calls, most is the longest pool that there was.
	methods map[string]int
	most    int
}

func newFake(seed uint64, flavor string, h hostility) *fake {
	f := &fake{
		rng: rand.New(rand.NewPCG(seed, 1)), start: time.Now(), words: wordingsOf[flavor], h: h, chainID: testChain,
		signer: types.LatestSignerForChainID(big.NewInt(testChain)), pool: make(map[common.Address]map[uint64]fakeTx),
		full: 20, methods: make(map[string]int), code: "0x00",
	}
	f.chain = []fakeBlock{{number: 100, hash: common.Hash{1}, baseFee: f.baseFee(100)}}
	return f
}

func (f *fake) baseFee(number uint64) uint64 {
	if f.h.baseFee == nil {
		return 1000
	}
	return f.h.baseFee(number)
}

func (f *fake) chance(p float64) bool { return p > 0 && f.rng.Float64() < p }

func (f *fake) head() *fakeBlock { return &f.chain[len(f.chain)-1] }

func (f *fake) nonce(a common.Address, upTo uint64) uint64 {
	var n uint64
	for _, b := range f.chain {
		for _, tx := range b.txs {
			if b.number <= upTo && tx.from == a {
				n++
			}
		}
	}
	return n
}

func (f *fake) size() int {
	n := 0
	for _, txs := range f.pool {
		n += len(txs)
	}
	return n
}

// mine makes blocks with the given period until ctx ends.
func (f *fake) mine(ctx context.Context, period time.Duration) {
	for wait(ctx, period) {
		f.mu.Lock()
		if f.chance(f.h.reorg) && len(f.chain) > 4 {
			f.reorg(1 + f.rng.IntN(3))
		}
		f.lose()
		f.build()
		f.mu.Unlock()
	}
}

// lose drops some of the pool.
func (f *fake) lose() {
	for _, a := range f.senders() {
		for nonce := range f.pool[a] {
			if f.chance(f.h.drop) {
				delete(f.pool[a], nonce)
			}
		}
	}
}

// senders are those in the pool, in an order that the seed decides.
func (f *fake) senders() []common.Address {
	var out []common.Address
	for a := range f.pool {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b common.Address) int { return a.Cmp(b) })
	f.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (f *fake) build() {
	parent := f.head()
	b := fakeBlock{number: parent.number + 1, parent: parent.hash, baseFee: f.baseFee(parent.number + 1)}
	f.forks++
	b.hash = crypto.Keccak256Hash(parent.hash[:], new(big.Int).SetUint64(f.forks).Bytes())
	for _, a := range f.senders() {
		for nonce := f.nonce(a, parent.number); len(b.txs) < f.full; nonce++ {
			tx, ok := f.pool[a][nonce]
			if !ok || tx.GasFeeCap().Uint64() < b.baseFee {
				break
			}
			delete(f.pool[a], nonce)
			b.txs = append(b.txs, tx)
		}
	}
	f.chain = append(f.chain, b)
	for _, tx := range b.txs { // what can no longer be included leaves the pool
		for nonce := range f.pool[tx.from] {
			if nonce <= tx.Nonce() {
				delete(f.pool[tx.from], nonce)
			}
		}
	}
}

// reorg replaces the last depth blocks by one more than so many.
func (f *fake) reorg(depth int) {
	cut := f.chain[len(f.chain)-depth:]
	f.chain = f.chain[:len(f.chain)-depth]
	for _, b := range cut {
		for _, tx := range b.txs {
			if !f.chance(f.h.lostInReorg) && f.pool[tx.from] != nil {
				f.pool[tx.from][tx.Nonce()] = tx
			}
		}
	}
	for range depth {
		f.build()
	}
}

func (f *fake) URL() string { return "http://fake" }
func (f *fake) Close()      {}

// Post answers like a server across a network that is not quite well.
func (f *fake) Post(ctx context.Context, body, _ []byte) ([]byte, error) {
	f.mu.Lock()
	delay := time.Duration(1+f.rng.IntN(20)) * time.Millisecond
	now := time.Since(f.start)
	for _, s := range f.h.away {
		if now >= s.from && now < s.to {
			f.pool = make(map[common.Address]map[uint64]fakeTx)
			f.mu.Unlock()
			return nil, fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
		}
	}
	sends := strings.Contains(string(body), "eth_sendRawTransaction")
	lostBefore := sends && f.chance(f.h.loseRequest)
	lostAfter := sends && f.chance(f.h.loseAnswer)
	f.mu.Unlock()
	if !wait(ctx, delay) {
		return nil, ctx.Err()
	}
	if lostBefore {
		return nil, errors.New("connection reset before the request arrived")
	}
	raw := f.serve(body)
	if !wait(ctx, delay) {
		return nil, ctx.Err()
	}
	if lostAfter {
		return nil, errors.New("connection reset before the answer arrived")
	}
	return raw, nil
}

type fakeRequest struct {
	ID     int
	Method string
	Params []any
}

func (f *fake) serve(body []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		if f.h.lazy && f.fresh {
			f.fresh = false
			f.build()
		}
	}()
	if body[0] != '[' {
		var r fakeRequest
		if err := json.Unmarshal(body, &r); err != nil {
			return []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}`)
		}
		return []byte(f.answer(r))
	}
	var requests []fakeRequest
	if err := json.Unmarshal(body, &requests); err != nil || f.h.noBatches {
		return []byte(`{"error":{"code":-32600,"message":"invalid request"},"id":null,"jsonrpc":"2.0"}`)
	}
	if f.h.maxBatch > 0 && len(requests) > f.h.maxBatch {
		return []byte(`[{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"batch too large"}}]`)
	}
	if f.chance(f.h.twice) {
		for _, r := range requests { // a proxy that tries again
			f.answer(r)
		}
	}
	answers := make([]string, len(requests))
	for i, r := range requests {
		answers[i] = f.answer(r)
	}
	if f.chance(f.h.shuffle) {
		f.rng.Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
	}
	return []byte("[" + strings.Join(answers, " ,\n") + "]")
}

func (f *fake) answer(r fakeRequest) string {
	f.methods[r.Method]++
	result, err := f.do(r)
	if err != nil {
		text, _ := json.Marshal(err.Error())
		code := -32000
		if strings.Contains(err.Error(), "not found") {
			code = -32601
		}
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":%d,"message":%s}}`, r.ID, code, text)
	}
	return fmt.Sprintf(`{"result": %s, "id": %d, "jsonrpc":"2.0"}`, result, r.ID)
}

func (f *fake) do(r fakeRequest) (string, error) {
	param := func(i int) string { s, _ := r.Params[i].(string); return s }
	switch r.Method {
	case "eth_chainId":
		return fmt.Sprintf(`"0x%x"`, f.chainID), nil
	case "eth_blockNumber":
		return fmt.Sprintf(`"0x%x"`, f.head().number), nil
	case "eth_getCode":
		return `"` + f.code + `"`, nil
	case "eth_maxPriorityFeePerGas":
		return `"0x3"`, nil
	case "eth_getBalance":
		return `"0xde0b6b3a7640000"`, nil
	case "eth_getBlockByNumber":
		if b := f.at(param(0)); b != nil {
			return b.json(), nil
		}
		return "null", nil
	case "eth_getTransactionCount":
		return f.count(common.HexToAddress(param(0)), param(1)), nil
	case "eth_getBlockReceipts":
		if f.h.noBlockReceipts {
			return "", errors.New("the method eth_getBlockReceipts is not found")
		}
		b := f.at(param(0))
		if b == nil {
			return "null", nil
		}
		var out []string
		for _, tx := range b.txs {
			out = append(out, f.receipt(tx))
		}
		return "[" + strings.Join(out, ",") + "]", nil
	case "eth_getTransactionReceipt":
		if tx, _ := f.find(common.HexToHash(param(0))); tx.Transaction != nil {
			return f.receipt(tx), nil
		}
		return "null", nil
	case "eth_getTransactionByHash":
		return f.byHash(common.HexToHash(param(0))), nil
	case "txpool_status":
		return fmt.Sprintf(`{"pending":"0x%x","queued":"0x0"}`, f.size()), nil
	case "eth_sendRawTransaction":
		return f.take(param(0))
	}
	return "", fmt.Errorf("the method %s is not found", r.Method)
}

func (f *fake) at(number string) *fakeBlock {
	if number == "latest" {
		return f.head()
	}
	n, ok := parseQuantity([]byte(number))
	if !ok || n < f.chain[0].number || n > f.head().number {
		return nil
	}
	return &f.chain[n-f.chain[0].number]
}

func (b *fakeBlock) json() string {
	var hashes []string
	for _, tx := range b.txs {
		hashes = append(hashes, `"`+tx.Hash().Hex()+`"`)
	}
	return fmt.Sprintf(`{"baseFeePerGas":"0x%x","number":"0x%x","hash":"%s","parentHash":"%s","extra":{"x":[1,"}"]},"transactions":[%s]}`,
		b.baseFee, b.number, b.hash, b.parent, strings.Join(hashes, ", "))
}

func (f *fake) count(a common.Address, tag string) string {
	upTo := f.head().number
	if n, ok := parseQuantity([]byte(tag)); ok {
		upTo = n
	}
	nonce := f.nonce(a, upTo)
	if tag == "pending" {
		for {
			if _, ok := f.pool[a][nonce]; !ok {
				break
			}
			nonce++
		}
	}
	return fmt.Sprintf(`"0x%x"`, nonce)
}

// reverts decides by hash, so that a reorg does not change it.
func (f *fake) reverts(h common.Hash) bool { return float64(h[0]) < 256*f.h.revert }

func (f *fake) receipt(tx fakeTx) string {
	status := 1
	if f.reverts(tx.Hash()) {
		status = 0
	}
	return fmt.Sprintf(`{"logs":[],"transactionHash":"%s","gasUsed":"0x%x","status":"0x%x"}`, tx.Hash(), 21_000, status)
}

func (f *fake) find(h common.Hash) (fakeTx, *fakeBlock) {
	for i, b := range f.chain {
		for _, tx := range b.txs {
			if tx.Hash() == h {
				return tx, &f.chain[i]
			}
		}
	}
	return fakeTx{}, nil
}

func (f *fake) byHash(h common.Hash) string {
	if _, b := f.find(h); b != nil {
		return fmt.Sprintf(`{"hash":"%s","blockHash":"%s"}`, h, b.hash)
	}
	for _, txs := range f.pool {
		for _, tx := range txs {
			if tx.Hash() == h && !f.h.hidden {
				return fmt.Sprintf(`{"blockHash":null,"hash":"%s"}`, h)
			}
		}
	}
	return "null"
}

// take is eth_sendRawTransaction.
func (f *fake) take(text string) (string, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		return "", err
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(raw); err != nil {
		return "", err
	}
	from, err := types.Sender(f.signer, tx)
	if err != nil {
		return "", err
	}
	return `"` + tx.Hash().Hex() + `"`, f.admit(fakeTx{tx, from})
}

func (f *fake) admit(tx fakeTx) error {
	next := f.nonce(tx.from, f.head().number)
	old, replaces := f.pool[tx.from][tx.Nonce()]
	switch {
	case replaces && old.Hash() == tx.Hash():
		if f.words.known == "" {
			return nil
		}
		return errors.New(f.words.known)
	case f.h.poor[tx.from]:
		return errors.New(f.words.funds)
	case tx.Nonce() < next:
		return errors.New(f.words.low)
	case tx.GasFeeCap().Uint64() < f.head().baseFee:
		return errors.New(f.words.fee)
	case replaces && tx.GasFeeCap().Uint64() < old.GasFeeCap().Uint64()*11/10:
		return errors.New(f.words.replace)
	}
	if f.h.rejectGaps && !replaces {
		for n := next; n < tx.Nonce(); n++ {
			if _, ok := f.pool[tx.from][n]; !ok {
				return errors.New(f.words.gap)
			}
		}
	}
	if !f.h.silent && f.h.poolLimit > 0 && !replaces && f.size() >= f.h.poolLimit && !(f.executable(tx) && f.evict()) {
		return errors.New(f.words.full)
	}
	if f.pool[tx.from] == nil {
		f.pool[tx.from] = make(map[uint64]fakeTx)
	}
	f.fresh = true
	f.pool[tx.from][tx.Nonce()] = tx
	f.most = max(f.most, f.size())
	if f.h.silent && f.size() > f.h.poolLimit && !f.evict() {
		delete(f.pool[tx.from], tx.Nonce())
	}
	return nil
}

// executable says that no nonce is missing before tx's.
func (f *fake) executable(tx fakeTx) bool {
	for n := f.nonce(tx.from, f.head().number); n < tx.Nonce(); n++ {
		if _, ok := f.pool[tx.from][n]; !ok {
			return false
		}
	}
	return true
}

// evict makes room in a full pool, as nodes do, at the cost of what cannot be
// included.
func (f *fake) evict() bool {
	for _, a := range f.senders() {
		for nonce, tx := range f.pool[a] {
			if !f.executable(tx) {
				delete(f.pool[a], nonce)
				return true
			}
		}
	}
	return false
}

// truth is what the chain says of the accounts.
type truth struct {
	included, reverted, gas int64
	calls                   map[common.Address]map[uint64]int
}

func (f *fake) truth(accounts []load.Account) truth {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := truth{calls: make(map[common.Address]map[uint64]int)}
	for _, a := range accounts {
		t.calls[a.Address] = make(map[uint64]int)
	}
	for _, b := range f.chain {
		for _, tx := range b.txs {
			if t.calls[tx.from] == nil || *tx.To() != testTo {
				continue
			}
			t.included++
			t.gas += 21_000
			if f.reverts(tx.Hash()) {
				t.reverted++
			}
			t.calls[tx.from][tx.Value().Uint64()]++
		}
	}
	return t
}

// foreignTx is a transaction of a's that no workload has made.
func foreignTx(t *testing.T, f *fake, a load.Account, nonce uint64) fakeTx {
	t.Helper()
	to := common.Address{0xbb}
	fees := load.Fees{Cap: big.NewInt(1_000_000), Tip: big.NewInt(1)}
	signed, err := load.Sign(f.signer, a, nonce, load.Call{To: &to, Value: new(big.Int), Limit: 30_000}, fees)
	if err != nil {
		t.Fatal(err)
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(signed.Raw); err != nil {
		t.Fatal(err)
	}
	return fakeTx{tx, a.Address}
}
