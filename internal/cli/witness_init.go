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
		return errTaken(o.init, "witness")
	}
	s, given, err := o.complete(ctx, w)
	if err != nil {
		return err
	}
	return writeSpec(w, o.init, "witness", s.Template(given))
}

// writeSpec writes a spec file for the command of that name, over nothing.
func writeSpec(w World, name, command string, text []byte) error {
	// Addresses may hold credentials: nobody else reads the file.
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return errTaken(name, command)
	}
	if err != nil {
		return fault.Newf(fault.Prerequisite, "writing a spec: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fault.Newf(fault.Prerequisite, "writing a spec: %w", err)
	}
	fmt.Fprintf(w.Stderr, "verdict: wrote %s; what it would do: %s\n", name, shell.Join("verdict", command, name, "--dry-run"))
	return nil
}

func errTaken(name, command string) error {
	return fault.Newf(fault.Usage, "%s exists already, and nothing is written over", name).
		Hint("%s", shell.Join("verdict", command, name))
}
