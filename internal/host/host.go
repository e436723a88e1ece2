// Package host runs programs, on this machine and on those that ssh reaches.
// What it starts it can stop: by the recorded identity of the process, pid and
// start time, and never by name.
package host

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// Host is a machine that commands run on: this one, or one that ssh reaches.
// All methods are safe for concurrent use and end when ctx does. An error is a
// *LostError when the machine could not be reached or the connection broke,
// so that it is unknown whether the work was done; a *ScriptError when it was
// reached and the work failed there; anything else is a failure on this side.
type Host interface {
	// Name is how people speak of it: the ssh alias, or "localhost".
	Name() string
	// Run has a login shell there (bash -l) execute script, which it reads
	// from standard input, and returns what it printed to stdout, also when it
	// failed. The script begins in the home directory, reads nothing, and is
	// ended when ctx ends or the connection breaks.
	Run(ctx context.Context, script string) (stdout []byte, err error)
	// Start starts a program that outlives the connection and this process.
	// It returns when the program runs and its identity is recorded on the
	// host. A program that runs already under that Dir and Name, of a start
	// whose answer was lost, is not started again: its identity is returned.
	// One that cannot be executed is a *ScriptError with the end of its log;
	// one that ends with an error right after that is for Find to tell.
	Start(ctx context.Context, p Program) (Identity, error)
	// Find returns the identity that a Start recorded under dir and name, and
	// how that program is; Absent if there was none.
	Find(ctx context.Context, dir, name string) (Identity, State, error)
	// Stop sends signal to the process of that identity and, when it has not
	// ended within grace, kills it with its process group. A process that has
	// ended, or whose pid now is somebody else's, is left alone: that is no
	// error. killed says that it had to be killed.
	Stop(ctx context.Context, id Identity, signal syscall.Signal, grace time.Duration) (killed bool, err error)
	// ReadFrom returns what the file holds from offset on, at most limit
	// bytes. It asks the host once and transfers no more than it returns. A
	// missing file is an fs.ErrNotExist; one that is shorter than offset is a
	// *ShrunkError.
	ReadFrom(ctx context.Context, path string, offset int64, limit int) ([]byte, error)
	// Put copies a file of this machine there, by way of a temporary name and
	// with its SHA-256 checked on arrival. The directory is made when missing;
	// a file that is there already with that content is not sent again.
	Put(ctx context.Context, local, remote string, mode fs.FileMode) error
	// Fetch copies a file from there, likewise.
	Fetch(ctx context.Context, remote, local string) error
	// Forward opens a port on this machine's loopback interface that leads to
	// the address "host:port" as the host sees it, until stop is called. On
	// this machine it is that address itself.
	Forward(ctx context.Context, address string) (local string, stop func() error, err error)
	// Close ends the connection. Started programs run on.
	Close() error
}

// Program is what Start starts.
type Program struct {
	// Dir is the directory of the record and the log, made when missing. Name
	// names the files in it: NAME.pid, NAME.log, to which is appended, and,
	// when it has ended, NAME.exit.
	Dir, Name string
	// Argv is the program and its arguments. As in a shell, a leading ~/ of an
	// argument is the home directory there, and so it is in Env, Dir, WorkDir
	// and every other path; a relative path is one from there.
	Argv []string
	// Env are NAME=VALUE settings beside those of a login shell.
	Env []string
	// WorkDir is where it runs; empty is the home directory.
	WorkDir string
}

// Identity is a process beyond doubt: a pid alone may be given to another
// process later, with its start time it cannot.
type Identity struct {
	PID int `json:"pid"`
	// StartTime is field 22 of /proc/PID/stat, in clock ticks since boot.
	StartTime string `json:"start_time"`
	// BootID tells boots apart, because start times count from them.
	BootID string `json:"boot_id"`
}

// String is the identity for a journal.
func (id Identity) String() string { return fmt.Sprintf("pid %d, started %s", id.PID, id.StartTime) }

// State is how a started program is.
type State struct {
	Phase Phase
	// Exit is its exit status once it has Ended, 128 + n for a signal n, -1
	// when that is not known: the machine was rebooted, or it was killed with
	// its keeper.
	Exit int
}

// Phase is whether a program runs.
type Phase string

// The phases.
const (
	Absent  Phase = "absent"
	Running Phase = "running"
	Ended   Phase = "ended"
)

// LostError is a connection that could not be made or that broke.
type LostError struct {
	Host string
	// Why is what ssh said, in one line.
	Why string
	// Hopeless says that trying again will not help: unknown host, refused
	// key, changed host key.
	Hopeless bool
}

func (e *LostError) Error() string { return fmt.Sprintf("connection to %s: %s", e.Host, e.Why) }

// ScriptError is work that failed on the host.
type ScriptError struct {
	Host string
	// Exit is the exit status of the script.
	Exit int
	// Last are the last lines that it wrote to stderr.
	Last []string
}

func (e *ScriptError) Error() string {
	if len(e.Last) == 0 {
		return fmt.Sprintf("%s: exit status %d, without a message", e.Host, e.Exit)
	}
	return fmt.Sprintf("%s: exit status %d:\n%s", e.Host, e.Exit, strings.Join(e.Last, "\n"))
}

// ShrunkError is a file that is shorter than what was read of it before.
type ShrunkError struct {
	Path         string
	Size, Offset int64
}

func (e *ShrunkError) Error() string {
	return fmt.Sprintf("%s is %d bytes long, and %d were read of it before: it was cut or replaced", e.Path, e.Size, e.Offset)
}
