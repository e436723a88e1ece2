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
	session int
	swapped bool
	control string
	chainID uint64
	blocks  int
	endless bool
	from    string
	until   string
	live    bool
	warmUp  int
	timeout time.Duration
	settle  time.Duration
	wait    time.Duration
	gzip    bool
	byHash  bool
	verify  int
	genesis string
	metrics string
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

With --out, lines are appended, and a collection goes on where the file ends:
one that was killed is started again with the same flags. Blocks that the file
holds, by number and hash, are not measured again and count as done. One process
at a time can write a file.

A block more than 120 behind the head is skipped, unless --from was that old when
the collection began.

With --metrics, the Prometheus page of the server is read before and after each
request: a sample then also has how long the import of its block took, and how
long the server itself took to find or make the witness.

Exit status: 0 done; 1 not one sample is ok, or the file could not be written;
2 bad usage; 4 the server cannot be used, or another process writes the file;
130 interrupted.`,
		Example: `  # until interrupted, on the server itself
  verdict collect --rpc http://127.0.0.1:8545 --out samples.jsonl

  # 200 blocks, each two seconds after it appears
  verdict collect --rpc http://127.0.0.1:8545 --blocks 200 --settle 2s --out samples.jsonl

  # blocks 1000 to 1009
  verdict collect --rpc http://127.0.0.1:8545 --from 1000 --until 1009

  # on each of two servers: the same heights, warm-up and proofs
  verdict collect --rpc http://127.0.0.1:8545 --from 2500000 --until 2500219 --warmup 20 --verify-every 10 --side test --out samples.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCollect(cmd.Context(), w, &o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.rpc, "rpc", "", "`URL` of the server's JSON-RPC over HTTP")
	f.StringVar(&o.side, "side", "", "side to write into the samples: baseline or test")
	f.IntVar(&o.session, "session", 0, "number of the session to write into the samples")
	f.BoolVar(&o.swapped, "swapped", false, "write into the samples that the sides have exchanged their hosts")
	f.StringVar(&o.control, "control", "", "mark the samples as those of an A/A control: two-places or one-place")
	f.Uint64Var(&o.chainID, "chain-id", 0, "refuse a server that is on another chain than `ID`")
	f.StringVar(&o.from, "from", "", "first block `N` (default: the next new one, or where --out goes on)")
	f.StringVar(&o.until, "until", "", "last block `N`")
	f.IntVar(&o.blocks, "blocks", 0, "end after so many blocks, the warm-up aside")
	f.BoolVar(&o.endless, "endless", false, "go on until interrupted (the default without --until and --blocks)")
	f.BoolVar(&o.live, "live", false, "skip blocks more than 120 behind the head, however old --from is")
	f.IntVar(&o.warmUp, "warmup", 0, "mark the first so many heights as warm-up")
	f.DurationVar(&o.timeout, "timeout", ethrpc.DefaultTimeout, "time limit of one request")
	f.DurationVar(&o.settle, "settle", 0, "pause between seeing a block and asking for its witness")
	f.DurationVar(&o.wait, "wait", 0, "end when the server is away for longer, 0 for never; also the patience at the start")
	f.BoolVar(&o.gzip, "gzip", false, "let the server compress its answers")
	f.BoolVar(&o.byHash, "by-hash", false, "ask with debug_executionWitnessByBlockHash")
	f.IntVar(&o.verify, "verify-every", 0, "prove the witness of each block whose number is a multiple of `N` complete; 0 proves none")
	f.StringVar(&o.genesis, "genesis", "", "genesis `FILE` of a chain whose rules are not built in, for --verify-every")
	f.StringVar(&o.metrics, "metrics", "", "`URL` of the server's metrics page, for how long its block import and its own part of the answer took")
	f.StringVar(&o.out, "out", "", "append to `FILE` instead of writing to stdout")
	cmd.RegisterFlagCompletionFunc("side", cobra.FixedCompletions(
		[]string{string(sample.Baseline), string(sample.Test)}, cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(newCollectProver(w))
	return cmd
}

// heights are the parsed --from and --until; nil where they are not given.
type heights struct{ from, until *uint64 }

// check finds what is wrong with the flags, and parses the heights.
func (o *collectOptions) check() (h heights, err error) {
	const help = "verdict collect --help"
	wrong := ""
	switch {
	case o.rpc == "":
		return h, fault.Newf(fault.Usage, "--rpc is missing").Hint("verdict collect --rpc http://127.0.0.1:8545")
	case o.side != "" && o.side != string(sample.Baseline) && o.side != string(sample.Test):
		wrong = fmt.Sprintf("--side %q: must be baseline or test", o.side)
	case o.control != "" && o.control != string(sample.TwoPlaces) && o.control != string(sample.OnePlace):
		wrong = fmt.Sprintf("--control %q: must be two-places or one-place", o.control)
	case o.session < 0:
		wrong = fmt.Sprintf("--session %d: must not be negative", o.session)
	case o.blocks < 0:
		wrong = fmt.Sprintf("--blocks %d: must not be negative", o.blocks)
	case o.endless && (o.blocks > 0 || o.until != ""):
		wrong = "--endless excludes --blocks and --until"
	case o.warmUp < 0:
		wrong = fmt.Sprintf("--warmup %d: must not be negative", o.warmUp)
	case o.verify < 0:
		wrong = fmt.Sprintf("--verify-every %d: must not be negative", o.verify)
	case o.timeout <= 0:
		wrong = fmt.Sprintf("--timeout %v: must be positive", o.timeout)
	case o.settle < 0:
		wrong = fmt.Sprintf("--settle %v: must not be negative", o.settle)
	case o.wait < 0:
		wrong = fmt.Sprintf("--wait %v: must not be negative", o.wait)
	}
	if wrong == "" {
		h.from, wrong = parseHeight("--from", o.from)
	}
	if wrong == "" {
		h.until, wrong = parseHeight("--until", o.until)
	}
	if wrong == "" && h.from != nil && h.until != nil && *h.until < *h.from+uint64(o.warmUp) {
		wrong = fmt.Sprintf("--until %d: nothing is left to measure from block %d on with %d of warm-up", *h.until, *h.from, o.warmUp)
	}
	if wrong != "" {
		return h, fault.Newf(fault.Usage, "%s", wrong).Hint(help)
	}
	return h, nil
}

// parseHeight reads a block number as people and programs write them, 1000 or
// 0x3e8; nothing is nil.
func parseHeight(flag, text string) (n *uint64, wrong string) {
	if text == "" {
		return nil, ""
	}
	v, err := strconv.ParseUint(text, 0, 63)
	if err != nil {
		return nil, fmt.Sprintf("%s %q: must be a block number", flag, text)
	}
	return &v, ""
}

func runCollect(ctx context.Context, w World, o *collectOptions) (err error) {
	h, err := o.check()
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this host: %w", err)
	}
	c := collection{w: w, o: o, line: newStatusLine(w)}
	sampler, err := collect.NewSampler(o.rpc, collect.Options{
		Side: sample.Side(o.side), Host: host, Session: o.session, Swapped: o.swapped, Control: sample.Control(o.control),
		ByHash:  o.byHash,
		Metrics: o.metrics, Notice: func(text string) { c.line.say("%s", text) },
		MeterOptions: ethrpc.MeterOptions{Timeout: o.timeout, Gzip: o.gzip},
	})
	if err != nil {
		return fault.As(fault.Usage, err)
	}
	defer sampler.Close()

	c.url = sampler.URL()
	if o.out != "" {
		if err := c.openOut(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.closeOut()) }()
	}
	chainID, verifier, err := c.preflight(ctx, sampler)
	if err != nil {
		return err
	}
	err = collect.Follow(ctx, sampler, collect.FollowOptions{
		From: h.from, Until: h.until, Blocks: o.blocks, WarmUp: uint64(o.warmUp), Live: o.live,
		Past: c.past, Held: c.held, ChainID: chainID, Verifier: verifier,
		Settle: o.settle, Wait: o.wait, Waiting: c.waiting,
	}, c.record)
	c.line.end()
	c.line.say("%s", c.summary())
	if o.metrics != "" {
		c.line.say("the metrics page told the block import of %d of %d samples that are ok, and the server's own time of %d", c.imports, len(c.latencies), c.served)
	}
	if err == nil && c.good == 0 {
		return c.nothing()
	}
	return err
}

