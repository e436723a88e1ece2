package inspect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/shell"
)

// run runs a script for a few seconds at most.
func run(ctx context.Context, sh Shell, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, scriptLimit)
	defer cancel()
	out, err := sh.Run(ctx, script)
	if err != nil && ctx.Err() != nil {
		return "", fmt.Errorf("no answer within %v", scriptLimit)
	}
	var failed *host.ScriptError
	if errors.As(err, &failed) && len(failed.Last) > 0 {
		return "", errors.New(failed.Last[len(failed.Last)-1])
	}
	return string(out), err
}

// tools looks for the programs of the query.
func tools(ctx context.Context, sh Shell, f *doctor.Facts) {
	for _, name := range f.Query.Tools {
		f.Tools = append(f.Tools, tool(ctx, sh, name, nil))
	}
	if name := f.Query.Lighthouse; name != "" {
		f.Tools = append(f.Tools, tool(ctx, sh, name, []string{doctor.PurgeForce}))
	}
}

// versionArg is how a program is asked for its version.
func versionArg(name string) string {
	switch name {
	case "tmux":
		return "-V"
	case "go":
		return "version"
	}
	return "--version"
}

// tool looks for one program in the PATH of a login shell, and in its help for
// flags.
func tool(ctx context.Context, sh Shell, name string, flags []string) doctor.Tool {
	t := doctor.Tool{Name: name}
	// What is found must be a file: an alias or a function is not there for
	// programs that start others.
	var script strings.Builder
	fmt.Fprintf(&script, "path=$(type -P -- %s) && [ -x \"$path\" ] || exit 0\nprintf '%%s\\n' \"$path\"\n", shell.Path(name))
	fmt.Fprintf(&script, "printf '%%s\\n' \"$(\"$path\" %s 2>&1 | head -n 1)\"\n", versionArg(name))
	for _, flag := range flags {
		fmt.Fprintf(&script, "\"$path\" bn --help 2>&1 | grep -c -e %s\n", shell.Quote(flag))
	}
	out, err := run(ctx, sh, script.String()+"exit 0\n")
	if err != nil {
		t.Problem = reason(err)
		return t
	}
	fields := strings.Split(out, "\n")
	if t.Path = line(fields[0]); t.Path == "" {
		return t
	}
	if len(fields) > 1 {
		t.Version = line(fields[1])
	}
	for i, flag := range flags {
		if t.Knows == nil {
			t.Knows = map[string]bool{}
		}
		if i+2 < len(fields) && fields[i+2] != "" {
			t.Knows[flag] = fields[i+2] != "0"
		}
	}
	return t
}

// repository looks at a git clone without touching even its index.
func repository(ctx context.Context, sh Shell, path string) doctor.Repository {
	r := doctor.Repository{Path: path}
	out, err := run(ctx, sh, `export GIT_OPTIONAL_LOCKS=0
cd -- `+shell.Path(path)+` 2>/dev/null || { echo 'no such directory' >&2; exit 1; }
top=$(git rev-parse --show-toplevel) || exit 1
[ "$top" -ef . ] || { echo 'not a git clone, but a directory inside one' >&2; exit 1; }
printf '%s\n' "$(git rev-parse -q --verify HEAD)"
printf '%s\n' "$(git symbolic-ref -q --short HEAD)"
printf '%s\n' "$(git config --get remote.origin.url)"
git status --porcelain | head -n 1
`)
	if err != nil {
		r.Problem = strings.TrimPrefix(reason(err), "fatal: ")
		return r
	}
	fields := strings.SplitN(out, "\n", 4)
	if len(fields) < 4 {
		r.Problem = "git answers " + strconv.Quote(line(out))
		return r
	}
	r.Commit, r.Branch, r.Origin = line(fields[0]), line(fields[1]), origin(line(fields[2]))
	r.Dirty = strings.TrimSpace(fields[3]) != ""
	return r
}

// origin is the address of a remote without what could be a credential.
func origin(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address // a path, or user@host:path, which has no password
	}
	authority, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	path, _, _ = strings.Cut(path, "?")
	if scheme == "http" || scheme == "https" || scheme == "ssh" || scheme == "git" || scheme == "file" {
		return scheme + "://" + authority + "/" + path
	}
	return ethrpc.Redact(address)
}

// sessions lists the tmux sessions of this user. A server that does not run
// has none, and neither has a machine without tmux.
func sessions(ctx context.Context, sh Shell) doctor.Sessions {
	out, err := run(ctx, sh, `type -P tmux >/dev/null || exit 0
tmux list-panes -a -F '#{pane_pid}:#{session_name}:#{pane_current_command}' 2>/dev/null || true
`)
	if err != nil {
		return doctor.Sessions{Problem: reason(err)}
	}
	var s doctor.Sessions
	for row := range strings.Lines(out) {
		// A colon cannot be part of a session's name.
		fields := strings.SplitN(line(row), ":", 3)
		pid, err := strconv.Atoi(fields[0])
		if len(fields) < 3 || err != nil {
			continue
		}
		pane := doctor.Pane{PID: pid, Command: fields[2]}
		if n := len(s.List); n > 0 && s.List[n-1].Name == fields[1] {
			s.List[n-1].Panes = append(s.List[n-1].Panes, pane)
			continue
		}
		s.List = append(s.List, doctor.Session{Name: fields[1], Panes: []doctor.Pane{pane}})
	}
	return s
}
