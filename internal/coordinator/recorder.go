package coordinator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/store"
)

// RecordingVersion is the version of a recording's format.
const RecordingVersion = 1

// Names of the files in a recording.
const (
	recordingName = "recording.json"
	exchangesName = "exchanges.jsonl"
	batchesName   = "batches"
	lockName      = "lock"
	// unfinished begins the name of a document that is still coming.
	unfinished = ".coming-"
)

// Manifest says what a recording is. It is replaced by rename whenever it
// learns something.
type Manifest struct {
	V       int       `json:"v"`
	Started time.Time `json:"started"`
	// Program is the version of verdict that began the recording.
	Program string `json:"program"`
	// Upstreams are the coordinators that were recorded, Commits and Provers
	// the commit hashes and prover types of the provers that asked them.
	Upstreams []string `json:"upstreams"`
	Commits   []string `json:"commits"`
	Provers   []string `json:"provers"`
}

// Exchange is a line of exchanges.jsonl: one connection through the proxy.
type Exchange struct {
	V      int    `json:"v"`
	Remote string `json:"remote"`
	Timing
	Request      Kind   `json:"request"`
	RequestTag   string `json:"request_tag,omitempty"`
	RequestBytes int64  `json:"request_bytes"`
	Commit       string `json:"commit,omitempty"`
	Prover       string `json:"prover,omitempty"`
	Answer       Kind   `json:"answer"`
	AnswerTag    string `json:"answer_tag,omitempty"`
	AnswerBytes  int64  `json:"answer_bytes"`
	Format       string `json:"format,omitempty"`
	// Batch is the number in the answer or, where that has none, the request.
	Batch *uint64 `json:"batch,omitempty"`
	// SHA256 is that of an answer with an input; Stored says that it became the
	// recording's document of this batch, Differs that it is another one than
	// that.
	SHA256  string `json:"sha256,omitempty"`
	Stored  bool   `json:"stored,omitempty"`
	Differs bool   `json:"differs,omitempty"`
	// Held is how long the answer waited for the recorder.
	Held time.Duration `json:"held_ns,omitempty"`
	// Error says what went wrong with the exchange, RecordError with recording
	// it.
	Error       string `json:"error,omitempty"`
	RecordError string `json:"record_error,omitempty"`
}

// Recorder writes a recording. It is safe for concurrent use.
type Recorder struct {
	dir   string
	lock  *os.File
	lines *store.Lines

	mu       sync.Mutex
	manifest Manifest
	// sums are the checksums of the stored documents, by batch.
	sums map[uint64]string
}

// Record begins a recording in dir of the coordinator upstream, or goes on with
// the one that is there. program is the version of verdict, now the time. What a
// killed recorder left unfinished is removed.
func Record(dir, upstream, program string, now time.Time) (*Recorder, error) {
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, batchesName), 0o755); err != nil {
		return nil, fault.As(fault.Usage, fmt.Errorf("recording: %w", err))
	}
	lock, err := lockRecording(dir)
	if err != nil {
		return nil, err
	}
	r := &Recorder{dir: dir, lock: lock, sums: make(map[uint64]string)}
	if err := r.open(upstream, program, now); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// checkDirectory refuses to write into a directory that holds something else.
func checkDirectory(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.As(fault.Usage, fmt.Errorf("recording: %w", err))
	}
	// A recorder that was killed at its very start leaves only these.
	for _, e := range entries {
		if e.Name() == recordingName {
			return nil
		}
	}
	for _, e := range entries {
		if n := e.Name(); n != lockName && n != batchesName && n != exchangesName && !strings.HasPrefix(n, ".") {
			return fault.Newf(fault.Usage, "%s is no recording and not empty: it holds %s", dir, n).
				Hint("name a directory that does not exist yet")
		}
	}
	return nil
}

func lockRecording(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fault.As(fault.Usage, fmt.Errorf("recording: %w", err))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fault.Newf(fault.Usage, "recording %s: another process is recording there", dir).
			Hint("wait for it, or record into another directory")
	}
	return lock, nil
}

