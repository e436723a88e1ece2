package intake

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/verdict-bench/verdict/internal/fault"
)

// secPerOp is the unit into which the reader of benchmarks brings ns/op.
const secPerOp = "sec/op"

// benchmarks is the state of reading benchmark results.
type benchmarks struct {
	c *collector
	// names are the benchmarks without their block, each with its first line.
	names map[string]int
	// units are those that stood where none was a time per operation.
	units map[string]bool
	// numbered and plain count the results with and without a block.
	numbered, plain int
	// averaged counts the results of more than one iteration.
	averaged int
}

// readBenchfmt reads the results of one benchmark: one per block, with the
// block in its name ("/block=24600000") or its configuration ("block: N"), or
// the same one repeated.
func readBenchfmt(c *collector, in *lines) error {
	b := &benchmarks{c: c, names: make(map[string]int), units: make(map[string]bool)}
	r := benchfmt.NewReader(in, in.name)
	for r.Scan() {
		switch record := r.Result().(type) {
		case *benchfmt.Result:
			b.add(record)
		case *benchfmt.SyntaxError:
			_, line := record.Pos()
			c.exclude(BadBenchmark, line, 0)
		}
	}
	if err := r.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fault.Newf(fault.Usage, "%w: no benchmark prints such a line", err)
	} else if err != nil {
		return fmt.Errorf("reading benchmarks: %w", err)
	}
	return b.finish(in.name)
}

func (b *benchmarks) add(result *benchfmt.Result) {
	_, line := result.Pos()
	name, block, numbered, batch := blockOf(result)
	seconds, ok := result.Value(secPerOp)
	if !ok {
		for _, v := range result.Values {
			b.units[v.Unit] = true
		}
		b.c.exclude(WithoutTiming, line, block)
		return
	}
	if _, ok := b.names[name]; !ok && len(b.names) < listed {
		b.names[name] = line
	}
	b.c.series.Batches = b.c.series.Batches || batch
	if result.Iters > 1 {
		b.averaged++
	}
	if numbered {
		b.numbered++
	} else {
		b.plain++
		block = uint64(b.plain)
	}
	b.c.add(Value{Block: block, MS: milliseconds(result, seconds), Line: uint32(line)})
}

// milliseconds prefers the value as it was printed, in nanoseconds: seconds
// have been divided once already.
func milliseconds(result *benchfmt.Result, seconds float64) float64 {
	for _, v := range result.Values {
		if v.Unit == secPerOp && v.OrigUnit == "ns/op" {
			return v.OrigValue / 1e6
		}
	}
	return seconds * 1e3
}

// blockOf splits the name of a result into what is the same for all blocks and
// the number of the block or batch.
func blockOf(result *benchfmt.Result) (name string, block uint64, numbered, batch bool) {
	base, parts := result.Name.Parts()
	var rest strings.Builder
	rest.Write(base)
	for _, part := range parts {
		key, text, ok := bytes.Cut(part, []byte("="))
		isBatch := string(key) == "/batch"
		if n, left, isNumber := number(text); ok && (isBatch || string(key) == "/block") && isNumber && len(left) == 0 {
			block, numbered, batch = n, true, isBatch
			continue
		}
		rest.Write(part)
	}
	for _, key := range []string{"block", "batch"} {
		if i, ok := result.ConfigIndex(key); ok && !numbered {
			if n, left, ok := number(result.Config[i].Value); ok && len(left) == 0 {
				block, numbered, batch = n, true, key == "batch"
			}
		}
	}
	return rest.String(), block, numbered, batch
}

func (b *benchmarks) finish(name string) error {
	switch {
	case len(b.names) > 1:
		names := slices.SortedFunc(maps.Keys(b.names), func(x, y string) int { return b.names[x] - b.names[y] })
		return fault.Newf(fault.Usage, "%s: several benchmarks: %s", name, strings.Join(names, ", ")).
			Hint("grep -E '^(goos|goarch|pkg|cpu):|^Benchmark%s' FILE", strings.SplitN(names[0], "-", 2)[0])
	case b.numbered > 0 && b.plain > 0:
		return fault.Newf(fault.Usage, "%s: %d results with a block number and %d without", name, b.numbered, b.plain)
	case b.numbered+b.plain == 0 && len(b.units) > 0:
		units := slices.Sorted(maps.Keys(b.units))
		return fault.Newf(fault.Usage, "%s: no result has a time per operation (ns/op); seen: %s", name, strings.Join(units, ", "))
	}
	b.c.series.Numbered = b.numbered > 0
	if b.averaged > 0 {
		b.c.warn("a mean of several iterations, which hides the spread: %s", plural(b.averaged, "result"))
	}
	return nil
}
