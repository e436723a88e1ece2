package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/coordinator"
)

// part is a process of a rollup, with its output in a file.
type part struct {
	cmd  *exec.Cmd
	path string
}

// rollup is a built-in rollup of real processes in one directory. Its ports are
// free ones that stay over restarts.
type rollup struct {
	t   *testing.T
	dir string
	// env holds the public keys and, once deployed, the contracts.
	env []string
	// l1 and what follows are the URLs of its parts.
	l1, rpc, metrics, coordinator, admin string

	starts int
}

// public keys of ethrex's local network.
const (
	committerKey = "0x385c546456b6a603a1cfcaa9ec9494ba4832da08dd6bcf4de9a71e4a01b74924"
	senderKey    = "0x39725efee3fb28614de3bacaffe4cc4bd8c436257e2c8bb887c4b5c4be45e76d"
)

// start starts a part, which is killed with the test at the latest.
func (r *rollup) start(name string, args ...string) *part {
	r.t.Helper()
	r.starts++
	p := &part{path: filepath.Join(r.dir, fmt.Sprintf("%s-%d.log", name, r.starts)), cmd: exec.Command("verdict", args...)}
	log, err := os.Create(p.path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close() // the process has its own
	p.cmd.Dir, p.cmd.Env = r.dir, append(os.Environ(), r.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		p.kill()
		if r.t.Failed() {
			r.t.Logf("%s:\n%s", name, tail(p.log(r.t)))
		}
	})
	return p
}

// tail is the end of a log.
func tail(log string) string { return log[max(0, len(log)-8000):] }

func (p *part) log(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// kill is kill -9.
func (p *part) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// end interrupts a part, which then ends with exit status 0.
func (p *part) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v: %v\n%s", p.cmd.Args, err, tail(p.log(t)))
	}
}

// once runs a command that ends by itself, with exit status 0.
func (r *rollup) once(name string, args ...string) {
	r.t.Helper()
	p := r.start(name, args...)
	if err := p.cmd.Wait(); err != nil {
		r.t.Fatalf("%v: %v\n%s", args, err, p.log(r.t))
	}
}

// startL1 starts the L1.
func (r *rollup) startL1() *part {
	r.t.Helper()
	p := r.start("l1", "devnet", "l1", "--network", "fixtures/genesis/l1.json", "--datadir", "l1",
		"--http.port", freePort(r.t), "--block-time", "200", "--addresses", "l1.json")
	var at struct{ RPC string }
	readWhenThere(r.t, filepath.Join(r.dir, "l1.json"), &at)
	r.l1 = at.RPC
	return p
}

// startL2 starts the L2, the first time on free ports.
func (r *rollup) startL2() *part {
	r.t.Helper()
	addresses := filepath.Join(r.dir, "l2.json")
	_ = os.Remove(addresses) // absent the first time
	ports := []string{"0", "0", "0", "0"}
	for i, url := range []string{r.rpc, r.metrics, r.coordinator, r.admin} {
		if url != "" {
			ports[i] = url[strings.LastIndexByte(url, ':')+1:]
		}
	}
	p := r.start("l2", "devnet", "l2", "--network", "fixtures/genesis/l2.json", "--datadir", "l2", "--no-monitor",
		"--eth.rpc-url", r.l1, "--http.port", ports[0], "--metrics", "--metrics.port", ports[1],
		"--proof-coordinator.port", ports[2], "--admin-server.port", ports[3], "--addresses", addresses,
		"--block-producer.block-time", "400", "--committer.commit-time", "1200",
		"--watcher.watch-interval", "300", "--proof-coordinator.send-interval", "300")
	var at struct{ RPC, Metrics, Coordinator, Admin string }
	readWhenThere(r.t, addresses, &at)
	r.rpc, r.metrics, r.coordinator, r.admin = at.RPC, at.Metrics, at.Coordinator, at.Admin
	return p
}

// startProver starts an exec prover.
func (r *rollup) startProver() *part {
	r.t.Helper()
	return r.start("prover", "devnet", "prover", "--proof-coordinators", r.coordinator, "--backend", "exec", "--proving-time", "100", "--timed")
}

// rollupBatch is a batch by ethrex_getBatchByNumber.
type rollupBatch struct {
	Number       uint64  `json:"number"`
	FirstBlock   uint64  `json:"first_block"`
	LastBlock    uint64  `json:"last_block"`
	Transactions int     `json:"non_privileged_transactions"`
	CommitTx     *string `json:"commit_tx"`
	VerifyTx     *string `json:"verify_tx"`
}

