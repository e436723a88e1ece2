// Package inspect collects the facts of machines that package doctor judges:
// of this machine, and of others, on which it has verdict itself do it. It
// looks and changes nothing: no program is started or stopped but those that
// tell their version, no file is written but verdict's own program on other
// machines, and what may be secret is redacted before it leaves the machine.
package inspect

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/verdict-bench/verdict/internal/doctor"
)

// Shell runs scripts in a login shell of this machine, as host.Host does: the
// PATH that counts is the one that a run's scripts will have.
type Shell interface {
	Run(ctx context.Context, script string) ([]byte, error)
}

// scriptLimit bounds one script that asks a program about itself.
const scriptLimit = 20 * time.Second

// Here collects the facts of this machine. Version is verdict's own. What
// cannot be found out says why in the facts; there is no error.
func Here(ctx context.Context, sh Shell, q doctor.Query, version string) doctor.Facts {
	f := doctor.Facts{V: doctor.Version, Verdict: version, Query: q, Began: time.Now().UTC()}
	// The load average is read before this program adds to it.
	machine(&f)
	f.Clock = clock()
	f.User = currentUser()
	f.JWT = secretFile(q.JWT)
	f.Disks = disks(q)
	tools(ctx, sh, &f)
	for _, path := range q.Repositories {
		f.Repositories = append(f.Repositories, repository(ctx, sh, path))
	}
	f.Sessions = sessions(ctx, sh)
	f.Ports = ports(ctx, q.Ports)
	f.Replay = replay(q.ReplayLog)
	if q.Ports.RPC != 0 {
		f.Execution = execution(ctx, address(q.Ports.RPC))
	}
	if q.Ports.Engine != 0 && q.JWT != "" {
		f.Engine = engine(ctx, address(q.Ports.Engine), expand(q.JWT))
	}
	if q.Ports.Metrics != 0 {
		f.Metrics = metrics(ctx, address(q.Ports.Metrics)+"/metrics")
	}
	if q.Ports.Beacon != 0 {
		f.Beacon = beaconAPI(ctx, address(q.Ports.Beacon))
	}
	f.Ended = time.Now().UTC()
	return f
}

// expand is path with a leading ~/ as the home directory.
func expand(path string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	if path == "~" {
		return home
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(home, rest)
	}
	return path
}

// line is text as one line of limited length without anything that could rule
// a terminal.
func line(text string) string {
	const limit = 200
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	runes := []rune(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text))
	return strings.TrimSpace(string(runes[:min(len(runes), limit)]))
}

// unknown notes that something could not be found out.
func unknown(f *doctor.Facts, what string, err error) {
	f.Unknown = append(f.Unknown, doctor.Unknown{What: what, Why: reason(err)})
}

// notHere is why something is unknown on systems that do not tell it.
func notHere() string { return "not told by " + runtime.GOOS }
