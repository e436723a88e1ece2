package coordinator

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	check := func(doc string, want Message) {
		t.Helper()
		want.Size = int64(len(doc))
		if got, err := Scan([]byte(doc)); err != nil || got != want {
			t.Errorf("Scan(%s) = %+v, %v, want %+v", doc, got, err, want)
		}
	}
	check(``, Message{Kind: Empty})
	check(" \n", Message{Kind: Empty})
	check(`"VersionMismatch"`, Message{Kind: VersionMismatch, Tag: "VersionMismatch"})
	check(`"ProverSetupACK"`, Message{Kind: ProverSetupACK, Tag: "ProverSetupACK"})
	check(`{"BatchRequest":{"commit_hash":"ab","prover_type":"SP1"}}`,
		Message{Kind: BatchRequest, Tag: "BatchRequest", Commit: "ab", Prover: "SP1"})
	check(`{"BatchRequest":{"commit_hash":"ab"}}`, Message{Kind: BatchRequest, Tag: "BatchRequest", Commit: "ab"})
	check(`{"NoBatchForVersion":{"commit_hash":"ab"}}`, Message{Kind: NoBatchForVersion, Tag: "NoBatchForVersion", Commit: "ab"})
	check(`{"ProverTypeNotNeeded":{"prover_type":"Exec"}}`, Message{Kind: TypeNotNeeded, Tag: "ProverTypeNotNeeded", Prover: "Exec"})
	check(`{"BatchResponse":{"batch_number":null,"input":null,"format":null}}`, Message{Kind: BatchResponse, Tag: "BatchResponse"})
	check(`{"BatchResponse":{"batch_number":7,"input":{"a":[1,{"input":"}"}]},"format":"Groth16"}}`,
		Message{Kind: BatchResponse, Tag: "BatchResponse", Batch: 7, HasBatch: true, Format: "Groth16", InputBegin: 43, InputEnd: 66})
	check(`{"InputResponse":{"id":0,"format":null,"input":{}}}`,
		Message{Kind: InputResponse, Tag: "InputResponse", HasBatch: true, ByID: true, InputBegin: 47, InputEnd: 49})
	check(`{"ProofSubmit":{"batch_number":3,"batch_proof":{"ProofCalldata":{"prover_type":"Exec"}}}}`,
		Message{Kind: ProofSubmit, Tag: "ProofSubmit", Batch: 3, HasBatch: true})
	check(`{"Future":{"batch_number":9}}`, Message{Kind: Unknown, Tag: "Future", Batch: 9, HasBatch: true})
	check(`{"\u0042atchRequest":{}}`, Message{Kind: BatchRequest, Tag: "BatchRequest"})
	check(`{"A":1,"BatchRequest":{}}`, Message{Kind: Unknown, Tag: "A"})
	check(`[1,2]`, Message{Kind: Unknown})
	check(`{}`, Message{Kind: Unknown})
	check(`12`, Message{Kind: Unknown})
}

func TestScan_malformed(t *testing.T) {
	for _, doc := range []string{
		`{`, `{"A"`, `{"A":`, `{"A":1`, `{"A":{"b":[1,2}}`, `{"A":{"b":{]}}`, `{"A":1,}`, `{"A":1}x`, `"A`, `{A:1}`, `{"A":tru}`,
		`{"BatchRequest":{"input":1,"input":2}}`, `]`, `{"A":"\x"}`, strings.Repeat("[", maxDepth+1),
		`{"BatchResponse":{"batch_number":7,"input":[1,2,3`,
	} {
		if m, err := Scan([]byte(doc)); err == nil {
			t.Errorf("Scan(%.60s) = %+v, want an error", doc, m)
		}
	}
	if m, err := Scan([]byte(`{"BatchResponse":{"batch_number":7,"input":[1,`)); m.Batch != 7 || err == nil {
		t.Errorf("a document that breaks off = %+v, %v, want its batch and an error", m, err)
	}
}

// The input of any size and content leaves the scanner's memory as it is.
func TestScanner_memory(t *testing.T) {
	var s Scanner
	s.Write([]byte(`{"BatchResponse":{"batch_number":1,"format":"Groth16","input":{"text":"`))
	if n := testing.AllocsPerRun(10, func() {
		s.Write(bytes.Repeat([]byte{'x'}, 1))
		s.Write(numbers)
	}); n > 1 {
		t.Errorf("a megabyte of input makes %v allocations, want none", n)
	}
	s.Write([]byte(`"}}}`))
	if m, err := s.Message(); err != nil || m.Batch != 1 || m.InputEnd-m.InputBegin < int64(len(numbers)) {
		t.Errorf("message = %+v, %v", m, err)
	}
	if cap(s.kept) > 2*maxKept {
		t.Errorf("the scanner keeps %d bytes", cap(s.kept))
	}
}

// numbers is a megabyte as inputs have it, without brackets.
var numbers = bytes.Repeat([]byte("12,255,0,7,"), 1<<20/11)

func TestScan_samples(t *testing.T) {
	raw, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples []struct{ JSON json.RawMessage }
	if err := json.Unmarshal(raw, &samples); err != nil {
		t.Fatal(err)
	}
	var kinds []Kind
	for _, s := range samples {
		m, err := Scan(s.JSON)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, m.Kind)
	}
	want := []Kind{BatchRequest, BatchResponse, VersionMismatch, TypeNotNeeded, ProofSubmit, ProofSubmitACK}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("the samples are %v, want %v", kinds, want)
	}
}

