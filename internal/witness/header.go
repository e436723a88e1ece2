package witness

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// encodeHeader turns a header written as a JSON object into RLP.
func encodeHeader(raw []byte) ([]byte, error) {
	header, err := ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	return rlp.EncodeToBytes(header)
}

// ParseHeader decodes a block header written as a JSON-RPC object.
//
// A fork may add fields to the header that this program does not know, and a
// header without them hashes to something else. So the object's own hash, if
// it is there, must be the hash of what was decoded; if it is not, unknown
// fields are refused.
func ParseHeader(raw []byte) (*types.Header, error) {
	header := new(types.Header)
	if err := json.Unmarshal(raw, header); err != nil {
		return nil, fmt.Errorf("header: %v", err)
	}
	var own struct {
		Hash *common.Hash `json:"hash"`
	}
	if err := json.Unmarshal(raw, &own); err != nil {
		return nil, fmt.Errorf("header: %v", err)
	}
	if own.Hash == nil {
		return header, knownFields(raw, header)
	}
	if got := header.Hash(); got != *own.Hash {
		return nil, fmt.Errorf("header %d: its fields hash to %s but it says %s",
			header.Number, got, own.Hash)
	}
	return header, nil
}

// knownFields refuses a header object with a field that did not get into the
// decoded header. The fields that are known are those that it would be written
// with.
func knownFields(raw []byte, header *types.Header) error {
	var fields, known map[string]json.RawMessage
	written, err := json.Marshal(header)
	if err = errors.Join(err, json.Unmarshal(written, &known), json.Unmarshal(raw, &fields)); err != nil {
		return fmt.Errorf("header: %v", err)
	}
	for name := range fields {
		if _, ok := known[name]; !ok {
			return fmt.Errorf("header %d: unknown field %q, and no hash to check it by", header.Number, name)
		}
	}
	return nil
}
