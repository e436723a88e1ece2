package stateless

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	gethstateless "github.com/ethereum/go-ethereum/core/stateless"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/witness"
)

// The accounts of the small chain, apart from the crowd.
var (
	prober   = common.HexToAddress("0x0100000000000000000000000000000000000001")
	measured = common.HexToAddress("0x0100000000000000000000000000000000000002")
	absent   = common.HexToAddress("0x0100000000000000000000000000000000000003")
	fresh    = common.HexToAddress("0x0100000000000000000000000000000000000004")
	paid     = common.HexToAddress("0x0100000000000000000000000000000000000005")
)

// proberCode reads and writes in each of the ways that need something of a
// witness: BLOCKHASH of the third ancestor, BALANCE of an account that is not
// there, EXTCODESIZE of another contract, SLOAD of a slot that is there and of
// one that is not, SSTORE that deletes, which pulls neighbors up, and SSTORE
// that creates.
func proberCode() []byte {
	code := []byte{
		byte(vm.PUSH1), 3, byte(vm.NUMBER), byte(vm.SUB), byte(vm.BLOCKHASH), byte(vm.POP),
		byte(vm.PUSH1), 30, byte(vm.SLOAD), byte(vm.POP),
		byte(vm.PUSH1), 200, byte(vm.SLOAD), byte(vm.POP),
		byte(vm.PUSH1), 9, byte(vm.PUSH1), 201, byte(vm.SSTORE),
	}
	code = append(append(append(code, byte(vm.PUSH20)), absent[:]...), byte(vm.BALANCE), byte(vm.POP))
	code = append(append(append(code, byte(vm.PUSH20)), measured[:]...), byte(vm.EXTCODESIZE), byte(vm.POP))
	for slot := byte(1); slot <= 12; slot++ {
		code = append(code, byte(vm.PUSH1), 0, byte(vm.PUSH1), slot, byte(vm.SSTORE))
	}
	return code
}

// smallGenesis has every fork that the local chain has, a crowd of accounts
// so that paths in the trie have some length, and the prober.
func smallGenesis(sender common.Address) *core.Genesis {
	alloc := types.GenesisAlloc{
		sender:   {Balance: big.NewInt(params.Ether)},
		measured: {Code: []byte{byte(vm.STOP)}, Balance: new(big.Int)},
		prober:   {Code: proberCode(), Balance: new(big.Int), Storage: map[common.Hash]common.Hash{}},

		params.BeaconRootsAddress:        {Nonce: 1, Code: params.BeaconRootsCode, Balance: new(big.Int)},
		params.HistoryStorageAddress:     {Nonce: 1, Code: params.HistoryStorageCode, Balance: new(big.Int)},
		params.WithdrawalQueueAddress:    {Nonce: 1, Code: params.WithdrawalQueueCode, Balance: new(big.Int)},
		params.ConsolidationQueueAddress: {Nonce: 1, Code: params.ConsolidationQueueCode, Balance: new(big.Int)},
	}
	for i := range 200 {
		var address common.Address
		binary.BigEndian.PutUint64(address[:], uint64(i+1))
		alloc[address] = types.Account{Balance: big.NewInt(1)}
	}
	for slot := range 40 {
		alloc[prober].Storage[common.BigToHash(big.NewInt(int64(slot)))] = common.Hash{31: 1}
	}
	return &core.Genesis{
		Config: genesis.LocalConfig(), GasLimit: 30_000_000,
		BaseFee: big.NewInt(params.GWei), Difficulty: new(big.Int), Alloc: alloc,
	}
}

// small is the last block of the small chain.
func small(t testing.TB) subject {
	t.Helper()
	s, _, _ := smallChain(t)
	return s
}

