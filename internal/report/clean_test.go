package report

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// forged holds what text of others may hold: escapes that clear the screen and
// set its title, a bell, line breaks that forge a line, marks that turn the
// direction of text, the one-rune form of an escape, and bytes that are no text.
const forged = "evil\x1b[2J\x1b]0;title\a\r\nFORGED \u202egnihton\u2066 \u009b31m\x7f \xff\xfe\u2028\U000e0041end"

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "Geth/v1.17": "Geth/v1.17", " é × … ": "é × …", "a\tb": "a b", "two\r\nlines": "two  lines",
		"\x1b[31mred\x1b[0m": "[31mred [0m", "\xff\xfe": "", "a\ufffdb": "a b", "\u00a0x\u200b": "x", "right \u202eto left": "right  to left",
	} {
		if got := Clean(text); got != want {
			t.Errorf("Clean(%q) = %q, want %q", text, got, want)
		}
	}
	if got := Clean(forged); Clean(got) != got || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("Clean leaves %q", got)
	}
}

// spoil sets every string that v reaches to forged, apart from the words that
// decide what kind of report it is.
func spoil(v reflect.Value) {
	switch v.Interface().(type) {
	case compare.Outcome, compare.Subject, compare.Design, compare.Reason, compare.Metric, stat.Interval, sample.Control, sample.Verification:
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(forged)
	case reflect.Pointer:
		if !v.IsNil() {
			spoil(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				spoil(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			spoil(v.Index(i))
		}
	case reflect.Map:
		if v.Len() > 0 && v.Type().Key().Kind() == reflect.String {
			value := v.MapIndex(v.MapKeys()[0])
			v.Clear()
			v.SetMapIndex(reflect.ValueOf(forged).Convert(v.Type().Key()), value)
		}
	}
}

// allFormats are the writers of every format.
func allFormats() map[string]func(io.Writer, *Run) error {
	return map[string]func(io.Writer, *Run) error{
		"txt": Text, "md": Markdown, "html": HTML, "json": JSON, "csv": CSV, "samples.csv": SamplesCSV, "bench": Benchfmt,
	}
}

// Whatever others say, wherever it stands: no format passes on a character that
// is not printable, and none is broken into lines by it.
func TestForgedText(t *testing.T) {
	runs := jsonCases(t)
	delete(runs, "empty")
	delete(runs, "prover-none")
	for name, run := range runs {
		if len(run.Result.Parity.Refused) == 0 && run.Result.Inputs == nil {
			run.Result.Parity.Refused = []compare.Incomplete{{Side: sample.Test, Number: 7}}
			run.Result.Parity.Incomplete[1] = 1
		}
		lines := make(map[string]int)
		for format, write := range allFormats() {
			lines[format] = bytes.Count(rendered(t, write, run), []byte("\n"))
		}
		spoil(reflect.ValueOf(run).Elem())
		for format, write := range allFormats() {
			text := own(rendered(t, write, run))
			if !utf8.Valid(text) {
				t.Errorf("%s.%s is not valid UTF-8", name, format)
			}
			for _, r := range string(text) {
				if !unicode.IsPrint(r) && r != '\n' && (format != "html" || r != '\u00a0') {
					t.Errorf("%s.%s holds %q", name, format, r)
					break
				}
			}
			if bytes.Contains(text, []byte("\nFORGED")) {
				t.Errorf("%s.%s has a forged line", name, format)
			}
			if !bytes.Contains(text, []byte("evil")) && (format != "csv" || run.Result.Inputs == nil) && (format != "samples.csv" || run.Records[0] != nil && run.Result.Proving == nil) {
				t.Errorf("%s.%s shows nothing of the text", name, format)
			}
			if after := bytes.Count(text, []byte("\n")); strings.HasSuffix(format, "csv") && after != lines[format] {
				t.Errorf("%s.%s has %d lines, had %d", name, format, after, lines[format])
			}
		}
	}
}

// own is a page without its style sheet and script.
func own(text []byte) []byte { return ownParts.ReplaceAll(text, nil) }

// The run itself stays as it was read: other formats may be made of it.
func TestCleaned_leavesTheRun(t *testing.T) {
	run := withGaps()
	spoil(reflect.ValueOf(&run.Result.Gaps).Elem())
	spoil(reflect.ValueOf(&run.Result.Excluded).Elem())
	spoil(reflect.ValueOf(&run.Result.Control.Why).Elem())
	spoil(reflect.ValueOf(&run.Result.Failures[1]).Elem())
	run.Warnings = []string{forged}
	Compose(run)
	if run.Warnings[0] != forged || run.Result.Gaps[0][0].Reason != forged || run.Result.Excluded[0].Reason != forged ||
		run.Result.Control.Why != forged || run.Result.Failures[1][forged] == 0 {
		t.Error("the run was changed")
	}
}

// A sentence may begin with any letter.
func TestSentence(t *testing.T) {
	for s, want := range map[string]string{"": "", "a b": "A b", "école": "École", "日本": "日本", "7 blocks": "7 blocks"} {
		if got := sentence(s); got != want {
			t.Errorf("sentence(%q) = %q, want %q", s, got, want)
		}
	}
	for s, want := range map[string]string{"": "", "a": "a.", "a.": "a.", "twice?": "twice?", "a…": "a….", "so!": "so!"} {
		if got := stop(s); got != want {
			t.Errorf("stop(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestJSONPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"{\n  \"a\": \"é\"\n}\n": "{\n  \"a\": \"é\"\n}\n", "\"\u202e\x7f\"": `"\u202e\u007f"`, "\"\U000e0041\"": `"\udb40\udc41"`,
	} {
		if got := string(jsonPrintable([]byte(text))); got != want {
			t.Errorf("jsonPrintable(%q) = %q, want %q", text, got, want)
		}
	}
}

// A backslash of others does not undo the one that keeps a cell together.
func TestCell(t *testing.T) {
	for text, want := range map[string]string{`a|b`: `a\|b`, `a\|b`: `a\\\|b`, `C:\x`: `C:\\x`, "`x`": "'x'"} {
		if got := cell(text); got != want {
			t.Errorf("cell(%q) = %q, want %q", text, got, want)
		}
	}
}
