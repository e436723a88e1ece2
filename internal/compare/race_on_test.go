//go:build race

package compare

// repeated is the share of a simulation that is made: the race detector slows it
// about tenfold and sees nothing new after the first few repetitions.
const repeated = 0.1
