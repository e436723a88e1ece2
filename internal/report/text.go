package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/verdict-bench/verdict/internal/compare"
)

// textWidth is the widest line of the text report.
const textWidth = 80

// Text writes the report for a terminal: 80 columns, no color.
func Text(w io.Writer, r *Run) error {
	r = cleaned(r)
	d := compose(r)
	var b strings.Builder
	if d.Single {
		return textOfOne(w, r, d)
	}
	b.WriteString(hang("VERDICT: ", d.Headline))
	b.WriteString(wrap(d.Effect, "  "))
	for _, reason := range d.Reasons {
		b.WriteString(wrap(reason, "  "))
	}
	writeEffects(&b, d.Effects)
	b.WriteString("\n" + d.Title + "\n")
	fmt.Fprintf(&b, "  %-22s %19s %19s %12s\n", "Metric", "Baseline", "Test", "Improvement")
	for _, row := range d.Comparison {
		fmt.Fprintf(&b, "  %s %s %s %s\n", pad(row[0], -22), pad(row[1], 19), pad(row[2], 19), pad(row[3], 12))
	}
	b.WriteString(wrap(signOfSides, "  "))
	writeContext(&b, r, d, "Not compared")
	writeBatches(&b, d)
	return writeEnd(w, &b, r)
}

// textOfOne writes the report of one side, which has no verdict.
func textOfOne(w io.Writer, r *Run, d *Document) error {
	var b strings.Builder
	head := "PROVED: "
	if r.Result.Verdict.Outcome == compare.Invalid {
		head = "VERDICT: "
	}
	b.WriteString(hang(head, d.Headline))
	b.WriteString(wrap(d.Effect, "  "))
	for _, reason := range d.Reasons {
		b.WriteString(wrap(reason, "  "))
	}
	writeBatches(&b, d)
	b.WriteString("\nSummary\n")
	for _, row := range d.Comparison {
		b.WriteString(hang(fmt.Sprintf("  %s  ", pad(row[0], -22)), row[1]))
	}
	writeContext(&b, r, d, "Not counted")
	return writeEnd(w, &b, r)
}

// writeContext writes what stands around the numbers; left is the title of what
// is left out.
func writeContext(b *strings.Builder, r *Run, d *Document, left string) {
	b.WriteString("\nTest session\n")
	for _, row := range d.Session {
		if row[1] != dash { // what imported files do not say
			b.WriteString(hang(fmt.Sprintf("  %-17s ", row[0]), row[1]))
		}
	}
	if len(d.Excluded) > 0 {
		b.WriteString("\n" + left + "\n")
		for _, e := range d.Excluded {
			reason := e.Reason
			if which := listed(e); which != "" {
				reason += " (" + which + ")"
			}
			b.WriteString(hang(fmt.Sprintf("  %6d  ", e.Count), reason))
		}
	}
	if len(d.Observations) > 0 {
		b.WriteString("\nObservations\n")
	}
	for _, o := range d.Observations {
		b.WriteString(hang("  - ", o))
	}
	b.WriteString("\nConclusion\n")
	b.WriteString(wrap(d.Conclusion, "  "))
}

// writeEnd ends the report with the place of the run.
func writeEnd(w io.Writer, b *strings.Builder, r *Run) error {
	if r.Dir != "" {
		fmt.Fprintf(b, "\nrun: %s\n", r.Dir)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeEffects writes the table of the difference.
func writeEffects(b *strings.Builder, effects []Measure) {
	if len(effects) == 0 {
		return
	}
	b.WriteString("\nTest against baseline (negative: test is faster)\n")
	fmt.Fprintf(b, "  %-19s %10s %22s %6s %8s\n", "Measure", "Change", "Interval", "Level", "p")
	for _, e := range effects {
		line := fmt.Sprintf("  %s %s %s %s %s %s", pad(e.Name, -19), pad(e.Change, 10), pad(e.Interval, 22), pad(e.Level, 6), pad(e.P, 8), e.Note)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// writeBatches writes the table of proofs.
func writeBatches(b *strings.Builder, d *Document) {
	rows := d.Batches
	if len(rows) == 0 {
		return
	}
	line := func(cells ...string) {
		if !d.Single {
			fmt.Fprintf(b, "  %-8s", cells[0])
			cells = cells[1:]
		}
		fmt.Fprintf(b, " %8s %10s %10s %14s %8s %8s\n", cells[0], cells[1], cells[2], cells[3], cells[4], cells[5])
	}
	head := []string{"Side", "Batch", "Time (s)", "Time (ms)", "Gas Used", "Tx Count", "Blocks"}
	title := "Proofs"
	if d.Single {
		head, title = head[1:], "Proving results"
	}
	b.WriteString("\n" + title + "\n")
	line(head...)
	for i, r := range rows {
		if i == maxBatchRows {
			fmt.Fprintf(b, "  … %d more: --format csv has them all\n", len(rows)-i)
			break
		}
		line(r...)
	}
}

// maxBatchRows keeps the text and Markdown reports readable.
const maxBatchRows = 200

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
