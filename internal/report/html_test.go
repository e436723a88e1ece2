package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
)

// htmlCases are runs that only the pictures need: many pairs, values that do
// not vary, intervals without an end, hostile words.
func htmlCases(t testing.TB) map[string]*Run {
	t.Helper()
	return map[string]*Run{
		"realistic":    realistic(200, 0.95),
		"many":         realistic(3000, 1.02),
		"few":          realistic(79, 1),
		"two":          realistic(2, 1.1),
		"identical":    made(100, func(_, _ int, s *sample.Sample) { s.TotalNS = 100e6 }),
		"hostile":      hostile(),
		"same-batches": pairedProofs(t),
	}
}

// realistic is a run as two nodes on one machine give it: latencies that grow
// with gas, noise with stalls, answers of different sizes.
func realistic(n int, effect float64) *Run {
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	var gas []float64
	for range n {
		gas = append(gas, 20e6*math.Exp(0.5*rng.NormFloat64()))
	}
	noise := make([]float64, 2*n)
	for i := range noise {
		noise[i] = 0.08 * rng.NormFloat64()
		if rng.Float64() < 0.03 {
			noise[i] += 0.9 * rng.Float64()
		}
	}
	return made(n, func(i, side int, s *sample.Sample) {
		s.Number = uint64(21_345_600 + i)
		s.GasUsed, s.BodyBytes = uint64(gas[i]), int64(gas[i]/14)+int64(side*20_000)
		ms := (4 + gas[i]/4e5) * math.Exp(noise[2*i+side])
		if side == 1 {
			ms *= effect
		}
		total := int64(ms * 1e6)
		s.Timing = sample.Timing{ConnectNS: 180_000, FirstByteNS: total * 8 / 10, BodyNS: total - total*8/10, TotalNS: total}
	})
}

// hostile is a run whose servers say what they should not.
func hostile() *Run {
	const evil = `</title></style><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)> "'` + "`" + ` {{.}} ]]> &lt;`
	r := made(120, func(i, side int, s *sample.Sample) {
		s.Host = evil
		if side == 1 && i%7 == 0 {
			s.Status, s.Failure = sample.Status(evil), &sample.Failure{Message: evil}
		}
	})
	for i := range r.Manifest.Sides {
		r.Manifest.Sides[i].Version, r.Manifest.Sides[i].Ref, r.Manifest.Sides[i].Host = evil, evil, evil
	}
	r.Manifest.Network, r.Manifest.Environment.CPU, r.Dir = evil, evil, evil
	r.Warnings = []string{evil}
	r.Result.Gaps[1] = []sample.Gap{{Side: sample.Test, From: noon, DurationNS: 3e9, Reason: evil}}
	return r
}

// pairedProofs is a comparison of the same batches proved on both sides.
func pairedProofs(t testing.TB) *Run {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	var series [2]*intake.Series
	for side := range series {
		s := &intake.Series{Name: fmt.Sprintf("prover-%d.log", side), Kind: intake.ProverLog, Numbered: true, Batches: true, Lines: 900}
		for i := range 12 {
			ms := 4e4 * (1 + 0.3*float64(i%5)) * math.Exp(0.04*rng.NormFloat64()-0.15*float64(side))
			s.Values = append(s.Values, intake.Value{Block: uint64(i + 1), MS: ms})
			s.Work = append(s.Work, intake.Work{Gas: uint64(20e6 * (1 + 0.3*float64(i%5))), Txs: 200, Blocks: 10})
		}
		series[side] = s
	}
	r, err := compare.Imported(series, compare.Import{Rule: compare.DefaultRule(), SameBatches: true})
	if err != nil {
		t.Fatal(err)
	}
	return &Run{Result: r}
}

