package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/collect"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// collectOptions are the flags of verdict collect.
type collectOptions struct {
	rpc     string
	side    string
	blocks  int
	endless bool
	from    string
	timeout time.Duration
	settle  time.Duration
	wait    time.Duration
	gzip    bool
	byHash  bool
	out     string
}

// newCollect is the command verdict collect.
func newCollect(w World) *cobra.Command {
	var o collectOptions
	cmd := &cobra.Command{
		Use:   "collect --rpc URL",
		Short: "Measure debug_executionWitness on one server, block by block",
		Long: `Measures the latency of debug_executionWitness for each new block of one
server and writes one JSON line per sample, to stdout or to --out. Run it on the
server's own host: what lies between is measured too.

The latency is the time from the first byte of the request written to the last
byte of the answer read. The answer is parsed, counted and digested afterwards.
A slow or failed answer is a sample with a status; it is never left out. When
the server goes away, collect waits for it, records the gap, and goes on.

With --out, lines are appended: blocks that the file already holds, by number
and hash, are not measured again and count as done.

Exit status: 0 done; 1 not one sample is ok, or the file could not be written;
2 bad usage; 4 the server cannot be used; 130 interrupted.`,
		Example: `  # until interrupted, on the server itself
  verdict collect --rpc http://127.0.0.1:8545 --out samples.jsonl

  # 200 blocks, each two seconds after it appears
  verdict collect --rpc http://127.0.0.1:8545 --blocks 200 --settle 2s --out samples.jsonl

  # blocks 1000 to 1009
  verdict collect --rpc http://127.0.0.1:8545 --from 1000 --blocks 10`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCollect(cmd.Context(), w, &o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.rpc, "rpc", "", "`URL` of the server's JSON-RPC over HTTP")
	f.StringVar(&o.side, "side", "", "side to write into the samples: baseline or test")
	f.IntVar(&o.blocks, "blocks", 0, "end after so many blocks")
	f.BoolVar(&o.endless, "endless", false, "go on until interrupted (the default without --blocks)")
	f.StringVar(&o.from, "from", "", "first block `N` (default: the next new one)")
	f.DurationVar(&o.timeout, "timeout", ethrpc.DefaultTimeout, "time limit of one request")
	f.DurationVar(&o.settle, "settle", 0, "pause between seeing a block and asking for its witness")
	f.DurationVar(&o.wait, "wait", 0, "end when the server is away for longer, 0 for never; also the patience at the start")
	f.BoolVar(&o.gzip, "gzip", false, "let the server compress its answers")
	f.BoolVar(&o.byHash, "by-hash", false, "ask with debug_executionWitnessByBlockHash")
	f.StringVar(&o.out, "out", "", "append to `FILE` instead of writing to stdout")
	cmd.RegisterFlagCompletionFunc("side", cobra.FixedCompletions(
		[]string{string(sample.Baseline), string(sample.Test)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check finds what is wrong with the flags, and parses --from.
func (o *collectOptions) check() (from *uint64, err error) {
	const help = "verdict collect --help"
	switch {
	case o.rpc == "":
		return nil, fault.Newf(fault.Usage, "--rpc is missing").Hint("verdict collect --rpc http://127.0.0.1:8545")
	case o.side != "" && o.side != string(sample.Baseline) && o.side != string(sample.Test):
		return nil, fault.Newf(fault.Usage, "--side %q: must be baseline or test", o.side).Hint(help)
	case o.blocks < 0:
		return nil, fault.Newf(fault.Usage, "--blocks %d: must not be negative", o.blocks).Hint(help)
	case o.blocks > 0 && o.endless:
		return nil, fault.Newf(fault.Usage, "--blocks and --endless exclude each other").Hint(help)
	case o.timeout <= 0:
		return nil, fault.Newf(fault.Usage, "--timeout %v: must be positive", o.timeout).Hint(help)
	case o.settle < 0:
		return nil, fault.Newf(fault.Usage, "--settle %v: must not be negative", o.settle).Hint(help)
	case o.wait < 0:
		return nil, fault.Newf(fault.Usage, "--wait %v: must not be negative", o.wait).Hint(help)
	case o.from == "":
		return nil, nil
	}
	// Base 0 takes 1000 and 0x3e8, as people and programs write them.
	n, err := strconv.ParseUint(o.from, 0, 63)
	if err != nil {
		return nil, fault.Newf(fault.Usage, "--from %q: must be a block number", o.from).Hint(help)
	}
	return &n, nil
}

func runCollect(ctx context.Context, w World, o *collectOptions) (err error) {
	from, err := o.check()
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this host: %w", err)
	}
	sampler, err := collect.NewSampler(o.rpc, collect.Options{
		Side:         sample.Side(o.side),
		Host:         host,
		ByHash:       o.byHash,
		MeterOptions: ethrpc.MeterOptions{Timeout: o.timeout, Gzip: o.gzip},
	})
	if err != nil {
		return fault.As(fault.Usage, err)
	}
	defer sampler.Close()

	c := collection{w: w, url: sampler.URL(), planned: o.blocks, ok: map[collectKey]bool{}, line: newStatusLine(w)}
	if o.out != "" {
		if err := c.openOut(o.out); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.out.Close()) }()
	}
	if err := c.preflight(ctx, sampler, o.wait); err != nil {
		return err
	}
	err = collect.Follow(ctx, sampler, collect.FollowOptions{
		Blocks:  o.blocks,
		From:    from,
		Settle:  o.settle,
		Wait:    o.wait,
		Known:   c.known,
		Waiting: c.waiting,
	}, c.record)
	c.line.end()
	c.line.say("%s", c.summary())
	if err == nil && c.good == 0 {
		return fmt.Errorf("none of %d samples is ok; the last one: %s", c.good+c.bad, c.last)
	}
	return err
}

type collectKey struct {
	number uint64
	hash   string
}

// collection is the state of one verdict collect.
type collection struct {
	w       World
	url     string
	planned int
	// out is the samples file; nil for stdout.
	out  *store.Lines
	line *statusLine
	// ok holds the blocks that the file had before, and whether their samples
	// are ok.
	ok        map[collectKey]bool
	good, bad int
	// latencies are those of the ok samples, sorted.
	latencies []time.Duration
	last      string
	synced    time.Time
}

// syncPause is how often samples are forced to the disk. Each time takes the
// disk from the server that is measured.
const syncPause = time.Minute

// openOut opens the samples file and learns which blocks it holds.
func (c *collection) openOut(path string) error {
	_, err := store.ReadLines(path, func(r sample.Record) error {
		if r.V != sample.Version || (r.Sample == nil) == (r.Gap == nil) {
			return fmt.Errorf("not a sample record of version %d", sample.Version)
		}
		if s := r.Sample; s != nil && s.Status != sample.Skipped {
			c.ok[collectKey{s.Number, s.Hash}] = s.Status == sample.OK
		}
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.Newf(fault.Usage, "--out: %w", err)
	}
	out, torn, err := store.OpenLines(path)
	if err != nil {
		return fault.Newf(fault.Prerequisite, "--out: %w", err)
	}
	if torn > 0 {
		c.line.say("%s: cut off %d bytes of a torn last line", path, torn)
	}
	c.out = out
	return nil
}

// preflight checks the server, for as long as wait if it is not there yet.
func (c *collection) preflight(ctx context.Context, s *collect.Sampler, wait time.Duration) error {
	patient, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var server collect.Server
	refusal := (*ethrpc.Error)(nil)
	err := ethrpc.Until(patient, func(err error) bool { return errors.As(err, &refusal) || ctx.Err() != nil },
		func() (err error) {
			server, err = s.Preflight(ctx)
			return err
		})
	if err != nil {
		return err
	}
	c.line.say("%s: chain %d, head %d, %s", c.url, server.ChainID, server.Head, server.Version)
	return nil
}

func (c *collection) known(number uint64, hash string) bool {
	ok, known := c.ok[collectKey{number, hash}]
	switch {
	case known && ok:
		c.good++
	case known:
		c.bad++
		c.last = fmt.Sprintf("block %d failed when it was measured before", number)
	}
	return known
}

func (c *collection) waiting(err error) {
	c.line.say("waiting for %s: %v", c.url, err)
}

// record writes one record and shows it.
func (c *collection) record(r sample.Record) error {
	if err := c.write(r); err != nil {
		return err
	}
	if g := r.Gap; g != nil {
		c.line.say("gap of %v: %s", time.Duration(g.DurationNS).Round(time.Millisecond), g.Reason)
		return nil
	}
	s := r.Sample
	switch s.Status {
	case sample.OK:
		c.good++
		at, _ := slices.BinarySearch(c.latencies, s.Latency())
		c.latencies = slices.Insert(c.latencies, at, s.Latency())
	case sample.Skipped:
		c.line.show(fmt.Sprintf("block %d skipped", s.Number), false)
		return nil
	default:
		c.bad++
		c.last = fmt.Sprintf("block %d: %s: %s", s.Number, s.Status, s.Failure.Message)
		c.line.say("%s", c.last)
	}
	c.line.show(fmt.Sprintf("block %d: %s  behind %d  %s", s.Number, outcome(s), s.BehindHead, c.summary()), false)
	return nil
}

func (c *collection) write(r sample.Record) error {
	if c.out != nil {
		if err := c.out.Append(r); err != nil {
			return err
		}
		// A lost machine may cost the last samples, but not the last hour.
		if now := c.w.Now(); now.Sub(c.synced) >= syncPause {
			c.synced = now
			return c.out.Sync()
		}
		return nil
	}
	return writeRecord(c.w.Stdout, r)
}

// outcome is what became of one sample, in a few words.
func outcome(s *sample.Sample) string {
	if s.Status != sample.OK {
		return string(s.Status)
	}
	return milliseconds(s.Latency())
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64) + " ms"
}

// summary is the state of the collection on one line.
func (c *collection) summary() string {
	text := fmt.Sprintf("%d samples", c.good+c.bad)
	if c.planned > 0 {
		text = fmt.Sprintf("%d/%d samples", c.good+c.bad, c.planned)
	}
	if n := len(c.latencies); n > 0 {
		text += fmt.Sprintf(", median %s", milliseconds((c.latencies[(n-1)/2]+c.latencies[n/2])/2))
	}
	return text + fmt.Sprintf(", %d failed", c.bad)
}

// writeRecord writes one record as a line, in one write.
func writeRecord(out io.Writer, r sample.Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing samples: %w", err)
	}
	return nil
}
