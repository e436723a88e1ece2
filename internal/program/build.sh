# Builds $ref of the clone $repository with the command $build, which makes the
# file $binary, in a worktree of its own. Everything is in functions that are
# called at the end, so that the shell has read the whole script before a
# command could read the rest of it.
set -uo pipefail

notes=() commit= source= other= behind=-1 merge_base= digest= cached=false building= scratch=
root=$HOME/.verdict/worktrees

die() { # STATUS LINE...
  local status=$1
  shift
  printf '%s\n' "$@"
  exit "$status"
}

git_() { # no hook of the user's and nothing in the background
  command git -C "$repository" -c core.hooksPath=/dev/null -c gc.auto=0 -c maintenance.auto=false \
    -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "$@"
}

sum() { # FILE: its SHA-256; of standard input without one
  if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi | cut -d' ' -f1
}

without_credentials() { sed -E 's#(://)[^/@[:space:]]*@#\1#g'; }

said() { without_credentials <"$scratch" | grep -v '^$' | head -n 3; } # by git, the last time

origin() { git_ config remote.origin.url | without_credentials; }

peel() { # NAME: the commit that it names
  git_ rev-parse --verify --quiet --end-of-options "$1^{commit}" 2>/dev/null
}

has() { git_ show-ref --verify --quiet "$1"; } # REF: is it there?

private() { # REF: where it is kept; flat, so that no name stands in another's way
  printf 'refs/verdict/%s' "$(printf %s "$1" | git_ hash-object --stdin)"
}

fetch() { # REFSPEC
  git_ fetch --quiet --force --no-tags --no-write-fetch-head --no-recurse-submodules --refmap= --prune \
    origin "$1" 2>"$scratch"
}

