package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sshdtest"
)

// network is a small public network: a beacon that makes blocks.
type network struct {
	beacon string
	dir    string
}

// startNetwork starts one that makes a block in each slot.
func startNetwork(t testing.TB, slot string) network {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jwt.hex"), []byte(strings.Repeat("a1", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	node, beacon := filepath.Join(dir, "node.json"), filepath.Join(dir, "beacon.json")
	run(t, dir, "verdict", "devnet", "node", "--network", "local", "--datadir", "node", "--http.port", "0", "--authrpc.port", "0",
		"--authrpc.jwtsecret", "jwt.hex", "--addresses", node)
	engine := waitForAddress(t, node)["engine"]
	run(t, dir, "verdict", "devnet", "beacon", "--produce", "--slot", slot, "--gas", "1000000", "--execution-endpoint", engine,
		"--execution-jwt", "jwt.hex", "--http-port", "0", "--addresses", beacon)
	return network{waitForAddress(t, beacon)["http"], dir}
}

// waitForAddress waits for the file in which a program writes where it is.
func waitForAddress(t testing.TB, path string) map[string]string {
	t.Helper()
	var a map[string]string
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		raw, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(raw, &a) == nil {
			return a
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was not written", path)
		}
	}
}

// run starts a program that ends with the test.
func run(t testing.TB, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s %v:\n%s", name, args, log.String())
		}
	})
	return cmd
}

// fleet is two servers that are set up as the workflow document says: ethrex is
// the built-in node, built from a small repository, and Lighthouse the small
// beacon.
type fleet struct {
	*sshdtest.Fleet
	network network
	dir     string
	ports   [2]string
	// commits are those of main and of the pull request.
	commits [2]string
	slot    time.Duration
}

var aliases = [2]string{"server-1", "server-2"}

func startFleet(t testing.TB, slot string) *fleet {
	t.Helper()
	pace, err := time.ParseDuration(slot)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{network: startNetwork(t, slot), dir: t.TempDir(), slot: pace}
	f.Fleet = sshdtest.Start(t, aliases[0], aliases[1])
	verdict, err := exec.LookPath("verdict")
	if err != nil {
		t.Fatal(err)
	}
	f.makeRepository(t, verdict)
	for i, alias := range aliases {
		home := f.Host(alias).Home
		bin := filepath.Join(home, "bin")
		writeFile(t, filepath.Join(bin, "lighthouse"), "#!/bin/bash\nif [ \"$1\" = --version ]; then echo 'Lighthouse v0.0.0'; exit; fi\nexec "+verdict+" devnet beacon \"$@\"\n", 0o755)
		writeFile(t, filepath.Join(home, "secrets", "jwt.hex"), "0x"+strings.Repeat("5a", 32), 0o600)
		writeFile(t, filepath.Join(bin, "cargo"), "#!/bin/sh\nexec sh build.sh\n", 0o755)
		makeReplay(t, filepath.Join(home, "ethrex-replay"), verdict)
		f.Host(alias).Profile("", bin)
		git(t, home, "clone", "-q", filepath.Join(f.dir, "remote.git"), "ethrex")
		f.ports[i] = fmt.Sprintf("rpc=%s,engine=%s,beacon=%s,metrics=%s,p2p=%s", freePort(t), freePort(t), freePort(t), freePort(t), freePort(t))
	}
	return f
}

// makeRepository makes the repository of ethrex with a branch main and a pull
// request 7, whose build makes the built-in node with another way to store
// witnesses.
func (f *fleet) makeRepository(t testing.TB, verdict string) {
	t.Helper()
	work := filepath.Join(f.dir, "work")
	build := `set -e
mkdir -p target/release/libexec
ln -f ` + verdict + ` target/release/libexec/ethrex 2>/dev/null || cp ` + verdict + ` target/release/libexec/ethrex
cat > target/release/ethrex <<END
#!/bin/bash
if [ "\$3" = removedb ]; then
  rm -rf "\$5" && echo "Database removed successfully."
  exit
fi
exec "$PWD/target/release/libexec/ethrex" devnet node --identity $(git rev-parse HEAD) --witness-store $(cat form) "\$@"
END
chmod +x target/release/ethrex
`
	writeFile(t, filepath.Join(work, "build.sh"), build, 0o755)
	writeFile(t, filepath.Join(work, "form"), "generated\n", 0o644)
	git(t, work, "init", "-q", "-b", "main")
	git(t, work, "add", "-A")
	git(t, work, "commit", "-q", "-m", "main")
	f.commits[0] = git(t, work, "rev-parse", "HEAD")
	git(t, f.dir, "clone", "-q", "--bare", "work", "remote.git")
	writeFile(t, filepath.Join(work, "form"), "serialized\n", 0o644)
	git(t, work, "commit", "-q", "-a", "-m", "store witnesses as bytes")
	f.commits[1] = git(t, work, "rev-parse", "HEAD")
	git(t, work, "push", "-q", "../remote.git", "HEAD:refs/pull/7/head")
}

// makeReplay makes the repository of a program that prints the timing lines of
// ethrex-replay. It measures with verdict, and prints microseconds as
// milliseconds: the blocks here are small, and whole milliseconds of them zero.
func makeReplay(t testing.TB, dir, verdict string) {
	t.Helper()
	writeFile(t, filepath.Join(dir, "build.sh"), `mkdir -p target/release
cat > target/release/ethrex-replay <<'END'
#!/bin/bash
`+verdict+` collect --rpc "$4" --endless 2>/dev/null > >(sed -u -n 's/.*"number":\([0-9]*\).*"total_ns":\([0-9]*\).*/\1 \2/p' |
  while read -r number ns; do
    ms=$((ns / 1000))
    printf '%s DEBUG ethrex_replay::fetcher: Got execution witness for block %d in %02ds %03dms\n' "$(date -u +%FT%T.%6NZ)" "$number" $((ms / 1000)) $((ms % 1000))
  done) &
trap 'kill $!' TERM INT
wait $!
wait $! 2>/dev/null
END
chmod +x target/release/ethrex-replay
`, 0o755)
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "replay")
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func writeFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// args are those of a live run on the fleet, the directory of the run apart.
func (f *fleet) args(more ...string) []string {
	return append([]string{"witness", "--live", "--no-input", "--ssh-config", f.Config,
		"--baseline-host", aliases[0], "--test-host", aliases[1],
		"--baseline-ports", f.ports[0], "--test-ports", f.ports[1],
		"--network", "local", "--checkpoint-sync-url", f.network.beacon,
		"--test", "7", "--build", "sh build.sh", "--warmup", "2", "--poll", "1s"}, more...)
}

// result is how a command ended.
type result struct {
	status         int
	stdout, stderr string
}

// verdict runs the program to its end.
func (f *fleet) verdict(t testing.TB, args ...string) result {
	t.Helper()
	cmd := exec.Command("verdict", args...)
	cmd.Dir = f.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run()
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// port is one of a server's ports.
func (f *fleet) port(server int, name string) string {
	for _, p := range strings.Split(f.ports[server], ",") {
		if value, ok := strings.CutPrefix(p, name+"="); ok {
			return value
		}
	}
	panic("no port " + name)
}

// listens reports whether something listens at a port of this machine.
func listens(port string) bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err == nil {
		c.Close()
	}
	return err == nil
}
