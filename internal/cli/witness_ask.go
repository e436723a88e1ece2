package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/tui"
)

// ask asks for what is missing, if there is anybody to ask. Answers become
// flags, as if they had been typed.
func (o *witnessOptions) ask(ctx context.Context, w World) error {
	terminal, ok := o.terminal(w)
	if !ok {
		return nil
	}
	return askAll(w, o.command, func() (bool, error) { return o.askOnce(ctx, terminal) })
}

// askAll asks with once until it reports that nothing is open, and then says by
// which command line the same is had without questions.
func askAll(w World, command func() string, once func() (more bool, err error)) error {
	for asked := false; ; asked = true {
		more, err := once()
		switch {
		case errors.Is(err, tui.ErrAborted):
			return fault.Newf(fault.Interrupted, "%w: nothing was done", err)
		case err != nil:
			return err
		case !more && asked:
			fmt.Fprintf(w.Stderr, "verdict: the same without questions: %s\n", command())
		}
		if !more {
			return nil
		}
	}
}

// answer sets the flags of cmd to the answers.
func answer(cmd *cobra.Command, questions []spec.Question, answers map[string]string) error {
	for _, q := range questions {
		if err := cmd.Flags().Set(q.Flag, strings.TrimSpace(answers[q.Flag])); err != nil {
			return fault.Newf(fault.Usage, "--%s %v", q.Flag, err)
		}
	}
	return nil
}

// terminal is where to ask, and whether there is one.
func (o *witnessOptions) terminal(w World) (tui.Terminal, bool) { return terminalOf(w, o.noInput) }

// terminalOf is the terminal that questions are asked at, if there is one and
// noInput does not forbid it.
func terminalOf(w World, noInput bool) (tui.Terminal, bool) {
	in, ok := w.Stdin.(*os.File)
	if !ok || noInput || !term.IsTerminal(int(in.Fd())) {
		return tui.Terminal{}, false
	}
	out, ok := w.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return tui.Terminal{}, false
	}
	return tui.Terminal{In: in, Out: out, Plain: w.Getenv("TERM") == "dumb" || w.Getenv("ACCESSIBLE") != ""}, true
}

// askOnce asks for the place, or for all that is known to be missing, and
// reports whether there was anything to ask. An answer can make another
// question necessary.
func (o *witnessOptions) askOnce(ctx context.Context, t tui.Terminal) (bool, error) {
	place, err := o.place()
	if err != nil {
		return false, nil // what is wrong is said later
	}
	if place == "" && o.file == "" {
		return true, o.askPlace(ctx, t)
	}
	s, given, err := o.assemble()
	if err != nil {
		return false, nil
	}
	questions := s.Missing()
	if len(questions) == 0 {
		return false, nil
	}
	if s.Place == spec.Live && !given.Given("servers.synced") {
		questions = append(questions, spec.Synced())
	}
	answers, err := t.Ask(ctx, "What shall be compared?", questions)
	if err != nil {
		return false, err
	}
	return true, answer(o.flags, questions, answers)
}

func (o *witnessOptions) askPlace(ctx context.Context, t tui.Terminal) error {
	place, err := t.Choose(ctx, "Where shall the two sides run?", []tui.Option{
		{Value: string(spec.Local), Label: "here: the built-in node, twice (about a minute, needs nothing)"},
		{Value: string(spec.Attached), Label: "two servers that already run, by their addresses"},
		{Value: string(spec.Devnet), Label: "here: two builds of an execution client, on the same blocks"},
		{Value: string(spec.Live), Label: "two servers that follow a public network, over ssh"},
	})
	if err != nil {
		return err
	}
	if place == string(spec.Attached) {
		o.attached = true
		return nil
	}
	return o.flags.Flags().Set(place, "true")
}

// command is the command line that says what was typed and answered.
func (o *witnessOptions) command() string { return commandLine(o.flags, o.file) }

// commandLine is the command with the spec file, if any, and the flags that were
// typed or answered.
func commandLine(cmd *cobra.Command, file string) string {
	argv := strings.Fields(cmd.CommandPath())
	if file != "" {
		argv = append(argv, file)
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			argv = append(argv, typed(f)...)
		}
	})
	return shell.Join(argv...)
}

// typed is a flag as one types it. Addresses may hold credentials.
func typed(f *pflag.Flag) []string {
	texts := []string{f.Value.String()}
	switch v := f.Value.(type) {
	case *specFlag:
		texts = v.texts
	case pflag.SliceValue:
		texts = v.GetSlice()
	}
	var argv []string
	for _, text := range texts {
		switch {
		case f.NoOptDefVal != "" && text == f.NoOptDefVal:
			argv = append(argv, "--"+f.Name)
		case f.NoOptDefVal != "":
			argv = append(argv, "--"+f.Name+"="+text)
		case slices.Contains([]string{"baseline-rpc", "test-rpc"}, f.Name):
			argv = append(argv, "--"+f.Name, ethrpc.Redact(text))
		default:
			argv = append(argv, "--"+f.Name, text)
		}
	}
	return argv
}
