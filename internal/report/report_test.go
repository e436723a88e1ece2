package report

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// made makes a run of n blocks from seeded numbers.
func made(n int, edit func(i, side int, s *sample.Sample)) *Run {
	rng := rand.New(rand.NewPCG(1, 2))
	var records [2][]sample.Record
	for i := range n {
		base := 150e6 * math.Exp(0.2*rng.NormFloat64())
		latency := [2]float64{base, base * 0.05 * math.Exp(0.1*rng.NormFloat64())}
		for side := range latency {
			s := &sample.Sample{
				Side: sample.Sides[side], Number: uint64(100 + i), Hash: fmt.Sprintf("0x%064x", i),
				Status: sample.OK, AskedAt: noon.Add(time.Duration(i) * time.Second),
				Order: 1 + (i+side)%2, ImportNS: int64(40e6 + 30e6*float64(side)),
				BodyBytes: 1_400_000, WireBytes: 1_400_000, GasUsed: 20_000_000, Transactions: 600,
				Counts: sample.Counts{StateNodes: 4000, Codes: 1, Keys: 2000, Headers: 1},
				Digest: fmt.Sprint(i), KeysDigest: fmt.Sprint(i), Verification: sample.Complete,
			}
			total := int64(latency[side])
			s.Timing = sample.Timing{FirstByteNS: total * 9 / 10, BodyNS: total / 10, TotalNS: total}
			if edit != nil {
				edit(i, side, s)
			}
			records[side] = append(records[side], sample.Record{V: 1, Sample: s})
		}
	}
	rule := compare.DefaultRule()
	rule.Planned = n
	return &Run{Manifest: manifest(), Result: compare.Analyze(records, rule), Records: records, Dir: "runs/example"}
}

func manifest() store.Manifest {
	m := store.Manifest{
		V: 1, Workflow: "witness", State: store.Complete, Started: noon, Ended: noon.Add(5 * time.Minute),
		SpecHash: "sha256:aa", PlanHash: "sha256:bb", Network: "local", ChainID: 1986359908, Program: "(devel)",
		Environment: store.Environment{Hostname: "bench-1", OS: "linux/amd64", Kernel: "6.1.0", CPU: "Example CPU 9000", CPUs: 2, MemoryBytes: 25 << 30, Go: "go1.26.8"},
	}
	for i, side := range sample.Sides {
		m.Sides[i] = store.Side{Side: side, Host: "bench-1", Collector: "bench-1", RPC: "http://127.0.0.1:8545",
			Version: "verdict-node/v1.17.10", Ref: "built-in node, witnesses " + []string{"on-demand", "serialized"}[i]}
	}
	return m
}

// planned is the same run with another number of planned blocks.
func planned(r *Run, n int) *Run {
	rule := r.Result.Rule
	rule.Planned = n
	r.Result = compare.Analyze(r.Records, rule)
	return r
}

// controlled is a run with an A/A control before it.
func controlled() *Run {
	r := made(200, nil)
	aa := made(120, func(i, side int, s *sample.Sample) {
		s.Control = sample.TwoPlaces
		s.TotalNS = int64(100e6 * math.Exp(0.03*math.Sin(float64(7*i+3*side))))
	})
	for side := range r.Records {
		r.Records[side] = append(aa.Records[side], r.Records[side]...)
	}
	r.Result.Rule.MarginFromControl = true
	return planned(r, 200)
}

// twoHosts is a live run on two servers, with exchanged builds or without.
func twoHosts(crossover bool) *Run {
	r := made(230, func(i, side int, s *sample.Sample) {
		effect := 0.06 // of the second host
		if crossover {
			session := i / 55
			s.Session, s.Swapped = session+1, session == 1 || session == 2
			if s.Swapped {
				effect = -effect
			}
			effect += 0.002 * float64(session%2)
		}
		if s.AskedAt = s.AskedAt.Add(time.Hour); side == 1 {
			s.TotalNS = int64(float64(s.TotalNS) * 20 * math.Exp(effect-0.10))
		}
		s.FirstByteNS, s.BodyNS, s.Order, s.ImportNS = s.TotalNS*9/10, s.TotalNS/10, 0, 0
		s.Host = "one-name"
	})
	s := spec.Defaults(spec.Live)
	s.Baseline.Host, s.Test.Host, s.Servers.Crossover = "alpha", "beta", crossover
	m := &r.Manifest
	m.Network, m.ChainID, m.Behind = "hoodi", 560048, 3
	for i := range m.Sides {
		own := m.Environment
		own.Hostname, own.MemoryBytes = []string{"alpha-1", "beta-1"}[i], int64(64+32*i)<<30
		m.Sides[i] = store.Side{
			Side: sample.Sides[i], Host: []string{"alpha", "beta"}[i], Collector: []string{"alpha", "beta"}[i],
			RPC: "http://127.0.0.1:8545", Version: "ethrex/v9.0.0-abc", Ref: []string{"main", "pull/6157/head"}[i],
			Commit: []string{"0123456789abcdef0123", "fedcba98765432100123"}[i],
			Binary: "/home/bench/ethrex", BinarySHA256: strings.Repeat("ab", 32),
			Argv: []string{"ethrex", "--network", "hoodi", "--precompute-witnesses"}, Environment: &own,
		}
	}
	r.Result = compare.Analyze(r.Records, compare.RuleOf(&s))
	return r
}

