package collect

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/chaintest"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/witness"
)

func startNode(t testing.TB, head uint64) *chaintest.Node {
	t.Helper()
	node, err := chaintest.Start(head)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Stop)
	return node
}

func newSampler(t testing.TB, url string, o Options) *Sampler {
	t.Helper()
	o.SpoolDir = t.TempDir()
	s, err := NewSampler(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func measure(t testing.TB, s *Sampler, number uint64) (sample.Sample, *ethrpc.Body) {
	t.Helper()
	block, err := s.Block(t.Context(), number)
	if err != nil {
		t.Fatal(err)
	}
	out, body, err := s.Measure(t.Context(), Ask{Block: block, Seen: time.Now(), Behind: 3, Order: 2, WarmUp: true})
	if err != nil {
		t.Fatal(err)
	}
	return out, body
}

func TestSampler_sample(t *testing.T) {
	node := startNode(t, 9)
	node.SetSize(200_000)
	s := newSampler(t, node.URL(), Options{
		Side: sample.Test, Host: "here",
		MeterOptions: ethrpc.MeterOptions{Memory: 50_000},
	})
	before := time.Now()
	got, body := measure(t, s, 7)

	r, err := body.Open()
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Decode(r)
	if err != nil {
		t.Fatalf("the body is not readable afterwards: %v", err)
	}
	summary := w.Summary()
	if got.AskedAt.Before(before.Add(-time.Millisecond)) || got.AskedAt.Location() != time.UTC {
		t.Errorf("asked at %v", got.AskedAt)
	}
	if got.TotalNS <= 0 || got.TotalNS != got.FirstByteNS+got.BodyNS || got.ConnectNS <= 0 || got.DecodeNS <= 0 || got.SinceHeadNS <= 0 || got.OffsetNS <= 0 {
		t.Errorf("times %+v, decode %d, since head %d, offset %d", got.Timing, got.DecodeNS, got.SinceHeadNS, got.OffsetNS)
	}
	want := sample.Sample{
		Side: sample.Test, Host: "here", Number: 7, Hash: node.Hash(7), Status: sample.OK,
		AskedAt: got.AskedAt, OffsetNS: got.OffsetNS, BehindHead: 3, SinceHeadNS: got.SinceHeadNS,
		Order: 2, WarmUp: true, Timing: got.Timing, DecodeNS: got.DecodeNS,
		WireBytes: body.WireBytes(), BodyBytes: body.WireBytes(), GasUsed: 147_000, Transactions: 2,
		Counts: summary.Counts, Digest: summary.Digest, KeysDigest: summary.KeysDigest,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.WireBytes < 200_000 || got.Counts.StateNodes < 100 || got.Headers != 1 {
		t.Errorf("%d bytes, %+v", got.WireBytes, got.Counts)
	}
}

func TestSampler_gzipAndByHash(t *testing.T) {
	node := startNode(t, 9)
	node.SetSize(100_000)
	plain, _ := measure(t, newSampler(t, node.URL(), Options{}), 5)
	packed, _ := measure(t, newSampler(t, node.URL(), Options{ByHash: true, MeterOptions: ethrpc.MeterOptions{Gzip: true}}), 5)
	if node.Asked(witnessByNumber) != 1 || node.Asked(witnessByHash) != 1 {
		t.Errorf("asked %d times by number and %d times by hash, want 1 and 1", node.Asked(witnessByNumber), node.Asked(witnessByHash))
	}
	if packed.Status != sample.OK || packed.Digest != plain.Digest || packed.BodyBytes != plain.BodyBytes || packed.WireBytes >= plain.WireBytes {
		t.Errorf("plain %+v\ngzip %+v", plain, packed)
	}
}

func TestSampler_statuses(t *testing.T) {
	tests := map[chaintest.Fault]struct {
		status  sample.Status
		code    int
		message string
	}{
		chaintest.None:         {sample.OK, 0, ""},
		chaintest.Chunked:      {sample.OK, 0, ""},
		chaintest.ReorgDuring:  {sample.Reorged, 0, "block 5 is 0x"},
		chaintest.RPCError:     {sample.RPCError, -32603, "Could not get block body"},
		chaintest.HTTPError:    {sample.HTTPError, 503, "HTTP status 503: overloaded"},
		chaintest.Hang:         {sample.Timeout, 0, "no complete answer within 300ms: 0 bytes"},
		chaintest.HangBody:     {sample.Timeout, 0, "no complete answer within 300ms"},
		chaintest.Drop:         {sample.Unavailable, 0, "EOF"},
		chaintest.Short:        {sample.Truncated, 0, "the connection ended after"},
		chaintest.ShortChunked: {sample.Truncated, 0, "the connection ended after"},
		chaintest.ShortJSON:    {sample.Truncated, 0, "unexpected EOF"},
		chaintest.NotJSON:      {sample.Malformed, 0, "witness"},
		chaintest.NotHTTP:      {sample.Malformed, 0, "malformed HTTP"},
		chaintest.Null:         {sample.Malformed, 0, "null"},
		chaintest.Empty:        {sample.Malformed, 0, "the witness is empty"},
	}
	for _, f := range chaintest.Faults {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			want, ok := tests[f]
			if !ok {
				t.Fatalf("no expectation for fault %q", f)
			}
			node := startNode(t, 9)
			node.SetFault(5, f)
			o := Options{}
			if want.status == sample.Timeout {
				o.Timeout = 300 * time.Millisecond
			}
			got, _ := measure(t, newSampler(t, node.URL(), o), 5)
			if got.Status != want.status {
				t.Fatalf("status %s (%+v), want %s", got.Status, got.Failure, want.status)
			}
			witnessed := got.Status == sample.OK || got.Status == sample.Reorged
			if witnessed != (got.Digest != "") || (got.Status == sample.OK) != (got.Failure == nil) {
				t.Errorf("status %s with digest %q and failure %+v", got.Status, got.Digest, got.Failure)
			}
			if f := got.Failure; f != nil && (f.Code != want.code || !strings.Contains(f.Message, want.message)) {
				t.Errorf("failure %+v, want code %d and %q", f, want.code, want.message)
			}
			if got.TotalNS <= 0 {
				t.Errorf("total %d ns", got.TotalNS)
			}
		})
	}
}

func TestSampler_blockGoneAfterwards(t *testing.T) {
	node := startNode(t, 9)
	node.SetFault(9, chaintest.RPCError)
	node.Before(9, func() { node.Rewind(8) })
	got, _ := measure(t, newSampler(t, node.URL(), Options{}), 9)
	if got.Status != sample.Reorged || !strings.Contains(got.Failure.Message, "no block 9 any more; before that: rpc-error") {
		t.Errorf("status %s, failure %+v", got.Status, got.Failure)
	}
}

// An answer whose block cannot be confirmed afterwards is not OK.
func TestSampler_uncheckedIsNotOK(t *testing.T) {
	node := startNode(t, 9)
	node.Before(9, func() { node.Disable("eth_getBlockByNumber") })
	got, _ := measure(t, newSampler(t, node.URL(), Options{}), 9)
	if got.Status != sample.Unavailable || !strings.Contains(got.Failure.Message, "could not be checked") {
		t.Errorf("status %s, failure %+v", got.Status, got.Failure)
	}
}

func TestSampler_interrupted(t *testing.T) {
	node := startNode(t, 9)
	node.SetFault(5, chaintest.Hang)
	s := newSampler(t, node.URL(), Options{})
	block, err := s.Block(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	node.Before(5, cancel)
	if got, _, err := s.Measure(ctx, Ask{Block: block}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v; want the interrupt and no sample", got, err)
	}
}

func TestPreflight(t *testing.T) {
	node := startNode(t, 9)
	s := newSampler(t, node.URL(), Options{})
	got, err := s.Preflight(t.Context())
	if want := (Server{ChainID: 1337, Version: "chaintest/v1", Head: 9}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	node.Disable("web3_clientVersion")
	if got, err = s.Preflight(t.Context()); err != nil || got.Version != "" {
		t.Errorf("without a version: %+v, %v", got, err)
	}
	node.Disable("debug_executionWitness")
	_, err = s.Preflight(t.Context())
	if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "does not offer debug_executionWitness") || len(fault.HintsOf(err)) == 0 {
		t.Errorf("without the method: %v, hints %q", err, fault.HintsOf(err))
	}
}

func TestPreflight_unusable(t *testing.T) {
	gone := startNode(t, 1)
	gone.Stop()
	defer gone.Restart() // the clean-up stops it again
	website := httptest.NewServer(http.NotFoundHandler())
	defer website.Close()
	for name, url := range map[string]string{
		"refused":   strings.Replace(gone.URL(), "//", "//user:secret@", 1),
		"a website": website.URL,
	} {
		_, err := newSampler(t, url, Options{}).Preflight(t.Context())
		if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), "127.0.0.1:") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v (kind %d)", name, err, fault.KindOf(err))
		}
	}
}

