// Package verdict holds the tests of the repository as a whole: who may import
// whom, and what every package owes its readers. The program is cmd/verdict.
package verdict