// collection is the state of one verdict collect.
type collection struct {
	w   World
	o   *collectOptions
	url string
	// out is the samples file, locked until unlock is called; nil for stdout.
	out    *store.Lines
	unlock func() error
	// past is what the file held before.
	past []collect.Done
	line *statusLine
	// noted is when progress was last written to a log.
	noted time.Time
	// good and bad count the samples of blocks, warmUps those that do not count.
	good, bad, warmUps, skipped int
	// latencies are those of the ok samples, sorted; imports and served count
	// those of them of which the metrics page told.
	latencies       []time.Duration
	imports, served int
	last            string
	synced          time.Time
}

const (
	// syncPause is how often samples are forced to the disk. Each time takes
	// the disk from the server that is measured.
	syncPause = time.Minute
	// logPause is how often progress is written where nobody watches it: a
	// collector that runs for days must not fill the disk that it measures.
	logPause = time.Minute
)

// openOut opens the samples file and learns which blocks it holds.
func (c *collection) openOut() error {
	path := c.o.out
	unlock, err := collect.Lock(path)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = store.ReadLines(path, func(r sample.Record) error {
		if r.V != sample.Version || (r.Sample == nil) == (r.Gap == nil) {
			return fmt.Errorf("not a sample record of version %d", sample.Version)
		}
		// Another session measures its blocks itself.
		if s := r.Sample; s != nil && s.Side == sample.Side(c.o.side) && s.Session == c.o.session {
			c.past = append(c.past, collect.DoneOf(s))
		}
		return nil
	})
	if err != nil {
		return errors.Join(fault.Newf(fault.Usage, "--out: %w", err), unlock())
	}
	out, torn, err := store.OpenLines(path)
	if err != nil {
		return errors.Join(fault.Newf(fault.Prerequisite, "--out: %w", err), unlock())
	}
	if torn > 0 {
		c.line.say("%s: cut off %d bytes of a torn last line", path, torn)
	}
	c.out, c.unlock = out, unlock
	return nil
}

