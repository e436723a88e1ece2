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
func (m sums) count(v float64, ends []int32, equal bool) int {
	j, n := len(m.b), 0
	for i, a := range m.a {
		for j > 0 && (a+m.b[j-1] > v || !equal && a+m.b[j-1] == v) {
			j--
		}
		if m.upper && j <= i && ends == nil {
			break // below the diagonal nothing is left to count
		}
		end := max(j, m.start(i))
		n += end - m.start(i)
		if ends != nil {
			ends[i] = int32(end)
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
		c := max(j, m.start(i))
		if c < len(m.b) {
			next = min(next, a+m.b[c])
		}
		if m.upper && j <= i {
			break // what is left of the rows ascends along the diagonal
		}
	}
	return next
}

// only reports whether the entries strictly between lo and hi are all equal,
// and to what. It returns at the first two that are not.
func (m sums) only(lo, hi float64) (float64, bool) {
	w, j := math.Inf(1), len(m.b)
	for i, a := range m.a {
		for j > 0 && a+m.b[j-1] > lo {
			j--
		}
		for c := max(j, m.start(i)); c < len(m.b) && a+m.b[c] < hi; c++ {
			if math.IsInf(w, 1) {
				w = a + m.b[c]
			} else if a+m.b[c] != w {
				return 0, false
			}
		}
		if m.upper && a+m.b[i] >= hi {
			break // what is left of the rows ascends from here
		}
	}
	return w, w < hi
}

// kth is the entry of rank k, counted from 0. It is the selection of Johnson
// and Mizoguchi (1978), which Monahan (1984) takes up for this estimator: the
// pivot is the weighted median of the row medians, so that every round drops
// at least a quarter of the entries, and what is left is stored once it is no
// more than a few per row. Of a large matrix, a sample of it and then false
// position on the ranks give pivots that drop nearly all. No pivot is random.
//
// Memory is a few numbers per row, however many entries there are.
func (m sums) kth(k int) float64 {
	s := newSelection(m, k)
	if len(m.a) > pivotRows && len(m.b) > pivotRows {
		for _, pivot := range m.sampled(k) {
			if s.cut(pivot) {
				return pivot
			}
		}
	}
	for s.left > s.stored() {
		pivot, ok := s.interpolated()
		if !ok {
			s.medians = m.rowMedians(s.medians[:0], s.lo, s.hi)
			pivot = weightedMedian(s.medians)
		}
		before := s.left
		if s.cut(pivot) {
			return pivot
		}
		s.stalled = s.left > before/4*3
	}
	rest := make([]float64, 0, s.left)
	for i, a := range m.a {
		for _, b := range m.b[s.lo[i]:s.hi[i]] {
			rest = append(rest, a+b)
		}
	}
	return nth(rest, k-s.dropped)
}

// sampled guesses two entries, one of a rank below k and one above, from the
// same selection in rows and columns that are spread over the matrix.
func (m sums) sampled(k int) []float64 {
	spread := func(x []float64) []float64 {
		s := make([]float64, pivotRows)
		for i := range s {
			s[i] = x[(2*i+1)*len(x)/(2*pivotRows)]
		}
		return s
	}
	sample := sums{a: spread(m.a), b: spread(m.b), upper: m.upper}
	size := sample.size()
	at := int(float64(k) / float64(m.size()) * float64(size))
	// The border between smaller and larger entries crosses as many entries of
	// the sample as it has rows and columns.
	const off = 2 * pivotRows
	return []float64{sample.kth(max(0, at-off)), sample.kth(min(size-1, at+off))}
}

// selection is the state of kth: of row i, the columns lo[i] to hi[i] are left.
type selection struct {
	m      sums
	k      int
	lo, hi []int32
	ends   []int32 // scratch
	// left entries are left; dropped are below them.
	left, dropped int
	// under and over are the last pivots on either side of the rank: what is
	// left is not below under, and below over.
	under, over float64
	// stalled says that the last pivot dropped little.
	stalled bool
	medians []rowMedian
}

func newSelection(m sums, k int) *selection {
	rows := len(m.a)
	bounds := make([]int32, 3*rows)
	s := &selection{
		m: m, k: k, left: m.size(),
		lo: bounds[:rows], hi: bounds[rows : 2*rows], ends: bounds[2*rows:],
		under: math.Inf(-1), over: math.Inf(1),
	}
	for i := range s.lo {
		s.lo[i], s.hi[i] = int32(m.start(i)), int32(len(m.b))
	}
	return s
}

// stored is the number of entries that are stored: a few per row and column,
// which spares rounds, but no more than one of a large matrix.
func (s *selection) stored() int {
	lines := len(s.m.a) + len(s.m.b)
	return max(lines, min(4*lines, 1<<20))
}

// cut drops the entries on the side of pivot where the rank is not, and
// reports whether pivot itself has the rank. A pivot that could drop nothing
// is ignored.
func (s *selection) cut(pivot float64) bool {
	if pivot < s.under || pivot >= s.over {
		return false
	}
	below := s.m.count(pivot, s.ends, false)
	if s.k < below {
		s.hi, s.ends = s.ends, s.hi
		s.over, s.left = pivot, below-s.dropped
		return false
	}
	if below-s.dropped < s.left/4 {
		// So few are below that the pivot may have many equals.
		below = s.m.count(pivot, s.ends, true)
		if s.k < below {
			return true
		}
	}
	s.lo, s.ends = s.ends, s.lo
	s.under, s.left = pivot, s.left-(below-s.dropped)
	s.dropped = below
	return false
}

// interpolated is the value between the last two pivots where the rank should
// be, less a margin towards the side on which more is left, so that it drops
// all of that side but the margin. There is none while a side has no pivot,
// where the values are no line, and between neighbors.
func (s *selection) interpolated() (float64, bool) {
	if s.stalled || math.IsInf(s.under, -1) || math.IsInf(s.over, 1) {
		return 0, false
	}
	const margin = 1.0 / 64
	share := float64(s.k-s.dropped) / float64(s.left)
	if share > 0.5 {
		share -= margin
	} else {
		share += margin
	}
	pivot := s.under + (s.over-s.under)*share
	return pivot, pivot > s.under && pivot < s.over
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

func (m sums) rowMedians(to []rowMedian, lo, hi []int32) []rowMedian {
	step := (len(m.a) + pivotRows - 1) / pivotRows
	for i := 0; i < len(m.a); i++ {
		if w := int(hi[i] - lo[i]); w > 0 {
			to = append(to, rowMedian{m.a[i] + m.b[int(lo[i])+w/2], w})
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
