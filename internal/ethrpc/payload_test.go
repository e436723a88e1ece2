package ethrpc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// What one consensus client passes to another is what the builder made.
func TestPayload_passedOn(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"prague":   `{"executionPayload":` + payloadJSON(`,"withdrawals":[],"blobGasUsed":"0x0"`, "0x02") + `,"executionRequests":["0x00"]}`,
		"cancun":   `{"executionPayload":` + payloadJSON(`,"withdrawals":[],"blobGasUsed":"0x0"`) + `,"executionRequests":null}`,
		"shanghai": `{"executionPayload":` + payloadJSON(`,"withdrawals":[]`) + `}`,
	} {
		want, err := decodePayload(json.RawMessage(answer))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want.BeaconRoot = common.Hash{7}
		var compact bytes.Buffer // the encoder drops white space
		if err := json.Compact(&compact, want.Raw); err != nil {
			t.Fatal(err)
		}
		want.Raw = compact.Bytes()
		wire, err := json.Marshal(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got Payload
		if err := json.Unmarshal(wire, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: passed on as %s %+v, want %s %+v", name, got.Raw, got, want.Raw, want)
		}
	}
}

func TestPayload_malformed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`: "unexpected form",
		`{}`: "lacks one of executionPayload",
		`{"executionPayload":{},"parentBeaconBlockRoot":"0x1"}`: "unexpected form",
		`{"executionPayload":` + payloadJSON("") + `}`:          "lacks one of executionPayload and parentBeaconBlockRoot",
	} {
		var p Payload
		if err := json.Unmarshal([]byte(text), &p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", text, err, want)
		}
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte(`{"executionPayload":` + payloadJSON(`,"withdrawals":[],"blobGasUsed":"0x0"`, "0x02") +
		`,"executionRequests":["0x00"],"parentBeaconBlockRoot":"` + common.Hash{1}.Hex() + `"}`))
	f.Add([]byte(`{"executionPayload":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p Payload
		if json.Unmarshal(raw, &p) != nil {
			return
		}
		once, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("%s is taken and cannot be passed on: %v", raw, err)
		}
		var q Payload
		if err := json.Unmarshal(once, &q); err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice, err := json.Marshal(q); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("passed on as %s, then as %s (%v)", once, twice, err)
		}
	})
}
