package witness

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/jsonstream"
	"github.com/verdict-bench/verdict/internal/sample"
)

// scan checks that Scan and Decode agree on answer, and returns the summary.
func scan(t testing.TB, answer string) (Summary, error) {
	t.Helper()
	summary, err := Scan(strings.NewReader(answer))
	w, decodeErr := Decode(strings.NewReader(answer))
	if fmt.Sprint(err) != fmt.Sprint(decodeErr) {
		t.Fatalf("Scan: %v\nDecode: %v", err, decodeErr)
	}
	if err == nil && w.Summary() != summary {
		t.Fatalf("Scan: %+v\nDecode: %+v", summary, w.Summary())
	}
	return summary, err
}

// header is a small header, as RLP and as the object geth sends.
func header(t testing.TB) (encoded []byte, object string) {
	t.Helper()
	h := new(types.Header)
	if err := json.Unmarshal([]byte(headerObject), h); err != nil {
		t.Fatal(err)
	}
	encoded, err := rlp.EncodeToBytes(h)
	if err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return encoded, string(written)
}

var headerObject = `{"parentHash":"0x5ec43aa09c9145c93f7bc57a0d4e19e6eacdfe1b4b053e48825f9c88e120c62b",
"sha3Uncles":"0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
"miner":"0x71b981b8aeade9af6363ab9a2b8dc9b70bf3c8c6",
"stateRoot":"0xf7c1acf1facc79a7c560efa36f1158a0b643ed14519aaa06f56949ad60d6b03f",
"transactionsRoot":"0x57ff2343d87b65b8b955e842b898a6d37287b640320b0440fda4efbfacc6ec75",
"receiptsRoot":"0x505ef53ed3e506889ee295ec0ea2d73da43f4b10e55741723cdfc84ba350e739",
"logsBloom":"0x` + strings.Repeat("00", 256) + `","difficulty":"0x0","number":"0x134ff8",
"gasLimit":"0x392a220","gasUsed":"0x432f03","timestamp":"0x68d1422c","extraData":"0x6572"}`

