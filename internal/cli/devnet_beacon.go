package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/beacon"
	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// beaconOptions are the flags of verdict devnet beacon.
type beaconOptions struct {
	network  string
	endpoint string
	secret   string

	http      bool
	httpAddr  string
	httpPort  uint16
	addresses string

	// To follow.
	url         string
	urlTimeout  uint
	datadir     string
	purge       bool
	noContract  bool
	distance    uint64
	pace        time.Duration
	followFlags []string

	// To produce.
	produce      bool
	slot         time.Duration
	gas          gasAmount
	seed         uint64
	buildTime    time.Duration
	produceFlags []string
}

// newDevnetBeacon is the command verdict devnet beacon.
func newDevnetBeacon(w World) *cobra.Command {
	o := beaconOptions{
		gas:          30_000_000,
		followFlags:  []string{"checkpoint-sync-url-timeout", "datadir", "purge-db", "sync-distance", "sync-pace"},
		produceFlags: []string{"slot", "gas", "seed", "build-time"},
	}
	cmd := &cobra.Command{
		Use:   "beacon [bn] --execution-endpoint URL --execution-jwt FILE (--produce | --checkpoint-sync-url URL)",
		Short: "Run a small consensus client in the place of Lighthouse",
		Long: `Beacon is a consensus client for tests and local work. It drives the Engine API
of one execution client and serves the beacon API: how far it is, whether the
head is verified, whether the execution client is online.

With --produce it is the network: it makes a block in each slot and serves the
blocks to those that follow. With --checkpoint-sync-url it follows such a
network: it delivers the blocks to its execution client, from that client's head
on. Its flags are Lighthouse's where Lighthouse has them, so that it can be
called in its place, the word bn included. An execution client that does not
answer, or refuses the JWT, is waited for.

A follower can be held back: --sync-distance keeps it that many blocks behind
the network until PUT /verdict/v1/sync-distance says otherwise. There is no
beacon chain: a slot has the number of its execution block. Never use it on a
public network: it verifies nothing.

It runs until it is interrupted, with exit status 0. Other exit statuses: 1 the
server or the production failed, 2 bad usage or the wrong network, 4 the network
does not answer, or a port or file cannot be used.`,
		Example: `  # the network
  verdict devnet node --datadir a --http.port 0 --authrpc.port 8551 &
  verdict devnet beacon --produce --slot 2s --execution-endpoint http://127.0.0.1:8551 \
    --execution-jwt a/jwt.hex --http-port 5052 &

  # a second execution client that follows it
  verdict devnet node --datadir b --http.port 0 --authrpc.port 9551 &
  verdict devnet beacon bn --network local --execution-endpoint http://127.0.0.1:9551 \
    --execution-jwt b/jwt.hex --checkpoint-sync-url http://127.0.0.1:5052 --http --http-port 5053 &
  curl http://127.0.0.1:5053/eth/v1/node/syncing

  # 20 blocks behind, and no longer
  curl -X PUT --data '{"distance": 20}' http://127.0.0.1:5053/verdict/v1/sync-distance
  curl -X PUT --data '{"distance": 0}' http://127.0.0.1:5053/verdict/v1/sync-distance`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "bn" {
				return fmt.Errorf("unexpected argument %q: only the word bn may stand here", args[len(args)-1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDevnetBeacon(cmd.Context(), w, o, cmd.Flags().Changed)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *beaconOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.network, "network", "", "`name` of the network: a producer gives it (default \""+genesis.Plain+"\"), a follower expects it")
	f.StringVar(&o.endpoint, "execution-endpoint", "", "`URL` of the execution client's Engine API")
	f.StringVar(&o.secret, "execution-jwt", "", "`file` of the JWT secret that the execution client was started with")
	f.BoolVar(&o.http, "http", false, "serve the beacon API; a producer always does")
	f.StringVar(&o.httpAddr, "http-address", "127.0.0.1", "`address` of the beacon API; it has no authentication")
	f.Uint16Var(&o.httpPort, "http-port", 5052, "`port` of the beacon API; 0 picks a free one")
	f.StringVar(&o.addresses, "addresses", "", "when it serves, write the URL as JSON (http) to this `file`")

	f.StringVar(&o.url, "checkpoint-sync-url", "", "follow the network of the producing beacon at this `URL`")
	f.UintVar(&o.urlTimeout, "checkpoint-sync-url-timeout", 180, "how many `seconds` the network may take to answer for the first time")
	f.StringVar(&o.datadir, "datadir", "", "`directory` that keeps the head over a restart, in the file beacon/head.json (default: nowhere)")
	f.BoolVar(&o.purge, "purge-db", false, "delete that file first, at once and without asking")
	f.BoolVar(&o.noContract, "disable-deposit-contract-sync", false, "accepted and without effect: there are no deposits")
	f.Uint64Var(&o.distance, "sync-distance", 0, "stay this many `blocks` behind the network, until PUT /verdict/v1/sync-distance changes it")
	f.DurationVar(&o.pace, "sync-pace", 0, "take at least this long for each block while catching up")

	f.BoolVar(&o.produce, "produce", false, "make the blocks of a network")
	f.DurationVar(&o.slot, "slot", 12*time.Second, "make a block on each multiple of this time")
	f.Var(&o.gas, "gas", "fill each block with transactions that use about this much `gas`, such as 15e6; 0 makes empty blocks")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the transactions and of what a consensus client would draw")
	f.DurationVar(&o.buildTime, "build-time", 0, "give the execution client at least this long for each block, for transactions that others send")
}

func runDevnetBeacon(ctx context.Context, w World, o beaconOptions, given func(flag string) bool) (err error) {
	if err := o.check(given); err != nil {
		return err
	}
	secret, err := ethrpc.ReadSecret(o.secret)
	if err != nil {
		// The hints of the error name another command's flag.
		return fault.Newf(fault.KindOf(err), "--execution-jwt: %v", err).
			Hint("--execution-jwt must name the file that the execution client was started with: 32 bytes as 64 hex digits")
	}
	if o.purge && o.datadir != "" {
		if err := beacon.Purge(o.datadir); err != nil {
			return err
		}
	}
	options := beacon.Options{
		Endpoint: o.endpoint, Secret: secret, SecretFile: o.secret, Network: o.network,
		Version: clientVersion("verdict-beacon"),
		Log:     slog.New(slog.NewTextHandler(w.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
	}
	if o.http || o.produce {
		options.Listen = join(o.httpAddr, o.httpPort)
	}
	if o.produce && o.network == "" {
		options.Network = genesis.Plain
	}
	node, err := beacon.Start(options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	if err := o.announce(w.Stderr, node); err != nil {
		return err
	}
	if err := o.work(ctx, node); ctx.Err() == nil {
		return err
	}
	if err := node.Close(); err != nil {
		return err
	}
	return errStopped
}

// announce says where the beacon API is.
func (o beaconOptions) announce(stderr io.Writer, node *beacon.Node) error {
	if node.URL() == "" {
		return nil
	}
	if o.addresses != "" {
		if err := writeAddresses(o.addresses, struct {
			HTTP string `json:"http"`
		}{node.URL()}); err != nil {
			return err
		}
	}
	fmt.Fprintf(stderr, "ready: http %s\n", node.URL())
	return nil
}

// work runs the beacon until ctx ends or it cannot go on.
func (o beaconOptions) work(ctx context.Context, node *beacon.Node) error {
	if !o.produce {
		return node.Follow(ctx, beacon.Following{
			URL: o.url, Timeout: time.Duration(o.urlTimeout) * time.Second,
			Distance: o.distance, Pace: o.pace, DataDir: o.datadir,
		})
	}
	p := beacon.Production{Slot: o.slot, Seed: o.seed, BuildTime: o.buildTime}
	if o.gas > 0 {
		p.Offer = func(ctx context.Context, d *drive.Driver, c drive.Client) error {
			return offerLocal(ctx, d, c, o.seed, uint64(o.gas))
		}
	}
	return node.Produce(ctx, p)
}

// check finds what is wrong with the flags.
func (o beaconOptions) check(given func(flag string) bool) error {
	const help = "verdict devnet beacon --help"
	switch {
	case o.endpoint == "":
		return fault.Newf(fault.Usage, "no execution client: --execution-endpoint is missing").Hint(help)
	case o.secret == "":
		return fault.Newf(fault.Usage, "no JWT secret: --execution-jwt is missing").Hint(help)
	case o.produce && o.url != "":
		return fault.Newf(fault.Usage, "--produce and --checkpoint-sync-url exclude each other: it makes a network or follows one, not both").Hint(help)
	case !o.produce && o.url == "":
		return fault.Newf(fault.Usage, "nothing to do: --checkpoint-sync-url URL follows a network, --produce makes one").Hint(help)
	case o.slot < time.Millisecond:
		return fault.Newf(fault.Usage, "--slot %s: want 1ms or more", o.slot)
	case o.buildTime < 0:
		return fault.Newf(fault.Usage, "--build-time %s: want 0 or more", o.buildTime)
	case o.pace < 0:
		return fault.Newf(fault.Usage, "--sync-pace %s: want 0 or more", o.pace)
	case o.urlTimeout == 0:
		return fault.Newf(fault.Usage, "--checkpoint-sync-url-timeout 0: want more than 0")
	case o.addresses != "" && !o.http && !o.produce:
		return fault.Newf(fault.Usage, "--addresses without --http: there is no address to write").Hint("add --http")
	}
	foreign, of := o.produceFlags, "--produce"
	if o.produce {
		foreign, of = o.followFlags, "--checkpoint-sync-url"
	}
	for _, name := range foreign {
		if given(name) {
			return fault.Newf(fault.Usage, "--%s has no effect without %s", name, of).Hint(help)
		}
	}
	return nil
}
