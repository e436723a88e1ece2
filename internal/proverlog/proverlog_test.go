package proverlog

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

const stamp = "2026-02-20T14:03:02.138401Z "

var stamped = time.Date(2026, 2, 20, 14, 3, 2, 138401000, time.UTC)

func TestParse(t *testing.T) {
	const endpoint = " endpoint=tcp://127.0.0.1:3900"
	tests := []struct {
		line string
		want Event
	}{
		{stamp + ` INFO Prover started for ["tcp://127.0.0.1:3900"]`, Event{Kind: Started, At: stamped}},
		{stamp + " INFO Received Response for batch_number: 3" + endpoint, Event{Kind: Received, At: stamped, Batch: 3}},
		{stamp + " INFO Received Response for batch_number: 3 (program: evm-l2)" + endpoint, Event{Kind: Received, At: stamped, Batch: 3}},
		{stamp + " INFO Received payload #3" + endpoint, Event{Kind: Received, At: stamped, Batch: 3}},
		{stamp + " INFO Received submit ack for batch_number: 3" + endpoint, Event{Kind: Acknowledged, At: stamped, Batch: 3}},
		{stamp + " INFO Proof for payload #3 accepted" + endpoint, Event{Kind: Acknowledged, At: stamped, Batch: 3}},
		{stamp + ` WARN "exec" prover backend generates no proof, only executes`,
			Event{Kind: ExecutesOnly, At: stamped, Message: `"exec" prover backend generates no proof, only executes`}},
		{stamp + "ERROR Failed to request new data: Connection refused (os error 111)",
			Event{Kind: Unreachable, At: stamped, Message: "Failed to request new data: Connection refused (os error 111)"}},
		{stamp + " WARN Failed to submit proof: EOF", Event{Kind: SubmitFailed, At: stamped, Message: "Failed to submit proof: EOF"}},
		{stamp + " WARN Version mismatch: the next batch", Event{Kind: VersionMismatch, At: stamped, Message: "Version mismatch: the next batch"}},
		{stamp + "ERROR Proof coordinator does not need SP1 proofs.", Event{Kind: NotNeeded, At: stamped, Message: "Proof coordinator does not need SP1 proofs."}},
		{stamp + "ERROR out of memory on the GPU\r\n", Event{Kind: Failed, At: stamped, Message: "out of memory on the GPU"}},
		{"ERROR without a time", Event{Kind: Failed, Message: "without a time"}},
		{"2026-02-30T14:03:02Z ERROR no such day", Event{}},
		{stamp + " INFO No batches to prove right now", Event{}},
		{stamp + " INFO Received payload #many", Event{}},
		{stamp + " INFO Received payload #99999999999999999999", Event{}},
		{"", Event{}},
	}
	for _, tt := range tests {
		got, ok := Parse([]byte(tt.line))
		if got != tt.want || ok != (tt.want != Event{}) {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", tt.line, got, ok, tt.want)
		}
	}
}

