// Package cli turns command lines into runs: one file per command, each with
// its flags, its options and its work. It is the only place that knows about
// flags, exit statuses and the process it lives in.
//
// Rules for the terminal. What was asked for goes to stdout, everything else to
// stderr. An error is one line "verdict: …", lower case, without a period,
// printed once, here; what to do about it follows as "verdict: hint: …" lines.
// Nothing is said by color alone.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/report"
)

// World is the part of the surroundings that commands may touch.
type World struct {
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
	// Executable is the path of this program, to start its own commands with.
	Executable func() (string, error)
	// Signals delivers interrupts.
	Signals <-chan os.Signal
}

// OS is the World of a real process.
func OS() World {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	return World{
		Args:       os.Args[1:],
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		Getenv:     os.Getenv,
		Now:        time.Now,
		Executable: os.Executable,
		Signals:    signals,
	}
}

// Main runs one command line and returns the exit status.
func Main(ctx context.Context, w World) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go interrupts(w, cancel)

	root := newRoot(w)
	root.SetArgs(w.Args)
	err := root.ExecuteContext(ctx)
	if errors.Is(err, errStopped) {
		return 0
	}
	if cause := context.Cause(ctx); cause != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = cause
	}
	if err == nil {
		return 0
	}
	return int(complain(w.Stderr, err))
}

// interrupts turns the first signal into a cancelled context, so that the
// command can stop what it started, and the second into an exit at once.
func interrupts(w World, cancel context.CancelCauseFunc) {
	first, ok := <-w.Signals
	if !ok {
		return
	}
	cancel(fault.Newf(fault.Interrupted, "interrupted by signal: %s", first))
	if _, ok := <-w.Signals; ok {
		fmt.Fprintln(w.Stderr, "verdict: interrupted again: exiting at once")
		os.Exit(int(fault.Interrupted))
	}
}

// complain prints err and its hints and returns its kind. What servers and file
// names put into an error must not rule the terminal.
func complain(stderr io.Writer, err error) fault.Kind {
	for i, line := range strings.Split(err.Error(), "\n") {
		if i == 0 {
			fmt.Fprintf(stderr, "verdict: %s\n", report.Clean(line))
		} else {
			fmt.Fprintf(stderr, "    %s\n", report.Clean(line))
		}
	}
	for _, hint := range fault.HintsOf(err) {
		fmt.Fprintf(stderr, "verdict: hint: %s\n", report.Clean(hint))
	}
	return fault.KindOf(err)
}

// newRoot assembles the command tree.
func newRoot(w World) *cobra.Command {
	root := &cobra.Command{
		Use:   "verdict",
		Short: "Does this change make execution witnesses, or proofs, faster?",
		Long: `verdict measures two builds of an execution client on the same blocks and
ends in a verdict with an interval: does the change make debug_executionWitness
faster?

Exit status: 0 done, 1 something in the run failed, 2 bad usage, 3 regression
(with --fail-on-regression), 4 a host is unreachable or a prerequisite missing,
5 the result is invalid (parity, too few pairs), 130 interrupted.`,
		Example: `  verdict witness --local                  # a real A/B run on this machine
  verdict witness --baseline-rpc http://127.0.0.1:8545 --test-rpc http://127.0.0.1:9545
  verdict compare main.log pr.log          # logs of ethrex-replay, CSV, runs
  verdict check --rpc http://127.0.0.1:8545 --block latest`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(w.Stdin)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	root.CompletionOptions.HiddenDefaultCmd = false
	root.Version = version()
	// Declared here, so that it gets no one-letter form.
	root.Flags().Bool("version", false, "print the version")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.Newf(fault.Usage, "%v", err).Hint("%s --help", cmd.CommandPath())
	})
	root.AddCommand(newDevnet(w), newWitness(w), newProver(w), newCollect(w), newLoad(w), newReport(w), newCompare(w), newCheck(w), newDoctor(w))
	usageErrors(root)
	return root
}

// usageErrors gives the argument checks of every command the exit status of
// bad usage; cobra returns them as plain errors.
func usageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fault.Newf(fault.Usage, "%v", err).Hint("%s --help", cmd.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

// group is a command that only holds others. Without one of them it shows its
// help; with a word that is none of them it is bad usage.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subs...)
	return cmd
}
