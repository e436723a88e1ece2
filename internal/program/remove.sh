# Removes what $APPROVED names, one thing of $kind a line, and prints what it did.
# What is no longer exactly what was approved is left alone.
set -uo pipefail
failed=0

refuse() { # WHAT WHY
  printf '%s: %s; it was left alone\n' "$1" "$2" >&2
  failed=1
}

within() { # TENTHS PID START: does it end within so many tenths of a second?
  local i
  for ((i = 0; i < $1; i++)); do
    [ "$(started "$2")" = "$3" ] || return 0
    sleep 0.1
  done
  [ "$(started "$2")" != "$3" ]
}

processes() { # PID START BOOT NAME
  local pid start boot name program
  read -r pid start boot name <<<"$1"
  known "$name" || { refuse "process $pid" "\"$name\" is no program of a localnet"; return; }
  if [ "$boot" != "$(</proc/sys/kernel/random/boot_id)" ] || [ "$(started "$pid")" != "$start" ]; then
    echo "process $pid ($name) has ended"
    return
  fi
  if [ "$(<"/proc/$pid/comm")" != "$name" ]; then refuse "process $pid" "it is no longer $name"; return; fi
  # SIGTERM kills an L2 hard and leaves the container of a prover.
  kill -INT "$pid" 2>/dev/null
  if within 600 "$pid" "$start"; then echo "process $pid ($name) was stopped"; return; fi
  kill -KILL "$pid" 2>/dev/null
  if within 100 "$pid" "$start"; then echo "process $pid ($name) was killed"; return; fi
  refuse "process $pid ($name)" "it does not end, even killed"
}

containers() { # ID NAME
  local id name found
  read -r id name <<<"$1"
  found=$(docker ps --all --no-trunc --filter "id=$id" --format '{{.ID}} {{.Names}}') || { refuse "container $name" "docker does not list it"; return; }
  if [ -z "$found" ]; then echo "container $name is gone"; return; fi
  if [ "$found" != "$id $name" ]; then refuse "container $id" "it is $found, and $name was approved"; return; fi
  docker rm --force --volumes "$id" >/dev/null || { refuse "container $name" "docker does not remove it"; return; }
  echo "container $name was removed"
}

volumes() { # NAME
  has "$1" "${volumes[@]}" || { refuse "volume $1" "no localnet leaves a volume of that name"; return; }
  docker volume rm "$1" >/dev/null || { refuse "volume $1" "docker does not remove it"; return; }
  echo "volume $1 was removed"
}

holds() { # PATH: does a directory stand in it that databases are looked for in?
  local place
  for place in "$HOME" "${places[@]}"; do
    place=$(CDPATH= cd -- "$place" 2>/dev/null && pwd -P) || continue
    [[ $1 = / || $place/ == "$1"/* ]] && return
  done
  return 1
}

databases() { # PATH
  local place name path
  for place in "${places[@]}"; do
    for name in dev_ethrex_l1 dev_ethrex_l2 rollup_store; do
      path=$(CDPATH= cd -- "$place/$name" 2>/dev/null && pwd -P) || continue
      [ "$path" = "$1" ] || continue
      if holds "$path"; then
        refuse "$path" "it holds the home directory or a clone"
        return
      fi
      rm -rf -- "$path"
      if [ -e "$path" ]; then refuse "$path" "not all of it can be deleted"; return; fi
      echo "$path was deleted"
      return
    done
  done
  if [ -e "$1" ]; then refuse "$1" "it is no database of a localnet"; else echo "$1 is gone"; fi
}

while IFS= read -r line; do
  [ -n "$line" ] || continue
  case $kind in
    processes) processes "$line" ;;
    containers) containers "$line" ;;
    volumes) volumes "$line" ;;
    databases) databases "$line" ;;
  esac
done <<<"${APPROVED-}"
exit "$failed"
