//go:build race

package stateless

// stride thins out the exhaustive tests: the race detector makes the EVM about
// ten times slower and sees nothing new after the first few.
const stride = 30
