package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/shell"
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
	t.Cleanup(func() { s.command("command -p tmux kill-server").Run() })
	return s
}

func (s *server) command(script string) *exec.Cmd {
	cmd := exec.Command("bash", "-s")
	cmd.Dir = s.home
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

// A start that is killed between making the session and hearing of the process
// leaves none that nobody knows: the next start gives its identity.
func TestStartExecution_starterKilled(t *testing.T) {
	for _, test := range []struct{ name, profile string }{
		{"login shell is fast", ""},
		{"login shell is slow", "while ! [ -e ~/go ]; do sleep 0.02; done\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, newHelp+"echo x >> ~/starts\n"+forever, "")
			real, err := exec.LookPath("tmux")
			if err != nil {
				t.Fatal(err)
			}
			// The first session that is made costs its maker the life.
			for path, script := range map[string]string{
				"bin/tmux": "#!/bin/bash\necho \"$1\" >> ~/calls\n" + real + ` "$@"; status=$?
if [ "$1" = new-session ] && ! [ -e ~/killed ]; then touch ~/killed; kill -KILL $PPID; fi
exit $status
`,
				".bash_profile": "PATH=~/bin:$PATH\n" + test.profile,
			} {
				if err := os.WriteFile(filepath.Join(s.home, path), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			w := liveSpec()
			script := StartExecution(w, &w.Baseline, &w.Baseline)
			if out, _, status := s.do(t, script); status == 0 || out != "" {
				t.Fatalf("the starter was not killed: status %d, printed %q", status, out)
			}
			if test.profile != "" {
				// The second start looks at the session before the process has
				// recorded itself.
				go func() {
					for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
						calls, _ := os.ReadFile(filepath.Join(s.home, "calls"))
						if _, second, _ := strings.Cut(string(calls), "new-session"); strings.Contains(second, "list-panes") {
							break
						}
					}
					os.WriteFile(filepath.Join(s.home, "go"), nil, 0o644)
				}()
			}
			out, errs, status := s.do(t, script)
			var id struct{ PID int }
			if err := json.Unmarshal([]byte(out), &id); err != nil || status != 0 {
				t.Fatalf("status %d, printed %q: %s", status, out, errs)
			}
			argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
			if !strings.Contains(string(argv), s.binary) {
				t.Errorf("the identity is that of %q", argv)
			}
			becomes(t, func() bool {
				starts, _ := os.ReadFile(filepath.Join(s.home, "starts"))
				return string(starts) == "x\n"
			})
			if out, errs, _ := s.do(t, StopRecorded("execution", 5)); out != "stopped" {
				t.Errorf("stopping says %q, %s", out, errs)
			}
		})
	}
}

// A process that has ended is taken for one, and its session goes, even where
// tmux is told to keep panes of what has ended.
func TestStopRecorded_remainOnExit(t *testing.T) {
	for _, test := range []struct{ name, ethrex, undo, want string }{
		{"ends", forever, "", "stopped"},
		{"kept by the user", forever, "tmux set-window-option -t =ethrex: remain-on-exit on", "stopped"},
		{"killed", "trap '' INT; while :; do sleep 0.05; done\n", "tmux set-window-option -t =ethrex: remain-on-exit on", "was killed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, newHelp+test.ethrex, "")
			if err := os.WriteFile(filepath.Join(s.home, ".tmux.conf"), []byte("set -g remain-on-exit on\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			w := liveSpec()
			script := StartExecution(w, &w.Baseline, &w.Baseline)
			first, errs, status := s.do(t, script)
			if status != 0 {
				t.Fatal(errs)
			}
			if _, errs, status := s.do(t, "tmux new-session -d -s mine 'exit 3'\n"+test.undo); status != 0 {
				t.Fatal(errs)
			}
			if out, errs, _ := s.do(t, StopRecorded("execution", 1)); !strings.Contains(out, test.want) {
				t.Errorf("stopping says %q, want %q; %s", out, test.want, errs)
			}
			if out, _, _ := s.do(t, "tmux list-sessions -F '#{session_name}'"); out != "mine" {
				t.Errorf("sessions %q are there, want only the user's own", out)
			}
			if out, _, _ := s.do(t, Recorded("execution")); !strings.HasPrefix(out, "ended") {
				t.Errorf("recorded as %q, want ended", out)
			}
			// The session is free at once.
			if second, errs, status := s.do(t, script); status != 0 || second == first {
				t.Errorf("the next start: status %d, %s, %s", status, second, errs)
			}
		})
	}
}

// With remain-on-exit, a program that fails leaves a dead pane, which is no
// session of somebody else's.
func TestStartExecution_endsAndRemains(t *testing.T) {
	s := newServer(t, newHelp+"[ -e ~/cured ] || exit 7\n"+forever, "")
	if err := os.WriteFile(filepath.Join(s.home, ".tmux.conf"), []byte("set -g remain-on-exit on\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.home, ".bash_profile"), []byte("PATH=~/bin:$PATH\n[ -e ~/cured ] || exit 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := liveSpec()
	script := StartExecution(w, &w.Baseline, &w.Baseline)
	if _, errs, status := s.do(t, script); status != 1 || !strings.Contains(errs, "ended at once") {
		t.Errorf("of a profile that ends: status %d, %s", status, errs)
	}
	s.write(t, "cured", 0)
	if _, errs, status := s.do(t, script); status != 0 {
		t.Errorf("cured: status %d, %s", status, errs)
	}
}

// A process that has ended and waits for its parent is not taken for one that
// runs.
func TestRecorded_zombie(t *testing.T) {
	s := newServer(t, "", "")
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	stat := fmt.Sprintf("/proc/%d/stat", zombie.Process.Pid)
	var fields []string
	becomes(t, func() bool {
		raw, _ := os.ReadFile(stat)
		_, rest, _ := strings.Cut(string(raw), ") ")
		fields = strings.Fields(rest)
		return len(fields) > 20 && fields[0] == "Z"
	})
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Skip("no /proc here")
	}
	record := fmt.Sprintf("%d %s %s", zombie.Process.Pid, fields[19], boot)
	if err := os.MkdirAll(s.run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.run+"/execution.tmux", []byte(record), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _, _ := s.do(t, Recorded("execution")); out != "ended" {
		t.Errorf("recorded as %q, want ended", out)
	}
	if out, _, _ := s.do(t, StopRecorded("execution", 0)); out != "did not run" {
		t.Errorf("stopping says %q", out)
	}
}

func TestCheckServerCommand(t *testing.T) {
	has, lacks := &spec.Side{Host: "a", Datadir: "~/d"}, &spec.Side{Host: "b"}
	extra := &spec.Side{Host: "c", Args: []string{"--x={port}"}}
	command := func(argv ...string) *spec.Program { return &spec.Program{Name: "other", Command: argv} }
	for _, test := range []struct {
		name    string
		program *spec.Program
		sides   []*spec.Side
		want    string
	}{
		{"none", nil, []*spec.Side{has, lacks}, ""},
		{"all known", command("{binary}", "--d={datadir}", "{jwt}:{network}", "{http_port}", "{engine_port}", "{metrics_port}", "{p2p_port}", `{"a":1}`), []*spec.Side{has}, ""},
		{"no data directory", command("{binary}", "--d={datadir}"), []*spec.Side{has, lacks}, `"--d={datadir}" of the program names {datadir}, and b has none`},
		{"no binary", command("ethrex", "--d={datadir}"), []*spec.Side{has}, "has no {binary}: both sides would run the same program"},
		{"unknown", command("{binary}", "{genesis}"), []*spec.Side{has}, "the placeholder {genesis}"},
		{"in arguments", &spec.Program{Args: []string{"{rpc}"}}, []*spec.Side{has}, "the placeholder {rpc}"},
		{"in those of a side", nil, []*spec.Side{has, extra}, "the placeholder {port}"},
	} {
		err := CheckServerCommand(test.program, test.sides...)
		if test.want == "" && err != nil || test.want != "" && (fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: CheckServerCommand = %v, want %q", test.name, err, test.want)
		}
	}
	var e *fault.Error
	if err := CheckServerCommand(command("{binary}", "{x}")); !errors.As(err, &e) || len(e.Hints) != 1 ||
		e.Hints[0] != "choose among {binary}, {datadir}, {engine_port}, {http_port}, {jwt}, {metrics_port}, {network}, {p2p_port}" {
		t.Errorf("the hint does not name what is known: %v", err)
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
const (
	olderRemove = `case "$*" in *--help*) echo --datadir --force; exit ;; esac
[ "$1 $3 $4" = "--network removedb --datadir" ] && rm -rf -- "$5"; echo "Database removed successfully."
`
	newerRemove = `case "$*" in *removedb*--help*) echo --datadir --force; exit ;; *--help*) echo --datadir --no-migrate; exit ;; esac
[ "$1" = --network ] && [ "$6" = --force ] && rm -rf -- "$5/$2"; echo "Database removed successfully."
`
)

func TestClearExecution(t *testing.T) {
	const harmful = `case "$*" in *--help*) echo --no-migrate; exit ;; esac
rm -rf -- "$5"
`
	for _, test := range []struct {
		name, ethrex string
		// there are files below the data directory, db the one to delete.
		there []string
		db    string
		// approved is what was approved, when not where db is.
		approved string
		want     string
	}{
		{"older", olderRemove, nil, "db", "", ""},
		{"newer", newerRemove, nil, "hoodi/db", "", ""},
		{"newer, two networks", newerRemove, []string{"mainnet/db"}, "hoodi/db", "", ""},
		{"older, two networks", olderRemove, []string{"mainnet/db"}, "hoodi/db", "", "which has hoodi mainnet; delete "},
		{"older, another network in it", olderRemove, []string{"mainnet/db"}, "db", "", "is no database of hoodi alone: it has mainnet"},
		{"newer, another network in it", newerRemove, []string{"mainnet/db"}, "db", "", "is no database of hoodi alone: it has mainnet"},
		{"another path was approved", newerRemove, []string{"mainnet/db"}, "hoodi/db", "~/da ta", `/da ta" was approved to be deleted, and the database is in "`},
		{"nothing was approved", newerRemove, nil, "hoodi/db", "-", `"" was approved`},
		{"removes nothing", "echo --no-migrate", nil, "db", "", "it removes another directory"},
		{"fails", "case \"$*\" in *--help*) exit ;; esac; exit 9", nil, "db", "", "removedb ended with status 9"},
		{"removes too much", harmful, []string{"mainnet/db"}, "hoodi/db", "", `mainnet" vanished while "`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, test.ethrex+"\n", "")
			for _, file := range append(test.there, test.db) {
				s.write(t, "da ta/"+file, 2<<20)
			}
			s.write(t, "da ta of somebody/db", 1)
			w := liveSpec()
			w.Baseline.Datadir = "~/da ta"
			approved := test.approved
			if approved == "" {
				approved = "~/" + filepath.Dir("da ta/"+test.db)
			}
			if approved == "-" {
				approved = ""
			}
			_, errs, status := s.do(t, "APPROVED="+shell.Path(approved)+"\n"+ClearExecution(w, &w.Baseline))
			if (status != 0) != (test.want != "") || !strings.Contains(errs, test.want) {
				t.Errorf("status %d, says %q, want %q", status, errs, test.want)
			}
			if !s.has("da ta of somebody/db") {
				t.Error("the neighbor is gone")
			}
			if test.ethrex == harmful {
				return
			}
			if s.has("da ta/"+test.db) != (test.want != "") {
				t.Errorf("the database is there: %v", s.has("da ta/"+test.db))
			}
			for _, file := range test.there {
				if !s.has("da ta/" + file) {
					t.Errorf("%s is gone", file)
				}
			}
		})
	}
}

// Names are names, whatever they hold, and links are followed before the path is
// compared with the approved one.
func TestClearExecution_names(t *testing.T) {
	for _, name := range []string{`-rf`, `it's "$HOME"`, "$(touch harm)", "a;touch harm", "*", "ä b\\c", "link"} {
		for _, ethrex := range []string{olderRemove, newerRemove} {
			s := newServer(t, ethrex, "")
			w := liveSpec()
			w.Baseline.Datadir = "~/" + name
			s.write(t, "other/db", 1)
			db := name + "/db"
			if ethrex == newerRemove {
				w.Servers.Network = "h;touch harm $(touch harm) '"
				db = name + "/" + w.Servers.Network + "/db"
			}
			if name == "link" {
				if err := os.MkdirAll(filepath.Join(s.home, "far/real"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("far/real", filepath.Join(s.home, name)); err != nil {
					t.Fatal(err)
				}
			}
			s.write(t, db, 2<<20)
			out, errs, _ := s.do(t, Look(w, &w.Baseline, spec.ExecutionDB))
			var seen struct{ Path string }
			if err := json.Unmarshal([]byte(out), &seen); err != nil {
				t.Errorf("%s: %q: %v, %s", name, out, err, errs)
				continue
			}
			_, errs, status := s.do(t, "APPROVED="+shell.Quote(seen.Path)+"\n"+ClearExecution(w, &w.Baseline))
			if left := s.has(db); name == "link" && ethrex == olderRemove {
				// It removed the link and not what it leads to.
				if status == 0 || left || !s.has("far/real/db") || !strings.Contains(errs, "removedb left") {
					t.Errorf("%s: status %d: %s", name, status, errs)
				}
			} else if status != 0 || left {
				t.Errorf("%s: status %d, the database is there: %v: %s", name, status, left, errs)
			}
			if s.has("harm") || !s.has("other/db") {
				t.Errorf("%s was executed", name)
			}
		}
	}
}

// The home directory is never deleted, nor what holds it, even approved.
func TestClearExecution_home(t *testing.T) {
	s := newServer(t, "touch ~/asked\n", "")
	w := liveSpec()
	for _, dir := range []string{"~", s.home, filepath.Dir(s.home), "/"} {
		w.Baseline.Datadir = dir
		_, errs, status := s.do(t, "APPROVED="+shell.Path(dir)+"\n"+ClearExecution(w, &w.Baseline))
		if status == 0 || !strings.Contains(errs, "holds the home directory") || s.has("asked") {
			t.Errorf("%s: status %d: %s", dir, status, errs)
		}
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
	harmful := `case "$*" in *--help*) echo "--purge-db"; exit ;; esac
rm -rf ~/cl/validators ~/cl/beacon/chain_db
`
	for _, test := range []struct{ name, lighthouse, approved, want string }{
		{"older", older + forever, "~/cl/beacon", ""},
		{"newer", newer + forever, "~/cl/beacon", ""},
		{"neither", neither + forever, "~/cl/beacon", "knows neither --purge-db nor --purge-db-force"},
		{"broken", broken, "~/cl/beacon", "cannot open it"},
		{"another path was approved", older + forever, "~/cl", `/cl" was approved to be deleted, and the database is in "`},
		{"removes too much", harmful, "~/cl/beacon", `validators" vanished while "`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, "", test.lighthouse)
			s.write(t, "cl/beacon/chain_db/x", 1000)
			s.write(t, "cl/validators/keys", 1)
			w := liveSpec()
			w.Baseline.ConsensusDatadir = "~/cl"
			_, errs, status := s.do(t, "APPROVED="+shell.Path(test.approved)+"\n"+ClearConsensus(w, &w.Baseline))
			if (status == 0) != (test.want == "") || !strings.Contains(errs, test.want) {
				t.Errorf("status %d, says %q, want %q", status, errs, test.want)
			}
			if test.lighthouse != harmful && s.has("cl/beacon/chain_db/x") != (test.want != "") {
				t.Errorf("the database is there: %v", s.has("cl/beacon/chain_db/x"))
			}
		})
	}
}
