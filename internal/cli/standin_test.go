package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/shell"
)

// standIn is a prover that misbehaves as its mode, the environment variable
// STANDIN, says. It proves nothing: the time that it logs is that of STANDIN_MS
// with a little noise that depends on the batch.
type standIn struct {
	mode, addr string
	poll       time.Duration
	stdout     io.Writer
}

// standInProver is the program ethrex of the tests. It knows "l2 prover" with
// the flags that ethrex's has.
func standInProver(args []string, stdout io.Writer) int {
	p := &standIn{mode: os.Getenv("STANDIN"), stdout: stdout}
	if len(args) < 2 || args[0] != "l2" || args[1] != "prover" {
		fmt.Fprintln(stdout, "error: unrecognized subcommand")
		return 2
	}
	if slices.Contains(args, "--help") {
		p.help()
		return 0
	}
	for i, arg := range args[:len(args)-1] {
		switch arg {
		case "--proof-coordinators":
			p.addr, _ = coordinator.Address(args[i+1])
		case "--proving-time":
			p.poll, _ = time.ParseDuration(args[i+1] + "ms")
		}
	}
	// Like ethrex's, it ends when it is interrupted.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return p.run(ctx)
}

func (p *standIn) help() {
	if p.mode == "no prover" {
		fmt.Fprintln(p.stdout, "Usage: ethrex [OPTIONS]")
		return
	}
	values := "exec, sp1"
	if p.mode == "no backend" {
		values = "sp1"
	}
	fmt.Fprintf(p.stdout, "Usage: ethrex l2 prover\n\n      --backend <BACKEND>\n          [default: exec] [possible values: %s]\n\n"+
		"      --proof-coordinators <URL>...\n      --log.level <LEVEL> [possible values: a, b]\n", values)
}

func (p *standIn) log(format string, args ...any) {
	fmt.Fprintf(p.stdout, "%s  "+format+"\n", append([]any{time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")}, args...)...)
}

func (p *standIn) run(ctx context.Context) int {
	p.log(`INFO Prover started for ["tcp://%s/"]`, p.addr)
	if p.mode == "dies at start" {
		p.log("ERROR cannot load the proving key")
		return 3
	}
	kind := coordinator.BatchRequest
	if p.mode == "newer" {
		kind = coordinator.InputRequest
	}
	for ctx.Err() == nil {
		if p.mode == "never asks" {
			<-ctx.Done()
			return 0
		}
		var doc bytes.Buffer
		m, _, err := coordinator.Ask(ctx, p.addr, coordinator.Request(kind, strings.Repeat("ab", 20), "Exec"), &doc)
		if err == nil && m.HasInput() {
			if status := p.prove(ctx, m.Batch); status >= 0 {
				return status
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(p.poll):
		}
	}
	return 0
}

// prove makes a proof of a batch, or what the mode says; a status that is not
// negative ends the program.
func (p *standIn) prove(ctx context.Context, batch uint64) int {
	p.log("INFO Received Response for batch_number: %d endpoint=tcp://%s/", batch, p.addr)
	switch p.mode {
	case "dies":
		p.log("ERROR out of memory")
		return 3
	case "rejects":
		p.log("ERROR missing field `elasticity_multiplier` at line 1 column 77")
		return -1
	case "hangs":
		<-ctx.Done()
		return 0
	}
	base, err := time.ParseDuration(os.Getenv("STANDIN_MS") + "ms")
	if err != nil {
		base = 100 * time.Millisecond
	}
	// Batches differ, and so do two proofs of one, by less than a percent.
	took := base + time.Duration(batch%7)*base/10 + time.Duration(time.Now().UnixNano()%1000)*base/200_000
	ms := took.Milliseconds()
	line := fmt.Sprintf("INFO Proved batch %d in %.2fms batch=%d proving_time_s=%d proving_time_ms=%d", batch, float64(took)/1e6, batch, ms/1000, ms)
	if p.mode == "untimed" || os.Getenv("PROVER_CLIENT_TIMED") != "true" {
		line = fmt.Sprintf("INFO Proved batch %d batch=%d", batch, batch)
	}
	p.log("%s", line)
	public := "[1,2,3]"
	if p.mode == "wrong output" && batch == 2 {
		public = "[1,2,4]"
	}
	if p.mode == "wrong batch" {
		batch++
	}
	p.submit(ctx, batch, public)
	if p.mode == "twice" {
		p.submit(ctx, batch, public)
	}
	return -1
}

func (p *standIn) submit(ctx context.Context, batch uint64, public string) {
	doc := fmt.Appendf(nil, `{"ProofSubmit":{"batch_number":%d,"batch_proof":{"ProofBytes":{"prover_type":"Exec","proof":[],"public_values":%s}}}}`, batch, public)
	if _, _, err := coordinator.Ask(ctx, p.addr, doc, io.Discard); err != nil {
		p.log("WARN Failed to submit proof: %v endpoint=tcp://%s/", err, p.addr)
		return
	}
	p.log("INFO Received submit ack for batch_number: %d endpoint=tcp://%s/", batch, p.addr)
}

// ethrexOf is the path of a stand-in with a mode and other settings, NAME=VALUE.
func ethrexOf(t *testing.T, mode string, env ...string) string {
	t.Helper()
	program, err := exec.LookPath("ethrex")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ethrex")
	words := slices.Concat([]string{"exec", "env", "STANDIN=" + mode}, env, []string{program})
	script := "#!/bin/sh\n" + shell.Join(words...) + ` "$@"` + "\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a program that runs.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

func startProcess(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	return p
}

func (p *process) interrupt() { p.cmd.Process.Signal(syscall.SIGINT) }

// ends checks how the process ends, and what it said on stderr.
func (p *process) ends(status int, parts ...string) {
	p.t.Helper()
	p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Errorf("exit status %d, want %d", got, status)
	}
	for _, part := range parts {
		if !strings.Contains(p.stderr.String(), part) {
			p.t.Errorf("stderr lacks %q", part)
		}
	}
	if p.t.Failed() {
		p.t.Fatalf("stdout:\n%s\nstderr:\n%s", &p.stdout, &p.stderr)
	}
}
