package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/send"
	"github.com/verdict-bench/verdict/internal/setup"
)

const gwei = 1_000_000_000

// accountsOf are n accounts of one seed.
func accountsOf(n int) ([]load.Account, error) {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("bench/load")))
	if err != nil {
		return nil, err
	}
	return load.Derive(key, 1, n), nil
}

// workload is the load of a type that the accounts send.
func workload(kind load.Type, accounts []load.Account, c load.Contracts) (*load.Workload, error) {
	o := load.Options{Type: kind, Seed: 1, Contracts: c, Fresh: true}
	for _, a := range accounts {
		o.Accounts = append(o.Accounts, a.Address)
	}
	return load.New(o)
}

// rawLimit signs and encodes the first transactions of the workload on all
// cores, with no network: the least that sending them can cost.
func rawLimit(w *load.Workload, accounts []load.Account, n int) (limit, error) {
	signer := types.LatestSignerForChainID(big.NewInt(sinkChain))
	fees := load.Fees{Cap: big.NewInt(3 * gwei), Tip: big.NewInt(gwei)}
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	start, used := time.Now(), usedTime()
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			var body []byte
			for i := worker; i < n; i += workers {
				account, call := i%len(accounts), uint64(i/len(accounts))
				tx, err := load.Sign(signer, accounts[account], call, w.Call(account, call), fees)
				if err != nil {
					errs[worker] = err
					return
				}
				// A request of one, in memory that is used again.
				body = append(body[:0], `{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x`...)
				body = hex.AppendEncode(body, tx.Raw)
				body = append(body, `"]}`...)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return limit{}, err
		}
	}
	return limit{n: float64(n), seconds: time.Since(start).Seconds(), used: (usedTime() - used).Seconds()}, nil
}

// limit is what a number of transactions took: time, and time of processors.
type limit struct{ n, seconds, used float64 }

// plus joins two measurements of one thing.
func (l limit) plus(o limit) limit { return limit{l.n + o.n, l.seconds + o.seconds, l.used + o.used} }

func (l limit) tps() float64 { return l.n / l.seconds }

// each is the processor time of one transaction in microseconds.
func (l limit) each() float64 { return 1e6 * l.used / l.n }

// usedTime is the processor time of this process.
func usedTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resident is the memory of this process in bytes that is in use, as the
// system sees it.
func resident() uint64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw))
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

const mib = 1 << 20

// watcher shows a line each second and keeps the resident memory.
type watcher struct {
	out   io.Writer
	quiet bool
	rss   []uint64
	last  time.Duration
}

func (w *watcher) progress(r send.Report) {
	used := usedTime()
	rss := resident()
	w.rss = append(w.rss, rss)
	if len(w.rss) == 1 && !w.quiet {
		fmt.Fprintln(w.out, "    time   offered  included   pending  resident     cpu   p50     p99")
	}
	if !w.quiet && r.Interval.Seconds > 0 {
		fmt.Fprintf(w.out, "%6.1f s %7.0f/s %7.0f/s %9d %5d MiB %5.0f %% %5.0f ms %5.0f ms %s\n",
			r.Total.Seconds, r.Interval.OfferedTPS, r.Interval.IncludedTPS, r.Pending, rss/mib,
			100*(used-w.last).Seconds()/r.Interval.Seconds, 1000*r.Interval.Latency.P50, 1000*r.Interval.Latency.P99, r.Note)
	}
	w.last = used
}

// flat is the median resident memory of the second and of the last quarter of
// the run, and the largest.
func (w *watcher) flat() (early, late, most uint64) {
	n := len(w.rss)
	middle := func(part []uint64) uint64 {
		if len(part) == 0 {
			return 0
		}
		part = slices.Sorted(slices.Values(part))
		return part[len(part)/2]
	}
	return middle(w.rss[n/4 : n/2]), middle(w.rss[3*n/4:]), slices.Max(w.rss)
}

// fillSink is the run against the sink.
func fillSink(ctx context.Context, o *options, out io.Writer) error {
	accounts, err := accountsOf(o.accounts)
	if err != nil {
		return err
	}
	w, err := workload(load.EthTransfers, accounts, load.Contracts{})
	if err != nil {
		return err
	}
	each := (o.txs + o.accounts - 1) / o.accounts
	sample := min(o.txs, 200_000)
	fmt.Fprintf(out, "%d cores; %d eth-transfers of %d accounts, %d a request, %d connections\n",
		runtime.GOMAXPROCS(0), each*o.accounts, o.accounts, o.batch, o.connections)
	before, err := rawLimit(w, accounts, sample)
	if err != nil {
		return err
	}
	sink, err := startSink(ctx, o.block)
	if err != nil {
		return err
	}
	watch := &watcher{out: out, quiet: o.quiet, last: usedTime()}
	used := usedTime()
	report, err := send.Run(ctx, send.Options{
		URLs: []string{sink.url}, Source: w, Accounts: accounts, ChainID: sinkChain,
		PerAccount: uint64(each), Batch: o.batch, Connections: o.connections, Tip: big.NewInt(gwei),
		Progress: watch.progress,
	})
	used = usedTime() - used
	taken, sinkUsed, stopErr := sink.stop()
	if err != nil {
		return err
	}
	if stopErr != nil {
		return stopErr
	}
	after, err := rawLimit(w, accounts, sample)
	if err != nil {
		return err
	}
	tellSink(out, watch, report, []limit{before, after},
		limit{float64(report.Total.Included), report.Total.Seconds, used.Seconds()}, sinkUsed.Seconds())
	if uint64(report.Total.Included) != taken {
		return fmt.Errorf("the generator counted %d transactions, the sink %d", report.Total.Included, taken)
	}
	return nil
}

