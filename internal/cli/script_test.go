package cli

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/verdict-bench/verdict/internal/scripttest"
)

// TestMain lets the scripts run verdict as a program of its own: the test
// binary, started under the name verdict, is verdict. Under the name ethrex it
// is a prover that can misbehave.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"verdict": func() { os.Exit(Main(context.Background(), OS())) },
		"ethrex":  func() { os.Exit(standInProver(os.Args[1:], os.Stdout)) },
	})
}

// TestScripts runs the commands that start no execution client; those that do
// are in the package e2e.
func TestScripts(t *testing.T) {
	scripttest.Run(t, "../../../shared", map[string]scripttest.Command{
		"examples": examples, "fakenode": fakeNode, "measured": measured, "terminal": terminal,
	})
}

// examples copies the example spec files of the checkout into the folder
// "examples" of a script.
func examples(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.CopyFS(ts.MkAbs("examples"), os.DirFS("../../examples")))
}
