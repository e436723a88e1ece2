package program

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
)

// runLabel is the label of a container that a run made: the name of the run's
// directory.
const runLabel = "verdict.run"

// containerFunctions are the shell functions of scripts about the container of a
// session's L1. Its name has the run's in it, so that two runs cannot meet.
const containerFunctions = `set -euo pipefail
run=${RUN##*/}
command -v docker >/dev/null || { echo "docker is not in the PATH of a login shell here" >&2; exit 4; }
container() { # the id of the container of this run and session, if there is one
  docker ps --all --no-trunc --quiet --filter "label=` + runLabel + `=$run" --filter "name=^/?$name\$"
}
`

// Image is what the script of ImageScript prints.
type Image struct {
	// ID is the image's, "sha256:" and 64 digits; Tag is what it is called.
	ID  string `json:"id"`
	Tag string `json:"tag"`
	// Cached says that it was there before.
	Cached bool `json:"cached"`
}

// ImageScript is the script that sees to it that the image of the L1 is there: it
// is pulled where the spec names one, or else built from the sources in WORKTREE
// and tagged by their commit, which a stale image of another commit has not. It
// prints what ParseImage reads as its last line.
func ImageScript(p *spec.Prover) string {
	const print = `id=$(docker image inspect --format '{{.Id}}' "$tag")
printf '{"id":"%s","tag":"%s","cached":%s}\n' "$id" "$tag" "$cached"
`
	const head = `set -euo pipefail
command -v docker >/dev/null || { echo "docker is not in the PATH of a login shell here" >&2; exit 4; }
cached=true
`
	if p.L1Image != "" {
		return head + "tag=" + shell.Quote(p.L1Image) + `
if ! docker image inspect "$tag" >/dev/null 2>&1; then
  cached=false
  docker pull --quiet "$tag" >&2
fi
` + print
	}
	return head + `commit=$(git -C "$WORKTREE" rev-parse HEAD)
tag=ethrex:verdict-${commit:0:12}
if ! docker image inspect "$tag" >/dev/null 2>&1; then
  cached=false
  docker build --tag "$tag" --label "verdict.commit=$commit" "$WORKTREE" >&2 </dev/null
fi
` + print
}

// ParseImage reads what the script of ImageScript printed: its last line.
func ParseImage(stdout []byte) (Image, error) {
	var i Image
	if err := lastLine(stdout, &i); err != nil {
		return i, fmt.Errorf("the image of the L1: %w", err)
	}
	if !isDigest(i.ID) || i.Tag == "" {
		return i, fmt.Errorf("the image of the L1: docker names no id but %.100q", i.ID)
	}
	return i, nil
}

// Container is the container of an L1 that the script of StartContainer started.
type Container struct {
	// ID is the container's, 64 digits; Image that of its image.
	ID    string `json:"id"`
	Image string `json:"image"`
	Name  string `json:"name"`
}

// StartContainer is the script that starts the L1 of a session in a container of
// this run, from the image IMAGE, an id. One that runs already is left as it is.
// It prints what ParseContainer reads. The chain is in the container and goes
// with it.
func (r Rollup) StartContainer(session int) string {
	return containerFunctions + fmt.Sprintf(`name=verdict-l1-$run-s%d
id=$(container)
if [ -z "$id" ]; then
  id=$(docker run --detach --name "$name" --label "%s=$run" \
    --publish 127.0.0.1:%d:8545 \
    --volume "$WORKTREE/fixtures/%s:/genesis/l1.json:ro" \
    "$IMAGE" --network /genesis/l1.json --http.addr 0.0.0.0 --http.port 8545 --dev </dev/null)
elif [ "$(docker inspect --format '{{.State.Running}}' "$id")" != true ]; then
  echo "the L1 of this run, container $name, has ended; the end of its log:" >&2
  docker logs --tail 30 "$id" >&2
  exit 1
fi
image=$(docker inspect --format '{{.Image}}' "$id")
printf '{"id":"%%s","image":"%%s","name":"%%s"}\n' "$id" "$image" "$name"
`, session, runLabel, r.spec.Ports.L1, L1Genesis)
}

