//go:build !race

package compare

const repeated = 1.0
