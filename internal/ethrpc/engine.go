package ethrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Codes of the Engine API and of JSON-RPC that say "not this version of the
// method for this block".
const (
	unsupportedFork   = -38005
	invalidAttributes = -38003
	invalidParams     = -32602
)

// Status is what an execution client says of a payload or a head.
type Status string

// The statuses of the Engine API.
const (
	// Valid: executed and right.
	Valid Status = "VALID"
	// Invalid: executed and wrong, or a descendant of such a block.
	Invalid Status = "INVALID"
	// Syncing: the client lacks what it needs to tell.
	Syncing Status = "SYNCING"
	// Accepted: well formed, on a side chain, not executed.
	Accepted Status = "ACCEPTED"
)

// Outcome is the answer to a payload or a new head.
type Outcome struct {
	Status Status `json:"status"`
	// LatestValid is the newest valid ancestor, where the client names one.
	LatestValid *common.Hash `json:"latestValidHash"`
	// ValidationError is the client's own words on why it said Invalid.
	ValidationError string `json:"validationError"`
}

// Forkchoice names the head and how much of the chain before it is settled.
type Forkchoice struct {
	Head      common.Hash `json:"headBlockHash"`
	Safe      common.Hash `json:"safeBlockHash"`
	Finalized common.Hash `json:"finalizedBlockHash"`
}

// Attributes ask for a block to be built.
type Attributes struct {
	// Timestamp is in seconds and later than the parent's.
	Timestamp    uint64
	PrevRandao   common.Hash
	FeeRecipient common.Address
	BeaconRoot   common.Hash
	// Slot is sent only to chains whose fork asks for it.
	Slot uint64
	// Withdrawals are credited at the end of the block.
	Withdrawals []*types.Withdrawal
}

// form is the JSON object of the given version of the attributes.
func (a Attributes) form(version int) map[string]any {
	m := map[string]any{
		"timestamp":             hexutil.Uint64(a.Timestamp),
		"prevRandao":            a.PrevRandao,
		"suggestedFeeRecipient": a.FeeRecipient,
	}
	if version >= 2 {
		m["withdrawals"] = append([]*types.Withdrawal{}, a.Withdrawals...) // null is refused
	}
	if version >= 3 {
		m["parentBeaconBlockRoot"] = a.BeaconRoot
	}
	if version >= 4 {
		m["slotNumber"] = hexutil.Uint64(a.Slot)
	}
	return m
}

// Payload is a block on its way from the client that built it to all clients.
// What is not needed on the way is not decoded, so that nothing is lost of a
// field that this program does not know.
type Payload struct {
	// Raw is the executionPayload object as the builder sent it.
	Raw json.RawMessage
	// Requests is the executionRequests array, nil before Prague.
	Requests json.RawMessage
	// BlobHashes are the versioned hashes of the blobs that the block carries.
	BlobHashes []common.Hash
	// BeaconRoot is the parentBeaconBlockRoot that the block was asked with.
	// The builder does not repeat it: the caller fills it in.
	BeaconRoot common.Hash

	Hash       common.Hash
	ParentHash common.Hash
	Number     uint64
	// GasUsed and GasLimit are in gas, Timestamp in seconds.
	GasUsed   uint64
	GasLimit  uint64
	Timestamp uint64
	// Transactions are the block's transactions in their binary form.
	Transactions []hexutil.Bytes

	hasWithdrawals, hasBlobGas, hasSlot bool
}

// Engine speaks the Engine API to one execution client. It finds out which
// version of each method the client takes and remembers it. It is safe for
// concurrent use.
type Engine struct {
	client *Client

	mu sync.Mutex
	// offered holds the methods that the client says it has; nil means that it
	// was not asked or does not tell.
	offered map[string]bool
	// settled holds the version of each method that worked last.
	settled map[string]int
}

// NewEngine returns an Engine for the authenticated port at rawURL. Nothing is
// dialed until the first call.
func NewEngine(rawURL string, secret Secret) (*Engine, error) {
	client, err := NewClient(rawURL)
	if err != nil {
		return nil, err
	}
	client.authorize = secret.authorize
	return &Engine{client: client, settled: map[string]int{}}, nil
}

// URL is the address that the Engine calls.
func (e *Engine) URL() string { return e.client.URL() }

// RPC calls the other methods that the Engine API asks of the same port, with
// the same token: some of the eth namespace, among them eth_chainId,
// eth_getBlockByNumber and eth_sendRawTransaction.
func (e *Engine) RPC() *Client { return e.client }

// Close drops idle connections.
func (e *Engine) Close() { e.client.Close() }

