package sequencer

import (
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/l1"
)

// blockOf is a block with one transaction of about size bytes, or none for 0.
func blockOf(size int, gas uint64, deposits int) *types.Block {
	body := &types.Body{Withdrawals: make([]*types.Withdrawal, deposits)}
	for i := range body.Withdrawals {
		body.Withdrawals[i] = &types.Withdrawal{Index: uint64(i)}
	}
	if size > 0 {
		body.Transactions = append(body.Transactions, types.NewTx(&types.DynamicFeeTx{Data: make([]byte, size)}))
	}
	return types.NewBlock(&types.Header{Number: big.NewInt(1), GasUsed: gas}, body, nil, trie.NewStackTrie(nil))
}

// A batch ends before the block that is too much for it, and the first block
// always fits.
func TestDraft_fits(t *testing.T) {
	const limit = 30_000_000
	half := blockOf(maxBytes/2, 0, 0)
	overhead := int(bytesOf(half)) - maxBytes/2
	for _, tt := range []struct {
		name        string
		first, next *types.Block
		gasLimit    uint64
		want        bool
	}{
		{"empty blocks", blockOf(0, 0, 0), blockOf(0, 0, 0), 0, true},
		{"bytes to the last one", half, blockOf(maxBytes-maxBytes/2-2*overhead, 0, 0), 0, true},
		{"a byte more", half, blockOf(maxBytes-maxBytes/2-2*overhead+1, 0, 0), 0, false},
		{"after one that is too large", blockOf(2*maxBytes, 0, 0), blockOf(1, 0, 0), 0, false},
		{"an empty block after one that is too large", blockOf(2*maxBytes, 0, 0), blockOf(0, 0, 0), 0, false},
		{"gas to the limit", blockOf(0, limit-5, 0), blockOf(0, 5, 0), limit, true},
		{"gas beyond the limit", blockOf(0, limit-5, 0), blockOf(0, 6, 0), limit, false},
		{"gas without a limit", blockOf(0, limit, 0), blockOf(0, limit, 0), 0, true},
		{"deposits to the limit", blockOf(0, 0, 200), blockOf(0, 0, 100), 0, true},
		{"deposits beyond the limit", blockOf(0, 0, 200), blockOf(0, 0, 101), 0, false},
	} {
		var d draft
		if !d.fits(tt.first, tt.gasLimit) {
			t.Errorf("%s: the first block does not fit", tt.name)
		}
		d.add(tt.first)
		if got := d.fits(tt.next, tt.gasLimit); got != tt.want {
			t.Errorf("%s: fits = %v, want %v (%d + %d bytes)", tt.name, got, tt.want, d.Bytes, bytesOf(tt.next))
		}
	}
}

// A batch has an end even if nothing is in its blocks.
func TestDraft_maxBlocks(t *testing.T) {
	var d draft
	empty := blockOf(0, 0, 0)
	for d.fits(empty, 0) && len(d.blocks) <= maxBlocks {
		d.add(empty)
	}
	if len(d.blocks) != maxBlocks {
		t.Errorf("a batch takes %d empty blocks, want %d", len(d.blocks), maxBlocks)
	}
}

// Deposits are credited once, in order and without gaps.
func TestDeposits(t *testing.T) {
	d := &deposits{next: 4}
	add := func(id uint64, wantFresh, wantErr bool) {
		t.Helper()
		wei := new(big.Int).Mul(new(big.Int).SetUint64(id), big.NewInt(params.GWei))
		fresh, err := d.add(l1.Deposit{ID: id, To: common.Address{byte(id)}, Wei: wei})
		if fresh != wantFresh || (err != nil) != wantErr {
			t.Errorf("add(%d) = %v, %v", id, fresh, err)
		}
	}
	add(3, false, false) // credited before
	add(4, true, false)
	add(6, false, true) // 5 is missing
	add(5, true, false)
	add(4, false, false) // twice
	add(6, true, false)
	due := d.due(2)
	if len(due) != 2 || due[0].Index != 4 || due[0].Amount != 4 || due[1].Index != 5 || due[1].Address != (common.Address{5}) {
		t.Errorf("due(2) = %+v", due)
	}
	d.credited(2)
	add(5, false, false)
	if due = d.due(9); len(due) != 1 || due[0].Index != 6 {
		t.Errorf("then due(9) = %+v", due)
	}
}