// batch asks for a batch; nil is one that there is not, or an L2 that does not
// answer.
func (r *rollup) batch(number uint64) *rollupBatch {
	r.t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"ethrex_getBatchByNumber","params":["%#x",false]}`, number)
	res, err := http.Post(r.rpc, "application/json", strings.NewReader(body))
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var answer struct{ Result *rollupBatch }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	return answer.Result
}

// loaded waits until n batches beyond the given one hold load and are
// verified, and returns the last.
func (r *rollup) loaded(after uint64, n int) uint64 {
	r.t.Helper()
	number := after
	for n > 0 {
		number++
		var b *rollupBatch
		eventually(r.t, 2*time.Minute, func() bool {
			b = r.batch(number)
			return b != nil && b.VerifyTx != nil
		})
		if b.CommitTx == nil {
			r.t.Errorf("batch %d is verified and not committed", number)
		}
		if b.Transactions > 0 {
			n--
		}
	}
	return number
}

// ask sends a document to the coordinator as a prover does.
func (r *rollup) ask(doc []byte) (coordinator.Message, []byte) {
	r.t.Helper()
	address, err := coordinator.Address(r.coordinator)
	if err != nil {
		r.t.Fatal(err)
	}
	var answer bytes.Buffer
	m, _, err := coordinator.Ask(r.t.Context(), address, doc, &answer)
	if err != nil {
		r.t.Fatal(err)
	}
	return m, answer.Bytes()
}

// commit is the commit that the L2 claims.
func (r *rollup) commit() string {
	r.t.Helper()
	n := restartable{rpc: r.rpc}
	version := n.call(r.t, "web3_clientVersion")
	_, rest, _ := strings.Cut(version, "-devel-")
	commit, _, ok := strings.Cut(rest, "/")
	if !ok || len(commit) != 40 {
		r.t.Fatalf("web3_clientVersion = %s, want one with a commit", version)
	}
	return commit
}

// newRollup makes fixtures, starts an L1 and deploys to it.
func newRollup(t *testing.T) (*rollup, *part) {
	t.Helper()
	r := &rollup{t: t, dir: t.TempDir(), env: []string{
		"ETHREX_DEPLOYER_L1_PRIVATE_KEY=" + committerKey,
		"ETHREX_COMMITTER_L1_PRIVATE_KEY=" + committerKey,
		"ETHREX_PROOF_COORDINATOR_L1_PRIVATE_KEY=" + senderKey,
	}}
	r.once("fixtures", "devnet", "l1", "fixtures", "--out", "fixtures")
	l1 := r.startL1()
	r.once("deploy", "devnet", "l1", "deploy", "--eth-rpc-url", r.l1, "--deposit-rich",
		"--genesis-l1-path", "fixtures/genesis/l1.json", "--genesis-l2-path", "fixtures/genesis/l2.json",
		"--private-keys-file-path", "fixtures/keys/private_keys_l1.txt", "--env-file-path", "rollup.env")
	contracts, err := os.ReadFile(filepath.Join(r.dir, "rollup.env"))
	if err != nil {
		t.Fatal(err)
	}
	r.env = append(r.env, strings.Fields(string(contracts))...)
	return r, l1
}

// A rollup of real processes proves loaded batches, whatever befalls its prover
// and its L2, and leaves nothing behind.
func TestRollup(t *testing.T) {
	t.Parallel()
	r, l1 := newRollup(t)
	l2 := r.startL2()
	load := r.start("load", "load", "-n", r.rpc, "-k", "fixtures/keys/private_keys.txt", "-t", "eth-transfers", "--endless", "--tps", "60")

	// A prover that takes a batch and dies, and one that sends a wrong proof.
	eventually(t, time.Minute, func() bool {
		m, _ := r.ask(coordinator.Request(coordinator.BatchRequest, r.commit(), "Exec"))
		return m.HasInput()
	})
	if m, _ := r.ask([]byte(`{"ProofSubmit":{"batch_number":1,"batch_proof":{"ProofBytes":{"prover_type":"Exec","proof":[],"public_values":[1]}}}}`)); m.Kind != coordinator.ProofSubmitACK {
		t.Fatalf("a wrong proof is answered with %+v", m)
	}
	eventually(t, time.Minute, func() bool { return strings.Contains(l2.log(t), "WARN Deleting invalid Exec proof\n") })

	prover := r.startProver()
	last := r.loaded(0, 3)

	// The prover is killed in the middle of something.
	prover.kill()
	prover = r.startProver()
	last = r.loaded(last, 1)

	// The L2 is killed and goes on where it was; prover and load find it again.
	l2.kill()
	l2 = r.startL2()
	if b := r.batch(last); b == nil || b.CommitTx == nil || b.VerifyTx == nil {
		t.Errorf("after the restart batch %d is %+v", last, b)
	}
	last = r.loaded(last, 2)
	r.checkProved(prover, last)

	// A proof that comes again is acknowledged and dropped.
	if m, _ := r.ask([]byte(`{"ProofSubmit":{"batch_number":1,"batch_proof":{"ProofBytes":{"prover_type":"Exec","proof":[],"public_values":[1]}}}}`)); m.Kind != coordinator.ProofSubmitACK {
		t.Errorf("a second proof is answered with %+v", m)
	}
	r.endAll(load, prover, l2, l1)
}

// checkProved makes sure that the newest batch was proved by this prover.
func (r *rollup) checkProved(prover *part, batch uint64) {
	r.t.Helper()
	for _, line := range []string{"INFO Proved batch %d in ", "INFO Received submit ack for batch_number: %d "} {
		if line = fmt.Sprintf(line, batch); !strings.Contains(prover.log(r.t), line) {
			r.t.Errorf("the prover's log has no %q", line)
		}
	}
}

// endAll ends everything with signals and finds every port free again.
func (r *rollup) endAll(load, prover, l2, l1 *part) {
	r.t.Helper()
	// The load waits for what is on its way and says that it was interrupted.
	load.cmd.Process.Signal(syscall.SIGINT)
	load.cmd.Wait()
	prover.end(r.t, syscall.SIGINT)
	l2.end(r.t, syscall.SIGTERM)
	l1.end(r.t, syscall.SIGINT)
	for _, url := range []string{r.l1, r.rpc, r.metrics, r.coordinator, r.admin} {
		_, address, _ := strings.Cut(url, "://")
		ln, err := net.Listen("tcp", address)
		if err != nil {
			r.t.Errorf("the port is still taken: %v", err)
			continue
		}
		ln.Close()
	}
}
