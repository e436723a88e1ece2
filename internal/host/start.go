package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/shell"
)

// processes are the shell functions that tell processes apart.
const processes = `
boot=$(</proc/sys/kernel/random/boot_id) || exit
# field N PID: field N of /proc/PID/stat, N from 3 on. The name, field 2, may
# hold anything, so counting begins behind it.
field() {
	local n=$1 line
	{ line=$(</proc/"$2"/stat); } 2>/dev/null || return
	set -- ${line##*) }
	shift $((n - 3))
	printf '%s\n' "$1"
}
# alive PID START BOOT: whether that process runs. One that has ended and waits
# for its parent does not.
alive() {
	[ "$3" = "$boot" ] && [ "$(field 22 "$1")" = "$2" ] || return
	case $(field 3 "$1") in [ZX]) return 1 ;; esac
}
`

// findScript prints how the program is whose files begin with $base.
const findScript = `
if ! [ -e "$base.pid" ]; then
	echo absent
	exit
fi
record=$(<"$base.pid") || exit
if alive $record; then
	echo "running $record"
	exit
fi
# The keeper writes the exit status a moment after the program has ended. If the
# machine was booted since then, nobody will.
status=-1
for ((i = 0; i < 40; i++)); do
	if [ -e "$base.exit" ]; then
		read -r status rest <"$base.exit"
		if [ "${rest% unstarted}" = "$record" ]; then break; fi
		status=-1
	fi
	[ "${record##* }" = "$boot" ] || break
	sleep 0.05
done
echo "ended $status $record"
`

// startScript starts the program unless it runs. The lock is the kernel's, which
// releases it however its holder ends.
const startScript = `
mkdir -p -- "$dir" || exit
exec 9>"$base.lock" || exit
flock -w 30 9 || { echo "another start holds $base.lock" >&2; exit 1; }
if [ -e "$base.pid" ]; then
	record=$(<"$base.pid") || exit
	if alive $record; then
		echo "$record"
		exit
	fi
fi
rm -f -- "$base.pid" "$base.exit" || exit
: >>"$base.log" || exit
# setsid detaches; it is given a name and not the text of the keeper, so that
# the program's arguments are not found in the keeper's. Job control keeps the
# shell from starting it with signals ignored, which it would pass on. The pipe
# ends when the keeper has said what it has to say.
set -m
said=$(VERDICT_KEEPER=$keeper VERDICT_PROGRAM=$program setsid bash --noprofile --norc -c 'eval "$VERDICT_KEEPER"' verdict-keeper \
	8>&1 >>"$base.log" 2>&1 </dev/null 9>&- &)
set +m
failed() {
	tail -n 30 -- "$base.log" >&2
	exit 1
}
if [ "$said" != recorded ]; then
	echo "its identity could not be recorded in $base.pid" >&2
	df -h -- "$dir" >&2
	failed
fi
record=$(<"$base.pid") || exit
# Until it executes the program, the process is a copy of its keeper.
set -- $record
while alive $record; do
	parent=$(field 4 "$1")
	{ mine=$(tr '\0' '\n' </proc/"$1"/cmdline)
	its=$(tr '\0' '\n' </proc/"$parent"/cmdline); } 2>/dev/null
	[ "$mine" = "$its" ] || break
	sleep 0.01
done
if [ -e "$base.exit" ]; then
	case $(<"$base.exit") in *' unstarted') failed ;; esac
fi
echo "$record"
`

// keeperScript is the parent of a started program: it waits for it and records
// its exit status. Signals that it catches are back to normal in the program,
// unlike signals that it ignores.
const keeperScript = `
trap : HUP INT TERM
set -m
VERDICT_KEEPER=$VERDICT_PROGRAM bash --noprofile --norc -c 'eval "$VERDICT_KEEPER"' verdict-keeper &
pid=$!
exec 8>&-
set +m
while wait $pid; status=$?; [ $status -gt 128 ] && kill -0 $pid 2>/dev/null; do sleep 0.1; done
wait $pid
status=$?
record=$(<"$base.pid")
[ "${record%% *}" = $pid ] || exit
if [ -e "$base.exit" ]; then exit; fi
printf '%s %s\n' $status "$record" >"$base.exit.$pid" && mv -f -- "$base.exit.$pid" "$base.exit"
`

// programScript records the identity of its process before it becomes the
// program, so that no program runs unrecorded. In a subshell, bash would not go
// on when it cannot execute the program.
const programScript = `
unset VERDICT_KEEPER VERDICT_PROGRAM
line=$(</proc/$$/stat)
set -- ${line##*) }
record="$$ ${20} $(</proc/sys/kernel/random/boot_id)"
printf '%s\n' "$record" >"$base.pid.$$" && mv -f -- "$base.pid.$$" "$base.pid" || exit
# Whoever waits for this word may be gone. A signal that is caught, unlike one
# that is ignored, is back to normal in the program.
trap : PIPE
echo recorded 2>/dev/null >&8
trap - PIPE
exec 8>&-
shopt -s execfail
EXECUTE
status=$?
printf '%s %s unstarted\n' $status "$record" >"$base.exit.$$" && mv -f -- "$base.exit.$$" "$base.exit"
exit $status
`

