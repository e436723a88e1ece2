package intake

import (
	"bytes"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
)

// The cells are numbers, hashes and names, so that a row is split at its
// delimiter and its quotes are trimmed. A reader of full CSV would let one
// stray quote swallow the rest of the file, and its line numbers with it.

// noColumn stands for a column that the table does not have.
const noColumn = -1

// columns says where a table keeps what.
type columns struct {
	delimiter byte
	header    bool
	batches   bool
	// block and duration are always there, the others may be noColumn.
	block, duration                   int
	hash, network, gas, txs, inBlocks int
	// counts and side are those of verdict's own table of attempts.
	counts, side int
	// factor turns the duration's unit into milliseconds, exponent is the unit
	// as a power of ten of nanoseconds.
	factor   float64
	exponent int8
}

// aliases are the names under which columns are known, apart from that of the
// duration.
var aliases = map[string]string{
	"block": "block", "block_number": "block", "blocknumber": "block", "number": "block", "height": "block",
	"batch": "batch", "batch_number": "batch",
	"hash": "hash", "block_hash": "hash", "blockhash": "hash",
	"network": "network", "chain": "network",
	"gas": "gas", "gas_used": "gas",
	"txs": "txs", "tx_count": "txs", "transactions": "txs",
	"blocks": "blocks", "batch_size": "blocks",
	"counts": "counts", "side": "side",
}

// tableUnits are the units that the name of a duration column may end with.
var tableUnits = map[string]struct {
	factor   float64
	exponent int8
}{
	"ms": {1, 6}, "milliseconds": {1, 6},
	"s": {1e3, 9}, "sec": {1e3, 9}, "seconds": {1e3, 9},
	"us": {1e-3, 3}, "microseconds": {1e-3, 3},
	"ns": {1e-6, 0}, "nanoseconds": {1e-6, 0},
}

// stems are the names of duration columns without their unit, the clearest
// first.
var stems = []string{"", "latency", "total", "duration", "time", "elapsed", "proving_time"}

// splitRow splits a line into trimmed cells, reusing into.
func splitRow(line []byte, delimiter byte, into [][]byte) [][]byte {
	into = into[:0]
	for {
		i := bytes.IndexByte(line, delimiter)
		if i < 0 {
			return append(into, bytes.Trim(line, " \t\r\n\""))
		}
		into = append(into, bytes.Trim(line[:i], " \t\r\n\""))
		line = line[i+1:]
	}
}

// delimiterOf is the delimiter of a line, 0 when it has none.
func delimiterOf(line []byte) byte {
	for _, d := range []byte{',', ';', '\t'} {
		if bytes.IndexByte(line, d) >= 0 {
			return d
		}
	}
	return 0
}

// isData reports whether a line of a table says something.
func isData(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 0 && line[0] != '#'
}

// columnName brings a name into one form: "Time (ms)" is "time_ms".
func columnName(cell []byte) string {
	words := strings.FieldsFunc(strings.ToLower(string(cell)), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "_")
}

// splitUnit splits the name of a duration column into stem and unit.
func splitUnit(name string) (stem, unit string, ok bool) {
	stem, unit = "", name
	if i := strings.LastIndexByte(name, '_'); i >= 0 {
		stem, unit = name[:i], name[i+1:]
	}
	_, ok = tableUnits[unit]
	return stem, unit, ok
}

// looksLikeCSV reports whether the first row of a text is that of a table:
// numbers, or a header with a known name.
func looksLikeCSV(sample []byte) bool {
	for line := range bytes.Lines(sample) {
		if !isData(line) {
			continue
		}
		delimiter := delimiterOf(line)
		if delimiter == 0 {
			return false
		}
		row := splitRow(line, delimiter, nil)
		if isNumeric(row) {
			return true
		}
		for _, cell := range row {
			name := columnName(cell)
			stem, _, ok := splitUnit(name)
			if ok && slices.Contains(stems, stem) || aliases[name] != "" {
				return true
			}
		}
		return false
	}
	return false
}

