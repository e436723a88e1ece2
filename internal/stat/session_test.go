package stat

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func sessionsOf(z *noise, n int, swapped []bool, offsets []float64) []Session {
	var out []Session
	for i, s := range swapped {
		out = append(out, Session{Swapped: s, D: slices.Clone(z.draw(1, n, offsets[i]))})
	}
	return out
}

// The formulas, computed here from the sessions' own intervals.
func TestCombineSessions_formulas(t *testing.T) {
	z := newNoise(t, 61, 1)
	intervals := func(sessions []Session) (x, y []Interval) {
		for _, s := range sessions {
			v := must(NewSignedRank(s.D)).Interval(0.95)
			if s.Swapped {
				y = append(y, v)
			} else {
				x = append(x, v)
			}
		}
		return x, y
	}
	t.Run("balanced swap", func(t *testing.T) {
		sessions := sessionsOf(z, 60, []bool{false, true, false, true}, []float64{0.15, -0.12, 0.1, -0.08})
		x, y := intervals(sessions)
		got := must(CombineSessions(sessions, 0.95))
		xbar, ybar := (x[0].Center+x[1].Center)/2, (y[0].Center+y[1].Center)/2
		near(t, "theta", got.Between.Center, (xbar+ybar)/2, 1e-12)
		near(t, "eta", got.Host.Center, (xbar-ybar)/2, 1e-12)
		vx := math.Pow(x[0].Center-x[1].Center, 2) / 2
		vy := math.Pow(y[0].Center-y[1].Center, 2) / 2
		sp := math.Sqrt((vx + vy) / 2)
		near(t, "pooled sd", got.SD, sp, 1e-12)
		near(t, "half-width", got.Between.High-got.Between.Center, critical(0.95, 2)*sp/2, 1e-12)
		near(t, "df", got.Between.DF, 2, 0)
		sum, fourth := 0.0, 0.0
		for _, v := range append(x, y...) {
			se := (v.High - v.Low) / 2 / critical(0.95, v.DF)
			part := se * se / 16
			sum += part
			fourth += part * part / v.DF
		}
		near(t, "block df", got.Blocks.DF, sum*sum/fourth, 1e-9)
		near(t, "block half-width", got.Blocks.High-got.Blocks.Center, critical(0.95, sum*sum/fourth)*math.Sqrt(sum), 1e-9)
		wider := got.Between
		if got.Blocks.High-got.Blocks.Low > wider.High-wider.Low {
			wider = got.Blocks
		}
		if got.Effect.Kind != wider.Kind || got.Effect.High != wider.High || got.Effect.N != 240 {
			t.Errorf("reported %+v, the wider is %+v", got.Effect, wider)
		}
		near(t, "host half-width", got.Host.High-got.Host.Center, wider.High-wider.Center, 1e-12)
	})
	t.Run("unbalanced swap", func(t *testing.T) {
		sessions := sessionsOf(z, 60, []bool{false, true, false, true, false}, []float64{0.15, -0.12, 0.1, -0.08, 0.1})
		x, y := intervals(sessions)
		got := must(CombineSessions(sessions, 0.95))
		xs, ys := centersOf(x), centersOf(y)
		near(t, "theta", got.Between.Center, (mean(xs)+mean(ys))/2, 1e-12)
		_, sx := meanSD(xs)
		_, sy := meanSD(ys)
		vx, vy := sx*sx/3, sy*sy/2
		near(t, "se", got.Between.SE(), math.Sqrt((vx+vy)/4), 1e-9)
		near(t, "df", got.Between.DF, (vx+vy)*(vx+vy)/(vx*vx/2+vy*vy/1), 1e-9)
	})
	t.Run("no swap", func(t *testing.T) {
		sessions := sessionsOf(z, 60, []bool{false, false, false}, []float64{0.02, 0, 0.05})
		x, _ := intervals(sessions)
		got := must(CombineSessions(sessions, 0.95))
		m, sd := meanSD(centersOf(x))
		near(t, "theta", got.Between.Center, m, 1e-12)
		near(t, "se", got.Between.SE(), sd/math.Sqrt(3), 1e-9)
		near(t, "df", got.Between.DF, 2, 0)
		if got.Host.N != 0 {
			t.Errorf("a host effect without a swap: %+v", got.Host)
		}
		want := math.Expm1((critical(0.95, 2) + quantileT(0.8, 2)) * sd / math.Sqrt(3))
		near(t, "MDE", got.MDE(), want, 1e-9)
	})
	t.Run("one session", func(t *testing.T) {
		sessions := sessionsOf(z, 100, []bool{true}, []float64{0.02})
		want := must(NewSignedRank(sessions[0].D)).Interval(0.95)
		got := must(CombineSessions(sessions, 0.95))
		if got.Effect.Low != want.Low || got.Effect.Kind != KindSREWC || got.Between.N != 0 || got.MDE() != 0 {
			t.Errorf("one session = %+v, want its own interval", got)
		}
	})
	t.Run("one session of each order", func(t *testing.T) {
		sessions := sessionsOf(z, 40, []bool{false, true}, []float64{0.1, -0.1})
		got := must(CombineSessions(sessions, 0.95))
		if got.Between.N != 0 || got.Effect.Kind != KindBlocks || len(got.Effect.Warnings) != 3 {
			t.Errorf("1 + 1 sessions = %+v, want the block interval and three warnings", got)
		}
	})
	if _, err := CombineSessions(nil, 0.95); !errors.Is(err, ErrTooFew) {
		t.Errorf("no sessions: error %v", err)
	}
}

