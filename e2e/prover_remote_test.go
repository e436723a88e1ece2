package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/sshdtest"
	"github.com/verdict-bench/verdict/internal/store"
)

// provingServer is a server that prover runs are carried out on, as ssh reaches
// it, with a clone of ethrex and a docker.
type provingServer struct {
	*localnet
	fleet  *sshdtest.Fleet
	commit string
}

// startProvingServer starts one. Its ethrex takes ethrex's flags and is the
// built-in rollup, its docker keeps a process for each container.
func startProvingServer(t *testing.T) *provingServer {
	t.Helper()
	fleet := sshdtest.Start(t, "server-1")
	home := fleet.Host("server-1").Home
	s := &provingServer{localnet: newLocalnetAt(t, home, t.TempDir()), fleet: fleet}
	clone := filepath.Join(home, "ethrex")
	s.verdict("devnet", "l1", "fixtures", "--out", filepath.Join(clone, "fixtures"))
	writeFile(t, filepath.Join(clone, "build.sh"), strings.ReplaceAll(ethrexBuild, "VERDICT", self(t)), 0o755)
	writeFile(t, filepath.Join(clone, ".gitignore"), "target\n", 0o644)
	git(t, clone, "init", "-q", "-b", "main")
	git(t, clone, "add", "-A")
	git(t, clone, "commit", "-q", "-m", "main")
	s.commit = git(t, clone, "rev-parse", "HEAD")
	bin := filepath.Join(home, "bin")
	writeFile(t, filepath.Join(bin, "docker"), strings.ReplaceAll(dockerStandIn, "VERDICT", self(t)), 0o755)
	fleet.Host("server-1").Profile("", bin)
	return s
}

// ethrexBuild makes an ethrex of its commit, which passes on to the built-in
// commands what they know.
const ethrexBuild = `set -e
mkdir -p target/release
cat >target/release/ethrex <<END
#!/bin/bash
commit=$(git rev-parse HEAD)
END
cat >>target/release/ethrex <<'END'
case "$1 $2" in
'l2 deploy') shift 2; exec VERDICT devnet l1 deploy "$@" ;;
'l2 prover') shift 2; exec VERDICT devnet prover --commit "$commit" "$@" ;;
l2\ *) shift; program=(devnet l2 --commit "$commit") ;;
*) program=(devnet l1) ;;
esac
args=()
while [ $# -gt 0 ]; do
  case $1 in
  --dev) shift ;;
  --p2p.port | --discovery.port | --osaka-activation-time | --block-producer.base-fee-vault-address | --block-producer.operator-fee-*) shift 2 ;;
  *) args+=("$1"); shift ;;
  esac
done
exec VERDICT "${program[@]}" "${args[@]}"
END
chmod +x target/release/ethrex
`

// dockerStandIn does what the plan of a run asks of docker, and records it.
const dockerStandIn = `#!/bin/bash
state=$HOME/docker
mkdir -p "$state"
printf '%s\n' "$*" >>"$state/calls"
id_of() { printf %s "$1" | sha256sum | cut -d' ' -f1; }
case "$1 $2" in
'image inspect') [ -e "$state/image" ] && echo "sha256:$(id_of image)" ;;
build\ *) : >"$state/image" ;;
ps\ *)
  case "$*" in *--quiet*) ;; *) exit 0 ;; esac
  for c in "$state"/*.pid; do [ -e "$c" ] && basename "$c" .pid; done
  exit 0 ;;
'volume ls') ;;
'inspect --format')
  case $3 in
  *Running*) kill -0 "$(cat "$state/$4.pid")" 2>/dev/null && echo true || echo false ;;
  *Image*) echo "sha256:$(id_of image)" ;;
  esac ;;
run\ *)
  while [ $# -gt 0 ]; do
    case $1 in
    --name) id=$(id_of "$2") ;;
    --publish) port=${2#127.0.0.1:} port=${port%:*} ;;
    --volume) genesis=${2%%:*} ;;
    esac
    shift
  done
  setsid VERDICT devnet l1 --network "$genesis" --http.port "$port" --datadir "$state/$id" >"$state/$id.log" 2>&1 </dev/null &
  echo $! >"$state/$id.pid"
  echo "$id" ;;
logs\ *) cat "$state/${!#}.log" ;;
rm\ *) kill -KILL "$(cat "$state/$4.pid")"; rm -rf "$state/$4.pid" "$state/$4"; echo "$4" ;;
*) echo "docker: what is $*?" >&2; exit 1 ;;
esac
`

