package devnet

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb/pebble"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// The three ways to a witness give the same bytes, again and again, and the
// bytes prove the block.
func TestNode_threeWaysOneAnswer(t *testing.T) {
	onDemand := start(t, nil)
	bytesKept := start(t, func(o *Options) { o.Precompute = true })
	structKept := start(t, func(o *Options) { o.Precompute, o.Form = true, Generated })
	driver := attach(t, onDemand)
	blocks := driver.blocks()
	for _, n := range []*Node{bytesKept, structKept} {
		other := attach(t, n)
		for _, b := range blocks {
			other.deliver(b)
		}
	}
	for _, b := range blocks {
		number := b.ExecutionPayload.Number
		want := ask(t, onDemand, number)
		verify(t, onDemand, number, decode(t, want))
		for range 10 {
			if got := ask(t, onDemand, number); !bytes.Equal(got, want) {
				t.Fatalf("block %d: made on demand twice, the answers differ", number)
			}
		}
		for _, n := range []*Node{bytesKept, structKept} {
			if got := ask(t, n, number); !bytes.Equal(got, want) {
				t.Errorf("block %d: stored as %s the answer differs from the one on demand:\n%s\n%s", number, n.store.form, got, want)
			}
		}
	}
	for _, n := range []*Node{bytesKept, structKept} {
		if hits, misses := metric(t, n, "verdict_witness_store_hits_total"), metric(t, n, "verdict_witness_store_misses_total"); hits != float64(len(blocks)) || misses != 0 {
			t.Errorf("store of form %s: %v hits, %v misses, want %d and 0", n.store.form, hits, misses, len(blocks))
		}
	}
	if got := metric(t, onDemand, `rpc_request_duration_seconds_count{namespace="rpc",method="debug_executionWitness"}`); got != float64(11*len(blocks)) {
		t.Errorf("%v requests counted, want %d", got, 11*len(blocks))
	}
}

func TestNode_keys(t *testing.T) {
	n := start(t, nil)
	c := attach(t, n)
	c.blocks()
	keys := func(number uint64) string {
		w := decode(t, ask(t, n, number))
		var text []string
		for _, k := range w.Result.Keys {
			text = append(text, k.String())
		}
		return strings.Join(text, " ")
	}
	slot := func(i int64) string { return common.BigToHash(big.NewInt(i)).Hex() }
	lower := func(a common.Address) string { return hexutil.Encode(a[:]) }
	check := func(number uint64, want string) {
		t.Helper()
		if got := keys(number); !strings.Contains(got, want) {
			t.Errorf("the keys of block %d are\n%s\nwhich lack\n%s", number, got, want)
		}
	}
	created := func(sender int) string {
		_, from := genesis.Account(sender)
		return lower(crypto.CreateAddress(from, 0))
	}
	// An empty block touches what the protocol does, and nothing else: the
	// two request queues, the parent's hash, the beacon root by its time.
	const ring = 8191
	at := int64(genesis.Timestamp+12) % ring
	empty := strings.Join([]string{
		lower(params.WithdrawalQueueAddress), slot(0), slot(1), slot(2), slot(3),
		lower(params.ConsolidationQueueAddress), slot(0), slot(1), slot(2), slot(3),
		lower(params.HistoryStorageAddress), slot(0),
		lower(params.BeaconRootsAddress), slot(at), slot(at + ring),
	}, " ")
	if got := keys(1); got != empty {
		t.Errorf("the keys of an empty block are\n%s\nwant\n%s", got, empty)
	}
	check(2, lower(reader)+" "+slot(1)+" "+slot(2)+" "+slot(3)) // reverted
	for _, address := range []string{lower(stranger), lower(bomb), created(3), created(4),
		"0x0000000000000000000000000000000000007777", "0x0000000000000000000000000000000000005555", "0x0000000000000000000000000000000000000fee"} {
		check(2, address)
	}
	check(3, lower(params.HistoryStorageAddress)+" "+slot(2)) // the parent's hash
	check(4, lower(reader)+" "+slot(1)+" "+slot(2)+" "+slot(3))
	if strings.Contains(keys(5), lower(reader)) {
		t.Error("the keys of block 5 hold a contract that it does not touch")
	}
	// BLOCKHASH of three blocks back needs the headers up to it.
	if got := len(decode(t, ask(t, n, 4)).Result.Headers); got != 3 {
		t.Errorf("the witness of block 4 has %d headers, want 3", got)
	}
}

// requestOf is a JSON-RPC request whose id is the string "x y"; params is the
// rest of the object.
func requestOf(method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":"x y","method":%q%s}`, method, params)
}

