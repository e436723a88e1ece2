package shell

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// read has a real shell print its arguments, each ended by a NUL byte.
func read(t *testing.T, words string, env ...string) []string {
	t.Helper()
	cmd := exec.Command("bash", "-s")
	cmd.Env = append(env, "PATH=/usr/bin:/bin")
	cmd.Stdin = strings.NewReader("printf '%s\\0' " + words + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%s", words, err, stderr.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestPath(t *testing.T) {
	for _, test := range []struct{ path, want string }{
		{"~/a b", "/home/x y/a b"},
		{"~", "/home/x y"},
		{"~/", "/home/x y/"},
		{"~/$(reboot)", "/home/x y/$(reboot)"},
		{"~other/a", "~other/a"},
		{"/a/~/b", "/a/~/b"},
		{"", ""},
	} {
		if got := read(t, Path(test.path), "HOME=/home/x y"); len(got) != 1 || got[0] != test.want {
			t.Errorf("Path(%q) = %s, which is read as %q, want %q", test.path, Path(test.path), got, test.want)
		}
	}
}

func TestQuote_plain(t *testing.T) {
	for _, plain := range []string{"main", "pull/6157/head", "--http.addr", "127.0.0.1:8545", "a@b"} {
		if got := Quote(plain); got != plain {
			t.Errorf("Quote(%q) = %s, want it unchanged", plain, got)
		}
	}
}

// A shell reads back exactly what was quoted.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "main", "; rm -rf ~", "$(reboot)", "`id`", "it's", "a\nb", "~", "-n", "!x", "\\", "a=b", "*", "\xff\x01", "ü"} {
		f.Add(seed, "x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		a, b = strings.ReplaceAll(a, "\x00", ""), strings.ReplaceAll(b, "\x00", "")
		got := read(t, Join(a, b))
		if len(got) != 2 || got[0] != a || got[1] != b {
			t.Errorf("Join(%q, %q) = %s is read as %q", a, b, Join(a, b), got)
		}
	})
}
