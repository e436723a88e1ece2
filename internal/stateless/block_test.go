package stateless

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// answer writes block as eth_getBlockByNumber answers it.
func answer(t testing.TB, block *types.Block) map[string]any {
	t.Helper()
	var object map[string]any
	header, err := json.Marshal(block.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(header, &object); err != nil {
		t.Fatal(err)
	}
	object["transactions"] = block.Transactions()
	object["withdrawals"] = block.Withdrawals()
	object["uncles"] = []string{}
	object["size"] = "0x1"
	return object
}

func text(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseBlock(t *testing.T) {
	s := small(t)
	object := answer(t, s.block)
	for name, raw := range map[string][]byte{
		"bare":     text(t, object),
		"response": text(t, map[string]any{"jsonrpc": "2.0", "id": 1, "result": object}),
	} {
		block, err := ParseBlock(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if block.Hash() != s.block.Hash() {
			t.Errorf("%s: hash %s, want %s", name, block.Hash(), s.block.Hash())
		}
		if _, err := Verify(s.cfg, block, s.witness); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseBlock_refuses(t *testing.T) {
	s := small(t)
	change := func(f func(o map[string]any)) string {
		o := answer(t, s.block)
		f(o)
		return string(text(t, o))
	}
	for name, c := range map[string]struct{ raw, want string }{
		"nothing":      {``, "block: unexpected end of JSON input"},
		"cut":          {`{"number":"0x1"`, "block: unexpected end of JSON input"},
		"not JSON":     {`<html>`, "block: invalid character '<'"},
		"null":         {`{"result":null}`, "block: the result is null"},
		"error":        {`{"error":{"code":-32000,"message":"no such block"}}`, "block: no such block (code -32000)"},
		"other object": {`{"result":{"state":[]}}`, "block: missing required field 'parentHash'"},
		"other hash": {change(func(o map[string]any) { o["gasUsed"] = "0x1" }),
			"block 8: its header fields hash to 0x"},
		"no transactions": {change(func(o map[string]any) { delete(o, "transactions") }),
			"block 8: the transactions are missing"},
		"hashes only": {change(func(o map[string]any) { o["transactions"] = []common.Hash{{}} }),
			"block 8: transactions are given by hash only; ask for full transactions"},
		"unknown transaction type": {change(func(o map[string]any) { o["transactions"] = []any{map[string]any{"type": "0x7e"}} }),
			"block 8: transaction 0: transaction type not supported"},
		"withdrawal null": {change(func(o map[string]any) { o["withdrawals"] = []any{nil} }),
			"block 8: withdrawal 0 is null"},
		"uncles": {change(func(o map[string]any) { o["uncles"] = []common.Hash{{}} }),
			"block 8: it has uncles"},
	} {
		_, err := ParseBlock([]byte(c.raw))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s…", name, err, c.want)
		}
		cut := name == "nothing" || name == "cut"
		if errors.Is(err, io.ErrUnexpectedEOF) != cut {
			t.Errorf("%s: %v: truncated = %v, want %v", name, err, !cut, cut)
		}
	}
	var rpc *ethrpc.Error
	if _, err := ParseBlock([]byte(`{"error":{"code":-32000,"message":"x"}}`)); !errors.As(err, &rpc) || rpc.Code != -32000 {
		t.Errorf("%v is not the server's error", err)
	}
}

// cacheFile writes a subject as ethrex-replay does: the header without its
// hash.
func cacheFile(t testing.TB, s subject, network any) []byte {
	t.Helper()
	var header map[string]any
	if err := json.Unmarshal(text(t, s.block.Header()), &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "hash")
	for name, value := range header {
		if value == nil {
			delete(header, name)
		}
	}
	list := func(elements [][]byte) []string {
		hex := make([]string, len(elements))
		for i, b := range elements {
			hex[i] = fmt.Sprintf("%#x", b)
		}
		return hex
	}
	return text(t, map[string]any{
		"blocks": []any{map[string]any{"header": header, "body": map[string]any{
			"transactions": s.block.Transactions(), "uncles": []any{}, "withdrawals": s.block.Withdrawals(),
		}}},
		"witness": map[string]any{
			"state": list(s.witness.State), "codes": list(s.witness.Codes),
			"keys": list(s.witness.Keys), "headers": list(s.witness.Headers),
		},
		"network": network,
	})
}

func TestParseReplayCache(t *testing.T) {
	s := small(t)
	plain := cacheFile(t, s, map[string]string{"PublicNetwork": "Hoodi"})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(plain)
	z.Close()
	for name, raw := range map[string][]byte{"plain": plain, "gzip": packed.Bytes()} {
		cache, err := ParseReplayCache(bytes.NewReader(raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if cache.Network != "Hoodi" || len(cache.Blocks) != 1 || cache.Blocks[0].Hash() != s.block.Hash() {
			t.Errorf("%s: network %q, blocks %v", name, cache.Network, cache.Blocks)
			continue
		}
		if _, err := Verify(s.cfg, cache.Blocks[0], cache.Witness); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, network := range map[string]any{"local": "LocalDevnet", "L2": map[string]int{"L2Chain": 1729}, "none": nil} {
		cache, err := ParseReplayCache(bytes.NewReader(cacheFile(t, s, network)))
		if err != nil || cache.Network != "" {
			t.Errorf("%s: %+v, %v", name, cache, err)
		}
	}
	for cut := range packed.Len() {
		if cut%97 != 0 {
			continue
		}
		if _, err := ParseReplayCache(bytes.NewReader(packed.Bytes()[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("gzip cut after %d bytes: %v", cut, err)
		}
	}
	for raw, want := range map[string]string{
		`{}`:                         "replay cache: there are no blocks in it",
		`{"blocks":[{"header":{}}]}`: "replay cache: blocks[0]: header: missing required field",
		`[]`:                         "replay cache: json: cannot unmarshal array",
		string(bytes.Replace(plain, []byte(`"witness"`), []byte(`"other"`), 1)): "replay cache: there is no witness in it",
	} {
		if _, err := ParseReplayCache(strings.NewReader(raw)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s…", raw, err, want)
		}
	}
}

func TestChainConfig(t *testing.T) {
	for id, want := range map[uint64]*params.ChainConfig{
		1: params.MainnetChainConfig, 11155111: params.SepoliaChainConfig, 560048: params.HoodiChainConfig,
	} {
		if got, err := ChainConfig(id); err != nil || got != want {
			t.Errorf("ChainConfig(%d) = %v, %v", id, got, err)
		}
	}
	if got, err := ChainConfig(genesis.LocalChainID); err != nil || got.ChainID.Uint64() != genesis.LocalChainID {
		t.Errorf("local: %v, %v", got, err)
	}
	for _, name := range []string{"hoodi", "Hoodi", "560048", "0x88bb0"} {
		if got, err := NamedConfig(name); err != nil || got != params.HoodiChainConfig {
			t.Errorf("NamedConfig(%q) = %v, %v", name, got, err)
		}
	}
	_, err := NamedConfig("holesky")
	want := fmt.Sprintf(`chain "holesky" is not built in; known are mainnet (1), hoodi (560048), sepolia (11155111), local (%d)`, genesis.LocalChainID)
	if err == nil || err.Error() != want || fault.KindOf(err) != fault.Usage || len(fault.HintsOf(err)) != 1 {
		t.Errorf("%v %q, want %s", err, fault.HintsOf(err), want)
	}
	if _, err := ChainConfig(1337); err == nil || !strings.HasPrefix(err.Error(), "chain 1337 is not built in") {
		t.Errorf("ChainConfig(1337): %v", err)
	}
}

func TestConfigFromGenesis(t *testing.T) {
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "genesis.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file(string(text(t, smallGenesis(common.Address{1}))))
	if cfg, err := ConfigFromGenesis(good); err != nil || cfg.ChainID.Uint64() != genesis.LocalChainID || cfg.OsakaTime == nil {
		t.Errorf("%v, %v", cfg, err)
	}
	bad := file("{\n  \"config\": {\n    \"chainId\": 1,,\n")
	if _, err := ConfigFromGenesis(bad); err == nil || !strings.Contains(err.Error(), bad+":3:") {
		t.Errorf("%v does not name file and line", err)
	}
}

// FuzzParseBlock: no input makes it panic, and what it accepts reads the same
// when it is written again.
func FuzzParseBlock(f *testing.F) {
	f.Add(text(f, answer(f, small(f).block)))
	f.Add([]byte(`{"result":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		block, err := ParseBlock(raw)
		if err != nil {
			return
		}
		again, err := ParseBlock(text(t, answer(t, block)))
		if err != nil || again.Hash() != block.Hash() || len(again.Transactions()) != len(block.Transactions()) {
			t.Errorf("%v, %v: first %s", again, err, block.Hash())
		}
	})
}

// FuzzParseReplayCache: no input makes it panic.
func FuzzParseReplayCache(f *testing.F) {
	f.Add(cacheFile(f, small(f), "LocalDevnet"))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, raw []byte) {
		cache, err := ParseReplayCache(bytes.NewReader(raw))
		if err == nil && (len(cache.Blocks) == 0 || cache.Witness == nil) {
			t.Error("a cache without blocks or witness is accepted")
		}
	})
}

// FuzzNode: whatever wellFormed lets pass, a trie can be made of, read, changed
// and hashed without a panic; panics there could not be recovered from.
func FuzzNode(f *testing.F) {
	s := small(f)
	for _, b := range s.witness.State {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, node []byte) {
		if len(node) == 0 {
			return
		}
		root := crypto.Keccak256Hash(node)
		nodes, codes := newElements([][]byte{node}, rlp.EmptyString), newElements(nil, nil)
		elements := newStore(root, &nodes, &codes)
		db, err := state.New(root, elements)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			address := common.Address{byte(i)}
			db.SetBalance(address, uint256.NewInt(uint64(i)), 0)
			db.SetState(address, common.Hash{}, common.Hash{byte(i)})
		}
		db.IntermediateRoot(params.HoodiChainConfig.Rules(common.Big1, true, 2_000_000_000))
	})
}
