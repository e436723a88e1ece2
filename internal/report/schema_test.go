package report

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
)

const schemaFile = "report.schema.json"

// schema compiles the schema of the JSON report; formats are checked too.
func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate checks a report against the schema.
func validate(s *jsonschema.Schema, raw []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func TestSchema_goldens(t *testing.T) {
	s := schema(t)
	files, err := filepath.Glob("testdata/*.json.golden")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(s, raw); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Reports of every length up to and beyond what a verdict needs, and of every
// way in which the measurements can go wrong.
func TestSchema_generated(t *testing.T) {
	s := schema(t)
	runs := jsonCases(t)
	for _, n := range []int{2, 3, 5, 6, 36, 49, 50, 79, 80, 100} {
		runs[fmt.Sprintf("%d pairs", n)] = made(n, nil)
		runs[fmt.Sprintf("%d equal pairs", n)] = made(n, func(_, _ int, s *sample.Sample) { s.TotalNS = 1e8 })
		runs[fmt.Sprintf("%d of 300", n)] = planned(made(n, nil), 300)
		runs[fmt.Sprintf("%d of 1", n)] = planned(made(n, nil), 1)
		runs[fmt.Sprintf("%d failures", n)] = made(n, func(i, side int, s *sample.Sample) {
			statuses := []sample.Status{sample.RPCError, sample.HTTPError, sample.Timeout, sample.Unavailable, sample.Truncated,
				sample.Malformed, sample.Reorged, sample.Skipped, sample.InvalidWitness}
			s.Status = statuses[(i+side)%len(statuses)]
			s.Verification, s.Doubt = sample.Unproved, "the server did not give the block"
		})
		for _, proofs := range []bool{false, true} {
			a, b := table(uint64(n), 1, n, 1, proofs), table(uint64(n+1), 1, n+3, 0.5, proofs)
			for _, how := range []compare.Import{{SameBatches: true}, {Unpaired: true}} {
				runs[fmt.Sprintf("%d imported, proofs %t, unpaired %t", n, proofs, how.Unpaired)] = importedRun(t, how, a, b)
			}
		}
	}
	runs["many looks"] = made(2100, nil)
	for name, run := range runs {
		if err := validate(s, renderJSON(t, name, run)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A schema that accepts everything proves nothing: each of these changes of a
// good report must be refused.
func TestSchema_refuses(t *testing.T) {
	s := schema(t)
	for name, change := range map[string]func(v map[string]any){
		"an unknown key":            func(v map[string]any) { v["speed"] = 1.0 },
		"a missing key":             func(v map[string]any) { delete(v, "excluded") },
		"another outcome":           func(v map[string]any) { v["outcome"] = "faster" },
		"a number as text":          func(v map[string]any) { v["margin"] = "3 %" },
		"another version":           func(v map[string]any) { v["v"] = 2.0 },
		"a direction without ratio": func(v map[string]any) { v["effect"].(map[string]any)["ratio"] = nil },
		"invalid with a ratio":      func(v map[string]any) { v["outcome"] = "invalid" },
		"a p-value above 1":         func(v map[string]any) { v["effect"].(map[string]any)["p"] = 1.5 },
		"groups without values":     func(v map[string]any) { v["design"] = "unpaired" },
		"another status":            func(v map[string]any) { v["test"].(map[string]any)["failures"] = map[string]any{"slow": 1.0} },
		"a time that is none": func(v map[string]any) {
			v["manifest"].(map[string]any)["started"] = "yesterday"
		},
		"an unknown key far down": func(v map[string]any) {
			v["sequence"].(map[string]any)["points"].([]any)[0].(map[string]any)["x"] = 1.0
		},
	} {
		v := decoded(t, renderJSON(t, name, made(200, nil)))
		if err := s.Validate(any(v)); err != nil {
			t.Fatalf("before %s: %v", name, err)
		}
		change(v)
		if err := s.Validate(any(v)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// node is an object of a schema document.
type node = map[string]any

// TestSchema_strict holds the schema to what readers rely on: every object is
// closed and every property described, and no two places say different things
// about what is required.
func TestSchema_strict(t *testing.T) {
	raw, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	document := decoded(t, raw)
	if document["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("the schema is of %v", document["$schema"])
	}
	objects := 0
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case []any:
			for i, item := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), item)
			}
		case node:
			properties, isObject := v["properties"].(node)
			if isObject && v["type"] == "object" && v["description"] != nil {
				objects++
				if v["additionalProperties"] != false {
					t.Errorf("%s is not closed", path)
				}
				for name, property := range properties {
					if text, _ := property.(node)["description"].(string); len(text) < 2 || !strings.HasSuffix(text, ".") {
						t.Errorf("%s.%s has no description", path, name)
					}
				}
				for _, name := range v["required"].([]any) {
					if properties[name.(string)] == nil {
						t.Errorf("%s requires %s, which it does not describe", path, name)
					}
				}
			}
			for name, child := range v {
				walk(path+"/"+name, child)
			}
		}
	}
	walk("", any(document))
	if objects < 25 {
		t.Errorf("%d objects seen, the schema has more", objects)
	}
}

// Every key that the program can write is in the schema and the other way
// round: what is described is written by some report.
func TestSchema_complete(t *testing.T) {
	raw, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]bool)
	var properties func(v any)
	properties = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				properties(item)
			}
		case node:
			if p, ok := v["properties"].(node); ok && v["description"] != nil {
				for name := range p {
					described[name] = true
				}
			}
			for _, child := range v {
				properties(child)
			}
		}
	}
	properties(any(decoded(t, raw)))

	written := make(map[string]bool)
	var keys func(v any)
	keys = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				keys(item)
			}
		case node:
			for name, child := range v {
				written[name] = true
				if name != "failures" {
					keys(child)
				}
			}
		}
	}
	run := made(2, nil)
	run.Manifest.Verdict, run.Manifest.Sides[0].Witness = "invalid", "serialized"
	run.Result.Parity.Doubt = "no block"
	keys(any(decoded(t, renderJSON(t, "a field of a run that ended", run))))
	for name, run := range jsonCases(t) {
		keys(any(decoded(t, renderJSON(t, name, run))))
	}
	got, want := slices.Sorted(maps.Keys(written)), slices.Sorted(maps.Keys(described))
	if !reflect.DeepEqual(got, want) {
		for _, name := range want {
			if !written[name] {
				t.Errorf("no report has %q, which the schema describes", name)
			}
		}
		for _, name := range got {
			if !described[name] {
				t.Errorf("the schema does not describe %q", name)
			}
		}
	}
}

// The page about files names every field of the report and every column of the
// tables.
func TestFormatPage_complete(t *testing.T) {
	page, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	said := func(where, name string) {
		// Columns of the test side are told by those of the baseline.
		name = strings.Replace(name, "test_", "baseline_", 1)
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/format.md does not name %s of %s", name, where)
		}
	}
	for name := range decoded(t, renderJSON(t, "fields", made(1, nil))) {
		said("report.json", name)
	}
	for key := range decoded(t, renderJSON(t, "intervals", made(90, nil)))["effect"].(node) {
		said("an interval", key)
	}
	for name, run := range jsonCases(t) {
		header, _ := rows(t, rendered(t, CSV, run))
		for _, column := range header {
			said("report.csv of "+name, column)
		}
	}
	header, _ := rows(t, rendered(t, SamplesCSV, made(1, nil)))
	for _, column := range header {
		said("report-samples.csv", column)
	}
}
