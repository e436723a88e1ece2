package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
)

func TestFromFile(t *testing.T) {
	home := t.TempDir()
	path, plain := filepath.Join(home, "program"), filepath.Join(home, "plain")
	for name, mode := range map[string]os.FileMode{path: 0o755, plain: 0o644} {
		if err := os.WriteFile(name, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", home)
	for _, name := range []string{path, "~/program"} {
		b, err := FromFile(name)
		if err != nil || b.Path != path || len(b.SHA256) != 64 || b.Commit != "" || b.Ref != "program (sha256 "+b.SHA256[:12]+")" {
			t.Errorf("FromFile(%q) = %+v, %v", name, b, err)
		}
	}
	for name, want := range map[string]string{
		home: "is not a file that can be executed", plain: "is not executable", filepath.Join(home, "none"): "there is no binary",
	} {
		if _, err := FromFile(name); fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), want) {
			t.Errorf("FromFile(%s) = %v, want %q", name, err, want)
		}
	}
}

// What the script prints last is the build; what it notes is said.
func TestFromRef(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	script := `echo '{"commit":"0123456789abcdef0123456789abcdef01234567","binary":"/bin/true","sha256":"` + sum + `","cached":true,"behind":2,"merge_base":"main~2","notes":["a note"]}'`
	var said []string
	b, err := FromRef(t.Context(), sample.Test, "pr", script, func(s string) { said = append(said, s) })
	if err != nil || b.Ref != "pr (0123456789ab)" || b.Path != "/bin/true" || b.SHA256 != sum || b.Behind != 2 || !strings.HasPrefix(b.Detail, "built before, commit 0123") {
		t.Errorf("%+v, %v", b, err)
	}
	for _, want := range []string{"building the test ref pr", "the test ref: a note", "lacks 2 of the baseline's commits"} {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q is not said in %q", want, said)
		}
	}
	if _, err := FromRef(t.Context(), sample.Test, "pr", "echo why >&2; exit 2", func(string) {}); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "why") {
		t.Errorf("no such ref: %v", err)
	}
}

// What a failed build means is told by the exit status of its script.
func TestNotBuilt(t *testing.T) {
	for exit, want := range map[int]fault.Kind{
		program.NoSuchRef: fault.Usage, program.Unprepared: fault.Prerequisite, program.BuildFailed: fault.Failed, 137: fault.Failed,
	} {
		cause := &host.ScriptError{Host: "localhost", Exit: exit, Last: []string{"error: cannot find crate"}}
		err := notBuilt(sample.Test, "pull/7/head", cause)
		if fault.KindOf(err) != want || !errors.Is(err, cause) || !strings.Contains(err.Error(), `building the test ref "pull/7/head": `) {
			t.Errorf("exit status %d: kind %d, %v; want kind %d", exit, fault.KindOf(err), err, want)
		}
	}
}
