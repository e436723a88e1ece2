package program

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
)

// The scripts of this file run in a login shell on a server. They find these
// variables set:
//
//	RUN       the run's directory there
//	BINARY    the built execution client, where the script starts or asks it
//	APPROVED  the path that was approved to be deleted, as Look told it, where
//	          the script deletes it
//
// Each may be run again at any time: what is done already is not done twice.

// The tmux sessions of the workflow.
const (
	ExecutionSession = "ethrex"
	ConsensusSession = "lighthouse"
	ReplaySession    = "replay"
)

// StopGrace is how many seconds a program may take to end by itself. Closing a
// database of hundreds of gigabytes takes its time.
const StopGrace = 60

// processFunctions are the shell functions of scripts that deal with recorded
// processes: a record is one line with pid, start time and boot. A process that
// has ended and waits for its parent does not run.
const processFunctions = `set -euo pipefail
started() { # PID: since when it runs
  local line
  { line=$(</proc/"$1"/stat); } 2>/dev/null || return 1
  set -- ${line##*) }
  case $1 in [ZX]) return 1 ;; esac
  printf '%s\n' "${20}"
}
boot() { cat /proc/sys/kernel/random/boot_id; }
runs() { # RECORD: does the recorded process run?
  local pid start id
  [ -s "$1" ] && read -r pid start id < "$1" && [ "$id" = "$(boot)" ] && [ "$(started "$pid")" = "$start" ]
}
identity() { # RECORD
  local pid start id
  read -r pid start id < "$1"
  printf '{"pid":%s,"start_time":"%s","boot_id":"%s"}\n' "$pid" "$start" "$id"
}
leave() { # RECORD: sees to it that the pane goes in which the process was that has ended
  local pid start id pane
  [ -s "$1" ] && read -r pid start id < "$1" && [ "$id" = "$(boot)" ] || return 0
  for _ in $(seq 30); do
    pane=$(tmux list-panes -a -F '#{pane_pid} #{pane_dead} #{pane_id}' 2>/dev/null | grep "^$pid ") || return 0
    case $pane in *" 1 "*) break ;; esac
    sleep 0.1
  done
  tmux kill-pane -t "${pane##* }" 2>/dev/null || true
}
`

// findSession is the part of a start that ends the script when there is nothing
// to start. A start that was cut short may have left a session whose login shell
// has not come to recording itself yet: it is known by its command.
const findSession = `record="$RUN/$name.tmux" log="$RUN/$name.log" program="$RUN/$name.sh"
command="exec bash -l $(printf %q "$program")"
mkdir -p "$RUN"
# One start at a time. The kernel releases the lock, however its holder ends, so
# what is started must not have it.
exec 9>"$RUN/$name.lock"
flock -w 60 9 || { echo "another start holds $RUN/$name.lock" >&2; exit 1; }
tmux() { command tmux "$@" 9>&-; }
panes() { tmux list-panes -s -t "=$session" -F '#{pane_dead} #{pane_pid} #{pane_id}' 2>/dev/null; }
ours() {
  local found
  found=$(panes) && found=${found%%$'\n'*} && pane=${found##* } && set -- $found &&
    { tr '\0' '\n' < "/proc/$2/cmdline"; } 2>/dev/null | grep -qxF -e "$program" -e "$command"
}
if runs "$record"; then identity "$record"; exit 0; fi
leave "$record"
pane=
if tmux has-session -t "=$session" 2>/dev/null; then
  for _ in 1 2 3 4 5 6 7 8 9 10; do if ours || runs "$record"; then break; fi; sleep 0.1; done
  if ! ours && ! runs "$record"; then
    echo "the tmux session \"$session\" is there already and is not of this run; it was left alone" >&2
    exit 3
  fi
fi
`

