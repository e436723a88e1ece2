package report

import (
	"cmp"
	"math"
	"slices"

	"github.com/verdict-bench/verdict/internal/stat"
)

// pointLimit is the most values that a picture shows one by one. Beyond it they
// lie on top of each other, and each takes a hundred bytes of the page.
const pointLimit = 1000

// groupGoal is about how many groups a picture of more values has.
const groupGoal = 200

// group sums up values that are neighbors in x.
type group struct {
	n int
	// from and to are the first and the last x, x the one in the middle.
	from, to, x float64
	// low, q1, median, q3 and high are quantiles of y; low and high the least
	// and the most.
	low, q1, median, q3, high float64
}

// groups cuts the points, in order of x, into goal groups of as many points
// each.
func groups(x, y []float64, goal int) []group {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	goal = min(goal, len(order))
	out := make([]group, 0, goal)
	for k := range goal {
		part := order[k*len(order)/goal : (k+1)*len(order)/goal]
		values := make([]float64, len(part))
		for i, j := range part {
			values[i] = y[j]
		}
		slices.Sort(values)
		out = append(out, group{
			n: len(part), from: x[part[0]], to: x[part[len(part)-1]], x: x[part[len(part)/2]],
			low: values[0], q1: stat.Quantile(values, 0.25), median: stat.Quantile(values, 0.5),
			q3: stat.Quantile(values, 0.75), high: values[len(values)-1],
		})
	}
	return out
}

// column takes one figure of every group.
func column(g []group, of func(group) float64) []float64 {
	out := make([]float64, len(g))
	for i := range g {
		out[i] = of(g[i])
	}
	return out
}

// spread is the least and the most of the finite values, NaN without any.
func spread(series ...[]float64) (low, high float64) {
	low, high = math.NaN(), math.NaN()
	for _, s := range series {
		for _, v := range s {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			if !(low <= v) {
				low = v
			}
			if !(high >= v) {
				high = v
			}
		}
	}
	return low, high
}

// thinned gives at most goal places of n, the last one among them.
func thinned(n, goal int) []int {
	step := max(1, (n+goal-1)/goal)
	var out []int
	for i := (n - 1) % step; i < n && i >= 0; i += step {
		out = append(out, i)
	}
	return out
}
