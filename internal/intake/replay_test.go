package intake

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

const day = "2026-03-06T15:"

// line is one log line of the replay's fetcher at a time of the day.
func line(clock, level, text string) string {
	return fmt.Sprintf("%s%sZ %5s ethrex_replay::fetcher: %s\n", day, clock, level, text)
}

func got(block int, duration string) string {
	return line("38:18.664819", "DEBUG", fmt.Sprintf("Got execution witness for block %d in %s", block, duration))
}

func reasons(s *Series) string {
	var parts []string
	for _, e := range s.Excluded {
		parts = append(parts, fmt.Sprintf("%s: %d at %v", e.Reason, e.Count, e.Lines))
	}
	return strings.Join(parts, "; ")
}

func TestReplay_excluded(t *testing.T) {
	good := got(7, "00s 131ms")
	tests := []struct {
		name, text string
		want       Reason
		lines      []int
		values     int
	}{
		{"fallback", line("38:06.1", "WARN", fallbackMark+", using fallback eth_getProof") + got(5, "01m 13s") + good, Fallback, []int{2}, 1},
		{"fallback seen by its work only", line("38:06.1", "INFO", "Caching callers and recipients state for block 5") + got(5, "01m 13s") + good, Fallback, []int{2}, 1},
		{"cached", line("38:06.1", "INFO", "Getting block 5 data from cache") + good, Cached, []int{1}, 1},
		{"RPC error", line("38:06.1", "DEBUG", askingMark+"5") + line("38:06.2", "ERROR", rpcErrorMark+": RPC request error") + good, RPCError, []int{2}, 1},
		{"range", line("38:06.1", "INFO", "Got execution witness for blocks 3 to 5 in 00s 131ms") + good, RangeLine, []int{1}, 1},
		{"duplicate", good + got(8, "00s 100ms") + got(7, "00s 099ms"), Duplicate, []int{3}, 2},
		{"negative", got(5, "-3ms") + good, NotPositive, []int{1}, 1},
		{"absurd", got(5, "25h 00m 00s 000ms") + good, Absurd, []int{1}, 1},
		{"zero", got(5, "00s 000ms") + good, Zero, []int{1}, 1},
		{"NaN", got(5, "NaNms") + good, BadDuration, []int{1}, 1},
		{"cut off in the middle", strings.TrimSuffix(got(5, "00s 1"), "\n") + good, BadDuration, []int{1}, 0},
		{"no duration", got(5, "") + good, BadDuration, []int{1}, 1},
		{"no number", strings.ReplaceAll(got(5, "00s 131ms"), "block 5", "block x") + good, BadBlock, []int{1}, 1},
		{"number too large", strings.ReplaceAll(got(5, "00s 131ms"), "block 5", "block 18446744073709551616") + good, BadBlock, []int{1}, 1},
		{"torn", good + strings.TrimSuffix(got(8, "01s"), "\n"), TornLine, []int{2}, 1},
		{"long", good + strings.Repeat("x", 2*maxLine) + "\n" + got(8, "00s 100ms"), LongLine, []int{2}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.text
			if tt.values == 0 { // what is torn took the next line with it
				text += got(9, "00s 100ms")
				tt.values = 1
			}
			s := read(t, text)
			if len(s.Excluded) != 1 || s.Excluded[0].Reason != tt.want || !slices.Equal(s.Excluded[0].Lines, tt.lines) {
				t.Errorf("excluded %s; want %s at %v", reasons(s), tt.want, tt.lines)
			}
			if len(s.Values) != tt.values || s.Left(tt.want) != 1 {
				t.Errorf("%d values %v, %d left out; want %d and 1", len(s.Values), numbers(s), s.Left(tt.want), tt.values)
			}
		})
	}
}

// The fallback taints one timing line and no other.
func TestReplay_fallbackEnds(t *testing.T) {
	fallback := line("38:06.1", "WARN", fallbackMark)
	for name, text := range map[string]string{
		"after its timing line": fallback + got(5, "01m 13s") + got(6, "00s 131ms"),
		"with the next block":   fallback + line("38:20.1", "DEBUG", askingMark+"6") + got(6, "00s 131ms"),
	} {
		if s := read(t, text); !slices.Equal(numbers(s), []uint64{6}) {
			t.Errorf("%s: values %v, excluded %s", name, numbers(s), reasons(s))
		}
	}
}

