package bench

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/chaintest"
	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// attached is a run of two scripted servers.
type attached struct {
	t      *testing.T
	nodes  [2]*chaintest.Node
	spec   spec.Witness
	dir    string
	result *compare.Result
	saw    func(Progress)
}

func newAttached(t *testing.T) *attached {
	t.Helper()
	a := &attached{t: t, spec: spec.Defaults(spec.Attached), saw: func(Progress) {}}
	for i := range a.nodes {
		n, err := chaintest.Start(10)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Stop)
		n.SetSize(10_000)
		a.nodes[i] = n
	}
	a.spec.Baseline.RPC, a.spec.Test.RPC = a.nodes[0].URL(), a.nodes[1].URL()
	a.spec.Seed, a.spec.VerifyEvery, a.spec.WarmUp, a.spec.Blocks = 7, 0, 0, 5
	a.spec.Timeout, a.spec.Patience = 3*time.Second, time.Minute
	return a
}

// extend makes both chains grow by one block.
func (a *attached) extend() {
	for _, n := range a.nodes {
		n.Extend(1)
	}
}

// run carries out the run; each time it waits, wait is called.
func (a *attached) run(ctx context.Context, wait func()) error {
	a.t.Helper()
	a.dir = filepath.Join(a.t.TempDir(), "run")
	run, err := store.Create(a.dir, time.Now)
	if err != nil {
		a.t.Fatal(err)
	}
	encoded, err := a.spec.Encode()
	if err != nil {
		a.t.Fatal(err)
	}
	err = Witness(ctx, Options{
		Spec: a.spec, SpecYAML: encoded, Plan: plan.Make(&a.spec, spec.Hash(encoded)),
		Run: run, Now: time.Now,
		Progress: func(p Progress) {
			a.saw(p)
			if p.Note != "" && wait != nil {
				wait()
			}
		},
		Report: func(_ store.Manifest, r *compare.Result) error {
			a.result = r
			return nil
		},
	})
	return errors.Join(err, run.Close())
}

func (a *attached) stored() *store.Data {
	a.t.Helper()
	d, err := store.Read(a.dir)
	if err != nil {
		a.t.Fatal(err)
	}
	return d
}

func TestAttached_measuresWhatBothHave(t *testing.T) {
	a := newAttached(t)
	if err := a.run(t.Context(), a.extend); err != nil {
		t.Fatal(err)
	}
	if n := len(a.result.Pairs); n != 5 {
		t.Errorf("%d pairs, want 5; excluded %v", n, a.result.Excluded)
	}
	for i, p := range a.result.Pairs {
		if want := uint64(11 + i); p.Number != want || p.Samples[1].Number != want || p.Samples[0].Hash != p.Samples[1].Hash {
			t.Errorf("pair %d is of blocks %d and %d, want %d", i, p.Number, p.Samples[1].Number, want)
		}
		if p.Samples[0].Order+p.Samples[1].Order != 3 {
			t.Errorf("pair %d was asked in the order %d, %d", i, p.Samples[0].Order, p.Samples[1].Order)
		}
	}
	d := a.stored()
	if d.Manifest.State != store.Complete || len(d.Records[0]) != 5 || len(d.Records[1]) != 5 {
		t.Errorf("stored: state %s, %d and %d records", d.Manifest.State, len(d.Records[0]), len(d.Records[1]))
	}
}

// The order within the pairs is drawn from the recorded seed.
func TestAttached_orderFollowsSeed(t *testing.T) {
	draw := func(seed uint64) (s string) {
		o := newOrders(seed)
		for range 64 {
			s += string(rune('0' + o.draw()[0]))
		}
		return s
	}
	a, b := draw(7), draw(7)
	if a != b {
		t.Errorf("one seed drew %s and %s", a, b)
	}
	if ones := strings.Count(a, "1"); ones < 16 || ones > 48 {
		t.Errorf("the draw is lopsided: %s", a)
	}
	if a == draw(8) {
		t.Error("two seeds drew the same order")
	}
}

