package devnet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/stateless"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/miner"
	gethnode "github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// smallGenesis has the forks and the system contracts of the local genesis and
// few accounts, so that a node of it starts in no time.
func smallGenesis() *core.Genesis {
	alloc := types.GenesisAlloc{}
	for address, code := range map[common.Address][]byte{
		params.BeaconRootsAddress:        params.BeaconRootsCode,
		params.HistoryStorageAddress:     params.HistoryStorageCode,
		params.WithdrawalQueueAddress:    params.WithdrawalQueueCode,
		params.ConsolidationQueueAddress: params.ConsolidationQueueCode,
	} {
		alloc[address] = types.Account{Nonce: 1, Code: code, Balance: new(big.Int)}
	}
	for i := range 40 {
		_, address := genesis.Account(i)
		alloc[address] = types.Account{Balance: big.NewInt(params.Ether)}
	}
	alloc[reader] = types.Account{Balance: new(big.Int), Code: readerCode, Storage: map[common.Hash]common.Hash{
		common.BigToHash(big.NewInt(1)): common.BigToHash(big.NewInt(7)),
		common.BigToHash(big.NewInt(2)): common.BigToHash(big.NewInt(8)),
	}}
	alloc[bomb] = types.Account{Balance: big.NewInt(5), Code: bombCode}
	return &core.Genesis{
		Config: genesis.LocalConfig(), Timestamp: genesis.Timestamp, GasLimit: genesis.GasLimit,
		Difficulty: new(big.Int), BaseFee: big.NewInt(genesis.BaseFee), Alloc: alloc,
	}
}

var (
	// reader reads slot 1, clears slot 2, stores BLOCKHASH(NUMBER-3) in slot
	// 3, looks at the balance of an account that does not exist, and reverts
	// when it is given any data.
	reader     = common.HexToAddress("0x1000000000000000000000000000000000000001")
	stranger   = common.HexToAddress("0x9999999999999999999999999999999999999999")
	readerCode = slices.Concat(
		[]byte{byte(vm.PUSH1), 1, byte(vm.SLOAD), byte(vm.POP)},
		[]byte{byte(vm.PUSH1), 0, byte(vm.PUSH1), 2, byte(vm.SSTORE)},
		[]byte{byte(vm.PUSH1), 3, byte(vm.NUMBER), byte(vm.SUB), byte(vm.BLOCKHASH), byte(vm.PUSH1), 3, byte(vm.SSTORE)},
		[]byte{byte(vm.PUSH20)}, stranger[:], []byte{byte(vm.BALANCE), byte(vm.POP)},
		[]byte{byte(vm.CALLDATASIZE), byte(vm.PUSH1), 0, byte(vm.DUP1), byte(vm.DUP3), byte(vm.PUSH1), 61, byte(vm.JUMPI), byte(vm.STOP)},
		bytes.Repeat([]byte{byte(vm.JUMPDEST)}, 20),
		[]byte{byte(vm.REVERT)},
	)
	// bomb sends its balance away by SELFDESTRUCT.
	bomb     = common.HexToAddress("0x2000000000000000000000000000000000000002")
	bombCode = slices.Concat([]byte{byte(vm.PUSH20)}, common.HexToAddress("0xabcd").Bytes(), []byte{byte(vm.SELFDESTRUCT)})
	// bornDead destroys itself in the transaction that makes it.
	bornDead = bombCode
	// born deploys one byte of code.
	born = []byte{byte(vm.PUSH1), 0, byte(vm.PUSH1), 0, byte(vm.MSTORE8), byte(vm.PUSH1), 1, byte(vm.PUSH1), 0, byte(vm.RETURN)}
)

