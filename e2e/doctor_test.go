package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/sshdtest"
)

// doctorFindings are the findings of verdict doctor --json, as anybody reads
// them.
type doctorFindings struct {
	Summary  map[string]int
	Findings []struct{ ID, Host, Side, Level, Seen, Means, Cure string }
	Hosts    []struct {
		Host  string
		Facts *struct {
			User struct{ Home string }
		}
	}
}

// level is that of the check id on a host, empty when it was not made.
func (d *doctorFindings) level(id, host string) string {
	for _, f := range d.Findings {
		if f.ID == id && f.Host == host {
			return f.Level
		}
	}
	return ""
}

// doctor runs verdict doctor --json and returns what it found and its exit
// status.
func doctor(t *testing.T, args ...string) (d doctorFindings, status int) {
	t.Helper()
	cmd := exec.Command("verdict", append([]string{"doctor", "--json"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("verdict doctor %q: %v\n%s%s", args, err, out, stderr.String())
	}
	return d, cmd.ProcessState.ExitCode()
}

// Two servers behind real sshds: verdict is copied there, looks, and each is
// judged and compared with the other. Then one vanishes, and then its key
// changes.
func TestDoctor_servers(t *testing.T) {
	t.Parallel()
	fleet := sshdtest.Start(t, "server-1", "server-2")
	jwt := strings.Repeat("0a", 32)
	for i, name := range []string{"server-1", "server-2"} {
		// The second one can be read by everybody.
		writeFile(t, filepath.Join(fleet.Host(name).Home, "it's secret", "jwt"), jwt, []os.FileMode{0o600, 0o644}[i])
	}
	args := []string{"--ssh-config", fleet.Config, "--jwt", "~/it's secret/jwt",
		"--rpc-port", "1", "--engine-port", "1", "--beacon-port", "1", "--metrics-port", "1", "--p2p-port", "1"}
	both := append(args, "server-1", "server-2")

	d, status := doctor(t, both...)
	if status != 0 || d.Summary["fail"] != 0 || len(d.Hosts) != 2 {
		t.Fatalf("exit status %d, %v on %d hosts", status, d.Summary, len(d.Hosts))
	}
	for i, name := range []string{"server-1", "server-2"} {
		host := fleet.Host(name)
		if f := d.Hosts[i].Facts; f == nil || f.User.Home != host.Home {
			t.Errorf("facts of %s: %+v, want its own home %s", name, f, host.Home)
		}
		programs, err := filepath.Glob(host.Home + "/.verdict/bin/verdict-*")
		if err != nil || len(programs) != 1 {
			t.Errorf("programs on %s: %q, %v", name, programs, err)
		}
		for id, want := range map[string]string{"ssh": "ok", "system": "ok", "clock": "ok", "jwt": "ok", "port-rpc": "note"} {
			if got := d.level(id, name); got != want {
				t.Errorf("%s on %s is %q, want %q", id, name, got, want)
			}
		}
	}
	if one, other := d.level("jwt-mode", "server-1"), d.level("jwt-mode", "server-2"); one != "ok" || other != "warn" {
		t.Errorf("jwt-mode is %q and %q, want ok and warn", one, other)
	}
	const together = "server-1 and server-2"
	for id, want := range map[string]string{"same-machine": "warn", "same-cpu": "ok", "same-cpus": "ok", "same-memory": "ok", "same-kernel": "ok", "same-clock": "ok"} {
		if got := d.level(id, together); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	for _, f := range d.Findings {
		if strings.Contains(f.Seen+f.Means+f.Cure, jwt) {
			t.Errorf("finding %s shows the secret", f.ID)
		}
		if f.ID == "jwt-mode" && f.Level == "warn" {
			cures(t, f.Cure, filepath.Join(fleet.Host("server-2").Home, "it's secret/jwt"))
		}
	}

	// What no ssh option, and no shell, may make of a name or a path.
	hit := filepath.Join(fleet.Host("server-1").Home, "hit")
	hostile := "~/$(touch hit)`touch hit`; touch hit #'\"\n$HOME"
	if _, status := doctor(t, "--ssh-config", fleet.Config, "--rpc-port", "1", "--jwt", hostile, "--repository", hostile,
		"--datadir", hostile, "--tool", hostile, "--lighthouse", hostile, "--session", hostile, "server-1"); status != 0 {
		t.Errorf("with hostile values: exit status %d, want 0", status)
	}
	if _, err := os.Stat(hit); err == nil {
		t.Error("a value was executed")
	}

	// A spec names the servers and what they need.
	file := filepath.Join(t.TempDir(), "live.yaml")
	const live = "version: 1\nworkflow: witness\nplace: live\nbaseline: {host: server-1}\ntest: {host: server-2, ref: \"6157\"}\n" +
		"repository: ~/no-clone\nservers: {network: hoodi, lighthouse: no-such-lighthouse, jwt: \"~/it's secret/jwt\"}\n"
	if err := os.WriteFile(file, []byte(live), 0o644); err != nil {
		t.Fatal(err)
	}
	d, status = doctor(t, "--ssh-config", fleet.Config, file)
	if status != 4 || d.level("tool-no-such-lighthouse", "server-1") != "fail" || d.level("repository", "server-2") != "fail" || d.level("jwt", "server-1") != "ok" {
		t.Errorf("of a spec: exit status %d, %+v", status, d.Findings)
	}
	for _, f := range d.Findings {
		if want := map[string]string{"server-1": "baseline", "server-2": "test"}[f.Host]; f.Side != want {
			t.Errorf("finding %s on %s is of side %q, want %q", f.ID, f.Host, f.Side, want)
		}
	}

	fleet.Host("server-2").Stop()
	d, status = doctor(t, both...)
	if status != 4 || d.level("ssh", "server-2") != "fail" || d.level("ssh", "server-1") != "ok" || d.level("jwt", "server-1") != "ok" || d.level("same-cpu", together) != "" {
		t.Errorf("with one host away: exit status %d, %v", status, d.Summary)
	}

	fleet.Host("server-2").ChangeHostKey()
	fleet.Host("server-2").Start()
	d, status = doctor(t, both...)
	if status != 4 || d.level("ssh", "server-2") != "fail" {
		t.Errorf("with another host key: exit status %d, %v", status, d.Summary)
	}
	for _, f := range d.Findings {
		if f.ID == "ssh" && f.Host == "server-2" && !strings.Contains(f.Seen+f.Cure, "key") {
			t.Errorf("with another host key: %+v", f)
		}
	}
}

// cures runs the command of a finding about the mode of a file, as a user
// pastes it.
func cures(t *testing.T, command, file string) {
	t.Helper()
	if !regexp.MustCompile(`^ssh -F \S+ server-2 `).MatchString(command) {
		t.Errorf("cure %q", command)
	}
	if out, err := exec.Command("bash", "-c", command).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	info, err := os.Stat(file)
	if err != nil || fmt.Sprintf("%o", info.Mode().Perm()) != "600" {
		t.Errorf("after %s: %v, %v", command, info, err)
	}
}
