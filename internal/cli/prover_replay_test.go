package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// recordingOf records n batches and returns the directory.
func recordingOf(t *testing.T, n int) string {
	t.Helper()
	s := &handedOut{}
	for i := range n {
		s.docs = append(s.docs, batchDocument(uint64(i+1), 1000))
	}
	upstream, err := coordinator.Address(s.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "rec")
	recorder, err := coordinator.Record(dir, upstream, "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	proxy := coordinator.Proxy{Upstream: upstream, Recorder: recorder}
	wg.Go(func() {
		if err := proxy.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	for range n {
		proveOne(t, ln.Addr().String())
	}
	cancel()
	wg.Wait()
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startReplay starts verdict prover replay with a short pause between polls.
func startReplay(t *testing.T, recording string, args ...string) (p *process, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "run")
	return startProcess(t, "verdict", append([]string{"prover", "replay", recording,
		"--poll", "5ms", "--out", dir, "--seed", "1"}, args...)...), dir
}

// attempts are those that a run stored, by side.
func attempts(t *testing.T, dir string) (all [2][]sample.Attempt) {
	t.Helper()
	for i, side := range sample.Sides {
		_, err := store.ReadLines(filepath.Join(dir, store.SamplesName(side)), func(r sample.Record) error {
			if r.Attempt != nil {
				all[i] = append(all[i], *r.Attempt)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// provers are the pids of the provers, as the journal recorded them.
func provers(t *testing.T, dir string) (pids []int) {
	t.Helper()
	_, err := store.ReadLines(filepath.Join(dir, store.JournalName), func(e store.Event) error {
		if strings.HasPrefix(e.Step, "start-prover-") && e.Event == store.Done {
			text, _, _ := strings.Cut(strings.TrimPrefix(e.Detail, "pid "), ",")
			pid, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			pids = append(pids, pid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

// noneRuns checks that the provers of a run have ended.
func noneRuns(t *testing.T, dir string, want int) {
	t.Helper()
	pids := provers(t, dir)
	if len(pids) != want {
		t.Errorf("%d provers were started, want %d", len(pids), want)
	}
	for _, pid := range pids {
		if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && bytes.Contains(raw, []byte("--proof-coordinators")) {
			t.Errorf("prover %d still runs", pid)
		}
	}
}

func manifestOf(t *testing.T, dir string) (m store.Manifest) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, store.ManifestName))
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestProverReplay(t *testing.T) {
	rec := recordingOf(t, 8)
	p, dir := startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--test", ethrexOf(t, "ok", "STANDIN_MS=130"))
	p.ends(0)
	if got := p.stdout.String(); !strings.Contains(got, "VERDICT: regresses") {
		t.Errorf("stdout:\n%s", got)
	}
	noneRuns(t, dir, 2)
	all := attempts(t, dir)
	for i, side := range all {
		if len(side) != 9 {
			t.Fatalf("%d attempts of the %s side, want 8 and a warm-up", len(side), sample.Sides[i])
		}
		for k, a := range side {
			first := k == 0
			if a.WarmUp != first || a.SetUp != first || a.Status != sample.Accepted || a.ProvingNS < 100e6 ||
				len(a.InputSHA256) != 64 || len(a.Public) != 64 || a.InputBytes == 0 || a.RoundTripNS <= 0 || a.ProvedAt.IsZero() {
				t.Errorf("attempt %d: %+v", k, a)
			}
			if !first && (a.Batch != uint64(k) || a.Order+all[1-i][k].Order != 3 || a.InputSHA256 != all[1-i][k].InputSHA256) {
				t.Errorf("attempt %d is %+v, the other side's %+v", k, a, all[1-i][k])
			}
		}
	}
	if m := manifestOf(t, dir); m.State != store.Complete || m.Verdict != "regresses" || len(m.Sides[0].BinarySHA256) != 64 || m.Sides[1].Argv[3] == "" {
		t.Errorf("manifest: %+v", m)
	}
	again := startProcess(t, "verdict", "report", dir)
	again.ends(0)
	if !strings.Contains(again.stdout.String(), "VERDICT: regresses") {
		t.Errorf("verdict report says\n%s", &again.stdout)
	}
}

func TestProverReplay_same(t *testing.T) {
	rec := recordingOf(t, 6)
	p, dir := startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--aa", "--json", "--fail-on-regression")
	p.ends(0)
	var r struct {
		Outcome string `json:"outcome"`
		Pairs   int    `json:"pairs"`
	}
	if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil || r.Pairs != 6 || r.Outcome == "regresses" || r.Outcome == "improves" {
		t.Errorf("the report is %+v, %v", r, err)
	}
	noneRuns(t, dir, 2)
}

func TestProverReplay_failOnRegression(t *testing.T) {
	rec := recordingOf(t, 8)
	p, _ := startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--test", ethrexOf(t, "ok", "STANDIN_MS=150"), "--fail-on-regression")
	p.ends(3, "the test side regresses")
	p, _ = startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--test", ethrexOf(t, "ok"), "--batches", "3")
	p.ends(5, "with 3 batches there is no verdict: it needs 6", "the result is invalid")
}

func TestProverReplay_wrongOutput(t *testing.T) {
	rec := recordingOf(t, 6)
	p, dir := startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--test", ethrexOf(t, "wrong output", "STANDIN_MS=50"))
	p.ends(5, "batch 2: the public outputs of the two sides differ", "the result is invalid")
	if !strings.Contains(p.stdout.String(), "VERDICT: invalid") {
		t.Errorf("stdout:\n%s", &p.stdout)
	}
	noneRuns(t, dir, 2)
}

// A proof that comes twice changes nothing.
func TestProverReplay_twice(t *testing.T) {
	rec := recordingOf(t, 6)
	p, dir := startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--test", ethrexOf(t, "twice"))
	p.ends(0, "the test prover: a second proof of batch 1 was ignored")
	if all := attempts(t, dir); len(all[0]) != 7 || len(all[1]) != 7 {
		t.Errorf("%d and %d attempts", len(all[0]), len(all[1]))
	}
	noneRuns(t, dir, 2)
}

// What keeps a prover from proving ends the replay, with its side, its batch and
// what its log says.
func TestProverReplay_broken(t *testing.T) {
	rec := recordingOf(t, 4)
	check := func(mode string, status, started int, parts ...string) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p, dir := startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--test", ethrexOf(t, mode),
				"--ask-timeout", "2s", "--proof-timeout", "2s")
			p.ends(status, parts...)
			noneRuns(t, dir, started)
			if m := manifestOf(t, dir); m.State != store.Incomplete || m.Reason == "" {
				t.Errorf("the manifest says %s: %s", m.State, m.Reason)
			}
		})
	}
	check("rejects", 1, 2, "the test prover asked again without a proof of batch 1", "does not accept the recorded input",
		"prover-test.log", "missing field `elasticity_multiplier`")
	check("dies", 1, 2, "batch 1, in the turn of the test", "the test prover ended: exit status 3", "out of memory")
	check("dies at start", 1, 2, "the test prover ended: exit status 3", "cannot load the proving key")
	check("hangs", 1, 2, "the test prover has had batch 1 for 2s and submitted no proof", "Received Response for batch_number: 1")
	check("never asks", 1, 2, "the test prover has not asked for work within 2s", "Prover started")
	check("wrong batch", 1, 2, "the test prover asked again without a proof of batch 1", "a proof of batch 2, which this prover was not given")
	check("untimed", 1, 2, "batch 1 of the test", "PROVER_CLIENT_TIMED")
	check("newer", 2, 2, "asks with InputRequest", "batch 1 was recorded as BatchResponse")
	check("no prover", 4, 1, "the test build is no prover", "--program says what kind of program it is")
	check("no backend", 4, 1, "the test build has no backend exec, only sp1")
}

// An interrupted replay stops both provers and reports what there is.
func TestProverReplay_interrupted(t *testing.T) {
	rec := recordingOf(t, 40)
	p, dir := startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--test", ethrexOf(t, "ok"), "--poll", "20ms")
	file := filepath.Join(dir, store.SamplesName(sample.Test))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		if raw, _ := os.ReadFile(file); bytes.Count(raw, []byte("\n")) >= 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is measured")
		}
	}
	p.interrupt()
	p.ends(130, "interrupted by signal", "its samples are kept: verdict report "+dir)
	if got := p.stderr.String(); strings.Count(got, "interrupted by signal") != 1 || strings.Contains(got, "the end of") {
		t.Errorf("an interrupt is put down to a prover:\n%s", got)
	}
	noneRuns(t, dir, 2)
	if m := manifestOf(t, dir); m.State != store.Incomplete {
		t.Errorf("the manifest says %s", m.State)
	}
	if p.stdout.Len() == 0 {
		t.Error("there is no report")
	}
	startProcess(t, "verdict", "report", dir).ends(0)
}

// A document that was changed is not proved.
func TestProverReplay_changed(t *testing.T) {
	rec := recordingOf(t, 4)
	path := filepath.Join(rec, "batches", "2.json")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(doc, []byte("255"), []byte("254"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	p, dir := startReplay(t, rec, "--baseline", ethrexOf(t, "ok"), "--aa")
	p.ends(2, "2.json was changed")
	noneRuns(t, dir, 0)
}