// imported is a comparison of series that were measured elsewhere: latencies of
// different blocks, or proofs of different batches.
func imported(proofs bool) *Run {
	rng := rand.New(rand.NewPCG(3, 4))
	var series [2]*intake.Series
	for side := range series {
		s := &intake.Series{Name: []string{"main.csv", "pr.csv"}[side], Kind: intake.CSV, Numbered: true, Lines: 61}
		if proofs {
			s.Name, s.Kind, s.Batches = []string{"main.log", "pr.log"}[side], intake.ProverLog, true
		}
		for i := range 30 {
			gas := 20e6 * math.Exp(0.4*rng.NormFloat64())
			ms := 200 * math.Exp(0.3*rng.NormFloat64()-0.5*float64(side))
			v := intake.Value{Block: uint64(1000*side + i + 1), MS: ms}
			if proofs {
				v.Block, v.MS = uint64(i+1), 4e4*math.Pow(gas/20e6, 0.9)*math.Exp(0.05*rng.NormFloat64()-0.1*float64(side))
				s.Work = append(s.Work, intake.Work{Gas: uint64(gas), Txs: uint32(gas / 1e5), Blocks: 10})
			}
			s.Values = append(s.Values, v)
		}
		if proofs {
			s.Values[0].Flags |= intake.SetUp
		}
		series[side] = s
	}
	r, err := compare.Imported(series, compare.Import{Rule: compare.DefaultRule()})
	if err != nil {
		panic(err)
	}
	return &Run{Result: r}
}

// cases are the runs that every format is shown with.
func cases() map[string]*Run {
	incomplete := planned(made(120, nil), 200)
	incomplete.Manifest.State, incomplete.Manifest.Reason = store.Incomplete, "interrupted by interrupt"
	incomplete.Warnings = []string{"the last line of samples-test.jsonl is torn and was left out"}
	return map[string]*Run{
		"control":  controlled(),
		"unpaired": imported(false),
		"proofs":   imported(true),
		"improves": made(200, nil),
		"empty":    made(0, nil),
		"one":      made(1, nil),
		"failed-side": made(200, func(i, side int, s *sample.Sample) {
			if side == 1 && i >= 90 {
				s.Status, s.Digest = sample.Unavailable, ""
				s.Failure = &sample.Failure{Message: "connection refused"}
			}
		}),
		"invalid": made(200, func(i, side int, s *sample.Sample) {
			if side == 1 && i%50 == 3 {
				s.Digest = "other"
			}
			if side == 1 && i == 60 {
				s.Status, s.Verification = sample.InvalidWitness, sample.Incomplete
				s.Failure = &sample.Failure{Message: "missing state node 0x1234 of the account trie"}
			}
		}),
		"incomplete": incomplete,
		"crossover":  twoHosts(true),
		"two-hosts":  twoHosts(false),
		"no-effect": made(200, func(i, side int, s *sample.Sample) {
			if side == 1 {
				s.TotalNS *= 20
			}
			s.TotalNS = int64(100e6 * math.Exp(0.02*math.Sin(float64(7*i+3*side))))
		}),
	}
}

var writers = map[string]func(io.Writer, *Run) error{"txt": Text, "md": Markdown}

func TestGolden(t *testing.T) {
	for name, run := range cases() {
		for format, write := range writers {
			var b bytes.Buffer
			if err := write(&b, run); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+format, b.Bytes())
		}
	}
}

// golden compares got with a file, and leaves it beside the file when they
// differ.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		os.WriteFile(path+".got", got, 0o644)
		t.Errorf("%s differs from its golden file; see %s.got", name, path)
	}
}

func TestText_width(t *testing.T) {
	runs := cases()
	runs["p99"] = made(400, nil)
	runs["slow"] = made(100, func(_, side int, s *sample.Sample) {
		if side == 1 {
			s.TotalNS *= 4000
		}
	})
	runs["mixed"], runs["outage"] = mixed(200), outage(3000)
	for name, run := range runs {
		var b bytes.Buffer
		if err := Text(&b, run); err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(b.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > textWidth {
				t.Errorf("%s: line %d is %d columns wide: %s", name, i+1, n, line)
			}
			if strings.HasSuffix(line, " ") {
				t.Errorf("%s: line %d ends with a blank", name, i+1)
			}
		}
	}
}

// What an invalid result is never allowed to say is a percentage of speed.
func TestInvalid_hasNoPercentage(t *testing.T) {
	d := Compose(cases()["invalid"])
	if strings.Contains(d.Headline+d.Effect, "%") || strings.Contains(d.Effect, "faster") {
		t.Errorf("headline %q, effect %q", d.Headline, d.Effect)
	}
}

// Markup in what servers say must not become markup of the report.
func TestMarkdown_hostileText(t *testing.T) {
	run := cases()["improves"]
	run.Manifest.Sides[1].Version = "evil|</details><img src=x>[click](http://x)\n# heading"
	var b bytes.Buffer
	if err := Markdown(&b, run); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"evil|", "<img", " [click]", ">[click", "\n# heading"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the report contains %q", bad)
		}
	}
}
