// Package contract holds the contracts that loads call and those of the
// built-in rollup on its L1: the compiled code of the Solidity sources in
// contracts/, the call data of their functions, and the words for their
// refusals.
package contract

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

//go:generate ../../contracts/compile.sh

// Name is the name of a contract, that of its source without the extension.
type Name string

// The contracts; what each is for stands at the top of its source.
const (
	Token         Name = "Token"
	MintableToken Name = "MintableToken"
	Fibonacci     Name = "Fibonacci"
	IOHeavy       Name = "IOHeavy"
	Spread        Name = "Spread"
	Heavy         Name = "Heavy"

	OnChainProposer Name = "OnChainProposer"
	CommonBridge    Name = "CommonBridge"
)

// all are the constants above.
func all() []Name {
	return []Name{Token, MintableToken, Fibonacci, IOHeavy, Spread, Heavy, OnChainProposer, CommonBridge}
}

// MaxFibonacci is the last number that fits into 256 bits: for a larger n
// fibonacci reverts.
const MaxFibonacci = 370

// IOSlots is the number of slots that one call of an [IOHeavy] increments.
const IOSlots = 100

// Artifact is a compiled contract.
type Artifact struct {
	Contract Name   `json:"contract"`
	Compiler string `json:"compiler"`
	// SHA256 is the hash of the files in Sources, one after the other.
	Sources []string `json:"sources"`
	SHA256  string   `json:"sha256"`
	// Slots are those of the contract's variables.
	Slots map[string]uint64 `json:"slots"`
	// Creation is the code that a transaction without a recipient deploys the
	// contract with, Runtime what the contract's account then has.
	Creation hexutil.Bytes `json:"creation"`
	Runtime  hexutil.Bytes `json:"runtime"`
}

//go:embed *.json
var files embed.FS

// artifacts are decoded once, because loads and tests ask often.
var artifacts = sync.OnceValue(func() map[Name]Artifact {
	out := make(map[Name]Artifact)
	for _, name := range all() {
		raw, err := files.ReadFile(strings.ToLower(string(name)) + ".json")
		var a Artifact
		if err == nil {
			err = json.Unmarshal(raw, &a)
		}
		if err != nil || a.Contract != name {
			// The files are part of the program and are what the tests read.
			panic(fmt.Sprintf("contract: the artifact of %s: %v", name, err))
		}
		out[name] = a
	}
	return out
})

// Artifact is the compiled contract of that name, which must be one of the
// constants. What it points to must not be changed.
func (n Name) Artifact() Artifact {
	a, ok := artifacts()[n]
	if !ok {
		panic(fmt.Sprintf("contract: there is no contract %q", string(n)))
	}
	return a
}
