package l1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/genesis"
)

// childDir is the environment variable that makes the test binary an L1 in that
// directory, to be killed.
const childDir = "VERDICT_TEST_L1"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child is an L1 of its own process. It makes some blocks, prints the number of
// the last one and lives until its standard input ends, which it does not.
func child(dir string) int {
	c, err := Start(context.Background(), ChainOptions{BlockTime: MinBlockTime, Node: devnet.Options{DataDir: dir, HTTPAddr: "127.0.0.1:0"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := uint64(0); n < 3; n, _ = c.Head() {
		<-tick.C
	}
	// No more blocks, but nothing is closed: a close would save everything.
	c.stop()
	c.running.Wait()
	n, hash := c.Head()
	fmt.Println(n, hash)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 1
}

// What was in a block is there after a kill: a sequencer has acted on it.
func TestChain_killed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed

	// The node alone, so that no block is made before it is looked at.
	again, err := devnet.Start(t.Context(), devnet.Options{DataDir: dir, HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0", Genesis: genesis.L1()})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	n, hash := again.Head()
	if got := fmt.Sprintln(n, hash); got != line {
		t.Errorf("after the kill the head is %q, was %q", got, line)
	}
}
