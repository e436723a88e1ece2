package verdict

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/verdict-bench/verdict/"

// layers are the packages from top to bottom. A package imports only from
// layers below its own, or from its own layer where sideways says so.
var layers = [][]string{
	{"cmd/verdict"},
	{"internal/cli"},
	{"internal/report", "internal/tui"},
	{"internal/bench", "internal/prove"},
	{"internal/l1", "internal/sequencer", "internal/prover", "internal/observe", "internal/journal", "internal/artifact"},
	{"internal/collect", "internal/drive", "internal/devnet", "internal/store", "internal/host", "internal/setup", "internal/send", "internal/beacon", "internal/inspect", "internal/coordinator"},
	{"internal/stateless", "internal/batch", "internal/load", "internal/genesis", "internal/witness", "internal/ethrpc", "internal/chaintest"},
	{"internal/plan", "internal/compare", "internal/doctor"},
	{"internal/program"},
	{"internal/spec", "internal/intake"},
	{"internal/stat"},
	{"internal/sample", "internal/fault", "internal/scripttest", "internal/sshdtest", "internal/contract", "internal/chart", "internal/shell", "internal/proverlog", "internal/jsonstream", "internal/tracelog"},
}

// sideways are the imports within a layer, each with its reason.
var sideways = map[string]string{
	"internal/witness → internal/ethrpc":    "a JSON-RPC error inside an answer keeps its type",
	"internal/stateless → internal/witness": "it verifies what witness decodes",
	"internal/proverlog → internal/sample":  "the attempts in a log are those of a samples file",
	"internal/stateless → internal/genesis": "the local chain's configuration",
	"internal/stateless → internal/ethrpc":  "a block answer can be a JSON-RPC error",
	"internal/load → internal/genesis":      "the accounts of the local chain",
	"internal/batch → internal/stateless":   "a batch is executed as its blocks are",
	"internal/batch → internal/witness":     "a batch carries a witness",
	"internal/sequencer → internal/l1":      "the sequencer reads and writes the contracts on the L1",
	"internal/inspect → internal/host":      "facts are asked of a login shell, and verdict is copied to other machines",
	"internal/inspect → internal/beacon":    "what the consensus client says is part of the facts",
	"internal/coordinator → internal/store": "a recording's lines and whole files are written as those of a run",
	"internal/beacon → internal/drive":      "the stand-in delivers its blocks with the driver",
}

// heavy are imports that cost minutes of building or tens of megabytes of
// binary: who may have them, and why nobody else.
var heavy = map[string][]string{
	"github.com/ethereum/go-ethereum/eth":    {"internal/devnet"},
	"github.com/ethereum/go-ethereum/node":   {"internal/devnet"},
	"github.com/ethereum/go-ethereum/core":   {"internal/devnet", "internal/genesis", "internal/stateless"},
	"github.com/spf13/cobra":                 {"internal/cli"},
	"golang.org/x/term":                      {"internal/cli"},
	"charm.land/huh/v2":                      {"internal/tui"},
	"github.com/muesli/cancelreader":         {"internal/tui"},
	"os/exec":                                {"internal/host", "internal/scripttest", "internal/sshdtest"},
	"flag":                                   {},
	"github.com/ethereum/go-ethereum/rpc":    {"internal/devnet"},
	"github.com/ethereum/go-ethereum/triedb": {"internal/devnet", "internal/genesis", "internal/stateless"},
}

// pure packages see no clock, network, files or unseeded randomness.
var pure = []string{"internal/sample", "internal/proverlog", "internal/chart", "internal/stat", "internal/compare", "internal/plan", "internal/spec", "internal/doctor"}

// impure are the packages and functions that make one impure.
var impure = []string{"os", "net", "net/http", "crypto/rand", "time.Now", "time.Sleep", "time.After", "os/exec"}

// banned names say nothing about what is inside.
var banned = strings.Fields("util utils common helper helpers misc shared base types models core lib api manager service")

const (
	maxFunction = 100
	maxFile     = 800
)

// source is one parsed Go file that is not a test.
type source struct {
	path, pkg string
	file      *ast.File
	fset      *token.FileSet
}

// sources parses the checkout itself, so that the test cache, which sees only
// imported packages, cannot hide a violation.
func sources(t *testing.T, tests bool) []source {
	t.Helper()
	var out []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") != tests {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{path, filepath.ToSlash(filepath.Dir(path)), file, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func layerOf(pkg string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, pkg) })
}

