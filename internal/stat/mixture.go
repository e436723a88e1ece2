package stat

import (
	"math"
	"sort"
)

// Mixture says that log ratios fall into two separate groups, such as the
// answers that one side had at hand and those that it had to make. One effect
// for both is then the effect for neither.
type Mixture struct {
	// Low holds the smaller log ratios, for which the test side did better,
	// High the larger ones.
	Low, High Group
	// Threshold lies between the groups: values up to it are Low.
	Threshold float64
	// Separation is D of Ashman, Bird and Zepf (1994), the distance of the
	// centers over the root mean square of the standard deviations: 2 for
	// groups that can just be told apart.
	Separation float64
}

// Group is one of two groups of log ratios.
type Group struct {
	N int
	// Center is the median, SD the standard deviation.
	Center, SD float64
}

// Smaller is the group with fewer values and its share of all; the low one of
// two equal ones.
func (m Mixture) Smaller() (g Group, share float64) {
	g = m.Low
	if m.High.N < m.Low.N {
		g = m.High
	}
	return g, float64(g.N) / float64(m.Low.N+m.High.N)
}

// Positions are those of the values of the smaller group in d, the series that
// the mixture was found in.
func (m Mixture) Positions(d []float64) []int {
	low := m.Low.N <= m.High.N
	var at []int
	for i, v := range d {
		if (v <= m.Threshold) == low {
			at = append(at, i)
		}
	}
	return at
}

// What makes two groups. The limits are this project's choice: with them, each
// of the noise models of the tests, heavy tails and stalls among them, shows a
// mixture in fewer than one run of a hundred, and a cache that is hit once in
// twenty requests shows one in 19 of 20 runs of 200 pairs.
const (
	// groupValues and groupShare are the least of a group: fewer are outliers.
	groupValues = 5
	groupShare  = 0.02
	// A group of k values needs a separation of groupSeparation +
	// groupCluster/k: a few values of a tail may be close to each other by
	// chance.
	groupSeparation = 3.5
	groupCluster    = 20
	// groupValley is the most values in the middle fifth between the centers,
	// as a share of the smaller group. A tail has more there than beyond.
	groupValley = 0.2
)

// FindMixture looks for two separate groups in the log ratios d, in any order.
// The split is that of Otsu (1979), which makes the variance between the groups
// largest. Every series has one; it shows a mixture when the smaller group is
// more than a few outliers, the centers are far apart for the spread of the
// groups, and there is a valley between them. A drift in steps gives two groups
// as well. A coarse clock gives groups of equal values, and these show none.
func FindMixture(d []float64) (Mixture, bool) {
	if finite(d, 2*groupValues) != nil {
		return Mixture{}, false
	}
	s := sortedCopy(d)
	at, ok := otsu(s, max(groupValues, int(math.Ceil(groupShare*float64(len(s))))))
	if !ok {
		return Mixture{}, false
	}
	// The middle of two neighbors may round to the upper one.
	m := Mixture{
		Low: groupOf(s[:at]), High: groupOf(s[at:]),
		Threshold: math.Min(s[at-1]+(s[at]-s[at-1])/2, math.Nextafter(s[at], s[at-1])),
	}
	m.Separation = math.Sqrt2 * (m.High.Center - m.Low.Center) / math.Hypot(m.Low.SD, m.High.SD)
	small, _ := m.Smaller()
	values := s[:at]
	if m.High.N < m.Low.N {
		values = s[at:]
	}
	if coarse(values) || !(m.Separation >= groupSeparation+groupCluster/float64(small.N)) {
		return Mixture{}, false
	}
	valley := m.within(s, 0.6) - m.within(s, 0.4)
	if float64(valley) > groupValley*float64(small.N) {
		return Mixture{}, false
	}
	return m, true
}

// within is the number of ascending values up to a share of the way from the
// low center to the high one.
func (m Mixture) within(sorted []float64, share float64) int {
	v := m.Low.Center + share*(m.High.Center-m.Low.Center)
	return sort.Search(len(sorted), func(i int) bool { return sorted[i] > v })
}

// coarse reports whether most of the ascending values repeat the one before.
func coarse(sorted []float64) bool {
	repeated := 0
	for i, v := range sorted[1:] {
		if v == sorted[i] {
			repeated++
		}
	}
	return 2*repeated > len(sorted)
}

// groupOf describes ascending values.
func groupOf(sorted []float64) Group {
	_, sd := meanSD(sorted)
	return Group{N: len(sorted), Center: Quantile(sorted, 0.5), SD: sd}
}

// otsu is where to split ascending values, with at least least on either side,
// so that the variance between both parts is largest. It is not ok when equal
// values allow no split.
func otsu(sorted []float64, least int) (at int, ok bool) {
	n := len(sorted)
	m := mean(sorted)
	best, sum := 0.0, 0.0
	for k := 1; k <= n-least; k++ {
		sum += sorted[k-1] - m
		if k < least || sorted[k-1] == sorted[k] {
			continue
		}
		// With the mean at zero the parts' sums are opposite.
		between := sum / float64(k) * sum / float64(n-k)
		if between > best {
			best, at, ok = between, k, true
		}
	}
	return at, ok
}
