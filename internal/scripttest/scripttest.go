// Package scripttest runs the txtar scripts that test commands as a user would
// type them. It is for tests alone.
package scripttest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Command is a command that scripts can use.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Run runs the scripts in testdata/script: one file for each behavior, bad
// input included. Beside the usual commands they have those given, and
//
//	status 2 verdict --no-such-flag
//
// which runs a command and asserts its exact exit status. $SHARED is the folder
// of shared data beside the checkout, whose path from the test is given; the
// condition [shared] says whether it is there. UPDATE=1 rewrites the scripts.
func Run(t *testing.T, shared string, commands map[string]Command) {
	t.Helper()
	shared, err := filepath.Abs(shared)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(shared); err != nil {
		shared = ""
	}
	all := map[string]Command{"status": status}
	for name, c := range commands {
		all[name] = c
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Condition: func(cond string) (bool, error) {
			if cond == "shared" {
				return shared != "", nil
			}
			return false, errors.New("unknown condition")
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("SHARED", shared)
			env.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds: all,
	})
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("running %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}
