# Prints what earlier localnets left and who listens on the ports, one JSON
# object a line. It changes nothing, and shows no argument that could be a
# secret.
set -uo pipefail

text() { # a string of JSON
  printf '"%s"' "$(printf %s "$1" | tr '\n\t' '  ' | tr -d '\000-\037\177' | sed 's/[\\"]/\\&/g')"
}

boot=$(</proc/sys/kernel/random/boot_id)

contained() { # PID: is it in a container, and so gone with that?
  grep -qE 'docker|containerd|kubepods|libpod' "/proc/$1/cgroup" 2>/dev/null
}

# localnet ARGUMENT...: is this a program of a localnet? An ethrex that follows a
# public network is none.
localnet() {
  case $program in
    load_test) return 0 ;;
    ethrex) [ "${2-}" = l2 ] || has --dev "$@" ;;
    verdict)
      case "${2-} ${3-}" in
        'devnet l1' | 'devnet l2' | 'devnet prover' | 'collect prover') return 0 ;;
        load\ *) return 0 ;;
        *) return 1 ;;
      esac
      ;;
    *) return 1 ;;
  esac
}

address() { # URL: its host and port, without what may be secret
  local rest=${1#*://}
  rest=${rest%%/*}
  printf %s "${rest##*@}"
}

role() { # ARGUMENT...: its words before the first flag, and harmless flags
  local said=${1##*/} flags=
  shift
  while [ $# -gt 0 ]; do
    case $1 in --?*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
    case $1 in
      --dev) flags=yes said+=" $1" ;;
      --datadir | --http.port | --backend | --out)
        flags=yes said+=" $1 ${2-}"
        [ $# -gt 1 ] && shift
        ;;
      --proof-coordinators | --node | -n | --rpc)
        flags=yes said+=" $1 $(address "${2-}")"
        [ $# -gt 1 ] && shift
        ;;
      -*) flags=yes ;;
      *) [ -n "$flags" ] || said+=" $1" ;;
    esac
    shift
  done
  printf %s "$said"
}

pointed() { # PID ROLE: where its environment points it, unless its arguments do
  local line
  { while IFS= read -r -d '' line; do
    case $line,$2 in
      *' --proof-coordinators '* | *' --node '* | *' -n '*) ;;
      LOAD_TEST_RPC_URL=?*,*load*) printf ' --node %s' "$(address "${line#*=}")" ;;
      PROVER_CLIENT_PROOF_COORDINATOR_URL=?*,*prover*) printf ' --proof-coordinators %s' "$(address "${line#*=}")" ;;
    esac
  done <"/proc/$1/environ"; } 2>/dev/null
}

processes() {
  local dir pid comm program start argv does
  for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    [ -O "$dir" ] && [ "$pid" != $$ ] || continue
    { comm=$(<"$dir/comm"); } 2>/dev/null && known "$comm" || continue
    argv=()
    { mapfile -d '' -t argv <"$dir/cmdline"; } 2>/dev/null
    [ ${#argv[@]} -gt 0 ] && localnet "${argv[@]}" && ! contained "$pid" && start=$(started "$pid") || continue
    does=$(role "${argv[@]}")
    printf '{"kind":"process","pid":%d,"start_time":"%s","boot_id":"%s","name":%s,"role":%s}\n' \
      "$pid" "$start" "$boot" "$(text "$comm")" "$(text "$does$(pointed "$pid" "$does")")"
  done
}

docked() {
  local id name image status run volume listed
  command -v docker >/dev/null || return 0
  if ! listed=$(timeout 30 docker ps --all --no-trunc --format "{{.ID}}|{{.Names}}|{{.Image}}|{{.Status}}|{{.Label \"$label\"}}"); then
    echo "docker does not list its containers: none of them is known" >&2
    return 0
  fi
  while IFS='|' read -r id name image status run; do
    [ -n "$id" ] && { has "$name" "${containers[@]}" || [ -n "$run" ]; } || continue
    printf '{"kind":"container","id":"%s","name":%s,"image":%s,"status":%s,"run":%s}\n' \
      "$id" "$(text "$name")" "$(text "$image")" "$(text "$status")" "$(text "$run")"
  done <<<"$listed"
  for volume in $(timeout 30 docker volume ls --format '{{.Name}}'); do
    if has "$volume" "${volumes[@]}"; then printf '{"kind":"volume","name":%s}\n' "$(text "$volume")"; fi
  done
}

databases() {
  local place name path shown=$'\n'
  for place in "${places[@]}"; do
    for name in dev_ethrex_l1 dev_ethrex_l2 rollup_store; do
      [ -d "$place/$name" ] && path=$(CDPATH= cd -- "$place/$name" 2>/dev/null && pwd -P) || continue
      [[ $shown != *$'\n'"$path"$'\n'* ]] || continue
      shown+=$path$'\n'
      printf '{"kind":"database","path":%s,"bytes":%d}\n' "$(text "$path")" $(($(du -sk -- "$path" 2>/dev/null | cut -f1) * 1024))
    done
  done
  if [ -n "$env" ] && [ -f "$env" ]; then
    printf '{"kind":"env","path":%s,"bytes":%d}\n' "$(text "$env")" "$(wc -c <"$env")"
  fi
}

listeners() {
  local number inode pid comm
  for number in "${ports[@]}"; do
    inode=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
      awk -v port="$(printf '%04X' "$number")" '$4 == "0A" && substr($2, length($2) - 3) == port { print $10; exit }')
    [ -n "$inode" ] || continue
    pid=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$inode\]" -print -quit 2>/dev/null)
    pid=${pid#/proc/} pid=${pid%%/*}
    comm=
    if [ -n "$pid" ]; then { comm=$(<"/proc/$pid/comm"); } 2>/dev/null; fi
    printf '{"kind":"port","port":%d,"pid":%d,"name":%s}\n' "$number" "${pid:-0}" "$(text "$comm")"
  done
}

processes
docked
databases
listeners
