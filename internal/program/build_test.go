package program

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
)

// builder is a home with a clone of a real repository.
type builder struct {
	t                   *testing.T
	home, origin, clone string
}

// newBuilder makes the repository:
//
//	A ── B ── C  main            C is not in the pull request
//	      └── D  refs/pull/1/head, tag v1 is A
//
// The build copies program.sh to out/program.
func newBuilder(t *testing.T) *builder {
	t.Helper()
	for _, name := range []string{"git", "bash", "flock"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s here", name)
		}
	}
	home := t.TempDir()
	b := &builder{t: t, home: home, origin: filepath.Join(home, "origin.git"), clone: filepath.Join(home, "the clone")}
	work := filepath.Join(home, "work")
	b.git(home, "init", "--quiet", "--bare", "--initial-branch", "main", b.origin)
	b.git(home, "init", "--quiet", "--initial-branch", "main", work)
	b.commit(work, "A")
	b.git(work, "tag", "-a", "-m", "one", "v1")
	b.commit(work, "B")
	b.git(work, "checkout", "--quiet", "-b", "pr")
	b.commit(work, "D")
	b.git(work, "checkout", "--quiet", "main")
	b.commit(work, "C")
	b.git(work, "push", "--quiet", b.origin, "main", "v1", "pr:refs/pull/1/head")
	b.git(home, "clone", "--quiet", "file://"+b.origin, b.clone)
	return b
}

