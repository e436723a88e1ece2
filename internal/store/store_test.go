package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func create(t *testing.T) *Run {
	t.Helper()
	r, err := Create(filepath.Join(t.TempDir(), "run"), func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.Write(SpecName, []byte("version: 1\n")); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(StartName, Manifest{V: 1, State: Running, Network: "local"}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun_killedIsNeverComplete(t *testing.T) {
	r := create(t)
	rec := sample.Record{V: 1, Sample: &sample.Sample{Number: 7, Status: sample.OK}}
	if err := r.Append(sample.Test, rec); err != nil {
		t.Fatal(err)
	}
	d, err := Read(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if d.Manifest.State == Complete || d.Manifest.Reason == "" {
		t.Errorf("a run without a manifest reads as %q, reason %q", d.Manifest.State, d.Manifest.Reason)
	}
	if n := len(d.Records[1]); n != 1 || d.Records[1][0].Sample.Number != 7 {
		t.Errorf("read %d test records, want the one that was appended", n)
	}
	if err := r.WriteJSON(ManifestName, Manifest{V: 1, State: Complete}); err != nil {
		t.Fatal(err)
	}
	if d, err = Read(r.Dir()); err != nil || d.Manifest.State != Complete {
		t.Errorf("with its manifest the run reads as %q, %v", d.Manifest.State, err)
	}
}

func TestCreate_refuses(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "something"), nil, 0o600)
	file := filepath.Join(dir, "something")
	for _, c := range []struct {
		dir  string
		kind fault.Kind
		want string
	}{
		{dir, fault.Usage, "exists and is not empty"},
		{file, fault.Prerequisite, "not a directory"},
		{filepath.Join(file, "below"), fault.Prerequisite, "not a directory"},
	} {
		_, err := Create(c.dir, time.Now)
		if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Create(%s) = %v (kind %d), want %q", c.dir, err, fault.KindOf(err), c.want)
		}
	}
}

func TestRead_refuses(t *testing.T) {
	change := func(name, content string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(*testing.T, string)
		want   string
	}{
		{"a damaged manifest", change(ManifestName, "{\n  \"v\": 1,\n  oops\n}"), "line 3, column 3"},
		{"a newer format", change(ManifestName, `{"v": 99}`), "format 99"},
		{"a damaged sample", change("samples-test.jsonl", "{}\n"), "samples-test.jsonl:1: a record must hold exactly one of"},
		{"a newer sample", change("samples-test.jsonl", `{"v":99,"gap":{}}`+"\n"), "record of format 99"},
		{"no samples", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "samples-baseline.jsonl")) }, "samples-baseline.jsonl"},
		{"no spec", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, SpecName)) }, SpecName},
		{"no run", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, StartName)) }, "is not a run directory"},
	} {
		r := create(t)
		c.damage(t, r.Dir())
		_, err := Read(r.Dir())
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Read = %v (kind %d), want %q", c.name, err, fault.KindOf(err), c.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("Read of a missing directory = %v", err)
	}
}

func TestRead_tornSampleIsAWarning(t *testing.T) {
	r := create(t)
	path := filepath.Join(r.Dir(), SamplesName(sample.Baseline))
	os.WriteFile(path, []byte(`{"v":1,"gap":{}}`+"\n"+`{"v":1,"sa`), 0o600)
	d, err := Read(r.Dir())
	if err != nil || len(d.Records[0]) != 1 || len(d.Warnings) != 1 {
		t.Fatalf("Read = %v records, warnings %q, %v; want one record and one warning", d.Records, d.Warnings, err)
	}
}

func TestWriteFile_leavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, "missing", "file"), nil); err == nil {
		t.Error("WriteFile into a missing directory succeeded")
	}
	target := filepath.Join(dir, "dir")
	os.Mkdir(target, 0o755)
	if err := WriteFile(target, []byte("x")); err == nil {
		t.Error("WriteFile over a directory succeeded")
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("%d entries are left, want only the directory", len(entries))
	}
}
