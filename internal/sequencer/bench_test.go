package sequencer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/coordinator"
)

// resident is the process's resident memory in bytes, and its peak since the
// last reset where the system keeps one.
func resident(b *testing.B, field string) float64 {
	b.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skipf("no /proc: %v", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib * 1024
		}
	}
	b.Fatalf("/proc/self/status has no %s", field)
	return 0
}

// BenchmarkHandout hands an input of 200 MB to 64 provers that ask at the same
// time, while as many more poll and hear that another type is wanted. It reports
// the peak of the process's memory, provers included, against the input.
func BenchmarkHandout(b *testing.B) {
	const size, provers = 200 << 20, 64
	f, err := openFiles(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	err = f.seal(record{Number: 1, BuiltBy: commit, CommitTx: &common.Hash{}}, func(w io.Writer) error { return bigInput(w, size) })
	if err != nil {
		b.Fatal(err)
	}
	h := &handout{files: f, log: slog.New(slog.DiscardHandler), meters: newMeters(), required: []string{execProof}, commit: commit, asked: map[uint64]time.Time{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx, ln) }()
	defer func() {
		cancel()
		<-ended
	}()
	runtime.GC()
	// Writing 5 resets the peak.
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o644); err != nil {
		b.Skipf("the peak cannot be reset: %v", err)
	}
	b.SetBytes(size * provers)
	for b.Loop() {
		askAll(b, ln.Addr().String(), provers)
	}
	b.ReportMetric(resident(b, "VmHWM")/1e6, "peak-MB")
	b.ReportMetric(resident(b, "VmHWM")/size, "peak/input")
}

// bigInput writes the answer for a batch with an input of the given size.
func bigInput(w io.Writer, size int) error {
	if _, err := io.WriteString(w, `{"BatchResponse":{"batch_number":1,"input":{"state":[[`); err != nil {
		return err
	}
	row := bytes.Repeat([]byte("128,"), 16<<10)
	for written := 0; written < size; written += len(row) {
		if _, err := w.Write(row); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, `0]]},"format":"Groth16"}}`)
	return err
}

// askAll has provers ask for work, and as many others poll meanwhile.
func askAll(b *testing.B, address string, provers int) {
	b.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, 2*provers)
	for range provers {
		for kind, want := range map[string]coordinator.Kind{execProof: coordinator.BatchResponse, "SP1": coordinator.TypeNotNeeded} {
			wg.Go(func() {
				m, _, err := coordinator.Ask(b.Context(), address, coordinator.Request(coordinator.BatchRequest, commit, kind), io.Discard)
				if err == nil && m.Kind != want {
					err = fmt.Errorf("a prover of type %s hears %s", kind, m.Kind)
				}
				errs <- err
			})
		}
	}
	wg.Wait()
	for range 2 * provers {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
}