// A clean measurement after a tainted one of the same block is its first.
func TestReplay_firstUsableStands(t *testing.T) {
	s := read(t, line("38:06.1", "WARN", fallbackMark)+got(5, "01m 13s")+got(5, "00s 120ms")+got(5, "00s 125ms"))
	if len(s.Values) != 1 || s.Values[0].MS != 120 || s.Left(Duplicate) != 1 || s.Left(Fallback) != 1 {
		t.Errorf("values %+v, excluded %s", s.Values, reasons(s))
	}
}

func TestReplay_hours(t *testing.T) {
	stamped := func(stamp, level, text string) string {
		return fmt.Sprintf("%s %5s ethrex_replay::fetcher: %s\n", stamp, level, text)
	}
	asking := func(stamp string) string { return stamped(stamp, "INFO", askingMark+"5") }
	timing := func(stamp, level, duration string) string {
		return stamped(stamp, level, "Got execution witness for block 5 in "+duration)
	}
	before := stamped("2025-08-21T09:00:00.000000Z", "INFO", "Got execution witness for block 4 in 00s 500ms")
	tests := []struct {
		name, text string
		ms         float64
		flag       Flag
	}{
		{"hours from the stamps", asking("2025-08-21T09:14:01Z") + timing("2025-08-21T10:15:03.9Z", "INFO", "01m 02s"), 3662000, HoursRestored},
		{"hours without minutes", asking("2025-08-21T09:00:00Z") + timing("2025-08-21T10:00:05.1Z", "INFO", "05s 000ms"), 3605000, HoursRestored},
		{"two hours, over midnight", asking("2025-08-31T23:00:00Z") + timing("2025-09-01T01:00:30.5Z", "DEBUG", "30s 500ms"), 7230500, HoursRestored},
		{"stamps agree", asking("2025-08-21T09:14:01Z") + timing("2025-08-21T09:15:03.9Z", "INFO", "01m 02s"), 62000, 0},
		{"stamps make no sense", asking("2025-08-21T09:14:01Z") + timing("2025-08-21T10:45:03.9Z", "INFO", "01m 02s"), 62000, HoursUnclear},
		{"request of another block", stamped("2025-08-21T09:14:01Z", "INFO", askingMark+"6") + timing("2025-08-21T10:15:03.9Z", "INFO", "01m 02s"), 62000, HoursUnclear},
		{"no request, no line before", timing("2025-08-21T10:15:03.9Z", "INFO", "01m 02s"), 62000, HoursUnclear},
		{"no stamp", timing("-", "INFO", "01m 02s"), 62000, HoursUnclear},
		{"line before within the hour", before + timing("2025-08-21T09:59:59Z", "INFO", "01m 02s"), 62000, 0},
		{"line before an hour ago", before + timing("2025-08-21T10:00:01Z", "INFO", "01m 02s"), 62000, HoursUnclear},
		{"dated between the formats", timing("2025-09-29T10:15:03.9Z", "DEBUG", "01m 02s"), 62000, HoursUnclear},
		{"hours printed", timing("2025-10-01T10:15:03.9Z", "DEBUG", "00h 01m 02s 345ms"), 62345, 0},
		{"later build", timing("2026-03-06T10:15:03.9Z", "DEBUG", "01m 02s"), 62000, 0},
		{"hand-edited", timing("2025-08-21T10:15:03.9Z", "INFO", "131ms"), 131, 0},
	}
	for _, tt := range tests {
		s := read(t, tt.text)
		v := s.Values[len(s.Values)-1]
		if v.MS != tt.ms || v.Flags != tt.flag {
			t.Errorf("%s: %v ms with flags %b, want %v and %b", tt.name, v.MS, v.Flags, tt.ms, tt.flag)
		}
		marked := slices.ContainsFunc(s.Values, func(v Value) bool { return v.Flags != 0 })
		if warned := strings.Contains(strings.Join(s.Warnings, "\n"), "whole hours"); warned != marked {
			t.Errorf("%s: warnings %q", tt.name, s.Warnings)
		}
	}
}

