package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// textWidth is the widest line of the text report.
const textWidth = 80

// Text writes the report for a terminal: 80 columns, no color.
func Text(w io.Writer, r *Run) error {
	d := Compose(r)
	var b strings.Builder
	b.WriteString(hang("VERDICT: ", d.Headline))
	b.WriteString(wrap(d.Effect, "  "))
	for _, reason := range d.Reasons {
		b.WriteString(wrap(reason, "  "))
	}
	b.WriteString("\nTest session\n")
	for _, row := range d.Session {
		b.WriteString(hang(fmt.Sprintf("  %-17s ", row[0]), row[1]))
	}
	b.WriteString("\nExecution witness latency\n")
	fmt.Fprintf(&b, "  %-22s %15s %15s %15s\n", "Metric", "Baseline", "Test", "Improvement")
	for _, row := range d.Comparison {
		fmt.Fprintf(&b, "  %s %s %s %s\n", pad(row[0], -22), pad(row[1], 15), pad(row[2], 15), pad(row[3], 15))
	}
	if len(d.Excluded) > 0 {
		b.WriteString("\nBlocks without a pair\n")
		for _, e := range d.Excluded {
			b.WriteString(hang(fmt.Sprintf("  %6d  ", e.Count), fmt.Sprintf("%s (%s)", e.Reason, listed(e))))
		}
	}
	b.WriteString("\nObservations\n")
	for _, o := range d.Observations {
		b.WriteString(hang("  - ", o))
	}
	b.WriteString("\nConclusion\n")
	b.WriteString(wrap(d.Conclusion, "  "))
	if r.Dir != "" {
		fmt.Fprintf(&b, "\nrun: %s\n", r.Dir)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// pad fills s with blanks to width runes: on the left, or on the right when
// width is negative.
func pad(s string, width int) string {
	n := max(0, max(width, -width)-utf8.RuneCountInString(s))
	if width < 0 {
		return s + strings.Repeat(" ", n)
	}
	return strings.Repeat(" ", n) + s
}

// wrap breaks text into lines that begin with indent.
func wrap(text, indent string) string { return fold(text, indent, indent) }

// hang is wrap with a first line of its own beginning; the others are indented
// as far.
func hang(first, text string) string {
	return fold(text, first, strings.Repeat(" ", utf8.RuneCountInString(first)))
}

func fold(text, first, rest string) string {
	var b strings.Builder
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			b.WriteString(line + "\n")
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}
