package stat

import "slices"

// place is a value and where it stands in its series.
type place struct {
	value float64
	at    int
}

// placed is x in ascending order, with the places the values came from; equal
// values keep their order. The values are finite, which spares the comparison
// its care for NaN.
func placed(x []float64) []place {
	p := make([]place, len(x))
	for i, v := range x {
		p[i] = place{v, i}
	}
	slices.SortFunc(p, func(a, b place) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return a.at - b.at
	})
	return p
}

// midranks ranks finite values from 1, equal ones sharing the mean of their
// ranks, in the order of x. ties is the sum of t³-t over the groups of t equal
// values, which the variance of a rank statistic is corrected with.
func midranks(x []float64) (ranks []float64, ties float64) {
	p := placed(x)
	ranks = make([]float64, len(x))
	for from := 0; from < len(p); {
		to := from + 1
		for to < len(p) && p[to].value == p[from].value {
			to++
		}
		for _, v := range p[from:to] {
			ranks[v.at] = float64(from+to+1) / 2
		}
		t := float64(to - from)
		ties += t*t*t - t
		from = to
	}
	return ranks, ties
}