// stopScript ends the process that is recorded in $pid, $born and $booted. What it
// prints says how that went.
const stopScript = `
gone() { ! alive "$pid" "$born" "$booted"; }
# within N: whether it is gone within N tenths of a second.
within() {
	local i
	for ((i = 0; i < $1; i++)); do
		if gone; then return; fi
		sleep 0.1
	done
	gone
}
if gone; then echo gone; exit; fi
kill -$signal "$pid" 2>/dev/null
if within $grace; then echo ended; exit; fi
group=$(field 5 "$pid")
if [ "$group" = "$pid" ]; then kill -KILL -- -"$pid"; else kill -KILL "$pid"; fi
if within 100; then echo killed; exit; fi
echo "process $pid does not end, even killed" >&2
exit 1
`

var (
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	digits   = regexp.MustCompile(`^[0-9]+$`)
	bootID   = regexp.MustCompile(`^[0-9a-f-]+$`)
)

// word is a path or argument as a shell there reads it. A relative path is one
// from the home directory, where every script begins.
func word(p string) string {
	if p == "" {
		return shell.Path("~")
	}
	if !path.IsAbs(p) && p != "~" && !strings.HasPrefix(p, "~/") {
		p = "~/" + p
	}
	return shell.Path(p)
}

// base is the beginning of the names of a program's files, as an assignment.
func base(dir, name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("%q cannot be the name of a program's files", name)
	}
	d := word(dir)
	return "dir=" + d + "\nbase=" + d + "/" + shell.Quote(name) + "\n", nil
}

// program is p as shell text that turns a process into it.
func program(p Program) (string, error) {
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		return "", fmt.Errorf("starting %s: no program is named", p.Name)
	}
	text := "cd -- " + word(p.WorkDir) + " &&\n"
	for _, setting := range p.Env {
		if !variable.MatchString(setting) {
			return "", fmt.Errorf("starting %s: %q does not set a variable", p.Name, setting)
		}
		name, value, _ := strings.Cut(setting, "=")
		text += "export " + name + "=" + shell.Path(value) + " &&\n"
	}
	text += "exec --"
	for _, arg := range p.Argv {
		text += " " + shell.Path(arg)
	}
	return text, nil
}

// Start starts a program that outlives the connection and this process. It is
// an error when it could not be executed; what it does then, Find tells.
func (m *Machine) Start(ctx context.Context, p Program) (Identity, error) {
	files, err := base(p.Dir, p.Name)
	if err != nil {
		return Identity{}, on(m.name, err)
	}
	text, err := program(p)
	if err != nil {
		return Identity{}, on(m.name, err)
	}
	values := "keeper=" + shell.Quote(files+keeperScript) +
		"\nprogram=" + shell.Quote(files+strings.Replace(programScript, "EXECUTE", text, 1)) + "\n"
	out, err := m.Run(ctx, files+values+processes+startScript)
	if err != nil {
		return Identity{}, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	return m.identity(out, "start")
}

// Find tells how the program is that was started under dir and name.
func (m *Machine) Find(ctx context.Context, dir, name string) (Identity, State, error) {
	files, err := base(dir, name)
	if err != nil {
		return Identity{}, State{}, on(m.name, err)
	}
	out, err := m.Run(ctx, files+processes+findScript)
	if err != nil {
		return Identity{}, State{}, fmt.Errorf("looking for %s: %w", name, err)
	}
	phase, rest, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	state := State{Phase: Phase(phase)}
	switch state.Phase {
	case Absent:
		return Identity{}, state, nil
	case Running:
		id, err := m.identity([]byte(rest), "find")
		return id, state, err
	case Ended:
		status, rest, _ := strings.Cut(rest, " ")
		if state.Exit, err = strconv.Atoi(status); err != nil {
			return Identity{}, State{}, unexpected(m.name, "find", out)
		}
		id, err := m.identity([]byte(rest), "find")
		return id, state, err
	}
	return Identity{}, State{}, unexpected(m.name, "find", out)
}

// identity decodes a record.
func (m *Machine) identity(record []byte, what string) (Identity, error) {
	fields := strings.Fields(string(record))
	if len(fields) != 3 {
		return Identity{}, unexpected(m.name, what, record)
	}
	pid, err := strconv.Atoi(fields[0])
	id := Identity{PID: pid, StartTime: fields[1], BootID: fields[2]}
	if err != nil || id.check() != nil {
		return Identity{}, unexpected(m.name, what, record)
	}
	return id, nil
}

// check refuses an identity that does not say which process it is.
func (id Identity) check() error {
	if id.PID <= 1 || !digits.MatchString(id.StartTime) || !bootID.MatchString(id.BootID) {
		return fmt.Errorf("%v, boot %q, identifies no process", id, id.BootID)
	}
	return nil
}

// Stop ends the process of that identity.
func (m *Machine) Stop(ctx context.Context, id Identity, signal syscall.Signal, grace time.Duration) (bool, error) {
	if err := id.check(); err != nil {
		return false, on(m.name, err)
	}
	if signal <= 0 {
		return false, on(m.name, errors.New("signal 0 stops nothing"))
	}
	tenths := int(math.Ceil(grace.Seconds() * 10))
	out, err := m.Run(ctx, fmt.Sprintf("pid=%d\nborn=%s\nbooted=%s\nsignal=%d\ngrace=%d\n",
		id.PID, id.StartTime, id.BootID, int(signal), tenths)+processes+stopScript)
	if err != nil {
		return false, fmt.Errorf("stopping %v: %w", id, err)
	}
	switch strings.TrimSpace(string(out)) {
	case "gone", "ended":
		return false, nil
	case "killed":
		return true, nil
	}
	return false, unexpected(m.name, "stop", out)
}
