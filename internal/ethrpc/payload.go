package ethrpc

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// envelope is a Payload on the wire: the answer to getPayload with the beacon
// root, which that answer lacks and NewPayload needs.
type envelope struct {
	Payload    json.RawMessage `json:"executionPayload"`
	Requests   json.RawMessage `json:"executionRequests,omitempty"`
	BeaconRoot *common.Hash    `json:"parentBeaconBlockRoot"`
}

// MarshalJSON is all of p that NewPayload needs, for another consensus client:
// an object of executionPayload, executionRequests (absent before Prague) and
// parentBeaconBlockRoot.
func (p Payload) MarshalJSON() ([]byte, error) {
	return json.Marshal(envelope{p.Raw, p.Requests, &p.BeaconRoot})
}

// UnmarshalJSON takes what MarshalJSON made and fills in every field of p.
func (p *Payload) UnmarshalJSON(raw []byte) error {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("the payload has an unexpected form: %v", err)
	}
	if e.Payload == nil || e.BeaconRoot == nil {
		return errors.New("the payload lacks one of executionPayload and parentBeaconBlockRoot")
	}
	if string(e.Requests) == "null" {
		e.Requests = nil
	}
	*p = Payload{Raw: e.Payload, Requests: e.Requests, BeaconRoot: *e.BeaconRoot}
	return p.decode()
}
