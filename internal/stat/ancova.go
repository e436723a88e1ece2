package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Batch is one proof of one batch.
type Batch struct {
	Test bool
	// Seconds is the proving time, Gas that of the batch; both positive.
	Seconds, Gas float64
	Transactions int
}

// Limits of the analysis of covariance.
const (
	// MinBatchesPerSide is the fewest batches per side that are compared.
	MinBatchesPerSide = 4
	// transactionBatches is the fewest per side for a term in transactions,
	// largestVIF its largest variance inflation factor beside gas.
	transactionBatches = 20
	largestVIF         = 5
	// exactLabelings is the most labelings that are all tried; beyond it as
	// many as randomLabelings are drawn.
	exactLabelings  = 100_000
	randomLabelings = 9_999
)

// Ancova is the effect of the test side on proving time when both sides proved
// different batches.
type Ancova struct {
	// Effect is the coefficient of the side with the HC3 interval, on the log
	// scale. It is the one to report.
	Effect Interval
	// Classic is the same with equal variances assumed, a cross-check.
	Classic Interval
	// GasSlope is the coefficient of ln gas. Below 1 a proof has a fixed
	// cost, and time per gas compares sizes, not sides.
	GasSlope float64
	// Transactions says that ln(1+transactions) is in the model.
	Transactions bool
	// Support is the range of gas that both sides cover; Outside counts the
	// batches beyond it, which are not used.
	Support [2]float64
	Outside int
	// Permutation is the p-value over relabeled sides, a cross-check; Exact
	// says that all labelings were tried and none drawn.
	Permutation float64
	Exact       bool
}

// CompareProofs fits ln seconds on ln gas, ln(1+transactions) and the side by
// least squares over the batches inside the common range of gas, with the HC3
// covariance of MacKinnon and White (1985). The seed is for the relabelings of
// the permutation test when they are too many to try all.
func CompareProofs(batches []Batch, confidence float64, seed uint64) (Ancova, error) {
	var out Ancova
	used, err := out.support(batches)
	if err != nil {
		return Ancova{}, fmt.Errorf("proving times: %w", err)
	}
	y, columns := design(used)
	out.Transactions = useTransactions(used, columns)
	if !out.Transactions {
		columns = [][]float64{columns[0], columns[1], columns[3]}
	}
	fit, err := leastSquares(y, columns)
	if err != nil {
		return Ancova{}, fmt.Errorf("proving times: %w", err)
	}
	side := len(columns) - 1
	out.GasSlope = fit.coef[1]
	interval := func(se float64, kind string) Interval {
		v := Estimate{Value: fit.coef[side], SE: se, DF: fit.df}.Interval(confidence)
		v.N, v.Kind, v.Unit = len(used), kind, UnitLogRatio
		return v
	}
	out.Effect = interval(fit.hc3[side], KindHC3)
	out.Classic = interval(fit.se[side], "classic t")
	if out.Outside > 0 {
		out.Effect.Warnings = []string{fmt.Sprintf("%d batches lie outside the range of gas that both sides cover", out.Outside)}
	}
	reduced, err := leastSquares(y, columns[:side])
	if err != nil {
		return Ancova{}, fmt.Errorf("proving times: %w", err)
	}
	labels := make([]bool, len(used))
	for i, b := range used {
		labels[i] = b.Test
	}
	out.Permutation, out.Exact = permute(reduced.residuals, labels, seed)
	if !out.Exact {
		out.Effect.Seed = seed
	}
	return out, nil
}

// support keeps the batches inside the range of gas that both sides cover.
func (a *Ancova) support(batches []Batch) ([]Batch, error) {
	low := [2]float64{math.Inf(1), math.Inf(1)}
	high := [2]float64{}
	for i, b := range batches {
		if positive([]float64{b.Seconds, b.Gas}, 2) != nil || b.Transactions < 0 {
			return nil, fmt.Errorf("batch %d with %v s, %v gas, %d transactions: %w", i, b.Seconds, b.Gas, b.Transactions, ErrNotPositive)
		}
		s := sideIndex(b)
		low[s], high[s] = math.Min(low[s], b.Gas), math.Max(high[s], b.Gas)
	}
	a.Support = [2]float64{math.Max(low[0], low[1]), math.Min(high[0], high[1])}
	var used []Batch
	var per [2]int
	for _, b := range batches {
		if b.Gas >= a.Support[0] && b.Gas <= a.Support[1] {
			used = append(used, b)
			per[sideIndex(b)]++
		}
	}
	a.Outside = len(batches) - len(used)
	if min(per[0], per[1]) < MinBatchesPerSide {
		return nil, fmt.Errorf("%d baseline and %d test batches of comparable gas, of at least %d each: %w", per[0], per[1], MinBatchesPerSide, ErrTooFew)
	}
	return used, nil
}

func sideIndex(b Batch) int {
	if b.Test {
		return 1
	}
	return 0
}

// design is ln seconds and the columns 1, ln gas, ln(1+transactions), side.
func design(batches []Batch) (y []float64, columns [][]float64) {
	columns = make([][]float64, 4)
	for _, b := range batches {
		y = append(y, math.Log(b.Seconds))
		row := [4]float64{1, math.Log(b.Gas), math.Log1p(float64(b.Transactions)), float64(sideIndex(b))}
		for k, v := range row {
			columns[k] = append(columns[k], v)
		}
	}
	return y, columns
}

