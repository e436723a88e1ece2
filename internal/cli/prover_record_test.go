package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/coordinator"
)

// batchDocument is a coordinator's answer with a batch of about size bytes.
func batchDocument(batch uint64, size int) []byte {
	return fmt.Appendf(nil, `{"BatchResponse":{"batch_number":%d,"input":{"blocks":[%s1]},"format":"Groth16"}}`, batch, strings.Repeat("255,", size/4))
}

// handedOut is a coordinator that hands out its batches in order, each until it
// is proved.
type handedOut struct {
	mu     sync.Mutex
	docs   [][]byte
	proved int
	// answer, where it is there, is given to every question for work.
	answer string
}

func (s *handedOut) serve(t *testing.T) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { coordinator.Serve(ctx, ln, coordinator.Limits{}, s.reply, nil) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return "tcp://" + ln.Addr().String()
}

func (s *handedOut) reply(_ context.Context, r coordinator.Received, w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Message.Kind == coordinator.ProofSubmit:
		s.proved++
		_, err := w.Write(coordinator.Acknowledge(r.Message))
		return err
	case !r.Message.IsRequest():
		return errors.New("what is this")
	case s.answer != "":
		_, err := io.WriteString(w, s.answer)
		return err
	case s.proved < len(s.docs):
		_, err := w.Write(s.docs[s.proved])
		return err
	}
	_, err := w.Write(coordinator.NothingToDo(r.Message))
	return err
}

// startRecord starts verdict prover record and returns where it listens.
func startRecord(t *testing.T, args ...string) (p *process, addr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "addresses")
	p = startProcess(t, "verdict", append([]string{"prover", "record", "--listen", "127.0.0.1:0", "--addresses", file}, args...)...)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		var at struct{ Coordinator string }
		if raw, err := os.ReadFile(file); err == nil && json.Unmarshal(raw, &at) == nil {
			addr, err = coordinator.Address(at.Coordinator)
			if err != nil {
				t.Fatal(err)
			}
			return p, addr
		}
		if time.Now().After(deadline) {
			p.cmd.Process.Kill()
			p.ends(0, "ready")
		}
	}
}

// proveOne asks for work and, when there is some, submits a proof of it.
func proveOne(t *testing.T, addr string) (doc []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var answer bytes.Buffer
	m, _, err := coordinator.Ask(ctx, addr, coordinator.Request(coordinator.BatchRequest, strings.Repeat("cd", 20), "Exec"), &answer)
	if err != nil || !m.HasInput() {
		return answer.Bytes()
	}
	submit := fmt.Appendf(nil, `{"ProofSubmit":{"batch_number":%d,"batch_proof":{"ProofBytes":{"prover_type":"Exec","proof":[],"public_values":[]}}}}`, m.Batch)
	if ack, _, err := coordinator.Ask(ctx, addr, submit, io.Discard); err != nil || ack.Kind != coordinator.ProofSubmitACK {
		t.Errorf("the proof of batch %d is answered %v, %v", m.Batch, ack.Kind, err)
	}
	return answer.Bytes()
}

func TestProverRecord(t *testing.T) {
	s := &handedOut{docs: [][]byte{batchDocument(4, 10), batchDocument(5, 1<<20), batchDocument(6, 1000)}}
	dir := filepath.Join(t.TempDir(), "rec")
	p, addr := startRecord(t, "--out", dir, "--coordinator", s.serve(t), "--batches", "2")
	for i := range 2 {
		if got := proveOne(t, addr); !bytes.Equal(got, s.docs[i]) {
			t.Errorf("the prover got %d bytes, want %d", len(got), len(s.docs[i]))
		}
	}
	p.ends(0, "batch 4: ", "batch 5: 1.0 MB", "batch 5: its proof is acknowledged", "verdict prover replay "+dir)
	if got := p.stdout.String(); !strings.Contains(got, "2 batches, 4 to 5, 1.0 MB\n") || !strings.Contains(got, "commits: "+strings.Repeat("cd", 20)) {
		t.Errorf("stdout:\n%s", got)
	}

	// It holds two already, and three are wanted: it is gone on with.
	p, addr = startRecord(t, "--out", dir, "--coordinator", s.serve(t), "--batches", "3")
	proveOne(t, addr)
	p.ends(0, "(3 batches)")
	// There is enough: it ends at once.
	p, _ = startRecord(t, "--out", dir, "--coordinator", s.serve(t), "--batches", "3")
	p.ends(0)
	for i, doc := range s.docs {
		got, err := os.ReadFile(filepath.Join(dir, "batches", fmt.Sprintf("%d.json", 4+i)))
		if err != nil || !bytes.Equal(got, doc) {
			t.Errorf("batch %d is recorded as %d bytes, %v, want %d", 4+i, len(got), err, len(doc))
		}
	}
}

// Interrupting it is how a recording ends.
func TestProverRecord_interrupted(t *testing.T) {
	s := &handedOut{docs: [][]byte{batchDocument(1, 10)}}
	dir := filepath.Join(t.TempDir(), "rec")
	p, addr := startRecord(t, "--out", dir, "--coordinator", s.serve(t))
	proveOne(t, addr)
	proveOne(t, addr) // nothing to do
	p.interrupt()
	p.ends(0)
	if !strings.Contains(p.stdout.String(), "1 batch, 1 to 1") {
		t.Errorf("stdout:\n%s", &p.stdout)
	}
}

func TestProverRecord_nothing(t *testing.T) {
	check := func(s *handedOut, url string, asks int, want string) {
		t.Helper()
		if s != nil {
			url = s.serve(t)
		}
		p, addr := startRecord(t, "--out", filepath.Join(t.TempDir(), "rec"), "--coordinator", url)
		for range asks {
			proveOne(t, addr)
		}
		p.interrupt()
		p.ends(1, "no batch was recorded", want)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	check(&handedOut{}, "", 0, "no prover connected to tcp://127.0.0.1:")
	check(nil, ln.Addr().String(), 2, "the coordinator cannot be reached")
	check(&handedOut{}, "", 2, "had nothing to prove")
	check(&handedOut{answer: `"VersionMismatch"`}, "", 1, "has none for the prover's version")
	check(&handedOut{answer: `{"ProverTypeNotNeeded":{"prover_type":"Exec"}}`}, "", 1, "needs no proofs of the prover's type")
	check(&handedOut{answer: `{"BatchResponse":{`}, "", 1, "ends too soon")
}

func TestProverRecord_portTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := filepath.Join(t.TempDir(), "rec")
	p := startProcess(t, "verdict", "prover", "record", "--out", dir, "--listen", ln.Addr().String())
	p.ends(4, "the port is taken")
	if _, err := os.Stat(dir); err == nil {
		t.Error("a recording was begun")
	}
}
