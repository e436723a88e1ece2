package intake

import (
	"bytes"
	"io"
	"slices"

	"github.com/verdict-bench/verdict/internal/fault"
)

// A results file that was written by hand or by a script is Markdown: prose, a
// table of the batches, and a summary, which is another table. The first table
// with a column of batches is read, by the rules of every other table, and
// nothing else.

// bar is the delimiter of a Markdown table.
const bar = '|'

// unknownRows is the warning beside any such table.
const unknownRows = "a table of results does not tell which proof was the first of its process, which attempts failed and which were repeated: all its rows count"

// barRow is the inside of a row of a Markdown table, false for any other line.
func barRow(line []byte) ([]byte, bool) {
	line = bytes.TrimSpace(line)
	if len(line) < 2 || line[0] != bar {
		return nil, false
	}
	return bytes.TrimSuffix(line[1:], []byte{bar}), true
}

// isRule reports whether the inside of a row is the line below the header.
func isRule(row []byte) bool { return len(bytes.Trim(row, "-:| \t")) == 0 }

// isBatchHeader reports whether the inside of a row names batches and a
// duration. A table of two sides holds every number twice and is no series.
func isBatchHeader(row []byte) bool {
	batches, duration := false, false
	for _, cell := range splitRow(row, bar, nil) {
		name := columnName(cell)
		stem, _, ok := splitUnit(name)
		if name == "side" {
			return false
		}
		batches = batches || aliases[name] == "batch"
		duration = duration || ok && slices.Contains(stems, stem)
	}
	return batches && duration
}

// hasBatchTable looks for a Markdown table of batches.
func hasBatchTable(sample []byte) bool {
	for line := range bytes.Lines(sample) {
		if row, ok := barRow(line); ok && isBatchHeader(row) {
			return true
		}
	}
	return false
}

// readMarkdown reads the table of batches and passes everything else over.
func readMarkdown(c *collector, in *lines) error {
	var t *table
	ended := false
	for {
		line, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		row, ok := barRow(line)
		switch {
		case t == nil && ok && isBatchHeader(row):
			cols, err := columnsIn(in.name, row, bar)
			if err != nil {
				return err
			}
			t = &table{columns: cols, c: c, networks: make(map[string]int)}
			c.series.Batches = true
		case t == nil || ended:
		case !ok:
			ended = true
		case !isRule(row):
			t.read(row, in.n)
		}
	}
	if t == nil {
		return fault.Newf(fault.Usage, "%s: the header of its table is cut off", in.name)
	}
	c.warn("%s", unknownRows)
	return nil
}
