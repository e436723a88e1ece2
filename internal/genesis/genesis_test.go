package genesis

import (
	"bytes"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/triedb"

	"github.com/verdict-bench/verdict/internal/fault"
)

func TestLocal_hash(t *testing.T) {
	g, err := Local()
	if err != nil {
		t.Fatal(err)
	}
	// Real geth v1.17.4 gives the same hash to the file that Write makes.
	if got := g.ToBlock().Hash(); got != LocalHash {
		t.Errorf("Local().ToBlock().Hash() = %s, want %s", got, LocalHash)
	}
	if err := g.Config.CheckConfigForkOrder(); err != nil {
		t.Error(err)
	}
}

func TestLocal_tokenStorageIsThatOfTheCompiledContract(t *testing.T) {
	g, err := Local()
	if err != nil {
		t.Fatal(err)
	}
	token := g.Alloc[Token]
	if len(token.Storage) != Holders+1 {
		t.Errorf("the token has %d storage slots, want %d", len(token.Storage), Holders+1)
	}
	supply := new(big.Int)
	for i := range Holders {
		// The layout by the book: keccak256(key . slot), slot 0.
		slot := crypto.Keccak256Hash(common.LeftPadBytes(Holder(i).Bytes(), 32), make([]byte, 32))
		balance := token.Storage[slot].Big()
		if balance.Sign() == 0 {
			t.Fatalf("holder %d has no tokens", i)
		}
		supply.Add(supply, balance)
	}
	if got := token.Storage[common.BigToHash(big.NewInt(1))].Big(); got.Cmp(supply) != 0 {
		t.Errorf("totalSupply = %d, the balances add up to %d", got, supply)
	}
}

func TestAccount_isDistinctAndFunded(t *testing.T) {
	g, err := Local()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[common.Address]bool{}
	for i := range Senders {
		key, address := Account(i)
		if crypto.PubkeyToAddress(key.PublicKey) != address {
			t.Fatalf("Account(%d): the key is not of the address", i)
		}
		if seen[address] || g.Alloc[address].Balance.Cmp(big.NewInt(1e18)) < 0 {
			t.Fatalf("Account(%d) = %s is a duplicate or has no ether", i, address)
		}
		seen[address] = true
	}
}

func TestWrite_readsBackTheSame(t *testing.T) {
	g, err := Local()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "genesis.json")
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := Write(b, g); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two writes of the same genesis differ")
	}
	if err := os.WriteFile(path, first.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	back, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := Write(&again, back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Error("written, read and written again, the genesis differs")
	}
	if len(back.Alloc) != len(g.Alloc) || len(back.Alloc[Token].Storage) != len(g.Alloc[Token].Storage) {
		t.Errorf("read back: %d accounts, want %d", len(back.Alloc), len(g.Alloc))
	}
	if !reflect.DeepEqual(back.Config, g.Config) {
		t.Errorf("read back: configuration %v, want %v", back.Config, g.Config)
	}
}

func TestRead_errors(t *testing.T) {
	valid := `{
  "config": {"chainId": 7, "homesteadBlock": 0},
  "gasLimit": "0x1c9c380", "difficulty": "0x0",
  "unknownToUs": {"a": [1]},
  "alloc": {
    "0x00000000000000000000000000000000000000aa": {"balance": "0x1"},
    "0x00000000000000000000000000000000000000bb": {
      "balance": "0x2",
      "storage": {"0x01": "0x02"}
    }
  }
}`
	dir := t.TempDir()
	write := func(text string) string {
		t.Helper()
		path := filepath.Join(dir, "g.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if g, err := Read(write(valid)); err != nil || len(g.Alloc) != 2 {
		t.Fatalf("Read(valid) = %v, %v", g, err)
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"truncated", "  }\n}", "  }", "g.json:11: unexpected end of JSON input"},
		{"not JSON", `"unknownToUs"`, `unknownToUs`, "g.json:4: invalid character"},
		{"a number that is none", `"0x1c9c380"`, `"30M"`, "g.json:3: gasLimit:"},
		{"a chain id that is none", `"chainId": 7`, `"chainId": "x"`, "g.json:2: chainId:"},
		{"a balance that is none", `"balance": "0x2"`, `"balance": "0xzz"`, "g.json:8: balance:"},
		{"an address that is too short", `0x00000000000000000000000000000000000000bb`, `0xbb`, "g.json:7: 0xbb:"},
		{"a slot that is too long", `"0x01"`, `"0x` + strings.Repeat("11", 33) + `"`, "g.json:9: storage:"},
		{"a balance that is missing", `"balance": "0x1"`, `"nonce": "0x1"`, "g.json:6: 0x00000000000000000000000000000000000000aa: missing required field 'balance'"},
		{"no gas limit", `"gasLimit"`, `"gasLemon"`, "g.json: missing required field 'gasLimit'"},
		{"no configuration", `"config"`, `"confug"`, "the chain configuration (config) is missing"},
		{"no chain id", `"chainId"`, `"chainid2"`, "the chain id (config.chainId) is missing"},
		{"forks out of order", `"homesteadBlock": 0`, `"homesteadBlock": 5, "eip150Block": 2`, "unsupported fork ordering"},
		{"not an object", valid, "[]", "g.json"},
		{"empty", valid, "", "g.json:1: unexpected end of JSON input"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(valid, test.old) {
				t.Fatalf("nothing to replace: %s", test.old)
			}
			_, err := Read(write(strings.Replace(valid, test.old, test.new, 1)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Read = %v, want an error with %q", err, test.want)
			}
			if fault.KindOf(err) != fault.Usage {
				t.Errorf("kind = %d, want %d", fault.KindOf(err), fault.Usage)
			}
		})
	}
	if _, err := Read(filepath.Join(dir, "absent.json")); !errors.Is(err, fs.ErrNotExist) || fault.KindOf(err) != fault.Usage {
		t.Errorf("Read(absent) = %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"config":{"chainId":7},"gasLimit":"0x1","difficulty":"0x0","alloc":{"0x00000000000000000000000000000000000000aa":{"balance":"0x1"}}}`))
	f.Add([]byte(`{"config":null,"alloc":[]}`))
	f.Add([]byte("{\n\"gasLimit\": 1x }"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := parse(raw)
		if (g == nil) == (err == nil) {
			t.Fatalf("parse = %v, %v", g, err)
		}
		var at *positionError
		if errors.As(err, &at) && (at.line < 1 || at.line > 1+bytes.Count(raw, []byte("\n"))) {
			t.Fatalf("line %d of %d", at.line, 1+bytes.Count(raw, []byte("\n")))
		}
	})
}

// BenchmarkLocal is the cost of making the local genesis and committing its
// state to an empty database, which every new data directory pays.
func BenchmarkLocal(b *testing.B) {
	for b.Loop() {
		g, err := Local()
		if err != nil {
			b.Fatal(err)
		}
		db := rawdb.NewMemoryDatabase()
		block, err := g.Commit(db, triedb.NewDatabase(db, triedb.HashDefaults), nil)
		if err != nil {
			b.Fatal(err)
		}
		if block.Root() == types.EmptyRootHash {
			b.Fatal("the state is empty")
		}
	}
}
