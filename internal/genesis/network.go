package genesis

import (
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/core"

	"github.com/verdict-bench/verdict/internal/contract"
)

// The built-in chains. They differ in what is deployed, not in their rules.
const (
	// Plain has accounts and a token: see [Local].
	Plain = "local"
	// WithContracts has the contracts of every load beside them, but nothing
	// heavy.
	WithContracts = "local-contracts"
	// WithHeavy has thousands of the largest contracts that there can be, and a
	// large mapping, for witnesses of more than 100 MB.
	WithHeavy = "local-heavy"
)

// Networks are the names of the built-in chains.
var Networks = []string{Plain, WithContracts, WithHeavy}

// The sizes of [WithHeavy]: 100 MB of code, twice as much as JSON, and slots
// enough that their proofs share little.
const (
	HeavyCodes = 4_096
	HeavySlots = 100_000
)

// Named returns the genesis of a built-in chain, and whether there is one of
// that name. The value is new and the caller's own.
func Named(name string) (g *core.Genesis, known bool, err error) {
	if !slices.Contains(Networks, name) {
		return nil, false, nil
	}
	if g, err = Local(); err != nil {
		return nil, true, err
	}
	switch name {
	case WithContracts:
		maps.Copy(g.Alloc, contract.Placed(0, 0))
	case WithHeavy:
		maps.Copy(g.Alloc, contract.Placed(HeavyCodes, HeavySlots))
	}
	return g, true, nil
}
