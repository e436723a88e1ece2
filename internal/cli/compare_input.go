package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/store"
)

const (
	// stdinArg is the argument that means standard input.
	stdinArg = "-"
	// samplesKind is a file as verdict collect writes it.
	samplesKind intake.Kind = "samples"
	// detected is how much of an input its first line may take up.
	detected = 1 << 20
	// metricsPatience is the time limit for a metrics page.
	metricsPatience = 10 * time.Second
)

// compareInput is what an argument of verdict compare names: standard input, a
// file, or one side of a run.
type compareInput struct {
	// path is the file, or the directory of a run; empty for standard input.
	path string
	// side is the one of the run, empty for what is no run.
	side sample.Side
}

func (in compareInput) isStdin() bool { return in.path == "" }

// String is the input as it can be typed.
func (in compareInput) String() string {
	switch {
	case in.isStdin():
		return "standard input"
	case in.side != "":
		return in.path + ":" + string(in.side)
	}
	return in.path
}

// findInput resolves an argument. A run stands for the given side unless the
// argument names another one; what exists under the very name comes first.
func findInput(arg string, side sample.Side) (compareInput, error) {
	if arg == stdinArg {
		return compareInput{}, nil
	}
	info, err := os.Stat(arg)
	if err == nil {
		if !info.IsDir() {
			side = ""
		}
		return compareInput{path: arg, side: side}, nil
	}
	for _, named := range sample.Sides {
		dir, ok := strings.CutSuffix(arg, ":"+string(named))
		if !ok || !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		info, err := os.Stat(dir)
		switch {
		case err != nil:
			return compareInput{}, unreadable(dir, err)
		case !info.IsDir():
			return compareInput{}, fault.Newf(fault.Usage, "%s is a file: only a run directory has a %s side", dir, named)
		}
		return compareInput{path: dir, side: named}, nil
	}
	return compareInput{}, unreadable(arg, err)
}

// unreadable is the error of an input that cannot be opened or read.
func unreadable(name string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return fault.Newf(fault.Usage, "%s: %w", name, err)
}

// sameAs reports whether both inputs are one file on the disk. Two sides of one
// run are two files.
func (in compareInput) sameAs(other compareInput) bool {
	a, errA := os.Stat(in.file())
	b, errB := os.Stat(other.file())
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// file is the file that the measurements are in.
func (in compareInput) file() string {
	if in.side != "" {
		return filepath.Join(in.path, store.SamplesName(in.side))
	}
	return in.path
}

// measurements are an input that was read.
type measurements struct {
	compare.Source
	// side describes the program, where the input was a run.
	side     store.Side
	warnings []string
}

// rename changes how the side is called.
func (m *measurements) rename(name string) {
	m.Name = name
	if m.Series != nil {
		m.Series.Name = name
	}
}

// read reads the input.
func (in compareInput) read(stdin io.Reader) (*measurements, error) {
	switch {
	case in.side != "":
		return in.readRun()
	case in.isStdin():
		return readMeasurements(in.String(), stdin)
	}
	file, err := os.Open(in.path)
	if err != nil {
		return nil, unreadable(in.path, err)
	}
	defer file.Close()
	return readMeasurements(in.path, file)
}

// readRun reads one side of a run.
func (in compareInput) readRun() (*measurements, error) {
	data, err := store.Read(in.path)
	if err != nil {
		return nil, err
	}
	if provingRun(data) {
		return in.readProofs(data)
	}
	s, err := registeredSpec(data)
	if err != nil {
		return nil, err
	}
	rule := compare.RuleOf(&s)
	m := &measurements{
		Source: compare.Source{
			Name: in.String(), Kind: intake.Kind(fmt.Sprintf("%s side of a run", in.side)),
			Network: data.Manifest.Network, Run: realPath(in.path), Rule: &rule,
			Records: data.Records[in.side.Index()],
		},
		side: data.Manifest.Sides[in.side.Index()],
	}
	if replayed(&s) {
		if m.Series, err = replayLog(in.path, in.side); err != nil {
			return nil, err
		}
		m.Series.Name, m.Series.Network = m.Name, cmp.Or(m.Series.Network, m.Network)
	}
	m.warnings = damages(in.path, data)
	return m, nil
}

// damages are what a reader should know of a run that was read.
func damages(path string, data *store.Data) []string {
	var out []string
	for _, warning := range data.Warnings {
		out = append(out, fmt.Sprintf("run %s: %s", path, warning))
	}
	if data.Manifest.State != store.Complete {
		out = append(out, fmt.Sprintf("run %s is incomplete: %s", path, data.Manifest.Reason))
	}
	return out
}

// readProofs reads the proofs that count of one side of a prover run.
func (in compareInput) readProofs(data *store.Data) (*measurements, error) {
	p, err := provingOf(data)
	if err != nil {
		return nil, err
	}
	records := data.Records[in.side.Index()]
	series, err := compare.SeriesOfProofs(in.String(), records, p.rule)
	if err != nil {
		return nil, err
	}
	series.Kind = intake.Kind(fmt.Sprintf("%s side of a prover run", in.side))
	return &measurements{
		Source: compare.Source{Name: in.String(), Kind: series.Kind, Series: series},
		side:   data.Manifest.Sides[in.side.Index()], warnings: damages(in.path, data),
	}, nil
}

// realPath is one path for each directory, however it was named.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return path
}