// newFiles is a store with n batches of two blocks.
func newFiles(t *testing.T, n uint64) *files {
	t.Helper()
	f, err := openFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= n; i++ {
		r := record{Number: i, Public: batch.Public{FirstBlock: 2*i - 1, LastBlock: 2 * i}}
		err := f.seal(r, func(w io.Writer) error {
			_, err := io.WriteString(w, "input")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *files) names(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// What was kept is there when the directory is opened again, what was half
// written is not, and a verified batch keeps nothing but its record.
func TestFiles_reopen(t *testing.T) {
	f := newFiles(t, 3)
	p := proof{Batch: 1, Type: execProof, Public: []byte{7, 8}}
	for _, step := range []func() error{
		func() error { return f.setCommitted(1, common.Hash{1}) },
		func() error { return f.setCommitted(2, common.Hash{2}) },
		func() error { _, err := f.addProof(p); return err },
		func() error { return os.WriteFile(filepath.Join(f.dir, ".batch-4.json.123"), []byte("{"), 0o644) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openFiles(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	if last, _ := again.last(); last.Number != 3 || again.committed() != 2 || again.verified() != 0 {
		t.Errorf("last %d, committed %d, verified %d", last.Number, again.committed(), again.verified())
	}
	if kept, ok := again.proof(1, execProof); !ok || string(kept.Public) != string(p.Public) {
		t.Errorf("the proof is %+v, %v", kept, ok)
	}
	if fresh, err := again.addProof(p); fresh || err != nil {
		t.Errorf("the second proof: %v, %v", fresh, err)
	}
	// Killed after the record was written and before the rest was removed.
	r, _ := again.batch(1)
	r.VerifyTx = &common.Hash{3}
	if err := again.put(r); err != nil {
		t.Fatal(err)
	}
	if again, err = openFiles(f.dir); err != nil {
		t.Fatal(err)
	}
	want := []string{"batch-1.json", "batch-2.json", "batch-3.json", "input-2.json", "input-3.json"}
	if got := again.names(t); !slices.Equal(got, want) {
		t.Errorf("the directory holds %v, want %v", got, want)
	}
	if fresh, err := again.addProof(p); fresh || err != nil {
		t.Errorf("a proof of a verified batch: %v, %v", fresh, err)
	}
}

// Damage is an error that names the file, never a gap that is passed over.
func TestFiles_damaged(t *testing.T) {
	f := newFiles(t, 3)
	if err := os.Remove(filepath.Join(f.dir, "batch-2.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := openFiles(f.dir); err == nil || !strings.Contains(err.Error(), "batch 2 is missing") {
		t.Errorf("without batch 2: %v", err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "batch-2.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openFiles(f.dir); err == nil || !strings.Contains(err.Error(), "batch-2.json") {
		t.Errorf("with half of batch 2: %v", err)
	}
}

// An input that cannot be written leaves no batch behind.
func TestFiles_inputFails(t *testing.T) {
	f := newFiles(t, 1)
	full := errors.New("no space left")
	if err := f.seal(record{Number: 2}, func(io.Writer) error { return full }); !errors.Is(err, full) {
		t.Errorf("seal = %v", err)
	}
	if last, _ := f.last(); last.Number != 1 {
		t.Errorf("the newest batch is %d", last.Number)
	}
	if got := f.names(t); !slices.Equal(got, []string{"batch-1.json", "input-1.json"}) {
		t.Errorf("the directory holds %v", got)
	}
}

// Blocks are found in their batches.
func TestFiles_find(t *testing.T) {
	f := newFiles(t, 3)
	for block, want := range []uint64{0, 1, 1, 2, 2, 3, 3, 0} {
		r, ok := f.find(uint64(block))
		if r.Number != want || ok != (want > 0) {
			t.Errorf("find(%d) = batch %d, %v, want %d", block, r.Number, ok, want)
		}
	}
}

func TestReadProof(t *testing.T) {
	for _, tt := range []struct {
		name, proof string
		want        []byte
		wrong       string
	}{
		{"bytes", `{"ProofBytes":{"prover_type":"Exec","proof":[],"public_values":[0,255,7]}}`, []byte{0, 255, 7}, ""},
		{"calldata", `{"ProofCalldata":{"prover_type":"Exec","calldata":[{"Bytes":[1,2]}]}}`, []byte{1, 2}, ""},
		{"empty calldata", `{"ProofCalldata":{"prover_type":"Exec","calldata":[{"Bytes":[]}]}}`, nil, ""},
		{"no public values", `{"ProofBytes":{"prover_type":"Exec","proof":[]}}`, nil, "no array of bytes"},
		{"a number that is no byte", `{"ProofBytes":{"prover_type":"Exec","proof":[],"public_values":[256]}}`, nil, "no array of bytes"},
		{"a text", `{"ProofBytes":{"prover_type":"Exec","proof":[],"public_values":"AAEC"}}`, nil, "no array of bytes"},
		{"two elements", `{"ProofCalldata":{"prover_type":"Exec","calldata":[{"Bytes":[]},{"Bytes":[]}]}}`, nil, "not one element"},
		{"another element", `{"ProofCalldata":{"prover_type":"Exec","calldata":[{"Uint":"0x1"}]}}`, nil, "not one element"},
		{"another form", `{"ProofDreams":{"prover_type":"Exec"}}`, nil, `form "ProofDreams" is not known`},
	} {
		p, err := readProof([]byte(`{"ProofSubmit":{"batch_number":3,"batch_proof":` + tt.proof + `}}`))
		switch {
		case tt.wrong != "":
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.wrong)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case p.Batch != 3 || p.Type != execProof || !slices.Equal(p.Public, tt.want):
			t.Errorf("%s: %+v, want public output %v", tt.name, p, tt.want)
		}
	}
}

// Whatever a prover sends, a proof that is taken can be kept and read again.
func FuzzReadProof(f *testing.F) {
	f.Add(proofOf(3, []byte{1, 2, 255}))
	f.Add([]byte(`{"ProofSubmit":{"batch_number":1,"batch_proof":{"ProofCalldata":{"prover_type":"Exec","calldata":[{"Bytes":[]}]}}}}`))
	f.Add([]byte(`{"ProofSubmit":{"id":1,"proof":{"ProofBytes":{"public_values":[]}}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := readProof(doc)
		if err != nil {
			return
		}
		again, err := readProof(proofOf(p.Batch, p.Public))
		if err != nil || again.Batch != p.Batch || !slices.Equal(again.Public, p.Public) {
			t.Errorf("%q is %+v, and written anew %+v, %v", doc, p, again, err)
		}
	})
}

func TestQuoted(t *testing.T) {
	if got := quoted([]string{"SP1", "Exec"}); got != `["SP1", "Exec"]` {
		t.Errorf("quoted = %s", got)
	}
}
