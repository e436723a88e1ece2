package intake

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

// The table of batches is read, and neither the prose nor the summary.
func TestMarkdown(t *testing.T) {
	raw, err := os.ReadFile("testdata/bench_results.md")
	if err != nil {
		t.Fatal(err)
	}
	s := read(t, string(raw))
	if s.Kind != Markdown || !s.Batches || !slices.Equal(numbers(s), []uint64{1, 2, 3}) ||
		!slices.Equal(s.Milliseconds(), []float64{47123, 59871, 754321}) {
		t.Errorf("%s of batches %v with %v ms", s.Kind, numbers(s), s.Milliseconds())
	}
	want := []Work{{4093824, 192, 3}, {17850000, 850, 12}, {}}
	if !slices.Equal(s.Work, want) || !slices.Contains(s.Warnings, unknownRows) {
		t.Errorf("work %v, want %v; warnings %q", s.Work, want, s.Warnings)
	}
}

func TestMarkdown_rows(t *testing.T) {
	const head = "| Batch | Time (ms) |\n|:--|--:|\n"
	for name, c := range map[string]struct {
		text     string
		blocks   []uint64
		excluded Reason
	}{
		"no bar at the end":   {"| Batch | Time (ms)\n|---|---\n| 7 | 131\n", []uint64{7}, ""},
		"row without time":    {head + "| 7 | 131 |\n| 8 | - |\n", []uint64{7}, NoLatency},
		"row without number":  {head + "| 7 | 131 |\n| all | 9 |\n", []uint64{7}, BadBlock},
		"zero of a script":    {head + "| 7 | 131 |\n| 8 | 0 |\n", []uint64{7}, Zero},
		"second table":        {head + "| 7 | 131 |\n\n" + head + "| 8 | 95 |\n", []uint64{7}, ""},
		"summary before":      {"| Metric | Value |\n|---|---|\n| Batches | 9 |\n\n" + head + "| 7 | 131 |\n", []uint64{7}, ""},
		"cut off":             {head + "| 7 | 131 |\n| 8 | 9", []uint64{7}, TornLine},
		"commas in the prose": {"# Results, of today\n\nblock, ms, and more\n\n" + head + "| 7 | 131 |\n", []uint64{7}, ""},
	} {
		s := read(t, c.text)
		if s.Kind != Markdown || !slices.Equal(numbers(s), c.blocks) {
			t.Errorf("%s: %s of %v, want %v", name, s.Kind, numbers(s), c.blocks)
		}
		if c.excluded != "" && s.Left(c.excluded) != 1 || c.excluded == "" && len(s.Excluded) > 0 {
			t.Errorf("%s: excluded %+v, want %q", name, s.Excluded, c.excluded)
		}
	}
	for name, text := range map[string]string{
		"two sides":  "| Side | Batch | Time (ms) |\n|---|---|---|\n| baseline | 7 | 131 |\n",
		"no batches": "| Metric | Value (ms) |\n|---|---|\n| Average | 131 |\n",
	} {
		if _, err := Read(name, strings.NewReader(text)); err == nil || fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read("empty", strings.NewReader(head)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a table without rows: %v", err)
	}
}
