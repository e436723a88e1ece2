package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm/runtime"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"
)

const sources = "../../contracts"

// names are all contracts that there are sources for.
func names(t *testing.T) []Name {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(sources, "*.sol"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources in %s: %v", sources, err)
	}
	var out []Name
	for _, f := range files {
		out = append(out, Name(strings.TrimSuffix(filepath.Base(f), ".sol")))
	}
	return out
}

// An artifact that does not belong to its source would be believed by whoever
// reads the source.
func TestArtifact_isOfItsSources(t *testing.T) {
	for _, name := range names(t) {
		a := name.Artifact()
		sum := sha256.New()
		for _, source := range a.Sources {
			raw, err := os.ReadFile(filepath.Join(sources, source))
			if err != nil {
				t.Fatal(err)
			}
			sum.Write(raw)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != a.SHA256 {
			t.Errorf("%s: the sources hash to %s, the artifact is of %s: run go generate ./internal/contract", name, got, a.SHA256)
		}
		if !slices.Contains(a.Sources, string(name)+".sol") {
			t.Errorf("%s: the artifact is of %v", name, a.Sources)
		}
	}
}

func TestArtifact_compilesToTheSameBytes(t *testing.T) {
	if os.Getenv("VERDICT_SOLC") == "" {
		if os.Getenv("VERDICT_REQUIRE") != "" {
			t.Fatal("no compiler: set VERDICT_SOLC, as make test does")
		}
		t.Skip("no compiler: set VERDICT_SOLC, as make test does")
	}
	dir := t.TempDir()
	if out, err := exec.Command(filepath.Join(sources, "compile.sh"), dir).CombinedOutput(); err != nil {
		t.Fatalf("compile.sh: %v\n%s", err, out)
	}
	for _, name := range names(t) {
		file := strings.ToLower(string(name)) + ".json"
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		want, err := files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s compiles to something else than is committed: run go generate ./internal/contract", name)
		}
	}
}

// machine runs calls on an EVM whose state stays from call to call.
type machine struct {
	t *testing.T
	*runtime.Config
}

var caller = common.HexToAddress("0xca11e4")

func newMachine(t *testing.T) *machine {
	t.Helper()
	db, err := state.New(types.EmptyRootHash, state.NewDatabaseForTesting())
	if err != nil {
		t.Fatal(err)
	}
	zero := uint64(0)
	chain := *params.MergedTestChainConfig
	chain.OsakaTime = &zero
	db.SetBalance(caller, uint256.NewInt(params.Ether), tracing.BalanceChangeUnspecified)
	return &machine{t, &runtime.Config{
		ChainConfig: &chain, Origin: caller, State: db, GasLimit: 1 << 32, Random: new(common.Hash),
		BlockNumber: big.NewInt(1), Value: new(big.Int),
	}}
}

// place puts an account of a genesis into the state.
func (m *machine) place(address common.Address, a types.Account) {
	m.State.SetNonce(address, a.Nonce, tracing.NonceChangeUnspecified)
	m.State.SetCode(address, a.Code, tracing.CodeChangeUnspecified)
	for slot, value := range a.Storage {
		m.State.SetState(address, slot, value)
	}
}

// deploy makes the contract's account by running its creation code.
func (m *machine) deploy(name Name) common.Address {
	m.t.Helper()
	code, address, _, err := runtime.Create(name.Artifact().Creation, m.Config)
	if err != nil {
		m.t.Fatalf("deploying %s: %v", name, err)
	}
	if !bytes.Equal(code, name.Artifact().Runtime) {
		m.t.Fatalf("%s: the deployed code is not the artifact's", name)
	}
	return address
}

func (m *machine) call(to common.Address, data []byte) []byte {
	m.t.Helper()
	out, _, err := runtime.Call(to, data, m.Config)
	if err != nil {
		m.t.Fatalf("calling with %x: %v", data[:4], err)
	}
	return out
}

func (m *machine) fails(to common.Address, data []byte) {
	m.t.Helper()
	if out, _, err := runtime.Call(to, data, m.Config); err == nil {
		m.t.Errorf("calling with %x succeeds with %x, want a revert", data[:4], out)
	}
}

