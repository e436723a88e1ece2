package cli

import (
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/verdict-bench/verdict/internal/chaintest"
)

// fakeNode starts a scripted execution client for the rest of the script and
// puts its address into a variable:
//
//	fakenode [VARIABLE=]HEAD [NUMBER=FAULT | stop=NUMBER | without=METHOD | chain=ID]...
//
// The chain has blocks 0 to HEAD; the variable is NODE by default. A fault
// (see chaintest) is how the witness of one block is answered; with stop the
// node dies when it is asked for that one.
func fakeNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: fakenode [VARIABLE=]HEAD [NUMBER=FAULT | stop=NUMBER | without=METHOD | chain=ID]...")
	}
	number := func(text string) uint64 {
		n, err := strconv.ParseUint(text, 10, 63)
		ts.Check(err)
		return n
	}
	variable, head, ok := strings.Cut(args[0], "=")
	if !ok {
		variable, head = "NODE", args[0]
	}
	node, err := chaintest.Start(number(head))
	ts.Check(err)
	ts.Defer(node.Stop)
	for _, arg := range args[1:] {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "stop":
			node.Before(number(value), node.Stop)
		case "without":
			node.Disable(value)
		case "chain":
			node.SetChainID(number(value))
		default:
			node.SetFault(number(key), chaintest.Fault(value))
		}
	}
	ts.Setenv(variable, node.URL())
}
