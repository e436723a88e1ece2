package program

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/spec"
)

// bash runs a script as a login shell's, with the home directory and PATH given.
func bash(t *testing.T, home, path, script string, env ...string) (string, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-s")
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &out, &errs
	cmd.Env = append([]string{"HOME=" + home, "PATH=" + path + ":" + os.Getenv("PATH")}, env...)
	err := cmd.Run()
	return out.String(), errs.String(), err
}

// A docker that has the containers and volumes of files, and notes what it is
// asked to do.
const standInDocker = `#!/bin/bash
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case "$1 $2" in
"ps --all")
  for arg; do case $arg in id=*) id=${arg#id=} ;; esac; done
  format=${@: -1}
  while IFS='|' read -r cid name image status run; do
    [ -z "$id" ] || [ "$id" = "$cid" ] || continue
    if [ "$format" = '{{.ID}} {{.Names}}' ]; then echo "$cid $name"; else echo "$cid|$name|$image|$status|$run"; fi
  done < "$here/containers" ;;
"volume ls") cat "$here/volumes" ;;
"volume rm") grep -vx "$3" "$here/volumes" > "$here/v"; mv "$here/v" "$here/volumes" ;;
"rm --force") grep -v "^$4|" "$here/containers" > "$here/c"; mv "$here/c" "$here/containers" ;;
*) exit 1 ;;
esac
`

// What earlier runs left is found by exact names, and exactly what was approved
// is removed.
func TestFindAndRemove(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	id := strings.Repeat("ab", 32)
	other := strings.Repeat("cd", 32)
	write(t, bin+"/docker", standInDocker, 0o755)
	write(t, bin+"/containers", id+"|ethrex_l1|ethrex:main|Up 2 hours|\n"+other+"|my_ethrex_l1|x|Up 1 hour|\n", 0o644)
	write(t, bin+"/volumes", "l2_env\nmy_l2_env\n", 0o644)
	l2 := home + "/ethrex/crates/l2/dev_ethrex_l2"
	write(t, l2+"/rocks", strings.Repeat("x", 5000), 0o644)
	write(t, home+"/ethrex/crates/l2/dev_ethrex_l3/keep", "", 0o644)
	write(t, home+"/ethrex/cmd/.env", "X=1\n", 0o644)
	left := running(t, "ethrex", "l2", "--private-key", "0xsecret", "--datadir", "/d")
	node := running(t, "ethrex", "node", "--network", "mainnet")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, text, _ := net.SplitHostPort(listener.Addr().String())
	taken, _ := strconv.Atoi(text)

	p := proverSpec(spec.Live, func(p *spec.Prover) { p.Ports.Admin, p.Clear = uint16(taken), true })
	find := func() []Leftover {
		t.Helper()
		out, errs, err := bash(t, home, bin, FindScript(p))
		if err != nil {
			t.Fatalf("%v: %s", err, errs)
		}
		if strings.Contains(out, "secret") {
			t.Errorf("a secret is shown: %s", out)
		}
		found, err := ParseFound([]byte(out))
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(found, func(l Leftover) bool {
			return l.Kind == "port" && l.Port != taken || l.Kind == "process" && l.PID != left && l.PID != node
		})
	}
	found := find()
	if got := kindsOf(found); got != "process container volume database env port" {
		t.Fatalf("found %s", got)
	}
	if l := found[0]; l.PID != left || l.Role != "ethrex l2 --datadir /d" {
		t.Errorf("the process is %+v", l)
	}
	if l := found[3]; l.Path != l2 || l.Bytes < 4096 {
		t.Errorf("the database is %+v", l)
	}
	if l := found[5]; l.PID != os.Getpid() {
		t.Errorf("port %d is of %+v, want pid %d", taken, l, os.Getpid())
	}

	refusals(t, found, func(kind LeftoverKind, approved string) string {
		out, errs, _ := bash(t, home, bin, RemoveScript(kind, p), "APPROVED="+approved)
		return out + errs
	})
	if again := find(); len(again) != len(found) {
		t.Fatalf("something unapproved was removed: %v", again)
	}
	for _, kind := range RemovalKinds {
		if _, errs, err := bash(t, home, bin, RemoveScript(kind, p), "APPROVED="+Approval(found, kind)); err != nil {
			t.Errorf("removing the %s: %v: %s", kind, err, errs)
		}
	}
	if got := kindsOf(find()); got != "env port" {
		t.Errorf("after the removal there is %s", got)
	}
	for _, name := range []string{home + "/ethrex/crates/l2/dev_ethrex_l3/keep", fmt.Sprintf("/proc/%d/comm", node)} {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("%v: what was not approved is gone", err)
		}
	}
}

