package program

import (
	"os"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// A docker that has one image and one container at most, in files, and notes what
// it is asked to do.
const oneDocker = `#!/bin/bash
here=$(dirname "$0")
id=` + containerID + `
echo "$*" >> "$here/calls"
case "$1 $2" in
"image inspect")
  [ -e "$here/image" ] || exit 1
  if [ "$3" = --format ]; then echo "` + imageID + `"; fi ;;
"build --tag" | "pull --quiet") touch "$here/image"; echo built ;;
"run --detach") touch "$here/container"; echo true > "$here/up"; echo "$id" ;;
"ps --all") if [ -e "$here/container" ]; then echo "$id"; fi ;;
"inspect --format") case $3 in *Running*) cat "$here/up" ;; *) echo "` + imageID + `" ;; esac ;;
"logs "*) echo "a line of its log" ;;
"rm --force") rm -f "$here/container" ;;
*) exit 1 ;;
esac
`

const (
	containerID = "abababababababababababababababababababababababababababababababab"
	imageID     = "sha256:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
)

// The L1's container is started once, belongs to the run, and goes by its id.
func TestContainer(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	write(t, bin+"/docker", oneDocker, 0o755)
	r := RollupOf(proverSpec(spec.Live, func(p *spec.Prover) { p.Ports.L1 = 9545 }), sample.Baseline, 2)
	env := []string{"RUN=" + home + "/runs/run-12", "WORKTREE=" + home + "/w", "IMAGE=" + imageID, "CONTAINER=" + containerID}
	write(t, home+"/runs/run-12/s2/env", "", 0o644)
	do := func(script string) (string, string, error) { return bash(t, home, bin, script, env...) }

	for range 2 { // the second finds it running
		out, errs, err := do(r.StartContainer(2))
		if err != nil {
			t.Fatalf("%v: %s", err, errs)
		}
		c, err := ParseContainer([]byte(out))
		if err != nil || c != (Container{containerID, imageID, "verdict-l1-run-12-s2"}) {
			t.Errorf("the container is %+v, %v", c, err)
		}
	}
	calls, _ := os.ReadFile(bin + "/calls")
	run := "run --detach --name verdict-l1-run-12-s2 --label verdict.run=run-12 --publish 127.0.0.1:9545:8545 --volume " + home +
		"/w/fixtures/genesis/l1.json:/genesis/l1.json:ro " + imageID + " --network /genesis/l1.json --http.addr 0.0.0.0 --http.port 8545 --dev\n"
	if strings.Count(string(calls), "run --detach") != 1 || !strings.Contains(string(calls), run) {
		t.Errorf("docker was asked\n%s, want once\n%s", calls, run)
	}
	// One that has ended is no L1, and is told with its log.
	write(t, bin+"/up", "false\n", 0o644)
	if _, errs, err := do(r.StartContainer(2)); err == nil || !strings.Contains(errs, "has ended") || !strings.Contains(errs, "a line of its log") {
		t.Errorf("a container that has ended: %v: %s", err, errs)
	}
	// Another one is left alone.
	env[3] = "CONTAINER=" + strings.Repeat("00", 32)
	if _, errs, err := do(r.StopContainer(2)); err == nil || !strings.Contains(errs, "it was left alone") {
		t.Errorf("another container: %v: %s", err, errs)
	}
	env[3] = "CONTAINER=" + containerID
	for _, want := range []string{"stopped", "did not run"} {
		if out, errs, err := do(r.StopContainer(2)); err != nil || strings.TrimSpace(out) != want {
			t.Errorf("stopping said %q, %v: %s, want %s", out, err, errs, want)
		}
	}
	if log, err := os.ReadFile(home + "/runs/run-12/s2/l1.log"); err != nil || string(log) != "a line of its log\n" {
		t.Errorf("the log is %q, %v", log, err)
	}
}

// The image is of the commit that is built, or the one that the spec names, and
// made once.
func TestImage(t *testing.T) {
	for _, image := range []string{"", "ghcr.io/x/y:it's"} {
		home, bin := t.TempDir(), t.TempDir()
		write(t, bin+"/docker", oneDocker, 0o755)
		write(t, bin+"/git", "#!/bin/sh\necho 0123456789012345678901234567890123456789\n", 0o755)
		p := proverSpec(spec.Live, func(p *spec.Prover) { p.L1Image = image })
		for _, cached := range []bool{false, true} {
			out, errs, err := bash(t, home, bin, ImageScript(p), "WORKTREE=/w")
			if err != nil {
				t.Fatalf("%v: %s", err, errs)
			}
			want := Image{imageID, "ethrex:verdict-012345678901", cached}
			if image != "" {
				want.Tag = image
			}
			if got, err := ParseImage([]byte(out)); err != nil || got != want {
				t.Errorf("the image is %+v, %v, want %+v", got, err, want)
			}
		}
	}
	if _, err := ParseImage([]byte("{\"id\":\"x\",\"tag\":\"y\",\"cached\":true}")); err == nil {
		t.Error("an image without a digest is taken")
	}
	if _, err := ParseContainer([]byte("docker: error\n")); err == nil {
		t.Error("a container that is none is taken")
	}
}

// A session that left a container does not count as cleaned up.
func TestVerifyContainers(t *testing.T) {
	const docker = `#!/bin/bash
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case "$*" in
"ps --all --format {{.Names}} --filter label=verdict.run=run-12") cat "$here/labeled" ;;
"ps --all --format {{.Names}} --filter name=^/?sp1-gpu\$") cat "$here/named" ;;
*) exit 1 ;;
esac
`
	home, bin := t.TempDir(), t.TempDir()
	write(t, bin+"/docker", docker, 0o755)
	write(t, bin+"/sleep", "#!/bin/sh\n", 0o755)
	write(t, home+"/run-12/s1/prover.log", "", 0o644)
	for _, c := range []struct {
		backend        spec.Backend
		session        int
		labeled, named string
		want           string
	}{
		{spec.SP1, 1, "", "", ""},
		{spec.SP1, 1, "verdict-l1-run-12-s1\n", "", "verdict-l1-run-12-s1 is still there"},
		{spec.SP1, 1, "", "sp1-gpu\n", "sp1-gpu is still there"},
		{spec.SP1, 2, "", "sp1-gpu\n", ""}, // of somebody else: no prover was started
		{spec.Exec, 1, "", "sp1-gpu\n", ""},
	} {
		write(t, bin+"/labeled", c.labeled, 0o644)
		write(t, bin+"/named", c.named, 0o644)
		p := proverSpec(spec.Live, nil)
		p.Backend, p.GPU = c.backend, c.backend == spec.SP1
		_, errs, err := bash(t, home, bin, RollupOf(p, sample.Baseline, c.session).VerifyContainers(), "RUN="+home+"/run-12")
		if (err != nil) != (c.want != "") || !strings.Contains(errs, c.want) {
			t.Errorf("%+v: %v: %s", c, err, errs)
		}
	}
	p := proverSpec(spec.Live, nil)
	p.Backend, p.GPU, p.Keep = spec.Exec, false, true
	if script := RollupOf(p, sample.Baseline, 1).VerifyContainers(); script != "" {
		t.Errorf("a localnet that is kept is looked for: %s", script)
	}
}