func (r *Recorder) open(upstream, program string, now time.Time) error {
	if err := r.sweep(); err != nil {
		return err
	}
	old, err := Open(r.dir)
	switch {
	case err == nil:
		r.manifest = old.Manifest
		for _, b := range old.Batches {
			r.sums[b.Number] = b.SHA256
		}
	case errors.Is(err, fs.ErrNotExist) && !exists(filepath.Join(r.dir, recordingName)):
		r.manifest = Manifest{
			V: RecordingVersion, Started: now.UTC(), Program: program,
			Upstreams: []string{}, Commits: []string{}, Provers: []string{},
		}
	default:
		return err
	}
	if r.lines, _, err = store.OpenLines(filepath.Join(r.dir, exchangesName)); err != nil {
		return err
	}
	learn(&r.manifest.Upstreams, upstream)
	return r.writeManifest()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// sweep removes documents that never became whole.
func (r *Recorder) sweep() error {
	left, err := filepath.Glob(filepath.Join(r.dir, batchesName, unfinished+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// learn adds text to known, in order of appearance.
func learn(known *[]string, text string) bool {
	if text == "" || slices.Contains(*known, text) {
		return false
	}
	*known = append(*known, text)
	return true
}

func (r *Recorder) writeManifest() error {
	data, err := json.MarshalIndent(r.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", recordingName, err)
	}
	return store.WriteFile(filepath.Join(r.dir, recordingName), append(data, '\n'))
}

// Append records an exchange.
func (r *Recorder) Append(e Exchange) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.V = RecordingVersion
	e.Started = e.Started.UTC()
	err := r.lines.Append(e)
	commit, prover := learn(&r.manifest.Commits, e.Commit), learn(&r.manifest.Provers, e.Prover)
	if commit || prover {
		err = errors.Join(err, r.writeManifest())
	}
	return err
}

// Close ends the recording; it can be gone on with.
func (r *Recorder) Close() error {
	var err error
	if r.lines != nil {
		err = r.lines.Close()
	}
	return errors.Join(err, r.lock.Close())
}

// spool takes one answer as it comes. Small ones, which are nearly all, stay in
// memory until it is known whether they hold an input.
type spool struct {
	r *Recorder
	// peek is what is known of the answer so far.
	peek func() Message
	mem  []byte
	file *os.File
	// known says that the batch is stored already: only the checksum is needed.
	known bool
	sum   hash.Hash
	err   error
}

func (r *Recorder) spool(peek func() Message) *spool {
	return &spool{r: r, peek: peek, sum: sha256.New()}
}

// Write takes everything; the first error is kept for commit, because the
// prover is to be served whatever becomes of the recording.
func (s *spool) Write(p []byte) (int, error) {
	if s.err != nil {
		return len(p), nil
	}
	s.sum.Write(p)
	if s.known {
		return len(p), nil
	}
	if s.file == nil && len(s.mem)+len(p) <= chunk {
		s.mem = append(s.mem, p...)
		return len(p), nil
	}
	if s.file == nil {
		s.create()
	}
	if s.file != nil && s.err == nil {
		_, s.err = s.file.Write(p)
	}
	return len(p), nil
}

// create begins the file with what is in memory.
func (s *spool) create() {
	if m := s.peek(); m.HasBatch {
		if _, s.known = s.r.known(m.Batch); s.known {
			s.mem = nil
			return
		}
	}
	if s.file, s.err = os.CreateTemp(filepath.Join(s.r.dir, batchesName), unfinished+"*"); s.err == nil {
		_, s.err = s.file.Write(s.mem)
	}
	s.mem = nil
}

// drop forgets the answer.
func (s *spool) drop() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
}

// commit makes the answer the document of its batch, unless that is there.
func (s *spool) commit(batch uint64) (sum string, stored, differs bool, err error) {
	defer s.drop()
	if s.file == nil && !s.known && s.err == nil {
		s.create()
	}
	if s.err != nil {
		return "", false, false, fmt.Errorf("recording batch %d: %w", batch, s.err)
	}
	sum = hex.EncodeToString(s.sum.Sum(nil))
	if known, ok := s.r.known(batch); ok {
		return sum, false, known != sum, nil
	}
	if err := errors.Join(s.file.Chmod(0o644), s.file.Sync()); err != nil {
		return sum, false, false, fmt.Errorf("recording batch %d: %w", batch, err)
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if known, ok := s.r.sums[batch]; ok {
		return sum, false, known != sum, nil
	}
	if err := os.Rename(s.file.Name(), documentPath(s.r.dir, batch)); err != nil {
		return sum, false, false, fmt.Errorf("recording batch %d: %w", batch, err)
	}
	s.r.sums[batch] = sum
	s.file.Close()
	s.file = nil
	return sum, true, false, nil
}

func (r *Recorder) known(batch uint64) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum, ok := r.sums[batch]
	return sum, ok
}

func documentPath(dir string, batch uint64) string {
	return filepath.Join(dir, batchesName, fmt.Sprintf("%d.json", batch))
}

// checksum reads a whole file.
func checksum(r io.Reader) (string, Message, error) {
	sum := sha256.New()
	var s Scanner
	if _, err := io.CopyBuffer(io.MultiWriter(sum, &s), r, make([]byte, chunk)); err != nil {
		return "", Message{}, err
	}
	m, err := s.Message()
	return hex.EncodeToString(sum.Sum(nil)), m, err
}
