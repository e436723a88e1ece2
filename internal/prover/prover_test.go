package prover

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/tracelog"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// input is the input document of a small real batch, and its public output.
func input(t testing.TB) ([]byte, batch.Public) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "batch", "testdata", "small.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	b, err := batch.Decode(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	public, err := batch.Execute(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return doc, public
}

// script answers requests one after the other, and ends when the first request
// after the last answer comes.
type script struct {
	mu      sync.Mutex
	answers []coordinator.Answer
	asked   []coordinator.Received
	end     func()
}

func (s *script) answer(ctx context.Context, r coordinator.Received, w io.Writer) error {
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, r)
	s.mu.Unlock()
	if n < len(s.answers) {
		return s.answers[n](ctx, r, w)
	}
	s.end()
	return nil
}

// text answers with a text.
func text(doc string) coordinator.Answer {
	return func(_ context.Context, _ coordinator.Received, w io.Writer) error {
		_, err := io.WriteString(w, doc)
		return err
	}
}

// give hands out a batch.
func give(number uint64, doc []byte) coordinator.Answer {
	return func(_ context.Context, _ coordinator.Received, w io.Writer) error {
		return batch.Respond(w, number, func(w io.Writer) error { _, err := w.Write(doc); return err })
	}
}

// acknowledge answers a proof as it should be.
func acknowledge(_ context.Context, r coordinator.Received, w io.Writer) error {
	_, err := w.Write(coordinator.Acknowledge(r.Message))
	return err
}

// internal is the coordinator's internal error.
func internal(context.Context, coordinator.Received, io.Writer) error {
	return errors.New("the store is gone")
}

// play runs a prover against a coordinator that answers as scripted, and returns
// the lines of its log without their times, the coordinator as HOST, and what it
// asked.
func play(t *testing.T, change func(*Options), answers ...coordinator.Answer) ([]string, []coordinator.Received) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	deadline := time.AfterFunc(time.Minute, func() { cancel(errors.New("the prover asks no more")) })
	defer deadline.Stop()
	s := &script{answers: answers, end: func() { cancel(cause) }}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := coordinator.Serve(ctx, ln, coordinator.Limits{}, s.answer, nil); err != nil {
			t.Error(err)
		}
	})
	var log bytes.Buffer
	o := Options{
		Coordinators: []string{"tcp://" + ln.Addr().String()}, Commit: commit, Interval: time.Millisecond,
		Timed: true, Log: tracelog.New(&log, slog.LevelInfo, "prover"),
	}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(ctx); err != cause {
		t.Errorf("Run = %v, want %v", err, cause)
	}
	serving.Wait()
	var lines []string
	for line := range strings.Lines(log.String()) {
		at, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "Z ")
		if _, err := time.Parse("2006-01-02T15:04:05.000000", at); !ok || err != nil {
			t.Errorf("line %q has no time", line)
		}
		lines = append(lines, strings.ReplaceAll(rest, ln.Addr().String(), "HOST"))
	}
	return lines, s.asked
}

// match compares lines with patterns, which stand for themselves but for what
// is between < and >.
func match(t *testing.T, lines []string, patterns ...string) {
	t.Helper()
	ok := len(lines) == len(patterns)
	for i := 0; ok && i < len(lines); i++ {
		var expression strings.Builder
		for j, part := range regexp.MustCompile(`<([^>]*)>`).Split(patterns[i], -1) {
			if j > 0 {
				expression.WriteString(regexp.MustCompile(`<([^>]*)>`).FindAllStringSubmatch(patterns[i], -1)[j-1][1])
			}
			expression.WriteString(regexp.QuoteMeta(part))
		}
		ok = regexp.MustCompile("^" + expression.String() + "$").MatchString(lines[i])
	}
	if !ok {
		t.Errorf("the log is\n\t%s\nwant\n\t%s", strings.Join(lines, "\n\t"), strings.Join(patterns, "\n\t"))
	}
}

