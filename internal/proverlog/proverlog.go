// Package proverlog reads the log of a prover line by line, in every form that
// provers have given their lines: with batches as before and with payloads as
// now, those of the fork, timed and not, with and without colors and targets.
//
// Parse knows single lines; Attempts makes attempts at batches out of them. The
// package knows nothing of files and clocks.
package proverlog

import (
	"bytes"
	"math"
	"time"
)

// Kind says what a line tells.
type Kind uint8

// The kinds of lines.
const (
	// Started: the process begins to ask for batches.
	Started Kind = iota + 1
	// Received: a batch was handed out; an attempt at it begins.
	Received
	// Proved: the batch is proved; how long that took is in the event.
	Proved
	// Acknowledged: the coordinator took the proof of the batch.
	Acknowledged
	// SubmitFailed: the proof did not arrive, or nothing acknowledged it.
	SubmitFailed
	// VersionMismatch: the next batch is of another commit than the prover.
	VersionMismatch
	// NotNeeded: the deployment does not want proofs of the prover's type.
	NotNeeded
	// Unreachable: the coordinator did not answer the request for a batch.
	Unreachable
	// ExecutesOnly: the backend makes no proof.
	ExecutesOnly
	// Failed: any other line of level ERROR; a proof in work came to nothing.
	Failed
)

// Event is what one line tells.
type Event struct {
	Kind Kind
	// At is the time stamp of the line (UTC), zero where it has none.
	At time.Time
	// Batch is the number of Received, Proved and Acknowledged. Unnumbered says
	// that a line of Proved has none that can be read.
	Batch      uint64
	Unnumbered bool
	// Timed says that a line of Proved tells how long proving took, ProvingNS,
	// known to PrecisionNS, both in nanoseconds; Garbled, that it tells it in a
	// form that cannot be read, as a line does that was cut off.
	Timed, Garbled         bool
	ProvingNS, PrecisionNS int64
	// Message is the text of the line behind time stamp and level; it is set
	// for the kinds from SubmitFailed on.
	Message string
}

// mark is a text that tells the kind of the line that holds it.
type mark struct {
	text string
	kind Kind
}

// numbered are the marks that a batch number follows.
var numbered = [...]mark{
	{"Proved batch ", Proved},
	{"Proved payload #", Proved},
	{"Received Response for batch_number: ", Received},
	{"Received payload #", Received},
	{"Received submit ack for batch_number: ", Acknowledged},
	{"Proof for payload #", Acknowledged},
}

// unnumbered are the other marks.
var unnumbered = [...]mark{
	{"Prover started for ", Started},
	{"Failed to submit proof", SubmitFailed},
	{"Version mismatch: ", VersionMismatch},
	{"Proof coordinator does not need ", NotNeeded},
	{"Failed to request new data", Unreachable},
	{`"exec" prover backend`, ExecutesOnly},
}

// Parse reads one line, with or without its line end. It is false for a line
// that tells nothing about proofs. The event keeps nothing of line.
func Parse(line []byte) (Event, bool) {
	line = bytes.TrimRight(line, "\r\n")
	if Colored(line) {
		line = AppendPlain(nil, line)
	}
	for _, m := range numbered {
		if i := bytes.Index(line, []byte(m.text)); i >= 0 {
			return parseNumbered(m.kind, line, line[i+len(m.text):])
		}
	}
	at, level, message := Split(line)
	for _, m := range unnumbered {
		if bytes.Contains(message, []byte(m.text)) {
			e := Event{Kind: m.kind, At: at}
			if m.kind != Started {
				e.Message = string(message)
			}
			return e, true
		}
	}
	if level == "ERROR" {
		return Event{Kind: Failed, At: at, Message: string(message)}, true
	}
	return Event{}, false
}

// parseNumbered reads what follows a mark with a batch number.
func parseNumbered(kind Kind, line, rest []byte) (Event, bool) {
	e := Event{Kind: kind}
	var ok bool
	e.Batch, rest, ok = number(rest)
	if !ok && kind != Proved {
		return Event{}, false
	}
	e.At, _, _ = Split(line)
	if !ok {
		e.Unnumbered = true
		return e, true
	}
	if text, ok := bytes.CutPrefix(rest, []byte(" in ")); ok && kind == Proved {
		e.time(text)
	}
	return e, true
}

