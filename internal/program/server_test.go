package program

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/spec"
)

// server is a directory with its own home, tmux server and programs.
type server struct {
	home, run, binary string
}

// newServer makes one whose execution client and Lighthouse are the given bash
// scripts.
func newServer(t *testing.T, ethrex, lighthouse string) *server {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("VERDICT_REQUIRE") != "" {
			t.Fatal("no tmux: make tools installs it")
		}
		t.Skip("no tmux: make tools installs it")
	}
	home := filepath.Join(t.TempDir(), "it's $HOME")
	s := &server{home: home, run: home + "/run", binary: home + "/bin/ethrex"}
	for _, dir := range []string{"bin", "tmux", "secrets"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range map[string]string{"ethrex": ethrex, "lighthouse": lighthouse} {
		if err := os.WriteFile(filepath.Join(home, "bin", name), []byte("#!/bin/bash\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, ".bash_profile"), []byte("PATH=~/bin:$PATH\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.command("tmux kill-server").Run() })
	return s
}

func (s *server) command(script string) *exec.Cmd {
	cmd := exec.Command("bash", "-s")
	cmd.Env = []string{"HOME=" + s.home, "TMUX_TMPDIR=" + s.home + "/tmux", "PATH=" + s.home + "/bin:/usr/local/bin:/usr/bin:/bin",
		"RUN=" + s.run, "BINARY=" + s.binary, "RUST_LOG=ethrex_replay=debug"}
	cmd.Stdin = strings.NewReader(script)
	return cmd
}

// do runs a script and returns what it printed and its exit status.
func (s *server) do(t *testing.T, script string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := s.command(script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), cmd.ProcessState.ExitCode()
}

func liveSpec() *spec.Witness {
	w := spec.Defaults(spec.Live)
	w.Servers.Network = "hoodi"
	w.Baseline.Host, w.Test.Host = "a", "b"
	return &w
}

const forever = "trap 'exit 0' INT TERM; while :; do sleep 0.05; done\n"

const newHelp = `case "$*" in
*--help*) echo "  --precompute-witnesses  --http.api <LIST>  --http.api-foo  --authrpc.addr  --metrics --p2p.port"; exit ;;
esac
`

func TestStartExecution(t *testing.T) {
	s := newServer(t, newHelp+`printf '[%s]' "$@"; echo; echo "log=${RUST_LOG-unset}"
`+forever, "")
	w := liveSpec()
	w.Servers.JWT, w.Baseline.Datadir = "~/secrets/jwt $x.hex", "~/data; reboot"
	w.Program.Args, w.Baseline.Args = []string{"--both"}, []string{"--one", "a b"}
	script := StartExecution(w, &w.Baseline, &w.Baseline)
	out, errs, status := s.do(t, script)
	if status != 0 {
		t.Fatalf("status %d: %s\n%s", status, errs, script)
	}
	var id struct {
		PID       int    `json:"pid"`
		StartTime string `json:"start_time"`
		BootID    string `json:"boot_id"`
	}
	if err := json.Unmarshal([]byte(out), &id); err != nil || id.PID == 0 || id.StartTime == "" || id.BootID == "" {
		t.Fatalf("printed %q: %v", out, err)
	}
	if again, _, _ := s.do(t, script); again != out {
		t.Errorf("a second start gives %s, want the same process %s", again, out)
	}
	argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/bin/bash", s.binary, "--network", "hoodi", "--http.addr", "127.0.0.1", "--http.port", "8545", "--authrpc.port", "8551",
		"--authrpc.jwtsecret", s.home + "/secrets/jwt $x.hex", "--precompute-witnesses", "--datadir", s.home + "/data; reboot",
		"--authrpc.addr", "127.0.0.1", "--http.api", "eth,net,web3,debug",
		"--metrics", "--metrics.addr", "127.0.0.1", "--metrics.port", "9090", "--p2p.port", "30303", "--both", "--one", "a b"}
	if got := strings.TrimSuffix(string(argv), "\x00"); got != strings.Join(want, "\x00") {
		t.Errorf("started %q\nwant    %q", strings.Split(got, "\x00"), want)
	}
	becomes(t, func() bool {
		log, _ := os.ReadFile(s.run + "/execution.log")
		return strings.Contains(string(log), "log=unset")
	})
	if out, _, _ := s.do(t, Recorded("execution")); out != "running" {
		t.Errorf("recorded as %q, want running", out)
	}
	if out, _, _ := s.do(t, StopRecorded("execution", 5)); out != "stopped" {
		t.Errorf("stopping says %q", out)
	}
	if out, _, _ := s.do(t, StopRecorded("execution", 5)); out != "did not run" {
		t.Errorf("stopping again says %q", out)
	}
	if out, _, _ := s.do(t, Recorded("execution")); !strings.HasPrefix(out, "ended\n") || !strings.Contains(out, "log=unset") {
		t.Errorf("recorded as %q, want ended with its log", out)
	}
}