func renderHTML(t testing.TB, r *Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ownParts are the style sheet, the script and the policy that names it, which
// are files of their own and would make every golden file differ when they do.
var ownParts = regexp.MustCompile(`(?s)<style>.*?</style>|<script>.*?</script>|sha256-[^"]*`)

func TestHTML_golden(t *testing.T) {
	runs := cases()
	for _, name := range []string{"empty", "one", "improves", "failed-side", "invalid", "incomplete", "unpaired", "proofs", "crossover"} {
		page := renderHTML(t, runs[name])
		golden(t, name+".html", ownParts.ReplaceAll(page, []byte("(own part)")))
	}
}

// element is an element of a page with the text of it and of all in it.
type element struct {
	name string
	attr map[string]string
	text strings.Builder
	// children are the names of the elements directly in it.
	children []string
}

// words are the text of the element.
func (e *element) words() string { return strings.TrimSpace(e.text.String()) }

// elements are all elements of a page in order. What stands in style and script
// is left out: it is text that only a browser can read.
func elements(t *testing.T, page []byte) []*element {
	t.Helper()
	page = regexp.MustCompile(`(?s)(<style>|<script>).*?(</style>|</script>)`).ReplaceAll(page, []byte("$1$2"))
	page = bytes.Replace(page, []byte("<!doctype html>"), nil, 1)
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta", "link"}, xml.HTMLEntity
	var all, open []*element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attr: make(map[string]string)}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			if len(open) > 0 {
				parent := open[len(open)-1]
				parent.children = append(parent.children, e.name)
			}
			all, open = append(all, e), append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			for _, e := range open {
				e.text.Write(token)
			}
		}
	}
}

// The page needs nothing but itself, names its parts once, and can be heard.
func TestHTML_structure(t *testing.T) {
	runs := cases()
	maps.Copy(runs, provingCases(t))
	for name, r := range htmlCases(t) {
		runs[name] = r
	}
	for name, run := range runs {
		page := renderHTML(t, run)
		all := elements(t, page)
		ids := make(map[string]bool)
		for _, e := range all {
			if id := e.attr["id"]; id != "" && ids[id] {
				t.Errorf("%s: two elements have the id %q", name, id)
			} else if id != "" {
				ids[id] = true
			}
		}
		level, titles := 0, 0
		for _, e := range all {
			links(t, name, e, ids)
			switch e.name {
			case "svg":
				if e.attr["aria-hidden"] != "true" && (e.attr["role"] != "img" || e.attr["aria-labelledby"] == "" || e.attr["aria-describedby"] == "") {
					t.Errorf("%s: a picture without role, name or description", name)
				}
			case "h1", "h2", "h3", "h4":
				now := int(e.name[1] - '0')
				if now > level+1 || e.words() == "" {
					t.Errorf("%s: heading %s %q after level %d", name, e.name, e.words(), level)
				}
				if level = now; now == 1 {
					titles++
				}
			case "th":
				if e.attr["scope"] == "" {
					t.Errorf("%s: a head %q without scope", name, e.words())
				}
			case "table":
				if !slices.Contains(e.children, "caption") {
					t.Errorf("%s: a table without a caption", name)
				}
			case "img", "iframe", "object", "embed", "base", "form":
				t.Errorf("%s: a <%s>", name, e.name)
			}
		}
		if titles != 1 {
			t.Errorf("%s: %d headings of the first level", name, titles)
		}
		if css := regexp.MustCompile(`url\(|@import|@font-face`).Find(page); css != nil {
			t.Errorf("%s: the style sheet has %s", name, css)
		}
		if bytes.Contains(page, []byte("NaN")) || bytes.Contains(page, []byte("+Inf")) || bytes.Contains(page, []byte("ZgotmplZ")) {
			t.Errorf("%s: a value that is no number, or that the template refused", name)
		}
	}
}

// links checks what an element points to: nothing outside of the page, nothing
// that is not there, and no script in an attribute.
func links(t *testing.T, page string, e *element, ids map[string]bool) {
	t.Helper()
	for key, v := range e.attr {
		switch key {
		case "src", "href", "action", "data", "srcset", "poster":
			if at, inside := strings.CutPrefix(v, "#"); inside && !ids[at] {
				t.Errorf("%s: a link to %q, which is not there", page, v)
			} else if !inside && v != "data:," {
				t.Errorf("%s: <%s %s=%q> points outside", page, e.name, key, v)
			}
		case "aria-labelledby", "aria-describedby":
			for _, id := range strings.Fields(v) {
				if !ids[id] {
					t.Errorf("%s: %s of <%s> names %q, which is not there", page, key, e.name, id)
				}
			}
		}
		if strings.HasPrefix(key, "on") {
			t.Errorf("%s: <%s> has a script in %s", page, e.name, key)
		}
	}
}

// What servers and files say is text wherever it stands.
func TestHTML_hostileText(t *testing.T) {
	page := renderHTML(t, hostile())
	scripts := 0
	seen := false
	for _, e := range elements(t, page) {
		switch e.name {
		case "script":
			scripts++
		case "td", "li", "code":
			seen = seen || strings.Contains(e.words(), "<script>alert(1)</script>")
		}
	}
	if scripts != 1 || !seen {
		t.Errorf("%d scripts, hostile text shown as text: %v", scripts, seen)
	}
	if bytes.Contains(page, []byte("<script>alert")) || bytes.Contains(page, []byte("<img")) {
		t.Error("hostile text became markup")
	}
}

