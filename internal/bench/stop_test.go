package bench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// slow makes one server wait before each answer, so much that no noise hides
// it.
func (a *attached) slow(side int) {
	a.nodes[side].Answering(func(_ uint64, received time.Time) {
		time.Sleep(15*time.Millisecond - time.Since(received))
	})
}

// A run with the stop rule auto ends when the sequence has decided and not
// before 80 pairs; one with a fixed number of blocks measures them all.
func TestAttached_stopsWhenDecided(t *testing.T) {
	for _, c := range []struct {
		stop spec.Stop
		want func(n int) bool
	}{
		{spec.Auto, func(n int) bool { return n >= 80 && n < 150 }},
		{spec.AtPlanned, func(n int) bool { return n == 150 }},
	} {
		t.Run(string(c.stop), func(t *testing.T) {
			t.Parallel()
			a := newAttached(t)
			a.spec.Stop, a.spec.Blocks = c.stop, 150
			a.slow(1)
			var decided bool
			a.saw = func(p Progress) { decided = decided || p.Decided }
			if err := a.run(t.Context(), a.extend); err != nil {
				t.Fatal(err)
			}
			r := a.result
			if !c.want(len(r.Pairs)) || r.Verdict.Outcome != compare.Regresses {
				t.Errorf("%d pairs, verdict %s %q", len(r.Pairs), r.Verdict, r.Verdict.Reasons)
			}
			if !decided {
				t.Error("the progress never said that the sequence has decided")
			}
			// A run that its own rule ended is complete.
			if d := a.stored(); d.Manifest.State != store.Complete {
				t.Errorf("state %s", d.Manifest.State)
			}
		})
	}
}

// The A/A control of two servers that already run asks the baseline server
// twice and leaves the test server alone.
func TestAttached_control(t *testing.T) {
	a := newAttached(t)
	a.spec.Control, a.spec.Blocks, a.spec.WarmUp = 100, 5, 2
	var asked []string
	a.nodes[1].Answering(func(uint64, time.Time) { asked = append(asked, "test") })
	var phases, messages []string
	a.saw = func(p Progress) {
		if !slices.Contains(phases, p.Phase) {
			phases = append(phases, p.Phase)
		}
		if p.Message != "" {
			messages = append(messages, p.Message)
		}
		if p.Phase == "control-measure" && len(asked) > 0 {
			t.Error("the test server was asked during the control")
		}
	}
	if err := a.run(t.Context(), a.extend); err != nil {
		t.Fatal(err)
	}
	want := "control-preflight control-warm-up control-measure preflight warm-up measure"
	if got := strings.Join(phases, " "); got != want {
		t.Errorf("phases %q, want %q", got, want)
	}
	if len(messages) != 1 || !strings.Contains(messages[0], "noise floor") {
		t.Errorf("messages %q, want the noise floor once", messages)
	}
	c := a.result.Control
	if c == nil || c.Pairs != 100 || c.Corrects || len(a.result.Pairs) != 5 {
		t.Errorf("control %+v beside %d pairs", c, len(a.result.Pairs))
	}
	marked := 0
	for _, rec := range a.stored().Records[0] {
		if rec.Sample != nil && rec.Sample.Control == sample.OnePlace {
			marked++
		}
	}
	if marked != 102 {
		t.Errorf("%d samples are marked as those of the control, want 102", marked)
	}
}
