package prover

import (
	"fmt"
	"time"
)

// human writes a duration as Rust's {:.2?} does: in the largest of s, ms, µs and
// ns that it reaches, never in minutes, with two digits, ties to even.
func human(d time.Duration) string {
	unit, name := time.Nanosecond, "ns"
	switch {
	case d >= time.Second:
		unit, name = time.Second, "s"
	case d >= time.Millisecond:
		unit, name = time.Millisecond, "ms"
	case d >= time.Microsecond:
		unit, name = time.Microsecond, "µs"
	}
	whole, rest := d/unit, d%unit*100
	hundredths, rest := rest/unit, rest%unit
	if 2*rest > unit || 2*rest == unit && hundredths%2 == 1 {
		hundredths++
	}
	return fmt.Sprintf("%d.%02d%s", whole+hundredths/100, hundredths%100, name)
}
