package send

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

func TestParseAnswers(t *testing.T) {
	check := func(raw string, n int, want string) {
		t.Helper()
		answers := make([]answer, n)
		err := parseAnswers([]byte(raw), answers)
		var got []string
		for i := range answers {
			switch e := answers[i].err(); {
			case err != nil:
				got = append(got, "bad")
			case e != nil:
				got = append(got, e.Error())
			default:
				got = append(got, string(answers[i].result))
			}
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("parseAnswers(%s) = %s, want %s", raw, text, want)
		}
	}
	check(`[{"jsonrpc":"2.0","id":1,"result":"0x1"},{"id":2,"result":null}]`, 2, `"0x1"; null`)
	check(` [ {"result" : {"a":["}",1]} , "id" : 2 } , { "id":1,"error":{"message":"no \"way\"","code":-32000}}]`, 2,
		`no "way" (code -32000); {"a":["}",1]}`)
	check(`[{"id":3,"result":1},{"id":"1","result":1}]`, 2, `no answer in the batch; no answer in the batch`)
	check(`{"id":null,"error":{"code":-32600,"message":"batch too large"}}`, 2, `batch too large (code -32600); batch too large (code -32600)`)
	check(`{"id":1,"result":5,"error":null}`, 1, `5`)
	check(`[{"id":1,"error":"plain"}]`, 1, `plain (code 0)`)
	check(`[{"id":1,"result":`, 1, `bad`)
	check(`<html>`, 1, `bad`)
	check(``, 1, `bad`)
	check(`[]`, 1, `no answer in the batch`)
	check(`[1]`, 1, `bad`)
}

