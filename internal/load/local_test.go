package load

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// The documented witness sizes and times of local runs are of these very
// bytes: a change here is a change of every such number.
func TestLocal_transactionsStayTheSame(t *testing.T) {
	s := stream(t, Local(1))
	sum := sha256.New()
	n := 0
	for range 3 {
		for _, tx := range next(t, s, 30_000_000) {
			sum.Write(tx.Raw)
			n++
		}
	}
	const want = "366c25496150d1a023546349c1f9566ba1812fb755dff29026f02a0ba6be285a"
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("the first %d transactions hash to %s, want %s", n, got, want)
	}
}
