package report

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the report in the form of the workflow document's Results
// Template, for a pull request.
func Markdown(w io.Writer, r *Run) error {
	d := Compose(r)
	var b strings.Builder
	fmt.Fprintf(&b, "# Execution witness benchmark: %s\n\n%s.\n", cell(d.Headline), cell(sentence(d.Effect)))
	for _, reason := range d.Reasons {
		fmt.Fprintf(&b, "\n> %s.\n", cell(sentence(reason)))
	}
	b.WriteString("\n### Test Session Info\n\n| Field | Value |\n|-------|-------|\n")
	for _, row := range d.Session {
		fmt.Fprintf(&b, "| **%s** | %s |\n", row[0], cell(row[1]))
	}
	b.WriteString("\n### Execution Witness Latency Comparison\n\n| Metric | Baseline | Test | Improvement |\n|--------|---------:|-----:|------------:|\n")
	for _, row := range d.Comparison {
		fmt.Fprintf(&b, "| **%s** | %s | %s | %s |\n", row[0], row[1], row[2], row[3])
	}
	b.WriteString("\n### Observations\n\n")
	for _, o := range d.Observations {
		fmt.Fprintf(&b, "- %s\n", cell(o))
	}
	b.WriteString("\n### Conclusion\n\n" + cell(d.Conclusion) + "\n")
	if len(d.Excluded) > 0 {
		b.WriteString("\n<details>\n<summary>Blocks without a pair</summary>\n\n| Reason | Blocks | First |\n|--------|-------:|-------|\n")
		for _, e := range d.Excluded {
			fmt.Fprintf(&b, "| %s | %d | %s |\n", cell(e.Reason), e.Count, listed(e))
		}
		b.WriteString("\n</details>\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markup is what could end a table cell or start markup; program versions and
// error messages come from servers.
var markup = strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;", "`", "'", "\n", " ", "\r", " ",
	"[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_")

// cell makes text safe to stand in a table or a paragraph.
func cell(s string) string { return markup.Replace(s) }

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
