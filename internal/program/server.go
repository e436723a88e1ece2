package program

import (
	"fmt"
	"strings"

	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
)

// The scripts of this file run in a login shell on a server. They find these
// variables set:
//
//	RUN      the run's directory there
//	BINARY   the built execution client, where the script starts or asks it
//
// Each may be run again at any time: what is done already is not done twice.

// The tmux sessions of the workflow.
const (
	ExecutionSession = "ethrex"
	ConsensusSession = "lighthouse"
	ReplaySession    = "replay"
)

// processFunctions are the shell functions of scripts that deal with recorded
// processes: a record is one line with pid, start time and boot.
const processFunctions = `set -euo pipefail
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
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
`

// inSession is the script that starts args, words of a shell, in a tmux session
// and prints the identity of the process. The session must not be there, unless
// this run has started it. What the program prints is shown there and appended
// to $RUN/NAME.log.
func inSession(session, name string, args string) string {
	var b strings.Builder
	b.WriteString(processFunctions)
	fmt.Fprintf(&b, "session=%s name=%s\n", shell.Quote(session), shell.Quote(name))
	b.WriteString(`record="$RUN/$name.tmux" log="$RUN/$name.log"
mkdir -p "$RUN"
if runs "$record"; then identity "$record"; exit 0; fi
if tmux has-session -t "=$session" 2>/dev/null; then
  echo "the tmux session \"$session\" is there already and is not of this run; it was left alone" >&2
  exit 3
fi
`)
	b.WriteString(args)
	b.WriteString(`
{
  echo 'exec > >(trap "" HUP INT; exec tee -a '"$(printf %q "$log")"') 2>&1'
  echo ': > '"$(printf %q "$RUN/$name.begun")"
  printf 'exec env -u RUST_LOG'
  printf ' %q' "${args[@]}"
  echo
} > "$RUN/$name.sh"
rm -f "$RUN/$name.begun"
tmux new-session -d -s "$session" "exec bash -l $(printf %q "$RUN/$name.sh")"
pid=$(tmux list-panes -t "=$session" -F '#{pane_pid}' 2>/dev/null | head -n 1) || true
start=$( [ -n "$pid" ] && started "$pid" ) || true
[ -n "$start" ] && printf '%s %s %s\n' "$pid" "$start" "$(boot)" > "$record.new" && mv "$record.new" "$record"
# A login shell may take its time before it comes to the program, which then may
# end at once.
alive() { [ -n "$start" ] && runs "$record"; }
for _ in $(seq 300); do if [ -e "$RUN/$name.begun" ] || ! alive; then break; fi; sleep 0.1; done
for _ in 1 2 3 4 5; do sleep 0.1; alive || break; done
if ! alive; then
  sleep 0.2 # for the last lines to reach the log
  echo "${args[0]} ended at once; the end of its log:" >&2
  tail -n 30 "$log" >&2 2>/dev/null || true
  exit 1
fi
identity "$record"
`)
	return b.String()
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
		b.WriteString("args=(" + commandWords(w, server) + ")\n")
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
		fmt.Fprintf(&b, "args+=(%s)\n", shell.Join(extra...))
	}
	return inSession(ExecutionSession, "execution", b.String())
}

// StopRecorded is the script that stops what inSession started under name: by
// SIGINT, and when it has not ended within grace seconds by SIGKILL. It prints
// what it did.
func StopRecorded(name string, grace int) string {
	return processFunctions + fmt.Sprintf("record=\"$RUN/\"%s.tmux grace=%d\n", shell.Quote(name), grace) + `
if ! runs "$record"; then echo "did not run"; exit 0; fi
read -r pid _ < "$record"
kill -INT "$pid"
for _ in $(seq $((grace * 10))); do
  runs "$record" || { echo "stopped"; exit 0; }
  sleep 0.1
done
kill -KILL "$pid"
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

// commandWords is the command that the spec gives, as words of a shell.
func commandWords(w *spec.Witness, server *spec.Side) string {
	p := server.Ports
	values := map[string]string{
		"binary": `"$BINARY"`, "network": shell.Quote(w.Servers.Network),
		"datadir": shell.Path(server.Datadir), "jwt": shell.Path(w.Servers.JWT),
		"http_port": fmt.Sprint(p.RPC), "engine_port": fmt.Sprint(p.Engine),
		"metrics_port": fmt.Sprint(p.Metrics), "p2p_port": fmt.Sprint(p.P2P),
	}
	words := make([]string, len(w.Program.Command))
	for i, arg := range w.Program.Command {
		words[i] = expandWord(arg, values)
	}
	return strings.Join(words, " ")
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

// Look is the script that prints where a database is and how large, as
// {"path":…,"bytes":…}, and changes nothing.
func Look(w *spec.Witness, server *spec.Side, what spec.Clearable) string {
	dir := executionDir
	if what == spec.ConsensusDB {
		dir = consensusDir
	}
	return "set -euo pipefail\n" + dir(w, server) + `bytes=0
if [ -d "$dir" ]; then
  dir=$(cd "$dir" && pwd -P)
  bytes=$(( $(du -sk "$dir" | cut -f1) * 1024 ))
fi
printf '{"path":"%s","bytes":%s}\n' "$(printf %s "$dir" | sed 's/[\\"]/\\&/g')" "$bytes"
`
}

// ClearExecution is the script that deletes the execution client's database,
// with the client's own command. That says "removed" whatever it did, so the
// directory itself is looked at afterwards.
func ClearExecution(w *spec.Witness, server *spec.Side) string {
	return "set -euo pipefail\n" + executionDir(w, server) + `[ -d "$dir" ] || { echo "nothing at $dir"; exit 0; }
help=$(timeout 30 "$BINARY" removedb --help 2>&1) || true
` + knows + `args=("$BINARY" --network "$network" removedb --datadir "$base")
if knows --force; then args+=(--force); fi
"${args[@]}" < /dev/null
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
	return "set -euo pipefail\n" + consensusDir(w, server) + `[ -d "$dir" ] || { echo "nothing at $dir"; exit 0; }
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
