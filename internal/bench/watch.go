package bench

import (
	"context"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
)

// watch follows one stretch of measurement.
type watch struct {
	step    plan.Step
	planned int
	monitor *compare.Monitor
	margin  float64
	// quiet says that no A/A control speaks against stopping early.
	quiet   bool
	started time.Time
	// before is how many pairs there were when it started.
	before int
}

// newWatch follows n blocks of a step. The margin is that which the A/A
// control, if there was one, has settled.
func (r *runner) newWatch(s plan.Step, n int) (*watch, error) {
	rule := compare.RuleOf(&r.Spec)
	w := &watch{step: s, planned: n, quiet: true, started: time.Now()}
	if r.Spec.Control > 0 && !s.Control {
		before := compare.Analyze(r.records, rule)
		rule.Margin, w.quiet = before.Rule.Margin, before.Control.Quiet()
	}
	w.margin = rule.Margin
	var err error
	w.monitor, err = compare.NewMonitor(rule)
	return w, err
}

// add takes a measured pair. Warm-ups are not followed.
func (w *watch) add(base, test *sample.Sample) error {
	if base.WarmUp || test.WarmUp {
		return nil
	}
	return w.monitor.Add(base, test)
}

// progress is how far the stretch is after some blocks.
func (w *watch) progress(done int) Progress {
	p := Progress{Phase: w.step.ID, Done: done, Planned: w.planned, Failed: w.monitor.Failed(), Margin: w.margin}
	if w.step.Kind() != plan.Measure {
		return p
	}
	p.Median[0], p.Median[1] = w.monitor.Medians()
	look := w.monitor.Look()
	p.Ratio, p.Low, p.High = look.Center, look.Low, look.High
	p.Decided = w.monitor.Decided()
	n := w.monitor.Pairs()
	if f := w.monitor.Forecast(); f.N > 0 && f.Detect > n && !p.Decided && !w.step.Control {
		p.More = f.Detect - n
		if own := n - w.before; own > 0 {
			p.MoreTime = time.Since(w.started) / time.Duration(own) * time.Duration(p.More)
		}
	}
	return p
}

// controlOf is how the samples of a step are marked.
func (r *runner) controlOf(s plan.Step) sample.Control {
	switch {
	case !s.Control:
		return ""
	case plan.Driven(r.Spec.Place):
		return sample.TwoPlaces
	}
	return sample.OnePlace
}

// measureControl takes the A/A control and tells what it shows.
func (r *runner) measureControl(ctx context.Context, s plan.Step) (detail string, err error) {
	if err := r.measure(ctx, s, r.Spec.Control); err != nil {
		return "", err
	}
	shows := compare.Analyze(r.records, compare.RuleOf(&r.Spec)).Control.String()
	r.Progress(Progress{Phase: s.ID, Message: "A/A control: " + shows})
	if !plan.Driven(r.Spec.Place) {
		// The same servers go on; only what was opened for the control ends.
		return shows, r.cleanUp()
	}
	return shows, nil
}
