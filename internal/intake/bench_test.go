package intake

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// benchmarkLines is the size of the logs that are read.
const benchmarkLines = 2_000_000

// writeLog writes a log of a seeded run: whole, with nine lines a block as the
// replay prints them at debug, or filtered down to its timing lines.
func writeLog(b *testing.B, filtered bool) (path string, size int64) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "replay.log")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	rng := rand.New(rand.NewPCG(3, 5))
	for n, block := 0, 24600000; n < benchmarkLines; block++ {
		const prefix = "2026-03-06T15:38:18.556705Z DEBUG ethrex_replay::"
		ms := 40 + rng.IntN(160)
		if !filtered {
			fmt.Fprintf(w, "2026-03-06T15:38:18.556705Z  INFO ethrex_replay::fetcher: Retrieving execution data for block %d (0 block behind latest)\n", block)
			fmt.Fprintf(w, "2026-03-06T15:38:18.556705Z  WARN ethrex_replay::fetcher: Failed to load cache: No such file or directory (os error 2) (./replay_cache/cache_mainnet_%d.json)\n", block)
			fmt.Fprintf(w, "%sfetcher: Validating RPC chain ID\n", prefix)
			fmt.Fprintf(w, "%sfetcher: Getting block data from RPC for block %d\n", prefix, block)
			fmt.Fprintf(w, "%sfetcher: Got block %d in 00s 014ms\n", prefix, block)
			fmt.Fprintf(w, "%sfetcher: Getting execution witness from RPC for block %d\n", prefix, block)
			fmt.Fprintf(w, "%scache: Writing cache to ./replay_cache/cache_mainnet_%d.json\n", prefix, block)
			fmt.Fprintf(w, "2026-03-06T15:38:18.556705Z  INFO ethrex_replay::report: [mainnet] Block: %d, Gas: %d, #Txs: %d, Execution Time: 00s 612ms | https://etherscan.io/block/%d\n", block, 30000000+rng.IntN(5000000), 100+rng.IntN(200), block)
			n += 8
		}
		fmt.Fprintf(w, "%sfetcher: Got execution witness for block %d in 00s %03dms\n", prefix, block, ms)
		n++
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if size, err = file.Seek(0, io.SeekEnd); err != nil {
		b.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	return path, size
}

// BenchmarkRead reads replay logs of two million lines. live-MB is the heap
// that the series itself keeps.
func BenchmarkRead(b *testing.B) {
	for _, filtered := range []bool{false, true} {
		b.Run(fmt.Sprintf("filtered=%v", filtered), func(b *testing.B) {
			path, size := writeLog(b, filtered)
			b.SetBytes(size)
			b.ReportAllocs()
			var s *Series
			var lines int
			for b.Loop() {
				file, err := os.Open(path)
				if err != nil {
					b.Fatal(err)
				}
				if s, err = Read(path, file); err != nil {
					b.Fatal(err)
				}
				lines += s.Lines
				if err := file.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
			runtime.GC()
			var heap runtime.MemStats
			runtime.ReadMemStats(&heap)
			b.ReportMetric(float64(heap.HeapAlloc)/1e6, "live-MB")
			if len(s.Values) == 0 {
				b.Fatal("no values")
			}
		})
	}
}