func TestFibonacci(t *testing.T) {
	m := newMachine(t)
	at := m.deploy(Fibonacci)
	a, b := new(big.Int), big.NewInt(1)
	for n := range uint64(MaxFibonacci + 1) {
		if n%37 == 0 || n < 4 {
			if got := new(big.Int).SetBytes(m.call(at, FibonacciCall(n))); got.Cmp(a) != 0 {
				t.Errorf("fibonacci(%d) = %d, want %d", n, got, a)
			}
		}
		a.Add(a, b)
		a, b = b, a
	}
	m.fails(at, FibonacciCall(MaxFibonacci+1))
	m.fails(at, FibonacciCall(100_000_000_000_000))
}

func TestIOHeavy(t *testing.T) {
	m := newMachine(t)
	at := m.deploy(IOHeavy)
	slot := func(i uint64) uint64 { return m.State.GetState(at, hashOf(i)).Big().Uint64() }
	m.call(at, IncrementSharedCall())
	m.call(at, IncrementSharedCall())
	own := new(big.Int).SetBytes(crypto.Keccak256(common.LeftPadBytes(caller[:], word), big.NewInt(IOSlots).FillBytes(make([]byte, word))))
	for range 3 {
		m.call(at, IncrementOwnCall())
	}
	for i := range uint64(IOSlots) {
		if got := slot(i); got != i+3 {
			t.Errorf("slot %d is %d after two calls, want %d", i, got, i+3)
		}
		mine := common.BigToHash(new(big.Int).Add(own, new(big.Int).SetUint64(i)))
		if got := m.State.GetState(at, mine).Big().Uint64(); got != 3 {
			t.Errorf("own slot %d is %d after three calls, want 3", i, got)
		}
	}
	if got := slot(IOSlots); got != 0 {
		t.Errorf("the slot after the last is %d", got)
	}
}

func TestMintableToken(t *testing.T) {
	m := newMachine(t)
	at := m.deploy(MintableToken)
	balance := func(a common.Address) uint64 { return new(big.Int).SetBytes(m.call(at, BalanceCall(a))).Uint64() }
	other := common.HexToAddress("0x07e4")
	m.call(at, MintCall([]common.Address{caller, other}, big.NewInt(50)))
	m.call(at, MintCall([]common.Address{caller}, big.NewInt(7)))
	m.call(at, TransferCall(other, big.NewInt(20)))
	if got := []uint64{balance(caller), balance(other)}; got[0] != 37 || got[1] != 70 {
		t.Errorf("balances are %v, want 37 and 70", got)
	}
	m.fails(at, TransferCall(other, big.NewInt(38)))
	if supply := m.call(at, pack("totalSupply()")); new(big.Int).SetBytes(supply).Uint64() != 107 {
		t.Errorf("totalSupply = %x, want 107", supply)
	}
}

func TestSpread(t *testing.T) {
	m := newMachine(t)
	at := m.deploy(Spread)
	// The EVM takes no gas from the balance here.
	balance := func(a common.Address) uint64 { return m.State.GetBalance(a).Uint64() }
	to := []common.Address{{1: 1}, {2: 2}, {3: 3}}
	values := []*big.Int{big.NewInt(5), big.NewInt(0), big.NewInt(7)}
	before := balance(caller)
	m.Value = big.NewInt(100)
	m.call(at, SpreadCall(to, values))
	if got := []uint64{balance(to[0]), balance(to[1]), balance(to[2])}; !slices.Equal(got, []uint64{5, 0, 7}) {
		t.Errorf("the addresses got %v, want 5, 0 and 7", got)
	}
	if spent := before - balance(caller); spent != 12 || balance(at) != 0 {
		t.Errorf("%d were spent and %d stay in the contract, want 12 and 0", spent, balance(at))
	}
	// Too little ether, a recipient that refuses, lists of different length:
	// nobody gets anything.
	before = balance(caller)
	m.Value = big.NewInt(11)
	m.fails(at, SpreadCall(to, values))
	m.Value = big.NewInt(12)
	refuses := common.Address{9: 9}
	m.place(refuses, types.Account{Code: []byte{0xfe}})
	m.fails(at, SpreadCall([]common.Address{to[0], refuses}, values[:2]))
	m.fails(at, SpreadCall(to, values[:2]))
	if balance(caller) != before || balance(to[0]) != 5 {
		t.Error("a call that failed moved ether")
	}
}

