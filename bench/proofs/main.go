// Command proofs measures what verdict collect prover costs the machine whose
// prover it watches: it serves an L2 with as many batches as a long run has, one
// of which waits for the L1 with its blobs, lets a prover's log grow, and prints
// the processor time and the memory of the collector. docs/performance.md tells
// what it gave.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "proofs:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("proofs", flag.ContinueOnError)
	verdict := flags.String("verdict", "verdict", "the program under test")
	batches := flags.Int("batches", 100, "batches of the L2")
	span := flags.Duration("for", time.Minute, "how long to watch it")
	every := flags.Duration("every", time.Second, "its pause between two looks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *batches < 1 || *span <= 0 {
		return errors.New("-batches and -for must be positive")
	}
	dir, err := os.MkdirTemp("", "verdict-proofs-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server := httptest.NewServer(l2{*batches})
	defer server.Close()
	log := filepath.Join(dir, "prover.log")
	collector := exec.Command(*verdict, "collect", "prover", "--side", "test",
		"--rpc", server.URL, "--metrics", server.URL+"/metrics", "--coordinator", server.Listener.Addr().String(),
		"--prover-log", log, "--l2-log", log, "--every", every.String(), "--out", filepath.Join(dir, "samples.jsonl"))
	collector.Stderr = os.Stderr
	if err := collector.Start(); err != nil {
		return err
	}
	failed := grow(ctx, log, *span)
	err = errors.Join(failed, collector.Process.Signal(syscall.SIGTERM), collector.Wait())
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, "samples.jsonl"))
	if err != nil {
		return err
	}
	state := collector.ProcessState
	spent := state.UserTime() + state.SystemTime()
	memory := "unknown"
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		memory = fmt.Sprintf("%d MB", usage.Maxrss>>10)
	}
	_, err = fmt.Fprintf(out, "%d batches, a look every %v, %v\nprocessor time        %v, %.2f %% of one core\nlargest resident size %s\nwritten               %d bytes per second\n",
		*batches, *every, *span, spent.Round(time.Millisecond), 100*spent.Seconds()/span.Seconds(), memory, int64(float64(info.Size())/span.Seconds()))
	return err
}

// grow appends to a prover's log, ten proofs a minute, until the span is over.
func grow(ctx context.Context, path string, span time.Duration) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	end := time.After(span)
	ticker := time.NewTicker(6 * time.Second)
	defer ticker.Stop()
	for batch := 1; ; batch++ {
		select {
		case <-end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case now := <-ticker.C:
			at := now.UTC().Format("2006-01-02T15:04:05.000000Z")
			_, err := fmt.Fprintf(file, "%[1]s  INFO Received Response for batch_number: %[2]d\n%[1]s  INFO Proved batch %[2]d in 5.00s batch=%[2]d proving_time_s=5 proving_time_ms=5000\n%[1]s  INFO Received submit ack for batch_number: %[2]d\n", at, batch)
			if err != nil {
				return err
			}
		}
	}
}

// l2 answers as an L2 does that has so many batches of twelve blocks, all
// verified but the last one.
type l2 struct{ batches int }

func (l l2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		l.metrics(w)
		return
	}
	var request struct {
		Method string
		Params []any
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var number uint64
	if len(request.Params) > 0 {
		text, _ := request.Params[0].(string)
		number, _ = strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	}
	var result any
	switch request.Method {
	case "ethrex_batchNumber":
		result = fmt.Sprintf("0x%x", l.batches)
	case "ethrex_getBatchByNumber":
		result = l.batch(number)
	case "eth_getBlockByNumber":
		result = map[string]any{"gasUsed": "0x1c9c380", "transactions": hashes[:], "withdrawals": []int{}}
	}
	json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "result": result})
}

// blob is one blob in hexadecimal, and hashes are those of a block.
var (
	blob   = "0x" + strings.Repeat("a5", 131072)
	hashes = [90]string{}
)

func (l l2) batch(number uint64) any {
	out := map[string]any{
		"number": number, "first_block": 12*number - 11, "last_block": 12 * number,
		"non_privileged_transactions": 12 * len(hashes), "commit_tx": "0x22", "verify_tx": "0x33",
		"blobs_bundle": map[string]any{"blobs": []string{blob}},
	}
	if number == uint64(l.batches) {
		out["verify_tx"] = nil
	}
	return out
}

func (l l2) metrics(w io.Writer) {
	for _, gauge := range []string{"batch_gas_used", "batch_tx_count", "batch_size", "batch_commitment_gas", "batch_commitment_blob_gas", "batch_proving_time"} {
		fmt.Fprintf(w, "# HELP %s labeled by batch number\n# TYPE %s gauge\n", gauge, gauge)
		for n := range l.batches {
			fmt.Fprintf(w, "%s{batch_number=\"%d\"} %d\n", gauge, n+1, 1000+n)
		}
	}
	for n := range 400 {
		fmt.Fprintf(w, "rpc_request_duration_seconds_bucket{method=\"eth_call\",namespace=\"rpc\",le=\"%d\"} 8505\n", n)
	}
}