func TestReplay_flags(t *testing.T) {
	block := func(n int, behind, report string) string {
		return line("38:18.1", "INFO", fmt.Sprintf("Retrieving execution data for block %d (%s block behind latest)", n, behind)) +
			line("38:18.2", "DEBUG", fmt.Sprintf("%s%d", askingMark, n)) + got(n, "00s 131ms") +
			fmt.Sprintf("%s38:20.1Z  INFO ethrex_replay::report: [hoodi] Block: %d, Gas: %d, #Txs: 12, %s\n", day, n, 1000*n, report)
	}
	s := read(t, block(1, "0", "Execution Time: 00s 500ms")+
		block(2, "121", "Execution Time: 00s 500ms")+
		block(3, "18446744073709551615", "Execution Time: 00s 500ms")+
		block(4, "120", "Execution Error: state root mismatch"))
	want := []Flag{0, FarBehind, 0, ExecutionFailed}
	for i, v := range s.Values {
		if v.Flags != want[i] || s.Work[i] != (Work{Gas: uint64(1000 * (i + 1)), Txs: 12}) {
			t.Errorf("block %d: flags %b, work %+v, want flags %b", v.Block, v.Flags, s.Work[i], want[i])
		}
	}
	if s.Network != "hoodi" || len(s.Warnings) != 2 {
		t.Errorf("network %q, warnings %q", s.Network, s.Warnings)
	}
}

func TestReplay_network(t *testing.T) {
	cache := func(network string) string {
		return line("38:18.1", "DEBUG", "Writing cache to ./replay_cache/cache_"+network+"_5.json")
	}
	if s := read(t, cache("sepolia")+got(5, "00s 131ms")); s.Network != "sepolia" {
		t.Errorf("network %q from the name of the cache file, want sepolia", s.Network)
	}
	report := func(network string) string {
		return day + "38:20.1Z  INFO ethrex_replay::report: [" + network + "] Block: 5, Gas: 1, #Txs: 1, Execution Time: 00s 1ms\n"
	}
	_, err := Read("two.log", strings.NewReader(report("mainnet")+got(5, "00s 131ms")+report("hoodi")+got(6, "00s 131ms")))
	if fault.KindOf(err) != fault.Usage || err == nil || err.Error() != "two.log:3: blocks of hoodi after blocks of mainnet: one input holds one network" {
		t.Errorf("mixed networks: %v", err)
	}
	if hints := fault.HintsOf(err); !slices.Equal(hints, []string{"head -n 2 FILE > mainnet.txt; tail -n +3 FILE > hoodi.txt"}) {
		t.Errorf("hints %q do not split the file", hints)
	}
}

func TestReplay_noTiming(t *testing.T) {
	_, err := Read("info.log", strings.NewReader(
		line("38:18.1", "INFO", "Retrieving execution data for block 5 (0 block behind latest)")+
			line("38:18.2", "INFO", "Getting block 5 data from cache")+
			line("38:18.3", "INFO", "Retrieving execution data for block 6 (0 block behind latest)")))
	want := `info.log: no timing line ("Got execution witness for block" …) in 3 lines of an ethrex-replay log; seen: 2 × retrieving a block, 1 × block read from the cache`
	if err == nil || err.Error() != want || fault.KindOf(err) != fault.Usage {
		t.Errorf("error %v\n want %s", err, want)
	}
	hints := strings.Join(fault.HintsOf(err), "\n")
	if !strings.Contains(hints, "RUST_LOG=ethrex_replay=debug") || !strings.Contains(hints, "--cache-level off") {
		t.Errorf("hints %q name no setting", hints)
	}
}

// A log read out of order, as two logs put together, keeps its order and one
// value of each block.
func TestReplay_unordered(t *testing.T) {
	s := read(t, got(9, "00s 009ms")+got(3, "00s 003ms")+got(9, "00s 010ms")+got(1, "00s 001ms")+got(3, "00s 004ms"))
	if !slices.Equal(numbers(s), []uint64{9, 3, 1}) || !slices.Equal(s.Milliseconds(), []float64{9, 3, 1}) {
		t.Errorf("values %v of blocks %v", s.Milliseconds(), numbers(s))
	}
	if e := s.Excluded[0]; e.Count != 2 || !slices.Equal(e.Lines, []int{3, 5}) || !slices.Equal(e.Blocks, []uint64{9, 3}) {
		t.Errorf("excluded %s", reasons(s))
	}
}

// More values than one chunk holds.
func TestReplay_chunks(t *testing.T) {
	var b strings.Builder
	const n = 2*chunkValues + 3
	for i := range n {
		b.WriteString(got(i, fmt.Sprintf("%02ds %03dms", i/1000%60, i%999+1)))
	}
	s := read(t, b.String())
	if len(s.Values) != n || s.Values[n-1].Block != n-1 || s.Values[chunkValues].Line != chunkValues+1 {
		t.Errorf("%d values up to %+v, want %d", len(s.Values), s.Values[len(s.Values)-1], n)
	}
}