func TestParseQuantity(t *testing.T) {
	for text, want := range map[string]uint64{
		`"0x0"`: 0, `"0x1F"`: 31, `0xff`: 255, `"0xffffffffffffffff"`: math.MaxUint64, `"0x10000000000000000"`: math.MaxUint64,
	} {
		if got, ok := parseQuantity([]byte(text)); !ok || got != want {
			t.Errorf("parseQuantity(%s) = %d, %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{``, `"0x"`, `5`, `"0xg"`, `null`, `"`} {
		if got, ok := parseQuantity([]byte(text)); ok {
			t.Errorf("parseQuantity(%s) = %d, want none", text, got)
		}
	}
}

func TestParseBlock(t *testing.T) {
	one, two := common.Hash{1}, common.Hash{2}
	raw := `{"transactions":["` + one.Hex() + `", "` + two.Hex() + `"],"uncles":[],"number":"0x10","hash":"` + two.Hex() +
		`","parentHash":"` + one.Hex() + `","baseFeePerGas":"0x7"}`
	b, ok := parseBlock([]byte(raw))
	if !ok || b.number != 16 || b.hash != two || b.parent != one || b.baseFee != 7 || len(b.txs) != 2 || b.txs[1] != two {
		t.Errorf("parseBlock = %+v, %v", b, ok)
	}
	for _, bad := range []string{`null`, `{}`, strings.Replace(raw, "0x10", "x", 1), strings.Replace(raw, `"parentHash"`, `"p"`, 1), raw[:len(raw)-1]} {
		if _, ok := parseBlock([]byte(bad)); ok {
			t.Errorf("parseBlock took %s", bad)
		}
	}
}

func TestParseReceipts(t *testing.T) {
	h := common.Hash{9}
	raw := `[{"logs":[{"data":"0x]"}],"gasUsed":"0x5208","status":"0x0","transactionHash":"` + h.Hex() + `"},
		{"transactionHash":"` + h.Hex() + `","gasUsed":"0x1","status":"0x1"}]`
	var got []receipt
	if !parseReceipts([]byte(raw), func(r receipt) { got = append(got, r) }) || len(got) != 2 {
		t.Fatalf("parseReceipts gave %d", len(got))
	}
	if want := (receipt{h, 21_000, true}); got[0] != want {
		t.Errorf("the first receipt is %+v, want %+v", got[0], want)
	}
	if got[1].reverted {
		t.Error("the second receipt is of a reverted transaction, want not")
	}
	if parseReceipts([]byte("null"), func(receipt) {}) || parseReceipts([]byte(`[{"gasUsed":"0x1"}]`), func(receipt) {}) {
		t.Error("parseReceipts took what is none")
	}
}

// The scanner finds in valid JSON what encoding/json finds, and survives the
// rest.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":[true,null,"x\"\\"],"c":{"d":{}}}`, `[ ]`, `[1, [2,{"k":"v"}], -3.5e7]`, `{"a\u0062":"\\"}`, `{"":[]}`, `[}`, `{"a"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := scanner{b: raw}
		var keys, values [][]byte
		object := s.object(func(k, v []byte) bool { keys, values = append(keys, k), append(values, v); return true })
		s = scanner{b: raw}
		var elements [][]byte
		array := s.array(func(v []byte) bool { elements = append(elements, v); return true })
		if !json.Valid(raw) {
			return
		}
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil && list != nil {
			if !array || len(elements) != len(list) {
				t.Fatalf("%s has %d elements, the scanner found %d, %v", raw, len(list), len(elements), array)
			}
			for i := range list {
				if !bytes.Equal(bytes.TrimSpace(list[i]), elements[i]) {
					t.Errorf("element %d of %s is %q, want %q", i, raw, elements[i], list[i])
				}
			}
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) == nil && members != nil {
			if !object || len(keys) < len(members) {
				t.Fatalf("%s has %d members, the scanner found %d, %v", raw, len(members), len(keys), object)
			}
			for i, k := range keys {
				if want, ok := members[string(k)]; ok && len(keys) == len(members) && !bytes.Equal(want, values[i]) {
					t.Errorf("member %q of %s is %q, want %q", k, raw, values[i], want)
				}
			}
		}
	})
}

// No answer makes the parsers fail in any way but by saying so.
func FuzzAnswers(f *testing.F) {
	h := common.Hash{1}.Hex()
	f.Add([]byte(`[{"jsonrpc":"2.0","id":1,"result":"`+h+`"},{"id":2,"error":{"code":-32000,"message":"nonce too low"}}]`), uint8(2))
	f.Add([]byte(`{"id":null,"error":{"code":-32600,"message":"batch too large"}}`), uint8(3))
	f.Add([]byte(`{"number":"0x1","hash":"`+h+`","parentHash":"`+h+`","transactions":["`+h+`"]}`), uint8(1))
	f.Add([]byte(`[{"transactionHash":"`+h+`","gasUsed":"0x1","status":"0x0"}]`), uint8(0))
	f.Fuzz(func(t *testing.T, raw []byte, n uint8) {
		answers := make([]answer, n)
		items := make([]item, n)
		out := outcomesOf(raw, nil, items, answers, nil)
		if len(out) != len(items) {
			t.Fatalf("%d outcomes for %d items", len(out), len(items))
		}
		for _, o := range out {
			if o.reason == "" && !bytes.Contains(raw, []byte("result")) {
				t.Errorf("%q is taken for an acceptance", raw)
			}
		}
		if b, ok := parseBlock(raw); ok && b.txs == nil {
			t.Error("a block without its list of transactions")
		}
		parseReceipts(raw, func(receipt) {})
		parsePresence(raw)
		poolContent(raw)
	})
}

func TestAppendSends(t *testing.T) {
	items := []item{{raw: []byte{2, 0xab}}, {raw: []byte{3}}}
	type request struct {
		JSONRPC, Method string
		ID              int
		Params          []string
	}
	var batch []request
	if err := json.Unmarshal(appendSends(nil, items), &batch); err != nil {
		t.Fatal(err)
	}
	if r := batch[1]; len(batch) != 2 || batch[0].Params[0] != "0x02ab" || r.ID != 2 || r.Method != "eth_sendRawTransaction" || r.JSONRPC != "2.0" {
		t.Errorf("the batch is %+v", batch)
	}
	var one request
	if err := json.Unmarshal(appendSends(nil, items[:1]), &one); err != nil || one.Params[0] != "0x02ab" {
		t.Errorf("a batch of one is %+v (%v), want a plain request", one, err)
	}
}

// BenchmarkAppendSends is what encoding a batch costs.
func BenchmarkAppendSends(b *testing.B) {
	items := make([]item, 100)
	for i := range items {
		items[i].raw = make([]byte, 116)
	}
	var body []byte
	for b.Loop() {
		body = appendSends(body[:0], items)
	}
	b.ReportMetric(float64(b.N*len(items))/b.Elapsed().Seconds(), "tx/s")
}

// BenchmarkReceipts is what following costs, for receipts as geth gives them.
func BenchmarkReceipts(b *testing.B) {
	one := `{"blockHash":"` + common.Hash{}.Hex() + `","logsBloom":"0x` + strings.Repeat("0", 512) + `","logs":[],"transactionHash":"` +
		common.Hash{1}.Hex() + `","gasUsed":"0x5208","status":"0x1","from":"0x0000000000000000000000000000000000000000"}`
	raw := []byte("[" + strings.Repeat(one+",", 999) + one + "]")
	b.SetBytes(int64(len(raw)))
	n := 0
	for b.Loop() {
		parseReceipts(raw, func(receipt) { n++ })
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "receipts/s")
}
