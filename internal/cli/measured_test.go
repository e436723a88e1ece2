package cli

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// measured is the script command that writes measurements with known effects:
//
//	measured KIND PATH [n=100] [first=1000] [factor=1] [seed=1] [side=baseline]
//	         [network=mainnet] [chain=1] [aa=0]
//
// The latency of a block depends on its number alone, times factor, times
// noise of 2 % that depends on the seed. Kinds are csv, hashed (csv with
// hashes), replay, benchfmt, samples, and run, whose test side is factor times
// the baseline; replayed is a run on two servers that ethrex-replay measured,
// with a few blocks more than planned. A chain has hashes of its own; aa gives a run an A/A control of
// as many blocks.
func measured(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: measured KIND PATH [key=value]...")
	}
	m := measurement{n: 100, first: 1000, factor: 1, seed: 1, side: sample.Baseline, network: "mainnet", chain: 1}
	for _, arg := range args[2:] {
		ts.Check(m.set(arg))
	}
	path := ts.MkAbs(args[1])
	switch args[0] {
	case "run":
		ts.Check(m.run(path))
		return
	case "replayed":
		ts.Check(m.replayed(path))
		return
	}
	var b strings.Builder
	for i := range m.n {
		m.line(&b, args[0], i)
	}
	if b.Len() == 0 {
		ts.Fatalf("kind %q is unknown", args[0])
	}
	ts.Check(os.WriteFile(path, []byte(b.String()), 0o600))
}

type measurement struct {
	n, first, chain, aa int
	factor              float64
	seed                uint64
	side                sample.Side
	network             string
}

func (m *measurement) set(arg string) (err error) {
	key, value, _ := strings.Cut(arg, "=")
	switch key {
	case "n":
		m.n, err = strconv.Atoi(value)
	case "first":
		m.first, err = strconv.Atoi(value)
	case "chain":
		m.chain, err = strconv.Atoi(value)
	case "aa":
		m.aa, err = strconv.Atoi(value)
	case "factor":
		m.factor, err = strconv.ParseFloat(value, 64)
	case "seed":
		m.seed, err = strconv.ParseUint(value, 10, 64)
	case "side":
		m.side = sample.Side(value)
	case "network":
		m.network = value
	default:
		err = fmt.Errorf("measured: %q is unknown", arg)
	}
	return err
}

// ms is the latency of the i-th block.
func (m *measurement) ms(i int) float64 {
	block := uint64(m.first + i)
	base := rand.New(rand.NewPCG(block, 0)).NormFloat64()
	noise := rand.New(rand.NewPCG(block, m.seed)).NormFloat64()
	return 100 * math.Exp(0.3*base) * m.factor * math.Exp(0.02*noise)
}

func (m *measurement) hash(i int) string { return fmt.Sprintf("0x%032x%032x", m.chain, m.first+i) }

func (m *measurement) line(b *strings.Builder, kind string, i int) {
	block, ms := m.first+i, m.ms(i)
	switch kind {
	case "csv":
		fmt.Fprintf(b, "%d,%.3f\n", block, ms)
	case "hashed":
		if i == 0 {
			b.WriteString("block,hash,ms,network\n")
		}
		fmt.Fprintf(b, "%d,%s,%.3f,%s\n", block, m.hash(i), ms, m.network)
	case "replay":
		fmt.Fprintf(b, "2026-03-06T15:38:18.664819Z DEBUG ethrex_replay::fetcher: Got execution witness for block %d in 00s %03.0fms\n", block, ms)
		fmt.Fprintf(b, "2026-03-06T15:38:20.226078Z  INFO ethrex_replay::report: [%s] Block: %d, Gas: 31026717, #Txs: 144, Execution Time: 01s 411ms | https://etherscan.io/block/%d\n", m.network, block, block)
	case "benchfmt":
		fmt.Fprintf(b, "BenchmarkWitness/block=%d 1 %.0f ns/op\n", block, 1e6*ms)
	case "samples":
		fmt.Fprintf(b, `{"v":1,"sample":{"side":%q,"number":%d,"hash":%q,"status":"ok","total_ns":%.0f,"digest":"0x%x"}}`+"\n", m.side, block, m.hash(i), 1e6*ms, block)
	}
}