// smallChain makes seven blocks without transactions and one with, and the
// witness of that in go-ethereum's own form. It returns the ancestors too and
// the witness as go-ethereum holds it.
func smallChain(t testing.TB) (subject, []*types.Block, *gethstateless.Witness) {
	t.Helper()
	key, err := crypto.ToECDSA(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	g := smallGenesis(crypto.PubkeyToAddress(key.PublicKey))
	engine := beacon.New(ethash.NewFaker())
	seal := func(b *core.BlockGen) {
		b.SetPoS()
		b.SetParentBeaconRoot(common.Hash{31: byte(b.Number().Uint64())})
	}
	db, ancestors, _ := core.GenerateChainWithGenesis(g, engine, 7, func(_ int, b *core.BlockGen) { seal(b) })
	bc, err := core.NewBlockChain(rawdb.NewMemoryDatabase(), g, engine, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bc.Stop()
	if _, err := bc.InsertChain(ancestors); err != nil {
		t.Fatal(err)
	}
	blocks, _ := core.GenerateChain(g.Config, ancestors[6], engine, db, 1, func(_ int, b *core.BlockGen) {
		seal(b)
		for nonce, tx := range []types.DynamicFeeTx{
			{To: &prober, Gas: 1_000_000},
			{To: &fresh, Gas: 21_000, Value: common.Big1},
		} {
			tx.ChainID, tx.Nonce = g.Config.ChainID, uint64(nonce)
			tx.GasTipCap, tx.GasFeeCap = common.Big1, new(big.Int).Add(b.BaseFee(), common.Big1)
			b.AddTxWithChain(bc, types.MustSignNewTx(key, types.LatestSigner(g.Config), &tx))
		}
		b.AddWithdrawal(&types.Withdrawal{Validator: 1, Address: paid, Amount: 7})
	})
	stock, err := bc.InsertBlockWithoutSetHead(context.Background(), blocks[0], true)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "result": stock.ToExtWitness()})
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Decode(bytes.NewReader(answer))
	if err != nil {
		t.Fatal(err)
	}
	return subject{g.Config, blocks[0], w}, ancestors, stock
}

// TestVerify_stricterThanStock removes each node and runs go-ethereum's own
// stateless execution beside Verify. It holds the reason for this package: some
// incomplete witnesses pass the former.
func TestVerify_stricterThanStock(t *testing.T) {
	s, _, stock := smallChain(t)
	header := types.CopyHeader(s.block.Header())
	header.Root, header.ReceiptHash = common.Hash{}, common.Hash{}
	task := types.NewBlockWithHeader(header).WithBody(*s.block.Body())
	passed := 0
	for node := range stock.State {
		cut := stock.Copy()
		delete(cut.State, node)
		root, receipts, err := core.ExecuteStateless(context.Background(), s.cfg, vm.Config{}, task, cut)
		if err != nil || root != s.block.Root() || receipts != s.block.ReceiptHash() {
			continue
		}
		passed++
		_, err = s.verify(s.with(func(w *witness.Witness) {
			w.State = slices.DeleteFunc(slices.Clone(w.State), func(b []byte) bool { return string(b) == node })
		}))
		var missing *MissingError
		if !errors.As(err, &missing) {
			t.Errorf("without node %s: %v", crypto.Keccak256Hash([]byte(node)), err)
		}
	}
	t.Logf("ExecuteStateless accepts %d of %d witnesses that lack a node", passed, len(stock.State))
	if passed == 0 {
		t.Error("the block has no node that only strict verification misses")
	}
}

// TestVerify_names holds the texts that say what is missing.
func TestVerify_names(t *testing.T) {
	s := small(t)
	empty := &witness.Witness{Headers: s.witness.Headers}
	parent := s.block.ParentHash().Hex()
	root := "0x" // of the state before the block, learned from the parent header
	for _, b := range s.witness.Headers {
		var h types.Header
		if err := rlp.DecodeBytes(b, &h); err != nil {
			t.Fatal(err)
		}
		if h.Hash() == s.block.ParentHash() {
			root = h.Root.Hex()
		}
	}
	noCode := func(address string, code []byte) (*witness.Witness, string) {
		w := s.with(func(w *witness.Witness) {
			w.Codes = slices.DeleteFunc(slices.Clone(w.Codes), func(b []byte) bool { return bytes.Equal(b, code) })
		})
		return w, "missing code " + crypto.Keccak256Hash(code).Hex() + " of account " + address + ", needed in transaction 0 (0x"
	}
	proberless, proberText := noCode(prober.Hex(), proberCode())
	measuredless, measuredText := noCode(measured.Hex(), []byte{byte(vm.STOP)})
	for _, c := range []struct {
		w    *witness.Witness
		want string
	}{
		{new(witness.Witness), "missing header 7 (" + parent + "), needed as the parent of the block"},
		{empty, "missing state node " + root + ", the root of the account trie, needed in the system calls before the transactions"},
		{proberless, proberText},
		{measuredless, measuredText},
		{&witness.Witness{Headers: [][]byte{{0x01}}}, "headers[0] is not a block header"},
	} {
		_, err := s.verify(c.w)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v\nwant %s…", err, c.want)
		}
	}
}

