// Package e2e tests the built program from the outside, as its users run it:
// real nodes, real blocks, real processes that are interrupted and killed.
package e2e
