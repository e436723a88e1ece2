package devnet

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rlp"
)

func testAnswer(n byte) *answer {
	return &answer{State: [][]byte{{1, n}, {2}}, Keys: [][]byte{bytes.Repeat([]byte{n}, 20), make([]byte, 32)}, Headers: [][]byte{{0xc0}}}
}

func id(n uint64) blockID { return blockID{n, common.BigToHash(new(big.Int).SetUint64(n))} }

func text(t *testing.T, r result) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.writeTo(&out); err != nil {
		t.Fatal(err)
	}
	if out.Len() != r.size() {
		t.Fatalf("size() = %d, %d bytes written", r.size(), out.Len())
	}
	return out.String()
}

func TestAnswer_JSON(t *testing.T) {
	want := `{"state":["0x0107","0x02"],"keys":["0x0707070707070707070707070707070707070707","0x0000000000000000000000000000000000000000000000000000000000000000"],"codes":[],"headers":["0xc0"]}`
	if got := text(t, testAnswer(7)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := text(t, new(answer)); got != `{"state":[],"keys":[],"codes":[],"headers":[]}` {
		t.Errorf("an empty one is %s", got)
	}
}

// FuzzAnswer checks the encoder written by hand against encoding/json, and the
// stored structure against both.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("some bytes to be cut into elements"), uint8(3))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint8) {
		a := new(answer)
		arrays := []*[][]byte{&a.State, &a.Codes, &a.Keys, &a.Headers}
		for i := 0; len(raw) > 0; i++ {
			n := min(len(raw), int(cut)%7+i%3)
			*arrays[i%4] = append(*arrays[i%4], raw[:n])
			raw = raw[max(n, 1):]
		}
		var decoded struct{ State, Keys, Codes, Headers []hexutil.Bytes }
		if err := json.Unmarshal([]byte(text(t, a)), &decoded); err != nil {
			t.Fatal(err)
		}
		for i, got := range [][]hexutil.Bytes{decoded.State, decoded.Codes, decoded.Keys, decoded.Headers} {
			if len(got) != len(*arrays[i]) {
				t.Fatalf("array %d has %d elements, want %d", i, len(got), len(*arrays[i]))
			}
			for j := range got {
				if !bytes.Equal(got[j], (*arrays[i])[j]) {
					t.Fatalf("array %d element %d is %x, want %x", i, j, got[j], (*arrays[i])[j])
				}
			}
		}
		stored, err := rlp.EncodeToBytes(a)
		if err != nil {
			t.Fatal(err)
		}
		var back answer
		if err := rlp.DecodeBytes(stored, &back); err != nil || text(t, &back) != text(t, a) {
			t.Fatalf("stored and read back it differs: %v", err)
		}
	})
}

// FuzzStore reads files with any content: an answer or an error, never a
// panic, and only what was written with its checksum is an answer.
func FuzzStore(f *testing.F) {
	for _, form := range []Form{Serialized, Generated} {
		s := &store{form: form, dir: f.TempDir(), entries: map[blockID]struct{}{}}
		if err := s.put(id(1), testAnswer(1)); err != nil {
			f.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(s.dir, id(1).name()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)-2])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, form := range []Form{Serialized, Generated} {
			s := &store{form: form}
			if r, err := s.decode(raw); (r == nil) == (err == nil) {
				t.Fatalf("decode = %v, %v", r, err)
			} else if err == nil {
				text(t, r)
			}
		}
	})
}

func TestStore_keepsTheNewestHeights(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir, Serialized)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 300; n++ {
		if err := s.put(id(n), testAnswer(byte(n))); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != storeHeights || s.len() != storeHeights {
		t.Errorf("%d files, %d entries, want %d", len(files), s.len(), storeHeights)
	}
	// A gap does not keep old ones alive, and a lower height, after a
	// reorganization, does not remove newer ones.
	if err := s.put(id(400), testAnswer(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.put(id(399), testAnswer(2)); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[uint64]bool{272: false, 273: true, 300: true, 399: true, 400: true} {
		if r, err := s.find(id(n)); (r != nil) != want || err != nil {
			t.Errorf("block %d: found %v, %v", n, r != nil, err)
		}
	}
}

func TestStore_reopened(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir, Generated)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.put(id(5), testAnswer(5)); err != nil {
		t.Fatal(err)
	}
	// A write that never ended, and a file that is not ours.
	for _, name := range []string{".tmp-123", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openStore(dir, Generated)
	if err != nil {
		t.Fatal(err)
	}
	r, err := again.find(id(5))
	if err != nil || r == nil || text(t, r) != text(t, testAnswer(5)) {
		t.Errorf("found %v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".tmp-123")); err == nil {
		t.Error("the unfinished write is still there")
	}
	// One store, one form.
	other, err := openStore(dir, Serialized)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := other.find(id(5)); r != nil || err != nil || other.len() != 0 {
		t.Errorf("of the other form: found %v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.txt")); err != nil {
		t.Error("a file of somebody else's was removed")
	}
}

func TestStore_cannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir, Serialized)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.put(id(1), testAnswer(1)); err == nil || s.len() != 0 {
		t.Errorf("put = %v, %d entries", err, s.len())
	}
}

func TestParseName(t *testing.T) {
	good := id(17)
	if got, ok := parseName(good.name()); !ok || got != good {
		t.Errorf("parseName(%q) = %v, %v", good.name(), got, ok)
	}
	for _, bad := range []string{"", "17.witness", "17-12.witness", "x" + good.name(), "0" + good.name(), good.name() + "x"} {
		if _, ok := parseName(bad); ok {
			t.Errorf("parseName(%q) is ok", bad)
		}
	}
}
