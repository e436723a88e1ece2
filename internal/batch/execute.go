package batch

import (
	"context"

	"github.com/verdict-bench/verdict/internal/stateless"
)

// Execute re-executes the blocks of b from its witness alone and returns what
// that proves. It is as strict as [stateless.Verify]: everything that was read
// is there and hashes to what was asked for, the blocks follow one another, and
// each reaches the state root and everything else that its header commits to.
// The error names the block and what is wrong with it, and has the types of
// package stateless in its chain.
func Execute(ctx context.Context, b Batch) (Public, error) {
	parent, err := b.parent()
	if err != nil {
		return Public{}, err
	}
	if _, err := stateless.VerifyRun(ctx, b.Config, b.Blocks, b.Witness); err != nil {
		return Public{}, err
	}
	return Claim(parent.Root, b.Blocks)
}
