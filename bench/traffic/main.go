// Command traffic measures what it costs to follow a collector: it appends the
// samples of a long run to a file, batch by batch, reads what is new after each
// batch as a live run does, and prints how many bytes that took at the beginning
// and at the end. docs/collector.md tells what it gave.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(1)
	}
}

// limit is how much one poll asks for at most, in bytes.
const limit = 1 << 20

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("traffic", flag.ContinueOnError)
	total := flags.Int("samples", 10_000, "samples of the whole run")
	batch := flags.Int("batch", 25, "new samples between two polls")
	alias := flags.String("ssh", "", "read over ssh from this host, which must be this machine; empty reads without")
	config := flags.String("ssh-config", "", "configuration file of ssh")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *batch < 1 || *total < 20**batch {
		return errors.New("-samples must be at least 20 times -batch, and that at least 1")
	}
	machine := host.Local()
	if *alias != "" {
		if machine, err = host.NewSSH(*alias, host.SSHOptions{Config: *config, Interactive: true}); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, machine.Close()) }()
	dir, err := os.MkdirTemp("", "verdict-traffic-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	polls, err := follow(ctx, machine, filepath.Join(dir, "samples.jsonl"), *total, *batch)
	if err != nil {
		return err
	}
	return show(out, polls)
}

// poll is one look at the file.
type poll struct {
	// size is the length of the file, read what the poll transferred, both in
	// bytes.
	size, read int64
	took       time.Duration
}

// follow writes the samples and reads them. What was read must be what was
// written, byte for byte.
func follow(ctx context.Context, machine host.Host, path string, total, batch int) ([]poll, error) {
	file, _, err := store.OpenLines(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var polls []poll
	var all bytes.Buffer
	for number := range total {
		if err := file.Append(record(number)); err != nil {
			return nil, err
		}
		if (number+1)%batch != 0 && number+1 != total {
			continue
		}
		began := time.Now()
		data, err := machine.ReadFrom(ctx, path, int64(all.Len()), limit)
		if err != nil {
			return nil, err
		}
		all.Write(data)
		polls = append(polls, poll{int64(all.Len()), int64(len(data)), time.Since(began)})
	}
	written, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(written, all.Bytes()) {
		err = fmt.Errorf("%d bytes were read of %d, or others", all.Len(), len(written))
	}
	return polls, err
}

// record is a sample as a collector writes it.
func record(number int) sample.Record {
	return sample.Record{V: sample.Version, Sample: &sample.Sample{
		Side: sample.Test, Host: "server-2", Number: uint64(2_500_000 + number),
		Hash: "0x" + strings.Repeat("5a", 32), Status: sample.OK,
		AskedAt:  time.Date(2026, 11, 22, 10, 15, 30, 123_456_789, time.UTC).Add(time.Duration(number) * 12 * time.Second),
		OffsetNS: int64(number) * 12e9, SinceHeadNS: 41_212_345,
		Timing:   sample.Timing{FirstByteNS: 85_123_456, BodyNS: 9_123_456, TotalNS: 94_246_912},
		DecodeNS: 31_123_456, WireBytes: 9_876_543, BodyBytes: 9_876_543,
		GasUsed: 29_123_456, Transactions: 187,
		Counts: sample.Counts{StateNodes: 11_705, Codes: 122, Keys: 4_220, Headers: 1},
		Digest: "0x" + strings.Repeat("c3", 32), KeysDigest: "0x" + strings.Repeat("3c", 32),
	}}
}

// show compares the first tenth of the polls with the last.
func show(out io.Writer, polls []poll) error {
	tenth := len(polls) / 10
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "polls\tlength of the file\tbytes per poll\tat most\tmedian time\t")
	for _, part := range [][]poll{polls[:tenth], polls[len(polls)-tenth:]} {
		var sum, most int64
		var times []time.Duration
		for _, p := range part {
			sum, most = sum+p.read, max(most, p.read)
			times = append(times, p.took)
		}
		slices.Sort(times)
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%.1f ms\t\n", len(part), part[len(part)-1].size,
			sum/int64(len(part)), most, float64(times[len(times)/2])/float64(time.Millisecond))
	}
	return table.Flush()
}
