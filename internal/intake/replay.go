package intake

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
)

// The fixed texts of ethrex-replay. The timing line is found by its whole text
// and not by a "block" and a number, which a dozen other lines have too.
const (
	timingMark     = "Got execution witness for block"
	retrievingMark = "Retrieving execution data for block "
	askingMark     = "Getting execution witness from RPC for block "
	gettingMark    = "Getting block "
	cachedMark     = " data from cache"
	rpcErrorMark   = "Unexpected response from debug_executionWitness"
	refusedMark    = "Could not request RPC server"
	behindMark     = " block behind latest)"
	fallbackMark   = "debug_executionWitness endpoint not implemented"
	callersMark    = "Caching callers and recipients state"
	finishedMark   = "Finished building execution witness"
	cacheFileMark  = "/cache_"
)

const (
	// farBehind is the distance to the head from which on a block is flagged.
	farBehind = 120
	hourMS    = 3600 * 1000
	// stampSlackMS is how far the time stamps around a request may be from the
	// duration that is printed in seconds.
	stampSlackMS = 5000
)

// replay is what the lines before say about the next timing line.
type replay struct {
	c *collector
	// line is the number of the current line.
	line int
	// block is the block that was asked for last, asked its time stamp.
	block   uint64
	asked   int64
	isAsked bool
	behind  bool
	// fallback says that the answer will not be that of
	// debug_executionWitness.
	fallback bool
	// timed is the time stamp of the timing line before.
	timed   int64
	isTimed bool
	// reported and cached are the networks that report lines and names of
	// cache files mention, each with its first line.
	reported, cached map[string]int
	seen             sightings
}

// sightings counts the kinds of lines, to say what a log without a timing line
// does hold.
type sightings struct {
	timings, retrieving, asking, cached, reports, errors int
}

func readReplay(c *collector, in *lines) error {
	r := &replay{c: c, reported: make(map[string]int), cached: make(map[string]int)}
	c.failed = make(map[uint64]bool)
	for {
		line, err := in.message()
		if err == io.EOF {
			return r.finish(in)
		}
		if err != nil {
			return err
		}
		r.line = in.n
		r.read(line)
	}
}

func (r *replay) read(line []byte) {
	if i := bytes.Index(line, []byte(timingMark)); i >= 0 {
		r.timing(line, line[i+len(timingMark):])
		return
	}
	text, ok := after(line, "ethrex_replay")
	if !ok {
		if bytes.Contains(line, []byte(refusedMark)) {
			r.seen.errors++
		}
		return
	}
	if text, ok = after(text, ": "); !ok {
		return
	}
	r.other(line, text)
}

// other reads a line that is not a timing line; text is its message.
func (r *replay) other(line, text []byte) {
	switch {
	case starts(text, retrievingMark):
		r.seen.retrieving++
		r.begin(text[len(retrievingMark):])
		r.behind = isFarBehind(text)
	case starts(text, askingMark):
		r.seen.asking++
		behind := r.behind
		r.begin(text[len(askingMark):])
		r.behind = behind
		r.asked, r.isAsked = stamp(line)
	case starts(text, gettingMark):
		if block, rest, ok := number(text[len(gettingMark):]); ok && starts(rest, cachedMark) {
			r.seen.cached++
			r.c.exclude(Cached, r.line, block)
		}
	case starts(text, fallbackMark), starts(text, callersMark), starts(text, finishedMark):
		r.fallback = true
	case starts(text, rpcErrorMark):
		r.seen.errors++
		r.c.exclude(RPCError, r.line, r.block)
	case starts(text, "["):
		r.report(text)
	default:
		if rest, ok := after(text, cacheFileMark); ok {
			r.cacheFile(rest)
		}
	}
}

// starts is bytes.HasPrefix with a text.
func starts(b []byte, text string) bool { return len(b) >= len(text) && string(b[:len(text)]) == text }

// begin forgets the block before and notes the one that rest begins with.
func (r *replay) begin(rest []byte) {
	r.block, _, _ = number(rest)
	r.isAsked, r.behind, r.fallback = false, false, false
}

// isFarBehind reads "(142 block behind latest)". A distance below 0 wraps
// around in the replay: the head went backwards, and the block is not behind.
func isFarBehind(text []byte) bool {
	_, rest, ok := bytes.Cut(text, []byte("("))
	if !ok {
		return false
	}
	distance, rest, ok := number(rest)
	return ok && starts(rest, behindMark) && distance > farBehind && distance < 1<<63
}

// timing reads a timing line; rest follows the mark.
func (r *replay) timing(line, rest []byte) {
	r.seen.timings++
	defer r.end(line)
	if starts(rest, "s ") {
		first, _, _ := number(rest[2:])
		r.c.exclude(RangeLine, r.line, first)
		return
	}
	block, rest, ok := number(bytes.TrimPrefix(rest, []byte(" ")))
	if !ok {
		r.c.exclude(BadBlock, r.line, 0)
		return
	}
	if !starts(rest, " in ") {
		r.c.exclude(BadDuration, r.line, block)
		return
	}
	d, rest, ok := scanDuration(rest[len(" in "):])
	if !ok || len(rest) > 0 && rest[0] != ' ' {
		r.c.exclude(BadDuration, r.line, block)
		return
	}
	if r.fallback {
		r.c.exclude(Fallback, r.line, block)
		return
	}
	v := Value{Block: block, MS: d.ms, Line: uint32(r.line), Exponent: d.exponent}
	r.hours(line, d, &v)
	if r.behind && block == r.block {
		v.Flags |= FarBehind
	}
	r.c.add(v)
}

// end forgets what was noted for the timing line that has just been read.
func (r *replay) end(line []byte) {
	r.timed, r.isTimed = stamp(line)
	r.isAsked, r.behind, r.fallback = false, false, false
}