func TestBlock_malformed(t *testing.T) {
	for name, result := range map[string]string{
		"another number": `{"number":"0x6","hash":"0xH","parentHash":"0xH","gasUsed":"0x0","timestamp":"0x0","transactions":[]}`,
		"no hash":        `{"number":"0x5","hash":null,"parentHash":"0xH","gasUsed":"0x0","timestamp":"0x0","transactions":[]}`,
		"bad quantity":   `{"number":"0x5","hash":"0xH","parentHash":"0xH","gasUsed":"12","timestamp":"0x0","transactions":[]}`,
		"not an object":  `"0x5"`,
	} {
		body := `{"jsonrpc":"2.0","id":1,"result":` + strings.ReplaceAll(result, "0xH", "0x"+strings.Repeat("ab", 32)) + `}`
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		defer server.Close()
		if b, err := newSampler(t, server.URL, Options{}).Block(t.Context(), 5); err == nil || errors.Is(err, ErrNoBlock) {
			t.Errorf("%s: got %+v, %v; want an error", name, b, err)
		}
	}
}

// Whatever a server says of a block, it is a block of that number with whole
// hashes, or an error.
func FuzzParseBlock(f *testing.F) {
	hash := "0x" + strings.Repeat("Ab", 32)
	f.Add([]byte(`{"number":"0x5","hash":"`+hash+`","parentHash":"`+hash+`","gasUsed":"0x0","timestamp":"0x1","transactions":["0x00",{}]}`), uint64(5))
	f.Add([]byte(`null`), uint64(5))
	f.Add([]byte(`{"number":"0x10000000000000000"}`), uint64(0))
	f.Fuzz(func(t *testing.T, raw []byte, number uint64) {
		b, err := parseBlock(raw, number)
		if err != nil {
			if b != (Block{}) {
				t.Errorf("%+v beside error %v", b, err)
			}
			return
		}
		if b.Number != number || !isHash(b.Hash) || !isHash(b.ParentHash) {
			t.Errorf("parseBlock(%q, %d) = %+v", raw, number, b)
		}
	})
}
