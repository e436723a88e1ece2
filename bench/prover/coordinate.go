package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/coordinator"
)

// session is a prover process and the coordinator that it asks.
type session struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	// input is the document of the batch, size its bytes.
	input []byte
	size  int
	// turns holds the right to be handed the batch, proofs what was submitted.
	turns  chan struct{}
	proofs chan coordinator.Received
	public batch.Public
	// served ends when the coordinator has, with its error.
	end      context.CancelFunc
	served   chan error
	resident int64
}

// startProver starts this program as a prover of the chain's batch.
func startProver(ctx context.Context, c *chain, pad int) (*session, error) {
	b, err := c.batch()
	if err != nil {
		return nil, err
	}
	b.Witness.Codes = append(b.Witness.Codes, padding(pad)...)
	s := &session{turns: make(chan struct{}, 1), proofs: make(chan coordinator.Received, 1), served: make(chan error, 1)}
	var input bytes.Buffer
	if err := batch.Encode(&input, b); err != nil {
		return nil, err
	}
	s.input, s.size = input.Bytes(), input.Len()
	if s.public, err = batch.Execute(ctx, b); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, s.end = context.WithCancel(ctx)
	go func() { s.served <- coordinator.Serve(ctx, ln, coordinator.Limits{}, s.answer, nil) }()
	s.cmd = exec.Command(self, "-prove", ln.Addr().String())
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.end()
		return nil, errors.Join(err, <-s.served)
	}
	s.lines = bufio.NewScanner(out)
	return s, nil
}

// padding is codes of so many bytes together, which no block needs.
func padding(size int) [][]byte {
	random := rand.New(rand.NewPCG(1, 1))
	var codes [][]byte
	for ; size > 0; size -= params.MaxCodeSize {
		code := make([]byte, min(size, params.MaxCodeSize))
		for i := range code {
			code[i] = byte(random.Uint32())
		}
		codes = append(codes, code)
	}
	return codes
}

// answer hands out the batch to whoever asks when it is the prover's turn.
func (s *session) answer(_ context.Context, r coordinator.Received, w io.Writer) error {
	if r.Message.Kind == coordinator.ProofSubmit {
		s.proofs <- r
		_, err := w.Write(coordinator.Acknowledge(r.Message))
		return err
	}
	select {
	case <-s.turns:
		return batch.Respond(w, 1, func(w io.Writer) error { _, err := w.Write(s.input); return err })
	default:
		_, err := w.Write(coordinator.NothingToDo(r.Message))
		return err
	}
}

var timedLine = regexp.MustCompile(` Proved batch 1 in .* proving_time_ms=(\d+)$`)

// once has the prover prove the batch once, checks what it submits and returns
// the time that it logs.
func (s *session) once(ctx context.Context) (time.Duration, error) {
	s.turns <- struct{}{}
	var took time.Duration
	for took == 0 {
		if !s.lines.Scan() {
			return 0, fmt.Errorf("the prover's log ended: %w", errors.Join(s.lines.Err(), io.ErrUnexpectedEOF))
		}
		if match := timedLine.FindStringSubmatch(s.lines.Text()); match != nil {
			n, err := strconv.ParseUint(match[1], 10, 32)
			if err != nil || n == 0 {
				return 0, fmt.Errorf("the batch is too small to time: %s", s.lines.Text())
			}
			took = time.Duration(n) * time.Millisecond
		}
	}
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case r := <-s.proofs:
		return took, s.check(r)
	}
}

// check compares the public values of a proof with those of the batch.
func (s *session) check(r coordinator.Received) error {
	proof, err := coordinator.ReadProof(r.Doc)
	if err != nil {
		return err
	}
	var values []int
	if err := json.Unmarshal(proof.Public, &values); err != nil {
		return err
	}
	var got []byte
	for _, v := range values {
		got = append(got, byte(v))
	}
	if want := s.public.Encode(); !bytes.Equal(got, want[:]) {
		return errors.New("the proof has another public output than the batch")
	}
	return nil
}

// residentMemory is the most memory that a process has had resident, in bytes.
// What the kernel says once it is gone counts that of its parent too.
func residentMemory(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	match := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(raw)
	if match == nil {
		return 0, errors.New("the kernel does not say how much memory the prover took")
	}
	kilobytes, err := strconv.ParseInt(string(match[1]), 10, 64)
	return kilobytes * 1024, err
}

// stop ends the prover and the coordinator.
func (s *session) stop() (err error) {
	s.resident, err = residentMemory(s.cmd.Process.Pid)
	err = errors.Join(err, s.cmd.Process.Signal(syscall.SIGTERM))
	for s.lines.Scan() { // its last lines, up to its end
	}
	err = errors.Join(err, s.lines.Err(), s.cmd.Wait())
	s.end()
	return errors.Join(err, <-s.served)
}