func (c *collection) closeOut() error { return errors.Join(c.out.Close(), c.unlock()) }

// preflight checks the server, for as long as --wait if it is not there yet. In
// a collection that has begun, that wait is a gap like any other.
func (c *collection) preflight(ctx context.Context, s *collect.Sampler) (chainID uint64, v *collect.Verifier, err error) {
	patient, cancel := context.WithTimeout(ctx, c.o.wait)
	defer cancel()
	var server collect.Server
	var refusal *ethrpc.Error
	var absent time.Time
	var reason error
	err = ethrpc.Until(patient, func(err error) bool { return errors.As(err, &refusal) || ctx.Err() != nil },
		func() (err error) {
			server, err = s.Preflight(ctx)
			if err != nil && absent.IsZero() && c.o.wait > 0 {
				absent, reason = c.w.Now(), err
				c.waiting(err)
			}
			return err
		})
	if !absent.IsZero() && len(c.past) > 0 {
		err = errors.Join(err, c.record(s.Gap(absent, c.w.Now(), reason.Error())))
	}
	if err != nil {
		return 0, nil, err
	}
	c.line.say("%s: chain %d, head %d, %s", c.url, server.ChainID, server.Head, server.Version)
	if want := c.o.chainID; want != 0 && want != server.ChainID {
		return 0, nil, collect.WrongChain(c.url, server.ChainID, want)
	}
	v, err = collect.NewVerifier(c.o.verify, server.ChainID, c.o.genesis)
	return server.ChainID, v, err
}

// held counts a block that the file holds.
func (c *collection) held(d collect.Done) {
	switch {
	case d.WarmUp:
		c.warmUps++
	case d.Status == sample.OK:
		c.good++
	default:
		c.bad++
		c.last = fmt.Sprintf("block %d failed when it was measured before", d.Number)
	}
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
	switch {
	case s.Status == sample.Skipped:
		c.skipped++
		c.show(fmt.Sprintf("block %d skipped", s.Number))
		return nil
	case s.WarmUp:
		c.warmUps++
	case s.Status == sample.OK:
		c.good++
		at, _ := slices.BinarySearch(c.latencies, s.Latency())
		c.latencies = slices.Insert(c.latencies, at, s.Latency())
		if s.ImportNS > 0 {
			c.imports++
		}
		if s.ServerNS > 0 {
			c.served++
		}
	default:
		c.bad++
	}
	if s.Status != sample.OK {
		c.last = fmt.Sprintf("block %d: %s: %s", s.Number, s.Status, s.Failure.Message)
		if c.isLog() {
			c.show(c.last + "  " + c.summary())
			return nil
		}
		c.line.say("%s", c.last)
	}
	c.show(fmt.Sprintf("block %d: %s  behind %d  %s", s.Number, outcome(s), s.BehindHead, c.summary()))
	return nil
}

// isLog reports whether what is said goes to a file that grows. The samples have
// everything that is left out there.
func (c *collection) isLog() bool { return c.out != nil && !c.line.terminal }

// show shows the current state, if it is time to.
func (c *collection) show(text string) {
	if c.isLog() {
		now := c.w.Now()
		if now.Sub(c.noted) < logPause {
			return
		}
		c.noted = now
	}
	c.line.show(text, c.isLog())
}

func (c *collection) write(r sample.Record) error {
	if c.out == nil {
		return writeRecord(c.w.Stdout, r)
	}
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

// nothing is the error of a collection without one good sample.
func (c *collection) nothing() error {
	if c.bad == 0 {
		return fmt.Errorf("no block was measured: %d skipped, %d of warm-up", c.skipped, c.warmUps)
	}
	return fmt.Errorf("none of %d samples is ok; the last one: %s", c.bad, c.last)
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
	if c.o.blocks > 0 {
		text = fmt.Sprintf("%d/%d samples", c.good+c.bad, c.o.blocks)
	}
	if n := len(c.latencies); n > 0 {
		text += fmt.Sprintf(", median %s", milliseconds((c.latencies[(n-1)/2]+c.latencies[n/2])/2))
	}
	text += fmt.Sprintf(", %d failed", c.bad)
	if c.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", c.skipped)
	}
	return text
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
