package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/l1"
)

// l1Options are the flags of verdict devnet l1.
type l1Options struct {
	network   string
	datadir   string
	httpAddr  string
	httpPort  uint16
	blockTime uint32
	addresses string
}

// newDevnetL1 is the command verdict devnet l1, with those for its contracts
// and fixtures.
func newDevnetL1(w World) *cobra.Command {
	var o l1Options
	cmd := &cobra.Command{
		Use:   "l1",
		Short: "Run the built-in L1 of a rollup",
		Long: fmt.Sprintf(`L1 is the chain that the built-in rollup settles on: an execution client made
from go-ethereum as a library, which makes a block of what is in its pool at
fixed intervals, without a consensus client. Chain id %d. The accounts of ethrex's
local network and those of the load have ether there; all their keys are public:
never send anything of value to them.

Started again on the same data directory it goes on where it was. It runs until
it is interrupted; then it saves its state and ends with exit status 0. Other
exit statuses: 1 it failed, 2 bad usage or genesis, 4 a port is taken or the data
directory cannot be used.`, genesis.L1ChainID),
		Example: `  verdict devnet l1 fixtures --out fixtures
  verdict devnet l1 --network fixtures/genesis/l1.json --datadir l1

  # on a free port, in a temporary directory; the last line says where
  verdict devnet l1 --http.port 0 --block-time 200`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDevnetL1(cmd.Context(), w, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.network, "network", "", "the genesis `FILE` (default: that of the fixtures)")
	f.StringVar(&o.datadir, "datadir", "", "`directory` of the chain (default: a temporary one, removed at the end)")
	f.StringVar(&o.httpAddr, "http.addr", "127.0.0.1", "`address` of the JSON-RPC server; it has no authentication")
	f.Uint16Var(&o.httpPort, "http.port", 8545, "`port` of the JSON-RPC server; 0 picks a free one")
	f.Uint32Var(&o.blockTime, "block-time", 1000, "`milliseconds` from one block to the next; below 1000 the blocks' time stamps run ahead of the clock")
	f.StringVar(&o.addresses, "addresses", "", "when ready, write the URL as JSON (rpc) to this `file`")
	cmd.AddCommand(newDevnetL1Deploy(w), newDevnetL1Fixtures(w))
	return cmd
}

func runDevnetL1(ctx context.Context, w World, o l1Options) (err error) {
	devnet.LibraryLog(w.Stderr)
	if w.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(nodeMemory)
	}
	options := l1.ChainOptions{
		BlockTime: time.Duration(o.blockTime) * time.Millisecond,
		Node: devnet.Options{
			DataDir: o.datadir, HTTPAddr: join(o.httpAddr, o.httpPort), Version: clientVersion("verdict"),
			Log: slog.New(slog.NewTextHandler(w.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		},
	}
	if o.network != "" {
		if options.Node.Genesis, err = genesis.Read(o.network); err != nil {
			return err
		}
	}
	if o.datadir == "" {
		dir, err := os.MkdirTemp("", "verdict-l1-")
		if err != nil {
			return fault.As(fault.Prerequisite, fmt.Errorf("making a data directory: %w", err))
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		options.Node.DataDir = dir
	}
	return serveL1(ctx, w, o, options)
}

// serveL1 runs the chain until it is told to stop.
func serveL1(ctx context.Context, w World, o l1Options, options l1.ChainOptions) (err error) {
	chain, err := l1.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, chain.Close()) }()
	if o.addresses != "" {
		err := writeAddresses(o.addresses, struct {
			RPC string `json:"rpc"`
		}{chain.RPC()})
		if err != nil {
			return err
		}
	}
	number, _ := chain.Head()
	fmt.Fprintf(w.Stderr, "ready: rpc %s chain %d genesis %s head %d\n", chain.RPC(), chain.ChainID(), chain.Genesis(), number)
	select {
	case err := <-chain.Failed():
		return err
	case <-ctx.Done():
	}
	// Closed here, and not only by the deferred call, so that errStopped is
	// told only of a chain that did stop.
	if err := chain.Close(); err != nil {
		return err
	}
	return errStopped
}

// newDevnetL1Fixtures is the command verdict devnet l1 fixtures.
func newDevnetL1Fixtures(w World) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "fixtures --out DIR",
		Short: "Write genesis files and public keys of the built-in rollup",
		Long: fmt.Sprintf(`Fixtures writes what the parts of the built-in rollup start from, at the paths
that ethrex's fixtures have:

  %-26s the first block of the L1, chain id %d
  %-26s the first block of the L2, chain id %d; nobody has anything
  %-26s keys of %d accounts, for deposits on the L1
  %-26s those of them that send the load, without the rich one

The same program always writes the same bytes. A file that is there and holds
something else is not overwritten: exit status 4. All keys are public test keys:
never send anything of value to their accounts.`,
			l1.L1GenesisFile, genesis.L1ChainID, l1.L2GenesisFile, genesis.L2ChainID,
			l1.L1KeysFile, genesis.RollupSenders+1, l1.LoadKeysFile),
		Example: `  verdict devnet l1 fixtures --out fixtures`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				return fault.Newf(fault.Usage, "--out is missing").Hint("verdict devnet l1 fixtures --out fixtures")
			}
			return l1.Fixtures(out)
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write into this `directory`, which is made when missing")
	return cmd
}
