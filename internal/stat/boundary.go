package stat

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Spending is the two-sided error rate that may be spent by the information
// fraction t, which runs from 0 to 1; at 1 it is alpha.
type Spending func(t, alpha float64) float64

// OBrienFleming spends almost nothing early (Lan and DeMets 1983, after
// O'Brien and Fleming 1979).
func OBrienFleming(t, alpha float64) float64 {
	return 4 * upperNormal(distuv.UnitNormal.Quantile(1-alpha/4)/math.Sqrt(t))
}

// Pocock spends about evenly (Lan and DeMets 1983).
func Pocock(t, alpha float64) float64 {
	return alpha * math.Log1p((math.E-1)*t)
}

// LanDeMets are the critical values |z| of a group-sequential test with looks
// at the given information fractions, ascending up to 1 (Lan and DeMets 1983).
// The looks are planned: the error rate holds neither for others nor beyond
// the last.
func LanDeMets(alpha float64, looks []float64, spend Spending) ([]float64, error) {
	if !(alpha > 0 && alpha < 1) || len(looks) == 0 {
		return nil, fmt.Errorf("group-sequential looks: alpha %v at %d looks", alpha, len(looks))
	}
	bounds := make([]float64, 0, len(looks))
	var path walk
	before, spent := 0.0, 0.0
	for i, t := range looks {
		if !(t > before && t <= 1) {
			return nil, fmt.Errorf("group-sequential looks: look %d at information %v after %v", i+1, t, before)
		}
		upTo := spend(t, alpha)
		path = path.advance(t-before, upTo-spent)
		bounds = append(bounds, path.bound/math.Sqrt(t))
		before, spent = t, upTo
	}
	return bounds, nil
}

// walk is the density of a Brownian path that has not crossed a bound so far,
// on an even grid over (-bound, bound), times the weights of Simpson's rule.
// The empty walk stands at 0.
type walk struct {
	bound  float64
	at, by []float64
}

// advance moves the walk on by the information dt and absorbs the probability
// spend outside the new bound.
func (w walk) advance(dt, spend float64) walk {
	sd := math.Sqrt(dt)
	low, high := 0.0, w.bound+12*sd
	for range 100 {
		mid := (low + high) / 2
		if w.outside(mid, sd) > spend {
			low = mid
		} else {
			high = mid
		}
	}
	next := walk{bound: high}
	// A grid step well below the step of the walk; an even number of panels.
	panels := 2 * int(math.Ceil(math.Max(100, 16*high/sd)))
	h := 2 * high / float64(panels)
	for i := range panels + 1 {
		x := -high + float64(i)*h
		weight := h / 3 * float64(2+2*(i%2))
		if i == 0 || i == panels {
			weight = h / 3
		}
		next.at = append(next.at, x)
		next.by = append(next.by, weight*w.density(x, sd))
	}
	return next
}

// outside is the probability of standing beyond ±bound after a step of sd.
func (w walk) outside(bound, sd float64) float64 {
	if w.at == nil {
		return 2 * upperNormal(bound/sd)
	}
	p := 0.0
	for i, x := range w.at {
		p += w.by[i] * (upperNormal((bound-x)/sd) + upperNormal((bound+x)/sd))
	}
	return p
}

// density is the density at x after a step of sd.
func (w walk) density(x, sd float64) float64 {
	if w.at == nil {
		return distuv.UnitNormal.Prob(x/sd) / sd
	}
	f := 0.0
	for i, from := range w.at {
		f += w.by[i] * distuv.UnitNormal.Prob((x-from)/sd) / sd
	}
	return f
}