// Parts of a method without degrees of freedom keep their standard errors, and
// the effect of the host cancels in them too.
func TestCombineParts(t *testing.T) {
	part := func(swapped bool, center, half float64) Part {
		return Part{Swapped: swapped, Interval: Interval{
			Center: center, Low: center - half, High: center + half, Confidence: 0.95, N: 100,
			Kind: KindBootstrap, Unit: UnitLogRatio,
		}}
	}
	got := must(CombineParts([]Part{part(false, 0.15, 0.1), part(true, -0.05, 0.1)}, 0.95))
	near(t, "theta", got.Effect.Center, 0.05, 1e-12)
	near(t, "eta", got.Host.Center, 0.10, 1e-12)
	se := 0.1 / critical(0.95, 0)
	near(t, "se", got.Effect.SE(), se/math.Sqrt2, 1e-9)
	near(t, "df", got.Effect.DF, 2*float64(Nu(100)), 1e-9)
	if got.Effect.Kind != "bootstrap, sessions combined" || got.Effect.N != 200 {
		t.Errorf("combined %+v", got.Effect)
	}
	ratio := part(false, 0.1, 0.1)
	ratio.Interval = ratio.Exp()
	if _, err := CombineParts([]Part{ratio, ratio}, 0.95); err == nil {
		t.Error("ratios were combined as if they were logarithms")
	}
	if _, err := CombineParts(nil, 0.95); !errors.Is(err, ErrTooFew) {
		t.Errorf("no parts: error %v", err)
	}
	if back := ratio.Log(); math.Abs(back.Low) > 1e-12 || back.Unit != UnitLogRatio {
		t.Errorf("the ratio on the log scale is %+v", back)
	}
}

// A step between sessions is neither drift nor correlation nor an outlier; a
// drift within them is.
func TestDiagnoseSessions(t *testing.T) {
	z := newNoise(t, 63, 1)
	steps := []float64{0.5, -0.5, -0.5, 0.5}
	sessions := sessionsOf(z, 60, []bool{false, true, true, false}, steps)
	var joined []float64
	for _, s := range sessions {
		joined = append(joined, s.D...)
	}
	if v := must(Diagnose(joined, 0.95)); v.ACF1 < 0.4 {
		t.Fatalf("the steps do not show in the joined series: %+v", v)
	}
	got := must(DiagnoseSessions(sessions, 0.95))
	if len(got.Warnings) > 0 || math.Abs(got.ACF1) > 0.2 || !got.Drift.Contains(0) || got.Drift.N != 240 {
		t.Errorf("steps between sessions: %+v", got)
	}
	sessions[2].D[7] += 5
	for _, s := range sessions {
		for i := range s.D {
			s.D[i] += 0.02 * float64(i)
		}
	}
	got = must(DiagnoseSessions(sessions, 0.95))
	if got.Drift.Contains(0) || got.Largest != 127 {
		t.Errorf("a drift within sessions: %+v, farthest at %d, want 127", got.Drift, got.Largest)
	}
	one := must(DiagnoseSessions(sessions[:1], 0.95))
	if want := must(Diagnose(sessions[0].D, 0.95)); math.Abs(one.ACF1-want.ACF1) > 1e-12 || one.Largest != want.Largest ||
		math.Abs(one.Drift.Low-want.Drift.Low) > 1e-9 {
		t.Errorf("one session: %+v, want %+v", one, want)
	}
	if _, err := DiagnoseSessions(nil, 0.95); !errors.Is(err, ErrTooFew) {
		t.Errorf("no sessions: error %v", err)
	}
}

// Half-widths at 95 % in units of the sd between sessions, as the method
// tabulates them.
func TestCombineSessions_halfWidths(t *testing.T) {
	for per, want := range map[int]string{2: "2.15", 3: "1.13", 4: "0.87", 6: "0.64"} {
		s := float64(2 * per)
		printed(t, "half-width", critical(0.95, s-2)/math.Sqrt(s), want)
	}
}

