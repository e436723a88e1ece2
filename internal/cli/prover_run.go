package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/prove"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// proverRun is a prover run to carry out.
type proverRun struct {
	run     *store.Run
	spec    spec.Prover
	encoded []byte
	plan    plan.Plan
	// begun says that it was begun before.
	begun bool
}

// runProver begins the run of a spec that is complete and valid.
func runProver(ctx context.Context, w World, c *proverControl, s spec.Prover) error {
	encoded, err := s.Encode()
	if err != nil {
		return err
	}
	p := plan.MakeProver(&s, spec.Hash(encoded))
	if c.dryRun {
		_, err := io.WriteString(w.Stdout, p.Text())
		return err
	}
	if err := errors.Join(c.checkApprovals(&p, prove.Command, c.canAsk(w)), c.confirm(ctx, w, &s, &p)); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-%s", w.Now().UTC().Format("2006-01-02T15-04-05Z"), s.Workflow, s.Place)
	run, err := makeRun(w, c.out, name)
	if err != nil {
		return err
	}
	defer run.Close()
	return carryOutProver(ctx, w, c, proverRun{run: run, spec: s, encoded: encoded, plan: p})
}

// carryOutProver does what the plan says and shows how it goes and what came out.
func carryOutProver(ctx context.Context, w World, c *proverControl, r proverRun) error {
	h, err := c.host(w, &r.spec)
	if err != nil {
		return err
	}
	defer h.Close()
	shown := &proverTeller{w: w, line: newStatusLine(w), started: w.Now()}
	done := &report.Run{Dir: r.run.Dir(), Prover: &r.spec}
	o := c.options(w, r, h)
	o.Progress = shown.update
	o.Report = func(m store.Manifest, result *compare.Result) error {
		done.Manifest, done.Result = m, result
		return writeReports(r.run, done)
	}
	err = prove.Run(ctx, o)
	shown.line.end()
	return concludeRun(w, done, errors.Join(err, r.run.Close()), ending{json: c.json, stopping: o.Stop, failOnRegression: c.failOnRegression})
}

// proverTeller shows how a prover run gets on.
type proverTeller struct {
	w       World
	line    *statusLine
	started time.Time
	phase   string
	counted int
}

// update shows p if it is time to, and always when a step begins or a batch more
// counts.
func (t *proverTeller) update(p prove.Progress) {
	if p.Message != "" {
		t.line.say("%s", p.Message)
		return
	}
	news := p.Phase != t.phase || p.Counted > t.counted
	t.phase, t.counted = p.Phase, p.Counted
	t.line.show(proverLine(p, t.w.Now().Sub(t.started)), news)
}

// proverLine is one line of progress.
func proverLine(p prove.Progress, elapsed time.Duration) string {
	line := fmt.Sprintf("%-18s", p.Phase)
	if p.Planned > 0 {
		line += fmt.Sprintf(" %*d/%d  sealed %d  proved %d  verified %d",
			len(fmt.Sprint(p.Planned)), p.Counted, p.Planned, p.Sealed, p.Proved, p.Verified)
	}
	if p.Median > 0 {
		line += fmt.Sprintf("  median %.4g s", p.Median.Seconds())
	}
	if p.Left > 0 {
		line += "  about " + roughly(p.Left) + " left"
	}
	if p.Note != "" && p.Waiting >= worthNoting {
		line += "  " + p.Note
	}
	return line + fmt.Sprintf("  %s", elapsed.Round(time.Second))
}