func TestWrite_readsBack(t *testing.T) {
	check := func(doc []byte, text string) {
		t.Helper()
		if string(doc) != text {
			t.Errorf("got %s, want %s", doc, text)
		}
	}
	check(Request(BatchRequest, "ab", "SP1"), `{"BatchRequest":{"commit_hash":"ab","prover_type":"SP1"}}`)
	check(Request(BatchRequest, "ab", ""), `{"BatchRequest":{"commit_hash":"ab"}}`)
	check(Acknowledge(Message{Batch: 3}), `{"ProofSubmitACK":{"batch_number":3}}`)
	check(Acknowledge(Message{Batch: 3, ByID: true}), `{"ProofSubmitACK":{"id":3}}`)
	check(NothingToDo(Message{Kind: BatchRequest}), `{"BatchResponse":{"batch_number":null,"input":null,"format":null}}`)
	check(NothingToDo(Message{Kind: InputRequest}), `{"InputResponse":{"id":null,"input":null,"format":null}}`)
}

func TestReadProof(t *testing.T) {
	check := func(doc string, want Proof) {
		t.Helper()
		if got, err := ReadProof([]byte(doc)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ReadProof(%s) = %+v, %v, want %+v", doc, got, err, want)
		}
	}
	check(`{"ProofSubmit":{"batch_number":3,"batch_proof":{"ProofCalldata":{"prover_type":"Exec","calldata":[{"Bytes":[]}]}}}}`,
		Proof{Batch: 3, Form: "ProofCalldata", Prover: "Exec"})
	check(`{"ProofSubmit":{"batch_number":3,"batch_proof":{"ProofBytes":{"prover_type":"SP1","proof":[1],"public_values":[2,3]}}}}`,
		Proof{Batch: 3, Form: "ProofBytes", Prover: "SP1", Public: json.RawMessage(`[2,3]`)})
	check(`{"ProofSubmit":{"id":4,"proof":{"ProofWithPublicValues":{"proof_bytes":{},"public_values":[2]}}}}`,
		Proof{Batch: 4, Form: "ProofWithPublicValues", Public: json.RawMessage(`[2]`)})
	check(`{"ProofSubmit":{"id":4,"proof":{"Proof":[1]}}}`, Proof{Batch: 4, Form: "Proof"})
	for _, doc := range []string{``, `"ProofSubmit"`, `{"ProofSubmit":{"id":4}}`, `{"ProofSubmit":{"batch_proof":{}}}`, `{"ProofSubmit":{"id":4,"proof":{}}}`, `{"BatchRequest":{}}`} {
		if p, err := ReadProof([]byte(doc)); err == nil {
			t.Errorf("ReadProof(%s) = %+v, want an error", doc, p)
		}
	}
}

// A document means the same however it is cut into pieces, and what
// encoding/json accepts is understood as encoding/json does.
func FuzzScanner(f *testing.F) {
	for _, doc := range []string{
		`"VersionMismatch"`, `{"BatchRequest":{"commit_hash":"ab","prover_type":"SP1"}}`,
		`{"BatchResponse":{"batch_number":7,"input":{"a":[1,{"b":"}\"\\"}]},"format":null}}`,
		` { "InputResponse" : { "id" : 1 , "input" : [ [ ] ] , "\u0066ormat":"x" } } `, `{"A":[1,2],"B":3}`, `12`, ``, `{"A":{"input":nul}}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		want, wantErr := Scan(doc)
		same := func(cuts ...int) {
			var s Scanner
			from := 0
			for _, to := range append(cuts, len(doc)) {
				s.Write(doc[from:to])
				from = to
			}
			if got, err := s.Message(); got != want || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("cut at %v of %q: %+v, %v, want %+v, %v", cuts, doc, got, err, want, wantErr)
			}
		}
		every := make([]int, len(doc))
		for i := range doc {
			same(i)
			every[i] = i
		}
		same(every...)
		compareWithJSON(t, doc, want, wantErr)
	})
}

func compareWithJSON(t *testing.T, doc []byte, got Message, gotErr error) {
	var top map[string]json.RawMessage
	if json.Unmarshal(doc, &top) != nil || top == nil || bytes.Contains(doc, []byte{0xff}) {
		return
	}
	if gotErr != nil {
		// encoding/json takes duplicates, and nests deeper.
		if !strings.Contains(gotErr.Error(), "a second") && !strings.Contains(gotErr.Error(), "nested") {
			t.Fatalf("Scan(%q): %v, but it is JSON", doc, gotErr)
		}
		return
	}
	if len(top) != 1 || got.Tag == "" || bytes.Count(doc, []byte(`:`)) == 0 {
		return
	}
	body, ok := top[got.Tag]
	if !ok {
		t.Fatalf("Scan(%q): tag %q, which the document lacks", doc, got.Tag)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || got.Kind == Unknown {
		return
	}
	input := string(fields["input"])
	if input == "null" {
		input = ""
	}
	if text := string(doc[got.InputBegin:got.InputEnd]); text != input {
		t.Fatalf("Scan(%q): input %q, want %q", doc, text, input)
	}
}

func BenchmarkScanner(b *testing.B) {
	doc := []byte(`{"BatchResponse":{"batch_number":1,"input":[` + string(numbers) + `0],"format":"Groth16"}}`)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if m, err := Scan(doc); err != nil || !m.HasInput() {
			b.Fatal(m, err)
		}
	}
}
