package stat

import (
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// folding evaluates the first cosine sums of a long series in O(n) and a few
// short transforms, where the sums as written cost n for each of nu terms.
//
// The terms are the slowest of the series, so that within a short block a
// cosine is a polynomial to the last bit. The series is cut into blocks of
// equal width with centers c_k, and each block is replaced by its moments
// about its center:
//
//	cos(w(c+u)) = sum over q of (w^q u^q / q!) cos(w c + q pi/2)
//
// The centers are equally spaced, so that the sum over the blocks is a cosine
// transform of the even moments and a sine transform of the odd ones, of one
// value per block. It serves one goroutine.
type folding struct {
	nu, blocks int
	starts     []int // block k holds the positions starts[k] to starts[k+1]
	transform  *fourier.QuarterWaveFFT
	// moments has foldTerms values for each block, of u in half-widths.
	moments  []float64
	line     []float64 // one moment along the blocks, and its transform
	sums     []float64 // the cosine sums
	steepest float64   // w in half-widths of the fastest term
}

const (
	// foldTerms is the number of moments: the loop over them is written out.
	foldTerms = 12
	// foldReach is the largest w times half-width. The first moment left out
	// weighs less than foldReach^12/12! = 1e-14 of the sum of magnitudes.
	foldReach = 0.36
)

func newFolding(n, nu int) *folding {
	f := &folding{nu: nu, blocks: foldBlocks(nu)}
	f.starts = make([]int, f.blocks+1)
	for k := range f.starts {
		// Position i stands at i+1/2 of n; border k at k n/blocks.
		f.starts[k] = int(math.Ceil(float64(k)*float64(n)/float64(f.blocks) - 0.5))
	}
	f.starts[f.blocks] = n
	f.transform = fourier.NewQuarterWaveFFT(f.blocks)
	f.moments = make([]float64, foldTerms*f.blocks)
	f.line = make([]float64, f.blocks)
	f.sums = make([]float64, nu)
	f.steepest = math.Pi * float64(nu) / float64(2*f.blocks)
	return f
}

// foldBlocks is the smallest number of blocks for nu terms that a transform
// is fast for: a power of two, or three or five of them.
func foldBlocks(nu int) int {
	least := int(math.Ceil(math.Pi * float64(nu) / (2 * foldReach)))
	best := math.MaxInt
	for _, odd := range [3]int{1, 3, 5} {
		blocks := odd
		for blocks < least {
			blocks *= 2
		}
		best = min(best, blocks)
	}
	return best
}

// cosineSums returns sum x_i cos(pi j (i+1/2)/n) for j = 1..nu. They are valid
// until the next call.
func (f *folding) cosineSums(x []float64) []float64 {
	f.gather(x)
	clear(f.sums)
	factorial := 1.0
	for q := range foldTerms {
		if q > 0 {
			factorial *= float64(q)
		}
		for k := range f.line {
			f.line[k] = f.moments[k*foldTerms+q]
		}
		// The transforms are four times the sums. The sine transform starts
		// at the first frequency, the cosine transform at zero. The sign is
		// that of the q-th derivative of the cosine.
		weight, first := 1/(4*factorial), f.line[1:]
		if q%2 == 0 {
			f.transform.CosSequence(f.line, f.line)
		} else {
			first = f.line
			f.transform.SinSequence(f.line, f.line)
		}
		if q%4 == 1 || q%4 == 2 {
			weight = -weight
		}
		step := f.steepest / float64(f.nu)
		for j := range f.sums {
			f.sums[j] += weight * power(step*float64(j+1), q) * first[j]
		}
	}
	return f.sums
}

// power is x^q.
func power(x float64, q int) float64 {
	p := 1.0
	for ; q > 0; q >>= 1 {
		if q&1 == 1 {
			p *= x
		}
		x *= x
	}
	return p
}

// gather fills the moments with those of x, less its mean: that the cosines
// sum to zero is exact on paper only.
func (f *folding) gather(x []float64) {
	n := len(x)
	m := 0.0
	for _, v := range x {
		m += v
	}
	m /= float64(n)
	perHalf := 2 * float64(f.blocks) / float64(n)
	for k := range f.blocks {
		from, to := f.starts[k], f.starts[k+1]
		center := (float64(k) + 0.5) * float64(n) / float64(f.blocks)
		u := (float64(from) + 0.5 - center) * perHalf
		blockMoments((*[foldTerms]float64)(f.moments[k*foldTerms:]), x[from:to], m, u, perHalf)
	}
}

// blockMoments sets to[q] to the sum of (x_i - mean) u_i^q with u_i = u + i
// step. Written out, the sums stay in registers.
func blockMoments(to *[foldTerms]float64, x []float64, mean, u, step float64) {
	var m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11 float64
	for _, v := range x {
		p := v - mean
		m0 += p
		p *= u
		m1 += p
		p *= u
		m2 += p
		p *= u
		m3 += p
		p *= u
		m4 += p
		p *= u
		m5 += p
		p *= u
		m6 += p
		p *= u
		m7 += p
		p *= u
		m8 += p
		p *= u
		m9 += p
		p *= u
		m10 += p
		p *= u
		m11 += p
		u += step
	}
	*to = [foldTerms]float64{m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11}
}