func TestNode_requests(t *testing.T) {
	n := start(t, nil)
	c := attach(t, n)
	blocks := c.blocks()
	hash := blocks[1].ExecutionPayload.BlockHash.Hex()
	want := decode(t, ask(t, n, 2)).Result
	head := decode(t, ask(t, n, 5)).Result
	same := func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
	for _, test := range []struct {
		method, params string
		want           any
	}{
		{byNumber, `,"params":["0x2"]`, want},
		{byNumber, `,"params":["` + hash + `"]`, want},
		{byNumber, `,"params":[{"blockHash":"` + hash + `"}]`, want},
		{byNumber, `,"params":[{"blockHash":"` + hash + `","requireCanonical":true}]`, want},
		{byNumber, `,"params":[{"blockNumber":"0x2"}]`, want},
		{byNumber, `,"params":["latest"]`, head},
		{byNumber, `,"params":["pending"]`, head},
		{byNumber, `,"params":["safe"]`, head},
		{byHash, `,"params":["` + hash + `"]`, want},
	} {
		// Alone it is answered by the node's own code, in a batch by the
		// library's; the two must agree.
		body := requestOf(test.method, test.params)
		alone := decode(t, post(t, n, body))
		if alone.Error != nil || !same(*alone.Result, *(test.want.(*struct{ State, Codes, Keys, Headers []hexutil.Bytes }))) {
			t.Errorf("%s: wrong witness or error %v", body, alone.Error)
		}
		if string(alone.ID) != `"x y"` {
			t.Errorf("%s: id %s", body, alone.ID)
		}
		var batch []wire
		if err := json.Unmarshal(post(t, n, "["+body+"]"), &batch); err != nil || len(batch) != 1 || batch[0].Error != nil || !same(*batch[0].Result, *alone.Result) {
			t.Errorf("in a batch %s: %v %v", body, err, batch)
		}
	}
}

func TestNode_badRequests(t *testing.T) {
	n := start(t, nil)
	attach(t, n).blocks()
	unknown := common.Hash{1}.Hex()
	for _, test := range []struct {
		method, params string
		code           int
		message        string
	}{
		{byNumber, ``, -32602, "missing value for required argument 0: block number, tag or hash"},
		{byNumber, `,"params":[]`, -32602, "missing value for required argument 0: block number, tag or hash"},
		{byNumber, `,"params":null`, -32602, "missing value for required argument 0: block number, tag or hash"},
		{byNumber, `,"params":[null]`, -32602, "missing value for required argument 0: block number, tag or hash"},
		{byNumber, `,"params":[{}]`, -32602, "invalid argument 0: must specify either BlockHash or BlockNumber"},
		{byNumber, `,"params":["0x2","0x3"]`, -32602, "too many arguments, want at most 1"},
		{byNumber, `,"params":{"block":"0x2"}`, -32602, "non-array args"},
		{byNumber, `,"params":[5]`, -32602, "invalid argument 0: want a block number, tag or hash as a string, or an object with blockNumber or blockHash, have a number"},
		{byNumber, `,"params":[true]`, -32602, "have a boolean"},
		{byNumber, `,"params":[["0x2"]]`, -32602, "have an array"},
		{byNumber, `,"params":["5"]`, -32602, "hex string without 0x prefix"},
		{byNumber, `,"params":["newest"]`, -32602, "hex string without 0x prefix"},
		{byNumber, `,"params":["0x10000000000000000"]`, -32602, "hex number > 64 bits"},
		{byNumber, `,"params":["0xff"]`, -32000, "block 0xff not found (head is 5)"},
		{byNumber, `,"params":["` + unknown + `"]`, -32000, "block " + unknown + " not found (head is 5)"},
		{byNumber, `,"params":["0x0"]`, -32000, "block 0 is the genesis block"},
		{byNumber, `,"params":["earliest"]`, -32000, "block 0 is the genesis block"},
		{byNumber, `,"params":["finalized"]`, -32000, "there is no finalized block yet (head is 5)"},
		{byHash, `,"params":[]`, -32602, "missing value for required argument 0: block hash"},
		{byHash, `,"params":["0x2"]`, -32602, "invalid argument 0"},
		{byHash, `,"params":["` + unknown + `"]`, -32000, "not found (head is 5)"},
	} {
		body := requestOf(test.method, test.params)
		var batch []wire
		if err := json.Unmarshal(post(t, n, "["+body+"]"), &batch); err != nil || len(batch) != 1 {
			t.Errorf("in a batch %s: %v", body, err)
			continue
		}
		for where, got := range map[string]wire{"alone": decode(t, post(t, n, body)), "in a batch": batch[0]} {
			if got.Error == nil || got.Error.Code != test.code || !strings.Contains(got.Error.Message, test.message) || string(got.ID) != `"x y"` {
				t.Errorf("%s %s: id %s, error %+v, want %d %q", where, body, got.ID, got.Error, test.code, test.message)
			}
		}
	}
}

