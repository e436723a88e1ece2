package stateless

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// Kind says which part of a witness an element belongs to.
type Kind string

// The kinds of elements.
const (
	StateNode Kind = "state node"
	Code      Kind = "code"
	Header    Kind = "header"
)

// Missing is an element that the block needs and the witness lacks. An element
// with a changed byte is missing under the hash that it should have.
type Missing struct {
	Kind Kind
	// Hash is what the element hashes to; zero for a header that only its
	// number is known of.
	Hash common.Hash
	// Account is the account that a code or storage node belongs to, or for
	// whose sake a node of the account trie is needed; nil if that is unknown,
	// as it is of the neighbor of a deleted account.
	Account *common.Address
	// Storage is set for a node of the account's storage trie.
	Storage bool
	// Path leads to a state node in its trie, one nibble per byte.
	Path []byte
	// Number is the block number of a header.
	Number uint64
	// Malformed is set when the element is there but is no trie node.
	Malformed bool
}

func (m Missing) String() string {
	var s strings.Builder
	if m.Malformed {
		s.WriteString("malformed ")
	} else {
		s.WriteString("missing ")
	}
	switch m.Kind {
	case Header:
		fmt.Fprintf(&s, "header %d", m.Number)
		if m.Hash != (common.Hash{}) {
			fmt.Fprintf(&s, " (%s)", m.Hash)
		}
		return s.String()
	case Code:
		fmt.Fprintf(&s, "code %s", m.Hash)
		if m.Account != nil {
			fmt.Fprintf(&s, " of account %s", m.Account)
		}
		return s.String()
	}
	fmt.Fprintf(&s, "state node %s, ", m.Hash)
	if len(m.Path) == 0 {
		s.WriteString("the root of ")
	} else {
		fmt.Fprintf(&s, "path %s in ", nibbles(m.Path))
	}
	switch {
	case m.Storage && m.Account != nil:
		fmt.Fprintf(&s, "the storage trie of account %s", m.Account)
	case m.Storage:
		s.WriteString("a storage trie")
	case m.Account != nil:
		fmt.Fprintf(&s, "the account trie on the way to account %s", m.Account)
	default:
		s.WriteString("the account trie")
	}
	return s.String()
}

// nibbles writes a path as hex digits, one for each step.
func nibbles(path []byte) string {
	const digits = "0123456789abcdef"
	b := make([]byte, len(path))
	for i, n := range path {
		b[i] = digits[n&15]
	}
	return string(b)
}

// MissingError says what a witness lacks.
type MissingError struct {
	// Missing lists what was found missing, at least one element, in a fixed
	// order. It is one if the execution met it, because nothing is known of
	// what lies behind, and all that is missing for the state root if the
	// execution got there.
	Missing []Missing
	// Where says at which point of the block it was needed.
	Where string
}

func (e *MissingError) Error() string {
	s := e.Missing[0].String()
	if e.Where != "" {
		s += ", needed " + e.Where
	}
	if more := len(e.Missing) - 1; more > 0 {
		s += fmt.Sprintf(" (and %d more)", more)
	}
	return s
}

// tidy sorts what was found and drops repetitions: storage tries are updated
// concurrently, so the order of discovery means nothing.
func tidy(missing []Missing) []Missing {
	slices.SortStableFunc(missing, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), a.Hash.Cmp(b.Hash), cmp.Compare(a.Number, b.Number))
	})
	return slices.CompactFunc(missing, func(a, b Missing) bool {
		return a.Kind == b.Kind && a.Hash == b.Hash && a.Number == b.Number
	})
}
