package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // template and style sheet are part of the program
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/chart"
	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/store"
)

//go:embed report.html
var htmlTemplate string

//go:embed report.css
var htmlStyle string

// htmlPage is what the template is filled with.
type htmlPage struct {
	*Document
	// Subject and Scope say about the verdict what was compared. Verdict,
	// Sentence, Why and Attributed are the words of the document as sentences.
	Subject, Scope                string
	Verdict, Sentence, Attributed string
	Why                           []string
	// Outcome is the class of the verdict's color, Symbol the path that stands
	// beside it so that nothing depends on color.
	Outcome, Symbol string
	Unfinished      string
	// Footer explains the ratios.
	Footer   string
	Sections []htmlSection
	Dir      string
	Style    template.CSS
	Script   template.JS
	// Policy forbids the page everything but its own style and script.
	Policy string
}

// htmlSection is a part of the page under a heading of its own.
type htmlSection struct {
	ID, Title string
	Text      []string
	// Missing says why the section has no pictures.
	Missing string
	List    []string
	Figures []htmlFigure
	Tables  []htmlTable
}

// htmlFigure is a picture with the words and numbers that belong to it.
type htmlFigure struct {
	ID, Title, Caption string
	Key                []htmlKey
	Plot               template.HTML
	// Missing says why there is no picture.
	Missing string
	// Note says what was left out or put together in the picture.
	Note   string
	Tables []htmlTable
	// Wide figures take the whole width.
	Wide bool
}

// htmlKey is an entry of a figure's legend: the classes of its sign, and its
// words.
type htmlKey struct{ Class, Text string }

// htmlTable is a table whose first column names its rows.
type htmlTable struct {
	Caption string
	Head    []htmlHead
	Rows    [][]string
	Note    string
	// Folded tables are opened by the reader, Long ones are not even printed.
	Folded, Long bool
}

// htmlHead is the head of a column; those of numbers are set to the right.
type htmlHead struct {
	Text   string
	Number bool
}

// htmlColumns are the heads of a table. A name that ends in "#" is a column of
// numbers.
func htmlColumns(names ...string) []htmlHead {
	var heads []htmlHead
	for _, n := range names {
		h := htmlHead{Text: n}
		if name, number := strings.CutSuffix(n, "#"); number {
			h = htmlHead{name, true}
		}
		heads = append(heads, h)
	}
	return heads
}

// htmlKept keeps a number and its unit on one line, and the ends of an
// interval.
var htmlKept = regexp.MustCompile(`(\d) (%|ms\b|s\b|times\b)|(\[[^ ]+,) `)

func htmlTogether(s string) string { return htmlKept.ReplaceAllString(s, "$1$3\u00a0$2") }

// Cells are the rows with numbers that do not break inside.
func (t htmlTable) Cells() [][]string {
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		rows[i] = slices.Clone(row)
		for k := range row {
			if t.Head[k].Number {
				rows[i][k] = htmlTogether(row[k])
			}
		}
	}
	return rows
}

// HTML writes the report as one page that needs nothing else: no network, no
// font, no library. Its pictures are thinned out where a run has more values
// than a screen has points; they say so.
func HTML(w io.Writer, r *Run) error {
	page := htmlCompose(r)
	t, err := template.New("report").Parse(htmlTemplate)
	if err != nil {
		return fmt.Errorf("the page's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, page); err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

func htmlCompose(r *Run) *htmlPage {
	r = cleaned(r)
	d := compose(r)
	looks := htmlOutcomes()[r.Result.Verdict.Outcome]
	p := &htmlPage{
		Document: d, Subject: d.Title, Scope: sentence(htmlScope(r.Result)),
		Verdict: htmlTogether(sentence(d.Headline)), Sentence: htmlTogether(sentence(d.Effect)),
		Outcome: looks.class, Symbol: looks.path,
		Sections: htmlSections(r, d), Dir: r.Dir,
		Style: template.CSS(chart.Style() + htmlStyle), Script: template.JS(chart.Script()),
	}
	p.Footer = "Times of the test side over times of the baseline side: below 1 the test side is faster."
	if d.Single {
		p.Footer = "One side was measured: there is no verdict."
	}
	for _, reason := range d.Reasons {
		p.Why = append(p.Why, sentence(reason))
	}
	if d.Attribution != "" && r.Result.Verdict.Outcome != compare.Invalid {
		p.Attributed = stop("This is the effect of " + d.Attribution)
		if r.Result.Groups != nil {
			p.Attributed = stop(sentence(d.Attribution)) // it is not one thing's effect
		}
	}
	if r.Dir != "" && r.Manifest.State != store.Complete {
		p.Unfinished = "This run is incomplete."
	}
	sum := sha256.Sum256([]byte(p.Script))
	p.Policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
	return p
}

// htmlOutcomes are the looks of the verdicts: a class, and a sign drawn in a
// square of 24. Arrows tell where the time goes; down is faster.
func htmlOutcomes() map[compare.Outcome]struct{ class, path string } {
	return map[compare.Outcome]struct{ class, path string }{
		compare.Improves:     {"improves", "M12 4v15M5 12.5l7 7 7-7"},
		compare.Regresses:    {"regresses", "M12 20V5M5 11.5l7-7 7 7"},
		compare.NoEffect:     {"no-effect", "M4 9h16M4 15h16"},
		compare.Inconclusive: {"inconclusive", "M8 8.5a4 4 0 1 1 5.6 3.7c-1.1.5-1.6 1.2-1.6 2.3v.5M12 19v.2"},
		compare.Invalid:      {"invalid", "M5 5l14 14M19 5L5 19"},
		compare.NoVerdict:    {"no-effect", "M5 6h14M5 12h14M5 18h14"},
	}
}

// htmlScope says in a few words what was compared.
func htmlScope(r *compare.Result) string {
	if single(r) {
		return fmt.Sprintf("%s, %s", r.Subject, count(r.Proving.Sides[0].Times.N, "batch"))
	}
	scope := string(r.Subject) + ", " + string(r.Design) + ", " + compared(r)
	if len(r.Pairs) > 0 && r.Groups == nil {
		first, last := r.Range()
		if first == last {
			return fmt.Sprintf("%s (%s %d)", scope, r.Subject.Unit(), first)
		}
		scope += fmt.Sprintf(" (%s %d to %d)", r.Subject.Units(), first, last)
	}
	return scope
}
