package spec_test

import (
	"testing"

	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/spec"
)

// A spec takes exactly the names that a connection can be made to, so that a
// bad one is refused before anything is done.
func TestValidate_hostsAsSSH(t *testing.T) {
	names := []string{"server-1", "me@10.0.0.1", "[::1]", "fe80::1%eth0", "ssh://me@host:22", "-v", " ", "a b", "$(id)", "ärger", "a\u00a0b", "a\u2028", "~"}
	for r := rune(0x20); r < 0x7f; r++ {
		names = append(names, "a"+string(r)+"b", string(r)+"a")
	}
	for _, name := range names {
		_, err := host.NewSSH(name, host.SSHOptions{})
		live := spec.Defaults(spec.Live)
		live.Baseline.Host, live.Test.Host, live.Test.Ref, live.Servers.Network = name, "other", "main", "hoodi"
		live.Complete(nil)
		if got := live.Validate(); (got == nil) != (err == nil) {
			t.Errorf("baseline.host %q: %v, and of ssh %v", name, got, err)
		}
		devnet := spec.Defaults(spec.Devnet)
		devnet.Host, devnet.Program.Name, devnet.Baseline.Ref, devnet.Test.Ref = name, "ethrex", "main", "next"
		devnet.Complete(nil)
		if got := devnet.Validate(); (got == nil) != (err == nil) {
			t.Errorf("host %q: %v, and of ssh %v", name, got, err)
		}
	}
}