func (b *builder) env() []string {
	return append(os.Environ(), "HOME="+b.home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
}

// git runs git in dir and returns what it prints.
func (b *builder) git(dir string, args ...string) string {
	b.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, b.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit adds a commit whose program prints its name.
func (b *builder) commit(dir, name string) string {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "program.sh"), []byte("#!/bin/sh\necho "+name+"\n"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	b.git(dir, "add", ".")
	b.git(dir, "commit", "--quiet", "-m", name)
	return b.git(dir, "rev-parse", "HEAD")
}

// command is the script of a build, as a login shell reads it.
func (b *builder) command(build Build) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = exec.Command("bash", "-l", "-s")
	cmd.Dir, cmd.Env = b.home, b.env()
	cmd.Stdin = strings.NewReader(BuildScript(build))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// of is the build of ref with the usual command.
func (b *builder) of(ref string) Build {
	return Build{Repository: "~/the clone", Ref: ref, Command: "mkdir out && cp program.sh out/program", Binary: "out/program"}
}

// run builds and returns what was built, or the exit status and stderr.
func (b *builder) run(build Build) (built Built, status int, stderr string) {
	b.t.Helper()
	cmd, stdout, said := b.command(build)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if stdout.Len() > 0 {
			b.t.Errorf("a failed build printed %q", stdout)
		}
		return built, exit.ExitCode(), said.String()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if built, err = ParseBuilt(stdout.Bytes()); err != nil {
		b.t.Fatalf("%v; stderr:\n%s", err, said)
	}
	return built, 0, said.String()
}

// prints is what the built program prints.
func (b *builder) prints(built Built) string {
	b.t.Helper()
	out, err := exec.Command(built.Binary).Output()
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestBuildScript_refs(t *testing.T) {
	b := newBuilder(t)
	pull := b.git(b.origin, "rev-parse", "refs/pull/1/head")
	local := b.commit(b.clone, "local")
	b.git(b.clone, "branch", "mine")
	b.git(b.clone, "reset", "--quiet", "--hard", "HEAD~1")
	for _, c := range []struct{ ref, want, source, note string }{
		{"main", "C", "refs/heads/main of origin", ""},
		{"origin/main", "C", "refs/heads/main of origin", ""},
		{"v1", "A", "refs/tags/v1 of origin", ""},
		{"pull/1/head", "D", "refs/pull/1/head of origin", ""},
		{"refs/pull/1/head", "D", "refs/pull/1/head of origin", ""},
		{pull, "D", "its hash", ""},
		{pull[:9], "D", "its hash", ""},
		{"main~1", "B", "refs/heads/main of origin", ""},
		{"HEAD", "C", "HEAD of", ""},
		{"HEAD^", "B", "HEAD of", ""},
		{"mine", "local", "refs/heads/mine of", "origin has no mine, so refs/heads/mine of"},
		{"refs/heads/mine", "local", "refs/heads/mine of", ""},
		{local[:12], "local", "its hash", ""},
	} {
		built, status, stderr := b.run(b.of(c.ref))
		if status != 0 {
			t.Errorf("%s: exit status %d: %s", c.ref, status, stderr)
			continue
		}
		if got := b.prints(built); got != c.want || !strings.HasPrefix(built.Source, c.source) {
			t.Errorf("%s: built %s from %s, want %s from %s", c.ref, got, built.Source, c.want, c.source)
		}
		if notes := strings.Join(built.Notes, ";"); !strings.HasPrefix(notes, c.note) || (c.note == "") != (notes == "") {
			t.Errorf("%s: notes %q, want %q", c.ref, notes, c.note)
		}
	}
}

// What origin has at the time is built, and the clone keeps its checkout,
// branches, remote-tracking refs, index and files.
func TestBuildScript_leavesTheCloneAlone(t *testing.T) {
	b := newBuilder(t)
	if err := os.WriteFile(filepath.Join(b.clone, "program.sh"), []byte("half-written"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A hook would run in the user's name.
	hook := filepath.Join(b.clone, ".git", "hooks", "post-checkout")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\ntouch "+b.home+"/hooked\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	look := func() string {
		return strings.Join([]string{
			b.git(b.clone, "status", "--porcelain", "--branch"), b.git(b.clone, "diff"), b.git(b.clone, "stash", "list"),
			b.git(b.clone, "for-each-ref", "refs/heads", "refs/remotes", "refs/tags"), b.git(b.clone, "symbolic-ref", "HEAD"),
		}, "\n")
	}
	before := look()
	work := filepath.Join(b.home, "work")
	b.commit(work, "E")
	b.git(work, "push", "--quiet", b.origin, "main")
	built, status, stderr := b.run(b.of("main"))
	if status != 0 || b.prints(built) != "E" {
		t.Fatalf("built %+v, exit status %d: %s", built, status, stderr)
	}
	if after := look(); after != before {
		t.Errorf("the clone has changed:\n%s\nfrom:\n%s", after, before)
	}
	for _, file := range []string{filepath.Join(b.clone, ".git", "FETCH_HEAD"), filepath.Join(b.home, "hooked")} {
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s is there", file)
		}
	}
	// The clone's own branch of that name is a different one now; it is said.
	b.git(b.clone, "checkout", "--quiet", "--force", "main")
	b.commit(b.clone, "unpushed")
	built, _, _ = b.run(b.of("main"))
	if b.prints(built) != "E" || len(built.Notes) != 1 || !strings.Contains(built.Notes[0], "refs/heads/main names the latter") {
		t.Errorf("built %s with notes %q", b.prints(built), built.Notes)
	}
}

// Whatever stands in the place of a ref is a name that is not there, and is
// never executed or read as an option.
func TestBuildScript_hostile(t *testing.T) {
	b := newBuilder(t)
	mark := filepath.Join(b.home, "executed")
	for _, ref := range []string{
		"", " ", "; rm -rf ~", "$(touch " + mark + ")", "`touch " + mark + "`", "--upload-pack=touch " + mark, "-x", "--", "a b",
		"main; touch " + mark, "main\ntouch " + mark, "'; touch " + mark + "; '", "main:program.sh", "+main:refs/heads/evil", "*", "../../etc",
		"refs/heads/*", "@{-1}", ":/A", "main^{tree}", "main~x", "no-such-branch", "pull/99/head", "origin/none", "0123456", strings.Repeat("0", 40),
		"..", "main..", "a\\b", "\x1b[2J",
	} {
		_, status, stderr := b.run(b.of(ref))
		if status != NoSuchRef || stderr == "" {
			t.Errorf("%q: exit status %d, want %d: %s", ref, status, NoSuchRef, stderr)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Fatalf("%q was executed", ref)
		}
	}
	if out := b.git(b.clone, "for-each-ref", "refs/heads"); strings.Contains(out, "evil") {
		t.Error("a ref was read as a refspec")
	}
	// The other values do not reach the shell either.
	odd := filepath.Join(b.home, `it's "a" $(touch `+strings.ReplaceAll(mark, "/", "_")+`) clone`)
	b.git(b.home, "clone", "--quiet", "file://"+b.origin, odd)
	build := b.of("main")
	build.Repository = odd
	if built, status, stderr := b.run(build); status != 0 || b.prints(built) != "C" {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}

func TestBuildScript_unusable(t *testing.T) {
	b := newBuilder(t)
	for _, c := range []struct {
		name   string
		change func(*Build)
		status int
		want   string
	}{
		{"no directory", func(b *Build) { b.Repository = "~/none" }, NoSuchRef, "there is no directory"},
		{"no clone", func(b *Build) { b.Repository = "/" }, NoSuchRef, "is no git clone"},
		{"no binary", func(b *Build) { b.Binary = "out/other" }, BuildFailed, "made no executable file out/other"},
		{"not executable", func(b *Build) { b.Command += "; chmod -x out/program" }, BuildFailed, "made no executable file"},
	} {
		build := b.of("main")
		c.change(&build)
		if _, status, stderr := b.run(build); status != c.status || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit status %d, want %d and %q:\n%s", c.name, status, c.status, c.want, stderr)
		}
	}
}

// Credentials in the address of origin are not told.
func TestBuildScript_hidesCredentials(t *testing.T) {
	b := newBuilder(t)
	b.git(b.clone, "remote", "set-url", "origin", "http://user:secret@127.0.0.1:1/x.git")
	_, status, stderr := b.run(b.of("elsewhere"))
	if status != Unprepared || !strings.Contains(stderr, "origin cannot be reached") || strings.Contains(stderr, "secret") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}

// Without its origin, a clone gives what it knows, and that is said.
func TestBuildScript_offline(t *testing.T) {
	b := newBuilder(t)
	if _, status, stderr := b.run(b.of("pull/1/head")); status != 0 {
		t.Fatal(stderr)
	}
	if err := os.Rename(b.origin, b.origin+".away"); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{"pull/1/head": "D", "main": "C", "v1": "A"} {
		built, status, stderr := b.run(b.of(ref))
		if status != 0 {
			t.Errorf("%s: exit status %d: %s", ref, status, stderr)
			continue
		}
		if got := b.prints(built); got != want || len(built.Notes) == 0 || !strings.HasPrefix(built.Notes[0], "origin cannot be reached") {
			t.Errorf("%s: built %s with notes %q, want %s", ref, got, built.Notes, want)
		}
	}
}

func TestBuildScript_behind(t *testing.T) {
	b := newBuilder(t)
	build := b.of("pull/1/head")
	build.Against = "main"
	built, _, _ := b.run(build)
	if base := b.git(b.origin, "rev-parse", "main~1"); built.Behind != 1 || built.MergeBase != base {
		t.Errorf("behind %d from %s, want 1 from %s", built.Behind, built.MergeBase, base)
	}
	build.Ref = "main"
	if built, _, _ = b.run(build); built.Behind != 0 {
		t.Errorf("main is %d behind main", built.Behind)
	}
	if built, _, _ = b.run(b.of("main")); built.Behind != -1 || built.MergeBase != "" {
		t.Errorf("against nothing: %+v", built)
	}
}

// A build is made once for each commit and command. One that failed, that was
// killed or whose binary is not the one that was made, is made again.
func TestBuildScript_cache(t *testing.T) {
	b := newBuilder(t)
	build := b.of("main")
	build.Command = "echo x >> ~/count; " + build.Command
	count := func() int {
		raw, _ := os.ReadFile(filepath.Join(b.home, "count"))
		return bytes.Count(raw, []byte("x"))
	}
	first, _, _ := b.run(build)
	again, _, _ := b.run(build)
	if first.Cached || !again.Cached || count() != 1 || first.Binary != again.Binary || first.SHA256 != again.SHA256 {
		t.Errorf("built %+v, then %+v; %d builds, want one", first, again, count())
	}
	if err := os.WriteFile(first.Binary, []byte("#!/bin/sh\necho changed\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if third, _, _ := b.run(build); third.Cached || count() != 2 || b.prints(third) != "C" {
		t.Errorf("a changed binary is taken for the built one: %+v, %d builds", third, count())
	}
	other := build
	other.Command += "; :"
	if built, _, _ := b.run(other); built.Cached || count() != 3 {
		t.Errorf("another command: %+v, %d builds", built, count())
	}
}

func TestBuildScript_fails(t *testing.T) {
	b := newBuilder(t)
	build := b.of("main")
	build.Command = "seq 100; test -e ~/cured && " + build.Command
	_, status, stderr := b.run(build)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if status != BuildFailed || len(lines) != 31 || lines[1] != "71" || lines[30] != "100" {
		t.Errorf("exit status %d, %d lines:\n%s", status, len(lines), stderr)
	}
	if !strings.Contains(lines[0], `building "main" (`) || !strings.Contains(lines[0], "status 1") {
		t.Errorf("the first line says %q", lines[0])
	}
	if err := os.WriteFile(filepath.Join(b.home, "cured"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if built, status, stderr := b.run(build); status != 0 || built.Cached {
		t.Errorf("after the cure: %+v, exit status %d: %s", built, status, stderr)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// waitsForLock reports whether the shell pid runs flock.
func waitsForLock(pid int) bool {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		if comm, _ := os.ReadFile(filepath.Join("/proc", child, "comm")); string(comm) == "flock\n" {
			return true
		}
	}
	return false
}

// A build that is killed when the binary is there already is not taken for a
// whole one. If only its shell is killed, the next build waits for the rest.
func TestBuildScript_killed(t *testing.T) {
	for _, c := range []struct {
		name   string
		kill   func(pid int)
		events string
	}{
		{"all", func(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }, "begin begin end"},
		{"its shell", func(pid int) { syscall.Kill(pid, syscall.SIGKILL) }, "begin end begin end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t)
			events := func() string {
				raw, _ := os.ReadFile(filepath.Join(b.home, "events"))
				return strings.Join(strings.Fields(string(raw)), " ")
			}
			build := b.of("main")
			// The build ends when it is told to; until then its binary is the
			// wrong one.
			build.Command = `mkdir out; printf '#!/bin/sh\necho half\n' > out/program; chmod +x out/program; echo begin >> ~/events
while ! test -e ~/go; do sleep 0.01; done; rm out/program; cp program.sh out/program; echo end >> ~/events`
			cmd, _, _ := b.command(build)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			eventually(t, func() bool { return events() == "begin" })
			c.kill(cmd.Process.Pid)
			cmd.Wait()
			next, stdout, stderr := b.command(build)
			if err := next.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool { return events() == "begin begin" || waitsForLock(next.Process.Pid) })
			if err := os.WriteFile(filepath.Join(b.home, "go"), nil, 0o644); err != nil {
				t.Error(err)
			}
			if err := next.Wait(); err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			built, err := ParseBuilt(stdout.Bytes())
			if err != nil || built.Cached || b.prints(built) != "C" || events() != c.events {
				t.Errorf("after the kill: %+v, %v; events %s, want %s", built, err, events(), c.events)
			}
		})
	}
}

// Builds of one commit at once are one build; those of two commits go on side
// by side.
func TestBuildScript_concurrent(t *testing.T) {
	b := newBuilder(t)
	var wg sync.WaitGroup
	for _, ref := range []string{"main", "main", "main", "pull/1/head", "pull/1/head", "v1"} {
		wg.Go(func() {
			build := b.of(ref)
			build.Command = "echo $(basename $PWD) >> ~/builds; " + build.Command
			if _, status, stderr := b.run(build); status != 0 {
				t.Errorf("%s: exit status %d: %s", ref, status, stderr)
			}
		})
	}
	wg.Wait()
	raw, err := os.ReadFile(filepath.Join(b.home, "builds"))
	if err != nil || bytes.Count(raw, []byte("\n")) != 3 {
		t.Errorf("%v: builds\n%s, want one for each of three commits", err, raw)
	}
}

func FuzzParseBuilt(f *testing.F) {
	whole := `{"commit":"` + strings.Repeat("a", 40) + `","source":"main","binary":"/x","sha256":"` + strings.Repeat("b", 64) + `","cached":true,"behind":-1}`
	f.Add([]byte("noise\n" + whole + "\n"))
	f.Add([]byte(whole[:50]))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := ParseBuilt(raw)
		if err == nil && (len(b.Commit) != 40 || len(b.SHA256) != 64 || !strings.HasPrefix(b.Binary, "/")) {
			t.Errorf("ParseBuilt(%q) = %+v", raw, b)
		}
	})
}

// What a killed attempt to add a worktree leaves is mended: git would refuse
// every fetch because of it.
func TestBuildScript_halfMadeWorktree(t *testing.T) {
	b := newBuilder(t)
	half, mine := filepath.Join(b.clone, ".git/worktrees/the_clone-half"), filepath.Join(b.home, "mine")
	b.git(b.clone, "worktree", "add", "--quiet", "--detach", mine)
	if err := os.MkdirAll(half, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"HEAD": strings.Repeat("0", 40) + "\n", "commondir": "../..\n",
		"gitdir": b.home + "/.verdict/worktrees/the_clone-half/.git\n",
	} {
		if err := os.WriteFile(filepath.Join(half, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if built, status, stderr := b.run(b.of("pull/1/head")); status != 0 || b.prints(built) != "D" {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("what the killed attempt left is still there")
	}
	b.git(mine, "status")
}

func TestBuildKind(t *testing.T) {
	for exit, want := range map[int]fault.Kind{
		NoSuchRef: fault.Usage, Unprepared: fault.Prerequisite, BuildFailed: fault.Failed, 137: fault.Failed,
	} {
		if got := BuildKind(exit); got != want {
			t.Errorf("status %d is %v, want %v", exit, got, want)
		}
	}
}
