package intake

import (
	"bytes"
	"strconv"
)

// duration is one printed duration.
type duration struct {
	ms float64
	// exponent is the resolution as a power of ten of nanoseconds.
	exponent int8
	// groups counts the numbers with a unit, 2 in "01m 02s".
	groups   int
	hours    bool
	negative bool
}

// unit is a unit of time: its size in nanoseconds and how many of it make up
// the next larger one that logs print.
type unit struct {
	name     string
	ns       float64
	exponent int8
	below    uint64
}

// units stand from the largest to the smallest, and in a duration too. The
// microsecond has two code points that look alike, and a form in ASCII.
var units = [...]unit{
	{"h", 3600e9, -1, 0},
	{"m", 60e9, -1, 60},
	{"s", 1e9, 9, 60},
	{"ms", 1e6, 6, 1000},
	{"\u00b5s", 1e3, 3, 1000},
	{"\u03bcs", 1e3, 3, 1000},
	{"us", 1e3, 3, 1000},
	{"ns", 1, 0, 1000},
}

// scanDuration reads the duration that begins b and returns what follows it.
// It takes the forms of the replay, "01h 01m 02s 345ms", "01m 02s" and "00s
// 131ms", and those of Rust's debug output, "131.52ms", "1.2s", "512.4µs".
//
// Beyond that it is strict, because half a duration is one too: a duration
// that ends in minutes or hours, a padded number that stands alone ("01s") and
// units out of order are what lines look like that were cut off.
func scanDuration(b []byte) (d duration, rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		d.negative = true
		b = b[1:]
	}
	from := 0
	var ns float64
	for {
		g, rest, ok := scanGroup(b)
		if !ok {
			return d, nil, false
		}
		u := units[g.unit]
		switch {
		case g.unit < from:
			return d, nil, false
		case d.groups > 0 && g.whole >= u.below:
			return d, nil, false
		case g.digits > 0 && u.exponent < 0:
			return d, nil, false
		}
		ns += g.value * u.ns
		d.groups++
		d.hours = d.hours || g.unit == 0
		d.exponent = u.exponent - g.digits
		from = g.unit + 1
		b = rest
		next := bytes.TrimLeft(b, " ")
		if len(next) == 0 || next[0] < '0' || next[0] > '9' {
			padded := d.groups == 1 && g.padded
			return d.scaled(ns), b, u.exponent >= 0 && !padded
		}
		if g.digits > 0 { // only the last group may have a fraction
			return d, nil, false
		}
		b = next
	}
}

func (d duration) scaled(ns float64) duration {
	d.ms = ns / 1e6
	if d.negative {
		d.ms = -d.ms
	}
	return d
}

// group is one number with its unit.
type group struct {
	value float64
	whole uint64
	// digits counts those of the fraction.
	digits int8
	unit   int
	padded bool
}

func scanGroup(b []byte) (g group, rest []byte, ok bool) {
	whole, after, ok := number(b)
	if !ok {
		return g, nil, false
	}
	var err error
	g.whole, g.value = whole, float64(whole)
	g.padded = len(b)-len(after) > 1 && b[0] == '0'
	if len(after) > 0 && after[0] == '.' {
		_, end, ok := number(after[1:])
		digits := len(after) - len(end) - 1
		if !ok || digits > maxFraction {
			return g, nil, false
		}
		g.digits = int8(digits)
		if g.value, err = strconv.ParseFloat(string(b[:len(b)-len(end)]), 64); err != nil {
			return g, nil, false
		}
		after = end
	}
	b = after
	b = bytes.TrimLeft(b, " ")
	name := b[:unitLength(b)]
	for i, u := range units {
		if string(name) == u.name {
			g.unit = i
			return g, b[len(name):], true
		}
	}
	return g, nil, false
}

// maxFraction is the most digits that a fraction may have; Rust prints up to
// nine.
const maxFraction = 12

// unitLength counts the bytes that begin b and belong to a unit: ASCII letters
// and the bytes of other runes.
func unitLength(b []byte) int {
	for i, c := range b {
		if c < 0x80 && (c|0x20 < 'a' || c|0x20 > 'z') {
			return i
		}
	}
	return len(b)
}
