package inspect

import (
	"slices"
	"testing"
)

// A cure can be pasted as it stands; what cannot is said in words.
func TestSift(t *testing.T) {
	for _, c := range []struct{ hint, advice, cure string }{
		{"ssh -v server-1", "", "ssh -F 'my config' -v server-1"},
		{"connect once by hand and compare the fingerprint: ssh server-1",
			"connect once by hand and compare the fingerprint", "ssh -F 'my config' server-1"},
		{"chmod 600 the key file that this names: ssh server-1", "chmod 600 the key file that this names", "ssh -F 'my config' server-1"},
		{"this must work and not ask: ssh -o BatchMode=yes server-1 true (ssh-add loads a key)",
			"this must work and not ask (ssh-add loads a key)", "ssh -F 'my config' -o BatchMode=yes server-1 true"},
		{"name the key for this host in ~/.ssh/config: IdentityFile and IdentitiesOnly yes",
			"name the key for this host in ~/.ssh/config: IdentityFile and IdentitiesOnly yes", ""},
		{"make the file yours, and: chmod 600 FILE", "make the file yours, and: chmod 600 FILE", ""},
		{"sudo apt-get install openssh-client", "", "sudo apt-get install openssh-client"},
		{"CGO_ENABLED=0 GOOS=linux go build -o v ./cmd/verdict", "", "CGO_ENABLED=0 GOOS=linux go build -o v ./cmd/verdict"},
		{"then give that file: --host-binary v", "then give that file: --host-binary v", ""},
	} {
		list := func(s string) []string {
			return slices.DeleteFunc([]string{s}, func(s string) bool { return s == "" })
		}
		advice, cures := sift([]string{c.hint}, []string{"ssh", "-F", "my config", "server-1"})
		if !slices.Equal(advice, list(c.advice)) || !slices.Equal(cures, list(c.cure)) {
			t.Errorf("sift(%q) = %q, %q, want %q, %q", c.hint, advice, cures, c.advice, c.cure)
		}
	}
}