// hours looks for whole hours that the log dropped: the builds before October
// 2025 printed 3662 s as "01m 02s" and 3605 s as "05s 000ms". The time stamps
// of the request and of this line give the hours back. Without the request, a
// timing line less than an hour before shows that there are none.
func (r *replay) hours(line []byte, d duration, v *Value) {
	if d.hours || d.groups != 2 {
		return
	}
	now, ok := stamp(line)
	if ok && r.isAsked && r.block == v.Block {
		over := now - r.asked - int64(v.MS)
		hours := (over + stampSlackMS) / hourMS
		switch {
		case hours < 1:
		case over-hours*hourMS <= stampSlackMS:
			v.MS += float64(hours * hourMS)
			v.Flags |= HoursRestored
		default:
			v.Flags |= HoursUnclear
		}
		return
	}
	if !dropsHours(line, now, ok) {
		return
	}
	if within := now - r.timed; !ok || !r.isTimed || within < 0 || within >= hourMS {
		v.Flags |= HoursUnclear
	}
}

// dropsHours tells the builds that drop hours: they log at INFO, or at DEBUG
// before the third of October 2025.
func dropsHours(line []byte, now int64, ok bool) bool {
	level, _, _ := bytes.Cut(line, []byte(timingMark))
	if bytes.Contains(level, []byte(" INFO ")) {
		return true
	}
	return ok && now >= time.Date(2025, 8, 20, 0, 0, 0, 0, time.UTC).UnixMilli() &&
		now < time.Date(2025, 10, 3, 0, 0, 0, 0, time.UTC).UnixMilli()
}

// report reads "[mainnet] Block: N, Gas: G, #Txs: T, Execution Time: …".
func (r *replay) report(text []byte) {
	network, rest, ok := bytes.Cut(text[1:], []byte("] Block: "))
	if !ok {
		return
	}
	block, rest, ok := number(rest)
	if !ok {
		return
	}
	r.seen.reports++
	if _, ok := r.reported[string(network)]; !ok && len(r.reported) < 8 {
		r.reported[string(network)] = r.line
	}
	if bytes.Contains(rest, []byte("Execution Error")) {
		r.c.failed[block] = true
	}
	rest, ok = bytes.CutPrefix(rest, []byte(", Gas: "))
	if !ok {
		return
	}
	gas, rest, ok := number(rest)
	if rest, isTxs := bytes.CutPrefix(rest, []byte(", #Txs: ")); ok && isTxs {
		if txs, _, ok := number(rest); ok && txs < 1<<32 {
			r.c.works = append(r.c.works, blockWork{block, Work{Gas: gas, Txs: uint32(txs)}})
		}
	}
}

// cacheFile reads the network out of "/cache_NETWORK_NUMBER.json".
func (r *replay) cacheFile(rest []byte) {
	network, rest, ok := bytes.Cut(rest, []byte("_"))
	if !ok || len(network) == 0 || string(network) == "batch" || bytes.ContainsAny(network, " /\t") {
		return
	}
	if _, _, ok := number(rest); !ok {
		return
	}
	if _, ok := r.cached[string(network)]; !ok && len(r.cached) < 8 {
		r.cached[string(network)] = r.line
	}
}

func (r *replay) finish(in *lines) error {
	if r.seen.timings == 0 {
		return r.noTiming(in)
	}
	networks := r.reported
	if len(networks) == 0 {
		networks = r.cached
	}
	network, err := oneNetwork(in.name, networks)
	if err != nil {
		return err
	}
	r.c.series.Network = network
	if n := r.seen.errors - r.c.series.Left(RPCError); n > 0 {
		r.c.warn("the server could not be reached (%s)", plural(n, "time"))
	}
	return nil
}

// noTiming says what a log without a timing line holds instead.
func (r *replay) noTiming(in *lines) error {
	kinds := []string{}
	for _, k := range []struct {
		n    int
		what string
	}{
		{r.seen.retrieving, "retrieving a block"},
		{r.seen.asking, "asking for a witness"},
		{r.seen.cached, "block read from the cache"},
		{r.seen.reports, "block report"},
		{r.seen.errors, "error"},
	} {
		if k.n > 0 {
			kinds = append(kinds, counted(k.n, k.what))
		}
	}
	if in.torn {
		kinds = append(kinds, counted(1, "line cut off at the end"))
	}
	if len(kinds) == 0 {
		kinds = append(kinds, "none of the lines of one block")
	}
	return fault.Newf(fault.Usage, "%s: no timing line (%q …) in %d lines of an ethrex-replay log; seen: %s",
		in.name, timingMark, in.n, strings.Join(kinds, ", ")).
		Hint("the timing line is logged at debug, and only for blocks that are not in the cache:").
		Hint("NO_COLOR=1 RUST_LOG=ethrex_replay=debug ethrex-replay blocks --endless --rpc-url http://localhost:8545 --cache-level off --cache-dir \"$(mktemp -d)\"")
}

func counted(n int, what string) string { return fmt.Sprintf("%d × %s", n, what) }

// oneNetwork refuses an input of several networks: their block numbers
// overlap, so that a number no longer says which block it is.
func oneNetwork(name string, networks map[string]int) (string, error) {
	first := ""
	for network, line := range networks {
		if first == "" || line < networks[first] {
			first = network
		}
	}
	second := ""
	for network, line := range networks {
		if network != first && (second == "" || line < networks[second]) {
			second = network
		}
	}
	if second == "" {
		return first, nil
	}
	at := networks[second]
	return "", fault.Newf(fault.Usage, "%s:%d: blocks of %s after blocks of %s: one input holds one network", name, at, second, first).
		Hint("head -n %d FILE > %s.txt; tail -n +%d FILE > %s.txt", at-1, first, at, second)
}
