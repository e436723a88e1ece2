// Package fault gives an error its kind, which decides the exit status, and
// its cure, which is printed under it. An error without either is an ordinary
// failure of the run.
package fault

import (
	"errors"
	"fmt"
	"slices"
)

// Kind says what went wrong, in the terms of the exit statuses.
type Kind int

// The kinds, each with its exit status.
const (
	// Failed: something in the run failed.
	Failed Kind = 1
	// Usage: bad flags, arguments or spec.
	Usage Kind = 2
	// Regression: the test side is slower and --fail-on-regression was given.
	Regression Kind = 3
	// Prerequisite: a host is unreachable or something needed is missing.
	Prerequisite Kind = 4
	// Invalid: the result does not support a verdict.
	Invalid Kind = 5
	// Interrupted: the user ended the run.
	Interrupted Kind = 130
)

// Error is an error with a kind and hints.
type Error struct {
	Kind Kind
	Err  error
	// Hints are lines that say what to do, best as commands to paste.
	Hints []string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Newf makes an error of the given kind; it formats as fmt.Errorf does.
func Newf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Hint adds a line that says what to do.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, fmt.Sprintf(format, args...))
	return e
}

// As returns err with the given kind, keeping its text and its hints. A nil
// error stays nil.
func As(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Err: err, Hints: nil}
}

// KindOf is the kind of the outermost Error in err's chain, Failed when there
// is none.
func KindOf(err error) Kind {
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Failed
}

// HintsOf collects the hints of the whole tree of errors, outermost first, each
// once.
func HintsOf(err error) []string {
	var hints []string
	var walk func(error)
	walk = func(err error) {
		if f, ok := err.(*Error); ok {
			for _, h := range f.Hints {
				if !slices.Contains(hints, h) {
					hints = append(hints, h)
				}
			}
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			if next := u.Unwrap(); next != nil {
				walk(next)
			}
		case interface{ Unwrap() []error }:
			for _, next := range u.Unwrap() {
				walk(next)
			}
		}
	}
	if err != nil {
		walk(err)
	}
	return hints
}
