package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shorter is what is added to a shown command so that the tests need not wait
// for 200 full blocks.
const shorter = " --blocks 80 --warmup 1 --gas 1000000"

// remotePage is the page whose commands need two servers.
const remotePage = "remote.md"

// TestDocs_commands runs every command that the README and the pages in docs
// show as a console session. A command that is shown and does not work is a
// failure, and so is a documentation that shows none.
func TestDocs_commands(t *testing.T) {
	found := make(map[string][]string)
	for _, path := range pages(t) {
		if filepath.Base(path) == remotePage {
			continue // its commands need servers: TestLive runs them
		}
		for _, command := range consoleCommands(t, path) {
			found[command] = append(found[command], filepath.Base(path))
		}
	}
	if len(found) == 0 {
		t.Fatal("the documentation shows no command")
	}
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	for command, where := range found {
		t.Run(command, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", command)
			cmd.Dir = t.TempDir()
			switch {
			case strings.Contains(command, "witness --local"):
				cmd.Args[2] += shorter
			case strings.Contains(command, "prover --local") && !strings.Contains(command, "--dry-run"):
				l := newLocalnet(t)
				cmd.Args[2] += " --batches 2 --ports " + l.portList()
				cmd.Env = append(os.Environ(), "HOME="+l.home)
			}
			if err := os.Symlink(examples, filepath.Join(cmd.Dir, "examples")); err != nil {
				t.Fatal(err)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%q, shown in %v: %v\n%s", command, where, err, out)
			}
		})
	}
}

// pages are the README and everything in docs.
func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(list, "../README.md")
}

// consoleCommands are the lines that begin with "$ " in console blocks. The
// commands of a checkout are run as the program that they build.
func consoleCommands(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(raw), -1) {
		for line := range strings.Lines(block[1]) {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !ok || command == "make test" { // which is what runs this test
				continue
			}
			out = append(out, strings.Replace(command, "go run ./cmd/verdict", "verdict", 1))
		}
	}
	return out
}

// Every link to a file of the repository leads somewhere.
func TestDocs_links(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	for _, path := range pages(t) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(raw), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := filepath.Join(filepath.Dir(path), m[1])
			candidates := []string{target, target + ".md"}
			if !slices.ContainsFunc(candidates, func(p string) bool { _, err := os.Stat(p); return err == nil }) {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
	}
}
