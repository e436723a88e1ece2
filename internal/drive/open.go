package drive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
)

type hexUint = hexutil.Uint64

// header is the part of a block header that the driver needs.
type header struct {
	Number    hexUint     `json:"number"`
	Hash      common.Hash `json:"hash"`
	Timestamp hexUint     `json:"timestamp"`
	GasLimit  hexUint     `json:"gasLimit"`
}

// Open waits until all clients answer, makes sure that they are on the same
// chain and on the same head, and returns a driver that goes on from there.
func Open(ctx context.Context, o Options) (*Driver, error) {
	if len(o.Clients) == 0 {
		return nil, fault.Newf(fault.Usage, "no client to drive")
	}
	if o.Step == 0 {
		o.Step = defaultStep
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = defaultReadyTimeout
	}
	if o.BuildTimeout == 0 {
		o.BuildTimeout = defaultBuildTimeout
	}
	d := &Driver{o: o, patience: make([]patience, len(o.Clients))}
	for i := range d.patience {
		d.patience[i].wait = firstWait
	}
	if err := d.each(func(_ int, c Client) error { return ready(ctx, c, o.ReadyTimeout) }); err != nil {
		return nil, err
	}
	if err := d.sameChain(ctx); err != nil {
		return nil, err
	}
	if err := d.sameHead(ctx); err != nil {
		return nil, err
	}
	if err := d.readRecent(ctx); err != nil {
		return nil, err
	}
	fc := d.forkchoice(d.head.Hash)
	err := d.each(func(_ int, c Client) error {
		outcome, _, err := c.Engine.ForkchoiceUpdated(ctx, fc, nil)
		if err != nil {
			return err
		}
		return judge(outcome, uint64(d.head.Number), d.head.Hash)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// ready waits until both ports of a client answer.
func ready(ctx context.Context, c Client, limit time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, probe := range []struct {
		url string
		ask func(context.Context) error
	}{
		{c.RPC.URL(), func(ctx context.Context) error { return c.RPC.Call(ctx, nil, "eth_chainId") }},
		{c.Engine.URL(), func(ctx context.Context) error {
			_, err := c.Engine.Capabilities(ctx)
			return err
		}},
	} {
		err := ethrpc.Until(bounded, hopelessAnswer, func() error {
			once, cancel := context.WithTimeout(bounded, 5*time.Second)
			defer cancel()
			return probe.ask(once)
		})
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case hopelessAnswer(err):
			return fault.Newf(fault.Prerequisite, "%s: %w", probe.url, err)
		default:
			return fault.Newf(fault.Prerequisite, "%s is not ready after %s: %w", probe.url, limit, err).
				Hint("start the execution client first and give its addresses as NAME=RPC_URL,ENGINE_URL")
		}
	}
	return nil
}

// hopelessAnswer reports whether waiting cannot help: the server is up and
// turns the request down. While they start, servers refuse connections or
// answer with 5xx.
func hopelessAnswer(err error) bool {
	var status *ethrpc.HTTPError
	var answer *ethrpc.Error
	switch {
	case errors.As(err, &status):
		return status.Status < http.StatusInternalServerError
	case errors.As(err, &answer):
		return answer.Code == ethrpc.MethodNotFound
	}
	return false
}

// sameChain compares chain id and genesis hash of all clients.
func (d *Driver) sameChain(ctx context.Context) error {
	ids := make([]hexUint, len(d.o.Clients))
	genesis := make([]header, len(d.o.Clients))
	err := d.each(func(i int, c Client) error {
		if err := c.RPC.Call(ctx, &ids[i], "eth_chainId"); err != nil {
			return err
		}
		var err error
		genesis[i], err = headerAt(ctx, c, "0x0")
		return err
	})
	if err != nil {
		return err
	}
	d.chainID, d.genesis = uint64(ids[0]), genesis[0].Hash
	for i := range d.o.Clients {
		if ids[i] != ids[0] || genesis[i].Hash != genesis[0].Hash {
			return fault.Newf(fault.Prerequisite, "the clients are on different chains: %s", d.list(func(i int) string {
				return fmt.Sprintf("chain id %d, genesis %s", ids[i], genesis[i].Hash)
			})).Hint("start all of them from one file, such as verdict devnet genesis --out genesis.json makes")
		}
	}
	return nil
}

// sameHead compares the heads of all clients and goes on from them.
func (d *Driver) sameHead(ctx context.Context) error {
	heads := make([]header, len(d.o.Clients))
	err := d.each(func(i int, c Client) error {
		var err error
		heads[i], err = headOf(ctx, c)
		return err
	})
	if err != nil {
		return err
	}
	d.head = heads[0]
	for i := range heads {
		if heads[i].Hash != heads[0].Hash {
			return fault.Newf(fault.Prerequisite, "the clients stand on different blocks: %s", d.list(func(i int) string {
				return fmt.Sprintf("block %d %s", heads[i].Number, heads[i].Hash)
			})).Hint("restart all of them with empty data directories")
		}
	}
	return nil
}

// list describes all clients, one after the other.
func (d *Driver) list(describe func(i int) string) string {
	parts := make([]string, len(d.o.Clients))
	for i, c := range d.o.Clients {
		parts[i] = c.Name + ": " + describe(i)
	}
	return strings.Join(parts, "; ")
}

// readRecent fetches the hashes of the blocks up to the head that are needed
// to name safe and finalized ones.
func (d *Driver) readRecent(ctx context.Context) error {
	c, head := d.o.Clients[0], uint64(d.head.Number)
	from := head - min(head, finalizedDepth)
	headers := make([]*header, head-from)
	requests := make([]*ethrpc.Request, head-from)
	for i := range requests {
		requests[i] = &ethrpc.Request{
			Method: "eth_getBlockByNumber", Params: []any{hexUint(from + uint64(i)), false}, Result: &headers[i],
		}
	}
	if err := c.RPC.Batch(ctx, requests); err != nil {
		return named(c, err)
	}
	for i, r := range requests {
		if r.Err == nil && headers[i] == nil {
			r.Err = errors.New("not found")
		}
		if r.Err != nil {
			return named(c, fmt.Errorf("block %d: %w", from+uint64(i), r.Err))
		}
		d.recent = append(d.recent, headers[i].Hash)
	}
	d.recent = append(d.recent, d.head.Hash)
	return nil
}

// headOf is the newest block of a client.
func headOf(ctx context.Context, c Client) (header, error) { return headerAt(ctx, c, "latest") }

// headerAt is a client's block at a height or tag.
func headerAt(ctx context.Context, c Client, at string) (header, error) {
	var h *header
	if err := c.RPC.Call(ctx, &h, "eth_getBlockByNumber", at, false); err != nil {
		return header{}, err
	}
	if h == nil {
		return header{}, fmt.Errorf("it has no block %q", at)
	}
	return *h, nil
}