func TestStartExecution_refused(t *testing.T) {
	for _, test := range []struct{ name, ethrex, before, want string }{
		{"no flag", "echo --http.api\n", "", "has no flag --precompute-witnesses"},
		{"session there", newHelp + forever, "tmux new-session -d -s ethrex 'sleep 600'", "is there already and is not of this run; it was left alone"},
		{"ends at once", newHelp + "echo no such network >&2; exit 7\n", "", "no such network"},
		{"no program", "exit 127\n", "", "--help failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, test.ethrex, "")
			if test.before != "" {
				if _, errs, status := s.do(t, test.before); status != 0 {
					t.Fatal(errs)
				}
			}
			w := liveSpec()
			_, errs, status := s.do(t, StartExecution(w, &w.Baseline, &w.Baseline))
			if test.name == "ends at once" && status == 0 {
				// On a busy machine it ends after the start was looked at; the
				// next look finds it.
				becomes(t, func() bool {
					errs, _, _ = s.do(t, Recorded("execution"))
					return strings.HasPrefix(errs, "ended")
				})
				status = 1
			}
			if status == 0 || !strings.Contains(errs, test.want) {
				t.Errorf("status %d, says %q, want %q", status, errs, test.want)
			}
			if test.before != "" {
				if _, _, status := s.do(t, "tmux has-session -t =ethrex"); status != 0 {
					t.Error("the session of somebody else is gone")
				}
			}
		})
	}
}

func TestStopRecorded_killsWhatIgnoresIt(t *testing.T) {
	s := newServer(t, newHelp+"trap '' INT TERM; while :; do sleep 0.05; done\n", "")
	w := liveSpec()
	if _, errs, status := s.do(t, StartExecution(w, &w.Baseline, &w.Baseline)); status != 0 {
		t.Fatal(errs)
	}
	if out, _, _ := s.do(t, StopRecorded("execution", 0)); !strings.Contains(out, "was killed") {
		t.Errorf("stopping says %q", out)
	}
}

func TestStartExecution_command(t *testing.T) {
	s := newServer(t, forever, "")
	w := liveSpec()
	w.Program = &spec.Program{Name: "other", Command: []string{"{binary}", "serve", "--jwt={jwt}", "--port", "{http_port}", "{unknown}"}}
	out, errs, status := s.do(t, StartExecution(w, &w.Baseline, &w.Baseline))
	if status != 0 {
		t.Fatal(errs)
	}
	var id struct{ PID int }
	json.Unmarshal([]byte(out), &id)
	argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
	want := "serve\x00--jwt=" + s.home + "/secrets/jwt.hex\x00--port\x008545\x00{unknown}\x00"
	if !strings.HasSuffix(string(argv), want) {
		t.Errorf("started %q, want it to end with %q", argv, want)
	}
}

func TestStartConsensus(t *testing.T) {
	s := newServer(t, "", `printf '[%s]' "$@"; echo
`+forever)
	w := liveSpec()
	w.Servers.CheckpointSyncURL = "https://example.org/$(reboot)"
	w.Test.ConsensusDatadir = "~/cl"
	if _, errs, status := s.do(t, StartConsensus(w, &w.Test)); status != 0 {
		t.Fatal(errs)
	}
	want := "[bn][--network][hoodi][--execution-endpoint][http://127.0.0.1:8551][--execution-jwt][" + s.home +
		"/secrets/jwt.hex][--http][--http-address][127.0.0.1][--http-port][5052][--checkpoint-sync-url][https://example.org/$(reboot)][--datadir][" + s.home + "/cl]"
	becomes(t, func() bool {
		log, _ := os.ReadFile(s.run + "/consensus.log")
		return strings.Contains(string(log), want)
	})
}

func becomes(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("did not happen within 20 s")
}