func TestNode_otherRequests(t *testing.T) {
	n := start(t, func(o *Options) { o.Version = "verdict/test" })
	attach(t, n).blocks()
	for _, id := range []string{`null`, `17`, `"17"`, `-1`, `1.5`} {
		got := decode(t, post(t, n, `{"jsonrpc":"2.0","id":`+id+`,"method":"debug_executionWitness","params":["0x2"]}`))
		if string(got.ID) != id || got.Result == nil {
			t.Errorf("id %s comes back as %s", id, got.ID)
		}
	}
	if got := decode(t, post(t, n, requestOf("debug_noSuchMethod", ""))); got.Error == nil || got.Error.Code != -32601 {
		t.Errorf("an unknown method: %+v", got.Error)
	}
	var version struct{ Result string }
	if err := json.Unmarshal(post(t, n, requestOf("web3_clientVersion", "")), &version); err != nil || version.Result != "verdict/test" {
		t.Errorf("web3_clientVersion: %q, %v", version.Result, err)
	}
}

func TestNode_gzip(t *testing.T) {
	n := start(t, func(o *Options) { o.Precompute = true })
	c := attach(t, n)
	c.deliver(c.build())
	plain := ask(t, n, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.RPC(),
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"debug_executionWitness","params":["latest"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Encoding", "br, gzip")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding %q", got)
	}
	z, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(unpacked, plain) {
		t.Errorf("unpacked, the answer differs from the plain one: %v", err)
	}
}

func TestWantsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "identity": false, "gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0, br": false, "x-gzip": false,
	} {
		if got := wantsGzip(header); got != want {
			t.Errorf("wantsGzip(%q) = %v, want %v", header, got, want)
		}
	}
}

// An older height falls out of the store and is made on demand again.
func TestNode_oldBlocks(t *testing.T) {
	n := start(t, func(o *Options) { o.Precompute = true })
	c := attach(t, n)
	for range 140 {
		c.deliver(c.build())
	}
	if got := n.store.len(); got != storeHeights {
		t.Errorf("the store holds %d witnesses, want %d", got, storeHeights)
	}
	for number, hit := range map[uint64]bool{140: true, 13: true, 12: false, 1: false} {
		hits := metric(t, n, "verdict_witness_store_hits_total")
		misses := metric(t, n, "verdict_witness_store_misses_total")
		verify(t, n, number, decode(t, ask(t, n, number)))
		if got := metric(t, n, "verdict_witness_store_hits_total") == hits+1; got != hit {
			t.Errorf("block %d: hit %v, want %v", number, got, hit)
		}
		if got := metric(t, n, "verdict_witness_store_misses_total") == misses+1; got == hit {
			t.Errorf("block %d: miss %v, want %v", number, got, !hit)
		}
	}
}

// Where the state that a block starts from is gone, the answer says so and
// names the oldest block that is left.
func TestNode_prunedState(t *testing.T) {
	dir := t.TempDir()
	n := start(t, func(o *Options) { o.DataDir = dir })
	c := attach(t, n)
	c.blocks()
	root, database := n.chain().GetHeaderByNumber(2).Root, n.stack.ResolvePath("chaindata")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := pebble.New(database, 16, 16, "", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Delete(root[:]), db.Close()); err != nil {
		t.Fatal(err)
	}
	n = start(t, func(o *Options) { o.DataDir = dir })
	want := "block 0x3: the state of its parent is pruned; a witness can be made from block 0x4 on (head is 5)"
	if got := decode(t, ask(t, n, 3)); got.Error == nil || got.Error.Code != codeServerError || got.Error.Message != want {
		t.Errorf("block 3: %+v, want %q", got.Error, want)
	}
	verify(t, n, 4, decode(t, ask(t, n, 4)))
}

