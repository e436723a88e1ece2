// Package artifact gets the binary that a side of a run is measured with on this
// machine: built from a git ref by a script, or a file of the user's.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
)

// Binary is an executable file with what is known of it.
type Binary struct {
	// Ref names it in reports: the file, or the ref with the commit.
	Ref string
	// Commit is empty for a file of the user's.
	Commit string
	Path   string
	SHA256 string
}

// Built is a binary that was made from a ref.
type Built struct {
	Binary
	// Behind is how many of the baseline's commits the ref lacks.
	Behind int
	// Detail says how it came to be, in one line.
	Detail string
}

// FromRef has script, which is that of a build, make the ref of a side. say hears
// what is worth a line. The error is of kind fault.Usage where there is no such
// ref, of kind fault.Prerequisite where something is missing that the build
// needs, and of kind fault.Failed where it failed.
func FromRef(ctx context.Context, side sample.Side, ref, script string, say func(string)) (Built, error) {
	say(fmt.Sprintf("building the %s ref %s, which can take minutes the first time", side, ref))
	here := host.Local()
	out, err := here.Run(ctx, script)
	if err = errors.Join(err, here.Close()); err != nil {
		return Built{}, notBuilt(side, ref, err)
	}
	made, err := program.ParseBuilt(out)
	if err != nil {
		return Built{}, err
	}
	for _, note := range made.Notes {
		say(fmt.Sprintf("the %s ref: %s", side, note))
	}
	if made.Behind > 0 {
		say(fmt.Sprintf("the test ref lacks %d of the baseline's commits, so a difference may be theirs: rebase it, or compare it with --baseline %s", made.Behind, made.MergeBase))
	}
	how := "built"
	if made.Cached {
		how = "built before"
	}
	return Built{
		Binary: Binary{Ref: fmt.Sprintf("%s (%.12s)", ref, made.Commit), Commit: made.Commit, Path: made.Binary, SHA256: made.SHA256},
		Behind: made.Behind,
		Detail: fmt.Sprintf("%s, commit %s, sha256 %s, %s", how, made.Commit, made.SHA256, made.Binary),
	}, nil
}

// notBuilt is a build that failed, told apart by its exit status.
func notBuilt(side sample.Side, ref string, err error) error {
	kind := fault.Failed
	var script *host.ScriptError
	if errors.As(err, &script) {
		if script.Exit == program.BuildFailed {
			return fault.Newf(kind, "building the %s ref %q: %w", side, ref, err).
				Hint("ls -t ~/.verdict/worktrees/*.log | head -n 1 names the whole log")
		}
		kind = program.BuildKind(script.Exit)
	}
	return fault.Newf(kind, "building the %s ref %q: %w", side, ref, err)
}

// FromFile takes a binary of the user's; a path may begin with "~/". One that is
// missing, no file or not executable is an error of kind fault.Prerequisite.
func FromFile(path string) (Binary, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return Binary{}, fault.As(fault.Prerequisite, err)
		}
		path = filepath.Join(home, rest)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Binary{}, fault.Newf(fault.Prerequisite, "there is no binary %s", path)
	case err != nil:
		return Binary{}, fault.As(fault.Prerequisite, err)
	case !info.Mode().IsRegular():
		return Binary{}, fault.Newf(fault.Prerequisite, "%s is not a file that can be executed", path)
	case info.Mode()&0o111 == 0:
		return Binary{}, fault.Newf(fault.Prerequisite, "%s is not executable", path).Hint("chmod +x %s", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return Binary{}, fault.As(fault.Prerequisite, err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return Binary{}, fault.Newf(fault.Prerequisite, "reading %s: %w", path, err)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	return Binary{Ref: fmt.Sprintf("%s (sha256 %.12s)", filepath.Base(path), digest), Path: path, SHA256: digest}, nil
}