// TestVerify_mismatch changes what the block claims.
func TestVerify_mismatch(t *testing.T) {
	s := small(t)
	other := common.Hash{1}
	body := *s.block.Body()
	withdrawn := body
	withdrawn.Withdrawals = nil
	richer := body
	richer.Withdrawals = []*types.Withdrawal{{Address: paid, Amount: 8}}
	fewer := body
	fewer.Transactions = body.Transactions[:1]
	for name, c := range map[string]struct {
		header func(h *types.Header)
		body   types.Body
		want   string
		block  bool
	}{
		"state root":    {func(h *types.Header) { h.Root = other }, body, "state root: re-execution gives 0x", false},
		"receipts root": {func(h *types.Header) { h.ReceiptHash = other }, body, "receipts root: ", false},
		"gas used":      {func(h *types.Header) { h.GasUsed++ }, body, "gas used: ", false},
		"bloom":         {func(h *types.Header) { h.Bloom[3] = 1 }, body, "logs bloom: ", false},
		"requests":      {func(h *types.Header) { h.RequestsHash = &other }, body, "requests hash: ", false},
		"access list":   {func(h *types.Header) { h.BlockAccessListHash = &other }, body, "access list hash: re-execution gives none", false},
		"coinbase":      {func(h *types.Header) { h.Coinbase = paid }, body, "state root: ", false},
		"parent":        {func(h *types.Header) { h.ParentHash = other }, body, "header 7 (0x", false},
		"number":        {func(h *types.Header) { h.Number = big.NewInt(9) }, body, "header 0x", false},
		"transactions":  {func(h *types.Header) {}, fewer, "block 8: transactions root: ", true},
		"uncles":        {func(h *types.Header) { h.UncleHash = other }, body, "block 8: uncles hash: ", true},
		"withdrawals":   {func(h *types.Header) {}, richer, "block 8: withdrawals root: ", true},
		"none":          {func(h *types.Header) {}, withdrawn, "block 8: withdrawals root: re-execution gives none", true},
		"proof of work": {func(h *types.Header) { h.Difficulty = common.Big1 }, body, "block 8: blocks from before the merge", true},
		"no base fee":   {func(h *types.Header) { h.BaseFee = nil }, body, "in the execution: the EVM gave up: ", false},
	} {
		header := types.CopyHeader(s.block.Header())
		c.header(header)
		_, err := Verify(s.cfg, types.NewBlockWithHeader(header).WithBody(c.body), s.witness)
		var blame *BlockError
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || errors.As(err, &blame) != c.block {
			t.Errorf("%s: %v, want %s…", name, err, c.want)
		}
	}
	_, err := Verify(params.MainnetChainConfig, s.block, s.witness)
	want := fmt.Sprintf("block 8: transaction 0 is for chain %d, not for chain 1", genesis.LocalChainID)
	if err == nil || err.Error() != want {
		t.Errorf("wrong chain: %v, want %s", err, want)
	}
}

// TestVerify_moreAncestors: a longer run of headers than needed is fine, one
// with a hole or a stranger is not.
func TestVerify_moreAncestors(t *testing.T) {
	s, ancestors, _ := smallChain(t)
	encode := func(h *types.Header) []byte {
		b, err := rlp.EncodeToBytes(h)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	older := encode(ancestors[3].Header()) // of block 4; the block reads back to 5
	oldest := encode(ancestors[2].Header())
	stranger := types.CopyHeader(ancestors[6].Header())
	stranger.Extra = []byte("stranger")
	for _, c := range []struct {
		extra [][]byte
		want  string
	}{
		{[][]byte{older}, ""},
		{[][]byte{oldest, older}, ""},
		{[][]byte{oldest}, "missing header 4 (" + ancestors[3].Hash().Hex() + "), needed as the link from the block to header 3"},
		{[][]byte{encode(stranger)}, "header 7 (" + stranger.Hash().Hex() + ") is no ancestor of the block"},
	} {
		result, err := s.verify(s.with(func(w *witness.Witness) { w.Headers = append(slices.Clone(w.Headers), c.extra...) }))
		switch {
		case c.want == "" && (err != nil || result.HeadersUsed != 3 || result.Headers != 3+len(c.extra)):
			t.Errorf("%d more: %+v, %v", len(c.extra), result, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
			t.Errorf("%v, want %s…", err, c.want)
		}
	}
}