// beginSession is the part of a start that starts args in the session and waits
// until it is recorded. It records itself before it becomes the program, so that
// no program runs unrecorded, however the start ends.
const beginSession = `
  {
    printf 'record=%q log=%q\n' "$record" "$log"
    cat << 'END'
exec > >(trap "" HUP INT; exec tee -a "$log") 2>&1
line=$(</proc/$$/stat)
set -- ${line##*) }
boot=$(</proc/sys/kernel/random/boot_id)
tmux set-window-option -t "$TMUX_PANE" remain-on-exit off >/dev/null 2>&1
printf '%s %s %s\n' $$ "${20}" "$boot" > "$record.$$" && mv -f -- "$record.$$" "$record" || exit
END
    printf 'exec env -u RUST_LOG'
    printf ' %q' "${args[@]}"
    echo
  } > "$program.new"
  mv -f -- "$program.new" "$program"
  rm -f -- "$record"
  pane=$(tmux new-session -d -P -F '#{pane_id}' -s "$session" "$command")
fi
alive() { panes | grep -qx "0 [0-9]* $pane"; }
# A login shell may take its time before it comes to the program, which then may
# end at once.
for _ in $(seq 300); do if runs "$record" || ! alive; then break; fi; sleep 0.1; done
if ! [ -s "$record" ] && alive; then
  echo "the login shell in the tmux session \"$session\" has not come to the program within 30 s" >&2
  exit 1
fi
for _ in 1 2 3 4 5; do sleep 0.1; runs "$record" || break; done
if ! runs "$record"; then
  leave "$record"
  sleep 0.2 # for the last lines to reach the log
  if ! alive; then tmux kill-pane -t "$pane" 2>/dev/null || true; fi
  echo "${args[0]-$name} ended at once; the end of its log:" >&2
  tail -n 30 "$log" >&2 2>/dev/null || true
  exit 1
fi
identity "$record"
`

// inSession is the script that starts args, words of a shell, in a tmux session
// and prints the identity of the process. The session must not be there, unless
// this run has started it. What the program prints is shown there and appended
// to $RUN/NAME.log.
func inSession(session, name string, args string) string {
	return processFunctions + fmt.Sprintf("session=%s name=%s\n", shell.Quote(session), shell.Quote(name)) +
		findSession + "if [ -z \"$pane\" ]; then\n" + args + beginSession
}

// knows is the shell function that looks for a flag in the help text.
const knows = `knows() { grep -qE -- "(^|[^[:alnum:]._-])$1([^[:alnum:]._-]|$)" <<<"$help"; }
`

// StartExecution is the script that starts the execution client of a server in
// its tmux session. Flags that only some versions have are passed when the
// binary's --help knows them; one that cannot store witnesses is refused.
func StartExecution(w *spec.Witness, server, build *spec.Side) string {
	p := server.Ports
	var b strings.Builder
	if len(w.Program.Command) > 0 {
		b.WriteString("args=(" + serverWords(w, server, w.Program.Command) + ")\n")
	} else {
		b.WriteString(`help=$(timeout 30 "$BINARY" --help 2>&1) || { echo "$BINARY --help failed: $help" >&2; exit 1; }
` + knows)
		fmt.Fprintf(&b, `knows --precompute-witnesses || {
  echo "$BINARY has no flag --precompute-witnesses, which this benchmark needs: ethrex has it since January 2026" >&2
  exit 1
}
args=("$BINARY" --network %s --http.addr 127.0.0.1 --http.port %d --authrpc.port %d --authrpc.jwtsecret %s --precompute-witnesses)
`, shell.Quote(w.Servers.Network), p.RPC, p.Engine, shell.Path(w.Servers.JWT))
		if server.Datadir != "" {
			fmt.Fprintf(&b, "args+=(--datadir %s)\n", shell.Path(server.Datadir))
		}
		fmt.Fprintf(&b, `if knows --authrpc.addr; then args+=(--authrpc.addr 127.0.0.1); fi
if knows --http.api; then args+=(--http.api eth,net,web3,debug); fi
if knows --metrics; then args+=(--metrics --metrics.addr 127.0.0.1 --metrics.port %d); fi
if knows --p2p.port; then args+=(--p2p.port %d); fi
if knows --discovery.port; then args+=(--discovery.port %d); fi
`, p.Metrics, p.P2P, p.P2P)
	}
	if extra := append(append([]string(nil), w.Program.Args...), build.Args...); len(extra) > 0 {
		fmt.Fprintf(&b, "args+=(%s)\n", serverWords(w, server, extra))
	}
	return inSession(ExecutionSession, "execution", b.String())
}

