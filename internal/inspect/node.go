package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/prometheus/common/expfmt"

	"github.com/verdict-bench/verdict/internal/beacon"
	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/witness"
)

const (
	// secondLook is the pause before the head is looked at again.
	secondLook = time.Second
	// notStored is how far behind the head a block is whose witness is not
	// stored any more: 128 are, and some for what comes in meanwhile.
	notStored = 140
	// witnessLimit bounds one request for a witness.
	witnessLimit = time.Minute
	// witnessMemory is how much of a witness is kept in memory; the rest of it
	// goes through a file.
	witnessMemory = 1 << 20
)

// address is the URL of a port of this machine.
func address(port uint16) string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
}

// execution asks the execution client what it is and how far.
func execution(ctx context.Context, url string) *doctor.Execution {
	x := &doctor.Execution{}
	client, err := ethrpc.NewClient(url)
	if err != nil {
		x.Problem = reason(err)
		return x
	}
	defer client.Close()
	n := node{client}
	if err := n.identity(ctx, x); err != nil {
		x.Problem = reason(err)
		return x
	}
	x.SeenAt = time.Now().UTC()
	if x.Head, err = n.block(ctx, "latest"); err != nil {
		x.Problem = reason(err)
		return x
	}
	wait := time.NewTimer(secondLook)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
	if x.Later, err = n.block(ctx, "latest"); err != nil {
		x.Problem = reason(err)
		return x
	}
	x.Witness = timeWitness(ctx, url, x.Later)
	if x.Witness.OK && x.Later.Number > notStored {
		old, err := n.block(ctx, hexutil.EncodeUint64(x.Later.Number-notStored))
		if err != nil {
			x.OldWitness = &doctor.Witness{Block: doctor.Block{Number: x.Later.Number - notStored}, Problem: reason(err)}
			return x
		}
		x.OldWitness = timeWitness(ctx, url, old)
	}
	return x
}

// node asks one execution client small questions.
type node struct{ client *ethrpc.Client }

func (n node) call(ctx context.Context, result any, method string, params ...any) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return n.client.Call(ctx, result, method, params...)
}

// identity fills in what the client is. Only the chain is asked of everyone.
func (n node) identity(ctx context.Context, x *doctor.Execution) error {
	var chainID hexutil.Uint64
	if err := n.call(ctx, &chainID, "eth_chainId"); err != nil {
		return err
	}
	x.ChainID = uint64(chainID)
	if err := n.call(ctx, &x.ClientVersion, "web3_clientVersion"); err == nil {
		x.ClientVersion = line(x.ClientVersion)
	}
	var syncing json.RawMessage
	if err := n.call(ctx, &syncing, "eth_syncing"); err == nil {
		const limit = 4 << 10
		if len(syncing) <= limit {
			x.Syncing = syncing
		}
	}
	if genesis, err := n.block(ctx, "0x0"); err == nil {
		x.Genesis = genesis.Hash
	}
	return nil
}

// errNoBlock is a block that the client does not have.
var errNoBlock = errors.New("there is no such block")

// block asks for a header.
func (n node) block(ctx context.Context, number string) (doctor.Block, error) {
	var header *struct {
		Number    hexutil.Uint64 `json:"number"`
		Hash      string         `json:"hash"`
		Timestamp hexutil.Uint64 `json:"timestamp"`
		GasUsed   hexutil.Uint64 `json:"gasUsed"`
	}
	if err := n.call(ctx, &header, "eth_getBlockByNumber", number, false); err != nil {
		return doctor.Block{}, err
	}
	if header == nil {
		return doctor.Block{}, fmt.Errorf("block %s: %w", number, errNoBlock)
	}
	return doctor.Block{Number: uint64(header.Number), Hash: line(header.Hash), Timestamp: uint64(header.Timestamp), GasUsed: uint64(header.GasUsed)}, nil
}

// timeWitness asks for the witness of one block as the collector does.
func timeWitness(ctx context.Context, url string, b doctor.Block) *doctor.Witness {
	w := &doctor.Witness{Block: b}
	meter, err := ethrpc.NewMeter(url, ethrpc.MeterOptions{Timeout: witnessLimit, Memory: witnessMemory})
	if err != nil {
		w.Problem = reason(err)
		return w
	}
	defer meter.Close()
	request, err := ethrpc.EncodeRequest("debug_executionWitness", hexutil.EncodeUint64(b.Number))
	if err != nil {
		w.Problem = reason(err)
		return w
	}
	answer, err := meter.Time(ctx, request)
	if err != nil {
		w.Problem = reason(err)
		return w
	}
	w.Milliseconds = float64(answer.TotalNS) / 1e6
	w.Bytes = answer.Body.WireBytes()
	if answer.Status != sample.OK {
		w.Problem = fmt.Sprintf("%s: %s", answer.Status, line(answer.Failure.Message))
		return w
	}
	plain, err := answer.Body.Open()
	if err == nil {
		_, err = witness.Scan(plain)
	}
	var refused *ethrpc.Error
	switch {
	case errors.As(err, &refused):
		w.Code, w.Problem = refused.Code, line(refused.Error())
	case err != nil:
		w.Problem = "what came is no witness: " + reason(err)
	default:
		w.OK = true
	}
	return w
}

