package cli

import (
	"context"
	"strings"

	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/tui"
)

// ask asks for what is missing, if there is anybody to ask. Answers become
// flags, as if they had been typed.
func (o *proverOptions) ask(ctx context.Context, w World) error {
	terminal, ok := terminalOf(w, o.noInput)
	if !ok {
		return nil
	}
	command := func() string { return commandLine(o.flags, o.file) }
	return askAll(w, command, func() (bool, error) { return o.askOnce(ctx, terminal) })
}

// askOnce asks for the place, or for all that is open, and reports whether there
// was anything to ask. An answer can make another question necessary.
func (o *proverOptions) askOnce(ctx context.Context, t tui.Terminal) (bool, error) {
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
	questions := s.Questions(given)
	if len(questions) == 0 {
		return false, nil
	}
	answers, err := t.Ask(ctx, "What shall be benchmarked?", questions)
	if err != nil {
		return false, err
	}
	// The question about the GPU was asked before it was known that the backend
	// has no use for one.
	if strings.TrimSpace(answers["backend"]) == string(spec.Exec) {
		answers["gpu"] = "false"
	}
	return true, answer(o.flags, questions, answers)
}

// askPlace asks where to run. A server is named at once, because its name is
// what chooses it.
func (o *proverOptions) askPlace(ctx context.Context, t tui.Terminal) error {
	place, err := t.Choose(ctx, "Where shall it run?", []tui.Option{
		{Value: string(spec.Local), Label: "here: the built-in rollup (minutes, needs nothing)"},
		{Value: string(spec.Live), Label: "a server: ethrex, over ssh"},
	})
	if err != nil {
		return err
	}
	if place == string(spec.Local) {
		return o.flags.Flags().Set("local", "true")
	}
	live := spec.ProverDefaults(spec.Live)
	questions := live.Questions(nil)[:1]
	answers, err := t.Ask(ctx, "Which server?", questions)
	if err != nil {
		return err
	}
	return o.flags.Flags().Set(questions[0].Flag, strings.TrimSpace(answers[questions[0].Flag]))
}
