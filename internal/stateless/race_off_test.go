//go:build !race

package stateless

const stride = 1
