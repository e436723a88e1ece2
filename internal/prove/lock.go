package prove

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/shell"
)

// holder is who has a host for a prover run: the content of its lock, one line.
// The lock is a file that outlives this process, because the localnet does.
type holder struct {
	// Dir is the run's directory on the host.
	Dir string `json:"dir"`
	// Run is the run directory, By the user and machine of the controller.
	Run string `json:"run"`
	By  string `json:"by"`
	// Since is when the run began, in UTC.
	Since string `json:"since"`
	// Boot is the boot of the controller's machine, HostBoot that of the host.
	Boot     string `json:"boot"`
	HostBoot string `json:"host_boot"`
}

// lockScript takes the lock, $lock, with the line $holder unless somebody has
// it, and prints the line of who has it then; behind it "busy" if anything of
// that run is there, a controller on this machine or a program that runs. A lock
// of before the last boot, or of a controller on this machine that has ended
// with all its programs, is nobody's, and taken over.
const lockScript = `
mkdir -p -- "${lock%/*}" || exit
boot=$(cat /proc/sys/kernel/random/boot_id) || exit
holder=${holder/HOST_BOOT/$boot}
# value NAME: that value of the line $had.
value() { local v=${had#*"\"$1\":\""}; printf '%s' "${v%%\"*}"; }
# runs DIR: whether a program that is recorded in a session of that run runs.
runs() {
	local dir=${1/#\~/$HOME} record pid start now
	for record in "$dir"/s*/*.pid; do
		[ -e "$record" ] || continue
		read -r pid start now <"$record"
		{ now=$(sed 's/.*) //' "/proc/$pid/stat"); } 2>/dev/null || continue
		set -- $now
		if [ "$1" != Z ] && [ "${20}" = "$start" ]; then return 0; fi
	done
	return 1
}
# The lock appears with its content: a link is made or it is not.
printf '%s\n' "$holder" >"$lock.$$" || exit
for attempt in 1 2; do
	if ln -- "$lock.$$" "$lock" 2>/dev/null; then
		rm -f -- "$lock.$$"
		printf '%s\n' "$holder"
		exit
	fi
	had=$(cat -- "$lock") || exit
	state=unknown
	if [ "$(value host_boot)" != "$boot" ]; then
		state=gone
	elif runs "$(value dir)"; then
		state=busy
	elif [ "$(value boot)" = "$boot" ]; then
		state=gone
		own="$(value run)/.lock"
		if [ -e "$own" ] && ! flock -n -- "$own" true; then state=busy; fi
	fi
	[ "$(value dir)" != "$dir" ] || state=ours
	if [ $state != gone ]; then
		rm -f -- "$lock.$$"
		printf '%s\n%s\n' "$had" "$state"
		exit
	fi
	rm -f -- "$lock"
done
rm -f -- "$lock.$$"
echo "the lock $lock is taken and given up all the time" >&2
exit 1
`

// unlockScript gives the lock back if it is this run's.
const unlockScript = `
if [ -e "$lock" ] && grep -qF -- "\"dir\":\"$dir\"" "$lock"; then rm -f -- "$lock"; fi
`

// lockPath is the lock on a host: one run at a time, because two would measure
// each other.
const lockPath = "~/.verdict/prover.lock"

// lockVariables are those that the scripts of the lock find set.
func (r *runner) lockVariables() string {
	return "lock=" + shell.Path(lockPath) + "\ndir=" + shell.Quote(r.state.Dir) + "\n"
}

// lock takes the host for this run. A run that goes on there is an error that
// says which.
func (r *runner) lock(ctx context.Context) error {
	mine := holder{
		Dir: r.state.Dir, Run: absolute(r.Run.Dir()), By: whoAmI(), Since: r.manifest.Started.Format("2006-01-02T15:04:05Z"),
		Boot: bootID(), HostBoot: "HOST_BOOT",
	}
	line, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	out, err := r.Host.Run(ctx, r.lockVariables()+"holder="+shell.Quote(string(line))+"\n"+lockScript)
	if err != nil {
		return fmt.Errorf("locking %s: %w", r.Host.Name(), err)
	}
	said, state, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if state == "" || state == "ours" {
		r.held = true
		return nil
	}
	var other holder
	if err := json.Unmarshal([]byte(said), &other); err != nil {
		return fault.Newf(fault.Prerequisite, "%s on %s is no lock of verdict: %q", lockPath, r.Host.Name(), said)
	}
	return inUse(r.Host.Name(), other, state == "busy")
}

// inUse is the error of a host that another run has.
func inUse(name string, other holder, busy bool) error {
	e := fault.Newf(fault.Prerequisite, "%s is in use by the prover run %s of %s, since %s", name, other.Run, other.By, other.Since)
	if !busy {
		e = fault.Newf(fault.Prerequisite, "%s is reserved by the prover run %s of %s, since %s; nothing of it runs there at the moment",
			name, other.Run, other.By, other.Since)
	}
	return e.Hint("wait for it, or end it, as %s: %s --stop %s", other.By, Command, shell.Quote(other.Run))
}

// unlock gives the host back.
func (r *runner) unlock(ctx context.Context) error {
	_, err := r.Host.Run(ctx, r.lockVariables()+unlockScript)
	if err == nil {
		r.held = false
	}
	return err
}

// bootID is this machine's, empty where the system tells none.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// whoAmI is the user and the machine of this process.
func whoAmI() string {
	name := "?"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return name + "@" + journal.ThisMachine().Hostname
}

// absolute is a path that is the same from every folder.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}