func TestParse_proved(t *testing.T) {
	const ms, us = int64(time.Millisecond), int64(time.Microsecond)
	timed := func(ns, precision int64) Event {
		return Event{Kind: Proved, At: stamped, Batch: 3, Timed: true, ProvingNS: ns, PrecisionNS: precision}
	}
	tests := []struct {
		text string
		want Event
	}{
		{"Proved batch 3 in 47.12s batch=3 proving_time_s=47 proving_time_ms=47123", timed(47123*ms, ms)},
		{"Proved batch 3 in 47.12s (program: evm-l2, elf) proving_time_ms=47123 proving_time_s=47 batch=3", timed(47123*ms, ms)},
		{"Proved payload #3 in 754.32s id=3 proving_time_s=754 proving_time_ms=754321", timed(754321*ms, ms)},
		{"Proved batch 3 in 754.32s", timed(754320*ms, 10*ms)},
		{"Proved batch 3 in 312.46ms batch=3 proving_time_s=0 proving_time_ms=0", timed(312460*us, 10*us)},
		{"Proved batch 3 in 512.46\u00b5s batch=3 proving_time_s=0 proving_time_ms=0", timed(512460, 10)},
		{"Proved batch 3 in 512.46\u03bcs batch=3 proving_time_s=0 proving_time_ms=0", timed(512460, 10)},
		{"Proved batch 3 in 512.46us", timed(512460, 10)},
		{"Proved batch 3 in 930ns", timed(930, 1)},
		{"Proved batch 3 in 930.25ns", timed(930, 1)},
		{"Proved batch 3 in 1.123456789s", timed(1123456789, 1)},
		{"Proved batch 3 in 0ns", timed(0, 1)},
		{"Proved batch 3 in 47.12s proving_time_ms=47123torn", timed(47120*ms, 10*ms)},
		{"Proved batch 3 in 9223372036854775807s", timed(math.MaxInt64, 1e9)},
		{"Proved batch 3 in 1s proving_time_ms=18446744073709551615", timed(math.MaxInt64/ms*ms, ms)},
		{"Proved batch 3 batch=3", Event{Kind: Proved, At: stamped, Batch: 3}},
		{"Proved batch 3 in 4", Event{Kind: Proved, At: stamped, Batch: 3, Garbled: true}},
		{"Proved batch 3 in 47.s", Event{Kind: Proved, At: stamped, Batch: 3, Garbled: true}},
		{"Proved batch 3 in 12m", Event{Kind: Proved, At: stamped, Batch: 3, Garbled: true}},
		{"Proved batch 3 in 01s", Event{Kind: Proved, At: stamped, Batch: 3, Garbled: true}},
		{"Proved batch 3 in -1s", Event{Kind: Proved, At: stamped, Batch: 3, Garbled: true}},
		{"Proved batch three in 1s", Event{Kind: Proved, At: stamped, Unnumbered: true}},
	}
	for _, tt := range tests {
		for _, level := range []string{" INFO ", " INFO ethrex_prover_lib::prover: ", "\x1b[32m INFO\x1b[0m "} {
			got, ok := Parse([]byte(stamp + level + tt.text))
			if got != tt.want || !ok {
				t.Errorf("Parse(%q) = %+v, want %+v", level+tt.text, got, tt.want)
			}
		}
	}
}

// logs reads a sample log, line by line.
func logs(t testing.TB, name string) [][]byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.SplitAfter(raw, []byte("\n"))
}

// follow reads lines as a follower of the log does.
func follow(tracker *Attempts, lines [][]byte) (out []sample.Attempt) {
	for _, line := range lines {
		if e, ok := Parse(line); ok {
			out = append(out, tracker.Add(e)...)
		}
	}
	return out
}

// The same five proofs are in every form of the log.
func TestAttempts_samples(t *testing.T) {
	want := []int64{47123, 59871, 754321, 61890, 48002}
	for _, name := range []string{"prover-timed.log", "prover-timed-ansi.log", "prover-timed-newer-payload.log", "prover-timed-tokamak-fork.log"} {
		got := follow(NewAttempts(nil), logs(t, name))
		if len(got) != len(want) {
			t.Fatalf("%s: %d attempts: %+v", name, len(got), got)
		}
		for i, a := range got {
			if a.Batch != uint64(i+1) || a.Number != 1 || a.Status != sample.Accepted || a.Failure != nil || a.SetUp != (i == 0) || a.ProvingNS != want[i]*1e6 || a.PrecisionNS != 1e6 {
				t.Errorf("%s: attempt %d is %+v", name, i, a)
			}
			if !a.ReceivedAt.Before(a.ProvedAt) || !a.ProvedAt.Before(a.AckedAt) || a.AckedAt.Year() != 2026 {
				t.Errorf("%s: attempt %d at %v, %v, %v", name, i, a.ReceivedAt, a.ProvedAt, a.AckedAt)
			}
		}
	}
}

