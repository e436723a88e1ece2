package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/fault"
)

// recordOptions are the flags of verdict prover record.
type recordOptions struct {
	out, listen, coordinator, addresses string
	batches                             int
}

func newProverRecord(w World) *cobra.Command {
	var o recordOptions
	cmd := &cobra.Command{
		Use:   "record --out DIR",
		Short: "Record the batches that pass between a coordinator and its provers",
		Long: `Record stands between provers and a proof coordinator. Every byte passes as it
is, in both directions, as it comes; the answer that hands out a batch is also
stored, byte for byte. verdict prover replay has other provers prove the same
batches.

Provers are pointed at --listen in place of the coordinator. Batches of any
version pass; they are not decoded. A recording that exists is gone on with: each
batch is stored once.

It runs until it is interrupted, or until the recording holds --batches batches
and the proofs of those it handed out are acknowledged.

Exit status: 0 the recording holds batches; 1 it holds none, or one could not be
stored; 2 bad usage, or a directory that is no recording; 4 the port is taken.`,
		Example: `  # beside a rollup that runs: its coordinator is at port 3900
  verdict prover record --out batches
  ethrex l2 prover --proof-coordinators tcp://127.0.0.1:3901 --backend sp1 --timed

  # until there are 50 batches
  verdict prover record --out batches --batches 50

  # two provers on them
  verdict prover replay batches --baseline ./ethrex-main --test ./ethrex-pr`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runProverRecord(cmd.Context(), w, o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.out, "out", "o", "", "`DIR` of the recording, new or begun before")
	f.StringVar(&o.coordinator, "coordinator", "tcp://127.0.0.1:3900", "`URL` of the coordinator to record")
	f.StringVar(&o.listen, "listen", "127.0.0.1:3901", "`address` that provers are pointed at; port 0 picks a free one")
	f.IntVar(&o.batches, "batches", 0, "end when the recording holds `N` batches; 0 goes on until interrupted")
	f.StringVar(&o.addresses, "addresses", "", "when ready, write the URL as JSON (coordinator) to this `file`")
	return cmd
}

func runProverRecord(ctx context.Context, w World, o recordOptions) error {
	upstream, err := coordinator.Address(o.coordinator)
	switch {
	case o.out == "":
		return fault.Newf(fault.Usage, "say where the recording goes with --out").Hint("verdict prover record --out batches")
	case err != nil:
		return fault.Newf(fault.Usage, "--coordinator: %w", err)
	case o.batches < 0:
		return fault.Newf(fault.Usage, "--batches must not be negative")
	}
	// A port that is taken leaves no recording behind.
	ln, err := listenForProvers(o.listen, upstream)
	if err != nil {
		return err
	}
	defer ln.Close()
	recorder, err := coordinator.Record(o.out, upstream, version(), w.Now())
	if err != nil {
		return err
	}
	return o.record(ctx, w, recorder, ln, upstream)
}

// listenForProvers opens the address that provers are pointed at.
func listenForProvers(address, upstream string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fault.Newf(fault.Usage, "--listen %s: want an address such as 127.0.0.1:3901", address)
	}
	ln, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fault.Newf(fault.Prerequisite, "--listen %s: the port is taken", address).
			Hint("ss -ltnp | grep %s   # by whom", address[strings.LastIndexByte(address, ':'):]).
			Hint("choose another with --listen")
	}
	if err != nil {
		return nil, fault.Newf(fault.Prerequisite, "--listen: %w", err)
	}
	if ln.Addr().String() == upstream {
		ln.Close()
		return nil, fault.Newf(fault.Usage, "--listen and --coordinator are the same address, %s", upstream)
	}
	return ln, nil
}

// record passes everything on until it is enough, and sums up.
func (o recordOptions) record(ctx context.Context, w World, recorder *coordinator.Recorder, ln net.Listener, upstream string) error {
	old, err := coordinator.Open(o.out)
	if err != nil {
		return errors.Join(err, recorder.Close())
	}
	url := "tcp://" + ln.Addr().String()
	if o.addresses != "" {
		if err := writeAddresses(o.addresses, map[string]string{"coordinator": url}); err != nil {
			return errors.Join(err, recorder.Close())
		}
	}
	for _, warning := range old.Warnings {
		fmt.Fprintf(w.Stderr, "verdict: %s\n", warning)
	}
	fmt.Fprintf(w.Stderr, "ready: point provers at %s; their batches come from %s and are stored in %s\n", url, upstream, o.out)
	until, enough := context.WithCancel(ctx)
	defer enough()
	t := &recordTeller{line: newStatusLine(w), total: len(old.Batches), wanted: o.batches, enough: enough,
		proved: make(map[uint64]bool), answers: make(map[coordinator.Kind]int)}
	t.check()
	proxy := coordinator.Proxy{Upstream: upstream, Recorder: recorder, Passed: t.passed}
	err = errors.Join(proxy.Serve(until, ln), recorder.Close())
	t.line.end()
	if err != nil {
		return err
	}
	return t.conclude(ctx, w, o.out, url, upstream)
}

// recordTeller tells what passes, and ends the recording when it is enough.
type recordTeller struct {
	line   *statusLine
	wanted int
	enough func()

	mu    sync.Mutex
	total int
	// stored are the batches that were recorded since the start, proved those
	// whose proofs were acknowledged, which can be told before.
	stored []uint64
	proved map[uint64]bool
	// answers counts exchanges by their answer, unreached those that did not
	// reach the coordinator, lost what could not be recorded.
	answers         map[coordinator.Kind]int
	unreached, lost int
	// why is the last thing that went wrong.
	why  string
	told []string
}

