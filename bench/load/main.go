// Command load measures the load generator: how many transactions per second
// it hands to a node that costs nothing, beside what the machine can sign with
// no network at all; how much memory that takes; and how much processor time it
// needs to keep a real node at its limit.
//
// The sink runs in a process of its own, so that its processor time is known.
// It shares the machine with the generator: what the sink uses of the cores is
// missing from what the generator can reach.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/load"
)

const usage = `usage:
  load [flags]              against a sink that takes everything at once
  load -node URL [flags]    against a real node, filled until it is the limit
  load -h                   the flags`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "load: interrupted")
		os.Exit(130)
	}
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}

// options are what the flags say.
type options struct {
	txs, accounts      int
	batch, connections int
	block              int
	kind               load.Type
	node, rich         string
	duration           time.Duration
	quiet              bool
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, usage)
		flags.PrintDefaults()
	}
	flags.IntVar(&o.txs, "txs", 1_000_000, "transactions to send to the sink, of all accounts together")
	flags.IntVar(&o.accounts, "accounts", 200, "accounts that send")
	flags.IntVar(&o.batch, "batch", 100, "transactions in a request")
	flags.IntVar(&o.connections, "connections", 8, "connections")
	flags.IntVar(&o.block, "block", 2000, "transactions in a block of the sink's")
	kind := flags.String("type", string(load.EthTransfers), "type of the load, with -node")
	flags.StringVar(&o.node, "node", "", "URL of a real node")
	flags.StringVar(&o.rich, "rich", "", "file with the key that pays on the real node; without it, the node's own unlocked account does")
	flags.DurationVar(&o.duration, "duration", time.Minute, "how long to fill the real node")
	flags.BoolVar(&o.quiet, "quiet", false, "no line each second")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || o.txs < 1 || o.accounts < 1 || o.block < 1 {
		return nil, errors.New(usage)
	}
	var err error
	o.kind, err = load.ParseType(*kind)
	return o, err
}

func run(ctx context.Context, args []string, out, stderr io.Writer) error {
	if len(args) == 2 && args[0] == sinkMode {
		return serveSink(ctx, args[1], out)
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.node != "" {
		return fillNode(ctx, o, out)
	}
	return fillSink(ctx, o, out)
}
