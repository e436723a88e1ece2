package send

import (
	"math"
	"math/bits"
	"time"
)

// The buckets of a histogram: each power of two microseconds is cut into 64,
// so that a bucket's middle is within 0.8 % of what was counted in it. Whole
// microseconds up to 128 are exact; 19 hours and more fall into the last one.
const (
	bucketBits = 6
	buckets    = 2048
	// LatencyError is the largest relative error of a latency quantile.
	LatencyError = 1.0 / (2 << bucketBits)
)

// histogram counts durations in memory that does not grow.
type histogram struct {
	n      uint64
	counts [buckets]uint64
}

func bucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 2<<bucketBits {
		return int(us)
	}
	exp := bits.Len64(us) - bucketBits - 1
	return min(exp<<bucketBits+int(us>>exp), buckets-1)
}

// middle is the duration that stands for bucket i.
func middle(i int) time.Duration {
	if i < 2<<bucketBits {
		return time.Duration(i) * time.Microsecond
	}
	exp := i>>bucketBits - 1
	low := (1<<bucketBits + i&(1<<bucketBits-1)) << exp
	return time.Duration(low)*time.Microsecond + time.Duration(1<<exp)*time.Microsecond/2
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.counts[bucket(d)]++
}

// remove takes back what add counted.
func (h *histogram) remove(d time.Duration) {
	if i := bucket(d); h.counts[i] > 0 {
		h.n--
		h.counts[i]--
	}
}

// since is what was counted after old was copied from h. What was taken back
// in between is left out, not negative.
func (h *histogram) since(old *histogram) *histogram {
	d := new(histogram)
	for i, n := range h.counts {
		if n > old.counts[i] {
			d.counts[i] = n - old.counts[i]
			d.n += d.counts[i]
		}
	}
	return d
}

// quantile is the smallest duration that the share q of all does not exceed,
// 0 when nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.n)))
	var sum uint64
	for i, n := range h.counts {
		if sum += n; n > 0 && sum >= rank {
			return middle(i)
		}
	}
	return 0
}

// Latency says how long inclusion took: from the moment when the request that
// was accepted went out to the moment when the block was seen. Quantiles are
// in seconds and within LatencyError of the true ones.
type Latency struct {
	N   uint64  `json:"n"`
	P50 float64 `json:"p50_s"`
	P90 float64 `json:"p90_s"`
	P99 float64 `json:"p99_s"`
	Max float64 `json:"max_s"`
}

func (h *histogram) latency() Latency {
	return Latency{
		N:   h.n,
		P50: h.quantile(0.50).Seconds(),
		P90: h.quantile(0.90).Seconds(),
		P99: h.quantile(0.99).Seconds(),
		Max: h.quantile(1).Seconds(),
	}
}
