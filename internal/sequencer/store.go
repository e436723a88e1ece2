package sequencer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/store"
)

// record is what is kept of a batch.
type record struct {
	Number uint64       `json:"number"`
	Public batch.Public `json:"public"`
	// NextDeposit is the id of the first deposit that neither this batch nor
	// one before it credits; Deposits is how many this one credits.
	NextDeposit uint64 `json:"next_deposit"`
	Deposits    int    `json:"deposits"`
	// Transactions, GasUsed and Bytes are sums over the blocks; Bytes are those
	// of the transactions in their binary form.
	Transactions int    `json:"transactions"`
	GasUsed      uint64 `json:"gas_used"`
	Bytes        uint64 `json:"bytes"`
	// BuiltBy is the commit hash of the build that made the input: provers of
	// another one are not given it.
	BuiltBy  string    `json:"built_by"`
	SealedAt time.Time `json:"sealed_at"`
	// CommitTx and VerifyTx are the transactions on the L1, nil while there is
	// none.
	CommitTx *common.Hash `json:"commit_tx"`
	VerifyTx *common.Hash `json:"verify_tx"`
}

func (r record) blocks() uint64 { return r.Public.LastBlock - r.Public.FirstBlock + 1 }

// identity says which L1 and which contracts a data directory belongs to.
type identity struct {
	// L1 is the hash of block 1 of the L1: each L1 that is started anew has
	// another one, its genesis block does not.
	L1       common.Hash    `json:"l1_block_1"`
	Proposer common.Address `json:"on_chain_proposer"`
	Bridge   common.Address `json:"bridge"`
}

// proof is a proof as a prover submitted it, as far as the L1 wants it.
type proof struct {
	Batch uint64 `json:"batch"`
	Type  string `json:"type"`
	// Public is the public output that it claims, empty where it has none.
	Public []byte `json:"public"`
	// Seconds is the time from the first request for the batch to the proof,
	// zero when that request came before a restart.
	Seconds float64 `json:"seconds"`
}

// files keeps batches, inputs and proofs in one directory: each thing one file,
// written under another name, synced and renamed, so that it is there as a whole
// or not at all, whenever the process is killed.
//
//	identity.json   the L1 and the contracts
//	batch-N.json    a record; it is written again when the batch gets further
//	input-N.json    the document that provers are given, until it is verified
//	proof-N-T.json  a proof of the type T, until it is verified or refused
//
// It is safe for concurrent use.
type files struct {
	dir string

	mu      sync.Mutex
	batches []record // batch N is at N-1
	proofs  map[proofID]proof
}

type proofID struct {
	batch uint64
	kind  string
}

// openFiles reads what dir holds, which is made when missing.
func openFiles(dir string) (*files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.As(fault.Prerequisite, fmt.Errorf("--datadir: %w", err))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.As(fault.Prerequisite, fmt.Errorf("--datadir: %w", err))
	}
	f := &files{dir: dir, proofs: make(map[proofID]proof)}
	for _, e := range entries {
		if err := f.load(e.Name()); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
	}
	slices.SortFunc(f.batches, func(a, b record) int { return int(a.Number) - int(b.Number) })
	for i, r := range f.batches {
		if r.Number != uint64(i)+1 {
			return nil, fmt.Errorf("%s: batch %d is missing", dir, i+1)
		}
	}
	// A process that was killed may have noted a verified batch and not come
	// to the removing.
	for _, r := range f.batches {
		if r.VerifyTx == nil {
			continue
		}
		if err := f.tidy(r.Number); err != nil {
			return nil, fault.As(fault.Prerequisite, fmt.Errorf("--datadir: %w", err))
		}
	}
	return f, nil
}

// load reads one file; inputs stay on disk.
func (f *files) load(name string) error {
	switch {
	case strings.HasPrefix(name, "."):
		return os.Remove(filepath.Join(f.dir, name)) // a write that never ended
	case strings.HasPrefix(name, "batch-"):
		var r record
		if err := f.read(name, &r); err != nil {
			return err
		}
		f.batches = append(f.batches, r)
	case strings.HasPrefix(name, "proof-"):
		var p proof
		if err := f.read(name, &p); err != nil {
			return err
		}
		f.proofs[proofID{p.Batch, p.Type}] = p
	}
	return nil
}

func (f *files) read(name string, into any) error {
	raw, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (f *files) write(name string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return store.WriteFile(filepath.Join(f.dir, name), append(raw, '\n'))
}

const identityFile = "identity.json"

// identity is the stored identity; ok is false before the first start.
func (f *files) identity() (id identity, ok bool, err error) {
	err = f.read(identityFile, &id)
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, false, nil
	}
	return id, err == nil, err
}

