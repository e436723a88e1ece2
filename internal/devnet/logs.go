package devnet

import (
	"context"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/rpc"
)

// logsAPI answers eth_getLogs. The library's own filters also keep
// subscriptions, in goroutines that never end: a node that is closed would stay
// in memory.
type logsAPI struct{ system *filters.FilterSystem }

func newLogsAPI(n *Node) logsAPI {
	return logsAPI{filters.NewFilterSystem(n.backend.APIBackend, filters.Config{})}
}

// GetLogs answers the logs that the criteria fit. There is no index: each block
// of the range is looked into.
func (a logsAPI) GetLogs(ctx context.Context, c filters.FilterCriteria) ([]*types.Log, error) {
	filter, err := a.filter(c)
	if err != nil {
		return nil, err
	}
	logs, err := filter.Logs(ctx)
	if err != nil {
		return nil, err
	}
	return append([]*types.Log{}, logs...), nil // none is an empty list
}

func (a logsAPI) filter(c filters.FilterCriteria) (*filters.Filter, error) {
	if c.BlockHash != nil {
		return a.system.NewBlockFilter(*c.BlockHash, c.Addresses, c.Topics), nil
	}
	begin, end := rpc.LatestBlockNumber.Int64(), rpc.LatestBlockNumber.Int64()
	if c.FromBlock != nil {
		begin = c.FromBlock.Int64()
	}
	if c.ToBlock != nil {
		end = c.ToBlock.Int64()
	}
	// Negative numbers are tags.
	if begin >= 0 && end >= 0 && begin > end {
		return nil, rpcErrorf(codeInvalidParams, "fromBlock %d is after toBlock %d", begin, end)
	}
	return a.system.NewRangeFilter(begin, end, c.Addresses, c.Topics, 0), nil
}
