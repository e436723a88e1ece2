package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/shell"
)

// MaxSize is the most bytes that a spec file may have.
const MaxSize = 64 << 10

// Decode reads a complete spec as Encode writes it; nothing is filled in. Its
// errors say "LINE:COLUMN: what is wrong", one line for each.
func Decode(data []byte) (Witness, error) {
	var w Witness
	err := witnessForm().decode(data, &w)
	return w, err
}

// decode reads what encode wrote into w.
func (m *form) decode(data []byte, w any) error {
	d := decoder{form: m, keys: make(Keys)}
	if root := d.parse(data); root != nil {
		d.header(root)
		if len(d.wrong) == 0 {
			d.mapping(root, "", w)
		}
	}
	return d.err()
}

// DecodeFile reads a spec that a user wrote: what has a default may be left
// out, and gets that of its place. It is not validated yet, because flags and
// answers can still add to it: see [Witness.Complete] and [Witness.Validate].
// The keys are those in the file; name is how its errors call it.
func DecodeFile(name string, data []byte) (Witness, Keys, error) {
	var w Witness
	keys, err := witnessForm().decodeFile(name, data, func(place Place) any {
		w = Defaults(place)
		return &w
	})
	if err != nil {
		return w, nil, err
	}
	w.Complete(keys)
	return w, keys, nil
}

// decodeFile reads a file over the defaults of its place.
func (m *form) decodeFile(name string, data []byte, defaults func(Place) any) (Keys, error) {
	d := decoder{form: m, name: name, keys: make(Keys)}
	root := d.parse(data)
	if root == nil {
		return nil, d.err()
	}
	d.header(root)
	if d.other != "" {
		return nil, d.err() // another kind of file has other places and keys
	}
	// Files without a workflow are as old as the witness workflow.
	if !d.told && m.workflow != Workflow {
		d.complain(root.GetToken(), "workflow is missing: a file for verdict %[1]s says \"workflow: %[1]s\"", m.workflow)
		return nil, d.err()
	}
	place := d.place(root)
	w := defaults(place)
	if len(d.wrong) == 0 {
		d.mapping(root, "", w)
	}
	return d.keys, d.err()
}

// Hash identifies the spec: "sha256:" and 64 digits over its encoding.
func Hash(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// decoder carries the values of a YAML tree into a spec and collects all that
// is wrong with it. The tree is walked here and not by the library's decoder,
// which stops at the first error and tells of Go's types.
type decoder struct {
	form *form
	name string
	// told says that the file names a workflow, other is that when it is
	// another one.
	told  bool
	other string
	keys  Keys
	wrong []string
}

// maxWrong is how many errors are worth reading.
const maxWrong = 20

func (d *decoder) complain(t *token.Token, format string, args ...any) {
	d.wrong = append(d.wrong, d.at(t)+": "+fmt.Sprintf(format, args...))
}

// at is a place in the file.
func (d *decoder) at(t *token.Token) string {
	line, column := 1, 1
	if t != nil && t.Position != nil {
		line, column = t.Position.Line, t.Position.Column
	}
	if d.name == "" {
		return fmt.Sprintf("%d:%d", line, column)
	}
	return fmt.Sprintf("%s:%d:%d", d.name, line, column)
}

func (d *decoder) err() error {
	if len(d.wrong) == 0 {
		return nil
	}
	if more := len(d.wrong) - maxWrong; more > 0 {
		d.wrong = append(d.wrong[:maxWrong], fmt.Sprintf("and %d more errors", more))
	}
	err := fault.Newf(fault.Usage, "%s", strings.Join(d.wrong, "\n"))
	if d.name != "" && slices.Contains(workflows, d.other) {
		err = err.Hint("%s", shell.Join("verdict", d.other, d.name))
	}
	return err
}

// parse is the root of the one document in data, nil when there is none.
func (d *decoder) parse(data []byte) *ast.MappingNode {
	switch {
	case len(data) > MaxSize:
		d.complain(nil, "the file has more than %d KiB: it is no spec", MaxSize>>10)
		return nil
	case !utf8.Valid(data):
		d.complain(nil, "the file is not UTF-8 text")
		return nil
	case slices.Contains(data, 0):
		d.complain(nil, "the file holds a zero byte: it is no text")
		return nil
	}
	if d.tabs(data) || d.deep(data) {
		return nil
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.syntax(err)
		return nil
	}
	var docs []*ast.DocumentNode
	for _, doc := range file.Docs {
		if doc.Body != nil {
			docs = append(docs, doc)
		}
	}
	if len(docs) == 0 {
		d.complain(nil, "the file is empty")
		return nil
	}
	if len(docs) > 1 {
		at := docs[1].Start
		if at == nil {
			at = docs[1].Body.GetToken()
		}
		d.complain(at, "a second document begins: a file holds one spec")
		return nil
	}
	root, ok := asMapping(docs[0].Body)
	if !ok {
		d.complain(docs[0].Body.GetToken(), "a spec is lines of the form \"key: value\"")
	}
	return root
}

// tabs says where a tab indents a line, which YAML forbids and editors hide.
func (d *decoder) tabs(data []byte) bool {
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		blank := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if i := strings.IndexByte(blank, '\t'); i >= 0 && strings.TrimSpace(line) != "" {
			d.complain(&token.Token{Position: &token.Position{Line: n, Column: i + 1}}, "a tab indents this line: use spaces")
			return true
		}
	}
	return false
}

