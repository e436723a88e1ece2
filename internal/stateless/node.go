package stateless

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// wellFormed reports whether b can be decoded as a trie node. The trie panics
// on what it cannot decode, on goroutines of its own, where nobody can recover;
// it trusts its database, and a witness is not to be trusted.
func wellFormed(b []byte) bool {
	items, _, err := rlp.SplitList(b)
	if err != nil {
		return false
	}
	if plainBranch(items) {
		return true
	}
	switch n, err := rlp.CountValues(items); {
	case err != nil:
		return false
	case n == 2:
		return wellFormedShort(items)
	case n != 17:
		return false
	}
	for range 16 {
		var ok bool
		if items, ok = reference(items, true); !ok {
			return false
		}
	}
	_, _, err = rlp.SplitString(items)
	return err == nil
}

// plainBranch recognizes the items of a branch node whose children are all
// hashes or nothing and which has no value. Nearly all nodes are such, and this
// is several times as fast as looking at them in general.
func plainBranch(items []byte) bool {
	const hash = 0x80 + common.HashLength
	for range 16 {
		switch {
		case len(items) > common.HashLength && items[0] == hash:
			items = items[1+common.HashLength:]
		case len(items) > 0 && items[0] == rlp.EmptyString[0]:
			items = items[1:]
		default:
			return false
		}
	}
	return len(items) == 1 && items[0] == rlp.EmptyString[0]
}

// wellFormedShort checks the items of a leaf or extension node.
func wellFormedShort(items []byte) bool {
	key, rest, err := rlp.SplitString(items)
	if err != nil || len(key) == 0 {
		return false
	}
	if leaf := key[0]&0x20 != 0; leaf {
		_, _, err := rlp.SplitString(rest)
		return err == nil
	}
	_, ok := reference(rest, false)
	return ok
}

// reference checks that items begin with a child: the hash of a node, a node
// small enough to stand in for its hash or, where it may be, nothing. It
// returns what follows.
func reference(items []byte, optional bool) (rest []byte, ok bool) {
	kind, content, rest, err := rlp.Split(items)
	switch {
	case err != nil:
		return nil, false
	case kind == rlp.List:
		node := items[:len(items)-len(rest)]
		return rest, len(node) <= common.HashLength && wellFormed(node)
	}
	return rest, len(content) == common.HashLength || optional && len(content) == 0
}
