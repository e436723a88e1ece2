package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// errStopped says that a program that runs until it is told to stop was told
// to, and has stopped: the exit status is 0.
var errStopped = errors.New("stopped")

// nodeOptions are the flags of verdict devnet node.
type nodeOptions struct {
	network     string
	datadir     string
	httpAddr    string
	httpPort    uint16
	httpAPI     []string
	authAddr    string
	authPort    uint16
	jwtSecret   string
	metrics     bool
	metricsAddr string
	metricsPort uint16
	precompute  bool
	form        string
	addresses   string
	identity    string
}

// newDevnetNode is the command verdict devnet node.
func newDevnetNode(w World) *cobra.Command {
	var o nodeOptions
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run the built-in execution client",
		Long: `Node is an execution client for local benchmarks: a real EVM, real tries and
real witnesses, made from go-ethereum as a library. It has no peers; its blocks
come over the Engine API, from verdict devnet drive or from a consensus client.

debug_executionWitness takes a block number, a tag, a hash or an object with
blockNumber or blockHash; debug_executionWitnessByBlockHash takes a hash. A
witness is made on demand, by executing the block again. With
--precompute-witnesses it is made while the block is imported and stored for the
last 128 heights; what is not stored is made on demand. Hits and misses are
counted at /metrics.

It runs until it is interrupted; then it saves its state and ends with exit
status 0. Other exit statuses: 1 the node failed, 2 bad usage or genesis, 4 a
port is taken or the data directory cannot be used.`,
		Example: `  # on free ports, in a temporary directory; the last line says where
  verdict devnet node --http.port 0 --authrpc.port 0

  # witnesses made in advance, kept as bytes
  verdict devnet node --datadir node-b --precompute-witnesses \
    --http.port 9545 --authrpc.port 9551 --metrics --metrics.port 9600

  # another chain
  verdict devnet node --network genesis.json --datadir node-c`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDevnetNode(cmd.Context(), w, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.network, "network", genesis.Plain, "the chain: "+strings.Join(genesis.Networks, ", ")+", or a genesis `FILE`")
	f.StringVar(&o.datadir, "datadir", "", "`directory` of chain, witnesses and JWT secret (default: a temporary one, removed at the end)")
	f.StringVar(&o.httpAddr, "http.addr", "127.0.0.1", "`address` of the JSON-RPC server; it has no authentication")
	f.Uint16Var(&o.httpPort, "http.port", 8545, "`port` of the JSON-RPC server; 0 picks a free one")
	f.StringSliceVar(&o.httpAPI, "http.api", devnet.Namespaces(), "`namespaces` of the JSON-RPC server")
	f.StringVar(&o.authAddr, "authrpc.addr", "127.0.0.1", "`address` of the Engine API")
	f.Uint16Var(&o.authPort, "authrpc.port", 8551, "`port` of the Engine API; 0 picks a free one")
	f.StringVar(&o.jwtSecret, "authrpc.jwtsecret", "", "`file` of the JWT secret, made when missing (default: jwt.hex in the data directory)")
	f.BoolVar(&o.metrics, "metrics", false, "serve Prometheus metrics at /metrics")
	f.StringVar(&o.metricsAddr, "metrics.addr", "127.0.0.1", "`address` of the metrics server")
	f.Uint16Var(&o.metricsPort, "metrics.port", 9090, "`port` of the metrics server; 0 picks a free one")
	f.BoolVar(&o.precompute, "precompute-witnesses", false, "make and store the witness of each block while it is imported")
	f.StringVar(&o.form, "witness-store", string(devnet.Serialized), "`form` of stored witnesses: serialized (the bytes of the answer) or generated (encoded for each answer)")
	f.StringVar(&o.identity, "identity", "", "`text` to add to the version that web3_clientVersion answers, such as the commit of a build")
	f.StringVar(&o.addresses, "addresses", "", "when ready, write the URLs as JSON (rpc, engine, metrics) to this `file`")
	return cmd
}

// nodeMemory is what the garbage collector aims to stay under, in bytes. A
// node of the local chain needs less than half of it; without an aim its bursts
// leave twice as much claimed, and two nodes shall fit on a small machine.
const nodeMemory = 768 << 20