func TestCorrect(t *testing.T) {
	ab := Estimate{Value: -0.10, SE: 0.02, DF: 8}.Interval(0.95)
	aa := Estimate{Value: -0.03, SE: 0.01, DF: 5}.Interval(0.95)
	ab.Unit, aa.Unit, ab.N = UnitLogRatio, UnitLogRatio, 200
	got := must(Correct(ab, aa, 0.96))
	se2 := 0.02*0.02 + 0.01*0.01
	df := se2 * se2 / (math.Pow(0.02, 4)/8 + math.Pow(0.01, 4)/5)
	near(t, "center", got.Center, -0.07, 1e-12)
	near(t, "df", got.DF, df, 1e-9)
	near(t, "half-width", got.High-got.Center, critical(0.96, df)*math.Sqrt(se2), 1e-9)
	for name, bad := range map[string]Interval{
		"sequence":  {Low: -1, High: 1, Confidence: 0.99, Unit: UnitLogRatio},
		"unbounded": {Low: math.Inf(-1), High: 1, Confidence: 0.95, DF: 3, Unit: UnitLogRatio},
		"ratio":     aa.Exp(),
	} {
		if _, err := Correct(ab, bad, 0.95); err == nil {
			t.Errorf("corrected by a %s", name)
		}
		if _, err := Correct(bad, aa, 0.95); err == nil {
			t.Errorf("corrected a %s", name)
		}
	}
}

// With a swap an entry of the sequence is the mean of a batch of either host
// order, and a batch never crosses a border.
func TestLive_swapAndBorders(t *testing.T) {
	live := must(NewLive(LiveOptions{Alpha: 0.05, PlannedPairs: 16, Batch: 2, Swap: true}))
	add := func(swapped bool, wantLook bool, d ...float64) {
		t.Helper()
		for i, v := range d {
			if look := must(live.Add(v, swapped)); look != (wantLook && i == len(d)-1) {
				t.Errorf("pair %v: look is %v", v, look)
			}
		}
	}
	add(false, false, 1, 3)
	add(false, false, 5, 7)
	add(false, false, 100)
	add(true, false, 200)
	live.EndSession()
	if live.Batches() != 0 {
		t.Errorf("%d entries before both orders exist", live.Batches())
	}
	add(true, true, -2, -4)
	near(t, "first entry", live.seq.mean, (2.0-3)/2, 1e-12)
	add(true, true, -1, -1)
	near(t, "mean of two entries", live.seq.mean, ((2.0-3)/2+(6.0-1)/2)/2, 1e-12)
	if live.Batches() != 2 || live.Pairs() != 10 {
		t.Errorf("%d entries of %d pairs, want 2 of 10", live.Batches(), live.Pairs())
	}
	if _, err := live.Add(math.NaN(), false); !errors.Is(err, ErrNotFinite) {
		t.Errorf("NaN: error %v", err)
	}
	plain := must(NewLive(LiveOptions{Alpha: 0.05, PlannedPairs: 16, Batch: 2}))
	must(plain.Add(1, false))
	if look := must(plain.Add(2, true)); !look {
		t.Error("the host order matters without a swap")
	}
}

// The p-value of a sequence is valid at all times: it never rises, and falls
// below alpha no later than the interval excludes zero.
func TestSequence_alwaysValidP(t *testing.T) {
	z := newNoise(t, 62, 1)
	s := must(NewSequence(0.05, 20))
	last := 1.0
	excluded := false
	for _, x := range z.draw(1, 60, 0.1) {
		if err := s.Add(x); err != nil {
			t.Fatal(err)
		}
		v := s.Interval()
		if v.P > last {
			t.Errorf("p rose from %v to %v", last, v.P)
		}
		last = v.P
		excluded = excluded || !v.Contains(0)
		if excluded != (v.P < 0.05) {
			t.Errorf("after %d: zero excluded is %v, p is %v", s.Batches(), excluded, v.P)
		}
	}
	if !excluded {
		t.Error("an effect of two thirds of a standard deviation was not seen in 60 batches")
	}
}

func TestSequence_refusals(t *testing.T) {
	for _, alpha := range []float64{0, 1, -1, math.NaN()} {
		if _, err := NewSequence(alpha, 20); err == nil {
			t.Errorf("alpha %v was taken", alpha)
		}
	}
	if _, err := NewSequence(0.05, 0); err == nil {
		t.Error("a plan of no batches was taken")
	}
	if _, err := NewLive(LiveOptions{Alpha: 0.05, PlannedPairs: 100}); err == nil {
		t.Error("batches of no pairs were taken")
	}
	s := must(NewSequence(0.05, 20))
	for range 30 {
		if err := s.Add(0.1); err != nil {
			t.Fatal(err)
		}
	}
	if v := s.Interval(); v.Bounded() || v.P != 1 || len(v.Warnings) == 0 {
		t.Errorf("thirty equal batches decide something: %+v", v)
	}
}
