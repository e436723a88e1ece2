package coordinator

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

// recorded makes a recording of the documents by letting a prover ask for each.
func recorded(t testing.TB, dir string, docs ...[]byte) {
	t.Helper()
	next := make(chan []byte, len(docs))
	for _, d := range docs {
		next <- d
	}
	upstream := serve(t, Limits{}, func(ctx context.Context, r Received, w io.Writer) error {
		return always(<-next)(ctx, r, w)
	}, nil)
	passed := make(chan Exchange)
	addr, stop := proxy(t, upstream, dir, Limits{}, func(e Exchange) { passed <- e })
	for range docs {
		if _, _, err := ask1(t, addr, request); err != nil {
			t.Fatal(err)
		}
		// The prover has its answer before the recorder has done with it.
		<-passed
	}
	stop()
}

func TestRecording_goesOn(t *testing.T) {
	dir := t.TempDir()
	recorded(t, dir, response(1, 100), response(2, 100_000))
	recorded(t, dir, response(2, 100_000), response(3, 100), response(1, 200))
	r := open(t, dir)
	if len(r.Batches) != 3 || r.Batches[0].Differing != 1 || r.Batches[1].Seen != 2 || r.Batches[2].Number != 3 {
		t.Errorf("batches: %+v", r.Batches)
	}
	if len(r.Exchanges) != 5 || len(r.Manifest.Upstreams) != 2 {
		t.Errorf("%d exchanges of %v", len(r.Exchanges), r.Manifest.Upstreams)
	}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
}

// Wherever a recorder is killed, what it had stored can be read and gone on
// with.
func TestRecording_killed(t *testing.T) {
	dir := t.TempDir()
	recorded(t, dir, response(1, 100), response(2, 100))
	lines := filepath.Join(dir, exchangesName)
	raw, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	coming := filepath.Join(dir, batchesName, unfinished+"1")
	for cut := range len(raw) + 1 {
		if err := os.WriteFile(lines, raw[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(coming, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil || len(r.Batches) != 2 || r.Check() != nil {
			t.Fatalf("cut at %d: %+v, %v", cut, r, err)
		}
		// Going on forces files to the disk, which takes its time.
		if cut%40 != 0 && cut != len(raw) {
			continue
		}
		rec, err := Record(dir, "host:1", "", began)
		if err != nil {
			t.Fatalf("cut at %d: going on: %v", cut, err)
		}
		if err := rec.Close(); err != nil {
			t.Fatal(err)
		}
		if exists(coming) {
			t.Fatalf("cut at %d: %s is left", cut, coming)
		}
	}
	for _, name := range []string{lines, filepath.Join(dir, recordingName)} {
		os.Remove(name)
	}
	// Killed before the manifest: the directory is begun anew around the
	// documents that are whole.
	rec, err := Record(dir, "host:1", "", began)
	if err != nil {
		t.Fatal(err)
	}
	rec.Close()
	if r := open(t, dir); len(r.Batches) != 2 || len(r.Warnings) != 2 {
		t.Errorf("begun anew: %+v", r)
	}
}

func TestRecording_refuses(t *testing.T) {
	check := func(name string, damage func(dir string) error, parts ...string) {
		t.Helper()
		dir := t.TempDir()
		recorded(t, dir, response(1, 100), response(2, 100))
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err == nil {
			err = r.Check()
		}
		if err == nil || fault.KindOf(err) != fault.Usage {
			t.Fatalf("%s: %v, want an error of usage", name, err)
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q in it", name, err, part)
			}
		}
	}
	replace := func(name, old, by string) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, name)
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(raw, []byte(old), []byte(by), 1), 0o600)
		}
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.RemoveAll(filepath.Join(dir, name)) }
	}
	check("no recording", remove(recordingName), "is no recording")
	check("newer", replace(recordingName, `"v": 1`, `"v": 2`), recordingName, "format 2", "up to 1")
	check("newer lines", replace(exchangesName, `"v":1`, `"v":2`), exchangesName+":1", "format 2")
	check("no version", replace(recordingName, `"v"`, `"w"`), recordingName, "no version")
	check("no JSON", replace(recordingName, `{`, ``), recordingName)
	check("a broken line", replace(exchangesName, `{`, `<`), exchangesName+":1")
	check("a batch is missing", remove("batches/2.json"), "2.json is missing", "line 2")
	check("no batches", remove(batchesName), batchesName)
	check("longer", replace("batches/1.json", `{`, ` {`), "1.json", "bytes")
	check("changed", replace("batches/1.json", `255`, `254`), "1.json was changed")
	check("another batch", func(dir string) error {
		return os.Rename(filepath.Join(dir, "batches/1.json"), filepath.Join(dir, "batches/5.json"))
	}, "1.json is missing")
	check("an unknown batch", func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "batches/5.json"), response(1, 10), 0o600)
	}, "5.json", "of batch 1")
	if _, err := Open(filepath.Join(t.TempDir(), "none")); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "none") {
		t.Errorf("a directory that does not exist: %v", err)
	}
}

func TestRecord_refuses(t *testing.T) {
	dir := t.TempDir()
	rec, err := Record(dir, "host:1", "", began)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Record(dir, "host:1", "", began); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("two recorders: %v", err)
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "thesis.txt"), nil, fs.ModePerm); err != nil {
		t.Fatal(err)
	}
	if _, err := Record(other, "host:1", "", began); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("a directory of something else: %v", err)
	}
}