// StopRecorded is the script that stops what inSession started under name: by
// SIGINT, and when it has not ended within grace seconds by SIGKILL. Its session
// goes with it. It prints what it did.
func StopRecorded(name string, grace int) string {
	return processFunctions + fmt.Sprintf("record=\"$RUN/\"%s.tmux grace=%d\n", shell.Quote(name), grace) + `
within() { # N: does it end within N tenths of a second?
  for _ in $(seq "$1"); do
    runs "$record" || return 0
    sleep 0.1
  done
  ! runs "$record"
}
if ! runs "$record"; then leave "$record"; echo "did not run"; exit 0; fi
read -r pid _ < "$record"
kill -INT "$pid" 2>/dev/null || true
if within $((grace * 10)); then leave "$record"; echo "stopped"; exit 0; fi
kill -KILL "$pid" 2>/dev/null || true
within 100 || { echo "process $pid does not end, even killed" >&2; exit 1; }
leave "$record"
echo "did not stop within $grace s and was killed"
`
}

// Recorded is the script that prints running or ended for what inSession
// started under name, and after ended the end of its log.
func Recorded(name string) string {
	return processFunctions + fmt.Sprintf("name=%s\n", shell.Quote(name)) + `
if runs "$RUN/$name.tmux"; then echo running; else echo ended; tail -n 30 "$RUN/$name.log" 2>/dev/null || true; fi
`
}

// serverValues are what placeholders of a command on a server stand for, as
// words of a shell.
func serverValues(w *spec.Witness, server *spec.Side) map[string]string {
	p := server.Ports
	return map[string]string{
		"binary": `"$BINARY"`, "network": shell.Quote(w.Servers.Network),
		"datadir": shell.Path(server.Datadir), "jwt": shell.Path(w.Servers.JWT),
		"http_port": fmt.Sprint(p.RPC), "engine_port": fmt.Sprint(p.Engine),
		"metrics_port": fmt.Sprint(p.Metrics), "p2p_port": fmt.Sprint(p.P2P),
	}
}

// serverWords is a command that the spec gives, or arguments, as words of a
// shell.
func serverWords(w *spec.Witness, server *spec.Side, argv []string) string {
	values := serverValues(w, server)
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = expandWord(arg, values)
	}
	return strings.Join(words, " ")
}

// CheckServerCommand refuses a command, or arguments, of a program on servers
// that StartExecution could not fill in: with a placeholder that is unknown, or
// with {datadir} where one of the sides has no data directory. Errors are the
// user's.
func CheckServerCommand(p *spec.Program, sides ...*spec.Side) error {
	var argv []string
	if p != nil {
		argv = slices.Concat(p.Command, p.Args)
	}
	for _, side := range sides {
		argv = append(argv, side.Args...)
	}
	if p != nil && len(p.Command) > 0 && !strings.Contains(strings.Join(p.Command, " "), "{binary}") {
		return fault.Newf(fault.Usage, "the command of program %s has no {binary}: both sides would run the same program", p.Name).
			Hint("let it begin with {binary}, the build of each side")
	}
	known := serverValues(&spec.Witness{Servers: &spec.Servers{}}, &spec.Side{Ports: &spec.Ports{}})
	for _, arg := range argv {
		for _, found := range placeholder.FindAllString(arg, -1) {
			if _, ok := known[strings.Trim(found, "{}")]; !ok {
				return fault.Newf(fault.Usage, "the placeholder %s in %q of the program is unknown on servers", found, arg).
					Hint("choose among {%s}", strings.Join(slices.Sorted(maps.Keys(known)), "}, {"))
			}
			for _, side := range sides {
				if found == "{datadir}" && side.Datadir == "" {
					return fault.Newf(fault.Usage, "%q of the program names {datadir}, and %s has none", arg, side.Host).
						Hint("give datadir for the side of %s, or leave the placeholder out", side.Host)
				}
			}
		}
	}
	return nil
}

// expandWord replaces {name} by its shell word, and quotes what is between.
func expandWord(arg string, values map[string]string) string {
	var b strings.Builder
	for {
		open := strings.IndexByte(arg, '{')
		end := strings.IndexByte(arg[max(open, 0):], '}') + max(open, 0)
		if open < 0 || end < open {
			break
		}
		value, known := values[arg[open+1:end]]
		if !known {
			b.WriteString(shell.Quote(arg[:end+1]))
		} else {
			if open > 0 {
				b.WriteString(shell.Quote(arg[:open]))
			}
			b.WriteString(value)
		}
		arg = arg[end+1:]
	}
	if arg != "" || b.Len() == 0 {
		b.WriteString(shell.Quote(arg))
	}
	return b.String()
}