// engine asks the Engine API for its methods, signed with the secret in file.
func engine(ctx context.Context, url, file string) *doctor.EngineAPI {
	secret, err := ethrpc.ReadSecret(file)
	if err != nil {
		return &doctor.EngineAPI{Status: doctor.NotAsked, Problem: "there is no usable secret"}
	}
	client, err := ethrpc.NewEngine(url, secret)
	if err != nil {
		return &doctor.EngineAPI{Status: doctor.NotAsked, Problem: reason(err)}
	}
	defer client.Close()
	ctx, cancel := bounded(ctx)
	defer cancel()
	methods, err := client.Capabilities(ctx)
	var status *ethrpc.HTTPError
	var network *net.OpError
	switch {
	case err == nil:
		return &doctor.EngineAPI{Status: doctor.Accepted, Methods: len(methods)}
	case errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden):
		return &doctor.EngineAPI{Status: doctor.Refused, Problem: line(status.Error())}
	case errors.As(err, &network) || ethrpc.TimedOut(err):
		return &doctor.EngineAPI{Status: doctor.Silent, Problem: reason(err)}
	}
	return &doctor.EngineAPI{Status: doctor.Odd, Problem: reason(err)}
}

// maxPage bounds a metrics page in bytes.
const maxPage = 8 << 20

// metrics reads the metrics page of the execution client.
func metrics(ctx context.Context, url string) *doctor.MetricsPage {
	ctx, cancel := bounded(ctx)
	defer cancel()
	raw, err := fetch(ctx, url)
	if err != nil {
		return &doctor.MetricsPage{Problem: reason(err)}
	}
	return parseMetrics(raw)
}

// fetch is a plain GET that no proxy sees.
func fetch(ctx context.Context, url string) ([]byte, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.DisableKeepAlives = nil, true
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", res.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxPage+1))
	if err == nil && len(raw) > maxPage {
		return nil, fmt.Errorf("the page is larger than %d MiB", maxPage>>20)
	}
	return raw, err
}

// parseMetrics finds what is wanted on a metrics page.
func parseMetrics(page []byte) *doctor.MetricsPage {
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return &doctor.MetricsPage{Problem: "the page is no metrics page: " + reason(err)}
	}
	m := &doctor.MetricsPage{Latencies: families["rpc_request_duration_seconds"] != nil}
	for _, metric := range families["ethrex_info"].GetMetric() {
		m.Info = map[string]string{}
		for _, label := range metric.GetLabel() {
			m.Info[line(label.GetName())] = line(label.GetValue())
		}
	}
	return m
}

// beaconAPI asks the consensus client what it is and how far.
func beaconAPI(ctx context.Context, url string) *doctor.BeaconAPI {
	b := &doctor.BeaconAPI{}
	client, err := beacon.NewClient(url)
	if err != nil {
		b.Problem = reason(err)
		return b
	}
	defer client.Close()
	ctx, cancel := bounded(ctx)
	defer cancel()
	syncing, err := client.Syncing(ctx)
	if err != nil {
		// The client names the URL; here it is known.
		b.Problem = strings.TrimPrefix(reason(err), client.URL()+"/eth/v1/node/syncing: ")
		return b
	}
	b.IsSyncing, b.IsOptimistic, b.ELOffline = syncing.IsSyncing, syncing.IsOptimistic, syncing.ELOffline
	b.HeadSlot, b.SyncDistance = syncing.HeadSlot, syncing.SyncDistance
	b.Ready, b.WhyNot = syncing.Ready()
	// Not every client serves the rest; what is missing stays empty.
	if version, err := client.Version(ctx); err == nil {
		b.Version = line(version)
	}
	if health, err := client.Health(ctx); err == nil {
		b.Health = int(health)
	}
	if network, err := client.Network(ctx); err == nil {
		b.Network = line(network)
	}
	if peers, err := client.PeerCount(ctx); err == nil {
		b.Peers = &peers
	}
	if phase, err := client.Phase(ctx); err == nil {
		b.Lighthouse = line(phase.Name)
	}
	return b
}
