package spec

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Keys are the keys that a user gave, dotted ("servers.network"), each with
// where: "FILE:LINE:COLUMN" for a line of a file, empty for anything else. The
// others have their defaults.
type Keys map[string]string

// Given reports whether the user gave key.
func (k Keys) Given(key string) bool { _, ok := k[key]; return ok }

// fieldOf is one key of the file: a leaf, or the mapping that holds others.
type fieldOf struct {
	key   string // dotted
	index []int
	typ   reflect.Type
	leaf  bool
	omit  bool // left out of an encoding when empty
}

// form is one kind of spec file: the keys of a struct and what is said of them.
// Functions that take a form take, as any, a pointer to a value of that struct.
type form struct {
	workflow string
	// fields lists the keys in the order of the struct, each mapping before
	// what it holds. The struct is the only place that says which there are,
	// those without a place aside.
	fields func() []fieldOf
	places []Place
	// placesOf lists the places in which a key has a meaning.
	placesOf func(key string) []Place
	// schema is the JSON Schema, schemaName the name of its file.
	schema, schemaName string
	// stated are the keys that a template always states, derived those that it
	// states only when they were given, because they follow from others.
	stated, derived []string
}

// witnessForm is the form of a witness spec.
var witnessForm = sync.OnceValue(func() *form {
	f := &form{
		workflow: Workflow, places: Places, placesOf: PlacesOf,
		schema: schemaFile, schemaName: SchemaFile,
		stated:  []string{"version", "place", "blocks"},
		derived: []string{"seed", "gas_per_block", "margin_from_control", "repository", "servers.checkpoint_sync_url"},
	}
	f.fields = sync.OnceValue(func() []fieldOf { return fieldsOf(reflect.TypeFor[Witness](), "", nil) })
	return f
})

func fieldsOf(t reflect.Type, prefix string, index []int) []fieldOf {
	var out []fieldOf
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		key, at, typ := prefix+name, append(slices.Clone(index), i), f.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		leaf := typ.Kind() != reflect.Struct
		out = append(out, fieldOf{key, at, typ, leaf, options == "omitempty"})
		if !leaf {
			out = append(out, fieldsOf(typ, key+".", at)...)
		}
	}
	return out
}

// find is the field of key.
func (m *form) find(key string) (fieldOf, bool) {
	all := m.fields()
	i := slices.IndexFunc(all, func(f fieldOf) bool { return f.key == key })
	if i < 0 {
		return fieldOf{}, false
	}
	return all[i], true
}

// names are the keys directly under prefix.
func (m *form) names(prefix string) []string {
	var out []string
	for _, f := range m.fields() {
		if rest, ok := strings.CutPrefix(f.key, prefix); ok && !strings.Contains(rest, ".") {
			out = append(out, rest)
		}
	}
	return out
}