// StartConsensus is the script that starts Lighthouse in its tmux session.
func StartConsensus(w *spec.Witness, server *spec.Side) string {
	return inSession(ConsensusSession, "consensus", "args=("+consensusWords(w, server)+")\n")
}

func consensusWords(w *spec.Witness, server *spec.Side) string {
	p := server.Ports
	words := []string{
		shell.Path(w.Servers.Lighthouse), "bn", "--network", shell.Quote(w.Servers.Network),
		"--execution-endpoint", fmt.Sprintf("http://127.0.0.1:%d", p.Engine),
		"--execution-jwt", shell.Path(w.Servers.JWT),
		"--http", "--http-address", "127.0.0.1", "--http-port", fmt.Sprint(p.Beacon),
	}
	if url := w.Servers.CheckpointSyncURL; url != "" {
		words = append(words, "--checkpoint-sync-url", shell.Quote(url))
	}
	if server.ConsensusDatadir != "" {
		words = append(words, "--datadir", shell.Path(server.ConsensusDatadir))
	}
	return strings.Join(words, " ")
}

// LogOf is the path, below a server's run directory, of the log of what a
// script of this file starts.
func LogOf(name string) string { return name + ".log" }

// executionDir sets dir to the directory of the execution client's database and
// base to what the client is told as its data directory. Newer versions keep
// one folder per network below it.
func executionDir(w *spec.Witness, server *spec.Side) string {
	base := `${XDG_DATA_HOME:-$HOME/.local/share}/ethrex`
	if server.Datadir != "" {
		base = ""
	}
	var b strings.Builder
	if base != "" {
		fmt.Fprintf(&b, "base=\"%s\"\n", base)
	} else {
		fmt.Fprintf(&b, "base=%s\n", shell.Path(server.Datadir))
	}
	fmt.Fprintf(&b, "network=%s\ndir=$base\nif [ -d \"$base/$network\" ]; then dir=$base/$network; fi\n", shell.Quote(w.Servers.Network))
	return b.String()
}

// consensusDir sets dir to the directory of Lighthouse's database.
func consensusDir(w *spec.Witness, server *spec.Side) string {
	base := server.ConsensusDatadir
	if base == "" {
		base = "~/.lighthouse/" + w.Servers.Network
	}
	return fmt.Sprintf("network=%s\ndir=%s\nif [ -d \"$dir/beacon\" ]; then dir=$dir/beacon; fi\n", shell.Quote(w.Servers.Network), shell.Path(base))
}

// resolve is the shell function that replaces dir, a directory, by where it
// really is.
const resolve = `set -euo pipefail
resolve() { dir=$(CDPATH= cd -- "$dir" && pwd -P && printf .) && dir=${dir%$'\n'.}; }
`

// Look is the script that prints where a database is and how large, as
// {"path":…,"bytes":…}, and changes nothing.
func Look(w *spec.Witness, server *spec.Side, what spec.Clearable) string {
	dir := executionDir
	if what == spec.ConsensusDB {
		dir = consensusDir
	}
	return resolve + dir(w, server) + `bytes=0
if [ -d "$dir" ]; then
  resolve
  bytes=$(( $(du -sk "$dir" | cut -f1) * 1024 ))
fi
case $dir in *[[:cntrl:]]*) printf 'the path %q holds a control character\n' "$dir" >&2; exit 1 ;; esac
printf '{"path":"%s","bytes":%s}\n' "$(printf %s "$dir" | sed 's/[\\"]/\\&/g')" "$bytes"
`
}

// deletion are the shell functions of scripts that delete dir: what is not
// exactly what was approved is left alone, and so is what lies beside it.
const deletion = resolve + `
refuse() { printf '%s: nothing was deleted\n' "$1" >&2; exit 1; }
approve() {
  local parent home
  resolve
  parent=${dir%/*}
  home=$(CDPATH= cd -- "$HOME" && pwd -P)
  [ "$dir" = "${APPROVED-}" ] || refuse "\"${APPROVED-}\" was approved to be deleted, and the database is in \"$dir\""
  if [ "$dir" = / ] || [[ $home/ == "$dir"/* ]]; then refuse "\"$dir\" holds the home directory"; fi
  shopt -s nullglob dotglob
  neighbors=("$parent"/*)
}
unharmed() { # is what lies beside dir still there?
  local neighbor vanished=0
  for neighbor in "${neighbors[@]}"; do
    if [ "$neighbor" != "$dir" ] && ! [ -e "$neighbor" ] && ! [ -L "$neighbor" ]; then
      echo "\"$neighbor\" vanished while \"$dir\" was deleted" >&2
      vanished=1
    fi
  done
  [ "$vanished" = 0 ]
}
`

