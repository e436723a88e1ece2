package devnet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// childDir is the environment variable that makes the test binary a node in
// that directory, to be killed.
const childDir = "VERDICT_TEST_NODE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child is a node of its own process. It prints the URL of its Engine API and
// lives until its standard input ends, which it does not.
func child(dir string) int {
	n, err := Start(context.Background(), Options{DataDir: dir, HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0", Genesis: smallGenesis(), Precompute: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(n.Engine())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := n.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A node that was killed comes up again at the head it had or one block before.
func TestNode_killed(t *testing.T) {
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
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	builder := attach(t, start(t, nil))
	victim := attachTo(t, strings.TrimSpace(url), filepath.Join(dir, "jwt.hex"))
	blocks := builder.blocks()
	for range 20 {
		blocks = append(blocks, builder.build())
		builder.deliver(blocks[len(blocks)-1])
	}
	for _, b := range blocks {
		victim.deliver(b)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed

	again := start(t, func(o *Options) { o.DataDir, o.Precompute = dir, true })
	head, hash := again.Head()
	if head+1 < uint64(len(blocks)) || head > uint64(len(blocks)) || hash != blocks[head-1].ExecutionPayload.BlockHash {
		t.Fatalf("after the kill the head is %d %s, was %d", head, hash, len(blocks))
	}
	for number := uint64(1); number <= head; number++ {
		header := again.chain().GetHeaderByNumber(number)
		if _, failure := again.generate(t.Context(), header); failure != nil {
			t.Errorf("on demand, block %d: %v", number, failure)
		}
	}
	// It takes what it missed and what is new.
	c := attach(t, again)
	for _, b := range append(blocks[head:], builder.build()) {
		c.deliver(b)
	}
}
