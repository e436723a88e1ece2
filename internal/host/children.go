package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Children starts programs on this machine that do not outlive this process.
// Close it when they are stopped.
type Children struct {
	work chan func()
	once sync.Once
}

// NewChildren returns the starter of this process's programs.
func NewChildren() *Children {
	l := &Children{work: make(chan func())}
	go func() {
		// The kernel ties the death signal of a child to the thread that
		// started it, so that thread must live as long as this process.
		runtime.LockOSThread()
		for f := range l.work {
			f()
		}
	}()
	return l
}

// Close ends the ability to start programs. Started ones run on.
func (l *Children) Close() { l.once.Do(func() { close(l.work) }) }

// Command is a program to start.
type Command struct {
	// Name is what the program is called in messages and log files.
	Name string
	Argv []string
	// Env is the whole environment; nil is this process's own.
	Env []string
	// Log is the file that stdout and stderr are appended to.
	Log string
	// Output takes stdout and stderr instead of Log, unless it is nil. It is
	// written to by one goroutine, until the program is done.
	Output io.Writer
}

// Process is a started program.
type Process struct {
	Name string
	PID  int
	// StartTime tells this process from a later one with the same pid.
	StartTime string
	log       string
	cmd       *exec.Cmd
	done      chan struct{}
	err       error
}

// Start starts c in a process group of its own, so that an interrupt typed at
// the terminal reaches this process alone and the order of stopping is ours.
// If this process dies, however it dies, the program is told to stop.
func (l *Children) Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.Env, c.Output, c.Output
	// A program that it left behind may hold its output open.
	cmd.WaitDelay = lingerLimit
	if c.Output == nil {
		log, err := os.OpenFile(c.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return nil, fmt.Errorf("starting %s: %w", c.Name, err)
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
	}
	cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	l.work <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	p := &Process{Name: c.Name, PID: cmd.Process.Pid, StartTime: startTime(cmd.Process.Pid),
		log: c.Log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Identity is the recorded identity, for a journal.
func (p *Process) Identity() string {
	return fmt.Sprintf("pid %d, started %s", p.PID, p.StartTime)
}

// Exit describes how the program ended, with the last lines of its log. Call it
// after Done.
func (p *Process) Exit() error {
	<-p.done
	how := "ended with status 0"
	if p.err != nil {
		how = "ended: " + p.err.Error()
	}
	return &ExitError{Name: p.Name, How: how, Log: p.log, Last: Tail(p.log, 10)}
}

// Failure is nil when the program has ended with status 0, and otherwise what
// Exit returns. Call it after Done.
func (p *Process) Failure() error {
	<-p.done
	if p.err == nil {
		return nil
	}
	return p.Exit()
}

// Stuck describes a program that runs and does not do what it should, with the
// last lines of its log; how says what, as in "was not ready after 2m".
func (p *Process) Stuck(how string) error {
	return &ExitError{Name: p.Name, How: how, Log: p.log, Last: Tail(p.log, 10)}
}

// ExitError is a program that ended when it should not have, or that runs and
// does not do what it should.
type ExitError struct {
	Name, How, Log string
	// Last are the last lines of its log.
	Last []string
}

func (e *ExitError) Error() string {
	if len(e.Last) == 0 {
		return fmt.Sprintf("%s %s, without printing anything", e.Name, e.How)
	}
	return fmt.Sprintf("%s %s; the end of its log:\n%s", e.Name, e.How, strings.Join(e.Last, "\n"))
}

// Stop asks the program to end, and kills it and its process group when it has
// not ended within grace. It returns how the program ended late, or nil.
func (p *Process) Stop(grace time.Duration) error { return p.end(syscall.SIGTERM, grace) }

// Interrupt is Stop with the signal of an interrupt at the terminal, for
// programs that clean up after themselves on that alone.
func (p *Process) Interrupt(grace time.Duration) error { return p.end(syscall.SIGINT, grace) }

func (p *Process) end(signal syscall.Signal, grace time.Duration) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
	}
	// The process is ours and has not been waited for, so its pid, and the
	// group of that number, cannot have been given to anybody else.
	err := syscall.Kill(-p.PID, syscall.SIGKILL)
	<-p.done
	return errors.Join(fmt.Errorf("%s did not stop within %v and was killed", p.Name, grace), err)
}

// Tail returns the last n lines of the file at path, none if it cannot be read.
func Tail(path string, n int) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	const window = 64 << 10
	if info, err := file.Stat(); err == nil && info.Size() > window {
		file.Seek(-window, io.SeekEnd)
	}
	var lines []string
	in := bufio.NewScanner(file)
	in.Buffer(nil, window)
	for in.Scan() {
		if lines = append(lines, in.Text()); len(lines) > n {
			lines = lines[1:]
		}
	}
	return lines
}

// startTime is field 22 of /proc/PID/stat, in clock ticks since boot; empty
// where the system has no such file.
func startTime(pid int) string {
	raw, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	if err != nil {
		return ""
	}
	// The program's name, in parentheses, may itself hold blanks and parentheses.
	_, rest, ok := strings.Cut(string(raw[max(0, strings.LastIndexByte(string(raw), ')')):]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return ""
	}
	return fields[19]
}
