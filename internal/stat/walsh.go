package stat

import (
	"fmt"
	"math"
	"slices"
)

// HodgesLehmann is the median of the Walsh averages (d_i + d_j)/2, i <= j
// (Hodges and Lehmann 1963), in the unit of d: a center that one stall in
// twenty hardly moves. For an even count it is the mean of the two middle
// averages. d may be in any order.
func HodgesLehmann(d []float64) (float64, error) {
	if err := finite(d, 1); err != nil {
		return 0, fmt.Errorf("hodges-lehmann: %w", err)
	}
	return walsh(sortedCopy(d)).median(), nil
}

// sortedCopy returns x in ascending order and leaves x alone.
func sortedCopy(x []float64) []float64 {
	s := slices.Clone(x)
	slices.Sort(s)
	return s
}

// sums is the matrix a_i + b_j without storing it; a and b ascend, so that it
// ascends along rows and columns. With upper only j >= i belong to it.
type sums struct {
	a, b  []float64
	upper bool
}

// walsh is the matrix of the Walsh averages of ascending values.
func walsh(sorted []float64) sums {
	half := make([]float64, len(sorted))
	for i, v := range sorted {
		half[i] = v / 2
	}
	return sums{a: half, b: half, upper: true}
}

// differences is the matrix of x_i - y_j for ascending x and y.
func differences(x, y []float64) sums {
	b := make([]float64, len(y))
	for j, v := range y {
		b[len(y)-1-j] = -v
	}
	return sums{a: x, b: b}
}

// size is the number of entries.
func (m sums) size() int {
	if m.upper {
		return len(m.a) * (len(m.a) + 1) / 2
	}
	return len(m.a) * len(m.b)
}

// start is the first column of row i.
func (m sums) start(i int) int {
	if m.upper {
		return i
	}
	return 0
}

// median is the mean of the one or two middle entries. The matrix is not
// empty.
func (m sums) median() float64 {
	n := m.size()
	lo := m.kth((n - 1) / 2)
	if n%2 == 1 {
		return lo
	}
	hi := lo
	if m.count(lo, nil, true) <= n/2 {
		hi = m.above(lo)
	}
	return lo + (hi-lo)/2
}

// count is the number of entries below v, or not above v when equal is set.
// When ends is not nil it gets, per row, the first column that is not counted.
// Walking the staircase costs one step per row and column.
func (m sums) count(v float64, ends []int, equal bool) int {
	j, n := len(m.b), 0
	for i, a := range m.a {
		for j > 0 && (a+m.b[j-1] > v || !equal && a+m.b[j-1] == v) {
			j--
		}
		end := max(j, m.start(i))
		n += end - m.start(i)
		if ends != nil {
			ends[i] = end
		}
	}
	return n
}

// above is the smallest entry larger than v.
func (m sums) above(v float64) float64 {
	next, j := math.Inf(1), len(m.b)
	for i, a := range m.a {
		for j > 0 && a+m.b[j-1] > v {
			j--
		}
		if c := max(j, m.start(i)); c < len(m.b) {
			next = min(next, a+m.b[c])
		}
	}
	return next
}

// only reports whether the entries strictly between lo and hi are all equal,
// and to what.
func (m sums) only(lo, hi float64) (float64, bool) {
	w := m.above(lo)
	return w, w < hi && m.count(w, nil, true) == m.count(hi, nil, false)
}

// kth is the entry of rank k, counted from 0. It is the selection of Johnson
// and Mizoguchi (1978), which Monahan (1984) takes up for this estimator: the
// pivot is the weighted median of the row medians, so that every round drops
// at least a quarter of the entries, and what is left is stored once it is a
// few per row. Memory is a few numbers per row, however many entries there
// are, and no random pivot is drawn.
func (m sums) kth(k int) float64 {
	rows := len(m.a)
	bounds := make([]int, 4*rows)
	lo, hi := bounds[:rows], bounds[rows:2*rows]
	below, upTo := bounds[2*rows:3*rows], bounds[3*rows:]
	for i := range lo {
		lo[i], hi[i] = m.start(i), len(m.b)
	}
	left, dropped := m.size(), 0
	var medians []rowMedian
	for left > 4*(rows+len(m.b)) {
		medians = m.rowMedians(medians[:0], lo, hi)
		pivot := weightedMedian(medians)
		less := m.count(pivot, below, false)
		atMost := m.count(pivot, upTo, true)
		switch {
		case k < less:
			copy(hi, below)
			left = less - dropped
		case k >= atMost:
			copy(lo, upTo)
			left -= atMost - dropped
			dropped = atMost
		default:
			return pivot
		}
	}
	rest := make([]float64, 0, left)
	for i, a := range m.a {
		for _, b := range m.b[lo[i]:hi[i]] {
			rest = append(rest, a+b)
		}
	}
	return nth(rest, k-dropped)
}

// nth is the value of rank k, from 0, of x, which it reorders. It is Hoare's
// selection (1961) with the median of three as pivot.
func nth(x []float64, k int) float64 {
	lo, hi := 0, len(x)-1
	for hi-lo > 12 {
		p := middle(x[lo], x[lo+(hi-lo)/2], x[hi])
		i, j := lo, hi
		for i <= j {
			for x[i] < p {
				i++
			}
			for x[j] > p {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return p
		}
	}
	slices.Sort(x[lo : hi+1])
	return x[k]
}

func middle(a, b, c float64) float64 {
	return max(min(a, b), min(max(a, b), c))
}

// rowMedian is the middle entry of what is left of one row, with the number of
// entries that it stands for.
type rowMedian struct {
	value  float64
	weight int
}

// pivotRows is the largest number of rows whose medians are looked at. A
// spread-out part of a larger matrix gives as good a pivot for less.
const pivotRows = 1024

func (m sums) rowMedians(to []rowMedian, lo, hi []int) []rowMedian {
	step := (len(m.a) + pivotRows - 1) / pivotRows
	for i := 0; i < len(m.a); i++ {
		if w := hi[i] - lo[i]; w > 0 {
			to = append(to, rowMedian{m.a[i] + m.b[lo[i]+w/2], w})
			i += step - 1
		}
	}
	return to
}

// weightedMedian sorts r and returns the first value at which half of the
// total weight is reached. r is not empty.
func weightedMedian(r []rowMedian) float64 {
	slices.SortFunc(r, func(x, y rowMedian) int {
		switch {
		case x.value < y.value:
			return -1
		case x.value > y.value:
			return 1
		}
		return 0
	})
	total := 0
	for _, m := range r {
		total += m.weight
	}
	seen, i := 0, 0
	for ; i < len(r)-1; i++ {
		if seen += r[i].weight; 2*seen >= total {
			break
		}
	}
	return r[i].value
}
