package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/collect"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/observe"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// shortestEvery is the shortest pause of verdict collect prover: what looks more
// often is part of what it measures.
const shortestEvery = 100 * time.Millisecond

// collectProverOptions are the flags of verdict collect prover.
type collectProverOptions struct {
	side        string
	session     int
	rpc         string
	metrics     string
	coordinator string
	proverLog   string
	l2Log       string
	out         string
	gpu         bool
	every       time.Duration
}

// newCollectProver is the command verdict collect prover.
func newCollectProver(w World) *cobra.Command {
	var o collectProverOptions
	cmd := &cobra.Command{
		Use:   "prover --side SIDE --rpc URL --prover-log FILE --out FILE",
		Short: "Record proofs, batches and the machine while an L2 is proved",
		Long: `Records what is known of proofs while they are made, as JSON lines in a file. Run
it on the prover's own host. It asks nothing of the prover and nothing of the
proof coordinator.

  attempts  from the prover's log: batch, proving time, whether it was accepted
  batches   from the L2's RPC: blocks, gas, transactions, and when each was first
            seen sealed, committed and verified; from its metrics page what only
            that tells
  machine   CPU, memory and, with --gpu, what nvidia-smi tells of each GPU
  notices   version mismatches, refused proofs, servers that do not answer

The logs need not exist yet. It runs until SIGINT or SIGTERM. One that was killed
is started again with the same flags: it goes on in the same file, and writes
nothing twice. One process at a time can write a file.

Exit status: 0 stopped; 1 the file could not be written; 2 bad usage, or --out is
no samples file; 4 another process writes the file, or it cannot be opened.`,
		Example: `  # everything, beside an L2 and a prover with the usual ports
  verdict collect prover --side baseline --session 1 \
    --rpc http://127.0.0.1:1729 --metrics http://127.0.0.1:3702/metrics \
    --coordinator 127.0.0.1:3900 --prover-log prover.log --l2-log l2.log \
    --gpu --out samples.jsonl

  # the least: attempts and batches
  verdict collect prover --side test --rpc http://127.0.0.1:1729 \
    --prover-log prover.log --out samples.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := runCollectProver(cmd.Context(), w, &o); err != nil {
				return err
			}
			return errStopped
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.side, "side", "", "side to write into the records: baseline or test")
	f.IntVar(&o.session, "session", 0, "number of the session to write into the records")
	f.StringVar(&o.rpc, "rpc", "", "`URL` of the L2's JSON-RPC over HTTP")
	f.StringVar(&o.metrics, "metrics", "", "`URL` of the L2's metrics page")
	f.StringVar(&o.coordinator, "coordinator", "", "`HOST:PORT` of the proof coordinator, to notice when nothing listens there any more")
	f.StringVar(&o.proverLog, "prover-log", "", "`FILE` that the prover logs to, with --timed")
	f.StringVar(&o.l2Log, "l2-log", "", "`FILE` that the L2 logs to, for refused proofs")
	f.StringVar(&o.out, "out", "", "append to `FILE`")
	f.BoolVar(&o.gpu, "gpu", false, "record what nvidia-smi tells of the GPUs")
	f.DurationVar(&o.every, "every", time.Second, "pause between two looks")
	cmd.RegisterFlagCompletionFunc("side", cobra.FixedCompletions(
		[]string{string(sample.Baseline), string(sample.Test)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check finds what is wrong with the flags; what is missing is named at once.
func (o *collectProverOptions) check() error {
	var missing []string
	for _, flag := range []struct{ name, value string }{
		{"--side", o.side}, {"--rpc", o.rpc}, {"--prover-log", o.proverLog}, {"--out", o.out},
	} {
		if flag.value == "" {
			missing = append(missing, flag.name)
		}
	}
	wrong := ""
	switch {
	case len(missing) > 0:
		wrong = "missing: " + strings.Join(missing, ", ")
	case o.side != string(sample.Baseline) && o.side != string(sample.Test):
		wrong = fmt.Sprintf("--side %q: must be baseline or test", o.side)
	case o.session < 0:
		wrong = fmt.Sprintf("--session %d: must not be negative", o.session)
	case o.every < shortestEvery:
		wrong = fmt.Sprintf("--every %v: must be at least %v", o.every, shortestEvery)
	case o.out == o.proverLog || o.out == o.l2Log:
		wrong = fmt.Sprintf("--out %s: is one of the logs", o.out)
	default:
		return nil
	}
	return fault.Newf(fault.Usage, "%s", wrong).Hint("verdict collect prover --help")
}

// runCollectProver collects until ctx ends, which is no error.
func runCollectProver(ctx context.Context, w World, o *collectProverOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this host: %w", err)
	}
	unlock, err := collect.Lock(o.out)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	past, err := readProofs(o.out)
	if err != nil {
		return err
	}
	out, torn, err := store.OpenLines(o.out)
	if err != nil {
		return fault.Newf(fault.Prerequisite, "--out: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	var mu sync.Mutex
	line := newStatusLine(w)
	say := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		line.say("%s", text)
	}
	if torn > 0 {
		say(fmt.Sprintf("%s: cut off %d bytes of a torn last line", o.out, torn))
	}
	collector, err := observe.New(observe.Options{
		Side: sample.Side(o.side), Host: host, Session: o.session,
		RPC: o.rpc, Metrics: o.metrics, Coordinator: o.coordinator, ProverLog: o.proverLog, L2Log: o.l2Log,
		GPU: o.gpu, Every: o.every, Say: say,
	}, out, past)
	if err != nil {
		return fault.As(fault.Usage, err)
	}
	say(fmt.Sprintf("collecting into %s, which holds %d records of proofs", o.out, len(past)))
	if err := collector.Run(ctx); err != nil {
		return err
	}
	say("stopped")
	return nil
}

// readProofs reads what a samples file holds of proofs, the machine aside, which
// nobody goes on from.
func readProofs(path string) (past []sample.Record, err error) {
	_, err = store.ReadLines(path, func(r sample.Record) error {
		proof := r.Attempt != nil || r.Batch != nil || r.Machine != nil || r.Notice != nil
		if r.V != sample.Version || r.Kinds() != 1 || !proof {
			return fmt.Errorf("not a record of proofs of version %d", sample.Version)
		}
		if r.Machine == nil {
			past = append(past, r)
		}
		return nil
	})
	if err != nil {
		return nil, fault.Newf(fault.Usage, "--out: %w", err)
	}
	return past, nil
}