// ClearExecution is the script that deletes the execution client's database,
// with the client's own command. That says "removed" whatever it did, so the
// directory itself is looked at afterwards. Versions that know no folders for
// networks delete the whole data directory: they are not asked to when it has
// some.
func ClearExecution(w *spec.Witness, server *spec.Side) string {
	return deletion + executionDir(w, server) + `[ -d "$dir" ] || { echo "nothing at $dir"; exit 0; }
below=
if [ "$dir" != "$base" ]; then below=yes; fi
approve
` + knows + `help=$(timeout 30 "$BINARY" --help 2>&1) || true
folders=
for folder in "$base"/*/; do folder=${folder%/}; folders+=" ${folder##*/}"; done
case $network in '' | . | .. | */*) refuse "\"$network\" is no name of a folder" ;; esac
if [ -n "$below" ]; then
  knows --no-migrate || refuse "$BINARY knows no folders for networks (its --help lacks --no-migrate), so its removedb would delete all of $base, which has$folders; delete $dir by hand, or give another --datadir"
else
  for other in mainnet sepolia holesky hoodi; do
    if [ -d "$base/$other" ]; then refuse "$base is no database of $network alone: it has$folders; delete by hand what is of $network, or give another --datadir"; fi
  done
fi
help=$(timeout 30 "$BINARY" removedb --help 2>&1) || true
args=("$BINARY" --network "$network" removedb --datadir "$base")
if knows --force; then args+=(--force); fi
status=0
"${args[@]}" < /dev/null || status=$?
unharmed || exit 1
if [ "$status" != 0 ]; then echo "removedb ended with status $status" >&2; exit 1; fi
left=0
if [ -d "$dir" ]; then left=$(du -sk "$dir" | cut -f1); fi
if [ "$left" -gt 1024 ]; then
  echo "removedb left $left KiB in $dir: it removes another directory in this version; look at what it printed" >&2
  exit 1
fi
`
}

// ClearConsensus is the script that deletes Lighthouse's database: by one start
// with the flag that deletes without asking in this version, after which it is
// stopped. Later starts do not have the flag, which would delete again.
func ClearConsensus(w *spec.Witness, server *spec.Side) string {
	return deletion + consensusDir(w, server) + `[ -d "$dir" ] || { echo "nothing at $dir"; exit 0; }
approve
args=(` + consensusWords(w, server) + `)
help=$(timeout 30 "${args[0]}" bn --help 2>&1) || true
` + knows + `flag=--purge-db
if knows --purge-db-force; then flag=--purge-db-force; fi
knows "$flag" || { echo "${args[0]} bn --help knows neither --purge-db nor --purge-db-force" >&2; exit 1; }
mkdir -p "$RUN"
touch "$RUN/purge.mark"
old() { find "$dir" -type f ! -newer "$RUN/purge.mark" \( -path '*_db/*' -o -name '*.db' -o -name head.json \) 2>/dev/null | head -n 3; }
"${args[@]}" "$flag" < /dev/null > "$RUN/purge.log" 2>&1 &
pid=$!
for _ in $(seq 150); do
  if [ -z "$(old)" ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
  sleep 0.2
done
kill -TERM "$pid" 2>/dev/null || true
for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
kill -KILL "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
unharmed || exit 1
left=$(old)
if [ -n "$left" ]; then
  echo "${args[0]} with $flag left files of the database behind: $left" >&2
  tail -n 30 "$RUN/purge.log" >&2
  exit 1
fi
`
}

// BuildOf is how p is built: as it says, or else as its description does.
func BuildOf(p *spec.Program) (command, binary string) {
	for _, d := range described {
		if d.Name == p.Name {
			command, binary = d.Build, d.Binary
		}
	}
	if p.Build != "" {
		command = p.Build
	}
	if p.Binary != "" {
		binary = p.Binary
	}
	return command, binary
}
