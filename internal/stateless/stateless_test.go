package stateless

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/triedb"

	"github.com/verdict-bench/verdict/internal/witness"
)

// sharedBlock is the real block with its real witness, which lies beside the
// checkout.
var sharedBlock = filepath.Join("..", "..", "..", "shared", "data", "witness-blocks", "hoodi_1265656.json.gz")

// subject is a block with a complete witness.
type subject struct {
	cfg     *params.ChainConfig
	block   *types.Block
	witness *witness.Witness
}

// hoodi loads the real block.
func hoodi(t testing.TB) subject {
	t.Helper()
	f, err := os.Open(sharedBlock)
	if err != nil {
		t.Skipf("the real block is not beside this checkout: %v", err)
	}
	defer f.Close()
	cache, err := ParseReplayCache(f)
	if err != nil {
		t.Fatal(err)
	}
	return subject{params.HoodiChainConfig, cache.Blocks[0], cache.Witness}
}

// with returns the subject's witness with one list replaced.
func (s subject) with(change func(w *witness.Witness)) *witness.Witness {
	w := *s.witness
	change(&w)
	return &w
}

func (s subject) verify(w *witness.Witness) (Result, error) { return Verify(s.cfg, s.block, w) }

func TestVerify_hoodi(t *testing.T) {
	s := hoodi(t)
	const hash = "0xac77c202b2b33da757f785a4c240333c7d148bc2558f19c483e42fe3ca1ce6db"
	if got := s.block.Hash().Hex(); got != hash {
		t.Errorf("block hash = %s, want %s", got, hash)
	}
	got, err := s.verify(s.witness)
	if err != nil {
		t.Fatal(err)
	}
	want := Result{
		GasUsed: 4402947, Duration: got.Duration,
		Nodes: 1704, Codes: 22, Headers: 6,
		NodesUsed: 1700, CodesUsed: 22, HeadersUsed: 6,
	}
	if got != want || got.Duration <= 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// recorder is a database that notes the hashes of the trie nodes and codes
// that are read from it.
type recorder struct {
	ethdb.Database
	lock sync.Mutex
	read map[common.Hash]bool
}

func (r *recorder) Get(key []byte) ([]byte, error) {
	r.lock.Lock()
	r.read[common.BytesToHash(key)] = true // a code's key is a prefix and its hash
	r.lock.Unlock()
	return r.Database.Get(key)
}

// stockChain is what go-ethereum's own block processor needs.
type stockChain struct{ chain }

func (stockChain) Engine() consensus.Engine { return beacon.New(ethash.NewFaker()) }

// stockReads executes the subject with go-ethereum's own database, tries,
// readers and block processor and returns the hashes of the nodes and codes
// that it read: the second opinion on what a block needs.
func stockReads(t *testing.T, s subject) map[common.Hash]bool {
	t.Helper()
	memory := rawdb.NewMemoryDatabase()
	for _, b := range s.witness.State {
		rawdb.WriteLegacyTrieNode(memory, crypto.Keccak256Hash(b), b)
	}
	for _, b := range s.witness.Codes {
		rawdb.WriteCode(memory, crypto.Keccak256Hash(b), b)
	}
	ancestors, err := link(s.block, s.witness.Headers)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Database: memory, read: map[common.Hash]bool{}}
	db, err := state.New(ancestors.parent().Root,
		state.NewDatabase(triedb.NewDatabase(r, triedb.HashDefaults), state.NewCodeDB(r)))
	if err != nil {
		t.Fatal(err)
	}
	processor := core.NewStateProcessor(stockChain{chain{s.cfg, ancestors}})
	result, err := processor.Process(context.Background(), s.block, db, nil, nil, vm.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := core.NewBlockValidator(s.cfg, nil).ValidateState(s.block, db, result, false); err != nil {
		t.Fatal(err)
	}
	return r.read
}

// TestVerify_eachElement takes each element out of a witness, and changes one
// byte in each code and in every fourth node, for the sake of time. Both must
// be refused with the element's name exactly if go-ethereum's own processor
// reads the element.
func TestVerify_eachElement(t *testing.T) {
	for name, load := range map[string]func(testing.TB) subject{"hoodi": hoodi, "small": small} {
		t.Run(name, func(t *testing.T) {
			s := load(t)
			reads := stockReads(t, s)
			nodes, codes := s.witness.State, s.witness.Codes
			half := len(nodes) / 2
			for _, c := range []struct {
				name     string
				list     [][]byte
				from, to int
				set      func(*witness.Witness, [][]byte)
			}{
				{"nodes, first half", nodes, 0, half, func(w *witness.Witness, l [][]byte) { w.State = l }},
				{"nodes, second half", nodes, half, len(nodes), func(w *witness.Witness, l [][]byte) { w.State = l }},
				{"codes", codes, 0, len(codes), func(w *witness.Witness, l [][]byte) { w.Codes = l }},
			} {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					few := c.to-c.from < 100
					for i := c.from; i < c.to; i++ {
						if !few && i%stride != 0 {
							continue
						}
						withoutElement(t, s, reads, c.list, i, c.set)
						if few || i/stride%4 == 0 {
							withChangedElement(t, s, reads, c.list, i, c.set)
						}
					}
				})
			}
		})
	}
}

