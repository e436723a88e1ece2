package proverlog

import "bytes"

// Finest is the event of a line, which Parse gives the exact milliseconds of,
// with the rounded duration where that is finer: below a second it has two digits
// behind the unit. For short proofs a millisecond is more than the noise.
func Finest(line []byte) (Event, bool) {
	e, ok := Parse(line)
	if !ok || !e.Timed {
		return e, ok
	}
	plain := AppendPlain(nil, line)
	_, text, found := bytes.Cut(plain, []byte(" in "))
	if ns, precision, read := duration(text); found && read && precision < e.PrecisionNS {
		e.ProvingNS, e.PrecisionNS = ns, precision
	}
	return e, true
}