// on are the arguments of a run on the server.
func (s *provingServer) on(run string, more ...string) []string {
	return s.args(run, append([]string{"--host", "server-1", "--ssh-config", s.fleet.Config, "--yes", "--backend", "exec",
		"--endless", "--tps", "100", "--timeouts", "ready=1m,funded=1m,loaded=2m,proof=2m"}, more...)...)
}

// Runs on a server, reached by a real sshd.
func TestProver_remote(t *testing.T) {
	if testing.Short() {
		t.Skip("brings up localnets")
	}
	for name, test := range map[string]func(*provingServer){
		"ethrex in docker": (*provingServer).ethrex, "built-in": (*provingServer).builtIn, "interrupted": (*provingServer).interrupted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(startProvingServer(t))
		})
	}
}

// The whole plan of ethrex: a ref is built, the L1 runs in a container of the
// run, and all commands have ethrex's flags.
func (s *provingServer) ethrex() {
	args := s.on("run", "--program", "ethrex", "--ref", "main", "--build", "sh build.sh", "--binary", "target/release/ethrex")
	if r := s.verdict(args...); r.status != 0 {
		s.t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	s.whole("run", sample.Baseline, 2)
	asPlanned(s.t, filepath.Join(s.dir, "run"))
	if m := s.manifest("run"); m.Sides[0].Commit != s.commit || !strings.Contains(m.Sides[0].Version, s.commit) || m.Sides[0].Environment == nil {
		s.t.Errorf("the manifest says %+v, and the build was of %s", m.Sides[0], s.commit)
	}
	calls, err := os.ReadFile(filepath.Join(s.home, "docker/calls"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, want := range []string{"build --tag ethrex:verdict-" + s.commit[:12], "run --detach --name verdict-l1-run-", "rm --force --volumes "} {
		if !bytes.Contains(calls, []byte(want)) {
			s.t.Errorf("docker was not asked to %s:\n%s", want, calls)
		}
	}
	for _, log := range []string{"l1", "deploy", "l2", "collector", "load", "prover"} {
		if info, err := os.Stat(filepath.Join(s.dir, "run/logs/s1-"+log+".log")); err != nil || info.Size() == 0 && log != "collector" && log != "load" {
			s.t.Errorf("the log of %s: %v", log, err)
		}
	}
	s.nothingLeft()
}

// The built-in rollup on a server: the connection breaks and the controller is
// killed, and the run goes on.
func (s *provingServer) builtIn() {
	c := s.begin(s.on("run", "--program", "verdict")...)
	s.reaches(c, "run", "start-l2-1")
	s.fleet.Host("server-1").Cut()
	s.reaches(c, "run", "prove-1")
	c.cmd.Process.Kill()
	c.end()
	if r := s.verdict(s.on("other", "--program", "verdict")...); r.status != 4 || !strings.Contains(r.stderr, "in use by the prover run") {
		s.t.Errorf("a run beside one that goes on: status %d: %s", r.status, r.stderr)
	}
	if r := s.verdict("prover", "--resume", "run", "--ssh-config", s.fleet.Config); r.status != 0 {
		s.t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	s.whole("run", sample.Baseline, 2)
	s.nothingLeft()
}

// An interrupt takes down what runs on the server, too.
func (s *provingServer) interrupted() {
	c := s.begin(s.on("run", "--program", "ethrex", "--ref", "main", "--build", "sh build.sh", "--binary", "target/release/ethrex", "--l1", "process")...)
	s.reaches(c, "run", "prove-1")
	if !waitUntil(time.Minute, func() bool {
		raw, _ := os.ReadFile(filepath.Join(s.dir, "run/samples-baseline.jsonl"))
		return bytes.Contains(raw, []byte(`"attempt"`))
	}) {
		s.t.Error("nothing was proved")
	}
	c.cmd.Process.Signal(os.Interrupt)
	if status := c.end(); status != 130 {
		s.t.Errorf("status %d: %s", status, c.stderr.String())
	}
	if m := s.manifest("run"); m.State != store.Incomplete {
		s.t.Errorf("the run is %s", m.State)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "run/report.md")); err != nil {
		s.t.Errorf("what was proved is not reported: %v", err)
	}
	s.nothingLeft()
}
