package batch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/witness"
)

// realBlock is a real block with its real witness, which lies beside the
// checkout.
var realBlock = filepath.Join("..", "..", "..", "shared", "data", "witness-blocks", "hoodi_1265656.json.gz")

// hoodi is a batch of one block of a public network.
func hoodi(t testing.TB) Batch {
	t.Helper()
	f, err := os.Open(realBlock)
	if err != nil {
		t.Skipf("the real block is not beside this checkout: %v", err)
	}
	defer f.Close()
	cache, err := stateless.ParseReplayCache(f)
	if err != nil {
		t.Fatal(err)
	}
	return Batch{Number: 7, Blocks: cache.Blocks, Witness: cache.Witness, Config: params.HoodiChainConfig}
}

// encoded is the input document of b.
func encoded(t testing.TB, b Batch) []byte {
	t.Helper()
	var doc bytes.Buffer
	if err := Encode(&doc, b); err != nil {
		t.Fatal(err)
	}
	return doc.Bytes()
}

func TestExecute(t *testing.T) {
	c := makeChain(t, 8)
	b := c.batch(3, 2)
	got, err := Execute(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	var words []byte
	for _, i := range []int{3, 5, 7} {
		address := common.Address{0xde, byte(i)}
		wei := new(big.Int).Mul(big.NewInt(int64(i)), big.NewInt(params.Ether))
		// The generator numbers withdrawals on its own.
		index := new(big.Int).SetUint64(c.blocks[i].Withdrawals()[0].Index)
		words = append(words, common.BigToHash(index).Bytes()...)
		words = append(words, common.BytesToHash(address[:]).Bytes()...)
		words = append(words, common.BigToHash(wei).Bytes()...)
	}
	want := Public{
		InitialRoot: c.blocks[1].Root(), FinalRoot: c.blocks[7].Root(), LastHash: c.blocks[7].Hash(),
		FirstBlock: 3, LastBlock: 8, Deposits: crypto.Keccak256Hash(words),
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestExecute_hoodi(t *testing.T) {
	b := hoodi(t)
	got, err := Execute(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	if got.FinalRoot != b.Blocks[0].Root() || got.FirstBlock != 1265656 || got.LastBlock != 1265656 {
		t.Errorf("got %+v", got)
	}
}

// TestExecute_eachElement takes each element out of the merged witness: a batch
// is accepted without it exactly if every block is accepted without it.
func TestExecute_eachElement(t *testing.T) {
	c := makeChain(t, 6)
	b := c.batch(1, 1)
	without := func(w *witness.Witness, b []byte) *witness.Witness {
		drop := func(list [][]byte) [][]byte {
			return slices.DeleteFunc(slices.Clone(list), func(e []byte) bool { return bytes.Equal(e, b) })
		}
		return &witness.Witness{State: drop(w.State), Codes: drop(w.Codes), Headers: w.Headers}
	}
	var refused int
	for _, element := range slices.Concat(b.Witness.State, b.Witness.Codes) {
		var want error
		for i := range b.Blocks {
			if _, err := stateless.Verify(c.config, b.Blocks[i], without(c.witnesses[1+i], element)); err != nil {
				want = fmt.Errorf("block %d: %w", b.Blocks[i].NumberU64(), err)
				break
			}
		}
		lacking := b
		lacking.Witness = without(b.Witness, element)
		_, err := Execute(context.Background(), lacking)
		if fmt.Sprint(err) != fmt.Sprint(want) {
			t.Errorf("without %s:\n got %v\nwant %v", crypto.Keccak256Hash(element), err, want)
		}
		var missing *stateless.MissingError
		if err != nil && (!errors.As(err, &missing) || missing.Missing[0].Hash != crypto.Keccak256Hash(element)) {
			t.Errorf("without %s: %v", crypto.Keccak256Hash(element), err)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("%d elements were needed: the blocks are too small for this test", refused)
	}
}

// remade is block with a changed header.
func remade(block *types.Block, change func(*types.Header)) *types.Block {
	header := types.CopyHeader(block.Header())
	change(header)
	return types.NewBlockWithHeader(header).WithBody(*block.Body())
}

func TestExecute_refuses(t *testing.T) {
	c := makeChain(t, 6)
	for name, check := range map[string]struct {
		change func(b *Batch)
		want   string
	}{
		"no blocks": {func(b *Batch) { b.Blocks = nil }, "the batch has no blocks"},
		"order":     {func(b *Batch) { b.Blocks[1], b.Blocks[2] = b.Blocks[2], b.Blocks[1] }, `block 5 \(0x\w+\) does not follow block 3 \(0x\w+\)`},
		"hole":      {func(b *Batch) { b.Blocks = slices.Delete(b.Blocks, 1, 2) }, `block 5 \(0x\w+\) does not follow block 3`},
		"root of the last": {func(b *Batch) {
			b.Blocks[3] = remade(b.Blocks[3], func(h *types.Header) { h.Root[0] ^= 1 })
		}, `^block 6: state root: re-execution gives 0x\w+, the header says 0x`},
		"gas of the last": {func(b *Batch) {
			b.Blocks[3] = remade(b.Blocks[3], func(h *types.Header) { h.GasUsed++ })
		}, `^block 6: gas used`},
		"a transaction less": {func(b *Batch) {
			body := *b.Blocks[1].Body()
			body.Transactions = body.Transactions[1:]
			b.Blocks[1] = types.NewBlockWithHeader(b.Blocks[1].Header()).WithBody(body)
		}, `^block 4: transactions root`},
		"a deposit more": {func(b *Batch) {
			body := *b.Blocks[3].Body()
			body.Withdrawals = append(slices.Clone(body.Withdrawals), &types.Withdrawal{Index: 9, Amount: 1e9})
			b.Blocks[3] = types.NewBlockWithHeader(b.Blocks[3].Header()).WithBody(body)
		}, `^block 6: withdrawals root`},
		"no header of the parent": {func(b *Batch) { b.Witness.Headers = nil }, `the witness has no header 0x\w+, the parent of block 3`},
		"a header before the parent": {func(b *Batch) {
			*b = c.batch(1, 3)
			b.Witness.Headers = slices.DeleteFunc(slices.Clone(b.Witness.Headers), func(raw []byte) bool {
				return crypto.Keccak256Hash(raw) == c.blocks[1].Hash()
			})
		}, `^block 4: missing header 2, needed in transaction 3`},
		"changed byte": {func(b *Batch) {
			b.Witness.State = slices.Clone(b.Witness.State)
			b.Witness.State[0] = bytes.Clone(b.Witness.State[0])
			b.Witness.State[0][5] ^= 1
		}, "^block 3: missing state node"},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.batch(1, 2)
			b.Blocks = slices.Clone(b.Blocks)
			check.change(&b)
			_, err := Execute(context.Background(), b)
			if err == nil || !regexp.MustCompile(check.want).MatchString(err.Error()) {
				t.Errorf("got %v, want %s", err, check.want)
			}
		})
	}
}

func TestExecute_cancelled(t *testing.T) {
	c := makeChain(t, 2)
	cause := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if _, err := Execute(ctx, c.batch(1, 0)); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}

// same compares what a document carries.
func same(t *testing.T, got, want Batch) {
	t.Helper()
	if got.Number != want.Number || len(got.Blocks) != len(want.Blocks) {
		t.Fatalf("got batch %d of %d blocks, want %d of %d", got.Number, len(got.Blocks), want.Number, len(want.Blocks))
	}
	for i := range want.Blocks {
		if got.Blocks[i].Hash() != want.Blocks[i].Hash() {
			t.Errorf("block %d of the batch differs", i)
		}
	}
	if !reflect.DeepEqual(Merge(got.Witness), Merge(want.Witness)) {
		t.Error("the witness differs")
	}
	if g, w := toJSON(t, got.Config), toJSON(t, want.Config); g != w {
		t.Errorf("configuration %s, want %s", g, w)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestRoundTrip(t *testing.T) {
	for name, make := range map[string]func(testing.TB) Batch{
		"hoodi": hoodi,
		"chain": func(t testing.TB) Batch { return makeChain(t, 5).batch(9, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			want := make(t)
			doc := encoded(t, want)
			input := want
			input.Number = 0
			for _, r := range []io.Reader{bytes.NewReader(doc), iotest.OneByteReader(bytes.NewReader(doc))} {
				got, err := Decode(r)
				if err != nil {
					t.Fatal(err)
				}
				same(t, got, input)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, doc, "", "\t"); err != nil {
				t.Fatal(err)
			}
			got, err := Decode(&indented)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, input)

			var answer bytes.Buffer
			if err := Respond(&answer, want.Number, func(w io.Writer) error { return Encode(w, want) }); err != nil {
				t.Fatal(err)
			}
			message, err := coordinator.Scan(answer.Bytes())
			if err != nil || !message.HasInput() || message.Batch != want.Number || message.Format != "Groth16" {
				t.Errorf("the answer scans as %+v, %v", message, err)
			}
			response, err := DecodeResponse(&answer)
			if err != nil {
				t.Fatal(err)
			}
			same(t, *response, want)
			public, err := Execute(context.Background(), *response)
			direct, wanted := Execute(context.Background(), want)
			if err != nil || wanted != nil || public != direct {
				t.Errorf("executed: %+v, %v; before: %+v, %v", public, err, direct, wanted)
			}
		})
	}
}

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden: inputs that were stored once stay readable, and what stands in
// them is what is written today. The provers' tests read the file too.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "small.json.gz")
	if *update {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(encoded(t, makeChain(t, 5).batch(0, 1)))
		if err := errors.Join(z.Close(), os.WriteFile(path, packed.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Decode(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, b), doc) {
		t.Error("the document is written otherwise today")
	}
	public, err := Execute(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	raw := public.Encode()
	if got, want := crypto.Keccak256Hash(raw[:]).Hex(), "0x685a76e28b1220d59103d6bb57ad05f388e4b9580603431505833ba6e33373a6"; got != want || public.LastBlock != 5 {
		t.Errorf("the public output is %+v with the hash %s, want %s", public, got, want)
	}
}

// TestVerifyRun_counts: what the blocks of a run read is counted once.
func TestVerifyRun_counts(t *testing.T) {
	c := makeChain(t, 6)
	b := c.batch(1, 3)
	got, err := stateless.VerifyRun(context.Background(), b.Config, b.Blocks, b.Witness)
	if err != nil {
		t.Fatal(err)
	}
	var gas uint64
	for _, block := range b.Blocks {
		gas += block.GasUsed()
	}
	want := stateless.Result{
		GasUsed: gas, Duration: got.Duration,
		Nodes: len(b.Witness.State), NodesUsed: len(b.Witness.State),
		Codes: len(b.Witness.Codes), CodesUsed: len(b.Witness.Codes),
		// The parent of the first block and the one before, whose hash is read.
		Headers: 2, HeadersUsed: 2,
	}
	if got != want || got.Duration <= 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := stateless.VerifyRun(context.Background(), b.Config, nil, b.Witness); err == nil {
		t.Error("a run without blocks is accepted")
	}
}

// TestEncode_members holds the layout that provers of other programs know.
func TestEncode_members(t *testing.T) {
	b := makeChain(t, 3).batch(1, 1)
	var input struct {
		Blocks  [][]uint8 `json:"-"`
		Witness struct {
			Codes, Keys, State [][]int
			Headers            [][]int         `json:"block_headers_bytes"`
			First              uint64          `json:"first_block_number"`
			Config             json.RawMessage `json:"chain_config"`
			Root               common.Hash     `json:"state_trie_root"`
			Storage            map[string]any  `json:"storage_trie_roots"`
		} `json:"execution_witness"`
		Elasticity int     `json:"elasticity_multiplier"`
		Commitment [48]int `json:"blob_commitment"`
		Proof      [48]int `json:"blob_proof"`
		Fees       []any   `json:"fee_configs"`
		RLP        [][]int `json:"blocks"`
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded(t, b)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&input); err != nil {
		t.Fatal(err)
	}
	w := input.Witness
	if len(input.RLP) != 2 || w.First != 2 || w.Root != b.mustParent(t).Root || w.Storage == nil || input.Fees == nil || input.Elasticity != 2 {
		t.Errorf("got %d blocks from %d, root %s, %+v", len(input.RLP), w.First, w.Root, input)
	}
	raw := make([]byte, len(input.RLP[0]))
	for i, n := range input.RLP[0] {
		raw[i] = byte(n)
	}
	if want, _ := rlp.EncodeToBytes(b.Blocks[0]); !bytes.Equal(raw, want) {
		t.Error("the first block is not its RLP")
	}
	if len(w.State) != len(b.Witness.State) || len(w.Codes) != len(b.Witness.Codes) || len(w.Headers) != len(b.Witness.Headers) {
		t.Error("the witness has other numbers of elements")
	}
}

func (b Batch) mustParent(t *testing.T) *types.Header {
	t.Helper()
	header, err := b.parent()
	if err != nil {
		t.Fatal(err)
	}
	return header
}

func TestEncode_refuses(t *testing.T) {
	b := makeChain(t, 2).batch(4, 0)
	var out bytes.Buffer
	none := b
	none.Blocks = nil
	orphan := b
	orphan.Witness = &witness.Witness{}
	for _, c := range []struct {
		b    Batch
		want string
	}{{none, "batch 4: the batch has no blocks"}, {orphan, "batch 4: the witness has no header 0x"}} {
		if err := Encode(&out, c.b); err == nil || !strings.HasPrefix(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("got %v and %d bytes, want %s", err, out.Len(), c.want)
		}
	}
	broken := errors.New("broken pipe")
	if err := Encode(brokenWriter{broken}, b); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// TestDecode_refuses changes a good document.
func TestDecode_refuses(t *testing.T) {
	doc := string(encoded(t, makeChain(t, 2).batch(1, 0)))
	replace := func(pattern, with string) string {
		at := regexp.MustCompile(pattern).FindStringIndex(doc)
		if at == nil {
			t.Fatalf("the document has no %s", pattern)
		}
		return doc[:at[0]] + with + doc[at[1]:]
	}
	for name, c := range map[string]struct{ doc, want string }{
		"nothing":         {"", "ends early, after 0 bytes"},
		"array":           {"[]", "the input is not an object"},
		"other layout":    {`{"program_input":1}`, "the input has no blocks: it is of another layout"},
		"objects":         {replace(`"blocks":\[\[`, `"blocks":[{"header":{}},[`), `blocks\[0\]: byte \d+: not an array of numbers: it begins with '{'`},
		"number over 255": {replace(`"codes":\[\[\d+`, `"codes":[[256`), `codes\[0\]: byte \d+: 256 is no byte`},
		"long number":     {replace(`"codes":\[\[\d+`, `"codes":[[99999999999999999999999`), `codes\[0\]: .* is not a number`},
		"negative":        {replace(`"codes":\[\[\d+`, `"codes":[[-1`), `codes\[0\]: .* is not a number`},
		"fraction":        {replace(`"codes":\[\[\d+`, `"codes":[[1.5`), `codes\[0\]: .* is not a number`},
		"leading zero":    {replace(`"codes":\[\[\d+`, `"codes":[[07`), `codes\[0\]: .* is not a JSON value`},
		"text":            {replace(`"codes":\[\[\d+`, `"codes":[["7"`), `codes\[0\]: .* is not a number`},
		"empty element":   {replace(`"codes":\[\[`, `"codes":[[],[`), `codes\[0\]: byte \d+: it is empty`},
		"trailing comma":  {replace(`"state":\[\[\d+,`, `"state":[[1,],[`), `state\[0\]:`},
		"twice":           {replace(`"keys":`, `"state":[],"keys":`), "execution_witness: state occurs twice"},
		"no state":        {replace(`"state":`, `"nodes":`), "execution_witness has no state"},
		"no blocks":       {replace(`"blocks":\[`, `"blocks":[],"x":[`), "the batch has no blocks"},
		"half a block":    {replace(`"blocks":\[\[249,`, `"blocks":[[248,`), `blocks\[0\]: not the RLP of a block`},
		"wrong number":    {replace(`"first_block_number":1`, `"first_block_number":2`), "the first block has number 1, the witness is of block 2"},
		"wrong root":      {replace(`"state_trie_root":"0x..`, `"state_trie_root":"0xab`), "state_trie_root is 0xab"},
		"short root":      {replace(`"state_trie_root":"0x..`, `"state_trie_root":"0x`), "state_trie_root: hex string has length"},
		"no config":       {replace(`"chain_config":`, `"chain_config":null,"x":`), "chain_config: it has no chain id"},
		"forks":           {replace(`"shanghaiTime":0,`, ``), "chain_config: unsupported fork ordering"},
		"cut":             {doc[:len(doc)/2], "ends early"},
		"more":            {doc + "{}", "more data"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(strings.NewReader(c.doc))
			if err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestDecode_cutAnywhere(t *testing.T) {
	doc := encoded(t, makeChain(t, 1).batch(1, 0))
	for n := 0; n < len(doc); n += 97 {
		if _, err := Decode(bytes.NewReader(doc[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d of %d: %v", n, len(doc), err)
		}
	}
}

// endless repeats a text for ever after a beginning.
type endless struct {
	first io.Reader
	text  string
	at    int
	given int
}

func (e *endless) Read(p []byte) (int, error) {
	if n, err := e.first.Read(p); err == nil {
		return n, nil
	}
	for i := range p {
		p[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	e.given += len(p)
	return len(p), nil
}

func TestDecode_endless(t *testing.T) {
	for name, c := range map[string]struct{ first, text, want string }{
		"element":   {`{"blocks":[[`, "255,", "too large"},
		"elements":  {`{"execution_witness":{"state":[`, "[1],", "too large"},
		"text":      {`{"execution_witness":{"state_trie_root":"`, "0", "a single value of more than"},
		"config":    {`{"execution_witness":{"chain_config":{"chainId":1,"x":[`, "1,", "a single value of more than"},
		"nesting":   {`{"unknown":`, "[", "nested"},
		"empty":     {`{"execution_witness":{"state":[`, "[],", "it is empty"},
		"its blank": {`{"blocks":[[1`, ",", "not a JSON value"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &endless{first: strings.NewReader(c.first), text: c.text}
			d := newDecoder(e, 1<<20)
			_, err := d.input()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if e.given > 64<<20 {
				t.Errorf("%d bytes were read before the error", e.given)
			}
		})
	}
}

func TestDecodeResponse_others(t *testing.T) {
	for _, doc := range []string{
		`"VersionMismatch"`,
		`{"ProverTypeNotNeeded":{"prover_type":"SP1"}}`,
		`{"BatchResponse":{"batch_number":null,"input":null,"format":null}}`,
		`{"BatchResponse":{"batch_number":3,"input":null,"format":null}}`,
	} {
		if b, err := DecodeResponse(strings.NewReader(doc)); b != nil || err != nil {
			t.Errorf("DecodeResponse(%s) = %v, %v, want nothing", doc, b, err)
		}
	}
	input := string(encoded(t, makeChain(t, 1).batch(1, 0)))
	for doc, want := range map[string]string{
		`{"BatchResponse":{"batch_number":null,"input":` + input + `}}`: "an input without a batch number",
		`{"BatchResponse":[1]}`:                              "BatchResponse is not an object",
		`{"BatchResponse":{"batch_number":-1,"input":null}}`: "batch_number",
		`{"BatchResponse":{}`:                                "ends early",
	} {
		if _, err := DecodeResponse(strings.NewReader(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("DecodeResponse(%.60s) = %v, want %s", doc, err, want)
		}
	}
}

func TestPublic(t *testing.T) {
	p := Public{
		InitialRoot: common.Hash{1}, FinalRoot: common.Hash{2}, LastHash: common.Hash{3},
		FirstBlock: 0x0405, LastBlock: 1<<63 + 6, Deposits: common.Hash{7},
	}
	raw := p.Encode()
	const zero = "00000000000000000000000000000000000000000000000000000000000000"
	want := "01" + zero + "02" + zero + "03" + zero + zero[:60] + "0405" + zero[:48] + "8000000000000006" + "07" + zero
	if got := common.Bytes2Hex(raw[:]); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if back, err := DecodePublic(raw[:]); err != nil || back != p {
		t.Errorf("DecodePublic gives %+v, %v", back, err)
	}
	raw[3*32] = 1
	for _, bad := range [][]byte{nil, raw[:191], append(raw[:], 0), raw[:]} {
		if _, err := DecodePublic(bad); err == nil {
			t.Errorf("DecodePublic of %d bytes gives no error", len(bad))
		}
	}
	if got := DepositsHash(nil); got != types.EmptyCodeHash {
		t.Errorf("the hash of no deposits is %s, want that of nothing", got)
	}
}

func TestBuildCommit(t *testing.T) {
	got, err := BuildCommit()
	if err != nil || !IsCommit(got) {
		t.Errorf("BuildCommit() = %q, %v", got, err)
	}
	const revision = "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct{ revision, modified, want string }{
		{revision, "false", revision}, {revision, "true", ""}, {revision, "", ""}, {"", "false", ""}, {"main", "false", ""},
	} {
		got := cleanRevision([]debug.BuildSetting{{Key: "vcs.revision", Value: c.revision}, {Key: "vcs.modified", Value: c.modified}})
		if got != c.want {
			t.Errorf("cleanRevision(%q, %q) = %q, want %q", c.revision, c.modified, got, c.want)
		}
	}
}

// FuzzDecode: no document makes it panic, and what it accepts comes back from
// its own encoding.
func FuzzDecode(f *testing.F) {
	doc := encoded(f, tiny(f))
	f.Add(doc)
	f.Add(bytes.ReplaceAll(doc, []byte(","), []byte(" ,\n")))
	f.Add([]byte(`{"blocks":[[1,2]],"execution_witness":{"codes":[],"state":null}}`))
	f.Add([]byte(`{"x":[{"y":"\u0041"}],"blocks":[[256]]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		b, err := newDecoder(bytes.NewReader(doc), 1<<20).input()
		if err != nil {
			return
		}
		again, err := Decode(bytes.NewReader(encoded(t, b)))
		if err != nil {
			t.Fatal(err)
		}
		same(t, again, b)
	})
}

// tiny is a batch that decodes and that no execution accepts.
func tiny(t testing.TB) Batch {
	t.Helper()
	parent := &types.Header{Number: big.NewInt(7), Difficulty: new(big.Int), Root: common.Hash{9}}
	raw, err := rlp.EncodeToBytes(parent)
	if err != nil {
		t.Fatal(err)
	}
	block := &types.Header{Number: big.NewInt(8), Difficulty: new(big.Int), ParentHash: parent.Hash()}
	return Batch{
		Blocks:  []*types.Block{types.NewBlockWithHeader(block)},
		Witness: &witness.Witness{State: [][]byte{{1, 255}}, Codes: [][]byte{{0}}, Keys: [][]byte{{10, 99, 100}}, Headers: [][]byte{raw}},
		Config:  &params.ChainConfig{ChainID: big.NewInt(1)},
	}
}

func BenchmarkEncode(b *testing.B) {
	input := hoodi(b)
	b.SetBytes(int64(len(encoded(b, input))))
	b.ReportAllocs()
	for b.Loop() {
		if err := Encode(io.Discard, input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	doc := encoded(b, hoodi(b))
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(doc)); err != nil {
			b.Fatal(err)
		}
	}
}