// time reads "12.34s (program: evm-l2, elf) batch=3 proving_time_s=12
// proving_time_ms=12340". The fields are exact and the duration is rounded, so
// that it counts only where the milliseconds are zero.
func (e *Event) time(text []byte) {
	var ok bool
	if e.ProvingNS, e.PrecisionNS, ok = duration(text); !ok {
		e.Garbled = true
		return
	}
	e.Timed = true
	if ms, ok := field(text, " proving_time_ms="); ok && ms > 0 {
		e.ProvingNS = int64(min(ms, math.MaxInt64/uint64(time.Millisecond))) * int64(time.Millisecond)
		e.PrecisionNS = int64(time.Millisecond)
	}
}

// Split takes a line without control sequences apart, as the provers and the
// sequencers write them: "2026-02-20T14:03:02.138401Z  INFO message", where the
// message may begin with a target ("ethrex_prover_lib::prover: "). What is not
// there is zero.
func Split(line []byte) (at time.Time, level string, message []byte) {
	first, rest, _ := bytes.Cut(line, []byte(" "))
	if len(first) == 0 || first[0] < '0' || first[0] > '9' {
		rest = line
	} else if t, err := time.Parse(time.RFC3339Nano, string(first)); err != nil {
		rest = line
	} else {
		at = t.UTC()
	}
	rest = bytes.TrimLeft(rest, " ")
	for _, l := range [...]string{"ERROR", "WARN", "INFO", "DEBUG", "TRACE"} {
		if text, ok := bytes.CutPrefix(rest, []byte(l+" ")); ok {
			return at, l, bytes.TrimSpace(text)
		}
	}
	return at, "", bytes.TrimSpace(rest)
}

// field reads the number of a field, whose name includes the blank before it
// and the equals sign behind it.
func field(text []byte, name string) (uint64, bool) {
	i := bytes.Index(text, []byte(name))
	if i < 0 {
		return 0, false
	}
	n, rest, ok := number(text[i+len(name):])
	return n, ok && (len(rest) == 0 || rest[0] == ' ')
}

// units are those of a printed duration, in nanoseconds. It never has minutes:
// 754.32s. The microsecond has two code points that look alike, and a form in
// ASCII.
var units = [...]struct {
	name string
	ns   int64
}{
	{"s", 1e9}, {"ms", 1e6}, {"\u00b5s", 1e3}, {"\u03bcs", 1e3}, {"us", 1e3}, {"ns", 1},
}

// duration reads the duration that begins text: one number, perhaps with a
// fraction, and its unit. What is too long for an int64 is the longest one.
func duration(text []byte) (ns, precision int64, ok bool) {
	whole, rest, ok := number(text)
	if !ok || len(text)-len(rest) > 1 && text[0] == '0' { // "01s" is what is left of "00s 101ms"
		return 0, 0, false
	}
	var fraction []byte
	if len(rest) > 0 && rest[0] == '.' {
		end := 1
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		fraction, rest = rest[1:end], rest[end:]
		if len(fraction) == 0 {
			return 0, 0, false
		}
	}
	unit := unitOf(rest)
	if unit == 0 {
		return 0, 0, false
	}
	if whole >= uint64(math.MaxInt64/unit) {
		return math.MaxInt64, unit, true
	}
	ns, precision = int64(whole)*unit, unit
	for _, digit := range fraction {
		if precision == 1 {
			break // below a nanosecond
		}
		precision /= 10
		ns += int64(digit-'0') * precision
	}
	return ns, precision, true
}

// unitOf is the size of the unit that begins text, 0 for none. Letters and the
// bytes of other runes are taken whole, so that "min" is not a unit of its own.
func unitOf(text []byte) int64 {
	end := 0
	for end < len(text) && (text[end] >= 0x80 || text[end]|0x20 >= 'a' && text[end]|0x20 <= 'z') {
		end++
	}
	for _, u := range units {
		if string(text[:end]) == u.name {
			return u.ns
		}
	}
	return 0
}

// number reads the digits that begin text and returns what follows them.
func number(text []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
		digit := uint64(text[i] - '0')
		if n > (math.MaxUint64-digit)/10 {
			return 0, nil, false
		}
		n = n*10 + digit
	}
	return n, text[i:], i > 0
}

const escape = 0x1b

// Colored reports whether line has terminal control sequences.
func Colored(line []byte) bool { return bytes.IndexByte(line, escape) >= 0 }

// AppendPlain appends line without its terminal control sequences: ESC, "[",
// parameters and a final byte from "@" to "~".
func AppendPlain(to, line []byte) []byte {
	for {
		i := bytes.IndexByte(line, escape)
		if i < 0 {
			return append(to, line...)
		}
		to = append(to, line[:i]...)
		if line = line[i+1:]; len(line) == 0 || line[0] != '[' {
			continue
		}
		end := bytes.IndexFunc(line[1:], func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			return to
		}
		line = line[end+2:]
	}
}