const (
	started  = ` INFO Prover started for ["tcp://HOST"]`
	executes = ` WARN "exec" prover backend generates no proof, only executes`
)

func received(n int) string {
	return fmt.Sprintf(` INFO Received Response for batch_number: %d endpoint=tcp://HOST`, n)
}

func proved(n int) string {
	return fmt.Sprintf(` INFO Proved batch %d in <\d+\.\d\d(ms|s|µs)> batch=%d proving_time_s=<\d+> proving_time_ms=<\d+>`, n, n)
}

func acknowledged(n int) string {
	return fmt.Sprintf(` INFO Received submit ack for batch_number: %d endpoint=tcp://HOST`, n)
}

func TestRun(t *testing.T) {
	doc, public := input(t)
	lines, asked := play(t, nil, give(3, doc), acknowledge, give(4, doc), acknowledge)
	match(t, lines, started, received(3), executes, proved(3), acknowledged(3), received(4), executes, proved(4), acknowledged(4))

	if m := asked[0].Message; m.Kind != coordinator.BatchRequest || m.Commit != commit || m.Prover != "Exec" {
		t.Errorf("it asked %s", asked[0].Doc)
	}
	proof, err := coordinator.ReadProof(asked[1].Doc)
	if err != nil {
		t.Fatal(err)
	}
	if proof.Batch != 3 || proof.Form != "ProofBytes" || proof.Prover != "Exec" {
		t.Errorf("it submitted %s", asked[1].Doc)
	}
	var values [batch.PublicSize]int
	if err := json.Unmarshal(proof.Public, &values); err != nil {
		t.Fatal(err)
	}
	for i, want := range public.Encode() {
		if values[i] != int(want) {
			t.Fatalf("public value %d is %d, want %d", i, values[i], want)
		}
	}
}

func TestRun_untimed(t *testing.T) {
	doc, _ := input(t)
	lines, _ := play(t, func(o *Options) { o.Timed = false }, give(3, doc), acknowledge)
	match(t, lines, started, received(3), executes, ` INFO Proved batch 3 batch=3`, acknowledged(3))
}

// TestRun_troubles: each is told in ethrex's words and none ends the prover.
func TestRun_troubles(t *testing.T) {
	doc, _ := input(t)
	nothing := `{"BatchResponse":{"batch_number":null,"input":null,"format":null}}`
	request := `ERROR Failed to request new data: Failed to get Response: `
	submit := ` WARN Failed to submit proof: `
	for name, c := range map[string]struct {
		answers []coordinator.Answer
		want    []string
	}{
		"idle": {[]coordinator.Answer{text(nothing), text(nothing)}, nil},
		"another version": {[]coordinator.Answer{text(`"VersionMismatch"`), text(`{"NoBatchForVersion":{"commit_hash":"x"}}`)}, slices.Repeat(
			[]string{` WARN Version mismatch: the next batch to prove was built with a different code version. This prover may need to be updated.`}, 2)},
		"not needed": {[]coordinator.Answer{text(`{"ProverTypeNotNeeded":{"prover_type":"Exec"}}`)}, []string{
			`ERROR Proof coordinator does not need Exec proofs. This prover's backend is not in the required proof types for this deployment. endpoint=tcp://HOST`}},
		"internal error": {[]coordinator.Answer{internal}, []string{
			request + `EOF while parsing a value at line 1 column 0 endpoint=tcp://HOST`}},
		"cut": {[]coordinator.Answer{text(`{"BatchResponse":{"batch_number":1,"input":{"blocks":[[1,2`)}, []string{
			request + `<.*>the document ends too soon, after 58 bytes endpoint=tcp://HOST`}},
		"another layout": {[]coordinator.Answer{text(`{"BatchResponse":{"batch_number":1,"input":{"program":[1]}}}`)}, []string{
			request + `batch response: input: the input has no blocks: it is of another layout endpoint=tcp://HOST`}},
		"no protocol": {[]coordinator.Answer{text(`{"Hello":{}}`)}, []string{
			`ERROR Failed to request new data: Expecting Response, got "Hello" endpoint=tcp://HOST`}},
		"terminal codes": {[]coordinator.Answer{text(`{"\u001b[2J\n":{}}`)}, []string{
			`ERROR Failed to request new data: Expecting Response, got "\x1b[2J\n" endpoint=tcp://HOST`}},
		"invalid block": {[]coordinator.Answer{give(5, spoiled(t, doc))}, []string{
			received(5), executes, `ERROR block 2: missing state node <0x\w+>, the root of the account trie<.*>`}},
		"submit fails, then again": {[]coordinator.Answer{give(3, doc), internal, give(3, doc), acknowledge}, []string{
			received(3), executes, proved(3), submit + `Failed to get SubmitAck: EOF while parsing a value at line 1 column 0 endpoint=tcp://HOST`,
			received(3), executes, proved(3), acknowledged(3)}},
		"another answer to the proof": {[]coordinator.Answer{give(3, doc), text(nothing), give(3, doc), text(`{"ProofSubmitACK":{"batch_number":4}}`)}, []string{
			received(3), executes, proved(3), submit + `Expecting SubmitAck, got "BatchResponse" endpoint=tcp://HOST`,
			received(3), executes, proved(3), submit + `Expecting SubmitAck of batch 3, got that of batch 4 endpoint=tcp://HOST`}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, asked := play(t, nil, c.answers...)
			match(t, lines, append([]string{started}, c.want...)...)
			if len(asked) != len(c.answers)+1 {
				t.Errorf("it asked %d times, want one more than %d", len(asked), len(c.answers))
			}
		})
	}
}

