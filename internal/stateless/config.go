package stateless

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// networks are the chains whose configuration is built in, by name.
func networks() map[string]*params.ChainConfig {
	return map[string]*params.ChainConfig{
		"mainnet": params.MainnetChainConfig,
		"sepolia": params.SepoliaChainConfig,
		"hoodi":   params.HoodiChainConfig,
		"local":   genesis.LocalConfig(),
	}
}

// ChainConfig is the configuration of a chain that is built in: mainnet,
// sepolia, hoodi and the local genesis. Any other chain is an error, because a
// guessed fork schedule would make complete witnesses look broken.
func ChainConfig(chainID uint64) (*params.ChainConfig, error) {
	for _, cfg := range networks() {
		if cfg.ChainID.IsUint64() && cfg.ChainID.Uint64() == chainID {
			return cfg, nil
		}
	}
	return nil, unknownChain(strconv.FormatUint(chainID, 10))
}

// NamedConfig is [ChainConfig] for a chain given by name, in any case, or by
// number.
func NamedConfig(chain string) (*params.ChainConfig, error) {
	if cfg, ok := networks()[strings.ToLower(chain)]; ok {
		return cfg, nil
	}
	if id, err := strconv.ParseUint(chain, 0, 64); err == nil {
		return ChainConfig(id)
	}
	return nil, unknownChain(strconv.Quote(chain))
}

func unknownChain(chain string) error {
	known := networks()
	names := slices.Collect(maps.Keys(known))
	slices.SortFunc(names, func(a, b string) int { return known[a].ChainID.Cmp(known[b].ChainID) })
	for i, name := range names {
		names[i] += " (" + known[name].ChainID.String() + ")"
	}
	return fault.Newf(fault.Usage, "chain %s is not built in; known are %s", chain, strings.Join(names, ", ")).
		Hint("give the chain's genesis file: --genesis FILE")
}

// ConfigFromGenesis reads the chain configuration out of a genesis file in
// geth's JSON format. Errors name the file and, where there is one, the line.
func ConfigFromGenesis(path string) (*params.ChainConfig, error) {
	g, err := genesis.Read(path)
	if err != nil {
		return nil, err
	}
	return g.Config, nil
}

// NetworkName is the name of a chain that is built in, and "chain N" for
// any other.
func NetworkName(chainID uint64) string {
	for name, cfg := range networks() {
		if cfg.ChainID.IsUint64() && cfg.ChainID.Uint64() == chainID {
			return name
		}
	}
	return "chain " + strconv.FormatUint(chainID, 10)
}