// once says a line the first time.
func (t *recordTeller) once(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(t.told, text) {
		t.told = append(t.told, text)
		t.line.say("%s", text)
	}
}

// passed hears of every exchange.
func (t *recordTeller) passed(e coordinator.Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers[e.Answer]++
	batch := uint64(0)
	if e.Batch != nil {
		batch = *e.Batch
	}
	switch {
	case e.RecordError != "":
		t.lost++
		t.why = e.RecordError
		t.line.say("not recorded: %s", e.RecordError)
	case e.Error != "" && e.Connect == 0:
		t.unreached++
		t.why = e.Error
		t.once("%s; the prover will ask again", e.Error)
	case e.Error != "":
		t.why = e.Error
		t.line.say("%s: %s", e.Remote, e.Error)
	case e.Stored:
		t.total++
		t.stored = append(t.stored, batch)
		t.line.say("batch %d: %s in %.2f s, sha256 %.12s (%s)", batch, bytesOf(e.AnswerBytes), e.Whole.Seconds(), e.SHA256, count(t.total, "batch"))
	case e.Differs:
		t.once("batch %d was handed out again as another document: the first one is kept", batch)
	case e.Request == coordinator.ProofSubmit && e.Answer == coordinator.ProofSubmitACK:
		t.proved[batch] = true
		t.line.say("batch %d: its proof is acknowledged", batch)
	case e.Answer == coordinator.VersionMismatch || e.Answer == coordinator.NoBatchForVersion:
		t.once("the coordinator has no batch for the prover's version, commit %s: prover and sequencer are of different commits", e.Commit)
	case e.Answer == coordinator.TypeNotNeeded:
		t.once("the coordinator needs no proofs of type %s", e.Prover)
	}
	t.check()
}

// check ends the recording when it holds what was asked for. Proofs that are in
// the making are waited for: who asks the coordinator through this program could
// not submit them any more.
func (t *recordTeller) check() {
	open := slices.ContainsFunc(t.stored, func(batch uint64) bool { return !t.proved[batch] })
	if t.wanted > 0 && t.total >= t.wanted && !open {
		t.enough()
	}
}

// bytesOf shows a size, in kilobytes where it is small.
func bytesOf(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// count is a number with its unit.
func count(n int, unit string) string {
	switch {
	case n == 1:
		return "1 " + unit
	case unit == "batch":
		return fmt.Sprintf("%d batches", n)
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// conclude tells what the recording holds. Being interrupted is how a recording
// ends.
func (t *recordTeller) conclude(ctx context.Context, w World, dir, url, upstream string) error {
	r, err := coordinator.Open(dir)
	if err != nil {
		return err
	}
	if len(r.Batches) == 0 {
		return t.nothing(url, upstream)
	}
	var size int64
	for _, b := range r.Batches {
		size += b.Size
	}
	first, last := r.Batches[0].Number, r.Batches[len(r.Batches)-1].Number
	fmt.Fprintf(w.Stdout, "%s: %s, %d to %d, %s\n", filepath.Clean(dir), count(len(r.Batches), "batch"), first, last, bytesOf(size))
	fmt.Fprintf(w.Stdout, "provers: %s; commits: %s; coordinators: %s\n", listOr(r.Manifest.Provers), listOr(r.Manifest.Commits), listOr(r.Manifest.Upstreams))
	if t.lost > 0 {
		return fault.Newf(fault.Failed, "%s could not be recorded: %s", count(t.lost, "exchange"), t.why)
	}
	fmt.Fprintf(w.Stderr, "verdict: hint: verdict prover replay %s --baseline BINARY --test BINARY\n", dir)
	if ctx.Err() != nil {
		return errStopped
	}
	return nil
}

func listOr(texts []string) string {
	if len(texts) == 0 {
		return "not told"
	}
	return strings.Join(texts, ", ")
}

// nothing says why there is no batch.
func (t *recordTeller) nothing(url, upstream string) error {
	asked := 0
	for _, n := range t.answers {
		asked += n
	}
	switch {
	case asked == 0:
		return fault.Newf(fault.Failed, "no batch was recorded: no prover connected to %s", url).
			Hint("ethrex l2 prover --proof-coordinators %s", url)
	case t.lost > 0:
		return fault.Newf(fault.Failed, "no batch was recorded: %s", t.why)
	case t.unreached == asked:
		return fault.Newf(fault.Failed, "no batch was recorded: %s", t.why).
			Hint("--coordinator says where it listens")
	case t.answers[coordinator.VersionMismatch]+t.answers[coordinator.NoBatchForVersion] > 0:
		return fault.Newf(fault.Failed, "no batch was recorded: the coordinator %s has none for the prover's version", upstream).
			Hint("build prover and sequencer from the same commit")
	case t.answers[coordinator.TypeNotNeeded] > 0:
		return fault.Newf(fault.Failed, "no batch was recorded: the coordinator %s needs no proofs of the prover's type", upstream)
	case t.why != "":
		return fault.Newf(fault.Failed, "no batch was recorded in %s: %s", count(asked, "exchange"), t.why)
	}
	return fault.Newf(fault.Failed, "no batch was recorded: in %s the coordinator %s had nothing to prove", count(asked, "exchange"), upstream).
		Hint("batches are sealed and committed only when there are transactions: start the load first")
}
