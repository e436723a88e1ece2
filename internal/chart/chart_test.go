package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func texts(a Axis) []string {
	var out []string
	for _, v := range a.ticks {
		out = append(out, a.text(v))
	}
	return out
}

func TestAxis_ticks(t *testing.T) {
	for _, c := range []struct {
		name string
		axis Axis
		want string
	}{
		{"from zero", Linear("", 0, 100), "0 20 40 60 80 100"},
		{"blocks", Linear("", 21345600, 21345799), "21345600 21345650 21345700 21345750"},
		{"fractions", Linear("", -0.03, 0.04), "-0.03 -0.02 -0.01 0.00 0.01 0.02 0.03 0.04"},
		{"one value", Linear("", 7, 7), "6.6 6.8 7.0 7.2 7.4"},
		{"one value, zero", Linear("", 0, 0), "-0.4 -0.2 0.0 0.2 0.4"},
		{"ratios near one", Log("", 0.9, 1.1), "0.90 0.95 1.00 1.05 1.10"},
		{"a decade", Log("", 5, 60), "5 7 10 15 20 30 50"},
		{"two decades", Log("", 3, 300), "5 10 20 50 100 200"},
		{"small ratios", Log("", 0.04, 1.2), "0.05 0.1 0.2 0.5 1"},
		{"many decades", Log("", 1e-3, 1e6), "0.001 0.01 0.1 1 10 100 1000 10000 100000 1000000"},
		{"one ratio", Log("", 1, 1), "0.96 0.98 1.00 1.02 1.04"},
		{"no logarithm", Log("", 0, 10), "0 2 4 6 8 10"},
		{"mirrored", Mirrored("", 12), "10 5 0 5 10"},
	} {
		if got := strings.Join(texts(c.axis), " "); got != c.want {
			t.Errorf("%s: ticks %s, want %s", c.name, got, c.want)
		}
	}
}

// Whatever the range is, there are a few ticks, they lie inside, their texts
// differ, and the labels that are shown have room side by side.
func TestAxis_labelsHaveRoom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		low := math.Exp(20*rng.Float64() - 8)
		high := low * math.Exp(math.Exp(6*rng.Float64()-4))
		for _, a := range []Axis{Linear("", low, high), Log("", low, high), Linear("", math.Round(low), math.Round(low)+1+float64(rng.IntN(100_000)))} {
			if n := len(a.ticks); n < 3 || n > 16 {
				t.Fatalf("%g to %g: %d ticks", a.Low, a.High, n)
			}
			if all := texts(a); len(slices.Compact(slices.Clone(all))) != len(all) {
				t.Fatalf("%g to %g: ticks %v", a.Low, a.High, all)
			}
			for _, px := range []float64{narrowPlot, widePlot} {
				shown := 0
				end := math.Inf(-1)
				for _, l := range a.labels() {
					if px == narrowPlot && !l.narrow {
						continue
					}
					shown++
					w := labelWidth(l.text)
					left := l.at*px - w/2
					switch l.edge {
					case -1:
						left = l.at * px
					case 1:
						left = l.at*px - w
					}
					if left < end+2 {
						t.Fatalf("%g to %g on %g px: %q begins at %g, the label before it ends at %g", a.Low, a.High, px, l.text, left, end)
					}
					end = left + w
				}
				if shown < 1 {
					t.Fatalf("%g to %g on %g px: %d labels", a.Low, a.High, px, shown)
				}
			}
		}
	}
}

func TestAxis_atAndValue(t *testing.T) {
	for _, a := range []Axis{Linear("", -3, 9), Log("", 0.2, 40)} {
		for _, at := range []float64{0, 0.25, 0.5, 1} {
			if got := a.At(a.Value(at)); math.Abs(got-at) > 1e-12 {
				t.Errorf("At(Value(%g)) = %g", at, got)
			}
		}
		for v, want := range map[float64]float64{math.Inf(1): 1, math.Inf(-1): 0, a.High * 2: 1, a.Low - 100: 0} {
			if a.Log && v < 0 {
				continue // there is no such ratio
			}
			if got := a.At(v); got != want {
				t.Errorf("At(%g) = %g, want %g", v, got, want)
			}
		}
	}
	if got := Log("", 0.5, 2).At(0); got != 0 {
		t.Errorf("a ratio of 0 is at %g", got)
	}
	if got := Log("", 1, 100).Middle(1, 100); math.Abs(got-10) > 1e-9 {
		t.Errorf("the middle of 1 and 100 is %g", got)
	}
}

// evil is text that must not become markup.
const evil = `</title></svg><script>alert(1)</script>"'&<img src=x>`

