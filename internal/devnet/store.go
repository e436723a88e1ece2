package devnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// Form says how the store keeps a witness.
type Form string

// The forms of a stored witness.
const (
	// Serialized keeps the bytes of the JSON answer, which are sent as they
	// are.
	Serialized Form = "serialized"
	// Generated keeps the structure, which is decoded and encoded as JSON
	// for each answer.
	Generated Form = "generated"
)

// storeHeights is the number of heights that the store keeps.
const storeHeights = 128

// store keeps witnesses, one file per block, for the newest heights. The
// files are the only state that outlives the process; entries is what they
// are known by. It is safe for concurrent use.
//
// A file is storeMagic, the form as one byte, the length of the body as eight
// bytes and its CRC-32C as four, both big-endian, and the body. The name holds
// number and hash. Files are not synced: after a power cut the checksum tells
// a torn one, and the witness can be made again.
type store struct {
	dir  string
	form Form

	mu      sync.Mutex
	entries map[blockID]struct{}
}

// blockID is a block by number and hash: two blocks of one height are two.
type blockID struct {
	number uint64
	hash   common.Hash
}

const (
	storeMagic  = "verdict witness 1\n"
	storeHeader = len(storeMagic) + 1 + 8 + 4
	storeSuffix = ".witness"
)

func (f Form) tag() byte {
	if f == Generated {
		return 'g'
	}
	return 's'
}

// openStore opens the store in dir, which is made when missing. Entries of the
// other form are removed: one store has one form, so that what is measured is
// what was asked for.
func openStore(dir string, form Form) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("witness store: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("witness store: %w", err)
	}
	s := &store{dir: dir, form: form, entries: make(map[blockID]struct{})}
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		id, ok := parseName(file.Name())
		switch {
		case strings.HasPrefix(file.Name(), ".tmp-"):
			err = os.Remove(path) // a write that never ended
		case !ok:
			// Not one of ours; leave it alone.
		case !hasForm(path, form):
			err = os.Remove(path)
		default:
			s.entries[id] = struct{}{}
		}
		if err != nil {
			return nil, fmt.Errorf("witness store: %w", err)
		}
	}
	return s, nil
}

// hasForm reports whether the file begins as one of this form does.
func hasForm(path string, form Form) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(storeMagic)+1)
	_, err = f.Read(head)
	return err == nil && string(head) == storeMagic+string(form.tag())
}

func (id blockID) name() string {
	return fmt.Sprintf("%d-%x%s", id.number, id.hash[:], storeSuffix)
}

// parseName is the inverse of name; anything else is not ok.
func parseName(name string) (blockID, bool) {
	var id blockID
	var digits []byte
	base, ok := strings.CutSuffix(name, storeSuffix)
	if !ok {
		return blockID{}, false
	}
	if n, err := fmt.Sscanf(base, "%d-%x", &id.number, &digits); err != nil || n != 2 || len(digits) != common.HashLength {
		return blockID{}, false
	}
	id.hash = common.BytesToHash(digits)
	return id, id.name() == name
}

// put stores the witness of a block and removes what is too old.
func (s *store) put(id blockID, a *answer) error {
	body, err := s.encode(a)
	if err != nil {
		return fmt.Errorf("witness of block %d: %w", id.number, err)
	}
	if err := s.write(id, body); err != nil {
		return fmt.Errorf("witness of block %d: %w", id.number, err)
	}
	s.mu.Lock()
	s.entries[id] = struct{}{}
	var old []blockID
	for e := range s.entries {
		if e.number+storeHeights <= id.number {
			old = append(old, e)
			delete(s.entries, e)
		}
	}
	s.mu.Unlock()
	for _, e := range old {
		if err := os.Remove(filepath.Join(s.dir, e.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the witness of block %d: %w", e.number, err)
		}
	}
	return nil
}

// encode makes the body of a file.
func (s *store) encode(a *answer) ([]byte, error) {
	if s.form == Generated {
		return rlp.EncodeToBytes(a)
	}
	var body bytes.Buffer
	body.Grow(a.size())
	err := a.writeTo(&body)
	return body.Bytes(), err
}

// write makes the file under another name first, so that a reader never sees
// half of it.
func (s *store) write(id blockID, body []byte) error {
	head := append([]byte(storeMagic), s.form.tag())
	head = binary.BigEndian.AppendUint64(head, uint64(len(body)))
	head = binary.BigEndian.AppendUint32(head, checksum(body))
	f, err := os.CreateTemp(s.dir, ".tmp-")
	if err != nil {
		return err
	}
	_, err = f.Write(head)
	if err == nil {
		_, err = f.Write(body)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, id.name()))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
	}
	return err
}

// len is the number of witnesses in the store.
func (s *store) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// find returns the witness of a block, nil if there is none. An error means
// that there was one and that it is damaged; it is forgotten.
func (s *store) find(id blockID) (result, error) {
	s.mu.Lock()
	_, ok := s.entries[id]
	s.mu.Unlock()
	if !ok {
		return nil, nil
	}
	path := filepath.Join(s.dir, id.name())
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !s.has(id) {
		return nil, nil // grew too old between the two looks
	}
	var r result
	if err == nil {
		r, err = s.decode(raw)
	}
	if err != nil {
		s.mu.Lock()
		delete(s.entries, id)
		s.mu.Unlock()
		return nil, fmt.Errorf("stored witness of block %d: %w", id.number, err)
	}
	return r, nil
}

func (s *store) has(id blockID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.entries[id]
	return ok
}

// decode checks a file and takes its body.
func (s *store) decode(raw []byte) (result, error) {
	if len(raw) < storeHeader || string(raw[:len(storeMagic)+1]) != storeMagic+string(s.form.tag()) {
		return nil, errors.New("the file does not begin as a stored witness does")
	}
	head, body := raw[len(storeMagic)+1:storeHeader], raw[storeHeader:]
	if want := binary.BigEndian.Uint64(head); uint64(len(body)) != want {
		return nil, fmt.Errorf("the file holds %d bytes of %d", len(body), want)
	}
	if checksum(body) != binary.BigEndian.Uint32(head[8:]) {
		return nil, errors.New("the checksum does not match")
	}
	if s.form == Serialized {
		return serialized(body), nil
	}
	var a answer
	if err := rlp.DecodeBytes(body, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
