package compare

import (
	"fmt"
	"math"

	"github.com/verdict-bench/verdict/internal/stat"
)

// Forecast is what a run of this noise can see, and how many pairs more would
// see the margin. All counts are "about": the noise itself is estimated.
type Forecast struct {
	// N is the number of pairs that the forecast stands on, 0 without one.
	N int
	// LongRun is the scale of the log ratios that it plans with.
	LongRun float64
	// MDE is the effect, as a fraction, that N pairs see with 80 % power.
	MDE float64
	// Detect and Equate are the pairs in all with which an effect as large as
	// the margin is seen, and with which no effect is shown if there is none;
	// 0 when no number of pairs does.
	Detect, Equate int
	// Sessions is the number of sessions and SessionMDE the effect that so many
	// see, however many pairs each has: they differ by more than their blocks
	// show. Both are 0 where nothing is known of that.
	Sessions   int
	SessionMDE float64
}

// forecast plans from the interval of the pairs. In a run of several sessions
// it is that of their blocks: more pairs do not narrow the other one.
func (r *Result) forecast() {
	e := r.Estimates.Final
	if len(r.Sessions) > 0 {
		e = r.Estimates.Blocks
	}
	if e.N == 0 || e.Low <= 0 || math.IsInf(e.High, 0) {
		return
	}
	if r.Subject == Proof && len(r.Pairs) < exactPairs {
		r.Forecast = forecastOfProofs(e.Log(), r.Rule)
		return
	}
	r.Forecast = forecastOf(stat.Sigma(e.Log()), len(r.Pairs), r.Rule)
	if between := r.Estimates.Between; between.N > 0 {
		r.Forecast.Sessions = len(r.Sessions)
		r.Forecast.SessionMDE = stat.Sessions{Between: between.Log()}.MDE()
	}
}

// forecastOf plans from the scale that the interval of n pairs implies, which
// is the right one as it is: plans made with it reached 77 to 80 % power when
// asked for 80 %.
func forecastOf(sigma float64, n int, rule Rule) Forecast {
	if !(sigma > 0) || math.IsInf(sigma, 0) {
		return Forecast{}
	}
	delta := math.Log1p(rule.Margin)
	return Forecast{
		N: n, LongRun: sigma,
		MDE:    stat.MDE(n, sigma, rule.AlphaFinal, stat.DefaultPower),
		Detect: stat.PairsToDetect(sigma, delta, rule.AlphaFinal, stat.DefaultPower),
		Equate: stat.PairsToEquate(sigma, delta, rule.AlphaFinal, stat.DefaultPower),
	}
}

// forecastOfProofs plans from the interval of pairs of proofs that are too few
// for the method of latencies, and independent.
func forecastOfProofs(v stat.Interval, rule Rule) Forecast {
	v.DF = float64(v.N - 1)
	sigma := stat.Sigma(v)
	if !(sigma > 0) || math.IsInf(sigma, 0) {
		return Forecast{}
	}
	delta := math.Log1p(rule.Margin)
	return Forecast{
		N: v.N, LongRun: sigma,
		MDE:    v.Estimate().MDE(rule.AlphaFinal, stat.DefaultPower),
		Detect: stat.ProofsToDetect(sigma, delta, rule.AlphaFinal, stat.DefaultPower),
		Equate: stat.ProofsToEquate(sigma, delta, rule.AlphaFinal, stat.DefaultPower),
	}
}

// About is a fraction in percent with two digits, or without decimals where it
// is large.
func About(x float64) string {
	if x >= 0.995 {
		return fmt.Sprintf("%.0f", 100*x)
	}
	return fmt.Sprintf("%.2g", 100*x)
}

// reasons says what the run could have seen and what it would take.
func (f Forecast) reasons(rule Rule) []string {
	if f.N == 0 {
		return nil
	}
	margin := Percent(rule.Margin)
	reasons := []string{
		fmt.Sprintf("the smallest effect that these %d pairs could have shown with 80 %% power is about %s %%", f.N, About(f.MDE)),
		fmt.Sprintf("a run that sees an effect of %s %% needs %s; one that shows its absence, if there is none, needs %s",
			margin, f.pairs(f.Detect), f.pairs(f.Equate)),
	}
	if f.SessionMDE > f.MDE {
		reasons = append(reasons, fmt.Sprintf("the sessions differ among themselves: the smallest effect that %d of them show with 80 %% power is about %s %%, and only more sessions can beat that",
			f.Sessions, About(f.SessionMDE)))
	}
	return reasons
}

// pairs tells a number of pairs beside those that there are.
func (f Forecast) pairs(n int) string {
	switch {
	case n == 0:
		return "more pairs than any run can have"
	case n <= f.N:
		return fmt.Sprintf("about as many pairs as it has (%d)", n)
	}
	return fmt.Sprintf("about %d more pairs (%d in all)", n-f.N, n)
}
