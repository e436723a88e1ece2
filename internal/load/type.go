package load

import (
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Type is a kind of load, as users name it.
type Type string

// The types of load.
const (
	// EthTransfers sends ether from account to account.
	EthTransfers Type = "eth-transfers"
	// ERC20 sends tokens from account to account.
	ERC20 Type = "erc20"
	// Fibonacci computes and touches almost no state.
	Fibonacci Type = "fibonacci"
	// IOHeavy reads and writes a hundred storage slots a call.
	IOHeavy Type = "io-heavy"
	// Mixed draws each transaction's type by weight.
	Mixed Type = "mixed"
	// WitnessHeavy reads the code of many large contracts and slots of a large
	// mapping, so that the witness of a block becomes as large as its gas
	// allows.
	WitnessHeavy Type = "witness-heavy"
)

// Types are all types of load, in the order in which they are told to users.
var Types = []Type{EthTransfers, ERC20, Fibonacci, IOHeavy, Mixed, WitnessHeavy}

// ParseType is the type with the given name. The error of an unknown one names
// those that there are.
func ParseType(name string) (Type, error) {
	if t := Type(name); slices.Contains(Types, t) {
		return t, nil
	}
	names := make([]string, len(Types))
	for i, t := range Types {
		names[i] = string(t)
	}
	return "", fault.Newf(fault.Usage, "%q is no type of load; the types are %s", name, strings.Join(names, ", "))
}

// DefaultWeights are the shares of [Mixed], in percent of the transactions.
// They are a choice and not a measurement: transfers of tokens and ether make
// up most of a block of Ethereum's main network by number and calls with much
// work most of it by gas, and a transaction uses about 100,000 gas in the
// mean. The four types are few enough to be told apart in a result; real calls
// are more varied.
func DefaultWeights() map[Type]int {
	return map[Type]int{EthTransfers: 30, ERC20: 45, Fibonacci: 15, IOHeavy: 10}
}

// parts are the types that a load of type t draws from: t itself, or those of
// the weights that are not zero.
func parts(t Type, weights map[Type]int) []Type {
	if t != Mixed {
		return []Type{t}
	}
	if weights == nil {
		weights = DefaultWeights()
	}
	var out []Type
	for _, t := range Types {
		if weights[t] > 0 {
			out = append(out, t)
		}
	}
	return out
}