// tellSink prints what came out. The rates are those of the machine as it was
// at the time, with whatever else ran on it; the processor times are not
// touched by that, and say the same on a busy machine.
func tellSink(out io.Writer, watch *watcher, r send.Report, raws []limit, run limit, sinkUsed float64) {
	raw := raws[0].plus(raws[1])
	early, late, most := watch.flat()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "raw limit: all cores sign and encode\t%.0f tx/s\t(%.0f before, %.0f after)\n", raw.tps(), raws[0].tps(), raws[1].tps())
	fmt.Fprintf(t, "sent and seen included\t%.0f tx/s\t%.0f %% of the raw limit\n", run.tps(), 100*run.tps()/raw.tps())
	sink := 1e6 * sinkUsed / run.n
	fmt.Fprintf(t, "processor time of a transaction\t%.1f µs\tof the generator, beside %.1f µs of the sink and %.1f µs raw\n", run.each(), sink, raw.each())
	fmt.Fprintf(t, "raw share of it\t%.0f %%\tof the generator's, %.0f %% of both\n", 100*raw.each()/run.each(), 100*raw.each()/(run.each()+sink))
	fmt.Fprintf(t, "resident memory\t%d MiB at most\t%d MiB in the second quarter, %d MiB in the last\n", most/mib, early/mib, late/mib)
	fmt.Fprintf(t, "time to inclusion\tp50 %.0f ms\tp90 %.0f ms, p99 %.0f ms\n", 1000*r.Total.Latency.P50, 1000*r.Total.Latency.P90, 1000*r.Total.Latency.P99)
	fmt.Fprintf(t, "accounting\toffered %d\taccepted %d, included %d, dropped %d\n", r.Total.Offered, r.Total.Accepted, r.Total.Included, r.Total.Dropped)
	t.Flush()
}

// fillNode is the run against a real node.
func fillNode(ctx context.Context, o *options, out io.Writer) error {
	node, err := ethrpc.NewClient(o.node)
	if err != nil {
		return err
	}
	defer node.Close()
	accounts, err := accountsOf(o.accounts)
	if err != nil {
		return err
	}
	ready, w, err := prepare(ctx, o, node, accounts, out)
	if err != nil {
		return err
	}
	watch := &watcher{out: out, quiet: o.quiet, last: usedTime()}
	used, start := usedTime(), time.Now()
	report, err := send.Run(ctx, send.Options{
		URLs: []string{o.node}, Source: w, Accounts: accounts, ChainID: ready.ChainID,
		Batch: o.batch, Connections: o.connections, Duration: o.duration,
		FeeCap: big.NewInt(feeCap), Progress: watch.progress,
	})
	if err != nil {
		return err
	}
	share := (usedTime() - used).Seconds() / time.Since(start).Seconds()
	early, late, most := watch.flat()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "included\t%.0f tx/s\t%.1f Mgas/s\n", report.Total.IncludedTPS, report.Total.IncludedMGas)
	fmt.Fprintf(t, "generator\t%.0f %% of one core\t\n", 100*share)
	fmt.Fprintf(t, "resident memory\t%d MiB at most\t%d MiB in the second quarter, %d MiB in the last\n", most/mib, early/mib, late/mib)
	fmt.Fprintf(t, "time to inclusion\tp50 %.0f ms, p90 %.0f ms, p99 %.0f ms\t\n",
		1000*report.Total.Latency.P50, 1000*report.Total.Latency.P90, 1000*report.Total.Latency.P99)
	fmt.Fprintf(t, "accounting\toffered %d, accepted %d, included %d, reverted %d, dropped %d\trejected %v\n", report.Total.Offered,
		report.Total.Accepted, report.Total.Included, report.Total.Reverted, report.Total.Dropped, report.Total.Rejected)
	return t.Flush()
}

// feeCap is the most that is offered per gas on a real node, in wei.
const feeCap = 100 * gwei

// prepare funds the accounts on the real node and deploys what the load needs.
func prepare(ctx context.Context, o *options, node *ethrpc.Client, accounts []load.Account, out io.Writer) (setup.Ready, *load.Workload, error) {
	ether := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
	s := setup.Options{
		Types: load.Options{Type: o.kind}.Uses(), Accounts: accounts, Need: new(big.Int).Mul(ether, big.NewInt(100)),
		Progress: func(line string) { fmt.Fprintln(out, line) },
	}
	if o.rich == "" {
		s.Unlocked = true
	} else {
		file, err := os.Open(o.rich)
		if err != nil {
			return setup.Ready{}, nil, err
		}
		defer file.Close()
		keys, err := load.ReadKeys(o.rich, file)
		if err != nil {
			return setup.Ready{}, nil, err
		}
		s.Rich = &keys[0]
	}
	ready, err := setup.Prepare(ctx, node, s)
	if err != nil {
		return ready, nil, err
	}
	w, err := workload(o.kind, accounts, ready.Contracts)
	return ready, w, err
}