func TestAttempts_edges(t *testing.T) {
	got := brief(follow(NewAttempts(nil), logs(t, "prover-exec-edgecases.log")))
	want := "1#1 accepted set-up 312ms; 2#1 accepted 512.46µs; 3#1 lost 1.874s (Failed to submit proof: Failed to get SubmitAck: EOF while parsing a value at line 1 column 0 endpoint=tcp://127.0.0.1:3900); 3#2 accepted 1.791s"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// brief writes attempts in a line.
func brief(attempts []sample.Attempt) string {
	var parts []string
	for _, a := range attempts {
		text := fmt.Sprintf("%d#%d %s", a.Batch, a.Number, a.Status)
		if a.SetUp {
			text += " set-up"
		}
		if a.ProvingNS > 0 {
			text += " " + time.Duration(a.ProvingNS).String()
		}
		if a.Failure != nil {
			text += " (" + a.Failure.Message + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// script makes a log of short words, a second between each.
func script(words string) [][]byte {
	var lines [][]byte
	at := stamped
	for word := range strings.FieldsSeq(words) {
		at = at.Add(time.Second)
		what, batch := word[:1], word[1:]
		text := map[string]string{
			"S": " INFO Prover started for []",
			"R": " INFO Received payload #" + batch,
			"P": " INFO Proved payload #" + batch + " in 2s",
			"A": " INFO Proof for payload #" + batch + " accepted",
			"L": " WARN Failed to submit proof: EOF",
			"V": " WARN Version mismatch: of commits",
			"E": "ERROR trouble",
			"D": "ERROR Failed to request new data: refused",
		}[what]
		lines = append(lines, []byte(at.Format(time.RFC3339Nano)+" "+text))
	}
	return lines
}

func TestAttempts_courses(t *testing.T) {
	tests := []struct{ words, want string }{
		{"S R1 P1 A1 R2 P2 A2", "1#1 accepted set-up 2s; 2#1 accepted 2s"},
		{"S R1 R1 P1 A1", "1#1 no-proof (no proof: the prover asked for the next batch); 1#2 accepted set-up 2s"},
		{"S R1 E R1 P1 A1", "1#1 no-proof (trouble); 1#2 accepted set-up 2s"},
		{"S R1 E P1 A1", "1#1 accepted set-up 2s"},
		{"S R1 P1 E R1 P1 A1", "1#1 lost set-up 2s (trouble); 1#2 accepted 2s"},
		{"S R1 P1 L R1 P1 A1", "1#1 lost set-up 2s (Failed to submit proof: EOF); 1#2 accepted 2s"},
		{"S R1 P1 R2", "1#1 lost set-up 2s (no acknowledgement: the prover asked for the next batch)"},
		{"S R1 V", "1#1 no-proof (no proof: the prover asked for the next batch)"},
		{"S R1 D", "1#1 no-proof (no proof: the prover asked for the next batch)"},
		{"S R1 S R1 P1 A1", "1#1 no-proof (no proof: the prover was started again); 1#2 accepted set-up 2s"},
		{"S R1 P1 A1 S R2 P2 A2", "1#1 accepted set-up 2s; 2#1 accepted set-up 2s"},
		{"S R1 P1 A1 R1 P1 A1", "1#1 accepted set-up 2s; 1#1 rejected set-up 2s (the batch was handed out again); 1#2 accepted 2s"},
		{"S R1 P1 A2", ""},
		{"S R1 P2 A2", "1#1 no-proof (no proof: the prover went on to another batch); 2#1 accepted set-up 2s"},
		{"S P1 A1", "1#1 accepted set-up 2s"},
		{"L A1 E V D", ""},
	}
	for _, tt := range tests {
		if got := brief(follow(NewAttempts(nil), script(tt.words))); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.words, got, tt.want)
		}
	}
}

// Wherever a follower was ended, one that reads the log again from its beginning
// adds what is missing and nothing else.
func TestAttempts_resumed(t *testing.T) {
	lines := script("S R1 P1 A1 R2 P2 L R2 E R2 P2 A2 R2 P2 A2 S R3 P3 A3 R3 P3 A3")
	whole := brief(follow(NewAttempts(nil), lines))
	for cut := range lines {
		past := follow(NewAttempts(nil), lines[:cut])
		again := NewAttempts(past)
		all := append(past, follow(again, lines)...)
		if got := brief(all); got != whole {
			t.Errorf("cut at %d:\n got %s\nwant %s", cut, got, whole)
		}
		if more := follow(again, lines); len(more) > 0 {
			t.Errorf("cut at %d: read once more it gave %s", cut, brief(more))
		}
	}
}

// A log that was cut has other attempts: their numbers go on.
func TestAttempts_cut(t *testing.T) {
	lines := script("S R1 P1 L R1 P1 A1 R1 P1 A1")
	past := follow(NewAttempts(nil), lines[:4])
	got := brief(follow(NewAttempts(past), lines[4:]))
	if want := "1#2 accepted 2s; 1#2 rejected 2s (the batch was handed out again); 1#3 accepted 2s"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAttempts_refuse(t *testing.T) {
	lines := script("S R1 P1 A1 R2 P2 A2")
	tracker := NewAttempts(nil)
	past := follow(tracker, lines)
	acked := past[0].AckedAt
	check := func(tracker *Attempts, batch uint64, at time.Time, want string) {
		t.Helper()
		if got := brief(tracker.Refuse(batch, at, "not valid")); got != want {
			t.Errorf("refusing %d: %q, want %q", batch, got, want)
		}
	}
	check(tracker, 3, time.Time{}, "")
	check(tracker, 1, acked.Add(-1), "")
	check(tracker, 1, acked.Add(1), "1#1 rejected set-up 2s (not valid)")
	check(tracker, 1, acked.Add(1), "")
	check(tracker, 2, time.Time{}, "2#1 rejected 2s (not valid)")
	// One whose past has the rejection does not take it back.
	rejected := past[0]
	rejected.Status = sample.Rejected
	again := NewAttempts(append(past, rejected))
	if more := follow(again, lines); len(more) > 0 {
		t.Errorf("read again: %s", brief(more))
	}
	check(again, 1, acked.Add(1), "")
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"prover-exec-edgecases.log", "prover-timed-ansi.log", "prover-timed-newer-payload.log", "prover-timed-tokamak-fork.log", "prover-untimed.log"} {
		for _, line := range logs(f, name)[:3] {
			f.Add(line)
		}
	}
	f.Add([]byte("2026-02-20T14:03:02Z ERROR x"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok := Parse(line)
		switch {
		case !ok && e != Event{}, ok && e.Kind == 0:
			t.Fatalf("Parse(%q) = %+v, %v", line, e, ok)
		case e.Timed && (e.Kind != Proved || e.Garbled || e.ProvingNS < 0 || e.PrecisionNS < 1):
			t.Fatalf("Parse(%q) = %+v", line, e)
		case e.Unnumbered && (e.Batch != 0 || e.Timed):
			t.Fatalf("Parse(%q) = %+v", line, e)
		}
		// Colors change nothing, nor does the line end.
		colored := append([]byte("\x1b[2m"), line...)
		if again, _ := Parse(append(colored, "\x1b[0m\r\n"...)); ok && !bytes.ContainsAny(line, "\r\n\x1b") && again != e {
			t.Fatalf("Parse(%q) = %+v, in colors %+v", line, e, again)
		}
	})
}

// FuzzAttempts takes any course of events: an attempt has one number and never
// goes back from an end to another, except from accepted to rejected.
func FuzzAttempts(f *testing.F) {
	f.Add([]byte("SRPARPLRPA"), byte(3))
	f.Add([]byte("SRERRPAVDS"), byte(0))
	f.Fuzz(func(t *testing.T, kinds []byte, cut byte) {
		tracker := NewAttempts(nil)
		var all []sample.Attempt
		for i, k := range kinds {
			e := Event{Kind: Kind(k%10 + 1), Batch: uint64(k / 10 % 3), At: stamped.Add(time.Duration(i) * time.Second)}
			all = append(all, tracker.Add(e)...)
			if i == int(cut) {
				tracker = NewAttempts(all)
			}
		}
		last := make(map[[2]uint64]sample.AttemptStatus)
		for _, a := range all {
			key := [2]uint64{a.Batch, uint64(a.Number)}
			if before, ok := last[key]; ok && (before != sample.Accepted || a.Status != sample.Rejected) {
				t.Fatalf("attempt %v was %s and then %s", key, before, a.Status)
			}
			if a.Number < 1 || a.Status == "" || (a.Failure == nil) != (a.Status == sample.Accepted) {
				t.Fatalf("attempt %+v", a)
			}
			last[key] = a.Status
		}
	})
}

func BenchmarkParse(b *testing.B) {
	lines := logs(b, "prover-timed.log")
	lines = append(lines, []byte("2026-02-20T14:01:02.104232Z  INFO L2 is in rollup mode, sending EIP-4844 (including blob) tx to commit block\n"))
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		Parse(lines[n%len(lines)])
		n++
	}
}
