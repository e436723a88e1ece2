package inspect

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sample"
)

// program gives Install the file at path, for any system.
func program(path string) func(string, string) (string, error) {
	return func(string, string) (string, error) { return path, nil }
}

// fails checks an error and that its hints say how to build a program that
// runs everywhere.
func fails(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Prerequisite {
		t.Fatalf("error %v of kind %d, want %q", err, fault.KindOf(err), want)
	}
	if hints := strings.Join(fault.HintsOf(err), "\n"); !strings.Contains(hints, "CGO_ENABLED=0 GOOS=") || !strings.Contains(hints, "--host-binary") {
		t.Errorf("%v has the hints %q", err, hints)
	}
}

// The script stands for a program here: what is tested is the way there.
func TestInstall(t *testing.T) {
	dir := home(t)
	h := host.Local()
	good := write(t, dir, "good", "#!/bin/sh\necho verdict version v1\n", 0o644)
	path, err := Install(t.Context(), h, program(good))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(path, "~/.verdict/bin/verdict-") {
		t.Errorf("path %q", path)
	}
	at := expand(path)
	before, err := os.Stat(at)
	if err != nil || before.Mode().Perm() != 0o755 {
		t.Fatalf("installed: %v, %v", before, err)
	}
	again, err := Install(t.Context(), h, program(good))
	after, statErr := os.Stat(at)
	if err != nil || statErr != nil || again != path || !os.SameFile(before, after) {
		t.Errorf("a second time: %q, %v: the file was written again", again, err)
	}

	bad := write(t, dir, "bad", "#!/no/such/loader\n", 0o644)
	_, err = Install(t.Context(), h, program(bad))
	fails(t, err, "verdict does not run on localhost")
	other := write(t, dir, "other", "#!/bin/sh\necho hello\n", 0o644)
	_, err = Install(t.Context(), h, program(other))
	fails(t, err, `--version answers "hello"`)
	if _, err = Install(t.Context(), h, program(dir+"/none")); fault.KindOf(err) != fault.Prerequisite {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestRemote(t *testing.T) {
	dir := home(t)
	h := host.Local()
	q := doctor.Defaults()
	q.JWT = "~/it's $(touch hit)"
	facts, err := json.Marshal(doctor.Facts{V: doctor.Version, Machine: doctor.Machine{Hostname: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "facts", string(facts), 0o644)
	write(t, dir, "good", "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$HOME\"/argv\ncat \"$HOME\"/facts\n", 0o755)
	s, err := Remote(t.Context(), h, "~/good", q)
	if err != nil {
		t.Fatal(err)
	}
	if s.Host != "localhost" || s.Facts.Machine.Hostname != "x" || s.Answered.Before(s.Asked) || s.Asked.IsZero() {
		t.Errorf("subject %+v", s)
	}
	raw, err := os.ReadFile(dir + "/argv")
	if err != nil {
		t.Fatal(err)
	}
	argv := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if want := append([]string{"doctor", "--facts"}, q.Args()...); !slices.Equal(argv, want) {
		t.Errorf("arguments %q, want %q", argv, want)
	}
	if _, err := os.Stat(dir + "/hit"); err == nil {
		t.Error("a path was executed")
	}

	write(t, dir, "failing", "#!/bin/sh\necho broken >&2\nexit 3\n", 0o755)
	var failed *host.ScriptError
	if _, err := Remote(t.Context(), h, "~/failing", q); !errors.As(err, &failed) || failed.Exit != 3 {
		t.Errorf("of a program that fails: %v", err)
	}
	write(t, dir, "chatty", "#!/bin/sh\necho hello\n", 0o755)
	if _, err := Remote(t.Context(), h, "~/chatty", q); err == nil || !strings.Contains(err.Error(), "not what verdict doctor --facts prints") {
		t.Errorf("of a program that prints something else: %v", err)
	}
}

func TestPlatform(t *testing.T) {
	for uname, want := range map[string]string{
		"Linux x86_64\n": "linux/amd64", "Linux aarch64": "linux/arm64", "Darwin arm64": "darwin/arm64",
		"Linux riscv64": "", "MINGW64_NT-10.0 x86_64": "", "": "", "Linux": "",
	} {
		goos, goarch, err := platform(uname)
		if got := goos + "/" + goarch; want != "" && (got != want || err != nil) || want == "" && err == nil {
			t.Errorf("platform(%q) = %s, %v, want %q", uname, got, err, want)
		}
	}
}

func TestBinary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("programs of other systems have other forms")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own := func() (string, error) { return self, nil }
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	for _, file := range []string{"", self} {
		if got, err := Binary(own, file)("linux", runtime.GOARCH); got != self || err != nil {
			t.Errorf("Binary(%q) = %q, %v", file, got, err)
		}
		_, err := Binary(own, file)("linux", other)
		fails(t, err, "it is linux/"+other)
		_, err = Binary(own, file)("darwin", runtime.GOARCH)
		fails(t, err, "it is darwin/"+runtime.GOARCH)
	}
	text := write(t, t.TempDir(), "text", "hello", 0o755)
	_, err = Binary(own, text)("linux", runtime.GOARCH)
	fails(t, err, "is no program of Linux")
	if _, err := Binary(own, text+".none")("linux", runtime.GOARCH); fault.KindOf(err) != fault.Usage {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A machine that cannot be reached is a finding; the other is examined all the
// same.
func TestServers_unreachable(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("ssh is not installed")
	}
	dir := home(t)
	// Nothing listens at port 1 of the loopback interface.
	config := write(t, dir, "config", "Host away\n\tHostName 127.0.0.1\n\tPort 1\n", 0o600)
	away, err := host.NewSSH("away", host.SSHOptions{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	q := doctor.Query{Tools: []string{"bash"}}
	targets := []Target{
		{Host: away, Side: sample.Baseline, Reach: []string{"ssh", "-F", config, "away"}, Query: q},
		{Host: host.Local(), Here: true, Side: sample.Test, Query: q},
	}
	seen, found, err := Servers(t.Context(), targets, Options{Binary: program(filepath.Join(dir, "none")), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if seen[0].Reached || !seen[1].Reached || seen[1].Subject.Facts.Verdict != "v1" {
		t.Errorf("examined %+v", seen)
	}
	first := found[0]
	if first.ID != "ssh" || first.Level != doctor.Fail || first.Side != sample.Baseline || !strings.Contains(first.Seen, "refused") || first.Cure == "" {
		t.Errorf("first finding %+v", first)
	}
	if n := doctor.Count(found); n[doctor.Fail] != 1 || n[doctor.OK] == 0 {
		t.Errorf("counted %v", n)
	}
	if slices.ContainsFunc(found, func(f doctor.Finding) bool { return strings.Contains(f.Host, " and ") }) {
		t.Error("a machine of which nothing is known was compared")
	}
}
