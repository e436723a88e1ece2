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

// forms are the forms of spec files, each with the defaults of a place and a spec
// of it that lacks nothing.
var forms = []struct {
	form     *form
	defaults func(Place) any
	ready    func(Place) any
}{
	{witnessForm(), func(p Place) any { return new(Defaults(p)) }, func(p Place) any { return new(ready(p)) }},
	{proverForm(), func(p Place) any { return new(ProverDefaults(p)) }, func(p Place) any { return new(readyProver(p)) }},
}

// schema compiles the JSON Schema of spec files.
func schema(t *testing.T, m *form) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(m.schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(m.schemaName, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(m.schemaName)
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
	for _, m := range forms {
		about := m.form.descriptions()
		for _, f := range m.form.fields() {
			if about[f.key] == "" {
				t.Errorf("%s has no description of %s", m.form.schemaName, f.key)
			}
			delete(about, f.key)
		}
		for key := range about {
			t.Errorf("%s has the key %s, which no spec has", m.form.schemaName, key)
		}
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
	for _, m := range forms {
		var root struct {
			property
			Defs map[string]property `json:"$defs"`
		}
		d := json.NewDecoder(strings.NewReader(m.form.schema))
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
				for _, place := range m.form.placesOf(key) {
					got := strings.Join(m.form.mustFind(key).texts(m.defaults(place)), ",")
					if got != fmt.Sprint(inner.Default) {
						t.Errorf("the default of %s is %v in %s and %q in place %s", key, inner.Default, m.form.schemaName, got, place)
					}
				}
			}
		}
		walk(root.property, "")
		if seen < 15 {
			t.Errorf("only %d defaults of %s were compared", seen, m.form.schemaName)
		}
	}
}

// An editor and the program refuse the same files.
func TestSchema_refuses(t *testing.T) {
	s := schema(t, witnessForm())
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
	seen := make(map[string]bool)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := witnessForm()
		if strings.HasPrefix(filepath.Base(name), "prover-") {
			m = proverForm()
		}
		if !strings.HasPrefix(string(data), "# yaml-language-server: $schema=../internal/spec/"+m.schemaName+"\n") {
			t.Errorf("%s does not name its schema", name)
		}
		if err := validate(t, schema(t, m), data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen[m.workflow+" "+string(checkExample(t, m, name, data))] = true
	}
	for _, m := range forms {
		for _, place := range m.form.places {
			if !seen[m.form.workflow+" "+string(place)] {
				t.Errorf("no example of verdict %s in place %s", m.form.workflow, place)
			}
		}
	}
}

// checkExample checks that a file lacks nothing and that its template says the
// same, and returns its place.
func checkExample(t *testing.T, m *form, name string, data []byte) Place {
	t.Helper()
	if m.workflow == ProverWorkflow {
		p, given, err := DecodeProverFile(name, data)
		if err == nil {
			err = p.ValidateGiven(given)
		}
		if err != nil {
			t.Error(err)
		}
		back, _, err := DecodeProverFile("template", p.Template(given))
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%s: the template gives %+v, want %+v, %v", name, back, p, err)
		}
		return p.Place
	}
	w, given, err := DecodeFile(name, data)
	if err == nil {
		err = w.ValidateGiven(given)
	}
	if err != nil {
		t.Error(err)
	}
	back, _, err := DecodeFile("template", w.Template(given))
	if err != nil || !reflect.DeepEqual(back, w) {
		t.Errorf("%s: the template gives %+v, want %+v, %v", name, back, w, err)
	}
	return w.Place
}

// The tables of keys in the documentation are the schemas'.
func TestDocs_keys(t *testing.T) {
	const name = "../../docs/spec.md"
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, m := range forms {
		mark := fmt.Sprintf("<!-- This table is made from %s: UPDATE=1 go test ./internal/spec -->\n", m.form.schemaName)
		head, rest, ok := strings.Cut(text, mark)
		if !ok {
			t.Fatalf("%s has no place for the keys of %s", name, m.form.schemaName)
		}
		_, tail, more := strings.Cut(rest, "\n\n")
		if more {
			tail = "\n" + tail
		}
		text = head + mark + keyTable(m.form) + tail
	}
	if text == string(raw) {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("the tables of keys in %s are old: UPDATE=1 go test ./internal/spec", name)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// keyTable is the documentation of the keys of m.
func keyTable(m *form) string {
	var b strings.Builder
	b.WriteString("| key | places | what it says |\n|---|---|---|\n")
	about := m.descriptions()
	for _, f := range m.fields() {
		if f.leaf {
			places := "all"
			if p := m.placesOf(f.key); len(p) < len(m.places) {
				places = strings.ReplaceAll(joinPlaces(p), " and ", ", ")
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, places, about[f.key])
		}
	}
	return b.String()
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