// A node that was closed goes on where it was, and so does its store.
func TestNode_restart(t *testing.T) {
	dir := t.TempDir()
	set := func(o *Options) { o.DataDir, o.Precompute = dir, true }
	n := start(t, set)
	c := attach(t, n)
	blocks := c.blocks()
	number, hash := n.Head()
	want := ask(t, n, 4)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, set)
	if gotNumber, gotHash := again.Head(); gotNumber != number || gotHash != hash {
		t.Fatalf("after the restart the head is %d %s, was %d %s", gotNumber, gotHash, number, hash)
	}
	if got := ask(t, again, 4); !bytes.Equal(got, want) {
		t.Error("after the restart the stored answer differs")
	}
	if hits := metric(t, again, "verdict_witness_store_hits_total"); hits != 1 {
		t.Errorf("after the restart %v hits, want 1", hits)
	}
	// On demand too: the states of the recent blocks are still there.
	for _, b := range blocks {
		if _, failure := again.generate(t.Context(), again.chain().GetHeaderByNumber(b.ExecutionPayload.Number)); failure != nil {
			t.Errorf("on demand, block %d: %v", b.ExecutionPayload.Number, failure)
		}
	}
	attach(t, again).deliver(attach(t, again).build())
}

func TestNode_damagedStore(t *testing.T) {
	for _, form := range []Form{Serialized, Generated} {
		t.Run(string(form), func(t *testing.T) {
			n := start(t, func(o *Options) { o.Precompute, o.Form = true, form })
			c := attach(t, n)
			c.deliver(c.build())
			want := ask(t, n, 1)
			_, hash := n.Head()
			path := filepath.Join(n.store.dir, blockID{1, hash}.name())
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			flipped := bytes.Clone(whole)
			flipped[len(flipped)/2] ^= 1
			for name, damage := range map[string][]byte{"empty": {}, "cut": whole[:len(whole)-1], "longer": append(bytes.Clone(whole), 0), "flipped": flipped, "foreign": []byte("hello")} {
				if err := os.WriteFile(path, damage, 0o600); err != nil {
					t.Fatal(err)
				}
				n.store.entries[blockID{1, hash}] = struct{}{}
				before := metric(t, n, "verdict_witness_store_damaged_total")
				if got := ask(t, n, 1); !bytes.Equal(got, want) {
					t.Errorf("%s: another answer", name)
				}
				if got := metric(t, n, "verdict_witness_store_damaged_total"); got != before+1 {
					t.Errorf("%s: damage counted %v times", name, got-before)
				}
			}
		})
	}
}

func TestNode_reorg(t *testing.T) {
	n := start(t, func(o *Options) { o.Precompute = true })
	c := attach(t, n)
	c.deliver(c.build())
	left := c.build()
	c.send(0, &stranger, 1, 21_000, nil)
	right := c.build()
	c.deliver(left)
	c.deliver(right) // the same height, another block
	for _, b := range []*engine.ExecutionPayloadEnvelope{left, right} {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"debug_executionWitnessByBlockHash","params":[%q]}`, b.ExecutionPayload.BlockHash)
		if w := decode(t, post(t, n, body)); w.Result == nil {
			t.Errorf("%v", w.Error)
		}
	}
	if hits := metric(t, n, "verdict_witness_store_hits_total"); hits != 2 {
		t.Errorf("%v hits, want 2", hits)
	}
	verify(t, n, 2, decode(t, ask(t, n, 2)))
	got := decode(t, post(t, n, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"debug_executionWitness","params":[{"blockHash":%q,"requireCanonical":true}]}`, left.ExecutionPayload.BlockHash)))
	if got.Error == nil || !strings.Contains(got.Error.Message, "is not canonical") {
		t.Errorf("a side block, required to be canonical: %+v", got.Error)
	}
}

func TestNode_invalidPayload(t *testing.T) {
	n := start(t, func(o *Options) { o.Precompute = true })
	c := attach(t, n)
	b := c.build()
	b.ExecutionPayload.StateRoot[0] ^= 1
	block, err := engine.ExecutableDataToBlockNoHash(*b.ExecutionPayload, nil, &common.Hash{}, [][]byte{})
	if err != nil {
		t.Fatal(err)
	}
	b.ExecutionPayload.BlockHash = block.Hash()
	if status := c.newPayload(b); status.Status != engine.INVALID || n.store.len() != 0 {
		t.Errorf("a block with a wrong state root is %s, %d witnesses stored", status.Status, n.store.len())
	}
}

