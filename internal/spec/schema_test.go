package spec

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema compiles the JSON Schema of spec files.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schemaFile))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(SchemaFile, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(SchemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate holds a spec file against the schema, as an editor does.
func validate(t *testing.T, s *jsonschema.Schema, file []byte) error {
	t.Helper()
	raw, err := yaml.YAMLToJSON(file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// The schema and the struct know the same keys, and each is explained.
func TestSchema_keys(t *testing.T) {
	about := descriptions()
	for _, f := range fields() {
		if about[f.key] == "" {
			t.Errorf("the schema has no description of %s", f.key)
		}
		delete(about, f.key)
	}
	for key := range about {
		t.Errorf("the schema has the key %s, which no spec has", key)
	}
}

// A default in the schema is the default in every place where its key has a
// meaning.
func TestSchema_defaults(t *testing.T) {
	type property struct {
		Ref        string              `json:"$ref"`
		Default    any                 `json:"default"`
		Properties map[string]property `json:"properties"`
	}
	var root struct {
		property
		Defs map[string]property `json:"$defs"`
	}
	d := json.NewDecoder(strings.NewReader(schemaFile))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(p property, prefix string)
	walk = func(p property, prefix string) {
		if name, ok := strings.CutPrefix(p.Ref, "#/$defs/"); ok && len(p.Properties) == 0 {
			p.Properties = root.Defs[name].Properties
		}
		for name, inner := range p.Properties {
			key := prefix + name
			if inner.Default == nil {
				walk(inner, key+".")
				continue
			}
			seen++
			for _, place := range PlacesOf(key) {
				w := Defaults(place)
				if got := strings.Join(w.Texts(key), ","); got != fmt.Sprint(inner.Default) {
					t.Errorf("the default of %s is %v in the schema and %q in place %s", key, inner.Default, got, place)
				}
			}
		}
	}
	walk(root.property, "")
	if seen < 30 {
		t.Errorf("only %d defaults were compared", seen)
	}
}

// An editor and the program refuse the same files.
func TestSchema_refuses(t *testing.T) {
	s := schema(t)
	for _, place := range Places {
		w := ready(place)
		raw, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range [][]byte{raw, w.Template(nil)} {
			if err := validate(t, s, file); err != nil {
				t.Errorf("%s: %s\n%v", place, file, err)
			}
		}
	}
	live := "place: live\nbaseline: {host: a, %s}\ntest: {host: b, ref: 1}\nservers: {network: hoodi, %s}\n"
	for _, file := range []string{
		"place: moon\n",
		"place: local\nblocs: 5\n",
		"place: local\nblocks: '5'\n",
		"place: local\nblocks: 0\n",
		"place: local\ntimeout: 5\n",
		"place: local\ntimeout: 5 s\n",
		"place: local\nversion: 2\n",
		"place: local\nworkflow: prover\n",
		"place: local\nload: x\n",
		"place: local\ntest: {witness: x}\n",
		"place: attached\nbaseline: {rpc: 'ftp://x'}\ntest: {rpc: 'http://x'}\n",
		fmt.Sprintf(live, "hots: a", "keep: true"),
		fmt.Sprintf(live, "ports: {rpc: 0}", "keep: true"),
		fmt.Sprintf(live, "clear: [all]", "keep: true"),
		fmt.Sprintf(live, "ref: main", "collector: x"),
	} {
		if validate(t, s, []byte(file)) == nil {
			t.Errorf("the schema lets %q through", file)
		}
		w, given, err := DecodeFile("x", []byte(file))
		if err == nil {
			err = w.ValidateGiven(given)
		}
		if err == nil || strings.Contains(err.Error(), "missing") {
			t.Errorf("the program says of %q: %v", file, err)
		}
	}
	if validate(t, s, []byte("blocks: 5\n")) == nil {
		t.Error("the schema needs no place")
	}
	for _, m := range WitnessModes {
		if err := validate(t, s, fmt.Appendf(nil, "place: local\ntest: {witness: %s}\n", m)); err != nil {
			t.Error(err)
		}
	}
	for _, l := range Loads {
		if err := validate(t, s, fmt.Appendf(nil, "place: local\nload: %s\n", l)); err != nil {
			t.Error(err)
		}
	}
}

// Each example is what the schema and the program allow, and lacks nothing.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := schema(t)
	places := make(map[Place]bool)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), "# yaml-language-server: $schema=../internal/spec/"+SchemaFile+"\n") {
			t.Errorf("%s does not name its schema", name)
		}
		if err := validate(t, s, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		w, given, err := DecodeFile(name, data)
		if err == nil {
			err = w.ValidateGiven(given)
		}
		if err != nil {
			t.Error(err)
		}
		places[w.Place] = true
		back, _, err := DecodeFile("template", w.Template(given))
		if err != nil || !reflect.DeepEqual(back, w) {
			t.Errorf("%s: the template gives %+v, want %+v, %v", name, back, w, err)
		}
	}
	for _, place := range Places {
		if !places[place] {
			t.Errorf("no example of place %s", place)
		}
	}
}

// The table of keys in the documentation is the schema's.
func TestDocs_keys(t *testing.T) {
	const name, mark = "../../docs/spec.md", "<!-- This table is made from the JSON Schema: UPDATE=1 go test ./internal/spec -->\n"
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, got, ok := strings.Cut(string(raw), mark)
	if !ok {
		t.Fatalf("%s has no place for the table of keys", name)
	}
	var want strings.Builder
	want.WriteString("| key | places | what it says |\n|---|---|---|\n")
	about := descriptions()
	for _, f := range fields() {
		if f.leaf {
			places := "all"
			if p := PlacesOf(f.key); len(p) < len(Places) {
				places = strings.ReplaceAll(joinPlaces(p), " and ", ", ")
			}
			fmt.Fprintf(&want, "| `%s` | %s | %s |\n", f.key, places, about[f.key])
		}
	}
	if got == want.String() {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("the table of keys in %s is old: UPDATE=1 go test ./internal/spec", name)
	}
	if err := os.WriteFile(name, []byte(head+mark+want.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Each file that the documentation shows is one.
func TestDocs_files(t *testing.T) {
	raw, err := os.ReadFile("../../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(raw, -1)
	if len(blocks) == 0 {
		t.Fatal("the documentation shows no file")
	}
	for _, b := range blocks {
		w, given, err := DecodeFile("docs/spec.md", b[1])
		if err == nil {
			err = w.ValidateGiven(given)
		}
		if err != nil {
			t.Errorf("%s: %v", b[1], err)
		}
	}
}