// useTransactions says whether ln(1+transactions) is worth its degree of
// freedom: enough batches per side, it varies, and gas does not say the same.
func useTransactions(batches []Batch, columns [][]float64) bool {
	var per [2]int
	for _, b := range batches {
		per[sideIndex(b)]++
	}
	if min(per[0], per[1]) < transactionBatches {
		return false
	}
	fit, err := leastSquares(columns[2], columns[:2])
	if err != nil {
		return false
	}
	_, sd := meanSD(columns[2])
	total := sd * sd * float64(len(batches)-1)
	left := 0.0
	for _, e := range fit.residuals {
		left += e * e
	}
	// 1/(1-R²) is total/left.
	return left > 0 && total/left <= largestVIF
}

// fit is a least-squares fit: coefficients, their classic and HC3 standard
// errors, residuals and residual degrees of freedom.
type fit struct {
	coef, se, hc3, residuals []float64
	df                       float64
}

// leastSquares fits y on the columns. It fails when they determine each other
// or when a value determines its own fit.
func leastSquares(y []float64, columns [][]float64) (*fit, error) {
	n, p := len(y), len(columns)
	if n <= p {
		return nil, fmt.Errorf("%d values for %d coefficients: %w", n, p, ErrTooFew)
	}
	x := mat.NewDense(n, p, nil)
	for k, column := range columns {
		x.SetCol(k, column)
	}
	var qr mat.QR
	qr.Factorize(x)
	if qr.Cond() > 1e10 {
		return nil, fmt.Errorf("the covariates determine each other: %w", ErrNoSpread)
	}
	var coef, fitted, weights mat.Dense
	if err := qr.SolveTo(&coef, false, mat.NewDense(n, 1, slices.Clone(y))); err != nil {
		return nil, fmt.Errorf("least squares: %w", err)
	}
	cov, err := inverseGram(&qr, p)
	if err != nil {
		return nil, err
	}
	fitted.Mul(x, &coef)
	weights.Mul(x, cov)
	f := &fit{df: float64(n - p), residuals: make([]float64, n), hc3: make([]float64, p)}
	rss := 0.0
	for i := range n {
		e := y[i] - fitted.At(i, 0)
		leverage := mat.Dot(x.RowView(i), weights.RowView(i))
		if leverage > 1-1e-9 {
			return nil, fmt.Errorf("value %d determines its own fit: %w", i, ErrTooFew)
		}
		f.residuals[i] = e
		rss += e * e
		for k := range p {
			u := e / (1 - leverage) * weights.At(i, k)
			f.hc3[k] += u * u
		}
	}
	if rss <= noSpread*noSpread*meanSquare(y)*float64(n) {
		return nil, ErrNoSpread
	}
	for k := range p {
		f.coef = append(f.coef, coef.At(k, 0))
		f.se = append(f.se, math.Sqrt(cov.At(k, k)*rss/f.df))
		f.hc3[k] = math.Sqrt(f.hc3[k])
	}
	return f, nil
}

// inverseGram is (X'X)^-1 from the factors of X: R^-1 R^-T, which does not
// square the condition number as inverting X'X would.
func inverseGram(qr *mat.QR, p int) (*mat.Dense, error) {
	var r mat.Dense
	qr.RTo(&r)
	upper := mat.NewTriDense(p, mat.Upper, nil)
	for i := range p {
		for j := i; j < p; j++ {
			upper.SetTri(i, j, r.At(i, j))
		}
	}
	var inverse mat.TriDense
	if err := inverse.InverseTri(upper); err != nil {
		return nil, fmt.Errorf("least squares: %w", err)
	}
	var gram mat.Dense
	gram.Mul(&inverse, inverse.T())
	return &gram, nil
}

// permute is the p-value of the difference of mean residuals between the sides
// under relabeling (Freedman and Lane 1983): over all labelings when they are
// few enough, else over random ones, the observed one counted in.
func permute(residuals []float64, test []bool, seed uint64) (p float64, exact bool) {
	n, k := len(residuals), 0
	total, observed := 0.0, 0.0
	for i, e := range residuals {
		total += e
		if test[i] {
			k++
			observed += e
		}
	}
	distance := func(sum float64) float64 {
		return math.Abs(sum/float64(k) - (total-sum)/float64(n-k))
	}
	// Labelings that are equal on paper may differ by rounding.
	limit := distance(observed) * (1 - 1e-9)
	if binomial(n, k) <= exactLabelings {
		all, far := 0, 0
		choose(residuals, k, 0, func(sum float64) {
			all++
			if distance(sum) >= limit {
				far++
			}
		})
		return float64(far) / float64(all), true
	}
	rng := rand.New(rand.NewPCG(seed, permutationStream))
	e := slices.Clone(residuals)
	far := 1
	for range randomLabelings {
		sum := 0.0
		for i := range k {
			j := i + rng.IntN(n-i)
			e[i], e[j] = e[j], e[i]
			sum += e[i]
		}
		if distance(sum) >= limit {
			far++
		}
	}
	return float64(far) / (randomLabelings + 1), false
}

// permutationStream keeps the draws apart from those of other methods.
const permutationStream = 0x7065726d75746174

// choose calls visit with the sum of every choice of k values of x, started
// from sum.
func choose(x []float64, k int, sum float64, visit func(float64)) {
	if k == 0 {
		visit(sum)
		return
	}
	for i := 0; i+k <= len(x); i++ {
		choose(x[i+1:], k-1, sum+x[i], visit)
	}
}

// binomial is n over k, in floating point because only its size matters.
func binomial(n, k int) float64 {
	c := 1.0
	for i := range k {
		c = c * float64(n-i) / float64(i+1)
	}
	return math.Round(c)
}
