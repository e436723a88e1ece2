package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/inspect"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/sample"
)

// doctorJSON is the output of verdict doctor --json.
type doctorJSON struct {
	V int `json:"v"`
	// Summary counts the findings of each level.
	Summary  map[doctor.Level]int `json:"summary"`
	Findings []doctor.Finding     `json:"findings"`
	Hosts    []doctorHostJSON     `json:"hosts"`
}

// doctorHostJSON is one examined machine. Facts are absent when it could not be
// reached.
type doctorHostJSON struct {
	Host     string        `json:"host"`
	Side     sample.Side   `json:"side,omitempty"`
	Asked    time.Time     `json:"asked,omitzero"`
	Answered time.Time     `json:"answered,omitzero"`
	Facts    *doctor.Facts `json:"facts,omitempty"`
}

// printFindingsJSON prints one object.
func printFindingsJSON(w io.Writer, seen []inspect.Examination, found []doctor.Finding) error {
	out := doctorJSON{V: 1, Summary: doctor.Count(found), Findings: found, Hosts: []doctorHostJSON{}}
	for i := range seen {
		s := &seen[i].Subject
		h := doctorHostJSON{Host: s.Host, Side: s.Side, Asked: s.Asked.UTC(), Answered: s.Answered.UTC()}
		if seen[i].Reached {
			h.Facts = &s.Facts
		}
		out.Hosts = append(out.Hosts, h)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // cures are to be read, too
	return encoder.Encode(out)
}

// marks are how the levels are shown: by a sign and a word, never by color.
var marks = map[doctor.Level]string{
	doctor.OK: "✓ ok  ", doctor.Note: "· note", doctor.Warn: "! warn", doctor.Fail: "✗ FAIL",
}

// printFindings prints the findings for people, in 80 columns: a heading for
// each host, what is good in one line, and under what is not what it means and
// the commands that cure it. Commands are not broken, so that they can be
// copied.
func printFindings(w io.Writer, found []doctor.Finding) error {
	var b strings.Builder
	for i := range found {
		f := &found[i]
		if i == 0 || found[i-1].Host != f.Host {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(report.Clean(f.Host))
			if f.Side != "" {
				fmt.Fprintf(&b, " (%s)", f.Side)
			}
			b.WriteByte('\n')
		}
		printFinding(&b, f)
	}
	if len(found) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(summaryOf(found))
	_, err := io.WriteString(w, b.String())
	return err
}

func printFinding(b *strings.Builder, f *doctor.Finding) {
	const indent, name, width = "         ", 17, 80
	// The first line begins with mark and name, the others stand under it.
	lines := fold(report.Clean(f.Seen), width-len(indent)-name-1)
	fmt.Fprintf(b, "  %s %-*s %s\n", marks[f.Level], name, f.ID, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(b, "%s%-*s %s\n", indent, name, "", line)
	}
	if f.Means != "" {
		for _, line := range fold(report.Clean(f.Means), width-len(indent)-2) {
			fmt.Fprintf(b, "%s  %s\n", indent, line)
		}
	}
	for line := range strings.Lines(f.Cure) {
		fmt.Fprintf(b, "%s  $ %s\n", indent, report.Clean(line))
	}
}

// summaryOf counts the findings in one line.
func summaryOf(found []doctor.Finding) string {
	n := doctor.Count(found)
	parts := []string{fmt.Sprintf("%d ok", n[doctor.OK]), plural(n[doctor.Note], "note"), plural(n[doctor.Warn], "warning"), plural(n[doctor.Fail], "failure")}
	var failed []string
	for _, f := range doctor.Failures(found) {
		if !slices.Contains(failed, f.ID) {
			failed = append(failed, f.ID)
		}
	}
	text := strings.Join(parts, ", ")
	if len(failed) > 0 {
		text += ": " + strings.Join(failed, ", ")
	}
	return strings.Join(fold(text, 80), "\n  ") + "\n"
}
