package host

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// lastLines is how many lines of stderr an error carries.
const lastLines = 30

const (
	// endLimit bounds the wait for a shell that was told to end.
	endLimit = 2 * time.Second
	// lingerLimit bounds the wait for a shell whose script has ended, but
	// whose output some program that the script left behind holds open.
	lingerLimit = time.Second
)

// prologue is what the login shell executes. Bash reads a group as a whole
// before it executes it, so that a prologue that was cut off does nothing; what
// follows it on standard input is the script, up to a NUL byte. A script whose
// NUL did not arrive is not executed either. Nothing is quoted on the way, no
// temporary file is needed, and the script cannot be mixed up with what its
// commands read.
//
// MARK is a word that nobody can guess. It stands before and behind what the
// script prints, on stdout and on stderr, so that the noise of a login profile
// is told from the output, and the end of the script from the end of the
// connection.
//
// A profile may have changed options, directory, or cd itself, and TMOUT makes
// read give up, for which reason the watch below does not use it. Job control
// gives the script a process group of its own.
const prologue = `{
set +efuvxC -m
set +o pipefail
shopt -u expand_aliases nullglob failglob
trap - DEBUG ERR RETURN
IFS=$' \t\n'
exec 3<&0 </dev/null
builtin cd 2>/dev/null
if LC_ALL=C IFS= builtin read -r -d '' -u 3 script; then
MODE
fi
exit
}
`

// watched runs the script and kills it, with all that it started in its group,
// when standard input ends before it does: the caller gave up, or the
// connection broke. Without a terminal no SIGHUP would tell it.
const watched = `
printf 'MARK\n' >&2
printf 'MARK\n'
( set +m; exec 3<&-; eval "unset -v script
$script" ) </dev/null &
job=$!
( cat <&3
kill -TERM -- -$job; sleep 1; kill -KILL -- -$job ) >/dev/null 2>&1 &
watch=$!
{ wait $job; } 2>/dev/null
status=$?
{ kill -KILL -- -$watch; wait $watch; } 2>/dev/null
printf 'MARK %d\n' $status >&2
printf 'MARK %d\n' $status`

// fed runs the script with the rest of standard input as its own.
const fed = `
printf 'MARK\n' >&2
printf 'MARK\n'
( set +m; eval "unset -v script
$script" ) <&3 3<&- &
{ wait $!; } 2>/dev/null
status=$?
printf 'MARK %d\n' $status >&2
printf 'MARK %d\n' $status`

// Run has a login shell execute script and returns what it printed, also when
// it failed. When ctx ends or the connection breaks, the script is told to
// terminate, and killed a second later, with everything that it started and that
// did not detach itself. The host notices a network that swallows everything as
// late as its sshd does.
func (m *Machine) Run(ctx context.Context, script string) ([]byte, error) {
	var out bytes.Buffer
	err := m.execute(ctx, script, nil, &out)
	return out.Bytes(), err
}

// execute runs script there. It reads payload from its standard input, if there
// is one, and otherwise nothing.
func (m *Machine) execute(ctx context.Context, script string, payload io.Reader, out io.Writer) error {
	if strings.ContainsRune(script, 0) {
		return on(m.name, errors.New("the script holds a NUL byte"))
	}
	if err := m.link.open(ctx); err != nil {
		return err
	}
	cmd, release, err := m.link.shell(ctx)
	if err != nil {
		return err
	}
	defer release()
	s := newSession(out)
	cmd.Stdout, cmd.Stderr = s.out, s.err
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return on(m.name, err)
	}
	// The end of its input makes the shell end the script; only when that does
	// not help is the local process killed.
	cmd.Cancel, cmd.WaitDelay = stdin.Close, endLimit
	if err := cmd.Start(); err != nil {
		return on(m.name, err)
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		s.feed(stdin, script, payload)
	}()
	linger := s.linger(cmd)
	err = cmd.Wait()
	linger()
	<-fed
	return m.outcome(ctx, s, cmd, err)
}

// outcome says what became of a session whose process has ended with err.
func (m *Machine) outcome(ctx context.Context, s *session, cmd *exec.Cmd, err error) error {
	status, ended := s.out.status()
	switch {
	case ended && status == 0 && s.out.failed == nil:
		return nil
	case ctx.Err() != nil:
		return on(m.name, ctx.Err())
	case s.out.failed != nil:
		return on(m.name, s.out.failed)
	case ended:
		return &ScriptError{Host: m.name, Exit: status, Last: s.err.last()}
	}
	exit := -1
	if cmd.ProcessState != nil {
		exit = cmd.ProcessState.ExitCode()
	}
	return m.link.broken(s.out.phase > waiting, exit, s.err.last())
}