// start starts a node that is closed with the test.
func start(t testing.TB, set func(*Options)) *Node {
	t.Helper()
	o := Options{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0", Genesis: smallGenesis()}
	if set != nil {
		set(&o)
	}
	n, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// consensus is a consensus client as small as it can be.
type consensus struct {
	t      testing.TB
	node   *Node
	client *rpc.Client
	nonces map[int]uint64
	// pending are the transactions of the next block, in order.
	pending []*types.Transaction
}

func attach(t testing.TB, n *Node) *consensus {
	t.Helper()
	c := attachTo(t, n.Engine(), n.JWTSecret())
	c.node = n
	return c
}

// attachTo attaches to a node in another process: it can be delivered to, but
// not build.
func attachTo(t testing.TB, url, jwtSecret string) *consensus {
	t.Helper()
	secret, err := ethrpc.ReadSecret(jwtSecret)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rpc.DialOptions(t.Context(), url, rpc.WithHTTPAuth(gethnode.NewJWTAuth([32]byte(secret.Key()))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &consensus{t: t, client: client, nonces: map[int]uint64{}}
}

// build makes a block of the transactions that were sent, on the node's head.
func (c *consensus) build(withdrawals ...*types.Withdrawal) *engine.ExecutionPayloadEnvelope {
	c.t.Helper()
	head := c.node.chain().CurrentBlock()
	beacon := common.BigToHash(head.Number)
	block, built, err := c.node.backend.Miner().BuildTestingPayload(&miner.BuildPayloadArgs{
		Parent: head.Hash(), Timestamp: head.Time + 12, FeeRecipient: common.HexToAddress("0xfee"),
		Withdrawals: append(types.Withdrawals{}, withdrawals...), BeaconRoot: &beacon, Version: engine.PayloadV3,
	}, c.pending, len(c.pending) == 0, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if got := len(block.Transactions()); got != len(c.pending) {
		c.t.Fatalf("built a block of %d transactions, want %d", got, len(c.pending))
	}
	c.pending = nil
	return built
}

func forkchoice(head common.Hash) engine.ForkchoiceStateV1 {
	return engine.ForkchoiceStateV1{HeadBlockHash: head, SafeBlockHash: head}
}

// deliver imports a block and makes it the head.
func (c *consensus) deliver(b *engine.ExecutionPayloadEnvelope) {
	c.t.Helper()
	status := c.newPayload(b)
	if status.Status != engine.VALID || status.Witness != nil {
		c.t.Fatalf("newPayload answers %+v", status)
	}
	var chosen engine.ForkChoiceResponse
	c.call(&chosen, "engine_forkchoiceUpdatedV3", forkchoice(b.ExecutionPayload.BlockHash), nil)
	if chosen.PayloadStatus.Status != engine.VALID {
		c.t.Fatalf("forkchoiceUpdated answers %+v", chosen.PayloadStatus)
	}
}

func (c *consensus) newPayload(b *engine.ExecutionPayloadEnvelope) engine.PayloadStatusV1 {
	c.t.Helper()
	requests := []hexutil.Bytes{}
	for _, r := range b.Requests {
		requests = append(requests, r)
	}
	root := common.BigToHash(new(big.Int).SetUint64(b.ExecutionPayload.Number - 1))
	var status engine.PayloadStatusV1
	c.call(&status, "engine_newPayloadV4", b.ExecutionPayload, []common.Hash{}, &root, requests)
	return status
}

func (c *consensus) call(result any, method string, args ...any) {
	c.t.Helper()
	if err := c.client.CallContext(c.t.Context(), result, method, args...); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

// send puts a transaction of sender i into the next block.
func (c *consensus) send(i int, to *common.Address, value int64, gas uint64, data []byte) {
	c.t.Helper()
	key, _ := genesis.Account(i)
	config := c.node.chain().Config()
	tx, err := types.SignNewTx(key, types.LatestSigner(config), &types.DynamicFeeTx{
		ChainID: config.ChainID, Nonce: c.nonces[i], To: to, Value: big.NewInt(value), Gas: gas, Data: data,
		GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(10 * params.GWei),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.nonces[i]++
	c.pending = append(c.pending, tx)
}

// blocks drives a few blocks with everything in them that a witness has to
// prove, and returns them in order.
func (c *consensus) blocks() []*engine.ExecutionPayloadEnvelope {
	c.t.Helper()
	var all []*engine.ExecutionPayloadEnvelope
	next := func(withdrawals ...*types.Withdrawal) {
		c.t.Helper()
		b := c.build(withdrawals...)
		c.deliver(b)
		all = append(all, b)
	}
	next()
	_, twenty := genesis.Account(20)
	fresh := common.HexToAddress("0x7777")
	c.send(0, &twenty, 1, 21_000, nil)
	c.send(1, &fresh, 2, 21_000, nil)         // makes an account
	c.send(2, &stranger, 0, 21_000, nil)      // touches one that stays away
	c.send(3, nil, 0, 100_000, born)          // a contract
	c.send(4, nil, 1, 100_000, bornDead)      // one that does not outlive its birth
	c.send(5, &bomb, 0, 100_000, nil)         // SELFDESTRUCT of an old contract
	c.send(6, &reader, 0, 200_000, []byte{1}) // reverts after it has touched
	next(&types.Withdrawal{Index: 1, Validator: 2, Address: common.HexToAddress("0x5555"), Amount: 3})
	next(&types.Withdrawal{Index: 2, Validator: 2, Address: common.HexToAddress("0x5555"), Amount: 4})
	c.send(7, &reader, 0, 200_000, nil) // BLOCKHASH, a slot cleared, one read
	c.send(8, &reader, 0, 30_000, nil)  // out of gas
	next()
	next()
	return all
}

// plainClient is an HTTP client that does not ask for compression, which that
// of the standard library does unasked.
func plainClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableCompression: true}}
}

// post sends a body to the public JSON-RPC and returns the answer's.
func post(t testing.TB, n *Node, body string) []byte {
	t.Helper()
	client := plainClient()
	defer client.CloseIdleConnections()
	res, err := client.Post(n.RPC(), "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: HTTP status %d: %s", body, res.StatusCode, raw)
	}
	return raw
}

func ask(t testing.TB, n *Node, number uint64) []byte {
	t.Helper()
	return post(t, n, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"debug_executionWitness","params":["%#x"]}`, number))
}

// wire is a JSON-RPC answer with a witness.
type wire struct {
	ID     json.RawMessage `json:"id"`
	Result *struct {
		State, Codes, Keys, Headers []hexutil.Bytes
	} `json:"result"`
	Error *rpcError `json:"error"`
}

func decode(t testing.TB, raw []byte) wire {
	t.Helper()
	var w wire
	if err := json.Unmarshal(raw, &w); err != nil {
		t.Fatalf("%v in %.200s", err, raw)
	}
	return w
}

// verify executes a block on nothing but its witness.
func verify(t testing.TB, n *Node, number uint64, w wire) {
	t.Helper()
	if w.Result == nil {
		t.Fatalf("block %d: no witness: %v", number, w.Error)
	}
	block := n.chain().GetBlockByNumber(number)
	ext := &stateless.ExtWitness{State: w.Result.State, Codes: w.Result.Codes}
	for _, raw := range w.Result.Headers {
		header := new(types.Header)
		if err := rlp.DecodeBytes(raw, header); err != nil {
			t.Fatalf("block %d: header: %v", number, err)
		}
		ext.Headers = append(ext.Headers, header)
	}
	witness := new(stateless.Witness)
	if err := witness.FromExtWitness(ext); err != nil {
		t.Fatal(err)
	}
	if witness.Headers[0].Hash() != block.ParentHash() {
		t.Errorf("block %d: the newest header is not the parent's", number)
	}
	header := block.Header()
	header.Root, header.ReceiptHash = common.Hash{}, common.Hash{}
	stateRoot, receiptRoot, err := core.ExecuteStateless(t.Context(), n.chain().Config(), vm.Config{}, types.NewBlockWithHeader(header).WithBody(*block.Body()), witness)
	if err != nil {
		t.Fatalf("block %d: %v", number, err)
	}
	if stateRoot != block.Root() || receiptRoot != block.ReceiptHash() {
		t.Errorf("block %d: executed on its witness it has other roots", number)
	}
}

// metric reads one metric of a node.
func metric(t testing.TB, n *Node, name string) float64 {
	t.Helper()
	page := metricsPage(t, n)
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no metric %s in\n%s", name, page)
	return 0
}
