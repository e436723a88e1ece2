package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/witness"
)

// readSubjects reads files and puts blocks and witnesses together.
func readSubjects(files []string, chain *params.ChainConfig) ([]checkSubject, error) {
	var subjects, blocks, witnesses []checkSubject
	for _, name := range files {
		raw, err := readPlain(name)
		if err == nil {
			err = sortFile(name, raw, &subjects, &blocks, &witnesses)
		}
		if err != nil {
			return nil, fault.As(fault.Usage, unusableFile(name, err))
		}
	}
	for i := range max(len(blocks), len(witnesses)) {
		switch {
		case i >= len(witnesses):
			return nil, fault.Newf(fault.Usage, "%s is a block without a witness", blocks[i].source).
				Hint("add the answer to debug_executionWitness: verdict check %s WITNESS", blocks[i].source)
		case i >= len(blocks):
			return nil, fault.Newf(fault.Usage, "%s is a witness without its block", witnesses[i].source).
				Hint("add the answer to eth_getBlockByNumber with full transactions: verdict check BLOCK %s", witnesses[i].source)
		}
		s := witnesses[i]
		s.block = blocks[i].block
		s.source = blocks[i].source + ", " + s.source
		subjects = append(subjects, s)
	}
	for i := range subjects {
		s := &subjects[i]
		if chain != nil {
			s.cfg = chain
		} else if s.cfg == nil {
			var err error
			if s.cfg, err = chainOf(s.block); err != nil {
				return nil, fmt.Errorf("%s: %w", s.source, err)
			}
		}
	}
	return subjects, nil
}

// unusableFile says in which file, and once.
func unusableFile(name string, err error) error {
	var path *os.PathError
	switch {
	case errors.As(err, &path):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s is cut short: %w", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// readPlain reads a file, decompressed if it is gzip.
func readPlain(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := stateless.Plain(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

// sortFile decodes one file and adds it to the list it belongs to.
func sortFile(name string, raw []byte, subjects, blocks, witnesses *[]checkSubject) error {
	kind, err := kindOf(raw)
	if err != nil {
		return err
	}
	switch s := (checkSubject{source: name}); kind {
	case blockFile:
		if s.block, err = stateless.ParseBlock(raw); err != nil {
			return err
		}
		*blocks = append(*blocks, s)
	case witnessFile:
		if s.witness, err = witness.Decode(bytes.NewReader(raw)); err != nil {
			return err
		}
		*witnesses = append(*witnesses, s)
	case cacheFile:
		return readCache(s, raw, subjects)
	}
	return nil
}

// readCache decodes a cache file of ethrex-replay.
func readCache(s checkSubject, raw []byte, subjects *[]checkSubject) error {
	cache, err := stateless.ParseReplayCache(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if n := len(cache.Blocks); n != 1 {
		return fmt.Errorf("one witness for %d blocks; only caches of single blocks can be checked", n)
	}
	s.block, s.witness = cache.Blocks[0], cache.Witness
	if cache.Network != "" {
		// An unknown network is no error yet: the flags or the transactions
		// may know better.
		s.cfg, _ = stateless.NamedConfig(cache.Network)
	}
	*subjects = append(*subjects, s)
	return nil
}

// chainOf is the configuration of the chain that the block's transactions are
// signed for.
func chainOf(block *types.Block) (*params.ChainConfig, error) {
	for _, tx := range block.Transactions() {
		if id := tx.ChainId(); id.Sign() != 0 && id.IsUint64() {
			return stateless.ChainConfig(id.Uint64())
		}
	}
	return nil, fault.Newf(fault.Usage, "the files do not say which chain block %d is of", block.NumberU64()).
		Hint("name it: --chain NAME or --genesis FILE")
}

// fileKind says what is in a file.
type fileKind int

const (
	blockFile fileKind = iota
	witnessFile
	cacheFile
)

// kindOf tells from the keys what is in a JSON text.
func kindOf(raw []byte) (fileKind, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return 0, errors.New("the file is empty")
	}
	var top struct {
		Result, Blocks json.RawMessage
		Error          *ethrpc.Error
	}
	if err := json.Unmarshal(raw, &top); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) && syntax.Offset == int64(len(raw)) && strings.Contains(err.Error(), "unexpected end") {
			return 0, io.ErrUnexpectedEOF
		}
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return 0, fmt.Errorf("not a JSON object: it holds a JSON %s", kind.Value)
		}
		return 0, fmt.Errorf("not a JSON object: %w", err)
	}
	switch {
	case top.Error != nil:
		return 0, fmt.Errorf("the answer in it is an error: %w", top.Error)
	case top.Blocks != nil:
		return cacheFile, nil
	case top.Result != nil:
		raw = top.Result
	}
	var inner struct{ State, Codes, ParentHash json.RawMessage }
	if err := json.Unmarshal(raw, &inner); err == nil {
		switch {
		case inner.ParentHash != nil:
			return blockFile, nil
		case inner.State != nil || inner.Codes != nil:
			return witnessFile, nil
		}
	}
	return 0, errors.New("neither a block, nor a witness, nor a cache file of ethrex-replay")
}

// served asks a server for a block and its witness.
func (o *checkOptions) served(ctx context.Context, chain *params.ChainConfig) (checkSubject, error) {
	client, err := ethrpc.NewClient(o.rpc)
	if err != nil {
		return checkSubject{}, fault.As(fault.Usage, err)
	}
	defer client.Close()
	r := remote{client: client, options: o}
	s := checkSubject{source: ethrpc.Redact(o.rpc)}
	if s.cfg, err = r.config(ctx, chain); err != nil {
		return s, err
	}
	if s.block, err = r.block(ctx); err != nil {
		return s, err
	}
	var raw json.RawMessage
	if err := r.call(ctx, &raw, "debug_executionWitness", hexutil.Uint64(s.block.NumberU64())); err != nil {
		return s, err
	}
	if err := r.unchanged(ctx, s.block); err != nil {
		return s, err
	}
	// A null result is told apart from other nonsense by its place.
	s.witness, s.problem = witness.Decode(io.MultiReader(
		strings.NewReader(`{"result":`), bytes.NewReader(raw), strings.NewReader(`}`)))
	return s, nil
}

// remote is a server that is asked for one witness.
type remote struct {
	client  *ethrpc.Client
	options *checkOptions
}

// call makes one request. Errors are given the kind of what is behind them.
func (r remote) call(ctx context.Context, result any, method string, params ...any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.options.timeout,
		fmt.Errorf("no answer within %s", r.options.timeout))
	defer cancel()
	err := r.client.Call(ctx, result, method, params...)
	var refused *ethrpc.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), context.Canceled):
		return context.Canceled
	case errors.As(err, &refused) && refused.Code == ethrpc.MethodNotFound:
		return fault.Newf(fault.Prerequisite, "%s does not offer %s: %w", r.client.URL(), method, refused).
			Hint("enable the debug namespace: for geth, reth and ethrex --http.api eth,net,web3,debug")
	case errors.As(err, &refused):
		return fmt.Errorf("%s: %w", r.client.URL(), err)
	case ctx.Err() != nil:
		return fault.Newf(fault.Prerequisite, "%s: %s: %w", r.client.URL(), method, context.Cause(ctx)).
			Hint("give it more time: --timeout 10m")
	}
	f := fault.Newf(fault.Prerequisite, "%s cannot be used: %w", r.client.URL(), err)
	if ethrpc.Refused(err) {
		f.Hint("start the execution client, or give its HTTP address with --rpc")
	}
	return f
}