func TestHeavy_isWhatPlacedGives(t *testing.T) {
	const codes, slots = 5, 9
	m := newMachine(t)
	at := m.deploy(Heavy)
	m.call(at, DeployCall(2))
	m.call(at, DeployCall(3))
	m.call(at, FillCall(4))
	m.call(at, FillCall(5))
	seen := map[common.Hash]bool{}
	for i := range codes {
		code := m.State.GetCode(HeavyAddress(at, i))
		if !bytes.Equal(code, HeavyCode(i)) {
			t.Errorf("contract %d has another code than HeavyCode(%d)", i, i)
		}
		if len(code) != params.MaxCodeSize || code[0] != 0 || seen[crypto.Keccak256Hash(code)] {
			t.Errorf("contract %d has %d bytes of code that begin with %x, or is a duplicate", i, len(code), code[:1])
		}
		seen[crypto.Keccak256Hash(code)] = true
	}
	placed := Placed(codes, slots)
	heavy := placed[PlacedHeavy]
	if got := m.State.GetNonce(at); got != heavy.Nonce {
		t.Errorf("the nonce is %d, placed %d", got, heavy.Nonce)
	}
	for slot, value := range heavy.Storage {
		if got := m.State.GetState(at, slot); got != value {
			t.Errorf("slot %s is %s, placed %s", slot, got, value)
		}
	}
	if len(heavy.Storage) != slots+1 || len(placed) != 3+codes {
		t.Errorf("placed are %d slots and %d accounts, want %d and %d", len(heavy.Storage), len(placed), slots+1, 3+codes)
	}
}

// The addresses that the contract computes must be those of its contracts for
// every length of the nonce.
func TestHeavy_touch(t *testing.T) {
	for _, edge := range []int{0, 0x7f, 0xff, 0xffff} {
		m := newMachine(t)
		heavy := Placed(0, 0)[PlacedHeavy]
		m.place(PlacedHeavy, heavy)
		deployed := edge + 4
		m.State.SetState(PlacedHeavy, hashOf(0), hashOf(uint64(deployed)))
		first := max(0, edge-3)
		for i := first; i < deployed; i++ {
			m.place(HeavyAddress(PlacedHeavy, i), types.Account{Nonce: 1, Code: HeavyCode(i)})
		}
		want := new(uint256.Int)
		for i := first; i < deployed; i++ {
			code := HeavyCode(i)
			want.Add(want, new(uint256.Int).SetBytes(code[len(code)-word:]))
		}
		got := m.call(PlacedHeavy, TouchCall(uint64(first), uint64(deployed-first), 0, 0))
		if sum := new(uint256.Int).SetBytes(got); !sum.Eq(want) {
			t.Errorf("contracts %d to %d: read %s, want %s", first, deployed-1, sum, want)
		}
	}
}

func TestHeavy_touchSlots(t *testing.T) {
	const slots = 50
	m := newMachine(t)
	m.place(PlacedHeavy, Placed(0, slots)[PlacedHeavy])
	want := new(uint256.Int)
	for j := range uint64(20) {
		entry := hashOf((40 + j) % slots)
		want.Add(want, new(uint256.Int).SetBytes(crypto.Keccak256(entry[:])))
	}
	if got := new(uint256.Int).SetBytes(m.call(PlacedHeavy, TouchCall(0, 0, 40, 20))); !got.Eq(want) {
		t.Errorf("read %s, want %s", got, want)
	}
	m.fails(PlacedHeavy, TouchCall(0, 1, 0, 0)) // no contract to read
}

func BenchmarkHeavyCode(b *testing.B) {
	b.SetBytes(HeavyCodeSize)
	for i := 0; b.Loop(); i++ {
		HeavyCode(i)
	}
}
