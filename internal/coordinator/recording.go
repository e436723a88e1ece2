package coordinator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/store"
)

// Recording is what a Recorder wrote, opened for reading.
type Recording struct {
	Dir      string
	Manifest Manifest
	// Batches are the recorded documents, by number.
	Batches []Batch
	// Exchanges are all connections, in the order in which they ended.
	Exchanges []Exchange
	// Warnings are damages that could be read around, and what a reader should
	// know.
	Warnings []string
}

// Batch is one recorded document.
type Batch struct {
	Number uint64
	// Kind is BatchResponse or InputResponse.
	Kind   Kind
	Format string
	// Size is that of the whole document in bytes, SHA256 its checksum.
	Size   int64
	SHA256 string
	// Commit and Prover are those of the prover that it was first given to, At
	// when.
	Commit, Prover string
	At             time.Time
	// Seen counts how often the batch was handed out, Differing how often with
	// another document than the recorded one.
	Seen, Differing int
}

// Open reads the recording in dir, except for the documents themselves.
func Open(dir string) (*Recording, error) {
	r := &Recording{Dir: dir}
	if err := r.readManifest(); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, exchangesName)
	torn, err := store.ReadLines(path, func(e Exchange) error {
		if e.V > RecordingVersion {
			return fmt.Errorf("the line has format %d, this verdict reads up to %d", e.V, RecordingVersion)
		}
		r.Exchanges = append(r.Exchanges, e)
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.As(fault.Usage, fmt.Errorf("recording: %w", err))
	}
	if torn {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s: the last line is torn and left out, as after a kill", path))
	}
	if err := r.findBatches(); err != nil {
		return nil, fault.As(fault.Usage, fmt.Errorf("recording: %w", err))
	}
	return r, nil
}

func (r *Recording) readManifest() error {
	path := filepath.Join(r.Dir, recordingName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.Usage, "%s is no recording: %w", r.Dir, err).
			Hint("verdict prover record makes one")
	}
	if err != nil {
		return fault.As(fault.Usage, fmt.Errorf("recording: %w", err))
	}
	if err := json.Unmarshal(raw, &r.Manifest); err != nil {
		return fault.Newf(fault.Usage, "%s: %w", path, err)
	}
	switch {
	case r.Manifest.V > RecordingVersion:
		return fault.Newf(fault.Usage, "%s has format %d, this verdict reads up to %d", path, r.Manifest.V, RecordingVersion).
			Hint("use a newer verdict")
	case r.Manifest.V < 1:
		return fault.Newf(fault.Usage, "%s: it has no version, so it is no recording's", path)
	}
	return nil
}

// findBatches joins the documents with the exchanges that brought them.
func (r *Recording) findBatches() error {
	entries, err := os.ReadDir(filepath.Join(r.Dir, batchesName))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, isDocument := strings.CutSuffix(e.Name(), ".json")
		n, err := strconv.ParseUint(name, 10, 64)
		if !isDocument || err != nil {
			if !strings.HasPrefix(e.Name(), unfinished) {
				r.Warnings = append(r.Warnings, fmt.Sprintf("%s/%s: not a batch, left out", batchesName, e.Name()))
			}
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		r.Batches = append(r.Batches, Batch{Number: n, Size: info.Size()})
	}
	slices.SortFunc(r.Batches, func(a, b Batch) int {
		if a.Number < b.Number {
			return -1
		}
		return 1
	})
	if err := r.joinExchanges(); err != nil {
		return err
	}
	return r.adopt()
}

// joinExchanges tells each document where it came from.
func (r *Recording) joinExchanges() error {
	for i, e := range r.Exchanges {
		if e.SHA256 == "" || e.Batch == nil {
			continue
		}
		b := r.batch(*e.Batch)
		if b == nil {
			return fmt.Errorf("%s is missing: line %d of %s says that it was recorded",
				documentPath(r.Dir, *e.Batch), i+1, exchangesName)
		}
		b.Seen++
		if e.Differs {
			b.Differing++
		}
		if !e.Stored {
			continue
		}
		if b.Size != e.AnswerBytes {
			return fmt.Errorf("%s has %d bytes, %d were recorded", documentPath(r.Dir, b.Number), b.Size, e.AnswerBytes)
		}
		b.Kind, b.Format, b.SHA256 = e.Answer, e.Format, e.SHA256
		b.Commit, b.Prover, b.At = e.Commit, e.Prover, e.Started
	}
	for _, b := range r.Batches {
		if b.Differing > 0 {
			r.Warnings = append(r.Warnings, fmt.Sprintf("batch %d was handed out %d times with another document than the recorded one", b.Number, b.Differing))
		}
	}
	return nil
}

// adopt reads the documents whose line is missing, because the recorder was
// killed in between; they are whole, since they have their names.
func (r *Recording) adopt() error {
	for i := range r.Batches {
		b := &r.Batches[i]
		if b.SHA256 != "" {
			continue
		}
		sum, m, err := r.read(b.Number)
		if err != nil {
			return err
		}
		b.SHA256, b.Kind, b.Format = sum, m.Kind, m.Format
		b.Seen = max(b.Seen, 1)
		r.Warnings = append(r.Warnings, fmt.Sprintf("batch %d: its exchange was not recorded, as after a kill", b.Number))
	}
	return nil
}

func (r *Recording) batch(n uint64) *Batch {
	i := slices.IndexFunc(r.Batches, func(b Batch) bool { return b.Number == n })
	if i < 0 {
		return nil
	}
	return &r.Batches[i]
}

// read reads a document to its end and checks that it is one of batch n.
func (r *Recording) read(n uint64) (sum string, m Message, err error) {
	f, err := r.Document(n)
	if err != nil {
		return "", m, err
	}
	defer f.Close()
	sum, m, err = checksum(f)
	switch {
	case err != nil:
		return "", m, fmt.Errorf("%s: %w", f.Name(), err)
	case !m.HasInput():
		return "", m, fmt.Errorf("%s: the document holds no input: its tag is %q", f.Name(), m.Tag)
	case m.Batch != n:
		return "", m, fmt.Errorf("%s: the document is of batch %d", f.Name(), m.Batch)
	}
	return sum, m, nil
}

// Document opens the document of batch n, exactly as it passed.
func (r *Recording) Document(n uint64) (*os.File, error) {
	f, err := os.Open(documentPath(r.Dir, n))
	if err != nil {
		return nil, fault.As(fault.Usage, fmt.Errorf("recording: batch %d: %w", n, err))
	}
	return f, nil
}

// Check reads every document and compares it with its checksum.
func (r *Recording) Check() error {
	for _, b := range r.Batches {
		sum, _, err := r.read(b.Number)
		if err == nil && sum != b.SHA256 {
			err = fmt.Errorf("%s was changed: its SHA-256 is %s, %s was recorded", documentPath(r.Dir, b.Number), sum, b.SHA256)
		}
		if err != nil {
			return fault.As(fault.Usage, fmt.Errorf("recording: %w", err))
		}
	}
	return nil
}