// The node builds blocks from its pool for any consensus client.
func TestNode_builds(t *testing.T) {
	n := start(t, nil)
	c := attach(t, n)
	c.send(0, &stranger, 1, 21_000, nil)
	raw, err := c.pending[0].MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	c.call(nil, "eth_sendRawTransaction", hexutil.Bytes(raw))
	head := n.chain().CurrentBlock()
	for deadline := time.Now().Add(20 * time.Second); ; {
		// A payload that is asked for too early is empty and final, so each
		// attempt is one with a randomness of its own.
		attributes := engine.PayloadAttributes{Timestamp: head.Time + 12, Random: common.BigToHash(big.NewInt(time.Now().UnixNano())),
			Withdrawals: []*types.Withdrawal{}, BeaconRoot: &common.Hash{}}
		var chosen engine.ForkChoiceResponse
		c.call(&chosen, "engine_forkchoiceUpdatedV3", forkchoice(head.Hash()), attributes)
		var built engine.ExecutionPayloadEnvelope
		c.call(&built, "engine_getPayloadV5", chosen.PayloadID)
		if len(built.ExecutionPayload.Transactions) == 1 {
			c.deliver(&built)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the transaction never gets into a block")
		}
	}
	if number, _ := n.Head(); number != 1 {
		t.Errorf("the head is %d", number)
	}
}

func TestNode_withoutDebug(t *testing.T) {
	n := start(t, func(o *Options) { o.HTTPAPI = []string{"eth", "net"} })
	got := decode(t, ask(t, n, 0))
	if got.Error == nil || got.Error.Code != -32601 {
		t.Errorf("with the namespace debug off: %+v, want method not found", got.Error)
	}
}

func TestNode_engineNeedsTheSecret(t *testing.T) {
	n := start(t, nil)
	res, err := http.Post(n.Engine(), "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"engine_exchangeCapabilities","params":[[]]}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: HTTP status %d", res.StatusCode)
	}
	info, err := os.Stat(n.JWTSecret())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret file: %v %v", info.Mode(), err)
	}
}

func TestStart_refuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("0xsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := start(t, nil)
	usedDir := used.stack.DataDir()
	other := t.TempDir()
	n := start(t, func(o *Options) { o.DataDir = other })
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		set  func(*Options)
		kind fault.Kind
		want string
	}{
		{"a taken port", func(o *Options) { o.HTTPAddr = taken.Addr().String() }, fault.Prerequisite, "--http.port: listening on " + taken.Addr().String() + ": bind: address already in use"},
		{"a taken engine port", func(o *Options) { o.EngineAddr = taken.Addr().String() }, fault.Prerequisite, "--authrpc.port: listening on " + taken.Addr().String()},
		{"a taken metrics port", func(o *Options) { o.MetricsAddr = taken.Addr().String() }, fault.Prerequisite, "--metrics.port: listening on " + taken.Addr().String()},
		{"a directory that is a file", func(o *Options) { o.DataDir = file }, fault.Prerequisite, "--datadir: mkdir " + file},
		{"a directory in use", func(o *Options) { o.DataDir = usedDir }, fault.Prerequisite, "--datadir " + usedDir + " is in use by another process"},
		{"another chain", func(o *Options) { o.DataDir, o.Genesis = other, nil }, fault.Usage, "holds another chain: its genesis is"},
		{"no directory", func(o *Options) { o.DataDir = "" }, fault.Usage, "--datadir is missing"},
		{"a malformed secret", func(o *Options) { o.JWTSecret = file }, fault.Usage, "want 32 bytes as 64 hex digits"},
		{"an unknown namespace", func(o *Options) { o.HTTPAPI = []string{"eth", "dbg"} }, fault.Usage, `--http.api: there is no namespace "dbg"`},
		{"an unknown form", func(o *Options) { o.Form = "zip" }, fault.Usage, "--witness-store zip"},
		{"a chain before the merge", func(o *Options) { o.Genesis.Config.TerminalTotalDifficulty = nil }, fault.Usage, "before the merge"},
		{"a chain of the future", func(o *Options) { o.Genesis.Config.AmsterdamTime = new(uint64) }, fault.Usage, "Amsterdam"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := Options{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0", Genesis: smallGenesis()}
			test.set(&o)
			n, err := Start(t.Context(), o)
			if err == nil {
				t.Fatal(errors.Join(errors.New("it started"), n.Close()))
			}
			if !strings.Contains(err.Error(), test.want) || fault.KindOf(err) != test.kind {
				t.Errorf("kind %d, %q; want kind %d, %q", fault.KindOf(err), err, test.kind, test.want)
			}
		})
	}
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("never mind"))
	if _, err := Start(cancelled, Options{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0", Genesis: smallGenesis()}); err == nil || !strings.Contains(err.Error(), "never mind") {
		t.Errorf("cancelled: %v", err)
	}
}