// isNumeric reports whether a row begins with a block number and a duration.
func isNumeric(row [][]byte) bool {
	if len(row) < 2 {
		return false
	}
	_, rest, ok := number(row[0])
	_, err := strconv.ParseFloat(string(row[1]), 64)
	return ok && len(rest) == 0 && err == nil
}

// columnsOf reads the first row. Without a header the table must be the one
// that the documentation names.
func columnsOf(name string, line []byte) (columns, error) {
	return columnsIn(name, line, delimiterOf(line))
}

// columnsIn is columnsOf for a row with a known delimiter.
func columnsIn(name string, line []byte, delimiter byte) (columns, error) {
	c := columns{
		delimiter: delimiter, duration: 1, factor: 1, exponent: 6,
		hash: noColumn, network: noColumn, gas: noColumn, txs: noColumn, inBlocks: noColumn, counts: noColumn, side: noColumn,
	}
	row := splitRow(line, c.delimiter, nil)
	if isNumeric(row) {
		if len(row) > 2 {
			return c, fault.Newf(fault.Usage, "%s: %d columns and no header that says which is which", name, len(row)).
				Hint("add a first line such as block,ms,gas,txs")
		}
		return c, nil
	}
	c.header = true
	c.block = noColumn
	names := make([]string, len(row))
	for i, cell := range row {
		names[i] = columnName(cell)
		c.name(names[i], i)
	}
	if c.block == noColumn {
		return c, fault.Newf(fault.Usage, "%s: no block column among %s", name, strings.Join(names, ", ")).
			Hint("name the column of the block numbers block, and that of the batch numbers batch")
	}
	return c, c.chooseDuration(name, names)
}

// name notes the column at i if its name is known.
func (c *columns) name(name string, i int) {
	to, ok := map[string]*int{
		"block": &c.block, "batch": &c.block, "hash": &c.hash, "network": &c.network,
		"gas": &c.gas, "txs": &c.txs, "blocks": &c.inBlocks,
		"counts": &c.counts, "side": &c.side,
	}[aliases[name]]
	if !ok || *to != noColumn {
		return
	}
	*to = i
	c.batches = c.batches || aliases[name] == "batch"
}

// chooseDuration takes the column with the clearest name, and of several units
// of the same the finest.
func (c *columns) chooseDuration(name string, names []string) error {
	c.duration = noColumn
	best := len(stems) + 1
	var unclear []string
	for i, column := range names {
		stem, unit, ok := splitUnit(column)
		if !ok {
			continue
		}
		rank := slices.Index(stems, stem)
		if rank < 0 {
			rank = len(stems)
			unclear = append(unclear, column)
		}
		u := tableUnits[unit]
		if rank < best || rank == best && u.exponent < c.exponent {
			c.duration, c.factor, c.exponent, best = i, u.factor, u.exponent, rank
		}
	}
	switch {
	case c.duration == noColumn:
		return fault.Newf(fault.Usage, "%s: no duration column among %s", name, strings.Join(names, ", ")).
			Hint("name the column after its unit: ms, s, us or ns, or latency_ms and the like")
	case best == len(stems) && len(unclear) > 1:
		return fault.Newf(fault.Usage, "%s: several duration columns: %s", name, strings.Join(unclear, ", ")).
			Hint("name the one to compare latency_ms")
	}
	return nil
}

// table is the state of reading one.
type table struct {
	columns
	c        *collector
	networks map[string]int
	// first is the side of the first row that names one.
	first string
	row   [][]byte
}

func readCSV(c *collector, in *lines) error {
	var t *table
	for {
		line, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if !isData(line) {
			continue
		}
		if t == nil {
			cols, err := columnsOf(in.name, line)
			if err != nil {
				return err
			}
			t = &table{columns: cols, c: c, networks: make(map[string]int)}
			c.series.Batches = cols.batches
			if cols.header {
				continue
			}
		}
		if err := t.oneSide(line, in); err != nil {
			return err
		}
		t.read(line, in.n)
	}
	if t == nil {
		return nil // only a torn line
	}
	network, err := oneNetwork(in.name, t.networks)
	c.series.Network = network
	return err
}

