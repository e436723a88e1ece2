// Package tui asks questions in a terminal. It is the only place that knows the
// libraries for drawing there.
//
// Questions are a form that is filled in, or, where a terminal cannot draw or a
// screen reader is at work, plain lines that are asked one after the other.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"

	"charm.land/huh/v2"

	"github.com/verdict-bench/verdict/internal/spec"
)

// ErrAborted is a form that was left without answers: by Ctrl+C, or because the
// input ended.
var ErrAborted = errors.New("the questions were not answered")

// Terminal is where questions are asked.
type Terminal struct {
	// In is a terminal or another file whose reads can be interrupted, or a
	// reader that never waits.
	In  io.Reader
	Out io.Writer
	// Plain asks line by line and draws nothing.
	Plain bool
}

// Option is one of several answers.
type Option struct{ Value, Label string }

// Choose asks which of the options it shall be and returns its value. The first
// is the default. The error is ErrAborted or the cause of ctx's end.
func (t Terminal) Choose(ctx context.Context, title string, options []Option) (string, error) {
	value := options[0].Value
	list := make([]huh.Option[string], len(options))
	for i, o := range options {
		list[i] = huh.NewOption(o.Label, o.Value)
	}
	field := huh.NewSelect[string]().Title(title).Options(list...).Value(&value)
	err := t.run(ctx, "", field)
	return value, err
}

// Ask asks all questions under one title and returns the answers by flag. Each
// answer has passed its question's Check, or is the question's own Answer, which an
// empty one stands for. The errors are those of Choose.
func (t Terminal) Ask(ctx context.Context, title string, questions []spec.Question) (map[string]string, error) {
	texts, yes := make([]string, len(questions)), make([]bool, len(questions))
	answers := func(n int) map[string]string {
		out := make(map[string]string)
		for i, q := range questions[:n] {
			out[q.Flag] = texts[i]
			if q.YesNo {
				out[q.Flag] = fmt.Sprint(yes[i])
			} else if texts[i] == "" {
				out[q.Flag] = q.Answer
			}
		}
		return out
	}
	fields := make([]huh.Field, len(questions))
	for i, q := range questions {
		if !t.Plain && len(questions) > 1 {
			q.Title += fmt.Sprintf(" (%d of %d)", i+1, len(questions))
		}
		texts[i], yes[i] = q.Answer, q.Answer == "true"
		if q.YesNo {
			fields[i] = huh.NewConfirm().Title(q.Title).Description(q.Help).Value(&yes[i])
			continue
		}
		input := huh.NewInput().Title(q.Title).Description(q.Help).Value(&texts[i])
		if t.Plain {
			// What stands there cannot be seen: an empty line takes it.
			help := q.Help
			if q.Answer != "" {
				help += "; " + q.Answer + " unless answered"
			}
			input.Title(fmt.Sprintf("%s (%s):", q.Title, help))
		}
		fields[i] = input.Validate(func(answer string) error {
			if answer == "" && q.Answer != "" {
				return nil
			}
			return q.Check(answer, answers(i))
		})
	}
	if err := t.run(ctx, title, fields...); err != nil {
		return nil, err
	}
	return answers(len(questions)), nil
}

func (t Terminal) run(ctx context.Context, title string, fields ...huh.Field) error {
	in, err := newKeyboard(t.In)
	if err != nil {
		return err
	}
	defer in.stop()
	if title != "" {
		fmt.Fprintln(t.Out, title)
	}
	if t.Plain {
		return t.runPlain(ctx, in, fields)
	}
	// One question to a page: they fit into any terminal.
	pages := make([]*huh.Group, len(fields))
	for i, f := range fields {
		pages[i] = huh.NewGroup(f)
	}
	keys := huh.NewDefaultKeyMap()
	keys.Select.Filter.SetEnabled(false) // the lists are short
	err = huh.NewForm(pages...).WithKeyMap(keys).WithAccessible(false).WithInput(in).WithOutput(t.Out).RunWithContext(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, huh.ErrUserAborted):
		return ErrAborted
	}
	return err
}

// runPlain asks line by line. The fields read nothing ahead, so that what they
// leave is there for the next one.
func (t Terminal) runPlain(ctx context.Context, in *keyboard, fields []huh.Field) error {
	defer context.AfterFunc(ctx, in.cancel)()
	lines := &byteReader{in: in}
	for _, f := range fields {
		// Without a theme the library draws titles in color even here.
		f = f.WithTheme(huh.ThemeFunc(func(bool) *huh.Styles { return &huh.Styles{} }))
		f.Init()
		f.Focus()
		err := f.RunAccessible(t.Out, lines)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case lines.err != nil:
			return ErrAborted
		case err != nil:
			return err
		}
	}
	return nil
}

// byteReader reads one byte at a time and remembers why no more came.
type byteReader struct {
	in  io.Reader
	err error
}

func (r *byteReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.in.Read(p[:1])
	if err != nil {
		r.err = err
	}
	return n, err
}
