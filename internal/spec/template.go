package spec

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

//go:embed witness.schema.json
var schemaFile string

// Schema is the JSON Schema of a spec file.
func Schema() []byte { return []byte(schemaFile) }

// SchemaFile is the name under which the schema is kept beside spec files.
const SchemaFile = "witness.schema.json"

// Encode is the whole spec as YAML: what is stored with a run and hashed. Decode
// reads the same spec back, whatever its texts hold. The error is always nil.
func (w *Witness) Encode() ([]byte, error) { return witnessForm().encode(w), nil }

func (m *form) encode(w any) []byte {
	var b strings.Builder
	open := ""
	for _, f := range m.fields() {
		v := f.value(w, false)
		if !f.leaf || !v.IsValid() || f.omit && v.IsZero() {
			continue
		}
		open = writeKey(&b, open, f, yamlValue(f, w))
	}
	return []byte(b.String())
}

// Template is w as a spec file for people: what has its default is left out,
// unless the user gave it, and each value stands under a line that explains it.
// DecodeFile reads the same spec back, the seed apart if it was not given.
func (w *Witness) Template(given Keys) []byte {
	base := Defaults(w.Place)
	return witnessForm().template(w, &base, w.Place, given)
}

// template is w, whose defaults are base, as a spec file for people.
func (m *form) template(w, base any, place Place, given Keys) []byte {
	about := m.descriptions()
	var b strings.Builder
	fmt.Fprintf(&b, "# yaml-language-server: $schema=%s\n", m.schemaName)
	fmt.Fprintf(&b, "# The schema, which editors check this file by: verdict %s --schema > %s\n", m.workflow, m.schemaName)
	open := ""
	for _, f := range m.fields() {
		if !f.leaf || !m.states(f, w, base, place, given) {
			continue
		}
		explain := about[f.key]
		if slices.Contains([]string{"version", "workflow", "place"}, f.key) {
			explain = ""
		}
		open = writeKey(&b, open, f, yamlValue(f, w), explain)
	}
	return []byte(b.String())
}

// writeKey writes one key with its value, under comments that explain it, and
// before it the mappings that it is in and that open, the one of the key before,
// is not in. It returns the key's own.
func writeKey(b *strings.Builder, open string, f fieldOf, value string, explain ...string) string {
	group := f.key[:strings.LastIndex(f.key, ".")+1]
	openGroups(b, open, group)
	indent := strings.Repeat("  ", strings.Count(group, "."))
	for _, text := range explain {
		comment(b, indent, text)
	}
	fmt.Fprintf(b, "%s%s: %s\n", indent, f.key[len(group):], value)
	return group
}

// comment writes text as comment lines of at most 80 columns.
func comment(b *strings.Builder, indent, text string) {
	if text == "" {
		return
	}
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 80 {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// states says whether a template states the value of f.
func (m *form) states(f fieldOf, w, base any, place Place, given Keys) bool {
	texts := f.texts(w)
	switch {
	case !slices.Contains(m.placesOf(f.key), place), len(texts) == 0 && !given.Given(f.key):
		return false
	case slices.Contains(m.stated, f.key), given.Given(f.key):
		return true
	case slices.Contains(m.derived, f.key):
		return false
	}
	return !slices.Equal(texts, f.texts(base))
}

// openGroups writes the keys of the mappings that group is in and open is not.
func openGroups(b *strings.Builder, open, group string) {
	for i, c := range group {
		if c != '.' || strings.HasPrefix(open, group[:i+1]) {
			continue
		}
		name := group[:i]
		indent := strings.Repeat("  ", strings.Count(name, "."))
		fmt.Fprintf(b, "%s%s:\n", indent, name[strings.LastIndex(name, ".")+1:])
	}
}

// yamlValue is the value of f in w as one line of YAML.
func yamlValue(f fieldOf, w any) string {
	texts := f.texts(w)
	if f.typ.Kind() == reflect.Slice {
		quoted := make([]string, len(texts))
		for i, t := range texts {
			quoted[i] = quote(t)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	if len(texts) == 0 {
		return `""`
	}
	if f.typ.Kind() == reflect.String {
		return quote(texts[0])
	}
	return texts[0]
}

// quote is text as YAML. What could be read as anything else than itself stands
// in quotes, with the escapes that YAML and JSON share.
func quote(text string) string {
	plain := text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-./", r))
	})
	first := strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/")
	if plain && first != text && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text)) {
		return text
	}
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	return string(raw)
}

// node is what is read of a part of the schema.
type node struct {
	Ref         string          `json:"$ref"`
	Description string          `json:"description"`
	Properties  map[string]node `json:"properties"`
}

// descriptions are the schema's explanations by key: there is one text for
// editors and for files.
func (m *form) descriptions() map[string]string {
	var root struct {
		node
		Defs map[string]node `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(m.schema), &root); err != nil {
		panic(err) // it is part of this program, and a test reads it
	}
	out := make(map[string]string)
	var walk func(n node, prefix string)
	walk = func(n node, prefix string) {
		if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
			n.Properties = root.Defs[name].Properties
		}
		for key, p := range n.Properties {
			out[prefix+key] = p.Description
			walk(p, prefix+key+".")
		}
	}
	walk(root.node, "")
	return out
}
