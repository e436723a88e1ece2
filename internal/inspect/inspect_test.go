package inspect

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/chaintest"
	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/host"
)

// home gives the test a home directory of its own.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	return dir
}

// write writes a file below dir and returns its path.
func write(t *testing.T, dir, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func portOf(t *testing.T, url string) uint16 {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

// The facts of the machine that runs the test, whatever it is: what every Linux
// tells is there, and what comes out can be read back.
func TestHere(t *testing.T) {
	dir := home(t)
	node, err := chaintest.Start(200)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Stop()
	q := doctor.Defaults()
	q.Ports = doctor.Ports{RPC: portOf(t, node.URL())}
	f := Here(t.Context(), host.Local(), q, "v1")
	if f.Verdict != "v1" || f.Ended.Sub(f.Began) < secondLook {
		t.Errorf("verdict %q, from %v to %v", f.Verdict, f.Began, f.Ended)
	}
	if runtime.GOOS == "linux" {
		m := f.Machine
		if m.Hostname == "" || m.Kernel == "" || m.CPUs < 1 || m.MemoryBytes < 1<<28 || m.AvailableBytes < 1<<20 || len(m.BootID) != 36 {
			t.Errorf("machine %+v", m)
		}
		if f.Clock.Synchronized == nil {
			t.Errorf("clock %+v", f.Clock)
		}
		p := f.Ports[0]
		if !p.Listening || !slices.Equal(p.Addresses, []string{"127.0.0.1"}) || p.Process == nil || p.Process.PID != os.Getpid() {
			t.Errorf("port of this process: %+v", p)
		}
		exe, _ := os.Executable()
		if p.Process != nil && (p.Process.Exe != exe || p.Process.StartTime == "" || time.Since(p.Process.Started) > time.Hour || p.Process.UID != os.Getuid()) {
			t.Errorf("this process: %+v", *p.Process)
		}
	}
	if f.User.Home != dir || len(f.Ports) != 1 {
		t.Errorf("user %+v, ports %+v", f.User, f.Ports)
	}
	for _, d := range f.Disks {
		if d.TotalBytes < 1<<20 || d.FreeBytes < 0 || d.Problem != "" {
			t.Errorf("disk %+v", d)
		}
	}
	x := f.Execution
	if x == nil || x.Problem != "" || x.ChainID != 1337 || x.Head.Number != 200 || x.ClientVersion != "chaintest/v1" {
		t.Fatalf("execution %+v", x)
	}
	if x.Witness == nil || !x.Witness.OK || x.Witness.Milliseconds <= 0 || x.Witness.Bytes < 4<<10 {
		t.Errorf("witness %+v", x.Witness)
	}
	if x.OldWitness == nil || !x.OldWitness.OK || x.OldWitness.Block.Number != 60 {
		t.Errorf("old witness %+v", x.OldWitness)
	}
	raw, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := doctor.Decode(raw); err != nil {
		t.Error(err)
	}
}

func TestExecution_failures(t *testing.T) {
	node, err := chaintest.Start(5)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Stop()
	node.SetFault(5, chaintest.HTTPError)
	if x := execution(t.Context(), node.URL()); x.Witness.OK || !strings.HasPrefix(x.Witness.Problem, "http-error: ") || x.OldWitness != nil {
		t.Errorf("witness of a failing server: %+v", x.Witness)
	}
	node.Disable("debug_executionWitness")
	if x := execution(t.Context(), node.URL()); x.Witness.OK || x.Witness.Code != -32601 {
		t.Errorf("witness of a server without the method: %+v", x.Witness)
	}
	node.Stop()
	if x := execution(t.Context(), node.URL()); !strings.Contains(x.Problem, "connection refused") {
		t.Errorf("of a server that is gone: %+v", x)
	}
}

func TestSecretFile(t *testing.T) {
	dir := home(t)
	write(t, dir, "good", strings.Repeat("0a", 32)+"\n", 0o600)
	write(t, dir, "prefixed", " 0x"+strings.Repeat("0A", 32), 0o644)
	write(t, dir, "short", strings.Repeat("0a", 31), 0o600)
	write(t, dir, "words", strings.Repeat("zz", 32), 0o600)
	for _, c := range []struct {
		name string
		want doctor.SecretFile
	}{
		{"~/good", doctor.SecretFile{Exists: true, Mode: "0600", WellFormed: true}},
		{"~/prefixed", doctor.SecretFile{Exists: true, Mode: "0644", WellFormed: true}},
		{"~/short", doctor.SecretFile{Exists: true, Mode: "0600"}},
		{"~/words", doctor.SecretFile{Exists: true, Mode: "0600"}},
		{"~/none", doctor.SecretFile{OwnerUID: -1}},
		{"~/good/er", doctor.SecretFile{Exists: true, OwnerUID: -1, Problem: "not a directory"}},
	} {
		c.want.Path = c.name
		if c.want.OwnerUID == 0 {
			c.want.OwnerUID = os.Getuid()
		}
		if got := secretFile(c.name); *got != c.want {
			t.Errorf("secretFile(%q) = %+v, want %+v", c.name, *got, c.want)
		}
	}
	if got := secretFile("~"); got.Problem != "not a regular file" {
		t.Errorf("of a directory: %+v", got)
	}
	if secretFile("") != nil {
		t.Error("a file without a name was looked at")
	}
}

func TestTool(t *testing.T) {
	dir := home(t)
	// A login shell reads this.
	write(t, dir, ".bash_profile", "PATH=$HOME/bin:$PATH\nalias shadow=ls\n", 0o644)
	write(t, dir, "bin/lighthouse", "#!/bin/sh\ncase \"$*\" in\n--version) printf 'Lighthouse v7.1.0-\\033[31mabc\\nBLS library: blst\\n';;\n'bn --help') echo '--purge-db  asks'; echo '  --purge-db-force';;\nesac\n", 0o755)
	write(t, dir, "bin/old house", "#!/bin/sh\necho old\n", 0o755)
	write(t, dir, "bin/not-executable", "#!/bin/sh\n", 0o644)
	sh := host.Local()
	got := tool(t.Context(), sh, "lighthouse", []string{doctor.PurgeForce, "--no-such-flag"})
	if got.Path != dir+"/bin/lighthouse" || got.Version != "Lighthouse v7.1.0-[31mabc" || !got.Knows[doctor.PurgeForce] || got.Knows["--no-such-flag"] {
		t.Errorf("tool = %+v", got)
	}
	if got := tool(t.Context(), sh, "old house", nil); got.Path != dir+"/bin/old house" || got.Version != "old" {
		t.Errorf("tool with a blank = %+v", got)
	}
	if got := tool(t.Context(), sh, "~/bin/old house", []string{doctor.PurgeForce}); got.Version != "old" || got.Knows[doctor.PurgeForce] {
		t.Errorf("tool by its path = %+v", got)
	}
	for _, name := range []string{"shadow", "not-executable", "no-such-program", "; touch hit", "$(touch hit)", "-a"} {
		if got := tool(t.Context(), sh, name, nil); got.Path != "" || got.Problem != "" {
			t.Errorf("tool(%q) = %+v, want nothing", name, got)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "hit")); err == nil {
		t.Error("the name of a tool was executed")
	}
}

func TestTool_thatFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := tool(ctx, host.Local(), "bash", nil); got.Problem == "" || got.Path != "" {
		t.Errorf("tool = %+v, want a problem", got)
	}
}

func TestRepository(t *testing.T) {
	dir := home(t)
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir + "/it's", "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.MkdirAll(dir+"/it's/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	sh := host.Local()
	look := func(path string) doctor.Repository { return repository(t.Context(), sh, path) }
	if got := look("~/it's"); !strings.HasPrefix(got.Problem, "not a git repository") {
		t.Errorf("of a directory: %+v", got)
	}
	git("init", "-q", "-b", "main")
	git("remote", "add", "origin", "https://eve:hunter2@github.com/lambdaclass/ethrex.git?token=hunter2")
	git("commit", "-q", "--allow-empty", "-m", "first")
	commit := git("rev-parse", "HEAD")
	want := doctor.Repository{Path: "~/it's", Origin: "https://github.com/lambdaclass/ethrex.git", Commit: commit, Branch: "main"}
	if got := look("~/it's"); got != want {
		t.Errorf("repository = %+v, want %+v", got, want)
	}
	write(t, dir, "it's/new", "x", 0o644)
	git("checkout", "-q", "--detach")
	want.Branch, want.Dirty = "", true
	if got := look("~/it's"); got != want {
		t.Errorf("repository = %+v, want %+v", got, want)
	}
	if got := look("~/it's/sub"); got.Problem != "not a git clone, but a directory inside one" {
		t.Errorf("of a directory inside: %+v", got)
	}
	if got := look("~/$(touch hit)"); got.Problem != "no such directory" {
		t.Errorf("of a hostile path: %+v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "hit")); err == nil {
		t.Error("a path was executed")
	}
}

func TestOrigin(t *testing.T) {
	for address, want := range map[string]string{
		"git@github.com:lambdaclass/ethrex.git": "git@github.com:lambdaclass/ethrex.git",
		"https://github.com/lambdaclass/ethrex": "https://github.com/lambdaclass/ethrex",
		"https://token@github.com/a/b":          "https://github.com/a/b",
		"https://a:b@c@github.com/a/b?x=y":      "https://github.com/a/b",
		"ssh://git:pw@host:2222/a":              "ssh://host:2222/a",
		"/srv/git/ethrex.git":                   "/srv/git/ethrex.git",
		"file:///srv/git/ethrex.git":            "file:///srv/git/ethrex.git",
		"ext::https://eve:hunter2@x/y":          "ext:///…",
		"":                                      "",
	} {
		if got := origin(address); got != want {
			t.Errorf("origin(%q) = %q, want %q", address, got, want)
		}
	}
}

// A real tmux server of the test's own.
func TestSessions(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	dir := home(t)
	t.Setenv("TMUX_TMPDIR", dir)
	t.Setenv("TMUX", "")
	sh := host.Local()
	if got := sessions(t.Context(), sh); len(got.List) != 0 || got.Problem != "" {
		t.Errorf("without a server: %+v", got)
	}
	start := func(name string) {
		t.Helper()
		if out, err := exec.Command("tmux", "new-session", "-d", "-s", name, "sleep 600").CombinedOutput(); err != nil {
			t.Fatalf("tmux: %v\n%s", err, out)
		}
	}
	start("ethrex")
	defer exec.Command("tmux", "kill-server").Run()
	start("light house")
	if out, err := exec.Command("tmux", "split-window", "-t", "ethrex", "sleep 600").CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	got := sessions(t.Context(), sh)
	if len(got.List) != 2 || got.List[0].Name != "ethrex" || len(got.List[0].Panes) != 2 || got.List[1].Name != "light house" || got.List[0].Panes[0].PID == 0 {
		t.Errorf("sessions = %+v", got)
	}
}

func TestMetrics(t *testing.T) {
	const page = `# HELP ethrex_info Information about the ethrex node
# TYPE ethrex_info gauge
ethrex_info{version="9.0.0",commit="0eadb15a",branch="main",network="hoodi"} 1
# TYPE rpc_request_duration_seconds histogram
rpc_request_duration_seconds_bucket{namespace="rpc",method="debug_executionWitness",le="+Inf"} 2
rpc_request_duration_seconds_sum{namespace="rpc",method="debug_executionWitness"} 0.2
rpc_request_duration_seconds_count{namespace="rpc",method="debug_executionWitness"} 2
`
	answers := map[string]string{"/good": page, "/other": "up 1\n", "/html": "<html>"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(text))
	}))
	defer server.Close()
	if got := metrics(t.Context(), server.URL+"/good"); !got.Latencies || got.Info["commit"] != "0eadb15a" || got.Problem != "" {
		t.Errorf("metrics = %+v", got)
	}
	if got := metrics(t.Context(), server.URL+"/other"); got.Latencies || got.Info != nil || got.Problem != "" {
		t.Errorf("metrics of another program = %+v", got)
	}
	if got := metrics(t.Context(), server.URL+"/html"); !strings.HasPrefix(got.Problem, "the page is no metrics page") {
		t.Errorf("metrics of a web page = %+v", got)
	}
	if got := metrics(t.Context(), server.URL+"/none"); got.Problem != "HTTP status 404" {
		t.Errorf("metrics of nothing = %+v", got)
	}
}

