package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// newDevnet is the group verdict devnet: the built-in programs, each on its
// own.
func newDevnet(w World) *cobra.Command {
	return group("devnet", "The built-in programs, each on its own",
		newDevnetNode(w),
		newDevnetDrive(w),
		newDevnetBeacon(w),
		newDevnetGenesis(w),
		newDevnetL1(w),
		newDevnetL2(w),
		newDevnetProver(w),
	)
}

// newDevnetGenesis is the command verdict devnet genesis.
func newDevnetGenesis(w World) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "genesis",
		Short: "Write the local genesis, for other execution clients",
		Long: fmt.Sprintf(`Genesis writes the first block of the local chain as JSON that geth, reth and
ethrex start from, so that they can be driven beside the built-in node. It is
always the same: chain %d, genesis hash
%s.

It holds %d accounts with ether, the first %d of which send the load, and a
token contract with %d holders. The keys are public test keys: never send
anything of value to these accounts.`,
			genesis.LocalChainID, genesis.LocalHash, genesis.Accounts, genesis.Senders, genesis.Holders),
		Example: `  verdict devnet genesis --out genesis.json
  geth init --datadir g --state.scheme path genesis.json
  verdict devnet genesis | jq .config`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDevnetGenesis(cmd.Context(), w, out)
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write to this `file` (default: standard output)")
	return cmd
}

func runDevnetGenesis(ctx context.Context, w World, out string) error {
	g, err := genesis.Local()
	if err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if out == "" {
		return genesis.Write(w.Stdout, g)
	}
	return createFile(out, func(f io.Writer) error { return genesis.Write(f, g) })
}

// createFile writes a file that was asked for. One that could not be written
// to its end is removed, because it would look like a whole one, unless it is a
// device or a pipe, which was there before.
func createFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fault.As(fault.Prerequisite, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = write(f)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		if info != nil && info.Mode().IsRegular() {
			_ = os.Remove(path) // the first error is the one to tell
		}
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