// methods lists what this program can use, for the exchange of capabilities.
func methods() []string {
	var names []string
	for base, newest := range map[string]int{forkchoiceUpdated: 4, getPayload: 6, newPayload: 5} {
		for v := 1; v <= newest; v++ {
			names = append(names, base+"V"+strconv.Itoa(v))
		}
	}
	slices.Sort(names)
	return names
}

// The methods, without their versions.
const (
	forkchoiceUpdated = "engine_forkchoiceUpdated"
	getPayload        = "engine_getPayload"
	newPayload        = "engine_newPayload"
)

// Capabilities asks which methods the client has and remembers the answer. A
// client that does not know the question gives none: it is then tried.
func (e *Engine) Capabilities(ctx context.Context) ([]string, error) {
	var names []string
	err := e.call(ctx, &names, "engine_exchangeCapabilities", methods())
	var answer *Error
	if errors.As(err, &answer) && answer.Code == MethodNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	offered := make(map[string]bool, len(names))
	for _, name := range names {
		offered[name] = true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offered = offered
	return names, nil
}

// ForkchoiceUpdated makes fc the client's view of the chain. With attributes,
// the client also starts to build a block on the head, whose payload id is
// returned; the id is empty when the status is not Valid.
func (e *Engine) ForkchoiceUpdated(ctx context.Context, fc Forkchoice, attributes *Attributes) (Outcome, string, error) {
	var answer struct {
		Status Outcome `json:"payloadStatus"`
		ID     *string `json:"payloadId"`
	}
	// Without attributes every version means the same, and version 3 is the
	// one that is known everywhere since Cancun.
	versions := []int{3, 4, 2, 1}
	key := forkchoiceUpdated
	params := func(int) []any { return []any{fc, nil} }
	if attributes != nil {
		versions = []int{4, 3, 2, 1}
		key += "+attributes"
		params = func(v int) []any { return []any{fc, attributes.form(v)} }
	}
	if err := e.versioned(ctx, &answer, key, forkchoiceUpdated, versions, params); err != nil {
		return Outcome{}, "", err
	}
	if answer.ID == nil {
		return answer.Status, "", nil
	}
	return answer.Status, *answer.ID, nil
}

// Payload fetches the block that the client built under id. For some clients
// this ends the building, so that asking too early gives an empty block.
func (e *Engine) Payload(ctx context.Context, id string) (Payload, error) {
	var answer json.RawMessage
	err := e.versioned(ctx, &answer, getPayload, getPayload, []int{6, 5, 4, 3, 2, 1},
		func(int) []any { return []any{id} })
	if err != nil {
		return Payload{}, err
	}
	p, err := decodePayload(answer)
	if err != nil {
		return Payload{}, fmt.Errorf("%s: %w", getPayload, err)
	}
	return p, nil
}

// NewPayload delivers a block to be executed.
func (e *Engine) NewPayload(ctx context.Context, p Payload) (Outcome, error) {
	hashes := p.BlobHashes
	if hashes == nil {
		hashes = []common.Hash{} // null is refused
	}
	var outcome Outcome
	err := e.versioned(ctx, &outcome, newPayload, newPayload, p.versions(), func(v int) []any {
		switch {
		case v >= 4:
			return []any{p.Raw, hashes, p.BeaconRoot, p.Requests}
		case v == 3:
			return []any{p.Raw, hashes, p.BeaconRoot}
		}
		return []any{p.Raw}
	})
	return outcome, err
}

// versions lists the versions of newPayload that can carry p, newest first.
// The form of the payload tells: each fork added a field.
func (p Payload) versions() []int {
	switch {
	case p.hasSlot:
		return []int{5}
	case p.Requests != nil:
		return []int{4}
	case p.hasBlobGas:
		return []int{3}
	case p.hasWithdrawals:
		return []int{2}
	}
	return []int{2, 1}
}

// decodePayload takes the result of getPayload: an envelope since version 2,
// the payload itself in version 1.
func decodePayload(raw json.RawMessage) (Payload, error) {
	var envelope struct {
		Payload  json.RawMessage `json:"executionPayload"`
		Requests json.RawMessage `json:"executionRequests"`
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return Payload{}, fmt.Errorf("the payload has an unexpected form: %v", err)
	}
	p := Payload{Raw: envelope.Payload, Requests: envelope.Requests}
	if p.Raw == nil {
		p.Raw = raw
	}
	if string(p.Requests) == "null" {
		p.Requests = nil
	}
	if err := p.decode(); err != nil {
		return Payload{}, err
	}
	return p, nil
}

// decode reads the fields of Raw that the program works with.
func (p *Payload) decode() error {
	var fields struct {
		Hash         *common.Hash     `json:"blockHash"`
		ParentHash   *common.Hash     `json:"parentHash"`
		Number       *hexutil.Uint64  `json:"blockNumber"`
		GasUsed      *hexutil.Uint64  `json:"gasUsed"`
		GasLimit     *hexutil.Uint64  `json:"gasLimit"`
		Timestamp    *hexutil.Uint64  `json:"timestamp"`
		Transactions *[]hexutil.Bytes `json:"transactions"`
		Withdrawals  *json.RawMessage `json:"withdrawals"`
		BlobGas      *json.RawMessage `json:"blobGasUsed"`
		Slot         *json.RawMessage `json:"slotNumber"`
	}
	if err := json.Unmarshal(p.Raw, &fields); err != nil {
		return fmt.Errorf("the payload has an unexpected form: %v", err)
	}
	if fields.Hash == nil || fields.ParentHash == nil || fields.Number == nil || fields.GasUsed == nil ||
		fields.GasLimit == nil || fields.Timestamp == nil || fields.Transactions == nil {
		return errors.New("the payload lacks one of blockHash, parentHash, blockNumber, gasUsed, gasLimit, timestamp and transactions")
	}
	p.Hash, p.ParentHash = *fields.Hash, *fields.ParentHash
	p.Number, p.Timestamp = uint64(*fields.Number), uint64(*fields.Timestamp)
	p.GasUsed, p.GasLimit = uint64(*fields.GasUsed), uint64(*fields.GasLimit)
	p.Transactions = *fields.Transactions
	p.hasWithdrawals = fields.Withdrawals != nil
	p.hasBlobGas = fields.BlobGas != nil
	p.hasSlot = fields.Slot != nil
	for i, tx := range p.Transactions {
		hashes, err := blobHashes(tx)
		if err != nil {
			return fmt.Errorf("transaction %d of the payload: %v", i, err)
		}
		p.BlobHashes = append(p.BlobHashes, hashes...)
	}
	return nil
}

// blobHashes are the versioned hashes in the eleventh field of a blob
// transaction. Other transactions have none.
func blobHashes(tx []byte) ([]common.Hash, error) {
	const blobType, field = 0x03, 10
	if len(tx) == 0 || tx[0] != blobType {
		return nil, nil
	}
	rest, _, err := rlp.SplitList(tx[1:])
	for i := 0; i < field && err == nil; i++ {
		_, _, rest, err = rlp.Split(rest)
	}
	if err != nil {
		return nil, fmt.Errorf("blob transaction: %v", err)
	}
	_, _, after, err := rlp.Split(rest)
	if err != nil {
		return nil, fmt.Errorf("blob transaction: %v", err)
	}
	var hashes []common.Hash
	if err := rlp.DecodeBytes(rest[:len(rest)-len(after)], &hashes); err != nil {
		return nil, fmt.Errorf("blob transaction: %v", err)
	}
	return hashes, nil
}

// versioned calls a method in the version that worked last under key, and
// otherwise in each of versions until the client takes one. The error, when
// it takes none, is the first that says more than "not this version".
func (e *Engine) versioned(ctx context.Context, result any, key, method string, versions []int, params func(version int) []any) error {
	var first error
	informative := false
	for _, v := range e.order(key, method, versions) {
		err := e.call(ctx, result, method+"V"+strconv.Itoa(v), params(v)...)
		if err == nil {
			e.mu.Lock()
			e.settled[key] = v
			e.mu.Unlock()
			return nil
		}
		var answer *Error
		if !errors.As(err, &answer) {
			return err
		}
		switch answer.Code {
		case unsupportedFork, MethodNotFound:
			if first == nil {
				first = err
			}
		case invalidAttributes, invalidParams:
			if !informative {
				first, informative = err, true
			}
		default:
			return err
		}
	}
	if first == nil {
		return fmt.Errorf("%s: the client offers none of the versions %v", method, versions)
	}
	return first
}

// order puts the settled version first and drops what is not offered.
func (e *Engine) order(key, method string, versions []int) []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	settled, ok := e.settled[key]
	var order []int
	if ok && slices.Contains(versions, settled) {
		order = append(order, settled)
	}
	for _, v := range versions {
		if ok && v == settled || e.offered != nil && !e.offered[method+"V"+strconv.Itoa(v)] {
			continue
		}
		order = append(order, v)
	}
	return order
}

// call is one Engine API call. A refused token is a matter of set-up.
func (e *Engine) call(ctx context.Context, result any, method string, params ...any) error {
	err := e.client.Call(ctx, result, method, params...)
	var status *HTTPError
	if errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden) {
		return fault.Newf(fault.Prerequisite, "the JWT was refused: %w", err).
			Hint("--authrpc.jwtsecret must name the file that this execution client was started with, and the clocks may differ by 60 s at most")
	}
	return err
}