// kindsOf are the kinds of what was found, in order.
func kindsOf(found []Leftover) string {
	var kinds []string
	for _, l := range found {
		kinds = append(kinds, l.Kind)
	}
	return strings.Join(kinds, " ")
}

// refusals checks that what was not approved, or is no longer what was, is left
// alone.
func refusals(t *testing.T, found []Leftover, remove func(LeftoverKind, string) string) {
	t.Helper()
	process, container, database := found[0], found[1], found[3]
	beside := strings.TrimSuffix(database.Path, "2") + "3"
	for _, c := range []struct {
		kind           LeftoverKind
		approved, want string
	}{
		{LeftProcesses, fmt.Sprintf("%d 1 %s ethrex", process.PID, process.BootID), "has ended"},
		{LeftProcesses, strings.Replace(process.identity(), "ethrex", "load_test", 1), "no longer load_test"},
		{LeftProcesses, strings.Replace(process.identity(), "ethrex", "bash", 1), "no program of a localnet"},
		{LeftContainers, container.ID + " ethrex_l2", "it is " + container.ID + " ethrex_l1"},
		{LeftVolumes, "my_l2_env", "no localnet leaves"},
		{LeftDatabases, beside, "no database of a localnet"},
		{LeftDatabases, filepath.Dir(beside), "no database of a localnet"},
		{LeftDatabases, "", ""},
	} {
		if said := remove(c.kind, c.approved); !strings.Contains(said, c.want) {
			t.Errorf("removing %q of the %s said %q, want %q", c.approved, c.kind, said, c.want)
		}
	}
}

// write makes a file of a test, with its directory.
func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// running starts a program that does nothing under the name argv[0], with its
// arguments to be seen by others, and returns its pid. It is bash, whose script
// argv[1] is.
func running(t *testing.T, argv ...string) int {
	t.Helper()
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(shell)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, argv[0])
	if err := os.WriteFile(path, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, argv[1])
	if err := os.WriteFile(script, []byte("echo up; read -r _\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: path, Args: argv, Dir: dir}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); <-done })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// Programs of a localnet are known whatever their files are called: a release of
// ethrex has its platform in the name, verdict on servers its checksum.
func TestFind_names(t *testing.T) {
	want := map[int]string{
		running(t, "verdict-0123456789ab", "collect", "prover", "--out", "/x"): "verdict-0123456789ab collect prover --out /x",
		running(t, "ethrex-l2-linux-x86_64", "l2", "--datadir", "/d"):          "ethrex-l2-linux-x86_64 l2 --datadir /d",
	}
	t.Setenv("LOAD_TEST_RPC_URL", "http://user:secret@127.0.0.1:1729/x")
	want[running(t, "load_test", "load", "-k", "keys", "--test-type=erc20")] = "load_test load --node 127.0.0.1:1729"
	want[running(t, "verdict", "load", "--node=http://user:secret@127.0.0.1:9999")] = "verdict load --node 127.0.0.1:9999"
	for _, other := range []int{running(t, "ethrex-replay", "l2", "batch"), running(t, "verdict-0123456789ab", "runs")} {
		want[other] = ""
	}
	home := t.TempDir()
	p := proverSpec(spec.Live, nil)
	out, errs, err := bash(t, home, t.TempDir(), FindScript(p))
	if err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	found, err := ParseFound([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	for pid, role := range want {
		i := slices.IndexFunc(found, func(l Leftover) bool { return l.Kind == "process" && l.PID == pid })
		switch {
		case i < 0 && role != "":
			t.Errorf("%s was not found", role)
		case i >= 0 && found[i].Role != role:
			t.Errorf("process %d is found as %q, want %q", pid, found[i].Role, role)
		case i >= 0:
			said, errs, err := bash(t, home, t.TempDir(), RemoveScript(LeftProcesses, p), "APPROVED="+found[i].identity())
			if err != nil || !strings.Contains(said, "was stopped") {
				t.Errorf("%s: %q, %v: %s", role, said, err, errs)
			}
		}
	}
}

// A link of a database's name does not have what stands around the clone removed,
// even if that was approved.
func TestRemove_holdsClone(t *testing.T) {
	home := t.TempDir()
	disk := home + "/disk"
	write(t, disk+"/ethrex/README", "", 0o644)
	if err := os.Symlink(disk, home+"/dev_ethrex_l2"); err != nil {
		t.Fatal(err)
	}
	p := proverSpec(spec.Live, nil)
	p.Repository = disk + "/ethrex"
	out, errs, err := bash(t, home, t.TempDir(), RemoveScript(LeftDatabases, p), "APPROVED="+disk)
	if err == nil || !strings.Contains(errs, "it holds the home directory or a clone; it was left alone") {
		t.Errorf("%q, %v: %s", out, err, errs)
	}
	if _, err := os.Stat(disk + "/ethrex/README"); err != nil {
		t.Error(err)
	}
}