// ParseContainer reads what the script of StartContainer printed: its last line.
func ParseContainer(stdout []byte) (Container, error) {
	var c Container
	if err := lastLine(stdout, &c); err != nil {
		return c, fmt.Errorf("the container of the L1: %w", err)
	}
	if !hexDigits(c.ID, 64) || !isDigest(c.Image) {
		return c, fmt.Errorf("the container of the L1: docker names no id but %.100q", c.ID)
	}
	return c, nil
}

// StopContainer is the script that keeps the log of a session's L1 and removes
// its container, CONTAINER, if that has the name and the label that this run gave
// it. One that is gone is none to be stopped.
func (r Rollup) StopContainer(session int) string {
	dir := strings.Replace(r.dir, RunWord, `$RUN`, 1)
	return containerFunctions + fmt.Sprintf(`name=verdict-l1-$run-s%d
id=$(container)
if [ -z "$id" ]; then echo "did not run"; exit 0; fi
if [ -n "${CONTAINER-}" ] && [ "$id" != "$CONTAINER" ]; then
  echo "the container $name is $id, and this run started $CONTAINER: it was left alone" >&2
  exit 1
fi
docker logs "$id" >"%s/l1.log" 2>&1 || true
docker rm --force --volumes "$id" >/dev/null
[ -z "$(container)" ] || { echo "the container $name is still there" >&2; exit 1; }
echo stopped
`, session, dir)
}

// VerifyContainers is the script that fails, naming it, when a container is left
// that a session should have none of any more: one with the label of this run,
// or the one in which SP1 proves on a GPU, whose prover removes it only when it
// ends as it was told to. It is empty when the session has none, or may keep it.
func (r Rollup) VerifyContainers() string {
	var checks string
	if p := r.spec; p.L1 == spec.Docker && !p.Running && !p.Keep {
		checks += fmt.Sprintf("gone --filter \"label=%s=${RUN##*/}\"\n", runLabel)
	}
	if r.provesInContainer() {
		log := strings.Replace(r.dir, RunWord, `"$RUN"`, 1) + "/prover.log"
		checks += fmt.Sprintf("[ ! -e %s ] || gone --filter 'name=^/?%s$'\n", log, sp1Container)
	}
	if checks == "" {
		return ""
	}
	return `set -uo pipefail
left=0
gone() { # FILTER...: docker takes a moment to remove one
  local names
  for _ in {1..50}; do
    names=$(docker ps --all --format '{{.Names}}' "$@") || { left=1; return; }
    [ -n "$names" ] || return 0
    sleep 0.2
  done
  echo "the container" $names "is still there; docker rm --force" $names "removes it" >&2
  left=1
}
` + checks + "exit $left\n"
}

// sp1Container is the container that a prover with SP1 on a GPU starts.
const sp1Container = "sp1-gpu"

// provesInContainer reports whether the session's prover starts that.
func (r Rollup) provesInContainer() bool { return r.spec.Backend == spec.SP1 && r.spec.GPU }

// The variables of scripts about containers, beside those of every script.
const (
	ImageVariable     = "IMAGE"
	ContainerVariable = "CONTAINER"
)

// lastLine decodes the last line of what a script printed.
func lastLine(stdout []byte, into any) error {
	text := strings.TrimSpace(string(stdout))
	last := text[strings.LastIndexByte(text, '\n')+1:]
	dec := json.NewDecoder(strings.NewReader(last))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil || dec.More() {
		return fmt.Errorf("%.100q was printed, which does not say it", opening(last))
	}
	return nil
}

// isDigest reports whether s is the id of an image.
func isDigest(s string) bool {
	digits, ok := strings.CutPrefix(s, "sha256:")
	return ok && hexDigits(digits, 64)
}
