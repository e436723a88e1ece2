package beacon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/ethrpc"
)

// maxDelivery bounds a block on its way to a follower, in bytes.
const maxDelivery = 64 << 20

// source asks a producer for its network and its blocks.
type source struct{ client *Client }

func newSource(rawURL string) (*source, error) {
	c, err := NewClient(rawURL)
	if err != nil {
		return nil, err
	}
	return &source{c}, nil
}

// network asks what the network is.
func (s *source) network(ctx context.Context) (network, error) {
	return fetch(ctx, s.client, networkPath, maxAnswer, decodeOwn)
}

// newer is network, but waits up to wait for a head beyond the given one.
func (s *source) newer(ctx context.Context, head uint64, wait time.Duration) (network, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	path := fmt.Sprintf("%s?after=%d&wait_ms=%d", networkPath, head, wait.Milliseconds())
	return fetch(ctx, s.client, path, maxAnswer, decodeOwn)
}

// payload asks for one block, and gets the number of the newest with it.
func (s *source) payload(ctx context.Context, number uint64) (p ethrpc.Payload, head uint64, err error) {
	type both struct {
		payload ethrpc.Payload
		head    uint64
	}
	b, err := fetch(ctx, s.client, fmt.Sprintf("%s%d", payloadsPath, number), maxDelivery, func(raw []byte) (both, error) {
		p, head, err := decodeDelivery(raw)
		return both{p, head}, err
	})
	if err == nil && b.payload.Number != number {
		err = fmt.Errorf("%s: asked for block %d, got block %d", s.client.URL(), number, b.payload.Number)
	}
	return b.payload, b.head, err
}

// decodeOwn takes the answer of networkPath.
func decodeOwn(raw []byte) (network, error) {
	const longestSlot = 24 * time.Hour
	n, err := dataOf[network](raw)
	switch {
	case err != nil:
	case n.Name == "" || n.Genesis == (common.Hash{}) || n.SlotMS <= 0:
		err = errors.New("the answer lacks one of network, genesis and slot_ms")
	case n.SlotMS > longestSlot.Milliseconds():
		err = fmt.Errorf("the answer has slots of %d ms", n.SlotMS)
	}
	return n, err
}

// decodeDelivery takes the answer of payloadsPath.
func decodeDelivery(raw []byte) (ethrpc.Payload, uint64, error) {
	var d struct {
		Data *ethrpc.Payload `json:"data"`
		Head uint64          `json:"head"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return ethrpc.Payload{}, 0, fmt.Errorf("the answer has an unexpected form (%v)", err)
	}
	if d.Data == nil {
		return ethrpc.Payload{}, 0, errors.New("the answer has no data")
	}
	return *d.Data, d.Head, nil
}

// notKept reports whether err says that a block is too old to be had.
func notKept(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusGone
}