// maxNesting is far more than a spec needs and far less than what the parser
// cannot bear.
const maxNesting = 64

// deep says whether brackets, or the entries of one line, nest too deeply.
func (d *decoder) deep(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		if strings.Count(line, "- ") > maxNesting || strings.Count(line, ": ") > maxNesting || strings.Count(line, "? ") > maxNesting {
			d.complain(nil, "values nest too deeply: the file is no spec")
			return true
		}
	}
	if strings.Count(string(data), "[") > maxNesting || strings.Count(string(data), "{") > maxNesting {
		d.complain(nil, "there are more than %d brackets: the file is no spec", maxNesting)
		return true
	}
	return false
}

// syntax reports what the parser says.
func (d *decoder) syntax(err error) {
	var e yaml.Error
	if errors.As(err, &e) {
		d.complain(e.GetToken(), "%s", e.GetMessage())
		return
	}
	d.complain(nil, "%v", err)
}

// workflows are those that a file can be for.
var workflows = []string{Workflow, ProverWorkflow}

// header checks what kind of file it is, before anything else is said of it.
func (d *decoder) header(root *ast.MappingNode) {
	for _, entry := range root.Values {
		text, _, ok := scalar(entry.Value)
		if !ok {
			continue
		}
		at := entry.Value.GetToken()
		switch entry.Key.String() {
		case "version":
			n, err := strconv.Atoi(text)
			switch {
			case err != nil || n < 1:
				d.complain(at, "version %q is unknown: this verdict reads up to %d", text, Version)
			case n > Version:
				d.complain(at, "the spec has version %d, this verdict reads up to %d", n, Version)
			}
		case "workflow":
			d.told = true
			if text != d.form.workflow {
				d.other = text
				d.complain(at, "workflow is %q: this is no file for verdict %s", text, d.form.workflow)
			}
		}
	}
}

// place is the place that the file names, which decides the defaults.
func (d *decoder) place(root *ast.MappingNode) Place {
	for _, entry := range root.Values {
		if entry.Key.String() != "place" {
			continue
		}
		text, _, _ := scalar(entry.Value)
		if !slices.Contains(d.form.places, Place(text)) {
			d.complain(entry.Value.GetToken(), "place %q is unknown: choose %s", text, d.form.placeNames())
		}
		return Place(text)
	}
	d.complain(root.GetToken(), "place is missing: choose %s", d.form.placeNames())
	return ""
}