func runDevnetNode(ctx context.Context, w World, o nodeOptions) (err error) {
	devnet.LibraryLog(w.Stderr)
	if w.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(nodeMemory)
	}
	log := slog.New(slog.NewTextHandler(w.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	options, err := o.resolve(log)
	if err != nil {
		return err
	}
	if options.DataDir == "" {
		if options.DataDir, err = os.MkdirTemp("", "verdict-node-"); err != nil {
			return fault.As(fault.Prerequisite, fmt.Errorf("making a data directory: %w", err))
		}
		defer func() { err = errors.Join(err, os.RemoveAll(options.DataDir)) }()
	}
	node, err := devnet.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	if o.addresses != "" {
		err := writeAddresses(o.addresses, nodeAddresses{node.RPC(), node.Engine(), node.Metrics()})
		if err != nil {
			return err
		}
	}
	announce(w.Stderr, node)
	select {
	case err := <-node.Failed():
		return err
	case <-ctx.Done():
	}
	// Closed here, and not only by the deferred call, so that errStopped is
	// told only of a node that did stop.
	if err := node.Close(); err != nil {
		return err
	}
	return errStopped
}

// withoutTime drops the time from a log line: whoever keeps the log adds it.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// resolve turns the flags into the node's options.
func (o nodeOptions) resolve(log *slog.Logger) (devnet.Options, error) {
	options := devnet.Options{
		DataDir:    o.datadir,
		HTTPAddr:   join(o.httpAddr, o.httpPort),
		EngineAddr: join(o.authAddr, o.authPort),
		HTTPAPI:    o.httpAPI,
		JWTSecret:  o.jwtSecret,
		Precompute: o.precompute,
		Form:       devnet.Form(o.form),
		Version:    clientVersion("verdict"),
		Log:        log,
	}
	if o.identity != "" {
		if err := checkIdentity(o.identity); err != nil {
			return options, err
		}
		options.Version += "/" + o.identity
	}
	if o.metrics {
		options.MetricsAddr = join(o.metricsAddr, o.metricsPort)
	}
	if o.network == genesis.Plain {
		return options, nil // whose hash is known without making it
	}
	g, known, err := genesis.Named(o.network)
	if known {
		options.Genesis = g
		return options, err
	}
	g, err = genesis.Read(o.network)
	if errors.Is(err, os.ErrNotExist) {
		return options, fault.Newf(fault.Usage, "--network %s: there is no such file, and the networks with a name are %s", o.network, strings.Join(genesis.Networks, ", "))
	}
	options.Genesis = g
	return options, err
}

func join(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// checkIdentity refuses what would make the version read as another one, or
// ruin the line that it is shown in.
func checkIdentity(identity string) error {
	const longest = 128
	switch {
	case len(identity) > longest:
		return fault.Newf(fault.Usage, "--identity: %d bytes, more than %d", len(identity), longest)
	case !utf8.ValidString(identity) || strings.ContainsFunc(identity, func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }):
		return fault.Newf(fault.Usage, "--identity %q: want printable characters and no slash", identity)
	}
	return nil
}

// clientVersion is name/version/platform/compiler, the form that execution
// clients use.
func clientVersion(name string) string {
	return strings.Join([]string{name, strings.ReplaceAll(version(), " ", "-"),
		runtime.GOOS + "-" + runtime.GOARCH, runtime.Version()}, "/")
}

// announce prints the one line that says that the node answers.
func announce(stderr io.Writer, n *devnet.Node) {
	line := fmt.Sprintf("ready: rpc %s engine %s", n.RPC(), n.Engine())
	if n.Metrics() != "" {
		line += " metrics " + n.Metrics() + "/metrics"
	}
	number, _ := n.Head()
	fmt.Fprintf(stderr, "%s chain %d genesis %s head %d jwt %s\n", line, n.ChainID(), n.Genesis(), number, n.JWTSecret())
}

// nodeAddresses are the URLs of a node.
type nodeAddresses struct {
	RPC     string `json:"rpc"`
	Engine  string `json:"engine"`
	Metrics string `json:"metrics,omitempty"`
}

// writeAddresses writes the URLs as JSON, by rename, so that whoever waits for
// the file finds it whole.
func writeAddresses(path string, urls any) error {
	raw, err := json.Marshal(urls)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".addresses-")
	if err != nil {
		return fault.As(fault.Prerequisite, fmt.Errorf("--addresses: %w", err))
	}
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
		return fmt.Errorf("--addresses: %w", err)
	}
	return nil
}
