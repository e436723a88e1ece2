package prover

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"
)

// slowdown makes a build slower than it is, for tests of whether a difference is
// found: each execution takes that fraction longer, by work in the timed span.
// It is set when the program is built and cannot be set by a user:
//
//	go build -ldflags "-X github.com/verdict-bench/verdict/internal/prover.slowdown=0.05" ./cmd/verdict
var slowdown string

// parseSlowdown reads a fraction between 0, exclusive, and 10; an empty text is
// none.
func parseSlowdown(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f > 0 && f <= 10) {
		return 0, fmt.Errorf("this program was built with the slowdown %q: must be a fraction above 0, at most 10", text)
	}
	return f, nil
}

// dawdle works for as long as the slowdown says that what began at start should
// have taken longer.
func (p *Prover) dawdle(start time.Time) {
	if p.slow == 0 {
		return
	}
	end := time.Duration(float64(time.Since(start)) * (1 + p.slow))
	var sum [sha256.Size]byte
	for time.Since(start) < end {
		sum = sha256.Sum256(sum[:])
	}
}