// placeNames are the form's places, for people: "local, attached or live".
func (m *form) placeNames() string {
	names := make([]string, len(m.places))
	for i, p := range m.places {
		names[i] = string(p)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// value is the field's value in w; making says to make the structs on the way
// to it. Without it the result is invalid where one is missing.
func (f fieldOf) value(w any, making bool) reflect.Value {
	v := reflect.ValueOf(w).Elem()
	for _, i := range f.index {
		v = v.Field(i)
		if v.Kind() != reflect.Pointer {
			continue
		}
		if v.IsNil() {
			if !making {
				return reflect.Value{}
			}
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}

// AllKeys lists the keys of a spec file that hold a value, dotted, in the order
// in which a file shows them.
func AllKeys() []string {
	var out []string
	for _, f := range witnessForm().fields() {
		if f.leaf {
			out = append(out, f.key)
		}
	}
	return out
}

// PlacesOf lists the places in which key has a meaning.
func PlacesOf(key string) []Place {
	if side, rest, ok := strings.Cut(key, "."); ok && (side == "baseline" || side == "test") {
		key = "side." + rest
	}
	group, _, _ := strings.Cut(key, ".")
	switch key {
	case "side.witness":
		return []Place{Local}
	case "side.rpc":
		return []Place{Attached}
	case "side.ref", "side.args", "repository":
		return []Place{Devnet, Live}
	case "side.binary", "host":
		return []Place{Devnet}
	case "load", "gas_per_block":
		return []Place{Local, Devnet}
	case "genesis":
		return []Place{Attached, Live}
	}
	switch group {
	case "side", "servers":
		return []Place{Live}
	case "program":
		return []Place{Devnet, Live}
	}
	return Places
}

// Set sets the value of key from texts, as a flag gives them: one, or any
// number where the key holds a list. It panics on a key that is none.
func (w *Witness) Set(key string, texts ...string) error {
	return witnessForm().set(w, key, texts)
}

func (m *form) set(w any, key string, texts []string) error {
	f := m.mustFind(key)
	list := f.typ.Kind() == reflect.Slice
	if !list && len(texts) != 1 {
		return fmt.Errorf("needs one value, not %d", len(texts))
	}
	if !list {
		v, err := parse(f.typ, texts[0])
		if err == nil {
			f.value(w, true).Set(v)
		}
		return err
	}
	all := reflect.Zero(f.typ)
	for _, text := range texts {
		v, err := parse(f.typ.Elem(), text)
		if err != nil {
			return err
		}
		all = reflect.Append(all, v)
	}
	f.value(w, true).Set(all)
	return nil
}

// Texts is the value of key as Set takes it; nothing for what is not set at all.
// It panics on a key that is none.
func (w *Witness) Texts(key string) []string { return witnessForm().mustFind(key).texts(w) }

func (f fieldOf) texts(w any) []string {
	v := f.value(w, false)
	switch {
	case !v.IsValid() || v.Kind() == reflect.String && v.Len() == 0:
		return nil
	case v.Kind() == reflect.Slice:
		var out []string
		for i := range v.Len() {
			out = append(out, text(v.Index(i)))
		}
		return out
	}
	return []string{text(v)}
}

func (m *form) mustFind(key string) fieldOf {
	f, ok := m.find(key)
	if !ok || !f.leaf {
		panic("spec: " + key + " is no key") // callers name keys of the struct
	}
	return f
}

// text is one value as parse reads it.
func text(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	return fmt.Sprint(v.Interface())
}

// parse reads one value of type t. Its errors say what is expected.
func parse(t reflect.Type, text string) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	switch {
	case t == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return v, fmt.Errorf("must be a length of time with its unit, such as 30s or 5m, not %q", text)
		}
		v.SetInt(int64(d))
	case t.Kind() == reflect.String:
		v.SetString(text)
	case t.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return v, fmt.Errorf("must be true or false, not %q", text)
		}
		v.SetBool(text == "true")
	case t.Kind() == reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return v, fmt.Errorf("must be a number, not %q", text)
		}
		v.SetFloat(x)
	case v.CanInt():
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, t.Bits())
		if err != nil {
			return v, fmt.Errorf("must be a whole number, not %q", text)
		}
		v.SetInt(n)
	default:
		n, err := strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 10, t.Bits())
		if err != nil {
			return v, fmt.Errorf("must be a whole number between 0 and %d, not %q", uint64(math.MaxUint64)>>(64-t.Bits()), text)
		}
		v.SetUint(n)
	}
	return v, nil
}

// Nearest is the word among known that s is a slip of, empty when none is near.
func Nearest(s string, known []string) string {
	best, at := "", max(2, len(s)/3)+1
	if len(s) > 50 { // no slip, and it would take long
		return ""
	}
	for _, k := range slices.SortedFunc(slices.Values(known), cmp.Compare[string]) {
		if d := distance(s, k); d < at {
			best, at = k, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or exchange with their
// neighbor to make b of a.
func distance(a, b string) int {
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	before, last, row := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