func TestArch_imports(t *testing.T) {
	used := make(map[string]bool)
	for _, s := range sources(t, false) {
		if strings.HasPrefix(s.pkg, "bench/") || s.pkg == "e2e" || s.pkg == "." {
			continue
		}
		from := layerOf(s.pkg)
		if from < 0 {
			t.Errorf("%s: package %s stands in no layer of arch_test.go", s.path, s.pkg)
			continue
		}
		for _, imp := range s.file.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if allowed, ok := heavy[path]; ok && !slices.Contains(allowed, s.pkg) {
				t.Errorf("%s imports %s, which only %v may", s.path, path, allowed)
			}
			to, own := strings.CutPrefix(path, module)
			if !own {
				continue
			}
			edge := s.pkg + " → " + to
			switch down := layerOf(to); {
			case down < 0:
				t.Errorf("%s imports %s, which stands in no layer", s.path, to)
			case down < from:
				t.Errorf("%s: %s points up", s.path, edge)
			case down == from && sideways[edge] == "":
				t.Errorf("%s: %s points sideways without a reason in arch_test.go", s.path, edge)
			}
			used[edge] = true
		}
	}
	for edge := range sideways {
		if !used[edge] {
			t.Errorf("arch_test.go allows %s, which does not exist: remove it", edge)
		}
	}
}

func TestArch_pure(t *testing.T) {
	for _, s := range sources(t, false) {
		if !slices.Contains(pure, s.pkg) {
			continue
		}
		for _, imp := range s.file.Imports {
			if path := strings.Trim(imp.Path.Value, `"`); slices.Contains(impure, path) {
				t.Errorf("%s: pure package %s imports %s", s.path, s.pkg, path)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(impure, x.Name+"."+sel.Sel.Name) {
				t.Errorf("%s: pure package %s uses %s.%s", s.fset.Position(n.Pos()), s.pkg, x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

func TestArch_packages(t *testing.T) {
	docs := make(map[string]int)
	seen := make(map[string]bool)
	for _, s := range sources(t, false) {
		seen[s.pkg] = true
		if s.file.Doc != nil {
			docs[s.pkg]++
		}
		name := s.file.Name.Name
		if slices.Contains(banned, name) || strings.Contains(name, "_") {
			t.Errorf("%s: package name %q says nothing about what is inside", s.path, name)
		}
		if strings.Count(s.pkg, "/") > 1 {
			t.Errorf("%s: packages stand on one level", s.path)
		}
	}
	for pkg := range seen {
		if docs[pkg] != 1 {
			t.Errorf("package %s has %d package comments, want one", pkg, docs[pkg])
		}
	}
}

func TestArch_size(t *testing.T) {
	for _, s := range append(sources(t, false), sources(t, true)...) {
		if lines := s.fset.File(s.file.Pos()).LineCount(); lines > maxFile {
			t.Errorf("%s has %d lines, more than %d", s.path, lines, maxFile)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			from, to := s.fset.Position(f.Pos()).Line, s.fset.Position(f.End()).Line
			if n := to - from + 1; n > maxFunction {
				t.Errorf("%s:%d: %s has %d lines, more than %d", s.path, from, f.Name.Name, n, maxFunction)
			}
			if f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: init hides an effect of importing", s.path, from)
			}
			// Unexported types may have to satisfy other people's interfaces.
			if f.Recv != nil && strings.HasPrefix(f.Name.Name, "Get") && !isMethodOfInterface(f) {
				t.Errorf("%s:%d: method %s: leave out the Get", s.path, from, f.Name.Name)
			}
		}
	}
}

// Every exported declaration says what it is.
func TestArch_comments(t *testing.T) {
	for _, s := range sources(t, false) {
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && !isMethodOfInterface(d) {
					t.Errorf("%s: %s has no comment", s.fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
						t.Errorf("%s: %s has no comment", s.fset.Position(ts.Pos()), ts.Name.Name)
					}
				}
			}
		}
	}
}

// isMethodOfInterface reports methods whose meaning their interface gives, or
// that belong to an unexported type.
func isMethodOfInterface(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return false
	}
	if slices.Contains([]string{"Error", "String", "Read", "Write", "Close", "Unwrap"}, d.Name.Name) {
		return true
	}
	recv := d.Recv.List[0].Type
	if star, ok := recv.(*ast.StarExpr); ok {
		recv = star.X
	}
	id, ok := recv.(*ast.Ident)
	return ok && !id.IsExported()
}

// Nothing of the machine that a file was written on may stay in it.
func TestArch_machinePaths(t *testing.T) {
	for _, dir := range []string{"/root/", "/home/"} {
		for _, s := range sources(t, false) {
			raw, err := os.ReadFile(s.path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(raw), dir) {
				t.Errorf("%s mentions %s", s.path, dir)
			}
		}
	}
}
