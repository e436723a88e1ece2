package stateless

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/witness"
)

// ParseBlock decodes an answer to eth_getBlockByNumber or eth_getBlockByHash
// with full transactions: the block object, or the JSON-RPC response around
// it, whose error is returned as an *ethrpc.Error in the chain. If the object
// says its hash, it must be the hash of the decoded header. The body is not
// compared with the header; [Verify] does that.
func ParseBlock(raw []byte) (*types.Block, error) {
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *ethrpc.Error   `json:"error"`
	}
	switch err := json.Unmarshal(raw, &answer); {
	case err != nil:
		return nil, fmt.Errorf("block: %w", cutShort(err))
	case answer.Error != nil:
		return nil, fmt.Errorf("block: %w", answer.Error)
	case answer.Result != nil:
		raw = answer.Result
	}
	if string(bytes.TrimSpace(raw)) == "null" {
		return nil, errors.New("block: the result is null: the server does not know it")
	}
	var object struct {
		Hash *common.Hash `json:"hash"`
		body
	}
	header := new(types.Header)
	if err := json.Unmarshal(raw, header); err != nil {
		return nil, fmt.Errorf("block: %w", err)
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("block %d: %w", header.Number, err)
	}
	if got := header.Hash(); object.Hash != nil && *object.Hash != got {
		return nil, fmt.Errorf("block %d: its header fields hash to %s but it says %s", header.Number, got, *object.Hash)
	}
	return object.block(header)
}

// cutShort makes the error of a text that ends too early recognizable as
// io.ErrUnexpectedEOF; encoding/json only says so in words.
func cutShort(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input" {
		return fmt.Errorf("%v: %w", err, io.ErrUnexpectedEOF)
	}
	return err
}

// body is the part of a block object that is not its header.
type body struct {
	Transactions *[]json.RawMessage   `json:"transactions"`
	Uncles       []json.RawMessage    `json:"uncles"`
	Withdrawals  *[]*types.Withdrawal `json:"withdrawals"`
}

func (b *body) block(header *types.Header) (*types.Block, error) {
	switch {
	case b.Transactions == nil:
		return nil, fmt.Errorf("block %d: the transactions are missing", header.Number)
	case len(b.Uncles) > 0:
		return nil, fmt.Errorf("block %d: it has uncles; blocks from before the merge cannot be re-executed", header.Number)
	}
	content := types.Body{Transactions: make([]*types.Transaction, len(*b.Transactions))}
	for i, raw := range *b.Transactions {
		if len(raw) > 0 && raw[0] == '"' {
			return nil, fmt.Errorf("block %d: transactions are given by hash only; ask for full transactions (second parameter true)", header.Number)
		}
		tx := new(types.Transaction)
		if err := json.Unmarshal(raw, tx); err != nil {
			return nil, fmt.Errorf("block %d: transaction %d: %w", header.Number, i, err)
		}
		content.Transactions[i] = tx
	}
	if b.Withdrawals != nil {
		// A block after Shanghai without withdrawals has an empty list, which
		// is something else than none.
		content.Withdrawals = *b.Withdrawals
		if content.Withdrawals == nil {
			content.Withdrawals = []*types.Withdrawal{}
		}
		for i, w := range content.Withdrawals {
			if w == nil {
				return nil, fmt.Errorf("block %d: withdrawal %d is null", header.Number, i)
			}
		}
	}
	return types.NewBlockWithHeader(header).WithBody(content), nil
}

// ReplayCache is a cache file of ethrex-replay: a batch of blocks and one
// witness for all of them.
type ReplayCache struct {
	Blocks  []*types.Block
	Witness *witness.Witness
	// Network is the name of the network the file says it is of, such as
	// "Hoodi", or empty when it is not a public one.
	Network string
}

// ParseReplayCache decodes a cache file of ethrex-replay, plain or
// gzip-compressed.
func ParseReplayCache(r io.Reader) (*ReplayCache, error) {
	plain, err := Plain(r)
	if err != nil {
		return nil, fmt.Errorf("replay cache: %w", err)
	}
	raw, err := io.ReadAll(plain)
	if err != nil {
		return nil, fmt.Errorf("replay cache: %w", err)
	}
	var file struct {
		Blocks []struct {
			Header json.RawMessage `json:"header"`
			Body   body            `json:"body"`
		} `json:"blocks"`
		Witness json.RawMessage `json:"witness"`
		Network json.RawMessage `json:"network"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("replay cache: %w", cutShort(err))
	}
	cache := new(ReplayCache)
	for i, b := range file.Blocks {
		header, err := witness.ParseHeader(b.Header)
		if err != nil {
			return nil, fmt.Errorf("replay cache: blocks[%d]: %w", i, err)
		}
		block, err := b.Body.block(header)
		if err != nil {
			return nil, fmt.Errorf("replay cache: %w", err)
		}
		cache.Blocks = append(cache.Blocks, block)
	}
	if len(cache.Blocks) == 0 {
		return nil, errors.New("replay cache: there are no blocks in it")
	}
	if file.Witness == nil {
		return nil, errors.New("replay cache: there is no witness in it")
	}
	if cache.Witness, err = witness.Decode(bytes.NewReader(file.Witness)); err != nil {
		return nil, fmt.Errorf("replay cache: %w", err)
	}
	// Other networks are written in other forms, which say nothing about the
	// chain that can be used here.
	var network struct{ PublicNetwork string }
	if json.Unmarshal(file.Network, &network) == nil {
		cache.Network = network.PublicNetwork
	}
	return cache, nil
}

// Plain returns r, decompressed if it begins as gzip does.
func Plain(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, nil
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return z, nil
}
