package l1

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/store"
)

// The fixtures by their paths in the directory, those of ethrex's.
const (
	L1GenesisFile = "genesis/l1.json"
	L2GenesisFile = "genesis/l2.json"
	// L1KeysFile has the keys of the accounts that deposits are made for,
	// LoadKeysFile those of them that send the load.
	L1KeysFile   = "keys/private_keys_l1.txt"
	LoadKeysFile = "keys/private_keys.txt"
)

// Fixtures writes the genesis blocks of the built-in rollup and the public keys
// of its accounts into dir, which is made when missing. The same program writes
// the same bytes. A file that is there with something else in it is left alone
// and is an error before anything is written: it belongs to other fixtures.
func Fixtures(dir string) error {
	files, err := fixtures()
	if err != nil {
		return err
	}
	for name, want := range files {
		path := filepath.Join(dir, name)
		have, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fault.As(fault.Prerequisite, fmt.Errorf("fixtures: %w", err))
		case !bytes.Equal(have, want):
			return fault.Newf(fault.Prerequisite, "fixtures: %s holds something else: it is not overwritten", path).
				Hint("give a directory of its own: --out DIR")
		}
	}
	for name, want := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fault.As(fault.Prerequisite, fmt.Errorf("fixtures: %w", err))
		}
		if err := store.WriteFile(path, want); err != nil {
			return fault.As(fault.Prerequisite, fmt.Errorf("fixtures: %w", err))
		}
	}
	return nil
}

// fixtures are the contents of the files.
func fixtures() (map[string][]byte, error) {
	var l1, l2 bytes.Buffer
	if err := errors.Join(genesis.Write(&l1, genesis.L1()), genesis.Write(&l2, genesis.L2())); err != nil {
		return nil, err
	}
	// One key a line and nothing else: ethrex's programs take no comments.
	var senders strings.Builder
	for i := range genesis.RollupSenders {
		key, _ := genesis.Account(i)
		fmt.Fprintln(&senders, hexutil.Encode(crypto.FromECDSA(key)))
	}
	rich, _ := genesis.Rich.Account()
	all := senders.String() + hexutil.Encode(crypto.FromECDSA(rich)) + "\n"
	return map[string][]byte{
		L1GenesisFile: l1.Bytes(),
		L2GenesisFile: l2.Bytes(),
		L1KeysFile:    []byte(all),
		LoadKeysFile:  []byte(senders.String()),
	}, nil
}
