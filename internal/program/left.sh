export LC_ALL=C

has() { # WORD ARGUMENT...
  local word=$1 arg
  shift
  for arg in "$@"; do [ "$arg" = "$word" ] && return; done
  return 1
}

started() { # PID: since when it runs
  local line
  { line=$(</proc/"$1"/stat); } 2>/dev/null || return 1
  set -- ${line##*) }
  case $1 in [ZX]) return 1 ;; esac
  printf '%s\n' "${20}"
}

# known NAME: sets program to the one that a process of that name is. A released
# ethrex has its platform in the name, and on servers verdict has its checksum.
known() {
  case $1 in
    load_test) program=load_test ;;
    ethrex | ethrex-l2* | ethrex-linux*) program=ethrex ;;
    verdict | verdict-*) program=verdict ;;
    *) return 1 ;;
  esac
}
