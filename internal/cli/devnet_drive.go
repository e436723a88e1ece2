package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
)

// driveOptions are the flags of verdict devnet drive.
type driveOptions struct {
	clients      []string
	secret       string
	blocks       int
	gas          gasAmount
	slot         time.Duration
	seed         uint64
	builder      string
	readyTimeout time.Duration
	buildTime    time.Duration
	json         bool
}

// newDevnetDrive is the command verdict devnet drive.
func newDevnetDrive(w World) *cobra.Command {
	o := driveOptions{gas: 30_000_000}
	cmd := &cobra.Command{
		Use:   "drive --client NAME=RPC_URL,ENGINE_URL[,JWT_FILE]...",
		Short: "Make blocks on one or more execution clients, all the same",
		Long: `Drive is a minimal consensus client. It sends transactions to one execution
client, has it build a block, delivers the same payload to all clients over the
Engine API, and checks that each says VALID and has the block as its head. Any
client that speaks the Engine API can be driven.

The clients must have been started from the same genesis. The transactions come
from accounts of the local genesis (verdict devnet genesis); on a chain without
those accounts use --gas 0. Blocks hold also what others send to the builder, if
--build-time leaves it the time. Started again, drive goes on from the head that
the clients share.

A line of progress goes to stderr at most once a second. With --json, stdout
gets one object per block: number, hash, parent_hash, timestamp, gas_used,
gas_limit, transactions, builder, attempts, send_ns, build_ns and, per client,
imports[] with client, import_ns (newPayload) and forkchoice_ns.`,
		Example: `  # the built-in node
  verdict devnet node --datadir a --authrpc.jwtsecret jwt.hex &
  verdict devnet drive --authrpc.jwtsecret jwt.hex --blocks 20 \
    --client a=http://127.0.0.1:8545,http://127.0.0.1:8551

  # beside it a real geth on the same chain
  verdict devnet genesis --out genesis.json
  geth init --datadir g --state.scheme path genesis.json
  geth --datadir g --syncmode full --nodiscover --maxpeers 0 --ipcdisable \
    --http --http.port 9545 --http.api eth,net,web3,debug,txpool \
    --authrpc.port 9551 --authrpc.jwtsecret jwt.hex &
  verdict devnet drive --authrpc.jwtsecret jwt.hex --slot 2s \
    --client a=http://127.0.0.1:8545,http://127.0.0.1:8551 \
    --client geth=http://127.0.0.1:9545,http://127.0.0.1:9551`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDevnetDrive(cmd.Context(), w, o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.clients, "client", nil, "an execution client as `NAME=RPC_URL,ENGINE_URL[,JWT_FILE]`; repeat for more, the first builds")
	f.StringVar(&o.secret, "authrpc.jwtsecret", "", "`file` with the JWT secret of the clients that name none of their own")
	f.IntVar(&o.blocks, "blocks", 0, "stop after this many blocks (0: go on until interrupted)")
	f.Var(&o.gas, "gas", "fill each block with transactions that use about this much `gas`, such as 15e6; 0 makes empty blocks")
	f.DurationVar(&o.slot, "slot", 0, "make a block on each multiple of this time (0: as soon as the last one is done)")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the transactions and of what a consensus client would draw")
	f.StringVar(&o.builder, "builder", "first", "who builds: `first` client, or all in turns with rotate")
	f.DurationVar(&o.readyTimeout, "ready-timeout", time.Minute, "how long to wait for the clients to answer")
	f.DurationVar(&o.buildTime, "build-time", 0, "give the builder at least this long for each block, for transactions that others send, as verdict load does")
	f.BoolVar(&o.json, "json", false, "print one JSON object per block on stdout")
	return cmd
}

// gasAmount is a flag value that takes 15000000 and 15e6.
type gasAmount uint64

func (g *gasAmount) String() string { return strconv.FormatUint(uint64(*g), 10) }

// Type is the word for the value in the help.
func (g *gasAmount) Type() string { return "gas" }

// Set parses a whole number of gas.
func (g *gasAmount) Set(s string) error {
	x, ok := new(big.Float).SetString(s)
	if ok && x.IsInt() {
		if n, accuracy := x.Uint64(); accuracy == big.Exact {
			*g = gasAmount(n)
			return nil
		}
	}
	return errors.New("want a whole number of gas, such as 15000000 or 15e6")
}

func runDevnetDrive(ctx context.Context, w World, o driveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	clients, err := o.dial()
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range clients {
			c.RPC.Close()
			c.Engine.Close()
		}
	}()
	driver, err := drive.Open(ctx, drive.Options{
		Clients:      clients,
		Rotate:       o.builder == "rotate",
		Seed:         o.seed,
		Step:         stepOf(o.slot),
		ReadyTimeout: o.readyTimeout,
		BuildTime:    o.buildTime,
	})
	if err != nil {
		return err
	}
	number, hash := driver.Head()
	fmt.Fprintf(w.Stderr, "driving %d clients on chain %d from block %d %s\n", len(clients), driver.ChainID(), number, hash)
	if o.gas > 0 {
		if err := offerLocal(ctx, driver, clients[0], o.seed, uint64(o.gas)); err != nil {
			return err
		}
	}
	tally := driveTally{w: w, json: json.NewEncoder(w.Stdout)}
	err = drive.Run(ctx, driver, drive.Pace{Blocks: o.blocks, Slot: o.slot}, func(b drive.Block) error {
		return tally.add(b, o.json)
	})
	summary := w.Stdout
	if o.json {
		summary = w.Stderr
	}
	tally.summarize(summary)
	return err
}