// cell is that of column i, nil when the row has none.
func (t *table) cell(i int) []byte {
	if i < 0 || i >= len(t.row) {
		return nil
	}
	return t.row[i]
}

// oneSide refuses a table of both sides: their numbers are the same, and the
// values of one of them would pass for those of the other.
func (t *table) oneSide(line []byte, in *lines) error {
	if t.side == noColumn {
		return nil
	}
	t.row = splitRow(line, t.delimiter, t.row)
	side := string(t.cell(t.side))
	if t.first == "" {
		t.first = side
	}
	if side == t.first {
		return nil
	}
	return fault.Newf(fault.Usage, "%s holds both sides (line %d is of %q, the first is of %q): give each side its own input", in.name, in.n, abridge([]byte(side)), t.first).
		Hint("name the run that it was made of: RUN:baseline and RUN:test are its sides")
}

func (t *table) read(line []byte, at int) {
	t.row = splitRow(line, t.delimiter, t.row)
	block, rest, ok := number(t.cell(t.block))
	if !ok || len(rest) > 0 {
		t.c.exclude(BadBlock, at, 0)
		return
	}
	if string(t.cell(t.counts)) == "false" {
		t.c.exclude(Uncounted, at, block)
		return
	}
	text := t.cell(t.duration)
	if len(text) == 0 || string(text) == "-" {
		t.c.exclude(NoLatency, at, block)
		return
	}
	x, digits, ok := decimal(text)
	if !ok {
		t.c.exclude(BadDuration, at, block)
		return
	}
	if network := t.cell(t.network); len(network) > 0 && len(t.networks) < 8 {
		if _, ok := t.networks[string(network)]; !ok {
			t.networks[string(network)] = at
		}
	}
	v := Value{Block: block, MS: x * t.factor, Line: uint32(at), Exponent: t.exponent - digits}
	t.work(block)
	if t.hash == noColumn {
		t.c.add(v)
		return
	}
	h, ok := parseHash(t.cell(t.hash))
	if !ok {
		t.c.exclude(BadBlock, at, block)
		return
	}
	t.c.addHashed(v, h)
}

// work notes gas, transactions and blocks of the row.
func (t *table) work(block uint64) {
	if t.gas == noColumn && t.txs == noColumn && t.inBlocks == noColumn {
		return
	}
	gas, _, _ := number(t.cell(t.gas))
	txs, _, _ := number(t.cell(t.txs))
	blocks, _, _ := number(t.cell(t.inBlocks))
	w := Work{Gas: gas, Txs: uint32(min(txs, 1<<32-1)), Blocks: uint32(min(blocks, 1<<32-1))}
	t.c.works = append(t.c.works, blockWork{block, w})
}

// decimal reads a number and counts the decimal places that it shows. NaN and
// infinities are numbers here, and are refused as durations.
func decimal(text []byte) (x float64, places int8, ok bool) {
	if whole, rest, ok := number(text); ok && len(rest) == 0 {
		return float64(whole), 0, true
	}
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, 0, false
	}
	mantissa, power, _ := bytes.Cut(bytes.ToLower(text), []byte("e"))
	_, fraction, _ := bytes.Cut(mantissa, []byte("."))
	shown := len(fraction)
	if e, err := strconv.Atoi(string(power)); err == nil {
		shown -= e
	}
	return x, int8(max(-maxFraction, min(maxFraction, shown))), true
}

// parseHash reads a block hash, with or without 0x.
func parseHash(text []byte) (h Hash, ok bool) {
	text = bytes.TrimPrefix(text, []byte("0x"))
	if len(text) != 2*len(h) {
		return h, false
	}
	_, err := hex.Decode(h[:], text)
	return h, err == nil
}