func TestAttached_oneSideLags(t *testing.T) {
	a := newAttached(t)
	a.nodes[0].Extend(20)
	waits := 0
	err := a.run(t.Context(), func() {
		if waits++; waits%3 == 0 {
			a.nodes[1].Extend(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	first := a.result.Pairs[0]
	if first.Samples[0].Number != 11 || first.Samples[0].BehindHead < 15 || first.Samples[1].BehindHead != 0 {
		t.Errorf("block %d was measured %d behind the baseline head, %d behind the test head",
			first.Samples[0].Number, first.Samples[0].BehindHead, first.Samples[1].BehindHead)
	}
}

func TestAttached_failuresAreSamples(t *testing.T) {
	for fault, want := range map[chaintest.Fault]sample.Status{
		chaintest.RPCError:  sample.RPCError,
		chaintest.HTTPError: sample.HTTPError,
		chaintest.Hang:      sample.Timeout,
		chaintest.Drop:      sample.Unavailable,
		chaintest.Short:     sample.Truncated,
		chaintest.NotJSON:   sample.Malformed,
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			a := newAttached(t)
			a.nodes[1].SetFault(12, fault)
			if err := a.run(t.Context(), a.extend); err != nil {
				t.Fatal(err)
			}
			if len(a.result.Pairs) != 4 || a.result.Failures[1][want] != 1 || len(a.result.Failures[0]) != 0 {
				t.Errorf("%d pairs, failures %v; want 4 and one %s on the test side", len(a.result.Pairs), a.result.Failures, want)
			}
		})
	}
}

func TestAttached_serverRestarts(t *testing.T) {
	a := newAttached(t)
	waits, stopped := 0, false
	err := a.run(t.Context(), func() {
		switch waits++; {
		case waits == 3:
			a.nodes[1].Stop()
			stopped = true
		case waits == 8:
			if err := a.nodes[1].Restart(); err != nil {
				t.Error(err)
			}
			stopped = false
			a.extend()
		case !stopped:
			a.extend()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.result.Gaps[1]) != 1 || len(a.result.Gaps[0]) != 0 || !strings.Contains(a.result.Gaps[1][0].Reason, "refused") {
		t.Errorf("gaps %v, want one on the test side", a.result.Gaps)
	}
	if got := len(a.result.Pairs); got != 5 {
		t.Errorf("%d pairs, want 5", got)
	}
}

// While one side is on another fork, its blocks are left out and counted; they
// are never paired.
func TestAttached_sidesDisagree(t *testing.T) {
	a := newAttached(t)
	waits := 0
	err := a.run(t.Context(), func() {
		switch waits++; {
		case waits == 1:
			a.extend()
			a.nodes[1].Reorg(11) // another block 11, on the test side only
		case waits < 12:
			a.extend()
		case waits == 12:
			a.nodes[0].Reorg(11) // now the baseline side takes the same fork
		case waits > 12:
			a.extend()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range a.result.Pairs {
		if p.Samples[0].Hash != p.Samples[1].Hash {
			t.Errorf("block %d was paired with another block of its height", p.Samples[0].Number)
		}
	}
	if len(a.result.Pairs) != 5 || len(a.result.Excluded) == 0 || !strings.Contains(a.result.Excluded[0].Reason, "different blocks at the same height") {
		t.Errorf("%d pairs, excluded %v; want 5 and the blocks that differed", len(a.result.Pairs), a.result.Excluded)
	}
}

func TestAttached_differentForks(t *testing.T) {
	a := newAttached(t)
	a.nodes[1].Reorg(1) // a fork since block 1
	err := a.run(t.Context(), a.extend)
	if err == nil || !strings.Contains(err.Error(), "follow different chains: their blocks differ from 11 to 74") {
		t.Errorf("run = %v, want that the chains differ", err)
	}
	if d := a.stored(); d.Manifest.State != store.Incomplete || d.Manifest.Reason == "" {
		t.Errorf("the run reads as %s: %s", d.Manifest.State, d.Manifest.Reason)
	}
	if a.result == nil || len(a.result.Pairs) != 0 {
		t.Errorf("result %+v, want one without pairs", a.result)
	}
}

func TestAttached_preflight(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(*attached)
		want   string
	}{
		{"another chain", func(a *attached) { a.nodes[1].SetChainID(5) }, "the servers are on different chains: baseline"},
		{"no method", func(a *attached) { a.nodes[1].Disable("debug_executionWitness") }, "the test server: " /* and its URL */},
		{"no witness", func(a *attached) { a.nodes[1].SetFault(10, chaintest.RPCError) }, "the test server (" /* and its URL */},
		{"no server", func(a *attached) { a.nodes[0].Stop() }, "the baseline server: "},
	} {
		a := newAttached(t)
		c.damage(a)
		err := a.run(t.Context(), a.extend)
		if err == nil || fault.KindOf(err) != fault.Prerequisite || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: run = %v (kind %d), want %q", c.name, err, fault.KindOf(err), c.want)
		}
		if d := a.stored(); d.Manifest.State != store.Incomplete {
			t.Errorf("%s: the run reads as %s", c.name, d.Manifest.State)
		}
	}
}

// A chain whose rules are not known is refused before anything is measured,
// unless no proof was asked for.
func TestAttached_unknownChain(t *testing.T) {
	a := newAttached(t)
	for _, n := range a.nodes {
		n.SetChainID(424242)
	}
	a.spec.VerifyEvery = 1
	err := a.run(t.Context(), a.extend)
	if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "424242") {
		t.Errorf("run = %v (kind %d), want that chain 424242 is unknown", err, fault.KindOf(err))
	}
}

// Proofs that were due and could not be made are no proofs: without any the
// result is invalid, and the reason is told.
func TestAttached_unprovedIsInvalid(t *testing.T) {
	a := newAttached(t)
	for _, n := range a.nodes {
		n.SetChainID(1)
	}
	a.spec.VerifyEvery, a.spec.Blocks = 1, 90
	if err := a.run(t.Context(), a.extend); err != nil {
		t.Fatal(err)
	}
	reasons := strings.Join(a.result.Verdict.Reasons, "; ")
	if a.result.Verdict.Outcome != compare.Invalid || !strings.Contains(reasons, "no witness of the baseline side could be proved complete: ") {
		t.Errorf("verdict %s: %s; parity %+v", a.result.Verdict, reasons, a.result.Parity)
	}
	if a.result.Parity.Unproved != [2]int{90, 90} {
		t.Errorf("unproved %v, want all", a.result.Parity.Unproved)
	}
}

// A server that syncs jumps ahead; that is one gap and not a record for each
// block.
func TestAttached_headJumps(t *testing.T) {
	a := newAttached(t)
	jumped := false
	err := a.run(t.Context(), func() {
		count := 1
		if !jumped {
			jumped, count = true, 2000
		}
		for _, n := range a.nodes {
			n.Extend(count)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	d := a.stored()
	if len(d.Records[0]) != 6 || len(a.result.Gaps[0]) != 1 || !strings.Contains(a.result.Gaps[0][0].Reason, "blocks from 11 on were left out") {
		t.Errorf("%d records, gaps %v; want 5 samples and one gap", len(d.Records[0]), a.result.Gaps)
	}
	if len(a.result.Pairs) != 5 || a.result.Pairs[0].Number != 2010 {
		t.Errorf("%d pairs from %d on, want 5 from 2010 on", len(a.result.Pairs), a.result.Pairs[0].Number)
	}
}

// A chain that has only its genesis block, which has no witness, is not refused.
func TestAttached_fromGenesis(t *testing.T) {
	a := newAttached(t)
	for _, n := range a.nodes {
		n.Rewind(0)
		n.SetFault(0, chaintest.RPCError)
	}
	if err := a.run(t.Context(), a.extend); err != nil {
		t.Fatal(err)
	}
	if len(a.result.Pairs) != 5 || a.result.Pairs[0].Number != 1 {
		t.Errorf("%d pairs, want 5 from block 1 on", len(a.result.Pairs))
	}
}

func TestAttached_patience(t *testing.T) {
	a := newAttached(t)
	a.spec.Patience = 100 * time.Millisecond
	err := a.run(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "no new block on either server since 10") {
		t.Errorf("run = %v, want that no block came", err)
	}
}

// An interrupt keeps what was measured and leaves an incomplete run.
func TestAttached_interrupted(t *testing.T) {
	a := newAttached(t)
	a.spec.Blocks = 1000
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := fault.Newf(fault.Interrupted, "interrupted by test")
	a.saw = func(p Progress) {
		if p.Done == 3 {
			cancel(cause)
		}
	}
	if err := a.run(ctx, a.extend); !errors.Is(err, cause) {
		t.Errorf("run = %v, want the interrupt", err)
	}
	d := a.stored()
	if d.Manifest.State != store.Incomplete || d.Manifest.Reason != "interrupted by test" || len(d.Records[0]) < 3 {
		t.Errorf("stored: %s (%s), %d records", d.Manifest.State, d.Manifest.Reason, len(d.Records[0]))
	}
}
