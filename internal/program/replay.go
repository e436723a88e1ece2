package program

import (
	"fmt"
	"strings"

	"github.com/verdict-bench/verdict/internal/shell"
)

// Replay is one supervised ethrex-replay. Paths may begin with ~/, which is the
// home directory of the server.
type Replay struct {
	// Binary is the built ethrex-replay.
	Binary string
	// Port is where the execution client serves its JSON-RPC on the server.
	Port uint16
	// Log is the file that everything is appended to.
	Log string
	// CacheDir is the directory, made when missing, in which each start of
	// ethrex-replay gets a new cache directory of its own.
	CacheDir string
	// StopFile ends the supervision when it appears.
	StopFile string
}

// ReplayScript is the bash script, for Linux, that keeps ethrex-replay collecting, for the
// tmux session [ReplaySession]: ethrex-replay ends at the first error of the
// server, so it is started again, at growing intervals, until the stop file
// exists or the script gets TERM, INT or HUP. Either also ends ethrex-replay.
// With the stop file there already it does nothing.
//
// Each start has an empty cache directory, since a block that is read from the
// cache has no timing line, and a kill leaves files there. The script's own
// lines in the log begin with "verdict: ".
func ReplayScript(r Replay) string {
	var b strings.Builder
	for _, v := range []struct{ name, value string }{
		{"binary", shell.Path(r.Binary)},
		{"url", shell.Quote(fmt.Sprintf("http://localhost:%d", r.Port))},
		{"log", shell.Path(r.Log)},
		{"caches", shell.Path(r.CacheDir)},
		{"stop", shell.Path(r.StopFile)},
	} {
		fmt.Fprintf(&b, "%s=%s\n", v.name, v.value)
	}
	return b.String() + replaySupervisor
}

// replaySupervisor is the part of the script that is always the same.
//
// A line that ethrex-replay did not finish could read as another duration than
// it was about to tell; the 0 behind it makes it none, so that the reader of the
// log refuses it.
//
// A process is known by its pid and start time, so that another one that has
// been given the pid is never signaled. A signal to the script only sets a
// variable: acted upon at once, it could come between the start of a program and
// the line that notes its pid, and leave that running. There is no command
// substitution, because bash loses a signal that arrives while it parses one.
const replaySupervisor = `set -u
# ethrex-replay logs the latency of a witness at debug, and in color unless told.
export NO_COLOR=1 RUST_LOG=ethrex_replay=debug
child= born= start= cache= asked= starts=0
trap 'asked=1' TERM INT HUP

say() {
  if tail -c 1 -- "$log" 2>/dev/null | grep -q .; then printf '0 (cut off)\n' >>"$log"; fi
  printf 'verdict: %s\n' "$1" >>"$log"
  printf '%s\n' "$1"
}
started() { # PID: is it alive, and since when (start)?
  local line=
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- ${line##*) }
  start=${20}
  [ "$1" != Z ]
}
running() { [ -n "$child" ] && started "$child" && [ "$start" = "$born" ]; }
pause() { sleep "$1" & wait "$!"; }
empty_cache() {
  cache=
  until [ -n "$cache" ]; do
    starts=$((starts + 1))
    if mkdir -- "$caches/$$-$starts"; then cache=$caches/$$-$starts; elif [ ! -e "$caches/$$-$starts" ]; then return 1; fi
  done
}
begin_child() {
  "$binary" blocks --endless --rpc-url "$url" --cache-level off --cache-dir "$cache" </dev/null >>"$log" 2>&1 &
  child=$! born=
  if started "$child"; then born=$start; fi
}
end_child() {
  local tries=0
  if running; then kill -TERM "$child"; fi
  while running && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  if running; then kill -KILL "$child"; fi
  reap
}
reap() {
  status=0
  [ -z "$child" ] || wait "$child" 2>/dev/null || status=$?
  child=
  [ -z "$cache" ] || rm -rf -- "$cache"
  cache=
}
over() { [ -n "$asked" ] || [ -e "$stop" ]; }

case $log in */*) mkdir -p -- "${log%/*}" || exit 1 ;; esac
mkdir -p -- "$caches" || exit 1
if [ ! -x "$binary" ]; then
  say "$binary is no program that can be run"
  exit 1
fi
printf 'ethrex-replay writes to %s\n' "$log"
delay=1
while ! over; do
  began=$SECONDS
  if empty_cache; then
    begin_child
    while running && ! over; do pause 1; done
    if running; then break; fi
    reap
    ended="exited with status $status"
  else
    ended="has no cache directory"
  fi
  # One that ran for a while did not fail at the start.
  if [ $((SECONDS - began)) -ge 60 ]; then delay=1; fi
  say "ethrex-replay $ended, restarting in $delay s"
  waited=0
  while [ "$waited" -lt "$delay" ] && ! over; do pause 1; waited=$((waited + 1)); done
  delay=$((delay * 2 > 30 ? 30 : delay * 2))
done
end_child
if [ -n "$asked" ]; then say "ethrex-replay was stopped by a signal"; else say "ethrex-replay was stopped"; fi
`

// The files of a supervised ethrex-replay in the run's directory on a server.
const (
	ReplayLog        = "replay.log"
	ReplaySupervisor = "replay-supervisor"
)

// StartReplay is the script that starts a supervised ethrex-replay, BINARY, in
// its tmux session.
func StartReplay(port uint16) string {
	supervisor := "cd \"$(dirname \"$0\")\" || exit 1\n" + ReplayScript(Replay{
		Binary: "./ethrex-replay", Port: port, Log: ReplayLog, CacheDir: "replay-cache", StopFile: "replay.stop",
	})
	return inSession(ReplaySession, ReplaySupervisor, `ln -sfn "$BINARY" "$RUN/ethrex-replay"
rm -f "$RUN/replay.stop"
printf '%s' `+shell.Quote(supervisor)+` > "$RUN/replay.supervisor"
args=(bash "$RUN/replay.supervisor")
`)
}
