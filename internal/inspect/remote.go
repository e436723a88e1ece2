package inspect

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/shell"
)

// remoteLimit bounds the collection of facts on another machine: two witnesses
// may take a minute each.
const remoteLimit = 4 * time.Minute

// binDir is where verdict's program lies on other machines, one file for each
// build, so that one that runs there is never replaced.
const binDir = "~/.verdict/bin"

// Install copies a verdict program to h, unless the same is there already, and
// checks that it runs there. binaryFor gives the local file of a program for a
// system and a processor, in Go's names for them. The result is its path on h,
// beginning with ~/. An error is a *host.LostError when h cannot be reached,
// and otherwise of kind fault.Prerequisite with a cure.
func Install(ctx context.Context, h host.Host, binaryFor func(goos, goarch string) (string, error)) (string, error) {
	out, err := h.Run(ctx, "uname -sm\n")
	if err != nil {
		return "", fmt.Errorf("looking at %s: %w", h.Name(), err)
	}
	goos, goarch, err := platform(string(out))
	if err != nil {
		return "", fault.Newf(fault.Prerequisite, "%s: %w", h.Name(), err)
	}
	local, err := binaryFor(goos, goarch)
	if err != nil {
		return "", fmt.Errorf("%s: %w", h.Name(), err)
	}
	sum, err := digest(local)
	if err != nil {
		return "", fault.Newf(fault.Prerequisite, "the program for %s: %w", h.Name(), err)
	}
	const shown = 12
	remote := binDir + "/verdict-" + sum[:shown]
	const mode = 0o755
	if err := h.Put(ctx, local, remote, mode); err != nil {
		return "", fmt.Errorf("copying verdict to %s: %w", h.Name(), err)
	}
	out, err = h.Run(ctx, shell.Path(remote)+" --version\n")
	var failed *host.ScriptError
	switch {
	case errors.As(err, &failed):
		return "", cannotRun(h.Name(), goos, goarch, err)
	case err != nil:
		return "", fmt.Errorf("looking at %s: %w", h.Name(), err)
	case !strings.HasPrefix(string(out), "verdict "):
		return "", cannotRun(h.Name(), goos, goarch, fmt.Errorf("%s --version answers %q", remote, line(string(out))))
	}
	return remote, nil
}

// cannotRun is the error of a program that was copied and does not run.
func cannotRun(name, goos, goarch string, err error) error {
	return static(fault.Newf(fault.Prerequisite, "verdict does not run on %s: %w", name, err), goos, goarch)
}

// static adds how to make a program that runs on every machine of that kind.
func static(f *fault.Error, goos, goarch string) *fault.Error {
	name := "verdict-" + goos + "-" + goarch
	return f.Hint("CGO_ENABLED=0 GOOS=%s GOARCH=%s go build -o %s ./cmd/verdict", goos, goarch, name).
		Hint("then give that file: --host-binary %s", name)
}

// platform reads the output of uname -sm as Go's names of the two.
func platform(uname string) (goos, goarch string, err error) {
	system, machine, _ := strings.Cut(line(uname), " ")
	goos = strings.ToLower(system)
	goarch = map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[machine]
	if goos != "linux" && goos != "darwin" || goarch == "" {
		return "", "", fmt.Errorf("uname -sm answers %q: verdict runs on Linux and Darwin, on x86_64 and aarch64", line(uname))
	}
	return goos, goarch, nil
}

// digest is the SHA-256 of a file, in hex.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Binary finds programs for Install: file, if it is not empty, and otherwise
// the program that own tells, which is this one. Each is for one system and one
// processor only.
func Binary(own func() (string, error), file string) func(goos, goarch string) (string, error) {
	return func(goos, goarch string) (string, error) {
		if file != "" {
			return file, built(file, goos, goarch)
		}
		if goos != runtime.GOOS || goarch != runtime.GOARCH {
			return "", static(fault.Newf(fault.Prerequisite, "it is %s/%s, and this verdict is built for %s/%s",
				goos, goarch, runtime.GOOS, runtime.GOARCH), goos, goarch)
		}
		return own()
	}
}

// built checks what a file is built for, where it tells: an ELF file tells the
// processor.
func built(file, goos, goarch string) error {
	f, err := elf.Open(file)
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return fault.Newf(fault.Usage, "--host-binary: %w", err)
	case err != nil && goos != "linux":
		return nil // a program of another system's form
	case err != nil:
		return static(fault.Newf(fault.Prerequisite, "--host-binary %s is no program of Linux", file), goos, goarch)
	}
	defer f.Close()
	machine := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
	if goos != "linux" || machine != goarch {
		return static(fault.Newf(fault.Prerequisite, "it is %s/%s, and --host-binary %s is built for linux/%s",
			goos, goarch, file, machine), goos, goarch)
	}
	return nil
}

// Remote has the verdict at path on h, as Install returns it, collect the facts
// there. The subject holds them with the times of question and answer and the
// name of the host, and ssh and that name as the command that reaches it; the
// side is the caller's to fill in.
func Remote(ctx context.Context, h host.Host, path string, q doctor.Query) (doctor.Subject, error) {
	ctx, cancel := context.WithTimeout(ctx, remoteLimit)
	defer cancel()
	script := shell.Path(path) + " doctor --facts " + shell.Join(q.Args()...) + "\n"
	asked := time.Now()
	out, err := h.Run(ctx, script)
	answered := time.Now()
	if err != nil {
		return doctor.Subject{}, fmt.Errorf("asking %s for its facts: %w", h.Name(), err)
	}
	facts, err := doctor.Decode(out)
	if err != nil {
		return doctor.Subject{}, fmt.Errorf("%s: %w", h.Name(), err)
	}
	return doctor.Subject{Host: h.Name(), Reach: []string{"ssh", h.Name()}, Facts: facts, Asked: asked, Answered: answered}, nil
}
