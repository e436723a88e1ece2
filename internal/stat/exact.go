package stat

import (
	"fmt"
	"math"
)

// exactPairs is the number of pairs from which the signed-rank test uses the
// normal approximation, as R does.
const exactPairs = 50

// WilcoxonTest is the outcome of a signed-rank test for independent pairs.
type WilcoxonTest struct {
	// V is the sum of the ranks of the positive values, P two-sided.
	V, P float64
	// N counts the values that were ranked, Zeros those that were dropped.
	N, Zeros int
	// Exact says that P comes from the exact null distribution, with ties.
	Exact bool
}

// Wilcoxon is the signed-rank test of Wilcoxon (1945) of d about zero. Zero
// differences are dropped and counted. Below 50 values the null distribution
// is exact, also with ties; from 50 on it is normal with tie and continuity
// correction.
func Wilcoxon(d []float64) (WilcoxonTest, error) {
	if err := finite(d, 1); err != nil {
		return WilcoxonTest{}, fmt.Errorf("signed-rank test: %w", err)
	}
	var sizes []float64
	var positives []bool
	for _, v := range d {
		if v != 0 {
			sizes = append(sizes, math.Abs(v))
			positives = append(positives, v > 0)
		}
	}
	w := WilcoxonTest{N: len(sizes), Zeros: len(d) - len(sizes), P: 1, Exact: true}
	if w.N == 0 {
		return w, nil
	}
	ranks, ties := midranks(sizes)
	for i, r := range ranks {
		if positives[i] {
			w.V += r
		}
	}
	n := float64(w.N)
	if w.Exact = w.N < exactPairs; w.Exact {
		below := rankSumTails(ranks, w.V)
		above := rankSumTails(ranks, n*(n+1)/2-w.V)
		w.P = math.Min(1, 2*math.Min(below, above))
		return w, nil
	}
	sd := math.Sqrt(n*(n+1)*(2*n+1)/24 - ties/48)
	w.P = correctedNormalP(w.V-n*(n+1)/4, sd)
	return w, nil
}

// correctedNormalP is the two-sided normal p-value of a rank statistic that is
// delta off its mean, moved half a step towards it (continuity correction).
func correctedNormalP(delta, sd float64) float64 {
	if sd == 0 {
		return 1
	}
	z := math.Max(0, math.Abs(delta)-0.5) / sd
	return math.Min(1, 2*upperNormal(z))
}

// rankSumTails is P(V <= v) when each rank counts with probability 1/2. By
// symmetry it is also P(V >= total - v). The dynamic program runs over doubled
// ranks, which are whole numbers even for midranks.
func rankSumTails(ranks []float64, v float64) float64 {
	total := 0
	for _, r := range ranks {
		total += int(2 * r)
	}
	prob := make([]float64, total+1)
	prob[0] = 1
	reach := 0
	for _, r := range ranks {
		step := int(2 * r)
		reach += step
		for s := reach; s >= 0; s-- {
			p := prob[s] / 2
			if s >= step {
				p += prob[s-step] / 2
			}
			prob[s] = p
		}
	}
	sum := 0.0
	for s := 0; s <= min(total, int(math.Floor(2*v))); s++ {
		sum += prob[s]
	}
	return math.Min(1, sum)
}

// ExactSignedRank is the Hodges-Lehmann center of d with the interval of
// sorted Walsh averages that inverts the exact signed-rank test, on the log
// scale, for 4 to 49 pairs: those of proving times. Confidence is what the
// interval achieves; a discrete distribution rarely hits the level that was
// asked for. P is of Wilcoxon. It assumes independent pairs.
func ExactSignedRank(d []float64, confidence float64) (Interval, error) {
	if err := finite(d, 2); err != nil {
		return Interval{}, fmt.Errorf("exact signed rank: %w", err)
	}
	n := len(d)
	if n >= exactPairs {
		return Interval{}, fmt.Errorf("exact signed rank: %d pairs, and from %d on the interval is SR-EWC", n, exactPairs)
	}
	test, err := Wilcoxon(d)
	if err != nil {
		return Interval{}, err
	}
	ranks := make([]float64, n)
	for i := range ranks {
		ranks[i] = float64(i + 1)
	}
	q, alpha := 0, 1-confidence
	for rankSumTails(ranks, float64(q)) < alpha/2 {
		q++
	}
	q = max(1, q)
	averages := walsh(sortedCopy(d))
	m := averages.size()
	v := Interval{
		Center: averages.median(), Low: averages.kth(q - 1), High: averages.kth(m - q),
		Confidence: 1 - 2*rankSumTails(ranks, float64(q-1)), N: n,
		Kind: KindSignedRank, Unit: UnitLogRatio, P: test.P,
		Warnings: []string{"assumes independence between batches"},
	}
	if v.Low == v.High {
		return Interval{}, fmt.Errorf("exact signed rank: %w", ErrNoSpread)
	}
	if test.Zeros > 0 {
		v.Warnings = append(v.Warnings, fmt.Sprintf("%d zero differences were dropped from the test", test.Zeros))
	}
	if v.Confidence < confidence {
		v.Warnings = append(v.Warnings, fmt.Sprintf("%d pairs reach a confidence of %.4g at most", n, v.Confidence))
	}
	return v, nil
}

// PairedT is the mean of d with the textbook t interval, on the log scale: for
// four or five pairs, where no rank test can reach a level of 0.05, and as a
// cross-check. It assumes independent, normal log ratios and says so.
func PairedT(d []float64, confidence float64) (Interval, error) {
	if err := finite(d, 2); err != nil {
		return Interval{}, fmt.Errorf("paired t: %w", err)
	}
	m, sd := meanSD(d)
	if sd*sd <= noSpread*meanSquare(d) {
		return Interval{}, fmt.Errorf("paired t: %w", ErrNoSpread)
	}
	n := float64(len(d))
	v := Estimate{Value: m, SE: sd / math.Sqrt(n), DF: n - 1}.Interval(confidence)
	v.N, v.Kind, v.Unit = len(d), KindPairedT, UnitLogRatio
	v.Warnings = []string{"assumes normal log ratios, independent of each other"}
	return v, nil
}
