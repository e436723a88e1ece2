package stateless

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/ethereum/go-ethereum/triedb"
	"github.com/ethereum/go-ethereum/triedb/database"
)

// store is the state as far as the witness holds it: a state.Database that
// knows each element only by the hash that it has computed itself. It notes
// what is read and, above all, what is asked for and not there.
type store struct {
	root common.Hash
	// nodes and codes are shared by the stores of a run, one for each block.
	nodes, codes *elements

	// lock protects the tries, which reading expands, and what is below it.
	lock     sync.Mutex
	accounts *trie.StateTrie // nil when not open
	storages map[common.Address]*trie.StateTrie
	roots    map[common.Address]common.Hash

	// note protects the rest. It is a lock of its own because a trie that is
	// read under lock asks for nodes.
	note    sync.Mutex
	names   map[common.Hash]common.Address // by hash, of all that were read
	missing []Missing
	// executed is set when the execution is over. What is missing then is
	// missing for certain; before, only the first find is, since everything
	// after it follows from a value that was made up.
	executed bool
	// abort ends the execution, which must not go on for long on a state that
	// never was; nil once there is nothing to end.
	abort func()
}

// elements are the nodes or the codes of a witness by hash.
type elements struct {
	index map[common.Hash]int32
	blobs [][]byte
	read  []atomic.Bool
}

// newElements hashes all blobs but empty ones and those equal to null.
func newElements(blobs [][]byte, null []byte) elements {
	e := elements{
		index: make(map[common.Hash]int32, len(blobs)),
		blobs: blobs,
		read:  make([]atomic.Bool, len(blobs)),
	}
	hasher := crypto.NewKeccakState()
	var hash common.Hash
	for i, b := range blobs {
		if len(b) == 0 || bytes.Equal(b, null) {
			continue
		}
		hasher.Reset()
		hasher.Write(b)
		hasher.Read(hash[:])
		e.index[hash] = int32(i)
	}
	return e
}

// find returns the element with the given hash, or nil, and notes that it was
// read.
func (e *elements) find(hash common.Hash) []byte {
	i, ok := e.index[hash]
	if !ok {
		return nil
	}
	e.read[i].Store(true)
	return e.blobs[i]
}

// count returns how many distinct elements there are and how many were read.
func (e *elements) count() (all, read int) {
	// Of equal elements the index has one, so only one is ever marked.
	for i := range e.read {
		if e.read[i].Load() {
			read++
		}
	}
	return len(e.index), read
}

func newStore(root common.Hash, nodes, codes *elements) *store {
	return &store{
		root:     root,
		nodes:    nodes,
		codes:    codes,
		storages: make(map[common.Address]*trie.StateTrie),
		roots:    make(map[common.Address]common.Hash),
		names:    make(map[common.Hash]common.Address),
	}
}

// miss notes that something was asked for that the witness does not have, and
// ends the execution.
func (s *store) miss(m Missing) {
	s.note.Lock()
	defer s.note.Unlock()
	if len(s.missing) == 0 || s.executed {
		s.missing = append(s.missing, m)
	}
	if s.abort != nil {
		s.abort()
	}
}