// session is one script under way.
type session struct {
	mark     string
	out, err *frame
	// open is how many of the two streams have not told the end.
	open atomic.Int32
	done chan struct{}
}

func newSession(out io.Writer) *session {
	raw := make([]byte, 16)
	rand.Read(raw)
	s := &session{mark: hex.EncodeToString(raw), done: make(chan struct{})}
	s.open.Store(2)
	ended := func() {
		if s.open.Add(-1) == 0 {
			close(s.done)
		}
	}
	s.out = &frame{mark: []byte(s.mark), sink: out, ended: ended}
	s.err = &frame{mark: []byte(s.mark), sink: nil, ended: ended}
	return s
}

// feed writes the prologue, the script and the payload. Without a payload it
// leaves the pipe open: its end is what ends the script.
func (s *session) feed(stdin io.WriteCloser, script string, payload io.Reader) {
	mode := watched
	if payload != nil {
		mode = fed
	}
	text := strings.Replace(prologue, "MODE", mode, 1)
	text = strings.ReplaceAll(text, "MARK", s.mark)
	// A shell that ended early says why itself.
	if _, err := io.WriteString(stdin, text+script+"\x00"); err != nil || payload == nil {
		return
	}
	io.Copy(stdin, payload)
	stdin.Close()
}

// linger kills cmd when its script has ended and it has not, a while later. The
// returned function ends the watch.
func (s *session) linger(cmd *exec.Cmd) (stop func()) {
	over := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-over:
			return
		case <-s.done:
		}
		limit := time.NewTimer(lingerLimit)
		defer limit.Stop()
		select {
		case <-over:
		case <-limit.C:
			cmd.Process.Kill()
		}
	}()
	return func() { close(over); <-stopped }
}

// The phases of a frame.
const (
	waiting = iota // for the mark before the output
	inside
	after
)

// frame takes one stream of a session apart: noise, mark, output, mark and
// status. One goroutine writes to it; it is read when the session is over.
type frame struct {
	mark  []byte
	sink  io.Writer
	ended func()

	phase  int
	held   []byte // what may be the beginning of a mark
	code   string
	tail   []byte // the end of what was seen so far, when there is no sink
	failed error
}

// maxTail bounds what is kept of stderr.
const maxTail = 64 << 10

func (f *frame) Write(p []byte) (int, error) {
	data := append(f.held, p...)
	f.held = nil
	for len(data) > 0 && f.phase != after {
		i := bytes.Index(data, f.mark)
		if i < 0 {
			keep := min(len(data), len(f.mark)-1)
			if err := f.pass(data[:len(data)-keep]); err != nil {
				return 0, err
			}
			f.held = bytes.Clone(data[len(data)-keep:])
			break
		}
		end := bytes.IndexByte(data[i:], '\n')
		if err := f.pass(data[:i]); err != nil {
			return 0, err
		}
		if end < 0 {
			f.held = bytes.Clone(data[i:])
			break
		}
		f.turn(string(data[i+len(f.mark) : i+end]))
		data = data[i+end+1:]
	}
	return len(p), nil
}

// turn goes over a mark that is followed by rest.
func (f *frame) turn(rest string) {
	if f.phase++; f.phase == inside {
		f.tail = nil
		return
	}
	f.code = strings.TrimSpace(rest)
	f.ended()
}

// pass hands on what stands between marks.
func (f *frame) pass(p []byte) error {
	if f.sink == nil {
		if f.tail = append(f.tail, p...); len(f.tail) > 2*maxTail {
			f.tail = bytes.Clone(f.tail[len(f.tail)-maxTail:])
		}
		return nil
	}
	if f.phase != inside {
		return nil
	}
	if _, err := f.sink.Write(p); err != nil {
		f.failed = err
		return err
	}
	return nil
}

// status is the exit status that followed the output, if the end was seen.
func (f *frame) status() (int, bool) {
	if f.phase != after {
		return 0, false
	}
	n, err := strconv.Atoi(f.code)
	return n, err == nil
}

// last are the last lines of what was seen since the first mark, or of all when
// there was none.
func (f *frame) last() []string {
	text := f.tail
	if f.phase != after {
		text = append(bytes.Clone(text), f.held...)
	}
	var lines []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if line = strings.TrimRight(line, "\r\t "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-lastLines):]
}

// ownGroup keeps an interrupt that is typed at the terminal from a child: the
// order of stopping is ours.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// unexpected is an answer that a script of this package cannot have given.
func unexpected(host, what string, answer []byte) error {
	return fmt.Errorf("%s: %s answered %.200q", host, what, answer)
}
