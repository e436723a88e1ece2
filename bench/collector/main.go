// Command collector measures the measuring: how close the collector's timed
// span is to what the server knows, and what a very large answer costs it in
// time and memory. docs/collector.md tells how to run it and what it gave.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/sample"
)

const usage = `usage:
  collector truth [-requests 500] [-size 1000000]   error of the timed span
  collector large -verdict FILE [-rounds 7] [-size 300000000]
                                                    a large answer, beside curl`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "collector:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	requests := flags.Int("requests", 500, "requests for each waiting time")
	rounds := flags.Int("rounds", 7, "answers to each program")
	verdict := flags.String("verdict", "", "the verdict program")
	size := flags.Int("size", map[string]int{"truth": 1_000_000, "large": 300_000_000}[args[0]], "size of an answer in bytes")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "truth":
		return truth(ctx, out, *requests, *size)
	case "large":
		if *verdict == "" {
			return errors.New("large: -verdict is missing")
		}
		return large(ctx, out, *verdict, *rounds, *size)
	case "serve-truth":
		return serveTruth(ctx, out, *size)
	case "serve-large":
		return serveLarge(ctx, out, *size)
	}
	return errors.New(usage)
}

// server is this program as a server, in a process of its own so that the two
// do not share a scheduler or a heap. Its first line is its address.
type server struct {
	cmd   *exec.Cmd
	url   string
	lines *bufio.Reader
}

func startServer(ctx context.Context, mode string, size int) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, mode, "-size", strconv.Itoa(size))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, lines: bufio.NewReader(out)}
	if s.url, err = s.line(); err != nil {
		s.stop()
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	return s, nil
}

func (s *server) line() (string, error) {
	line, err := s.lines.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (s *server) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// truth compares the timed span with the server's own record of each request.
func truth(ctx context.Context, out io.Writer, requests, size int) error {
	s, err := startServer(ctx, "serve-truth", size)
	if err != nil {
		return err
	}
	defer s.stop()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "wait\trequests\tmedian error\tp99 error\tmin\tmax\t")
	for _, wait := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
		all, err := truthErrors(ctx, s, wait, requests)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%v\t%d\t%.3f ms\t%.3f ms\t%.3f ms\t%.3f ms\t\n", wait, requests,
			ms(quantile(all, 0.5)), ms(quantile(all, 0.99)), ms(all[0]), ms(all[len(all)-1]))
	}
	return table.Flush()
}

// truthErrors returns measured minus true for each request, sorted.
func truthErrors(ctx context.Context, s *server, wait time.Duration, requests int) ([]time.Duration, error) {
	meter, err := ethrpc.NewMeter(s.url, ethrpc.MeterOptions{})
	if err != nil {
		return nil, err
	}
	defer meter.Close()
	all := make([]time.Duration, requests)
	for i := range all {
		answer, err := meter.Time(ctx, strconv.AppendInt(nil, int64(wait), 10))
		if err != nil {
			return nil, err
		}
		if answer.Status != sample.OK {
			return nil, fmt.Errorf("request %d: %s: %s", i, answer.Status, answer.Failure.Message)
		}
		line, err := s.line()
		if err != nil {
			return nil, fmt.Errorf("the server's record: %w", err)
		}
		actual, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the server's record: %w", err)
		}
		all[i] = time.Duration(answer.TotalNS - actual)
	}
	slices.Sort(all)
	return all, nil
}

// large has curl and verdict collect read the same large answer in turns.
func large(ctx context.Context, out io.Writer, verdict string, rounds, size int) error {
	s, err := startServer(ctx, "serve-large", size)
	if err != nil {
		return err
	}
	defer s.stop()
	var curlSpan, curlWall, span, wall, decode []time.Duration
	var rss int64
	for range rounds {
		text, took, _, err := child(ctx, "curl", "-s", "-o", "/dev/null", "-w", "%{time_total}",
			"-H", "Content-Type: application/json", "-d",
			`{"jsonrpc":"2.0","id":1,"method":"debug_executionWitness","params":["0x1"]}`, s.url)
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("curl: %w", err)
		}
		curlSpan = append(curlSpan, time.Duration(seconds*float64(time.Second)))
		curlWall = append(curlWall, took)

		text, took, resident, err := child(ctx, verdict, "collect", "--rpc", s.url, "--from", "1", "--blocks", "1")
		if err != nil {
			return err
		}
		var record sample.Record
		if err := json.Unmarshal([]byte(text), &record); err != nil {
			return fmt.Errorf("verdict: %w", err)
		}
		if got := record.Sample; got == nil || got.Status != sample.OK || got.WireBytes < int64(size) {
			return fmt.Errorf("verdict: not a sample of %d bytes: %s", size, text)
		}
		span = append(span, record.Sample.Latency())
		wall = append(wall, took)
		decode = append(decode, time.Duration(record.Sample.DecodeNS))
		rss = max(rss, resident)
	}
	for _, all := range [][]time.Duration{curlSpan, curlWall, span, wall, decode} {
		slices.Sort(all)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	median := func(all []time.Duration) float64 { return ms(quantile(all, 0.5)) }
	fmt.Fprintf(table, "median of %d\tcurl\tverdict collect\tratio\t\n", rounds)
	fmt.Fprintf(table, "request\t%.1f ms\t%.1f ms\t%.3f\t\n", median(curlSpan), median(span), median(span)/median(curlSpan))
	fmt.Fprintf(table, "process\t%.1f ms\t%.1f ms\t%.3f\t\n", median(curlWall), median(wall), median(wall)/median(curlWall))
	fmt.Fprintf(table, "of it decoding\t\t%.1f ms\t\t\n", median(decode))
	fmt.Fprintf(table, "resident, largest\t\t%.1f MB\t\t\n", float64(rss)/1e6)
	return table.Flush()
}

// child runs a program and returns its output, its wall time and its largest
// resident size in bytes.
func child(ctx context.Context, name string, args ...string) (out string, took time.Duration, rss int64, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	start := time.Now()
	text, err := cmd.Output()
	took = time.Since(start)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", 0, 0, fmt.Errorf("%s: %w: %s", name, err, exit.Stderr)
	}
	if err != nil {
		return "", 0, 0, err
	}
	return strings.TrimSpace(string(text)), took, maxRSS(cmd.ProcessState), nil
}

// maxRSS is the largest resident size of a process in bytes, as Linux counts.
func maxRSS(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss * 1024
}

// quantile is the nearest-rank quantile of sorted.
func quantile(sorted []time.Duration, p float64) time.Duration {
	rank := int(p*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