// spoiled changes a byte of the state in an input document.
func spoiled(t *testing.T, doc []byte) []byte {
	t.Helper()
	b, err := batch.Decode(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range b.Witness.State {
		node[3] ^= 1
	}
	var out bytes.Buffer
	if err := batch.Encode(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestRun_several: a coordinator that is not there does not keep the next from
// being asked.
func TestRun_several(t *testing.T) {
	doc, _ := input(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	lines, _ := play(t, func(o *Options) { o.Coordinators = []string{"http://" + gone, o.Coordinators[0]} }, give(1, doc), acknowledge)
	refused := `ERROR Failed to request new data: Failed to get Response: Connection refused (os error 111) endpoint=http://` + gone + `/`
	match(t, lines, ` INFO Prover started for ["http://`+gone+`/", "tcp://HOST"]`,
		refused, received(1), executes, proved(1), acknowledged(1), refused)
}

// TestRequest_streams: an answer that arrives in small pieces is decoded as one
// that arrives at once.
func TestRequest_streams(t *testing.T) {
	doc, _ := input(t)
	slow := func(_ context.Context, _ coordinator.Received, w io.Writer) error {
		var answer bytes.Buffer
		if err := give(6, doc)(t.Context(), coordinator.Received{}, &answer); err != nil {
			return err
		}
		_, err := io.Copy(struct{ io.Writer }{w}, iotest.OneByteReader(&answer))
		return err
	}
	lines, _ := play(t, nil, slow, acknowledge)
	match(t, lines, started, received(6), executes, proved(6), acknowledged(6))
}

// TestRun_stopsWhileAsking: a coordinator that never answers does not keep the
// prover from stopping.
func TestRun_stopsWhileAsking(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("told to stop")
	var serving sync.WaitGroup
	serving.Go(func() {
		hang := func(ctx context.Context, _ coordinator.Received, w io.Writer) error {
			io.WriteString(w, `{"BatchResponse":{"batch_number":1,"input":{"blocks":[[1,`)
			cancel(cause)
			<-ctx.Done()
			return ctx.Err()
		}
		coordinator.Serve(ctx, ln, coordinator.Limits{Grace: time.Millisecond}, hang, nil)
	})
	var log bytes.Buffer
	p, err := New(Options{Coordinators: []string{ln.Addr().String()}, Commit: commit, Log: tracelog.New(&log, slog.LevelInfo, "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(ctx); err != cause {
		t.Errorf("Run = %v, want %v", err, cause)
	}
	serving.Wait()
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("stopping left %d lines in the log:\n%s", n, log.String())
	}
}

// TestRun_hangs: a coordinator that takes the question, begins to answer and
// hangs is told of, and the next one is asked.
func TestRun_hangs(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the second was asked")
	var serving sync.WaitGroup
	defer serving.Wait()
	listen := func(answer coordinator.Answer) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		serving.Go(func() {
			coordinator.Serve(ctx, ln, coordinator.Limits{Grace: time.Millisecond}, answer, nil)
		})
		return ln.Addr().String()
	}
	hangs := listen(func(ctx context.Context, _ coordinator.Received, w io.Writer) error {
		io.WriteString(w, `{"BatchResponse":{"batch_number":1,"input":{"blocks":[[1,`)
		<-ctx.Done()
		return ctx.Err()
	})
	answers := listen(func(context.Context, coordinator.Received, io.Writer) error {
		cancel(cause)
		return nil
	})
	var log bytes.Buffer
	p, err := New(Options{Coordinators: []string{hangs, answers}, Commit: commit, Log: tracelog.New(&log, slog.LevelInfo, "")})
	if err != nil {
		t.Fatal(err)
	}
	p.patience = 50 * time.Millisecond
	if err := p.Run(ctx); err != cause {
		t.Errorf("Run = %v, want %v", err, cause)
	}
	want := "ERROR Failed to request new data: Failed to get Response: coordinator " + hangs + ": it sent nothing for 50ms endpoint=" + hangs + "\n"
	if !strings.Contains(log.String(), want) {
		t.Errorf("the log is\n%swant %s", log.String(), want)
	}
}

func TestNew_refuses(t *testing.T) {
	good := Options{Coordinators: []string{"tcp://127.0.0.1:3900"}, Commit: commit}
	for want, change := range map[string]func(*Options){
		"no proof coordinator":    func(o *Options) { o.Coordinators = nil },
		`coordinator "127.0.0.1"`: func(o *Options) { o.Coordinators = []string{"127.0.0.1"} },
		`commit "main"`:           func(o *Options) { o.Commit = "main" },
		"is negative":             func(o *Options) { o.Interval = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New gives %v, want %s", err, want)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestHuman(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00ns", 999: "999.00ns", 1000: "1.00µs", 512_460: "512.46µs",
		312_460 * time.Microsecond: "312.46ms", 47_123 * time.Millisecond: "47.12s", 754_320 * time.Millisecond: "754.32s",
		// Ties go to the even digit, and a carry stays in its unit.
		1_005_000 * time.Microsecond: "1.00s", 1_015_000 * time.Microsecond: "1.02s",
		999_999 * time.Microsecond: "1000.00ms", 1_005_000_001 * time.Nanosecond: "1.01s",
	} {
		if got := human(d); got != want {
			t.Errorf("human(%d) = %s, want %s", d, got, want)
		}
	}
}

func TestParseSlowdown(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "0.05": 0.05, "10": 10} {
		if got, err := parseSlowdown(text); err != nil || got != want {
			t.Errorf("parseSlowdown(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "-0.1", "10.1", "5%", "NaN", "Inf", " 0.05"} {
		if _, err := parseSlowdown(text); err == nil {
			t.Errorf("parseSlowdown(%q) gives no error", text)
		}
	}
}

// TestDawdle: the slowdown is of what the work took, and is in the timed span.
func TestDawdle(t *testing.T) {
	p := &Prover{slow: 0.5}
	start := time.Now().Add(-20 * time.Millisecond) // work of at least 20 ms
	before := time.Since(start)
	p.dawdle(start)
	if took := time.Since(start); took < before+before/2 {
		t.Errorf("%v of work with half as much more took %v", before, took)
	}
}
