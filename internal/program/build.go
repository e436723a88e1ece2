package program

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/shell"
)

// Build says what is built from a git clone on a host.
type Build struct {
	// Repository is the clone; a leading ~/ is the home directory there.
	Repository string
	// Ref is anything that names a commit: a branch, a tag, pull/N/head,
	// origin/BRANCH, a hash, whole or abbreviated, each also with ~N and ^N.
	Ref string
	// Against, if any, is the ref that the built one is compared with: how far
	// it is behind that is told.
	Against string
	// Command is the shell command that builds it in a clean worktree, Binary
	// the file that it makes, relative to the worktree.
	Command, Binary string
}

// Built is what the script of a build prints.
type Built struct {
	// Commit is the hash of the built commit, 40 digits.
	Commit string `json:"commit"`
	// Source says where the ref was found.
	Source string `json:"source"`
	// Binary is the absolute path of the binary, SHA256 its checksum in hex.
	Binary string `json:"binary"`
	SHA256 string `json:"sha256"`
	// Cached says that it was built before.
	Cached bool `json:"cached"`
	// Behind is the number of commits of Build.Against that the built commit
	// lacks; -1 when that is not known, or nothing was to be compared with.
	Behind int `json:"behind"`
	// MergeBase is the newest commit that both have, empty when not known.
	MergeBase string `json:"merge_base,omitempty"`
	// Notes are what the user should know, a sentence each.
	Notes []string `json:"notes,omitempty"`
}

// The exit statuses of the script of a build.
const (
	// BuildFailed: the build command failed, or made no binary.
	BuildFailed = 1
	// NoSuchRef: the ref, or the repository, does not exist or is not one.
	NoSuchRef = 2
	// Unprepared: the host lacks a program, or the disk is full.
	Unprepared = 4
)

// BuildKind is the kind of error that a build of such an exit status ended with.
func BuildKind(exit int) fault.Kind {
	switch exit {
	case NoSuchRef:
		return fault.Usage
	case Unprepared:
		return fault.Prerequisite
	}
	return fault.Failed
}

//go:embed build.sh
var buildScript string

// BuildScript is the script that builds b, for a login shell on a host. It
// leaves the checkout, the branches and the index of the clone alone: what it
// fetches it keeps in refs/verdict, and what it builds in a worktree of its own
// in ~/.verdict/worktrees, once for each commit and build command. It prints
// what ParseBuilt reads, and on stderr why it failed.
func BuildScript(b Build) string {
	var s strings.Builder
	for _, v := range []struct{ name, word string }{
		{"repository", shell.Path(b.Repository)},
		{"ref", shell.Quote(b.Ref)},
		{"against", shell.Quote(b.Against)},
		{"build", shell.Quote(b.Command)},
		{"binary", shell.Quote(b.Binary)},
	} {
		fmt.Fprintf(&s, "%s=%s\n", v.name, v.word)
	}
	return s.String() + buildScript
}

// ParseBuilt reads what the script of a build printed: its last line.
func ParseBuilt(stdout []byte) (Built, error) {
	stdout = bytes.TrimSpace(stdout)
	last := stdout[bytes.LastIndexByte(stdout, '\n')+1:]
	var b Built
	dec := json.NewDecoder(bytes.NewReader(last))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		return b, fmt.Errorf("the build printed %q, which does not say what was built: %w", opening(string(last)), err)
	}
	if dec.More() || !hexDigits(b.Commit, 40) || !hexDigits(b.SHA256, 64) || !strings.HasPrefix(b.Binary, "/") {
		return b, fmt.Errorf("the build printed %q, which does not say what was built", opening(string(last)))
	}
	return b, nil
}

// hexDigits reports whether s is a hash of n digits.
func hexDigits(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