// check finds what is wrong with the flags.
func (o driveOptions) check() error {
	const help = "verdict devnet drive --help"
	switch {
	case len(o.clients) == 0:
		return fault.Newf(fault.Usage, "no client to drive: --client is missing").Hint(help)
	case o.blocks < 0:
		return fault.Newf(fault.Usage, "--blocks %d: want 0 or more", o.blocks)
	case o.slot < 0:
		return fault.Newf(fault.Usage, "--slot %s: want 0 or more", o.slot)
	case o.buildTime < 0:
		return fault.Newf(fault.Usage, "--build-time %s: want 0 or more", o.buildTime)
	case o.readyTimeout <= 0:
		return fault.Newf(fault.Usage, "--ready-timeout %s: want more than 0", o.readyTimeout)
	case o.builder != "first" && o.builder != "rotate":
		return fault.Newf(fault.Usage, "--builder %q: want first or rotate", o.builder)
	}
	return nil
}

// dial makes the clients of the --client flags. Nothing is sent yet.
func (o driveOptions) dial() ([]drive.Client, error) {
	var clients []drive.Client
	for _, text := range o.clients {
		c, err := dialClient(text, o.secret)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(clients, func(other drive.Client) bool { return other.Name == c.Name }) {
			return nil, fault.Newf(fault.Usage, "--client %q: there is another client of the name %s", text, c.Name)
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// dialClient takes NAME=RPC_URL,ENGINE_URL[,JWT_FILE].
func dialClient(text, secretFile string) (drive.Client, error) {
	name, rest, ok := strings.Cut(text, "=")
	parts := strings.SplitN(rest, ",", 3)
	if !ok || name == "" || len(parts) < 2 {
		return drive.Client{}, fault.Newf(fault.Usage, "--client %q: want NAME=RPC_URL,ENGINE_URL[,JWT_FILE]", text).
			Hint("--client geth=http://127.0.0.1:8545,http://127.0.0.1:8551,jwt.hex")
	}
	if len(parts) == 3 {
		secretFile = parts[2]
	}
	if secretFile == "" {
		return drive.Client{}, fault.Newf(fault.Usage, "--client %s: no JWT secret file", name).
			Hint("add --authrpc.jwtsecret FILE, with the file that the execution client was started with")
	}
	secret, err := ethrpc.ReadSecret(secretFile)
	if err != nil {
		return drive.Client{}, err
	}
	rpc, err := ethrpc.NewClient(parts[0])
	if err != nil {
		return drive.Client{}, fault.Newf(fault.Usage, "--client %s: %w", name, err)
	}
	engine, err := ethrpc.NewEngine(parts[1], secret)
	if err != nil {
		return drive.Client{}, fault.Newf(fault.Usage, "--client %s: %w", name, err)
	}
	return drive.Client{Name: name, RPC: rpc, Engine: engine}, nil
}

// stepOf is the distance between block timestamps in whole seconds: the slot
// time, at least the one second that the protocol asks for. In lockstep, which
// is faster than the clock, it is left to the driver.
func stepOf(slot time.Duration) uint64 {
	if slot == 0 {
		return 0
	}
	return uint64(max(1, slot.Round(time.Second)/time.Second))
}

// offerLocal fills the driver's blocks with transfers between the accounts of
// the local genesis, of ether and, where the chain has it, of the token.
func offerLocal(ctx context.Context, d *drive.Driver, c drive.Client, seed, gas uint64) error {
	o := load.Local(seed)
	o.ChainID = d.ChainID()
	var balance hexutil.Big
	var code hexutil.Bytes
	if err := c.RPC.Call(ctx, &balance, "eth_getBalance", o.Senders[0].Address, "latest"); err != nil {
		return fmt.Errorf("client %s: %w", c.Name, err)
	}
	if balance.ToInt().Sign() == 0 {
		return fault.Newf(fault.Prerequisite, "the accounts that send transactions have no funds on chain %d", d.ChainID()).
			Hint("start the clients from the local genesis (verdict devnet genesis --out genesis.json), or make empty blocks: --gas 0")
	}
	if err := c.RPC.Call(ctx, &code, "eth_getCode", genesis.Token, "latest"); err != nil {
		return fmt.Errorf("client %s: %w", c.Name, err)
	}
	if len(code) == 0 {
		o.Token = common.Address{}
	}
	stream, err := load.NewStream(o)
	if err != nil {
		return err
	}
	return d.Offer(ctx, stream, gas)
}

// driveTally shows progress and sums up.
type driveTally struct {
	w     World
	json  *json.Encoder
	shown time.Time

	last   drive.Block
	blocks int
	gas    uint64
	builds []int64
	// imports are by client, in the clients' order.
	imports [][]int64
}

// add counts a block and shows it.
func (t *driveTally) add(b drive.Block, asJSON bool) error {
	t.last = b
	t.blocks++
	t.gas += b.GasUsed
	t.builds = append(t.builds, b.BuildNS)
	if t.imports == nil {
		t.imports = make([][]int64, len(b.Imports))
	}
	for i, m := range b.Imports {
		t.imports[i] = append(t.imports[i], m.ImportNS)
	}
	if now := t.w.Now(); now.Sub(t.shown) >= time.Second {
		t.shown = now
		fmt.Fprintf(t.w.Stderr, "block %d: %.1f Mgas, %d transactions, built by %s in %s%s\n",
			b.Number, float64(b.GasUsed)/1e6, b.Transactions, b.Builder, msOf(b.BuildNS), importsOf(b))
	}
	if asJSON {
		return t.json.Encode(b)
	}
	return nil
}

// importsOf is the part of a progress line about the imports.
func importsOf(b drive.Block) string {
	var s strings.Builder
	for _, m := range b.Imports {
		fmt.Fprintf(&s, ", %s %s", m.Client, msOf(m.ImportNS))
	}
	return s.String()
}

// summarize prints what was done, with medians.
func (t *driveTally) summarize(out io.Writer) {
	if t.blocks == 0 {
		fmt.Fprintln(out, "no blocks were made")
		return
	}
	fmt.Fprintf(out, "%d blocks up to %d %s, mean %.1f Mgas; medians: build %s",
		t.blocks, t.last.Number, t.last.Hash, float64(t.gas)/float64(t.blocks)/1e6, msOf(medianNS(t.builds)))
	for i, m := range t.last.Imports {
		fmt.Fprintf(out, ", import %s %s", m.Client, msOf(medianNS(t.imports[i])))
	}
	fmt.Fprintln(out)
}

// medianNS is the upper median of at least one duration.
func medianNS(ns []int64) int64 {
	sorted := slices.Sorted(slices.Values(ns))
	return sorted[len(sorted)/2]
}

func msOf(ns int64) string { return fmt.Sprintf("%.1f ms", float64(ns)/1e6) }
