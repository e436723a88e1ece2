package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A program is started also when whoever waits to hear that it is recorded has
// gone meanwhile, and has no part of SIGPIPE's being caught until then.
func TestProgramScript_abandoned(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	dir := t.TempDir()
	files, err := base(dir, "program")
	if err != nil {
		t.Fatal(err)
	}
	text, err := program(Program{Argv: []string{"sh", "-c", "echo ran; kill -PIPE $$; echo survived"}, WorkDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "--noprofile", "--norc", "-c",
		"exec 8>&3 3>&-\n"+files+strings.Replace(programScript, "EXECUTE", text, 1))
	cmd.ExtraFiles = []*os.File{write}
	out, err := cmd.Output()
	if string(out) != "ran\n" || cmd.ProcessState.String() != "signal: broken pipe" {
		t.Errorf("the program printed %q and ended with %v, want that it ran until its own SIGPIPE", out, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "program.pid")); err != nil {
		t.Errorf("it is not recorded: %v", err)
	}
}