// full is a plot with every kind of layer, values beyond the axes and values
// that are no numbers.
func full() *Plot {
	nan, inf := math.NaN(), math.Inf(1)
	p := &Plot{
		ID: "full", Title: "everything " + evil, Desc: evil, Height: 200, Nearest: ByX, Grid: GridBoth,
		X: Linear("x "+evil, 0, 10), Y: Log("y "+evil, 0.5, 2),
		Layers: []Layer{
			Band{Class: "margin", Low: 0.9, High: 1.1},
			Band{Class: "margin", Upright: true, Low: 2, High: 3},
			Band{Class: "outside", Low: 5, High: 6},
			Area{Class: "sequence", X: []float64{1, 2, 3}, Low: []float64{0, nan, 0.8}, High: []float64{inf, 1, 1.2}, Steps: true},
			Line{Class: "line", X: []float64{1, 2, 3, 4}, Y: []float64{1, nan, 1.5, 9}},
			Dots{Class: "pair", X: []float64{1, nan, 3}, Y: []float64{1, 1, nan}},
			Bar{Class: "bar", X0: 1, X1: 2, Y0: 1, Y1: 2},
			Whisker{Class: "primary", Y: 1, Low: math.Inf(-1), High: 4},
		},
		Marks: []Mark{{X: []float64{1, 2}, Y: []float64{1, 1.5}, Text: evil}},
	}
	return p
}

func TestPlot_markup(t *testing.T) {
	got := string(full().HTML())
	for _, bad := range []string{"<script", "<img", "NaN", "Inf", "outside"} {
		if strings.Contains(got, bad) {
			t.Errorf("the markup contains %q", bad)
		}
	}
	// Well-formed, every coordinate inside of the picture.
	d := xml.NewDecoder(strings.NewReader("<x>" + got + "</x>"))
	coordinates, names := 0, make(map[string]int)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, got)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		names[start.Name.Local]++
		for _, a := range start.Attr {
			if a.Name.Local != "d" {
				continue
			}
			for _, m := range regexp.MustCompile(`[ML]([-\d.]+) ([-\d.]+)`).FindAllStringSubmatch(a.Value, -1) {
				x, err1 := strconv.ParseFloat(m[1], 64)
				y, err2 := strconv.ParseFloat(m[2], 64)
				if err1 != nil || err2 != nil || x < 0 || x > width || y < 0 || y > 200 {
					t.Errorf("a point at %s", m[0])
				}
				coordinates++
			}
		}
	}
	if coordinates < 30 || names["title"] != 2 || names["desc"] != 1 {
		t.Errorf("%d points, elements %v", coordinates, names)
	}
	if !strings.Contains(got, `aria-labelledby="full-title"`) || !strings.Contains(got, `<title id="full-title">everything &lt;/title&gt;`) {
		t.Errorf("the picture has no name: %s", got)
	}
}

func TestPlot_whiskerEnds(t *testing.T) {
	caps := func(low, high float64) int {
		p := Plot{X: Log("", 0.5, 2), Layers: []Layer{Whisker{Y: 5, Low: low, High: high}}}
		p.Y, p.Height = Lanes(1)
		return strings.Count(string(p.HTML()), "v10")
	}
	for _, c := range []struct {
		low, high float64
		want      int
	}{{0.8, 1.2, 2}, {math.Inf(-1), 1.2, 1}, {0.8, math.Inf(1), 1}, {0.8, 9, 1}} {
		if got := caps(c.low, c.high); got != c.want {
			t.Errorf("an interval from %g to %g has %d drawn ends, want %d", c.low, c.high, got, c.want)
		}
	}
}

// The colors of both themes: text and marks stand out from the ground as the
// Web Content Accessibility Guidelines 2.2 ask at level AA, and both themes know
// the same names. The dark one is for screens alone, so that paper is light.
func TestStyle_contrast(t *testing.T) {
	blocks := regexp.MustCompile(`(?s):root \{([^}]*--.*?)\}`).FindAllStringSubmatch(Style(), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d sets of colors, want light and dark", len(blocks))
	}
	if dark := regexp.MustCompile(`@media (.*?) \{\s*:root \{\s*--`).FindStringSubmatch(Style()); dark == nil || dark[1] != "screen and (prefers-color-scheme: dark)" {
		t.Errorf("the second set of colors is that of %q", dark)
	}
	var themes []map[string]string
	for _, b := range blocks {
		colors := make(map[string]string)
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(b[1], -1) {
			colors[m[1]] = m[2]
		}
		themes = append(themes, colors)
	}
	for i, theme := range themes {
		if len(theme) != len(themes[0]) {
			t.Errorf("theme %d has %d colors, the light one %d", i, len(theme), len(themes[0]))
		}
		for _, ground := range []string{"bg", "card"} {
			for name, least := range map[string]float64{
				"fg": 7, "muted": 4.5, "baseline": 4.5, "test": 4.5, "focus": 3, "band": 3,
				"improves": 4.5, "regresses": 4.5, "no-effect": 4.5, "inconclusive": 4.5, "invalid": 4.5,
			} {
				if got := contrast(t, theme[name], theme[ground]); got < least {
					t.Errorf("theme %d: %s on %s has contrast %.2f, want %.1f", i, name, ground, got, least)
				}
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(hex string) float64 {
		v, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
		if err != nil || hex == "" {
			t.Fatalf("color %q: %v", hex, err)
		}
		channel := func(c uint64) float64 {
			x := float64(c&0xff) / 255
			if x <= 0.04045 {
				return x / 12.92
			}
			return math.Pow((x+0.055)/1.055, 2.4)
		}
		return 0.2126*channel(v>>16) + 0.7152*channel(v>>8) + 0.0722*channel(v)
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