// stage ends a stage of the execution, which had the error err. If anything was
// found missing by now, that is the cause of whatever else went wrong.
func (s *store) stage(where string, err error) error {
	s.note.Lock()
	defer s.note.Unlock()
	switch {
	case len(s.missing) > 0:
		for i := range s.missing {
			s.name(&s.missing[i])
		}
		return &MissingError{Missing: tidy(s.missing), Where: where}
	case err != nil:
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

// name finds the account that a missing node of the account trie is on the way
// to, among those that were read.
func (s *store) name(m *Missing) {
	if m.Kind != StateNode || m.Storage || len(m.Path) == 0 {
		return
	}
	for hash, address := range s.names {
		if !onPath(hash, m.Path) {
			continue
		}
		if m.Account == nil || address.Cmp(*m.Account) < 0 {
			m.Account = &address
		}
	}
}

// onPath reports whether the way to a key with the given hash begins with
// path.
func onPath(hash common.Hash, path []byte) bool {
	for i, nibble := range path {
		if i >= 2*len(hash) || hash[i/2]>>(4-4*(i%2))&15 != nibble {
			return false
		}
	}
	return true
}

// NodeReader implements database.NodeDatabase. All states are one to a store
// of nodes by hash.
func (s *store) NodeReader(common.Hash) (database.NodeReader, error) { return s, nil }

// Node implements database.NodeReader.
func (s *store) Node(owner common.Hash, path []byte, hash common.Hash) ([]byte, error) {
	blob := s.nodes.find(hash)
	if blob != nil && wellFormed(blob) {
		return blob, nil
	}
	m := Missing{Kind: StateNode, Hash: hash, Path: append([]byte(nil), path...), Malformed: blob != nil}
	if owner != (common.Hash{}) {
		m.Storage = true
		s.note.Lock()
		if address, ok := s.names[owner]; ok {
			m.Account = &address
		}
		s.note.Unlock()
	}
	s.miss(m)
	return nil, errors.New(m.String())
}

// Account implements state.StateReader.
func (s *store) Account(address common.Address) (*types.StateAccount, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.account(address)
}

func (s *store) account(address common.Address) (*types.StateAccount, error) {
	s.note.Lock()
	s.names[crypto.Keccak256Hash(address[:])] = address
	s.note.Unlock()
	if s.accounts == nil {
		var err error
		if s.accounts, err = trie.NewStateTrie(trie.StateTrieID(s.root), s); err != nil {
			return nil, err
		}
	}
	account, err := s.accounts.GetAccount(address)
	if err != nil {
		return nil, err
	}
	s.roots[address] = types.EmptyRootHash
	if account != nil {
		s.roots[address] = account.Root
	}
	return account, nil
}

// Storage implements state.StateReader.
func (s *store) Storage(address common.Address, slot common.Hash) (common.Hash, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, ok := s.roots[address]; !ok {
		if _, err := s.account(address); err != nil {
			return common.Hash{}, err
		}
	}
	tr := s.storages[address]
	if tr == nil {
		var err error
		if tr, err = s.openStorage(address, s.roots[address]); err != nil {
			return common.Hash{}, err
		}
		s.storages[address] = tr
	}
	value, err := tr.GetStorage(address, slot[:])
	return common.BytesToHash(value), err
}

func (s *store) openStorage(address common.Address, root common.Hash) (*trie.StateTrie, error) {
	return trie.NewStateTrie(trie.StorageTrieID(s.root, crypto.Keccak256Hash(address[:]), root), s)
}

// OpenTrie implements state.Database. The state root is computed on the trie
// that execution has read from, which is handed over: its nodes are decoded
// already. A later read would open another.
func (s *store) OpenTrie(root common.Hash) (state.Trie, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if tr := s.accounts; tr != nil && root == s.root {
		s.accounts = nil
		return tr, nil
	}
	return trie.NewStateTrie(trie.StateTrieID(root), s)
}

// OpenStorageTrie implements state.Database, as OpenTrie does.
func (s *store) OpenStorageTrie(_ common.Hash, address common.Address, root common.Hash, _ state.Trie) (state.Trie, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if tr := s.storages[address]; tr != nil && root == s.roots[address] {
		delete(s.storages, address)
		return tr, nil
	}
	return s.openStorage(address, root)
}

// Code implements state.ContractCodeReader.
func (s *store) Code(address common.Address, hash common.Hash) []byte {
	code := s.codes.find(hash)
	if code == nil {
		s.miss(Missing{Kind: Code, Hash: hash, Account: &address})
	}
	return code
}

// CodeSize implements state.ContractCodeReader.
func (s *store) CodeSize(address common.Address, hash common.Hash) int {
	return len(s.Code(address, hash))
}

// Has implements state.ContractCodeReader.
func (s *store) Has(address common.Address, hash common.Hash) bool {
	return s.Code(address, hash) != nil
}

// Type implements state.Database.
func (s *store) Type() state.DatabaseType { return state.TypeMPT }

// Reader implements state.Database.
func (s *store) Reader(common.Hash) (state.Reader, error) { return s, nil }

// TrieDB implements state.Database. Execution does not ask for it: it serves
// commits, and nothing is committed here.
func (s *store) TrieDB() *triedb.Database { return nil }

var errReadOnly = errors.New("the state of a witness can only be read by key")

// Iteratee implements state.Database.
func (s *store) Iteratee(common.Hash) (state.Iteratee, error) { return nil, errReadOnly }

// Commit implements state.Database.
func (s *store) Commit(*state.StateUpdate) error { return errReadOnly }
