package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/shell"
)

// runInit writes the spec as a file that a person can go on with. It writes
// over nothing.
func runInit(ctx context.Context, w World, o *witnessOptions) error {
	if _, err := os.Lstat(o.init); err == nil {
		return errTaken(o.init)
	}
	s, given, err := o.complete(ctx, w)
	if err != nil {
		return err
	}
	// Addresses may hold credentials: nobody else reads the file.
	f, err := os.OpenFile(o.init, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return errTaken(o.init)
	}
	if err != nil {
		return fault.Newf(fault.Prerequisite, "writing a spec: %w", err)
	}
	_, err = f.Write(s.Template(given))
	if err := errors.Join(err, f.Close()); err != nil {
		return fault.Newf(fault.Prerequisite, "writing a spec: %w", err)
	}
	fmt.Fprintf(w.Stderr, "verdict: wrote %s; what it would do: %s\n", o.init, shell.Join("verdict", "witness", o.init, "--dry-run"))
	return nil
}

func errTaken(name string) error {
	return fault.Newf(fault.Usage, "%s exists already, and nothing is written over", name).
		Hint("%s", shell.Join("verdict", "witness", name))
}
