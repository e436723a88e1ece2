package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sample"
)

// startStub starts a shell script in the place of a node.
func startStub(t *testing.T, script string) *node {
	t.Helper()
	local := host.NewChildren()
	t.Cleanup(local.Close)
	dir := t.TempDir()
	p, err := local.Start(host.Command{Name: "the test node", Argv: []string{"sh", "-c", script}, Log: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(0) })
	return &node{side: sample.Test, process: p, addresses: filepath.Join(dir, "test.json")}
}

// A node that dies, or hangs, while it starts is shown with the end of its log.
func TestNode_ready(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"dies", "echo port 8545 is taken; exit 4", "the test node ended: exit status 4; the end of its log:\nport 8545 is taken"},
		{"hangs", "echo opening the database; sleep 600", "the test node was not ready after 500ms; the end of its log:\nopening the database"},
	} {
		_, err := startStub(t, c.script).ready(t.Context(), 500*time.Millisecond)
		if err == nil || fault.KindOf(err) != fault.Prerequisite || err.Error() != c.want {
			t.Errorf("%s: ready() = %v (kind %d), want %q", c.name, err, fault.KindOf(err), c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := startStub(t, "sleep 600").ready(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: ready() = %v", err)
	}
	n := startStub(t, "sleep 600")
	if err := os.WriteFile(n.addresses, []byte(`{"rpc":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := n.ready(t.Context(), time.Minute); err == nil || !strings.Contains(err.Error(), "addresses of the test node") {
		t.Errorf("malformed addresses: ready() = %v", err)
	}
}
