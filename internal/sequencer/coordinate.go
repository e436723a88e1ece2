package sequencer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/coordinator"
)

// handout is the coordinator: it gives the next batch to provers and takes their
// proofs.
type handout struct {
	files    *files
	log      *slog.Logger
	meters   *meters
	required []string
	// commit is the commit hash of this build.
	commit string

	mu sync.Mutex
	// asked is when each batch was first given out; it is not kept on disk.
	asked map[uint64]time.Time
}

// limits bound what anybody who reaches the port can take. Requests are small,
// the largest has the bytes of one public output; connections that stay silent
// must not keep provers out for long.
func limits() coordinator.Limits {
	return coordinator.Limits{Connections: 1024, Request: 256 << 10, Read: 10 * time.Second}
}

// run serves provers until ctx ends. It closes ln.
func (h *handout) run(ctx context.Context, ln net.Listener) error {
	err := coordinator.Serve(ctx, ln, limits(), h.answer, h.failed)
	if err != nil {
		return fmt.Errorf("proof coordinator: %w", err)
	}
	return context.Cause(ctx)
}

// unhandledError is a request that could not be answered.
type unhandledError struct {
	kind coordinator.Kind
	err  error
}

func (e *unhandledError) Error() string { return fmt.Sprintf("%s: %v", e.kind, e.err) }
func (e *unhandledError) Unwrap() error { return e.err }

// failed logs why a connection ended without an answer.
func (h *handout) failed(remote string, err error) {
	var u *unhandledError
	if errors.As(err, &u) {
		h.log.Error(fmt.Sprintf("Failed to handle %s: %v", u.kind, u.err))
		return
	}
	h.log.Error(fmt.Sprintf("Connection of %s: %v", remote, err))
}

// answer answers one request. An error without a byte written is the protocol's
// internal error, which the prover sees as an empty document.
func (h *handout) answer(_ context.Context, r coordinator.Received, w io.Writer) error {
	var err error
	switch r.Message.Kind {
	case coordinator.BatchRequest:
		err = h.request(r, w)
	case coordinator.ProofSubmit:
		err = h.submit(r, w)
	default:
		return fmt.Errorf("a request that this coordinator does not know: %q", r.Message.Tag)
	}
	if err != nil {
		return &unhandledError{r.Message.Kind, err}
	}
	return nil
}

// request answers a prover that asks for work: the batch after the last whose
// proof went to the L1, as long as there is no proof of it.
func (h *handout) request(r coordinator.Received, w io.Writer) error {
	kind := r.Message.Prover
	if kind == "" {
		return errors.New("the request names no prover_type")
	}
	h.log.Info(fmt.Sprintf("BatchRequest received from %s prover", kind))
	if !slices.Contains(h.required, kind) {
		return document(w, map[string]any{string(coordinator.TypeNotNeeded): map[string]string{"prover_type": kind}})
	}
	number := h.files.verified() + 1
	if _, ok := h.files.proof(number, kind); ok {
		_, err := w.Write(coordinator.NothingToDo(r.Message))
		return err
	}
	batch, ok := h.files.batch(number)
	switch {
	case !ok && r.Message.Commit == h.commit:
		_, err := w.Write(coordinator.NothingToDo(r.Message))
		return err
	case !ok, r.Message.Commit != batch.BuiltBy:
		return document(w, coordinator.VersionMismatch)
	}
	input, err := h.files.input(number)
	if errors.Is(err, fs.ErrNotExist) && h.files.verified() >= number {
		// It was verified since the question, and the input removed.
		_, err := w.Write(coordinator.NothingToDo(r.Message))
		return err
	}
	if err != nil {
		return err
	}
	defer input.Close()
	h.first(number)
	if _, err := io.Copy(w, struct{ io.Reader }{input}); err != nil {
		return fmt.Errorf("sending batch %d: %w", number, err)
	}
	h.log.Info(fmt.Sprintf("BatchResponse sent for batch number: %d", number))
	return nil
}

// document writes a small answer.
func document(w io.Writer, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

// first notes when a batch was first given out.
func (h *handout) first(number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.asked[number]; !ok {
		h.asked[number] = time.Now()
	}
}

// since is how long ago a batch was first given out; ok is false if that was
// before a restart.
func (h *handout) since(number uint64) (d time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.asked[number]
	return time.Since(at), ok
}

// submit takes a proof. Whether it is right, the L1 decides. One of a batch that
// has one already is acknowledged and dropped.
func (h *handout) submit(r coordinator.Received, w io.Writer) error {
	number := r.Message.Batch
	h.log.Info(fmt.Sprintf("ProofSubmit received for batch number: %d", number))
	batch, ok := h.files.batch(number)
	if !ok {
		return fmt.Errorf("there is no batch %d", number)
	}
	p, err := readProof(r.Doc)
	if err != nil {
		return err
	}
	if !slices.Contains(h.required, p.Type) {
		return fmt.Errorf("proof of batch %d: the L1 needs no proofs of type %q", number, p.Type)
	}
	took, known := h.since(number)
	fresh, err := h.files.addProof(p)
	if err != nil {
		return err
	}
	if fresh && known {
		h.meters.proved(number, took)
	}
	if !fresh {
		h.log.Info(fmt.Sprintf("Another %s proof of batch %d is dropped", p.Type, batch.Number))
	}
	if _, err := w.Write(coordinator.Acknowledge(r.Message)); err != nil {
		return err
	}
	h.log.Info("ProofSubmit ACK sent")
	return nil
}

// readProof takes what the L1 wants out of a ProofSubmit document: the public
// values of ProofBytes, or the first element of ProofCalldata, which is how
// exec provers of ethrex send their empty ones.
func readProof(doc []byte) (proof, error) {
	known, err := coordinator.ReadProof(doc)
	if err != nil {
		return proof{}, err
	}
	p := proof{Batch: known.Batch, Type: known.Prover}
	switch known.Form {
	case "ProofBytes":
		p.Public, err = numbers(known.Public)
	case "ProofCalldata":
		p.Public, err = calldata(doc)
	default:
		err = fmt.Errorf("its form %q is not known", known.Form)
	}
	if err != nil {
		return proof{}, fmt.Errorf("proof of batch %d: %w", p.Batch, err)
	}
	return p, nil
}

// numbers reads a byte string that is written as an array of numbers.
func numbers(raw json.RawMessage) ([]byte, error) {
	// Of a slice of bytes encoding/json would take a text, too.
	var list []uint16
	if err := json.Unmarshal(raw, &list); err != nil || len(raw) == 0 || raw[0] != '[' {
		return nil, errors.New("its public values are no array of bytes")
	}
	values := make([]byte, len(list))
	for i, n := range list {
		if n > math.MaxUint8 {
			return nil, errors.New("its public values are no array of bytes")
		}
		values[i] = byte(n)
	}
	return values, nil
}

// calldata reads the first element of the calldata of a proof.
func calldata(doc []byte) ([]byte, error) {
	var submit struct {
		ProofSubmit struct {
			Proof struct {
				Calldata struct {
					Values []struct{ Bytes *json.RawMessage } `json:"calldata"`
				} `json:"ProofCalldata"`
			} `json:"batch_proof"`
		}
	}
	if err := json.Unmarshal(doc, &submit); err != nil {
		return nil, err
	}
	values := submit.ProofSubmit.Proof.Calldata.Values
	if len(values) != 1 || values[0].Bytes == nil {
		return nil, errors.New("its calldata is not one element of type Bytes")
	}
	return numbers(*values[0].Bytes)
}
