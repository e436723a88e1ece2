package beacon

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
)

// MaxDistance is the number of slots that the head of a synced node may lie
// behind: as many as can be without a block, or on their way, at any moment.
const MaxDistance = 4

// Syncing is how far a node is, by its own word. A nil pointer is what it does
// not say: unknown, and not false.
type Syncing struct {
	IsSyncing *bool
	// IsOptimistic: the execution client has not verified the head.
	IsOptimistic *bool
	// ELOffline: the execution client does not answer.
	ELOffline *bool
	// HeadSlot is the slot of the node's head, SyncDistance the number of
	// slots from there to the network's.
	HeadSlot, SyncDistance uint64
}

// Ready reports whether the node is synced and, if not, why not. One that does
// not say is not.
func (s Syncing) Ready() (ok bool, why string) {
	switch {
	case is(s.ELOffline):
		return false, "its execution client is offline"
	case is(s.IsSyncing):
		return false, fmt.Sprintf("it is syncing: its head is slot %d, %d slots behind", s.HeadSlot, s.SyncDistance)
	case is(s.IsOptimistic):
		return false, fmt.Sprintf("its head, slot %d, is optimistic: the execution client has not verified it", s.HeadSlot)
	case s.SyncDistance > MaxDistance:
		return false, fmt.Sprintf("its head is slot %d, %d slots behind", s.HeadSlot, s.SyncDistance)
	case s.IsSyncing == nil:
		return false, "it does not say whether it is syncing (is_syncing is missing)"
	case s.IsOptimistic == nil:
		return false, "it does not say whether its head is verified (is_optimistic is missing)"
	case s.ELOffline == nil:
		return false, "it does not say whether its execution client is online (el_offline is missing)"
	}
	return true, ""
}

func is(b *bool) bool { return b != nil && *b }

// Header is the newest block of the beacon chain.
type Header struct {
	Slot uint64
	Root common.Hash
}

// Phase is what Lighthouse says of its sync.
type Phase struct {
	// Name is a word such as Synced, SyncingFinalized, SyncingHead,
	// BackFillSyncing, SyncTransition or Stalled.
	Name string
	// Start and Target are slots, 0 where the phase has none.
	Start, Target uint64
}

// decimal is a number that the beacon API writes as a string. A bare number
// can mean nothing else, so it is taken too.
type decimal uint64

// UnmarshalJSON takes "12" and 12.
func (d *decimal) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if len(text) >= 2 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return errors.New("want a whole number as a string")
	}
	*d = decimal(n)
	return nil
}

// dataOf decodes the data of an answer into one value.
func dataOf[T any](raw []byte) (T, error) {
	var answer struct {
		Data *T `json:"data"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return *new(T), fmt.Errorf("the answer has an unexpected form (%v)", err)
	}
	if answer.Data == nil {
		return *new(T), errors.New("the answer has no data")
	}
	return *answer.Data, nil
}

func decodeSyncing(raw []byte) (Syncing, error) {
	d, err := dataOf[struct {
		IsSyncing    *bool    `json:"is_syncing"`
		IsOptimistic *bool    `json:"is_optimistic"`
		ELOffline    *bool    `json:"el_offline"`
		HeadSlot     *decimal `json:"head_slot"`
		SyncDistance *decimal `json:"sync_distance"`
	}](raw)
	if err != nil {
		return Syncing{}, err
	}
	if d.HeadSlot == nil || d.SyncDistance == nil {
		return Syncing{}, errors.New("the answer lacks one of head_slot and sync_distance")
	}
	return Syncing{d.IsSyncing, d.IsOptimistic, d.ELOffline, uint64(*d.HeadSlot), uint64(*d.SyncDistance)}, nil
}

func decodeVersion(raw []byte) (string, error) {
	d, err := dataOf[struct {
		Version string `json:"version"`
	}](raw)
	if err == nil && d.Version == "" {
		err = errors.New("the answer lacks version")
	}
	return d.Version, err
}

func decodeHeader(raw []byte) (Header, error) {
	d, err := dataOf[struct {
		Root   *common.Hash `json:"root"`
		Header struct {
			Message struct {
				Slot *decimal `json:"slot"`
			} `json:"message"`
		} `json:"header"`
	}](raw)
	if err != nil {
		return Header{}, err
	}
	slot := d.Header.Message.Slot
	if d.Root == nil || slot == nil {
		return Header{}, errors.New("the answer lacks one of root and header.message.slot")
	}
	return Header{uint64(*slot), *d.Root}, nil
}

func decodePeerCount(raw []byte) (uint64, error) {
	d, err := dataOf[struct {
		Connected *decimal `json:"connected"`
	}](raw)
	if err != nil {
		return 0, err
	}
	if d.Connected == nil {
		return 0, errors.New("the answer lacks connected")
	}
	return uint64(*d.Connected), nil
}

func decodeNetwork(raw []byte) (string, error) {
	d, err := dataOf[struct {
		Name string `json:"CONFIG_NAME"`
	}](raw)
	if err == nil && d.Name == "" {
		err = errors.New("the answer lacks CONFIG_NAME")
	}
	return d.Name, err
}

// decodePhase takes a word, or an object whose only key is the word.
func decodePhase(raw []byte) (Phase, error) {
	data, err := dataOf[json.RawMessage](raw)
	if err != nil {
		return Phase{}, err
	}
	var p Phase
	if json.Unmarshal(data, &p.Name) == nil && p.Name != "" {
		return p, nil
	}
	var phases map[string]struct {
		Start  decimal `json:"start_slot"`
		Target decimal `json:"target_slot"`
	}
	if err := json.Unmarshal(data, &phases); err != nil || len(phases) != 1 {
		return Phase{}, errors.New("the answer has an unexpected form (want a word or an object with one key)")
	}
	for name, slots := range phases {
		p = Phase{name, uint64(slots.Start), uint64(slots.Target)}
	}
	if p.Name == "" {
		return Phase{}, errors.New("the answer names no phase")
	}
	return p, nil
}