func TestParseSockets(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2161 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:2161 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0
   2: 00000000000000000000000000000000:13BC 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4713 1 0 100 0 0 10 0
   3: 0000000000000000FFFF00000200007F:13BC 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4714 1 0 100 0 0 10 0
   4: broken
`
	got := parseSockets(table)
	want := []string{"127.0.0.1:8545 4711", "[::]:5052 4713", "127.0.0.2:5052 4714"}
	var text []string
	for _, s := range got {
		text = append(text, s.address.String()+" "+strconv.FormatUint(s.inode, 10))
	}
	if !slices.Equal(text, want) {
		t.Errorf("sockets %q, want %q", text, want)
	}
}

func TestStartTime(t *testing.T) {
	stat := "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 10 1"
	if got := startTime(stat); got != "987654" {
		t.Errorf("startTime = %q, want 987654", got)
	}
	for _, bad := range []string{"", "42", "42 (x) S", ")"} {
		if got := startTime(bad); got != "" {
			t.Errorf("startTime(%q) = %q, want none", bad, got)
		}
	}
}

func TestRedactArgs(t *testing.T) {
	key := strings.Repeat("0f", 32)
	for _, c := range []struct{ argv, want []string }{
		{
			[]string{"ethrex", "--authrpc.jwtsecret", "/srv/jwt.hex", "--authrpc.port", "8551", "--precompute-witnesses"},
			[]string{"ethrex", "--authrpc.jwtsecret", "/srv/jwt.hex", "--authrpc.port", "8551", "--precompute-witnesses"},
		},
		{[]string{"x", "--jwt-secret=~/jwt"}, []string{"x", "--jwt-secret=~/jwt"}},
		{[]string{"x", "--jwt-secret", "hunter2"}, []string{"x", "--jwt-secret", hidden}},
		{[]string{"x", "--jwt-secret", "0x" + key}, []string{"x", "--jwt-secret", hidden}},
		{[]string{"x", "--password", "a b", "--verbose"}, []string{"x", "--password", hidden, "--verbose"}},
		{[]string{"x", "--password=a b"}, []string{"x", "--password=" + hidden}},
		{[]string{"x", "--password", "--verbose"}, []string{"x", "--password", "--verbose"}},
		{[]string{"x", "--private-key", key}, []string{"x", "--private-key", hidden}},
		{[]string{"x", "--committer.l1-private-key=0x" + key}, []string{"x", "--committer.l1-private-key=" + hidden}},
		{[]string{"x", "file", "0x" + key}, []string{"x", "file", hidden}},
		{[]string{"env", "API_TOKEN=hunter2", "x"}, []string{"env", "API_TOKEN=" + hidden, "x"}},
		{[]string{"bash", "-c", "exec x --password hunter2 --metrics"}, []string{"bash", "-c", "exec x --password " + hidden + " --metrics"}},
		{[]string{"bash", "-c", "X=1 run --token hunter2"}, []string{"bash", "-c", "X=1 run --token " + hidden}},
		{[]string{"x", "--checkpoint-sync-url", "https://eve:hunter2@host/v2/hunter2"}, []string{"x", "--checkpoint-sync-url", "https://host/…"}},
		{[]string{"x", "--execution-endpoint", "http://localhost:8551"}, []string{"x", "--execution-endpoint", "http://localhost:8551"}},
		{[]string{"x", "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.c2ln"}, []string{"x", hidden}},
	} {
		if got := redactArgs(c.argv); !slices.Equal(got, c.want) {
			t.Errorf("redactArgs(%q) = %q, want %q", c.argv, got, c.want)
		}
	}
}

// No private key is ever shown, and no value of a flag for passwords.
func FuzzRedactArgs(f *testing.F) {
	for _, seed := range []string{"", "--http.port", "a b", "--x=y", "https://u:p@h/", "=", "--=", "0x", "\n"} {
		f.Add(seed, "tail")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const key, password = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318", "Correct-Horse-9x"
		argv := []string{"x", before, "0x" + key, before + key, "--password=" + password + after, "--http.api", "--password", password, after}
		got := strings.Join(redactArgs(argv), "\x00")
		if strings.Contains(got, key) || strings.Contains(got, password) {
			t.Errorf("redactArgs(%q) shows a secret: %q", argv, got)
		}
	})
}

// FuzzParseSockets and the other tables of the kernel: no input is a panic.
func FuzzParseSockets(f *testing.F) {
	f.Add("   0: 0100007F:2161 00000000:0000 0A 0 0 0 0 0 4711 1")
	f.Add("42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseSockets(text) {
			if !s.address.IsValid() {
				t.Errorf("socket without an address in %q", text)
			}
		}
		startTime(text)
		environment(text)
		parseMetrics([]byte(text))
		if origin(text); strings.ContainsFunc(line(text), func(r rune) bool { return r < ' ' }) {
			t.Errorf("line(%q) has control characters", text)
		}
	})
}

func TestEnvironment(t *testing.T) {
	got := environment("PATH=/bin\x00RUST_LOG=ethrex_replay=debug\x00SECRET=x\x00ETHREX_PRECOMPUTE_WITNESSES=true\x00")
	if len(got) != 2 || got["RUST_LOG"] != "ethrex_replay=debug" || got["ETHREX_PRECOMPUTE_WITNESSES"] != "true" {
		t.Errorf("environment = %q", got)
	}
}

func TestUsed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/b", strings.Repeat("x", 100_000), 0o600)
	write(t, dir, "c", strings.Repeat("x", 50_000), 0o600)
	if bytes, more := used(dir); bytes < 150_000 || bytes > 200_000 || more {
		t.Errorf("used = %d, more %v, want about 150 kB", bytes, more)
	}
	if _, more := used(filepath.Join(dir, "none")); !more {
		t.Error("a directory that is not there was counted to its end")
	}
}