// write makes a file of the server.
func (s *server) write(t *testing.T, path string, size int) {
	t.Helper()
	path = filepath.Join(s.home, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *server) has(path string) bool {
	_, err := os.Stat(filepath.Join(s.home, path))
	return err == nil
}

func TestLook(t *testing.T) {
	s := newServer(t, "", "")
	w := liveSpec()
	look := func(what spec.Clearable) (seen struct {
		Path  string
		Bytes int64
	}) {
		t.Helper()
		out, errs, _ := s.do(t, Look(w, &w.Baseline, what))
		if err := json.Unmarshal([]byte(out), &seen); err != nil {
			t.Fatalf("%q: %v\n%s", out, err, errs)
		}
		return seen
	}
	if seen := look(spec.ExecutionDB); seen.Bytes != 0 || seen.Path != s.home+"/.local/share/ethrex" {
		t.Errorf("of no database: %+v", seen)
	}
	s.write(t, ".local/share/ethrex/hoodi/db", 3<<20)
	if seen := look(spec.ExecutionDB); seen.Bytes < 3<<20 || seen.Path != s.home+"/.local/share/ethrex/hoodi" {
		t.Errorf("of a folder for the network: %+v", seen)
	}
	s.write(t, ".lighthouse/hoodi/beacon/chain_db/x", 2<<20)
	if seen := look(spec.ConsensusDB); seen.Bytes < 2<<20 || seen.Path != s.home+"/.lighthouse/hoodi/beacon" {
		t.Errorf("of Lighthouse: %+v", seen)
	}
}

// The version of 2026-02 removes exactly --datadir; newer ones the folder of
// the network that was given before the command, mainnet otherwise. Both say
// that it worked whatever happened.
func TestClearExecution(t *testing.T) {
	older := `case "$*" in *--help*) echo --datadir --force; exit ;; esac
[ "$1 $2 $3 $4" = "--network hoodi removedb --datadir" ] && rm -rf "$5"; echo "Database removed successfully."`
	newer := `case "$*" in *--help*) echo --datadir --force; exit ;; esac
[ "$1" = --network ] && [ "$6" = --force ] && rm -rf "$5/$2"; echo "Database removed successfully."`
	wrong := `echo "Database removed successfully."`
	for _, test := range []struct {
		name, ethrex, file string
		fails              bool
	}{
		{"older", older, "data/db", false},
		{"newer", newer, "data/hoodi/db", false},
		{"removes another", wrong, "data/db", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, test.ethrex+"\n", "")
			s.write(t, test.file, 2<<20)
			s.write(t, "data-of-somebody/db", 1)
			w := liveSpec()
			w.Baseline.Datadir = "~/data"
			_, errs, status := s.do(t, ClearExecution(w, &w.Baseline))
			if (status != 0) != test.fails {
				t.Errorf("status %d: %s", status, errs)
			}
			if test.fails != s.has(test.file) {
				t.Errorf("the database is there: %v", s.has(test.file))
			}
			if !s.has("data-of-somebody/db") {
				t.Error("the neighbor is gone")
			}
		})
	}
}

// Older versions of Lighthouse delete at once on --purge-db; newer ones ask, and
// have --purge-db-force.
func TestClearConsensus(t *testing.T) {
	older := `case "$*" in *--help*) echo "--purge-db  deletes"; exit ;; esac
case " $* " in *" --purge-db "*) rm -rf ~/cl/beacon/chain_db; mkdir -p ~/cl/beacon/chain_db; sleep 0.1; echo new > ~/cl/beacon/chain_db/y ;; esac
`
	newer := `case "$*" in *--help*) echo "--purge-db asks, --purge-db-force does not"; exit ;; esac
case " $* " in *" --purge-db-force "*) rm -rf ~/cl/beacon/chain_db ;; esac
`
	neither := `case "$*" in *--help*) echo "--network"; exit ;; esac
`
	broken := `case "$*" in *--help*) echo "--purge-db"; exit ;; esac
echo "cannot open it" >&2; exit 1
`
	for _, test := range []struct{ name, lighthouse, want string }{
		{"older", older + forever, ""},
		{"newer", newer + forever, ""},
		{"neither", neither + forever, "knows neither --purge-db nor --purge-db-force"},
		{"broken", broken, "cannot open it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, "", test.lighthouse)
			s.write(t, "cl/beacon/chain_db/x", 1000)
			w := liveSpec()
			w.Baseline.ConsensusDatadir = "~/cl"
			_, errs, status := s.do(t, ClearConsensus(w, &w.Baseline))
			if (status == 0) != (test.want == "") || !strings.Contains(errs, test.want) {
				t.Errorf("status %d, says %q, want %q", status, errs, test.want)
			}
			if s.has("cl/beacon/chain_db/x") != (test.want != "") {
				t.Errorf("the database is there: %v", s.has("cl/beacon/chain_db/x"))
			}
		})
	}
}