// run writes a complete run.
func (m *measurement) run(dir string) error {
	began := time.Date(2026, 11, 22, 10, 15, 30, 0, time.UTC)
	run, err := store.Create(dir, func() time.Time { return began })
	if err != nil {
		return err
	}
	defer run.Close()
	s := spec.Defaults(spec.Local)
	s.Blocks, s.Control, s.MarginFromControl = m.n, m.aa, m.aa > 0
	encoded, err := s.Encode()
	if err != nil {
		return err
	}
	test := *m
	test.seed += 1000
	m.factor = 1
	for i := -m.aa; i < m.n; i++ {
		for side, of := range []*measurement{m, &test} {
			ms := of.ms(i)
			if i < 0 {
				ms /= of.factor
			}
			rec := sample.Record{V: sample.Version, Sample: &sample.Sample{
				Side: sample.Sides[side], Host: "host-1", Number: uint64(m.first + i), Hash: of.hash(i), Status: sample.OK,
				AskedAt: began.Add(time.Duration(i) * time.Second), Order: 1 + side, Digest: of.hash(i), Verification: sample.Complete,
				GasUsed: 30e6, Timing: sample.Timing{FirstByteNS: int64(1e6*ms) - 1000, BodyNS: 1000, TotalNS: int64(1e6 * ms)},
			}}
			if i < 0 {
				rec.Sample.Control = sample.TwoPlaces
			}
			if err := run.Append(sample.Sides[side], rec); err != nil {
				return err
			}
		}
	}
	if err := run.Write(store.SpecName, encoded); err != nil {
		return err
	}
	return run.WriteJSON(store.ManifestName, store.Manifest{
		V: store.ManifestVersion, Workflow: s.Workflow, State: store.Complete, Started: began, Ended: began.Add(time.Hour),
		SpecHash: spec.Hash(encoded), Network: m.network, ChainID: uint64(m.chain),
		Sides: [2]store.Side{
			{Side: sample.Baseline, Ref: "main", Host: "host-1", Version: "ethrex/v9.0.0"},
			{Side: sample.Test, Ref: "pr-" + filepath.Base(dir), Host: "host-1", Version: "ethrex/v9.0.1"},
		},
		Environment: store.Environment{Hostname: "host-1", OS: "linux/amd64", CPUs: 8, Go: "go1.26"},
	})
}

// replayed writes a complete run on two servers whose collectors were
// ethrex-replays. The test server began later and went on for longer, and its
// log holds what is not measured.
func (m *measurement) replayed(dir string) error {
	began := time.Date(2026, 11, 22, 10, 15, 30, 0, time.UTC)
	run, err := store.Create(dir, func() time.Time { return began })
	if err != nil {
		return err
	}
	defer run.Close()
	s := spec.Defaults(spec.Live)
	s.Blocks, s.WarmUp = m.n, 5
	s.Baseline.Host, s.Test.Host, s.Test.Ref = "alpha", "beta", "pull/6157/head"
	s.Servers.Network, s.Servers.Collector = m.network, spec.EthrexReplay
	encoded, err := s.Encode()
	if err != nil {
		return err
	}
	test := *m
	test.seed += 1000
	m.factor = 1
	var logs [2]strings.Builder
	for i := range m.n + 40 {
		m.line(&logs[0], "replay", i)
		if i < 7 {
			continue
		}
		test.line(&logs[1], "replay", i)
		if i == 30 {
			block := m.first + 100_000
			fmt.Fprintf(&logs[1], "2026-03-06T15:38:06.123824Z  INFO ethrex_replay::fetcher: Getting block %d data from cache\n", block)
			logs[1].WriteString("2026-03-06T15:38:06.123456Z  WARN ethrex_replay::fetcher: debug_executionWitness endpoint not implemented, using fallback eth_getProof\n")
			fmt.Fprintf(&logs[1], "2026-03-06T15:39:19.125456Z DEBUG ethrex_replay::fetcher: Got execution witness for block %d in 01m 13s\n", block)
		}
	}
	for i, side := range sample.Sides {
		if err := run.Write(filepath.Join(store.LogsName, "replay-"+string(side)+".log"), []byte(logs[i].String())); err != nil {
			return err
		}
	}
	if err := run.Write(store.SpecName, encoded); err != nil {
		return err
	}
	return run.WriteJSON(store.ManifestName, store.Manifest{
		V: store.ManifestVersion, Workflow: s.Workflow, State: store.Complete, Started: began, Ended: began.Add(time.Hour),
		SpecHash: spec.Hash(encoded), Network: m.network, ChainID: uint64(m.chain),
		Sides: [2]store.Side{
			{Side: sample.Baseline, Ref: "main", Host: "alpha", Collector: "alpha", Version: "ethrex/v9.0.0", Commit: "0123456789abcdef0123"},
			{Side: sample.Test, Ref: "pull/6157/head", Host: "beta", Collector: "beta", Version: "ethrex/v9.0.1",
				Environment: &store.Environment{Hostname: "beta", OS: "linux/amd64", CPU: "Faster CPU", CPUs: 16, Go: "go1.26"}},
		},
		Environment: store.Environment{Hostname: "alpha", OS: "linux/amd64", CPU: "Slower CPU", CPUs: 8, Go: "go1.26"},
		Behind:      3,
	})
}