// onSide are the records as those of side: what was the test side of its own
// run may be the baseline here.
func onSide(records []sample.Record, side sample.Side) []sample.Record {
	out := slices.Clone(records)
	for i, rec := range out {
		if rec.Sample != nil && rec.Sample.Side != side {
			s := *rec.Sample
			s.Side = side
			out[i].Sample = &s
		}
	}
	return out
}

// readMeasurements reads a stream of any kind.
func readMeasurements(name string, r io.Reader) (*measurements, error) {
	plain, err := stateless.Plain(r)
	if err != nil {
		return nil, unreadable(name, err)
	}
	text := bufio.NewReaderSize(plain, detected)
	head, err := text.Peek(detected)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, unreadable(name, err)
	}
	if holdsSamples(head) {
		return readSamples(name, text)
	}
	series, err := intake.Read(name, text)
	if err != nil {
		return nil, atLeast(fault.Usage, err)
	}
	return &measurements{Source: compare.Source{
		Name: name, Kind: series.Kind, Network: series.Network, Series: series,
	}}, nil
}

// holdsSamples reports whether a text begins with a record of a samples file,
// as verdict writes it, whole or cut off, or as another program might.
func holdsSamples(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if bytes.HasPrefix(line, []byte(`{"v":`)) {
		return true
	}
	var record struct {
		V                                            *int
		Sample, Gap, Attempt, Batch, Machine, Notice json.RawMessage
	}
	if json.Unmarshal(line, &record) != nil || record.V == nil {
		return false
	}
	return record.Sample != nil || record.Gap != nil || record.Attempt != nil || record.Batch != nil || record.Machine != nil || record.Notice != nil
}

// readSamples reads records of one side.
func readSamples(name string, r io.Reader) (*measurements, error) {
	m := &measurements{Source: compare.Source{Name: name, Kind: samplesKind}}
	sides := make(map[sample.Side]bool)
	torn, err := store.DecodeLines(name, r, func(rec sample.Record) error {
		if err := store.CheckRecord(rec); err != nil {
			return err
		}
		if side := sideOf(&rec); side != "" {
			sides[side] = true
		}
		m.Records = append(m.Records, rec)
		return nil
	})
	switch {
	case err != nil:
		return nil, fault.As(fault.Usage, err)
	case len(m.Records) == 0:
		return nil, fault.Newf(fault.Usage, "%s holds no whole record: its only line is cut off", name)
	case len(sides) > 1:
		return nil, fault.Newf(fault.Usage, "%s holds samples of both sides: give each side its own input", name).
			Hint(`grep '"side":"baseline"' FILE > baseline.jsonl; grep '"side":"test"' FILE > test.jsonl`)
	case torn:
		m.warnings = append(m.warnings, fmt.Sprintf("the last line of %s is torn and was left out", name))
	}
	if !slices.ContainsFunc(m.Records, func(rec sample.Record) bool { return rec.Attempt != nil }) {
		return m, nil
	}
	if m.Series, err = compare.SeriesOfProofs(name, m.Records, compare.ProvingRule{}); err != nil {
		return nil, err
	}
	m.Records = nil
	return m, nil
}

// sideOf is the side that a record names, empty for none.
func sideOf(rec *sample.Record) sample.Side {
	switch {
	case rec.Sample != nil:
		return rec.Sample.Side
	case rec.Attempt != nil:
		return rec.Attempt.Side
	}
	return ""
}

// join adds what the metrics page of the L2 says about the batches.
func (m *measurements) join(ctx context.Context, source string) error {
	if m.Series == nil {
		return fault.Newf(fault.Usage, "%s: the metrics of %s are those of batches, and this input has none", m.Name, source)
	}
	page, err := readMetrics(ctx, source)
	if err != nil {
		return err
	}
	return m.Series.Join(page)
}

// readMetrics reads a metrics page from a file or by HTTP.
func readMetrics(ctx context.Context, source string) (*intake.Metrics, error) {
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return fetchMetrics(ctx, source)
	}
	file, err := os.Open(source)
	if err != nil {
		return nil, unreadable(source, err)
	}
	defer file.Close()
	page, err := intake.ReadMetrics(source, file)
	return page, atLeast(fault.Usage, err)
}

// fetchMetrics reads a metrics page by HTTP. Messages do not repeat what in a
// URL can be a credential.
func fetchMetrics(ctx context.Context, url string) (*intake.Metrics, error) {
	name := ethrpc.Redact(url)
	ctx, cancel := context.WithTimeout(ctx, metricsPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fault.Newf(fault.Usage, "metrics page %s: not a URL", name)
	}
	answer, err := http.DefaultClient.Do(request)
	if full := (*neturl.Error)(nil); errors.As(err, &full) {
		err = full.Err // without the URL
	}
	if err != nil {
		return nil, fault.Newf(fault.Prerequisite, "metrics page %s: %w", name, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fault.Newf(fault.Prerequisite, "metrics page %s: HTTP status %s", name, answer.Status)
	}
	page, err := intake.ReadMetrics(name, answer.Body)
	return page, atLeast(fault.Prerequisite, err)
}

// atLeast gives an error that has no kind of its own this one.
func atLeast(kind fault.Kind, err error) error {
	if fault.KindOf(err) == fault.Failed && !errors.Is(err, intake.ErrNoProof) {
		return fault.As(kind, err)
	}
	return err
}
