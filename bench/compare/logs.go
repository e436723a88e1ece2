package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// linesPerBlock is what ethrex-replay logs at debug for one block.
const linesPerBlock = 9

// writeLogs writes the two logs, unless the directory has them.
func writeLogs(o *options) (logs [2]string, err error) {
	for side, name := range [2]string{"baseline", "test"} {
		kind := "whole"
		if o.filtered {
			kind = "filtered"
		}
		logs[side] = filepath.Join(o.dir, fmt.Sprintf("%s-%s-%d-%d.log", name, kind, o.lines, o.seed))
		if _, err := os.Stat(logs[side]); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := writeLog(logs[side], side, o); err != nil {
			return logs, err
		}
	}
	return logs, nil
}

// writeLog writes the log of one side. The same seed gives both sides the same
// blocks; the test side answers a tenth faster, with noise of its own. Each
// side lacks one block in a thousand.
//
// The durations have the form of the workflow document, "131ms", which is the
// only one that its pipeline understands.
func writeLog(path string, side int, o *options) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriterSize(file, 1<<20)
	blocks := rand.New(rand.NewPCG(o.seed, 0))
	noise := rand.New(rand.NewPCG(o.seed, uint64(1+side)))
	speed := [2]float64{1, 0.9}[side]
	for n, block := 0, 24600000; n < o.lines; block++ {
		base := 120 * math.Exp(0.4*blocks.NormFloat64())
		gas, txs := 30_000_000+blocks.IntN(5_000_000), 100+blocks.IntN(200)
		ms := max(1, int(base*speed*math.Exp(0.1*noise.NormFloat64())))
		if noise.IntN(1000) == 0 {
			continue
		}
		if o.filtered {
			timing(w, block, ms)
			n++
			continue
		}
		around(w, block, gas, txs, ms)
		n += linesPerBlock
	}
	return w.Flush()
}

// stamp begins every line; the clock stands still, which no reader minds.
const stamp = "2026-03-06T15:38:18.556705Z"

func timing(w *bufio.Writer, block, ms int) {
	fmt.Fprintf(w, stamp+" DEBUG ethrex_replay::fetcher: Got execution witness for block %d in %dms\n", block, ms)
}

// around writes the lines of one block, the timing line among them.
func around(w *bufio.Writer, block, gas, txs, ms int) {
	fmt.Fprintf(w, stamp+"  INFO ethrex_replay::fetcher: Retrieving execution data for block %d (0 block behind latest)\n", block)
	fmt.Fprintf(w, stamp+"  WARN ethrex_replay::fetcher: Failed to load cache: No such file or directory (os error 2) (./replay_cache/cache_mainnet_%d.json)\n", block)
	fmt.Fprintf(w, stamp+" DEBUG ethrex_replay::fetcher: Validating RPC chain ID\n")
	fmt.Fprintf(w, stamp+" DEBUG ethrex_replay::fetcher: Getting block data from RPC for block %d\n", block)
	fmt.Fprintf(w, stamp+" DEBUG ethrex_replay::fetcher: Got block %d in 14ms\n", block)
	fmt.Fprintf(w, stamp+" DEBUG ethrex_replay::fetcher: Getting execution witness from RPC for block %d\n", block)
	timing(w, block, ms)
	fmt.Fprintf(w, stamp+" DEBUG ethrex_replay::cache: Writing cache to ./replay_cache/cache_mainnet_%d.json\n", block)
	fmt.Fprintf(w, stamp+"  INFO ethrex_replay::report: [mainnet] Block: %d, Gas: %d, #Txs: %d, Execution Time: 612ms | https://etherscan.io/block/%d\n", block, gas, txs, block)
}