// mapping carries the entries of one mapping, whose key is prefix without its
// last dot, into w.
func (d *decoder) mapping(m *ast.MappingNode, prefix string, w any) {
	seen := make(map[string]bool)
	for _, entry := range m.Values {
		name, _, ok := scalar(entry.Key)
		at := entry.Key.GetToken()
		if !ok {
			d.complain(at, "this is no key of a spec")
			continue
		}
		f, known := d.form.find(prefix + name)
		switch {
		case !known || strings.Contains(name, "."):
			d.unknown(at, prefix, name)
		case seen[name]:
			d.complain(at, "key %q stands here twice", name)
		case f.leaf:
			d.keys[f.key] = d.at(at)
			d.leaf(f, entry.Value, w)
		default:
			if inner, ok := asMapping(entry.Value); ok {
				f.value(w, true)
				d.mapping(inner, f.key+".", w)
			} else {
				d.complain(entry.Value.GetToken(), "%s holds keys of its own: %s", f.key, strings.Join(d.form.names(f.key+"."), ", "))
			}
		}
		seen[name] = true
	}
}

func (d *decoder) unknown(at *token.Token, prefix, name string) {
	where := ""
	if prefix != "" {
		where = " in " + strings.TrimSuffix(prefix, ".")
	}
	if near := Nearest(name, d.form.names(prefix)); near != "" {
		d.complain(at, "unknown key %q%s: did you mean %q?", name, where, near)
		return
	}
	for _, f := range d.form.fields() {
		if strings.HasSuffix(f.key, "."+name) {
			d.complain(at, "unknown key %q%s: it belongs into %s", name, where, strings.TrimSuffix(f.key, "."+name))
			return
		}
	}
	d.complain(at, "unknown key %q%s: the keys are %s", name, where, strings.Join(d.form.names(prefix), ", "))
}

// leaf carries one value, or a list of them, into w.
func (d *decoder) leaf(f fieldOf, node ast.Node, w any) {
	if f.typ.Kind() != reflect.Slice {
		if v, ok := d.value(f.key, f.typ, node); ok {
			f.value(w, true).Set(v)
		}
		return
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.complain(node.GetToken(), "%s must be a list: [first, second]", f.key)
		return
	}
	all := reflect.Zero(f.typ)
	for _, entry := range list.Values {
		if v, ok := d.value(f.key, f.typ.Elem(), entry); ok {
			all = reflect.Append(all, v)
		}
	}
	f.value(w, true).Set(all)
}

func (d *decoder) value(key string, t reflect.Type, node ast.Node) (reflect.Value, bool) {
	text, quoted, ok := scalar(node)
	if !ok {
		d.complain(node.GetToken(), "%s %s", key, noScalar(node))
		return reflect.Value{}, false
	}
	v, err := parse(t, text)
	if err == nil && quoted && t.Kind() != reflect.String {
		err = errors.New("must stand without quotes")
	}
	if err != nil {
		d.complain(node.GetToken(), "%s %v", key, err)
	}
	return v, err == nil
}

// noScalar says why node is no value.
func noScalar(node ast.Node) string {
	switch node.(type) {
	case *ast.NullNode:
		return "has no value: leave the line out for the default"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "uses an anchor or alias, which a spec may not: write the value out"
	case *ast.TagNode:
		return "has a tag, which a spec may not: leave the word with ! out"
	}
	return "must be a single value"
}

// scalar is the text of a single value as it stands in the file, so that a ref
// like 0123 or 12e4 stays what it is, and whether it stands in quotes.
func scalar(node ast.Node) (text string, quoted, ok bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType, true
	case *ast.LiteralNode:
		return n.Value.Value, true, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, false, true
	}
	return "", false, false
}

// asMapping is node as a mapping; the parser gives a mapping with one entry as
// that entry.
func asMapping(node ast.Node) (*ast.MappingNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n, true
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: n.BaseNode, Start: n.Start, Values: []*ast.MappingValueNode{n}}, true
	}
	return nil, false
}
