package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// startDriven starts a built-in node and returns it with its --client flag.
func startDriven(t *testing.T, name string) (*devnet.Node, string) {
	t.Helper()
	small, err := genesis.Small()
	if err != nil {
		t.Fatal(err)
	}
	node, err := devnet.Start(t.Context(), devnet.Options{
		DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0", Genesis: small,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close() })
	return node, "--client=" + name + "=" + node.RPC() + "," + node.Engine() + "," + node.JWTSecret()
}

// verdictRun is one command line in a World of its own.
type verdictRun struct {
	stdout, stderr bytes.Buffer
	signals        chan os.Signal
	// onStdout is called after each write to stdout.
	onStdout func()
}

type watchedWriter struct {
	io.Writer
	after func()
}

func (w watchedWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.after()
	return n, err
}

// run runs the command line and returns the exit status.
func (r *verdictRun) run(args ...string) int {
	r.signals = make(chan os.Signal, 1)
	after := r.onStdout
	if after == nil {
		after = func() {}
	}
	return Main(context.Background(), World{
		Args: args, Stdin: strings.NewReader(""),
		Stdout: watchedWriter{&r.stdout, after}, Stderr: &r.stderr,
		Getenv: func(string) string { return "" }, Now: time.Now, Signals: r.signals,
	})
}

// blocksOf decodes the lines of --json.
func blocksOf(t *testing.T, stdout []byte) []drive.Block {
	t.Helper()
	var blocks []drive.Block
	for line := range bytes.Lines(stdout) {
		var b drive.Block
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&b); err != nil {
			t.Fatalf("stdout has the line %q: %v", line, err)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func TestDevnetDrive_builtInNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts execution clients")
	}
	_, a := startDriven(t, "a")
	second, b := startDriven(t, "b")

	var r verdictRun
	if got := r.run("devnet", "drive", a, b, "--blocks=3", "--gas=1e6", "--json"); got != 0 {
		t.Fatalf("exit status %d:\n%s", got, r.stderr.String())
	}
	blocks := blocksOf(t, r.stdout.Bytes())
	if len(blocks) != 3 {
		t.Fatalf("%d lines on stdout, want one for each of 3 blocks", len(blocks))
	}
	for i, block := range blocks {
		// Most recipients have no tokens here, so a transfer takes more gas than
		// the stream expects.
		if block.Number != uint64(i+1) || block.GasUsed < 900_000 || block.GasUsed > 1_600_000 || block.Builder != "a" {
			t.Errorf("block %d is %+v, want about 1 Mgas built by a", i+1, block)
		}
		if len(block.Imports) != 2 || block.Imports[1].Client != "b" || block.Imports[1].ImportNS <= 0 {
			t.Errorf("block %d has the imports %+v", i+1, block.Imports)
		}
		if i > 0 && block.ParentHash != blocks[i-1].Hash {
			t.Errorf("block %d does not follow the one before", i+1)
		}
	}

	// A second run goes on; its summary is what was asked for.
	r = verdictRun{}
	if got := r.run("devnet", "drive", a, b, "--blocks=2", "--gas=0", "--slot=10ms", "--builder=rotate"); got != 0 {
		t.Fatalf("exit status %d:\n%s", got, r.stderr.String())
	}
	number, hash := second.Head()
	if want := "2 blocks up to 5 " + hash.Hex(); number != 5 || !strings.HasPrefix(r.stdout.String(), want) {
		t.Errorf("stdout %q, want %q (head %d)", r.stdout.String(), want, number)
	}
	if !strings.Contains(r.stderr.String(), "from block 3 "+blocks[2].Hash.Hex()) {
		t.Errorf("stderr %q does not say where it went on", r.stderr.String())
	}

	t.Run("interrupt", func(t *testing.T) { driveInterrupted(t, a, b) })
	t.Run("wrong secret", func(t *testing.T) { driveWithWrongSecret(t, a, b, second) })
	t.Run("client lost", func(t *testing.T) { driveClientLost(t, a, b, second) })
}

// An interrupt ends the run cleanly: what was done is told, and all clients are
// on one head.
func driveInterrupted(t *testing.T, a, b string) {
	t.Helper()
	var r verdictRun
	sent := false // a second interrupt would end the test itself
	r.onStdout = func() {
		if !sent {
			sent = true
			r.signals <- syscall.SIGINT
		}
	}
	if got := r.run("devnet", "drive", a, b, "--gas=1e6", "--json"); got != int(fault.Interrupted) {
		t.Errorf("exit status %d, want %d:\n%s", got, fault.Interrupted, r.stderr.String())
	}
	if made := blocksOf(t, r.stdout.Bytes()); len(made) == 0 {
		t.Error("nothing on stdout before the interrupt")
	}
	if !strings.Contains(r.stderr.String(), " blocks up to ") || !strings.Contains(r.stderr.String(), "interrupted by") {
		t.Errorf("stderr %q has no summary or no reason", r.stderr.String())
	}
	// Both are on one head, or this would fail.
	r = verdictRun{}
	if got := r.run("devnet", "drive", a, b, "--blocks=1", "--gas=1e6"); got != 0 {
		t.Errorf("exit status %d after an interrupt:\n%s", got, r.stderr.String())
	}
}

// A refused token names the client and the flag.
func driveWithWrongSecret(t *testing.T, a, b string, second *devnet.Node) {
	t.Helper()
	other := filepath.Join(t.TempDir(), "other.hex")
	if _, err := ethrpc.CreateSecret(other); err != nil {
		t.Fatal(err)
	}
	var r verdictRun
	spoiled := b[:strings.LastIndex(b, ",")+1] + other
	if got := r.run("devnet", "drive", a, spoiled, "--blocks=1"); got != int(fault.Prerequisite) {
		t.Errorf("exit status %d, want %d", got, fault.Prerequisite)
	}
	if text := r.stderr.String(); !strings.Contains(text, "client b: "+second.Engine()+": the JWT was refused") || !strings.Contains(text, "hint: --authrpc.jwtsecret") {
		t.Errorf("stderr %q", text)
	}
}

// A client that goes away in mid-run is named.
func driveClientLost(t *testing.T, a, b string, second *devnet.Node) {
	t.Helper()
	var r verdictRun
	closed := false
	r.onStdout = func() {
		if !closed {
			closed = true
			if err := second.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if got := r.run("devnet", "drive", a, b, "--gas=1e6", "--json"); got != int(fault.Failed) {
		t.Errorf("exit status %d, want %d", got, fault.Failed)
	}
	if text := r.stderr.String(); !strings.Contains(text, "verdict: client b: ") {
		t.Errorf("stderr %q does not name the client that was lost", text)
	}
}

func TestGasAmount(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "15000000": 15_000_000, "15e6": 15_000_000, "1.5e6": 1_500_000} {
		var g gasAmount
		if err := g.Set(text); err != nil || uint64(g) != want {
			t.Errorf("Set(%q) = %d, %v, want %d", text, g, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "many", "1e30", "15M"} {
		var g gasAmount
		if err := g.Set(text); err == nil {
			t.Errorf("Set(%q) = %d, want an error", text, g)
		}
	}
}

func TestStepOf(t *testing.T) {
	for slot, want := range map[time.Duration]uint64{
		0: 0, 250 * time.Millisecond: 1, time.Second: 1, 2 * time.Second: 2, 12 * time.Second: 12,
	} {
		if got := stepOf(slot); got != want {
			t.Errorf("stepOf(%s) = %d, want %d", slot, got, want)
		}
	}
}