func withoutElement(t *testing.T, s subject, reads map[common.Hash]bool, list [][]byte, i int, set func(*witness.Witness, [][]byte)) {
	t.Helper()
	_, err := s.verify(s.with(func(w *witness.Witness) { set(w, slices.Delete(slices.Clone(list), i, i+1)) }))
	checkElement(t, reads, crypto.Keccak256Hash(list[i]), err)
}

func withChangedElement(t *testing.T, s subject, reads map[common.Hash]bool, list [][]byte, i int, set func(*witness.Witness, [][]byte)) {
	t.Helper()
	changed := slices.Clone(list)
	changed[i] = bytes.Clone(list[i])
	// Which byte and to what does not matter to a hash; it only should not
	// always be the same.
	changed[i][i%len(changed[i])] ^= byte(1 + i%255)
	_, err := s.verify(s.with(func(w *witness.Witness) { set(w, changed) }))
	checkElement(t, reads, crypto.Keccak256Hash(list[i]), err)
}

// checkElement judges the outcome without the element that has the given hash.
func checkElement(t *testing.T, reads map[common.Hash]bool, hash common.Hash, err error) {
	t.Helper()
	if !reads[hash] {
		if err != nil {
			t.Errorf("without %s, which nothing reads: %v", hash, err)
		}
		return
	}
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Missing[0].Hash != hash || !strings.Contains(err.Error(), hash.Hex()) {
		t.Errorf("without %s: %v", hash, err)
	}
}

// TestVerify_eachHeader: both subjects read as far back as their witness goes,
// so no header can be spared.
func TestVerify_eachHeader(t *testing.T) {
	for name, load := range map[string]func(testing.TB) subject{"hoodi": hoodi, "small": small} {
		t.Run(name, func(t *testing.T) {
			s := load(t)
			list := s.witness.Headers
			for i := range list {
				var header types.Header
				if err := rlp.DecodeBytes(list[i], &header); err != nil {
					t.Fatal(err)
				}
				_, err := s.verify(s.with(func(w *witness.Witness) {
					w.Headers = slices.Delete(slices.Clone(list), i, i+1)
				}))
				var missing *MissingError
				if !errors.As(err, &missing) || missing.Missing[0].Kind != Header || missing.Missing[0].Number != header.Number.Uint64() {
					t.Errorf("without header %d: %v", header.Number, err)
				}
				for at := range list[i] {
					if at%(7*stride) != 0 {
						continue
					}
					_, err := s.verify(s.with(func(w *witness.Witness) {
						w.Headers = slices.Clone(list)
						w.Headers[i] = bytes.Clone(list[i])
						w.Headers[i][at] ^= 0x10
					}))
					if err == nil {
						t.Errorf("header %d with byte %d changed is accepted", header.Number, at)
					}
				}
			}
		})
	}
}

// TestVerify_harmless: order, repetitions and what nobody needs.
func TestVerify_harmless(t *testing.T) {
	for name, load := range map[string]func(testing.TB) subject{"hoodi": hoodi, "small": small} {
		t.Run(name, func(t *testing.T) {
			s := load(t)
			own, err := rlp.EncodeToBytes(s.block.Header())
			if err != nil {
				t.Fatal(err)
			}
			for what, change := range map[string]func(w *witness.Witness){
				"shuffled": func(w *witness.Witness) {
					rnd := rand.New(rand.NewPCG(3, 4))
					for _, list := range []*[][]byte{&w.State, &w.Codes, &w.Headers} {
						*list = slices.Clone(*list)
						rnd.Shuffle(len(*list), func(i, j int) { (*list)[i], (*list)[j] = (*list)[j], (*list)[i] })
					}
				},
				"twice": func(w *witness.Witness) {
					w.State = slices.Repeat(w.State, 2)
					w.Codes = slices.Repeat(w.Codes, 2)
					w.Headers = slices.Repeat(w.Headers, 2)
				},
				"extra": func(w *witness.Witness) {
					w.State = append(slices.Clone(w.State), nil, []byte{0x80}, []byte("no node"))
					w.Codes = append(slices.Clone(w.Codes), nil, []byte{0x80})
				},
				"own header": func(w *witness.Witness) { w.Headers = append(slices.Clone(w.Headers), own) },
				"no keys":    func(w *witness.Witness) { w.Keys = nil },
			} {
				if _, err := s.verify(s.with(change)); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// BenchmarkVerify re-executes the real block, from its decoded witness to the
// compared roots.
func BenchmarkVerify(b *testing.B) {
	s := hoodi(b)
	var gas uint64
	b.ReportAllocs()
	for b.Loop() {
		result, err := s.verify(s.witness)
		if err != nil {
			b.Fatal(err)
		}
		gas += result.GasUsed
	}
	b.ReportMetric(float64(gas)/1e6/b.Elapsed().Seconds(), "Mgas/s")
}
