//go:build race

package stat

// raceEnabled says that the race detector slows these tests about tenfold.
const raceEnabled = true