// config is the configuration of the server's chain. If the flags name one, it
// must be of the same chain.
func (r remote) config(ctx context.Context, chain *params.ChainConfig) (*params.ChainConfig, error) {
	var id hexutil.Uint64
	if err := r.call(ctx, &id, "eth_chainId"); err != nil {
		return nil, err
	}
	switch {
	case chain == nil:
		return stateless.ChainConfig(uint64(id))
	case chain.ChainID.Cmp(hexutil.MustDecodeBig(id.String())) != 0:
		return nil, fault.Newf(fault.Usage, "%s is on chain %d, not on chain %d", r.client.URL(), uint64(id), chain.ChainID)
	}
	return chain, nil
}

// block asks for the block of the flags.
func (r remote) block(ctx context.Context) (*types.Block, error) {
	name, hash := r.options.block, (*common.Hash)(nil)
	method := "eth_getBlockByNumber"
	var param any = name
	if b, err := hexutil.Decode(name); err == nil && len(b) == common.HashLength {
		hash, method = new(common.BytesToHash(b)), "eth_getBlockByHash"
	} else if n, err := strconv.ParseUint(name, 0, 64); err == nil {
		param = hexutil.Uint64(n)
	} else if !isTag(name) {
		return nil, fault.Newf(fault.Usage, "--block %q is neither a number, nor a hash, nor a tag", name).
			Hint("tags are latest, safe, finalized and earliest")
	}
	var raw json.RawMessage
	if err := r.call(ctx, &raw, method, param, true); err != nil {
		return nil, err
	}
	if string(raw) == "null" {
		return nil, fault.Newf(fault.Usage, "%s has no block %s", r.client.URL(), name)
	}
	block, err := stateless.ParseBlock(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.client.URL(), err)
	}
	if hash != nil && block.Hash() != *hash {
		return nil, fmt.Errorf("%s: asked for block %s, it answers with %s", r.client.URL(), hash, block.Hash())
	}
	return block, nil
}

func isTag(name string) bool {
	switch name {
	case "latest", "safe", "finalized", "earliest", "pending":
		return name != "pending" // it has no witness and is another one each time
	}
	return false
}

// unchanged checks that the block is still the one at its height, so that the
// witness, which was asked for by number, is of it.
func (r remote) unchanged(ctx context.Context, block *types.Block) error {
	var now struct{ Hash common.Hash }
	err := r.call(ctx, &now, "eth_getBlockByNumber", hexutil.Uint64(block.NumberU64()), false)
	if err == nil && now.Hash != block.Hash() {
		return fmt.Errorf("block %d (%s) is not in the server's chain, which has %s there; "+
			"its witness cannot be asked for by number", block.NumberU64(), block.Hash(), now.Hash)
	}
	return err
}
