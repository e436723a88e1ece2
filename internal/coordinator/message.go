package coordinator

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Kind says which message a document is.
type Kind string

// The messages, by their tags. Batches became payloads in newer versions, whose
// requests and answers are InputRequest and InputResponse.
const (
	BatchRequest      Kind = "BatchRequest"
	BatchResponse     Kind = "BatchResponse"
	InputRequest      Kind = "InputRequest"
	InputResponse     Kind = "InputResponse"
	VersionMismatch   Kind = "VersionMismatch"
	NoBatchForVersion Kind = "NoBatchForVersion"
	TypeNotNeeded     Kind = "ProverTypeNotNeeded"
	ProofSubmit       Kind = "ProofSubmit"
	ProofSubmitACK    Kind = "ProofSubmitACK"
	ProverSetup       Kind = "ProverSetup"
	ProverSetupACK    Kind = "ProverSetupACK"
	// Empty is a document without a byte: as an answer, the coordinator's
	// internal error.
	Empty Kind = "empty"
	// Unknown is any other document. It passes as it is.
	Unknown Kind = "unknown"
)

// tags are the kinds that stand in documents.
var tags = []Kind{
	BatchRequest, BatchResponse, InputRequest, InputResponse, VersionMismatch,
	NoBatchForVersion, TypeNotNeeded, ProofSubmit, ProofSubmitACK, ProverSetup, ProverSetupACK,
}

// wanted are the fields that a Scanner keeps.
var wanted = []string{"batch_number", "id", "commit_hash", "prover_type", "format", "input"}

// Message is what is known of a document without decoding it.
type Message struct {
	Kind Kind
	// Tag is the document's own tag, also where the kind is Unknown.
	Tag string
	// Batch is the number of the batch or payload, where HasBatch says that
	// there is one. ByID says that it stands in "id", as in newer versions.
	Batch          uint64
	HasBatch, ByID bool
	// Commit, Prover and Format are the texts of commit_hash, prover_type and
	// format, "" where they are missing, null or not texts.
	Commit, Prover, Format string
	// InputBegin and InputEnd are the offsets of the input in the document;
	// they are equal where there is none or it is null.
	InputBegin, InputEnd int64
	// Size is the number of bytes that were read.
	Size int64
}

// HasInput reports an answer that gives a prover something to prove.
func (m Message) HasInput() bool {
	return (m.Kind == BatchResponse || m.Kind == InputResponse) && m.HasBatch && m.InputEnd > m.InputBegin
}

// IsRequest reports a prover's question for work.
func (m Message) IsRequest() bool { return m.Kind == BatchRequest || m.Kind == InputRequest }

// message reads the kept fields.
func (s *Scanner) message() Message {
	m := Message{Kind: Unknown, Tag: s.tag, Size: s.offset}
	if s.tags == 1 {
		for _, k := range tags {
			if string(k) == s.tag {
				m.Kind = k
			}
		}
	}
	for _, f := range s.fields {
		switch f.name {
		case "batch_number", "id":
			if n, err := strconv.ParseUint(string(f.raw), 10, 64); err == nil {
				m.Batch, m.HasBatch, m.ByID = n, true, f.name == "id"
			}
		case "commit_hash":
			m.Commit = textOf(f.raw)
		case "prover_type":
			m.Prover = textOf(f.raw)
		case "format":
			m.Format = textOf(f.raw)
		case "input":
			if string(f.raw) != "null" {
				m.InputBegin, m.InputEnd = f.begin, f.end
			}
		}
	}
	return m
}

func textOf(raw []byte) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// Scan reads a document that is whole in memory.
func Scan(doc []byte) (Message, error) {
	var s Scanner
	s.Write(doc)
	return s.Message()
}

// Request makes a prover's question for work. Without a prover type it is that
// of versions before 2026-02-20.
func Request(kind Kind, commit, prover string) []byte {
	body := struct {
		Commit string `json:"commit_hash"`
		Prover string `json:"prover_type,omitempty"`
	}{commit, prover}
	return document(kind, body)
}

// NothingToDo is the answer to request when there is no work.
func NothingToDo(request Message) []byte {
	if request.Kind == InputRequest {
		return []byte(`{"InputResponse":{"id":null,"input":null,"format":null}}`)
	}
	return []byte(`{"BatchResponse":{"batch_number":null,"input":null,"format":null}}`)
}

// Acknowledge is the answer to the proof submit, in its own form.
func Acknowledge(submit Message) []byte {
	name := "batch_number"
	if submit.ByID {
		name = "id"
	}
	return document(ProofSubmitACK, map[string]uint64{name: submit.Batch})
}

// document writes values that always encode.
func document(kind Kind, body any) []byte {
	doc, err := json.Marshal(map[Kind]any{kind: body})
	if err != nil {
		panic("coordinator: a message of plain fields does not encode: " + err.Error())
	}
	return doc
}

// Proof is what a submitted proof says of itself.
type Proof struct {
	Batch uint64
	// Form is the tag of the proof: ProofCalldata, ProofBytes, or one of newer
	// versions.
	Form string
	// Prover is its prover_type, "" where it has none.
	Prover string
	// Public is the text of public_values, nil where the proof has none. Two
	// proofs of one batch agree when it is the same.
	Public json.RawMessage
}

// ReadProof reads a ProofSubmit document. The proof itself stays undecoded.
func ReadProof(doc []byte) (Proof, error) {
	m, err := Scan(doc)
	switch {
	case err != nil:
		return Proof{}, err
	case m.Kind != ProofSubmit || !m.HasBatch:
		return Proof{}, fmt.Errorf("the document is no proof of a batch: its tag is %q", m.Tag)
	}
	var submit map[Kind]struct {
		Old map[string]json.RawMessage `json:"batch_proof"`
		New map[string]json.RawMessage `json:"proof"`
	}
	if err := json.Unmarshal(doc, &submit); err != nil {
		return Proof{}, fmt.Errorf("proof of batch %d: %w", m.Batch, err)
	}
	forms := submit[ProofSubmit].Old
	if forms == nil {
		forms = submit[ProofSubmit].New
	}
	if len(forms) != 1 {
		return Proof{}, fmt.Errorf("proof of batch %d: %d forms of proof instead of one", m.Batch, len(forms))
	}
	p := Proof{Batch: m.Batch}
	for form, body := range forms {
		p.Form = form
		var known struct {
			Prover json.RawMessage `json:"prover_type"`
			Public json.RawMessage `json:"public_values"`
		}
		// A form that is no object has neither.
		if json.Unmarshal(body, &known) == nil {
			p.Prover, p.Public = textOf(known.Prover), known.Public
		}
	}
	return p, nil
}