func TestScan_shapes(t *testing.T) {
	encoded, object := header(t)
	rlpHex := fmt.Sprintf(`"0x%x"`, encoded)
	plain := `{"state":["0xf851","0xf90211"],"codes":["0x6080"],"keys":["0x411e"],"headers":[` + rlpHex + `]}`
	want, err := scan(t, plain)
	if err != nil {
		t.Fatal(err)
	}
	if counts := (sample.Counts{StateNodes: 2, Codes: 1, Keys: 1, Headers: 1}); want.Counts != counts {
		t.Errorf("counts = %+v, want %+v", want.Counts, counts)
	}
	if size := (Parts{State: 5, Codes: 2, Keys: 2, Headers: int64(len(encoded))}); want.Bytes != size {
		t.Errorf("sizes = %+v, want %+v", want.Bytes, size)
	}
	for name, answer := range map[string]string{
		"response":        `{"jsonrpc":"2.0","id":1,"result":` + plain + `}`,
		"result first":    `{"result":` + plain + `,"id":"x","extra":[{"a":[1e3,-0.5,true,false,null,"\u00e9\""]}]}`,
		"error null":      `{"error":null,"result":` + plain + `}`,
		"white space":     "\n\t" + strings.ReplaceAll(plain, ",", " ,\r\n ") + "\n",
		"other order":     `{"headers":[` + rlpHex + `],"keys":["0x411e"],"codes":["0x6080"],"state":["0xf90211","0xf851"]}`,
		"upper case":      `{"state":["0xF851","0xF90211"],"codes":["0x6080"],"keys":["0x411E"],"headers":[` + rlpHex + `]}`,
		"escapes":         `{"st\u0061te":["0\u0078f851","0xf90211"],"codes":["0x6080"],"keys":["0x411e"],"headers":[` + rlpHex + `]}`,
		"nulls and twice": `{"state":["0x80","0xf851","0x","0xf851","0xf90211"],"codes":["0x6080","0x"],"keys":["0x411e","0x411e"],"headers":[` + rlpHex + `,` + rlpHex + `]}`,
		"header objects":  `{"state":["0xf851","0xf90211"],"codes":["0x6080"],"keys":["0x411e"],"headers":[` + object + `]}`,
		"headers no hash": `{"state":["0xf851","0xf90211"],"codes":["0x6080"],"keys":["0x411e"],"headers":[` + headerObject + `]}`,
		"maps":            `{"state":{"0x01":"0xf851","0x02":"0xf90211"},"codes":{"0x03":"0x6080"},"keys":{"0x04":"0x411e"},"headers":[` + rlpHex + `]}`,
	} {
		got, err := scan(t, answer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Digest != want.Digest || got.KeysDigest != want.KeysDigest || got.Counts != want.Counts {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestScan_absentParts(t *testing.T) {
	for _, answer := range []string{
		`{"state":["0x01"],"codes":null,"headers":null,"keys":null}`,
		`{"state":["0x01"],"codes":[],"headers":[]}`,
		`{"state":["0x01"],"codes":{}}`,
	} {
		got, err := scan(t, answer)
		if want := (sample.Counts{StateNodes: 1}); err != nil || got.Counts != want {
			t.Errorf("%s: %+v, %v, want %+v", answer, got.Counts, err, want)
		}
	}
}

// TestScan_digest holds a digest that a second implementation made from the
// description of the format, and the properties it is made for.
func TestScan_digest(t *testing.T) {
	digest := func(answer string) string {
		t.Helper()
		s, err := scan(t, answer)
		if err != nil {
			t.Fatal(err)
		}
		return s.Digest
	}
	base := digest(`{"state":["0x01","0x02"],"codes":["0x03"],"headers":["0x04"],"keys":["0x05"]}`)
	const want = "0x5eefe4ab35acb1622e345f1b783806cfe1583e3b5eec65efb0e7d9dd2989129b"
	if base != want {
		t.Errorf("digest = %s, want %s: the format must not change", base, want)
	}
	if got := digest(`{"state":["0x01","0x02"],"codes":["0x03"],"headers":["0x04"],"keys":["0x06","0x07"]}`); got != base {
		t.Error("the keys change the digest")
	}
	for name, answer := range map[string]string{
		"moved to codes":   `{"state":["0x01"],"codes":["0x02","0x03"],"headers":["0x04"]}`,
		"moved to headers": `{"state":["0x01","0x02"],"codes":[],"headers":["0x03","0x04"]}`,
		"element missing":  `{"state":["0x01"],"codes":["0x03"],"headers":["0x04"]}`,
		"byte changed":     `{"state":["0x01","0x12"],"codes":["0x03"],"headers":["0x04"]}`,
		"elements joined":  `{"state":["0x0102"],"codes":["0x03"],"headers":["0x04"]}`,
		"null code":        `{"state":["0x01","0x02"],"codes":["0x03","0x80"],"headers":["0x04"]}`,
	} {
		if digest(answer) == base {
			t.Errorf("%s: the same digest", name)
		}
	}
}

func TestScan_countsWhatIsDropped(t *testing.T) {
	got, err := scan(t, `{"state":["0x80","0x","0x01","0x01","0x01"],"codes":["0x80"],"keys":["0x02","0x02"]}`)
	want := Summary{
		Counts:     sample.Counts{StateNodes: 1, Codes: 1, Keys: 1},
		Bytes:      Parts{State: 4, Codes: 1, Keys: 2},
		Nulls:      Parts{State: 2},
		Duplicates: Parts{State: 2, Keys: 1},
		Digest:     got.Digest, KeysDigest: got.KeysDigest,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestScan_malformed(t *testing.T) {
	_, object := header(t)
	for answer, want := range map[string]string{
		`[]`:                                       `byte 0: the answer is not a JSON object: it begins with '['`,
		`<html>`:                                   `begins with '<'`,
		`{}`:                                       `neither a result nor an error`,
		`{"result":null}`:                          `the result is null`,
		`{"result":"0x"}`:                          `the result is not an object`,
		`{"result":{}}`:                            `state or codes are not in it`,
		`{"state":[],"state":[],"codes":[]}`:       `state occurs twice`,
		`{"result":{},"result":{}}`:                `result occurs twice`,
		`{"state":7,"codes":[]}`:                   `state is neither an array nor an object: it begins with '7'`,
		`{"state":["0x01","02"],"codes":[]}`:       `state[1]: hex string without 0x prefix`,
		`{"state":[],"codes":["0x012"]}`:           `codes[0]: hex string with an odd number of digits`,
		`{"state":[],"codes":["0x0g"]}`:            `codes[0]: 'g' is not a hex digit`,
		`{"state":{"a":"0x01","b":"zz"}}`:          `state[1]: hex string without 0x prefix`,
		`{"state":[null],"codes":[]}`:              `state[0] is not a string`,
		`{"state":[{}],"codes":[]}`:                `state[0] is not a string: it begins with '{'`,
		`{"state":["0x01" "0x02"],"codes":[]}`:     `'"' where ',' or ']' is expected`,
		`{"state":["0x01",],"codes":[]}`:           `it begins with ']'`,
		`{"state":[],"codes":[]} {}`:               `more data after the answer`,
		`{"state":[],"codes":[],"x":tru}`:          `"tru" is not a JSON value`,
		`{"state":[],"codes":[],"x":01}`:           `"01" is not a JSON value`,
		`{"state":[],"codes":[],"x":"\q"}`:         `invalid string`,
		"{\"state\":[],\"codes\":[],\"x\":\"\n\"}": `control character`,
		`{"error":5}`:                              `not a JSON-RPC error`,
		`{"x":` + strings.Repeat("[", 600):         `values nested`,

		`{"state":[],"codes":[],"headers":[{"number":"0x1"}]}`:                                                                           `headers[0]: header: missing required field`,
		`{"state":[],"codes":[],"headers":[` + strings.Replace(object, `"timestamp":"0x68d1422c"`, `"timestamp":"0x68d1422d"`, 1) + `]}`: `headers[0]: header 1265656: its fields hash to`,
		`{"state":[],"codes":[],"headers":[` + strings.Replace(headerObject, `"number"`, `"newRoot":"0x00","number"`, 1) + `]}`:          `unknown field "newRoot"`,
	} {
		_, err := scan(t, answer)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", answer, err, want)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%.80s: %v: looks truncated", answer, err)
		}
	}
}

func TestScan_truncated(t *testing.T) {
	_, object := header(t)
	answer := `{"id":1,"x":[1.5,"\u0041"],"result":{"state":["0x01","0x80"],"codes":{"0x":"0x6080"},"headers":[` + object + `],"keys":null}}`
	if _, err := scan(t, answer); err != nil {
		t.Fatal(err)
	}
	begin := strings.Index(answer, object)
	for n := range len(answer) {
		if inside := begin+40 < n && n < begin+len(object)-40; inside && n%29 != 0 {
			continue // one digit of a header is like another
		}
		if _, err := scan(t, answer[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	// A stream that breaks off behind the last byte is truncated too: its
	// checksum was never seen.
	broken := io.MultiReader(strings.NewReader(answer), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := Scan(broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("stream that breaks off: %v", err)
	}
	if _, err := Scan(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("stream that fails: %v", err)
	}
	if _, err := scan(t, ""); err == nil || !strings.Contains(err.Error(), "the answer is empty") {
		t.Errorf("empty answer: %v", err)
	}
}

func TestScan_rpcErrors(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "debug_executionWitness-errors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Case     string
		Response json.RawMessage
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		var want struct{ Error ethrpc.Error }
		if err := json.Unmarshal(c.Response, &want); err != nil {
			t.Fatal(err)
		}
		_, err := scan(t, string(c.Response))
		var got *ethrpc.Error
		if !errors.As(err, &got) || got.Code != want.Error.Code || got.Message != want.Error.Message {
			t.Errorf("%s: %v, want %v", c.Case, err, &want.Error)
		}
	}
}

func TestScan_servedSample(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "debug_executionWitness-ok.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := scan(t, string(raw))
	if want := (sample.Counts{StateNodes: 2, Codes: 1, Keys: 3, Headers: 2}); err != nil || got.Counts != want || got.Nulls.State != 1 {
		t.Errorf("%+v, %v, want %+v and one null node", got, err, want)
	}
}

// TestScan_anyBuffer cuts one answer at every place, since tokens may lie on
// the edge of what was read.
func TestScan_anyBuffer(t *testing.T) {
	_, object := header(t)
	big := strings.Repeat("ab", 3*jsonstream.Chunk)
	answer := `{"k\n\"ey":"a\\","state":["0x01","0x` + big + `","0\u007802"],"codes":["0x03"],"headers":[` + object + `]}`
	want, err := scan(t, answer)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []io.Reader{
		iotest.OneByteReader(strings.NewReader(answer)),
		iotest.HalfReader(strings.NewReader(answer)),
		iotest.DataErrReader(strings.NewReader(answer)),
	} {
		if got, err := Scan(r); err != nil || got != want {
			t.Errorf("%T: %+v, %v, want %+v", r, got, err, want)
		}
	}
}

func TestScan_realWitness(t *testing.T) {
	path := filepath.Join("..", "..", "..", "shared", "data", "witness-blocks", "hoodi_1265656.json.gz")
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("the real block is not beside this checkout: %v", err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var cache struct{ Witness json.RawMessage }
	if err := json.NewDecoder(plain).Decode(&cache); err != nil {
		t.Fatal(err)
	}
	got, err := scan(t, string(cache.Witness))
	if err != nil {
		t.Fatal(err)
	}
	served := got.Counts
	served.StateNodes += int(got.Nulls.State + got.Duplicates.State)
	served.Keys += int(got.Duplicates.Keys)
	if want := (sample.Counts{StateNodes: 1705, Codes: 22, Keys: 422, Headers: 6}); served != want {
		t.Errorf("served %+v, want %+v", served, want)
	}
}

// TestScan_memory checks the promise that the size of the answer does not
// matter: what is live at the end of a large one fits in far less.
func TestScan_memory(t *testing.T) {
	const nodes, size = 10_000, 1000
	r := &generated{nodes: nodes, size: size}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := Scan(r)
	if err != nil || got.StateNodes != nodes {
		t.Fatalf("%+v, %v", got, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d bytes allocated for an answer of %d", used, nodes*size*2)
	}
}

// generated is one answer with nodes random nodes of size bytes, made as it is
// read.
type generated struct {
	nodes, size int
	rest        []byte
	node, line  []byte
	done        int
	rnd         *rand.ChaCha8
}

func (g *generated) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		switch {
		case g.rnd == nil:
			g.rnd = rand.NewChaCha8([32]byte{})
			g.node = make([]byte, g.size)
			g.rest = []byte(`{"jsonrpc":"2.0","id":1,"result":{"codes":[],"state":["0x80"`)
		case g.done < g.nodes:
			g.done++
			g.rnd.Read(g.node)
			g.line = append(hex.AppendEncode(append(g.line[:0], `,"0x`...), g.node), '"')
			g.rest = g.line
		case g.done == g.nodes:
			g.done++
			g.rest = []byte(`]}}`)
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// naive reads an answer with encoding/json alone: the oracle of the fuzz test.
func naive(answer []byte) (*Witness, error) {
	if !json.Valid(answer) {
		return nil, errors.New("not JSON")
	}
	w := new(Witness)
	seen := map[string]bool{}
	var failure *ethrpc.Error
	var members func(raw []byte, top bool) error
	members = func(raw []byte, top bool) error {
		return eachMember(raw, func(key string, value json.RawMessage) error {
			p, ok := partOf([]byte(key))
			switch {
			case ok:
				if seen[key] {
					return errors.New("twice")
				}
				seen[key] = true
				list, err := naivePart(p, value)
				*w.list(p) = list
				return err
			case top && key == "result":
				if seen[key] {
					return errors.New("twice")
				}
				seen[key] = true
				return members(value, false)
			case top && key == "error":
				return json.Unmarshal(value, &failure)
			}
			return nil
		})
	}
	err := members(answer, true)
	if err == nil && failure != nil {
		err = failure
	}
	if err == nil && !(seen["state"] && seen["codes"]) {
		err = errors.New("not a witness")
	}
	return w, err
}

// eachMember calls f for the members of a JSON object in their order.
func eachMember(raw []byte, f func(key string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("not an object: %v", err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := f(key.(string), value); err != nil {
			return err
		}
	}
	return nil
}

func naivePart(p part, raw json.RawMessage) ([][]byte, error) {
	var values []json.RawMessage
	switch raw[0] {
	case '[', 'n':
		if err := json.Unmarshal(raw, &values); err != nil {
			return nil, err
		}
	default:
		err := eachMember(raw, func(_ string, v json.RawMessage) error { values = append(values, v); return nil })
		if err != nil {
			return nil, err
		}
	}
	var list [][]byte
	for _, v := range values {
		var s string
		if v[0] == '{' && p == headers {
			b, err := encodeHeader(v)
			if err != nil {
				return nil, err
			}
			list = append(list, b)
			continue
		}
		if err := json.Unmarshal(v, &s); err != nil || v[0] == 'n' {
			return nil, errors.New("not a string")
		}
		digits, ok := strings.CutPrefix(s, "0x")
		b, err := hex.DecodeString(digits)
		if err != nil || !ok {
			return nil, errors.New("not hex")
		}
		list = append(list, b)
	}
	return list, nil
}

func FuzzScan(f *testing.F) {
	encoded, object := header(f)
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"state":["0xf8","0x80","0x"],"codes":{"a":"0x6080"},"keys":null,"headers":["0x` + hex.EncodeToString(encoded) + `",` + object + `]}}`))
	f.Add([]byte(`{"error":{"code":-32000,"message":"x\u0041\"\\"},"id":null}`))
	f.Add([]byte(`{"state":["0\u0078AB"],"codes":[],"y":[[{"z":[1e-3,0,-1.5E+2,true]}]]} `))
	f.Fuzz(func(t *testing.T, answer []byte) {
		got, err := scan(t, string(answer))
		if err != nil && strings.Contains(err.Error(), "values nested") {
			return // encoding/json nests deeper
		}
		want, wantErr := naive(answer)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Scan: %v\nencoding/json: %v", err, wantErr)
		}
		if err == nil && got != want.Summary() {
			t.Fatalf("Scan: %+v\nencoding/json: %+v", got, want.Summary())
		}
		if small, smallErr := Scan(iotest.OneByteReader(bytes.NewReader(answer))); small != got || fmt.Sprint(smallErr) != fmt.Sprint(err) {
			t.Fatalf("byte by byte: %+v, %v\nat once: %+v, %v", small, smallErr, got, err)
		}
	})
}

// text is an answer of about 64 MB with nodes as large as a full branch node.
func text() []byte {
	b, err := io.ReadAll(&generated{nodes: 60_000, size: 532})
	if err != nil {
		panic(err) // it does not fail
	}
	return b
}

func BenchmarkScan(b *testing.B) {
	answer := text()
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Scan(bytes.NewReader(answer)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	answer := text()
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(answer)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSet_compacts(t *testing.T) {
	var s set
	for i := range 100_000 {
		s.add([32]byte{byte(i % 50)})
	}
	if cap(s.sums) > 1024 {
		t.Errorf("%d distinct hashes take room for %d", 50, cap(s.sums))
	}
	s.compact()
	if len(s.sums) != 50 || !slices.IsSortedFunc(s.sums, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }) {
		t.Errorf("%d hashes, want 50 in order", len(s.sums))
	}
}
