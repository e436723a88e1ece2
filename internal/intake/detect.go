package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/verdict-bench/verdict/internal/fault"
)

// input is an opened input with what detection may look at.
type input struct {
	name   string
	sample []byte
	lines  *lines
}

// open undoes compression and refuses what is no text at all.
func open(name string, r io.Reader) (*input, error) {
	text, err := plainReader(name, r)
	if err != nil {
		return nil, err
	}
	sample, err := text.Peek(maxLine)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	switch {
	case len(sample) == 0:
		return nil, fault.Newf(fault.Usage, "%s is empty", name)
	case bytes.HasPrefix(sample, []byte{0xff, 0xfe}), bytes.HasPrefix(sample, []byte{0xfe, 0xff}):
		return nil, fault.Newf(fault.Usage, "%s is UTF-16 text", name).Hint("iconv -f UTF-16 -t UTF-8 FILE > FILE.utf8")
	case bytes.IndexByte(sample, 0) >= 0:
		return nil, fault.Newf(fault.Usage, "%s is binary (a zero byte at offset %d)", name, bytes.IndexByte(sample, 0))
	}
	if bom := []byte("\ufeff"); bytes.HasPrefix(sample, bom) {
		sample = sample[len(bom):]
		if _, err := text.Discard(len(bom)); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return &input{name: name, sample: sample, lines: &lines{name: name, r: text}}, nil
}

// marks are texts that only one kind of log has. None has an escape sequence
// inside, so that they are found in colored logs too.
var marks = [...]struct {
	text string
	kind Kind
}{
	{timingMark, ReplayLog},
	{"ethrex_replay::", ReplayLog},
	{"ethrex_replay:", ReplayLog},
	{"Proved batch ", ProverLog},
	{"Proved payload #", ProverLog},
	{"Prover started for ", ProverLog},
	{"Received Response for batch_number: ", ProverLog},
	{"Received payload #", ProverLog},
}

// detect finds the kind of the input: by the first line that is peculiar to a
// log, else by the first line of a table.
func (in *input) detect() (Kind, error) {
	kind, first := Kind(""), len(in.sample)
	for _, m := range marks {
		if i := bytes.Index(in.sample, []byte(m.text)); i >= 0 && i < first {
			kind, first = m.kind, i
		}
	}
	switch {
	case kind != "":
		return kind, nil
	case hasBenchmarks(in.sample):
		return Benchfmt, nil
	case hasBatchTable(in.sample):
		return Markdown, nil
	case looksLikeCSV(in.sample):
		return CSV, nil
	}
	return "", in.unknown()
}

// hasBenchmarks looks for a line of a benchmark: its name, iterations, a value
// and a unit.
func hasBenchmarks(sample []byte) bool {
	for line := range bytes.Lines(sample) {
		if !starts(line, "Benchmark") {
			continue
		}
		fields := bytes.Fields(line)
		if len(fields) < 4 {
			continue
		}
		if _, rest, ok := number(fields[1]); ok && len(rest) == 0 {
			return true
		}
	}
	return false
}

// unknown says what an input of no known kind seems to be.
func (in *input) unknown() error {
	first := firstLine(in.sample)
	err := fault.Newf(fault.Usage, "%s is none of the known inputs (%s, %s, %s, %s, %s); it begins with %q",
		in.name, ReplayLog, ProverLog, CSV, Markdown, Benchfmt, abridge(first))
	switch {
	case len(first) == 0:
		return fault.Newf(fault.Usage, "%s holds only blank lines", in.name)
	case !utf8.Valid(trimRune(in.sample)):
		return fault.Newf(fault.Usage, "%s is binary: neither UTF-8 text nor gzip", in.name)
	case first[0] == '{' || first[0] == '[':
		return err.Hint("this looks like JSON; name a run by its directory, not by a file in it")
	case bytes.Contains(in.sample, []byte(batchGas+"{")) || starts(first, "# HELP "):
		return err.Hint("this looks like a metrics page, which stands beside a prover log and not in place of it")
	case starts(first, "goos: ") || starts(first, "pkg: ") || starts(first, "Benchmark"):
		return err.Hint("this looks like the output of go test, without one benchmark result")
	}
	return err.Hint("a CSV file has the columns block,ms, with or without this header")
}

// firstLine is the first line that is not blank.
func firstLine(sample []byte) []byte {
	line, _, _ := bytes.Cut(bytes.TrimSpace(sample), []byte("\n"))
	return bytes.TrimSpace(line)
}

// abridge cuts a line for a message.
func abridge(line []byte) string {
	const most = 60
	if len(line) <= most {
		return string(line)
	}
	return string(trimRune(line[:most])) + "…"
}

// trimRune removes a rune that was cut in two at the end of b.
func trimRune(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
