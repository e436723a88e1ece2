// Package observe collects, on the host of a prover, what is known of its
// proofs while they are made: the attempts from its log, the batches from the
// RPC and the metrics page of the L2, and how busy the machine and its GPUs are.
//
// A [Collector] appends records to one file. It can be killed at any moment and
// started again with the same file: what the file holds is not written twice,
// and what was missed is read again where it is still there: a log has all of
// it, a metrics page what the process counted, a machine nothing.
package observe

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/proverlog"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// Options say what a Collector follows.
type Options struct {
	// Side, Host and Session go into each record as they are.
	Side    sample.Side
	Host    string
	Session int
	// RPC and Metrics are the URLs of the L2's JSON-RPC and of its metrics
	// page; without Metrics there is none.
	RPC, Metrics string
	// Coordinator is the HOST:PORT of the proof coordinator on this machine.
	// When nothing listens there any more, that is a notice.
	Coordinator string
	// ProverLog and L2Log are files, which need not exist yet; without L2Log
	// there is none.
	ProverLog, L2Log string
	// GPU says that nvidia-smi is asked as well.
	GPU bool
	// Every is the pause between two looks at everything; positive.
	Every time.Duration
	// Say is told what happens, a sentence each, from several goroutines; nil
	// for nobody.
	Say func(text string)
}

// syncPause is how often what was written is forced to the disk.
const syncPause = time.Second

// Collector collects what is known of proofs.
type Collector struct {
	options Options
	start   time.Time
	out     *store.Lines
	// dirty says that something was written since the last sync.
	dirty atomic.Bool

	logs    *logs
	chain   *chain
	machine machine
	gpus    *gpus
}

// New returns a collector that appends to out, which holds past already. Records
// of past that are of another side or session are passed over. A URL or an
// address that cannot be one is an error.
func New(o Options, out *store.Lines, past []sample.Record) (*Collector, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	c := &Collector{options: o, start: time.Now(), out: out}
	client, err := ethrpc.NewClient(o.RPC)
	if err != nil {
		return nil, err
	}
	c.chain = newChain(client)
	if c.chain.page, err = newPage(o.Metrics); err != nil {
		return nil, err
	}
	var attempts []sample.Attempt
	told := make(map[notice]bool)
	for _, r := range past {
		switch {
		case r.Attempt != nil && c.mine(r.Attempt.Side, r.Attempt.Session):
			attempts = append(attempts, *r.Attempt)
		case r.Batch != nil && c.mine(r.Batch.Side, r.Batch.Session):
			c.chain.resume(*r.Batch)
		case r.Notice != nil && c.mine(r.Notice.Side, r.Notice.Session):
			told[noticeOf(*r.Notice)] = true
		}
	}
	c.logs = &logs{
		prover: tail{path: o.ProverLog}, l2: tail{path: o.L2Log},
		attempts: proverlog.NewAttempts(attempts), told: told, running: make(streaks), atL2: make(streaks),
	}
	if c.logs.port, err = localPort(o.Coordinator); err != nil {
		return nil, err
	}
	if o.Coordinator != "" && c.logs.port == 0 {
		o.Say("the coordinator at " + o.Coordinator + " is not on this machine: whether anything listens there is not looked at")
	}
	if o.GPU {
		c.gpus = newGPUs(o.Every)
	}
	return c, nil
}

// mine reports whether a record of that side and session is one of this
// collection's.
func (c *Collector) mine(side sample.Side, session int) bool {
	return side == c.options.Side && session == c.options.Session
}

// localPort is the port of an address on this machine's loopback interface, or
// on all of its interfaces; 0 for one elsewhere and for none.
func localPort(address string) (uint16, error) {
	if address == "" {
		return 0, nil
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0, fmt.Errorf("coordinator %q: must be HOST:PORT", address)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || host == "" {
		return 0, fmt.Errorf("coordinator %q: must be HOST:PORT", address)
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback() && !ip.IsUnspecified()) {
		return 0, nil
	}
	return uint16(port), nil
}

// Run collects until ctx ends, looks at everything once more, and returns nil;
// an error is one of writing. It can be called once.
func (c *Collector) Run(ctx context.Context) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	loops := []func(context.Context) error{c.followLogs, c.followChain, c.followGPUs, c.sync}
	failed := make([]error, len(loops))
	var group sync.WaitGroup
	for i, loop := range loops {
		group.Go(func() {
			if failed[i] = loop(work); failed[i] != nil {
				stop()
			}
		})
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			return err // the others have the same trouble
		}
	}
	return c.out.Sync()
}

// each calls look now and after each pause, until ctx ends or look fails.
func each(ctx context.Context, pause time.Duration, look func() error) error {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		if err := look(); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// followLogs looks at the logs and the machine.
func (c *Collector) followLogs(ctx context.Context) error {
	err := each(ctx, c.options.Every, func() error {
		if err := c.readLogs(); err != nil {
			return err
		}
		return c.lookAtMachine()
	})
	if err != nil {
		return err
	}
	return c.readLogs() // what was written until the end
}

// followChain looks at the L2.
func (c *Collector) followChain(ctx context.Context) error {
	defer c.chain.close()
	err := each(ctx, c.options.Every, func() error { return c.lookAtChain(ctx) })
	if err != nil {
		return err
	}
	// A server that has been stopped by now is no news.
	c.chain.quiet = true
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	return c.lookAtChain(last)
}

// followGPUs keeps nvidia-smi running.
func (c *Collector) followGPUs(ctx context.Context) error {
	if c.gpus == nil {
		return nil
	}
	return c.gpus.run(ctx, func(message string) error { return c.notice(sample.NoGPU, message) })
}

func (c *Collector) sync(ctx context.Context) error {
	return each(ctx, syncPause, func() error {
		if c.dirty.Swap(false) {
			return c.out.Sync()
		}
		return nil
	})
}

// write appends a record.
func (c *Collector) write(r sample.Record) error {
	r.V = sample.Version
	if err := c.out.Append(r); err != nil {
		return err
	}
	c.dirty.Store(true)
	return nil
}

// notice writes what happened now.
func (c *Collector) notice(kind sample.NoticeKind, message string) error {
	return c.writeNotice(sample.Notice{At: time.Now().UTC(), Kind: kind, Message: message})
}

func (c *Collector) writeNotice(n sample.Notice) error {
	n.Side, n.Host, n.Session = c.options.Side, c.options.Host, c.options.Session
	if n.Message == "" {
		c.options.Say(string(n.Kind))
	} else {
		c.options.Say(string(n.Kind) + ": " + n.Message)
	}
	return c.write(sample.Record{Notice: &n})
}
