package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/verdict-bench/verdict/internal/compare"
)

// Markdown writes the report in the form of the workflow document's Results
// Template, for a pull request.
func Markdown(w io.Writer, r *Run) error {
	r = cleaned(r)
	d := compose(r)
	var b strings.Builder
	what := "Execution witness benchmark"
	if r.Result.Subject == compare.Proof {
		what = "Proving benchmark"
	}
	fmt.Fprintf(&b, "# %s: %s\n\n%s\n", what, cell(d.Headline), cell(stop(sentence(d.Effect))))
	for _, reason := range d.Reasons {
		fmt.Fprintf(&b, "\n> %s\n", cell(stop(sentence(reason))))
	}
	b.WriteString("\n### Test Session Info\n\n| Field | Value |\n|-------|-------|\n")
	for _, row := range d.Session {
		fmt.Fprintf(&b, "| **%s** | %s |\n", row[0], cell(row[1]))
	}
	if d.Single {
		markdownOfOne(&b, d)
	} else {
		markdownTables(&b, d)
	}
	if len(d.Observations) > 0 {
		b.WriteString("\n### Observations\n\n")
	}
	for _, o := range d.Observations {
		fmt.Fprintf(&b, "- %s\n", cell(o))
	}
	b.WriteString("\n### Conclusion\n\n" + cell(d.Conclusion) + "\n")
	markdownDetails(&b, d)
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownTables writes the two tables of numbers: those of the sides, as the
// Results Template has them, and those of the difference.
func markdownTables(b *strings.Builder, d *Document) {
	title := "Execution Witness Latency Comparison"
	if len(d.Batches) > 0 {
		title = "Summary"
	}
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n| Metric | Baseline | Test | Improvement |\n|--------|---------:|-----:|------------:|\n", title, signOfSides)
	for _, row := range d.Comparison {
		fmt.Fprintf(b, "| **%s** | %s | %s | %s |\n", row[0], row[1], row[2], row[3])
	}
	if len(d.Effects) == 0 {
		return
	}
	b.WriteString("\n### Test against baseline\n\nNegative: the test side is faster.\n\n| Measure | Change | Interval | Level | p | |\n|---------|-------:|---------:|------:|--:|---|\n")
	for _, e := range d.Effects {
		fmt.Fprintf(b, "| **%s** | %s | %s | %s | %s | %s |\n", e.Name, e.Change, e.Interval, e.Level, cell(e.P), e.Note)
	}
}

// markdownDetails writes what is folded away.
func markdownDetails(b *strings.Builder, d *Document) {
	fold := func(summary string, body func()) {
		fmt.Fprintf(b, "\n<details>\n<summary>%s</summary>\n\n", summary)
		body()
		b.WriteString("\n</details>\n")
	}
	if len(d.Batches) > 0 && !d.Single {
		fold("Proving Results", func() { markdownBatches(b, d) })
	}
	if len(d.Left) > 0 {
		fold("Attempts that do not count", func() { markdownLeft(b, d) })
	}
	if len(d.Excluded) > 0 {
		fold("What is not compared, and why", func() {
			b.WriteString("| Reason | Count | First |\n|--------|------:|-------|\n")
			for _, e := range d.Excluded {
				fmt.Fprintf(b, "| %s | %d | %s |\n", cell(e.Reason), e.Count, listed(e))
			}
		})
	}
	fold("Method", func() {
		for _, m := range d.Method {
			fmt.Fprintf(b, "- %s\n", cell(m))
		}
	})
}

// markdownOfOne writes the two tables of numbers of one side, as the Results
// Template has them.
func markdownOfOne(b *strings.Builder, d *Document) {
	b.WriteString("\n### Proving Results\n\n")
	markdownBatches(b, d)
	b.WriteString("\n### Summary\n\n| Metric | Value |\n|--------|------:|\n")
	for _, row := range d.Comparison {
		fmt.Fprintf(b, "| **%s** | %s |\n", row[0], row[1])
	}
}

// markdownBatches writes the table of proofs.
func markdownBatches(b *strings.Builder, d *Document) {
	if !d.Single {
		b.WriteString("| Side | Batch | Time (s) | Time (ms) | Gas Used | Tx Count | Blocks |\n|------|------:|---------:|----------:|---------:|---------:|-------:|\n")
	} else {
		b.WriteString("| Batch | Time (s) | Time (ms) | Gas Used | Tx Count | Blocks |\n|------:|---------:|----------:|---------:|---------:|-------:|\n")
	}
	for _, row := range d.Batches[:min(len(d.Batches), maxBatchRows)] {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	if n := len(d.Batches) - maxBatchRows; n > 0 {
		fmt.Fprintf(b, "\n%d more batches are in the CSV report.\n", n)
	}
}

// markdownLeft writes the attempts that do not count.
func markdownLeft(b *strings.Builder, d *Document) {
	if !d.Single {
		b.WriteString("| Side | Batch | Attempt | Time (s) | Reason |\n|------|------:|--------:|---------:|--------|\n")
	} else {
		b.WriteString("| Batch | Attempt | Time (s) | Reason |\n|------:|--------:|---------:|--------|\n")
	}
	for _, row := range d.Left[:min(len(d.Left), maxBatchRows)] {
		for _, text := range row {
			fmt.Fprintf(b, "| %s ", cell(text))
		}
		b.WriteString("|\n")
	}
	if n := len(d.Left) - maxBatchRows; n > 0 {
		fmt.Fprintf(b, "\n%d more attempts are in the CSV report.\n", n)
	}
}

// markup is what could end a table cell or start markup; program versions and
// error messages come from servers.
var markup = strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", ">", "&gt;", "`", "'", "\n", " ", "\r", " ",
	"[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_")

// cell makes text safe to stand in a table or a paragraph.
func cell(s string) string { return markup.Replace(s) }

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[n:]
}

// stop ends a sentence, unless its words do.
func stop(s string) string {
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".?!") {
		return s
	}
	return s + "."
}