prepare() {
  local needed
  for needed in git flock; do
    command -v "$needed" >/dev/null ||
      die 4 "$needed is not in the PATH of a login shell here; on Debian it is in the package ${needed/flock/util-linux}"
  done
  mkdir -p -- "$root" || die 4 "no directory for worktrees can be made"
  scratch=$(mktemp) || die 4 "no temporary file can be made"
  trap 'rm -f -- "$scratch"; [ -n "$building" ] || { flock -u 9; flock -u 8; } 2>/dev/null' EXIT
  # shellcheck disable=SC2046 # a list of names
  unset $(git rev-parse --local-env-vars)
  unset CARGO_TARGET_DIR
  # Nobody is there to be asked.
  export GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true
  [ -d "$repository" ] || die 2 "there is no directory $repository to build from"
  git_ rev-parse --git-dir >/dev/null 2>"$scratch" || die 2 "$repository is no git clone: $(said)"
  if [ -z "${GIT_SSH_COMMAND:-}${GIT_SSH:-}" ] && ! git_ config core.sshCommand >/dev/null; then
    export GIT_SSH_COMMAND='ssh -o BatchMode=yes -o ConnectTimeout=20'
  fi
  local common
  common=$(git_ rev-parse --path-format=absolute --git-common-dir)
  name=${common%/.git}
  name=${name##*/}
  name=${name%.git}
  name=${name//[^A-Za-z0-9._-]/_}
}

# resolve sets commit and source. What origin has goes before what is here,
# because that is what a pull would give; a hash is the same everywhere.
resolve() { # REF
  local ref=$1 base suffix names=() listed full
  base=${ref%%[~^]*}
  suffix=${ref#"$base"}
  if [[ $base == -* || ! $suffix =~ ^([~^][0-9]*)*$ ]] || ! git check-ref-format "refs/heads/$base"; then
    die 2 "\"$ref\" is no name that a ref can have"
  fi
  commit= source=
  case $base in
    HEAD | @ | refs/heads/*) commit=$(peel "$base") && source="$base of $repository" ;;
    pull/*) names=("refs/$base") ;;
    origin/*) names=("refs/heads/${base#origin/}") ;;
    refs/*) names=("$base") ;;
    *)
      if [[ $base =~ ^[0-9a-fA-F]{7,40}$ ]]; then commit=$(peel "$base") && source="its hash"; fi
      names=("refs/heads/$base" "refs/tags/$base")
      ;;
  esac
  if [ -z "$commit" ] && [ ${#names[@]} -gt 0 ]; then
    if ! git_ config remote.origin.url >/dev/null; then
      in_clone "$base" "there is no remote named origin"
    elif listed=$(git_ ls-remote --quiet origin "${names[@]}" 2>"$scratch"); then
      from_origin "$base" "$listed" "${names[@]}"
    else
      last_known "$base" "${names[@]}"
    fi
  fi
  [ -n "$commit" ] || die 2 "$repository has no ref or commit \"$ref\", and neither has its origin, $(origin)"
  if [ -n "$suffix" ]; then
    commit=$(peel "$commit$suffix") || die 2 "$base of $repository has no commit $suffix"
  fi
}

from_origin() { # BASE LISTED NAME...
  local base=$1 listed=$2 full mine
  shift 2
  for full in "$@"; do
    [[ $'\n'$listed$'\n' == *$'\t'"$full"$'\n'* ]] || continue
    fetch "+$full:$(private "$full")" || die 4 "fetching $full: $(said)"
    commit=$(peel "$(private "$full")") || die 2 "$full of origin is no commit"
    source="$full of origin"
    if [ "$full" = "refs/heads/$base" ] && mine=$(peel "$full") && [ "$mine" != "$commit" ]; then
      notes+=("the branch $base of origin (${commit:0:12}) is taken, from which the one of $repository (${mine:0:12}) differs; $full names the latter")
    fi
    return
  done
  if [[ $base =~ ^[0-9a-fA-F]{40}$ ]]; then
    fetch "+$base:$(private "$base")" && commit=$(peel "$base") && source="its hash, from origin"
  elif [[ $base =~ ^[0-9a-fA-F]{7,39}$ ]]; then
    fetch '+refs/heads/*:refs/verdict/heads/*' && commit=$(peel "$base") && source="its hash, from origin"
  fi
  [ -n "$commit" ] || in_clone "$base" "origin has no $base"
}

in_clone() { # BASE WHY: takes what is here
  local full
  for full in "refs/heads/$1" "refs/tags/$1" "refs/remotes/$1" "$1"; do
    [[ $full == refs/* ]] && has "$full" && commit=$(peel "$full") || continue
    source="$full of $repository"
    notes+=("$2, so $source is taken (${commit:0:12})")
    return
  done
}

last_known() { # BASE NAME...: takes what origin last had, as far as is known
  local base=$1 why newest kept=() full
  why=$(said)
  shift
  for full in "$@"; do
    kept+=("$(private "$full")")
    if [[ $full == refs/heads/* ]]; then kept+=("refs/remotes/origin/${full#refs/heads/}"); fi
  done
  newest=$(git_ for-each-ref --sort=-creatordate --count=1 --format='%(refname)' "${kept[@]}")
  if [ -n "$newest" ] && commit=$(peel "$newest"); then
    source="$base as it was last fetched from origin"
    notes+=("origin cannot be reached, so $source is taken (${commit:0:12}): ${why%%$'\n'*}")
    return
  fi
  in_clone "$base" "origin cannot be reached"
  [ -n "$commit" ] || die 4 "\"$base\" is not known here and origin cannot be reached: $why"
}

compare() { # how far the commit is behind the other
  if [ "$(git_ rev-parse --is-shallow-repository)" != false ]; then
    notes+=("$repository is a shallow clone: how the refs are related is not known")
  elif ! merge_base=$(git_ merge-base "$commit" "$other"); then
    notes+=("$ref and $against have no commit in common")
  else
    behind=$(git_ rev-list --count "$commit..$other")
  fi
}

alone() { # one at a time fetches and adds worktrees; given back, whoever has inherited it
  exec 8>"$root/$name.lock" || die 4 "$root/$name.lock cannot be written"
  flock 8
}

together() {
  flock -u 8
  exec 8>&-
}

mend() { # what a killed attempt to add a worktree left has a commit of zeros, which no fetch survives
  local common made of head
  common=$(git_ rev-parse --path-format=absolute --git-common-dir)
  for made in "$common"/worktrees/"$name"-*; do
    { read -r of <"$made/gitdir"; } 2>/dev/null || continue
    [[ $of == */.verdict/worktrees/* ]] || continue
    { read -r head <"$made/HEAD"; } 2>/dev/null || head=
    [[ $head == *[!0]* ]] || rm -rf -- "$made"
  done
}

whole() { # was it built before, and to the end?
  local of made
  { read -r of && read -r made; } 2>/dev/null <"$dir.built" || return 1
  [ "$of" = "$commit" ] && [ -x "$dir/$binary" ] && digest=$(sum "$dir/$binary") && [ "$digest" = "$made" ]
}

make() { # a new worktree each time: nothing of an attempt that was cut short is taken over
  local status
  alone
  mend
  rm -rf -- "$dir" "$dir.built"
  git_ worktree add --quiet --force --force --detach -- "$dir" "$commit" >/dev/null 2>"$scratch" ||
    die 4 "making the worktree $dir: $(said)"
  together
  building=yes
  (cd -- "$dir" && exec bash -c "$build") >"$dir.log" 2>&1
  status=$?
  building=
  if [ $status -ne 0 ]; then
    printf 'building "%s" (%s) with "%s" ended with status %d; the end of %s:\n' "$ref" "${commit:0:12}" "$build" $status "$dir.log"
    tail -n 30 -- "$dir.log"
    exit 1
  fi
  [ -f "$dir/$binary" ] && [ -x "$dir/$binary" ] ||
    die 1 "building \"$ref\" (${commit:0:12}) with \"$build\" made no executable file $binary in $dir"
  digest=$(sum "$dir/$binary")
  printf '%s\n%s\n' "$commit" "$digest" >"$dir.built.new" && mv -- "$dir.built.new" "$dir.built" ||
    die 4 "$dir.built cannot be written"
}

main() {
  prepare
  alone
  mend
  if [ -n "$against" ]; then
    resolve "$against"
    other=$commit notes=()
  fi
  resolve "$ref"
  if [ -n "$against" ]; then compare; fi
  together
  dir=$root/$name-${commit:0:12}-$(printf '%s\n%s' "$build" "$binary" | sum | cut -c1-8)
  if whole; then
    cached=true
    return
  fi
  # The build command inherits the lock: if this shell is killed and the build
  # goes on, the next one waits for it.
  exec 9>"$dir.lock" || die 4 "$dir.lock cannot be written"
  flock 9
  if whole; then cached=true; else make; fi
  flock -u 9
  exec 9>&-
}

text() { # a string of JSON
  printf '"%s"' "$(printf %s "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/[\\"]/\\&/g')"
}

main >&2 </dev/null
printf '{"commit":"%s","source":%s,"binary":%s,"sha256":"%s","cached":%s,"behind":%d' \
  "$commit" "$(text "$source")" "$(text "$dir/$binary")" "$digest" "$cached" "$behind"
if [ -n "$merge_base" ]; then printf ',"merge_base":"%s"' "$merge_base"; fi
if [ ${#notes[@]} -gt 0 ]; then
  printf ',"notes":['
  for i in "${!notes[@]}"; do
    if [ "$i" -gt 0 ]; then printf ,; fi
    text "${notes[$i]}"
  done
  printf ']'
fi
printf '}\n'