func (f *files) setIdentity(id identity) error { return f.write(identityFile, id) }

// last is the newest batch; ok is false when there is none.
func (f *files) last() (r record, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.batches) == 0 {
		return record{}, false
	}
	return f.batches[len(f.batches)-1], true
}

// batch is the batch with the given number.
func (f *files) batch(number uint64) (r record, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number == 0 || number > uint64(len(f.batches)) {
		return record{}, false
	}
	return f.batches[number-1], true
}

// find is the batch that holds a block.
func (f *files) find(block uint64) (r record, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, _ := slices.BinarySearchFunc(f.batches, block, func(r record, block uint64) int {
		if r.Public.LastBlock < block {
			return -1
		}
		return 1
	})
	if i == len(f.batches) || f.batches[i].Public.FirstBlock > block {
		return record{}, false
	}
	return f.batches[i], true
}

// count is the number of batches that pass is true of, from the first one on:
// batches are committed and verified in order.
func (f *files) count(pass func(record) bool) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint64(0)
	for n < uint64(len(f.batches)) && pass(f.batches[n]) {
		n++
	}
	return n
}

// committed and verified are the numbers of the newest such batches.
func (f *files) committed() uint64 {
	return f.count(func(r record) bool { return r.CommitTx != nil })
}

func (f *files) verified() uint64 {
	return f.count(func(r record) bool { return r.VerifyTx != nil })
}

// seal keeps a new batch: its input first, so that there is no batch without
// one.
func (f *files) seal(r record, input func(io.Writer) error) error {
	if err := writeStream(f.inputPath(r.Number), input); err != nil {
		return fmt.Errorf("batch %d: %w", r.Number, err)
	}
	return f.put(r)
}

// put writes a record that is new or got further.
func (f *files) put(r record) error {
	if err := f.write(fmt.Sprintf("batch-%d.json", r.Number), r); err != nil {
		return fmt.Errorf("batch %d: %w", r.Number, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Number == uint64(len(f.batches))+1 {
		f.batches = append(f.batches, r)
	}
	f.batches[r.Number-1] = r
	return nil
}

// setCommitted notes that the L1 took the batch.
func (f *files) setCommitted(number uint64, tx common.Hash) error {
	r, ok := f.batch(number)
	if !ok {
		return fmt.Errorf("there is no batch %d", number)
	}
	r.CommitTx = &tx
	return f.put(r)
}

// setVerified notes that the L1 took the proof of the batch. Its input and
// proofs are of no use any more, and the inputs are large.
func (f *files) setVerified(number uint64, tx common.Hash) error {
	r, ok := f.batch(number)
	if !ok {
		return fmt.Errorf("there is no batch %d", number)
	}
	r.VerifyTx = &tx
	if err := f.put(r); err != nil {
		return err
	}
	return f.tidy(number)
}

// tidy removes what a verified batch needs no longer.
func (f *files) tidy(number uint64) error {
	f.mu.Lock()
	var kinds []string
	for id := range f.proofs {
		if id.batch == number {
			kinds = append(kinds, id.kind)
		}
	}
	f.mu.Unlock()
	for _, kind := range kinds {
		if err := f.dropProof(number, kind); err != nil {
			return err
		}
	}
	if err := os.Remove(f.inputPath(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *files) inputPath(number uint64) string {
	return filepath.Join(f.dir, fmt.Sprintf("input-%d.json", number))
}

// input opens the document that provers are given.
func (f *files) input(number uint64) (*os.File, error) { return os.Open(f.inputPath(number)) }

func proofName(id proofID) string { return fmt.Sprintf("proof-%d-%s.json", id.batch, id.kind) }

// addProof keeps a proof, unless there is one of the batch and type already or
// the batch is verified.
func (f *files) addProof(p proof) (fresh bool, err error) {
	id := proofID{p.Batch, p.Type}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.proofs[id]; ok || f.batches[p.Batch-1].VerifyTx != nil {
		return false, nil
	}
	// Under the lock: two provers may submit at once, and one of them is first.
	if err := f.write(proofName(id), p); err != nil {
		return false, err
	}
	f.proofs[id] = p
	return true, nil
}

// proof is the proof of a batch of one type.
func (f *files) proof(number uint64, kind string) (p proof, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok = f.proofs[proofID{number, kind}]
	return p, ok
}

// dropProof forgets a proof, so that the batch is given out again.
func (f *files) dropProof(number uint64, kind string) error {
	id := proofID{number, kind}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.Remove(filepath.Join(f.dir, proofName(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(f.proofs, id)
	return nil
}

// writeStream writes a file as store.WriteFile does, without holding it in
// memory.
func writeStream(path string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	if err = write(tmp); err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the first error is the one to tell
	}
	return err
}
