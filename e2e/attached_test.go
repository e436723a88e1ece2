package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is a process that a test started.
type program struct {
	cmd *exec.Cmd
	log bytes.Buffer
}

func start(t *testing.T, dir, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...)}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("%s %v:\n%s", name, args, p.log.String())
		}
	})
	return p
}

// node is an execution client that a test drives.
type node struct{ rpc, engine string }

// startNode starts a built-in node in dir.
func startNode(t *testing.T, dir, name string, extra ...string) node {
	t.Helper()
	addresses := filepath.Join(dir, name+".json")
	start(t, dir, "verdict", append([]string{"devnet", "node", "--network", "local", "--datadir", name,
		"--http.port", "0", "--authrpc.port", "0", "--authrpc.jwtsecret", "jwt.hex", "--addresses", addresses}, extra...)...)
	var a struct{ RPC, Engine string }
	eventually(t, 2*time.Minute, func() bool {
		raw, err := os.ReadFile(addresses)
		return err == nil && json.Unmarshal(raw, &a) == nil
	})
	return node{a.RPC, a.Engine}
}

// startGeth starts the real geth on the local genesis.
func startGeth(t *testing.T, dir string) node {
	t.Helper()
	geth := os.Getenv("VERDICT_GETH")
	if geth == "" {
		if os.Getenv("CI") == "true" || os.Getenv("VERDICT_REQUIRE") != "" {
			t.Fatal("no geth: set VERDICT_GETH, as make test does")
		}
		t.Skip("no geth: set VERDICT_GETH, as make test does")
	}
	for _, argv := range [][]string{
		{"verdict", "devnet", "genesis", "--out", "genesis.json"},
		{geth, "init", "--datadir", "geth", "--state.scheme", "path", "genesis.json"},
	} {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, out)
		}
	}
	http, engine := freePort(t), freePort(t)
	start(t, dir, geth, "--datadir", "geth", "--syncmode", "full", "--nodiscover", "--maxpeers", "0", "--port", "0",
		"--ipcdisable", "--http", "--http.port", http, "--http.api", "eth,net,web3,debug,txpool",
		"--authrpc.port", engine, "--authrpc.jwtsecret", "jwt.hex")
	return node{"http://127.0.0.1:" + http, "http://127.0.0.1:" + engine}
}

// freePort is a port that was free a moment ago, for programs that cannot
// choose one themselves and say which.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// secret writes a JWT secret for all nodes in dir.
func secret(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "jwt.hex"), []byte(strings.Repeat("5a", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// driveAll makes a block on all nodes every 300 ms until the test ends.
func driveAll(t *testing.T, dir string, nodes ...node) {
	t.Helper()
	args := []string{"devnet", "drive", "--authrpc.jwtsecret", "jwt.hex", "--gas", "1000000", "--slot", "300ms", "--builder", "rotate"}
	for i, n := range nodes {
		args = append(args, "--client", string(rune('a'+i))+"="+n.rpc+","+n.engine)
	}
	start(t, dir, "verdict", args...)
}

// measure runs verdict witness on two servers and returns the exit status and
// the JSON result.
func measure(t *testing.T, dir, baseline, test string, blocks string) (int, map[string]any, string) {
	t.Helper()
	cmd := exec.Command("verdict", "witness", "--baseline-rpc", baseline, "--test-rpc", test,
		"--blocks", blocks, "--warmup", "0", "--patience", "60s", "--out", filepath.Join(dir, "run"), "--json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var result map[string]any
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("stdout is not JSON: %v\n%s\n%s", err, out, stderr.String())
	}
	return cmd.ProcessState.ExitCode(), result, stderr.String()
}

// The built-in node and the real geth import the same blocks and give the same
// witnesses, each of which proves its block.
func TestWitness_builtInBesideGeth(t *testing.T) {
	dir := t.TempDir()
	secret(t, dir)
	geth := startGeth(t, dir)
	builtIn := startNode(t, dir, "node", "--precompute-witnesses")
	driveAll(t, dir, builtIn, geth)
	status, result, stderr := measure(t, dir, geth.rpc, builtIn.rpc, "200")
	parity := result["parity"].(map[string]any)
	if status != 0 || result["outcome"] == "invalid" || parity["ok"] != true || parity["equal"] != 200.0 || result["pairs"] != 200.0 {
		t.Errorf("status %d, %v, parity %v, pairs %v; want 200 equal pairs and a verdict\n%s", status, result["outcome"], parity, result["pairs"], stderr)
	}
	if verified := parity["verified"].([]any); verified[0] != 200.0 || verified[1] != 200.0 {
		t.Errorf("verified %v, want all 200 on both sides", verified)
	}
}

// A server that leaves one node of the state out is found out, however fast it
// is.
func TestWitness_incompleteAnswers(t *testing.T) {
	dir := t.TempDir()
	secret(t, dir)
	honest := startNode(t, dir, "node", "--precompute-witnesses")
	driveAll(t, dir, honest)
	cheat := httptest.NewServer(leavesOut(honest.rpc))
	defer cheat.Close()
	status, result, stderr := measure(t, dir, honest.rpc, cheat.URL, "3")
	if status != 5 || result["verdict"] != "invalid" {
		t.Errorf("status %d, verdict %v; want invalid", status, result["verdict"])
	}
	if !strings.Contains(stderr, "incomplete") && !strings.Contains(stderr, "answered differently") {
		t.Errorf("stderr does not say what is wrong:\n%s", stderr)
	}
	report, err := os.ReadFile(filepath.Join(dir, "run", "report.md"))
	if err != nil || !strings.Contains(string(report), "missing state node 0x") {
		t.Errorf("the report does not name what is missing (%v):\n%s", err, report)
	}
}

// leavesOut passes requests on and drops the largest state node from each
// witness.
func leavesOut(to string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		res, err := http.Post(to, "application/json", bytes.NewReader(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err == nil && bytes.Contains(body, []byte(`"debug_executionWitness"`)) {
			answer = dropLargest(answer)
		}
		w.Write(answer)
	})
}

func dropLargest(answer []byte) []byte {
	var response map[string]json.RawMessage
	var witness map[string][]string
	if json.Unmarshal(answer, &response) != nil || json.Unmarshal(response["result"], &witness) != nil {
		return answer // an error answer
	}
	state, largest := witness["state"], 0
	for i := range state {
		if len(state[i]) > len(state[largest]) {
			largest = i
		}
	}
	witness["state"] = append(state[:largest:largest], state[largest+1:]...)
	response["result"], _ = json.Marshal(witness)
	out, _ := json.Marshal(response)
	return out
}