// Every picture says what is missing in place of an empty axis.
func TestHTML_missing(t *testing.T) {
	runs := cases()
	for _, c := range []struct{ name, section, want string }{
		{"empty", "series", "there is none"},
		{"empty", "distributions", "Nothing was measured on both sides"},
		{"empty", "effect", "no statement about speed"},
		{"empty", "forecast", "There is no forecast"},
		{"one", "series", "at least two"},
		{"improves", "work", "is the same everywhere, 20 Mgas"},
		{"improves", "control", "There is no A/A control"},
		{"unpaired", "work", "would say how much gas"},
		{"unpaired", "phases", "no pairs with samples"},
		{"invalid", "effect", "no statement about speed"},
	} {
		got := ""
		for _, e := range elements(t, renderHTML(t, runs[c.name])) {
			if e.name == "section" && e.attr["id"] == c.section {
				got = e.words()
			}
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: section %s does not say %q: %s", c.name, c.section, c.want, got)
		}
	}
}

// Pictures of many pairs are thinned, say so, and stay as small as the values
// on a screen.
func TestHTML_size(t *testing.T) {
	page := renderHTML(t, realistic(10_000, 1.01))
	if n := len(page); n > 3_000_000 {
		t.Errorf("the page of 10,000 pairs has %d bytes", n)
	}
	for _, want := range []string{"10000 blocks are more than the picture has points", "the first 1000 of 10000"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestGroups(t *testing.T) {
	x := []float64{5, 1, 4, 2, 3, 6, 7}
	y := []float64{50, 10, 40, 20, 30, 60, 70}
	g := groups(x, y, 2)
	if len(g) != 2 || g[0].n+g[1].n != 7 || g[0].from != 1 || g[0].to != 3 || g[0].median != 20 || g[1].low != 40 || g[1].high != 70 {
		t.Errorf("groups %+v", g)
	}
	if g := groups(x, y, 100); len(g) != 7 || g[0].median != 10 {
		t.Errorf("more groups than values: %+v", g)
	}
	if g := groups(nil, nil, 3); len(g) != 0 {
		t.Errorf("groups of nothing: %+v", g)
	}
}

func TestThinned(t *testing.T) {
	for _, c := range []struct{ n, goal, want int }{{0, 5, 0}, {1, 5, 1}, {5, 5, 5}, {6, 5, 3}, {1000, 200, 200}, {1001, 200, 167}} {
		got := thinned(c.n, c.goal)
		if len(got) != c.want || len(got) > 0 && got[len(got)-1] != c.n-1 {
			t.Errorf("thinned(%d, %d) = %d places up to %v, want %d", c.n, c.goal, len(got), got[max(0, len(got)-1):], c.want)
		}
	}
}

// BenchmarkHTML reports the size of the page beside its time.
func BenchmarkHTML(b *testing.B) {
	for name, make := range map[string]func() *Run{
		"200 pairs":             func() *Run { return realistic(200, 0.95) },
		"10000 pairs":           func() *Run { return realistic(10_000, 0.95) },
		"200000 imported pairs": func() *Run { return importedPairs(b, 200_000) },
	} {
		b.Run(name, func(b *testing.B) {
			run := make()
			var size int
			b.ReportAllocs()
			for b.Loop() {
				size = len(renderHTML(b, run))
			}
			b.ReportMetric(float64(size), "page-bytes")
		})
	}
}

// importedPairs is a comparison of two logs that measured the same blocks.
func importedPairs(t testing.TB, n int) *Run {
	t.Helper()
	rng := rand.New(rand.NewPCG(8, 9))
	var series [2]*intake.Series
	for side := range series {
		series[side] = &intake.Series{Name: fmt.Sprintf("log-%d", side), Kind: intake.ReplayLog, Numbered: true, Lines: n}
	}
	for i := range n {
		base := 80 * math.Exp(0.4*rng.NormFloat64())
		for side, s := range series {
			s.Values = append(s.Values, intake.Value{Block: uint64(i + 1), MS: base * math.Exp(0.08*rng.NormFloat64()-0.02*float64(side))})
		}
	}
	r, err := compare.Imported(series, compare.Import{Rule: compare.DefaultRule()})
	if err != nil {
		t.Fatal(err)
	}
	return &Run{Result: r}
}
