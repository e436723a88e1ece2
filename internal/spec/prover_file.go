package spec

import (
	_ "embed"
	"reflect"
	"slices"
	"strings"
	"sync"
)

//go:embed prover.schema.json
var proverSchema string

// ProverSchemaFile is the name under which the schema of prover specs is kept
// beside them.
const ProverSchemaFile = "prover.schema.json"

// ProverSchema is the JSON Schema of a spec file for a proving benchmark.
func ProverSchema() []byte { return []byte(proverSchema) }

// proverForm is the form of a prover spec.
var proverForm = sync.OnceValue(func() *form {
	f := &form{
		workflow: ProverWorkflow, places: ProverPlaces, placesOf: ProverPlacesOf,
		schema: proverSchema, schemaName: ProverSchemaFile,
		stated: []string{"version", "workflow", "place", "batches"},
		derived: []string{
			"seed", "backend", "gpu", "l1", "repository", "hold_committer", "endless", "tps",
			"intervals.block", "intervals.commit", "intervals.watch", "intervals.send", "intervals.poll",
			"timeouts.ready", "timeouts.funded", "timeouts.loaded", "timeouts.proof",
		},
	}
	f.fields = sync.OnceValue(func() []fieldOf {
		// A side and a program are those of every spec; most of what they hold
		// is not for this one.
		return slices.DeleteFunc(fieldsOf(reflect.TypeFor[Prover](), "", nil), func(f fieldOf) bool {
			return len(ProverPlacesOf(f.key)) == 0
		})
	})
	return f
})

// ProverPlacesOf lists the places in which a key of a proving benchmark has a
// meaning; none when it is no key.
func ProverPlacesOf(key string) []Place {
	switch group, rest, nested := strings.Cut(key, "."); {
	case key == "host":
		return []Place{Live}
	case nested && (group == "baseline" || group == "test") && !slices.Contains([]string{"ref", "binary", "args"}, rest):
		return nil
	case nested && group == "program" && !slices.Contains([]string{"name", "build", "binary", "args"}, rest):
		return nil
	}
	return ProverPlaces
}

// ProverKeys lists the keys of a prover spec that hold a value, dotted, in the
// order in which a file shows them.
func ProverKeys() []string {
	var out []string
	for _, f := range proverForm().fields() {
		if f.leaf {
			out = append(out, f.key)
		}
	}
	return out
}

// DecodeProver reads a complete spec as Encode writes it; nothing is filled in.
// Its errors say "LINE:COLUMN: what is wrong", one line for each.
func DecodeProver(data []byte) (Prover, error) {
	var p Prover
	err := proverForm().decode(data, &p)
	return p, err
}

// DecodeProverFile reads a spec that a user wrote, as DecodeFile does one of a
// witness benchmark. The file has to say that it is for this workflow.
func DecodeProverFile(name string, data []byte) (Prover, Keys, error) {
	var p Prover
	keys, err := proverForm().decodeFile(name, data, func(place Place) any {
		p = ProverDefaults(place)
		return &p
	})
	if err != nil {
		return p, nil, err
	}
	p.Complete(keys)
	return p, keys, nil
}

// Set sets the value of key from texts, as Witness.Set does.
func (p *Prover) Set(key string, texts ...string) error { return proverForm().set(p, key, texts) }

// Texts is the value of key as Set takes it; nothing for what is not set at all.
// It panics on a key that is none.
func (p *Prover) Texts(key string) []string { return proverForm().mustFind(key).texts(p) }

// Encode is the whole spec as YAML: what is stored with a run and hashed.
// DecodeProver reads the same spec back. The error is always nil.
func (p *Prover) Encode() ([]byte, error) { return proverForm().encode(p), nil }

// Template is p as a spec file for people: what has its default is left out,
// unless the user gave it, and each value stands under a line that explains it.
// DecodeProverFile reads the same spec back, the seed apart if it was not given.
func (p *Prover) Template(given Keys) []byte {
	base := ProverDefaults(p.Place)
	return proverForm().template(p, &base, p.Place, given)
}
